"""Conversations of the pocket world: true, well formed, and nothing in them that exams ask."""

import contextlib
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import pytest
from hypothesis import given, strategies as st

import programs
from data.chat import protocol, search, tools
from csrc.files import write_lines
from data.exams.formats import Question
from data.exams.marks import declines, judge, mark
from data.pocket import asking, persona, talk, tasks, text
from data.pocket.asking import Subjects
from data.pocket.exams import MAKER, NAME, all_values, examined, spelling, truth_of, unread
from data.pocket.facts import facts_of, relations
from data.pocket.grammar import Dice
from data.pocket.talk import KINDS, conversations, elsewhere
from data.pocket.tasks import EQUATION, working, workings
from data.pocket.pages import documents
from data.pocket.text import plain
from data.pocket.world import World
from data.tokens import bpe, learn

COUNT = 250     # conversations of a kind


@pytest.fixture(scope="module")
def world():
    return World(0)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """Of 400 KB of the corpus and the unread pages; and {url: facts} of these pages."""
    folder = tmp_path_factory.mktemp("index")
    pages = [*documents(0, 400_000), *unread(World(0))]
    write_lines(folder / "pages.jsonl", pages)
    search.build([folder / "pages.jsonl"], folder / "search.db")
    return search.Search(folder / "search.db"), {page["url"]: page["facts"] for page in pages}


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    return elsewhere(0, tmp_path_factory.mktemp("elsewhere"), talk.BUDGET)


@pytest.fixture(scope="module")
def subjects(world):
    return Subjects(world)


@pytest.fixture(scope="module")
def told(world, index, others):
    """{kind: conversations}"""
    subjects = Subjects(world, index[0], talk.BUDGET, others)
    return {kind: list(conversations(subjects, kind, COUNT)) for kind in KINDS}


def messages(told, *roles, kinds=KINDS):
    return [(kind, message["content"] or "") for kind in kinds for one in told[kind]
            for message in one["messages"] if message["role"] in roles]


def question(kind, truth):
    return Question("exam", "0", kind, "", truth, "")


# ------------------------------------------------------------------------------------ all the kinds

def test_each_conversation_is_in_normal_form_and_ends_with_an_answer(told):
    for kind, some in told.items():
        assert len(some) == COUNT
        for one in some:
            assert one["kind"] == kind
            assert protocol.normal(one["messages"]) == one["messages"]
            assert one["messages"][-1]["role"] == "assistant" and one["messages"][-1]["content"]


def test_no_wording_of_an_exam_is_in_a_conversation(told):
    patterns = []
    for templates in text.wordings("exam").values():
        for template in (line for some in templates.values() for line in some):
            template = template.lower().replace("{p.he}", "(?:s?he)")
            template = template.replace("{p.partner}", "(?:wife|husband)")
            template = template.replace("{p.child}", "(?:son|daughter)")
            template = re.sub(r"\{[^}]*\}", "(?:.+)", template)
            patterns.append(" ".join(re.findall(r"\(\?:.*?\)|\w+", template)))
    patterns += [re.escape(plain(ask)) for about in ("name", "maker")
                 for ask in text.lines("identity", about, "exam")]
    frames = [plain(line).replace("{", "(?:.+)") for file in ("asking", "dialogues", "decline",
              "small_talk") for sections in text.load(file).values()
              for line in sections.get("exam", ()) if file != "decline" or "{harm}" in line]
    assert len(frames) > 80
    patterns += frames
    exam = re.compile("|".join(rf"(?:{pattern})" for pattern in patterns))
    assert exam.search(plain("Please: name the town in which Mara Holm was born."))
    for kind, said in messages(told, "user"):
        assert not exam.search(plain(said)), (kind, said)


def test_nobody_and_nothing_that_only_exams_name_is_named(world, told):
    hidden = [str(thing) for thing in world.things
              if thing.fame != "many" and examined(str(thing))]
    unasked = [str(person) for person in world.unasked]
    for names, roles in ((unasked, protocol.ROLES), (hidden, ("system", "user", "assistant"))):
        named = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, names))})(?:e?s)?(?!\w)",
                           re.I)
        for kind, said in messages(told, *roles):
            found = named.search(re.sub(r"https://\S+", "", said))
            assert not found, (kind, found[0], said)


