"""Arithmetic in steps so small that each is known by heart: digit by digit, from the right.

    308 + 727: 8 + 7 = 15, 0 + 2 + 1 = 3, 3 + 7 = 10.
    523 − 47: 13 − 7 = 6, 12 − 4 − 1 = 7, 5 − 1 = 4.
    47 × 8: 7 × 8 = 56, 4 × 8 + 5 = 37.
    25 × 17: 25 × 10 = 250, 5 × 7 = 35, 2 × 7 + 3 = 17, 25 × 7 = 175, 0 + 5 = 5, 5 + 7 = 12, ...
    376 ÷ 8: 37 = 4 × 8 + 5, 56 = 7 × 8.

A model that is to say the result at once must do all of this in the few layers that it has; one
that writes each step has as many layers for each (Nye et al. 2021, arXiv:2112.00114).
"""
import re

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
        sign, number = other.split()
        steps, result = OF[sign](total, int(number))
        if steps:
            more = f", so {result}" if len(others) > 1 else ""
            said.append(f"{total} {sign} {number}: {steps}{more}.")
        total = result
    return " ".join(said)


def places(a: int, b: int):
    """Yield the digits of two numbers side by side, from the right; "" where one has no more."""
    left, right = str(a)[::-1], str(b)[::-1]
    for k in range(max(len(left), len(right))):
        yield left[k:k + 1], right[k:k + 1]


def equation(terms: str, result: int) -> str:
    return terms if terms == str(result) else f"{terms} = {result}"


def added(a: int, b: int) -> tuple:
    if max(a, b) < 10:
        return "", a + b
    steps, carry = [], 0
    for x, y in places(a, b):
        terms = [term for term in (x, y, "1" * carry) if term]
        total = sum(map(int, terms))
        steps.append(equation(" + ".join(terms), total))
        carry = total // 10
    return ", ".join(steps), a + b


def subtracted(a: int, b: int) -> tuple:
    if a < 10:
        return "", a - b
    steps, borrowed = [], 0
    for x, y in places(a, b):
        take = [term for term in (y, "1" * borrowed) if term]
        rest = int(x) - sum(map(int, take))
        borrowed = int(rest < 0)
        x = int(x) + 10 * borrowed
        steps.append(equation(" − ".join([str(x), *take]), rest + 10 * borrowed))
    return ", ".join(steps), a - b


def multiplied(a: int, b: int) -> tuple:
    if max(a, b) < 10 or 10 in (a, b):
        return "", a * b
    if a < 10:
        a, b = b, a
    if b < 10:
        steps, carry = [], 0
        for x in reversed(str(a)):
            total = int(x) * b + carry
            steps.append(f"{x} × {b}{f' + {carry}' if carry else ''} = {total}")
            carry = total // 10
        return ", ".join(steps), a * b
    said, tens, ones = [], b - b % 10, b % 10
    for part, digit in (tens, tens // 10), (ones, ones):
        if digit > 1:
            said.append(multiplied(a, digit)[0])
        if digit:
            said.append(f"{a} × {part} = {a * part}")
    return ", ".join(said + [added(a * tens, a * ones)[0]] * (ones > 0)), a * b


def divided(a: int, b: int) -> tuple:
    steps, rest = [], 0
    for digit in str(a):
        rest = 10 * rest + int(digit)
        if rest >= b or steps:
            left = f" + {rest % b}" if rest % b else ""
            steps.append(f"{rest} = {rest // b} × {b}{left}")
            rest %= b
    return ", ".join(steps) if len(steps) > 1 else "", a // b


OF = {"+": added, "−": subtracted, "×": multiplied, "÷": divided}
