# Everything on a fresh machine: `make reproduce` and `make test`.
# Needs Python 3.11 or newer with venv, and make; a C++ compiler only for torch.compile.

PYTHON ?= python3
BIN := .venv/bin
OUT ?= runs/gpu
BENCH ?=
FIRST := tiny-native-denoise-b32 or tiny-widened-denoise-b1] or tiny-native-decode or tiny-widened-decode

.PHONY: install reproduce test lint counters bench bench-gpu report accept base clean

.venv/installed: pyproject.toml constraints.txt
	@echo "installing into .venv: about 7 GB, 2 to 3 minutes"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,bench]"
	touch $@

install: .venv/installed  ## everything into .venv

reproduce: .venv/installed  ## the first run, an ablation, a few benchmarks and the report
	@echo "1 of 4: adapting the shipped base model, sampling and judging (4 to 5 minutes)"
	$(BIN)/davae run smoke --brief --methods base_upsampled
	@echo "2 of 4: an ablation of two arms and two seeds"
	$(BIN)/python -m ablations guidance --preset smoke --seeds 0 1 --arms "scale 1" "scale 3"
	@echo "3 of 4: benchmarks (half a minute)"
	mkdir -p runs/benchmarks
	$(BIN)/pytest benchmarks --benchmark-only --benchmark-json runs/benchmarks/first.benchmark.json -q -k "$(FIRST)"
	@echo "4 of 4: the report"
	$(BIN)/python -m reports --results runs
	@echo
	@echo "Picture:  runs/smoke/seed0/glance.png"
	@echo "Table:    runs/smoke/seed0/table.md"
	@echo "Ablation: runs/smoke/ablations/guidance/table.md, figure.png"
	@echo "Report:   runs/report/index.html"

test: .venv/installed  ## unit tests with every stage at nano
	OMP_NUM_THREADS=1 $(BIN)/pytest tests -n 2 --dist loadgroup --durations=12

lint: .venv/installed  ## style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy davae
	$(BIN)/lint-imports

counters: .venv/installed  ## the work of every scenario, exactly as it was committed
	$(BIN)/davae track counters

bench: .venv/installed  ## the benchmark suite
	mkdir -p runs/benchmarks
	$(BIN)/pytest benchmarks --benchmark-only --benchmark-json runs/benchmarks/suite.benchmark.json $(BENCH)

bench-gpu:  ## the paper's settings on one GPU, from this tree and the packages there: OUT=DIR
	$(PYTHON) -m benchmarks.gpu --out $(OUT)

base: .venv/installed  ## train the shipped models again, in hours
	$(BIN)/davae base tiny
	$(BIN)/davae base tiny_photos

report: .venv/installed  ## a page of the committed records
	$(BIN)/python -m reports

accept: .venv/installed  ## quality and wall-clock lines of the tiny records, outside CI
	$(BIN)/pytest tests -m accept -o addopts=

clean:  ## remove runs and finished stages, not the environment
	rm -rf runs store
