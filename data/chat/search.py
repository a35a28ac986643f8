"""Search: BM25 over passages of documents, by SQLite's FTS5, in one file.

Documents are cut at paragraph borders into passages, each indexed with the first line of its
document, its title. A query is free text: of it only words reach FTS5, quoted, so that no query has
a syntax to break. The rank is BM25 (Robertson and Zaragoza 2009, "The Probabilistic Relevance
Framework") of the words, of neighbours as phrases, so that a page about Mara Holm is better than
one about Mara Sorn and Anna Holm, and again of the names. In scripts without blanks between words
(Chinese, Japanese, Thai, ...) each character is a word, and neighbours are looked for.

Measured on 8 MB of the pocket world, with 3,161 questions about its facts: the first page states
the fact for 87 %, one of the first three for 97 %, one of five for 98 %; 7 ms a question. What
`render` shows of the first page in 716 characters holds the fact for 97 % of 400 questions about
pages that no model has read.

The index is made whole or not at all and never changed, so that any number of processes and threads
read it without locks.
"""

import re
import sqlite3
from collections import Counter
from contextlib import closing, contextmanager
from functools import lru_cache
from itertools import accumulate, chain, pairwise
from math import fsum
from pathlib import Path
from typing import NamedTuple

from csrc.files import ChatError, publish, records, workplace
from csrc.remote import local
from csrc.shown import progress
from data.tokens.documents import JSON_LINES, find_files
from data.tokens.learn import utf8

MARK, VERSION = 0x63686174, 1   # "chat": SQLite's application_id and user_version of our files
PASSAGES = 3            # given for a query
LONGEST = 800           # characters of a passage
ROOM = 600              # that a page should have where it is shown
TITLE = 200             # characters of a title
WORDS = 32              # of a query that are looked for
QUERY = 2000            # characters of a query that are read
NAME_WEIGHT = 2         # how often a word with a capital letter counts once more
TITLE_WEIGHT = 2.0      # of a word in the title, against one in the text
AROUND = 1              # passages before and after the best that are given with it
SAME_PAGE = 4           # passages that are looked at for each page that is given
BORDERS = [r"(?<=\n)", r"(?<=[.!?]\s)|(?<=[\u3002\uff01\uff1f])", r"(?<=\s)"]    # where to cut
STEM = 5                # letters by which words are compared
BETWEEN, CUT = "\n\n", " ..."   # of passages as a model reads them
# Scripts without blanks: Thai to Burmese, Khmer, kana, Han; each letter with its marks is a word.
UNSPACED = (r"\u0e00-\u0e4e\u0e80-\u0ece\u0f40-\u0fbc\u1000-\u109f\u1780-\u17d3\u3041-\u30ff"
            r"\u3005-\u3007\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
            r"\U00020000-\U0003ffff")
CHARACTER = re.compile(rf"[{UNSPACED}]")
RUN = re.compile(rf"[{UNSPACED}]+|[^\W{UNSPACED}]+")
BORDER = "\u200b"        # a blank of no width: between such words in the index, and in no answer
STOP = frozenset("""a an and are as at be by can could did do does for from had has have how i in is
it know me of on or please tell that the this to was were what when where which who whom whose why
will with would you""".split())


class Passage(NamedTuple):
    """What is found on a page."""

    url: str
    title: str
    text: str
    score: float        # BM25: higher is better


# ---------------------------------------------------------------------------------- Making an index


