"""A model as a GGUF file, llama.cpp's: metadata, a tokenizer's tables, and weights in blocks of a
few bits, which are mapped and not copied.

    file = File("SmolLM2-135M-Instruct.Q4_1.gguf")
    file.values["general.architecture"]          # "llama"
    file.tensors["token_embd.weight"].shape      # (49152, 576)

The layout: a header, the metadata {key: value}, a table of tensors, their data. Nothing in it is
trusted: each count, size and offset is checked against the file before it is used, and whatever is
wrong is a ChatError. (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md)
"""

from __future__ import annotations

import math
import mmap
import os
import re
import struct
import weakref
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from reprlib import repr as short
from typing import Callable

import numpy as np

from csrc import families
from csrc.config import SCALINGS, Config, powers
from csrc.families import MODEL_TYPES, TRAINED, Family, read_config, rows_of
from csrc.files import ChatError, naming

MAGIC = b"GGUF"
VERSIONS = (2, 3)                # 2 differs only in what it says of other byte orders
VALUES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
KEY, NAME, DIMENSIONS = 65535, 63, 4             # bytes of a key and a name at most; dimensions
ALIGNMENT = "general.alignment"

# What a tensor may be made of, by its number in a file: name, weights in a block, bytes of one.
KINDS = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 30: ("BF16", 1, 2), 28: ("F64", 1, 8),
    2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 29: ("IQ1_M", 256, 56), 34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17), 24: ("I8", 1, 1), 25: ("I16", 1, 2),
    26: ("I32", 1, 4), 27: ("I64", 1, 8),
}
TYPES = {name: (weights, size) for name, weights, size in KINDS.values()}
NUMBERS = {name: number for number, (name, *_) in KINDS.items()}

# What model_type in a config.json says of an architecture here.
SAME = ("gpt2", "llama", "qwen2", "qwen3", "gemma", "gemma2", "phi3", "olmo", "olmo2", "falcon")
MODELS = {**dict(zip(SAME, SAME)), "gemma3": "gemma3_text", "gptneox": "gpt_neox",
          "qwen3moe": "qwen3_moe"}
# Fields of Config, and other keys of config.json, as they are called here behind "ARCHITECTURE.".
FIELDS = {"context": "context_length", "layers": "block_count", "channels": "embedding_length",
          "hidden": "feed_forward_length", "heads": "attention.head_count",
          "kv_heads": "attention.head_count_kv", "head_dim": "attention.key_length",
          "norm_eps": "attention.layer_norm_rms_epsilon", "experts": "expert_count",
          "experts_used": "expert_used_count", "expert_hidden": "expert_feed_forward_length"}
KEYS = {"rope_theta": "rope.freq_base", "rope_local_base_freq": "rope.freq_base_swa",
        "sliding_window": "attention.sliding_window", "clip_qkv": "attention.clamp_kqv",
        "attn_logit_softcapping": "attn_logit_softcapping",
        "final_logit_softcapping": "final_logit_softcapping",
        "use_parallel_residual": "use_parallel_residual",
        "n_shared_experts": "expert_shared_count", "routed_scaling_factor": "expert_weights_scale"}
YARN = {"factor": "factor", TRAINED: "original_context_length", "attention_factor": "attn_factor",
        "beta_fast": "yarn_beta_fast", "beta_slow": "yarn_beta_slow"}
# The models whose scores are scaled by C/H, not by D: Gemma 2's and 3's of 27 billion weights.
WIDE = {("gemma2", 46), ("gemma3", 62)}
INTERLEAVED = {"Llama", "Mistral", "Mixtral", "Olmo"}    # whose rows of q and k are RoPE's pairs

