"""The kinds of page in the pocket world: each a function (world, dice) -> (title, text).

Facts come from the world, sentences from data/world_{sentences,stories,lessons}.py, chance from the
dice.
"""
from __future__ import annotations

from typing import TYPE_CHECKING

from data import world_lessons as L
from data import world_sentences as S
from data import world_stories as P
from data import world_words as W
from data.world_grammar import LISTS, Dice, Noun, listing, number, say, tell, tidy, title_case

if TYPE_CHECKING:
    from data.world import Person, World


def page(*paragraphs: str) -> str:
    return tidy("\n\n".join(paragraph.strip() for paragraph in paragraphs if paragraph.strip()))


def two_towns(w: World, d: Dice) -> dict:
    t = d.zipf(w.towns)
    return {"t": t, "u": d.pick([town for town in t.region.towns if town is not t])}


def other(d: Dice, name: str, taken: str) -> Noun:
    return Noun(d.pick([word for word in LISTS[name] if word != taken]))


def person_page(w: World, d: Dice) -> tuple:
    p = d.zipf(w.people)
    facts = {"p": p, **two_towns(w, d)}
    facts["fame"] = say(d, d.pick(S.FAME), facts)

    def one(table):
        return say(d, d.pick(table), facts)
    life = [one(S.PERSON_BIRTH)]
    if p.mother and d.chance(0.7):
        life.append(one(S.PERSON_PARENTS))
    if p.teacher and d.chance(0.7):
        life.append(one(S.PERSON_TRAINING))
    work = [tell(d, S.PERSON_WORK, d.between(1, 4), facts)]
    for name, things, sentences in (("b", p.books, S.PERSON_BOOK),
                                    ("i", p.inventions, S.PERSON_INVENTION)):
        if things:
            facts[name] = d.pick(things)
            work.append(one(sentences))
    private = [tell(d, S.PERSON_LIKES, d.between(1, 3), facts)]
    if p.spouse and d.chance(0.7):
        private.insert(0, one(S.PERSON_FAMILY))
        if p.children:
            names = listing([child.given for child in p.children])
            many = "a child" if len(p.children) == 1 else number(len(p.children)) + " children"
            facts |= {"children_names": names, "children": f"{many}, {names}"}
            private.insert(1, one(S.PERSON_CHILDREN))
    end = one(S.PERSON_DEATH if p.died else S.PERSON_ALIVE)
    if p.died and d.chance(0.6):
        end += " " + one(S.PERSON_LEGACY)
    life.insert(0, one(S.PERSON_LEAD))
    return p.name, page(" ".join(life), " ".join(work), " ".join(private), end)


def town_page(w: World, d: Dice) -> tuple:
    facts = two_towns(w, d)
    t = facts["t"]
    lead = tell(d, S.TOWN_LEAD, 1, facts) + " " + tell(d, S.TOWN_FACTS, d.between(2, 4), facts)
    ties = [tell(d, S.TOWN_FESTIVAL, d.upto(2), facts)]
    for name, things, sentences in (("p", t.born, S.TOWN_PEOPLE), ("d", t.dishes, S.TOWN_DISH)):
        if things:
            ties.append(say(d, d.pick(sentences), {**facts, name: d.zipf(things)}))
    return t.name, page(lead, tell(d, S.TOWN_LIFE, d.between(4, 8), facts), " ".join(ties))


def creature_page(w: World, d: Dice) -> tuple:
    c = d.zipf(w.creatures)
    facts = {"c": c, "p": d.zipf(w.people), "t": d.pick(c.region.towns)}
    tables = d.some([S.CREATURE_SIZE, S.CREATURE_DIET, S.CREATURE_HABIT, S.CREATURE_YOUNG],
                    d.between(2, 4))
    body = [say(d, d.pick(sentences), facts) for sentences in [S.CREATURE_LEAD, *tables]]
    return c.name.title(), page(" ".join(body), tell(d, S.CREATURE_LORE, d.between(2, 5), facts))


