"""The kinds of page in the pocket world: each a function (world, dice) -> (title, text).

Facts come from the world, sentences from data/world_sentences.py, and chance from the dice.
"""
import re

from data import world_sentences as S
from data import world_words as W
from data.world_grammar import LISTS, Dice, Noun, listing, number, say, tell, tidy



def page(*paragraphs: str) -> str:
    return tidy("\n\n".join(paragraph for paragraph in paragraphs if paragraph))


def two_towns(w: World, d: Dice) -> dict:
    t = d.zipf(w.towns)
    return {"t": t, "u": d.pick([town for town in t.region.towns if town is not t])}


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
    for name, things, sentences in (("b", p.books, S.PERSON_BOOK), ("i", p.inventions, S.PERSON_INVENTION)):
        if things:
            facts[name] = d.pick(things)
            work.append(one(sentences))
    private = [tell(d, S.PERSON_LIKES, d.between(1, 3), facts)]
    if p.spouse and d.chance(0.7):
        private.insert(0, one(S.PERSON_FAMILY))
    end = one(S.PERSON_DEATH if p.died else S.PERSON_ALIVE)
    if p.died and d.chance(0.6):
        end += " " + one(S.PERSON_LEGACY)
    return p.name, page(one(S.PERSON_LEAD) + " " + " ".join(life), " ".join(work), " ".join(private), end)


def town_page(w: World, d: Dice) -> tuple:
    facts = two_towns(w, d)
    t = facts["t"]
    parts = [tell(d, S.TOWN_FACTS, d.between(2, 4), facts), tell(d, S.TOWN_FESTIVAL, d.upto(2), facts)]
    for name, things, sentences in (("p", t.born, S.TOWN_PEOPLE), ("d", t.dishes, S.TOWN_DISH)):
        if things:
            parts.append(say(d, d.pick(sentences), {**facts, name: d.zipf(things)}))
    life = tell(d, S.TOWN_LIFE, d.between(4, 8), facts)
    return t.name, page(tell(d, S.TOWN_LEAD, 1, facts) + " " + parts[0], life, " ".join(parts[1:]))


def creature_page(w: World, d: Dice) -> tuple:
    c = d.zipf(w.creatures)
    facts = {"c": c, "p": d.zipf(w.people), "t": d.pick(c.region.towns)}
    tables = d.some([S.CREATURE_SIZE, S.CREATURE_DIET, S.CREATURE_HABIT, S.CREATURE_YOUNG], d.between(2, 4))
    body = " ".join(say(d, d.pick(sentences), facts) for sentences in tables)
    return c.name.title(), page(say(d, d.pick(S.CREATURE_LEAD), facts) + " " + body,
                                tell(d, S.CREATURE_LORE, d.between(2, 5), facts))


def book_page(w: World, d: Dice) -> tuple:
    b = d.zipf(w.books)
    facts = {"b": b, "p": d.zipf(w.people), **two_towns(w, d)}
    return b.name, page(say(d, d.pick(S.BOOK_LEAD), facts) + " " + tell(d, S.BOOK_MORE[:2], 1, facts),
                        tell(d, S.BOOK_MORE[2:], d.between(3, 7), facts))


def dish_page(w: World, d: Dice) -> tuple:
    dish = d.zipf(w.dishes)
    facts = {"d": dish, "p": d.zipf(w.people), "t": d.pick(w.towns)}
    return dish.name, page(say(d, d.pick(S.DISH_LEAD), facts) + " " + tell(d, S.DISH_MORE, d.between(5, 9), facts))


def river_page(w: World, d: Dice) -> tuple:
    r = d.zipf(w.rivers)
    facts = {"r": r, "first": r.towns[0], "places": listing(r.towns), "t": d.pick(r.towns),
             "c": d.pick(r.region.creatures or w.creatures)}
    return f"The {r.name}", page(tell(d, S.RIVER_TEXT[:1], 1, facts) + " " +
                                 tell(d, S.RIVER_TEXT[1:], d.between(5, 9), facts))


