"""The pocket world's exams: a judge that knows the truth, wordings that stand on no page."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import pytest

from data.exams import marks
from data.exams.formats import Question
from data.exams.marks import declines, judge, mark, numbers
from data.pocket import exams, text
from data.pocket.exams import (chosen, completions, examined, facts, hint, identity, problems,
                               spelling, traps)
from data.pocket.world import World
from data.pocket.facts import FAME
from data.pocket.grammar import Dice, tidy
from data.pocket.pages import answer, state
from templates import all_ways

WAYS = "at once", "steps", "python"     # of answering a word problem


# --------------------------------------------------------------------------------------- the judge

FACT = {"subject": "Mara Holm", "relation": "birthplace", "value": "Cadun", "unread": False,
        "own": {"birthplace": "Cadun", "home": "Zora", "born": "1873", "died": "1941",
                "trade": "doctor",
                "mother": "Ina Holm", "father": "Per Holm", "spouse": "Bo Lund", "wedding": "1900"},
        "rivals": ["Cadun", "Zora", "Nenza", "Upper Nenza"]}
BORN = FACT | {"relation": "born", "value": "1873", "rivals": ["1873", "1880"]}
HOME = FACT | {"relation": "home", "value": "Zora"}
MOTHER = FACT | {"relation": "mother", "value": "Ina Holm",
                 "rivals": ["Ina Holm", "Per Holm", "Eva Lind"]}
YOUNG = {"subject": "kelse", "relation": "young", "value": "seven",
         "own": {"young": "seven", "size": "12"},
         "rivals": ["seven", "nine"], "unread": False}
SIGHT = {"subject": "Cadun", "relation": "landmark", "value": "a well that never dries up",
         "own": {"population": "12,925"}, "rivals": ["an old bridge"], "unread": False}
PEOPLE = {"subject": "Cadun", "relation": "population", "value": "12,925", "own": {}, "rivals": [],
          "unread": False}
DISH = {"subject": "Cadun pepper bread", "relation": "town", "value": "Cadun",
        "own": {"town": "Cadun"},
        "rivals": ["Cadun", "Zora"], "unread": False}


def fact_question(fact):
    return Question("facts", "1", "fact", "?", fact, "")


@pytest.mark.parametrize("fact, answer, verdict", [
    (FACT, "Cadun", "right"), (FACT, "In CADUN.", "right"),
    (FACT, "Mara Holm was born in Cadun.", "right"),
    (FACT, "She was born in Cadun in 1873 and worked as a doctor in Zora.", "right"),
    (FACT, "Mara Holm, a doctor from Zora, was born in Cadun.", "right"),
    (FACT, "Not in Zora, but in Cadun.", "right"),
    (FACT, "She wasn't born in Nenza; it was Cadun.", "right"),
    (FACT, "She lived in Zora. Cadun is where she was born.", "right"),
    (FACT, "She was born in Zora and worked in Cadun.", "wrong"),
    (FACT, "She worked in Cadun.", "wrong"),
    (FACT, "Cadun or Nenza", "wrong"), (FACT, "Nenza", "wrong"), (FACT, "Upper Nenza", "wrong"),
    (FACT, "In Cadunia.", "wrong"), (FACT, "In Atlantis.", "wrong"), (FACT, "", "wrong"),
    (FACT, "I do not know where Mara Holm was born.", "declined"),
    (FACT, "I don’t know, but it may have been Cadun.", "right"),
    (FACT, "I have never heard of Mara Holm.", "declined"),
    (FACT, "I'm not sure about that.", "declined"), (FACT, "I know that well.", "wrong"),
    (FACT, "She was not born in Cadun.", "wrong"), (FACT, "It wasn't Zora but Cadun.", "right"),
    (HOME, "She was born in Cadun and worked in Zora.", "right"), (HOME, "Born in Zora.", "wrong"),
    (HOME, "Zora, where she lived.", "right"), (HOME, "In Cadun.", "wrong"),
    (BORN, "1873", "right"), (BORN, "In 1873, and she died in 1941.", "right"),
    (BORN, "(1873–1941)", "right"),
    (BORN, "She was born in 1941 and died in 1873.", "wrong"), (BORN, "1873 or 1874", "wrong"),
    (BORN, "She died in 1873.", "wrong"), (BORN, "1874", "wrong"), (BORN, "In 18730.", "wrong"),
    (BORN, "1873, and she reached the age of 68.", "right"),
    (BORN, "In 1873 (https://page.example/1880).", "right"),
    (BORN, "It is told in https://page.example/1873", "wrong"),
    (MOTHER, "Ina Holm", "right"), (MOTHER, "Her parents were Ina Holm and Per Holm.", "right"),
    (MOTHER, "Her mother was Per Holm and her father Ina Holm.", "wrong"),
    (MOTHER, "Eva Lind", "wrong"),
    (YOUNG, "seven", "right"), (YOUNG, "It has 7 young.", "right"),
    (YOUNG, "It has 7, at 12 centimetres", "right"),
    (YOUNG, "nine", "wrong"), (YOUNG, "7 or 8", "wrong"), (YOUNG, "17", "wrong"),
    (SIGHT, "The well that never dries up.", "right"), (SIGHT, "An old bridge.", "wrong"),
    (PEOPLE, "About 12,925 people.", "right"), (PEOPLE, "12925", "right"),
    (PEOPLE, "12,926", "wrong"),
    (DISH, "Cadun", "right"), (DISH, "Cadun pepper bread is from Zora.", "wrong"),
    (DISH, "Cadun pepper bread is good.", "wrong")])
def test_the_judge_knows_right_from_wrong_and_from_declined(fact, answer, verdict):
    assert judge(fact, answer) == verdict


def test_what_is_said_about_the_unread_is_made_up_even_if_it_is_right():
    unread = fact_question(FACT | {"unread": True})
    assert mark(unread, "Cadun") == {"": True, "declined": False, "made_up": True}
    assert mark(unread, "I do not know.") == {"": False, "declined": True, "made_up": False}
    assert mark(fact_question(FACT), "Zora") == {"": False, "declined": False, "made_up": True}
    assert mark(fact_question(FACT), "Cadun") == {"": True, "declined": False, "made_up": False}


@pytest.mark.parametrize("answer", [
    "I don't know.", "I do not know that.", "Sorry, I cannot say.",
    "I have no information about her.",
    "I'm not sure.", "I am not certain.", "I have never heard of this town.",
    "I could not find it.",
    "I don't have any information on that.", "That is not known to me.", "I have no idea.",
    "I really do not know.", "I can't tell you that.", "I have no record of such a person."])
def test_ways_to_decline(answer):
    assert declines(answer)


@pytest.mark.parametrize("answer", ["In Cadun.", "She knew everybody.", "You know it: Cadun.",
                                    "He never married.", "It is never seen by day.",
                                    "It is not sweet.",
                                    "1873, as everyone knows."])
def test_what_is_not_declining(answer):
    assert not declines(answer)


# ------------------------------------------------------------------------- the pocket world's exams

@pytest.fixture(scope="module")
def world():
    return World(0)


def of_the_world(world):
    return [*(facts(world, fame) for fame in FAME), facts(world, heldout=True),
            completions(world, chosen(world)), completions(world, chosen(world, "none")),
            *(problems(world, way) for way in WAYS), spelling(),
            traps(), identity("Pip", "the chat.c people")]


def test_own_answers_get_all_marks_and_the_seed_decides(world):
    first, again = of_the_world(world), of_the_world(World(0))
    assert first == again
    assert [exam[0].exam for exam in first[:6]] == [
        "facts_many", "facts_tens", "facts_few", "facts_one", "facts_none", "facts_many_heldout"]
    for exam in first:
        assert len({question.id for question in exam}) == len(exam) >= 14
        for question in exam:
            assert mark(question, question.worked)[""], question
            assert not mark(question, "")[""]
            assert not re.search(r"[\[\]{}|]|  ", question.prompt), question.prompt
    assert facts(World(1))[0] != first[0][0] and spelling(1) != spelling(0) and traps(1) != traps(0)


def test_whom_exams_ask_about(world):
    people = {str(person) for person in world.unasked}
    held = {question.truth["subject"] for question in facts(world, heldout=True, count=999)}
    assert held == people and len(people) >= 8
    for question in facts(world, count=999):
        assert question.truth["subject"] not in people and question.truth["value"] not in people
    for fame in ("few", "one", "none"):
        subjects = {question.truth["subject"] for question in facts(world, fame, count=999)}
        all_of_them = {fact.subject for fact in world.facts if fact.fame == fame}
        assert subjects == set(filter(examined, all_of_them))
        assert 0.3 < len(subjects) / len(all_of_them) < 0.7
    assert all(question.truth["unread"] for question in facts(world, "none"))
    searched = facts(world, "none", exam="search_facts_unread", searched=True)
    assert [(question.prompt, question.exam,
             question.truth["unread"]) for question in searched] == [
        (question.prompt, "search_facts_unread", False) for question in facts(world, "none")]
    recalled = {question.id for question in completions(world, chosen(world)[:200])}
    assert len(recalled) > 150 and recalled < {question.id for question in facts(world)}
    assert all(map(examined, exams.spelt())) and len(exams.spelt()) > 100


def test_no_page_asks_as_the_exams_do():
    asked, ours = ({text.plain(words) for topics in text.wordings(section).values()
                    for templates in topics.values() for template in templates
                    for words in all_ways(text.parse(template))}
                   for section in ("ask", "exam"))
    assert len(asked) > 400 and len(ours) > 100 and not asked & ours


def test_every_fact_can_be_asked_in_three_ways(world):
    wordings = text.wordings("exam")
    assert {(fact.kind, fact.relation) for fact in world.facts} == {
        (kind, relation) for kind, relations in wordings.items() for relation in relations}
    assert {len(some) for relations in wordings.values() for some in relations.values()} == {3}


def test_other_values_of_the_world_are_wrong_answers(world):
    for question in facts(world, count=150):
        for other in question.truth["rivals"][:40]:
            if marks.bare(other) != marks.bare(question.truth["value"]):
                assert judge(question.truth, other) == "wrong", (question, other)
        assert judge(question.truth, "I do not know " + question.prompt) == "declined"


def test_what_the_pages_say_of_a_fact_is_right(world):
    dice, count = Dice("judge"), 0
    told, short = text.wordings("tell"), text.wordings("short")
    by_name = {str(thing): thing for thing in world.things}
    for question in [*facts(world, count=250), *facts(world, "none", count=100),
                     *facts(world, heldout=True)]:
        fact = question.truth
        thing, topic = by_name[fact["subject"]], fact["relation"]
        if topic in told[thing.type]:
            for tell in (answer, state) if topic in short.get(thing.type, ()) else (state,):
                said = tidy(tell(world.public, dice, thing, topic))
                if marks.bare(fact["value"]) in marks.clean(said):
                    count += 1
                    assert judge(fact, said) == "right", (fact, said)
    assert count > 500


def test_completions_are_cut_before_the_value_and_name_the_subject(world):
    for question in completions(world, chosen(world)):
        subject = question.id.split(": ")[0]
        assert subject.casefold() in question.text().casefold()
        assert not question.text().endswith(" ") and question.truth not in question.text()[
            question.text().casefold().index(subject.casefold()) + len(subject):]
        assert mark(question, f" {question.truth}, and so on")[""]
        assert not mark(question, f" not {question.truth}")[""]
        assert not mark(question, f" {question.truth}x")[""]


def test_problems_are_the_same_however_they_are_to_be_answered(world):
    at_once, steps, python = (problems(world, way, 60) for way in WAYS)
    for one, two, three in zip(at_once, steps, python):
        assert one.truth == two.truth == three.truth and one.id == two.id
        assert {q.prompt.replace(hint(way), "") for q, way in zip((one, two, three), WAYS)} == {
            one.prompt.replace(hint("at once"), "")}
        assert "?" in one.prompt and one.truth == numbers(one.worked)[0]
        assert not mark(one, str(one.truth + 1))[""]
        assert f"= {one.truth}" in two.worked


def test_comparisons_are_traps():
    for question in traps(count=60):
        smaller, larger = sorted(re.findall(r"[0-9.]+[0-9]", question.prompt), key=float)
        assert len(smaller) > len(larger) and float(larger) > float(smaller)
        assert question.worked == (larger if "larger" in question.prompt else smaller)
        wrong = smaller if question.worked == larger else larger
        assert not mark(question, wrong)[""]
