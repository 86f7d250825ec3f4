-- Embeddings as clients without a type of their own for them send and read them: arrays of any numbers, bare lists, JSON, and columns that
-- take one number of dimensions.
\set dir `echo "$REGRESS_DIR"`
\set emoji :dir '/../emoji'

-- A column refuses what does not belong.
CREATE TABLE small (id int PRIMARY KEY, emb coopvec(4), list coopvec(4)[]);
\d small
INSERT INTO small VALUES (1, '2x2@0000002a:[1,0,0,1]', '{"2x2@0000002a:[1,0,0,1]",NULL}');
INSERT INTO small VALUES (2, '1x2@0000002a:[1,0]');
INSERT INTO small VALUES (2, NULL, '{"1x2@0000002a:[1,0]"}');
INSERT INTO small SELECT 2, emb FROM (SELECT '1x2@0000002a:[1,0]'::coopvec AS emb) t;
UPDATE small SET list = ARRAY['1x2@0000002a:[1,0]'::coopvec];
COPY small FROM stdin;
3	1x2@0000002a:[1,0]	\N
\.
COPY small FROM stdin;
3	4x1@0000002a:[1,0,0,1]	{"4x1@0000002a:[1,0,0,1]"}
\.
SELECT '2x2@0000002a:[1,0,0,1]'::coopvec(3);
SELECT '2x2@0000002a:[1,0,0,1]'::coopvec(4)::coopvec(3)::coopvec;
SELECT NULL::coopvec(3) IS NULL AS nothing;
CREATE DOMAIN tiny AS coopvec(2) CHECK (VALUE <> '1x2@0000002a:[0,0]');
SELECT '1x2@0000002a:[1,0]'::tiny, '1x2@0000002a:[1,0]'::coopvec::tiny;
SELECT '2x2@0000002a:[1,0,0,1]'::tiny;
SELECT '2x2@0000002a:[1,0,0,1]'::coopvec::tiny;
CREATE TABLE wide (a coopvec(0));
CREATE TABLE wide (a coopvec(16385));
CREATE TABLE wide (a coopvec(4, 4));
CREATE TABLE wide (a coopvec(many));
CREATE TABLE wide (a coopvec(16384));
ALTER TABLE small ALTER emb TYPE coopvec(2);
ALTER TABLE small ALTER emb TYPE coopvec;
INSERT INTO small VALUES (5, '1x2@0000002a:[1,0]');
ALTER TABLE small ALTER emb TYPE coopvec(4);
DELETE FROM small WHERE id = 5;
ALTER TABLE small ALTER emb TYPE coopvec(4);
DELETE FROM small WHERE id = 3;
CREATE INDEX small_emb ON small USING coop (emb);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM small ORDER BY emb <-> '2x2@0000002a:[1,0,0,1]' LIMIT 1;
SELECT id FROM small ORDER BY emb <-> '2x2@0000002a:[1,0,0,1]' LIMIT 1;
RESET enable_seqscan;
DROP TABLE small, wide;

-- Without a model that can be told, bare numbers are an error.
SELECT '[1,0,0,1]'::coopvec;
SELECT coop_load_model('emoji', :'emoji') <> '' AS loaded;
CREATE TABLE numbers AS SELECT array_agg((i % 5)::real) AS r, array_agg((i % 5)::double precision) AS d, array_agg((i % 5)::numeric) AS n,
    array_agg(i % 5) AS i, array_agg((i % 5)::smallint) AS s, array_agg((i % 5)::bigint) AS b,
    '[' || string_agg((i % 5)::text, ',') || ']' AS list FROM generate_series(1, 650) i;
CREATE TABLE gallery (id int GENERATED ALWAYS AS IDENTITY, emb coopvec(650));
INSERT INTO gallery (emb) SELECT r FROM numbers;
INSERT INTO gallery (emb) SELECT d FROM numbers;
INSERT INTO gallery (emb) SELECT n FROM numbers;
INSERT INTO gallery (emb) SELECT i FROM numbers;
INSERT INTO gallery (emb) SELECT s FROM numbers;
INSERT INTO gallery (emb) SELECT b FROM numbers;
INSERT INTO gallery (emb) SELECT list::coopvec FROM numbers;
SELECT list FROM numbers \gset
INSERT INTO gallery (emb) VALUES (:'list');
SELECT count(*), count(DISTINCT emb) AS different, min(coop_model(emb)) AS model FROM gallery;
SELECT count(*) FROM gallery, numbers WHERE emb::real[] = r AND emb::double precision[] = d AND emb::numeric[] = n AND emb::jsonb = to_jsonb(i)
    AND emb::jsonb::json::text::coopvec = emb AND emb = r::coopvec AND emb = d::coopvec AND emb = n::coopvec AND emb = i::coopvec
    AND emb = coop_vector(r) AND emb = coop_vector(n, 'emoji') AND emb = coop_vector(i) AND emb = coop_vector(b, 'emoji');
