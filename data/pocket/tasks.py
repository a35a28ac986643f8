"""Word problems, letters and comparisons, solved in words or by a program, and texts to repeat.

A problem is one of data/pocket/sums.py's tasks with fresh numbers. Its arithmetic goes in steps
that are known by heart: digit by digit, from the right.

    308 + 727: 8 + 7 = 15, 0 + 2 + 1 = 3, 3 + 7 = 10.
    523 − 47: 13 − 7 = 6, 12 − 4 − 1 = 7, 5 − 1 = 4.
    47 × 8: 7 × 8 = 56, 4 × 8 + 5 = 37.
    25 × 17: 25 × 10 = 250, 5 × 7 = 35, 2 × 7 + 3 = 17, 25 × 7 = 175, 0 + 5 = 5, 5 + 7 = 12, ...
    376 ÷ 8: 37 = 4 × 8 + 5, 56 = 7 × 8.

To say a result at once, a model has its few layers for all of these steps; writing them, it has as
many layers for each (Nye et al. 2021, arXiv:2112.00114).
"""

import operator
import re
from functools import cache
from itertools import zip_longest

from data.pocket.exams import PLACES, PROBLEMS, WAYS, examined, letters
from data.pocket.grammar import Dice, capital, some, words
from data.pocket.pages import two_towns
from data.pocket.persona import blend, coined, page_words
from data.pocket.sums import lesson, worded, worked
from data.pocket.text import filled, lines, load

EQUATION = re.compile(r"((?:\d+ [-+−×÷] )+\d+) = (\d+)(?! remainder)\b")


def workings(step: str) -> str:
    """What must be worked out before a step of a solution can be said, "" if nothing."""
    return " ".join(filter(None, (working(terms) for terms, _ in EQUATION.findall(step))))


def working(terms: str) -> str:
    """The steps that lead from "308 + 727" to its result, from left to right if there are more
    than two numbers; "" if the result is known by heart."""
    first, *others = re.split(r" (?=[-+−×÷])", terms)
    total, said = int(first), []
    for other in others:
        steps_of, result_of = SIGNS[other[0]]
        steps, result = steps_of(total, int(other[2:])), result_of(total, int(other[2:]))
        if steps:
            more = f", so {result}" if len(others) > 1 else ""
            said.append(f"{total} {other}: {', '.join(steps)}{more}.")
        total = result
    return " ".join(said)


def equation(terms: list, sign: str, result: int) -> str:
    """"8 + 7 = 15"; a number alone is its own result."""
    return f"{f' {sign} '.join(terms)} = {result}" if len(terms) > 1 else terms[0]


def columns(a: int, b: int):
    """The digits of two numbers side by side, from the right; "" where one has no more."""
    return zip_longest(reversed(str(a)), reversed(str(b)), fillvalue="")


def adding_steps(a: int, b: int) -> list:
    """Column by column."""
    steps, carry = [], 0
    for digits in columns(a, b):
        terms = [*filter(None, digits), *["1"] * carry]
        total = sum(map(int, terms))
        steps.append(equation(terms, "+", total))
        carry = total // 10
    return steps if max(a, b) > 9 else []


def subtracting_steps(a: int, b: int) -> list:
    """Column by column."""
    steps, borrowed = [], 0
    for x, y in columns(a, b) if a > 9 else ():
        less = [*filter(None, [y]), *["1"] * borrowed]
        rest = int(x) - sum(map(int, less))
        borrowed = int(rest < 0)
        steps.append(equation([str(int(x) + 10 * borrowed), *less], "−", rest + 10 * borrowed))
    return steps


