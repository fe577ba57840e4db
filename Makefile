# Two commands do all the set-up: `make run` and `make test`. The rest is for maintainers.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ADDRESS := http://127.0.0.1:8000

# A test run starts more than a thousand interpreters: without bytecode each compiles what it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test test-all systemd deb rpm rpm-test container container-test soak soak-http3 chaos tls-scan bench lint types floors pytest interpreted debug golden check-python clean FORCE

help:
	@echo "make run       serve examples/ on $(ADDRESS) with two workers"
	@echo "make test      linters, types, import contract and all tests"
	@echo "make test-all  the tests on every CPython from 3.11 to 3.14 found here"
	@echo "make systemd   the units under the systemd of Debian 12 and 13 (root)"
	@echo "make deb       the Debian package, for the release that runs here or SUITE=bookworm|trixie (root)"
	@echo "make rpm       the package for Fedora and RHEL; make rpm-test installs it somewhere (root)"
	@echo "make container an image; make container-test runs it"
	@echo "make soak      reload under load for two minutes and count what is lost"
	@echo "make soak-http3  the same of HTTP/3, with deaths and upgrades; five minutes"
	@echo "make chaos     reloads, upgrades and violence under load, and what is lost; 20 minutes"
	@echo "make tls-scan  what testssl and sslyze find in a daemon that speaks TLS"
	@echo "make bench     granian-d beside its peers; BENCH_ARGS=--help lists what can be chosen"
	@echo "make golden    render again what is made from the options: reference, manual pages, ..."
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

# What the compiled parts are made of: a .pyx, or a .py with a .pxd beside it.
TYPED   := $(shell find granian_d -name '*.pxd')
SOURCES := setup.py $(TYPED) $(shell find granian_d -name '*.pyx') $(wildcard $(TYPED:.pxd=.py))

$(VENV)/.run: $(VENV)/.made pyproject.toml
	@echo "Installing granian-d and what the examples need into $(VENV) ..."
	@GRANIAN_D_BUILD=none $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group build --group examples
	@touch $@

$(VENV)/.test: $(VENV)/.run
	@echo "Installing the test tools into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group lint --group test
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --group test-alone
	@touch $@

# At first and after an edit: here, where what did not change need not be compiled again. Where
# there is no compiler this says so, and everything runs on the pure engine.
$(VENV)/.built: $(VENV)/.run $(SOURCES)
	@echo "Compiling the native engine ..."
	@$(BIN)/python setup.py --quiet build_ext --inplace
	@touch $@

# A copy of the tree without compiled parts. Times are kept, so its bytecode holds, and so is build/
# in it: what did not change is not compiled again.
TREE := granian_d tests etc docs examples systemd setup.py pyproject.toml README.md LICENSE Makefile
copy  = mkdir -p $@ && find $@ -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} + && \
        tar -c --exclude '*.so' $(TREE) | tar -x -C $@

# What stands in a .py runs interpreted here.
build/interpreted: FORCE
	@$(copy)

# And with assertions, checks of every index and of None, and traps for undefined behaviour.
build/debug: $(VENV)/.run FORCE
	@$(copy)
	@cd $@ && GRANIAN_D_BUILD=debug $(CURDIR)/$(BIN)/python setup.py --quiet build_ext --inplace

FORCE:

run: $(VENV)/.built
	@echo "Open $(ADDRESS)/ (Ctrl-C stops it, kill -HUP reloads it)"
	@exec $(BIN)/granian-d --config examples/granian.toml

test: lint types floors pytest interpreted debug

lint: $(VENV)/.test
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: $(VENV)/.test
	@$(BIN)/mypy

floors: $(VENV)/.test
	@$(BIN)/lint-imports

# `make test JOBS=2` runs two at once, each file on one of them: half of the time is spent in waiting.
JOBS   ?=
PYTEST := python -m pytest $(if $(JOBS),-n $(JOBS) --dist loadfile --no-loadscope-reorder)
pytest: $(VENV)/.test $(VENV)/.built
	@$(BIN)/$(PYTEST) $(PYTEST_ARGS)