# Our tensors' names and those here. A file may have one for several, as for q, k and v.
NAMES = {
    "model.embed_tokens": "token_embd", "model.positions": "position_embd",
    "model.norm": "output_norm", "lm_head": "output", "input_layernorm": "attn_norm",
    "post_self_attn_layernorm": "post_attention_norm", "post_attention_layernorm": "ffn_norm",
    "post_mlp_layernorm": "post_ffw_norm", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "mlp.gate": "ffn_gate_inp",
}
JOINED = {**dict.fromkeys(("attn_q", "attn_k", "attn_v"), "attn_qkv"), "ffn_gate": "ffn_up"}
JOINED_EXPERTS = dict.fromkeys(("ffn_gate", "ffn_up"), "ffn_gate_up")
FALCON = {"attn_norm": "attn_norm_2", "ffn_norm": "attn_norm"}       # where it has two norms
TWO_NORMS = "blk.0.attn_norm_2.weight"
POSITIONS = "position_embd.weight"               # of which a model may take only the first
# What divides RoPE's frequencies: Llama 3's scaling, and longrope's for short and long contexts.
DIVISORS = {"": "rope_freqs.weight", "short_factor": "rope_factors_short.weight",
            "long_factor": "rope_factors_long.weight"}


# ---- The file ------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Tensor:
    """A tensor in a mapped file.

    type    its name in TYPES
    shape   rows first, as NumPy has it
    blocks  uint8 (rows, bytes of a row); where there is but one dimension, a row is a number
    """

    type: str
    shape: tuple[int, ...]
    blocks: np.ndarray

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.blocks)

    def part(self, rows: np.ndarray, shape: tuple[int, ...]) -> Tensor:
        """Some of its rows; a copy only where they do not follow each other. It has as many as
        there are where not all of them are."""
        if (np.diff(rows) == 1).all():
            rows = slice(rows[0], rows[-1] + 1)
        elif rows.max() >= self.rows:
            return self
        blocks = self.blocks[rows]
        return Tensor(self.type, (len(blocks), *self.shape[1:][-1:]), blocks)

    def vector(self) -> np.ndarray:
        """A copy of a tensor of one dimension, in F32 or F16."""
        if len(self.shape) > 1 or self.type not in ("F32", "F16"):
            raise ChatError(f"a tensor of RoPE's factors is {self.shape} in {self.type}, but must "
                            f"have one dimension, in F32 or F16")
        return self.blocks.reshape(-1).view("<f4" if self.type == "F32" else "<f2").astype(float)

    def floats(self, core) -> np.ndarray:
        """A copy as float32, made by a Library or, of types that it does not know, by the package
        gguf."""
        if core.call("quant_row", NUMBERS[self.type], self.shape[-1]):
            return core.dequantize(NUMBERS[self.type], self.blocks, self.shape)
        try:
            from gguf import GGMLQuantizationType, quants
            values = quants.dequantize(self.blocks, GGMLQuantizationType[self.type])
        except ImportError:
            raise ChatError(f"weights in {self.type} are unpacked by the package gguf: "
                            f"`pip install gguf`") from None
        except NotImplementedError:
            raise ChatError(f"weights in {self.type} are not supported") from None
        return values.reshape(self.shape)


class Mapping:
    """The bytes of a file, as `data`, which are read from it when they are used."""

    def __init__(self, path: Path):
        with open(path, "rb") as file:
            self.path, self.handle = path, os.dup(file.fileno())
        weakref.finalize(self, os.close, self.handle)
        self.stamp = self.now()
        if not self.stamp[0]:
            raise ChatError("is empty")
        self.data = mmap.mmap(self.handle, 0, access=mmap.ACCESS_READ)
        with suppress(AttributeError, OSError):  # where it can be, in pages of 2 MB: faster
            self.data.madvise(mmap.MADV_HUGEPAGE)

    def now(self) -> tuple[int, int]:
        """The file's size and when it was last written."""
        state = os.fstat(self.handle)
        return state.st_size, state.st_mtime_ns

    def check(self) -> None:
        """ChatError if it was changed since it was mapped: to read on could end the process."""
        if self.now() != self.stamp:
            raise ChatError(f"{self.path}: was changed while it was in use: load it again")


class File:
    """What is in a file.

    values   the metadata {key: int, float, bool, str, list of str, or array of numbers}
    tensors  {name: Tensor}
    """

    def __init__(self, path: Path):
        self.path = path
        with naming(path):
            self.mapping = Mapping(path)
            reader = Reader(self.mapping.data)
            try:
                tensors, count = reader.header()
                self.values = reader.values(count)
                self.tensors = reader.tensors(tensors, self.values.get(ALIGNMENT, 32))
            except (struct.error, OverflowError):
                raise ChatError(f"is cut: it ends after {len(reader.data)} bytes, inside of "
                                f"{reader.what}") from None

    @property
    def types(self) -> list[str]:
        """What its tensors are made of."""
        return sorted({tensor.type for tensor in self.tensors.values()})


