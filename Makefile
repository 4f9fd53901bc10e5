# The commands of the project; CI uses these and nothing else. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := bash
LOCAL := target/$(if $(BINARIES),binaries/taken,x86_64-unknown-linux-gnu/release)/sluice-local
SCALE ?= 1
# Each start of dbt or SAM takes seconds more when Python may not keep what it has compiled.
unexport PYTHONDONTWRITEBYTECODE
ifdef BINARIES
export SLUICE_PREBUILT := 1
endif

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 10

demo: ## run the platform end to end on this machine; DATA=<folder> for your own files, SCALE=<factor>, BINARIES=<folder>
	@test -x $(LOCAL) -o -n "$(BINARIES)" || echo "The first time: some 450 crates are compiled and the tools installed, about six minutes on two cores."
	@$(MAKE) --no-print-directory -j2 $(if $(BINARIES),taken,build-demo demo-tools)
	@$(LOCAL) demo --scale "$(SCALE)" $(if $(DATA),--data "$(DATA)")

up: ## start the platform with a shop to buy in, and leave it running until Ctrl-C; DATA=, SCALE= and BINARIES= as above
	@$(MAKE) --no-print-directory -j2 $(if $(BINARIES),taken,build demo-tools) shop
	@$(LOCAL) up --scale "$(SCALE)" $(if $(DATA),--data "$(DATA)")

drill: ## plant each kind of fault on shadow tables and see that alerts tell of it; the last line is JSON; PROOFS=1 keeps it for the catalogue
	@$(MAKE) --no-print-directory build-drill >&2
	@set -o pipefail; $(LOCAL) drill $(if $(PROOFS),| python3 tools/docs/proofs.py)

plan: ## compare platform/warehouse.yaml with the account that the demo has left here; JSON=1 for programs
	@$(MAKE) --no-print-directory $(if $(BINARIES),taken,build-plan) >&2
	@$(LOCAL) with-warehouse tools/sluice warehouse plan $(if $(JSON),--json)

test: ## run every test
	@$(MAKE) --no-print-directory -j2 build test-tools
	@tools/test

build: native ## compile everything, one tree for functions, local parts and tests
	@cargo build --release --workspace --bins
	@touch -c $(dir $(LOCAL))sluice

build-demo: native
	@cargo build --release --bins

build-drill: native
	@cargo build --release --package sluice-local

build-plan: native
	@tools/setup ministack
	@cargo build --release --bins --package sluice-local --package sluice-cli
	@touch -c $(dir $(LOCAL))sluice

check: native workflows ## formatting, lints, the template, the workflows
	cargo fmt --all --check
	cargo clippy --release --workspace --lib --bins -- -D warnings
	@# A test may panic: that is how it fails.
	cargo clippy --release --workspace --tests -- -D warnings -A clippy::unwrap_used -A clippy::expect_used -A clippy::panic
	tools/setup sam
	AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0 .tools/venv/sam/bin/sam validate --lint

bench: ## measure against the limit and peers: P=P1 (P5, P6, latency, ...) for one, none for all
	@tools/setup native bench
	@.tools/venv/bench/bin/python bench/run.py $(P)

storm: build demo-tools ## a million events while parts are killed at random, then compared; EVENTS=, SEED=
	@tools/setup kafka-client
	@EVENTS=$(EVENTS) SEED=$(SEED) tools/storm

invoke: ## invoke a function on the platform of `make up`: F=<function> E=<case>; lists what is missing
	@tools/invoke.py "$(F)" "$(E)"

dbt-snowflake: ## build the dbt project on DuckDB and, with the Snowflake adapter, on an emulator; compare every row
	@tools/setup dbt snowduck
	@.tools/venv/dbt/bin/python -W ignore::DeprecationWarning tests/dbt/test_two_warehouses.py

dbt-lightdash: ## check what Lightdash reads, and compile every chart, in target/lightdash; no account needed
	@tools/setup dbt lightdash
	@tools/lightdash/run

rules: ## judge the template, its loops expanded, by public rules; the last line is JSON
	@tools/setup ministack rules
	@.tools/venv/rules/bin/python tools/rules/run.py

report: ## make the report of the demo's warehouse, open it in a browser and compare its tiles with the marts
	@tools/setup report dbt
	@$(MAKE) --no-print-directory build-plan
	@tools/report/run

dbt-docs: ## make the documentation of the dbt project in target/dbt-docs
	@tools/setup dbt
	@tools/dbt-docs

lineage: ## make dbt/lineage.json again: from which columns each column of the models comes
	@tools/setup dbt lineage
	@.tools/venv/lineage/bin/python tools/lineage/build.py

dbt-slim: ## build the models that differ from BASE=<branch>, origin/main without one, on DuckDB; what CI does for a change
	@tools/setup dbt
	@tools/dbt-slim $(BASE)

workflows: ## judge the workflows of GitHub and the scripts that they run; some seconds, no network
	@tools/setup workflows
	@tools/lint-workflows

notebook: ## open the notebook on the warehouse of the demo; SLUICE_DBT_TARGET=snowflake for the account's
	@tools/setup notebook
	@SLUICE_DUCKDB_PATH="$${SLUICE_DUCKDB_PATH:-.sluice/warehouse.duckdb}" .tools/venv/notebook/bin/marimo edit dbt/notebooks/exchange_rates.py

release: ## make what a release holds in target/release-files: zips, bills of materials, checksums; ARCHITECTURE=arm64 for ARM
	@tools/setup sam zig
	@.tools/venv/sam/bin/python tools/release.py $(ARCHITECTURE)

docs: ## build the documentation strictly in target/docs; pages of docs/reference are made from the code
	@tools/setup docs
	@.tools/venv/docs/bin/python tools/docs/build.py

docs-test: build demo-tools ## execute every command of the documentation; WRITE=1 puts outputs into pages, STAMP=1 dates runbooks
	@tools/setup docs
	@env -u WRITE -u STAMP .tools/venv/docs/bin/python -m unittest --quiet tests/docs/test_docs.py >/dev/null
	@$(if $(WRITE),WRITE=1) $(if $(STAMP),STAMP=1) .tools/venv/docs/bin/python tests/docs/run.py .sluice-test/docs

clean: ## forget the local platform's state and data; keeps tools and compiled code
	@if [ -x $(LOCAL) ]; then for state in .sluice .sluice-test/platform; do $(LOCAL) --state $$state reset || exit; done; fi

native:
	@tools/setup native

# With BINARIES, a release's programs take the place of those that are compiled.
taken:
	@python3 tools/take_binaries.py "$(BINARIES)"
	@tools/setup native ministack sam dbt data

demo-tools: native
	@tools/setup ministack sam dbt data

shop:
	@tools/setup shop

test-tools: native
	@tools/setup kafka-client ministack sam dbt data lambda snowduck fakesnow sqlfluff snow-cli dbt-oldest hubspot-clients schemathesis seaweedfs watch lineage prefect shop lightdash notebook report rules

.PHONY: help demo drill up plan test build build-demo build-drill build-plan check bench storm invoke dbt-snowflake rules dbt-lightdash report dbt-docs lineage dbt-slim notebook workflows release docs docs-test clean native taken demo-tools shop test-tools
