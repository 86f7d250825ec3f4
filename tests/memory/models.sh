#!/usr/bin/env bash
# Models, names and answers of the service that take more memory than a session may have are an error of the statement (SQLSTATE 53200), and
# the server lives on; with much memory the statement does what it should.
source "$(dirname "$0")/../tools/lib.sh"
find_postgres
scratch_cluster
model=$(for_server "$SCRATCH" "$ROOT/model/emoji")
image=$(for_server "$SCRATCH" "$ROOT/tests/fixtures/images/jpeg_420.jpg")
export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning -c jit=off"

ask <<SQL
CREATE EXTENSION coopembed;
CREATE TABLE model AS SELECT convert_from(pg_read_binary_file('$model/config.json'), 'UTF8') AS config, pg_read_binary_file('$model/model.safetensors') AS weights;
CREATE TABLE images AS SELECT i AS id, pg_read_binary_file('$image') AS image, NULL::coopvec AS emb FROM generate_series(1, 20) i;
-- A safetensors file without tensors whose length field says that the header has so many bytes.
CREATE FUNCTION headed(header text, length bigint) RETURNS bytea IMMUTABLE LANGUAGE sql AS \$\$
    SELECT string_agg(set_byte('\\x00', 0, ((length >> 8 * i) & 255)::integer), NULL::bytea ORDER BY i) || convert_to(header, 'UTF8')
    FROM generate_series(0, 7) i \$\$;
CREATE FUNCTION headed(header text) RETURNS bytea IMMUTABLE LANGUAGE sql AS 'SELECT headed(header, octet_length(header))';
SQL
ask -c "SELECT coop_load_model('m', '$model')" >/dev/null
up_since=$(ask -c 'SELECT pg_postmaster_start_time()')

# within MEGABYTES STATEMENT: prints the SQLSTATE, or what the statement returns, in a session whose address space may grow by so much.
within() {
  local pid
  mkfifo "$SCRATCH/in" 2>/dev/null || true
  ask -v VERBOSITY=verbose <"$SCRATCH/in" >"$SCRATCH/out" 2>&1 &
  exec {to}>"$SCRATCH/in"
  # Loads the library, and what it keeps, before the limit.
  echo "SELECT count(*) FROM coop_models(); SELECT pg_backend_pid();" >&"$to"
  has_pid() { [ "$(wc -l <"$SCRATCH/out")" -ge 2 ]; }
  until_true 'the session answers' has_pid
  pid=$(tail -1 "$SCRATCH/out")
  as_server prlimit --pid "$pid" --as=$((($(awk '{ print $1 }' "/proc/$pid/statm") * $(getconf PAGESIZE)) + ($1 << 20)))
  echo "$2;" >&"$to"
  exec {to}>&-
  wait $! || true
  tail -n +3 "$SCRATCH/out" | sed -n 's/^.*ERROR:  \([0-9A-Z]\{5\}\):.*/\1/p; t; /^LOCATION\|^DETAIL\|^HINT\|^CONTEXT\|^psql/d; p' | head -1
}
expect_within() { # WHAT EXPECTED STATEMENT: this or 53200 in little memory, and this in much
  local megabytes found
  for megabytes in 8 32 128 512; do
    found=$(within "$megabytes" "$3")
    [ "$found" = 53200 ] || [ "$found" = "$2" ] || fail "$1, in $megabytes MB" "'$found'; $(cat "$SCRATCH/out"); $(tail -3 "$SCRATCH/server.log")"
    [ "$(ask -c 'SELECT pg_postmaster_start_time()')$(crashes)" = "$up_since" ] || die "$1, in $megabytes MB: the server restarted"
  done
  expect "$1" "$2" "$(within "${4:-12000}" "$3")"
}

