#!/usr/bin/env bash
# coopembed embed --model: embeddings of files, outside of the server and to the bit as inside, as CSV, JSON lines and COPY BINARY.
source "$(dirname "$0")/../tools/program_fixture.sh"
program_cluster
load_demo 12
ask -c "CALL coop_embed_table('products', 'image', 'emb')"
emoji=$ROOT/model/emoji
cd "$SCRATCH/gallery"
mapfile -t images < <(sed -n '2,13p' products.csv | awk -F, '{print $NF}')
"$program" embed --model "$emoji" "${images[@]}" >"$SCRATCH/out.csv"
ask -c 'CREATE TABLE given (path text, emb coopvec)' -c "\\copy given FROM '$SCRATCH/out.csv' (FORMAT csv, HEADER)"
same() { ask -c "SELECT count(*) FROM given g JOIN (SELECT row_number() OVER (ORDER BY id) AS n, emb FROM products) p ON g.emb = p.emb AND g.emb::text = p.emb::text
  JOIN unnest('{$(IFS=,; echo "${images[*]}")}'::text[]) WITH ORDINALITY f (path, n) ON f.path = g.path AND f.n = p.n"; }
expect 'CSV has the embeddings of coop_embed(), to the bit' 12 "$(same)"
expect 'in the order of the files' "$(printf '%s\n' "${images[@]}")" "$(tail -n +2 "$SCRATCH/out.csv" | cut -d, -f1)"
printf '%s\n' "${images[@]}" | "$program" embed --model "$emoji" --list - --format binary --out "$SCRATCH/out.bin"
ask -c 'TRUNCATE given' -c "\\copy given (path, emb) FROM '$SCRATCH/out.bin' (FORMAT binary)"
expect 'COPY BINARY has the same' 12 "$(same)"
"$program" embed --model "$emoji" --format jsonl --workers 3 "${images[@]}" >"$SCRATCH/out.jsonl"
ask -c 'TRUNCATE given' -c 'CREATE TABLE lines (line jsonb)' -c "\\copy lines FROM '$SCRATCH/out.jsonl' (FORMAT csv, QUOTE e'\\x01', DELIMITER e'\\x02')" \
  -c "INSERT INTO given SELECT line ->> 'path', (line ->> 'embedding')::coopvec FROM lines"
expect 'JSON lines have the same' 12 "$(same)"
echo '<!DOCTYPE html><html></html>' >"$SCRATCH/page.png"
fails 'what cannot be embedded is named' 'page.png.*web page\|page.png' embed --model "$emoji" "${images[0]}" "$SCRATCH/page.png" "$SCRATCH/none.png" "$SCRATCH"
expect_in 'and counted' '3 of 4 images could not be embedded' "$SCRATCH/error"
expect_in 'and the others are written' "^${images[0]},13x50@\|^${images[0]},\"13x50@" "$SCRATCH/error"
fails 'a file over the limit is not read' 'is too large' embed --model "$emoji" --max-size 1 <(head -c 2000000 /dev/zero) "$ROOT/model/emoji/model.safetensors"
fails 'no images are an error' 'no images are named' embed --model "$emoji"
fails 'no model is one' 'no model is named' embed x.png
fails 'a disk that is full is one' 'could not write' embed --model "$emoji" --out /dev/full "${images[0]}"
finish
