# Sourced by tests/images/*.sh and tests/memory/images.sh: the table `images` with the test images, a part of the demo's gallery, and small
# files whose images are large (60 megapixels in some hundred kB, one file of each format).
# shellcheck shell=bash
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

images_cluster() {
  local fixtures made gallery model
  find_postgres
  scratch_cluster shared_buffers=16MB
  export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"
  model=$(for_server "$SCRATCH" "$ROOT/model/emoji")
  fixtures=$(for_server "$SCRATCH" "$ROOT/tests/fixtures/images")
  gallery=$(for_server "$SCRATCH" "$ROOT/src/demo/emoji/gallery")
  python3 "$ROOT/tests/tools/expensive_images.py" "$SCRATCH/expensive" 60
  mkdir "$SCRATCH/for"
  made=$(for_server "$SCRATCH/for" "$SCRATCH/expensive")
  ask >/dev/null <<SQL
CREATE EXTENSION coopembed;
SELECT coop_load_model('m', '$model');
CREATE TABLE images AS
    SELECT source, f AS name, row_number() OVER (ORDER BY source, f) AS n, pg_read_binary_file(folder || '/' || f) AS image
    FROM (VALUES ('expensive', '$made'), ('fixture', '$fixtures'), ('gallery', '$gallery/images')) folders(source, folder), pg_ls_dir(folder) f
    WHERE NOT (pg_stat_file(folder || '/' || f)).isdir AND f !~ '\.md$'
        AND (source <> 'gallery' OR f ~ '^1f3'); -- A part of the gallery: this build is not the fastest.
-- Embeds an image, and returns 'embedded' or the SQLSTATE of the error.
CREATE FUNCTION try_embed(image bytea) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
    PERFORM coop_embed(image);
    RETURN 'embedded';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END \$\$;
-- Starts the service, so that the times of what follows do not include that.
SELECT try_embed(image) FROM images WHERE name = 'jpeg_420.jpg';
SQL
  expensive=$(ask -c "SELECT name FROM images WHERE source = 'expensive' ORDER BY name")
}
embed() { echo "SELECT coop_embed(image) FROM images WHERE name = '$1'"; }
unlimited="SET coopembed.max_image_work = 1000000; SET coopembed.max_image_memory = '4GB'"
milliseconds() { echo $(($(date +%s%N) / 1000000)); }
# took WHAT SINCE: notes the longest time, in $worst, and what took longer than it should: 250 ms on an idle core, and this runs on busy ones.
longest=1500
took() {
  local ms=$(($(milliseconds) - $2))
  [ "$ms" -lt $longest ] || fail "$1 takes less than $longest ms" "$ms ms"
  worst=$((ms > worst ? ms : worst))
}
process_status() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status" 2>/dev/null || true; }
# Processes that decode for this cluster: children of its backends.
decoders() {
  local postmaster pid parent
  postmaster=$(head -1 "$SCRATCH/data/postmaster.pid")
  for pid in $(grep -la 'coopembed image decoder' /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3); do
    parent=$(process_status "$pid" PPid)
    if [ "$(process_status "${parent:-0}" PPid)" = "$postmaster" ]; then echo "$pid"; fi
  done
}
decoding() { [ -n "$(decoders)" ]; }
idle() { ! decoding; }
