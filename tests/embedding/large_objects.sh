#!/usr/bin/env bash
# Images in large objects: coop_embed_lo() and coop_embed_table() read those that the caller may read. It is a function of its own because
# coop_embed(oid) would make coop_embed('...') and coop_embed($1) ambiguous, which mean an image.
source "$(dirname "$0")/../tools/embedding_fixture.sh"
embedding_cluster
ask <<'SQL'
CREATE DOMAIN lo AS oid;
CREATE TABLE objects (id int PRIMARY KEY, "oid" lo, emb coopvec);
INSERT INTO objects SELECT id, lo_from_bytea(0, image), NULL FROM products ORDER BY id LIMIT 5;
INSERT INTO objects VALUES (6, 999999);
CREATE ROLE clerk;
GRANT SELECT ON objects TO clerk;
SQL
object=$(value 'oid FROM objects WHERE id = 1')
expect 'an image in a large object' t "$(value "coop_embed_lo($object) <-> coop_embed(image) < 0.001 FROM products WHERE id = 1")"
expect 'with a model and a box' t "$(value "coop_embed_lo($object, 'emoji', '(5,5),(40,40)') <-> coop_embed(image, '(5,5),(40,40)'::box) < 0.001 FROM products WHERE id = 1")"
ask -c "EXPLAIN (COSTS OFF) SELECT id FROM products ORDER BY emb <-> coop_embed_lo($object) LIMIT 1" >"$SCRATCH/plan"
expect_in 'is embedded once for a statement' InitPlan "$SCRATCH/plan"
expect_error 'one that its reader may not read' "permission denied for large object $object" -c "SET ROLE clerk; SELECT coop_embed_lo($object)"
expect_error 'one that does not exist' 'large object 999999 does not exist' -c "SELECT coop_embed_lo(999999)"
ask -c "CALL coop_embed_table('objects', 'oid', 'emb')" >"$SCRATCH/error" 2>&1
expect 'coop_embed_table reads large objects' 5 "$(value "count(*) FROM objects o JOIN products p USING (id) WHERE o.emb <-> coop_embed(p.image) < 0.02")"
expect_in 'one that does not exist is a warning with the row' 'row (id)=(6) of .*objects gets no embedding: the large object of the image does not exist' "$SCRATCH/error"

# What clients send without a type still means an image.
expect 'an untyped literal is an image' t "$(value "coop_embed('$(value "image FROM products WHERE id = 1")') <-> coop_embed(image) < 0.001 FROM products WHERE id = 1")"
expect 'so is a parameter without a type' '{bytea}|{bytea,text}' "$(ask -c 'PREPARE a AS SELECT coop_embed($1)' -c 'PREPARE b AS SELECT coop_embed($1, $2)' \
  -c "SELECT string_agg(parameter_types::text, '|' ORDER BY name) FROM pg_prepared_statements")"
expect_error 'a number is no image' 'function coop_embed(integer) does not exist' -c 'SELECT coop_embed(5)'
finish
