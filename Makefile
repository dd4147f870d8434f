# Prerequisites: Python 3.11+ and make. Everything else is fetched on first use: see docs/devstack.md.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.SUFFIXES:
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$name"; exit; }; done; \
	command -v python3)
RUN := .venv/bin/python -m
ARGS ?=

.PHONY: help
help: ## Show this help
	@echo 'make TARGET    (ARGS="..." passes arguments on)'
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

.PHONY: run
run: .venv/.synced ## Start everything, place an order, stay until Ctrl-C, stop everything
	@exec $(RUN) devstack run $(ARGS)

.PHONY: up
up: .venv/.synced ## Start everything in the background; return when it is ready
	@exec $(RUN) devstack up $(ARGS)

.PHONY: down
down: .venv/.synced ## Stop what `make up` started; data stays
	@exec $(RUN) devstack down

.PHONY: reset
reset: .venv/.synced ## Stop everything and wipe the data
	@exec $(RUN) devstack reset

.PHONY: release
release: .venv/.synced ## Bring one service of `make up` to another version of the code (SERVICE=order REV= ARGS=--roll-back)
	@exec $(RUN) devstack.release $(SERVICE) $(if $(REV),--revision $(REV)) $(ARGS)

.PHONY: test
test: .venv/.synced ## Run the tests but the slow ones, in two processes, each on a stack of its own (ARGS="-n0 -k cancel")
	@exec $(RUN) pytest -n 2 --dist loadfile --durations 20 $(ARGS)

.PHONY: test-all
test-all: .venv/.synced ## Run every test, the slow ones too
	@exec $(RUN) pytest --slow -n 2 --dist loadfile --no-loadscope-reorder --durations 20 $(ARGS)

.PHONY: django-suites
django-suites: .venv/.synced ## Run Django's own suites on the REST backend (ARGS="--only ordering,lookup")
	@exec $(RUN) tests.support.django_suites $(ARGS)

