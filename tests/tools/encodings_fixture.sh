# Sourced by tests/encodings/*.sh: databases that are not in UTF8 have to give the same models, names, ids and messages as one that is.
# shellcheck shell=bash
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

encodings_cluster() {
  find_postgres
  scratch_cluster
  export PGDATABASE=postgres PGCLIENTENCODING=UTF8
  twin=$(twin_of "$(for_server "$SCRATCH" "$ROOT/model/emoji")")
}

# model_with DIRECTORY ATTRIBUTE VALUE CATEGORY LICENCE: the shipped model with the names "hue", "red" and "drink" replaced, and another licence.
model_with() {
  local to=$SCRATCH/$1 header length data
  mkdir "$to"
  sed "s/\"hue\"/\"$2\"/; s/\"red\"/\"$3\"/; s/\"drink\"/\"$4\"/; s/\"licence\": \"[^\"]*\"/\"licence\": \"$5\"/" "$ROOT/model/emoji/config.json" >"$to/config.json"
  length=$(od -An -tu8 -N8 "$ROOT/model/emoji/model.safetensors" | xargs)
  # Tensors are named after the attribute; the metadata, which names the config they were written with, goes.
  header=$(head -c $((8 + length)) "$ROOT/model/emoji/model.safetensors" | tail -c +9 |
    sed "s/\"__metadata__\":{[^}]*},//; s/\(queries\|proxies\)\.\(attribute\|absent\)\.hue\"/\1.\2.$2\"/g")
  data=$((9 + length))
  {
    length=$(printf %s "$header" | wc -c)
    for i in 0 8 16 24 32 40 48 56; do printf "\\x$(printf %02x $((length >> i & 255)))"; done
    printf %s "$header"
    tail -c "+$data" "$ROOT/model/emoji/model.safetensors"
  } >"$to/model.safetensors"
  give_to_server "$to"
}
database() { # NAME ENCODING
  "$BIN/createdb" -T template0 -E "$2" --locale=C "$1"
}

