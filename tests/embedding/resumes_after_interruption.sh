#!/usr/bin/env bash
# A cancelled coop_embed_table() keeps what it has committed, and the next run does the rest and no more.
source "$(dirname "$0")/../tools/embedding_fixture.sh"
embedding_cluster
ask <<'SQL'
CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END';
CREATE TRIGGER dawdle BEFORE UPDATE ON shop FOR EACH ROW EXECUTE FUNCTION dawdle();
SQL
ask -c "CALL coop_embed_table('shop', 'image', 'emb', batch => 8)" >"$SCRATCH/interrupted" 2>&1 &
running=$!
some() { [ "$(value "coalesce(max(done), 0) FROM coop_embed_progress WHERE state = 'running'")" -ge 16 ]; }
until_true 'some rows are embedded' some
ask -c "SELECT pg_cancel_backend(pid) FROM coop_embed_progress WHERE state = 'running'" >/dev/null
check 'a run can be cancelled' eval "! wait $running"
expect_in 'with the usual error' 'canceling statement due to user request' "$SCRATCH/interrupted"
kept=$(value 'count(emb) FROM shop')
check "what was committed stays ($kept of $good rows)" [ "$kept" -ge 16 -a "$kept" -lt $((good - 1)) ]
expect 'the session whose statement timed out sees that it was interrupted' interrupted "$(psql_ -At -v ON_ERROR_STOP=0 -c "SET statement_timeout = '300ms'" \
  -c "CALL coop_embed_table('shop', 'image', 'emb', batch => 1)" -c "RESET statement_timeout" \
  -c "SELECT state FROM coop_embed_progress" 2>"$SCRATCH/error" | tail -1)"
expect_in 'with the usual error' 'statement timeout' "$SCRATCH/error"
kept=$(value 'count(emb) FROM shop')
ask -c "DROP TRIGGER dawdle ON shop"
expect 'everybody sees it' interrupted "$(value 'state FROM coop_embed_progress')"
# What was under way when it was interrupted is computed all the same.
settled() { local before; before=$(images_embedded) && sleep 0.3 && [ "$(images_embedded)" = "$before" ]; }
until_true 'nothing is under way' settled
before=$(images_embedded)
embed_table
expect 'the next run does the rest and no more' "$good|$((good - kept))" "$(value 'count(emb) FROM shop')|$(($(images_embedded) - before))"
expect 'each row has the embedding of its image' $good "$(right shop)"
finish
