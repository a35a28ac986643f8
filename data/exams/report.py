"""The figures of `infer.py eval`: as a table, as JSON and as a page with charts and transcripts.

The page needs nothing else: its charts are images inside it. Whatever a model, a page or a tool
said is escaped, and the policy in the head lets the browser fetch and run nothing.
"""

import json
import re
from base64 import b64encode
from html import escape as escape_html
from pathlib import Path
from statistics import mean, stdev

from csrc.files import ChatError, read_json
from csrc.plot import COLOURS, picture
from csrc.shown import plain

SHOWN = 6               # transcripts of an exam; all of those in ALL
ALL = ("identity",)     # a few fixed questions, whose answers people want to read
LONGEST = 4000          # characters of what one says that are shown
VERDICTS = {"right": "#449966", "declined": "#8899aa", "made up": "#cc5544"}
PUBLISHED = ("number", "math", "letter", "ending", "text", "code", "call",
             "instructions")     # kinds of questions
BY_PAGES = re.compile(r"(recall|asked)_pages_([0-9]+)(_[0-9]+)?")   # by pages that state a fact
# Charts of bars: {title: {what is under a bar: the figure that it shows}}; and of several models
# figures that are one model's, by its label: {label: {name: its figure}}.
BARS, HEADLINES = json.loads(Path(__file__).with_name("charts.json").read_bytes()).values()
HEAD = Path(__file__).with_name("report.html").read_text("utf-8")


# ------------------------------------------------------------------------------- a table, and JSON

def combined(outcomes) -> dict:
    """Return {"model", "figures"}: of one model as they are called; of several with LABEL_ before
    them, and the HEADLINES beside."""
    if len(outcomes) == 1:
        return {"model": outcomes[0].folder, "figures": outcomes[0].figures}
    of = {outcome.label: outcome.figures for outcome in outcomes}
    figures = {name: of[label][figure] for label, names in HEADLINES.items()
               for name, figure in names.items() if figure in of.get(label, {})}
    figures |= {f"{label}_{name}": figure for label in of for name, figure in of[label].items()}
    return {"model": {outcome.label: outcome.folder for outcome in outcomes}, "figures": figures}


def rows_of(figures):
    """Yield (name, [(value, low and high end in %, n), or None, of each model]) of all figures, so
    that 2 stands before 10.

    figures  those of each model
    """
    for name in sorted(set().union(*figures), key=lambda name: [
            int(part) if part.isdecimal() else part for part in re.split("([0-9]+)", name)]):
        yield name, [name in of and (*(100 * of[name][key] for key in ("value", "low", "high")),
                                     of[name]["n"]) for of in figures]


def table(outcomes) -> str:
    """Return a line a figure and a column a model: its value, 95 % interval and n."""
    rows = [*rows_of([outcome.figures for outcome in outcomes])]
    width = max((len(name) for name, _ in rows), default=0)
    lines = [" " * width + "".join(f"   {outcome.label:>24.24}" for outcome in outcomes)]
    for name, figures in rows:
        cells = ("{:5.1f} %  {:3.0f} – {:3.0f} {:6}".format(*found) if found else "-"
                 for found in figures)
        lines.append(f"{name:{width}}" + "".join(f"   {cell:>24}" for cell in cells))
    return "\n".join(lines)


def over_seeds(files) -> str:
    """Return a line a figure of the files that `infer.py eval --out` wrote for several runs: the
    mean of its values, their standard deviation, the lowest and the highest."""
    reports = [read_json(Path(file)).get("figures") for file in files]
    for file, figures in zip(files, reports):
        if not isinstance(figures, dict):
            raise ChatError(f"{file}: \"figures\" is {figures!r:.60}, but must be an object: name "
                            f"files that `infer.py eval --out` wrote")
    lines = []
    for name in sorted(set.intersection(*map(set, reports))):
        values = [100 * figures[name]["value"] for figures in reports]
        spread = stdev(values) if len(values) > 1 else 0
        lines.append(f"{name:50} {mean(values):5.1f} ± {spread:.1f} %   {min(values):.1f} to "
                     f"{max(values):.1f}, {len(values)} runs")
    return "\n".join(lines)


# ----------------------------------------------------------------------------------------- the page

def page(outcomes, notes) -> str:
    """Return the HTML about some models.

    outcomes  run.Outcome of each: its label, figures, answers
    notes     sentences about what was left out
    """
    figures = {plain(outcome.label): outcome.figures for outcome in outcomes}
    parts = [HEAD]
    for title, names in BARS.items():
        parts += chart(title, bars, {below: {label: of[name] for label, of in figures.items()
                                             if name in of} for below, name in names.items()})
    parts += chart("Asked about what no page tells: what it says", stacked, unknowable(figures))
    parts += chart("Facts by the pages that state them: completed, and asked for (dashed)",
                   curves, by_pages(figures))
    parts += chart("Right, against what is made up, as the readiness to decline varies", tradeoffs,
                   {(outcome.label, exam): points for outcome in outcomes
                    for exam, points in outcome.curves.items()})
    published = {answer.question.exam for outcome in outcomes for answer in outcome.answers
                 if answer.question.kind in PUBLISHED}
    parts += chart("Published exams", bars, {
        plain(name): {label: of[name] for label, of in figures.items() if name in of}
        for name in sorted(set().union(*figures.values()))
        if any(name.startswith(f"{exam}_") for exam in published)})
    parts += ["<h2>All figures</h2>", "<p>Shares with their 95 % intervals (Wilson) and the number "
              "of questions.</p>", all_figures(figures)]
    parts += [f"<p>{escape(sentence)}</p>" for sentence in notes]
    parts += ["<h2>What they say</h2>", *map(transcripts, outcomes)]
    return "\n".join([*parts, "</body></html>\n"])


