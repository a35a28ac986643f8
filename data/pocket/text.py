"""The prose of the pocket world: reads the wordings and tables in data/pocket/text, whose README.md
says how they are written.

CHAT_WORDINGS=5 in the environment keeps of each relation (relations.txt) the first 5 wordings of a
section; not of [exam], so that a model is asked the same. It asks how many wordings are enough.
"""

import functools
import os
import re
from pathlib import Path
from typing import NamedTuple

from csrc.files import ChatError

FOLDER = Path(__file__).parent / "text"
TOKEN = re.compile(r"\[|\]|\||\{[^}]*\}|[^\[\]|{}]+")
BLOCK = re.compile(r"== (.+) ==")
SECTION = re.compile(r"\[([a-z][\w -]*)\]")


class Asking(NamedTuple):
    """How users ask for a relation: templates."""
    names: str          # "[birthplace|native town]"
    clauses: str        # "where {n} was born"
    questions: str      # "Where was {n} born?"
    answer: str         # "The birthplace of {n} is {p.town}."


# ----------------------------------------------------------------------------------------- tables

def lines(file: str, block: str, section: str = "") -> list:
    """The entries of a section of text/FILE.txt."""
    return load(file)[block][section]


@functools.cache
def words(block: str, section: str = "") -> list:
    """The words of a section of words.txt: blanks separate them."""
    return " ".join(lines("words", block, section)).split()


def table(file: str, block: str, section: str = "") -> list:
    """The entries of a table, as lists of columns."""
    return [[column.strip() for column in line.split(";")] for line in lines(file, block, section)]


def articles(file: str) -> list:
    """[a block's name, *its entries] of each block of a file."""
    return [[block, *sections[""]] for block, sections in load(file).items()]


@functools.cache
def wordings(section: str) -> dict:
    """{kind: {relation: the entries of this section}} of the relations that have it: "tell", how
    pages state it, "ask", how pages ask it, "short", answers that leave out what the question has
    said, "exam", how only exams ask it."""
    most, found = limit() if section != "exam" else 0, {}
    for block, sections in load("relations").items():
        kind, relation = block.split(".")
        if section in sections:
            found.setdefault(kind, {})[relation] = sections[section][:most or None]
    return found


def limit() -> int:
    """How many wordings of a relation are kept; 0: all."""
    most = os.environ.get("CHAT_WORDINGS", "0")
    if not most.isdigit():
        raise ChatError(f"CHAT_WORDINGS is {most!r}, but must be a number; 0 keeps all wordings")
    return int(most)


@functools.cache
def asking() -> dict:
    """{kind: {relation: Asking}}: how users ask, and the sentence that answers."""
    return {kind: {relation: Asking(*(one_of(wordings(section)[kind][relation])
                                      for section in Asking._fields)) for relation in relations}
            for kind, relations in wordings("answer").items()}


def one_of(entries: list) -> str:
    """A template that is one of these."""
    return entries[0] if len(entries) == 1 else f"[{'|'.join(entries)}]"


@functools.cache
def load(name: str) -> dict:
    """{block: {section: [entries]}} of text/NAME.txt."""
    blocks = {}
    for line in (FOLDER / f"{name}.txt").read_text("utf-8").splitlines():
        if not line.strip() or line[0] in "#@":
            continue
        if block := BLOCK.fullmatch(line):
            sections = blocks[block[1]] = {}
            section = ""
        elif found := SECTION.fullmatch(line):
            section = found[1]
        elif line[0] == " ":
            sections[section][-1] += f" {line.strip()}"
        else:
            sections.setdefault(section, []).append(line.rstrip())
    return blocks


@functools.cache
def raw(file: str) -> dict:
    """{block: its text, to the last newline} of text/FILE."""
    _, *parts = re.split(r"(?m)^== (.+) ==\n", (FOLDER / file).read_text("utf-8"))
    return dict(zip(parts[::2], parts[1::2]))


# ------------------------------------------------------------------------------------- templates

@functools.lru_cache(None)
def parse(template: str) -> list:
    """A template as a list of strings, (slot, times) tuples and lists of alternatives, which again
    are such lists. ValueError if its brackets do not match."""
    top = [[]]
    stack = [top]
    for token in TOKEN.findall(template):
        if token == "[":
            stack.append([[]])
        elif token == "|":
            stack[-1].append([])
        elif token == "]" and len(stack) > 1:
            choice = stack.pop()
            stack[-1][-1].append(choice)
        elif token[0] == "{":
            name, _, times = token[1:-1].partition("*")
            span = re.fullmatch(r"(\d+)-(\d+)", name)
            slot = ("number", int(span[1]), int(span[2])) if span else (name, *name.split("."))
            stack[-1][-1].append((slot, int(times or 1)))
        else:
            stack[-1][-1].append(token)
    if len(stack) > 1 or len(top) > 1 or template.count("[") != template.count("]"):
        raise ValueError(f"unbalanced brackets in {template!r}")
    return top[0]


def filled(template: str, slots: dict) -> str:
    """A template with these slots filled in; all else stays, brackets too."""
    return re.sub(r"\{(\w+)\}", lambda slot: str(slots.get(slot[1], slot[0])), template)


def plain(words: str) -> str:
    """The words of a text or a wording, in small letters; "{" for each slot."""
    return " ".join(re.findall(r"\{|\w+", re.sub(r"\{[^}]*\}", "{", words.lower())))
