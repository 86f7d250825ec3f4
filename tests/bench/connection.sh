#!/usr/bin/env bash
# The program over a connection, in a throw-away cluster: how long a model of 350 MB takes to load and how much memory that needs, and how fast
# `coopembed embed` fills a table beside the same images embedded into a file. The bars: 10 s and 1.2 GB; 0.9.
# usage: [PROGRAM=FILE] connection.sh [COPIES]      (the extension must be installed; PROGRAM is a build of coopembed, otherwise a release is built)
source "$(dirname "$0")/../tools/lib.sh"
find_postgres
copies=${1:-1}
program=${PROGRAM:-$TARGET/release/coopembed}
[ -n "${PROGRAM:-}" ] || (cd "$ROOT" && cargo build --quiet --release --bin coopembed --no-default-features --features cli)
scratch_cluster shared_buffers=256MB
"$BIN/createdb" shop
export PGDATABASE=shop PGOPTIONS="-c client_min_messages=warning"
ask -c 'CREATE EXTENSION coopembed'
python3 - "$ROOT/model/clothes" "$SCRATCH/large" <<'PYTHON'
"""The shipped model with as many instance proxies as make 350 MB, of random numbers, which do not compress."""
import json, os, random, shutil, struct, sys
source, target = sys.argv[1:]
os.mkdir(target)
shutil.copy(source + '/config.json', target)
with open(source + '/model.safetensors', 'rb') as file:
    header = json.loads(file.read(struct.unpack('<Q', file.read(8))[0]))
    data = file.read()
proxies = header['proxies.instance']
begin, end = proxies['data_offsets']
for tensor in header.values():
    if tensor.get('data_offsets', [0])[0] >= end:
        tensor['data_offsets'] = [offset - (end - begin) for offset in tensor['data_offsets']]
data = data[:begin] + data[end:]
begin, width = len(data), proxies['shape'][1]
rows = (350_000_000 - begin) // (2 * width)
proxies['shape'], proxies['data_offsets'] = [rows, width], [begin, begin + 2 * width * rows]
text = json.dumps(header).encode()
text += b' ' * (-len(text) % 8)
noise = bytes(b & 0x3b if i % 2 else b for i, b in enumerate(random.Random(1).randbytes(1 << 20)))  # no infinities
with open(target + '/model.safetensors', 'wb') as file:
    file.write(struct.pack('<Q', len(text)) + text + data)
    left = 2 * width * rows
    while left:
        left -= file.write(noise[:left])
PYTHON
# The clothes' demo, as a table of paths, so many times over.
ask <<SQL
CREATE TABLE photos (id int, path text, emb coopvec);
CREATE TEMP TABLE catalogue (id integer, garment text, name text, category text, neckline text, sleeves text, pattern text, closure text, length text,
  colour text, material text, path text);
\\copy catalogue FROM '$ROOT/src/demo/clothes/gallery/products.csv' (FORMAT csv, HEADER)
INSERT INTO photos SELECT id, path FROM catalogue, generate_series(1, $copies);
SQL
ask -c '\copy (SELECT path FROM photos) TO '"'$SCRATCH/list'"

# measured COMMAND...: runs it, and prints its seconds, those of processor time, and its largest memory in MB.
measured() {
  python3 -c 'import resource, subprocess, sys, time
start = time.time()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{time.time() - start:.2f} s, {used.ru_utime + used.ru_stime:.2f} s of processor time, {used.ru_maxrss // 1024} MB")' "$@"
}
say 'loading 350 MB over a connection'
measured "$program" load --name large "$SCRATCH/large"
ask -c "SELECT coop_drop_model('large')" >/dev/null
"$program" load --name clothes --default "$ROOT/model/clothes" >/dev/null
cd "$ROOT/src/demo/clothes/gallery"
for round in 1 2; do
  say "$(wc -l <"$SCRATCH/list") images into a file, then into the table (round $round)"
  measured "$program" embed --model "$ROOT/model/clothes" --list "$SCRATCH/list" --format binary --out "$SCRATCH/embeddings"
  ask -c 'UPDATE photos SET emb = NULL'
  measured "$program" embed --table photos --column path --root .
done
