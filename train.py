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
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from csrc import adapter, cli, gguf, launch, runs
from csrc.bind import ChatError, Job, Library, Model
from csrc.config import Config
from csrc.engine import Engine
from csrc.launch import ProgressLine, describe, model_flags, pass_rows, with_defaults
from csrc.runs import Folder, attempt, on_rank_0, peak, read_settings, read_state, tell
from data.chat.rows import Conversations
from data.stages import budget
from data.stages.play import Games, Play, play_batches, play_figures
from data.stages.preferences import (Dpo, Preferences, Reward, dpo_batches, dpo_figures,
                                     reward_batches, reward_figures)
from data.stages.rl import Problems, Rl, rl_batches, rl_figures
from data.stages.settings import Run, Stage, Training
from data.stages.texts import (Pretrain, Sft, architecture, held_out_loss, pretrain_batches, sample,
                               sft_batches)
from data.tokens.loader import FINAL, Data, checksum

# ---- Stages: their settings are flags ------------------------------------------------------------

STAGES = {"pretrain": Stage(Pretrain, Data, pretrain_batches, held_out_loss, final=FINAL),
          "sft": Stage(Sft, Conversations, sft_batches, held_out_loss),
          "reward": Stage(Reward, Preferences, reward_batches, reward_figures, "accuracy",
                          higher=True, padded=True),
          "dpo": Stage(Dpo, Preferences, dpo_batches, dpo_figures, "accuracy", higher=True,
                       reference=True, padded=True),
          "rl": Stage(Rl, Problems, rl_batches, rl_figures, "held_reward", higher=True,
                      reference=True, plotted=("reward", "length", "entropy", "no_signal", "cut",
                                               "kl"), padded=True),
          "play": Stage(Play, Games, play_batches, play_figures, "score", higher=True,
                        plotted=("score_expert", "score_solver", "optimal", "entropy"),
                        padded=True)}


def stage_of(s: Training) -> str:
    """The name of the stage with such settings."""
    return next(name for name, stage in STAGES.items() if stage.settings is type(s))


def check(s: Training) -> None:
    """ChatError where settings that each are fine do not go together."""
    has = vars(s)
    if has.get("tokenizer") and (s.model or s.vocab_size):
        raise ChatError(f"--tokenizer {s.tokenizer} does not go with "
                        f"{'--model, which brings its own' if s.model else '--vocab-size'}")
    for other in ("model", "steps", "channels"):
        if has.get("minutes") and has[other]:
            raise ChatError(f"--minutes {s.minutes:g} chooses the size and the steps, so it does "
                            f"not go with {cli.option(other)} {has[other]}")
    if s.lora and not s.model and not s.begins_with:
        raise ChatError(f"--lora {s.lora} needs --model: random weights are nothing to adapt")
    if has.get("minibatches", 0) > has.get("prompts", 0):
        raise ChatError(f"--minibatches {s.minibatches} need as many --prompts, not {s.prompts}")
    if has.get("max_tokens", 0) >= s.context:
        raise ChatError(f"--max-tokens {s.max_tokens} leave nothing of --context {s.context} to "
                        f"the problem")
    if (has.get("channels") or 64) % 64:
        raise ChatError(f"--channels is {s.channels}, but must be a multiple of 64")


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
    if not passes:                               # other ranks have some, and wait for this one
        none = np.zeros((1, 1), np.float32)
        passes = [(none.astype(int), None if model.config.scalar else none.astype(int), None, none)]
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
    critic = Model.load(s.model, model.device, model.dtype, scalar=1) if s.critic else None
    if state:
        runs.restore(job, model, state[2], critic)
        data.loader.seek(progress["epoch"], progress["index"])
        if progress["index"] > len(data.loader.order):
            raise ChatError(f"the state is at window {progress['index']} of an epoch, and there "
                            f"are {len(data.loader.order)}")
    run, stage = Run(s, data, model, job, progress, folder, critic=critic), STAGES[stage_of(s)]
    if data.tokenizer and not model.config.scalar:
        run.engine = Engine(model, data.tokenizer)
    if stage.reference and s.compares:
        place = Path(s.out or folder.path, runs.REFERENCE)
        if not state:
            on_rank_0(job, model, runs.save_model, model, data.tokenizer, place)
        files = {path.name: checksum(path) for path in sorted(place.iterdir())}
        if progress.setdefault("reference", files) != files:
            raise ChatError(f"{place} has changed since the run began, and it cannot go on without")
        run.reference = Model.load(place, model.device, model.dtype)
    if "baselines" not in progress:              # without any, what the model gets as it begins
        progress["baselines"] = data.baselines() or ({} if run.step else {
            "before": stage.evaluate(run, s.eval_tokens)[stage.figure]})
    if job.rank == 0:
        folder.rewind_log(run.step)
        tell("baselines: " + ", ".join(f"{name} {value:.3f}" for name, value
                                       in progress["baselines"].items())
             + " nats" * (stage.figure == "val_loss"))
    return run


