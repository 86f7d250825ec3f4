-- The tables of the soak test, the functions that its sessions call, and the answers that they have to get. Variables: gallery, model (server-side
-- paths), seed.
\ir ../../src/demo/emoji/load.sql
SELECT setseed(:seed % 1000000 / 1000000.0) AS seeded \gset
-- The embeddings of the gallery's images, made while nothing else runs.
ALTER TABLE products RENAME TO images;
UPDATE images SET emb = coop_embed(image);
ALTER TABLE images RENAME emb TO known;

-- The embedding that version of row id has to have, or null: that of an image, with some attributes of another one. It follows from the two numbers
-- alone.
CREATE FUNCTION embedding_of(id bigint, version bigint) RETURNS coopvec LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN h % 41 <> 0 THEN coop_blend(a.known, b.known, VARIADIC (ARRAY['hue', 'gender', 'skin_tone', 'hair', 'age', 'direction'])[1 + h % 3:1 + h % 3 + h % 4]) END
    FROM (SELECT abs(hashint8extended(id, version) % 1000003)::int AS h) hashed
    LEFT JOIN images a ON a.id = 1 + h % 360 LEFT JOIN images b ON b.id = 1 + h / 360 % 360 $$;

CREATE TABLE stock (id bigint PRIMARY KEY, version bigint NOT NULL, emb coopvec);
CREATE INDEX stock_emb ON stock USING coop (emb) WITH (tail_rows = 200);
CREATE TABLE split (id bigint PRIMARY KEY, version bigint NOT NULL, emb coopvec) PARTITION BY HASH (id);
CREATE TABLE split_0 PARTITION OF split FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE split_1 PARTITION OF split FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE split_2 PARTITION OF split FOR VALUES WITH (MODULUS 3, REMAINDER 2);
CREATE INDEX split_emb ON split USING coop (emb) WITH (tail_rows = 100);
CREATE TYPE hit AS (id bigint, distance double precision);

-- Images that are embedded by the trigger, and by coop_embed_table().
CREATE TABLE triggered (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, image_id int NOT NULL, image bytea, emb coopvec);
CREATE TRIGGER embed BEFORE INSERT OR UPDATE OF image ON triggered FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb');
CREATE TABLE backlog (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, image_id int NOT NULL, image bytea, emb coopvec);
CREATE INDEX backlog_emb ON backlog USING coop (emb) WITH (tail_rows = 500);

-- Queries about the images, which nothing changes, and their answers.
CREATE TABLE expected (name text PRIMARY KEY, query text NOT NULL, answer text);
INSERT INTO expected (name, query)
SELECT 'predict ' || p.id || a, format('SELECT jsonb_agg(t)::text FROM coop_predict((SELECT known FROM images WHERE id = %s), %L) t', p.id, a)
    FROM (SELECT id FROM images ORDER BY random() LIMIT 40) p, unnest('{hue,gender,skin_tone}'::text[]) a
UNION ALL SELECT 'tags ' || id, format('SELECT coop_tags(known)::text FROM images WHERE id = %s', id) FROM (SELECT id FROM images ORDER BY random() LIMIT 60) p
UNION ALL SELECT 'explain ' || id, format('SELECT jsonb_agg(t)::text FROM coop_explain((SELECT known FROM images WHERE id = %s), coop_attr_query(''hue'', ''green'')) t', id)
    FROM (SELECT id FROM images ORDER BY random() LIMIT 20) p
UNION ALL SELECT 'transition ' || n, format('SELECT jsonb_agg(t)::text FROM coop_transition(''images'', ''id'', ''known'', %s, %s, ''hue'') t', 1 + n * 17, 360 - n * 13)
    FROM generate_series(1, 5) n
UNION ALL SELECT 'transition to ' || n, format('SELECT jsonb_agg(t)::text FROM coop_transition_to(''images'', ''id'', ''known'', %s, coop_attr_query(''hue'', ''green'')) t', n * 19)
    FROM generate_series(1, 3) n
UNION ALL SELECT 'duplicates', 'SELECT jsonb_agg(t ORDER BY t.id, t.other)::text FROM coop_duplicates(''images'', ''id'', ''known'', 3.5) t'
UNION ALL SELECT 'typicality', 'SELECT jsonb_agg(t ORDER BY t.id::int)::text FROM coop_typicality(''images'', ''id'', ''known'', ''category'') t'
UNION ALL SELECT 'attribute ' || a.name || v.value, format('SELECT coop_attr_query(%L, %L)::text', a.name, v.value)
    FROM coop_attributes() a, coop_attribute_values(a.name) v WHERE v.has_query
UNION ALL SELECT 'category ' || name, format('SELECT coop_category_query(%L)::text', name) FROM coop_categories() WHERE has_query;
DO $$
DECLARE t expected;
BEGIN
    FOR t IN SELECT * FROM expected LOOP
        EXECUTE t.query INTO t.answer;
        UPDATE expected SET answer = t.answer WHERE name = t.name;
    END LOOP;
END $$;
DO $$ BEGIN IF EXISTS (SELECT FROM expected WHERE answer IS NULL) THEN RAISE 'a query has no answer'; END IF; END $$;

-- Random queries: an attribute value, a category, like an image in some attributes, and weighted sums of them.
CREATE TABLE names AS SELECT row_number() OVER () AS n, query FROM (
    SELECT format('SELECT coop_attr_query(%L, %L)', a.name, v.value) AS query FROM coop_attributes() a, coop_attribute_values(a.name) v WHERE v.has_query
    UNION ALL SELECT format('SELECT coop_category_query(%L)', name) FROM (SELECT * FROM coop_categories() WHERE has_query ORDER BY random() LIMIT 60) c) q;
