"""Rounds a model's matrices so that what is lost in one column is made good by those behind it.

    blocks = rounded(model, types, sampled(model, firsts, length))

GPTQ (Frantar et al. 2022, arXiv:2210.17323): of texts, here those that the model itself writes, the
inputs X of each product are collected, one after the other, behind those that are rounded already.
H = X^T X says what an error in one column does to the outputs, and how others make it good. Before
that, W becomes W + W (E - X)^T X H^-1, which gives of X what W gave of the exact inputs E, as well
as it can: so the errors of earlier layers are made good, too (arXiv:2504.02692).
"""

from __future__ import annotations

from typing import Iterator

import numpy as np

from csrc.bind import Model, samplings
from csrc.families import POSITIONS
from csrc.gguf import NUMBERS
from csrc.shown import progress

BATCH = 2048         # tokens that go through a layer at a time
DAMPING = 0.1        # of the mean of H's diagonal, added to it
TOP_P = 0.95         # of what texts are drawn from: what is unlikely would be noise


def sampled(model: Model, firsts: list[list[int]], length: int, seed: int = 0) -> np.ndarray:
    """(n,length) ids of texts that the model writes, which begin with `firsts` (n,any)."""
    n, cache = len(firsts), model.cache(len(firsts), length)
    ids = np.array(firsts)
    seeds = np.random.SeedSequence(seed).generate_state(n, np.uint64)
    new = ids
    for at in progress(range(ids.shape[1], length), "writing"):
        model.extend(cache, range(n), new.tolist(), read=False)
        drawn, _, _ = model.draw(samplings(n, top_p=TOP_P, seed=seeds, position=at))
        new = np.array(drawn)[:, None]
        ids = np.append(ids, new, axis=1)
    return ids


def rounded(model: Model, types: dict[str, str], windows: np.ndarray) -> dict[str, np.ndarray]:
    """{name: its blocks} of the matrices in all layers but routers and experts; the model then
    computes with these.

    types    {name: its type}
    windows  ids (n,T) of texts
    """
    x = model.read("model.embed_tokens.weight")[windows]
    x *= np.float32(model.config.embedding_scale or 1)
    if POSITIONS in model.index:
        x += model.read(POSITIONS)[:windows.shape[1]]
    exact, found = x.copy(), {}
    for layer in progress(range(model.config.layers), "rounding"):
        wanted = [model.block(layer, part, True) for part in batches(exact)]
        for ends in wanted[0]:
            H, D = collect(model, layer, x, [inputs[ends] for inputs in wanted], ends)
            for name in (f"model.layers.{layer}.{end}" for end in ends):
                if name in model.index:
                    found[name] = fit(model, name, NUMBERS[types[name]], H, D)
        for part in batches(x):
            model.block(layer, part)
    return found


def batches(x: np.ndarray) -> Iterator[np.ndarray]:
    """Parts of x (n,T,C), of BATCH tokens or one window."""
    step = max(1, BATCH // x.shape[1])
    return (x[at:at + step] for at in range(0, len(x), step))


def collect(model: Model, layer: int, x: np.ndarray, wanted: list, ends: tuple) -> tuple:
    """(H, (E - X)^T X) of the product of some matrices, for which E is wanted, where x (n,T,C)
    comes into their layer."""
    sums = 0.0
    for part, E in zip(batches(x), wanted):
        X = model.block(layer, part.copy(), True)[ends]
        sums = sums + np.array([X.T @ X, (E - X).T @ X], np.float64)
    return sums[0], sums[1]


def fit(model: Model, name: str, number: int, H: np.ndarray, D: np.ndarray) -> np.ndarray:
    """The blocks of a matrix, which becomes what they mean. number: GGUF's of a type."""
    W = model.read(name)
    inverse = np.linalg.inv(H + (DAMPING * np.trace(H) / len(H) + 1e-30) * np.eye(len(H)))
    W += W @ (D @ inverse).astype(np.float32)
    upper = np.linalg.cholesky(inverse).T
    scales = upper.diagonal()
    weight = (np.mean(scales**-2.0) * scales**2)**-1.0
    blocks = model.core.quantize(number, W, weight.astype(np.float32), np.ascontiguousarray(
        upper / scales[:, None], np.float32))
    model.write(name, model.core.dequantize(number, blocks, W.shape))
    return blocks
