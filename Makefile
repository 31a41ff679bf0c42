# Each target builds .venv on first use; Python 3.11 to 3.13 is all that must be there.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
JOBS ?= 2

.PHONY: reports test test-all lab bench lint clean
.DEFAULT_GOAL := reports

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "Python 3.11 to 3.13 is needed; run: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

reports: $(READY)  ## run every notebook on the sample community; open reports/index.html
	$(BIN)/playbook run --data data/sample

lab: $(READY)  ## explore the notebooks by hand
	$(BIN)/jupyter lab notebooks

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/environment.py --check
	$(BIN)/python tools/notebooks.py --check

test: lint  ## everything that needs only Python
	$(BIN)/python -m pytest -n $(JOBS) -q -m "not slow and not browser"
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -q --nbval-lax --nbval-cell-timeout=300 -p no:cacheprovider notebooks

test-all: test  ## and the long proofs, and Chromium
	$(BIN)/python -m pytest -n $(JOBS) -q -m "slow or browser"

bench: $(READY)  ## every performance claim, as ratios measured in one run
	for script in benchmarks/[a-z]*.py; do $(BIN)/python $$script || exit 1; done

clean:
	rm -rf .venv build src/*.egg-info
