"""Writes a model as a GGUF file, with the tables by which csrc/gguf.py reads one.

    save(model, "F.gguf", "q4_k_m", values)      # values: of the tokenizer

One tensor after the other is read, put into blocks and written. What is written is whole or absent,
and means the same model when it is read again: what GGUF has no name for is a ChatError.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Iterable, Iterator, NamedTuple

import numpy as np

from csrc.config import LAYERNORM, PARALLEL, PLAINNORM, ROPE, Config, powers, rope_rows
from csrc.families import POSITIONS, TRAINED, Family, family_of, rows_of, write_config
from csrc.files import ChatError, write_files
from csrc.gguf import (ARRAY, DIVISORS, FIELDS, INTERLEAVED, KEYS, MAGIC, MODELS, NUMBERS, STRING,
                       TYPES, VALUES, VERSIONS, YARN, described, names_of, pairs_apart)
from csrc.hf import finite
from csrc.shown import progress

UNIT = 32                                        # bytes, that each tensor begins at a multiple of
ARCHITECTURES = {kind: name for name, kind in MODELS.items()} | dict.fromkeys(
    ("mistral", "mixtral"), "llama")


class Mix(NamedTuple):
    """Which type the matrices have; the names and the choice are llama.cpp's.

    number   of general.file_type
    type     of all others
    head     of the head, or the embeddings where they are the head
    better   of values and of the MLP's last matrix, in about half of the layers
    """

    number: int
    type: str
    head: str
    better: str = ""


MIXES = {
    "f32": Mix(0, "F32", "F32"), "f16": Mix(1, "F16", "F16"), "bf16": Mix(32, "BF16", "BF16"),
    "q8_0": Mix(7, "Q8_0", "Q8_0"), "q6_k": Mix(18, "Q6_K", "Q6_K"),
    "q4_k_m": Mix(15, "Q4_K", "Q6_K", "Q6_K"), "q4_k": Mix(14, "Q4_K", "Q6_K"),
    "q4_0": Mix(2, "Q4_0", "Q6_K"),
}
# What a matrix is made of where its rows are no whole number of blocks.
INSTEAD = {"Q4_K": "Q5_0", "Q6_K": "Q8_0", **dict.fromkeys(("Q4_0", "Q5_0", "Q8_0"), "F16")}


def types_of(model, mix: str) -> dict[str, str]:
    """{one of our tensors: its type}; those that are joined in the file have one. Vectors, learned
    positions and routers stay float32."""
    config, about, found = model.config, MIXES[mix], {}
    L, head = config.layers, "model.embed_tokens.weight" if config.tied else "lm_head.weight"
    for name, *others in grouped(model).values():
        _, shape, matrix = model.tensors[model.index[name]]
        layer = re.search(r"layers\.(\d+)\.", name)
        l, type = int(layer[1]) if layer else 0, about.type
        if not matrix or name == POSITIONS or name.endswith("mlp.gate.weight"):
            type = "F32"
        elif name == head:
            type = about.head
        elif about.better and re.search(r"v_proj|down_proj", name) and (
                l < L // 8 or l >= 7 * L // 8 or (l - L // 8) % 3 == 2):
            type = about.better
        while shape[-1] % TYPES[type][0]:
            type = INSTEAD[type]
        found |= dict.fromkeys([name, *others], type)
    return found


# ---- What the metadata say -----------------------------------------------------------------------

def describe(model, tensors: dict[str, list[str]], family: Family) -> tuple[dict, dict]:
    """(the metadata of a model, {name: RoPE's divisors}); ChatError unless csrc/gguf.py reads the
    same Config from them, or at least the same frequencies. tensors: the names of `grouped`."""
    config, divisors = model.config, {}
    values = values_of(config, family)
    rope = dict(config.rope_scaling)
    if rope.get("rope_type") == "llama3":
        plain = powers(config.rope_theta, config.head_dim)
        divisors[DIVISORS[""]] = plain / rope_rows(config)[0, 1:]
    divisors |= {DIVISORS[key]: np.array(rope[key]) for key in DIVISORS if key in rope}
    there = {name: SimpleNamespace(shape=(config.vocab,)) for name in tensors} | {
        name: SimpleNamespace(vector=lambda x=x: x) for name, x in divisors.items()}
    problem = ""
    try:
        rounded = {key: float(str(np.float32(x))) if type(x) is float else x
                   for key, x in values.items()}
        _, again = described(SimpleNamespace(tensors=there, values=rounded))
        same = np.allclose(*(rope_rows(one) for one in (config, again)), rtol=1e-6, atol=0) \
            if config.position == again.position == ROPE else True
        problem = ", ".join(f"{name}={x}" for name, x in vars(config).items()
                            if x != getattr(again, name) and not (name == "rope_scaling" and same))
    except ChatError as error:
        problem = str(error)
    if problem:
        raise ChatError(f"GGUF cannot say this of a model of {family.name}'s: {problem}")
    return values, divisors


def values_of(config: Config, family: Family) -> dict:
    """The metadata of a Config."""
    raw, rope = write_config(config, family), dict(config.rope_scaling)
    about = {there: getattr(config, name) for name, there in FIELDS.items()}
    about |= {there: raw[key] for key, there in KEYS.items() if raw.get(key) is not None}
    about |= {"vocab_size": config.vocab, "attention.value_length": config.head_dim}
    if config.norm in (LAYERNORM, PLAINNORM):
        about["attention.layer_norm_epsilon"] = about.pop(FIELDS["norm_eps"])
    if config.position == ROPE:
        about["rope.dimension_count"] = config.rotary_dim or config.head_dim
    if rope.get("rope_type", "llama3") != "llama3":
        about["rope.scaling.type"] = rope["rope_type"]
        if rope["rope_type"] == "longrope":      # all of it is in the divisors and this
            rope = {TRAINED: rope[TRAINED], "attention_factor": float(rope_rows(config)[0, 0])}
        about |= {f"rope.scaling.{there}": rope[key] for key, there in YARN.items() if key in rope}
    architecture = ARCHITECTURES[family.kinds[0]]
    return {"general.architecture": architecture, "general.quantization_version": 2, **{
        f"{architecture}.{key}": x for key, x in about.items() if x or type(x) is bool}}


# ---- Tensors -------------------------------------------------------------------------------------

def grouped(model) -> dict[str, list[str]]:
    """{name in the file: the names of our tensors that it has, one behind the other}."""
    found: dict[str, list[str]] = {}
    family = family_of(model.config, model.family)
    two_norms = family.name == "Falcon" and model.config.block == PARALLEL
    for name, _, _ in model.tensors:
        there = names_of(name, two_norms)[-1 if family.fused else 0]
        found.setdefault(there, []).append(name)
    return found


def order_of(config: Config, family: Family, name: str, count: int) -> np.ndarray:
    """Which of our rows stands at each place of the file."""
    rows = rows_of(config, replace(family, fused="rows"), name, 0, count, True)
    if family.name in INTERLEAVED and name.split(".")[-2] in ("q_proj", "k_proj"):
        rows = rows[pairs_apart(count, config.head_dim)]
    return np.argsort(rows)


def save(model, path, mix: str, tokenizer: dict,
         blocks: dict[str, np.ndarray] | None = None) -> None:
    """Write a model that can be read (TRAINS).

    mix        of MIXES
    tokenizer  {key: value} of the metadata that say how text becomes tokens
    blocks     what some matrices have become already, as Library.quantize gives it
    """
    config, path = model.config, Path(path)
    if config.scalar:
        raise ChatError("a model with a scalar head (a reward model, a critic) cannot be a GGUF "
                        "file, which has no name for that")
    family = family_of(config, model.family)
    tensors = grouped(model)
    values, divisors = describe(model, tensors, family)
    values |= {"general.file_type": MIXES[mix].number, "general.name": path.stem, **tokenizer}
    types = types_of(model, mix)
    entries = {name: ("F32", x.shape) for name, x in divisors.items()}
    for there, names in tensors.items():
        _, (rows, *cols), _ = model.tensors[model.index[names[0]]]
        rows = sum(model.tensors[model.index[name]][1][0] for name in names)
        shape = (len(names), rows // len(names), *cols) if "_exps" in there else (rows, *cols)
        entries[there] = types[names[0]], shape

    def chunks():
        yield from header(values, entries)
        for x in divisors.values():
            yield from padded([x.astype("<f4")])
        for there in progress(tensors, "written"):
            yield from padded(packed(model, family, name, types[name], (blocks or {}).get(name))
                              for name in tensors[there])
    write_files(path.parent, {path.name: chunks()})


def packed(model, family: Family, name: str, type: str, blocks: np.ndarray | None) -> np.ndarray:
    """One of our tensors as its bytes in the file."""
    shape = model.tensors[model.index[name]][1]
    order = order_of(model.config, family, name, shape[0])
    if blocks is None:
        values = finite(name, model.read(name))
        values = values.reshape(-1, values.shape[-1]) if len(shape) > 1 else values[:, None]
        blocks = model.core.quantize(NUMBERS[type], values)
    return blocks[order]


# ---- The file ------------------------------------------------------------------------------------

KINDS_OF = {np.dtype(kind): number for number, kind in VALUES.items()}


def header(values: dict, entries: dict[str, tuple[str, tuple[int, ...]]]) -> Iterator[bytes]:
    """All that stands before the data. entries: type and shape of each tensor."""
    parts = [MAGIC, struct.pack("<IQQ", VERSIONS[-1], len(entries), len(values))]
    for key, x in values.items():
        parts += string(key), value(x)
    at = 0
    for name, (type, shape) in entries.items():
        weights, size = TYPES[type]
        parts += string(name), struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape[::-1],
                                           NUMBERS[type], at)
        at += -(-math.prod(shape) // weights * size // UNIT) * UNIT
    yield from padded(parts)


def padded(parts: Iterable) -> Iterator:
    """The parts, and zeros up to the next multiple of UNIT."""
    size = 0
    for part in parts:
        yield part
        size += memoryview(part).nbytes
    yield bytes(-size % UNIT)


def string(text: str) -> bytes:
    """A string, after its size."""
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def value(x) -> bytes:
    """The type of a value, and its bytes: of a str, bool, int, float, list of str or array."""
    if isinstance(x, str):
        return struct.pack("<I", STRING) + string(x)
    if isinstance(x, list):
        return struct.pack("<IIQ", ARRAY, STRING, len(x)) + b"".join(map(string, x))
    if isinstance(x, np.ndarray):
        return struct.pack("<IIQ", ARRAY, KINDS_OF[x.dtype], x.size) + x.tobytes()
    kind = "?" if type(x) is bool else "f" if type(x) is float else "i" if x < 0 else \
        "I" if x < 2**32 else "Q"
    return struct.pack("<I" + kind, KINDS_OF[np.dtype(kind)], x)
