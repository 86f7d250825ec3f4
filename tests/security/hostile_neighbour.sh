#!/usr/bin/env bash
# A hostile neighbour: a role that may create objects, and has hung a trap on everything that the extension reads or could call. Then a superuser
# calls every function, view, operator and cast of the extension. No trap may spring with the superuser's rights.
source "$(dirname "$0")/tools/lib.sh"
find_postgres
scratch_cluster max_prepared_transactions=2
for_server "$SCRATCH" "$ROOT/src/demo/gallery" >/dev/null
for_server "$SCRATCH" "$ROOT/model/emoji" >/dev/null
export PGDATABASE=shop PGOPTIONS="-c client_min_messages=warning"
"$BIN/createdb" shop

# The superuser's shop.
ask -c 'CREATE EXTENSION coopembed'
psql_ -v gallery="$SCRATCH/gallery" -v model="$SCRATCH/emoji" -f "$ROOT/src/demo/load.sql"
ask <<SQL >/dev/null
CREATE SCHEMA shop;
ALTER TABLE products SET SCHEMA shop;
DELETE FROM shop.products WHERE id > 60;
CALL coop_embed_table('shop.products', 'image', 'emb');
CREATE INDEX products_emb_idx ON shop.products USING coop (emb);
CREATE TRIGGER embed BEFORE UPDATE OF image ON shop.products FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb');
CREATE TABLE shop.wish AS SELECT coop_attr_query('hue', 'green') AS query;
CREATE FUNCTION shop.numbers() RETURNS real[] LANGUAGE sql RETURN (SELECT emb::real[] FROM shop.products WHERE id = 1);
CREATE TABLE shop.not_a_graph AS SELECT 1 AS id;
SELECT coop_define_category('ours', avg(emb)), coop_define_attribute_value('hue', 'ours', avg(emb)) FROM shop.products;
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

# The neighbour's traps. Each that springs says so in the server's log, and makes its owner a superuser if it can.
as_neighbour() { ask -c 'SET SESSION AUTHORIZATION neighbour' "$@"; }
ask -c 'CREATE SCHEMA evil AUTHORIZATION neighbour' -c 'GRANT USAGE ON SCHEMA evil TO PUBLIC'
as_neighbour -f - >/dev/null <<'SQL'
SET search_path TO evil, public;
CREATE FUNCTION escalate() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE LOG 'STRUCK as %', current_user;
    IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN ALTER ROLE neighbour SUPERUSER; END IF;
