# What is done often. `make help` lists it.
.DEFAULT_GOAL := help
SEEDS ?= 1000
PRESSES ?= 100000
KILLS ?= 500
HISTORIES ?= 50
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= scanner headers framing sdp digest rtp rtcp stun tone flow
.PHONY: help test bench talk-off sim digits crash history mutants lint tools prompts demo serve fuzz

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

test: tools ## Run all tests: unit, property, SIPp cases, documentation
	@.ci/test

fuzz: ## Feed every reader with made-up octets for FUZZ_SECONDS each (installs cargo-fuzz where it is missing)
	cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
	set -e; for target in $(FUZZ_TARGETS); do \
	  RUSTC_BOOTSTRAP=1 cargo fuzz run $$target -- -dict=fuzz/sip.dict -max_total_time=$(FUZZ_SECONDS); \
	done

sim: ## Run the simulation over 1,000 seeds (SEEDS=n for another number)
	KLIKON_SEEDS=$(SEEDS) CARGO_PROFILE_DEV_OPT_LEVEL=1 cargo test --locked --test simulation -- --nocapture every_seed

digits: ## Press 100,000 keys through each of many bad networks (PRESSES=n for another number)
	KLIKON_PRESSES=$(PRESSES) CARGO_PROFILE_DEV_OPT_LEVEL=1 cargo test --locked --test digits -- --nocapture

crash: ## Kill the service 500 times while calls book, and check the ledger (KILLS=n, SEED=n for others)
	KLIKON_KILLS=$(KILLS) $(if $(SEED),KLIKON_SEED=$(SEED)) cargo test --locked --test crash -- --nocapture random_kills

history: tools ## Prove 50 histories of concurrent clients under faults on each database (HISTORIES=n for another number)
	KLIKON_HISTORIES=$(HISTORIES) cargo test --locked --test history -- --nocapture histories

mutants: ## Change the rules and the ledger in small ways and see that tests notice (docs/ledger.md; hours; installs cargo-mutants)
	.ci/mutants rules || [ $$? = 2 ]
	.ci/mutants store --iterate

bench: ## Measure what messages, calls and packets cost (docs/performance.md)
	cargo bench --locked --bench sip_message --bench sip_endpoint --bench sip_udp --bench media --bench media_engine
	cargo bench --locked --bench ledger --bench whole_call
	cargo bench --locked --features amr,opus --bench codecs

talk-off: tools ## Look for keys in hours of speech, and in tones and speech at once (docs/media-engine.md)
	cargo bench --locked --bench talk_off

lint: ## Formatting and clippy, as CI has them
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --workspace --all-targets --features amr,opus -- -D warnings

tools: ## Install what tests need where it is missing (Debian packages)
	@.ci/tools

prompts: ## Make the synthesised prompts of prompts/sq/ again (needs espeak-ng), then check them
	cargo run --release -- prompts synthesise
	cargo run --release -- prompts check

demo: ## Show the whole thing: a service, a caller, a booked activation
	cargo run --release -- demo

serve: ## Run the service with klikon.toml
	cargo run --release -- serve
