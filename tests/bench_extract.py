"""The text of real pages, beside trafilatura's, and the language of real sentences."""

import json
from collections import Counter
from pathlib import Path

import bench_peers as peers
from bench import LeftOut

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "real" / "web"


def f1(gold, texts):
    """gold: {url: {"with": passages to keep, "without": to drop}}, found after spaces are one."""
    kept, all = Counter(), 0
    for url, about in gold.items():
        text = " ".join(texts[url].split())
        for name in ("with", "without"):
            kept[name] += sum(" ".join(passage.split()) in text for passage in about[name])
        all += len(about["with"])
    return 2 * kept["with"] / (kept["with"] + kept["without"] + all)


def rows(bench, dtype):
    """real pages to text: read, decoded, extracted; and the language of texts"""
    if not REAL.exists():
        raise LeftOut(f"{REAL} is absent")
    from data.crawl import extract, language, warc
    path = REAL / "pages" / "pages_given.warc.gz"
    gold = {url.strip(): about for url, about in
            json.loads((REAL / "pages" / "gold.json").read_text()).items()}
    texts = {}

    def run(name, extractor):
        def all():
            texts[name] = {page.url: extractor(extract.decode(page.body, page.content_type))
                           for page in pages}
        return all

    def read():
        return warc.pages(path, 0, path.stat().st_size, Counter())

    pages = list(read())[::8 if bench.quick else 1]
    gold = {page.url: gold[page.url] for page in pages}
    theirs = peers.peer("trafilatura")
    reading, ours, peer = bench.alternate(
        lambda: list(read()), run("ours", extract.extract),
        theirs and run("theirs", lambda html: theirs.extract(html, include_comments=False) or ""))
    bench.part(f"Text of {len(pages)} real pages, 1 core", "trafilatura")
    bench.row("reading", len(list(read())) / reading, "pages/s")
    bench.row("decoding and main text", len(pages) / ours, "pages/s", peer and len(pages) / peer,
              x=4, name="trafilatura")
    scores = {name: 100 * f1(gold, found) for name, found in texts.items()}
    bench.row("F1 of the passages to keep", scores["ours"], "%", scores.get("theirs"), x=0.99,
              name="trafilatura")

    lines = [line for file in sorted((REAL / "langid" / "sentences").glob("*.txt"))
             for line in file.read_text().split("\n")]
    documents = [" ".join(lines[i:i + 10]) for i in range(0, len(lines), 10)]
    seconds, = bench.alternate(lambda: [language.identify(text) for text in documents])
    bench.row("language, 10 sentences a text",
              sum(len(text.encode()) for text in documents) / seconds / 1e6, "MB/s")
