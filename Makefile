# Everything a developer or an operator types. Python 3.11 or newer and make are all that must be there beforehand.
.SILENT:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c '$(IS_NEW_ENOUGH)' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-deps
# Holds what .venv was filled from; with that unchanged, there is nothing to do.
STAMP := .venv/filled-from
# mutmut brings setproctitle, with which Celery renames its processes: it stays out of .venv.
MUTATION := .venv/mutation
COMPILE = CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options
ARGS ?=

.PHONY: help setup environment demo test bench chaos mutate lock clean

help: ## this list
	awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## the virtual environment .venv with everything pinned
	inputs="$$(cat requirements.lock pyproject.toml | cksum)"; \
	if [ "$$(cat $(STAMP) 2>/dev/null)" = "$$inputs" ] && $(BIN)/python -c '' 2>/dev/null; then exit 0; fi; \
	$(MAKE) environment || exit 1; \
	echo "Installing pinned dependencies into .venv (once; a minute or two) ..."; \
	rm -f $(STAMP); \
	{ $(PIP) --require-hashes -r requirements.lock && $(PIP) --no-build-isolation -e .; } >.venv/setup.log 2>&1 \
		|| { cat .venv/setup.log >&2; echo "Installing failed; see above." >&2; exit 1; }; \
	echo "$$inputs" >$(STAMP)

# An empty .venv, unless there is one that works.
environment:
	$(BIN)/python -c '$(IS_NEW_ENOUGH)' 2>/dev/null && exit 0; \
	[ -n "$(PYTHON)" ] || { \
		echo "Python 3.11 or newer is needed, and none of python3, python3.14 ... python3.11 is one." >&2; \
		echo "Install it, or name it: make setup PYTHON=/path/to/python3" >&2; exit 1; }; \
	$(PYTHON) -c '$(IS_NEW_ENOUGH)' || { \
		echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; exit 1; }; \
	rm -rf .venv; \
	$(PYTHON) -m venv .venv || { rm -rf .venv; \
		echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu install python3-venv." >&2; exit 1; }

demo: setup ## the GigaKick story, played for real; ARGS=--exit stops afterwards
	exec $(BIN)/attribution demo $(ARGS)

test: setup ## every check: format, lint, types, import rules, tests; ARGS go to pytest
	$(BIN)/ruff format --quiet --check . || { $(BIN)/ruff format --check .; exit 1; }
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy --no-error-summary .
	$(BIN)/lint-imports --no-logo >.venv/imports.log 2>&1 || { cat .venv/imports.log; exit 1; }
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile $(ARGS)

chaos: setup ## break the program under load and judge it; ARGS="--minutes 1 --seed 7", or ARGS="--matrix 20" to kill at named lines
	exec $(BIN)/python -m tests.chaos $(ARGS)

bench: setup ## what the program manages in a second, beside what it is to manage; ARGS="--quick --json FILE"; a few minutes
	exec $(BIN)/python -m tests.benchmarks $(ARGS)

mutate: setup ## how many faults put into domain/ the tests find; ARGS="domain.money*" looks at one module; most of an hour
	[ -x $(MUTATION)/bin/mutmut ] || { $(BIN)/python -m venv $(MUTATION) && \
		$(MUTATION)/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --require-hashes \
			-r requirements.lock -r tests/mutation.lock; }
	PATH="$(CURDIR)/$(MUTATION)/bin:$$PATH" $(MUTATION)/bin/mutmut run --max-children $$(nproc) $(ARGS)
	PATH="$(CURDIR)/$(MUTATION)/bin:$$PATH" $(MUTATION)/bin/mutmut export-cicd-stats

# Beside the project's own needs: what builds it, and what redis asks for on Python below 3.11.3 only.
lock: setup ## write the lock files anew; ARGS=--upgrade takes newer versions
	printf 'async-timeout\nsetuptools>=80\nwheel\n' | $(COMPILE) --extra dev --output-file requirements.lock $(ARGS) pyproject.toml -
	printf 'mutmut\n' | $(COMPILE) --constraint requirements.lock --output-file tests/mutation.lock $(ARGS) -

clean: ## remove .venv and caches; DATA_DIR stays
	rm -rf .venv build mutants *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
