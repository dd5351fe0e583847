# What a newcomer types. Needs `make` and a `python3` of 3.11 or newer; everything else goes into
# .venv and is installed once, until pyproject.toml changes.
#
#   make demo     install, then watch a session survive SIGKILL (about 15 seconds)
#   make test     install what the tests need, then run them
#   make lint     format, lint and types, as .ci/run does
#   make bench    the short form of every benchmark; figures and plots go to bench-results/
#   make prove    break it in every way there is a program for, and write docs/fault-report.md
#                 (about ten minutes; make prove-long takes hours)
#   make clean    remove all that the other targets made

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# One more than there are cores: some tests wait for a process or a second, and use none.
WORKERS ?= $$(( $$(getconf _NPROCESSORS_ONLN) + 1 ))

# The tests start hundreds of processes, and without bytecode each compiles everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint bench prove prove-long clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.installed
	@$(BIN)/holdfast demo

test: $(VENV)/.installed-test
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy holdfast tests examples bench
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(VENV)/.installed-test
	@$(BIN)/python -m bench --short

prove: $(VENV)/.installed-test
	@$(BIN)/python -m tests.proof --page docs/fault-report.md

prove-long: $(VENV)/.installed-test
	@$(BIN)/python -m tests.proof --long --page docs/fault-report.md

clean:
	rm -rf $(VENV) build dist data bench-results .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is made last, so that an interrupted set-up is done again.
$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Holdfast needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.installed: pyproject.toml $(VENV)/.python
	$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml $(VENV)/.python
	$(PIP_INSTALL) --editable '.[test]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-dev: pyproject.toml $(VENV)/.python
	$(PIP_INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/.installed-test $(VENV)/.installed
