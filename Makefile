# Each target builds .venv on first use; Python 3.11 to 3.13 is all that must be there.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
JOBS ?= 2
# A file stays with one worker, so that what its tests share is made once; the files with long ones come first.
SPREAD := -n $(JOBS) --dist loadfile --no-loadscope-reorder
# The accessibility rules that the browser tests run; a test tool alone, so npm and not the lock brings it.
AXE := .axe/node_modules/axe-core/axe.min.js
# Spark for its tests: 318 MB, so not in the lock that everybody installs.
SPARK := .venv/.spark

.PHONY: reports test test-all proofs axe spark lab bench lint size clean
.DEFAULT_GOAL := reports

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "Python 3.11 to 3.13 is needed; run: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Building .venv from requirements.lock, once: this takes some minutes"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

reports: $(READY)  ## run every notebook on the sample community; open reports/index.html
	@echo "Running every notebook on data/sample; what has not changed is skipped"
	@$(BIN)/playbook run --data data/sample

lab: $(READY)  ## explore the notebooks by hand
	$(BIN)/jupyter lab notebooks --config tools/lab.py

lint: $(READY) size
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/environment.py --check
	$(BIN)/python tools/exports.py --check
	$(BIN)/python tools/notebooks.py --check
	$(BIN)/python tools/texts.py
	$(BIN)/python tools/expressions.py
	$(BIN)/python benchmarks/run.py --check

size: $(READY)  ## code lines by room beside the budget
	$(BIN)/python tools/size.py

test: lint  ## everything that needs only Python
	$(BIN)/python -m pytest $(SPREAD) -q -m "not slow and not browser and not engines"
	PLAYBOOK_REPORTS=/dev/null $(BIN)/python -m pytest $(SPREAD) -q --nbval-lax --nbval-cell-timeout=300 -p no:cacheprovider notebooks

$(AXE):
	npm install --prefix .axe --no-save --no-audit --no-fund --silent axe-core@4.14.1

axe:
	@command -v npm >/dev/null && $(MAKE) --no-print-directory $(AXE) \
		|| echo "axe-core is not there, so its tests skip: npm is missing or could not fetch it"

$(SPARK): tests/engines/spark.lock $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		--require-hashes -r tests/engines/spark.lock && touch $@

spark:
	@command -v java >/dev/null && $(MAKE) --no-print-directory $(SPARK) \
		|| echo "Spark is not there, so its tests skip: Java is missing, or pip could not fetch pyspark"

test-all: test axe spark  ## and Chromium, a PostgreSQL server, and Spark
	$(BIN)/python -m pytest $(SPREAD) -q -m "(browser or engines) and not slow"

proofs: $(READY) axe spark  ## all long proofs, two hundred kills of a batch among them; an hour and more
	$(BIN)/python -m pytest -n $(JOBS) -q -m "slow"

bench: $(READY)  ## every performance claim, as ratios measured in one run; writes benchmarks/RESULTS.md
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf .venv build src/*.egg-info
