#!/usr/bin/env bash
# On a server that is short of memory every statement answers or fails with SQLSTATE 53200, and no backend aborts, which would restart the
# cluster. The address space of the server's processes is limited, in steps from hardly enough to plenty. usage: [MEMORY_STEPS="MB..."] statements.sh
source "$(dirname "$0")/../tools/lib.sh"
find_postgres
scratch_cluster shared_buffers=16MB
export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"
load_demo
ask <<'SQL' >/dev/null
CALL coop_embed_table('products', 'image', 'emb');
CREATE INDEX products_emb ON products USING coop (emb);
-- Ids of 2 kB each, so that paths and their texts are long; and numbers without a model.
CREATE TABLE chain AS SELECT repeat('x', 2000) || i AS id, format('1x1@0000002a:[%s]', i)::coopvec AS emb FROM generate_series(1, 2000) i;
CREATE TABLE many AS SELECT i AS id, format('2x2@0000002a:[%s,0,%s,1]', i % 1000, i / 1000)::coopvec AS emb FROM generate_series(1, 30000) i;
CREATE TABLE few AS SELECT * FROM many WHERE id <= 1000;
CREATE INDEX many_emb ON many USING coop (emb);
CREATE TABLE numbers AS SELECT array_agg(i::real) AS n FROM generate_series(1, 3000000) i;
SQL
stop_cluster "$SCRATCH"

# Statements of every kind whose size a user chooses.
cat >"$SCRATCH/statements.sql" <<'SQL'
\set VERBOSITY sqlstate
\o /dev/null
SELECT pg_column_size(('1x1@0000002a:[' || repeat('1,', 20000000) || '1]')::coopvec);
SELECT pg_column_size(('1x1@0000002a:{0;0:1*[' || repeat('1,', 20000000) || '1]}')::coopquery);
SELECT pg_column_size(('16384x1@0000002a:{0' || repeat(';0:1*[1]', 4000000) || '}')::coopquery);
SELECT pg_column_size(('\x' || repeat('01', 20000000))::coopvec);
SELECT pg_column_size((repeat('?', 40000000))::coopvec);
SELECT coop_vector(n) FROM numbers;
SELECT coop_attr_query(repeat('hue', 10000000), 'green');
SELECT coop_attr_query('hue', repeat('green', 8000000));
SELECT coop_category_query(repeat('a', 40000000));
SELECT coop_define_category(repeat('a', 40000000), avg(emb)) FROM products;
SELECT coop_load_model('x', repeat('{', 40000000), '');
SELECT coop_load_model('x', '{"a":"' || repeat('b', 40000000) || '"}', '');
SELECT coop_load_model('x', '{}', decode(repeat('00', 30000000), 'hex'));
SELECT coop_load_model('x', '[' || repeat('[],', 10000000) || '[]]', '');
SELECT count(*) FROM coop_attribute_values(repeat('hue', 10000000));
SELECT count(coop_tags(emb)) FROM products;
SELECT coop_embed(image) IS NOT NULL FROM products LIMIT 4;
SELECT coop_embed(decode(repeat('00', 30000000), 'hex'));
SELECT count(*) FROM (SELECT id FROM many ORDER BY emb <-> '2x2@0000002a:[500,0,15,1]'::coopvec) t;
SELECT id FROM many ORDER BY emb <-> '2x2@0000002a:{0;0:1*[500,0]}'::coopquery LIMIT 3;
SELECT max(step) FROM coop_transition('chain', 'id', 'emb', repeat('x', 2000) || 1, repeat('x', 2000) || 2000, k => 2);
SELECT count(*) FROM coop_transition('few', 'id', 'emb', 1, 1000, k => 8);
SELECT count(*) FROM coop_duplicates('products', 'id', 'emb', 100);
SELECT count(*) FROM coop_search(NULL::many, 'emb', '2x2@0000002a:[500,0,15,1]'::coopvec::coopquery, 20000);
SELECT coop_index_check('many_emb');
REINDEX INDEX many_emb;
SQL

embedded=0
started() { psql_ -At -c 'SELECT pg_postmaster_start_time()'; }
for megabytes in ${MEMORY_STEPS:-260 330 700}; do
  (SERVER_MEMORY=$((megabytes * 1024)) start_cluster "$SCRATCH" fsync=off shared_buffers=16MB max_connections=10) >"$SCRATCH/start" 2>&1 ||
    { echo "$megabytes MB: not enough for a server: $(tail -3 "$SCRATCH/start")"; continue; }
  export PGHOST=$SCRATCH PGUSER=postgres
  since=$(started)
  # Where there is too little for the service, each image would wait for it.
  cp "$SCRATCH/statements.sql" "$SCRATCH/run.sql"
  if [ "$(psql_ -At -c "SET statement_timeout = '10s'" -c "SELECT coop_embed(image) IS NOT NULL FROM products WHERE id = 41" 2>/dev/null || true)" = t ]; then
    embedded=$((embedded + 1))
  else
    sed -i '/coop_embed(image)/d' "$SCRATCH/run.sql"
  fi
  # All in one session, whose memory was used by those before; then each in a session of its own.
  psql_ -v ON_ERROR_STOP=0 -f "$SCRATCH/run.sql" >"$SCRATCH/errors" 2>&1 || true
  sed '/^\\/d' "$SCRATCH/run.sql" | while read -r statement; do
    psql_ -v ON_ERROR_STOP=0 -v VERBOSITY=sqlstate -c "$statement" 2>>"$SCRATCH/errors" >/dev/null || true
  done
  expect "$megabytes MB: no process crashed, and the postmaster is the same" "$since" "$(started)$(crashes)"
  expect "$megabytes MB: no connection is lost, and there are no internal errors" '' "$(grep -i 'server closed the connection\|panicked\|XX000' "$SCRATCH/errors" || true)"
  echo "$megabytes MB: $(sed -n 's/.*ERROR:  \([0-9A-Z]\{5\}\).*/\1/p' "$SCRATCH/errors" | sort | uniq -c | xargs)"
  stop_cluster "$SCRATCH"
done

check "with enough memory images are embedded (in $embedded steps)" [ "$embedded" -gt 0 ]
finish
