#!/usr/bin/env bash
# coopembed data table: a training set out of a table with bytea, large objects, paths or URLs: byte for byte, split without leaks, resumed after an
# interruption, with whatever is odd said and listed; and what cannot work.
source "$(dirname "$0")/../tools/program_fixture.sh"
program_cluster
for_server "$SCRATCH" "$ROOT/src/demo/emoji/gallery" >/dev/null
gallery=$SCRATCH/gallery
out=$SCRATCH/out
mkdir "$out"
# 150 emoji by their designers; the same concept is an instance. Without the extension: training comes before it.
ask <<SQL
CREATE TABLE catalogue (id integer, name text, designer text, category text, path text);
\\copy catalogue FROM '$gallery/products.csv' (FORMAT csv, HEADER)
CREATE TYPE hue AS ENUM ('warm', 'cold');
CREATE TABLE shop (id integer PRIMARY KEY, sku text, kind varchar(40), maker text, tags text[], hue hue, big boolean, photo bytea, path text, lo oid);
INSERT INTO shop SELECT id, name, category, designer, ARRAY[designer, 'emoji'], (ARRAY['warm', 'cold'])[1 + id % 2]::hue, id % 3 = 0,
  pg_read_binary_file('$gallery/' || path), path, lo_from_bytea(0, pg_read_binary_file('$gallery/' || path))
  FROM catalogue WHERE id <= 150;
SQL
total=150
options=(data table --table shop --instance sku --category kind)
# rows FILE: its number of rows. field FILE COLUMN: the values of a column, in order.
rows() { python3 -c 'import csv, sys; print(len(list(csv.DictReader(open(sys.argv[1])))))' "$1"; }
field() { python3 -c 'import csv, sys; [print(r[sys.argv[2]]) for r in csv.DictReader(open(sys.argv[1]))]' "$1" "$2"; }
finding() { python3 -c 'import csv, sys
for r in csv.DictReader(open(sys.argv[1])):
    if (r["finding"], r["column"]) == (sys.argv[2], sys.argv[3]): print(r["count"], r["what"])' "$out/$1/findings.csv" "$2" "$3"; }
digests() { (cd "$out/$1" && find images -type f ! -name '*-*' | xargs sha256sum | cut -d' ' -f1 | sort -u | sha256sum); }

# Images in the table.
runs 'a table with bytea is exported' "^$total images" "${options[@]}" --image photo --attributes maker,hue,big --out "$out/bytes"
expect 'all its rows' $total "$(rows "$out/bytes/images.csv")"
(cd "$gallery" && ask -c 'SELECT path FROM shop' | xargs sha256sum | cut -d' ' -f1 | sort -u | sha256sum) >"$SCRATCH/originals"
expect 'byte for byte' "$(cat "$SCRATCH/originals")" "$(digests bytes)"
expect 'enums and booleans by their texts' 'cold false true warm' "$(cat <(field "$out/bytes/images.csv" hue) <(field "$out/bytes/images.csv" big) | sort -u | xargs)"
expect 'no instance is in both halves' '' "$(python3 - "$out/bytes/images.csv" <<'PYTHON'
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1])))
half = lambda train: {r['instance'] for r in rows if (r['split'] == 'train') == train}
print(*(half(True) & half(False)))
queries = {r['instance'] for r in rows if r['split'] == 'query'}
assert queries and queries <= {r['instance'] for r in rows if r['split'] == 'gallery'}
PYTHON
)"
cp "$out/bytes/images.csv" "$SCRATCH/first.csv"
runs 'a second run fetches nothing' '^0 images fetched' "${options[@]}" --image photo --attributes maker,hue,big --out "$out/bytes"
check 'and writes the same' cmp "$out/bytes/images.csv" "$SCRATCH/first.csv"
ask -c "UPDATE shop SET photo = photo || '\\x00' WHERE id = 1" -c 'DELETE FROM shop WHERE id = 2'
runs 'a third takes up what has changed' '^1 images fetched.* 2 files of earlier runs removed' "${options[@]}" --image photo --attributes maker,hue,big --out "$out/bytes"
expect 'and no more' $((total - 1)) "$(rows "$out/bytes/images.csv")"
ask -c 'ALTER TABLE shop RENAME TO "Odd shop; --"' -c 'ALTER TABLE "Odd shop; --" RENAME sku TO "The ""sku"""'
runs 'names may need quotes' "^$((total - 1)) images" data table --table 'Odd shop; --' --instance 'The "sku"' --category kind --image photo --attributes maker --out "$out/odd"
ask -c 'ALTER TABLE "Odd shop; --" RENAME TO shop' -c 'ALTER TABLE shop RENAME "The ""sku""" TO sku'
total=$((total - 1))

