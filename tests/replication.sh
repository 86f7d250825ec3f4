#!/usr/bin/env bash
# Embeddings in other clusters: by logical replication, as text and as binary; and on a hot standby, which answers every function
# that reads, embeds with a service of its own, says what it cannot do, and goes on as a primary.
source "$(dirname "$0")/tools/lib.sh"
find_postgres
scratch_cluster wal_level=logical max_wal_senders=8
for_server "$SCRATCH" "$ROOT/src/demo/gallery" >/dev/null
for_server "$SCRATCH" "$ROOT/model/emoji" >/dev/null
export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"
trap 'for c in . subscriber standby; do stop_cluster "$SCRATCH/$c" 2>/dev/null; done; rm -rf "$SCRATCH"' EXIT
primary() { PGHOST=$SCRATCH ask "$@"; }
subscriber() { PGHOST=$SCRATCH/subscriber ask "$@"; }
standby() { PGHOST=$SCRATCH/standby ask "$@"; }
for cluster in subscriber standby; do
  mkdir "$SCRATCH/$cluster"
  give_to_server "$SCRATCH/$cluster"
done

psql_ -v gallery="$SCRATCH/gallery" -v model="$SCRATCH/emoji" -f "$ROOT/src/demo/load.sql"
primary >/dev/null <<'SQL'
CREATE SCHEMA shop;
ALTER TABLE products SET SCHEMA shop;
DELETE FROM shop.products WHERE id > 60;
CALL coop_embed_table('shop.products', 'image', 'emb');
CREATE INDEX products_emb ON shop.products USING coop (emb);
SELECT coop_define_category('ball', avg(emb)) FROM shop.products WHERE name ~ 'ball';
CALL coop_build_knn('shop.products', 'id', 'emb', 'shop.graph', 8);
CREATE TABLE texts (id int PRIMARY KEY, emb coopvec, query coopquery, note text);
CREATE TABLE binaries (LIKE texts INCLUDING ALL);
CREATE TABLE whole (id int, emb coopvec);
ALTER TABLE whole REPLICA IDENTITY FULL;
INSERT INTO texts SELECT id, emb, 2 * emb::coopquery, name FROM shop.products WHERE id <= 40;
INSERT INTO texts VALUES (1000, NULL, NULL, NULL);
INSERT INTO binaries SELECT * FROM texts;
INSERT INTO whole SELECT id, emb FROM texts;
CREATE PUBLICATION as_text FOR TABLE texts, whole;
CREATE PUBLICATION as_binary FOR TABLE binaries;
SQL

# Logical replication. The subscriber needs the types, and no model.
start_cluster "$SCRATCH/subscriber" fsync=off
subscriber <<SQL
CREATE EXTENSION coopembed;
CREATE TABLE texts (id int PRIMARY KEY, emb coopvec, query coopquery, note text);
CREATE TABLE binaries (LIKE texts INCLUDING ALL);
CREATE TABLE whole (id int, emb coopvec);
CREATE INDEX texts_emb ON texts USING coop (emb) WITH (tail_rows = 64);
CREATE INDEX binaries_emb ON binaries USING coop (emb) WITH (tail_rows = 64);
CREATE SUBSCRIPTION as_text CONNECTION 'host=$SCRATCH dbname=postgres user=postgres' PUBLICATION as_text WITH (binary = false);
CREATE SUBSCRIPTION as_binary CONNECTION 'host=$SCRATCH dbname=postgres user=postgres' PUBLICATION as_binary WITH (binary = true);
SQL
rows() { # TABLE: every byte of it
  echo "SELECT md5(string_agg(id || ' ' || coalesce(coopvec_send(emb)::text, '') $([ "$1" = whole ] ||
    echo "|| coalesce(coopquery_send(query)::text, '') || coalesce(note, '')"), ',' ORDER BY id)) FROM $1"
}
alike() { [ "$(primary -c "$(rows "$1")")" = "$(subscriber -c "$(rows "$1")")" ]; }
for table in texts binaries whole; do until_true "the first rows of $table" alike "$table"; done
ok 'the rows that are there are copied to the bit, as text and as binary'
primary <<'SQL'
UPDATE texts SET note = 'only this' WHERE id % 3 = 0;
UPDATE binaries SET note = 'only this' WHERE id % 3 = 0;
INSERT INTO texts SELECT 2000 + i, emb, emb, 'new' FROM texts, generate_series(1, 200, 40) i WHERE id <= 40 AND id + i < 240 ON CONFLICT DO NOTHING;
INSERT INTO binaries SELECT 2000 + i, emb, emb, 'new' FROM binaries, generate_series(1, 200, 40) i WHERE id <= 40 AND id + i < 240 ON CONFLICT DO NOTHING;
UPDATE texts t SET emb = p.emb, query = coop_category_query('ball') FROM shop.products p WHERE p.id = t.id + 20 AND t.id < 20;
UPDATE binaries t SET emb = p.emb, query = coop_category_query('ball') FROM shop.products p WHERE p.id = t.id + 20 AND t.id < 20;
UPDATE whole w SET emb = p.emb FROM shop.products p WHERE p.id = w.id + 20 AND w.id < 20;
DELETE FROM texts WHERE id BETWEEN 25 AND 30;
DELETE FROM binaries WHERE id BETWEEN 25 AND 30;
DELETE FROM whole WHERE id BETWEEN 25 AND 30;
SQL
for table in texts binaries whole; do until_true "the changes of $table" alike "$table"; done
ok 'changes follow, with a key and by the whole row'
expect 'and their indexes there are sound' 't|t' "$(subscriber -c "SELECT coop_index_check('texts_emb') = (SELECT count(*) FROM texts),
  coop_index_check('binaries_emb') = (SELECT count(*) FROM binaries)")"