# A table whose name, columns and ids hold WORD, and two models.
fill() { # DATABASE DIRECTORY ATTRIBUTE VALUE CATEGORY WORD
  for_server "$SCRATCH" "$ROOT/tests/fixtures/images/jpeg_420.jpg" >/dev/null
  ask -d "$1" -v model="modèle" 2>&1 <<SQL
\\set VERBOSITY verbose
SET client_min_messages = warning;
CREATE EXTENSION coopembed;
RESET client_min_messages;
SELECT coop_load_model('$6', '$SCRATCH/$2');
SELECT coop_load_model('twin', '$SCRATCH/twin') IS NOT NULL;
ALTER DATABASE "$1" SET coopembed.model = '$6';
CREATE TABLE "$6" ("no$6" text PRIMARY KEY, "i$6" bytea, "e$6" coopvec, "l$6" text);
SET coopembed.model = '$6';
INSERT INTO "$6" SELECT '$6-' || i, NULL, coop_vector(ARRAY(
    SELECT ((hashint4(i * 1000 + j) & 1023) / 1023.0 - 0.5)::real FROM generate_series(1, 650) j)), '$4' || i % 3 FROM generate_series(1, 60) i;
SQL
}
# Everything that names and ids go in and out by. Errors come with SQLSTATE, DETAIL and HINT.
statements() { # DATABASE ATTRIBUTE VALUE CATEGORY WORD
  ask -d "$1" 2>&1 <<SQL | sed 's/^psql:<stdin>:[0-9]*: //; s/^LOCATION: .*//'
\\set ON_ERROR_STOP off
\\set VERBOSITY verbose
SET client_min_messages = warning;
SELECT name, fingerprint, backbone, input_size, is_default FROM coop_models();
SELECT * FROM coop_attributes();
SELECT * FROM coop_attributes('$5');
SELECT * FROM coop_attribute_values('$2');
SELECT * FROM coop_attribute_values('$2', '$5');
SELECT * FROM coop_categories() WHERE ordinal % 8 = 0 OR name = '$4';
SELECT * FROM coop_categories('$5') WHERE name = '$4';
SELECT coop_attr_query('$2', '$3')::text = coop_attr_query('$2', '$3', '$5')::text, md5(coop_attr_query('hair', 'curly')::text);
SELECT md5(coop_category_query('$4')::text), md5(coop_category_query('$4', '$5')::text);
SELECT coop_attr_query('x$2', '$3');
SELECT coop_attr_query('$2', 'x$3');
SELECT coop_category_query('x$4');
SELECT coop_category_query('x', 'x$5');
SET coopembed.model = 'no $5';
SELECT coop_category_query('x');
RESET coopembed.model;
BEGIN;
SELECT coop_define_category('$4 x', coop_category_query('$4'));
SELECT coop_define_category('$4', coop_category_query('$4'));
ROLLBACK;
BEGIN;
SELECT coop_define_category('$4 x', avg("e$5")) FROM "$5";
SELECT coop_define_attribute_value('$2', '$3 x', avg("e$5")) FROM "$5";
SELECT ordinal, value, own FROM coop_attribute_values('$2') WHERE own;
SELECT coop_drop_attribute_value('$2', '$3 x');
SELECT coop_drop_category('$4 x', '$5');
SELECT coop_drop_category('$4');
ROLLBACK;
SELECT coop_drop_category('$4');
SELECT md5(coop_like("e$5", '$2', 'hair')::text), md5(coop_replace("e$5", '$2', '$3')::text), md5(coop_subspace("e$5", '$2')::text) FROM "$5" WHERE "no$5" = '$5-1';
SELECT md5(coop_blend(a."e$5", b."e$5", '$2')::text) FROM "$5" a, "$5" b WHERE (a."no$5", b."no$5") = ('$5-1', '$5-2');
SELECT coop_like("e$5", '$2', 'x$2') FROM "$5" LIMIT 1;
SELECT tags -> 'category', key, value FROM "$5", coop_tags("e$5") tags, jsonb_each(tags -> 'attributes') WHERE "no$5" = '$5-1' ORDER BY key;
SELECT * FROM "$5", coop_predict("e$5", '$2') WHERE "no$5" = '$5-1';
SELECT value, probability FROM "$5", coop_predict("e$5", 'x$2') AS p WHERE "no$5" = '$5-1';
SELECT category, probability FROM "$5", coop_predict_category("e$5") WHERE "no$5" = '$5-1' ORDER BY probability DESC, category LIMIT 80;
SELECT e.attribute, e.weight, e.contribution FROM "$5" p, coop_explain(p."e$5", coop_attr_query('$2', '$3')) e WHERE "no$5" = '$5-1';
SELECT * FROM coop_transition('"$5"', 'no$5', 'e$5', '$5-1', '$5-7');
SELECT * FROM coop_transition('"$5"', 'no$5', 'e$5', '$5-1', '$5-9', '$2');
SELECT step, id FROM coop_transition_to('"$5"', 'no$5', 'e$5', '$5-1', coop_attr_query('$2', '$3'));
SELECT * FROM coop_transition('"$5"', 'no$5', 'e$5', '$5-1', '$5-999');
SELECT * FROM coop_transition('"$5"', 'no$5', 'e$5', '$5-1', '$5-9', 'x$2');
SELECT * FROM coop_transition('"$5"', 'l$5', 'e$5', '${3}0', '${3}1');
CALL coop_build_knn('"$5"', 'no$5', 'e$5', '"graph $5"', 4, '$2');
SELECT * FROM coop_knn_graphs();
SELECT array_to_string(neighbours, ' ') FROM "graph $5" ORDER BY id LIMIT 5;
SELECT * FROM coop_transition('"$5"', 'no$5', 'e$5', '$5-1', '$5-7', '$2', graph => '"graph $5"');
DROP TABLE "graph $5";
SELECT "no$5" FROM coop_search(NULL::"$5", 'e$5', coop_attr_query('$2', '$3'), 4, \$f\$"l$5" = '${3}1'\$f\$);
SELECT * FROM coop_typicality('"$5"', 'no$5', 'e$5', 'l$5') WHERE rank <= 2;
CREATE INDEX "x$5" ON "$5" USING coop ("e$5");
SELECT "no$5" FROM "$5" ORDER BY "e$5" <-> coop_attr_query('$2', '$3') LIMIT 3;
SELECT coop_index_check('"x$5"');
DROP INDEX "x$5";
BEGIN;
UPDATE "$5" SET "i$5" = '\\x00', "e$5" = NULL WHERE "no$5" = '$5-1';
UPDATE "$5" SET "i$5" = pg_read_binary_file('$SCRATCH/jpeg_420.jpg'), "e$5" = NULL WHERE "no$5" = '$5-2';
COMMIT;
CALL coop_embed_table('"$5"', 'i$5', 'e$5');
CALL coop_embed_table('"$5"', 'i$5', 'e$5', 'no $5');
SELECT relation, model, done, failed FROM coop_embed_progress;
SELECT md5("e$5"::text), "e$5" = coop_embed("i$5", '$5') FROM "$5" WHERE "no$5" = '$5-2';
CREATE TRIGGER embed BEFORE UPDATE ON "$5" FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('i$5', 'x$5');
UPDATE "$5" SET "no$5" = "no$5";
DROP TRIGGER embed ON "$5";
CREATE TRIGGER embed BEFORE UPDATE ON "$5" FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('l$5', 'e$5');
UPDATE "$5" SET "no$5" = "no$5";
DROP TRIGGER embed ON "$5";
CREATE TRIGGER embed BEFORE UPDATE ON "$5" FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('i$5', 'e$5', 'no $5');
UPDATE "$5" SET "i$5" = '\\x00' WHERE "no$5" = '$5-2';
DROP TRIGGER embed ON "$5";
CREATE TRIGGER embed BEFORE UPDATE ON "$5" FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('i$5', 'e$5', '$5');
UPDATE "$5" SET "i$5" = pg_read_binary_file('$SCRATCH/jpeg_420.jpg') WHERE "no$5" = '$5-1';
SELECT a."e$5" = b."e$5" FROM "$5" a, "$5" b WHERE (a."no$5", b."no$5") = ('$5-1', '$5-2');
DROP TRIGGER embed ON "$5";
UPDATE "$5" SET "i$5" = NULL, "e$5" = (SELECT "e$5" FROM "$5" WHERE "no$5" = '$5-3') WHERE "no$5" IN ('$5-1', '$5-2');
SELECT coop_load_model('$5', '$SCRATCH/twin');
SELECT coop_load_model('$5 2', '$SCRATCH/no $5');
SELECT coop_drop_model('no $5');
SQL
}