def encyclopedia(w: World, d: Dice) -> tuple:
    return d.pick([person_page] * 8 + [town_page] * 4 + [creature_page] * 3 + [book_page] * 3
                  + [dish_page] * 2 + [river_page])(w, d)


def story(w: World, d: Dice) -> tuple:
    titles, want, trouble, attempts, turn, outcome, lines = d.pick(S.PLOTS)
    h = d.pick(w.people)
    f = d.pick([p for p in d.some(w.people, 9) if p.given != h.given])
    facts = {"h": h, "f": f, "t": h.home, "u": d.pick([t for t in h.home.region.towns if t is not h.home]),
             "c": d.pick(h.home.region.creatures or w.creatures), "festival": h.home.festival}
    for name in ("bake", "tree", "disaster", "instrument", "trinket", "building"):     # the same throughout
        facts[name] = Noun(d.pick(LISTS[name]))
    facts |= {"d": d.pick(w.dishes), "x": d.pick([x for x in LISTS["trinket"] if x != facts["trinket"]])}

    def one(*tables):
        return say(d, d.pick(d.pick(tables)), facts)

    def speech(who: Person, sentence: str) -> str:
        mark = sentence[-1] if sentence[-1] in "?.!" else "."
        verb = d.pick(LISTS["ask.ed" if mark == "?" else "speak.ed"])
        tag = f"{verb} {who.given}" + d.pick(["", "", " " + d.pick(LISTS["tone"])])
        words = sentence.rstrip(".?!")
        act = f"{who.given} {d.pick(LISTS['gesture.ed'])}."
        return d.pick([f'"{words}{"," if mark == "." else mark}" {tag}.', f'"{words}{mark}"', f'{act} "{words}{mark}"'])

    def talk() -> str:
        pairs = [(h, one(lines)), (f, one(S.ASKS)), (h, one(lines, S.ADVICE)), (f, one(S.ADVICE))]
        return "\n".join(speech(*pair) for pair in pairs[d.upto(2):])
    meet = one(S.MEETING)
    tries = d.some(attempts, d.between(2, 4))
    links = d.some(["first", "then", "after that", "on another day", "next", "the following morning", "later"], 4)
    middle = [say(d, line, facts) for line in tries]
    middle = [f"{link}, {line[0].lower() + line[1:] if line.split()[0] in ('She', 'He') else line}"
              if d.chance(0.5) else line for link, line in zip(["first"] + links, middle)]
    return tidy(one(titles)), page(
        one(S.OPENINGS) + " " + tell(d, S.SCENES, d.between(1, 3), facts) + " " + one(want),
        one(trouble) + " " + tell(d, S.FEELINGS, d.between(1, 2), facts),
        meet + " " + one(S.SCENES), talk(),
        " ".join(middle[:2]) + " " + one(S.FEELINGS, S.SCENES),
        d.pick(["", one(S.JOURNEYS) + " " + one(S.SCENES)]) + " " + " ".join(middle[2:]),
        one(turn) + d.pick(["", "\n" + speech(f, one(lines, S.ADVICE))]), one(outcome) + " " + one(S.CLOSINGS))


def news(w: World, d: Dice) -> tuple:
    headlines, first, details = d.pick(S.NEWS)
    facts = {**two_towns(w, d), "p": d.zipf(w.living), "n": d.between(21, 400), "n2": d.between(21, 90)}
    t = facts["t"]
    facts |= {"c": d.pick(t.region.creatures or w.creatures), "festival": t.festival, "region": t.region}
    for name in ("disaster", "animal", "goods", "trinket", "container", "vessel", "subject", "fruit"):
        facts[name] = Noun(d.pick(LISTS[name]))
    date = f"{t}, {d.between(1, 28)} {d.pick(LISTS['month'])} {d.between(w.now - 8, w.now)}."
    quote = say(d, d.pick(S.QUOTES), facts)
    speaker = d.pick([facts["p"].name, say(d, "[a|the] {folk} [from {u}|]", facts), say(d, "one {kin}", facts)])
    said_so = tidy(d.pick([f'"{quote}," said {speaker}.', f'"{quote}."', f'{speaker} said: "{quote}."']))
    headline = tidy(say(d, d.pick(headlines), facts))
    return headline, page(f"{date} {tidy(say(d, d.pick(first), facts))}", tell(d, details, d.between(2, 4), facts),
                          said_so + " " + tell(d, S.NEWS_END, d.between(1, 2), facts))


