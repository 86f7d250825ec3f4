"""Does what mixed.awk does, for millions of rows: reads embeddings as the text of coopvec and writes ROWS more as a binary COPY of (id, embedding).

Each lies between two of those read, nearer to the first, with normal noise of 0.05 in each dimension, and each subspace is scaled to length 1.
usage: mixed.py ROWS [SEED]
"""
import re
import sys

import numpy

rows, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
lines = sys.stdin.read().split()
k, n, fingerprint = re.match(r"(\d+)x(\d+)@([0-9a-f]{8}):", lines[0]).groups()
k, n = int(k), int(n)
known = numpy.array([line[line.index("[") + 1 : -1].split(",") for line in lines], dtype=numpy.float32)
random = numpy.random.default_rng(seed)
record = numpy.dtype([
    ("fields", ">i2"), ("id_length", ">i4"), ("id", ">i4"), ("length", ">i4"),
    ("version", "i1"), ("subspaces", ">u2"), ("dim", ">u2"), ("fingerprint", ">u4"), ("numbers", ">f2", (k * n,)),
])  # fmt: skip
out = sys.stdout.buffer
out.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
for first in range(0, rows, 10000):
    count = min(10000, rows - first)
    share = 0.5 * random.random((count, 1), dtype=numpy.float32)
    x = (1 - share) * known[random.integers(0, len(known), count)] + share * known[random.integers(0, len(known), count)]
    x += 0.05 * random.standard_normal(x.shape, dtype=numpy.float32)
    x = x.reshape(count, k, n)
    x /= numpy.linalg.norm(x, axis=2, keepdims=True)
    chunk = numpy.zeros(count, record)
    chunk["fields"], chunk["id_length"], chunk["length"] = 2, 4, 9 + 2 * k * n
    chunk["id"] = numpy.arange(first + 1, first + count + 1)
    chunk["version"], chunk["subspaces"], chunk["dim"], chunk["fingerprint"] = 1, k, n, int(fingerprint, 16)
    chunk["numbers"] = x.reshape(count, k * n)
    out.write(chunk.tobytes())
out.write(b"\xff\xff")
