"""Train a GPT: `python train.py` pretrains one on the embedded corpus in minutes, on a laptop.

    python train.py                                    # a pocket world; then talk to it: infer.py
    python train.py --data book.txt --out runs/book    # text, JSON lines, folders, llm.c shards
    python train.py --resume                           # go on with the newest run, bit for bit
    python train.py --arch gpt2 --depth 12             # GPT-2's block; --depth is the one dial
    python train.py sft                                # then the newest base model learns to answer
    python train.py sft --model FOLDER --data chats.jsonl,more.json
    mpirun -n 8 python train.py                        # the same run, the work shared by 8 ranks

A run folder is a Hugging Face model folder (config.json, model.safetensors, tokenizer.json) and
beside it state.safetensors (everything to resume), log.jsonl, loss.png and best/, the model with
the lowest validation loss. Cost: 6 FLOP per weight and token, 20 bytes of memory per weight beside
the activations (of these, ranks share 12 or in float32 8). Documents are packed one after the
other, each begins with <|endoftext|>, and a window may see the end of the one before: attention is
not masked between. Conversations that share a row do not see each other."""

from __future__ import annotations

if __name__ == "__main__":
    from csrc import cli
    cli.enter()

import argparse
import dataclasses
import difflib
import math
import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, NamedTuple

import numpy as np

from csrc import bind, hf
from csrc.bind import ChatError, Config, Job, Library, Model
from csrc.engine import Engine, Sequence, Sampling
from csrc.runs import (Folder, attempt, free_name, newest_run, on_rank_0, peak,
                       read_settings, read_state, resident, restore, save_model, save_state)
from data.chat.rows import Conversations, Deck
from data.tokens.loader import Data, Loader


# ---- Sampling: each field is a flag ------------------------------------------------------------

def flag(default, help):
    return dataclasses.field(default=default, metadata={"help": help})


@dataclass
class Training:
    """What all stages share."""
    data: str = "world"
    out: str | None = flag(None, "folder of the run; default runs/STAGE (of pretraining runs/base), "
                                 "or with -2, ... if that exists")
    model: str | None = flag(None, "start from this model folder, not from random weights")
    resume: bool = flag(False, "go on with --out, or with the newest run, where it stopped")
    context: int = flag(256, "tokens in a window, T")
    batch: int | None = flag(None, "most windows in one pass, B; default 512 tokens a layer, "
                                   "at most 4096")
    batch_tokens: int | None = flag(None, "tokens in one step, of all passes and ranks; "
                                          "default 512 a layer")
    steps: int | None = flag(None, "updates of the weights; default by stage, depth and text")
    lr: float | None = flag(None, "peak learning rate; default by stage and width")
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
    threads: int = flag(0, "threads of a rank; 0: its share of the cores")
    zero: str = flag("on", "ranks share the optimizer's state (ZeRO-1): on or off")
    masters: str = flag("on", "float32 copies of bf16 weights: on, or off: rounding by chance")
    recompute: str = flag("none", "save memory, compute twice: none, cheap (norms, activation "
                                  "functions) or blocks")


@dataclass
class Pretrain(Training):
    """Learn to predict the next token of documents."""
    data: str = flag("world", "text, .jsonl, folder or llm.c shards (.bin); "
                              "world: the embedded corpus")
    depth: int = flag(4, "layers; width and heads, rates and horizon follow from it")
    channels: int | None = flag(None, "width, 64 for each head; default 64 a layer")
    arch: str = flag("modern", "modern (RMSNorm, RoPE, QK-norm, SwiGLU) or gpt2")
    vocab_size: int | None = flag(None, "of the tokenizer learnt from the text; "
                                        "default by its size")
    tokenizer: str | None = flag(None, "a folder or a name (gpt2, cl100k_base, o200k_base); "
                                       "default: learnt from the text")

    def horizon(self, layers: int, epoch: float) -> int:
        """Steps, if not given, for an `epoch` of so many: over six only learn the text by heart."""
        return min(max(int(6 * epoch), 70 * layers ** 2), 120 * layers ** 2)

    def rate(self, channels: int) -> float:
        return 2e-3 * (256 / channels) ** 0.5


