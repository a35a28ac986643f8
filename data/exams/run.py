"""Examines models: what `infer.py eval` does.

    python infer.py eval                                                  the newest run
    python infer.py eval --model base=runs/base --model sft=runs/sft --html build/report.html
    python infer.py eval --no-world --exam gsm8k/test.jsonl --examples gsm8k/train.jsonl

A base model continues texts, and of choices the one with the highest likelihood is its answer; an
assistant answers messages. Both decode greedily. Where tools are offered, the system message says
so, as in training (data/chat/protocol.py), and all that are on are offered. A model gets the same
figures whatever other questions are in the same batch.
"""

import os
import socket
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from csrc.engine import Sampling, Sequence
from csrc.files import ChatError, naming, to_json, write_file
from csrc.remote import is_address
from csrc.runs import find_model
from csrc.shown import progress
from data.chat import protocol, tools
from data.chat.turn import Turn, is_assistant, load, talk_of
from data.exams import divergence, formats, report
from data.exams.judged import PASSED
from data.exams.likelihood import curve, declining, likelihoods
from data.exams.marks import URL, final, mark, mark_likelihood, summary, words
from data.exams.questions import STOP, Question
from data.tokens.parallel import workers

JUDGED = Path(__file__).with_name("judged.py")
# The most tokens of an answer, by the kind of its question, and never over half the context.
MAX_TOKENS = {"completion": 32, "letter": 32, "single": 64, "spelled": 64, "compared": 64,
              "named": 64, "countdown": 64, "says": 64, "declined": 64, "refused": 64, "fact": 128,
              "facts": 128, "json": 128, "text": 128, "call": 128, "sum": 192, "story": 256,
              "number": 256, "math": 512, "code": 512, "instructions": 1024}
MAX_TOKENS_WITH_TOOLS = 512     # calls and their results count, too
VOTING = 0.8                    # the temperature of answers that are votes
KNOWN = "facts_many", "facts_many_heldout", "facts_tens"     # exams about what pages tell,
UNREAD, MADE_UP = "facts_none", 0.05    # and about what none does; the share that may be answered
NUMBERS = "first", "second", "later"    # of its turns


# How a dialogue's answers are drawn, by the mode of its Item; and one that had no room.
SAMPLINGS = {"dialogue": Sampling(temperature=0, seed=0), "drawn": Sampling(seed=0)}
NOTHING = {"role": "assistant", "content": ""}


class Item(NamedTuple):
    """A question, and how it is put to a model.

    mode    "chat": it answers messages; "text": it continues a text; "likelihood": its answer is
            the continuation with the highest likelihood; "dialogue": it answers turn after turn,
            with its own answers before it; "drawn": the same by the default settings
    tools   the tools that a system message offers, as tools.registry gives them
    needs   which of these the question needs; "" where it needs none
    """

    question: Question
    mode: str
    tools: dict = {}
    needs: str = ""


class How(NamedTuple):
    """How answers are drawn: so many, of which the majority counts; whether with a thought, and how
    many tokens that has at most, 0: any number."""

    votes: int = 1
    think: bool = False
    budget: int = 0


class Answer(NamedTuple):
    """What a model answered.

    transcript  [(who, text)]
    results     [(exam, marks)], as marks.summary takes them; the first are the question's own
    """

    question: Question
    transcript: list
    results: list


class Outcome(NamedTuple):
    """All about one model; notes: sentences about what was left out; curves: {exam: what `curve`
    gives}, of exams about facts."""

    label: str
    folder: str
    answers: list
    notes: list
    curves: dict = {}

    @property
    def figures(self):
        """{figure: {"value", "low", "high", "n"}}."""
        return summary(result for answer in self.answers for result in answer.results)


class Marking(NamedTuple):
    """What marking needs besides a question and its answer.

    run   runs a program, see marks.mark_code; None: there is no sandbox
    urls  {fact: addresses of the pages that state it}, of pages that no model has read
    """

    run: object = None
    urls: dict = {}


# ------------------------------------------------------------------------------------- what to ask

