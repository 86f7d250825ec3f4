#!/bin/sh
# Time of a training step (forward, backward and optimiser) beside PyTorch's, by turns on the same processors, the best of ROUNDS turns: ResNet-18
# (64 px, batch 64), ResNet-50 (224 px, batch 8), and the upper blocks of EfficientNet-Lite0 (128 px, batch 64, statistics kept, the maps
# before the sixth block given). CPU time is that of all threads: with one thread it is steady beside other work too.
# The bars are ratios: 1.3 for the ResNets, 1.5 for EfficientNet-Lite0. usage: [THREADS=2] [ROUNDS=3] tests/bench/train.sh
set -eu
cd "$(dirname "$0")/../.."
threads=${THREADS:-2}
python=$(tests/bench/venv.sh torch torchvision)
export RUSTFLAGS=" " RAYON_NUM_THREADS="$threads" CARGO_PROFILE_TEST_OPT_LEVEL=3
test="cargo test --quiet --lib --no-default-features --features cli"
$test --no-run
for arch in resnet18 resnet50 lite0-upper; do
    for _ in $(seq "${ROUNDS:-3}"); do
        BENCH_ARCH=$arch $test benchmark_training_step -- --ignored --nocapture | sed -n 's/^/ours /; /ms a step/p'
        "$python" tests/bench/train_peer.py "$threads" $arch | sed 's/^/PyTorch /'
    done | awk '
        { print; match($0, /: [0-9]+ ms/); wall = substr($0, RSTART + 2) + 0; match($0, /[0-9]+ ms of CPU/); cpu = substr($0, RSTART) + 0 }
        !($1 in best) || wall < best[$1] { best[$1] = wall }
        !($1 in least) || cpu < least[$1] { least[$1] = cpu }
        END { printf "ratio %.2f, of CPU time %.2f\n", best["ours"] / best["PyTorch"], least["ours"] / least["PyTorch"] }'
done
