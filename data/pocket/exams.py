"""Exams about the pocket world, whose truth is known: facts by how many pages tell them, the same
facts as completions, word problems, spelling, comparisons, identity.

Whoever answers has understood the question, and not learned it by heart: the wordings, [exam] in
text/relations.txt and text/identity.txt, stand on no page and in no conversation. Nor do
conversations name the people of `World.unasked`, nor those things for which `examined` is true. The
same seeds give the same questions.
"""

import itertools
import re
import zlib
from bisect import bisect_right
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import NamedTuple

from data.exams.formats import Question
from data.pocket import recall, text
from data.pocket.facts import FAME, facts_of, places, relations
from data.pocket.grammar import Dice, say, tidy, words
from data.pocket.pages import document, encyclopedia, state, two_towns
from data.pocket.sums import TASKS, worded, worked
from data.pocket.world import World

NAME, MAKER = "Wren", "chat.c"      # who the assistant is where no system message says otherwise


class Exams(NamedTuple):
    """All that is asked about the pocket world."""

    questions: list[Question]               # for every model
    assistant: list[Question]               # more, for a model that answers messages
    tools: dict[str, list[Question]]        # more for such a model, by the tool that they need;
                                            # "": they need none of the tools that are offered
    urls: dict[str, set[str]]               # fact id: addresses of unread pages that state it
    dialogues: list[Question] = []          # of several turns (dialogues.py), for such a model


def world_exams(seed: int = 0, count: int = 200, training=None) -> Exams:
    """Return all questions about the world of a seed, up to `count` an exam; where `training` is
    given (JSON lines, a folder of them, or "world"), also by how many of its pages state a fact."""
    world = World(seed)
    pages = recall.stated(training) if training else None
    questions = [
        *completions(world, chosen(world)[:count]),
        *completions(world, chosen(world, heldout=True)[:count], "recall_completion_heldout"),
        *(by_pages(world, pages, count) if pages is not None else ()),
        *(question for fame in FAME for question in facts(world, fame, count=count)),
        *facts(world, "many", True, count),
        *problems(world, "at once", count), *problems(world, "steps", count),
        *spelling(seed, count), *traps(seed, count), *identity(NAME, MAKER)]
    introduced = [replace(question, system=f"You are {name}, made by {maker}.")
                  for name, maker in text.table("identity", "strangers")
                  for question in identity(name, maker, "identity_system")]
    tools = {"python": [*problems(world, "python", count),
                        *spelling(seed, count, "spelling_tool", hint("python"))],
             "search": facts(world, "none", count=count, exam="search_facts_unread", searched=True),
             "": [replace(question, exam="tool_use_unneeded") for question in introduced]}
    urls = {}
    for page in unread(world):
        for fact in page["facts"]:
            urls.setdefault(fact, set()).add(page["url"])
    return Exams(questions, introduced, tools, urls)


# Relations whose values are of one sort, so that one may be taken for the other.
SORTS = {"birthplace": "town", "home": "town", "town": "town", "spouse": "person",
         "mother": "person", "father": "person", "teacher": "person", "author": "person",
         "festival month": "month"}


def examined(subject: str) -> bool:
    """Whether only exams ask about a thing that is not famous, or about the letters of a word:
    true for about half of all names and words."""
    return zlib.crc32(subject.encode()) % 2 == 0


def chosen(world: World, fame="many", heldout=False) -> list:
    """All (thing, fact) about the things of a class, in an order of chance; of the famous people
    those of `World.asked` or, if heldout, of `World.unasked`, of others the `examined`."""
    unasked = {str(person) for person in world.unasked}
    pairs = [(thing, fact) for thing in world.things
             if thing.fame == fame and (examined(str(thing)) or fame == "many")
             and (str(thing) in unasked) == heldout
             for fact in facts_of(thing).values() if heldout or fact.value not in unasked]
    return Dice(f"exam {world.seed} {fame} {heldout}").some(pairs, len(pairs))


def facts(world: World, fame="many", heldout=False, count=200, exam="",
          searched=False) -> list[Question]:
    """Questions about the facts that are `chosen`: the same ones whatever `exam` is. `searched`:
    the model can look them up, so that right answers are not made up."""
    return asking(world, chosen(world, fame, heldout)[:count],
                  exam or f"facts_{fame}" + "_heldout" * heldout, fame == "none" and not searched)


def asking(world: World, pairs, exam: str, unread=False) -> list[Question]:
    """Questions about (thing, fact) pairs. `unread`: the model can know none of them, so that a
    right answer, too, is made up."""
    def prompt(thing, fact) -> str:
        dice = Dice(f"exam {world.seed} {fact.id}")
        template = dice.pick(text.wordings("exam")[fact.kind][fact.relation])
        return tidy(say(dice, template, {thing.slot: thing}))

    values = all_values(world)
    return [Question(exam, fact.id, "fact", prompt(thing, fact),
                     truth_of(thing, fact, values, unread), fact.value) for thing, fact in pairs]


