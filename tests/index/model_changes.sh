#!/usr/bin/env bash
# An index takes another model, or another shape, as soon as no row of its model is live or may come back, and until then refuses it; the
# pages of the rows that are gone are used again.
source "$(dirname "$0")/../tools/index_model_fixture.sh"
two_models_cluster
other_model='index free_emb holds embeddings of another model The index: model 2x3@0000000a. The new row: model 2x3@0000000b.'
short() { grep -o '^index [a-z_]* holds embeddings of another model'; }
ask -c 'CREATE TABLE free (id int, emb coopvec)' -c 'CREATE INDEX free_emb ON free USING coop (emb) WITH (tail_rows = 64)'
ask -c 'BEGIN' -c "$(insert free a 1 10)" -c 'ROLLBACK'
expect 'after a rollback the index answers queries of any model' 't|t|nothing t|t|nothing' "$(answers "'free', 'a'") $(answers "'free', 'b'")"
ask -c "$(insert free b 1 10)"
expect 'and takes rows of any model' 't|t|10 rows t|t|error 10' "$(answers "'free', 'b'") $(answers "'free', 'a'") $(indexed free_emb)"
expect 'a query of another model is no error when WHERE leaves no row, as in a sequential scan' 't|t|nothing' "$(answers "'free', 'a', 'id < 0'")"
expect 'it is one when WHERE leaves a row' 't|t|error' "$(answers "'free', 'a', 'id = 10'")"
ask -c 'INSERT INTO free VALUES (11, NULL)'
expect 'rows without an embedding are no error' 't|t|1 rows' "$(answers "'free', 'a', 'emb IS NULL'")"
expect 'a null query is no error' '11' "$(ask -c 'SET enable_seqscan = off' -c 'SELECT count(*) FROM (SELECT id FROM free ORDER BY emb <-> NULL::coopvec) t')"
ask -c 'TRUNCATE free' -c "$(insert free a 1 10)" -c 'DELETE FROM free' -c 'VACUUM free' -c "$(insert free b 1 10)"
expect 'the model changes after DELETE and VACUUM' 't|t|10 rows 10' "$(answers "'free', 'b'") $(indexed free_emb)"
ask -c 'DELETE FROM free' -c "$(insert free a 1 10)"
expect 'the model changes after DELETE alone' 't|t|10 rows 10' "$(answers "'free', 'a'") $(indexed free_emb)"
expect 'a live row keeps another model out' "$other_model" "$(error_of -c "$(insert free b 1 1)")"

open_session reader
tell reader "$old_snapshot; SELECT count(*) FROM free" >/dev/null
ask -c 'DELETE FROM free'
expect 'so does a deleted row that an older snapshot sees' \
  "$other_model Row (0,10) of the index's model is deleted, but a transaction that has not ended may still see it, or undo that." \
  "$(error_of -c "$(insert free b 1 1)" | sed 's/(0,[0-9]*)/(0,10)/')"
expect_in 'the HINT says what to do' '^HINT:  End older transactions' "$SCRATCH/found"
expect 'the older snapshot still finds the row by the index' 't|t|10 rows' "$(tell reader "SELECT alike, by_index, answer FROM answers('free', 'a')")"
tell reader 'COMMIT' >/dev/null
close_session reader
ask -c "$(insert free b 1 20)"
expect 'when it has ended, the model changes' 't|t|20 rows 20' "$(answers "'free', 'b'") $(indexed free_emb)"
expect 'rows that the same transaction has deleted keep another model out' "index free_emb holds embeddings of another model" \
  "$(error_of -c 'BEGIN' -c 'DELETE FROM free' -c "$(insert free a 1 1)" | short)"
ask -c 'TRUNCATE free'
ask -c 'BEGIN' -c 'SAVEPOINT s' -c "$(insert free a 1 300)" -c 'ROLLBACK TO s' -c "$(insert free b 1 300)" -c 'SAVEPOINT t' -c "$(insert free b 301 310)" -c 'RELEASE t' -c 'COMMIT'
expect 'the model changes after ROLLBACK TO a savepoint' 't|t|310 rows 310' "$(answers "'free', 'b'") $(indexed free_emb)"
expect 'two models in one statement are an error' 'index free_emb holds embeddings of another model' \
  "$(error_of -c 'TRUNCATE free' -c "INSERT INTO free SELECT i, embedding(i, CASE WHEN i < 200 THEN 'a' ELSE 'b' END) FROM generate_series(1, 300) i" | short)"

ask -c 'VACUUM free' -c 'VACUUM free'
ask -c 'BEGIN' -c "$(insert free a 1 12000)" -c 'ROLLBACK'
pages=$(ask -c "SELECT pg_relation_size('free_emb') / 8192")
expect 'thousands of rows in groups that were rolled back are no rows' 't|t|nothing 0' "$(answers "'free', 'b'") $(indexed free_emb)"
ask -c "$(insert free b 1 12000)"
expect 'as many of another model take their place' 't|t|12000 rows t|t|error 12000' "$(answers "'free', 'b'") $(answers "'free', 'a', 'id = 7'") $(indexed free_emb)"
expect 'on the same pages' t "$(ask -c "SELECT pg_relation_size('free_emb') / 8192 <= $pages + 8")"
for model in a b; do
  ask -c 'DELETE FROM free' -c 'VACUUM free' -c "$(insert free $model 1 300)"
  expect "VACUUM frees groups for another model ($model)" 't|t|300 rows 300' "$(answers "'free', '$model'") $(indexed free_emb)"
done
# With fewer rows to a page of the tail.
ask -c 'DELETE FROM free' -c "INSERT INTO free SELECT i, embedding(i, 'b', 40, 40) FROM generate_series(1, 200) i"
expect 'another shape takes its place' '200 200' "$(ask -c 'SET enable_seqscan = off' -c "SELECT count(*) FROM (SELECT FROM free ORDER BY emb <-> embedding(1, 'b', 40, 40)) t") $(indexed free_emb)"
ask -c 'DELETE FROM free' -c "$(insert free a 1 200)"
expect 'and the first shape again' 't|t|200 rows 200' "$(answers "'free', 'a'") $(indexed free_emb)"

# Crashes.
ask -c 'BEGIN' -c 'DELETE FROM free' -c 'COMMIT' -c "$(insert free b 1 700)" -c 'CHECKPOINT' -c 'DELETE FROM free' -c "$(insert free a 1 700)"
crash_cluster
expect 'a crash just after the model changed leaves the new one' 't|t|700 rows 700' "$(answers "'free', 'a'") $(indexed free_emb)"
(while ask -c 'DELETE FROM free' -c "$(insert free a 1 700)" -c 'DELETE FROM free' -c "$(insert free b 1 700)" 2>/dev/null; do :; done) &
changing=$!
sleep 2
crash_cluster
wait $changing 2>/dev/null || true
left=$(ask -c 'SELECT count(*) FROM free')
expect 'a crash while it changes leaves one of them' "$left t" \
  "$(indexed free_emb) $(ask -c "SELECT bool_and(alike) FROM (SELECT * FROM answers('free', 'a') UNION ALL SELECT * FROM answers('free', 'b')) t")"
finish
