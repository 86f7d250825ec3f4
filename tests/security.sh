#!/usr/bin/env bash
# The extension in a schema that no search_path names; beside objects made to be called in its place; and in the hands of a role
# without rights. What a function does must depend on neither.
source "$(dirname "$0")/tools/lib.sh"
find_postgres
scratch_cluster
for_server "$SCRATCH" "$ROOT/src/demo/gallery" >/dev/null
for_server "$SCRATCH" "$ROOT/model/emoji" >/dev/null
cp "$ROOT/tests/tools/read.sql" "$SCRATCH/"
export PGOPTIONS="-c client_min_messages=warning"

refused() { # WHAT PATTERN PSQL-ARGUMENTS...
  local what=$1 pattern=$2
  shift 2
  ask "$@" >"$SCRATCH/found" 2>&1 && die "$what: it worked: $(cat "$SCRATCH/found")"
  expect_in "$what" "$pattern" "$SCRATCH/found"
}
as_clerk() { ask -d "$1" -c 'SET SESSION AUTHORIZATION clerk' "${@:2}"; }
# All that the extension's SQL calls by an unqualified name, of PostgreSQL's.
"$BIN/createdb" lists
functions=$(ask -d lists -c "SELECT string_agg(DISTINCT proname::text, ' ') FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
  AND proname = ANY ('{$(grep -ohE '\b[a-z_0-9]+ ?\(' "$ROOT"/sql/[a-z]*.sql | tr -d ' (' | sort -u | paste -sd,)}')")
ask -d lists -c 'CREATE ROLE clerk' -c 'CREATE ROLE mallory'

# One database as most are, without anything hostile; its answers are what the others' have to be.
"$BIN/createdb" plain
ask -d plain -c 'CREATE EXTENSION coopembed'
psql_ -d plain -v gallery="$SCRATCH/gallery" -v model="$SCRATCH/emoji" -f "$ROOT/src/demo/load.sql"
ask -d plain -c 'CREATE SCHEMA shop' -c 'ALTER TABLE products SET SCHEMA shop' -c 'DELETE FROM shop.products WHERE id > 60' \
  -c "CALL coop_embed_table('shop.products', 'image', 'emb')" -c 'COPY (SELECT id, category, emb FROM shop.products) TO STDOUT' >"$SCRATCH/products"
fill() { # DATABASE SCHEMA: the extension, the same model, the same rows, a kept graph, as a superuser does it
  ask -d "$1" -v ext="$2" <<SQL >/dev/null
CREATE EXTENSION coopembed SCHEMA :"ext";
SELECT :"ext".coop_load_model('emoji', '$SCRATCH/emoji');
CREATE SCHEMA shop;
CREATE TABLE shop.products (id integer PRIMARY KEY, category text, emb :"ext".coopvec, image bytea);
\\copy shop.products (id, category, emb) FROM '$SCRATCH/products'
SQL
  share "$1" "$2"
}
share() { # DATABASE SCHEMA
  ask -d "$1" -v ext="$2" <<SQL >/dev/null
CREATE INDEX ON shop.products USING coop (emb);
CALL :"ext".coop_build_knn('shop.products', 'id', 'emb', 'shop.graph', 8);
GRANT USAGE ON SCHEMA shop, :"ext" TO clerk;
GRANT SELECT ON shop.products, shop.graph TO clerk;
SQL
}
share plain public
answers() { # DATABASE SCHEMA SEARCH-PATH
  as_clerk "$1" -v ext="\"$2\"" -c "SET search_path TO $3" -f "$SCRATCH/read.sql" 2>&1 || true
}
answers plain public public >"$SCRATCH/expected"
grep ERROR "$SCRATCH/expected" && die 'the list of questions is wrong' 
same() { # WHAT DATABASE SCHEMA SEARCH-PATH
  answers "$2" "$3" "$4" | diff "$SCRATCH/expected" - >"$SCRATCH/found" || die "$1: $(head -20 "$SCRATCH/found")"
  ok "$1"
}

# A schema that no search_path names.
"$BIN/createdb" hidden
ask -d hidden -c 'CREATE SCHEMA "Co-op, 100% ours"'
fill hidden 'Co-op, 100% ours'
same 'in a schema that the search_path does not name' hidden 'Co-op, 100% ours' "''"
expect 'nothing of it is elsewhere, but for its own schema' '"Co-op, 100% ours" coopembed' "$(ask -d hidden -c "
  SELECT string_agg(DISTINCT i.schema, ' ' ORDER BY i.schema) FROM pg_depend d, pg_identify_object(d.classid, d.objid, d.objsubid) i
  WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'coopembed')")"
ask -d hidden >"$SCRATCH/found" <<SQL
SET search_path TO '';
SELECT "Co-op, 100% ours".coop_define_category('mine', "Co-op, 100% ours".avg(emb)) FROM shop.products;
SELECT "Co-op, 100% ours".coop_define_attribute_value('hue', 'mine', "Co-op, 100% ours".avg(emb)) FROM shop.products;
SELECT "Co-op, 100% ours".coop_attr_query('hue', 'mine') IS NOT NULL;
SELECT "Co-op, 100% ours".coop_drop_attribute_value('hue', 'mine'), "Co-op, 100% ours".coop_drop_category('mine');
SELECT "Co-op, 100% ours".coop_index_check('shop.products_emb_idx');
SELECT "Co-op, 100% ours".coop_drop_model('emoji');
SQL
expect 'and functions that write work there too' 't 60' "$(grep . "$SCRATCH/found" | grep -v '^|$' | xargs)"

# Objects of the same names beside it, there before it was created: by who may create in its schema.
"$BIN/createdb" hostile
ask -d hostile -c 'GRANT CREATE ON SCHEMA public TO mallory'
ask -d hostile -c 'SET ROLE mallory' -v schema=public -v functions="$functions" -f "$ROOT/tests/tools/traps.sql" 2>"$SCRATCH/error" || die "$(cat "$SCRATCH/error")"
refused 'where its types have namesakes it is not created' 'type "coopvec" already exists' -d hostile -c 'CREATE EXTENSION coopembed'
ask -d hostile -c 'DROP DOMAIN public.coopvec' -c 'DROP DOMAIN public.coopquery'
fill hostile public
owner() { # WHAT: whose object that is, a column of pg_depend's
  echo "coalesce((SELECT proowner FROM pg_proc WHERE d.$1classid = 'pg_proc'::regclass AND oid = d.$2),
    (SELECT oprowner FROM pg_operator WHERE d.$1classid = 'pg_operator'::regclass AND oid = d.$2),
    (SELECT relowner FROM pg_class WHERE d.$1classid = 'pg_class'::regclass AND oid = d.$2),
    (SELECT typowner FROM pg_type WHERE d.$1classid = 'pg_type'::regclass AND oid = d.$2),
    (SELECT relowner FROM pg_rewrite r JOIN pg_class c ON c.oid = ev_class WHERE d.$1classid = 'pg_rewrite'::regclass AND r.oid = d.$2),
    (SELECT typowner FROM pg_constraint c JOIN pg_type t ON t.oid = contypid WHERE d.$1classid = 'pg_constraint'::regclass AND c.oid = d.$2), 10)"
}
expect 'it calls nothing of others' '' "$(ask -d hostile -c "SET search_path TO ''" -c "SELECT pg_describe_object(d.classid, d.objid, d.objsubid)
  FROM pg_depend d WHERE $(owner ref refobjid) = 'mallory'::regrole AND $(owner '' objid) <> 'mallory'::regrole")"
same 'objects of the same names change nothing' hostile public public

# The same for a path that has them first, exact namesakes included.
ask -d hidden -c "SELECT \"Co-op, 100% ours\".coop_load_model('emoji', '$SCRATCH/emoji')" -c 'CREATE SCHEMA evil AUTHORIZATION mallory' -c 'GRANT USAGE ON SCHEMA evil TO PUBLIC' >/dev/null
ask -d hidden -c 'SET ROLE mallory' -v schema=evil -v functions="$functions" -f "$ROOT/tests/tools/traps.sql" 2>"$SCRATCH/error" || die "$(cat "$SCRATCH/error")"
refused 'the traps are sharp' 'trapped' -d hidden -c 'SET search_path TO evil, pg_catalog' -c 'SELECT 1 = 1'
same 'nor do they where they come before everything else' hidden 'Co-op, 100% ours' 'evil, pg_catalog'
ask -d hidden <<SQL
CREATE EXTENSION postgres_fdw SCHEMA shop;
CREATE SERVER nowhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$SCRATCH/nowhere');
CREATE USER MAPPING FOR PUBLIC SERVER nowhere;
CREATE TABLE shop.parts (LIKE shop.products) PARTITION BY LIST (id);
CREATE TABLE shop.here PARTITION OF shop.parts DEFAULT;
CREATE FOREIGN TABLE shop.away PARTITION OF shop.parts FOR VALUES IN (1) SERVER nowhere;
SQL
ask -d hidden >"$SCRATCH/found" 2>&1 <<SQL || die "$(cat "$SCRATCH/found")"
UPDATE shop.products SET image = pg_read_binary_file('$SCRATCH/gallery/images/' || (SELECT name FROM pg_ls_dir('$SCRATCH/gallery/images') name LIMIT 1)), emb = NULL WHERE id <= 3;
SET search_path TO evil, pg_catalog;
CALL "Co-op, 100% ours".coop_embed_table('shop.products', 'image', 'emb');
CALL "Co-op, 100% ours".coop_build_knn('shop.products', 'id', 'emb', 'shop.graph', 8);
SELECT "Co-op, 100% ours".coop_define_category('mine', "Co-op, 100% ours".avg(emb)) FROM shop.products;
SELECT "Co-op, 100% ours".coop_drop_category('mine');
SELECT "Co-op, 100% ours".coop_drop_model('emoji');
SET client_min_messages = error;
SELECT id FROM "Co-op, 100% ours".coop_search(NULL::shop.parts, 'emb', '2x2@0000002a:{0;0:1*[1,0]}', skip_unreachable => true);
SQL
expect 'nor to procedures, and to what only a superuser may' '' "$(grep . "$SCRATCH/found" || true)"

# A session's own temporary objects.
answers_in_temp() {
  as_clerk plain -v ext=public -f - <<SQL
SET SESSION AUTHORIZATION postgres;
GRANT TEMPORARY ON DATABASE plain TO clerk;
SET SESSION AUTHORIZATION clerk;
CREATE TEMP TABLE models (name text);
CREATE TEMP TABLE knn_graphs (graph regclass);
CREATE TEMP TABLE pg_attribute (attrelid oid, attname text, atttypid regtype, attnum int, attisdropped bool);
CREATE TEMP TABLE pg_class (oid oid, relname text);
CREATE DOMAIN pg_temp.timestamptz AS text CHECK (false);
CREATE DOMAIN pg_temp.regtype AS text CHECK (false);
CREATE DOMAIN pg_temp.coopvec AS text CHECK (false);
SET search_path TO public;
\\i $SCRATCH/read.sql
SQL
}
answers_in_temp 2>&1 | diff "$SCRATCH/expected" - >"$SCRATCH/found" || die "temporary objects change answers: $(head "$SCRATCH/found")"
ok 'nor do temporary objects'

# Whose function runs with whose rights, and with which search_path.
expect 'nothing runs with its owner'"'"'s rights but what is written in C' 0 "$(ask -d plain -c "
  SELECT count(*) FROM pg_depend d JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
  WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'coopembed') AND p.prosecdef")"
