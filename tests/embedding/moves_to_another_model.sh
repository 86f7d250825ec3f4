#!/usr/bin/env bash
# A table moves to another model while it is searched and written, as sql/operations.md says ("Change the model"): no statement fails, and no
# answer mixes models. In place, coop_embed_table() says before it embeds anything that the index holds another model, and what to do.
source "$(dirname "$0")/../tools/embedding_fixture.sh"
embedding_cluster
ask -c "CALL coop_embed_table('products', 'image', 'emb')" -c 'CREATE INDEX products_emb ON products USING coop (emb)' \
  -c "CREATE TRIGGER embed BEFORE INSERT OR UPDATE OF image ON products FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb')" \
  -c 'CREATE SEQUENCE ids START 1000'
twin=$(twin_of "$SCRATCH/emoji")
ask -c "SELECT coop_load_model('next', '$twin')" >/dev/null

before=$(images_embedded)
expect_error 'coop_embed_table() refuses another model in an indexed column' 'index .*products_emb holds embeddings of another model' -v VERBOSITY=verbose -c "CALL coop_embed_table('products', 'image', 'emb', model => 'next')"
expect_in 'says what it found' '60 rows of .*products have an embedding of another model in column "emb"' "$SCRATCH/error"
expect_in 'and what to do' 'add a second column, embed and index that one, and swap the two' "$SCRATCH/error"
expect 'and it embeds nothing first' "$before" "$(images_embedded)"

# Shoppers and buyers, by the simple and the extended protocol. Rows are found by attribute, by an image, and by themselves.
cat >"$SCRATCH/shop.sql" <<'SQL'
SELECT id FROM products ORDER BY emb <-> coop_attr_query('hue', 'green') + coop_category_query('tool') LIMIT 3;
SELECT id FROM products ORDER BY emb <-> coop_embed((SELECT image FROM products WHERE id = 7)) LIMIT 3;
SELECT count(*) FROM products a, products b WHERE a.id = 7 AND b.emb <-> a.emb < 0.1;
INSERT INTO products (id, name, designer, category, image) SELECT nextval('ids'), name, designer, category, image FROM products WHERE id = 8;
UPDATE products SET image = (SELECT image FROM products WHERE id = 9) WHERE id = 10;
SQL
chmod a+r "$SCRATCH/shop.sql"
# Open until the file "closed" is there. A statement that fails ends its session, and pgbench with an error.
shop() { # MODE
  until [ -e "$SCRATCH/closed" ]; do "$BIN/pgbench" -n -M "$1" -c 2 -T 2 -f "$SCRATCH/shop.sql" postgres || return; done
}
for mode in simple prepared; do
  shop $mode >"$SCRATCH/$mode" 2>&1 &
  shops+=($!)
done
has_new_rows() { [ "$(value 'count(*) FROM products WHERE id >= 1000')" -gt 4 ]; }
until_true 'the shop is open' has_new_rows
ask >/dev/null <<'SQL'
ALTER TABLE products ADD COLUMN emb_next coopvec;
CREATE TRIGGER embed_next BEFORE INSERT OR UPDATE OF image ON products
    FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb_next', 'next');
SQL
without_model() { value "count(*) FROM products WHERE $1 IS NULL OR coopembed.fingerprint($1) <> (SELECT fingerprint FROM coopembed.embed_model('$2'))"; }
# Rows that somebody writes at that moment are left for the next call.
embed_next() { ask -c "CALL coop_embed_table('products', 'image', 'emb_next', model => 'next')" && [ "$(without_model emb_next next)" = 0 ]; }
until_true 'all rows have the new embedding' embed_next
ask -c 'CREATE INDEX CONCURRENTLY products_emb_next ON products USING coop (emb_next)'
expect 'while the shop is open, every row has both embeddings' '0 0' "$(without_model emb emoji) $(without_model emb_next next)"
ask >/dev/null <<'SQL'
BEGIN;
ALTER TABLE products RENAME COLUMN emb TO emb_old;
ALTER TABLE products RENAME COLUMN emb_next TO emb;
DROP TRIGGER embed_next ON products;
SELECT coop_set_default_model('next');
COMMIT;
ALTER TABLE products DROP COLUMN emb_old;
SELECT coop_drop_model('emoji');
SQL
sold=$(value 'count(*) FROM products')
has_sold_more() { [ "$(value 'count(*) FROM products')" -gt "$sold" ]; }
until_true 'the shop goes on afterwards' has_sold_more
check 'it was open all the time' kill -0 "${shops[@]}"
touch "$SCRATCH/closed"
for mode in simple prepared; do
  check "and no statement fails ($mode)" wait "${shops[0]}"
  shops=("${shops[@]:1}")
  expect "of none ($mode)" '' "$(grep -i 'error\|abort' "$SCRATCH/$mode" || true)"
done
expect 'all rows are of the new model' 0 "$(without_model emb next)"
expect 'and in the index' "$(value 'count(*) FROM products')" "$(value "coop_index_check('products_emb_next')")"
expect 'which answers' 'Index Scan using products_emb_next on products' "$(ask -c 'SET enable_seqscan = off' -c "EXPLAIN (COSTS OFF) SELECT id FROM products ORDER BY emb <-> coop_attr_query('hue', 'green') LIMIT 3" | grep -o 'Index Scan.*')"
finish
