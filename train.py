"""Train a GPT: `python train.py` pretrains one on the embedded corpus in minutes, on a laptop.

    python train.py                                    # a pocket world; then talk to it: infer.py
    python train.py --data book.txt --out runs/book    # text, JSON lines, folders, llm.c shards
    python train.py --resume                           # go on with the newest run, bit for bit
    python train.py --arch gpt2 --depth 12             # GPT-2's block; --depth is the one dial
    python train.py sft                                # then the newest base model learns to answer
    python train.py sft --model SmolLM2.gguf --data chats.jsonl more.json    # adapters: LoRA
    mpirun -n 8 python train.py                        # the same run, the work shared by 8 ranks

A run folder is a Hugging Face model folder (config.json, model.safetensors, tokenizer.json) and
beside it state.safetensors (everything to resume), log.jsonl, loss.png and best/, the model with
the best validation figure. With --lora it is PEFT's folder instead, of adapters alone: their base
stays where it is, and whatever loads the folder merges them. Cost: 6 FLOP per weight and token, 20
bytes of memory per weight beside the activations (of these, ranks share 12 or in float32 8); of
frozen weights 4 FLOP, and their own bytes. Documents are packed one after the other, each begins
with <|endoftext|>, and a window may see the end of the one before: attention is not masked between.
Conversations that share a row do not see each other."""

from __future__ import annotations

if __name__ == "__main__":
    from csrc import cli
    cli.enter()

import math
import os
import signal
import sys
import time
import traceback
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Callable, NamedTuple

import numpy as np

from csrc import adapter, cli, gguf, launch, runs
from csrc.bind import ChatError, Job, Library, Model
from csrc.cli import flag
from csrc.config import BIAS_ALL, GELU, LAYERNORM, LEARNED, Config
from csrc.engine import Engine, Sampling, Sequence
from csrc.launch import ProgressLine, describe, model_flags, pass_rows, with_defaults
from csrc.runs import Folder, attempt, on_rank_0, peak, read_settings, read_state, tell
from data.chat.rows import Conversations
from data.chat.turn import Turn
from data.tokens.documents import WORLD
from data.tokens.loader import FINAL, Data, checksum

# ---- Settings: each field is a flag --------------------------------------------------------------

COUNT, SHARE, OVER_0, FROM_0 = "[1, inf)", "[0, 1)", "(0, inf)", "[0, inf)"


