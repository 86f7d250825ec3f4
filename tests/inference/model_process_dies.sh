#!/usr/bin/env bash
# A model process that is killed or crashes costs the statements that wait for it an error, and nobody anything else: the supervisor starts
# another one, other sessions and the server live on.
source "$(dirname "$0")/../tools/inference_fixture.sh"
inference_cluster
start_service
up_since=$(ask -c 'SELECT pg_postmaster_start_time()')
open_session onlooker -v ON_ERROR_STOP=1
send onlooker 'SELECT pg_backend_pid()'
for death in KILL SEGV; do
  open_session "waits-$death" -v ON_ERROR_STOP=1
  send "waits-$death" "$embed"
  until_true 'the session is connected' has_lines "waits-$death" 1
  stop_model_process
  send "waits-$death" "/* waits */ $embed"
  until_true 'the session waits' waiting '/* waits */' 1
  kill "-$death" "$stopped"
  resume_model_process
  check "SIG$death: the waiting statement fails" eval "! close_session waits-$death"
  expect_in "SIG$death: the error says that the model process ended" 'the model process of the inference service ended' "$SCRATCH/waits-$death.out"
  expect_in "SIG$death: the HINT says to run the statement again" 'HINT:  Run the statement again' "$SCRATCH/waits-$death.out"
  expect "SIG$death: the next call works" "$answer" "$(ask -c "$embed")"
done
send onlooker 'SELECT pg_backend_pid()'
check 'other sessions live on' close_session onlooker
expect 'in the same process' 1 "$(sort -u "$SCRATCH/onlooker.out" | wc -l)"
expect 'the server did not restart' "$up_since" "$(ask -c 'SELECT pg_postmaster_start_time()')"
expect 'nor did the supervisor' "$supervisor" "$(status supervisor_pid)"
expect 'the log says what happened' 2 "$(grep -c 'the model process (PID [0-9]*) ended' "$SCRATCH/server.log")"
expect 'both deaths are counted' 2 "$(column crashes)"
finish
