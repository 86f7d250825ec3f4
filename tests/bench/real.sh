#!/usr/bin/env bash
# The index on rows like a real model's: the bundled gallery's embeddings, mixed in pairs, with noise, and the model's own queries.
# usage: tests/bench/real.sh [rows]; expects `products` of the demo with its embeddings and model.
set -euo pipefail
rows=${1:-50000}
here=$(cd "$(dirname "$0")" && pwd)
psql() { command psql -X -q -v ON_ERROR_STOP=1 "$@"; }
psql -c "SET client_min_messages = warning" -c "DROP TABLE IF EXISTS gallery, gallery_vector" \
    -c "CREATE TABLE gallery (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, emb coopvec)"
psql -At -c "SELECT emb FROM products ORDER BY id" | awk -v rows="$rows" -f "$here/mixed.awk" | psql -c "COPY gallery (emb) FROM STDIN"
psql -c "VACUUM ANALYZE gallery" -c "CREATE INDEX gallery_index ON gallery USING coop (emb)"
psql -v questions=questions-real.sql -v peer=f -v probes=800 -f "$here/index.sql"
