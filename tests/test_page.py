"""infer.html in a browser: what a user does."""

import json
import os
import re
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from browser import (ask, browser, ended, needs_chromium, opened, page, place,  # noqa: F401
                     random_model, routes, running, said, seeded, send, slow, stored, tokenizer,
                     true, until)
from data.chat import tools

pytestmark = needs_chromium


def test_a_question_is_answered_and_found_again(page, running):
    ask(page, "Where is the lighthouse?")
    found = stored(running, page)
    assert [one["role"] for one in found["messages"]] == ["user", "assistant"]
    assert page.text_content("#title") == "Where is the lighthouse?"
    assert re.search(r"\d+ of 256 tokens", page.text_content("#meter"))
    page.click("#new")
    page.fill("#find", "lightho")
    true(page, "document.querySelectorAll('#list li').length === 1")
    page.click("#list a")
    page.wait_for_selector("article.assistant")
    assert page.text_content("article.user .text") == "Where is the lighthouse?"


def test_stop_stops_and_the_answer_goes_on_later(page, running, slow):
    page.evaluate("Object.assign(options, {max_tokens: 150, temperature: 5})")
    send(page, "Tell me")
    true(page, "state.used > 30")
    page.click("#send")
    ended(page)
    until(lambda: running.workers["small"].size == 0)
    until(lambda: stored(running, page)["messages"][-1]["finish"] == "stopped")
    before = stored(running, page)["messages"][-1]
    page.evaluate("Object.assign(options, {max_tokens: 5})")
    page.click("text=Go on")
    until(lambda: stored(running, page)["messages"][-1]["finish"] in ("length", "stop"))
    after = stored(running, page)["messages"]
    assert len(after) == 2 and after[-1]["content"].startswith(before["content"])


def test_an_edit_makes_a_branch_and_branches_are_switched(page, running):
    ask(page, "First wording")
    page.click("article.user [title^=Edit]")
    page.fill("article ~ form textarea, #log form textarea", "Second wording")
    page.click("#log form .main")
    true(page, "state.byId.size === 4 && !state.running")
    assert page.text_content("article.user .text") == "Second wording"
    assert "2/2" in page.text_content("article.user .acts")
    page.click("[aria-label='Earlier version']")
    page.wait_for_selector("article.user >> text=First wording")
    page.click("[title='Another answer']")
    true(page, "state.byId.size === 5 && !state.running")
    assert "2/2" in page.text_content("article.assistant .acts")
    assert len([one for one in stored(running, page)["messages"] if one["parent"] is None]) == 2


def test_votes_names_exports_and_deletion(page, running):
    name = seeded(running, "A question of votes", "good", "and", "bad")
    opened(page, name)
    page.click("article.assistant:last-child [title='A bad answer']")
    until(lambda: stored(running, page)["messages"][-1]["vote"] == -1)
    page.click("#list [data-on] [title^=Rename]")
    page.fill("dialog input", "My name")
    page.press("dialog input", "Enter")
    page.wait_for_selector("#title >> text=My name")
    page.click("#export")
    with page.expect_download() as download:
        page.click("dialog button.main")
    line, = Path(download.value.path()).read_text().splitlines()
    assert [one["content"] for one in json.loads(line)["messages"]] \
        == ["A question of votes", "good", "and", "bad"]
    page.click("#list [data-on] [title^=Delete]")
    page.click("dialog button.main")
    page.wait_for_selector(".empty")
    assert running.ask(f"/threads/{name}")[0] == 404


