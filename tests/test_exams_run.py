"""infer.py eval: how questions are put to models, and the figures that come of it."""

import json
import re
import sys
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from csrc.bind import Model
from csrc.config import Config
from data.chat import protocol, tools
from data.exams import likelihood, marks, run
from data.tokens import bpe, learn
from data.exams.formats import Question
from data.exams.report import combined, table
from data.exams.run import Item, Marking, Outcome, ask, items_for, labelled, likelihoods, mode_of
from data.pocket import text as prose
from data.pocket.dialogues import examination
from data.pocket.exams import Exams, by_pages, world_exams
from data.chat.tools import Result, Tool
from data.pocket.world import World
import infer as program
import programs
from csrc import cli
from csrc.engine import Engine, Sequence
from data.chat.turn import Turn

REAL = ROOT.parent / "shared" / "real" / "tasks"
TEXT = "the cat sat on the mat. the dog sat on the cat. " * 8
PAGE = "https://pocket-almanac.example/unread-1"


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tokenizer():
    return bpe.learn(learn.count_chunks([TEXT]), 256 + 32 + 20)


@pytest.fixture(scope="module")
def world():
    return World(0)


def random_model(tokenizer, context=96):
    config = Config(vocab=tokenizer.vocab_size, context=context, layers=1, channels=32, heads=2,
                    kv_heads=2, head_dim=16, hidden=32)
    model, rng = Model.create(config, "cpu", "f32"), np.random.default_rng(1)
    for name, shape, matrix in model.tensors:
        if matrix:
            model.write(name, 0.2 * rng.standard_normal(shape))
    return model


@pytest.fixture(scope="module")
def engine(tokenizer):
    return Engine(random_model(tokenizer), tokenizer)


class Scripted:
    """An engine whose answers are `answer(messages or text, names of tools)`: a text, or a list of
    new messages."""

    def __init__(self, tokenizer, answer, context=4096):
        self.tokenizer, self.answer = tokenizer, answer
        self.model = SimpleNamespace(config=SimpleNamespace(context=context))

    def encode(self, text):
        return self.tokenizer.encode(text)

    def turn(self, messages, tools):
        said = self.answer(messages, sorted(tools or ()))
        said = [{"role": "assistant", "content": said}] if isinstance(said, str) else said
        return SimpleNamespace(messages=protocol.normal([messages[-1], *said])[1:], finish="stop")

    def generate(self, sequences):
        for sequence in sequences:
            if isinstance(sequence, Sequence):
                text = self.tokenizer.decode(sequence.tokens)
                sequence.text, sequence.finish = self.answer(text, []), "stop"
            yield sequence, 0, "", None


def call(tool, given):
    return {"role": "assistant", "content": None, "tool_calls": [{"function": {
        "name": tool, "arguments": {protocol.TOOLS[tool]: given}}}]}


def tool():
    return Tool(Result, None)


BOTH = {"search": tool(), "python": tool()}


@pytest.fixture(autouse=True)
def scripted_turns(monkeypatch):
    """A Scripted engine's turns are what it says."""
    def turn(engine, messages, settings, index=0, tools=None, *how, **more):
        if isinstance(engine, Scripted):
            return engine.turn(messages, tools)
        return Turn(engine, messages, settings, index, tools, *how, **more)
    monkeypatch.setattr(run, "Turn", turn)


@cache
def pocket(count):
    return world_exams(0, count)


def pocket_items(count, assistant, offered):
    return items_for(assistant, [], pocket(count), offered)


def figures(engine, asked, truth=Marking()):
    answers, notes = ask(engine, asked, truth, "model")
    return Outcome("model", "runs/model", answers, notes).figures


