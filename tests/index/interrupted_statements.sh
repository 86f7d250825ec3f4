#!/usr/bin/env bash
# A build or a scan that statement_timeout ends leaves no page locked and none pinned.
source "$(dirname "$0")/../tools/index_fixture.sh"
items_cluster 12000
scan="SELECT count(*) FROM (SELECT emb FROM items ORDER BY emb <-> (SELECT emb FROM items WHERE emb IS NOT NULL LIMIT 1)) t"
expect_error 'statement_timeout ends CREATE INDEX' 'statement timeout' -c "SET statement_timeout = 20; CREATE INDEX items_other ON items USING coop (emb)"
ask -c "SET statement_timeout = 1; SET enable_seqscan = off; $scan" 2>/dev/null || true
expect 'no page stays locked' "0 t" "$(ask -c "SELECT count(*) FROM pg_locks WHERE locktype = 'page'") $(sound)"
check 'no page stays pinned: VACUUM returns' ask -c "SET statement_timeout = '60s'" -c "VACUUM items"
finish