@dataclass
class Sft(Training):
    """Learn to answer as the assistant does in conversations (supervised fine-tuning)."""
    data: str = flag("world", "files or folders of conversations, with commas between, in any "
                              "format of data/talk_formats.py; world: the pocket world's")
    model: str | None = flag(None, "start from this model folder; default: the newest base model "
                                   "in runs/")
    context: int = flag(512, "tokens in a row of conversations, T")
    mix: float = flag(0.1, "share of the rows that are documents, so that they are not forgotten")
    documents: str = flag("world", "the documents: what pretraining takes as --data")
    eval_tokens: int = flag(1 << 20, "held-out tokens in an evaluation, at most")

    def horizon(self, layers: int, epoch: float) -> int:
        return max(1, min(round(2 * epoch), 120 * layers ** 2))

    def rate(self, channels: int) -> float:
        return 1e-3 * (256 / channels) ** 2


FREE_ON_RESUME = {"steps", "eval_every", "eval_tokens", "sample_every", "checkpoint_every",
                  "threads", "resume", "out", "zero", "recompute"}
RECOMPUTE = {"none": 0, "cheap": bind.RECOMPUTE, "blocks": bind.RECOMPUTE_BLOCKS}


def positive(settings, *names):
    for name in names:
        value = getattr(settings, name)
        if value is not None and not value > 0:
            raise ChatError(f"--{name.replace('_', '-')} is {value}, but must be over 0")


def check(s: Training) -> None:
    has = vars(s)
    positive(s, *(name for name in ("depth", "channels", "vocab_size", "context", "batch",
                                    "batch_tokens", "steps", "lr", "clip", "eval_every",
                                    "eval_tokens", "checkpoint_every") if name in has))
    for name, known in (("arch", ("modern", "gpt2")), ("schedule", ("cosine", "wsd")),
                        ("device", ("auto", "cpu", "cuda")), ("dtype", ("auto", "f32", "bf16")),
                        ("zero", ("on", "off")), ("masters", ("on", "off")),
                        ("recompute", tuple(RECOMPUTE))):
        if has.get(name, known[0]) not in known:
            raise ChatError(f"--{name} is {getattr(s, name)!r}, but must be one of "
                            f"{', '.join(known)}")
    if has.get("tokenizer") and (s.model or s.vocab_size):
        raise ChatError(f"--tokenizer {s.tokenizer} does not go with "
                        f"{'--model, which brings its own' if s.model else '--vocab-size'}")
    if (has.get("channels") or 64) % 64:
        raise ChatError(f"--channels is {s.channels}, but must be a multiple of 64")
    for name in ("warmup", "decay", "final_lr", "beta1", "beta2", "mix"):
        if not 0 <= has.get(name, 0) < 1:
            raise ChatError(f"--{name.replace('_', '-')} is {getattr(s, name)}, "
                            f"but must be in [0, 1)")


