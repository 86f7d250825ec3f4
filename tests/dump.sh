#!/usr/bin/env bash
# Models travel with the database: by pg_dump as text, by a parallel restore, and to a hot standby.
source "$(dirname "$0")/tools/lib.sh"
find_postgres
scratch_cluster wal_level=replica max_wal_senders=2
trap 'stop_cluster "$SCRATCH"; stop_cluster "$SCRATCH/standby"; rm -rf "$SCRATCH"' EXIT

# Every row of the catalogue, and answers that come from them.
rows="SELECT string_agg(md5(row), ' ' ORDER BY row) FROM (
        SELECT t::text AS row FROM coopembed.models t UNION ALL SELECT t::text FROM coopembed.model_weights t
        UNION ALL SELECT t::text FROM coopembed.attributes t UNION ALL SELECT t::text FROM coopembed.attribute_values t
        UNION ALL SELECT t::text FROM coopembed.categories t) catalogue"
answers="SELECT string_agg(id::text, ' ') FROM v_necks;
         SELECT coop_category_query('blouse');
         SELECT coop_like(emb, 'sleeves') FROM products WHERE id = 7"
secret="SELECT has_table_privilege('plain', 'coopembed.model_weights', 'SELECT')
          OR has_function_privilege('plain', 'coop_drop_model(text)', 'EXECUTE')"

ask() { psql_ -At "$@"; }
expect() { # WHAT EXPECTED FOUND
  [ "$2" = "$3" ] || die "$1: expected
$2
found
$3"
}

"$BIN/createdb" shop
ask -d shop -c 'CREATE ROLE plain' -c 'CREATE EXTENSION coopembed' -f "$ROOT/tests/dump.sql"
all_rows=$(ask -d shop -c "$rows")
all_answers=$(ask -d shop -c "$answers")

"$BIN/createdb" text
"$BIN/pg_dump" shop | ask -d text >/dev/null
expect 'rows restored from text' "$all_rows" "$(ask -d text -c "$rows")"
expect 'answers after a restore from text' "$all_answers" "$(ask -d text -c "$answers")"
expect 'rights after a restore from text' f "$(ask -d text -c "$secret")"

"$BIN/createdb" parallel
"$BIN/pg_dump" -Fc -f "$SCRATCH/shop.dump" shop
"$BIN/pg_restore" -e -j 4 -d parallel "$SCRATCH/shop.dump"
expect 'rows restored in parallel' "$all_rows" "$(ask -d parallel -c "$rows")"
expect 'answers after a parallel restore' "$all_answers" "$(ask -d parallel -c "$answers")"

mkdir "$SCRATCH/standby"
give_to_server "$SCRATCH/standby"
as_server "$BIN/pg_basebackup" -h "$SCRATCH" -U postgres -D "$SCRATCH/standby/data" -R -c fast --no-sync
start_cluster "$SCRATCH/standby"
expect 'answers of a hot standby' "$all_answers" "$(ask -d shop -c "$answers")"

# A session of the standby that has its statement prepared sees the model go.
{
  echo "PREPARE near AS SELECT id FROM products ORDER BY emb <-> coop_attr_query('neckline', 'v-neck'), id LIMIT 1;"
  echo "EXECUTE near;"
  PGHOST=$SCRATCH ask -d shop -c "SELECT coop_drop_model('garments')" >/dev/null
  end=$(PGHOST=$SCRATCH ask -d shop -c 'SELECT pg_current_wal_flush_lsn()')
  until [ "$(ask -d shop -c "SELECT pg_last_wal_replay_lsn() >= '$end'")" = t ]; do sleep 0.1; done
  echo "\\set ON_ERROR_STOP off"
  echo "EXECUTE near;"
} | ask -d shop >"$SCRATCH/answer" 2>"$SCRATCH/error"
grep -q 'no model is loaded' "$SCRATCH/error" || die "a model that is gone: $(cat "$SCRATCH/answer" "$SCRATCH/error")"
echo "8 passed, 0 failed"
