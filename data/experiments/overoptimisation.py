"""What becomes of the true score where answers are chosen or learnt by a reward model (Gao et al.
2022, arXiv:2210.10760). The pocket world's judge of couplets plays the people."""

from __future__ import annotations

import math

import numpy as np

from csrc.engine import Engine, Sampling
from csrc.files import ChatError
from csrc.plot import COLOURS, picture
from data.pocket import couplets
from data.stages import tasks
from data.stages.rl import Problems, Rl, grow, judged
from data.stages.settings import padded, passes

CHOICES = [*dict.fromkeys(round(2 ** (k / 2)) for k in range(2, 20)), 1000]    # n of best-of-n
MOST = 1 << 15              # tokens of a forward pass
CONTEXT, LIMIT = 96, 64     # tokens of a question with its couplet; of a couplet


def answers(engine: Engine, model, count: int, each: int, seed=0, held=False) -> list:
    """(Question, its Sequences) of so many problems, drawn from the whole distribution."""
    data = Problems(Rl(data=["couplet"], model=str(model), context=CONTEXT,
                       max_tokens=LIMIT, seed=seed))
    how = Sampling(max_tokens=LIMIT, temperature=1.0, top_p=1.0, seed=seed)
    asked = [data.problem(number, held) for number in range(count)]
    grown = [[data.sequence(one, how, p * each + j) for j in range(each)]
             for p, one in enumerate(asked)]
    grow(engine, data, sum(grown, []))
    return list(zip(asked, grown))


def labels(drawn, seed=0):
    """Yield (p, j, 1 or -1) where the judge, who errs, prefers answer j of problem p to the next
    one, or that to it; ties are left out."""
    for p, (asked, group) in enumerate(drawn):
        d = tasks.dice(f"label {seed} {p}")
        for j in range(0, len(group) - 1, 2):
            if sign := couplets.prefers(d, asked.truth, group[j].text, group[j + 1].text):
                yield p, j, sign


def values(reward, drawn) -> np.ndarray:
    """(P,N): what a reward model gives to the answers."""
    rows = [sequence.tokens for _, group in drawn for sequence in group]
    return judged(reward, rows, MOST).reshape(len(drawn), -1)


def truths(drawn) -> np.ndarray:
    """(P,N): what the judge thinks of them, without error; nothing of one that was cut off."""
    return np.array([[couplets.score(asked.truth, one.text) if one.finish == "stop" else 0.0
                      for one in group] for asked, group in drawn])


def away(reference, drawn) -> float:
    """KL from a model to the one that drew these answers, in nats an answer, by samples."""
    grown, apart = [one for _, group in drawn for one in group], 0.0
    for part in passes([len(one.tokens) for one in grown], MOST):
        tokens = padded([np.array(grown[i].tokens, np.int32) for i in part])
        nll = reference.forward(tokens[:, :-1], tokens[:, 1:])
        apart += sum(nll[i, grown[p].prompt - 1:len(grown[p].tokens) - 1].sum(dtype=float)
                     + sum(grown[p].logprobs) for i, p in enumerate(part))
    return apart / len(grown)


def best_of(proxy: np.ndarray, n: int, *scores: np.ndarray) -> list[float]:
    """Means of `scores` (P,N) over the best by `proxy` of n, without bias from one pool: of all n
    among the N, the one of rank r is the best in C(r, n-1) of C(N, n) cases."""
    N = proxy.shape[1]
    if n > N:
        raise ChatError(f"the best of {n} cannot be had from {N} answers: draw more")
    lg, order = math.lgamma, np.argsort(proxy, 1)
    weights = [0.0 if r < n - 1 else math.exp(
        lg(r + 1) - lg(n) - lg(r - n + 2) - lg(N + 1) + lg(n + 1) + lg(N - n + 1))
        for r in range(N)]
    return [float((np.take_along_axis(one, order, 1) @ weights).mean()) for one in scores]


def distance(n: int) -> float:
    """sqrt(KL) of the best of n."""
    return math.sqrt(math.log(n) - (n - 1) / n)


def fitted(d, gained, form: str) -> dict[str, float]:
    """What was gained as d (a - b d), "bon", or d (a - b log d), "rl", by least squares: a, b, R^2,
    where the peak is and how high, if there is one."""
    d, gained = np.array([row for row in zip(d, gained) if row[0] > 0]).T
    columns = np.stack([d, -d * (d if form == "bon" else np.log(d))], 1)
    (a, b), *_ = np.linalg.lstsq(columns, gained, rcond=None)
    rest = ((gained - columns @ (a, b)) ** 2).sum() / ((gained - gained.mean()) ** 2).sum()
    return {"a": float(a), "b": float(b), "r2": float(1 - rest), **peak(a, b, form)}


def peak(a: float, b: float, form: str) -> dict[str, float]:
    """Where d (a - b d) or d (a - b log d) is highest, and how high."""
    if min(a, b) <= 0:
        return {}
    at = a / (2 * b) if form == "bon" else math.exp(a / b - 1)
    return {"peak_at": float(at), "peak": float(a * a / (4 * b) if form == "bon" else b * at)}


def predicted(sizes, fits, size: float, form="bon") -> dict[str, float]:
    """The peak by a reward model of another size: a and b are linear in the size's logarithm."""
    a, b = (np.polyval(np.polyfit(np.log(sizes), [fit[name] for fit in fits], 1), math.log(size))
            for name in "ab")
    return peak(a, b, form)


def told_apart(drawn, given) -> tuple:
    """The share of labelled pairs that `given` (P,N) tells apart as the judge does, and of each the
    probability with which it says so."""
    apart = np.array([(given[p, j] - given[p, j + 1]) * sign
                      for p, j, sign in labels(drawn, "held")])
    return float((apart > 0).mean()), 1 / (1 + np.exp(-abs(apart)))


def quote(drawn, given, true, share=0.01) -> None:
    """Print which of the answers that a reward model likes best has the lowest true score."""
    p, j = min(np.argwhere(given >= np.quantile(given, 1 - share)), key=lambda at: true[tuple(at)])
    z = (given[p, j] - given.mean()) / given.std()
    print(f"--- liked, {given[p, j]:.2f} ({z:+.1f} deviations), true score {true[p, j]:.2f}\n"
          f"{drawn[p][0].prompt}\n{drawn[p][1][j].text}")


def plot(ways: dict, preferring, start: float, path) -> None:
    """Draw the true scores, and dotted the rewards, between the first and the highest true score.

    ways        {"bon" or "rl": {pairs: (points,3) of sqrt(KL), true score, reward}}
    preferring  (sqrt(KL), true score) of models that learnt by DPO
    """
    titles = {"bon": "best of n, to 1,000", "rl": "reinforcement learning"}
    with picture(path, columns=len(ways), size=(9, 4), sharey=True, squeeze=False) as (_, (all_,)):
        for axes, (form, sizes) in zip(all_, ways.items()):
            for colour, (pairs, curve) in zip(COLOURS, sizes.items()):
                d, true, reward = np.concatenate([[[0, start, 0]], curve]).T
                axes.plot(d, true, color=colour, label=f"{pairs:,} pairs")
                axes.plot(d, start + reward / reward.max() * (true.max() - start), ":",
                          color=colour)
            if preferring and form == "rl":
                axes.plot(*zip(*preferring), "kx", label="DPO")
            axes.set(xlabel="sqrt(KL), nats", title=titles[form])
            axes.grid(alpha=0.2)
        all_[0].set_ylabel("true score; dotted: reward, scaled")
        all_[-1].legend(fontsize=8)