def build(sources, out):
    """Write the index of all documents in `sources` (files of JSON lines, folders of them, "world")
    to the file `out`; return a line that says what is in it.

    ValueError or OSError names what cannot be read; then `out` is as it was.
    """
    files, out, count = find_files(sources), Path(out), 0
    if out.is_dir():
        raise ChatError(f"{out} is a folder: name a file in it")
    with workplace(out) as place:
        with closing(sqlite3.connect(place / out.name, isolation_level=None)) as base, \
                reporting(out):
            base.executescript(f"""
                PRAGMA journal_mode = off; PRAGMA synchronous = off;
                PRAGMA application_id = {MARK}; PRAGMA user_version = {VERSION};
                CREATE VIRTUAL TABLE passages USING fts5(title, text, url UNINDEXED,
                                                         tokenize = 'porter unicode61');
                BEGIN""")
            found = (document for file in files for document in documents(file))
            for count, (url, text) in enumerate(progress(found, "indexing"), 1):
                title = text.lstrip().partition("\n")[0][:TITLE]
                base.executemany("INSERT INTO passages VALUES (?, ?, ?)", (
                    (spaced(title), spaced(passage), url) for passage in passages(text)))
            if not count:
                raise ChatError(f"there is no document in {', '.join(map(str, sources))}")
            base.execute("INSERT INTO passages(passages) VALUES ('optimize')")
            [parts] = base.execute("SELECT count(*) FROM passages").fetchone()
            base.execute("COMMIT")
        publish(place, out.parent, [out.name])
    return f"{out}: {count} documents, {parts} passages, {out.stat().st_size / 1e6:.1f} MB"


def documents(file):
    """Yield (url, text) of each line of a file of JSON lines; ChatError names a bad one."""
    if not file.name.endswith(JSON_LINES):
        raise ChatError(f'{file}: an index is made of JSON lines with a "text" and a "url", in '
                        f"files named *{', *'.join(JSON_LINES)}")
    for number, record in records(file):
        try:
            yield [utf8(record[key]).decode().replace("\0", " ").replace(BORDER, "")
                   for key in ("url", "text")]
        except (AttributeError, KeyError, TypeError) as error:
            raise ChatError(f'{file}:{number}: not an object with a "url" and a '
                            f'"text"') from error


def spaced(text):
    """A text with BORDER before and after each character of a script without blanks."""
    return CHARACTER.sub(lambda match: BORDER + match[0] + BORDER, text) if not text.isascii() \
        else text


def passages(text):
    """Yield a text in parts of at most LONGEST characters: whole paragraphs if they fit, else
    sentences, else words, else characters."""
    part = ""
    for piece in chain(pieces(text, BORDERS), [" " * LONGEST]):
        if len(part) + len(piece) > LONGEST:
            if part.strip():
                yield part.strip()
            part = ""
        part += piece


def pieces(text, borders):
    """Yield the pieces of a text, cut only as finely as LONGEST demands."""
    if len(text) <= LONGEST:
        yield text
    elif borders:
        for piece in re.split(borders[0], text):
            yield from pieces(piece, borders[1:])
    else:
        yield from (text[i:i + LONGEST] for i in range(0, len(text), LONGEST))


# ---------------------------------------------------------------------------------------- Searching


