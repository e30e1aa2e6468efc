PYTHON ?= .venv/bin/python
READY = .venv/ready
DOCS = .venv-docs/ready
# First and by its exact version: asked for through a range, pip may choose a build of several gigabytes.
TORCH ?= torch==2.13.0

$(READY): pyproject.toml
	python3 -m venv .venv
	.venv/bin/pip install --quiet $(TORCH)
	.venv/bin/pip install --quiet -e '.[dev]'
	touch $(READY)

# The site needs neither torch nor mlsg itself, so it has a small environment of its own.
$(DOCS): pyproject.toml
	python3 -m venv .venv-docs
	.venv-docs/bin/pip install --quiet $$(python3 -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['docs'])")
	touch $(DOCS)

.PHONY: setup quickstart test test-slow fuzz lint docs bench
setup: $(READY)  ## a virtual environment with everything

quickstart: $(READY)  ## no network, under three minutes: a table before / after
	$(PYTHON) -m mlsg quickstart

# Two processes of one thread each: with two threads each they would wait for one another.
test: $(READY)  ## the tests that CI runs
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n 2 --dist worksteal

fuzz: $(READY)  ## any settings, language files, model folders, text files for an hour; TIMES=10 for minutes
	MLSG_FUZZ=$(or $(TIMES),150) OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n 2 --dist worksteal -m fuzz

test-slow: $(READY)  ## the long ones
	$(PYTHON) -m pytest -m slow

lint: $(READY)  ## style, types
	$(PYTHON) -m ruff check mlsg tests benchmarks
	$(PYTHON) -m ruff format --check mlsg tests benchmarks
	$(PYTHON) -m mypy

docs: $(DOCS)  ## the site, in site/; a broken link fails
	.venv-docs/bin/python -m mkdocs build --strict --quiet

bench: $(READY)  ## ratios against plain code, some minutes each; LONG=1 for those that take an hour
	$(PYTHON) -m benchmarks.bench_step --shape mbert --precision bf16
	$(PYTHON) -m benchmarks.bench_step --shape mbert --precision float32
	$(PYTHON) -m benchmarks.bench_step --shape starter --precision bf16
	$(PYTHON) -m benchmarks.bench_step --shape starter --precision float32
	$(PYTHON) -m benchmarks.bench_recipe --shape mbert
	$(PYTHON) -m benchmarks.bench_seeds --shape mbert
	$(PYTHON) -m benchmarks.bench_encode --shape mbert --precision bf16
	$(PYTHON) -m benchmarks.bench_prepare
	$(PYTHON) -m benchmarks.bench_processes --shape mbert
	$(PYTHON) -m benchmarks.bench_roofline --shape mbert
	$(PYTHON) -m benchmarks.bench_pretrain
ifdef LONG
	$(PYTHON) -m benchmarks.bench_eval --precision bf16
	$(PYTHON) -m benchmarks.bench_prepare --large
	$(PYTHON) -m benchmarks.bench_memory --shape starter
	$(PYTHON) -m benchmarks.bench_memory --shape tiny --stored
	$(PYTHON) -m benchmarks.bench_recipe --shape starter --full
	$(PYTHON) -m benchmarks.bench_recipe --shape mbert --full
endif
