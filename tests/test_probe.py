"""What a model does not know: the questions, the judges, the conversations that come of them."""

import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import pytest

from csrc.config import Config
from csrc import cli
from data import probe as command
from data.chat import protocol
from data.tokens import bpe, learn
from data.exams.formats import Question
from data.exams.marks import declines
from data.pocket import probe, text
from data.pocket.exams import examined
from data.pocket.probe import (ELSEWHERE, ModelJudge, Probed, WorldJudge, conversations,
                               decline, sort, strangers)
from data.pocket.text import plain
from data.pocket.world import World
from data.pocket.facts import places
from data.pocket.grammar import Dice, say
from folders import random_model
from csrc.engine import Sampling

REAL = ROOT.parent / "shared" / "real" / "text" / "c4_demo.jsonl"
SAMPLED = Sampling(temperature=1, max_tokens=8, seed=0)


@pytest.fixture(scope="module")
def judge():
    return WorldJudge(seed=3)


@pytest.fixture(scope="module")
def questions(judge):
    return judge.choose(600)


class Assistant:
    """Stands where an Engine does: says what `reply(prompt, index)` does; None has no room."""

    def __init__(self, reply):
        self.reply, self.asked = reply, []

    def turn(self, messages, index):
        prompt = messages[-1]["content"]
        self.asked.append(prompt)
        if (reply := self.reply(prompt, index)) is None:
            raise protocol.NoRoom("no room")
        return SimpleNamespace(finish="stop", messages=[{"role": "assistant", "content": reply}])

    def generate(self, sequences):
        yield from ((sequence, 0, "", None) for sequence in sequences)


@pytest.fixture(autouse=True)
def an_assistant_says_its_replies(monkeypatch):
    turn = probe.turn.Turn
    monkeypatch.setattr(probe.turn, "Turn", lambda engine, messages, settings, index=0: (
        engine.turn(messages, index) if isinstance(engine, Assistant)
        else turn(engine, messages, settings, index)))


def who_knows(questions, *fames):
    """An assistant that knows all about some classes and makes up the rest."""
    truth = {question.prompt: question.worked for question in questions if question.exam in fames}
    return Assistant(lambda prompt, index: truth.get(prompt, "It was in 1066, in Atlantis."))


# -------------------------------------------------------------------------------- the pocket world

def test_no_question_or_answer_names_what_only_exams_name(questions):
    world = World()
    hidden = {str(thing).casefold() for thing in world.things
              if thing.fame != "many" and examined(str(thing))}
    hidden |= {str(person).casefold() for person in world.unasked}
    assert len(hidden) > 200
    for question in questions:
        said = f"{question.prompt} {question.worked}".casefold()
        named = [name for name in hidden if places(said, name)]
        assert question.exam == ELSEWHERE or not named, (said, named)


def test_no_question_is_worded_as_an_exam(judge):
    thing = next(t for t in judge.things["many"] if type(t).__name__ == "Person")
    for relation, templates in text.wordings("exam")["person"].items():
        exams = [plain(say(Dice(0), template, {"p": thing})) for template in templates]
        for question in judge.questions(thing):
            assert not any(exam in plain(question.prompt) for exam in exams), question.prompt


def test_every_class_is_asked_about_in_its_share(questions):
    counts = Counter(question.exam for question in questions)
    assert counts == {"many": 180, "tens": 60, "few": 30, "one": 30, "none": 120, ELSEWHERE: 180}


def test_things_of_other_worlds_are_many_and_have_names_that_this_one_has_not(judge, questions):
    taken = World().taken
    names = {question.truth["subject"] for question in questions if question.exam == ELSEWHERE}
    assert len(names) > 170 and not names & taken
    assert not WorldJudge(worlds=0).things[ELSEWHERE]
    assert Counter(q.exam for q in WorldJudge(worlds=0).choose(100))["none"] == 50


def test_half_of_the_strangers_have_names_that_begin_as_known_ones_do():
    home = World()
    given = {person.name.split()[0] for person in home.people if person.fame != "none"}
    people = strangers(home, 1000).people
    assert 0.35 < sum(person.name.split()[0] in given for person in people) / len(people) < 0.65
    assert {dish.name.split()[0] for dish in strangers(home, 1000).dishes} & {
        dish.name.split()[0] for dish in home.dishes}
    assert [*map(str, people)] == [*map(str, strangers(World(), 1000).people)]


