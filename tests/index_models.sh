#!/usr/bin/env bash
# Whose embeddings an index holds: the model of its live rows. Rows of other models that are dead, or that older snapshots still see.
source "$(dirname "$0")/tools/lib.sh"
find_postgres
seconds=${1:-10}
scratch_cluster wal_level=replica max_wal_senders=4 autovacuum=off
export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"
trap 'for c in . standby; do stop_cluster "$SCRATCH/$c" 2>/dev/null; done; rm -rf "$SCRATCH"' EXIT

ask <<'SQL'
CREATE EXTENSION coopembed;
CREATE FUNCTION row_of(seed int, model text, k int DEFAULT 2, n int DEFAULT 3) RETURNS coopvec LANGUAGE sql IMMUTABLE AS $$
    SELECT format('%sx%s@%s:[%s]', k, n, CASE model WHEN 'a' THEN '0000000a' ELSE '0000000b' END, (
        SELECT string_agg(round((hashint4(seed * 31 + i) / 2147483648.0)::numeric, 3)::text, ',') FROM generate_series(1, k * n) i))::coopvec $$;
-- What a sequential scan and an index scan say to a question, rows or an error; and whether the second was one.
CREATE FUNCTION answers(tab text, model text, cond text DEFAULT 'true', OUT alike bool, OUT by_index bool, OUT answer text) LANGUAGE plpgsql AS $$
DECLARE
    ask text := format('SELECT string_agg(id || '' '' || coalesce(d::text, ''null''), '','' ORDER BY d, id) FROM (SELECT id, emb <-> %2$L::coopvec AS d FROM %1$s WHERE %3$s
        ORDER BY emb <-> %2$L::coopvec) t', tab, row_of(1, model), cond);
    found text[]; one text; line text;
BEGIN
    by_index := false;
    FOR i IN 1 .. 2 LOOP
        PERFORM set_config('enable_indexscan', CASE i WHEN 1 THEN 'off' ELSE 'on' END, true), set_config('enable_seqscan', CASE i WHEN 1 THEN 'on' ELSE 'off' END, true);
        BEGIN
            EXECUTE ask INTO one;
        EXCEPTION WHEN data_exception THEN
            GET STACKED DIAGNOSTICS one = MESSAGE_TEXT, line = PG_EXCEPTION_DETAIL;
            one := one || ': ' || line;
        END;
        found[i] := coalesce(one, 'nothing');
    END LOOP;
    FOR line IN EXECUTE 'EXPLAIN ' || ask LOOP
        by_index := by_index OR line LIKE '%Index Scan using%';
    END LOOP;
    alike := found[1] = found[2];
    answer := CASE WHEN found[1] ~ '^embeddings' THEN 'error' WHEN found[1] = 'nothing' THEN found[1] ELSE array_length(string_to_array(found[1], ','), 1) || ' rows' END;
END $$;
SQL
same() { ask -c "SELECT alike, by_index, answer FROM answers($1)"; }
sound() { ask -c "SELECT coop_index_check('$1')"; }
fails() { # SQL...: what the error says
  ask "$@" >"$SCRATCH/found" 2>&1 && { echo 'no error'; return; }
  sed -n 's/^ERROR: *//p; s/^DETAIL: *//p' "$SCRATCH/found" | tr -d '"' | tr '\n' ' ' | sed 's/ $//'
}

# Sessions that stay.
declare -A into
session() { # NAME
  mkfifo "$SCRATCH/$1.in"
  psql_ -At -v ON_ERROR_STOP=0 <"$SCRATCH/$1.in" >"$SCRATCH/$1.out" 2>&1 &
  exec {into[$1]}>"$SCRATCH/$1.in"
}
tell() { # NAME SQL: what it answers
  local from mark
  mark=done:$(date +%s%N)
  from=$(wc -c <"$SCRATCH/$1.out")
  printf '%s;\n\\echo %s\n' "$2" "$mark" >&"${into[$1]}"
  for _ in $(seq 600); do grep -q "^$mark" "$SCRATCH/$1.out" && break; sleep 0.05; done
  tail -c "+$((from + 1))" "$SCRATCH/$1.out" | grep -v "^$mark" || true
}
part() { exec {into[$1]}>&-; rm "$SCRATCH/$1.in"; }

