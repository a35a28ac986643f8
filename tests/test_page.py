"""infer.html in a browser: what a user does, and what nobody may do to him."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.chat import page as routes
from data.chat import search, tools
from data.chat.server import Worker
from data.chat.threads import Threads
from infer import Serve
from test_server import Running, place, until  # noqa: F401  (fixtures)
from test_turn import engine, random_model, tokenizer  # noqa: F401

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, (
    "chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium")
EVIL = ("<img src=x onerror='window.hit=1'><script>window.hit=2</script><svg onload='window.hit=3'>"
        " [a](javascript:window.hit=4) ![b](http://evil.example/?q=1) <b>not bold</b>")
DOCUMENT = """# Title

Some **bold**, *slanted*, `code * a` and $a_1 * b_1$ text, snake_case_name, [link](https://e.org/a).

- one
- two
  1. inner
  2. last

| a | b |
|---|--:|
| 1 | `x|y` |

```python
print("<b>")
```

> quoted
"""


@pytest.fixture(scope="module")
def running(place, tmp_path_factory):  # noqa: F811
    settings = Serve(model=[str(place), f"other={place}"], dtype="f32", device="cpu")
    file = tmp_path_factory.mktemp("chats") / "chats.db"
    index, pages = file.with_name("search.db"), file.with_name("pages.jsonl")
    pages.write_text(json.dumps({"url": "https://e.org/light", "text": f"Light\n{EVIL} It is red."}))
    search.build([pages], index)
    one = Running(settings, routes.routes(file, index))
    one.threads, one.page = Threads(file), one.guard.app.routes[0].endpoint.__self__
    yield one
    one.threads.close()
    one.close()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as started:
        one = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield one
        one.close()


@pytest.fixture
def page(browser, running):
    """A page whose answers are short, with what it reported and asked for elsewhere."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    context.add_init_script("if (!localStorage.options) localStorage.options = "
                            "JSON.stringify({max_tokens: 20, seed: 3})")
    one = context.new_page()
    one.set_default_timeout(20000)
    one.errors, one.elsewhere = [], []
    one.on("pageerror", lambda error: one.errors.append(str(error)))
    here = f"http://127.0.0.1:{running.port}"
    one.on("request", lambda request: request.url.startswith((here, "blob:", "data:"))
           or one.elsewhere.append(request.url))
    one.goto(here)
    one.wait_for_selector("#model option", state="attached")
    yield one
    found = one.errors, one.elsewhere
    context.close()
    assert found == ([], [])


def true(page, what):
    """Wait until an expression is true; the page itself may evaluate no text."""
    until(lambda: page.evaluate(what))


def send(page, text):
    page.fill("#ask", text)
    page.press("#ask", "Enter")


def ask(page, text):
    """Ask, and wait until the answer is complete."""
    send(page, text)
    ended(page)


def ended(page):
    page.wait_for_selector("#send[aria-label=Send]")
    true(page, "!state.running && document.querySelector('article.assistant:last-child "
                           ".acts button')")


def stored(running, page):
    return running.ask(f"/threads/{page.url.partition('#')[2]}")[1]


def seeded(running, *texts):
    """The id of a thread of such messages, the user's and the assistant's in turn."""
    name, parent = running.threads.create({}), None
    for i, text in enumerate(texts):
        parent = running.threads.add(name, parent, ("user", "assistant")[i % 2], text)
    return name


def opened(page, name):
    page.goto(f"{page.url.partition('#')[0].partition('?')[0]}#{name}")
    page.wait_for_selector("article")


@pytest.fixture
def slow(running, monkeypatch):
    """The model takes its time."""
    running.ask("/v1/completions", {"prompt": "a", "max_tokens": 1})
    model = running.workers["small"].engine.model
    draw = model.draw
    monkeypatch.setattr(model, "draw", lambda *a: [time.sleep(0.05), draw(*a)][1])


