-- Typicality and duplicates in a whole table, and measures of rankings.
\set SHOW_CONTEXT never
CREATE TABLE shop (id int, kind text, emb coopvec);
INSERT INTO shop VALUES
    (1, 'a', '2x2@0000002a:[1,0,1,0]'), (2, 'a', '2x2@0000002a:[1,0,0.8,0.6]'), (3, 'a', '2x2@0000002a:[0,1,0,1]'),
    (4, 'b', '2x2@0000002a:[-1,0,0,1]'), (5, 'b', '2x2@0000002a:[-1,0,0,1]'), (6, 'b', NULL), (7, NULL, '2x2@0000002a:[1,0,1,0]'),
    (NULL, 'b', '2x2@0000002a:[0,-1,0,1]');
-- The mean of a is (0.67, 0.33, 0.6, 0.53): 2 is nearest to it, 3 farthest. Rows without a label or an embedding are left out.
SELECT id, label, round(distance::numeric, 3) AS distance, rank FROM coop_typicality('shop', 'id', 'emb', 'kind');
SELECT id, other, round(distance::numeric, 3) AS distance FROM coop_duplicates('shop', 'id', 'emb', 0.64) ORDER BY 1, 2;
SELECT id, other FROM coop_duplicates('shop', 'id', 'emb', 0) ORDER BY 1, 2;
SELECT count(*) FROM coop_duplicates('shop', 'id', 'emb', NULL);
-- The same with an index, on a view and on a partitioned table.
CREATE TABLE "Big Shop" ("Id" int, kind text, "the emb" coopvec) PARTITION BY HASH ("Id");
CREATE TABLE part0 PARTITION OF "Big Shop" FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE part1 PARTITION OF "Big Shop" FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO "Big Shop" SELECT id, kind, emb FROM shop;
CREATE INDEX ON "Big Shop" USING coop ("the emb");
SELECT id, other FROM coop_duplicates('"Big Shop"', 'Id', 'the emb', 0.64) ORDER BY 1, 2;
SET enable_seqscan = off;
SELECT id, other FROM coop_duplicates('"Big Shop"', 'Id', 'the emb', 0.64) ORDER BY 1, 2;
RESET enable_seqscan;
CREATE VIEW only_a AS SELECT * FROM shop WHERE kind = 'a';
SELECT id, other FROM coop_duplicates('only_a', 'id', 'emb', 0.64);
SELECT id, rank FROM coop_typicality('only_a', 'id', 'emb', 'kind');
-- The caller needs the right to read the table, and row-level security applies.
CREATE ROLE shopper;
SET ROLE shopper;
SELECT count(*) FROM coop_duplicates('shop', 'id', 'emb', 1);
RESET ROLE;
GRANT SELECT ON shop TO shopper;
ALTER TABLE shop ENABLE ROW LEVEL SECURITY;
CREATE POLICY only_b ON shop TO shopper USING (kind = 'b');
SET ROLE shopper;
SELECT id, other FROM coop_duplicates('shop', 'id', 'emb', 1);
RESET ROLE;
DROP POLICY only_b ON shop;
ALTER TABLE shop DISABLE ROW LEVEL SECURITY;
REVOKE ALL ON shop FROM shopper;
-- NULL arguments give no rows.
SELECT count(*) FROM coop_typicality(NULL, 'id', 'emb', 'kind');
SELECT count(*) FROM coop_typicality('shop', NULL, 'emb', 'kind');
SELECT count(*) FROM coop_typicality('shop', 'id', NULL, 'kind');
SELECT count(*) FROM coop_typicality('shop', 'id', 'emb', NULL);
SELECT count(*) FROM coop_duplicates(NULL, 'id', 'emb', 1);
SELECT count(*) FROM coop_duplicates('shop', NULL, 'emb', 1);
SELECT count(*) FROM coop_duplicates('shop', 'id', NULL, 1);
SELECT coop_average_precision(NULL) AS ap, coop_recall_at(NULL, 1) AS r1, coop_recall_at(true, NULL) AS of_null FROM shop;
-- A user with no right but SELECT, on a partitioned and on a foreign table.
CREATE EXTENSION file_fdw;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
SELECT current_setting('data_directory') || '/shop.csv' AS file \gset
COPY shop TO :'file' (FORMAT csv);
CREATE FOREIGN TABLE abroad (id int, kind text, emb coopvec) SERVER files OPTIONS (filename :'file', format 'csv');
GRANT SELECT ON abroad, "Big Shop" TO shopper;
SET ROLE shopper;
SELECT id, other FROM coop_duplicates('abroad', 'id', 'emb', 0) ORDER BY 1, 2;
SELECT id, rank FROM coop_typicality('abroad', 'id', 'emb', 'kind') WHERE label = 'a';
SELECT string_agg(id::text, ' ' ORDER BY step) AS path FROM coop_transition('abroad', 'id', 'emb', 1, 3);
SELECT id, other FROM coop_duplicates('"Big Shop"', 'Id', 'the emb', 0) ORDER BY 1, 2;
SELECT id, rank FROM coop_typicality('"Big Shop"', 'Id', 'the emb', 'kind') WHERE label = 'a';
SELECT string_agg(id::text, ' ' ORDER BY step) AS path FROM coop_transition('"Big Shop"', 'Id', 'the emb', 1, 3);
SELECT coop_average_precision(kind = 'b' ORDER BY id) > 0 AS ap, coop_recall_at(kind = 'b', 9 ORDER BY id) AS r9 FROM abroad;
RESET ROLE;
DROP EXTENSION file_fdw CASCADE;
REVOKE ALL ON "Big Shop" FROM shopper;
DROP ROLE shopper;
-- Errors.
SELECT * FROM coop_duplicates('shop', 'id', 'em', 1);
SELECT * FROM coop_duplicates('shop', 'id', 'kind', 1);
SELECT * FROM coop_duplicates('pg_class', 'oid', 'relname', 1);
SELECT * FROM coop_duplicates('shop', 'nr', 'emb', 1);
SELECT * FROM coop_duplicates('shop', 'id', 'emb', -1);
SELECT * FROM coop_duplicates('shop', 'id', 'emb', 'NaN');
SELECT * FROM coop_typicality('shop', 'id', 'emb', 'kind"; DROP TABLE shop; --');
-- What finds the pairs takes a query of an id and an embedding, in FROM.
SELECT count(*) FROM coopembed.pairs_within('SELECT id::text, emb FROM shop', 0, NULL);
SELECT count(*) FROM coopembed.pairs_within(NULL, 0, NULL);
SELECT count(*) FROM coopembed.pairs_within('SELECT 1, 2', 0, NULL);
SELECT count(*) FROM coopembed.pairs_within('SELECT 1::text', 0, NULL);
SELECT count(*) FROM coopembed.pairs_within('DELETE FROM shop', 0, NULL);
SELECT count(*) FROM coopembed.pairs_within('SELECT', 0, NULL);
SELECT coopembed.pairs_within('SELECT id::text, emb FROM shop', 0, NULL) LIMIT 0;
SELECT * FROM coopembed.pairs_within($$SELECT i::text, CASE i WHEN 1 THEN '1x2@00000001:[1,0]' ELSE '1x2@00000002:[1,0]' END::coopvec FROM generate_series(1, 2) i$$, 0, NULL);
-- More rows than have room in memory, some of them in groups: the pairs are those of all rows against all.
CREATE TABLE "many rows" AS SELECT i AS id, ('4x40@0000002a:[' || (SELECT string_agg(round((sin((i % g) * j) + 0.02 * sin(i * 7 + j))::numeric, 3)::text, ',')
    FROM generate_series(1, 160) j) || ']')::coopvec AS emb FROM generate_series(1, 2500) i, LATERAL (SELECT CASE WHEN i % 5 = 0 THEN 11 ELSE 1100 END) t (g);
