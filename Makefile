# The project's commands. `make run` and `make test` do all the set-up that a fresh Debian machine with Swift needs.

SWIFT_FLAGS := --explicit-target-dependency-import-check error
PACKAGES    := libssl-dev zlib1g-dev
# Sanitizers cover only swift-testing's runner: XCTest's start-up leaks 144 bytes, which LeakSanitizer reports. One test requests
# more memory than exists; the sanitizers' allocators would abort the process instead of returning NULL.
SANITIZE    := $(SWIFT_FLAGS) --disable-xctest
# Folders of benchmark bundles, each built once: published shapes, and one with many items.
LARGE       := .build/kuairand
MANY        := .build/million-items
FIRST       := .build/ml-20m-large
# Users other than root need sudo.
SUDO        := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: run test test-long build bench bench-http bench-users bench-loading attack chaos load-test check-kernels check-arm format lint sanitize fuzz setup clean

## run: build the server and serve the demo bundle on 127.0.0.1:8080
run: build
	GENREC_COMMIT=$$(git rev-parse --short HEAD 2>/dev/null) .build/release/genrec serve --config Config/genrec.yaml

## build: the release binary, .build/release/genrec
build: setup
	swift build -c release $(SWIFT_FLAGS) --product genrec

## test: lint, then every test
test: setup lint
	swift build --build-tests $(SWIFT_FLAGS)
	swift test --skip-build

## test-long: like test, with every case of the sweeps that `make test` only samples
test-long: export GENREC_LONG_TESTS = 1
test-long: test

## bench: time the engine without HTTP: the demo, new events on cached ones, a scan of a million items, and the published shapes
## in every dtype, against the installed runtimes (PYTHON=… selects the Python)
PYTHON ?= python3
bench: build
	.build/release/genrec bench --bundle Config/demo --batch 1 --length 64
	.build/release/genrec bench --bundle Config/demo --batch 32 --length 64
	@command -v $(PYTHON) >/dev/null || { echo "no $(PYTHON): the large bundle is left out"; exit 0; }; \
	test -d $(MANY) || $(PYTHON) Tests/Benchmarks/make_bundle.py million-items $(MANY); \
	for dtype in f32 bf16; do \
	    .build/release/genrec bench --bundle $(MANY) --length 1 --k 100 --dtype $$dtype --threads 1 || exit 1; \
	done; \
	test -d $(LARGE) || $(PYTHON) Tests/Benchmarks/make_bundle.py kuairand $(LARGE); \
	for append in "" "--append 1" "--append 16" "--append 128"; do \
	    .build/release/genrec bench --bundle $(LARGE) --length 2048 $$append || exit 1; \
	done; \
	$(PYTHON) -c 'import numpy' 2>/dev/null || { echo "no numpy: the comparison is left out"; exit 0; }; \
	$(PYTHON) Tests/Benchmarks/peers.py .build/release/genrec

## check-kernels: test only the CPU kernels, at every instruction-set level of this processor
check-kernels:
	Tests/KernelChecks/run.sh --native

## check-arm: like check-kernels, for AArch64 under qemu-user
check-arm:
	Tests/KernelChecks/run.sh

## bench-http: HTTP and JSON alone against nginx, alternating, each on one core; then the cost of the access log and of traces;
## needs a quiet machine
bench-http: build
	@for tool in wrk nginx curl; do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	    [ -z "$$missing" ] || { $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q $$missing; }
	Tests/Benchmarks/http.sh $(ROUNDS) $(SECONDS_EACH)
	Tests/Benchmarks/observed.py .build/release/genrec

## bench-users: the local user store over HTTP: ten million events, events during recommendations, a returning user by name
bench-users: build
	Tests/Benchmarks/users.py .build/release/genrec scale
	Tests/Benchmarks/users.py .build/release/genrec ingest
	test -d $(LARGE) || $(PYTHON) Tests/Benchmarks/make_bundle.py kuairand $(LARGE)
	Tests/Benchmarks/users.py .build/release/genrec returning --bundle $(LARGE)

## bench-loading: p99 of one model while a larger one is loaded next to it; catalogue changes; answers by popularity
bench-loading: build
	.build/release/genrec bench --changes 1000000
	test -d $(FIRST) || $(PYTHON) Tests/Benchmarks/make_bundle.py ml-20m-large $(FIRST)
	test -d $(MANY) || $(PYTHON) Tests/Benchmarks/make_bundle.py million-items $(MANY)
	Tests/Benchmarks/loading.py .build/release/genrec --bundle $(FIRST) --other $(MANY)
	Tests/Benchmarks/degraded.py .build/release/genrec --bundle $(FIRST)

