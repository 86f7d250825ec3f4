#!/usr/bin/env bash
# `WHERE emb <-> query < r`: an index scan ends at r, with and without ORDER BY, gives the rows of a sequential scan, and is taken where it
# is faster.
source "$(dirname "$0")/../tools/index_fixture.sh"
items_cluster 6000
ask <<'SQL'
ALTER TABLE items ALTER id SET NOT NULL, ADD PRIMARY KEY (id), ADD note text;
-- Some rows in the tail, some without an embedding, some dead.
INSERT INTO items (emb) SELECT random_embedding(i) FROM generate_series(1, 150) i;
INSERT INTO items (emb) SELECT NULL FROM generate_series(1, 5);
DELETE FROM items WHERE id % 7 = 3;
VACUUM ANALYZE items;
-- The rows that a condition keeps, by the index and by a sequential scan; $1 is a query and $2 a distance. True if they are the same, and if
-- the index's come nearest first where they are ordered.
CREATE FUNCTION same_rows(condition text, q anyelement, r float8, ordered boolean DEFAULT false) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    statement text := format('SELECT array_agg(id), array_agg(emb <-> $1) FROM (SELECT id, emb FROM items WHERE %s %s) t',
        condition, CASE WHEN ordered THEN 'ORDER BY emb <-> $1' ELSE 'OFFSET 0' END);
    exact bigint[]; found bigint[]; distances float8[]; plan json;
BEGIN
    PERFORM set_config('enable_indexscan', 'off', true), set_config('enable_seqscan', 'on', true), set_config('enable_sort', 'on', true);
    EXECUTE statement INTO exact, distances USING q, r;
    PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_seqscan', 'off', true), set_config('enable_sort', (NOT ordered)::text, true);
    EXECUTE statement INTO found, distances USING q, r;
    EXECUTE 'EXPLAIN (FORMAT json) ' || statement INTO plan USING q, r;
    IF r < 1e300 AND NOT jsonb_path_exists(plan::jsonb, '$.** ? (@."Index Name" == "items_emb")."Index Cond"') THEN
        RAISE 'the index does not serve %: %', condition, plan;
    END IF;
    PERFORM set_config('enable_sort', 'on', true);
    RETURN (SELECT array_agg(x ORDER BY x) FROM unnest(exact) x) IS NOT DISTINCT FROM (SELECT array_agg(x ORDER BY x) FROM unnest(found) x)
        AND (NOT ordered OR distances IS NOT DISTINCT FROM (SELECT array_agg(x ORDER BY x) FROM unnest(distances) x));
END $$;
-- A distance within which a share of the rows lies.
CREATE FUNCTION quantile(q coopquery, share float8) RETURNS float8 LANGUAGE sql AS $$
    SELECT percentile_disc(share) WITHIN GROUP (ORDER BY emb <-> q) FROM items WHERE emb IS NOT NULL $$;
SQL
for condition in 'emb <-> $1 < $2' 'emb <-> $1 <= $2' '$2 > $1 <-> emb' '$2 >= emb <-> $1' 'emb <-> $1 BETWEEN $2 / 2 AND $2' \
  'emb <-> $1 < $2::float4' 'NOT emb <-> $1 >= $2' 'emb <-> $1 < $2 AND id % 2 = 0' 'emb <-> $1 < $2 AND emb <-> $1 <= $2 / 2'; do
  for ordered in true false; do
    expect "$condition, ordered: $ordered" 20 "$(ask -c "SELECT count(*) FROM
        (SELECT random_query() AS q, share FROM generate_series(1, 4), (VALUES (0.0), (0.001), (0.02), (0.3), (1.0)) s(share) OFFSET 0) t
        WHERE same_rows('$condition', q, quantile(q, share), $ordered)")"
  done
done
expect 'the same by embeddings' 20 "$(ask -c "SELECT count(*) FROM (SELECT emb AS e, share FROM (SELECT emb FROM items WHERE id % 1500 = 1) t,
    (VALUES (0.0), (0.001), (0.02), (0.3), (1.0)) s(share) OFFSET 0) t
    WHERE same_rows('emb <-> \$1 <= \$2', e, quantile(e::coopquery, share)) AND same_rows('emb <-> \$1 < \$2', e, quantile(e::coopquery, share), true)")"
expect 'distances that are none' 10 "$(ask -c "SELECT count(*) FROM (SELECT random_query() AS q OFFSET 0) t,
    (VALUES (-1::float8), (0), ('-Infinity'), ('Infinity'), ('NaN')) r(r), (VALUES (true), (false)) o(ordered)
    WHERE same_rows('emb <-> \$1 < \$2', q, r, ordered)")"
