#!/usr/bin/env bash
# The index on rows like a real model's: mixes of two embeddings of the demo's gallery, with noise, and queries by the model's own names.
# usage: tests/bench/real.sh [ROWS]; expects the table `products` of the demo, embedded, and its model.
set -euo pipefail
rows=${1:-50000}
here=$(cd "$(dirname "$0")" && pwd)
psql() { command psql -X -q -v ON_ERROR_STOP=1 "$@"; }
psql -c "SET client_min_messages = warning" -c "DROP TABLE IF EXISTS gallery, gallery_vector" \
    -c "CREATE TABLE gallery (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, emb coopvec)"
psql -At -c "SELECT emb FROM products ORDER BY id" | awk -v rows="$rows" -f "$here/mixed.awk" | psql -c "COPY gallery (emb) FROM STDIN"
psql -c "VACUUM ANALYZE gallery" -c "CREATE INDEX gallery_index ON gallery USING coop (emb)"
psql -v queries=queries_real.sql -v peer=f -v probes=800 -f "$here/index.sql"
