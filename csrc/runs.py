"""The folder of a run: checkpoints, the log and its picture; and who writes there.

Of the ranks of a job only rank 0 writes, but what it writes may be spread over all of them: see
`on_rank_0`."""

from __future__ import annotations

import json
import os
import resource
import sys
import zlib
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from csrc import hf
from csrc.adapter import is_adapter
from csrc.bind import Job, Model
from csrc.files import ChatError, from_json, locked, write_files
from csrc.hf import serialized
from csrc.plot import COLOURS, picture
from csrc.remote import local

# ---- Checkpoints -------------------------------------------------------------------------------

STATE, PREVIOUS = "state.safetensors", "state.previous.safetensors"
BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError,
          SafetensorError)       # what reading a state may raise that is damaged or foreign
METADATA = "progress", "settings"
REFERENCE = "reference"          # the folder of the model that a run began with
MODEL_FILES = (".json", ".safetensors", ".model", ".txt", ".jinja")   # of a folder elsewhere


CRITIC = "critic."               # before the names of tensors of a critic, which no rank shares


def state_of(model: Model, critic: Model | None = None) -> dict[str, tuple]:
    """{key: (shape, model, name, what)} of all that training goes on from."""
    return {f"{prefix}{what}.{name}": (shape, one, name, what)
            for prefix, one in (("", model), (CRITIC, critic)) if one
            for what in ("weight", "moment1", "moment2")
            for name, shape, _ in one.tensors if name not in one.frozen
            and not (what == "moment2" and name in one.by_muon)}


def save(model: Model, tokenizer, folder: Path, progress: dict, settings: dict,
         critic: Model | None = None) -> None:
    """The model as other programs read it and, last, everything to resume: float32 weights and both
    moments of what it learns, in a file that appears whole or not at all, as metadata settings,
    progress and a CRC-32 of each of these and of each tensor. The state before it is kept.
    ChatError, and nothing is written, where a tensor holds what is no number."""
    state = state_of(model, critic)
    shapes = {key: shape for key, (shape, *_) in state.items()}

    def read(key):
        _, one, name, what = state[key]
        return one.read(name, what)
    metadata = {"progress": json.dumps(progress, default=np.ndarray.tolist),
                "settings": json.dumps(settings)}
    sums = {key: zlib.crc32(text.encode()) for key, text in metadata.items()}
    sums |= {key: zlib.crc32(hf.finite(key, read(key))) for key in shapes}
    save_model(model, tokenizer, folder, settings.get("stage"))
    metadata["crc32"] = json.dumps(sums)
    new = STATE + ".new"
    write_files(folder, {new: serialized("F32", shapes, read, metadata)})
    if (folder / STATE).exists():
        os.replace(folder / STATE, folder / PREVIOUS)
    os.replace(folder / new, folder / STATE)


def save_model(model: Model, tokenizer, folder: Path, stage: str | None = None) -> None:
    """The model as a Hugging Face folder, or PEFT's of its adapters, with its tokenizer if there is
    one, and what stage of train.py it is of, if not pretraining."""
    folder.mkdir(exist_ok=True)
    if tokenizer:
        tokenizer.save(folder)
    model.save(folder, tokenizer.generation() if tokenizer else None,
               None if stage == "pretrain" else stage)


def read_settings(folder: Path) -> dict:
    """The settings in the newest state whose header can be read; none if there is no such."""
    for path in (folder / STATE, folder / PREVIOUS):
        with suppress(*BROKEN), safe_open(path, "np") as file:
            return read_metadata(file, "settings")
    return {}


def read_metadata(file, key: str) -> dict:
    """The "progress" or the "settings" of an open state; one of BROKEN where a bit differs. An
    older version's have no checksums."""
    text, sums = file.metadata()[key], from_json(file.metadata().get("crc32", "{}"))
    if zlib.crc32(text.encode()) != sums.get(key, zlib.crc32(text.encode())):
        raise ChatError(f"its {key} do not match their checksum")
    value = from_json(text)
    if type(value) is not dict:
        raise ChatError(f"its {key} are malformed")
    return value


def check_progress(progress: dict) -> None:
    """One of BROKEN where progress is not what train.py tells `save`."""
    numbers = progress["time"], *progress["recent"], *progress["baselines"].values()
    if not all(type(progress[key]) is int and progress[key] >= 0
               for key in ("step", "updates", "epoch", "index")) \
            or not all(type(number) in (int, float) for number in numbers) \
            or type(progress["best"]) not in (int, float, type(None)) \
            or type(progress.get("identity", {})) is not dict:
        raise ChatError("its progress is malformed")


def restore(job: Job, model: Model, tensors: dict | None, critic: Model | None = None) -> None:
    """Move what read_state gave to rank 0 into the model, on all ranks; `tensors` is empty then.
    ChatError if they are another model's."""
    state = state_of(model, critic)
    shapes = {key: shape for key, (shape, *_) in state.items()}
    if not job.rank and shapes != {key: values.shape for key, values in tensors.items()}:
        raise ChatError("the state's tensors are not those of the model that its settings describe")
    for key, (shape, one, name, what) in state.items():
        values = np.empty(shape, np.float32) if job.rank else tensors.pop(key)
        job.fill(values)
        one.write(name, values, what)


