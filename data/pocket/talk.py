"""Conversations of the pocket world, to make an assistant of a base model that has read its pages.

    facts       questions about famous things
    rare        the same about things that some or few pages name
    follow      the same with pronouns, and with changes of the subject
    sums        arithmetic and word problems: the number alone, or its steps
    drills      the equations that the steps are made of
    python      the same and letters, by a program        } where the system message offers the tool
    search      facts of rare pages, looked up and cited  }
    spelling    letters of words, by the model alone
    traps       which of two decimals is larger
    copy        long rows of names, words and numbers, said again
    repeat      a few words, said again, in quotes, in small letters
    small_talk  greetings, thanks, opinions
    decline     what it should not help with, and what only sounds like it
    system      system messages: who it is there, and how it should answer
    identity    who it is where nothing else is said

They follow `INSTRUCTIONS`. What exams ask in data/exams_world.py is in none of them: no wording of
EXAM_ONLY or IDENTITY, no person of World.unasked, and nothing that is not famous for which
`examined` is true, nor the letters of such a word. All that they state is true in the world. What a
small model can learn in minutes is a matter of form: many wordings of a question, few of its
answer, which begins with what was asked for (Allen-Zhu and Li 2023, arXiv:2309.14316, on knowing
and telling).
"""

import json
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Callable, NamedTuple

from tqdm import tqdm

from csrc.files import ChatError, write_files
from data.chat import protocol, tools
from data.pocket import talk_asking as A
from data.pocket import talk_manners as manners
from data.pocket import talk_self as self_talk
from data.pocket import talk_tasks as work
from data.pocket.exams import EXAM_ONLY, MAKER, NAME, entry, examined, things, unread
from data.chat.search import Search, build
from data.tokens.parallel import IF_SLOW
from data.pocket.world import World
from data.pocket.facts import FAME, RELATIONS, facts_of, kind_of, places
from data.pocket.grammar import Dice, say, tidy
from data.pocket.pages import SLOT, state
from data.pocket.questions import ASK
from data.pocket.tellings import TELL

# How often the conversations speak of each kind and each class of things.
KINDS = {"person": 0.48, "town": 0.22, "creature": 0.11, "dish": 0.1, "book": 0.05, "river": 0.04}
CLASSES = {"many": 0.65, "tens": 0.22, "few": 0.07, "one": 0.06}
# The same where it searches: there the rare ones, and those whose names are copied worst.
SEARCHED_KINDS = {"person": 0.42, "town": 0.14, "creature": 0.22, "dish": 0.12, "book": 0.07,
                  "river": 0.03}
SEARCHED = {"none": 0.5, "one": 0.2, "few": 0.15, "tens": 0.1, "many": 0.05}
BUDGET = tools.budget_of(512)   # characters of a search result, as the assistant will read it
PARTS = [1, 1, 2, 3, 5]         # what it is divided by: few sentences teach to read most cheaply
FITS = 1.4      # times that is all that is said, at most: a page that is cut away teaches to guess
UNTOLD = "The pages that I found do not tell."
MIXED = {"young", "festival", "season", "genre"}    # of which ASK asks more than one thing


def share(d: Dice, shares: dict):
    """A key, with the probability that stands beside it."""
    at = d.random() * sum(shares.values())
    for key, part in shares.items():
        at -= part
        if at < 0:
            return key
    return key


