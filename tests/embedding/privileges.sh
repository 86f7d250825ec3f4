#!/usr/bin/env bash
# coop_embed_table() needs its caller to have SELECT on the table and UPDATE on the embedding column, no more, and obeys row-level security.
source "$(dirname "$0")/../tools/embedding_fixture.sh"
embedding_cluster
ask -c "CREATE TABLE few AS SELECT * FROM shop WHERE image IS NOT NULL ORDER BY id LIMIT 12" -c "CREATE ROLE clerk"
expect_error 'a role that may not read the table cannot embed it' 'permission denied' -c "SET ROLE clerk; CALL coop_embed_table('few', 'image', 'emb')"
ask -c "GRANT SELECT, UPDATE (emb) ON few TO clerk" -c "SET ROLE clerk" -c "CALL coop_embed_table('few', 'image', 'emb')"
expect 'reading the table and updating the column is enough' '12' "$(value 'count(emb) FROM few')"
expect 'everybody sees coop_embed_progress' 't' "$(ask -c "SET ROLE clerk" -c "SELECT count(*) > 0 FROM coop_embed_progress")"
ask <<'SQL'
UPDATE few SET emb = NULL;
ALTER TABLE few ENABLE ROW LEVEL SECURITY;
CREATE POLICY first_five ON few TO clerk USING (id <= 5);
SQL
ask -c "SET ROLE clerk" -c "CALL coop_embed_table('few', 'image', 'emb')"
expect 'rows that a policy hides are not touched' "$(value 'count(*), max(id) FROM few WHERE id <= 5')" "$(value 'count(*), max(id) FROM few WHERE emb IS NOT NULL')"
finish
