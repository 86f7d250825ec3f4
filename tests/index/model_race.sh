#!/usr/bin/env bash
# Sessions that insert rows of two models at the same time, some of which roll back, get the error for another model or succeed, and
# nothing else; the index stays sound. usage: model_race.sh [SECONDS]
source "$(dirname "$0")/../tools/index_model_fixture.sh"
seconds=${1:-10}
two_models_cluster
ask -c 'CREATE TABLE kept (id int, emb coopvec)' -c 'CREATE INDEX kept_emb ON kept USING coop (emb) WITH (tail_rows = 64)'
end=$((SECONDS + seconds))
clients=()
expected='holds embeddings of another model|different models cannot be compared|deadlock detected'
repeat() { # SQL...: until the time is over; errors that are not expected go to a file
  while [ $SECONDS -lt $end ]; do
    ask -v ON_ERROR_STOP=0 "$@" 2>&1 | grep -E '^(ERROR|PANIC|FATAL|server)' | grep -Ev "$expected" || true
  done >>"$SCRATCH/unexpected"
}
for _ in 1 2; do repeat -c 'BEGIN' -c "$(insert kept a 1 150)" -c 'ROLLBACK' & clients+=($!); done
for _ in 1 2; do repeat -c "$(insert kept b 1 20)" -c 'DELETE FROM kept' & clients+=($!); done
repeat -c 'VACUUM kept' -c 'SELECT pg_sleep(0.1)' & clients+=($!)
repeat -c 'SET enable_seqscan = off' -c "SELECT count(*) FROM (SELECT FROM kept ORDER BY emb <-> embedding(1, 'b')) t" & clients+=($!)
wait "${clients[@]}"
expect "for $seconds s there is no error but those for another model" '' "$(cat "$SCRATCH/unexpected")"
expect 'the index is sound' t "$(ask -c "SELECT coop_index_check('kept_emb') = count(*) FROM kept")"
ask -c 'DELETE FROM kept' -c "$(insert kept b 1 500)"
expect 'it takes the other model afterwards' 't|t|500 rows 500' "$(answers "'kept', 'b'") $(indexed kept_emb)"

ask -c "CREATE TABLE race (id int, emb coopvec)" -c "CREATE INDEX race_emb ON race USING coop (emb) WITH (tail_rows = 64)"
open_session first
for round in $(seq 5); do
  tell first "BEGIN; $(insert race a 1 400)" >/dev/null
  expect "rows that may still be committed keep another model out (round $round)" 'index race_emb holds embeddings of another model' \
    "$(error_of -c "$(insert race b 1 1)" | grep -o '^index race_emb holds embeddings of another model')"
  tell first 'ROLLBACK' >/dev/null
  clients=()
  for _ in 1 2 3; do ask -c "$(insert race b 1 100)" & clients+=($!); done
  wait "${clients[@]}"
  expect "after their rollback three sessions insert it at once (round $round)" 't|t|300 rows 300' "$(answers "'race', 'b'") $(indexed race_emb)"
  ask -c 'DELETE FROM race'
done
close_session first
finish
