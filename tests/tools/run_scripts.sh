#!/usr/bin/env bash
# Runs test scripts, whatever fails, and ends with a list of the failures. The extension must be installed. JOBS scripts run at the same time
# (as many as there are processors); the output of each is printed when it ends. With JOBS=1 it is printed as it comes. A script that fails
# beside others runs once more alone, because some wait for things that a busy machine does late; the summary names it even if it then passes.
# usage: [JOBS=N] run_scripts.sh SCRIPT...
source "$(dirname "$0")/lib.sh"
find_postgres
scratch_folder
mkdir "$SCRATCH/template"
give_to_server "$SCRATCH/template"
export CLUSTER_TEMPLATE=$SCRATCH/template
init_cluster "$CLUSTER_TEMPLATE"
jobs=${JOBS:-$(nproc)}
[ $# -gt 1 ] || jobs=1
declare -A running=() # process id of a script: its number
failures=()

# run NUMBER SCRIPT: its output goes to a file of that number, and its seconds to another.
run() {
  local start=$SECONDS status=0
  "$(realpath "$2")" >"$SCRATCH/output.$1" 2>&1 || status=$?
  echo $((SECONDS - start)) >"$SCRATCH/seconds.$1"
  return "$status"
}

# Waits until a script ends, and reports it.
reap() {
  local pid number status=0
  wait -n -p pid "${!running[@]}" || status=$?
  number=${running[$pid]}
  unset "running[$pid]"
  if [ "$jobs" != 1 ]; then
    say "${scripts[number]}"
    cat "$SCRATCH/output.$number"
  fi
  echo "${scripts[number]} took $(cat "$SCRATCH/seconds.$number") s"
  [ "$status" = 0 ] || failures+=("$number")
}

scripts=("$@")
at_exit 'kill "${!running[@]}" 2>/dev/null || true'
for number in "${!scripts[@]}"; do
  if [ "$jobs" = 1 ]; then
    say "${scripts[number]}"
    : >"$SCRATCH/output.$number"
    tail -q -f "$SCRATCH/output.$number" &
    follower=$!
  fi
  run "$number" "${scripts[number]}" &
  running[$!]=$number
  [ "${#running[@]}" -lt "$jobs" ] || reap
  [ "$jobs" != 1 ] || { sleep 0.2; kill "$follower"; wait "$follower" 2>/dev/null || true; }
done
while [ "${#running[@]}" -gt 0 ]; do reap; done

# Those that failed beside others, alone.
unsteady=()
if [ "$jobs" != 1 ]; then
  failed_beside_others=("${failures[@]}")
  failures=()
  for number in "${failed_beside_others[@]}"; do
    say "${scripts[number]}, once more, alone"
    if run "$number" "${scripts[number]}"; then unsteady+=("${scripts[number]}"); else failures+=("$number"); fi
    cat "$SCRATCH/output.$number"
  done
fi

[ ${#unsteady[@]} = 0 ] || say "passed only when run alone: ${unsteady[*]}"
if [ ${#failures[@]} -gt 0 ]; then
  say "${#failures[@]} of $# scripts failed"
  for number in "${failures[@]}"; do
    echo "${scripts[number]}"
    grep -a '^FAILED: \|^error: ' "$SCRATCH/output.$number" | cut -c-300 | sed 's/^/  /' || true
  done
  exit 1
fi
say "all $# scripts passed"
