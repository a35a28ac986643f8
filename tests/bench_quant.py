"""Rows of tests/bench.py about GGUF files, read where they lie, beside llama.cpp: files that
data/download.py has put into build/models, and shapes of random blocks (or, where it is asked to
be quick, two layers of one)."""

import os
from dataclasses import replace

import numpy as np

import bench as b
import bench_peers as peers
import gguf_files
import ref_blocks
from csrc import gguf
from csrc.bind import GENERATES, Model

HALF = replace(b.TINYLLAMA, vocab=151936, context=4096, layers=24, channels=896, heads=14,
               kv_heads=2, hidden=4864, tied=1)      # Qwen2.5 0.5B's shape
PROMPT, LONG, SLOTS = list(range(1, 513)), 2000, 16
Q4_0, Q5_0, Q8_0, Q4_K, Q6_K = 2, 6, 8, 12, 14


def mixed(name):
    """The types of Q4_K_M where rows are no multiple of 256: in half of the layers, better ones."""
    if "embed" in name:
        return Q8_0
    better = int(name.split(".")[2]) % 2
    if "down" in name:
        return Q6_K if better else Q4_K
    return Q8_0 if "v_proj" in name and better else Q5_0


SHAPES = {                                       # config, type of each matrix
    "0.5 B Q4_K_M": (HALF, mixed),
    "1.1 B Q4_0": (b.TINYLLAMA, lambda name: Q4_0),
    "1.1 B Q8_0": (b.TINYLLAMA, lambda name: Q8_0)}
REACH = {                                        # decoding one sequence, a prompt
    "SmolLM2": (2.0, 3.0), "gemma": (1.6, 2.0), "0.5 B": (1.5, 2.0), "1.1 B": (1.2, None)}


def write(path, config, type_of):
    """A file of Llama's kind with random blocks; one without a vocabulary."""
    model, rng, tensors = Model(config, flags=GENERATES), np.random.default_rng(0), {}
    some = {type: ref_blocks.draw(rng, type, 1, 2**20, config.channels ** -0.5)
            for type in {type_of(name) for name, _, matrix in model.tensors if matrix}}
    for name, shape, matrix in model.tensors:
        parts = name.split(".")
        layer = f"blk.{parts[2]}." if parts[1] == "layers" else ""
        there = layer + gguf.NAMES[".".join(parts[3 if layer else 0:-1])] + ".weight"
        if matrix:
            type = type_of(name)
            size = shape[0] * model.core.call("quant_row", type, shape[1])
            tensors[there] = type, shape, np.resize(some[type], size).tobytes()
        else:
            tensors[there] = gguf_files.floats(np.ones(shape))
    values = gguf_files.metadata(config) | {"tokenizer.ggml.model": "none",
                                            "llama.vocab_size": np.uint32(config.vocab)}
    path.with_suffix(".new").write_bytes(gguf_files.gguf(values, tensors))
    path.with_suffix(".new").rename(path)


def files(quick):
    """(name, path) of each file; those of shapes are written once."""
    found = sorted((b.ROOT / "build" / "models").glob("**/*.gguf"))
    yield from () if quick else ((path.stem, path) for path in found)
    for name, (config, type_of) in SHAPES.items():
        layers = 2 if quick else config.layers
        path = b.ROOT / "build" / f"bench-{name.replace(' ', '-')}-{layers}.gguf"
        if not path.exists():
            write(path, replace(config, layers=layers), type_of)
        yield f"{name}, {layers} layers", path


def rows(bench, dtype):
    bench.part("GGUF's blocks", peers.name("llama_cpp"), "memory, read")
    for name, path in files(bench.quick):
        b.need(2 * path.stat().st_size + 2e9)
        model = Model.load(path, "cpu", dtype, GENERATES)
        theirs = peers.llama_file(path, bench.threads)
        agree(model, theirs, name)
        table = [x.nbytes for tensor, x in model.mapped.items() if "embed" in tensor]
        read = sum(x.nbytes for x in model.mapped.values()) - sum(table) * (not model.config.tied)
        decode, prompt = next((reach for part, reach in REACH.items() if part in name), (1, 1))
        bandwidth = b.Probe(model.core, "device_bandwidth", 0)
        for what, slots, first, pieces, reach in (
                ("one sequence", 1, b.PROMPT, [[1]] * b.TURN, decode),
                (f"one, behind {LONG} tokens", 1, LONG, [[1]] * b.TURN, None),
                (f"{SLOTS} at once", SLOTS, b.PROMPT, [[1]] * b.TURN, 2.0),
                (f"a prompt of {len(PROMPT)}", 1, 0, [PROMPT], prompt)):
            length = first + len(pieces) * len(pieces[0])
            if length > model.config.context:
                continue
            ours, peer, _ = bench.alternate(
                b.extender(model, slots, first, pieces, length),
                theirs and theirs(slots, first, pieces, length),
                bandwidth if what == "one sequence" else None)
            tokens = slots * sum(map(len, pieces))
            limit = bandwidth.median() * 1e9 / read if what == "one sequence" else None
            bench.row(f"{name}: {what}", tokens / ours, "tok/s", peer and tokens / peer, limit,
                      x=reach, name=f"load {os.getloadavg()[0]:.1f}")


def agree(model, theirs, name):
    """RuntimeError unless both give nearly the same logits."""
    if theirs is None:
        return
    tokens = [[1, 2, 3, 4]]
    ours = model.extend(model.cache(1, 4), [0], tokens)[0]
    its = theirs(1, 0, tokens, 4)()
    if np.abs(ours - its).max() > 0.1 * np.abs(ours).max():
        raise RuntimeError(f"{name}: the logits differ by {np.abs(ours - its).max():.3f} of "
                           f"{np.abs(ours).max():.1f}")
