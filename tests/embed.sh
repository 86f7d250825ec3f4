#!/usr/bin/env bash
# coop_embed_table and coop_embed_trigger on real pictures, whole and damaged: what is embedded, what is listed, who may go on
# meanwhile, and what is left after an interruption.
source "$(dirname "$0")/tools/lib.sh"
find_postgres
scratch_cluster
model=$(for_server "$SCRATCH" "$ROOT/model/emoji")
gallery=$(for_server "$SCRATCH" "$ROOT/src/demo/gallery")
fixtures=$(for_server "$SCRATCH" "$ROOT/tests/fixtures/images")
export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"

refused() { # WHAT SQL PATTERN
  ask -c "$2" >"$SCRATCH/error" 2>&1 && die "$1: it worked"
  expect_in "$1" "$3" "$SCRATCH/error"
}
value() { ask -c "SELECT $1"; }
images() { value "images FROM coop_stat_worker"; }
# Rows of a table whose embedding is their picture's: the last bits depend on the batch.
right() { value "count(*) FROM $1 WHERE emb IS NOT NULL AND emb <-> coop_embed(image) < 0.02"; }
stop_model() { stopped=$(value 'model_process_pid FROM coop_stat_worker'); kill -STOP "$stopped"; }
trap 'kill -CONT ${stopped:-} 2>/dev/null || true; stop_cluster "$SCRATCH"; rm -rf "$SCRATCH"' EXIT

psql_ -v gallery="$gallery" -v model="$model" -f "$ROOT/src/demo/load.sql"
ask -c 'DELETE FROM products WHERE id > 60' # enough, and quicker where the build is not optimised
whole=$(value 'count(*) FROM products')
ask <<SQL
CREATE TABLE shop (id int, part text, image bytea, emb coopvec, PRIMARY KEY (part, id));
INSERT INTO shop SELECT id, 'p', image FROM products;
INSERT INTO shop VALUES (1, 'nothing', NULL), (2, 'nonsense', 'no picture'), (3, 'cut', substr(pg_read_binary_file('$fixtures/jpeg_444.jpg'), 1, 300)),
    (4, 'cmyk', pg_read_binary_file('$fixtures/cmyk.jpg')), (5, 'tiff', pg_read_binary_file('$fixtures/tiff_lzw.tif'));
SQL

# A whole table, with a few bad pictures in it.
ask -c "SET client_min_messages = notice" -c "CALL coop_embed_table('shop', 'image', 'emb', batch => 100)" >"$SCRATCH/error" 2>&1 || die "$(cat "$SCRATCH/error")"
expect 'every good picture is embedded' "$((whole + 1))|$((whole + 1))" "$(value 'count(emb) FROM shop')|$(right shop)"
expect 'every bad one is listed with its key' 'cmyk, 4 cut, 3 nonsense, 2' \
  "$(sed -n 's/^WARNING:  row (part, id)=(\(.*\)) of public.shop gets no embedding: .*/\1/p' "$SCRATCH/error" | sort | xargs)"
expect_in 'and with what is wrong with it' 'nonsense, 2.*: the data is not an image in a known format' "$SCRATCH/error"
expect_in 'and what to do' 'HINT:  Convert it to RGB' "$SCRATCH/error"
expect_in 'the end is told' "NOTICE:  $((whole + 1)) rows of shop embedded in .* 3 failed; 0 were locked" "$SCRATCH/error"
expect 'and seen by everybody' "shop|finished|$((whole + 4))|$((whole + 1))|3|0" "$(value 'relation, state, total, done, failed, locked FROM coop_embed_progress')"
before=$(images)
ask -c "CALL coop_embed_table('shop', 'image', 'emb')" >"$SCRATCH/error" 2>&1
expect 'a second run embeds nothing and tries bad ones once' "0|3" "$(($(images) - before))|$(grep -c '^WARNING' "$SCRATCH/error")"
ask -c "DELETE FROM shop WHERE emb IS NULL AND image IS NOT NULL"

