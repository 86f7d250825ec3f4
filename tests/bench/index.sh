#!/usr/bin/env bash
# The index beside pgvector's HNSW on the rows of load.sh: time to build, size, time to insert, time and recall of queries.
# usage: tests/bench/index.sh   (psql finds the server by PGHOST, PGDATABASE, ...)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
psql() { command psql -X -q -v ON_ERROR_STOP=1 "$@"; }
rows=$(psql -At -c "SELECT count(*) FROM gallery")
added=$((rows / 100))

# milliseconds SQL: prints how long the statement takes.
milliseconds() {
    local start
    start=$(date +%s%N)
    psql -c "SET max_parallel_maintenance_workers = 0" -c "SET maintenance_work_mem = '1GB'" -c "$1"
    echo $((($(date +%s%N) - start) / 1000000))
}
# measure WHO TABLE COLUMN INDEX: builds it, and times inserts into it, which are rolled back.
measure() {
    echo "$1, build, $rows rows: $(milliseconds "CREATE INDEX $2_index ON $2 USING $4") ms"
    psql -At -c "SELECT format('$1, size: %s MB, %s bytes a dimension and row', pg_relation_size('$2_index') / 1000000,
        round(pg_relation_size('$2_index') / $rows.0 / 400, 3))"
    echo "$1, insert $added rows: $(milliseconds "BEGIN; INSERT INTO $2 ($3) SELECT $3 FROM $2 LIMIT $added; ROLLBACK") ms"
    psql -c "VACUUM (INDEX_CLEANUP on) $2"
}
psql -c "SET client_min_messages = warning" -c "DROP INDEX IF EXISTS gallery_index, gallery_vector_index, gallery_vector_slice"
measure coopembed gallery emb 'coop (emb)'
peer=$(psql -At -c "SELECT to_regclass('gallery_vector') IS NOT NULL")
if [ "$peer" = t ]; then
    measure pgvector gallery_vector v 'hnsw (v vector_l2_ops)'
    slice='((subvector(v, 151, 50)::vector(50)) vector_l2_ops)'
    echo "pgvector, build, one attribute alone: $(milliseconds "CREATE INDEX gallery_vector_slice ON gallery_vector USING hnsw $slice") ms"
fi
psql -v queries=queries_made.sql -v peer="$peer" -f "$here/index.sql"
