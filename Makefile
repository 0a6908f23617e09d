# Needs nothing but Python >= 3.11 and make; every target makes the virtual environment if there is none.
PYTHON ?= python3
VENV ?= .venv
JOBS ?= auto
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EMPTY :=
SPACE := $(EMPTY) $(EMPTY)
COMMA := ,
# Packages that do no I/O: every branch of theirs is tested.
PURE := $(subst $(SPACE),$(COMMA),$(foreach name,domain engine exchanges models rules wire,src/pricewatch/$(name)/*))

.PHONY: demo run test check lint oracle bench bench-peers soak takeover lock clean install fuzz fuzz-api

install: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "pricewatch needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/pricewatch demo $(ARGS)

run: $(STAMP)
	$(BIN)/pricewatch run $(ARGS)

# As many at a time as there are cores; JOBS=0 runs them one after the other, in the terminal's own process.
test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile $(if $(COVERAGE),--cov --cov-report=) $(ARGS)

# Every operation of the API with 50 good and bad made-up requests.
fuzz-api: $(STAMP)
	PRICEWATCH_FUZZ_EXAMPLES=50 $(BIN)/python -m pytest -q -s tests/gateway/test_gateway_fuzz.py $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint
	$(BIN)/coverage erase
	$(MAKE) test COVERAGE=1
	$(BIN)/coverage report --include='$(PURE)' --fail-under=100
	$(BIN)/coverage report --fail-under=90

# 1,000 random rules over recorded and seeded trades beside a plain evaluator; PRICEWATCH_SHARED names the recordings.
oracle: $(STAMP)
	PRICEWATCH_ORACLE_RULES=1000 $(BIN)/python -m pytest -q -s --timeout 3600 tests/engine/test_engine_random_rules.py $(ARGS)

bench: $(STAMP)
	$(BIN)/python -m benchmarks $(ARGS)

# Beside cryptofeed and ccxt, which live in an environment of their own.
bench-peers: $(STAMP)
	test -x .venv-peers/bin/python || ($(PYTHON) -m venv .venv-peers && .venv-peers/bin/python -m pip install --quiet --disable-pip-version-check cryptofeed==2.4.1 ccxt==4.5.90)
	$(BIN)/python -m benchmarks peers $(ARGS)

# What the data survives, in full; the tests run the same in small.
soak: $(STAMP)
	$(BIN)/python -m tests.acceptance.honesty $(ARGS)

# The parsers against a coverage-guided fuzzer, which has wheels for Python 3.11 alone.
fuzz: $(STAMP)
	test -d .fuzz/atheris || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target .fuzz atheris
	PYTHONPATH=.fuzz $(BIN)/python -m tests.exchanges.fuzzing $(ARGS)

# Two engines on one database, their owner killed and frozen; then the same recording twice undisturbed.
takeover: $(STAMP)
	$(BIN)/python -m tests.acceptance.takeover $(ARGS)

# Rewrites the lock file for every supported Python; needs uv and the network.
lock:
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-header --no-annotate --output-file requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .coverage*
