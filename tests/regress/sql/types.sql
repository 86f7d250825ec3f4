-- Text and binary forms round-trip; the error for a malformed one says what is wrong.
SELECT '2x2@0000002a:[0.6,0.8,1,0]'::coopvec;
SELECT '2x2@0000002a:{0;1:2*[0.6,0.8]}'::coopquery;
SELECT coopvec_send('2x2@0000002a:[0.5,1,0,-2]');
SELECT '\x01000200020000002a38003c000000c000'::coopvec;
SET coopembed.output = hex;
SELECT '2x2@0000002a:[0.5,1,0,-2]'::coopvec, '2x2@0000002a:{0.25;1:2*[0.5,1]}'::coopquery;
RESET coopembed.output;
SELECT '\x01000200020000002a38003c000000c00'::coopvec;
SELECT '\x01000200020000002a38003c000000c0'::coopvec;
SET coopembed.output = base64;
SELECT '2x2@0000002a:[1,2,3]'::coopvec;
SELECT '[1,2,3,4]'::coopvec;
SELECT '2x2@0000002a:[1,2,3,NaN]'::coopvec;
SELECT '2x2@0000002a:{0}'::coopquery;
SELECT '2x2@0000002a:{0;2:1*[1,1]}'::coopquery;

-- Distances, computed by hand: sqrt(0.25 + 1 + 0 + 9), and sqrt(0.25 + 2 * (0.25 + 9)).
SELECT '2x2@0000002a:[0.5,1,0,-2]'::coopvec <-> '2x2@0000002a:[0,0,0,1]'::coopvec AS d, sqrt(10.25);
SELECT '2x2@0000002a:[0.5,1,0,-2]'::coopvec <-> '2x2@0000002a:{0.25;1:2*[0.5,1]}'::coopquery AS d, sqrt(18.75);
SELECT '2x2@0000002a:[0.5,1,0,-2]'::coopvec <-> NULL::coopquery AS d;

-- Embeddings of different models cannot be combined.
SELECT '1x1@00000001:[1]'::coopvec <-> '1x1@00000002:[1]'::coopvec;
SELECT '1x1@00000001:[1]'::coopvec <-> '1x2@00000001:{0;0:1*[1,1]}'::coopquery;
SELECT avg(e) FROM (VALUES ('1x1@00000001:[1]'::coopvec), ('1x1@00000002:[1]')) t(e);

-- Queries add and scale: 1*(0-e)^2 + 3*(1-e)^2 = 4*(0.75-e)^2 + 0.75.
SELECT '1x1@00000000:{0;0:1*[0]}'::coopquery + 3 * '1x1@00000000:{0;0:1*[1]}'::coopquery AS mix;
SELECT 0 * '1x1@00000000:{0;0:1*[0]}'::coopquery;
SELECT -1 * '1x1@00000000:{0;0:1*[0]}'::coopquery;

-- Means and equality.
SELECT avg(e) FROM (VALUES ('1x2@00000000:[1,0]'::coopvec), ('1x2@00000000:[0,1]'), (NULL)) t(e);
SELECT avg(e) FROM (SELECT NULL::coopvec AS e) t;
SELECT count(DISTINCT e::text), count(*) FILTER (WHERE e = '1x2@00000000:[1,0]')
FROM (VALUES ('1x2@00000000:[1,0]'::coopvec), ('1x2@00000000:[1.0,0]'), ('1x2@00000000:[0,1]')) t(e);
SELECT '1x2@00000000:[0.5,1]'::coopvec::real[];

-- Equality, hash and order of both types are those of the bytes: the model, then the numbers. -0 is not 0.
CREATE TABLE saved (id int, emb coopvec, query coopquery);
INSERT INTO saved SELECT id, emb, 2 * emb::coopquery FROM (VALUES
    (1, '1x2@00000000:[1,0]'::coopvec), (2, '1x2@00000000:[0,1]'), (3, '1x2@00000000:[1,0]'), (4, '1x2@00000000:[-0,1]'),
    (5, NULL), (6, NULL), (7, '1x2@00000001:[1,0]')) t(id, emb);
SELECT count(DISTINCT emb) AS embeddings, count(DISTINCT query) AS queries FROM saved;
SELECT query, count(*) FROM saved GROUP BY query ORDER BY query;
SELECT count(*) FROM (SELECT query FROM saved UNION SELECT emb::coopquery FROM saved) u;
SELECT query FROM saved EXCEPT SELECT query FROM saved WHERE id <> 4;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM saved WHERE query IS DISTINCT FROM '1x2@00000000:{0;0:2*[1,0]}';
SELECT id, emb FROM saved ORDER BY emb DESC, id;
SELECT a.id, b.id, a.query < b.query AS lt, a.query <= b.query AS le, a.query = b.query AS eq, a.query <> b.query AS ne,
       a.query >= b.query AS ge, a.query > b.query AS gt, sign(coopquery_cmp(a.query, b.query)) AS cmp
FROM saved a, saved b WHERE a.id = 1 AND b.id < 5;
SELECT bool_and((a.emb < b.emb) = (a.emb::text <> b.emb::text AND a.emb <= b.emb) AND (a.emb > b.emb) = (b.emb < a.emb)
    AND (a.emb = b.emb) = (coopvec_cmp(a.emb, b.emb) = 0) AND (a.emb <> b.emb) = (a.emb < b.emb OR a.emb > b.emb)) AS consistent FROM saved a, saved b;