# Elsewhere, and by a query.
runs 'large objects' "^$total images" "${options[@]}" --image lo --attributes maker --out "$out/lo"
runs 'paths' "^$total images" "${options[@]}" --image path --root "$gallery" --attributes maker --out "$out/paths"
expect 'with the same bytes' "$(digests paths)" "$(digests lo)"
runs 'a query with bytea, and a comment and a semicolon at its end' "^$total images" \
  data table --query "SELECT *, 'x' || id AS code FROM shop -- all; " --instance sku --category kind --image photo --attributes maker --out "$out/query"
runs 'which is not fetched again' '^0 images fetched' data table --query 'SELECT * FROM shop;' --instance sku --category kind --image photo --attributes maker --out "$out/query"
ask -c 'CREATE VIEW window_display AS SELECT * FROM shop WHERE id < 50'
runs 'a view' '^48 images' data table --table window_display --instance sku --category kind --image photo --attributes maker --out "$out/view"
runs 'arrays have several values' "^$total images" "${options[@]}" --image photo --attributes tags --out "$out/tags"
expect 'with a separator' 'emoji|noto' "$(field "$out/tags/images.csv" tags | grep noto$ | head -1 | tr '|' '\n' | sort | paste -sd'|')"
expect 'that attributes.json tells of' True "$(python3 -c "import json; print(json.load(open('$out/tags/attributes.json'))['tags']['multi'])")"
ask -c "UPDATE shop SET tags = '{a|b}' WHERE id = 3"
runs 'a value with the separator' 'renamed' "${options[@]}" --image photo --attributes tags --out "$out/tags"
expect 'gets another name' 'a/b' "$(field "$out/tags/images.csv" tags | grep '^a')"

# Boxes, groups, splits of one's own.
ask -c 'ALTER TABLE shop ADD area box, ADD style text, ADD part text' -c "UPDATE shop SET area = '(1.5,2),(20,30)', style = 'style ' || id % 40, part = CASE WHEN id % 2 = 0 THEN 'train' ELSE 'gallery' END" \
  -c "UPDATE shop SET area = '(9000,9000),(9001,9001)' WHERE id = 5" -c 'UPDATE shop SET area = NULL WHERE id = 6'
runs 'boxes' "^$((total - 1)) images" "${options[@]}" --image photo --attributes maker --box area --out "$out/boxes"
expect 'are widened to whole pixels' '1,2,20,30' "$(python3 -c "import csv; r = [r for r in csv.DictReader(open('$out/boxes/images.csv')) if r['x1']][0]; print(r['x1'], r['y1'], r['x2'], r['y2'], sep=',')")"
expect 'one outside of its image is left out' '5' "$(field "$out/boxes/left-out.csv" row)"
runs 'a column of splits' 'train 74, query 0, gallery 75' "${options[@]}" --image photo --attributes maker --split-column part --out "$out/parts"
expect_in 'says what leaks through it' '^leak .* are in training and among what a model is measured on' "$SCRATCH/said"
ask -c 'ALTER TABLE shop ADD line text' -c "UPDATE shop SET line = left(sku, 5)"
runs 'groups stay together' "^$total images" "${options[@]}" --image photo --attributes maker --group line --out "$out/groups"
expect 'in one half' '' "$(python3 - "$out/groups/images.csv" <<'PYTHON'
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1])))
half = lambda train: {r['group'] for r in rows if (r['split'] == 'train') == train}
print(*(half(True) & half(False)))
PYTHON
)"