def book_page(w: World, d: Dice) -> tuple:
    b = d.zipf(w.books)
    facts = {"b": b, "p": d.zipf(w.people), **two_towns(w, d)}
    lead = tell(d, S.BOOK_LEAD, 1, facts) + " " + tell(d, S.BOOK_MORE[:2], 1, facts)
    return b.name, page(lead, tell(d, S.BOOK_MORE[2:], d.between(3, 7), facts))


def dish_page(w: World, d: Dice) -> tuple:
    dish = d.zipf(w.dishes)
    facts = {"d": dish, "p": d.zipf(w.people), "t": d.pick(w.towns)}
    lead = tell(d, S.DISH_LEAD, 1, facts)
    return title_case(dish.name), page(lead + " " + tell(d, S.DISH_MORE, d.between(5, 9), facts))


def river_page(w: World, d: Dice) -> tuple:
    r = d.zipf(w.rivers)
    facts = {"r": r, "first": r.towns[0], "places": listing(r.towns), "t": d.pick(r.towns),
             "c": d.pick(r.region.creatures or w.creatures)}
    return f"The {r.name}", page(tell(d, S.RIVER_TEXT[:1], 1, facts) + " " +
                                 tell(d, S.RIVER_TEXT[1:], d.between(5, 9), facts))


def encyclopedia(w: World, d: Dice) -> tuple:
    return d.pick([person_page] * 8 + [town_page] * 4 + [creature_page] * 3 + [book_page] * 3
                  + [dish_page] * 2 + [river_page])(w, d)


def speech(d: Dice, who: Person, sentence: str) -> str:
    """A line of dialogue: "So it is," said Mara softly. | "So it is." | Mara nodded, and so on."""
    words, mark = sentence.rstrip(".?!"), sentence[-1] if sentence[-1] in "?.!" else "."
    verb = d.often(LISTS["ask.ed" if mark == "?" else "speak.ed"])
    tone = d.pick(["", "", " " + d.often(LISTS["tone"])])
    return d.pick([f'"{words}{"," if mark == "." else mark}" {verb} {who.given}{tone}.',
                   f'"{words}{mark}"',
                   f'{who.given} {d.often(LISTS["gesture.ed"])}. "{words}{mark}"'])


def cast(w: World, d: Dice) -> dict:
    """The hero and the friend of a story, and the words that stay the same throughout."""
    h = d.pick(w.people)
    facts = {"h": h, "f": d.pick([p for p in d.some(w.people, 9) if p.given != h.given]),
             "t": h.home, "u": d.pick([t for t in h.home.region.towns if t is not h.home]),
             "d": d.pick(w.dishes),
             "c": d.pick([c for c in w.creatures if c.cover in ("fur", "feathers", "wool")]),
             "festival": h.home.festival, "rogue": d.often(LISTS["folk"])}
    for name in ("bake tree disaster instrument trinket building tool paper noise animal fruit bug "
                 "coin metal").split():
        facts[name] = Noun(d.often(LISTS[name]))
    facts["site"] = other(d, "site", facts["building"])
    facts["x"] = other(d, "trinket", facts["trinket"])
    return facts


def story(w: World, d: Dice) -> tuple:
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
    talk = [(h, one(lines)), (f, one(P.ASKS)), (h, one(lines, P.ADVICE)), (f, one(P.ADVICE))]
    return title_case(one(titles)), page(
        one(P.OPENINGS) + " " + tell(d, P.SCENES, d.between(1, 3), facts) + " " + one(want),
        one(trouble) + " " + tell(d, P.FEELINGS, d.between(1, 2), facts),
        one(P.MEETING) + " " + one(P.SCENES),
        "\n".join(speech(d, who, line) for who, line in talk[d.upto(2):]),
        " ".join(tries[:2]) + " " + one(P.FEELINGS, P.SCENES),
        d.pick(["", one(P.JOURNEYS) + " " + one(P.SCENES)]) + " " + " ".join(tries[2:]),
        one(turn) + d.pick(["", "\n" + speech(d, f, one(lines, P.ADVICE))]),
        one(outcome) + " " + one(P.CLOSINGS))


