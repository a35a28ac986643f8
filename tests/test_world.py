"""The pocket world: varied, grammatical, true to its table of facts, the same bytes everywhere."""
import collections
import datetime
import gzip
import itertools
import operator
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import programs
from data.pocket import text as prose
from data.pocket.facts import CLASSES, FAME, NEAR, SPAN
from data.pocket.grammar import Dice, ing, listing, past, plural, say, tidy, title_case, words
from data.pocket.pages import KINDS, documents, page
from data.pocket.tell import BEST, topics
from data.pocket.text import parse, wordings
from data.pocket.world import NOW, World
from templates import all_ways, slots_of

ROOT = Path(__file__).resolve().parents[1]
SIZE = 8 << 20
SUM = re.compile(r"(\d+(?: [+−×÷] \d+)+) = (\d+)(?: remainder (\d+))?")
BY_NAME = re.compile(r"'s|[\w]+(?:[-'](?!s\b)\w+)*|[^\w\s]")     # words, marks and "'s"
OPERATORS = {"+": operator.add, "−": operator.sub, "×": operator.mul}


@pytest.fixture(scope="module")
def corpus():
    """The default corpus: 8 MB of seed 0."""
    return list(documents())


@pytest.fixture(scope="module")
def text(corpus):
    return "\n\n".join(document["text"] for document in corpus)


@pytest.fixture(scope="module")
def world():
    return World(0)


@pytest.fixture(scope="module")
def pages_by_name(corpus, world):
    """{thing: how many pages of the default corpus name it}, for all that the world holds."""
    named = things_named(world)
    return collections.Counter(thing for document in corpus
                               for thing in named(document["text"]))


def things_named(world):
    """A function that finds the things which a text names."""
    names = {tuple(BY_NAME.findall(thing.name.lower())): thing
             for kind in "people towns creatures books dishes rivers".split()
             for thing in getattr(world, kind)}
    lengths = sorted({len(name) for name in names})

    def named(text):
        words = BY_NAME.findall(text.lower())
        return {names[key] for k in range(len(words)) for length in lengths
                if (key := tuple(words[k:k + length])) in names}
    return named


def run(*arguments, **environment):
    return subprocess.run([sys.executable, str(ROOT / "data" / "world.py"), *map(str, arguments)],
                          capture_output=True, text=True, env={**os.environ, **environment})


def places(text, pattern):
    """What a pattern finds, with the words around it: an empty list, or a readable failure."""
    hits = itertools.islice(re.finditer(pattern, text), 5)
    return [text[max(0, hit.start() - 30):hit.end() + 30] for hit in hits]


def test_the_corpus_has_the_size_asked_for(corpus):
    total = sum(len(document["text"].encode()) for document in corpus)
    assert SIZE <= total < SIZE + 20_000


def test_every_document_has_text_url_title_kind_and_facts(corpus):
    for document in corpus:
        assert list(document) == ["text", "url", "title", "kind", "facts"]
        assert document["kind"] in KINDS and document["text"].startswith(document["title"] + "\n\n")
    assert len({document["url"] for document in corpus}) == len(corpus)
    assert min(collections.Counter(document["kind"] for document in corpus).values()) > 150


def test_no_two_documents_are_alike(corpus):
    assert len({document["text"] for document in corpus}) == len(corpus)


def test_the_vocabulary_is_rich(text):
    counts = collections.Counter(re.findall("[a-z]+", text.lower()))
    assert len(counts) >= 5000
    assert sum(count >= 5 for count in counts.values()) >= 3000


def test_the_text_does_not_repeat_itself(text):
    data = text.encode()
    assert len(data) / len(gzip.compress(data, 9)) < 4


def test_no_template_is_left_over(text):
    assert not places(text, r"[{}\[\]|_]") and not places(text, r"\bNone\b|\bdata\.|object at")


