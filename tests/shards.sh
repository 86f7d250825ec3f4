#!/usr/bin/env bash
# One table on five servers: partitions that are foreign tables, asked at the same time, each by its own index; a server that is down,
# one that is added. Four of the servers have no model. usage: shards.sh [QUESTIONS]
source "$(dirname "$0")/tools/lib.sh"
find_postgres
questions=${1:-200}
[ -f "$("$PG_CONFIG" --sharedir)/extension/postgres_fdw.control" ] || { echo 'skipped: postgres_fdw is not installed'; exit; }
export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"
scratch_cluster autovacuum=off
trap 'for n in 1 2 3 4 5; do [ ! -d "$SCRATCH/shard$n" ] || stop_cluster "$SCRATCH/shard$n"; done; stop_cluster "$SCRATCH"; rm -rf "$SCRATCH"' EXIT
coordinator=$PGHOST
start_shard() { # NUMBER
  start_cluster "$SCRATCH/shard$1" fsync=off autovacuum=off shared_preload_libraries=auto_explain auto_explain.log_min_duration=0
  export PGHOST=$coordinator
}
on_shard() { PGHOST=$SCRATCH/shard$1 ask "${@:2}"; }
parallel=$([ "$PGV" -lt 15 ] || echo ", parallel_commit 'true'")
new_shard() { # NUMBER
  local output=''
  # Every other one writes embeddings as hexadecimal text.
  [ $(($1 % 2)) = 1 ] || output=", options '-c coopembed.output=hex'"
  start_shard "$1"
  on_shard "$1" -c 'CREATE EXTENSION coopembed' -c 'CREATE TABLE photos (id int PRIMARY KEY, kind text, emb coopvec)' \
    -c 'CREATE INDEX photos_emb ON photos USING coop (emb)'
  ask -c "CREATE SERVER shard$1 FOREIGN DATA WRAPPER postgres_fdw
      OPTIONS (host '$SCRATCH/shard$1', dbname 'postgres', extensions 'coopembed', async_capable 'true', batch_size '100'$parallel$output)" \
    -c "CREATE USER MAPPING FOR PUBLIC SERVER shard$1 OPTIONS (user 'postgres')"
}

model=$(for_server "$SCRATCH" "$ROOT/model/emoji")
ask -v model="$model" >/dev/null <<'SQL'
CREATE EXTENSION coopembed;
CREATE EXTENSION postgres_fdw;
SELECT coop_load_model('emoji', :'model');
CREATE TABLE photos (id int, kind text, emb coopvec) PARTITION BY HASH (id);
-- The coordinator has a share itself.
CREATE TABLE photos_0 PARTITION OF photos FOR VALUES WITH (MODULUS 5, REMAINDER 0);
CREATE INDEX ON photos USING coop (emb);
-- Rows of the model's shape around a few centres.
CREATE FUNCTION photo(seed int) RETURNS coopvec LANGUAGE sql STABLE AS $$
    SELECT coop_vector(array_agg((sin(seed % 7 * 50 + i) + hashint8(seed::bigint * 1000 + i) / 2147483648.0 / 3)::real ORDER BY i))
    FROM generate_series(1, 650) i $$;
CREATE TYPE hit AS (id int, distance double precision);
CREATE TABLE one (LIKE photos);
-- Questions of every kind, by number.
CREATE FUNCTION wish(n int) RETURNS coopquery LANGUAGE sql STABLE AS $$
    WITH words AS (SELECT array_agg(coop_attr_query(a.name, v.value) ORDER BY a.ordinal, v.ordinal) AS w
        FROM coop_attributes() a, coop_attribute_values(a.name) v WHERE v.has_query)
    SELECT CASE n % 5 WHEN 0 THEN w[1 + n % cardinality(w)]
        WHEN 1 THEN w[1 + n % cardinality(w)] + (1 + n % 3 / 7.0) * w[1 + n * 13 % cardinality(w)]
        WHEN 2 THEN coop_like(photo(n), 'hue', 'gender')
        WHEN 3 THEN coop_like(photo(100000 + n))
        ELSE (SELECT coop_category_query(name) FROM coop_categories() WHERE has_query ORDER BY ordinal OFFSET n % 50 LIMIT 1) END FROM words $$;