def recipe(w: World, d: Dice) -> tuple:
    dish = d.zipf(w.dishes)
    extra, steps = W.METHODS[dish.method]
    facts = {"m": dish.main, "s": dish.spice, "minutes": number(dish.minutes), "d": dish, "t": dish.town,
             "p": d.zipf(w.people), "meat": d.pick(["mutton", "beef", "pork", "chicken", "rabbit"])}
    first, second = dish.main.split(" and ")
    amounts = [f"{d.between(2, 9) * 100} grams of {first}", f"{d.between(2, 9) * 50} grams of {second}",
               *say(d, extra, facts).split("/"), f"{d.pick(['a little', 'a pinch of', 'some'])} {dish.spice}"]
    method = [tidy(say(d, step, facts)) for step in steps]
    if d.chance(0.5):
        method = [f"{n}. {step}" for n, step in enumerate(method, 1)]
    people, times = d.pick([2, 3, 4, 6]), d.between(2, 4)
    scale = (f"For {people * times} people take {times} times as much: {(grams := int(amounts[0].split()[0]))} × "
             f"{times} = {grams * times} grams of {first}.")
    return dish.name, page(say(d, d.pick(S.DISH_LEAD), facts) + " " + tell(d, S.DISH_MORE, d.between(1, 3), facts),
                           f"For {number(people)} people:\n" + "\n".join(f"- {amount}" for amount in amounts),
                           ("\n" if method[0][0] == "1" else " ").join(method),
                           d.pick(["", scale, tell(d, S.DISH_MORE, 1, facts)]))


def explanation(w: World, d: Dice) -> tuple:
    question, sentences = d.pick(S.TOPICS)
    facts = {**two_towns(w, d), "p": d.zipf(w.people)}
    kept = [say(d, sentence, facts) for k, sentence in enumerate(sentences) if k == 0 or d.chance(0.85)]
    kept.insert(d.between(1, len(kept) - 1), tell(d, S.TOPIC_LINK, d.upto(2), facts))
    half = len(kept) // 2
    opening, ending = tell(d, S.TOPIC_OPEN, 1, facts), tell(d, S.TOPIC_END, d.between(1, 2), facts)
    return question, page(opening, " ".join(kept[:half]), " ".join(kept[half:]), ending)


def letter(w: World, d: Dice) -> tuple:
    p, q = d.zipf(w.living), d.pick(w.living)
    facts = {**two_towns(w, d), "p": d.zipf(w.people), "q": q, "c": d.pick(w.creatures), "b": d.zipf(w.books),
             "d": d.zipf(w.dishes)}
    facts["t"] = p.home
    date = f"{d.pick(LISTS['day'])}, {d.between(1, 28)} {d.pick(LISTS['month'])}"
    body = d.some(S.LETTER_NEWS, d.between(4, 8))
    paragraphs = [" ".join(say(d, line, facts) for line in part) for part in (body[:3], body[3:])]
    if d.chance(0.35):
        return f"From the diary of {p.name}", page(f"{date}\n{tell(d, S.DIARY_OPEN, d.between(1, 2), facts)} "
                                                   f"{paragraphs[0]}", paragraphs[1], tell(d, S.DIARY_END, 1, facts))
    return f"A letter from {p.home}", page(
        f"{p.home}, {date}", say(d, d.pick(S.GREETINGS), facts) + ",",
        tell(d, S.LETTER_OPEN, 1, facts) + " " + paragraphs[0], paragraphs[1],
        tell(d, S.LETTER_ASK, d.between(1, 2), facts) + " " + tell(d, S.LETTER_END, 1, facts),
        f"{d.pick(S.SIGNED)},\n{p.given}")


