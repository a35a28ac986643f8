"""How a run is launched, and told of while it goes: its memory, its settings where it is resumed,
the lines that are printed.

In all of this `s` is a dataclass of settings of train.py, with every default filled in.
"""

from __future__ import annotations

import dataclasses
import math
import os
import time
from contextlib import suppress
from types import UnionType
from typing import get_args, get_origin, get_type_hints

import numpy as np

from csrc import bind, cli
from csrc.bind import ChatError, Job, Library, Model
from csrc.config import Config
from csrc.runs import peak, resident, tell

RANK, RATE = 16, 5e-4            # of adapters, where they are the default; their peak rate
RECOMPUTE = {"none": 0, "cheap": bind.RECOMPUTE, "blocks": bind.RECOMPUTE_BLOCKS}
# A model from elsewhere is large: tokens in a step and in a pass; evaluations; checkpoints. Where
# there is little to learn from, steps are smaller: an epoch has as many as this.
FOREIGN, UPDATES = (2048, 1024, 5, 2), 32
# Weight decay of what learns anew: rate x decay x steps is DECAY, of fewer steps than LEAST as if
# they were that many (tests/RESULTS.md).
DECAY, LEAST = 4.0, 200
FREE_ON_RESUME = {"steps", "eval_every", "eval_tokens", "sample_every", "checkpoint_every",
                  "threads", "resume", "out", "zero", "recompute"}


def adapter_rank(s, tokenizer) -> int:
    """--lora; where it is not given some for a model from elsewhere, 0 for one of ours."""
    if s.lora is not None or s.resume:
        return s.lora or 0
    return RANK if is_foreign(s, tokenizer) else 0


def is_foreign(s, tokenizer) -> bool:
    """Whether a run begins with a model from elsewhere: its tokenizer is none of ours."""
    return bool(s.model and tokenizer and not tokenizer.ours)


def choose(s, saved: dict) -> tuple[str, str, str]:
    """(device, dtype, why the GPU is not used although it might be)."""
    wanted = saved.get("device", s.device), saved.get("dtype", s.dtype)
    device, dtype = Library.choose(*wanted)
    if dtype == "f32" and s.masters == "off":
        raise ChatError("--masters off needs --dtype bf16: float32 weights are their own masters")
    if wanted[0] == "auto" and device != "cuda":
        try:
            Library.choose("cuda", wanted[1])
        except (ChatError, OSError) as error:
            return device, dtype, f" (no GPU: {error})"
    return device, dtype, ""


def pass_rows(s, job: Job) -> int:
    """The most windows that a rank computes in one pass."""
    return min(s.batch, math.ceil(s.batch_tokens / s.context / job.ranks))


def model_flags(s, job: Job) -> int:
    """The flags of model_create."""
    return bind.TRAINS + RECOMPUTE[s.recompute or "none"] \
        + bind.NO_MASTERS * (s.masters == "off") + bind.SHARD * (s.zero == "on" and job.ranks > 1) \
        + bind.MUON * (s.optimizer == "muon")


