# `make demo` and `make test` need Python >= 3.11, gcc and make; everything else goes into .venv.
# Stamp files in .venv remember what is installed, so that a second `make` starts at once.

PYTHON ?= $(shell for name in python3.11 python3 python3.12 python3.13; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$name"; break; }; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install --constraint constraints.txt
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test lint format docs pins clean

help:  ## say what there is
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: .venv/.installed  ## search, train, evaluate and export on bundled data (installs first; ARGS="..." is passed on)
	@$(BIN)/python examples/demo.py $(ARGS)

test: .venv/.installed-dev  ## run all tests (ARGS="-k resume" is passed on to pytest)
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

lint: .venv/.installed-dev  ## ruff, its formatter and mypy, changing nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict

format: .venv/.installed-dev  ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/.installed-dev  ## build the documentation into docs/_build/html; a warning is an error
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

pins: .venv/.installed-dev  ## write what is installed in .venv into constraints.txt
	@{ sed -n '/^#/p' constraints.txt; $(BIN)/python -m pip freeze --exclude archgrad --exclude pip \
		| sed 's/+cpu$$//' | LC_ALL=C sort -f; } > constraints.new && mv constraints.new constraints.txt

clean:  ## remove what was built; runs and .venv stay
	rm -rf build dist docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests examples -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 found. Install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -m venv .venv || { rm -rf .venv; echo "$(PYTHON) cannot make a virtual environment: see above (on Debian: apt-get install python3-venv)." >&2; exit 1; }

# torch first and alone: it is the largest download, and a failure then names it.
.venv/.installed: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing the pinned set into .venv (once, some minutes) ..."
	@$(PIP) torch==2.13.0
	@$(PIP) --editable '.[onnx]'
	@touch $@

.venv/.installed-dev: .venv/.installed
	@echo "Installing what tests and checks need ..."
	@$(PIP) --editable '.[onnx,dev]'
	@touch $@