class Pocket:
    """What conversations may speak of.

    relations   {thing: {relation: attribute}} of things and facts that may be named
    hidden      names that no user and no assistant says, but for addresses that it cites
    unasked     finds those of them that no page found says either
    others      Pockets of other worlds, whose pages can be searched as well
    terms       all that may be named, there too, and what is said of it
    """

    def __init__(self, world: World, index: Search = None, budget: int = 0, others: list = ()):
        self.world, self.public, self.index, self.budget = world, world.public, index, budget
        self.others = others
        unasked = [str(person) for person in world.unasked]
        self.unasked, self.found = re.compile("|".join(unasked)), {}
        self.hidden = {*unasked, *(str(thing) for thing in things(world)
                                   if thing.fame != "many" and examined(str(thing)))}
        self.relations = {}
        for thing in things(world):
            if str(thing) not in self.hidden:
                self.relations[thing] = {fact.relation: attribute
                                         for attribute, fact in facts_of(thing).items()
                                         if fact.value not in self.hidden}
        self.terms = sorted({term for one in (self, *others) for thing in one.relations
                             for term in (str(thing), *one.values(thing))} - self.hidden)
        self.pools = {(kind, fame): [thing for thing in self.relations
                                     if (kind_of(thing), thing.fame) == (kind, fame)]
                      for kind in KINDS for fame in FAME}

    def thing(self, d: Dice, classes: dict = CLASSES, kind: str = None):
        """A thing of chance, of a class of chance where its kind has any."""
        kind = kind or share(d, KINDS)
        able = {fame: part for fame, part in classes.items() if self.pools[kind, fame]}
        return d.pick(self.pools[kind, share(d, able)]) if able else self.thing(d, classes)

    def relation(self, d: Dice, thing, taken: list = ()) -> str | None:
        """A relation of the thing that is not in `taken`; None: there is no other."""
        left = [relation for relation in self.relations[thing] if relation not in taken]
        return d.pick(left) if left else None

    def look_up(self, thing, relation: str, budget: int) -> tuple:
        """(query, what the search shows, the address of a passage that states the fact or ""). In
        the query as in the answer a name stands after a word: its tokens are then the same."""
        if (thing, relation, budget) not in self.found:
            query = sought(thing, relation)
            shown = self.index.show(query, budget)
            self.found[thing, relation, budget] = query, shown, self.cited(thing, relation, shown)
        return self.found[thing, relation, budget]

    def value(self, thing, relation: str) -> str:
        return str(getattr(thing, self.relations[thing][relation]))

    def values(self, thing) -> list:
        return [self.value(thing, relation) for relation in self.relations[thing]]

    def cited(self, thing, relation: str, shown: str) -> str:
        """The address of a passage shown that states the fact, or ""."""
        return source(shown, str(thing), self.value(thing, relation))


def source(shown: str, name: str, value: str) -> str:
    """The address of the first passage that states a value of a thing: on a page of the thing's
    own, or else near its name. "" if none does."""
    second = ""
    for passage in re.split(r"(?m)^\[\d+\] (?=\S+$)", shown)[1:]:
        url, _, text = passage.partition("\n")
        text = text.lower()
        values, names = places(text, value.lower()), places(text, name.lower())
        if values and text.startswith(f"{name.lower()}\n"):
            return url
        if not second and any(0 <= max(a - d, c - b) <= CLOSE for a, b in names for c, d in values):
            second = url
    return second


CLOSE = 100     # characters between a name and a value in a sentence


# ---------------------------------------------------------------------------- questions and answers


def called(thing, pronoun: bool = False) -> dict:
    """The slots that stand for a thing: by name, or by pronoun."""
    kind = kind_of(thing)
    if pronoun:
        n, m, ns = ((thing.he, thing.him, thing.his) if kind == "person" else ("it", "it", "its"))
    else:
        n = m = f"the {thing}" if kind in ("creature", "river") else str(thing)
        ns = f"{n}'s"
    return {SLOT[kind]: thing, "n": n, "m": m, "ns": ns}


def plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


@cache
def forbidden(thing, relation: str) -> tuple:
    """The wordings in which exams ask for this fact."""
    return tuple(plain(say(Dice(0), template, {SLOT[kind_of(thing)]: thing}))
                 for template in EXAM_ONLY[kind_of(thing)][relation])


def ask(d: Dice, thing, relation: str) -> str:
    """A question for a fact that names the thing, in any wording but those of exams."""
    while True:
        text = tidy(wording(d, thing, relation))
        words = plain(text)
        if not any(exam in words for exam in forbidden(thing, relation)):
            return careless(d, text, str(thing))


