# Two commands matter: `make demo` shows what coopembed does on real images, `make test` runs all tests.
PGV ?= 15
export PGV
CLI := --no-default-features --features cli

.PHONY: help setup demo demo-stop test test-core test-pg test-sql test-script test-versions test-upgrades lint cli engine check-cuda bench \
	bench-train bench-large bench-shards fuzz soak valgrind test-cassert third-party deny release
help:
	@sed -n 's/^## //p' Makefile | awk -F '  +' '{ printf "%-46s %s\n", $$1, $$2 }'

## make demo       build, start a PostgreSQL cluster of its own, embed a gallery of clothes, answer queries of each kind
##                 (MODEL=emoji: of emoji; PHOTOS=DIR: of photographs, see "coopembed data clothes --help")
demo: setup
	src/demo/demo.sh $(if $(PHOTOS),--photos "$(PHOTOS)")

## make demo-stop  stop and remove the demo's cluster
demo-stop:
	src/demo/demo.sh stop

## make test       all tests: format, lints, CUDA type check, unit tests, server tests, SQL regression tests, test scripts (40 minutes at most)
test: setup lint check-cuda test-core test-pg test-sql

## make setup      install what build and tests need: Debian packages and cargo-pgrx
setup:
	tests/tools/setup.sh

## make lint       format and lints, of the program and of the extension
lint:
	cargo fmt --check
	RUSTFLAGS=" " cargo clippy --all-targets $(CLI) -- -D warnings
	tests/tools/pgrx.sh clippy --all-targets --no-default-features --features "pg$(PGV) pg_test" -- -D warnings

## make test-core  unit and integration tests that need no PostgreSQL
test-core:
	RUSTFLAGS=" " cargo test $(CLI)

## make test-pg    tests that run inside a PostgreSQL server (cargo pgrx test)
test-pg:
	tests/tools/pgrx.sh pgrx test "pg$(PGV)"

## make test-sql   SQL regression tests and every test script under tests/, with a list of the failures at the end
test-sql:
	tests/tools/sql.sh

## make test-script SCRIPT=tests/index/standby.sh  install the extension and run one test script, or several
test-script:
	tests/tools/sql.sh $(SCRIPT)

## make test-versions  lints, server tests and test scripts on PostgreSQL 14, 16, 17 and 18, and pg_upgrade between them (hours)
test-versions:
	tests/tools/versions.sh

## make test-upgrades  update a database that was filled with the library of each git tag v* (`make test-sql` uses their SQL scripts alone)
test-upgrades: setup
	tags=$$(git tag --list 'v*'); [ -n "$$tags" ] || { echo 'no version has a tag yet'; exit; }; tests/upgrade.sh $$tags

## make cli        build the command-line program, target/release/coopembed
cli:
	RUSTFLAGS=" " cargo build --release --bin coopembed $(CLI)

## make engine     build the program that computes on an NVIDIA GPU, which needs the CUDA toolkit, and install it beside the library
engine:
	RUSTFLAGS=" " cargo build --release --bin coopembed --no-default-features --features cli,cuda
	cp target/release/coopembed target/release/coopembed-cuda
	tests/tools/engine.sh

## make check-cuda  type-check the program with CUDA, which need not be installed
check-cuda:
	tests/tools/cuda-check.sh

## make bench      speed of masked distance, index, embedding and inference, beside pgvector's, ONNX Runtime's and PyTorch's
bench: setup
	tests/bench/run.sh

## make fuzz       a million damaged images, and the fuzz targets where there are a nightly compiler and cargo-fuzz
fuzz:
	tests/fuzz/run.sh

## make bench-train  time of a training step beside PyTorch's
bench-train:
	tests/bench/train.sh

## make valgrind   unit tests of distances, index and graphs under valgrind
valgrind:
	tests/tools/valgrind.sh

## make test-cassert  test the installed extension on a PostgreSQL built with assertions
test-cassert:
	tests/tools/cassert.sh

## make third-party  write packaging/THIRD-PARTY.txt, after a dependency has changed
third-party:
	packaging/third-party.py

## make deny       check licences, sources and security advisories of all dependencies with cargo-deny
deny:
	tests/tools/deny.sh

## make release    build Debian packages, source archives and checksums of the last commit in target/dist
release:
	packaging/release.sh

## make bench-large  the index on up to 5,000,000 rows (30 GB of disk): build, size, queries, inserts, VACUUM, memory, and how they grow
bench-large: setup
	tests/bench/large.sh

## make bench-shards  one table on four servers: what the coordinator adds to the time of the slowest
bench-shards: setup
	tests/bench/shards.sh

## make soak       check every answer while sessions read and write and processes are killed: 20 minutes, or SOAK_SECONDS=
soak: setup
	tests/soak/run.sh
