# Everything a fresh machine needs is Python 3.11 or later and make; Java 17 with Maven (or Docker) only for the Kafka tests.
PYTHON ?= python3
BIN := .venv/bin
export PYTHONPYCACHEPREFIX := $(CURDIR)/.venv/compiled
# Whoever wants no compiled files beside the sources gets none; without any, each run compiles everything again.
unexport PYTHONDONTWRITEBYTECODE

# Quick tests show nothing of disks: their files lie in memory where 256 MiB of it look like a folder (they take 40).
MEMORY := $(shell test -w /dev/shm && df -Pk /dev/shm | awk 'NR == 2 && $$4 > 262144 { print "/dev/shm" }')

.PHONY: help demo test check soak bench mutants kafka lock clean

help:            ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 12

.venv/installed: requirements-dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Halong needs Python 3.11 or later; name one with PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: .venv/installed   ## a hub and four members on this machine, a day of notices, attacks, a crash, and the proof
	$(BIN)/halong demo $(ARGS)

# The file that is passed over needs a socket in each test, and seconds to be collected.
check: .venv/installed  ## format, lint, types, import rules, unit and attack tests; no sockets, under a minute
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	PYTEST_DEBUG_TEMPROOT=$(MEMORY) $(BIN)/pytest -n auto -m "not sockets and not kafka and not soak" \
		--ignore tests/contract/test_api_description.py -p no:schemathesis -o tmp_path_retention_policy=failed

test: check             ## check, and contract, faults, story, docs, foreign verifiers; with Kafka where there is one
	$(BIN)/pytest -m "(sockets or kafka) and not soak"

soak: .venv/installed   ## the long counts, under an hour
	$(BIN)/pytest -m soak

bench: .venv/installed  ## speed, as ratios against a baseline of the same run; never fails on time
	$(BIN)/python -m tests.bench

mutants: .venv/installed ## take each numbered check away in turn: a test must turn red
	$(BIN)/python -m tests.mutants

kafka: .venv/installed  ## one Apache Kafka in the foreground on localhost:19092, from Maven Central's jars
	$(BIN)/python deploy/kafka/kafka.py run

lock:                   ## lock files with hashes and without hosts
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --python-version 3.11 --extra member --extra hub --extra kafka --extra mail --extra sql --extra token pyproject.toml -o requirements.lock
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --python-version 3.11 --extra member --extra hub --extra kafka --extra mail --extra sql --extra token --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean:
	rm -rf .venv .kafka .postgres .mypy_cache .ruff_cache .pytest_cache .hypothesis