# same_as_utf8 ENCODING ATTRIBUTE VALUE CATEGORY WORD LICENCE: a database of this encoding answers as one in UTF8, and so does a dump of it there, and
# a dump of that back here.
same_as_utf8() {
  local name=${1,,} words=("$2" "$3" "$4" "$5")
  model_with "model_$name" "$2" "$3" "$4" "$6"
  database "$name" "$1"
  database "utf8_$name" UTF8
  fill "utf8_$name" "model_$name" "${words[@]}" >"$SCRATCH/loaded.utf8" || die "UTF8: $(cat "$SCRATCH/loaded.utf8")"
  fill "$name" "model_$name" "${words[@]}" >"$SCRATCH/loaded" || die "$1: $(cat "$SCRATCH/loaded")"
  expect "$1: the model has the same fingerprint" "$(cat "$SCRATCH/loaded.utf8")" "$(cat "$SCRATCH/loaded")"
  # Before the statements, some of which change rows.
  database "there_$name" UTF8
  "$BIN/pg_dump" "$name" | ask -d "there_$name" >/dev/null
  database "back_$name" "$1"
  "$BIN/pg_dump" "there_$name" | ask -d "back_$name" >/dev/null
  statements "utf8_$name" "${words[@]}" >"$SCRATCH/answers.utf8"
  statements "$name" "${words[@]}" | sed "s/utf8_$name/$name/g" >"$SCRATCH/answers"
  expect "$1: $(wc -l <"$SCRATCH/answers") lines of answers and errors are those of UTF8" '' "$(diff "$SCRATCH/answers.utf8" "$SCRATCH/answers")"
  # A statement that is wrong itself would be answered alike everywhere.
  expect "$1: there are no internal errors and no wrong statements" '' "$(grep 'XX000\|42601\|42602\|42P01\|42883\|42703' "$SCRATCH/answers" || true)"
  for word in "$@"; do [ "$word" = "$1" ] || [ "$word" = "$6" ] || expect_in "$1: they have $word" "$word" "$SCRATCH/answers"; done
  ask -d "there_$name" -c "ALTER DATABASE there_$name SET coopembed.model = '$5'"
  expect "$1: a dump answers the same in UTF8" '' "$(statements "there_$name" "${words[@]}" | diff "$SCRATCH/answers" -)"
  ask -d "back_$name" -c "ALTER DATABASE back_$name SET coopembed.model = '$5'"
  expect "$1: a dump of that answers the same in $1" '' "$(statements "back_$name" "${words[@]}" | diff "$SCRATCH/answers" -)"
}