# What is odd.
ask <<'SQL'
CREATE TABLE odd AS SELECT * FROM shop WHERE id BETWEEN 10 AND 109;
ALTER TABLE odd ADD PRIMARY KEY (id);
UPDATE odd SET maker = 'Noto' WHERE id = (SELECT min(id) FROM odd WHERE maker = 'noto');
UPDATE odd SET maker = ' noto ' WHERE id = (SELECT max(id) FROM odd WHERE maker = 'noto');
UPDATE odd SET maker = 'N/A' WHERE id IN (20, 21);
UPDATE odd SET maker = '' WHERE id = 22;
UPDATE odd SET photo = '<!DOCTYPE html><html></html>' WHERE id = 30;
UPDATE odd SET photo = substr(photo, 1, 100) WHERE id = 31;
UPDATE odd SET photo = NULL WHERE id = 32;
UPDATE odd SET sku = ' ' WHERE id = 33;
UPDATE odd SET kind = NULL WHERE id = 34;
UPDATE odd SET kind = 'something else' WHERE id = 35;
UPDATE odd SET photo = (SELECT photo FROM odd WHERE id = 40) WHERE id = 41;
UPDATE odd SET photo = (SELECT photo FROM odd WHERE id = 42), sku = (SELECT sku FROM odd WHERE id = 42) WHERE id = 43;
UPDATE odd SET photo = (SELECT photo FROM odd WHERE id = 50), sku = 'shares an image' WHERE id = 100;
SQL
odd=(data table --table odd --image photo --instance sku --category kind --attributes maker,hue)
runs 'a table with whatever is odd' '^9[0-9] images' "${odd[@]}" --out "$out/odd1"
expect 'spellings are found' 1 "$(finding odd1 spelling maker | grep -c '"noto" (.*"Noto" (1).*" noto " (1)\|"noto" (.*" noto " (1).*"Noto" (1)')"
expect 'and N/A' '2 "N/A" (2) look like no value, and are exported as values' "$(finding odd1 placeholder maker)"
expect 'and rare values' 1 "$(finding odd1 rare maker | grep -c .)"
expect 'instances in two categories' 1 "$(finding odd1 disagreement kind | grep -c 'something\|different values')"
expect 'images of several instances' 1 "$(finding odd1 'shared image' sku | grep -c 'images are of several instances, which stay together')"
expect 'rows without an image, an instance, a category, and what does not decode, are left out' '30 31 32 33 34' \
  "$(field "$out/odd1/left-out.csv" row | sort -n | xargs | sed 's/ 4[0-9]//g')"
expect 'with why' 1 "$(grep -c '^30,.*HTML' "$out/odd1/left-out.csv")"
python3 - "$out/odd1/findings.csv" >"$SCRATCH/show.sql" <<'PYTHON'
import csv, sys
for r in csv.DictReader(open(sys.argv[1])):
    print(r['show'])
PYTHON
check 'each statement that shows something runs' ask -f "$SCRATCH/show.sql" -o "$SCRATCH/shown"
python3 - "$out/odd1/findings.csv" >"$SCRATCH/mend.sql" <<'PYTHON'
import csv, sys
for r in csv.DictReader(open(sys.argv[1])):
    print(r['mend'])
PYTHON
runs 'tidy merges and drops in the export alone' 'merged into "noto"' "${odd[@]}" --tidy --out "$out/odd1"
expect 'so that these are gone' '' "$(field "$out/odd1/images.csv" maker | grep 'Noto\|N/A' || true)"
check 'each statement that mends something runs' ask -f "$SCRATCH/mend.sql"
runs 'and mends it' '^9[0-9] images' "${odd[@]}" --out "$out/odd1"
expect 'then it is not found again' '' "$(finding odd1 spelling maker)$(finding odd1 placeholder maker)"
expect_in 'questions have the statements' '^SELECT id, sku FROM public.odd WHERE id IN (' "$out/odd1/questions.md"
python3 - "$out/odd1/attributes.json" <<'PYTHON'
import json, sys
declared = json.load(open(sys.argv[1]))
declared['hue'] = {'values': ['warm', 'mild', 'cold'], 'ordered': True}
json.dump(declared, open(sys.argv[1], 'w'))
PYTHON
runs 'an order that somebody has written into attributes.json' '^9[0-9] images' "${odd[@]}" --out "$out/odd1"
expect 'is kept' "['warm', 'mild', 'cold']" "$(python3 -c "import json; print(json.load(open('$out/odd1/attributes.json'))['hue']['values'])")"

