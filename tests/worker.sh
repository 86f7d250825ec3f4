#!/usr/bin/env bash
# The inference service in a cluster of its own: who starts it, who may die, who waits and for how long.
# A stopped model process (SIGSTOP) stands for a slow one. usage: worker.sh [MODEL-DIRECTORY [PICTURE]]
source "$(dirname "$0")/tools/lib.sh"
find_postgres
scratch_cluster
model=$(for_server "$SCRATCH" "${1:-$ROOT/model/emoji}")
picture=$(for_server "$SCRATCH" "${2:-$ROOT/tests/fixtures/images/jpeg_420.jpg}")
trap 'continue_all; stop_cluster "$SCRATCH"; rm -rf "$SCRATCH"' EXIT
export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"

status() { ask -c "SELECT value FROM coop_status() WHERE name = '$1'"; }
children() { ps -o pid= --ppid "$1" | xargs; }
continue_all() { [ -z "${stopped:-}" ] || kill -CONT "$stopped" 2>/dev/null || true; stopped=; }
stop_model() { stopped=$(status model_process_pid); kill -STOP "$stopped"; }
seconds_since() { echo $(($(date +%s) - $1)); }
waits_for_model() { [ "$(ask -c "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'Extension' AND query LIKE '$1%'")" = "$2" ]; }
# A psql that takes its statements one by one.
open_session() { # NAME
  mkfifo "$SCRATCH/$1.in"
  ask <"$SCRATCH/$1.in" >"$SCRATCH/$1.out" 2>&1 &
  session=$!
  exec {to_session}>"$SCRATCH/$1.in"
}
tell() { echo "$1;" >&"$to_session"; }
lines() { [ "$(wc -l <"$SCRATCH/$1.out")" -ge "$2" ]; }
close_session() { exec {to_session}>&-; wait "$session"; }
embed="SELECT CASE WHEN coop_embed(photo) = known THEN 'same' ELSE 'other' END FROM photo"
answer=same

ask <<SQL
CREATE EXTENSION coopembed;
CREATE TABLE photo AS SELECT pg_read_binary_file('$picture') AS photo, NULL::coopvec AS known;
SQL
expect 'nothing runs before it is needed' 0 "$(status running)"
ask -c "SELECT coop_load_model('m', '$model')" >/dev/null

ask -c "UPDATE photo SET known = coop_embed(photo)"
postmaster=$(head -1 "$SCRATCH/data/postmaster.pid")
expect 'the first call starts the service' 1 "$(status running)"
supervisor=$(status supervisor_pid)
expect 'the model process is not a child of the postmaster' "$postmaster $supervisor" \
  "$(ps -o ppid= -p "$supervisor" | xargs) $(ps -o ppid= -p "$(status model_process_pid)" | xargs)"
