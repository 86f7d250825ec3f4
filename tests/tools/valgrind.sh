#!/usr/bin/env bash
# The floors with `unsafe` kernels and page layouts under valgrind: every unit test of src/space, src/index and src/graph. Valgrind's processor
# has AVX2 and no AVX-512, so it is the AVX2 and portable kernels that it sees. usage: valgrind.sh [TEST-NAME...]
source "$(dirname "$0")/lib.sh"
command -v valgrind >/dev/null || die "valgrind is missing: apt-get install valgrind"
cd "$ROOT"
cargo test --no-run --lib --no-default-features --features cli
tests=$(cargo test --no-run --lib --no-default-features --features cli --message-format=json 2>/dev/null \
  | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -1)
[ $# -gt 0 ] || set -- space:: index:: graph::
# Some fifty times slower than without: a quarter of the cases of each property.
PROPTEST_CASES=${PROPTEST_CASES:-64} valgrind --quiet --error-exitcode=9 --num-callers=30 "$tests" --test-threads=1 "$@"
