"""Word problems, letters and comparisons, solved in words or by a short program.

A problem is one of data/exams_world.PROBLEMS with fresh numbers, in the exams' own form: so many
steps are the question, the others its solution.
"""
import re
from fractions import Fraction

from data.pocket import words as W
from data.pocket.exams import HOW, LAST, PROBLEMS, examined
from data.pocket.talk_self import patched, word as invented, words
from data.pocket.talk_sums import EQUATION, working, workings
from data.pocket.grammar import LISTS, Dice, say, tidy
from data.pocket.pages import two_towns
from data.pocket.sums import PARTS, adding, ages, dividing, multiplying, sharing, subtracting
from data.pocket.words import rows

# Dividing and sharing as well, where nothing is left.
MORE = [(dividing, 0, 4, "What is {} ÷ {}?"), (sharing, 2, 4, "")]
# Of these only so many steps, the last: the others are another way than talk_world_sums.py's.
SHORT = {adding: 1, subtracting: 1, multiplying: 1, dividing: 1, ages: 2}
AT_ONCE = rows(f"""
{HOW["at_once"]}
{HOW["at_once"]}
{HOW["at_once"]}
Answer with the number alone.
Just the number.
Only the number, please.
Give only the result.
Do not explain. The number alone.
At once, please, and only the number.
""")
CHOICE = re.compile(r"\[([^|\]]*)\|[^\]]*\]")     # \1 is the first of the wordings
STEPS = rows(f"""
{HOW["steps"]}
{HOW["steps"]}
{HOW["steps"]}
{HOW["steps"]}
Step by step, please.
Show your steps.
Show how you get there.
Explain each step.
Think step by step.
""") + [""]


def problem(w, d: Dice) -> tuple:
    """(task, question, steps of the solution, result) of a problem. The steps, which the assistant
    says, are always in the first of their wordings."""
    while True:
        task, asked, whole, words = d.pick(PROBLEMS + MORE)
        told = {**two_towns(w, d), "now": w.now, **dict(zip("pq", d.some(w.asked, 2)))}
        title, steps = task(d, told)
        if not any(re.search(r"remainder|\d (?:is|are) left", step) for step in steps):
            break
    figures = [word for word in title.split() if word.isdigit()]
    steps = steps[:asked] + [CHOICE.sub(r"\1", step)
                             for step in steps[asked:whole][-SHORT.get(task, 0):]]
    lines = [tidy(say(d, step, told)) for step in steps]
    text = " ".join([*lines[:asked], words.format(*figures)]).strip()
    result = Fraction(LAST.findall(lines[-1].replace(",", ""))[-1])
    return task.__name__, text, lines[asked:], result


def solved(w, d: Dice) -> tuple:
    """(question, answer): at once or step by step, as the question says."""
    _, text, steps, result = problem(w, d)
    at_once = d.chance(0.15)
    how = d.pick(AT_ONCE if at_once else STEPS)
    lines = [line for step in steps for line in (workings(step), step) if line]
    return f"{text} {how}".strip(), str(result) if at_once else " ".join(lines)


COMPUTE = rows("""
Compute [these|this]:
Work these out:
What are the results?
A few sums:
Please calculate:
""")


def drilled(w, d: Dice) -> tuple:
    """(question, answer): the equations that solutions are made of, three at a time."""
    told, found = {**two_towns(w, d), "now": w.now, "p": d.pick(w.asked)}, []
    while len(found) < 3:
        task = d.pick([task for task, *_ in PROBLEMS + MORE])
        found += [pair for step in task(d, {**told, "q": told["p"]})[1]
                  for pair in EQUATION.findall(step)]
    found = d.some(found, 3)
    lines = [line for left, right in found
             for line in (working(left), f"{left} = {right}.") if line]
    return (f"{say(d, d.pick(COMPUTE), {})} {'; '.join(left for left, _ in found)}",
            " ".join(lines))


