"""Train a GPT: `python train.py` pretrains one on the embedded corpus in minutes, on a laptop.

    python train.py                                    # a pocket world; then talk to it: infer.py
    python train.py --data book.txt --out runs/book    # text, JSON lines, folders, llm.c shards
    python train.py --resume                           # go on with the newest run, bit for bit
    python train.py --arch gpt2 --depth 12             # GPT-2's block; --depth is the one dial

A run folder is a Hugging Face model folder (config.json, model.safetensors, tokenizer.json) and
beside it state.safetensors (everything to resume), log.jsonl, loss.png and best/, the model with
the lowest validation loss. Cost: 6 FLOP per weight and token, 20 bytes of memory per weight beside
the activations. Documents are packed one after the other, each begins with <|endoftext|>, and a
window may see the end of the one before: attention is not masked between."""

from __future__ import annotations
import csrc.venv  # noqa: F401  (re-runs this script in the environment that `make` built)

import argparse
import dataclasses
import difflib
import fcntl
import itertools
import json
import math
import os
import resource
import signal
import sys
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from csrc import bind, hf
from csrc.bind import ChatError, Config, Library, Model
from csrc.files import serialized, write_files
from data import bpe, shards
from infer import Engine, Sequence, Settings

# ---- Settings: each field is a flag ------------------------------------------------------------

def flag(default, help):
    return dataclasses.field(default=default, metadata={"help": help})


@dataclass
class Pretrain:
    """Learn to predict the next token of documents."""
    data: str = flag("world", "text, .jsonl, folder or llm.c shards (.bin); "
                              "world: the embedded corpus")
    out: str | None = flag(None, "folder of the run; default runs/base, or base-2, ... "
                                 "if that exists")
    model: str | None = flag(None, "start from this model folder, not from random weights")
    resume: bool = flag(False, "go on with --out, or with the newest run, where it stopped")
    depth: int = flag(4, "layers; width and heads, rates and horizon follow from it")
    arch: str = flag("modern", "modern (RMSNorm, RoPE, QK-norm, SwiGLU) or gpt2")
    vocab_size: int | None = flag(None, "of the tokenizer learnt from the text; "
                                        "default by its size")
    context: int = flag(256, "tokens in a window, T")
    batch: int | None = flag(None, "windows in one pass, B; default 512 tokens a layer, "
                                   "at most 4096")
    batch_tokens: int | None = flag(None, "tokens in one step, by accumulation; "
                                          "default 512 a layer")
    steps: int | None = flag(None, "updates of the weights; default 70 to 120 depth^2")
    lr: float | None = flag(None, "peak learning rate; default by width")
    schedule: str = flag("cosine", "cosine, or wsd (warmup, stable, linear decay)")
    warmup: float = flag(0.02, "fraction of the steps over which the rate rises")
    decay: float = flag(0.3, "fraction of the steps over which wsd decays")
    final_lr: float = flag(0.05, "the last rate, as a fraction of the peak")
    weight_decay: float = flag(0.1, "AdamW's, on matrices only")
    beta1: float = flag(0.9, "AdamW's memory of gradients")
    beta2: float = flag(0.95, "AdamW's memory of their squares")
    clip: float = flag(1.0, "longest gradient; longer ones are scaled down")
    eval_every: int | None = flag(None, "steps between evaluations; default 20 a run")
    eval_tokens: int = flag(32768, "held-out tokens in an evaluation "
                                   "(in the last, 32 times as many)")
    sample_every: int | None = flag(None, "steps between samples; default 20 a run, 0: none")
    checkpoint_every: int | None = flag(None, "steps between checkpoints; default 5 a run")
    seed: int = flag(0, "of the weights, the order of the data and the samples")
    device: str = flag("auto", "auto, cpu or cuda")
    dtype: str = flag("auto", "auto (bf16 where this CPU has it), f32 or bf16")
    threads: int = flag(0, "threads of the library; 0: all")


STAGES = {"pretrain": Pretrain}
FREE_ON_RESUME = {"steps", "eval_every", "eval_tokens", "sample_every", "checkpoint_every",
                  "threads", "resume", "out"}


