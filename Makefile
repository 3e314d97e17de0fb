# `make run` and `make test` are all a newcomer needs; each sets up .venv when it is not there yet.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test lint bench paper audit docs clean

run: .venv/ready
	$(BIN)/python run.py $(ARGS)

test: .venv/ready # one process more than cores: a third of the time a test waits for another program
	$(BIN)/python -m pytest -n $$($(BIN)/python -c 'import os; print(os.cpu_count() + 1)') --dist worksteal $(ARGS)

lint: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

paper: .venv/ready # docs/results.md, from what the authors released (python -m vaa.data.fetch)
	$(BIN)/python -m vaa.paper $(or $(RECORDED),../shared/recorded) $(ARGS)

audit: .venv/ready # known vulnerabilities of the versions in constraints.txt; needs a network, six minutes at most
	$(BIN)/python tools/audit.py $(ARGS)

docs: .venv/ready # site/index.html; the search needs a server: python -m http.server --directory site
	$(BIN)/python tools/pages.py
	$(BIN)/zensical build --strict --clean

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

bench: .venv/ready
	$(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf .venv