def read_state(folder: Path):
    """(progress, settings, tensors) of the newest whole state: the last or the one before."""
    problems = []
    for name in (STATE, PREVIOUS):
        path = folder / name
        try:
            with safe_open(path, "np") as file:
                progress, settings = (read_metadata(file, key) for key in METADATA)
                sums = from_json(file.metadata()["crc32"])
                tensors = {key: file.get_tensor(key) for key in file.keys()}
            check_progress(progress)
            for key in sorted(sums.keys() - METADATA | tensors.keys()):
                if zlib.crc32(tensors[key]) != sums[key]:
                    raise ChatError(f"{key} does not match its checksum")
            if problems:
                tell(f"{problems[0]}: using the checkpoint before it", sys.stderr)
            return progress, settings, tensors
        except BROKEN as error:
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
        self.path, self.log, self.lock = path, path / "log.jsonl", ExitStack()
        self.cut = False         # whether the last line of the log may be incomplete
        self.lock.enter_context(locked(path))
        for link in (self.log, path / "best", path / REFERENCE):
            if link.is_symlink():                # a foreign run's could lead anywhere
                raise ChatError(f"{link} is a symbolic link, through which this run would write "
                                f"elsewhere: put what it leads to in its place")

    def entries(self) -> list[dict]:
        """The lines of the log, but for those that a kill or a full disk cut short."""
        found = []
        for line in self.log.read_bytes().splitlines() if self.log.exists() else []:
            with suppress(ValueError, KeyError, TypeError):
                entry = from_json(line)
                found += [entry] * (entry["step"] >= 0 and "loss" in entry)
        return found

    def rewind_log(self, step: int) -> None:
        """Drop the lines of steps that the resumed run will take again."""
        kept = "".join(json.dumps(entry) + "\n" for entry in self.entries()
                       if entry["step"] <= step).encode()
        if self.log.exists() and kept != self.log.read_bytes():
            write_files(self.path, {self.log.name: [kept]})

    def write_log(self, entry: dict) -> None:
        """Add a line; after one that a full disk cut short, it begins a new one all the same."""
        line, self.cut = "\n" * self.cut + json.dumps(entry) + "\n", True
        with open(self.log, "a") as file:
            file.write(line)
        self.cut = False

    def plot(self, figure: str, baselines: dict[str, float], others: tuple = ()) -> None:
        """loss.png: the loss of training and the evaluations' `figure` against steps, on the same
        axes if that is a loss, too; the baselines as dashed lines. Each of `others` that the log
        has is below them."""
        entries = self.entries()
        if not entries:
            return
        together = figure == "val_loss"
        others = [name for name in others if any(name in entry for entry in entries)]
        columns, rows = 1 if together else 2, 1 + (len(others) + 1) // 2
        with picture(self.path / "loss.png", rows, columns, (8, 2 + 3 * rows),
                     squeeze=False) as (_, axes):
            left, right = axes[0, 0], axes[0, -1]
            for part in axes[1:].flat[len(others):]:
                part.axis("off")
            for name, part in zip(others, axes[1:].flat):
                points = [(e["step"], e[name]) for e in entries if name in e]
                part.plot(*zip(*points), color=COLOURS[2], linewidth=1)
                part.set(xlabel="step", ylabel=name)
                part.grid(alpha=0.2)
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
    """Write a file of the run; where that fails, whatever the reason, say so and go on: the one
    before is intact."""
    try:
        function(*args)
        return True
    except Exception as error:
        tell(f"{what} not written: {error or type(error).__name__}; the one before is intact",
             sys.stderr)
        return False


def tell(line: str, file=None) -> None:
    """Print a line, to stdout if no file is given; where it cannot be written, as on a full disk or
    where nobody reads any more, the run goes on without."""
    with suppress(OSError, ValueError):
        print(line, file=file, flush=True)


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
    """The folder, or the GGUF file, of the model or the adapter that a command is given, of an
    address that of a copy; without one the newest run's. FileNotFoundError if there is no model. A
    folder whose only model is a GGUF file is that file."""
    path = local(given, MODEL_FILES) if given else newest_run()
    if path.is_dir() and not holds_model(path):
        files = [*path.glob("*.gguf")]
        path = files[0] if len(files) == 1 else path
    if not holds_model(path):
        raise FileNotFoundError(f"{path}: there is no model in it (no config.json)")
    return path


def holds_model(path: Path) -> bool:
    """Whether there is a model, an adapter, or at least a file, at a path."""
    return path.is_file() or (path / "config.json").is_file() or is_adapter(path)


def newest_run(stage: str | None = None, file: str = "*model.safetensors") -> Path:
    """The folder in runs/, or up to two levels deeper, whose `file`, a model's or an adapter's, was
    written last; of a `stage`, if given; else no reward model's. What a run keeps beside its
    model, in best/ and reference/, is no run."""
    found = [path for depth in range(1, 4) for path in Path("runs").glob("*/" * depth + file)
             if path.parent.name not in ("best", REFERENCE)]
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
        its = read_settings(path.parent).get("stage", "pretrain")
        if its == stage or not stage and (its != "reward" or file == STATE):
            return path.parent
    what = f"run of {stage}" if stage else "run to resume" if file == STATE else "model"
    raise ChatError(f"there is no {what} in runs/: train one first: "
                    f"`python train.py{f' {stage}' if stage not in (None, 'pretrain') else ''}`")


def free_name(stage: str) -> Path:
    """The folder of a new run: runs/STAGE, of pretraining runs/base, or with -2, -3, ..."""
    name = "base" if stage == "pretrain" else stage
    names = (Path("runs") / (name if n == 1 else f"{name}-{n}") for n in range(1, 1000))
    return next(path for path in names if not path.exists())
