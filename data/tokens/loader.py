"""What training reads, dealt to the ranks of a job like cards: windows of documents' tokens, rows of
conversations; and what is held out of each.
"""

from __future__ import annotations

import math
import os
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from csrc.files import ChatError
from data.tokens import bpe, shards
from data.tokens.documents import WORLD, find_files


class Rows(NamedTuple):
    """Conversations side by side in R rows, for model.forward: int32 (R,T), and mask bool (R,T).

    targets   the next token, -1 where there is none
    doc_start where in the row the conversation of this token begins: it sees nothing earlier
    mask      where the target is one that the assistant produces, so that dLoss/dnll is
              mask / mask.sum(), summed over all that one update sees
    """

    tokens: np.ndarray
    targets: np.ndarray
    doc_start: np.ndarray
    mask: np.ndarray


class Loader:
    """Windows of T+1 tokens, shuffled by epoch, forever: an epoch starts all windows at one random
    offset and deals them out in one random order; both follow from (seed, epoch) alone, so (epoch,
    index) is the whole position, whatever the number of ranks: together they read the windows that
    one rank would, each its share."""
    def __init__(self, paths, T, vocab, seed=0, rank=0, ranks=1, held_out=0):
        """held_out: leave that many windows at the end of the last shard alone."""
        self.paths, self.T, self.vocab, self.seed = paths, T, vocab, seed
        self.rank, self.ranks = rank, ranks
        self.shards = [shards.open_shard(path) for path in paths]
        self.sizes = [path.stat().st_size for path in paths]
        self.tokens = sum(map(len, self.shards)) - held_out * T
        self.windows = [max(0, (len(shard) - 1) // T) for shard in self.shards]
        self.windows[-1] = max(0, self.windows[-1] - held_out)
        if sum(self.windows) < 1:
            raise ChatError(f"{paths[0]}: {self.tokens} tokens are less than a window of {T + 1}: "
                            f"use a smaller --context or more text")
        self.epoch, self.index = 0, 0
        self._deal()

    def _deal(self):
        rng = np.random.default_rng((self.seed, self.epoch))
        # A window fewer in each shard leaves room for the offset; a shard of one has no room.
        counts = [n - 1 if n > 1 else n for n in self.windows]
        self.shift = int(rng.integers(self.T))
        self.bounds = np.cumsum([0, *counts])
        self.order = rng.permutation(self.bounds[-1])

    def _window(self, i):
        shard = int(np.searchsorted(self.bounds, i, "right")) - 1
        if os.stat(self.paths[shard]).st_size != self.sizes[shard]:
            raise ChatError(f"{self.paths[shard]}: the file changed its size "
                            f"while training reads it")
        start = (i - self.bounds[shard]) * self.T + (self.shift if self.windows[shard] > 1 else 0)
        window = self.shards[shard][start:start + self.T + 1]
        if window.max() >= self.vocab:
            at = int(np.argmax(window >= self.vocab))
            raise ChatError(f"{self.paths[shard]}: token {window[at]} at {start + at} is outside "
                            f"the vocabulary of {self.vocab}")
        return window

    def next(self, n):
        """Moves on by n windows; of these this rank's, every ranks-th: (B,T+1) int32 tokens."""
        rows = np.empty((len(range(self.rank, n, self.ranks)), self.T + 1), np.int32)
        for i in range(n):
            if self.index == len(self.order):
                self.epoch, self.index = self.epoch + 1, 0
                self._deal()
            if i % self.ranks == self.rank:
                rows[i // self.ranks] = self._window(self.order[self.index])
            self.index += 1
        return rows

    def seek(self, epoch, index):
        self.epoch, self.index = epoch, index
        self._deal()


class Data:
    """What pretraining reads: training windows, held-out windows, the tokenizer if there is one."""
    def __init__(self, s, rank=0, ranks=1):
        """s: settings of a stage (train.py)."""
        folder = self.prepare(s)
        train, val = shards.find_shards(folder)
        places = (folder if folder.is_dir() else folder.parent, *filter(None, [s.model]))
        place = s.tokenizer or next((p for p in places if Path(p, "tokenizer.json").exists()), None)
        self.tokenizer = place and bpe.Tokenizer.load(place)
        if self.tokenizer:
            self.vocab = self.tokenizer.vocab_size
        else:
            self.vocab = max(int(shards.open_shard(path).max()) for path in train + val) + 1
        # Shards without a held-out one: the last tenth of the last, at most about a million tokens.
        tail = 0
        if not val:
            last = shards.open_shard(train[-1])
            tail = max(1, min(len(last) // 10, 1 << 20) // s.context)
            self.val = last[-(tail * s.context + 1):]
        else:
            most = 32 * s.eval_tokens + 1
            self.val = np.concatenate([shards.open_shard(path)[:most] for path in val])[:most]
        self.loader = Loader(train, s.context, self.vocab, s.seed, rank, ranks, tail)
        self.identity = [self.loader.tokens, len(self.val)]      # and the head of each shard
        self.identity += [zlib.crc32(shard[:10_000_000]) for shard in self.loader.shards]
        if len(self.val) < 2:
            raise ChatError(f"{folder}: {len(self.val)} held-out tokens are too few to evaluate on")

    def held_out(self, limit) -> Rows:
        """Held-out windows in order, up to `limit` tokens; a short set is one short row."""
        T = min(self.loader.T, len(self.val) - 1)
        n = min((len(self.val) - 1) // T, max(1, limit // T))
        rows = np.stack([self.val[i * T:i * T + T + 1] for i in range(n)]).astype(np.int32)
        return Rows(rows[:, :-1], rows[:, 1:], None, np.ones((n, T), bool))

    @staticmethod
    def prepare(s) -> Path:
        """The folder of shards and tokenizer that these settings ask for, made if not there."""
        return shards.prepare(s.data, vocab_size=s.vocab_size or default_vocab_size(s.data),
                              tokenizer=s.tokenizer or s.model)

    def floors(self) -> dict[str, float]:
        return entropies(self.loader.shards[0], self.vocab)

    def question(self, number) -> list:
        return []                                # a document begins with nothing

    def __str__(self):
        return f"{self.loader.tokens:,} tokens of training text, {len(self.val):,} held out"


def default_vocab_size(source) -> int:
    """1024, 2048, 4096: the first with under 1000 bytes of text a token: rare ones learn little."""
    if source == WORLD:
        return 4096
    try:
        size = sum(path.stat().st_size for path in find_files([source]))
    except (OSError, ValueError):
        return 4096                              # prepare() explains what is wrong
    return next((v for v in (1024, 2048) if size < 1000 * v), 4096)


def entropies(tokens, vocab: int) -> dict[str, float]:
    """What no model at all gets, nats a token: knowing nothing, frequencies, the token before."""
    tokens = np.asarray(tokens[:10_000_000], np.int64)
    unigram = np.bincount(tokens, minlength=vocab)
    bigram = np.unique(tokens[:-1] * vocab + tokens[1:], return_counts=True)[1]

    def entropy(counts):
        p = counts[counts > 0] / counts.sum()
        return float(-(p * np.log(p)).sum())
    return {"uniform (ln V)": math.log(vocab), "unigram entropy": entropy(unigram),
            "bigram entropy": entropy(bigram) - entropy(unigram)}