def forum(w: World, d: Dice) -> tuple:
    def user() -> str:
        words = d.pick(LISTS["nature"] + LISTS["cond"]), d.pick(LISTS["bird"] + LISTS["tool"] + LISTS["beast"])
        return re.sub(r"[^A-Za-z]", "", " ".join(words).title()) + d.pick(["", "", str(d.between(2, 99))])
    facts = {**two_towns(w, d), "p": d.zipf(w.people)}
    if d.chance(0.45):
        title, question, *answers = d.pick(S.PROBLEMS)
    else:
        title, question, *answers = fact_thread(w, d)
    asker, *others = [user() for _ in range(6)]
    posts = [(asker, d.pick(["", "Hello everyone. ", "I need help. ", "A question from {t}. "]) + question)]
    for name, answer in zip(others, d.some(answers, d.between(2, 4))):
        posts.append((name, d.pick([say(d, d.pick(S.REPLIES_FIRST), facts) + " ", ""]) + answer))
    posts.insert(d.between(2, len(posts)), (others[4], tell(d, S.FORUM_CHAT, 1, facts)))
    posts.append((asker, tell(d, S.REPLIES_THANKS, 1, facts)))
    return title, page(*(f"{name} wrote:\n{say(d, text, facts)}" for name, text in posts))


def fact_thread(w: World, d: Dice) -> list:
    """A question about the world, and several true answers: [title, question, answer, ...]."""
    p, c, b, dish, t = d.zipf(w.people), d.zipf(w.creatures), d.zipf(w.books), d.zipf(w.dishes), d.zipf(w.towns)
    facts = {"p": p, "c": c, "b": b, "d": dish, "t": t, "near_t": d.pick(t.region.towns)}
    return [say(d, line, facts) for line in d.pick(S.FACT_THREADS)]


# Worked arithmetic. Each lesson is a function (dice, facts) -> (title, steps); every "a + b = c" is true.


def adding(d: Dice, facts: dict) -> tuple:
    a, b = d.between(12, 899), d.between(12, 899)
    steps, carry, place = [], 0, 1
    for name in ("ones", "tens", "hundreds"):
        x, y = a // place % 10, b // place % 10
        if place <= max(a, b):
            total = x + y + carry
            sum_ = f"{x} + {y} + {carry} = {total}" if carry else f"{x} + {y} = {total}"
            write = f" [Write {total % 10} and carry 1|{total % 10} stays, and 1 goes to the next place]." * (total > 9)
            steps.append(f"[The {name}|Now the {name}|Add the {name}]: {sum_}.{write}")
            carry, place = total // 10, place * 10
    return f"Adding {a} and {b}", [*steps, f"[So|Therefore|Together] {a} + {b} = {a + b}."]


def subtracting(d: Dice, facts: dict) -> tuple:
    b, jump = d.between(11, 480), d.between(5, 490)
    a = b + jump
    ten = min(a, b - b % 10 + 10)
    return f"Taking {b} away from {a}", [
        f"[Start at|Begin with] {b} and [count|walk] up to {a}.",
        f"From {b} to {ten} it is {ten} − {b} = {ten - b}.", f"From {ten} to {a} it is {a} − {ten} = {a - ten}.",
        f"[Together|Both steps]: {ten - b} + {a - ten} = {jump}.", f"So {a} − {b} = {jump}."]


def multiplying(d: Dice, facts: dict) -> tuple:
    a, b = d.between(12, 99), d.between(3, 12)
    tens, ones = a - a % 10, a % 10
    return f"Multiplying {a} by {b}", [
        f"[Split|Break|Take apart] {a} into {tens} and {ones}.", f"{tens} × {b} = {tens * b}.", f"{ones} × {b} = {ones * b}.",
        f"[Add|Then add] both: {tens * b} + {ones * b} = {a * b}.", f"[So|This means] {a} × {b} = {a * b}."]


def dividing(d: Dice, facts: dict) -> tuple:
    b, c, rest = d.between(3, 12), d.between(3, 40), d.upto(3)
    a = b * c + rest
    end = f" remainder {rest}" if rest else ""
    return f"Dividing {a} by {b}", [
        f"How often does {b} [fit into|go into] {a}?", f"We know that {c} × {b} = {c * b}.",
        f"[What is left|The rest]: {a} − {c * b} = {rest}." if rest else "Nothing is left.",
        f"So {a} ÷ {b} = {c}{end}.", f"[Check|Test]: {c} × {b} + {rest} = {a}."]