def test_spaces_and_full_stops_are_where_they_belong(text):
    assert not places(text, r"  | \n|\n |\n{3}| [,.;:!?]|\.\.|[?!:]\.|,\.|,,")
    assert not places(text, r"[.!?] [a-z]|\n[a-z]|[ \n]\"[a-z]")


def test_no_word_is_doubled(text):
    assert not places(text, r"\b([A-Za-z]+) \1\b")


def test_articles_fit_the_word_that_follows(text):
    assert not places(text, r"\b[Aa] (?!uni[^n]|use|eu|one\b)[aeiou]")
    assert not places(text, r"\b[Aa]n (?!hour|honest)[b-df-hj-np-tv-z]")
    assert not places(text, r"\b[Aa]n? (apples|people|fruits|loaves|geese|shelves|potatoes)\b")


def test_verbs_agree_with_pronouns(text):
    assert not places(text, r"(?<!if )\b([Hh]e|[Ss]he|[Ii]t) (are|have|do)\b")
    assert not places(text, r"\b([Tt]hey|[Ww]e) (is|was|has|does)\b")


def test_documents_end_as_sentences_do(corpus):
    for document in corpus:
        if document["kind"] != "letter":
            assert document["text"][-1] in '.!?"', document["text"][-80:]


def test_every_worked_sum_is_correct(text):
    found = 0
    for terms, result, remainder in SUM.findall(text):
        numbers, signs = list(map(int, re.findall(r"\d+", terms))), re.findall("[+−×÷]", terms)
        if signs == ["÷"]:
            assert divmod(*numbers) == (int(result), int(remainder or 0)), terms
        elif signs == ["×", "+"]:
            assert numbers[0] * numbers[1] + numbers[2] == int(result), terms
        else:
            assert len(set(signs)) == 1, terms
            value = numbers[0]
            for number in numbers[1:]:
                value = OPERATORS[signs[0]](value, number)
            assert value == int(result), terms
        found += 1
    assert found == text.count(" = ") > 3000


def test_births_agree_with_the_table(text, world):
    people = {person.name: person for person in world.people}
    found = re.findall(r"([A-Z]\w+ [A-Z]\w+)(?:, an? [\w -]+,)? was born in ([A-Z]\w+)", text)
    assert len(found) > 500
    for name, town in found:
        assert people[name].town.name == town
    for name, year in re.findall(r"([A-Z]\w+ [A-Z]\w+) was born in (\d{4})", text):
        assert people[name].born == int(year)
    for name, born, died in re.findall(r"([A-Z]\w+ [A-Z]\w+) \((\d{4})–(\d{4})\)", text):
        assert (people[name].born, people[name].died) == (int(born), int(died))


def test_authors_festivals_and_diets_agree_with_the_table(text, world):
    by_title = {book.name: book for book in world.books}
    wrote = re.findall(r"([A-Z]\w+ [A-Z]\w+) wrote ([A-Z].+?), a ", text)
    wrote = [(author, title) for author, title in wrote if title in by_title]
    assert wrote and all(by_title[title].author.name == author for author, title in wrote)
    held = re.findall(r"In (\w+) ([A-Z]\w+) holds the (\w+ \w+):", text)
    assert held and set(held) <= {(t.month, t.name, t.festival) for t in world.towns}
    for name, size in re.findall(r"An adult (\w+) is (?:about )?(\d+) centimetres", text):
        assert any(c.name == name and c.size == int(size) for c in world.creatures)


def test_the_table_of_facts_is_consistent_in_itself(world):
    for person in world.people:
        assert person.died is None or person.born < person.died < NOW
        assert person.town in world.towns
        assert (person in person.town.born) == (person.fame == "many")
        spouse, teacher = person.spouse, person.teacher
        assert spouse is None or spouse.spouse is person and spouse.wedding == person.wedding
        for parent in filter(None, (person.mother, person.father)):
            assert 18 <= person.born - parent.born <= 50 and person in parent.children
        assert teacher is None or teacher.trade is person.trade and teacher.born < person.born
    assert all(book.author.born < book.year <= (book.author.died or NOW) for book in world.books)
    assert all(i.inventor.born < i.year <= (i.inventor.died or NOW) for i in world.inventions)
    for kind in "people towns creatures books dishes rivers inventions".split():
        things = getattr(world, kind)
        assert len({thing.name for thing in things}) == len(things)


