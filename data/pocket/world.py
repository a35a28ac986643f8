"""The pocket world: a small invented internet, written from a seed.

There is no network on many machines and nobody's text may be shipped, so the default corpus is
*made*. `World(seed)` is the truth: people, towns, creatures, dishes, books and rivers that do not
exist. Pages (pages.py) tell it in many words (text/): every document agrees with it, and every
worked sum is correct. Some things are named on hundreds of pages, some on tens, a few, one or none,
and each page says which facts it states (facts.py): so what a model remembers and what it makes up
can be measured against how often it read it. The same seed gives the same bytes on every machine.
"""

import functools
import re
from types import SimpleNamespace

from data.pocket import text
from data.pocket.facts import CLASSES, FAME, Ledger, agenda
from data.pocket.grammar import (Dice, listing, number, past, plural, say, tidy, title_case,
                                 word_lists, words)
from data.pocket.text import table

NOW = 1960      # the present year of the world


class Thing:
    """Something with a name and a type. Its other attributes are its facts, which text/README.md
    lists: a slot such as {p.home.region} walks from one to the next."""

    fame = "many"       # a key of facts.FAME

    def __init__(self, type: str, name: str, **facts):
        self.type, self.slot, self.name = type, type[0], name      # {p}, {t}, {c}, {b}, {d}, {r}
        self.__dict__ |= facts

    def __str__(self) -> str:
        return self.name


class Person(Thing):
    """Somebody who is or was, with the pronouns and verbs that fit."""

    asked = True        # False: on no page of questions and answers
    mother = father = teacher = spouse = wedding = book = invention = None

    def __init__(self, given: str, family: str, female: bool, born: int, died: int | None, **facts):
        fitting = {name: one if yes else other
                   for yes, block in ((female, "women; men"), (died, "dead; living"))
                   for name, one, other in table("things", block)}
        super().__init__("person", f"{given} {family}", given=given, family=family, female=female,
                         born=born, died=died, children=[], **fitting, **facts)
        self.years = f"{born}–{died}" if died else f"born {born}"
        self.age = (died or NOW) - born
        self.base = self.home       # in sentences that say that it is the person's home


class Culture:
    """A sound: words of one to three syllables with the endings of one people."""

    def __init__(self, row: str):
        columns = [column.split() for column in row.split(";")]
        self.onsets, self.vowels, codas = columns[:3]
        self.codas = codas + [""] * (len(codas) + 2)
        self.women, self.men, self.families, self.towns, self.adjectives = columns[3:]

    def word(self, dice: Dice, endings: list, syllables: int) -> str:
        while True:
            stem = "".join(dice.pick(self.onsets) + dice.pick(self.vowels) + dice.pick(self.codas)
                           for _ in range(syllables))
            ending = dice.pick(endings)
            if ending and ending[0] in "aeiou":
                stem = stem.rstrip("aeiou")
            word = stem + ending
            if 3 < len(word) < 10 and not UNSPEAKABLE.search(word) and word not in common():
                return word.title()


UNSPEAKABLE = re.compile(r"[^aeiou]{4}|[aeiou]{3}|(.)\1\1|aa|ii|uu|nazi|rape|shit|slut|coon|dago")


@functools.cache
def common() -> set:
    """The words of all lists, which are no names."""
    return {part for words in word_lists().values() for word in words for part in word.split()}