expect 'the kernel would rather kill it than a backend' 800 "$(cat "/proc/$(status model_process_pid)/oom_score_adj")"
expect 'nothing of the server is open in it' 0 \
  "$(find "/proc/$(status model_process_pid)/fd" -lname "$SCRATCH/data/*" | wc -l)"

kill -TERM "$supervisor"
until_true 'the supervisor ends on SIGTERM' gone "$supervisor"
for i in $(seq 20); do ask -c "$embed" >"$SCRATCH/cold.$i" 2>&1 & done
wait
expect 'twenty cold calls at once all answer alike' "20 $answer" "$(cat "$SCRATCH"/cold.* | sort | uniq -c | xargs)"
supervisor=$(status supervisor_pid)
expect 'they share one supervisor with one model process' "$(status model_process_pid)" "$(children "$supervisor")"
expect 'and load the model once' 1 "$(status model_loads)"

before=$(status requests)
ask >/dev/null <<'SQL'
CREATE TABLE products AS SELECT i AS id, coop_embed(photo) AS emb FROM photo, generate_series(1, 3) i;
INSERT INTO products SELECT i, (SELECT emb FROM products LIMIT 1) FROM generate_series(4, 500) i;
SELECT id FROM products ORDER BY emb <-> coop_embed((SELECT photo FROM photo)) LIMIT 1;
SQL
expect 'a photo in ORDER BY is embedded once, not per row' $((before + 4)) "$(status requests)"

ask -c "SELECT coop_embed('nonsense')" 2>"$SCRATCH/error" && die 'nonsense was embedded'
expect_in 'bytes that are no picture are an error of the statement' 'ERROR' "$SCRATCH/error"

# Waiting can be interrupted. A session that was welcomed before the process stopped waits for its answer; a new one
# waits to be greeted.
start=$(date +%s)
open_session patient
tell "$embed"
until_true 'welcomed' lines patient 1
stop_model
tell 'SET statement_timeout = 500'
tell "$embed"
close_session && die 'a stopped process answered'
expect_in 'statement_timeout ends the wait for an answer' 'statement timeout' "$SCRATCH/patient.out"
ask -c "SET statement_timeout = 500" -c "$embed" 2>"$SCRATCH/error" && die 'a stopped process answered'
expect_in 'statement_timeout ends the wait for a greeting' 'statement timeout' "$SCRATCH/error"
[ "$(seconds_since "$start")" -lt 20 ] || die 'statement_timeout was slow'
ask -c "/* cancel me */ $embed" 2>"$SCRATCH/error" &
until_true 'waits' waits_for_model '/* cancel me */' 1
ask -c "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '/* cancel me */%'" >/dev/null
wait $! && die 'a stopped process answered'
expect_in 'pg_cancel_backend ends the wait' 'user request' "$SCRATCH/error"
ask -c "/* end me */ $embed" 2>"$SCRATCH/error" &
until_true 'waits' waits_for_model '/* end me */' 1
ask -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '/* end me */%'" >/dev/null
wait $! && die 'a stopped process answered'
expect_in 'pg_terminate_backend ends the wait' 'administrator command' "$SCRATCH/error"
continue_all
expect 'and it all goes on afterwards' "$answer" "$(ask -c "$embed")"

# The model process dies while a session waits for its answer; another session looks on.
up_since=$(ask -c 'SELECT pg_postmaster_start_time()')
open_session onlooker
onlooker=$session to_onlooker=$to_session
tell 'SELECT pg_backend_pid()'
for death in KILL SEGV; do
  open_session "bereaved-by-$death"
  tell "$embed"
  until_true 'welcomed' lines "bereaved-by-$death" 1
  stop_model
  tell "/* bereaved */ $embed"
  until_true 'waits' waits_for_model '/* bereaved */' 1
  kill "-$death" "$stopped"
  continue_all
  close_session && die 'a dead process answered'
  cp "$SCRATCH/bereaved-by-$death.out" "$SCRATCH/error"
  expect_in "a session whose model process got SIG$death is told" 'the model process of the inference service ended' "$SCRATCH/error"
  expect_in 'and told what to do' 'HINT:  Run the statement again' "$SCRATCH/error"
  expect 'the next call works' "$answer" "$(ask -c "$embed")"
done
session=$onlooker to_session=$to_onlooker
tell 'SELECT pg_backend_pid()'
close_session || die 'the onlooker was cut off'
expect 'other sessions live on' 1 "$(sort -u "$SCRATCH/onlooker.out" | wc -l)"
expect 'the server did not restart' "$up_since" "$(ask -c 'SELECT pg_postmaster_start_time()')"
expect 'nor the supervisor' "$supervisor" "$(status supervisor_pid)"
expect 'the log says what happened' 2 "$(grep -c 'the model process (PID [0-9]*) ended' "$SCRATCH/server.log")"

# New settings: a new process, and nobody notices.
old=$(status model_process_pid)
for i in $(seq 4); do
  for n in $(seq 15); do echo "$embed;"; done | ask >"$SCRATCH/reload.$i" 2>&1 &
