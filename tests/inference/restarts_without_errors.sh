#!/usr/bin/env bash
# New settings, and coop_worker_restart(), replace the model process while sessions embed, and no statement fails for it. The counters of
# coop_stat_worker count what was done.
source "$(dirname "$0")/../tools/inference_fixture.sh"
inference_cluster
start_service

sessions_embed reload 4 15
sleep 0.3
set_and_reload 'ALTER SYSTEM SET coopembed.queue_length = 1'
wait $(jobs -p) || true
# A queue of one may be full, and nothing else may happen.
expect 'a reload of settings replaces the model process without an error' '' "$(grep -hv "$answer" "$SCRATCH"/reload.* | grep -v 'queue is full\|DETAIL\|HINT' || true)"

set_and_reload 'ALTER SYSTEM RESET coopembed.queue_length'
sessions_embed restart 4 15
sleep 0.3
new=$(ask -c 'SELECT coop_worker_restart()')
expect 'coop_worker_restart() returns the process that answers from now on' "$new" "$(status model_process_pid)"
restarts=$(for _ in $(seq 20); do echo 'SELECT coop_worker_restart();'; done | ask -f -)
expect 'twenty restarts start twenty processes' 20 "$(sort -u <<<"$restarts" | wc -l)"
expect 'and the last one answers' "$(tail -1 <<<"$restarts")" "$(status model_process_pid)"
wait $(jobs -p) || true
expect 'no session sees an error' "60 $answer" "$(cat "$SCRATCH"/restart.* | sort | uniq -c | xargs)"
expect 'restarts are counted, and are no crashes' t "$(ask -c 'SELECT restarts >= 2 AND crashes = 0 FROM coop_stat_worker')"
ask -c 'CREATE ROLE clerk'
expect_error 'an ordinary role may not restart the service' 'permission denied' -c 'SET ROLE clerk' -c 'SELECT coop_worker_restart()'

stats() { ask -c 'SET ROLE clerk' -c 'SELECT requests, images, batches, (SELECT sum(images) FROM coop_stat_worker_batches) FROM coop_stat_worker' | tail -1; }
ask -c "$embed" >/dev/null
before=$(stats)
times=$(ask -c 'SELECT decode_ms, queue_ms, model_ms FROM coop_stat_worker')
for _ in $(seq 5); do ask -c "$embed"; done >/dev/null
expect 'five images later the counters are larger by five' \
  "$(awk -F'|' '{ printf "%d|%d|%d|%d", $1 + 5, $2 + 5, $3 + 5, $4 + 5 }' <<<"$before")" "$(stats)"
expect 'and each sum of times has grown' t \
  "$(ask -c "SELECT (decode_ms, queue_ms, model_ms) > $(sed "s/|/::float8, /g; s/^/(/; s/$/::float8)/" <<<"$times")
               AND model_ms > $(cut -d'|' -f3 <<<"$times") FROM coop_stat_worker")"
finish