# An interrupted run.
ask <<'SQL'
CREATE TABLE many AS SELECT g * 1000 + id AS id, sku || g AS sku, kind, maker, photo || int4send(g) AS photo FROM shop, generate_series(1, 20) g;
CREATE FUNCTION slow(bytea) RETURNS bytea LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.002); RETURN $1; END';
CREATE VIEW slow_many AS SELECT id, sku, kind, maker, slow(photo) AS photo FROM many;
SQL
slow=(data table --table slow_many --instance sku --category kind --image photo --attributes maker --out "$out/slow")
"$program" "${slow[@]}" >"$SCRATCH/interrupted" 2>&1 &
has_some() { [ "$(cat "$out/slow/export.jsonl" 2>/dev/null | wc -l)" -gt 300 ]; }
until_true 'the run has stored images' has_some
fails 'two runs do not write to one folder' 'another run is exporting' "${slow[@]}"
ask -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'coopembed data table'" >/dev/null
status=0
wait $! || status=$?
expect 'a connection that drops is an error' 1 "$status"
expect_in 'that says how to go on' 'Run the command again' "$SCRATCH/interrupted"
check 'there is no half of a set' [ ! -e "$out/slow/images.csv" ]
before=$(wc -l <"$out/slow/export.jsonl")
"$program" "${slow[@]}" >"$SCRATCH/interrupted" 2>&1 &
running=$!
has_more() { [ "$(wc -l <"$out/slow/export.jsonl")" -gt $((before + 300)) ]; }
until_true 'the next run goes on' has_more
kill -9 $running
{ wait $running || true; } 2>/dev/null
runs 'also after a kill' "^$((total * 20)) images" "${slow[@]}"
expect_in 'it keeps what is there' '^NOTICE: .* images of earlier runs are kept; labels are read anew, from a new snapshot' "$SCRATCH/said"
check 'and fetches fewer' [ "$(sed -n 's/^\([0-9]*\) images fetched.*/\1/p' "$SCRATCH/said")" -lt $((total * 20 - 500)) ]
fails 'the folder is refused for another table' 'the folder has another export' "${options[@]}" --image photo --attributes maker --out "$out/slow"

# What cannot work.
fails 'a table that does not exist is an error that lists those that do' '"public.shop"\|"shop"' data table --table shpo --instance sku --category kind --image photo --attributes maker --out "$out/x"
fails 'so is a column' 'column of public.shop "photos" does not exist' "${options[@]}" --image photos --attributes maker --out "$out/x"
fails 'an image column of another type is refused' 'Its type is boolean; expected bytea' "${options[@]}" --image big --attributes maker --out "$out/x"
fails 'text needs to be said what it is' 'name their folder with --root' "${options[@]}" --image path --attributes maker --out "$out/x"
fails 'bytea is no path' 'does not contain paths or URLs' "${options[@]}" --image photo --root "$gallery" --attributes maker --out "$out/x"
fails 'labels are not images' 'column "photo" of public.shop has no labels' "${options[@]}" --image photo --attributes photo --out "$out/x"
fails 'an instance is not an array' 'has no labels' data table --table shop --instance tags --category kind --image photo --attributes maker --out "$out/x"
fails 'an attribute may not be called like a column of images.csv' 'column called "path" cannot be an attribute' "${options[@]}" --image photo --attributes path --out "$out/x"
fails 'a table without rows' 'no rows at all' data table --query 'SELECT * FROM shop WHERE false' --instance sku --category kind --image photo --attributes maker --out "$out/x"
fails 'a query that writes' 'SQLSTATE' data table --query 'DELETE FROM shop RETURNING *' --instance sku --category kind --image photo --attributes maker --out "$out/x2"
ask -c 'CREATE FUNCTION sneaky() RETURNS integer LANGUAGE sql VOLATILE AS $$ DELETE FROM shop RETURNING id $$'
fails 'also in a function' 'read-only transaction' data table --query 'SELECT *, sneaky() AS s FROM shop' --instance sku --category kind --image photo --attributes maker,s --out "$out/x2"
fails 'a split that is none' 'split is "[a-z]*", not train, query or gallery' "${options[@]}" --image photo --attributes maker --split-column hue --out "$out/x3"
mkdir "$out/theirs"
echo path >"$out/theirs/images.csv"
fails 'a folder with a set of somebody else is not overwritten' 'is not from this command' "${options[@]}" --image photo --attributes maker --out "$out/theirs"
ask -c 'CREATE ROLE clerk LOGIN' -c 'GRANT SELECT (id, sku, kind, photo) ON shop TO clerk'
fails 'a role without rights on a column' 'permission denied for table shop' "${options[@]}" --db 'user=clerk dbname=shop' --image photo --attributes maker --out "$out/clerk"
ask -c 'GRANT SELECT (maker, lo) ON shop TO clerk'
runs 'rights on the named columns suffice' "^$total images" "${options[@]}" --db 'user=clerk dbname=shop' --image photo --attributes maker --out "$out/clerk"
fails 'large objects that may not be read' 'permission denied for large object' "${options[@]}" --db 'user=clerk dbname=shop' --image lo --attributes maker --out "$out/clerk2"
ask -c 'SELECT count(lo_unlink(lo)) FROM shop WHERE id <= 10' >/dev/null
runs 'large objects that are gone are left out' "^$((total - 9)) images" "${options[@]}" --image lo --attributes maker --out "$out/lo2"

