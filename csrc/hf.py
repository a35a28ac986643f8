"""A model as a Hugging Face folder: config.json, generation_config.json, model.safetensors.

    model = load("runs/base", dtype="bf16")
    save(model, "runs/sft", special={"bos": 0, "eos": 2, "pad": 0, "stop": [2, 0]})

Reads and writes GPT-2, Llama, Qwen2 and Qwen3 with a language model's head (GPT2LMHeadModel,
LlamaForCausalLM, ...) or a scalar one (...ForSequenceClassification), as transformers 4 and 5 do.
What such a folder asks for and Config cannot express is an error that names it. Nothing in a folder
is ever executed; whatever is wrong with one is a ChatError.
"""

from __future__ import annotations

import json
import math
import re
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from reprlib import repr as short
from typing import BinaryIO, Callable, Iterable, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from csrc.config import (BIAS_ALL, BIAS_NONE, BIAS_QKV, GELU, LAYERNORM, LEARNED, RMSNORM, ROPE,
                         SWIGLU, Config)
from csrc.files import ChatError, naming, read_json, to_json, unique, write_files

BLOCK = ("norm", "position", "activation", "bias", "qk_norm")
FAMILIES = {             # what Config says of the block: how its classes in transformers begin
    (LAYERNORM, LEARNED, GELU, BIAS_ALL, 0): "GPT2",
    (RMSNORM, ROPE, SWIGLU, BIAS_NONE, 0): "Llama",
    (RMSNORM, ROPE, SWIGLU, BIAS_ALL, 0): "Llama",       # with attention_bias and mlp_bias
    (RMSNORM, ROPE, SWIGLU, BIAS_QKV, 0): "Qwen2",
    (RMSNORM, ROPE, SWIGLU, BIAS_NONE, 1): "Qwen3",
}
BLOCKS = {family: block for block, family in reversed(FAMILIES.items())}
BLOCKS["Mistral"] = BLOCKS["Llama"]              # with a window

# The fields of Config that are one number in config.json, and what they are called there.
KEYS = {"vocab": "vocab_size", "context": "max_position_embeddings",
        "layers": "num_hidden_layers", "channels": "hidden_size", "heads": "num_attention_heads",
        "kv_heads": "num_key_value_heads", "head_dim": "head_dim", "hidden": "intermediate_size",
        "norm_eps": "rms_norm_eps"}
GPT2_KEYS = {"vocab": "vocab_size", "context": "n_positions", "layers": "n_layer",
             "channels": "n_embd", "heads": "n_head", "hidden": "n_inner",
             "norm_eps": "layer_norm_epsilon"}
KINDS = {int: "a whole number from 1 to 2147483647", float: "a number from 0 to 1e30",
         bool: "true or false"}

# Keys that change what a model computes, and the values under which it is what Config describes
# (absent and null always are). Dropout is not among them: it is a matter of training.
PLAIN = {
    "hidden_act": ["silu", "swish"], "activation_function": ["gelu_new", "gelu_pytorch_tanh"],
    "scale_attn_weights": [True], "scale_attn_by_inverse_layer_idx": [False],
    "add_cross_attention": [False], "is_encoder_decoder": [False], "is_causal": [True],
    "pruned_heads": [{}], "attention_chunk_size": [],
    "use_mrope": [False], "partial_rotary_factor": [1.0], "original_max_position_embeddings": [],
    "attn_logit_softcapping": [], "final_logit_softcapping": [], "query_pre_attn_scalar": [],
    "quantization_config": [],
}
PLAIN_IN = {"GPT2": {"sliding_window": []}, "Llama": {"sliding_window": []},
            "Mistral": {"attention_bias": [False]}, "Qwen2": {},
            "Qwen3": {"attention_bias": [False]}}
PLAIN_ROPE = {"rope_type": ["default", "llama3"], "partial_rotary_factor": [1.0]}
LLAMA3 = {"rope_factor": "factor", "rope_low": "low_freq_factor", "rope_high": "high_freq_factor",
          "rope_context": "original_max_position_embeddings"}

