-- The access method coop: one index serves every choice of subspaces and weights, with the same answers as a sequential scan.
CREATE FUNCTION random_embedding(seed int, k int DEFAULT 3, n int DEFAULT 4, model text DEFAULT '0000002a') RETURNS coopvec
LANGUAGE sql IMMUTABLE AS $$
    SELECT format('%sx%s@%s:[%s]', k, n, model, (
        SELECT string_agg(round((hashint4(seed * k * n + i) / 2147483648.0)::numeric, 3)::text, ',')
        FROM generate_series(1, k * n) i))::coopvec $$;
-- A query with any choice of subspaces: the bits of `seed` say which count.
CREATE FUNCTION random_query(seed int) RETURNS coopquery LANGUAGE sql IMMUTABLE AS $$
    SELECT format('3x4@0000002a:{%s;%s}', seed % 3, (
        SELECT string_agg(format('%s:%s*[%s]', k, 0.1 + abs(hashint4(seed + k) % 100) / 25.0, (
            SELECT string_agg((hashint4(seed * 99 + k * 4 + i) / 2147483648.0)::real::text, ',') FROM generate_series(1, 4) i)), ';')
        FROM generate_series(0, 2) k WHERE seed >> k & 1 = 1 OR seed % 8 = 0 AND k = 0))::coopquery $$;
-- How many of `queries` queries get other answers from the index than from a sequential scan.
CREATE FUNCTION differences(tab regclass, queries int, cond text DEFAULT 'true', k int DEFAULT 10) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    ask text := format('SELECT array_agg(d) FROM (SELECT emb <-> $1 AS d FROM %s WHERE %s ORDER BY emb <-> $1 LIMIT %s) t', tab, cond, k);
    exact float8[]; found float8[]; wrong bigint := 0; plan text; used bool := false;
BEGIN
    FOR i IN 1..queries LOOP
        SET LOCAL enable_indexscan = off; SET LOCAL enable_seqscan = on;
        EXECUTE ask INTO exact USING random_query(i);
        SET LOCAL enable_indexscan = on; SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off;
        EXECUTE ask INTO found USING random_query(i);
        RESET enable_sort;
        wrong := wrong + (exact IS DISTINCT FROM found)::int;
    END LOOP;
    SET LOCAL enable_sort = off;
    FOR plan IN EXECUTE 'EXPLAIN ' || replace(ask, '$1', quote_literal(random_query(1)) || '::coopquery') LOOP
        used := used OR plan LIKE '%Index Scan using%';
    END LOOP;
    RESET enable_sort; RESET enable_seqscan; RESET enable_indexscan;
    IF NOT used THEN RAISE 'the index was not used'; END IF;
    RETURN wrong;
END $$;

