#!/usr/bin/env bash
# Everything that is tested against an installed extension from outside: regression files, the README, scripts.
source "$(dirname "$0")/lib.sh"
find_postgres
say "installing the extension (dev profile)"
install_extension
for test in "$ROOT"/tests/tools/regress.sh "$ROOT"/tests/*.sh; do
  say "${test#"$ROOT"/}"
  "$test"
done
