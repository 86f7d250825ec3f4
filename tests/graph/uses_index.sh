#!/usr/bin/env bash
# The nearest rows that graphs and transitions need come from the index.
source "$(dirname "$0")/../tools/graph_fixture.sh"
graph_cluster 2400
ask -c "ANALYZE"
build
plan=$(ask -c "EXPLAIN (COSTS off) SELECT FROM items a, LATERAL (SELECT id FROM items b WHERE b.id <> a.id ORDER BY b.emb <-> a.emb LIMIT 4) b")
expect 'the nearest rows to each row come from the index' 1 "$(grep -c 'Index Scan using items_emb on items b' <<<"$plan")"
scans() { # SQL: how many index scans the plans of it, and of the statements inside it, have
  ask -c "LOAD 'auto_explain'" -c "SET auto_explain.log_min_duration = 0" -c "SET auto_explain.log_nested_statements = on" \
    -c "SET client_min_messages = log" -c "$1" 2>&1 | grep -c 'Index Scan using items_emb' || true
}
ask -c "UPDATE items SET emb = made_embedding(id + 4) WHERE id % 1000 = 50"
check 'so do the lists of a stored graph' [ "$(scans "CALL coop_build_knn('items', 'id', 'emb', 'knn', 4)")" -ge 1 ]
ask -c "ALTER TABLE knn RENAME TO other_name" -c "DELETE FROM coopembed.knn_graphs WHERE graph = 'other_name'::regclass"
expect 'and those of coop_transition() without a stored graph' 1 "$(scans "SELECT * FROM coop_transition('items', 'id', 'emb', 21, 28, k => 4)")"
finish
