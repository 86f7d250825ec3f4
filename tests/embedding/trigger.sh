#!/usr/bin/env bash
# coop_embed_trigger() keeps embeddings up to date: new and changed images are embedded, unchanged ones are not embedded again, a bad image is
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
finish
