PYTHON ?= .venv/bin/python

.venv/bin/python:
	python3 -m venv .venv
	.venv/bin/pip install --quiet torch==2.13.0
	.venv/bin/pip install --quiet -e '.[dev]'

.PHONY: setup quickstart test test-slow lint bench
setup: .venv/bin/python  ## a virtual environment with everything

quickstart: .venv/bin/python  ## no network, under three minutes: a table before / after
	$(PYTHON) -m mlsg quickstart

test: .venv/bin/python  ## the tests that CI runs
	$(PYTHON) -m pytest

test-slow: .venv/bin/python  ## the long ones
	$(PYTHON) -m pytest -m slow

lint: .venv/bin/python  ## style, types
	$(PYTHON) -m ruff check mlsg tests
	$(PYTHON) -m ruff format --check mlsg tests
	$(PYTHON) -m mypy

bench: .venv/bin/python  ## ratios against plain code, some minutes each; LONG=1 for those that take an hour
	$(PYTHON) -m tests.benchmarks.bench_step --shape mbert --precision bf16
	$(PYTHON) -m tests.benchmarks.bench_step --shape mbert --precision float32
	$(PYTHON) -m tests.benchmarks.bench_step --shape starter --precision bf16
	$(PYTHON) -m tests.benchmarks.bench_step --shape starter --precision float32
	$(PYTHON) -m tests.benchmarks.bench_recipe --shape mbert
	$(PYTHON) -m tests.benchmarks.bench_processes --shape mbert
	$(PYTHON) -m tests.benchmarks.bench_roofline --shape mbert
ifdef LONG
	$(PYTHON) -m tests.benchmarks.bench_memory --shape starter
	$(PYTHON) -m tests.benchmarks.bench_recipe --shape starter --full
	$(PYTHON) -m tests.benchmarks.bench_recipe --shape mbert --full
endif
