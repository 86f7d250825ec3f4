#!/usr/bin/env bash
# coop_index_check() of a partitioned index checks all its partitions; of what it cannot check it says why.
source "$(dirname "$0")/../tools/lib.sh"
find_postgres
scratch_cluster autovacuum=off
export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"
ask >/dev/null <<'SQL'
CREATE EXTENSION coopembed;
CREATE TABLE parts (id int, emb coopvec) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (id);
CREATE TABLE parts_2a PARTITION OF parts_2 FOR VALUES FROM (100) TO (150);
CREATE TABLE parts_2b PARTITION OF parts_2 FOR VALUES FROM (150) TO (200);
CREATE INDEX parts_emb ON parts USING coop (emb);
INSERT INTO parts SELECT i, format('1x2@0000002a:[%s,1]', i)::coopvec FROM generate_series(1, 199) i;
CREATE TABLE nothing (id int, emb coopvec) PARTITION BY RANGE (id);
CREATE INDEX nothing_emb ON nothing USING coop (emb);
CREATE INDEX parts_id ON parts (id);
SQL
expect 'all partitions of a partitioned index are checked' '199 100 0' \
  "$(ask -c "SELECT coop_index_check('parts_emb')" -c "SELECT coop_index_check('parts_2_emb_idx')" -c "SELECT coop_index_check('nothing_emb')" | xargs)"
message() { ask -c "SELECT coop_index_check('$1')" 2>&1 | sed -n 's/^\(ERROR\|DETAIL\|HINT\): *//p' | tr '\n' ' ' | sed 's/"//g; s/ $//'; }
expect 'an index of another access method is refused' 'parts_id is not an index of access method coop' "$(message parts_id)"
expect 'a table is refused' 'parts is not an index of access method coop' "$(message parts)"
file=$(ask -c "SELECT pg_relation_filepath('parts_2b_emb_idx')" -c CHECKPOINT)
stop_cluster "$SCRATCH"
# From 18 on PostgreSQL would find the damage by itself.
as_server "$BIN/pg_checksums" --disable -D "$SCRATCH/data" >/dev/null 2>&1 || true
printf 'damage!!' | dd of="$SCRATCH/data/$file" bs=1 seek=$((8192 * 2 + 40)) conv=notrunc status=none
start_cluster "$SCRATCH"
expect 'damage in a partition is found' 'index parts_2b_emb_idx is corrupt' "$(message parts_emb | grep -o '^index parts_2b_emb_idx is corrupt')"
ask -c 'REINDEX INDEX parts_2b_emb_idx' -c 'CREATE INDEX only_emb ON ONLY parts USING coop (emb)'
expect 'a partitioned index that lacks a partition is not valid' \
  'index only_emb is not valid Some partitions have no index that belongs to it. Create an index on each of them, and attach it with ALTER INDEX ... ATTACH PARTITION.' "$(message only_emb)"

ask -c 'CREATE TABLE twice (id int, emb coopvec)' -c "INSERT INTO twice VALUES (1, '1x2@0000002a:[1,0]'), (2, '1x2@0000002b:[1,0]')"
expect_error 'two models in one index are an error' 'another model' -c 'CREATE INDEX CONCURRENTLY twice_emb ON twice USING coop (emb)'
expect 'the index that CONCURRENTLY could not build is not ready' \
  'index twice_emb is not ready Building or dropping it CONCURRENTLY has not ended, or has failed, so that it may lack rows. If nobody is building it, REINDEX or drop it.' "$(message twice_emb)"
open_session other
tell other 'CREATE TEMP TABLE mine (emb coopvec); CREATE INDEX mine_emb ON mine USING coop (emb)'
index=$(ask -c "SELECT oid FROM pg_class WHERE relname = 'mine_emb'")
expect 'an index on a temporary table of another session is refused' \
  'index mine_emb is on a temporary table of another session Only the session that made a temporary table can read it.' "$(message "$index")"
close_session other
finish
