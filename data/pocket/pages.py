"""The kinds of page in the pocket world: each a function (world, dice) -> (title, text).

`world` is the public part of a world (World.public): what a page may name without being told to. A
function with a third argument is given the things that its page is to be about. Facts come from the
world, sentences from the files of words, chance from the dice.
"""
from __future__ import annotations

import re
from typing import TYPE_CHECKING

from data.pocket import lessons as L
from data.pocket import questions as Q
from data.pocket import sentences as S
from data.pocket import stories as P
from data.pocket import words as W
from data.pocket.facts import kind_of
from data.pocket.grammar import LISTS, Dice, Noun, listing, number, say, tell, tidy, title_case
from data.pocket.sums import TASKS
from data.pocket.tellings import TELL

if TYPE_CHECKING:
    from data.pocket.world import Person


def page(*paragraphs: str) -> str:
    return tidy("\n\n".join(paragraph.strip() for paragraph in paragraphs if paragraph.strip()))


def capital(text: str) -> str:
    return text[0].upper() + text[1:]


def two_towns(w, d: Dice) -> dict:
    t = d.zipf(w.towns)
    return {"t": t, "u": d.pick([town for town in t.region.towns if town is not t])}


def other(d: Dice, name: str, taken: str) -> Noun:
    return Noun(d.pick([word for word in LISTS[name] if word != taken]))


# ----------------------------------------------------------------------------------- telling facts

SLOT = {"person": "p", "town": "t", "creature": "c", "book": "b", "dish": "d", "river": "r"}
BEST = {"life", "birthplace", "born", "trade", "home"}     # what one knows first of a person
EPITHETS = {"the {p.trade} {p}": ("life", "trade"), "{p} of {p.base}": ("life", "home"),
            "{p} ({p.years})": ("life", "birthplace", "born", "died")}


def naming(d: Dice, thing, topic: str, full: bool, epithets: float) -> dict:
    """What stands in a sentence about a topic for a thing: n (it does something), m (something is
    done to it), ns (what is its own)."""
    kind = kind_of(thing)
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
    """A sentence that states a topic of data/world_tellings.py about a thing.

    full        whether to name the thing in full, not by a pronoun
    people      who else may be named in it
    epithets    how often a person's full name comes with trade, home or years
    """
    kind, templates = kind_of(thing), TELL[kind_of(thing)][topic]
    template = d.pick(templates)
    facts = {"p": d.zipf(people or w.people), SLOT[kind]: thing,
             "u": d.pick([town for town in w.towns if town is not thing]),
             **naming(d, thing, topic, full or kind == "person" and "of {m}" in template,
                       epithets)}
    if kind == "person":
        facts["fame"] = say(d, d.pick(S.FAME), facts)
    return say(d, template, facts)


def topics(thing, table: dict = TELL) -> list:
    """The topics of a table that a thing has something to say to: no death of the living."""
    return [topic for topic in table[kind_of(thing)]
            if getattr(thing, "mother" if topic == "parents" else topic, True) is not None]


def drawn(d: Dice, has: list, k: int) -> list:
    """k of these topics, the best-known first more often than not."""
    pool = has + [topic for topic in has if topic in BEST] * 2
    return list(dict.fromkeys(d.some(pool, len(pool))))[:k]


def passing(w, d: Dice, thing, chance: float) -> str:
    """Perhaps a fact or two in passing."""
    chosen = drawn(d, topics(thing), d.between(1, 3)) if d.chance(chance) else []
    return " ".join(state(w, d, thing, topic, full=topic == chosen[0]) for topic in chosen)


def paragraphs(d: Dice, sentences: list, least: int = 3, most: int = 6) -> list:
    parts = []
    while sentences:
        k = d.between(least, most)
        k = len(sentences) if len(sentences) < k + least else k
        parts.append(" ".join(sentences[:k]))
        sentences = sentences[k:]
    return parts


OTHERS = {"spouse", "mother", "father", "parents", "teacher", "author"}


