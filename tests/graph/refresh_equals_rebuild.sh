#!/usr/bin/env bash
# coop_build_knn() after random inserts, updates and deletes gives the lists that comparing all rows gives, and leaves lists alone that stay the
# same; in all attributes and in one. usage: refresh_equals_rebuild.sh [ROUNDS]
source "$(dirname "$0")/../tools/graph_fixture.sh"
rounds=${1:-6}
graph_cluster 0
build
expect 'the graph of no rows is empty' 0 "$(ask -c 'SELECT count(*) FROM knn')"
insert 1 3 && build
expect 'with fewer rows than neighbours, lists are shorter' '0 2' "$(wrong) $(ask -c 'SELECT max(cardinality(neighbours)) FROM knn')"
insert 4 900 && ask -c "INSERT INTO items VALUES (0, NULL)" && build
expect 'a build finds the nearest rows' 0 "$(wrong)"
ask -c "ANALYZE"
lists="SELECT string_agg(xmin::text || ctid, ' ' ORDER BY id) FROM knn"
before=$(ask -c "$lists")
build
expect 'a refresh without changes changes nothing' "$before" "$(ask -c "$lists")"
for round in $(seq "$rounds"); do
  ask -c "SELECT setseed(0.$round)" \
    -c "DELETE FROM items WHERE random() < 0.03" \
    -c "UPDATE items SET emb = made_embedding(id + 1000 * $round) WHERE random() < 0.03" \
    -c "UPDATE items SET emb = NULL WHERE random() < 0.01" \
    -c "UPDATE items SET emb = made_embedding(id) WHERE emb IS NULL AND random() < 0.3" \
    -c "INSERT INTO items SELECT 1000 * $round + i, made_embedding(77 * $round + i) FROM generate_series(1, (random() * 60)::int) i" \
    -c "UPDATE items SET id = -id WHERE random() < 0.01" >/dev/null
  outdated=$(wrong)
  check "round $round: the changes put lists out of date ($outdated)" [ "$outdated" -gt 0 ]
  last=$(ask -c 'SELECT max(xmin::text::bigint) FROM knn')
  build
  expect "round $round: a refresh equals a build from nothing" 0 "$(wrong)"
  expect "round $round: lists that stay the same are not written" t "$(ask -c "SELECT count(*) > 100 FROM knn WHERE xmin::text::bigint <= $last")"
done
in_hue="CALL coop_build_knn('items', 'id', 'emb', 'hues', 4, 'hue')"
ask -c "$in_hue"
expect 'a build in one attribute finds the nearest rows' 0 "$(ask -c "SELECT wrong('hues', 4, 'hue')")"
ask -c "UPDATE items SET emb = made_embedding(id + 7) WHERE id % 30 = 0" -c "INSERT INTO items SELECT i, made_embedding(i) FROM generate_series(20000, 20020) i"
ask -c "$in_hue"
expect 'and so does its refresh' 0 "$(ask -c "SELECT wrong('hues', 4, 'hue')")"
ask -c "SET coopembed.probes = 1" -c "SET coopembed.candidates = 1" -c "CALL coop_build_knn('items', 'id', 'emb', 'knn', 4)"
expect 'a setting for approximate answers does not make a graph approximate' 0 "$(wrong)"
finish
