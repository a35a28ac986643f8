"""How pages tell of things: sentences of the text files, as many as make a page long enough and
full enough of words.

`w` is the public part of a world (World.public), `d` the dice.
"""
import re

from data.pocket import text
from data.pocket.grammar import Dice, Noun, say, some, tidy, words


def joined(*paragraphs: str) -> str:
    """The paragraphs that are not empty, as a text."""
    return tidy("\n\n".join(filter(None, map(str.strip, paragraphs))))


def nouns(d: Dice, names: str, **others: str) -> dict:
    """{name: a word of that list}, which stays the same throughout a page. `others` is
    {name: (list, the name of a word that it must not be)}."""
    facts = {name: Noun(d.often(words(name))) for name in names.split()}
    for name, (kind, taken) in others.items():
        facts[name] = Noun(d.pick([word for word in words(kind) if word != facts[taken]]))
    return facts


def neighbour(d: Dice, town):
    """Another famous town of the same region."""
    return d.pick([other for other in town.region.towns if other is not town])


def two_towns(w, d: Dice) -> dict:
    """Two towns of a region, as {t} and {u}."""
    t = d.zipf(w.towns)
    return {"t": t, "u": neighbour(d, t)}


BEST = {"life", "birthplace", "born", "trade", "home"}     # what one knows first of a person
EPITHETS = {"the {p.trade} {p}": ("life", "trade"), "{p} of {p.base}": ("life", "home"),
            "{p} ({p.years})": ("life", "birthplace", "born", "died")}


def naming(d: Dice, thing, topic: str, full: bool, epithets: float) -> dict:
    """What stands in a sentence about a topic for a thing: n (it does something), m (something is
    done to it), ns (what is its own)."""
    kind = thing.type
    if kind == "person" and not full:
        short = d.pick([thing.given, thing.family])
        return (dict(n=short, m=short, ns=short + "'s") if d.chance(0.3) else
                dict(n=thing.he, m=thing.him, ns=thing.his))
    if not full:
        short = "the " + {"creature": "animal", "town": "place"}.get(kind, kind)
        return dict(n=d.pick(["it", "it", short]), m=short, ns="its")
    name = f"the {thing}" if kind == "creature" else thing.name
    epithet = d.pick(list(EPITHETS)) if kind == "person" and d.chance(epithets) else ""
    called = say(d, epithet, {"p": thing}) if topic not in EPITHETS.get(epithet, [topic]) else name
    return dict(n=called, m=called, ns=name + "'s")


def state(w, d: Dice, thing, topic: str, full: bool = True, people: list = None,
          epithets: float = 0.4) -> str:
    """A sentence that states a topic of text/relations.txt about a thing.

    full        whether to name the thing in full, not by a pronoun
    people      who else may be named in it
    epithets    how often a person's full name comes with trade, home or years
    """
    kind = thing.type
    template = d.pick(text.wordings("tell")[kind][topic])
    facts = {"p": d.zipf(people or w.people), thing.slot: thing,
             "u": d.pick([town for town in w.towns if town is not thing]),
             **naming(d, thing, topic, full or kind == "person" and "of {m}" in template,
                       epithets)}
    if kind == "person":
        facts["fame"] = some(d, "fame", facts)
    return say(d, template, facts)


def topics(thing, section: str = "tell") -> list:
    """The topics that a thing has something to say to: no death of the living."""
    return [topic for topic in text.wordings(section)[thing.type]
            if getattr(thing, "mother" if topic == "parents" else topic, True) is not None]


def drawn(d: Dice, has: list, k: int) -> list:
    """k of these topics, the best-known first more often than not."""
    pool = has + [topic for topic in has if topic in BEST] * 2
    return list(dict.fromkeys(d.some(pool, len(pool))))[:k]


