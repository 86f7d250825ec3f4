#!/usr/bin/env bash
# The planner takes the index where it is faster: at three sizes, with and without WHERE, for one subspace and for all.
source "$(dirname "$0")/../tools/index_fixture.sh"
items_cluster 200
ask <<'SQL'
ALTER TABLE items ADD rare int, ADD common int;
-- What the planner expects a query to cost until the first row.
CREATE FUNCTION startup_cost(query text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
    SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off;
    EXECUTE format('EXPLAIN (FORMAT json) SELECT id FROM items ORDER BY emb <-> %s LIMIT 5', query) INTO plan;
    RETURN jsonb_path_query_first(plan::jsonb, '$.** ? (@."Index Name" == "items_emb")."Startup Cost"');
END $$;
SQL
# The kind of scan that the planner chooses. CONDITION
scan() {
  ask -c "EXPLAIN (COSTS off) SELECT id FROM items WHERE $1 ORDER BY emb <-> '4x16@0000002a:{0;1:1*[1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}'::coopquery LIMIT 10" |
    grep -om 1 'Seq Scan\|Bitmap Heap Scan\|Index Scan using [a-z_]*'
}
at_size() { # ROWS WITHOUT-WHERE WITH-A-RARE-VALUE WITH-A-COMMON-VALUE
  ask -c "TRUNCATE items" -c "INSERT INTO items (emb, rare, common) SELECT random_embedding(i), i % (least($1, 2000) / 10), i % 2 FROM generate_series(1, $1) i" \
    -c "DROP INDEX IF EXISTS items_rare" -c "CREATE INDEX items_rare ON items (rare)" -c "VACUUM ANALYZE items"
  expect "$1 rows, no condition" "$2" "$(scan true)"
  expect "$1 rows, a condition that few rows meet" "$3" "$(scan 'rare = 3')"
  expect "$1 rows, a condition that half of them meet" "$4" "$(scan 'common = 1')"
}
at_size 30 'Seq Scan' 'Seq Scan' 'Seq Scan'
at_size 3000 'Index Scan using items_emb' 'Bitmap Heap Scan' 'Index Scan using items_emb'
at_size 40000 'Index Scan using items_emb' 'Bitmap Heap Scan' 'Index Scan using items_emb'
one="'4x16@0000002a:{0;1:1*[1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}'::coopquery"
two="'4x16@0000002a:{0;1:1*[1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0];2:1*[1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}'::coopquery"
like="(SELECT emb FROM items WHERE id = (SELECT min(id) FROM items))"
cost() { ask -c "SELECT startup_cost(\$q\$ $1 \$q\$)"; } # QUERY
all=$(cost "coop_like($like)")
expect 'one subspace costs less than a quarter of all' t "$(ask -c "SELECT $(cost "$one") < $all / 4")"
expect 'two cost more than one, and less than all' t "$(ask -c "SELECT $(cost "$one") < $(cost "$two") AND $(cost "$two") < $all")"

at_recall() { ask -c 'SET coopembed.recall = 0.99' -c "SELECT startup_cost(\$q\$ $1 \$q\$)" | tail -1; } # QUERY
for query in "$one" "coop_like($like)"; do
  expect "a recall makes a scan cheaper: ${query:0:60}" t "$(ask -c "SELECT $(at_recall "$query") < 0.6 * $(cost "$query")")"
done
expect 'but not one on two subspaces, which is exact' t "$(ask -c "SELECT $(at_recall "$two") = $(cost "$two")")"

# A query from another table of the statement that has one row.
ask -c 'ALTER TABLE items ADD PRIMARY KEY (id)' -c 'CREATE TABLE asked AS SELECT emb AS v FROM items LIMIT 3'
first='(SELECT min(id) FROM items)'
for from in "WITH q AS (SELECT emb AS v FROM items WHERE id = $first) SELECT x.id FROM items x, q" \
  "WITH q AS MATERIALIZED (SELECT emb AS v FROM items WHERE id = $first) SELECT x.id FROM items x, q" \
  "WITH q AS MATERIALIZED (SELECT emb AS v FROM items ORDER BY id LIMIT 1) SELECT x.id FROM items x, q" \
  "WITH q AS (SELECT $one AS v) SELECT x.id FROM items x, q" \
  "WITH q AS (SELECT avg(v) AS v FROM asked) SELECT x.id FROM items x CROSS JOIN q" \
  "SELECT x.id FROM items x JOIN (SELECT v FROM asked LIMIT 1) q ON true" \
  "SELECT x.id FROM items x JOIN items q(id, v) ON q.id = $first"; do
  query="$from ORDER BY x.emb <-> q.v LIMIT 10"
  expect "the index serves $query" 1 "$(ask -c "EXPLAIN (COSTS off) $query" | grep -c 'Index Scan using items_emb')"
  expect '  with the answer of a sequential scan' t "$(ask -c "CREATE TEMP TABLE found AS $query" -c 'SET enable_indexscan = off' -c "SELECT array_agg(id) = (SELECT array_agg(id) FROM found) FROM ($query) t" | tail -1)"
done
for from in 'SELECT x.id FROM items x, asked q' 'WITH q AS MATERIALIZED (SELECT v FROM asked LIMIT 2) SELECT x.id FROM items x, q' \
  'WITH q AS MATERIALIZED (SELECT avg(v) AS v FROM asked GROUP BY v::text) SELECT x.id FROM items x, q'; do
  query="$from ORDER BY x.emb <-> q.v LIMIT 10"
  expect "not where q may have more rows: $query" 0 "$(ask -c "EXPLAIN (COSTS off) $query" | grep -c 'Index Scan using items_emb' || true)"
done

# The guide's table of what the index serves (sql/README.md). The distance is $d, and the radius is one that few rows are within.
d="emb <-> $one" r=$(ask -c "SELECT (array_agg(d ORDER BY d))[20] FROM (SELECT emb <-> $one AS d FROM items) t")
served() { ask -c "EXPLAIN (COSTS off) $1" | grep -q 'Index Scan using items_emb' && echo yes || echo no; } # QUERY
while IFS='|' read -r answer query; do
  expect "$answer: $query" "$answer" "$(served "$query")"
done <<SQL
yes|SELECT id FROM items ORDER BY $d LIMIT 10
yes|SELECT id FROM items ORDER BY $one <-> emb LIMIT 10
yes|SELECT id, $d AS distance FROM items ORDER BY distance LIMIT 10 OFFSET 20
yes|SELECT id FROM items WHERE common = 1 ORDER BY $d LIMIT 10
yes|SELECT id FROM items ORDER BY $d, id LIMIT 10
yes|SELECT id FROM items WHERE ($d, id) > ($r / 2, 7) ORDER BY $d, id LIMIT 10
yes|SELECT id FROM items WHERE $d < $r
yes|SELECT id FROM items WHERE $d <= $r ORDER BY $d
yes|SELECT id FROM items WHERE $r > $d ORDER BY id
yes|SELECT count(*) FROM items WHERE $d BETWEEN 0.01 AND $r
yes|SELECT id FROM items WHERE $d < $r AND common = 1
yes|UPDATE items SET rare = 1 WHERE $d < $r
yes|DELETE FROM items WHERE $d < $r
yes|SELECT min($d) FROM items
yes|SELECT a.v, b.id FROM asked a, LATERAL (SELECT id FROM items ORDER BY emb <-> a.v LIMIT 3) b
yes|SELECT x.id FROM items x, items q WHERE q.id = 1 ORDER BY x.emb <-> q.emb LIMIT 10
no|SELECT id FROM items ORDER BY $d DESC LIMIT 10
no|SELECT id FROM items ORDER BY $d NULLS FIRST LIMIT 10
no|SELECT id FROM items ORDER BY 1 - ($d) DESC LIMIT 10
no|SELECT id FROM items ORDER BY ($d) * rare LIMIT 10
no|SELECT id FROM items WHERE $d > $r
no|SELECT id FROM items ORDER BY id, $d LIMIT 10
no|SELECT id FROM items ORDER BY emb <-> random_query() LIMIT 10
no|SELECT a.v, b.id FROM asked a JOIN items b ON a.v <-> b.emb < $r
no|SELECT id FROM items WHERE emb = $one
no|SELECT id FROM items TABLESAMPLE BERNOULLI (50) ORDER BY $d, id LIMIT 10
no|SELECT id FROM items TABLESAMPLE BERNOULLI (50) WHERE $d < $r
no|SELECT x.id FROM items x TABLESAMPLE BERNOULLI (50), items q WHERE q.id = 1 ORDER BY x.emb <-> q.emb LIMIT 10
SQL

# A partial index of all rows.
ask -c 'DROP INDEX items_emb' -c 'CREATE INDEX items_part ON items USING coop (emb) WHERE emb IS NOT NULL'
expect 'a partial index WHERE emb IS NOT NULL is for queries that say so' 'Index Scan using items_part' "$(scan 'emb IS NOT NULL')"
expect 'and not for others' 'Seq Scan' "$(scan true)"
expect 'a distance says so, too' 'Index Scan using items_part' "$(scan "emb <-> $one < 0.1")"
ask -c 'ALTER TABLE items ALTER emb SET NOT NULL'
expect 'unless the column is NOT NULL' 'Index Scan using items_part' "$(scan true)"
ask -c 'ALTER TABLE items ALTER emb DROP NOT NULL' -c 'DROP INDEX items_part' -c "CREATE INDEX items_part ON items USING coop (emb) WHERE emb IS NOT NULL AND common = 1"
ask -c 'ALTER TABLE items ALTER emb SET NOT NULL'
expect 'another predicate has to be in the query' 'Seq Scan' "$(scan true)"
expect 'where it is, the index serves' 'Index Scan using items_part' "$(scan 'common = 1')"
finish
