#!/usr/bin/env bash
# Transitions through a data set's gallery with the shipped model (Section 5.3 of the paper): where paths cross into another category, what
# coop_replace finds, and how long a neighbour graph takes to build. usage: tests/bench/transition.sh FOLDER [ROWS]
# FOLDER is what `coopembed data emoji` makes; ROWS (100000) is how many the timed graph has, 0 for none. The extension must be installed (release).
source "$(dirname "$0")/../tools/lib.sh"
folder=${1:?usage: transition.sh FOLDER [ROWS]}
rows=${2:-100000}
here=$(cd "$(dirname "$0")" && pwd)
find_postgres
scratch_cluster shared_buffers=1GB maintenance_work_mem=512MB
"$BIN/createdb" bench
export PGDATABASE=bench PGOPTIONS="-c client_min_messages=warning"
seconds() { # COMMAND...: prints how long it takes, and the processor time of its sessions
  local start
  start=$(date +%s%N)
  : >"$SCRATCH/ticks"
  "$@"
  awk -v ns=$(($(date +%s%N) - start)) -v hz="$(getconf CLK_TCK)" '{ ticks += $1 }
    END { printf "%.1f s (%.1f s of processor time)\n", ns / 1e9, ticks / hz }' "$SCRATCH/ticks"
}

say "embedding the images that the model was not trained on"
model=$(for_server "$SCRATCH" "$ROOT/model/emoji")
mkdir "$SCRATCH/set"
chmod 755 "$SCRATCH/set"
set=$(for_server "$SCRATCH/set" "$folder")
columns=$(head -1 "$folder/images.csv" | tr -d '\r' | sed 's/[^,]*/"&" text/g')
ask -v model="$model" -v csv="$set/images.csv" -v set="$set" <<SQL >/dev/null
CREATE EXTENSION coopembed;
SELECT coop_load_model('emoji', :'model');
CREATE TABLE listed ($columns);
COPY listed FROM :'csv' (FORMAT csv, HEADER);
CREATE TABLE images AS
    SELECT row_number() OVER (ORDER BY path)::int AS id, coop_embed(pg_read_binary_file(:'set' || '/' || path)) AS emb, l.*
    FROM listed l WHERE split IN ('query', 'gallery') ORDER BY path;
ALTER TABLE images ADD PRIMARY KEY (id);
CREATE INDEX images_emb ON images USING coop (emb);
VACUUM ANALYZE images;
CREATE TABLE gallery AS SELECT * FROM images WHERE split = 'gallery';
ALTER TABLE gallery ADD PRIMARY KEY (id);
CREATE INDEX gallery_emb ON gallery USING coop (emb);
VACUUM ANALYZE gallery;
SQL
rm -rf "$set"

say "transitions and replacements"
psql_ -f "$here/transition.sql"

[ "$rows" -gt 0 ] || exit 0
say "a graph of $rows rows like the model's: mixes of two of its embeddings, with noise (mixed.awk)"
ask -c "CREATE TABLE many (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, emb coopvec)"
ask -c "SELECT emb FROM gallery ORDER BY md5(id::text) LIMIT 500" | awk -v rows="$rows" -f "$here/mixed.awk" | ask -c "COPY many (emb) FROM STDIN"
ask -c "VACUUM ANALYZE many" -c "CREATE INDEX many_emb ON many USING coop (emb)"
# Builds a graph, and keeps the processor time of the session, from /proc.
build() {
  ask -c "CALL coop_build_knn('many', 'id', 'emb', '$1', 5${2:-})" -c "
    SELECT split_part(times, ' ', 12)::float8 + split_part(times, ' ', 13)::float8
    FROM (SELECT substr(stat, strpos(stat, ') ') + 2) AS times FROM pg_read_file(format('/proc/%s/stat', pg_backend_pid())) stat) s" >>"$SCRATCH/ticks"
}
both() {
  build "$@" &
  build "$@"
  wait
}
echo "load before: $(cut -d' ' -f1-3 /proc/loadavg)"
echo "coop_build_knn in everything, two sessions: $(seconds both many_knn)"
echo "coop_build_knn in one attribute, two sessions: $(seconds both many_hue ", 'hue'")"
echo "a refresh that finds nothing: $(seconds build many_knn)"
ask -c "UPDATE many SET emb = (SELECT emb FROM many m WHERE m.id = many.id + 1) WHERE id % 1000 = 0" -c "VACUUM many"
echo "a refresh after $((rows / 1000)) changes: $(seconds build many_knn)"
ask <<'SQL'
CREATE TEMP TABLE times (ms float8);
DO $$
DECLARE started timestamptz; f int; t int;
BEGIN
    PERFORM setseed(0.5);
    FOR i IN 1..20 LOOP
        f := 1 + random() * ((SELECT count(*) FROM many) - 2);
        t := 1 + random() * ((SELECT count(*) FROM many) - 2);
        started := clock_timestamp();
        BEGIN
            PERFORM count(*) FROM coop_transition('many', 'id', 'emb', f, t);
        EXCEPTION WHEN no_data_found THEN
            RAISE INFO 'no path';
        END;
        INSERT INTO times VALUES (extract(epoch FROM clock_timestamp() - started) * 1000);
    END LOOP;
END $$;
SELECT format('a path in the kept graph, median of 20: %s ms (%s to %s)', round((percentile_cont(0.5) WITHIN GROUP (ORDER BY ms))::numeric),
    round(min(ms)::numeric), round(max(ms)::numeric)) FROM times;
SQL
echo "load after: $(cut -d' ' -f1-3 /proc/loadavg)"
