# Everything on a fresh machine: `make reproduce` and `make test`.
# Needs Python 3.11 or newer with venv, and make; a C++ compiler only for torch.compile.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: reproduce test lint bench report accept base clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,bench]"
	touch $@

reproduce: .venv/installed  ## the smoke run, an ablation, the benchmarks and the report
	$(BIN)/davae run smoke
	$(BIN)/python -m ablations align_weight --preset smoke
	mkdir -p runs/benchmarks
	$(BIN)/pytest benchmarks --benchmark-only --benchmark-json runs/benchmarks/core.benchmark.json -q
	$(BIN)/python -m reports
	@echo
	@echo "Table:    runs/smoke/seed0/table.md"
	@echo "Pictures: runs/smoke/seed0/samples.png, reconstruction.png, curves.png"
	@echo "Ablation: runs/smoke/ablations/align_weight/table.md, figure.png"
	@echo "Report:   runs/report.md"

test: .venv/installed  ## unit tests with every stage at nano
	$(BIN)/pytest tests

lint: .venv/installed  ## style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy davae
	$(BIN)/lint-imports

bench: .venv/installed  ## the benchmark suite
	mkdir -p runs/benchmarks
	$(BIN)/pytest benchmarks --benchmark-only --benchmark-json runs/benchmarks/core.benchmark.json

base: .venv/installed  ## train the shipped models again, in hours
	$(BIN)/davae base tiny
	$(BIN)/davae base tiny_photos

report: .venv/installed  ## a page of all records below runs/
	$(BIN)/python -m reports

accept: .venv/installed  ## quality and wall-clock lines of the tiny records, outside CI
	$(BIN)/pytest tests -m accept -o addopts=

clean:  ## remove runs and finished stages, not the environment
	rm -rf runs store