@pytest.fixture
def said(running, page, tokenizer):  # noqa: F811
    """Let a model "said" say what is given, and the page ask it."""
    models = running.guard.app.state.models

    def says(*texts, context=2000):
        one = engine(tokenizer, *texts, context=context)
        draw = one.model.draw
        one.model.draw = lambda *a, **how: (draw(*a)[0], [0.0] * len(a[0]), None)
        models.places["said"], models.workers["said"] = None, Worker(one)
        page.evaluate("""() => { $("model").append(el("option", {value: "said"}, "said"));
            $("model").value = "said"; Object.assign(options, {alternatives: false,
            temperature: 0, max_tokens: 500}); $("model").onchange() }""")
        true(page, "state.off.think === null")
    yield says
    models.workers.pop("said", None)
    models.places.pop("said", None)


# ---- What a user does

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


def test_tools_are_switched_on_and_what_they_did_is_a_line_that_opens(page, running, said):
    if tools.python_off():
        pytest.skip(tools.python_off())
    code = "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show(); print(6 * 7)"
    said("<think>I have to look.</think><|search_start|>light<|search_end|><|python_start|>"
         f"{code}<|python_end|>It is **red**, and 42.", "Yes.")
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
    assert page.is_visible("text=Searched for: light")
    assert run.locator("a").first.get_attribute("href") == "https://e.org/light"
    assert "42" in run.locator("pre.wide").last.text_content()
    true(page, "document.querySelector('details.run img').naturalWidth > 99")
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
    shown = page.text_content("dialog")
    assert "train.py sft --model MODEL --data chats.jsonl --out runs/mine" in shown
    page.keyboard.press("Escape")
    page.click("#export")
    page.select_option("dialog select >> nth=1", "preferences")
    page.click("text=How to train on it")
    assert "train.py dpo" in page.text_content("dialog")


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


def test_a_reload_after_a_kill_shows_every_token(browser, place, tmp_path):  # noqa: F811
    def serve():
        process = subprocess.Popen(
            [sys.executable, "infer.py", "serve", "--model", str(place), "--port", "0", "--dtype",
             "f32", "--threads", tmp_path / "chats.db"], stderr=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[1])
        return process, re.match(r"http://[^/]*", process.stderr.readline())[0]

    process, address = serve()
    page = browser.new_page()
    page.goto(address)
    page.wait_for_selector("#model option", state="attached")
    page.evaluate("Object.assign(options, {max_tokens: 180, temperature: 9})")
    send(page, "Go")
    true(page, "state.used > 40")
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


# ---- What is shown

def test_thoughts_are_folded_into_a_line(page, running):
    name = seeded(running, "q", "a")
    running.threads.append(running.threads.read(name)["head"], "", "I had to think", [])
    opened(page, name)
    page.wait_for_selector("details.run")
    assert page.text_content("details.run summary") == "Thought (4 words)"
    assert not page.is_visible("text=I had to think")
    page.click("details.run summary")
    assert page.is_visible("text=I had to think")


def test_markdown_is_shown(page, running):
    opened(page, seeded(running, "q", DOCUMENT))
    body = page.locator("article.assistant .text")
    page.wait_for_selector("article.assistant h3")
    for selector, text in [("h3", "Title"), ("strong", "bold"), ("p em", "slanted"),
                           ("p code", "code * a"), ("ul > li > ol > li >> nth=1", "last"),
                           ("th >> nth=1", "b"), ("figure code", 'print("<b>")'),
                           ("blockquote", "quoted"), ("figcaption", "python")]:
        assert body.locator(selector).first.text_content() == text, selector
    assert "$a_1 * b_1$ text, snake_case_name" in body.text_content()
    assert body.locator("a").get_attribute("href") == "https://e.org/a"
    assert body.locator("em").count() == 1


