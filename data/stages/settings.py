"""What all stages of training share: their settings, each field a flag, what differs between
them, and what each works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, NamedTuple

import numpy as np

from csrc import launch
from csrc.bind import Job, Model
from csrc.cli import flag
from csrc.engine import Engine
from csrc.runs import Folder
from data.tokens.documents import WORLD
from data.tokens.loader import FINAL, Shuffled

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
    optimizer: str | None = flag(None, "muon: for the matrices of blocks, for the rest AdamW; "
                                       "default muon to learn anew, else adamw",
                                 choices=("adamw", "muon"))
    lr: float | None = flag(None, "peak learning rate; default by stage, width", limits=OVER_0)
    schedule: str = flag("cosine", "wsd: warmup, stable, linear decay", choices=("cosine", "wsd"))
    warmup: float = flag(0.02, "fraction of the steps over which the rate rises", limits=SHARE)
    decay: float = flag(0.3, "fraction of the steps over which wsd decays", limits=SHARE)
    final_lr: float = flag(0.05, "the last rate, as a fraction of the peak", limits=SHARE)
    weight_decay: float | None = flag(None, "of matrices; default 0.1; to learn anew what makes "
                                            "rate x decay x steps 4", limits=FROM_0)
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
    threads: int = flag(0, "threads of a rank; 0: OMP_NUM_THREADS, or its share of "
                          "the cores", limits="[0, 1024]")
    zero: str = flag("on", "ranks share the optimizer's state (ZeRO-1)", choices=("on", "off"))
    masters: str = flag("on", "float32 copies of bf16; off: round by chance", choices=("on", "off"))
    recompute: str | None = flag(None, "compute twice, to save memory: cheap (norms, activation "
                                       "functions; default with adapters), blocks, or none "
                                       "(default)", choices=tuple(launch.RECOMPUTE))
    lora: int | None = flag(None, f"learn only adapters of this rank beside the model's matrices; "
                                  f"0: all weights; default {launch.RANK} for a model from "
                                  f"elsewhere", limits=FROM_0)

    begins_with = None           # the stage whose newest run is the model, if none is given
    learns_anew = False          # whether little is left of what a model of ours was before
    scalar = 0                   # 1: the head becomes one that gives a number
    compares = True              # whether it needs the reference that its stage has
    critic = False               # whether a second model learns what rewards to expect
    slots = 0                    # sequences that it generates at the same time
    adapter_rate = launch.RATE   # the peak learning rate of adapters, if not given

    def step_tokens(self, wanted: int) -> int:
        """Tokens of a step, if they follow from other settings; else those `wanted`."""
        return wanted


# A stage's generator gives for each step this rank's passes: (tokens, targets, doc_start, weights).
# The weights are dLoss/d(what forward returns), where the loss is a mean over the whole step, of
# all passes and ranks; or a function from what forward returned to (the pass's loss, weights). None
# instead of passes: nothing is learned in this step. Where it ends, the run does.


class Stage(NamedTuple):
    """What differs between the stages; the loop is one for all."""
    settings: type          # a dataclass, whose fields are flags
    data: type              # Data, Conversations or the like
    batches: Callable       # (run) -> generator of steps
    evaluate: Callable      # (run, tokens at most) -> {figure: value}
    figure: str = "val_loss"                     # decides which model is best, and is plotted
    higher: bool = False                         # whether a higher figure is better
    final: int = 1          # the evaluation after the last step takes so many times the tokens
    reference: bool = False                      # whether it compares with the model it began with
    plotted: tuple = ()                          # what else of the log is drawn
    padded: bool = False    # whether its rows are shorter than a window: then they are counted


@dataclass
class Run:
    """What a stage works with, on one rank.

    progress    what a checkpoint holds beside settings and tensors
    engine      generates texts with the model as it is; None without a tokenizer or a head for it
    reference   the model as it was when the run began, if the stage asks for it
    critic      a model with a scalar head that learns beside it, if the stage asks for it
    told        figures of this step that the log gets, too
    """
    settings: Training
    data: object                         # of the stage's class
    model: Model
    job: Job
    progress: dict
    folder: Folder | None = None         # rank 0's
    engine: Engine | None = None
    reference: Model | None = None
    critic: Model | None = None
    told: dict = field(default_factory=dict)

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
        return launch.pass_rows(self.settings, self.job)


class Numbers(Shuffled):
    """Numbers of things that are learned from, as many in a step as are asked for, on every rank
    the same. tokens: of all of them, as --batch-tokens counts."""

    def __init__(self, count: int, tokens: int, seed: int):
        self.count, self.tokens, self.seed = count, tokens, seed
        self.seek(0, 0)

    def seek(self, epoch: int, index: int) -> None:
        """Go to a position: the next is number `index` of the epoch."""
        self.epoch, self.index = epoch, index
        self.order = np.random.default_rng((self.seed, epoch)).permutation(self.count)


def passes(lengths, most: int, places=None) -> list[list[int]]:
    """Places of rows, or of some of them, each list of a pass: rows of like lengths, which padded
    to the longest are no more than `most` tokens, or one row."""
    found = []
    for place in np.argsort(lengths, kind="stable") if places is None else places:
        if not found or (len(found[-1]) + 1) * lengths[place] > most:
            found.append([])
        found[-1].append(int(place))
    return found


def by_length(run: Run, lengths, share=True) -> list[list[int]]:
    """The passes of this rank's share of rows, or of all."""
    order = np.argsort(lengths, kind="stable")
    return passes(lengths, run.rows * run.settings.context,
                  order[run.job.rank::run.job.ranks] if share else order)


def padded(rows, fill=0) -> np.ndarray:
    """Rows of several lengths as one array, with `fill` behind the shorter ones."""
    out = np.full((len(rows), max(map(len, rows))), fill, np.asarray(rows[0]).dtype)
    for place, row in zip(out, rows):
        place[:len(row)] = row
    return out
