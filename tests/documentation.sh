#!/usr/bin/env bash
# Every SQL statement in the documentation runs: each ```sql block of the README and the guides, in a database per document that holds
# the demo's table, and each statement in backquotes of the models' cards. Where a ```text block follows, the answer must be the same; a
# block without one has only to succeed. A ```sql example block is not run: it names objects that no test has.
# usage: documentation.sh [--write] [DOCUMENT...]   (--write puts the real answers into the ```text blocks)
source "$(dirname "$0")/tools/lib.sh"
write=
if [ "${1:-}" = --write ]; then write=1; shift; fi
cd "$ROOT"
documents=("$@")
if [ $# = 0 ]; then
  for document in *.md sql/*.md src/*.md model/*.md tests/*.md; do
    # tests/program/whole_way.sh runs that one, as its commands and statements depend on each other.
    if [ "$document" != model/whole_way.md ] && grep -q '^```sql$' "$document"; then documents+=("$document"); fi
  done
fi
find_postgres
scratch_cluster
export PGOPTIONS="-c client_min_messages=warning"

# What documents start from: the demo's images, and the same with their embeddings. A document that creates the extension itself starts
# from the images alone.
"$BIN/createdb" images
PGDATABASE=images load_clothes
"$BIN/createdb" -T images embeddings
psql_ -d embeddings -c "CALL coop_embed_table('products', 'image', 'emb')"
psql_ -d images -c "DROP EXTENSION coopembed CASCADE"

passed=0 failed=0

# blocks DOCUMENT FOLDER: its blocks as FOLDER/NN.sql, and what is expected of them as FOLDER/NN.out.
blocks() {
  mkdir "$2"
  awk -v dir="$2" '
    /^```sql$/  { n++; file = sprintf("%s/%02d.sql", dir, n); asked = 1; next }
    /^```text$/ { if (asked) { file = sprintf("%s/%02d.out", dir, n); printf "" > file; asked = 0; next } }
    /^```$/     { file = ""; next }
    /^```/      { file = ""; asked = 0; next }
    file        { print > file; next }
    NF          { asked = 0 }
  ' "$1"
  sed -i "s|/path/to/model/[a-z]*|$model|" "$2"/*.sql
}

# write_answer DOCUMENT N FILE: FILE becomes the answer of block N.
write_answer() {
  awk -v n="$2" -v found="$3" '
    /^```sql$/  { i++; asked = 1 }
    /^```text$/ && asked && i == n { print; while ((getline line < found) > 0) print line; skip = 1; asked = 0; next }
    /^```/      { skip = 0 }
    !skip' "$1" >"$SCRATCH/written" && cat "$SCRATCH/written" >"$1"
}

# run_block DOCUMENT FOLDER NN: false if the block fails, or answers something else than the document says.
run_block() {
  local sql=$2/$3.sql expected=$2/$3.out found=$2/$3.found
  if ! (cd "$SCRATCH" && psql_ -P footer=off -f "$sql") >"$found" 2>&1; then
    # An error is an answer too, if the document shows it.
    sed -i 's/^psql:[^ ]*: //' "$found"
    [ -f "$expected" ] || { echo "$1, SQL block $3:"; cat "$sql" "$found"; return 1; }
  fi
  sed -i -e 's/[[:space:]]*$//' -e '/^$/d' "$found"
  [ -f "$expected" ] || return 0
  if [ -n "$write" ]; then
    write_answer "$1" $((10#$3)) "$found"
  else
    diff -u --label "$1, SQL block $3" --label "found" <(sed -e 's/[[:space:]]*$//' -e '/^$/d' "$expected") "$found"
  fi
}

run_document() { # DOCUMENT
  local folder=$SCRATCH/${1//\//_} start=embeddings sql
  blocks "$1" "$folder"
  if grep -q '^CREATE EXTENSION coopembed' "$folder"/*.sql; then start=images; fi
  export PGDATABASE=${1//[^a-zA-Z]/_}
  "$BIN/createdb" -T "$start" "$PGDATABASE"
  # Embedding takes a while, and without answers to compare a few rows will do.
  [ -n "$(ls "$folder"/*.out 2>/dev/null)" ] || psql_ -c 'DELETE FROM products WHERE id > 40'
  for sql in "$folder"/*.sql; do
    if run_block "$1" "$folder" "$(basename "$sql" .sql)"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
  done
}

# run_cards: what the models' cards say in SQL; they are written by `coopembed train`.
run_cards() {
  local sql=$SCRATCH/cards.sql
  # What a card says holds for its own model.
  cat "$ROOT/model/clothes/README.md" | grep -oE '`(SELECT|CALL) [^`]+`' | tr -d '`' | sed 's/$/;/' >"$sql"
  export PGDATABASE=embeddings
  if psql_ -f "$sql" >"$SCRATCH/cards.found" 2>&1; then passed=$((passed + 1)); else cat "$SCRATCH/cards.found"; failed=$((failed + 1)); fi
}

for document in "${documents[@]}"; do
  if grep -q 'FOREIGN DATA WRAPPER postgres_fdw' "$document" && [ ! -f "$("$PG_CONFIG" --sharedir)/extension/postgres_fdw.control" ]; then
    echo "$document: skipped, postgres_fdw is not installed"
    continue
  fi
  run_document "$document"
done
[ $# -gt 0 ] || run_cards
echo "documentation: $passed passed, $failed failed"
[ "$failed" = 0 ]
