#!/usr/bin/env bash
# When more requests arrive at once than coopembed.queue_length, some are served and the others get an error.
source "$(dirname "$0")/../tools/inference_fixture.sh"
inference_cluster
start_service
set_and_reload 'ALTER SYSTEM SET coopembed.queue_length = 1'
ask -c "$embed" >/dev/null
stop_model_process
for i in $(seq 12); do ask -c "/* crowd */ $embed" >"$SCRATCH/crowd.$i" 2>&1 & done
until_true 'twelve sessions wait' waiting '/* crowd */' 12
resume_model_process
wait $(jobs -p) || true
cat "$SCRATCH"/crowd.* >"$SCRATCH/error"
check 'somebody is served' grep -q "$answer" "$SCRATCH/error"
expect_in 'a full queue is an error' "ERROR:  the inference service's queue is full" "$SCRATCH/error"
expect_in 'the HINT names the setting' 'HINT:  .*coopembed.queue_length' "$SCRATCH/error"
finish
