# Every target does all of its own set-up: a virtual environment with the versions pinned in constraints.txt.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: demo test check unit bench docs collector clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "runbundle needs Python 3.11 or newer; run make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[all,dev]'
	touch $(READY)

demo: $(READY)
	$(BIN)/runbundle demo

test: check
	$(BIN)/python -m tests.clean_tree $(BIN)/python -m pytest

check: $(READY)
	$(BIN)/ruff format --check src tests examples
	$(BIN)/ruff check src tests examples
	$(BIN)/lint-imports
	$(BIN)/pyright

unit: $(READY)
	$(BIN)/python -m pytest tests/unit

bench: $(READY)
	$(BIN)/python -m tests.benchmarks.pipeline
	$(BIN)/python -m tests.benchmarks.caller
	$(BIN)/python -m tests.benchmarks.large
	$(BIN)/python -m tests.benchmarks.startup
	$(BIN)/python -m tests.benchmarks.detection
	$(BIN)/python -m tests.benchmarks.listing 100000
	$(BIN)/python -m tests.benchmarks.runstate

docs: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	$(BIN)/python -m tests.docs.site

collector:
	collector/build.sh

clean:
	rm -rf $(VENV) site .cache .pytest_cache .ruff_cache .import_linter_cache