def architecture(s: Pretrain, vocab: int) -> Config:
    """The model that --depth, --channels and --arch mean."""
    channels = s.channels or 64 * s.depth
    common = dict(vocab=vocab, context=s.context, layers=s.depth, channels=channels,
                  heads=channels // 64, kv_heads=channels // 64, head_dim=64)
    if s.arch == "gpt2":
        return Config(**common, hidden=4 * channels, norm=bind.LAYERNORM, position=bind.LEARNED,
                      activation=bind.GELU, bias=bind.BIAS_ALL, qk_norm=0, norm_eps=1e-5)
    return Config(**common, hidden=math.ceil(channels * 8 / 3 / 64) * 64)


# ---- Data --------------------------------------------------------------------------------------

# For each step, of so many windows, this rank's passes of up to B: (tokens, targets, doc_start, weights)
# with weights = dLoss/dnll, where the loss is a mean over the whole step, of all passes and ranks.

def pretrain_batches(loader: Loader, windows: int, B: int):
    """Each token counts; a window may see the end of the document before: no doc_start."""
    while True:
        rows = loader.next(windows)
        weights = np.full((B, loader.T), 1 / (windows * loader.T), np.float32)
        yield [(part[:, :-1], part[:, 1:], None, weights[:len(part)])
               for part in (rows[i:i + B] for i in range(0, len(rows), B))]


def sft_batches(deck: Deck, windows: int, B: int):
    """What the assistant says counts, and mixed in documents; none sees what it is packed beside."""
    while True:
        rows, count = deck.next(windows)
        weights = rows.mask / np.float32(max(1, count))
        targets = np.where(rows.mask, rows.targets, -1)
        yield [(rows.tokens[part], targets[part], rows.doc_start[part], weights[part])
               for part in (slice(i, i + B) for i in range(0, len(weights), B))]


class Stage(NamedTuple):
    settings: type          # a dataclass, whose fields are flags
    data: type              # of data/loader.py
    batches: Callable       # (data.loader, windows, B) -> generator of steps


STAGES = {"pretrain": Stage(Pretrain, Data, pretrain_batches),
          "sft": Stage(Sft, Conversations, sft_batches)}


def stage_of(s: Training) -> str:
    return next(name for name, stage in STAGES.items() if stage.settings is type(s))


# ---- Schedule and guard ------------------------------------------------------------------------

def learning_rate(s: Training, step: int) -> float:
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


# ---- The loop ----------------------------------------------------------------------------------

def evaluate(model: Model, data: Data | Conversations, B: int, limit: int,
             job: Job) -> dict[str, float]:
    """val_loss: nats a token that counts; val_bpb: bits per byte of raw text (special tokens have
    no bytes). Each rank takes every ranks-th window."""
    rows = [part if part is None else part[job.rank::job.ranks] for part in data.held_out(limit)]
    tokens, targets, doc_start, mask = rows
    nll = 0.0
    for part in (slice(i, i + B) for i in range(0, len(mask), B)):
        each = model.forward(tokens[part], targets[part], None if doc_start is None else doc_start[part])
        nll += float((each * mask[part]).sum(dtype=np.float64))
    size = data.tokenizer.byte_lengths[targets[mask]].sum() if data.tokenizer else 0
    nll, tokens, size = job.sum(nll, int(mask.sum()), float(size))
    figures = {"val_loss": nll / tokens}
    if data.tokenizer:
        figures["val_bpb"] = nll / math.log(2) / size
    return figures


def describe(figures: dict[str, float]) -> str:
    bits = f", {figures['val_bpb']:.4f} bits per byte" if "val_bpb" in figures else ""
    return f"{figures['val_loss']:.4f} nats per token{bits}"


class Progress:
    """A run's line: step, loss, gradient norm, rate, tokens/s, share of the peak, time left."""
    def __init__(self, s: Training, model: Model, spent: float, ranks: int = 1):
        c = model.config
        matrices = sum(int(np.prod(shape)) for name, shape, matrix in model.tensors
                       if matrix and name != "model.positions.weight"
                       and not (name == "model.embed_tokens.weight" and not c.tied))
        # 6 FLOP a weight; queries by keys and probabilities by values, causal: half of T each.
        self.flop = 6 * matrices + 6 * c.layers * c.heads * c.head_dim * s.context
        self.core, self.peak, self.ranks = model.core, 0.0, ranks
        self.steps, self.tokens, self.start = s.steps, s.batch_tokens, time.time() - spent
        self.rate = 0.0
        self.measure()

    def measure(self) -> None:
        """The ranks' peak. Other processes can only hide it: the best measurement counts."""
        self.peak = max(self.peak, self.ranks * self.core.call("device_peak"))

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


def accumulate(model: Model, passes, job: Job) -> tuple[float, float]:
    """Add the gradients of a step's passes, on all ranks; its mean loss and its gradient's norm."""
    model.zero_grad()
    loss = 0.0
    for i, (tokens, targets, doc_start, weights) in enumerate(passes):
        loss += float((model.forward(tokens, targets, doc_start, weights) * weights).sum())
        model.backward(reduce=i + 1 == len(passes))
    return job.sum(loss)[0], model.grad_norm()


def where_it_stands(s: Training, data, model: Model, state, job: Job) -> dict:
    """The progress of a run, new or resumed: then the model and the loader are put there."""
    if not state:
        return {"step": 0, "updates": 0, "epoch": 0, "index": 0, "time": 0.0, "recent": [],
                "best": math.inf, "data": data.identity}
    progress, _, tensors = state
    if progress["data"] != data.identity:
        raise ChatError(f"{s.data} is not what the run was trained on: it has other tokens now")
    restore(job, model, tensors)
    data.loader.seek(progress["epoch"], progress["index"])
    return progress


def checkpoint(s: Training, folder: Folder, data, model: Model, progress: dict,
               floors: dict[str, float]) -> int | None:
    """Write all that the folder is to hold; the step, if it can be resumed from there."""
    progress.update(epoch=data.loader.epoch, index=data.loader.index)
    attempt("loss.png", folder.plot, floors)
    settings = {**dataclasses.asdict(s), "stage": stage_of(s)}
    whole = attempt("model", save_model, model, data.tokenizer, folder.path) and \
        attempt("checkpoint", save_state, model, folder.path, progress, settings)
    return progress["step"] if whole else None


def train(s: Training, folder: Folder | None, data, model: Model, state=None,
          stop=lambda step: False, job: Job | None = None):
    """The loop of all stages, on all ranks; returns the last evaluation's figures, None if it was
    stopped. s is from `complete`; rank 0 alone has the folder, and the tensors of a state from
    read_state. stop(step), asked before each step, leaves with a checkpoint if true on any rank."""
    job, stage = job or Job(model.core), stage_of(s)
    progress, rows = where_it_stands(s, data, model, state, job), pass_rows(s, job)
    if "floors" not in progress:                 # of fine-tuning: what the model gets before it
        progress["floors"] = data.floors() or {
            "before": evaluate(model, data, rows, s.eval_tokens, job)["val_loss"]}
    floors = progress["floors"]
    if job.rank == 0:
        folder.rewind_log(progress["step"])
        print("to compare with: " + ", ".join(f"{k} {v:.3f}" for k, v in floors.items()) + " nats")
    batches = STAGES[stage].batches(data.loader, s.batch_tokens // s.context, rows)
    report = Progress(s, model, progress["time"], job.ranks)
    engine = Engine(model, data.tokenizer) \
        if data.tokenizer and s.sample_every and job.rank == 0 else None
    recent, figures, skipped, saved = progress["recent"], {}, 0, None

    while progress["step"] < s.steps and not job.sum(stop(progress["step"]))[0]:
        began, lr = time.time(), learning_rate(s, progress["step"])
        loss, norm = accumulate(model, next(batches), job)
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
        progress["time"] = report.elapsed()
        if reason and job.rank == 0:
            print(f"step {step} skipped: {reason} (data: epoch {data.loader.epoch}, "
                  f"window {data.loader.index})", file=sys.stderr)
        if skipped == 10:
            raise ChatError(f"10 steps in a row could not be taken ({reason}); the last checkpoint "
                            f"is intact: --resume it, or start anew with a lower --lr")
        last = step == s.steps
        entry = {"step": step, "loss": loss if math.isfinite(loss) else None, "lr": lr,
                 "grad_norm": norm if math.isfinite(norm) else None,
                 "tok_per_s": round(report.rate), "time": round(progress["time"], 2)}
        entry.update({} if stage == "pretrain" else {"stage": stage})
        if step % s.eval_every == 0 or last:
            figures = evaluate(model, data, rows, s.eval_tokens * (32 if last else 1), job)
            entry.update(figures)
            print(f"step {step}/{s.steps}  validation: {describe(figures)}")
            if figures["val_loss"] < progress["best"]:
                progress["best"] = figures["val_loss"]
                on_rank_0(job, model, lambda: attempt("best model", save_model, model,
                                                      data.tokenizer, folder.path / "best"))
        if job.rank == 0:
            attempt("log", folder.write_log, entry)
        if step % max(1, s.steps // 100) == 0 or step == 1 or last:
            report.measure()
            print(report.line(step, loss, norm, lr), flush=True)
        if engine and step % s.sample_every == 0:
            print(f"--- {sample_text(engine, data, step // s.sample_every, s.seed)}\n", flush=True)
        if step % s.checkpoint_every == 0 or last:
            saved = on_rank_0(job, model, checkpoint, s, folder, data, model, progress, floors)
    if saved != progress["step"]:
        saved = on_rank_0(job, model, checkpoint, s, folder, data, model, progress, floors)
    if saved is None:
        raise ChatError(f"step {progress['step']} is not saved: make room in {s.out} "
                        f"and --resume")
    return figures if progress["step"] == s.steps else None


def sample_text(engine: Engine, data, number: int, seed: int, length: int = 80) -> str:
    """How a document begins or the assistant answers a held-out question, by now."""
    settings, asked = Sampling(max_tokens=length, seed=seed), data.question(number)
    sequence = engine.turn(asked, settings) if asked else Sequence(engine.encode(""), settings)
    text = "".join(text for _, _, _, text in engine.generate([sequence]))
    return f"{asked[-1]['content']}\n    {text}" if asked else text


# ---- From flags to a run -----------------------------------------------------------------------

def complete(s: Training, data, config: Config, ranks: int = 1) -> Training:
    """The settings with every default that depends on others filled in: the same on any number of
    ranks, which deal a step's windows among them."""
    rows = s.batch or max(1, min(512 * config.layers, 4096) // s.context)
    one_pass = rows * s.context
    batch_tokens = s.batch_tokens or max(1, 512 * config.layers // one_pass) * one_pass
    if batch_tokens % s.context or batch_tokens < ranks * s.context:
        whole = max(ranks, round(batch_tokens / s.context)) * s.context
        raise ChatError(f"--batch-tokens {batch_tokens} is not a multiple of --context {s.context} "
                        f"with a window for each of {ranks} ranks: {whole} is")
    steps = s.steps or s.horizon(config.layers, data.loader.tokens / batch_tokens)
    each = max(1, steps // 20)
    if isinstance(s, Pretrain):
        s = dataclasses.replace(s, vocab_size=data.vocab)
    return dataclasses.replace(
        s, batch=rows, batch_tokens=batch_tokens, steps=steps, lr=s.lr or s.rate(config.channels),
        eval_every=s.eval_every or each,
        sample_every=each if s.sample_every is None else s.sample_every,
        checkpoint_every=s.checkpoint_every or max(1, steps // 5))


def pass_rows(s: Training, job: Job) -> int:
    """The most windows that a rank computes in one pass."""
    return min(s.batch, math.ceil(s.batch_tokens / s.context / job.ranks))


def making(s: Training, job: Job) -> int:
    """How the model is made: model_create's sum."""
    return bind.TRAINS + RECOMPUTE[s.recompute] \
        + bind.NO_MASTERS * (s.masters == "off") + bind.SHARD * (s.zero == "on" and job.ranks > 1)


def expect_memory(s: Training, config: Config, job: Job) -> tuple[float, dict[str, float]]:
    """Bytes that a rank will hold at its peak, and by purpose what of them is the model's;
    ChatError if the machine, or the GPU, has less."""
    if job.rank == 0:                            # here, so that it counts as held already
        import matplotlib.pyplot  # noqa: F401
    core = job.core
    parts = core.memory(config, making(s, job), pass_rows(s, job) * s.context)
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


def resumed(s: Training, given: set[str], saved: dict) -> Training:
    """The saved settings with flags that leave the result alone and --steps, which is announced."""
    saved = {**saved}
    stage = saved.pop("stage", "pretrain")
    for name in sorted(given - FREE_ON_RESUME):
        if getattr(s, name) != saved.get(name):
            raise ChatError(f"--{name.replace('_', '-')} {getattr(s, name)} differs from the run's "
                            f"{saved[name]}: leave it out to resume, or start a new run")
    free = {name: getattr(s, name) for name in given & FREE_ON_RESUME}
    if free.get("steps", saved["steps"]) != saved["steps"]:
        print(f"resuming with {free['steps']} steps, not {saved['steps']}: "
              f"the learning rate follows")
    return STAGES[stage].settings(**{**saved, **free})


def open_run(s: Training, given: set[str], job: Job):
    """(settings, folder, state): where the run will be written, and what is there to resume. The
    folder and the state's tensors are rank 0's; a new folder is made only when nothing can fail."""
    path, folder, state = Path(s.out), None, None
    if s.resume and job.rank == 0:
        folder, state = Folder(path), read_state(path)
    elif job.rank == 0 and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ChatError(f"--out {path} exists: give another, or --resume to go on with it")
    if s.resume:
        progress, saved = job.share(state and state[:2])
        s = dataclasses.replace(resumed(s, given, saved), out=s.out)
        state = progress, saved, state and state[2]
    return s, folder, state


def shared_data(s: Training, job: Job) -> Data | Conversations:
    """One rank makes shards and tokenizer, then one on each machine that does not see them."""
    kind = STAGES[stage_of(s)].data
    for mine in (job.rank == 0, job.rank and job.local == 0):
        if mine:
            kind.prepare(s)
        job.sum()
    data = kind(s, job.rank, job.ranks)
    if job.share(data.identity) != data.identity:
        raise ChatError(f"{s.data} has other tokens here than on rank 0")
    return data


def announce(s: Training, c: Config, data, model: Model, job: Job, threads: int,
             need: float, parts: dict[str, float]) -> None:
    """What this run is, in a few lines."""
    used, cores = threads * job.locals, os.cpu_count()
    if s.device == "cpu" and job.cores and not s.threads and used + job.locals <= cores:
        print(f"{used} of this machine's {cores} cores are used, for the launcher keeps each rank "
              f"on its own: mpirun --bind-to none leaves them all")
    windows = s.batch_tokens // s.context
    shares = sorted({windows // job.ranks, -(-windows // job.ranks)})
    dealt = f"{job.ranks} ranks, {' or '.join(map(str, shares))} of {windows} windows a step " \
            f"each; " if job.ranks > 1 else ""
    device = model.core.ffi.string(model.core.lib.device_name()).decode()
    print(f"{s.out}: {c.layers} layers, {c.channels} channels, {c.heads} heads, "
          f"vocabulary {c.vocab}: {model.parameters / 1e6:.2f} M parameters\n"
          f"{data}; {s.steps} steps of {s.batch_tokens} tokens "
          f"({s.steps * s.batch_tokens / data.loader.tokens:.1f} epochs)\n"
          f"{device}, {threads} thread{'s' * (threads > 1)}; {dealt}"
          f"{need / 1e6:,.0f} MB of memory at the peak{' of each' * (job.ranks > 1)}: "
          + ", ".join(f"{name} {size / 1e6:,.1f}" for name, size in parts.items() if size))


def run(s: Training, given: set[str], job: Job) -> None:
    """One rank of a run, from its settings to its end."""
    s, folder, state = open_run(s, given, job)
    threads = job.core.call("device_threads", s.threads or job.cores)
    data = shared_data(s, job)
    if s.resume and data.vocab != getattr(s, "vocab_size", data.vocab):
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
    s = complete(s, data, c, job.ranks)
    memory = expect_memory(s, c, job)
    model = Model.load(s.model, s.device, s.dtype, making(s, job), **changes) if s.model else \
        Model.create(c, s.device, s.dtype, s.seed, making(s, job))
    announce(s, c, data, model, job, threads, *memory)
    model.reserve(pass_rows(s, job) * s.context)
    job.sum()
    if job.rank == 0:                            # only now: a rank that failed has left nothing
        folder = folder or Folder(Path(s.out))
    stopped = []

    def interrupt(*_):
        if stopped and stopped[0] < time.time() - 1:     # some launchers send it twice
            raise KeyboardInterrupt
        if not stopped and job.rank == 0:
            print("\nstopping after this step (again: at once)", file=sys.stderr)
        stopped.append(time.time())

    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(name, interrupt)
    figures = train(s, folder, data, model, state, lambda step: len(stopped), job)
    if figures is None:
        print(f"stopped; go on with: python train.py --resume --out {s.out}")
    else:
        if figures:
            print(f"validation: {describe(figures)}; {peak() / 1e6:,.0f} MB of memory at the peak")
        print(f"{s.out}: model, log.jsonl, loss.png; talk to it: python infer.py --model {s.out}")


def start(s: Training, given: set[str]) -> None:
    """Join the job, choose a folder, and see to it that no rank outlives another's failure."""
    check(s)
    if not s.out:
        named = None if type(s) is Pretrain else stage_of(s)
        s = dataclasses.replace(s, out=str(newest_run(named) if s.resume else
                                           free_name(stage_of(s))))
    if type(s) is not Pretrain and not s.model and not s.resume:
        s = dataclasses.replace(s, model=str(newest_run("pretrain")))
    if s.model:
        hf.configuration(s.model)                # complains before any data is prepared
    if s.resume and not Path(s.out).is_dir():
        raise ChatError(f"--resume: there is no run in {s.out}")
    saved = read_settings(Path(s.out)) if s.resume else {}
    device, dtype = Library.choose(saved.get("device", s.device), saved.get("dtype", s.dtype))
    if dtype == "f32" and s.masters == "off":
        raise ChatError("--masters off needs --dtype bf16: float32 weights are their own masters")
    job = Job(Library.load(device, dtype))
    if job.ranks == 1:
        return run(dataclasses.replace(s, device=device, dtype=dtype), given, job)
    if job.rank:
        sys.stdout = open(os.devnull, "w")
    try:
        s = dataclasses.replace(s, out=job.share(s.out), device=device, dtype=dtype)
        run(s, given, job)
        job.stop()
    except BaseException as error:
        time.sleep(1 if job.rank else 0)         # what is wrong on all, rank 0 alone says
        if not isinstance(error, (ValueError, OSError, KeyboardInterrupt)):
            traceback.print_exc()
        job.abort(f"train.py: rank {job.rank}: {error or type(error).__name__}")


def parse(argv: list[str]):
    """(settings, names of the flags given). The first word may be a stage."""
    stage = argv[0] if argv and not argv[0].startswith("-") else "pretrain"
    if stage not in STAGES:
        near = difflib.get_close_matches(stage, STAGES, 1) or list(STAGES)
        raise ChatError(f"there is no stage {stage!r}; did you mean {near[0]!r}?")
    fields = dataclasses.fields(STAGES[stage].settings)
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
    return STAGES[stage].settings(**vars(given)), set(vars(given))


if __name__ == "__main__":
    cli.run(lambda: start(*parse(sys.argv[1:])))