def perfect(asked):
    """The answer function of a model that knows all."""
    known = {(one.question.text() if one.mode == "text" else one.question.prompt,
              one.question.system): one for one in asked}

    def answer(said, offered):
        if isinstance(said, str):
            return known[said, ""].question.worked
        system = said[0]["content"] if said[0]["role"] == "system" else ""
        one = known[said[-1]["content"], system]
        if not one.needs:
            return one.question.worked
        assert one.needs in offered and protocol.OFFERS[one.needs] in system
        source = f" See {PAGE}." if one.needs == "search" else ""
        return [call(one.needs, "it"), {"role": "tool", "content": "a result"},
                {"role": "assistant", "content": one.question.worked + source}]
    return answer


# ----------------------------------------------------------------------------- the pocket world

def test_a_model_that_knows_all_is_told_so_in_every_figure(tokenizer):
    asked = pocket_items(3, True, BOTH)
    urls = {one.question.id: {PAGE} for one in asked}
    found = figures(Scripted(tokenizer, perfect(asked)), asked, Marking(urls=urls))
    wrong = {name for name, figure in found.items() if figure["value"] != 1}
    assert wrong == {name for name in found if name.endswith(("_declined", "_made_up"))
                     and name != "facts_none_made_up"} | {"tool_use_unneeded"}
    assert {"facts_many", "facts_many_heldout", "facts_tens", "facts_few", "facts_one",
            "facts_none_made_up", "word_at_once", "word_steps", "word_python", "spelling_model",
            "spelling_tool", "traps", "identity", "identity_system", "recall_completion",
            "recall_completion_heldout", "search_facts_unread", "search_url_right", "tool_use",
            "tool_use_unneeded"} <= found.keys()
    assert found["identity_system"]["n"] == 140 and found["tool_use"]["n"] == 9


def test_a_base_model_is_asked_in_documents_alone_and_never_with_tools():
    asked = pocket_items(3, False, BOTH)
    assert {one.mode for one in asked} == {"text"}
    assert not any(one.tools or one.question.system for one in asked)


def test_tools_that_are_off_are_not_offered():
    names = {one.question.exam for one in pocket_items(3, True, {"python": tool()})}
    assert "word_python" in names and "search_facts_unread" not in names
    names = {one.question.exam for one in pocket_items(3, True, {})}
    assert not names & {"word_python", "spelling_tool", "search_facts_unread", "tool_use_unneeded"}


def test_who_declines_makes_nothing_up(tokenizer):
    asked = [one for one in pocket_items(5, True, {}) if one.question.exam == "facts_none"]
    found = figures(Scripted(tokenizer, lambda *_: "I do not know that."), asked)
    assert found["facts_none_declined"]["value"] == 1 and found["facts_none_made_up"]["value"] == 0
    found = figures(Scripted(tokenizer, lambda *_: "In Zora."), asked)
    assert found["facts_none_made_up"]["value"] == 1


@pytest.mark.parametrize("said, right", [
    (f"Zora ({PAGE}).", True), (f"Zora, says {PAGE}", True), (f'Zora: "{PAGE}", it says.', True),
    ("Zora.", False), ("Zora (https://other.example/x).", False), (f"Zora ({PAGE}1).", False),
    (f"Zora: {PAGE} and https://other.example/x.", False)])
def test_an_address_is_right_if_the_page_there_states_the_fact(tokenizer, said, right):
    one = next(one for one in pocket_items(1, True, BOTH) if one.needs == "search")
    found = figures(Scripted(tokenizer, lambda *_: said), [one],
                    Marking(urls={one.question.id: {PAGE}}))
    assert found["search_url_right"]["value"] == right
    assert found["tool_use"]["value"] == 0
    assert not figures(Scripted(tokenizer, lambda *_: said), [one])["search_url_right"]["value"]


def test_only_what_is_said_last_counts_and_the_wrong_tool_is_not_the_right_one(tokenizer):
    one = next(one for one in pocket_items(1, True, BOTH)
               if one.question.exam == "word_python")
    worked = one.question.worked
    result = {"role": "tool", "content": worked}
    for tool, last, right, used in (("python", worked, 1, 1), ("search", worked, 1, 0),
                                    ("python", "nothing", 0, 1)):
        said = [call(tool, "1"), result, {"role": "assistant", "content": last}]
        found = figures(Scripted(tokenizer, lambda *_: said), [one])
        assert found["word_python"]["value"] == right and found["tool_use"]["value"] == used
    cut_off = [call("python", worked), result]
    found = figures(Scripted(tokenizer, lambda *_: cut_off), [one])
    assert found["word_python"]["value"] == 0 and found["tool_use"]["value"] == 1