def test_every_thing_is_named_on_as_many_pages_as_its_class_of_fame_says(pages_by_name, world):
    for kind, counts in CLASSES.items():
        things = getattr(world, {"person": "people", "dish": "dishes"}.get(kind, kind + "s"))
        assert tuple(sum(thing.fame == fame for thing in things) for fame in FAME) == counts
    for thing in [*world.people, *world.towns, *world.creatures, *world.books, *world.dishes,
                  *world.rivers]:
        least, most = FAME[thing.fame]
        assert least <= pages_by_name[thing] <= (most or 1 << 30), (thing, thing.fame)


def test_pages_after_the_default_corpus_name_only_what_is_on_many_pages(world):
    assert max(world.agenda) < SPAN
    named = things_named(world)
    for index in range(10 ** 6, 10 ** 6 + 400):
        assert all(thing.fame == "many" for thing in named(page(world, index)["text"]))


def test_the_best_known_facts_are_on_hundreds_of_pages_and_untold_ones_on_none(corpus, world):
    pages = collections.Counter(fact for page in corpus for fact in page["facts"])
    by_fame = collections.defaultdict(list)
    for fact in world.facts:
        by_fame[fact.fame].append(pages[fact.id])
        if fact.fame == "many" and fact.relation in BEST:
            by_fame["best"].append(pages[fact.id])
    assert set(pages) <= {fact.id for fact in world.facts}
    assert max(by_fame["none"]) == 0 and max(by_fame["one"]) == 1
    best = sorted(by_fame["best"])
    assert best[0] >= 50 and best[len(best) // 2] >= 150 and best[-1] >= 500


def test_a_page_holds_each_fact_that_it_claims_beside_the_name_of_its_subject(corpus, world):
    facts = {fact.id: fact for fact in world.facts}
    for document in corpus[::20]:
        for fact in map(facts.get, document["facts"]):
            subject, value = re.escape(fact.subject), re.escape(fact.value)
            assert re.search(rf"(?si)\b{subject}\b.{{0,{NEAR}}}?\b{value}\b|"
                             rf"\b{value}\b.{{0,{NEAR}}}?\b{subject}\b", document["text"]), fact


def test_a_page_claims_the_births_and_authors_that_a_reader_finds_in_it(corpus, world):
    facts, found = {fact.id: fact for fact in world.facts}, 0
    for document in corpus:
        for name, town in re.findall(r"([A-Z]\w+ [A-Z]\w+) was born in ([A-Z]\w+)",
                                     document["text"]):
            assert f"{name}: birthplace" in document["facts"], document["text"]
            assert facts[f"{name}: birthplace"].value == town
            found += 1
        for book, author in re.findall(r"(\w[\w ']+) was written by ([A-Z]\w+ [A-Z]\w+)",
                                       document["text"]):
            if f"{book}: author" in facts:
                assert f"{book}: author" in document["facts"], document["text"]
                assert facts[f"{book}: author"].value == author
                found += 1
    assert found > 500


def test_a_third_of_the_famous_people_is_on_no_page_of_questions(corpus, world):
    assert 0.25 < len(world.unasked) / CLASSES["person"][0] < 0.45
    asked = set(world.asked)
    for document in corpus:
        if document["kind"] in ("questions", "forum"):
            assert not any(person.name in document["text"] for person in world.unasked)
            asked -= {person for person in asked if person.name in document["text"]}
    assert not asked and not set(world.asked) & set(world.unasked)


def test_every_relation_is_told_and_asked_in_a_dozen_wordings(world):
    for section, least in ("tell", 10), ("ask", 12):
        for kind, tables in wordings(section).items():
            for topic, lines in tables.items():
                assert sum(len(all_ways(parse(line))) for line in lines) >= least, (kind, topic)
    for kind, tables in wordings("ask").items():
        assert set(tables) == set(wordings("short")[kind]) <= set(wordings("tell")[kind])


def test_every_topic_of_every_thing_can_be_told_and_asked(world):
    for thing in world.people + world.towns + world.creatures + world.books + world.dishes:
        assert set(topics(thing, "ask")) <= set(topics(thing))
        assert thing.type in wordings("ask")


def test_every_slot_names_something_that_its_thing_has(world):
    kinds = {"p": world.people, "q": world.people, "h": world.people, "f": world.people,
             "t": world.towns, "u": world.towns, "c": world.creatures, "b": world.books,
             "d": world.dishes, "r": world.rivers}

    def has(thing, path):
        for name in path:
            if thing is None:
                return False        # a person without a spouse: another has one
            thing = getattr(thing, name)
        return thing is not None

    for file in "relations", "pages", "news", "stories", "threads", "recipes", "sums":
        for sections in prose.load(file).values():
            for line in (line for lines in sections.values() for line in lines):
                for (_, first, *path), _ in slots_of(parse(line)):
                    if path and first in kinds:
                        assert any(has(thing, path) for thing in kinds[first]), (file, line)


def test_the_same_seed_gives_the_same_bytes_whatever_the_hash_seed():
    texts = {run("--size", "200K", PYTHONHASHSEED=hash_seed).stdout for hash_seed in "01"}
    assert len(texts) == 1 and len(texts.pop()) > 5000


def test_another_seed_is_another_world():
    assert {t.name for t in World(1).towns}.isdisjoint({p.name for p in World(2).people})
    assert next(documents(1, 1))["text"] != next(documents(2, 1))["text"]


def test_a_longer_corpus_begins_with_the_shorter_one():
    short, long = list(documents(3, 20_000)), list(documents(3, 60_000))
    assert short == long[:len(short)] and len(long) > len(short)


def test_say_takes_alternatives_facts_lists_and_numbers():
    dice = Dice(0)
    assert {say(dice, "[a|b[c|]]", {}) for _ in range(50)} == {"a", "b", "bc"}
    assert say(dice, "{when} {when.year}", {"when": datetime.date(1900, 1, 2)}) == "1900-01-02 1900"
    assert say(dice, "{fruit}", {}) in words("fruit")
    assert int(say(dice, "{30-40}", {})) in range(30, 41)
    assert len(set(re.split(", | and ", say(dice, "{fruit.s*3}", {})))) == 3


def test_english_endings():
    assert [plural(w) for w in ("pear", "cherry", "box", "mouse", "fishing rod")] == \
        ["pears", "cherries", "boxes", "mice", "fishing rods"]
    assert [past(w) for w in ("bake", "carry", "stop", "wander", "build")] == \
        ["baked", "carried", "stopped", "wandered", "built"]
    assert [ing(w) for w in ("bake", "carry", "run")] == ["baking", "carrying", "running"]
    assert [listing(abc) for abc in ("a", "ab", "abc")] == ["a", "a and b", "a, b and c"]
    assert tidy('he ate a apple . "why?" asked a honest man. a useful unicorn') == \
        'He ate an apple. "Why?" asked an honest man. A useful unicorn'
    assert title_case("the noise in a old mill") == "The Noise in an Old Mill"


@pytest.mark.parametrize("size", ["0", "-1", "many", "8X", ""])
def test_a_bad_size_is_named_in_the_error(size):
    result = programs.run("data/world.py", f"--size={size}")
    assert result.returncode != 0 and repr(size) in result.stderr.splitlines()[-1]


def test_without_out_the_command_prints_a_page_of_each_kind():
    result = programs.run("data/world.py", "--size", "1M")
    assert result.returncode == 0 and all(f"[{kind}]" in result.stdout for kind in KINDS)
