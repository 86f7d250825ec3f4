#!/usr/bin/env bash
# Runs test scripts one after the other, whatever fails, and ends with a list of the failures. The extension must be installed.
# usage: run_scripts.sh SCRIPT...
source "$(dirname "$0")/lib.sh"
find_postgres
scratch_folder
mkdir "$SCRATCH/template"
give_to_server "$SCRATCH/template"
export CLUSTER_TEMPLATE=$SCRATCH/template
failures=()
for script; do
  say "$script"
  start=$SECONDS
  if ! "$(realpath "$script")" 2>&1 | tee "$SCRATCH/output"; then
    failures+=("$script")
    grep -a '^FAILED: \|^error: ' "$SCRATCH/output" | cut -c-300 >"$SCRATCH/failed.${#failures[@]}" || true
  fi
  echo "$script took $((SECONDS - start)) s"
done

if [ ${#failures[@]} -gt 0 ]; then
  say "${#failures[@]} of $# scripts failed"
  for i in "${!failures[@]}"; do
    echo "${failures[i]}"
    sed 's/^/  /' "$SCRATCH/failed.$((i + 1))"
  done
  exit 1
fi
say "all $# scripts passed"
