#!/usr/bin/env bash
# A restore of data alone, into tables whose triggers are there, takes embeddings as they were dumped and embeds nothing: with the model loaded,
# in any order with it, and without one. INSERT, and COPY of images alone, embed as ever.
source "$(dirname "$0")/../tools/lib.sh"
find_postgres
scratch_cluster
export PGOPTIONS="-c client_min_messages=warning"
"$BIN/createdb" shop
export PGDATABASE=shop
load_demo
embed_demo products
ask -c 'CREATE SCHEMA boutique' -c 'CREATE TABLE boutique.rows AS SELECT id, image, emb FROM products' \
  -c "CREATE TRIGGER embed BEFORE INSERT OR UPDATE OF image ON products FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb')" \
  -c "CREATE TRIGGER embed BEFORE INSERT OR UPDATE ON boutique.rows FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb')"
"$BIN/pg_dump" -Fc -f "$SCRATCH/shop.dump" shop
"$BIN/pg_dump" -s -f "$SCRATCH/schema.sql" shop
embedded() { ask -d shop -c 'SELECT coalesce(images, 0) FROM coop_stat_worker'; }
digests() { ask -d "$1" -c "SELECT md5(string_agg(coopvec_send(emb)::text, ' ' ORDER BY id)) FROM products" -c "SELECT md5(string_agg(coopvec_send(emb)::text, ' ' ORDER BY id)) FROM boutique.rows"; }
expected=$(digests shop)
ask -c "SELECT coop_embed(image) IS NULL FROM products WHERE id = 1" >/dev/null
before=$(embedded)
for way in serial parallel; do
  "$BIN/createdb" $way
  ask -d $way -f "$SCRATCH/schema.sql" >/dev/null
  jobs=1
  [ $way = serial ] || jobs=4
  check "data alone is restored ($way)" "$BIN/pg_restore" -e -a -j $jobs -d $way "$SCRATCH/shop.dump"
  expect "embeddings are those of the dump ($way)" "$expected" "$(digests $way)"
done
"$BIN/createdb" without
ask -d without -f "$SCRATCH/schema.sql" >/dev/null
check 'without a model, too' "$BIN/pg_restore" -e -a -N coopembed -d without "$SCRATCH/shop.dump"
expect 'with the same embeddings' "$expected" "$(digests without)"
expect 'and no image is embedded' "$before" "$(embedded)"

ask -c "COPY (SELECT id + 1000, name, designer, category, image, (SELECT emb FROM products WHERE id = 9) FROM products WHERE id = 8) TO '$SCRATCH/data/row'" \
  -c "COPY products (id, name, designer, category, image, emb) FROM '$SCRATCH/data/row'"
expect 'COPY takes the embedding that a row brings along' t "$(ask -c 'SELECT (SELECT emb FROM products WHERE id = 1008) = (SELECT emb FROM products WHERE id = 9)')"
ask -c "COPY (SELECT id + 2000, name, designer, category, image FROM products WHERE id = 8) TO '$SCRATCH/data/row'" \
  -c "COPY products (id, name, designer, category, image) FROM '$SCRATCH/data/row'"
ask -c 'INSERT INTO products SELECT id + 3000, name, designer, category, image, (SELECT emb FROM products WHERE id = 9) FROM products WHERE id = 8'
expect 'and embeds an image without one, as INSERT does in any case' 't t' "$(ask -c 'SELECT a.emb <-> b.emb < 0.02 FROM products a, products b WHERE a.id = 8 AND b.id IN (2008, 3008)' | xargs)"
ask -c 'CREATE FUNCTION buy() RETURNS int LANGUAGE sql AS $$INSERT INTO products SELECT id + 4000, name, designer, category, image, (SELECT emb FROM products WHERE id = 9) FROM products WHERE id = 8 RETURNING id$$' \
  -c 'COPY (SELECT buy()) TO STDOUT' >/dev/null
expect 'also where a COPY TO inserts' t "$(ask -c 'SELECT a.emb <-> b.emb < 0.02 FROM products a, products b WHERE a.id = 8 AND b.id = 4008')"
finish