-- Joins by hash, and by order.
ANALYZE saved;
SET enable_nestloop = off;
SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) SELECT FROM saved a JOIN saved b USING (query);
SELECT count(*) FROM saved a JOIN saved b USING (query);
SELECT count(*) FROM saved a JOIN saved b USING (emb);
RESET enable_mergejoin;
SET enable_hashjoin = off;
EXPLAIN (COSTS OFF) SELECT FROM saved a JOIN saved b USING (query);
EXPLAIN (COSTS OFF) SELECT FROM saved a JOIN saved b USING (emb);
SELECT count(*) FROM saved a JOIN saved b USING (query);
SELECT count(*) FROM saved a JOIN saved b USING (emb);
RESET enable_nestloop;
RESET enable_hashjoin;
-- Each search is saved once, each embedding stored once.
CREATE UNIQUE INDEX ON saved (query);
DELETE FROM saved WHERE id = 3;
CREATE UNIQUE INDEX saved_query ON saved (query);
CREATE UNIQUE INDEX saved_emb ON saved (emb);
INSERT INTO saved SELECT 8, NULL, query FROM saved WHERE id = 2 ON CONFLICT (query) DO NOTHING;
INSERT INTO saved SELECT 9, emb, NULL FROM saved WHERE id = 7;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM saved WHERE query = '1x2@00000000:{0;0:2*[0,1]}';
SELECT id FROM saved WHERE query = '1x2@00000000:{0;0:2*[0,1]}';
SELECT id FROM saved WHERE emb = '1x2@00000001:[1,0]';
CREATE INDEX saved_hash ON saved USING hash (query);
DROP INDEX saved_query;
SELECT id FROM saved WHERE query = '1x2@00000000:{0;0:2*[-0,1]}';
RESET enable_seqscan;
-- How a value is stored makes no difference: with a short header, in line, out of line.
CREATE TABLE widths AS SELECT emb, emb::coopquery AS query FROM (SELECT format('%sx50@0000002a:[%s]', k,
    (SELECT string_agg((i % 7 / 8.0)::text, ',') FROM generate_series(1, k * 50) i))::coopvec AS emb FROM (VALUES (1), (8), (300)) s(k)) t;
SELECT pg_column_size(emb) AS stored, emb = emb::text::coopvec AND query = query::text::coopquery AS equal,
       coopvec_cmp(emb, emb::text::coopvec) + coopquery_cmp(query, query::text::coopquery) AS cmp,
       coopvec_hash(emb) = coopvec_hash(emb::text::coopvec) AND coopquery_hash(query) = coopquery_hash(query::text::coopquery)
       AND coopquery_hash_extended(query, 7) = coopquery_hash_extended(query::text::coopquery, 7) AS hash
FROM widths ORDER BY emb;
DROP TABLE saved, widths;

-- The sum of queries is what + makes of them; NULLs do not count.
SELECT sum(w * q), sum(w * q ORDER BY w) = 1 * '1x1@00000000:{0;0:1*[0]}'::coopquery + 3 * '1x1@00000000:{0;0:1*[1]}'::coopquery AS same
FROM (VALUES (1, '1x1@00000000:{0;0:1*[0]}'::coopquery), (NULL, NULL), (3, '1x1@00000000:{0;0:1*[1]}')) t(w, q);
SELECT sum(q) FROM (SELECT NULL::coopquery AS q) t;
SELECT sum(q) FROM (SELECT NULL::coopquery AS q) t WHERE false;
SELECT sum(q) FROM (VALUES ('1x1@00000001:{0;0:1*[1]}'::coopquery), ('1x1@00000002:{0;0:1*[1]}')) t(q);
CREATE TABLE searches AS SELECT i AS id, format('2x1@00000000:{0;%s:1*[%s]}', i % 2, i % 3)::coopquery AS query FROM generate_series(0, 5999) i;
SET max_parallel_workers_per_gather = 0;
SELECT sum(query) FROM searches;
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT sum(query) FROM searches;
-- Weights and targets are single-precision numbers, so another order of the rows may give other last bits.
SELECT round((sum(query)::jsonb ->> 'constant')::numeric, 3) AS constant, sum(query)::jsonb #> '{subspaces,1,weight}' AS weight FROM searches;
DROP TABLE searches;
RESET ALL;

-- ANALYZE counts nulls and distinct values, and keeps none.
CREATE TABLE analysed AS SELECT CASE WHEN i % 4 > 0 THEN format('1x2@0000002a:[%s,0]', i % 25)::coopvec END AS emb,
    format('1x2@0000002a:[%s,0]', i % 10)::coopvec::coopquery AS query FROM generate_series(1, 1000) i;
ANALYZE analysed;
SELECT attname, round(null_frac::numeric, 2) AS nulls, n_distinct, avg_width > 16 AS has_width, most_common_vals, most_common_freqs, histogram_bounds
FROM pg_stats WHERE tablename = 'analysed' ORDER BY 1;
CREATE FUNCTION expected_rows(statement text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) ' || statement INTO plan;
    RETURN plan->0->'Plan'->'Plan Rows';
END $$;
SELECT expected_rows('SELECT DISTINCT query FROM analysed') AS distinct_queries, expected_rows($$SELECT FROM analysed WHERE query = '1x2@0000002a:[1,0]'::coopvec::coopquery$$) AS equal;
DROP TABLE analysed;
DROP FUNCTION expected_rows;
