"""The folder of a run: checkpoints, the log and its picture; and who writes there.

Of the ranks of a job only rank 0 writes, but what it writes may be spread over all of them: see
`on_rank_0`."""

from __future__ import annotations

import json
import os
import resource
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from csrc import hf
from csrc.bind import Job, Model
from csrc.files import ChatError, from_json, lock, write_files
from csrc.hf import serialized
from csrc.plot import COLOURS, picture
from csrc.remote import local

# ---- Checkpoints -------------------------------------------------------------------------------

STATE, PREVIOUS = "state.safetensors", "state.previous.safetensors"
REFERENCE = "reference"          # the folder of the model that a run began with
MODEL_FILES = (".json", ".safetensors", ".model", ".txt", ".jinja")   # of a folder elsewhere


def save(model: Model, tokenizer, folder: Path, progress: dict, settings: dict) -> None:
    """The model as other programs read it and, last, everything to resume: float32 weights and both
    moments in a file that appears whole or not at all, as metadata settings, progress and a CRC-32
    of each tensor. The state before it is kept. ChatError, and nothing is written, where a tensor
    holds what is no number."""
    shapes = {f"{what}.{name}": shape for what in ("weight", "moment1", "moment2")
              for name, shape, _ in model.tensors}

    def read(key):
        what, name = key.split(".", 1)
        return model.read(name, what)
    sums = {}
    for key in shapes:
        values = read(key)
        if not np.isfinite(values).all():
            raise ChatError(f"{key} is not finite, start again from the last checkpoint with a "
                            f"lower --lr")
        sums[key] = zlib.crc32(values)
    save_model(model, tokenizer, folder, settings.get("stage"))
    metadata = {"progress": json.dumps(progress), "settings": json.dumps(settings),
                "crc32": json.dumps(sums)}
    new = STATE + ".new"
    write_files(folder, {new: serialized("F32", shapes, read, metadata)})
    if (folder / STATE).exists():
        os.replace(folder / STATE, folder / PREVIOUS)
    os.replace(folder / new, folder / STATE)


def save_model(model: Model, tokenizer, folder: Path, stage: str | None = None) -> None:
    """The model as a Hugging Face folder, with its tokenizer if there is one, and what stage of
    train.py it is of, if not pretraining."""
    folder.mkdir(exist_ok=True)
    if tokenizer:
        tokenizer.save(folder)
    hf.save(model, folder, tokenizer.generation() if tokenizer else None,
            None if stage == "pretrain" else stage)


def read_settings(folder: Path) -> dict:
    """The settings in the newest state whose header can be read; none if there is no such."""
    for path in (folder / STATE, folder / PREVIOUS):
        with suppress(OSError, ValueError, KeyError, TypeError, SafetensorError):
            with safe_open(path, "np") as file:
                return from_json(file.metadata()["settings"])
    return {}


def restore(job: Job, model: Model, tensors: dict | None) -> None:
    """Move what read_state gave to rank 0 into the model, on all ranks; `tensors` is empty then."""
    for what in ("weight", "moment1", "moment2"):
        for name, shape, _ in model.tensors:
            values = np.empty(shape, np.float32) if job.rank else tensors.pop(f"{what}.{name}")
            job.fill(values)
            model.write(name, values, what)


def read_state(folder: Path):
    """(progress, settings, tensors) of the newest whole state: the last or the one before."""
    problems = []
    for name in (STATE, PREVIOUS):
        path = folder / name
        try:
            with safe_open(path, "np") as file:
                metadata = file.metadata()
                sums = from_json(metadata["crc32"])
                tensors = {key: file.get_tensor(key) for key in file.keys()}
            damaged = [key for key in sums if zlib.crc32(tensors[key]) != sums[key]]
            if damaged:
                raise ChatError(f"{damaged[0]} does not match its checksum")
            if problems:
                print(f"{problems[0]}: using the checkpoint before it", file=sys.stderr)
            return from_json(metadata["progress"]), from_json(metadata["settings"]), tensors
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            problems.append(f"{path} cannot be used ({error})")
    raise ChatError(f"nothing to resume: {problems[0]}")


def on_rank_0(job: Job, model: Model, function, *args):
    """function(*args) on rank 0, its result on all. Meanwhile the others join in whatever it reads
    of a model that is spread over the ranks; if it fails between two tensors, they learn that."""
    if job.ranks == 1:
        return function(*args)
    if job.rank:
        while wanted := job.share():
            model.read(*wanted)
        return job.share()
    model.before_read = lambda *wanted: job.share(wanted)
    try:
        result = function(*args)
    finally:
        model.before_read = None
        job.share()
    return job.share(result)


