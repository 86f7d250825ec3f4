# Two commands matter: `make demo` shows the main job on real images, `make test` runs every test.
PGV ?= 15
export PGV
CLI := --no-default-features --features cli

.PHONY: help setup demo demo-stop test test-core test-pg test-sql test-versions test-upgrades lint cli engine check-cuda bench \
	bench-train bench-large bench-shards fuzz soak valgrind test-cassert third-party deny release
help:
	@sed -n 's/^## //p' Makefile

## make demo       install what is missing, build, start a cluster of its own, embed a gallery, answer five queries
demo: setup
	src/demo/demo.sh

## make demo-stop  stop the demo's cluster and remove it
demo-stop:
	src/demo/demo.sh stop

## make test       format, lints, CUDA type check, unit tests, cargo pgrx test, SQL regression tests, the README's SQL
test: setup lint check-cuda test-core test-pg test-sql

## make setup      install what build and tests need (Debian packages, cargo-pgrx)
setup:
	tests/tools/setup.sh

lint:
	cargo fmt --check
	RUSTFLAGS=" " cargo clippy --all-targets $(CLI) -- -D warnings
	tests/tools/pgrx.sh clippy --all-targets --no-default-features --features "pg$(PGV) pg_test" -- -D warnings

test-core:
	RUSTFLAGS=" " cargo test $(CLI)

test-pg:
	tests/tools/pgrx.sh pgrx test "pg$(PGV)"

test-sql:
	tests/tools/sql.sh

## make test-versions  what `make test` does inside PostgreSQL, in 14, 16, 17 and 18 too, and pg_upgrade between them (an hour)
test-versions:
	tests/tools/versions.sh

## make test-upgrades  fill a database with the library of each git tag v*, then update it (tests/upgrade.sh does so with their scripts)
test-upgrades: setup
	tags=$$(git tag --list 'v*'); [ -n "$$tags" ] || { echo 'no version has a tag yet'; exit; }; tests/upgrade.sh $$tags

## make cli        build the offline program: target/release/coopembed
cli:
	RUSTFLAGS=" " cargo build --release --bin coopembed $(CLI)

## make engine     build the program that computes on an NVIDIA GPU (needs the CUDA toolkit) and put it beside the library
engine:
	RUSTFLAGS=" " cargo build --release --bin coopembed --no-default-features --features cli,cuda
	cp target/release/coopembed target/release/coopembed-cuda
	tests/tools/engine.sh

## make check-cuda  type-check the offline program with CUDA, which need not be installed
check-cuda:
	tests/tools/cuda-check.sh

## make bench      masked distance, embedding and inference speed beside their peers, in one run
bench: setup
	tests/bench/run.sh

## make fuzz       damaged pictures by the thousand, and the fuzz targets where there is a nightly compiler with cargo-fuzz
fuzz:
	tests/fuzz/run.sh

## make bench-train  a training step of the backbone beside PyTorch's
bench-train:
	tests/bench/train.sh

## make valgrind   unit tests of distances, index and graphs under valgrind
valgrind:
	tests/tools/valgrind.sh

## make test-cassert  what is installed, on a PostgreSQL built with assertions
test-cassert:
	tests/tools/cassert.sh

## make third-party  write the licences of all that is linked in, after a dependency has changed
third-party:
	packaging/third-party.py

## make deny       licences, sources and known faults of all dependencies, by cargo-deny
deny:
	tests/tools/deny.sh

## make release    Debian packages, source archives and checksums of the last commit, in target/dist
release:
	packaging/release.sh

## make bench-large  up to 5,000,000 rows (25 GB of disk): building, size, answers, inserting, vacuum, memory, and how each grows
bench-large: setup
	tests/bench/large.sh

## make bench-shards  one table on four servers: what the coordinator adds to the slowest of them
bench-shards: setup
	tests/bench/shards.sh

## make soak       everything at once while processes are killed at random, each answer checked: 20 minutes, or SOAK_SECONDS=
soak: setup
	tests/soak/run.sh
