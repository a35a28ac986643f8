"""Find out what a model knows: ask it questions, judge its replies, and make conversations of them.

A judge has `questions(document)`, Questions with the answers in `worked`; `judge(question, reply)`,
one of VERDICTS; and `at_once`, how many calls may run at the same time. Where it cannot tell, it
raises a ChatError or an OSError that says why.

WorldJudge is exact. Its documents are things of the world: famous ones, rarer ones, ones that no
page names, and things of other worlds, whose names sound alike, so that no two unknown names need
be the same. It never asks what only exams ask (data/pocket/exams.py). For other documents the judge
is a model.
"""

import json
import os
import re
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from itertools import islice
from typing import NamedTuple

from csrc.engine import Engine, Sampling
from csrc.files import ChatError
from csrc.shown import progress
from data.chat import protocol, turn
from data.exams import marks
from data.exams.formats import Question
from data.pocket import text
from data.pocket.asking import Subjects, answer, ask, slots_of
from data.pocket.exams import all_values, truth_of
from data.pocket.facts import facts_of
from data.pocket.grammar import Dice, say, tidy
from data.pocket.persona import dialogue
from data.pocket.world import World

KNOWN, UNKNOWN = 1 / 2, 1 / 3   # right more often: it knows; at most so often: it does not
VERDICTS = ("right", "wrong", "declined")


# -------------------------------------------------------------------------------- the pocket world

ELSEWHERE = "elsewhere"     # the class of all things of other worlds
OTHER = 1000                # their seeds begin here
# Which share of the questions is about each class, a key of facts.FAME or ELSEWHERE.
SHARES = {"many": 0.3, "tens": 0.1, "few": 0.05, "one": 0.05, "none": 0.2, ELSEWHERE: 0.3}


def strangers(home: World, seed: int) -> World:
    """Another world, half of whose people and dishes have names that begin as a name at home does:
    not the sound alone, and no single word, tells what one has read."""
    world, dice = World(seed), Dice(f"strangers {seed}")
    for ours, theirs in (home.people, world.people), (home.dishes, world.dishes):
        known = [one.name for one in ours if one.fame != "none"]
        for one in theirs:
            if dice.chance(0.5):
                one.name = f"{dice.pick(known).split()[0]} {one.name.split(maxsplit=1)[1]}"
    return world


class WorldJudge:
    """The exact judge. `things` are {class: all that may be asked about}, `known` {thing: (class,
    Subjects, the values that its facts could have)}, of this world and so many others."""

    at_once = 1

    def __init__(self, seed=0, worlds=8):
        home, self.dice = World(), Dice(f"probe {seed}")
        self.things, self.known = {fame: [] for fame in SHARES}, {}
        for world in home, *(strangers(home, OTHER + seed * worlds + k) for k in range(worlds)):
            subjects, values = Subjects(world), all_values(world)
            for thing in subjects.relations:
                if world is home or str(thing) not in home.taken:
                    fame = thing.fame if world is home else ELSEWHERE
                    self.things[fame].append(thing)
                    self.known[thing] = fame, subjects, values

    def choose(self, count: int) -> list[Question]:
        """About `count` questions: of each class what SHARES says, or all there are, and about as
        many different things as there can be."""
        shares, chosen = dict(SHARES), []
        if not self.things[ELSEWHERE]:
            shares["none"] += shares.pop(ELSEWHERE)
        for fame, share in shares.items():
            most = max(1, round(count * share))
            ranked = [pair for thing in self.dice.some(self.things[fame], most)
                      for pair in enumerate(self.dice.some(self.questions(thing), most))]
            ranked.sort(key=lambda pair: pair[0])       # one about each thing, then a second
            chosen += [question for _, question in ranked[:most]]
        return chosen

    def questions(self, thing) -> list[Question]:
        """One about each fact of a thing, but those whose answers only exams may name."""
        (fame, subjects, values), facts, found = self.known[thing], facts_of(thing), []
        for relation, attribute in subjects.relations[thing].items():
            fact, slots = facts[attribute], slots_of(thing)
            truth = {**truth_of(thing, fact, values, unread=fame in ("none", ELSEWHERE)),
                     "name": slots["m"],
                     "what": say(self.dice, text.asking()[fact.kind][relation].clauses, slots)}
            found.append(Question(fame, fact.id, "fact", ask(self.dice, thing, relation), truth,
                                  answer(subjects, self.dice, thing, relation)))
        return found

    def judge(self, question: Question, reply: str) -> str:
        """As marks.judge; about what no page tells, any answer is made up, right or not."""
        verdict = marks.judge(question.truth, reply)
        return "wrong" if verdict == "right" and question.truth["unread"] else verdict


# --------------------------------------------------------------------------------- a model as judge

