"""data/chat/threads.py and page.py: chats that stay, and the routes by which a page reads them."""

import base64
import hashlib
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from csrc.files import ChatError
from data.chat import formats, page, protocol, tools
from data.chat.server import Worker
from data.chat.threads import VERSIONS, Missing, Threads
from data.chat.turn import talk_of
from infer import Serve
from test_server import Running, place, until  # noqa: F401  (fixtures)
from test_turn import LOOK, RUN, engine, random_model, tokenizer  # noqa: F401

TALK = [("user", "Where is the Café?"), ("assistant", "In **Rome**."), ("user", "And the inn?")]


@pytest.fixture
def threads(tmp_path):
    one = Threads(tmp_path / "chats.db")
    yield one
    one.close()


def filled(threads, talk=TALK, **settings):
    """A thread with these messages, and their ids."""
    thread, ids = threads.create(settings), [None]
    for role, content in talk:
        ids.append(threads.add(thread, ids[-1], role, content))
    return thread, ids[1:]


# ---- What is kept

def test_messages_are_a_tree_and_the_newest_is_its_head(threads):
    thread, (first, answer, last) = filled(threads)
    edited = threads.add(thread, answer, "user", "And the port?")
    found = threads.read(thread)
    assert found["head"] == edited and found["title"] == "Where is the Café?"
    assert [one["content"] for one in threads.path_to(thread, edited)] \
        == ["Where is the Café?", "In **Rome**.", "And the port?"]
    assert [one["parent"] for one in found["messages"]] == [None, first, answer, answer]
    threads.change(thread, head=last, title="Places")
    assert (threads.read(thread)["head"], threads.read(thread)["title"]) == (last, "Places")