class Reader:
    """Reads what is in a buffer, from a place on; struct.error where it ends.

    what    of what it reads, in words
    """

    def __init__(self, data):
        self.data, self.at, self.what = data, 0, "the header"

    def number(self, kind: str):
        """The next number, of a kind as the module struct has it."""
        value, = struct.unpack_from("<" + kind, self.data, self.at)
        self.at += struct.calcsize(kind)
        return value

    def strings(self, count: int) -> list[str]:
        """The next strings."""
        data, at, found, size_of = self.data, self.at, [], struct.Struct("<Q").unpack_from
        for _ in range(count):
            size, = size_of(data, at)
            at += 8 + size
            found.append(data[at - size:at])
        if at > len(data):
            raise struct.error
        self.at = at
        try:
            return [text.decode() for text in found]
        except UnicodeDecodeError as error:
            raise ChatError(f"{self.what}: {short(error.object)} is not UTF-8") from None

    def string(self, longest: int, what: str) -> str:
        """The next string, of `longest` bytes at most."""
        size, = struct.unpack_from("<Q", self.data, self.at)
        if not 0 < size <= longest:
            raise ChatError(f"{what} has {size} bytes, but must have from 1 to {longest}")
        return self.strings(1)[0]

    def count(self, what: str, least: int) -> int:
        """The next number, how many of something follow that take `least` bytes each."""
        count = self.number("Q")
        if count * least > len(self.data) - self.at:
            raise ChatError(f"there are {count} {what}, more than {len(self.data)} bytes can hold")
        return count

    def header(self) -> tuple[int, int]:
        """How many tensors there are, and how many values."""
        if self.data[:4] != MAGIC:
            raise ChatError(f"is no GGUF file: it begins with {self.data[:4]!r}")
        self.at = 4
        version = self.number("I")
        if version not in VERSIONS:
            big = " (in the other byte order)" if version >> 24 in VERSIONS else ""
            raise ChatError(f"its version is {version}{big}, but must be "
                            f"{' or '.join(map(str, VERSIONS))}: convert the model again")
        return self.count("tensors", 24), self.count("values", 13)

    def values(self, count: int) -> dict:
        """The metadata."""
        found: dict = {}
        for i in range(count):
            self.what = f"value {i + 1} of {count}"
            key = self.string(KEY, f"the key of {self.what}")
            if key in found:
                raise ChatError(f"the key {short(key)} occurs twice")
            self.what = key
            kind = self.number("I")
            found[key] = self.value(kind)
            if key == ALIGNMENT and (kind != 4 or found[key].bit_count() != 1):
                raise ChatError(f"{key} is {short(found[key])} of the type {kind}, but must be a "
                                f"power of two of the type 4")
        return found

    def value(self, kind: int):
        """The next value, of a kind of VALUES, a STRING or an ARRAY; a float32 in as few digits as
        name it."""
        if kind == STRING:
            return self.strings(1)[0]
        if kind in VALUES:
            value = self.number(VALUES[kind])
            return float(str(np.float32(value))) if VALUES[kind] == "f" else value
        if kind != ARRAY:
            raise ChatError(f"{self.what} is of the unknown type {kind}")
        kind = self.number("I")
        if kind == STRING:
            return self.strings(self.count(f"strings in {self.what}", 8))
        if kind not in VALUES:
            raise ChatError(f"{self.what} is an array of the type {kind}, but must be of numbers "
                            f"or strings")
        dtype = np.dtype(VALUES[kind]).newbyteorder("<")
        count = self.count(f"numbers in {self.what}", dtype.itemsize)
        self.at += count * dtype.itemsize
        return np.frombuffer(self.data, dtype, count, self.at - count * dtype.itemsize)

    def tensors(self, count: int, unit: int) -> dict[str, Tensor]:
        """The tensors, whose data follow the table, each at a multiple of `unit`."""
        end, entries = 0, {}
        for i in range(count):
            self.what = f"the entry of tensor {i + 1} of {count}"
            name, kind, shape, offset = self.entry()
            if name in entries:
                raise ChatError(f"there are two tensors {name}")
            if offset != end:
                raise ChatError(f"{name} is at byte {offset} of the data, but must follow the one "
                                f"before it at {end}")
            weights, size = TYPES[kind]
            size *= math.prod(shape) // weights
            entries[name] = kind, shape, offset, size
            end += -(-size // unit) * unit
        begin = -(-self.at // unit) * unit
        for name, (kind, shape, offset, size) in entries.items():
            if begin + offset + size > len(self.data):
                raise ChatError(f"is cut: it ends after {len(self.data)} bytes, but {name} after "
                                f"{begin + offset + size}: fetch it again")
            blocks = np.frombuffer(self.data, np.uint8, size, begin + offset)
            rows = math.prod(shape[:-1]) if len(shape) > 1 else shape[0] // TYPES[kind][0]
            entries[name] = Tensor(kind, shape, blocks.reshape(rows, -1))
        return entries

    def entry(self) -> tuple[str, str, tuple[int, ...], int]:
        """(name, type, shape, place in the data) of the next tensor."""
        name = self.string(NAME, f"the name in {self.what}")
        dimensions = self.number("I")
        if not 1 <= dimensions <= DIMENSIONS:
            raise ChatError(f"{name} has {dimensions} dimensions, but must have from 1 to "
                            f"{DIMENSIONS}")
        shape = tuple(self.number("Q") for _ in range(dimensions))[::-1]
        kind, offset = self.number("I"), self.number("Q")
        if kind not in KINDS:
            raise ChatError(f"{name} is of the unknown type {kind}")
        kind, weights, size = KINDS[kind]
        if min(shape) < 1 or math.prod(shape) * size >= 2**63:
            raise ChatError(f"{name} is {shape}: no file has room for that")
        if shape[-1] % weights:
            raise ChatError(f"{name} has {shape[-1]} columns, but must have a multiple of "
                            f"{weights}, a block of {kind}")
        return name, kind, shape, offset


def opened(place):
    """The File at a path to a file, and what is none as it is: a folder, or a File."""
    return File(Path(place)) if isinstance(place, (str, Path)) and (
        Path(place).is_file() or str(place).endswith(".gguf")) else place


def begins(path: Path) -> bool:
    """Whether a file begins as GGUF does."""
    with open(path, "rb") as file:
        return file.read(4) == MAGIC


# ---- The model -----------------------------------------------------------------------------------

def configuration(file: File, **changes) -> tuple[Family, Config, Config]:
    """(family, Config that the metadata describe, the same with `changes`); ChatError names what is
    not supported."""
    with naming(file.path):
        family, stored = described(file)
        return family, stored, stored.changed(**changes)


def described(file: File) -> tuple[Family, Config]:
    """(family, Config) that the metadata describe."""
    architecture = file.values.get("general.architecture")
    if type(architecture) is not str or architecture not in MODELS:
        raise ChatError(f"general.architecture is {short(architecture)}, but must be one of "
                        f"{', '.join(MODELS)}")
    embedding = file.tensors.get("token_embd.weight")
    if embedding is None:
        raise ChatError("there is no token_embd.weight")
    tokens = len(file.values.get("tokenizer.ggml.tokens", ()))
    if tokens > embedding.shape[0]:
        raise ChatError(f"the vocabulary has {tokens} tokens, but token_embd.weight only "
                        f"{embedding.shape[0]} rows")
    about = {key.removeprefix(architecture + "."): plain(value) for key, value
             in file.values.items() if key.startswith(architecture + ".")}
    kind = MODELS[architecture]
    if about.get("expert_count") and kind not in ("llama", "qwen3_moe"):
        raise ChatError(f"{architecture}.expert_count is {about['expert_count']}; supported are "
                        f"experts only of llama and qwen3moe")
    if kind == "llama" and about.get("expert_count"):
        kind = "mixtral"
    elif kind == "llama" and "attention.sliding_window" in about:
        kind = "mistral"
    family = MODEL_TYPES[kind]
    if "attention.layer_norm_epsilon" in about:
        about.setdefault(FIELDS["norm_eps"], about["attention.layer_norm_epsilon"])
    raw = {"model_type": kind, "vocab_size": embedding.shape[0],
           "tie_word_embeddings": "output.weight" not in file.tensors}
    raw |= {key: about[name] for key, name in KEYS.items()
            if about.get(name) or about.get(name) is False}
    raw |= {key: about.get(FIELDS[field]) for field, key in {**families.KEYS, **family.keys}.items()
            if key and field in FIELDS}
    return read_config(raw | told(file, family, architecture, about)
                       | scaling(file, about))


def plain(value):
    """A value as JSON has it; of an array whose numbers are equal that number."""
    if not isinstance(value, np.ndarray):
        return value
    return value[0].item() if value.size and (value == value[0]).all() else value.tolist()


def told(file: File, family: Family, architecture: str, about: dict) -> dict:
    """What config.json says of a family, and only the tensors or the sizes tell here."""
    heads, channels = (families.take(about, FIELDS[name], int) for name in ("heads", "channels"))
    width = about.get(FIELDS["head_dim"]) or channels // heads
    turned, more = about.get("rope.dimension_count", width), {}
    if family.rotary:
        more["partial_rotary_factor"] = turned / width
    elif turned != width:
        raise ChatError(f"{architecture}.rope.dimension_count is {turned}; supported is only "
                        f"{width}")
    if family.name in ("Llama", "GPTNeoX", "Falcon"):
        more["bias" if family.name == "Falcon" else "attention_bias"] = any(
            f"blk.0.attn_{name}.bias" in file.tensors for name in ("q", "qkv"))
    if family.name == "Llama":
        more["mlp_bias"] = "blk.0.ffn_up.bias" in file.tensors
    if family.name in ("Gemma2", "Gemma3"):
        wide = (architecture, about.get(FIELDS["layers"])) in WIDE
        more["query_pre_attn_scalar"] = channels // heads if wide else width
    if family.name == "Qwen3Moe":
        more["norm_topk_prob"] = True            # as llama.cpp does
    if family.name == "Falcon":
        kv_heads = about.get(FIELDS["kv_heads"], heads)
        norms = 1 + (TWO_NORMS in file.tensors)
        more |= {"num_ln_in_parallel_attn": norms, "multi_query": kv_heads == 1,
                 "new_decoder_architecture": norms == 2 or kv_heads not in (1, heads)}
    return more


def scaling(file: File, about: dict) -> dict:
    """What config.json says of RoPE's scaling."""
    kind = about.get("rope.scaling.type", "none")
    stated = {key: about[f"rope.scaling.{name}"] for key, name in YARN.items()
              if about.get(f"rope.scaling.{name}")}
    divisors = {key: file.tensors[name].vector() for key, name in DIVISORS.items()
                if name in file.tensors}
    if "long_factor" in divisors:
        trained = {TRAINED: stated.pop(TRAINED)} if TRAINED in stated else {}
        return {**trained, "rope_scaling": {"rope_type": "longrope", **stated, **{
            key: divisor.tolist() for key, divisor in divisors.items()}}}
    if "" in divisors:
        return {"rope_scaling": llama3(divisors[""], about.get("rope.freq_base", 1e4))}
    if kind == "linear":
        stated = {"factor": stated.get("factor", 1.0)}
    return {} if kind == "none" else {"rope_scaling": {"rope_type": kind, **stated}}


def llama3(divisors: np.ndarray, theta: float) -> dict:
    """Llama 3.1's scaling, of which a file has only what it does to each frequency. Its numbers
    never varied but for the factor."""
    about = {"rope_type": "llama3", "factor": float(divisors.max()), "low_freq_factor": 1.0,
             "high_freq_factor": 4.0, TRAINED: 8192}
    frequencies = np.array(powers(theta, 2 * len(divisors)))
    _, scaled = SCALINGS["llama3"](frequencies.tolist(), theta, about, 0)
    if not np.allclose(frequencies / divisors, scaled, rtol=1e-3, atol=0):
        raise ChatError(f"{DIVISORS['']} is not Llama 3's scaling, and no other is supported")
    return about


def load(file: File, make: Callable, **changes):
    """The model in a file, which make(Config, bytes of the file) makes; `changes` as hf.load takes
    them. One made with MAPPED reads its weights where they are."""
    family, _, config = configuration(file, **changes)
    with naming(file.path):
        model = make(config, len(file.mapping.data))
        fill(model, family, file)
    file.mapping.check()
    model.family = family
    if model.mapping:
        model.check_file = file.mapping.check
    return model


def fill(model, family: Family, file: File) -> None:
    """Give a model, made for them, the tensors of a file. One that holds several of ours, as of
    q, k and v, is taken from the top."""
    config, rows = model.config, replace(family, fused="rows")
    taken = Counter({name: file.tensors[name].rows for name in DIVISORS.values()
                     if name in file.tensors})
    for name, shape, _ in model.tensors:
        if name == families.SCORE or ".lora_" in name:
            continue                             # what is new begins as zeros
        source = source_of(name, file.tensors, family)
        first = taken[source]
        taken[source] += shape[0]
        part = rows_of(config, rows, name, first, taken[source], True)
        stored = file.tensors[source]
        tensor, stacked = stored.part(part, shape), stored.shape[:-2]
        if tensor.shape != shape or stacked not in ((), (config.experts,)):
            raise ChatError(f"{source} is {stored.shape}, but the metadata make "
                            f"{(config.experts,) * bool(stacked) + shape} of it")
        pairs = family.name in INTERLEAVED and name.split(".")[-2] in ("q_proj", "k_proj")
        give(model, name, tensor, config.head_dim * pairs)
    for name, tensor in file.tensors.items():
        if taken[name] != tensor.rows and name != POSITIONS:
            raise ChatError(f"{name} is {tensor.shape}, but the metadata describe a model "
                            f"{f'with {taken[name]} rows of it' if taken[name] else 'without it'}")


def give(model, name: str, tensor: Tensor, pairs: int) -> None:
    """Map or write a tensor of a model; pairs: as Model.map takes them. Types that the library
    cannot read are unpacked: to be mapped, to halves."""
    number = NUMBERS[tensor.type]
    if model.mapping and model.core.call("quant_row", number, tensor.shape[-1]):
        model.map(name, number, tensor.blocks, pairs)
    elif model.mapping:
        model.map(name, NUMBERS["F16"], tensor.floats(model.core).astype(np.float16), pairs)
    else:
        values = tensor.floats(model.core)
        model.write(name, values[pairs_apart(len(values), pairs)] if pairs else values)


def pairs_apart(rows: int, D: int) -> np.ndarray:
    """The order of rows in which RoPE's pairs, side by side in a file, are half a head apart."""
    return np.arange(rows).reshape(-1, D // 2, 2).swapaxes(1, 2).reshape(-1)


def source_of(name: str, tensors: dict[str, Tensor], family: Family) -> str:
    """The name in a file of the tensor that one of ours is in."""
    found = names_of(name, family.name == "Falcon" and TWO_NORMS in tensors)
    for one in found:
        if one in tensors:
            return one
    raise ChatError(f"there is no {found[0]}, which the metadata promise")


def names_of(name: str, two_norms: bool) -> list[str]:
    """What one of our tensors may be called in a file: by itself, or what it is joined in; of
    experts all in one, or each by itself. two_norms: Falcon's, where a layer has two."""
    layer = re.match(r"model\.layers\.(\d+)\.", name)
    place = f"blk.{layer[1]}." if layer else ""
    stem, _, kind = name[layer.end() if layer else 0:].rpartition(".")
    expert = re.search(r"experts\.(\d+)\.", stem)
    there = NAMES[stem.replace(expert[0], "") if expert else stem]
    there = FALCON.get(there, there) if two_norms else there
    names = [there, *filter(None, [JOINED.get(there)])]
    if expert:
        names = [f"{there}_exps", f"{JOINED_EXPERTS.get(there)}_exps", f"{there}.{expert[1]}"]
    return [f"{place}{one}.{kind}" for one in names]
