"""A model as a Hugging Face folder: config.json, generation_config.json, model.safetensors.

    model = load("runs/base", dtype="bf16")
    save(model, "runs/sft", special={"bos": 0, "eos": 2, "pad": 0, "stop": [2, 0]})

Reads and writes the families of csrc/families.py with a language model's head (LlamaForCausalLM,
...) or a scalar one (...ForSequenceClassification), as transformers 4 and 5 do. Nothing in a folder
is ever executed; whatever is wrong with one is a ChatError.
"""

from __future__ import annotations

import json
import math
import re
import sys
import zlib
from contextlib import ExitStack
from pathlib import Path
from reprlib import repr as short
from typing import BinaryIO, Callable, Iterable, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from csrc.config import Config
from csrc.families import (HEAD, POSITIONS, SCORE, Family, Place, family_of, places, read_config,
                           write_config)
from csrc.files import (ChatError, from_json, naming, read_json, to_json, unique,
                        write_files)

# What older files keep beside the weights: the causal mask, RoPE's frequencies.
BUFFER = re.compile(r"\.(attn|attention)\.(masked_)?bias$|rotary_emb\.inv_freq$")
DTYPES = {"f32": ("F32", "float32"), "bf16": ("BF16", "bfloat16")}      # those we write


def configuration(folder, **changes) -> tuple[Family, Config, Config]:
    """(family, what config.json says, the same with `changes`)."""
    path = Path(folder) / "config.json"
    raw = read_json(path)
    with naming(path):
        family, stored = read_config(raw)
        return family, stored, stored.changed(**changes)


def ends_of(folder) -> set[int]:
    """The ids that end a text by generation_config.json or, where it does not tell, config.json;
    of its sampling settings none is read."""
    for path in (Path(folder, name) for name in ("generation_config.json", "config.json")):
        told = read_json(path).get("eos_token_id") if path.is_file() else None
        ends = told if type(told) is list else [told]
        if told is not None and not all(type(i) is int for i in ends):
            raise ChatError(f"{path}: eos_token_id is {short(told)}, but must be an id, or a list "
                            f"of ids")
        if told is not None:
            return set(ends)
    return set()


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
            filled = fill(model, family, stored, tensors)
    if not filled:
        print(f"{folder}: the head is not the embeddings, though config.json ties them: both are "
              f"used as they are", file=sys.stderr)
        return load(folder, make, **changes | {"tied": 0})
    model.family = family
    return model


def save(model, folder, special: dict | None = None, stage: str | None = None) -> None:
    """Write a model, in the family that it was loaded in if there is one: float32 weights for
    "f32", and for "bf16" those it computes with.

    special   token ids {"bos", "eos", "pad"}, each may be None, and "stop": the list of all that
              end a reply (default: eos)
    stage     how it was trained, if not by pretraining: generation_config.json's "stage"

    The weights come last: a process killed at any moment leaves the old model or the new one,
    because an unchanged config.json fits both, and one of another shape refuses the old weights.
    Their file's metadata has a checksum of each, by which `load` sees that one has changed; other
    programs leave it alone, and what they write has none.
    """
    family = family_of(model.config, model.family)
    ids, _ = special_ids(special or {}, model.config.vocab)
    dtype, name = DTYPES[model.dtype]
    about = {**write_config(model.config, family), **ids, "torch_dtype": name, "dtype": name}
    tensors = places_of(model, family, model.config.context)

    def read(name):
        return encoded(dtype, finite(name, gather(model, tensors[name])))
    sums = {name: checksum(read(name)) for name in tensors}
    write_files(Path(folder), {
        "generation_config.json": generation(special, model.config.vocab, stage),
        "config.json": to_json(about),
        "model.safetensors": serialized(dtype, {name: place.shape for name, place in
                                                tensors.items()}, read,
                                        {"format": "pt", "checksums": json.dumps(sums)})})


def finite(name: str, values: np.ndarray) -> np.ndarray:
    """The values of a tensor; ChatError where one is no number, for that is never written."""
    if not np.isfinite(values).all():
        raise ChatError(f"{name} is not finite: go on from the last checkpoint, or start anew with "
                        f"a lower --lr")
    return values


def generation(special: dict | None, vocab: int, stage: str | None) -> list[bytes]:
    """generation_config.json, as write_files takes it."""
    ids, stop = special_ids(special or {}, vocab)
    return to_json({**ids, "eos_token_id": stop, **({"stage": stage} if stage else {})})


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

def places_of(model, family: Family, context: int) -> dict[str, Place]:
    """{name in the file: Place}; context is the file's, not the model's."""
    shapes = {name: shape for name, shape, _ in model.tensors if ".lora_" not in name}
    if POSITIONS in shapes:
        shapes[POSITIONS] = (context, model.config.channels)
    return places(model.config, shapes, family)


