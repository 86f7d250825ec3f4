-- Queries from words, from their opposites, and by numbers: what people write before they know the model's names.
\set emoji `echo "$REGRESS_DIR"`/../emoji
SELECT length(coop_load_model('emoji', :'emoji'));

-- A value that is a number needs no quotes, nor does a column of an integer type.
SELECT coop_attr_query('skin_tone', 5)::text = coop_attr_query('skin_tone', '5')::text AS literal,
    coop_attr_query('skin_tone', tone)::text = coop_attr_query('skin_tone', '2')::text AS smallint,
    coop_attr_query('skin_tone', tone::bigint, 'emoji')::text = coop_attr_query('skin_tone', '2')::text AS of_model
FROM (VALUES (2::smallint)) v (tone);
SELECT coop_attr_query('skin_tone', 9);
SELECT coop_attr_query('skin_tone', NULL) IS NULL AS untyped_null;
PREPARE untyped AS SELECT coop_attr_query($1, $2)::text = coop_attr_query('hue', 'red')::text AS untyped_parameters;
EXECUTE untyped('hue', 'red');
CREATE TABLE pieces (id int, emb coopvec);
INSERT INTO pieces SELECT n, coop_replace(coop_replace(e, 'hue', v.value), 'skin_tone', 1 + n % 5)
FROM (SELECT coop_vector(ARRAY(SELECT 1 / sqrt(50) FROM generate_series(1, 650))::real[])) s (e),
    (SELECT row_number() OVER (ORDER BY ordinal)::int AS n, value FROM coop_attribute_values('hue')) v;
-- Versions of PostgreSQL name InitPlans differently.
CREATE FUNCTION plan_of(ask text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF, VERBOSE) ' || ask LOOP
        RETURN NEXT replace(replace(line, ' (returns $0)', ''), '$0', '(InitPlan 1).col1');
    END LOOP;
END $$;
SELECT plan_of($$SELECT id FROM pieces ORDER BY emb <-> coop_attr_query('skin_tone', 5) LIMIT 1$$);

-- What is least like a query: the reverse order of it.
SELECT -1 * coop_attr_query('hue', 'red');
SELECT array_agg(id ORDER BY emb <-> coop_not(coop_attr_query('hue', 'red')), id) = array_agg(id ORDER BY emb <-> coop_attr_query('hue', 'red') DESC, id) AS reversed,
    coop_not('hue', 'red')::text = coop_not(coop_attr_query('hue', 'red'))::text AS by_names
FROM pieces;
SELECT coop_not(coop_not(q))::text = q::text AS twice, coop_not(NULL::coopquery) IS NULL AS of_null FROM coop_attr_query('hue', 'red') q;
SELECT coop_not('hue', 'redd');
-- It is a query like any other: weights, sums, the index.
CREATE INDEX ON pieces USING coop (emb);
SET enable_sort = off;
SET enable_seqscan = off;
SELECT id FROM pieces ORDER BY emb <-> (coop_attr_query('skin_tone', 5) + 2 * coop_not('hue', 'red')) LIMIT 2;
RESET enable_sort;
SELECT id FROM pieces ORDER BY (emb <-> (coop_attr_query('skin_tone', 5) + 2 * coop_not('hue', 'red'))) + 0 LIMIT 2;
RESET enable_seqscan;
-- This one, but not red: another one stays as it is.
SELECT value, e = coop_not(e, 'hue', 'red') AS stays, e <-> coop_not(e, 'hue', 'red') > 0.1 AS changes
FROM (SELECT value, coop_replace(emb, 'hue', value) AS e FROM pieces, (VALUES ('red'), ('green')) v (value) WHERE id = 1) s;
SELECT coop_not(emb, 'hue', 'redd') FROM pieces LIMIT 1;

-- No value of an attribute.
SELECT emb <-> coop_absent('hair') > 0 AS absent, coop_absent('hair')::text = coop_absent('hair', 'emoji')::text AS of_model FROM pieces LIMIT 1;
SELECT coop_absent('hairs');
DO $$ BEGIN UPDATE coopembed.proxies SET absent = NULL WHERE attribute = 1; END $$;
SELECT coop_absent('skin_tone');

-- Words.
SELECT * FROM coop_query_explain('Red-haired? A very sad face, smiling; not green hue');
SELECT * FROM coop_query_explain('musical instruments, without hair, no hue or color');
SELECT coop_query('very sad, not green hue')::text = (2 * coop_attr_query('expression', 'sad') + 0.25 * coop_not('hue', 'green'))::text AS sum;
-- A category weighs as much as a value: 1 in all 13 attributes together.
SELECT coop_query('musical instruments')::text = (1 / 13::float8 * coop_category_query('musical-instrument'))::text AS category;
SELECT coop_query('without hair', 'emoji')::text = coop_absent('hair')::text AS absent;
SET client_min_messages TO notice;
SELECT coop_query('red') IS NOT NULL AS red;
SELECT coop_query('a blonde angry woman, 5 skin tone') IS NOT NULL AS woman;
SELECT coop_query('red hue, frobnicate the foo') IS NOT NULL AS red;
RESET client_min_messages;
SELECT coop_query('frobnicate the foo');
SELECT coop_query('  ');
SELECT coop_query(repeat('red ', 3000));
SELECT coop_query(NULL) IS NULL AS "null", (SELECT count(*) FROM coop_query_explain(NULL)) AS rows;
SELECT coop_query('red hue', 'emojy');
SELECT plan_of($$SELECT id FROM pieces ORDER BY emb <-> coop_query('red hue') LIMIT 1$$);

-- Words of one's own.
SELECT coop_define_synonym('blonde', 'hair', 'blond'), coop_define_synonym('crimson', 'hue', 'red'), coop_define_synonym('hatless', 'hair', NULL),
    coop_define_category_synonym('Fiddle', 'musical-instrument'), coop_define_category_synonym('red', 'heart', 'emoji');
SELECT * FROM coop_synonyms();
SELECT * FROM coop_query_explain('crimson fiddles, a blonde; hatless, not hatless; red');
-- Again: it means something else.
SELECT coop_define_synonym('crimson', 'color', 'red', 'emoji');
SELECT * FROM coop_synonyms('emoji') WHERE phrase = 'crimson';
SELECT coop_drop_synonym('red'), coop_drop_synonym('Fiddle', 'emoji');
SELECT coop_drop_synonym('crimsn');
SELECT coop_define_synonym('scarlet', 'hue', 'redd');
SELECT coop_define_synonym('scarlet', NULL, 'red');
SELECT coop_define_category_synonym('scarlet', NULL);
SELECT coop_define_synonym(NULL, 'hue', 'red');
SELECT coop_define_synonym(' scarlet', 'hue', 'red');
-- What a synonym meant may be dropped.
SELECT coop_define_attribute_value('hue', 'lurid', emb) FROM pieces WHERE id = 3;
SELECT coop_define_synonym('garish', 'hue', 'lurid');
SELECT value FROM coop_query_explain('garish');
SELECT coop_drop_attribute_value('hue', 'lurid');
SELECT value FROM coop_query_explain('garish');
-- They go with the model.
SELECT coop_drop_model('emoji');
SELECT count(*) FROM coopembed.synonyms;