CREATE INDEX ON names (n);
CREATE FUNCTION random_query(depth int DEFAULT 0) RETURNS coopquery LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    q coopquery;
    kind float8 := random();
    seed bigint := random() * 1000000;
BEGIN
    IF kind < 0.35 THEN
        EXECUTE (SELECT query FROM names WHERE n = 1 + seed % (SELECT count(*) FROM names)) INTO q;
    ELSIF kind < 0.55 THEN
        q := coop_like(known, VARIADIC (ARRAY['hue', 'gender', 'skin_tone', 'hair', 'age'])[1 + seed % 3:1 + seed % 3 + seed % 2]) FROM images WHERE id = 1 + seed % 360;
    ELSIF kind < 0.65 THEN
        q := coop_like(known) FROM images WHERE id = 1 + seed % 360;
    ELSIF kind < 0.7 THEN
        q := coop_like(coop_replace(known, 'skin_tone', '1')) FROM images WHERE id = 1 + seed % 360;
    ELSIF depth < 3 THEN
        q := random_query(depth + 1) + (0.1 + 3 * random()) * random_query(depth + 1);
    END IF;
    RETURN COALESCE(q, coop_attr_query('hue', 'green'));
END $$;

-- Compares the answers of index and table to n random queries in one snapshot; raises an error if distances or rows differ.
CREATE FUNCTION check_queries(n int) RETURNS int LANGUAGE plpgsql STABLE AS $$
DECLARE
    tab text := (ARRAY['stock', 'split'])[1 + round(random())::int];
    searched boolean := random() < 0.3;
    q coopquery[];
    k int[];
    condition text[];
    exact hit[];
    answers text[];
    expected double precision[];
    found double precision[];
    ids bigint;
BEGIN
    PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_sort', 'on', true), set_config('enable_indexscan', 'off', true);
    FOR i IN 1..n LOOP
        q[i] := random_query();
        k[i] := CASE WHEN random() < 0.02 THEN 100000 ELSE 1 + random() * 30 END;
        condition[i] := (ARRAY['true', 'true', 'id % 7 = 3', 'id % 100 = 1', 'version % 2 = 0 AND id > 1000000', 'emb IS NOT NULL'])[1 + floor(random() * 6)::int];
        EXECUTE format('SELECT array_agg(d) FROM (SELECT emb <-> $1 AS d FROM %s WHERE %s ORDER BY emb <-> $1 LIMIT %s) t', tab, condition[i], k[i])
            INTO expected USING q[i];
        answers[i] := expected::text;
    END LOOP;
    PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true);
    FOR i IN 1..n LOOP
        IF searched THEN
            SELECT array_agg(distance), count(DISTINCT id) INTO found, ids FROM coop_search(NULL::hit, 'emb', q[i], k[i], condition[i], tab::regclass);
        ELSE
            EXECUTE format('SELECT array_agg(d), count(DISTINCT id) FROM (SELECT id, emb <-> $1 AS d FROM %s WHERE %s ORDER BY emb <-> $1 LIMIT %s) t', tab, condition[i], k[i])
                INTO found, ids USING q[i];
        END IF;
        IF answers[i]::double precision[] IS DISTINCT FROM found OR ids IS DISTINCT FROM COALESCE(cardinality(found), 0) THEN
            RAISE 'WRONG: % WHERE % LIMIT % (searched: %), %: the index says % (% rows), the table %', tab, condition[i], k[i], searched, q[i], found, ids, answers[i];
        END IF;
    END LOOP;
    RETURN n;
END $$;

-- Runs n of the expected queries, and defines, uses and drops a category; raises an error if an answer is wrong.
CREATE FUNCTION check_functions(n int) RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    t expected;
    found text;
    p images;
    word text := 'soak ' || pg_backend_pid();
    image_id int := 1 + floor(random() * 360);
BEGIN
    FOR t IN SELECT * FROM expected WHERE name !~ '^(transition|duplicates|typicality)' OR random() < 0.1 ORDER BY random() LIMIT n LOOP
        EXECUTE t.query INTO found;
        IF found IS DISTINCT FROM t.answer THEN
            RAISE 'WRONG: % was % and is %', t.query, t.answer, found;
        END IF;
    END LOOP;
    SELECT * INTO p FROM images WHERE id = image_id;
    PERFORM coop_define_category(word, p.known);
    IF coop_category_query(word)::text IS DISTINCT FROM coop_like(p.known)::text THEN
        RAISE 'WRONG: category % asks for %', word, coop_category_query(word);
    END IF;
    PERFORM coop_drop_category(word);
    RETURN n + 1;
END $$;

-- Embeds n images one by one and by the trigger; raises an error unless each embedding is what it was at the start, to the bit.
CREATE FUNCTION check_embedding(n int) RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    p record;
    e coopvec;
BEGIN
    FOR p IN SELECT id, image, known FROM images ORDER BY random() LIMIT n LOOP
        IF p.id % 2 = 0 THEN
            e := coop_embed(p.image);
        ELSE
            INSERT INTO triggered (image_id, image) VALUES (p.id, p.image) RETURNING emb INTO e;
        END IF;
        IF e IS DISTINCT FROM p.known THEN
            RAISE 'WRONG: image % is embedded as % and not as %', p.id, e, p.known;
        END IF;
    END LOOP;
    RETURN n;
END $$;
