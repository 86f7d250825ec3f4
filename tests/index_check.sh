#!/usr/bin/env bash
# coop_index_check(): whose code it runs, and what it says of indexes that it cannot check.
source "$(dirname "$0")/tools/lib.sh"
find_postgres
scratch_cluster autovacuum=off
export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"
ask >/dev/null <<'SQL'
CREATE EXTENSION coopembed;
CREATE ROLE owner; CREATE ROLE other;
GRANT CREATE ON SCHEMA public TO owner;
SET ROLE owner;
CREATE TABLE photos (id int, emb coopvec);
CREATE TABLE seen (who text, super bool, path text, setting text);
CREATE FUNCTION passed(emb coopvec) RETURNS coopvec LANGUAGE sql IMMUTABLE AS 'SELECT emb';
CREATE FUNCTION wanted(id int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE INDEX by_expression ON photos USING coop (passed(emb)) WHERE wanted(id);
INSERT INTO photos VALUES (1, '1x2@0000002a:[1,0]');
-- From now on they say who runs them, and leave a setting behind.
CREATE OR REPLACE FUNCTION passed(emb coopvec) RETURNS coopvec LANGUAGE plpgsql AS $$
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
expect 'a superuser checks an index with expressions' 1 "$(ask -c 'TRUNCATE seen' -c "SELECT coop_index_check('by_expression')")"
expect 'which run as the owner of the table, and find nothing by name but what PostgreSQL has' \
  'owner|f|pg_catalog, pg_temp predicate of owner|f|pg_catalog, pg_temp' "$(ask -c 'SELECT DISTINCT who, super, path FROM seen ORDER BY 1' | xargs)"
expect 'what they SET is undone, and the caller is the caller' 'postgres|4MB|"$user", public' \
  "$(ask -c "SELECT coop_index_check('by_expression')" -c "SELECT current_user, current_setting('work_mem'), current_setting('search_path')" | tail -1)"
ask -c "CREATE OR REPLACE FUNCTION passed(emb coopvec) RETURNS coopvec LANGUAGE plpgsql AS \$\$ BEGIN CREATE TEMP TABLE mine (); RETURN emb; END \$\$"
expect 'they may not do what REINDEX does not let them do' 'cannot create temporary table within security-restricted operation' \
  "$(ask -c "SELECT coop_index_check('by_expression')" 2>&1 | sed -n 's/^ERROR: *//p')"
ask -c "CREATE OR REPLACE FUNCTION passed(emb coopvec) RETURNS coopvec LANGUAGE plpgsql AS \$\$ BEGIN RESET ROLE; RETURN emb; END \$\$"
expect 'nor become another' 'cannot set parameter role within security-restricted operation' \
  "$(ask -c "SELECT coop_index_check('by_expression')" 2>&1 | sed -n 's/^ERROR: *//p' | tr -d '"')"
expect 'an error in them leaves the caller the caller' 'postgres|"$user", public' \
  "$(ask -v ON_ERROR_STOP=0 -c "SELECT coop_index_check('by_expression')" -c "SELECT current_user, current_setting('search_path')" 2>/dev/null)"
expect 'a savepoint, too' 'postgres|"$user", public' "$(ask -v ON_ERROR_STOP=0 2>/dev/null <<'SQL'
BEGIN;
SAVEPOINT s;
SELECT coop_index_check('by_expression');
ROLLBACK TO s;
SELECT current_user, current_setting('search_path');
COMMIT;
SQL
)"
expect 'who does not own it may not' 'must be owner of index by_expression' \
  "$(ask -c 'SET ROLE other' -c "SELECT coop_index_check('by_expression')" 2>&1 | sed -n 's/^ERROR: *//p')"
ask -c "CREATE OR REPLACE FUNCTION passed(emb coopvec) RETURNS coopvec LANGUAGE sql IMMUTABLE AS 'SELECT emb'"
expect 'the owner may' 1 "$(ask -c 'SET ROLE owner' -c "SELECT coop_index_check('by_expression')")"

