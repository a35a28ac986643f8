"""Finds out what a model does not know, and makes conversations that teach it to say so.

As for Llama 3 (arXiv:2407.21783, section 4.3.6): questions whose answers are known are put to the
model several times each. Where it is right more often than not, a conversation gives the true
answer, so that declining does not spread; where it hardly ever is, one says that it does not know;
what lies between is left out. Trained on these, a model goes by whether a name is familiar.

A judge makes the questions of a document and judges the replies. That of the pocket world is exact.
Its documents are things: famous ones, rarer ones, ones that no page names, and those of other
worlds, whose names sound alike, so that no two unknown names need be the same. Never asked about is
what only exams ask about (data/exams_world.py). For other documents the judge is a model.

    python data/probe.py --model runs/sft --out build/probe.jsonl
    python data/probe.py --model runs/sft --data pages.jsonl --judge runs/judge --out probe.jsonl
    python data/probe.py --model runs/sft --data pages.jsonl --judge http://localhost:8080/v1 ...
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from csrc import cli
    cli.enter()

import argparse
import json
import os
import re
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from itertools import islice
from typing import NamedTuple, Protocol

from tqdm import tqdm

from csrc.files import ChatError, write_files
from data.chat import protocol
from data.exams import marks
from data.tokens import documents
from data.exams.formats import Question
from data.pocket.exams import all_values, truth_of
from data.pocket.talk import Pocket, answer, ask, called
from data.pocket.talk_asking import ASKING
from data.tokens.parallel import IF_SLOW
from data.pocket.world import World
from data.pocket.facts import facts_of
from data.pocket.grammar import Dice, say, tidy
from csrc.engine import Engine, Sampling
from csrc.runs import newest_model

REPLY = 64              # tokens of a reply at most: the answer is one sentence
KNOWN, UNKNOWN = 1 / 2, 1 / 3   # right more often: it knows; at most so often: it does not
VERDICTS = ("right", "wrong", "declined")


class Judge(Protocol):
    """What can tell whether a reply is right.

    at_once    how many calls may run at the same time
    questions  the exams.Questions about a document, with the answers in `worked`
    judge      one of VERDICTS on a reply (str)

    Either may raise a ValueError or an OSError, which says why it cannot tell.
    """

    at_once: int

    def questions(self, document) -> list[Question]: ...

    def judge(self, question: Question, reply: str) -> str: ...


# ------------------------------------------------------------------------------------- What it says

# Few and short, so that a small model learns when to say them rather than how.
DECLINE = ["I do not know {what}.", "I do not know that about {name}.", "I am not sure {what}."]
DECLINE_UNREAD = [*DECLINE, "I do not know: I have read nothing about {name}."]
DECLINE_PLAIN = ["I do not know.", "I do not know the answer to that.",
                 "I am not sure, and I do not want to guess."]


def decline(dice: Dice, truth: dict) -> str:
    """An answer that says that one does not know, which exams_score.declines understands.

    truth    of a question: where it has "what", a clause, that is not known about "name"
    """
    shapes = (DECLINE_PLAIN if "what" not in truth else
              DECLINE_UNREAD if truth["unread"] else DECLINE)
    return tidy(say(dice, dice.pick(shapes), truth))


# -------------------------------------------------------------------------------- The pocket world

ELSEWHERE = "elsewhere"     # the class of all things of other worlds
OTHER = 1000                # their seeds begin here
# Which share of the questions is about each class, a key of world_facts.FAME or ELSEWHERE.
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
    """The exact one, which knows the world and whose documents are things of it or of others.

    seed      of the wordings
    worlds    how many other worlds there are
    things    {class: all that may be asked about}
    """

    at_once = 1

    def __init__(self, seed=0, worlds=8):
        home, self.dice = World(), Dice(f"probe {seed}")
        self.things = {fame: [] for fame in SHARES}
        self.of = {}        # thing: its class, its Pocket, the values that its facts could have
        for world in home, *(strangers(home, OTHER + seed * worlds + k) for k in range(worlds)):
            pocket, values = Pocket(world), all_values(world)
            for thing in pocket.relations:
                if world is home or str(thing) not in home.taken:
                    fame = thing.fame if world is home else ELSEWHERE
                    self.things[fame].append(thing)
                    self.of[thing] = fame, pocket, values

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
        (fame, pocket, values), facts, found = self.of[thing], facts_of(thing), []
        for relation, attribute in pocket.relations[thing].items():
            fact, slots = facts[attribute], called(thing)
            truth = {**truth_of(thing, fact, values, unread=fame in ("none", ELSEWHERE)),
                     "name": slots["m"],
                     "what": say(self.dice, ASKING[fact.kind][relation][1], slots)}
            found.append(Question(fame, fact.id, "fact", ask(self.dice, thing, relation), truth,
                                  answer(pocket, self.dice, thing, relation)))
        return found

    def judge(self, question: Question, reply: str) -> str:
        """As exams_score.judge; about what no page tells, any answer is made up, right or not."""
        verdict = marks.judge(question.truth, reply)
        return "wrong" if verdict == "right" and question.truth["unread"] else verdict


# --------------------------------------------------------------------------------- A model as judge

PAGE = 6000             # characters of a document that the judge reads
EACH = 4                # questions about a document
JUDGED = 400            # tokens of what the judge says
PATIENCE = 60           # seconds that a server may take
TRIES = 16              # documents after which nothing is expected any more, if nothing came
MAKE = """{page}

