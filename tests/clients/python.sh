#!/usr/bin/env bash
# Python's clients, psycopg 3 and asyncpg, know nothing of coopembed's types: lists of numbers go in and come out, in text and in binary, use
# the index, and mistakes are errors that help. The programs of sql/clients.md run, with SQLAlchemy and Django too. Needs psycopg, numpy,
# asyncpg, SQLAlchemy and Django, which it installs into an environment under target/.
source "$(dirname "$0")/../tools/clients_fixture.sh"
find_postgres
scratch_folder
python=$("$ROOT/tests/bench/venv.sh" psycopg numpy asyncpg sqlalchemy django 2>"$SCRATCH/pip") || {
  echo "skipped: the packages cannot be had: $(tail -1 "$SCRATCH/pip")"
  exit
}
shop_of_clothes
for name in psycopg asyncpg SQLAlchemy Django; do
  guide_program "$name" >"$SCRATCH/guide_$name.py"
  program_runs "$name" "$python" "$SCRATCH/guide_$name.py"
done
"$BIN/createdb" emoji
rm -r "$SCRATCH/gallery"
export PGDATABASE=emoji
PGOPTIONS="-c client_min_messages=warning" load_demo
embed_demo products
ask -c 'CREATE INDEX products_emb ON products USING coop (emb)' -c 'CREATE TABLE taken (id int, emb coopvec(650))'
for case in lists numpy_arrays integers rows binary_copy results index mistakes; do
  check "psycopg: $case" "$python" "$ROOT/tests/clients/psycopg_client.py" "$case"
done
check 'asyncpg: lists, and embeddings as text' "$python" "$ROOT/tests/clients/asyncpg_client.py"
finish
