#!/usr/bin/env bash
# The page of `coopembed serve` on the demo's table: its answers, its refusals, and that it only reads. With a Chromium and
# Node at hand, the page itself is used too. usage: explorer.sh [FOLDER-FOR-SCREENSHOTS]
source "$(dirname "$0")/tools/lib.sh"
find_postgres
say "building the offline program (dev profile)"
(cd "$ROOT" && cargo build --no-default-features --features cli --bin coopembed)
scratch_cluster
server=
stop_page() { [ -z "$server" ] || { kill -TERM "$server" && wait "$server"; } 2>/dev/null || true; server=; }
trap 'stop_page; stop_cluster "$SCRATCH"; rm -rf "$SCRATCH"' EXIT
gallery=$(for_server "$SCRATCH" "$ROOT/src/demo/gallery")
model=$(for_server "$SCRATCH" "$ROOT/model/emoji")
"$BIN/createdb" shop
export PGDATABASE=shop PGOPTIONS="-c client_min_messages=warning"
psql_ -v gallery="$gallery" -v model="$model" -f "$ROOT/src/demo/load.sql"
psql_ <<'SQL'
UPDATE products SET emb = coop_embed(image);
CREATE ROLE reader LOGIN;
GRANT SELECT ON products TO reader;
SQL

# serve OPTIONS...: starts the page on a free port; $url is where.
serve() {
  stop_page
  : >"$SCRATCH/page.log" # before the program has opened it, too
  "$TARGET/debug/coopembed" serve --listen 127.0.0.1:0 "$@" >"$SCRATCH/page.log" 2>&1 &
  server=$!
  for _ in $(seq 200); do
    url=$(sed -n 's/^listening on //p' "$SCRATCH/page.log")
    [ -z "$url" ] || return 0
    kill -0 "$server" 2>/dev/null || die "the page did not start: $(cat "$SCRATCH/page.log")"
    sleep 0.05
  done
  die "the page does not say where it is: $(cat "$SCRATCH/page.log")"
}
refuses() { # WHAT PATTERN OPTIONS...
  local what=$1 pattern=$2
  shift 2
  if timeout 30 "$TARGET/debug/coopembed" serve "$@" >"$SCRATCH/refused" 2>&1; then die "$what: it started"; fi
  grep -q -- "$pattern" "$SCRATCH/refused" || die "$what: '$pattern' is not in: $(cat "$SCRATCH/refused")"
  ok "$what"
}
# get PATH [curl options]: the status; the body is in $body.
body=$SCRATCH/body
get() { curl -s -o "$body" -D "$SCRATCH/headers" -w '%{http_code}' "${@:2}" "$url$1"; }
post() { get "$1" -H 'Content-Type: application/json' --data-binary "$2"; }
search() { post /api/search "{\"terms\":[$1],\"limit\":5}"; }
# field PATH: of the body's JSON, as PostgreSQL reads paths.
field() { printf '\\set doc `cat %s`\nSELECT :%s::jsonb #>> %s;\n' "$body" "'doc'" "'{$1}'" | ask; }
ids() { printf '\\set doc `cat %s`\nSELECT string_agg(r ->> %s, %s) FROM jsonb_array_elements(:%s::jsonb -> %s) r;\n' "$body" "'id'" "','" "'doc'" "'rows'" | ask; }
typed() { field "$1" >"$SCRATCH/typed.sql"; (cd "$SCRATCH" && ask -F '|' -f typed.sql | cut -d'|' -f1 | sed 's/ *$//' | paste -sd,); }
header() { sed -n "s/^$1: \(.*\)\r$/\1/Ip" "$SCRATCH/headers"; }
same_as_typed() { expect "$1: what is shown gives the same rows" "$(ids)" "$(typed sql)"; }

refuses 'a table that is not there is an error that lists those that are' 'Known: "products"' --table prodcts
refuses 'so is a column' '"designer"' --table products --label desiner
refuses 'a column of another type is refused' 'Its type is text' --table products --image name
refuses 'a model that is not loaded is named' 'Known: "emoji"' --table products --model emojis
refuses 'other machines are not let in by accident' 'allow-remote' --table products --listen 0.0.0.0:0
refuses 'a database without the extension says so' 'CREATE EXTENSION coopembed' --db postgres --table products
refuses 'a server that is not there is said' 'onnect' --db "postgres:///shop?host=/tmp/coopembed-nowhere" --table products
psql_ -c 'CREATE TABLE pairs AS SELECT id, emb AS front, emb AS back FROM products LIMIT 1'
refuses 'two columns of embeddings are ambiguous' 'They are front, back' --table pairs

