#!/usr/bin/env bash
# Exported models embed in ONNX Runtime as in the server: the shipped ones, and each backbone with each kind of features. The Python in
# model/README.md runs. Needs onnxruntime, numpy, pillow, psycopg and safetensors, which it installs into an environment under target/.
source "$(dirname "$0")/../tools/lib.sh"
find_postgres
scratch_cluster
python=$("$ROOT/tests/bench/venv.sh" onnxruntime numpy PIL psycopg safetensors 2>"$SCRATCH/pip") || {
  echo "skipped: onnxruntime, numpy, pillow, psycopg and safetensors cannot be had: $(tail -1 "$SCRATCH/pip")"
  exit
}
cd "$ROOT"
cargo build -q --no-default-features --features cli --bin coopembed
program=$TARGET/debug/coopembed
export PGDATABASE=postgres
load_clothes 30
ask -c "CALL coop_embed_table('products', 'image', 'emb')"
client=$ROOT/tests/clients/onnx_client.py

exported() { # NAME DIR: $SCRATCH/NAME.onnx, and the model in the database
  "$program" export --model "$2" --onnx "$SCRATCH/$1.onnx" >"$SCRATCH/exported" || die "export of $2"
  ask -c "SELECT coop_load_model('$1', '$2')" >/dev/null
}

mkdir "$SCRATCH/models"
MODELS=$SCRATCH/models cargo test -q --no-default-features --features cli --lib onnx::tests::write_models -- --ignored >"$SCRATCH/written" 2>&1 ||
  die "the models could not be written: $(tail -20 "$SCRATCH/written")"
give_to_server "$SCRATCH/models"
cp -R "$ROOT/model/clothes" "$SCRATCH/models/shipped_clothes"
cp -R "$ROOT/model/emoji" "$SCRATCH/models/shipped_emoji"
chmod -R a+rX "$SCRATCH/models"
for dir in "$SCRATCH"/models/*; do
  name=$(basename "$dir")
  exported "$name" "$dir"
  check "$name: ONNX Runtime and SQL agree to 1e-3" "$python" "$client" agrees "$name" "$SCRATCH/$name.onnx"
  rm -f "$SCRATCH/resnet"*.onnx
done
expect 'the program says what it wrote' "input pixels: uint8 [batch,32,32,3]" "$(sed -n 2p "$SCRATCH/exported")"

shipped=$SCRATCH/shipped_clothes.onnx
check 'an empty batch, and any other' "$python" "$client" batches "$shipped"
check 'the JSON beside it is the metadata in it' "$python" "$client" metadata "$shipped"
check 'safetensors reads the model directory' "$python" "$client" prototypes shipped_clothes "$ROOT/model/clothes"

# Mistakes.
refused() { # WHAT PATTERN OPTIONS...
  if "$program" export "${@:3}" >"$SCRATCH/error" 2>&1; then fail "$1" 'it was written'; else expect_in "$1" "$2" "$SCRATCH/error"; fi
}
refused 'the weights are not overwritten' 'needs a name that ends in .onnx' --model "$SCRATCH/models/zeros" --onnx "$SCRATCH/models/zeros/model.safetensors"
refused 'a folder that is not there' 'its directory does not exist' --model "$ROOT/model/clothes" --onnx "$SCRATCH/none/x.onnx"
refused 'a model that is not there' 'there is no directory' --model "$SCRATCH/none" --onnx "$SCRATCH/x.onnx"
head -c 1000000 "$ROOT/model/clothes/model.safetensors" >"$SCRATCH/models/zeros/model.safetensors"
refused 'a damaged model' 'not a complete safetensors file' --model "$SCRATCH/models/zeros" --onnx "$SCRATCH/x.onnx"
expect 'nothing was written' '' "$(find "$SCRATCH" -name '*x.onnx*')"

# The guide, on photographs of clothes.
sed -n '/^```python$/,/^```$/ { /^```/d; p }' "$ROOT/model/README.md" >"$SCRATCH/guide.py"
mv "$shipped" "$SCRATCH/clothes.onnx"
images=$gallery/images
(cd "$SCRATCH" && "$python" guide.py "$images/1000000-1.jpg" "$images/1000001-0.jpg" >guide.out 2>&1) || true
expect 'the Python of the guide finds the images themselves' 'yellow straw hat|blue polo with long sleeves' \
  "$(sed "s/^[^']*'\([^']*\)'.*/\1/" "$SCRATCH/guide.out" | paste -sd'|')"
check 'and its embeddings are nearly those of the server' "$python" "$client" images "$SCRATCH/clothes.onnx" "$images"
finish
