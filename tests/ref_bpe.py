"""Learning a byte-pair vocabulary in plain Python: the oracle of data/tokens/learn.py."""

from collections import Counter

import regex

from data.tokens.learn import LONGEST_CHUNK, PATTERN, utf8


def count_chunks(texts):
    """The chunks of some texts, as a Counter from bytes to count."""
    find = regex.compile(PATTERN).findall
    counts = Counter()
    for text in texts:
        for chunk in map(str.encode, find(utf8(text).decode())):
            counts.update(chunk[start : start + LONGEST_CHUNK]
                          for start in range(0, len(chunk), LONGEST_CHUNK))
    return counts


def learn_merges(chunks, count):
    """(merges, how many tokens fewer each made), from a mapping from bytes to count."""
    words = {tuple(chunk): number for chunk, number in chunks.items()}
    merges, saved = [], []
    while len(merges) < count:
        counts = Counter()
        for word, number in words.items():
            for pair in pairs_of(word):
                counts[pair] += number
        pair = min(counts, key=lambda pair: (-counts[pair], pair), default=None)
        if counts[pair] < 2:
            break
        merges.append(pair)
        saved.append(counts[pair])
        words = {merge(word, pair, 255 + len(merges)): number for word, number in words.items()}
    return merges, saved


def pairs_of(word):
    """Yield each pair of neighbours as often as merging replaces it: "aaa" has one "aa"."""
    previous = None
    for pair in zip(word, word[1:]):
        if pair == previous:  # the same pair one place further: they share a token
            previous = None
        else:
            yield pair
            previous = pair


def merge(word, pair, new):
    """Return `word` (a tuple of ids) with each `pair` in it, from the left, replaced by `new`."""
    merged, i = [], 0
    while i < len(word):
        found = word[i:i + 2] == pair
        merged.append(new if found else word[i])
        i += 1 + found
    return tuple(merged)
