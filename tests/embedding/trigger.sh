#!/usr/bin/env bash
# coop_embed_trigger() before each row keeps embeddings up to date: new and changed images are embedded, unchanged ones are not embedded again, a bad image is
# an error of the statement. A trigger that cannot work is an error that says why.
source "$(dirname "$0")/../tools/embedding_fixture.sh"
embedding_cluster
ask <<'SQL'
CREATE TABLE kept (id int PRIMARY KEY, image bytea, emb coopvec, note text);
CREATE TRIGGER embed BEFORE INSERT OR UPDATE ON kept FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb');
INSERT INTO kept SELECT id, image FROM products ORDER BY id LIMIT 10;
INSERT INTO kept VALUES (1000, NULL);
CREATE TABLE few (id int, part text, image bytea, emb coopvec);
SQL
expect 'new rows are embedded' '10|10' "$(value 'count(emb) FROM kept')|$(right kept)"
before=$(images_embedded)
ask -c "UPDATE kept SET note = 'x'" -c "UPDATE kept SET image = image || ''"
expect 'an image that did not change is not embedded again' 0 $(($(images_embedded) - before))
ask -c "UPDATE kept SET image = (SELECT image FROM products p WHERE p.id = kept.id + 20) WHERE id <= 3"
expect 'a changed one is' '10' "$(right kept)"
ask -c "UPDATE kept SET image = NULL WHERE id = 5"
expect 'without an image there is no embedding' '' "$(value 'emb FROM kept WHERE id = 5')"
expect_error 'a bad image is an error of the statement' 'not an image in a known format' -c "INSERT INTO kept VALUES (1001, 'no image')"
ask -c "CREATE TABLE sized (image bytea, emb coopvec(650))" -c "CREATE DOMAIN small AS coopvec(10)" -c "CREATE TABLE smaller (image bytea, emb small)" \
  -c "CREATE TRIGGER embed BEFORE INSERT ON sized FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb')" \
  -c "CREATE TRIGGER embed BEFORE INSERT ON smaller FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb')" \
  -c "INSERT INTO sized SELECT image FROM products LIMIT 1"
expect 'a column of coopvec(650) takes embeddings of 650 dimensions' 1 "$(value 'count(emb) FROM sized')"
expect_error 'and one of another number, of a domain too, refuses them' 'expected 10 dimensions, not 650' -c "INSERT INTO smaller SELECT image FROM products LIMIT 1"
trigger() { echo "BEGIN; CREATE OR REPLACE TRIGGER wrong $1 EXECUTE FUNCTION coop_embed_trigger($2); INSERT INTO few (id, image) VALUES (0, '')"; }
expect_error 'a trigger without two columns is an error' 'takes the names of two columns' -c "$(trigger 'BEFORE INSERT ON few FOR EACH ROW' "'image'")"
expect_error 'so is one with a column that does not exist' 'column "photo" of relation "few" does not exist' -c "$(trigger 'BEFORE INSERT ON few FOR EACH ROW' "'photo', 'emb'")"
expect_error 'or of another type' 'column "part" of relation "few" does not contain ' -c "$(trigger 'BEFORE INSERT ON few FOR EACH ROW' "'image', 'part'")"
expect_error 'or that fires AFTER' 'for each row, before INSERT or UPDATE' -c "$(trigger 'AFTER INSERT ON few FOR EACH ROW' "'image', 'emb'")"
expect_error 'or for each statement' 'for each row, before INSERT or UPDATE' -c "$(trigger 'BEFORE INSERT ON few FOR EACH STATEMENT' "'image', 'emb'")"
expect_error 'or that is called as a function' 'must be called as a trigger' -c 'SELECT coop_embed_trigger()'

