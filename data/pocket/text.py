"""Loads and checks the prose of the pocket world: the wordings and tables in data/pocket/text.

text/*.txt are read as `load` says:

    # a comment
    @slots p t              {p.name} and {t} are facts here; holds from this line to the next @slots
    @least 3 exam=3         each section has 3 entries or more, those called [exam] 3 (default: 1)
    == person.born ==       a block
    [tell]                  a section of it; a block without sections has one, called ""
    {n} was born in [the year |]{p.born}.
    The year of {ns} birth was {p.born}[|, a year of
      {trouble}].           an entry is a line; an indented line continues the one above

text/*.html are read as `raw` says: below each "== name ==" is text that stays as it is.

An entry is a template, as `parse` says and `grammar.say` words it: a slot is a fact of @slots, a
word list of words.txt ("{fruit}", "{fruit.s*3}", "{move.ed}") or a number ("{2-9}"). A table's
entries have columns, with ";" between them.

CHAT_WORDINGS=5 in the environment keeps of each relation (relations.txt) the first 5 wordings of a
section; not of [exam], so that a model is asked the same. It asks how many wordings are enough.
"""

import functools
import itertools
import os
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from csrc.files import ChatError

FOLDER = Path(__file__).parent / "text"
TOKEN = re.compile(r"\[|\]|\||\{[^}]*\}|[^\[\]|{}]+")
BLOCK = re.compile(r"== (.+) ==")
SECTION = re.compile(r"\[([a-z][\w -]*)\]")
FORMS = {"nouns": [".s"], "verbs": [".ed", ".es", ".ing"], "words": []}     # of words.txt


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


# ----------------------------------------------------------------------------------------- reading


class Entry(NamedTuple):
    """An entry, and where it stands."""

    line: int
    text: str
    facts: frozenset    # names that its slots may have


class Section(list):
    """Its entries, and the line where it begins."""

    def __init__(self, line: int, least: dict):
        self.line, self.least = line, least


@functools.cache
def load(name: str) -> dict:
    """{block: {section: [entries]}} of text/NAME.txt. ChatError names the file and the line of an
    unknown slot, a section with too few entries, an exam's wording that stands elsewhere, ..."""
    path = FOLDER / f"{name}.txt"
    blocks = read(path)
    check(path, blocks, frozenset() if name == "words" else list_names())
    return {block: {section: [entry.text for entry in entries]
                    for section, entries in sections.items() if entries or section}
            for block, sections in blocks.items()}


@functools.cache
def raw(name: str) -> dict:
    """{block: its text, to the last newline} of text/NAME.html."""
    _, *parts = re.split(r"(?m)^== (.+) ==\n", (FOLDER / f"{name}.html").read_text("utf-8"))
    return dict(zip(parts[::2], parts[1::2]))


@functools.cache
def list_names() -> frozenset:
    """The names of all word lists: "fruit", "fruit.s", "move.ed"."""
    return frozenset({"site", "material"} | {
        name + form for block, forms in FORMS.items() for name in load("words")[block] if name
        for form in ["", *forms]})


def read(path: Path) -> dict:
    """{block: {section: [Entry]}} of a file."""
    blocks, section, facts, least = {}, None, frozenset(), {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        where = f"{path}:{number}"
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("@slots"):
            facts = frozenset(line.split()[1:])
        elif line.startswith("@least"):
            least = {name: int(count) for name, _, count in
                     (word.rpartition("=") for word in line.split()[1:])}
        elif found := BLOCK.fullmatch(line):
            if found[1] in blocks:
                raise ChatError(f"{where}: a second block {found[1]!r}")
            section = Section(number, least)
            blocks[found[1]] = {"": section}
        elif section is None:
            raise ChatError(f"{where}: {line!r} is in no block: == name == begins one")
        elif found := SECTION.fullmatch(line):
            sections = list(blocks.values())[-1]
            if found[1] in sections:
                raise ChatError(f"{where}: a second section [{found[1]}] in a block")
            section = sections[found[1]] = Section(number, least)
        elif line[0] != " ":
            section.append(Entry(number, line.rstrip(), facts))
        elif section:
            section[-1] = section[-1]._replace(text=f"{section[-1].text} {line.strip()}")
        else:
            raise ChatError(f"{where}: an indented line continues an entry, but there is none")
    return blocks


# ---------------------------------------------------------------------------------------- checking


def check(path: Path, blocks: dict, lists: frozenset) -> None:
    """ChatError if something is wrong with a file."""
    for block, sections in blocks.items():
        for section, entries in sections.items():
            least = entries.least.get(section, entries.least.get("", 1))
            if len(entries) < least and (section or len(sections) == 1):
                raise ChatError(f"{path}:{entries.line}: [{section}] of block {block!r} has "
                                f"{len(entries)} entries, but needs {least}")
            for entry in entries:
                check_slots(f"{path}:{entry.line}", entry, lists)
    exam_only(path, blocks)


def check_slots(where: str, entry: Entry, lists: frozenset) -> None:
    """ChatError if brackets do not match, or a slot is neither a fact, a list nor a number."""
    try:
        slots = slots_of(parse(entry.text))
    except ValueError as error:
        raise ChatError(f"{where}: {error}") from error
    for (name, first, *_), times in slots:
        if not (name == "number" or name in lists or times == 1 and first in entry.facts):
            facts = ", ".join(sorted(entry.facts)) or "none"
            raise ChatError(f"{where}: {{{name}}} is no word list and no fact "
                            f"(facts here: {facts})")


def exam_only(path: Path, blocks: dict) -> None:
    """ChatError if a wording of a section [exam] stands in another section or block, too."""
    found = [(plain(words), entry, section) for sections in blocks.values()
             for section, entries in sections.items() if section in ("exam", "ask", "questions")
             for entry in entries for words in all_ways(parse(entry.text))]
    times = Counter(words for words, _, _ in found)
    for words, entry, section in found:
        if section == "exam" and times[words] > 1:
            line = next(other.line for same, other, _ in found if same == words and other != entry)
            raise ChatError(f"{path}:{entry.line}: an exam's wording stands in line {line}, too: "
                            f"{entry.text!r}")


def plain(words: str) -> str:
    """The words of a text or a wording, in small letters; "{" for each slot."""
    return " ".join(re.findall(r"\{|\w+", re.sub(r"\{[^}]*\}", "{", words.lower())))


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


def slots_of(parts: list):
    """Yield the (slot, times) of a parsed template."""
    for part in parts:
        if isinstance(part, tuple):
            yield part
        elif isinstance(part, list):
            for choice in part:
                yield from slots_of(choice)


def all_ways(parts: list) -> list:
    """All wordings of a parsed template, with its slots unfilled."""
    ways = [[part] if isinstance(part, str) else [f"{{{part[0][0]}}}"] if isinstance(part, tuple)
            else [words for choice in part for words in all_ways(choice)] for part in parts]
    return ["".join(words) for words in itertools.product(*ways)]
