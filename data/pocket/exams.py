"""Exams about the pocket world, whose truth is known: facts by how many pages tell them, the same
facts as completions, word problems, spelling, comparisons, identity.

`EXAM_ONLY` are wordings of questions that stand on no page (data/world_questions.py) and must stand
in no conversation either: whoever answers them has understood the question, and not learned it by
heart. Nor do conversations name the people of `World.unasked`, nor those things for which
`examined` is true, about which only this file asks. The same seeds give the same questions.
"""

import re
import zlib
from bisect import bisect_right
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

from data.exams.formats import Question
from data.pocket import recall
from data.pocket.facts import FAME, RELATIONS, facts_of, places
from data.pocket.grammar import LISTS, Dice, say, tidy
from data.pocket.pages import SLOT, encyclopedia, state, two_towns
from data.pocket.sums import (adding, ages, area, average, multiplying, parts, pattern, shopping,
                              subtracting, walking)
from data.pocket.tellings import TELL, topics
from data.pocket.world import World

NAME, MAKER = "Wren", "chat.c"      # who the assistant is where no system message says otherwise
# Whom a system message makes of the assistant: names that stand in no page and no conversation.
STRANGERS = [("Quillon", "Ferrowick Works"), ("Tansy", "Brightmoor Labs"),
             ("Obrecht", "Saltmarsh Computing"), ("Marchetta", "Ostler and Daughters"),
             ("Vexley", "Nine Oaks Institute"), ("Pomona", "Harbourlight"),
             ("Zebulon", "Tinderbox Systems"), ("Ottoline", "Greywater College"),
             ("Faraday", "Copperfield Machines"), ("Isolde", "Northgate Research")]


class Exams(NamedTuple):
    """All that is asked about the pocket world.

    questions  for every model
    assistant  more questions, for a model that answers messages
    tools      {tool: questions for such a model that need this tool}; under "" are questions that
               need no tool, to see whether a model that is offered tools calls one for nothing
    urls       {fact id: addresses of the pages that state it}: what an answer may cite. Of pages
               that no model has read in training (`unread`)
    """

    questions: list[Question]
    assistant: list[Question]
    tools: dict[str, list[Question]]
    urls: dict[str, set[str]]


def world_exams(seed: int = 0, count: int = 200, training=None) -> Exams:
    """Return all questions about a world, up to `count` an exam.

    seed      of the world
    training  a file or folder of JSON lines, or "world": the documents that the models were trained
              on. Then facts are also asked by how many of these pages state them
    """
    world = World(seed)
    pages = recall.stated(training) if training else None
    questions = [
        *completions(world, count=count),
        *completions(world, heldout=True, count=count, exam="recall_completion_heldout"),
        *(by_pages(world, pages, count) if pages is not None else ()),
        *(question for fame in FAME for question in facts(world, fame, count=count)),
        *facts(world, "many", True, count),
        *problems(world, "at_once", count), *problems(world, "steps", count),
        *spelling(seed, count), *traps(seed, count), *identity(NAME, MAKER)]
    introduced = [replace(question, system=f"You are {name}, made by {maker}.")
                  for name, maker in STRANGERS
                  for question in identity(name, maker, "identity_system")]
    tools = {"python": [*problems(world, "python", count),
                        *spelling(seed, count, "spelling_tool", HOW["python"])],
             "search": facts(world, "none", count=count, exam="search_facts_unread", searched=True),
             "": [replace(question, exam="tool_use_unneeded") for question in introduced]}
    urls = {}
    for page in unread(world):
        for fact in page["facts"]:
            urls.setdefault(fact, set()).add(page["url"])
    return Exams(questions, introduced, tools, urls)


