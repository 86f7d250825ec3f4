-- coop_search(), with local partitions only; the scripts in tests/shards/ have them on several servers.
\set SHOW_CONTEXT never
CREATE SCHEMA "Shop";
CREATE TABLE "Shop"."Pieces" (id int, "the Name" text, gone int, emb coopvec, price numeric) PARTITION BY LIST (price);
CREATE TABLE "Shop".cheap PARTITION OF "Shop"."Pieces" FOR VALUES IN (1, 2);
-- A partition with its columns in another order, and one that is partitioned itself.
CREATE TABLE "Shop"."de""ar" (price numeric, x int, emb coopvec, gone int, id int, "the Name" text);
ALTER TABLE "Shop"."de""ar" DROP COLUMN x;
ALTER TABLE "Shop"."Pieces" ATTACH PARTITION "Shop"."de""ar" FOR VALUES IN (3);
CREATE TABLE "Shop".rest PARTITION OF "Shop"."Pieces" DEFAULT PARTITION BY HASH (id);
CREATE TABLE "Shop".rest_0 PARTITION OF "Shop".rest FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE "Shop".rest_1 PARTITION OF "Shop".rest FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO "Shop"."Pieces" SELECT i, 'piece ' || i, 0, format('2x2@0000002a:[%s,0,1,0]', i)::coopvec, 1 + i % 5 FROM generate_series(1, 40) i;
INSERT INTO "Shop"."Pieces" VALUES (99, 'no image', 0, NULL, 2);
ALTER TABLE "Shop"."Pieces" DROP COLUMN gone;
CREATE INDEX ON "Shop"."Pieces" USING coop (emb);
SET search_path TO "Shop", public;

SELECT id, "the Name", price FROM coop_search(NULL::"Pieces", 'emb', '2x2@0000002a:{0;0:1*[20.2,0]}', 4);
-- Ten rows by default; rows without an embedding come last.
SELECT count(*), max(abs(id - 20.2)) FROM coop_search(NULL::"Pieces", 'emb', '2x2@0000002a:{0;0:1*[20.2,0]}');
SELECT count(*), (array_agg(id))[41] AS last FROM coop_search(NULL::"Pieces", 'emb', '2x2@0000002a:{0;0:1*[20.2,0]}', 100);
SELECT count(*) FROM coop_search(NULL::"Pieces", 'emb', '2x2@0000002a:{0;0:1*[20.2,0]}', 0);
SELECT count(*) FROM coop_search(NULL::"Pieces", 'emb', NULL);
-- The number of rows may be a bigint, an integer, a smallint or a parameter of no type.
SELECT count(*) FROM coop_search(NULL::"Pieces", 'emb', '2x2@0000002a:{0;0:1*[20.2,0]}', (SELECT count(*) FROM generate_series(1, 7)));
SELECT count(*) FROM coop_search(NULL::"Pieces", 'emb', '2x2@0000002a:{0;0:1*[20.2,0]}', 5::smallint);
PREPARE nearest AS SELECT count(*) FROM coop_search(NULL::"Pieces", 'emb', $1, $2);
EXECUTE nearest('2x2@0000002a:{0;0:1*[20.2,0]}', 6);
DEALLOCATE nearest;
-- Some of the columns, and the distance.
CREATE TYPE hit AS ("the Name" text, distance double precision, id int);
SELECT * FROM coop_search(NULL::hit, 'emb', '2x2@0000002a:{0;0:1*[20.25,0]}', 3, rel => '"Pieces"');
-- A filter that contains what is special to format(), and a comment.
SELECT * FROM coop_search(NULL::hit, 'emb', '2x2@0000002a:{0;0:1*[20.25,0]}', 3, '"Pieces".price = 3 AND id < 40 OR false -- %s $2', '"Pieces"');
SELECT * FROM coop_search(NULL::hit, 'emb', '2x2@0000002a:{0;0:1*[20.25,0]}', 3, format('"the Name" = %L', $$piece '7'$$), '"Pieces"');
-- A filter is read in the caller's search_path.
CREATE FUNCTION is_round(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT $1 % 10 = 0 $$;
SELECT * FROM coop_search(NULL::hit, 'emb', '2x2@0000002a:{0;0:1*[20.25,0]}', 3, 'is_round(id)', '"Pieces"');
-- The statement, and its plan.
SELECT coopembed.search_statement('hit', 'emb', 3, 'is_round(id) -- %', '"Pieces"') AS statement \gset
\echo :statement
PREPARE search(coopquery) AS :statement;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) EXECUTE search('2x2@0000002a:{0;0:1*[20.25,0]}');
RESET enable_seqscan;
-- A single partition, a partitioned partition, a view, a parent table with a child, and a partitioned table without partitions.
SELECT * FROM coop_search(NULL::hit, 'emb', '2x2@0000002a:{0;0:1*[20.25,0]}', 2, rel => '"de""ar"');
SELECT * FROM coop_search(NULL::hit, 'emb', '2x2@0000002a:{0;0:1*[20.25,0]}', 2, rel => 'rest');
CREATE VIEW round_ones AS SELECT id, "the Name", emb AS e FROM "Pieces" WHERE is_round(id);
SELECT id, "the Name" FROM coop_search(NULL::round_ones, 'e', '2x2@0000002a:{0;0:1*[20.25,0]}', 2, 'round_ones.id > 1');
CREATE TABLE parent (LIKE "Pieces");
CREATE TABLE child () INHERITS (parent);
INSERT INTO parent SELECT * FROM "Pieces" WHERE id = 3;
INSERT INTO child SELECT * FROM "Pieces" WHERE id = 4;
SELECT id FROM coop_search(NULL::parent, 'emb', '2x2@0000002a:{0;0:1*[20.2,0]}');
CREATE TABLE nothing (id int, emb coopvec) PARTITION BY LIST (id);
SELECT id FROM coop_search(NULL::nothing, 'emb', '2x2@0000002a:{0;0:1*[20.2,0]}');
-- A column "distance" of the table itself is returned as it is.
CREATE TABLE roads (id int, distance double precision, emb coopvec);
INSERT INTO roads VALUES (1, 17, '2x2@0000002a:[1,0,1,0]');
SELECT * FROM coop_search(NULL::roads, 'emb', '2x2@0000002a:{0;0:1*[20.2,0]}');

