#!/usr/bin/env bash
# The first query of the README, "anything with a v-neck", in SQL: on the garments that tests/garments.rs draws, with the model that it trains.
source "$(dirname "$0")/tools/lib.sh"
find_postgres
home=$TARGET/tmp/garments
[ -f "$home/model/model.safetensors" ] || (cd "$ROOT" && cargo test --no-default-features --features cli --test garments)
scratch_cluster
garments=$(for_server "$SCRATCH" "$home")
"$BIN/createdb" garments
export PGDATABASE=garments PGOPTIONS="-c client_min_messages=warning"
psql_ -v data="$garments/data" -v model="$garments/model" <<'SQL'
CREATE EXTENSION coopembed;
SELECT coop_load_model('garments', :'model') \gset
CREATE TABLE listed (
    path text, instance text, category text, split text, "group" text,
    neckline text, sleeves text, pattern text, closure text, length text, colour text, material text
);
SELECT format('COPY listed FROM %L (FORMAT csv, HEADER)', :'data' || '/images.csv') \gexec
CREATE TABLE products AS
    SELECT row_number() OVER () AS id, neckline, coop_embed(pg_read_binary_file(:'data' || '/' || path)) AS emb
    FROM listed WHERE split <> 'train';
SQL
answer=$(psql_ -Atc "SELECT neckline FROM products ORDER BY emb <-> coop_attr_query('neckline','v-neck') LIMIT 5" | sort | uniq -c | xargs)
expect 'the five garments nearest to "v-neck" are v-necks' '5 v-neck' "$answer"
finish
