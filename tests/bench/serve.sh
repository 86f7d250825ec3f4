#!/usr/bin/env bash
# The inference service under load, in a throw-away cluster with a release build: single images from many connections, then a whole table from
# one. The bars: no errors; 0.9 of the throughput of the model alone at its best batch size; 99 % of the calls within three times the time of the
# batches in front of them; backends that do not grow; the weights in memory once. On a machine with other load, compare with the throughput of
# the model during the run, which is printed too, rather than with that of the model alone, at another time.
# usage: [ARCH=resnet50] serve.sh [SECONDS [CONNECTIONS]]      (the extension must be installed: tests/bench/run.sh does)
# ARCH is a backbone to run at 224 px, with random weights, instead of the shipped model.
source "$(dirname "$0")/../tools/lib.sh"
find_postgres
seconds=${1:-60} connections=${2:-64}
(cd "$ROOT" && cargo build --quiet --release --bin coopembed --example bench --no-default-features --features cli)
scratch_cluster max_connections=$((connections + 20)) shared_buffers=256MB max_parallel_workers_per_gather=0
directory=$ROOT/model/emoji
if [ -n "${ARCH:-}" ]; then
  directory=$SCRATCH/set/random
  mkdir "$SCRATCH/set"
  ln -s "$ROOT/src/demo/emoji/gallery/images" "$SCRATCH/set/images"
  # What it learns does not matter, so it trains on a few images.
  awk -F, 'NR > 40 { exit } NR == 1 { print "path,instance,category,split,half"; next } { print $NF "," $1 ",any,train," NR % 2 }' \
    "$ROOT/src/demo/emoji/gallery/products.csv" >"$SCRATCH/set/images.csv"
  "$("$ROOT/tests/bench/venv.sh" torch torchvision)" -c "
import sys, torch, torchvision
torch.save(torchvision.models.get_model('$ARCH', weights=None).state_dict(), sys.argv[1])" "$SCRATCH/backbone.pth"
  "$TARGET/release/coopembed" train --data "$SCRATCH/set" --arch "$ARCH" --backbone "$SCRATCH/backbone.pth" --size 224 --epochs 1 \
    --flip false --cache "$SCRATCH/features" --out "$directory"
fi
model=$(for_server "$SCRATCH" "$directory")
gallery=$(for_server "$SCRATCH" "$ROOT/src/demo/emoji/gallery")
export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"
psql_ -v gallery="$gallery" -v model="$model" -f "$ROOT/src/demo/emoji/load.sql"
value() { ask -c "SELECT $1"; }
own_memory() { # PID...: kilobytes of each process's own memory
  local pid
  for pid in "$@"; do awk '/^Anonymous:/ { print $2 }' "/proc/$pid/smaps_rollup" 2>/dev/null || true; done
}
most() { sort -n | tail -1; }
clients() { value "string_agg(pid::text, ' ') FROM pg_stat_activity WHERE application_name = 'pgbench'"; }

say "the model alone, on this machine: batch size, images per second, milliseconds per batch"
"$TARGET/release/examples/bench" model "$directory" | tee "$SCRATCH/alone"
# Decoding runs on the same processors; the backends measure how long it takes for the images of this table.
ask -c "SELECT count(coop_embed(image)) FROM products" >/dev/null
best=$(sort -k2 -n "$SCRATCH/alone" | tail -1 | cut -d' ' -f2)
decode=$(value "round((decode_ms / requests)::numeric, 2) FROM coop_stat_worker")
echo "decoding and scaling takes $decode ms per image"

