#!/usr/bin/env bash
# Python's clients, psycopg 3 and asyncpg, know nothing of coopembed's types: lists of numbers go in and come out, in text and in binary, use
# the index, and mistakes are errors that help. The Python in sql/README.md runs. Needs psycopg, numpy and asyncpg, which it installs into an
# environment under target/.
source "$(dirname "$0")/../tools/lib.sh"
find_postgres
scratch_cluster
python=$("$ROOT/tests/bench/venv.sh" psycopg numpy asyncpg 2>"$SCRATCH/pip") || {
  echo "skipped: psycopg, numpy and asyncpg cannot be had: $(tail -1 "$SCRATCH/pip")"
  exit
}
export PGDATABASE=postgres
PGOPTIONS="-c client_min_messages=warning" load_demo
embed_demo products
ask -c 'CREATE INDEX products_emb ON products USING coop (emb)' -c 'CREATE TABLE taken (id int, emb coopvec(650))'
for case in lists numpy_arrays integers rows binary_copy results index mistakes; do
  check "psycopg: $case" "$python" "$ROOT/tests/clients/psycopg_client.py" "$case"
done
check 'asyncpg: lists, and embeddings as text' "$python" "$ROOT/tests/clients/asyncpg_client.py"
sed -n '/^```python$/,/^```$/ { /^```/d; p }' "$ROOT/sql/README.md" >"$SCRATCH/guide.py"
check 'the Python of the guide runs' test -s "$SCRATCH/guide.py"
expect 'and finds the row itself' '(41,)' "$("$python" "$SCRATCH/guide.py" 2>&1 | head -1)"
finish
