"""Reinforcement learning: answers to problems are drawn, scored, and what was better than expected
becomes likelier.

A step takes --prompts problems of the tasks (data/stages/tasks.py) and draws --group answers to
each, from the whole distribution at temperature 1: what was drawn is then what the loss is about.
data/stages/methods.py makes of their rewards what each token counts. With --epochs or --minibatches
a batch of answers is good for several steps, and a checkpoint keeps what of it is left. Each rank
draws its share of the answers, the same ones that one rank would, and all ranks get all of them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np

from csrc.adapter import files_of
from csrc.bind import Model
from csrc.cli import flag
from csrc.engine import Engine, Sampling, Sequence
from csrc.files import ChatError
from csrc.runs import find_model, tell
from data.chat.protocol import NoRoom
from data.chat.rows import with_template
from data.chat.turn import talk_of
from data.exams import formats
from data.stages import methods, tasks
from data.stages.settings import (COUNT, FROM_0, OVER_0, Numbers, Run, Training, by_length,
                                  padded, passes)
from data.tokens.bpe import Tokenizer
from data.tokens.documents import is_held
from data.tokens.loader import checksum

HELD_OUT = 0.05         # of an exam's questions
SLOTS = 256             # answers that are drawn at the same time, at most
QUIET = 20              # batches in a row without anything to learn, after which a run ends
HELD = 1 << 40          # the number of the batch of held-out problems, for their seeds


# ---- Settings ------------------------------------------------------------------------------------

@dataclass
class Rl(Training):
    """Learn by practice: answers to problems are drawn, scored and learnt from."""
    data: list[str] = flag(lambda: ["word"], "what to practise: " + ", ".join(tasks.TASKS) + ", of "
                           "grade 1 to 3 (word:2), or files of exams such as GSM8K")
    model: str | None = flag(None, "start from this model, a folder or a GGUF file; default: the "
                                   "newest fine-tuned one in runs/")
    method: str = flag("grpo", "best: learn the best answer of a group; grpo: those better than "
                               "the group's mean; ppo: than a critic expects",
                       choices=("best", "grpo", "ppo"))
    reward: str | None = flag(None, "score answers by this reward model, from `train.py reward`, "
                                    "and not by whether they are right")
    prompts: int = flag(16, "problems in a batch", limits=COUNT)
    group: int = flag(8, "answers to each", limits="[2, inf)")
    context: int = flag(512, "the most tokens of a problem with its answer, T", limits=COUNT)
    max_tokens: int = flag(256, "tokens of an answer; one that is cut off is worth nothing",
                           limits=COUNT)
    epochs: int = flag(1, "times that a batch of answers is used", limits=COUNT)
    minibatches: int = flag(1, "steps that it is divided into", limits=COUNT)
    normalise: str = flag("constant", "what a token counts: in methods.token_weights",
                          choices=("constant", "tokens", "sequence"))
    std: bool = flag(False, "grpo: divide by a group's standard deviation")
    drop_equal: bool = flag(False, "count only groups whose rewards differ (DAPO)")
    clip_low: float = flag(0.2, "how much less likely a batch may make a token", limits="[0, 1]")
    clip_high: float = flag(0.2, "how much likelier; DAPO's clip-higher is 0.28", limits=FROM_0)
    kl: float = flag(0.0, "what a nat away from the first model costs", limits=FROM_0)
    gae_lambda: float = flag(0.95, "ppo: how much of later surprises counts", limits="[0, 1]")
    critic_lr: float = flag(3e-4, "ppo: the critic's learning rate", limits=OVER_0)
    think: bool = flag(False, "answers begin with a thought, of which only the end counts: what "
                              "follows it is scored")
    problems: int = flag(10_000, "different ones that are drawn of a task", limits=COUNT)
    held_out: int = flag(64, "held-out problems in an evaluation", limits=COUNT)
    held_samples: int = flag(4, "answers to each, k of pass@k", limits=COUNT)
    eval_every: int | None = flag(20, "steps between evaluations", limits=COUNT)
    schedule: str = flag("wsd", "wsd: warmup, stable, linear decay", choices=("cosine", "wsd"))
    weight_decay: float = flag(0.0, "of matrices", limits=FROM_0)
    begins_with, adapter_rate = "sft", 1e-4

    @property
    def compares(self) -> bool:
        """Whether the first model is kept: a reward model is gamed the farther away from it."""
        return self.kl > 0 or bool(self.reward)

    @property
    def critic(self) -> bool:
        """Whether a critic learns beside it."""
        return self.method == "ppo"

    @property
    def slots(self) -> int:
        """Answers that are drawn at the same time, at most."""
        return min(SLOTS, max(self.prompts * self.group, self.held_out * self.held_samples))

    def step_tokens(self, wanted: int) -> int:
        """A row for each answer."""
        return self.prompts * self.group * self.context

    def horizon(self, layers: int, epoch: float, foreign: bool) -> int:
        """Steps, if not given."""
        return 200

    def rate(self, channels: int, foreign: bool) -> float:
        """The peak learning rate, if not given."""
        return 1e-6 if foreign else 3e-5 * 256 / channels


# ---- Problems ------------------------------------------------------------------------------------

class Problems:
    """What this stage reads: problems by number, which are drawn when they are asked for.

    exams   the questions of files, for training and held out
    judge   the reward model, if there is one
    """

    def __init__(self, s, rank=0, ranks=1):
        self.settings, self.tokenizer = s, with_template(s.model)
        self.vocab, self.talk = self.tokenizer.vocab_size, talk_of(self.tokenizer)
        self.tasks, asked = self.prepare(s)
        fitting = [question for question in asked if self.has_room(question)]
        self.exams = [[q for i, q in enumerate(fitting) if is_held(i, HELD_OUT) == held]
                      for held in (False, True)]
        self.count = len(self.tasks) * s.problems + len(self.exams[0])
        self.summary = f"{self.count:,} problems of {' '.join(s.data)}" + \
            f"; {len(asked) - len(fitting)} have no room" * (len(asked) > len(fitting))
        if not self.count or not (self.tasks or self.exams[1]):
            raise ChatError(f"{self.summary}: {round(1 / HELD_OUT)} of a file are the least, each "
                            f"in --context {s.context} without --max-tokens {s.max_tokens}")
        self.loader = Numbers(self.count, self.count * s.group * s.context * s.epochs
                              * s.minibatches, s.seed)
        self.identity = {"the problems": [*self.tasks, zlib.crc32(repr(asked).encode())]}
        if s.reward:
            self.reward = find_model(s.reward)
            scalar = Model.configuration(self.reward)[1].scalar
            if not scalar:
                raise ChatError(f"--reward {s.reward} is no reward model, but one that writes: "
                                f"`python train.py reward` trains one")
            if Tokenizer.load(self.reward).identity != self.tokenizer.identity:
                raise ChatError(f"--reward {s.reward} has another vocabulary than {s.model}: train "
                                f"one that begins with the same model")
            self.identity["the reward model"] = [*map(checksum, files_of(self.reward))]

    @cached_property
    def judge(self) -> Model:
        """The reward model."""
        return Model.load(self.reward, self.settings.device, self.settings.dtype)

    @staticmethod
    def prepare(s) -> tuple[list, list]:
        """(the tasks, the questions of files) that these settings name."""
        files = [name for name in s.data if name.partition(":")[0] not in tasks.TASKS
                 and (Path(name).exists() or "/" in name)]
        named = [name for name in s.data if name not in files]
        for name in named:
            tasks.parsed(name)
        return named, [question for file in files for question in formats.read(file)]

    def problem(self, number: int, held=False):
        """The Question of a number; of tasks the held-out ones are drawn from other seeds."""
        part, n = self.exams[held], len(self.tasks)
        if not n or number % (n + bool(part)) == n:
            return part[number // (n + 1) % len(part)]
        return tasks.draw(self.tasks[number % (n + bool(part))], tasks.dice(
            f"practice {'held ' * held}{self.settings.seed} {number}"))

    def prompt(self, question) -> list[int]:
        """The ids that an answer follows; NoRoom if they leave it too few."""
        s = self.settings
        begin = self.talk.thought() if s.think else []
        room = s.context - s.max_tokens - len(begin)
        ids, dropped = self.talk.prompt(question.messages(), max(1, room))
        return ids + begin

    def has_room(self, question) -> bool:
        """Whether a question leaves enough of the context to its answer."""
        try:
            return bool(self.prompt(question))
        except NoRoom:
            return False

    def said(self, ids) -> str:
        """What an answer says, without its thoughts; "" where it is none."""
        begin = self.talk.thought() if self.settings.think else []
        try:
            messages = self.talk.answer([*begin, *(i for i in ids
                                                   if i not in self.tokenizer.ends)])
        except ChatError:
            return ""
        return messages[-1]["content"] or "" if messages else ""

    def sequence(self, question, how, index: int) -> Sequence:
        """An answer that begins to grow."""
        return Sequence(self.prompt(question), how, index, "logprob")

    def worth(self, question, ids, cut) -> float:
        """What the task itself says of an answer: one that was cut off is worth nothing."""
        return 0.0 if cut else tasks.score(question, self.said(ids))

    def score(self, question, answer: Sequence) -> float:
        """The same of one that has grown."""
        return self.worth(question, answer.tokens[answer.prompt:], answer.finish == "length")

    def baselines(self) -> dict[str, float]:
        """None: train.py measures the model before it learns."""
        return {}

    def question(self, number) -> list:
        """The messages of a held-out problem."""
        return self.problem(number, held=True).messages()

    def __str__(self):
        return self.summary


# ---- Rollouts ------------------------------------------------------------------------------------

class Rollouts(NamedTuple):
    """N answers, those to one problem side by side, with their prompts: row n has tokens[n, :ends],
    and the answer is that from `begins` on.

    tokens (N,T+1) int, logprobs (N,T+1) of each token of an answer as it was drawn; begins, ends,
    rewards (N); cut (N): whether it was cut off.
    """
    tokens: np.ndarray
    logprobs: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    rewards: np.ndarray
    cut: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """(N,T): where the target is of the answer."""
        at = np.arange(1, self.tokens.shape[1])
        return (at >= self.begins[:, None]) & (at < self.ends[:, None])


def grow(engine: Engine, data: Problems, sequences) -> None:
    """Draw answers to the end, as likely as they are: only ids beyond the vocabulary are banned."""
    engine.slots = min(SLOTS, max(1, len(sequences)))
    beyond = list(range(data.vocab, engine.model.config.vocab))
    for sequence in sequences:
        sequence.banned = sequence.banned or beyond
    for _ in engine.generate(sequences):
        pass


def roll_out(run: Run, questions, k: int, batch: int) -> tuple[Rollouts, dict]:
    """k answers to each question, and the seconds that they took to draw and to score. batch: its
    number, from which the seeds come."""
    s, data, engine, job = run.settings, run.data, run.engine, run.job
    seed = int(np.random.SeedSequence((s.seed, batch)).generate_state(1, np.uint64)[0])
    how = Sampling(max_tokens=s.max_tokens, temperature=1.0, top_p=1.0, seed=seed)
    began = perf_counter()
    grown = {p * k + j: data.sequence(questions[p], how, p * k + j)
             for p in range(job.rank, len(questions), job.ranks) for j in range(k)}
    grow(engine, data, grown.values())
    drawn, n = perf_counter(), len(questions) * k
    found = Rollouts(*np.zeros((2, n, s.context + 1)), *np.zeros((4, n)))
    for i, one in grown.items():
        size = len(one.tokens)
        found.tokens[i, :size], found.logprobs[i, one.prompt:size] = one.tokens, one.logprobs
        found.begins[i], found.ends[i], found.cut[i] = one.prompt, size, one.finish == "length"
    if s.reward:
        found.rewards[[*grown]] = judged(data.judge, [one.tokens for one in grown.values()],
                                         run.rows * s.context)
    for i, one in grown.items() if not s.reward else ():
        found.rewards[i] = data.score(questions[i // k], one)
    flat = np.concatenate([part.reshape(-1) for part in found])
    job.core.call("comm_sum", flat, flat.size)   # what others drew is 0 here
    ends = np.cumsum([part.size for part in found])[:-1]
    found = Rollouts(*(part.reshape(old.shape) for part, old in zip(np.split(flat, ends), found)))
    if not np.isfinite(found.rewards).all():
        i = int(np.argmin(np.isfinite(found.rewards)))
        raise ChatError(f"the reward of an answer to {questions[i // k].prompt!r} is "
                        f"{found.rewards[i]}: no gradient can be made of it; "
                        + (f"is --reward {s.reward} whole?" if s.reward else "mend the task"))
    width = int(found.ends.max())
    return Rollouts(found.tokens[:, :width].astype(np.int32), found.logprobs[:, :width],
                    found.begins.astype(int), found.ends.astype(int), found.rewards,
                    found.cut > 0), {"rollout_seconds": drawn - began,
                                     "score_seconds": perf_counter() - drawn}


def judged(judge: Model, rows, most: int) -> np.ndarray:
    """A reward model's value after the last token of each row; `most` tokens in a pass."""
    found = np.zeros(len(rows))
    for part in passes([*map(len, rows)], most):
        tokens = padded([np.array(rows[i], np.int32) for i in part])
        found[part] = judge.forward(tokens)[range(len(part)), [len(rows[i]) - 1 for i in part]]
    return found