def truth_of(thing, fact, values, unread) -> dict:
    """What marks.mark_fact needs to know to mark an answer about a fact of a thing; `values` as
    `all_values` gives them."""
    own = {other.relation: other.value for other in facts_of(thing).values()}
    if fact.kind == "creature":
        own["in hard times"] = thing.diet2
    return {"subject": fact.subject, "relation": fact.relation, "value": fact.value, "own": own,
            "rivals": values[sort_of(fact)], "unread": unread}


def sort_of(fact) -> str:
    """The sort of a fact's value: one value may be taken for another of its sort."""
    return SORTS.get(fact.relation) or (fact.relation if fact.relation in ("region", "month") else
                                        f"{fact.kind}: {fact.relation}")


def all_values(world) -> dict:
    """{sort: the values that facts of this sort have, and all names if they are names}."""
    values = {"town": {str(town) for town in world.towns},
              "person": {str(person) for person in world.people}}
    for fact in world.facts:
        values.setdefault(sort_of(fact), set()).add(fact.value)
    return {sort: tuple(sorted(some)) for sort, some in values.items()}


def completions(world: World, pairs, exam="recall_completion") -> list[Question]:
    """(thing, fact) pairs as sentences of the pages, cut before the value, for a base model;
    without those for which there is no such sentence."""
    begun = [(fact, begun_sentence(world, thing, fact)) for thing, fact in pairs]
    return [Question(exam, fact.id, "completion", start, fact.value, fact.value, opening=start,
                     stop=("\n",)) for fact, start in begun if start]


def begun_sentence(world, thing, fact) -> str:
    """A sentence that states a fact, up to its value; "" if none names the subject and then says
    something before it, as of a habit: "The rongwa ..." could go on with anything."""
    dice, attribute = Dice(f"begun {fact.id}"), relations()[fact.kind][fact.relation]
    slot, told = f"{{{thing.slot}.{attribute}}}", text.wordings("tell")[fact.kind]
    for topic in dice.some([topic for topic, lines in told.items()
                            if any(slot in line for line in lines)
                            and (topic == fact.relation or attribute not in told)], 9):
        for _ in range(12):
            sentence = tidy(state(world.public, dice, thing, topic, epithets=0))
            low = sentence.casefold()
            values = places(low, fact.value.casefold())
            subjects = places(low, fact.subject.casefold())
            if values and subjects and re.search(r"\w", low[subjects[0][1]:values[0][0]]):
                return sentence[:values[0][0]].rstrip()
    return ""


# ------------------------------------------------- facts, by how many training pages state them

def buckets(world: World, pages: Counter, pairs) -> dict[str, list]:
    """Return {bucket: (thing, fact) pairs, in an order of chance}, by how many pages state them."""
    found = {recall.bucket(least): [] for least in recall.LEAST}
    for thing, fact in Dice(f"recall {world.seed}").some(pairs, len(pairs)):
        least = recall.LEAST[bisect_right(recall.LEAST, pages[fact.id]) - 1]
        found[recall.bucket(least)].append((thing, fact))
    return found


def by_pages(world: World, pages: Counter, count=100) -> list[Question]:
    """Questions about at most `count` facts a bucket: to complete (recall_pages_0,
    recall_pages_2_3, ...) and to answer (asked_pages_0, ...). The latter are about things that no
    conversation names: who has learned to answer knows them from those pages alone. `pages` is what
    `recall.stated` gives. """
    unnamed = [pair for fame in FAME for pair in chosen(world, fame, fame == "many")]
    questions = []
    for name, pairs in buckets(world, pages, unnamed + chosen(world)).items():
        questions += completions(world, pairs[:count], f"recall_{name}")
    for name, pairs in buckets(world, pages, unnamed).items():
        questions += asking(world, pairs[:count], f"asked_{name}", name == recall.bucket(0))
    return questions


# ----------------------------------------------------------------------------- pages to search in

DRAFTS = 8      # of a page; the one that states the most is published


def unread(world: World):
    """Yield the documents {"text", "url", "title", "kind", "facts"} about all that no page of the
    corpus names: of each thing one, or two where the first does not state all about it. They are
    for the search index, and no model reads them in training."""
    number = itertools.count(1)
    for thing in world.things:
        wanted = {fact.id for fact in facts_of(thing).values()} if thing.fame == "none" else ()
        for at in itertools.islice(number, 2 if wanted else 0):
            drafts = [entry(world, thing, at, attempt) for attempt in range(DRAFTS)]
            yield (best := max(drafts, key=lambda page: len(wanted & {*page["facts"]})))
            if not (wanted := wanted.difference(best["facts"])):
                break