PAGE = 6000             # characters of a document that the judge reads
EACH = 4                # questions about a document
JUDGED = 400            # tokens of what the judge says
PATIENCE = 60           # seconds that a server may take
TRIES = 16              # documents after which nothing is expected any more, if nothing came
PAIRS = re.compile(r"(?:Q: *(?:\S[^\n]*)\n+A: *(?:\S[^\n]*)(?:\n+|\Z))+")
PAIR = re.compile(r"Q: *(\S[^\n]*)\n+A: *(\S[^\n]*)")


class ModelJudge:
    """A model, which is asked in words, and believed only where it answers in the form asked for.
    `tell` is a function prompt -> reply: `local` or `server`."""

    def __init__(self, tell, at_once=1):
        self.tell, self.at_once = tell, at_once

    def ask(self, prompt: str, **slots) -> str:
        """The reply to a prompt of text/judge.md."""
        return self.tell(text.raw("judge.md")[prompt].strip("\n").format(**slots)).strip()

    def questions(self, document: str) -> list[Question]:
        """What the model asks about the beginning of a document."""
        reply = self.ask("questions", page=document[:PAGE].strip(), count=EACH)
        if not PAIRS.fullmatch(reply):
            raise ChatError("the judge's questions are not in the form asked for")
        return [Question("documents", asked.strip(), "text", asked.strip(), {}, told.strip())
                for asked, told in PAIR.findall(reply)[:EACH]]

    def judge(self, question: Question, reply: str) -> str:
        """The model's verdict."""
        said = self.ask("verdict", question=question.prompt, answer=question.worked,
                        reply=" ".join(reply.split()))
        verdict = said.rstrip(".").casefold()
        if verdict not in VERDICTS:
            raise ChatError(f"the judge's verdict is none of {', '.join(VERDICTS)}")
        return verdict


def local(folder):
    """A model's folder, run by our own engine."""
    engine = load(folder)

    def tell(prompt: str) -> str:
        reply, = replies(engine, [prompt], Sampling(temperature=0, max_tokens=JUDGED, seed=0))
        if reply is None:
            raise ChatError(f"a prompt of {len(prompt)} characters does not fit the judge's "
                            f"context of {engine.model.config.context} tokens")
        return reply

    return tell


