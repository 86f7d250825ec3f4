#!/usr/bin/env bash
# coopembed embed --http: images by their URLs, with limits on size, time, redirects and hosts; what may pass is tried again.
source "$(dirname "$0")/../tools/program_fixture.sh"
program_cluster
load_demo 3
ask -c "CALL coop_embed_table('products', 'image', 'emb')"
image=$SCRATCH/gallery/$(sed -n 2p "$SCRATCH/gallery/products.csv" | awk -F, '{print $NF}')
serve_image "$image"
here=http://127.0.0.1:$port
ask -c 'CREATE TABLE links (id serial, url text, emb coopvec)'
# links URL...: the table has these.
links() { ask -c 'TRUNCATE links' -c 'DROP TABLE IF EXISTS links_embed_failures'; for url; do ask -c "INSERT INTO links (url) VALUES ('$url')"; done; }
options=(embed --table links --column url --http)
why() { ask -c "SELECT error FROM links_embed_failures WHERE source ~ '$1'"; }
embedded() { ask -c "SELECT count(*) FROM links WHERE emb = (SELECT emb FROM products ORDER BY id LIMIT 1)"; }

links "$here/ok" "$here/once" "$here/busy" "$here/wait"
runs 'images, behind a redirect, of a busy server and of one that asks to wait, are embedded' '4 rows' "${options[@]}" --allow-private --allow-host 127.0.0.1
expect 'as inside' 4 "$(embedded)"
expect 'a server that is busy is asked again' 3 "$(grep -c '^/busy' "$SCRATCH/asked")"

: >"$SCRATCH/asked"
links "$here/ok" "http://localhost:$port/ok" "http://[::1]:$port/ok" "http://169.254.169.254/latest/meta-data" "http://2130706433:$port/ok" "http://0x7f.1:$port/ok" "http://[::ffff:127.0.0.1]:$port/ok"
fails 'addresses of this machine and of private networks are refused' '7 of 7 images' "${options[@]}" --retries 0
expect 'and not even connected to' '' "$(cat "$SCRATCH/asked")"
expect 'with what to do' 1 "$(why '127.0.0.1.*ok$' | grep -c 'not on the public Internet: "http://127')"

links "$here/ok" "$here/elsewhere"
fails 'a redirect to a host that is not allowed is refused' '1 of 2' "${options[@]}" --allow-private --allow-host 127.0.0.1
expect 'with the name of the host' 1 "$(why elsewhere | grep -c 'host "localhost" is not allowed')"

: >"$SCRATCH/asked"
links "$here/loop" "$here/html" "$here/large" "$here/endless" "$here/none" "$here/down" "$here/cut" ftp://x/y file:///etc/passwd nonsense ''
fails 'what is no image, too large, missing or broken is listed' '11 of 11' "${options[@]}" --allow-private --max-size 1 --retries 1 --redirects 4
expect 'a loop of redirects ends' 'could not fetch' "$(why loop | grep -o 'could not fetch')"
expect 'after so many' t "$([ "$(grep -c '^/loop' "$SCRATCH/asked")" -le 5 ] && echo t)"
expect 'a page is named as one' 1 "$(why html | grep -ci 'html\|web page' | head -1)"
expect 'a large file is not read' 1 "$(why large | grep -c 'is too large')"
expect 'nor one without an end' 1 "$(why endless | grep -c 'is too large')"
expect 'a missing one is not asked for again' 1 "$(grep -c '^/none' "$SCRATCH/asked")"
expect 'what may pass is' 2 "$(grep -c '^/down' "$SCRATCH/asked")"
expect 'a status is named' 1 "$(why none | grep -c 'status 404')"
expect 'what is cut off is an error' 1 "$(why cut | grep -c .)"
expect 'and what is not of http' 3 "$(ask -c "SELECT count(*) FROM links_embed_failures WHERE error ~ 'not a URL of http'  AND source <> ''")"

links "$here/slow"
start=$SECONDS
fails 'a slow server is not waited for' '1 of 1' "${options[@]}" --allow-private --timeout 1 --retries 0
expect 'longer than is allowed' t "$([ $((SECONDS - start)) -lt 20 ] && echo t)"
expect 'it says so' 1 "$(why slow | grep -c 'no answer in 1 s')"
fails 'rules for hosts need --http' 'http' embed --table links --column url --root /tmp --allow-host x
finish