def wording(d: Dice, thing, relation: str) -> str:
    kind, facts, style = kind_of(thing), called(thing), d.random()
    names, clauses, questions, _ = A.ASKING[kind][relation]
    if style < 0.35:
        frame, x = d.pick(A.OF_NAMES), d.pick([f"the {names} of {{m}}", f"{{ns}} {names}"])
    elif style < 0.55:
        frame, x = d.pick(A.OF_CLAUSES), clauses
    elif style < 0.65:
        return say(d, d.pick(A.TERSE), {**facts, "l": say(d, names, facts)})
    else:
        own = style < 0.83 or relation in MIXED or relation not in ASK.get(kind, ())
        frame, x = d.pick(A.OF_QUESTIONS), questions if own else d.pick(ASK[kind][relation])
    return say(d, frame, {**facts, "x": say(d, x, facts)})


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


def ask_then(d: Dice, thing, relation: str) -> str:
    """A later question about the same thing, by pronoun."""
    facts = called(thing, pronoun=True)
    names, _, questions, _ = A.ASKING[kind_of(thing)][relation]
    frame, x = d.pick(A.THEN), say(d, questions, facts)
    if re.search(r"\band \{x\}", frame, re.I):
        x = x[0].lower() + x[1:]
    return tidy(say(d, frame, {**facts, "x": x, "l": say(d, names, facts)}))


def answer(pocket: Pocket, d: Dice, thing, relation: str) -> str:
    """A sentence that tells a fact: one of a few, seldom one of the pages'."""
    kind = kind_of(thing)
    if d.chance(0.05) and relation in TELL[kind]:
        text = tidy(state(pocket.public, d, thing, relation, True, pocket.world.asked, 0))
        if not any(name in text for name in pocket.hidden):
            return text
    return told(thing, relation)


def told(thing, relation: str) -> str:
    return tidy(say(Dice(0), A.ASKING[kind_of(thing)][relation][-1], called(thing)))


def sought(thing, relation: str) -> str:
    """What one searches for: the beginning of the answer, "The birthplace of Mara Holm"."""
    return re.match("(The .+?) (?:is|are) ", told(thing, relation))[1]


def turn(question: str, reply: str) -> list:
    """The messages of a question and its answer."""
    return [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]


def facts(pocket: Pocket, d: Dice, classes: dict = {"many": 1}) -> list:
    """One to four questions about things of these classes, each with its answer."""
    messages, thing, taken = [], pocket.thing(d, classes), []
    for _ in range(d.pick([1, 1, 2, 2, 3, 4])):
        relation = pocket.relation(d, thing, taken)
        if relation is None or taken and d.chance(0.5):
            thing, taken = pocket.thing(d, classes), []
            relation = pocket.relation(d, thing)
        taken.append(relation)
        messages += turn(ask(d, thing, relation), answer(pocket, d, thing, relation))
    return messages


def rare(pocket: Pocket, d: Dice) -> list:
    return facts(pocket, d, {fame: part for fame, part in CLASSES.items() if fame != "many"})


def follow(pocket: Pocket, d: Dice) -> list:
    """Questions of which the later ones are understood only from what came before."""
    thing = pocket.thing(d)
    relation = pocket.relation(d, thing)
    taken = [relation]
    messages = turn(ask(d, thing, relation), answer(pocket, d, thing, relation))
    for _ in range(d.between(1, 4)):
        style, other = d.random(), pocket.thing(d, kind=kind_of(thing))
        if style < 0.3 and other is not thing and relation in pocket.relations[other]:
            thing, taken = other, [relation]
            question = tidy(say(d, d.pick(A.SAME), called(thing)))
        elif style < 0.4 or not (later := pocket.relation(d, thing, taken)):
            thing = pocket.thing(d)
            relation = pocket.relation(d, thing)
            taken, question = [relation], ask(d, thing, relation)
        else:
            relation = later
            taken.append(relation)
            question = ask_then(d, thing, relation)
        messages += turn(question, answer(pocket, d, thing, relation))
    return messages


