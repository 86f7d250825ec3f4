-- Whether the longest hop of a transition is where it crosses into another category (Section 5.3 of the paper), and what coop_replace finds beside
-- a sum of queries. Expects images(id, emb, path, instance, category, split, skin_tone, ...) and gallery, a part of it: transition.sh makes both.
\pset footer off
CALL coop_build_knn('gallery', 'id', 'emb', 'gallery_knn', 5);

-- 200 random pairs of different categories, the same each time.
SELECT setseed(0.5) \g /dev/null
CREATE TEMP TABLE pairs AS
    SELECT row_number() OVER () AS pair, a, b FROM (
        SELECT f.id AS a, t.id AS b FROM
            (SELECT id, category, row_number() OVER (ORDER BY random()) AS n FROM gallery) f
            JOIN (SELECT id, category, row_number() OVER (ORDER BY random()) AS n FROM gallery) t USING (n)
        WHERE f.category <> t.category ORDER BY n LIMIT 200) p;
CREATE TEMP TABLE steps (pair bigint, step int, id int, distance float8, is_crossing boolean);
DO $$
DECLARE p record;
BEGIN
    FOR p IN SELECT * FROM pairs LOOP
        BEGIN
            INSERT INTO steps SELECT p.pair, t.* FROM coop_transition('gallery', 'id', 'emb', p.a, p.b) t;
        EXCEPTION WHEN no_data_found THEN
            NULL; -- no path
        END;
    END LOOP;
END $$;
-- A hop changes the category if its ends have different ones. By chance, the longest hop would do so as often as any other hop of its path.
CREATE TEMP VIEW hops AS
    SELECT pair, distance, is_crossing, category <> lag(category) OVER (PARTITION BY pair ORDER BY step) AS changes, step
    FROM steps JOIN gallery USING (id);
CREATE TEMP VIEW paths AS
    SELECT pair, count(*) AS hops, count(*) FILTER (WHERE changes) AS changes,
        (count(*) FILTER (WHERE changes AND is_crossing))::float8 AS hit, count(*) FILTER (WHERE changes) / count(*)::float8 AS chance
    FROM hops WHERE step > 0 GROUP BY pair;
\echo transitions: shares in percent, with standard errors
SELECT kind AS paths, count(*) AS n, round(avg(hops), 1) AS hops, round(avg(changes), 1) AS changes,
    format('%s +- %s', round(100 * avg(hit)::numeric, 1), round(100 * (stddev_samp(hit) / sqrt(count(*)))::numeric, 1)) AS "longest hop changes category",
    format('%s +- %s', round(100 * avg(chance)::numeric, 1), round(100 * (stddev_samp(chance) / sqrt(count(*)))::numeric, 1)) AS "any hop does",
    format('%s +- %s', round(100 * avg(hit - chance)::numeric, 1), round(100 * (stddev_samp(hit - chance) / sqrt(count(*)))::numeric, 1)) AS difference
FROM paths CROSS JOIN LATERAL (SELECT 'all' AS kind UNION ALL SELECT 'of one change' WHERE changes = 1 UNION ALL SELECT 'of several' WHERE changes > 1) k
GROUP BY kind ORDER BY kind;
SELECT format('pairs without a path: %s of %s', count(*) FILTER (WHERE NOT EXISTS (SELECT FROM steps s WHERE s.pair = p.pair)), count(*)) FROM pairs p;

-- "This one, but with the darkest skin": of each image of another tone whose concept some designer drew in tone 5. The answer is the nearest other
-- image; it is right if it shows the same concept in tone 5, by whatever designer.
CREATE TEMP TABLE people AS
    SELECT id, emb, skin_tone, regexp_replace(instance, '-1f3f[b-f]', '', 'g') AS concept FROM images;
CREATE INDEX ON people (id);
CREATE INDEX ON people USING coop (emb);
ANALYZE people;
CREATE TEMP TABLE originals AS
    SELECT * FROM people p WHERE skin_tone IN ('1', '2', '3', '4')
        AND EXISTS (SELECT FROM people o WHERE o.concept = p.concept AND o.skin_tone = '5');
CREATE TEMP TABLE answers (way text, original int, answer int);
INSERT INTO answers SELECT 'coop_replace(emb, ''skin_tone'', ''5'')', a.id, n.id FROM originals a, LATERAL (
    SELECT p.id FROM people p WHERE p.id <> a.id ORDER BY p.emb <-> coop_replace(a.emb, 'skin_tone', '5') LIMIT 1) n;
INSERT INTO answers SELECT format('coop_like(emb) + %s * coop_attr_query(''skin_tone'', ''5'')', w), a.id, n.id
FROM unnest(ARRAY[0.5, 1, 2, 3, 5, 8, 12, 20, 40]) w, originals a, LATERAL (
    SELECT p.id FROM people p WHERE p.id <> a.id ORDER BY p.emb <-> (coop_like(a.emb) + w * coop_attr_query('skin_tone', '5')) LIMIT 1) n;
INSERT INTO answers SELECT format('coop_like(r) + %s * coop_like(r, ''skin_tone''), r = coop_replace(...)', w), a.id, n.id
FROM unnest(ARRAY[5, 8, 12, 20]) w, originals a, LATERAL (SELECT coop_replace(a.emb, 'skin_tone', '5') AS r OFFSET 0) r, LATERAL (
    SELECT p.id FROM people p WHERE p.id <> a.id ORDER BY p.emb <-> (coop_like(r.r) + w * coop_like(r.r, 'skin_tone')) LIMIT 1) n;
\echo the nearest other image to one of tones 1 to 4, for tone 5: shares in percent
SELECT way, count(*) AS queries, round(100 * avg((n.concept = q.concept AND COALESCE(n.skin_tone, '') = '5')::int), 1) AS "concept and tone",
    round(100 * sqrt(avg((n.concept = q.concept AND COALESCE(n.skin_tone, '') = '5')::int) * (1 - avg((n.concept = q.concept AND COALESCE(n.skin_tone, '') = '5')::int)) / count(*)), 1) AS "+-",
    round(100 * avg((n.concept = q.concept)::int), 1) AS concept, round(100 * avg((COALESCE(n.skin_tone, '') = '5')::int), 1) AS tone
FROM answers a JOIN people q ON q.id = a.original JOIN people n ON n.id = a.answer GROUP BY way ORDER BY min(a.ctid);
