#!/usr/bin/env bash
# Runs all of tests/embedding on servers that are short of memory: statements may fail there, and no process of the server may crash.
# usage: [MEMORY_STEPS="MB..."] embed_table.sh
source "$(dirname "$0")/../tools/lib.sh"
scratch_folder
for megabytes in ${MEMORY_STEPS:-620 700}; do
  for script in "$ROOT"/tests/embedding/*.sh; do
    name=$(basename "$script" .sh)
    passes=$(SERVER_MEMORY=$((megabytes * 1024)) KEEP_LOG=$SCRATCH/$name.log "$script" 2>&1 | grep -c '^ok' || true)
    expect "$megabytes MB: no process crashes in embedding/$name.sh, of which $passes checks pass" '' "$(crashes "$SCRATCH/$name.log" 2>&1)"
  done
done
finish
