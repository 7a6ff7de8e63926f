# Two commands do everything on a fresh machine with Python 3.11+ and make: `make demo` and `make test`.
PYTHON ?= python3
WORKERS ?= 4  # of pytest: many of its tests wait for other processes
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
# Set in many containers; without bytecode each of the hundreds of processes of a sweep or test compiles all libraries.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test pytest test-fast check format clean

demo: $(INSTALLED)  ## train the embedded default, print its test scores and where to look next
	$(BIN)/fiducial train experiment=quickstart

test: check pytest  ## everything that CI runs

pytest: $(INSTALLED)
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

test-fast: $(INSTALLED)  ## without the slow tests
	$(BIN)/pytest -n 2 -m "not slow"

check: $(INSTALLED)  ## style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(INSTALLED)  ## put the code into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable . --group test --group quality
	touch $(INSTALLED)

clean:  ## remove the environment and what tools leave behind; runs in outputs/ stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache dist build
