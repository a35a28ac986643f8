"""GGUF's blocks again, in float64 NumPy, a whole array at a time: what csrc/blocks.h must agree
with.

A type is a function from blocks (n, bytes) to numbers (n, numbers). d is a block's scale, m its
minimum; `low` and `high` are the two halves of bytes that hold two quants each.
"""

import numpy as np

IQ4 = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113])
FP4 = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]) / 2


def half(b, at):
    """(n,1) of the halves that begin at this byte."""
    return b[:, at:at + 2].copy().view(np.float16).astype(np.float64)


def bits(b, width, parts):
    """(n, numbers) of `width` bits: `parts` runs of bytes one after the other, of each the lowest
    bits of all its bytes first, then the next ones."""
    shifts = np.arange(0, 8, width)[:, None]
    runs = b.reshape(len(b), parts, 1, -1) >> shifts & (1 << width) - 1
    return runs.reshape(len(b), -1).astype(np.int64)


def fifth(b):
    """(n,32): 16 times the bits of 4 bytes in order."""
    return np.unpackbits(b, axis=1, bitorder="little").astype(np.int64) << 4


def each(scales, numbers=256):
    """Scales of groups, as often as a group has numbers."""
    return np.repeat(scales, numbers // scales.shape[1], axis=1)


def scales_k4(b):
    """Q4_K's and Q5_K's (n,8) scales and minima."""
    low, high, top = b[:, :4], b[:, 4:8], b[:, 8:]
    scales = np.concatenate([low & 63, top & 15 | low >> 6 << 4], axis=1)
    minima = np.concatenate([high & 63, top >> 4 | high >> 6 << 4], axis=1)
    return scales.astype(np.int64), minima.astype(np.int64)


def q2_k(b):
    scales = b[:, :16].astype(np.int64)
    return (half(b, 80) * each(scales & 15) * bits(b[:, 16:80], 2, 2)
            - half(b, 82) * each(scales >> 4))


def q3_k(b):
    scales = bits(b[:, 96:104], 4, 1) + (bits(b[:, 104:108], 2, 1) << 4) - 32
    quants = bits(b[:, 32:96], 2, 2) + (bits(b[:, :32], 1, 1) << 2) - 4
    return half(b, 108) * each(scales) * quants


def q45_k(b, quants):
    scales, minima = scales_k4(b[:, 4:16])
    return half(b, 0) * each(scales) * quants - half(b, 2) * each(minima)


def q6_k(b):
    quants = bits(b[:, :128], 4, 2) + (bits(b[:, 128:192], 2, 2) << 4) - 32
    return half(b, 208) * each(b[:, 192:208].view(np.int8).astype(np.int64)) * quants


def iq4_xs(b):
    low = np.stack([b[:, 4:8] & 15, b[:, 4:8] >> 4], axis=2).reshape(-1, 8).astype(np.int64)
    high = b[:, 2:4].copy().view(np.uint16) >> np.arange(0, 16, 2) & 3
    return half(b, 0) * each(low + (high << 4) - 32) * IQ4[bits(b[:, 8:], 4, 8)]


TYPES = {                                        # GGUF's number: (name, bytes, numbers, function)
    0: ("F32", 4, 1, lambda b: b.copy().view(np.float32).astype(np.float64)),
    1: ("F16", 2, 1, lambda b: half(b, 0)),
    2: ("Q4_0", 18, 32, lambda b: half(b, 0) * (bits(b[:, 2:], 4, 1) - 8)),
    3: ("Q4_1", 20, 32, lambda b: half(b, 0) * bits(b[:, 4:], 4, 1) + half(b, 2)),
    6: ("Q5_0", 22, 32, lambda b: half(b, 0) * (bits(b[:, 6:], 4, 1) + fifth(b[:, 2:6]) - 16)),
    7: ("Q5_1", 24, 32, lambda b: half(b, 0) * (bits(b[:, 8:], 4, 1) + fifth(b[:, 4:8]))
        + half(b, 2)),
    8: ("Q8_0", 34, 32, lambda b: half(b, 0) * b[:, 2:].view(np.int8)),
    10: ("Q2_K", 84, 256, q2_k),
    11: ("Q3_K", 110, 256, q3_k),
    12: ("Q4_K", 144, 256, lambda b: q45_k(b, bits(b[:, 16:], 4, 4))),
    13: ("Q5_K", 176, 256, lambda b: q45_k(b, bits(b[:, 48:], 4, 4)
                                             + (bits(b[:, 16:48], 1, 1) << 4))),
    14: ("Q6_K", 210, 256, q6_k),
    20: ("IQ4_NL", 18, 32, lambda b: half(b, 0) * IQ4[bits(b[:, 2:], 4, 1)]),
    23: ("IQ4_XS", 136, 256, iq4_xs),
    30: ("BF16", 2, 1, lambda b: (b.copy().view(np.uint16).astype(np.uint32) << 16)
         .view(np.float32).astype(np.float64)),
    39: ("MXFP4", 17, 32, lambda b: 2.0 ** (b[:, :1].astype(np.int64) - 127)
         * FP4[bits(b[:, 1:], 4, 1)]),
}
HALVES = {2: [0], 3: [0, 2], 6: [0], 7: [0, 2], 8: [0], 10: [80, 82], 11: [108], 12: [0, 2],
          13: [0, 2], 14: [208], 20: [0], 23: [0]}           # where a block has its d, m or dmin


def dequantize(type, blocks):
    """float64 numbers of rows of blocks (rows, bytes)."""
    _, bytes, _, function = TYPES[type]
    return function(blocks.reshape(-1, bytes)).reshape(len(blocks), -1)


def draw(rng, type, rows, C, scale=1.0):
    """(rows, bytes) of C numbers of this type, about `scale` large, all bits of quants used."""
    _, bytes, numbers, _ = TYPES[type]
    if numbers == 1:
        values = (scale * rng.standard_normal((rows, C))).astype(np.float32)
        narrow = {0: values, 1: values.astype(np.float16),
                  30: (values.view(np.uint32) >> 16).astype(np.uint16)}[type]
        return np.ascontiguousarray(narrow).view(np.uint8)
    blocks = rng.integers(0, 256, (rows * C // numbers, bytes), dtype=np.uint8)
    for at in HALVES.get(type, ()):
        halves = scale / 256 * rng.uniform(0.5, 1.5, (len(blocks), 1)).astype(np.float16)
        blocks[:, at:at + 2] = halves.view(np.uint8)
    if type == 39:
        blocks[:, 0] = rng.integers(115, 130, len(blocks))
    return blocks.reshape(rows, -1)