CREATE TABLE images (id int PRIMARY KEY, emb coopvec);
INSERT INTO images SELECT i, random_embedding(i) FROM generate_series(1, 900) i;
INSERT INTO images SELECT i, random_embedding(i % 30 + 1) FROM generate_series(901, 1000) i; -- duplicates
INSERT INTO images SELECT i, NULL FROM generate_series(1001, 1010) i;
CREATE INDEX images_emb ON images USING coop (emb) WITH (tail_rows = 64);
SELECT coop_index_check('images_emb');
SELECT differences('images', 40);
SELECT differences('images', 8, 'id % 97 = 5'), differences('images', 8, 'id < 0'), differences('images', 8, 'true', 2000);
EXPLAIN (COSTS off) SELECT id FROM images ORDER BY emb <-> '3x4@0000002a:{0;1:1*[0,0,0,1]}'::coopquery LIMIT 3;
-- The planner uses the index where it is faster, and only there.
ANALYZE images;
EXPLAIN (COSTS off) SELECT id FROM images ORDER BY emb <-> '3x4@0000002a:{0;1:1*[0,0,0,1]}'::coopquery;
EXPLAIN (COSTS off) SELECT id FROM images WHERE id = 5 ORDER BY emb <-> '3x4@0000002a:{0;1:1*[0,0,0,1]}'::coopquery LIMIT 3;
EXPLAIN (COSTS off) SELECT id FROM images WHERE emb <-> '3x4@0000002a:{0;1:1*[0,0,0,1]}'::coopquery < 1;
-- The search_path does not matter.
SET search_path = pg_catalog;
EXPLAIN (COSTS off) SELECT id FROM public.images ORDER BY emb OPERATOR(public.<->) '3x4@0000002a:{0;1:1*[0,0,0,1]}'::public.coopquery LIMIT 3;
RESET search_path;
SET enable_seqscan = off;
EXPLAIN (COSTS off) SELECT id FROM images ORDER BY emb <-> random_embedding(7) LIMIT 3;
EXPLAIN (COSTS off) SELECT count(*) FROM images;
SELECT id, round((emb <-> random_embedding(7))::numeric, 3) AS d FROM images ORDER BY emb <-> random_embedding(7), id LIMIT 3;
SELECT index_oid::regclass, indexed_rows, rows_bounded > 0 AS bounded, rows_refined > 0 AS refined, rows_returned > 0 AS returned FROM coop_last_scan();
-- Each search counts as a scan of the index, whose statistics would otherwise call it unused.
BEGIN;
SELECT pg_stat_get_xact_numscans('images_emb'::regclass) AS before \gset
SELECT (SELECT id FROM images ORDER BY emb <-> random_embedding(7) LIMIT 1) AS nearest, count(*)
FROM generate_series(1, 3) i, LATERAL (SELECT id FROM images ORDER BY emb <-> random_embedding(i) LIMIT 1) t;
SELECT pg_stat_get_xact_numscans('images_emb'::regclass) - :before AS scans;
ROLLBACK;

-- A null query has null distances. Two distances in one ORDER BY.
PREPARE ask(coopquery) AS SELECT count(*) FROM (SELECT emb <-> $1 AS d FROM images ORDER BY emb <-> $1) t WHERE d IS NULL;
SET plan_cache_mode = force_generic_plan;
EXECUTE ask(NULL);
-- Where that shows only while the statement runs, a notice says it.
SET client_min_messages = notice;
SELECT count(*) FROM (SELECT id FROM images ORDER BY emb <-> (SELECT emb FROM images WHERE id = -1) LIMIT 3) t;
RESET client_min_messages;
EXECUTE ask(random_query(3));
RESET plan_cache_mode;
SET enable_sort = off;
SELECT id FROM images WHERE id > 900 ORDER BY emb <-> random_embedding(7), emb <-> random_embedding(8) LIMIT 4;
RESET enable_sort;

-- Nested loops rescan; cursors suspend a scan and resume it.
SELECT q, array_agg(id ORDER BY d, id) FROM generate_series(1, 3) q,
    LATERAL (SELECT id, emb <-> random_query(q) AS d FROM images WHERE id <= 900 ORDER BY emb <-> random_query(q) LIMIT 3) t GROUP BY q ORDER BY q;
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM images WHERE id <= 900 ORDER BY emb <-> random_query(2);
FETCH 2 FROM c;
FETCH 2 FROM c;
MOVE 800 IN c;
FETCH 1 FROM c;
COMMIT;

-- Insert, update, delete; the tail is packed into groups; a subtransaction rolls back.
INSERT INTO images SELECT i, random_embedding(i) FROM generate_series(2000, 2700) i;
UPDATE images SET emb = random_embedding(id + 5000) WHERE id % 3 = 0 AND emb IS NOT NULL;
UPDATE images SET id = id WHERE id % 7 = 0;
BEGIN;
INSERT INTO images VALUES (3000, random_embedding(3000));
SAVEPOINT a;
INSERT INTO images SELECT i, random_embedding(i) FROM generate_series(3001, 3300) i;
ROLLBACK TO a;
INSERT INTO images VALUES (3001, random_embedding(1));
COMMIT;
SELECT coop_index_check('images_emb'), differences('images', 24);
DELETE FROM images WHERE id % 2 = 0;
SELECT coop_index_check('images_emb'), differences('images', 24);
VACUUM images;
SELECT coop_index_check('images_emb'), differences('images', 24), differences('images', 8, 'true', 2000);
SELECT pg_relation_size('images_emb') AS before \gset
DO $$ BEGIN FOR i IN 1..5 LOOP
    INSERT INTO images SELECT 10000 + j, random_embedding(j) FROM generate_series(1, 800) j;
    DELETE FROM images WHERE id > 10000;
    COMMIT;