def news(w: World, d: Dice) -> tuple:
    headlines, first, details = d.pick(S.NEWS)
    facts = {**two_towns(w, d), "p": d.zipf(w.living), "n": d.between(21, 400),
             "n2": d.between(21, 90)}
    t = facts["t"]
    facts |= {"c": d.pick(t.region.creatures or w.creatures), "festival": t.festival,
              "region": t.region}
    for name in "disaster animal goods trinket container vessel subject fruit building".split():
        facts[name] = Noun(d.often(LISTS[name]))
    facts["site"] = other(d, "site", facts["building"])
    date = f"{t}, {d.between(1, 28)} {d.pick(LISTS['month'])} {d.between(w.now - 8, w.now)}."
    quote = say(d, d.pick(S.QUOTES), facts)
    speaker = say(d, "[{p}|a {folk}|the {folk}|a {folk} from {u}|one {kin}]", facts)
    said_so = d.pick([f'"{quote}," said {speaker}.', f'"{quote}."', f'{speaker} said: "{quote}."'])
    return tidy(say(d, d.pick(headlines), facts)), page(
        f"{date} {say(d, d.pick(first), facts)}", tell(d, details, d.between(2, 4), facts),
        f"{said_so} {tell(d, S.NEWS_END, d.between(1, 2), facts)}")


def recipe(w: World, d: Dice) -> tuple:
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
    if d.chance(0.5):
        method = [f"{n}. {step}" for n, step in enumerate(method, 1)]
    people, times = d.pick([2, 3, 4, 6]), d.between(2, 4)
    scale = (f"For {people * times} people take {times} times as much: "
             f"{grams} × {times} = {grams * times} grams of {first}.")
    remarks = [say(d, remark, facts) for remark in d.some(S.DISH_MORE, d.between(2, 4))]
    return title_case(dish.name), page(
        " ".join([tell(d, S.DISH_LEAD, 1, facts), *remarks[1:]]),
        f"For {number(people)} people:\n" + "\n".join(f"- {amount}" for amount in amounts),
        ("\n" if method[0][0] == "1" else " ").join(method),
        d.pick(["", scale, remarks[0]]))


def explanation(w: World, d: Dice) -> tuple:
    question, sentences = d.pick(L.TOPICS)
    facts = {**two_towns(w, d), "p": d.zipf(w.people)}
    kept = [say(d, sentence, facts) for k, sentence in enumerate(sentences)
            if k == 0 or d.chance(0.85)]
    kept.insert(d.between(1, len(kept) - 1), tell(d, L.TOPIC_LINK, d.upto(2), facts))
    half = len(kept) // 2
    return question, page(tell(d, L.TOPIC_OPEN, 1, facts), " ".join(kept[:half]),
                          " ".join(kept[half:]), tell(d, L.TOPIC_END, d.between(1, 2), facts))


def letter(w: World, d: Dice) -> tuple:
    p, q = d.zipf(w.living), d.pick(w.living)
    facts = {"t": p.home, "u": d.pick([t for t in p.home.region.towns if t is not p.home]),
             "p": d.zipf(w.living), "q": q, "c": d.pick(w.creatures), "b": d.zipf(w.books),
             "d": d.zipf(w.dishes)}
    date = f"{d.pick(LISTS['day'])}, {d.between(1, 28)} {d.pick(LISTS['month'])}"
    body = d.some(S.LETTER_NEWS, d.between(4, 8))
    paragraphs = [" ".join(say(d, line, facts) for line in part) for part in (body[:3], body[3:])]
    if d.chance(0.35):
        opening = tell(d, S.DIARY_OPEN, d.between(1, 2), facts)
        return f"From the diary of {p}", page(f"{date}\n{opening} {paragraphs[0]}", paragraphs[1],
                                              tell(d, S.DIARY_END, 1, facts))
    return f"A letter from {p.home}", page(
        f"{p.home}, {date}", say(d, d.pick(S.GREETINGS), facts) + ",",
        tell(d, S.LETTER_OPEN, 1, facts) + " " + paragraphs[0], paragraphs[1],
        tell(d, S.LETTER_ASK, d.between(1, 2), facts) + " " + tell(d, S.LETTER_END, 1, facts),
        f"{d.pick(S.SIGNED)},\n{p.given}")