@dataclass
class Training:
    """What all stages share."""
    data: list[str] = flag(lambda: [WORLD], "what to learn from")
    out: str | None = flag(None, "folder of the run; default runs/STAGE (of pretraining "
                                 "runs/base), or with -2, ... if that exists")
    model: str | None = flag(None, "start from this model, a folder or a GGUF file, not from "
                                   "random weights")
    resume: bool = flag(False, "go on with --out, or with the newest run, where it stopped")
    context: int = flag(256, "tokens in a window, T", limits=COUNT)
    batch: int | None = flag(None, "most windows in one pass, B; default 512 tokens a layer, "
                                   "at most 4096", limits=COUNT)
    batch_tokens: int | None = flag(None, "tokens in one step, of all passes and ranks; "
                                          "default 512 a layer; of a model from "
                                          "elsewhere by the text, at most 2048", limits=COUNT)
    steps: int | None = flag(None, "updates; default by stage, depth and text", limits=COUNT)
    optimizer: str = flag("adamw", "muon: for the matrices of blocks, for the rest AdamW",
                          choices=("adamw", "muon"))
    lr: float | None = flag(None, "peak learning rate; default by stage, width", limits=OVER_0)
    schedule: str = flag("cosine", "wsd: warmup, stable, linear decay", choices=("cosine", "wsd"))
    warmup: float = flag(0.02, "fraction of the steps over which the rate rises", limits=SHARE)
    decay: float = flag(0.3, "fraction of the steps over which wsd decays", limits=SHARE)
    final_lr: float = flag(0.05, "the last rate, as a fraction of the peak", limits=SHARE)
    weight_decay: float = flag(0.1, "AdamW's, on matrices only", limits=FROM_0)
    beta1: float = flag(0.9, "AdamW's memory of gradients", limits=SHARE)
    beta2: float = flag(0.95, "AdamW's memory of their squares", limits=SHARE)
    momentum: float = flag(0.95, "Muon's memory of gradients", limits=SHARE)
    clip: float = flag(1.0, "longest gradient; longer ones are scaled down", limits=OVER_0)
    eval_every: int | None = flag(None, "steps between evaluations; default 20 a run", limits=COUNT)
    eval_tokens: int = flag(32768, f"held-out tokens in an evaluation (in pretraining, after the "
                                   f"last step {FINAL} times as many)", limits=COUNT)
    sample_every: int | None = flag(None, "likewise samples; default 20, 0: none", limits=FROM_0)
    checkpoint_every: int | None = flag(None, "likewise checkpoints; default 5", limits=COUNT)
    seed: int = flag(0, "of the weights, the order of the data and the samples", limits="[0, 1e18]")
    device: str = flag("auto", "auto (the GPU, if it can be used)", choices=("auto", "cpu", "cuda"))
    dtype: str = flag("auto", "auto (bf16 where this CPU has it)", choices=("auto", "f32", "bf16"))
    threads: int = flag(0, "threads of a rank; 0: its share of the cores", limits="[0, 1024]")
    zero: str = flag("on", "ranks share the optimizer's state (ZeRO-1)", choices=("on", "off"))
    masters: str = flag("on", "float32 copies of bf16; off: round by chance", choices=("on", "off"))
    recompute: str | None = flag(None, "compute twice, to save memory: cheap (norms, activation "
                                       "functions; default with adapters), blocks, or none "
                                       "(default)", choices=tuple(launch.RECOMPUTE))
    lora: int | None = flag(None, f"learn only adapters of this rank beside the model's matrices; "
                                  f"0: all weights; default {launch.RANK} for a model from "
                                  f"elsewhere", limits=FROM_0)


@dataclass
class Pretrain(Training):
    """Learn to predict the next token of documents."""
    data: list[str] = flag(lambda: [WORLD], "text, .jsonl, folders, or llm.c shards (.bin); "
                                            "world: the embedded corpus")
    depth: int = flag(4, "layers; width and heads, rates and horizon follow from it", limits=COUNT)
    channels: int | None = flag(None, "width, 64 for each head; default 64 a layer", limits=COUNT)
    arch: str = flag("modern", "RMSNorm, RoPE, QK-norm, SwiGLU; gpt2", choices=("modern", "gpt2"))
    vocab_size: int | None = flag(None, "of a tokenizer learnt from the text; default by size",
                                  limits=COUNT)
    tokenizer: str | None = flag(None, "a folder or a name (gpt2, cl100k_base, o200k_base); "
                                       "default: learnt from the text")

    def horizon(self, layers: int, epoch: float, foreign: bool) -> int:
        """Steps, if not given, for an `epoch` of so many: over six only learn the text by heart. A
        model that is `foreign` reads it once."""
        return max(1, round(epoch)) if foreign else \
            min(max(int(6 * epoch), 70 * layers ** 2), 120 * layers ** 2)

    def rate(self, channels: int, foreign: bool) -> float:
        """The peak learning rate, if not given."""
        return 1e-4 if foreign else 2e-3 * (256 / channels) ** 0.5


