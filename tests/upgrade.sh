#!/usr/bin/env bash
# ALTER EXTENSION coopembed UPDATE from every version that has an install snapshot in sql/. A database in use keeps its data, its index
# and its answers, and gets the catalogue of a new installation. Upgrade scripts between two snapshots lead to the later one.
# usage: upgrade.sh [GIT-TAG...]     With tags, each tag's own library fills the database before the current one replaces it.
source "$(dirname "$0")/tools/lib.sh"
find_postgres
current=$(sed -n 's/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml" | head -1)
scratch_cluster
for_server "$SCRATCH" "$ROOT/src/demo/emoji/gallery" >/dev/null
for_server "$SCRATCH" "$ROOT/model/emoji" >/dev/null
export PGOPTIONS="-c client_min_messages=warning"

# The extension's objects, one fact per line.
catalogue() { # DATABASE
  psql_ -At -d "$1" -v extension=coopembed -f "$ROOT/tests/tools/extension_catalog.sql"
}
# Prints the facts in which two databases differ, and fails if there are any: < is in the first, > in the second.
same_catalogue() { # DATABASE DATABASE
  diff <(catalogue "$1") <(catalogue "$2")
}

fill() { # DATABASE VERSION
  "$BIN/createdb" "$1"
  ask -d "$1" -c "CREATE EXTENSION coopembed VERSION '$2'"
  psql_ -d "$1" -v gallery="$SCRATCH/gallery" -v model="$SCRATCH/emoji" -f "$ROOT/src/demo/emoji/load.sql"
  ask -d "$1" >/dev/null <<'SQL'
DELETE FROM products WHERE id > 60;
CALL coop_embed_table('products', 'image', 'emb');
CREATE INDEX products_emb ON products USING coop (emb) WITH (tail_rows = 64);
CREATE TRIGGER embed BEFORE INSERT OR UPDATE OF image ON products FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb');
INSERT INTO products SELECT 1000 + id, name, designer, category, image FROM products WHERE id <= 3;
SELECT coop_define_category('ball', avg(emb)) FROM products WHERE name ~ 'ball';
SELECT coop_define_attribute_value('hue', 'of a ball', avg(emb)) FROM products WHERE name ~ 'ball';
CALL coop_build_knn('products', 'id', 'emb', 'products_knn');
CREATE TABLE asked AS SELECT coop_attr_query('hue', 'green') AS query, coop_category_query('ball') AS ball;
CREATE TABLE old_answers AS SELECT id, coop_tags(emb) AS tags FROM products;
CREATE VIEW greens AS SELECT id FROM products ORDER BY emb <-> coop_attr_query('hue', 'green'), id;
CREATE FUNCTION balls() RETURNS SETOF integer LANGUAGE sql STABLE
    BEGIN ATOMIC SELECT id FROM products ORDER BY emb <-> coop_category_query('ball'), id LIMIT 5; END;
CREATE VIEW given AS SELECT id, coop_vector(emb::real[]) = emb AND coop_vector(emb::real[], 'emoji') = emb AND emb::real[]::coopvec = emb AS same
    FROM products WHERE id <= 60;
CREATE AGGREGATE my_average(coopvec) (SFUNC = coopvec_avg_accum, STYPE = internal, FINALFUNC = coopvec_avg_final);
GRANT EXECUTE ON FUNCTION coop_drop_model(text) TO pg_monitor;
SQL
}

# Answers from the catalogue, the table, the index and the stored graph.
answers() { # DATABASE
  ask -d "$1" <<'SQL'
SELECT * FROM greens;
SELECT balls();
SELECT id, emb <-> query, emb <-> ball, coop_tags(emb) IS NOT DISTINCT FROM tags FROM products JOIN old_answers USING (id), asked ORDER BY id;
SELECT id, e.* FROM products, coop_explain(emb, coop_attr_query('hue', 'of a ball') + 2 * coop_attr_query('gender', 'woman')) e ORDER BY id, attribute;
SELECT my_average(emb), avg(emb) FROM products;
SELECT count(*), bool_and(same) FROM given;
SELECT * FROM coop_transition('products', 'id', 'emb', 1, 60) ORDER BY step;
SELECT graph, relation, k, images, waiting FROM coop_knn_graphs();
SELECT * FROM coop_categories() ORDER BY name;
SELECT * FROM coop_duplicates('products', 'id', 'emb', 0.01) ORDER BY id, other;
SELECT has_function_privilege('pg_monitor', 'coop_drop_model(text)', 'EXECUTE');
SELECT coop_index_check('products_emb');
SET enable_seqscan = off;
SELECT id FROM products ORDER BY emb <-> coop_like((SELECT emb FROM products WHERE id = 41), 'hue'), id LIMIT 20;
SQL
}

# All rows, without a word about empty tables: an upgrade may add some.
rows() { # DATABASE
  "$BIN/pg_dump" --data-only --exclude-table-data=coopembed.default_model "$1" | grep -v '^\\\(un\)\?restrict\|^--\|^$' |
    awk '/^COPY / { copy = $0; next } copy { if ($0 != "\\.") print copy; else { copy = ""; next } copy = "" } { print }'
}

# Records what check_upgrade compares after the upgrade.
remember() { # DATABASE
  answers "$1" >"$SCRATCH/answers"
  rows "$1" >"$SCRATCH/rows"
}
check_upgrade() { # DATABASE FROM
  ask -d "$1" -c 'ALTER EXTENSION coopembed UPDATE'
  rows "$1" >"$SCRATCH/rows_after"
  answers "$1" >"$SCRATCH/answers_after"
  expect "from $2: the only model is the default" emoji "$(ask -d "$1" -c "SELECT model FROM coopembed.default_model")"
  check "from $2: the data is the same" cmp "$SCRATCH/rows" "$SCRATCH/rows_after"
  check "from $2: answers are the same, and the index is sound" diff "$SCRATCH/answers" "$SCRATCH/answers_after"
  ask -d "$1" -c "REVOKE EXECUTE ON FUNCTION coop_drop_model(text) FROM pg_monitor"
  check "from $2: the catalogue is that of a new $current" same_catalogue new "$1"
  expect "from $2: the database works as before" 't|60|65' "$(ask -d "$1" <<'SQL' | tail -1
INSERT INTO products SELECT 2000 + id, name, designer, category, image FROM products WHERE id <= 2;
CALL coop_build_knn('products', 'id', 'emb', 'products_knn');
SELECT coop_drop_category('ball');
SELECT (SELECT p.emb <-> q.emb < 0.02 FROM products p, products q WHERE p.id = 1 AND q.id = 2001),
       (SELECT images FROM coop_knn_graphs()) - 5, coop_index_check('products_emb');
SQL
)"
  "$BIN/dropdb" "$1"
}