serve --db "postgres:///shop?host=$SCRATCH&user=reader" --table products --category-column category --max-upload 1 --timeout 2
expect 'a table without an index is said to have none' 1 "$(grep -c '^NOTICE:.*CREATE INDEX ON products USING coop (emb)' "$SCRATCH/page.log")"
expect 'the page is there' 200 "$(get /)"
grep -o '\(src\|href\)="/[^"]*"' "$body" | cut -d'"' -f2 >"$SCRATCH/files"
for file in $(cat "$SCRATCH/files") $(sed -n 's/^import.*"\.\(.*\)".*/\1/p' "$ROOT"/src/explorer/page/*.js | sort -u); do
  [ "$(get "$file")" = 200 ] || die "the page wants $file, which is not there"
done
ok 'and every file that it wants'
expect 'browsers may load nothing from elsewhere' "default-src 'self'" "$(header content-security-policy | cut -d';' -f1)"
expect 'the words are the model'\''s' '200 13' "$(get /api/about) $(printf '\\set doc `cat %s`\nSELECT jsonb_array_length(:%s::jsonb -> %s);\n' "$body" "'doc'" "'attributes'" | ask)"
expect 'the filter offers the column'\''s values' 1 "$(grep -c '"filter":{"column":"category","values":\[".*transport-ground' "$body")"

expect 'without a wish the table is shown as it is' '200 1,2,3,4,5' "$(search '') $(ids)"
pool='{"kind":"like","id":"41"}'
expect 'a picture asks for those like it' '200 41' "$(search "$pool") $(field rows,0,id)"
same_as_typed 'like a row'
expect 'why it matches comes with it' '0.0' "$(field explanations,41,0,distance)"
search '{"kind":"value","attribute":"gender","value":"woman","weight":1},{"kind":"value","attribute":"skin_tone","value":"5","weight":2}' >/dev/null
expect 'weighted wishes give the rows of the README' '297,298,300,299,293' "$(ids)"
same_as_typed 'weighted wishes'
search '{"kind":"like","id":"211","matching":{"replacements":[["skin_tone","1"]],"weights":[["skin_tone",1],["people",1],["hue",0.5],["age",0]]}}' >/dev/null
same_as_typed 'a swap in chosen attributes'
post /api/search '{"terms":[{"kind":"category","name":"tool","weight":1}],"category":"transport-ground","limit":3}' >/dev/null
same_as_typed 'a category and a filter'
expect 'only rows with the filter'\''s value come' transport-ground "$(ask -c "SELECT DISTINCT category FROM products WHERE id IN ($(ids))")"
expect 'what a row shows' '200 green' "$(get '/api/tags?id=243') $(field tags,attributes,hue,value)"

drop_image() { get /api/dropped --data-binary "@$1"; }
pictures=("$gallery"/*/*.png)
picture=${pictures[0]}
cp "$picture" "$SCRATCH/image.jpg"
expect 'a photo is taken' 200 "$(drop_image "$picture")"
key=$(field key)
expect 'a photo asks' 200 "$(search "{\"kind\":\"image\",\"key\":\"$key\"}")"
same_as_typed 'a photo'
expect 'a photo that nobody dropped is gone' '410 the image is no longer kept' "$(search '{"kind":"image","key":"00"}') $(field message)"
head -c 2000000 /dev/zero >"$SCRATCH/large"
expect 'a huge photo is refused in words' '413 the image is too large' "$(drop_image "$SCRATCH/large") $(field message)"
drop_image "$ROOT/README.md" >/dev/null
expect 'what is no picture is the server'\''s error, as it is' '400 22000' "$(search "{\"kind\":\"image\",\"key\":\"$(field key)\"}") $(field sqlstate)"

