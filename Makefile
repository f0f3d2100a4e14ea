# `make` lists the targets. PYTHON makes the environment, JOBS stages or tests run side by side.
PYTHON ?= python3
JOBS ?= 2
PYTEST = python -m pytest -n $(JOBS) --dist worksteal
export DVC_NO_ANALYTICS = 1
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help repro quick report test test-all lint bench drill explore

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 - \2/p' Makefile

repro: .venv/installed ## install, run the whole pipeline, say where the report is
	@python -m anonrep.pipeline.repro --jobs $(JOBS)
	@echo "the report: $(CURDIR)/reports/index.html"

quick: .venv/installed ## the same at a small setting, in build/quick
	@python -m anonrep.pipeline.workspace quick build/quick
	@cd build/quick && ANONREP_DATA="$${ANONREP_DATA:-$(CURDIR)/../shared/data}" python -m anonrep.pipeline.repro --jobs $(JOBS)
	@echo "the quick report: $(CURDIR)/build/quick/reports/index.html"

report: .venv/installed ## build the HTML reports again from the results that are there
	@python -m anonrep.pipeline.resume --metrics
	@for stage in report audit index; do dvc repro --single-item --force $$stage || exit 1; done

test: .venv/installed ## the tests, with lint among them
	@$(PYTEST) -m "not slow"

test-all: test ## and what is slow: kills, full disks, the bench, a long fuzz
	@$(PYTEST) -m slow
	@ANONREP_FUZZ=1000 $(PYTEST) tests/test_fuzz.py

lint: .venv/installed ## style and layout of code and notebooks
	@ruff check && ruff format --check

bench: .venv/installed ## what the library costs beside plain PyTorch, PIL and DVC, in most of an hour
	@TQDM_DISABLE=1 python -m bench

drill: .venv/installed ## kill the pipeline twenty times and compare what comes of it, in about twenty minutes
	@python tests/drill.py

explore: .venv/installed ## JupyterLab on notebooks/explore.ipynb, for this machine only
	@python -m anonrep.pipeline.resume --metrics || true
	@jupyter lab --ServerApp.ip=127.0.0.1 --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks/explore.ipynb

# Installed again only when the lock or pyproject changes.
.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(f"Python 3.11 or newer is needed and $(PYTHON) is {sys.version.split()[0]}: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet -r requirements.lock
	.venv/bin/python -m pip install --quiet --no-deps -e .
	@touch $@
