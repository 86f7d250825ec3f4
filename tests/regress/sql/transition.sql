-- Transitions: paths through the graph of nearest neighbours, and stored graphs.
\set SHOW_CONTEXT never
-- Points in a plane, in two clusters with a gap of 5 between them: 1 (0,0), 2 (1,0), 3 (2,1), 4 (3,3); 5 (7,6), 6 (8,6), 7 (8,7). The
-- second subspace is the same for all. Rows without an id or an embedding are left out.
CREATE TABLE shop (id int, kind text, emb coopvec);
INSERT INTO shop VALUES (1, 'a', '2x2@0000002a:[0,0,1,0]'), (2, 'a', '2x2@0000002a:[1,0,1,0]'), (3, 'a', '2x2@0000002a:[2,1,1,0]'),
    (4, 'a', '2x2@0000002a:[3,3,1,0]'), (5, 'b', '2x2@0000002a:[7,6,1,0]'), (6, 'b', '2x2@0000002a:[8,6,1,0]'),
    (7, 'b', '2x2@0000002a:[8,7,1,0]'), (8, 'b', NULL), (NULL, 'b', '2x2@0000002a:[9,7,1,0]');
-- The third neighbour of 5, 6 and 7 is 4, and so is that of 1. So the path is sqrt(9 + 9), then sqrt(25 + 16) over the gap, along an
-- edge that only the list of 7 has.
SELECT * FROM coop_transition('shop', 'id', 'emb', 1, 7, k => 3);
SELECT * FROM coop_transition('shop', 'id', 'emb', 7, 1, k => 3);
-- With k = 5 the fourth neighbour of 1 is 5: sqrt(85) + sqrt(2) is less than sqrt(18) + sqrt(41).
SELECT string_agg(id::text, ' ' ORDER BY step) AS path, sum(distance), sqrt(85) + sqrt(2) AS by_hand FROM coop_transition('shop', 'id', 'emb', 1, 7);
SELECT * FROM coop_transition('shop', 'id', 'emb', 2, 2);
-- With k = 2 no path leads over the gap.
SELECT * FROM coop_transition('shop', 'id', 'emb', 1, 7, k => 2);
-- To the target of a query, in all subspaces in which it has a weight, however large; the last row has no id.
SELECT * FROM coop_transition_to('shop', 'id', 'emb', 1, '2x2@0000002a:[7.25,6,1,0]'::coopvec::coopquery, k => 3);
SELECT * FROM coop_transition_to('shop', 'id', 'emb', 1, 4 * '2x2@0000002a:[7.25,6,1,0]'::coopvec::coopquery, k => 3);
SELECT * FROM coop_transition_to('shop', 'id', 'emb', 5, '2x2@0000002a:[7.25,6,1,0]'::coopvec::coopquery, k => 1);
-- In one attribute of a model: 3 is changed, and the others are at distance 0 from each other.
INSERT INTO coopembed.models (name, digest, subspaces, subspace_dim, config)
    VALUES ('garments', decode('0000002a' || repeat('00', 28), 'hex'), 2, 2, '{}');
