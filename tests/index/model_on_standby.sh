#!/usr/bin/env bash
# When the model of an index changes, a standby follows: a snapshot there that still sees rows of the old model is cancelled by recovery.
# coop_index_check() on a standby checks partitioned indexes, and says that unlogged ones are not there.
source "$(dirname "$0")/../tools/index_model_fixture.sh"
two_models_cluster
ask -c 'CREATE TABLE free (id int, emb coopvec)' -c 'CREATE INDEX free_emb ON free USING coop (emb) WITH (tail_rows = 64)' -c "$(insert free a 1 20)" \
  -c 'CREATE UNLOGGED TABLE quick (emb coopvec)' -c 'CREATE INDEX quick_emb ON quick USING coop (emb)' \
  -c 'CREATE TABLE parts (id int, emb coopvec) PARTITION BY RANGE (id)' -c 'CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100)' \
  -c 'CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (100) TO (1000)' -c "$(insert parts b 1 300)" -c 'CREATE INDEX parts_emb ON parts USING coop (emb)'
start_standby standby
standby_follows
PGHOST=$SCRATCH/standby open_session old_reader
expect 'the standby has the rows of the old model' '20' "$(tell old_reader "$old_snapshot; SELECT count(*) FROM free" | tail -1)"
ask -c 'DELETE FROM free' -c "$(insert free b 1 30)"
standby_follows
expect 'a new snapshot has those of the new one' '30 30' "$(on_standby -c "SELECT coop_index_check('free_emb')") $(on_standby -c 'SET enable_seqscan = off' -c "SELECT count(*) FROM (SELECT FROM free ORDER BY emb <-> embedding(1, 'b')) t")"
tell old_reader "SET enable_seqscan = off; SELECT count(*) FROM (SELECT FROM free ORDER BY emb <-> embedding(1, 'a')) t" >"$SCRATCH/found"
expect_in 'the old snapshot is cancelled' 'conflict with recovery' "$SCRATCH/found"
tell old_reader 'ROLLBACK' >/dev/null
expect 'the next snapshot of that session works' '30' "$(tell old_reader "SELECT count(*) FROM (SELECT FROM free ORDER BY emb <-> embedding(1, 'b')) t")"
close_session old_reader
expect 'an unlogged index is not there to be checked' 'index quick_emb is unlogged, and there is nothing to check during recovery A standby gets no rows of unlogged tables and indexes.' \
  "$(PGHOST=$SCRATCH/standby error_of -c "SELECT coop_index_check('quick_emb')")"
expect 'a partitioned index is checked on a standby' "300" "$(on_standby -c "SELECT coop_index_check('parts_emb')")"
finish
