#!/usr/bin/env bash
# While the database is down the page says so, and it goes on when the database is back.
source "$(dirname "$0")/../tools/explorer_fixture.sh"
shop_cluster 60
serve --table products
search "$pool_ball" >/dev/null
stop_cluster "$SCRATCH"
expect 'without the database a search is an error' 503 "$(search "$pool_ball")"
check 'with a message' grep -q '"message":"[^"]' "$SCRATCH/body"
start_cluster "$SCRATCH"
expect 'the next search after its start works' '200 41' "$(search "$pool_ball") $(field rows,0,id)"
finish