def shopping(d: Dice, facts: dict) -> tuple:
    n, price, m, other = d.between(2, 12), d.between(2, 15), d.between(2, 9), d.between(3, 20)
    fruit, thing = d.some(LISTS["fruit.s"] + LISTS["vegetable.s"], 2)
    total = n * price + m * other
    paid = total + d.between(1, 60)
    return f"{facts['p'].given} at the market", [
        f"{{p.given}} buys {n} {fruit} for {price} coins each and {m} {thing} for {other} coins each.",
        f"{{p.He}} [pays with|gives the {{folk}}] {paid} coins. How much does {{p.he}} get back?",
        f"The {fruit} cost {n} × {price} = {n * price} coins.", f"The {thing} cost {m} × {other} = {m * other} coins.",
        f"[Together|In all] that is {n * price} + {m * other} = {total} coins.",
        f"{{p.He}} gets back {paid} − {total} = {paid - total} coins."]


def sharing(d: Dice, facts: dict) -> tuple:
    people, each, rest = d.between(3, 12), d.between(2, 19), d.upto(3)
    total, thing = people * each + rest, d.pick(LISTS["fruit.s"] + LISTS["bake.s"] + LISTS["toy.s"])
    end = f" remainder {rest}" if rest else ""
    return f"Sharing {total} {thing}", [
        f"{{p.given}} has {total} {thing} [in a {{container}}|on the {{furniture}}] and shares them fairly among {people} {{folk.s}}.",
        "[How many does each of them get|What is the share of each], and how many are left?",
        f"{total} ÷ {people} = {each}{end}.", f"Each {{folk}} gets {each}, and {rest or 'none'} [remain|are left].".replace(
            "and 1 [remain|are left]", "and 1 [remains|is left]").replace("{folk}", "of them"),
        f"[To check|Backwards]: {people} × {each} + {rest} = {total}."]


def walking(d: Dice, facts: dict) -> tuple:
    speed, hours, more = d.between(3, 19), d.between(2, 9), d.between(2, 30)
    return "How far is it?", [
        f"A {{vehicle}} travels {speed} kilometres [in an hour|every hour] and needs {hours} hours from {{t}} to the {{land}}.",
        f"From there {{p.given}} walks {more} kilometres more. How long is the way to {{u}}?",
        f"The {{way}} to the {{land}} is {hours} × {speed} = {hours * speed} kilometres.".replace("{way} to the {land}", "first part"),
        f"[With|Together with] the walk it is {hours * speed} + {more} = {hours * speed + more} kilometres.",
        f"The whole way is {hours * speed + more} kilometres long."]


def years(d: Dice, facts: dict) -> tuple:
    p = facts["p"]
    if p.died:
        question, last = f"{p} was born in {p.born} and died in {p.died}. How old did {p.he} become?", p.died
    else:
        question, last = f"{p} was born in {p.born}. How old is {p.he} in {facts["now"]}?", w.now
    hundred = p.born - p.born % 100 + 100
    hop = [f"From {p.born} to {hundred} it is {hundred} − {p.born} = {hundred - p.born} years.",
           f"From {hundred} to {last} it is {last} − {hundred} = {last - hundred} years.",
           f"Together: {hundred - p.born} + {last - hundred} = {last - p.born}."] if hundred <= last else []
    return f"The age of {p}", [question, *hop, f"{last} − {p.born} = {last - p.born}.",
                               f"[The answer is|So it is] {last - p.born} years."]


def area(d: Dice, facts: dict) -> tuple:
    a, b = d.between(3, 40), d.between(3, 25)
    return f"A {d.pick(['garden', 'field', 'floor', 'meadow', 'wall', 'courtyard'])} of {a} by {b} metres", [
        f"It is {a} metres long and {b} metres wide. [How large is it|What is its area], and how long is a fence around it?",
        f"The area is length times width: {a} × {b} = {a * b} square metres.",
        f"Two sides together are {a} + {b} = {a + b} metres.",
        f"All four sides are 2 × {a + b} = {2 * (a + b)} metres."]


