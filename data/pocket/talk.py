"""Conversations of the pocket world, to make an assistant of a base model that has read its pages.

KINDS lists them. They follow text/instructions.md. What only exams ask is in none of them
(data/pocket/asking.py). All that they state is true in the world.
"""

import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, NamedTuple

from csrc.cli import flag
from csrc.files import ChatError, check_new, write_files, write_lines
from csrc.shown import progress
from data.chat import protocol, tools
from data.chat.search import Search, build
from data.pocket import dialogues, persona, tasks, text
from data.pocket.asking import (FAMES, PARTS, SEARCHED, SEARCHED_KINDS, Subjects, answer, ask,
                                ask_same, ask_then, cite, share)
from data.pocket.exams import MAKER, NAME, entry, unread
from data.pocket.grammar import Dice, tidy
from data.pocket.persona import dialogue, offered, tool_turn
from data.pocket.world import World

BUDGET = tools.budget_of(512)   # characters of a search result, as the assistant will read it
FITS = 1.4      # of the budget, for a whole conversation: a page that is cut away teaches to guess
UNTOLD = "The pages that I found do not tell."
OTHER, WORLDS = 2000, 6         # other worlds to search in: where their seeds begin, how many


# ------------------------------------------------------------------------------------------- facts

def facts(subjects: Subjects, d: Dice, fames: dict = {"many": 1}) -> list:
    """One to four questions about things of these fames, each with its answer."""
    messages, thing, taken = [], subjects.thing(d, fames), []
    for _ in range(d.pick([1, 1, 2, 2, 3, 4])):
        relation = subjects.relation(d, thing, taken)
        if relation is None or taken and d.chance(0.5):
            thing, taken = subjects.thing(d, fames), []
            relation = subjects.relation(d, thing)
        taken.append(relation)
        messages += dialogue(ask(d, thing, relation), answer(subjects, d, thing, relation))
    return messages


def rare(subjects: Subjects, d: Dice) -> list:
    """The same about things that are not famous."""
    return facts(subjects, d, {fame: part for fame, part in FAMES.items() if fame != "many"})


def follow(subjects: Subjects, d: Dice) -> list:
    """Questions of which the later ones are understood only from what came before."""
    thing = subjects.thing(d)
    relation = subjects.relation(d, thing)
    taken = [relation]
    messages = dialogue(ask(d, thing, relation), answer(subjects, d, thing, relation))
    for _ in range(d.between(1, 4)):
        style, other = d.random(), subjects.thing(d, kind=thing.type)
        if style < 0.3 and other is not thing and relation in subjects.relations[other]:
            thing, taken = other, [relation]
            question = ask_same(d, thing)
        elif style < 0.4 or not (later := subjects.relation(d, thing, taken)):
            thing = subjects.thing(d)
            relation = subjects.relation(d, thing)
            taken, question = [relation], ask(d, thing, relation)
        else:
            relation = later
            taken.append(relation)
            question = ask_then(d, thing, relation)
        messages += dialogue(question, answer(subjects, d, thing, relation))
    return messages


# ------------------------------------------------------------------------------------------- tools

def perhaps_offered(d: Dice, messages: list) -> list:
    """The messages, some of which then offer tools that they do not need."""
    if not d.chance(0.3):
        return messages
    given = messages[0]["content"] if messages[0]["role"] == "system" else ""
    return offered(d, d.pick(list(protocol.OFFERS)), before=given) + messages[bool(given):]


def python(subjects: Subjects, d: Dice) -> list:
    """One or two problems that a program solves."""
    messages = offered(d, "python")
    for _ in range(d.pick([1, 1, 1, 2])):
        question, code, printed, reply = tasks.computed(subjects.public, d)
        tool_turn(messages, question, "python", code, printed, reply)
    return messages


