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
from csrc.files import ChatError, lock, write_files
from csrc.hf import serialized

# ---- Checkpoints -------------------------------------------------------------------------------

STATE, PREVIOUS = "state.safetensors", "state.previous.safetensors"


def save_state(model: Model, folder: Path, progress: dict, settings: dict) -> None:
    """Everything to resume, in one file that appears whole or not at all; the one before is kept.
    Float32 weights and both moments; as metadata settings, progress and a CRC-32 of each."""
    shapes = {f"{what}.{name}": shape for what in ("weight", "moment1", "moment2")
              for name, shape, _ in model.tensors}

    def read(key):
        what, name = key.split(".", 1)
        return model.read(name, what)
    metadata = {"progress": json.dumps(progress), "settings": json.dumps(settings),
                "crc32": json.dumps({key: zlib.crc32(read(key)) for key in shapes})}
    new = STATE + ".new"
    write_files(folder, {new: serialized("F32", shapes, read, metadata)})
    if (folder / STATE).exists():
        os.replace(folder / STATE, folder / PREVIOUS)
    os.replace(folder / new, folder / STATE)


def read_settings(folder: Path) -> dict:
    """The settings in the newest state whose header can be read; none if there is no such."""
    for path in (folder / STATE, folder / PREVIOUS):
        with suppress(OSError, ValueError, KeyError, TypeError, SafetensorError):
            with safe_open(path, "np") as file:
                return json.loads(file.metadata()["settings"])
    return {}


def restore(job: Job, model: Model, tensors: dict | None) -> None:
    """Write what read_state gave to rank 0 into the model, on all ranks."""
    for what in ("weight", "moment1", "moment2"):
        for name, shape, _ in model.tensors:
            values = np.empty(shape, np.float32) if job.rank else tensors[f"{what}.{name}"]
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
                sums = json.loads(metadata["crc32"])
                tensors = {key: file.get_tensor(key) for key in file.keys()}
            damaged = [key for key in sums if zlib.crc32(tensors[key]) != sums[key]]
            if damaged:
                raise ChatError(f"{damaged[0]} does not match its checksum")
            if problems:
                print(f"{problems[0]}: using the checkpoint before it", file=sys.stderr)
            return json.loads(metadata["progress"]), json.loads(metadata["settings"]), tensors
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            problems.append(f"{path} cannot be used ({error})")
    raise ChatError(f"nothing to resume: {problems[0]}")


def save_model(model: Model, tokenizer, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    special = None
    if tokenizer:
        tokenizer.save(folder)
        special = tokenizer.generation()
    hf.save(model, folder, special)


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
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except (ValueError, KeyError):
                break                            # a line cut short by a kill
        if kept != lines:
            write_files(self.path, {self.log.name: ["".join(kept).encode()]})

    def write_log(self, entry: dict) -> None:
        with open(self.log, "a") as file:
            file.write(json.dumps(entry) + "\n")

    def plot(self, floors: dict[str, float]) -> None:
        """loss.png: both losses against steps, and what no model at all gets as dashed lines."""
        entries = [json.loads(line) for line in self.log.read_text().splitlines()]
        if not entries:
            return
        import matplotlib
        matplotlib.use("Agg")
        from matplotlib import pyplot
        figure, axes = pyplot.subplots(figsize=(8, 5))
        steps, losses = [e["step"] for e in entries], [e["loss"] for e in entries]
        axes.plot(steps, np.array(losses, float), color="C0", alpha=0.35, linewidth=1,
                  label="train")
        val = [(e["step"], e["val_loss"]) for e in entries if "val_loss" in e]
        if val:
            axes.plot(*zip(*val), "o-", color="C1", markersize=4,
                      label=f"validation ({val[-1][1]:.3f})")
        for (name, value), color in zip(floors.items(), ("0.75", "0.55", "0.35")):
            axes.axhline(value, linestyle="--", color=color, linewidth=1)
            axes.text(1, value, f"{name} {value:.2f}", color=color, fontsize=8, va="bottom",
                      ha="right", transform=axes.get_yaxis_transform())
        axes.set(xlabel="step", ylabel="loss (nats per token)", title=self.path.name,
                 ylim=(0, 1.1 * max(floors.values())))
        axes.legend(loc="center right")
        axes.grid(alpha=0.2)
        figure.tight_layout()
        figure.savefig(self.path / "loss.new.png", dpi=120)
        pyplot.close(figure)
        os.replace(self.path / "loss.new.png", self.path / "loss.png")


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


def newest_run(stage: str | None = None) -> Path:
    """The folder in runs/ whose state was written last; of a `stage`, if given."""
    states = sorted(Path("runs").glob(f"*/{STATE}"), key=lambda path: path.stat().st_mtime)
    for path in reversed(states):
        if stage in (None, read_settings(path.parent).get("stage", "pretrain")):
            return path.parent
    raise ChatError(f"there is no run {f'of {stage}' if stage else 'to resume'} in runs/: "
                    f"start one with `python train.py{f' {stage}' if stage else ''}`")


def free_name(stage: str) -> Path:
    name = "base" if stage == "pretrain" else stage
    names = (Path("runs") / (name if n == 1 else f"{name}-{n}") for n in range(1, 1000))
    return next(path for path in names if not path.exists())


def newest_model():
    """Return the folder in runs/ whose model was written last."""
    models = [*Path("runs").glob("*/model.safetensors")]
    if not models:
        raise FileNotFoundError("there is no model in runs/: train one first: python train.py")
    return max(models, key=os.path.getmtime).parent
