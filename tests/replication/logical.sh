#!/usr/bin/env bash
# Logical replication carries embeddings and queries to the bit, as text and as binary, first rows and changes; the subscriber needs the
# extension, and a model only to look up names.
source "$(dirname "$0")/../tools/lib.sh"
find_postgres
scratch_cluster wal_level=logical max_wal_senders=8
export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"
subscriber() { PGHOST=$SCRATCH/subscriber ask "$@"; }

load_demo
embed_demo products
ask >/dev/null <<'SQL'
CREATE SCHEMA shop;
ALTER TABLE products SET SCHEMA shop;
SELECT coop_define_category('ball', avg(emb)) FROM shop.products WHERE name ~ 'ball';
CREATE TABLE texts (id int PRIMARY KEY, emb coopvec, query coopquery, note text);
CREATE TABLE binaries (LIKE texts INCLUDING ALL);
CREATE TABLE whole (id int, emb coopvec, query coopquery);
ALTER TABLE whole REPLICA IDENTITY FULL;
INSERT INTO texts SELECT id, emb, 2 * emb::coopquery, name FROM shop.products WHERE id <= 40;
INSERT INTO texts VALUES (1000, NULL, NULL, NULL);
INSERT INTO binaries SELECT * FROM texts;
INSERT INTO whole SELECT id, emb, query FROM texts;
CREATE PUBLICATION as_text FOR TABLE texts, whole;
CREATE PUBLICATION as_binary FOR TABLE binaries;
SQL

# The subscriber needs the types, and no model.
mkdir "$SCRATCH/subscriber"
give_to_server "$SCRATCH/subscriber"
start_cluster "$SCRATCH/subscriber" fsync=off
export PGHOST=$SCRATCH
subscriber <<SQL
CREATE EXTENSION coopembed;
CREATE TABLE texts (id int PRIMARY KEY, emb coopvec, query coopquery, note text);
CREATE TABLE binaries (LIKE texts INCLUDING ALL);
CREATE TABLE whole (id int, emb coopvec, query coopquery);
CREATE INDEX texts_emb ON texts USING coop (emb) WITH (tail_rows = 64);
CREATE INDEX binaries_emb ON binaries USING coop (emb) WITH (tail_rows = 64);
CREATE SUBSCRIPTION as_text CONNECTION 'host=$SCRATCH dbname=postgres user=postgres' PUBLICATION as_text WITH (binary = false);
CREATE SUBSCRIPTION as_binary CONNECTION 'host=$SCRATCH dbname=postgres user=postgres' PUBLICATION as_binary WITH (binary = true);
SQL
rows() { # TABLE: every byte of it
  echo "SELECT md5(string_agg(id || ' ' || coalesce(coopvec_send(emb)::text, '') || coalesce(coopquery_send(query)::text, '') $([ "$1" = whole ] ||
    echo "|| coalesce(note, '')"), ',' ORDER BY id)) FROM $1"
}
alike() { [ "$(ask -c "$(rows "$1")")" = "$(subscriber -c "$(rows "$1")")" ]; }
for table in texts binaries whole; do until_true "the first rows of $table" alike "$table"; done
ok 'the rows that are there are copied to the bit, as text and as binary'
ask <<'SQL'
UPDATE texts SET note = 'only this' WHERE id % 3 = 0;
UPDATE binaries SET note = 'only this' WHERE id % 3 = 0;
INSERT INTO texts SELECT 2000 + i, emb, emb, 'new' FROM texts, generate_series(1, 200, 40) i WHERE id <= 40 AND id + i < 240 ON CONFLICT DO NOTHING;
INSERT INTO binaries SELECT 2000 + i, emb, emb, 'new' FROM binaries, generate_series(1, 200, 40) i WHERE id <= 40 AND id + i < 240 ON CONFLICT DO NOTHING;
UPDATE texts t SET emb = p.emb, query = coop_category_query('ball') FROM shop.products p WHERE p.id = t.id + 20 AND t.id < 20;
UPDATE binaries t SET emb = p.emb, query = coop_category_query('ball') FROM shop.products p WHERE p.id = t.id + 20 AND t.id < 20;
UPDATE whole w SET emb = p.emb FROM shop.products p WHERE p.id = w.id + 20 AND w.id < 20;
UPDATE whole SET query = query + coop_category_query('ball') WHERE id BETWEEN 15 AND 24;
UPDATE whole SET query = NULL WHERE id = 5;
UPDATE whole SET query = coop_like(emb, 'hue') WHERE query IS NULL AND id < 1000;
DELETE FROM texts WHERE id BETWEEN 25 AND 30;
DELETE FROM binaries WHERE id BETWEEN 25 AND 30;
DELETE FROM whole WHERE id BETWEEN 25 AND 30;
SQL
for table in texts binaries whole; do until_true "the changes of $table" alike "$table"; done
ok 'changes follow, with a key and by the whole row, which is found by its embedding and its query'
expect 'the indexes of the subscriber are sound' 't|t' "$(subscriber -c "SELECT coop_index_check('texts_emb') = (SELECT count(*) FROM texts),
  coop_index_check('binaries_emb') = (SELECT count(*) FROM binaries)")"
