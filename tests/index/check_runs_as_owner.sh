#!/usr/bin/env bash
# coop_index_check() evaluates the expressions of an index as the owner of its table, as REINDEX does: a superuser who checks an index
# runs nobody's code with the superuser's rights.
source "$(dirname "$0")/../tools/lib.sh"
find_postgres
scratch_cluster autovacuum=off
export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"
ask >/dev/null <<'SQL'
CREATE EXTENSION coopembed;
CREATE ROLE owner; CREATE ROLE other;
GRANT CREATE ON SCHEMA public TO owner;
SET ROLE owner;
CREATE TABLE items (id int, emb coopvec);
CREATE TABLE seen (who text, super bool, path text, setting text);
CREATE FUNCTION indexed(emb coopvec) RETURNS coopvec LANGUAGE sql IMMUTABLE AS 'SELECT emb';
CREATE FUNCTION wanted(id int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE INDEX by_expression ON items USING coop (indexed(emb)) WHERE wanted(id);
INSERT INTO items VALUES (1, '1x2@0000002a:[1,0]');
-- From now on they record who runs them, and leave a setting behind.
CREATE OR REPLACE FUNCTION indexed(emb coopvec) RETURNS coopvec LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.seen SELECT current_user, rolsuper, current_setting('search_path'), current_setting('work_mem') FROM pg_roles WHERE rolname = current_user;
    PERFORM set_config('work_mem', '77MB', false);
    RETURN emb;
END $$;
CREATE OR REPLACE FUNCTION wanted(id int) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.seen SELECT 'predicate of ' || current_user, rolsuper, current_setting('search_path'), '' FROM pg_roles WHERE rolname = current_user;
    RETURN true;
END $$;
SQL
checks="SELECT coop_index_check('by_expression')"
indexed() { ask -c "CREATE OR REPLACE FUNCTION indexed(emb coopvec) RETURNS coopvec LANGUAGE ${2:-plpgsql} AS \$\$ $1 \$\$"; }
error() { sed -n 's/^ERROR: *//p' | tr -d '"'; }
expect 'a superuser checks an index with expressions' 1 "$(ask -c 'TRUNCATE seen' -c "$checks")"
expect 'expression and predicate run as the owner, with a search_path of pg_catalog and pg_temp' \
  'owner|f|pg_catalog, pg_temp predicate of owner|f|pg_catalog, pg_temp' "$(ask -c 'SELECT DISTINCT who, super, path FROM seen ORDER BY 1' | xargs)"
expect 'settings that they change are restored, as are user and search_path' 'postgres|4MB|"$user", public' \
  "$(ask -c "$checks" -c "SELECT current_user, current_setting('work_mem'), current_setting('search_path')" | tail -1)"
indexed 'BEGIN CREATE TEMP TABLE mine (); RETURN emb; END'
expect 'they cannot create temporary tables' 'cannot create temporary table within security-restricted operation' "$(ask -c "$checks" 2>&1 | error)"
indexed 'BEGIN RESET ROLE; RETURN emb; END'
expect 'they cannot change the role' 'cannot set parameter role within security-restricted operation' "$(ask -c "$checks" 2>&1 | error)"
expect 'an error in them restores user and search_path' 'postgres|"$user", public' \
  "$(ask -v ON_ERROR_STOP=0 -c "$checks" -c "SELECT current_user, current_setting('search_path')" 2>/dev/null)"
expect 'so does the rollback to a savepoint' 'postgres|"$user", public' "$(ask -v ON_ERROR_STOP=0 2>/dev/null <<SQL
BEGIN;
SAVEPOINT s;
$checks;
ROLLBACK TO s;
SELECT current_user, current_setting('search_path');
COMMIT;
SQL
)"
expect 'another role may not check the index' 'must be owner of index by_expression' "$(ask -c 'SET ROLE other' -c "$checks" 2>&1 | error)"
indexed 'SELECT emb' 'sql IMMUTABLE'
expect 'the owner may' 1 "$(ask -c 'SET ROLE owner' -c "$checks")"
finish
