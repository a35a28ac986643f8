"""infer.html in a browser: what it shows, and what nobody may do to its user."""

import json

import pytest

from browser import (EVIL, ask, browser, ended, needs_chromium, opened, page,  # noqa: F401
                     place, random_model, running, said, seeded, send, slow, stored, tokenizer,
                     true)

pytestmark = needs_chromium
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


def test_thoughts_are_folded_into_a_line(page, running):
    name = seeded(running, "q", "a")
    running.threads.append(running.threads.read(name)["head"], "", "I had to think", [])
    opened(page, name)
    page.wait_for_selector("details.run")
    assert page.text_content("details.run summary") == "Thought (4 words)"
    assert not page.is_visible("text=I had to think")
    page.click("details.run summary")
    page.wait_for_selector("text=I had to think")


def test_a_chat_whose_last_question_is_too_long_is_there_after_a_reload(page, running):
    opened(page, seeded(running, "q", "a", "long text\n\n" * 200))
    page.reload()
    page.wait_for_selector("text=shorten it")
    assert page.locator("article").count() == 3


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


def test_an_answer_in_another_window_is_waited_for(page, running, said):
    said("ab" * 5000, context=9000, pause=0.05)
    page.evaluate("options.max_tokens = 8000")
    send(page, "Tell me")
    true(page, "state.used > 40")
    other = page.context.new_page()
    other.goto(page.url)
    other.wait_for_selector("text=being written in another window")
    assert other.locator("text=Go on").first.is_visible() is False
    page.click("#send")
    ended(page)
    whole = page.evaluate("[...state.byId.values()].at(-1).content")
    true(other, f"[...state.byId.values()].at(-1).content.startsWith({json.dumps(whole)})")
    other.wait_for_selector("text=being written in another window", state="detached")
    # both windows ask: two branches, and nothing is lost
    other.evaluate("Object.assign(options, {max_tokens: 3})")
    page.evaluate("Object.assign(options, {max_tokens: 3})")
    ask(page, "One")
    ask(other, "Two")
    assert [one["content"] for one in stored(running, page)["messages"]
            if one["role"] == "user"] == ["Tell me", "One", "Two"]
    page.evaluate("reload()")
    page.wait_for_selector("article.user .acts >> text=/[12].2/")
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
    page.wait_for_timeout(500)                   # a wheel's turn is spread over some frames
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
