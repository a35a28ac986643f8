"""What a stage may be: preferences, a reward model and reinforcement learning, each as a generator
of passes of a few lines, run by train.py's one loop. A toy of each, which must learn."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

import train
from csrc import runs
from csrc.bind import Model
from csrc.config import Config
from csrc.cli import flag
from csrc.engine import Sampling, Sequence
from data.chat.rows import RowLoader
from data.tokens import bpe
from data.tokens.loader import Rows

T, V = 8, 320
TOKENIZER = bpe.Tokenizer.from_merges([(97 + i % 26, 97 + i // 26) for i in range(V - 288 - 1)])


@dataclass
class Toy(train.Training):
    """A toy's settings."""
    beta: float = flag(0.5, "how far the model may go from its reference", limits="(0, inf)")


class Pairs:
    """20 pairs of texts of eight letters, the better one first in each: it has more of the last
    letters. Two are held out."""
    tokenizer, identity = TOKENIZER, {"pairs": 20}

    def __init__(self):
        rng = np.random.default_rng(0)
        both = rng.integers(97, 123, (20, 2, T + 1))
        both = np.take_along_axis(both, both.sum(2).argsort(1)[:, ::-1, None], 1)
        self.pairs, self.held = both[:18].astype(np.int32), both[18:].astype(np.int32)
        index = np.arange(18)[:, None]           # a row of the loader is the number of a pair
        self.loader = RowLoader(Rows(index, index, index, index >= 0))

    def baselines(self):
        return {}


def sides(pairs):
    """Tokens, targets (2 n,T): the better ones, then the worse."""
    texts = np.concatenate([pairs[:, 0], pairs[:, 1]])
    return texts[:, :-1], texts[:, 1:]


def sigmoid_loss(margin, count):
    """-log sigmoid(margin) of n pairs, a mean over `count`, and its derivative."""
    return np.log1p(np.exp(-margin)).sum() / count, -1 / (1 + np.exp(margin)) / count


def learn(monkeypatch, tmp_path, stage, data, scalar=0, **settings):
    """The log of a run of this stage through train(), with a model of one layer."""
    monkeypatch.setitem(train.STAGES, "toy", stage)
    config = Config(vocab=V, context=T, layers=1, channels=64, heads=1, kv_heads=1, head_dim=64,
                    hidden=192, scalar=scalar)
    s = train.with_defaults(Toy(**{**dict(
        out=str(tmp_path / "run"), context=T, batch=18, batch_tokens=18 * T, steps=40, lr=3e-3,
        eval_every=10, sample_every=0, device="cpu", dtype="f32", optimizer="adamw",
        weight_decay=0.1), **settings}), data, config)
    model = Model.create(config, "cpu", "f32")
    figures = train.train(s, runs.Folder(tmp_path / "run"), data, model)
    log = [json.loads(line) for line in open(tmp_path / "run" / "log.jsonl")]
    assert (tmp_path / "run" / "loss.png").exists() and (tmp_path / "run" / "best").is_dir()
    return log, figures, model


# ---- Direct preference optimization (arXiv:2305.18290) -------------------------------------------

def margins(run, pairs):
    """How much likelier than for the reference the better of each pair is than the worse, times
    beta; and the function that makes it of what forward returned."""
    tokens, targets = sides(pairs)
    reference = run.reference.forward(tokens, targets).sum(1)

    def of(nll):
        better, worse = np.split(reference - nll.sum(1), 2)
        return run.settings.beta * (better - worse)
    return tokens, targets, of


def dpo_batches(run):
    while True:
        pairs = run.data.pairs[run.data.loader.next(run.windows)[0].tokens[:, 0]]
        tokens, targets, of = margins(run, pairs)

        def loss(nll):
            value, slope = sigmoid_loss(of(nll), len(pairs))
            each = run.settings.beta * np.concatenate([-slope, slope])
            return value, np.broadcast_to(each[:, None], nll.shape)
        yield [(tokens, targets, None, loss)]


def dpo_margin(run, limit):
    tokens, targets, of = margins(run, run.data.pairs)
    return {"margin": float(of(run.model.forward(tokens, targets)).mean())}


def test_dpo_makes_the_chosen_of_each_pair_likelier_than_the_reference_does(monkeypatch, tmp_path):
    stage = train.Stage(Toy, Pairs, dpo_batches, dpo_margin, "margin", higher=True, reference=True)
    log, figures, _ = learn(monkeypatch, tmp_path, stage, Pairs())
    assert log[0]["loss"] == pytest.approx(np.log(2), abs=1e-5)     # the model is its reference
    assert log[-1]["loss"] < 0.2 and figures["margin"] > 1.5
    margin = [entry["margin"] for entry in log if "margin" in entry]
    assert margin == sorted(margin)


# ---- A reward model (Bradley and Terry; arXiv:2203.02155) ----------------------------------------

def reward_batches(run):
    while True:
        pairs = run.data.pairs[run.data.loader.next(run.windows)[0].tokens[:, 0]]

        def loss(values):
            better, worse = np.split(values[:, -1], 2)
            value, slope = sigmoid_loss(better - worse, len(pairs))
            weights = np.zeros_like(values)
            weights[:, -1] = np.concatenate([slope, -slope])
            return value, weights
        yield [(sides(pairs)[0], None, None, loss)]


def reward_accuracy(run, limit):
    better, worse = np.split(run.model.forward(sides(run.data.pairs)[0])[:, -1], 2)
    return {"accuracy": float((better > worse).mean())}


def test_a_reward_model_tells_the_better_of_each_pair(monkeypatch, tmp_path):
    stage = train.Stage(Toy, Pairs, reward_batches, reward_accuracy, "accuracy", higher=True)
    log, figures, model = learn(monkeypatch, tmp_path, stage, Pairs(), scalar=1)
    assert figures["accuracy"] == 1 and log[-1]["loss"] < log[0]["loss"] / 3
    best = Model.load(tmp_path / "run" / "best", "cpu", "f32")
    assert best.config.scalar == 1


# ---- Reinforcement learning with a group's mean as baseline (arXiv:2402.03300) -------------------

def rl_batches(run):
    """16 texts of the same beginning; a text is rewarded by its share of capital letters."""
    while True:
        texts = rollouts(run, run.step)
        rewards = np.array([reward(text) for text in texts])
        advantages = (rewards - rewards.mean()) / texts.size
        yield [(texts[:, :-1], texts[:, 1:], None,
                np.repeat(advantages[:, None], T - 1, 1).astype(np.float32))]


def rollouts(run, seed):
    """16 texts (16,T) that the model writes now; what ends early goes on with blanks."""
    begun = [Sequence([ord("a")], Sampling(max_tokens=T - 1, seed=seed), i) for i in range(16)]
    for _ in run.engine.generate(begun):
        pass
    return np.array([(s.tokens + [32] * T)[:T] for s in begun], np.int32)


def reward(text):
    return float(((text >= 65) & (text <= 90)).mean())


def mean_reward(run, limit):
    return {"reward": float(np.mean([reward(text) for text in rollouts(run, 10 ** 6)]))}


def test_a_policy_learns_what_is_rewarded(monkeypatch, tmp_path):
    stage = train.Stage(Toy, Pairs, rl_batches, mean_reward, "reward", higher=True)
    log, figures, _ = learn(monkeypatch, tmp_path, stage, Pairs(), steps=20, lr=1e-2)
    before = runs.read_state(tmp_path / "run")[0]["baselines"]["before"]
    assert before < 0.3 and figures["reward"] > 0.6
