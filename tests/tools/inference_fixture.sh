# Sourced by tests/inference/*.sh: a cluster with the shipped model and one image whose embedding is known. A model process that is
# stopped with SIGSTOP stands for a slow one.
# shellcheck shell=bash
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# inference_cluster [settings...]: the table `one` has an image and, if the service has been started, its embedding.
inference_cluster() {
  find_postgres
  scratch_cluster "$@"
  at_exit resume_model_process
  export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"
  model=$(for_server "$SCRATCH" "$ROOT/model/emoji")
  image=$(for_server "$SCRATCH" "$ROOT/tests/fixtures/images/jpeg_420.jpg")
  ask -c 'CREATE EXTENSION coopembed' -c "CREATE TABLE one AS SELECT pg_read_binary_file('$image') AS image, NULL::coopvec AS known"
  postmaster=$(head -1 "$SCRATCH/data/postmaster.pid")
}
load_model() { ask -c "SELECT coop_load_model('m', '$model')" >/dev/null; }
start_service() { # Embeds the image, which starts the service.
  load_model
  ask -c "UPDATE one SET known = coop_embed(image)"
  supervisor=$(status supervisor_pid)
}
# Says "same" if the service answers with the known embedding.
embed="SELECT CASE WHEN coop_embed(image) = known THEN 'same' ELSE 'other' END FROM one"
answer=same

status() { ask -c "SELECT value FROM coop_status() WHERE name = '$1'"; }
stop_model_process() { stopped=$(status model_process_pid); kill -STOP "$stopped"; }
resume_model_process() { [ -z "${stopped:-}" ] || kill -CONT "$stopped" 2>/dev/null || true; stopped=; }
# waiting COMMENT NUMBER: so many statements that begin with the comment wait for the model process.
waiting() { [ "$(ask -c "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'Extension' AND query LIKE '$1%'")" = "$2" ]; }
has_lines() { [ "$(wc -l <"$SCRATCH/$1.out")" -ge "$2" ]; } # SESSION NUMBER: it has printed so many lines
seconds_since() { echo $(($(date +%s) - $1)); }
# Starts sessions that each embed the image so many times; what they print goes to $SCRATCH/NAME.1, and so on.
sessions_embed() { # NAME SESSIONS TIMES
  local i
  for i in $(seq "$2"); do
    for _ in $(seq "$3"); do echo "$embed;"; done | ask >"$SCRATCH/$1.$i" 2>&1 &
  done
}
# Changes settings of the cluster, and waits for the model process that has them.
set_and_reload() { # "ALTER SYSTEM ..."...
  local old statement
  old=$(status model_process_pid)
  for statement; do ask -c "LOAD 'coopembed'" -c "$statement"; done
  ask -c 'SELECT pg_reload_conf()' >/dev/null
  replaced() { [ "$(status model_process_pid)" != "$old" ]; }
  until_true 'a new model process has the settings' replaced
}
