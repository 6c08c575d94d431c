# make run    set up what the server needs, and start it       make run ARGS="--listen 127.0.0.1:0"
# make dist   build dist/chaser-server, which needs no Python on the machine it runs on
# make test   set up what the tests need besides, and run them make test ARGS="-k relay"
PY := .venv/bin/python
CLIENTS := tests/clients
export PIP_NO_INPUT := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
MAKEFLAGS += --no-print-directory

.PHONY: setup run test lint bench dist clean
.DEFAULT_GOAL := run

# Stamp files: what is set up is set up again only when what it was made from changes.
setup: .venv/.ready-to-test
	@echo "Ready: make run, make test."

.venv/.made: scripts/venv.sh
	@sh scripts/venv.sh
	@touch $@

.venv/.ready-to-run: .venv/.made setup.cfg chaser_server/install.py
	@echo "running    pip install -e ."
	@$(PY) -m pip install -q -e .
	@$(PY) -m compileall -q chaser_server
	@# What is missing is told; whether the server can start without it is for the server to say.
	@if $(PY) -m chaser_server setup </dev/null; then touch $@; fi

.venv/.ready-to-test: .venv/.made setup.cfg chaser_server/install.py $(CLIENTS)/package-lock.json
	@echo "running    pip install -e .[dev]"
	@$(PY) -m pip install -q -e '.[dev]'
	@$(PY) -m compileall -q chaser_server
	@$(PY) -m chaser_server setup --dev </dev/null
	@touch $@ .venv/.ready-to-run

run: .venv/.ready-to-run
	@exec $(PY) -m chaser_server $(ARGS)

lint: .venv/.ready-to-test
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy --strict chaser_server

test: lint
	@$(PY) -m pytest $(ARGS)

bench: .venv/.ready-to-test
	@$(PY) -m chaser_server bench $(ARGS)

dist: .venv/.ready-to-run
	@$(PY) -m pip install -q -e '.[dist]'
	@$(PY) scripts/dist.py

clean:
	rm -rf .venv $(CLIENTS)/node_modules *.egg-info build dist .mypy_cache .pytest_cache .ruff_cache