def evaluate(run: Run) -> dict[str, float]:
    """The stage's figures now; the best model so far is kept."""
    stage, progress, step = STAGES[stage_of(run.settings)], run.progress, run.step
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
    data, progress, stage = run.data, run.progress, STAGES[stage_of(run.settings)]
    progress.update(epoch=data.loader.epoch, index=data.loader.index)
    attempt("loss.png", run.folder.plot, stage.figure, progress["baselines"], stage.plotted)
    settings = {**asdict(run.settings), "stage": stage_of(run.settings)}
    whole = attempt("checkpoint", runs.save, run.model, data.tokenizer, run.folder.path, progress,
                    settings, run.critic)
    return run.step if whole else None


def train(s: Training, folder: Folder | None, data, model: Model, state=None,
          stop=lambda step: False, job: Job | None = None):
    """The loop of all stages, on all ranks; returns the last evaluation's figures, None if it was
    stopped. s is from `with_defaults`; rank 0 alone has the folder, and the tensors of a state from
    read_state. stop(step), asked before each step, leaves with a checkpoint if true on any rank."""
    job = job or Job(model.core)
    run = begin(s, folder, data, model, state, job)
    stage, progress = STAGES[stage_of(s)], run.progress
    batches = stage.batches(run)
    line = ProgressLine(s, model, progress["time"], job.ranks)
    figures, skipped, saved, why = {}, 0, None, None
    while run.step < s.steps and not job.sum(stop(run.step))[0]:
        began, lr = time.time(), learning_rate(s, run.step)
        try:
            passes = next(batches)
        except StopIteration as end:
            why = end.value
            break
        drawn = time.time()
        loss, norm = accumulate(model, passes, job) if passes is not None else (0.0, 0.0)
        reason = why_skip(loss, norm, progress["recent"])
        if math.isfinite(norm) and passes is not None:
            progress["recent"] = progress["recent"][-99:] + [norm]
        if not reason and passes is not None:
            progress["updates"] += 1
            model.update(progress["updates"], lr, s.beta1, s.beta2, 1e-8, s.weight_decay,
                         min(1.0, s.clip / (norm + 1e-6)), s.momentum)
        line.took(time.time() - began, job.ranks * sum(
            np.size(tokens) for tokens, *_ in passes or ()) if stage.padded else None)
        progress["step"] = step = run.step + 1
        progress["time"], last = line.elapsed(), step == s.steps
        skipped = note_skipped(run, reason, skipped) if reason else 0
        entry = {"step": step, "loss": loss if math.isfinite(loss) else None, "lr": lr,
                 "grad_norm": norm if math.isfinite(norm) else None,
                 "tok_per_s": round(line.rate), "time": round(progress["time"], 2)}
        entry |= {} if type(s) is Pretrain else {"stage": stage_of(s)}
        entry |= run.told and {**run.told, "update_seconds": round(time.time() - drawn, 3)}
        if step % s.eval_every == 0 or last:
            entry.update(figures := evaluate(run))
        if last and stage.final > 1:             # beside the curve: more tokens, another figure
            figures = stage.evaluate(run, stage.final * s.eval_tokens)
            entry.update({f"final_{name}": value for name, value in figures.items()})
        if job.rank == 0:
            attempt("log", folder.write_log, entry)
        if step % max(1, s.steps // 100) == 0 or step == 1 or last:
            line.measure()
            tell(line.line(step, loss, norm, lr) + ("\n    " + describe(run.told)) * bool(run.told))
        if run.engine and s.sample_every and step % s.sample_every == 0 and job.rank == 0:
            tell(f"--- {sample(run, step // s.sample_every)}\n")
        if step % s.checkpoint_every == 0 or last:
            saved = on_rank_0(job, model, checkpoint, run)
    if saved != run.step:
        saved = on_rank_0(job, model, checkpoint, run)
    if saved is None:
        raise ChatError(f"step {run.step} is not saved, for the reason above: mend that and "
                        f"--resume --out {s.out} goes on from the checkpoint before")
    if why:
        raise ChatError(f"ended at step {run.step}, which is saved: {why}")
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


def time_step(s: Pretrain, data: Data, job: Job) -> tuple[int, float]:
    """The parameters of a model with such settings, and the seconds that a step of it takes: the
    median of a few, after the first."""
    config = architecture(s, data.vocab)
    launch.expect_memory(s, config, job)
    model = Model.create(config, s.device, s.dtype, s.seed, model_flags(s, job))
    batches, took = pretrain_batches(Run(s, data, model, job, {})), []
    for step in range(1, 5):
        began = time.time()
        _, norm = accumulate(model, next(batches), job)
        model.update(step, s.lr, grad_scale=min(1.0, s.clip / (norm + 1e-6)))
        took.append(time.time() - began)
    data.loader.seek(0, 0)
    parameters = model.parameters
    model.free()
    return parameters, float(np.median(took[1:]))


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


def models_beside(s: Training, c: Config) -> list[tuple[Config, bool]]:
    """(Config, whether it learns) of the reference, critic and reward model that a stage needs."""
    frozen = [c] * (STAGES[stage_of(s)].reference and s.compares)
    if name := getattr(s, "reward", None):
        frozen.append(Model.configuration(runs.find_model(name))[1])
    return [(one, False) for one in frozen] + [(c.changed(lora=0, scalar=1), True)] * s.critic


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
        if c.scalar and not s.scalar:
            raise ChatError(f"{s.model} judges texts (it has a scalar head) and cannot write any: "
                            f"--model names one that can")
        changes |= {"lora": s.lora, "scalar": s.scalar}
        c = c.changed(**changes)
    else:
        if getattr(s, "minutes", None) and not s.resume:
            s = budget.plan(s, data, job, s.depth if "depth" in given else None,
                            lambda one: time_step(one, data, job))
        c = architecture(s, data.vocab)
    s = with_defaults(s, data, c, job.ranks)
    flags = model_flags(s, job)
    memory = launch.expect_memory(s, c, job, models_beside(s, c))
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
    tell(f"{s.out}: model, log.jsonl, loss.png; " + (
        f"learn from its values: python train.py rl --reward {s.out}" if s.scalar else
        f"talk to it: python infer.py --model {s.out}"))
    return 0


def start(s: Training, given: set[str]) -> int:
    """Join the job, choose a folder, and see to it that no rank outlives another's failure. Returns
    the exit status."""
    check(s)
    stage = stage_of(s)
    if not s.out:
        s = replace(s, out=str(runs.newest_run(None if stage == "pretrain" else stage, runs.STATE)
                               if s.resume else runs.free_name(stage)))
    if s.begins_with and not s.model and not s.resume:
        s = replace(s, model=str(runs.newest_run(s.begins_with)))
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
