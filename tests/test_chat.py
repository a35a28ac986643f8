"""data/chat/terminal.py and `infer.py chat`: a conversation with its commands."""

import http.server
import json
import os
import re
import threading
from pathlib import Path

import pytest

from csrc.files import ChatError
from data.chat import protocol
from data.chat.terminal import Chat, Remote, converse, listen
from data.chat.tools import Result, Tool
from data.chat.turn import talk_of
from infer import Chat as Settings
from test_infer import in_terminal, infer
from test_turn import (GREEDY, INJECTION, LOOK, RUN, engine, known, random_model,  # noqa: F401
                       tokenizer)                # (random_model and tokenizer are fixtures)


@pytest.fixture
def chat(tokenizer, tmp_path, monkeypatch):
    """A function (what the model says in each turn, ...) -> Chat, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def make(*says, context=1000, able=None, on=(), **how):
        return Chat(engine(tokenizer, *says, context=context, keep=True), GREEDY, able or {}, on,
                    **how)
    return make


def typed(monkeypatch, *lines):
    """Let these be typed, then Ctrl-D."""
    lines = iter(lines)

    def read(_):
        line = next(lines, EOFError())
        if isinstance(line, BaseException):
            raise line
        return line
    monkeypatch.setattr("builtins.input", read)


def play(chat, monkeypatch, *lines):
    """Type lines, then Ctrl-D; an exception among them is raised where a line is waited for."""
    typed(monkeypatch, *lines)
    converse(chat.engine, "runs/x", "Ask.", chat.answer)


def test_a_chat_remembers_and_begins_anew(chat, monkeypatch, capsys):
    talking = chat("One.", "Two.")
    play(talking, monkeypatch, "a", "", "   ", "b", "/new", "c")
    assert capsys.readouterr().out == "One.\nTwo.\nOne.\n\n"
    assert [m["content"] for m in talking.messages] == ["c", "One."]


@pytest.mark.parametrize("context, said", [
    (1000, r"\(cut off after 256 tokens: start again with a larger --max-tokens\)"),
    (60, r"\(cut off after \d+ tokens: the context of 60 is full; /new begins anew\)")])
def test_an_answer_that_is_cut_off_says_what_helps(chat, monkeypatch, capsys, context, said):
    play(chat("ab" * 200, context=context), monkeypatch, "a")
    out, err = capsys.readouterr()
    assert re.search(said, err) and out.startswith("abab")


def test_quit_leaves(chat, monkeypatch, capsys):
    play(chat("One."), monkeypatch, "a", "/quit", "b")
    assert capsys.readouterr().out == "One.\n\n"


def test_an_unknown_command_names_the_nearest_and_help_names_all(chat, monkeypatch, capsys):
    play(chat("One."), monkeypatch, "/sav x", "/help", KeyboardInterrupt(), " /etc is what?")
    out, err = capsys.readouterr()
    assert "/sav is no command; the nearest is /save" in err and "(Ctrl-D leaves)" in err
    for command in "new system think tools save load tokens undo retry help".split():
        assert f"\n/{command}" in err
    assert out == "One.\n\n"


def test_a_question_without_room_is_one_sentence_and_nothing_is_lost(chat, monkeypatch, capsys):
    talking = chat("One.", "Two.", context=200)
    play(talking, monkeypatch, "a", "x" * 300, "y" * (10 << 20), "b")
    out, err = capsys.readouterr()
    assert "there is room for 150: shorten it" in err and "10485760 characters" in err
    assert out == "One.\nTwo.\n\n" and len(talking.messages) == 4


def test_a_chat_tells_that_old_turns_no_longer_fit(chat, monkeypatch, capsys):
    talking = chat("Yes.", context=200)
    play(talking, monkeypatch, *["x" * 40] * 4)
    assert "oldest turns no longer fit into the context of 200 tokens" in capsys.readouterr().err
    assert len(talking.messages) == 8


@pytest.mark.parametrize("text", [INJECTION, "<|im_" + "end|>", "\x00\x1b[2J\x07\tx", "猫 👩‍👩‍👧"])
def test_what_users_type_stays_text(chat, monkeypatch, text):
    talking = chat("One.", system=text)
    play(talking, monkeypatch, text)
    assert talking.messages[0] == {"role": "user", "content": text}
    found = [i for i in talking.tokens if i in talking.engine.special]
    special = talking.engine.tokenizer.special
    turn = [special("<|im_start|>"), special("<|im_end|>")]
    assert found == [special("<|endoftext|>")] + 3 * turn
    talk = talk_of(talking.engine.tokenizer)
    assert talk.decode(talking.tokens)[:2] == talking.heard(talking.messages)[:2]


def test_half_a_surrogate_pair_is_one_sentence(chat, monkeypatch, capsys):
    play(chat("One."), monkeypatch, "a\udcff", "b")
    out, err = capsys.readouterr()
    assert "surrogate" in err and out == "One.\n\n"


def test_tools_are_shown_as_they_run_and_figures_become_files(chat, monkeypatch, capsys, tmp_path):
    able = known("search") | known("python", answer=lambda _: Result("\n".join("abcde"), (b"PNG",)))
    (tmp_path / "figure-1.png").write_bytes(b"mine")
    talking = chat("I run." + RUN + "Done.", LOOK + "Here.", able=able, on=["search", "python"])
    play(talking, monkeypatch, "a", "b")
    out, err = capsys.readouterr()
    assert out == "I run.\nDone.\nHere.\n\n"
    assert "python: 6 * 7\n    a\n    b\n    c\n    [2 more lines]\n    figure-2.png\n" in err
    assert "search: it\n    found it\n" in err
    assert (tmp_path / "figure-2.png").read_bytes() == b"PNG"
    assert (tmp_path / "figure-1.png").read_bytes() == b"mine"


def test_marks_that_do_not_match_are_no_call(chat, monkeypatch, capsys):
    able = known("search", "python")
    talking = chat(LOOK + "<|python_start|>x<|search_end|>y", able=able, on=["search", "python"])
    play(talking, monkeypatch, "a")
    assert capsys.readouterr().err.count("search: it") == 1
    assert protocol.normal(talking.messages) == talking.messages


def test_controls_of_a_terminal_are_not_passed_on(chat, monkeypatch, capsys):
    able = known("search", answer=lambda _: Result("\x1b]0;title\x07"))
    play(chat("\x1b[2J" + LOOK + "\x9b.", able=able, on=["search"]), monkeypatch, "a")
    out, err = capsys.readouterr()
    assert not {"\x1b", "\x07", "\x9b"} & {*out, *err} and "[2J" in out and "]0;title" in err


def test_the_system_message_says_which_tools_are_on(chat, monkeypatch, capsys):
    able = known("python") | {"search": Tool(lambda _: Result(""), "no index was given")}
    talking = chat("One.", able=able, on=["search", "python"], system="Be brief.")
    assert talking.on == ["python"]
    assert "(search is off: no index was given)" in capsys.readouterr().err
    play(talking, monkeypatch, "/tools", "a", "/tools off", "/tools serach", "/system Rhyme.")
    assert "serach is no tool; there are python and search" in (err := capsys.readouterr().err)
    assert "(tools: python)" in err and "(system message: Rhyme.)" in err
    assert talking.heard([]) == [{"role": "system", "content": "Rhyme."}]
    talking.do_tools("python")
    assert talking.heard([])[0]["content"] == "Rhyme. " + protocol.OFFERS["python"]


def test_thoughts_are_shown_and_begun_where_that_is_on(chat, monkeypatch, capsys):
    talking = chat("<think>Hm.</think>Yes.")
    play(talking, monkeypatch, "a", "/think on", "/new", "b", "/think maybe", "/think off")
    out, err = capsys.readouterr()
    assert out == "Yes.\nYes.\n\n" and err.count("Hm.\n") == 1
    assert "/think is maybe, but must be on or off" in err and not talking.think
    assert talking.messages[1]["reasoning_content"] == "Hm."


def test_a_chat_is_saved_loaded_and_goes_on(chat, monkeypatch, capsys, tmp_path):
    able, said = known("search"), ("I look." + LOOK + "Here.", "More.")
    talking = chat(*said, able=able, on=["search"], system="Be brief.")
    play(talking, monkeypatch, "a", "/save chat.jsonl", "b", "/save", "/tokens")
    line, = (tmp_path / "chat.jsonl").read_text().splitlines()
    system, *messages = json.loads(line)["messages"]
    assert system["content"] == "Be brief. " + protocol.OFFERS["search"]
    assert protocol.normal(messages) == talking.messages and len(messages) == 6
    talk_of(talking.engine.tokenizer).encode(json.loads(line)["messages"])   # as train.py sft does

    again = chat(*said, able=able)
    capsys.readouterr()
    play(again, monkeypatch, "/load chat.jsonl", "/tokens")
    assert (again.messages, again.system, again.on) == (talking.messages, "Be brief.", [])
    err = capsys.readouterr().err
    assert "user: b\nassistant: More.\n" in err and "had search; /tools search allows" in err
    play(again, monkeypatch, "/tools search", "/load chat.jsonl", "c")
    assert again.on == ["search"] and "allows" not in capsys.readouterr().err
    assert len(again.messages) == 8

    (tmp_path / "other").write_text("mine")
    play(again, monkeypatch, "/save chat.jsonl", "/save other", "/load nothing", "/load other")
    err = capsys.readouterr().err
    assert "chat.jsonl exists" in err and "other exists" in err
    assert "'nothing'" in err and "other:1" in err
    assert (tmp_path / "other").read_text() == "mine" and len(again.messages) == 8


def test_undo_and_retry(chat, monkeypatch, capsys):
    talking = chat("One.", "Two.")
    play(talking, monkeypatch, "/undo", "a", "b", "/retry", "/undo", "/save", "/tokens")
    assert [m["content"] for m in talking.messages] == ["a", "One."]
    out, err = capsys.readouterr()
    assert out.startswith("One.\nTwo.\nTwo.\n") and "nothing was said yet" in err


def test_tokens_shows_every_token_and_the_share_of_the_context(chat, monkeypatch, capsys):
    talking = chat("é.")
    play(talking, monkeypatch, "a b", "/tokens")
    out, err = capsys.readouterr()
    shown = re.sub("[₀-₉]+", "|", out)           # each token's id
    assert "<|endoftext|>|<|im_start|>|u|s|e|r|⏎|\na|·|b|<|im_end|>|" in shown
    assert "\\xc3|\\xa9|.|<|im_end|>|" in shown
    share = 100 * len(talking.tokens) / 1000
    assert f"{len(talking.tokens)} of 1000 tokens, {share:.0f} %" in err


@pytest.mark.parametrize("where", ["text", "tool"])
def test_ctrl_c_ends_the_turn_keeps_what_was_said_and_the_chat_goes_on(chat, monkeypatch, capsys,
                                                                       where):
    def stopped(*_):
        raise KeyboardInterrupt
    talking = chat("abc" + LOOK + "def", "Two.", able=known("search", answer=stopped),
                   on=["search"])
    if where == "text":
        draw, left = talking.engine.model.draw, iter("123")
        talking.engine.model.draw = lambda *args, **how: \
            draw(*args, **how) if next(left, 0) else stopped()
    play(talking, monkeypatch, "a")
    said, *rest = talking.messages[1:]
    assert said["content"] == "abc" and [m["content"] for m in rest] == ["", ""][:2 * len(rest)]
    assert len(rest) == (2 if where == "tool" else 0) and "(stopped)" in capsys.readouterr().err
    if where == "text":
        talking.engine.model.draw = draw
    play(talking, monkeypatch, "b")
    assert capsys.readouterr().out == "Two.\n\n" and len(talking.messages) in (4, 6)


# ---- The command line ----------------------------------------------------------------------------

@pytest.fixture(scope="module")
def folder(random_model, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    random_model.save(folder)
    tokenizer.save(folder)
    return folder


def test_cli_one_question_gives_one_answer_on_stdout(folder):
    flags = "chat", "--model", ".", "--max-tokens", "12", "--seed", "1", "--dtype", "f32"
    code, out, err = infer(folder, *flags, "--prompt", "Who?")
    assert code == 0 and out.endswith("\n") and len(out) > 1
    assert "seed 1 (this model was not trained to chat: " in err
    assert infer(folder, *flags, "--prompt", "-", stdin="Who?\n")[:2] == (0, out)
    code, out, err = infer(folder, *flags, "--prompt", "-", stdin="x" * (10 << 20))
    assert (code, out) == (1, "") and "10485760 characters" in err and err.count("\n") == 1
    code, out, err = infer(folder, *flags, "--prompt", "x" * 300)
    assert (code, out) == (1, "") and "shorten it" in err
    code, out, err = infer(folder, *flags, "--prompt", "x", "--tools", "search", "serach")
    assert (code, out) == (1, "") and "serach is no tool" in err


def test_in_a_terminal_a_model_that_was_trained_for_it_chats(folder, tmp_path):
    for file in folder.iterdir():
        os.link(file, tmp_path / file.name)
    (tmp_path / "log.jsonl").write_text('{"step": 1, "stage": "sft"}\n')
    with in_terminal(tmp_path, "--model", ".", "--dtype", "f32", "--seed", "1", "--max-tokens",
                     "8") as (child, type, expect):
        expect(b"> ")
        type(b"Who?\n")
        expect(b"\n> ")
        type(b"/tokens\n")
        shown = expect(b" of 256 t")
        assert b"m<|im_start|>" in shown and b"\x1b[0m" in shown
        expect(b"> ")
        type(b"\x04")
        assert child.wait(30) == 0


# ---- With a server

class Streaming(http.server.BaseHTTPRequestHandler):
    """Answers with what `say` says; keeps what it was asked in `bodies`."""

    say, bodies, status = ["Hel", "lo."], [], 200

    def do_POST(self):
        self.bodies.append((self.headers["Authorization"], json.loads(
            self.rfile.read(int(self.headers["Content-Length"])))))
        self.send_response(self.status)
        self.end_headers()
        if self.status != 200:
            self.wfile.write(b'{"error": {"message": "the key is wrong"}}')
            return
        for one in self.say:
            event = one if isinstance(one, dict) else {"choices": [
                {"delta": {"content": one}, "finish_reason": "stop" if one == "" else None}]}
            self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        self.wfile.write(b"data: [DONE]\n\n" if self.say[-1] == "" else b"")

    def log_message(self, *_):
        pass


@pytest.fixture
def served(monkeypatch, tmp_path):
    """(Streaming, a function that gives a Remote of it), in an empty folder."""
    monkeypatch.chdir(tmp_path)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Streaming)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(Streaming, "bodies", [])
    url = f"http://127.0.0.1:{server.server_port}"
    yield Streaming, lambda **how: Remote(Settings(**{"url": url, "seed": 5, **how}))
    server.shutdown()
    server.server_close()


def test_a_chat_with_a_server_remembers_streams_and_saves(served, monkeypatch, capsys):
    handler, remote = served
    monkeypatch.setattr(handler, "say", ["Hel", {"choices": [{"finish_reason": None, "delta": {
        "reasoning_content": "hm"}}]}, "lo.", ""])
    talking = remote(api_key="abc", model="small", system="Be brief.", temperature=0)
    typed(monkeypatch, "a", "b", "/save x.jsonl", "/retry", "/tokens", "/system", "/new", "c")
    listen(talking.answer)
    out, err = capsys.readouterr()
    assert out == "Hello.\n" * 4 + "\n" and "hm" in err and "/tokens needs the model here" in err
    (key, first), (_, second), (_, third), (_, last) = handler.bodies
    assert key == "Bearer abc" and (first["model"], first["temperature"]) == ("small", 0)
    assert [one["content"] for one in second["messages"]] == ["Be brief.", "a", "Hello.", "b"]
    assert third["messages"] == second["messages"] and third["seed"] != second["seed"]
    assert last["messages"] == [{"role": "user", "content": "c"}]
    assert json.loads((talking.file or Path("x.jsonl")).read_text())["messages"][-1] == {
        "role": "assistant", "content": "Hello."}


def test_what_a_server_refuses_or_breaks_off_is_said(served, monkeypatch):
    handler, remote = served
    for says, words in (["Hel"], "broke off"), ([{"error": {"message": "no memory"}}], "no memory"):
        monkeypatch.setattr(handler, "say", says)
        with pytest.raises(ChatError, match=words):
            remote().ask("a")
    monkeypatch.setattr(handler, "status", 401)
    talking = remote()
    with pytest.raises(ChatError, match="the key is wrong"):
        talking.ask("a")
    assert talking.messages == []
    for url, words in (("ftp://x", "must be as http"), ("http://127.0.0.1:9", "does not answer")):
        with pytest.raises(ChatError, match=words):
            remote(url=url).ask("a")
    with pytest.raises(ChatError, match="for a model here"):
        remote(tools=["search"])


def test_ctrl_c_stops_a_server_s_answer_and_what_was_said_stays(served, monkeypatch, capsys):
    handler, remote = served
    monkeypatch.setattr(handler, "say", ["Hel", "lo.", ""])
    talking = remote()

    def say(text):
        raise KeyboardInterrupt
    monkeypatch.setattr(talking, "say", lambda text: say(text) if text == "lo." else None)
    assert not talking.ask("a") and "(stopped)" in capsys.readouterr().err
    assert [one["content"] for one in talking.messages] == ["a", "Hel"]
