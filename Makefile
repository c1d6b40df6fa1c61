# agentainer: `make demo` to see it, `make test` and `make lint` to work on it. CONTRIBUTING.md says more.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SHELL := bash

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench bench-peers bench-docs clean

help:
	@echo "make demo    set up and run a sample workflow (no Docker and no Redis needed)"
	@echo "make test    run the tests; ARGS=… goes to pytest (those that need Docker are skipped without it)"
	@echo "make lint    ruff, mypy, import-linter"
	@echo "make format  let ruff mend what it can"
	@echo "make bench   measure; each figure beside the floor that this machine has. ARGS=\"engine journal\" for a part"
	@echo "make bench-peers  the same jobs by us and by luigi, dagster and prefect, installed apart"
	@echo "make bench-docs   write the last figures of both into the documentation"
	@echo "make clean   remove the environment and all caches"

demo: $(VENV)/installed
	@$(BIN)/agentainer demo

test: $(VENV)/installed-dev
	@$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/installed-dev
	@$(BIN)/python -m compileall -q agentainer_tui engine
	@$(BIN)/python -m benchmarks $(ARGS)

bench-docs: $(VENV)/installed-dev
	@$(BIN)/python -m benchmarks.report

bench-peers: $(VENV)/installed-dev
	@$(BIN)/python -m compileall -q agentainer_tui engine
	@$(BIN)/python -m benchmarks.peers $(ARGS)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment is made once, and again when pyproject.toml changes. The demo needs no development tools.
$(VENV)/installed: pyproject.toml | $(BIN)/python
	@$(call install,.)
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(BIN)/python
	@$(call install,.[dev])
	@touch $@ $(VENV)/installed

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or later is needed, but $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Say which one to use, for example: make demo PYTHON=python3.12" >&2; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

# pip's own output is long: one line for each package instead. What goes wrong it says on stderr. Our own modules
# are compiled here, too: where PYTHONDONTWRITEBYTECODE is set, every start would compile them anew.
define install
set -o pipefail; echo "installing agentainer and what it needs into $(VENV) (once)"; \
$(BIN)/python -m pip install --disable-pip-version-check --no-input --editable '$(1)' \
  | while read -r what name _; do if [ "$$what" = Collecting ]; then echo "  $$name"; fi; done && \
$(BIN)/python -m compileall -q agentainer_tui engine
endef