expect 'without a model embeddings can be compared, and attribute values are an error' 'no model is loaded' \
  "$(subscriber -c "SELECT id FROM texts ORDER BY emb <-> (SELECT emb FROM texts WHERE id = 7) LIMIT 1" -c "SELECT coop_attr_query('hue', 'green')" 2>&1 |
    sed -n 's/^ERROR:  \(.*\)/\1/p')"
subscriber -c "SELECT coop_load_model('emoji', '$SCRATCH/emoji')" >/dev/null
nearest="SELECT string_agg(id::text, ' ') FROM (SELECT id FROM texts ORDER BY emb <-> coop_attr_query('hue', 'green'), id LIMIT 5) t"
expect 'with the model queries get the same answers' "$(ask -c "$nearest")" "$(subscriber -c "$nearest")"

# Triggers: a publisher that embeds, and one that has only images.
ask <<'SQL'
CREATE TABLE photos (id int PRIMARY KEY, image bytea, emb coopvec);
CREATE TRIGGER embed BEFORE INSERT OR UPDATE OF image ON photos FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb', 'keep_given=on');
CREATE TABLE bare (id int PRIMARY KEY, image bytea);
CREATE PUBLICATION of_photos FOR TABLE photos, bare;
INSERT INTO photos SELECT id, image FROM shop.products WHERE id <= 5;
INSERT INTO bare SELECT id, image FROM photos WHERE id <= 2;
SQL
subscriber <<SQL
CREATE TABLE photos (id int PRIMARY KEY, image bytea, emb coopvec);
CREATE TRIGGER embed BEFORE INSERT OR UPDATE OF image ON photos FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb');
CREATE TRIGGER kept BEFORE INSERT OR UPDATE OF image ON photos FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb', 'keep_given=on');
ALTER TABLE photos ENABLE ALWAYS TRIGGER kept;
CREATE TABLE bare (id int PRIMARY KEY, image bytea, emb coopvec);
CREATE TRIGGER embed BEFORE INSERT OR UPDATE OF image ON bare FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb');
ALTER TABLE bare ENABLE REPLICA TRIGGER embed;
CREATE SUBSCRIPTION of_photos CONNECTION 'host=$SCRATCH dbname=postgres user=postgres' PUBLICATION of_photos;
SQL
both_have() { [ "$(subscriber -c 'SELECT count(p.emb) FROM photos p' -c 'SELECT count(b.emb) FROM bare b' | xargs)" = "$1" ]; }
until_true 'the first photos' both_have '5 2'
ask -c 'INSERT INTO photos SELECT id, image FROM shop.products WHERE id BETWEEN 6 AND 8' -c 'INSERT INTO bare SELECT id, image FROM photos WHERE id > 5'
ask -c 'UPDATE photos SET image = (SELECT image FROM shop.products WHERE id = 20) WHERE id = 1'
until_true 'more photos' both_have '8 5'
sums="SELECT md5(string_agg(coopvec_send(emb)::text, ',' ORDER BY id)) FROM photos"
alike_photos() { [ "$(ask -c "$sums")" = "$(subscriber -c "$sums")" ]; }
until_true 'the changed photo' alike_photos
ok 'embeddings arrive as the publisher has them: a trigger does not fire on a subscriber, or keeps them'
expect 'a trigger that is enabled there embeds what has no embedding, and nothing else' '5 5' "$(subscriber -c 'SELECT images FROM coop_stat_worker' \
  -c 'SELECT count(*) FROM bare b JOIN photos p USING (id) WHERE id = 1 OR b.emb <-> p.emb < 0.02' | xargs)"
subscriber -c 'DROP SUBSCRIPTION of_photos' -c 'DROP SUBSCRIPTION as_text' -c 'DROP SUBSCRIPTION as_binary'
finish