# ----------------------------------------------------------------------------------------- programs

# For each task the program, of the numbers of the question in their order: {0}, {1} ... or {all}.
# A part is named before its number: the word, copied from the question, tells it to a small model.
PROGRAMS = {"adding": "print({0} + {1})", "subtracting": "print({0} - {1})",
            "multiplying": "print({0} * {1})", "dividing": "print({0} // {1})",
            "sharing": "print({0} // {1})", "area": "print({0} * {1})",
            "shopping": "cost = {0} * {1} + {2} * {3}\nprint({4} - cost)",
            "walking": "print({0} * {1} + {2})", "ages": "print({1} - {0})",
            "average": "counts = [{all}]\nprint(sum(counts) // len(counts))",
            "pattern": "row = [{all}]\nprint(row[3] + row[1] - row[0])",
            "parts": "print({0} - {0} // ({part} := {k}))"}
BY_PYTHON = rows(f"""
{HOW["python"]}
{HOW["python"]}
{HOW["python"]}
{HOW["python"]}
Please use Python.
Use a program.
With Python, please.
Compute it with Python.
Run Python for it.
""") + [""]


def program(name: str, text: str) -> str:
    """The program that solves the problem `text` of a task."""
    found = re.findall(r"\d+", text)
    k, part = next(((k, words.split()[-1]) for k, words in enumerate(PARTS, 2)
                    if f" {words} of " in text), (None, None))
    return PROGRAMS[name].format(*found, all=", ".join(found), k=k, part=part)


def computed(w, d: Dice) -> tuple:
    """(question, code, what it prints, answer)."""
    kind = d.random()
    if kind < 0.35:
        name, text, _, result = problem(w, d)
        task = text, program(name, text), str(result), f"The answer is {result}."
    elif kind < 0.95:
        task = letters(d)[:4]
    else:
        text, _, first, second, larger, right = decimals(d)
        task = (text, f"print({'max' if larger else 'min'}({first}, {second}))",
                str(float(right)), f"{right} is {'larger' if larger else 'smaller'}.")
    text, *rest = task
    return f"{text} {d.pick(BY_PYTHON)}".strip(), *rest


# ------------------------------------------------------------------------------------------ letters

PLACES = ["first", "second", "third", "fourth", "fifth"]
ORDINALS = ["1st", "2nd", "3rd", "4th", "5th"]
SPELLABLE = [word for word in dict.fromkeys(
    word for name in W.NOUNS for word in LISTS[name])
    if word.isascii() and word.isalpha() and 3 < len(word) < 11 and not examined(word)]
COUNT = rows("""
How many times is the letter "{x}" in "{word}"?
How many "{x}" are in "{word}"?
How many times does {x} appear in {word}?
How many {x}'s are there in {word}?
Count the letter "{x}" in "{word}".
Count every "{x}" in the word "{word}".
How often is "{x}" in "{word}"?
How often do you write "{x}" in "{word}"?
In the word "{word}", how often do you see "{x}"?
How often do you find the letter "{x}" in the word "{word}"?
Tell me how often "{x}" stands in the word "{word}".
""")
LENGTH = rows("""
How many letters has "{word}"?
How many letters are in the word "{word}"?
How many letters does {word} have?
How long is the word "{word}"?
Count the letters of "{word}".
Tell me how many letters "{word}" has.
The letters of "{word}": how many are there?
"{word}" is a word of how many letters?
Of how many letters is the word "{word}" made?
""")
LETTER = rows("""
What is the {place} letter of "{word}"?
What is the {nth} letter of {word}?
Which letter is the {place} in "{word}"?
Which is the {place} letter in the word "{word}"?
Give me the {place} letter of "{word}".
What letter stands {place} in "{word}"?
Which letter has the {place} place in "{word}"?
I need the {place} letter of "{word}", please.
Say the {nth} letter of "{word}".
In "{word}", which letter comes {place}?
Name letter number {k} of "{word}".
""")
BACKWARDS = rows("""
Spell "{word}" backwards.
Write "{word}" backwards.
What is "{word}" backwards?
What is {word} spelled backwards?
Reverse the word "{word}".
Reverse "{word}" letter by letter.
Turn "{word}" around.
Read the word "{word}" from its end.
Give me the letters of "{word}" from the last to the first.
""")