-- One hit per product, and variety. Products 1 to 3 have four images each, which are nearly the same; rows without a product count each.
CREATE TABLE images (id int, product text, emb coopvec);
INSERT INTO images SELECT i, CASE WHEN i <= 12 THEN 'P' || 1 + i % 3 END, format('2x2@0000002a:[%s,%s,0,1]', 20 + i % 3 + i / 100.0, CASE WHEN i = 14 THEN 8 ELSE 0 END)::coopvec FROM generate_series(1, 14) i;
INSERT INTO images VALUES (15, 'P1', NULL), (16, 'P9', NULL);
SELECT id, product FROM coop_search(NULL::images, 'emb', '2x2@0000002a:{0;0:1*[20.1,0]}', 4);
SELECT id, product FROM coop_search(NULL::images, 'emb', '2x2@0000002a:{0;0:1*[20.1,0]}', 4, distinct_on => 'product');
SELECT id, product FROM coop_search(NULL::images, 'emb', '2x2@0000002a:{0;0:1*[20.1,0]}', 100, 'id > 3 -- of them', distinct_on => 'product');
SELECT * FROM coop_search(NULL::hit, 'e', '2x2@0000002a:{0;0:1*[20.25,0]}', 2, rel => 'round_ones', distinct_on => 'the Name');
SELECT id, product FROM coop_search(NULL::images, 'emb', '2x2@0000002a:{0;0:1*[20.1,0]}', 3, diversity => 0.5);
SELECT id, product FROM coop_search(NULL::images, 'emb', '2x2@0000002a:{0;0:1*[20.1,0]}', 3, diversity => 0.5, distinct_on => 'product');
SELECT id FROM coop_search(NULL::images, 'emb', '2x2@0000002a:{0;0:1*[20.1,0]}', 100, diversity => 1) LIMIT 3;
SELECT count(*) FROM coop_search(NULL::images, 'emb', '2x2@0000002a:{0;0:1*[20.1,0]}', 9223372036854775807, distinct_on => 'product');
SELECT count(*) FROM coop_search(NULL::images, 'emb', '2x2@0000002a:{0;0:1*[20.1,0]}', 0, distinct_on => 'product', diversity => 0.5);
-- A product of 300 images that are all nearer than others: as many rows are read as it takes, and no more.
INSERT INTO images SELECT 100 + i, 'P0', format('2x2@0000002a:[%s,0,0,1]', 20.1 + i / 10000.0)::coopvec FROM generate_series(1, 300) i;
CREATE INDEX images_emb ON images USING coop (emb);
ANALYZE images;
SET enable_seqscan = off;
SELECT id, product FROM coop_search(NULL::images, 'emb', '2x2@0000002a:{0;0:1*[20.1,0]}', 2, distinct_on => 'product');
RESET enable_seqscan;
SELECT * FROM coop_search(NULL::images, 'emb', '2x2@0000002a:{0;0:1*[20.1,0]}', distinct_on => 'produkt');
SELECT * FROM coop_search(NULL::images, 'emb', '2x2@0000002a:{0;0:1*[20.1,0]}', diversity => 1.5);
SELECT * FROM coop_search(NULL::images, 'emb', '2x2@0000002a:{0;0:1*[20.1,0]}', diversity => 'NaN');
SELECT * FROM coop_search(NULL::images, 'emb', '2x2@0000002a:{0;0:1*[20.1,0]}', diversity => NULL);
-- Variety without the partitions whose servers are down: here there are none.
SELECT array_agg(id) FROM coop_search(NULL::images, 'emb', '2x2@0000002a:{0;0:1*[20.1,0]}', 3, distinct_on => 'product', skip_unreachable => true);
SELECT (SELECT array_agg(id) FROM coop_search(NULL::images, 'emb', '2x2@0000002a:{0;0:1*[20.1,0]}', 5, distinct_on => 'product', diversity => 0.5, skip_unreachable => true))
     = (SELECT array_agg(id) FROM coop_search(NULL::images, 'emb', '2x2@0000002a:{0;0:1*[20.1,0]}', 5, distinct_on => 'product', diversity => 0.5)) AS are_the_same;
