#!/bin/sh
# Time to decode an image and scale it to 224 px, beside Pillow's (Image.open, convert, resize with BILINEAR; no draft mode), in one run on the
# same files: photo-like images of 0.3 to 35 megapixels as JPEG, PNG, WebP, AVIF and TIFF. The two take turns. The bar is Pillow's time for
# JPEG, 1.25 times that for the others; AVIF misses it, because its decoder is built without assembler.
# usage: [ROUNDS=9] [FORMATS=jpg,png] tests/bench/decode.sh
set -eu
cd "$(dirname "$0")/../.."
python=$(tests/bench/venv.sh PIL numpy)
RUSTFLAGS=" " cargo build --quiet --release --example bench --no-default-features --features cli
"$python" tests/bench/decode.py target/release/examples/bench target/bench-decode
