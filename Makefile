# Two commands: 'make demo' shows the product, 'make test' checks it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.PHONY: demo test check
demo: $(INSTALLED)
	$(BIN)/segnas build recipes/quickstart.yaml

# Two processes each: what learns apart from the engines, which share a heap badly (0034).
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal
LEARNING := tests/models tests/searcher

test: check
	$(PYTEST) $(LEARNING)
	$(PYTEST) tests $(LEARNING:%=--ignore %)

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cpu,serve,train,openvino,tensorrt-rtx,dev]'
	touch $@