INSERT INTO coopembed.attributes VALUES ('garments', 1, 'place', false), ('garments', 2, 'turn', false);
INSERT INTO coopembed.attribute_values VALUES ('garments', 2, 1, 'up', 5, '2x2@0000002a:{0;1:1*[0,1]}');
UPDATE shop SET emb = '2x2@0000002a:[2,1,0,1]' WHERE id = 3;
SELECT step, id, round(distance::numeric, 3) AS distance, is_crossing FROM coop_transition('shop', 'id', 'emb', 1, 3, 'turn', 6);
SELECT step, id, round(distance::numeric, 3) AS distance, is_crossing FROM coop_transition('shop', 'id', 'emb', 1, 3, 'place', 3);
SELECT step, id, round(distance::numeric, 3) AS distance, is_crossing FROM coop_transition_to('shop', 'id', 'emb', 3, coop_attr_query('turn', 'up'));
SELECT step, id FROM coop_transition_to('shop', 'id', 'emb', 1, coop_attr_query('turn', 'up'), k => 6);
SELECT step, id FROM coop_transition_to('shop', 'id', 'emb', 1, coop_attr_query('turn', 'up'), 'turn', 6);
SELECT * FROM coop_transition_to('shop', 'id', 'emb', 1, coop_attr_query('turn', 'up'), 'place');
-- NULL arguments give no rows.
SELECT * FROM coop_transition(NULL, 'id', 'emb', 1, 2);
SELECT * FROM coop_transition('shop', 'id', 'emb', 1, NULL);
SELECT * FROM coop_transition_to('shop', 'id', 'emb', 1, NULL);
-- Errors.
SELECT * FROM coop_transition('shop', 'id', 'emb', 1, 99);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM coop_transition('shop', 'id', 'emb', 1, 8);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM coop_transition('shop', 'id', 'emb', 1, 2, k => 0);
SELECT * FROM coop_transition('shop', 'id', 'emb', 1, 2, k => 1001);
SELECT * FROM coop_transition('shop', 'id', 'emb', 1, 2, k => NULL);
SELECT * FROM coop_transition('shop', 'id', 'emb', 1, 2, 'trun');
SELECT * FROM coop_transition('shop', 'nr', 'emb', 1, 2);
SELECT * FROM coop_transition('shop', 'id', 'kind', 1, 2);
SELECT * FROM coop_transition('shop', 'id', 'emb', 'one', 'two');
SELECT * FROM coop_transition('shop', 'kind', 'emb', 'a', 'b');
SELECT * FROM coop_transition('shop', 'id', 'emb', 1, 2, graph => 'shop');
INSERT INTO shop VALUES (2, 'c', '2x2@0000002a:[1,0,1,0]');
SELECT * FROM coop_transition('shop', 'id', 'emb', 1, 3);
CALL coop_build_knn('shop', 'id', 'emb', 'shop_knn');
DELETE FROM shop WHERE kind = 'c';

-- A stored graph is used without being named, for its k and smaller ones.
CALL coop_build_knn('shop', 'id', 'emb', 'shop_knn', 3);
SELECT id, neighbours, distances FROM shop_knn ORDER BY id;
SELECT * FROM coop_knn_graphs();
SELECT string_agg(id::text, ' ' ORDER BY step) AS path FROM coop_transition('shop', 'id', 'emb', 1, 7, k => 3);
SELECT string_agg(id::text, ' ' ORDER BY step) AS path FROM coop_transition('shop', 'id', 'emb', 1, 7, k => 3, graph => 'shop_knn');
SELECT * FROM coop_transition('shop', 'id', 'emb', 1, 7, k => 2);
SELECT * FROM coop_transition('shop', 'id', 'emb', 1, 7, k => 5, graph => 'shop_knn');
-- A wrong distance in the stored graph shows that it is the one used.
UPDATE shop_knn SET distances = distances[:2] || 2.5::double precision WHERE id = 5;
SELECT distance FROM coop_transition('shop', 'id', 'emb', 1, 7, k => 3) WHERE is_crossing;
UPDATE shop_knn SET distances = distances[:2] || 'NaN'::double precision WHERE id = 5;
SELECT distance FROM coop_transition('shop', 'id', 'emb', 1, 7, k => 3) WHERE is_crossing;
-- After rows were inserted, deleted and updated a NOTICE says so; new rows are left out, except at the ends of a path, until a refresh.
DROP TABLE shop_knn;
CALL coop_build_knn('shop', 'id', 'emb', 'shop_knn', 3);
INSERT INTO shop VALUES (10, 'b', '2x2@0000002a:[5,5,1,0]');
UPDATE shop SET emb = '2x2@0000002a:[2,1,1,0]' WHERE id = 3;
DELETE FROM shop WHERE id = 2;
SET client_min_messages = notice;
SELECT string_agg(id::text, ' ' ORDER BY step) AS path FROM coop_transition('shop', 'id', 'emb', 1, 7, k => 3);
SELECT string_agg(id::text, ' ' ORDER BY step) AS path FROM coop_transition('shop', 'id', 'emb', 10, 7, k => 3);
CALL coop_build_knn('shop', 'id', 'emb', 'shop_knn', 3);
SELECT id, neighbours, distances FROM shop_knn ORDER BY id;
SELECT string_agg(id::text, ' ' ORDER BY step) AS path FROM coop_transition('shop', 'id', 'emb', 1, 7, k => 3);
SET client_min_messages = warning;
-- A name refers to one graph.
CALL coop_build_knn('shop', 'id', 'emb', 'shop_knn', 3, 'turn');
CALL coop_build_knn('shop', 'id', 'emb', 'shop', 3);
CALL coop_build_knn('shop', 'id', 'emb', 'shop_turn', 0);
CALL coop_build_knn('shop', 'id', 'emb', NULL);
CALL coop_build_knn(NULL, 'id', 'emb', 'shop_turn');
CALL coop_build_knn('shop', NULL, 'emb', 'shop_turn');
BEGIN;
CALL coop_build_knn('shop', 'id', 'emb', 'shop_knn', 3);
ROLLBACK;
CALL coop_build_knn('shop', 'id', 'emb', 'shop_turn', 3, 'trun');
UPDATE shop SET emb = '2x2@0000002a:[2,1,0,1]' WHERE id = 3;
CALL coop_build_knn('shop', 'id', 'emb', 'shop_turn', 3, 'turn');
UPDATE shop SET emb = '2x2@0000002a:[2,1,1,0]' WHERE id = 3;
SELECT id, round(distances[3]::numeric, 3) FROM shop_turn ORDER BY id;
SELECT graph, relation, k, attribute, images, waiting FROM coop_knn_graphs();