# What the compiled parts do, done by their sources as Python, and by a build that checks itself.
# Neither the pure engine nor QUIC has any.
INNER := tests/unit/http tests/unit/interface tests/unit/worker tests/wire
interpreted: $(VENV)/.test build/interpreted
	@cd build/interpreted && env -u CI $(CURDIR)/$(BIN)/$(PYTEST) --quiet -p no:cacheprovider $(INNER)

CHECKED := tests/unit/engine tests/unit/http tests/unit/interface tests/unit/transport tests/wire tests/property/test_engines.py
debug: $(VENV)/.test build/debug
	@cd build/debug && $(CURDIR)/$(BIN)/$(PYTEST) --quiet -p no:cacheprovider -k 'not pure and not quic' $(CHECKED)

# The units under real ones: systemd 252 (Debian 12) and 257 (Debian 13), booted as root. The first
# run makes their root file systems.
SUITES ?= bookworm trixie
systemd: $(VENV)/.test
	@GRANIAN_D_SUITES="$(SUITES)" $(BIN)/python -m pytest tests/systemd $(PYTEST_ARGS)

# Into dist/: packaging/deb/README.md.
deb:
	@packaging/deb/build

# And packaging/rpm/README.md, with the slow proof that it does what it is for.
rpm:
	@packaging/rpm/build

rpm-test: $(VENV)/.test rpm
	@GRANIAN_D_RPM=$$(ls -t dist/*.rpm | head -1) $(BIN)/python -m pytest --timeout 1200 tests/packaging/test_rpm.py $(PYTEST_ARGS)

# An image, and the slow proof: packaging/container/README.md.
container:
	@packaging/container/build

container-test: $(VENV)/.test container
	@GRANIAN_D_IMAGE=granian-d:latest $(BIN)/python -m pytest tests/packaging/test_container.py $(PYTEST_ARGS)

# A slow proof: its last result is docs/results/reload-soak.md.
soak: $(VENV)/.test $(VENV)/.built
	@$(BIN)/python -m tests.process.soak

# And docs/results/http3-reloads.md.
soak-http3: $(VENV)/.test $(VENV)/.built
	@$(BIN)/python -m tests.process.h3_soak --write

# A slow proof too: tests/chaos/README.md. All of it replaces docs/results/chaos.md.
CHAOS_ARGS ?= --write
chaos: $(VENV)/.test $(VENV)/.built
	@$(BIN)/python -m tests.chaos $(CHAOS_ARGS)

# A slow proof too, about ten minutes: docs/results/tls-scan.md. sslyze pins what it needs, so it has
# a venv of its own; testssl is looked for in PATH.
.venv-scan/.made: | check-python
	@$(PYTHON) -m venv .venv-scan
	@.venv-scan/bin/python -m pip install --quiet --disable-pip-version-check 'sslyze>=6'
	@touch $@

tls-scan: $(VENV)/.test $(VENV)/.built .venv-scan/.made
	@$(BIN)/python -m tests.process.tls_scan .venv-scan/bin/python

# The peers have a venv of their own: nothing of theirs may be importable by granian-d.
.venv-peers/.bench: pyproject.toml | check-python
	@echo "Installing the peers into .venv-peers ..."
	@$(PYTHON) -m venv .venv-peers
	@.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	@.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --group bench
	@touch $@

# Takes well over an hour unless BENCH_ARGS choose a part; its last results are benchmarks/results.
bench: $(VENV)/.built .venv-peers/.bench
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

golden: $(VENV)/.test
	@$(BIN)/python -m tests.golden.regenerate

# Each interpreter gets a venv of its own; those that are not here are named and left out.
test-all:
	@sh tests/every_python.sh

clean:
	rm -rf .venv .venv-3.* .venv-peers .venv-scan build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
