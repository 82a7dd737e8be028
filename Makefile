# `make demo` and `make test` do all the set-up: they need make, Python 3.11 or newer with its venv module, nothing else.

PYTHON ?= $(or $(firstword $(shell command -v python3.11 python3)),python3)
VENV ?= .venv
WORKERS ?= 2
BIN := $(VENV)/bin
DEMO := $(VENV)/.installed-demo
DEV := $(VENV)/.installed-dev

# One thread a test worker: two workers on two cores, and results that do not depend on the number of cores. Threads that
# wait soon sleep, for the tests that train with more.
THREADS := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 GOMP_SPINCOUNT=1000

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint types contracts runtimes unit docs fmt clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

demo: $(DEMO) ## set up, then segment a brain and train a small segmenter; ends with the report's path
	rm -rf demo
	$(BIN)/vesalius demo -o demo

test: lint types contracts runtimes ## set up, then lint, types, contracts and the whole suite
	$(THREADS) $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

lint: $(DEV) ## formatting, lint and spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell

types: $(DEV) ## mypy, strict
	$(BIN)/mypy

contracts: $(DEV) ## who may import whom
	$(BIN)/lint-imports

runtimes: $(DEV) ## what the tests of phones and browsers need beside it
	PYTHON=$(BIN)/python scripts/test_setup.sh

unit: $(DEV) ## the fast tests and the docstring examples
	$(THREADS) $(BIN)/python -m pytest -n $(WORKERS) tests/unit src

docs: $(DEV) ## run the code of the documentation
	$(THREADS) $(BIN)/python -m pytest tests/test_docs.py

fmt: $(DEV) ## format, and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove the environment and all caches
	rm -rf $(VENV) .venvs .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.installed-%: pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$*]'
	touch $@

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "vesalius needs Python 3.11 or newer (found: $(PYTHON)); name one with make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) has no venv module: apt-get install $$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"; exit 1; }
	$(PYTHON) -m venv $(VENV)