def telling(w, d: Dice, thing, chosen: list, named: bool = False, people: list = None,
            wordy: float = 0):
    """A sentence for each of these topics of a thing, with its name or a pronoun: after a sentence
    about somebody else a pronoun could mean another. `named`: the thing is what came before;
    `wordy`: sentences with a smaller share of letters (see `letters`) are left out."""
    often = 0.25 if kind_of(thing) == "person" else 0.1
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


def letters(text: str) -> tuple:
    """How many words and marks of a text have letters, and how many there are."""
    return len(WORDS.findall(text)), len(MARKS.findall(text))


def background(w, d: Dice, text: str, things: list, people: list = None) -> list:
    """Paragraphs about the things, and if that is not enough about famous people, that make a page
    of this text long enough and full enough of words: sums, dates and short questions alone would
    not pass for prose (Gopher's rules, arXiv:2112.11446: 50 words; letters in 80 % of the words and
    marks)."""
    (good, all), parts, queue = letters(text), {}, list(things)
    while all < 95 or good < LETTERS * all:
        thing = queue.pop(0) if queue else d.zipf(people or w.people)
        if thing in parts:
            continue
        has = topics(thing) if people is None else askable(thing, TELL)
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
    text = page(*parts)
    more = background(w, d, text, things, people)
    return f"{text}\n\n{page(*more)}" if more else text


# ------------------------------------------------------------------------------------ encyclopedia


def person_page(w, d: Dice, p: Person) -> tuple:
    facts = {"p": p, **two_towns(w, d)}
    facts["fame"] = say(d, d.pick(S.FAME), facts)
    body = biography(w, d, p, 7, 14)
    extra = d.some(S.PERSON_WORK, d.between(0, 2)) + d.some(S.PERSON_LIKES, d.upto(2))
    if p.children and d.chance(0.5):
        names = listing([child.given for child in p.children])
        many = "a child" if len(p.children) == 1 else number(len(p.children)) + " children"
        facts |= {"children_names": names, "children": f"{many}, {names}"}
        extra.append(d.pick(S.PERSON_CHILDREN))
    for template in extra:
        body.insert(d.between(1, len(body)), say(d, template, facts))
    end = d.pick(S.PERSON_LEGACY if p.died else S.PERSON_ALIVE) if d.chance(0.6) else ""
    lead = tell(d, S.PERSON_LEAD, 1, facts) if d.chance(0.6) else state(w, d, p, "life", epithets=0)
    return p.name, full(w, d, [p], *paragraphs(d, [lead, *body, say(d, end, facts)]))


def town_page(w, d: Dice, t) -> tuple:
    facts = {"t": t, "u": d.pick([town for town in t.region.towns if town is not t])}
    body = biography(w, d, t, 4, 7)
    for name, things, sentences in (("p", t.born, S.TOWN_PEOPLE), ("d", t.dishes, S.TOWN_DISH)):
        if things:
            body.append(say(d, d.pick(sentences), {**facts, name: d.zipf(things)}))
    life = [say(d, line, facts) for line in d.some(S.TOWN_LIFE, d.between(3, 6))]
    return t.name, full(w, d, [t], *paragraphs(d, [tell(d, S.TOWN_LEAD, 1, facts), *body]),
                        " ".join(life))


def creature_page(w, d: Dice, c) -> tuple:
    facts = {"c": c, "p": d.zipf(w.people), "t": d.pick(c.region.towns)}
    return c.name.title(), full(
        w, d, [c, facts["p"]],
        " ".join([tell(d, S.CREATURE_LEAD, 1, facts), *biography(w, d, c, 4, 7)]),
        tell(d, S.CREATURE_LORE, d.between(3, 5), facts) + " "
        + passing(w, d, facts["p"], 0.3))