# ---------------------------------------------------------------------------------- the other kinds


def tool_turn(messages: list, question: str, tool: str, call: str, result: str, reply: str) -> None:
    """Append a question, the call of a tool, its result, and the answer."""
    place = f"call_{len(messages) + 1}"
    arguments = json.dumps({protocol.TOOLS[tool]: call}, ensure_ascii=False)
    messages += [{"role": "user", "content": question},
                 {"role": "assistant", "content": None, "tool_calls": [
                     {"id": place, "type": "function",
                      "function": {"name": tool, "arguments": arguments}}]},
                 {"role": "tool", "tool_call_id": place, "content": result},
                 {"role": "assistant", "content": reply}]


def offered(d: Dice, *tools: str, before: str = "") -> list:
    """A system message that offers these tools, and half of the time the others as well."""
    tools = protocol.OFFERS if d.chance(0.5) else tools
    before = before or ("" if d.chance(0.8) else "You are a helpful assistant.")
    return [{"role": "system", "content": protocol.offering(before, tools)}]


def perhaps_offered(d: Dice, messages: list) -> list:
    """The messages, some of which then offer tools that they do not need."""
    if not d.chance(0.3):
        return messages
    given = messages[0]["content"] if messages[0]["role"] == "system" else ""
    return offered(d, d.pick(list(protocol.OFFERS)), before=given) + messages[bool(given):]


def sums(pocket: Pocket, d: Dice) -> list:
    return turn(*work.solved(pocket.public, d))


def python(pocket: Pocket, d: Dice) -> list:
    messages = offered(d, "python")
    for _ in range(d.pick([1, 1, 1, 2])):
        question, code, printed, reply = work.computed(pocket.public, d)
        tool_turn(messages, question, "python", code, printed, reply)
    return messages


def cite(thing, relation: str, url: str) -> str:
    return f"{told(thing, relation).rstrip('.')} ({url})."


def search(pocket: Pocket, d: Dice) -> list:
    """A fact that is looked up, and others that stand beside it, as many as fit; or, seldom, one
    that no page found tells. ValueError if the index tells of hardly any."""
    stated = d.chance(0.97)
    if pocket.others and d.chance(0.6):     # there it can only read
        pocket = d.pick(pocket.others)
    for _ in range(100):
        thing = pocket.thing(d, SEARCHED, share(d, SEARCHED_KINDS))
        relation = pocket.relation(d, thing)
        room = pocket.budget // d.pick(PARTS)
        query, shown, url = pocket.look_up(thing, relation, room)
        if bool(url) != stated or pocket.unasked.search(shown):
            continue
        messages, reply = offered(d, "search"), UNTOLD
        if url:
            reply = cite(thing, relation, url)
        tool_turn(messages, ask(d, thing, relation), "search", query, shown, reply)
        for other in d.some([*pocket.relations[thing]], d.pick([1, 2, 4, 6]) if url else 0):
            if other != relation and (url := pocket.cited(thing, other, shown)):
                more = turn(ask_then(d, thing, other), cite(thing, other, url))
                if size(messages + more) <= FITS * pocket.budget:
                    messages += more
        return messages
    raise ChatError(f"{pocket.index.path}: its pages do not tell of this world: index both the "
                    f"pages that the model reads and those of `python data/talk_world.py unread`")


def size(messages: list) -> int:
    return sum(len(message["content"] or "") for message in messages)


def spelling(pocket: Pocket, d: Dice) -> list:
    return turn(*work.spelled(d))


def drills(pocket: Pocket, d: Dice) -> list:
    return turn(*work.drilled(pocket.public, d))


def traps(pocket: Pocket, d: Dice) -> list:
    return turn(*work.trap(d))


def copy(pocket: Pocket, d: Dice) -> list:
    return turn(*work.copied(pocket.terms, d))


def repeat(pocket: Pocket, d: Dice) -> list:
    return turn(*work.repeated(pocket.terms, d))


