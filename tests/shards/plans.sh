#!/usr/bin/env bash
# Each server of a partitioned table is asked for its nearest rows by its own index, while the others work, and for no more rows than the
# LIMIT; no limit is sent where it would be wrong.
source "$(dirname "$0")/../tools/shards_fixture.sh"
sharded_cluster 3000
plan "ORDER BY $green LIMIT 10"
expect 'each server is asked while the others work' 4 "$(grep -c 'Async Foreign Scan on public.items_[1-4]' "$SCRATCH/plan")"
in_plan 'for its nearest rows, in order, and no more' 4 "$remote $order LIMIT 10::bigint"
expect 'the attribute value is looked up once' 1 "$(grep -c '^ *InitPlan 1' "$SCRATCH/plan")"
plan "WHERE kind = 'kind 1' ORDER BY $green LIMIT 10"
in_plan 'the limit is sent with a WHERE clause' 4 "$remote WHERE ((kind = 'kind 1')) $order LIMIT 10::bigint"
plan "WHERE kind = ' LIMIT 1' ORDER BY $green, id LIMIT 10"
in_plan 'and with a second column to order by' 4 "$remote WHERE ((kind = ' LIMIT 1')) $order, id ASC NULLS LAST LIMIT 10::bigint"
ask -c "PREPARE nearest(coopquery, int) AS SELECT id FROM items ORDER BY emb <-> \$1 LIMIT \$2" -c 'SET plan_cache_mode = force_generic_plan' \
  -c "EXPLAIN (VERBOSE, COSTS OFF) EXECUTE nearest('13x50@0000002a:{0;0:1*[$(seq -s, 50)]}', 7)" >"$SCRATCH/plan"
in_plan 'a generic plan sends the limit of each execution' 4 "$remote $order LIMIT \$2::integer"
# Where a limit would be wrong: rows are tested or counted here, or there are more than it says.
ask -c "CREATE FUNCTION ours(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN \$1 % 9 = 0; END'"
for query in "WHERE ours(id) ORDER BY $green LIMIT 10" "WHERE kind IN (SELECT kind FROM one) ORDER BY $green LIMIT 10" "ORDER BY $green LIMIT 10 OFFSET 3" \
  "ORDER BY $green FETCH FIRST 10 ROWS WITH TIES" "ORDER BY $green LIMIT 10 FOR UPDATE" "ORDER BY $green LIMIT NULL" "ORDER BY $green"; do
  plan "$query"
  expect "no limit is sent for: ${query%%"$green"*}... ${query##*"$green"}" 0 "$(grep -c 'Remote SQL.*LIMIT' "$SCRATCH/plan")"
done

# The servers log statements and plans. The query comes from a table, so that nothing has loaded the library when the search begins.
ask -c "CREATE TABLE queries AS SELECT coop_attr_query('hue', 'green') AS q"
for n in 1 2 3 4; do : >"$SCRATCH/shard$n/server.log"; done
ask -c "SELECT id FROM items WHERE id > 0 ORDER BY emb <-> (SELECT q FROM queries) LIMIT 10" >/dev/null
ask -c "SELECT count(*) FROM queries, coop_search(NULL::hit, 'emb', q, 10, 'id > 0', 'items')" >/dev/null
in_logs() { grep -c "$1" "$SCRATCH"/shard[1-4]/server.log | sed 's/.*://' | xargs; }
expect 'the first query of a session sends the limit, too' '2 2 2 2' "$(in_logs 'NULLS LAST LIMIT 10::bigint$')"
expect 'each server uses its own index' '2 2 2 2' "$(in_logs 'Index Scan using items_emb on items')"
finish