# Deleted rows that older snapshots see.
old="BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class WHERE false;"
table() { # NAME: 300 rows of model a
  ask -c "CREATE TABLE $1 (id int PRIMARY KEY, emb coopvec)" -c "INSERT INTO $1 SELECT i, row_of(i, 'a') FROM generate_series(1, 300) i"
}
to_b() { echo "UPDATE $1 SET emb = row_of(id, 'b')"; }
checkxmin() { ask -c "SELECT indcheckxmin FROM pg_index WHERE indexrelid = '$1'::regclass"; }
session reader
table things
expect 'a reader has an old snapshot' 0 "$(tell reader "$old")"
ask -c "$(to_b things)"
expect 'CREATE INDEX is content with the model of the rows that are there' '' "$(ask -c 'CREATE INDEX things_emb ON things USING coop (emb)' 2>&1)"
expect 'older snapshots must not use it' t "$(checkxmin things_emb)"
expect 'new ones do, and get what a sequential scan gets' 't|t|300 rows' "$(same "'things', 'b'")"
expect 'and the same error for the old model' 't|t|error' "$(same "'things', 'a'")"
expect 'the old snapshot goes without it, and lacks no row' 't|f|300 rows' "$(tell reader "SELECT alike, by_index, answer FROM answers('things', 'a')")"
expect 'deleted rows are not looked for by the check, not even in an old transaction' '300 300' "$(sound things_emb) $(tell reader "SELECT coop_index_check('things_emb')")"
tell reader 'COMMIT;' >/dev/null
expect 'two models among rows that are there are an error' 'index mixed_emb holds embeddings of another model The index: model 2x3@0000000b. The new row: model 2x3@0000000a.' \
  "$(fails -c 'CREATE TABLE mixed AS TABLE things' -c "UPDATE mixed SET emb = row_of(id, 'a') WHERE id = 300" -c 'CREATE INDEX mixed_emb ON mixed USING coop (emb)')"

table again
ask -c 'CREATE INDEX again_emb ON again USING coop (emb)'
tell reader "$old" >/dev/null
ask -c 'UPDATE again SET emb = NULL'
expect 'a built index was usable for everybody' f "$(checkxmin again_emb)"
ask -c 'REINDEX INDEX again_emb'
expect 'REINDEX leaves deleted rows out when no row is left to tell the model' t "$(checkxmin again_emb)"
ask -c "INSERT INTO again SELECT i, row_of(i, 'b') FROM generate_series(301, 330) i"
expect 'so that another one has room' 't|t|330 rows 330' "$(same "'again', 'b'") $(sound again_emb)"
expect 'while the old snapshot lacks no row' 't|f|300 rows' "$(tell reader "SELECT alike, by_index, answer FROM answers('again', 'a')")"
tell reader 'COMMIT;' >/dev/null
tell reader "$old" >/dev/null
ask -c 'DELETE FROM again WHERE emb IS NULL' -c 'REINDEX TABLE again'
expect 'a later REINDEX without such rows lets everybody use it' 'f 30' "$(checkxmin again_emb) $(sound again_emb)"
tell reader 'COMMIT;' >/dev/null

table full_of_them
tell reader "$old" >/dev/null
ask -c "$(to_b full_of_them)" -c 'CREATE INDEX full_emb ON full_of_them USING coop (emb)' -c 'VACUUM FULL full_of_them'
expect 'so does VACUUM FULL, which carries them along' "t|t|300 rows 300 t|f|300 rows" \
  "$(same "'full_of_them', 'b'") $(sound full_emb) $(tell reader "SELECT alike, by_index, answer FROM answers('full_of_them', 'a')")"
