#!/usr/bin/env bash
# A superuser who calls functions, views, operators and casts of the extension never runs the code of another role. That role may create
# objects, and has attached functions of its own ("traps") to everything that the extension reads or could call; no trap may run with the
# superuser's rights.
source "$(dirname "$0")/../tools/lib.sh"
find_postgres
scratch_cluster max_prepared_transactions=2
export PGDATABASE=shop PGOPTIONS="-c client_min_messages=warning"
"$BIN/createdb" shop

# The superuser's tables.
load_demo
embed_demo products
ask <<SQL >/dev/null
CREATE SCHEMA shop;
ALTER TABLE products SET SCHEMA shop;
CREATE INDEX products_emb_idx ON shop.products USING coop (emb);
CREATE TRIGGER embed BEFORE UPDATE OF image ON shop.products FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb');
CREATE TABLE shop.query AS SELECT coop_attr_query('hue', 'green') AS query;
CREATE FUNCTION shop.numbers() RETURNS real[] LANGUAGE sql RETURN (SELECT emb::real[] FROM shop.products WHERE id = 1);
CREATE TABLE shop.not_a_graph AS SELECT 1 AS id;
SELECT lo_from_bytea(0, image) FROM shop.products WHERE id = 1;
SELECT coop_define_category('ours', avg(emb)), coop_define_attribute_value('hue', 'ours', avg(emb)), coop_define_synonym('ours', 'hue', 'green') FROM shop.products;
CALL coop_build_knn('shop.products', 'id', 'emb', 'shop.graph', 8);
CREATE EXTENSION postgres_fdw;
CREATE SERVER nowhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$SCRATCH/nowhere');
CREATE USER MAPPING FOR PUBLIC SERVER nowhere;
CREATE TABLE shop.parts (LIKE shop.products) PARTITION BY LIST (id);
CREATE TABLE shop.here PARTITION OF shop.parts DEFAULT;
CREATE FOREIGN TABLE shop.away PARTITION OF shop.parts FOR VALUES IN (1) SERVER nowhere;
INSERT INTO shop.parts SELECT * FROM shop.products WHERE id > 40;
CREATE ROLE neighbour LOGIN;
GRANT CREATE ON DATABASE shop TO neighbour;
GRANT USAGE, CREATE ON SCHEMA shop, public TO neighbour;
GRANT SELECT ON shop.products, shop.graph TO neighbour;
SQL

# The neighbour's traps. Each that runs writes "TRAP RAN as ..." to the server's log, and makes its owner a superuser if it can.
as_neighbour() { ask -c 'SET SESSION AUTHORIZATION neighbour' "$@"; }
neighbour_error() { expect_error "$1" "$2" -c 'SET SESSION AUTHORIZATION neighbour' -c "$3"; } # WHAT PATTERN SQL
ask -c 'CREATE SCHEMA evil AUTHORIZATION neighbour' -c 'GRANT USAGE ON SCHEMA evil TO PUBLIC'
as_neighbour -f - >/dev/null <<'SQL'
SET search_path TO evil, public;
CREATE FUNCTION escalate() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE LOG 'TRAP RAN as %', current_user;
    IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN ALTER ROLE neighbour SUPERUSER; END IF;
