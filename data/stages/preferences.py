"""The stages that learn from preferences: a reward model of them (Bradley and Terry 1952; Ouyang et
al. 2022, arXiv:2203.02155), and an assistant without one (arXiv:2305.18290).

    {"prompt": P, "chosen": A, "rejected": B}    a pair; P, A and B are texts or messages
    {"prompt": P, "ranked": [A, [B, C], D]}      the best first; B and C are equally good
    {"chosen": "\\n\\nHuman: ...", "rejected": ...}    transcripts that begin alike (hh-rlhf)
    {"context": C, "generation": A, "reward": 0.0}   a rated step (Taskmaster-4): those of the same
                                                 context are a ranking, wherever they stand

Of a ranking each two replies of different rank are a pair. What both sides of a pair begin with is
its prompt, of which nothing is learned. Every 20th record is held out, with all its pairs."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from csrc.cli import flag
from csrc.files import ChatError, records
from csrc.runs import tell
from data.chat import formats
from data.chat.protocol import NoRoom
from data.chat.records import Format, present, recognize
from data.chat.rows import with_template
from data.chat.turn import talk_of
from data.stages import tasks
from data.stages.settings import COUNT, FROM_0, OVER_0, Numbers, Run, Training, by_length, padded
from data.tokens.documents import WORLD, find_files, is_held

HELD_OUT = 0.05         # of the records
SAME = "both sides are the same"
BETA = {"dpo": 0.1, "ipo": 0.1, "simpo": 2.0}
BINS = 10               # of probabilities, to compare them with what they foretell


# ---- Settings ------------------------------------------------------------------------------------

@dataclass
class Reward(Training):
    """Learn to judge answers as people do, who prefer one to another (a reward model)."""
    data: list[str] = flag(lambda: [WORLD], "files or folders of pairs or rankings "
                                            "(data/stages/preferences.py); world: right and wrong "
                                            "solutions of the pocket world's word problems")
    model: str | None = flag(None, "start from this model, a folder or a GGUF file; default: the "
                                   "newest fine-tuned one in runs/")
    context: int = flag(512, "the most tokens of a prompt with its reply, T", limits=COUNT)
    pairs: int = flag(16, "pairs in a step", limits=COUNT)
    begins_with, scalar = "sft", 1

    def step_tokens(self, wanted: int) -> int:
        """Two rows for each pair."""
        return 2 * self.pairs * self.context

    def horizon(self, layers: int, epoch: float, foreign: bool) -> int:
        """Steps, if not given: one epoch, for a second one is learnt by heart."""
        return max(1, round(epoch))

    def rate(self, channels: int, foreign: bool) -> float:
        """The peak learning rate, if not given."""
        return 2e-5 if foreign else 3e-4 * (256 / channels) ** 2


@dataclass
class Dpo(Reward):
    """Learn to answer as people prefer (direct preference optimization)."""
    preference: str = flag("dpo", "the loss of a pair: dpo; ipo, which stops where it is far enough"
                                  " (arXiv:2310.12036); simpo, by likelihood a token and without a "
                                  "reference (arXiv:2405.14734)", choices=[*BETA])
    beta: float | None = flag(None, "what a nat that a pair is apart counts; dpo, ipo: the larger, "
                                    "the nearer to the reference; default 0.1, simpo 2",
                              limits=OVER_0)
    margin: float | None = flag(None, "simpo: how far apart, times beta, is far enough; default "
                                      "half of beta", limits=FROM_0)
    scalar, adapter_rate = 0, 5e-5

    @property
    def compares(self) -> bool:
        """Whether the loss has a reference in it."""
        return self.preference != "simpo"

    def rate(self, channels: int, foreign: bool) -> float:
        """The peak learning rate, if not given."""
        return 2e-6 if foreign else 1e-4 * (256 / channels) ** 2


# ---- Data ----------------------------------------------------------------------------------------

def pairs_of(record) -> list[tuple]:
    """The pairs, (better, worse) messages in normal form, of a record; ChatError if there is none.
    The assistant's messages that both begin with have weight 0."""
    form = recognize(record, FORMATS)
    ranks = record["ranked"] if "ranked" in record else [record["chosen"], record["rejected"]]
    ranks = [rank if isinstance(rank, list) and not any(isinstance(one, dict) for one in rank)
             else [rank] for rank in ranks]      # a list of messages is one reply
    if len(ranks) < 2:
        raise ChatError(("no reply", "a single reply", "a tie")[min(2, sum(map(len, ranks)))]
                        + ": nothing is preferred")
    read = [[form.read(record, reply) for reply in rank] for rank in ranks]
    found = [pair for better, worse in combinations(read, 2) for a in better for b in worse
             if (pair := parted(a, b))]
    if not found:
        raise ChatError(SAME)
    return found


