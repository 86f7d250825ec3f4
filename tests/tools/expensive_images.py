#!/usr/bin/env python3
"""Writes small files with large images, one of each format, into a folder. usage: expensive_images.py FOLDER [MEGAPIXELS]

All are one colour, so that a file of some hundred kB holds tens of megapixels. Nothing but Python's standard library is needed."""

import math
import os
import struct
import sys
import zlib


class Bits:
    """A string of bits; `lsb` says which end of a byte comes first."""

    def __init__(self, lsb):
        self.lsb, self.bytes, self.value, self.count = lsb, bytearray(), 0, 0

    def put(self, value, count):
        if self.lsb:
            self.value |= value << self.count
        else:
            self.value = self.value << count | value
        self.count += count
        while self.count >= 8:
            if self.lsb:
                self.bytes.append(self.value & 255)
                self.value >>= 8
            else:
                self.bytes.append(self.value >> (self.count - 8) & 255)
                self.value &= (1 << (self.count - 8)) - 1
            self.count -= 8

    def end(self):
        if self.count:
            self.put(0 if self.lsb else (1 << (8 - self.count)) - 1, 8 - self.count)
        return bytes(self.bytes)


def deflated(parts):
    """Rows, each as often as its number says, without ever holding them all."""
    packer = zlib.compressobj(9)
    data = [packer.compress(row * n) for row, rows in parts for n in [64] * (rows // 64) + [rows % 64]]
    return b"".join(data) + packer.flush()


def png(width, height, kind, interlaced=0):
    """`kind` is the colour type: 0 grey, 2 RGB, 3 palette, 6 RGBA."""
    samples = {0: 1, 2: 3, 3: 1, 6: 4}[kind]

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    passes = [(width, height)]
    if interlaced:
        steps = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
        passes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in steps]
    # Filter 4 (Paeth), the slowest.
    data = deflated([(b"\4" + bytes(w * samples), h) for w, h in passes])
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, interlaced))
        + (chunk(b"PLTE", b"\x20\x40\x60" * 2) if kind == 3 else b"")
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )


def tiff(width, height):
    """RGB, one deflated strip."""
    data = deflated([(bytes(width * 3), height)])
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 3, 8 + len(data)),
        (259, 3, 1, 8),
        (262, 3, 1, 2),
        (273, 4, 1, 8),
        (277, 3, 1, 3),
        (278, 4, 1, height),
        (279, 4, 1, len(data)),
    ]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *e) for e in entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(data) + 6) + data + struct.pack("<HHH", 8, 8, 8) + directory


def bmp(width, height):
    """One byte a pixel, run-length encoded."""
    runs = [255] * (width // 255) + [width % 255] * (width % 255 > 0)
    row = b"".join(bytes([n, 0]) for n in runs) + b"\0\0"
    data = row * height + b"\0\1"
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 2835, 2835, 256, 0)
    start = 14 + len(head) + 1024
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + head + b"\x60\x40\x20\0" * 256 + data


def gif(width, height, frame=None):
    """A frame of one colour on a canvas; each LZW code stands for one pixel more than the last."""
    canvas, (width, height) = (width, height), frame or (width, height)
    bits, left = Bits(lsb=True), width * height
    while left:
        bits.put(4, 3)  # clear
        size, code, run = 3, 0, 1
        for following in range(6, 4096):
            bits.put(code, size)
            left -= min(run, left)
            if not left:
                break
            code, run = following, run + 1
            if following == 1 << size and size < 12:
                size += 1
    bits.put(5, size)
    data = bits.end()
    blocks = b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255))
    return (
        b"GIF89a" + struct.pack("<HHBBB", *canvas, 0x81, 0, 0) + bytes(12)
        + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\2" + blocks + b"\0;"
    )


