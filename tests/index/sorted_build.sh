#!/usr/bin/env bash
# A build puts rows that are near each other into the same groups, with little memory through a temporary file.
source "$(dirname "$0")/../tools/index_fixture.sh"
items_cluster 40000
temporary_files() { ask -c "SELECT temp_files FROM pg_stat_database WHERE datname = 'postgres'"; }
more_temporary_files() { [ "$(temporary_files)" -gt "$1" ]; } # THAN
left_over() { ask -c "SELECT count(*) FROM pg_ls_tmpdir()"; }
# The share of all rows that a search on all subspaces for a row's neighbours bounds one by one.
bounded_share() {
  ask <<'SQL' | tail -1
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT emb <-> (SELECT emb FROM items WHERE id = 7) FROM items ORDER BY 1 LIMIT 10) t;
SELECT round(rows_bounded / 40000.0, 1) FROM coop_last_scan();
SQL
}
for build in 'REINDEX INDEX items_emb' 'REINDEX INDEX CONCURRENTLY items_emb'; do
  before=$(temporary_files)
  PGOPTIONS="$PGOPTIONS -c maintenance_work_mem=1MB" ask -c "$build"
  until_true "$build: the rows went through a temporary file" more_temporary_files "$before"
  expect "$build: no file is left" 0 "$(left_over)"
  expect "$build: the index is sound" t "$(sound)"
  expect "$build: random queries get the answers of a sequential scan" 100 "$(agree 100)"
  expect "$build: rows of other places are not looked at" t "$(ask -c "SELECT $(bounded_share) <= 0.4")"
done
expect_error 'a limit on temporary files is kept' 'temporary file size exceeds temp_file_limit' \
  -c "SET maintenance_work_mem = '1MB'" -c "SET temp_file_limit = '1MB'" -c 'REINDEX INDEX items_emb'
expect 'no file is left after the error' 0 "$(left_over)"
expect 'the index is as it was' t "$(sound)"
finish