## attack: ten thousand slow, idle and vanishing connections, then slowhttptest; measures a second client's latency meanwhile
attack: build
	@command -v slowhttptest >/dev/null || { $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q slowhttptest; }
	Tests/Benchmarks/attacks.sh

## chaos: ten minutes of misfortunes (kill -9, a full disk, bad reloads …) under load; checks every reply, prints a table
chaos: build
	@command -v openssl >/dev/null || { $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q openssl; }
	Tests/Chaos/chaos.py

## load-test: overload, mixed lengths and vanishing callers on the demo bundle, over HTTP; prints ratios, asserts nothing
load-test: build
	Tests/Benchmarks/load-test.sh

## dist: a tarball for machines without Swift: the binary with Swift's libraries linked in, Config, systemd units, licences
COMMIT ?= $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)
DIST   ?= .build/dist
SETUP  ?= setup
dist: $(SETUP)
	swift build -c release $(SWIFT_FLAGS) --product genrec --static-swift-stdlib --scratch-path .build/static \
	    -Xcc -DGENREC_COMMIT='"$(COMMIT)"' -Xlinker -s
	Deploy/dist.sh .build/static $(DIST)

## fleet-test: three servers behind the real HAProxy: how much user state is reused, with histories in requests, in each server's
## store and in Redis; a rolling restart under load; a killed server; then the simulation against the measurements
fleet-test: build
	@for tool in haproxy redis-server; do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	    [ -z "$$missing" ] || { $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q --no-install-recommends $$missing; }
	$(PYTHON) Deploy/fleet/fleet_test.py --genrec .build/release/genrec --bundle Config/demo \
	    --interactions Config/demo/interactions.tsv --json .build/fleet.json
	$(PYTHON) Deploy/fleet/simulate.py check .build/fleet.json --interactions Config/demo/interactions.tsv

## users-test: the user store in real Redis servers: one that dies and hangs, one with a password and TLS, and a cluster in which
## a slot moves and a node is killed under load
users-test: build
	@command -v redis-server >/dev/null || { $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q --no-install-recommends redis-server; }
	@command -v openssl >/dev/null || $(SUDO) apt-get install -y -q openssl
	$(PYTHON) Tests/Users/users_test.py --genrec .build/release/genrec --bundle Config/demo

## check-deploy: checks every file of Deploy/ with the programs that use it, if they are installed
check-deploy: build
	$(PYTHON) Deploy/check.py --genrec .build/release/genrec

## browser-test: drives the console in headless Chromium; screenshots for review in .build/screenshots
browser-test: build
	@command -v chromedriver >/dev/null || { $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q --no-install-recommends chromium chromium-driver; }
	@$(PYTHON) -c 'import selenium' 2>/dev/null || { $(PYTHON) -m venv .build/browser && .build/browser/bin/pip install -q selenium; }
	$$(test -x .build/browser/bin/python && echo .build/browser/bin/python || echo $(PYTHON)) Tests/Browser/browser_test.py \
	    --genrec .build/release/genrec

## format: rewrite the sources in the project's style
format:
	swift format --in-place --parallel --recursive Package.swift Sources Tests

## lint: fail on anything that `make format` would change or a reviewer would reject
lint:
	swift format lint --strict --parallel --recursive Package.swift Sources Tests

## sanitize: every test under the address and the thread sanitizer
sanitize: setup
	ASAN_OPTIONS=allocator_may_return_null=1 LSAN_OPTIONS=print_suppressions=0:suppressions=$(CURDIR)/.ci/leaks.supp \
	    swift test $(SANITIZE) --sanitize address --scratch-path .build-asan
	TSAN_OPTIONS=allocator_may_return_null=1:suppressions=$(CURDIR)/.ci/races.supp \
	    swift test $(SANITIZE) --sanitize thread --scratch-path .build-tsan

## fuzz: the mutation tests of every reader of untrusted bytes, a minute each
fuzz: setup
	GENREC_FUZZ_SECONDS=60 swift test $(SWIFT_FLAGS) --filter Fuzz

# Installs missing system packages; silent and without sudo if none are missing.
setup:
	@dpkg -s $(PACKAGES) >/dev/null 2>&1 || \
	    { $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q $(PACKAGES); }

clean:
	rm -rf .build .build-asan .build-tsan