def jpeg(width, height, scans, components=1):
    """Progressive with `scans` scans that refine nothing, or baseline if there are none. Components have no subsampling."""

    def segment(marker, data):
        return struct.pack(">BBH", 255, marker, len(data) + 2) + data

    def table(kind, symbols):
        # One code of one bit for each of at most two symbols (the code of all ones is none: three bits for the second).
        counts = [1, 0, len(symbols) - 1] + [0] * 13
        return segment(0xC4, bytes([kind] + counts + symbols))

    def scan(header, put):
        bits = Bits(lsb=False)
        put(bits)
        return segment(0xDA, bytes(header)) + bits.end().replace(b"\xff", b"\xff\0")

    blocks = -(-width // 8) * -(-height // 8)
    ids = range(1, components + 1)
    frame = struct.pack(">BHHB", 8, height, width, components) + b"".join(bytes([i, 0x11, 0]) for i in ids)
    out = b"\xff\xd8" + segment(0xDB, bytes([0]) + b"\1" * 64) + segment(0xC2 if scans else 0xC0, frame)
    out += table(0x00, [0]) + table(0x10, [0x00] if not scans else [0xE0, 0x00])
    all_of = [components] + [b for i in ids for b in (i, 0)]
    if not scans:
        return out + scan(all_of + [0, 63, 0], lambda bits: [bits.put(0, 8) for _ in range(-(-blocks * 2 * components // 8))]) + b"\xff\xd9"

    def nothing(bits):
        # Runs of blocks without anything: 2^14 + 14 bits of more at a time, and one by one at the end.
        left = blocks
        while left >= 1 << 14:
            run = min(left, (1 << 15) - 1)
            bits.put(0, 1)
            bits.put(run - (1 << 14), 14)
            left -= run
        for _ in range(left):
            bits.put(0b100, 3)

    out += scan(all_of + [0, 0, 0], lambda bits: [bits.put(0, 8) for _ in range(blocks * components // 8 + 1)])
    refinements = [scan([1, i, 0, 1, 63, 0x10], nothing) for i in ids]
    first = [scan([1, i, 0, 1, 63, 0x01], nothing) for i in ids]
    return out + b"".join(first) + b"".join(refinements[n % components] for n in range(scans - components - 1)) + b"\xff\xd9"


def riff(kind, data):
    data += b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", 12 + len(data)) + b"WEBP" + kind + struct.pack("<I", len(data)) + data


def webp_lossless(width, height):
    """Every pixel is predicted, and nothing has to be said of any of them: no bit per pixel."""
    bits = Bits(lsb=True)
    bits.put(0x2F, 8)
    bits.put(width - 1, 14)
    bits.put(height - 1, 14)
    bits.put(0, 4)

    def codes(green):
        # Five prefix codes of one symbol each: simple, one symbol, of 8 bits, which.
        for symbol in (green, 0, 0, 0, 0):
            bits.put(1, 1)
            bits.put(0, 1)
            bits.put(1, 1)
            bits.put(symbol, 8)

    bits.put(1, 1)
    bits.put(0, 2)  # the transform that predicts, in blocks of 512
    bits.put(7, 3)
    bits.put(0, 1)
    codes(13)  # by the slowest of the predictors
    bits.put(1, 1)
    bits.put(1, 2)  # colours by other colours
    bits.put(7, 3)
    bits.put(0, 1)
    codes(3)
    bits.put(1, 1)
    bits.put(2, 2)  # green added to the others
    bits.put(0, 1)
    bits.put(0, 1)
    bits.put(0, 1)
    codes(5)
    return riff(b"VP8L", bits.end() + b"\0" * 8)


def webp_lossy(width, height):
    """The strongest loop filter, and nothing but zeros after it: each of its blocks is predicted, and has no coefficients."""
    span, bottom, out, shift = 255, 0, bytearray(), 24
    # Colour, clamping, segments, the filter's kind, level and sharpness: bits of an arithmetic coder, each as likely as the other.
    for bit in [0, 0, 0, 0] + [1] * 6 + [0] * 3 + [0] * 64:
        split = 1 + ((span - 1) * 128 >> 8)
        bottom, span = (bottom + split, span - split) if bit else (bottom, split)
        while span < 128:
            span <<= 1
            bottom = bottom << 1 & 0xFFFFFFFF
            shift -= 1
            if not shift:
                out.append(bottom >> 24)
                bottom &= 0xFFFFFF
                shift = 8
    blocks = -(-width // 16) * -(-height // 16)
    first = bytes(out) + bytes(blocks)
    tag = struct.pack("<I", 1 << 4 | len(first) << 5)[:3]
    return riff(b"VP8 ", tag + b"\x9d\x01\x2a" + struct.pack("<HH", width, height) + first + bytes(8 * blocks))


def main(folder, megapixels):
    side = int(math.sqrt(megapixels * 1e6)) // 16 * 16
    wide = (16000, int(megapixels * 1e6 / 16000))
    files = {
        "grey.png": lambda: png(*wide, 0),
        "rgb.png": lambda: png(*wide, 2),
        "palette.png": lambda: png(*wide, 3),
        "interlaced.png": lambda: png(side, side, 2, 1),
        "rgb.tif": lambda: tiff(*wide),
        "runs.bmp": lambda: bmp(*wide),
        "canvas.gif": lambda: gif(side * 3 // 4, side * 3 // 4),
        "baseline.jpg": lambda: jpeg(side, side, 0, 3),
        "progressive.jpg": lambda: jpeg(side * 3 // 4, side * 3 // 4, 10, 3),
        "scans.jpg": lambda: jpeg(11500, 11500, 100),
        "lossless.webp": lambda: webp_lossless(side * 5 // 8, side * 5 // 8),
        "lossy.webp": lambda: webp_lossy(side * 5 // 8, side * 5 // 8),
    }
    os.makedirs(folder, exist_ok=True)
    for name, make in files.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(make())


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 88)