# Our tensors have the names of Llama's and Qwen's files. In GPT-2's they are called so, and its
# linear layers, all named c_*, hold their weights as (in, out).
GPT2_NAMES = {
    "model.embed_tokens": "transformer.wte", "model.positions": "transformer.wpe",
    "model.layers": "transformer.h", "model.norm": "transformer.ln_f",
    "input_layernorm": "ln_1", "post_attention_layernorm": "ln_2",
    "self_attn.q_proj": "attn.c_attn", "self_attn.k_proj": "attn.c_attn",
    "self_attn.v_proj": "attn.c_attn", "self_attn.o_proj": "attn.c_proj",
    "mlp.up_proj": "mlp.c_fc", "mlp.down_proj": "mlp.c_proj",
}
HEAD, SCORE, POSITIONS = "lm_head.weight", "score.weight", "model.positions.weight"
# What older files keep beside the weights: the causal mask, RoPE's frequencies.
BUFFER = re.compile(r"\.attn\.(masked_)?bias$|\.rotary_emb\.inv_freq$")

DTYPES = {"f32": ("F32", "float32"), "bf16": ("BF16", "bfloat16")}      # those we write


def configuration(folder, **changes) -> tuple[str, Config, Config]:
    """(family, what config.json says, the same with `changes`)."""
    path = Path(folder) / "config.json"
    raw = read_json(path)
    with naming(path):
        family, stored = read_config(raw)
        config = replace(stored, **changes)
        if config.position == LEARNED and config.context > stored.context:
            raise ChatError(f"there are {stored.context} learned positions, too few for a context "
                            f"of {config.context}")
    return family, stored, config


def load(folder, make: Callable, **changes):
    """The model in a folder, which `make` makes of its Config. `changes` replace fields of that.

    scalar=1 makes a reward model of a language model: its score.weight begins as zeros.
    context=N shortens learned positions; with RoPE it may be any length.
    """
    folder = Path(folder)
    family, stored, config = configuration(folder, **changes)
    with naming(folder / "config.json"):
        model = make(config)
    with ExitStack() as files:
        tensors = find_tensors(folder, files)
        with naming(folder):
            fill(model, family, stored, tensors)
    return model


def save(model, folder, special: dict | None = None, stage: str | None = None) -> None:
    """Write a model: float32 weights for "f32", and for "bf16" those it computes with.

    special   token ids {"bos", "eos", "pad"}, each may be None, and "stop": the list of all that
              end a reply (default: eos)
    stage     how it was trained, if not by pretraining: generation_config.json's "stage"

    The weights come last: a process killed at any moment leaves the old model or the new one,
    because an unchanged config.json fits both, and one of another shape refuses the old weights.
    """
    family = family_of(model.config)
    ids, stop = special_ids(special or {}, model.config.vocab)
    dtype, name = DTYPES[model.dtype]
    about = {**write_config(model.config, family), **ids, "torch_dtype": name, "dtype": name}
    tensors = places(model, family, model.config.context)
    write_files(Path(folder), {
        "generation_config.json": to_json({**ids, "eos_token_id": stop,
                                           **({"stage": stage} if stage else {})}),
        "config.json": to_json(about),
        "model.safetensors": serialized(dtype, {name: tensors[name].shape for name in tensors},
                                        lambda name: finite(name, gather(model, tensors[name])))})


def finite(name: str, values: np.ndarray) -> np.ndarray:
    """The values of a tensor; ChatError where one is no number, for that is never written."""
    if not np.isfinite(values).all():
        raise ChatError(f"{name} is not finite: go on from the last checkpoint, or start anew with "
                        f"a lower --lr")
    return values


# ---- config.json ---------------------------------------------------------------------------------

def architecture(family: str, scalar: int) -> str:
    """The name of the class in transformers."""
    if scalar:
        return family + "ForSequenceClassification"
    return family + ("LMHeadModel" if family == "GPT2" else "ForCausalLM")


ARCHITECTURES = {architecture(family, scalar): (family, scalar)
                 for family in BLOCKS for scalar in (0, 1)}