def passing(w, d: Dice, thing, chance: float) -> str:
    """Perhaps a fact or two in passing."""
    chosen = drawn(d, topics(thing), d.between(1, 3)) if d.chance(chance) else []
    return " ".join(state(w, d, thing, topic, full=topic == chosen[0]) for topic in chosen)


def paragraphs(d: Dice, sentences: list) -> list:
    """Sentences as paragraphs of three to six, the last one of up to eight."""
    parts = []
    while sentences:
        k = d.between(3, 6)
        k = len(sentences) if len(sentences) < k + 3 else k
        parts.append(" ".join(sentences[:k]))
        sentences = sentences[k:]
    return parts


OTHERS = {"spouse", "mother", "father", "parents", "teacher", "author"}


def telling(w, d: Dice, thing, chosen: list, named: bool = False, people: list = None,
            wordy: float = 0):
    """A sentence for each of these topics of a thing, with its name or a pronoun: after a sentence
    about somebody else a pronoun could mean another. `named`: the thing is what came before;
    `wordy`: sentences with a smaller share of letters (see `letters`) are left out."""
    often = 0.25 if thing.type == "person" else 0.1
    for topic in chosen:
        mark = len(d.told)
        sentence = state(w, d, thing, topic, not named or d.chance(often), people, 0.1)
        good, all = letters(sentence)
        if good >= wordy * all:
            yield sentence
            named = topic not in OTHERS
        else:
            del d.told[mark:]       # it was not told


def biography(w, d: Dice, thing, least: int, most: int) -> list:
    """Sentences for some of a thing's topics, in order or in disorder."""
    has = [topic for topic in topics(thing) if topic != "life"]
    chosen = drawn(d, has, d.between(least, most))
    if d.chance(0.5):
        chosen.sort(key=has.index)
    return list(telling(w, d, thing, chosen, True))


WORDS = re.compile(r"'s\b|[^\W\d]\w*")
MARKS = re.compile(r"'s\b|\d[\d,]*|\w+|[^\w\s]")       # words, numbers, and each mark
LETTERS = 0.82      # of all words and marks
NUMBERS = {"born", "died", "wedding", "founded", "population", "size", "year", "minutes", "length"}


def letters(prose: str) -> tuple:
    """How many words and marks of a text have letters, and how many there are."""
    return len(WORDS.findall(prose)), len(MARKS.findall(prose))


def askable(thing, section: str = "ask") -> list:
    """The topics of questions about a thing whose answers are not people who must not be named."""
    return [topic for topic in topics(thing, section)
            if getattr(getattr(thing, topic, None), "asked", True)]


def background(w, d: Dice, prose: str, things: list, people: list = None) -> list:
    """Paragraphs about the things, and if that is not enough about famous people, that make a page
    of this text long enough and full enough of words: sums, dates and short questions alone would
    not pass for prose (Gopher's rules, arXiv:2112.11446: 50 words; letters in 80 % of the words and
    marks)."""
    (good, all), parts, queue = letters(prose), {}, list(things)
    while all < 95 or good < LETTERS * all:
        thing = queue.pop(0) if queue else d.zipf(people or w.people)
        if thing in parts:
            continue
        has = topics(thing) if people is None else askable(thing, "tell")
        new = [topic for topic in has if topic not in NUMBERS and (thing, topic) not in d.told]
        parts[thing] = []
        for sentence in telling(w, d, thing, d.some(new, len(new)), people=people,
                                wordy=1.06 * LETTERS):
            parts[thing].append(sentence)
            more = letters(sentence)
            good, all = good + more[0], all + more[1]
            if all >= 95 and good >= LETTERS * all:
                break
    return [" ".join(sentences) for sentences in parts.values() if sentences]


def full(w, d: Dice, things: list, *parts: str, people: list = None) -> str:
    """A page of these paragraphs and as much background as it needs."""
    prose = joined(*parts)
    more = background(w, d, prose, things, people)
    return f"{prose}\n\n{joined(*more)}" if more else prose