def png(width):
    """A black picture."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, 1, 8, 0, 0, 0, 0)),
             (b"IDAT", zlib.compress(bytes(1 + width))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts)


def test_tools_are_switched_on_and_what_they_did_is_a_line_that_opens(page, running, said,
                                                                      monkeypatch):
    result = tools.Result("<b>42</b>", (png(150),))
    known = {**running.page.known(2000), "python": tools.Tool(lambda code: result, None)}
    monkeypatch.setattr(running.page, "known", lambda budget: known)
    said("<think>I have to look.</think><|search_start|>light<|search_end|><|python_start|>"
         "print(6 * 7)<|python_end|>It is **red**, and 42.", "Yes.")
    page.click("#tools [aria-label=Search]")
    page.click("#tools [aria-label=Python]")
    ask(page, "What colour is the light?")
    assert stored(running, page)["settings"]["tools"] == ["search", "python"]
    run = page.locator("details.run")
    assert re.fullmatch(r"Thought.* \(4 words\), searched, ran Python",
                        run.locator("summary").text_content())
    assert page.text_content("article.assistant .text strong") == "red"
    assert not page.is_visible("text=Searched for: light")
    run.locator("summary").click()
    page.wait_for_selector("text=Searched for: light")
    assert run.locator("a").first.get_attribute("href") == "https://e.org/light"
    assert run.locator("pre").all_text_contents() == ["print(6 * 7)", "<b>42</b>"]
    true(page, "document.querySelector('details.run img').naturalWidth === 150")
    assert page.evaluate("window.hit") is None and run.locator("b").count() == 0
    page.click("#tools [aria-label=Search]")
    ask(page, "Sure?")                           # the run is read again by the model
    true(page, "state.thread.settings.tools.join() === 'python'")
    page.reload()
    page.wait_for_selector("details.run")
    assert page.locator("#tools [aria-pressed=true]").count() == 1
    assert "<|result_start|>[1] https://e.org/light" in "".join(one["raw"] for one in running.ask(
        f"/threads/{page.url.partition('#')[2]}/tokens",
        {"message": stored(running, page)["head"], "model": "said"})[1]["prompt"])


def test_a_tool_that_is_off_says_why(page, running, monkeypatch):
    one = running.page.known(2000)["search"]._replace(off="there is no index")
    monkeypatch.setattr(running.page, "known", lambda budget: {"search": one})
    page.evaluate("tools()")
    page.click("#tools [aria-label=Search][aria-disabled]", force=True)
    page.wait_for_selector("#status >> text=Search is off: there is no index")


def test_two_models_answer_side_by_side_and_one_is_chosen(page, running):
    page.select_option("#rival", "other")
    ask(page, "Who are you?")
    assert page.locator(".pair article").count() == 2
    assert page.locator(".pair .who").all_text_contents() == ["small", "other"]
    found = stored(running, page)
    assert [one["model"] for one in found["messages"][1:]] in (["small", "other"],
                                                               ["other", "small"])
    assert page.evaluate("state.byId.get(state.thread.head).model") == "small"
    page.click(".pair >> text=Choose")
    until(lambda: [one["model"] for one in stored(running, page)["messages"]
                   if one["id"] == stored(running, page)["head"]] == ["other"])
    page.wait_for_selector(".pair article:nth-child(2) >> text=Chosen")
    page.select_option("#rival", "")
    assert page.locator(".pair").count() == 0


def test_an_assistant_notes_and_instructions_begin_a_chat(page, running):
    page.click("text=New assistant")
    page.fill("dialog label:has-text('Name') input", "Poet")
    page.fill("dialog label:has-text('Instructions') textarea", "Rhyme always.")
    page.check("dialog label:has-text('Python') input")
    page.click("dialog button.main")
    page.click("#mine")
    page.fill("dialog label:has-text('Instructions') textarea", "Be kind.")
    page.click("dialog button.main")
    page.wait_for_selector(".start >> text=Poet")
    ask(page, "Hello. Remember that my cat is called Mo.")
    assert page.is_visible("text=Remembered: my cat is called Mo.")
    page.click("#new")
    page.click(".start >> text=Poet")
    ask(page, "A poem, please")
    settings = stored(running, page)["settings"]
    assert settings["tools"] == ["python"] and settings["assistant"] == "Poet"
    assert settings["system"] == ("Be kind.\n\nRhyme always.\n\nWhat the user asked you to "
                                  "remember:\n- my cat is called Mo.")
    page.click("details.system summary")
    assert page.is_visible("text=my cat is called Mo.")
    page.click("#mine")
    page.click("dialog [title^='Forget my cat']")
    page.wait_for_selector("dialog [title^='Forget my cat']", state="detached")
    page.click("dialog [title='Change Poet']")
    page.fill("dialog label:has-text('Name') input", "Bard")
    page.click("dialog button.main")
    until(lambda: [one["name"] for one in running.threads.kept()["assistant"]] == ["Bard"])
    assert running.threads.kept()["note"] == []
    for one in [one for kind in running.threads.kept().values() for one in kind]:
        running.threads.forget(one["id"])


def test_settings_reach_the_model(page, running, monkeypatch):
    seen, asked = [], routes.sampling
    monkeypatch.setattr(routes, "sampling", lambda *a: seen.append(asked(*a)) or seen[-1])
    page.click("#set")
    wanted = {"Temperature": 1.5, "Top-p": 0.5, "Top-k (0: off)": 7, "Min-p": 0.1,
              "Repetition penalty": 1.25, "Presence penalty": 0.5, "Frequency penalty": -0.5,
              "Most tokens": 5, "Seed": 9}
    for label, value in wanted.items():
        page.fill(f"dialog label:has-text('{label}') input", str(value))
    page.fill("dialog label:has-text('Stop') textarea", "one\ntwo")
    page.click("dialog button.main")
    ask(page, "Go")
    how = seen[0]
    assert [how.temperature, how.top_p, how.top_k, how.min_p, how.repetition_penalty,
            how.presence_penalty, how.frequency_penalty, how.max_tokens, how.seed] \
        == [*wanted.values()] and how.stop == ("one", "two")


def test_how_to_train_on_chats_is_said(page, running):
    page.click("#export")
    page.click("text=How to train on it")
    page.wait_for_selector(
        "dialog >> text=train.py sft --model MODEL --data chats.jsonl --out runs/mine")
    page.keyboard.press("Escape")
    page.click("#export")
    page.select_option("dialog select >> nth=1", "preferences")
    page.click("text=How to train on it")
    page.wait_for_selector("dialog >> text=train.py dpo")


def test_a_full_context_offers_a_chat_that_begins_with_a_summary(page, running, said):
    said("It is about light.", context=600)
    opened(page, seeded(running, *("forty letters are in this long message." for _ in range(13))))
    page.evaluate("$('model').value = 'said'; measure()")
    page.wait_for_selector("#full")
    page.click("#full >> text=New chat with a summary")
    page.wait_for_selector("details.system")
    found = stored(running, page)
    assert found["settings"]["system"].endswith("before this one:\nIt is about light.")
    assert found["messages"] == [] and found["title"].endswith(", continued")


def pdf(text):
    """A PDF of one page with this text."""
    drawn = f"BT /F 12 Tf 20 50 Td ({text}) Tj ET"
    parts = ["<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>",
             "<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 99]/Contents 4 0 R"
             "/Resources<</Font<</F 5 0 R>>>>>>",
             f"<</Length {len(drawn)}>>stream\n{drawn}\nendstream",
             "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"]
    made, places = "%PDF-1.4\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(made))
        made += f"{number} 0 obj{part}endobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    return (f"{made}xref\n0 6\n0000000000 65535 f \n{table}trailer<</Size 6/Root 1 0 R>>\n"
            f"startxref\n{len(made)}\n%%EOF\n").encode()


def test_files_of_all_kinds_become_text(page, running, said, tmp_path):
    pytest.importorskip("pypdf")
    said("Fine.")
    files = {"a.pdf": pdf("A lighthouse."), "<img src=x onerror='window.hit=1'>.md": b"# Title",
             "b.html": b"<nav><a href=/>Home</a></nav><article><p>" + b"The keeper lights the lamp "
             b"every night at eight. " * 8 + b"</p></article>",
             "c.py": "print('é')".encode("latin-1"), "d.json": b'{"a": 1}'}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    page.set_input_files("#pick", [tmp_path / name for name in files])
    true(page, "state.files.length === 5")
    ask(page, "Read")
    told = {file["name"]: file["text"] for file in stored(running, page)["messages"][0]["files"]}
    assert told["a.pdf"] == "A lighthouse." and told["c.py"] == "print('é')"
    assert told["b.html"].startswith("The keeper lights") and "Home" not in told["b.html"]
    assert page.evaluate("window.hit") is None and page.locator("#log img").count() == 0


@pytest.mark.parametrize("name, data, words", [
    ("a.png", b"\x89PNG\0\0", "'a.png': it is no text, but must be text, Markdown, CSV"),
    ("long.txt", b"word " * 300, "'long.txt' has 1500 tokens, more than the model's context of"),
    ("empty.md", b" \n", "'empty.md': there is no text in it"),
    ("big.txt", b"a" * (8 << 20) + b"a", "big.txt has 8,388,609 bytes, but files may have up to"),
    ("broken.pdf", b"%PDF-1.4 and nothing more", "'broken.pdf': it is no PDF that can be read")])
def test_files_that_cannot_be_read_are_refused_in_words(page, tmp_path, name, data, words):
    if name.endswith("pdf"):
        pytest.importorskip("pypdf")
    (tmp_path / name).write_bytes(data)
    page.set_input_files("#pick", tmp_path / name)
    page.wait_for_selector("#status.error")
    assert words in page.text_content("#status")
    assert page.evaluate("state.files") == []


def test_files_are_read_into_the_context(page, running, tmp_path):
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0\0")
    page.set_input_files("#pick", [tmp_path / "notes.csv", tmp_path / "picture.png"])
    page.wait_for_selector("#files >> text=notes.csv, 8 tokens")
    page.wait_for_selector("#status >> text='picture.png': it is no text, but must be text, Markd")
    ask(page, "Sum")
    first = stored(running, page)["messages"][0]
    assert first["files"] == [{"name": "notes.csv", "text": "a,b\n1,2\n"}]


def test_token_view_shows_all_and_goes_on_with_another_token(page, running):
    page.click("#set")
    page.fill("dialog label:has-text('Stop') textarea", "never this\nnor this")
    page.click("dialog button.main")
    running.threads.keep("instructions", {"text": "Be brief."})
    ask(page, "Why")
    running.threads.keep("instructions", {"text": ""})
    page.click("#view")
    page.wait_for_selector("#tokens [role=button]")
    raw = page.text_content("#tokens")
    assert "<|im_start|>system" in raw and "Be brief." in raw and "<|im_start|>user" in raw
    page.hover("#tokens [role=button] >> nth=2")
    other = page.locator("#odds button:enabled").first
    other.click()
    true(page, "state.byId.size === 3 && !state.running")
    first, second = stored(running, page)["messages"][1:]
    at = f"/threads/{page.url.partition('#')[2]}/tokens"
    before, after = ([one["id"] for one in running.ask(at, {"message": one["id"]})[1]["answer"]]
                     for one in (first, second))
    assert before[:2] == after[:2] and before[2] != after[2]


SLOWLY = """
import time
import infer
from csrc.bind import Model
draw = Model.draw
Model.draw = lambda *a, **how: time.sleep(0.02) or draw(*a, **how)
infer.main()
"""


def test_a_reload_after_a_kill_shows_every_token(browser, place, tmp_path):  # noqa: F811
    def serve():
        process = subprocess.Popen(
            [sys.executable, "-c", SLOWLY, "serve", "--model", str(place), "--port", "0", "--dtype",
             "f32", "--threads", tmp_path / "chats.db"], stderr=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[1])
        return process, re.match(r"http://[^/]*", process.stderr.readline())[0]

    process, address = serve()
    page = browser.new_page()
    page.goto(address)
    page.wait_for_selector("#model option", state="attached")
    true(page, "'search' in state.off")
    page.evaluate("Object.assign(options, {max_tokens: 180, temperature: 5, seed: 3})")
    send(page, "Go")
    true(page, "[...state.byId.values()].at(-1)?.content.length > 9")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    ended(page)
    assert "server went away" in page.text_content("#status")
    shown = page.evaluate("[...state.byId.values()].at(-1).content")
    name = page.url.partition("#")[2]
    process, address = serve()
    try:
        page.goto(f"{address}/#{name}")
        page.wait_for_selector("article.assistant >> text=Interrupted.")
        assert page.evaluate("[...state.byId.values()].at(-1).content").startswith(shown)
    finally:
        process.kill()
        page.close()


def test_a_full_context_is_told_and_a_new_chat_offered(page, running):
    opened(page, seeded(running, *("twenty letters of it" for _ in range(20)), "and?"))
    page.wait_for_selector("#full >> text=oldest messages are no longer read")
    page.click("#full button")
    page.wait_for_selector(".empty")