-- Ids of other types, quoted names, views and partitioned tables.
CREATE SCHEMA "Big Shop";
CREATE TABLE "Big Shop"."the rows" ("The Id" uuid, "the emb" coopvec) PARTITION BY HASH ("The Id");
CREATE TABLE "Big Shop".part0 PARTITION OF "Big Shop"."the rows" FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE "Big Shop".part1 PARTITION OF "Big Shop"."the rows" FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO "Big Shop"."the rows" SELECT lpad(id::text, 32, '0')::uuid, emb FROM shop;
CREATE INDEX ON "Big Shop"."the rows" USING coop ("the emb");
CALL coop_build_knn('"Big Shop"."the rows"', 'The Id', 'the emb', '"Big Shop"."its graph"', 3);
SELECT right(id::text, 2) AS id, is_crossing FROM coop_transition('"Big Shop"."the rows"', 'The Id', 'the emb', lpad('1', 32, '0')::uuid, lpad('7', 32, '0')::uuid, k => 3);
CREATE VIEW only_a AS SELECT 'nr ''' || id || '%' AS name, emb FROM shop WHERE kind = 'a';
SELECT id FROM coop_transition('only_a', 'name', 'emb', 'nr ''1%', 'nr ''4%');
CALL coop_build_knn('only_a', 'name', 'emb', 'a_knn', 2);
SELECT pg_typeof(id), neighbours FROM a_knn ORDER BY id LIMIT 1;
SELECT id FROM coop_transition('only_a', 'name', 'emb', 'nr ''1%', 'nr ''4%', k => 2);
SELECT pg_typeof(id) FROM coop_transition('shop', 'id', 'emb', 1::bigint, 1);

