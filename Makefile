# Targets for people. `make help` lists them; every target does its own set-up.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export OFFHOOK_BUILD_PROFILE ?= ci
RUST := $(shell find crates -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock
# More test processes than processors, since most tests wait for most of their time; no more than 4 GB of memory has room for.
SPREAD := -n $(shell n=$$(( $$(nproc 2>/dev/null || echo 1) + 1 )); echo $$(( n > 4 ? 4 : n ))) --dist loadgroup
CORE := build_core.py build_records.py $(shell find src/offhook/sip src/offhook/sdp src/offhook/calls -name '*.py')
WEB := $(shell find web -path web/node_modules -prune -o -path web/dist -prune -o -type f -print 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help setup run ladders test test-python test-core test-rust test-web test-interop test-browsers check format bench bench-media bench-signalling docs clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed $(VENV)/.engine src/offhook/web/index.html  ## everything `run` needs: Python, engine, web phone

run: setup  ## set up and start the server on this machine
	@$(BIN)/offhook serve

test: test-rust test-python $(if $(LONG),test-core) test-web test-interop test-browsers  ## every test; LONG=1 adds soak, fuzzing, minutes of hold and the compiled core

test-rust: $(VENV)/.installed  ## the engine's tests
	cargo test --workspace --locked $(if $(LONG),-- --include-ignored,)

test-python: setup $(VENV)/.dev $(VENV)/.peers  ## the Python tests
	$(BIN)/pytest tests fuzz $(if $(LONG),,$(SPREAD) -m "not long")

target/core: $(VENV)/.dev $(CORE)
	@echo "compiling the core (a minute or two)"
	$(BIN)/python build_core.py target/core
	@touch $@

test-core: setup target/core  ## the tests of the core against its compiled form, as wheels ship it
	PYTHONPATH=target/core/package $(BIN)/pytest tests/sip tests/sdp tests/calls tests/scenarios $(SPREAD) -m "not long and not source"

ladders: setup $(VENV)/.dev  ## store the ladders of the scenarios anew; read the difference before you keep it
	LADDERS=write $(BIN)/pytest tests/scenarios -m ladder
	git --no-pager diff --stat tests/scenarios/ladders

test-web: web/node_modules/.installed  ## the web phone's unit tests
	cd web && npm test

test-interop: setup $(VENV)/.dev $(VENV)/.peers  ## Offhook against foreign programs
	$(BIN)/pytest interop $(if $(LONG),,$(SPREAD) -m "not long")

test-browsers: setup $(VENV)/.dev $(VENV)/.peers  ## real browsers: JsSIP, SIP.js and the web phone
	cd web && npm run e2e

check: setup $(VENV)/.dev web/node_modules/.installed  ## formatters, linters, types, import contracts, clippy
	$(BIN)/ruff format --check src tests interop bench fuzz build_core.py build_engine.py build_records.py
	$(BIN)/ruff check src tests interop bench fuzz build_core.py build_engine.py build_records.py
	$(BIN)/mypy
	$(BIN)/mypy --strict build_core.py build_records.py
	$(BIN)/lint-imports
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cd web && npm run check

format: $(VENV)/.dev web/node_modules/.installed  ## rewrite every file in the house style
	$(BIN)/ruff format src tests interop bench fuzz build_core.py build_engine.py build_records.py
	$(BIN)/ruff check --fix-only --quiet src tests interop bench fuzz build_core.py build_engine.py build_records.py
	cargo fmt --all
	cd web && npm run format

bench: bench-media  ## everything that is measured beside rtpengine
	$(BIN)/python -m bench.relay --rates 20000 --rounds 1 --seconds 2 --most

bench-media: setup $(VENV)/.dev $(VENV)/.peers  ## the engine's figures beside rtpengine, 19 minutes on a quiet machine
	$(BIN)/python -m bench.media

bench-signalling: setup $(VENV)/.dev $(VENV)/.peers  ## registrations, connections and calls beside Kamailio and rtpengine
	$(BIN)/python -m bench.signalling

docs: setup  ## reference pages from the code
	$(BIN)/python -m offhook.server.reference docs/reference

clean:  ## remove everything that was built here
	rm -rf $(VENV) target web/node_modules web/dist src/offhook/web artefacts

$(VENV)/.checked: deploy/prerequisites.sh
	@bash deploy/prerequisites.sh
	@python3 -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.checked requirements.lock
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.engine: $(VENV)/.installed pyproject.toml build_engine.py $(RUST)
	@echo "building the media engine (the first time takes some minutes)"
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed requirements-dev.lock
	$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/.peers: interop/peers.sh $(VENV)/.checked
	@bash interop/peers.sh
	@touch $@

web/node_modules/.installed: web/package-lock.json $(VENV)/.checked
	cd web && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

src/offhook/web/index.html: web/node_modules/.installed $(WEB)
	cd web && npm run build --silent
	@rm -rf src/offhook/web && cp -r web/dist src/offhook/web
	@touch $@