"$BIN/createdb" new
ask -d new -c 'CREATE EXTENSION coopembed'
expect 'a new installation has the version of Cargo.toml' "$current" "$(ask -d new -c "SELECT extversion FROM pg_extension WHERE extname = 'coopembed'")"
expect 'every version can be upgraded' '' "$(ask -d new -c "
    SELECT v.version FROM pg_available_extension_versions v WHERE name = 'coopembed' AND NOT EXISTS (
        SELECT FROM pg_extension_update_paths('coopembed') WHERE source = v.version AND target = '$current' AND path IS NOT NULL)
    AND v.version <> '$current'")"

# Versions with an install snapshot, oldest first.
mapfile -t snapshots < <(cd "$ROOT/sql" && ls coopembed--*.sql | sed 's/^coopembed--//; s/\.sql$//' | grep -v -e -- | sort -V)

# An installation from a snapshot equals the upgrade of each earlier snapshot to the same version.
for ((i = 0; i < ${#snapshots[@]}; i++)); do
  to=${snapshots[i]}
  "$BIN/createdb" installed
  ask -d installed -c "CREATE EXTENSION coopembed VERSION '$to'"
  for from in "${snapshots[@]:0:i}"; do
    "$BIN/createdb" upgraded
    ask -d upgraded -c "CREATE EXTENSION coopembed VERSION '$from'" -c "ALTER EXTENSION coopembed UPDATE TO '$to'"
    check "$from upgraded to $to equals the snapshot of $to" same_catalogue installed upgraded
    "$BIN/dropdb" upgraded
  done
  # The same for the current version, of an installation that has never been used.
  ask -d installed -c 'ALTER EXTENSION coopembed UPDATE'
  check "$to upgraded to $current equals a new $current" same_catalogue new installed
  "$BIN/dropdb" installed
done

# 0.3.0 closes holes of earlier versions, whose functions work with the new library until the upgrade.
"$BIN/createdb" holes
ask -d holes >/dev/null <<'SQL'
CREATE EXTENSION coopembed VERSION '0.2.0';
CREATE TABLE things AS SELECT 1 AS id, '2x2@0000002a:[1,0,0,1]'::coopvec AS emb;
CREATE VIEW hits AS SELECT id FROM coop_search(NULL::things, 'emb', '2x2@0000002a:[1,0,0,1]'::coopvec::coopquery, 1);
CREATE ROLE neighbour;
GRANT CREATE ON SCHEMA public TO neighbour;
SET ROLE neighbour;
CREATE VIEW looks AS SELECT 1 AS id, ''::bytea AS digest, '{1}'::integer[] AS neighbours, '{1}'::double precision[] AS distances;
INSERT INTO coopembed.knn_graphs VALUES ('looks', 'things', 'id', 'emb', 5);
SQL
search="SELECT count(*) FROM coop_search(NULL::things, 'emb', '2x2@0000002a:[1,0,0,1]'::coopvec::coopquery, skip_unreachable => true)"
expect 'functions of 0.2.0 work with the new library' '1 1 1' "$(ask -d holes -c "$search" -c 'SELECT count(*) FROM coopembed.knn_graphs' \
  -c "SELECT count(*) FROM things WHERE emb = coopvec_in('2x2@0000002a:[1,0,0,1]')" | xargs)"
ask -d holes -c 'ALTER EXTENSION coopembed UPDATE'
expect 'a view on coop_search() of 0.2.0 still works' 1 "$(ask -d holes -c 'SELECT id FROM hits')"
expect 'the upgrade removes from the list what is not a graph, and no user can write to the list' '1 0 f f f 0' "$(ask -d holes -c "$search" -c 'SELECT count(*) FROM coopembed.knn_graphs' -c "
  SELECT relrowsecurity, has_table_privilege('neighbour', oid, 'INSERT'), has_table_privilege('neighbour', oid, 'DELETE'),
    (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid) FROM pg_class c WHERE oid = 'coopembed.knn_graphs'::regclass" | tr '|' ' ' | xargs)"

# The default model is a row from 0.3.0 on. Where several are loaded none was the default, and the upgrade chooses none.
"$BIN/createdb" several
ask -d several -c "CREATE EXTENSION coopembed VERSION '0.2.0'" -c "SELECT coop_load_model('emoji', '$SCRATCH/emoji')" >/dev/null
ask -d several -c "SELECT coop_load_model('b', '$(twin_of "$SCRATCH/emoji")')" >/dev/null
for version in 0.2.0 0.3.0; do
  expect_error "with several models of 0.2.0 one has to be chosen, in $version" 'several models are loaded and none is the default' -d several -c "SELECT coop_attr_query('hue', 'green')"
  ask -d several -c "ALTER EXTENSION coopembed UPDATE"
done
ask -d several -c "SELECT coop_set_default_model('b')" >/dev/null
expect 'and can be chosen for good' b "$(ask -d several -c 'SELECT name FROM coop_models() WHERE is_default')"

if [ $# = 0 ]; then
  for version in "${snapshots[@]}"; do
    fill old "$version"
    remember old
    check_upgrade old "$version"
  done
else
  for tag; do
    checkout=$TARGET/upgrade/$tag
    [ -d "$checkout" ] || git -C "$ROOT" worktree add --force --detach "$checkout" "$tag" >/dev/null
    say "building $tag"
    (cd "$checkout" && CARGO_TARGET_DIR=$TARGET cargo pgrx install --no-default-features --features "pg$PGV" --pg-config "$PG_CONFIG")
    stop_cluster "$SCRATCH"
    start_cluster "$SCRATCH"
    fill old "${tag#v}"
    remember old
    install_extension
    stop_cluster "$SCRATCH"
    start_cluster "$SCRATCH"
    check_upgrade old "$tag"
    git -C "$ROOT" worktree remove --force "$checkout"
  done
fi
finish