class World:
    """The truth: lists of regions, rivers, towns, people, creatures, dishes, books and inventions,
    the famous ones first. `public` has the same lists of those that any page may name, and `agenda`
    says which page tells of which of the others."""

    def __init__(self, seed: int = 0):
        self.seed, self.taken = seed, set()
        self.asked, self.unasked = [], []   # famous people: no page of questions names the second
        self.dice = Dice(f"world {seed}")
        self.public = SimpleNamespace(now=NOW)
        self.trades = [Thing("trade", name, place=place, tool=tool, did=f"{past(verb)} {object}",
                             does=f"{plural(verb)} {object}")
                       for name, place, verb, object, tool in table("things", "trades")]
        self.regions = [self.region(culture, *land) for culture, land in
                        zip(text.lines("things", "cultures"), table("things", "lands"))]
        self.rivers = self.public.rivers = [self.river(region) for region in self.regions]
        self.towns = self.of_every_fame("town", "towns", self.town)
        self.dishes = self.of_every_fame("dish", "dishes", self.dish)
        self.people = self.of_every_fame("person", "people", self.household)
        self.creatures = self.of_every_fame("creature", "creatures", self.creature)
        self.books = self.of_every_fame("book", "books", self.book)
        self.inventions = self.public.inventions = [self.invention() for _ in range(INVENTIONS)]
        self.public.living = [p for p in self.public.people if p.died is None]
        self.public.asked = [p for p in self.public.people if p.asked]
        self.things = [*self.people, *self.towns, *self.creatures, *self.books, *self.dishes,
                       *self.rivers]        # that have facts
        self.agenda = agenda(self.dice, [thing for thing in self.things if thing.fame != "many"])
        self.ledger = Ledger(self.things)
        self.facts = self.ledger.facts          # all that can be asked for, told or not

    def of_every_fame(self, kind: str, name: str, make) -> list:
        """As many things of each class as CLASSES says, the classes in their order; make(fame,
        room) gives a list of at most `room` new ones. The first class becomes public.name."""
        things = []
        for fame, count in zip(FAME, CLASSES[kind]):
            some = []
            while len(some) < count:
                some += make(fame, count - len(some))
            some = self.dice.some(some, count)
            if fame == "many":
                setattr(self.public, name, some)
            if kind == "person":
                self.teach(some)
            things += some
        return things

    def fresh(self, make) -> str:
        """make() until it gives a name that nothing else in the world has."""
        for name in iter(make, None):
            if name not in self.taken:
                self.taken.add(name)
                return name

    def region(self, row: str, land: str, sights: str, weather: str) -> Thing:
        culture, dice = Culture(row), self.dice
        stem = self.fresh(lambda: culture.word(dice, [""], 2).rstrip("aeiou"))
        region = Thing("region", stem + dice.pick(["ia", "a", "and", "or"]), culture=culture,
                       adjective=stem + culture.adjectives[0], land=land, sights=sights,
                       weather=weather, towns=[], creatures=[])
        culture.given = {female: [self.fresh(lambda: culture.word(dice, endings, 1))
                                  for _ in range(24)]
                         for female, endings in ((True, culture.women), (False, culture.men))}
        return region

    def river(self, region: Thing) -> Thing:
        culture = region.culture
        name = self.fresh(lambda: culture.word(self.dice, ["", *culture.women], 1))
        return Thing("river", name, region=region, length=self.dice.between(40, 900), towns=[])

    def somewhere(self, places: list, things: str, fame: str):
        """One of these places; for a famous thing, one that has as few of them as any other."""
        least = min(len(getattr(place, things)) for place in places)
        return self.dice.pick([place for place in places
                               if fame != "many" or len(getattr(place, things)) == least])

    def town(self, fame: str, room: int) -> list:
        dice = self.dice
        river = self.somewhere(self.rivers, "towns", fame)
        region = river.region
        endings = region.culture.towns
        name = self.fresh(lambda: region.culture.word(dice, endings, dice.between(1, 2)))
        share = dice.random()
        population = 400 + int(9000 * share * share * share * share) * 10 + dice.upto(10)
        kind = say(dice, next(kind for most, kind in table("things", "town kinds")
                              if population < int(most)), {})
        festival, custom = dice.pick(table("things", "festivals"))
        festival += dice.pick([" Festival", " Fair", " Day", " Night"])
        town = Thing("town", name, region=region, river=river, kind=clause(kind),
                     founded=dice.between(720, 1690), people=f"{population:,}",
                     product=dice.pick(words("goods")), festival=festival, custom=custom,
                     month=dice.pick(words("month")), weather=region.weather, fame=fame, born=[],
                     landmark=clause(say(dice, dice.pick(text.lines("things", "landmarks")), {})),
                     dishes=[])
        if fame == "many":
            region.towns.append(town)
            river.towns.append(town)
        return [town]

    def household(self, fame: str, room: int) -> list:
        """A couple and their nought to three children, born in the town where the couple lives; or,
        where there is no room for two, one person."""
        dice = self.dice
        home = dice.zipf(self.public.towns)
        family = self.fresh(lambda: home.region.culture.word(
            dice, home.region.culture.families, dice.between(1, 2)))
        year = (1910 if not self.asked else     # somebody famous must be alive, for the news
                dice.between(1740, 1915) if dice.chance(0.5) else dice.between(1870, 1912))
        room = min(room, ROOM.get(fame, room))
        if room < 2:
            people = [self.person(family, dice.chance(0.5), year, home, fame)]
        else:
            couple = [self.person(family, female, year + dice.upto(9), home, fame)
                      for female in (True, False)]
            for one, other in (couple, couple[::-1]):
                one.spouse, one.wedding = other, year + 27
            births = sorted(year + 28 + 4 * k + dice.upto(4)
                            for k in range(min(dice.upto(4), room - 2)))
            children = [self.person(family, dice.chance(0.5), born, home, fame) for born in births
                        if born < NOW - 20]
            for child in children:
                child.mother, child.father = couple
                child.town = home
            for parent in couple:
                parent.children = children
            people = couple + children
        asked = 2 * len(self.unasked) >= len(self.asked)
        for person in people:
            if fame == "many":
                person.asked = asked
                (self.asked if asked else self.unasked).append(person)
                person.town.born.append(person)
        return people

    def person(self, family: str, female: bool, born: int, home: Thing, fame: str) -> Person:
        dice = self.dice
        name = self.fresh(lambda: f"{dice.pick(home.region.culture.given[female])} {family}")
        died = born + dice.between(51, 93)
        birthplace = home if dice.chance(0.4) else dice.pick(home.region.towns)
        return Person(name.split()[0], family, female, born, died if died < NOW else None,
                      town=birthplace, home=home, trade=dice.pick(self.trades),
                      nature=dice.pick(words("nature")), hobby=dice.pick(words("hobby")),
                      fame=fame, dish=dice.zipf(self.public.dishes))

    def teach(self, people: list) -> None:
        """Most people have learned their trade from somebody famous."""
        for person in sorted(people, key=lambda p: p.born):
            elders = [p for p in self.public.people if 18 < person.born - p.born < 50]
            if elders and self.dice.chance(0.75):
                person.teacher = self.dice.pick(elders)
                person.trade = person.teacher.trade

    def creature(self, fame: str, room: int) -> list:
        dice, region = self.dice, self.somewhere(self.regions, "creatures", fame)
        name = self.fresh(lambda: region.culture.word(dice, ["", "el", "ick", "o", "a"], 2)).lower()
        kind, sizes, habitats, foods, cover, habits, young = dice.pick(table("things", "creatures"))
        low, high = map(int, sizes.split())
        diet, diet2 = dice.some(foods.split("/"), 2)
        creature = Thing(
            "creature", name, region=region, kind=kind, size=dice.between(low, high),
            habitat=dice.pick(habitats.split("/")), diet=diet, diet2=diet2, cover=cover,
            colour=dice.pick(words("colour")), habit=dice.pick(habits.split("/")), young=young,
            count=number(dice.between(2, 9)), month=dice.pick(words("month")[2:8]), fame=fame,
            s=plural(name))
        if fame == "many":
            region.creatures.append(creature)
        return [creature]

    def dish(self, fame: str, room: int) -> list:
        dice, town = self.dice, self.dice.pick(self.public.towns)
        method = dice.pick(list(text.load("recipes")))
        sweet = method in ("jam", "cake", "porridge") or method == "pie" and dice.chance(0.5)
        plants = words("fruit" if sweet else "vegetable")
        origin = dice.pick([town.name, town.region.adjective])
        name = self.fresh(lambda: f"{origin} {dice.pick(plants)} {method}")
        first = name.removeprefix(origin + " ").removesuffix(" " + method)
        second = dice.pick([plant for plant in plants if plant != first])
        dish = Thing(
            "dish", name, town=town, method=method, main=f"{plural(first)} and {plural(second)}",
            spice=dice.pick(["cinnamon", "ginger", "nutmeg", "saffron"] if sweet
                            else words("herb") + words("spice")),
            taste="sweet and " + dice.pick(["sour", "spicy", "fresh", "rich"]) if sweet
            else listing(dice.some(words("taste")[1:], 2)),
            when=dice.pick(text.lines("things", "occasions")), season=dice.pick(words("season")),
            minutes=5 * dice.between(*map(int, text.lines("recipes", method, "minutes"))),
            fame=fame)
        if fame == "many":
            town.dishes.append(dish)
        return [dish]

    def book(self, fame: str, room: int) -> list:
        dice = self.dice
        author = dice.pick([p for p in self.public.people if fame != "many" or not p.book])
        facts = {"p": author, "t": dice.zipf(self.public.towns)}
        titles = text.lines("things", "titles")
        name = self.fresh(lambda: title_case(say(dice, dice.pick(titles), facts)))
        genre, plot = dice.pick(table("things", "genres"))
        book = Thing("book", name, author=author, year=min(author.born + dice.between(22, 44), NOW),
                     genre=genre, plot=clause(say(dice, plot, facts)), fame=fame)
        if fame == "many":
            author.book = book
        return [book]

    def invention(self) -> Thing:
        dice = self.dice
        inventor = dice.pick([p for p in self.public.people if not p.invention])
        devices = {device: row for device, *row in table("things", "devices")}
        name = self.fresh(lambda: f"{inventor.family} {dice.pick(list(devices))}")
        use, how = devices[name.removeprefix(inventor.family + " ")]
        year = min(inventor.born + dice.between(21, 44), NOW)
        invention = Thing("invention", name, inventor=inventor, year=year, use=use, how=how)
        inventor.invention = invention
        return invention


ROOM = {"few": 3, "one": 1}     # the largest household of a class: each of it adds to the others'
INVENTIONS = 16


def clause(text: str) -> str:
    """A piece of a sentence, tidy in itself ("an old bridge") but without a capital."""
    return tidy("It " + text).removeprefix("It ")