say "$connections connections, each embedding one image after the other, for $seconds s"
printf '\\set id random(1, %s)\nSELECT coop_embed(image) IS NOT NULL FROM products WHERE id = :id;\n' "$(value 'count(*) FROM products')" >"$SCRATCH/one.sql"
before=$(value "images || ' ' || model_ms FROM coop_stat_worker")
(cd "$SCRATCH" && "$BIN/pgbench" -n -c "$connections" -j 2 -T "$seconds" -f one.sql -l --log-prefix=log >"$SCRATCH/pgbench.out" 2>&1) &
load=$!
sleep $((seconds / 4))
pids=$(clients)
early=$(own_memory $pids | most)
sleep $((seconds / 2))
late=$(own_memory $pids | most)
service=$(value 'model_process_pid FROM coop_stat_worker')
weights=$(value 'model_bytes / 1024 FROM coop_stat_worker')
in_service=$(own_memory "$service")
wait $load || true
after=$(value "images || ' ' || model_ms FROM coop_stat_worker")
failed=$(sed -n 's/^number of failed transactions: \([0-9]*\).*/\1/p' "$SCRATCH/pgbench.out")
errors=$(value "errors + refused_queue_full + expired_in_queue + panics FROM coop_stat_worker")
aborted=$(grep -c 'aborted' "$SCRATCH/pgbench.out" || true)
# Latencies in microseconds, in the third column of pgbench's logs.
cat "$SCRATCH"/log.* | sort -n -k3 | awk -v best="$best" -v connections="$connections" -v seconds="$seconds" -v decode="$decode" \
  -v alone="$(awk '$1 == 16 { print $3 }' "$SCRATCH/alone")" -v before="$before" -v after="$after" '
  { latency[NR] = $3 / 1000 }
  END {
    split(before, b, " "); split(after, a, " ")
    rate = NR / seconds
    printf "%d images, %.1f per second: %.2f of the model alone at its best batch size (%.1f)\n", NR, rate, rate / best, best
    own = (a[1] - b[1]) / (a[2] - b[2]) * 1000
    printf "the model alone, during the run: %.1f per second, of which the service reaches %.2f\n", own, rate / own
    batches = int((connections + 15) / 16)
    printf "latency: median %.0f ms, p99 %.0f ms: %.2f times the %d batches of %.0f ms in front (bar 3)\n",
      latency[int(NR / 2)], latency[int(NR * 0.99)], latency[int(NR * 0.99)] / (batches * alone), batches, alone
  }'
echo "errors: ${failed:-0} of statements, $errors of the service, $aborted sessions lost"
echo "a backend's own memory: at most $early kB after a quarter of the time, $late kB after three quarters"
echo "the weights take $weights kB; the service's own memory is $in_service kB, no backend has more than $late"
value "'batches: ' || string_agg(format('%s of up to %s', batches, size), ', ' ORDER BY size) FROM coop_stat_worker_batches"

say "the whole table from one connection: coop_embed_table"
psql_ -c "CREATE TABLE many (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, image bytea, emb coopvec)" \
  -c "INSERT INTO many (image) SELECT image FROM products, generate_series(1, $((seconds / 8 + 1)))" -c "VACUUM many"
before=$(value "images || ' ' || model_ms FROM coop_stat_worker")
start=$(date +%s%N)
psql_ -c "CALL coop_embed_table('many', 'image', 'emb')"
rows=$(value 'count(emb) FROM many')
awk -v rows="$rows" -v time=$(($(date +%s%N) - start)) -v best="$best" -v before="$before" \
  -v after="$(value "images || ' ' || model_ms FROM coop_stat_worker")" 'BEGIN {
    split(before, b, " "); split(after, a, " ")
    rate = rows / time * 1e9; own = (a[1] - b[1]) / (a[2] - b[2]) * 1000
    printf "%d images, %.1f per second: %.2f of the model alone (bar 0.9)\n", rows, rate, rate / best
    printf "the model alone, during the run: %.1f per second, of which the service reaches %.2f\n", own, rate / own }'

say "how long a session that waits takes to be cancelled"
kill -STOP "$service"
for i in 1 2 3; do
  ask -c "/* cancelled */ SELECT coop_embed(image) FROM products LIMIT 1" >/dev/null 2>&1 &
  sleep 0.5
  ask <<'SQL'
SELECT pid AS waiting FROM pg_stat_activity WHERE query LIKE '/* cancelled */%' \gset
SELECT set_config('bench.waiting', :'waiting', false) AS unused \gset
DO $$
DECLARE start timestamptz := clock_timestamp();
BEGIN
    PERFORM pg_cancel_backend(current_setting('bench.waiting')::int);
    LOOP
        PERFORM pg_stat_clear_snapshot();
        EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = current_setting('bench.waiting')::int AND state = 'active');
        PERFORM pg_sleep(0.001);
    END LOOP;
    PERFORM set_config('bench.took', round((extract(epoch FROM clock_timestamp() - start) * 1000)::numeric, 1)::text, false);
END $$;
SELECT current_setting('bench.took') || ' ms (bar 100)';
SQL
done
kill -CONT "$service"
wait