expect 'every other function has a search_path, or is bound when it is created, or names all by schema' \
  'coop_build_knn coop_embed_table coop_search full_name search_unreachable' "$(ask -d plain -c "
  SELECT string_agg(proname, ' ' ORDER BY proname) FROM pg_depend d JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
  JOIN pg_language l ON l.oid = prolang WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'coopembed')
  AND lanname IN ('sql', 'plpgsql') AND prosqlbody IS NULL AND NOT coalesce(proconfig::text ~ 'search_path=pg_catalog, pg_temp', false)")"

# A role without rights.
clerk() { # WHAT PATTERN SQL
  refused "$1" "$2" -d plain -c 'SET SESSION AUTHORIZATION clerk' -c "$3"
}
denied='permission denied'
clerk 'a clerk loads no model from the server' "$denied" "SELECT coop_load_model('x', '$SCRATCH/emoji')"
clerk 'nor from values' "$denied" "SELECT coop_load_model('x', '{}', '')"
clerk 'nor drops one' "$denied" "SELECT coop_drop_model('emoji')"
clerk 'nor defines words' "$denied" "SELECT coop_define_category('x', coop_category_query('tool'))"
clerk 'nor drops them' "$denied" "SELECT coop_drop_attribute_value('hue', 'x')"
clerk 'nor restarts the service' "$denied" 'SELECT coop_worker_restart()'
clerk 'nor reads weights' "$denied" 'SELECT count(*) FROM coopembed.model_weights'
clerk 'nor who embeds what but through the view' "$denied" 'SELECT count(*) FROM coopembed.embedding_runs'
for table in knn_graphs models attributes attribute_values categories proxies model_weights embedding_runs; do
  clerk "nor writes $table" "$denied" "DELETE FROM coopembed.$table"
