#!/usr/bin/env bash
# A session that waits for the model process can be cancelled, terminated or timed out. One that was connected before the process stopped
# waits for its answer; a new one waits for the connection.
source "$(dirname "$0")/../tools/inference_fixture.sh"
inference_cluster
start_service
start=$(date +%s)
open_session patient -v ON_ERROR_STOP=1
send patient "$embed"
until_true 'the session is connected' has_lines patient 1
stop_model_process
send patient 'SET statement_timeout = 500'
send patient "$embed"
check 'a stopped process does not answer' eval '! close_session patient'
expect_in 'statement_timeout ends the wait for an answer' 'statement timeout' "$SCRATCH/patient.out"
expect_error 'statement_timeout ends the wait for a connection' 'statement timeout' -c "SET statement_timeout = 500" -c "$embed"
check 'within 20 seconds' [ "$(seconds_since "$start")" -lt 20 ]
for how in cancel terminate; do
  message=$([ $how = cancel ] && echo 'user request' || echo 'administrator command')
  ask -c "/* $how me */ $embed" >"$SCRATCH/error" 2>&1 &
  until_true 'the session waits' waiting "/* $how me */" 1
  ask -c "SELECT pg_${how}_backend(pid) FROM pg_stat_activity WHERE query LIKE '/* $how me */%'" >/dev/null
  check "pg_${how}_backend() makes the statement fail" eval "! wait $!"
  expect_in "pg_${how}_backend() ends the wait" "$message" "$SCRATCH/error"
done
resume_model_process
expect 'the service answers again afterwards' "$answer" "$(ask -c "$embed")"
finish
