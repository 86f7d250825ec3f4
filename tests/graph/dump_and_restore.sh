#!/usr/bin/env bash
# pg_dump carries stored graphs and what they are of; a restored graph gives the same answers and is up to date.
source "$(dirname "$0")/../tools/graph_fixture.sh"
graph_cluster 900
ask -c "ANALYZE" -c "CALL coop_build_knn('items', 'id', 'emb', 'hues', 4, 'hue')"
build
answer="SELECT string_agg(id::text, ' ' ORDER BY step), count(*) FILTER (WHERE is_crossing) FROM coop_transition('items', 'id', 'emb', 21, 28, k => 4)"
found=$(ask -c "$answer" -c "SELECT * FROM coop_knn_graphs()")
ask -c "CREATE TABLE rows AS SELECT * FROM items WHERE id < 30" -c "CALL coop_build_knn('rows', 'id', 'emb', 'gone')" -c "DROP TABLE gone"
restore_both_ways shop
for way in text parallel; do
  expect "a dump carries graphs and what they are of ($way)" "$found" "$(ask -d $way -c "$answer" -c "SELECT * FROM coop_knn_graphs()")"
  expect "but not a graph that was dropped ($way)" 2 "$(ask -d $way -c "SELECT count(*) FROM coopembed.knn_graphs")"
done
expect 'a restored graph is up to date' '' "$(PGOPTIONS= ask -d text -c "CALL coop_build_knn('items', 'id', 'emb', 'knn', 4)" 2>&1)"
finish
