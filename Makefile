# Every target makes the environment it needs in .venv first: Python 3.11 and make are enough.
# The stamp depends on pyproject.toml alone, so the second time costs nothing.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo seed docs test test-browser test-oldest test-loaders referee referee-tf-keras soundness mutants check bench bench-budgets bench-quick bench-lightning bench-tables bench-gate causes soak field pipelines lint types clean

BASE_PYTHON := $(shell command -v python3.11 || command -v python3)
VENV := .venv
STAMP := $(VENV)/.installed
REFEREE := .venv-referee
OLDEST := .venv-oldest
LOADERS := .venv-loaders
LIGHTNING := .venv-lightning
BIN := $(VENV)/bin
PYTHON := $(BIN)/python
TYPED := evalguard tests examples docs $(wildcard benchmarks)
# Two workers: TensorFlow's start-up and its own threads bound the suite; more workers make it slower.
PYTEST := $(PYTHON) -m pytest -n 2 --dist worksteal
FORMAT := $(PYTHON) -m ruff format --check --quiet .
LINT := $(PYTHON) -m ruff check --quiet .
TYPES := $(PYTHON) -m mypy --strict --no-error-summary $(TYPED)

OLD_TESTS := tests/capture tests/tracking tests/guards tests/labels tests/testing tests/data/test_tree.py
# Old releases warn about one another; such a warning is not an error of evalguard.
OLD_WARNINGS := -W default

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 22

demo: $(STAMP) ## Guard a digits model twice: once aligned (PASS), once shuffled (FAIL)
	@$(PYTHON) examples/digits/demo.py

seed: $(STAMP) ## The experiments on the order of samples, each through the guard, on Keras 3 and tf_keras
	@$(PYTHON) examples/seed_experiments.py

docs: $(STAMP) ## Regenerate the references in docs/ from docstrings and the step file's models
	@$(PYTHON) -m docs.make_references

test: $(STAMP) ## Everything: lint, types, all tests
	@# All three always run, pytest last, so that its closing line ends the output.
	@status=0; \
	$(FORMAT) || status=1; \
	$(LINT) || status=1; \
	$(TYPES) || status=1; \
	[ $$status -eq 0 ] || echo "make test: lint or types failed (above); running the tests all the same" >&2; \
	$(PYTEST) || status=$$?; \
	exit $$status

check: lint types ## Lint, types, fast tests
	@$(PYTEST) -m "not slow"

test-browser: $(STAMP) ## Tests in real headless Chromium (on Debian: apt-get install chromium); screenshots in screenshots/
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(PYTHON) -m pip install -qq --no-input -e '.[browser]'
	@$(PYTHON) -m pytest -m browser

test-oldest: $(OLDEST)/.installed ## Engines, probes and records on the oldest Keras, TensorFlow and MLflow that pyproject.toml admits
	@$(OLDEST)/bin/python -m pytest -n 2 --dist worksteal -p no:cacheprovider $(OLD_WARNINGS) $(OLD_TESTS)

test-loaders: $(LOADERS)/.installed ## torch DataLoaders and grain datasets as sources
	@$(LOADERS)/bin/python -m pytest -p no:cacheprovider tests/loaders/torch_and_grain.py

bench: $(STAMP) ## Guarded calls relative to bare ones, with the budgets; half an hour
	@$(PYTHON) -m benchmarks

bench-budgets: $(STAMP) ## Only what has a budget, measured as in bench
	@$(PYTHON) -m benchmarks --budgets

bench-quick: $(STAMP) ## Only the budgets, with fewer pairs and rows; under two minutes
	@$(PYTHON) -m benchmarks --quick

bench-tables: $(STAMP) ## evalguard check beside DuckDB (and Polars, if installed) on tables of up to 10^7 rows; ten minutes
	@$(PYTHON) -m benchmarks.tables

bench-gate: $(STAMP) ## The gate over 200 runs of 5 evaluations on a real server on loopback; two minutes
	@$(PYTHON) -m benchmarks.gate

bench-lightning: $(LIGHTNING)/.installed ## PyTorch Lightning's predict with the indices of its batches; `make bench` includes it once it is installed
	@$(LIGHTNING)/bin/python -m benchmarks.lightning_predict

causes: $(STAMP) ## Random evaluations of each kind of fault: is the first cause right, is a wrong one certain; some minutes
	@$(PYTHON) -m benchmarks.diagnosis

soak: $(STAMP) ## A guarded call of 10^6 small batches beside a bare one: memory and the guard's share over time
	@$(PYTHON) -m benchmarks.soak

field: $(STAMP) ## Run every case of CASES="DIR ..." through the guard (SKIP=01,112 omits some)
	@[ -n "$(CASES)" ] || { echo 'make field: expected CASES="DIR ...", folders with case scripts and adapters.py' >&2; exit 2; }
	@$(PYTHON) tests/field/run_cases.py $(CASES) --skip "$(SKIP)"