SQL
for n in 1 2 3 4; do
  new_shard $n
  ask -c "CREATE FOREIGN TABLE photos_$n PARTITION OF photos FOR VALUES WITH (MODULUS 5, REMAINDER $n) SERVER shard$n OPTIONS (table_name 'photos')"
done
ask -c "INSERT INTO photos SELECT i, 'kind ' || i % 4, photo(i) FROM generate_series(1, 6000) i" -c "INSERT INTO photos VALUES (0, 'kind 0', NULL)" \
  -c 'INSERT INTO one SELECT * FROM photos' -c 'ANALYZE photos_0' -c 'ANALYZE one'
for n in 1 2 3 4; do on_shard $n -c 'VACUUM ANALYZE photos'; done
expect 'rows go to the server of their partition' '6001 t' \
  "$(ask -c 'SELECT count(*) FROM photos') $(on_shard 3 -c 'SELECT count(*) BETWEEN 1000 AND 1400 FROM photos')"
expect 'the shards have no model' '0 0 0 0' "$(for n in 1 2 3 4; do on_shard $n -c 'SELECT count(*) FROM coop_models()'; done | xargs)"

# What goes to the servers; statistics of the foreign tables there are none.
plan() { # WHAT FOLLOWS "FROM photos": the plan, the numbers of the query left out
  ask -c "EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM photos $1" | sed -E "s/'13x50[^']*'/QUERY/g; s/'::text/'/g" >"$SCRATCH/plan"
}
remote="Remote SQL: SELECT id, emb FROM public.photos" order='ORDER BY (emb OPERATOR(public.<->) $1::public.coopquery) ASC NULLS LAST'
in_plan() { # WHAT NUMBER LINE: so many such lines
  expect "$1" "$2" "$(sed 's/^ *//' "$SCRATCH/plan" | grep -cxF -- "$3")"
}
green="emb <-> coop_attr_query('hue', 'green')"
plan "ORDER BY $green LIMIT 10"
expect 'each server is asked while the others work' 4 "$(grep -c 'Async Foreign Scan on public.photos_[1-4]' "$SCRATCH/plan")"
in_plan 'for its nearest rows, in order, and no more' 4 "$remote $order LIMIT 10::bigint"
expect 'and the attribute is looked up once' 1 "$(grep -c '^ *InitPlan 1' "$SCRATCH/plan")"
plan "WHERE kind = 'kind 1' ORDER BY $green LIMIT 10"
in_plan 'of those under a condition, too' 4 "$remote WHERE ((kind = 'kind 1')) $order LIMIT 10::bigint"
plan "WHERE kind = ' LIMIT 1' ORDER BY $green, id LIMIT 10"
in_plan 'by a second column, too' 4 "$remote WHERE ((kind = ' LIMIT 1')) $order, id ASC NULLS LAST LIMIT 10::bigint"
ask -c "PREPARE asked(coopquery, int) AS SELECT id FROM photos ORDER BY emb <-> \$1 LIMIT \$2" -c 'SET plan_cache_mode = force_generic_plan' \
  -c "EXPLAIN (VERBOSE, COSTS OFF) EXECUTE asked('13x50@0000002a:{0;0:1*[$(seq -s, 50)]}', 7)" >"$SCRATCH/plan"