# URLs.
serve_image "$gallery/images/0030-20e3-noto.png"
here=http://127.0.0.1:$port
ask <<SQL
CREATE TABLE links (id serial PRIMARY KEY, url text, sku text DEFAULT 'a', kind text DEFAULT 'k', hue text DEFAULT 'warm');
INSERT INTO links (url) SELECT '$here/' || p FROM unnest('{ok,once,busy,loop,html,large,none,cut}'::text[]) p;
INSERT INTO links (url) VALUES ('file:///etc/passwd');
SQL
links=(data table --table links --image url --http --allow-private --max-size 1 --retries 2 --instance sku --category kind --attributes hue --out "$out/links")
runs 'URLs' '^1 images' "${links[@]}"
expect 'with why others are left out' '3 4 5 6 7 8 9' "$(field "$out/links/left-out.csv" row | sort -n | xargs | sed 's/^2 //')"
for why in '^4,.*redirects' '^5,.*HTML' '^6,.*too large' '^7,.*status 404' '^9,.*not a URL'; do
  expect_in "such as $why" "$why" "$out/links/left-out.csv"
done
: >"$SCRATCH/asked"
runs 'the next run' '^1 images' "${links[@]}"
expect 'asks for those that may have changed' '/cut /cut /cut /html /large /loop /none' "$(sort "$SCRATCH/asked" | uniq | grep -v '^/loop' | cat - <(echo /loop) | sort | xargs | sed 's|/cut |/cut /cut /cut |')"

# A disk that fills.
if [ "$(id -u)" = 0 ] && mkdir "$SCRATCH/small" && mount -t tmpfs -o size=1m tmpfs "$SCRATCH/small" 2>/dev/null; then
  at_exit "umount $SCRATCH/small"
  fails 'a disk that fills is an error' 'No space left on device' "${options[@]}" --image photo --attributes maker --out "$SCRATCH/small/set"
  expect_in 'that says what to do' 'Make room if the disk is full' "$SCRATCH/error"
  check 'there is no half of a set' [ ! -e "$SCRATCH/small/set/images.csv" ]
  expect 'and no half of an image' '' "$(find "$SCRATCH/small" -name '*.tmp')"
  mount -o remount,size=20m "$SCRATCH/small"
  runs 'with room it goes on' "^$total images" "${options[@]}" --image photo --attributes maker --out "$SCRATCH/small/set"
  expect_in 'where it was' '^NOTICE: .* images of earlier runs are kept' "$SCRATCH/said"
fi

# Training takes the folder as it is.
runs 'a model is trained on the export' 'wrote' train --preset fast --stage head,epochs=1 --size 32 --data "$out/groups" --cache "$SCRATCH/cache" \
  --backbone "$ROOT/model/emoji/model.safetensors" --arch efficientnet_lite0 --out "$SCRATCH/model"
finish