def test_a_transcript_has_the_calls_and_what_came_of_them(tokenizer):
    one = next(one for one in pocket_items(1, True, BOTH) if one.needs == "search")
    said = [call("search", "who?"), {"role": "tool", "content": "nobody"},
            {"role": "assistant", "content": "Nobody."}]
    (answer,), _ = ask(Scripted(tokenizer, lambda *_: said), [one], Marking(), "model")
    assert answer.transcript == [("system", "You can search for pages. You can run Python."),
                            ("user", one.question.prompt), ("call of search", "who?"),
                            ("result", "nobody"), ("assistant", "Nobody.")]


def test_the_names_that_system_messages_give_stand_nowhere_else(world):
    files = [file for file in (ROOT / "data").rglob("*.*")
             if file.suffix in (".py", ".txt", ".html")
             and file != ROOT / "data/pocket/text/identity.txt"]
    assert len(files) > 40
    sources = "\n".join(file.read_text() for file in files).casefold()
    names = {name.casefold() for pair in prose.table("identity", "strangers") for name in pair}
    assert len(names) == 20
    assert not [name for name in names if name in sources]
    assert not names & {str(person).casefold() for person in world.people}


def test_figures_by_pages_are_asked_where_the_pages_are_known(tokenizer, world):
    pages = Counter({fact.id: k % 3 for k, fact in enumerate(world.facts)})
    asked = items_for(True, by_pages(world, pages, 4), None, {})
    found = figures(Scripted(tokenizer, perfect(asked)), asked)
    for name in "recall_pages_0", "recall_pages_2_3", "asked_pages_0", "asked_pages_1":
        assert found[name]["value"] == 1 and 0 < found[name]["n"] <= 4
    assert {one.mode for one in asked if one.question.exam.startswith("recall")} == {"text"}


@pytest.mark.parametrize("right", [True, False])
def test_a_dialogue_is_answered_turn_after_turn_with_the_models_own_answers(tokenizer, right):
    exam = [*{one.prompt: one for one in examination(0, 20)}.values()][:8]
    asked = items_for(True, [], Exams([], [], {}, {}, exam), {})
    turns, before = {one.question.prompt: one.question.truth for one in asked}, []

    def answer(messages, _):
        users = [message["content"] for message in messages if message["role"] == "user"]
        before.extend(message["content"] for message in messages if message["role"] == "assistant")
        return turns[users[0]][len(users) - 1].worked if right else "Nonsense"
    found = figures(Scripted(tokenizer, answer), asked)
    assert {figure["value"] for figure in found.values()} == {float(right)}
    assert right or {*before} == {"Nonsense"} and len(before) > 40
    for drawn in "", "_drawn":
        assert found[f"dialogue{drawn}_first"]["n"] == found[f"dialogue{drawn}_second"]["n"] == 8
        assert found[f"dialogue{drawn}_later"]["n"] == sum(len(one.truth) - 2 for one in exam)


def test_a_turn_that_has_no_room_is_wrong(engine):
    asked = items_for(True, [], Exams([], [], {}, {}, examination(0, 2)), {})
    asked = [one._replace(question=replace(one.question, truth=tuple(
        replace(turn, prompt=turn.prompt * 99) for turn in one.question.truth))) for one in asked]
    found = figures(engine, asked)
    assert {figure["value"] for figure in found.values()} == {0}


# ------------------------------------------------------------------------------- how it is asked