def read_config(raw: dict) -> tuple[str, Config]:
    """(family, Config) of what config.json holds; ValueError names the key that is unfit."""
    names = raw.get("architectures")
    name = names[0] if type(names) is list and len(names) == 1 else names
    if type(name) is not str or name not in ARCHITECTURES:
        raise ChatError(f"architectures is {short(names)}, but must be one of "
                        f"{', '.join(ARCHITECTURES)}")
    family, scalar = ARCHITECTURES[name]
    gpt2 = family == "GPT2"
    keys = GPT2_KEYS if gpt2 else KEYS
    check_plain(raw, {**PLAIN, **PLAIN_IN[family]})
    channels, heads = take(raw, keys["channels"], int), take(raw, keys["heads"], int)
    fields = {"kv_heads": heads, "head_dim": channels // heads,
              "hidden": 4 * channels if gpt2 else None, "norm_eps": 1e-5 if gpt2 else 1e-6}
    for field, key in keys.items():
        fields[field] = take(raw, key, float if field == "norm_eps" else int, fields.get(field))
    fields |= zip(BLOCK, BLOCKS[family])
    fields |= read_window(raw, family, fields["layers"])
    if family == "Llama":
        attention, mlp = (take(raw, key, bool, False) for key in ("attention_bias", "mlp_bias"))
        if attention != mlp:
            raise ChatError(f"attention_bias is {attention} and mlp_bias is {mlp}; supported is "
                            f"only both or neither")
        fields["bias"] = BIAS_ALL if mlp else BIAS_NONE
    if not gpt2:
        fields |= read_rope(raw)
    tied = take(raw, "tie_word_embeddings", bool, gpt2)
    return family, Config(**fields, tied=int(tied), scalar=scalar)


def layer_types(layers: int, window: int, period: int) -> list[str]:
    """What each layer's attention is called in config.json."""
    return ["sliding_attention" if window and (not period or (i + 1) % period)
            else "full_attention" for i in range(layers)]


def read_window(raw: dict, family: str, layers: int) -> dict:
    """The window's fields of Config. Mistral has it in every layer; Qwen where layer_types says or,
    in older files, from layer max_window_layers on."""
    window = 0
    if family == "Mistral" and raw.get("sliding_window") is not None or \
            family.startswith("Qwen") and take(raw, "use_sliding_window", bool, False):
        window = take(raw, "sliding_window", int, 4096)
    types, full = raw.get("layer_types"), raw.get("max_window_layers")
    if types is None and (not window or family == "Mistral" or full == 0):
        return {"window": window}
    if types is None:
        raise ChatError(f"max_window_layers is {short(full)}; supported with a window is only 0")
    if type(types) is not list or len(types) != layers:
        raise ChatError(f"layer_types is {short(types)}, but must be a list of {layers}")
    if types == layer_types(layers, 0, 0):
        return {}
    period = types.index("full_attention") + 1 if "full_attention" in types else 0
    if types == layer_types(layers, window, period):
        return {"window": window, "window_period": period}
    raise ChatError(f"layer_types is {short(types)} with a window of {window}; supported is a "
                    f"window in all layers but every so manieth")


def read_rope(raw: dict) -> dict:
    """RoPE's fields of Config. transformers 4 keeps them in rope_theta and rope_scaling, 5 in
    rope_parameters; what is in several places must agree."""
    theta, rope = {"rope_theta": raw.get("rope_theta")}, {}
    for place in (theta, raw.get("rope_parameters") or {}, raw.get("rope_scaling") or {}):
        if type(place) is not dict:
            raise ChatError(f"rope_parameters or rope_scaling is {short(place)}, not an object")
        for key, value in place.items():
            key = "rope_type" if key == "type" else key
            if value is not None and rope.setdefault(key, value) != value:
                raise ChatError(f"{key} is {short(value)} in one place and {short(rope[key])} in "
                                f"another")
    check_plain(rope, PLAIN_ROPE)
    for key in rope.keys() - {*theta, *PLAIN_ROPE, *LLAMA3.values()}:
        raise ChatError(f"RoPE's parameter {short(key)} is not supported")
    fields = {"rope_theta": take(rope, "rope_theta", float, 10000.0)}
    if rope.get("rope_type") == "llama3":
        for field, key in LLAMA3.items():
            fields[field] = take(rope, key, int if field == "rope_context" else float)
    return fields


