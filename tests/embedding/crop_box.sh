#!/usr/bin/env bash
# A crop box: coop_embed() and coop_embed_table() embed exactly the pixels that are in it, in the upright image.
source "$(dirname "$0")/../tools/embedding_fixture.sh"
embedding_cluster
# An image of 40 x 30 pixels, and any part of it as an image of its own: the same bytes.
ask <<'SQL'
CREATE FUNCTION part(x1 int, y1 int, x2 int, y2 int) RETURNS bytea LANGUAGE sql AS $$
    SELECT convert_to(format(E'P6\n%s %s\n255\n', x2 - x1, y2 - y1), 'UTF8') || string_agg(decode(
        lpad(to_hex((x * 6) % 256), 2, '0') || lpad(to_hex((y * 8) % 256), 2, '0') || lpad(to_hex((x * y * 7) % 256), 2, '0'), 'hex'), '' ORDER BY y, x)
    FROM generate_series(x1, x2 - 1) x, generate_series(y1, y2 - 1) y $$;
CREATE FUNCTION photo() RETURNS bytea LANGUAGE sql AS 'SELECT part(0, 0, 40, 30)';
SQL
same() { value "$1 <-> $2 < 0.001"; }
expect 'a box is the pixels in it' t "$(same "coop_embed(photo(), box => '(5,10),(25,30)')" 'coop_embed(part(5, 10, 25, 30))')"
expect 'and not the whole image' f "$(same "coop_embed(photo(), box => '(5,10),(25,30)')" 'coop_embed(photo())')"
expect 'corners may be given in any order' t "$(same "coop_embed(photo(), box '(25,10),(5,30)')" 'coop_embed(part(5, 10, 25, 30))')"
expect 'parts of pixels count whole, as in training' t "$(same "coop_embed(photo(), box => '(5.9,10.2),(24.1,29.5)')" 'coop_embed(part(5, 10, 25, 30))')"
expect 'what is outside of the image is ignored' t "$(same "coop_embed(photo(), box => '(-5,-100),(7,1000)')" 'coop_embed(part(0, 0, 7, 30))')"
expect 'null is the whole image' t "$(same "coop_embed(photo(), box => NULL)" 'coop_embed(photo())')"
expect 'a model can be named too' t "$(same "coop_embed(photo(), box => '(5,10),(25,30)', model => 'emoji')" 'coop_embed(part(5, 10, 25, 30))')"
expect 'a null image has no embedding' '' "$(value "coop_embed(NULL::bytea, box => '(5,10),(25,30)')")"
expect 'a text is a model, not a box' 'model "(1,1),(5,5)" does not exist' \
  "$(ask -c "SELECT coop_embed(photo(), '(1,1),(5,5)')" 2>&1 | sed -n 's/^ERROR:  //p')"
expect_error 'a box beside the image is an error' 'the crop box has no pixel of the image' -c "SELECT coop_embed(photo(), box => '(40,0),(50,10)')"
expect_error 'so is one without area' 'invalid crop box' -c "SELECT coop_embed(photo(), box => '(5,5),(5,9)')"
expect_error 'or whose corners are no pixels' 'invalid crop box' -c "SELECT coop_embed(photo(), box => '(0,0),(NaN,10)')"
expect_error 'or so large that they cannot be' 'invalid crop box' -c "SELECT coop_embed(photo(), box => '(0,0),(1e300,10)')"

# An image whose orientation says that it lies on its side: boxes are in the image as it is shown.
turned() { echo "coop_embed(pg_read_binary_file('$fixtures/orientation_$1.jpg'), box => '$2')"; }
expect 'the same part of an image that is stored upright or on its side' t \
  "$(value "$(turned 1 '(0,0),(20,12)') <-> $(turned 6 '(0,0),(20,12)') < 0.5 * ($(turned 1 '(0,0),(20,12)') <-> $(turned 6 '(20,12),(40,24)'))")"

ask <<'SQL'
CREATE DOMAIN photo AS bytea; CREATE DOMAIN area AS box; CREATE DOMAIN vector AS coopvec; CREATE DOMAIN vectors AS vector;
CREATE TABLE boxes (id int PRIMARY KEY, image photo, x1 int, y1 int, "the box" area, emb vectors);
INSERT INTO boxes SELECT i, photo(), i, 2, CASE WHEN i < 4 THEN box(point(i, 2), point(20, 22)) END FROM generate_series(1, 4) i;
INSERT INTO boxes VALUES (5, photo(), 0, 0, '(100,100),(120,120)');
SQL
ask -c "CALL coop_embed_table('boxes', 'image', 'emb', box_column => 'the box')" >"$SCRATCH/error" 2>&1
expect 'coop_embed_table crops to the box in a column; null is the whole image' 4 \
  "$(value "count(*) FROM boxes WHERE emb <-> coop_embed(part(CASE WHEN id < 4 THEN id ELSE 0 END, CASE WHEN id < 4 THEN 2 ELSE 0 END,
    CASE WHEN id < 4 THEN 20 ELSE 40 END, CASE WHEN id < 4 THEN 22 ELSE 30 END)) < 0.02")"
expect_in 'a box beside its image is a warning with the row' 'row (id)=(5) of .*boxes gets no embedding: the crop box has no pixel of the image' "$SCRATCH/error"
expect_error 'a column that contains no boxes is refused' 'column "x1" of relation .*boxes does not contain crop boxes' \
  -c "CALL coop_embed_table('boxes', 'image', 'emb', box_column => 'x1')"
finish