tell reader 'COMMIT;' >/dev/null

table at_once
expect 'UPDATE and CREATE INDEX in one transaction' '300' \
  "$(ask -c 'BEGIN' -c "$(to_b at_once)" -c 'CREATE INDEX at_once_emb ON at_once USING coop (emb)' -c "SELECT coop_index_check('at_once_emb')" -c 'COMMIT')"
expect 'then it is used' 't|t|300 rows' "$(same "'at_once', 'b'")"

ask -c 'CREATE TABLE parts (id int, emb coopvec) PARTITION BY RANGE (id)' -c 'CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100)' \
  -c 'CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (100) TO (1000)' -c "INSERT INTO parts SELECT i, row_of(i, 'a') FROM generate_series(1, 300) i"
tell reader "$old" >/dev/null
ask -c "$(to_b parts)" -c 'CREATE INDEX parts_emb ON parts USING coop (emb)'
expect 'partitions' "t|t|300 rows 300 t|f|300 rows" \
  "$(same "'parts', 'b'") $(sound parts_emb) $(tell reader "SELECT alike, by_index, answer FROM answers('parts', 'a')")"
tell reader 'COMMIT;' >/dev/null

table meanwhile
tell reader "$old" >/dev/null
ask -c "$(to_b meanwhile)"
ask -c 'CREATE INDEX CONCURRENTLY meanwhile_emb ON meanwhile USING coop (emb)' >"$SCRATCH/concurrently" 2>&1 &
built=$!
waits() { [ "$(ask -c "SELECT count(*) FROM pg_stat_progress_create_index WHERE phase = 'waiting for old snapshots'")" = 1 ]; }
until_true 'CREATE INDEX CONCURRENTLY waits for the reader' waits
expect 'the old snapshot while an index is being built CONCURRENTLY' 't|f|300 rows' "$(tell reader "SELECT alike, by_index, answer FROM answers('meanwhile', 'a')")"
tell reader 'COMMIT;' >/dev/null
wait $built || die "$(cat "$SCRATCH/concurrently")"
expect 'CREATE INDEX CONCURRENTLY' 't|t|300 rows 300' "$(same "'meanwhile', 'b'") $(sound meanwhile_emb)"
ask -c 'REINDEX INDEX CONCURRENTLY meanwhile_emb'
expect 'REINDEX CONCURRENTLY' 't|t|300 rows 300' "$(same "'meanwhile', 'b'") $(sound meanwhile_emb)"

ask -c "CREATE TABLE many AS SELECT i AS id, row_of(i, 'a') AS emb FROM generate_series(1, 12000) i"
tell reader "$old" >/dev/null
ask -c "$(to_b many)" -c 'CREATE INDEX many_emb ON many USING coop (emb)'
expect 'with groups' "t|t|12000 rows 12000 t|f|12000 rows" \
  "$(same "'many', 'b'") $(sound many_emb) $(tell reader "SELECT alike, by_index, answer FROM answers('many', 'a')")"
tell reader 'COMMIT;' >/dev/null

