#!/usr/bin/env bash
# A hot standby replays the index: queries on it agree with its table while rows are inserted, deleted and vacuumed on the primary.
source "$(dirname "$0")/../tools/index_fixture.sh"
items_cluster 6000
start_standby standby hot_standby_feedback=on
(for _ in $(seq 12); do insert_items 250 && ask -c "DELETE FROM items WHERE random() < 0.05" -c "VACUUM items"; done) &
writer=$!
compared=0 wrong=0
while kill -0 $writer 2>/dev/null; do
  on_standby -c "SELECT count(compare()) FROM generate_series(1, 3)" >/dev/null || wrong=$((wrong + 1))
  compared=$((compared + 3))
done
wait $writer
expect "index and table of the standby agree while rows change ($compared queries)" 0 $wrong
standby_follows
expect 'the index of the standby is sound' t "$(on_standby -c "SELECT coop_index_check('items_emb') = (SELECT count(*) FROM items)")"
expect 'the index of the standby agrees with its table' 20 "$(on_standby -c "SELECT count(compare()) FROM generate_series(1, 20)")"
finish
