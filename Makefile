# `make` lists the targets. Everything runs in .venv, which is made once and remade when the pins change.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
READY := $(VENV)/.ready

# Tests on real data need a folder of public data sets; without it they are skipped.
ifndef TETRAMER_DATA
ifneq ($(wildcard ../shared/data),)
export TETRAMER_DATA := $(abspath ../shared/data)
endif
endif

export NO_MKDOCS_2_WARNING := 1 # a notice of the documentation tool, about its own future

.DEFAULT_GOAL := help
.PHONY: help demo test check test-slow docs format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("tetramer needs Python 3.11 or newer: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt hatchling editables
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	@touch $@

demo: $(READY) ## train and predict on a real assay, offline
	$(BIN)/tetramer demo

test: $(READY) ## all fast tests on two processes, then the documentation
	$(BIN)/python -m pytest -n 2
	$(BIN)/mkdocs build --strict --quiet

check: $(READY) ## format, lint, types and fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2

test-slow: $(READY) ## kill campaigns, fuzzing and other tests that take minutes
	$(BIN)/python -m pytest -m slow

docs: $(READY) ## build the documentation into site/
	$(BIN)/mkdocs build --strict

format: $(READY) ## put the code into its one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove the environment and everything that was built
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis tetramer-demo
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
