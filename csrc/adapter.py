"""A LoRA (arXiv:2106.09685) as PEFT's folder: adapter_config.json, adapter_model.safetensors, and
the name of its base model, which is elsewhere.

    place, folders = beneath("runs/sft")         # the base, and the adapters on it
    save(model, "runs/sft")                      # of a model that was made with Config.lora

Beside a matrix W are A (r, in) and B (out, r); with them it is W + alpha/r B A. Those that are one
product here, as q, k and v, share one A, which the folder holds for each of them. A scalar head,
which learns beside them, is whole in the folder.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from csrc import gguf, hf
from csrc.families import SCORE, Family, Place, check_plain, family_of, take
from csrc.files import ChatError, naming, read_json, to_json, write_files

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
JUDGES = "SEQ_CLS"               # task_type of one with a scalar head
DEEPEST = 8                      # adapters, one on the other
JOINED = {**dict.fromkeys(("q_proj", "k_proj", "v_proj"), "qkv_proj"),
          **dict.fromkeys(("gate_proj", "up_proj"), "gate_up_proj")}
HEAD = f"base_model.model.{SCORE}"
NAME = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")
# What adapter_config.json may ask for; by these values of `init` PEFT changes the base itself.
PLAIN = {"peft_type": ["LORA"], "bias": ["none"], "use_dora": [False],
         "modules_to_save": [[], ["score"]],
         "rank_pattern": [{}], "alpha_pattern": [{}], "lora_bias": [False], "use_qalora": [False],
         "trainable_token_indices": [], "target_parameters": [[]], "layer_replication": [],
         "alora_invocation_tokens": [], "init_lora_weights": [True, False, "gaussian",
                                                              "orthogonal"]}


# ---- The base ------------------------------------------------------------------------------------

def is_adapter(place) -> bool:
    """Whether a folder holds an adapter, not a model."""
    return isinstance(place, (str, Path)) and Path(place, CONFIG).is_file()


def base_of(folder) -> Path:
    """The folder or file of the model that an adapter belongs to. What its configuration says is
    looked for from here, and from the adapter's folder."""
    path = Path(folder, CONFIG)
    named = read_json(path).get("base_model_name_or_path")
    if type(named) is not str or not named:
        raise ChatError(f"{path}: base_model_name_or_path is {named!r}, but must name a model")
    found = next((place for place in (Path(named), Path(folder, named)) if place.is_file()
                  or is_adapter(place) or (place / "config.json").is_file()), None)
    if not found:
        raise ChatError(f"{folder} is an adapter, and its base model {named} is not there: bring "
                        f"it back, or write where it is as base_model_name_or_path into {path}")
    return found


def beneath(place):
    """(the folder or gguf.File of a model, the folders of the adapters on it, if any)."""
    folders = []
    while is_adapter(place):
        folders.append(place)
        place = base_of(place)
        if len(folders) > DEEPEST:
            raise ChatError(f"{folders[0]}: over {DEEPEST} adapters, each the next one's base")
    return gguf.opened(place), folders


def changes_of(folders) -> dict:
    """What adapters change of their base's Config."""
    judges = any(read_json(Path(folder, CONFIG)).get("task_type") == JUDGES for folder in folders)
    return {"scalar": 1} if judges else {}


def files_of(place) -> list[Path]:
    """The files with the weights of a model, its base's too."""
    base, folders = beneath(place)
    if isinstance(base, gguf.File):
        return [base.path, *(Path(folder, WEIGHTS) for folder in folders)]
    return sorted(path for folder in (base, *folders) for path in Path(folder).glob("*.safetensors")
                  if not path.name.startswith("state."))


# ---- Merging -------------------------------------------------------------------------------------

