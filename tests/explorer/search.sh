#!/usr/bin/env bash
# The page and its searches: like a row, attribute values, categories, weights, a changed value, an uploaded image, a filter. The SQL that the
# page shows returns the rows that it shows, and an index serves it.
source "$(dirname "$0")/../tools/explorer_fixture.sh"
shop_cluster 360
serve --db "postgres:///shop?host=$SCRATCH&user=reader" --table products --category-column category --max-upload 1 --timeout 2
expect 'the page is there' 200 "$(get /)"
grep -o '\(src\|href\)="/[^"]*"' "$SCRATCH/body" | cut -d'"' -f2 >"$SCRATCH/files"
for file in $(cat "$SCRATCH/files") $(sed -n 's/^import.*"\.\(.*\)".*/\1/p' "$ROOT"/src/explorer/page/*.js | sort -u); do
  expect "it has its file $file" 200 "$(get "$file")"
done
get / >/dev/null
expect 'browsers may load nothing from elsewhere' "default-src 'self'" "$(header content-security-policy | cut -d';' -f1)"
expect 'the attributes are the model'\''s' '200 13' "$(get /api/about) $(length attributes)"
expect 'the filter offers the values of its column' 1 "$(grep -c '"filter":{"column":"category","values":\[".*transport-ground' "$SCRATCH/body")"

expect 'an empty query shows the table from its start' '200 1,2,3,4,5' "$(search '') $(ids)"
expect 'an image of the table finds itself first' '200 41' "$(search "$pool_ball") $(field rows,0,id)"
same_as_typed 'like a row'
expect 'each row comes with its distance by attribute' '0.0' "$(field explanations,41,0,distance)"
search '{"kind":"value","attribute":"gender","value":"woman","weight":1},{"kind":"value","attribute":"skin_tone","value":"5","weight":2}' >/dev/null
expect 'weighted attribute values give the rows that the README shows' '298,299,297,300,210' "$(ids)"
same_as_typed 'weighted attribute values'
search '{"kind":"like","id":"211","matching":{"replacements":[["skin_tone","1"]],"weights":[["skin_tone",1],["people",1],["hue",0.5],["age",0]]}}' >/dev/null
same_as_typed 'a changed value in some attributes'
post /api/search '{"terms":[{"kind":"category","name":"tool","weight":1}],"category":"transport-ground","limit":3}' >/dev/null
same_as_typed 'a category and a filter'
expect 'only rows with the value of the filter come' transport-ground "$(ask -c "SELECT DISTINCT category FROM products WHERE id IN ($(ids))")"
post /api/search '{"terms":[{"kind":"description","text":"a very green woman, not skin tone 5","weight":2}]}' >/dev/null
same_as_typed 'a description'
expect 'what is understood of it' '200 gender woman false true' \
  "$(get '/api/description?text=woman,%20not%20skin%20tone%205,%20xyzzy') $(field meanings,0,attribute) $(field meanings,0,value) $(field meanings,0,negated) $(field meanings,1,negated)"
expect 'and which words mean nothing' xyzzy "$(field unknown,0)"
expect 'words that mean nothing are the error of the server' '400 22023' "$(search '{"kind":"description","text":"xyzzy","weight":1}') $(field sqlstate)"
expect 'the tags of a row' '200 green' "$(get '/api/tags?id=243') $(field tags,attributes,hue,value)"

upload() { get /api/dropped --data-binary "@$1"; }
images=("$SCRATCH"/gallery/*/*.png)
cp "${images[0]}" "$SCRATCH/image.jpg"
expect 'an image is uploaded' 200 "$(upload "${images[0]}")"
key=$(field key)
expect 'and searched with' 200 "$(search "{\"kind\":\"image\",\"key\":\"$key\"}")"
same_as_typed 'an uploaded image'
expect 'an image that was not uploaded is gone' '410 no longer kept' "$(search '{"kind":"image","key":"00"}') $(field message | grep -o 'no longer kept')"
head -c 2000000 /dev/zero >"$SCRATCH/large"
expect 'an image that is too large is refused' '413 too large' "$(upload "$SCRATCH/large") $(field message | grep -o 'too large')"
upload "$ROOT/README.md" >/dev/null
expect 'a file that is not an image gets the error of the server' '400 22000' "$(search "{\"kind\":\"image\",\"key\":\"$(field key)\"}") $(field sqlstate)"

expect 'a transition leads from one image to another' '200 41' "$(post /api/transition '{"from":"41","to":"211"}') $(field steps,0,id)"
expect 'in the steps of coop_transition()' "$(ask -c "SELECT count(*) FROM coop_transition('products', 'id', 'emb', 41, 211)")" "$(length steps)"

expect 'an image is sent with its type' '200 image/png' "$(get /image/41) $(header content-type)"
expect 'byte by byte' "$(ask -c 'SELECT md5(image) FROM products WHERE id = 41')" "$(md5sum <"$SCRATCH/body" | cut -d' ' -f1)"
expect 'and not a second time' 304 "$(get /image/41 -H "If-None-Match: $(header etag)")"
expect 'a thumbnail is sent' 200 "$(get '/image/41?small=true')"

psql_ -c 'CREATE INDEX products_emb ON products USING coop (emb)' -c 'ANALYZE products'
search "$pool_ball" >/dev/null
field sql | sed 's/^WITH/EXPLAIN WITH/' >"$SCRATCH/explain.sql"
expect 'an index serves the search' 1 "$(PGOPTIONS="$PGOPTIONS -c enable_seqscan=off" ask -f "$SCRATCH/explain.sql" | grep -c 'Index Scan using products_emb')"
finish