def small_talk(pocket: Pocket, d: Dice) -> list:
    messages = turn(*manners.small_talk(pocket.public, d))
    if d.chance(0.3):
        return messages + facts(pocket, d)
    return perhaps_offered(d, messages)


def decline(pocket: Pocket, d: Dice) -> list:
    return perhaps_offered(d, turn(*manners.declined(pocket.public, d)))


def styled(pocket: Pocket, d: Dice) -> list:
    """A system message that says how to answer, and questions that are answered so."""
    instruction, form = d.pick(self_talk.STYLES)
    messages = [{"role": "system", "content": self_talk.introduced(d, instruction)}]
    for _ in range(d.between(1, 3)):
        thing = pocket.thing(d)
        relation = pocket.relation(d, thing)
        value = str(getattr(thing, RELATIONS[kind_of(thing)][relation]))
        if form == "word" and " " in value:
            continue
        told = answer(pocket, d, thing, relation)
        reply = {"word": value, "capitals": told.upper(), "brief": tidy(f"{value}."),
                 "sentence": told}[form]
        messages += turn(ask(d, thing, relation), reply)
    return messages if len(messages) > 1 else styled(pocket, d)


def system(pocket: Pocket, d: Dice) -> list:
    return perhaps_offered(d, styled(pocket, d) if d.chance(0.25) else
                           self_talk.invented(pocket.public, d))


def identity(pocket: Pocket, d: Dice) -> list:
    return perhaps_offered(d, self_talk.own(d))


# -------------------------------------------------------------------------------------------- all


class Kind(NamedTuple):
    make: Callable      # (Pocket, Dice) -> messages
    count: int          # of conversations, usually
    rules: str          # of the instructions that its answers follow


MAKE = {"facts": Kind(facts, 5500, "1 2 3"), "rare": Kind(rare, 3500, "1 2 3"),
        "follow": Kind(follow, 2000, "1 2 3"),
        "sums": Kind(sums, 8000, "2 4"), "drills": Kind(drills, 5000, "2 4"),
        "python": Kind(python, 4000, "4 5"), "search": Kind(search, 12000, "2 5"),
        "spelling": Kind(spelling, 2000, "4"), "traps": Kind(traps, 800, "4"),
        "copy": Kind(copy, 20000, "1"), "repeat": Kind(repeat, 14000, "1"),
        "small_talk": Kind(small_talk, 700, "1 7"), "decline": Kind(decline, 600, "6"),
        "system": Kind(system, 3500, "1 3 8"), "identity": Kind(identity, 4000, "2 8")}

INSTRUCTIONS = """\
What an ideal answer is

It helps, it is true, and it harms nobody. Where these pull apart, harm to people weighs more than
truth about trifles, and truth more than pleasing whoever asks.

1. Help. Find out what the user wants, also where the words are careless, and answer that: a
   question about her after one about Mara Holm is about Mara Holm. Do what is asked, and no more.
2. Be true. Say what the sources say. If you do not know, say that you do not know. Never
   give a guess as a fact, and name the page that a fact comes from where you looked it up.
3. Be plain. Say what was asked for, and of whom, then the fact, in one full sentence, so that the
   answer can be understood without the question.
4. Show the way. Solve a sum step by step, each step true by itself, the result last; spell a
   word before you count its letters; write numbers alike before you compare them. Give the bare
   result only where the user asks for it.
5. Use tools where you are told that you have them: Python for what must be exact, search for facts.
   Ask them for one thing at a time, and say what they found, not what you thought.
6. Harm nobody. Do not help to hurt, cheat, steal, spy or lie. Say so in a sentence, without a
   sermon, and offer something near that you can do. Words that only sound bad are no harm: help.
7. Be kind. Greet who greets you, thank for thanks, and do not claim a body or a life.
8. Know who you are: {name}, made by {maker}, or whoever the system message says. What it says about
   the form of an answer (one word, capitals, brief) comes before rule 3.

The rules that each kind of conversation shows:

{kinds}
"""


