#!/usr/bin/env bash
# The index on rows of 8x50 numbers, beside pgvector's HNSW: building, inserting, answering.
# usage: tests/bench/index.sh [rows [rows-for-pgvector]]      (psql finds the server by PGHOST, PGDATABASE, ...)
set -euo pipefail
rows=${1:-200000}
few=${2:-20000} # pgvector takes minutes for more; its build grows faster than the rows
here=$(cd "$(dirname "$0")" && pwd)
psql() { command psql -X -q -v ON_ERROR_STOP=1 "$@"; }

psql -c "SET client_min_messages = warning" \
    -c "CREATE EXTENSION IF NOT EXISTS coopembed" \
    -c "DROP TABLE IF EXISTS gallery, gallery_few, gallery_vector" \
    -c "CREATE TABLE gallery (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, emb coopvec)"
awk -v rows="$rows" -f "$here/gallery.awk" | psql -c "COPY gallery (emb) FROM STDIN"
psql -c "VACUUM ANALYZE gallery" -c "CREATE TABLE gallery_few AS SELECT id, emb FROM gallery WHERE id <= $few"

# milliseconds WHAT: of one statement.
milliseconds() {
    local start
    start=$(date +%s%N)
    psql -c "SET max_parallel_maintenance_workers = 0" -c "SET maintenance_work_mem = '1GB'" -c "$1"
    echo $((($(date +%s%N) - start) / 1000000))
}
echo "build, $rows rows: $(milliseconds "CREATE INDEX gallery_emb ON gallery USING coop (emb)") ms"
psql -At -c "SELECT format('size: %s MB, %s bytes a dimension and row', pg_relation_size('gallery_emb') / 1000000,
    round(pg_relation_size('gallery_emb') / $rows.0 / 400, 3))"
echo "build, $few rows: $(milliseconds "CREATE INDEX ON gallery_few USING coop (emb)") ms"
added=$((few / 10))
echo "insert $added rows: $(milliseconds "INSERT INTO gallery_few SELECT id, emb FROM gallery WHERE id <= $added") ms"
if [ "$(psql -At -c "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'")" = 1 ]; then
    psql -c "SET client_min_messages = warning" \
        -c "CREATE EXTENSION IF NOT EXISTS vector" \
        -c "CREATE TABLE gallery_vector AS SELECT id, emb::real[]::vector(400) AS v FROM gallery WHERE id <= $few"
    echo "pgvector, build, $few rows: $(milliseconds "CREATE INDEX ON gallery_vector USING hnsw (v vector_l2_ops)") ms"
    echo "pgvector, insert $added rows: $(milliseconds "INSERT INTO gallery_vector SELECT id, v FROM gallery_vector WHERE id <= $added") ms"
fi
psql -f "$here/index.sql"
psql -c "DROP TABLE IF EXISTS gallery, gallery_few, gallery_vector"