DROP TABLE images;

-- The table's rights and policies apply: a user who may read the table, and not its partitions, gets the same rows.
CREATE ROLE clerk;
GRANT USAGE ON SCHEMA "Shop" TO clerk;
SET ROLE clerk;
SELECT id FROM coop_search(NULL::"Pieces", 'emb', '2x2@0000002a:{0;0:1*[20.2,0]}', 2);
RESET ROLE;
GRANT SELECT ON "Pieces" TO clerk;
SET ROLE clerk;
SELECT id FROM coop_search(NULL::"Pieces", 'emb', '2x2@0000002a:{0;0:1*[20.2,0]}', 2);
RESET ROLE;
GRANT SELECT ON cheap, "de""ar", rest, rest_0, rest_1 TO clerk;
CREATE POLICY even ON "Pieces" USING (id % 2 = 0);
ALTER TABLE "Pieces" ENABLE ROW LEVEL SECURITY;
SET ROLE clerk;
SELECT id FROM coop_search(NULL::"Pieces", 'emb', '2x2@0000002a:{0;0:1*[20.2,0]}', 3);
RESET ROLE;
-- A partition's policy does not apply when it is read through the table.
ALTER TABLE "Pieces" DISABLE ROW LEVEL SECURITY;
ALTER TABLE cheap ENABLE ROW LEVEL SECURITY;
SET ROLE clerk;
SELECT id FROM coop_search(NULL::"Pieces", 'emb', '2x2@0000002a:{0;0:1*[20.2,0]}', 3);
RESET ROLE;
ALTER TABLE cheap DISABLE ROW LEVEL SECURITY;

