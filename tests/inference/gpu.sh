#!/usr/bin/env bash
# The service on an NVIDIA GPU, on a host that has one: embeddings agree with the CPU's, a hundred connections share one copy of the model, a
# process that dies is replaced. Prints images per second beside PyTorch's on the same card. usage: gpu.sh [PROGRAM], by default what
# `make engine` builds
source "$(dirname "$0")/../tools/lib.sh"
if ! nvidia-smi -L >/dev/null 2>&1; then
  echo "skipped: no NVIDIA GPU"
  exit
fi
find_postgres
program=${1:-$TARGET/release/coopembed-cuda}
if [ ! -x "$program" ]; then
  [ -z "${1:-}" ] || die "there is no $program"
  echo "skipped: 'make engine' builds the program that computes on the GPU"
  exit
fi
scratch_cluster max_connections=150
model=$(for_server "$SCRATCH" "$ROOT/model/emoji")
gallery=$(for_server "$SCRATCH" "$ROOT/src/demo/emoji/gallery")
program=$(for_server "$SCRATCH" "$program")
export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning"

ask <<SQL
CREATE EXTENSION coopembed;
SELECT coop_load_model('emoji', '$model');
CREATE TABLE images AS
    SELECT name, pg_read_binary_file('$gallery/images/' || name) AS image, NULL::coopvec AS cpu, NULL::coopvec AS gpu
    FROM pg_ls_dir('$gallery/images') name;
UPDATE images SET cpu = coop_embed(image);
SQL
expect 'without the program the service computes on the CPU' cpu "$(column device)"
configure "engine=$program" device=cuda:0 max_batch=64
ask -c 'UPDATE images SET gpu = coop_embed(image)'
expect 'with it on the GPU' cuda:0 "$(column device)"
# Each subspace has length 1, so half of the squared distance is 1 minus the cosine, summed over subspaces.
expect "the cosine of each embedding with the CPU's is at least 0.999" 0 "$(ask -c '
  SELECT count(*) FROM images, LATERAL (SELECT count(*) AS k FROM coop_attributes()) a WHERE 1 - (cpu <-> gpu) ^ 2 / 2 / k < 0.999')"
echo "smallest cosine: $(ask -c 'SELECT min(1 - (cpu <-> gpu) ^ 2 / 2 / k) FROM images, (SELECT count(*) AS k FROM coop_attributes()) a')"

for i in $(seq 100); do
  ask -c "SELECT bool_and(coop_embed(image) <-> gpu < 0.1) FROM (SELECT * FROM images ORDER BY name OFFSET $i LIMIT 20) p" >"$SCRATCH/many.$i" 2>&1 &
done
wait
expect 'a hundred connections at once get their embeddings' '100 t' "$(cat "$SCRATCH"/many.* | sort | uniq -c | xargs)"
expect 'from one process on the GPU' "$(column model_process_pid)" \
  "$(nvidia-smi --query-compute-apps=pid --format=csv,noheader | sort -u | xargs)"
expect 'which has loaded the model once' 1 "$(ask -c "SELECT value FROM coop_status() WHERE name = 'model_loads'")"
echo "GPU memory of that process: $(nvidia-smi --query-compute-apps=used_memory --format=csv,noheader | xargs)"

up_since=$(ask -c 'SELECT pg_postmaster_start_time()')
kill -KILL "$(column model_process_pid)"
expect 'a process that dies is replaced' t "$(ask -c 'SELECT coop_embed(image) <-> gpu < 0.1 FROM images LIMIT 1')"
expect 'and the server does not restart' "$up_since" "$(ask -c 'SELECT pg_postmaster_start_time()')"

ask -c 'CREATE TABLE many (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, image bytea, emb coopvec)' \
  -c "INSERT INTO many (image) SELECT image FROM images, generate_series(1, 40)"
start=$(date +%s.%N)
ask -c "CALL coop_embed_table('many', 'image', 'emb')"
rows=$(ask -c 'SELECT count(*) FROM many WHERE emb IS NOT NULL')
echo "coop_embed_table: $(awk -v n="$rows" -v s="$start" -v e="$(date +%s.%N)" 'BEGIN { printf "%.0f images a second", n / (e - s) }')"
ask -c "SELECT 'the device alone: ' || round(images / model_ms * 1000) || ' images a second' FROM coop_stat_worker"
if python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
  python3 - <<'PYTHON'
import time, torch
from torchvision.models import efficientnet_b0

# The shipped backbone's size and near relative, as torchvision has it.
net = efficientnet_b0().half().eval().cuda()
x = torch.rand(64, 3, 128, 128, device="cuda").half()
with torch.no_grad():
    for _ in range(10):
        net(x)
    torch.cuda.synchronize()
    start = time.time()
    for _ in range(50):
        net(x)
    torch.cuda.synchronize()
print(f"PyTorch, EfficientNet-B0, 128 px, batches of 64: {50 * 64 / (time.time() - start):.0f} images a second")
PYTHON
else
  echo "PyTorch with CUDA is not there to compare with"
fi
finish
