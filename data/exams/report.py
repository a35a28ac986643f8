"""The report of `infer.py eval`: a page that needs nothing else, with charts and transcripts.

The charts are SVG written here: some thirty rectangles each, that follow the colours of the page,
dark or light. Whatever a model, a page or a tool said is escaped, and the policy in the head lets
the browser fetch and run nothing.
"""

import math
import re
from html import escape as escaped

from data.chat.tools import CONTROLS

SHOWN = 6               # transcripts of an exam; all of those in ALL
ALL = ("identity",)     # a few fixed questions, whose answers people want to read
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 760, 260, 44, 12, 28     # of a chart and its margins, in pixels
COLOURS = ["#4477cc", "#dd8833", "#449966", "#bb4466", "#8866bb", "#888833", "#338899", "#996644"]
VERDICTS = {"right": "#449966", "declined": "#8899aa", "made up": "#cc5544"}
LONGEST = 4000          # characters of what one says that are shown
# Charts of bars: the title, what is under the bars, and the figures that they show.
BARS = [
    ("Facts asked for, by how many pages tell of their subject", {
        "many, in no conversation": "facts_many_heldout", "many": "facts_many",
        "tens": "facts_tens", "few": "facts_few", "one": "facts_one", "none": "facts_none"}),
    ("Knowing and telling: facts of many pages, completed and asked for", {
        "completed": "recall_completion", "asked for": "facts_many",
        "completed, in no conversation": "recall_completion_heldout",
        "asked for, in no conversation": "facts_many_heldout"}),
    ("Word problems, by the way to solve them", {
        "at once": "word_at_once", "step by step": "word_steps", "with Python": "word_python"}),
    ("Spelling and counting letters; 9.11 and 9.9", {
        "spelling": "spelling_model", "spelling with Python": "spelling_tool", "traps": "traps"}),
    ("Who it is: its name and its maker", {
        "without a system message": "identity", "as a system message says": "identity_system"}),
    ("Tools", {
        "the right one is called": "tool_use", "called without need": "tool_use_unneeded",
        "unread pages, right": "search_facts_unread", "with the right address": "search_url_right"})
]
PAGES = re.compile(r"(recall|asked)_pages_([0-9]+)(_[0-9]+)?")    # by pages that state a fact

STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 800px; margin: 2em auto; padding: 0 1em }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2em }
svg { width: 100%; height: auto; font-size: 12px } svg text { fill: currentColor }
line { stroke: currentColor }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
td, th { padding: 2px 10px; text-align: right; border-bottom: 1px solid #8884 }
td:first-child { text-align: left } small { opacity: .65 }
.key { display: inline-block; width: .8em; height: .8em; margin: 0 .4em 0 1em }
details { margin: .4em 0 } summary { cursor: pointer }
dl { margin: .6em 0 1.2em; padding-left: .8em; border-left: 3px solid #8886 }
dt { font-size: 12px; opacity: .65 } dd { margin: 0 0 .4em; white-space: pre-wrap;
overflow-wrap: anywhere }
"""
HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Exams</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width"><style>{}</style></head><body>
<h1>Exams</h1>
"""


def page(outcomes, said) -> str:
    """Return the HTML about some models.

    outcomes  exams_run.Outcome of each: its label, figures, answers
    said      sentences about what was left out
    """
    figures = {outcome.label: outcome.figures for outcome in outcomes}
    colours = dict(zip(figures, COLOURS * len(figures)))
    parts = [HEAD.format(STYLE), legend(colours)]
    for title, names in BARS:
        parts += chart(title, bars({below: {label: of.get(name) for label, of in figures.items()}
                                    for below, name in names.items()}, colours))
    parts += chart("Asked about what no page tells: what it says", stacked(about_nothing(figures)),
                   VERDICTS)
    curves = by_pages(figures)
    parts += chart("Facts by the pages that state them: completed, and asked for (dashed)",
                   lines(curves, colours))
    published = {answer.question.exam for outcome in outcomes for answer in outcome.answers
                 if answer.question.kind in ("number", "letter", "ending", "text", "code", "call")}
    parts += chart("Published exams", bars(
        {name: {label: of.get(name) for label, of in figures.items()}
         for name in sorted(set().union(*figures.values()))
         if any(name.startswith(f"{exam}_") for exam in published)}, colours))
    parts += ["<h2>All figures</h2>", "<p>Shares with their 95 % intervals (Wilson) and the number "
              "of questions.</p>", all_figures(figures)]
    parts += [f"<p>{escape(sentence)}</p>" for sentence in said]
    parts += ["<h2>What they say</h2>", *map(transcripts, outcomes)]
    return "\n".join([*parts, "</body></html>\n"])


def legend(colours) -> str:
    return "<p>" + "".join(f'<span class="key" style="background:{colour}"></span>{escape(name)}'
                           for name, colour in colours.items()) + "</p>"


def chart(title, svg, colours=None) -> list[str]:
    """Return the parts of a page that show a chart, none if it is empty."""
    return [f"<h2>{title}</h2>", *([legend(colours)] if colours else []), svg] if svg else []


# ------------------------------------------------------------------------------------------- charts

def bars(groups, colours) -> str:
    """Return a chart of {what stands below: {series: figure or None}}, "" if there is no figure."""
    groups = {below: {series: figure for series, figure in of.items() if figure}
              for below, of in groups.items()}
    groups = {below: of for below, of in groups.items() if of}
    if not groups:
        return ""
    parts, step = [], (WIDTH - LEFT) / len(groups)
    thick = min(48, 0.8 * step / len(colours))
    for k, (below, of) in enumerate(groups.items()):
        middle = LEFT + (k + 0.5) * step
        for i, (series, figure) in enumerate(of.items()):
            x = middle + (i - len(of) / 2) * thick
            y, low, high = (height(figure[key]) for key in ("value", "low", "high"))
            parts.append(f'<rect x="{x + 1:.1f}" y="{y:.1f}" width="{thick - 2:.1f}" '
                         f'height="{height(0) - y:.1f}" fill="{colours[series]}">'
                         f"<title>{escape(f'{series}, {below}: {told(figure)}')}</title></rect>"
                         f'<line x1="{x + thick / 2:.1f}" x2="{x + thick / 2:.1f}" y1="{low:.1f}" '
                         f'y2="{high:.1f}" opacity=".6"/>')
        parts.append(centred(middle, HEIGHT - 8, below, step))
    return svg(parts)


def stacked(rows) -> str:
    """Return a chart of {row: {verdict: share}}, a bar a row."""
    parts = []
    for k, (row, shares) in enumerate(rows.items()):
        y, x = 30 * k + 4, 200
        parts.append(f'<text x="192" y="{y + 15}" text-anchor="end">{escape(row)}</text>')
        for verdict, share in shares.items():
            wide = share * (WIDTH - 200)
            parts.append(f'<rect x="{x:.1f}" y="{y}" width="{wide:.1f}" height="22" '
                         f'fill="{VERDICTS[verdict]}"><title>{verdict}: {share:.1%}</title></rect>')
            if wide > 40:
                parts.append(f'<text x="{x + wide / 2:.1f}" y="{y + 15}" text-anchor="middle">'
                             f"{share:.0%}</text>")
            x += wide
    return svg(parts, 30 * len(rows), scale=False) if rows else ""


def lines(curves, colours) -> str:
    """Return a chart of {(series, dashed): [(x, figure)]}, x on a log scale; 0 stands before 1."""
    if not curves:
        return ""
    places = sorted({x for points in curves.values() for x, _ in points})
    most = math.log2(max(places[-1], 1)) + 1
    across = {x: LEFT + 20 + (WIDTH - LEFT - 60) * (math.log2(x) + 1 if x else 0) / most
              for x in places}
    parts = [centred(across[x], HEIGHT - 8, str(x), 60) for x in places]
    for (series, dashed), points in curves.items():
        path = " ".join(f"{across[x]:.1f},{height(figure['value']):.1f}" for x, figure in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colours[series]}" '
                     f'stroke-width="2" stroke-dasharray="{"5 4" if dashed else "none"}"/>')
        parts += [f'<circle cx="{across[x]:.1f}" cy="{height(figure["value"]):.1f}" r="4" '
                  f'fill="{colours[series]}"><title>'
                  f"{escape(f'{series}, {x} pages or more: {told(figure)}')}</title></circle>"
                  for x, figure in points]
    return svg(parts)


def height(share):
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)


