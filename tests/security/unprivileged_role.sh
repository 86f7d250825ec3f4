#!/usr/bin/env bash
# A role without rights loads, drops and defines nothing, restarts nothing, and reads and writes no table of the extension; to load a model
# from the server's files it needs the right to read those, too.
source "$(dirname "$0")/../tools/security_fixture.sh"
security_cluster
denied='permission denied'
clerk_error 'a clerk loads no model from the server' "$denied" "SELECT coop_load_model('x', '$SCRATCH/emoji')"
clerk_error 'nor from values' "$denied" "SELECT coop_load_model('x', '{}', '')"
clerk_error 'nor in parts' "$denied" "SELECT coopembed.stage_weights(1, 'x')"
clerk_error 'nor from parts' "$denied" "SELECT coopembed.load_staged('emoji', '{}', true)"
clerk_error 'nor reads the weights of one' "$denied" "SELECT coopembed.model_part('emoji', 1)"
clerk_error 'nor drops one' "$denied" "SELECT coop_drop_model('emoji')"
clerk_error 'nor defines a category' "$denied" "SELECT coop_define_category('x', coop_category_query('tool'))"
clerk_error 'nor drops an attribute value' "$denied" "SELECT coop_drop_attribute_value('hue', 'x')"
clerk_error 'nor defines a synonym' "$denied" "SELECT coop_define_synonym('x', 'hue', 'red')"
clerk_error 'nor one of a category' "$denied" "SELECT coop_define_category_synonym('x', 'tool')"
clerk_error 'nor drops one' "$denied" "SELECT coop_drop_synonym('x')"
clerk_error 'nor restarts the service' "$denied" 'SELECT coop_worker_restart()'
clerk_error 'nor reads weights' "$denied" 'SELECT count(*) FROM coopembed.model_weights'
clerk_error 'nor reads who embeds what but through the view' "$denied" 'SELECT count(*) FROM coopembed.embedding_runs'
for table in knn_graphs models attributes attribute_values categories proxies synonyms model_weights embedding_runs; do
  clerk_error "nor writes $table" "$denied" "DELETE FROM coopembed.$table"
done
clerk_error 'nor creates objects in the schema coopembed' "$denied" 'CREATE TABLE coopembed.x ()'
clerk_error 'nor checks an index of another role' 'must be owner' "SELECT coop_index_check('shop.products_emb_idx')"
clerk_error 'nor registers a table of another role as a graph' 'must be owner of table products' \
  "SELECT coopembed.knn_add_graph('shop.products', 'shop.products', 'id', 'emb', 5, NULL)"
clerk_error 'nor a table that does not exist yet' 'must be an ordinary table' "SELECT coopembed.knn_add_graph(4000000000, 'shop.products', 'id', 'emb', 5, NULL)"
ask -d plain -c 'GRANT EXECUTE ON FUNCTION coop_load_model(text, text) TO clerk'
clerk_error 'the right to call coop_load_model() does not include reading files of the server' 'permission denied to read a model directory' "SELECT coop_load_model('x', '$SCRATCH/emoji')"
ask -d plain -c 'CREATE ROLE librarian' -c 'GRANT pg_read_server_files TO librarian'
expect_error 'a role that may read them needs an absolute path' 'absolute' -d plain -c 'SET ROLE librarian' -c "SELECT coop_load_model('x', 'base/../../emoji')"
expect_error 'with one it gets as far as the model' 'already exists' -d plain -c 'SET ROLE librarian' -c "SELECT coop_load_model('emoji', '$SCRATCH/emoji')"
finish