EXAM_ONLY = {"person": topics("""
= birthplace
Name the town in which {p} was born.
I am looking for the birthplace of {p}. Which town is it?
Tell me the town of birth of {p}.
= born
Name the year in which {p} was born.
I need the birth year of {p}, please.
How far back was {p} born? Give the year.
= died
Name the year in which {p} died.
I need the year of death of {p}, please.
How long did {p} live? Give the year of death.
= trade
Name the trade of {p}.
What job did {p} have?
Tell me how {p} made money.
= home
Name the town in which {p} lived.
In which town would I have found {p} at work?
Tell me the home town of {p}, where {p.he} worked.
= spouse
Name the {p.partner} of {p}.
{p} had a {p.partner}. Tell me the name.
With whom did {p} stand at the altar?
= wedding
Name the year in which {p} married.
I need the year of the wedding of {p}, please.
How long ago did {p} marry? Give the year.
= mother
Name the mother of {p}.
I would like to know who gave birth to {p}.
Tell me the name of {p}'s mother.
= father
Name the father of {p}.
I would like to know whose {p.child} {p} was. Name the father.
Tell me the name of {p}'s father.
= teacher
Name the teacher of {p}.
Tell me who trained {p}.
I would like to know with which master {p} was an apprentice.
= hobby
Name the hobby of {p}.
What would one see {p} do for fun?
Tell me what {p} liked to do when there was no work.
= dish
Name the favourite dish of {p}.
What should I cook if {p} came to dinner?
Tell me which meal {p} liked above all.
"""), "town": topics("""
= region
Name the region of {t}.
I want to travel to {t}. To which region must I go?
Tell me the region that {t} is part of.
= river
Name the river at {t}.
A boat comes to {t}. Which river is it on?
Tell me which river runs by {t}.
= founded
Name the year in which {t} was founded.
I need the founding year of {t}, please.
How far back does {t} go? Give the year.
= population
Give the number of people in {t}.
I need the number of inhabitants of {t}, please.
Tell me how many live in {t}.
= product
Name the product of {t}.
Something from {t} as a present: what would it be?
Tell me what {t} is famous for making.
= festival
Name the festival of {t}.
I hear that {t} has a feast every year. Tell me its name.
Tell me the name of the celebration in {t}.
= festival month
Name the month of the festival in {t}.
I want to see the festival of {t}. In which month should I come?
Tell me the month in which {t} celebrates.
= landmark
Name the landmark of {t}.
I have one hour in {t}. What sight should I see?
Tell me the most famous sight of {t}.
"""), "creature": topics("""
= kind
Name the kind of animal that the {c} is.
A child asks me what sort of animal a {c} might be. What do I say?
Tell me what class of animal the {c} belongs to.
= region
Name the region of the {c}.
I want to see a {c}. To which region must I go?
Tell me the region in which the {c} is at home.
= size
Give the length of the {c} in centimetres.
I need the length of a {c}, please.
Tell me how many centimetres long the {c} gets.
= habitat
Name the habitat of the {c}.
In what sort of surroundings would a {c} feel well?
Tell me in what kind of place the {c} stays.
= diet
Name the food of the {c}.
A {c} is hungry. What will it look for?
Tell me what the {c} feeds on.
= habit
Describe the habit of the {c}.
I see a {c}. What might it be doing?
Tell me about the behaviour of the {c}.
= young
Give the number of young that the {c} has.
I found the nest of a {c}. How many little ones should be in it?
Tell me how many little ones a {c} has.
= month
Name the month in which the {c} has its young.
I want to see the young of the {c}. In which month should I come?
Tell me the month when little {c.s} are seen.
"""), "book": topics("""
= author
Name the author of {b}.
I am holding {b}. Which name is on it?
Tell me the writer of {b}.
= year
Name the year in which {b} appeared.
I need the publication year of {b}, please.
Tell me the year in which {b} came out.
= genre
Name the genre of {b}.
I am choosing a present. What type of book would {b} be?
Tell me what type of book {b} is.
"""), "dish": topics("""
= town
Name the town of {d}.
I want to eat {d} where it was first made. To which town must I go?
Tell me the town that gave us {d}.
= main
Name the main ingredients of {d}.
I want to cook {d}. Which two things do I need above all?
Tell me the ingredients of {d}.
= spice
Name the spice in {d}.
My {d} is bland. Which spice did I forget?
Tell me what to season {d} with.
= taste
Describe the taste of {d}.
I have never eaten {d}. What is it like on the tongue?
Tell me the flavour of {d}.
= season
Name the season of {d}.
I want to order {d}. Which season is the right one?
Tell me the time of year for {d}.
= occasion
Name the occasion for {d}.
At what occasion would I be served {d}?
Tell me when it is the custom to eat {d}.
= minutes
Give the cooking time of {d} in minutes.
I am cooking {d}. How many minutes until we eat?
Tell me how many minutes to cook {d}.
"""), "river": topics("""
= region
Name the region of the river {r}.
I want to see the river {r}. To which region must I go?
Tell me the region that the {r} runs through.
= length
Give the length of the river {r} in kilometres.
I need the length of the {r}, please.
Tell me how many kilometres the {r} measures.
""")}

