"""The parts of tests/bench.py about data: from WARC files to documents, and what each stage costs;
extraction, filters, deduplication and vocabularies beside their peers."""

import tempfile
import time
from collections import Counter
from pathlib import Path

import bench_bpe
import bench_dedup
import bench_extract
import bench_filters
from bench import BEST
from data.crawl import dedup, personal, pipeline, warc
from data.pocket import corpus


def crawl(bench):
    """(what it is, its WARC files): real pages or, where they are absent, the pocket world's."""
    real = bench_extract.REAL / "pages" / "pages_given.warc.gz"
    if real.exists() and not bench.quick:
        return "real pages", [real]
    size = (1 if bench.quick else 8) << 20
    return "the pocket world", sorted((corpus.documents(size).parent / "crawl" / "warc").iterdir())


def documents(bench, dtype):
    """a crawl to documents: all stages by all processes, then the cost of each on one core"""
    what, files = crawl(bench)

    def run(workers):
        def once():
            with tempfile.TemporaryDirectory() as out:
                reports.append(pipeline.run(files, Path(out, "web"), workers=workers))
        return once

    reports = []
    all, one = bench.alternate(run(None), run(1))
    pages = reports[0]["funnel"][0]["pages"]
    bench.part(f"Crawl to documents: {pages:,} pages, {what}", "one process")
    bench.row(f"{bench.threads} processes", pages / all, "pages/s", pages / one, name="one process")

    seconds, passed = Counter(), Counter()
    start = time.perf_counter()
    for file in files:
        for page in warc.pages(file, 0, file.stat().st_size, Counter()):
            start = spent(seconds, passed, "read", start)
            doc = {"url": page.url, "page": page}
            for name, stage in pipeline.stages(pipeline.Settings()):
                reason = stage(doc)
                start = spent(seconds, passed, name, start)
                if reason:
                    break
            else:
                dedup.keys(doc["text"])
                start = spent(seconds, passed, "dedup", start)
                personal.mask_personal(doc["text"])
                start = spent(seconds, passed, "personal", start)
    for name in passed:
        bench.row(f"{name}, {passed[name]:,} pages", 1e6 * seconds[name] / passed["read"],
                  "µs/page", 1e6 * sum(seconds.values()) / passed["read"], name="all stages")


def spent(seconds, passed, name, start):
    """Count the time since `start` for a stage; return the time now."""
    now = time.perf_counter()
    seconds[name] += now - start
    passed[name] += 1
    return now


PARTS = {"web": (documents, BEST), "extract": (bench_extract.rows, BEST),
         "filters": (bench_filters.filtering, BEST), "dedup": (bench_dedup.rows, BEST),
         "learning": (bench_bpe.rows, BEST)}