def reply_to(record, reply) -> list[dict]:
    """The messages of a record with one of its replies, in normal form."""
    messages, = formats.preference({**record, "chosen": reply})
    return formats.check(messages)


def parted(better: list, worse: list) -> tuple | None:
    """Both sides, with weight 0 where they are the same; None if one of them has nothing else."""
    same = next((i for i, (a, b) in enumerate(zip(better, worse)) if a != b), None)
    if same is None:
        return None
    if not better[same]["role"] == worse[same]["role"] == "assistant":
        raise ChatError("the sides differ in what the assistant is asked")
    return tuple([{**message, "weight": 0} if message["role"] == "assistant" and i < same
                  else message for i, message in enumerate(side)] for side in (better, worse))


def step_after(record, step) -> list[dict]:
    """The messages of a context with a step after it, in normal form."""
    messages, = formats.rewards({**record, "generation": step, "reward": 1})
    return formats.check(messages)


RATED = Format("a rated step", {"context": str, "generation": str, "reward": (int, float)}, None)
FORMATS = [Format("a pair", {"chosen": formats.TEXTS, "rejected": formats.TEXTS}, reply_to, None),
           Format("rated steps", {"context": str, "ranked": list}, step_after),
           Format("a ranking", {"ranked": list}, reply_to, None)]


def all_records(names):
    """Yield (where it stands, record) of the files that --data names; the pocket world's pairs.
    Rated steps come last, as rankings."""
    if WORLD in names:
        yield from ((WORLD, record) for record in tasks.preferences())
    rated = {}
    for file in find_files([name for name in names if name != WORLD], formats.ENDINGS):
        for line, record in records(file):
            place = f"{file}:{line}"
            if not isinstance(record, dict) or RATED.misfit(record):
                yield place, record
            elif not math.isfinite(record["reward"]):
                raise ChatError(f"{place}: the reward is {record['reward']}, but must be a number")
            else:
                ranks = rated.setdefault(record["context"], (place, {}))[1]
                ranks.setdefault(record["reward"], []).append(record["generation"])
    for context, (place, ranks) in rated.items():
        yield place, {"context": context, "ranked": [ranks[one] for one in sorted(ranks)[::-1]]}


class Preferences:
    """What these stages read: pairs as (better, worse), each (ids, mask) up to the end of its last
    answer, whose mask is 1 where it counts.

    pairs, held   those to learn from, and those held out
    """

    def __init__(self, s, rank=0, ranks=1):
        self.tokenizer, skipped, first = with_template(s.model), Counter(), ""
        self.vocab, talk = self.tokenizer.vocab_size, talk_of(self.tokenizer)
        self.pairs, self.held, self.asked, count = [], [], [], 0
        for place, record in all_records(s.data):
            try:
                found = pairs_of(present(record))
                sides = [tuple(encoded(talk, side, s.context) for side in pair) for pair in found]
            except (ChatError, AttributeError, LookupError, TypeError) as error:
                first = first or f"{place}: {error}"
                skipped[formats.reason(error)] += 1
                continue
            held = is_held(count, HELD_OUT)
            (self.held if held else self.pairs).extend(sides)
            self.asked += [found[0][0]] * held
            count += 1
        self.summary = f"{count} records, {len(self.pairs)} pairs, {len(self.held)} held out"
        if skipped:
            self.summary += f"; {skipped.total()} skipped: " + ", ".join(
                f"{why} ({n})" for why, n in skipped.most_common(3))
        if not (self.pairs and self.held):
            raise ChatError(f"{' '.join(s.data)}: {self.summary}: {round(1 / HELD_OUT)} records are"
                            f" the least" + f" ({first})" * bool(first))
        self.loader = Numbers(len(self.pairs), 2 * s.context * len(self.pairs), s.seed)
        self.identity = {name: zlib.crc32(b"".join(ids.tobytes() for pair in part
                                                   for side in pair for ids in side))
                         for name, part in (("the pairs", self.pairs),
                                            ("the held-out pairs", self.held))}

    @staticmethod
    def prepare(s) -> None:
        """OSError or ChatError where there are no such files."""
        find_files([name for name in s.data if name != WORLD], formats.ENDINGS)

    def baselines(self) -> dict[str, float]:
        """None: train.py measures the model before it learns."""
        return {}

    def question(self, number) -> list:
        """The prompt of a held-out record."""
        messages = self.asked[number % len(self.asked)]
        return messages[:max(i for i, one in enumerate(messages) if one["role"] != "assistant") + 1]

    def __str__(self):
        return self.summary


