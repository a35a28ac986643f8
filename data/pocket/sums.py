"""Worked arithmetic of the pocket world: lessons and word problems.

A task is a function (dice, facts) that draws its numbers, {name in text/sums.txt: number or words}.
`worked` puts them into the wording; what is left there are templates for people and towns.
"""
import re
from fractions import Fraction

from data.pocket.grammar import Dice, listing, say, tidy, words
from data.pocket.text import filled, lines, load

LEFT = {0: "none are left", 1: "1 is left"}


def worked(task: str, d: Dice, facts: dict) -> dict:
    """{section of text/sums.txt: its lines, with fresh numbers} of a task."""
    numbers = TASKS[task](d, facts)
    return dict.fromkeys(["question", "asked", "way", "more"], []) | {
        section: [line for entry in entries for line in filled(entry, numbers).split("\n") if line]
        for section, entries in load("sums")[task].items()}


def lesson(task: dict) -> list:
    """All steps of what `worked` gives."""
    return task["question"] + task["way"] + task["steps"] + task["more"]


def worded(d: Dice, task: dict, slots: dict) -> tuple:
    """(question, lines of the solution, result) of what `worked` gives."""
    question, way, steps = ([tidy(say(d, line, slots)) for line in task[section]]
                            for section in ("question", "way", "steps"))
    result = re.findall("[0-9]+", steps[-1].replace(",", ""))[-1]
    return " ".join(question + task["asked"]), way + steps, Fraction(result)


def part_of(task: str, section: str, numbers: dict) -> str:
    """The lines of a section, with these numbers."""
    return "\n".join(filled(line, numbers) for line in lines("sums", task, section))


def adding(d: Dice, facts: dict) -> dict:
    """Two numbers, column by column."""
    a, b = d.between(12, 899), d.between(12, 899)
    columns, carry, place = [], 0, 1
    for name in ("ones", "tens", "hundreds"):
        if place <= max(a, b):
            terms = [a // place % 10, b // place % 10, *[carry] * bool(carry)]
            total = sum(terms)
            write = " " + part_of("adding", "carry", {"digit": total % 10}) if total > 9 else ""
            columns.append(part_of("adding", "column", dict(
                name=name, terms=" + ".join(map(str, terms)), total=total, write=write)))
            carry, place = total // 10, place * 10
    return dict(a=a, b=b, total=a + b, columns="\n".join(columns))


def subtracting(d: Dice, facts: dict) -> dict:
    """By counting up, to the next ten and on."""
    b, jump = d.between(11, 480), d.between(5, 490)
    a = b + jump
    ten = min(a, b - b % 10 + 10)
    return dict(a=a, b=b, ten=ten, jump=jump, first=ten - b, second=a - ten)


def multiplying(d: Dice, facts: dict) -> dict:
    """Tens and ones apart."""
    a, b = d.between(12, 99), d.between(3, 12)
    tens, ones = a - a % 10, a % 10
    return dict(a=a, b=b, tens=tens, ones=ones, first=tens * b, second=ones * b, total=a * b)


def dividing(d: Dice, facts: dict) -> dict:
    """With a remainder."""
    b, c, rest = d.between(4, 12), d.between(3, 40), d.upto(4)
    numbers = dict(a=b * c + rest, b=b, c=c, rest=rest, total=c * b,
                   tail=f" remainder {rest}" * (rest > 0))
    return numbers | {"left": part_of("dividing", "some left" if rest else "none left", numbers)}


def shopping(d: Dice, facts: dict) -> dict:
    """Two prices and the change."""
    n, price = d.between(2, 12), d.between(2, 15)
    m, other = d.between(2, 9), d.between(3, 20)
    fruit, more = d.some(words("fruit.s") + words("vegetable.s"), 2)
    total, change = n * price + m * other, d.between(1, 60)
    return dict(n=n, price=price, m=m, other=other, fruit=fruit, more=more, first=n * price,
                second=m * other, total=total, change=change, paid=total + change)


def sharing(d: Dice, facts: dict) -> dict:
    """Things among people, and what is left."""
    people, each, rest = d.between(4, 12), d.between(2, 19), d.upto(4)
    thing = d.pick(words("fruit.s") + words("bake.s") + words("toy.s"))
    return dict(people=people, each=each, rest=rest, thing=thing, total=people * each + rest,
                tail=f" remainder {rest}" * (rest > 0), left=LEFT.get(rest, f"{rest} are left"))


def walking(d: Dice, facts: dict) -> dict:
    """A ride and a walk."""
    speed, hours, more = d.between(3, 19), d.between(2, 9), d.between(2, 30)
    return dict(speed=speed, hours=hours, more=more, ride=speed * hours, total=speed * hours + more)


def ages(d: Dice, facts: dict) -> dict:
    """How old somebody became or is."""
    p, last = facts["p"], facts["p"].died or facts["now"]
    century = p.born - p.born % 100 + 100
    numbers = dict(a=p.born, last=last, century=century, before=century - p.born,
                   after=last - century, total=last - p.born)
    return numbers | {"end": part_of("ages", "dead" if p.died else "alive", numbers),
                      "past": part_of("ages", "past a century", numbers) * (last >= century)}


def area(d: Dice, facts: dict) -> dict:
    """A rectangle, and the way around it."""
    a, b = d.between(3, 40), d.between(3, 25)
    return dict(a=a, b=b, place=d.pick(lines("sums", "area", "places")), total=a * b, both=a + b,
                around=2 * (a + b))


def average(d: Dice, facts: dict) -> dict:
    """The mean of a few days."""
    n, mean = d.between(3, 5), d.between(8, 40)
    numbers = [mean] * n
    for _ in range(6):              # move one from day to day: the mean stays
        numbers[d.upto(n)] += 1
        numbers[d.upto(n)] -= 1
    thing = d.pick(words("bird.s") + words("bug.s") + words("vessel.s"))
    return dict(n=n, mean=mean, thing=thing, numbers=listing(numbers), sum=sum(numbers),
                terms=" + ".join(map(str, numbers)), row=", ".join(map(str, numbers)))


def pattern(d: Dice, facts: dict) -> dict:
    """A row of numbers that goes on."""
    start, step = d.between(2, 60), d.between(3, 25)
    row = range(start, start + 6 * step, step)
    return dict(zip(["a", "b", "c", "last", "x", "y"], row), step=step)


def parts(d: Dice, facts: dict) -> dict:
    """A fraction of a number of things."""
    part, share = d.between(2, 10), d.between(3, 40)
    thing = d.pick(words("fruit.s") + words("animal.s") + words("paper.s"))
    name = lines("sums", "parts", "names")[part - 2]
    return dict(part=part, share=share, whole=part * share, thing=thing, kept=part * share - share,
                name=name, Name=name.capitalize(), word=name.split()[-1])


TASKS = {task.__name__: task for task in (adding, subtracting, multiplying, dividing, shopping,
                                          sharing, walking, ages, area, average, pattern, parts)}
