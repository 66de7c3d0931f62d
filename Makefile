# `make` alone lists the targets. Everything is installed into .venv by `make install`.
.DEFAULT_GOAL := help
SHELL := bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_FLAGS := --quiet --disable-pip-version-check

.PHONY: help install demo tour test coverage test-torch test-faults test-browser test-aot \
  lint bench clean rehearse aot-check cost

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

# With the TPU's compiler, which needs no TPU.
.venv-aot/installed: setup.cfg constraints.txt pyproject.toml
	@echo "installing into .venv-aot (some minutes)"
	@$(PYTHON) -m venv .venv-aot
	@.venv-aot/bin/pip install $(PIP_FLAGS) -c constraints.txt -e '.[dev,tpu]'
	@touch $@

# Options of the demo's searches, the same for every model. With FAST=1 the model is
# trained for fewer steps and needs a longer search.
QUOTES := single_double_quote
TASKS := $(QUOTES),for_while,if_ternary,fstring_brace,lambda_func,if_equals
COMMA := ,
RUN_CIRCUITS := $(patsubst %,runs/demo/circuits/%,$(subst $(COMMA), ,$(TASKS)))
ROUNDS := --rounds 2x100 --pairs 8 --pools 256,48,128
FAST_ROUNDS := --rounds 2x150 --pairs 16 --pools 256,48,128
SEARCH := --finalists 1 --length 48 --no-effective $(if $(FAST),$(FAST_ROUNDS),$(ROUNDS))
# Cache all compiled programs, also those that compile fast: there are many.
CACHED := JAX_COMPILATION_CACHE_DIR=$(CURDIR)/.cache/xla \
  JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0
# $(call stage,LABEL,ARGUMENTS): run a sparsetx command, then print the time so far.
BEGAN := $(shell date +%s)
SINCE = $$(( $$(date +%s) - $(BEGAN) )) s since the start
define stage
@$(CACHED) $(BIN)/sparsetx $(2)
@echo "[$(1)] $(firstword $(2)): $(SINCE)"
endef
# The same on half of the cores: two commands in parallel are 1.5 times as fast as one
# after the other on all cores. Every line of output gets the label, also after Ctrl-C.
HALF := NPROC=$$(( ($$(getconf _NPROCESSORS_ONLN) + 1) / 2 )) JAX_NUM_CPU_DEVICES=1
define half
@set -o pipefail; $(HALF) $(CACHED) $(BIN)/sparsetx $(2) 2>&1 | \
  (trap '' INT TERM; exec sed -u 's/^/[$(1)] /')
@echo "[$(1)] $(firstword $(2)): $(SINCE)"
endef

demo: install ## train, prune, compare, and write a page (FAST=1: one model, one task)
	@$(MAKE) --no-print-directory -j2 demo-$(if $(FAST),fast,page)
	@echo "open runs/demo/report.html in a browser"

.PHONY: demo-fast demo-data demo-sparse demo-dense demo-quotes demo-circuits \
  demo-dense-circuits demo-random-circuits demo-other-circuits demo-controls demo-page
demo-fast:
	$(call stage,sparse,train experiments/demo.py --run runs/demo train.steps=1400)
	$(call stage,sparse,prune runs/demo --tasks $(QUOTES) $(SEARCH) --faithful)
	$(call stage,page,report runs/demo -o runs/demo/report.html)

demo-data: # once, for both models
	$(call stage,data,data prepare tinypython --tokens 3000000 --vocab 1024)
demo-sparse: demo-data
	$(call half,sparse,train experiments/demo.py --run runs/demo)
demo-dense: demo-data
	$(call half,dense,train experiments/demo_dense.py --run runs/demo_dense)
demo-quotes: demo-sparse
	$(call half,sparse,prune runs/demo --tasks $(QUOTES) $(SEARCH) --faithful)
demo-circuits: demo-quotes
	$(call half,sparse,prune runs/demo --tasks $(TASKS) $(SEARCH))
demo-dense-circuits: demo-dense
	$(call half,dense,prune runs/demo_dense --tasks $(TASKS) $(SEARCH))
demo-random-circuits: demo-sparse demo-dense-circuits
	$(call half,random,prune runs/demo --shuffle 0 --tasks $(TASKS) $(SEARCH))
demo-other-circuits: demo-quotes demo-random-circuits # not those that others do
	$(call half,others,prune runs/demo --tasks $(TASKS) $(SEARCH))
demo-controls: demo-circuits demo-other-circuits # at once, for they share programs
	$(call half,controls,controls $(RUN_CIRCUITS) --quick)
demo-page: demo-controls
	$(call stage,page,report runs/demo runs/demo_dense -o runs/demo/report.html)