# The model is that of live rows.
another='index free_emb holds embeddings of another model The index: model 2x3@0000000a. The new row: model 2x3@0000000b.'
put() { echo "INSERT INTO free SELECT i, row_of(i, '$1') FROM generate_series($2, $3) i"; }
ask -c 'CREATE TABLE free (id int, emb coopvec)' -c 'CREATE INDEX free_emb ON free USING coop (emb) WITH (tail_rows = 64)'
ask -c 'BEGIN' -c "$(put a 1 10)" -c 'ROLLBACK'
expect 'after a rollback, any model can be asked for' 't|t|nothing t|t|nothing' "$(same "'free', 'a'") $(same "'free', 'b'")"
ask -c "$(put b 1 10)"
expect 'and inserted' 't|t|10 rows t|t|error 10' "$(same "'free', 'b'") $(same "'free', 'a'") $(sound free_emb)"
expect 'rows that WHERE drops are no error, as in a sequential scan' 't|t|nothing' "$(same "'free', 'a', 'id < 0'")"
expect 'those that it keeps are' 't|t|error' "$(same "'free', 'a', 'id = 10'")"
ask -c 'INSERT INTO free VALUES (11, NULL)'
expect 'rows without an embedding are none' 't|t|1 rows' "$(same "'free', 'a', 'emb IS NULL'")"
expect 'nor is a query without one' '11' "$(ask -c 'SET enable_seqscan = off' -c 'SELECT count(*) FROM (SELECT id FROM free ORDER BY emb <-> NULL::coopvec) t')"
ask -c 'TRUNCATE free' -c "$(put a 1 10)" -c 'DELETE FROM free' -c 'VACUUM free' -c "$(put b 1 10)"
expect 'after DELETE and VACUUM' 't|t|10 rows 10' "$(same "'free', 'b'") $(sound free_emb)"
ask -c 'DELETE FROM free' -c "$(put a 1 10)"
expect 'after DELETE alone' 't|t|10 rows 10' "$(same "'free', 'a'") $(sound free_emb)"
expect 'a row that is there is an error' "$another" "$(fails -c "$(put b 1 1)")"
tell reader "$old SELECT count(*) FROM free;" >/dev/null
ask -c 'DELETE FROM free'
expect 'so is one that an older snapshot sees, which the error says' \
  "$another Row (0,10) of the index's model is deleted, but a transaction that has not ended may still see it, or undo that." \
  "$(ask -c "$(put b 1 1)" >"$SCRATCH/found" 2>&1 || sed -n 's/^ERROR: *//p; s/^DETAIL: *//p' "$SCRATCH/found" | tr '\n' ' ' | sed 's/"//g; s/ $//; s/(0,[0-9]*)/(0,10)/')"
expect_in 'with what to do' '^HINT:  End older transactions' "$SCRATCH/found"
expect 'and it still finds them by the index' 't|t|10 rows' "$(tell reader "SELECT alike, by_index, answer FROM answers('free', 'a')")"
tell reader 'COMMIT;' >/dev/null
ask -c "$(put b 1 20)"
expect 'until it ends' 't|t|20 rows 20' "$(same "'free', 'b'") $(sound free_emb)"
expect 'rows that this transaction deleted may come back' "index free_emb holds embeddings of another model" \
  "$(fails -c 'BEGIN' -c 'DELETE FROM free' -c "$(put a 1 1)" | grep -o '^index free_emb holds embeddings of another model')"
ask -c 'TRUNCATE free'
ask -c 'BEGIN' -c 'SAVEPOINT s' -c "$(put a 1 300)" -c 'ROLLBACK TO s' -c "$(put b 1 300)" -c 'SAVEPOINT t' -c "$(put b 301 310)" -c 'RELEASE t' -c 'COMMIT'
expect 'a savepoint that is rolled back' 't|t|310 rows 310' "$(same "'free', 'b'") $(sound free_emb)"
expect 'two models in one statement' 'index free_emb holds embeddings of another model' \
  "$(fails -c 'TRUNCATE free' -c "INSERT INTO free SELECT i, row_of(i, CASE WHEN i < 200 THEN 'a' ELSE 'b' END) FROM generate_series(1, 300) i" | grep -o '^index free_emb holds embeddings of another model')"
ask -c 'VACUUM free' -c 'VACUUM free'
ask -c 'BEGIN' -c "$(put a 1 12000)" -c 'ROLLBACK'
pages=$(ask -c "SELECT pg_relation_size('free_emb') / 8192")
expect 'thousands of rows in groups' 't|t|nothing 0' "$(same "'free', 'b'") $(sound free_emb)"
ask -c "$(put b 1 12000)"
expect 'make room' 't|t|12000 rows t|t|error 12000' "$(same "'free', 'b'") $(same "'free', 'a', 'id = 7'") $(sound free_emb)"
expect 'and their pages are used again' t "$(ask -c "SELECT pg_relation_size('free_emb') / 8192 <= $pages + 8")"
for model in a b; do
  ask -c 'DELETE FROM free' -c 'VACUUM free' -c "$(put $model 1 300)"
  expect "VACUUM frees groups, too ($model)" 't|t|300 rows 300' "$(same "'free', '$model'") $(sound free_emb)"
