"""Compares ONNX Runtime with the server. usage: onnx_client.py CASE ARGUMENTS..., with libpq's environment variables; ends with an error if the case fails."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import psycopg
from PIL import Image
from safetensors.numpy import load_file

GALLERIES = Path(__file__).resolve().parents[2] / "src" / "demo"
EMBEDDING = "SELECT coop_embed(%b, %s)::real[]"


def session(onnx):
    return onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])


def pixels(model, count=5):
    """Real images, in the size that the model takes."""
    size = model.get_inputs()[0].shape[1]
    files = [file for name in ("clothes", "emoji") for file in sorted((GALLERIES / name / "gallery" / "images").iterdir())[:count]]
    return np.stack([np.asarray(Image.open(file).convert("RGB").resize((size, size), Image.Resampling.BILINEAR)) for file in files])


def run(model, batch):
    return model.run(["embedding"], {"pixels": batch})[0]


def embedded(db, name, image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    return np.array(db.execute(EMBEDDING, (file.getvalue(), name)).fetchone()[0], np.float32)


def agrees(db, name, onnx):
    """PNG of the model's size, which the server does not resize, give the same embeddings."""
    model = session(onnx)
    batch = pixels(model)
    ours, theirs = np.stack([embedded(db, name, image) for image in batch]), run(model, batch)
    difference = np.abs(ours - theirs).max()
    spread = np.abs(ours - ours[0]).max()
    print(f"{name}: largest difference {difference:.1e}, between images {spread:.1e}")
    assert ours.shape == theirs.shape and difference < 1e-3
    assert spread > 0.05 or name in ("zeros", "extremes"), spread
    if name == "zeros":
        assert np.array_equal(theirs[0], np.array([0, 0, 0, 0, 0.6, 0, -0.8, 0], np.float32)), theirs[0]


def batches(db, onnx):
    """Any number of images at once."""
    model = session(onnx)
    batch = pixels(model)
    together = run(model, batch)
    for image, embedding in zip(batch, together):
        assert np.allclose(run(model, image[None])[0], embedding, atol=1e-5)
    assert run(model, batch[:0]).shape == (0, together.shape[1])


def metadata(db, onnx):
    """The graph's metadata are the JSON beside it, and name the model of the database."""
    about = session(onnx).get_modelmeta().custom_metadata_map["coopembed"]
    assert about == Path(onnx + ".json").read_text()
    about = json.loads(about)
    stored = db.execute("SELECT encode(digest, 'hex') FROM coopembed.models WHERE name = 'shipped_clothes'").fetchone()
    assert (about["digest"],) == stored, stored


def prototypes(db, name, directory):
    """Query prototypes, read as the guide says, are at the distances of SQL."""
    config = json.loads((Path(directory) / "config.json").read_text())
    weights = load_file(Path(directory) / "model.safetensors")
    n, k = config["subspace_dim"], [a["name"] for a in config["attributes"]].index("sleeves")
    image = np.full((128, 128, 3), 200, np.uint8)
    embedding = embedded(db, name, image)[k * n : (k + 1) * n]
    for value, target in zip(config["attributes"][k]["values"], weights["queries.attribute.sleeves"]):
        sql = "SELECT coop_vector(%s, %s) <-> coop_attr_query('sleeves', %s, %s)"
        distance, = db.execute(sql, (embedded(db, name, image).tolist(), name, value["name"], name)).fetchone()
        assert abs(np.linalg.norm(embedding - target.astype(np.float32)) - distance) < 2e-3, value


def images(db, onnx, folder):
    """Photographs that Pillow decodes and resizes. Decoders and filters round differently, by at most some levels of 255."""
    model = session(onnx)
    size = model.get_inputs()[0].shape[1]
    for file in sorted(Path(folder).iterdir())[:20]:
        image = np.asarray(Image.open(file).convert("RGB").resize((size, size), Image.Resampling.BILINEAR))
        ours = db.execute("SELECT coop_embed(%b)::real[]", (file.read_bytes(),)).fetchone()[0]
        difference = np.linalg.norm(np.array(ours) - run(model, image[None])[0])
        assert difference < 0.1, (file, difference)


if __name__ == "__main__":
    with psycopg.connect() as connection:
        globals()[sys.argv[1]](connection, *sys.argv[2:])