def server(url, model=None):
    """A server that speaks OpenAI's protocol, such as http://localhost:8080/v1, with the key of
    OPENAI_API_KEY if that is set. `model` is as the server calls it; None: it has only one."""
    url = url.rstrip("/").removesuffix("/chat/completions") + "/chat/completions"

    def tell(prompt: str) -> str:
        body = {**({"model": model} if model else {}), "temperature": 0, "max_tokens": JUDGED,
                "messages": [{"role": "user", "content": prompt}]}
        request = urllib.request.Request(url, json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        if key := os.environ.get("OPENAI_API_KEY"):     # no other server gets it, if sent there
            request.add_unredirected_header("Authorization", f"Bearer {key.strip()}")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                content = json.loads(response.read(1 << 20))["choices"][0]["message"]["content"]
            content.encode()                # an error where it is no text
            return content
        except (OSError, HTTPException) as error:
            raise OSError(f"{url}: {str(error) or repr(error)}") from error
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
            raise ChatError(f"{url}: what it answers is not OpenAI's JSON, or no text is in "
                            f"it") from error

    return tell


def choose(judge, documents, count: int, failed: Counter) -> list[Question]:
    """The first `count` questions that a judge makes of documents. ChatError if there are none."""
    documents, found, read = iter(documents), [], 0
    with progress(label="making questions", total=count) as bar:
        while len(found) < count and (found or read < TRIES) and (
                batch := [(text,) for text in islice(documents, judge.at_once)]):
            read += len(batch)
            for questions in attempt(judge, judge.questions, batch, failed):
                found += questions or ()
            bar.update(len(found) - bar.n)
    if not found:
        raise ChatError(f"the judge made no question of {read} documents{reasons(failed)}")
    return found[:count]


def attempt(judge, function, jobs: list, failed: Counter):
    """Yield function(*job) for each job, in order; None where it fails, and why is counted."""
    with ThreadPoolExecutor(judge.at_once) as pool:
        for future in [pool.submit(function, *job) for job in jobs]:
            try:
                yield future.result()
            except (ChatError, OSError) as error:
                failed[str(error)] += 1
                yield None


def reasons(failed: Counter) -> str:
    """The most frequent reasons of failure, to follow a sentence."""
    return "".join(f"; {count} times: {reason}" for reason, count in failed.most_common(3))


# -------------------------------------------------------------------------------------- the probe

class Probed(NamedTuple):
    """A question, and the verdicts on the replies to it."""

    question: Question
    verdicts: Counter

    @property
    def known(self) -> float:
        """The share of its replies that are right."""
        return self.verdicts["right"] / self.verdicts.total()


def load(folder) -> Engine:
    """The Engine of a model that can chat, or a ChatError."""
    engine = turn.load(folder)
    if any(name not in engine.tokenizer.specials for name in protocol.CHATML):
        raise ChatError(f"{folder}: its tokenizer has no ChatML tokens, so it is no assistant; "
                        f"python train.py sft makes one")
    return engine


def replies(engine: Engine, prompts: list[str], settings: Sampling):
    """Yield the assistant's reply to each prompt; None where the prompt does not fit."""
    def begun(index, prompt):
        try:
            return turn.Turn(engine, [{"role": "user", "content": prompt}], settings, index)
        except protocol.NoRoom:
            return None

    turns = [begun(*pair) for pair in enumerate(prompts)]
    with progress(label="asking", total=len(prompts), unit=" replies") as bar:
        for sequence, *_ in engine.generate([sequence for sequence in turns if sequence]):
            bar.update(bool(sequence.finish))
    for sequence in turns:
        yield sequence and "".join(message["content"] or "" for message in sequence.messages
                                   if message["role"] == "assistant")


def probe(engine: Engine, judge, questions: list[Question], times: int, settings: Sampling,
          failed: Counter) -> list[Probed]:
    """Ask each question `times` times, and judge the replies. Left out are questions that do not
    fit the context, and those on none of whose replies there is a verdict; why is counted."""
    asked = [one for one in (Probed(question, Counter()) for question in questions)
             for _ in range(times)]
    told = replies(engine, [one.question.prompt for one in asked], settings)
    pairs = [(one, reply) for one, reply in zip(asked, told) if reply is not None]
    if len(pairs) < len(asked):
        failed["the question does not fit the model's context"] += len(asked) - len(pairs)
    jobs = [(one.question, reply) for one, reply in pairs]
    verdicts = progress(attempt(judge, judge.judge, jobs, failed), "judging", total=len(jobs))
    for (one, _), verdict in zip(pairs, verdicts):
        if verdict:
            one.verdicts[verdict] += 1
    return [one for one in asked[::times] if one.verdicts.total()]


def sort(probed: list[Probed]) -> dict[str, list[Probed]]:
    """{"known", "between", "unknown": what the model knows, and so on}."""
    return {"known": [one for one in probed if one.known > KNOWN],
            "between": [one for one in probed if UNKNOWN < one.known <= KNOWN],
            "unknown": [one for one in probed if one.known <= UNKNOWN]}


def decline(dice: Dice, truth: dict) -> str:
    """An answer that says that one does not know, which marks.declines understands.

    truth    of a question: where it has "what", a clause, that is not known about "name"
    """
    about = "plain" if "what" not in truth else "unread" if truth["unread"] else "fact"
    return tidy(say(dice, dice.pick(text.lines("decline", "unknown", about)), truth))


def conversations(dice: Dice, probed: list[Probed], declining: float) -> list[dict]:
    """Records {"messages", "kind", "known": share of right replies, "question_of": id of the fact},
    as many as there can be of which the share `declining` says that it does not know. Where more
    is unknown, what no page tells comes first: of what it has read it may be able to tell more than
    it did, and no familiar name should stand for those that are not."""
    found = sort(probed)
    known, unknown = (dice.some(found[name], len(found[name])) for name in ("known", "unknown"))
    unknown.sort(key=lambda one: not one.question.truth.get("unread"))
    most = min(len(known) / (1 - declining) if declining < 1 else len(unknown),
               len(unknown) / declining if declining else len(known))
    told = [(one, one.question.worked) for one in known[:round(most * (1 - declining))]]
    told += [(one, decline(dice, one.question.truth)) for one in unknown[:round(most * declining)]]
    return [{"messages": dialogue(one.question.prompt, reply), "kind": "probe",
             "known": round(one.known, 3), "question_of": one.question.id}
            for one, reply in dice.some(told, len(told))]


def table(probed: list[Probed]) -> str:
    """What came of the questions of each class, in percent of the replies, and how many of the
    questions' answers are known."""
    lines = [f"{'':10}{'asked':>7}" + "".join(f"{name:>10}" for name in (*VERDICTS, *sort([])))]
    for fame in dict.fromkeys(one.question.exam for one in probed):
        some = [one for one in probed if one.question.exam == fame]
        total = sum((one.verdicts for one in some), Counter())
        lines.append(f"{fame:10}{len(some):7}" + "".join(
            f"{total[name] / total.total():10.0%}" for name in VERDICTS) + "".join(
            f"{len(those):10}" for those in sort(some).values()))
    return "\n".join(lines)