class Folder:
    """The folder of a run, held by one process at a time."""

    def __init__(self, path: Path):
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.lock = open(path / ".lock", "w")
        lock(self.lock, path)
        self.log = path / "log.jsonl"

    def rewind_log(self, step: int) -> None:
        """Drop the lines of steps that the resumed run will take again."""
        lines = self.log.read_text().splitlines(keepends=True) if self.log.exists() else []
        kept = []
        for line in lines:
            try:
                if from_json(line)["step"] <= step:
                    kept.append(line)
            except (ValueError, KeyError):
                break                            # a line cut short by a kill
        if kept != lines:
            write_files(self.path, {self.log.name: ["".join(kept).encode()]})

    def write_log(self, entry: dict) -> None:
        with open(self.log, "a") as file:
            file.write(json.dumps(entry) + "\n")

    def plot(self, figure: str, baselines: dict[str, float]) -> None:
        """loss.png: the loss of training and the evaluations' `figure` against steps, on the same
        axes if that is a loss, too; the baselines as dashed lines."""
        entries = [from_json(line) for line in self.log.read_text().splitlines()]
        if not entries:
            return
        together = figure == "val_loss"
        with picture(self.path / "loss.png", 1, 1 if together else 2, squeeze=False) as (_, axes):
            left, right = axes[0, 0], axes[0, -1]
            left.plot([e["step"] for e in entries], np.array([e["loss"] for e in entries], float),
                      color=COLOURS[0], alpha=0.35, linewidth=1, label="train")
            points = [(e["step"], e[figure]) for e in entries if figure in e]
            if points:
                name = "validation" if together else figure
                right.plot(*zip(*points), "o-", color=COLOURS[1], markersize=4,
                           label=f"{name} ({points[-1][1]:.3f})")
            for (name, value), colour in zip(baselines.items(), ("0.75", "0.55", "0.35")):
                right.axhline(value, linestyle="--", color=colour, linewidth=1)
                right.text(1, value, f"{name} {value:.2f}", color=colour, fontsize=8, va="bottom",
                           ha="right", transform=right.get_yaxis_transform())
            left.set_ylabel("loss (nats per token)" if together else "loss")
            if together and baselines:
                left.set_ylim(0, 1.1 * max(baselines.values()))
            for part in {left, right}:
                part.set(xlabel="step", title=self.path.name)
                if part.get_legend_handles_labels()[0]:
                    part.legend(loc="center right")
                part.grid(alpha=0.2)


def attempt(what: str, function, *args) -> bool:
    """Write a file of the run; where that fails, say so and go on: the one before is intact."""
    try:
        function(*args)
        return True
    except (OSError, ChatError) as error:
        print(f"{what} not written: {error}; the one before is intact", file=sys.stderr)
        return False


def resident() -> float:
    """Bytes of memory that this process holds now (where the system does not tell: has held)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return peak()


def peak() -> float:
    """The most bytes of memory that this process has held."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def find_model(given) -> Path:
    """The folder of the model that a command is given, of an address that of a copy; without one
    the newest run's."""
    return local(given, MODEL_FILES) if given else newest_run()


def newest_run(stage: str | None = None, file: str = "model.safetensors") -> Path:
    """The folder in runs/, or up to two levels deeper, whose `file` was written last; of a `stage`,
    if given. What a run keeps beside its model, in best/ and reference/, is no run."""
    found = [path for depth in range(1, 4) for path in Path("runs").glob("*/" * depth + file)
             if path.parent.name not in ("best", REFERENCE)]
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
        if stage in (None, read_settings(path.parent).get("stage", "pretrain")):
            return path.parent
    what = f"run of {stage}" if stage else "run to resume" if file == STATE else "model"
    raise ChatError(f"there is no {what} in runs/: train one first: "
                    f"`python train.py{f' {stage}' if stage not in (None, 'pretrain') else ''}`")


def free_name(stage: str) -> Path:
    """The folder of a new run: runs/STAGE, of pretraining runs/base, or with -2, -3, ..."""
    name = "base" if stage == "pretrain" else stage
    names = (Path("runs") / (name if n == 1 else f"{name}-{n}") for n in range(1, 1000))
    return next(path for path in names if not path.exists())
