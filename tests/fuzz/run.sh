#!/usr/bin/env bash
# Runs a million mutated images through the decoders, and, where there are a nightly compiler and cargo-fuzz (`cargo install cargo-fuzz`), each fuzz
# target for some seconds. Inputs that reach new code are kept in target/fuzz-corpus. usage: run.sh [SECONDS [TARGET...]]      (with targets: those alone)
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-60}
targets=("${@:2}")
export RUSTFLAGS=" " PATH=$PWD/target/tools/bin:$PATH
if [ ${#targets[@]} = 0 ]; then
  targets=(decode decode-jpg decode-tif decode-avif decode-jxl decode-png decode-webp decode-gif decode-ico model values index)
  MUTATIONS=1000000 cargo test --release --no-default-features --features cli --test mutated_images -- --nocapture
fi
if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
  echo "skipped: the targets of tests/fuzz need a nightly compiler and cargo-fuzz"
  exit
fi

# Each target starts from valid inputs of every kind.
corpus=target/fuzz-corpus
for target in decode model values index; do mkdir -p "$corpus/$target"; done
find tests/fixtures/images -type f ! -name '*.md' ! -name '*.py' ! -name '*.ref.png' ! -name '*.expected.png' -exec cp {} "$corpus/decode/" \;
for kind in jpg png webp gif tif avif jxl ico; do
  mkdir -p "$corpus/decode-$kind"
  find "$corpus/decode" -name "*.$kind" -exec cp {} "$corpus/decode-$kind/" \;
done
{ printf '\1'; cat model/emoji/config.json; } >"$corpus/model/config"
{ printf '\0'; head -c 4000 model/emoji/model.safetensors; } >"$corpus/model/weights"
printf '\0''2x2@0000002a:[0.5,-0,65504,0.000000059604645]' >"$corpus/values/embedding"
printf '\1''2x2@0000002a:{0.25;0:1e-3*[1,2];1:2*[0.5,1]}' >"$corpus/values/query"
printf '\0\\x01000200020000002a38003c000000c000' >"$corpus/values/embedding-hex"
printf '\1\\x01000200020000002a3fd000000000000000000000400000003f0000003f800000' >"$corpus/values/query-hex"
printf '\2\1\0\2\0\2\0\0\0\52\70\0\74\0\0\0\300\0' >"$corpus/values/embedding-binary"
printf '\3\1\0\2\0\2\0\0\0\52\77\320\0\0\0\0\0\0\0\0\0\0\100\0\0\0\77\0\0\0\77\200\0\0' >"$corpus/values/query-binary"
printf '\4\1\0\0\0\0\0\0\0\1\0\1\0\52\0\0\0\0\0\0\0\0\0\360\77' >"$corpus/values/mean"
printf '\0\1\0' >"$corpus/index/exact"
printf '\1\17\377\10\0\0\1' >"$corpus/index/approximate"

for target in "${targets[@]}"; do
  echo "== $target for $seconds s"
  # `decode-avif` is the target `decode` on inputs of one format.
  cargo +nightly fuzz run --fuzz-dir tests/fuzz "${target%-*}" "$PWD/$corpus/$target" -- \
    -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=20 -print_final_stats=1
done