@dataclass
class Sft(Training):
    """Learn to answer as the assistant does in conversations (supervised fine-tuning)."""
    data: list[str] = flag(lambda: [WORLD], "files or folders of conversations, in any format that "
                                            "`data/talk.py -h` lists; world: the pocket world's")
    model: str | None = flag(None, "start from this model, a folder or a GGUF file; default: the "
                                   "newest base model in runs/")
    context: int = flag(512, "tokens in a row of conversations, T", limits=COUNT)
    mix: float | None = flag(None, "share of the rows that are documents, so that they are not "
                                   "forgotten; default 0.1, of a model from elsewhere 0 without "
                                   "--documents", limits=SHARE)
    documents: list[str] | None = flag(None, "the documents: what pretraining takes as --data; "
                                             "default world")
    eval_tokens: int = flag(1 << 20, "held-out tokens in an evaluation, at most", limits=COUNT)

    def horizon(self, layers: int, epoch: float, foreign: bool) -> int:
        """Steps, if not given: two epochs, of a model that is `foreign` three."""
        return max(1, min(round((2 + foreign) * epoch), 120 * layers ** 2))

    def rate(self, channels: int, foreign: bool) -> float:
        """The peak learning rate, if not given."""
        return 1e-4 if foreign else 1e-3 * (256 / channels) ** 2


def check(s: Training) -> None:
    """ChatError where settings that each are fine do not go together."""
    has = vars(s)
    if has.get("tokenizer") and (s.model or s.vocab_size):
        raise ChatError(f"--tokenizer {s.tokenizer} does not go with "
                        f"{'--model, which brings its own' if s.model else '--vocab-size'}")
    if s.lora and not s.model and type(s) is Pretrain:
        raise ChatError(f"--lora {s.lora} needs --model: random weights are nothing to adapt")
    if (has.get("channels") or 64) % 64:
        raise ChatError(f"--channels is {s.channels}, but must be a multiple of 64")


