#!/usr/bin/env bash
# Small files whose pictures are large: refused where they are too much work, and else interrupted at once wherever decoding is; a
# decoder that is killed, or to which memory is refused, costs its own statement and nobody anything else.
source "$(dirname "$0")/tools/lib.sh"
find_postgres
scratch_cluster shared_buffers=16MB
export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"
model=$(for_server "$SCRATCH" "$ROOT/model/emoji")
fixtures=$(for_server "$SCRATCH" "$ROOT/tests/fixtures/images")
python3 "$ROOT/tests/tools/expensive_images.py" "$SCRATCH/made" 60
made=$(mkdir "$SCRATCH/for" && for_server "$SCRATCH/for" "$SCRATCH/made")
gallery=$(for_server "$SCRATCH" "$ROOT/src/demo/gallery")
ask >/dev/null <<SQL
CREATE EXTENSION coopembed;
SELECT coop_load_model('m', '$model');
CREATE TABLE pictures AS
    SELECT source, f AS name, row_number() OVER (ORDER BY source, f) AS n, pg_read_binary_file(folder || '/' || f) AS image
    FROM (VALUES ('made', '$made'), ('fixture', '$fixtures'), ('gallery', '$gallery/images')) folders(source, folder), pg_ls_dir(folder) f
    WHERE f !~ '\.md$' AND (source <> 'gallery' OR f ~ '^1f3'); -- A part of the gallery: this build is not the fastest.
-- Embeds, and says how that ended.
CREATE FUNCTION try(image bytea) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
    PERFORM coop_embed(image);
    RETURN 'embedded';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END \$\$;
-- So that the time of those that follow is theirs.
SELECT try(image) FROM pictures WHERE name = 'jpeg_420.jpg';
SQL
names=$(ask -c "SELECT name FROM pictures WHERE source = 'made' ORDER BY name")
embed() { echo "SELECT coop_embed(image) FROM pictures WHERE name = '$1'"; }
unlimited="SET coopembed.max_image_work = 1000000; SET coopembed.max_image_memory = '4GB'"
milliseconds() { echo $(($(date +%s%N) / 1000000)); }
status() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status" 2>/dev/null || true; }
# Processes that decode for this cluster: children of its backends.
decoders() {
  local postmaster pid parent
  postmaster=$(head -1 "$SCRATCH/data/postmaster.pid")
  for pid in $(grep -la 'coopembed image decoder' /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3); do
    parent=$(status "$pid" PPid)
    if [ "$(status "${parent:-0}" PPid)" = "$postmaster" ]; then echo "$pid"; fi
  done
}
decoding() { [ -n "$(decoders)" ]; }
idle() { ! decoding; }
# Waits for a statement in the background, and complains if it took longer than it should: 250 ms on an idle core, and this runs on busy ones.
LONGEST=1500
within() { # WHAT SINCE
  local took=$(($(milliseconds) - $2))
  [ "$took" -lt "$LONGEST" ] || die "$1 took $took ms"
  worst=$((took > worst ? took : worst))
}

# Refused by its headers.
worst=0
for name in $names; do
  since=$(milliseconds)
  ask -v VERBOSITY=verbose -c "SET coopembed.max_image_work = 10" -c "$(embed "$name")" >"$SCRATCH/error" 2>&1 && die "$name was embedded"
  within "refusing $name" "$since"
  grep -q 'ERROR:  54000: the .* image takes too much work to decode' "$SCRATCH/error" || die "$name: $(cat "$SCRATCH/error")"
  grep -q 'DETAIL:  Decoding its [0-9x]* pixels is the work of [0-9]* megapixels, and the limit is 10\.' "$SCRATCH/error" || die "$name: $(cat "$SCRATCH/error")"
  grep -q 'HINT:  .*raise "coopembed.max_image_work"' "$SCRATCH/error" || die "$name: $(cat "$SCRATCH/error")"
done
ok "every format is refused with the setting's name, in $worst ms at most"
ask -c "$(embed scans.jpg)" >"$SCRATCH/error" 2>&1 && die 'a hundred scans were decoded'
expect_in 'a hundred scans of a large JPEG are refused by default' 'too much work to decode' "$SCRATCH/error"
ask -c "CREATE ROLE clerk" -c "LOAD 'coopembed'" -c "SET ROLE clerk" -c "SET coopembed.max_image_work = 100000" >"$SCRATCH/error" 2>&1 && die 'anybody may raise the limit'
expect_in 'only a superuser raises the limit' 'permission denied to set parameter "coopembed.max_image_work"' "$SCRATCH/error"

