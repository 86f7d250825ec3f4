#!/usr/bin/env bash
# Decoding can be timed out, cancelled and terminated at once, in every format, and leaves no process behind; a decoder that is killed is an
# error of its own statement, and a shutdown while one runs is clean.
source "$(dirname "$0")/../tools/images_fixture.sh"
images_cluster
worst=0
for name in $expensive; do
  since=$(milliseconds)
  expect_error "statement_timeout ends decoding $name" 'canceling statement due to statement timeout' \
    -c "$unlimited" -c "SET statement_timeout = '50ms'" -c "$(embed "$name")"
  took "statement_timeout in $name" "$since"
done
echo "statement_timeout took $((worst - 50)) ms at most"
for how in cancel terminate; do
  message=$([ $how = cancel ] && echo 'canceling statement due to user request' || echo 'terminating connection due to administrator command')
  worst=0
  for name in $expensive; do
    ask -c "$unlimited" -c "/* busy */ $(embed "$name")" >"$SCRATCH/error" 2>&1 &
    running=$!
    until_true "$name is being decoded" decoding
    # Stopped, it will not be done before it is interrupted.
    kill -STOP $(decoders) 2>/dev/null || true
    since=$(milliseconds)
    ask -c "SELECT pg_${how}_backend(pid) FROM pg_stat_activity WHERE query LIKE '/* busy */%'" >/dev/null
    wait $running && fail "pg_${how}_backend() ends decoding $name" 'it was embedded'
    took "$how in $name" "$since"
    expect_in "pg_${how}_backend() ends decoding $name" "$message" "$SCRATCH/error"
  done
  echo "pg_${how}_backend() took $worst ms at most"
done
until_true 'no decoder is left behind' idle
ok 'no decoder is left behind'
# In one session: interrupted, and then neither child nor zombie.
expect 'nor a zombie' 0 "$(psql_ -At -v ON_ERROR_STOP=0 2>/dev/null <<SQL
$unlimited;
SET statement_timeout = '50ms';
$(embed rgb.png);
RESET statement_timeout;
SELECT pg_backend_pid() AS pid \gset
\setenv PID :pid
\! grep -l "^PPid:[[:space:]]*\$PID\$" /proc/[0-9]*/status 2>/dev/null | wc -l
SQL
)"

ask -v VERBOSITY=verbose -c "$unlimited" -c "$(embed scans.jpg)" >"$SCRATCH/error" 2>&1 &
running=$!
until_true 'an image is being decoded' decoding
kill -9 $(decoders)
check 'without its decoder an image is not embedded' eval "! wait $running"
expect_in 'a decoder that is killed is an error' 'ERROR:  53200: out of memory' "$SCRATCH/error"
expect_in 'whose DETAIL says so' 'DETAIL:  The exit status of the decode process was signal: 9' "$SCRATCH/error"
expect 'no process of the server crashed' '' "$(crashes)"
ask -v ON_ERROR_STOP=0 -c "$unlimited" -c "/* busy */ $(embed scans.jpg)" >"$SCRATCH/error" 2>&1 &
running=$!
until_true 'an image is being decoded' decoding
stop_cluster "$SCRATCH"
check 'a shutdown ends the statement' eval "! wait $running"
expect 'a shutdown while an image is decoded is clean' '' "$(crashes)"
finish
