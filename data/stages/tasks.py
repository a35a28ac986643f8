"""Tasks to practise: a problem is drawn, and an answer to it is scored.

    problem = draw("sums:2", Dice("first"))      a Question: data/exams
    score(problem, "It is 47.")                  1.0 or 0.0

A task is one of TASKS, of grade 1, 2 or 3 (":2"; without, of any grade)."""

from __future__ import annotations

import json
from fractions import Fraction
from functools import cache

from csrc.cli import nearest
from csrc.files import ChatError
from data.exams.marks import mark
from data.exams.questions import Question

PAIRS = 2000        # of the pocket world's, to prefer one of


def draw(task: str, d) -> Question:
    """A problem; d: data/pocket's Dice."""
    name, grade = parsed(task)
    return TASKS[name](d, grade or d.between(1, 3))


def score(question: Question, answer: str) -> float:
    """1 for a right answer, 0 for any other: how an exam would mark it, leniently if it can. Of a
    couplet, what the pocket world's judge sees in it."""
    if question.kind == "couplet":
        return couplets().score(question.truth, answer)
    run = None
    if question.kind == "code":
        from data.exams.run import passes as run  # it needs a sandbox, others do not
    marks = mark(question, answer, run)
    return float(marks.get("lenient", marks.get("", False)))


def parsed(task: str) -> tuple[str, int]:
    """(name, grade, 0 for any) of a task; ChatError if there is no such."""
    name, colon, grade = task.partition(":")
    if name not in TASKS or colon and grade not in ("1", "2", "3"):
        raise ChatError(f"there is no task {task!r}, and no such file; the nearest is "
                        f"{nearest(name, TASKS)!r} (there are {', '.join(TASKS)}; :1, :2 or :3 "
                        f"behind the name is a grade)")
    return name, int(grade or 0)


@cache
def pocket():
    """The pocket world, and its modules: loaded when a task asks for them."""
    from data.pocket import exams, grammar, pages, sums, tasks, world
    return world.World(0).public, exams, grammar, pages, sums, tasks


def dice(seed):
    """Chance from a seed, the same on every machine."""
    return pocket()[2].Dice(seed)


def sums(d, grade: int) -> Question:
    """Two numbers of as many digits as the grade: their sum, their difference; from grade 2 on also
    the product of one and a digit."""
    low, high = 10 ** (grade - 1), 10 ** grade - 1
    a, b, sign = d.between(low, high), d.between(low, high), d.pick("+-×"[:1 + min(grade, 2)])
    if sign == "×":
        b = d.between(2, 9)
    a, b = max(a, b), min(a, b)
    result = {"+": a + b, "-": a - b, "×": a * b}[sign]
    return Question("sums", "", "sum", f"What is {a} {sign} {b}?", Fraction(result), str(result))


# By grade: problems of one step with small numbers, of one with larger ones, of several.
WORD = (["ages", "pattern", "subtracting"], ["adding", "area", "multiplying", "parts"],
        ["average", "shopping", "walking"])


def word(d, grade: int, way="steps") -> Question:
    """A word problem of the pocket world, to be answered in steps."""
    world, exams, _, pages, sums, tasks = pocket()
    people = dict(zip("pq", d.some(world.asked, 2)))
    slots = {**pages.two_towns(world, d), "now": world.now, **people}
    task = sums.worked(d.pick(WORD[grade - 1]), d, slots)
    steps = [tasks.CHOICE.sub(r"\1", step) for step in task["steps"]]
    question, steps, result = sums.worded(d, {**task, "way": [], "steps": steps}, slots)
    return Question("word", "", "sum", f"{question} {exams.hint(way)}", result,
                    tasks.solution(steps) if way == "steps" else str(result))


def word_at_once(d, grade: int) -> Question:
    """The same, to be answered with the number alone."""
    return word(d, grade, "at once")


def countdown(d, grade: int) -> Question:
    """A number to be made of others: of 2, 3 or 4."""
    numbers = d.some(range(1, 10 * grade + 1), grade + 1)
    sum_, target = str(numbers[0]), numbers[0]
    for number in numbers[1:]:
        sign = d.pick("+-*" if target * number < 1000 else "+-")
        sum_ = f"({sum_}) {sign} {number}" if sign == "*" and " " in sum_ else \
            f"{sum_} {sign} {number}"
        target = {"+": target + number, "-": target - number, "*": target * number}[sign]
    listed = ", ".join(map(str, sorted(numbers)))
    return Question("countdown", "", "countdown", f"Make {target} of the numbers {listed} with +, "
                    f"-, *, / and brackets. Use each at most once.",
                    {"target": target, "numbers": numbers}, f"{sum_} = {target}")


def letters(d, grade: int) -> Question:
    """How often a letter is in a word, how many there are, which one stands there, or the word
    backwards; words of up to 5, 7 and 10 letters."""
    _, exams, grammar, _, _, tasks = pocket()
    word = d.pick([one for one in tasks.spellable() if len(one) <= (5, 7, 10)[grade - 1]])
    way = d.pick(exams.WAYS)
    slots = exams.letters(word, d.pick(word), d.upto(min(len(word), exams.PLACES)))
    asked = grammar.some(d, tasks.lines("tasks", way, "questions"), slots)
    kind = {"letter": "single", "backwards": "spelled"}.get(way, "sum")
    truth = Fraction(slots[way]) if kind == "sum" else slots[way]
    return Question("letters", "", kind, asked, truth, str(slots[way]))


PROPERTIES = ("name", "size", "colour", "age", "price", "count", "tags", "open", "weight", "owner")


def json_schema(d, grade: int) -> Question:
    """JSON for a schema with 2, 3 or 4 properties."""
    kinds = {"string": "Anna", "integer": 3, "boolean": True, "array": ["red"]}
    names = d.some(PROPERTIES, grade + 1)
    types = {name: d.pick([*kinds][:2 + min(grade, 2)]) for name in names}
    parts = {name: {"type": kind, **({"items": {"type": "string"}} if kind == "array" else {})}
             for name, kind in types.items()}
    schema = {"type": "object", "properties": parts, "required": names}
    return Question("json", "", "json", "Write an example, as JSON and without anything else, for "
                    f"this JSON schema: {json.dumps(schema)}", schema,
                    json.dumps({name: kinds[kind] for name, kind in types.items()}))


@cache
def couplets():
    """The pocket world's couplets and their judge."""
    from data.pocket import couplets
    return couplets


ASKED = ("Write a couplet about {}.", "Two lines about {}, please.")


def couplet(d, grade: int) -> Question:
    """A couplet about somebody, in any grade, for the judge."""
    name = d.pick(sorted({person.given for person in pocket()[0].people}))
    return Question("couplet", "", "couplet", d.pick(ASKED).format(name), name,
                    couplets().master(d, name))


TASKS = {"sums": sums, "word": word, "word-at-once": word_at_once, "countdown": countdown,
         "letters": letters, "json": json_schema, "couplet": couplet}


def preferences():
    """Yield pairs {"prompt", "chosen", "rejected"}: word problems, each with its solution, and with
    that of another problem of the same kind."""
    for number in range(PAIRS):
        grade = number % 3 + 1
        problem, other = (draw(f"word:{grade}", dice(f"preference {part} {number}"))
                          for part in ("right", "wrong"))
        yield {"prompt": problem.prompt, "chosen": problem.worked, "rejected": other.worked}
