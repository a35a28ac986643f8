"""Learning a byte-pair vocabulary: count the chunks of a text, then merge the most frequent pairs.

`count_chunks` and `learn_merges` are C (csrc/bpe.c). tests/ref_bpe.py is the same in readable
Python: read that to understand what is computed. Tests hold the one against the other.

Memory: counting takes about 50 MB a thread and 100 bytes a different chunk, of which it keeps at
most MOST; learning 20 bytes for each of their bytes and 60 for each pair it meets. That is 0.2 GB
for 100 MB of text, and on few threads less than 3 GB however much there is.
"""

import functools
import os
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import regex

from csrc.bind import Library
from csrc.shown import progress
from data.tokens.parallel import batches

# Qwen2's: GPT-4's with single digits. llama.cpp knows it by name, so it must not change.
PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
           r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")

LONGEST_CHUNK = 1000  # bytes: training looks at longer chunks in pieces of this size
BATCH = 8 << 20       # characters that a thread splits at a time
MOST = 1 << 23        # different chunks; where there are more, the rarest are forgotten
SLICE = 16            # merges between two looks at the keyboard


class Chunks(NamedTuple):
    """Different chunks and how often each occurs: chunk i is text[ends[i - 1] : ends[i]]."""

    text: np.ndarray    # uint8
    ends: np.ndarray    # uint64 (n,)
    counts: np.ndarray  # uint64 (n,)

    def bytes(self):
        """Bytes of the text that was counted."""
        return int(np.diff(self.ends, prepend=np.uint64(0)) @ self.counts)


def count_chunks(texts, threads=None, most=MOST):
    """Return the Chunks that PATTERN splits the texts (an iterable of str) into, in the order of
    their first occurrence; those over LONGEST_CHUNK bytes are cut: no token that long is worth
    learning.

    threads  that split (None: one a processor); the result does not depend on them
    most     different chunks that are kept: each time there are more, those that have occurred
             least go, until half as many are left
    """
    threads = threads or os.cpu_count()
    library, total = new_table()
    kinds = classes()
    with ThreadPoolExecutor(threads) as pool:
        splitting = deque()
        for batch in batches(texts, BATCH):
            splitting.append(pool.submit(split, batch, kinds))
            if len(splitting) > threads:
                add(total, splitting.popleft().result(), most)
        while splitting:
            add(total, splitting.popleft().result(), most)
    n = library.call("chunks_size", total)
    chunks = Chunks(np.empty(library.call("chunks_bytes", total), np.uint8),
                    np.empty(n, np.uint64), np.empty(n, np.uint64))
    library.call("chunks_read", total, *chunks)
    return chunks


def new_table():
    """Return the library and an empty table of chunks, freed with the last reference to it."""
    library = Library.text()
    out = library.ffi.new("Chunks **")
    library.call("chunks_create", out)
    return library, library.ffi.gc(out[0], library.lib.chunks_free)


def split(texts, kinds):
    """Return a table of the chunks of some texts; kinds: what `classes` gives. While C splits them,
    other threads run."""
    library, table = new_table()
    encoded = list(map(utf8, texts))
    ends = np.cumsum([len(text) for text in encoded], dtype=np.uint64)
    library.call("chunks_split", table, np.frombuffer(b"".join(encoded), np.uint8), ends,
                 len(ends), kinds, LONGEST_CHUNK)
    return table


def add(total, table, most):
    """Add a table to the total and, where that makes it too large, forget its rarest chunks."""
    library = Library.text()
    library.call("chunks_add", total, table)
    least = 1
    while library.call("chunks_size", total) > (most if least == 1 else most // 2):
        least += 1
        library.call("chunks_forget", total, least)


@functools.cache
def classes():
    """Return what kind each code point is, uint8 (0x110000,), for csrc/bpe.c. The `regex` module
    decides, so that C splits as it does, and this program does not age with Unicode."""
    kinds = Library.text().lib
    found = np.zeros(0x110000, np.uint8)
    every = "".join(map(chr, range(len(found))))
    for pattern, kind in ((r"\p{L}+", kinds.KIND_LETTER), (r"\p{N}+", kinds.KIND_NUMBER),
                          (r"\s+", kinds.KIND_BLANK), (r"[\r\n]+", kinds.KIND_NEWLINE)):
        for match in regex.finditer(pattern, every):
            found[slice(*match.span())] = kind
    for pattern, letter in (("s|t|m|d", kinds.ENDS_ALONE), ("r|v", kinds.BEFORE_E),
                            ("e", kinds.IS_E), ("l", kinds.IS_L)):
        for match in regex.finditer(f"(?i:{pattern})", every):
            found[match.start()] += letter
    return found


def utf8(text):
    """Return `text` as UTF-8, surrogate pairs joined, lone surrogates as U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def learn_merges(chunks, count):
    """Learn up to `count` merges from Chunks.

    Returns (merges, counts): merge i joins the two ids merges[i] into the id 256 + i, and so made
    counts[i] tokens one fewer each. It is the most frequent pair and, among equals, the smallest
    pair of ids. There are fewer than asked for when no pair occurs twice any more; stderr says so.
    """
    library = Library.text()
    out = library.ffi.new("Bpe **")
    library.call("bpe_create", out, *chunks, len(chunks.counts))
    bpe = library.ffi.gc(out[0], library.lib.bpe_free)
    merges, counts = [], []
    pairs, numbers = np.empty((SLICE, 2), np.int32), np.empty(SLICE, np.uint64)
    with progress(label="merges", total=count, unit="") as bar:
        while (wanted := min(SLICE, count - len(merges))) > 0:
            found = library.call("bpe_learn", bpe, pairs, numbers, wanted)
            merges += map(tuple, pairs[:found].tolist())
            counts += numbers[:found].tolist()
            bar.update(found)
            if found < wanted:
                print(f"no pair occurs twice any more after {len(merges)} of {count} merges: the "
                      f"vocabulary is smaller", file=sys.stderr)
                break
    return merges, counts