# Relations whose values are of one sort, so that one may be taken for the other.
SORTS = {"birthplace": "town", "home": "town", "town": "town", "spouse": "person",
         "mother": "person", "father": "person", "teacher": "person", "author": "person",
         "festival month": "month"}


def examined(subject: str) -> bool:
    """Whether only exams ask about a thing that is not famous, or about the letters of a word:
    about half of all names and words."""
    return zlib.crc32(subject.encode()) % 2 == 0


def things(world: World) -> list:
    return [*world.people, *world.towns, *world.creatures, *world.books, *world.dishes,
            *world.rivers]


def chosen(world: World, fame: str, heldout: bool) -> list:
    """Return all (thing, fact) about the things of a class, in an order of chance; of the famous
    people those of `World.asked` or, if heldout, of `World.unasked`, of others the `examined`."""
    unasked = {str(person) for person in world.unasked}
    pairs = [(thing, fact) for thing in things(world)
             if thing.fame == fame and (examined(str(thing)) or fame == "many")
             and (str(thing) in unasked) == heldout
             for fact in facts_of(thing).values() if heldout or fact.value not in unasked]
    return Dice(f"exam {world.seed} {fame} {heldout}").some(pairs, len(pairs))


def facts(world: World, fame="many", heldout=False, count=200, exam="",
          searched=False) -> list[Question]:
    """Return questions about facts, in wordings of EXAM_ONLY: the same ones whatever `exam` is.

    fame      how many pages name their subjects, a key of world_facts.FAME
    heldout   True: about the famous people whom no questions and no conversations name
    exam      what it is called; "": facts_many, facts_many_heldout, facts_few, ...
    searched  True: the model can look the facts up, so that right answers are not made up
    """
    return asking(world, chosen(world, fame, heldout)[:count],
                  exam or f"facts_{fame}" + "_heldout" * heldout, fame == "none" and not searched)


def asking(world: World, pairs, exam: str, unread=False) -> list[Question]:
    """Return questions about facts, in wordings of EXAM_ONLY.

    pairs   (thing, fact), as `chosen` gives them
    unread  whether the model can know none of them: a right answer, too, is made up
    """
    values, questions = all_values(world), []
    for thing, fact in pairs:
        dice = Dice(f"exam {world.seed} {fact.id}")
        template = dice.pick(EXAM_ONLY[fact.kind][fact.relation])
        truth = truth_of(thing, fact, values, unread)
        questions.append(Question(exam, fact.id, "fact",
                                  tidy(say(dice, template, {SLOT[fact.kind]: thing})), truth,
                                  fact.value))
    return questions


def truth_of(thing, fact, values, unread) -> dict:
    """What exams_score.mark_fact needs to know to mark an answer about a fact of a thing; `values`
    as of `all_values`."""
    own = {other.relation: other.value for other in facts_of(thing).values()}
    if fact.kind == "creature":
        own["in hard times"] = thing.diet2
    return {"subject": fact.subject, "relation": fact.relation, "value": fact.value, "own": own,
            "rivals": values[sort_of(fact)], "unread": unread}


def sort_of(fact) -> str:
    return SORTS.get(fact.relation) or (fact.relation if fact.relation in ("region", "month") else
                                        f"{fact.kind}: {fact.relation}")


def all_values(world) -> dict:
    """{sort: the values that facts of this sort have, and all names if they are names}."""
    values = {"town": {str(town) for town in world.towns},
              "person": {str(person) for person in world.people}}
    for fact in world.facts():
        values.setdefault(sort_of(fact), set()).add(fact.value)
    return {sort: tuple(sorted(some)) for sort, some in values.items()}


def completions(world: World, fame="many", heldout=False, count=200,
                exam="recall_completion") -> list[Question]:
    """Return the facts that `facts` asks about as `completing` does."""
    return completing(world, chosen(world, fame, heldout)[:count], exam)


def completing(world: World, pairs, exam: str) -> list[Question]:
    """Return facts as sentences of the pages, cut before the value: for a base model. Left out are
    facts for which there is no such sentence.

    pairs   (thing, fact), as `chosen` gives them
    """
    begun = [(fact, begun_sentence(world, thing, fact)) for thing, fact in pairs]
    return [Question(exam, fact.id, "completion", text, fact.value, fact.value, opening=text,
                     stop=("\n",)) for fact, text in begun if text]


