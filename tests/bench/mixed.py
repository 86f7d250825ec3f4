"""Does what mixed.awk does, for millions of rows: reads embeddings as the text of coopvec and writes ROWS more as a binary COPY of (id, embedding).

Each lies between two of those read, nearer to the first, with normal noise of 0.05 in each dimension, and each subspace is scaled to length 1.
With --near, the second is one of the ten nearest to the first, the place between them is any, and the noise is 0.01: rows with structure.
--raw writes half-precision numbers alone, as the benchmark in src/index/tests/timing.rs reads them.
"""
import argparse
import re
import sys

import numpy

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("rows", type=int)
parser.add_argument("seed", type=int, nargs="?", default=0)
parser.add_argument("--near", action="store_true")
parser.add_argument("--raw", action="store_true")
options = parser.parse_args()
lines = sys.stdin.read().split()
k, n, fingerprint = re.match(r"(\d+)x(\d+)@([0-9a-f]{8}):", lines[0]).groups()
k, n = int(k), int(n)
known = numpy.array([line[line.index("[") + 1 : -1].split(",") for line in lines], dtype=numpy.float32)
nearest = numpy.argsort(-known @ known.T, axis=1)[:, 1:11] if options.near else None
widest, noise = (1.0, 0.01) if options.near else (0.5, 0.05)
random = numpy.random.default_rng(options.seed)
record = numpy.dtype([
    ("fields", ">i2"), ("id_length", ">i4"), ("id", ">i4"), ("length", ">i4"),
    ("version", "i1"), ("subspaces", ">u2"), ("dim", ">u2"), ("fingerprint", ">u4"), ("numbers", ">f2", (k * n,)),
])  # fmt: skip
out = sys.stdout.buffer
if not options.raw:
    out.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
for first in range(0, options.rows, 10000):
    count = min(10000, options.rows - first)
    share = widest * random.random((count, 1), dtype=numpy.float32)
    one = random.integers(0, len(known), count)
    other = nearest[one, random.integers(0, 10, count)] if options.near else random.integers(0, len(known), count)
    x = (1 - share) * known[one] + share * known[other]
    x += noise * random.standard_normal(x.shape, dtype=numpy.float32)
    x = x.reshape(count, k, n)
    x /= numpy.linalg.norm(x, axis=2, keepdims=True)
    if options.raw:
        out.write(x.astype("<f2").tobytes())
        continue
    chunk = numpy.zeros(count, record)
    chunk["fields"], chunk["id_length"], chunk["length"] = 2, 4, 9 + 2 * k * n
    chunk["id"] = numpy.arange(first + 1, first + count + 1)
    chunk["version"], chunk["subspaces"], chunk["dim"], chunk["fingerprint"] = 1, k, n, int(fingerprint, 16)
    chunk["numbers"] = x.reshape(count, k * n)
    out.write(chunk.tobytes())
if not options.raw:
    out.write(b"\xff\xff")