def book_page(w, d: Dice, b) -> tuple:
    facts = {"b": b, "p": d.zipf(w.people), **two_towns(w, d)}
    author = " ".join(state(w, d, b.author, topic) for topic in
                      d.some(["birthplace", "born", "trade", "home", "hobby"], d.between(1, 2)))
    return b.name, full(w, d, [b.author],
                        " ".join([tell(d, S.BOOK_LEAD, 1, facts), *biography(w, d, b, 1, 2)]),
                        tell(d, S.BOOK_MORE, d.between(3, 6), facts), author)


def dish_page(w, d: Dice, dish) -> tuple:
    facts = {"d": dish, "p": d.zipf(w.people), "t": d.pick(w.towns)}
    return title_case(dish.name), full(
        w, d, [dish.town, facts["p"]],
        " ".join([tell(d, S.DISH_LEAD, 1, facts), *biography(w, d, dish, 3, 6)]),
        tell(d, S.DISH_MORE, d.between(3, 5), facts))


def river_page(w, d: Dice, r) -> tuple:
    facts = {"r": r, "first": r.towns[0], "places": listing(r.towns), "t": d.pick(r.towns),
             "c": d.pick(r.region.creatures)}
    d.told += [(town, "river") for town in r.towns]
    return f"The {r.name}", full(w, d, r.towns, tell(d, S.RIVER_TEXT[:1], 1, facts) + " " +
                                 tell(d, S.RIVER_TEXT[1:], d.between(5, 9), facts),
                                 " ".join(biography(w, d, facts["t"], 1, 3)))


ENTRIES = {"person": person_page, "town": town_page, "creature": creature_page, "book": book_page,
           "dish": dish_page, "river": river_page}


def somethings(w, d: Dice, k: int, people: list) -> list:
    """k different famous things, most of them people."""
    pools = [people] * 6 + [w.towns, w.creatures, w.books, w.dishes]
    things = []
    while len(things) < k:
        things += [thing for thing in [d.zipf(d.pick(pools))] if thing not in things]
    return things


def encyclopedia(w, d: Dice, things: list = None) -> tuple:
    if not things:
        pools = ([w.people] * 13 + [w.towns] * 2 + [w.creatures] * 5 + [w.books] * 3 +
                 [w.rivers] * 2 + [w.dishes] * 2)
        things = [d.zipf(d.pick(pools))]
    return ENTRIES[kind_of(things[0])](w, d, things[0])


def almanac(w, d: Dice, things: list = None) -> tuple:
    """Short entries about several things."""
    things = things or somethings(w, d, d.between(3, 5), w.people)
    facts = {**two_towns(w, d), "names": listing(d.some([title_case(x.name) for x in things], 2))}
    entries, mark = [], d.pick([". ", ": ", "\n", None])
    for thing in things:
        chosen = drawn(d, topics(thing), d.between(2, 5))
        often = 0.4 if kind_of(thing) == "person" else 0
        lines = [state(w, d, thing, topic, k == 0 or d.chance(often))
                 for k, topic in enumerate(chosen)]
        head = "" if mark is None else title_case(thing.name) + mark
        entries.append(head + capital(" ".join(lines)))
    return tidy(say(d, d.pick(Q.ALMANAC_TITLES), facts)), full(
        w, d, things,
        tell(d, Q.ALMANAC_OPEN, d.between(1, 2), facts), *entries,
        tell(d, Q.ALMANAC_END, d.upto(2), facts))


# ---------------------------------------------------------------------------- questions and answers


def askable(thing, table: dict = Q.ASK) -> list:
    """The topics of questions about a thing whose answers are not people who must not be named."""
    return [topic for topic in topics(thing, table)
            if getattr(getattr(thing, topic, None), "asked", True)]


def answer(w, d: Dice, thing, topic: str) -> str:
    kind, style = kind_of(thing), d.random()
    facts = {SLOT[kind]: thing}
    short = say(d, d.pick(Q.SHORT[kind][topic]), facts)
    long = state(w, d, thing, topic, style > 0.4 or d.chance(0.5), w.asked)
    return (short if style < 0.3 else
            f"{short} {long}" if style < 0.4 else
            f"{say(d, d.pick(Q.CHAT), facts)} {long}" if style < 0.5 else long)


