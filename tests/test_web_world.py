"""The crawl pipeline on the pocket world's web, where it is known what every page is."""

import gzip
import json
from collections import defaultdict
from pathlib import Path

import pytest

from data.crawl import pipeline
from data.pocket import web
from data.tokens import parallel

SIZE = 3 << 20  # bytes of good text


def json_lines(*paths):
    return [json.loads(line) for path in paths for line in gzip.open(path)]


def judge(crawl, result):
    """What became of each kind of page, from the truth of a crawl and the folder of data/web.py
    with rejects: {kind of dirt, None for good pages: {stage or "kept": pages}}, {kind: pages that
    ended where they may}, and the planted personal data that is left in a document."""
    crawl, result = Path(crawl), Path(result)
    kept = json_lines(*result.glob("documents-*.jsonl.gz"))
    ended = {doc["url"]: "kept" for doc in kept}
    ended |= {doc["url"]: doc["stage"]
              for doc in json_lines(*result.glob("rejects-*.gz"), *result.glob("duplicates-*.gz"))}
    pages = json_lines(crawl / "truth" / "pages.jsonl.gz")
    copies = defaultdict(list)
    for page in pages:
        if page["of"]:
            copies[page["of"]].append(page["url"])
            copies[page["url"]].append(page["of"])
    counts, right = defaultdict(lambda: defaultdict(int)), defaultdict(int)
    for page in pages:
        url = page["url"]
        end = ended.get(url, "read")
        counts[page["dirt"]][end] += 1
        # Of two that are alike, the one that came first may stay.
        family = {url, *copies[url], *(other for copy in copies[url] for other in copies[copy])}
        alike = end == "dedup" and any(ended.get(other) == "kept" for other in family)
        stays = end == "kept" and any(ended.get(other) == "dedup" for other in family)
        right[page["dirt"]] += end in page["ends"] or alike or stays and "dedup" in page["ends"]
    planted = [secret for page in pages for secret in page["personal"]]
    texts = "\n".join(doc["text"] for doc in kept)
    return counts, right, [secret for secret in planted if secret in texts], len(planted)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    with parallel.workers(2) as executor:
        web.write(folder / "crawl", 1, SIZE, executor)
    blocklists = str(folder / "crawl" / "blocklists"),
    settings = pipeline.Settings(blocklists=blocklists, keep_rejects=True)
    pipeline.run([folder / "crawl" / "warc"], folder / "result", settings, 2)
    return judge(folder / "crawl", folder / "result")


def test_planted_dirt_is_removed_for_its_own_reason(judged):
    counts, right, _, _ = judged
    dirt = [kind for kind in counts if kind not in (None, "similar")]
    total = sum(sum(counts[kind].values()) for kind in dirt)
    assert total > 500 and sum(right[kind] for kind in dirt) >= 0.98 * total, shares(judged)


def test_good_pages_are_kept(judged):
    counts, right, _, _ = judged
    assert right[None] >= 0.98 * sum(counts[None].values()), shares(judged)


def test_planted_personal_data_is_gone(judged):
    _, _, left, planted = judged
    assert planted > 50 and not left


def shares(judged):
    counts, right, _, _ = judged
    return {kind: (right[kind], dict(ends)) for kind, ends in counts.items()}
