#!/usr/bin/env bash
# Does for other versions of PostgreSQL what `make test` does for 15: lints, cargo pgrx test, SQL regression tests and scripts. Then runs pg_upgrade
# from 15 and each of them to the last of them. Versions that Debian lacks come from PyPI. usage: versions.sh [VERSION...]      (14 16 17 18)
source "$(dirname "$0")/lib.sh"
unset PG_CONFIG
versions=("$@")
[ $# -gt 0 ] || versions=(14 16 17 18)
for version in "${versions[@]}"; do
  say "PostgreSQL $version"
  export PGV=$version
  "$ROOT/tests/tools/setup.sh"
  "$ROOT/tests/tools/pgrx.sh" clippy --all-targets --no-default-features --features "pg$PGV pg_test" -- -D warnings
  "$ROOT/tests/tools/pgrx.sh" pgrx test "pg$PGV"
  "$ROOT/tests/tools/sql.sh"
  echo "PostgreSQL $version: all passed"
done

say "pg_upgrade"
(
  export PGV=15
  "$ROOT/tests/tools/setup.sh"
  find_postgres
  install_extension
)
for version in 15 "${versions[@]}"; do
  [ "$version" -ge "$PGV" ] || "$ROOT/tests/pg_upgrade.sh" "$version"
done