def naive(engine, text, more):
    ids = engine.encode(text) + engine.tokenizer.encode(more)
    logits = engine.model.logits(np.array([ids[:-1]], np.int32))[0].astype(np.float64)
    logits = logits[:, :engine.model.config.vocab]
    count = len(engine.tokenizer.encode(more))
    rows = logits[len(ids) - 1 - count:]
    return sum(row[i] - np.logaddexp.reduce(row) for row, i in zip(rows, ids[-count:])), count


def test_likelihoods_are_sums_of_log_probabilities_whatever_is_asked_beside(engine):
    pairs = [("the cat sat", " on the mat"), ("", " dog"),
             ("the dog sat on", " the cat on the mat"),
             ("a longer text, the cat sat on the mat. the dog", " sat"), ("x", " y z")]
    rows = [(engine.encode(text), engine.tokenizer.encode(more)) for text, more in pairs]
    found = list(likelihoods(engine, rows, "model"))
    for (nats, count), pair in zip(found, pairs):
        wanted, n = naive(engine, *pair)
        assert count == n and nats == pytest.approx(wanted, rel=1e-5)
    assert found == [next(likelihoods(engine, [row], "model")) for row in rows]


def test_choices_of_one_token_are_read_with_their_text_once(engine, monkeypatch):
    text = engine.encode("the cat sat on the mat. the dog sat on the cat")
    rows = [(text[:end], [i]) for end in (9, 9, len(text), len(text), 12) for i in (5, 300)]
    wanted = [next(likelihoods(engine, [row], "model")) for row in rows]
    read, extend = [], type(engine.model).extend
    monkeypatch.setattr(type(engine.model), "extend", lambda self, cache, slots, tokens: (
        read.append(len(tokens[0])) or extend(self, cache, slots, tokens)))
    monkeypatch.setattr(likelihood, "FORWARD", 4)
    assert list(likelihoods(engine, rows, "model")) == wanted
    assert sum(read) == len(text) + 1 and max(read) == 4
    tokens, targets = np.array([text[:9]]), np.full((1, 9), -1)
    targets[0, -1] = 300
    nll = engine.model.forward(tokens.astype(np.int32), targets.astype(np.int32))
    assert wanted[1] == (pytest.approx(-nll.sum(), rel=1e-5), 1)


def test_what_a_base_model_asks_itself_and_answers_does_not_count(engine):
    asked = [one for one in pocket_items(1, False, {}) if not one.question.opening]
    for one in asked:
        grown = run.sequence(engine, one)
        assert grown.stream.push(b" Ink.\nQuestion: Who?\nAnswer: Wren.") == " Ink."
        assert grown.stream.stopped
    assert {one.question.exam for one in asked} >= {"facts_many", "identity", "traps"}


@pytest.mark.parametrize("kind, said, elected", [
    ("sum", ["It is 3.", "4", "So 1 + 2 = 3"], 0), ("sum", ["4", "three", "It is 3"], 1),
    ("sum", ["none", "2", "1"], 0), ("text", ["A cat.", "dog", "The dog!"], 1)])
def test_what_most_votes_say_is_the_answer(kind, said, elected):
    item = Item(replace(choice(), kind=kind), "text")
    grown = [SimpleNamespace(text=text) for text in said]
    assert run.elected(item, grown) is grown[elected]


def test_votes_are_drawn_apart_and_alone_or_in_company_the_same(engine):
    asked = pocket_items(1, False, {})[:3]
    how = run.How(votes=3)
    assert ask(engine, asked, Marking(), "m", how) == ask(engine, asked, Marking(), "m", how)
    texts = [run.sequence(engine, asked[0], how, vote) for vote in range(3)]
    assert len({one.seed for one in texts}) == 3 and texts[0].settings.temperature == run.VOTING


def choice(**changes):
    return Question("arc", "1", "letter", "?", 0, "A", ("mat", "cat"), opening="the",
                    continuations=(" mat", " cat"), **changes)


def test_every_kind_of_question_has_room_for_its_answer():
    assert run.MAX_TOKENS.keys() == marks.KINDS.keys()


