# The commands a person and CI use; each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PACKAGES := ml_connector flows tasks blocks deployments
SLOW_JOBS ?= 2
RUNS ?= 2000
FIRST ?= 1
LANES ?= 2
PREFECT_RUNS ?= 50

.DEFAULT_GOAL := help
.PHONY: help install demo up down test test-fast examination examination-prefect check format docs site lock postgres browser clean

help: ## Show the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(STAMP) ## Make .venv with the command ml-connector

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make install PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: install ## Tell the whole story on the sandbox, with the Prefect UI up
	@$(BIN)/ml-connector demo

up: install ## Start a local stack that stays: Prefect with login, worker, listener, receiver, sandbox (OPTIONS="--port 4300")
	@$(BIN)/ml-connector up $(OPTIONS)

down: ## End the local stack; nothing of it is left running
	@$(BIN)/ml-connector down $(OPTIONS)

test: install postgres browser ## Run every test
	$(BIN)/python -m pytest

test-fast: install ## Run the tests that start no server
	$(BIN)/python -m pytest tests/unit tests/property tests/architecture

examination: install ## Kill, cut off and race the main job 2,000 times and compare both sides (RUNS=n, FIRST=seed)
	$(BIN)/python -m tests.examination --runs $(RUNS) --first $(FIRST) --lanes $(LANES)
	$(BIN)/python -m tests.examination --runs $(shell expr $(RUNS) / 4 + 1) --first $(FIRST) --lanes $(LANES) --lose-ledger

examination-prefect: install ## The same on a Prefect server: kill worker and runs, retry them (PREFECT_RUNS=n, FIRST=seed)
	$(BIN)/python -m tests.examination.on_prefect --runs $(PREFECT_RUNS) --first $(FIRST)

check: install site ## Format, lint, types, import contracts, documentation
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## Format the code and mend what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: install ## Renew the reference pages that follow from the code
	$(BIN)/python docs/generate.py

site: install ## Build the documentation into site/; fails on a broken link
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lock: ## Renew requirements.lock (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --extra dev pyproject.toml --output-file requirements.lock

postgres: ## Install the PostgreSQL server the tests start, when it is missing and we are root
	@sh .ci/postgres

browser: ## Install the browser the tests look at the Prefect UI with, when it is missing and we are root
	@sh .ci/chromium

clean: ## Remove what the commands made
	rm -rf $(VENV) build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis ci-output