expect 'an unknown attribute is an error with the nearest names' '400 42704' "$(search '{"kind":"value","attribute":"neckline","value":"v","weight":1}') $(field sqlstate)"
field hint | grep -q '"people"' || die "no hint: $(cat "$body")"
for weight in '"NaN"' NaN -1 1e999 1000 null; do
  expect "a weight of $weight is refused" 400 "$(search "{\"kind\":\"value\",\"attribute\":\"hue\",\"value\":\"green\",\"weight\":$weight}")"
  [ -n "$(field message)" ] || die "without words: $(cat "$body")"
done
expect 'an id that is none' '400 22P02' "$(search '{"kind":"like","id":"forty"}') $(field sqlstate)"
expect 'a row that is not there' '404 there is no row with id "9999"' "$(search '{"kind":"like","id":"9999"}') $(field message)"
expect 'a wish of no kind' 400 "$(search '{"kind":"magic"}')"
expect 'a question that is no JSON' 400 "$(post /api/search '{')"
expect 'JSON that is not called so' 415 "$(get /api/search --data '{}')"
expect 'an address that is none' '404 there is nothing at this address' "$(get /nowhere) $(field message)"
expect 'an address asked in another way' '405' "$(get /api/search)"
expect 'a query that is none' '400' "$(get /api/tags)"
field message | grep -q . || die "without words: $(cat "$body")"
if [ "$(ask -c "SELECT count(*) FROM pg_proc WHERE proname = 'coop_transition'")" = 0 ]; then
  expect 'steps are not offered where the extension has none' '404' "$(post /api/transition '{"from":"41","to":"44"}')"
else
  expect 'steps lead from one picture to another' '200 41' "$(post /api/transition '{"from":"41","to":"211"}') $(field steps,0,id)"
  expect 'steps as typed' "$(ask -c "SELECT count(*) FROM coop_transition('products', 'id', 'emb', 41, 211)" 2>/dev/null || ask -c "SELECT count(*) FROM coop_transition('products', 'id', 'emb', '41', '211')")" "$(printf '\\set doc `cat %s`\nSELECT jsonb_array_length(:%s::jsonb -> %s);\n' "$body" "'doc'" "'steps'" | ask)"
fi

expect 'a picture is what its bytes are' '200 image/png' "$(get /image/41) $(header content-type)"
expect 'and exactly those' "$(ask -c 'SELECT md5(image) FROM products WHERE id = 41')" "$(md5sum <"$body" | cut -d' ' -f1)"
expect 'it is not sent twice' 304 "$(get /image/41 -H "If-None-Match: $(header etag)")"
expect 'a small one' 200 "$(get '/image/41?small=true')"
expect 'no row, no picture' 404 "$(get /image/9999)"
expect 'a picture of an id that is none' 400 "$(get /image/x)"

expect 'a name that somebody pointed here is refused' 421 "$(get / -H 'Host: evil.example')"
expect 'a page from elsewhere may not ask' 403 "$(get /api/search -H 'Origin: http://evil.example' -H 'Content-Type: application/json' --data '{}')"
expect 'the page itself may' 200 "$(get /api/search -H "Origin: $url" -H 'Content-Type: application/json' --data '{}')"

before=$(ask -c 'SELECT count(*), md5(string_agg(p::text, NULL ORDER BY id)) FROM products p')
for nasty in "1'); DROP TABLE products; --" "1; DELETE FROM products" "\\\\'; DROP TABLE products; --" '$1' '1 OR true'; do
  for wish in "{\"kind\":\"like\",\"id\":\"$nasty\"}" "{\"kind\":\"category\",\"name\":\"$nasty\",\"weight\":1}" \
    "{\"kind\":\"value\",\"attribute\":\"$nasty\",\"value\":\"$nasty\",\"weight\":1}" \
    "{\"kind\":\"like\",\"id\":\"41\",\"matching\":{\"weights\":[[\"$nasty\",1]],\"replacements\":[[\"$nasty\",\"$nasty\"]]}}"; do
    case $(search "$wish") in 400 | 404) ;; *) die "$wish was answered: $(cat "$body")" ;; esac
  done
done
expect 'a filter is a value and no SQL' '200 ' "$(post /api/search "{\"category\":\"x' OR 'a' = 'a\"}") $(ids)"
expect 'nothing that is sent becomes SQL' "$before" "$(ask -c 'SELECT count(*), md5(string_agg(p::text, NULL ORDER BY id)) FROM products p')"

