#!/usr/bin/env bash
# Installs the extension and runs what tests it from outside: the regression files, and each script under tests/ (not those in tools,
# bench, soak and fuzz). All are run, whatever fails; a list of the failures comes last. usage: sql.sh [SCRIPT...]
source "$(dirname "$0")/lib.sh"
find_postgres
say "installing the extension (dev profile)"
install_extension
cd "$ROOT"
if [ $# = 0 ]; then
  mapfile -t scripts < <(find tests -mindepth 1 -maxdepth 2 -name '*.sh' -not -path 'tests/tools/*' -not -path 'tests/bench/*' \
    -not -path 'tests/soak/*' -not -path 'tests/fuzz/*' | LC_ALL=C sort)
  set -- tests/tools/regress.sh "${scripts[@]}"
fi

scratch_folder
mkdir "$SCRATCH/template"
give_to_server "$SCRATCH/template"
export CLUSTER_TEMPLATE=$SCRATCH/template
failures=()
for script; do
  say "$script"
  start=$SECONDS
  if ! "./$script" 2>&1 | tee "$SCRATCH/output"; then
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
