# The commands a newcomer needs: `make demo`, `make explore` and `make test`. Everything lives in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo explore test check format bench docs clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "TrojanCAM needs Python 3.11 or newer; name one with make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[web]'
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/pip install --quiet --editable '.[docs]'
	touch $@

demo: $(VENV)/installed  ## train two small networks, one of them trojaned, and write a page that shows the trojan
	$(BIN)/trojancam demo

explore: $(VENV)/installed  ## look into the same two networks in the browser: paint on a feature map, see what follows
	$(BIN)/trojancam explore

check: $(VENV)/installed-dev  ## lint, formatting, types, direction of imports, plain words
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/proselint --config .proselintrc.json check README.md SECURITY.md CONTRIBUTING.md CHANGELOG.md docs
	$(BIN)/python -m docs.making.words

test: check  ## every check and every test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile

format: $(VENV)/installed-dev  ## put the code into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/installed-docs  ## build the documentation into site/, with its notebooks executed; open site/index.html
	OMP_NUM_THREADS=1 NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

bench: $(VENV)/installed-dev  ## measure speed and memory, as ratios
	$(BIN)/python -m benchmarks

clean:  ## remove the environment and what tools left
	rm -rf $(VENV) build dist site .mypy_cache .ruff_cache .import_linter_cache
