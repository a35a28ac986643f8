"""GGUF files for tests to read; no tests."""

import struct

import numpy as np

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
    table, data = [], b""
    for name, (kind, shape, content) in tensors.items():
        table.append(entry(name, shape, kind, len(data)))
        data += content + b"\0" * (-len(content) % alignment)
    table = table if entries is None else entries
    head = header or b"GGUF" + struct.pack("<IQQ", 3, len(table), len(pairs))
    head += b"".join(pairs) + b"".join(table)
    return head + b"\0" * (-len(head) % alignment) + data


def entry(name, shape, kind=0, offset=0):
    """An entry of the table of tensors."""
    return string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape[::-1], kind, offset)


def floats(values):
    """A tensor in F32."""
    values = np.asarray(values, np.float32)
    return 0, values.shape, values.tobytes()


def metadata(config, architecture="llama", tokens=()):
    """The values that describe a model."""
    u32 = np.uint32
    fields = {"context_length": u32(config.context), "block_count": u32(config.layers),
              "embedding_length": u32(config.channels), "feed_forward_length": u32(config.hidden),
              "attention.head_count": u32(config.heads)}
    if architecture == "gpt2":
        fields["attention.layer_norm_epsilon"] = np.float32(config.norm_eps)
    else:
        fields |= {"attention.head_count_kv": u32(config.kv_heads),
                   "attention.key_length": u32(config.head_dim),
                   "attention.layer_norm_rms_epsilon": np.float32(config.norm_eps),
                   "rope.freq_base": np.float32(config.rope_theta)}
    return {"general.architecture": architecture,
            **{f"{architecture}.{key}": item for key, item in fields.items()},
            **({"tokenizer.ggml.tokens": list(tokens)} if tokens else {})}