# Interrupted, and gone on with.
ask <<'SQL'
UPDATE shop SET emb = NULL;
CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END';
CREATE TRIGGER dawdle BEFORE UPDATE ON shop FOR EACH ROW EXECUTE FUNCTION dawdle();
SQL
ask -c "CALL coop_embed_table('shop', 'image', 'emb', batch => 8)" >"$SCRATCH/interrupted" 2>&1 &
running=$!
some() { [ "$(value "coalesce(max(done), 0) FROM coop_embed_progress WHERE state = 'running'")" -ge 16 ]; }
until_true 'some are done' some
ask -c "SELECT pg_cancel_backend(pid) FROM coop_embed_progress WHERE state = 'running'" >/dev/null
wait $running && die 'it was not cancelled'
expect_in 'it can be cancelled' 'canceling statement due to user request' "$SCRATCH/interrupted"
kept=$(value 'count(emb) FROM shop')
[ "$kept" -ge 16 ] && [ "$kept" -lt "$whole" ] || die "found $kept of $whole after the interruption"
ok 'what was committed stays'
expect 'also by the session itself' interrupted "$(psql_ -At -v ON_ERROR_STOP=0 -c "SET statement_timeout = '300ms'" \
  -c "CALL coop_embed_table('shop', 'image', 'emb', batch => 1)" -c "RESET statement_timeout" \
  -c "SELECT state FROM coop_embed_progress" 2>"$SCRATCH/error" | tail -1)"
expect_in 'whose statement took too long' 'statement timeout' "$SCRATCH/error"
kept=$(value 'count(emb) FROM shop')
ask -c "DROP TRIGGER dawdle ON shop"
expect 'the interruption can be seen' interrupted "$(value 'state FROM coop_embed_progress')"
# What was under way when it was interrupted is computed all the same.
settled() { local before; before=$(images) && sleep 0.3 && [ "$(images)" = "$before" ]; }
until_true 'nothing is under way' settled
before=$(images)
ask -c "CALL coop_embed_table('shop', 'image', 'emb')"
expect 'the next run does the rest and no more' "$((whole + 1))|$((whole + 1 - kept))" "$(value 'count(emb) FROM shop')|$(($(images) - before))"
expect 'and each row has its own' $((whole + 1)) "$(right shop)"

# Two sessions share the work.
ask -c "UPDATE shop SET emb = NULL"
before=$(images)
for i in 1 2; do ask -c "CALL coop_embed_table('shop', 'image', 'emb', batch => 16)" & done
wait $(jobs -p)
expect 'two sessions embed each picture once' "$((whole + 1))|$((whole + 1))" "$(value 'count(emb) FROM shop')|$(($(images) - before))"

# In a service that is full.
setting() { # NAME VALUE: a new model process with it
  local old
  old=$(value 'model_process_pid FROM coop_stat_worker')
  ask -c "LOAD 'coopembed'" -c "ALTER SYSTEM SET coopembed.$1 = $2" -c 'SELECT pg_reload_conf()' >/dev/null
  replaced() { [ "$(value 'model_process_pid FROM coop_stat_worker')" != "$old" ]; }
  until_true "a new process takes $1" replaced
}
setting queue_length 1
ask -c "UPDATE shop SET emb = NULL" -c "CALL coop_embed_table('shop', 'image', 'emb')"
expect 'it sends no more than there is room for' "$((whole + 1))|t" "$(value 'count(emb), (SELECT refused_queue_full > 0 FROM coop_stat_worker) FROM shop')"
setting queue_length 1000

