#!/usr/bin/env bash
# Runs cargo with the environment that pgrx needs, as root or as an ordinary user. usage: pgrx.sh CARGO-ARGUMENTS
source "$(dirname "$0")/lib.sh"
find_postgres
if [ "$(id -u)" = 0 ]; then
  export CARGO_PGRX_TEST_RUNAS=$SERVER_USER CARGO_PGRX_TEST_PGDATA=/tmp/coopembed-pgtest-$PGV
  mkdir -p "$CARGO_PGRX_TEST_PGDATA"
  give_to_server "$CARGO_PGRX_TEST_PGDATA"
fi
cd "$ROOT"
exec cargo "$@"
