"""Word problems, letters and comparisons, solved in words or by a short program.

A problem is one of data/exams_world.PROBLEMS with fresh numbers, in the exams' own form: so many
steps are the question, the others its solution.
"""
import re
from fractions import Fraction

from data.exams_world import HOW, LAST, PROBLEMS
from data.world_grammar import Dice, say, tidy
from data.world_pages import two_towns
from data.world_sums import dividing, sharing
from data.world_words import rows

# Dividing and sharing as well, where nothing is left.
MORE = [(dividing, 0, 4, "What is {} ÷ {}?"), (sharing, 2, 4, "")]
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
    """(task, question, steps of the solution, result) of a problem."""
    while True:
        task, asked, whole, words = d.pick(PROBLEMS + MORE)
        told = {**two_towns(w, d), "p": d.pick(w.asked), "q": d.pick(w.asked), "now": w.now}
        title, steps = task(d, told)
        if not any(re.search(r"remainder|\d (?:is|are) left", step) for step in steps):
            break
    figures = [word for word in title.split() if word.isdigit()]
    lines = [tidy(say(d, step, told)) for step in steps[:whole]]
    text = " ".join([*lines[:asked], words.format(*figures)]).strip()
    result = Fraction(LAST.findall(lines[-1].replace(",", ""))[-1])
    return task.__name__, text, lines[asked:], result


def solved(w, d: Dice) -> tuple:
    """(question, answer): at once or step by step, as the question says."""
    _, text, steps, result = problem(w, d)
    at_once = d.chance(0.3)
    how = d.pick(AT_ONCE if at_once else STEPS)
    return f"{text} {how}".strip(), str(result) if at_once else " ".join(steps)
