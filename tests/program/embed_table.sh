#!/usr/bin/env bash
# coopembed embed --table: fills a table's column of embeddings from paths, outside of the server: batches, a second run, failures, rights, rows that
# change meanwhile.
source "$(dirname "$0")/../tools/program_fixture.sh"
program_cluster
load_demo 60
embed_demo products
ask <<SQL
CREATE TEMP TABLE catalogue (id integer, name text, designer text, category text, path text);
\\copy catalogue FROM '$SCRATCH/gallery/products.csv' (FORMAT csv, HEADER)
CREATE TABLE photos (id integer PRIMARY KEY, path varchar(200), emb coopvec);
INSERT INTO photos SELECT id, path FROM catalogue WHERE id IN (SELECT id FROM products);
CREATE TABLE parts (id integer, "the Path" text, "E" coopvec) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (30);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (30) TO (100);
INSERT INTO parts SELECT id, path FROM photos;
INSERT INTO parts VALUES (99, NULL);
SQL
embed() { "$program" embed --table photos --column path --root "$SCRATCH/gallery" "$@"; }
same() { ask -c "SELECT count(*) FROM products p JOIN photos t USING (id) WHERE p.emb = t.emb AND p.emb::text = t.emb::text"; }
options=(embed --table photos --column path --root "$SCRATCH/gallery")
runs 'a table gets its embeddings' '60 rows of public.photos embedded' "${options[@]}" --batch 16
expect 'those of coop_embed_table(), to the bit' 60 "$(same)"
expect 'the server shows the run' 'photos emoji finished 60 60 0' \
  "$(ask -F ' ' -c "SELECT relation, model, state, total, done, failed FROM coop_embed_progress WHERE relation = 'photos'::regclass")"
runs 'a second run has nothing to do' '^0 rows' "${options[@]}"
runs 'a partitioned table is filled, with names that need quotes' '60 rows of public.parts' embed --table parts --column 'the Path' --root "$SCRATCH/gallery" --batch 7
expect 'with the same embeddings' 60 "$(ask -c 'SELECT count(*) FROM products p JOIN parts t USING (id) WHERE p.emb = t."E"')"

# Failures, and a second run.
ask -c "UPDATE photos SET emb = NULL WHERE id <= 10" -c "UPDATE photos SET path = '../emoji/config.json' WHERE id = 1" \
  -c "UPDATE photos SET path = 'none.png' WHERE id IN (2, 3)" -c "UPDATE photos SET path = repeat('long/', 30) WHERE id = 4"
fails 'images that cannot be read are an error at the end' '4 of 10 images could not be embedded' "${options[@]}"
expect_in 'that says where they are' 'public.photos_embed_failures' "$SCRATCH/error"
expect 'the others are embedded' 6 "$(ask -c 'SELECT count(*) FROM photos WHERE emb IS NOT NULL AND id <= 10')"
expect 'each image is there once, with why' '../emoji/config.json|t|1,none.png|t|1' \
  "$(ask -c "SELECT source, error ~ 'leads out|No such file', attempts FROM photos_embed_failures WHERE source !~ 'long' ORDER BY 1" | paste -sd,)"
ask -c "UPDATE photos p SET path = c.path FROM (SELECT '$(sed -n 2p "$SCRATCH/gallery/products.csv" | awk -F, '{print $NF}')'::text AS path) c WHERE id = 1"
cp "$SCRATCH/gallery/$(sed -n 3p "$SCRATCH/gallery/products.csv" | awk -F, '{print $NF}')" "$SCRATCH/gallery/none.png"
fails 'a second run takes them up' '1 of 4 images' "${options[@]}"
expect 'and removes what it embeds' '1|2' "$(ask -c "SELECT count(*), max(attempts) FILTER (WHERE source ~ 'long') FROM photos_embed_failures WHERE source !~ 'config'")"
ask -c 'DELETE FROM photos WHERE emb IS NULL OR id = 3'

# Rows that others lock or change.
ask -c 'UPDATE photos SET emb = NULL WHERE id IN (20, 21, 22)'
open_session other
tell other 'BEGIN' >/dev/null
tell other 'SELECT id FROM photos WHERE id = 20 FOR UPDATE' >/dev/null
runs 'a row that somebody has locked is skipped, and not waited for' '^2 rows .* 1 were locked' "${options[@]}"
tell other 'COMMIT' >/dev/null
close_session other || true
runs 'the next run takes it' '^1 rows' "${options[@]}"

# An interrupted run.
ask -c 'UPDATE photos SET emb = NULL' -c 'CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.3); RETURN NEW; END $$' \
  -c 'CREATE TRIGGER slow BEFORE UPDATE ON photos FOR EACH ROW EXECUTE FUNCTION slow()'
embed --batch 4 --reconnects 0 >"$SCRATCH/interrupted" 2>&1 &
some_done() { [ "$(ask -c 'SELECT count(*) FROM photos WHERE emb IS NOT NULL')" -ge 4 ]; }
until_true 'the run has stored a batch' some_done
expect 'the server shows that it is running' running "$(ask -c "SELECT state FROM coop_embed_progress WHERE relation = 'photos'::regclass")"
ask -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'coopembed embed'" >/dev/null
status=0
wait $! || status=$?
expect 'a connection that drops for good is an error' 1 "$status"
expect_in 'that says that the run can go on' 'it goes on where it was' "$SCRATCH/interrupted"