def test_the_true_answers_are_right_and_those_that_decline_decline(judge, questions):
    dice = Dice(0)
    for question in questions:
        right = "wrong" if question.truth["unread"] else "right"
        assert judge.judge(question, question.worked) == right, question
        for _ in range(4):
            said = decline(dice, question.truth)
            assert judge.judge(question, said) == "declined", said
            assert said[-1] == "." and "{" not in said and said[0].isupper()


def test_only_what_no_page_names_is_said_to_be_unread(questions):
    dice, said = Dice(0), Counter()
    for question in questions:
        for _ in range(20):
            if "read nothing" in decline(dice, question.truth):
                said[question.truth["unread"]] += 1
    assert said[True] > 100 and not said[False]


def test_the_plain_ways_to_decline_decline():
    assert all(map(declines, text.lines("decline", "unknown", "plain")))


def test_the_same_seed_asks_the_same_whatever_the_hash_seed():
    code = ("from data.pocket.probe import WorldJudge; import hashlib; "
            "print(hashlib.sha256(repr(WorldJudge(1, 2).choose(200)).encode()).hexdigest())")
    hashes = {subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                             check=True, env={**os.environ, "PYTHONHASHSEED": seed}).stdout
              for seed in ("0", "7")}
    assert len(hashes) == 1
    prompts = [[q.prompt for q in WorldJudge(seed, 1).choose(60)] for seed in (1, 2)]
    assert prompts[0] != prompts[1]


# -------------------------------------------------------------------------------------- the probe

def test_each_question_is_asked_several_times_each_with_its_own_chance(judge, questions):
    seen = []
    assistant = Assistant(lambda prompt, index: seen.append((prompt, index)) or "?")
    probe.probe(assistant, judge, questions[:5], 3, SAMPLED, Counter())
    assert seen == [(q.prompt, 3 * k + i) for k, q in enumerate(questions[:5]) for i in range(3)]


def test_what_it_knows_it_tells_and_what_it_does_not_it_declines(judge, questions):
    assistant = who_knows(questions, "many")
    probed = probe.probe(assistant, judge, questions, 2, SAMPLED, Counter())
    found = sort(probed)
    assert {one.question.exam for one in found["known"]} == {"many"} and not found["between"]
    assert len(found["known"]) == 180
    told = conversations(Dice(0), probed, 0.5)
    assert len(told) == 360 and sum(record["known"] for record in told) == 180
    for record in told:
        user, assistant = record["messages"]
        assert (user["role"], assistant["role"]) == ("user", "assistant")
        assert protocol.normal(record["messages"]) == record["messages"]
        assert record["kind"] == "probe" and record["known"] in (0, 1)
        assert declines(assistant["content"]) == (record["known"] == 0)
        if record["known"]:
            assert assistant["content"] in {q.worked for q in questions
                                            if q.id == record["question_of"]}


@pytest.mark.parametrize("right, name", [(0, "unknown"), (1, "unknown"), (2, "between"),
                                         (3, "between"), (4, "known"), (6, "known")])
def test_it_knows_what_it_says_more_often_than_not(judge, questions, right, name):
    question = questions[0]
    assistant = Assistant(lambda prompt, index: question.worked if index < right else "In 1066.")
    probed = probe.probe(assistant, judge, [question], 6, SAMPLED, Counter())
    assert probed[0].known == right / 6
    assert len(sort(probed)[name if right != 2 else "unknown"]) == 1    # 2 of 6 is a third
    assert len(conversations(Dice(0), probed, 1)) == (name == "unknown" or right == 2)


def plain_probed(known, unknown):
    question = Question("documents", "1", "text", "Who?", {}, "Ada.")
    return [Probed(question, Counter(right=3))] * known + [Probed(question, Counter(wrong=3))] * \
        unknown


@pytest.mark.parametrize("known, unknown, share, told, declined", [
    (30, 10, 0.5, 20, 10), (10, 30, 0.5, 20, 10), (30, 10, 0.25, 40, 10), (30, 10, 1, 10, 10),
    (30, 10, 0, 30, 0), (0, 10, 0.5, 0, 0), (10, 0, 0.5, 0, 0), (0, 0, 0.3, 0, 0)])
def test_a_share_of_the_conversations_declines(known, unknown, share, told, declined):
    records = conversations(Dice(0), plain_probed(known, unknown), share)
    assert len(records) == told
    assert sum(declines(record["messages"][1]["content"]) for record in records) == declined