def letters(d: Dice) -> tuple:
    """(question, code, what it prints, answer after that, answer of the model alone) about the
    letters of a word."""
    word, way = d.pick(SPELLABLE), d.upto(4)
    x, at = d.pick(word if d.chance(0.9) else "aeinorst"), d.upto(min(len(word), len(PLACES)))
    facts = {"word": word, "x": x, "place": PLACES[at], "nth": ORDINALS[at], "k": at + 1}
    question = say(d, d.pick([COUNT, LENGTH, LETTER, BACKWARDS][way]), facts)
    count, times = word.count(x), "time" + "s" * (word.count(x) != 1)
    numbered = ", ".join(f"{k} {letter}" for k, letter in enumerate(word, 1))
    spelled, seen = "-".join(word), ", ".join(x * count) or "none"
    return question, *[
        (f'print("{word}".count("{x}"))', str(count),
         f'The letter "{x}" occurs {count} {times} in "{word}".',
         f'{spelled}. Of "{x}" there are: {seen}. So it occurs {count} {times}.'),
        (f'print(len("{word}"))', str(len(word)), f'The word "{word}" has {len(word)} letters.',
         f"{numbered}. The word has {len(word)} letters."),
        (f'print("{word}"[{at + 1} - 1])', word[at], f'The {ORDINALS[at]} letter is "{word[at]}".',
         f'{numbered}. The {ORDINALS[at]} letter is "{word[at]}".'),
        (f'print("{word}"[::-1])', word[::-1], f'Backwards it is "{word[::-1]}".',
         f'{spelled}. Backwards it is {"-".join(word[::-1])}, "{word[::-1]}".')][way]


def spelled(d: Dice) -> tuple:
    """(question, answer) of the model alone."""
    question, *_, answer = letters(d)
    return question, answer


# ----------------------------------------------------------------------------------------- decimals

LARGER = rows("""
Is {a} or {b} [larger|bigger|greater|more]?
What is [larger|bigger|greater|more]: {a} or {b}?
Which is [larger|bigger|greater], {a} or {b}?
{a} or {b}: which is [larger|bigger|more]?
Of {a} and {b}, which one is the [larger|bigger|greater] number?
Which of the numbers {a} and {b} is [larger|bigger|greater]?
Compare {a} and {b}. Which is [larger|bigger|more]?
Tell me the [larger|bigger] one of {a} and {b}.
I have {a} and {b}. Which is the [larger|bigger|greater] one?
""")
SMALLER = [line.replace("larger|bigger|greater|more", "smaller|less")
           .replace("larger|bigger|greater", "smaller|lower")
           .replace("larger|bigger|more", "smaller|less").replace("larger|bigger", "smaller|lower")
           for line in LARGER]


def decimals(d: Dice) -> tuple:
    """(question, answer, first, second, larger, right): two decimals with the same whole part, and
    the one that is larger, or if not `larger`, smaller."""
    whole, tenth, larger = d.between(1, 99), d.between(1, 9), d.chance(0.5)
    long = f"{whole}.{d.between(10, 99)}"
    while long.endswith("0") or long.startswith(f"{whole}.{tenth}"):
        long = f"{whole}.{d.between(10, 99)}"
    short = f"{whole}.{tenth}"
    first, second = d.some([long, short], 2)
    padded = {long: long, short: short + "0"}
    low, high = sorted([long, short], key=Fraction)
    right = high if larger else low
    question = say(d, d.pick(LARGER if larger else SMALLER), {"a": first, "b": second})
    return question, (f"{padded[first]} is {'more' if first == high else 'less'} than "
                      f"{padded[second]}, so {right} is {'larger' if larger else 'smaller'}."
                      ), first, second, larger, right