def figures_of(run: Run, found: Rollouts, k: int) -> dict[str, float]:
    """What the log tells of answers. entropy: nats a token, by what was drawn; no_signal: the share
    of groups in which all are worth the same; kl: nats an answer away from the first model."""
    groups, mask = found.rewards.reshape(-1, k), found.mask
    told = {"reward": found.rewards.mean(), "length": mask.sum(1).mean(),
            "entropy": -(found.logprobs[:, 1:] * mask).sum() / max(1, mask.sum()),
            "no_signal": 1 - methods.has_signal(groups).mean(), "cut": found.cut.mean()}
    if run.reference:
        apart = mask * found.logprobs[:, 1:] + nll_of(run.reference, run, found)
        told["kl"] = apart.sum(1).mean()         # k3 has tails that are all, far away
    return {name: round(float(value), 5) for name, value in told.items()}


def nll_of(model: Model, run: Run, found: Rollouts) -> np.ndarray:
    """(N,T): the -log-probabilities that a model gives to the answers, or with a scalar head its
    values before each of their tokens; 0 elsewhere."""
    out, mask = np.zeros(found.mask.shape), found.mask
    for part in by_length(run, found.ends, share=False):
        T = int(found.ends[part].max()) - 1
        tokens = found.tokens[part]
        targets = np.where(mask[part], tokens[:, 1:], -1)[:, :T]
        out[part, :T] = model.forward(tokens[:, :T], None if model.config.scalar else targets)
    return out * mask


