"""Times decoding and scaling of images of each format by coopembed and by Pillow, in turns.

    python tests/bench/decode.py PROGRAM FOLDER
"""

import io
import os
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np
from PIL import Image

SIZE = 224
# 0.3, 1, 6 and 35 megapixels. FORMATS=jpg,tif takes the formats whose names end so.
SIZES = [(640, 480), (1200, 900), (3000, 2000), (7200, 4800)]
FORMATS = [
    ("baseline.jpg", {"quality": 90}),
    ("progressive.jpg", {"quality": 90, "progressive": True}),
    ("rgb.png", {"compress_level": 6}),
    ("lossy.webp", {"quality": 80, "method": 2}),
    ("eight_bits.avif", {"quality": 70, "speed": 9}),
    ("raw.tif", {}),
    ("lzw.tif", {"compression": "tiff_lzw"}),
]
WANTED = tuple(os.environ.get("FORMATS", "").split(","))
FORMATS = [(name, options) for name, options in FORMATS if name.endswith(WANTED)]
GALLERY = pathlib.Path(__file__).parents[2] / "src" / "demo" / "emoji" / "gallery" / "images"


def photo(width, height):
    """Images of the gallery side by side, enlarged, with the noise of a camera: edges and smooth parts, but no part of one colour."""
    files = sorted(GALLERY.iterdir())[:6]
    image = Image.new("RGB", (width, height), "white")
    for i, file in enumerate(files):
        tile = Image.open(file).convert("RGBA").resize((width // 3, height // 2), Image.BICUBIC)
        image.paste(tile, (i % 3 * (width // 3), i // 3 * (height // 2)), tile)
    noise = np.random.default_rng(5).normal(0, 6, (height, width, 3))
    light = np.linspace(0.7, 1, width)[None, :, None]
    return Image.fromarray(np.clip(np.asarray(image) * light + noise, 0, 255).astype(np.uint8))


def pillow(data, passes):
    for _ in range(passes):
        pixels = Image.open(io.BytesIO(data)).convert("RGB").resize((SIZE, SIZE), Image.BILINEAR)
    return int(np.asarray(pixels, dtype=np.uint64).sum())


def main(program, folder):
    rounds = int(os.environ.get("ROUNDS", 9))
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{'image':28} {'kB':>6} {'ours ms':>8} {'Pillow ms':>10} {'ratio':>6}")
    for width, height in SIZES:
        picture = photo(width, height)
        for name, options in FORMATS:
            file = folder / f"{width}x{height}_{name}"
            picture.save(file, **options)
            data = file.read_bytes()
            passes = max(1, 3_000_000 // (width * height))
            ours = subprocess.Popen([program, "decode", str(file), "--size", str(SIZE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

            def ask():
                ours.stdin.write(f"{passes}\n")
                return int(ours.stdout.readline())

            times = {ask: [], pillow: []}
            for i in range(rounds + 1):
                sums = {}
                for engine in times:
                    start = time.perf_counter()
                    sums[engine] = engine() if engine is ask else engine(data, passes)
                    if i > 0:
                        times[engine].append((time.perf_counter() - start) / passes * 1000)
                # The same image, up to rounding.
                assert abs(sums[ask] - sums[pillow]) < SIZE * SIZE * 3, sums
            mine, theirs = statistics.median(times[ask]), statistics.median(times[pillow])
            print(f"{file.name:28} {len(data) // 1000:6} {mine:8.2f} {theirs:10.2f} {mine / theirs:6.2f}")
            ours.stdin.close()
            ours.wait()


main(*sys.argv[1:])
