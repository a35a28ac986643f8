"""How rewards become gradients: advantages, what a token counts, and the one loss of all methods.

Shapes: P prompts with k answers each, N = P k answers, T places of tokens. mask (N,T) is 1 where
the target of a place is a token of the answer; advantages say how much better than expected it was
to draw it."""

from __future__ import annotations

import numpy as np


def best(rewards: np.ndarray) -> np.ndarray:
    """(P,k): 1 for the best answer of a group, the first of equally good ones, and 0 for the
    others: the model is fine-tuned on what it did best. All 0 where all are equally good."""
    found = np.zeros_like(rewards)
    found[np.arange(len(rewards)), rewards.argmax(1)] = 1
    return found * has_signal(rewards)[:, None]


def grpo(rewards: np.ndarray, std: bool = False) -> np.ndarray:
    """(P,k): how much better than the mean of its group an answer is, as in GRPO
    (arXiv:2402.03300), of which this is what is left:

    - no division by the group's standard deviation, unless `std`: it would weigh up questions that
      are nearly always right or nearly always wrong (Dr. GRPO, arXiv:2503.20783);
    - what a token counts does not depend on the length of its answer, see `token_weights`: a mean
      over each answer makes wrong answers longer (the same paper);
    - no KL term, unless --kl: it holds a model back that has far to go (DAPO, arXiv:2503.14476);
    - no clipping where each answer is used once, for then all ratios are 1. With several updates a
      batch it is PPO's, of which the upper bound may be higher (DAPO)."""
    found = rewards - rewards.mean(1, keepdims=True)
    return found / (rewards.std(1, keepdims=True) + 1e-4) if std else found


def has_signal(rewards: np.ndarray) -> np.ndarray:
    """(P): whether a group's rewards differ, so that there is something to learn."""
    return rewards.max(1) > rewards.min(1)


def gae(rewards: np.ndarray, values: np.ndarray, mask: np.ndarray, decay: float) -> np.ndarray:
    """(N,T) advantages of tokens: PPO's, by a critic (arXiv:1506.02438), without discounting.
    rewards (N) come with the last token; values (N,T): what was expected before each."""
    found, later, following = np.zeros(values.shape), np.zeros(len(values)), np.zeros(len(values))
    ended = np.zeros(len(values), bool)          # from behind: whether the answer has begun
    for t in reversed(range(values.shape[1])):
        inside = mask[:, t]
        delta = rewards * (inside & ~ended) + following - values[:, t]
        later = np.where(inside, delta + decay * later, 0)
        following = np.where(inside, values[:, t], 0)
        found[:, t], ended = later, ended | inside
    return found


def whitened(x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Where the mask is 1: with mean 0 and standard deviation 1; elsewhere 0."""
    return np.where(mask, (x - x[mask].mean()) / (x[mask].std() + 1e-8), 0)


def token_weights(mask: np.ndarray, counted: np.ndarray, normalise: str, most: int) -> np.ndarray:
    """(N,T): what each token counts in the mean that is the loss. counted (N): the answers that
    the mean is over. normalise: "constant", all as if they had `most` tokens (Dr. GRPO); "tokens",
    a mean over all tokens (DAPO); "sequence", over each answer, and then over answers (GRPO)."""
    sizes = mask.sum(1, keepdims=True) * counted[:, None]
    size = {"constant": counted.sum() * most, "tokens": sizes.sum(),
            "sequence": counted.sum() * np.maximum(sizes, 1)}[normalise]
    return mask * counted[:, None] / np.maximum(size, 1)


def surrogate(nll, before, advantages, weights, clip=(0.2, 0.2), reference=None, kl=0.0) -> tuple:
    """The loss of PPO (arXiv:1707.06347), (its value, dLoss/dnll): of advantages times how much
    likelier a token has become, where it has not gone beyond the bounds 1 - clip[0] and
    1 + clip[1]; and kl times the divergence from a reference, by Schulman's estimate k3.

    nll, before, reference (N,T): -log-probabilities now, as it was drawn, and the reference's."""
    nll, before = np.asarray(nll, float), np.asarray(before, float)
    ratio = np.exp(np.clip(before - nll, -20, 20))
    bound = np.clip(ratio, 1 - clip[0], 1 + clip[1])
    gain = np.minimum(ratio * advantages, bound * advantages)
    slope = np.where(ratio * advantages <= bound * advantages, ratio * advantages, 0)
    loss = -gain
    if kl:
        apart = np.clip(nll - reference, -20, 20)
        loss, slope = loss + kl * k3(apart), slope + kl * (np.exp(apart) - 1)
    return float((weights * loss).sum()), (weights * slope).astype(np.float32)


def k3(apart: np.ndarray) -> np.ndarray:
    """An estimate of KL(policy, reference) by a token that the policy drew, never negative. apart:
    the log of its probability for the reference minus that for the policy."""
    return np.exp(apart) - apart - 1
