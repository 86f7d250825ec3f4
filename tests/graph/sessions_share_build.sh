#!/usr/bin/env bash
# Three sessions that build the same graph at once share the work, while rows are inserted, updated and deleted.
source "$(dirname "$0")/../tools/graph_fixture.sh"
graph_cluster 2400
ask -c "ANALYZE items"
build
ask -c 'UPDATE knn SET neighbours = NULL, distances = NULL'
# A session that computes lists has this lock.
builders() { ask -c "SELECT count(DISTINCT pid) FROM pg_locks WHERE relation = 'knn'::regclass AND mode = 'RowExclusiveLock' AND granted"; }
for i in $(seq 10); do
  ask -c "INSERT INTO items SELECT 40000 + 10 * $i + j, made_embedding(40000 + 10 * $i + j) FROM generate_series(1, 10) j" \
    -c "DELETE FROM items WHERE id % 200 = $i" -c "UPDATE items SET emb = made_embedding(id + 3) WHERE id % 200 = 100 + $i"
done &
changes=$!
sessions=()
for session in 1 2 3; do
  build 2>"$SCRATCH/error$session" &
  sessions+=($!)
done
most=0
while kill -0 "${sessions[@]}" 2>/dev/null; do
  now=$(builders)
  [ "$now" -le "$most" ] || most=$now
done
wait $changes "${sessions[@]}" || true
expect 'no session fails' '' "$(cat "$SCRATCH"/error[123])"
expect 'each computes lists' 3 "$most"
build
expect 'the next call has the rest' 0 "$(wrong)"
finish