psql_ <<'SQL'
CREATE TABLE written (at timestamptz);
CREATE FUNCTION scribble() RETURNS text LANGUAGE plpgsql AS 'BEGIN INSERT INTO written VALUES (now()); RETURN 1; END';
CREATE VIEW scribbling AS SELECT id, scribble() AS label, emb FROM products;
CREATE VIEW slow AS SELECT id, pg_sleep(60)::text AS label, emb FROM products;
CREATE TABLE uploads (id text PRIMARY KEY, image bytea, emb coopvec);
INSERT INTO uploads VALUES ('a/b', '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'), ('none', NULL);
SQL
serve --table scribbling
expect 'a superuser'\''s page cannot write either' '403 25006' "$(search '') $(field sqlstate)"
expect 'and has written nothing' 0 "$(ask -c 'SELECT count(*) FROM written')"
serve --table slow --timeout 1
expect 'a query that takes too long ends, in words' '504 57014' "$(search '') $(field sqlstate)"
serve --table slow --timeout 600
curl -s -m 1 -H 'Content-Type: application/json' --data '{}' "$url/api/search" >/dev/null || true
for _ in $(seq 100); do
  running=$(ask -c "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%FROM slow%' AND pid <> pg_backend_pid()")
  [ "$running" != 0 ] || break
  sleep 0.1
done
expect 'a query that nobody waits for is cancelled' 0 "$running"
serve --table uploads
expect 'what could run scripts is no picture' '200 application/octet-stream' "$(get /image/a%2Fb) $(header content-type)"
expect 'a row without a picture' 404 "$(get /image/none)"
expect 'a row without an embedding cannot ask' '400 the row with id "none" has no embedding' "$(search '{"kind":"like","id":"none"}') $(field message)"

# Odd names, ids that are no numbers, an extension that the search path does not find.
psql_ <<'SQL'
CREATE DATABASE odd;
\connect odd
CREATE SCHEMA "Coop ext";
CREATE EXTENSION coopembed SCHEMA "Coop ext";
SQL
PGDATABASE=odd psql_ -v model="$model" -v gallery="$gallery" <<'SQL'
SELECT "Coop ext".coop_load_model('it''s', :'model') \g /dev/null
CREATE SCHEMA "My ""Shop""";
CREATE TABLE "My ""Shop"""."Pro;ducts" ("the id" char(8), "Dis'tance" text, distance text, "bi\n" bytea, "Emb 'x" "Coop ext".coopvec);
CREATE TEMP TABLE listed (id integer, name text, designer text, category text, path text);
SELECT format('COPY listed FROM %L (FORMAT csv, HEADER)', :'gallery' || '/products.csv') \gexec
INSERT INTO "My ""Shop"""."Pro;ducts"
SELECT 'no ' || id, name, category, image, "Coop ext".coop_embed(image) FROM listed, pg_read_binary_file(:'gallery' || '/' || path) image WHERE id <= 60;
SQL
refuses 'a table without a key needs one to be named' '--id' --db odd --table '"My ""Shop"""."Pro;ducts"'
serve --db odd --table '"My ""Shop"""."Pro;ducts"' --id 'the id' --model "it's" --category-column distance
export PGDATABASE=odd
expect 'odd names: like a row' '200 no 41' "$(search '{"kind":"like","id":"no 41"},{"kind":"value","attribute":"hue","value":"green","weight":0.5}') $(field rows,0,id)"
same_as_typed 'odd names'
post /api/search '{"terms":[{"kind":"value","attribute":"hue","value":"green","weight":2},{"kind":"category","name":"tool","weight":3}],"limit":4}' >/dev/null
same_as_typed 'odd names, weights'
expect 'odd names: a picture' '200 image/png' "$(get /image/no%2041) $(header content-type)"
expect 'odd names: tags' 200 "$(get '/api/tags?id=no%2041')"
export PGDATABASE=shop

serve --table products --category-column category
search "$pool" >/dev/null
stop_cluster "$SCRATCH"
expect 'without a database the page says so' 503 "$(search "$pool")"
field_of_body() { sed -n 's/.*"message":"\([^"]*\)".*/\1/p' "$body"; }
[ -n "$(field_of_body)" ] || die "without words: $(cat "$body")"
start_cluster "$SCRATCH"
expect 'and goes on when it is back' '200 41' "$(search "$pool") $(field rows,0,id)"

