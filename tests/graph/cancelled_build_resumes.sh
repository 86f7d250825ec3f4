#!/usr/bin/env bash
# A cancelled coop_build_knn() keeps what it has done, functions that read the graph warn that it is out of date, and the next call does the rest.
source "$(dirname "$0")/../tools/graph_fixture.sh"
graph_cluster 2400 # enough for several batches
ask -c "ANALYZE items"
build 2>"$SCRATCH/error" &
builder=$!
partly="SELECT images > 0 AND waiting > 0 AND waiting < images FROM coop_knn_graphs() WHERE graph = to_regclass('knn')"
until [ "$(ask -c "$partly")" = t ]; do kill -0 $builder || die 'it was too quick to be cancelled'; sleep 0.02; done
expect 'a build is cancelled' t "$(ask -c "SELECT bool_and(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'CALL coop_build_knn%'")"
check 'it fails' eval "! wait $builder"
expect_in 'with the usual error' 'canceling statement due to user request' "$SCRATCH/error"
expect 'it has done a part' t "$(ask -c "$partly")"
done_before=$(ask -c "SELECT md5(string_agg(knn::text, ' ' ORDER BY id)) FROM knn WHERE neighbours IS NOT NULL")
ids=$(ask -c "SELECT array_agg(id) FROM knn WHERE neighbours IS NOT NULL")
check 'coop_transition() warns that the graph is out of date' grep -q 'graph public.knn is out of date' \
  <(PGOPTIONS= ask -c "SELECT FROM coop_transition('items', 'id', 'emb', 21, 28, k => 4)" 2>&1)
build
expect 'the next call does the rest' "0 $done_before" "$(wrong) $(ask -c "SELECT md5(string_agg(knn::text, ' ' ORDER BY id)) FROM knn WHERE id = ANY ('$ids')")"
finish