# ---- Learning from them --------------------------------------------------------------------------

class Batch(NamedTuple):
    """Rollouts with what is learnt from them, (N,T): advantages; values and returns of a critic,
    else zeros; reference: -log-probabilities; counted (N): whether an answer counts in the mean."""
    rollouts: Rollouts
    advantages: np.ndarray
    returns: np.ndarray
    reference: np.ndarray
    counted: np.ndarray


def make_batch(run: Run) -> Batch:
    """Answers to the next problems, and their advantages."""
    s, progress = run.settings, run.progress
    progress["batches"] = progress.get("batches", 0) + 1
    questions = [run.data.problem(int(i)) for i in run.data.loader.take(s.prompts)]
    found, seconds = roll_out(run, questions, s.group, progress["batches"])
    run.told = figures_of(run, found, s.group) | {
        name: round(value, 3) for name, value in seconds.items()}
    groups, mask, none = found.rewards.reshape(-1, s.group), found.mask, np.zeros(found.mask.shape)
    counted, returns = np.ones(len(mask), bool), none
    if s.method == "ppo":
        values = nll_of(run.critic, run, found)
        advantages = methods.gae(found.rewards, values, mask, s.gae_lambda)
        returns = (advantages + values) * mask
        advantages = methods.whitened(advantages, mask)
    else:
        each = methods.best(groups) if s.method == "best" else methods.grpo(groups, s.std)
        advantages = mask * each.reshape(-1, 1)
        if s.method == "best":
            counted = each.reshape(-1) > 0
    if s.drop_equal:
        counted &= np.repeat(methods.has_signal(groups), s.group)
    reference = nll_of(run.reference, run, found) if s.kl else none
    show(run, questions, found)
    return Batch(found, advantages, returns, reference, counted)


