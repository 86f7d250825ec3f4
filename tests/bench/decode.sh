#!/bin/sh
# From the bytes of a JPEG to 224 px, beside Pillow (Image.open, convert, resize with BILINEAR; no draft mode), in one run on the
# same files: two photo-like pictures, baseline and progressive. The passes take turns. The bar is 1.5 times Pillow's time.
#   ROUNDS=9 tests/bench/decode.sh
set -eu
cd "$(dirname "$0")/../.."
python=$(tests/bench/venv.sh PIL numpy)
RUSTFLAGS=" " cargo build --quiet --release --example bench --no-default-features --features cli
"$python" tests/bench/decode.py target/release/examples/bench target/bench-decode
