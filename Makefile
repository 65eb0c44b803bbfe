# Every target does all of its own set-up: a virtual environment with the versions pinned in constraints.txt.
# It is filled in two steps, so that nobody installs twice: CORE is what users of the package get, and all that the demo
# needs; READY adds every extra and the tools of development.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CORE   := $(VENV)/.core
READY  := $(VENV)/.ready

# The interpreter's own pip fills the environment: to make another one there takes 6 s and 25 MB. Where there is none,
# or one older than 22.3, which knows no --python, the environment gets its own.
HAS_PIP = $(shell $(PYTHON) -c 'import pip; pip.__version__ >= "22.3" and print("yes")' 2>/dev/null)
PIP     = $(if $(HAS_PIP),$(PYTHON) -m pip --python $(BIN)/python,$(BIN)/python -m pip)
INSTALL = $(PIP) install --quiet --disable-pip-version-check --constraint constraints.txt

# Where a machine forbids Python to keep what it has compiled, each of the programs that tests start would compile the
# package anew, for half of its time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check unit coverage check-pythons frameworks interop calibrate bench bench-figures bench-compare docs \
        collector native native-if-cargo fuzz clean

$(CORE): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "runbundle needs Python 3.11 or newer; run make PYTHON=/path/to/python3.11")'
	@echo "installing the package and what it depends on into $(VENV): about 20 s, 45 MB"
	@$(PYTHON) -m venv $(if $(HAS_PIP),--without-pip) $(VENV)
	@$(INSTALL) --no-compile --editable .  # Python compiles what the demo imports, a tenth of it, when it does
	@touch $(CORE)

$(READY): $(CORE)
	@echo "installing the extras and the tools of development into $(VENV): 1 to 4 minutes, 800 MB"
	@$(INSTALL) pip --editable '.[all,dev]'
	@touch $(READY)

demo: $(CORE)
	@$(BIN)/runbundle demo
	@echo "(the command is $(BIN)/runbundle)"

# Three runs, not one. The slow half begins in a new process, since some of its tests fork, which no thread or server that
# another test has left behind may see; it has one process, for its tests start many themselves. Tests that hold a duration
# to a bound come last, alone. Each run ends with its slowest ten and with what it left out, and why.
PYTEST = $(BIN)/python -m tests.clean_tree $(BIN)/python -m pytest --durations=10
FAST   = --half=fast --numprocesses=logical --dist=worksteal

test: check native-if-cargo
	@echo "fast half, in as many processes as there are CPUs: units, golden bundles, documentation, leaks, end to end"
	@$(PYTEST) $(FAST) -m "not alone"
	@echo "slow half: killed processes, object stores, the Collector, frameworks, a browser"
	@$(PYTEST) --half=slow -m "not alone"
	@echo "tests that hold a duration to a bound"
	@$(PYTEST) -m alone

check: $(READY)
	$(BIN)/ruff format --check src tests examples
	$(BIN)/ruff check src tests examples
	$(BIN)/lint-imports
	$(BIN)/pyright
	@$(BIN)/python -m tests.browser.check_types

unit: $(READY)
	$(BIN)/python -m pytest tests/unit

# Branches of src that the fast half takes. A target of its own, for it more than doubles the time (CPU of three modules
# of tests: 25 s without, 57 s with). What subprocesses do is not counted.
coverage: $(READY)
	$(BIN)/python -m coverage run -m pytest --half=fast
	$(BIN)/python -m coverage report

# The unit tests on each Python from 3.11 that is found, without the native core and with it, and on the lowest versions
# that pyproject.toml allows. Some minutes for each, and 800 MB below .cache/pythons. make check-pythons ONLY=3.13
check-pythons:
	$(PYTHON) -m tests.pythons $(ONLY)

# The table of docs/frameworks.md, made again by real frameworks; their environments, of 1 GB, are kept in the user's cache.
frameworks: $(READY)
	$(BIN)/python -m tests.interop.coverage --write

# Real backends, asked for what was forwarded to them: Phoenix and MLflow, 2 GB in the user's cache.
interop: $(READY)
	$(BIN)/python -m tests.interop.backends

# Simulated gates: how often one fails without a reason, and whether the number of cases that it asks for is the right one.
# Writes the table of docs/gates.md. A quarter of an hour of CPU or more.
calibrate: $(READY)
	$(BIN)/python -m tests.calibration

# The first compares with Langfuse and Logfire, in an environment of 110 MB in the user's cache.
bench: $(READY)
	$(BIN)/python -m tests.benchmarks.peers
	$(BIN)/python -m tests.benchmarks.run_cost
	$(BIN)/python -m tests.benchmarks.native_spans
	$(BIN)/python -m tests.benchmarks.span_stages
	$(BIN)/python -m tests.benchmarks.outage
	$(BIN)/python -m tests.benchmarks.dialects
	$(BIN)/python -m tests.benchmarks.large
	$(BIN)/python -m tests.benchmarks.startup
	$(BIN)/python -m tests.benchmarks.detection
	$(BIN)/python -m tests.benchmarks.listing 100000
	$(BIN)/python -m tests.benchmarks.runstate

# The first of them alone, and its figures put into benchmarks/results, the README and docs/figures.md. About five minutes,
# on a machine that does nothing else.
bench-figures: $(READY)
	$(BIN)/python -m tests.benchmarks.peers --write

# This checkout beside another commit, in turns: make bench-compare BASE=main. Without BASE it says what it takes.
bench-compare: $(READY)
	@$(BIN)/python -m tests.benchmarks.compare $(or $(BASE),--help)

docs: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	$(BIN)/python -m tests.docs.site

collector:
	collector/build.sh

# The native core, built by cargo and installed into $(VENV): about two minutes for each content of native/.
native: $(READY)
	@echo "building the native core, unless that was done for these sources"
	@wheel="$$(native/build.sh $(PIP))" && $(PIP) install --quiet --disable-pip-version-check --no-deps --force-reinstall "$$wheel"

native-if-cargo: $(READY)
	@if command -v cargo >/dev/null; then $(MAKE) --no-print-directory native; else \
	  echo "no cargo: the native core is not built, and its tests are left out"; fi

# Inputs that coverage leads to, for what the native core reads without Python: a minute for each of four targets, or
# make fuzz FUZZ_SECONDS=600. Needs cargo and a C++ compiler; the first time it builds for a minute or two.
FUZZ_SECONDS ?= 60

fuzz: $(READY)
	$(BIN)/python -m tests.fuzz.native_targets $(FUZZ_SECONDS)

clean:
	rm -rf $(VENV) site .cache .pytest_cache .ruff_cache .import_linter_cache .grimp_cache .hypothesis .coverage
