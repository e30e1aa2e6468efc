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