def average(d: Dice, facts: dict) -> tuple:
    n, mean = d.between(3, 5), d.between(8, 40)
    numbers = [mean] * n
    for _ in range(6):
        i, j = d.upto(n), d.upto(n)
        numbers[i], numbers[j] = (numbers[i] - 1, numbers[j] + 1) if i != j else (numbers[i], numbers[j])
    thing = d.pick(LISTS["bird.s"] + LISTS["bug.s"] + LISTS["vessel.s"])
    return f"The average of {n} days", [
        f"{{p.given}} counted {thing} {{near}} the {{building}}: {listing(numbers)}. [What is the average|How many a day]?",
        f"[First add|The sum]: {' + '.join(map(str, numbers))} = {sum(numbers)}.",
        f"[Then divide|Divide] by the number of days: {sum(numbers)} ÷ {n} = {mean}.", f"The average is {mean} {thing} a day."]


def pattern(d: Dice, facts: dict) -> tuple:
    start, step = d.between(2, 60), d.between(3, 25)
    row = [start + k * step for k in range(6)]
    return f"What comes after {row[3]}?", [
        f"[Look at|Here is] the row {row[0]}, {row[1]}, {row[2]}, {row[3]}.",
        f"From the first to the second it is {row[1]} − {row[0]} = {step}, and then {row[2]} − {row[1]} = {step} again.",
        f"So we add {step} each time: {row[3]} + {step} = {row[4]}.", f"After that comes {row[4]} + {step} = {row[5]}."]


def parts(d: Dice, facts: dict) -> tuple:
    part, share = d.between(2, 10), d.between(3, 40)
    whole, thing = part * share, d.pick(LISTS["fruit.s"] + LISTS["animal.s"] + LISTS["paper.s"])
    name = {2: "half", 3: "a third", 4: "a quarter"}.get(part) or f"one {S_PARTS[part - 5]}"
    return f"{name.capitalize()} of {whole}", [
        f"{{p.given}} has {whole} {thing} and gives {name} of them to {{q.given}}. How many does {{p.he}} keep?",
        f"{name.capitalize()} of {whole} is {whole} ÷ {part} = {share}.",
        f"{{p.He}} keeps {whole} − {share} = {whole - share} {thing}."]


S_PARTS = ["fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]
LESSONS = [adding, subtracting, multiplying, dividing, shopping, sharing, walking, years, area, average, pattern, parts]


def lesson(w: World, d: Dice) -> tuple:
    facts = {**two_towns(w, d), "p": d.zipf(w.people), "q": d.pick(w.people)}
    tasks = [d.pick(LESSONS)(d, facts)]
    if d.chance(0.5):
        facts["p"] = d.pick(w.people)
        tasks.append(d.pick(LESSONS)(d, facts))
    separator = d.pick([" ", "\n"])
    told = [separator.join(tidy(say(d, step, facts)) for step in steps) for _, steps in tasks]
    return tasks[0][0], page(tell(d, S.LESSON_OPEN, d.between(0, 2), facts), told[0],
                             *(f"{title}. {text}" for (title, _), text in zip(tasks[1:], told[1:])),
                             tell(d, S.LESSON_END, d.between(0, 2), facts))


# kind: (how many of 20 pages, its function, where such pages are found)
KINDS = {"encyclopedia": (6, encyclopedia, "https://lantern-encyclopedia.example/"),
         "story": (4, story, "https://hearth-tales.example/story/"),
         "news": (2, news, "https://morning-ferry.example/news/"),
         "recipe": (1, recipe, "https://copper-ladle.example/recipes/"),
         "explanation": (2, explanation, "https://why-and-how.example/"),
         "lesson": (2, lesson, "https://slate-and-chalk.example/lessons/"),
         "letter": (1, letter, "https://old-letters.example/"),
         "forum": (2, forum, "https://village-pump.example/thread/")}
DECK = [kind for kind, (count, _, _) in KINDS.items() for _ in range(count)]