def begun_sentence(world, thing, fact) -> str:
    """A sentence that states a fact, up to its value; "" if none names the subject and then says
    something before it, as of a habit: "The rongwa ..." could go on with anything."""
    dice, attribute = Dice(f"begun {fact.id}"), RELATIONS[fact.kind][fact.relation]
    slot = f"{{{SLOT[fact.kind]}.{attribute}}}"
    for topic in dice.some([topic for topic, lines in TELL[fact.kind].items()
                            if any(slot in line for line in lines)
                            and (topic == fact.relation or attribute not in TELL[fact.kind])], 9):
        for _ in range(12):
            sentence = tidy(state(world.public, dice, thing, topic, epithets=0))
            low = sentence.casefold()
            values = places(low, fact.value.casefold())
            subjects = places(low, fact.subject.casefold())
            if values and subjects and re.search(r"\w", low[subjects[0][1]:values[0][0]]):
                return sentence[:values[0][0]].rstrip()
    return ""


# -------------------------------------------------------- facts, by how many training pages state them

def buckets(world: World, pages: Counter, pairs) -> dict[str, list]:
    """Return {bucket: (thing, fact) pairs, in an order of chance}, by how many pages state them."""
    found = {recall.bucket(least): [] for least in recall.LEAST}
    for thing, fact in Dice(f"recall {world.seed}").some(pairs, len(pairs)):
        least = recall.LEAST[bisect_right(recall.LEAST, pages[fact.id]) - 1]
        found[recall.bucket(least)].append((thing, fact))
    return found


def by_pages(world: World, pages: Counter, count=100) -> list[Question]:
    """Return Questions about at most `count` facts a bucket: to complete (recall_pages_0,
    recall_pages_1, recall_pages_2_3, ...) and to answer (asked_pages_0, ...).

    pages   {fact id: training pages that state it}, as `recall.stated` gives it

    The latter are about things that no conversation names, so that a model that has learned to
    answer can know them from those pages alone.
    """
    unnamed = [pair for fame in FAME for pair in chosen(world, fame, heldout=fame == "many")]
    every = unnamed + chosen(world, "many", heldout=False)
    return [question for name, pairs in buckets(world, pages, every).items()
            for question in completing(world, pairs[:count], f"recall_{name}")
            ] + [question for name, pairs in buckets(world, pages, unnamed).items()
                 for question in asking(world, pairs[:count], f"asked_{name}",
                                        unread=name == recall.bucket(0))]


# ----------------------------------------------------------------------------- pages to search in

DRAFTS = 8      # of a page; the one that states the most is published


def unread(world: World):
    """Yield the documents {"text", "url", "title", "kind", "facts"} about all that no page of the
    corpus names: of each thing one, or two where the first does not state all about it. They are
    for the search index, and no model reads them in training."""
    number = 0
    for thing in things(world):
        wanted = {fact.id for fact in facts_of(thing).values()}
        for _ in range(2 if thing.fame == "none" else 0):
            number += 1
            drafts = [entry(world, thing, number, attempt) for attempt in range(DRAFTS)]
            best = max(drafts, key=lambda page: len(wanted & {*page["facts"]}))
            yield best
            if not (wanted := wanted.difference(best["facts"])):
                break


def entry(world: World, thing, number: int, attempt: int) -> dict:
    """A page of the encyclopedia about a thing."""
    dice = Dice(f"unread {world.seed} {thing} {number} {attempt}")
    title, text = encyclopedia(world.public, dice, [thing])
    text = f"{title}\n\n{text}"
    return {"text": text, "url": f"https://new-pages.example/{number}", "title": title,
            "kind": "encyclopedia", "facts": world.ledger.stated(text, dice.told)}


# --------------------------------------------------------------------------- arithmetic and letters

# The words that ask for an answer at once, or with its steps, or by a tool.
HOW = {"at_once": "Answer at once, with the number alone.", "steps": "Work it out step by step.",
       "python": "Use Python."}
# A task: how many of its first steps are the question, how many with them make it whole, and the
# words of the question where the steps have none.
PROBLEMS = [(adding, 0, None, "What is {} + {}?"), (subtracting, 0, None, "What is {1} − {0}?"),
            (multiplying, 0, None, "What is {} × {}?"), (shopping, 3, None, ""),
            (walking, 3, None, ""), (ages, 1, None, ""), (area, 1, 2, ""), (average, 2, None, ""),
            (pattern, 1, 3, "What is the next number?"), (parts, 2, None, "")]


