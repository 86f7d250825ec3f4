#!/usr/bin/env bash
# A dump of a database in use, restored into a new cluster, gives the same embeddings, index, neighbour graph and answers to the bit, and goes on
# from there; a role with pg_read_all_data dumps the same.
source "$(dirname "$0")/../tools/lib.sh"
find_postgres
scratch_cluster
export PGDATABASE=used PGOPTIONS="-c client_min_messages=warning"
"$BIN/createdb" used
load_demo
embed_demo products
ask >/dev/null <<'SQL'
CREATE SCHEMA shop;
ALTER TABLE products SET SCHEMA shop;
CREATE INDEX products_emb ON shop.products USING coop (emb) WITH (tail_rows = 64);
CREATE TRIGGER embed BEFORE INSERT OR UPDATE OF image ON shop.products FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb');
SELECT coop_define_category('ball', avg(emb)) FROM shop.products WHERE name ~ 'ball';
CALL coop_build_knn('shop.products', 'id', 'emb', 'shop.graph', 8);
CREATE TABLE queries AS SELECT coop_attr_query('hue', 'green') + 2 * coop_category_query('ball') AS query;
SQL
contents() {
  ask -v ext=public -f "$ROOT/tests/tools/reading_functions.sql" 2>&1
  ask <<'SQL'
SELECT md5(string_agg(coopvec_send(emb)::text, ' ' ORDER BY id)) FROM shop.products;
SELECT md5(string_agg(coopvec_send(coop_embed(image))::text, ' ' ORDER BY id)) FROM (SELECT id, image FROM shop.products ORDER BY id LIMIT 8) p;
TABLE shop.graph;
SELECT md5(coopquery_send(query)::text) FROM queries;
SELECT reloptions, coop_index_check('shop.products_emb') FROM pg_class WHERE relname = 'products_emb';
SQL
}
contents >"$SCRATCH/contents"
! grep ERROR "$SCRATCH/contents" || die 'a statement of reading_functions.sql is wrong'
dump() { "$BIN/pg_dump" -C "$@" used | grep -v '^\\\(un\)\?restrict'; }
dump >"$SCRATCH/used.sql"
ask -c 'CREATE ROLE archivist LOGIN' -c 'GRANT pg_read_all_data TO archivist'
check 'a role with pg_read_all_data dumps the same' eval 'dump -U archivist | cmp - "$SCRATCH/used.sql"'
stop_cluster "$SCRATCH"
start_cluster "$SCRATCH/fresh" fsync=off
psql_ -d postgres -f "$SCRATCH/used.sql" >/dev/null
expect 'a new cluster has the embeddings, makes the same ones, and gives all answers' '' "$(contents | diff "$SCRATCH/contents" -)"
expect 'trigger, index, neighbour graph and defined names go on' 't|62|62|0' "$(ask <<'SQL' | tail -1
INSERT INTO shop.products SELECT id + 1000, name, designer, category, image FROM shop.products WHERE id <= 2;
CALL coop_build_knn('shop.products', 'id', 'emb', 'shop.graph', 8);
SELECT coop_drop_category('ball');
SELECT (SELECT p.emb <-> q.emb < 0.02 FROM shop.products p, shop.products q WHERE p.id = 1 AND q.id = 1001),
  coop_index_check('shop.products_emb'), (SELECT images FROM coop_knn_graphs()), (SELECT waiting FROM coop_knn_graphs());
SQL
)"
finish
