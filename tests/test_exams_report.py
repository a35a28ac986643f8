"""The HTML report: whole, inert, and its charts show the figures."""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from data.exams.formats import Question
from data.exams.report import COLOURS, SHOWN, VERDICTS, page
from data.exams.run import Answer, Outcome

EVIL = ["<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>",
        "</dd></dl><script>alert(1)</script>", "<a href='javascript:alert(1)'>x</a>",
        "![x](http://evil.example/?q=1)", "\x1b[31m\r\n",
        "\"'><style>*{display:none}</style>", "<title>x</title>", "&lt;b&gt;"]
HARMLESS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "span", "svg",
            "rect", "line", "text", "polyline", "circle", "table", "tr", "th", "td", "small",
            "details", "summary", "dl", "dt", "dd"}


def outcome(label, shares, kind="named", shown=(), worked=""):
    """A model that has each measure right in this many of 10 answers."""
    answers = [Answer(Question(exam, "1", kind, "?", "", worked), list(shown),
                      [(exam, {measure: k < share for measure, share in measures.items()})])
               for exam, measures in shares.items() for k in range(10)]
    return Outcome(label, f"runs/{label}", answers, [])


class Tags(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_data(self, data):
        self.text += data


def charts(html):
    """{title: SVG} of each chart; ParseError if one is not well-formed."""
    found = re.findall(r"<h2>([^<]*)</h2>\n(?:<p>.*</p>\n)?(<svg.*?</svg>)", html, re.DOTALL)
    return {title: ElementTree.fromstring(svg) for title, svg in found}


def test_nothing_that_anybody_said_becomes_markup():
    evil = "\n".join(EVIL)
    html = page([outcome(evil, {evil: {"": 5}, "facts_many": {"": 3}, "recall_pages_1": {"": 2},
                                "facts_none": {"": 0, "declined": 1, "made_up": 9}}, "letter",
                         [("assistant", evil), ("result", evil), (evil, evil)], evil)], [evil])
    found = Tags(html)
    assert {*found.tags} <= HARMLESS
    assert not [(name, value) for name, value in found.attributes
                if name.startswith("on") or name in ("href", "src") or "http" in (value or "")]
    assert found.text.count("onerror=alert(1)") >= 30       # it is all there, as text
    assert "default-src 'none'" in html
    charts(html)


def test_a_report_of_hardly_anything_is_whole():
    html = page([outcome("base", {"traps": {"": 0}})], [])
    assert [*charts(html)] == ["Spelling and counting letters; 9.11 and 9.9"]
    assert html.startswith("<!DOCTYPE html>") and html.endswith("</body></html>\n")


def test_bars_are_as_high_as_their_figures():
    html = page([outcome("base", {"facts_many": {"": 10}, "facts_few": {"": 5}}),
                 outcome("sft", {"facts_few": {"": 0}})], [])
    svg = charts(html)["Facts asked for, by how many pages tell of their subject"]
    found = [(rect.get("fill"), float(rect.get("height"))) for rect in svg.iter("rect")]
    whole = found[0][1]
    assert found == [(COLOURS[0], whole), (COLOURS[0], pytest.approx(whole / 2)), (COLOURS[1], 0)]
    titles = [rect.find("title").text for rect in svg.iter("rect")]
    assert titles[1] == "base, few: 50.0 % (24–76, n = 10)"
    assert {text.text for text in svg.iter("text")} >= {"many", "few", "0%", "100%"}


def test_what_is_made_up_declined_and_right_is_stacked_to_the_whole():
    nothing = {"facts_none": {"": 1, "declined": 3, "made_up": 7},
               "search_facts_unread": {"": 8, "declined": 1, "made_up": 1}}
    svg = charts(page([outcome("probed", nothing)], []))[
        "Asked about what no page tells: what it says"]
    found = [(rect.get("fill"), float(rect.get("width"))) for rect in svg.iter("rect")]
    whole = found[0][1] + found[1][1]
    assert [fill for fill, _ in found] == [VERDICTS[verdict] for verdict in (
        "declined", "made up", "right", "declined", "made up")]
    assert [wide / whole for _, wide in found] == pytest.approx([0.3, 0.7, 0.8, 0.1, 0.1])


def test_curves_run_from_few_pages_to_many():
    shares = {"recall_pages_100": {"": 9}, "recall_pages_0": {"": 1}, "recall_pages_4_9": {"": 5},
              "asked_pages_0": {"": 0, "declined": 2, "made_up": 8}}
    svg = charts(page([outcome("sft", shares)], []))[
        "Facts by the pages that state them: completed, and asked for (dashed)"]
    asked, recall = [[tuple(map(float, point.split(","))) for point in
                      line.get("points").split()] for line in svg.iter("polyline")]
    assert len(recall) == 3 and len(asked) == 1
    assert [x for x, _ in recall] == sorted(x for x, _ in recall)
    assert [y for _, y in recall] == sorted((y for _, y in recall), reverse=True)
    assert [text.text for text in svg.iter("text")][-3:] == ["0", "4", "100"]


def test_all_of_identity_and_a_handful_of_other_answers_are_quoted():
    html = page([outcome("sft", {"identity": {"": 4}, "traps": {"": 5}}, "named",
                         [("user", "Who?"), ("assistant", "It is me.")], "Wren")], [])
    assert html.count("It is me.") == 10 + SHOWN
    assert html.count("<dt>expected</dt><dd>Wren</dd>") == 10 + SHOWN
    assert "<dd>traps: yes</dd>" in html


def test_figures_of_published_exams_have_a_chart_of_their_own():
    html = page([outcome("sft", {"gsm8k": {"strict": 4, "lenient": 6}}, "number")], [])
    svg = charts(html)["Published exams"]
    assert {text.text for text in svg.iter("text")} >= {"gsm8k_lenient", "gsm8k_strict"}