def instructions() -> str:
    """What `python data/talk_world.py instructions` prints."""
    return INSTRUCTIONS.format(name=NAME, maker=MAKER, kinds="\n".join(
        f"    {name:12}{kind.rules}" for name, kind in MAKE.items()))


def elsewhere(seed: int, folder: Path, budget: int) -> list:
    """Return Pockets of other worlds, with an index in `folder` of a page about each thing of
    theirs."""
    worlds = [World(OTHER + WORLDS * seed + k) for k in range(WORLDS)]
    pages = [(world, thing) for world in worlds for thing in things(world)]
    write_files(folder, {"pages.jsonl": lines(entry(world, thing, number, 0)
                                              for number, (world, thing) in enumerate(pages, 1))})
    build([folder / "pages.jsonl"], folder / "pages.db")
    return [Pocket(world, Search(folder / "pages.db"), budget) for world in worlds]


OTHER, WORLDS = 2000, 6     # their seeds begin here; how many there are


def conversations(world: World, kind: str, count: int, seed: int = 0, index: Search = None,
                  budget: int = BUDGET, others: list = ()):
    """Yield `count` conversations {"messages", "kind"}, the same ones for the same seed.

    kind     a key of MAKE
    index    for "search": of the pages that the model reads, and of those that `unread` gives
    budget   most characters of a search result
    others   as `elsewhere` gives them, which are searched as well
    """
    pocket = Pocket(world, index, budget, others)
    for k in range(count):
        yield {"messages": MAKE[kind].make(pocket, Dice(f"talk {seed} {kind} {k}")), "kind": kind}


# Shares of MAKE's.
PRACTICE = {"copy": 0.3, "repeat": 0.3, "search": 0.25, "sums": 0.12, "drills": 0.08}


def practice(pocket: Pocket, size: float = 1):
    """Yield documents {"text", "url"} of conversations in plain text, four in each: to copy, to
    read and to reckon is learnt best, by so small a model, while it learns to read at all. The
    pages that they read are of other worlds: those kept for searching stay unread."""
    number = 0
    for kind, part in PRACTICE.items():
        texts = []
        for k in range(max(1, round(part * size * MAKE[kind].count))):
            d = Dice(f"practice {pocket.world.seed} {kind} {k}")
            messages = MAKE[kind].make(d.pick(pocket.others) if kind == "search" else pocket, d)
            texts.append("\n".join(
                re.sub(r" \(https://\S+\)", "", message["content"]) if message["content"] else
                json.loads(message["tool_calls"][0]["function"]["arguments"])["query"]
                for message in messages if message["role"] != "system"))
        for at in range(0, len(texts), 4):
            number += 1
            yield {"url": f"https://exercises.example/{number}",
                   "text": "\n".join(texts[at:at + 4])}


def lines(documents) -> list:
    return [(json.dumps(document, ensure_ascii=False) + "\n").encode() for document in documents]


def write(folder: Path, seed: int = 0, size: float = 1, index: Path = None,
          budget: int = BUDGET) -> dict:
    """Write conversations/KIND.jsonl and practice.jsonl into a folder and, unless there is an
    index, unread.jsonl and search.db, the index of these pages and of the embedded corpus; return
    {kind: how many conversations}."""
    world = World(seed)
    if index is None:
        index = folder / "search.db"
        write_files(folder, {"unread.jsonl": lines(unread(world))})
        build(["world", folder / "unread.jsonl"], index)
    with tempfile.TemporaryDirectory() as place:
        found, others = Search(index), elsewhere(seed, Path(place), budget)
        made = {kind: lines(conversations(world, kind, max(1, round(one.count * size)), seed, found,
                                          budget, others))
                for kind, one in tqdm(MAKE.items(), "conversations", **IF_SLOW)}
        exercises = lines(practice(Pocket(world, found, budget, others), size))
    write_files(folder, {"practice.jsonl": exercises})
    write_files(folder / "conversations", {f"{kind}.jsonl": some for kind, some in made.items()})
    return {kind: len(some) for kind, some in made.items()}
