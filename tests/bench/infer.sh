#!/bin/sh
# Inference time of the backbones beside ONNX Runtime's and PyTorch's, in one run on the same processor, with the same weights and images of
# 224 px. The three take turns, so that other load on the machine meets all alike. The bar is 1.15 times ONNX Runtime's CPU time, and no more
# than PyTorch's. usage: [THREADS="1 2"] [BATCHES="1 16"] [ARCHS="resnet50 efficientnet_lite0"] [ROUNDS=15] tests/bench/infer.sh
set -eu
cd "$(dirname "$0")/../.."
python=$(tests/bench/venv.sh torch torchvision onnx onnxruntime)
RUSTFLAGS=" " cargo build --quiet --release --bin coopembed --example bench --no-default-features --features cli
"$python" tests/bench/infer.py compare target/release/coopembed target/release/examples/bench target/bench-infer
