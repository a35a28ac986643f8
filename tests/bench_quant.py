"""Rows of tests/bench.py about weights in GGUF's blocks: the shape of TinyLlama 1.1B (or, where it
is asked to be quick, two of its layers) with random blocks of one type, read where they lie."""

from dataclasses import replace

import numpy as np

import bench as b
import ref_blocks
from csrc.bind import MAPPED, Model

PROMPT = list(range(256))


def mapped(layers, type, dtype):
    """A model whose matrices are all of this type."""
    config = replace(b.TINYLLAMA, layers=layers)
    model = Model(config, "cpu", dtype, flags=MAPPED)
    some = ref_blocks.draw(np.random.default_rng(0), type, 1, 2**20, config.channels ** -0.5)
    sizes = {name: shape[0] * model.core.call("quant_row", type, shape[1])
             for name, shape, matrix in model.tensors if matrix}
    b.need(sum(sizes.values()) + b.memory(config, dtype, MAPPED, 256, 17, b.LENGTH))
    for name, shape, matrix in model.tensors:
        if matrix:
            model.map(name, type, np.resize(some, sizes[name]))
        else:
            model.write(name, np.ones(shape))
    return model


def rows(bench, dtype):
    layers = 2 if bench.quick else b.TINYLLAMA.layers
    bench.part("GGUF's blocks", limit="memory, read; the multiplier's peak")
    for type in 2, 3, 12, 8:
        model, name = mapped(layers, type, dtype), ref_blocks.TYPES[type][0]
        read = sum(x.nbytes for tensor, x in model.mapped.items() if "embed" not in tensor)
        head = model.config.vocab * model.config.channels        # of the last token only
        flop = 2 * (len(PROMPT) * (b.multiplied(model) - head) + head)
        bandwidth = b.Probe(model.core, "device_bandwidth", 0)
        peak = b.Probe(model.core, "device_peak")
        one, many, prompt, _, _ = bench.alternate(
            b.extender(model, 1, b.PROMPT, [[1]] * b.TURN),
            b.extender(model, 16, b.PROMPT, [[1]] * b.TURN),
            b.extender(model, 1, 0, [PROMPT]), bandwidth, peak)
        bench.row(f"{name}, {layers} layers, weights read", b.TURN * read / one / 1e9, "GB/s",
                  limit=bandwidth.median(), of=0.9)
        bench.row(f"{name}, 16 at once", 16 * b.TURN / many, "tok/s", b.TURN / one,
                  name="one sequence")
        bench.row(f"{name}, a prompt of {len(PROMPT)}", flop / prompt / 1e9, "GFLOP/s",
                  limit=peak.median())
