-- What the soak works on, and the truth that its answers are compared with. Variables: gallery, model, images (server-side paths), seed.
\ir ../../src/demo/load.sql
SELECT setseed(:seed % 1000000 / 1000000.0) AS seeded \gset
-- Embeddings of the gallery's pictures, made while nothing disturbs.
ALTER TABLE products RENAME TO pictures;
UPDATE pictures SET emb = coop_embed(image);
ALTER TABLE pictures RENAME emb TO known;

-- The embedding of a version of a row, or none: a picture's, in some attributes another one's. Whoever knows the two numbers
-- knows what has to be in the row.
CREATE FUNCTION made(id bigint, version bigint) RETURNS coopvec LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN h % 41 <> 0 THEN coop_blend(a.known, b.known, VARIADIC (ARRAY['hue', 'gender', 'skin_tone', 'hair', 'age', 'direction'])[1 + h % 3:1 + h % 3 + h % 4]) END
    FROM (SELECT abs(hashint8extended(id, version) % 1000003)::int AS h) hashed
    LEFT JOIN pictures a ON a.id = 1 + h % 360 LEFT JOIN pictures b ON b.id = 1 + h / 360 % 360 $$;

CREATE TABLE stock (id bigint PRIMARY KEY, version bigint NOT NULL, emb coopvec);
CREATE INDEX stock_emb ON stock USING coop (emb) WITH (tail_rows = 200);
CREATE TABLE split (id bigint PRIMARY KEY, version bigint NOT NULL, emb coopvec) PARTITION BY HASH (id);
CREATE TABLE split_0 PARTITION OF split FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE split_1 PARTITION OF split FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE split_2 PARTITION OF split FOR VALUES WITH (MODULUS 3, REMAINDER 2);
CREATE INDEX split_emb ON split USING coop (emb) WITH (tail_rows = 100);
CREATE TYPE hit AS (id bigint, distance double precision);

-- Pictures that are embedded by the trigger, and by coop_embed_table().
CREATE TABLE shots (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, picture int NOT NULL, image bytea, emb coopvec);
CREATE TRIGGER embed BEFORE INSERT OR UPDATE OF image ON shots FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb');
CREATE TABLE backlog (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, picture int NOT NULL, image bytea, emb coopvec);
CREATE INDEX backlog_emb ON backlog USING coop (emb) WITH (tail_rows = 500);

-- The truth about pictures, which nothing changes.
CREATE TABLE truth (name text PRIMARY KEY, question text NOT NULL, answer text);
INSERT INTO truth (name, question)
SELECT 'predict ' || p.id || a, format('SELECT jsonb_agg(t)::text FROM coop_predict((SELECT known FROM pictures WHERE id = %s), %L) t', p.id, a)
    FROM (SELECT id FROM pictures ORDER BY random() LIMIT 40) p, unnest('{hue,gender,skin_tone}'::text[]) a
UNION ALL SELECT 'tags ' || id, format('SELECT coop_tags(known)::text FROM pictures WHERE id = %s', id) FROM (SELECT id FROM pictures ORDER BY random() LIMIT 60) p
UNION ALL SELECT 'explain ' || id, format('SELECT jsonb_agg(t)::text FROM coop_explain((SELECT known FROM pictures WHERE id = %s), coop_attr_query(''hue'', ''green'')) t', id)
    FROM (SELECT id FROM pictures ORDER BY random() LIMIT 20) p
UNION ALL SELECT 'transition ' || n, format('SELECT jsonb_agg(t)::text FROM coop_transition(''pictures'', ''id'', ''known'', %s, %s, ''hue'') t', 1 + n * 17, 360 - n * 13)
    FROM generate_series(1, 5) n
UNION ALL SELECT 'transition to ' || n, format('SELECT jsonb_agg(t)::text FROM coop_transition_to(''pictures'', ''id'', ''known'', %s, coop_attr_query(''hue'', ''green'')) t', n * 19)
    FROM generate_series(1, 3) n
UNION ALL SELECT 'duplicates', 'SELECT jsonb_agg(t ORDER BY t.id, t.other)::text FROM coop_duplicates(''pictures'', ''id'', ''known'', 3.5) t'
UNION ALL SELECT 'typicality', 'SELECT jsonb_agg(t ORDER BY t.id::int)::text FROM coop_typicality(''pictures'', ''id'', ''known'', ''category'') t'
UNION ALL SELECT 'attribute ' || a.name || v.value, format('SELECT coop_attr_query(%L, %L)::text', a.name, v.value)
    FROM coop_attributes() a, coop_attribute_values(a.name) v WHERE v.has_query
