#!/usr/bin/env bash
# Random bytes on pages of the index: coop_index_check() notices most of them, scans and inserts report an error or go on, and nothing
# crashes; REINDEX repairs the index. usage: damaged_pages.sh [ROUNDS]
source "$(dirname "$0")/../tools/index_fixture.sh"
rounds=${1:-40}
items_cluster 9000
file=$(ask -c "SELECT pg_relation_filepath('items_emb')")
blocks=$(ask -c "SELECT pg_relation_size('items_emb') / 8192")
ask -c "CHECKPOINT"
cp "$SCRATCH/data/$file" "$SCRATCH/sound"
noticed=0 crashed=0
for round in $(seq "$rounds"); do
  stop_cluster "$SCRATCH"
  cp "$SCRATCH/sound" "$SCRATCH/data/$file"
  give_to_server "$SCRATCH/data/$file"
  # Somewhere in the payload of some page, the first three more often than chance has it.
  block=$((round % 4 == 0 ? round % 3 : RANDOM % blocks))
  for _ in $(seq 8); do
    printf "\\x$(printf %02x $((RANDOM % 256)))" | dd of="$SCRATCH/data/$file" bs=1 seek=$((block * 8192 + (block == 0 ? 24 + RANDOM % 64 : 24 + RANDOM % 8168))) conv=notrunc status=none
  done
  start_cluster "$SCRATCH" autovacuum=off
  ask -c "\\set VERBOSITY verbose" -c "SELECT coop_index_check('items_emb')" >"$SCRATCH/found" 2>&1 || noticed=$((noticed + 1))
  ask -c "SET enable_seqscan = off; SET statement_timeout = '20s'; SELECT count(*) FROM (SELECT emb FROM items ORDER BY emb <-> (SELECT emb FROM items WHERE emb IS NOT NULL LIMIT 1)) t" >>"$SCRATCH/found" 2>&1 || true
  ask -c "BEGIN; INSERT INTO items (emb) SELECT random_embedding(i) FROM generate_series(1, 300) i; ROLLBACK" >>"$SCRATCH/found" 2>&1 || true
  if grep -E 'PANIC|panicked|terminated by signal|server closed|Internal' "$SCRATCH/found" "$SCRATCH/server.log"; then
    echo "round $round, block $block: $(cat "$SCRATCH/found")"
    crashed=$((crashed + 1))
  fi
done
expect 'damaged pages crash nothing' 0 $crashed
check "coop_index_check() notices at least half of the damage ($noticed of $rounds)" [ "$noticed" -ge $((rounds / 2)) ]
stop_cluster "$SCRATCH"
dd if=/dev/zero of="$SCRATCH/data/$file" bs=1 seek=24 count=8 conv=notrunc status=none
start_cluster "$SCRATCH" autovacuum=off
expect 'without a metapage, a sequential scan still answers' 3 \
  "$(ask -c "SET enable_indexscan = off" -c "SELECT count(*) FROM (SELECT emb FROM items ORDER BY emb <-> '4x16@0000002a:{0;1:1*[1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}'::coopquery LIMIT 3) t")"
ask -c "REINDEX INDEX items_emb"
expect 'REINDEX repairs the index' t "$(sound)"
finish