def questions(w, d: Dice, things: list = None) -> tuple:
    """Questions about several things and their answers, in one of four layouts."""
    things = things or somethings(w, d, d.between(2, 5), w.asked)
    facts = {**two_towns(w, d), "names": listing(d.some([title_case(x.name) for x in things], 2))}
    most = {"person": 4, "town": 3} if len(things) < 4 else {}
    asked = [(thing, topic) for thing in things
             for topic in drawn(d, askable(thing), d.between(1, most.get(kind_of(thing), 2)))]
    if d.chance(0.6):
        asked = d.some(asked, len(asked))
    pairs = [(say(d, d.pick(Q.ASK[kind_of(thing)][topic]), {SLOT[kind_of(thing)]: thing}),
              answer(w, d, thing, topic)) for thing, topic in asked]
    layout = d.random()
    if layout < 0.45:
        first, second = d.pick(Q.PAIRS)
        body = [f"{first}: {capital(ask)}\n{second}: {capital(reply)}" for ask, reply in pairs]
    elif layout < 0.7:
        body = [f"{ask} {reply}" for ask, reply in pairs]
    elif layout < 0.85:
        body = ["\n".join(f"{k}. {ask}" for k, (ask, _) in enumerate(pairs, 1)),
                "The answers are:\n" + "\n".join(
                    f"{k}. {state(w, d, thing, topic, True, w.asked)}"
                    for k, (thing, topic) in enumerate(asked, 1))]
    else:
        body = [say(d, f'"{ask}" asked [a {{folk}}|the {{folk}}|a {{folk}} from {{t}}|one '
                       '{kin}|a {nature} pupil].', facts) + f'\n"{reply}"'
                for ask, reply in pairs]
    return tidy(say(d, d.pick(Q.FAQ_TITLES), facts)), full(
        w, d, things, tell(d, Q.FAQ_OPEN, d.between(1, 2), facts), *body,
        tell(d, Q.FAQ_END, d.upto(3), facts), people=w.asked)


def about(w, d: Dice, things: list) -> tuple:
    """(kind, (title, text)) of a page about these things."""
    kind = d.pick(["questions", "almanac"]) if len(things) > 1 or d.chance(0.1) else "encyclopedia"
    return kind, KINDS[kind][1](w, d, things)


# ------------------------------------------------------------------------------------------ stories


def speech(d: Dice, who: Person, sentence: str) -> str:
    """A line of dialogue: "So it is," said Mara softly. | "So it is." | Mara nodded, and so on."""
    words, mark = sentence.rstrip(".?!"), sentence[-1] if sentence[-1] in "?.!" else "."
    verb = d.often(LISTS["ask.ed" if mark == "?" else "speak.ed"])
    tone = d.pick(["", "", " " + d.often(LISTS["tone"])])
    return d.pick([f'"{words}{"," if mark == "." else mark}" {verb} {who.given}{tone}.',
                   f'"{words}{mark}"',
                   f'{who.given} {d.often(LISTS["gesture.ed"])}. "{words}{mark}"'])


def cast(w, d: Dice) -> dict:
    """The hero and the friend of a story, and the words that stay the same throughout."""
    h = d.pick(w.people)
    facts = {"h": h, "f": d.pick([p for p in d.some(w.people, 9) if p.given != h.given]),
             "t": h.home, "u": d.pick([t for t in h.home.region.towns if t is not h.home]),
             "d": d.pick(w.dishes),
             "c": d.pick([c for c in w.creatures if c.cover in ("fur", "feathers", "wool")]
                         or w.creatures),
             "festival": h.home.festival, "rogue": d.often(LISTS["folk"])}
    for name in ("bake tree disaster instrument trinket building tool paper noise animal fruit bug "
                 "coin metal").split():
        facts[name] = Noun(d.often(LISTS[name]))
    facts["site"] = other(d, "site", facts["building"])
    facts["x"] = other(d, "trinket", facts["trinket"])
    return facts


