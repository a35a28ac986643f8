"""The filters beside datatrove's, with which FineWeb was made: how fast all four are on one core,
and whether each document has the same verdict. A part of tests/bench.py, or alone:

    python tests/bench_filters.py [--quick]

Documents are those of ../shared/real: pages of C4, of novels, of Wikipedia, stories, and what is
the main text of real pages, where resiliparse can be imported.
"""

import json
import re
import sys
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import bench_peers as peers  # noqa: E402
from data.crawl import filters  # noqa: E402
from data.crawl.filters import SplitText  # noqa: E402

REAL = ROOT.parent / "shared" / "real"
PAGE = 4000  # characters of a page of a book, as many as a web page has


def documents():
    """(where from, text) of each."""
    for line in open(REAL / "text" / "c4_demo.jsonl", encoding="utf-8"):
        yield "C4", json.loads(line)["text"]
    for file in [*sorted((REAL / "text" / "novels").iterdir()),
                 REAL / "text" / "wikitext-2-valid.txt"]:
        lines = re.findall(rf"(?s).{{{PAGE}}}[^\n]*", file.read_text("utf-8", "replace"))
        yield from ((file.stem, text) for text in lines[:: 1 + len(lines) // 100])
    stories = (REAL / "text" / "tinystories.txt").read_text("utf-8").split("<|endoftext|>")
    yield from (("tinystories", text.strip()) for text in stories[:200])
    if peers.peer("resiliparse"):
        yield from (("page", text) for text in extracted(REAL / "web" / "pages"))


def extracted(folder):
    """The main text of each page in a folder of WARC files."""
    from fastwarc.warc import ArchiveIterator
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding
    for file in sorted(folder.glob("*.warc.gz")):
        for record in ArchiveIterator(open(file, "rb")):
            page = record.reader.read()
            yield extract_plain_text(bytes_to_str(page, detect_encoding(page)), main_content=True)


def verdicts(text):
    """{filter: reason or None}; FineWeb's is asked about what C4's leaves."""
    text = SplitText(text)
    edited, c4 = filters.c4(text)
    return {"gopher_repetition": filters.gopher_repetition(text),
            "gopher_quality": filters.gopher_quality(text), "c4": c4,
            "fineweb": filters.fineweb(edited)}


@lru_cache(None)
def datatrove():
    """(its class of documents, {filter: its filter}), or None."""
    if not peers.peer("datatrove"):
        return None
    from datatrove.data import Document
    from datatrove.pipeline import filters as its
    from loguru import logger
    logger.remove()
    return Document, {
        "gopher_repetition": its.GopherRepetitionFilter(),
        "gopher_quality": its.GopherQualityFilter(),
        "c4": its.C4QualityFilter(filter_no_terminal_punct=False),
        "fineweb": its.FineWebQualityFilter()}


def their_verdicts(text):
    """The same by datatrove, whose filter for C4 edits the document too."""
    make, theirs = datatrove()
    document = make(text=text, id="")
    found = {name: filter.filter(document) for name, filter in theirs.items()}
    return {name: None if result is True else result[1] for name, result in found.items()}


def agree(ours, theirs):
    return all((ours[name] is None) == (theirs[name] is None) for name in ours)


def compare(texts):
    """Print each disagreement; return {filter or "all four": share of documents that agree}."""
    pairs = [(verdicts(text), their_verdicts(text)) for _, text in texts]
    for (source, text), (ours, theirs) in zip(texts, pairs):
        for name in ours:
            if not agree({name: ours[name]}, theirs):
                print(f"{name} of {source} {text[:30]!r}: {ours[name] or 'kept'}; datatrove: "
                      f"{theirs[name] or 'kept'}")
    shares = {name: sum(agree({name: ours[name]}, theirs) for ours, theirs in pairs) / len(pairs)
              for name in pairs[0][0]}
    same = sum(any(ours.values()) == any(theirs.values()) for ours, theirs in pairs)
    return {**shares, "all four": same / len(pairs)}


def filtering(bench, dtype):
    """Gopher's, C4's and FineWeb's filters: speed and verdicts"""
    if not REAL.is_dir():
        bench.leave_out("filters", f"there is no {REAL}")
        return
    texts = list(documents())
    sample = texts[:: len(texts) // (60 if bench.quick else 200)]

    def ours():
        filters.split.cache_clear()              # as if it had met none of these words
        for _, text in sample:
            verdicts(text)

    theirs = datatrove() and (lambda: [their_verdicts(text) for _, text in sample])
    seconds, their_seconds = bench.alternate(ours, theirs)
    size = sum(len(text.encode()) for _, text in sample) / 1e6
    bench.part(f"Filters: {len(sample)} documents of {1e3 * size / len(sample):.1f} kB, one core",
               "datatrove")
    for amount, unit in ((len(sample), "doc/s"), (size, "MB/s")):
        bench.row("gopher, c4, fineweb", amount / seconds, unit,
                  their_seconds and amount / their_seconds, x=15)
    if theirs:
        for name, share in compare(sample if bench.quick else texts).items():
            bench.row(f"same verdict: {name}", 100 * share, "%", limit=100, of=0.99)


if __name__ == "__main__":
    import bench as table
    filtering(table.Bench("--quick" in sys.argv, 1), None)