# $1: settings, $2: the end of the statement; prints rows, and rows that the index returned.
returned() {
  ask -c "SET enable_seqscan = off; SET enable_sort = off; $1" -c "SELECT count(*) FROM (SELECT id FROM items WHERE $2) t" \
    -c 'SELECT rows_returned FROM coop_last_scan()' | paste -sd ' '
}
e1='(SELECT emb FROM items WHERE id = 1)'
r=$(ask -c "SELECT (array_agg(d ORDER BY d))[20] FROM (SELECT emb <-> $e1 AS d FROM items) t")
expect 'a scan ends at the distance' t "$(read -r rows read < <(returned '' "emb <-> $e1 < $r"); echo "$([ "$rows" = 19 ] && [ "$read" -lt 40 ] && echo t)")"
expect 'and in order, where LIMIT asks for more' t "$(read -r rows read < <(returned '' "emb <-> $e1 <= $r ORDER BY emb <-> $e1 LIMIT 1000"); echo "$([ "$rows" = 20 ] && [ "$read" -lt 40 ] && echo t)")"
expect 'and if WHERE drops what is within' t "$(read -r rows read < <(returned '' "emb <-> $e1 < $r AND note = 'x' ORDER BY emb <-> $e1 LIMIT 10"); echo "$([ "$rows" = 0 ] && [ "$read" -lt 40 ] && echo t)")"
expect 'where the queries of WHERE and ORDER BY differ, both count' t "$(ask <<SQL | tail -1
SET enable_seqscan = off; SET enable_sort = off;
CREATE TEMP TABLE found AS SELECT id FROM items WHERE emb <-> $e1 < $r ORDER BY emb <-> (SELECT emb FROM items WHERE id = 2);
SET enable_seqscan = on; SET enable_indexscan = off;
SELECT count(*) = 19 AND bool_and(emb <-> $e1 < $r) FROM found JOIN items USING (id);
SQL
)"
expect 'so they do if only their values differ' 't 19' "$(ask <<SQL | paste -sd ' '
SET enable_seqscan = off; SET enable_sort = off; SET plan_cache_mode = force_generic_plan;
PREPARE nearest(coopvec, coopvec) AS SELECT id FROM items WHERE emb <-> \$1 < $r ORDER BY emb <-> \$2;
CREATE TEMP TABLE pair AS SELECT a.emb AS a, b.emb AS b FROM items a, items b WHERE a.id = 1 AND b.id = 2;
DO \$\$ BEGIN EXECUTE format('CREATE TEMP TABLE found AS EXECUTE nearest(%L, %L)', (SELECT a FROM pair), (SELECT b FROM pair)); END \$\$;
SELECT count(*) = 19 FROM found;
SELECT count(*) FROM (SELECT id FROM items WHERE emb <@ ROW($e1::coopquery, $r)::coopembed.ball AND emb <-> $e1 < $r) t;
SQL
)"
for setting in 'coopembed.recall = 0.9' 'coopembed.candidates = 500'; do
  expect "with $setting it ends there as well" t "$(read -r rows read < <(returned "SET $setting" "emb <-> $e1 < $r ORDER BY emb <-> $e1"); echo "$([ "$rows" -ge 15 ] && [ "$rows" -le 19 ] && [ "$read" -lt 40 ] && echo t)")"
done
expect_error 'a query of another model is an error' 'different models' -c 'SET enable_seqscan = off' \
  -c "SELECT id FROM items WHERE emb <-> '1x2@00000001:[1,0]'::coopvec < 1"
expect 'rows are locked and changed through it' '19 19' "$(ask <<SQL | paste -sd ' '
BEGIN;
SET enable_seqscan = off;
WITH near AS (UPDATE items SET note = 'near' WHERE emb <-> $e1 < $r RETURNING id) SELECT count(*) FROM near;
SELECT count(*) FROM (SELECT id FROM items WHERE id IN (SELECT id FROM items WHERE emb <-> $e1 < $r ORDER BY emb <-> $e1) FOR UPDATE) t;
ROLLBACK;
SQL
)"
expect 'an inner scan of a join takes a new query and distance each time' t "$(ask <<'SQL' | tail -1
CREATE TEMP TABLE asked AS SELECT random_query() AS q, 0.5 + i / 10.0 AS r FROM generate_series(1, 5) i
    UNION ALL SELECT NULL, 1 UNION ALL SELECT random_query(), NULL;
