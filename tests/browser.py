"""A browser for tests of infer.html: a server, a page, and what they are asked to do."""

import json
import shutil
import time

import pytest

from data.chat import page as routes
from data.chat import search
from data.chat.server import Worker
from data.chat.threads import Threads
from infer import Serve
from test_server import Running, place, until  # noqa: F401  (fixtures)
from test_turn import engine, random_model, tokenizer  # noqa: F401

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, (
    "chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no Chromium")
EVIL = ("<img src=x onerror='window.hit=1'><script>window.hit=2</script><svg onload='window.hit=3'>"
        " [a](javascript:window.hit=4) ![b](http://evil.example/?q=1) <b>not bold</b>")


@pytest.fixture(scope="module")
def running(place, tmp_path_factory):  # noqa: F811
    settings = Serve(model=[str(place), f"other={place}"], dtype="f32", device="cpu")
    file = tmp_path_factory.mktemp("chats") / "chats.db"
    index, pages = file.with_name("search.db"), file.with_name("pages.jsonl")
    pages.write_text(json.dumps({"url": "https://e.org/light", "text": f"Light\n{EVIL} Red."}))
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

    def says(*texts, context=2000, pause=0):
        one = engine(tokenizer, *texts, context=context)
        draw = one.model.draw
        one.model.draw = lambda *a, **how: (time.sleep(pause) or draw(*a)[0], [0.0] * len(a[0]),
                                            None)
        models.places["said"], models.workers["said"] = None, Worker(one)
        page.evaluate("""() => { $("model").append(el("option", {value: "said"}, "said"));
            $("model").value = "said"; Object.assign(options, {alternatives: false,
            temperature: 0, max_tokens: 500}); $("model").onchange() }""")
        true(page, "state.off.think === null")
    yield says
    models.workers.pop("said", None)
    models.places.pop("said", None)
