#!/usr/bin/env bash
# Masked distance in a sequential scan: coopvec against pgvector, on the same rows of 8x50 numbers.
# usage: tests/bench/seqscan.sh [rows]      (psql finds the server by PGHOST, PGDATABASE, ...; coopembed is created there,
# pgvector too if the server has it)
set -euo pipefail
rows=${1:-200000}
here=$(cd "$(dirname "$0")" && pwd)
psql() { command psql -X -q -v ON_ERROR_STOP=1 "$@"; }

psql -c "SET client_min_messages = warning" \
    -c "CREATE EXTENSION IF NOT EXISTS coopembed" \
    -c "DROP TABLE IF EXISTS gallery, gallery_vector" \
    -c "CREATE TABLE gallery (id int GENERATED ALWAYS AS IDENTITY, emb coopvec)"
awk -v rows="$rows" -f "$here/gallery.awk" | psql -c "COPY gallery (emb) FROM STDIN"
psql -c "VACUUM ANALYZE gallery"
if [ "$(psql -At -c "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'")" = 1 ]; then
    psql -c "SET client_min_messages = warning" \
        -c "CREATE EXTENSION IF NOT EXISTS vector" \
        -c "CREATE TABLE gallery_vector AS SELECT id, emb::real[]::vector(400) AS v FROM gallery" \
        -c "VACUUM ANALYZE gallery_vector"
fi
psql -f "$here/seqscan.sql"
psql -c "DROP TABLE IF EXISTS gallery, gallery_vector"
