#!/usr/bin/env bash
# The owner of a database may add rows to the extension's catalogue there, as pg_restore does. Rows that fit nothing are errors, and never a panic, a
# crash, another database's embeddings, or another role's graphs.
source "$(dirname "$0")/../tools/security_fixture.sh"
security_cluster
ask -d plain -c 'CREATE ROLE owner LOGIN' -c "ALTER ROLE mallory LOGIN"
"$BIN/createdb" -O mallory hers
files=$SCRATCH/emoji
ask -d hers >/dev/null <<SQL
CREATE EXTENSION coopembed;
SELECT coop_load_model('emoji', '$files');
CREATE TABLE photos AS SELECT pg_read_binary_file('$(for_server "$SCRATCH" "$ROOT/tests/fixtures/images/jpeg_420.jpg")') AS image, pg_read_binary_file('$files/model.safetensors') AS weights;
GRANT SELECT ON photos TO mallory;
SQL
photo=$SCRATCH/jpeg_420.jpg
embedding() { ask -d plain -c "SELECT coop_embed(pg_read_binary_file('$photo'))"; }
expected=$(embedding)
as_mallory() { psql_ -At -v ON_ERROR_STOP=0 -U mallory -d hers "$@" 2>&1 || true; }

# Another database's digest, with other weights; the service has forgotten the true ones.
as_mallory >"$SCRATCH/found" <<'SQL'
INSERT INTO coopembed.models (name, digest, subspaces, subspace_dim, config, loaded_at) SELECT 'forged', digest, subspaces, subspace_dim, config, loaded_at FROM coopembed.models WHERE name = 'emoji';
INSERT INTO coopembed.model_weights SELECT 'forged', 1, set_byte(weights, length(weights) / 2, get_byte(weights, length(weights) / 2) # 1) FROM photos;
SQL
ask -d hers -c 'SELECT coop_worker_restart()' >/dev/null
as_mallory -c "SELECT coop_embed(image, 'forged') FROM photos" >"$SCRATCH/found"
expect_in 'forged weights are refused' 'the stored model does not match its digest' "$SCRATCH/found"
expect 'another database, whose digest that is, has its own embeddings' "$expected" "$(embedding)"

# Rows that fit nothing. Each variant is a model with a digest of its own, complete but for one thing.
variants=0
columns='(name, digest, subspaces, subspace_dim, config, loaded_at)'
variant() { # NAME ROWS-SQL...: statements that replace one part; $m is the model's name
  local m=$1 part
  variants=$((variants + 1))
  declare -A sql=(
    [models]="$columns SELECT '$m', decode(lpad(to_hex($variants), 8, '0') || repeat('00', 28), 'hex'), subspaces, subspace_dim, config, loaded_at FROM coopembed.models WHERE name = 'emoji'"
    [model_weights]="SELECT '$m', 1, weights FROM photos"
    [attributes]="SELECT '$m', ordinal, name, ordered FROM coopembed.attributes WHERE model = 'emoji'"
    [attribute_values]="SELECT '$m', attribute, ordinal, value, images, query, own FROM coopembed.attribute_values WHERE model = 'emoji'"
    [categories]="SELECT '$m', ordinal, name, images, query, own FROM coopembed.categories WHERE model = 'emoji'"
    [proxies]="SELECT '$m', attribute, points, absent FROM coopembed.proxies WHERE model = 'emoji'"
  )
  shift
  while [ $# -gt 0 ]; do
    sql[$1]=${2//:m/$m}
    shift 2
  done
  for part in "${!sql[@]}"; do
    [ -z "${sql[$part]}" ] || as_mallory -c "INSERT INTO coopembed.$part ${sql[$part]}"
  done
  printf '%s\n' "$m" >>"$SCRATCH/variants"
}
model() { echo "$columns SELECT ':m', decode(lpad(to_hex($((variants + 1))), 8, '0') || repeat('00', 28), 'hex'), $1, loaded_at FROM coopembed.models WHERE name = 'emoji'"; }
{
  variant complete
  variant 'no weights' model_weights ''
  variant 'empty weights' model_weights "VALUES (':m', 1, '')"
  variant 'fewer subspaces' models "$(model "3, subspace_dim, config")"
  variant 'more subspaces' models "$(model "14, subspace_dim, config")"
  variant 'huge' models "$(model "2147483647, 2147483647, config")"
  variant 'other dimension' models "$(model "subspaces, 49, config")"
  variant 'no config' models "$(model "subspaces, subspace_dim, ''")"
  variant 'deep config' models "$(model "subspaces, subspace_dim, repeat('[', 1000000)")"
  variant 'config of numbers' models "$(model "subspaces, subspace_dim, '{\"format_version\": 1e999}'")"
  variant 'no attributes' attributes ''
  variant 'more attributes' attributes "SELECT ':m', o, 'a' || o, true FROM generate_series(1, 40) o UNION ALL SELECT ':m', 2147483647, 'hue', true"
  variant 'fewer attributes' attributes "VALUES (':m', 13, 'hue', true)"
  variant 'last ordinal' attribute_values "VALUES (':m', 1, 2147483647, 'green', 9223372036854775807, NULL, true)" categories "VALUES (':m', 2147483647, 'tool', 0, NULL, true)"
  variant 'other queries' attribute_values "SELECT ':m', attribute, ordinal, value, images, '2x2@0000002a:{0;1:2*[0.6,0.8]}', own FROM coopembed.attribute_values WHERE model = 'emoji'" \
    categories "SELECT ':m', ordinal, name, images, '2x2@0000002a:{0;1:2*[0.6,0.8]}', own FROM coopembed.categories WHERE model = 'emoji'"
  variant 'no proxies' proxies ''
  variant 'short proxies' proxies "SELECT ':m', attribute, points[2:], absent FROM coopembed.proxies WHERE model = 'emoji'"
  variant 'null proxies' proxies "SELECT ':m', attribute, array_fill(NULL::real, ARRAY[cardinality(points)]), '{NULL}' FROM coopembed.proxies WHERE model = 'emoji'"
  variant 'NaN proxies' proxies "SELECT ':m', attribute, array_fill('NaN'::real, ARRAY[cardinality(points)]), absent FROM coopembed.proxies WHERE model = 'emoji'"
  variant 'infinite proxies' proxies "SELECT ':m', attribute, array_fill('-Infinity'::real, ARRAY[2, cardinality(points) / 2]), absent FROM coopembed.proxies WHERE model = 'emoji'"
} >"$SCRATCH/inserts"
expect 'the owner may add all of these rows' '' "$(grep -v '^INSERT' "$SCRATCH/inserts" || true)"
sed "s/'/''/g; s/.*/\\\\set m '&'\n\\\\i calls.sql/" "$SCRATCH/variants" >"$SCRATCH/all.sql"
cat >"$SCRATCH/calls.sql" <<'SQL'
\echo == :m
SELECT fingerprint, subspaces, subspace_dim FROM coopembed.models WHERE name = :'m' \gset
-- An embedding of the model as its row says it is, where that is of a size that can be.
SELECT format('%sx%s@%s:[%s]', :subspaces, :subspace_dim, :'fingerprint', repeat('0.1,', least(:subspaces::bigint * :subspace_dim, 9999)::int - 1) || '0.1') AS emb \gset
SELECT count(*) FROM coop_attributes(:'m');
SELECT count(*) FROM coop_attribute_values('hue', :'m');
SELECT count(*) FROM coop_categories(:'m');
SELECT length(coop_attr_query('hue', 'green', :'m')::text);
SELECT length(coop_category_query('tool', :'m')::text);
SELECT length(coop_vector('{1,2,3}', :'m')::text);
SELECT length(coop_embed(image, :'m')::text) FROM photos;
SELECT length(coop_like(:'emb'::coopvec, 'hue')::text), length(coop_like(:'emb'::coopvec, 'a40')::text);
SELECT length(coop_like(:'emb'::coopvec, 'a40')::text);
SELECT cardinality(coop_subspace(:'emb', 'a40'));
SELECT cardinality(coop_subspace(:'emb', 'hue'));
SELECT length(coop_blend(:'emb'::coopvec, :'emb'::coopvec, 'hue')::text);
SELECT length(coop_replace(:'emb'::coopvec, 'hue', 'green')::text);
SELECT count(*) FROM coop_explain(:'emb'::coopvec, :'emb'::coopvec);
SELECT length(coop_tags(:'emb')::text);
SELECT count(*) FROM coop_predict(:'emb', 'hue');
SELECT count(*) FROM coop_predict(:'emb', 'a40');
SELECT count(*) FROM coop_predict_category(:'emb');
BEGIN;
SELECT coop_define_attribute_value('hue', 'mine', :'emb'::coopvec);
ROLLBACK;
BEGIN;
SELECT coop_define_category('mine', :'emb'::coopvec);
ROLLBACK;
BEGIN;
SELECT coop_drop_attribute_value('hue', 'green', :'m');
ROLLBACK;
SELECT count(*) FROM coop_models();
SQL
(cd "$SCRATCH" && psql_ -At -v ON_ERROR_STOP=0 -v VERBOSITY=verbose -d hers -f all.sql) >"$SCRATCH/calls" 2>&1
expect 'every variant is asked' "$variants" "$(grep -c '^== ' "$SCRATCH/calls")"
expect 'no call of any function panics' '' "$(grep -i 'panic\|out of range for\|index out of\|overflow\|unwrap\|unreachable' "$SCRATCH/calls" | sort | uniq -c | head -20)"
expect 'or fails for a reason inside' '' "$(grep 'ERROR:  XX' "$SCRATCH/calls" | grep -v 'the weights of model "no weights" are missing' | sort | uniq -c | head)"
expect 'no process crashes' '' "$(crashes)"
expect 'and the other database goes on' "$expected" "$(embedding)"

# Graphs: only those that are hers.
ask -d hers >/dev/null <<'SQL'
CREATE TABLE things AS SELECT i AS id, '2x2@0000002a:[1,0,0,1]'::coopvec AS emb FROM generate_series(1, 9) i;
CREATE TABLE graph AS SELECT id, coopembed.digest(emb) AS digest, '{1}'::int[] AS neighbours, '{0}'::float8[] AS distances FROM things;
GRANT ALL ON SCHEMA public TO mallory;
GRANT SELECT ON graph TO mallory;
SQL
as_mallory -c "INSERT INTO coopembed.knn_graphs VALUES ('graph', 'things', 'id', 'emb', 5, NULL)" >"$SCRATCH/found"
expect_in "another role's table is not listed as a graph" 'graph is not added to the list of neighbour graphs' "$SCRATCH/found"
expect 'nor read' 0 "$(ask -d hers -c 'SELECT count(*) FROM coop_knn_graphs()')"
as_mallory -c 'CREATE TABLE mine AS TABLE graph' -c "INSERT INTO coopembed.knn_graphs VALUES ('mine', 'things', 'id', 'emb', 5, NULL)" >"$SCRATCH/found"
expect 'her own is' 1 "$(ask -d hers -c 'SELECT count(*) FROM coop_knn_graphs()')"
finish