# A connection that drops, then a server that restarts.
embed --batch 4 >"$SCRATCH/interrupted" 2>&1 &
more_done() { [ "$(ask -c 'SELECT count(*) FROM photos WHERE emb IS NOT NULL')" -ge $((before + 4)) ]; }
for how in terminated restarted; do
  before=$(ask -c 'SELECT count(*) FROM photos WHERE emb IS NOT NULL')
  until_true "the run goes on until it is $how" more_done
  if [ $how = terminated ]; then
    ask -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'coopembed embed'" >/dev/null
  else
    stop_cluster "$SCRATCH"
    start_cluster "$SCRATCH"
    ask -c 'DROP TRIGGER slow ON photos'
  fi
done
status=0
wait $! || status=$?
expect 'a run outlives both' 0 "$status"
expect 'and says so' 2 "$(grep -c 'the connection dropped' "$SCRATCH/interrupted")"
expect 'it embeds everything' 0 "$(ask -c 'SELECT count(*) FROM photos WHERE emb IS NULL')"
expect 'as inside' "$(ask -c 'SELECT count(*) FROM photos')" "$(same)"
ask -c 'UPDATE photos SET emb = NULL WHERE id % 3 = 0'
before=$(ask -c 'SELECT count(*) FROM photos WHERE emb IS NOT NULL')
all=$(ask -c 'SELECT count(*) FROM photos')
runs 'and it does' "^$((all - before)) rows" "${options[@]}"

# Crop boxes.
ask -c 'CREATE DOMAIN part AS box' -c 'ALTER TABLE photos ADD COLUMN "the Box" part' -c 'ALTER TABLE products ADD COLUMN crop box, ADD COLUMN cropped coopvec' \
  -c "UPDATE products SET crop = box(point(3.5, 2), point(30 + id % 20, 41.25)) WHERE id % 4 > 0" -c 'UPDATE photos SET emb = NULL, "the Box" = crop FROM products p WHERE p.id = photos.id' \
  -c "CALL coop_embed_table('products', 'image', 'cropped', box_column => 'crop')" -c "UPDATE photos SET \"the Box\" = '(1,1),(1,9)' WHERE id = 6"
fails 'boxes without area are failures' '1 of [0-9]* images' "${options[@]}" --box-column 'the Box'
expect 'named with their box' 1 "$(ask -c "SELECT count(*) FROM photos_embed_failures WHERE error ~ 'invalid crop box.*\(1,9\),\(1,1\)'")"
expect 'images are cropped as inside' 't|t' \
  "$(ask -c "SELECT bool_and(p.cropped::text = t.emb::text), bool_or(p.cropped <> p.emb) FROM products p JOIN photos t USING (id) WHERE t.emb IS NOT NULL")"
fails 'a column of another type has no boxes' 'Its type is text' embed --table parts --column 'the Path' --root "$SCRATCH/gallery" --box-column 'the Path'
ask -c 'UPDATE photos SET "the Box" = NULL WHERE id = 6'
runs 'without a box the whole image is embedded' '^1 rows' "${options[@]}" --box-column 'the Box'
ask -c 'ALTER TABLE photos DROP COLUMN "the Box"' -c 'UPDATE photos SET emb = NULL'
runs 'without the column too' "rows" "${options[@]}"

# What cannot work.
fails 'a table that does not exist is an error that lists those that do' '"photos"' embed --table photo --column path --root /tmp
fails 'so is a column' 'column "paht"' embed --table photos --column paht --root /tmp
fails 'a column of another type is refused' 'Its type is integer' embed --table photos --column id --root /tmp
fails 'images in the table are left to the server' 'coop_embed_table' embed --table products --column image --root /tmp
fails 'a view is refused' 'is not a table' embed --table coop_embed_progress --column state --root /tmp
fails 'a folder that does not exist' 'could not read' embed --table photos --column path --root /tmp/coopembed-nowhere
ask -c 'CREATE ROLE clerk LOGIN' -c 'CREATE ROLE mallory' -c 'GRANT SELECT ON photos TO clerk' \
  -c 'UPDATE photos SET emb = NULL WHERE id = 20' -c 'DROP TABLE photos_embed_failures'
clerk=(embed --db 'user=clerk dbname=shop' --table photos --column path --root "$SCRATCH/gallery")
fails 'a role that may create no table of failures is told so before anything is embedded' 'may create nothing in schema "public"' "${clerk[@]}" --model "$ROOT/model/emoji"
ask -c 'CREATE SCHEMA clerk AUTHORIZATION clerk'
fails 'a role without rights on the table' 'permission denied' "${clerk[@]}" --model "$ROOT/model/emoji" --failures clerk.failures
ask -c 'GRANT UPDATE (emb) ON photos TO clerk'
fails 'a role that may not read weights is told of --model' 'Give the model.s directory with --model' "${clerk[@]}" --failures clerk.failures
runs 'and with it embeds' '^1 rows' "${clerk[@]}" --model "$ROOT/model/emoji" --failures clerk.failures
twin=$(twin_of "$SCRATCH/emoji")
fails 'a model that is not loaded is refused' 'is not loaded' embed --model "$twin" --table photos --column path --root "$SCRATCH/gallery"
ask -c 'CREATE INDEX ON photos USING coop (emb)' -c "SELECT coop_load_model('twin', '$twin')" >/dev/null
fails 'an index of another model is said before anything is embedded' 'holds embeddings of another model' embed --model-name twin --table photos --column path --root "$SCRATCH/gallery"
ask -c 'CREATE TABLE theirs (source text, error text, attempts int, last_failed timestamptz)' -c 'ALTER TABLE theirs OWNER TO mallory'
fails 'a table of failures of somebody else is not written to' 'belongs to mallory' "${options[@]}" --failures theirs
expect 'nothing crashed' '' "$(crashes)"
finish