.PHONY: lint
lint: .venv/.synced ## Check format, style, types, who imports whom, security, and the contracts
	@.venv/bin/ruff format --check
	@.venv/bin/ruff check
	@.venv/bin/basedpyright
	@.venv/bin/lint-imports
	@.venv/bin/bandit --quiet --configfile pyproject.toml --recursive .
	@$(RUN) devstack.supply.advisories
	@$(RUN) devstack.supply.licences
	@test ! -x .venv/bin/hadolint || .venv/bin/hadolint deploy/Dockerfile deploy/stand_ins/*/Dockerfile
	@$(MAKE) --no-print-directory contracts

.PHONY: contracts
contracts: .venv/.synced ## Refuse an event's change that would break a subscriber (docs/contracts.md)
	@$(RUN) waybill contracts check
	@$(RUN) catalogue --check

.PHONY: docs
docs: .venv/.synced ## Write everything that follows from the code, and the event catalogue: docs/catalogue/index.html
	@$(RUN) catalogue

.PHONY: chaos
chaos: .venv/.synced ## Inject faults under load, recover, compare the records (DURATION=180 SEED= ARGS="--liveness")
	@exec $(RUN) tests.chaos $(if $(DURATION),--duration $(DURATION)) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: chaos-mutants
chaos-mutants: .venv/.synced ## See that `make chaos` finds each of the broken products
	@WAYBILL_EVERY_MUTANT=1 exec $(RUN) pytest --slow -n 2 tests/chaos/test_runs.py $(ARGS)

.PHONY: chaos-migrate
chaos-migrate: .venv/.synced ## Move the webshop's orders to a service and back, under writers and faults (ARGS="--runs 1 --seed 7")
	@exec $(RUN) tests.handover $(ARGS)

.PHONY: night
night: .venv/.synced ## Go through operational incidents: time to detect, time to repair (ARGS="--only Kafka")
	@exec $(RUN) tests.e2e.night $(ARGS)

.PHONY: record-alerts
record-alerts: .venv/.synced ## Record again what is exported in outages, for the alerts' tests: an hour (ARGS="--only Kafka")
	@exec $(RUN) tests.alerts $(ARGS)

.PHONY: model
model: .venv/.synced ## Go through every interleaving of the saga (ARGS="--deep", ARGS=--mutants)
	@exec $(RUN) tests.model $(ARGS)

.PHONY: storefront-tests
storefront-tests: .venv/.synced ## Run the webshop's tests (examples/monolith) in one database, on services, and with some apps there (ARGS=--without-go)
	@exec $(RUN) tests.storefront $(ARGS)

.PHONY: strangler
strangler: .venv/.synced ## Follow docs/how-to/leave-a-monolith.md to its end, on real parts, while visitors use the shop (ARGS="--until 2.")
	@exec $(RUN) tests.strangler $(ARGS)

.PHONY: containers
containers: .venv/.synced ## Build the images, confirm an order in docker-compose.kafka.yml, take it down (podman, root)
	@.venv/bin/uv sync --quiet --frozen --inexact --group containers
	@exec $(RUN) tests.containers

.PHONY: k8s
k8s: .venv/.synced ## Apply deploy/kubernetes to a real API server, built once with Go (11 minutes of CPU), and check it
	@exec $(RUN) tests.kubernetes $(ARGS)
.PHONY: release-tests
release-tests: .venv/.synced ## Release every service to other code under load, take it back, contract (ARGS=--quick)
	@exec $(RUN) tests.release $(ARGS)

.PHONY: console-tests
console-tests: .venv/.synced ## Go through a night shift in a browser and in a terminal (ARGS="--only relay")
	@.venv/bin/uv sync --quiet --frozen --inexact --group browser
	@exec $(RUN) tests.console $(ARGS)

.PHONY: bench-saga
bench-saga: .venv/.synced ## Measure orders from POST to CONFIRMED beside Temporal and DBOS, or beside many of them (ARGS=--quick, ARGS=--grown)
	@exec $(RUN) benchmarks.saga $(ARGS)

.PHONY: bench-relay
bench-relay: .venv/.synced ## Measure the relay against Debezium and others (ARGS="--quick --events 20000 --repeats 1")
	@exec $(RUN) benchmarks.relay $(ARGS)

.PHONY: bench-overload
bench-overload: .venv/.synced ## Measure what a web program answers at twice the load that it can take (ARGS=--quick)
	@exec $(RUN) benchmarks.overload $(ARGS)

.PHONY: bench-api
bench-api: .venv/.synced ## Measure the order service's POST and GET against bare views (ARGS=--quick)
	@exec $(RUN) benchmarks.api $(ARGS)

.PHONY: bench-storefront
bench-storefront: .venv/.synced ## Measure the webshop's pages in one database and on services (ARGS=--quick)
	@exec $(RUN) tests.storefront.bench $(ARGS)

.PHONY: bench-console
bench-console: .venv/.synced ## Measure the console's pages with a million orders and 200,000 dead letters (ARGS="--orders 10000")
	@exec $(RUN) benchmarks.console $(ARGS)

.PHONY: bench-housekeeping
bench-housekeeping: .venv/.synced ## Measure housekeeping of a log of 50,000,000 events in ranges (ARGS="--events 5000000", ARGS=--quick)
	@exec $(RUN) benchmarks.housekeeping $(ARGS)

.PHONY: bench-migrate
bench-migrate: .venv/.synced ## Measure what the way out of a monolith costs it: capture, backfill (ARGS=--quick)
	@exec $(RUN) benchmarks.migrate $(ARGS)

.PHONY: bench-tracing
bench-tracing: .venv/.synced ## Measure what traces cost an order, beside a stack without them (ARGS=--quick)
	@exec $(RUN) benchmarks.tracing $(ARGS)

.PHONY: yardsticks
yardsticks: .venv/.synced ## Measure how the code reads (ARGS="v0.1.0 ." for a commit beside the working tree)
	@$(RUN) tests.support.yardsticks $(ARGS)

.PHONY: bench-start
bench-start: .venv/.synced ## Measure how long `make up` takes to be ready: the median of five first starts
	@exec $(RUN) benchmarks.start $(ARGS)

.venv/.synced: pyproject.toml uv.lock devstack/environment.py
	@command -v "$(PYTHON)" >/dev/null || { \
		echo 'waybill: no python3 found; install Python 3.11 or newer, or make PYTHON=/path/to/it' >&2; exit 1; }
	@"$(PYTHON)" devstack/environment.py
