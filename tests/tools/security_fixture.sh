# Sourced by tests/security/*.sh: databases with the extension, the shipped model, and a schema `shop` with 60 embedded rows of the demo and
# a neighbour graph of them, which the unprivileged role `clerk` may read.
# shellcheck shell=bash
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# security_cluster: with the database `plain`, where the extension is in schema public.
security_cluster() {
  find_postgres
  scratch_cluster
  export PGOPTIONS="-c client_min_messages=warning"
  "$BIN/createdb" plain
  ask -d plain -c 'CREATE ROLE clerk' -c 'CREATE ROLE mallory'
  PGDATABASE=plain load_demo
  PGDATABASE=plain embed_demo products
  ask -d plain -c 'CREATE SCHEMA shop' -c 'ALTER TABLE products SET SCHEMA shop' \
    -c 'COPY (SELECT id, category, emb FROM shop.products) TO STDOUT' >"$SCRATCH/products"
  index_and_grant plain public
}
# copy_of_plain DATABASE SCHEMA: the same model and rows, by a superuser, in a database where the extension is in another schema.
copy_of_plain() {
  ask -d "$1" -v ext="$2" <<SQL >/dev/null
CREATE EXTENSION coopembed SCHEMA :"ext";
SELECT :"ext".coop_load_model('emoji', '$SCRATCH/emoji');
CREATE SCHEMA shop;
CREATE TABLE shop.products (id integer PRIMARY KEY, category text, emb :"ext".coopvec, image bytea);
\\copy shop.products (id, category, emb) FROM '$SCRATCH/products'
SQL
  index_and_grant "$1" "$2"
}
index_and_grant() {
  ask -d "$1" -v ext="$2" <<SQL >/dev/null
CREATE INDEX ON shop.products USING coop (emb);
CALL :"ext".coop_build_knn('shop.products', 'id', 'emb', 'shop.graph', 8);
GRANT USAGE ON SCHEMA shop, :"ext" TO clerk;
GRANT SELECT ON shop.products, shop.graph TO clerk;
SQL
}
as_clerk() { ask -d "$1" -c 'SET SESSION AUTHORIZATION clerk' "${@:2}"; } # DATABASE PSQL-ARGUMENTS...
clerk_error() { # WHAT PATTERN SQL: the clerk gets such an error in `plain`
  expect_error "$1" "$2" -d plain -c 'SET SESSION AUTHORIZATION clerk' -c "$3"
}
# The clerk's results of every function that reads.
results() { # DATABASE SCHEMA SEARCH-PATH
  as_clerk "$1" -v ext="\"$2\"" -c "SET search_path TO $3" -f "$ROOT/tests/tools/reading_functions.sql" 2>&1 || true
}
expected_results() {
  results plain public public >"$SCRATCH/expected"
  ! grep ERROR "$SCRATCH/expected" || die 'a statement of reading_functions.sql is wrong'
}
same_results() { # WHAT DATABASE SCHEMA SEARCH-PATH
  if results "$2" "$3" "$4" | diff "$SCRATCH/expected" - >"$SCRATCH/found"; then ok "$1"; else fail "$1" "$(head -20 "$SCRATCH/found")"; fi
}
