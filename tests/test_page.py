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
from data.chat.threads import Threads
from infer import Serve
from test_server import Running, place, until  # noqa: F401  (fixtures)
from test_turn import random_model, tokenizer  # noqa: F401

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
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
    one = Running(settings, routes.routes(file))
    one.threads = Threads(file)
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
    true(page, "document.querySelectorAll('article').length === 300")
    page.wait_for_selector("article:last-child strong")
    assert page.locator("article.assistant strong").count() < 100      # those that are near
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
