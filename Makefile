# `make` sets up what it needs in this folder: .tools/ holds uv, .venv/ the project's environment.

PYTHON ?= python3
UV := .tools/bin/uv
BIN := .venv/bin
NPM := $(shell command -v npm 2>/dev/null)
INSTALLED := node_modules/.package-lock.json
CLIENTS := $(filter-out $(WITHOUT),agents frameworks claude_code codex anthropic_js openai_js)
export UV_PYTHON_DOWNLOADS := never

.DEFAULT_GOAL := help
.PHONY: help setup setup-clients run demo test test-clients test-live test-watch check lint format typecheck coverage golden bench bench-page bench-check bench-store soak audit build lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.dev $(if $(NPM),tests/sdk_parity/$(INSTALLED)) ## Set up the development environment

# Tests wait more than they compute: few cores run one more than they are.
export PYTEST_XDIST_AUTO_NUM_WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN || echo 1); echo $$((n < 4 ? n + 1 : n)))

# vibe needs Python 3.12, and is left out where there is none.
PYTHON_vibe := $(shell for python in $(PYTHON) python3.12 python3.13 python3.14; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && echo $$python && break; done)
# Clients of npm in CLIENTS, of PyPI in ENVIRONMENTS, each a folder under tests/clients with a lock file.
# `make test-clients WITHOUT="agents programs"` leaves folders out.
ENVIRONMENTS := $(filter-out $(WITHOUT) $(WITHOUT:%=%/%),agents aider frameworks langchain \
	programs/gptme programs/llm $(if $(PYTHON_vibe),programs/vibe))
setup-clients: setup $(ENVIRONMENTS:%=tests/clients/%/.venv/.installed) $(if $(NPM),$(CLIENTS:%=tests/clients/%/$(INSTALLED))) ## Install the programs that test-clients runs

run: .venv/.run ## Run the proxy on your Augment account
	$(BIN)/augment-open-proxy

demo: .venv/.run ## Run the proxy on the embedded simulator: no account needed
	$(BIN)/augment-open-proxy demo

test: setup ## Run the whole test suite
	$(BIN)/pytest -n auto

test-clients: setup-clients ## Run real clients, Claude Code and Codex among them, against the proxy
	$(BIN)/pytest --real-clients tests/clients $(WITHOUT:%=--ignore tests/clients/%)

test-live: setup ## Run the end-to-end tests on the real backend, with your account: 13 short requests
	$(BIN)/pytest --live tests/live

test-watch: setup ## Run the tests again whenever a file changes
	$(BIN)/watchfiles --filter python $(BIN)/pytest src tests

check: setup lint typecheck coverage ## Run what CI runs beside the tests: format, lint, types, coverage

lint: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: .venv/.dev ## Format the code and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

typecheck: .venv/.dev ## Check the types, strictly
	$(BIN)/mypy

