# Everything a person or CI runs. `make run` and `make test` set up what they need.

SHELL := /bin/sh
BIN := .venv/bin
# The offline example; any directory beneath your home works: make run PROJECT=~/src/thing
PROJECT ?= examples/greeter
PYTEST_FLAGS ?= -n 2 --dist loadgroup
HOSTED := $(if $(JIDO_PROJECT_ROOTS),$(JIDO_PROJECT_ROOTS),$(HOME):$(CURDIR))

.PHONY: help run test check format bench image engine requirements screenshots clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/'

.venv/.runtime: requirements/runtime.txt pyproject.toml scripts/setup
	@scripts/setup runtime

.venv/.development: requirements/development.txt pyproject.toml scripts/setup
	@scripts/setup development

run: .venv/.runtime ## Open the client on PROJECT (without a terminal: a headless tour)
	@scripts/sandbox-image --if-engine
	@if [ -t 0 ] && [ -t 1 ]; then set -- "$(PROJECT)"; else set --; fi; \
		JIDO_PROJECT_ROOTS="$(HOSTED)" exec $(BIN)/jido-tui "$$@"

test: .venv/.development ## Check everything, then run every test this machine can run
	@scripts/test-machine
	@$(MAKE) --no-print-directory check
	@$(BIN)/python -m pytest $(PYTEST_FLAGS) --cov --cov-report=term

check: .venv/.development ## The gate: format, lint, types, import contracts, sizes
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@scripts/check-versions

format: .venv/.development ## Rewrite the code in the project's format
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .
	@scripts/stamp-image >/dev/null

bench: .venv/.development ## Measure, beside bare Docker in the same run
	@# As an installation is: byte code is written once, not at every start.
	@$(BIN)/python -m compileall -q orchestrator tui sandbox_image scripts
	@$(BIN)/python -m scripts.bench $(BENCH_FLAGS)

image: ## Build the sandbox image
	@scripts/sandbox-image

engine: ## Set up and start a Docker engine (root on Debian or Ubuntu); a running one is left alone
	@scripts/engine

requirements: ## Pin every dependency with its hashes (needs uv)
	@requirements/compile

screenshots: .venv/.development ## Draw the README's pictures from the running program
	@$(BIN)/python -m scripts.screenshots

clean: ## Remove what the targets above made in this directory
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .coverage.*
