# Everything sets itself up in .venv: `make quickstart` runs the pipeline, `make test` passes the tests,
# `make test-all` all of them. Python 3.11 or 3.12.
#
#   PYTHON       the interpreter to make .venv with (default: the first of python3.11, python3.12, python3 that is 3.11 or 3.12)
#   TORCH_INDEX  the package index with CPU builds of torch, for torch alone; needed only where `pip install torch==2.13.0` would fetch the CUDA build
#   OUT, SEED    where the quickstart goes, and its seed

PYTHON ?= $(shell for p in python3.11 python3.12 python3; do $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null && { echo $$p; break; }; done)
TORCH_INDEX ?=
OUT ?= quickstart-out
SEED ?= 0
PIP = .venv/bin/python -m pip --disable-pip-version-check
RUNTIME = .venv/.runtime-$(shell cksum < requirements/cpu.txt | cut -d' ' -f1)
DEV = .venv/.dev-$(shell cat requirements/cpu.txt requirements/dev.txt | cksum | cut -d' ' -f1)
PACKAGE = .venv/.package-$(shell cat setup.py pyproject.toml klear_verl/__init__.py | cksum | cut -d' ' -f1)

.PHONY: quickstart test test-unit test-all lint docs install install-dev lock clean

quickstart: install
	.venv/bin/klear quickstart --out "$(OUT)" --seed $(SEED)

# Unit tests share the cores. Whole runs come one after another, since each wants all cores for itself.
PYTEST = .venv/bin/python -m pytest
UNIT = PYTHONHASHSEED=0 $(PYTEST) -n logical --dist worksteal

test: lint test-unit
	$(PYTEST) tests/integration -m pipeline

test-unit: install-dev
	$(UNIT) -m "not pipeline and not slow and not thorough"

# Everything: `make test`, then what it leaves out or tries on a sample.
test-all: test
	$(UNIT) -m "thorough and not slow"
	$(PYTEST) -m slow

lint: install-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

docs: install-dev
	.venv/bin/mkdocs build --strict

install: $(PACKAGE)

install-dev: $(PACKAGE) $(DEV)

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or 3.12 is needed; install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; echo "make: on Debian, install the package python3-venv" >&2; exit 2; }

$(RUNTIME): | .venv/bin/python
	$(PIP) install -q $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	$(PIP) install -q --no-deps -r requirements/cpu.txt
	rm -f .venv/.runtime-*
	touch $@

$(DEV): $(RUNTIME)
	$(PIP) install -q --no-deps -r requirements/dev.txt
	rm -f .venv/.dev-*
	touch $@

$(PACKAGE): $(RUNTIME)
	$(PIP) install -q "setuptools>=77"
	$(PIP) install -q --no-deps --no-build-isolation -e .
	rm -f .venv/.package-*
	touch $@

# Needs `uv` for the resolution; pip takes an hour over it.
lock: .venv/bin/python
	requirements/lock.sh

clean:
	rm -rf .venv site build *.egg-info
