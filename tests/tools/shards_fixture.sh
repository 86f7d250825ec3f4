# Sourced by tests/shards/*.sh: the table `items`, hash-partitioned over the scratch cluster (the coordinator) and four other servers, with
# postgres_fdw; and `one`, a local table with the same rows, to compare with. Only the coordinator has a model.
# shellcheck shell=bash
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_shard() { # NUMBER
  start_cluster "$SCRATCH/shard$1" fsync=off autovacuum=off shared_preload_libraries=auto_explain auto_explain.log_min_duration=0
  export PGHOST=$SCRATCH
}
on_shard() { PGHOST=$SCRATCH/shard$1 ask "${@:2}"; } # NUMBER PSQL-ARGUMENTS...
new_shard() { # NUMBER
  local output='' parallel=''
  [ "$PGV" -lt 15 ] || parallel=", parallel_commit 'true'"
  # Every other one writes embeddings as hexadecimal text.
  [ $(($1 % 2)) = 1 ] || output=", options '-c coopembed.output=hex'"
  start_shard "$1"
  on_shard "$1" -c 'CREATE EXTENSION coopembed' -c 'CREATE TABLE items (id int PRIMARY KEY, kind text, emb coopvec)' \
    -c 'CREATE INDEX items_emb ON items USING coop (emb)'
  ask -c "CREATE SERVER shard$1 FOREIGN DATA WRAPPER postgres_fdw
      OPTIONS (host '$SCRATCH/shard$1', dbname 'postgres', extensions 'coopembed', async_capable 'true', batch_size '100'$parallel$output)" \
    -c "CREATE USER MAPPING FOR PUBLIC SERVER shard$1 OPTIONS (user 'postgres')"
}

# sharded_cluster ROWS
sharded_cluster() {
  local rows=$1 model n
  find_postgres
  [ -f "$("$PG_CONFIG" --sharedir)/extension/postgres_fdw.control" ] || { echo 'skipped: postgres_fdw is not installed'; exit; }
  export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"
  scratch_cluster autovacuum=off
  model=$(for_server "$SCRATCH" "$ROOT/model/emoji")
  ask -v model="$model" >/dev/null <<'SQL'
CREATE EXTENSION coopembed;
CREATE EXTENSION postgres_fdw;
SELECT coop_load_model('emoji', :'model');
CREATE TABLE items (id int, kind text, emb coopvec) PARTITION BY HASH (id);
-- The coordinator has a share itself.
CREATE TABLE items_0 PARTITION OF items FOR VALUES WITH (MODULUS 5, REMAINDER 0);
CREATE INDEX ON items USING coop (emb);
-- An embedding of the model's shape near one of a few centres.
CREATE FUNCTION made_embedding(seed int) RETURNS coopvec LANGUAGE sql STABLE AS $$
    SELECT coop_vector(array_agg((sin(seed % 7 * 50 + i) + hashint8(seed::bigint * 1000 + i) / 2147483648.0 / 3)::real ORDER BY i))
    FROM generate_series(1, 650) i $$;
CREATE TYPE hit AS (id int, distance double precision);
CREATE TABLE one (LIKE items);
-- Queries of every kind, by number.
CREATE FUNCTION made_query(n int) RETURNS coopquery LANGUAGE sql STABLE AS $$
    WITH words AS (SELECT array_agg(coop_attr_query(a.name, v.value) ORDER BY a.ordinal, v.ordinal) AS w
        FROM coop_attributes() a, coop_attribute_values(a.name) v WHERE v.has_query)
    SELECT CASE n % 5 WHEN 0 THEN w[1 + n % cardinality(w)]
        WHEN 1 THEN w[1 + n % cardinality(w)] + (1 + n % 3 / 7.0) * w[1 + n * 13 % cardinality(w)]
        WHEN 2 THEN coop_like(made_embedding(n), 'hue', 'gender')
        WHEN 3 THEN coop_like(made_embedding(100000 + n))
        ELSE (SELECT coop_category_query(name) FROM coop_categories() WHERE has_query ORDER BY ordinal OFFSET n % 50 LIMIT 1) END FROM words $$;
-- Raises an error unless an answer has the k nearest rows, each once, with their distances. Of rows at the same distance either may come.
CREATE FUNCTION verify(what text, answer hit[], q coopquery, exact double precision[]) RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF (SELECT array_agg(distance ORDER BY n) FROM unnest(answer) WITH ORDINALITY a (id, distance, n)) IS DISTINCT FROM exact
        OR (SELECT count(DISTINCT a.id) FROM unnest(answer) a JOIN one o ON o.id = a.id AND o.emb <-> q IS NOT DISTINCT FROM a.distance) <> cardinality(exact) THEN
        RAISE '% is answered by % and not by %', what, answer, exact;
    END IF;
END $$;
-- Compares the answers of coop_search() and of a plain query on all servers with a sequential scan of `one`.
CREATE FUNCTION compare(queries int, condition text DEFAULT 'true', skip_unreachable boolean DEFAULT false) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    q coopquery; exact double precision[]; answer hit[]; k int;
BEGIN
    FOR n IN 1..queries LOOP
        q := made_query(n);
        k := 1 + n % 40;
        EXECUTE format('SELECT array_agg(d) FROM (SELECT emb <-> $1 AS d FROM one WHERE %s ORDER BY d LIMIT %s) t', condition, k) INTO exact USING q;
        SELECT array_agg(t) INTO answer FROM coop_search(NULL::hit, 'emb', q, k, CASE WHEN NOT skip_unreachable THEN condition END, 'items', skip_unreachable) t;
        PERFORM verify('coop_search() number ' || n, answer, q, exact);
        IF NOT skip_unreachable THEN
            EXECUTE format('SELECT array_agg((id, d)::hit) FROM (SELECT id, emb <-> $1 AS d FROM items WHERE %s ORDER BY emb <-> $1 LIMIT %s) t', condition, k)
                INTO answer USING q;
            PERFORM verify('the plain query number ' || n, answer, q, exact);
        END IF;
    END LOOP;
    RETURN queries;
END $$;
SQL
  for n in 1 2 3 4; do
    new_shard $n
    ask -c "CREATE FOREIGN TABLE items_$n PARTITION OF items FOR VALUES WITH (MODULUS 5, REMAINDER $n) SERVER shard$n OPTIONS (table_name 'items')"
  done
  ask -c "INSERT INTO one SELECT i, 'kind ' || i % 4, made_embedding(i) FROM generate_series(1, $rows) i" -c "INSERT INTO one VALUES (0, 'kind 0', NULL)" \
    -c 'INSERT INTO items SELECT * FROM one' -c 'ANALYZE items_0' -c 'ANALYZE one' -c 'ALTER TABLE one ADD PRIMARY KEY (id)'
  for n in 1 2 3 4; do on_shard $n -c 'VACUUM ANALYZE items'; done
}

# What a query sends to the servers. plan REST-OF-QUERY: the plan of "SELECT id FROM items ..." goes to a file, without the query's numbers.
plan() {
  ask -c "EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM items $1" | sed -E "s/'13x50[^']*'/QUERY/g; s/'::text/'/g" >"$SCRATCH/plan"
}
remote="Remote SQL: SELECT id, emb FROM public.items" order='ORDER BY (emb OPERATOR(public.<->) $1::public.coopquery) ASC NULLS LAST'
in_plan() { # WHAT NUMBER LINE: it has so many such lines
  expect "$1" "$2" "$(sed 's/^ *//' "$SCRATCH/plan" | grep -cxF -- "$3")"
}
green="emb <-> coop_attr_query('hue', 'green')"
