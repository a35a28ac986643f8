"""Worked arithmetic of the pocket world's lessons.

A task is a function (dice, facts) -> (title, steps). Its steps are templates of world_grammar.py in
which p and q are people, t and u towns, and its equations are true.
"""
from data.pocket.grammar import Dice, listing, words


def adding(d: Dice, facts: dict) -> tuple:
    a, b = d.between(12, 899), d.between(12, 899)
    steps, carry, place = [], 0, 1
    for name in ("ones", "tens", "hundreds"):
        if place <= max(a, b):
            x, y = a // place % 10, b // place % 10
            total = x + y + carry
            terms = f"{x} + {y} + {carry}" if carry else f"{x} + {y}"
            digit = total % 10
            write = (f" [Write {digit} and carry 1|{digit} stays, and 1 goes to the next place]."
                     if total > 9 else "")
            steps.append(f"[The {name}|Now the {name}|Add the {name}]: {terms} = {total}.{write}")
            carry, place = total // 10, place * 10
    return f"Adding {a} and {b}", [*steps, f"[So|Therefore|Together] {a} + {b} = {a + b}."]


def subtracting(d: Dice, facts: dict) -> tuple:
    b, jump = d.between(11, 480), d.between(5, 490)
    a = b + jump
    ten = min(a, b - b % 10 + 10)
    return f"Taking {b} away from {a}", [
        f"[Start at|Begin with] {b} and [count|walk] up to {a}.",
        f"From {b} to {ten} it is {ten} − {b} = {ten - b}.",
        f"From {ten} to {a} it is {a} − {ten} = {a - ten}.",
        f"[Together|Both steps]: {ten - b} + {a - ten} = {jump}.",
        f"So {a} − {b} = {jump}."]


def multiplying(d: Dice, facts: dict) -> tuple:
    a, b = d.between(12, 99), d.between(3, 12)
    tens, ones = a - a % 10, a % 10
    return f"Multiplying {a} by {b}", [
        f"[Split|Break|Take apart] {a} into {tens} and {ones}.",
        f"{tens} × {b} = {tens * b}.",
        f"{ones} × {b} = {ones * b}.",
        f"[Add|Then add] both: {tens * b} + {ones * b} = {a * b}.",
        f"[So|This means] {a} × {b} = {a * b}."]


def dividing(d: Dice, facts: dict) -> tuple:
    b, c, rest = d.between(4, 12), d.between(3, 40), d.upto(4)
    a = b * c + rest
    return f"Dividing {a} by {b}", [
        f"How often does {b} [fit into|go into] {a}?",
        f"We know that {c} × {b} = {c * b}.",
        f"[What is left|The rest]: {a} − {c * b} = {rest}." if rest else "Nothing is left.",
        f"So {a} ÷ {b} = {c}{remainder(rest)}.",
        f"[Check|Test]: {c} × {b} + {rest} = {a}."]


def remainder(rest: int) -> str:
    return f" remainder {rest}" if rest else ""


def shopping(d: Dice, facts: dict) -> tuple:
    n, price = d.between(2, 12), d.between(2, 15)
    m, other_price = d.between(2, 9), d.between(3, 20)
    fruit, more = d.some(words("fruit.s") + words("vegetable.s"), 2)
    first, second = n * price, m * other_price
    total, change = first + second, d.between(1, 60)
    return f"{facts['p'].given} at the market", [
        f"{{p.given}} buys {n} {fruit} for {price} coins each "
        f"and {m} {more} for {other_price} coins each.",
        f"{{p.He}} [pays with|gives the {{folk}}] {total + change} coins.",
        "How much does {p.he} get back?",
        f"The {fruit} cost {n} × {price} = {first} coins.",
        f"The {more} cost {m} × {other_price} = {second} coins.",
        f"[Together|In all] that is {first} + {second} = {total} coins.",
        f"{{p.He}} gets back {total + change} − {total} = {change} coins."]


def sharing(d: Dice, facts: dict) -> tuple:
    people, each, rest = d.between(4, 12), d.between(2, 19), d.upto(4)
    total, thing = people * each + rest, d.pick(words("fruit.s") + words("bake.s") + words("toy.s"))
    left = {0: "none are left", 1: "1 is left"}.get(rest, f"{rest} are left")
    return f"Sharing {total} {thing}", [
        f"{{p.given}} has {total} {thing} and shares them among {people} {{folk.s}}.",
        "[How many does each of them get|What is the share of each], and how many are left?",
        f"{total} ÷ {people} = {each}{remainder(rest)}.",
        f"Each of them gets {each}, and {left}.",
        f"[To check|Backwards]: {people} × {each} + {rest} = {total}."]


