"""The kinds of page in the pocket world: each a function (world, dice) -> (title, text).

`world` is the public part of a world (World.public): what a page may name without being told to. A
function with a third argument is given the things that its page is to be about. Facts come from the
world, sentences from the text files, chance from the dice.
"""
import hashlib
import itertools
import re
from typing import Iterator

from data.pocket.grammar import (Dice, capital, listing, number, say, some, tidy, title_case,
                                 words)
from data.pocket import sums, text
from data.pocket.tell import (askable, background, biography, drawn, full, joined, neighbour,
                              nouns, paragraphs, passing, state, topics, two_towns)
from data.pocket.world import Person, World

# ------------------------------------------------------------------------------------ encyclopedia

def person_page(w, d: Dice, p: Person) -> str:
    """The page of a person."""
    facts = {"p": p, **two_towns(w, d)}
    facts["fame"] = some(d, "fame", facts)
    body = biography(w, d, p, 7, 14)
    extra = (d.some(text.lines("pages", "person work"), d.between(0, 2))
             + d.some(text.lines("pages", "person likes"), d.upto(2)))
    if p.children and d.chance(0.5):
        names = listing([child.given for child in p.children])
        many = "a child" if len(p.children) == 1 else number(len(p.children)) + " children"
        facts |= {"children_names": names, "children": f"{many}, {names}"}
        extra.append(d.pick(text.lines("pages", "person children")))
    for template in extra:
        body.insert(d.between(1, len(body)), say(d, template, facts))
    end = (d.pick(text.lines("pages", "person legacy" if p.died else "person alive"))
           if d.chance(0.6) else "")
    lead = (some(d, "person lead", facts) if d.chance(0.6) else
            state(w, d, p, "life", epithets=0))
    return full(w, d, [p], *paragraphs(d, [lead, *body, say(d, end, facts)]))


def town_page(w, d: Dice, t) -> str:
    """The page of a town."""
    facts = {"t": t, "u": neighbour(d, t)}
    body = biography(w, d, t, 4, 7)
    for name, things, block in (("p", t.born, "town people"), ("d", t.dishes, "town dish")):
        if things:
            template = d.pick(text.lines("pages", block))
            body.append(say(d, template, {**facts, name: d.zipf(things)}))
    life = some(d, "town life", facts, d.between(3, 6))
    return full(w, d, [t], *paragraphs(d, [some(d, "town lead", facts), *body]), life)


def creature_page(w, d: Dice, c) -> str:
    """The page of a creature."""
    facts = {"c": c, "p": d.zipf(w.people), "t": d.pick(c.region.towns)}
    return full(w, d, [c, facts["p"]],
                " ".join([some(d, "creature lead", facts), *biography(w, d, c, 4, 7)]),
                some(d, "creature lore", facts, d.between(3, 5)) + " "
                + passing(w, d, facts["p"], 0.3))


def book_page(w, d: Dice, b) -> str:
    """The page of a book."""
    facts = {"b": b, "p": d.zipf(w.people), **two_towns(w, d)}
    author = " ".join(state(w, d, b.author, topic) for topic in
                      d.some(["birthplace", "born", "trade", "home", "hobby"], d.between(1, 2)))
    return full(w, d, [b.author],
                " ".join([some(d, "book lead", facts), *biography(w, d, b, 1, 2)]),
                some(d, "book more", facts, d.between(3, 6)), author)


def dish_page(w, d: Dice, dish) -> str:
    """The page of a dish."""
    facts = {"d": dish, "p": d.zipf(w.people), "t": d.pick(w.towns)}
    return full(w, d, [dish.town, facts["p"]],
                " ".join([some(d, "dish lead", facts), *biography(w, d, dish, 3, 6)]),
                some(d, "dish more", facts, d.between(3, 5)))


