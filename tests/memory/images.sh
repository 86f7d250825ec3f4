#!/usr/bin/env bash
# Where the server's processes are refused memory, embedding images ends in errors and no process crashes; with enough of it there are none.
source "$(dirname "$0")/../tools/images_fixture.sh"
images_cluster
stop_cluster "$SCRATCH"
# Where the model process has too little to start, each image that gets so far waits for another one; so there are a few small images only,
# and all of them at last.
all=
for limit in 200 350 700; do
  every=12
  [ $limit -lt 700 ] || every=1
  SERVER_MEMORY=$((limit << 10)) start_cluster "$SCRATCH" fsync=off shared_buffers=16MB coopembed.threads=1
  started=$(ask -c 'SELECT pg_postmaster_start_time()')
  states=$(ask -c "SET coopembed.max_image_work = 3000" -c "SELECT state || ': ' || count(*) FROM (
    SELECT try_embed(image) AS state FROM images WHERE source = 'expensive' OR n % $every = 0) s GROUP BY state ORDER BY state" | xargs)
  echo "  $limit MB: $states"
  # A server one of whose processes crashed keeps its start time, which is the postmaster's; one that was started anew has another: log and
  # time together tell.
  expect "$limit MB: no process of the server crashed" "$started" "$(ask -c 'SELECT pg_postmaster_start_time()')$(crashes)"
  expect "$limit MB: there are no errors but those of limits, memory and the service" '' "$(sed 's/\(embedded\|08006\|22000\|53200\|54000\): [0-9]*//g' <<<"$states" | xargs)"
  all+=" $states"
  stop_cluster "$SCRATCH"
done
check 'memory was refused at least once' grep -q 53200 <<<"$all"
expect 'with enough memory none is refused' '' "$(grep -o '\(53200\|08006\): [0-9]*' <<<"$states" || true)"
finish