in_plan 'a plan that is kept sends the limit it is given' 4 "$remote $order LIMIT \$2::integer"
# Where a limit would be wrong: rows that are tested or counted here, or more than it says.
ask -c "CREATE FUNCTION ours(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN \$1 % 9 = 0; END'"
for query in "WHERE ours(id) ORDER BY $green LIMIT 10" "WHERE kind IN (SELECT kind FROM one) ORDER BY $green LIMIT 10" "ORDER BY $green LIMIT 10 OFFSET 3" \
  "ORDER BY $green FETCH FIRST 10 ROWS WITH TIES" "ORDER BY $green LIMIT 10 FOR UPDATE" "ORDER BY $green LIMIT NULL" "ORDER BY $green"; do
  plan "$query"
  expect "none is sent for: ${query%%"$green"*}... ${query##*"$green"}" 0 "$(grep -c 'Remote SQL.*LIMIT' "$SCRATCH/plan")"
done

# What the servers did: their logs have the statements and their plans. The query comes from a table, so that nothing has loaded the
# library when the search begins.
ask -c "CREATE TABLE wishes AS SELECT coop_attr_query('hue', 'green') AS q"
for n in 1 2 3 4; do : >"$SCRATCH/shard$n/server.log"; done
ask -c "SELECT id FROM photos WHERE id > 0 ORDER BY emb <-> (SELECT q FROM wishes) LIMIT 10" >/dev/null
ask -c "SELECT count(*) FROM wishes, coop_search(NULL::hit, 'emb', q, 10, 'id > 0', 'photos')" >/dev/null
in_logs() { grep -c "$1" "$SCRATCH"/shard[1-4]/server.log | sed 's/.*://' | xargs; }
expect 'so do the sessions that have not used the extension before' '2 2 2 2' "$(in_logs 'NULLS LAST LIMIT 10::bigint$')"
expect 'each server uses its own index' '2 2 2 2' "$(in_logs 'Index Scan using photos_emb on photos')"

# Answers. The sequential scan of one table with all rows is the truth; of rows at the same distance either may come.
ask <<'SQL'
ALTER TABLE one ADD PRIMARY KEY (id);
-- Raises an error if an answer is not of the k nearest rows, each once, with their distances.
CREATE FUNCTION verify(question text, answer hit[], q coopquery, exact double precision[]) RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF (SELECT array_agg(distance ORDER BY n) FROM unnest(answer) WITH ORDINALITY a (id, distance, n)) IS DISTINCT FROM exact
        OR (SELECT count(DISTINCT a.id) FROM unnest(answer) a JOIN one o ON o.id = a.id AND o.emb <-> q IS NOT DISTINCT FROM a.distance) <> cardinality(exact) THEN
        RAISE '% is answered by % and not by %', question, answer, exact;
    END IF;
END $$;
CREATE FUNCTION compare(questions int, condition text DEFAULT 'true', leave_out boolean DEFAULT false) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    q coopquery; exact double precision[]; answer hit[]; k int;
BEGIN
    FOR n IN 1..questions LOOP
        q := wish(n);
        k := 1 + n % 40;
        EXECUTE format('SELECT array_agg(d) FROM (SELECT emb <-> $1 AS d FROM one WHERE %s ORDER BY d LIMIT %s) t', condition, k) INTO exact USING q;
        SELECT array_agg(t) INTO answer FROM coop_search(NULL::hit, 'emb', q, k, CASE WHEN NOT leave_out THEN condition END, 'photos', leave_out) t;
        PERFORM verify('question ' || n, answer, q, exact);
        IF NOT leave_out THEN
            EXECUTE format('SELECT array_agg((id, d)::hit) FROM (SELECT id, emb <-> $1 AS d FROM photos WHERE %s ORDER BY emb <-> $1 LIMIT %s) t', condition, k)
                INTO answer USING q;
            PERFORM verify('the plain question ' || n, answer, q, exact);
        END IF;
    END LOOP;
    RETURN questions;