COVERED := */augment_open_proxy/core/*,*/augment_open_proxy/dialects/*,*/augment_open_proxy/upstream/*
COVERING := tests/unit tests/golden tests/server/test_backend_client.py tests/server/test_network.py tests/server/test_recovery.py
coverage: setup ## Measure the branches of core, dialects and upstream that their own tests cover
	$(BIN)/pytest -n auto --cov --cov-report= $(COVERING)
	$(BIN)/coverage report --include='$(COVERED)' --fail-under=95

golden: setup ## Write the golden files anew; read the difference before you commit it
	$(BIN)/pytest tests/golden --update-golden

# nginx is measured as the system builds it, and so is Python: an interpreter that was built without its optimizations, as
# pyenv builds one unless told otherwise, takes a fifth more. `make bench BENCH_PYTHON=python3.12` measures another.
ifndef BENCH_PYTHON
BENCH_PYTHON := $(shell for python in /usr/bin/python3 $(PYTHON); do \
	$$python -c 'import sqlite3, ssl, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
endif
BENCH_VENV := .venv-bench/$(subst /,-,$(BENCH_PYTHON))

bench: setup $(BENCH_VENV)/.installed ## Measure the proxy against nginx (Debian: apt-get install nginx-light)
	$(BENCH_VENV)/bin/python -m benchmarks $(ARGS)

bench-page: setup $(BENCH_VENV)/.installed ## Measure at length, and write docs/performance.md
	$(BENCH_VENV)/bin/python -m benchmarks --long --peer litellm --page docs

bench-check: setup ## Count the proxy's instructions, and compare them to the baseline (Debian: apt-get install valgrind)
	$(BIN)/python -m benchmarks.check $(ARGS)

bench-store: setup $(BENCH_VENV)/.installed ## Measure what storing a reply costs
	$(BENCH_VENV)/bin/python -m benchmarks --scenario stored

soak: setup ## Load the proxy for a minute with faults and a restart, then with 1,000 streams at once
	$(BIN)/python -m benchmarks.soak

audit: .venv-audit/.installed ## Look the dependencies up among known vulnerabilities
	scripts/audit

build: .tools/packaging/.installed .venv/.dev ## Build wheel and sdist into dist/, the same bytes for the same commit
	rm -f dist/*.whl dist/*.tar.gz
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} $(BIN)/python -m hatchling build
	.tools/packaging/bin/twine check --strict dist/*.whl dist/*.tar.gz

binary: ## Build the standalone binary of TARGET, which must be this machine's, into dist/binary/
	$(PYTHON) scripts/build-binary $(TARGET)

test-packaging: build ## Install the wheel in each documented way and try it; build and try the binary, and the image
	scripts/try-wheel
	$(PYTHON) scripts/build-binary host
	@if [ "$$(id -u)" = 0 ] && command -v debootstrap >/dev/null; then $(MAKE) test-image; \
		else echo "test-packaging: the image was NOT tried: make test-image needs root and debootstrap"; fi

IMAGE_ROOT := .tools/trixie
test-image: ## Run the Dockerfile's steps in a clean root, without an engine (as root; Debian: apt-get install debootstrap)
	test -x $(IMAGE_ROOT)/usr/bin/python3 || debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates \
		trixie $(IMAGE_ROOT)
	$(PYTHON) scripts/try-image $(IMAGE_ROOT) .tools/image

LINT := deploy/lint/$(INSTALLED)
lint-packaging: .tools/packaging/.installed $(if $(NPM),$(LINT)) ## Lint image, compose file, manifests, workflows, unit
	scripts/lint-packaging

PACKAGING_LOCKS := build binary packaging
.PHONY: binary test-packaging test-image lint-packaging lock-packaging
lock-packaging: lock
	$(UV) pip compile -q pyproject.toml --extra postgres --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header -c requirements.lock -c requirements-dev.lock -o requirements-postgres.lock
	for group in $(PACKAGING_LOCKS); do $(UV) pip compile -q --group $$group --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --upgrade -o requirements-$$group.lock || exit 1; done

.tools/packaging/.installed: requirements-packaging.lock | $(UV)
	$(UV) venv -q --clear --python $(PYTHON) .tools/packaging
	$(UV) pip install -q -p .tools/packaging --require-hashes -r $<
	@touch $@

lock: $(UV) ## Resolve the dependencies anew
	$(UV) pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --upgrade -o requirements.lock
	$(UV) pip compile -q pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --upgrade -c requirements.lock -o requirements-dev.lock
	echo pip-audit | $(UV) pip compile -q - --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --no-annotate --upgrade -o requirements-audit.lock

clean: ## Remove what make has set up and built
	rm -rf .venv .venv-audit .venv-bench .tools dist .coverage .mypy_cache .ruff_cache .hypothesis tests/sdk_parity/node_modules tests/clients/*/node_modules tests/clients/*/.venv tests/clients/programs/*/.venv

$(UV): requirements-tools.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv .tools
	.tools/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements-tools.lock
	@touch $@

.venv/.run: requirements.lock pyproject.toml | $(UV)
	@test -x $(BIN)/python || $(UV) venv -q --python $(PYTHON) .venv
	$(UV) pip install -q -p .venv --require-hashes -r requirements.lock
	$(UV) pip install -q -p .venv --no-deps -e .
	@touch $@

.venv/.dev: requirements-dev.lock .venv/.run
	$(UV) pip install -q -p .venv --require-hashes -r requirements-dev.lock
	@touch $@

$(BENCH_VENV)/.installed: requirements.lock pyproject.toml | $(UV)
	$(UV) venv -q --clear --python $(BENCH_PYTHON) $(BENCH_VENV)
	$(UV) pip install -q -p $(BENCH_VENV) --require-hashes -r requirements.lock
	$(UV) pip install -q -p $(BENCH_VENV) --no-deps -e .
	@touch $@

.venv-audit/.installed: requirements-audit.lock | $(UV)
	$(UV) venv -q --clear --python $(PYTHON) .venv-audit
	$(UV) pip install -q -p .venv-audit --require-hashes -r $<
	@touch $@

tests/clients/%/.venv/.installed: tests/clients/%/requirements.lock | $(UV)
	$(UV) venv -q --clear --python $(or $(PYTHON_$(notdir $*)),$(PYTHON)) tests/clients/$*/.venv
	$(UV) pip install -q -p tests/clients/$*/.venv --require-hashes -r $<
	@touch $@

# The same versions; but `npm ci` fails where a registry lacks the programs of other systems.
NPM_agents := install --no-save
%/$(INSTALLED): %/package-lock.json
	cd $* && npm $(or $(NPM_$(notdir $*)),ci) --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@