done

# Another shape, with fewer rows to a page of the tail.
ask -c 'DELETE FROM free' -c "INSERT INTO free SELECT i, row_of(i, 'b', 40, 40) FROM generate_series(1, 200) i"
expect 'another shape' '200 200' "$(ask -c 'SET enable_seqscan = off' -c "SELECT count(*) FROM (SELECT FROM free ORDER BY emb <-> row_of(1, 'b', 40, 40)) t") $(sound free_emb)"
ask -c 'DELETE FROM free' -c "$(put a 1 200)"
expect 'and back' 't|t|200 rows 200' "$(same "'free', 'a'") $(sound free_emb)"

# Crashes.
crash() {
  local postmaster
  postmaster=$(head -1 "$SCRATCH/data/postmaster.pid")
  kill -KILL "$postmaster"
  while kill -0 "$postmaster" 2>/dev/null; do sleep 0.1; done
  sleep 1
  rm -f "$SCRATCH/data/postmaster.pid"
  start_cluster "$SCRATCH"
}
ask -c 'BEGIN' -c 'DELETE FROM free' -c 'COMMIT' -c "$(put b 1 700)" -c 'CHECKPOINT' -c 'DELETE FROM free' -c "$(put a 1 700)"
part reader
crash
expect 'a crash just after the model changed' 't|t|700 rows 700' "$(same "'free', 'a'") $(sound free_emb)"
(while ask -c 'DELETE FROM free' -c "$(put a 1 700)" -c 'DELETE FROM free' -c "$(put b 1 700)" 2>/dev/null; do :; done) &
changing=$!
sleep 2
crash
wait $changing 2>/dev/null || true
left=$(ask -c 'SELECT count(*) FROM free')
expect 'a crash while it changes' "$left t" "$(sound free_emb) $(ask -c "SELECT bool_and(alike) FROM (SELECT * FROM answers('free', 'a') UNION ALL SELECT * FROM answers('free', 'b')) t")"

# Several at once: some insert one model and take it back, some insert the other and keep it or not; VACUUM, and questions.
ask -c 'TRUNCATE free' -c 'CREATE TABLE kept (id int, emb coopvec)' -c 'CREATE INDEX kept_emb ON kept USING coop (emb) WITH (tail_rows = 64)'
end=$((SECONDS + seconds))
clients=()
expected='holds embeddings of another model|different models cannot be compared|deadlock detected'
worker() { # SQL...
  while [ $SECONDS -lt $end ]; do
    ask -v ON_ERROR_STOP=0 "$@" 2>&1 | grep -E '^(ERROR|PANIC|FATAL|server)' | grep -Ev "$expected" || true
  done >>"$SCRATCH/unexpected"
}
some() { echo "INSERT INTO kept SELECT i, row_of(i, '$1') FROM generate_series(1, $2) i"; }
for _ in 1 2; do worker -c 'BEGIN' -c "$(some a 150)" -c 'ROLLBACK' & clients+=($!); done
for _ in 1 2; do worker -c "$(some b 20)" -c 'DELETE FROM kept' & clients+=($!); done
worker -c 'VACUUM kept' -c 'SELECT pg_sleep(0.1)' & clients+=($!)
worker -c 'SET enable_seqscan = off' -c "SELECT count(*) FROM (SELECT FROM kept ORDER BY emb <-> row_of(1, 'b')) t" & clients+=($!)
wait "${clients[@]}"
expect "rows of one model that are taken back beside those of another, for $seconds s" '' "$(cat "$SCRATCH/unexpected")"
expect 'the index is sound' t "$(ask -c "SELECT coop_index_check('kept_emb') = count(*) FROM kept")"
ask -c 'DELETE FROM kept' -c "$(some b 500)"
expect 'and takes the other' 't|t|500 rows 500' "$(same "'kept', 'b'") $(sound kept_emb)"
ask -c "CREATE TABLE race (id int, emb coopvec)" -c "CREATE INDEX race_emb ON race USING coop (emb) WITH (tail_rows = 64)"
session first
for _ in $(seq 5); do
  tell first "BEGIN; INSERT INTO race SELECT i, row_of(i, 'a') FROM generate_series(1, 400) i;" >/dev/null
  expect 'rows that may still be committed are an error' 'index race_emb holds embeddings of another model' \
    "$(fails -c "INSERT INTO race VALUES (1, row_of(1, 'b'))" | grep -o '^index race_emb holds embeddings of another model')"
  tell first 'ROLLBACK;' >/dev/null
  clients=()
  for _ in 1 2 3; do ask -c "INSERT INTO race SELECT i, row_of(i, 'b') FROM generate_series(1, 100) i" & clients+=($!); done
  wait "${clients[@]}"
  expect 'when they are gone, all who waited get in' 't|t|300 rows 300' "$(same "'race', 'b'") $(sound race_emb)"
  ask -c 'DELETE FROM race'
