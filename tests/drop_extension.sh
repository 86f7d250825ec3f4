#!/usr/bin/env bash
# DROP EXTENSION CASCADE leaves no object and no file behind, and the extension can be created again, even by a session that has used it before.
source "$(dirname "$0")/tools/lib.sh"
find_postgres
scratch_cluster
export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"

# How many rows each table of the system catalog has that are not PostgreSQL's own; which files the cluster has.
catalog() {
  ask <<'SQL'
SELECT format('SELECT %L, count(*) FROM %s WHERE %s', c.relname, c.oid::regclass,
    CASE WHEN EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'oid') THEN 'oid >= 16384' ELSE 'true' END ||
    CASE WHEN relname = 'pg_namespace' THEN ' AND nspname !~ ''^pg_(toast_)?temp_''' ELSE '' END)
FROM pg_class c WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r' AND relname <> 'pg_statistic' ORDER BY 1 \gexec
SQL
}
files() { (cd "$SCRATCH/data" && find . -type f -not -path './pg_wal/*' -not -path './pg_xact/*' -not -name 'pg_internal.init' \
  -not -name '*_fsm' -not -name '*_vm' -not -path './pg_stat*' | sort); }
use_extension() {
  load_demo 12
  ask >/dev/null <<'SQL'
CREATE TRIGGER embed BEFORE INSERT OR UPDATE OF image ON products FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb');
CALL coop_embed_table('products', 'image', 'emb');
CREATE INDEX products_emb ON products USING coop (emb);
CALL coop_build_knn('products', 'id', 'emb', 'products_knn');
SELECT coop_define_category('ball', avg(emb)) FROM products WHERE id < 5;
CREATE VIEW greens AS SELECT id FROM products ORDER BY emb <-> coop_attr_query('hue', 'green');
CREATE FUNCTION distance(coopvec, coopvec) RETURNS float8 LANGUAGE sql AS 'SELECT $1 <-> $2';
SQL
}

ask -c 'VACUUM FULL pg_class' -c 'CHECKPOINT' # what the first session of a database creates
catalog >"$SCRATCH/catalog"
files >"$SCRATCH/files"

use_extension
expect_error 'without CASCADE an extension in use is not dropped' 'column emb of table products depends on type coopvec' -c 'DROP EXTENSION coopembed'
expect 'and nothing is missing' 12 "$(ask -c "SELECT coop_index_check('products_emb')")"
supervisor=$(column supervisor_pid)
ask -c 'DROP EXTENSION coopembed CASCADE'
expect 'CASCADE drops columns, indexes, views, triggers and functions, and leaves the tables' \
  'products: id name designer category image, products_knn: id digest neighbours distances' "$(ask -c "
  SELECT string_agg(line, ', ' ORDER BY line) FROM (SELECT attrelid::regclass || ': ' || string_agg(attname, ' ' ORDER BY attnum) AS line
    FROM pg_attribute WHERE attrelid::regclass::text ~ '^(products|products_knn|greens)\$' AND attnum > 0 AND NOT attisdropped GROUP BY attrelid) t")"
expect 'the service, which needs no extension, stays' "$supervisor" "$(ps -o pid= -p "$supervisor" | xargs)"
ask -c 'DROP TABLE products, products_knn'
expect 'no object is left' '' "$(catalog | diff "$SCRATCH/catalog" -)"
ask -c CHECKPOINT
# Files of the catalog may be new ones; those whose number is at least 16384 are of users' objects.
of_users() { grep -E '/[0-9]+(\.[0-9]+)?$' | awk -F/ '$NF >= 16384'; }
expect 'no file of a table or index is left' '' "$(files | of_users | diff <(of_users <"$SCRATCH/files") -)"
expect 'no other file is left but lock and socket of the service' 'coopembed.lock coopembed.sock' "$(cd "$SCRATCH/data" && find . -name '*coop*' -printf '%f\n' | sort | xargs)"

# Again, and in the session that used it before.
use_extension
expect 'a session that has used the extension goes on with a new one' $'green\nno model is loaded\ngreen' "$(ask -v ON_ERROR_STOP=0 2>&1 <<SQL | sed 's/^ERROR:  //' | grep -v '^DETAIL\|^HINT\|^[0-9a-f]\{8\}$'
SELECT 'green' FROM products WHERE emb <-> coop_attr_query('hue', 'green') > 0 LIMIT 1;
DROP EXTENSION coopembed CASCADE;
CREATE EXTENSION coopembed;
SELECT coop_attr_query('hue', 'green');
SELECT coop_load_model('emoji', '$SCRATCH/emoji');
ALTER TABLE products ADD emb coopvec;
UPDATE products SET emb = coop_embed(image) WHERE id = 1;
CREATE INDEX products_emb ON products USING coop (emb);
SET enable_seqscan = off;
SELECT 'green' FROM products WHERE id = 1 ORDER BY emb <-> coop_attr_query('hue', 'green') LIMIT 1;
SQL
)"
"$BIN/createdb" other
ask -d other -c 'CREATE EXTENSION coopembed' -c "SELECT coop_load_model('emoji', '$SCRATCH/emoji')" -c "SELECT coop_embed(image) IS NOT NULL FROM (SELECT pg_read_binary_file('$SCRATCH/gallery/images/' || name) AS image FROM pg_ls_dir('$SCRATCH/gallery/images') name LIMIT 1) t" >/dev/null
"$BIN/dropdb" other
ok 'a database whose images were embedded can be dropped at once'
finish