# Embeddings that were given.
ask <<'SQL'
CREATE DOMAIN embedded AS coopvec CHECK (VALUE IS NULL OR current_setting('shop.closed', true) IS DISTINCT FROM 'on');
CREATE TABLE given (id int PRIMARY KEY, image bytea, crop box, emb embedded);
CREATE TRIGGER embed BEFORE INSERT OR UPDATE ON given FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb', 'keep_given=on', 'box_column=crop');
SQL
before=$(images_embedded)
ask -c 'INSERT INTO given SELECT id + 100, image, NULL, (SELECT emb FROM kept WHERE id = 9) FROM products WHERE id <= 3' \
  -c 'INSERT INTO given SELECT 200, NULL, NULL, emb FROM kept WHERE id = 9' \
  -c 'UPDATE given SET image = (SELECT image FROM products WHERE id = 30), emb = (SELECT emb FROM kept WHERE id = 8) WHERE id = 101'
expect 'one that was given is kept' '4 0' "$(value "count(*) FROM given WHERE emb IN (SELECT emb FROM kept WHERE id IN (8, 9))") $(($(images_embedded) - before))"
ask -c 'UPDATE given SET image = (SELECT image FROM products WHERE id = 31) WHERE id = 101'
expect 'one that was there before is not kept when the image changes' 1 "$(right given)"
expect_error 'the domain of the column is checked' 'value for domain embedded violates check constraint' -c "SET shop.closed = 'on'" -c 'INSERT INTO given (id, image) SELECT 300, image FROM products WHERE id = 1'
ask -c "INSERT INTO given SELECT id + 400, image, '(5,5),(40,30)' FROM products WHERE id <= 3"
expect 'of the pixels in the box' 3 "$(value 'count(*) FROM given WHERE id > 400 AND emb <-> coop_embed(image, crop) < 0.02')"
before=$(images_embedded)
ask -c "UPDATE given SET crop = '(5,5),(41,30)' WHERE id = 401" -c "UPDATE given SET crop = crop WHERE id > 400"
expect 'another box is another embedding' '1 3' "$(($(images_embedded) - before)) $(value 'count(*) FROM given WHERE id > 400 AND emb <-> coop_embed(image, crop) < 0.02')"
expect_error 'a box beside the image is an error' 'the crop box has no pixel of the image' -c "UPDATE given SET crop = '(5000,5),(6000,30)' WHERE id = 401"
ask <<'SQL'
CREATE TABLE objects (id int PRIMARY KEY, image oid, emb coopvec);
CREATE TRIGGER embed BEFORE INSERT OR UPDATE ON objects FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb', 'model=emoji');
INSERT INTO objects SELECT id, lo_from_bytea(0, image) FROM products WHERE id <= 3;
SQL
expect 'large objects are embedded' 3 "$(value 'count(*) FROM objects o JOIN products p USING (id) WHERE o.emb <-> coop_embed(p.image) < 0.02')"
expect_error 'an option that does not exist is an error' 'option "keep" does not exist' -c "$(trigger 'BEFORE INSERT ON few FOR EACH ROW' "'image', 'emb', 'emoji', 'keep=on'")"
expect_error 'so is one without a value' 'option "keep_given" does not exist' -c "$(trigger 'BEFORE INSERT ON few FOR EACH ROW' "'image', 'emb', 'emoji', 'keep_given'")"
expect_error 'or with another one' 'keep_given of coop_embed_trigger is on or off' -c "$(trigger 'BEFORE INSERT ON few FOR EACH ROW' "'image', 'emb', 'keep_given=maybe'")"
expect_error 'the third argument is a model unless it is an option' 'model "keep" does not exist' \
  -c "BEGIN; CREATE TRIGGER wrong BEFORE INSERT ON few FOR EACH ROW EXECUTE FUNCTION coop_embed_trigger('image', 'emb', 'keep'); INSERT INTO few (image) SELECT image FROM products LIMIT 1"
ask -c "ALTER TABLE few ADD crop box GENERATED ALWAYS AS (box(point(id, 0), point(20, 20))) STORED"
expect_error 'a box that is not computed yet is an error' 'column "crop" is generated, and has no value when this trigger fires' \
  -c "$(trigger 'BEFORE INSERT ON few FOR EACH ROW' "'image', 'emb', 'box_column=crop'")"
finish