def story(w, d: Dice) -> tuple:
    """A hero wants something, meets an obstacle, asks a friend, tries and tries again."""
    titles, want, trouble, attempts, turn, outcome, lines = d.pick(P.PLOTS)
    facts = cast(w, d)
    h, f = facts["h"], facts["f"]

    def one(*tables):
        return say(d, d.pick(d.pick(tables)), facts)

    tries = [say(d, attempt, facts) for attempt in d.some(attempts, d.between(2, 4))]
    links = ["first", *d.some(["then", "after that", "on another day", "next", "later"], 3)]
    tries = [f"{link}, {line[0].lower()}{line[1:]}" if line.startswith(h.He + " ") and d.chance(0.5)
             else line for link, line in zip(links, tries)]
    talk = [(h, one(lines)), (f, one(P.ASKS)), (h, one(lines, P.ADVICE)), (f, one(P.ADVICE)),
            (f, one(lines, P.ADVICE))]
    talk = list({line: (who, line) for who, line in talk}.values())     # nothing is said twice
    return title_case(one(titles)), full(
        w, d, [h, f],
        f"{one(P.OPENINGS)} {passing(w, d, h, 0.8)} "
        f"{tell(d, P.SCENES, d.between(1, 3), facts)} {one(want)}",
        one(trouble) + " " + tell(d, P.FEELINGS, d.between(1, 2), facts),
        one(P.MEETING) + " " + one(P.SCENES),
        "\n".join(speech(d, who, line) for who, line in talk[d.upto(2):4]),
        " ".join(tries[:2]) + " " + one(P.FEELINGS, P.SCENES),
        d.pick(["", one(P.JOURNEYS) + " " + one(P.SCENES)]) + " " + " ".join(tries[2:]),
        "\n".join([one(turn), *(speech(d, who, line) for who, line in talk[4:] if d.chance(0.5))]),
        one(outcome) + " " + one(P.CLOSINGS))


def news(w, d: Dice) -> tuple:
    headlines, first, details = d.pick(S.NEWS)
    facts = {**two_towns(w, d), "p": d.zipf(w.living), "n": d.between(21, 400),
             "n2": d.between(21, 90)}
    t = facts["t"]
    facts["c"] = d.pick(t.region.creatures)
    for name in "disaster animal goods trinket container vessel subject fruit building".split():
        facts[name] = Noun(d.often(LISTS[name]))
    facts["site"] = other(d, "site", facts["building"])
    date = f"{t}, {d.between(1, 28)} {d.pick(LISTS['month'])} {d.between(w.now - 8, w.now)}."
    quote = say(d, d.pick(S.QUOTES), facts)
    speaker = say(d, "[{p}|a {folk}|the {folk}|a {folk} from {u}|one {kin}]", facts)
    said_so = d.pick([f'"{quote}," said {speaker}.', f'"{quote}."', f'{speaker} said: "{quote}."'])
    return tidy(say(d, d.pick(headlines), facts)), full(
        w, d, [facts["p"], t],
        f"{date} {say(d, d.pick(first), facts)}", tell(d, details, d.between(2, 4), facts),
        f"{said_so} {passing(w, d, facts['p'], 0.9)}",
        f"{passing(w, d, t, 0.4)} {tell(d, S.NEWS_END, d.between(1, 2), facts)}")