done
part first
ask -c 'DROP TABLE race'

# A standby.
mkdir "$SCRATCH/standby"
give_to_server "$SCRATCH/standby"
as_server "$BIN/pg_basebackup" -h "$SCRATCH" -U postgres -D "$SCRATCH/standby/data" -R -c fast --no-sync
start_cluster "$SCRATCH/standby"
standby() { PGHOST=$SCRATCH/standby ask "$@"; }
export PGHOST=$SCRATCH
follow() {
  local lsn
  ask -c CHECKPOINT
  lsn=$(ask -c 'SELECT pg_current_wal_lsn()')
  caught_up() { [ "$(standby -c "SELECT pg_last_wal_replay_lsn() >= '$lsn'")" = t ]; }
  until_true 'the standby follows' caught_up
}
ask -c 'TRUNCATE free' -c "$(put a 1 20)" -c 'CREATE UNLOGGED TABLE quick (emb coopvec)' -c 'CREATE INDEX quick_emb ON quick USING coop (emb)'
follow
PGHOST=$SCRATCH/standby session old_reader
expect 'a standby' '20' "$(tell old_reader "$old SELECT count(*) FROM free;" | tail -1)"
ask -c 'DELETE FROM free' -c "$(put b 1 30)"
follow
expect 'has the new model' '30 30' "$(standby -c "SELECT coop_index_check('free_emb')") $(standby -c 'SET enable_seqscan = off' -c "SELECT count(*) FROM (SELECT FROM free ORDER BY emb <-> row_of(1, 'b')) t")"
tell old_reader "SET enable_seqscan = off; SELECT count(*) FROM (SELECT FROM free ORDER BY emb <-> row_of(1, 'a')) t;" >"$SCRATCH/found"
expect_in 'and a snapshot that still sees rows of the old one is told so' 'conflict with recovery' "$SCRATCH/found"
tell old_reader 'ROLLBACK;' >/dev/null
expect 'a new one is not' '30' "$(tell old_reader "SELECT count(*) FROM (SELECT FROM free ORDER BY emb <-> row_of(1, 'b')) t;")"
part old_reader
expect 'an unlogged index is not there to be checked' 'index quick_emb is unlogged, and there is nothing to check during recovery A standby gets no rows of unlogged tables and indexes.' \
  "$(PGHOST=$SCRATCH/standby fails -c "SELECT coop_index_check('quick_emb')")"
expect 'a partitioned index is checked there, too' "300" "$(standby -c "SELECT coop_index_check('parts_emb')")"
echo "$passed passed, 0 failed"