def positive(settings, *names):
    for name in names:
        value = getattr(settings, name)
        if value is not None and not value > 0:
            raise ChatError(f"--{name.replace('_', '-')} is {value}, but must be over 0")


def check(s: Pretrain) -> None:
    positive(s, "depth", "vocab_size", "context", "batch", "batch_tokens", "steps", "lr", "clip",
             "eval_every", "eval_tokens", "checkpoint_every")
    for name, known in (("arch", ("modern", "gpt2")), ("schedule", ("cosine", "wsd")),
                        ("device", ("auto", "cpu", "cuda")), ("dtype", ("auto", "f32", "bf16"))):
        if getattr(s, name) not in known:
            raise ChatError(f"--{name} is {getattr(s, name)!r}, but must be one of "
                            f"{', '.join(known)}")
    for name in ("warmup", "decay", "final_lr", "beta1", "beta2"):
        if not 0 <= getattr(s, name) < 1:
            raise ChatError(f"--{name.replace('_', '-')} is {getattr(s, name)}, "
                            f"but must be in [0, 1)")


def architecture(s: Pretrain, vocab: int) -> Config:
    """The model that --depth and --arch mean: 64 channels and one head of 64 a layer."""
    channels = 64 * s.depth
    common = dict(vocab=vocab, context=s.context, layers=s.depth, channels=channels,
                  heads=s.depth, kv_heads=s.depth, head_dim=64)
    if s.arch == "gpt2":
        return Config(**common, hidden=4 * channels, norm=bind.LAYERNORM, position=bind.LEARNED,
                      activation=bind.GELU, bias=bind.BIAS_ALL, qk_norm=0, norm_eps=1e-5)
    return Config(**common, hidden=math.ceil(channels * 8 / 3 / 64) * 64)


# ---- Data --------------------------------------------------------------------------------------