def test_half_a_text_shows_no_marks(page):
    """While a text grows its end is shown as if it were closed."""
    for half, shown in [("say **bo", "say bo"), ("say **", "say "), ("see [li", "see li"),
                        ("see [link](htt", "see link"), ("run `x = ", "run x ="), ("a *b", "a b"),
                        ("```py\nx", "x"), ("2 * 3", "2 * 3"), ("| a | b |\n|--", "ab")]:
        text = page.evaluate("""half => { const node = el("div"); render(node, half, true);
            return (node.querySelector("pre") || node).textContent }""", half)
        assert text == shown, half


def test_growing_text_is_shown_as_the_whole_is(page):
    grown, whole = page.evaluate("""text => { const a = el("div"), b = el("div");
        for (let i = 1; i <= text.length; i++) render(a, text.slice(0, i), i < text.length);
        render(b, text); return [a.outerHTML, b.outerHTML] }""", DOCUMENT)
    assert grown == whole


def test_nothing_that_a_message_says_is_run(page, running):
    name = seeded(running, EVIL, EVIL, f"```{EVIL}\n{EVIL}", f"| {EVIL} |\n|---|\n| {EVIL} |")
    running.ask(f"/threads/{name}", {"title": EVIL}, "PATCH")
    opened(page, name)
    page.wait_for_selector("article.assistant table")
    page.fill("#find", "bold")
    page.wait_for_selector("#list small")
    assert page.evaluate("window.hit") is None
    made = "#log img, #log b, #log script, #list img, a[href^=javascript]"
    assert page.locator(made).count() == 0
    assert "<b>not bold</b>" in page.text_content("article.assistant .text")


def test_no_other_site_can_ask(page, running):
    """A form, a request and a message from another page: nothing is read, begun or sent."""
    before = len(running.ask("/threads")[1])
    here = f"http://127.0.0.1:{running.port}"
    other = page.context.new_page()
    other.route("http://evil.example/**", lambda route: route.fulfill(
        content_type="text/html", body=f"""<form method=post enctype=text/plain
        action={here}/threads><input name='{{"settings":{{}}, "x":"' value='"}}'></form><script>
        fetch("{here}/threads", {{method: "POST", body: "{{}}", mode: "no-cors"}})
          .catch(() => 0).then(() => document.forms[0].submit())</script>"""))
    other.goto("http://evil.example/")
    other.wait_for_url(f"{here}/threads")
    assert "is not this server's" in other.content()
    other.close()
    page.evaluate("""postMessage({q: "Do it", type: "send"}, "*")""")
    page.wait_for_timeout(100)
    assert len(running.ask("/threads")[1]) == before


def test_an_answer_in_another_window_is_waited_for(page, running, slow):
    page.evaluate("Object.assign(options, {max_tokens: 60, temperature: 5})")
    send(page, "Tell me")
    true(page, "state.used > 40")
    other = page.context.new_page()
    opened_there = page.url
    other.goto(opened_there)
    other.wait_for_selector("text=being written in another window")
    assert other.locator("text=Go on").first.is_visible() is False
    ended(page)
    whole = page.evaluate("[...state.byId.values()].at(-1).content")
    true(other, f"[...state.byId.values()].at(-1).content === {json.dumps(whole)}")
    other.wait_for_selector("text=being written in another window", state="detached")
    # both windows ask: two branches, and nothing is lost
    other.evaluate("Object.assign(options, {max_tokens: 3})")
    page.evaluate("Object.assign(options, {max_tokens: 3})")
    ask(page, "One")
    ask(other, "Two")
    assert [one["content"] for one in stored(running, page)["messages"]
            if one["role"] == "user"] == ["Tell me", "One", "Two"]
    page.evaluate("reload()")
    page.wait_for_selector("article.user >> text=Two")
    other.close()


def test_a_full_disk_is_told_in_the_page(page, running):
    base = running.page.threads.base
    ask(page, "First")
    size, = base.execute("PRAGMA page_count").fetchone()
    base.execute(f"PRAGMA max_page_count = {size}")
    page.fill("#ask", "x" * 20000)
    page.press("#ask", "Enter")
    page.wait_for_selector("#status >> text=the disk is full")
    assert len(page.input_value("#ask")) == 20000        # it is still there to be sent
    base.execute(f"PRAGMA max_page_count = {size + 9999}")
    assert len(stored(running, page)["messages"]) == 2


