"""Asks models all exams: what `infer.py eval` does.

    python infer.py eval                                                  the newest run
    python infer.py eval --model base=runs/base --model sft=runs/sft --html build/report.html
    python infer.py eval --no-world --exam gsm8k/test.jsonl --examples gsm8k/train.jsonl

A base model goes on with documents, and its choices are compared by their likelihood; an assistant
answers messages, the likeliest token each time. Both go on with sentences of pages. Where tools are
offered, the system message says so, as in training (data/talk.py), and all that are on are offered.
The same model gives the same figures, whatever else is asked beside.
"""

import os
import sys
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from csrc.files import ChatError, to_json, write_files
from data import recall
from data.chat import protocol, tools
from data.chat.protocol import is_assistant
from data.exams import formats, report
from data.pocket import talk
from data.exams.formats import Question
from data.exams.report import PAGES, natural
from data.exams.marks import URL, mark, mark_likelihood, summary
from data.pocket.exams import HOW, completions, facts, identity, problems, spelling, traps
from data.tokens.parallel import IF_SLOW, batches, explaining_dead_workers, workers
from data.pocket.world import World
from data.pocket.facts import FAME
from csrc.engine import Engine, Sequence, Sampling
from csrc.runs import newest_model

# The most tokens of an answer, by the kind of its question, and never over half the context.
ROOM = {"completion": 32, "letter": 32, "single": 64, "spelled": 64, "compared": 64, "named": 64,
        "fact": 128, "text": 128, "call": 128, "sum": 192, "number": 256, "code": 512}
TOOL_ROOM = 512         # where tools are offered: calls and results count, too
FORWARD = 1024          # tokens whose likelihood is computed at a time
# Whom a system message makes of the assistant: names that stand in no page and no conversation.
STRANGERS = [("Quillon", "Ferrowick Works"), ("Tansy", "Brightmoor Labs"),
             ("Obrecht", "Saltmarsh Computing"), ("Marchetta", "Ostler and Daughters"),
             ("Vexley", "Nine Oaks Institute"), ("Pomona", "Harbourlight"),
             ("Zebulon", "Tinderbox Systems"), ("Ottoline", "Greywater College"),
             ("Faraday", "Copperfield Machines"), ("Isolde", "Northgate Research")]


class Asked(NamedTuple):
    """A question, and how it is put to a model.

    way      "turn": it answers messages; "document": it goes on with a text; "choice": its
             likeliest continuation counts
    offered  the tools that a system message offers, as tools.registry has them
    wanted   which of these the question needs; "" where it needs none
    """

    question: Question
    way: str
    offered: dict = {}
    wanted: str = ""


class Answer(NamedTuple):
    """What a model made of an Asked.

    shown    [(who, text)]: the transcript
    results  [(exam, marks)], for exams_score.summary; the first are the question's own
    """

    question: Question
    shown: list
    results: list


class Outcome(NamedTuple):
    """All about one model; notes: sentences about what was left out."""

    label: str
    folder: str
    answers: list
    notes: list

    @property
    def figures(self):
        return summary(result for answer in self.answers for result in answer.results)


class Truth(NamedTuple):
    """What else marking needs to know.

    run   runs a program, see exams_score.mark_code; None: there is no sandbox
    urls  {fact: addresses of the pages that state it}, of pages that no model has read
    """

    run: object = None
    urls: dict = {}


# -------------------------------------------------------------------------------------- what to ask

def world_exams(world, count, assistant, offered, pages=None) -> list[Asked]:
    """Return all that is asked about the pocket world, up to `count` questions an exam.

    assistant  whether the model answers messages; of others only what documents can ask
    offered    {name: tools.Tool} of the tools that are on
    pages      {fact: how many training pages state it}; None: nothing is asked by these
    """
    asked = [Asked(question, way_of(question, assistant)) for question in chain(
        completions(world, count=count),
        completions(world, heldout=True, count=count, exam="recall_completion_heldout"),
        recall.questions(world, pages, count) if pages else (),
        *(facts(world, fame, count=count) for fame in FAME), facts(world, "many", True, count),
        problems(world, "at_once", count), problems(world, "steps", count),
        spelling(world.seed, count), traps(world.seed, count),
        identity(talk.NAME, talk.MAKER))]
    if not assistant:
        return asked
    introduced = [replace(question, system=f"You are {name}, made by {maker}.")
                  for name, maker in STRANGERS
                  for question in identity(name, maker, "identity_system")]
    asked += [Asked(question, "turn") for question in introduced]
    needed = {
        "python": [*problems(world, "python", count),
                   *spelling(world.seed, count, "spelling_tool", HOW["python"])],
        "search": facts(world, "none", count=count, exam="search_facts_unread", searched=True),
        "": [replace(question, exam="tool_use_unneeded") for question in introduced]}
    return asked + [Asked(replace(question, system=protocol.offering(question.system, offered)), "turn",
                          offered, tool)
                    for tool, questions in needed.items() if offered and tool in {"", *offered}
                    for question in questions]