def chart(title, draw, values) -> list[str]:
    """Return the parts of a page that show a chart: none if there is nothing to draw."""
    values = {key: value for key, value in values.items() if value}
    if not values:
        return []
    with picture(size=(8, 3.2)) as (figure, axes):
        draw(axes, values)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8)
    image = b64encode(figure.png).decode()
    return [f"<h2>{title}</h2>", f'<img alt="{title}" src="data:image/png;base64,{image}">']


def bars(axes, groups):
    """Draw {what stands below: {series: figure}}, each bar with its 95 % interval."""
    series = [*dict.fromkeys(name for of in groups.values() for name in of)]
    wide = 0.8 / len(series)
    for i, name in enumerate(series):
        found = [(k + (i - (len(series) - 1) / 2) * wide, of[name])
                 for k, of in enumerate(groups.values()) if name in of]
        values = [100 * figure["value"] for _, figure in found]
        spread = [[abs(100 * figure[end] - value) for (_, figure), value in zip(found, values)]
                  for end in ("low", "high")]
        axes.bar([x for x, _ in found], values, wide, yerr=spread, label=name,
                 color=COLOURS[i % len(COLOURS)], error_kw={"alpha": 0.6})
    axes.set_xticks(range(len(groups)), groups, fontsize=8)
    axes.set_ylim(0, 100)
    axes.set_ylabel("%")


def stacked(axes, rows):
    """Draw {row: {verdict: share}}, a bar a row, the first on top."""
    left = [0] * len(rows)
    for verdict, colour in VERDICTS.items():
        shares = [100 * of.get(verdict, 0) for of in rows.values()]
        axes.barh([*rows], shares, left=left, label=verdict, color=colour)
        left = [*map(sum, zip(left, shares))]
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("%")


def curves(axes, lines):
    """Draw {(series, whether dashed): [(x, figure)]} on a logarithmic axis, where 0 has a place."""
    series = [*dict.fromkeys(name for name, _ in lines)]
    for (name, dashed), points in lines.items():
        axes.plot([x for x, _ in points], [100 * figure["value"] for _, figure in points],
                  marker="o", color=COLOURS[series.index(name) % len(COLOURS)],
                  linestyle="--" if dashed else "-", label=name)
    ticks = sorted({x for points in lines.values() for x, _ in points})
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xticks(ticks, map(str, ticks))
    axes.set_ylim(0, 100)
    axes.set_ylabel("%")


def tradeoffs(axes, lines):
    """Draw {(model, exam): [(share made up, share right)]}."""
    for (label, exam), points in lines.items():
        axes.plot(*([100 * value for value in side] for side in zip(*points)),
                  label=f"{plain(label)}: {exam}")
    axes.set_xlabel("% of facts_none that is answered")
    axes.set_ylabel("% right")


def unknowable(figures) -> dict:
    """{row: {verdict: share}} of questions about things on no page that a model has read, without
    and with search."""
    rows = {}
    for label, of in figures.items():
        for row, exam in (label, "facts_none"), (f"{label}, with search", "search_facts_unread"):
            if f"{exam}_declined" in of:
                rows[row] = {name: of[f"{exam}_{name.replace(' ', '_')}"]["value"]
                             for name in ("declined", "made up")}
                if exam != "facts_none":
                    rows[row]["right"] = of[exam]["value"]
    return rows


def by_pages(figures) -> dict:
    """{(model, whether by question): [(least pages, figure)]}."""
    found = {}
    for label, of in figures.items():
        for name, figure in of.items():
            if match := BY_PAGES.fullmatch(name):
                found.setdefault((label, match[1] == "asked"), []).append((int(match[2]), figure))
    return {key: sorted(points, key=lambda point: point[0]) for key, points in found.items()}


def all_figures(figures) -> str:
    """The table of the page."""
    rows = ["<table><tr><th></th>" + "".join(f"<th>{escape(label)}</th>" for label in figures)]
    for name, of_models in rows_of(figures.values()):
        cells = ("{:.1f} % <small>({:.0f}–{:.0f}, n = {})</small>".format(*found) if found else "–"
                 for found in of_models)
        rows.append(f"<tr><td>{escape(name)}</td>" + "".join(f"<td>{cell}</td>" for cell in cells))
    return "\n".join([*rows, "</table>"])


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
    """An answer: what everybody said, what was expected, and the verdict."""
    verdict = ", ".join(f"{measure or exam}: {'yes' if has else 'no'}"
                        for exam, marks in answer.results for measure, has in marks.items())
    said = [*answer.transcript, ("expected", answer.question.worked), ("verdict", verdict)]
    return "<dl>" + "".join(f"<dt>{escape(who)}</dt><dd>{escape(shortened(text))}</dd>"
                            for who, text in said) + "</dl>"


def escape(text) -> str:
    """Text for HTML."""
    return escape_html(plain(text))


def shortened(text) -> str:
    """The end of a text, where it is longer than LONGEST."""
    return text if len(text) <= LONGEST else f"... {text[-LONGEST:]}"