def fill(model, family: Family, stored: Config, tensors: dict[str, Stored]) -> bool:
    """Copy the tensors of a folder, whose Config is `stored`, into a model made for them. False,
    and nothing is copied, if its head is to be tied and the folder has another one, for then
    transformers does not tie them either."""
    config, wanted = model.config, places_of(model, family, stored.context)
    head = next((there for there in (family.head, HEAD) if there in tensors), family.head)
    if family.head in wanted:
        wanted[head] = wanted.pop(family.head)
    found = with_prefix(tensors, family.prefix, (head, SCORE))
    if config.scalar != stored.scalar:           # the head is another one
        wanted.pop(SCORE, None)
        found = {name: found[name] for name in found if name not in (SCORE, head)}
    unread = {}
    if config.tied and not config.scalar and head in found:
        unread[head] = next(iter(wanted.values()))   # some files hold a tied head all the same
    check_tensors(found, wanted | unread)
    if unread and not np.array_equal(found[head].read(), found[next(iter(wanted))].read()):
        return False
    for there, place in wanted.items():
        values = found[there].read()
        values = values.T if place.transposed else values
        values = values + np.float32(place.offset) if place.offset else values
        for name, rows in place.parts:
            rows = slice(model.tensors[model.index[name]][1][0]) if rows is None else rows
            model.write(name, values[rows])
    return True


def with_prefix(tensors: dict[str, Stored], prefix: str,
                heads: tuple[str, ...]) -> dict[str, Stored]:
    """By full name, without buffers; files of a model saved without its head lack the prefix."""
    found: dict[str, Stored] = {}
    for name, tensor in tensors.items():
        full = name if name.startswith(prefix) or name in heads else prefix + name
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
    values = np.empty(place.shape[::-1] if place.transposed else place.shape, np.float32)
    for name, rows in place.parts:
        values[slice(None) if rows is None else rows] = model.read(name)
    values = values.T if place.transposed else values
    return values - np.float32(place.offset) if place.offset else values


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
    """All tensors of the files that an index's weight_map {tensor: file} names. Which tensor it
    says is where does not matter, as in transformers: some indices are older than their files."""
    if type(shards) is not dict or not all(type(file) is str for file in shards.values()):
        raise ChatError(f"weight_map is {short(shards)}, but must name a file for each tensor")
    found: dict[str, Stored] = {}
    for file in sorted(set(shards.values())):
        path = folder / file
        if path.name != file or path.resolve().parent != folder.resolve():
            raise ChatError(f"{short(file)} is not a file of this folder itself")
        tensors = read_header(path, files)
        for name in found.keys() & tensors.keys():
            raise ChatError(f"{name} is in {file} and in another file")
        found |= tensors
    return found


# ---- safetensors: 8 bytes of size, a JSON header, the data ---------------------------------------

NUMPY = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}      # the dtypes we read; bfloat16 as bits
BLOCK = 4096                                             # bytes, of a checksum


class Stored(NamedTuple):
    """A tensor in an open file, whose header the safetensors library has checked."""

    file: BinaryIO
    dtype: str
    shape: tuple[int, ...]
    offset: int                  # of its first byte in the file
    name: str
    sum: int | None              # its checksum, if the file has one

    def read(self) -> np.ndarray:
        """The tensor as float32; its dtype must be one of NUMPY."""
        values = np.empty(self.shape, NUMPY[self.dtype])
        self.file.seek(self.offset)
        if self.file.readinto(values) != values.nbytes:
            raise ChatError(f"{self.file.name} became shorter while it was read")
        if self.sum not in (None, checksum(values)):
            raise ChatError(f"{self.file.name}: {self.name} does not match its checksum: the file "
                            f"is damaged, copy it anew; or, if another program changed it, have "
                            f"that leave out its metadata \"checksums\"")
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
        sums = from_json(header.pop("__metadata__", {}).get("checksums", "{}"))
        if type(sums) is not dict:
            raise ChatError(f"its checksums are {short(sums)}, but must be numbers by name")
        return {name: Stored(file, about["dtype"], tuple(about["shape"]),
                             8 + size + about["data_offsets"][0], name, sums.get(name))
                for name, about in header.items()}


def checksum(values: np.ndarray) -> int:
    """A number that differs for any two tensors of which one bit differs: the CRC-32 of the sums of
    its blocks, for it shall cost little beside reading them."""
    data = values.reshape(-1).view(np.uint8)
    whole = data.size // BLOCK * BLOCK
    sums = data[:whole].view("<u8").reshape(-1, BLOCK // 8).sum(1)       # of 64 bits: they overflow
    return zlib.crc32(data[whole:], zlib.crc32(sums))


def serialized(dtype: str, shapes: dict[str, tuple[int, ...]], read: Callable,
               metadata: dict[str, str]) -> Iterable:
    """Yield the bytes of a safetensors file, dtype F32 or BF16, one tensor at a time: read(name)
    gives it as the file has it, so that there is never a second copy of all in memory."""
    header, end = {"__metadata__": metadata}, 0
    for name, shape in shapes.items():
        begin, end = end, end + math.prod(shape) * np.dtype(NUMPY[dtype]).itemsize
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)              # so that the data begins at a multiple of 8
    yield len(text).to_bytes(8, "little") + text
    yield from map(read, shapes)


def encoded(dtype: str, values: np.ndarray) -> np.ndarray:
    """Float32 as a file has it, F32 or BF16."""
    return bfloat16(values) if dtype == "BF16" else np.ascontiguousarray(values, "<f4")


def bfloat16(values: np.ndarray) -> np.ndarray:
    """The upper halves of float32, rounded to the nearest, to even between two; NaN stays NaN."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = bits + (0x7FFF + (bits >> 16 & 1)) >> 16
    return np.where(np.isnan(values), bits >> 16 | 0x40, rounded).astype("<u2")