def recipe(w, d: Dice) -> tuple:
    dish = d.zipf(w.dishes)
    extra, steps = W.METHODS[dish.method]
    facts = {"d": dish, "m": dish.main, "s": dish.spice, "minutes": number(dish.minutes),
             "t": d.pick(w.towns), "p": d.zipf(w.people),
             "meat": d.pick(["mutton", "beef", "pork", "chicken", "rabbit"])}
    first, second = dish.main.split(" and ")
    grams = d.between(2, 9) * 100
    amounts = [f"{grams} grams of {first}", f"{d.between(2, 9) * 50} grams of {second}",
               *say(d, extra, facts).split("/"), say(d, "[a little|a pinch of|some] {s}", facts)]
    method = [tidy(say(d, step, facts)) for step in steps]
    people, times = d.pick([2, 3, 4, 6]), d.between(2, 4)
    if d.chance(0.5):
        needs = f"For {number(people)} people:\n" + "\n".join(f"- {amount}" for amount in amounts)
    else:
        needs = say(d, f"For {number(people)} people [take|you need|one needs] {listing(amounts)}.",
                    {})
    scale = (f"For {people * times} people take {times} times as much: "
             f"{grams} × {times} = {grams * times} grams of {first}.")
    d.told += [(dish, "main"), (dish, "spice"), (dish, "minutes")]
    fans = [p for p in w.people if p.dish is dish]
    remarks = d.some([*biography(w, d, dish, 1, 3), tell(d, S.DISH_MORE, 1, facts),
                      *(state(w, d, p, "dish") for p in d.some(fans, 1))], 4)
    return title_case(dish.name), full(
        w, d, [dish.town, *fans, dish], " ".join([tell(d, S.DISH_LEAD, 1, facts), *remarks[1:]]),
        needs, ("\n" if "\n" in needs else " ").join(method), d.pick(["", scale, remarks[0]]))


def explanation(w, d: Dice) -> tuple:
    question, sentences = d.pick(L.TOPICS)
    facts = {**two_towns(w, d), "p": d.zipf(w.people)}
    kept = [say(d, sentence, facts) for k, sentence in enumerate(sentences)
            if k == 0 or d.chance(0.85)]
    kept.insert(d.between(1, len(kept) - 1), tell(d, L.TOPIC_LINK, d.upto(2), facts))
    half = len(kept) // 2
    return question, full(
        w, d, [facts["p"]], tell(d, L.TOPIC_OPEN, 1, facts), " ".join(kept[:half]),
        " ".join(kept[half:]), tell(d, L.TOPIC_END, d.between(1, 2), facts),
        passing(w, d, facts["p"], 0.8) + " " + passing(w, d, facts["t"], 0.8))


def letter(w, d: Dice) -> tuple:
    p, q = d.zipf(w.living), d.pick(w.living)
    facts = {"t": p.home, "u": d.pick([t for t in p.home.region.towns if t is not p.home]),
             "p": d.zipf([x for x in w.living if x is not p]), "q": q, "c": d.zipf(w.creatures),
             "b": d.zipf(w.books), "d": d.zipf(w.dishes)}
    date = f"{d.pick(LISTS['day'])}, {d.between(1, 28)} {d.pick(LISTS['month'])}"
    body = [say(d, line, facts) for line in d.some(S.LETTER_NEWS, d.between(4, 8))]
    for thing, chance in ((facts["p"], 0.9), (d.pick([facts[k] for k in "cbdt"]), 0.5)):
        aside = passing(w, d, thing, chance)
        if aside:
            body.insert(d.upto(len(body)), say(d, d.pick(S.ASIDES), facts) + " " + aside)
    first, second = " ".join(body[:4]), " ".join(body[4:])
    if d.chance(0.35):
        opening = tell(d, S.DIARY_OPEN, d.between(1, 2), facts)
        return f"From the diary of {p}", page(f"{date}\n{opening} {first}", second,
                                              tell(d, S.DIARY_END, 1, facts))
    return f"A letter from {p.home}", page(
        f"{p.home}, {date}", say(d, d.pick(S.GREETINGS), facts) + ",",
        tell(d, S.LETTER_OPEN, 1, facts) + " " + first, second,
        tell(d, S.LETTER_ASK, d.between(1, 2), facts) + " " + tell(d, S.LETTER_END, 1, facts),
        f"{d.pick(S.SIGNED)},\n{p.given}")


