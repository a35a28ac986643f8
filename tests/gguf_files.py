"""GGUF files for tests to read; no tests."""

import struct

import numpy as np

from csrc import gguf as gguf_names
from csrc.config import PARALLEL

NUMBERS = {np.uint8: 0, np.int8: 1, np.uint16: 2, np.int16: 3, np.uint32: 4, np.int32: 5,
           np.float32: 6, np.bool_: 7, np.uint64: 10, np.int64: 11, np.float64: 12}


def string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data)) + data


def value(item):
    """The type and the bytes of a value: a str, a NumPy number, an array or a list of str."""
    if isinstance(item, str):
        return struct.pack("<I", 8) + string(item)
    if isinstance(item, list):
        return struct.pack("<IIQ", 9, 8, len(item)) + b"".join(map(string, item))
    if isinstance(item, np.ndarray):
        return struct.pack("<IIQ", 9, NUMBERS[item.dtype.type], item.size) + item.tobytes()
    return struct.pack("<I", NUMBERS[type(item)]) + item.tobytes()


def gguf(values, tensors, alignment=32, header=None, entries=None):
    """The bytes of a file. values {key: value}, or the bytes of them; tensors {name: (type, shape,
    bytes)}, rows first; header, entries: instead of those that belong to them."""
    if isinstance(values, dict):
        pairs = [string(key) + value(item) for key, item in values.items()]
    else:
        pairs = values
    table, data, at = [], [], 0
    for name, (kind, shape, content) in tensors.items():
        table.append(entry(name, shape, kind, at))
        data += content, b"\0" * (-len(content) % alignment)
        at += len(data[-2]) + len(data[-1])
    table = table if entries is None else entries
    head = header or b"GGUF" + struct.pack("<IQQ", 3, len(table), len(pairs))
    head += b"".join(pairs) + b"".join(table)
    return b"".join([head, b"\0" * (-len(head) % alignment), *data])


def entry(name, shape, kind=0, offset=0):
    """An entry of the table of tensors."""
    return string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape[::-1], kind, offset)


def floats(values):
    """A tensor in F32."""
    values = np.asarray(values, np.float32)
    return 0, values.shape, values.tobytes()


def metadata(config, architecture="llama", tokens=()):
    """The values that describe a model."""
    u32, f32 = np.uint32, np.float32
    layer_norm = architecture in ("gpt2", "gptneox", "falcon")
    fields = {"context_length": u32(config.context), "block_count": u32(config.layers),
              "embedding_length": u32(config.channels), "feed_forward_length": u32(config.hidden),
              "attention.head_count": u32(config.heads),
              "attention.layer_norm_epsilon" if layer_norm else
              "attention.layer_norm_rms_epsilon": f32(config.norm_eps)}
    if architecture != "gpt2":
        fields |= {"attention.head_count_kv": u32(config.kv_heads),
                   "attention.key_length": u32(config.head_dim),
                   "attention.value_length": u32(config.head_dim),
                   "rope.dimension_count": u32(config.rotary_dim or config.head_dim),
                   "rope.freq_base": f32(config.rope_theta)}
    if config.experts:
        fields |= {"expert_count": u32(config.experts),
                   "expert_used_count": u32(config.experts_used),
                   "expert_feed_forward_length": u32(config.expert_hidden)}
    if config.window:
        fields["attention.sliding_window"] = u32(config.window)
    if config.attention_cap:
        fields |= {"attn_logit_softcapping": f32(config.attention_cap),
                   "final_logit_softcapping": f32(config.logit_cap)}
    if architecture == "gptneox":
        fields["use_parallel_residual"] = np.bool_(config.block == PARALLEL)
    if config.rope_scaling and config.rope_scaling[0][1] in ("linear", "yarn"):
        scaling = dict(config.rope_scaling)
        fields |= {"rope.scaling.type": scaling["rope_type"],
                   "rope.scaling.factor": f32(scaling["factor"]),
                   "rope.scaling.original_context_length": u32(
                       scaling.get("original_max_position_embeddings", config.context))}
    return {"general.architecture": architecture,
            **{f"{architecture}.{key}": item for key, item in fields.items()},
            **({"tokenizer.ggml.tokens": list(tokens)} if tokens else {})}


JOINED = {"gpt2": ("attn_qkv",), "gptneox": ("attn_qkv",), "falcon": ("attn_qkv",),
          "phi3": ("attn_qkv", "ffn_up")}
TWO_NORMS = {"attn_norm": "attn_norm_2", "ffn_norm": "attn_norm"}    # Falcon 40B's


def tensors_of(model, architecture):
    """The tensors of a model as a file of an architecture has them, in float32; of experts all in
    one (E,..)."""
    found, config = {}, model.config
    D, R = config.head_dim, config.rotary_dim
    for name, _, _ in model.tensors:
        parts, values = name.split("."), model.read(name)
        layer = f"blk.{parts[2]}." if parts[1] == "layers" else ""
        expert = parts[4:5] == ["experts"]
        there = gguf_names.NAMES[".".join([*parts[3:4], *parts[6:-1]] if expert else
                                          parts[3 if layer else 0:-1])] + "_exps" * expert
        values = values[None] if expert else values
        if parts[-2] in ("q_proj", "k_proj") and architecture in ("llama", "olmo"):
            halves = values.reshape(-1, 2, D // 2, *values.shape[1:])
            values = halves.swapaxes(1, 2).reshape(values.shape)     # RoPE's pairs side by side
        if parts[-2] in ("q_proj", "k_proj") and R:
            order = np.r_[0:R // 2, R:(R + D) // 2, R // 2:R, (R + D) // 2:D]
            heads = values.reshape(-1, D, *values.shape[1:]).copy()
            heads[:, order] = heads.copy()                           # and what is not turned behind
            values = heads.reshape(values.shape)
        if architecture == "falcon" and config.block == PARALLEL:
            there = TWO_NORMS.get(there, there)
        if gguf_names.JOINED.get(there) in JOINED.get(architecture, ()):
            there = gguf_names.JOINED[there]
        there = f"{layer}{there}.{parts[-1]}"
        found[there] = np.concatenate([found[there], values]) if there in found else values
    return {name: floats(values) for name, values in found.items()}
