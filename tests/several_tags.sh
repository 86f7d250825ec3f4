#!/usr/bin/env bash
# Of an attribute whose images may show several values, coop_tags() lists all values that are at least as likely as not.
source "$(dirname "$0")/tools/lib.sh"
find_postgres
scratch_cluster
export PGDATABASE=postgres

# The emoji's model, which says that an image may have several hues.
load_demo 12
several=$SCRATCH/several
cp -r "$SCRATCH/emoji" "$several"
# Weights name the config that they were written with; without its name they are taken with any.
python3 - "$several/model.safetensors" <<'PYTHON'
import json, struct, sys
with open(sys.argv[1], "rb") as f:
    header, tensors = json.loads(f.read(struct.unpack("<Q", f.read(8))[0])), f.read()
del header["__metadata__"]
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open(sys.argv[1], "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text + tensors)
PYTHON
sed -i '0,/"name": "hue",/s//&\n      "multi": true,/' "$several/config.json"
expect_error 'an older format than such a model needs is refused' 'does not describe a usable model' \
  -c "SELECT coop_load_model('several', '$several')"
sed -i 's/"format_version": [0-9]*/"format_version": 5/' "$several/config.json"
ask -c "SELECT coop_load_model('several', '$several')" -c "CALL coop_embed_table('products', 'image', 'emb', model => 'several')" >/dev/null

# What lies between two images has the hues of both, or at least of one.
ask <<'SQL'
CREATE TABLE pairs AS SELECT a.id, b.id AS other, (SELECT avg(emb) FROM (VALUES (a.emb), (b.emb)) AS two (emb)) AS emb
FROM products a JOIN products b ON a.id < b.id;
CREATE VIEW tags AS SELECT id, other, emb, coop_tags(emb) -> 'attributes' -> 'hue' AS hue, coop_tags(emb) -> 'attributes' -> 'color' AS color FROM pairs;
SQL
expect 'some have several hues' t "$(ask -c "SELECT max(jsonb_array_length(hue -> 'values')) > 1 FROM tags")"
expect 'the likeliest comes first, and is the value' t "$(ask -c "SELECT bool_and(hue - 'values' = hue -> 'values' -> 0) FROM tags WHERE hue -> 'values' <> '[]'")"
expect 'they are those with a probability of at least 0.5' t "$(ask -c "SELECT bool_and(hue -> 'values' = coalesce((
    SELECT jsonb_agg(jsonb_build_object('value', value, 'probability', probability)) FROM coop_predict(emb, 'hue')
    WHERE probability >= 0.5 AND value IS NOT NULL), '[]')) FROM tags")"
expect 'other attributes have no such list' t "$(ask -c "SELECT bool_and(NOT color ? 'values') FROM tags")"
finish