def forum(w: World, d: Dice) -> tuple:
    def user() -> str:
        return say(d, "[{nature}|{cond}] [{bird}|{tool}|{beast}]", {}).title()
    facts = {**two_towns(w, d), "p": d.zipf(w.people)}
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
    return title, page(*(f"{name} wrote:\n{say(d, text, facts)}" for name, text in posts))


def fact_thread(w: World, d: Dice) -> list:
    """A question about the world, and several true answers: [title, question, answer, ...]."""
    facts = {"p": d.zipf(w.people), "c": d.zipf(w.creatures), "b": d.zipf(w.books),
             "d": d.zipf(w.dishes), "t": d.zipf(w.towns)}
    return [say(d, line, facts) for line in d.pick(L.FACT_THREADS)]


# Worked arithmetic. A task is a function (dice, facts) -> (title, steps); its equations are true.


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
    fruit, more = d.some(LISTS["fruit.s"] + LISTS["vegetable.s"], 2)
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
    total, thing = people * each + rest, d.pick(LISTS["fruit.s"] + LISTS["bake.s"] + LISTS["toy.s"])
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
    end = f"died in {last}" if p.died else f"is alive in {last}"
    century = p.born - p.born % 100 + 100
    before, after = century - p.born, last - century
    steps = [f"From {p.born} to {century} it is {century} − {p.born} = {before} years.",
             f"From {century} to {last} it is {last} − {century} = {after} years.",
             f"Together: {before} + {after} = {last - p.born}."]
    return f"The age of {p}", [
        f"{p} was born in {p.born} and {end}. How many years are there between?",
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
    thing = d.pick(LISTS["bird.s"] + LISTS["bug.s"] + LISTS["vessel.s"])
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
    whole, thing = part * share, d.pick(LISTS["fruit.s"] + LISTS["animal.s"] + LISTS["paper.s"])
    return f"{name} of {whole}".capitalize(), [
        f"{{p.given}} has {whole} {thing} and gives {name} of them to {{q.given}}.",
        "How many does {p.he} keep?",
        f"{name.capitalize()} of {whole} is {whole} ÷ {part} = {share}.",
        f"{{p.He}} keeps {whole} − {share} = {whole - share} {thing}."]


PARTS = ["half", "a third", "a quarter", "a fifth", "a sixth", "a seventh", "an eighth", "a ninth",
         "a tenth"]
TASKS = [adding, subtracting, multiplying, dividing, shopping, sharing, walking, ages, area,
         average, pattern, parts]


def lesson(w: World, d: Dice) -> tuple:
    facts = {**two_towns(w, d), "p": d.zipf(w.people), "q": d.pick(w.people), "now": w.now}
    separator, told = d.pick([" ", "\n"]), []
    for _ in range(d.between(1, 2)):
        title, steps = d.pick(TASKS)(d, facts)
        told.append((title, separator.join(tidy(say(d, step, facts)) for step in steps)))
        facts["p"] = d.pick(w.people)
    (first, text), *more = told
    return first, page(tell(d, L.LESSON_OPEN, d.upto(3), facts), text,
                       *(f"{title}\n{text}" for title, text in more),
                       tell(d, L.LESSON_END, d.upto(3), facts))


# kind: (how many of 20 pages, its function, where such pages are found)
KINDS = {"encyclopedia": (6, encyclopedia, "https://lantern-encyclopedia.example/"),
         "story": (5, story, "https://hearth-tales.example/story/"),
         "news": (2, news, "https://morning-ferry.example/news/"),
         "recipe": (1, recipe, "https://copper-ladle.example/recipes/"),
         "explanation": (1, explanation, "https://why-and-how.example/"),
         "lesson": (2, lesson, "https://slate-and-chalk.example/lessons/"),
         "letter": (1, letter, "https://old-letters.example/"),
         "forum": (2, forum, "https://village-pump.example/thread/")}
DECK = [kind for kind, (count, _, _) in KINDS.items() for _ in range(count)]
