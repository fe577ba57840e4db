# Two commands do all the set-up: `make run` and `make test`. The rest is for maintainers.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ADDRESS := http://127.0.0.1:8000

.PHONY: help run test test-all soak lint types floors pytest golden check-python clean

help:
	@echo "make run       serve examples/ on $(ADDRESS) with two workers"
	@echo "make test      linters, types, import contract and all tests"
	@echo "make test-all  the tests on every CPython from 3.11 to 3.14 found here"
	@echo "make soak      reload under load for two minutes and count what is lost"
	@echo "make golden    render the sample configuration and the settings reference again"
	@echo "make clean     remove what the other targets made"

check-python:
	@command -v $(PYTHON) >/dev/null || { echo "granian-d needs Python >= 3.11: apt install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "granian-d needs Python >= 3.11, $(PYTHON) is $$($(PYTHON) -V): run make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "the venv module is missing: apt install python3-venv"; exit 1; }

# A stamp for each set of packages: a second run finds it and starts at once.
$(VENV)/.made: | check-python
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	@touch $@

$(VENV)/.run: $(VENV)/.made pyproject.toml
	@echo "Installing granian-d and what the examples need into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group examples
	@touch $@

$(VENV)/.test: $(VENV)/.made pyproject.toml
	@echo "Installing granian-d and the test tools into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group examples --group lint --group test
	@touch $@ $(VENV)/.run

run: $(VENV)/.run
	@echo "Open $(ADDRESS)/ (Ctrl-C stops it, kill -HUP reloads it)"
	@exec $(BIN)/granian-d --config examples/granian.toml

test: lint types floors pytest

lint: $(VENV)/.test
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: $(VENV)/.test
	@$(BIN)/mypy

floors: $(VENV)/.test
	@$(BIN)/lint-imports

pytest: $(VENV)/.test
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

# A slow proof: its last result is docs/results/reload-soak.md.
soak: $(VENV)/.test
	@$(BIN)/python -m tests.process.soak

golden: $(VENV)/.test
	@$(BIN)/python -m tests.golden.regenerate

# Each interpreter gets a venv of its own; those that are not here are named and left out.
test-all:
	@sh tests/every_python.sh

clean:
	rm -rf .venv .venv-3.* build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