def river_page(w, d: Dice, r) -> str:
    """The page of a river."""
    facts = {"r": r, "first": r.towns[0], "places": listing(r.towns), "t": d.pick(r.towns),
             "c": d.pick(r.region.creatures)}
    d.told += [(town, "river") for town in r.towns]
    lead, *more = text.lines("pages", "river text")
    return full(w, d, r.towns,
                f"{some(d, [lead], facts)} {some(d, more, facts, d.between(5, 9))}",
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
    """An article about one thing."""
    if not things:
        pools = ([w.people] * 13 + [w.towns] * 2 + [w.creatures] * 5 + [w.books] * 3 +
                 [w.rivers] * 2 + [w.dishes] * 2)
        things = [d.zipf(d.pick(pools))]
    thing, kind = things[0], things[0].type
    title = {"creature": thing.name.title(), "dish": title_case(thing.name),
             "river": f"The {thing}"}.get(kind, thing.name)
    return title, ENTRIES[kind](w, d, thing)


def almanac(w, d: Dice, things: list = None) -> tuple:
    """Short entries about several things."""
    things = things or somethings(w, d, d.between(3, 5), w.people)
    facts = {**two_towns(w, d), "names": listing(d.some([title_case(x.name) for x in things], 2))}
    entries, mark = [], d.pick([". ", ": ", "\n", None])
    for thing in things:
        chosen = drawn(d, topics(thing), d.between(2, 5))
        often = 0.4 if thing.type == "person" else 0
        lines = [state(w, d, thing, topic, k == 0 or d.chance(often))
                 for k, topic in enumerate(chosen)]
        head = "" if mark is None else title_case(thing.name) + mark
        entries.append(head + capital(" ".join(lines)))
    return tidy(some(d, "almanac titles", facts)), full(
        w, d, things, some(d, "almanac open", facts, d.between(1, 2)), *entries,
        some(d, "almanac end", facts, d.upto(2)))


# ---------------------------------------------------------------------------- questions and answers

def answer(w, d: Dice, thing, topic: str) -> str:
    """What a page answers to a question: a few words, a sentence or both."""
    kind, style = thing.type, d.random()
    short = some(d, text.wordings("short")[kind][topic], {thing.slot: thing})
    long = state(w, d, thing, topic, style > 0.4 or d.chance(0.5), w.asked)
    return (short if style < 0.3 else
            f"{short} {long}" if style < 0.4 else
            f"{some(d, 'chat', {thing.slot: thing})} {long}" if style < 0.5 else long)


def questions(w, d: Dice, things: list = None) -> tuple:
    """Questions about several things and their answers, in one of four layouts."""
    things = things or somethings(w, d, d.between(2, 5), w.asked)
    facts = {**two_towns(w, d), "names": listing(d.some([title_case(x.name) for x in things], 2))}
    most = {"person": 4, "town": 3} if len(things) < 4 else {}
    asked = [(thing, topic) for thing in things
             for topic in drawn(d, askable(thing), d.between(1, most.get(thing.type, 2)))]
    if d.chance(0.6):
        asked = d.some(asked, len(asked))
    pairs = [(some(d, text.wordings("ask")[thing.type][topic], {thing.slot: thing}),
              answer(w, d, thing, topic)) for thing, topic in asked]
    layout = d.random()
    if layout < 0.45:
        first, second = d.pick(text.lines("pages", "pairs")).split("/")
        body = [f"{first}: {capital(ask)}\n{second}: {capital(reply)}" for ask, reply in pairs]
    elif layout < 0.7:
        body = [f"{ask} {reply}" for ask, reply in pairs]
    elif layout < 0.85:
        body = ["\n".join(f"{k}. {ask}" for k, (ask, _) in enumerate(pairs, 1)),
                "The answers are:\n" + "\n".join(
                    f"{k}. {state(w, d, thing, topic, True, w.asked)}"
                    for k, (thing, topic) in enumerate(asked, 1))]
    else:
        body = [f'"{ask}" asked {some(d, "asker", facts)}.\n"{reply}"' for ask, reply in pairs]
    return tidy(some(d, "faq titles", facts)), full(
        w, d, things, some(d, "faq open", facts, d.between(1, 2)), *body,
        some(d, "faq end", facts, d.upto(3)), people=w.asked)


# ------------------------------------------------------------------------------------------ stories

def speech(d: Dice, who: Person, sentence: str) -> str:
    """A line of dialogue: "So it is," said Mara softly. | "So it is." | Mara nodded, and so on."""
    said, mark = sentence.rstrip(".?!"), sentence[-1] if sentence[-1] in "?.!" else "."
    verb = d.often(words("ask.ed" if mark == "?" else "speak.ed"))
    tone = d.pick(["", "", " " + d.often(words("tone"))])
    return d.pick([f'"{said}{"," if mark == "." else mark}" {verb} {who.given}{tone}.',
                   f'"{said}{mark}"',
                   f'{who.given} {d.often(words("gesture.ed"))}. "{said}{mark}"'])


def cast(w, d: Dice) -> dict:
    """The hero and the friend of a story, and the words that stay the same throughout."""
    h = d.pick(w.people)
    return {"h": h, "f": d.pick([p for p in d.some(w.people, 9) if p.given != h.given]),
            "t": h.home, "u": neighbour(d, h.home), "d": d.pick(w.dishes),
            "c": d.pick([c for c in w.creatures if c.cover in ("fur", "feathers", "wool")]
                        or w.creatures),
            "festival": h.home.festival, "rogue": d.often(words("folk")),
            **nouns(d, "bake tree disaster instrument trinket building tool paper noise animal "
                       "fruit bug coin metal", site=("site", "building"), x=("trinket", "trinket"))}


def story(w, d: Dice) -> tuple:
    """A hero wants something, meets an obstacle, asks a friend, tries and tries again."""
    every, *plots = text.load("stories").values()
    plot = {**every, **d.pick(plots)}
    facts = cast(w, d)
    h, f = facts["h"], facts["f"]

    def one(*names: str) -> str:
        return some(d, plot[d.pick(names)], facts)

    tries = [say(d, attempt, facts) for attempt in d.some(plot["attempts"], d.between(2, 4))]
    links = ["first", *d.some(["then", "after that", "on another day", "next", "later"], 3)]
    tries = [f"{link}, {line[0].lower()}{line[1:]}" if line.startswith(h.He + " ") and d.chance(0.5)
             else line for link, line in zip(links, tries)]
    talk = [(h, one("lines")), (f, one("asks")), (h, one("lines", "advice")), (f, one("advice")),
            (f, one("lines", "advice"))]
    talk = list({line: (who, line) for who, line in talk}.values())     # nothing is said twice
    return title_case(one("titles")), full(
        w, d, [h, f],
        f"{one('openings')} {passing(w, d, h, 0.8)} "
        f"{some(d, plot['scenes'], facts, d.between(1, 3))} {one('want')}",
        one("trouble") + " " + some(d, plot["feelings"], facts, d.between(1, 2)),
        one("meeting") + " " + one("scenes"),
        "\n".join(speech(d, who, line) for who, line in talk[d.upto(2):4]),
        " ".join(tries[:2]) + " " + one("feelings", "scenes"),
        d.pick(["", one("journeys") + " " + one("scenes")]) + " " + " ".join(tries[2:]),
        "\n".join([one("turn"), *(speech(d, who, line) for who, line in talk[4:]
                                  if d.chance(0.5))]),
        one("outcome") + " " + one("closings"))


def news(w, d: Dice) -> tuple:
    """An event in a town."""
    event = d.pick(list(text.load("news").values()))
    facts = {**two_towns(w, d), "p": d.zipf(w.living), "n": d.between(21, 400),
             "n2": d.between(21, 90)}
    t = facts["t"]
    facts["c"] = d.pick(t.region.creatures)
    facts |= nouns(d, "disaster animal goods trinket container vessel subject fruit building",
                   site=("site", "building"))
    date = f"{t}, {d.between(1, 28)} {d.pick(words('month'))} {d.between(w.now - 8, w.now)}."
    quote, speaker = some(d, "quotes", facts), some(d, "speaker", facts)
    said_so = d.pick([f'"{quote}," said {speaker}.', f'"{quote}."', f'{speaker} said: "{quote}."'])
    return tidy(some(d, event["headlines"], facts)), full(
        w, d, [facts["p"], t],
        f"{date} {some(d, event['first'], facts)}",
        some(d, event["details"], facts, d.between(2, 4)),
        f"{said_so} {passing(w, d, facts['p'], 0.9)}",
        f"{passing(w, d, t, 0.4)} {some(d, 'news end', facts, d.between(1, 2))}")


def recipe(w, d: Dice) -> tuple:
    """How a dish is made."""
    dish = d.zipf(w.dishes)
    method = text.load("recipes")[dish.method]
    facts = {"d": dish, "m": dish.main, "s": dish.spice, "minutes": number(dish.minutes),
             "t": d.pick(w.towns), "p": d.zipf(w.people),
             "meat": d.pick(["mutton", "beef", "pork", "chicken", "rabbit"])}
    first, second = dish.main.split(" and ")
    grams = d.between(2, 9) * 100
    amounts = [f"{grams} grams of {first}", f"{d.between(2, 9) * 50} grams of {second}",
               *say(d, method["extra"][0], facts).split("/"),
               say(d, "[a little|a pinch of|some] {s}", facts)]
    steps = [tidy(say(d, step, facts)) for step in method["steps"]]
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
    remarks = d.some([*biography(w, d, dish, 1, 3), some(d, "dish more", facts),
                      *(state(w, d, p, "dish") for p in d.some(fans, 1))], 4)
    return title_case(dish.name), full(
        w, d, [dish.town, *fans, dish], " ".join([some(d, "dish lead", facts), *remarks[1:]]),
        needs, ("\n" if "\n" in needs else " ").join(steps), d.pick(["", scale, remarks[0]]))


def explanation(w, d: Dice) -> tuple:
    """How something in the real world is."""
    question, *sentences = d.pick(text.articles("explanations"))
    facts = {**two_towns(w, d), "p": d.zipf(w.people)}
    kept = [say(d, sentence, facts) for k, sentence in enumerate(sentences)
            if k == 0 or d.chance(0.85)]
    kept.insert(d.between(1, len(kept) - 1), some(d, "topic link", facts, d.upto(2)))
    half = len(kept) // 2
    return question, full(
        w, d, [facts["p"]], some(d, "topic open", facts), " ".join(kept[:half]),
        " ".join(kept[half:]), some(d, "topic end", facts, d.between(1, 2)),
        passing(w, d, facts["p"], 0.8) + " " + passing(w, d, facts["t"], 0.8))


def letter(w, d: Dice) -> tuple:
    """A letter or a page of a diary."""
    p, q = d.zipf(w.living), d.pick(w.living)
    facts = {"t": p.home, "u": neighbour(d, p.home),
             "p": d.zipf([x for x in w.living if x is not p]), "q": q, "c": d.zipf(w.creatures),
             "b": d.zipf(w.books), "d": d.zipf(w.dishes)}
    date = f"{d.pick(words('day'))}, {d.between(1, 28)} {d.pick(words('month'))}"
    body = [say(d, line, facts)
            for line in d.some(text.lines("pages", "letter news"), d.between(4, 8))]
    for thing, chance in ((facts["p"], 0.9), (d.pick([facts[k] for k in "cbdt"]), 0.5)):
        aside = passing(w, d, thing, chance)
        if aside:
            body.insert(d.upto(len(body)), f"{some(d, 'asides', facts)} {aside}")
    first, second = " ".join(body[:4]), " ".join(body[4:])
    if d.chance(0.35):
        opening = some(d, "diary open", facts, d.between(1, 2))
        return f"From the diary of {p}", joined(f"{date}\n{opening} {first}", second,
                                                some(d, "diary end", facts))
    return f"A letter from {p.home}", joined(
        f"{p.home}, {date}", some(d, "greetings", facts) + ",",
        f"{some(d, 'letter open', facts)} {first}", second,
        f"{some(d, 'letter ask', facts, d.between(1, 2))} {some(d, 'letter end', facts)}",
        f"{some(d, 'signed', {})},\n{p.given}")


def forum(w, d: Dice) -> tuple:
    """A question and what several people answer."""
    def user() -> str:
        return say(d, "[{nature}|{cond}] [{bird}|{tool}|{beast}]", {}).title()
    facts = {**two_towns(w, d), "p": d.zipf(w.asked)}
    if d.chance(0.45):
        title, question, *answers = d.pick(text.articles("problems"))
    else:
        title, question, *answers = fact_thread(w, d)
    asker, *others = [user() for _ in range(6)]
    posts = [(asker, "[|Hello everyone. |I need help. |A question from {t}. ]" + question)]
    for name, reply in zip(others, d.some(answers, d.between(2, 4))):
        posts.append((name, d.pick([d.pick(text.lines("pages", "replies first")) + " ", ""])
                      + reply))
    posts.insert(d.between(2, len(posts)), (others[4], some(d, "forum chat", facts)))
    posts.append((asker, some(d, "replies thanks", facts)))
    posts = [f"{name} {some(d, 'wrote' if k else 'asked', facts)}: {say(d, post, facts)}"
             for k, (name, post) in enumerate(posts)]
    for paragraph in background(w, d, joined(*posts), [facts["p"], facts["t"]], w.asked):
        start = say(d, d.pick(text.lines("pages", "wrote")) + ": "
                    + d.pick(text.lines("pages", "forum asides")), facts)
        posts.insert(d.between(1, len(posts)), f"{user()} {start} {paragraph}")
    return title, joined(*posts)


def fact_thread(w, d: Dice) -> list:
    """A question about the world, and several true answers: [title, question, answer, ...]."""
    facts = {"p": d.zipf(w.asked), "c": d.zipf(w.creatures),
             "b": d.zipf([b for b in w.books if b.author.asked]),
             "d": d.zipf(w.dishes), "t": d.zipf(w.towns)}
    return [say(d, line, facts) for line in d.pick(text.articles("threads"))]


def lesson(w, d: Dice) -> tuple:
    """Worked arithmetic, and a text to read."""
    facts = {**two_towns(w, d), "p": d.zipf(w.asked), "q": d.pick(w.asked), "now": w.now}
    separator, told = d.pick([" ", "\n"]), []
    remarks = d.some(text.lines("pages", "lesson remarks"), 8)
    for _ in range(1 + d.chance(0.2)):
        task = sums.worked(d.pick(list(sums.TASKS)), d, facts)
        steps = sums.lesson(task)
        for _ in range(d.between(2, 4)):
            steps.insert(d.between(1, len(steps)), remarks.pop())
        told.append((say(d, task["title"][0], facts),
                     separator.join(tidy(say(d, step, facts)) for step in steps)))
        facts["p"] = d.pick(w.asked)
    (first, body), *more = told
    work = [some(d, "lesson open", facts, d.upto(3)), body,
            *(f"{title}\n{body}" for title, body in more),
            some(d, "lesson end", facts, d.upto(3))]
    reading = background(w, d, joined(*work), somethings(w, d, 2, w.people))
    if reading:
        reading[0] = f"{some(d, 'lesson read', facts)} {reading[0]}"
    return first, joined(*(work + reading if d.chance(0.5) else reading + work))


# ---------------------------------------------------------------------------------------- documents

KINDS = {kind.__name__: kind for kind in (encyclopedia, story, news, recipe, explanation, lesson,
                                          letter, forum, questions, almanac)}


def page(world: World, index: int) -> dict:
    """Page `index` of a world, as `document` gives it."""
    dice, kinds = Dice(f"page {world.seed} {index}"), text.table("pages", "kinds")
    if index in world.agenda:
        things = world.agenda[index]
        kind = dice.pick(["questions", "almanac"]) if len(things) > 1 or dice.chance(0.1) \
            else "encyclopedia"
        title, body = KINDS[kind](world.public, dice, things)
    else:
        kind = dice.pick([kind for kind, _, count in kinds for _ in range(int(count))])
        title, body = KINDS[kind](world.public, dice)
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    site = next(site for name, site, _ in kinds if name == kind)
    return document(world, dice, kind, capital(title), body, f"{site}{slug}-{index + 1}")


def document(world: World, d: Dice, kind: str, title: str, body: str, url: str) -> dict:
    """What is known of a page that these dice wrote, "facts": the ids of those that it states."""
    text = f"{title}\n\n{body}"
    return {"text": text, "url": url, "title": title, "kind": kind,
            "facts": world.ledger.stated(text, d.told)}


def documents(seed: int = 0, size: int = 8 << 20) -> Iterator[dict]:
    """Pages, no two alike, until their texts hold `size` bytes of UTF-8. A longer corpus of the
    same seed begins with the shorter one."""
    world, seen, total = World(seed), set(), 0
    for one in (page(world, index) for index in itertools.count()):
        data = one["text"].encode()
        digest = hashlib.blake2b(data, digest_size=16).digest()
        if digest not in seen:
            seen.add(digest)
            total += len(data)
            yield one
            if total >= size:
                return
