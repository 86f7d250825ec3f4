#!/usr/bin/env bash
# coop_embed_table() on a few hundred randomly damaged images embeds each or lists it as bad, and nothing crashes.
# usage: damaged_images.sh [HOW-MANY]
source "$(dirname "$0")/../tools/lib.sh"
find_postgres
scratch_cluster
model=$(for_server "$SCRATCH" "$ROOT/model/emoji")
fixtures=$(for_server "$SCRATCH" "$ROOT/tests/fixtures/images")
export PGDATABASE=postgres
count=${1:-400}
ask >/dev/null <<SQL
SET client_min_messages = warning;
CREATE EXTENSION coopembed;
SELECT coop_load_model('m', '$model');
CREATE TABLE seeds AS SELECT row_number() OVER (ORDER BY f) AS n, f AS name, pg_read_binary_file('$fixtures/' || f) AS image
    FROM pg_ls_dir('$fixtures') f WHERE f ~ '\.(jpg|png|webp|gif|tif|bmp)$' AND f !~ 'expected';
CREATE TABLE damaged (id int PRIMARY KEY, image bytea, emb coopvec);
-- Flipped bytes, a cut, a stretch of another file, extreme numbers in the header.
CREATE FUNCTION damage(image bytea, other bytea) RETURNS bytea LANGUAGE plpgsql VOLATILE AS \$\$
DECLARE
    length int := octet_length(image);
BEGIN
    CASE floor(random() * 4)
    WHEN 0 THEN FOR i IN 1 .. 4 LOOP image := set_byte(image, floor(random() * length)::int, floor(random() * 256)::int); END LOOP;
    WHEN 1 THEN image := substr(image, 1, floor(random() * length)::int);
    WHEN 2 THEN image := overlay(image PLACING substr(other, floor(random() * octet_length(other))::int + 1, 100) FROM floor(random() * length)::int + 1);
    ELSE FOR i IN 1 .. 2 LOOP image := set_byte(image, floor(random() * least(64, length))::int, (ARRAY[0, 1, 127, 128, 255])[floor(random() * 5) + 1]); END LOOP;
    END CASE;
    RETURN image;
END \$\$;
SELECT setseed(0.5);
INSERT INTO damaged SELECT i, damage(a.image, b.image) FROM generate_series(1, $count) i
    JOIN seeds a ON a.n = i % (SELECT count(*) FROM seeds) + 1 JOIN seeds b ON b.n = i * 7 % (SELECT count(*) FROM seeds) + 1;
SQL
started=$(ask -c 'SELECT pg_postmaster_start_time()')
ask -c "SET coopembed.max_image_memory = '64MB'" -c "CALL coop_embed_table('damaged', 'image', 'emb')" >"$SCRATCH/out" 2>&1 || die "$(tail -5 "$SCRATCH/out")"
whole=$(ask -c 'SELECT count(emb) FROM damaged')
listed=$(grep -c '^WARNING:  row (id)=' "$SCRATCH/out")
expect 'each is embedded or listed' "$count" $((whole + listed))
check "some can still be read ($whole of $count), and some cannot" [ "$whole" -gt 0 -a "$listed" -gt 0 ]
expect 'each that is listed has the message of the decoder' "$listed" "$(grep -c 'gets no embedding: \(could not decode\|the \|.* is not supported\)' "$SCRATCH/out")"
expect 'nothing crashed' "$started|0" "$(ask -c 'SELECT pg_postmaster_start_time()')$(crashes)|$(ask -c 'SELECT crashes + panics + errors FROM coop_stat_worker')"
finish
