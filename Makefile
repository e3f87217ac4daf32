# Two commands for a stranger: `make up` and `make test`. Both fetch what they need.
SHELL := /bin/bash
PYTHON ?= python3.11
UV     := .tools/bin/uv
RUN    := .venv/bin
export UV_PYTHON_DOWNLOADS = never
export UV_LINK_MODE = copy
export UV_COMPILE_BYTECODE = 1
unexport PYTHONDONTWRITEBYTECODE  # what pytest compiles costs each worker seconds

.PHONY: up test quick soak nightly check deploy-check fix bench lock clean install screenshots

up: install            ## everything embedded, with a demo on real readings of this machine
	$(RUN)/lakebed demo

test: install          ## all tests, quick and slow; tells what they cost
	$(RUN)/pytest -q -n auto --cpu

quick: install         ## what a change most often breaks, in two minutes
	$(RUN)/pytest -q -n auto -m "not slow and not server" -k "not (one_by_one or cut_anywhere or long_pauses)" \
	    tests/unit tests/contract tests/test_cases.py tests/acceptance/test_main_way.py \
	    --ignore=tests/contract/series --ignore=tests/contract/test_objects.py

nightly: install       ## the tests that can go on for ever, for hours: 10,000 examples and more of each
	LAKEBED_NIGHTLY=1 $(RUN)/pytest -q tests/properties tests/faults

soak: install          ## the attacks of tests/crash in the numbers that take hours; prints its seed
	LAKEBED_SOAK=1 LAKEBED_SEED=$${LAKEBED_SEED:-$$RANDOM} $(RUN)/pytest -q -rP tests/crash

check: install         ## what the machine can say about the code without running it
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports

deploy-check: install  ## all of deploy/ by the programs that will read it; fetches and builds some of them
	deploy/check

fix: install           ## let ruff mend what it can
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

bench: install         ## the benchmarks; figures are rows in the store, compared with what was sent
	$(RUN)/python -m bench
	$(RUN)/python -m bench.tables

screenshots: install   ## every page, light and dark, of a phone and a desk, into .screenshots
	$(RUN)/python -m tests.web.browser.screenshots

# tools/web sees by itself that nothing changed
install: .venv/installed
	@tools/web $(RUN)/python

$(UV): tools/bootstrap
	tools/bootstrap "$(PYTHON)"

.venv/installed: $(UV) pyproject.toml requirements.lock tools/compile src/lakebed/sources/mqtt/codec/plain.py src/lakebed/sources/http/plain_lines.py \
    src/lakebed/sources/http/remote_write/plain_series.py
	test -x $(RUN)/python || $(UV) venv -q --python "$(PYTHON)" .venv
	$(UV) pip sync -q --python $(RUN)/python requirements.lock
	$(UV) pip install -q --python $(RUN)/python --no-deps -e .
	$(RUN)/python -m compileall -q src
	tools/compile $(RUN)/python
	touch $@

lock: $(UV)            ## choose versions anew: exact, with hashes, for every platform
	$(UV) pip compile -q --universal --python-version 3.11 --all-extras --group dev --generate-hashes \
	    --no-emit-index-url --no-header --upgrade pyproject.toml -o requirements.lock
	deploy/image/lock $(UV)

clean:
	rm -rf .venv .tools web/node_modules src/lakebed/web/dist .screenshots .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src -name '*.so' -delete
