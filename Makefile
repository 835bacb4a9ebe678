# The commands a newcomer needs: `make demo`, `make explore` and `make test`. Everything lives in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS ?= constraints.txt # the versions that the tests ran with; `make CONSTRAINTS=/dev/null` takes the newest
COMPILED := PYTHONDONTWRITEBYTECODE=
INSTALL := $(BIN)/pip install --quiet --constraint $(CONSTRAINTS) --editable

.PHONY: help demo explore test check format bench docs man dist dist-check sbom clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "TrojanCAM needs Python 3.11 or newer; name one with make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) '.[web]'
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(INSTALL) '.[dev]'
	$(BIN)/pip install --quiet --constraint $(CONSTRAINTS) --no-deps lxt # a peer of AttnLRP; what it needs besides is for language models
	touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(INSTALL) '.[docs]'
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
	@! git grep --line-number --extended-regexp '^(<{7}|>{7}) ' # what a merge left open

test: $(VENV)/installed-dev  ## every check and every test
	$(BIN)/python -m compileall -q src # once, not in every process that a test starts
	# Tests are compiled to check what they assert, which takes long: it is done while types are checked, and kept, whatever is set.
	$(COMPILED) $(BIN)/python -m pytest --collect-only --quiet > /dev/null & $(MAKE) --no-print-directory check && wait
	OMP_NUM_THREADS=1 $(COMPILED) $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

format: $(VENV)/installed-dev  ## put the code into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/installed-docs  ## build the documentation into site/, with its notebooks executed; open site/index.html
	OMP_NUM_THREADS=1 NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

bench: $(VENV)/installed-dev  ## measure speed and memory, as ratios
	$(BIN)/python -m benchmarks

man:  ## write the manual page, trojancam.1, from the same source as --help
	$(BIN)/python -m trojancam.cli.manual .

$(VENV)/installed-release: $(VENV)/installed
	$(INSTALL) '.[release]'
	touch $@

dist: $(VENV)/installed-release  ## build wheel and sdist into dist/
	$(BIN)/python -m build

dist-check: $(VENV)/installed-release  ## build both, install them into a clean environment without the checkout, use them
	$(BIN)/python -m tests.packaged

sbom: $(VENV)/installed-release  ## list all that is installed, with versions and licences: dist/sbom.json, in CycloneDX
	mkdir -p dist
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --of JSON --output-reproducible -o dist/sbom.json $(BIN)/python

clean:  ## remove the environment and what tools left
	rm -rf $(VENV) build dist site .mypy_cache .ruff_cache .import_linter_cache
