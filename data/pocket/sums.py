"""Worked arithmetic of the pocket world's lessons.

A task is a function (dice, facts) -> (title, steps). It draws numbers and puts them into
the wording of text/sums.txt; what is left in its steps are templates for people and towns.
"""
import re

from data.pocket import text
from data.pocket.grammar import Dice, listing, words

LEFT = {0: "none are left", 1: "1 is left"}


def filled(task: str, section: str, numbers: dict) -> list:
    """The entries of a section of a task, with its numbers."""
    return [re.sub(r"\{(\w+)\}", lambda slot: str(numbers.get(slot[1], slot[0])), line)
            for line in text.lines("sums", task, section)]


def worked(task: str, **numbers) -> tuple:
    """A task's title and steps, with its numbers."""
    title, = filled(task, "title", numbers)
    return title, filled(task, "steps", numbers)


def remainder(rest: int) -> str:
    """What is written behind the quotient."""
    return f" remainder {rest}" if rest else ""


def adding(d: Dice, facts: dict) -> tuple:
    """Two numbers, column by column."""
    a, b = d.between(12, 899), d.between(12, 899)
    columns, carry, place = [], 0, 1
    for name in ("ones", "tens", "hundreds"):
        if place <= max(a, b):
            terms = [a // place % 10, b // place % 10, *[carry] * bool(carry)]
            total = sum(terms)
            write = filled("adding", "carry", {"digit": total % 10})[0] if total > 9 else ""
            columns += filled("adding", "column", {
                "name": name, "terms": " + ".join(map(str, terms)), "total": total,
                "write": f" {write}" * bool(write)})
            carry, place = total // 10, place * 10
    title, steps = worked("adding", a=a, b=b, total=a + b)
    return title, columns + steps


def subtracting(d: Dice, facts: dict) -> tuple:
    """By counting up, to the next ten and on."""
    b, jump = d.between(11, 480), d.between(5, 490)
    a = b + jump
    ten = min(a, b - b % 10 + 10)
    return worked("subtracting", a=a, b=b, ten=ten, jump=jump, first=ten - b, second=a - ten)


def multiplying(d: Dice, facts: dict) -> tuple:
    """Tens and ones apart."""
    a, b = d.between(12, 99), d.between(3, 12)
    tens, ones = a - a % 10, a % 10
    return worked("multiplying", a=a, b=b, tens=tens, ones=ones, first=tens * b, second=ones * b,
                  total=a * b)


def dividing(d: Dice, facts: dict) -> tuple:
    """With a remainder."""
    b, c, rest = d.between(4, 12), d.between(3, 40), d.upto(4)
    numbers = dict(a=b * c + rest, b=b, c=c, rest=rest, total=c * b, tail=remainder(rest))
    left, = filled("dividing", "some left" if rest else "none left", numbers)
    return worked("dividing", left=left, **numbers)


def shopping(d: Dice, facts: dict) -> tuple:
    """Two prices and the change."""
    n, price = d.between(2, 12), d.between(2, 15)
    m, other = d.between(2, 9), d.between(3, 20)
    fruit, more = d.some(words("fruit.s") + words("vegetable.s"), 2)
    total, change = n * price + m * other, d.between(1, 60)
    _, steps = worked("shopping", n=n, price=price, m=m, other=other, fruit=fruit, more=more,
                      first=n * price, second=m * other, total=total, change=change,
                      paid=total + change)
    return f"{facts['p'].given} at the market", steps


def sharing(d: Dice, facts: dict) -> tuple:
    """Things among people, and what is left."""
    people, each, rest = d.between(4, 12), d.between(2, 19), d.upto(4)
    thing = d.pick(words("fruit.s") + words("bake.s") + words("toy.s"))
    return worked("sharing", people=people, each=each, rest=rest, thing=thing,
                  total=people * each + rest, tail=remainder(rest),
                  left=LEFT.get(rest, f"{rest} are left"))


def walking(d: Dice, facts: dict) -> tuple:
    """A ride and a walk."""
    speed, hours, more = d.between(3, 19), d.between(2, 9), d.between(2, 30)
    return worked("walking", speed=speed, hours=hours, more=more, ride=speed * hours,
                  total=speed * hours + more)


def ages(d: Dice, facts: dict) -> tuple:
    """How old somebody became or is."""
    p, last = facts["p"], facts["p"].died or facts["now"]
    century = p.born - p.born % 100 + 100
    numbers = dict(a=p.born, last=last, century=century, before=century - p.born,
                   after=last - century, total=last - p.born)
    numbers["end"], = filled("ages", "dead" if p.died else "alive", numbers)
    _, steps = worked("ages", **numbers)
    past = filled("ages", "past a century", numbers) if last >= century else []
    return f"The age of {p}", filled("ages", "question", numbers) + past + steps


def area(d: Dice, facts: dict) -> tuple:
    """A rectangle, and the way around it."""
    a, b = d.between(3, 40), d.between(3, 25)
    return worked("area", a=a, b=b, place=d.pick(text.lines("sums", "area", "places")),
                  total=a * b, both=a + b, around=2 * (a + b))


def average(d: Dice, facts: dict) -> tuple:
    """The mean of a few days."""
    n, mean = d.between(3, 5), d.between(8, 40)
    numbers = [mean] * n
    for _ in range(6):              # move one from day to day: the mean stays
        numbers[d.upto(n)] += 1
        numbers[d.upto(n)] -= 1
    thing = d.pick(words("bird.s") + words("bug.s") + words("vessel.s"))
    return worked("average", n=n, mean=mean, thing=thing, numbers=listing(numbers),
                  terms=" + ".join(map(str, numbers)), sum=sum(numbers))


def pattern(d: Dice, facts: dict) -> tuple:
    """A row of numbers that goes on."""
    start, step = d.between(2, 60), d.between(3, 25)
    a, b, c, last, x, y = (start + k * step for k in range(6))
    return worked("pattern", a=a, b=b, c=c, last=last, x=x, y=y, step=step)


def parts(d: Dice, facts: dict) -> tuple:
    """A fraction of a number of things."""
    part, share = d.between(2, 10), d.between(3, 40)
    thing = d.pick(words("fruit.s") + words("animal.s") + words("paper.s"))
    title, steps = worked("parts", part=part, share=share, whole=part * share, thing=thing,
                          kept=part * share - share, name=part_names()[part - 2])
    return title.capitalize(), [step[0].upper() + step[1:] for step in steps]


def part_names() -> list:
    """"half", "a third" and so on."""
    return text.lines("sums", "parts", "names")


TASKS = [adding, subtracting, multiplying, dividing, shopping, sharing, walking, ages, area,
         average, pattern, parts]