END $$;
CREATE FUNCTION strike(anyelement) RETURNS anyelement LANGUAGE plpgsql IMMUTABLE COST 0.0001 AS $$ BEGIN PERFORM evil.escalate(); RETURN $1; END $$;
CREATE FUNCTION spring() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.escalate(); RETURN COALESCE(NEW, OLD); END $$;
CREATE FUNCTION vec(integer) RETURNS public.coopvec LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN PERFORM evil.escalate(); RETURN '2x2@0000002a:[1,0,0,1]'; END $$;
CREATE DOMAIN trap AS integer CHECK (strike(VALUE) IS NOT NULL);
CREATE DOMAIN trapvec AS public.coopvec CHECK (strike(1) = 1);
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
CREATE VIEW shop.pg_class AS SELECT strike(1::oid) AS oid, 'x'::name AS relname;
CREATE VIEW shop.knn_graphs AS SELECT strike(1) AS graph;
CREATE FUNCTION shop.format(text, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.escalate(); RETURN ''; END $$;
CREATE FUNCTION public.coop_like(trapvec) RETURNS public.coopquery LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.escalate(); RETURN NULL; END $$;
-- A table of the neighbour's with everything on it, and indexes that compute.
CREATE TABLE mine (id integer PRIMARY KEY, image bytea, emb public.coopvec, category text DEFAULT strike('x'::text));
INSERT INTO mine SELECT i, NULL, '2x2@0000002a:[1,0,0,1]', 'x' FROM generate_series(1, 100) i;
CREATE INDEX mine_computed ON mine USING coop (vec(id));
CREATE INDEX mine_partial ON mine USING coop (emb) WHERE strike(id) > 0;
CREATE TRIGGER spring BEFORE INSERT OR UPDATE OR DELETE ON mine FOR EACH ROW EXECUTE FUNCTION spring();
CREATE VIEW looks AS SELECT strike(id) AS id, emb, image FROM mine;
-- Things that look like graphs, of the superuser's table and of the neighbour's.
CREATE VIEW g_view AS SELECT 1 AS id, NULL::bytea AS digest, ARRAY[strike(1)] AS neighbours, NULL::float8[] AS distances;
CREATE MATERIALIZED VIEW g_materialized AS SELECT * FROM g_view;
DO $$ BEGIN
    FOR i IN 1..13 LOOP
        EXECUTE format('CREATE TABLE evil.g_%s (id integer, digest bytea, neighbours integer[], distances float8[])', i);
        EXECUTE format('INSERT INTO evil.g_%s SELECT id, coopembed.digest(emb), ''{1}'', ''{1}'' FROM shop.products', i);
    END LOOP;
END $$;
CREATE TRIGGER spring BEFORE INSERT OR UPDATE OR DELETE ON g_2 FOR EACH ROW EXECUTE FUNCTION spring();
CREATE RULE spring AS ON UPDATE TO g_3 DO ALSO SELECT strike(1);
ALTER TABLE g_4 ENABLE ROW LEVEL SECURITY;
ALTER TABLE g_4 FORCE ROW LEVEL SECURITY;
CREATE POLICY spring ON g_4 USING (strike(id) > 0);
CREATE INDEX ON g_5 (strike(id));
CREATE INDEX ON g_6 ((strike(1)));
CREATE INDEX ON g_7 (id) WHERE strike(neighbours) IS NULL;
ALTER TABLE g_8 ADD CHECK (strike(1) = 1) NOT VALID;
ALTER TABLE g_9 ALTER digest SET DEFAULT strike('\x00'::bytea);
ALTER TABLE g_10 DROP distances, ADD distances float8[] GENERATED ALWAYS AS (strike('{1}'::float8[])) STORED;
CREATE TABLE g_child (CHECK (strike(1) = 1)) INHERITS (g_11);
CREATE STATISTICS evil.spring ON strike(id), (id) FROM g_12;
ALTER TABLE g_13 ALTER id TYPE trap, ALTER neighbours TYPE trap[] USING NULL;
SQL
[ "$(grep -c 'STRUCK as neighbour' "$SCRATCH/server.log")" -gt 5 ] || die "the traps are not sharp: $(tail -20 "$SCRATCH/server.log")"
grep -q 'STRUCK as postgres' "$SCRATCH/server.log" && die "setting them has sprung one: $(grep -A5 'STRUCK as postgres' "$SCRATCH/server.log" | head)"
ok 'the traps are sharp'
ask -c 'SET search_path TO evil' -c 'SELECT id FROM mine WHERE evil.strike(id) = 1' >/dev/null
grep -q 'STRUCK as postgres' "$SCRATCH/server.log" || die 'a superuser who springs one is not noticed'
expect 'and dangerous' t "$(ask -c "SELECT rolsuper FROM pg_roles WHERE rolname = 'neighbour'")"
ask -c 'ALTER ROLE neighbour NOSUPERUSER'

# Registered by whatever way lets it; a version before may have let more.
lists() { ask -c 'SELECT count(*) FROM coopembed.knn_graphs'; }
before=$(lists)
for graph in g_view g_materialized looks; do
  as_neighbour -c "SELECT coopembed.knn_add_graph('evil.$graph', 'shop.products', 'id', 'emb', 8, NULL)" >"$SCRATCH/found" 2>&1 && die "$graph is listed as a graph"
  expect_in "$graph cannot be listed as a graph" 'must be an ordinary table' "$SCRATCH/found"
done
as_neighbour -c "SELECT coopembed.knn_add_graph('shop.products', 'shop.products', 'id', 'emb', 8, NULL)" >"$SCRATCH/found" 2>&1 && die 'a table of others is listed'
expect_in 'nor a table of somebody else' 'must be owner of table products' "$SCRATCH/found"
as_neighbour -c "INSERT INTO coopembed.knn_graphs VALUES ('evil.g_view', 'shop.products', 'id', 'emb', 8)" >"$SCRATCH/found" 2>&1 && die 'the list is open'
expect_in 'nor anything without the function' 'permission denied' "$SCRATCH/found"
as_neighbour -c 'DELETE FROM coopembed.knn_graphs' >"$SCRATCH/found" 2>&1 && die 'the list is open'
expect_in 'and nothing is taken out' 'permission denied' "$SCRATCH/found"
for i in $(seq 13); do as_neighbour -c "SELECT coopembed.knn_add_graph('evil.g_$i', 'shop.products', 'id', 'emb', 8, NULL)"; done >/dev/null
expect 'ordinary tables of the own are' 13 $(($(lists) - before))
ask -c "INSERT INTO coopembed.knn_graphs VALUES ('evil.g_view', 'shop.products', 'id', 'emb', 8), ('evil.looks', 'evil.mine', 'id', 'emb', 5)"

# Every call there is. Those who have been here before have left temporary objects of the same names.
ask -v ext=public -v model="$SCRATCH/emoji" -f "$ROOT/tests/tools/every_function.sql" -f - >"$SCRATCH/calls" <<'SQL'
SELECT what, call, known FROM calls ORDER BY 1;
SQL
expect 'the calls of all functions are known' '' "$(grep '|f$' "$SCRATCH/calls" || true)"
expect 'and they are all that the catalogue has' "$(ask -c "SELECT count(*) FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'coopembed'
  LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
  WHERE d.deptype = 'e' AND (d.classid IN ('pg_operator'::regclass, 'pg_cast'::regclass) OR relkind IN ('r', 'v') OR p.oid IS NOT NULL
    AND NOT (proargtypes::oid[] && '{internal,cstring}'::regtype[]::oid[]))")" "$(wc -l <"$SCRATCH/calls")"
# One statement a transaction; procedures have theirs.
awk -F'|' '$2 ~ /^CALL/ { print $2 ";"; next } { sub(/^[^|]*\|/, ""); sub(/\|[tf]$/, ""); print "BEGIN;\n" $0 ";\nROLLBACK;" }' "$SCRATCH/calls" >"$SCRATCH/calls.sql"
call_all() { # WHAT PSQL-ARGUMENTS...
  local what=$1
  shift
  : >"$SCRATCH/server.log"
  psql_ -At -v ON_ERROR_STOP=0 "$@" -f "$SCRATCH/calls.sql" >"$SCRATCH/found" 2>&1 || true
  expect "$what: nothing springs" '' "$(grep -B1 -A6 'STRUCK as postgres' "$SCRATCH/server.log" | head -40)"
  expect "$what: and all of them work" '' "$(grep 'ERROR\|FATAL\|trapped' "$SCRATCH/found" | head -20)"
  expect "$what: the neighbour is no superuser" f "$(ask -c "SELECT rolsuper FROM pg_roles WHERE rolname = 'neighbour'")"
}
call_all 'every function'
call_all 'with the neighbour first in the search_path' -c 'SET search_path TO evil, shop, public, pg_catalog'
cat >"$SCRATCH/before.sql" <<'SQL'
SET SESSION AUTHORIZATION neighbour;
CREATE TEMP VIEW pg_class AS SELECT evil.strike(1::oid) AS oid, 'x'::name AS relname;
CREATE TEMP VIEW models AS SELECT evil.strike('x'::text) AS name;
CREATE TEMP VIEW products AS SELECT evil.strike(id) AS id, emb, image FROM shop.products;
CREATE TEMP TABLE graph (id integer, digest bytea, neighbours integer[], distances float8[]);
CREATE FUNCTION pg_temp.format(text, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.escalate(); RETURN ''; END $$;
CREATE DOMAIN pg_temp.regclass AS text CHECK (evil.strike(VALUE) IS NOT NULL);
CREATE DOMAIN pg_temp.coopvec AS text CHECK (evil.strike(VALUE) IS NOT NULL);
SELECT coopembed.knn_add_graph('pg_temp.graph', 'shop.products', 'id', 'emb', 8, NULL) \g /dev/null
RESET SESSION AUTHORIZATION;
SET search_path TO pg_temp, public;
SQL
call_all 'in a session that was the neighbour'"'"'s' -f "$SCRATCH/before.sql"

# What the superuser names.
for i in $(seq 13); do
  ask -c "CALL coop_build_knn('shop.products', 'id', 'emb', 'evil.g_$i', 8)" >"$SCRATCH/found" 2>&1 && die "g_$i was adopted"
  grep -q 'permission denied for graph evil.g_[0-9]*' "$SCRATCH/found" || die "g_$i: $(cat "$SCRATCH/found")"
done
ok 'a graph of somebody else is not adopted'
ask -c "CALL coop_build_knn('evil.mine', 'id', 'emb', 'evil.g_view', 5)" >"$SCRATCH/found" 2>&1 && die 'a view was adopted'
: >"$SCRATCH/server.log"
for i in 2 3 4 5 6 7 8 9 10 11 12; do
  ask -c "UPDATE coopembed.knn_graphs SET relation = 'evil.mine' WHERE graph = 'evil.g_$i'::regclass"
  ask -c "CALL coop_build_knn('evil.mine', 'id', 'emb', 'evil.g_$i', 8)" >"$SCRATCH/found" 2>&1 && die "g_$i was refreshed"
  grep -q 'is not as coop_build_knn() made it' "$SCRATCH/found" || die "g_$i: $(cat "$SCRATCH/found")"
  ask -c "SELECT * FROM coop_transition('evil.mine', 'id', 'emb', 1, 2, k => 8, graph => 'evil.g_$i')" >"$SCRATCH/found" 2>&1 && die "g_$i was walked"
done
expect 'nor one on which code hangs, whoever owns its table' '' "$(grep -A6 'STRUCK as postgres' "$SCRATCH/server.log" | head -20)"
# coop_index_check() computes what the owner says, as the owner.
for index in mine_computed mine_partial; do
  expect "the check of $index compares its rows" 100 "$(ask -c "SELECT coop_index_check('evil.$index')")"
done
expect 'and the expressions of its owner run with the owner'"'"'s rights' 'neighbour' "$(sed -n 's/.*STRUCK as //p' "$SCRATCH/server.log" | sort -u | xargs)"
expect 'the neighbour is no superuser' f "$(ask -c "SELECT rolsuper FROM pg_roles WHERE rolname = 'neighbour'")"
echo "$passed passed, 0 failed"
