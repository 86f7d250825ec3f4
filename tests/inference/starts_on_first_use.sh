#!/usr/bin/env bash
# The inference service starts with the first call that needs it: a supervisor with one model process, for all sessions. An image in
# ORDER BY is embedded once per statement.
source "$(dirname "$0")/../tools/inference_fixture.sh"
inference_cluster
expect 'nothing runs before it is needed' 0 "$(status running)"
start_service
expect 'the first call starts the service' 1 "$(status running)"
model_process=$(status model_process_pid)
expect 'the model process is a child of the supervisor, not of the postmaster' "$postmaster $supervisor" \
  "$(ps -o ppid= -p "$supervisor" | xargs) $(ps -o ppid= -p "$model_process" | xargs)"
expect 'the kernel kills it before a backend when memory is short' 800 "$(cat "/proc/$model_process/oom_score_adj")"
expect 'it has no file of the server open' 0 "$(find "/proc/$model_process/fd" -lname "$SCRATCH/data/*" | wc -l)"

kill -TERM "$supervisor"
until_true 'the supervisor ends on SIGTERM' gone "$supervisor"
sessions_embed cold 20 1
wait
expect 'twenty first calls at once get the same answer' "20 $answer" "$(cat "$SCRATCH"/cold.* | sort | uniq -c | xargs)"
supervisor=$(status supervisor_pid)
expect 'they share one supervisor with one model process' "$(status model_process_pid)" "$(ps -o pid= --ppid "$supervisor" | xargs)"
expect 'the model is loaded once' 1 "$(status model_loads)"

before=$(status requests)
ask >/dev/null <<'SQL'
CREATE TABLE products AS SELECT i AS id, coop_embed(image) AS emb FROM one, generate_series(1, 3) i;
INSERT INTO products SELECT i, (SELECT emb FROM products LIMIT 1) FROM generate_series(4, 500) i;
SELECT id FROM products ORDER BY emb <-> coop_embed((SELECT image FROM one)) LIMIT 1;
SQL
expect 'an image in ORDER BY is embedded once, not per row' $((before + 4)) "$(status requests)"
expect_error 'bytes that are not an image are an error of the statement' 'ERROR' -c "SELECT coop_embed('nonsense')"
finish
