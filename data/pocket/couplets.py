"""Couplets about people of the pocket world, and a judge who plays the people that read them: as
its mind is known, so is what a reward model learns of it, and what it does not.

    Fetta walked slowly once beside the lake
    the miller listened there with honey cake

The judge sees four parts, each from 0 to 1; the true score is their mean. Those who wrote the
couplets to learn from were no masters: half do not rhyme, most lines are too short, and some forget
whom they write about."""

from __future__ import annotations

import re

from data.pocket.grammar import Dice
from data.pocket.text import lines, load

SYLLABLES = 10              # of a good line
NOISE, TIE = 0.05, 0.1      # of the judge's scores; what is nearer than that it calls equally good


def syllables(word: str) -> int:
    """Groups of vowels, without an e that is not heard: lake, walked, but waited, little."""
    word = word.lower()
    if not re.search(r"([td]ed|[^aeiouy]le|[aeiouy][aeiouy])$", word):
        word = re.sub(r"(?<=[a-z]{2})(e|ed|es)$", "", word)
    return max(1, len(re.findall(r"(?:[aeiou]|y(?![aeiou]))+", word)))


def rhyme(word: str) -> str:
    """What two words that rhyme have alike: all from the last vowels on."""
    return re.search(r"([aeiouy]+[^aeiouy]*(?:(?<=[^aeiouy])e)?)?$", word.lower())[0]


def parts(name: str, couplet: str) -> dict[str, float]:
    """What the judge sees in a couplet about someone, each from 0 to 1; {} where it is not two
    lines. rhyme: of different words; metre: 10 syllables a line; topic: the name, and once;
    variety: no long word twice."""
    both = [re.findall(r"[A-Za-z']+", line) for line in couplet.strip().split("\n")]
    if len(both) != 2 or not all(both):
        return {}
    one, other = (line[-1].lower() for line in both)
    words = both[0] + both[1]
    named = words.count(name)
    long = [word.lower() for word in words if len(word) > 3 and word != name]
    off = [abs(sum(map(syllables, line)) - SYLLABLES) for line in both]
    return {"rhyme": float(one != other and rhyme(one) == rhyme(other)),
            "metre": sum(max(0.0, 1 - far / 4) for far in off) / 2,
            "topic": 1 / named if named else 0.0,
            "variety": len({*long}) / len(long) if long else 0.0}


def score(name: str, couplet: str) -> float:
    """The true score."""
    return sum(parts(name, couplet).values()) / 4


def line(d: Dice, who: str, end: str, longest: int) -> str:
    """A line of up to so many syllables, if its words leave the choice."""
    words = [who, d.pick(lines("couplets", "did"))]
    while True:
        more = d.pick(lines("couplets", "how"))
        if more in words or sum(map(syllables, " ".join([*words, more, end]).split())) > longest:
            return " ".join([*words, end])
        words.append(more)


def write(d: Dice, name: str, careful=False) -> str:
    """A couplet as people write them, most of them without much care."""
    rhymes, others = load("couplets")["ends"], lines("couplets", "who")
    first, second = d.some(rhymes, 2)
    ends = d.some(rhymes[first], 2)
    subjects = [name, "and" if d.chance(0.5) else d.pick(others)]
    if not careful:
        ends[1] = d.pick(rhymes[(first, second)[d.upto(2)]])
        subjects = [d.pick(others) if d.chance(0.2) else name,
                    name if d.chance(0.1) else subjects[1]]
    return "\n".join(line(d, subject, end, SYLLABLES if careful else d.between(6, 11))
                     for subject, end in zip(subjects, ends))


def master(d: Dice, name: str) -> str:
    """A couplet in which the judge sees nothing to mend."""
    while score(name, found := write(d, name, careful=True)) < 1:
        pass
    return found


def prefers(d: Dice, name: str, one: str, other: str) -> int:
    """Whether the judge, who errs a little, likes the one better, 1, or the other, -1; 0: a tie."""
    apart = score(name, one) - score(name, other)
    apart += sum(d.random() - 0.5 for _ in range(12)) * NOISE * 2 ** 0.5     # nearly normal
    return 0 if abs(apart) < TIE else 1 if apart > 0 else -1