Write {count} questions about facts that this page states. Each names whom or what it asks about, \
so that it can be understood without the page, and has one short answer. Write nothing but two \
lines for each question:
Q: the question
A: the answer"""
VERDICT = """Question: {question}
True answer: {answer}
Reply: {reply}

Does the reply give the true answer? Say one word: right, or wrong, or declined if the reply says \
that it does not know."""
PAIRS = re.compile(r"(?:Q: *(?:\S[^\n]*)\n+A: *(?:\S[^\n]*)(?:\n+|\Z))+")
PAIR = re.compile(r"Q: *(\S[^\n]*)\n+A: *(\S[^\n]*)")


class ModelJudge:
    """A model, which is asked in words, and believed only where it answers in the form asked for.

    tell    prompt -> reply: a Local or a Server
    """

    def __init__(self, tell):
        self.tell, self.at_once = tell, tell.at_once

    def questions(self, document: str) -> list[Question]:
        reply = self.tell(MAKE.format(page=document[:PAGE].strip(), count=EACH)).strip()
        if not PAIRS.fullmatch(reply):
            raise ChatError("the judge's questions are not in the form asked for")
        return [Question("documents", asked.strip(), "text", asked.strip(), {}, told.strip())
                for asked, told in PAIR.findall(reply)[:EACH]]

    def judge(self, question: Question, reply: str) -> str:
        said = self.tell(VERDICT.format(question=question.prompt, answer=question.worked,
                                        reply=" ".join(reply.split())))
        verdict = said.strip().rstrip(".").casefold()
        if verdict not in VERDICTS:
            raise ChatError(f"the judge's verdict is none of {', '.join(VERDICTS)}")
        return verdict


class Local:
    """A model's folder, run by our own engine."""

    at_once = 1

    def __init__(self, folder):
        self.engine = load(folder)

    def __call__(self, prompt: str) -> str:
        settings = Sampling(temperature=0, max_tokens=JUDGED, seed=0)
        reply, = replies(self.engine, [prompt], settings)
        if reply is None:
            raise ChatError(f"a prompt of {len(prompt)} characters does not fit the judge's "
                            f"context of {self.engine.model.config.context} tokens")
        return reply


