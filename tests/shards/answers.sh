#!/usr/bin/env bash
# Queries on a table whose partitions are on five servers give the rows and distances of one table with the same rows, to the bit.
# usage: answers.sh [QUERIES]
source "$(dirname "$0")/../tools/shards_fixture.sh"
queries=${1:-200}
sharded_cluster 6000
expect 'rows go to the server of their partition' '6001 t' \
  "$(ask -c 'SELECT count(*) FROM items') $(on_shard 3 -c 'SELECT count(*) BETWEEN 1000 AND 1400 FROM items')"
expect 'the shards have no model' '0 0 0 0' "$(for n in 1 2 3 4; do on_shard $n -c 'SELECT count(*) FROM coop_models()'; done | xargs)"
expect 'the answers are those of one table' "$queries" "$(ask -c "SELECT compare($queries)")"
expect 'with a condition that the servers test' 60 "$(ask -c "SELECT compare(60, 'kind < ''kind 2'' AND id % 3 = 0')")"
ask -c "CREATE FUNCTION ours(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN \$1 % 9 = 0; END'"
expect 'with a condition that only the coordinator can test' 60 "$(ask -c "SELECT compare(60, 'ours(id)')")"
neighbours() { # TABLE: the distances of the three rows nearest to each of some, by one statement
  ask -c "SELECT a.id, array_agg(b.d ORDER BY b.d) FROM (SELECT * FROM one WHERE id BETWEEN 1 AND 30) a,
    LATERAL (SELECT emb <-> a.emb AS d FROM $1 b WHERE b.id <> a.id ORDER BY b.emb <-> a.emb LIMIT 3) b GROUP BY a.id ORDER BY a.id"
}
expect 'with many queries in one statement' "$(neighbours one)" "$(neighbours items)"
expect 'a generic plan asks only servers that can have the row' '3 4 none' "$(ask -c 'SET plan_cache_mode = force_generic_plan' \
  -c "PREPARE by_id(int, coopquery) AS SELECT id FROM items WHERE id = \$1 ORDER BY emb <-> \$2 LIMIT 3" \
  -c 'EXECUTE by_id(3, made_query(0))' -c 'EXECUTE by_id(4, made_query(0))' -c 'EXECUTE by_id(-1, made_query(0))' -c "SELECT 'none'" | xargs)"
expect 'rows without an embedding come last' '6001 0' "$(ask -F ' ' -c "SELECT count(*), (array_agg(id))[6001] FROM coop_search(NULL::items, 'emb', made_query(0), 10000)")"
expect_error 'a query of another model is an error' 'embeddings of different models cannot be compared' \
  -c "SELECT count(*) FROM coop_search(NULL::items, 'emb', '13x50@0000002a:{0;0:1*[$(seq -s, 50)]}')"
finish