END $$;
SQL
expect 'the answers are those of one table, bit for bit' "$questions" "$(ask -c "SELECT compare($questions)")"
expect 'under a condition that the servers test' 60 "$(ask -c "SELECT compare(60, 'kind < ''kind 2'' AND id % 3 = 0')")"
expect 'and under one that only the coordinator can test' 60 "$(ask -c "SELECT compare(60, 'ours(id)')")"
neighbours() { # TABLE: the distances of the three rows nearest to each of some, by one statement
  ask -c "SELECT a.id, array_agg(b.d ORDER BY b.d) FROM (SELECT * FROM one WHERE id BETWEEN 1 AND 30) a,
    LATERAL (SELECT emb <-> a.emb AS d FROM $1 b WHERE b.id <> a.id ORDER BY b.emb <-> a.emb LIMIT 3) b GROUP BY a.id ORDER BY a.id"
}
expect 'as often as a statement asks' "$(neighbours one)" "$(neighbours photos)"
expect 'a plan that is kept asks only servers that can have the row' '3 4 none' "$(ask -c 'SET plan_cache_mode = force_generic_plan' \
  -c "PREPARE by_id(int, coopquery) AS SELECT id FROM photos WHERE id = \$1 ORDER BY emb <-> \$2 LIMIT 3" \
  -c 'EXECUTE by_id(3, wish(0))' -c 'EXECUTE by_id(4, wish(0))' -c 'EXECUTE by_id(-1, wish(0))' -c "SELECT 'none'" | xargs)"
expect 'rows without an embedding come last' '6001 0' "$(ask -F ' ' -c "SELECT count(*), (array_agg(id))[6001] FROM coop_search(NULL::photos, 'emb', wish(0), 10000)")"
ask -c "SELECT count(*) FROM coop_search(NULL::photos, 'emb', '13x50@0000002a:{0;0:1*[$(seq -s, 50)]}')" 2>"$SCRATCH/error" && die 'two models were compared'
expect_in 'a query of another model is an error' 'embeddings of different models cannot be compared' "$SCRATCH/error"

# A server that does not answer: whoever waits can be interrupted.
mkfifo "$SCRATCH/locker.in"
on_shard 2 <"$SCRATCH/locker.in" >"$SCRATCH/locker.out" &
exec 5>"$SCRATCH/locker.in"
echo "BEGIN; LOCK TABLE photos; SELECT 'locked';" >&5
until_true 'locked' grep -q locked "$SCRATCH/locker.out"
ask -c "SET statement_timeout = 500" -c "SELECT count(*) FROM coop_search(NULL::photos, 'emb', wish(0))" 2>"$SCRATCH/error" && die 'a locked table answered'
expect_in 'statement_timeout ends the wait for a server' 'statement timeout' "$SCRATCH/error"
exec 5>&-
wait $!

# A server that is down, seen by a session that is connected to it.
cat >"$SCRATCH/down.sql" <<SQL
SELECT compare(5);
\\! touch $SCRATCH/connected
\\! while [ ! -e $SCRATCH/stopped ]; do sleep 0.1; done
\\set ON_ERROR_STOP off
SELECT count(*) FROM coop_search(NULL::photos, 'emb', wish(0));
SET client_min_messages = warning;
SELECT compare(5, 'NOT satisfies_hash_partition(''photos''::regclass, 5, 2, id)', true);
\\! touch $SCRATCH/asked
\\! while [ ! -e $SCRATCH/started ]; do sleep 0.1; done
SELECT compare(5);
SELECT compare(5, 'true', true);
SQL
ask -f "$SCRATCH/down.sql" >"$SCRATCH/down" 2>&1 &
session=$!
until_true 'connected' test -e "$SCRATCH/connected"
stop_cluster "$SCRATCH/shard2"
touch "$SCRATCH/stopped"
until_true 'asked' test -e "$SCRATCH/asked"
expect_in 'a server that is down is an error that names it' 'ERROR:  could not connect to server "shard2"' "$SCRATCH/down"
expect_in 'its partition can be left out, with a warning' 'WARNING:  partition photos_2 is left out: its server cannot be reached' "$SCRATCH/down"
expect 'and the others give the nearest of their rows' 2 "$(grep -c '^5$' "$SCRATCH/down")"
ask -c 'BEGIN' -c 'ALTER TABLE photos DETACH PARTITION photos_2' -c "SELECT count(*) FROM coop_search(NULL::photos, 'emb', wish(0))" -c 'ROLLBACK' >"$SCRATCH/found"
expect_in 'or detached' '^10$' "$SCRATCH/found"
start_shard 2
touch "$SCRATCH/started"
wait $session || die "$(cat "$SCRATCH/down")"
expect 'it takes part again when it is back, in the same session' '5 5' "$(grep '^5$' "$SCRATCH/down" | tail -2 | xargs)"
for n in 1 2 3 4; do stop_cluster "$SCRATCH/shard$n"; done
ask -c "ALTER TABLE photos DETACH PARTITION photos_0" -c "SELECT count(*) FROM coop_search(NULL::photos, 'emb', wish(0), skip_unreachable => true)" 2>"$SCRATCH/error" &&
  die 'an answer from nowhere'
