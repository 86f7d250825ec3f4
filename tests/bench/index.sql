-- Times queries by the index and measures their recall: median and best over the queries of a file, top 10, warm, one process. Expects
-- `gallery(id, emb)` with an index of access method coop. Variables: queries, the file; peer, whether there is `gallery_vector(id, v)` with
-- pgvector's indexes; probes, how many rows an approximate scan examines closely (150).
\set ON_ERROR_STOP on
\if :{?probes}
\else
    \set probes 150
\endif
SET max_parallel_workers_per_gather = 0;
SET jit = off;
SET client_min_messages = warning;
-- For pgvector, `a`, `b` and `v` have the numbers of one attribute, of another one, and of the superspace.
CREATE TEMP TABLE queries (kind int, query text, n int, q text, a text, b text, v text);
\ir :queries
CREATE TEMP TABLE answers (kind int, n int, how text, ms float8, answer float8[], bounded bigint, refined bigint, returned bigint);

-- Runs each query of some kinds twice, and keeps the second time. `sql` is a format for q, a, b and v that returns distances.
CREATE PROCEDURE pg_temp.run(how text, kinds int[], sql text) LANGUAGE plpgsql AS $$
DECLARE one record; started timestamptz; command text; answer float8[]; ms float8;
BEGIN
    FOR one IN SELECT * FROM queries WHERE kind = ANY (kinds) ORDER BY kind, n LOOP
        command := format('SELECT array_agg(d) FROM (' || sql || ') t', one.q, one.a, one.b, one.v);
        EXECUTE command INTO answer;
        started := clock_timestamp();
        EXECUTE command INTO answer;
        ms := extract(epoch FROM clock_timestamp() - started) * 1000;
        INSERT INTO answers SELECT one.kind, one.n, how, ms, answer, rows_bounded, rows_refined, rows_returned FROM coop_last_scan();
    END LOOP;
END $$;

SET enable_seqscan = off;
\set coop 'SELECT emb <-> %1$L::coopquery AS d FROM gallery ORDER BY emb <-> %1$L::coopquery LIMIT 10'
SELECT array_agg(DISTINCT kind) AS kinds, array_agg(DISTINCT kind) FILTER (WHERE v IS NOT NULL) AS wide FROM queries \gset
CALL pg_temp.run('coop', :'kinds', :'coop');
SET coopembed.probes = :probes;
CALL pg_temp.run('coop, probes = ' || current_setting('coopembed.probes'), :'wide', :'coop');
RESET coopembed.probes;
\if :peer
    SET hnsw.ef_search = 200;
    CALL pg_temp.run('HNSW of that attribute alone, ef_search = 200', '{1,2}',
        'SELECT subvector(v, 151, 50)::vector(50) <-> ''[%2$s]'' AS d FROM gallery_vector ORDER BY subvector(v, 151, 50)::vector(50) <-> ''[%2$s]'' LIMIT 10');
    CALL pg_temp.run('HNSW of everything, ef_search = 200', :'wide', 'SELECT v <-> ''[%4$s]'' AS d FROM gallery_vector ORDER BY v <-> ''[%4$s]'' LIMIT 10');
    SET hnsw.ef_search = 1000;
    CALL pg_temp.run('HNSW of one attribute, 1,000 rows reranked', '{3,4}',
        'SELECT sqrt((subvector(v, 151, 50)::vector(50) <-> ''[%2$s]'') ^ 2 + 2 * (subvector(v, 301, 50)::vector(50) <-> ''[%3$s]'') ^ 2) AS d
         FROM (SELECT v FROM gallery_vector ORDER BY subvector(v, 151, 50)::vector(50) <-> ''[%2$s]'' LIMIT 1000) c ORDER BY d LIMIT 10');
\endif
SET enable_seqscan = on;
SET enable_indexscan = off;
CALL pg_temp.run('sequential scan', :'kinds', :'coop');

SELECT query, a.how, round(percentile_cont(0.5) WITHIN GROUP (ORDER BY a.ms)::numeric, 2) AS "median, ms",
    round(min(a.ms)::numeric, 2) AS "best",
    -- With a margin: pgvector sums single-precision numbers in another order.
    round(avg((SELECT count(*) FROM unnest(a.answer) f WHERE f <= e.answer[10] + 1e-5) / 10.0), 3) AS recall,
    round(avg(a.bounded) FILTER (WHERE a.how LIKE 'coop%')) AS bounded,
    round(avg(a.refined) FILTER (WHERE a.how LIKE 'coop%')) AS refined,
    round(avg(a.returned) FILTER (WHERE a.how LIKE 'coop%')) AS fetched
FROM answers a JOIN queries USING (kind, n) JOIN answers e USING (kind, n) WHERE e.how = 'sequential scan'
GROUP BY kind, query, a.how ORDER BY kind, a.how;
