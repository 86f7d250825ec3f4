#!/usr/bin/env bash
# coop_embed_table() beside others: two runs share the work, a full queue slows a run down without an error, a locked row is left for the
# next run, and an image that changes meanwhile has the embedding of the new one.
source "$(dirname "$0")/../tools/embedding_fixture.sh"
embedding_cluster
embed_table
ask -c "UPDATE shop SET emb = NULL"
before=$(images_embedded)
for i in 1 2; do ask -c "CALL coop_embed_table('shop', 'image', 'emb', batch => 16)" & done
wait $(jobs -p)
expect 'two sessions embed each image once' "$good|$good" "$(value 'count(emb) FROM shop')|$(($(images_embedded) - before))"

configure queue_length=1
ask -c "UPDATE shop SET emb = NULL"
embed_table
expect 'a run sends no more than the queue has room for' "$good|t" "$(value 'count(emb), (SELECT refused_queue_full > 0 FROM coop_stat_worker) FROM shop')"
configure queue_length=1000

ask -c "UPDATE shop SET emb = NULL"
ask -c "BEGIN" -c "UPDATE shop SET id = id WHERE part = 'tiff'" -c "SELECT 'held', pg_sleep(60)" >"$SCRATCH/holder" 2>&1 &
holder=$!
held() { [ "$(value "count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT ''held''%' AND state = 'active'")" = 1 ]; }
until_true 'the row is locked' held
ask -c "SET client_min_messages = notice" -c "CALL coop_embed_table('shop', 'image', 'emb')" >"$SCRATCH/error" 2>&1
expect_in 'a locked row is left, not waited for' '; 1 were locked' "$SCRATCH/error"
ask -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT ''held''%'" >/dev/null
wait $holder || true
embed_table
expect 'and embedded by the next run' $good "$(value 'count(emb) FROM shop')"

# An image that changes while the old one is being embedded: the change waits.
ask -c "CREATE TRIGGER embed BEFORE INSERT OR UPDATE OF image ON shop FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb')" \
  -c "UPDATE shop SET emb = NULL"
stopped=$(column model_process_pid)
kill -STOP "$stopped"
ask -c "CALL coop_embed_table('shop', 'image', 'emb', batch => 8)" &
running=$!
waits() { [ "$(value "count(*) FROM pg_stat_activity WHERE wait_event = 'Extension' AND query LIKE 'CALL%'")" = 1 ]; }
until_true 'images are under way' waits
ask -c "/* change */ UPDATE shop SET image = (SELECT image FROM products WHERE id = 41) WHERE part = 'p'" &
changing=$!
blocked() { [ "$(value "count(*) FROM pg_stat_activity WHERE (wait_event_type = 'Lock' OR wait_event = 'Extension') AND query LIKE '/* change */%'")" = 1 ]; }
until_true 'the change waits' blocked
kill -CONT "$stopped"
stopped=
wait $running $changing
expect 'no embedding is of an image that was replaced' "$(value 'count(emb) FROM shop')" "$(right shop)"
finish