def test_what_it_has_read_is_declined_last(questions):
    told = conversations(Dice(0), [Probed(q, Counter(wrong=3)) for q in questions] +
                         plain_probed(10, 0), 0.9)
    unread = {q.id for q in questions if q.truth["unread"]}
    declined = [record for record in told if not record["known"]]
    assert len(declined) == 90 and all(record["question_of"] in unread for record in declined)


def test_what_declines_already_is_not_known(judge, questions):
    assistant = Assistant(lambda prompt, index: "I do not know.")
    probed = probe.probe(assistant, judge, questions[:20], 3, SAMPLED, Counter())
    assert all(one.verdicts == {"declined": 3} for one in probed)
    assert len(sort(probed)["unknown"]) == 20


def test_a_question_that_does_not_fit_is_left_out_and_counted(judge, questions):
    assistant = Assistant(lambda prompt, index: None if prompt == questions[1].prompt else "?")
    failed = Counter()
    probed = probe.probe(assistant, judge, questions[:3], 2, SAMPLED, failed)
    assert [one.question for one in probed] == [questions[0], questions[2]]
    assert [*failed.values()] == [2] and "does not fit" in [*failed][0]


def run(monkeypatch, capsys, assistant, *argv):
    """Run the script with an assistant; return what it prints."""
    monkeypatch.setattr(probe, "load", lambda folder: assistant)
    dispatch(["--model", __file__, *map(str, argv)])
    return capsys.readouterr().out


def dispatch(argv):
    """Run the script."""
    cli.dispatch("", {"probe": (command.Probe, command.main)}, argv)