def architecture(s: Pretrain, vocab: int) -> Config:
    """The model that --depth, --channels and --arch mean."""
    channels = s.channels or 64 * s.depth
    common = dict(vocab=vocab, context=s.context, layers=s.depth, channels=channels,
                  heads=channels // 64, kv_heads=channels // 64, head_dim=64)
    if s.arch == "gpt2":
        return Config(**common, hidden=4 * channels, norm=LAYERNORM, position=LEARNED,
                      activation=GELU, bias=BIAS_ALL, qk_norm=0, norm_eps=1e-5)
    return Config(**common, hidden=math.ceil(channels * 8 / 3 / 64) * 64)


# ---- Stages --------------------------------------------------------------------------------------

@dataclass
class Run:
    """What a stage works with, on one rank.

    progress    what a checkpoint holds beside settings and tensors
    engine      generates texts with the model as it is; None without a tokenizer or a head for it
    reference   the model as it was when the run began, if the stage asks for it
    """
    settings: Training
    data: Data | Conversations
    model: Model
    job: Job
    progress: dict
    folder: Folder | None = None         # rank 0's
    engine: Engine | None = None
    reference: Model | None = None

    @property
    def step(self) -> int:
        """Steps taken so far."""
        return self.progress["step"]

    @property
    def windows(self) -> int:
        """Windows of a step, of all ranks."""
        return self.settings.batch_tokens // self.settings.context

    @property
    def rows(self) -> int:
        """The most windows that this rank computes in one pass, B."""
        return pass_rows(self.settings, self.job)

    @property
    def stage(self) -> Stage:
        """The stage of this run."""
        return STAGES[stage_of(self.settings)]


# A stage's generator gives for each step this rank's passes: (tokens, targets, doc_start, weights).
# The weights are dLoss/d(what forward returns), where the loss is a mean over the whole step, of
# all passes and ranks; or a function from what forward returned to (the pass's loss, weights).

def pretrain_batches(run: Run):
    """Each token counts; a window may see the end of the document before: no doc_start."""
    loader, B = run.data.loader, run.rows
    while True:
        rows = loader.next(run.windows)
        weights = np.full((B, loader.T), 1 / (run.windows * loader.T), np.float32)
        yield [(part[:, :-1], part[:, 1:], None, weights[:len(part)])
               for part in (rows[i:i + B] for i in range(0, len(rows), B))]


def sft_batches(run: Run):
    """What the assistant says counts, and mixed in documents; none sees its neighbours."""
    while True:
        rows, count = run.data.loader.next(run.windows)
        weights = rows.mask / np.float32(max(1, count))
        targets = np.where(rows.mask, rows.targets, -1)
        yield [(rows.tokens[part], targets[part], rows.doc_start[part], weights[part])
               for part in (slice(i, i + run.rows) for i in range(0, len(weights), run.rows))]


def held_out_loss(run: Run, limit: int) -> dict[str, float]:
    """val_loss: nats a token that counts; val_bpb: bits per byte of raw text (special tokens have
    no bytes). Each rank takes every ranks-th window."""
    data, job, B = run.data, run.job, run.rows
    tokens, targets, doc_start, mask = (
        part if part is None else part[job.rank::job.ranks] for part in data.held_out(limit))
    nll = 0.0
    for part in (slice(i, i + B) for i in range(0, len(mask), B)):
        each = run.model.forward(tokens[part], targets[part],
                                 None if doc_start is None else doc_start[part])
        nll += float((each * mask[part]).sum(dtype=np.float64))
    size = data.tokenizer.byte_lengths[targets[mask]].sum() if data.tokenizer else 0
    nll, count, size = job.sum(nll, int(mask.sum()), float(size))
    figures = {"val_loss": nll / count}
    if data.tokenizer:
        figures["val_bpb"] = nll / math.log(2) / size
    return figures


class Stage(NamedTuple):
    """What differs between the stages; the loop is one for all."""
    settings: type          # a dataclass, whose fields are flags
    data: type              # Data, Conversations or the like
    batches: Callable       # (run) -> generator of steps
    evaluate: Callable = held_out_loss           # (run, tokens at most) -> {figure: value}
    figure: str = "val_loss"                     # decides which model is best, and is plotted
    higher: bool = False                         # whether a higher figure is better
    final: int = 1          # the evaluation after the last step takes so many times the tokens
    reference: bool = False                      # whether it compares with the model it began with


STAGES = {"pretrain": Stage(Pretrain, Data, pretrain_batches, final=FINAL),
          "sft": Stage(Sft, Conversations, sft_batches)}


def stage_of(s: Training) -> str:
    """The name of the stage with such settings."""
    return next(name for name, stage in STAGES.items() if stage.settings is type(s))


# ---- Schedule and guard --------------------------------------------------------------------------

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


# ---- The loop ------------------------------------------------------------------------------------

def accumulate(model: Model, passes, job: Job) -> tuple[float, float]:
    """Add the gradients of a step's passes, on all ranks; its loss and its gradient's norm."""
    model.zero_grad()
    total = 0.0
    for i, (tokens, targets, doc_start, weights) in enumerate(passes):
        if callable(weights):
            loss, weights = weights(model.forward(tokens, targets, doc_start))
        else:                                    # known before: the head's gradient is added now
            loss = (model.forward(tokens, targets, doc_start, weights) * weights).sum()
            weights = None
        model.backward(weights, reduce=i + 1 == len(passes))
        total += float(loss)
    return job.sum(total)[0], model.grad_norm()


def begin(s: Training, folder: Folder | None, data, model: Model, state, job: Job) -> Run:
    """A run, new or resumed: then the model and the loader are where they were."""
    progress = {"step": 0, "updates": 0, "epoch": 0, "index": 0, "time": 0.0, "recent": [],
                "best": None} | (state[0] if state else {})
    base = [checksum(path) for path in adapter.files_of(s.model)] if s.lora else []
    progress["identity"] = launch.find_again(s, data, model, base, progress.get("identity"))
    if state:
        runs.restore(job, model, state[2])
        data.loader.seek(progress["epoch"], progress["index"])
        if progress["index"] > len(data.loader.order):
            raise ChatError(f"the state is at window {progress['index']} of an epoch, and there "
                            f"are {len(data.loader.order)}")
    run = Run(s, data, model, job, progress, folder)
    if data.tokenizer and not model.config.scalar:
        run.engine = Engine(model, data.tokenizer)
    if run.stage.reference:
        place = Path(s.out or folder.path, runs.REFERENCE)
        if not state:
            on_rank_0(job, model, runs.save_model, model, data.tokenizer, place)
        files = {path.name: checksum(path) for path in sorted(place.iterdir())}
        if progress.setdefault("reference", files) != files:
            raise ChatError(f"{place} has changed since the run began, and it cannot go on without")
        run.reference = Model.load(place, model.device, model.dtype)
    if "baselines" not in progress:              # without any, what the model gets as it begins
        progress["baselines"] = data.baselines() or ({} if run.step else {
            "before": run.stage.evaluate(run, s.eval_tokens)[run.stage.figure]})
    if job.rank == 0:
        folder.rewind_log(run.step)
        tell("baselines: " + ", ".join(f"{name} {value:.3f}" for name, value
                                       in progress["baselines"].items())
             + " nats" * (run.stage.figure == "val_loss"))
    return run


def evaluate(run: Run) -> dict[str, float]:
    """The stage's figures now; the best model so far is kept."""
    stage, progress, step = run.stage, run.progress, run.step
    figures = stage.evaluate(run, run.settings.eval_tokens)
    tell(f"step {step}/{run.settings.steps}  validation: {describe(figures)}")
    value, best = figures[stage.figure], progress["best"]
    if math.isfinite(value) and (best is None or (value > best if stage.higher else value < best)):
        progress["best"] = value
        on_rank_0(run.job, run.model, lambda: attempt(
            "best model", runs.save_model, run.model, run.data.tokenizer, run.folder.path / "best",
            stage_of(run.settings)))
    return figures


def checkpoint(run: Run) -> int | None:
    """Write all that the folder is to hold; the step, if it can be resumed from there."""
    data, progress = run.data, run.progress
    progress.update(epoch=data.loader.epoch, index=data.loader.index)
    attempt("loss.png", run.folder.plot, run.stage.figure, progress["baselines"])
    settings = {**asdict(run.settings), "stage": stage_of(run.settings)}
    whole = attempt("checkpoint", runs.save, run.model, data.tokenizer, run.folder.path, progress,
                    settings)
    return run.step if whole else None


def train(s: Training, folder: Folder | None, data, model: Model, state=None,
          stop=lambda step: False, job: Job | None = None):
    """The loop of all stages, on all ranks; returns the last evaluation's figures, None if it was
    stopped. s is from `with_defaults`; rank 0 alone has the folder, and the tensors of a state from
    read_state. stop(step), asked before each step, leaves with a checkpoint if true on any rank."""
    job = job or Job(model.core)
    run = begin(s, folder, data, model, state, job)
    stage, progress, batches = run.stage, run.progress, run.stage.batches(run)
    line = ProgressLine(s, model, progress["time"], job.ranks)
    figures, skipped, saved = {}, 0, None
    while run.step < s.steps and not job.sum(stop(run.step))[0]:
        began, lr = time.time(), learning_rate(s, run.step)
        loss, norm = accumulate(model, next(batches), job)
        reason = why_skip(loss, norm, progress["recent"])
        if math.isfinite(norm):
            progress["recent"] = progress["recent"][-99:] + [norm]
        if not reason:
            progress["updates"] += 1
            model.update(progress["updates"], lr, s.beta1, s.beta2, 1e-8, s.weight_decay,
                         min(1.0, s.clip / (norm + 1e-6)), s.momentum)
        line.took(time.time() - began)
        progress["step"] = step = run.step + 1
        progress["time"], last = line.elapsed(), step == s.steps
        skipped = note_skipped(run, reason, skipped) if reason else 0
        entry = {"step": step, "loss": loss if math.isfinite(loss) else None, "lr": lr,
                 "grad_norm": norm if math.isfinite(norm) else None,
                 "tok_per_s": round(line.rate), "time": round(progress["time"], 2)}
        entry |= {} if type(s) is Pretrain else {"stage": stage_of(s)}
        if step % s.eval_every == 0 or last:
            entry.update(figures := evaluate(run))
        if last and stage.final > 1:             # beside the curve: more tokens, another figure
            figures = stage.evaluate(run, stage.final * s.eval_tokens)
            entry.update({f"final_{name}": value for name, value in figures.items()})
        if job.rank == 0:
            attempt("log", folder.write_log, entry)
        if step % max(1, s.steps // 100) == 0 or step == 1 or last:
            line.measure()
            tell(line.line(step, loss, norm, lr))
        if run.engine and s.sample_every and step % s.sample_every == 0 and job.rank == 0:
            tell(f"--- {sample(run, step // s.sample_every)}\n")
        if step % s.checkpoint_every == 0 or last:
            saved = on_rank_0(job, model, checkpoint, run)
    if saved != run.step:
        saved = on_rank_0(job, model, checkpoint, run)
    if saved is None:
        raise ChatError(f"step {run.step} is not saved, for the reason above: mend that and "
                        f"--resume --out {s.out} goes on from the checkpoint before")
    return figures if run.step == s.steps else None


def note_skipped(run: Run, reason: str, skipped: int) -> int:
    """Say that a step was not taken, the next after `skipped` others; ChatError after ten."""
    loader = run.data.loader
    if run.job.rank == 0:
        tell(f"step {run.step} skipped: {reason} (data: epoch {loader.epoch}, "
             f"window {loader.index})", sys.stderr)
    if skipped + 1 == 10:
        saved = run.folder and (run.folder.path / runs.STATE).exists()
        raise ChatError(f"10 steps in a row could not be taken ({reason}): "
                        + "the last checkpoint is intact: --resume it, or " * bool(saved)
                        + "start anew with a lower --lr")
    return skipped + 1


def sample(run: Run, number: int, length: int = 80) -> str:
    """How a document begins or the assistant answers a held-out question, by now. Whatever goes
    wrong with a sample is said in its place: it must not end the run."""
    try:
        engine, settings = run.engine, Sampling(max_tokens=length, seed=run.settings.seed)
        question = run.data.question(number)
        sequence = Turn(engine, question, settings) if question else \
            Sequence([run.data.tokenizer.between], settings)
        text = "".join(text for _, _, text, _ in engine.generate([sequence]))
        return f"{question[-1]['content']}\n    {text}" if question else text
    except Exception as error:
        return f"no sample: {error}"


# ---- From flags to a run -------------------------------------------------------------------------

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
        name = saved.get("stage", "pretrain")
        if name not in [*STAGES]:
            raise ChatError(f"{path}: its stage is {name!r}, but must be {' or '.join(STAGES)}")
        kind = STAGES[name].settings
        s = replace(launch.resumed(kind, s, given, saved), out=s.out)
        state = progress, saved, state and state[2]
        if s.model and not runs.holds_model(Path(s.model)):
            if s.lora:
                raise ChatError(f"{s.model} is gone, and {path} has only adapters to it: bring it "
                                f"back to --resume")
            tell(f"{s.model}, which the run began with, is gone: its tokenizer and architecture "
                 f"are taken from {s.out}")
            s = replace(s, model=s.out)
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
        raise ChatError(f"{' '.join(s.data)} has other tokens here than on rank 0")
    if s.resume and data.vocab != getattr(s, "vocab_size", data.vocab):
        raise ChatError(f"{' '.join(s.data)}: {data.vocab} tokens in its vocabulary, "
                        f"the run has {s.vocab_size}")
    return data


def run_rank(s: Training, given: set[str], job: Job, why_not: str = "") -> int:
    """One rank of a run, from its settings to its end; returns the program's exit status, which is
    not 0 where a signal left the model unfinished. SIGUSR1 asks for what there is: that is 0."""
    s, folder, state = open_run(s, given, job)
    threads = job.core.call("device_threads", s.threads or job.cores)
    data, changes, family = shared_data(s, job), {}, None
    s = replace(s, lora=launch.adapter_rank(s, data.tokenizer))
    if s.model:
        family, _, c = Model.configuration(s.model)
        if Path(s.model).is_file():
            tell(f"{s.model}: weights in {', '.join(gguf.File(Path(s.model)).types)}, which are "
                 f"unpacked")
        if s.context > c.context:                # RoPE goes on; learned positions end: an error
            tell(f"--context {s.context} is more than the {c.context} that {s.model} has learned")
            changes = {"context": s.context}
        changes |= {"lora": s.lora}
        c = c.changed(**changes)
    else:
        c = architecture(s, data.vocab)
    s, flags = with_defaults(s, data, c, job.ranks), model_flags(s, job)
    memory = launch.expect_memory(s, c, job)
    model = Model(c, s.device, s.dtype, flags) if s.resume and not s.lora else \
        Model.load(s.model, s.device, s.dtype, flags, **changes) if s.model else \
        Model.create(c, s.device, s.dtype, s.seed, flags)
    model.family = model.family or family
    adapter.begin(model, s.seed)
    launch.announce(s, c, data, model, job, threads, *memory, why_not)
    model.reserve(pass_rows(s, job) * s.context)
    job.sum()
    if job.rank == 0:                            # only now: a rank that failed has left nothing
        folder = folder or Folder(Path(s.out))
    stopped = []                                 # by signals: (when, which)

    def interrupt(number, _):
        if stopped and stopped[0][0] < time.time() - 1:  # some launchers send it twice
            raise KeyboardInterrupt
        if not stopped and job.rank == 0:
            tell("\nstopping after this step (again: at once)", sys.stderr)
        stopped.append((time.time(), number))

    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(name, interrupt)
    figures = train(s, folder, data, model, state, lambda step: len(stopped), job)
    if figures is None:
        tell(f"stopped; go on with: python train.py --resume --out {s.out}")
        which = stopped[0][1] if stopped else signal.SIGUSR1     # or it was another rank's
        return 0 if which == signal.SIGUSR1 else 128 + which
    if figures:
        tell(f"validation: {describe(figures)}; {peak() / 1e6:,.0f} MB of memory at the peak")
    tell(f"{s.out}: model, log.jsonl, loss.png; talk to it: python infer.py --model {s.out}")
    return 0


def start(s: Training, given: set[str]) -> int:
    """Join the job, choose a folder, and see to it that no rank outlives another's failure. Returns
    the exit status."""
    check(s)
    stage = stage_of(s)
    if not s.out:
        s = replace(s, out=str(runs.newest_run(None if stage == "pretrain" else stage, runs.STATE)
                               if s.resume else runs.free_name(stage)))
    if type(s) is not Pretrain and not s.model and not s.resume:
        s = replace(s, model=str(runs.newest_run("pretrain")))
    if s.model:
        s = replace(s, model=str(runs.find_model(s.model)))
        Model.configuration(s.model)             # complains before any data is prepared
    if s.resume and not Path(s.out).is_dir():
        raise ChatError(f"--resume: there is no run in {s.out}")
    device, dtype, why_not = launch.choose(s, read_settings(Path(s.out)) if s.resume else {})
    job = Job(Library.load(device, dtype))
    if job.ranks == 1:
        return run_rank(replace(s, device=device, dtype=dtype), given, job, why_not)
    if job.rank:
        sys.stdout = open(os.devnull, "w")
    try:
        s = replace(s, out=job.share(s.out), device=device, dtype=dtype)
        status = run_rank(s, given, job, why_not)
        job.stop()
        return status
    except BaseException as error:
        time.sleep(1 if job.rank else 0)         # what is wrong on all, rank 0 alone says
        if not isinstance(error, (ChatError, OSError, KeyboardInterrupt)) \
                or os.environ.get("CHAT_DEBUG"):
            traceback.print_exc()
        job.abort(f"train.py: rank {job.rank}: {error or type(error).__name__}")


if __name__ == "__main__":
    cli.run(lambda: sys.exit(start(*cli.parse(__doc__, {
        name: (stage.settings, start) for name, stage in STAGES.items()}, default="pretrain")[1:])))