def search(subjects: Subjects, d: Dice) -> list:
    """A fact that is looked up, and others that stand beside it, as many as fit; or, seldom, one
    that no page found tells. ChatError if the index tells of hardly any."""
    stated = d.chance(0.97)
    if subjects.others and d.chance(0.6):       # in other worlds it can only read
        subjects = d.pick(subjects.others)
    for _ in range(100):
        thing = subjects.thing(d, SEARCHED, share(d, SEARCHED_KINDS))
        relation = subjects.relation(d, thing)
        query, shown, url = subjects.look_up(thing, relation, subjects.budget // d.pick(PARTS))
        if bool(url) != stated or subjects.unasked.search(shown):
            continue
        messages = offered(d, "search")
        reply = cite(thing, relation, url) if url else UNTOLD
        tool_turn(messages, ask(d, thing, relation), "search", query, shown, reply)
        for other in d.some([*subjects.relations[thing]], d.pick([1, 2, 4, 6]) if url else 0):
            if other != relation and (url := subjects.cited(thing, other, shown)):
                more = dialogue(ask_then(d, thing, other), cite(thing, other, url))
                size = sum(len(message["content"] or "") for message in messages + more)
                messages += more if size <= FITS * subjects.budget else []
        return messages
    raise ChatError(f"{subjects.index.path}: its pages do not tell of this world: index the pages "
                    f"that the model reads and the unread.jsonl of `python data/world.py talk`")


# ------------------------------------------------------------------------------------------ manners

def small_talk(subjects: Subjects, d: Dice) -> list:
    """A greeting or the like; in some, questions about facts follow."""
    messages = dialogue(*persona.exchange(subjects.public, d, "small_talk"))
    if d.chance(0.3):
        return messages + facts(subjects, d)
    return perhaps_offered(d, messages)


def styled(subjects: Subjects, d: Dice) -> list:
    """A system message that says how to answer, and questions that are answered so."""
    forms = text.load("identity")["forms"]
    instruction, form = d.pick([(line, form) for form, some in forms.items() for line in some])
    said = d.pick([instruction, instruction, f"You are {persona.coined(d, 2)}. {instruction}"])
    messages = [{"role": "system", "content": said}]
    for _ in range(d.between(1, 3)):
        thing = subjects.thing(d)
        relation = subjects.relation(d, thing)
        value = subjects.value(thing, relation)
        if form == "word" and " " in value:
            continue
        sentence = answer(subjects, d, thing, relation)
        reply = {"word": value, "capitals": sentence.upper(), "brief": tidy(f"{value}."),
                 "sentence": sentence}[form]
        messages += dialogue(ask(d, thing, relation), reply)
    return messages if len(messages) > 1 else styled(subjects, d)


# -------------------------------------------------------------------------------------- all kinds

class Kind(NamedTuple):
    """A kind of conversations; `rules` are those of the instructions that its answers follow."""

    make: Callable          # (Subjects, Dice) -> messages
    count: int              # how many there usually are
    rules: str


def of(task: Callable) -> Callable:
    """Conversations of one question and its answer: (Subjects, Dice) -> both."""
    return lambda subjects, d: dialogue(*task(subjects, d))


KINDS = {
    # questions about famous things; about those that some or few pages name; with pronouns
    "facts": Kind(facts, 5500, "1 2 3"), "rare": Kind(rare, 3500, "1 2 3"),
    "follow": Kind(follow, 2000, "1 2 3"),
    # word problems, the number alone or its steps, or these as a thought; the steps' equations
    "sums": Kind(of(lambda s, d: tasks.solved(s.public, d)), 8000, "2 4"),
    "thoughts": Kind(lambda s, d: tasks.thought(s.public, d), 4000, "2 4"),
    "drills": Kind(of(lambda s, d: tasks.drilled(s.public, d)), 5000, "2 4"),
    # where the system message offers the tool: problems and letters; facts of rare pages, cited
    "python": Kind(python, 4000, "4 5"), "search": Kind(search, 12000, "2 5"),
    # letters of words, and which of two decimals is larger, by the model alone
    "spelling": Kind(of(lambda s, d: tasks.spelled(d)[::4]), 2000, "4"),
    "traps": Kind(of(lambda s, d: tasks.decimals(d)[::4]), 800, "4"),
    # long rows of names, words and numbers, said again; a few words, in quotes, in small letters
    "copy": Kind(of(lambda s, d: tasks.copied(s.terms, d)), 20000, "1"),
    "repeat": Kind(of(lambda s, d: tasks.repeated(s.terms, d)), 14000, "1"),
    # greetings, thanks, opinions; what it should not help with, and what only sounds like it
    "small_talk": Kind(small_talk, 700, "1 7"),
    "decline": Kind(lambda s, d: perhaps_offered(
        d, dialogue(*persona.declined(s.public, d))), 600, "6"),
    # who it is by its system message, or how it should answer; who it is where nothing is said
    "system": Kind(lambda s, d: perhaps_offered(d, styled(s, d) if d.chance(0.25) else
                                                persona.as_told(s.public, d)), 3500, "1 3 8"),
    "identity": Kind(lambda s, d: perhaps_offered(d, persona.introductions(
        d, {"name": NAME, "maker": MAKER}, d.pick([1, 1, 1, 2, 3]))), 4000, "2 8"),
    # two to ten turns of many kinds, as people have them
    "dialogues": Kind(dialogues.conversation, 3500, "1 2 3 4 5 6 7 8")}
# Of these kinds, shares of their counts as documents to pretrain on.
PRACTICE = {"copy": 0.3, "repeat": 0.3, "search": 0.25, "sums": 0.12, "drills": 0.08}


def conversations(subjects: Subjects, kind: str, count: int, seed: int = 0):
    """Yield `count` conversations {"messages", "kind"} of a kind, the same ones for the same seed.
    Those that search need the subjects' index, of the pages that the model reads and of those that
    `unread` gives."""
    for k in range(count):
        yield {"messages": KINDS[kind].make(subjects, Dice(f"talk {seed} {kind} {k}")),
               "kind": kind}


def practice(subjects: Subjects, size: float = 1):
    """Yield documents {"text", "url"} of conversations in plain text, four in each: to copy, to
    read and to reckon is learnt best, by so small a model, while it learns to read at all. The
    pages that they read are of other worlds: those kept for searching stay unread."""
    number = 0
    for kind, part in PRACTICE.items():
        texts = []
        for k in range(max(1, round(part * size * KINDS[kind].count))):
            d = Dice(f"practice {subjects.world.seed} {kind} {k}")
            topics = d.pick(subjects.others) if kind == "search" else subjects
            texts.append("\n".join(
                re.sub(r" \(https://\S+\)", "", message["content"]) if message["content"] else
                json.loads(message["tool_calls"][0]["function"]["arguments"])["query"]
                for message in KINDS[kind].make(topics, d) if message["role"] != "system"))
        for at in range(0, len(texts), 4):
            number += 1
            yield {"url": f"https://exercises.example/{number}",
                   "text": "\n".join(texts[at:at + 4])}


def elsewhere(seed: int, folder: Path, budget: int) -> list:
    """Return Subjects of other worlds, with an index in `folder` of a page about each thing of
    theirs."""
    worlds = [World(OTHER + WORLDS * seed + k) for k in range(WORLDS)]
    pages = [(world, thing) for world in worlds for thing in world.things]
    write_lines(folder / "pages.jsonl", (entry(world, thing, number, 0)
                                         for number, (world, thing) in enumerate(pages, 1)))
    build([folder / "pages.jsonl"], folder / "pages.db")
    return [Subjects(world, Search(folder / "pages.db"), budget) for world in worlds]


# ------------------------------------------------------------------------------------- the command

def instructions() -> str:
    """What an ideal answer is, and which rules each kind of conversation shows."""
    kinds = "\n".join(f"    {name:12}{kind.rules}" for name, kind in KINDS.items())
    page = (text.FOLDER / "instructions.md").read_text("utf-8")
    return page.format(name=NAME, maker=MAKER, kinds=kinds)


@dataclass
class Talk:
    """Write conversations of the world: conversations/KIND.jsonl, to train an assistant on;
    practice.jsonl, documents to pretrain on; and search.db, what the assistant searches, unless
    there is an --index."""

    out: Path | None = flag(None, "the folder to write; without it, print what an ideal answer is")
    seed: int = flag(0, "which world, and which conversations")
    size: float = flag(1.0, "times the usual number of conversations, "
                       f"{sum(kind.count for kind in KINDS.values()):,}", limits="(0, inf)")
    index: Path | None = flag(None, "what the assistant searches (data/tools.py index); without "
                              "it, the embedded corpus and pages that no model has read")
    budget: int = flag(BUDGET, "characters of a search result", limits="[1, inf)")


def talk(s: Talk) -> None:
    """The command: `python data/world.py talk --out build/talk`."""
    if s.out is None:
        return print(instructions(), end="")
    if s.seed and not s.index:
        raise ChatError(f"--seed {s.seed} needs --index FILE, of that world's pages: the "
                        f"embedded corpus is about world 0")
    check_new(s.out)
    made = write(s.out, s.seed, s.size, s.index, s.budget)
    print(f"{s.out}: " + ", ".join(f"{kind} {count}" for kind, count in made.items()))


def write(folder: Path, seed: int = 0, size: float = 1, index: Path = None,
          budget: int = BUDGET) -> dict:
    """Write the files that `Talk` names, and unread.jsonl with the unread pages of the index;
    return {kind: how many conversations}. The folder conversations/ comes last, with all files at
    once: where it is, all is there."""
    world = World(seed)
    if index is None:
        index = folder / "search.db"
        write_lines(folder / "unread.jsonl", unread(world))
        build(["world", folder / "unread.jsonl"], index)
    with tempfile.TemporaryDirectory() as place:
        subjects = Subjects(world, Search(index), budget, elsewhere(seed, Path(place), budget))
        counts = {kind: max(1, round(one.count * size)) for kind, one in KINDS.items()}
        write_lines(folder / "practice.jsonl", practice(subjects, size))
        with progress(label="conversations", total=sum(counts.values())) as bar:
            write_files(folder / "conversations", {
                f"{kind}.jsonl": written(conversations(subjects, kind, count, seed), bar)
                for kind, count in counts.items()})
    return counts


def written(records, bar):
    """Yield records as JSON lines, and count them."""
    for record in records:
        bar.update()
        yield json.dumps(record, ensure_ascii=False).encode() + b"\n"