END LOOP; END $$;
VACUUM images;
VACUUM images;
INSERT INTO images SELECT 10000 + j, random_embedding(j) FROM generate_series(1, 800) j;
DELETE FROM images WHERE id > 10000;
VACUUM images;
SELECT pg_relation_size('images_emb') AS after \gset
INSERT INTO images SELECT 10000 + j, random_embedding(j) FROM generate_series(1, 800) j;
SELECT pg_relation_size('images_emb') <= :after AS pages_are_used_again;
SELECT coop_index_check('images_emb'), differences('images', 24);
DELETE FROM images;
VACUUM images;
SELECT coop_index_check('images_emb'), (SELECT count(*) FROM (SELECT id FROM images ORDER BY emb <-> random_embedding(1) LIMIT 5) t);
INSERT INTO images SELECT i, random_embedding(i) FROM generate_series(1, 500) i;
REINDEX INDEX images_emb;
SELECT coop_index_check('images_emb'), differences('images', 8);
REINDEX INDEX CONCURRENTLY images_emb;
CREATE INDEX CONCURRENTLY images_again ON images USING coop (emb) WHERE id > 100;
SELECT coop_index_check('images_emb'), coop_index_check('images_again'), differences('images', 8), differences('images', 8, 'id > 100');

-- Rows without an embedding come last, as in a sequential scan, and only if the query gets that far.
CREATE TABLE pending (id int, emb coopvec);
CREATE INDEX pending_emb ON pending USING coop (emb) WITH (tail_rows = 64);
INSERT INTO pending SELECT i, NULL FROM generate_series(1, 3000) i;
SELECT coop_index_check('pending_emb'), (SELECT count(*) FROM (SELECT id FROM pending ORDER BY emb <-> random_embedding(1)) t);
UPDATE pending SET emb = random_embedding(id) WHERE id % 2 = 0;
SELECT coop_index_check('pending_emb'), differences('pending', 8, 'true', 5000);
DELETE FROM pending WHERE id % 5 = 1;
VACUUM pending;
SELECT coop_index_check('pending_emb'), differences('pending', 8, 'true', 5000);
SELECT pg_relation_size('pending_emb') AS before \gset
INSERT INTO pending SELECT i, NULL FROM generate_series(1, 1500) i;
SELECT coop_index_check('pending_emb'), differences('pending', 8, 'true', 5000), pg_relation_size('pending_emb') = :before AS pages_are_used_again;
REINDEX INDEX pending_emb;
SELECT coop_index_check('pending_emb'), differences('pending', 8, 'true', 5000);

-- An index on an empty table: the first row determines the model, the first full tail the quantizer.
CREATE TABLE fresh (id int, emb coopvec);
CREATE INDEX fresh_emb ON fresh USING coop (emb) WITH (tail_rows = 64);
SELECT coop_index_check('fresh_emb'), (SELECT count(*) FROM (SELECT id FROM fresh ORDER BY emb <-> random_embedding(1) LIMIT 5) t);
INSERT INTO fresh SELECT i, random_embedding(i) FROM generate_series(1, 30) i;
SELECT coop_index_check('fresh_emb'), differences('fresh', 8);
INSERT INTO fresh SELECT i, random_embedding(i) FROM generate_series(31, 2000) i;
SELECT coop_index_check('fresh_emb'), differences('fresh', 24);
TRUNCATE fresh;
SELECT coop_index_check('fresh_emb'), (SELECT count(*) FROM (SELECT id FROM fresh ORDER BY emb <-> random_embedding(1) LIMIT 5) t);