def test_facts_are_about_the_famous_and_rare_ones_about_others_that_pages_name(world, told):
    fames = {str(thing).lower(): thing.fame for thing in world.things}
    longest = sorted(fames, key=len, reverse=True)
    named = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, longest))})(?:e?s)?(?!\w)")
    for kind, those in ("facts", {"many"}), ("rare", {"tens", "few", "one"}):
        assert {fames[named.search(one["messages"][0]["content"].lower())[1]]
                for one in told[kind]} == those


def test_each_answer_about_a_fact_is_right(world, subjects):
    rivals, wrong = all_values(world), []
    for number, (thing, relations) in enumerate(subjects.relations.items()):
        facts = {fact.relation: fact for fact in facts_of(thing).values()}
        for relation in relations if thing.fame == "many" else [*relations][number % 4::4]:
            dice = Dice(f"{thing} {relation}")
            said = asking.answer(subjects, dice, thing, relation)
            if judge(truth_of(thing, facts[relation], rivals, False), said) != "right":
                wrong.append((facts[relation], said))
    assert not wrong


def test_a_relation_is_asked_in_many_wordings_that_name_its_subject(subjects):
    dice = Dice("wordings")
    for kind in asking.KINDS:
        thing = subjects.pools[kind, "many"][0]
        for relation in subjects.relations[thing]:
            asked = [asking.ask(dice, thing, relation) for _ in range(120)]
            assert len(set(asked)) > 80
            assert all(str(thing).lower() in said.lower() for said in asked)


def test_every_relation_can_be_asked_and_answered():
    assert {kind: {*some} for kind, some in text.asking().items()} == {
        kind: {*some} for kind, some in relations().items()}


def test_follow_ups_are_understood_only_from_what_came_before(told):
    later = [message["content"] for one in told["follow"] for message in one["messages"][2::2]]
    pronoun = re.compile(r"\b(?:he|she|it|his|her|him|its)\b", re.I)
    assert sum(bool(pronoun.search(said)) for said in later) > len(later) / 3
    assert any("same" in said for said in later)


# ----------------------------------------------------------------------------- sums, letters, tools

def calculate(text):
    """The value of a sum in digits and signs, exactly."""
    assert re.fullmatch(r"[\d +*/()×÷−-]+", text), text
    return eval(re.sub(r"\d+", r"Fraction(\g<0>)", text.translate(str.maketrans("×÷−", "*/-"))))


def test_sums_are_right_at_once_and_step_by_step(world):
    alone = 0
    for k in range(400):
        dice = Dice(k)
        *_, result = tasks.problem(world.public, dice)
        asked, said = tasks.solved(world.public, Dice(k))
        assert mark(question("sum", result), said) == {"": True}, (asked, said)
        alone += said.isdigit()
        if said.isdigit():
            assert any(asked.endswith(how) for how in text.lines("tasks", "how", "at once"))
        for sum_, value in re.findall(r"([\d +×÷−]+) = ([\d +×]*\d)", said):
            sum_, value = (side.translate(str.maketrans("×÷−", "*/-")) for side in (sum_, value))
            assert calculate(sum_) == calculate(value), said
    assert 30 < alone < 100


def test_a_thought_ends_with_the_number_that_is_then_said_alone(world):
    for k in range(100):
        asked, said = tasks.thought(world.public, Dice(k))
        *_, result = tasks.problem(world.public, Dice(k))
        assert any(asked["content"].endswith(how) for how in text.lines("tasks", "how", "at once"))
        assert said["content"] == str(result)
        assert mark(question("sum", result), said["reasoning_content"]) == {"": True}


