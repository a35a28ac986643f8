"""Documents: the texts to learn from, read out of files of many kinds.

Text files hold one each, or several between lines that are just <|endoftext|>; JSON lines, or the
objects of an array, have a "text" each (.jsonl, .json); either may be a .gz; Parquet has a column
"text" (.parquet). A source is a file, a folder of these, or "world", the embedded corpus. Long
documents come in pieces of about a megabyte, so that memory stays small on any input.
"""

import codecs
import importlib
import re
import sys
from functools import cache
from itertools import chain, repeat

from csrc.files import ChatError, open_input, records
from csrc.remote import local
from data.tokens.parquet import rows

WORLD = "world"         # the source that needs no file
JSON_LINES = (".jsonl", ".json", ".jsonl.gz", ".json.gz")
DOCUMENTS = (".txt", ".txt.gz", ".jsonl", ".jsonl.gz", ".json.gz", ".parquet")  # in folders
WARC = (".warc", ".warc.gz", ".wet", ".wet.gz")
PIECE = 1 << 20        # bytes read at a time, and about the length of a piece of a long document
LONGEST = 16 << 20     # characters: where this many offer no place to cut, we cut anyway

SEPARATOR = re.compile(r"^<\|endoftext\|>\r?(?:\n|\Z)", re.MULTILINE)
# Up to the last newline with a non-blank after it. In learn.PATTERN (and GPT-4's, Llama 3's) a
# chunk never goes on after a newline but with blanks, so one ends there. And it ends there whether
# or not the rest is in sight: the newlines after punctuation and `\s*[\r\n]+` do not look ahead,
# and come before `\s+(?!\S)`, which does. So the pieces have the tokens of the whole. (With GPT-2's
# pattern blank lines just before such a cut, with GPT-4o's "!\n/", may be grouped in another way,
# once a megabyte.)
CUT = re.compile(r".*\n(?=\S)", re.DOTALL)


def find_files(sources, endings=DOCUMENTS):
    """Return the files (Path) that `sources` stand for: files as they are, of folders those with
    one of the `endings`, sorted; copies of what is at addresses; among documents, of "world" those
    of the embedded corpus. ChatError if a folder has none, FileNotFoundError."""
    found = []
    for path in (local(source, endings) for source in sources):
        if str(path) == WORLD and endings == DOCUMENTS:
            found += sorted(embedded("documents").glob("documents-*"))
        elif path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.is_file())
            readable = [file for file in inside if file.name.lower().endswith(endings)]
            if not readable:
                raise ChatError(f"{path}: none of {len(inside)} files is {', '.join(endings)}")
            if len(readable) < len(inside):
                tell(f"{path}: {len(inside) - len(readable)} other files skipped")
            found += readable
        elif path.exists():
            found.append(path)
        else:
            raise FileNotFoundError(f"{path}: no such file or folder")
    return found


@cache
def tell(sentence):
    """Print it to stderr, once however often it is told."""
    print(sentence, file=sys.stderr)


def embedded(what):
    """Return a folder of the embedded corpus, made if it is not there: "documents", or its
    "conversations". The pocket world is looked up here, when it is asked for, and nowhere else."""
    return getattr(importlib.import_module("data.pocket.corpus"), what)()


def is_held(index, fraction):
    """Whether document `index`, from 0, is held out: every (1 / fraction)-th is."""
    return int((index + 1) * fraction) > int(index * fraction)


def documents(*sources):
    """Yield each document (str) of `sources`: files, folders or "world".

    OSError or ChatError names the file, and the line or the byte, that cannot be read.
    """
    for file in find_files(sources):
        parts = []
        for begins, text in pieces(file):
            if begins and parts:
                yield "".join(parts)
                parts = []
            parts.append(text)
        yield "".join(parts)


def pieces(file):
    """Yield (begins, text): documents in pieces; `begins` is True on the first of a document."""
    empty = True
    read = json_pieces if file.name.endswith(JSON_LINES) else text_pieces
    for piece in zip(repeat(True), rows(file)) if file.suffix == ".parquet" else read(file):
        empty = False
        yield piece
    if empty:
        raise ChatError(f"{file}: empty, there is no document in it")


def json_pieces(file):
    """Yield (True, text) for each object of a file of JSON."""
    for number, record in records(file):
        if not isinstance(record, dict) or not isinstance(record.get("text"), str):
            raise ChatError(f'{file}:{number}: not an object whose "text" is a string')
        if record["text"]:
            yield True, record["text"]


def text_pieces(file):
    """Yield (begins, text) of a text file, cut where CUT says or, failing that, at LONGEST."""
    begins, rest = True, ""
    for block in chain(read_text(file), [""]):
        rest += block
        cut = len(rest)
        if block and cut < LONGEST:  # more is to come: leave the last lines for the next turn
            match = CUT.match(rest)
            cut = match.end() if match else 0
        for i, text in enumerate(SEPARATOR.split(rest[:cut])):
            begins = begins or i > 0
            if text:
                yield begins, text
                begins = False
        rest = rest[cut:]


def read_text(file):
    """Yield a file's text, decoded, about PIECE at a time; ChatError names the first bad byte."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset, data = 0, True
    with open_input(file) as stream:
        while data:
            data = stream.read(PIECE)
            if (zero := data.find(0)) >= 0:
                raise ChatError(f"{file}: not a text file, byte {offset + zero} is zero")
            begun = len(decoder.getstate()[0])  # bytes of a character left over from the last turn
            try:
                text = decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                at = offset - begun + error.start
                raise ChatError(f"{file}: not UTF-8 at byte {at} ({error.reason})") from error
            if text := text if offset else text.removeprefix("\ufeff"):
                yield text
            offset += len(data)