-- Queries over four or more subspaces may be answered approximately; every row is still returned, and only once.
CREATE TABLE wide AS SELECT i AS id, random_embedding(i, 6, 5) AS emb FROM generate_series(1, 1500) i;
CREATE INDEX wide_emb ON wide USING coop (emb) WITH (tail_rows = 100);
SET coopembed.probes = 50;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM wide ORDER BY emb <-> random_embedding(7, 6, 5) LIMIT 2000) t;
SELECT id FROM wide ORDER BY emb <-> random_embedding(7, 6, 5) LIMIT 1;
SELECT rows_bounded = rows_refined AS only_those_refined FROM coop_last_scan();
SET coopembed.probes = -1;
RESET coopembed.probes;

-- A page found through its remembered buffer counts as a hit in the statistics like any other.
CREATE FUNCTION pages_read(run int, OUT by_query bigint, OUT of_index bigint) LANGUAGE plpgsql AS $$
DECLARE plan json; before bigint := pg_stat_get_xact_blocks_hit('wide_emb'::regclass);
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, TIMING off, FORMAT JSON) SELECT id FROM wide ORDER BY emb <-> random_embedding(7, 6, 5) LIMIT 5' INTO plan;
    by_query := plan #>> '{0,Plan,Shared Hit Blocks}';
    of_index := pg_stat_get_xact_blocks_hit('wide_emb'::regclass) - before;
END $$;
REINDEX INDEX wide_emb; -- forgets the remembered buffers
SELECT DISTINCT by_query > 20 AND by_query - of_index BETWEEN 0 AND 20 AS plausible, dense_rank() OVER (ORDER BY by_query, of_index) AS different
FROM generate_series(1, 3) run, pages_read(run);

-- Unlogged, temporary, partitioned.
CREATE UNLOGGED TABLE fast (emb coopvec);
CREATE INDEX fast_emb ON fast USING coop (emb);
INSERT INTO fast SELECT random_embedding(i) FROM generate_series(1, 100) i;
CREATE TEMP TABLE mine AS SELECT random_embedding(i) AS emb FROM generate_series(1, 600) i;
CREATE INDEX mine_emb ON mine USING coop (emb) WITH (tail_rows = 64);
CREATE TABLE parts (id int, emb coopvec) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (400);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (400) TO (1000);
INSERT INTO parts SELECT i, random_embedding(i) FROM generate_series(1, 900) i;
CREATE INDEX parts_emb ON parts USING coop (emb) WITH (tail_rows = 64);
SELECT coop_index_check('fast_emb'), coop_index_check('mine_emb'), coop_index_check('parts_1_emb_idx'), differences('fast', 8), differences('mine', 8), differences('parts', 8);

-- Errors.
INSERT INTO images VALUES (0, random_embedding(1, 3, 4, '0000002b'));
INSERT INTO images VALUES (0, random_embedding(1, 2, 4));
SELECT id FROM images ORDER BY emb <-> random_embedding(1, 3, 4, '0000002b') LIMIT 1;
CREATE TABLE mixed AS SELECT random_embedding(1) AS emb UNION ALL SELECT random_embedding(1, 3, 4, '0000002b');
CREATE INDEX ON mixed USING coop (emb);
CREATE TABLE huge AS SELECT format('4073x1@0000002a:[%s]', string_agg('1', ','))::coopvec AS emb FROM generate_series(1, 4073);
CREATE INDEX ON huge USING coop (emb);
CREATE INDEX ON images USING coop (emb) WITH (tail_rows = 1);
CREATE INDEX ON images USING coop (emb, emb);
CREATE UNIQUE INDEX ON images USING coop (emb);
CREATE INDEX ON images USING coop (id);
SELECT coop_index_check('images_pkey');
SELECT coop_index_check('images');
