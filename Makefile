# Two commands: `make run` and `make test`. Each sets up what it needs in .venv.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# One for each of the two cores that the tests are made for; a third would start a third UI at once, which is slower.
WORKERS ?= 2

.PHONY: run test check ui lint docs notebook session cookbook clean

run: $(VENV)/installed
	@$(BIN)/rarecall run

ui: $(VENV)/installed
	@$(BIN)/rarecall ui

# Types are checked beside the tests; mypy keeps what it knows in .mypy_cache.
test: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(BIN)/mypy & types=$$!; OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder; \
		tests=$$?; wait $$types && exit $$tests

# The inner loop: lint, types beside the unit tests, nothing that starts a browser or trains a model.
check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(BIN)/mypy & types=$$!; OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/unit -q -n 2 --dist loadgroup; tests=$$?; \
		wait $$types && exit $$tests

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/installed
	$(BIN)/python -m docs.build.tables > docs/tables.md
	$(BIN)/python -m docs.build.flow > docs/images/flow.svg

session: $(VENV)/installed
	$(BIN)/python -m docs.build.session

notebook: $(VENV)/installed
	@$(PIP) install --quiet -c constraints.txt -e ".[notebook]"
	@$(BIN)/marimo run docs/live_browser.py

cookbook: $(VENV)/installed
	$(BIN)/python -m docs.build.cookbook > docs/cookbook.md

$(VENV)/installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "rarecall needs Python 3.11 or newer on the PATH; install one, or run make PYTHON=/path/to/python."; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet -c constraints.txt -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) install --quiet -c constraints.txt -e ".[dev]"
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info