# Partitioned indexes.
ask >/dev/null <<'SQL'
CREATE TABLE parts (id int, emb coopvec) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (id);
CREATE TABLE parts_2a PARTITION OF parts_2 FOR VALUES FROM (100) TO (150);
CREATE TABLE parts_2b PARTITION OF parts_2 FOR VALUES FROM (150) TO (200);
CREATE INDEX parts_emb ON parts USING coop (emb);
INSERT INTO parts SELECT i, format('1x2@0000002a:[%s,1]', i)::coopvec FROM generate_series(1, 199) i;
CREATE TABLE nothing (id int, emb coopvec) PARTITION BY RANGE (id);
CREATE INDEX nothing_emb ON nothing USING coop (emb);
CREATE INDEX parts_id ON parts (id);
SQL
expect 'of a partitioned index all partitions are checked' '199 100 0' \
  "$(ask -c "SELECT coop_index_check('parts_emb')" -c "SELECT coop_index_check('parts_2_emb_idx')" -c "SELECT coop_index_check('nothing_emb')" | xargs)"
says() { ask -c "SELECT coop_index_check('$1')" 2>&1 | sed -n 's/^\(ERROR\|DETAIL\|HINT\): *//p' | tr '\n' ' ' | sed 's/"//g; s/ $//'; }
expect 'one of another method is not' 'parts_id is not an index of access method coop' "$(says parts_id)"
expect 'nor one of no index' 'parts is not an index of access method coop' "$(says parts)"
file=$(ask -c "SELECT pg_relation_filepath('parts_2b_emb_idx')" -c CHECKPOINT)
stop_cluster "$SCRATCH"
# From 18 on PostgreSQL would find the damage by itself.
as_server "$BIN/pg_checksums" --disable -D "$SCRATCH/data" >/dev/null 2>&1 || true
printf 'damage!!' | dd of="$SCRATCH/data/$file" bs=1 seek=$((8192 * 2 + 40)) conv=notrunc status=none
start_cluster "$SCRATCH"
expect 'and one that is damaged is found' 'index parts_2b_emb_idx is corrupt' "$(says parts_emb | grep -o '^index parts_2b_emb_idx is corrupt')"
ask -c 'REINDEX INDEX parts_2b_emb_idx' -c 'CREATE INDEX only_emb ON ONLY parts USING coop (emb)'
expect 'a partitioned index that lacks a partition says so' 'index only_emb is not valid Some partitions have no index that belongs to it. Create an index on each of them, and attach it with ALTER INDEX ... ATTACH PARTITION.' "$(says only_emb)"

# What cannot be checked.
ask -c 'CREATE TABLE twice (id int, emb coopvec)' -c "INSERT INTO twice VALUES (1, '1x2@0000002a:[1,0]'), (2, '1x2@0000002b:[1,0]')"
ask -c 'CREATE INDEX CONCURRENTLY twice_emb ON twice USING coop (emb)' 2>/dev/null && die 'two models in one index'
expect 'an index that could not be built says so' 'index twice_emb is not ready Building or dropping it CONCURRENTLY has not ended, or has failed, so that it may lack rows. If nobody is building it, REINDEX or drop it.' "$(says twice_emb)"
mkfifo "$SCRATCH/in"
psql_ -At <"$SCRATCH/in" >"$SCRATCH/out" 2>&1 &
exec {session}>"$SCRATCH/in"
echo "CREATE TEMP TABLE mine (emb coopvec); CREATE INDEX mine_emb ON mine USING coop (emb); SELECT 'made';" >&"$session"
made() { grep -q made "$SCRATCH/out"; }
until_true 'a temporary table' made
index=$(ask -c "SELECT oid FROM pg_class WHERE relname = 'mine_emb'")
expect 'an index of another session says so' 'index mine_emb is on a temporary table of another session Only the session that made a temporary table can read it.' "$(says "$index")"
exec {session}>&-
echo "$passed passed, 0 failed"