expect 'without a model they are compared with each other' 'no model is loaded' \
  "$(subscriber -c "SELECT id FROM texts ORDER BY emb <-> (SELECT emb FROM texts WHERE id = 7) LIMIT 1" -c "SELECT coop_attr_query('hue', 'green')" 2>&1 |
    sed -n 's/^ERROR:  \(.*\)/\1/p')"
subscriber -c "SELECT coop_load_model('emoji', '$SCRATCH/emoji')" >/dev/null
nearest="SELECT string_agg(id::text, ' ') FROM (SELECT id FROM texts ORDER BY emb <-> coop_attr_query('hue', 'green'), id LIMIT 5) t"
expect 'with it, questions are answered alike' "$(primary -c "$nearest")" "$(subscriber -c "$nearest")"
subscriber -c 'DROP SUBSCRIPTION as_text' -c 'DROP SUBSCRIPTION as_binary'
stop_cluster "$SCRATCH/subscriber"

# A hot standby.
as_server "$BIN/pg_basebackup" -h "$SCRATCH" -U postgres -D "$SCRATCH/standby/data" -R -c fast --no-sync
start_cluster "$SCRATCH/standby"
expect 'the standby is one' t "$(standby -c 'SELECT pg_is_in_recovery()')"
here='SELECT id, emb <-> coop_embed(image) < 0.02, emb <-> coop_embed(image, '"'emoji'"') < 0.02 FROM shop.products WHERE id <= 3 ORDER BY id'
expect 'it embeds' '1|t|t 2|t|t 3|t|t' "$(standby -c "$here" | xargs)"
expect 'with a service of its own' t "$([ "$(standby -c 'SELECT supervisor_pid FROM coop_stat_worker')" != "$(primary -c 'SELECT supervisor_pid FROM coop_stat_worker')" ] && echo t)"
primary -v ext=public -f "$ROOT/tests/tools/read.sql" >"$SCRATCH/expected" 2>&1
standby -v ext=public -f "$ROOT/tests/tools/read.sql" >"$SCRATCH/found" 2>&1
grep -q ERROR "$SCRATCH/expected" && die "$(cat "$SCRATCH/expected")"
diff "$SCRATCH/expected" "$SCRATCH/found" || die 'the standby answers something else'
ok 'every function that reads answers as on the primary'
expect 'the index can be checked and asked there' '60 41 t' "$(standby <<'SQL' | xargs
SELECT coop_index_check('shop.products_emb');
SET enable_seqscan = off;
SELECT id FROM shop.products ORDER BY emb <-> (SELECT emb FROM shop.products WHERE id = 41) LIMIT 1;
SELECT rows_returned > 0 FROM coop_last_scan();
SQL
)"
expect 'so can the service' t "$(standby -c "SELECT count(*) > 10 FROM coop_status()")"
for write in "SELECT coop_load_model('other', '$SCRATCH/emoji')" "SELECT coop_drop_model('emoji')" "SELECT coop_drop_category('ball')" \
  "SELECT coop_define_category('x', coop_category_query('ball'))" "CALL coop_embed_table('shop.products', 'image', 'emb')" \
  "CALL coop_build_knn('shop.products', 'id', 'emb', 'shop.graph', 8)"; do
  standby -c "$write" >"$SCRATCH/found" 2>&1 && die "the standby did: $write"
  grep -q 'ERROR:  cannot .* \(during recovery\|in a read-only transaction\)' "$SCRATCH/found" || die "$write: $(cat "$SCRATCH/found")"
done
ok 'what writes is refused as PostgreSQL refuses it'
expect 'and everything goes on' '1|t|t 2|t|t 3|t|t' "$(standby -c "$here" | xargs)"

# The primary is lost.
stop_cluster "$SCRATCH"
standby -c 'SELECT pg_promote()' >/dev/null
expect 'a standby that was promoted goes on: tables, index, graph, words' '62|62|62|0' "$(standby <<'SQL' | tail -1
INSERT INTO shop.products SELECT 1000 + id, name, designer, category, image FROM shop.products WHERE id <= 2;
CALL coop_embed_table('shop.products', 'image', 'emb');
CALL coop_build_knn('shop.products', 'id', 'emb', 'shop.graph', 8);
SELECT coop_drop_category('ball');
SELECT count(emb), coop_index_check('shop.products_emb'), (SELECT images FROM coop_knn_graphs()), (SELECT waiting FROM coop_knn_graphs()) FROM shop.products;
SQL
)"
echo "$passed passed, 0 failed"
