#!/usr/bin/env bash
# coop_embed_trigger() after INSERT and UPDATE, for each statement: the rows that were written are embedded, several at the same time, and no
# others; with the rights of whoever wrote them.
source "$(dirname "$0")/../tools/embedding_fixture.sh"
embedding_cluster
ask <<'SQL'
CREATE TABLE kept (id int PRIMARY KEY, image bytea, emb coopvec, note text);
CREATE TRIGGER embed_new AFTER INSERT ON kept REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION coop_embed_trigger('image', 'emb');
CREATE TRIGGER embed_changed AFTER UPDATE ON kept REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION coop_embed_trigger('image', 'emb');
SQL
embedded_by() { # SQL: how many images it takes
  local before
  before=$(images_embedded)
  ask -c "$1"
  echo $(($(images_embedded) - before))
}
expect 'new rows are embedded, each once' 30 "$(embedded_by 'INSERT INTO kept SELECT id, image FROM products ORDER BY id LIMIT 30')"
expect 'and rightly' '30|30' "$(value 'count(emb) FROM kept')|$(right kept)"
expect 'several at the same time' t "$(value 'bool_or(size > 1 AND batches > 0) FROM coop_stat_worker_batches')"
expect 'rows that are not written are not embedded' 0 "$(embedded_by 'INSERT INTO kept SELECT id, image FROM products WHERE id <= 30 ON CONFLICT DO NOTHING')"
expect 'of new ones and others only the new ones are' 2 "$(embedded_by 'INSERT INTO kept SELECT id, image FROM products WHERE id BETWEEN 25 AND 32 ON CONFLICT (id) DO NOTHING')"
expect 'an update that leaves the image alone embeds nothing' 0 "$(embedded_by "UPDATE kept SET note = 'x', image = image || ''")"
expect 'one that changes some images embeds them' 3 \
  "$(embedded_by 'UPDATE kept SET image = (SELECT p.image FROM products p WHERE p.id = kept.id + CASE WHEN kept.id <= 3 THEN 20 ELSE 0 END) WHERE id <= 10')"
expect 'upserted rows are embedded too' 2 "$(embedded_by 'INSERT INTO kept SELECT id - 30, image FROM products WHERE id IN (31, 33, 41)
  ON CONFLICT (id) DO UPDATE SET image = excluded.image WHERE kept.id IN (1, 11)')"
ask -c 'DELETE FROM kept WHERE id > 12' -c 'UPDATE kept SET id = -id' -c 'UPDATE kept SET id = 1 - id, image = (SELECT k.image FROM kept k WHERE k.id = kept.id - 1) WHERE id > -12'
expect 'keys may change with images' 't' "$([ "$(right kept)" = "$(value 'count(*) FROM kept WHERE image IS NOT NULL')" ] && echo t)"
ask -c 'UPDATE kept SET image = NULL WHERE id = 5' -c 'INSERT INTO kept VALUES (500, NULL, (SELECT emb FROM kept WHERE id = 6)), (501, NULL, NULL)'
expect 'without an image there is no embedding' 0 "$(value 'count(emb) FROM kept WHERE image IS NULL')"
ask -c "COPY (SELECT id + 1000, image FROM products) TO '$SCRATCH/rows'" -c "COPY kept (id, image) FROM '$SCRATCH/rows'"
expect 'COPY is a statement' 60 "$(value 'count(*) FROM kept WHERE id > 1000 AND emb <-> coop_embed(image) < 0.02')"
expect_error 'a bad image is an error of the statement, with its row' 'row (id)=(2007) of public.kept gets no embedding: .*not an image in a known format' \
  -c "INSERT INTO kept SELECT id + 2000, CASE WHEN id = 7 THEN 'no image' ELSE image END FROM products"
expect 'which writes nothing' 0 "$(value 'count(*) FROM kept WHERE id > 2000')"

# Embeddings that were given; a box from other columns; large objects; a domain.
ask <<'SQL'
CREATE DOMAIN vectors AS coopvec;
CREATE TABLE given (a int, "b ""c" text, image bytea, x int, crop box GENERATED ALWAYS AS (box(point(x, 2), point(20, 22))) STORED, emb vectors, PRIMARY KEY ("b ""c", a) INCLUDE (x));
CREATE TRIGGER embed AFTER INSERT ON given REFERENCING NEW TABLE AS "new ""rows" FOR EACH STATEMENT
    EXECUTE FUNCTION coop_embed_trigger('image', 'emb', 'keep_given=on', 'box_column=crop', 'model=emoji');
CREATE TRIGGER changed AFTER UPDATE ON given REFERENCING OLD TABLE AS old NEW TABLE AS new FOR EACH STATEMENT
    EXECUTE FUNCTION coop_embed_trigger('image', 'emb', 'emoji', 'keep_given=on', 'box_column=crop');
