#!/usr/bin/env bash
# A server that hangs can be waited for no longer than statement_timeout; one that is down is an error or is skipped with a warning, and takes
# part again when it is back; one that is added takes rows over. The answers stay those of one table.
source "$(dirname "$0")/../tools/shards_fixture.sh"
sharded_cluster 3000
search="SELECT count(*) FROM coop_search(NULL::items, 'emb', made_query(0))"

PGHOST=$SCRATCH/shard2 open_session locker
tell locker 'BEGIN; LOCK TABLE items' >/dev/null
expect_error 'statement_timeout ends the wait for a server' 'statement timeout' -c "SET statement_timeout = 500" -c "$search"
close_session locker

# A server that is down, seen by a session that is connected to it.
open_session connected
expect 'a session is connected to all servers' 5 "$(tell connected 'SELECT compare(5)')"
stop_cluster "$SCRATCH/shard2"
tell connected "$search" >"$SCRATCH/down"
expect_in 'a server that is down is an error that names it' 'ERROR:  could not connect to server "shard2"' "$SCRATCH/down"
tell connected "SELECT compare(5, 'NOT satisfies_hash_partition(''items''::regclass, 5, 2, id)', true)" >"$SCRATCH/down"
expect_in 'its partition can be skipped, with a warning' 'WARNING:  partition items_2 is left out: its server cannot be reached' "$SCRATCH/down"
expect_in 'the others give the nearest of their rows' '^5$' "$SCRATCH/down"
for variety in "distinct_on => 'kind'" 'diversity => 0.5' "distinct_on => 'kind', diversity => 0.5"; do
  found="SELECT string_agg(id || '/' || kind, ' ') FROM coop_search(NULL::hit"
  expect "and for variety ($variety)" "$(ask -c "${found/hit/one}, 'emb', made_query(0), 3, 'NOT satisfies_hash_partition(''items''::regclass, 5, 2, id)', $variety)")" \
    "$(tell connected "${found/hit/items}, 'emb', made_query(0), 3, skip_unreachable => true, $variety)" 2>/dev/null | grep / || true)"
done
ask -c 'BEGIN' -c 'ALTER TABLE items DETACH PARTITION items_2' -c "$search" -c 'ROLLBACK' >"$SCRATCH/found"
expect_in 'or it can be detached' '^10$' "$SCRATCH/found"
start_shard 2
expect 'it takes part again when it is back, in the same session' '5 5' "$(tell connected "SELECT compare(5); SELECT compare(5, 'true', true)" | xargs)"
close_session connected
for n in 1 2 3 4; do stop_cluster "$SCRATCH/shard$n"; done
expect_error 'if no server can be reached, skipping them is an error' 'ERROR:  no server of a partition can be reached' \
  -c "ALTER TABLE items DETACH PARTITION items_0" -c "SELECT count(*) FROM coop_search(NULL::items, 'emb', made_query(0), skip_unreachable => true)"
ask -c 'ALTER TABLE items ATTACH PARTITION items_0 FOR VALUES WITH (MODULUS 5, REMAINDER 0)'
for n in 1 2 3 4; do start_shard $n; done

# One more server takes over half of a partition.
new_shard 5
ask <<'SQL'
BEGIN;
ALTER TABLE items DETACH PARTITION items_4;
CREATE FOREIGN TABLE items_9 (id int, kind text, emb coopvec) SERVER shard5 OPTIONS (table_name 'items');
-- OFFSET 0: the other server does not know this table, and could not tell where a row belongs.
INSERT INTO items_9 SELECT * FROM (SELECT * FROM items_4 OFFSET 0) p WHERE satisfies_hash_partition('items'::regclass, 10, 9, id);
DELETE FROM items_4 WHERE id IN (SELECT id FROM items_9);
ALTER TABLE items ATTACH PARTITION items_4 FOR VALUES WITH (MODULUS 10, REMAINDER 4);
ALTER TABLE items ATTACH PARTITION items_9 FOR VALUES WITH (MODULUS 10, REMAINDER 9);
COMMIT;
SQL
expect 'a server that is added takes over rows' 't 3001' "$(on_shard 5 -c 'SELECT count(*) BETWEEN 225 AND 375 FROM items') $(ask -c 'SELECT count(*) FROM items')"
expect 'and the answers stay' 100 "$(ask -c "SELECT compare(100)")"
ask -c "INSERT INTO one SELECT i, 'new', made_embedding(i) FROM generate_series(7001, 7100) i" -c "INSERT INTO items SELECT * FROM one WHERE id > 7000" \
  -c "DELETE FROM items WHERE id % 5 = 0" -c "DELETE FROM one WHERE id % 5 = 0"
expect 'also after rows are inserted and deleted' 100 "$(ask -c "SELECT compare(100)")"
ask <<'SQL'
BEGIN;
ALTER TABLE items DETACH PARTITION items_3;
CREATE TABLE items_3_by_kind PARTITION OF items FOR VALUES WITH (MODULUS 5, REMAINDER 3) PARTITION BY LIST (kind);
CREATE TABLE items_3_none PARTITION OF items_3_by_kind FOR VALUES IN ('none');
ALTER TABLE items_3_by_kind ATTACH PARTITION items_3 DEFAULT;
COMMIT;
SQL
plan "ORDER BY $green LIMIT 10"
in_plan 'partitions of partitions are asked, too' 5 "$remote $order LIMIT 10::bigint"
expect 'and the answers are the same' 40 "$(ask -c "SELECT compare(40)")"
finish
