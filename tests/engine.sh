#!/usr/bin/env bash
# The model process as a program of its own, as it is on servers with a GPU. Here the program is the one without CUDA.
# usage: engine.sh [MODEL-DIRECTORY [PROGRAM]]
source "$(dirname "$0")/tools/lib.sh"
find_postgres
program=${2:-$TARGET/debug/coopembed}
[ -n "${2:-}" ] || (cd "$ROOT" && cargo build -q --no-default-features --features cli --bin coopembed)
scratch_cluster
model=$(for_server "$SCRATCH" "${1:-$ROOT/model/emoji}")
picture=$(for_server "$SCRATCH" "$ROOT/tests/fixtures/images/jpeg_420.jpg")
program=$(for_server "$SCRATCH" "$program")
export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"

device() { ask -c "SELECT coop_embed(photo) IS NOT NULL FROM photo" -c "SELECT device FROM coop_stat_worker" | tail -1; }
executable() { readlink "/proc/$(column model_process_pid)/exe"; }

ask <<SQL
CREATE EXTENSION coopembed;
CREATE TABLE photo AS SELECT pg_read_binary_file('$picture') AS photo, NULL::coopvec AS known;
SQL
ask -c "SELECT coop_load_model('m', '$model')" -c "UPDATE photo SET known = coop_embed(photo)" >/dev/null
same="SELECT known = coop_embed(photo) FROM photo"
expect 'without a program the library computes' "cpu $BIN/postgres" "$(device) $(executable)"

for wrong in gpu cuda: cuda:-1 CPU ''; do
  ask -c "LOAD 'coopembed'" -c "ALTER SYSTEM SET coopembed.device = '$wrong'" 2>"$SCRATCH/error" && die "'$wrong' is a device"
  grep -q 'HINT:  Devices are auto, cpu, cuda and cuda:N' "$SCRATCH/error" || die "no hint: $(cat "$SCRATCH/error")"
done
ok 'what is no device is refused, with those that are'

configure "engine=$program" device=cpu
expect 'the program computes' "cpu $program" "$(device) $(executable)"
expect 'the same bits' t "$(ask -c "$same")"
pid=$(column model_process_pid)
expect 'it is the child of the supervisor' "$(column supervisor_pid)" "$(ps -o ppid= -p "$pid" | xargs)"
expect 'the kernel would rather kill it than a backend' 800 "$(cat "/proc/$pid/oom_score_adj")"
expect 'nothing of the server is open in it' 0 "$(find "/proc/$pid/fd" -lname "$SCRATCH/data/*" | wc -l)"
ask -c 'SELECT coop_worker_restart()' >/dev/null
until_true 'a restart ends it' gone "$pid"
expect 'and another one takes over' "t $program" "$(ask -c "$same") $(executable)"
kill -KILL "$(column model_process_pid)"
expect 'as after a kill' t "$(ask -c "$same")"
pid=$(column model_process_pid)
kill -STOP "$pid"
kill -KILL "$(ps -o ppid= -p "$pid" | xargs)" # the supervisor: PostgreSQL restarts all, as after any crash of its children
until_true 'it dies with its supervisor, even stopped' gone "$pid"
back() { ask -c "$same" >"$SCRATCH/out" 2>&1 && [ "$(cat "$SCRATCH/out")" = t ]; }
until_true 'the server is back' back
ok 'it dies with its supervisor'

configure "engine=$program" device=cuda:7
found=$(device)
[[ $found = "cpu (cuda:7: "* ]] || die "a GPU that is not there computes on '$found'"
ok "without that GPU the library computes, and says so: $found"
expect 'as before' "t $BIN/postgres" "$(ask -c "$same") $(executable)"
configure "engine=$SCRATCH/nothing" device=cpu
expect 'a program that is not there, too' "cpu (cpu: the program cannot be run, see the server's log)" "$(device)"
expect 'the log says which' 1 "$(grep -c "computes on the CPU, not on cpu: .*the program is $SCRATCH/nothing: No such file" "$SCRATCH/server.log")"
# The setting is a superuser's to see (where the library is loaded: before, PostgreSQL knows nothing of it).
ask -c 'CREATE ROLE plain'
public() { ask -c 'SET ROLE plain' -c 'TABLE coop_stat_worker' -c 'SELECT coopembed.worker_stats()' -c 'SELECT * FROM coop_status()' 2>&1; }
ask -c "LOAD 'coopembed'" -c 'SET ROLE plain' -c 'SHOW coopembed.engine' 2>"$SCRATCH/error" && die 'everybody sees where the program is'
expect 'nobody else is told where it is' 0 "$(public | grep -c "$SCRATCH")"
printf '#!/bin/sh\necho "libcublas is not here" >&2\nexit 127\n' >"$SCRATCH/broken"
chmod 755 "$SCRATCH/broken"
configure "engine=$SCRATCH/broken" device=cpu
expect 'and one that ends before it has begun' "cpu (cpu: the program ended at once, exit status: 127, see the server's log)" "$(device)"
expect 'the log says which' 1 "$(grep -c "ended at once, exit status: 127.*the program is $SCRATCH/broken" "$SCRATCH/server.log")"
expect 'nobody else is told where it is' 0 "$(public | grep -c "$SCRATCH")"
expect 'as before' "t $BIN/postgres" "$(ask -c "$same") $(executable)"
configure device=auto
expect 'auto does not complain where there is neither GPU nor program' cpu "$(device)"
echo "$passed passed, 0 failed"
