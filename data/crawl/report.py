"""What a filtering pipeline did: how much each stage left, why pages went, and what they were.

A person who reads the samples can judge the filters; nobody should trust them unread.
"""

import re
import zlib

from csrc import plot
from csrc.files import to_json, write_files

SAMPLES, SHOWN = 5, 400  # of each reason, and characters of each


class Funnel:
    """Counts of a part of the work, which add up to those of the whole.

    counts  {"kept": {stage: [pages, bytes, tokens]}, "rejected": {stage: {reason: pages}},
            "samples": {stage: {reason: [[number, url, text], ...]}}, "masked": {kind: count}}
    """

    def __init__(self):
        self.counts = {"kept": {}, "rejected": {}, "samples": {}, "masked": {}}

    def keep(self, stage, size, tokens):
        """Count a page that passed, of `size` bytes."""
        total = self.counts["kept"].setdefault(stage, [0, 0, 0])
        for i, value in enumerate((1, size, tokens)):
            total[i] += value

    def reject(self, stage, reason, url="", text="", count=1):
        """Count pages that a stage rejected; with an address, one is offered as a sample."""
        reasons = self.counts["rejected"].setdefault(stage, {})
        reasons[reason] = reasons.get(reason, 0) + count
        if url:
            self.sample(stage, reason, [[zlib.crc32(url.encode("utf-8", "replace")), url,
                                         " ".join(text[:2 * SHOWN].split())[:SHOWN]]])

    def sample(self, stage, reason, offered):
        """Keep those with the smallest numbers: the same ones in whatever order they come."""
        samples = self.counts["samples"].setdefault(stage, {})
        samples[reason] = sorted(samples.get(reason, []) + offered)[:SAMPLES]

    def add(self, counts):
        """Add the counts of another part."""
        for stage, values in counts["kept"].items():
            total = self.counts["kept"].get(stage, [0, 0, 0])
            self.counts["kept"][stage] = [a + b for a, b in zip(total, values)]
        for stage, reasons in counts["rejected"].items():
            for reason, count in reasons.items():
                self.reject(stage, reason, count=count)
        for stage, reasons in counts["samples"].items():
            for reason, samples in reasons.items():
                self.sample(stage, reason, samples)
        for kind, count in counts["masked"].items():
            self.counts["masked"][kind] = self.counts["masked"].get(kind, 0) + count

    def pages(self, stage):
        """How many pages a stage kept."""
        return self.counts["kept"].get(stage, [0])[0]

    def reasons(self, stage):
        """[(reason, pages), ...], the commonest first."""
        return sorted(self.counts["rejected"].get(stage, {}).items(),
                      key=lambda item: (-item[1], item[0]))


def write_report(folder, funnel, identity, stages, exact):
    """Write report.png, report.md and, last, report.json; return what that says.

    identity  what the job was asked to do, kept in the report
    stages    their names, in order
    exact     True if tokens were counted, False if they are an estimate
    """
    rows = [dict(stage=stage, **dict(zip(("pages", "bytes", "tokens"),
                                         map(round, funnel.counts["kept"].get(stage, [0, 0, 0])))),
                 rejected=dict(funnel.reasons(stage)))
            for stage in stages if stage in funnel.counts["kept"] or funnel.reasons(stage)]
    report = identity | {"tokens": "counted" if exact else "estimated", "funnel": rows,
                         "masked": dict(sorted(funnel.counts["masked"].items()))}
    text = "\n".join([*markdown(report), *sampled(funnel, stages)]) + "\n"
    write_files(folder, {"report.png": [picture(rows, exact)], "report.md": [text.encode()],
                         "report.json": to_json(report)})
    return report


