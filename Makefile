# `make demo` and `make test` do all the set-up they need, then run. A second run is quick.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
TORCH  := torch==2.13.0

.PHONY: demo test lint bench clean

demo: $(STAMP)
	$(BIN)/motiontok demo --out out/demo

test: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The short benchmarks, some minutes on two cores; tools/bench/ has the long ones.
bench: $(STAMP)
	$(BIN)/python tools/bench/latest.py --out docs/benchmarks/latest.md

# torch goes first and pinned: asked for loosely by another package it can arrive as a
# build with gigabytes of CUDA libraries.
$(STAMP): pyproject.toml tools/system_packages.sh
	sh tools/system_packages.sh $(PYTHON)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24"
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable '.[all,dev]'
	touch $@

clean:
	rm -rf $(VENV) out runs
