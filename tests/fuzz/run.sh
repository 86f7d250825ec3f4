#!/usr/bin/env bash
# Damage by the thousand: a million mutated pictures with every compiler, and, where there are a nightly one and cargo-fuzz
# (`cargo install cargo-fuzz`), each target for some time, from the pictures of tests/fixtures on. usage: run.sh [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-60}
export RUSTFLAGS=" "
MUTATIONS=1000000 cargo test --release --no-default-features --features cli --test mutated_images -- --nocapture
if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
  echo "no nightly compiler or no cargo-fuzz: the targets of tests/fuzz were not run"
  exit
fi
corpus=target/fuzz-corpus
mkdir -p "$corpus/decode" "$corpus/model"
find tests/fixtures/images -type f ! -name '*.md' -exec cp {} "$corpus/decode/" \;
{ printf '\1'; cat model/emoji/config.json; } >"$corpus/model/config"
{ printf '\0'; head -c 4000 model/emoji/model.safetensors; } >"$corpus/model/weights"
for fuzzed in decode model; do
  echo "== $fuzzed for $seconds s"
  cargo +nightly fuzz run --fuzz-dir tests/fuzz "$fuzzed" "$PWD/$corpus/$fuzzed" -- \
    -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=20 -print_final_stats=1
done