expect_within 'a model' f "BEGIN; SELECT coop_load_model('n', config, weights) IS NULL FROM model; ROLLBACK"
expect_within 'a model in a directory' f "BEGIN; SELECT coop_load_model('n', '$model') IS NULL; ROLLBACK"
notes() { echo "SELECT coop_load_model('n', replace(config, '\"licence\"', '\"metrics\": $1, \"licence\"'), weights) FROM model"; }
expect_within 'a config that has an entry twice' 22023 "$(notes "' || '[' || repeat('0,', 10000000) || '0]' || '")"
expect_within 'a config of one text' 22023 "SELECT coop_load_model('n', '\"' || repeat('x', 100000000) || '\"', '\\x00')"
expect_within 'a config of small numbers' 22023 "SELECT coop_load_model('n', '{\"format_version\": 1, \"training\": [' || repeat('0,', 20000000) || '0]}', '\\x00')"
expect_within 'a config of many names' 22023 "SELECT coop_load_model('n', '{\"format_version\": 1, \"training\": {' || (SELECT string_agg('\"' || i || '\":0', ',') FROM generate_series(1, 1000000) i) || '}}', '\\x00')"
expect_within 'a config that is nested deeply' 22023 "SELECT coop_load_model('n', '{\"format_version\": 1, \"training\": ' || repeat('[', 10000000), '\\x00')"
expect_within 'weights whose header is large' 22023 "SELECT coop_load_model('n', config, headed('{' || (SELECT string_agg('\"' || i || '\":{\"dtype\":\"F16\",\"shape\":[0],\"data_offsets\":[0,0]}', ',') FROM generate_series(1, 500000) i) || '}')) FROM model"
expect_within 'weights whose header is a list of dimensions' 22023 "SELECT coop_load_model('n', config, headed('{\"a\":{\"dtype\":\"F16\",\"shape\":[' || repeat('1,', 20000000) || '0],\"data_offsets\":[0,0]}}')) FROM model"
for length in 3 99999999 100000001 4294967296 9223372036854775807 -1; do
  expect_within "weights whose header says it has $length bytes" 22023 "SELECT coop_load_model('n', config, headed('{}', $length)) FROM model"
done
expect_within 'the name of a model' 42704 "SELECT coop_category_query('x', repeat('x', 100000000))"
expect_within 'the name of a category' 42704 "SELECT coop_category_query(repeat('é', 50000000))"
expect_within 'the name of a value' 42704 "SELECT coop_attr_query('hue', repeat('x', 100000000))"
expect_within 'the name of an attribute' 42704 "SELECT coop_attr_query(repeat('x', 100000000), 'red')"
expect_within 'what is dropped' 42704 "SELECT coop_drop_category(repeat('x', 100000000))"
expect_within 'what value is dropped' 42704 "SELECT coop_drop_attribute_value('hue', repeat('x', 100000000))"
expect_within 'what is defined' 22023 "SELECT coop_define_category(repeat('x', 100000000), coop_category_query('drink'))"
expect_within 'a path' 22023 "SELECT coop_load_model('n', '/' || repeat('x', 100000000))"
expect_within 'a path that is not absolute' 22023 "SELECT coop_load_model('n', repeat('x', 100000000))"
expect_within 'a list of attributes' f "SELECT coop_like(coop_vector(array_fill(1::real, ARRAY[650])), VARIADIC array_fill('hue'::text, ARRAY[10000000])) IS NULL"
expect_within 'a list of numbers' 22000 "SELECT coop_vector(array_fill(1::real, ARRAY[20000000]))"
expect_within 'tags' f "SELECT coop_tags(coop_vector(array_fill(1::real, ARRAY[650]))) IS NULL"
expect_within 'a list of models' 1 "SELECT count(*) FROM coop_models()"
# The service has no model: each statement loads it.
embedded() {
  ask -c 'SELECT coop_worker_restart()' -c 'UPDATE images SET emb = NULL' >/dev/null
  expect_within "$@"
}
embedded 'an image' f 'SELECT coop_embed(image) IS NULL FROM images LIMIT 1'
embedded 'a table of images' 20 "CALL coop_embed_table('images', 'image', 'emb'); SELECT count(emb) FROM images"
expect 'the server never restarted' "$up_since" "$(ask -c 'SELECT pg_postmaster_start_time()')$(crashes)"
finish
