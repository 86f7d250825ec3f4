#!/usr/bin/env bash
# Rows per second that one INSERT of 1,000 rows reaches, embedded by a trigger before each row, by one after the statement, and afterwards by
# coop_embed_table(), with the emoji model. The three take turns; the best of ROUNDS counts.
# usage: [ROWS=1000] [ROUNDS=3] tests/bench/triggers.sh
source "$(dirname "$0")/../tools/lib.sh"
find_postgres
scratch_cluster
export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"
load_demo 200
ask <<SQL
CREATE TABLE images AS SELECT row_number() OVER ()::int AS id, image FROM products, generate_series(1, 1 + ${ROWS:=1000} / 200) LIMIT $ROWS;
CREATE TABLE by_row (id int PRIMARY KEY, image bytea, emb coopvec);
CREATE TABLE by_statement (LIKE by_row INCLUDING ALL);
CREATE TABLE by_call (LIKE by_row INCLUDING ALL);
CREATE TRIGGER embed BEFORE INSERT ON by_row FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb');
CREATE TRIGGER embed AFTER INSERT ON by_statement REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION coop_embed_trigger('image', 'emb');
SQL
ask -o /dev/null -c 'SELECT coop_embed(image) FROM products LIMIT 1' # starts the service
seconds() { # SQL...: how long it takes
  local start=$EPOCHREALTIME
  ask "$@"
  echo "$EPOCHREALTIME $start" | awk '{print $1 - $2}'
}
for ((round = 0; round < ${ROUNDS:-3}; round++)); do
  for table in by_row by_statement by_call; do
    ask -c "TRUNCATE $table"
    statements=(-c "INSERT INTO $table SELECT * FROM images")
    [ $table != by_call ] || statements+=(-c "CALL coop_embed_table('by_call', 'image', 'emb')")
    echo "$table $(seconds "${statements[@]}")"
  done
done | awk -v rows="$ROWS" '!($1 in best) || $2 < best[$1] { best[$1] = $2 } END { for (t in best) printf "%-14s %6.0f rows/s\n", t, rows / best[t] }' | sort