def test_choices_are_compared_for_base_models_and_endings_for_all():
    assert mode_of(choice(), False) == "likelihood" and mode_of(choice(), True) == "chat"
    assert mode_of(replace(choice(), kind="ending"), True) == "likelihood"
    assert mode_of(replace(choice(), continuations=()), False) == "text"


def test_the_likelier_choice_is_taken(engine):
    first, second = (naive(engine, "the", text)[0] for text in (" mat", " cat"))
    found = figures(engine, [Item(choice(), "likelihood")])
    assert found["arc_raw"]["value"] == (first > second)
    swapped = replace(choice(), choices=("cat", "mat"), continuations=(" cat", " mat"))
    assert figures(engine, [Item(swapped, "likelihood")])["arc_raw"]["value"] == (second > first)


@pytest.mark.parametrize("mode", ["chat", "text", "likelihood"])
def test_the_first_examples_are_left_out_where_all_do_not_fit(tokenizer, engine, mode):
    shots = tuple(replace(choice(), prompt=f"{k} " + "the cat sat on the mat. " * 4,
                          opening=f"{k} " + "the cat sat on the mat. " * 4) for k in "wxyz")
    asked = Item(choice(shots=shots), mode)
    used = engine if mode != "chat" else Scripted(tokenizer, lambda *_: "A", context=128)
    (answer,), notes = ask(used, [asked], Marking(), "model")
    assert 0 < len(answer.question.shots) < 4
    assert answer.question.shots == shots[-len(answer.question.shots):]
    assert notes == [f"arc: for a context of {used.model.config.context} tokens 1 of 1 questions "
                     "have fewer examples, and 0 are too long and count as wrong"]


@pytest.mark.parametrize("mode", ["chat", "text", "likelihood"])
def test_a_question_too_long_for_the_context_counts_as_wrong_and_is_told(tokenizer, engine, mode):
    long = replace(choice(), prompt="y z " * 200, opening="y z " * 200)
    used = engine if mode != "chat" else Scripted(tokenizer, lambda *_: "A", context=128)
    answers, notes = ask(used, [Item(long, mode), Item(choice(), mode)], Marking(), "model")
    assert not any(answers[0].results[0][1].values())
    assert answers[0].transcript[0][0] == "too long" != answers[1].transcript[0][0]
    assert "0 of 2 questions have fewer examples, and 1 are too long" in notes[0]


def test_the_same_model_answers_the_same_whatever_is_asked_beside(engine):
    asked = pocket_items(2, False, {})
    together, _ = ask(engine, asked, Marking(), "model")
    for one, answer in [*zip(asked, together)][::5]:
        (alone,), _ = ask(engine, [one], Marking(), "model")
        assert alone == answer


# ------------------------------------------------------------------------------------ the figures

def outcome(label, **values):
    """A model of which each exam has this share of 10 answers right."""
    answers = [run.Answer(Question(name, "1", "named", "?", "", ""), [],
                                [(name, {"": k < value})])
               for name, value in values.items() for k in range(10)]
    return Outcome(label, f"runs/{label}", answers, [])


def test_one_model_has_plain_names_and_several_have_labels_and_the_headlines():
    base, sft = outcome("base", recall_completion=7), outcome("sft", identity=2, traps=3)
    assistant = outcome("assistant", facts_many=9, identity=10, word_python=8)
    alone = combined([sft])
    assert alone["model"] == "runs/sft" and alone["figures"].keys() == {"identity", "traps"}
    assert alone["figures"]["traps"] == pytest.approx(
        {"value": 0.3, "low": 0.108, "high": 0.603, "n": 10}, abs=1e-3)
    found = combined([base, sft, assistant])
    assert found["model"] == {label: f"runs/{label}" for label in ("base", "sft", "assistant")}
    assert {name: figure["value"] for name, figure in found["figures"].items()} == {
        "recall_completion": 0.7, "identity_none": 0.2, "probed_facts_many": 0.9,
        "identity_data": 1.0, "word_python": 0.8, "base_recall_completion": 0.7,
        "sft_identity": 0.2, "sft_traps": 0.3, "assistant_facts_many": 0.9,
        "assistant_identity": 1.0, "assistant_word_python": 0.8}


