#!/usr/bin/env bash
# coop_embed_table() embeds every good image and warns of each bad one with its key, what is wrong and what to do; what it did is in a NOTICE
# and in coop_embed_progress. A second run embeds nothing.
source "$(dirname "$0")/../tools/embedding_fixture.sh"
embedding_cluster
ask -c "INSERT INTO shop VALUES (2, 'nonsense', 'no image'), (3, 'cut', substr(pg_read_binary_file('$fixtures/jpeg_444.jpg'), 1, 300)),
    (4, 'phone', '\x0000001c6674797068656963000000006d69663168656963'::bytea)"
ask -c "SET client_min_messages = notice" -c "CALL coop_embed_table('shop', 'image', 'emb', batch => 100)" >"$SCRATCH/error" 2>&1 || die "$(cat "$SCRATCH/error")"
expect 'every good image is embedded' "$good|$good" "$(value 'count(emb) FROM shop')|$(right shop)"
expect 'every bad one is listed with its key' 'cut, 3 nonsense, 2 phone, 4' \
  "$(sed -n 's/^WARNING:  row (part, id)=(\(.*\)) of public.shop gets no embedding: .*/\1/p' "$SCRATCH/error" | sort | xargs)"
expect_in 'and with what is wrong with it' 'nonsense, 2.*: the data is not an image in a known format' "$SCRATCH/error"
expect_in 'and with what to do' 'HINT:  Export it as JPEG' "$SCRATCH/error"
expect_in 'a NOTICE sums up' "NOTICE:  $good rows of shop embedded in .* 3 failed; 0 were locked" "$SCRATCH/error"
expect 'so does coop_embed_progress' "shop|finished|$((good + 3))|$good|3|0" "$(value 'relation, state, total, done, failed, locked FROM coop_embed_progress')"
before=$(images_embedded)
embed_table >"$SCRATCH/error" 2>&1
expect 'a second run embeds nothing and tries bad images once' "0|3" "$(($(images_embedded) - before))|$(grep -c '^WARNING' "$SCRATCH/error")"
finish
