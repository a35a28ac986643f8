"""The HTML report: whole, inert, and its charts show the figures."""

import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from csrc.plot import picture
from data.exams import report
from data.exams.formats import Question
from data.exams.report import SHOWN, page
from data.exams.run import Answer, Outcome

EVIL = ["<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>",
        "</dd></dl><script>alert(1)</script>", "<a href='javascript:alert(1)'>x</a>",
        "![x](http://evil.example/?q=1)", "\x1b[31m\r\n",
        "\"'><style>*{display:none}</style>", "<title>x</title>", "&lt;b&gt;", "$\\frac$"]
HARMLESS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "img",
            "table", "tr", "th", "td", "small", "details", "summary", "dl", "dt", "dd"}


def outcome(label, shares, kind="named", shown=(), worked=""):
    """A model that has each measure right in this many of 10 answers."""
    answers = [Answer(Question(exam, "1", kind, "?", "", worked), list(shown),
                      [(exam, {measure: k < share for measure, share in measures.items()})])
               for exam, measures in shares.items() for k in range(10)]
    return Outcome(label, f"runs/{label}", answers, [])


class Tags(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.all, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.all.append((tag, attributes))

    def handle_data(self, data):
        self.text += data


def titles(html):
    """Of the charts; each is an image inside the page."""
    images = [dict(attributes) for tag, attributes in Tags(html).all if tag == "img"]
    assert all(image["src"].startswith("data:image/png;base64,iVBOR") for image in images)
    return [image["alt"] for image in images]


def test_nothing_that_anybody_said_becomes_markup():
    evil = "\n".join(EVIL)
    html = page([outcome(evil, {evil: {"": 5}, "facts_many": {"": 3}, "recall_pages_1": {"": 2},
                                "facts_none": {"": 0, "declined": 1, "made_up": 9}}, "letter",
                         [("assistant", evil), ("result", evil), (evil, evil)], evil)], [evil])
    found = Tags(html)
    assert {tag for tag, _ in found.all} <= HARMLESS
    assert not [(name, value) for tag, attributes in found.all for name, value in attributes
                if name.startswith("on") or name == "href" or "http:" in (value or "")
                or name == "src" and not value.startswith("data:image/png;base64,")]
    assert found.text.count("onerror=alert(1)") >= 30       # it is all there, as text
    assert "default-src 'none'" in html and "\x1b" not in html
    assert len(titles(html)) == 5


def test_a_report_of_hardly_anything_is_whole():
    html = page([outcome("base", {"traps": {"": 0}})], [])
    assert titles(html) == ["Spelling and counting letters; 9.11 and 9.9"]
    assert html.startswith("<!DOCTYPE html>") and html.endswith("</body></html>\n")


def figure(value):
    return {"value": value, "low": value / 2, "high": 1.0, "n": 10}


def test_bars_are_as_high_as_their_figures():
    with picture() as (_, axes):
        report.bars(axes, {"many": {"base": figure(1)}, "few": {"base": figure(0.5),
                                                                "sft": figure(0)}})
        assert [[bar.get_height() for bar in bars] for bars in axes.containers
                if hasattr(bars, "patches")] == [[100, 50], [0]]
        assert [text.get_text() for text in axes.get_xticklabels()] == ["many", "few"]
        places = [[bar.get_x() + bar.get_width() / 2 for bar in bars] for bars in axes.containers
                  if hasattr(bars, "patches")]
        assert places == [[pytest.approx(-0.2), pytest.approx(0.8)], [pytest.approx(1.2)]]


def test_what_is_made_up_declined_and_right_is_stacked_to_the_whole():
    of = {"facts_none_declined": figure(0.3), "facts_none_made_up": figure(0.7),
          "search_facts_unread": figure(0.8), "search_facts_unread_declined": figure(0.1),
          "search_facts_unread_made_up": figure(0.1)}
    rows = report.unknowable({"probed": of})
    assert rows == {"probed": {"declined": 0.3, "made up": 0.7},
                    "probed, with search": {"right": 0.8, "declined": 0.1, "made up": 0.1}}
    with picture() as (_, axes):
        report.stacked(axes, rows)
        found = [[(bar.get_x(), bar.get_width()) for bar in bars] for bars in axes.containers]
    for (a, b), expected in zip(zip(*[[*map(list, bars)] for bars in found][:2]),
                                ((0, 30), (80, 10))):
        assert a[0] + a[1] == pytest.approx(b[0]) and b == pytest.approx(list(expected))


def test_curves_run_from_few_pages_to_many():
    found = report.by_pages({"sft": {f"recall_{name}": figure(value) for name, value in
                                     (("pages_100", 0.9), ("pages_0", 0.1), ("pages_4_9", 0.5))}
                             | {"asked_pages_0": figure(0), "asked_pages_0_made_up": figure(1)}})
    assert {key: [x for x, _ in points] for key, points in found.items()} == {
        ("sft", False): [0, 4, 100], ("sft", True): [0]}
    with picture() as (_, axes):
        report.curves(axes, found)
        assert [[*line.get_ydata()] for line in axes.lines] == [[10, 50, 90], [0]]
        assert [line.get_linestyle() for line in axes.lines] == ["-", "--"]


def test_all_of_identity_and_a_handful_of_other_answers_are_quoted():
    html = page([outcome("sft", {"identity": {"": 4}, "traps": {"": 5}}, "named",
                         [("user", "Who?"), ("assistant", "It is me.")], "Wren")], [])
    assert html.count("It is me.") == 10 + SHOWN
    assert html.count("<dt>expected</dt><dd>Wren</dd>") == 10 + SHOWN
    assert "<dd>traps: yes</dd>" in html


def test_figures_of_published_exams_have_a_chart_of_their_own():
    html = page([outcome("sft", {"gsm8k": {"strict": 4, "lenient": 6}}, "number")], [])
    assert titles(html) == ["Published exams"]


@pytest.mark.parametrize("text", ["$x", "$\\frac", "\udc80", "a\x1b[31m\n\u202e", "\0", "亀 é"])
@pytest.mark.filterwarnings("ignore:Glyph")
def test_a_picture_shows_any_text(text):
    with picture(rows=1, columns=1) as (figure, axes):
        axes.plot([1, 2], label=text)
        axes.set(title=text, xlabel=text)
        axes.legend()
    assert figure.png.startswith(b"\x89PNG")


def test_dialogues_and_the_readiness_to_decline_have_their_charts():
    talks = {f"dialogue_{number}": {"": 5} for number in ("first", "second", "later")}
    curves = {"facts_many": [(0.0, 0.0), (0.5, 0.7), (1.0, 0.9)]}
    model = outcome("sft", talks)._replace(curves=curves)
    assert titles(page([model], [])) == [
        "Dialogues: turns that are right, by their number",
        "Right, against what is made up, as the readiness to decline varies"]
    with picture() as (_, axes):
        report.tradeoffs(axes, {("sft", "facts_many"): curves["facts_many"]})
        line, = axes.get_lines()
    assert [*line.get_xdata()] == [0, 50, 100] and [*line.get_ydata()] == [0, 70, 90]
