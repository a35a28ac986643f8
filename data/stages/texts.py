"""The stages that learn to say what was said: pretraining from documents, and supervised
fine-tuning from conversations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from csrc.cli import flag
from csrc.config import BIAS_ALL, GELU, LAYERNORM, LEARNED, Config
from csrc.engine import Sampling, Sequence
from data.chat.turn import Turn
from data.stages.settings import COUNT, OVER_0, SHARE, Run, Training
from data.tokens.documents import WORLD


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
    minutes: float | None = flag(None, "choose depth and steps for so long a run on this machine",
                                 limits=OVER_0)
    learns_anew = True

    def horizon(self, layers: int, epoch: float, foreign: bool) -> int:
        """Steps, if not given, for an `epoch` of so many: over six only learn the text by heart. A
        model that is `foreign` reads it once."""
        return max(1, round(epoch)) if foreign else \
            min(max(int(6 * epoch), 70 * layers ** 2), 120 * layers ** 2)

    def rate(self, channels: int, foreign: bool) -> float:
        """The peak learning rate, if not given (tests/RESULTS.md)."""
        peak = 8e-3 if self.optimizer == "muon" else 4e-3
        return 1e-4 if foreign else peak * (256 / channels) ** 0.5


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
    begins_with = "pretrain"

    def horizon(self, layers: int, epoch: float, foreign: bool) -> int:
        """Steps, if not given: two epochs, of a model that is `foreign` three."""
        return max(1, min(round((2 + foreign) * epoch), 120 * layers ** 2))

    def rate(self, channels: int, foreign: bool) -> float:
        """The peak learning rate, if not given."""
        return 1e-4 if foreign else 1e-3 * (256 / channels) ** 2


def architecture(s: Pretrain, vocab: int) -> Config:
    """The model that --depth, --channels and --arch mean."""
    channels = s.channels or 64 * s.depth
    common = dict(vocab=vocab, context=s.context, layers=s.depth, channels=channels,
                  heads=channels // 64, kv_heads=channels // 64, head_dim=64)
    if s.arch == "gpt2":
        return Config(**common, hidden=4 * channels, norm=LAYERNORM, position=LEARNED,
                      activation=GELU, bias=BIAS_ALL, qk_norm=0, norm_eps=1e-5)
    return Config(**common, hidden=math.ceil(channels * 8 / 3 / 64) * 64)


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
