-- Times exact answers from the index: medians (and bests) over 50 questions about random rows, top 10, warm, one process.
-- Expects `gallery(id, emb)` of 8x50 with an index of access method coop.
\set ON_ERROR_STOP on
SET max_parallel_workers_per_gather = 0;
SET jit = off;
SET client_min_messages = warning;

-- Subspace k of a row as part of a coopquery; the mean of the rows around it, as an attribute value's query is.
CREATE FUNCTION pg_temp.slice(row_id int, k int) RETURNS text LANGUAGE sql AS
$$ SELECT array_to_string((emb::real[])[k * 50 + 1:k * 50 + 50], ',') FROM gallery WHERE id = row_id $$;
CREATE TEMP TABLE sample AS SELECT emb FROM gallery WHERE id <= 2000;
CREATE FUNCTION pg_temp.value(row_id int, k int) RETURNS text LANGUAGE sql AS $$
    SELECT array_to_string((avg(emb)::real[])[k * 50 + 1:k * 50 + 50], ',') FROM sample
    WHERE emb <-> format('8x50@0000002a:{0;%s:1*[%s]}', k, pg_temp.slice(row_id, k))::coopquery < 1.05 $$;

CREATE TEMP TABLE questions AS
SELECT i AS n, 1 AS kind, 'one attribute, like a row' AS query, format('8x50@0000002a:{0;3:1*[%s]}', pg_temp.slice(i * 37, 3)) AS q FROM generate_series(1, 50) i
UNION ALL SELECT i, 2, 'one attribute, a value', format('8x50@0000002a:{0;3:1*[%s]}', pg_temp.value(i * 37, 3)) FROM generate_series(1, 50) i
UNION ALL SELECT i, 3, 'two attributes, like rows', format('8x50@0000002a:{0;3:1*[%s];6:2*[%s]}', pg_temp.slice(i * 37, 3), pg_temp.slice(i * 41, 6)) FROM generate_series(1, 50) i
UNION ALL SELECT i, 4, 'two attributes, values', format('8x50@0000002a:{0;3:1*[%s];6:2*[%s]}', pg_temp.value(i * 37, 3), pg_temp.value(i * 41, 6)) FROM generate_series(1, 50) i
UNION ALL SELECT i, 5, 'superspace', (SELECT emb::coopquery::text FROM gallery WHERE id = i * 37) FROM generate_series(1, 50) i;

-- Milliseconds and distances of each question.
CREATE FUNCTION pg_temp.ask(kinds int) RETURNS TABLE (n int, ms float8, answer float8[], bounded bigint, refined bigint, returned bigint)
LANGUAGE plpgsql AS $$
DECLARE question record; started timestamptz; sql text;
BEGIN
    FOR question IN SELECT * FROM questions WHERE kind = kinds LOOP
        sql := format('SELECT array_agg(d) FROM (SELECT emb <-> %1$L::coopquery AS d FROM gallery ORDER BY emb <-> %1$L::coopquery LIMIT 10) t', question.q);
        EXECUTE sql INTO answer;
        started := clock_timestamp();
        EXECUTE sql INTO answer;
        ms := extract(epoch FROM clock_timestamp() - started) * 1000;
        n := question.n;
        SELECT rows_bounded, rows_refined, rows_returned INTO bounded, refined, returned FROM coop_last_scan();
        RETURN NEXT;
    END LOOP;
END $$;

SET enable_seqscan = off;
CREATE TEMP TABLE answers AS
SELECT kind, query, a.*, 0 AS probes FROM (SELECT DISTINCT kind, query FROM questions) k, LATERAL pg_temp.ask(kind) a;
SET coopembed.probes = 150;
INSERT INTO answers SELECT kind, query, a.*, 150 FROM (SELECT DISTINCT kind, query FROM questions WHERE kind = 5) k, LATERAL pg_temp.ask(kind) a;
RESET coopembed.probes;
SET enable_seqscan = on;
SET enable_indexscan = off;
CREATE TEMP TABLE exact AS
SELECT kind, a.n, a.answer, a.ms FROM (SELECT DISTINCT kind FROM questions) k, LATERAL pg_temp.ask(kind) a;

SELECT query || CASE probes WHEN 0 THEN '' ELSE format(', probes = %s', probes) END AS query,
    round(percentile_cont(0.5) WITHIN GROUP (ORDER BY a.ms)::numeric, 2) AS "median, ms",
    round(min(a.ms)::numeric, 2) AS "best",
    round(percentile_cont(0.5) WITHIN GROUP (ORDER BY e.ms)::numeric, 1) AS "sequential scan",
    round(avg((SELECT count(*) FROM unnest(a.answer) f WHERE f <= e.answer[10]) / 10.0), 3) AS recall,
    round(avg(bounded)) AS bounded, round(avg(refined)) AS refined, round(avg(returned)) AS fetched
FROM answers a JOIN exact e USING (kind, n) GROUP BY kind, query, probes ORDER BY kind, probes;
