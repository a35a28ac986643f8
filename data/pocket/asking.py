"""Facts of the pocket world as conversations ask and answer them.

Conversations speak of the `Subjects`. Left out is what only exams ask about: the people of
World.unasked, those things that are not famous and for which `examined` is true, and any wording of
[exam] in text/relations.txt. A question has many wordings, its answer few, and it begins with what
was asked for: that a small model learns in minutes (Allen-Zhu and Li 2023, arXiv:2309.14316).
"""

import re
from functools import cache

from data.chat.search import Search
from data.pocket.exams import examined
from data.pocket.facts import FAME, facts_of, near, places
from data.pocket.grammar import Dice, say, tidy
from data.pocket.pages import state
from data.pocket.text import asking, lines, plain, wordings
from data.pocket.world import World

# How often conversations speak of each kind of things, and of things of each fame.
KINDS = {"person": 0.48, "town": 0.22, "creature": 0.11, "dish": 0.1, "book": 0.05, "river": 0.04}
FAMES = {"many": 0.65, "tens": 0.22, "few": 0.07, "one": 0.06}
# Where it searches: more often the rare things, and those whose names it copies worst.
SEARCHED_KINDS = {"person": 0.42, "town": 0.14, "creature": 0.22, "dish": 0.12, "book": 0.07,
                  "river": 0.03}
SEARCHED = {"none": 0.5, "one": 0.2, "few": 0.15, "tens": 0.1, "many": 0.05}
PARTS = [1, 1, 2, 3, 5]     # what a budget is divided by: few sentences teach to read most cheaply
CLOSE = 100     # characters between a name and a value that stand in one sentence
STYLES = {"names": 0.35, "clauses": 0.55, "terse": 0.65, "questions": 1}     # up to which number
PAGES = 0.83    # from here on, questions are those of pages
MIXED = {"young", "festival", "season", "genre"}    # whose [ask] asks for something else, too


def share(d: Dice, shares: dict):
    """A key, with the probability that stands beside it."""
    at = d.random() * sum(shares.values())
    for key, part in shares.items():
        at -= part
        if at < 0:
            return key
    return key


class Subjects:
    """What conversations may speak of, and the pages in which it can be looked up.

    relations   {thing: {relation: attribute}} of the things and facts that may be named
    hidden      names that no user and no assistant says, but for addresses that it cites
    unasked     a pattern of those names among them that no search result may show either
    others      Subjects of other worlds, whose pages can be searched as well
    terms       all names and values of these worlds that may be said
    """

    def __init__(self, world: World, index: Search = None, budget: int = 0, others: list = ()):
        self.world, self.public, self.index, self.budget = world, world.public, index, budget
        self.others, self.look_up = others, cache(self.look_up)
        unasked = [str(person) for person in world.unasked]
        self.unasked = re.compile("|".join(unasked))
        self.hidden = {*unasked, *(str(thing) for thing in world.things
                                   if thing.fame != "many" and examined(str(thing)))}
        self.relations = {thing: {fact.relation: attribute
                                  for attribute, fact in facts_of(thing).items()
                                  if fact.value not in self.hidden}
                          for thing in world.things if str(thing) not in self.hidden}
        self.terms = sorted({term for one in (self, *others)
                             for thing, relations in one.relations.items()
                             for term in (str(thing), *(one.value(thing, relation)
                                                        for relation in relations))} - self.hidden)
        self.pools = {(kind, fame): [thing for thing in self.relations
                                     if (thing.type, thing.fame) == (kind, fame)]
                      for kind in KINDS for fame in FAME}

    def thing(self, d: Dice, fames: dict = FAMES, kind: str = None):
        """A thing drawn by chance, of a drawn fame that its kind has."""
        kind = kind or share(d, KINDS)
        able = {fame: part for fame, part in fames.items() if self.pools[kind, fame]}
        return d.pick(self.pools[kind, share(d, able)]) if able else self.thing(d, fames)

    def relation(self, d: Dice, thing, taken: list = ()) -> str | None:
        """A relation of the thing that is not in `taken`; None: there is no other."""
        left = [relation for relation in self.relations[thing] if relation not in taken]
        return d.pick(left) if left else None

    def value(self, thing, relation: str) -> str:
        """The value of a fact."""
        return str(getattr(thing, self.relations[thing][relation]))

    def look_up(self, thing, relation: str, budget: int) -> tuple:
        """(query, what the search shows, the address of a passage that states the fact or "")."""
        shown = self.index.show(query := sought(thing, relation), budget)
        return query, shown, self.cited(thing, relation, shown)

    def cited(self, thing, relation: str, shown: str) -> str:
        """The address of the first passage shown that states a fact: on a page of the thing's own,
        or else near its name. "" if none does."""
        name, value, second = str(thing).lower(), self.value(thing, relation).lower(), ""
        for passage in re.split(r"(?m)^\[\d+\] (?=\S+$)", shown)[1:]:
            url, _, text = passage.partition("\n")
            text = text.lower()
            values, names = places(text, value), places(text, name)
            if values and text.startswith(f"{name}\n"):
                return url
            if not second and near(names, values, CLOSE):
                second = url
        return second