def check_plain(raw: dict, plain: dict[str, list]) -> None:
    """ChatError where a key of config.json has a value for which there is no code."""
    for key, accepted in plain.items():
        if raw.get(key) is not None and raw[key] not in accepted:
            raise ChatError(f"{key} is {short(raw[key])}; supported is only "
                            f"{' or '.join(map(short, accepted)) or 'null'}")


def take(raw: dict, key: str, kind: type, default=None):
    """What is at a key, a number or a bool as KINDS says; the default for absent and null."""
    value = default if raw.get(key) is None else raw[key]
    if value is None:
        raise ChatError(f"{key} is missing")
    fits = {int: type(value) is int and 0 < value < 2**31,
            float: type(value) in (int, float) and 0 <= value <= 1e30,
            bool: type(value) is bool}
    if not fits[kind]:
        raise ChatError(f"{key} is {short(value)}, but must be {KINDS[kind]}")
    return kind(value)


def family_of(config: Config) -> str:
    """The family whose files can hold such a model; ChatError if there is none."""
    family = FAMILIES.get(tuple(getattr(config, field) for field in BLOCK))
    if family is None:
        raise ChatError(f"transformers has no model with "
                        f"{', '.join(f'{field}={getattr(config, field)}' for field in BLOCK)}: "
                        f"this one cannot be saved")
    if config.window:
        family = "Mistral" if family == "Llama" and config.bias == BIAS_NONE else family
        if not family.startswith("Qwen") and (family != "Mistral" or config.window_period):
            raise ChatError(f"transformers' {family} has no window of {config.window} (period "
                            f"{config.window_period}): this one cannot be saved")
    heads, kv_heads, width = config.heads, config.kv_heads, config.heads * config.head_dim
    if family == "GPT2" and (kv_heads != heads or width != config.channels):
        raise ChatError(f"GPT-2 has kv_heads = heads and heads * head_dim = channels, not "
                        f"{kv_heads} = {heads} and {width} = {config.channels}: this one cannot be "
                        f"saved")
    return family


