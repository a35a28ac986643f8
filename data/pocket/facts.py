"""What is true in the pocket world, who is famous there, and which page states what.

A page is written from slots such as {p.town}, and the dice that wrote it remember each slot that
they filled in (`Dice.told`). A page *states* a fact if it filled in a slot that says it and names
the subject in full at most `NEAR` characters away. So the facts of a page are known exactly without
a word of mark-up in its sentences, and "how well is a fact remembered that N pages state?" is a
question with an answer.
"""
import functools
import re
from typing import Iterable, NamedTuple

from data.pocket.grammar import Dice
from data.pocket.text import wordings

# How many pages of a corpus of 8 MB or more name a thing. Only the first class grows with the size.
FAME = {"many": (100, None), "tens": (10, 99), "few": (2, 9), "one": (1, 1), "none": (0, 0)}
# How many things of each kind are in each class. Rivers are all of the first one.
CLASSES = {"person": (30, 80, 80, 60, 80), "town": (18, 16, 16, 12, 12),
           "creature": (8, 20, 16, 12, 12), "book": (10, 20, 20, 14, 14),
           "dish": (10, 16, 14, 12, 12)}
# The least and the most pages of its own that a thing of these classes gets. Pages about its family
# name a person too, so the sums stay well inside the class.
PAGES = {"tens": (11, 17), "few": (2, 3), "one": (1, 1), "none": (0, 0)}
SPAN = 5000     # these pages are among the first SPAN ones, which any corpus of 8 MB holds
ALONE = 0.4     # of them are about one thing, the others about ...
GROUP = 4       # this many
NEAR = 300      # characters

# Slots that state more than the fact of their own name: (thing, attribute) of the same fact.
ALSO = {"years": lambda p: [(p, "born"), (p, "died")], "spouse": lambda p: [(p.spouse, "spouse")],
        "wedding": lambda p: [(p.spouse, "wedding")], "book": lambda p: [(p.book, "author")]}


class Fact(NamedTuple):
    """What is true of a thing of the world, by a relation."""

    id: str         # "Mara Holm: born"
    kind: str       # of the subject: "person"
    subject: str    # its name
    relation: str   # "born"
    value: str      # "1873"
    fame: str       # of the subject: how many pages name it, a key of FAME


@functools.cache
def relations() -> dict:
    """{type: {relation: what it is in the world, an attribute of things of this type}}: the last
    slot of the sentence that answers."""
    return {type: {relation: re.findall(r"\.(\w+)\}", sentence)[-1]
                   for relation, (sentence, *_) in some.items()}
            for type, some in wordings("answer").items()}


def facts_of(thing) -> dict:
    """{attribute: Fact} of a thing of the world, without what it does not have (a spouse, ...)."""
    return {attribute: Fact(f"{thing}: {relation}", thing.type, str(thing), relation, str(value),
                            thing.fame)
            for relation, attribute in relations()[thing.type].items()
            if (value := getattr(thing, attribute)) is not None}


def agenda(dice: Dice, things: Iterable) -> dict:
    """{index of a page: the things it is about}: the pages of all that is not told freely."""
    alone, shared, groups = [], [], []
    for thing in things:
        for _ in range(dice.between(*PAGES[thing.fame])):
            (alone if dice.chance(ALONE) else shared).append(thing)
    for thing in dice.some(shared, len(shared)):
        group = next((g for g in groups[-8:] if len(g) < GROUP and thing not in g), None)
        if group is None:
            groups.append([thing])
        else:
            group.append(thing)
    pages = [[thing] for thing in alone] + groups
    return dict(zip(dice.some(range(SPAN), len(pages)), pages))


class Ledger:
    """All facts of a world, and which of them a page states."""

    def __init__(self, things: Iterable):
        by_slot = {(thing, attribute): [fact] for thing in things
                   for attribute, fact in facts_of(thing).items()}
        self.facts = [fact for [fact] in by_slot.values()]
        self.by_slot = {slot: list(facts) for slot, facts in by_slot.items()}
        for thing in dict.fromkeys(thing for thing, _ in by_slot):
            for attribute, others in ALSO.items():
                if getattr(thing, attribute, None) is not None:
                    slot = (thing, attribute)
                    self.by_slot[slot] = by_slot.get(slot, []) + [
                        fact for other in others(thing) for fact in by_slot.get(other, [])]

    def stated(self, text: str, told: Iterable) -> list:
        """The ids of the facts that a page states, in the order in which it fills them in.

        text    the page
        told    the (thing, attribute) slots filled in while it was written
        """
        text = text.lower()
        found = functools.lru_cache(None)(lambda words: places(text, words.lower()))
        ids = {}
        for slot in told:
            for fact in self.by_slot.get(slot, ()):
                if fact.id not in ids and near(found(fact.subject), found(fact.value)):
                    ids[fact.id] = True
        return list(ids)


def places(text: str, words: str) -> list:
    """The spans where these words stand in a text, not as parts of longer words."""
    spans, start = [], text.find(words)
    while start >= 0:
        end = start + len(words)
        if not (text[start - 1:start].isalnum() or text[end:end + 1].isalnum()):
            spans.append((start, end))
        start = text.find(words, end)
    return spans


def near(subjects: list, values: list, most: int = NEAR) -> bool:
    """Whether some two of these spans are apart, by at most so many characters."""
    return any(0 <= max(a - d, c - b) <= most for a, b in subjects for c, d in values)
