#!/usr/bin/env bash
# An index is built for the model of the rows that are live. Deleted rows of another model that older snapshots still see are left out,
# and transactions with such snapshots do not use the index, so that they miss no row.
source "$(dirname "$0")/../tools/index_model_fixture.sh"
two_models_cluster
checkxmin() { ask -c "SELECT indcheckxmin FROM pg_index WHERE indexrelid = '$1'::regclass"; }
old_answers() { tell reader "SELECT alike, by_index, answer FROM answers('$1', 'a')"; }
begin_reader() { tell reader "$old_snapshot" >/dev/null; }
end_reader() { tell reader COMMIT >/dev/null; }
open_session reader

table_of_a things
begin_reader
ask -c "$(to_b things)"
expect 'CREATE INDEX succeeds when all live rows have one model' '' "$(ask -c 'CREATE INDEX things_emb ON things USING coop (emb)' 2>&1)"
expect 'the index is marked as unusable for older snapshots' t "$(checkxmin things_emb)"
expect 'a new snapshot uses it' 't|t|300 rows' "$(answers "'things', 'b'")"
expect 'a query of the old model is the same error as by a sequential scan' 't|t|error' "$(answers "'things', 'a'")"
expect 'the old snapshot does without it and misses no row' 't|f|300 rows' "$(old_answers things)"
expect 'coop_index_check() expects no deleted row, not even in an old transaction' '300 300' "$(indexed things_emb) $(tell reader "SELECT coop_index_check('things_emb')")"
end_reader
expect 'live rows of two models are an error' 'index mixed_emb holds embeddings of another model The index: model 2x3@0000000b. The new row: model 2x3@0000000a.' \
  "$(error_of -c 'CREATE TABLE mixed AS TABLE things' -c "UPDATE mixed SET emb = embedding(id, 'a') WHERE id = 300" -c 'CREATE INDEX mixed_emb ON mixed USING coop (emb)')"

table_of_a again
ask -c 'CREATE INDEX again_emb ON again USING coop (emb)'
begin_reader
ask -c 'UPDATE again SET emb = NULL'
expect 'an index built without such rows is usable for every snapshot' f "$(checkxmin again_emb)"
ask -c 'REINDEX INDEX again_emb'
expect 'REINDEX leaves deleted rows out when no live row has a model' t "$(checkxmin again_emb)"
ask -c "$(insert again b 301 330)"
expect 'the index then takes rows of another model' 't|t|330 rows 330' "$(answers "'again', 'b'") $(indexed again_emb)"
expect 'the old snapshot misses no row' 't|f|300 rows' "$(old_answers again)"
end_reader
begin_reader
ask -c 'DELETE FROM again WHERE emb IS NULL' -c 'REINDEX TABLE again'
expect 'a later REINDEX without such rows is usable for every snapshot' 'f 30' "$(checkxmin again_emb) $(indexed again_emb)"
end_reader

table_of_a full_of_them
begin_reader
ask -c "$(to_b full_of_them)" -c 'CREATE INDEX full_emb ON full_of_them USING coop (emb)' -c 'VACUUM FULL full_of_them'
expect 'VACUUM FULL, which keeps such rows, leaves them out of the index' "t|t|300 rows 300 t|f|300 rows" \
  "$(answers "'full_of_them', 'b'") $(indexed full_emb) $(old_answers full_of_them)"
end_reader

table_of_a at_once
expect 'UPDATE and CREATE INDEX in one transaction' '300' \
  "$(ask -c 'BEGIN' -c "$(to_b at_once)" -c 'CREATE INDEX at_once_emb ON at_once USING coop (emb)' -c "SELECT coop_index_check('at_once_emb')" -c 'COMMIT')"
expect 'the index is used after the commit' 't|t|300 rows' "$(answers "'at_once', 'b'")"

ask -c 'CREATE TABLE parts (id int, emb coopvec) PARTITION BY RANGE (id)' -c 'CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100)' \
  -c 'CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (100) TO (1000)' -c "$(insert parts a 1 300)"
begin_reader
ask -c "$(to_b parts)" -c 'CREATE INDEX parts_emb ON parts USING coop (emb)'
expect 'the same holds for partitions' "t|t|300 rows 300 t|f|300 rows" "$(answers "'parts', 'b'") $(indexed parts_emb) $(old_answers parts)"
end_reader

table_of_a meanwhile
begin_reader
ask -c "$(to_b meanwhile)"
ask -c 'CREATE INDEX CONCURRENTLY meanwhile_emb ON meanwhile USING coop (emb)' >"$SCRATCH/concurrently" 2>&1 &
built=$!
waits() { [ "$(ask -c "SELECT count(*) FROM pg_stat_progress_create_index WHERE phase = 'waiting for old snapshots'")" = 1 ]; }
until_true 'CREATE INDEX CONCURRENTLY waits for the reader' waits
expect 'the old snapshot misses no row while an index is built CONCURRENTLY' 't|f|300 rows' "$(old_answers meanwhile)"
end_reader
wait $built || die "$(cat "$SCRATCH/concurrently")"
expect 'CREATE INDEX CONCURRENTLY builds for the live rows' 't|t|300 rows 300' "$(answers "'meanwhile', 'b'") $(indexed meanwhile_emb)"
ask -c 'REINDEX INDEX CONCURRENTLY meanwhile_emb'
expect 'REINDEX CONCURRENTLY, too' 't|t|300 rows 300' "$(answers "'meanwhile', 'b'") $(indexed meanwhile_emb)"

ask -c "CREATE TABLE many AS SELECT i AS id, embedding(i, 'a') AS emb FROM generate_series(1, 12000) i"
begin_reader
ask -c "$(to_b many)" -c 'CREATE INDEX many_emb ON many USING coop (emb)'
expect 'the same holds for an index large enough for groups' "t|t|12000 rows 12000 t|f|12000 rows" \
  "$(answers "'many', 'b'") $(indexed many_emb) $(old_answers many)"
end_reader
finish