done
sleep 0.3
ask -c "LOAD 'coopembed'" -c 'ALTER SYSTEM SET coopembed.queue_length = 1' -c 'SELECT pg_reload_conf()' >/dev/null
replaced() { [ "$(status model_process_pid)" != "$old" ]; }
until_true 'a new process takes the new settings' replaced
wait $(jobs -p) || true
if grep -qv "$answer" "$SCRATCH"/reload.*; then # a queue of one may be full, and nothing else may happen
  grep -hv "$answer" "$SCRATCH"/reload.* | grep -v 'queue is full\|DETAIL\|HINT' && die 'a reload disturbed a session'
fi
ok 'a reload replaces the model process without an error'

# The same by hand, under load.
old=$(status model_process_pid)
ask -c "LOAD 'coopembed'" -c 'ALTER SYSTEM RESET coopembed.queue_length' -c 'SELECT pg_reload_conf()' >/dev/null
until_true 'the queue is long again' replaced
for i in $(seq 4); do
  for n in $(seq 15); do echo "$embed;"; done | ask >"$SCRATCH/restart.$i" 2>&1 &
done
sleep 0.3
new=$(ask -c 'SELECT coop_worker_restart()')
expect 'coop_worker_restart returns the process that answers' "$new" "$(status model_process_pid)"
# Not the one that leaves, which answers for a moment yet.
restarts=$(for n in $(seq 20); do echo 'SELECT coop_worker_restart();'; done | ask -f -)
expect 'each time another' 20 "$(sort -u <<<"$restarts" | wc -l)"
expect 'and the last one answers' "$(tail -1 <<<"$restarts")" "$(status model_process_pid)"
wait $(jobs -p) || true
expect 'it disturbs no session' "60 $answer" "$(cat "$SCRATCH"/restart.* | sort | uniq -c | xargs)"
expect 'and is counted' t "$(ask -c 'SELECT restarts >= 2 AND crashes = 2 FROM coop_stat_worker')"
ask -c 'CREATE ROLE clerk'
ask -c 'SET ROLE clerk' -c 'SELECT coop_worker_restart()' 2>"$SCRATCH/error" && die 'a clerk restarted the service'
expect_in 'only for those who may' 'permission denied' "$SCRATCH/error"

# What monitoring sees: sums that grow by what was done.
stats() { ask -c 'SET ROLE clerk' -c 'SELECT requests, images, batches, (SELECT sum(images) FROM coop_stat_worker_batches) FROM coop_stat_worker' | tail -1; }
ask -c "$embed" >/dev/null
before=$(stats)
times=$(ask -c 'SELECT decode_ms, queue_ms, model_ms FROM coop_stat_worker')
for i in $(seq 5); do ask -c "$embed"; done >/dev/null
expect 'five pictures later the counters are larger by five' \
  "$(awk -F'|' '{ printf "%d|%d|%d|%d", $1 + 5, $2 + 5, $3 + 5, $4 + 5 }' <<<"$before")" "$(stats)"
expect 'and each sum of time has grown' t \
  "$(ask -c "SELECT (decode_ms, queue_ms, model_ms) > $(sed "s/|/::float8, /g; s/^/(/; s/$/::float8)/" <<<"$times")
               AND model_ms > $(cut -d'|' -f3 <<<"$times") FROM coop_stat_worker")"