TOUR := experiments/pretrained/tinypython
tour: install ## open a pretrained model: score its circuits again, open its page
	@$(BIN)/sparsetx verify $(TOUR) --rescore
	@$(BIN)/python -m webbrowser -n "file://$(CURDIR)/$(TOUR)/page.html" >/dev/null 2>&1 || true
	@echo "open $(TOUR)/page.html in a browser"

test: install ## run the tests that need neither torch nor a browser
	@$(BIN)/python -m pytest -m "not slow"

coverage: install ## run them and some slow ones, and measure line coverage
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m pytest
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

test-torch: .venv-torch/installed ## compare with torch (installs it in .venv-torch)
	@.venv-torch/bin/python -m pytest tests/torch -s

test-faults: install ## start, stop and kill real processes
	@$(BIN)/python -m pytest -n 0 tests/faults

test-browser: install ## drive the report page in Chromium (Debian: apt-get install chromium)
	@$(BIN)/python -m tests.browser
	@$(BIN)/python -m pytest -n 0 -s tests/browser

# Experiments and slices; ARGS adds arguments.
PAPER := $(foreach size,4x 8x 16x,experiments/paper_$(size).py)
PODS := v5e-16,v5e-256,v5p-8,v6e-32
ASKED = $(or $(EXP),$(PAPER)) --topology $(or $(POD),$(PODS)) --mesh auto
AOT := JAX_PLATFORMS=cpu .venv-aot/bin/sparsetx aot

test-aot: .venv-aot/installed ## compile for TPUs (installs their compiler in .venv-aot)
	@JAX_PLATFORMS=cpu .venv-aot/bin/python -m pytest -n 0 tests/aot

aot-check: .venv-aot/installed ## compile EXP=… for POD=v5e-16,…: memory, exchanges, time
	@$(AOT) $(ASKED) --table $(ARGS)

cost: .venv-aot/installed ## hours and cost of EXP=experiments/X.py on POD=v5e-16,v6e-32
	@$(AOT) $(ASKED) --programs train --table $(ARGS)

lint: install ## check style, types and the rules of tests/house.py
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m tests.house
	@$(BIN)/shellcheck --external-sources --source-path=SCRIPTDIR tpu/*.sh .ci/run

bench: install ## run the benchmarks, into bench-results/ (ARGS="training --quick")
	@$(BIN)/sparsetx bench --json bench-results/results.json \
	  --markdown bench-results/results.md --plots bench-results $(ARGS)

rehearse: install ## simulate a pod here: train, stop, resume, prune (NPROC=2 DEV=4)
	@tpu/rehearse.sh

# Runs on TPUs (tpu/README.md). Set PROJECT= ZONE= TPU_TYPE= RUN=gs://…, on the command
# line or exported; DRY_RUN=1 only prints the commands. Needs bash, git and gcloud.
TPU := tpu-plan tpu-create tpu-wait tpu-setup tpu-train tpu-prune tpu-status tpu-logs \
  tpu-stop tpu-resume tpu-fetch tpu-delete tpu-list tpu-reap tpu-babysit tpu-collect
.PHONY: $(TPU)

tpu-plan: ## print the size and cost of a TPU_TYPE (sends no request)
	@tpu/plan.sh
tpu-create: ## request the TPU (TIER=spot|on-demand|reserved VALID_UNTIL=6h)
	@tpu/create.sh
tpu-wait: ## wait until it is ready
	@tpu/wait.sh
tpu-setup: ## copy the committed code to every worker and install it
	@tpu/setup.sh
tpu-train: ## start or resume training (EXP=experiments/… ARGS="key=value …")
	@tpu/launch.sh train $(ARGS)
tpu-prune: ## start pruning the run (ARGS="--tasks all")
	@tpu/launch.sh prune $(ARGS)
tpu-status: ## the state of the TPU and of each worker
	@tpu/status.sh
tpu-logs: ## print the log of a worker (ARGS="-f -w 0")
	@tpu/logs.sh $(ARGS)
tpu-stop: ## stop the job after it has saved
	@tpu/stop.sh
tpu-resume: ## resume from the last saved step, with the run's configuration
	@tpu/resume.sh $(ARGS)
tpu-fetch: ## copy the run to runs/ (needs no TPU)
	@tpu/fetch.sh
tpu-delete: ## delete the TPU (ARGS=--force: even while a job runs)
	@tpu/delete.sh $(ARGS)
tpu-list: ## list all TPUs requested by these targets, and their age
	@tpu/list.sh
tpu-reap: ## delete those that failed or were preempted
	@tpu/reap.sh
tpu-collect: ## what to send back when something went wrong, in one file
	@tpu/collect.sh
tpu-babysit: ## create, set up, start and resume until the run is done (VERB=prune MAX_USD=)
	@tpu/babysit.sh $(or $(VERB),train) $(ARGS)

clean: ## remove the environments, caches and build products (never runs/ or data/)
	@rm -rf .venv .venv-torch .venv-aot .cache build dist *.egg-info .coverage .coverage.* \
	  .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
