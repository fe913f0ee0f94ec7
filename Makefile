# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Every target works in a fresh clone: each one calls for what it needs.

SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
DOCKER := tools/with-docker.sh
DEMO := $(DOCKER) $(BIN)/python tools/demo
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONDONTWRITEBYTECODE := 1
# One process more than processors, as some tests wait for a server; who has nothing left to do takes from the others.
UNITS := -n $(shell echo $$(($$(nproc) + 1))) --dist worksteal
# some CI systems set none
export HOME := $(or $(HOME),$(shell getent passwd "$$(id -u)" | cut -d: -f6))

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## .venv with the tools of development (all other targets call it)
	@tools/setup.sh

## The demo

.PHONY: demo
demo: setup ## a mail host in Docker, provisioned and proven with real mail
	@$(DOCKER) tools/base-images.sh bookworm
	@$(DEMO) up

.PHONY: demo-converge
demo-converge: setup ## the site playbook once more on it, with ARGS="..." for ansible-playbook
	@$(DEMO) converge $(ARGS)

.PHONY: demo-verify
demo-verify: setup ## the verify playbook on it: proves, changes nothing
	@$(DEMO) verify $(ARGS)

.PHONY: demo-remove
demo-remove: setup ## the remove playbook on it: takes the filter away again
	@$(DEMO) remove $(ARGS)

.PHONY: demo-clean
demo-clean: setup ## removes the demo's host and all that was made for it
	@$(DEMO) clean

## Tests; pytest fails where it finds none, so a test that is lost is seen

.PHONY: test
test: lint static daemon-tests molecule ## everything that .ci/run runs
	@echo "==> all tests passed"

# Most of them use one processor: side by side, each one's output when it has ended.
.PHONY: static
static: lint
	@echo "==> unit tests, ansible-test sanity and units, antsibull-docs, galaxy-importer, versions of Python and ansible-core (side by side; some minutes)"
	@$(MAKE) --no-print-directory --jobs=4 --output-sync=target unit gates modules-versions oldest-newest-core

.PHONY: check
check: lint ## the quick part: lint and unit tests, those of the daemon too
	@echo "==> unit tests" && pytest -q $(UNITS) -m "not slow" tests/unit tests/daemon/unit

.PHONY: lint
lint: setup ## all linters
	@tools/lint.sh

.PHONY: unit
unit: setup ## unit tests
	@echo "==> unit tests" && pytest -q $(UNITS) tests/unit

.PHONY: sanity
sanity: setup ## ansible-test sanity
	@tools/sanity.sh

# They share ansible-test's home.
.PHONY: units
units: sanity
	@tools/sanity.sh units

.PHONY: galaxy
galaxy: setup
	@tools/gates.sh

.PHONY: gates
gates: galaxy units ## what Galaxy demands: antsibull-docs, galaxy-importer, ansible-test sanity and units

.PHONY: daemon-tests
daemon-tests: setup ## the daemon's tests, those over real sockets spread over all versions of Python (PYTHON=3.13 for one)
	@tools/daemon-tests.sh $(PYTHON)

# What is not what .venv has. Further down, all with each.
.PHONY: modules-versions
modules-versions: setup
	@tools/daemon-versions.sh --modules

.PHONY: oldest-newest-core
oldest-newest-core: setup
	@tools/core-versions.sh 2.18 2.21

# What `make test` has time for. They wait for their hosts half of the time: side by side, each one's output when it has ended.
USUAL := default content
.PHONY: molecule
molecule: setup ## Molecule in Docker: the usual scenarios, or SCENARIO=farm, or SCENARIO=all
ifdef SCENARIO
	@$(DOCKER) tools/molecule.sh $(SCENARIO)
else
	@$(DOCKER) tools/base-images.sh
	@echo "==> Molecule scenarios $(USUAL) (side by side; some minutes)"
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target $(USUAL:%=molecule-%)
endif

molecule-%: setup
	@$(DOCKER) tools/molecule.sh $*

## More than `make test` has time for; each says what it needs and does not find

.PHONY: daemon-versions
daemon-versions: setup ## the daemon's tests on Python 3.9 to 3.13 (ARGS="3.9" for one)
	@tools/daemon-versions.sh $(ARGS)

.PHONY: core-versions
core-versions: setup ## playbooks, roles and modules with ansible-core 2.18 to 2.21 (ARGS="2.18" for one)
	@tools/core-versions.sh $(ARGS)

.PHONY: examples
examples: setup ## provisions hosts in containers with the inventories of examples/ (ARGS="farm" for one)
	@$(DOCKER) tools/base-images.sh bookworm
	@$(DOCKER) $(BIN)/python tools/examples.py $(ARGS)

.PHONY: tutorial
tutorial: setup ## follows docs/tutorial.md to the letter in a fresh container
	@$(DOCKER) tools/tutorial.sh

.PHONY: release
release: setup ## builds the artifact, installs it elsewhere, and runs the demo from there
	@$(DOCKER) tools/release.sh

.PHONY: everything
everything: test daemon-versions core-versions ## every gate and every scenario, one after the other: hours
	@$(DOCKER) tools/molecule.sh all
	@$(MAKE) --no-print-directory examples tutorial release ARGS=

## Measuring

.PHONY: bench
bench: setup ## this daemon beside its peers, in one container; writes docs/bench (ARGS="--rounds 5")
	@$(DOCKER) tools/base-images.sh bookworm
	@$(DOCKER) tools/bench/bench.sh $(ARGS)

.PHONY: soak
soak: setup ## minutes of load on the daemon: nothing may grow (ARGS="--seconds 300")
	@$(DOCKER) tools/base-images.sh bookworm
	@$(DOCKER) tools/bench/bench.sh --soak $(ARGS)

## Housekeeping

.PHONY: docs
docs: setup ## writes the parts of docs/ that come from the code
	@$(BIN)/python tools/daemon_reference.py
	@$(BIN)/python tools/role_reference.py

.PHONY: format
format: setup ## formats all Python files
	@ruff format --quiet . && ruff check --quiet --fix .

.PHONY: build
build: setup ## the collection's artifact, mailops-filter_stack-VERSION.tar.gz
	@ansible-galaxy collection build --force

.PHONY: clean
clean: ## removes .venv, caches and artifacts (first `make demo-clean`)
	@rm -rf .venv .ansible .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis mailops-filter_stack-*.tar.gz
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