psql_ -c 'CREATE INDEX products_emb ON products USING coop (emb)' -c 'ANALYZE products'
search "$pool" >/dev/null
field sql | sed 's/^WITH/EXPLAIN WITH/' >"$SCRATCH/explain.sql"
expect 'an index serves these queries' 1 "$(PGOPTIONS="$PGOPTIONS -c enable_seqscan=off" ask -f "$SCRATCH/explain.sql" | grep -c 'Index Scan using products_emb')"

browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -n "$browser" ] && command -v node >/dev/null; then
  node "$ROOT/tests/tools/explorer.mjs" "$browser" "$url" "$SCRATCH/profile" "$picture" ${1:+"$1"}
else
  echo "skipped: using the page itself needs Chromium and Node"
fi

if command -v openssl >/dev/null; then
  stop_cluster "$SCRATCH"
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -addext basicConstraints=critical,CA:true \
    -keyout "$SCRATCH/ca.key" -out "$SCRATCH/ca.crt" 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$SCRATCH/data/tls.key" -out "$SCRATCH/tls.csr" 2>/dev/null
  echo "subjectAltName=DNS:localhost" >"$SCRATCH/extension"
  openssl x509 -req -days 2 -in "$SCRATCH/tls.csr" -CA "$SCRATCH/ca.crt" -CAkey "$SCRATCH/ca.key" -CAcreateserial \
    -extfile "$SCRATCH/extension" -out "$SCRATCH/data/tls.crt" 2>/dev/null
  chmod 600 "$SCRATCH/data/tls.key"
  give_to_server "$SCRATCH/data/tls.key" "$SCRATCH/data/tls.crt"
  sed -i '1i hostssl all secret 127.0.0.1/32 scram-sha-256' "$SCRATCH/data/pg_hba.conf"
  tcp=$((20000 + RANDOM % 20000))
  start_cluster "$SCRATCH" "port=$tcp" listen_addresses=127.0.0.1 ssl=on ssl_cert_file=tls.crt ssl_key_file=tls.key
  PGPORT=$tcp psql_ -c "CREATE ROLE secret LOGIN PASSWORD 'open:sesame'" -c 'GRANT SELECT ON products TO secret'
  encrypted() { PGPORT=$tcp ask -c "SELECT DISTINCT usename, ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE application_name = 'coopembed serve'"; }
  db="postgres://secret@localhost:$tcp/shop"
  PGPASSWORD=open:sesame serve --db "$db?sslmode=verify-full&sslrootcert=$SCRATCH/ca.crt" --table products
  expect 'encrypted, to the right host, with PGPASSWORD' '200 secret|t' "$(search "$pool") $(encrypted)"
  echo "localhost:$tcp:shop:secret:open\\:sesame" >"$SCRATCH/pgpass"
  chmod 600 "$SCRATCH/pgpass"
  PGPASSFILE=$SCRATCH/pgpass serve --db "$db" --table products
  expect 'with a password file, encrypted if the server can' '200 secret|t' "$(search "$pool") $(encrypted)"
  export PGPASSWORD=open:sesame
  refuses 'a wrong password is refused in the server'\''s words' 'password authentication failed' --db "postgres://secret:wrong@localhost:$tcp/shop" --table products
  refuses 'a certificate for another host is refused' 'NotValidForName\|not valid for name' --db "postgres://secret@127.0.0.1:$tcp/shop?sslmode=verify-full&sslrootcert=$SCRATCH/ca.crt" --table products
  serve --db "postgres://secret@127.0.0.1:$tcp/shop?sslmode=verify-ca&sslrootcert=$SCRATCH/ca.crt" --table products
  expect 'unless only the authority is asked for' 200 "$(search "$pool")"
  refuses 'a certificate of another authority is refused' 'UnknownIssuer\|self.signed\|CaUsedAsEndEntity\|certificate' \
    --db "$db?sslmode=verify-ca&sslrootcert=/etc/ssl/certs/ca-certificates.crt" --table products
  unset PGPASSWORD
else
  echo "skipped: encrypted connections need openssl"
fi

kill -TERM "$server"
wait "$server" && status=0 || status=$?
server=
expect 'it stops when it is told to' 0 "$status"
echo "look: $passed passed, 0 failed"
