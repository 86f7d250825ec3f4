#!/usr/bin/env bash
# Models travel with the database: by pg_dump as text, by a parallel restore, and to a hot standby; and with them what was made of
# them: embeddings, indexes, kept graphs, words.
source "$(dirname "$0")/tools/lib.sh"
find_postgres
scratch_cluster wal_level=replica max_wal_senders=2
trap 'for c in . standby fresh; do stop_cluster "$SCRATCH/$c" 2>/dev/null; done; rm -rf "$SCRATCH"' EXIT

# Every row of the catalogue, and answers that come from them.
rows="SELECT string_agg(md5(row), ' ' ORDER BY row) FROM (
        SELECT t::text AS row FROM coopembed.models t UNION ALL SELECT t::text FROM coopembed.model_weights t
        UNION ALL SELECT t::text FROM coopembed.attributes t UNION ALL SELECT t::text FROM coopembed.attribute_values t
        UNION ALL SELECT t::text FROM coopembed.categories t) catalogue"
answers="SELECT string_agg(id::text, ' ') FROM v_necks;
         SELECT coop_category_query('blouse');
         SELECT coop_like(emb, 'sleeves') FROM products WHERE id = 7"
secret="SELECT has_table_privilege('plain', 'coopembed.model_weights', 'SELECT')
          OR has_function_privilege('plain', 'coop_drop_model(text)', 'EXECUTE')"

"$BIN/createdb" shop
ask -d shop -c 'CREATE ROLE plain' -c 'CREATE EXTENSION coopembed' -f "$ROOT/tests/dump.sql"
all_rows=$(ask -d shop -c "$rows")
all_answers=$(ask -d shop -c "$answers")

"$BIN/createdb" text
"$BIN/pg_dump" shop | ask -d text >/dev/null
expect 'rows restored from text' "$all_rows" "$(ask -d text -c "$rows")"
expect 'answers after a restore from text' "$all_answers" "$(ask -d text -c "$answers")"
expect 'rights after a restore from text' f "$(ask -d text -c "$secret")"

"$BIN/createdb" parallel
"$BIN/pg_dump" -Fc -f "$SCRATCH/shop.dump" shop
"$BIN/pg_restore" -e -j 4 -d parallel "$SCRATCH/shop.dump"
expect 'rows restored in parallel' "$all_rows" "$(ask -d parallel -c "$rows")"
expect 'answers after a parallel restore' "$all_answers" "$(ask -d parallel -c "$answers")"

mkdir "$SCRATCH/standby"
give_to_server "$SCRATCH/standby"
as_server "$BIN/pg_basebackup" -h "$SCRATCH" -U postgres -D "$SCRATCH/standby/data" -R -c fast --no-sync
start_cluster "$SCRATCH/standby"
expect 'answers of a hot standby' "$all_answers" "$(ask -d shop -c "$answers")"

# A session of the standby that has its statement prepared sees the model go.
{
  echo "PREPARE near AS SELECT id FROM products ORDER BY emb <-> coop_attr_query('neckline', 'v-neck'), id LIMIT 1;"
  echo "EXECUTE near;"
  PGHOST=$SCRATCH ask -d shop -c "SELECT coop_drop_model('garments')" >/dev/null
  end=$(PGHOST=$SCRATCH ask -d shop -c 'SELECT pg_current_wal_flush_lsn()')
  caught_up() { [ "$(ask -d shop -c "SELECT pg_last_wal_replay_lsn() >= '$end'")" = t ]; }
  until_true 'the standby follows' caught_up
  echo "\\set ON_ERROR_STOP off"
  echo "EXECUTE near;"
} | ask -d shop >"$SCRATCH/answer" 2>"$SCRATCH/error"
expect_in 'a session of the standby sees its model go' 'no model is loaded' "$SCRATCH/error"
stop_cluster "$SCRATCH/standby"
export PGHOST=$SCRATCH PGOPTIONS="-c client_min_messages=warning"

# A database in use, into a new cluster; not only to read from, but to go on with.
for_server "$SCRATCH" "$ROOT/src/demo/gallery" >/dev/null
for_server "$SCRATCH" "$ROOT/model/emoji" >/dev/null
"$BIN/createdb" used
psql_ -d used -v gallery="$SCRATCH/gallery" -v model="$SCRATCH/emoji" -f "$ROOT/src/demo/load.sql"
ask -d used >/dev/null <<'SQL'
CREATE SCHEMA shop;
ALTER TABLE products SET SCHEMA shop;
DELETE FROM shop.products WHERE id > 60;
CALL coop_embed_table('shop.products', 'image', 'emb');
CREATE INDEX products_emb ON shop.products USING coop (emb) WITH (tail_rows = 64);
CREATE TRIGGER embed BEFORE INSERT OR UPDATE OF image ON shop.products FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb');
SELECT coop_define_category('ball', avg(emb)) FROM shop.products WHERE name ~ 'ball';
CALL coop_build_knn('shop.products', 'id', 'emb', 'shop.graph', 8);
CREATE TABLE wishes AS SELECT coop_attr_query('hue', 'green') + 2 * coop_category_query('ball') AS wish;
SQL
in_use() {
  ask -d used -v ext=public -f "$ROOT/tests/tools/read.sql" 2>&1
  ask -d used <<'SQL'
SELECT md5(string_agg(coopvec_send(emb)::text, ' ' ORDER BY id)) FROM shop.products;
SELECT md5(string_agg(coopvec_send(coop_embed(image))::text, ' ' ORDER BY id)) FROM (SELECT id, image FROM shop.products ORDER BY id LIMIT 8) p;
TABLE shop.graph;
SELECT md5(coopquery_send(wish)::text) FROM wishes;
SELECT reloptions, coop_index_check('shop.products_emb') FROM pg_class WHERE relname = 'products_emb';
SQL
}
in_use >"$SCRATCH/in_use"
grep ERROR "$SCRATCH/in_use" && die 'the list of questions is wrong'
"$BIN/pg_dump" -C used >"$SCRATCH/used.sql"
ask -d used -c 'CREATE ROLE archivist LOGIN' -c 'GRANT pg_read_all_data TO archivist'
"$BIN/pg_dump" -C -U archivist used | grep -v '^\\\(un\)\?restrict' | cmp - <(grep -v '^\\\(un\)\?restrict' "$SCRATCH/used.sql") || die 'whoever may read all data cannot dump it'
ok 'whoever may read all data dumps the same'
stop_cluster "$SCRATCH"
start_cluster "$SCRATCH/fresh" fsync=off
psql_ -d postgres -f "$SCRATCH/used.sql" >/dev/null
in_use | diff "$SCRATCH/in_use" - || die 'a new cluster answers something else'
ok 'a new cluster has the embeddings, makes the same ones, and gives all answers'
expect 'and goes on with them' 't|62|62|0' "$(ask -d used <<'SQL' | tail -1
INSERT INTO shop.products SELECT id + 1000, name, designer, category, image FROM shop.products WHERE id <= 2;
CALL coop_build_knn('shop.products', 'id', 'emb', 'shop.graph', 8);
SELECT coop_drop_category('ball');
SELECT (SELECT p.emb <-> q.emb < 0.02 FROM shop.products p, shop.products q WHERE p.id = 1 AND q.id = 1001),
  coop_index_check('shop.products_emb'), (SELECT images FROM coop_knn_graphs()), (SELECT waiting FROM coop_knn_graphs());
SQL
)"
echo "$passed passed, 0 failed"