def merge(folder, model, family: Family) -> None:
    """Have an adapter's B A added to the weights of its base, a model that is made but not filled:
    see Model.added."""
    path = Path(folder, CONFIG)
    about = read_json(path)
    with naming(path):
        check_plain(about, PLAIN)
        r, alpha = take(about, "r", int), take(about, "lora_alpha", float, 8.0)
        factor = alpha / (r ** 0.5 if take(about, "use_rslora", bool, False) else r)
    path = Path(folder, WEIGHTS)
    if not path.is_file():
        raise ChatError(f"{path}: there is no such file, and no other kind is read")
    with ExitStack() as files, naming(path):
        pairs: dict[str, dict] = {}
        for name, tensor in hf.read_header(path, files).items():
            if name == HEAD and model.config.scalar:
                model.write(SCORE, tensor.read())
                continue
            found = NAME.fullmatch(name)
            if not found or tensor.dtype not in hf.NUMPY:
                raise ChatError(f"{name} in {tensor.dtype} is not supported, only A and B beside a "
                                f"matrix in {', '.join(hf.NUMPY)}")
            pairs.setdefault(found[1], {})[found[2]] = tensor.read()
        wanted = hf.places_of(model, family, model.config.context)
        for module, pair in pairs.items():
            place = wanted.get(f"{module}.weight")
            if place is None:
                raise ChatError(f"it adapts {module}, and {base_of(folder)} has no such matrix: it "
                                f"is another model's")
            rows, cols = place.shape[::-1] if place.transposed else place.shape
            shapes = {part: values.shape for part, values in pair.items()}
            if shapes != {"A": (r, cols), "B": (rows, r)}:
                raise ChatError(f"{module} has {shapes}, but rank {r} beside a matrix of ({rows}, "
                                f"{cols}) in {base_of(folder)} makes A {r, cols} and B {rows, r}: "
                                f"it is another model's, or of another rank")
            for name, part in place.parts:
                B = pair["B"] if part is None else pair["B"][part]
                model.added.setdefault(name, []).append(partial(product, factor, B, pair["A"]))


def product(factor: float, B: np.ndarray, A: np.ndarray) -> np.ndarray:
    """factor B A, in float32."""
    return np.float32(factor) * (B @ A)


# ---- Adapters that learn -------------------------------------------------------------------------

def begin(model, seed: int) -> None:
    """The adapters of a new run: A normal with deviation 1/sqrt(in), B 0, so that at first nothing
    is changed."""
    rng = np.random.default_rng(seed)
    for name, shape, _ in model.tensors:
        if name.endswith(".lora_A.weight"):
            values = rng.standard_normal(shape, np.float32)
            model.write(name, values * np.float32(shape[1] ** -0.5))


def adapters_of(model) -> dict[str, tuple[str, int]]:
    """{a tensor of the base: (its adapter, its first row in B)}."""
    found, ends = {}, Counter()
    for name, shape, _ in model.tensors:
        place, _, kind = name.removesuffix(".weight").rpartition(".")
        for adapter in (f"{place}.{JOINED.get(kind)}", f"{place}.{kind}"):
            if f"{adapter}.lora_A.weight" in model.index:
                found[name] = adapter, ends[adapter]
                ends[adapter] += shape[0]
    return found


def save(model, folder, special: dict | None = None, stage: str | None = None) -> None:
    """Write the adapters of a model beside Model.base, their base, as hf.save writes a model."""
    family = family_of(replace(model.config, lora=0), model.family)
    known, r = adapters_of(model), model.config.lora
    shapes, reads, transposed = {}, {}, False
    for there, place in hf.places_of(model, family, model.config.context).items():
        if place.parts[0].name not in known:
            continue
        rows, cols = place.shape[::-1] if place.transposed else place.shape
        name = f"base_model.model.{there.removesuffix('.weight')}.lora_"
        shapes |= {f"{name}A.weight": (r, cols), f"{name}B.weight": (rows, r)}
        reads[f"{name}A.weight"] = partial(model.read, known[place.parts[0].name][0]
                                           + ".lora_A.weight")
        reads[f"{name}B.weight"] = partial(gather, model, known, place, rows)
        transposed |= place.transposed

    if model.config.scalar:
        shapes[HEAD], reads[HEAD] = (1, model.config.channels), partial(model.read, SCORE)

    def read(name):
        return hf.encoded("F32", hf.finite(name, reads[name]()))
    sums = {name: hf.checksum(read(name)) for name in shapes}
    modules = {".".join(NAME.fullmatch(name)[1].split(".")[-2:]) for name in shapes if name != HEAD}
    about = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "inference_mode": True,
             "base_model_name_or_path": model.base, "r": r, "lora_alpha": r, "lora_dropout": 0.0,
             "target_modules": sorted(modules), "fan_in_fan_out": transposed, "bias": "none"}
    about |= {"task_type": JUDGES, "modules_to_save": ["score"]} if model.config.scalar else {}
    write_files(Path(folder), {
        "generation_config.json": hf.generation(special, model.config.vocab, stage),
        CONFIG: to_json(about),
        WEIGHTS: hf.serialized("F32", shapes, read, {"format": "pt",
                                                     "checksums": json.dumps(sums)})})


def gather(model, known: dict[str, tuple[str, int]], place: Place, rows: int) -> np.ndarray:
    """B (rows, r) of a matrix of the file, which several of ours may be in."""
    B = np.empty((rows, model.config.lora), np.float32)
    for name, part in place.parts:
        adapter, first = known[name]
        size = model.tensors[model.index[name]][1][0]
        B[slice(None) if part is None else part] = \
            model.read(f"{adapter}.lora_B.weight")[first:first + size]
    return B