class Server:
    """A server that speaks OpenAI's protocol, with the key of OPENAI_API_KEY if that is set.

    url      "http://localhost:8080/v1"
    model    as the server calls it; None: it has only one
    """

    at_once = 8

    def __init__(self, url, model=None):
        self.url = url.rstrip("/").removesuffix("/chat/completions") + "/chat/completions"
        self.model, self.key = {"model": model} if model else {}, os.environ.get("OPENAI_API_KEY")

    def __call__(self, prompt: str) -> str:
        body = {**self.model, "messages": [{"role": "user", "content": prompt}], "temperature": 0,
                "max_tokens": JUDGED}
        request = urllib.request.Request(self.url, json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        if self.key:        # which no other server is to see, if this one sends us there
            request.add_unredirected_header("Authorization", f"Bearer {self.key.strip()}")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                told = json.loads(response.read(1 << 20))
            content = told["choices"][0]["message"]["content"]
            content.encode()                # an error where it is no text
            return content
        except HTTPException as error:
            raise OSError(f"{self.url}: {error!r}") from error
        except OSError as error:
            raise OSError(f"{self.url}: {error}") from error
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
            raise ChatError(f"{self.url}: what it answers is not OpenAI's JSON, or no text is in "
                            f"it") from error


def choose(judge: Judge, documents, count: int, failed: Counter) -> list[Question]:
    """The first `count` questions that a judge makes of documents. ValueError if there are none."""
    documents, found, read = iter(documents), [], 0
    with tqdm(total=count, desc="making questions", **IF_SLOW) as bar:
        while len(found) < count and (found or read < TRIES) and (
                batch := [(text,) for text in islice(documents, judge.at_once)]):
            read += len(batch)
            for questions in attempt(judge, judge.questions, batch, failed):
                found += questions or ()
            bar.update(len(found) - bar.n)
    if not found:
        raise ChatError(f"the judge made no question of {read} documents{reasons(failed)}")
    return found[:count]


def attempt(judge: Judge, function, jobs: list, failed: Counter):
    """Yield function(*job) for each job, in order; None where it fails, and why is counted."""
    def one(job):
        try:
            return function(*job), None
        except (ValueError, OSError) as error:
            return None, str(error)

    with ThreadPoolExecutor(judge.at_once) as pool:
        for result, reason in pool.map(one, jobs):
            if reason:
                failed[reason] += 1
            yield result


def reasons(failed: Counter) -> str:
    return "".join(f"; {count} times: {reason}" for reason, count in failed.most_common(3))


# ---------------------------------------------------------------------------------------- The probe

class Probed(NamedTuple):
    question: Question
    verdicts: Counter

    @property
    def known(self) -> float:
        """The share of its replies that are right."""
        return self.verdicts["right"] / self.verdicts.total()


def load(folder) -> Engine:
    """The Engine of a model that can chat, or a ValueError."""
    engine = Engine.load(folder)
    if engine.talk is None:
        raise ChatError(f"{folder}: its tokenizer has no ChatML tokens, so it is no assistant; "
                        f"python train.py sft makes one")
    return engine


def replies(engine: Engine, prompts: list[str], settings: Sampling):
    """Yield the assistant's reply to each prompt; None where the prompt does not fit."""
    def turn(index, prompt):
        try:
            return engine.turn([{"role": "user", "content": prompt}], settings, index)
        except protocol.NoRoom:
            return None

    turns = [turn(*pair) for pair in enumerate(prompts)]
    running = [sequence for sequence in turns if sequence]
    with tqdm(total=len(running), desc="asking", unit=" replies", **IF_SLOW) as bar:
        for sequence, *_ in engine.generate(running):
            bar.update(bool(sequence.finish))
    for sequence in turns:
        yield sequence and "".join(message["content"] or "" for message in sequence.messages
                                   if message["role"] == "assistant")


def probe(engine: Engine, judge: Judge, questions: list[Question], times: int, settings: Sampling,
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
    verdicts = tqdm(attempt(judge, judge.judge, jobs, failed), "judging", len(jobs), **IF_SLOW)
    for (one, _), verdict in zip(pairs, verdicts):
        if verdict:
            one.verdicts[verdict] += 1
    return [one for one in asked[::times] if one.verdicts.total()]


def sort(probed: list[Probed]) -> dict[str, list[Probed]]:
    """{"known", "between", "unknown": what the model knows, and so on}."""
    found = {"known": [], "between": [], "unknown": []}
    for one in probed:
        found["known" if one.known > KNOWN else
              "unknown" if one.known <= UNKNOWN else "between"].append(one)
    return found


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
    return [{"messages": [{"role": "user", "content": one.question.prompt},
                          {"role": "assistant", "content": text}],
             "kind": "probe", "known": round(one.known, 3), "question_of": one.question.id}
            for one, text in dice.some(told, len(told))]


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


# --------------------------------------------------------------------------------- The command line

def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", metavar="FOLDER", help="the assistant to be probed (default: the newest run)")
    add("--data", nargs="+", default=["world"], metavar="X", help="what the questions are about: "
        "world, or documents: text files, JSON lines, Parquet, folders (default: world)")
    add("--judge", default="world", metavar="J", help="world, which knows the truth of --data world"
        "; a model's folder; or the URL of a server with OpenAI's protocol (default: world)")
    add("--judge-model", metavar="NAME", help="how the server calls its model, where it has many")
    add("--times", type=int, default=3, metavar="N", help="ask each question N times (default: 3)")
    add("--count", type=int, default=3000, metavar="N", help="N questions (default: 3000)")
    add("--worlds", type=int, default=8, metavar="N", help="take over half of the things that no "
        "page names from N other worlds; 0: none (default: 8)")
    add("--declining", type=float, default=0.65, metavar="X", help="the share of conversations "
        "that say that the answer is not known (default: 0.65)")
    add("--temperature", type=float, default=0.7, metavar="X", help="of the replies (default: 0.7)")
    add("--seed", type=int, default=0, metavar="S", help="the same seed, the same conversations")
    add("--out", type=Path, required=True, metavar="FILE", help="JSON lines to write")
    args = parser.parse_args(argv)
    for name, low, high in (("times", 1, 1000), ("count", 1, 10**7), ("worlds", 0, 1000),
                            ("declining", 0, 1), ("seed", 0, 2**32)):
        if not low <= (value := getattr(args, name)) <= high:
            raise ChatError(f"--{name} is {value}, but must be from {low} to {high}")
    if args.judge == "world" and args.data != ["world"]:
        raise ChatError(f"--judge world knows the truth of --data world alone: to judge what is "
                        f"said about {' '.join(args.data)}, name a model's folder or a URL")
    if args.out.is_dir():
        raise ChatError(f"{args.out}: a folder, but --out must name a file")
    return args


def main():
    args = parse(sys.argv[1:])
    settings = Sampling(temperature=args.temperature, max_tokens=REPLY, seed=args.seed)
    engine, failed = load(args.model or newest_model()), Counter()
    if args.judge == "world":
        judge = WorldJudge(args.seed, args.worlds)
        questions = judge.choose(args.count)
    else:
        is_url = re.match("https?://", args.judge)
        judge = ModelJudge(Server(args.judge, args.judge_model) if is_url else Local(args.judge))
        questions = choose(judge, documents.documents(*args.data), args.count, failed)
    probed = probe(engine, judge, questions, args.times, settings, failed)
    if not probed:
        raise ChatError(f"there is no verdict on any reply{reasons(failed)}")
    print(table(probed))
    print(*(f"left out {count} times: {reason}\n" for reason, count in failed.most_common()),
          sep="", end="")
    told = conversations(Dice(f"probe {args.seed} told"), probed, args.declining)
    if not told:
        counts = ", ".join(f"{len(some)} {name}" for name, some in sort(probed).items())
        raise ChatError(f"no conversation can be made, with a share of {args.declining} that "
                        f"decline, of the answers ({counts}): choose another --declining")
    write_files(args.out.parent, {args.out.name: (
        json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in told)})
    print(f"{args.out}: {len(told)} conversations")


if __name__ == "__main__":
    cli.run(main)
