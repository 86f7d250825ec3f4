#!/usr/bin/env bash
# Functions, operators, types and views with the names of PostgreSQL's own, made by somebody who may create objects, are never called by the
# extension: not where they lie in its schema, not where they come first in the search_path, and not where they are temporary.
source "$(dirname "$0")/../tools/security_fixture.sh"
security_cluster
expected_results
# The names of PostgreSQL's functions that the extension's SQL calls without their schema.
functions=$(ask -d plain -c "SELECT string_agg(DISTINCT proname::text, ' ') FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
  AND proname = ANY ('{$(grep -rohE '\b[a-z_0-9]+ ?\(' --include='[a-z]*.sql' "$ROOT/sql" | tr -d ' (' | sort -u | paste -sd,)}')")
make_namesakes() { # DATABASE SCHEMA
  ask -d "$1" -c 'SET ROLE mallory' -v schema="$2" -v functions="$functions" -f "$ROOT/tests/tools/namesakes.sql" 2>"$SCRATCH/error" || die "$(cat "$SCRATCH/error")"
}

# In the schema of the extension, and there before it.
"$BIN/createdb" hostile
ask -d hostile -c 'GRANT CREATE ON SCHEMA public TO mallory'
make_namesakes hostile public
expect_error 'beside namesakes of its types the extension is not created' 'type "coopvec" already exists' -d hostile -c 'CREATE EXTENSION coopembed'
ask -d hostile -c 'DROP DOMAIN public.coopvec' -c 'DROP DOMAIN public.coopquery'
copy_of_plain hostile public
owner() { # COLUMN-PREFIX COLUMN: SQL for the owner of the object that pg_depend's columns name
  echo "coalesce((SELECT proowner FROM pg_proc WHERE d.$1classid = 'pg_proc'::regclass AND oid = d.$2),
    (SELECT oprowner FROM pg_operator WHERE d.$1classid = 'pg_operator'::regclass AND oid = d.$2),
    (SELECT relowner FROM pg_class WHERE d.$1classid = 'pg_class'::regclass AND oid = d.$2),
    (SELECT typowner FROM pg_type WHERE d.$1classid = 'pg_type'::regclass AND oid = d.$2),
    (SELECT relowner FROM pg_rewrite r JOIN pg_class c ON c.oid = ev_class WHERE d.$1classid = 'pg_rewrite'::regclass AND r.oid = d.$2),
    (SELECT typowner FROM pg_constraint c JOIN pg_type t ON t.oid = contypid WHERE d.$1classid = 'pg_constraint'::regclass AND c.oid = d.$2), 10)"
}
expect 'nothing of the extension depends on an object of another role' '' "$(ask -d hostile -c "SET search_path TO ''" -c "SELECT pg_describe_object(d.classid, d.objid, d.objsubid)
  FROM pg_depend d WHERE $(owner ref refobjid) = 'mallory'::regrole AND $(owner '' objid) <> 'mallory'::regrole")"
same_results 'namesakes in the schema of the extension change nothing' hostile public public

# First in the search_path, before pg_catalog.
"$BIN/createdb" hidden
ask -d hidden -c 'CREATE SCHEMA "Co-op, 100% ours"' -c 'CREATE SCHEMA evil AUTHORIZATION mallory' -c 'GRANT USAGE ON SCHEMA evil TO PUBLIC'
copy_of_plain hidden 'Co-op, 100% ours'
make_namesakes hidden evil
expect_error 'a namesake that is called raises an error' 'trapped' -d hidden -c 'SET search_path TO evil, pg_catalog' -c 'SELECT 1 = 1'
same_results 'namesakes at the head of the search_path change nothing' hidden 'Co-op, 100% ours' 'evil, pg_catalog'
ask -d hidden <<SQL
CREATE EXTENSION postgres_fdw SCHEMA shop;
CREATE SERVER nowhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$SCRATCH/nowhere');
CREATE USER MAPPING FOR PUBLIC SERVER nowhere;
CREATE TABLE shop.parts (LIKE shop.products) PARTITION BY LIST (id);
CREATE TABLE shop.here PARTITION OF shop.parts DEFAULT;
CREATE FOREIGN TABLE shop.away PARTITION OF shop.parts FOR VALUES IN (1) SERVER nowhere;
SQL
ask -d hidden >"$SCRATCH/found" 2>&1 <<SQL || true
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
expect 'nor do they change what procedures and functions for superusers do' '' "$(grep . "$SCRATCH/found" || true)"

# Temporary objects of the session.
temporary_results() {
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
\\i $ROOT/tests/tools/reading_functions.sql
SQL
}
expect 'temporary namesakes change nothing' '' "$(temporary_results 2>&1 | diff "$SCRATCH/expected" - | head)"
finish
