-- Times the masked distance in a sequential scan, beside pgvector's distance on the same numbers: median of 15 runs, top 10,
-- warm, one process. Expects `gallery(id, emb)`, and `gallery_vector(id, v)` if pgvector is there (load.sh).
\set ON_ERROR_STOP on
SET max_parallel_workers_per_gather = 0;
SET jit = off;

CREATE FUNCTION pg_temp.median_ms(sql text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    started timestamptz;
    times float8[];
BEGIN
    EXECUTE sql;
    FOR run IN 1..15 LOOP
        started := clock_timestamp();
        EXECUTE sql;
        times := times || extract(epoch FROM clock_timestamp() - started)::float8 * 1000;
    END LOOP;
    RETURN (SELECT round(percentile_cont(0.5) WITHIN GROUP (ORDER BY t)::numeric, 1) FROM unnest(times) t);
END $$;

-- The time to get the ten rows nearest by an expression.
CREATE FUNCTION pg_temp.top_ms(tab text, distance text) RETURNS numeric LANGUAGE sql AS
$$ SELECT pg_temp.median_ms(format('SELECT id FROM %I ORDER BY %s LIMIT 10', tab, distance)) $$;

-- The numbers of subspace k of the first row.
CREATE FUNCTION pg_temp.slice(k int) RETURNS text LANGUAGE sql AS
$$ SELECT array_to_string((emb::real[])[k * 50 + 1:k * 50 + 50], ',') FROM gallery WHERE id = 1 $$;

CREATE TEMP TABLE queries AS
SELECT 1 AS n, 'one attribute' AS query,
    format('emb <-> ''8x50@0000002a:{0;3:1*[%s]}''::coopquery', pg_temp.slice(3)) AS coop,
    format('subvector(v, 151, 50)::vector(50) <-> ''[%s]''', pg_temp.slice(3)) AS vector
UNION ALL
SELECT 2, 'two attributes',
    format('emb <-> ''8x50@0000002a:{0;3:1*[%s];6:2*[%s]}''::coopquery', pg_temp.slice(3), pg_temp.slice(6)),
    format('(subvector(v, 151, 50)::vector(50) <-> ''[%s]'') ^ 2 + 2 * (subvector(v, 301, 50)::vector(50) <-> ''[%s]'') ^ 2',
        pg_temp.slice(3), pg_temp.slice(6))
UNION ALL
SELECT 3, 'superspace',
    format('emb <-> %L::coopvec', emb),
    format('v <-> %L', emb::real[]::text)
FROM gallery WHERE id = 1;
UPDATE queries SET vector = translate(vector, '{}', '[]');

SELECT to_regclass('gallery_vector') IS NOT NULL AS compare \gset
\if :compare
    CREATE TEMP TABLE answer AS
    SELECT n, query, pg_temp.top_ms('gallery', coop) AS coopembed, pg_temp.top_ms('gallery_vector', vector) AS pgvector
    FROM queries;
    SELECT query, coopembed AS "coopembed, ms", pgvector AS "pgvector, ms", round(pgvector / coopembed, 2) AS "times faster"
    FROM answer ORDER BY n;
\else
    SELECT query, pg_temp.top_ms('gallery', coop) AS "coopembed, ms" FROM queries ORDER BY n;
\endif
