#!/usr/bin/env bash
# Runs pg_regress in a throw-away cluster: tests/regress/sql against tests/regress/expected. The extension must be installed.
# usage: [WRITE=1] regress.sh [TEST...]      (WRITE=1 writes the output to tests/regress/expected)
source "$(dirname "$0")/lib.sh"
find_postgres
scratch_cluster client_min_messages=warning
input=$(for_server "$SCRATCH" "$ROOT/tests/regress")
for_server "$SCRATCH" "$ROOT/model/emoji" >/dev/null
mkdir -p "$SCRATCH/out"
give_to_server "$SCRATCH/out"
mapfile -t tests < <(cd "$input/sql" && ls ./*.sql | sed 's|^\./||; s|\.sql$||')
[ $# -eq 0 ] || tests=("$@")
pg_regress=$(dirname "$("$PG_CONFIG" --pgxs)")/../../src/test/regress/pg_regress
cd "$SCRATCH"
as_server env REGRESS_DIR="$input" PGHOST="$SCRATCH" PGUSER=postgres "$pg_regress" --bindir="$BIN" --dbname=regress \
  --load-extension=coopembed --inputdir="$input" --outputdir="$SCRATCH/out" "${tests[@]}" || {
  [ -z "${WRITE:-}" ] || { cp "$SCRATCH"/out/results/*.out "$ROOT/tests/regress/expected/"; exit; }
  cat "$SCRATCH/out/regression.diffs" 2>/dev/null || tail -40 "$SCRATCH/server.log"
  exit 1
}
