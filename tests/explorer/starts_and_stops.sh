#!/usr/bin/env bash
# `coopembed serve` refuses arguments that cannot work, in words that help; it says what it serves, and stops on SIGTERM.
source "$(dirname "$0")/../tools/explorer_fixture.sh"
shop_cluster 60
does_not_start 'a table that does not exist is an error that lists those that do' 'Known: "products"' --table prodcts
does_not_start 'so is a column' '"designer"' --table products --label desiner
does_not_start 'a column of another type is refused' 'Its type is text' --table products --image name
does_not_start 'a model that is not loaded is an error that lists those that are' 'Known: "emoji"' --table products --model emojis
does_not_start 'listening for other machines needs an option' 'allow-remote' --table products --listen 0.0.0.0:0
does_not_start 'a database without the extension is an error that says what to do' 'CREATE EXTENSION coopembed' --db postgres --table products
does_not_start 'a server that is not there is an error' 'onnect' --db "postgres:///shop?host=/tmp/coopembed-nowhere" --table products
psql_ -c 'CREATE TABLE pairs AS SELECT id, emb AS front, emb AS back FROM products LIMIT 1'
does_not_start 'two columns of embeddings are ambiguous' 'They are front, back' --table pairs
serve --table products
expect 'of a table without an index it says how to create one' 1 "$(grep -c '^NOTICE:.*CREATE INDEX ON products USING coop (emb)' "$SCRATCH/page.log")"
kill -TERM "$page"
status=0
wait "$page" || status=$?
page=
expect 'it stops on SIGTERM' 0 "$status"
finish