done
clerk 'nor creates in its schema' "$denied" 'CREATE TABLE coopembed.x ()'
clerk 'nor reads an index from end to end that is not his' 'must be owner' "SELECT coop_index_check('shop.products_emb_idx')"
clerk 'a table of somebody else cannot be registered as a graph' 'must be owner of table products' \
  "SELECT coopembed.knn_add_graph('shop.products', 'shop.products', 'id', 'emb', 5, NULL)"
clerk 'nor one that is not there yet' 'must be an ordinary table' "SELECT coopembed.knn_add_graph(4000000000, 'shop.products', 'id', 'emb', 5, NULL)"
ask -d plain -c 'GRANT EXECUTE ON FUNCTION coop_load_model(text, text) TO clerk'
clerk 'the right to the function alone reads no files of the server' 'permission denied to read a model directory' "SELECT coop_load_model('x', '$SCRATCH/emoji')"
ask -d plain -c 'CREATE ROLE librarian' -c 'GRANT pg_read_server_files TO librarian'
refused 'who may read them names them from the root' 'absolute' -d plain -c 'SET ROLE librarian' -c "SELECT coop_load_model('x', 'base/../../emoji')"
refused 'and gets as far as the model' 'already exists' -d plain -c 'SET ROLE librarian' -c "SELECT coop_load_model('emoji', '$SCRATCH/emoji')"

