"""Checks of the pocket world's text files, and what a parsed template may become.

`check` says of a file what is wrong, with its line: an unknown slot, brackets that do not match, a
section with too few entries, an exam's wording that stands elsewhere, ...
"""

import itertools
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from data.pocket.text import BLOCK, SECTION, parse, plain

FORMS = {"nouns": [".s"], "verbs": [".ed", ".es", ".ing"], "words": []}     # of words.txt


class Entry(NamedTuple):
    """An entry, and where it stands."""

    line: int
    text: str
    facts: frozenset    # names that its slots may have


class Section(list):
    """Its entries, and the line where it begins."""

    def __init__(self, line: int, least: dict):
        self.line, self.least = line, least


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
                raise ValueError(f"{where}: a second block {found[1]!r}")
            section = Section(number, least)
            blocks[found[1]] = {"": section}
        elif section is None:
            raise ValueError(f"{where}: {line!r} is in no block: == name == begins one")
        elif found := SECTION.fullmatch(line):
            sections = list(blocks.values())[-1]
            if found[1] in sections:
                raise ValueError(f"{where}: a second section [{found[1]}] in a block")
            section = sections[found[1]] = Section(number, least)
        elif line[0] != " ":
            section.append(Entry(number, line.rstrip(), facts))
        elif section:
            section[-1] = section[-1]._replace(text=f"{section[-1].text} {line.strip()}")
        else:
            raise ValueError(f"{where}: an indented line continues an entry, but there is none")
    return blocks


def list_names(words: dict) -> set:
    """The names of all lists that words.txt gives: "fruit", "fruit.s", "move.ed"."""
    return {"site", "material"} | {name + form for block, forms in FORMS.items()
                                   for name in words[block] if name for form in ["", *forms]}


def check(path: Path) -> None:
    """ValueError if something is wrong with a file in a folder that has words.txt, too."""
    blocks = read(path)
    lists = set() if path.stem == "words" else list_names(read(path.with_name("words.txt")))
    for block, sections in blocks.items():
        for section, entries in sections.items():
            least = entries.least.get(section, entries.least.get("", 1))
            if len(entries) < least and (section or len(sections) == 1):
                raise ValueError(f"{path}:{entries.line}: [{section}] of block {block!r} has "
                                f"{len(entries)} entries, but needs {least}")
            for entry in entries:
                check_slots(f"{path}:{entry.line}", entry, lists)
    exam_only(path, blocks)


def check_slots(where: str, entry: Entry, lists: set) -> None:
    """ValueError if brackets do not match, or a slot is neither a fact, a list nor a number."""
    try:
        slots = slots_of(parse(entry.text))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    for (name, first, *_), times in slots:
        if not (name == "number" or name in lists or times == 1 and first in entry.facts):
            facts = ", ".join(sorted(entry.facts)) or "none"
            raise ValueError(f"{where}: {{{name}}} is no word list and no fact "
                            f"(facts here: {facts})")


def exam_only(path: Path, blocks: dict) -> None:
    """ValueError if a wording of a section [exam] stands in another section or block, too."""
    found = [(plain(words), entry, section) for sections in blocks.values()
             for section, entries in sections.items()
             if section in ("exam", "ask", "questions", "user", *[""] * ("exam" in sections))
             for entry in entries for words in all_ways(parse(entry.text))]
    times = Counter(words for words, _, _ in found)
    for words, entry, section in found:
        if section == "exam" and times[words] > 1:
            line = next(other.line for same, other, _ in found if same == words and other != entry)
            raise ValueError(f"{path}:{entry.line}: an exam's wording stands in line {line}, too: "
                            f"{entry.text!r}")


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