# Interrupted.
worst=0
for name in $names; do
  since=$(milliseconds)
  ask -c "$unlimited" -c "SET statement_timeout = '50ms'" -c "$(embed "$name")" >"$SCRATCH/error" 2>&1 && die "$name was embedded within 50 ms"
  within "statement_timeout in $name" "$since"
  grep -q 'canceling statement due to statement timeout' "$SCRATCH/error" || die "$name: $(cat "$SCRATCH/error")"
done
ok "statement_timeout ends it, in $((worst - 50)) ms at most"
for how in cancel terminate; do
  worst=0
  for name in $names; do
    ask -c "$unlimited" -c "/* busy */ $(embed "$name")" >"$SCRATCH/error" 2>&1 &
    running=$!
    until_true "$name is being decoded" decoding
    # Stopped, it will not be done before it is interrupted.
    kill -STOP $(decoders) 2>/dev/null || true
    since=$(milliseconds)
    ask -c "SELECT pg_${how}_backend(pid) FROM pg_stat_activity WHERE query LIKE '/* busy */%'" >/dev/null
    wait $running && die "$name was embedded"
    within "$how in $name" "$since"
    grep -q 'canceling statement due to user request\|terminating connection due to administrator command' "$SCRATCH/error" || die "$name: $(cat "$SCRATCH/error")"
  done
  ok "pg_${how}_backend does, in $worst ms at most"
done
until_true 'no process is left behind' idle
ok 'no process is left behind'
# In one session: interrupted, and then neither child nor zombie.
expect 'and no zombie' 0 "$(psql_ -At -v ON_ERROR_STOP=0 2>/dev/null <<SQL
$unlimited;
SET statement_timeout = '50ms';
$(embed rgb.png);
RESET statement_timeout;
SELECT pg_backend_pid() AS pid \gset
\setenv PID :pid
\! grep -l "^PPid:[[:space:]]*\$PID\$" /proc/[0-9]*/status 2>/dev/null | wc -l
SQL
)"

# Killed.
ask -v VERBOSITY=verbose -c "$unlimited" -c "$(embed scans.jpg)" >"$SCRATCH/error" 2>&1 &
running=$!
until_true 'it is being decoded' decoding
kill -9 $(decoders)
wait $running && die 'it was embedded without a decoder'
expect_in 'a decoder that is killed is an error' 'ERROR:  53200: out of memory' "$SCRATCH/error"
expect_in 'that says so' 'DETAIL:  The exit status of the decode process was signal: 9' "$SCRATCH/error"
expect 'of its own statement' '' "$(crashes)"
ask -v ON_ERROR_STOP=0 -c "$unlimited" -c "/* busy */ $(embed scans.jpg)" >"$SCRATCH/error" 2>&1 &
running=$!
until_true 'it is being decoded' decoding
stop_cluster "$SCRATCH"
wait $running && die 'it was embedded by a server that was shut down'
expect 'a shutdown meanwhile is clean' '' "$(crashes)"

# Memory refused, little by little. Where the model process has too little to start, each picture that gets so far waits for another one;
# so there are a few small pictures only, and all of them at last.
all=
for limit in 200 350 700; do
  every=12
  [ $limit -lt 700 ] || every=1
  SERVER_MEMORY=$((limit << 10)) start_cluster "$SCRATCH" fsync=off shared_buffers=16MB coopembed.threads=1
  started=$(ask -c 'SELECT pg_postmaster_start_time()')
  states=$(ask -c "SET coopembed.max_image_work = 3000" -c "SELECT state || ': ' || count(*) FROM (
    SELECT try(image) AS state FROM pictures WHERE source = 'made' OR n % $every = 0) s GROUP BY state ORDER BY state" | xargs)
  echo "  $limit MB: $states"
  # A server whose process crashed begins anew, but not its first process, whose start that time is: only the log tells both.
  [ -z "$(crashes)" ] || die "under $limit MB: $(tail -5 "$SCRATCH/server.log")"
  [ "$(ask -c 'SELECT pg_postmaster_start_time()')" = "$started" ] || die "under $limit MB the server started anew"
  [ -z "$(sed 's/\(embedded\|08006\|22000\|53200\|54000\): [0-9]*//g' <<<"$states" | xargs)" ] || die "under $limit MB: $states"
  all+=" $states"
  [ $limit = 700 ] || stop_cluster "$SCRATCH"
done
ok 'where memory is refused, there are errors and nothing else'
[[ $all = *53200* ]] || die "it was never refused"
expect 'and with enough of it there are none' '' "$(grep -o '\(53200\|08006\): [0-9]*' <<<"$states" || true)"
echo "$passed passed, 0 failed"
