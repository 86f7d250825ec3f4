#!/usr/bin/env bash
# Runs the unit tests of the folders with `unsafe` kernels and page layouts (src/space, src/index, src/graph) under valgrind. Its processor has
# AVX2 and no AVX-512, so this tests the AVX2 and the portable kernels. usage: valgrind.sh [TEST-NAME...]
source "$(dirname "$0")/lib.sh"
command -v valgrind >/dev/null || die "valgrind is missing: apt-get install valgrind"
cd "$ROOT"
cargo test --no-run --lib --no-default-features --features cli
tests=$(cargo test --no-run --lib --no-default-features --features cli --message-format=json 2>/dev/null \
  | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -1)
[ $# -gt 0 ] || set -- space:: index:: graph::
# Valgrind is some fifty times slower: a quarter of the cases of each property test.
PROPTEST_CASES=${PROPTEST_CASES:-64} valgrind --quiet --error-exitcode=9 --num-callers=30 "$tests" --test-threads=1 "$@"
