#!/usr/bin/env bash
# A table distributed by Citus: each shard answers by its own index, with the limit, and answers are those of one table; embedding, triggers, joins,
# a worker that is down, shards that move, an update of the extension. Runs where PostgreSQL has Citus; CITUS_PG_CONFIG names the pg_config of
# one that has, into which the extension is then installed.
source "$(dirname "$0")/tools/lib.sh"
[ -z "${CITUS_PG_CONFIG:-}" ] || export PG_CONFIG=$CITUS_PG_CONFIG
find_postgres
if [ ! -f "$("$PG_CONFIG" --sharedir)/extension/citus.control" ]; then
  echo 'skipped: this PostgreSQL has no Citus; CITUS_PG_CONFIG names one that has'
  exit
fi
[ -z "${CITUS_PG_CONFIG:-}" ] || install_extension
export PGDATABASE=postgres PGOPTIONS='-c client_min_messages=warning'
scratch_folder
base=$((20000 + RANDOM % 20000))
# Node 0 is the coordinator, 1 to 3 are workers.
start_node() {
  start_cluster "$SCRATCH/node$1" "port=$((base + $1))" fsync=off autovacuum=off shared_preload_libraries=citus listen_addresses=127.0.0.1 \
    "citus.node_conninfo=sslmode=disable" citus.enable_statistics_collection=off citus.shard_count=6 enable_seqscan=off
}
on() { PGHOST=$SCRATCH/node$1 PGPORT=$((base + $1)) ask "${@:2}"; } # NODE PSQL-ARGUMENTS...
for n in 3 2 1 0; do
  start_node $n
  on $n -c 'CREATE EXTENSION citus'
done
export PGHOST=$SCRATCH/node0 PGPORT=$base
ask -c "SELECT citus_set_coordinator_host('127.0.0.1', $base)" >/dev/null
for n in 1 2 3; do ask -c "SELECT citus_add_node('127.0.0.1', $((base + n)))" >/dev/null; done
ask -c 'CREATE EXTENSION coopembed'
expect 'CREATE EXTENSION reaches the workers' "$(ask -c "SELECT string_agg(extversion, ' ') FROM pg_extension, generate_series(1, 3) WHERE extname = 'coopembed'")" \
  "$(for n in 1 2 3; do on $n -c "SELECT extversion FROM pg_extension WHERE extname = 'coopembed'"; done | xargs)"