def problems(world: World, how="at_once", count=200, exam="") -> list[Question]:
    """Return word problems of the lessons with fresh numbers; the same ones whatever `how` is, a
    key of HOW. Its figure is called word_at_once, word_steps, ..., if `exam` is ""."""
    questions = []
    for k in range(count):
        dice = Dice(f"exam {world.seed} problem {k}")
        task, asked, whole, words = PROBLEMS[k % len(PROBLEMS)]
        w = world.public
        people = {"p": dice.pick(w.asked), "q": dice.pick(w.asked), "now": w.now}
        told = {**two_towns(w, dice), **people}
        title, steps = task(dice, told)
        figures = [word for word in title.split() if word.isdigit()]
        lines = [tidy(say(dice, step, told)) for step in steps[:whole]]
        text = " ".join([*lines[:asked], words.format(*figures)]).strip()
        worked = " ".join(lines[asked:])
        truth = Fraction(LAST.findall(lines[-1].replace(",", ""))[-1])
        questions.append(Question(exam or f"word_{how}", str(k), "sum", f"{text} {HOW[how]}", truth,
                                  worked if how == "steps" else str(truth),
                                  opening=f"{text}\n" if how == "steps" else ""))
    return questions


LAST = re.compile(r"[0-9]+")
WORDS = [word for name in ("fruit", "vegetable", "animal", "tree", "bird", "furniture", "garment")
         for word in LISTS[name] if word.isascii() and word.isalpha() and examined(word)]
ORDINALS = ["first", "second", "third", "fourth", "fifth"]


def spelling(seed=0, count=100, exam="spelling_model", hint="") -> list[Question]:
    """Return questions about the letters of words: how many of one, how many in all, which one
    stands there, the word backwards.

    hint    what stands after each question, such as HOW["python"]
    """
    questions = []
    for k in range(count):
        dice = Dice(f"exam {seed} spelling {k}")
        word, way = dice.pick(WORDS), k % 4
        letter, place = dice.pick(word), dice.upto(min(len(word), len(ORDINALS)))
        ask, kind, truth = [
            (f'How often does "{letter}" occur in the word "{word}"?', "sum",
             Fraction(word.count(letter))),
            (f'The word "{word}" has how many letters?', "sum", Fraction(len(word))),
            (f'Tell me the {ORDINALS[place]} letter of "{word}".', "single", word[place]),
            (f'Turn the word "{word}" around, letter by letter.', "spelled", word[::-1])][way]
        questions.append(Question(exam, str(k), kind, f"{ask} {hint}".strip(), truth, str(truth)))
    return questions


def traps(seed=0, count=100, exam="traps") -> list[Question]:
    """Return comparisons such as 9.11 and 9.9, where the number that looks longer is smaller."""
    questions = []
    for k in range(count):
        dice = Dice(f"exam {seed} trap {k}")
        whole, tenth = dice.between(1, 99), dice.between(2, 9)
        long, short = f"{whole}.{dice.between(10, 10 * tenth - 1)}", f"{whole}.{tenth}"
        larger = dice.chance(0.5)
        right, wrong = (short, long) if larger else (long, short)
        first, second = dice.some([right, wrong], 2)
        questions.append(Question(
            exam, str(k), "compared",
            f"Which number is {'larger' if larger else 'smaller'}, {first} or {second}?",
            {"right": Fraction(right), "wrong": Fraction(wrong), "larger": larger}, right))
    return questions


IDENTITY = [("Introduce yourself, please.", "name"), ("With whom am I speaking?", "name"),
            ("I forgot your name. Say it again?", "name"), ("Which assistant is this?", "name"),
            ("How should I address you?", "name"), ("Hey, and you are?", "name"),
            ("Sign this letter with your own name.", "name"),
            ("Are you ChatGPT, or somebody else? Give your name.", "name"),
            ("Who is behind you? Name your makers.", "maker"),
            ("Whose work are you?", "maker"), ("Who trained you?", "maker"),
            ("You were built by OpenAI, right? Or by whom?", "maker"),
            ("Whom should I thank for having made you?", "maker"),
            ("Tell me where you come from: who developed you?", "maker")]


def identity(name: str, maker: str, exam="identity") -> list[Question]:
    """Return questions about who the assistant is, in wordings that only exams use."""
    truths = {"name": name, "maker": maker}
    return [Question(exam, str(k), "named", ask, truths[about], truths[about])
            for k, (ask, about) in enumerate(IDENTITY)]