def amount(value):
    """A short number: 12,345,678 is 12.3 M."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.1f} {letter}"
    return str(value)


def describe(report):
    """The funnel as lines for a terminal."""
    tokens = "tokens" if report["tokens"] == "counted" else "~tokens"
    lines = [f"{'left after':18} {'pages':>11} {'bytes':>9} {tokens:>9}   rejected"]
    for row in report["funnel"]:
        why = list(row["rejected"].items())
        more = f" and {len(why) - 3} more reasons" if len(why) > 3 else ""
        lines.append(f"{row['stage']:18} {row['pages']:>11,} {amount(row['bytes']):>9} "
                     f"{amount(row['tokens']) if row['tokens'] else '':>9}   "
                     + ", ".join(f"{count:,} {reason}" for reason, count in why[:3]) + more)
    return "\n".join([*lines, *masked(report)])


def masked(report):
    """[what was masked, in a line], or []."""
    counts = ", ".join(f"{count:,} {kind}" for kind, count in report["masked"].items())
    return [f"masked: {counts}"] * bool(counts)


def markdown(report):
    """Yield the lines of the funnel as a table."""
    yield "# What was left of a crawl\n\n![](report.png)\n"
    yield f"Tokens are {report['tokens']}. Bytes are of HTML until the text is extracted.\n"
    yield "| left after | pages | bytes | tokens | rejected |\n|---|---|---|---|---|"
    for row in report["funnel"]:
        why = "; ".join(f"{count:,} {reason}" for reason, count in row["rejected"].items())
        yield (f"| {row['stage']} | {row['pages']:,} | {row['bytes']:,} | {row['tokens']:,} "
               f"| {why} |")
    yield "\n" + "".join(masked(report))


def sampled(funnel, stages):
    """Yield the lines that show what each reason rejected. Text of the web becomes a quotation in
    which nothing can be a link or a tag."""
    yield "\n# What was rejected\n"
    for stage in stages:
        for reason, count in funnel.reasons(stage):
            yield f"## {stage}: {reason} ({count:,})\n"
            for _, url, text in funnel.counts["samples"].get(stage, {}).get(reason, []):
                url, text = (re.sub(r"[^\w\s.,:;?!/=&%+'\"()-]", lambda m: f"&#{ord(m[0])};", words)
                             for words in (url, text))
                yield f"- {url}\n\n  > {text or '(no text)'}\n"


def picture(rows, exact):
    """Return the bytes of a .png: what each stage left, and the commonest reasons."""
    reasons = sorted(((count, f"{row['stage']}: {reason}") for row in rows
                      for reason, count in row["rejected"].items()), reverse=True)[:20]
    with plot.picture(None, 1, 2, (15, 1.5 + 0.5 * max(len(rows), 10)),
                      width_ratios=(3, 2)) as (figure, (left, right)):
        for i, what in enumerate(("pages", "bytes", "tokens")):
            # Bytes of text are a share of the first text, not of the HTML.
            places = [at for at, row in enumerate(rows) if what == "pages" or row["tokens"]]
            full = max((rows[at][what] for at in places), default=0) or 1
            shares = [100 * rows[at][what] / full for at in places]
            heights = [at + 0.27 * (i - 1) for at in places]
            left.barh(heights, shares, 0.25, color=plot.COLOURS[i],
                      label=what if exact or what != "tokens" else "tokens (estimated)")
            for at, share, height in zip(places, shares, heights):
                left.text(share + 1, height, amount(rows[at][what]), va="center", fontsize=8)
        left.set(yticks=range(len(rows)), yticklabels=[row["stage"] for row in rows],
                 xlim=(0, 112), xlabel="% of all pages; bytes and tokens: % of the extracted text",
                 title="left after each stage")
        right.barh(range(len(reasons)), [count for count, _ in reasons], color="#777777")
        right.set(yticks=range(len(reasons)), yticklabels=[reason[:60] for _, reason in reasons],
                  xlabel="pages", title="the commonest reasons")
        left.invert_yaxis()
        right.invert_yaxis()
        figure.legend(loc="outside lower left", ncols=3)
    return figure.png
