"""What tells the main text of a page: numbers of each of its blocks.

csrc/page.c divides a page into blocks of text and counts; here follow what a block has, what its
elements have of the page's text, how other blocks with its classes are, and what stands near it.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np

from csrc.bind import Library

MOST = 50_000       # blocks of a page that are read, and elements
LINKED = 0.3        # of a block's characters in links: more is no prose
PROSE = 40          # characters, or the end of a sentence, make a block prose
PART = 0.5          # of a page's text: what has more is not in doubt for a word of its class

# Names of elements: by what csrc/text.h says that they are, of a block's own, of those around it.
# Words of classes and ids, which count where their elements hold less than PART; those that count
# of the three innermost elements (NEAR), and in groups. What has one of LEFT_OUT is no main text,
# unless it is a heading, or holds PART of the page.
NAMES = json.loads(Path(__file__).with_name("elements.json").read_bytes())
TAGS, WORDS = NAMES["tags"], " ".join(NAMES["words"]).split()
OWN, AROUND, NEAR, LEFT_OUT = (NAMES[key].split() for key in ("own", "around", "near", "left out"))
HOLDS, GROUPS = ([words.split() for words in NAMES[key]] for key in ("holds", "groups"))
SAID = (b"cookie", b"newsletter", b"copyright", b"rights reserved", b"http", b"comment")


@cache
def tables():
    """({tag: number}, tags, words) as page_blocks asks for them, and the fields of each table."""
    lib = Library.text().lib
    kinds = {tag: getattr(lib, f"TAG_{kind}") for kind, tags in TAGS.items()
             for tag in tags.split()}
    return ({tag: i for i, tag in enumerate(sorted(kinds))},
            b"".join(tag.encode().ljust(15, b"\0") + bytes([kinds[tag]]) for tag in sorted(kinds)),
            b"".join(word.encode().ljust(16, b"\0") for word in WORDS),
            *([(name, getattr(lib, name)) for name in dir(lib) if name.startswith(table)
               and not name.endswith("FIELDS")] for table in ("BLOCK_", "ELEMENT_")))


class Page:
    """The blocks of a page: text, bytes of all, and what csrc/text.h tells of blocks and elements,
    each name in it an array of int32."""

    def __init__(self, html):
        library, page = Library.text(), html.encode("utf-8", "replace").replace(b"\0", b"")
        self.tag, tags, words, *fields = tables()
        most = min(2 * page.count(b"<") + 2, MOST)
        counts, text = np.empty(2, np.int32), np.empty(len(page) + 1, np.uint8)
        blocks = np.empty((most, library.lib.BLOCK_FIELDS), np.int32)
        elements = np.empty((most, library.lib.ELEMENT_FIELDS), np.int32)
        library.call("page_blocks", counts, text, blocks, elements, np.frombuffer(page, np.uint8),
                     len(page), tags, len(self.tag), words, len(WORDS), most)
        self.n, self.m = counts.tolist()
        for names, table in zip(fields, (blocks[:self.n], elements[:self.m])):
            vars(self).update((name, table[:, i]) for name, i in names)
        first = library.lib.ELEMENT_WORDS
        self.words = np.ascontiguousarray(elements[:self.m, first:first + 4]).view(np.uint64)
        self.text = text[:self.BLOCK_END[-1] if self.n else 0].tobytes()
        self.levels = [self.BLOCK_ELEMENT]       # of each block, then what that is in, and so on
        while self.levels[-1].any():
            self.levels.append(self.ELEMENT_PARENT[self.levels[-1]])

    def texts(self):
        """[bytes] of each block."""
        ends = self.BLOCK_END.tolist()
        return [self.text[start:end] for start, end in zip([0, *ends], ends)]

    def tagged(self, tag):
        """Which elements have this tag; the page (0) has none."""
        found = self.ELEMENT_TAG == self.tag[tag]
        found[0] = False
        return found

    def within(self, elements):
        """Which blocks are in one of these elements."""
        return np.any([elements[inner] for inner in self.levels], 0)

    def headings(self):
        """Which elements are headings."""
        return np.any([self.tagged(f"h{k}") for k in range(1, 7)], 0)

    def named(self, words):
        """Which elements have one of these words."""
        bits = np.zeros(128, np.uint8)
        bits[[WORDS.index(word) for word in words]] = 1
        return (self.words & np.packbits(bits, bitorder="little").view(np.uint64)).any(1)


def features(page):
    """Return x (n,columns) of the blocks of a page that has some, and which are LEFT_OUT (n)."""
    chars, linked = page.BLOCK_CHARS.astype(float), page.BLOCK_LINKED.astype(float)
    unlinked, density = chars - linked, linked / chars
    prose = np.where((density < LINKED) & ((unlinked >= PROSE) | (page.BLOCK_ENDS > 0)), unlinked,
                     0.)
    sums = [np.bincount(page.BLOCK_ELEMENT, values, page.m)
            for values in (chars, linked, prose, np.ones(page.n))]
    upto = np.concatenate([np.zeros((4, 1)), np.cumsum(sums, 1)], 1)
    held = upto[:, page.ELEMENT_LAST + 1] - upto[:, :-1]         # with the elements in them
    held[:, 0] = upto[:, -1]
    columns = [*own(page, chars, linked, prose), *containers(page, sums[2], held),
               *elements(page, held), *places(page, chars, linked, prose, held)]
    small = held[0] < PART * held[0, 0]
    x = np.concatenate([np.stack(columns, 1), bits(page, small)], 1, dtype=np.float32)
    return x, page.within(page.named(LEFT_OUT) & small & ~page.headings())


def own(page, chars, linked, prose):
    """What a block has itself."""
    words, lines = page.BLOCK_WORDS, page.BLOCK_LINES + 1
    yield from (chars, words, linked / chars, chars / words, chars - linked, lines, chars / lines)
    yield from (page.BLOCK_BOLD / chars, page.BLOCK_DIGITS / chars, page.BLOCK_UPPER / chars,
                page.BLOCK_COMMAS / words)
    yield from (page.BLOCK_LINKS, page.BLOCK_COMMAS, page.BLOCK_STOPS, page.BLOCK_BARS,
                page.BLOCK_IMAGES, page.BLOCK_LOWER, page.BLOCK_ENDS, page.BLOCK_COLON,
                page.BLOCK_RIGHTS, page.BLOCK_ITEM)
    yield from (page.tagged(tag)[page.BLOCK_ELEMENT] for tag in OWN)
    texts, seen = page.texts(), {}
    for text in texts:
        seen[text] = seen.get(text, 0) + 1
    yield np.array([seen[text] for text in texts])
    lower = page.text.lower()
    for word in SAID:
        said, at = [], lower.find(word)
        while at >= 0:
            said.append(at)
            at = lower.find(word, at + 1)
        yield np.bincount(np.searchsorted(page.BLOCK_END, said, side="right"), minlength=page.n)


def containers(page, prose, held):
    """Where a block is, seen from the element with most prose in itself and its children."""
    best = prose + np.bincount(page.ELEMENT_PARENT[1:], prose[1:], page.m)
    chain = [int(best.argmax())]
    while chain[-1]:
        chain.append(page.ELEMENT_PARENT[chain[-1]])
    inner, last = page.BLOCK_ELEMENT, page.ELEMENT_LAST[chain]
    last[-1] = page.m
    common = ((inner[:, None] >= chain) & (inner[:, None] <= last)).argmax(1)
    at, within = np.arange(page.n), np.flatnonzero(common == 0)
    yield common
    yield np.where(common == 0, page.ELEMENT_DEPTH[inner] - page.ELEMENT_DEPTH[chain[0]] + 1, 0)
    yield from (at - (within[0] if len(within) else 0),
                at - (within[-1] if len(within) else page.n))
    yield from (np.full(page.n, held[k, chain[0]] / (held[k, 0] + 1)) for k in (0, 2))


def elements(page, held):
    """What the elements around a block hold, and what words they have."""
    levels, (chars, linked, prose, blocks) = page.levels, held
    for inner in [*levels, *[levels[-1]] * 4][:4]:
        size, count = np.maximum(chars[inner], 1), np.maximum(blocks[inner], 1)
        yield from (size / chars[0], linked[inner] / size, count, prose[inner] / (prose[0] + 1),
                    size / count, prose[inner] / size)
    yield from (page.ELEMENT_DEPTH[levels[0]], page.ELEMENT_HIDDEN[levels[0]])
    kinds = [page.named(HOLDS[0]) & page.named(HOLDS[1]), *map(page.named, GROUPS)]
    for named in kinds:
        named[0] = False
        count, share = np.zeros(page.n), np.zeros(page.n)
        for inner in levels:
            hit = named[inner]
            count += hit
            share = np.where(hit, chars[inner] / chars[0], share)
        yield from (count, share)
    for named in (*kinds, page.tagged("article"), page.tagged("main")):
        yield np.full(page.n, (prose * named).max() / (prose[0] + 1))


def bits(page, small):
    """Whether a block is in each tag of AROUND, has each of WORDS around it, of NEAR near it."""
    tags = np.stack([page.tagged(tag) for tag in AROUND], 1)
    around = np.where(small[:, None], page.words, np.uint64(0))
    within, words, near = 0, 0, 0
    for depth, inner in enumerate(page.levels):
        within, words = within | tags[inner], words | around[inner]
        near = near | page.words[inner] if depth < 3 else near
    words, near = (np.unpackbits(np.ascontiguousarray(each).view(np.uint8).reshape(page.n, 16),
                                 axis=1, bitorder="little") for each in (words, near))
    return np.concatenate([within, words[:, :len(WORDS)],
                           near[:, [WORDS.index(word) for word in NEAR]]], 1)


def places(page, chars, linked, prose, held):
    """Where a block is on the page, what is before and behind it, and what others have its class
    and that of the element around its own."""
    n, at, density = page.n, np.arange(page.n), linked / chars
    yield from ((np.cumsum(each) - each) / (each.sum() + 1) for each in (chars, prose))
    yield from (at, n - at, *(np.full(n, x) for x in (n, chars.sum(), prose.sum())))
    inner = page.BLOCK_ELEMENT
    outer = page.ELEMENT_PARENT[inner]
    sign = page.ELEMENT_SIGNATURE.astype(np.int64)
    _, kind = np.unique(31 * sign[inner] + sign[outer], return_inverse=True)
    alike = [np.bincount(kind, each)[kind] for each in (chars, linked, prose, np.ones(n))]
    yield from (alike[3], alike[0] / alike[3], alike[1] / alike[0], alike[2] / (held[2, 0] + 1))
    heading = sum(k * page.tagged(f"h{k}")[inner] for k in range(1, 7))
    for level in (heading == 1, heading > 0):
        last = np.maximum.accumulate(np.where(level, at, -1))
        yield from (np.where(last >= 0, at - last, -1), np.cumsum(level),
                    level[::-1].cumsum()[::-1])
    same = np.concatenate([[0], (inner[1:] == inner[:-1]) | (outer[1:] == outer[:-1]), [0]])
    yield from (same[:-1], same[1:])
    for each in (chars, density, prose, heading):
        padded = np.concatenate([np.zeros(2), each, np.zeros(2)])
        yield from (padded[k:k + n] for k in range(5))
    for width in (3, 8):
        around = [np.convolve(each, np.ones(2 * width + 1))[width:width + n]
                  for each in (chars, linked, prose)]
        yield from (around[2], around[1] / around[0])
    start, end = best_run(np.where(density > LINKED, -60, np.where(prose > 0, prose, -10)))
    yield from (at - start, at - end, (at >= start) & (at < end))


def best_run(values):
    """(start, end) of the run of values whose sum is most."""
    best, total, start = (0, 0, 0), 0, 0
    for i, value in enumerate(values.tolist()):
        if total < 0:
            total, start = 0, i
        total += value
        if total > best[2]:
            best = start, i + 1, total
    return best[:2]
