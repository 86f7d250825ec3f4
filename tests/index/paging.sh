#!/usr/bin/env bash
# Pages of results over rows at equal distances: `ORDER BY emb <-> query, id` gives each row once, whether index or sort plans a page, and the
# index serves it; so does the keyset way, which goes on after the last row of the page before.
source "$(dirname "$0")/../tools/index_fixture.sh"
items_cluster 300
ask <<'SQL'
-- Each embedding 40 times, the copies far apart.
INSERT INTO items (emb) SELECT emb FROM items, generate_series(1, 39) i ORDER BY i, random();
ALTER TABLE items ADD PRIMARY KEY (id);
VACUUM ANALYZE items;
CREATE VIEW nearest AS SELECT id, emb <-> (SELECT emb FROM items WHERE id = 1) AS distance FROM items;
-- The first `pages` pages of 10 rows, every second one by a sort, the others by the index.
CREATE FUNCTION pages(pages int, keyset boolean) RETURNS TABLE (id bigint) LANGUAGE plpgsql AS $$
DECLARE
    condition text := ''; page bigint[]; last float8; plan json; statement text;
BEGIN
    FOR i IN 0..pages - 1 LOOP
        PERFORM set_config('enable_indexscan', (i % 2 = 0)::text, true), set_config('enable_sort', (i % 2 = 1)::text, true);
        statement := format('SELECT id, distance FROM nearest %s ORDER BY distance, id LIMIT 10 %s', condition,
            CASE WHEN NOT keyset THEN 'OFFSET ' || 10 * i ELSE '' END);
        EXECUTE 'EXPLAIN (FORMAT json) ' || statement INTO plan;
        IF jsonb_path_exists(plan::jsonb, '$.** ? (@."Index Name" == "items_emb")') <> (i % 2 = 0) THEN
            RAISE 'page % has another plan: %', i, plan;
        END IF;
        EXECUTE format('SELECT array_agg(id), max(distance) FROM (%s) t', statement) INTO page, last;
        RETURN QUERY SELECT unnest(page);
        IF keyset THEN
            condition := format('WHERE (distance, id) > (%s, %s)', last, page[10]);
        END IF;
    END LOOP;
END $$;
SQL
wanted=$(ask -c "SELECT md5(string_agg(id::text, ',')) FROM (SELECT id FROM nearest ORDER BY distance, id LIMIT 300) t")
for keyset in false true; do
  expect "30 pages have each row once, in order (keyset: $keyset)" "300 $wanted" \
    "$(ask -c "SELECT count(DISTINCT id), md5(string_agg(id::text, ',' ORDER BY n)) FROM pages(30, $keyset) WITH ORDINALITY p (id, n)" | tr '|' ' ')"
done
expect 'the index orders by distance, and only ties are sorted' 'Incremental Sort|Presorted Key|Index Scan using items_emb' "$(ask <<'SQL' | grep -o 'Incremental Sort\|Presorted Key\|Index Scan using items_emb' | paste -sd '|'
INSERT INTO items (emb) SELECT random_embedding(i) FROM generate_series(1, 20000) i;
ANALYZE items;
EXPLAIN (COSTS off) SELECT id FROM items ORDER BY emb <-> (SELECT emb FROM items WHERE id = 1), id LIMIT 10;
SQL
)"
expect 'in a partition too, and up to a distance' '20 t' "$(ask <<'SQL' | tail -1 | tr '|' ' '
CREATE TABLE parts (id bigint, emb coopvec) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10000);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10000) TO (1000000);
INSERT INTO parts SELECT id, emb FROM items;
CREATE INDEX ON parts USING coop (emb);
ANALYZE parts;
SET enable_seqscan = off; SET enable_sort = off;
CREATE TEMP TABLE found AS SELECT id FROM parts WHERE emb <-> (SELECT emb FROM items WHERE id = 1) < 100 ORDER BY emb <-> (SELECT emb FROM items WHERE id = 1), id LIMIT 20;
CREATE FUNCTION plan() RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN (COSTS off)
    SELECT id FROM parts WHERE emb <-> (SELECT emb FROM items WHERE id = 1) < 100 ORDER BY emb <-> (SELECT emb FROM items WHERE id = 1), id LIMIT 20'; END $$;
SELECT count(*) FILTER (WHERE line ~ 'Index Cond: \(emb') = 2 AS is_limited FROM plan() line \gset
SELECT (SELECT count(*) FROM found JOIN (SELECT id FROM nearest ORDER BY distance, id LIMIT 20) t USING (id)), :'is_limited';
SQL
)"
finish