def multiplying_steps(a: int, b: int) -> list:
    """Digit by digit; by two digits, times the tens and times the ones."""
    if max(a, b) < 10 or 10 in (a, b):
        return []
    if a < 10:
        a, b = b, a
    steps, carry, tens, ones = [], 0, b - b % 10, b % 10
    if b < 10:
        for x in reversed(str(a)):
            total = int(x) * b + carry
            steps.append(f"{x} × {b}{f' + {carry}' if carry else ''} = {total}")
            carry = total // 10
        return steps
    for part, digit in (tens, tens // 10), (ones, ones):
        steps += multiplying_steps(a, digit) if digit > 1 else []
        steps += [f"{a} × {part} = {a * part}"] if digit else []
    return steps + (adding_steps(a * tens, a * ones) if ones else [])


def dividing_steps(a: int, b: int) -> list:
    """As on paper."""
    steps, rest = [], 0
    for digit in str(a):
        rest = 10 * rest + int(digit)
        if rest >= b or steps:
            left = f" + {rest % b}" if rest % b else ""
            steps.append(f"{rest} = {rest // b} × {b}{left}")
            rest %= b
    return steps if len(steps) > 1 else []


SIGNS = {"+": (adding_steps, operator.add), "−": (subtracting_steps, operator.sub),
         "×": (multiplying_steps, operator.mul), "÷": (dividing_steps, operator.floordiv)}


# ----------------------------------------------------------------------------------- word problems

CHOICE = re.compile(r"\[([^|\]]*)\|[^\]]*\]")     # "[a|b]"; group 1 is the first of the wordings


def problem(world, d: Dice) -> tuple:
    """(task, question, steps of the solution, result), where nothing is left. The steps, which the
    assistant says, are always in the first of their wordings."""
    while True:
        name = d.pick([*PROBLEMS, "dividing", "sharing"])
        slots = {**two_towns(world, d), "now": world.now, **dict(zip("pq", d.some(world.asked, 2)))}
        task = worked(name, d, slots)
        if not any("remainder" in step for step in task["steps"]):
            steps = [CHOICE.sub(r"\1", step) for step in task["steps"]]
            return task, *worded(d, {**task, "way": [], "steps": steps}, slots)


def hinted(d: Dice, question: str, way: str) -> str:
    """The question and how it is to be answered; of "steps" and "python" sometimes nothing."""
    hints = lines("tasks", "how", way) + [""] * (way != "at once")
    return f"{question} {d.pick(hints)}".strip()


def solved(world, d: Dice) -> tuple:
    """(question, answer): the number alone or step by step, as the question says."""
    _, question, steps, result = problem(world, d)
    at_once = d.chance(0.15)
    question = hinted(d, question, "at once" if at_once else "steps")
    return question, str(result) if at_once else solution(steps)


def thought(world, d: Dice) -> list:
    """The messages of a problem that is solved in a thought, before the number alone is said."""
    _, question, steps, result = problem(world, d)
    return [{"role": "user", "content": hinted(d, question, "at once")},
            {"role": "assistant", "reasoning_content": solution(steps), "content": str(result)}]


def solution(steps: list) -> str:
    """Steps, each behind what must be worked out for it."""
    return " ".join(filter(None, (line for step in steps for line in (workings(step), step))))


def drilled(world, d: Dice) -> tuple:
    """(question, answer): the equations that solutions are made of, three at a time."""
    slots, found = {**two_towns(world, d), "now": world.now, "p": d.pick(world.asked)}, []
    while len(found) < 3:
        task = worked(d.pick([*PROBLEMS, "dividing", "sharing"]), d, slots)
        found += [pair for step in lesson(task) for pair in EQUATION.findall(step)]
    found = d.some(found, 3)
    steps = (step for left, right in found for step in (working(left), f"{left} = {right}."))
    return (f"{some(d, lines('tasks', 'sums'), {})} {'; '.join(left for left, _ in found)}",
            " ".join(filter(None, steps)))


def computed(world, d: Dice) -> tuple:
    """(question, code, what it prints, answer)."""
    kind = d.random()
    if kind < 0.35:
        sum_, question, _, result = problem(world, d)
        task = question, "\n".join(sum_["program"]), str(result), f"The answer is {result}."
    else:
        task = (spelled if kind < 0.95 else decimals)(d)[:4]
    question, *rest = task
    return hinted(d, question, "python"), *rest


# ---------------------------------------------------------------------------- letters and decimals

@cache
def spellable() -> list:
    """The words about whose letters conversations ask: never those of exams."""
    nouns = dict.fromkeys(word for name in load("words")["nouns"] for word in words(name))
    return [word for word in nouns if word.isascii() and word.isalpha() and 3 < len(word) < 11
            and not examined(word)]


def spelled(d: Dice) -> tuple:
    """(question, code, what it prints, answer after that, answer of the model alone) about the
    letters of a word."""
    word, way = d.pick(spellable()), d.pick(WAYS)
    x = d.pick(word if d.chance(0.9) else "aeinorst")
    slots = letters(word, x, d.upto(min(len(word), PLACES)))
    question = some(d, lines("tasks", way, "questions"), slots)
    return question, *answered(way, slots, str(slots[way]))


def decimals(d: Dice) -> tuple:
    """The same of two decimals with the same whole part, one of which is larger."""
    whole, tenth, larger = d.between(1, 99), d.between(1, 9), d.chance(0.5)
    long, short = f"{whole}.{d.between(10, 99)}", f"{whole}.{tenth}"
    while long.endswith("0") or long.startswith(short):
        long = f"{whole}.{d.between(10, 99)}"
    a, b = d.some([long, short], 2)
    more = float(a) > float(b)
    slots = {"a": a, "b": b, "right": a if more == larger else b,
             "long": a.ljust(len(long), "0"), "other": b.ljust(len(long), "0"),
             "than": "more" if more else "less", "size": "larger" if larger else "smaller",
             "function": "max" if larger else "min"}
    question = some(d, lines("tasks", "decimals", slots["size"]), slots)
    return question, *answered("decimals", slots, str(float(slots["right"])))


def answered(block: str, slots: dict, result: str) -> tuple:
    """(code, what it prints, answer after that, answer of the model alone)"""
    code, answer, alone = (filled(lines("tasks", block, section)[0], slots)
                           for section in ("program", "answer", "alone"))
    return code, result, answer, alone


# ---------------------------------------------------------------------------------------- repeating

WORDY = ["colour", "animal.s", "tool.s", "folk.s", "virtue", "month", "building", "tree",
         "move.ed"]


def copied(terms: list, d: Dice) -> tuple:
    """(request, answer) to say a long text again, whose words are mostly in no order that one could
    know: what a question names must come back in its answer and in a program, letter by letter."""
    several = [d.pick([str(d.between(2, 99)), str(d.between(100, 999)), str(d.between(1000, 2000))])
               for _ in range(d.between(1, 9))]
    text = d.pick([lambda: ", ".join(several),
                   lambda: d.pick([" + ", " × ", " − ", " "]).join(several),
                   lambda: " ".join(coined(d, d.between(1, 3)) for _ in several),
                   lambda: " ".join(d.pick(page_words()) for _ in several),
                   lambda: " ".join(d.pick(words(d.pick(WORDY))) for _ in several),
                   lambda: " ".join(blend(d) for _ in several),
                   lambda: " ".join(blend(d) for _ in several[:3]),
                   lambda: "-".join(blend(d).lower() for _ in several),
                   lambda: ", ".join(d.some(terms, len(several))),
                   lambda: d.pick(terms),
                   lambda: " ".join(d.pick([coined(d, 2), d.pick(page_words()), number])
                                    for number in several)])()
    return some(d, lines("tasks", "repeat", "as it is"), {"x": text}), text


def repeated(terms: list, d: Dice) -> tuple:
    """(request, answer) to say a few words again, as they are, in quotes, by a program, in small
    letters or with a capital: after a quote and at the beginning of a text the same word has other
    tokens, and so small a model must learn of each that they are the same."""
    text = d.pick([lambda: d.pick(page_words()), lambda: d.pick(page_words()),
                   lambda: d.pick(terms), lambda: d.pick(terms),
                   lambda: " ".join(blend(d) for _ in range(d.between(1, 3))),
                   lambda: " ".join(d.pick(words(d.pick(WORDY))) for _ in range(d.between(1, 3))),
                   lambda: " ".join(d.pick(page_words()) for _ in range(d.between(1, 3)))])()
    small = text.lower()
    way, x, reply = d.pick([
        ("as it is", text, text), ("in quotes", text, f'"{text}"'),
        ("by a program", text, f'print("{text}")'), ("in small letters", capital(text), small),
        ("with a capital", small, capital(small))])
    return some(d, lines("tasks", "repeat", way), {"x": x}), reply
