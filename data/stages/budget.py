"""What minutes of training buy: how large a model, and how many steps of it.

A model of N parameters that has read D tokens has a loss of about E + A / N^alpha + B / D^beta
(Hoffmann et al. 2022, arXiv:2203.15556); what is read again counts ever less (Muennighoff et al.
2023, arXiv:2305.16264). `data/lab.py scaling` fits the law."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import count
from typing import Callable, NamedTuple

from csrc import launch
from csrc.bind import ChatError, Job
from csrc.runs import tell
from data.stages.texts import Pretrain, architecture
from data.tokens.loader import FINAL, Data

MOST_EPOCHS = 6         # more only learn the text by heart
HALF_LIFE = 15.4        # epochs after which a text has given 1 - 1/e of what re-reading it can


class Law(NamedTuple):
    """Nats a token, of N parameters, all of them, after D tokens."""
    E: float
    A: float
    alpha: float
    B: float
    beta: float

    def loss(self, N, D):
        """The loss; of arrays, too."""
        return self.E + self.A / N ** self.alpha + self.B / D ** self.beta


# Of 16 runs on a pocket world, of one to four layers and at least 250 steps: to 2 %, see
# tests/RESULTS.md.
POCKET = Law(E=0.586, A=4.59e6, alpha=1.20, B=8.40e4, beta=0.838)


def worth(tokens: float, unique: float) -> float:
    """How many tokens of new text are worth as much as `tokens` out of `unique` ones."""
    again = tokens / unique - 1
    return tokens if again <= 0 else unique * (1 + HALF_LIFE * (1 - math.exp(-again / HALF_LIFE)))


def steps_in(minutes: float, seconds: float, s: Pretrain, data: Data) -> int:
    """Steps of so many seconds that fit, with their evaluations: a third of the work for a token
    that training it is."""
    held = len(data.val)
    evaluated = 20 * min(s.eval_tokens, held) + min(FINAL * s.eval_tokens, held)
    steps = 60 * minutes / seconds - evaluated / 3 / s.batch_tokens
    return int(min(steps, MOST_EPOCHS * data.loader.tokens / s.batch_tokens))


def plan(s: Pretrain, data: Data, job: Job, deepest: int | None,
         seconds: Callable[[Pretrain], tuple[int, float]]) -> Pretrain:
    """The settings with the depth, at most `deepest`, for which --minutes lead to the lowest loss,
    and the steps. seconds(settings) gives a model's parameters and times a step of it on this
    machine; it raises ChatError where memory is too small."""
    best, lowest = None, math.inf
    for depth in count(1) if deepest is None else [deepest]:
        config = architecture(replace(s, depth=depth), data.vocab)
        one = launch.with_defaults(replace(s, depth=depth, steps=1), data, config, job.ranks)
        try:
            parameters, each = job.share(seconds(one))
        except ChatError:
            if best:
                break
            raise
        steps = steps_in(s.minutes, each, one, data)
        if steps < 1:
            break
        loss = POCKET.loss(parameters, worth(steps * one.batch_tokens, data.loader.tokens))
        tell(f"depth {depth}: {one.batch_tokens / each:,.0f} tokens/s, {steps} steps in "
             f"{s.minutes:g} minutes; {loss:.3f} nats, if this were the pocket world")
        if loss >= lowest:
            break
        best, lowest = replace(s, depth=depth, steps=steps), loss
    if not best:
        raise ChatError(f"--minutes {s.minutes:g} are too few for a step and its evaluations")
    return best
