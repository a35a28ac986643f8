"""Scaling laws: what small runs say about a large one before it starts (Hoffmann et al. 2022,
arXiv:2203.15556, their third approach)."""

from __future__ import annotations

import numpy as np

from csrc.bind import Model
from csrc.config import Config
from csrc.launch import flop_per_token
from csrc.plot import COLOURS, picture
from data.stages.budget import Law

COUNTS = ("blocks", "all", "flop")       # three ways to count a model's parameters


def counts(config: Config) -> dict[str, float]:
    """N by way of counting: without the embedding (Kaplan et al. 2020, arXiv:2001.08361); with it
    (Hoffmann et al.); a sixth of the FLOP of a token, attention's included."""
    model = Model(config, flags=0)
    inside = sum(np.prod(shape) for name, shape, _ in model.tensors if ".layers." in name)
    return {"blocks": float(inside), "all": float(model.parameters),
            "flop": flop_per_token(model, config.context) / 6}


def fit(N, D, loss) -> Law:
    """The law that has the least squares of relative errors. For an alpha and a beta it is linear
    in E, A and B: those two are looked for on a grid, which then becomes finer around the best."""
    N, D, loss = (np.asarray(x, float) for x in (N, D, loss))
    n, d = N / N.min(), D / D.min()                  # so that the columns are of like size
    centre, width, best = np.array([0.6, 0.6]), 0.58, None
    for _ in range(5):
        alpha, beta = (np.clip(x, 0.01, 2) for x in np.meshgrid(
            *(c + width * np.linspace(-1, 1, 25) for c in centre), indexing="ij"))
        columns = np.stack(np.broadcast_arrays(
            1.0, n ** -alpha[..., None], d ** -beta[..., None]), -1) / loss[:, None]
        normal = np.swapaxes(columns, -1, -2)
        found = (np.linalg.pinv(normal @ columns) @ normal).sum(-1)
        errors = ((columns @ found[..., None])[..., 0] - 1) ** 2
        errors = np.where((found < 0).any(-1), np.inf, errors.sum(-1))
        at = np.unravel_index(errors.argmin(), errors.shape)
        best = Law(found[at][0], found[at][1] * N.min() ** alpha[at], alpha[at],
                   found[at][2] * D.min() ** beta[at], beta[at])
        centre, width = np.array([alpha[at], beta[at]]), width / 6
    return Law(*map(float, best))


def bootstrap(N, D, loss, times=200, seed=0) -> list[Law]:
    """Laws of runs drawn with replacement, of at least four different ones and three sizes."""
    N, D, loss = map(np.asarray, (N, D, loss))
    rng, laws = np.random.default_rng(seed), []
    while len(laws) < times:
        rows = rng.integers(len(N), size=len(N))
        if len({*zip(N[rows], D[rows])}) > 3 and len({*N[rows]}) > 2:
            laws.append(fit(N[rows], D[rows], loss[rows]))
    return laws


def interval(values) -> list[float]:
    """The middle 95 % of values: its ends."""
    return [float(x) for x in np.quantile(values, (0.025, 0.975))]


def predict(law: Law, laws: list[Law], N, D, residuals, seed=0) -> dict:
    """The loss of a run that has not been: by the law, and where 95 % of such runs are to lie, by
    the laws of the bootstrap and what the runs of the ladder are beside theirs (relative)."""
    noise = np.random.default_rng(seed).choice(residuals, len(laws))
    return {"loss": float(law.loss(N, D)),
            "interval": interval([one.loss(N, D) * (1 + e) for one, e in zip(laws, noise)])}


def exponent(law: Law) -> float:
    """a in N ~ C^a: how the best size grows with the computation C = 6 N D."""
    return law.beta / (law.alpha + law.beta)


def plot(rows: list[dict], law: Law, target: dict, path) -> None:
    """Draw the losses of runs against their computation, the law's lines, and the prediction."""
    with picture(path, size=(7, 4.5)) as (_, axes):
        for colour, depth in zip(COLOURS, sorted({row["depth"] for row in rows})):
            mine = [row for row in rows if row["depth"] == depth]
            axes.plot([row["flop"] for row in mine], [row["loss"] for row in mine], "o",
                      color=colour, ms=4, label=f"depth {depth}")
            C = np.geomspace(min(row["flop"] for row in mine) / 2, 2 * target["flop"], 100)
            axes.plot(C, law.loss(mine[0]["N"]["all"], C * mine[0]["tokens"] / mine[0]["flop"]),
                      color=colour, lw=1)
        low, high = target["predicted"]["interval"]
        middle = target["predicted"]["loss"]
        axes.errorbar([target["flop"]], [middle], [[middle - low], [high - middle]], fmt="_",
                      color="black", capsize=4, label=f"depth {target['depth']}: predicted")
        axes.plot(target["flop"], target["loss"], "kx", label="and then run")
        axes.set(xscale="log", xlabel="FLOP", ylabel="validation loss, nats a token")
        axes.grid(alpha=0.2)
        axes.legend(fontsize=8)
