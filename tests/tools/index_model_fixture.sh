# Sourced by tests/index/model_*.sh, which are about the model of an index: that of its live rows. Functions that make embeddings of two
# models, a and b, and that compare the answers of index and table, errors included.
# shellcheck shell=bash
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

two_models_cluster() { # [settings...]
  find_postgres
  scratch_cluster wal_level=replica max_wal_senders=4 autovacuum=off "$@"
  export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"
  ask <<'SQL'
CREATE EXTENSION coopembed;
CREATE FUNCTION embedding(seed int, model text, k int DEFAULT 2, n int DEFAULT 3) RETURNS coopvec LANGUAGE sql IMMUTABLE AS $$
    SELECT format('%sx%s@%s:[%s]', k, n, CASE model WHEN 'a' THEN '0000000a' ELSE '0000000b' END, (
        SELECT string_agg(round((hashint4(seed * 31 + i) / 2147483648.0)::numeric, 3)::text, ',') FROM generate_series(1, k * n) i))::coopvec $$;
-- Runs a query of a model by a sequential scan and by an index scan. alike: both give the same rows, or the same error; by_index: the
-- planner could use the index; answer: "error", "nothing" or how many rows.
CREATE FUNCTION answers(tab text, model text, cond text DEFAULT 'true', OUT alike bool, OUT by_index bool, OUT answer text) LANGUAGE plpgsql AS $$
DECLARE
    query text := format('SELECT string_agg(id || '' '' || coalesce(d::text, ''null''), '','' ORDER BY d, id) FROM (SELECT id, emb <-> %2$L::coopvec AS d FROM %1$s WHERE %3$s
        ORDER BY emb <-> %2$L::coopvec) t', tab, embedding(1, model), cond);
    found text[]; one text; line text;
BEGIN
    by_index := false;
    FOR i IN 1 .. 2 LOOP
        PERFORM set_config('enable_indexscan', CASE i WHEN 1 THEN 'off' ELSE 'on' END, true), set_config('enable_seqscan', CASE i WHEN 1 THEN 'on' ELSE 'off' END, true);
        BEGIN
            EXECUTE query INTO one;
        EXCEPTION WHEN data_exception THEN
            GET STACKED DIAGNOSTICS one = MESSAGE_TEXT, line = PG_EXCEPTION_DETAIL;
            one := one || ': ' || line;
        END;
        found[i] := coalesce(one, 'nothing');
    END LOOP;
    FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
        by_index := by_index OR line LIKE '%Index Scan using%';
    END LOOP;
    alike := found[1] = found[2];
    answer := CASE WHEN found[1] ~ '^embeddings' THEN 'error' WHEN found[1] = 'nothing' THEN found[1] ELSE array_length(string_to_array(found[1], ','), 1) || ' rows' END;
END $$;
SQL
}
answers() { ask -c "SELECT alike, by_index, answer FROM answers($1)"; }
indexed() { ask -c "SELECT coop_index_check('$1')"; } # INDEX: how many rows it has
error_of() { # SQL...: message and detail, on one line
  ask "$@" >"$SCRATCH/found" 2>&1 && { echo 'no error'; return; }
  sed -n 's/^ERROR: *//p; s/^DETAIL: *//p' "$SCRATCH/found" | tr -d '"' | tr '\n' ' ' | sed 's/ $//'
}
# Statements of a session: take a snapshot that lasts.
old_snapshot="BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class WHERE false"
table_of_a() { # NAME: a table of 300 rows of model a
  ask -c "CREATE TABLE $1 (id int PRIMARY KEY, emb coopvec)" -c "INSERT INTO $1 SELECT i, embedding(i, 'a') FROM generate_series(1, 300) i"
}
to_b() { echo "UPDATE $1 SET emb = embedding(id, 'b')"; } # TABLE
insert() { echo "INSERT INTO $1 SELECT i, embedding(i, '$2') FROM generate_series($3, $4) i"; } # TABLE MODEL FROM TO