END $$;
CREATE FUNCTION trap(anyelement) RETURNS anyelement LANGUAGE plpgsql IMMUTABLE COST 0.0001 AS $$ BEGIN PERFORM evil.escalate(); RETURN $1; END $$;
CREATE FUNCTION trap_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.escalate(); RETURN COALESCE(NEW, OLD); END $$;
CREATE FUNCTION vec(integer) RETURNS public.coopvec LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN PERFORM evil.escalate(); RETURN '2x2@0000002a:[1,0,0,1]'; END $$;
CREATE DOMAIN trapint AS integer CHECK (trap(VALUE) IS NOT NULL);
CREATE DOMAIN trapvec AS public.coopvec CHECK (trap(1) = 1);
CREATE TYPE pair AS (a integer, b integer);
CREATE TYPE mood AS ENUM ('ill');
CREATE FUNCTION to_text(pair) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM evil.escalate(); RETURN 'pair'; END $$;
CREATE FUNCTION to_text(mood) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM evil.escalate(); RETURN 'mood'; END $$;
CREATE FUNCTION to_mood(public.coopvec) RETURNS mood LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM evil.escalate(); RETURN 'ill'; END $$;
CREATE FUNCTION to_mood(public.coopquery) RETURNS mood LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM evil.escalate(); RETURN 'ill'; END $$;
CREATE FUNCTION to_mood(integer) RETURNS mood LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM evil.escalate(); RETURN 'ill'; END $$;
CREATE CAST (pair AS text) WITH FUNCTION to_text(pair) AS IMPLICIT;
CREATE CAST (mood AS text) WITH FUNCTION to_text(mood) AS IMPLICIT;
CREATE CAST (public.coopvec AS mood) WITH FUNCTION to_mood(public.coopvec) AS IMPLICIT;
CREATE CAST (public.coopquery AS mood) WITH FUNCTION to_mood(public.coopquery) AS IMPLICIT;
CREATE CAST (integer AS mood) WITH FUNCTION to_mood(integer) AS IMPLICIT;
-- Operators and functions that fit the extension's types better, or as well.
CREATE FUNCTION far(public.coopvec, public.coopvec) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM evil.escalate(); RETURN 0; END $$;
CREATE FUNCTION far(public.coopvec, public.coopquery) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM evil.escalate(); RETURN 0; END $$;
CREATE OPERATOR evil.<-> (LEFTARG = public.coopvec, RIGHTARG = public.coopvec, FUNCTION = far);
CREATE OPERATOR evil.<-> (LEFTARG = public.coopvec, RIGHTARG = public.coopquery, FUNCTION = far);
CREATE FUNCTION evil.coop_like(public.coopvec) RETURNS public.coopquery LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.escalate(); RETURN NULL; END $$;
CREATE FUNCTION evil.avg(public.coopvec) RETURNS public.coopvec LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.escalate(); RETURN $1; END $$;
CREATE FUNCTION evil.digest(public.coopvec) RETURNS bytea LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.escalate(); RETURN ''; END $$;
-- In the same schema as the superuser's tables.
CREATE VIEW shop.pg_class AS SELECT trap(1::oid) AS oid, 'x'::name AS relname;
CREATE VIEW shop.knn_graphs AS SELECT trap(1) AS graph;
CREATE FUNCTION shop.format(text, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.escalate(); RETURN ''; END $$;
CREATE FUNCTION public.coop_like(trapvec) RETURNS public.coopquery LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.escalate(); RETURN NULL; END $$;
-- A table of the neighbour's with everything on it, and indexes that compute.
CREATE TABLE mine (id integer PRIMARY KEY, image bytea, emb public.coopvec, category text DEFAULT trap('x'::text));
INSERT INTO mine SELECT i, NULL, '2x2@0000002a:[1,0,0,1]', 'x' FROM generate_series(1, 100) i;
CREATE INDEX mine_computed ON mine USING coop (vec(id));
CREATE INDEX mine_partial ON mine USING coop (emb) WHERE trap(id) > 0;
CREATE TRIGGER trap BEFORE INSERT OR UPDATE OR DELETE ON mine FOR EACH ROW EXECUTE FUNCTION trap_trigger();
CREATE VIEW looks AS SELECT trap(id) AS id, emb, image FROM mine;
-- Things that look like graphs, of the superuser's table and of the neighbour's.
CREATE VIEW g_view AS SELECT 1 AS id, NULL::bytea AS digest, ARRAY[trap(1)] AS neighbours, NULL::float8[] AS distances;
CREATE MATERIALIZED VIEW g_materialized AS SELECT * FROM g_view;
DO $$ BEGIN
    FOR i IN 1..13 LOOP
        EXECUTE format('CREATE TABLE evil.g_%s (id integer, digest bytea, neighbours integer[], distances float8[])', i);
        EXECUTE format('INSERT INTO evil.g_%s SELECT id, coopembed.digest(emb), ''{1}'', ''{1}'' FROM shop.products', i);
    END LOOP;
END $$;
CREATE TRIGGER trap BEFORE INSERT OR UPDATE OR DELETE ON g_2 FOR EACH ROW EXECUTE FUNCTION trap_trigger();
CREATE RULE trap AS ON UPDATE TO g_3 DO ALSO SELECT trap(1);
ALTER TABLE g_4 ENABLE ROW LEVEL SECURITY;
ALTER TABLE g_4 FORCE ROW LEVEL SECURITY;
CREATE POLICY trap ON g_4 USING (trap(id) > 0);
CREATE INDEX ON g_5 (trap(id));
CREATE INDEX ON g_6 ((trap(1)));
CREATE INDEX ON g_7 (id) WHERE trap(neighbours) IS NULL;
ALTER TABLE g_8 ADD CHECK (trap(1) = 1) NOT VALID;
ALTER TABLE g_9 ALTER digest SET DEFAULT trap('\x00'::bytea);
ALTER TABLE g_10 DROP distances, ADD distances float8[] GENERATED ALWAYS AS (trap('{1}'::float8[])) STORED;
CREATE TABLE g_child (CHECK (trap(1) = 1)) INHERITS (g_11);
CREATE STATISTICS evil.trap ON trap(id), (id) FROM g_12;
ALTER TABLE g_13 ALTER id TYPE trapint, ALTER neighbours TYPE trapint[] USING NULL;
SQL
check 'traps run with the rights of the neighbour' [ "$(grep -c 'TRAP RAN as neighbour' "$SCRATCH/server.log")" -gt 5 ]
expect 'creating them runs none as the superuser' '' "$(grep -A5 'TRAP RAN as postgres' "$SCRATCH/server.log" | head)"
ask -c 'SET search_path TO evil' -c 'SELECT id FROM mine WHERE evil.trap(id) = 1' >/dev/null
expect_in 'a trap that a superuser runs is noticed' 'TRAP RAN as postgres' "$SCRATCH/server.log"
expect 'and makes the neighbour a superuser' t "$(ask -c "SELECT rolsuper FROM pg_roles WHERE rolname = 'neighbour'")"
ask -c 'ALTER ROLE neighbour NOSUPERUSER'

# Graphs that the neighbour registers. Version 0.2.0 let it register more.
lists() { ask -c 'SELECT count(*) FROM coopembed.knn_graphs'; }
before=$(lists)
for graph in g_view g_materialized looks; do
  neighbour_error "$graph cannot be registered as a graph" 'must be an ordinary table' "SELECT coopembed.knn_add_graph('evil.$graph', 'shop.products', 'id', 'emb', 8, NULL)"
done
neighbour_error 'nor can a table of another role' 'must be owner of table products' "SELECT coopembed.knn_add_graph('shop.products', 'shop.products', 'id', 'emb', 8, NULL)"
neighbour_error 'nor anything without the function' 'permission denied' "INSERT INTO coopembed.knn_graphs VALUES ('evil.g_view', 'shop.products', 'id', 'emb', 8)"
neighbour_error 'and nothing is removed from the list' 'permission denied' 'DELETE FROM coopembed.knn_graphs'
for i in $(seq 13); do as_neighbour -c "SELECT coopembed.knn_add_graph('evil.g_$i', 'shop.products', 'id', 'emb', 8, NULL)"; done >/dev/null
expect 'ordinary tables of its own can' 13 $(($(lists) - before))
ask -c "INSERT INTO coopembed.knn_graphs VALUES ('evil.g_view', 'shop.products', 'id', 'emb', 8), ('evil.looks', 'evil.mine', 'id', 'emb', 5)"

# Every call there is.
ask -v ext=public -v model="$SCRATCH/emoji" -f "$ROOT/tests/tools/call_every_function.sql" -f - >"$SCRATCH/calls" <<'SQL'
SELECT what, call, known FROM calls ORDER BY 1;
SQL
expect 'call_every_function.sql has arguments for every function' '' "$(grep '|f$' "$SCRATCH/calls" || true)"
expect 'and a call of everything that the catalogue lists' "$(ask -c "SELECT count(*) FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'coopembed'
  LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
  WHERE d.deptype = 'e' AND (d.classid IN ('pg_operator'::regclass, 'pg_cast'::regclass) OR relkind IN ('r', 'v') OR p.oid IS NOT NULL
    AND NOT (proargtypes::oid[] && '{internal,cstring,cstring[]}'::regtype[]::oid[]))")" "$(wc -l <"$SCRATCH/calls")"
# One statement per transaction; procedures have their own.
awk -F'|' '$2 ~ /^CALL/ { print $2 ";"; next } { sub(/^[^|]*\|/, ""); sub(/\|[tf]$/, ""); print "BEGIN;\n" $0 ";\nROLLBACK;" }' "$SCRATCH/calls" >"$SCRATCH/calls.sql"
call_all() { # WHAT PSQL-ARGUMENTS...
  local what=$1
  shift
  : >"$SCRATCH/server.log"
  psql_ -At -v ON_ERROR_STOP=0 "$@" -f "$SCRATCH/calls.sql" >"$SCRATCH/found" 2>&1 || true
  expect "$what: no trap runs as the superuser" '' "$(grep -B1 -A6 'TRAP RAN as postgres' "$SCRATCH/server.log" | head -40)"
  expect "$what: all of them work" '' "$(grep 'ERROR\|FATAL\|trapped' "$SCRATCH/found" | head -20)"
  expect "$what: the neighbour is no superuser" f "$(ask -c "SELECT rolsuper FROM pg_roles WHERE rolname = 'neighbour'")"
}
call_all 'every function'
call_all 'with the neighbour first in the search_path' -c 'SET search_path TO evil, shop, public, pg_catalog'
cat >"$SCRATCH/before.sql" <<'SQL'
SET SESSION AUTHORIZATION neighbour;
CREATE TEMP VIEW pg_class AS SELECT evil.trap(1::oid) AS oid, 'x'::name AS relname;
CREATE TEMP VIEW models AS SELECT evil.trap('x'::text) AS name;
CREATE TEMP VIEW products AS SELECT evil.trap(id) AS id, emb, image FROM shop.products;
CREATE TEMP TABLE graph (id integer, digest bytea, neighbours integer[], distances float8[]);
CREATE FUNCTION pg_temp.format(text, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.escalate(); RETURN ''; END $$;
CREATE DOMAIN pg_temp.regclass AS text CHECK (evil.trap(VALUE) IS NOT NULL);
CREATE DOMAIN pg_temp.coopvec AS text CHECK (evil.trap(VALUE) IS NOT NULL);
SELECT coopembed.knn_add_graph('pg_temp.graph', 'shop.products', 'id', 'emb', 8, NULL) \g /dev/null
RESET SESSION AUTHORIZATION;
SET search_path TO pg_temp, public;
SQL
call_all 'with temporary objects that the neighbour left in the session' -f "$SCRATCH/before.sql"

# Graphs of the neighbour that the superuser names.
for i in $(seq 13); do
  expect_error "g_$i of another role is not refreshed" 'permission denied for graph evil.g_[0-9]*' -c "CALL coop_build_knn('shop.products', 'id', 'emb', 'evil.g_$i', 8)"
done
expect_error 'nor is a view' 'ERROR' -c "CALL coop_build_knn('evil.mine', 'id', 'emb', 'evil.g_view', 5)"
: >"$SCRATCH/server.log"
for i in 2 3 4 5 6 7 8 9 10 11 12; do
  ask -c "UPDATE coopembed.knn_graphs SET relation = 'evil.mine' WHERE graph = 'evil.g_$i'::regclass"
  expect_error "g_$i, to which code is attached, is not refreshed" 'is not as coop_build_knn() made it' -c "CALL coop_build_knn('evil.mine', 'id', 'emb', 'evil.g_$i', 8)"
  expect_error "and not read" 'ERROR' -c "SELECT * FROM coop_transition('evil.mine', 'id', 'emb', 1, 2, k => 8, graph => 'evil.g_$i')"
done
expect 'none of that code runs as the superuser' '' "$(grep -A6 'TRAP RAN as postgres' "$SCRATCH/server.log" | head -20)"
# coop_index_check() evaluates the expressions of an index as its owner.
for index in mine_computed mine_partial; do
  expect "coop_index_check() compares the rows of $index" 100 "$(ask -c "SELECT coop_index_check('evil.$index')")"
done
expect 'and runs the expressions of the index with the rights of its owner' 'neighbour' "$(sed -n 's/.*TRAP RAN as //p' "$SCRATCH/server.log" | sort -u | xargs)"
expect 'the neighbour is no superuser' f "$(ask -c "SELECT rolsuper FROM pg_roles WHERE rolname = 'neighbour'")"
finish
