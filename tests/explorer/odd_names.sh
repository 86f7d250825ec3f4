#!/usr/bin/env bash
# Names that need quotes, ids that are not numbers, and an extension that the search_path does not find.
source "$(dirname "$0")/../tools/explorer_fixture.sh"
shop_cluster 0
psql_ <<'SQL'
CREATE DATABASE odd;
\connect odd
CREATE SCHEMA "Coop ext";
CREATE EXTENSION coopembed SCHEMA "Coop ext";
SQL
export PGDATABASE=odd
psql_ -v model="$SCRATCH/emoji" -v gallery="$SCRATCH/gallery" <<'SQL'
SELECT "Coop ext".coop_load_model('it''s', :'model') \g /dev/null
CREATE SCHEMA "My ""Shop""";
CREATE TABLE "My ""Shop"""."Pro;ducts" ("the id" char(8), "Dis'tance" text, distance text, "bi\n" bytea, "Emb 'x" "Coop ext".coopvec);
CREATE TEMP TABLE listed (id integer, name text, designer text, category text, path text);
SELECT format('COPY listed FROM %L (FORMAT csv, HEADER)', :'gallery' || '/products.csv') \gexec
INSERT INTO "My ""Shop"""."Pro;ducts"
SELECT 'no ' || id, name, category, image, "Coop ext".coop_embed(image) FROM listed, pg_read_binary_file(:'gallery' || '/' || path) image WHERE id <= 60;
SQL
does_not_start 'a table without a key needs --id' '--id' --db odd --table '"My ""Shop"""."Pro;ducts"'
serve --db odd --table '"My ""Shop"""."Pro;ducts"' --id 'the id' --model "it's" --category-column distance
expect 'a search works' '200 no 41' "$(search '{"kind":"like","id":"no 41"},{"kind":"value","attribute":"hue","value":"green","weight":0.5}') $(field rows,0,id)"
same_as_typed 'like a row and a value'
post /api/search '{"terms":[{"kind":"value","attribute":"hue","value":"green","weight":2},{"kind":"category","name":"tool","weight":3}],"limit":4}' >/dev/null
same_as_typed 'weights'
expect 'an image is sent' '200 image/png' "$(get /image/no%2041) $(header content-type)"
expect 'tags are shown' 200 "$(get '/api/tags?id=no%2041')"
finish
