#!/usr/bin/env bash
# When the service's socket, its lock file or their folder is removed while it lives, it listens again at once, and no statement fails.
source "$(dirname "$0")/../tools/inference_fixture.sh"
inference_cluster
start_service
folder=$SCRATCH/data/pg_stat_tmp
supervisors() { ps -o args= --ppid "$postmaster" | grep -c 'coopembed inference supervisor' || true; }
descriptors() { find "/proc/$(status supervisor_pid)/fd" -mindepth 1 | wc -l; }
one_supervisor() { [ "$(supervisors)" = 1 ]; }
ask -c "$embed" >/dev/null
open_files=$(descriptors)
open_session idle
send idle "$embed"
until_true 'the session is connected' has_lines idle 1
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
  send idle "$embed"
  expect "without $loss the next call is answered" "$answer" "$(ask -c "$embed")"
  milliseconds=$((($(date +%s%N) - start) / 1000000))
  check "within five seconds ($milliseconds ms)" [ "$milliseconds" -lt 5000 ]
  asked=$((asked + 1))
  until_true 'a connected session goes on' has_lines idle "$asked"
  until_true 'there is one supervisor' one_supervisor
  case $loss in socket | file) expect 'the supervisor is the same' "$supervisor" "$(status supervisor_pid)" ;; esac
  until_true 'it listens' test -S "$folder/coopembed.sock"
  until_true 'and holds a lock that others find' test -f "$folder/coopembed.lock"
done
check 'the connected session is not cut off' close_session idle
expect 'it had all its answers' "$asked $answer" "$(sort "$SCRATCH/idle.out" | uniq -c | xargs)"
sessions_embed lost 4 15
sleep 0.3
rm "$folder/coopembed.sock"
wait $(jobs -p) || true
expect 'requests under way are answered' "60 $answer" "$(cat "$SCRATCH"/lost.* | sort | uniq -c | xargs)"
expect 'no file descriptor leaks' "$open_files" "$(descriptors)"
finish
