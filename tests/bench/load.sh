#!/usr/bin/env bash
# Creates the tables that seqscan.sql and index.sh measure: `gallery(id, emb)` with embeddings of 8x50 numbers, and, if the server has pgvector,
# `gallery_vector(id, v)` with the same numbers. usage: tests/bench/load.sh [ROWS]   (psql finds the server by PGHOST, PGDATABASE, ...)
set -euo pipefail
rows=${1:-200000}
here=$(cd "$(dirname "$0")" && pwd)
psql() { command psql -X -q -v ON_ERROR_STOP=1 "$@"; }

psql -c "SET client_min_messages = warning" \
    -c "CREATE EXTENSION IF NOT EXISTS coopembed" \
    -c "DROP TABLE IF EXISTS gallery, gallery_vector" \
    -c "CREATE TABLE gallery (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, emb coopvec)"
awk -v rows="$rows" -f "$here/gallery.awk" | psql -c "COPY gallery (emb) FROM STDIN"
psql -c "VACUUM ANALYZE gallery"
if [ "$(psql -At -c "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'")" = 1 ]; then
    psql -c "SET client_min_messages = warning" \
        -c "CREATE EXTENSION IF NOT EXISTS vector" \
        -c "CREATE TABLE gallery_vector AS SELECT id, emb::real[]::vector(400) AS v FROM gallery" \
        -c "VACUUM ANALYZE gallery_vector"
fi
