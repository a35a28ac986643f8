"""Conversations of the pocket world, to make an assistant of a base model that has read its pages.

    facts       questions about famous things, and about some that few pages name
    follow      the same with pronouns, and with changes of the subject
    sums        arithmetic and word problems: the number alone, or its steps
    python      the same and letters, by a program        } where the system message offers the tool
    search      facts of rare pages, looked up and cited  }
    spelling    letters of words, by the model alone
    traps       which of two decimals is larger
    small_talk  greetings, thanks, opinions
    decline     what it should not help with, and what only sounds like it
    system      system messages: who it is there, and how it should answer
    identity    who it is where nothing else is said

They follow `INSTRUCTIONS`. What exams ask in data/exams_world.py is in none of them: no wording of
EXAM_ONLY or IDENTITY, no person of World.unasked, no word and no thing that is not famous for which
`examined` is true. All that they state is true in the world. What a small model can learn in
minutes is a matter of form: many wordings of a question, few of its answer, which begins with what
was asked about (Allen-Zhu and Li 2023, arXiv:2309.14316, on knowing and telling).

    python data/talk_world.py --out build/talk                      a file of JSON lines for a kind
    python data/talk_world.py unread --out build/unread.jsonl       pages that no model has read
    python data/talk_world.py instructions                          what an ideal answer is
"""
import sys
from pathlib import Path
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import csrc.venv  # re-runs the script in the environment that `make` built

import argparse
import json
import re
from functools import cache

from data import talk_world_asking as A
from data import talk_world_self as self_talk
from data import talk_world_tasks as work
from data.exams_world import EXAM_ONLY, examined, things
from data.talk_world_self import MAKER, NAME
from data.world import World
from data.world_facts import FAME, RELATIONS, facts_of, kind_of
from data.world_grammar import Dice, say, tidy
from data.world_pages import SLOT, state
from data.world_questions import ASK
from data.world_tellings import TELL
from csrc.files import write_files

# How often the conversations speak of each kind and each class of things.
KINDS = {"person": 0.55, "town": 0.17, "creature": 0.1, "dish": 0.09, "book": 0.05, "river": 0.04}
CLASSES = {"many": 0.7, "tens": 0.2, "few": 0.05, "one": 0.05}
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
    hidden      names that no user and no assistant says
    """

    def __init__(self, world: World):
        self.world, self.public = world, world.public
        self.hidden = {str(person) for person in world.unasked} | {str(thing) for thing in things(world)
                                 if thing.fame != "many" and examined(str(thing))}
        self.relations = {}
        for thing in things(world):
            if str(thing) not in self.hidden:
                self.relations[thing] = {fact.relation: attribute
                                         for attribute, fact in facts_of(thing).items()
                                         if fact.value not in self.hidden}
        self.pools = {(kind, fame): [thing for thing in self.relations
                                     if (kind_of(thing), thing.fame) == (kind, fame)]
                      for kind in KINDS for fame in FAME}

    def thing(self, d: Dice, classes: dict = CLASSES, kind: str = None):
        """A thing of chance, of a class of chance where its kind has any."""
        kind = kind or share(d, KINDS)
        classes = {fame: part for fame, part in classes.items() if self.pools[kind, fame]}
        return d.pick(self.pools[kind, share(d, classes)]) if classes else self.thing(d)

    def relation(self, d: Dice, thing, taken: list = ()) -> str | None:
        """A relation of the thing that is not in `taken`; None: there is no other."""
        left = [relation for relation in self.relations[thing] if relation not in taken]
        return d.pick(left) if left else None


# ----------------------------------------------------------------------------- questions and answers


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
                 if match[0] not in name]
        if words:
            at = d.pick(words).start() + 1 + d.upto(3)
            return text[:at] + text[at + 1] + text[at] + text[at + 2:]
    return text


def ask_then(d: Dice, thing, relation: str) -> str:
    """A later question about the same thing, by pronoun."""
    facts = called(thing, pronoun=True)
    names, _, questions, _ = A.ASKING[kind_of(thing)][relation]
    frame, x = d.pick(A.THEN), say(d, questions, facts)
    if frame.startswith("And"):
        x = x[0].lower() + x[1:]
    return tidy(say(d, frame, {**facts, "x": x, "l": say(d, names, facts)}))


def answer(pocket: Pocket, d: Dice, thing, relation: str) -> str:
    """A sentence that tells a fact: one of a few, seldom one of the pages'."""
    kind = kind_of(thing)
    if d.chance(0.1) and relation in TELL[kind]:
        told = tidy(state(pocket.public, d, thing, relation, True, pocket.world.asked, 0))
        if not any(name in told for name in pocket.hidden):
            return told
    return tidy(say(d, A.ASKING[kind][relation][-1], called(thing)))


def turn(question: str, reply: str) -> list:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]


def facts(pocket: Pocket, d: Dice) -> list:
    """One to four questions, each with its answer."""
    messages, thing, taken = [], pocket.thing(d), []
    for _ in range(d.pick([1, 1, 2, 2, 3, 4])):
        relation = pocket.relation(d, thing, taken)
        if relation is None or taken and d.chance(0.5):
            thing, taken = pocket.thing(d), []
            relation = pocket.relation(d, thing)
        taken.append(relation)
        messages += turn(ask(d, thing, relation), answer(pocket, d, thing, relation))
    return messages


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
    return styled(pocket, d) if d.chance(0.25) else self_talk.invented(pocket.public, d)


def identity(pocket: Pocket, d: Dice) -> list:
    return self_talk.own(d)


def sums(pocket: Pocket, d: Dice) -> list:
    return turn(*work.solved(pocket.public, d))


# ------------------------------------------------------------------------------------------- all

COUNTS = {"facts": 9000, "follow": 2500, "sums": 6000, "system": 2500, "identity": 400}
MAKERS = {"facts": facts, "follow": follow, "sums": sums, "system": system, "identity": identity}


def conversations(world: World, kind: str, count: int, seed=0):
    """Yield `count` conversations {"messages", "kind"}.

    kind     a key of COUNTS
    """
    pocket, make = Pocket(world), MAKERS[kind]
    for k in range(count):
        yield {"messages": make(pocket, Dice(f"talk {seed} {kind} {k}")), "kind": kind}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, metavar="S",
                        help="which world and which conversations (default: 0)")
    parser.add_argument("--size", type=float, default=1, metavar="N",
                        help="N up to 10: as many times the usual number; else: so many "
                             "conversations of each kind")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    args = parser.parse_args()
    world, files = World(args.seed), {}
    for kind, count in COUNTS.items():
        count = round(count * args.size if args.size <= 10 else args.size)
        files[f"{kind}.jsonl"] = [(json.dumps(one, ensure_ascii=False) + "\n").encode()
                                  for one in conversations(world, kind, count, args.seed)]
    write_files(args.out, files)
    print(f"{args.out}: {sum(map(len, files.values()))} conversations in {len(files)} files")


if __name__ == "__main__":
    csrc.venv.run(main)
