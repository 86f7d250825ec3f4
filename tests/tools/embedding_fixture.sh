# Sourced by tests/embedding/*.sh, which are about coop_embed_table() and coop_embed_trigger(): the first 60 rows of the demo's table in
# `products`, the same images and a few others in `shop`.
# shellcheck shell=bash
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

embedding_cluster() {
  find_postgres
  scratch_cluster
  at_exit 'kill -CONT ${stopped:-} 2>/dev/null || true'
  export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"
  fixtures=$(for_server "$SCRATCH" "$ROOT/tests/fixtures/images")
  load_demo
  ask <<SQL
CREATE TABLE shop (id int, part text, image bytea, emb coopvec, PRIMARY KEY (part, id));
INSERT INTO shop SELECT id, 'p', image FROM products;
INSERT INTO shop VALUES (5, 'tiff', pg_read_binary_file('$fixtures/tiff_lzw.tif')), (1, 'nothing', NULL);
SQL
  good=$(value 'count(image) FROM shop')
}
value() { ask -c "SELECT $1"; }
embed_table() { ask -c "CALL coop_embed_table('shop', 'image', 'emb')"; }
images_embedded() { value "images FROM coop_stat_worker"; } # by the service, since it started
# Rows of a table whose embedding is their image's: the last bits depend on the batch.
right() { value "count(*) FROM $1 WHERE emb IS NOT NULL AND emb <-> coop_embed(image) < 0.02"; }