def test_tokens_outlive_a_kill(tmp_path):
    program = """
import os, sys
from data.chat.threads import Threads
threads = Threads(sys.argv[1])
thread = threads.create({})
answer = threads.add(thread, threads.add(thread, None, "user", "Hi"), "assistant", "", finish=None)
for i in range(100):
    threads.append(answer, f"{i} ", "hm", [{"id": i}])
print(thread, answer, flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "chats.db"], text=True,
                          capture_output=True)
    assert done.returncode == -9, done.stderr
    thread, answer = done.stdout.split()
    threads = Threads(tmp_path / "chats.db")
    message = threads.read(thread)["messages"][-1]
    assert message["content"] == "".join(f"{i} " for i in range(100)) and message["finish"] is None
    assert message["thought"] == "hm" * 100
    assert threads.tokens(thread, int(answer)) == [{"id": i} for i in range(100)]
    assert [one["id"] for one in threads.list("98 99")] == [thread]
    threads.close()


def test_threads_are_found_by_words_of_their_titles_and_messages(threads):
    first, _ = filled(threads)
    other, (_, answer) = filled(threads, [("user", "Tell \"me\" AND more"), ("assistant", "ok")])
    threads.append(answer, " lighthouse", "", [])
    assert threads.list("lighthouse") == []
    threads.end(answer, "stop")
    for query, found in [("cafe rom", [first]), ("lightho", [other]), ("", [other, first]),
                         ("\"me\" AND", [other]), ("nothing", []), ("* ( NEAR", []),
                         ("where", [first])]:
        assert [one["id"] for one in threads.list(query)] == found, query
    assert "Rome" in threads.list("rome")[0]["excerpt"]
    threads.delete(first)
    assert threads.list("rome") == []
    with pytest.raises(Missing, match="no such thread"):
        threads.read(first)


def test_an_answer_whose_thread_is_deleted_says_so(threads):
    thread, (*_, last) = filled(threads)
    answer = threads.add(thread, last, "assistant", "", finish=None)
    threads.append(answer, "a", "", [1])
    threads.delete(thread)
    with pytest.raises(Missing, match="deleted while"):
        threads.append(answer, "b", "", [2])
    with threads.transaction() as execute:
        assert execute("SELECT count(*) FROM pieces").fetchone()[0] == 0


def test_messages_of_other_threads_are_not_there(threads):
    thread, ids = filled(threads)
    other = threads.create({})
    for wrong in (lambda: threads.add(other, ids[0], "user", "x"),
                  lambda: threads.change(other, head=ids[0]),
                  lambda: threads.tokens(other, ids[0]), lambda: threads.vote(other, ids[0], 1)):
        with pytest.raises(Missing, match=f"no message {ids[0]}"):
            wrong()
    for wrong in (lambda: threads.delete("x"), lambda: threads.change("x", title="y")):
        with pytest.raises(Missing, match="no such thread"):
            wrong()


# ---- Export

@pytest.mark.parametrize("form", ["openai", "sharegpt"])
def test_what_is_exported_can_be_trained_on(threads, tmp_path, form):
    thread, ids = filled(threads, [*TALK, ("assistant", "<|im_end|> — yes")], system="Be brief.")
    threads.append(ids[1], "", "Rome it is", [])
    filled(threads, TALK[:1])                    # without an answer: nothing to learn
    file = tmp_path / "chats.jsonl"
    file.write_text("".join(threads.export(form)))
    talk, = formats.read(file)
    assert talk["messages"] == [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": TALK[0][1]},
        {"role": "assistant", "content": TALK[1][1], "reasoning_content": "Rome it is"},
        {"role": "user", "content": TALK[2][1]},
        {"role": "assistant", "content": "<|im_end|> — yes"}]
    assert len([*threads.export(form, thread)]) == 1


def test_votes_are_pairs_of_a_chosen_and_a_rejected_answer(threads, tmp_path):
    thread, (first, answer, _) = filled(threads)
    other = threads.add(thread, first, "assistant", "In Paris.")
    threads.vote(thread, other, -1)
    assert [*threads.export("preferences")] == []
    threads.vote(thread, answer, 1)
    same = threads.add(thread, first, "assistant", "In **Rome**.")
    threads.vote(thread, same, -1)               # nothing is learned from two equal ones
    line, = threads.export("preferences")
    assert json.loads(line) == {
        "prompt": [{"role": "user", "content": TALK[0][1]}],
        "chosen": [{"role": "assistant", "content": TALK[1][1]}],
        "rejected": [{"role": "assistant", "content": "In Paris."}]}
    (tmp_path / "pairs.jsonl").write_text(line)
    talk, = formats.read(tmp_path / "pairs.jsonl")
    assert talk["messages"][-1]["content"] == TALK[1][1]


def test_files_stand_before_the_question(threads):
    thread = threads.create({})
    threads.add(thread, None, "user", "Sum it up", [{"name": "a.csv", "text": "x,y"}])
    line, = threads.export("openai")
    assert json.loads(line)["messages"][0]["content"] == "a.csv:\n```\nx,y\n```\n\nSum it up"
    assert "".join(threads.export("markdown")).startswith("# Sum it up\n\n**User**\n\na.csv:")


CALL = {"name": "python", "text": "6 * 7 < 50", "said": 5, "thought": 2, "result": "True",
        "figures": []}


@pytest.mark.parametrize("form", ["openai", "sharegpt"])
def test_calls_of_tools_are_exported_as_they_are_trained_on(threads, tmp_path, form):
    thread, (_, answer) = filled(threads, [("user", "Is it?"), ("assistant", "So: \u2713")],
                                 tools=["python"])
    threads.append(answer, " it is.", "Hm", [], [CALL])
    threads.add(thread, answer, "user", "Sure?")
    (tmp_path / "chats.jsonl").write_text("".join(threads.export(form)))
    talk, = formats.read(tmp_path / "chats.jsonl")
    system, _, call, result, said, _ = talk["messages"]
    assert system["content"] == protocol.OFFERS["python"]
    assert (call["content"], call["reasoning_content"]) == ("So: \u2713", "Hm")
    assert json.loads(call["tool_calls"][0]["function"]["arguments"]) == {"code": "6 * 7 < 50"}
    assert (result["content"], said["content"].strip()) == ("True", "it is.")
    assert "6 * 7 < 50" in "".join(threads.export("markdown"))


def test_what_is_kept_for_all_chats(threads):
    note = threads.keep("note", {"text": "I like tea"})
    assert threads.keep("note", {"text": "I like tea"}) != note      # told again: once, the newest
    first = threads.keep("instructions", {"text": "Be brief"})
    assert threads.keep("instructions", {"text": "Be kind"}) == first
    one = threads.keep("assistant", {"name": "Poet", "instructions": "", "tools": []})
    threads.keep("assistant", {"name": "Bard", "instructions": "", "tools": []}, one)
    kept = threads.kept()
    assert [one["text"] for one in kept["note"] + kept["instructions"]] == ["I like tea", "Be kind"]
    assert [(one["id"], one["name"]) for one in kept["assistant"]] == [(one, "Bard")]
    threads.forget(one)
    with pytest.raises(Missing, match=f"nothing is kept as {one}"):
        threads.forget(one)


def test_a_file_of_an_older_version_is_carried_on_and_one_of_a_newer_left(tmp_path):
    base = sqlite3.connect(tmp_path / "chats.db")
    base.executescript(VERSIONS[0])
    base.execute("INSERT INTO threads VALUES ('abc', 'Old', 1, '{}', 0, 0)")
    base.execute("INSERT INTO messages VALUES (1, 'abc', NULL, 'user', 'Hi', '', '[]', NULL, "
                 "'stop', 0, 0)")
    base.commit()
    base.close()
    threads = Threads(tmp_path / "chats.db")
    assert threads.read("abc")["messages"][0]["calls"] == [] and threads.list("hi")
    threads.base.execute("PRAGMA user_version = 99")
    threads.close()
    with pytest.raises(ChatError, match="a newer version"):
        Threads(tmp_path / "chats.db")


def test_a_full_disk_is_said_and_what_there_was_stays(threads):
    thread, ids = filled(threads)
    size, = threads.base.execute("PRAGMA page_count").fetchone()
    threads.base.execute(f"PRAGMA max_page_count = {size}")
    with pytest.raises(ChatError, match="chats.db: the disk is full .*: make room"):
        for _ in range(99):
            threads.append(ids[1], "x" * 4096, "", [])
    threads.base.execute(f"PRAGMA max_page_count = {size + 999}")
    assert threads.read(thread)["messages"][1]["content"].startswith("In **Rome**.")
    threads.append(ids[1], "!", "", [])


# ---- Wrong files

@pytest.mark.parametrize("damage", ["text", "torn", "foreign", "folder"])
def test_a_file_that_is_no_such_database_is_left_as_it_is(tmp_path, damage):
    path = tmp_path / "chats.db"
    if damage == "text":
        path.write_text("my diary\n" * 1000)
    elif damage == "torn":
        threads = Threads(path)
        filled(threads, [("user", "x" * 500)] * 40)
        threads.close()
        data = bytearray(path.read_bytes())
        data[4096:5 * 4096] = os.urandom(4 * 4096)
        path.write_bytes(data)
    elif damage == "foreign":
        base = sqlite3.connect(path)
        base.execute("CREATE TABLE diary (day)")
        base.commit()
        base.close()
    else:
        path.mkdir()
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(ChatError, match="chats.db: cannot be used for chats .* nothing in it was "
                                        "changed: move it away, or name another with --threads"):
        Threads(path)
    assert before is None or path.read_bytes() == before


def test_half_a_surrogate_pair_is_no_text(threads):
    with pytest.raises(ChatError, match="half of a surrogate"):
        threads.add(threads.create({}), None, "user", "\ud800")


# ---- Routes

@pytest.fixture(scope="module")
def running(place, tmp_path_factory):  # noqa: F811
    settings = Serve(model=[str(place)], dtype="f32", device="cpu")
    routes = page.routes(tmp_path_factory.mktemp("chats") / "chats.db")
    one = Running(settings, routes)
    one.page = routes[0].endpoint.__self__
    yield one
    one.close()


def asked(running, question="Where?", **settings):
    """(the path of a new thread, its first message)."""
    at = f"/threads/{running.ask('/threads', {'settings': settings})[1]['id']}"
    return at, running.ask(f"{at}/messages", {"content": question})[1]["id"]


def answered(running, at, **body):
    """(the first event, the tokens, the last event) of an answer."""
    link = running.open(f"{at}/answer", {"max_tokens": 9, "seed": 3, **body})
    answer = link.getresponse()
    text = answer.read().decode()
    link.close()
    assert answer.status == 200, text
    first, *events, last = [json.loads(line.removeprefix("data: "))
                            for line in text.split("\n\n") if line]
    return first, [token for event in events for token in event["tokens"]], last


def said(tokens):
    """The text and the thoughts of tokens."""
    return tuple("".join(one["text"] for one in tokens if one["kind"] == kind)
                 for kind in ("text", "think"))


def test_an_answer_is_sent_and_stored(running):
    at, message = asked(running, system="Be brief.")
    first, tokens, last = answered(running, at, parent=message, top=3)
    assert last == {"finish": "length"} and len(tokens) == 9 and first["context"] == 256
    assert all(len(one["top"]) == 3 and 0 < one["p"] <= 1 for one in tokens)
    until(lambda: running.ask(at)[1]["messages"][-1]["finish"])
    found = running.ask(at)[1]
    answer = found["messages"][-1]
    assert found["head"] == answer["id"] == first["message"] and answer["parent"] == message
    assert (answer["content"], answer["thought"]) == said(tokens)
    seen = running.ask(f"{at}/tokens", {"message": answer["id"]})[1]
    assert seen["answer"] == tokens and len(seen["prompt"]) == first["prompt"]
    assert "Be brief." in "".join(one["raw"] for one in seen["prompt"])
    assert [one["raw"] for one in seen["prompt"] if "special" in one][:2] \
        == ["<|endoftext|>", "<|im_start|>"]


def test_another_answer_with_the_same_seed_is_another(running):
    at, message = asked(running)
    says = [said(answered(running, at, parent=message, temperature=3)[1]) for _ in range(2)]
    other, message = asked(running)
    assert says[0] == said(answered(running, other, parent=message, temperature=3)[1]) != says[1]


def test_an_answer_goes_on_where_it_was_stopped_and_elsewhere_with_another_token(running):
    at, message = asked(running)
    _, whole, _ = answered(running, at, parent=message, temperature=0, max_tokens=12)
    first, begun, _ = answered(running, at, parent=message, temperature=0, max_tokens=5)
    again, more, _ = answered(running, at, **{"from": first["message"]}, temperature=0,
                              max_tokens=7)
    assert again["message"] == first["message"] and begun + more == whole
    assert running.ask(f"{at}/tokens", {"message": first["message"]})[1]["answer"] == whole
    other, rest, _ = answered(running, at, **{"from": first["message"]}, keep=3, token=ord("Z"),
                              temperature=0, max_tokens=4)
    assert other["message"] != first["message"]
    found = running.ask(f"{at}/tokens", {"message": other["message"]})[1]["answer"]
    assert found[:3] == whole[:3] and found[3]["raw"] == "Z" and found[4:] == rest
    messages = {one["id"]: one for one in running.ask(at)[1]["messages"]}
    assert messages[other["message"]]["content"] == said(found)[0]
    assert messages[other["message"]]["parent"] == message


def test_a_client_that_goes_away_leaves_what_was_drawn(running, monkeypatch):
    at, message = asked(running)
    worker = running.workers["small"]
    draw = worker.engine.model.draw
    monkeypatch.setattr(worker.engine.model, "draw", lambda *a: [time.sleep(0.02), draw(*a)][1])
    link = running.open(f"{at}/answer", {"parent": message, "temperature": 3})
    answer = link.getresponse()
    assert b"tokens" in answer.readline() + answer.readline() + answer.readline()
    link.sock.shutdown(socket.SHUT_RDWR)
    link.close()
    until(lambda: worker.size == 0)
    until(lambda: running.ask(at)[1]["messages"][-1]["finish"])
    found = running.ask(at)[1]["messages"][-1]
    tokens = running.ask(f"{at}/tokens", {"message": found["id"]})[1]["answer"]
    assert found["finish"] == "stopped" and 1 <= len(tokens) < 150
    assert (found["content"], found["thought"]) == said(tokens)


@pytest.fixture
def scripted(running, tokenizer, monkeypatch):  # noqa: F811
    """Let the server have a model "said" that says what is given, and tools that find and run."""
    known = {"search": tools.Tool(lambda text: tools.Result(f"[1] https://e.org/{text}"), None),
             "python": tools.Tool(lambda text: tools.Result("42", (b"\x89PNG",)), None)}
    monkeypatch.setattr(running.page, "known", lambda budget: known)
    models = running.guard.app.state.models

    def says(*texts):
        models.places["said"] = None
        one = engine(tokenizer, *texts, context=900)
        draw = one.model.draw
        one.model.draw = lambda *a, **how: (draw(*a)[0], [0.0] * len(a[0]), None)
        models.workers["said"] = Worker(one)
        return known
    yield says
    models.workers.pop("said", None)
    models.places.pop("said", None)


def test_a_turn_with_tools_is_told_stored_and_made_again(running, scripted):
    scripted("<think>Hm.</think>I look. " + LOOK + "So " + RUN + "it is 42.")
    at, message = asked(running, tools=["search", "python"])
    said_by = {"model": "said", "temperature": 0, "max_tokens": 200}
    first, told, last = answered(running, at, parent=message, **said_by)
    until(lambda: running.ask(at)[1]["messages"][-1]["finish"])
    answer = running.ask(at)[1]["messages"][-1]
    assert last == {"finish": "stop"} and answer["content"] == "I look. So it is 42."
    assert [(one["name"], one["text"], one["said"], one["thought"], one["result"])
            for one in answer["calls"]] == [("search", "it", 8, 3, "[1] https://e.org/it"),
                                            ("python", "6 * 7", 11, 3, "42")]
    assert answer["calls"][1]["figures"] == [base64.b64encode(b"\x89PNG").decode()]
    seen = running.ask(f"{at}/tokens", {"message": answer["id"], "model": "said"})[1]
    assert seen["answer"] == told
    raw = "".join(one["raw"] for one in told)
    assert "<|result_start|>[1] https://e.org/it<|result_end|>So <|python_start|>" in raw
    assert {one["kind"] for one in told if "p" not in one} == {"result"}
    assert protocol.OFFERS["search"] in "".join(one["raw"] for one in seen["prompt"])
    # what a later turn reads of it is what the model read and wrote
    words = running.workers["said"].engine.tokenizer
    later = talk_of(words).prompt(page.conversation(running.ask(at)[1], answer["id"]))[0]
    assert [*map(int, later)][1 - len(told):] == [one["id"] for one in told][:-1]
    # what if: from a token behind the first call on; its result is not asked for again
    keep = next(i for i, one in enumerate(told) if one["raw"] == "S")
    running.page.known(0)["search"] = tools.Tool(lambda text: 1 / 0, None)
    other, more, _ = answered(running, at, **{"from": answer["id"]}, keep=keep, token=ord("S"),
                              **said_by)
    again = running.ask(f"{at}/tokens", {"message": other["message"], "model": "said"})[1]["answer"]
    assert [one["id"] for one in again] == [one["id"] for one in told]
    until(lambda: running.ask(at)[1]["messages"][-1]["finish"])
    assert running.ask(at)[1]["messages"][-1]["calls"] == answer["calls"]


def test_an_answer_that_is_written_is_written_once(running, scripted, monkeypatch):
    scripted("ab" * 400)
    at, message = asked(running)
    model = running.workers["said"].engine.model
    draw = model.draw
    monkeypatch.setattr(model, "draw", lambda *a, **k: [time.sleep(0.02), draw(*a, **k)][1])
    link = running.open(f"{at}/answer", {"parent": message, "model": "said", "max_tokens": 600})
    stream = link.getresponse()
    first = json.loads(stream.readline().removeprefix(b"data: "))["message"]
    until(lambda: running.ask(at)[1]["growing"] == [first])
    status, said = running.ask(f"{at}/answer", {"from": first, "model": "said"})
    assert status == 409 and "another window" in said["error"]["message"]
    link.sock.shutdown(socket.SHUT_RDWR)
    _, _, last = answered(running, at, **{"from": first}, model="said", max_tokens=700)
    assert last == {"finish": "stop"}            # as soon as the other is gone
    until(lambda: running.ask(at)[1]["growing"] == [])
    assert running.ask(at)[1]["messages"][-1]["content"] == "ab" * 400


def test_a_files_name_is_only_a_name(running):
    path = "/files?model=small&name=..%2F..%2Fetc%2Fpasswd%00%0d%0a%1b[31m.csv"
    status, found = running.ask(path, b"a,b\r\n1,2\r\n")
    assert status == 200 and found["name"] == "../../etc/passwd [31m.csv"
    assert (found["text"], found["count"]) == ("a,b\n1,2\n", 8)
    status, said = running.ask(path, b"x" * (9 << 20))
    assert status == 413 and "over 8388608 bytes" in said["error"]["message"]


def test_tools_that_are_off_say_why(running, scripted):
    running.page.known = page.cache(lambda budget: tools.registry(None, budget))
    found = running.ask("/tools?model=small")[1]
    assert found["search"].startswith("no search index") and found["think"] is None


def test_a_chat_begins_with_instructions_notes_and_an_assistant(running):
    for kind, more in (("instructions", {"text": "Be brief."}), ("note", {"text": "I am Mara."}),
                       ("assistant", {"name": "Poet", "instructions": "Rhyme.",
                                      "tools": ["search"]})):
        status, poet = running.ask("/kept", {"kind": kind, **more})
        assert status == 200
    at, _ = asked(running)
    message = running.ask(f"{at}/messages", {"content": "Hi. Please remember that I like tea."})[1]
    assert message["noted"] == "I like tea."
    assert running.ask(f"{at}/messages", {"content": "Do you remember that?"})[1]["noted"] is None
    made = running.ask("/threads", {"assistant": poet})[1]
    assert made["settings"] == {
        "system": "Be brief.\n\nRhyme.\n\nWhat the user asked you to remember:\n- I am Mara.\n"
                  "- I like tea.", "tools": ["search"], "assistant": "Poet"}
    kept = running.ask("/kept")[1]
    for one in [one for kind in kept.values() for one in kind]:
        assert running.ask(f"/kept/{one['id']}", method="DELETE")[0] == 200
    assert running.ask("/threads", {"assistant": poet})[0] == 404
    for body, words in [({"kind": "x"}, "kind is 'x'"), ({"kind": "note"}, "text is empty"),
                        ({"kind": "assistant", "name": "a", "tools": ["rm"]}, "tools is ['rm']"),
                        ({"kind": "note", "text": "\ud800"}, "surrogate")]:
        status, said = running.ask("/kept", body)
        assert status == 400 and words in said["error"]["message"]


def test_threads_are_listed_changed_exported_and_deleted(running):
    at, message = asked(running, "A question about lanterns")
    name = at.rpartition("/")[2]
    assert [one["id"] for one in running.ask("/threads?q=lantern")[1]] == [name]
    new = {"title": " New \n name ", "settings": {"system": "x"}}
    assert running.ask(at, new, "PATCH")[0] == 200
    assert (running.ask(at)[1]["title"], running.ask(at)[1]["settings"]) \
        == ("New name", {"system": "x"})
    assert json.loads(running.ask(f"/export?form=openai&thread={name}")[1])["messages"][1] \
        == {"role": "user", "content": "A question about lanterns"}
    assert running.ask("/export?form=markdown")[1].count("# New name\n") == 1
    answered(running, at, parent=message)
    answer = running.ask(at)[1]["head"]
    assert running.ask(f"{at}/vote", {"message": answer, "vote": -1})[0] == 200
    assert running.ask(at)[1]["messages"][-1]["vote"] == -1
    assert running.ask(at, method="DELETE")[0] == 200
    for path, body in [(at, None), (f"{at}/messages", {"content": "x"}),
                       (f"{at}/answer", {"parent": 1}), (f"{at}/vote", {"message": 1, "vote": 1}),
                       (f"{at}/tokens", {"message": 1}), (f"/export?thread={name}", None)]:
        status, said = running.ask(path, body)
        assert status == 404 and "no such thread" in said["error"]["message"], path


@pytest.mark.parametrize("path, body, words", [
    ("", {"title": 5}, "title is 5"), ("", {"title": "\ud800"}, "surrogate"), ("", {}, "nothing"),
    ("", {"settings": {"system": 7}}, "system is 7"),
    ("", b'{"settings": {"think": NaN}}', "think is nan"),
    ("", {"settings": {"tools": ["x"]}}, "tools is ['x']"), ("", {"head": 1e30}, "head is 1e+30"),
    ("/messages", {"role": "system"}, "role is 'system'"),
    ("/messages", {"content": []}, "content"), ("/messages", {"files": [1]}, "files is [1]"),
    ("/messages", {"files": [{"name": "a"}]}, "None"),
    ("/messages", {"content": "x" * (1 << 20) + "x"}, "characters are more"),
    ("/vote", {"message": 1, "vote": 2}, "vote is 2"), ("/answer", {}, "parent is missing"),
    ("/answer", {"parent": -1}, "parent is -1"), ("/answer", {"parent": "1"}, "parent is '1'")])
def test_what_is_wrong_is_said(running, path, body, words):
    at, _ = asked(running)
    status, answer = running.ask(at + path, body, None if path else "PATCH")
    assert status == 400 and words in answer["error"]["message"], answer


def test_the_page_may_run_its_own_script_and_nothing_else(running):
    link = running.open("/?q=Do+it")
    answer = link.getresponse()
    text, policy = answer.read(), answer.headers["content-security-policy"]
    link.close()
    assert len(text) <= 100_000 and b"http://" not in text and b"innerHTML" not in text
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    script, = re.findall(b"<script>(.*?)</script>", text, re.S)
    hashed = base64.b64encode(hashlib.sha256(script).digest()).decode()
    assert rules["default-src"] == rules["frame-ancestors"] == rules["form-action"] == "'none'"
    assert rules["script-src"] == f"'sha256-{hashed}'" and rules["connect-src"] == "'self'"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_page_itself_needs_no_key_and_its_chats_do(place, tmp_path):  # noqa: F811
    settings = Serve(model=[str(place)], api_key="abc", dtype="f32", device="cpu")
    keyed = Running(settings, page.routes(tmp_path / "chats.db"))
    assert keyed.ask("/")[0] == 200 and keyed.ask("/threads")[0] == 401
    assert keyed.ask("/threads", Authorization="Bearer abc") == (200, [])
    keyed.close()


def test_a_damaged_file_keeps_the_server_from_starting(place, tmp_path):  # noqa: F811
    (tmp_path / "chats.db").write_text("my diary")
    done = subprocess.run([sys.executable, "infer.py", "serve", "--model", str(place), "--threads",
                           tmp_path / "chats.db"], capture_output=True, text=True,
                          cwd=Path(__file__).parents[1])
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "chats.db: cannot be used for chats" in done.stderr