-- A local partition is never left out: not by a setting, as in version 0.2.0, and not by calling the internal function.
SELECT 'cheap'::regclass::oid || ',' || 'rest_1'::regclass::oid AS two \gset
SET coopembed.left_out = :'two';
SELECT array_agg(DISTINCT tableoid::regclass) FROM "Pieces";
SELECT count(*) FROM cheap;
SELECT count(*) FROM coop_search(NULL::"Pieces", 'emb', '2x2@0000002a:{0;0:1*[20.2,0]}', 100);
RESET coopembed.left_out;
SELECT count(*) FROM coop_search(NULL::"Pieces", 'emb', '2x2@0000002a:{0;0:1*[20.2,0]}', 100, skip_unreachable => true);
BEGIN;
SELECT coopembed.open_search('SELECT count(*) FROM "Pieces" WHERE $1 IS NOT NULL', '2x2@0000002a:{0;0:1*[20.2,0]}', ARRAY[:two]) AS nearest \gset
FETCH ALL FROM :"nearest";
ROLLBACK;
-- It opens a cursor only for a plain SELECT from a table.
SELECT coopembed.open_search('DELETE FROM "Pieces"', '2x2@0000002a:{0;0:1*[20.2,0]}', '{}');
SELECT coopembed.open_search('WITH d AS (DELETE FROM "Pieces" RETURNING id) SELECT id FROM d', '2x2@0000002a:{0;0:1*[20.2,0]}', '{}');
SELECT coopembed.open_search('SELECT 1; SELECT 2', '2x2@0000002a:{0;0:1*[20.2,0]}', '{}');
SELECT coopembed.open_search('VACUUM', '2x2@0000002a:{0;0:1*[20.2,0]}', '{}');
SELECT coopembed.open_search('SELECT 1', '2x2@0000002a:{0;0:1*[20.2,0]}', '{}');
-- A temporary table and a permanent one of the same name can both be searched, whichever comes first in the search_path.
CREATE TABLE public.things AS SELECT 1 AS id, '2x2@0000002a:[1,0,0,0]'::coopvec AS emb;
CREATE TEMP TABLE things AS SELECT 2 AS id, '2x2@0000002a:[2,0,0,0]'::coopvec AS emb;
SELECT id FROM coop_search(NULL::pg_temp.things, 'emb', '2x2@0000002a:{0;0:1*[20,0]}');
SELECT id FROM coop_search(NULL::public.things, 'emb', '2x2@0000002a:{0;0:1*[20,0]}');
SELECT current_setting('search_path') AS path \gset
SET search_path TO public, pg_temp;
SELECT id FROM coop_search(NULL::pg_temp.things, 'emb', '2x2@0000002a:{0;0:1*[20,0]}');
SELECT id FROM coop_search(NULL::public.things, 'emb', '2x2@0000002a:{0;0:1*[20,0]}');
SELECT t.id, u.id FROM coop_typicality('pg_temp.things', 'id', 'emb', 'id') t, coop_typicality('public.things', 'id', 'emb', 'id') u;
SELECT set_config('search_path', :'path', false) \g /dev/null
DROP TABLE pg_temp.things, public.things;

-- Errors.
SELECT * FROM coop_search(NULL::hit, 'emb', '2x2@0000002a:{0;0:1*[20,0]}');
SELECT * FROM coop_search(1, 'emb', '2x2@0000002a:{0;0:1*[20,0]}', rel => '"Pieces"');
CREATE TYPE other AS (id int, colour text, "sur""face" text);
SELECT * FROM coop_search(NULL::other, 'emb', '2x2@0000002a:{0;0:1*[20,0]}', rel => '"Pieces"');
SELECT * FROM coop_search(NULL::"Pieces", 'price', '2x2@0000002a:{0;0:1*[20,0]}');
SELECT * FROM coop_search(NULL::"Pieces", 'embedding', '2x2@0000002a:{0;0:1*[20,0]}');
SELECT * FROM coop_search(NULL::"Pieces", NULL, '2x2@0000002a:{0;0:1*[20,0]}');
SELECT * FROM coop_search(NULL::"Pieces", 'emb', '2x2@0000002a:{0;0:1*[20,0]}', -1);
SELECT * FROM coop_search(NULL::"Pieces", 'emb', '2x2@0000002a:{0;0:1*[20,0]}', NULL);
SELECT * FROM coop_search(NULL::"Pieces", 'emb', '2x2@0000002b:{0;0:1*[20,0]}');
CREATE TYPE odd AS (id text);
\set VERBOSITY terse
SELECT * FROM coop_search(NULL::odd, 'emb', '2x2@0000002a:{0;0:1*[20,0]}', rel => '"Pieces"');
\set VERBOSITY default
DROP OWNED BY clerk;
DROP ROLE clerk;
\set SHOW_CONTEXT errors
