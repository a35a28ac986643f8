"""Gradient boosting: a sum of small trees, each of which mends what those before it get wrong.

    p = sigmoid(sum of trees(x)); a tree's leaf adds -rate * G / (H + ridge) to the sum

where G and H are the first and second derivatives of the log loss by the sum, over the leaf's rows;
a node divides its rows where G^2 / (H + ridge) grows most (Friedman 2001; Chen and Guestrin,
arXiv:1603.02754). All trees are complete and of one depth, so that they are a table, a tree a row:
for each node the column that it asks for and the greatest value that goes left, then the leaves.
"""

import numpy as np

from csrc.bind import Library

DEPTH = 4
NODES, LEAVES = 2 ** DEPTH - 1, 2 ** DEPTH
BINS = 48           # values of a column that are told apart
TREES, RATE = 200, 0.06
RIDGE = 5.0         # added to H: leaves of few rows say little
LEAST = 3.0         # H of a leaf
ROWS, COLUMNS, FEWEST = 0.7, 0.3, 8     # parts of them, and columns, for each tree


def predict(trees, x):
    """The sums (n) of trees (trees,NODES + NODES + LEAVES) for rows x (n,columns)."""
    sums = np.empty(len(x))
    Library.text().call("sum_trees", sums, np.ascontiguousarray(x, np.float32),
                        np.ascontiguousarray(trees, float), len(x), x.shape[1], len(trees), DEPTH)
    return sums


def fit(x, y, weights, seed=0):
    """Trees for rows x (n,columns) whose y (n) are probabilities."""
    rng, trees, total = np.random.default_rng(seed), [], np.zeros(len(x))
    cuts = [np.unique(np.quantile(column, np.arange(1, BINS) / BINS, method="lower"))
            for column in x.T]
    binned = np.stack([np.searchsorted(cut, column) for cut, column in zip(cuts, x.T)], 1)
    binned = binned.astype(np.uint8)         # bin <= k where the value is <= cut k
    for _ in range(TREES):
        rows = np.flatnonzero(rng.random(len(x)) < ROWS)
        columns = rng.permutation(x.shape[1])[:max(FEWEST, int(COLUMNS * x.shape[1]))]
        p = 1 / (1 + np.exp(-total[rows]))
        tree = grow(binned[np.ix_(rows, columns)], weights[rows] * (p - y[rows]),
                    weights[rows] * p * (1 - p), columns, cuts)
        trees.append(tree)
        total += predict(tree[None], x)
    return np.array(trees)


def grow(binned, g, h, columns, cuts):
    """A tree for rows of bins (n,columns) and the derivatives g and h (n)."""
    tree = np.concatenate([np.zeros(NODES), np.full(NODES, np.inf), np.zeros(LEAVES)])
    node, width = np.zeros(len(g), np.intp), len(columns)
    for level in range(DEPTH):
        first, n = 2 ** level - 1, 2 ** level
        at = ((node[:, None] * width + np.arange(width)) * BINS + binned).ravel()
        left = [np.bincount(at, np.repeat(part, width), n * width * BINS)
                .reshape(n, width, BINS).cumsum(2) for part in (g, h)]
        G, H = (part[:, :1, -1:] for part in left)
        gain = (left[0] ** 2 / (left[1] + RIDGE) + (G - left[0]) ** 2 / (H - left[1] + RIDGE)
                - G ** 2 / (H + RIDGE))
        gain[(left[1] < LEAST) | (H - left[1] < LEAST)] = 0
        best = gain.reshape(n, -1).argmax(1)
        good = gain.reshape(n, -1).max(1) > 0
        column, cut = best // BINS, np.where(good, best % BINS, BINS)
        for k in np.flatnonzero(good):
            tree[first + k] = columns[column[k]]
            tree[NODES + first + k] = cuts[columns[column[k]]][cut[k]]
        node = 2 * node + (binned[np.arange(len(g)), column[node]] > cut[node])
    G, H = (np.bincount(node, part, LEAVES) for part in (g, h))
    tree[2 * NODES:] = -RATE * G / (H + RIDGE)
    return tree
