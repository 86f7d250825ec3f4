#!/usr/bin/env bash
# The service ends with the server, even a stopped model process; it starts again after a restart, with a newer library, and with the server
# where shared_preload_libraries names the library. Without a worker slot the error says so.
source "$(dirname "$0")/../tools/inference_fixture.sh"
inference_cluster
start_service

touch "$("$PG_CONFIG" --pkglibdir)/coopembed.so"
expect 'a session with a newer library is served' "$answer" "$(ask -c "$embed")"
check 'by a new supervisor' [ "$(status supervisor_pid)" != "$supervisor" ]

for mode in fast immediate; do
  child=$(status model_process_pid)
  kill -STOP "$child"
  start=$(date +%s)
  (cd "$SCRATCH" && as_server "$BIN/pg_ctl" -D "$SCRATCH/data" -m $mode -w -s stop)
  check "a $mode shutdown takes at most 5 s with a stopped model process" [ "$(seconds_since "$start")" -le 5 ]
  until_true 'the model process ends with the server' gone "$child"
  start_cluster "$SCRATCH"
  expect "the service answers after a $mode shutdown and a start" "$answer" "$(ask -c "$embed")"
done

stop_cluster "$SCRATCH"
start_cluster "$SCRATCH" max_worker_processes=0
expect_error 'without a worker slot the HINT says so' 'HINT:  Raise max_worker_processes' -c "$embed"
stop_cluster "$SCRATCH"

start_cluster "$SCRATCH" shared_preload_libraries=coopembed
running() { [ "$(status running)" = 1 ]; }
until_true 'a preloaded library starts the service with the server' running
expect 'a preloaded library starts the service with the server, which answers' "$answer" "$(ask -c "$embed")"
finish