def centred(x, y, text, room) -> str:
    """A text, squeezed where it is wider than `room` pixels."""
    squeezed = f' textLength="{room - 6:.0f}" lengthAdjust="spacingAndGlyphs"'
    return (f'<text x="{x:.1f}" y="{y}" text-anchor="middle"'
            f'{squeezed if 6.5 * len(text) > room else ""}>{escape(text)}</text>')


def svg(parts, tall=HEIGHT, scale=True) -> str:
    """A picture of parts, before a scale from 0 to 100 %."""
    grid = [f'<line x1="{LEFT}" x2="{WIDTH}" y1="{height(share):.1f}" y2="{height(share):.1f}" '
            f'opacity=".15"/><text x="{LEFT - 6}" y="{height(share) + 4:.1f}" text-anchor="end">'
            f"{share:.0%}</text>" for share in (0, 0.25, 0.5, 0.75, 1) if scale]
    return "\n".join([f'<svg viewBox="0 0 {WIDTH} {tall}" role="img">', *grid, *parts, "</svg>"])


def told(figure) -> str:
    value, low, high = (100 * figure[key] for key in ("value", "low", "high"))
    return f"{value:.1f} % ({low:.0f}–{high:.0f}, n = {figure['n']})"


# ---------------------------------------------------------------------------------- what they show

def about_nothing(figures) -> dict:
    """{row: {verdict: share}} of questions about things on no page that a model has read, without
    and with search."""
    rows = {}
    for label, of in figures.items():
        if "facts_none_declined" in of:
            rows[label] = {"declined": of["facts_none_declined"]["value"],
                           "made up": of["facts_none_made_up"]["value"]}
        if "search_facts_unread" in of:
            rows[f"{label}, with search"] = {
                "right": of["search_facts_unread"]["value"],
                "declined": of["search_facts_unread_declined"]["value"],
                "made up": of["search_facts_unread_made_up"]["value"]}
    return rows


def by_pages(figures) -> dict:
    """{(model, whether by question): [(least pages, figure)]}."""
    curves = {}
    for label, of in figures.items():
        for name, figure in of.items():
            if found := PAGES.fullmatch(name):
                curves.setdefault((label, found[1] == "asked"), []).append((int(found[2]), figure))
    return {key: sorted(points, key=lambda point: point[0]) for key, points in curves.items()}


def all_figures(figures) -> str:
    rows = ["<table><tr><th></th>" + "".join(f"<th>{escape(label)}</th>" for label in figures)]
    for name in sorted(set().union(*figures.values()), key=natural):
        cells = [told(of[name]).replace(" (", " <small>(") + "</small>" if name in of else "–"
                 for of in figures.values()]
        rows.append(f"<tr><td>{escape(name)}</td>" + "".join(f"<td>{cell}</td>" for cell in cells))
    return "\n".join([*rows, "</table>"])


def natural(name) -> list:
    """The key by which names are sorted so that 2 stands before 10."""
    return [int(part) if part.isdecimal() else part for part in re.split("([0-9]+)", name)]


def transcripts(outcome) -> str:
    """The first answers of each exam, folded away."""
    by_exam = {}
    for answer in outcome.answers:
        by_exam.setdefault(answer.question.exam, []).append(answer)
    parts = [f"<h3>{escape(outcome.label)}</h3>"]
    for exam, answers in by_exam.items():
        parts.append(f"<details><summary>{escape(exam)}</summary>")
        parts += map(transcript, answers if exam in ALL else answers[:SHOWN])
        parts.append("</details>")
    return "\n".join(parts)


def transcript(answer) -> str:
    verdict = ", ".join(f"{measure or exam}: {'yes' if has else 'no'}"
                        for exam, marks in answer.results for measure, has in marks.items())
    said = [*answer.shown, ("expected", answer.question.worked), ("verdict", verdict)]
    return "<dl>" + "".join(f"<dt>{escape(who)}</dt><dd>{escape(shortened(text))}</dd>"
                            for who, text in said) + "</dl>"


def escape(text) -> str:
    """Text for HTML, with marks for what a browser might obey: controls, marks of direction."""
    return escaped(CONTROLS.sub("\ufffd", text))


def shortened(text) -> str:
    return text if len(text) <= LONGEST else f"... {text[-LONGEST:]}"
