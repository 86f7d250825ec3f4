#!/bin/sh
# Inference of the backbones beside ONNX Runtime and PyTorch, in one run on the same processor: the same weights and pictures
# of 224 px. The passes take turns, so that what else the machine does meets all alike. The bar is 1.15 times ONNX Runtime's
# CPU time, and no more than PyTorch's.
#   THREADS="1 2" BATCHES="1 16" ARCHS="resnet50 efficientnet_lite0" ROUNDS=15 tests/bench/infer.sh
set -eu
cd "$(dirname "$0")/../.."
python=$(tests/bench/venv.sh torch torchvision onnx onnxruntime)
RUSTFLAGS=" " cargo build --quiet --release --example bench --no-default-features --features cli
"$python" tests/bench/infer.py compare target/release/examples/bench target/bench-infer
