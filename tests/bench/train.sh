#!/bin/sh
# Time of a training step (forward, backward and optimiser) beside PyTorch's, one after the other on the same processors: ResNet-18 (64 px, batch
# 64) and ResNet-50 (224 px, batch 8). The bar is a ratio of 2. usage: [THREADS=2] tests/bench/train.sh
set -eu
cd "$(dirname "$0")/../.."
threads=${THREADS:-2}
python=$(tests/bench/venv.sh torch torchvision)
export RUSTFLAGS=" " RAYON_NUM_THREADS="$threads" CARGO_PROFILE_TEST_OPT_LEVEL=3
test="cargo test --quiet --lib --no-default-features --features cli"
$test --no-run
for arch in resnet18 resnet50; do
    ours=$(BENCH_ARCH=$arch $test benchmark_training_step -- --ignored --nocapture | grep 'ms a step')
    theirs=$("$python" tests/bench/train_peer.py "$threads" $arch)
    echo "ours    $ours"
    echo "PyTorch $theirs"
    printf '%s\n%s\n' "$ours" "$theirs" | sed 's/.*: \([0-9]*\) ms a step.*/\1/' |
        awk 'NR == 1 { ours = $1 } NR == 2 { printf "ratio   %.2f\n", ours / $1 }'
done
