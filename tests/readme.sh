#!/usr/bin/env bash
# Runs each ```sql block of the README against the bundled gallery and compares it with the ```text block after it.
# A block without one has only to succeed. What the models' cards say in SQL has only to succeed, too.
# usage: readme.sh [--write]  (--write puts the real answers into the README)
source "$(dirname "$0")/tools/lib.sh"
find_postgres
scratch_cluster
gallery=$(for_server "$SCRATCH" "$ROOT/src/demo/gallery")
model=$(for_server "$SCRATCH" "$ROOT/model/emoji")
"$BIN/createdb" readme
export PGDATABASE=readme PGOPTIONS="-c client_min_messages=warning"
psql_ -v gallery="$gallery" -v model="$model" -f "$ROOT/src/demo/load.sql"
# Pictures are there; the README begins with the extension.
psql_ -c "DROP EXTENSION coopembed CASCADE"

mkdir "$SCRATCH/blocks"
awk -v dir="$SCRATCH/blocks" '
  /^```sql$/  { n++; file = sprintf("%s/%02d.sql", dir, n); asked = 1; next }
  /^```text$/ { if (asked) { file = sprintf("%s/%02d.out", dir, n); printf "" > file; asked = 0; next } }
  /^```/      { file = ""; next }
  file        { print > file; next }
  NF          { asked = 0 }
' "$ROOT/README.md"
sed -i "s|/path/to/model/emoji|$model|" "$SCRATCH"/blocks/*.sql
cat "$ROOT"/model/*.md "$ROOT"/model/*/README.md | grep -oE '`(SELECT|CALL) [^`]+`' | tr -d '`' | sed 's/$/;/' >"$SCRATCH/blocks/cards.sql"

passed=0 failed=0
for sql in "$SCRATCH"/blocks/*.sql; do
  block=$(basename "$sql" .sql)
  expected=$SCRATCH/blocks/$block.out
  if ! (cd "$SCRATCH" && psql_ -P footer=off -f "$sql") >"$SCRATCH/$block.found" 2>&1; then
    # An error is an answer too, if the README shows it.
    sed -i 's/^psql:[^ ]*: //' "$SCRATCH/$block.found"
    [ -f "$expected" ] || { cat "$sql" "$SCRATCH/$block.found"; failed=$((failed + 1)); continue; }
  fi
  sed -i -e 's/[[:space:]]*$//' -e '/^$/d' "$SCRATCH/$block.found"
  if [ "${1:-}" = --write ] && [ -f "$expected" ]; then
    awk -v n=$((10#$block)) -v found="$SCRATCH/$block.found" '
      /^```sql$/  { i++; asked = 1 }
      /^```text$/ && asked && i == n { print; while ((getline line < found) > 0) print line; skip = 1; asked = 0; next }
      /^```/      { skip = 0 }
      !skip' "$ROOT/README.md" >"$SCRATCH/README.new" && cat "$SCRATCH/README.new" >"$ROOT/README.md"
  elif [ -f "$expected" ] && ! diff -u --label "README.md, SQL block $block" --label "found" \
      <(sed -e 's/[[:space:]]*$//' -e '/^$/d' "$expected") "$SCRATCH/$block.found"; then
    failed=$((failed + 1))
    continue
  fi
  passed=$((passed + 1))
done
echo "README: $passed passed, $failed failed"
[ "$failed" = 0 ]
