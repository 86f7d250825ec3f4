-- Models: loading and dropping them, listing their vocabulary, unknown names.
\set dir `echo "$REGRESS_DIR"`
\set emoji :dir '/../emoji'
SELECT coop_attr_query('hue', 'red');
SELECT coop_load_model('emoji', 'model/emoji');
SELECT coop_load_model('emoji', '/no/such/folder');
SELECT length(coop_load_model('emoji', :'emoji'));
SELECT coop_load_model('emoji', '{"format_version": 99}', ''::bytea);
SELECT coop_load_model('newer', '{"format_version": 99}', ''::bytea);
SELECT coop_load_model('none', '{}', ''::bytea);
SELECT coop_load_model('cut', config, '\x0102'::bytea) FROM coopembed.models;
SELECT name, subspaces, subspace_dim FROM coop_models();
SELECT name, ordered, value_count FROM coop_attributes();
SELECT value, has_query FROM coop_attribute_values('color');
SELECT count(*), bool_and(has_query) FROM coop_categories();

SELECT coop_attr_query('neckline','v-neck');
SELECT coop_attr_query('hue', 'redd');
SELECT coop_attr_query('color', 'pink');
SELECT coop_category_query('flags');
SELECT coop_attr_query('hue', 'red', 'emojy');
SELECT coop_drop_model('emojy');
SELECT coop_attr_query(NULL, 'red') IS NULL AS a, coop_category_query(NULL) IS NULL AS b, coop_embed(NULL) IS NULL AS c;
-- A query that is NULL because an argument is says so, once for a statement.
SET client_min_messages = notice;
SELECT coop_attr_query('hue', v) IS NULL AS is_null FROM (VALUES (NULL), (NULL)) t (v);
SELECT coop_attr_query('hue', NULL::bigint) IS NULL AS number, coop_not('hue', NULL) IS NULL AS opposite, coop_category_query(NULL, 'x') IS NULL AS category;
SELECT 1 AS id FROM (VALUES ('2x2@0000002a:[1,0,1,0]'::coopvec)) t (emb) ORDER BY emb <-> coop_attr_query('hue', NULL, NULL);
SELECT COALESCE(coop_attr_query(NULL, NULL), '2x2@0000002a:{0;0:1*[1,0]}') AS other;
RESET client_min_messages;
SELECT coop_attribute_values('hues');
-- The first model that was loaded is the default, also beside a second one.
SELECT coop_load_model('second', pg_read_file(:'emoji' || '/config.json'), set_byte(weights, length(weights) / 2, get_byte(weights, length(weights) / 2) # 1)) IS NOT NULL AS loaded
FROM pg_read_binary_file(:'emoji' || '/model.safetensors') weights;
SELECT name, is_default FROM coop_models() ORDER BY name;
SELECT coop_attr_query('hue', 'red')::text = coop_attr_query('hue', 'red', 'emoji')::text AS of_the_first;
SELECT coop_set_default_model('secnd');
SELECT coop_set_default_model(NULL) IS NULL AS nothing;
SELECT coop_set_default_model('second');
SELECT name, is_default FROM coop_models() ORDER BY name;
SELECT coop_attr_query('hue', 'red')::text = coop_attr_query('hue', 'red', 'second')::text AS of_the_second;
SELECT coop_drop_model('second');
SELECT coop_set_default_model('emoji');
SELECT coop_drop_model('second');
SET coopembed.model = 'fonts';
SELECT coop_attr_query('hue', 'red');
RESET coopembed.model;

-- A query is looked up once per statement.
CREATE TABLE products (id int, emb coopvec);
CREATE FUNCTION plan(ask text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || ask LOOP
        -- PostgreSQL 16 and earlier write $0 for the value of InitPlan 1.
        RETURN NEXT replace(replace(line, ' (returns $0)', ''), '$0', '(InitPlan 1).col1');
    END LOOP;
END $$;
SELECT plan($$SELECT id FROM products ORDER BY emb <-> coop_attr_query('hue', 'red') + 2 * coop_attr_query('gender', 'woman')$$);
SELECT id FROM products ORDER BY emb <-> coop_attr_query('hue', 'red');

-- The planner knows in how many of the 13 subspaces a query has a weight, and evaluates nothing to know it: 'no such hue' is no error.
INSERT INTO products SELECT i, coop_vector(array_fill((1 + i % 7)::real, ARRAY[650])) FROM generate_series(1, 500) i;
CREATE INDEX products_emb ON products USING coop (emb);
CREATE FUNCTION cost(query text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    SET LOCAL enable_sort = off;
    EXECUTE 'EXPLAIN (FORMAT json) SELECT id FROM products ORDER BY emb <-> ' || query || ' LIMIT 5' INTO plan;
    RETURN jsonb_path_query_first(plan::jsonb, '$.** ? (@."Index Name" == "products_emb")."Startup Cost"');
END $$;
SELECT name, cost(query) < cost('coop_category_query(''cat'')') / 20 AS one, cost(query) < cost('coop_category_query(''cat'')') / 4 AS few
FROM (VALUES
    ('a value', $$coop_attr_query('hue', 'no such hue')$$),
    ('a value, weighted', $$2 * coop_attr_query('hue', 'red')$$),
    ('a value, weighted from the right', $$coop_attr_query('hue', 'red', 'emoji') * 0.5$$),
    ('like a row', $$coop_like((SELECT emb FROM products LIMIT 1), 'hue')$$),
    ('like a row in two', $$coop_like((SELECT emb FROM products LIMIT 1), 'hue', 'color')$$),
    ('two values', $$coop_attr_query('hue', 'red') + 2 * coop_attr_query('gender', 'woman')$$),
    ('a value of a category', $$coop_attr_query('hue', 'red') + coop_category_query('cat')$$),
    ('like a row in all', $$coop_like((SELECT emb FROM products LIMIT 1))$$),
    ('a row', $$(SELECT emb FROM products LIMIT 1)$$)) queries(name, query);
DELETE FROM products;
DROP INDEX products_emb;

-- The model that made an embedding, where it is loaded.
SELECT coop_model(emb), count(*) FROM (VALUES (coop_vector(array_fill(0::real, ARRAY[650]))), ('1x1@00000001:[1]'), (NULL)) t(emb) GROUP BY 1 ORDER BY 1;

-- Embeddings of a model that is not loaded.
SELECT coop_like('1x1@00000001:[1]', 'hue');
SELECT coop_like(coop_vector(array_fill(0::real, ARRAY[650])), 'hues');
SELECT coop_vector(ARRAY[1, 2, 3]::real[]);
SELECT coop_vector(array_fill(0::real, ARRAY[650])) <-> '1x1@00000001:[1]'::coopvec < 0 AS never;
SELECT coop_drop_model('emoji');
SELECT count(*) FROM coopembed.attribute_values;