expect_in 'if none can be reached, that is an error' 'ERROR:  no server of a partition can be reached' "$SCRATCH/error"
ask -c 'ALTER TABLE photos ATTACH PARTITION photos_0 FOR VALUES WITH (MODULUS 5, REMAINDER 0)'
for n in 1 2 3 4; do start_shard $n; done

# One more server takes half of a partition over.
new_shard 5
ask <<'SQL'
BEGIN;
ALTER TABLE photos DETACH PARTITION photos_4;
CREATE FOREIGN TABLE photos_9 (id int, kind text, emb coopvec) SERVER shard5 OPTIONS (table_name 'photos');
-- OFFSET 0: the other server does not know this table, and could not tell where a row belongs.
INSERT INTO photos_9 SELECT * FROM (SELECT * FROM photos_4 OFFSET 0) p WHERE satisfies_hash_partition('photos'::regclass, 10, 9, id);
DELETE FROM photos_4 WHERE id IN (SELECT id FROM photos_9);
ALTER TABLE photos ATTACH PARTITION photos_4 FOR VALUES WITH (MODULUS 10, REMAINDER 4);
ALTER TABLE photos ATTACH PARTITION photos_9 FOR VALUES WITH (MODULUS 10, REMAINDER 9);
COMMIT;
SQL
expect 'a server that is added takes rows over' 't 6001' "$(on_shard 5 -c 'SELECT count(*) BETWEEN 450 AND 750 FROM photos') $(ask -c 'SELECT count(*) FROM photos')"
expect 'and the answers stay' 100 "$(ask -c "SELECT compare(100)")"
ask -c "INSERT INTO photos SELECT i, 'new', photo(i) FROM generate_series(7001, 7100) i" -c "INSERT INTO one SELECT i, 'new', photo(i) FROM generate_series(7001, 7100) i" \
  -c "DELETE FROM photos WHERE id % 5 = 0" -c "DELETE FROM one WHERE id % 5 = 0"
expect 'also as rows come and go' 100 "$(ask -c "SELECT compare(100)")"
# A partition that has partitions itself.
ask <<'SQL'
BEGIN;
ALTER TABLE photos DETACH PARTITION photos_3;
CREATE TABLE photos_3_by_kind PARTITION OF photos FOR VALUES WITH (MODULUS 5, REMAINDER 3) PARTITION BY LIST (kind);
CREATE TABLE photos_3_none PARTITION OF photos_3_by_kind FOR VALUES IN ('none');
ALTER TABLE photos_3_by_kind ATTACH PARTITION photos_3 DEFAULT;
COMMIT;
SQL
plan "ORDER BY $green LIMIT 10"
in_plan 'partitions of partitions are asked, too' 5 "$remote $order LIMIT 10::bigint"
expect 'and the answers are the same' 40 "$(ask -c "SELECT compare(40)")"
echo "$passed passed, 0 failed"