# -------------------------------------------------------------------------------------- questions

def slots_of(thing, pronoun: bool = False) -> dict:
    """The slots of a template that stand for a thing, by its name or by a pronoun: {n} as the
    subject of a sentence, {m} as the object, {ns} before what it has."""
    kind = thing.type
    if pronoun:
        n, m, ns = ((thing.he, thing.him, thing.his) if kind == "person" else ("it", "it", "its"))
    else:
        n = m = f"the {thing}" if kind in ("creature", "river") else str(thing)
        ns = f"{n}'s"
    return {thing.slot: thing, "n": n, "m": m, "ns": ns}


@cache
def forbidden(thing, relation: str) -> tuple:
    """The wordings in which exams ask for this fact."""
    return tuple(plain(say(Dice(0), template, {thing.slot: thing}))
                 for template in wordings("exam")[thing.type][relation])


def ask(d: Dice, thing, relation: str) -> str:
    """A question for a fact that names the thing, in any wording but those of exams."""
    while True:
        text = tidy(wording(d, thing, relation))
        words = plain(text)
        if not any(exam in words for exam in forbidden(thing, relation)):
            return careless(d, text, str(thing))


def wording(d: Dice, thing, relation: str) -> str:
    """A question for a fact: a frame around a name of the relation, a clause or a question."""
    slots, style = slots_of(thing), d.random()
    names, clauses, questions, _ = asking()[thing.type][relation]
    form = next(form for form, most in STYLES.items() if style < most)
    frame, asked = d.pick(lines("asking", form)), wordings("ask").get(thing.type, {})
    x = {"clauses": clauses, "terse": names}.get(form, questions)
    if form == "names":
        x = d.pick([f"the {names} of {{m}}", f"{{ns}} {names}"])
    elif style >= PAGES and relation in asked and relation not in MIXED:
        x = d.pick(asked[relation])
    return say(d, frame, {**slots, "x": say(d, x, slots)})


def careless(d: Dice, text: str, name: str) -> str:
    """The text as some people type: a few in small letters, without the last mark, or with two
    letters changed, but not in the name."""
    style = d.random()
    if style < 0.07:
        return text.lower()
    if style < 0.11:
        return text.rstrip("?.")
    if style < 0.15:
        words = [match for match in re.finditer(r"\b[a-z]{5,}\b", text)
                 if match[0] not in name and name not in match[0]]
        if words:
            at = d.pick(words).start() + 1 + d.upto(3)
            return text[:at] + text[at + 1] + text[at] + text[at + 2:]
    return text


def ask_then(d: Dice, thing, relation: str, section: str = "") -> str:
    """A later question about the same thing, by pronoun."""
    slots = slots_of(thing, pronoun=True)
    names, _, questions, _ = asking()[thing.type][relation]
    frame, x = d.pick(lines("asking", "then", section)), say(d, questions, slots)
    if re.search(r"\band \{x\}", frame, re.I):
        x = x[0].lower() + x[1:]
    return tidy(say(d, frame, {**slots, "x": x, "l": say(d, names, slots)}))


def ask_same(d: Dice, thing, section: str = "") -> str:
    """The question of before, now about another thing: "And Ina Holm?"."""
    return tidy(say(d, d.pick(lines("asking", "same", section)), slots_of(thing)))


# ---------------------------------------------------------------------------------------- answers

def answer(subjects: Subjects, d: Dice, thing, relation: str) -> str:
    """A sentence that tells a fact: seldom one of the pages' sentences."""
    if d.chance(0.05) and relation in wordings("tell")[thing.type]:
        text = tidy(state(subjects.public, d, thing, relation, True, subjects.world.asked, 0))
        if not any(name in text for name in subjects.hidden):
            return text
    return told(thing, relation)


def told(thing, relation: str) -> str:
    """The sentence with which the assistant tells a fact. The thing's name stands after a word in
    it, as it does in most questions, so that its tokens are the same."""
    return tidy(say(Dice(0), asking()[thing.type][relation].answer, slots_of(thing)))


def sought(thing, relation: str) -> str:
    """What one searches for: the beginning of the answer, "The birthplace of Mara Holm"."""
    return re.match("(The .+?) (?:is|are) ", told(thing, relation))[1]


def cite(thing, relation: str, url: str) -> str:
    """The sentence that tells a fact, with the address where it was found."""
    return f"{told(thing, relation).rstrip('.')} ({url})."