def walking(d: Dice, facts: dict) -> tuple:
    speed, hours, more = d.between(3, 19), d.between(2, 9), d.between(2, 30)
    ride = speed * hours
    return "How far is it?", [
        f"A {{vehicle}} travels {speed} kilometres [in an hour|every hour].",
        f"{{p.given}} rides in it for {hours} hours, from {{t}} to the {{land}}.",
        f"From there {{p.he}} walks {more} kilometres to {{u}}. How long is the whole way?",
        f"The ride is {hours} × {speed} = {ride} kilometres.",
        f"[With|Together with] the walk it is {ride} + {more} = {ride + more} kilometres."]


def ages(d: Dice, facts: dict) -> tuple:
    p, last = facts["p"], facts["p"].died or facts["now"]
    end = "died in {p.died}" if p.died else f"is alive in {last}"
    century = p.born - p.born % 100 + 100
    before, after = century - p.born, last - century
    steps = [f"From {p.born} to {century} it is {century} − {p.born} = {before} years.",
             f"From {century} to {last} it is {last} − {century} = {after} years.",
             f"Together: {before} + {after} = {last - p.born}."]
    return f"The age of {p}", [
        f"{{p}} was born in {{p.born}} and {end}. How many years are there between?",
        *(steps if after >= 0 else []),
        f"{last} − {p.born} = {last - p.born}.",
        f"[The answer is|So it is] {last - p.born} years."]


def area(d: Dice, facts: dict) -> tuple:
    a, b = d.between(3, 40), d.between(3, 25)
    place = d.pick(["garden", "field", "floor", "meadow", "wall", "courtyard"])
    return f"A {place} of {a} by {b} metres", [
        f"It is {a} metres long and {b} metres wide. [How large is it|What is its area]?",
        f"The area is length times width: {a} × {b} = {a * b} square metres.",
        "[And how long is the way around it|How long would a fence be]?",
        f"Two sides together are {a} + {b} = {a + b} metres.",
        f"All four sides are 2 × {a + b} = {2 * (a + b)} metres."]


def average(d: Dice, facts: dict) -> tuple:
    n, mean = d.between(3, 5), d.between(8, 40)
    numbers = [mean] * n
    for _ in range(6):              # move one from day to day: the mean stays
        numbers[d.upto(n)] += 1
        numbers[d.upto(n)] -= 1
    thing = d.pick(words("bird.s") + words("bug.s") + words("vessel.s"))
    return f"The average of {n} days", [
        f"{{p.given}} counted {thing} {{near}} the {{building}}: {listing(numbers)}.",
        "[What is the average|How many were there a day]?",
        f"[First add|The sum]: {' + '.join(map(str, numbers))} = {sum(numbers)}.",
        f"[Then divide|Divide] by the number of days: {sum(numbers)} ÷ {n} = {mean}.",
        f"The average is {mean} {thing} a day."]


def pattern(d: Dice, facts: dict) -> tuple:
    start, step = d.between(2, 60), d.between(3, 25)
    a, b, c, last, x, y = (start + k * step for k in range(6))
    return f"What comes after {last}?", [
        f"[Look at|Here is] the row {a}, {b}, {c}, {last}.",
        f"The first step is {b} − {a} = {step}, and the second {c} − {b} = {step} as well.",
        f"So we add {step} each time: {last} + {step} = {x}.",
        f"After that comes {x} + {step} = {y}."]


def parts(d: Dice, facts: dict) -> tuple:
    part, share = d.between(2, 10), d.between(3, 40)
    name = PARTS[part - 2]
    whole, thing = part * share, d.pick(words("fruit.s") + words("animal.s") + words("paper.s"))
    return f"{name} of {whole}".capitalize(), [
        f"{{p.given}} has {whole} {thing} and gives {name} of them to {{q.given}}.",
        "How many does {p.he} keep?",
        f"{name.capitalize()} of {whole} is {whole} ÷ {part} = {share}.",
        f"{{p.He}} keeps {whole} − {share} = {whole - share} {thing}."]


PARTS = ["half", "a third", "a quarter", "a fifth", "a sixth", "a seventh", "an eighth", "a ninth",
         "a tenth"]
TASKS = [adding, subtracting, multiplying, dividing, shopping, sharing, walking, ages, area,
         average, pattern, parts]