def test_the_table_has_a_row_a_figure_and_a_column_a_model():
    lines = table([outcome("base", traps=3), outcome("sft", identity=2)]).split("\n")
    assert lines[0].split() == ["base", "sft"]
    assert lines[1].split() == ["identity", "-", *"20.0 % 6 – 51 10".split()]
    assert lines[2].split() == ["traps", *"30.0 % 11 – 60 10".split(), "-"]


def test_labels_are_given_or_the_names_of_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    odd = tmp_path / "lr=3"
    for path in (odd, *map(Path, ("runs/base", "runs/sft", "runs/a", "other/a"))):
        path.mkdir(parents=True)
        (path / "config.json").touch()
    assert labelled(["a=runs/base", "runs/sft/", odd]) == [
        ("a", Path("runs/base")), ("sft", Path("runs/sft")), ("lr=3", odd)]
    for given, told in (["runs/a", "other/a"], "taken: write LABEL=FOLDER"), (["=runs/a"], "empty"):
        with pytest.raises(ValueError, match=told):
            labelled(given)


# ------------------------------------------------------------------------------- the command line

@pytest.fixture(scope="module")
def folder(tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    random_model(tokenizer, 256).save(folder)
    tokenizer.save(folder)
    (folder / "log.jsonl").write_text('{"step": 1, "stage": "sft"}\n')
    return folder


def evaluate(*flags):
    """What `infer.py eval` does, in this process."""
    program.evaluate(cli.parse("", program.COMMANDS, ["eval", *flags])[1])


def infer(*args):
    return programs.run("infer.py", "eval", *args, cwd=ROOT, OMP_NUM_THREADS="1")


def test_the_command_prints_a_table_and_writes_json_and_html(folder, tmp_path):
    exam = tmp_path / "mine.jsonl"
    exam.write_text('{"question": "What is 2 + 2?", "answer": 4}\n')
    out, html = tmp_path / "new" / "f.json", tmp_path / "f.html"
    done = infer("--model", folder, "--count", 2, "--exam", exam, "--out", out, "--html", html)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert found["model"] == str(folder)
    assert found["figures"]["mine_strict"] == {"value": 0.0, "low": 0.0, "n": 1,
                                               "high": pytest.approx(0.793, abs=1e-3)}
    assert "mine_strict" in done.stdout and "facts_many_heldout" in done.stdout
    assert {"dialogue_first", "dialogue_drawn_later", "facts_many_at_95_declined_answered",
            "facts_tens_at_95_declined"} <= found["figures"].keys()
    print_out = infer("--seeds", out, out).stdout
    assert re.search(r"mine_strict +0.0 ± 0.0 %   0.0 to 0.0, 2 runs", print_out)
    assert found["figures"]["identity_system"]["n"] == 140
    assert "search is off" in done.stderr
    assert html.read_text().startswith("<!DOCTYPE html>")
    again = tmp_path / "again.json"
    assert infer("--model", folder, "--count", 2, "--exam", exam, "--out", again).returncode == 0
    assert again.read_bytes() == out.read_bytes()


def test_models_asked_at_one_time_answer_as_one_after_the_other(folder, tmp_path):
    found = []
    for workers in 1, 2:
        out = tmp_path / f"{workers}.json"
        done = infer("--model", f"a={folder}", "--model", f"b={folder}", "--count", 1, "--out", out,
                     "--workers", workers)
        assert done.returncode == 0, done.stderr
        found.append((out.read_text(), done.stdout.replace(str(out), "")))
    assert found[0] == found[1] and "a_facts_many" in found[0][0]


def test_base_makes_every_model_one_that_goes_on_with_documents(folder, capsys):
    evaluate("--base", "--model", str(folder), "--count", "1")
    assert "identity_system" not in capsys.readouterr().out


@pytest.mark.parametrize("flags, told", [
    (["--count", 0], "--count is 0"), (["--shots", -1], "--shots is -1"),
    (["--workers", 0], "--workers is 0"),
    (["--no-world"], "--no-world without --exam FILE leaves nothing to ask"),
    (["--exam", "{tmp}/none.jsonl"], "none.jsonl"), (["--index", "{tmp}/none.db"], "none.db"),
    (["--out", "{tmp}"], "is a folder"),
    (["--out", "{tmp}/bad.jsonl/f.json"], "bad.jsonl: File exists"),
    (["--html", "{tmp}/bad.jsonl/new/f.html"], "bad.jsonl/new: Not a directory"),
    (["--model", "{tmp}/no-model"], "no-model: there is no model in it"),
    (["--seeds", "{tmp}/list.json"], "list.json: \"figures\" is 3, but must be an object"),
    (["--exam", "{tmp}/bad.jsonl"], "bad.jsonl:1: not JSON")])
def test_wrong_input_is_one_sentence(folder, tmp_path, monkeypatch, flags, told):
    (tmp_path / "bad.jsonl").write_text("nonsense\n")
    (tmp_path / "list.json").write_text('{"figures": 3}')
    with pytest.raises((ValueError, OSError)) as error:
        evaluate("--model", str(folder), *(str(flag).format(tmp=tmp_path) for flag in flags))
    assert told in str(error.value) and "\n" not in str(error.value)


def test_programs_are_left_out_and_told_where_python_is_off(folder, tmp_path, monkeypatch, capsys):
    exam = tmp_path / "mbpp.jsonl"
    exam.write_text(json.dumps({"text": "Add.", "code": "def f(): pass", "task_id": 9,
                                "test_list": ["assert f() is None"]}) + "\n")
    monkeypatch.setattr("data.chat.tools.python_off", lambda: "there is none here")
    evaluate("--model", str(folder), "--no-world", "--exam", str(exam))
    printed = capsys.readouterr()
    assert "mbpp" not in printed.out
    assert "python is off, and what needs it is left out: there is none here" in printed.err
    assert "search" not in printed.err           # which nothing needs


# ---------------------------------------------------------------------------------- real files

@pytest.mark.skipif(not REAL.is_dir(), reason=f"the published exams are not at {REAL}")
@pytest.mark.parametrize("assistant", [False, True])
def test_published_exams_are_read_and_scored_end_to_end(tokenizer, assistant):
    files = [REAL / name for name in (
        "gsm8k/train_1500.jsonl", "mmlu", "arc/arc_challenge_train.json", "mbpp/mbpp_300.jsonl",
        "bfcl/BFCL_v4_simple_python.json", "simpleqa/simple_qa_500.csv", "math/svamp.jsonl")]
    questions = run.file_questions(files, None, 1, 4)
    assert len({question.id.partition("/")[0] for question in questions
                if question.exam == "mmlu"}) == 4          # not all of the first subject
    asked = [Item(question, mode_of(question, assistant)) for question in questions]
    sandbox = assistant and not tools.python_off()
    truth = Marking(run=run.passes if sandbox else lambda program, tests: True)
    if assistant:
        worked = {one.question.prompt: one.question.worked for one in asked}
        engine = Scripted(tokenizer, lambda said, _: worked[said[-1]["content"]], 1 << 16)
    else:
        engine = Engine(random_model(tokenizer, 256), tokenizer)
    found = figures(engine, asked, truth)
    assert all(figure["n"] == 4 for figure in found.values())
    assert {name for name, figure in found.items() if figure["value"] == 1} >= ({
        "gsm8k_strict", "mmlu_strict", "arc_strict", "bfcl_strict", "simpleqa_strict",
        "svamp_strict", *["mbpp_strict"] * sandbox} if assistant else set())
    assert {"gsm8k_lenient", "mbpp_strict", "bfcl_lenient", "simpleqa_declined",
            "mmlu_strict" if assistant else "mmlu_raw",
            "arc_lenient" if assistant else "arc_per_byte"} <= found.keys()