def items_for(assistant, asked, pocket, offered) -> list[Item]:
    """Return all that one model is asked.

    assistant  whether it answers messages; of others only what a text can ask
    asked      questions of exams in files
    pocket     the pocket world's exams (data/pocket/exams.py: Exams), or None
    offered    {name: tools.Tool} of the tools that are on
    """
    items = [Item(question, mode_of(question, assistant))
             for question in (*(pocket.questions if pocket else ()), *asked)]
    if not assistant or not pocket:
        return items
    items += [Item(question, "chat") for question in pocket.assistant]
    for question in pocket.dialogues:
        searches = any(turn.exam == "search" for turn in question.truth)
        system = protocol.offering("", offered) if searches else ""
        if "search" in offered or not searches:
            items += [Item(replace(question, system=system, exam=f"dialogue{ending}"), mode,
                           offered if searches else {})
                      for mode, ending in (("dialogue", ""), ("drawn", "_drawn"))]
    return items + [
        Item(replace(question, system=protocol.offering(question.system, offered)), "chat",
             offered, tool)
        for tool, some in pocket.tools.items() if offered and tool in {"", *offered}
        for question in some]


def mode_of(question, assistant) -> str:
    """The mode of an Item in which a question is put to an assistant or another model."""
    if question.continuations and (question.kind == "ending" or not assistant):
        return "likelihood"
    return "chat" if assistant and question.kind != "completion" else "text"


