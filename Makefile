# `make` alone lists the targets. Everything is installed into .venv by `make install`.
.DEFAULT_GOAL := help
SHELL := bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_FLAGS := --quiet --disable-pip-version-check

.PHONY: help install test test-torch test-faults lint bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/installed ## build .venv with everything but torch (a second call does nothing)

$(VENV)/installed: setup.cfg constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "sparsetx needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	@echo "installing into $(VENV) (a minute or two)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install $(PIP_FLAGS) -c constraints.txt -e '.[dev]'
	@touch $@

.venv-torch/installed: setup.cfg constraints.txt pyproject.toml
	@echo "installing into .venv-torch (some minutes)"
	@$(PYTHON) -m venv .venv-torch
	@.venv-torch/bin/pip install $(PIP_FLAGS) -c constraints.txt -e '.[dev,torch]'
	@touch $@

test: install ## run the tests that need neither torch nor a browser, with coverage
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m pytest
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

test-torch: .venv-torch/installed ## compare with torch (installs it, in a venv of its own)
	@.venv-torch/bin/python -m pytest tests/torch -s

test-faults: install ## start, stop and kill real processes
	@$(BIN)/python -m pytest -n 0 tests/faults

lint: install ## check style, types and the shape of the house
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m tests.house

bench: install ## time what was made for speed, as ratios within one run
	@$(BIN)/sparsetx bench

clean: ## remove the environments, caches and build products (never runs/ or data/)
	@rm -rf .venv .venv-torch build dist *.egg-info .coverage .coverage.* \
	  .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