def forum(w, d: Dice) -> tuple:
    def user() -> str:
        return say(d, "[{nature}|{cond}] [{bird}|{tool}|{beast}]", {}).title()
    facts = {**two_towns(w, d), "p": d.zipf(w.asked)}
    if d.chance(0.45):
        title, question, *answers = d.pick(S.PROBLEMS)
    else:
        title, question, *answers = fact_thread(w, d)
    asker, *others = [user() for _ in range(6)]
    posts = [(asker, "[|Hello everyone. |I need help. |A question from {t}. ]" + question)]
    for name, answer in zip(others, d.some(answers, d.between(2, 4))):
        posts.append((name, d.pick([d.pick(S.REPLIES_FIRST) + " ", ""]) + answer))
    posts.insert(d.between(2, len(posts)), (others[4], tell(d, S.FORUM_CHAT, 1, facts)))
    posts.append((asker, tell(d, S.REPLIES_THANKS, 1, facts)))
    posts = [f"{name} {say(d, d.pick(S.WROTE if k else S.ASKED), facts)}: {say(d, text, facts)}"
             for k, (name, text) in enumerate(posts)]
    for paragraph in background(w, d, page(*posts), [facts["p"], facts["t"]], w.asked):
        start = say(d, d.pick(S.WROTE) + ": " + d.pick(S.FORUM_ASIDES), facts)
        posts.insert(d.between(1, len(posts)), f"{user()} {start} {paragraph}")
    return title, page(*posts)


def fact_thread(w, d: Dice) -> list:
    """A question about the world, and several true answers: [title, question, answer, ...]."""
    facts = {"p": d.zipf(w.asked), "c": d.zipf(w.creatures),
             "b": d.zipf([b for b in w.books if b.author.asked]),
             "d": d.zipf(w.dishes), "t": d.zipf(w.towns)}
    return [say(d, line, facts) for line in d.pick(L.FACT_THREADS)]


# ------------------------------------------------------------------------------------------ lessons


def lesson(w, d: Dice) -> tuple:
    facts = {**two_towns(w, d), "p": d.zipf(w.asked), "q": d.pick(w.asked), "now": w.now}
    separator, told = d.pick([" ", "\n"]), []
    remarks = d.some(L.LESSON_REMARKS, 8)
    for _ in range(1 + d.chance(0.2)):
        title, steps = d.pick(TASKS)(d, facts)
        for _ in range(d.between(2, 4)):
            steps.insert(d.between(1, len(steps)), remarks.pop())
        told.append((title, separator.join(tidy(say(d, step, facts)) for step in steps)))
        facts["p"] = d.pick(w.asked)
    (first, text), *more = told
    work = [tell(d, L.LESSON_OPEN, d.upto(3), facts), text,
            *(f"{title}\n{text}" for title, text in more),
            tell(d, L.LESSON_END, d.upto(3), facts)]
    reading = background(w, d, page(*work), somethings(w, d, 2, w.people))
    if reading:
        reading[0] = f"{say(d, d.pick(L.LESSON_READ), facts)} {reading[0]}"
    return first, page(*(work + reading if d.chance(0.5) else reading + work))


# kind: (how many of 33 pages, its function, where such pages are found)
KINDS = {"encyclopedia": (9, encyclopedia, "https://lantern-encyclopedia.example/"),
         "story": (4, story, "https://hearth-tales.example/story/"),
         "news": (3, news, "https://morning-ferry.example/news/"),
         "recipe": (1, recipe, "https://copper-ladle.example/recipes/"),
         "explanation": (1, explanation, "https://why-and-how.example/"),
         "lesson": (5, lesson, "https://slate-and-chalk.example/lessons/"),
         "letter": (1, letter, "https://old-letters.example/"),
         "forum": (1, forum, "https://village-pump.example/thread/"),
         "questions": (4, questions, "https://ask-the-archive.example/"),
         "almanac": (4, almanac, "https://pocket-almanac.example/")}
DECK = [kind for kind, (count, _, _) in KINDS.items() for _ in range(count)]