def trap(d: Dice) -> tuple:
    """(question, answer) of the model alone."""
    return decimals(d)[:2]


# ---------------------------------------------------------------------------------------- repeating

REPEAT = rows("""
Repeat: {x}
Repeat {x}
Please repeat: {x}
Repeat after me: {x}
Say {x}
Say again: {x}
Say it after me: {x}
Copy this: {x}
Copy {x}
Write {x}
Write this down: {x}
Write down {x}, please.
Quote me: {x}
Echo {x}
I said: {x} What did I say?
Give this back as it is: {x}
Read this to me: {x}
Take a note: {x}
Say "{x}".
Without the quotes: "{x}"
What is written in "{x}"?
""")
QUOTE = rows("""
Put quotes around {x}.
Write {x} in quotes.
In quotes, please: {x}
Repeat "{x}" with the quotes.
""")
PRINT = rows("""
Print {x}
Print "{x}".
A program that prints "{x}", please.
Write a program that says {x}
""")
SMALL = rows("""
{x} in small letters, please.
In small letters: {x}
Write {x} without capitals.
Say "{x}" in small letters.
""")
CAPITAL = rows("""
Begin {x} with a capital letter.
As a heading: {x}
Make a title of this: {x}
""")
WORDY = ["colour", "animal.s", "tool.s", "folk.s", "virtue", "month", "building", "tree",
         "move.ed"]


def copied(terms: list, d: Dice) -> tuple:
    """(request, answer) to say a long text again, whose words are mostly in no order that one could
    know: what a question names must come back in its answer and in a program, letter by letter."""
    several = [d.pick([str(d.between(2, 99)), str(d.between(100, 999)), str(d.between(1000, 2000))])
               for _ in range(d.between(1, 9))]
    text = d.pick([lambda: ", ".join(several),
                   lambda: d.pick([" + ", " × ", " − ", " "]).join(several),
                   lambda: " ".join(invented(d, d.between(1, 3)) for _ in several),
                   lambda: " ".join(d.pick(words()) for _ in several),
                   lambda: " ".join(d.pick(LISTS[d.pick(WORDY)]) for _ in several),
                   lambda: " ".join(patched(d) for _ in several),
                   lambda: " ".join(patched(d) for _ in several[:3]),
                   lambda: "-".join(patched(d).lower() for _ in several),
                   lambda: ", ".join(d.some(terms, len(several))),
                   lambda: d.pick(terms),
                   lambda: " ".join(d.pick([invented(d, 2), d.pick(words()), number])
                                    for number in several)])()
    return say(d, d.pick(REPEAT), {"x": text}), text


def repeated(terms: list, d: Dice) -> tuple:
    """(request, answer) to say a few words again, as they are, in quotes, by a program, in small
    letters or with a capital: after a quote and at the beginning of a text the same word has other
    tokens, and so small a model must learn of each that they are the same."""
    text = d.pick([lambda: d.pick(words()), lambda: d.pick(words()),
                   lambda: d.pick(terms), lambda: d.pick(terms),
                   lambda: " ".join(patched(d) for _ in range(d.between(1, 3))),
                   lambda: " ".join(d.pick(LISTS[d.pick(WORDY)]) for _ in range(d.between(1, 3))),
                   lambda: " ".join(d.pick(words()) for _ in range(d.between(1, 3)))])()
    small, capital = text.lower(), text[0].upper() + text[1:]
    asks, x, reply = d.pick([(REPEAT, text, text), (QUOTE, text, f'"{text}"'),
                             (PRINT, text, f'print("{text}")'), (SMALL, capital, small),
                             (CAPITAL, small, small[0].upper() + small[1:])])
    return say(d, d.pick(asks), {"x": x}), reply