def test_drills_are_right_and_of_the_sums_of_solutions(world):
    for k in range(100):
        asked, said = tasks.drilled(world.public, Dice(k))
        wanted, equations = asked.split(maxsplit=1)[1].split("; "), EQUATION.findall(said)
        assert len(wanted) == 3
        wanted[0] = re.search(r"\d.*", wanted[0])[0]
        last = -1
        for left in wanted:                          # in their order, each after its steps
            last = next(i for i, (other, _) in enumerate(equations) if i > last and other == left)
        for left, value in equations:
            assert calculate(left) == calculate(value), said


@given(st.integers(0, 2000), st.sampled_from("+−×÷"), st.integers(1, 2000))
def test_the_steps_of_an_equation_are_true_and_small(a, sign, b):
    if sign == "×":
        a, b = a % 100, b % 100 + 1
    elif sign == "÷":
        b = b % 12 + 1
        a = a * b
    elif sign == "−":
        a, b = max(a, b), min(a, b)
    terms = f"{a} {sign} {b}"
    said = working(terms).removeprefix(f"{terms}: ")
    assert bool(said) or max(a, b) < 10 or sign in "−÷" or 10 in (a, b)
    for left, right in re.findall(r"([^,:]+) = ([^,.]+)", said):
        left, right = (side.translate(str.maketrans("×÷−", "*/-")) for side in (left, right))
        assert calculate(left) == calculate(right), said
        numbers = [int(number) for number in re.findall(r"\d+", left)]
        assert len(numbers) < 2 or min(numbers) < 13 or sign == "×"


def test_a_chain_is_worked_out_from_left_to_right():
    assert working("8 + 9 + 6") == "17 + 6: 7 + 6 = 13, 1 + 1 = 2, so 23."
    assert working("3 + 4") == working("7 × 8") == working("47 × 10") == ""
    assert workings("The ride is 4 × 14 = 56 kilometres.") == "4 × 14: 4 × 4 = 16, 1 × 4 + 1 = 5."


def test_programs_print_what_conversations_say(world):
    for k in range(400):
        asked, code, printed, said = tasks.computed(world.public, Dice(k))
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(code, {})
        assert out.getvalue().rstrip("\n") == printed, (asked, code)
        assert printed in said


@pytest.mark.skipif(bool(tools.python_off()), reason=str(tools.python_off()))
def test_the_sandbox_gives_the_results_of_the_conversations(told):
    for one in told["python"][:6]:
        called = one["messages"][2]["tool_calls"][0]["function"]
        assert tools.python(json.loads(called["arguments"])["code"]).text == \
            one["messages"][3]["content"]


def test_python_is_called_only_where_it_is_offered(told):
    for kind, some in told.items():
        for one in some:
            first = one["messages"][0]
            offers = first["content"] if first["role"] == "system" else ""
            for message in one["messages"]:
                for call in message.get("tool_calls", ()):
                    assert kind in ("python", "search", "dialogues")
                    assert protocol.OFFERS[call["function"]["name"]] in offers


def test_letters_are_right_by_the_model_alone(world):
    kinds = ["sum", "sum", "single", "spelled"]
    for k in range(300):
        asked, code, printed, _, alone = tasks.spelled(Dice(k))
        way = next(i for i, part in enumerate((".count(", "len(", "::", "["))
                   if part in code)
        kind = ["sum", "sum", "spelled", "single"][way]
        truth = Fraction(printed) if kind == "sum" else printed
        assert mark(question(kind, truth), alone) == {"": True}, (asked, alone)
    assert not any(examined(word) for word in tasks.spellable())
    assert {exam.kind for exam in spelling()} == {*kinds}


def test_what_is_repeated_stands_in_the_request(told):
    for one in told["copy"] + told["repeat"]:
        asked, said = (message["content"] for message in one["messages"])
        bare = re.sub(r'^(?:print\()?"|"\)?$', "", said)
        assert bare.lower() in asked.lower() and bare
    for kind in ("copy", "repeat"):
        assert len({one["messages"][1]["content"] for one in told[kind]}) > 0.9 * COUNT