# Two models where there is room for one: each call brings its own back. One that is larger than all the room is refused.
twin=$(twin_of "$model")
ask -c "SELECT coop_load_model('twin', '$twin')" -c "ALTER DATABASE postgres SET coopembed.model = 'm'" >/dev/null
# Of a model that has seen one picture at a time: larger batches have it keep larger buffers.
ask -c 'SELECT coop_worker_restart()' -c "$embed" >/dev/null
bytes=$(status model_bytes)
limit() {
  old=$(status model_process_pid)
  ask -c "LOAD 'coopembed'" -c "ALTER SYSTEM SET coopembed.memory_limit = '$1kB'" -c 'SELECT pg_reload_conf()' >/dev/null
  until_true 'a new process takes the limit' replaced
}
both="SELECT coop_embed(photo) IS NOT NULL, coop_embed(photo, 'twin') IS NOT NULL FROM photo"
limit $((bytes * 3 / 2 / 1024))
expect 'two models take turns in the room for one' 't|t t|t' "$(ask -c "$both" -c "$both" | xargs)"
expect 'the least recently used one leaves' '1|4|3' "$(ask -c 'SELECT models, model_loads, model_evictions FROM coop_stat_worker')"
limit $((bytes * 5 / 2 / 1024))
ask -c "$both" -c "$both" >/dev/null
expect 'with room for two each is loaded once' '2|2|0' "$(ask -c 'SELECT models, model_loads, model_evictions FROM coop_stat_worker')"
limit 1024
ask -c "$embed" 2>"$SCRATCH/error" && die 'a model took more than there is'
expect_in 'a model that is larger alone is an error' 'ERROR:  the model is too large for the inference service' "$SCRATCH/error"
expect_in 'with a hint' 'HINT:  Raise coopembed.memory_limit' "$SCRATCH/error"
ask -c 'ALTER DATABASE postgres RESET coopembed.model' -c "SELECT coop_drop_model('twin')" >/dev/null
old=$(status model_process_pid)
ask -c "LOAD 'coopembed'" -c 'ALTER SYSTEM RESET coopembed.memory_limit' -c 'ALTER SYSTEM SET coopembed.queue_length = 1' -c 'SELECT pg_reload_conf()' >/dev/null
until_true 'a new process' replaced

# All requests arrive at once: one runs, one waits, the others are refused.
ask -c "$embed" >/dev/null
stop_model
for i in $(seq 12); do ask -c "/* crowd */ $embed" >"$SCRATCH/crowd.$i" 2>&1 & done
until_true 'waits' waits_for_model '/* crowd */' 12
continue_all
wait $(jobs -p) || true
[ "$(cat "$SCRATCH"/crowd.* | grep -c "$answer")" -ge 1 ] || die 'nobody was served'
cat "$SCRATCH"/crowd.* >"$SCRATCH/error"
expect_in 'a full queue is an error' "ERROR:  the inference service's queue is full" "$SCRATCH/error"
expect_in 'with a hint' 'HINT:  .*coopembed.queue_length' "$SCRATCH/error"
old=$(status model_process_pid)
ask -c "LOAD 'coopembed'" -c 'ALTER SYSTEM RESET ALL' -c 'SELECT pg_reload_conf()' >/dev/null
until_true 'the queue is long again' replaced

# Its socket, its lock or their folder is removed while it lives: it is back at once, and nobody notices.
folder=$SCRATCH/data/pg_stat_tmp
supervisors() { ps -o args= --ppid "$postmaster" | grep -c 'coopembed inference supervisor' || true; }
descriptors() { find "/proc/$(status supervisor_pid)/fd" -mindepth 1 | wc -l; }
one_supervisor() { [ "$(supervisors)" = 1 ]; }
ask -c "$embed" >/dev/null
supervisor=$(status supervisor_pid)
open_files=$(descriptors)
open_session idle
tell "$embed"
until_true 'welcomed' lines idle 1
asked=1
for loss in socket socket socket file both folder anew lock; do
  case $loss in
    socket) rm "$folder/coopembed.sock" ;;
    file) rm "$folder/coopembed.sock"; echo >"$folder/coopembed.sock" ;;
    both) rm "$folder"/coopembed.* ;;
    folder) rm -rf "$folder" ;;
    anew) rm -rf "$folder"; as_server mkdir -m 700 "$folder" ;;
    lock) rm "$folder/coopembed.lock" ;;
  esac
  start=$(date +%s%N)
  tell "$embed"
  expect "without $loss the next call is answered" "$answer" "$(ask -c "$embed")"
  milliseconds=$((($(date +%s%N) - start) / 1000000))
  [ "$milliseconds" -lt 5000 ] || die "after $milliseconds ms"
  echo "    after $milliseconds ms"
  asked=$((asked + 1))
  until_true 'a session with a connection goes on' lines idle "$asked"
  until_true 'there is one supervisor' one_supervisor
  case $loss in socket | file) expect 'it is the same' "$supervisor" "$(status supervisor_pid)" ;; esac
  until_true 'it listens' test -S "$folder/coopembed.sock"
  until_true 'and holds a lock that others find' test -f "$folder/coopembed.lock"