# `one` is a local table, `products` the same rows on the workers.
PGOPTIONS="$PGOPTIONS -c citus.use_citus_managed_tables=off" load_demo 60
ask -c "CALL coop_embed_table('products', 'image', 'emb')" 2>/dev/null
ask >/dev/null <<'SQL'
ALTER TABLE products RENAME TO one;
CREATE TABLE products (LIKE one INCLUDING ALL);
SELECT create_distributed_table('products', 'id');
CREATE INDEX products_emb ON products USING coop (emb);
INSERT INTO products SELECT * FROM one;
CREATE TABLE categories (category text PRIMARY KEY, is_open boolean);
SELECT create_reference_table('categories');
INSERT INTO categories SELECT DISTINCT category, category < 'm' FROM one;
SQL
# same WHAT SQL: the statement has the same answer on `products` as on `one`.
same() { expect "$1" "$(ask -c "${2//products/one}")" "$(ask -c "$2")"; }
green="coop_attr_query('hue', 'green')"
constant=$(ask -c "SELECT quote_literal($green) || '::coopquery'")
failing() { expect_error "$1" "$2" -c "$3"; } # WHAT PATTERN SQL

# Only the coordinator has a model.
same 'a constant' "SELECT id FROM products ORDER BY emb <-> $constant, id LIMIT 5"
same 'a query function in a subquery, computed once, by the coordinator' "SELECT id FROM products ORDER BY emb <-> (SELECT $green), id LIMIT 5"
same 'an embedding from a local table' "SELECT id FROM products ORDER BY emb <-> (SELECT emb FROM one AS o WHERE id = 41), id LIMIT 5"
same 'a parameter' "PREPARE nearest(coopquery) AS SELECT id FROM products ORDER BY emb <-> \$1, id LIMIT 5; EXECUTE nearest($green)"
same 'coop_search' "SELECT id FROM coop_search(NULL::products, 'emb', $green, 5) ORDER BY emb <-> $constant, id"
same 'one hit a product' "SELECT count(*), count(DISTINCT category) FROM coop_search(NULL::products, 'emb', $green, 5, distinct_on => 'category')"
same 'everything up to a distance' "SELECT count(*) FROM products WHERE emb <-> (SELECT $green) < 1.2"
same 'a mean, of rows that come to the coordinator' "SELECT avg(emb) FROM (SELECT emb FROM products ORDER BY id OFFSET 0) t"
failing 'a query function beside the operator runs on the workers, which have no model' 'no model is loaded' "SELECT id FROM products ORDER BY emb <-> $green LIMIT 5"
ask -c "EXPLAIN (COSTS off) SELECT id FROM products ORDER BY emb <-> (SELECT $green) LIMIT 5" >"$SCRATCH/plan"
expect 'the limit goes to each shard' '1 6' "$(grep -c '^  *->  Limit' "$SCRATCH/plan") $(sed -n 's/.*Task Count: //p' "$SCRATCH/plan")"
plan() { ask -c "EXPLAIN (COSTS off) SELECT id FROM products $1 LIMIT 5" | grep -c 'Index Scan using products_emb_'; }
expect 'each shard uses its index' 1 "$(plan "ORDER BY emb <-> $constant")"
expect 'up to a distance, too' 1 "$(plan "WHERE emb <-> $constant < 0.5")"

# Models on the workers, too.
ask -c "SELECT * FROM run_command_on_workers(\$\$SELECT coop_load_model('emoji', '$SCRATCH/emoji')\$\$) WHERE NOT success" >"$SCRATCH/loaded"
expect 'the workers load the model' '' "$(cat "$SCRATCH/loaded")"
same 'a query function' "SELECT id FROM products ORDER BY emb <-> $green, id LIMIT 5"
same 'a weighted mix' "SELECT id FROM products ORDER BY emb <-> $green + 2 * coop_category_query('game'), id LIMIT 5"
same 'a condition' "SELECT id FROM products WHERE category < 'k' ORDER BY emb <-> $green, id LIMIT 5"
same 'a join with a reference table' \
  "SELECT id FROM products JOIN categories USING (category) WHERE is_open ORDER BY emb <-> $green, id LIMIT 5"
same 'tags' "SELECT id, coop_tags(emb) FROM products ORDER BY id LIMIT 5"
same 'why rows match' "SELECT id, (coop_explain(emb, $green)).contribution FROM products ORDER BY id LIMIT 5"
failing 'the embedding of a row of the table itself needs two statements' 'complex joins' \
  "SELECT id FROM products ORDER BY emb <-> (SELECT emb FROM products WHERE id = 41) LIMIT 5"

# Embedding.
failing 'Citus passes no stable function of a column on to UPDATE' 'STABLE functions' 'UPDATE products SET emb = coop_embed(image)'
ask -c 'UPDATE products SET emb = NULL'
failing 'coop_embed_table says how to embed the shards' "run_command_on_shards('public.products', 'CALL coop_embed_table(''%s'', ''image'', ''emb'')')" \
  "CALL coop_embed_table('products', 'image', 'emb')"
on_shards() { ask -c "SELECT count(*) FROM run_command_on_shards('products', \$\$$1\$\$) WHERE success"; }
expect 'each worker embeds its shards' 6 "$(on_shards "CALL coop_embed_table('%s', 'image', 'emb')")"
expect 'with the same embeddings' 60 "$(ask -c 'SELECT count(*) FROM one JOIN (SELECT id, emb FROM products OFFSET 0) p USING (id, emb)')"
expect 'the indexes of all shards are sound' "$(ask -c 'SELECT count(*) FROM one')" \
  "$(ask -c "SELECT sum(result::int) FROM run_command_on_shards('products', \$\$SELECT coop_index_check(indexrelid) FROM pg_index WHERE indrelid = '%s'::regclass
      AND indexrelid::regclass::text LIKE 'products_emb%%'\$\$)")"
ask -c "INSERT INTO products SELECT 1000, name, designer, category, image, coop_embed(image) FROM one WHERE id = 41"
same 'coop_embed in INSERT' "SELECT id % 959 FROM products ORDER BY emb <-> (SELECT emb FROM one AS o WHERE id = 41), id LIMIT 1"
ask -c 'SET citus.enable_unsafe_triggers = on' -c "CREATE TRIGGER embed BEFORE INSERT OR UPDATE OF image ON products
  FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb')" -c 'INSERT INTO products SELECT 1001, name, designer, category, image FROM one WHERE id = 41'
expect 'a trigger on each shard embeds' t "$(ask -c 'SELECT p.emb = o.emb FROM one o, (SELECT emb FROM products WHERE id = 1001) p WHERE o.id = 41')"
ask -c 'DELETE FROM products WHERE id >= 1000'

# A worker that is down, and shards that move.
stop_cluster "$SCRATCH/node3"
failing 'a worker that is down is an error' 'connection to the remote node' "SELECT id FROM products ORDER BY emb <-> $constant LIMIT 5"
(start_node 3)
back() { ask -c "SELECT count(*) FROM (SELECT id FROM products ORDER BY emb <-> $constant LIMIT 5) t" 2>/dev/null | grep -qx 5; }
until_true 'the worker is back' back
ask -c "SELECT citus_drain_node('127.0.0.1', $((base + 3)), 'block_writes')" >/dev/null
expect 'shards move to other workers' 0 "$(ask -c "SELECT count(*) FROM citus_shards WHERE table_name = 'products'::regclass AND nodeport = $((base + 3))")"
same 'with their indexes' "SELECT id FROM products ORDER BY emb <-> $green, id LIMIT 5"
expect 'which are used' 1 "$(plan "ORDER BY emb <-> $constant")"

# An older version of the extension.
ask -c 'DROP TABLE products, one' -c 'DROP EXTENSION coopembed CASCADE' -c "CREATE EXTENSION coopembed VERSION '0.2.0'" -c 'ALTER EXTENSION coopembed UPDATE'
newest=$(ask -c "SELECT default_version FROM pg_available_extensions WHERE name = 'coopembed'")
expect 'ALTER EXTENSION UPDATE reaches the workers' "$newest $newest $newest" \
  "$(for n in 1 2 3; do on $n -c "SELECT extversion FROM pg_extension WHERE extname = 'coopembed'"; done | xargs)"
finish
