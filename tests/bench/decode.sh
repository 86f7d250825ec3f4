#!/bin/sh
# Time to decode a JPEG and scale it to 224 px, beside Pillow's (Image.open, convert, resize with BILINEAR; no draft mode), in one run on the
# same files: photo-like images in two sizes, baseline and progressive. The two take turns. The bar is 1.5 times Pillow's time.
# usage: [ROUNDS=9] tests/bench/decode.sh
set -eu
cd "$(dirname "$0")/../.."
python=$(tests/bench/venv.sh PIL numpy)
RUSTFLAGS=" " cargo build --quiet --release --example bench --no-default-features --features cli
"$python" tests/bench/decode.py target/release/examples/bench target/bench-decode
