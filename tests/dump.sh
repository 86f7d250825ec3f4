#!/usr/bin/env bash
# A dump carries the models: pg_dump into a fresh database, as text and with parallel restore; then to a hot standby.
# usage: tests/dump.sh BINDIR     (PostgreSQL's programs; the extension must be installed there)
# Works as root (the servers then run as $PGUSER_OS, by default postgres) and as an ordinary user.
set -euo pipefail
BIN=$1
HERE=$(cd "$(dirname "$0")" && pwd)
T=$(mktemp -d "${TMPDIR:-/tmp}/coopdump.XXXXXX")
if [ "$(id -u)" = 0 ]; then
  U=${PGUSER_OS:-postgres}
  chown "$U" "$T"
  as() { runuser -u "$U" -- "$@"; }
else
  as() { "$@"; }
fi
stop() {
  for server in standby primary; do
    [ ! -f "$T/$server/postmaster.pid" ] || as "$BIN/pg_ctl" -D "$T/$server" -m immediate -s stop || true
  done
  rm -rf "$T"
}
trap stop EXIT
cd "$T"

start() { # NAME PORT
  as "$BIN/pg_ctl" -D "$T/$1" -l "$T/$1.log" -w -s \
    -o "-p $2 -k $T -c listen_addresses='' -c fsync=off" start || { cat "$T/$1.log"; exit 1; }
}
psql() { "$BIN/psql" -XAtq -v ON_ERROR_STOP=1 "$@"; }
same() { # WHAT EXPECTED FOUND
  [ "$2" = "$3" ] || { printf 'dump.sh: %s differs\nexpected: %s\nfound:    %s\n' "$1" "$2" "$3"; exit 1; }
}

as "$BIN/initdb" -D "$T/primary" -U postgres -A trust --no-sync --locale=C.UTF-8 >"$T/initdb.log"
start primary 5432
export PGHOST=$T PGUSER=postgres PGPORT=5432

# Every row of the catalogue, and the answers that come from it.
ROWS="SELECT string_agg(md5(t::text), ' ' ORDER BY t::text) FROM (
        SELECT m::text AS t FROM coopembed.models m UNION ALL SELECT w::text FROM coopembed.model_weights w
        UNION ALL SELECT a::text FROM coopembed.attributes a UNION ALL SELECT v::text FROM coopembed.attribute_values v
        UNION ALL SELECT c::text FROM coopembed.categories c) rows"
ANSWERS="SELECT string_agg(id::text, ' ') FROM v_necks;
         SELECT coop_category_query('blouse')::text;
         SELECT coop_like(emb, 'sleeves') FROM products WHERE id = 7"

"$BIN/createdb" shop
psql -d shop -c 'CREATE EXTENSION coopembed' -f "$HERE/catalog.sql"
rows=$(psql -d shop -c "$ROWS")
answers=$(psql -d shop -c "$ANSWERS")

"$BIN/createdb" text
"$BIN/pg_dump" shop | psql -d text >/dev/null
same 'the catalogue restored from text' "$rows" "$(psql -d text -c "$ROWS")"
same 'the answers after restoring from text' "$answers" "$(psql -d text -c "$ANSWERS")"
same 'a dump of the dump' "$("$BIN/pg_dump" shop | grep -v '^.restrict\|^.unrestrict' | md5sum)" \
  "$("$BIN/pg_dump" text | grep -v '^.restrict\|^.unrestrict' | md5sum)"

"$BIN/createdb" custom
"$BIN/pg_dump" -Fc -f "$T/shop.dump" shop 2>/dev/null || { as "$BIN/pg_dump" -Fc -f "$T/shop.dump" shop; }
"$BIN/pg_restore" -e -j 2 -d custom "$T/shop.dump"
same 'the catalogue restored in parallel' "$rows" "$(psql -d custom -c "$ROWS")"
same 'the answers after restoring in parallel' "$answers" "$(psql -d custom -c "$ANSWERS")"
same 'the privileges after a restore' "f" \
  "$(psql -d custom -c 'CREATE ROLE plain' -c "SELECT has_table_privilege('plain', 'coopembed.model_weights', 'SELECT')
     OR has_function_privilege('plain', 'coop_drop_model(text)', 'EXECUTE')")"

as "$BIN/pg_basebackup" -D "$T/standby" -R -c fast --no-sync
start standby 5433
same 'the answers of a hot standby' "$answers" "$(psql -p 5433 -d shop -c "$ANSWERS")"
# A session of the standby that has prepared its statement sees the model go.
{
  echo "PREPARE near AS SELECT id FROM products ORDER BY emb <-> coop_attr_query('neckline', 'v-neck') LIMIT 1;"
  echo "EXECUTE near; EXECUTE near;"
  psql -d shop -c "SELECT coop_drop_model('garments')" >/dev/null
  lsn=$(psql -d shop -c 'SELECT pg_current_wal_lsn()')
  until [ "$(psql -p 5433 -d shop -c "SELECT pg_last_wal_replay_lsn() >= '$lsn'")" = t ]; do sleep 0.1; done
  echo "\\set ON_ERROR_STOP off"
  echo "EXECUTE near;"
} | psql -p 5433 -d shop >"$T/out" 2>"$T/err"
grep -q 'no model is loaded' "$T/err" || { cat "$T/out" "$T/err"; exit 1; }
echo "dump.sh: ok"
