#!/usr/bin/env bash
# While eight clients insert, update, delete, roll back and query, and VACUUM runs, every answer is that of a sequential scan in the same
# snapshot, and the index stays sound. usage: concurrent_changes.sh [SECONDS]
source "$(dirname "$0")/../tools/index_fixture.sh"
seconds=${1:-20}
items_cluster 6000
cat >"$SCRATCH/insert.sql" <<'SQL'
INSERT INTO items (emb) SELECT CASE WHEN i > 2 THEN random_embedding(i) END FROM generate_series(1, 20) i;
SQL
cat >"$SCRATCH/change.sql" <<'SQL'
\set some random(1, 40)
UPDATE items SET emb = random_embedding(:some) WHERE id % 400 = :some;
DELETE FROM items WHERE id % 300 = :some;
BEGIN;
SAVEPOINT a;
INSERT INTO items (emb) SELECT random_embedding(i) FROM generate_series(1, 5) i;
ROLLBACK TO a;
INSERT INTO items (emb) VALUES (random_embedding(1));
COMMIT;
SQL
cat >"$SCRATCH/query.sql" <<'SQL'
SELECT compare();
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT compare('items', 3000);
SELECT compare('items', 1000000);
SELECT compare();
COMMIT;
SQL
chmod a+r "$SCRATCH"/*.sql
(while ask -c "VACUUM items" 2>/dev/null; do sleep 0.3; done) &
vacuum=$!
status=0
"$BIN/pgbench" -n -c 8 -j 2 -T "$seconds" -f "$SCRATCH/insert.sql@1" -f "$SCRATCH/change.sql@1" -f "$SCRATCH/query.sql@3" >"$SCRATCH/pgbench.log" 2>&1 || status=$?
kill $vacuum 2>/dev/null || true
wait $vacuum 2>/dev/null || true
expect "for $seconds s every answer is right, and no client is aborted" '0 0' "$status $(grep -c aborted "$SCRATCH/pgbench.log")"
[ "$failed" = 0 ] || grep -v '^progress' "$SCRATCH/pgbench.log" | head -20
expect 'the index is sound afterwards' t "$(sound)"
finish