SET work_mem = '64kB';
CREATE TEMP TABLE found AS SELECT id::int, other::int, distance FROM coop_duplicates('"many rows"', 'id', 'emb', 0.3);
RESET work_mem;
CREATE TEMP TABLE expected AS SELECT a.id, b.id AS other, a.emb <-> b.emb AS distance FROM "many rows" a JOIN "many rows" b
    ON a.emb <-> b.emb <= 0.3 AND a.id::text COLLATE "C" < b.id::text COLLATE "C";
SELECT count(*) > 1000 AS has_many FROM expected;
SELECT count(*) FROM found f FULL JOIN expected e ON f.id = e.id AND f.other = e.other AND f.distance = e.distance WHERE f.id IS NULL OR e.id IS NULL;
DROP TABLE "many rows", found, expected;
-- The search_path does not matter.
CREATE SCHEMA evil;
CREATE FUNCTION evil.rank() RETURNS bigint LANGUAGE sql AS 'SELECT 1/0';
SET search_path = evil, public;
SELECT count(*) FROM public.coop_typicality('public.shop', 'id', 'emb', 'kind');
RESET search_path;
DROP SCHEMA evil CASCADE;

-- Relevant rows at ranks 1, 3 and 6: (1/1 + 2/3 + 3/6) / 3 = 13/18. A row of unknown relevance does not count.
SELECT round(coop_average_precision(relevant ORDER BY d)::numeric, 6) AS ap, coop_recall_at(relevant, 1 ORDER BY d) AS r1
FROM (VALUES (1.0, true), (2.0, false), (2.5, NULL), (3.0, true), (4.0, false), (5.0, false), (6.0, true)) t (d, relevant);
SELECT coop_recall_at(relevant, 1 ORDER BY d) AS r1, coop_recall_at(relevant, 2 ORDER BY d) AS r2, coop_average_precision(relevant ORDER BY d) AS ap
FROM (VALUES (1, false), (2, true)) t (d, relevant);
SELECT coop_average_precision(relevant ORDER BY d) AS ap, coop_recall_at(relevant, 2 ORDER BY d) AS r2 FROM (VALUES (1, false), (2, NULL)) t (d, relevant);
SELECT coop_average_precision(true) AS ap FROM shop WHERE false;
SELECT round(coop_average_precision(kind = 'b' ORDER BY emb <-> '2x2@0000002a:{0;0:1*[-1,0]}'::coopquery, id)::numeric, 3) AS ap FROM shop;
DROP TABLE shop, "Big Shop" CASCADE;
