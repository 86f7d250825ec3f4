#!/usr/bin/env bash
# pg_upgrade from an older PostgreSQL to $PGV keeps a database with a model, embeddings, an index and a stored neighbour graph as it was. The older
# server is the one of PyPI, as Debian's may be a newer minor release than the new one and write what that does not know; the extension in it is the
# one that is installed in the older PG_CONFIG. usage: PGV=18 pg_upgrade.sh OLD-VERSION [OLD-PG_CONFIG]
source "$(dirname "$0")/tools/lib.sh"
if [ $# = 0 ]; then
  echo 'skipped: needs a second PostgreSQL (make test-versions has them)'
  exit
fi
new_version=$PGV old_version=$1
PGV=$old_version "$ROOT/tests/tools/postgresql.sh"
old=$(PGV=$old_version fetched_postgres)/bin/pg_config
installed=${2:-$(unset PG_CONFIG; PGV=$old_version find_postgres >&2; echo "$PG_CONFIG")}
if [ "$installed" != "$old" ]; then
  cp "$("$installed" --pkglibdir)/coopembed.so" "$("$old" --pkglibdir)/"
  cp "$("$installed" --sharedir)"/extension/coopembed* "$("$old" --sharedir)/extension/"
fi
find_postgres
new_bin=$BIN old_bin=$("$old" --bindir)
for config in "$old" "$PG_CONFIG"; do
  [ -e "$("$config" --pkglibdir)/coopembed.so" ] || die "coopembed is not installed in the PostgreSQL of $config"
done

scratch_folder
mkdir "$SCRATCH/old" "$SCRATCH/new"
give_to_server "$SCRATCH"
unset CLUSTER_TEMPLATE # of another version
export PGDATABASE=shop PGOPTIONS="-c client_min_messages=warning"

BIN=$old_bin
start_cluster "$SCRATCH/old" fsync=off
PGDATABASE='' "$BIN/createdb" shop
load_demo
ask >/dev/null <<'SQL'
CREATE SCHEMA shop;
ALTER TABLE products SET SCHEMA shop;
CALL coop_embed_table('shop.products', 'image', 'emb');
CREATE INDEX products_emb ON shop.products USING coop (emb) WITH (tail_rows = 64);
CREATE TRIGGER embed BEFORE INSERT OR UPDATE OF image ON shop.products FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb');
INSERT INTO shop.products SELECT id + 1000, name, designer, category, image FROM shop.products WHERE id <= 10;
DELETE FROM shop.products WHERE id > 1005;
SELECT coop_define_category('ball', avg(emb)) FROM shop.products WHERE name ~ 'ball';
CALL coop_build_knn('shop.products', 'id', 'emb', 'shop.graph', 8);
CREATE TABLE queries AS SELECT coop_attr_query('hue', 'green') AS query;
CREATE VIEW greens AS SELECT id FROM shop.products ORDER BY emb <-> coop_attr_query('hue', 'green'), id LIMIT 5;
SQL
answers() {
  ask -v ext=public -f "$ROOT/tests/tools/reading_functions.sql" 2>&1
  ask -c "SELECT md5(string_agg(coopvec_send(emb)::text, ' ' ORDER BY id)) FROM shop.products" -c 'SELECT md5(query::text) FROM queries' \
    -c 'TABLE greens' -c 'TABLE shop.graph' -c "SELECT md5(string_agg(bytes, '' ORDER BY part)) FROM coopembed.model_weights" \
    -c "SELECT coop_index_check('shop.products_emb')" \
    -c "SET enable_seqscan = off; SELECT id FROM shop.products ORDER BY emb <-> (SELECT query FROM queries), id LIMIT 20"
}
index_bytes() { ask -c "SELECT pg_relation_size('shop.products_emb')"; }
answers >"$SCRATCH/expected"
grep ERROR "$SCRATCH/expected" && die 'a statement of reading_functions.sql is wrong'
bytes=$(index_bytes)
# Settings of ours in postgresql.conf, as a production server has them.
ask -c "LOAD 'coopembed'" -c "ALTER SYSTEM SET coopembed.queue_length = 100"
stop_cluster "$SCRATCH/old"

BIN=$new_bin
checksums=
[ "$new_version" -lt 18 ] || checksums=--no-data-checksums # as the old one has none
init_cluster "$SCRATCH/new" $checksums
(cd "$SCRATCH/new" && as_server "$BIN/pg_upgrade" -b "$old_bin" -B "$new_bin" -d "$SCRATCH/old/data" -D "$SCRATCH/new/data" -U postgres) \
  >"$SCRATCH/upgrade.log" 2>&1 || die "pg_upgrade: $(tail -n 5 "$SCRATCH/upgrade.log"; find "$SCRATCH/new/data/pg_upgrade_output.d" -name '*dump*.log' -exec tail -n 15 {} \;)"
start_cluster "$SCRATCH/new" fsync=off
expect "PostgreSQL $old_version became $new_version" "$new_version" "$(ask -c 'SHOW server_version' | cut -d. -f1)"
expect 'model, embeddings, graph and all answers are the same to the bit' '' "$(answers | diff "$SCRATCH/expected" -)"
expect 'the index keeps its size' "$bytes" "$(index_bytes)"
expect 'no object of the extension is missing' '0|0' "$(ask -c "SELECT count(*) FILTER (WHERE deptype <> 'e'),
  count(*) FILTER (WHERE (pg_identify_object(classid, objid, objsubid)).type IS NULL) FROM pg_depend
  WHERE refclassid = 'pg_extension'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'coopembed')")"
expect 'trigger, index, neighbour graph and defined names go on' 't|67|67|67|0' "$(ask <<'SQL' | tail -1
INSERT INTO shop.products SELECT id + 2000, name, designer, category, image FROM shop.products WHERE id <= 2;
CALL coop_build_knn('shop.products', 'id', 'emb', 'shop.graph', 8);
SELECT coop_drop_category('ball');
VACUUM shop.products;
SELECT (SELECT p.emb <-> q.emb < 0.02 FROM shop.products p, shop.products q WHERE p.id = 1 AND q.id = 2001),
  coop_index_check('shop.products_emb'), count(emb), (SELECT images FROM coop_knn_graphs()), (SELECT waiting FROM coop_knn_graphs()) FROM shop.products;
SQL
)"
finish
