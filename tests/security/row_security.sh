#!/usr/bin/env bash
# Functions that read a table show its caller no table and no row that SELECT would not.
source "$(dirname "$0")/../tools/security_fixture.sh"
security_cluster
ask -d plain <<'SQL'
CREATE TABLE shop.secret AS SELECT * FROM shop.products;
CREATE TABLE shop.guarded AS SELECT * FROM shop.products;
ALTER TABLE shop.guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON shop.guarded TO clerk USING (id <= 30);
GRANT SELECT ON shop.guarded TO clerk;
SQL
denied='permission denied'
for call in "coop_typicality('shop.secret', 'id', 'emb', 'category')" "coop_duplicates('shop.secret', 'id', 'emb', 1)" \
  "coop_transition('shop.secret', 'id', 'emb', 1, 60)" "coop_transition_to('shop.secret', 'id', 'emb', 1, coop_category_query('tool'))"; do
  clerk_error "${call%%(*} reads no table that its caller may not" "$denied" "SELECT * FROM $call"
done
clerk_error 'nor does coop_build_knn' "$denied" "CALL coop_build_knn('shop.secret', 'id', 'emb', 'pg_temp.g')"
clerk_error 'nor coop_embed_table' "$denied" "CALL coop_embed_table('shop.secret', 'image', 'emb')"
expect 'rows that a policy hides are in no result' '30 30 t' "$(as_clerk plain -f - <<'SQL' | xargs
SELECT count(*) FROM coop_typicality('shop.guarded', 'id', 'emb', 'category');
SELECT max(id::int) FROM coop_duplicates('shop.guarded', 'id', 'emb', 100);
SELECT max(id) <= 30 FROM coop_transition('shop.guarded', 'id', 'emb', 1, 30, k => 20);
SQL
)"
clerk_error 'and cannot be named' 'no row of shop.guarded has the id "40"' "SELECT * FROM coop_transition('shop.guarded', 'id', 'emb', 1, 40)"
finish
