#!/usr/bin/env bash
# The owner of a database, no superuser, restores a dump into it where the extension exists already: models, the default, own words, graphs and all
# answers are there. The owner may add rows to the catalogue and nothing else; other roles may not.
source "$(dirname "$0")/../tools/lib.sh"
find_postgres
scratch_cluster
export PGOPTIONS="-c client_min_messages=warning"
"$BIN/createdb" shop
export PGDATABASE=shop
load_demo
embed_demo products
ask >/dev/null <<SQL
SELECT coop_load_model('b', '$(twin_of "$SCRATCH/emoji")');
SELECT coop_set_default_model('b');
CREATE INDEX products_emb ON products USING coop (emb);
CREATE TRIGGER embed BEFORE INSERT OR UPDATE OF image ON products FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb', 'emoji');
SELECT coop_define_category('ball', avg(emb)) FROM products WHERE name ~ 'ball';
SELECT coop_define_attribute_value('hue', 'of a ball', avg(emb)) FROM products WHERE name ~ 'ball';
CALL coop_build_knn('products', 'id', 'emb', 'graph', 8);
CREATE ROLE keeper LOGIN;
CREATE ROLE clerk LOGIN;
SQL
contents() { # DATABASE ROLE
  ask -d "$1" -U "$2" <<'SQL'
SELECT * FROM coop_models();
SELECT * FROM coop_categories('emoji') WHERE own;
SELECT * FROM coop_attribute_values('hue', 'emoji') WHERE own;
SELECT id FROM products ORDER BY emb <-> coop_attr_query('hue', 'of a ball', 'emoji') + coop_category_query('ball', 'emoji'), id;
SELECT md5(string_agg(coopvec_send(emb)::text, ' ' ORDER BY id)), coop_index_check('products_emb') FROM products;
SELECT coop_embed(image), coop_embed(image, 'emoji') = emb FROM products WHERE id = 7;
SELECT * FROM coop_knn_graphs();
SELECT coop_tags(emb) FROM products WHERE id <= 3 ORDER BY id;
SQL
}
contents shop postgres >"$SCRATCH/contents"
expect_in 'the dumped database has a default' '^b|.*|t|' "$SCRATCH/contents"
"$BIN/pg_dump" -Fc -f "$SCRATCH/shop.dump" shop
"$BIN/pg_dump" --no-owner --no-comments -f "$SCRATCH/shop.sql" shop
for way in text serial parallel; do
  "$BIN/createdb" -O keeper $way
  ask -d $way -c 'CREATE EXTENSION coopembed'
  case $way in
    text) ask -U keeper -d $way -f "$SCRATCH/shop.sql" ;;
    serial) "$BIN/pg_restore" -e --no-owner --no-comments -U keeper -d $way "$SCRATCH/shop.dump" ;;
    parallel) "$BIN/pg_restore" -e --no-owner --no-comments -j 4 -U keeper -d $way "$SCRATCH/shop.dump" ;;
  esac >"$SCRATCH/restore" 2>&1 || fail "the owner restores ($way)" "$(cat "$SCRATCH/restore")"
  expect "everything is there ($way)" '' "$(contents $way keeper | diff "$SCRATCH/contents" -)"
done
denied() { expect_error "$1" 'permission denied' -U "$2" -d text -c "$3"; }
denied 'the owner does not read weights' keeper 'SELECT count(*) FROM coopembed.model_weights'
denied 'nor changes a model' keeper "UPDATE coopembed.models SET name = 'x'"
denied 'nor removes one' keeper 'DELETE FROM coopembed.models'
denied 'nor chooses the default' keeper "SELECT coop_set_default_model('emoji')"
for table in models default_model model_weights attributes attribute_values categories proxies knn_graphs; do
  denied "another role adds nothing to $table" clerk "INSERT INTO coopembed.$table DEFAULT VALUES"
done

# Beside a model of the same name, and another default: those that are there stay.
"$BIN/createdb" -O keeper beside
ask -d beside -c 'CREATE EXTENSION coopembed' -c "SELECT coop_load_model('c', '$SCRATCH/emoji')" >/dev/null
"$BIN/pg_restore" --no-owner --no-comments -U keeper -d beside "$SCRATCH/shop.dump" 2>"$SCRATCH/error" || true
expect 'a restore beside another model keeps its default, and adds its own models' 'b,f c,t emoji,f' "$(ask -d beside -F, -c 'SELECT name, is_default FROM coop_models()' | xargs)"
expect_in 'and says so' 'default_model_pkey' "$SCRATCH/error"
expect_in 'which is the only row that is refused' 'errors ignored on restore: 1' "$SCRATCH/error"
finish