def write_config(config: Config, family: str) -> dict:
    """The contents of config.json, but for its special tokens and dtype."""
    gpt2 = family == "GPT2"
    keys = GPT2_KEYS if gpt2 else KEYS
    raw = {"architectures": [architecture(family, config.scalar)], "model_type": family.lower(),
           **{key: getattr(config, field) for field, key in keys.items()},
           "tie_word_embeddings": bool(config.tied)}
    if gpt2:
        raw["activation_function"] = "gelu_new"
        raw |= dict.fromkeys(("attn_pdrop", "embd_pdrop", "resid_pdrop"), 0.0)
    else:
        raw |= {"hidden_act": "silu", **write_rope(config)}
    if config.window:
        raw["sliding_window"] = config.window
    if config.window and family != "Mistral":
        raw |= {"use_sliding_window": True, "max_window_layers": 0, "layer_types": layer_types(
            config.layers, config.window, config.window_period)}
    if family == "Llama":
        raw |= dict.fromkeys(("attention_bias", "mlp_bias"), config.bias == BIAS_ALL)
    if config.scalar:
        raw |= {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    return raw


def write_rope(config: Config) -> dict:
    """For transformers 4 and 5: some version of each takes theta for 10000 without its own key."""
    theta = {"rope_theta": config.rope_theta}
    if config.rope_factor == 1:
        return {**theta, "rope_parameters": {"rope_type": "default", **theta}}
    scaling = {"rope_type": "llama3",
               **{key: getattr(config, field) for field, key in LLAMA3.items()}}
    return {**theta, "rope_scaling": scaling, "rope_parameters": {**scaling, **theta}}


def special_ids(special: dict, vocab: int) -> tuple[dict, list[int] | None]:
    """({"bos_token_id": id or None, ...}, the ids that end a reply)."""
    if not special.keys() <= {"bos", "eos", "pad", "stop"}:
        raise ChatError(f"the special tokens are bos, eos, pad and stop, not {', '.join(special)}")
    ids = {f"{key}_token_id": special.get(key) for key in ("bos", "eos", "pad")}
    stop = special.get("stop") or [special.get("eos")]
    for i in [*ids.values(), *stop]:
        if i is not None and not (type(i) is int and 0 <= i < vocab):
            raise ChatError(f"the special token {i!r} is no id of the vocabulary of {vocab}")
    return ids, None if stop == [None] else stop


# ---- Tensors, here and in the file ---------------------------------------------------------------

class Place(NamedTuple):
    """A tensor as a file should have it: the rows of some of ours, one behind the other."""

    names: list[str]             # ours
    shape: tuple[int, ...]       # in the file
    transposed: bool


def places(model, family: str, context: int) -> dict[str, Place]:
    """{name in the file: Place}, in the model's order; context is the file's, not the model's."""
    shapes = {name: shape for name, shape, _ in model.tensors}
    if POSITIONS in shapes:
        shapes[POSITIONS] = (context, model.config.channels)
    names: dict[str, list[str]] = {}
    for name in shapes:
        there = name
        for ours, theirs in GPT2_NAMES.items() if family == "GPT2" else ():
            there = there.replace(ours, theirs)
        names.setdefault(there, []).append(name)
    found = {}
    for there, ours in names.items():
        shape = (sum(shapes[name][0] for name in ours), *shapes[ours[0]][1:])
        transposed = ".c_" in there and len(shape) == 2
        found[there] = Place(ours, shape[::-1] if transposed else shape, transposed)
    return found


def fill(model, family: str, stored: Config, tensors: dict[str, Stored]) -> None:
    """Copy the tensors of a folder, whose Config is `stored`, into a model made for them."""
    config, wanted = model.config, places(model, family, stored.context)
    found = with_prefix(tensors, "transformer." if family == "GPT2" else "model.")
    if config.scalar != stored.scalar:           # the head is another one
        wanted.pop(SCORE, None)
        found = {name: found[name] for name in found if name not in (SCORE, HEAD)}
    embedding = next(iter(wanted))
    if config.tied and not config.scalar and HEAD in found:
        wanted[HEAD] = wanted[embedding]         # some files hold a tied head all the same
    check_tensors(found, wanted)
    if wanted.get(HEAD) is wanted[embedding]:
        if not np.array_equal(found[HEAD].read(), found[embedding].read()):
            raise ChatError(f"tie_word_embeddings is true, but {HEAD} is not {embedding}")
    for there, place in wanted.items():
        values = found[there].read()
        values = values.T if place.transposed else values
        ends = np.cumsum([model.tensors[model.index[name]][1][0] for name in place.names])
        for name, part in zip(place.names, np.split(values, ends)):
            model.write(name, part)


def with_prefix(tensors: dict[str, Stored], prefix: str) -> dict[str, Stored]:
    """By full name, without buffers; files of a model saved without its head lack the prefix."""
    found: dict[str, Stored] = {}
    for name, tensor in tensors.items():
        full = name if name.startswith((prefix, "lm_head.", "score.")) else prefix + name
        if full in found:
            raise ChatError(f"{full} is there twice, with and without {prefix}")
        if not BUFFER.search(full):
            found[full] = tensor
    return found


def check_tensors(found: dict[str, Stored], wanted: dict[str, Place]) -> None:
    """Raise ValueError unless exactly the wanted tensors are there, in their shapes."""
    for name in [*wanted, *found]:
        if name not in found:
            raise ChatError(f"there is no {name}, which config.json makes {wanted[name].shape}")
        if name not in wanted:
            raise ChatError(f"config.json describes a model without {name} {found[name].shape}")
        if found[name].shape != wanted[name].shape:
            raise ChatError(f"{name} is {found[name].shape}, but config.json makes it "
                            f"{wanted[name].shape}")
        if found[name].dtype not in NUMPY:
            raise ChatError(f"{name} is {found[name].dtype}, but must be {' or '.join(NUMPY)}")


def gather(model, place: Place) -> np.ndarray:
    """The inverse of `fill`, for one tensor of the file."""
    values = np.concatenate([model.read(name) for name in place.names])
    return values.T if place.transposed else values


# ---- The files with the weights ------------------------------------------------------------------

def find_tensors(folder: Path, files: ExitStack) -> dict[str, Stored]:
    """{name: tensor} of model.safetensors, or of the shards that its index names."""
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.exists():
        return read_header(single, files)
    if index.exists():
        shards = read_json(index).get("weight_map")
        with naming(index):
            return read_shards(folder, shards, files)
    for pickle in sorted([*folder.glob("*.bin"), *folder.glob("*.pt*")]):
        raise ChatError(f"{pickle}: is a pickle, which can run any code when it is read; where you "
                        f"trust it, load it with transformers and save_pretrained() it")
    raise ChatError(f"{single}: there is no such file")


def read_shards(folder: Path, shards: dict, files: ExitStack) -> dict[str, Stored]:
    """All tensors of an index's weight_map {tensor: file}, every word of which is checked."""
    if type(shards) is not dict or not all(type(file) is str for file in shards.values()):
        raise ChatError(f"weight_map is {short(shards)}, but must name a file for each tensor")
    found: dict[str, Stored] = {}
    for file in sorted(set(shards.values())):
        path = folder / file
        if path.name != file or path.resolve().parent != folder.resolve():
            raise ChatError(f"{short(file)} is not a file of this folder itself")
        tensors = read_header(path, files)
        for name in tensors.keys() ^ {name for name in shards if shards[name] == file}:
            raise ChatError(f"{name} is in only one of {file} and what weight_map says of it")
        found |= tensors
    return found


# ---- safetensors: 8 bytes of size, a JSON header, the data ---------------------------------------

NUMPY = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}      # the dtypes we read; bfloat16 as bits