def test_the_script_tells_the_counts_and_writes_the_conversations(monkeypatch, capsys, tmp_path):
    args = "--count", 200, "--seed", 5, "--worlds", 2, "--out"
    known = who_knows(WorldJudge(5, 2).choose(200), "many", "tens")
    out = run(monkeypatch, capsys, known, *args, tmp_path / "a.jsonl")
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()[1:]}
    #                       asked  right  wrong  declined known between unknown
    assert rows["many"] == ["60", "100%", "0%", "0%", "60", "0", "0"]
    assert rows["none"] == ["40", "0%", "100%", "0%", "0", "0", "40"]
    assert out.splitlines()[-1].endswith("a.jsonl: 185 conversations")
    run(monkeypatch, capsys, known, *args, tmp_path / "b.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    records = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert {*records[0]} == {"messages", "kind", "known", "question_of"}


def test_where_no_conversation_comes_of_it_the_old_file_stays(monkeypatch, capsys, tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_text("old")
    with pytest.raises(ValueError, match=r"--declining"):
        run(monkeypatch, capsys, Assistant(lambda *_: "In 1066."), "--count", 50, "--out", out,
            "--declining", 0)
    assert out.read_text() == "old" and [*tmp_path.iterdir()] == [out]


def test_a_model_that_knows_nothing_is_told_to_decline(monkeypatch, capsys, tmp_path):
    said = run(monkeypatch, capsys, Assistant(lambda *_: "In 1066."), "--count", 50,
               "--out", tmp_path / "out.jsonl")
    unknown = re.search(r"\(0 known, 0 between, (\d+) unknown\): they all decline", said)[1]
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(records) == int(unknown) > 40
    assert all(declines(record["messages"][1]["content"]) for record in records)


@pytest.mark.parametrize("declining, told", [(0.5, 10), (0, 10), (1, 0)])
def test_one_that_knows_all_is_told_the_answers(declining, told):
    settings = command.Probe(Path("out.jsonl"), declining=declining)
    if told:
        made = command.told(settings, plain_probed(10, 0))
        assert [one["messages"][1]["content"] for one in made] == ["Ada."] * told
    else:
        with pytest.raises(ValueError, match="10 known"):
            command.told(settings, plain_probed(10, 0))


# ------------------------------------------------------------------------------ a model as a judge

PAGE = "Ada Lund (1815 to 1852) was a baker in Oz."
MADE = "Q: When was Ada Lund born?\nA: 1815\nQ: What was Ada Lund?\nA: A baker"


@pytest.fixture
def server():
    """An HTTP server that answers what `server.answer(prompt)` returns: text, or (status, bytes),
    or a URL to go to; server.seen has its requests."""
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.seen.append((self.path, dict(self.headers), body))
            said = served.answer(body["messages"][0]["content"])
            if isinstance(said, str):
                message = {"role": "assistant", "content": said}
                said = 200, json.dumps({"choices": [{"message": message}]}).encode()
            self.send_response(said[0])
            if said[0] == 302:
                self.send_header("Location", said[1].decode())
            self.end_headers()
            self.wfile.write(said[1])

        def do_GET(self):
            served.seen.append((self.path, dict(self.headers), None))
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_):
            pass

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.seen, served.url = [], f"http://127.0.0.1:{served.server_port}/v1"
    thread = threading.Thread(target=served.serve_forever, args=(0.01,))
    thread.start()
    yield served
    served.shutdown()
    thread.join()
    served.server_close()


def judging(prompt):
    """What a good judge says."""
    if "Write 4 questions" in prompt:
        return MADE
    answer, reply = (line.partition(": ")[2] for line in prompt.splitlines()[1:3])
    return "right" if answer in reply else "Declined." if "not know" in reply else " WRONG\n"


def test_a_server_makes_questions_and_judges(server, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", "secret\n")
    server.answer = judging
    page = tmp_path / "page.txt"
    page.write_text(PAGE)
    assistant = Assistant(lambda prompt, index: "In 1815." if "born" in prompt else "A cook.")
    out = run(monkeypatch, capsys, assistant, "--data", page, "--judge", server.url,
              "--judge-model", "tiny", "--times", 2, "--out", tmp_path / "out.jsonl")
    assert "documents" in out
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    told = {record["messages"][0]["content"]: record["messages"][1]["content"]
            for record in records}
    assert told["When was Ada Lund born?"] == "1815" and declines(told["What was Ada Lund?"])
    path, headers, body = server.seen[0]
    assert path == "/v1/chat/completions" and headers["Authorization"] == "Bearer secret"
    assert body["model"] == "tiny" and PAGE in body["messages"][0]["content"]
    assert len(server.seen) == 1 + 4


def test_real_pages_are_probed(server, monkeypatch, capsys, tmp_path):
    if not REAL.exists():
        pytest.skip(f"there are no real pages: {REAL}")
    pages = iter(range(10**6))
    server.answer = lambda prompt: f"Q: What is on page {next(pages)}?\nA: Text" \
        if "Write 4" in prompt else "wrong"
    run(monkeypatch, capsys, Assistant(lambda *_: "Pictures."), "--data", REAL, "--judge",
        server.url, "--count", 20, "--declining", 1, "--out", tmp_path / "out.jsonl")
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(records) == 20
    assert all(declines(record["messages"][1]["content"]) for record in records)


@pytest.mark.parametrize("said, error", [
    ((500, b"oops"), OSError), ((200, b"<html>"), ValueError), ((200, b"[" * 10**5), ValueError),
    ((200, b'{"choices": []}'), ValueError), ((200, b"7"), ValueError), ((200, b""), ValueError),
    ((200, b'{"choices": [{"message": {"content": null}}]}'), ValueError),
    ((200, b'{"choices": [{"message": {"content": "\\ud800"}}]}'), ValueError)])
def test_a_server_that_answers_anything_else_is_an_error_with_its_url(server, said, error):
    server.answer = lambda prompt: said
    with pytest.raises(error, match="http://127.0.0.1:"):
        probe.server(server.url)("Who?")


def test_the_key_goes_to_no_other_server(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    server.answer = lambda prompt: (302, server.url.encode() + b"/elsewhere")
    with pytest.raises(OSError):
        probe.server(server.url)("Who?")
    (_, first, _), (path, second, _) = server.seen
    assert path.endswith("/elsewhere")
    assert "Authorization" in first and "Authorization" not in second


@pytest.mark.parametrize("said", ["", "Q: Who?", "A: Ada\nQ: Who?", "Sure!\n" + MADE, "Q:\nA:",
                                  "Q: Who?\nA:\n", "Q: a\nA: b\nA: c", MADE + "\nI hope it helps"])
def test_questions_in_another_form_are_refused(said):
    def tell(prompt):
        return said

    with pytest.raises(ValueError, match="form"):
        ModelJudge(tell).questions(PAGE)


def test_verdicts_that_are_none_are_counted_and_their_replies_left_out(server):
    server.answer = lambda prompt: "right" if "Reply: b" in prompt else "It is right, I think."
    assistant = Assistant(lambda prompt, index: "ab"[index % 2])
    question, failed = Question("documents", "1", "text", "Who?", {}, "Ada"), Counter()
    judge = ModelJudge(probe.server(server.url))
    one, = probe.probe(assistant, judge, [question], 4, SAMPLED, failed)
    assert one.verdicts == {"right": 2} and one.known == 1
    assert failed.total() == 2 and "verdict is none of" in [*failed][0]


def test_a_judge_of_nonsense_ends_in_one_sentence(server, monkeypatch, capsys, tmp_path):
    page = tmp_path / "pages.jsonl"
    page.write_text((json.dumps({"text": PAGE}) + "\n") * 2)
    server.answer = lambda prompt: "Nonsense."
    args = "--data", page, "--judge", server.url, "--out", tmp_path / "out.jsonl"
    with pytest.raises(ValueError, match="no question of 2 documents; 2 times: the judge's"):
        run(monkeypatch, capsys, Assistant(lambda *_: "?"), *args)
    server.answer = lambda prompt: MADE if "Write" in prompt else "Nonsense."
    with pytest.raises(ValueError, match="no verdict on any reply; 12 times: the judge's verdict"):
        run(monkeypatch, capsys, Assistant(lambda *_: "?"), *args)


def test_a_server_that_is_not_there_is_one_sentence_soon(monkeypatch, capsys, tmp_path):
    page = tmp_path / "pages.jsonl"
    page.write_text((json.dumps({"text": PAGE}) + "\n") * 500)
    with pytest.raises(ValueError, match=r"16 documents; 16 times: http://127.*Connection refused"):
        run(monkeypatch, capsys, Assistant(lambda *_: "?"), "--data", page, "--judge",
            "http://127.0.0.1:9", "--out", tmp_path / "out.jsonl")


# -------------------------------------------------------------------------------- our own engine

@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny random model that could chat."""
    tokenizer = bpe.learn(learn.count_chunks(["the cat sat on the mat. " * 8]), 256 + 32 + 10)
    model = random_model(Config(vocab=tokenizer.vocab_size, context=512, layers=1, channels=16,
                                heads=2, kv_heads=2, head_dim=8, hidden=16))
    path = tmp_path_factory.mktemp("model")
    model.save(path)
    tokenizer.save(path)
    return path


def test_a_random_model_is_probed_and_knows_nothing(folder, judge, questions):
    failed, long = Counter(), Question("many", "1", "fact", "Who? " * 500, {}, "Ada")
    probed = probe.probe(probe.load(folder), judge, [*questions[:4], long], 2, SAMPLED, failed)
    assert [one.known for one in probed] == [0] * 4 and [*failed.values()] == [2]


def test_a_random_model_is_no_judge(folder, monkeypatch):
    monkeypatch.setattr(probe, "JUDGED", 8)
    local = ModelJudge(probe.local(folder))
    with pytest.raises(ValueError, match="form"):
        local.questions("A page.")
    with pytest.raises(ValueError, match="verdict"):
        local.judge(Question("documents", "1", "text", "Who?", {}, "Ada"), "Bo")
    with pytest.raises(ValueError, match="does not fit the judge's context of 512 tokens"):
        local.questions("A page. " * 600)


def test_a_model_without_chatml_is_refused(monkeypatch):
    bare = SimpleNamespace(tokenizer=SimpleNamespace(specials={}))
    monkeypatch.setattr(probe.turn, "load", lambda folder: bare)
    with pytest.raises(ValueError, match="runs/gpt2: its tokenizer has no ChatML tokens"):
        probe.load("runs/gpt2")


# ----------------------------------------------------------------------------------- wrong input

@pytest.mark.parametrize("argv, said", [
    (["--times", "0"], "--times is 0, but must be in [1, 1000]"),
    (["--count", "0"], "--count is 0"),
    (["--declining", "1.5"], "--declining is 1.5"), (["--declining", "nan"], "--declining is nan"),
    (["--temperature", "-1"], "temperature is -1.0"), (["--worlds", "-1"], "--worlds is -1"),
    (["--data", "pages.txt"], "pages.txt, name a model's folder or a URL"),
    (["--model", "no/such/folder"], "no/such/folder"), (["--out", "."], "must name a file"),
    (["--data", "no/such.txt", "--judge", "http://127.0.0.1:9"], "no/such.txt")])
def test_wrong_input_is_one_sentence(argv, said, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    if "--model" not in argv:
        monkeypatch.setattr(probe, "load", lambda folder: Assistant(lambda *_: "?"))
        argv = ["--model", __file__, *argv]
    with pytest.raises((ValueError, OSError)) as error:
        dispatch(argv if "--out" in argv else ["--out", "out.jsonl", *argv])
    assert said in str(error.value) and "\n" not in str(error.value)
    assert not [*tmp_path.iterdir()]