done
close_session || die 'the idle session was cut off'
expect 'a session with a connection had all its answers' "$asked $answer" "$(sort "$SCRATCH/idle.out" | uniq -c | xargs)"
for i in $(seq 4); do
  for n in $(seq 15); do echo "$embed;"; done | ask >"$SCRATCH/lost.$i" 2>&1 &
done
sleep 0.3
rm "$folder/coopembed.sock"
wait $(jobs -p) || true
expect 'what is under way is answered' "60 $answer" "$(cat "$SCRATCH"/lost.* | sort | uniq -c | xargs)"
expect 'nothing leaks' "$open_files" "$(descriptors)"
supervisor=$(status supervisor_pid)

# A new library file: sessions that load it have the old service replaced.
touch "$("$PG_CONFIG" --pkglibdir)/coopembed.so"
expect 'a session with a newer library is served' "$answer" "$(ask -c "$embed")"
[ "$(status supervisor_pid)" != "$supervisor" ] || die 'the old supervisor still runs'
ok 'by a new supervisor'

for mode in fast immediate; do
  child=$(status model_process_pid)
  kill -STOP "$child"
  start=$(date +%s)
  (cd "$SCRATCH" && as_server "$BIN/pg_ctl" -D "$SCRATCH/data" -m $mode -w -s stop)
  [ "$(seconds_since "$start")" -le 5 ] || die "a $mode shutdown took $(seconds_since "$start") s"
  until_true 'the model process ends with the server' gone "$child"
  ok "$mode shutdown is quick and takes even a stopped model process along"
  start_cluster "$SCRATCH"
  expect 'and a new start works' "$answer" "$(ask -c "$embed")"
done
# A hot standby embeds too, with a service of its own.
mkdir "$SCRATCH/standby"
give_to_server "$SCRATCH/standby"
as_server "$BIN/pg_basebackup" -h "$SCRATCH" -U postgres -D "$SCRATCH/standby/data" -R -c fast --no-sync
expect 'a base backup leaves the socket out' 0 "$(find "$SCRATCH/standby/data" -name 'coopembed*' | wc -l)"
primary=$(status supervisor_pid)
trap 'continue_all; stop_cluster "$SCRATCH"; stop_cluster "$SCRATCH/standby"; rm -rf "$SCRATCH"' EXIT
start_cluster "$SCRATCH/standby"
expect 'a hot standby embeds' "t $answer" "$(ask -c 'SELECT pg_is_in_recovery()' -c "$embed" | xargs)"
[ "$(status supervisor_pid)" != "$primary" ] || die 'the standby uses the service of its primary'
ok 'with a service of its own'
stop_cluster "$SCRATCH/standby"
trap 'stop_cluster "$SCRATCH"; rm -rf "$SCRATCH"' EXIT
export PGHOST=$SCRATCH
stop_cluster "$SCRATCH"

start_cluster "$SCRATCH" max_worker_processes=0
ask -c "$embed" 2>"$SCRATCH/error" && die 'a service without a worker slot'
expect_in 'without a worker slot the error says so' 'HINT:  Raise max_worker_processes' "$SCRATCH/error"
stop_cluster "$SCRATCH"

start_cluster "$SCRATCH" shared_preload_libraries=coopembed
running() { [ "$(status running)" = 1 ]; }
until_true 'a preloaded library starts the service with the server' running
ok 'a preloaded library starts the service with the server'
expect 'and it serves' "$answer" "$(ask -c "$embed")"
echo "$passed passed, 0 failed"