def file_exams(files, examples, shots, count) -> list[Question]:
    """Return the questions of exams in files, up to `count` of each, evenly spread over it."""
    questions = []
    for file in files:
        found = formats.read(file, examples, shots)
        n = min(count, len(found))
        questions += [found[i * len(found) // n] for i in range(n)]
    return questions


def way_of(question, assistant) -> str:
    if question.continuations and (question.kind == "ending" or not assistant):
        return "choice"
    return "turn" if assistant and question.kind != "completion" else "document"


# ------------------------------------------------------------------------------------------- asking

def ask(engine, asked, truth, label) -> tuple[list, list]:
    """Return the Answers of a model, in the order of `asked`, and sentences about what did not fit.

    Examples are left out, the first ones first, until a prompt leaves room for an answer; a
    question that is too long even without any is not asked and counts as wrong.
    """
    fitted = [fitting(engine, one) for one in tqdm(asked, f"{label}: reading", **IF_SLOW)]
    running = {i: sequence(engine, one) for i, one in enumerate(fitted)
               if one and one.way != "choice"}
    with tqdm(total=len(running), desc=f"{label}: answering", **IF_SLOW) as bar:
        for grown, *_ in engine.generate(running.values()):
            bar.update(bool(grown.finish))
    likely = likelihoods(engine, [
        (engine.encode(one.question.text()), engine.tokenizer.encode(text)) for one in fitted
        if one and one.way == "choice" for text in one.question.continuations], label)
    answers = []
    for i, (before, one) in enumerate(zip(asked, fitted)):
        if one is None:
            answers.append(unasked(before, truth))
        elif one.way == "choice":
            answers.append(chosen(one.question, [next(likely) for _ in one.question.continuations]))
        else:
            answers.append(written(one, running[i], truth))
    return answers, notes(asked, fitted, engine.model.config.context)


def fitting(engine, asked):
    """Return an Asked that leaves room for its answer, without the first of its examples if need
    be; None if it does not even without all."""
    context = engine.model.config.context
    while size(engine, asked) > context - room(asked, context):
        question = asked.question
        if not question.shots:
            return None
        asked = asked._replace(question=replace(question, shots=question.shots[1:]))
    return asked


def room(asked, context):
    if asked.way == "choice":
        return 0
    return min(TOOL_ROOM if asked.offered else ROOM[asked.question.kind], context // 2)


def size(engine, asked):
    question = asked.question
    if asked.way == "turn":
        return len(engine.talk.prompt(question.messages())[0])
    choices = question.continuations if asked.way == "choice" else ()
    longest = max((len(engine.tokenizer.encode(text)) for text in choices), default=0)
    return len(engine.encode(question.text())) + longest


def sequence(engine, asked):
    """Return the Sequence in which the model answers; a document ends before the next question,
    which a base model makes up and answers, too."""
    question, stop = asked.question, ()
    if asked.way == "document":
        stop = (*question.stop, *(() if question.opening else formats.STOP))
    settings = Sampling(temperature=0, seed=0, max_tokens=room(asked, engine.model.config.context),
                        stop=stop)
    if asked.way == "document":
        return Sequence(engine.encode(question.text()), settings)
    return engine.turn(question.messages(), settings, tools=asked.offered or None)


def likelihoods(engine, rows, label):
    """Yield (sum of log-probabilities in nats, number of tokens) of continuations.

    rows  [(ids of the text before, ids of the continuation)]
    """
    found, lengths = [None] * len(rows), [len(text) + len(more) - 1 for text, more in rows]
    order = sorted(range(len(rows)), key=lambda i: lengths[i])
    with tqdm(total=len(rows), desc=f"{label}: choosing", **IF_SLOW) as bar:
        for some in batches(order, FORWARD, lengths.__getitem__):
            tokens = np.zeros((len(some), lengths[some[-1]]), np.int32)
            targets = np.full_like(tokens, -1)
            for row, i in enumerate(some):
                text, more = rows[i]
                tokens[row, :lengths[i]] = [*text, *more][:-1]
                targets[row, len(text) - 1:lengths[i]] = more
            nll = engine.model.forward(tokens, targets)      # 0 where there is no target
            for i, nats in zip(some, -nll.sum(1, dtype=np.float64)):
                found[i] = float(nats), len(rows[i][1])
            bar.update(len(some))
    return iter(found)


# ------------------------------------------------------------------------------------------ marking

def written(asked, grown, truth) -> Answer:
    """The Answer of a Sequence that has ended."""
    question = asked.question
    if asked.way == "document":
        shown, said, called = [("document", question.text()), ("model", grown.text)], grown.text, ()
    else:
        messages = grown.messages
        said = messages[-1]["content"] if messages and messages[-1]["role"] == "assistant" else ""
        shown = transcript([*question.messages(), *messages])
        called = {call["function"]["name"] for message in messages
                  for call in message.get("tool_calls", ())}
    return Answer(question, shown, results(asked, said or "", called, truth))


def transcript(messages) -> list:
    """Return [(who, text)] of messages: what is said, thought and called, and what came of it."""
    shown = []
    for message in messages:
        role = {"tool": "result"}.get(message["role"], message["role"])
        parts = [("thought", message.get("reasoning_content")), (role, message["content"])]
        for call in message.get("tool_calls", ()):
            name, arguments = protocol.read_call(call)
            parts.append((f"call of {name}", protocol.written(name, arguments)))
        shown += [(who, text) for who, text in parts if text]
    return shown


def results(asked, said, called, truth) -> list:
    """Return [(exam, marks)] of an answer, where it called these tools."""
    question = asked.question
    if asked.offered and not asked.wanted:
        return [(question.exam, {"": bool(called)})]
    marks = mark(question, said, truth.run)
    if PAGES.match(question.exam):
        marks = {"": marks[""]}
    found = [(question.exam, marks)]
    if asked.wanted:
        found.append(("tool_use", {"": asked.wanted in called}))
    if asked.wanted == "search":
        cited = {url.rstrip(".,;:!?") for url in URL.findall(said)}
        right = bool(cited) and cited <= truth.urls.get(question.id, set())
        found.append(("search_url_right", {"": right}))
    return found


def chosen(question, scores) -> Answer:
    """The Answer of a model that finds these continuations (nats, tokens) likely."""
    marks = mark_likelihood(question, lambda text, continuations: scores)
    best = max(range(len(scores)), key=lambda k: scores[k][0])
    return Answer(question, [("document", question.text()),
                             ("likeliest", question.continuations[best])], [(question.exam, marks)])


def unasked(asked, truth) -> Answer:
    """The Answer to a question that did not fit: wrong."""
    question = asked.question
    found = (results(asked, "", (), truth) if asked.way != "choice" else
             chosen(question, [(-float(k == question.truth), 1)
                               for k in range(len(question.choices))]).results)
    return Answer(question, [("too long", question.prompt)], found)


def notes(asked, fitted, context) -> list[str]:
    """Return a sentence for each exam that did not fit the context as it was."""
    counts = {}
    for before, after in zip(asked, fitted):
        count = counts.setdefault(before.question.exam, [0, 0, 0])
        count[0] += 1
        count[1] += bool(after) and after.question.shots != before.question.shots
        count[2] += after is None
    return [f"{exam}: for a context of {context} tokens {short} of {n} questions have fewer "
            f"examples, and {lost} are too long and count as wrong"
            for exam, (n, short, lost) in counts.items() if short or lost]


# ------------------------------------------------------------------------------------------ figures

# Of several models: the figures that are told by their own names, where a model is labelled so.
HEADLINES = {"recall_completion": ("base", "recall_completion"),
             **{name: ("sft", name) for name in (
                 "facts_many", "facts_many_heldout", "facts_tens", "facts_few", "facts_one",
                 "facts_none_made_up", "identity_system")},
             "identity_none": ("sft", "identity"),
             "probed_facts_many": ("assistant", "facts_many"),
             "probed_facts_many_heldout": ("assistant", "facts_many_heldout"),
             "probed_facts_none_declined": ("assistant", "facts_none_declined"),
             "identity_data": ("assistant", "identity"),
             **{name: ("assistant", name) for name in (
                 "word_at_once", "word_steps", "word_python", "spelling_model", "spelling_tool",
                 "search_facts_unread", "search_url_right")}}


def report(outcomes) -> dict:
    """Return {"model", "figures"}: of one model as they are called; of several with LABEL_ before
    them, and the HEADLINES beside."""
    if len(outcomes) == 1:
        return {"model": outcomes[0].folder, "figures": outcomes[0].figures}
    of = {outcome.label: outcome.figures for outcome in outcomes}
    figures = {name: of[label][figure] for name, (label, figure) in HEADLINES.items()
               if figure in of.get(label, {})}
    figures |= {f"{label}_{name}": figure for label in of for name, figure in of[label].items()}
    return {"model": {outcome.label: outcome.folder for outcome in outcomes}, "figures": figures}


def table(outcomes) -> str:
    """Return a line a figure and a column a model: its value, 95 % interval and n."""
    of = [outcome.figures for outcome in outcomes]
    names = sorted(set().union(*of), key=natural)
    width = max(map(len, names), default=0)
    lines = [" " * width + "".join(f"   {outcome.label:>24.24}" for outcome in outcomes)]
    for name in names:
        line = f"{name:{width}}"
        for figures in of:
            cell = "-"
            if found := figures.get(name):
                value, low, high = (100 * found[key] for key in ("value", "low", "high"))
                cell = f"{value:5.1f} %  {low:3.0f} – {high:3.0f} {found['n']:6}"
            line += f"   {cell:>24}"
        lines.append(line)
    return "\n".join(lines)


# --------------------------------------------------------------------------------- the command line

def evaluate(args):
    """Ask the models of `args`, those of `python infer.py eval`, print their figures and write what
    was wished for. ValueError or OSError before the first model is loaded, if one can be."""
    models = labelled(args.model or [newest_model()])
    for _, folder in models:
        if not (folder / "config.json").is_file():
            raise FileNotFoundError(f"{folder}: there is no model in it (no config.json)")
    for path in filter(None, (args.out, args.html)):
        if Path(path).is_dir():
            raise ChatError(f"{path} is a folder: name a file in it")
    for flag, value, least in ("--count", args.count, 1), ("--shots", args.shots, 0):
        if value < least:
            raise ChatError(f"{flag} is {value}, but must be {least} or more")
    if args.no_world and not args.exam:
        raise ChatError("--no-world without --exam FILE leaves nothing to ask")
    questions = file_exams(args.exam or (), args.examples, args.shots, args.count)
    registry = tools.registry(args.index)
    if args.index and (off := registry["search"].off):
        raise ChatError(off)
    on = {name for name, tool in registry.items() if tool.off is None}
    said = [f"{name} is off, and what needs it is left out: {tool.off}"
            for name, tool in registry.items() if tool.off]
    if "python" not in on:
        questions = [question for question in questions if question.kind != "code"]
    world = None if args.no_world else World(args.world)
    truth = Truth(program_ends if "python" in on else None,
                  pages_unread(world) if world and "search" in on else {})
    pages = recall.stated(args.training) if world and args.training else None
    at_once = min(args.workers, len(models))
    with explaining_dead_workers(), workers(at_once) as pool:
        futures = [pool.submit(examine, *model, args, questions, truth, pages, on, at_once)
                   for model in reversed(models)]           # the last has tools, and most to do
        outcomes = [future.result() for future in reversed(futures)]
    print(table(outcomes))
    said += [f"{outcome.label}: {note}" for outcome in outcomes for note in outcome.notes]
    for sentence in said:
        print(sentence, file=sys.stderr)
    if args.out:
        save(args.out, to_json(report(outcomes)))
    if args.html:
        save(args.html, [report.page(outcomes, said).encode()])


def examine(label, folder, args, questions, truth, pages, on, at_once) -> Outcome:
    """Ask one model the world's questions and these.

    pages    as recall.stated counts them, or None
    on       names of the tools that are not off
    at_once  how many models share the threads
    """
    engine = Engine.load(folder, args.device, args.dtype)
    if at_once > 1:
        engine.model.core.call("device_threads", max(1, os.cpu_count() // at_once))
    assistant = not args.base and is_assistant(engine, folder)
    registry = tools.registry(args.index, tools.budget_of(engine.model.config.context))
    offered = {name: registry[name] for name in registry if name in on}
    asked = [] if args.no_world else world_exams(World(args.world), args.count, assistant, offered,
                                                 pages)
    asked += [Asked(question, way_of(question, assistant)) for question in questions]
    answers, notes = ask(engine, asked, truth, label)
    return Outcome(label, str(folder), answers, notes)


def labelled(given) -> list[tuple]:
    """Return (label, folder) of each LABEL=FOLDER, or FOLDER, whose name is its label then."""
    models = []
    for text in map(str, given):
        label, equals, folder = text.partition("=")
        if not equals or Path(text).is_dir():
            label, folder = Path(text).resolve().name, text
        if not label or label in dict(models):
            raise ChatError(f"--model {text}: the label {label!r} is "
                            f"{'taken: write LABEL=FOLDER' if label else 'empty'}")
        models.append((label, Path(folder)))
    return models


def program_ends(code):
    """Run a program as exams_score.mark_code wants: whether it ended well shows in its output."""
    return True, tools.python(code).text


def pages_unread(world) -> dict:
    """{fact: addresses of the pages that state it} of the pages that no model has read."""
    urls = {}
    for document in talk.unread(world):
        for fact in document["facts"]:
            urls.setdefault(fact, set()).add(document["url"])
    return urls


def save(path, chunks):
    write_files(Path(path).parent, {Path(path).name: chunks})
    print(path)
