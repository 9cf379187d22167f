# Everything from a clean checkout on a Debian machine; each target can be run again.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# The targets share a target directory and system-wide mounts.
.NOTPARALLEL:

CARGO ?= cargo
# Absolute, as cargo takes it: `make CARGO_TARGET_DIR=/fast/disk test` builds elsewhere.
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
export CARGO_TARGET_DIR := $(TARGET)
RELEASE := $(TARGET)/release
# Arguments of finesse-compare for `make bench`.
BENCH ?=

# Arguments of finesse-suites for `make suites`.
SUITES ?=

# Arguments of finesse-ports for `make ports`.
PORTS ?=

# Seeds and steps a mount of `make soak-differential`; eleven mounts make 1,237,500 steps of these.
SOAK_SEEDS ?= 1001 1002 1003 1004 1005
SOAK_STEPS ?= 22500

# Rounds of each program in `make soak-serve`, and which of its tests (a_race_on_bindfs for one daemon).
SOAK_ROUNDS ?= 100000
SOAK_RACES ?= a_race

# How long the tests of hostile peers write in `make asan`, in seconds.
HOSTILE ?= 10

# Runs of each program on each file system in `make soak-fast`.
FAST_RUNS ?= 500

# Cases a property in `make miri`, which interprets: 4 take some minutes.
CASES ?= 4

.PHONY: help setup build driver test lint check-loom asan miri demo bench suites ports soak-differential soak-fast soak-serve clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## Install what this machine lacks (with sudo when not root)
	@scripts/setup.sh

build: setup driver ## Build the release programs into target/release
	$(CARGO) build --release --locked -p finesse-supervisor -p finesse-mount -p finesse-doctor \
	    -p finesse-mount-plain -p finesse-integration --bins

# Static, so that nothing can be preloaded into it; finesse-compare looks for it here.
driver: setup
	RUSTFLAGS='-C target-feature=+crt-static' $(CARGO) build --release --locked -p finesse-driver \
	    --target x86_64-unknown-linux-gnu --target-dir $(TARGET)/driver

test: lint ## Check format, lints and documentation, and run all tests
	$(CARGO) build --locked --workspace
	$(CARGO) test --locked --workspace
	@$(MAKE) --no-print-directory check-loom

lint: setup ## Check format, lints and documentation
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --no-deps

# A filter that matches no test is a success to cargo, but not here.
check-loom: setup ## Check the slots' hand-shake under all thread interleavings
	@mkdir -p $(TARGET)/loom
	CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=false RUSTFLAGS='--cfg loom' \
	    $(CARGO) test --locked --release -p finesse-channel \
	    --target-dir $(TARGET)/loom loom 2>&1 | tee $(TARGET)/loom/log
	@grep -Eq '^test result: ok\. [1-9]' $(TARGET)/loom/log \
	    || { echo 'check-loom: no loom test ran' >&2; exit 1; }

# The channel and the decoders: all that touches what a peer writes.
asan: setup ## Run the tests of hostile peers under AddressSanitizer (HOSTILE=60 for longer)
	@if ! ls $$(rustc --print target-libdir)/librustc*_rt.asan.a > /dev/null 2>&1; then \
	    echo 'asan: skipped: this toolchain has no AddressSanitizer'; exit 0; fi; \
	RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address FINESSE_HOSTILE_SECONDS=$(HOSTILE) \
	    $(CARGO) test --locked --target x86_64-unknown-linux-gnu --target-dir $(TARGET)/asan \
	    -p finesse-channel -p finesse-wire --tests

# What needs neither mmap(2) nor futex(2), which Miri does not interpret across processes.
miri: setup ## Run the decoders' and the channel's pure tests under Miri (needs a nightly toolchain with it)
	@if ! $(CARGO) +nightly miri --version > /dev/null 2>&1; then \
	    echo 'miri: skipped: no nightly toolchain with Miri (rustup component add miri rust-src)'; exit 0; fi; \
	export MIRIFLAGS=-Zmiri-disable-isolation PROPTEST_CASES=$(CASES); \
	$(CARGO) +nightly miri test --locked --target-dir $(TARGET)/miri -p finesse-wire --tests && \
	$(CARGO) +nightly miri test --locked --target-dir $(TARGET)/miri -p finesse-channel --lib -- geometry spin

demo: build ## Show the bypass at work, in a directory that is removed afterwards
	@scripts/demo.sh $(RELEASE)

bench: build ## Compare native, FUSE and bypass (BENCH='--quick --html out.html' for options)
	$(RELEASE)/finesse-compare $(BENCH)

# Fetches and builds the suites from their packages the first time.
suites: setup ## Compare suites of others on FUSE and bypass (SUITES='--quick' for options)
	$(CARGO) build --release --locked -p finesse-supervisor -p finesse-mount -p finesse-mount-plain \
	    -p finesse-integration --bins
	$(RELEASE)/finesse-suites $(SUITES)

# Fetches the packages the first time. The file systems are built as they are for debugging.
ports: setup ## Compare file systems of others on fuser and finesse-fuse (PORTS='--port simple')
	$(CARGO) build --locked -p finesse-supervisor -p finesse-integration --bins
	$(TARGET)/debug/finesse-ports $(PORTS)

# Ends at the first difference, which names its seed.
soak-differential: setup ## Compare a million random calls on FUSE and bypass, as root for all of it
	$(CARGO) build --locked --workspace
	for seed in $(SOAK_SEEDS); do \
	    FINESSE_DIFF_SEED=$$seed FINESSE_DIFF_STEPS=$(SOAK_STEPS) \
	        $(CARGO) test --locked -p finesse-integration --test end_to_end differential:: -- \
	            --nocapture --skip differential::daemons; \
	    echo "seed $$seed: no difference, $(SOAK_STEPS) steps on each mount"; \
	done

# A program ends at its first difference; the others go on.
soak-fast: setup ## Run real programs again and again where they post their calls themselves
	$(CARGO) build --locked --workspace
	FINESSE_FAST_RUNS=$(FAST_RUNS) \
	    $(CARGO) test --locked -p finesse-integration --test end_to_end real_programs:: -- --nocapture

# Ends after the first wrong result; says how many rounds each daemon has had.
soak-serve: setup ## Race 100,000 rounds of two bypassed programs and one other on each daemon (SOAK_ROUNDS=5000)
	$(CARGO) build --locked --workspace
	FINESSE_SERVE_ROUNDS=$(SOAK_ROUNDS) $(CARGO) test --locked -p finesse-integration --test end_to_end \
	    serve::$(SOAK_RACES) -- --nocapture --test-threads=1

clean: ## Remove what was built
	$(CARGO) clean