def file_questions(files, examples, shots, count) -> list[Question]:
    """Return the questions of exams in files, up to `count` of each, evenly spread over it."""
    questions = []
    for file in files:
        found = formats.read(file, examples, shots)
        n = min(count, len(found))
        questions += [found[i * len(found) // n] for i in range(n)]
    return questions


# ------------------------------------------------------------------------------------------- asking

def ask(engine, items, marking, label, how=How()) -> tuple[list, list]:
    """Return the Answers of a model, in the order of `items`, and sentences about what did not fit.

    Few-shot examples are left out, the first ones first, until a prompt leaves room for an answer;
    a question that is too long even without any is not asked and counts as wrong.
    """
    fitted = [fit(engine, item) for item in progress(items, f"{label}: reading")]
    talked = {i: item for i, item in enumerate(fitted) if item and item.mode in SAMPLINGS}
    running = {i: [sequence(engine, item, how, vote) for vote in range(how.votes)]
               for i, item in enumerate(fitted)
               if item and i not in talked and item.mode != "likelihood"}
    with progress(label=f"{label}: answering", total=how.votes * len(running)) as bar:
        for grown, *_ in engine.generate(one for votes in running.values() for one in votes):
            bar.update(bool(grown.finish))
    told = dict(zip(talked, converse(engine, [*talked.values()], label)))
    likely = likelihoods(engine, [
        (engine.encode(item.question.text()), engine.tokenizer.encode(text)) for item in fitted
        if item and item.mode == "likelihood" for text in item.question.continuations], label)
    answers = []
    for i, (asked, item) in enumerate(zip(items, fitted)):
        if item is None:
            answers.append(unasked(asked, marking))
        elif i in told:
            answers.append(conversed(item, told[i], marking))
        elif item.mode == "likelihood":
            answers.append(chosen(item.question,
                                  [next(likely) for _ in item.question.continuations]))
        else:
            answers.append(written(item, elected(item, running[i]), marking))
    return answers, notes_on_fit(items, fitted, engine.model.config.context)


def fit(engine, item):
    """Return the Item with as many of its last examples as leave room for its answer; None if there
    is no room even without any. Of a dialogue, `converse` leaves out what has no room."""
    if item.mode in SAMPLINGS:
        return item
    context = engine.model.config.context
    while size(engine, item) > context - max_tokens(item, context):
        question = item.question
        if not question.shots:
            return None
        item = item._replace(question=replace(question, shots=question.shots[1:]))
    return item


def max_tokens(item, context):
    """The most tokens that the answer to an Item may have."""
    if item.mode == "likelihood":
        return 0
    return min(MAX_TOKENS_WITH_TOOLS if item.tools else MAX_TOKENS[item.question.kind],
               context // 2)


def size(engine, item):
    """The tokens of an Item's prompt, with its longest continuation where these are compared."""
    question = item.question
    if item.mode == "chat":
        return len(talk_of(engine.tokenizer).prompt(question.messages())[0])
    choices = question.continuations if item.mode == "likelihood" else ()
    longest = max((len(engine.tokenizer.encode(text)) for text in choices), default=0)
    return len(engine.encode(question.text())) + longest


def sequence(engine, item, how=How(), vote=0):
    """Return the Sequence in which the model answers, one of several votes; a text ends before the
    next question, which a base model makes up and answers, too."""
    question, stop = item.question, ()
    if item.mode == "text":
        stop = (*question.stop, *(() if question.opening else STOP))
    settings = Sampling(temperature=VOTING * (how.votes > 1), seed=0, stop=stop,
                        max_tokens=max_tokens(item, engine.model.config.context))
    if item.mode == "text":
        return Sequence(engine.encode(question.text()), settings, vote)
    return Turn(engine, question.messages(), settings, vote, item.tools, how.think,
                budget=how.budget)


def elected(item, grown):
    """Return the first of several Sequences that says what most of them say: the same number at its
    end, where a number is asked for, else the same words."""
    def vote(one):
        text = said_by(item, one)
        number = final(text) if item.question.kind in ("sum", "number") else None
        return tuple(words(text)) if number is None else number
    votes = [*map(vote, grown)]
    return grown[votes.index(Counter(votes).most_common(1)[0][0])]


def said_by(item, grown) -> str:
    """Return what an answer says, without thoughts and calls."""
    if item.mode == "text":
        return grown.text
    messages = grown.messages
    return (messages and messages[-1]["role"] == "assistant" and messages[-1]["content"]) or ""


def converse(engine, items, label) -> list:
    """Return the messages of dialogues: what the user says does not depend on the answers, which
    are the model's own. Where they have no room for more the oldest turns are left out."""
    told = [[one for one in item.question.messages() if one["role"] == "system"] for item in items]
    context = engine.model.config.context
    count = sum(len(item.question.truth) for item in items)
    with progress(label=f"{label}: talking", total=count) as bar:
        for at in range(max((len(item.question.truth) for item in items), default=0)):
            turns = {}
            for i, item in enumerate(items):
                for turn in item.question.truth[at:at + 1]:
                    told[i].append({"role": "user", "content": turn.prompt})
                    settings = replace(SAMPLINGS[item.mode], max_tokens=max_tokens(
                        Item(turn, "chat", item.tools), context))
                    with suppress(protocol.NoRoom):         # then nothing is answered
                        turns[i] = Turn(engine, told[i], settings, i, tools=item.tools)
            for grown, *_ in engine.generate(turns.values()):
                bar.update(bool(grown.finish))
            for i, messages in enumerate(told):
                if messages[-1]["role"] == "user":
                    messages += (turns[i].messages if i in turns else []) or [NOTHING]
    return told


# ------------------------------------------------------------------------------------------ marking

def written(item, grown, marking) -> Answer:
    """The Answer of a Sequence that has ended."""
    question = item.question
    if item.mode == "text":
        shown, called = [("text", question.text()), ("model", grown.text)], ()
    else:
        messages = grown.messages
        shown = transcript([*question.messages(), *messages])
        called = {call["function"]["name"] for message in messages
                  for call in message.get("tool_calls", ())}
    return Answer(question, shown, results(item, said_by(item, grown), called, marking))


def conversed(item, messages, marking) -> Answer:
    """The Answer of a dialogue: a result for each turn, by its number and by its kind."""
    question, said = item.question, []
    for message in messages:
        if message["role"] == "user":
            said.append("")
        elif message["role"] == "assistant":
            said[-1] = message["content"] or ""
    found = []
    for at, (turn, text) in enumerate(zip(question.truth, said)):
        right = {"": mark(turn, text, marking.run)[""]}
        found += [(f"{question.exam}_{name}", right) for name in (NUMBERS[min(at, 2)], turn.exam)]
    return Answer(question, transcript(messages), found)


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


def results(item, said, called, marking) -> list:
    """Return [(exam, marks)] of an answer; `called`: the names of the tools that it called."""
    question = item.question
    if item.tools and not item.needs:
        return [(question.exam, {"": bool(called)})]
    marks = mark(question, said, marking.run)
    if report.BY_PAGES.match(question.exam):
        marks = {"": marks[""]}
    found = [(question.exam, marks)]
    if item.needs:
        found.append(("tool_use", {"": item.needs in called}))
    if item.needs == "search":
        cited = {url.rstrip(".,;:!?") for url in URL.findall(said)}
        right = bool(cited) and cited <= marking.urls.get(question.id, set())
        found.append(("search_url_right", {"": right}))
    return found


def chosen(question, scores) -> Answer:
    """The Answer of a model that gives the continuations these scores: (nats, tokens)."""
    marks = mark_likelihood(question, scores)
    best = max(range(len(scores)), key=lambda k: scores[k][0])
    return Answer(question, [("text", question.text()),
                             ("likeliest", question.continuations[best])], [(question.exam, marks)])


def unasked(item, marking) -> Answer:
    """The Answer to a question that did not fit: wrong."""
    question = item.question
    found = (results(item, "", (), marking) if item.mode != "likelihood" else
             chosen(question, [(-float(k == question.truth), 1)
                               for k in range(len(question.choices))]).results)
    return Answer(question, [("too long", question.prompt)], found)


def notes_on_fit(items, fitted, context) -> list[str]:
    """Return a sentence for each exam of which not every question fitted with all its examples."""
    counts = {}
    for before, after in zip(items, fitted):
        count = counts.setdefault(before.question.exam, [0, 0, 0])
        count[0] += 1
        count[1] += bool(after) and after.question.shots != before.question.shots
        count[2] += after is None
    return [f"{exam}: for a context of {context} tokens {short} of {n} questions have fewer "
            f"examples, and {lost} are too long and count as wrong"
            for exam, (n, short, lost) in counts.items() if short or lost]


# --------------------------------------------------------------------------------- the command line

def evaluate(settings, pocket=None):
    """Examine models, print their figures and write the files that are asked for. What is wrong
    with the settings or the exams is told before the first model is loaded.

    settings  the flags of `infer.py eval`
    pocket    a function that returns the pocket world's exams (data/pocket/exams.py: Exams); None:
              only those of `settings.exam` are asked
    """
    models = labelled(settings.model or [find_model(None)])
    check(settings, pocket)
    questions = file_questions(settings.exam, settings.examples, settings.shots, settings.count)
    registry = tools.registry(settings.index)
    on = [name for name, tool in registry.items() if tool.off is None]
    needed = [*registry] if pocket else ["python" for q in questions if q.kind == "code"]
    notes = [f"{name} is off, and what needs it is left out: {tool.off}"
             for name, tool in registry.items() if tool.off and name in needed]
    if "python" not in on:
        questions = [question for question in questions if question.kind != "code"]
    exams = pocket and pocket()
    marking = Marking(passes if "python" in on else None,
                      exams.urls if exams and "search" in on else {})
    at_once = min(settings.workers, len(models))
    with workers(at_once) as pool:
        futures = [pool.submit(examine, *model, settings, questions, exams, marking, on, at_once)
                   for model in reversed(models)]           # the last has tools, and most to do
        outcomes = [future.result() for future in reversed(futures)]
    print(report.table(outcomes))
    notes += [f"{outcome.label}: {note}" for outcome in outcomes for note in outcome.notes]
    for sentence in notes:
        print(sentence, file=sys.stderr)
    if settings.out:
        save(settings.out, b"".join(to_json(report.combined(outcomes))))
    if settings.html:
        save(settings.html, report.page(outcomes, notes))


def compare(settings):
    """Print, and write, how far one model is from --kl."""
    models = labelled(settings.model or [find_model(None)])
    if len(models) > 1:
        raise ChatError("--kl compares one --model with a reference")
    if settings.exam or settings.html:
        raise ChatError(f"--kl takes no exams and writes no report: leave out "
                        f"{'--exam' if settings.exam else '--html'}")
    settings = replace(settings, kl=find_model(settings.kl))
    check(settings, True)
    found = divergence.evaluate(models[0][1], settings)
    if settings.out:
        save(settings.out, b"".join(to_json({"model": str(models[0][1]), "figures": found})))


def check(settings, pocket):
    """ChatError or OSError where the settings of `evaluate` ask for what cannot be."""
    for path in map(Path, filter(None, (settings.out, settings.html))):
        if path.is_dir():
            raise ChatError(f"{path} is a folder: name a file in it")
        with naming(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            if not os.access(path.parent, os.W_OK):
                raise ChatError("no file can be written in it")
    if not pocket and not settings.exam:
        raise ChatError("--no-world without --exam FILE leaves nothing to ask")


def examine(label, folder, settings, questions, pocket, marking, on, at_once) -> Outcome:
    """Ask one model the questions of files and the pocket world's.

    on       names of the tools that are not off
    at_once  how many models share the threads
    """
    engine = load(folder, settings.device, settings.dtype)
    if at_once > 1:
        engine.model.core.call("device_threads", max(1, os.cpu_count() // at_once))
    assistant = not settings.base and is_assistant(engine, folder)
    registry = tools.registry(settings.index, tools.budget_of(engine.model.config.context))
    items = items_for(assistant, questions, pocket, {name: registry[name] for name in on})
    how = How(settings.votes, settings.think, settings.think_budget)
    answers, notes = ask(engine, items, marking, label, how)
    return Outcome(label, str(folder), answers, notes, readiness(engine, items, answers, label))


def readiness(engine, items, answers, label) -> dict:
    """Return {exam: its `curve`}, and add to the answers' results what is right where as few as
    MADE_UP of the questions that no page answers are answered."""
    asked = [(item.question, answer) for item, answer in zip(items, answers)
             if item.question.exam in (*KNOWN, UNREAD) and item.mode == "chat"]
    if not asked:
        return {}
    found = {exam: [] for exam in (*KNOWN, UNREAD)}
    nats, said = declining(engine, [question.messages() for question, _ in asked], label)
    for (question, answer), score, text in zip(asked, nats, said):
        found[question.exam].append((score, mark(question, text)[""], answer))
    unread = sorted(score for score, *_ in found[UNREAD])
    for exam in KNOWN if unread else ():
        limit = unread[int(MADE_UP * len(unread))]
        for score, right, answer in found[exam]:
            answer.results.append((f"{exam}_at_95_declined", {
                "": right and score < limit, "answered": score < limit}))
    return {exam: curve([one[:2] for one in found[exam]], unread)
            for exam in KNOWN if unread and found[exam]}


def labelled(given) -> list[tuple]:
    """Return (label, folder) of each LABEL=FOLDER, or FOLDER, whose name is its label then."""
    models = []
    for text in map(str, given):
        label, equals, folder = text.partition("=")
        if not equals or Path(text).is_dir() or is_address(text):
            label, folder = Path(text).resolve().name, text
        if not label or label in dict(models):
            raise ChatError(f"--model {text}: the label {label!r} is "
                            f"{'taken: write LABEL=FOLDER' if label else 'empty'}")
        models.append((label, find_model(folder)))
    return models


def passes(program, tests) -> bool:
    """Whether a program passes tests: each runs in a sandbox of its own, see JUDGED."""
    source, ends = JUDGED.read_text(), socket.socketpair()
    at_program, at_tests = (end.fileno() for end in ends)
    serve = f"{source}\nserve(program, {at_program})"
    examine = f"{source}\nexamine({tests!r}, {at_tests})"
    name = {"__name__": JUDGED.stem}
    with ends[0], ends[1], ThreadPoolExecutor(1) as other:
        served = f"{program}\n\nexec({serve!r}, {name} | {{'program': globals()}})"
        other.submit(tools.python, served, handle=ends[0])
        return tools.python(f"exec({examine!r}, {name})", handle=ends[1]).text.endswith(PASSED)


def save(path, data):
    """Write a file and print its name."""
    write_file(Path(path), data)
    print(path)