def expect_memory(s, config: Config, job: Job, beside=()) -> tuple[float, dict[str, float]]:
    """Bytes that a rank will hold at its peak, and by purpose what of them is the models';
    ChatError if the machine, or the GPU, has less. beside: (Config, whether it learns) of each
    model that the run needs beside the one of `config`."""
    if job.rank == 0:                            # here, so that it counts as held already
        with suppress(Exception):                # no picture, then, as the run will say
            from matplotlib.backends import backend_agg  # noqa: F401
    core = job.core
    tokens = min(pass_rows(s, job) * s.context, 2**31 - 1)       # as many as C can count
    parts = core.memory(config, model_flags(s, job), tokens, -(-s.slots // job.ranks), s.context)
    for other, learns in beside:
        for name, size in core.memory(other, bind.TRAINS, tokens).items():
            parts[name] += size if learns or name not in ("gradients", "moments") else 0
    drawing = 15e6                               # loss.png: fonts, a canvas
    writing = 6 * 4 * config.channels * max(config.vocab, config.hidden)   # copies of a tensor
    need, ranks = sum(parts.values()), ""
    if s.device == "cpu":
        need = max(peak(), resident() + need + drawing + writing) * job.locals
        ranks = f" for {job.locals} ranks" * (job.locals > 1)
    have = core.call("device_memory")
    if need > have:
        raise ChatError(f"this run needs {need / 1e9:.1f} GB of memory{ranks}, and the machine has "
                        f"{have / 1e9:.1f} GB: use a smaller --batch, --context or --depth, "
                        f"or --recompute blocks")
    return need / (job.locals if s.device == "cpu" else 1), parts


def with_defaults(s, data, config: Config, ranks: int = 1):
    """The settings with every default that depends on others filled in: the same on any number of
    ranks, which share a step's windows, where there are enough."""
    foreign = is_foreign(s, data.tokenizer)
    wanted, most, looks, saves = FOREIGN if foreign else (512 * config.layers, 4096, 20, 5)
    if foreign:
        wanted = max(ranks * s.context, min(wanted, data.loader.tokens // UPDATES))
    rows = s.batch or max(1, min(wanted, most) // s.context)
    one_pass = rows * s.context
    batch_tokens = s.batch_tokens or s.step_tokens(max(1, wanted // one_pass) * one_pass)
    if batch_tokens % s.context or batch_tokens < ranks * s.context:
        whole = max(ranks, round(batch_tokens / s.context)) * s.context
        raise ChatError(f"--batch-tokens {batch_tokens} is not a multiple of --context {s.context} "
                        f"with a window for each of {ranks} ranks: {whole} is")
    steps = s.steps or s.horizon(config.layers, data.loader.tokens / batch_tokens, foreign)
    each = max(1, steps // looks)
    anew = s.learns_anew and not (foreign or s.lora or s.resume)
    s = dataclasses.replace(s, optimizer=s.optimizer or ("muon" if anew else "adamw"))
    lr = s.lr or (s.adapter_rate if s.lora else s.rate(config.channels, foreign))
    decay = DECAY / lr / max(steps, LEAST) if anew else 0.1
    if hasattr(s, "vocab_size"):
        s = dataclasses.replace(s, vocab_size=data.vocab)
    return dataclasses.replace(
        s, batch=rows, batch_tokens=batch_tokens, steps=steps,
        lr=lr, weight_decay=decay if s.weight_decay is None else s.weight_decay,
        recompute=s.recompute or ("cheap" if s.lora else "none"),
        eval_every=s.eval_every or each,
        sample_every=each if s.sample_every is None else s.sample_every,
        checkpoint_every=s.checkpoint_every or max(1, steps // saves))


def resumed(kind: type, s, given: set[str], saved: dict):
    """The saved settings, of this kind, with flags that leave the result alone and --steps, which
    is announced. Another version's may lack some, which then have their defaults, or have more."""
    before = {name: value for name, value in saved.items() if name != "stage"}
    known = dataclasses.asdict(kind())
    for names, what in ((before.keys() - known, "are unknown here and left out"),
                        (known.keys() - before, "are new and have their defaults")):
        if names:
            tell(f"settings of the run that {what}: {', '.join(sorted(names))}")
    before = {**known, **{name: before[name] for name in before.keys() & known}}
    for name in before:                          # once a word, now several
        if isinstance(known[name], list) and not isinstance(before[name], list):
            before[name] = [before[name]]
    for name, hint in get_type_hints(kind).items():
        if not fits(before[name], hint):
            raise ChatError(f"the run's {cli.option(name)} is {before[name]!r}, which no "
                            f"checkpoint of train.py says")
    for name in sorted(given - FREE_ON_RESUME):
        if getattr(s, name) != before.get(name):
            raise ChatError(f"{cli.option(name)} {getattr(s, name)} differs from the run's "
                            f"{before.get(name)}: leave it out to resume, or start a new run")
    free = {name: getattr(s, name) for name in given & FREE_ON_RESUME}
    if free.get("steps", before["steps"]) != before["steps"]:
        tell(f"resuming with {free['steps']} steps, not {before['steps']}: "
             f"the learning rate follows")
    made = kind(**{**before, **free})
    cli.check(made)
    return made


def find_again(s, data, model: Model, base: list[int], before: dict | None) -> dict:
    """What a run needs where it is resumed: {what: a value that changes with it}. ChatError where
    that is not as it was `before`. A tokenizer that was not given is learnt from the data. base:
    checksums of the files of the model that adapters are on."""
    given = vars(s).get("tokenizer") or s.model
    # What is as it is by default says nothing: so a field that is added later changes no run.
    shape = {field: value for field, value in vars(model.config).items()
             if value != getattr(Config, field, None)}
    now = {**({} if given else data.identity), "config.json": repr(shape),
           "the tokenizer": data.tokenizer and data.tokenizer.identity, **data.identity,
           **({"the base model": base} if base else {})}
    for what in {**now, **(before or now)}:
        if before and before.get(what) != now.get(what):
            place = given if given and what not in data.identity else " ".join(s.data)
            raise ChatError(f"{place} is not what the run was trained on: {what} changed")
    return now


def fits(value, hint) -> bool:
    """Whether a value out of a file of JSON is of a field's type."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return any(fits(value, one) for one in args)
    if origin is list:
        return type(value) is list and all(fits(one, args[0]) for one in value)
    return type(value) is hint or (type(value), hint) == (int, float)


def announce(s, c: Config, data, model: Model, job: Job, threads: int, need: float,
             parts: dict[str, float], why_not: str) -> None:
    """What this run is, in a few lines."""
    used, cores = threads * job.locals, os.cpu_count()
    if s.device == "cpu" and job.cores and not s.threads and used + job.locals <= cores:
        tell(f"{used} of this machine's {cores} cores are used, for the launcher keeps each rank "
             f"on its own: mpirun --bind-to none leaves them all")
    windows = s.batch_tokens // s.context
    shares = sorted({windows // job.ranks, -(-windows // job.ranks)})
    ranks = f"{job.ranks} ranks, {' or '.join(map(str, shares))} of {windows} windows a step " \
            f"each; " if job.ranks > 1 else ""
    device = model.core.ffi.string(model.core.lib.device_name()).decode()
    learned = f", of which {model.learned / 1e6:.2f} M learn" * bool(model.frozen)
    tell(f"{s.out}: {c.layers} layers, {c.channels} channels, {c.heads} heads, "
         f"vocabulary {c.vocab}: {model.parameters / 1e6:.2f} M parameters{learned}\n"
         f"{data}; {s.steps} steps of {s.batch_tokens} tokens "
         f"({s.steps * s.batch_tokens / data.loader.tokens:.1f} epochs), {s.optimizer}: "
         f"rate {s.lr:.3g}, weight decay {s.weight_decay:.3g}\n"
         f"{device}, {threads} thread{'s' * (threads > 1)}{why_not}; {ranks}"
         f"{need / 1e6:,.0f} MB of memory at the peak{' of each' * (job.ranks > 1)}: "
         + ", ".join(f"{name} {size / 1e6:,.1f}" for name, size in parts.items() if size))


def describe(figures: dict[str, float]) -> str:
    """Figures in words."""
    words = {"val_loss": "{:.4f} nats per token", "val_bpb": "{:.4f} bits per byte"}
    return ", ".join(words.get(name, name + " {:.4f}").format(value)
                     for name, value in figures.items())


def flop_per_token(model: Model, T: int) -> float:
    """FLOP of training on a token in windows of T: 6 a weight, 4 if it is frozen; queries by keys
    and probabilities by values, causal: half of T each."""
    c = model.config
    return 6 * c.layers * c.heads * c.head_dim * T + sum(
        (4 if name in model.frozen else 6) * np.prod(shape) * model.used(name)
        for name, shape, matrix in model.tensors
        if matrix and name != "model.positions.weight"
        and not (name == "model.embed_tokens.weight" and not c.tied))


class ProgressLine:
    """What is printed of a step: loss, gradient norm, rate, tokens/s, share of the peak, time left.
    before: seconds that the run has taken until it was resumed."""

    def __init__(self, s, model: Model, before: float, ranks: int = 1):
        self.flop = flop_per_token(model, s.context)
        self.core, self.peak, self.ranks = model.core, 0.0, ranks
        self.steps, self.tokens, self.start = s.steps, s.batch_tokens, time.time() - before
        self.rate = self.each = 0.0              # tokens a second, seconds a step
        self.measure()

    def measure(self) -> None:
        """The ranks' peak. Other processes can only hide it: the best measurement counts."""
        self.peak = max(self.peak, self.ranks * self.core.call("device_peak"))

    def elapsed(self) -> float:
        """Seconds that the run has taken."""
        return time.time() - self.start

    def took(self, seconds: float, tokens: int | None = None) -> None:
        """Count a step of so many seconds, and of so many tokens, if not --batch-tokens."""
        rate = (self.tokens if tokens is None else tokens) / seconds
        self.rate = 0.9 * self.rate + 0.1 * rate if self.rate else rate
        self.each = 0.9 * self.each + 0.1 * seconds if self.each else seconds

    def line(self, step: int, loss: float, norm: float, lr: float) -> str:
        """The line."""
        left = (self.steps - step) * self.each
        return (f"step {step}/{self.steps}  loss {loss:.4f}  norm {norm:.3f}  lr {lr:.2e}  "
                f"{self.rate:,.0f} tok/s  {100 * self.rate * self.flop / self.peak:.0f} % of peak  "
                f"{int(left) // 60}m{int(left) % 60:02d}s left")