def show(run: Run, questions, found: Rollouts) -> None:
    """Print a right answer and a wrong one, or the best and the worst, at the steps of samples."""
    s = run.settings
    if run.job.rank or not s.sample_every or (run.step + 1) % s.sample_every:
        return
    for what, i in ("best", int(found.rewards.argmax())), ("worst", int(found.rewards.argmin())):
        ids = found.tokens[i, found.begins[i]:found.ends[i]]
        tell(f"--- {what}: {found.rewards[i]:.2f}\n{questions[i // s.group].prompt}\n    "
             f"{run.data.tokenizer.decode(ids.tolist())}")


def rl_batches(run: Run):
    """Each batch of answers is used for epochs * minibatches steps. Of one, or the first of
    several, all ratios are 1, and what each token counts is known before the forward pass."""
    s, progress, quiet = run.settings, run.progress, 0
    updates = s.epochs * s.minibatches
    while quiet < QUIET:
        batch, first = unpacked(progress.get("batch")) if "batch" in progress else (
            make_batch(run), 0)
        quiet = quiet + 1 if run.told.get("no_signal") == 1 else 0
        for update in range(first, updates):
            progress.pop("batch", None)
            if update + 1 < updates:
                progress["batch"] = packed(batch, update + 1)
            order = np.random.default_rng((s.seed, progress["batches"], update // s.minibatches)) \
                .permutation(s.prompts)[update % s.minibatches::s.minibatches]
            rows = (order[:, None] * s.group + np.arange(s.group)).reshape(-1)
            yield passes_of(run, batch, np.sort(rows), exact=update == 0 and not s.kl)
    return (f"in {QUIET} batches in a row all answers to each problem were worth the same (of the "
            f"last batch {run.told['reward']:.2f} on average, {run.told['cut']:.0%} cut off at "
            f"--max-tokens {s.max_tokens}): practise what is neither too easy nor too hard, or "
            f"with a larger --group")


def passes_of(run: Run, batch: Batch, rows, exact: bool) -> list | None:
    """This rank's passes of a step with some rows of a batch; None if they tell nothing on any
    rank. A critic learns here, on each rank from all of them."""
    s, found = run.settings, batch.rollouts
    mask = found.mask[rows]
    weights = methods.token_weights(mask, batch.counted[rows], s.normalise, s.max_tokens)
    if s.critic:
        teach(run, batch, rows)
    told = np.abs(batch.advantages[rows]).sum(1) + s.kl
    chosen = np.flatnonzero(told * weights.sum(1))
    made = []
    for part in by_length(run, found.ends[rows[chosen]]):
        places = chosen[part]
        T = int(found.ends[rows[places]].max()) - 1
        tokens = found.tokens[rows[places]]
        targets = np.where(mask[places], tokens[:, 1:], -1)[:, :T]
        before, advantages, reference, weight = (x[:, :T] for x in (
            -found.logprobs[rows[places], 1:], batch.advantages[rows[places]],
            batch.reference[rows[places]], weights[places]))
        loss = (advantages * weight).astype(np.float32) if exact else partial(
            methods.surrogate, before=before, advantages=advantages, weights=weight,
            clip=(s.clip_low, s.clip_high), reference=reference, kl=s.kl)
        made.append((tokens[:, :T], targets, None, loss))
    return made if len(chosen) else None


def teach(run: Run, batch: Batch, rows) -> None:
    """A step of the critic towards the returns."""
    found, critic, mask = batch.rollouts, run.critic, batch.rollouts.mask
    count = mask[rows].sum()
    critic.zero_grad()
    for part in by_length(run, found.ends[rows], share=False):
        places = rows[part]
        T = int(found.ends[places].max()) - 1
        values = critic.forward(found.tokens[places, :T])
        error = (values - batch.returns[places, :T]) * mask[places, :T]
        critic.backward(error / count, reduce=False)
    run.progress["taught"] = run.progress.get("taught", 0) + 1
    critic.update(run.progress["taught"], run.settings.critic_lr, weight_decay=0.0,
                  grad_scale=min(1.0, 1 / (critic.grad_norm() + 1e-6)))


def packed(batch: Batch, update: int) -> dict:
    """A batch as a checkpoint keeps it, and the number of its next update."""
    return {"update": update, **batch.rollouts._asdict(), **dict([*batch._asdict().items()][1:])}


def unpacked(kept: dict) -> tuple[Batch, int]:
    """The inverse."""
    found = {name: np.array(value) for name, value in kept.items() if name != "update"}
    rollouts = Rollouts(*(found.pop(name) for name in Rollouts._fields))
    return Batch(rollouts._replace(tokens=rollouts.tokens.astype(np.int32)), **found), \
        kept["update"]


def rl_figures(run: Run, limit: int) -> dict[str, float]:
    """held_reward: of answers to held-out problems; held_true: what the tasks themselves say of
    them, if that is by a reward model; pass_at_1: the share of right ones; pass_at_k: of problems
    to which one of k is right."""
    s, data, k = run.settings, run.data, run.settings.held_samples
    questions = [data.problem(i, held=True) for i in range(s.held_out)]
    found, _ = roll_out(run, questions, k, HELD)
    told = {"held_reward": float(found.rewards.mean())}
    if s.reward:
        told["held_true"] = float(true_scores(data, questions, found).mean())
    else:
        right = found.rewards.reshape(-1, k) >= 1
        told |= {"pass_at_1": float(right.mean()), f"pass_at_{k}": float(right.any(1).mean())}
    return told | {f"held_{name}": value for name, value in figures_of(run, found, k).items()
                   if name in ("length", "cut", "kl")}


def true_scores(data: Problems, questions, found: Rollouts) -> np.ndarray:
    """What the tasks say of answers, whatever they were rewarded for."""
    k = len(found.tokens) // len(questions)
    return np.array([data.worth(questions[i // k], row[begin:end].tolist(), cut)
                     for i, (row, begin, end, cut) in enumerate(zip(
                         found.tokens, found.begins, found.ends, found.cut))])
