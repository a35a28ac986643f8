"""How the pocket world speaks: English endings, dice, and templates put into words (`say`)."""
import bisect
import functools
import itertools
import random
import re

from data.exams.marks import SMALL
from data.pocket import text
from data.pocket.text import parse

# ----------------------------------------------------------------------------------------- English

@functools.cache
def irregular(name: str) -> dict:
    """{word: its form} of a block of words.txt: "past" or "plurals"."""
    return dict(pair.replace("_", " ").split(":") for pair in text.words(name))


def doubles(verb: str) -> bool:
    """True for "stop" and "plan": consonant, vowel, consonant, and the last letter doubles."""
    return (verb in text.words("doubling")
            or bool(re.fullmatch(r"[^aeiou]*[aeiou][bdglmnprt]", verb)))


def plural(noun: str) -> str:
    """The plural of a noun, and of a verb what one other does: bakes, carries, watches."""
    head, _, last = noun.rpartition(" ")
    if last in irregular("plurals"):
        last = irregular("plurals")[last]
    elif re.search(r"[^aeiou]y$", last):
        last = last[:-1] + "ies"
    else:
        last += "es" if re.search(r"(s|x|ch|sh|z)$", last) else "s"
    return f"{head} {last}".strip()


class Noun(str):
    """A word that stays the same through a page: {animal} and {animal.s} in all its sentences."""

    @property
    def s(self) -> str:
        return plural(self)


def past(verb: str) -> str:
    """What one did yesterday: baked."""
    if verb in irregular("past"):
        return irregular("past")[verb]
    if re.search(r"[^aeiou]y$", verb):
        return verb[:-1] + "ied"
    return verb + "d" if verb.endswith("e") else verb + verb[-1] * doubles(verb) + "ed"


def ing(verb: str) -> str:
    """What one is doing: baking."""
    if verb.endswith("e") and not verb.endswith("ee"):
        return verb[:-1] + "ing"
    return verb + verb[-1] * doubles(verb) + "ing"


def capital(line: str) -> str:
    """A line that begins with a capital."""
    return line[0].upper() + line[1:]


def listing(items: list) -> str:
    """"pears", "pears and figs", "pears, figs and plums"."""
    items = [str(item) for item in items]
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def number(n: int) -> str:
    """In words up to twenty, in figures from then on."""
    return SMALL[n] if n <= 20 else f"{n:,}" if n > 9999 else str(n)


A_TO_AN = re.compile(r"\b([Aa]) (?=(?!one\b|once\b|uni[^n]|use|usu|ewe|eu)[aeiou]|hour|honest"
                     r"|8|11\b|18\b)", re.I)
CAPITAL = re.compile(r'(^|\n|[.!?] |\." |(?:^|(?<=\s))")[a-z]')
DOUBLED = re.compile(r"\b([a-z]+) \1\b")
SPACES = re.compile(r" +(?=[ ,.;:!?\n])")


def tidy(sentences: str) -> str:
    """A before vowels becomes an; no doubled words or spaces; capitals where sentences begin."""
    sentences = DOUBLED.sub(r"\1", SPACES.sub("", sentences))
    return CAPITAL.sub(lambda m: m[0].upper(), A_TO_AN.sub(r"\1n ", sentences)).strip()


# --------------------------------------------------------------------------------- dice and grammar

@functools.lru_cache(None)
def zipf_weights(n: int) -> list:
    """The sums of the first weights of `Dice.zipf`."""
    return list(itertools.accumulate(1 / (rank + 1 + n / 2) for rank in range(n)))


class Dice(random.Random):
    """Chance, from `random()` alone: the method whose sequence Python promises never to change.

    told    the slots that `say` filled in from facts: (thing, attribute) for "{p.home.region}",
            the home and "region"
    """

    def __init__(self, seed):
        super().__init__(seed)
        self.told = []

    def upto(self, n: int) -> int:
        return int(self.random() * n)

    def between(self, low: int, high: int) -> int:
        return low + self.upto(high - low + 1)

    def chance(self, p: float) -> bool:
        return self.random() < p

    def pick(self, items):
        return items[int(self.random() * len(items))]

    def some(self, items, k: int) -> list:
        """k different items, in random order."""
        pool = list(items)
        return [pool.pop(self.upto(len(pool))) for _ in range(min(k, len(pool)))]

    def often(self, items):
        """An item, of a long list the early ones more often: there the common words come first."""
        share = self.random() * self.random() if len(items) > 12 else self.random()
        return items[int(share * len(items))]

    def zipf(self, items):
        """The item of rank r of n with probability proportional to 1/(r + n/2): Zipf's law, with
        Mandelbrot's term, so that the last is drawn a third as often as the first."""
        weights = zipf_weights(len(items))
        return items[bisect.bisect(weights, self.random() * weights[-1])]


FORMS = {"nouns": {".s": plural}, "verbs": {".ed": past, ".es": plural, ".ing": ing}, "words": {}}


@functools.cache
def word_lists() -> dict:
    """Every list a slot can name: "fruit" and its plural "fruit.s", "move" and "move.ed"."""
    lists = {}
    for block, forms in FORMS.items():
        for name in text.load("words")[block]:
            lists[name] = [word.replace("_", " ") for word in text.words(block, name)]
            for form, inflect in forms.items():
                lists[name + form] = [inflect(word) for word in lists[name]]
    return lists | {"site": lists["building"],
                    "material": lists["wood"] + lists["metal"] + lists["stone"]}


def words(name: str) -> list:
    """The words of a list."""
    return word_lists()[name]


def say(dice: Dice, template: str, facts: dict) -> str:
    """One way to say a template. "[a|b|]" is one of the alternatives, which may nest or be empty;
    "{p.name}" is a fact from `facts`; any other "{fruit}" or "{fruit.s}" a random word of that
    list, "{fruit.s*3}" three different ones ("figs, plums and pears"); "{2-9}" a number."""
    return "".join(said(dice, parse(template), facts))


def some(dice: Dice, entries: str | list, facts: dict, k: int = 1) -> str:
    """k different templates of a list, or of a block of text/pages.txt, as a paragraph."""
    entries = text.lines("pages", entries) if isinstance(entries, str) else entries
    return " ".join(say(dice, template, facts) for template in dice.some(entries, k))


def said(dice, parts, facts):
    """Yield the pieces of a parsed template's wording."""
    for part in parts:
        if type(part) is str:
            yield part
        elif type(part) is list:
            yield from said(dice, dice.pick(part), facts)
        else:
            (name, first, *rest), times = part
            if name == "number":
                yield number(dice.between(first, rest[0]))
            elif times > 1:
                yield listing(dice.some(words(name), times))
            elif first in facts:
                thing = functools.reduce(getattr, rest[:-1], facts[first])
                if rest:
                    dice.told.append((thing, rest[-1]))
                    thing = getattr(thing, rest[-1])
                yield str(thing)
            else:
                yield dice.often(words(name))


def title_case(title: str) -> str:
    """A Title Has Capitals, but not for its Small Words."""
    small = "a an and of the to for with in on from by".split()
    return " ".join(word if k and word in small else word[0].upper() + word[1:]
                    for k, word in enumerate(tidy(title).split()))