# A row that another session holds is left, and said to be.
ask -c "UPDATE shop SET emb = NULL"
ask -c "BEGIN" -c "UPDATE shop SET id = id WHERE part = 'tiff'" -c "SELECT 'held', pg_sleep(60)" >"$SCRATCH/holder" 2>&1 &
holder=$!
held() { [ "$(value "count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT ''held''%' AND state = 'active'")" = 1 ]; }
until_true 'the row is held' held
ask -c "SET client_min_messages = notice" -c "CALL coop_embed_table('shop', 'image', 'emb')" >"$SCRATCH/error" 2>&1
expect_in 'a locked row is left, not waited for' '; 1 were locked' "$SCRATCH/error"
ask -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT ''held''%'" >/dev/null
wait $holder || true
ask -c "CALL coop_embed_table('shop', 'image', 'emb')"
expect 'and embedded by the next run' $((whole + 1)) "$(value 'count(emb) FROM shop')"

# Another model's embeddings are replaced.
twin=$(twin_of "$model")
ask -c "SELECT coop_load_model('twin', '$twin')" >/dev/null
refused 'with two models one has to be chosen' "CALL coop_embed_table('shop', 'image', 'emb')" 'several models are loaded'
ask -c "CREATE TABLE few AS SELECT * FROM shop WHERE image IS NOT NULL ORDER BY id LIMIT 12" -c "CALL coop_embed_table('few', 'image', 'emb', 'twin')"
expect 'another model replaces what the first made' '12' "$(value "count(*) FROM few WHERE emb <-> coop_embed(image, 'twin') < 0.02")"
ask -c "SELECT coop_drop_model('twin')" >/dev/null

# Partitions, names that need quotes, no key, a trigger of the user's own.
ask <<'SQL'
CREATE SCHEMA "The Shop";
CREATE TABLE "The Shop"."Big ""Table""" ("Id" int, "the image" bytea, "the emb" coopvec, touched int DEFAULT 0) PARTITION BY LIST ("Id");
CREATE TABLE "The Shop"."part 1" PARTITION OF "The Shop"."Big ""Table""" FOR VALUES IN (1, 2);
CREATE TABLE "The Shop"."part 2" PARTITION OF "The Shop"."Big ""Table""" DEFAULT PARTITION BY RANGE ("Id");
CREATE TABLE "The Shop"."part 2a" PARTITION OF "The Shop"."part 2" FOR VALUES FROM (0) TO (1000000);
INSERT INTO "The Shop"."Big ""Table""" SELECT id, image FROM products ORDER BY id LIMIT 20;
INSERT INTO "The Shop"."Big ""Table""" VALUES (7777, 'no picture');
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.touched := NEW.touched + 1; RETURN NEW; END';
CREATE TRIGGER touch BEFORE UPDATE ON "The Shop"."Big ""Table""" FOR EACH ROW EXECUTE FUNCTION touch();
SQL
ask -c "CALL coop_embed_table('\"The Shop\".\"Big \"\"Table\"\"\"', 'the image', 'the emb')" >"$SCRATCH/error" 2>&1
expect 'all partitions are embedded, and triggers fire once' '20|20' \
  "$(value 'count("the emb"), sum(touched) FROM "The Shop"."Big ""Table"""')"
expect_in 'a row without a key is named by its place' 'row (ctid)=((0,[0-9]*)) of "The Shop"."part 2a" gets no embedding' "$SCRATCH/error"
refused 'a view is refused' "CREATE VIEW v AS SELECT * FROM shop; CALL coop_embed_table('v', 'image', 'emb')" 'ERROR:  .*v is not a table'
refused 'a column that is not there too' "CALL coop_embed_table('shop', 'photo', 'emb')" 'column "photo" of relation .*shop does not exist'
refused 'and one of another type' "CALL coop_embed_table('shop', 'part', 'emb')" 'column "part" of relation .*shop holds no pictures'
refused 'and no batch' "CALL coop_embed_table('shop', 'image', 'emb', batch => 0)" 'the batch must be 1 to 100000'
refused 'and no table' "CALL coop_embed_table(NULL, 'image', 'emb')" 'must not be null'

# Rights are those of whoever calls.
ask -c "CREATE ROLE clerk" -c "UPDATE few SET emb = NULL"
refused 'who may not read a table cannot embed it' "SET ROLE clerk; CALL coop_embed_table('few', 'image', 'emb')" 'permission denied'
ask -c "GRANT SELECT, UPDATE (emb) ON few TO clerk" -c "SET ROLE clerk" -c "CALL coop_embed_table('few', 'image', 'emb')"
expect 'reading the table and writing the column is enough' '12' "$(value 'count(emb) FROM few')"
expect 'progress is for everybody to see' 't' "$(ask -c "SET ROLE clerk" -c "SELECT count(*) > 0 FROM coop_embed_progress")"

ask <<'SQL'
UPDATE few SET emb = NULL;
ALTER TABLE few ENABLE ROW LEVEL SECURITY;
CREATE POLICY first_five ON few TO clerk USING (id <= 5);
SQL
ask -c "SET ROLE clerk" -c "CALL coop_embed_table('few', 'image', 'emb')"
expect 'what a policy hides is not touched' "$(value 'count(*), max(id) FROM few WHERE id <= 5')" "$(value 'count(*), max(id) FROM few WHERE emb IS NOT NULL')"

# Rows that lie elsewhere.
ask <<'SQL'
CREATE FOREIGN DATA WRAPPER elsewhere;
CREATE SERVER far FOREIGN DATA WRAPPER elsewhere;
CREATE FOREIGN TABLE abroad (id int, image bytea, emb coopvec) SERVER far;
CREATE TABLE split (id int, image bytea, emb coopvec) PARTITION BY LIST (id);
CREATE FOREIGN TABLE split_far PARTITION OF split FOR VALUES IN (1) SERVER far;
SQL
refused 'a foreign table is refused' "CALL coop_embed_table('abroad', 'image', 'emb')" 'ERROR:  .*abroad is not a table'
refused 'and a partition that is one' "CALL coop_embed_table('split', 'image', 'emb')" 'partition .*split_far is a foreign table'

# Kept embedded.
ask <<'SQL'
CREATE TABLE kept (id int PRIMARY KEY, image bytea, emb coopvec, note text);
CREATE TRIGGER embed BEFORE INSERT OR UPDATE ON kept FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb');
INSERT INTO kept SELECT id, image FROM products ORDER BY id LIMIT 10;
INSERT INTO kept VALUES (1000, NULL);
SQL
expect 'new rows are embedded' '10|10' "$(value 'count(emb) FROM kept')|$(right kept)"
before=$(images)
ask -c "UPDATE kept SET note = 'x'" -c "UPDATE kept SET image = image || ''"
expect 'a picture that did not change is not embedded again' 0 $(($(images) - before))
ask -c "UPDATE kept SET image = (SELECT image FROM products p WHERE p.id = kept.id + 20) WHERE id <= 3"
expect 'a changed one is' '10' "$(right kept)"
ask -c "UPDATE kept SET image = NULL WHERE id = 5"
expect 'without a picture there is no embedding' '' "$(value 'emb FROM kept WHERE id = 5')"
refused 'a bad picture is the error of the statement' "INSERT INTO kept VALUES (1001, 'no picture')" 'not an image in a known format'
trigger() { echo "CREATE OR REPLACE TRIGGER wrong $1 EXECUTE FUNCTION coop_embed_trigger($2); INSERT INTO few (id, image) VALUES (0, '')"; }
refused 'a trigger needs two columns' "BEGIN; $(trigger 'BEFORE INSERT ON few FOR EACH ROW' "'image'")" 'takes the names of two columns'
refused 'that are there' "BEGIN; $(trigger 'BEFORE INSERT ON few FOR EACH ROW' "'photo', 'emb'")" 'column "photo" of relation "few" does not exist'
refused 'and of the right types' "BEGIN; $(trigger 'BEFORE INSERT ON few FOR EACH ROW' "'image', 'part'")" 'column "part" of relation "few" holds no embeddings'
refused 'it fires before' "BEGIN; $(trigger 'AFTER INSERT ON few FOR EACH ROW' "'image', 'emb'")" 'for each row, before INSERT or UPDATE'
refused 'for rows' "BEGIN; $(trigger 'BEFORE INSERT ON few FOR EACH STATEMENT' "'image', 'emb'")" 'for each row, before INSERT or UPDATE'
refused 'and is no function to call' 'SELECT coop_embed_trigger()' 'must be called as a trigger'

# A picture that changes while the old one is being embedded: the change waits, and its embedding is what stays.
ask -c "CREATE TRIGGER embed BEFORE INSERT OR UPDATE OF image ON shop FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb')" \
  -c "UPDATE shop SET emb = NULL"
stop_model
ask -c "CALL coop_embed_table('shop', 'image', 'emb', batch => 8)" &
running=$!
waits() { [ "$(value "count(*) FROM pg_stat_activity WHERE wait_event = 'Extension' AND query LIKE 'CALL%'")" = 1 ]; }
until_true 'pictures are under way' waits
ask -c "/* change */ UPDATE shop SET image = (SELECT image FROM products WHERE id = 41) WHERE part = 'p'" &
changing=$!
blocked() { [ "$(value "count(*) FROM pg_stat_activity WHERE (wait_event_type = 'Lock' OR wait_event = 'Extension') AND query LIKE '/* change */%'")" = 1 ]; }
until_true 'the change waits' blocked
kill -CONT "$stopped"
stopped=
wait $running $changing
expect 'no embedding is of a picture that is gone' "$(value 'count(emb) FROM shop')" "$(right shop)"
echo "$passed passed, 0 failed"
