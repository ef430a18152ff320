# Two commands: `make lab` opens the course, `make test` proves it. `make help` lists the others.
# Every path is relative, so that the folder may have spaces in its name.

PYTHON ?= python3
PORT ?= 8888
BROWSER ?= yes
PY := .venv/bin/python
STAMP := .venv/installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help lab test test-quick notebooks lint bench bench-sliders

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1@\2/p' Makefile | awk -F@ '{printf "%-20s %s\n", $$1, $$2}'

lab: $(STAMP) ## open the course in JupyterLab (PORT=8888, BROWSER=no for the address alone)
	@"$(PY)" -m jupyterlab --config=lab/jupyter_server_config.py --ServerApp.port=$(PORT) $(if $(filter no,$(BROWSER)),--no-browser)

test: $(STAMP) ## all tests: units, battery, doctests, every notebook, the pages in a browser
	@"$(PY)" -m tools.test

test-quick: $(STAMP) ## what to run between two edits: units and doctests, under two minutes
	@"$(PY)" -m tools.test --quick

notebooks: $(STAMP) ## run the notebooks again, in order, and store them as the tests expect them
	@"$(PY)" -m tools.notebooks

lint: $(STAMP) ## ruff over the library, the tools, the tests and the notebooks
	@"$(PY)" -m ruff check .

bench: $(STAMP) .venv/peers ## speed and quality beside other libraries, three quarters of an hour on one core
	@"$(PY)" -W ignore -m benchmarks.bench_flows
	@"$(PY)" -W ignore -m benchmarks.quality

bench-sliders: $(STAMP) ## how fast a picture follows its slider, beside the usual way and the floor
	@"$(PY)" -m benchmarks.bench_sliders

# The environment is made anew only when the pins change or the folder has another name; pip is not called otherwise, so
# no network is needed. The stamp holds the path, because an installed flowlib knows its folder by it.
ifneq "$(shell cat $(STAMP) 2>/dev/null)" "$(CURDIR)"
.PHONY: $(STAMP)
endif
$(STAMP): requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'flowlib needs Python 3.11 or newer. Name one: make lab PYTHON=python3.12' >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' || \
		{ echo 'This Python has no venv module (on Debian and Ubuntu: apt install python3-venv).' >&2; exit 1; }
	@test -x "$(PY)" || { echo 'Making .venv (once; a minute or more, over a gigabyte)'; "$(PYTHON)" -m venv .venv; }
	@"$(PY)" -m pip install --quiet "$$(grep '^torch==' requirements.lock)"
	@"$(PY)" -m pip install --quiet -r requirements.lock
	@"$(PY)" -m pip install --quiet --no-deps --no-build-isolation --editable .
	@printf '%s\n' "$(CURDIR)" > $(STAMP)

# The peers of the benchmark alone; what they need beside torch and numpy, the benchmark does not use.
.venv/peers: $(STAMP) benchmarks/peers.txt
	@"$(PY)" -m pip install --quiet --no-deps -r benchmarks/peers.txt
	@touch .venv/peers