class Stored(NamedTuple):
    """A tensor in an open file, whose header the safetensors library has checked."""

    file: BinaryIO
    dtype: str
    shape: tuple[int, ...]
    offset: int                  # of its first byte in the file

    def read(self) -> np.ndarray:
        """The tensor as float32; its dtype must be one of NUMPY."""
        values = np.empty(self.shape, NUMPY[self.dtype])
        self.file.seek(self.offset)
        if self.file.readinto(values) != values.nbytes:
            raise ChatError(f"{self.file.name} became shorter while it was read")
        if self.dtype == "BF16":
            return (values.astype(np.uint32) << 16).view(np.float32)
        return values.astype(np.float32, copy=False)


def read_header(path: Path, files: ExitStack) -> dict[str, Stored]:
    """{name: tensor} of one file, left open in `files`."""
    with naming(path):
        if not path.is_file():
            raise ChatError("is not a file")
        try:
            with safe_open(path, "np"):
                pass   # the library checks the header, and that its offsets cover the file exactly
        except SafetensorError as error:
            raise ChatError(str(error)) from error
        file = files.enter_context(open(path, "rb"))
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size), object_pairs_hook=unique)
        header.pop("__metadata__", None)
        return {name: Stored(file, about["dtype"], tuple(about["shape"]),
                             8 + size + about["data_offsets"][0]) for name, about in header.items()}


def serialized(dtype: str, shapes: dict[str, tuple[int, ...]], read: Callable,
               metadata: dict[str, str] | None = None) -> Iterable:
    """Yield the bytes of a safetensors file, dtype F32 or BF16, one tensor at a time: read(name)
    gives it as float32, so that there is never a second copy of all of them in memory."""
    header, end = {"__metadata__": metadata or {"format": "pt"}}, 0
    for name, shape in shapes.items():
        begin, end = end, end + math.prod(shape) * np.dtype(NUMPY[dtype]).itemsize
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)              # so that the data begins at a multiple of 8
    yield len(text).to_bytes(8, "little") + text
    for name in shapes:
        yield bfloat16(read(name)) if dtype == "BF16" else np.ascontiguousarray(read(name), "<f4")


def bfloat16(values: np.ndarray) -> np.ndarray:
    """The upper halves of float32, rounded to the nearest, to even between two; NaN stays NaN."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = bits + (0x7FFF + (bits >> 16 & 1)) >> 16
    return np.where(np.isnan(values), bits >> 16 | 0x40, rounded).astype("<u2")
