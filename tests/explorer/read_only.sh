#!/usr/bin/env bash
# The page only reads, also as a superuser; a query that takes too long is ended, one whose browser is gone is cancelled; an image that could run
# scripts is not sent as one.
source "$(dirname "$0")/../tools/explorer_fixture.sh"
shop_cluster 60
psql_ <<'SQL'
CREATE TABLE written (at timestamptz);
CREATE FUNCTION scribble() RETURNS text LANGUAGE plpgsql AS 'BEGIN INSERT INTO written VALUES (now()); RETURN 1; END';
CREATE VIEW scribbling AS SELECT id, scribble() AS label, emb FROM products;
CREATE VIEW slow AS SELECT id, pg_sleep(60)::text AS label, emb FROM products;
CREATE TABLE uploads (id text PRIMARY KEY, image bytea, emb coopvec);
INSERT INTO uploads VALUES ('a/b', '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'), ('none', NULL);
SQL
serve --table scribbling
expect 'a view that writes is an error' '403 25006' "$(search '') $(field sqlstate)"
expect 'and has written nothing' 0 "$(ask -c 'SELECT count(*) FROM written')"
serve --table slow --timeout 1
expect 'a query that takes too long is an error' '504 57014' "$(search '') $(field sqlstate)"
serve --table slow --timeout 600
curl -s -m 1 -H 'Content-Type: application/json' --data '{}' "$url/api/search" >/dev/null || true
for _ in $(seq 100); do
  running=$(ask -c "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%FROM slow%' AND pid <> pg_backend_pid()")
  [ "$running" != 0 ] || break
  sleep 0.1
done
expect 'a query whose browser is gone is cancelled' 0 "$running"
serve --table uploads
expect 'an image that could run scripts is sent as bytes' '200 application/octet-stream' "$(get /image/a%2Fb) $(header content-type)"
expect 'a row without an image has none' 404 "$(get /image/none)"
expect 'a row without an embedding cannot be searched with' '400 the row with id "none" has no embedding' "$(search '{"kind":"like","id":"none"}') $(field message)"
finish