INSERT INTO given (a, "b ""c", image, x, emb) SELECT id, 'it''s', image, CASE WHEN id > 2 THEN id END, CASE WHEN id = 1 THEN (SELECT emb FROM kept WHERE id = 1020) END FROM products WHERE id <= 5;
SQL
is_given="emb = (SELECT emb FROM kept WHERE id = 1020)"
in_box='emb <-> coop_embed(image, crop) < 0.02'
expect 'an embedding that was given is kept, others are of the box' '1 4' "$(value "count(*) FILTER (WHERE $is_given) || ' ' || count(*) FILTER (WHERE $in_box) FROM given")"
expect 'another box is another embedding' 1 "$(embedded_by 'UPDATE given SET x = 7 WHERE a = 4')"
expect 'of its pixels' t "$(value "$in_box FROM given WHERE a = 4")"
expect 'one that is given with an image is kept' 0 "$(embedded_by "UPDATE given SET image = (SELECT image FROM products WHERE id = 20), emb = (SELECT emb FROM kept WHERE id = 1020) WHERE a = 3")"
expect 'one that was there before is not' 1 "$(embedded_by "UPDATE given SET image = (SELECT image FROM products WHERE id = 21) WHERE a = 3")"
ask <<'SQL'
CREATE TABLE objects (id int PRIMARY KEY, image oid, emb coopvec);
CREATE TRIGGER embed AFTER INSERT ON objects REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION coop_embed_trigger('image', 'emb');
INSERT INTO objects SELECT id, lo_from_bytea(0, image) FROM products WHERE id <= 3;
SQL
expect 'large objects are embedded' 3 "$(value 'count(*) FROM objects o JOIN products p USING (id) WHERE o.emb <-> coop_embed(p.image) < 0.02')"
expect_error 'one that does not exist is an error' 'the large object of the image does not exist' -c 'INSERT INTO objects VALUES (9, 9)'

# Partitions, other triggers, and keys of several types.
ask <<'SQL'
CREATE TABLE parts (part text, id uuid, image bytea, emb coopvec, touched int DEFAULT 0, PRIMARY KEY (part, id)) PARTITION BY LIST (part);
CREATE TABLE part_a PARTITION OF parts FOR VALUES IN ('a');
CREATE TABLE part_b (emb coopvec, touched int DEFAULT 0, image bytea, id uuid NOT NULL, part text NOT NULL);
ALTER TABLE parts ATTACH PARTITION part_b FOR VALUES IN ('b');
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.touched := NEW.touched + 1; RETURN NEW; END';
CREATE TRIGGER touch BEFORE UPDATE ON parts FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER embed AFTER INSERT ON parts REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION coop_embed_trigger('image', 'emb');
CREATE TRIGGER changed AFTER UPDATE ON parts REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION coop_embed_trigger('image', 'emb');
INSERT INTO parts SELECT CASE WHEN id % 2 = 0 THEN 'a' ELSE 'b' END, md5(id::text)::uuid, image FROM products WHERE id <= 10;
SQL
expect 'partitions are embedded, and other triggers fire once' '10|10|10' "$(right parts)|$(value 'count(emb), sum(touched) FROM parts')"
ask -c "UPDATE parts SET part = 'a', image = (SELECT image FROM products WHERE id = 20) WHERE part = 'b'"
expect 'rows that move to another partition are embedded' '10 10' "$(right parts) $(value "count(*) FROM part_a")"

# Rights: of whoever writes.
ask <<'SQL'
CREATE ROLE clerk;
GRANT SELECT, INSERT ON products, objects TO clerk;
CREATE TABLE shelf (id int PRIMARY KEY, image bytea, emb coopvec);
CREATE TRIGGER embed AFTER INSERT ON shelf REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION coop_embed_trigger('image', 'emb');
GRANT INSERT ON shelf TO clerk;
SQL
put="INSERT INTO shelf SELECT id, image FROM products WHERE id"
expect_error 'who may only insert cannot embed' 'permission denied for table shelf' -c 'SET ROLE clerk' -c "$put = 1"
ask -c 'GRANT SELECT (id, image), UPDATE (emb) ON shelf TO clerk' -c 'SET ROLE clerk' -c "$put <= 3"
expect 'reading key and image and updating the embedding is enough' 3 "$(right shelf)"
ask -c 'ALTER TABLE shelf ENABLE ROW LEVEL SECURITY; CREATE POLICY adds ON shelf FOR INSERT TO clerk WITH CHECK (true)' \
  -c 'SET ROLE clerk' -c "$put IN (4, 5)" >"$SCRATCH/error" 2>&1
expect_in 'rows that their writer may not see are left, with a warning' 'WARNING:  2 new or changed rows of public.shelf have not been embedded' "$SCRATCH/error"
ask <<'SQL'
CREATE SCHEMA evil;
CREATE FUNCTION evil.trap(int, int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'TRAP RAN'; END $$;
CREATE OPERATOR evil.= (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.trap);
CREATE FUNCTION evil.lo_get(oid) RETURNS bytea LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'TRAP RAN'; END $$;
SET search_path = evil, public, pg_catalog;
INSERT INTO objects SELECT id + 10, lo_from_bytea(0, image) FROM products WHERE id OPERATOR(pg_catalog.<=) 2;
SQL
expect 'nothing of the search_path is called' 2 "$(value 'count(emb) FROM objects WHERE id > 10')"

# What cannot work says why.
ask -c 'CREATE TABLE few (id int, image bytea, emb coopvec)'
trigger() { echo "BEGIN; CREATE TRIGGER wrong $1 FOR EACH STATEMENT EXECUTE FUNCTION coop_embed_trigger('image', 'emb'); INSERT INTO $2 (id, image) SELECT 99, image FROM products LIMIT 1"; }
expect_error 'a table without a primary key' 'table public.few has no primary key' -c "$(trigger 'AFTER INSERT ON few REFERENCING NEW TABLE AS n' few)"
expect_error 'with one that is checked late' 'table public.few has no primary key' -c 'ALTER TABLE few ADD PRIMARY KEY (id) DEFERRABLE' -c "$(trigger 'AFTER INSERT ON few REFERENCING NEW TABLE AS n' few)"
expect_error 'a trigger without a transition table' 'needs transition tables' -c "$(trigger 'AFTER INSERT ON kept' kept)"
expect_error 'of the old rows too' 'needs transition tables' \
  -c "BEGIN; CREATE TRIGGER wrong AFTER UPDATE ON kept REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION coop_embed_trigger('image', 'emb'); UPDATE kept SET note = ''"
finish
