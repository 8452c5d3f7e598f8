# Needs Python 3.11+, make and git. Everything else is installed into .venv (and, for the ERP, .venv-erp).
PYTHON ?= python3
BIN := .venv/bin
ERP_READY := .venv-erp/.ready
READY := .venv/.ready
ARGS ?=

.PHONY: demo test bench faults check run lock docs erp clean
.DELETE_ON_ERROR:

$(READY): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(ERP_READY): requirements-erp.lock
	@test -x .venv-erp/bin/python || $(PYTHON) -m venv .venv-erp
	@echo "installing .venv-erp (the ERP that tests and the demo post to)"
	@.venv-erp/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-erp.lock
	@touch $@

erp: $(ERP_READY)

demo: $(READY) $(ERP_READY)  ## the whole way of one sale on real baskets; ARGS='--weeks 2 --stay'
	@$(BIN)/tillwire demo $(ARGS)

run: $(READY)  ## the hub with embedded engines in ./data
	@$(BIN)/tillwire up --data data $(ARGS)

test: $(READY) $(ERP_READY)
	@$(BIN)/pytest -n 2 -m "not faults" $(ARGS)

faults: $(READY) $(ERP_READY)  ## long fault and soak runs
	@$(BIN)/pytest -m faults -rA $(ARGS)

bench: $(READY)  ## the performance budget, as a table and benchmarks/latest.json
	@$(BIN)/python -m benchmarks $(ARGS)

check: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/tillwire docs --check
	@$(BIN)/pytest -q tests/test_tidy.py

docs: $(READY)  ## write the generated reference pages
	@$(BIN)/tillwire docs

lock: $(READY)  ## pin every dependency with hashes
	@$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --all-extras pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 requirements-erp.in -o requirements-erp.lock

clean:
	rm -rf .venv .venv-erp .cache data
