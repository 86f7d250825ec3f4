#!/usr/bin/env bash
# A hot standby gives the results of its primary for every function that reads, embeds with a service of its own, refuses what writes, and goes
# on as a primary after it was promoted.
source "$(dirname "$0")/../tools/lib.sh"
find_postgres
scratch_cluster wal_level=replica max_wal_senders=2
export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"
load_demo
embed_demo products
ask >/dev/null <<'SQL'
CREATE SCHEMA shop;
ALTER TABLE products SET SCHEMA shop;
CREATE INDEX products_emb ON shop.products USING coop (emb);
SELECT coop_define_category('ball', avg(emb)) FROM shop.products WHERE name ~ 'ball';
CALL coop_build_knn('shop.products', 'id', 'emb', 'shop.graph', 8);
SQL
ask -c 'SELECT coop_embed(image) FROM shop.products LIMIT 1' >/dev/null # The service of the primary runs.
start_standby standby
expect 'a base backup leaves the socket of the service out' 0 "$(find "$SCRATCH/standby/data" -name 'coopembed*' | wc -l)"
expect 'the standby is one' t "$(on_standby -c 'SELECT pg_is_in_recovery()')"
embeds="SELECT id, emb <-> coop_embed(image) < 0.02, emb <-> coop_embed(image, 'emoji') < 0.02 FROM shop.products WHERE id <= 3 ORDER BY id"
expect 'it embeds' '1|t|t 2|t|t 3|t|t' "$(on_standby -c "$embeds" | xargs)"
supervisor='SELECT supervisor_pid FROM coop_stat_worker'
check 'with a service of its own' [ "$(on_standby -c "$supervisor")" != "$(ask -c "$supervisor")" ]
ask -v ext=public -f "$ROOT/tests/tools/reading_functions.sql" >"$SCRATCH/expected" 2>&1
! grep ERROR "$SCRATCH/expected" || die 'a statement of reading_functions.sql is wrong'
on_standby -v ext=public -f "$ROOT/tests/tools/reading_functions.sql" >"$SCRATCH/found" 2>&1 || true
expect 'every function that reads gives the results of the primary' '' "$(diff "$SCRATCH/expected" "$SCRATCH/found")"
expect 'the index can be checked and used' '60 41 t' "$(on_standby <<'SQL' | xargs
SELECT coop_index_check('shop.products_emb');
SET enable_seqscan = off;
SELECT id FROM shop.products ORDER BY emb <-> (SELECT emb FROM shop.products WHERE id = 41) LIMIT 1;
SELECT rows_returned > 0 FROM coop_last_scan();
SQL
)"
expect 'coop_status() works' t "$(on_standby -c "SELECT count(*) > 10 FROM coop_status()")"
for write in "SELECT coop_load_model('other', '$SCRATCH/emoji')" "SELECT coop_drop_model('emoji')" "SELECT coop_drop_category('ball')" \
  "SELECT coop_define_category('x', coop_category_query('ball'))" "CALL coop_embed_table('shop.products', 'image', 'emb')" \
  "CALL coop_build_knn('shop.products', 'id', 'emb', 'shop.graph', 8)"; do
  PGHOST=$SCRATCH/standby expect_error "refused: $write" 'ERROR:  cannot .* \(during recovery\|in a read-only transaction\)' -c "$write"
done
expect 'it embeds afterwards' '1|t|t 2|t|t 3|t|t' "$(on_standby -c "$embeds" | xargs)"

stop_cluster "$SCRATCH"
on_standby -c 'SELECT pg_promote()' >/dev/null
expect 'after its promotion tables, index, neighbour graph and defined names go on' '62|62|62|0' "$(on_standby <<'SQL' | tail -1
INSERT INTO shop.products SELECT 1000 + id, name, designer, category, image FROM shop.products WHERE id <= 2;
CALL coop_embed_table('shop.products', 'image', 'emb');
CALL coop_build_knn('shop.products', 'id', 'emb', 'shop.graph', 8);
SELECT coop_drop_category('ball');
SELECT count(emb), coop_index_check('shop.products_emb'), (SELECT images FROM coop_knn_graphs()), (SELECT waiting FROM coop_knn_graphs()) FROM shop.products;
SQL
)"
finish
