# Everything sets itself up in .venv: Python 3.11 or newer and make are all that has to be there.
#
#   make run ARGS="--port 9000"       options of `workload-api serve`
#   make test ARGS="tests/workloads"  arguments of pytest
#   make test TEST_WORKERS=4          processes that the tests run in

VENV := .venv
BIN := $(VENV)/bin
TEST_WORKERS ?= 2
UV ?= uv
ARGS ?=

# The newest of our stamps says what is in the virtual environment; each is older than what it was made from when that
# has changed, so the second time there is nothing to do.
MADE := $(VENV)/.stamp-made
RUNTIME := $(VENV)/.stamp-runtime
DEVELOPMENT := $(VENV)/.stamp-development

# Addresses of a package registry come from the user's own pip settings, never from here.
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet
OLD_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))

# An environment whose Python has gone (or is too old) is made anew.
ifneq ($(shell $(BIN)/python -c '$(OLD_ENOUGH)' 2>/dev/null && echo usable),usable)
$(MADE): again
endif

.PHONY: help run migrate test lint format lock clean again
.NOTPARALLEL:
.DEFAULT_GOAL := help

help:  ## Say what there is
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

run: $(RUNTIME)  ## Set up and serve (SQLite, process runtime); ARGS="--port 9000"
	@exec $(BIN)/workload-api serve $(ARGS)

migrate: $(RUNTIME)  ## Bring the database that the settings name up to date
	@exec $(BIN)/workload-api migrate $(ARGS)

test: $(DEVELOPMENT)  ## Set up and run the tests; says at the end what it left out
	@exec $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadgroup $(ARGS)

lint: $(DEVELOPMENT)  ## ruff, mypy and the rules about imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEVELOPMENT)  ## Put the code into its usual form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The only target that needs uv (https://docs.astral.sh/uv/): hashes for every platform, and no addresses in the files.
COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
	--python-version 3.11 $(ARGS)
lock:  ## Write the lock files anew (needs uv); ARGS="--upgrade" for newer versions
	@command -v $(UV) >/dev/null || { echo "make lock needs uv: install it, or name it by UV=/path/to/uv." >&2; exit 1; }
	$(COMPILE) pyproject.toml --group dev -o requirements-dev.lock
	$(COMPILE) pyproject.toml -c requirements-dev.lock -o requirements.lock
	printf 'hatchling>=1.27\neditables>=0.5\n' | $(COMPILE) - -c requirements-dev.lock -o requirements-build.lock

clean:  ## Remove what was made here, but not data/
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build test-output
	find src tests migrations -name __pycache__ -type d -prune -exec rm -rf {} +

# What is there already and works is kept: it may be somebody's own.
$(MADE):
	@if $(BIN)/python -c '$(OLD_ENOUGH)' 2>/dev/null && $(PIP) --version >/dev/null 2>&1; then touch $@; exit 0; fi; \
	python=; for candidate in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
	  if "$$candidate" -c '$(OLD_ENOUGH)' 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "Python 3.11 or newer is needed, and $(or $(PYTHON),python3) is not one: install it, or name it by PYTHON=/path/to/python." >&2; \
	  exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	  echo "$$python cannot make virtual environments: install its venv module (on Debian and Ubuntu: apt install python3-venv)." >&2; \
	  exit 1; \
	fi; \
	echo "Setting up $(VENV) with $$("$$python" --version); this happens once and takes about a minute." >&2; \
	"$$python" -m venv --clear $(VENV) && touch $@

$(RUNTIME): $(MADE) requirements.lock requirements-build.lock pyproject.toml
	@echo "Installing what the server needs into $(VENV)." >&2
	@$(PIP) install --require-hashes -r requirements-build.lock -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(DEVELOPMENT): $(MADE) requirements-dev.lock requirements-build.lock pyproject.toml
	@echo "Installing what the server, its tests and checks need into $(VENV)." >&2
	@$(PIP) install --require-hashes -r requirements-build.lock -r requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $(RUNTIME) $@
