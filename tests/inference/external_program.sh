#!/usr/bin/env bash
# The model process as a program of its own (coopembed.engine), as on servers with a GPU: it gives the same embeddings as the library, ends
# with its supervisor, and where it or its device cannot be used the library computes on the CPU and says why. Here the program is the one
# without CUDA. usage: external_program.sh [PROGRAM]
source "$(dirname "$0")/../tools/inference_fixture.sh"
program=${1:-$TARGET/debug/coopembed}
[ -n "${1:-}" ] || (cd "$ROOT" && cargo build -q --no-default-features --features cli --bin coopembed)
inference_cluster
program=$(for_server "$SCRATCH" "$program")
start_service

device() { ask -c "SELECT coop_embed(image) IS NOT NULL FROM one" -c "SELECT device FROM coop_stat_worker" | tail -1; }
executable() { readlink "/proc/$(column model_process_pid)/exe"; }
same="SELECT known = coop_embed(image) FROM one"
expect 'without a program the library computes' "cpu $BIN/postgres" "$(device) $(executable)"

for wrong in gpu cuda: cuda:-1 CPU ''; do
  expect_error "device '$wrong' is refused, with a list of devices" 'HINT:  Devices are auto, cpu, cuda and cuda:N' \
    -c "LOAD 'coopembed'" -c "ALTER SYSTEM SET coopembed.device = '$wrong'"
done

configure "engine=$program" device=cpu
expect 'the program computes' "cpu $program" "$(device) $(executable)"
expect 'its embeddings are the same to the bit' t "$(ask -c "$same")"
pid=$(column model_process_pid)
expect 'it is a child of the supervisor' "$(column supervisor_pid)" "$(ps -o ppid= -p "$pid" | xargs)"
expect 'the kernel kills it before a backend when memory is short' 800 "$(cat "/proc/$pid/oom_score_adj")"
expect 'it has no file of the server open' 0 "$(find "/proc/$pid/fd" -lname "$SCRATCH/data/*" | wc -l)"
ask -c 'SELECT coop_worker_restart()' >/dev/null
until_true 'a restart ends it' gone "$pid"
expect 'after coop_worker_restart() another process answers' "t $program" "$(ask -c "$same") $(executable)"
kill -KILL "$(column model_process_pid)"
expect 'as after SIGKILL' t "$(ask -c "$same")"
pid=$(column model_process_pid)
kill -STOP "$pid"
kill -KILL "$(ps -o ppid= -p "$pid" | xargs)" # the supervisor: PostgreSQL restarts everything, as after any crash of its children
until_true 'it dies with its supervisor, even stopped' gone "$pid"
back() { ask -c "$same" >"$SCRATCH/out" 2>&1 && [ "$(cat "$SCRATCH/out")" = t ]; }
until_true 'the server is back' back
ok 'it dies with its supervisor, even stopped'

configure "engine=$program" device=cuda:7
found=$(device)
check "without that GPU the library computes, and says so: $found" eval '[[ $found = "cpu (cuda:7: "* ]]'
expect 'the embeddings are the same' "t $BIN/postgres" "$(ask -c "$same") $(executable)"
configure "engine=$SCRATCH/nothing" device=cpu
expect 'without that program the library computes, and says so' "cpu (cpu: the program cannot be run, see the server's log)" "$(device)"
expect 'the log names the missing program' 1 "$(grep -c "computes on the CPU, not on cpu: .*the program is $SCRATCH/nothing: No such file" "$SCRATCH/server.log")"
# The setting is a superuser's to see (where the library is loaded: before, PostgreSQL knows nothing of it).
ask -c 'CREATE ROLE plain'
public() { ask -c 'SET ROLE plain' -c 'TABLE coop_stat_worker' -c 'SELECT coopembed.worker_stats()' -c 'SELECT * FROM coop_status()' 2>&1; }
expect_error 'an ordinary role may not see the setting' 'coopembed.engine' -c "LOAD 'coopembed'" -c 'SET ROLE plain' -c 'SHOW coopembed.engine'
expect 'no view tells it where the missing program should be' 0 "$(public | grep -c "$SCRATCH")"
printf '#!/bin/sh\necho "libcublas is not here" >&2\nexit 127\n' >"$SCRATCH/broken"
chmod 755 "$SCRATCH/broken"
configure "engine=$SCRATCH/broken" device=cpu
expect 'when the program ends at once the library computes, and says so' "cpu (cpu: the program ended at once, exit status: 127, see the server's log)" "$(device)"
expect 'the log names the program that ended' 1 "$(grep -c "ended at once, exit status: 127.*the program is $SCRATCH/broken" "$SCRATCH/server.log")"
expect 'no view tells an ordinary role where the program is' 0 "$(public | grep -c "$SCRATCH")"
expect 'the embeddings are the same again' "t $BIN/postgres" "$(ask -c "$same") $(executable)"
configure device=auto
expect 'device=auto does not complain where there is neither GPU nor program' cpu "$(device)"
finish
