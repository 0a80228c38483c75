# Every target makes .venv itself; Python 3.11 or newer is all that has to be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DATA ?=
# What `make coverage` measures, and by which tests: those that `make test` runs of these folders, all of them traced.
PACKAGES := messages receipt_dynamo run_records run_analysis receipt_layoutlm workers layoutlm_cli infra
TRACED := tests/unit tests/integration tests/infra

.PHONY: demo test coverage slow chaos boot soak lint bench clean schemas reference install
.DEFAULT_GOAL := test

install: $(STAMP)

# torch goes first and alone: with its exact version an index or folder that holds the CPU build is enough,
# while a range would let pip choose a build with gigabytes of CUDA.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,export,draw,local,dashboard,mcp,infra,otel,dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/layoutlm-cli demo $(if $(DATA),--data $(DATA))

# One thread each, for threads that wait for each other keep the cores busy.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --cov --cov-report= $(ARGS)
	$(BIN)/python -m coverage report --fail-under=95

# Lines and branches of every package, each held to its floor; RAISE=--raise lifts the floors.
coverage: $(STAMP)
	TRACE_ALL_TESTS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(addprefix --cov=,$(PACKAGES)) --cov-report=json:build/coverage.json $(TRACED) $(ARGS)
	$(BIN)/python scripts/coverage_floors.py build/coverage.json $(RAISE)

slow: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m slow $(ARGS)
	$(if $(ARGS),,$(MAKE) coverage)

chaos: $(STAMP)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m chaos tests/chaos $(ARGS)

# As root, on Linux with systemd-container and debootstrap; says what it sees as it goes.
boot: $(STAMP)
	$(BIN)/python -m pytest -m boot -p no:randomly --capture=no tests/boot $(ARGS)

soak: $(STAMP)
	$(BIN)/python -m tests.simulation --soak 100000
	HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest --numprocesses 2 tests/unit/messages/test_messages_fuzz.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python -m benchmarks $(ONLY)

reference: $(STAMP)
	$(BIN)/python scripts/make_reference.py
	$(BIN)/python scripts/make_launchd_example.py

schemas: $(STAMP)
	$(BIN)/python -m messages.schemas

clean:
	rm -rf $(VENV) .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
