#!/usr/bin/env bash
# All benchmarks that `make bench` runs, in one run, with a release build in a throw-away cluster: masked distance and index beside pgvector's
# (where it can be installed), embedding, the inference service, decoding beside Pillow, inference beside ONNX Runtime and PyTorch.
source "$(dirname "$0")/../tools/lib.sh"
find_postgres
say "building and installing the extension (release)"
install_extension --release

# Debian's package if there is one for this PostgreSQL, otherwise Debian's source package, built against it.
pgvector() {
  [ ! -f "$("$PG_CONFIG" --sharedir)/extension/vector.control" ] || return 0
  local sudo sources=$TARGET/pgvector list
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  $sudo apt-get install -y -q --no-install-recommends "postgresql-$PGV-pgvector" >/dev/null 2>&1 && return 0
  mkdir -p "$sources"
  list=$(mktemp)
  # The sources of a newer Debian release, from the mirror that this machine uses.
  { cat /etc/apt/sources.list 2>/dev/null; cat /etc/apt/sources.list.d/*.list 2>/dev/null; } |
    awk '$1 == "deb" { for (i = 2; i <= NF && $i !~ /:\/\//; i++); print "deb-src [trusted=yes]", $i, "trixie", "main"; exit }' >"$list"
  awk '/^URIs:/ { print "deb-src [trusted=yes]", $2, "trixie", "main"; exit }' /etc/apt/sources.list.d/*.sources 2>/dev/null >>"$list" || true
  (cd "$sources" && apt="-o Dir::Etc::sourcelist=$list -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists=$sources/lists" &&
    mkdir -p lists/partial && apt-get $apt update -q && apt-get $apt source --download-only pgvector &&
    tar xzf pgvector_*.orig.tar.gz && make -C pgvector-*/ PG_CONFIG="$PG_CONFIG" OPTFLAGS="-march=native" install) \
    >"$sources/build.log" 2>&1
}
pgvector || echo "pgvector could not be installed (see $TARGET/pgvector/build.log): measuring without it"

scratch_cluster shared_buffers=1GB max_parallel_workers_per_gather=0
give_to_server "$SCRATCH"
"$BIN/createdb" bench
export PGDATABASE=bench PATH=$BIN:$PATH

say "masked distance, 200,000 rows of 8x50, sequential scan, milliseconds"
"$ROOT/tests/bench/load.sh"
psql_ -f "$ROOT/tests/bench/seqscan.sql"

say "the index on the same rows: build, insert, and answers, milliseconds"
"$ROOT/tests/bench/index.sh"

say "embedding the bundled gallery, one connection"
gallery=$(for_server "$SCRATCH" "$ROOT/src/demo/emoji/gallery")
model=$(for_server "$SCRATCH" "$ROOT/model/emoji")
psql_ -v gallery="$gallery" -v model="$model" -f "$ROOT/src/demo/emoji/load.sql"
psql_ -At <<'SQL'
SELECT count(coop_embed(image)) AS warm FROM (SELECT image FROM products LIMIT 8) p \gset
SELECT clock_timestamp() AS start \gset
UPDATE products SET emb = coop_embed(image);
SELECT format('%s images, %s ms each', count(*),
              round((extract(epoch FROM clock_timestamp() - :'start') * 1000 / count(*))::numeric, 1)) FROM products;
SQL

say "the index on 50,000 rows like this model's, milliseconds"
"$ROOT/tests/bench/real.sh"

say "the inference service under load"
"$ROOT/tests/bench/serve.sh"

say "from a JPEG to 224 px beside Pillow"
"$ROOT/tests/bench/decode.sh"

say "inference of the backbones beside ONNX Runtime and PyTorch"
"$ROOT/tests/bench/infer.sh"
