#!/usr/bin/env bash
# coop_embed_table() on partitioned tables, names that need quotes, tables without a key or with triggers, and rows of another model; what
# it refuses, and with which error.
source "$(dirname "$0")/../tools/embedding_fixture.sh"
embedding_cluster
ask <<'SQL'
CREATE SCHEMA "The Shop";
CREATE TABLE "The Shop"."Big ""Table""" ("Id" int, "the image" bytea, "the emb" coopvec, touched int DEFAULT 0) PARTITION BY LIST ("Id");
CREATE TABLE "The Shop"."part 1" PARTITION OF "The Shop"."Big ""Table""" FOR VALUES IN (1, 2);
CREATE TABLE "The Shop"."part 2" PARTITION OF "The Shop"."Big ""Table""" DEFAULT PARTITION BY RANGE ("Id");
CREATE TABLE "The Shop"."part 2a" PARTITION OF "The Shop"."part 2" FOR VALUES FROM (0) TO (1000000);
INSERT INTO "The Shop"."Big ""Table""" SELECT id, image FROM products ORDER BY id LIMIT 20;
INSERT INTO "The Shop"."Big ""Table""" VALUES (7777, 'no image');
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.touched := NEW.touched + 1; RETURN NEW; END';
CREATE TRIGGER touch BEFORE UPDATE ON "The Shop"."Big ""Table""" FOR EACH ROW EXECUTE FUNCTION touch();
SQL
ask -c "CALL coop_embed_table('\"The Shop\".\"Big \"\"Table\"\"\"', 'the image', 'the emb')" >"$SCRATCH/error" 2>&1
expect 'all partitions are embedded, and triggers fire once' '20|20' \
  "$(value 'count("the emb"), sum(touched) FROM "The Shop"."Big ""Table"""')"
expect_in 'a row without a key is named by its ctid' 'row (ctid)=((0,[0-9]*)) of "The Shop"."part 2a" gets no embedding' "$SCRATCH/error"

expect_error 'a view is refused' 'ERROR:  .*v is not a table' -c "CREATE VIEW v AS SELECT * FROM shop; CALL coop_embed_table('v', 'image', 'emb')"
expect_error 'so is a column that does not exist' 'column "photo" of relation .*shop does not exist' -c "CALL coop_embed_table('shop', 'photo', 'emb')"
expect_error 'and a column of another type' 'column "part" of relation .*shop does not contain ' -c "CALL coop_embed_table('shop', 'part', 'emb')"
expect_error 'and a batch of no rows' 'the batch must be 1 to 100000' -c "CALL coop_embed_table('shop', 'image', 'emb', batch => 0)"
expect_error 'and a null table' 'must not be null' -c "CALL coop_embed_table(NULL, 'image', 'emb')"
ask <<'SQL'
CREATE FOREIGN DATA WRAPPER elsewhere;
CREATE SERVER far FOREIGN DATA WRAPPER elsewhere;
CREATE FOREIGN TABLE abroad (id int, image bytea, emb coopvec) SERVER far;
CREATE TABLE split (id int, image bytea, emb coopvec) PARTITION BY LIST (id);
CREATE FOREIGN TABLE split_far PARTITION OF split FOR VALUES IN (1) SERVER far;
SQL
expect_error 'and a foreign table' 'ERROR:  .*abroad is not a table' -c "CALL coop_embed_table('abroad', 'image', 'emb')"
expect_error 'and a partition that is a foreign table' 'partition .*split_far is a foreign table' -c "CALL coop_embed_table('split', 'image', 'emb')"

ask -c "CREATE TABLE few AS SELECT * FROM shop WHERE image IS NOT NULL ORDER BY id LIMIT 12" -c "CALL coop_embed_table('few', 'image', 'emb')"
for in in 'BEGIN; %s' "DO \$\$ BEGIN %s; EXCEPTION WHEN division_by_zero THEN NULL; END \$\$" \
  "CREATE OR REPLACE FUNCTION f() RETURNS void LANGUAGE plpgsql AS \$\$ BEGIN %s; END \$\$; SELECT f()"; do
  for call in "CALL coop_embed_table('few', 'image', 'emb')" "CALL coop_build_knn('products', 'id', 'emb', 'products_knn')"; do
    # shellcheck disable=SC2059
    printf "$in\n" "$call" >"$SCRATCH/call.sql"
    expect_error "${call%%(*} cannot run in ${in%%%s*}" 'cannot run in a transaction block' -f "$SCRATCH/call.sql"
  done
done
expect 'a DO block outside of a transaction may call it' 12 "$(ask -c "DO \$\$ BEGIN CALL coop_embed_table('few', 'image', 'emb'); END \$\$" -c 'SELECT count(emb) FROM few')"
twin=$(twin_of "$SCRATCH/emoji")
ask -c "SELECT coop_load_model('twin', '$twin')" >/dev/null
ask -c "CALL coop_embed_table('few', 'image', 'emb')"
expect 'with two models loaded the default is meant, and nothing is left to do' 12 "$(value "count(*) FROM few WHERE emb <-> coop_embed(image, 'emoji') < 0.02")"
ask -c "CALL coop_embed_table('few', 'image', 'emb', 'twin')"
expect 'embeddings of another model are replaced' '12' "$(value "count(*) FROM few WHERE emb <-> coop_embed(image, 'twin') < 0.02")"
finish
