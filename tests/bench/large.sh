#!/usr/bin/env bash
# Time, size and memory of the index on up to 5,000,000 rows like the shipped model's (mixes of two embeddings of the demo's gallery, 13x50, with
# noise), and how they grow: the exponent e of rows^e, by least squares over the numbers of rows.
# usage: [INSTALLED=1] [PEER_ROWS="ROWS..."] [SCANS=3] large.sh [ROWS...]      (200000 1000000 5000000: takes 30 GB of disk)
# Where pgvector is installed, its HNSW is built on the same rows, in half precision, on all processors, for the numbers of rows in PEER_ROWS: by
# default those whose graph fits into half of the memory, beyond which a build takes many hours; PEER_ROWS=none leaves it out.
source "$(dirname "$0")/../tools/lib.sh"
find_postgres
[ $# -gt 0 ] || set -- 200000 1000000 5000000
scans=${SCANS:-3} probes=${PROBES:-800}
python=$("$ROOT/tests/bench/venv.sh" numpy)
[ -n "${INSTALLED:-}" ] || install_extension --release >/dev/null
# A node of pgvector's graph, 13x50 half-precision numbers and its neighbours, takes 2 kB.
peer_most=$(awk '/^MemTotal/ { print int($2 / 2 / 2) }' /proc/meminfo)
peer_rows=" ${PEER_ROWS:-$(for n; do [ "$n" -gt "$peer_most" ] || echo "$n"; done | xargs)} "
# A quarter of the memory is shared_buffers, as usual; nothing here has to survive a crash of the machine.
quarter=$(awk '/^MemTotal/ { print int($2 / 4096) }' /proc/meminfo)MB
scratch_cluster "shared_buffers=$quarter" max_parallel_workers_per_gather=0 wal_level=minimal max_wal_senders=0 max_wal_size=2GB checkpoint_timeout=1h autovacuum=off
export PGDATABASE=postgres PGOPTIONS="-c client_min_messages=warning" PATH=$BIN:$PATH
gallery=$(for_server "$SCRATCH" "$ROOT/src/demo/emoji/gallery") model=$(for_server "$SCRATCH" "$ROOT/model/emoji")
psql_ -v gallery="$gallery" -v model="$model" -f "$ROOT/src/demo/emoji/load.sql"
psql_ -c "UPDATE products SET emb = coop_embed(image)"
slice=$(ask -c "SELECT (ordinal - 1) * 50 + 1 FROM coop_attributes() WHERE name = 'hue'")
figures=$SCRATCH/figures
: >"$figures"

now() { date +%s%N; }
# figure ROWS WHAT VALUE UNIT: prints a figure, and keeps it for the exponents.
figure() {
  echo "$1 rows, $2: $3 $4"
  printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" >>"$figures"
}
# took ROWS WHAT PSQL-ARGUMENTS...: the figure is how many seconds the statements take.
took() {
  local rows=$1 what=$2 start
  shift 2
  start=$(now)
  ask "$@"
  figure "$rows" "$what" "$(awk -v ns=$(($(now) - start)) 'BEGIN { printf "%.2f", ns / 1e9 }')" s
}
size() { ask -c "SELECT round(pg_relation_size('$1') / 1e6)"; }
# Prints SQL for the peak memory of its own session in MB, without shared buffers, from /proc.
own_memory() {
  echo "SELECT round((((regexp_match(s, 'VmHWM:\s+(\d+)'))[1])::numeric - ((regexp_match(s, 'RssShmem:\s+(\d+)'))[1])::numeric) / 1024)
    FROM pg_read_file('/proc/self/status') s"
}

for rows; do
  say "$rows rows"
  [ $((rows * 4)) -lt "$(df -k --output=avail "$SCRATCH" | tail -1)" ] || die "$rows rows, their index and WAL take $((rows / 250000)) GB of disk"
  ask -c "DROP TABLE IF EXISTS gallery"
  start=$(now)
  ask -c "SELECT emb FROM products ORDER BY id" | "$python" "$ROOT/tests/bench/mixed.py" "$rows" |
    psql_ -1 -c "CREATE TABLE gallery (id int, emb coopvec)" -c "COPY gallery FROM STDIN (FORMAT binary)"
  figure "$rows" 'rows made and copied' "$((($(now) - start) / 1000000000))" s
  ask -c "ALTER TABLE gallery ADD PRIMARY KEY (id)" -c "VACUUM (ANALYZE, FREEZE) gallery"
  figure "$rows" 'table' "$(size gallery)" MB
  took "$rows" 'index built' -c "SET maintenance_work_mem = '2GB'" -c "CREATE INDEX gallery_index ON gallery USING coop (emb)" \
    -c "$(own_memory)" >"$SCRATCH/found"
  grep -v rows "$SCRATCH/found" >"$SCRATCH/memory"
  grep rows "$SCRATCH/found"
  figure "$rows" 'memory of the building process' "$(tail -1 "$SCRATCH/memory")" MB
  figure "$rows" 'index' "$(size gallery_index)" MB
  psql_ -At -v rows="$rows" -v scans="$scans" -v probes="$probes" -v peer=f -v slice="$slice" -f "$ROOT/tests/bench/large.sql" | tee "$SCRATCH/answers"
  sed -nE 's/^([0-9]+) rows, (.*): ([0-9.]+) ms median.*/\1\t\2\t\3\tms/p' "$SCRATCH/answers" >>"$figures"
  memory=$(ask -c "SET enable_seqscan = off" -c "SELECT count(*) FROM (SELECT FROM gallery ORDER BY emb <-> (SELECT emb FROM gallery WHERE id = 7) LIMIT 10) t" -c "$(own_memory)" | tail -1)
  figure "$rows" 'memory of a session that queries the superspace' "$memory" MB
  ask -c "CREATE TEMP TABLE fresh AS SELECT id + 1000000000 AS id, emb FROM gallery WHERE id <= 20000" -c '\timing on' \
    -c "INSERT INTO gallery SELECT * FROM fresh" >"$SCRATCH/found"
  figure "$rows" '20,000 rows inserted' "$(sed -nE 's/^Time: ([0-9.]+) ms.*/\1/p' "$SCRATCH/found" | tail -1)" ms
  ask -c "DELETE FROM gallery WHERE id % 100 = 0"
  took "$rows" 'VACUUM after one row in a hundred is deleted' -c "SET maintenance_work_mem = '1GB'" -c "VACUUM gallery"
  ask -c "SELECT coop_index_check('gallery_index') = (SELECT count(*) FROM gallery)" | grep -qx t || die 'the index is damaged'
  if [[ $peer_rows == *" $rows "* ]] && [ "$(ask -c "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'")" = 1 ]; then
    # Of the gallery, only the rows that queries are made of have to stay.
    ask -c "CREATE EXTENSION IF NOT EXISTS vector" -c "CREATE TABLE peer AS SELECT id, emb::real[]::halfvec(650) AS v FROM gallery WHERE id <= $rows" \
      -c "CREATE TABLE few AS SELECT * FROM gallery WHERE id <= 50" -c "DROP TABLE gallery" -c "ALTER TABLE few RENAME TO gallery" -c "VACUUM ANALYZE peer"
    # The graph has to fit into maintenance_work_mem.
    settings=(-c "SET maintenance_work_mem = '$((peer_most * 2 / 1000))MB'" -c "SET max_parallel_maintenance_workers = $(($(nproc) - 1))")
    took "$rows" "pgvector's HNSW of everything built" "${settings[@]}" -c "CREATE INDEX peer_whole ON peer USING hnsw (v halfvec_l2_ops)"
    took "$rows" "pgvector's HNSW of one attribute built" "${settings[@]}" \
      -c "CREATE INDEX peer_part ON peer USING hnsw ((subvector(v, $slice, 50)::halfvec(50)) halfvec_l2_ops)"
    figure "$rows" "pgvector's index of everything" "$(size peer_whole)" MB
    figure "$rows" "pgvector's index of one attribute" "$(size peer_part)" MB
    psql_ -At -v rows="$rows" -v scans=0 -v probes="$probes" -v peer=t -v slice="$slice" -f "$ROOT/tests/bench/large.sql" | grep pgvector | tee "$SCRATCH/answers"
    sed -nE 's/^([0-9]+) rows, (.*): ([0-9.]+) ms median.*/\1\t\2\t\3\tms/p' "$SCRATCH/answers" >>"$figures"
    ask -c '\timing on' -c "INSERT INTO peer SELECT id + 1000000000, v FROM peer LIMIT 2000" >"$SCRATCH/found"
    figure "$rows" "2,000 rows inserted into pgvector's two" "$(sed -nE 's/^Time: ([0-9.]+) ms.*/\1/p' "$SCRATCH/found" | tail -1)" ms
    ask -c "DROP TABLE peer"
  fi
done

say "growth from $1 rows on: the exponent e of rows^e"
awk -F'\t' '
  !($2 in n) { order[++kinds] = $2 }
  $3 > 0 { x = log($1); y = log($3); n[$2]++; sx[$2] += x; sy[$2] += y; sxx[$2] += x * x; sxy[$2] += x * y; last[$2] = $3 " " $4 }
  END { for (i = 1; i <= kinds; i++) { k = order[i]; d = n[k] * sxx[k] - sx[k] ^ 2
    if (n[k] > 1 && d > 0) printf "%s: %.2f, at the end %s\n", k, (n[k] * sxy[k] - sx[k] * sy[k]) / d, last[k] } }' "$figures"