referee: $(REFEREE)/.installed ## Keras' own tests that call a model, bare and in a guard, an hour or more; FILES=models/ takes these only
	@$(REFEREE)/bin/python tests/referee/run_referee.py $(FILES)

referee-tf-keras: $(STAMP) ## The same for files of tf_keras' tests, by DIR/run.py: some six minutes
	@[ -n "$(DIR)" ] || { echo "make referee-tf-keras: expected DIR, a folder with run.py and tf_keras/" >&2; exit 2; }
	@$(PYTHON) "$(DIR)/run.py" "$(DIR)/tf_keras"

soundness: $(STAMP) ## Random evaluation programs against the laws: N=20000 SEED=1; RECORD=file keeps what was judged, COMPARE=file compares
	@$(PYTHON) -m tests.soundness -n $(or $(N),2000) --seed $(or $(SEED),1) \
	  $(if $(RECORD),--record "$(RECORD)") $(if $(COMPARE),--compare "$(COMPARE)")

mutants: $(STAMP) ## Small changes to core and recording, one at a time: tests must fail; MODULES=core/checks takes these only
	@$(PYTHON) -m tests.mutants $(MODULES)

pipelines: $(STAMP) ## Run the examples for DVC, KFP and Airflow, with those tools in separate environments
	@[ -x .venv-tools/bin/kfp ] || { $(PYTHON) -m venv .venv-tools && .venv-tools/bin/pip install -qq dvc kfp; }
	@[ -x .venv-airflow/bin/airflow ] || { $(PYTHON) -m venv .venv-airflow && .venv-airflow/bin/pip install -qq apache-airflow; }
	@PATH="$$PATH:$(CURDIR)/.venv-tools/bin" KFP_PYTHON=$(CURDIR)/.venv-tools/bin/python \
	  AIRFLOW_PYTHON=$(CURDIR)/.venv-airflow/bin/python $(PYTHON) -m pytest -m pipelines tests/test_pipelines.py

lint: $(STAMP) ## ruff: format and rules
	@$(FORMAT)
	@$(LINT)

types: $(STAMP) ## mypy --strict
	@$(TYPES)

clean: ## Remove .venv, caches and what the examples wrote
	@rm -rf $(VENV) $(REFEREE) $(OLDEST) $(LIGHTNING) .venv-tools .venv-airflow .mypy_cache .pytest_cache .ruff_cache .hypothesis .mutants examples/*/work

# The extras of each environment, and pip's constraints.
$(STAMP): EXTRAS := test,dev,keras2
$(REFEREE)/.installed: EXTRAS := test
$(REFEREE)/.installed: MORE := jax absl-py scipy

# Without a version pip installs the build of torch that includes CUDA.
$(LOADERS)/.installed: EXTRAS := test
$(LOADERS)/.installed: MORE := 'torch==2.13.*' grain

# Only models and loaders of torch are measured there. For the version of torch see above.
$(LIGHTNING)/.installed:
	@[ -n "$(BASE_PYTHON)" ] || { echo "make: no python3.11 or python3 on PATH" >&2; exit 1; }
	@echo "Installing into $(@D): about a gigabyte ..." >&2
	@"$(BASE_PYTHON)" -m venv $(@D)
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(@D)/bin/python -m pip install -qq --no-input 'torch==2.13.*' 'lightning>=2.6,<3'
	@touch $@

$(OLDEST)/.installed: EXTRAS := test,keras2
$(OLDEST)/.installed: MORE = -c $(OLDEST)/constraints.txt

$(OLDEST)/constraints.txt: pyproject.toml tests/oldest/constraints.py
	@mkdir -p $(@D)
	@"$(BASE_PYTHON)" tests/oldest/constraints.py > $@

$(OLDEST)/.installed: $(OLDEST)/constraints.txt
$(STAMP) $(REFEREE)/.installed $(OLDEST)/.installed $(LOADERS)/.installed: pyproject.toml
	@[ -n "$(BASE_PYTHON)" ] || { echo "make: no python3.11 or python3 on PATH; evalguard needs Python 3.11" >&2; exit 1; }
	@"$(BASE_PYTHON)" -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"make: evalguard needs Python 3.11 or newer; {sys.executable} is {v[0]}.{v[1]}")'
	@echo "Installing into $(@D): a few minutes the first time (TensorFlow is large) ..." >&2
	@"$(BASE_PYTHON)" -m venv $(@D)
	@# An environment made before the distribution was renamed still holds the old one, and doctor would report it.
	@$(@D)/bin/python -m pip uninstall -qq --yes evalguard
	@# -qq: errors only. Warnings here are about pip itself and the machine's package sources.
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(@D)/bin/python -m pip install -qq --no-input -e '.[$(EXTRAS)]' $(MORE)
	@touch $@
