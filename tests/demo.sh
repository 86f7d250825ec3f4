#!/usr/bin/env bash
# The demo of clothes answers right: of the first eight garments for each word of its queries, at least eight in attribute and category have
# that word; another shot of the same garment comes first; with long sleeves asked for, the same garment with long sleeves.
source "$(dirname "$0")/tools/lib.sh"
find_postgres
scratch_cluster
"$BIN/createdb" clothes
export PGDATABASE=clothes PGOPTIONS="-c client_min_messages=warning"
load_clothes
psql_ -c "CALL coop_embed_table('products', 'image', 'emb')"

# right WHAT ORDER CONDITION: how many of the first eight meet the condition.
right() {
  expect "the first eight of: $1" 8 "$(ask -c "SELECT count(*) FILTER (WHERE $3) FROM (SELECT * FROM products ORDER BY $2 LIMIT 8) first")"
}
right 'a v-neck' "emb <-> coop_attr_query('neckline', 'v-neck')" "neckline = 'v-neck'"
right 'a dress' "emb <-> coop_category_query('dress')" "category = 'dress'"
right 'floral and of knee length' "emb <-> coop_attr_query('pattern', 'floral') + 2 * coop_attr_query('length', 'knee')" "pattern = 'floral'"
expect 'the same garment, another shot' 2 "$(ask -c "SELECT count(*) FILTER (WHERE garment = '1000096') FROM (
  SELECT * FROM products ORDER BY emb <-> (SELECT emb FROM products WHERE id = 195) LIMIT 2) first")"
expect 'the same garment with long sleeves' 1000096-long-sleeves "$(ask -c "SELECT garment FROM products ORDER BY emb <-> (
  SELECT coop_like(r) + 4 * coop_like(r, 'sleeves') FROM (SELECT coop_replace(emb, 'sleeves', 'long') AS r FROM products WHERE id = 195) changed) LIMIT 1")"
finish