def test_a_question_in_the_address_waits_for_the_user(page, running):
    before = len(running.ask("/threads")[1])
    page.goto(f"http://127.0.0.1:{running.port}/?q=Delete+everything")
    true(page, "document.querySelector('#ask').value === 'Delete everything'")
    page.wait_for_timeout(300)
    assert len(running.ask("/threads")[1]) == before
    assert all(worker.size == 0 for worker in running.workers.values())


def test_a_long_thread_opens_quickly(page, running):
    name = seeded(running, *(f"Message {i} **bold**\n\n- a\n- b" for i in range(300)))
    opened(page, name)
    assert page.evaluate("show(), document.querySelectorAll('article').length") == 40
    true(page, "document.querySelectorAll('article').length === 300")
    page.wait_for_selector("article:last-child strong")
    assert page.locator("article.assistant strong").count() < 100      # those that are near
    assert page.evaluate("document.querySelector('article .text').textContent[8]") == "0"
    assert page.evaluate("""() => { const start = performance.now(); show();
        document.body.offsetHeight; return performance.now() - start }""") < 1000


def test_the_page_does_not_scroll_while_the_user_reads_above(page, running, slow):
    opened(page, seeded(running, *("long text\n\n" * 20 for _ in range(6))))
    page.evaluate("Object.assign(options, {max_tokens: 90, temperature: 5})")
    send(page, "more")
    true(page, "!!state.running && state.used > 0")
    page.mouse.move(600, 300)
    page.mouse.wheel(0, -400)
    page.wait_for_selector("#down:not([hidden])")
    place_before = page.evaluate("document.querySelector('#scroll').scrollTop")
    ended(page)
    assert abs(page.evaluate("document.querySelector('#scroll').scrollTop") - place_before) < 5


def test_keys_and_names_are_enough(page, running):
    """Every control has a name, and the keyboard reaches what matters."""
    opened(page, seeded(running, "q", "a"))
    unnamed = page.evaluate("""[...document.querySelectorAll("button, input, select, textarea, a")]
        .filter(one => one.checkVisibility() && !(one.getAttribute("aria-label") ||
                one.textContent.trim() || one.title)).map(one => one.outerHTML)""")
    assert not unnamed
    page.focus("#ask")
    page.keyboard.press("Control+Shift+O")
    page.wait_for_selector(".empty")
    assert page.evaluate("document.activeElement.id") == "ask"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_serious(page, running, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page.set_viewport_size({"width": width, "height": 800})
    page.evaluate(f"theme('{scheme}')")
    name = seeded(running, "q", DOCUMENT, "again", "a")
    call = {"name": "python", "text": "6 * 7", "said": 0, "thought": 0, "result": "42",
            "figures": []}
    running.threads.append(running.threads.read(name)["head"], "", "Hm", [], [call])

    def check(what):
        found = axe.Axe().run(page).response["violations"]
        assert not [(what, one["id"], [node["html"][:200] for node in one["nodes"]])
                    for one in found if one["impact"] in ("serious", "critical")]
    check("empty")
    opened(page, name)
    page.click("details.run summary")
    check("chat")
    for button in "#set", "#mine", "#export":
        if button != "#set" and width == 390:
            page.click("#menu")
        page.click(button)
        check(button)
        page.keyboard.press("Escape")
        page.evaluate("document.body.classList.remove('open')")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(page, running, width):
    page.set_viewport_size({"width": width, "height": 800})
    opened(page, seeded(running, "x" * 300, DOCUMENT + "\n```\n" + "y" * 300 + "\n```"))
    page.wait_for_selector("article.assistant pre")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width == 390:
        page.click("#menu")
        page.click("#list a >> nth=0")
        page.wait_for_selector("body:not(.open)")
