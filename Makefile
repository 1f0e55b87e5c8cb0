# Two commands matter: `make demo` and `make test`. Both create .venv first if it is missing.

PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup  # two processes on two cores: more threads would only wait for each other
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup demo serve test nightly lint audit format check docs bench screenshots chaos mutations clean

setup: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@echo "Installing into .venv (PyTorch is large: some minutes the first time) ..."
	@PYTHONWARNINGS=ignore $(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup   ## the whole service end to end, on real data; every method with `make demo SUITE=digits-all`
	@$(BIN)/cil demo --data-dir var/demo --suite $(or $(SUITE),digits-quick)

serve: setup  ## the demo's data again, as a running service; `make serve PORT=9000`
	@$(BIN)/cil up --data-dir var/demo --port $(PORT)

test: lint    ## everything continuous integration runs
	@sh tests/browser.sh
	$(PYTEST) -m 'not nightly and not gpu'

nightly: setup ## what takes too long for every change: every method in the engine and in the arena
	$(PYTEST) -m nightly

check: lint   ## the same without the slowest tests, for a change under way
	@sh tests/browser.sh
	$(PYTEST)

lint: setup   ## formatting, style, types, import contracts, generated documents, compatible dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check
	$(BIN)/pip check

audit: setup  ## known vulnerabilities of what is pinned; asks a public advisory database, so it is not part of `make test`
	@$(BIN)/pip install --quiet -c constraints.txt pip-audit
	$(BIN)/pip-audit -r constraints.txt --no-deps --disable-pip

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: setup   ## write what documents show of the code: settings, fidelity, snippets
	@$(BIN)/python docs/generate.py

bench: setup  ## quick measurements of everything, five minutes; the full ones are in benchmarks/results
	@missed=; for each in engine methods pretrained loader precision service startup drain fairness gpu; do \
		$(BIN)/python -m benchmarks.$$each --quick || missed="$$missed $$each"; \
	done; test -z "$$missed" || { echo "targets were missed by:$$missed"; exit 1; }

screenshots: demo ## the pages over the demo's data, into docs/screenshots
	@sh tests/browser.sh
	@$(BIN)/python docs/take_screenshots.py

chaos: setup  ## inject faults for MINUTES per database and audit, every fault at least once (1 to 4 minutes); e.g. `make chaos MINUTES=5 SEED=1`
	@OMP_NUM_THREADS=1 CHAOS_MINUTES=$(or $(MINUTES),5) CHAOS_SEED=$(or $(SEED),1) $(BIN)/python -m pytest tests/chaos -q -m chaos

mutations: setup  ## remove each line that makes the service reliable: the tests named in ARCHITECTURE must fail
	@$(BIN)/python -m tests.mutations

clean:        ## remove what was built and what the demo left
	rm -rf .venv var build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