-- What is stored or written out names its model, so that it can be read where there is none.
ALTER TABLE gallery ALTER emb SET DEFAULT :'list';
SELECT left(pg_get_expr(adbin, adrelid), 6) AS default FROM pg_attrdef WHERE adrelid = 'gallery'::regclass AND adnum = 2;
SELECT coop_vector('{1,2,3}');
INSERT INTO gallery (emb) VALUES (ARRAY[0.1, 0.2]);
INSERT INTO gallery (emb) VALUES ('[0.1, 0.2]');
INSERT INTO gallery (emb) VALUES ('{0.1,0.2}');
INSERT INTO gallery (emb) VALUES ('0.1, 0.2');
SELECT '[0.1, 0.2'::coopvec;
SELECT coop_vector(ARRAY[1e6, NULL]);
SELECT array_fill('NaN'::double precision, ARRAY[650])::coopvec;
INSERT INTO gallery (emb) SELECT emb FROM numbers, LATERAL (SELECT i AS emb) t;

-- A distance to an array uses the index, and makes its embedding once.
INSERT INTO gallery (emb) SELECT array_fill(i / 1000.0, ARRAY[650]) FROM generate_series(1, 300) i;
CREATE INDEX gallery_emb ON gallery USING coop (emb);
CREATE FUNCTION plan_of(ask text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    SET LOCAL enable_seqscan = off;
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || ask LOOP
        RETURN NEXT replace(replace(line, ' (returns $0)', ''), '$0', '(InitPlan 1).col1');
    END LOOP;
END $$;
SELECT type, plan_of FROM (VALUES ('double precision[]'), ('real[]'), ('numeric[]'), ('integer[]')) types(type),
    plan_of(format('SELECT id FROM gallery ORDER BY emb <-> array_fill(1, ARRAY[650])::%s LIMIT 5', type));
SELECT plan_of('SELECT id FROM gallery ORDER BY ARRAY[0.1, 0.2] <-> emb LIMIT 5');
SET plan_cache_mode = force_generic_plan;
PREPARE by_doubles(double precision[]) AS SELECT id FROM gallery ORDER BY emb <-> $1 LIMIT 5;
PREPARE by_numerics(numeric[]) AS SELECT id FROM gallery ORDER BY $1::coopvec <-> emb LIMIT 5;
SELECT plan_of('EXECUTE by_doubles(NULL)');
SELECT plan_of('EXECUTE by_numerics(NULL)');
RESET plan_cache_mode;
SELECT id FROM gallery ORDER BY emb <-> array_fill(0.0101, ARRAY[650]), id LIMIT 2;
SELECT emb <-> ARRAY[0.1, 0.2] FROM gallery LIMIT 1;
PREPARE untyped AS SELECT count(*) FROM gallery WHERE emb <-> $1 = 0;
EXECUTE untyped(:'list');
EXECUTE untyped('{0.1,0.2}');
SELECT emb <-> '{0.1,0.2}' FROM gallery LIMIT 1;

-- What had one meaning has it still: arrays among themselves, and literals beside embeddings and queries.
SELECT ARRAY[1.5] = ARRAY[1.5] AS a, ARRAY[1, 2] < ARRAY[1, 3] AS b, '{1}'::real[] = '{1}' AS c, ARRAY[1.0::real] || ARRAY[2.0::real] AS d;
SELECT ARRAY[1.0] <-> ARRAY[2.0];
SELECT pg_typeof(coop_vector(NULL)), pg_typeof(coop_vector(NULL, NULL)), pg_typeof(coopvec(NULL)), pg_typeof(coopquery(NULL));
SELECT emb = NULL AS a, emb < emb AS b, emb IS DISTINCT FROM emb AS c FROM gallery LIMIT 1;

-- A query as JSON names its subspaces as coop_attributes() numbers them. to_json() still writes what can be read again.
SELECT '3x1@0000002a:{0.25;0:2*[0.5];2:1*[-1]}'::coopquery::jsonb;
SELECT '2x2@0000002a:[0.6,0.8,1,-0]'::coopvec::jsonb, to_json('2x2@0000002a:[0.6,0.8,1,-0]'::coopvec);
SELECT a.name, s -> 'weight' AS weight, jsonb_array_length(s -> 'target') AS numbers
FROM jsonb_array_elements(coop_attr_query('hue', 'green')::jsonb -> 'subspaces') s JOIN coop_attributes() a ON a.ordinal = (s -> 'ordinal')::integer;
SELECT coop_drop_model('emoji');
DROP FUNCTION plan_of(text);
DROP TABLE gallery, numbers;
DROP DOMAIN tiny;