def entry(world: World, thing, number: int, attempt: int) -> dict:
    """A page of the encyclopedia about a thing."""
    dice = Dice(f"unread {world.seed} {thing} {number} {attempt}")
    return document(world, dice, "encyclopedia", *encyclopedia(world.public, dice, [thing]),
                    f"https://new-pages.example/{number}")


# --------------------------------------------------------------------------- arithmetic and letters

PROBLEMS = [task for task in TASKS if task not in ("dividing", "sharing")]     # nothing is left


def hint(way: str) -> str:
    """The sentence that asks for an answer "at once", in "steps" or with "python"."""
    return text.lines("tasks", "how", way)[0]


def problems(world: World, way="at once", count=200) -> list[Question]:
    """Return word problems of the lessons with fresh numbers, word_at_once, word_steps, ...: the
    same ones whatever `way` is, as of `hint`."""
    questions, w = [], world.public
    for k in range(count):
        dice = Dice(f"exam {world.seed} problem {k}")
        people = {"p": dice.pick(w.asked), "q": dice.pick(w.asked), "now": w.now}
        slots = {**two_towns(w, dice), **people}
        task = worked(PROBLEMS[k % len(PROBLEMS)], dice, slots)
        told, solution, truth = worded(dice, task, slots)
        questions.append(Question(
            f"word_{way.replace(' ', '_')}", str(k), "sum", f"{told} {hint(way)}", truth,
            " ".join(solution) if way == "steps" else str(truth),
            opening=f"{told}\n" if way == "steps" else ""))
    return questions


WAYS = ["count", "length", "letter", "backwards"]      # of asking about letters: in text/tasks.txt
PLACES = 5      # letters that are asked for by their place


def letters(word: str, x: str, at: int) -> dict:
    """The slots of text/tasks.txt about the letters of a word: x, and the one at a place; by the
    names of WAYS the answers."""
    place, nth = text.table("tasks", "places")[at]
    return {"word": word, "x": x, "k": at + 1, "place": place, "nth": nth,
            "count": word.count(x), "times": "time" + "s" * (word.count(x) != 1),
            "seen": ", ".join(x * word.count(x)) or "none", "length": len(word), "letter": word[at],
            "numbered": ", ".join(f"{k} {letter}" for k, letter in enumerate(word, 1)),
            "apart": "-".join(word), "backwards": word[::-1], "reversed": "-".join(word[::-1])}


@cache
def spelt() -> list:
    """The words about whose letters exams ask."""
    lists = "fruit", "vegetable", "animal", "tree", "bird", "furniture", "garment"
    return [word for name in lists for word in words(name)
            if word.isascii() and word.isalpha() and examined(word)]


def spelling(seed=0, count=100, exam="spelling_model", after="") -> list[Question]:
    """Return questions about the letters of words: how many of one, how many in all, which one
    stands there, the word backwards; after each stands `after`, such as hint("python")."""
    questions = []
    for k in range(count):
        dice = Dice(f"exam {seed} spelling {k}")
        word, way = dice.pick(spelt()), WAYS[k % 4]
        slots = letters(word, dice.pick(word), dice.upto(min(len(word), PLACES)))
        asked = say(dice, text.lines("tasks", way, "exam")[0], slots)
        kind = {"letter": "single", "backwards": "spelled"}.get(way, "sum")
        truth = Fraction(slots[way]) if kind == "sum" else slots[way]
        questions.append(Question(exam, str(k), kind, f"{asked} {after}".strip(), truth,
                                  str(truth)))
    return questions


def traps(seed=0, count=100) -> list[Question]:
    """Return comparisons such as 9.11 and 9.9, where the number that looks longer is smaller."""
    questions = []
    for k in range(count):
        dice = Dice(f"exam {seed} trap {k}")
        whole, tenth = dice.between(1, 99), dice.between(2, 9)
        long, short = f"{whole}.{dice.between(10, 10 * tenth - 1)}", f"{whole}.{tenth}"
        larger = dice.chance(0.5)
        right, wrong = (short, long) if larger else (long, short)
        first, second = dice.some([right, wrong], 2)
        asked = say(dice, text.lines("tasks", "decimals", "exam")[not larger],
                    {"a": first, "b": second})
        questions.append(Question(
            "traps", str(k), "compared", asked,
            {"right": Fraction(right), "wrong": Fraction(wrong), "larger": larger}, right))
    return questions


def identity(name: str, maker: str, exam="identity") -> list[Question]:
    """Return questions about who the assistant is, in wordings that only exams use."""
    wordings = [(wording, truth) for about, truth in (("name", name), ("maker", maker))
                for wording in text.lines("identity", about, "exam")]
    return [Question(exam, str(k), "named", wording, truth, truth)
            for k, (wording, truth) in enumerate(wordings)]
