PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python
COMPILE_LOCK := $(BIN)/uv pip compile pyproject.toml --group dev --extra dask --extra hub --extra postgres --extra pretrained --extra privacy --extra s3 --extra serve --extra sign --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock" --quiet

# Without bytecode every process compiles Headrace anew.
unexport PYTHONDONTWRITEBYTECODE

# The certificates of this system, perhaps with that of a proxy that inspects TLS. uv, and
# pip before 24.2, bring their own, and trust these only if told to. uv fails where a system
# has none, so that it keeps its own there.
CERTIFICATES := $(firstword $(wildcard $(SSL_CERT_FILE) /etc/ssl/certs/ca-certificates.crt \
	/etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem /etc/ssl/cert.pem))
ifneq ($(CERTIFICATES),)
export UV_SYSTEM_CERTS ?= true
endif
OLD_PIP := import pip, sys; sys.exit(tuple(map(int, pip.__version__.split(".")[:2])) >= (24, 2))

# A file's tests run in one process, so that what they share is made once.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup venv run test test-system test-all test-engine test-faults fuzz bench release ui docs figures check fix lock check-lock clean

help: ## What can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1#\2/p' $(MAKEFILE_LIST) | \
		while IFS='#' read -r name text; do printf 'make %-11s %s\n' "$$name" "$$text"; done

setup: $(READY) ## Install everything into ./.venv, from the lock (PYTHON=python3.12 picks the Python)

# The marker is written last, so an installation that was cut short is done again. What is
# warmed up is only faster for it: without it, the first run does the same work.
$(READY): requirements.lock pyproject.toml
	@rm -f $@
	@$(BIN)/uv --version >/dev/null 2>&1 || $(MAKE) --no-print-directory venv
	$(INSTALL) --require-hashes --compile-bytecode -r requirements.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q src flows
	-@$(BIN)/python -m headrace_ops.warm
	@touch $@

venv:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { \
		echo "Headrace needs Python 3.11, 3.12 or 3.13; '$(PYTHON)' is" \
			"$$($(PYTHON) --version 2>&1 | grep Python || echo missing). Say which one: make PYTHON=python3.12 setup" >&2; \
		exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@sed -n '/^uv==/,/^ *#/p' requirements.lock > $(VENV)/uv.txt
	@if test -n "$(CERTIFICATES)" && test -z "$$PIP_CERT$$REQUESTS_CA_BUNDLE$$CURL_CA_BUNDLE" && \
		$(BIN)/python -c '$(OLD_PIP)' && ! $(BIN)/python -m pip config get global.cert >/dev/null 2>&1; \
	then export PIP_CERT="$(CERTIFICATES)"; fi; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt

run: setup ## From the packaged digits to a promoted model
	$(BIN)/headrace run digits

test: setup ## The tests of the code, or some: make test T=tests/src/test_spec.py
	$(BIN)/python -m pytest $(or $(T),-m "not integration and not system and not engine" $(PARALLEL))

test-system: setup ## Whole runs, attacks, and what trains, serves, simulates or kills
	$(BIN)/python -m pytest -m "system and not integration" $(PARALLEL) $(T)

test-all: test test-system ## All, also those that start servers and workers, and break them
	$(BIN)/python -m pytest -m integration $(PARALLEL)

test-engine: setup ## The service in containers on an engine of its own, and two machines; as root
	$(BIN)/python -m pytest -m engine -n 2 $(or $(T),tests/engine)

test-faults: setup ## Faults in full: a bad night of 8 runs, 10,000 racing promotions
	RACES=10000 PIPELINES=4 PLACES=50 $(BIN)/python -m pytest tests/faults

fuzz: setup ## Damaged and hostile files for every reader, an hour: make fuzz ARGS=--minutes=60
	$(BIN)/python -m tests.attacks.fuzz $(ARGS)

bench: setup ## Speed and memory beside a bare script, into bench.json: make bench ARGS=--quick
	$(BIN)/python -m tests.benchmarks $(ARGS)

release: setup ## What would be released, into ./dist: built twice, installed and tried
	$(BIN)/python -m tests.releases

ui: setup ## The pages of Prefect and MLflow, until Ctrl-C
	$(BIN)/headrace up

docs: setup ## The documentation, into build/docs; a warning or a broken link fails
	@rm -rf build/docs
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --fresh-env \
		--doctree-dir build/doctrees docs build/docs
	@! grep -rnE '(src|href|url)[=(]["'"'"']?(https?:)?//[^"'"'"'>]*\.(js|css|woff2?|ttf|png|svg)' \
		--include='*.html' --include='*.css' build/docs || { \
		echo "A page would load something from the network." >&2; exit 1; }
	@echo "The documentation is in build/docs/index.html."

figures: setup ## The figures of the documentation anew, from what its tests show; needs Chromium
	$(BIN)/python -m pytest tests/repo/test_docs_run.py -k figures --figures

check: setup ## Format, lint, types, import layers and lock
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory check-lock

fix: setup ## Format, and mend what a tool can mend
	$(BIN)/ruff check --fix --exit-zero
	$(BIN)/ruff format

lock: setup ## Bring requirements.lock in line with pyproject.toml
	$(COMPILE_LOCK) --output-file requirements.lock
	$(BIN)/python infra/images/lock.py

check-lock: setup
	@cp requirements.lock $(VENV)/lock.txt
	@if $(COMPILE_LOCK) --output-file $(VENV)/lock.txt 2> $(VENV)/lock.log; then \
		diff -q requirements.lock $(VENV)/lock.txt >/dev/null || { \
			echo "requirements.lock does not follow pyproject.toml. Run: make lock" >&2; exit 1; }; \
		echo "The lock is current."; \
	elif grep -q "Failed to fetch\|error sending request" $(VENV)/lock.log; then \
		echo "No network: the lock was not compared."; \
	else \
		cat $(VENV)/lock.log >&2; exit 1; \
	fi

clean: ## Remove ./.venv and all caches; the state in .headrace stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find src flows tests -name __pycache__ -type d -prune -exec rm -rf {} +
