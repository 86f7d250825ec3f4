#!/usr/bin/env bash
# After a crash of the server (SIGKILL to the postmaster), during inserts, VACUUM or CREATE INDEX, recovery from WAL leaves an index that
# is sound and agrees with its table; an unlogged index is empty and works.
source "$(dirname "$0")/../tools/index_fixture.sh"
items_cluster 6000

crash_cluster
expect 'after a crash the index is sound' "t 10" "$(sound) $(agree)"
for round in 1 2 3; do
  for client in 1 2 3; do
    (while ask -c "INSERT INTO items (emb) SELECT CASE WHEN i > 4 THEN random_embedding(i) END FROM generate_series(1, 40) i" 2>/dev/null; do :; done) &
  done
  sleep $((round + 1))
  crash_cluster
  wait
  expect "a crash while three clients insert loses nothing (round $round)" "t 10" "$(sound) $(agree)"
done
ask -c "DELETE FROM items WHERE id % 3 = 0"
(ask -c "SET vacuum_cost_delay = 5; SET vacuum_cost_limit = 20; VACUUM items" 2>/dev/null || true) &
sleep 1
crash_cluster
expect 'a crash during VACUUM loses nothing' "t 10" "$(sound) $(agree)"
ask -c "VACUUM items"
expect 'the next VACUUM works' "t 10" "$(sound) $(agree)"
(ask -c "CREATE INDEX items_other ON items USING coop (emb)" 2>/dev/null || true) &
sleep 0.3
crash_cluster
ask -c "DROP INDEX IF EXISTS items_other"
expect 'a crash during CREATE INDEX leaves the table and its other index as they were' "t 10" "$(sound) $(agree)"

ask -c "CREATE UNLOGGED TABLE quick AS SELECT emb FROM items LIMIT 500" -c "CREATE INDEX quick_emb ON quick USING coop (emb)"
crash_cluster
expect 'an unlogged index is empty after a crash' "0 0" \
  "$(ask -c "SELECT coop_index_check('quick_emb')") $(ask -c "SELECT count(*) FROM (SELECT FROM quick ORDER BY emb <-> random_query()) t")"
ask -c "INSERT INTO quick SELECT emb FROM items LIMIT 500"
expect 'an unlogged index takes rows after a crash' 500 "$(ask -c "SELECT coop_index_check('quick_emb')")"
finish
