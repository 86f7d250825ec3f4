#!/usr/bin/env bash
# Every block of model/whole_way.md, in its order: a table becomes a training set, a model, an index; new products come, the model is trained again
# and swapped while somebody searches.
source "$(dirname "$0")/../tools/program_fixture.sh"
program_cluster
load_clothes
# What a shop has before it knows of embeddings, and what comes a month later: shoes of all kinds, which it had not sold.
ask -c 'ALTER TABLE products DROP COLUMN emb' -c "SELECT coop_drop_model('clothes')" >/dev/null
ask -c "CREATE TABLE later AS SELECT * FROM products WHERE category IN ('boots', 'heels', 'sandals', 'shoes', 'sneakers')" \
  -c 'DELETE FROM products p USING later l WHERE l.id = p.id'
mkdir "$SCRATCH/work"
cd "$SCRATCH/work"
PATH=$(dirname "$program"):$BIN:$PATH
export XDG_CACHE_HOME=$SCRATCH/cache
coopembed import-backbone "$ROOT/model/clothes/model.safetensors" --arch efficientnet_lite0 --out lite0.safetensors >/dev/null

# section TITLE: runs the blocks below this heading; $SCRATCH/said has what they said.
section() {
  rm -rf "$SCRATCH/blocks" && mkdir "$SCRATCH/blocks"
  awk -v title="## $1" -v dir="$SCRATCH/blocks" '
    /^## / { inside = $0 == title }
    inside && /^```(sh|sql)$/ { file = sprintf("%s/%02d.%s", dir, ++n, substr($0, 4)); next }
    /^```/ { file = "" }
    file { print > file }' "$ROOT/model/whole_way.md"
  [ -n "$(ls "$SCRATCH/blocks")" ] || fail "$1" 'no blocks'
  : >"$SCRATCH/said"
  local block run
  for block in "$SCRATCH"/blocks/*; do
    run=(bash -eo pipefail "$block")
    [[ $block == *.sh ]] || run=(psql -X -q -At -v ON_ERROR_STOP=1 -f "$block")
    "${run[@]}" >>"$SCRATCH/said" 2>&1 || { fail "$1" "$(cat "$block" "$SCRATCH/said")"; finish; }
  done
}

section 'Export the table'
expect 'the export has every image' "$(ask -c 'SELECT count(*) FROM products')" "$(($(wc -l <data/spring/images.csv) - 1))"

section 'Train'
expect_in 'the training says whether it paid' '^Training ' "$SCRATCH/said"
expect_in 'and what follows' 'coopembed load .*--name spring --default model/spring' "$SCRATCH/said"
expect 'the report is there' 1 "$(grep -c '<title>' model/spring/report.html)"

before=$(ask -c 'SELECT md5(string_agg(p::text, chr(10) ORDER BY id)) FROM (SELECT id, garment, category, neckline, sleeves, pattern, closure, colour FROM products) p')
section 'Mend labels'
expect 'labels stay as they are until somebody says COMMIT' "$before" \
  "$(ask -c 'SELECT md5(string_agg(p::text, chr(10) ORDER BY id)) FROM (SELECT id, garment, category, neckline, sleeves, pattern, closure, colour FROM products) p')"

section 'Load, embed, index'
expect 'every row is embedded' 0 "$(ask -c 'SELECT count(*) FROM products WHERE emb IS NULL')"

section 'Ask'
expect 'a query answers' 5 "$(wc -l <"$SCRATCH/said")"
striped=$(ask -c "SELECT count(*) FILTER (WHERE pattern = 'striped') FROM (SELECT pattern FROM products ORDER BY emb <-> coop_attr_query('pattern', 'striped') LIMIT 5) p")
expect 'mostly with what is asked for' t "$([ "$striped" -ge 3 ] && echo t)"

ask -c "INSERT INTO products SELECT id, garment, name, category, neckline, sleeves, pattern, closure, length, colour, material, image FROM later"
section 'A month later'
expect 'each attribute is compared' 'category,closure,colour,neckline,pattern,sleeves' "$(cut -d'|' -f1 "$SCRATCH/said" | sort | paste -sd,)"
expect 'with probabilities' 6 "$(grep -cE '^[a-z]+\|[01]\.[0-9]+\|[01]\.[0-9]+\|-?[0-9.]+$' "$SCRATCH/said")"
expect 'of a kind of thing that it never saw the model is less sure' t "$(awk -F'|' '$1 == "category" && $3 < $2 { less = 1 } $4 < -2 { unsure = 1 } END { if (less && unsure) print "t" }' "$SCRATCH/said")"

section 'Train the next model'
expect 'the next model knows the new kinds' t "$(ask -c "SELECT count(*) > 0 FROM coop_categories('summer') WHERE name IN ('boots', 'shoes')")"

# Somebody who searches all the time meanwhile.
touch "$SCRATCH/searching"
while [ -f "$SCRATCH/searching" ]; do
  ask -c "SELECT count(*) FROM (SELECT id FROM products ORDER BY emb <-> coop_attr_query('pattern', 'striped') LIMIT 5) p" || true
done >"$SCRATCH/found" 2>&1 &
searcher=$!
section 'Swap the models'
rm "$SCRATCH/searching"
wait "$searcher"
expect 'searches never failed meanwhile' 5 "$(sort -u "$SCRATCH/found" | paste -sd,)"
expect 'every row has an embedding of the new model' t \
  "$(ask -c "SELECT bool_and(emb IS NOT NULL) AND count(DISTINCT coopembed.fingerprint(emb)) = 1 FROM products")"
expect 'the index is used' 1 "$(ask -c "EXPLAIN SELECT id FROM products ORDER BY emb <-> coop_category_query('boots') LIMIT 5" | grep -c 'products_emb_next')"
ask -c "INSERT INTO products SELECT 100000, garment, name, category, neckline, sleeves, pattern, closure, length, colour, material, image FROM later LIMIT 1"
expect 'new rows are embedded by it' t "$(ask -c 'SELECT emb IS NOT NULL FROM products WHERE id = 100000')"
expect 'nothing crashed' '' "$(crashes)"
finish