-- The caller needs the right to read the table, and paths lead only through rows that the caller may see; building a graph takes the
-- right to create tables.
CREATE ROLE shopper;
GRANT CREATE ON SCHEMA public TO shopper;
SET ROLE shopper;
SELECT * FROM coop_transition('shop', 'id', 'emb', 1, 7);
RESET ROLE;
GRANT SELECT ON shop TO shopper;
ALTER TABLE shop ENABLE ROW LEVEL SECURITY;
CREATE POLICY no_ten ON shop TO shopper USING (id <> 10);
SET ROLE shopper;
-- First without the right to read shop_knn, then with it; either way the path does not lead through 10.
SELECT string_agg(id::text, ' ' ORDER BY step) AS path FROM coop_transition('shop', 'id', 'emb', 1, 7, k => 3);
SELECT graph, images FROM coop_knn_graphs() WHERE relation = 'shop'::regclass;
RESET ROLE;
GRANT SELECT ON shop_knn TO shopper;
SET ROLE shopper;
SET client_min_messages = notice;
SELECT string_agg(id::text, ' ' ORDER BY step) AS path FROM coop_transition('shop', 'id', 'emb', 1, 7, k => 3);
SET client_min_messages = warning;
SELECT id FROM coop_transition('shop', 'id', 'emb', 1, 10, k => 3);
-- A user's own graph is used for that user only.
CALL coop_build_knn('shop', 'id', 'emb', 'mine', 3);
SELECT count(*) FROM mine;
INSERT INTO coopembed.knn_graphs VALUES ('shop', 'shop', 'id', 'emb', 3, NULL);
DELETE FROM coopembed.knn_graphs WHERE graph = 'shop_knn'::regclass;
SELECT coopembed.kept_graph('shop', 'id', 'emb', 3, NULL);
RESET ROLE;
SELECT coopembed.kept_graph('shop', 'id', 'emb', 3, NULL);
ALTER TABLE shop DISABLE ROW LEVEL SECURITY;
DROP TABLE mine;
DROP POLICY no_ten ON shop;
REVOKE ALL ON shop, shop_knn FROM shopper;
REVOKE CREATE ON SCHEMA public FROM shopper;
DROP ROLE shopper;
-- The next build removes dropped graphs from the list.
DROP TABLE shop_turn;
SELECT count(*) FROM coop_knn_graphs() WHERE relation = 'shop'::regclass;
CALL coop_build_knn('shop', 'id', 'emb', 'shop_knn', 3);
SELECT count(*) FROM coopembed.knn_graphs WHERE relation = 'shop'::regclass;

-- The search_path does not matter.
CREATE SCHEMA evil;
CREATE FUNCTION evil.count(text) RETURNS bigint LANGUAGE sql AS 'SELECT 1/0';
CREATE FUNCTION evil.more(bigint, integer) RETURNS boolean LANGUAGE sql AS 'SELECT 1/0 = 1';
CREATE OPERATOR evil.> (LEFTARG = bigint, RIGHTARG = integer, FUNCTION = evil.more);
SET search_path = evil, public, pg_catalog;
SELECT count(*) FROM public.coop_transition('public.shop', 'id', 'emb', 1, 7, k => 3);
CALL public.coop_build_knn('public.shop', 'id', 'emb', 'public.shop_knn', 3);
RESET search_path;
DROP SCHEMA evil CASCADE;

-- Lists of neighbours, of each row and of stored graphs, come from the index if the table is large enough.
CREATE TABLE drawings (id int PRIMARY KEY, emb coopvec);
INSERT INTO drawings SELECT i, format('2x20@0000002a:[%s]', (
    SELECT string_agg(round((hashint4(i * 40 + j) / 2147483648.0)::numeric, 3)::text, ',') FROM generate_series(1, 40) j))::coopvec
    FROM generate_series(1, 5000) i;
CREATE INDEX drawings_emb ON drawings USING coop (emb);
ANALYZE drawings;
EXPLAIN (COSTS off) SELECT a.id, b.id FROM drawings a, LATERAL (SELECT id FROM drawings b WHERE b.id <> a.id ORDER BY b.emb <-> a.emb LIMIT 5) b;
-- A NOTICE says that a large table has no stored graph.
UPDATE pg_class SET reltuples = 30000 WHERE oid = 'shop'::regclass;
SET client_min_messages = notice;
SELECT count(*) FROM coop_transition('shop', 'id', 'emb', 1, 7, k => 6);
SET client_min_messages = warning;
DROP TABLE shop, "Big Shop"."the rows", shop_knn, a_knn, drawings CASCADE;
DROP SCHEMA "Big Shop" CASCADE;
DELETE FROM coopembed.attribute_values WHERE model = 'garments';
DELETE FROM coopembed.attributes WHERE model = 'garments';
DELETE FROM coopembed.models WHERE name = 'garments';