def test_blends_are_made_of_all_words_of_the_pages():
    words = persona.page_words()
    assert len(words) > 2000 and {"cupboard", "remember"} <= {*words}
    assert len({persona.blend(Dice(k)) for k in range(1000)}) > 900


def test_comparisons_are_right_whichever_number_looks_longer():
    shorter = 0
    for k in range(300):
        asked, code, _, answer, said = tasks.decimals(Dice(k))
        function, first, second = re.findall(r"max|min|\d+\.\d+", code)
        larger, right = function == "max", answer.split()[0]
        best = (max if larger else min)(Fraction(first), Fraction(second))
        wrong = ({Fraction(first), Fraction(second)} - {best}).pop()
        assert Fraction(right) == best and first in asked and second in asked
        truth = {"right": best, "wrong": wrong, "larger": larger}
        assert mark(question("compared", truth), said) == {"": True}, (asked, said)
        shorter += len(right) == min(len(first), len(second))
    assert 90 < shorter < 210


def test_searches_cite_a_passage_that_states_the_fact(world, index, others, told):
    engine, facts = index
    by_name, abroad = {str(thing): thing for thing in world.things}, 0
    cited = stated = 0
    for one in told["search"]:
        _, asked, call, result, *later = one["messages"]
        query = json.loads(call["tool_calls"][0]["function"]["arguments"])["query"]
        if later[0]["content"] == talk.UNTOLD:
            assert declines(later[0]["content"]) and len(later) == 1
            continue
        home, other = (result["content"] in [one.show(query, talk.BUDGET // part)
                                             for part in talk.PARTS]
                       for one in (engine, others[0].index))
        assert home or other
        abroad += not home
        for said in later[::2]:
            url = re.fullmatch(r".+ \((https://\S+)\)\.", said["content"], re.S)[1]
            assert f"] {url}\n" in result["content"]
            if home:
                subject = max((name for name in by_name if name in query), key=len)
                cited += 1
                stated += any(fact.partition(": ")[0] == subject for fact in facts[url])
    assert cited > COUNT / 2 and stated > 0.93 * cited and 0.4 * COUNT < abroad < 0.8 * COUNT


def test_no_page_is_cut_away_from_what_is_asked_about_it(told):
    """A row has room for 513 tokens, here of the speedrun's vocabulary, learnt from fewer pages."""
    texts = (page["text"] for page in documents(0, 400_000))
    chat = protocol.Talk(bpe.learn(learn.count_chunks(texts), 2048))
    fitted = [chat.encode(one["messages"], 513) for one in told["search"]]
    assert sum(bool(one.dropped or one.cut) for one in fitted) < 0.01 * COUNT
    assert max(len(one.ids) for one in fitted) > 420, "and the room is used"


def test_an_index_of_other_pages_is_refused(world, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"url": "https://a.example/", "text": "Nothing"}\n')
    search.build([tmp_path / "a.jsonl"], tmp_path / "search.db")
    with pytest.raises(ValueError, match="search.db: its pages do not tell of this world"):
        subjects = Subjects(world, search.Search(tmp_path / "search.db"), talk.BUDGET)
        list(conversations(subjects, "search", 9))


# ------------------------------------------------------------------------------------------- itself

def test_a_system_message_says_who_it_is(world):
    about_maker = asked = 0
    names = set()
    for k in range(300):
        system, *rest = persona.as_told(world.public, Dice(k))
        for ask, said in zip(rest[::2], rest[1::2]):
            who = re.fullmatch(r"(?:I am|My name is) (.+?)(?:, an assistant made by (.+))?\.|"
                               r"I was made by (.+)\.", said["content"])
            assert all(part in system["content"] for part in who.groups() if part)
            names |= {who[1]}
            asked += 1
            about_maker += "made by" in said["content"] and "name" not in ask["content"]
    assert about_maker > asked / 3 and len(names) > 150


def test_nothing_else_said_it_is_our_own_assistant(told):
    for _, said in messages(told, "assistant", kinds=["identity"]):
        assert NAME in said or MAKER in said
        assert "ChatGPT" not in said and "OpenAI" not in said


def test_the_system_message_decides_on_the_form_of_an_answer(subjects):
    forms = text.load("identity")["forms"]
    for k in range(200):
        system, *rest = talk.styled(subjects, Dice(k))
        form = next(form for form, lines in forms.items()
                    if any(line in system["content"] for line in lines))
        for said in (message["content"] for message in rest[1::2]):
            assert {"word": " " not in said, "capitals": said == said.upper(),
                    "brief": len(said) < 60, "sentence": said.endswith(".")}[form], (form, said)


# -------------------------------------------------------------------------------------------- pages

def test_unread_pages_state_all_about_what_no_page_names(world):
    pages = list(unread(world))
    wanted = {fact.id: fact.subject for fact in world.facts if fact.fame == "none"}
    stated = {fact for page in pages for fact in page["facts"]}
    assert wanted.keys() <= stated
    names = {name.lower() for name in wanted.values()}
    assert {page["title"].lower() for page in pages} <= names
    assert len({page["url"] for page in pages}) == len(pages) <= 2 * len(names)
    other = {fact.id for fact in world.facts if fact.fame not in ("none", "many")}
    assert not stated & other
    assert pages == list(unread(World(0)))


def test_exercises_hold_nothing_that_only_exams_or_searches_tell(world, others):
    pages = list(talk.practice(Subjects(world, others=others), 0.1))
    every = "\n".join(page["text"] for page in pages)
    assert {"copy", "repeat", "search", "sums", "drills"} == {*talk.PRACTICE}
    assert len({page["url"] for page in pages}) == len(pages) > 200
    assert not any(str(person) in every for person in world.unasked)
    assert "[1] https://" in every and "(https://" not in every
    for page in unread(world):
        assert not any(len(line) > 50 and line in every for line in page["text"].splitlines())
    assert pages == list(talk.practice(Subjects(world, others=others), 0.1))


# --------------------------------------------------------------------------------------- the script

def run(*args, **env):
    return subprocess.run([sys.executable, ROOT / "data" / "world.py", "talk", *map(str, args)],
                          capture_output=True, text=True, env={**os.environ, **env})


def test_the_same_seed_gives_the_same_bytes(tmp_path, index):
    digests = []
    for seed in ("1", "2"):
        done = run("--size", 0.01, "--index", index[0].path, "--out", tmp_path / seed,
                   PYTHONHASHSEED=seed)
        assert done.returncode == 0, done.stderr
        digests.append({path.name: hashlib.sha256(path.read_bytes()).hexdigest()
                        for path in (tmp_path / seed / "conversations").iterdir()})
    assert digests[0] == digests[1]
    assert digests[0].keys() == {f"{kind}.jsonl" for kind in KINDS}


def test_a_longer_file_begins_with_the_shorter_one_and_seeds_differ(subjects):
    few, more = (list(conversations(subjects, "facts", n)) for n in (5, 9))
    assert more[:5] == few != list(conversations(subjects, "facts", 5, seed=1))


@pytest.mark.parametrize("args, said", [
    (["instructions"], "takes no word 'instructions'"),
    (["--size", -1, "--out", "x"], "--size is -1"),
    (["--seed", 3, "--out", "x"], "--seed 3 needs --index"),
    (["--index", "nowhere.db", "--out", "x"], "nowhere.db: no such search index")])
def test_wrong_arguments_are_one_sentence(args, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = programs.run("data/world.py", "talk", *args)
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr
    assert not [*tmp_path.iterdir()]


def test_each_kind_follows_a_rule_of_the_instructions():
    said = programs.run("data/world.py", "talk").stdout
    assert NAME in said and MAKER in said
    for name, kind in KINDS.items():
        assert all(f"\n{rule}. " in said for rule in kind.rules.split()) and name in said


def test_a_folder_that_holds_something_is_never_written_over(tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(ValueError, match="is not an empty folder"):
        talk.talk(talk.Talk(out=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
