# Everything a reader needs: `make book` and `make test`. Both set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROFILE ?= smoke
DATA ?= synthetic
SEED ?= 0
TORCH ?= gpu

.PHONY: help setup book student instructor slides pdf test test-slow test-browser test-slurm gpu-check lint model clean distclean
.DEFAULT_GOAL := help

help:  ## show this list
	@grep -E '^[a-z -]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'
	@echo "  PROFILE=smoke|quick|paper  DATA=synthetic|DIR  SEED=N  change what 'make book' runs; TORCH=cpu installs torch without CUDA"

setup: $(VENV)/.installed  ## create .venv from requirements.lock

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "csbsr needs Python 3.11 to 3.13, this is %d.%d; try make PYTHON=python3.12" % v)'
	@echo "installing into $(VENV) (about 6 GB with the GPU build of torch; see README for CPU only)"
	@$(PYTHON) -m venv $(VENV)
ifeq ($(TORCH),cpu)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --index-url https://download.pytorch.org/whl/cpu $$(grep -E '^torch(vision)?==' requirements.lock)
	@grep -vE '^(nvidia-|triton|cuda-)' requirements.lock > $(VENV)/cpu.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(VENV)/cpu.lock
else
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
endif
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

book: setup  ## run every chapter at PROFILE and render _build/html/index.html
	@$(BIN)/csbsr book --profile $(PROFILE) --data $(DATA) --seed $(SEED)

student instructor: setup  ## notebooks with gaps and checks / with solutions and teaching notes
	@$(BIN)/csbsr form $@

slides pdf: setup  ## a reveal.js deck per chapter / the book as one PDF (after make book)
	@$(BIN)/csbsr form $@

test: setup lint  ## lint, the committed results, and the fast tests
	@$(BIN)/csbsr results check --committed
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-slurm: setup  ## a sweep on a SLURM that is started here (root; slurm-wlm and munge)
	@$(BIN)/python -m pytest -m slurm tests/test_slurm.py

test-slow: setup  ## the tests marked slow
	@$(BIN)/python -m pytest -m slow

test-browser: setup  ## open every page of the rendered book in Chromium (after make book)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m browser -n auto --maxprocesses 4 tests/browser

gpu-check: setup  ## everything that needs a GPU, unattended, into benchmarks/results/check_cuda.json
	@$(BIN)/python benchmarks/gpu_check.py

lint: setup  ## ruff, check and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

model: setup  ## train the model that comes with the package again (PHOTOS=DIR: choose its threshold there)
	@$(BIN)/python -m csbsr.study.shipped $(if $(PHOTOS),--photographs $(PHOTOS))

clean:  ## remove everything that was built, keep .venv and results
	rm -rf _build runs results/smoke .pytest_cache .ruff_cache .hypothesis

distclean: clean  ## also remove .venv
	rm -rf $(VENV)