class Loader:
    """Windows of T+1 tokens, shuffled by epoch, forever: an epoch starts all windows at one random
    offset and deals them out in one random order; both follow from (seed, epoch) alone, so (epoch,
    index) is the whole position. Rank r of `ranks` takes every ranks-th window."""
    def __init__(self, paths, T, vocab, seed=0, rank=0, ranks=1, held_out=0):
        """held_out: leave that many windows at the end of the last shard alone."""
        self.paths, self.T, self.vocab, self.seed = paths, T, vocab, seed
        self.rank, self.ranks = rank, ranks
        self.shards = [shards.open_shard(path) for path in paths]
        self.sizes = [path.stat().st_size for path in paths]
        self.tokens = sum(map(len, self.shards)) - held_out * T
        self.windows = [max(0, (len(shard) - 1) // T) for shard in self.shards]
        self.windows[-1] = max(0, self.windows[-1] - held_out)
        if sum(self.windows) < ranks:
            raise ChatError(f"{paths[0]}: {self.tokens} tokens are less than a window of {T + 1} "
                            f"for each of {ranks}: use a smaller --context or more text")
        self.epoch, self.index = 0, 0
        self._deal()

    def _deal(self):
        rng = np.random.default_rng((self.seed, self.epoch))
        # A window fewer in each shard leaves room for the offset; a shard of one has no room.
        counts = [n - 1 if n > 1 else n for n in self.windows]
        self.shift = int(rng.integers(self.T))
        self.bounds = np.cumsum([0, *counts])
        order = rng.permutation(self.bounds[-1])
        self.order = order[self.rank:len(order) - len(order) % self.ranks:self.ranks]

    def _window(self, i):
        shard = int(np.searchsorted(self.bounds, i, "right")) - 1
        if os.stat(self.paths[shard]).st_size != self.sizes[shard]:
            raise ChatError(f"{self.paths[shard]}: the file changed its size "
                            f"while training reads it")
        start = (i - self.bounds[shard]) * self.T + (self.shift if self.windows[shard] > 1 else 0)
        window = self.shards[shard][start:start + self.T + 1]
        if window.max() >= self.vocab:
            at = int(np.argmax(window >= self.vocab))
            raise ChatError(f"{self.paths[shard]}: token {window[at]} at {start + at} is outside "
                            f"the vocabulary of {self.vocab}")
        return window

    def next(self, B):
        """(B,T+1) int32 tokens; moves on."""
        rows = np.empty((B, self.T + 1), np.int32)
        for row in rows:
            if self.index == len(self.order):
                self.epoch, self.index = self.epoch + 1, 0
                self._deal()
            row[:] = self._window(self.order[self.index])
            self.index += 1
        return rows

    def seek(self, epoch, index):
        self.epoch, self.index = epoch, index
        self._deal()


class Data:
    """What pretraining reads: training windows, held-out windows, the tokenizer if there is one."""
    def __init__(self, s: Pretrain):
        folder = shards.prepare(s.data, vocab_size=s.vocab_size or default_vocab_size(s.data),
                                tokenizer=s.model)
        train, val = shards.find_shards(folder)
        self.tokenizer = None
        for place in (folder if folder.is_dir() else folder.parent, s.model):
            if place and self.tokenizer is None and (Path(place) / "tokenizer.json").exists():
                self.tokenizer = bpe.Tokenizer.load(place)
        if self.tokenizer:
            self.vocab = self.tokenizer.vocab_size
        else:
            self.vocab = max(int(shards.open_shard(path).max()) for path in train + val) + 1
        # Shards without a held-out one: the last tenth of the last, at most about a million tokens.
        tail = 0
        if not val:
            last = shards.open_shard(train[-1])
            tail = max(1, min(len(last) // 10, 1 << 20) // s.context)
            self.val = last[-(tail * s.context + 1):]
        else:
            most = 32 * s.eval_tokens + 1
            self.val = np.concatenate([shards.open_shard(path)[:most] for path in val])[:most]
        self.loader = Loader(train, s.context, self.vocab, s.seed, held_out=tail)
        self.identity = [self.loader.tokens, len(self.val)]      # and the head of each shard
        self.identity += [zlib.crc32(shard[:10_000_000]) for shard in self.loader.shards]
        if len(self.val) < 2:
            raise ChatError(f"{folder}: {len(self.val)} held-out tokens are too few to evaluate on")

    def val_rows(self, T, limit):
        """(n,T+1) held-out windows in order, up to `limit` tokens; a short set is one short row."""
        T = min(T, len(self.val) - 1)
        n = min((len(self.val) - 1) // T, max(1, limit // T))
        return np.stack([self.val[i * T:i * T + T + 1] for i in range(n)]).astype(np.int32)


def default_vocab_size(source) -> int:
    """1024, 2048, 4096: the first with under 1000 bytes of text a token: rare ones learn little."""
    if source == shards.WORLD:
        return 4096
    try:
        size = sum(path.stat().st_size for path in shards.find_files([source]))
    except (OSError, ValueError):
        return 4096                              # prepare() explains what is wrong
    return next((v for v in (1024, 2048) if size < 1000 * v), 4096)


def entropies(tokens, vocab: int) -> dict[str, float]:
    """What no model at all gets, nats a token: knowing nothing, frequencies, the token before."""
    tokens = np.asarray(tokens[:10_000_000], np.int64)
    unigram = np.bincount(tokens, minlength=vocab)
    bigram = np.unique(tokens[:-1] * vocab + tokens[1:], return_counts=True)[1]

    def entropy(counts):
        p = counts[counts > 0] / counts.sum()
        return float(-(p * np.log(p)).sum())
    return {"uniform (ln V)": math.log(vocab), "unigram entropy": entropy(unigram),
            "bigram entropy": entropy(bigram) - entropy(unigram)}


def pretrain_batches(loader: Loader, B: int, passes: int):
    """For each pass tokens, targets, first (none), weights = dLoss/dnll of the step's mean."""
    weights = np.full((B, loader.T), 1 / (B * loader.T * passes), np.float32)
    while True:
        rows = loader.next(B)
        yield rows[:, :-1], rows[:, 1:], None, weights


# ---- Schedule and guard ------------------------------------------------------------------------

def learning_rate(s: Pretrain, step: int) -> float:
    """The rate of update `step`, from 0: linear warmup, then cosine, or stable and linear decay."""
    warmup = max(1, round(s.warmup * s.steps))
    if step < warmup:
        return s.lr * (step + 1) / warmup
    if s.schedule == "cosine":
        done = (step - warmup) / max(1, s.steps - warmup)
        return s.lr * (s.final_lr + (1 - s.final_lr) * 0.5 * (1 + math.cos(math.pi * done)))
    left = (s.steps - step) / max(1, round(s.decay * s.steps))
    return s.lr * (s.final_lr + (1 - s.final_lr) * min(1.0, left))


def why_skip(loss: float, norm: float, recent: list[float]) -> str | None:
    """Why not to take a step: not a number, or a gradient ten times the median of recent ones."""
    if not math.isfinite(loss) or not math.isfinite(norm):
        return f"loss {loss}, gradient norm {norm}"
    if len(recent) >= 50 and norm > 10 * float(np.median(recent)):
        return f"gradient norm {norm:.3g} is over 10 times the recent {np.median(recent):.3g}"
    return None


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
                raise ValueError(f"{damaged[0]} does not match its checksum")
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
        if bpe.END in tokenizer.specials:
            begin, end = tokenizer.special(bpe.BEGIN), tokenizer.special(bpe.END)
            special = {"bos": begin, "pad": begin, "eos": end, "stop": [end, begin]}
    hf.save(model, folder, special)


class Folder:
    """The folder of a run, held by one process at a time."""
    def __init__(self, path: Path):
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.lock = open(path / ".lock", "w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ChatError(f"{path}: another process is training there") from None
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
            bpe.write_file(self.log, "".join(kept))

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


# ---- The loop ----------------------------------------------------------------------------------

def evaluate(model: Model, data: Data, B: int, limit: int) -> dict[str, float]:
    """val_loss: nats a token; val_bpb: bits per byte of raw text (special tokens have no bytes)."""
    rows = data.val_rows(data.loader.T, limit)
    nll = np.concatenate([model.forward(rows[i:i + B, :-1], rows[i:i + B, 1:]).astype(np.float64)
                          for i in range(0, len(rows), B)])
    figures = {"val_loss": float(nll.mean())}
    if data.tokenizer:
        size = data.tokenizer.byte_lengths[rows[:, 1:]].sum()
        figures["val_bpb"] = float(nll.sum() / math.log(2) / size)
    return figures


def describe(figures: dict[str, float]) -> str:
    bits = f", {figures['val_bpb']:.4f} bits per byte" if "val_bpb" in figures else ""
    return f"{figures['val_loss']:.4f} nats per token{bits}"


class Progress:
    """A run's line: step, loss, gradient norm, rate, tokens/s, share of the peak, time left."""
    def __init__(self, s: Pretrain, model: Model, spent: float):
        c = model.config
        matrices = sum(int(np.prod(shape)) for name, shape, matrix in model.tensors
                       if matrix and name != "model.positions.weight"
                       and not (name == "model.embed_tokens.weight" and not c.tied))
        # 6 FLOP a weight; queries by keys and probabilities by values, causal: half of T each.
        self.flop = 6 * matrices + 6 * c.layers * c.heads * c.head_dim * s.context
        self.core, self.peak = model.core, 0.0
        self.steps, self.tokens, self.start = s.steps, s.batch_tokens, time.time() - spent
        self.rate = 0.0
        self.measure()

    def measure(self) -> None:
        """The machine's peak. Other processes can only hide it: the best measurement counts."""
        self.peak = max(self.peak, self.core.call("device_peak"))

    def elapsed(self) -> float:
        return time.time() - self.start

    def took(self, seconds: float) -> None:
        rate = self.tokens / seconds
        self.rate = 0.9 * self.rate + 0.1 * rate if self.rate else rate

    def line(self, step: int, loss: float, norm: float, lr: float) -> str:
        left = (self.steps - step) * self.tokens / self.rate
        return (f"step {step}/{self.steps}  loss {loss:.4f}  norm {norm:.3f}  lr {lr:.2e}  "
                f"{self.rate:,.0f} tok/s  {100 * self.rate * self.flop / self.peak:.0f} % of peak  "
                f"{int(left) // 60}m{int(left) % 60:02d}s left")


def accumulate(model: Model, batches, passes: int) -> tuple[float, float]:
    """Add the gradients of a step's passes; returns its mean loss and the norm of its gradient."""
    model.zero_grad()
    loss = 0.0
    for tokens, targets, first, weights in itertools.islice(batches, passes):
        loss += float((model.forward(tokens, targets, first, weights) * weights).sum())
        model.backward()
    return loss, model.grad_norm()


def attempt(what: str, function, *args) -> bool:
    """Write a file of the run; where that fails, say so and go on: the one before is intact."""
    try:
        function(*args)
        return True
    except (OSError, ChatError) as error:
        print(f"{what} not written: {error}; the one before is intact", file=sys.stderr)
        return False


def train(s: Pretrain, folder: Folder, data: Data, model: Model, state=None,
          stop=lambda step: False):
    """The loop of all stages; returns the last evaluation's figures. s is from `complete`, state
    from read_state; stop(step), asked before each step, leaves with a checkpoint where true."""
    progress = {"step": 0, "updates": 0, "epoch": 0, "index": 0, "time": 0.0, "recent": [],
                "best": math.inf, "data": data.identity}
    if state:
        progress = state[0]
        if progress["data"] != data.identity:
            raise ChatError(f"{s.data} is not what the run was trained on: it has other tokens now")
        for key, value in state[2].items():
            what, name = key.split(".", 1)
            model.write(name, value, what)
        data.loader.seek(progress["epoch"], progress["index"])
    folder.rewind_log(progress["step"])
    passes = s.batch_tokens // (s.batch * s.context)
    batches = pretrain_batches(data.loader, s.batch, passes)
    floors = entropies(data.loader.shards[0], data.vocab)
    print("no model at all gets  " + ", ".join(f"{k} {v:.3f}" for k, v in floors.items()) + " nats")
    report = Progress(s, model, progress["time"])
    engine = Engine(model, data.tokenizer) if data.tokenizer and s.sample_every else None
    recent, figures, skipped, saved = progress["recent"], {}, 0, None

    def checkpoint() -> int | None:
        progress.update(epoch=data.loader.epoch, index=data.loader.index, time=report.elapsed())
        attempt("loss.png", folder.plot, floors)
        whole = attempt("model", save_model, model, data.tokenizer, folder.path) and \
            attempt("checkpoint", save_state, model, folder.path, progress, dataclasses.asdict(s))
        return progress["step"] if whole else None

    while progress["step"] < s.steps and not stop(progress["step"]):
        began, lr = time.time(), learning_rate(s, progress["step"])
        loss, norm = accumulate(model, batches, passes)
        reason = why_skip(loss, norm, recent)
        if math.isfinite(norm):
            recent[:] = recent[-99:] + [norm]
        skipped = skipped + 1 if reason else 0
        if not reason:
            progress["updates"] += 1
            model.update(progress["updates"], lr, s.beta1, s.beta2, 1e-8, s.weight_decay,
                         min(1.0, s.clip / (norm + 1e-6)))
        report.took(time.time() - began)
        progress["step"] = step = progress["step"] + 1
        if reason:
            print(f"step {step} skipped: {reason} (data: epoch {data.loader.epoch}, "
                  f"window {data.loader.index})", file=sys.stderr)
        if skipped == 10:
            raise ChatError(f"10 steps in a row could not be taken ({reason}); the last checkpoint "
                            f"is intact: --resume it, or start anew with a lower --lr")
        last = step == s.steps
        entry = {"step": step, "loss": loss if math.isfinite(loss) else None, "lr": lr,
                 "grad_norm": norm if math.isfinite(norm) else None,
                 "tok_per_s": round(report.rate), "time": round(report.elapsed(), 2)}
        if step % s.eval_every == 0 or last:
            figures = evaluate(model, data, s.batch, s.eval_tokens * (32 if last else 1))
            entry.update(figures)
            print(f"step {step}/{s.steps}  validation: {describe(figures)}")
            if figures["val_loss"] < progress["best"]:
                progress["best"] = figures["val_loss"]
                attempt("best model", save_model, model, data.tokenizer, folder.path / "best")
        attempt("log", folder.write_log, entry)
        if step % max(1, s.steps // 100) == 0 or step == 1 or last:
            report.measure()
            print(report.line(step, loss, norm, lr), flush=True)
        if engine and step % s.sample_every == 0:
            print(f"--- {sample_text(engine, s.seed)}\n", flush=True)
        if step % s.checkpoint_every == 0 or last:
            saved = checkpoint()
    if saved != progress["step"] and checkpoint() is None:
        raise ChatError(f"step {progress['step']} is not saved: make room in {folder.path} "
                        f"and --resume")
    return figures


def sample_text(engine: Engine, seed: int, length: int = 80) -> str:
    """How a document begins, as the model writes it by now."""
    sequence = Sequence(engine.encode(""), Settings(max_tokens=length, seed=seed))
    return "".join(text for _, _, _, text in engine.generate([sequence]))


# ---- From flags to a run -----------------------------------------------------------------------

def complete(s: Pretrain, data: Data, config: Config) -> Pretrain:
    """The settings with every default that depends on others filled in."""
    rows = s.batch or max(1, min(512 * s.depth, 4096) // s.context)
    one_pass = rows * s.context
    batch_tokens = s.batch_tokens or max(1, 512 * s.depth // one_pass) * one_pass
    if batch_tokens % one_pass:
        raise ChatError(f"--batch-tokens {batch_tokens} is not a multiple of --batch {rows} times "
                        f"--context {s.context} = {one_pass}")
    epochs = 6 * data.loader.tokens // batch_tokens          # more of them only learn it by heart
    steps = s.steps or min(max(epochs, 70 * s.depth ** 2), 120 * s.depth ** 2)
    each = max(1, steps // 20)
    return dataclasses.replace(
        s, batch=rows, batch_tokens=batch_tokens, steps=steps, vocab_size=data.vocab,
        lr=s.lr or 2e-3 * (256 / config.channels) ** 0.5, eval_every=s.eval_every or each,
        sample_every=each if s.sample_every is None else s.sample_every,
        checkpoint_every=s.checkpoint_every or max(1, steps // 5))


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


def expect_memory(s: Pretrain, config: Config) -> float:
    """Bytes that the run will hold at its peak; ChatError if the machine has less."""
    import matplotlib.pyplot  # noqa: F401  (here, so that it counts as held already)
    core = Library.load(s.device, s.dtype)
    drawing = 15e6                               # loss.png: fonts, a canvas
    writing = 6 * 4 * config.channels * max(config.vocab, config.hidden)   # copies of a tensor
    need = max(peak(), resident() + sum(core.memory(config, bind.TRAINS, s.batch * s.context).values())
               + drawing + writing)
    have = core.call("device_memory")
    if need > have:
        raise ChatError(f"this run needs {need / 1e9:.1f} GB of memory, and the machine has "
                        f"{have / 1e9:.1f} GB: use a smaller --batch, --context or --depth")
    return need


def newest_run() -> Path:
    states = sorted(Path("runs").glob(f"*/{STATE}"), key=lambda path: path.stat().st_mtime)
    if not states:
        raise ChatError("there is no run to resume in runs/: start one with `python train.py`")
    return states[-1].parent


def free_name(stage: str) -> Path:
    names = (Path("runs") / (stage if n == 1 else f"{stage}-{n}") for n in range(1, 1000))
    return next(path for path in names if not path.exists())


def resumed(s: Pretrain, given: set[str], saved: dict) -> Pretrain:
    """The saved settings with flags that leave the result alone and --steps, which is announced."""
    for name in sorted(given - FREE_ON_RESUME):
        if getattr(s, name) != saved[name]:
            raise ChatError(f"--{name.replace('_', '-')} {getattr(s, name)} differs from the run's "
                            f"{saved[name]}: leave it out to resume, or start a new run")
    free = {name: getattr(s, name) for name in given & FREE_ON_RESUME}
    if free.get("steps", saved["steps"]) != saved["steps"]:
        print(f"resuming with {free['steps']} steps, not {saved['steps']}: "
              f"the learning rate follows")
    return Pretrain(**{**saved, **free})


def run(s: Pretrain, given: set[str]) -> None:
    check(s)
    path = Path(s.out) if s.out else newest_run() if s.resume else free_name("base")
    if s.resume and not path.is_dir():
        raise ChatError(f"--resume: there is no run in {path}")
    if not s.resume and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ChatError(f"--out {path} exists: give another, or --resume to go on with it")
    folder = state = None
    if s.resume:
        folder, state = Folder(path), read_state(path)
        s = resumed(s, given, state[1])
    device, dtype = Library.choose(s.device, s.dtype)
    s = dataclasses.replace(s, out=str(path), device=device, dtype=dtype)
    data = Data(s)
    if s.resume and data.vocab != s.vocab_size:
        raise ChatError(f"{s.data}: {data.vocab} tokens in its vocabulary, "
                        f"the run has {s.vocab_size}")
    changes = {}
    if s.model:
        c = hf.configuration(s.model)[2]
        if s.context > c.context:                # RoPE goes on; learned positions end: an error
            changes = {"context": s.context}
            c = hf.configuration(s.model, **changes)[2]
    else:
        c = architecture(s, data.vocab)
    s = complete(s, data, c)
    memory = expect_memory(s, c)
    model = Model.load(s.model, device, dtype, **changes) if s.model else \
        Model.create(c, device, dtype, s.seed)
    threads = model.core.call("device_threads", s.threads)
    print(f"{path}: {c.layers} layers, {c.channels} channels, {c.heads} heads, "
          f"vocabulary {c.vocab}: {model.parameters / 1e6:.2f} M parameters\n"
          f"{data.loader.tokens:,} tokens of training text, {len(data.val):,} held out; "
          f"{s.steps} steps of {s.batch_tokens} tokens "
          f"({s.steps * s.batch_tokens / data.loader.tokens:.1f} epochs)\n"
          f"{model.core.ffi.string(model.core.lib.device_name()).decode()}, {threads} threads; "
          f"{memory / 1e6:,.0f} MB of memory at the peak")
    folder = folder or Folder(path)              # only now: what failed so far has left nothing
    stopped = []

    def interrupt(*_):
        if stopped:
            raise KeyboardInterrupt
        stopped.append(True)
        print("\nstopping after this step (again: at once)", file=sys.stderr)

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    figures = train(s, folder, data, model, state, stop=lambda step: bool(stopped))
    if stopped:
        print(f"stopped; go on with: python train.py --resume --out {path}")
    else:
        if figures:
            print(f"validation: {describe(figures)}; {peak() / 1e6:,.0f} MB of memory at the peak")
        print(f"{path}: model, log.jsonl, loss.png; talk to it: python infer.py --model {path}")


def parse(argv: list[str]):
    """(settings, names of the flags given). The first word may be a stage."""
    stage = argv[0] if argv and not argv[0].startswith("-") else "pretrain"
    if stage not in STAGES:
        near = difflib.get_close_matches(stage, STAGES, 1) or list(STAGES)
        raise ChatError(f"there is no stage {stage!r}; did you mean {near[0]!r}?")
    fields = dataclasses.fields(STAGES[stage])
    parser = argparse.ArgumentParser(
        prog=f"train.py {stage}", description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter, argument_default=argparse.SUPPRESS)
    for field in fields:
        name, kind = "--" + field.name.replace("_", "-"), str(field.type).removesuffix(" | None")
        text = field.metadata["help"] + ("" if field.default in (None, False)
                                          else f" ({field.default})")
        if kind == "bool":
            parser.add_argument(name, action="store_true", help=text)
        else:
            parser.add_argument(name, type={"int": int, "float": float}.get(kind, str), help=text,
                                metavar={"int": "N", "float": "X"}.get(kind, "S"))
    given, unknown = parser.parse_known_args(argv[1:] if argv[:1] == [stage] else argv)
    if unknown:
        flags = ["--" + field.name.replace("_", "-") for field in fields]
        near = difflib.get_close_matches(unknown[0], flags, 1, 0)
        raise ChatError(f"there is no flag {unknown[0]!r}; the nearest is {near[0]!r} "
                        f"(-h lists them)")
    return STAGES[stage](**vars(given)), set(vars(given))


if __name__ == "__main__":
    bpe.run(lambda: run(*parse(sys.argv[1:])))
