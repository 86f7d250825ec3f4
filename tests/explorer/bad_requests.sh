#!/usr/bin/env bash
# Requests that are wrong get a status and a message that says what is wrong; those from other sites are refused; nothing that is sent becomes SQL.
source "$(dirname "$0")/../tools/explorer_fixture.sh"
shop_cluster 60
serve --db "postgres:///shop?host=$SCRATCH&user=reader" --table products --category-column category
expect 'an unknown attribute is an error' '400 42704' "$(search '{"kind":"value","attribute":"neckline","value":"v","weight":1}') $(field sqlstate)"
check 'with the nearest names' grep -q '"people"' <<<"$(field hint)"
for weight in '"NaN"' NaN -1 1e999 1000 null; do
  expect "a weight of $weight is refused" 400 "$(search "{\"kind\":\"value\",\"attribute\":\"hue\",\"value\":\"green\",\"weight\":$weight}")"
  check 'with a message' [ -n "$(field message)" ]
done
expect 'an id of another type is an error' '400 22P02' "$(search '{"kind":"like","id":"forty"}') $(field sqlstate)"
expect 'an id that no row has is an error' '404 there is no row with id "9999"' "$(search '{"kind":"like","id":"9999"}') $(field message)"
expect 'so is a query term of an unknown kind' 400 "$(search '{"kind":"magic"}')"
expect 'and a body that is not JSON' 400 "$(post /api/search '{')"
expect 'and JSON without its content type' 415 "$(get /api/search --data '{}')"
expect 'and an unknown address' '404 there is nothing at this address' "$(get /nowhere) $(field message)"
expect 'and another method' '405' "$(get /api/search)"
expect 'and a missing parameter' '400' "$(get /api/tags)"
check 'with a message' [ -n "$(field message)" ]
expect 'an image of no row is not found' 404 "$(get /image/9999)"
expect 'an image with an id of another type is an error' 400 "$(get /image/x)"

expect 'another host name is refused' 421 "$(get / -H 'Host: evil.example')"
expect 'a page of another site may not search' 403 "$(get /api/search -H 'Origin: http://evil.example' -H 'Content-Type: application/json' --data '{}')"
expect 'the page itself may' 200 "$(get /api/search -H "Origin: $url" -H 'Content-Type: application/json' --data '{}')"

contents() { ask -c 'SELECT count(*), md5(string_agg(p::text, NULL ORDER BY id)) FROM products p'; }
before=$(contents)
for nasty in "1'); DROP TABLE products; --" "1; DELETE FROM products" "\\\\'; DROP TABLE products; --" '$1' '1 OR true'; do
  for term in "{\"kind\":\"like\",\"id\":\"$nasty\"}" "{\"kind\":\"category\",\"name\":\"$nasty\",\"weight\":1}" \
    "{\"kind\":\"value\",\"attribute\":\"$nasty\",\"value\":\"$nasty\",\"weight\":1}" \
    "{\"kind\":\"like\",\"id\":\"41\",\"matching\":{\"weights\":[[\"$nasty\",1]],\"replacements\":[[\"$nasty\",\"$nasty\"]]}}"; do
    case $(search "$term") in 400 | 404) ok "refused: $term" ;; *) fail "refused: $term" "$(cat "$SCRATCH/body")" ;; esac
  done
done
expect 'a filter is a value, not SQL' '200 ' "$(post /api/search "{\"category\":\"x' OR 'a' = 'a\"}") $(ids)"
expect 'nothing that is sent becomes SQL' "$before" "$(contents)"
finish