class Search:
    """An index that `build` made, open for reading: by any number of threads."""

    def __init__(self, path):
        """FileNotFoundError, or ValueError if the file is something else."""
        self.path = local(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"{path}: no such search index: data/tools.py index makes one")
        with self.opened() as base:
            mark, version = (base.execute(f"PRAGMA {name}").fetchone()[0]
                             for name in ("application_id", "user_version"))
            if (mark, version) != (MARK, VERSION):
                raise ChatError(f"{path}: a database, but no search index of this version: "
                                f"data/tools.py index makes one")
            base.execute("SELECT rowid FROM passages WHERE passages MATCH 'a'").fetchone()

    @contextmanager
    def opened(self):
        """A connection; a file that never changes needs no lock."""
        with reporting(self.path), closing(sqlite3.connect(
                f"{self.path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as base:
            yield base

    @lru_cache(maxsize=1 << 13)
    def search(self, query, k=PASSAGES):
        """Return of each of the `k` best pages for any text what is about the best passage there (a
        Passage): its neighbours on the page as well, since one speaks of the other's "she". What
        was sought lately is remembered.

        ValueError if `k` is not in [1, 100], or the index is damaged.
        """
        if not 1 <= k <= 100:
            raise ChatError(f"k is {k}, but must be in [1, 100]")
        match = expression(query)
        if not match:
            return []
        with self.opened() as base:
            rows = base.execute(
                "SELECT url, title, rowid, -bm25(passages, ?) AS score FROM passages "
                "WHERE passages MATCH ? ORDER BY score DESC, rowid LIMIT ?",
                (TITLE_WEIGHT, match, SAME_PAGE * k)).fetchall()
            best = {}
            for url, *row in rows:
                best.setdefault(url, row)
            found = []
            for url, (title, at, score) in list(best.items())[:k]:
                texts = [text for text, in base.execute(
                    "SELECT text FROM passages WHERE rowid BETWEEN ? AND ? AND url = ? "
                    "ORDER BY rowid", (at - AROUND, at + AROUND, url))]
                if not all(isinstance(value, str) for value in (url, title, *texts)):
                    raise sqlite3.DatabaseError("a value is no text")
                title, text = (text.replace(BORDER, "") for text in (title, "\n".join(texts)))
                found.append(Passage(url, title, text, score))
        return found

    def show(self, query, budget):
        """Return what a model reads of a query's results, in at most `budget` characters: of fewer
        pages, if they are few, rather than less of each."""
        return render(self.search(query, min(PASSAGES, max(1, budget // ROOM))), budget, query)


@contextmanager
def reporting(path):
    """Make of any error of SQLite's one sentence."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if str(error) == "no such module: fts5":
            raise ChatError(f"{path}: this Python's SQLite has no FTS5") from error
        raise ChatError(f"{path}: not a search index, or damaged ({str(error)[:60]!r}): make it "
                        f"again with data/tools.py index") from error


def expression(query):
    """Return FTS5's expression for a free text, or "": its words, its pairs of neighbours, and
    again its names, which are what a page must be about."""
    words = split(query[:QUERY])
    tells = [word.lower() not in STOP for word in words]
    if not any(tells):
        tells = [True] * len(words)
    single = [word for word, tell in zip(words, tells) if tell]
    double = [f"{a} {b}" for (a, b), both in zip(pairwise(words), pairwise(tells)) if all(both)]
    names = [word for word, tell in zip(words[1:], tells[1:]) if tell and word[0].isupper()]
    wanted = [phrase for phrases in (single, double, *[names] * NAME_WEIGHT)
              for phrase in list(dict.fromkeys(phrases))[:WORDS]]
    return " OR ".join(f'"{phrase}"' for phrase in wanted)


def split(text) -> list[str]:
    """The words of a text; of a script without blanks each two neighbours, as a phrase of two."""
    words = []
    for run in RUN.findall(text):
        if not CHARACTER.match(run):
            words.append(run)
        else:
            words += [BORDER.join(pair) for pair in pairwise(run)] or [run]
    return words


def extract(text, query, room):
    """Return those sentences of a text that are nearest to a query, the nearest first, as many as
    fit into `room` characters; of one that alone is longer, its beginning. A word of the query
    counts the less the more of the sentences have it: on a page about Mara Holm her name tells
    nothing."""
    if len(text) <= room:
        return text
    wanted = stems(query)
    sentences = [s for line in text.splitlines() for s in re.split(BORDERS[1], line) if s.strip()]
    found = [wanted & stems(sentence) for sentence in sentences]
    counts = Counter(chain(*found))
    near = [fsum(1 / counts[stem] for stem in some) for some in found]
    best = sorted(range(len(sentences)), key=lambda i: (-near[i], i))
    ends = accumulate(len(sentences[i].strip()) + 1 for i in best)
    kept = [i for i, end in zip(best, ends) if end <= room + 1]
    if kept:
        return " ".join(sentences[i].strip() for i in kept)
    return sentences[best[0]][:room - len(CUT)].rsplit(" ", 1)[0] + CUT


def stems(text):
    """The beginnings of the words that tell something: "birthday" is near "birthplace"."""
    return {word[:STEM].lower() for word in split(text) if word.lower() not in STOP}


def render(found, budget, query):
    """Return passages as a model reads them, plain text of at most `budget` characters: each with
    its number and address, whole if an equal share of what is left has room for it, else those
    sentences that fit and are nearest to the query."""
    if not found:
        return "No page was found."[:budget]
    text = ""
    for i, (url, title, part, _) in enumerate(found, 1):
        block = f"{text and BETWEEN}[{i}] {' '.join(url.split())}\n{title}\n"
        room = (budget - len(text)) // (len(found) + 1 - i) - len(block)
        if room <= len(CUT):
            break
        text += block + extract(part.removeprefix(f"{title}\n").strip(), query, room)
    return text