# Rows that a role may not see.
ask -d plain <<'SQL'
CREATE TABLE shop.secret AS SELECT * FROM shop.products;
CREATE TABLE shop.guarded AS SELECT * FROM shop.products;
ALTER TABLE shop.guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON shop.guarded TO clerk USING (id <= 30);
GRANT SELECT ON shop.guarded TO clerk;
SQL
for call in "coop_typicality('shop.secret', 'id', 'emb', 'category')" "coop_duplicates('shop.secret', 'id', 'emb', 1)" \
  "coop_transition('shop.secret', 'id', 'emb', 1, 60)" "coop_transition_to('shop.secret', 'id', 'emb', 1, coop_category_query('tool'))"; do
  clerk "${call%%(*} reads no table that its caller may not" "$denied" "SELECT * FROM $call"
done
clerk 'nor does coop_build_knn' "$denied" "CALL coop_build_knn('shop.secret', 'id', 'emb', 'pg_temp.g')"
clerk 'nor coop_embed_table' "$denied" "CALL coop_embed_table('shop.secret', 'image', 'emb')"
expect 'rows that a policy hides are in no answer' '30 30 t' "$(as_clerk plain -f - <<'SQL' | xargs
SELECT count(*) FROM coop_typicality('shop.guarded', 'id', 'emb', 'category');
SELECT max(id::int) FROM coop_duplicates('shop.guarded', 'id', 'emb', 100);
SELECT max(id) <= 30 FROM coop_transition('shop.guarded', 'id', 'emb', 1, 30, k => 20);
SQL
)"
clerk 'nor can one be named' 'no row of shop.guarded has the id "40"' "SELECT * FROM coop_transition('shop.guarded', 'id', 'emb', 1, 40)"

# Settings: whoever may change one may not change what others rely on.
load="SELECT coop_category_query('tool') IS NOT NULL"
for setting in max_image_dimension max_image_memory queue_length max_batch memory_limit threads device engine; do
  before=$(ask -d plain -c "LOAD 'coopembed'" -c "SHOW coopembed.$setting")
  as_clerk plain -c "$load" -c "SET coopembed.$setting = '7777'" >"$SCRATCH/found" 2>&1 && die "a clerk sets $setting"
  grep -q 'permission denied\|cannot be changed now' "$SCRATCH/found" || die "$setting: $(cat "$SCRATCH/found")"
  # A value given before the library is there to say whose it is.
  expect "a clerk does not set $setting, and not in advance either" "$before" "$(as_clerk plain -c "SET coopembed.$setting = '7777'" \
    -c "$load" -c 'SET SESSION AUTHORIZATION postgres' -c "SHOW coopembed.$setting" 2>/dev/null | tail -1)"
done
clerk 'nor sees which program computes' 'must be\|permission denied\|pg_read_all_settings' "SELECT coop_category_query('tool'); SHOW coopembed.engine"
# Version 0.2.0 had a setting that made any table empty for any SELECT: a foreign key's check, a policy, a plan that is kept.
expect 'no setting makes rows disappear' '60 60 60 t' "$(as_clerk plain -c "$load" -c "SET coopembed.left_out = '$(ask -d plain -c "SELECT 'shop.products'::regclass::oid")'" \
  -c 'SELECT count(*) FROM shop.products' -c 'PREPARE s AS SELECT count(*) FROM shop.products' -c 'EXECUTE s' \
  -c "SELECT count(*) FROM coop_search(NULL::shop.products, 'emb', coop_category_query('tool'), 100, skip_unreachable => true)" -c "$load" | sed 1d | xargs)"
ask -d plain -c "SET coopembed.probes = 7" -c "SET coopembed.model = 'emoji'" -c "SET coopembed.queue_timeout = '5s'" -c "SELECT coop_category_query('tool')" >/dev/null
ok 'the rest is everybody'"'"'s for a session'
echo "$passed passed, 0 failed"