UNION ALL SELECT 'category ' || name, format('SELECT coop_category_query(%L)::text', name) FROM coop_categories() WHERE has_query;
DO $$
DECLARE t truth;
BEGIN
    FOR t IN SELECT * FROM truth LOOP
        EXECUTE t.question INTO t.answer;
        UPDATE truth SET answer = t.answer WHERE name = t.name;
    END LOOP;
END $$;
DO $$ BEGIN IF EXISTS (SELECT FROM truth WHERE answer IS NULL) THEN RAISE 'a question has no answer'; END IF; END $$;

-- What is asked for: a value, a category, what is like a row in some attributes, mixes of them.
CREATE TABLE words AS SELECT row_number() OVER () AS n, question FROM (
    SELECT format('SELECT coop_attr_query(%L, %L)', a.name, v.value) AS question FROM coop_attributes() a, coop_attribute_values(a.name) v WHERE v.has_query
    UNION ALL SELECT format('SELECT coop_category_query(%L)', name) FROM (SELECT * FROM coop_categories() WHERE has_query ORDER BY random() LIMIT 60) c) q;
CREATE INDEX ON words (n);
CREATE FUNCTION wish(depth int DEFAULT 0) RETURNS coopquery LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    q coopquery;
    kind float8 := random();
    seed bigint := random() * 1000000;
BEGIN
    IF kind < 0.35 THEN
        EXECUTE (SELECT question FROM words WHERE n = 1 + seed % (SELECT count(*) FROM words)) INTO q;
    ELSIF kind < 0.55 THEN
        q := coop_like(known, VARIADIC (ARRAY['hue', 'gender', 'skin_tone', 'hair', 'age'])[1 + seed % 3:1 + seed % 3 + seed % 2]) FROM pictures WHERE id = 1 + seed % 360;
    ELSIF kind < 0.65 THEN
        q := coop_like(known) FROM pictures WHERE id = 1 + seed % 360;
    ELSIF kind < 0.7 THEN
        q := coop_like(coop_replace(known, 'skin_tone', '1')) FROM pictures WHERE id = 1 + seed % 360;
    ELSIF depth < 3 THEN
        q := wish(depth + 1) + (0.1 + 3 * random()) * wish(depth + 1);
    END IF;
    RETURN COALESCE(q, coop_attr_query('hue', 'green'));
END $$;

-- Asks n questions of index and table in one snapshot; an error if they disagree, in a distance or in the rows.
CREATE FUNCTION ask(n int) RETURNS int LANGUAGE plpgsql STABLE AS $$
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
        q[i] := wish();
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

-- Questions about pictures, and words of one's own.
CREATE FUNCTION ask_functions(n int) RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    t truth;
    found text;
    p pictures;
    word text := 'soak ' || pg_backend_pid();
    picture int := 1 + floor(random() * 360);
BEGIN
    FOR t IN SELECT * FROM truth WHERE name !~ '^(transition|duplicates|typicality)' OR random() < 0.1 ORDER BY random() LIMIT n LOOP
        EXECUTE t.question INTO found;
        IF found IS DISTINCT FROM t.answer THEN
            RAISE 'WRONG: % was % and is %', t.question, t.answer, found;
        END IF;
    END LOOP;
    SELECT * INTO p FROM pictures WHERE id = picture;
    PERFORM coop_define_category(word, p.known);
    IF coop_category_query(word)::text IS DISTINCT FROM coop_like(p.known)::text THEN
        RAISE 'WRONG: category % asks for %', word, coop_category_query(word);
    END IF;
    PERFORM coop_drop_category(word);
    RETURN n + 1;
END $$;

-- Embeds n pictures one by one and by the trigger; an error unless each is what it was at the start, bit for bit.
CREATE FUNCTION embed(n int) RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    p record;
    e coopvec;
BEGIN
    FOR p IN SELECT id, image, known FROM pictures ORDER BY random() LIMIT n LOOP
        IF p.id % 2 = 0 THEN
            e := coop_embed(p.image);
        ELSE
            INSERT INTO shots (picture, image) VALUES (p.id, p.image) RETURNING emb INTO e;
        END IF;
        IF e IS DISTINCT FROM p.known THEN
            RAISE 'WRONG: picture % is embedded as % and not as %', p.id, e, p.known;
        END IF;
    END LOOP;
    RETURN n;
END $$;
