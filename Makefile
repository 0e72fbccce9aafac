# Tallyhouse. `make run` bills a demo; `make test` is what CI runs; `make help` lists the rest.

# The first of these that is a Python of 3.11 to 3.13, unless you name one: make PYTHON=python3.12 run
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
CANDIDATES := .venv/bin/python python3 python3.12 python3.13 python3.11
PYTHON ?= $(shell for p in $(CANDIDATES); do "$$p" -c '$(SUPPORTED)' >/dev/null 2>&1 && echo "$$p" && break; done)

BIN := .venv/bin
PYTEST ?=
BENCH ?=

# No library here may tell its makers that it runs (dagster, dbt, everything that honours the last one).
export DAGSTER_DISABLE_TELEMETRY := 1
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export GX_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1
export PYTHONUTF8 := 1
# Libraries are compiled once, not by each of the processes that tests start, whatever the machine is set to.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help run ui test lint format bench setup setup-dev setup-bench postgres browser lock clean python

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

run: setup ## bill the demo: a workspace, its nights, their lines
	@$(BIN)/tallyhouse demo

ui: setup ## the demo's assets in the Dagster UI
	@$(BIN)/tallyhouse ui --workspace demo-workspace

test: lint browser ## everything CI runs; PYTEST="-k refresh" passes arguments on
	@$(BIN)/python -m pytest -n 2 --dist loadgroup $(PYTEST)

lint: setup-dev ## style, types and SQL style
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/sqlfluff lint --disable-progress-bar --nocolor --processes 0 models

format: setup-dev ## mend what ruff and sqlfluff can mend by themselves
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format
	@$(BIN)/sqlfluff fix --disable-progress-bar --processes 0 models

bench: setup-bench postgres ## the benchmark, as ratios and a page with plots; BENCH="--size 50" for more
	@$(BIN)/python -m tests.benchmarks $(BENCH)

setup: python
	@"$(PYTHON)" requirements/install.py runtime

setup-dev: python
	@"$(PYTHON)" requirements/install.py dev

setup-bench: python
	@"$(PYTHON)" requirements/install.py bench

# One of those the benchmark compares with. As root on Debian it is installed if missing; elsewhere it is left out.
postgres:
	@ls -d /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing PostgreSQL for the benchmark …" >&2; \
	    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends postgresql; } >/dev/null </dev/null; \
	  else echo "No PostgreSQL here: the benchmark leaves it out." >&2; fi; }

python:
	@test -n "$(PYTHON)" || { echo "Tallyhouse needs Python 3.11, 3.12 or 3.13, and none is on the PATH: install one, or name it as in \`make PYTHON=/path/to/python3.12 run\`." >&2; exit 1; }
	@"$(PYTHON)" -c '$(SUPPORTED)' || { echo "Tallyhouse needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is not one: name another, as in \`make PYTHON=python3.12 run\`." >&2; exit 1; }

# Pages are opened in the system's Chromium. As root on Debian it is installed if missing; elsewhere the browser
# tests say that they are skipped.
browser:
	@ls tests/browser/test_*.py >/dev/null 2>&1 || exit 0; \
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing Chromium for tests/browser …" >&2; \
	    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends chromium fonts-dejavu-core; } >/dev/null </dev/null; \
	  else echo "No Chromium here: the browser tests will be skipped." >&2; fi; }

# The dev lock first, the others after it and out of it, so that all hold the same versions.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
           --no-header --no-annotate
lock: setup-dev ## resolve the dependencies of pyproject.toml anew (UPGRADE=1: the newest that it allows)
	@$(COMPILE) $(if $(UPGRADE),--upgrade) pyproject.toml --extra dev --output-file requirements/dev.lock
	@rm -f requirements/runtime.lock requirements/bench.lock
	@$(COMPILE) pyproject.toml --extra build --constraint requirements/dev.lock --output-file requirements/runtime.lock
	@$(COMPILE) pyproject.toml --extra bench --constraint requirements/dev.lock --output-file requirements/bench.lock
	@git --no-pager diff --stat -- requirements

clean: ## remove the environment and everything that runs made here
	@rm -rf .venv build dist .hypothesis .pytest_cache .mypy_cache .ruff_cache
	@rm -rf demo-workspace data/local dbt_project/target dbt_project/logs
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
