#!/usr/bin/env bash
# Type-checks the program with the feature cuda on a machine without CUDA. A stand-in for nvcc writes empty kernels, and nothing is linked or run:
# this shows that our code compiles against candle's CUDA code, no more.
source "$(dirname "$0")/lib.sh"
home=$TARGET/no-cuda
mkdir -p "$home/bin" "$home/include" "$home/lib64"
cat >"$home/bin/nvcc" <<'NVCC'
#!/bin/sh
[ "$1" != --version ] || { echo "Cuda compilation tools, release 13.0, V13.0.0"; exit; }
while [ $# -gt 0 ]; do
  case $1 in
    --output-directory) folder=$2; shift ;;
    -o) : >"$2"; exit ;;
    *.cu) source=$1 ;;
  esac
  shift
done
name=${source##*/}
: >"$folder/${name%.cu}.ptx"
NVCC
chmod +x "$home/bin/nvcc"
cd "$ROOT"
export CUDA_HOME=$home CUDA_PATH=$home CUDA_COMPUTE_CAP=80 CUDARC_CUDA_VERSION=13000 RUSTFLAGS=" "
PATH=$home/bin:$PATH exec cargo check --bin coopembed --no-default-features --features cli,cuda
