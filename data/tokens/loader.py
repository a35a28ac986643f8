"""What pretraining reads: windows of documents' tokens, shared among the ranks of a job, and what
is held out of them.
"""

from __future__ import annotations

import math
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from csrc.files import ChatError, read_json
from csrc.shown import progress
from data.tokens import bpe, shards
from data.tokens.documents import WORLD, find_files

FINAL = 32             # the evaluation after the last step takes so many times --eval-tokens
BLOCKS, BLOCK = 16, 1 << 15      # what is read of a shard to learn its vocabulary, in tokens


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


class Shuffled:
    """Numbers in an order that is shuffled anew for each epoch, forever. `seek` makes the `order`
    of an epoch, from (seed, epoch) alone: (epoch, index) is the whole position, whatever the number
    of ranks, which together take the numbers that one rank would."""

    def take(self, n):
        """Yield the next n numbers, each while its epoch lasts."""
        for _ in range(n):
            if self.index == len(self.order):
                self.seek(self.epoch + 1, 0)
            self.index += 1
            yield self.order[self.index - 1]


class Loader(Shuffled):
    """Windows of T+1 tokens: an epoch starts them all at one random offset."""
    def __init__(self, paths, T, vocab, seed=0, rank=0, ranks=1, held_out=0):
        """held_out: leave that many windows at the end of the last shard alone."""
        self.paths, self.T, self.vocab, self.seed = paths, T, vocab, seed
        self.rank, self.ranks = rank, ranks
        self.shards = [shards.open_shard(path) for path in paths]
        self.open = lru_cache(256)(lambda shard: open(paths[shard], "rb", buffering=0))
        self.tokens = sum(map(len, self.shards)) - held_out * T
        longest = max(map(len, self.shards))
        self.windows = [max(0, (len(shard) - 1) // T) for shard in self.shards]
        self.windows[-1] = max(0, self.windows[-1] - held_out)
        if sum(self.windows) < 1:
            where = f" in the largest of {len(paths)} shards" * (len(paths) > 1)
            held = f" and {held_out * T} that are held out" * (held_out > 0)
            raise ChatError(f"{paths[0]}: {longest} tokens{where} are less than a window of {T + 1}"
                            f"{held}: use a smaller --context or more text")
        self.seek(0, 0)

    def seek(self, epoch, index):
        """Go to a position: the next window is number `index` of the epoch."""
        self.epoch, self.index = epoch, index
        rng = np.random.default_rng((self.seed, self.epoch))
        # A window fewer in each shard leaves room for the offset; a shard of one has no room.
        counts = [n - 1 if n > 1 else n for n in self.windows]
        self.shift = int(rng.integers(self.T))
        self.bounds = np.cumsum([0, *counts])
        self.order = rng.permutation(self.bounds[-1])

    def window(self, i):
        """The tokens (T+1) of the epoch's window i. They are read, not mapped: a file that became
        shorter is then an error, and not the end of the process."""
        shard = int(np.searchsorted(self.bounds, i, "right")) - 1
        shift = self.shift if self.windows[shard] > 1 else 0
        start = int(i - self.bounds[shard]) * self.T + shift
        dtype, count = self.shards[shard].dtype, self.T + 1
        data = os.pread(self.open(shard).fileno(), count * dtype.itemsize,
                        4 * shards.HEADER + start * dtype.itemsize)
        if len(data) < count * dtype.itemsize:
            raise ChatError(f"{self.paths[shard]}: the file changed its size while training reads "
                            f"it")
        window = np.frombuffer(data, dtype)
        if window.max() >= self.vocab:
            at = int(np.argmax(window >= self.vocab))
            raise ChatError(f"{self.paths[shard]}: token {window[at]} at {start + at} is outside "
                            f"the vocabulary of {self.vocab}: give its size as --vocab-size")
        return window

    def next(self, n):
        """Moves on by n windows; of these this rank's, every ranks-th: (B,T+1) int32 tokens."""
        return np.array([self.window(number) for i, number in enumerate(self.take(n))
                         if i % self.ranks == self.rank], np.int32)


class Data:
    """What pretraining reads: training windows, held-out windows, the tokenizer if there is one.

    identity    {name of a file: what shows that not a bit of it has changed}
    """
    def __init__(self, s, rank=0, ranks=1):
        folder = self.prepare(s)
        train, val = shards.find_shards(folder)
        home = folder if folder.is_dir() else folder.parent
        places = [s.tokenizer] if s.tokenizer else \
            [p for p in (home, s.model) if p and (Path(p, "tokenizer.json").exists()
                                                  or Path(p).is_file())]
        found = [bpe.Tokenizer.load(place) for place in places]
        self.tokenizer = found[0] if found else None
        if found[1:] and found[0].codec.tokens != found[1].codec.tokens:
            raise ChatError(f"{home} was made with another tokenizer than {s.model} has")
        self.vocab = self.tokenizer.vocab_size if self.tokenizer else \
            vocabulary(home, train + val, s.vocab_size or 1)
        # Shards without a held-out one: the last tenth of the last, at most about a million tokens.
        tail = 0
        if val:
            most = FINAL * s.eval_tokens + 1
            self.val = np.concatenate([shards.open_shard(path)[:most] for path in val])[:most]
        else:
            last = shards.open_shard(train[-1])
            tail = max(1, min(len(last) // 10, 1 << 20) // s.context)
            self.val = np.array(last[-(tail * s.context + 1):])
        self.loader = Loader(train, s.context, self.vocab, s.seed, rank, ranks, tail)
        with ThreadPoolExecutor() as pool:
            sums = progress(pool.map(checksum, train + val), "checking", total=len(train + val))
            self.identity = dict(zip([path.name for path in train + val], sums))
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

    def baselines(self) -> dict[str, float]:
        """Losses to compare a model's with."""
        return baselines(self.loader.shards[0], self.vocab)

    def question(self, number) -> list:
        """The messages that a sample answers: none, for a document begins with nothing."""
        return []

    def __str__(self):
        return f"{self.loader.tokens:,} tokens of training text, {len(self.val):,} held out"


def checksum(path: Path) -> int:
    """The Adler-32 of a file, at gigabytes a second. It is read, not mapped: what is mapped counts
    as memory of the process."""
    value = 1
    with open(path, "rb", buffering=0) as file:
        while block := file.read(1 << 20):
            value = zlib.adler32(block, value)
    return value


def sampled(tokens) -> np.ndarray:
    """A shard's tokens, if it is small; else blocks of them, its ends and evenly between: so much
    of a file is read, however large it is."""
    if len(tokens) <= BLOCKS * BLOCK:
        return np.array(tokens)
    starts = np.linspace(0, len(tokens) - BLOCK, BLOCKS).astype(int)
    return np.concatenate([tokens[i:i + BLOCK] for i in starts])


def vocabulary(folder: Path, paths: list[Path], least: int) -> int:
    """The size of the vocabulary of shards that have no tokenizer, at least `least`: what meta.json
    says, or else what a sample of each shard shows. That may be too little, which the Loader tells
    when it comes to such a token; documents, however, mostly begin with the last one there is."""
    if (folder / "meta.json").exists():
        least = max(least, int(read_json(folder / "meta.json").get("vocab_size", 0)))
        if least > 1:
            return least
    return max(least, 1 + max(int(sampled(shards.open_shard(path)).max()) for path in paths))


def default_vocab_size(sources) -> int:
    """1024, 2048, 4096: the first with under 1000 bytes of text a token: rare ones learn little."""
    if WORLD in sources:
        return 4096
    try:
        size = sum(path.stat().st_size for path in find_files(sources))
    except (OSError, ValueError):
        return 4096                              # prepare() explains what is wrong
    return next((v for v in (1024, 2048) if size < 1000 * v), 4096)


def baselines(tokens, vocab: int) -> dict[str, float]:
    """Losses without any model, nats a token: of a uniform guess, of guessing by the frequency of
    the token, and by its frequency after the token before."""
    tokens = np.asarray(tokens[:10_000_000], np.int64)
    unigram = np.bincount(tokens, minlength=vocab)
    bigram = np.unique(tokens[:-1] * vocab + tokens[1:], return_counts=True)[1]

    def entropy(counts):
        p = counts[counts > 0] / counts.sum()
        return float(-(p * np.log(p)).sum())
    return {"uniform guess (ln V)": math.log(vocab), "unigram": entropy(unigram),
            "bigram": entropy(bigram) - entropy(unigram)}