def encoded(talk, messages: list, limit: int) -> tuple:
    """(ids, mask) of one side, up to the end of its last answer; ChatError if it has no room."""
    try:
        ids, mask, dropped, cut = talk.samples(messages, limit + 1)[0]
    except NoRoom:
        dropped = True
    if dropped or cut:
        raise ChatError(f"longer than --context {limit}")
    end = int(np.flatnonzero(mask)[-1]) + 1
    return np.array(ids[:end], np.int32), np.array(mask[:end], bool)


def sides_of(pairs) -> tuple:
    """Tokens, targets and mask (2 n,T): the better sides, then the worse. Targets are -1 where
    nothing counts."""
    sides = [side for pair in zip(*pairs) for side in pair]
    mask = padded([mask[1:] for _, mask in sides])
    targets = np.where(mask, padded([ids[1:] for ids, _ in sides]), -1)
    return padded([ids[:-1] for ids, _ in sides]), targets, mask


def passes_of(run: Run, pairs: list):
    """Yield this rank's share of pairs, as many as a pass has room for."""
    lengths = [2 * max(len(ids) for ids, _ in pair) for pair in pairs]
    yield from ([pairs[i] for i in places] for places in by_length(run, lengths))


def over_held(run: Run, limit: int, measure) -> dict[str, float]:
    """Means over the held-out pairs, up to `limit` tokens: measure(pairs) gives {figure: (n)} of
    some of them."""
    pairs = run.data.held[:max(1, limit // (2 * run.settings.context))]
    found = [measure(part) for part in passes_of(run, pairs)]
    names = sorted(found[0]) if found else []
    names = run.job.share(names) or names        # rank 0 has some wherever any rank has
    sums = run.job.sum(*(sum((float(one[name].sum()) for one in found), 0.0) for name in names))
    return {name: total / len(pairs) for name, total in zip(names, sums)}


def log_sigmoid(x: np.ndarray) -> tuple:
    """-log sigmoid(x), and its derivative."""
    return np.logaddexp(0, -x), -np.exp(-np.logaddexp(0, x))


# ---- A reward model ------------------------------------------------------------------------------

def reward_batches(run: Run):
    """A pair's loss is -log of the probability, by the difference of the two values, of what was
    preferred."""
    while True:
        pairs = [run.data.pairs[i] for i in run.data.loader.take(run.settings.pairs)]
        yield [reward_pass(part, len(pairs)) for part in passes_of(run, pairs)]


def whole_sides(pairs) -> tuple:
    """Tokens (2 n,T) of the better sides, then the worse, and where each ends, as an index."""
    sides = [ids for pair in zip(*pairs) for ids, _ in pair]
    return padded(sides), (np.arange(len(sides)), np.array([*map(len, sides)]) - 1)


def reward_pass(pairs, count: int) -> tuple:
    """The pass of some pairs, of `count` in the step."""
    tokens, ends = whole_sides(pairs)

    def loss(values):
        better, worse = np.split(values[ends], 2)
        nats, slope = log_sigmoid(better - worse)
        weights = np.zeros_like(values)
        weights[ends] = np.concatenate([slope, -slope]) / count
        return nats.sum() / count, weights
    return tokens, None, None, loss


def reward_figures(run: Run, limit: int) -> dict[str, float]:
    """accuracy: the share of held-out pairs whose better side has the higher value; pair_loss in
    nats; calibration_error: how far what it foretells is from what is so, a mean over pairs of
    |share right - probability foretold| of those foretold with about the same, which a table
    compares."""
    def measure(pairs):
        tokens, ends = whole_sides(pairs)
        better, worse = np.split(run.model.forward(tokens)[ends].astype(float), 2)
        right = (better > worse) + 0.5 * (better == worse)
        sure = 1 / (1 + np.exp(-np.abs(better - worse)))
        bins = np.minimum(((2 * sure - 1) * BINS).astype(int), BINS - 1)
        return {"accuracy": right, "pair_loss": log_sigmoid(better - worse)[0],
                **{f"{name} {k}": value * (bins == k) for k in range(BINS)
                   for name, value in (("gap", right - sure), ("right", right), ("all", 1.0))}}
    found = over_held(run, limit, measure)
    gap, right, all_ = (np.array([found.pop(f"{name} {k}") for k in range(BINS)])
                        for name in ("gap", "right", "all"))
    there = all_ > 0
    for what, row in (("probability foretold", (right - gap)[there] / all_[there]),
                      ("share preferred", right[there] / all_[there]),
                      ("share of the pairs", all_[there])):
        tell(f"{what:22}" + "".join(f"{value:6.0%}" for value in row))
    return {**found, "calibration_error": float(abs(gap).sum())}


# ---- Direct preference optimization --------------------------------------------------------------

def pair_loss(s: Dpo, apart: np.ndarray) -> tuple:
    """The loss of pairs (n), and its derivative. apart: how many nats likelier the better side is
    than the worse, for dpo and ipo more than for the reference, for simpo a token."""
    beta = s.beta or BETA[s.preference]
    if s.preference == "ipo":
        return (apart - 0.5 / beta) ** 2, 2 * (apart - 0.5 / beta)
    margin = (beta / 2 if s.margin is None else s.margin) * (s.preference == "simpo")
    nats, slope = log_sigmoid(beta * apart - margin)
    return nats, beta * slope


def dpo_pass(run: Run, pairs, count: int) -> tuple:
    """(tokens, targets, apart, loss): the pass of some pairs, of `count` in the step, and the
    function from what forward returns to how far apart they are."""
    tokens, targets, mask = sides_of(pairs)
    s = run.settings
    size = np.ones((len(mask), 1)) if s.compares else mask.sum(1, keepdims=True)
    before = run.reference.forward(tokens, targets) if s.compares else 0

    def apart(nll):
        better, worse = np.split(((before - nll) * mask / size).sum(1, dtype=float), 2)
        return better - worse

    def loss(nll):
        losses, slope = pair_loss(s, apart(nll))
        each = np.concatenate([-slope, slope])[:, None] / size / count
        return losses.sum() / count, (each * mask).astype(np.float32)
    return tokens, targets, apart, loss


def dpo_batches(run: Run):
    """The likelihoods of both sides move apart, from where the reference has them."""
    while True:
        pairs = [run.data.pairs[i] for i in run.data.loader.take(run.settings.pairs)]
        parts = [dpo_pass(run, part, len(pairs)) for part in passes_of(run, pairs)]
        yield [(tokens, targets, None, loss) for tokens, targets, _, loss in parts]


def dpo_figures(run: Run, limit: int) -> dict[str, float]:
    """accuracy: the share of held-out pairs that are apart the right way, equal ones by half;
    pair_loss; apart: by how much, as `pair_loss` has it."""
    def measure(pairs):
        tokens, targets, apart, _ = dpo_pass(run, pairs, 1)
        found = apart(run.model.forward(tokens, targets))
        return {"accuracy": (found > 0) + 0.5 * (found == 0), "apart": found,
                "pair_loss": pair_loss(run.settings, found)[0]}
    return over_held(run, limit, measure)