SET enable_seqscan = off; SET enable_sort = off;
CREATE TEMP TABLE found AS SELECT q::text, id FROM asked CROSS JOIN LATERAL (SELECT id FROM items WHERE emb <-> q < r ORDER BY emb <-> q LIMIT 1000) t;
SET enable_seqscan = on; SET enable_indexscan = off; SET enable_sort = on;
CREATE TEMP TABLE wanted AS SELECT q::text, id FROM asked CROSS JOIN LATERAL (SELECT id FROM items WHERE emb <-> q < r ORDER BY emb <-> q LIMIT 1000) t;
SELECT (SELECT count(*) FROM found) = (SELECT count(*) FROM wanted) AND NOT EXISTS (TABLE found EXCEPT TABLE wanted);
SQL
)"

# Plans.
ask -c 'TRUNCATE items' -c 'INSERT INTO items (emb) SELECT random_embedding(i) FROM generate_series(1, 40000) i' -c "UPDATE items SET note = '{}' WHERE id < 0" \
  -c 'REINDEX INDEX items_emb' -c 'VACUUM ANALYZE items'
plan() { ask -c "EXPLAIN (COSTS off) $1" | grep -om 1 'Seq Scan on items\|Index Scan using items_emb'; }
one="(SELECT emb FROM items WHERE id = (SELECT min(id) FROM items))"
near=$(ask -c "SELECT (array_agg(d ORDER BY d))[30] FROM (SELECT emb <-> $one AS d FROM items) t")
far=$(ask -c "SELECT max(emb <-> $one) + 1 FROM items")
expect 'a near distance is for the index' 'Index Scan using items_emb' "$(plan "SELECT id FROM items WHERE emb <-> $one < $near")"
expect 'in order too' 'Index Scan using items_emb' "$(plan "SELECT id FROM items WHERE emb <-> $one < $near AND note IS NULL ORDER BY emb <-> $one LIMIT 10")"
expect 'a distance that all rows are within is not' 'Seq Scan on items' "$(plan "SELECT id FROM items WHERE emb <-> $one < $far")"
expect 'nor is a filter that keeps few rows' 'Seq Scan on items' "$(plan "SELECT id FROM items WHERE note::jsonb->>'country' = 'XX' ORDER BY emb <-> $one LIMIT 10")"
# What the planner expects, for a query that it knows, and for one that it does not.
estimate() { ask -c "EXPLAIN SELECT id FROM items WHERE emb <-> $1 < $2" | sed -n 's/.*items .*rows=\([0-9]*\).*/\1/p' | head -1; }
known="'$(ask -c "SELECT $one")'::coopvec"
for share in 0.01 0.1 0.5; do
  r=$(ask -c "SELECT percentile_disc($share) WITHIN GROUP (ORDER BY emb <-> $one) FROM items")
  rows=$(estimate "$known" "$r")
  expect "rows within the distance of $share of them: $rows expected" t "$(ask -c "SELECT $rows BETWEEN $share * 40000 / 4 AND $share * 40000 * 4")"
  rows=$(estimate "$one" "$r")
  expect "the same without knowing the query: $rows" t "$(ask -c "SELECT $rows BETWEEN $share * 40000 / 10 AND $share * 40000 * 10")"
done
# What is known of an index is kept for the session, until the index changes.
r=$(ask -c "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY emb <-> $one) FROM items")
explain="EXPLAIN SELECT id FROM items WHERE emb <-> $known < $r"
# The last of the rows expected before and after $1, in one session.
before_and_after() { ask -c "$explain" "${@/#/-c}" -c "$explain" | sed -n 's/.*on items .*rows=\([0-9]*\).*/\1/p' | xargs; }
expect 'an index that is built anew is read anew' t "$(read -r before after < <(before_and_after "DELETE FROM items WHERE emb <-> $known < $r" 'VACUUM ANALYZE items' 'REINDEX INDEX items_emb')
  echo "$([ "$before" -gt 8000 ] && [ "$after" -lt $((before / 2)) ] && echo t || echo "$before $after")")"
expect 'and one that has new groups' t "$(read -r before after < <(before_and_after "INSERT INTO items (emb) SELECT $known FROM generate_series(1, 40000)" 'ANALYZE items')
  echo "$([ "$after" -gt $((4 * before)) ] && echo t || echo "$before $after")")"
finish
