"""Pages whose main text is known, by which block: what trees learn from, and F1 of what they find
in pages of other sites."""

import gzip
import re
from collections import Counter
from urllib.parse import urlsplit

import numpy as np

from csrc.files import ChatError, read_json
from csrc.shown import progress
from data.crawl import extract, features, trees, warc

PASSAGE, ARTICLE = 3, 30       # weight of a passage's block, and of all blocks of an article's page
NEGATIVE = 60                  # about so many blocks of an article's page are learned from
WORTH = (0, .2, .3, .4, .5, .6, .7, .8)       # of which cross-validation says the best
ARCHIVED = re.compile(r"https?://web\.archive\.org/web/\d+/")


class Known:
    """A page: x (n,columns), chars and shown text of its blocks; what is known of its text; y (n),
    how much of a block is in it, NaN where nobody knows, and weights (n)."""

    def __init__(self, html, site, truth):
        page = features.Page(html[:extract.LONGEST])
        if not page.n:
            raise ChatError(f"a page of {site} has no text")
        self.page, self.site, self.truth, self.chars = page, site, truth, page.BLOCK_CHARS
        (self.x, self.left_out), inner = features.features(page), page.BLOCK_ELEMENT
        self.headings = page.headings()[inner]
        self.shown = [extract.shown(*block) for block in
                      zip(page.texts(), page.within(page.tagged("pre")), page.BLOCK_ITEM)]
        self.y = self.of_article() if "articleBody" in truth else self.of_passages()
        known = ~np.isnan(self.y)
        self.weights = PASSAGE * known.astype(float)
        if "articleBody" in truth:
            self.weights = known * self.chars.clip(max=1000.)
            self.weights *= ARTICLE / self.weights.sum()

    def of_passages(self):
        """1 or 0 for blocks with a passage; of several with one to keep, the longest is meant."""
        lines, y = [" ".join(text.split()) for text in self.shown], np.full(len(self.shown), np.nan)
        for name, value in (("without", 0), ("with", 1)):
            for passage in self.truth[name]:
                found = [i for i, line in enumerate(lines) if " ".join(passage.split()) in line]
                y[max(found, key=lambda i: len(lines[i])) if value and found else found] = value
        return y

    def of_article(self):
        """The part of a block's n-grams that the article has."""
        whole = ngrams(self.truth["articleBody"])
        article = " ".join(self.truth["articleBody"].split())
        y = []
        for text in self.shown:
            found = ngrams(text)
            y.append(sum(count for gram, count in found.items() if gram in whole) / found.total()
                     if len(text.split()) > 3 else float(text in article))
        return np.array(y)

    def text(self, odds, worth):
        """Its main text, by the log-odds of its blocks."""
        odds = extract.judged(self.page, self.left_out, odds)
        return "\n".join(self.shown[i] for i in
                         extract.chosen(odds, self.chars, self.headings, worth))


def ngrams(text, n=4):
    """How often each run of n words is in a text; shorter texts are one."""
    words = re.findall(r"\w+", text)
    return Counter(tuple(words[i:i + n]) for i in range(max(1, len(words) - n + 1)))


def read(path):
    """The Known pages of a file of truth."""
    truth = {key.strip(): about for key, about in read_json(path).items()}
    if all("articleBody" in about for about in truth.values()):
        folder = path.parent / "html"
        return [Known(extract.decode(gzip.decompress((folder / f"{name}.html.gz").read_bytes())),
                      site(about["url"]), about)
                for name, about in progress(truth.items(), "pages")]
    if not all({"with", "without"} <= about.keys() for about in truth.values()):
        raise ChatError(f'{path} has pages with neither "articleBody" nor "with" and "without"')
    pages = (page for file in sorted(path.parent.glob("*.warc.gz"))
             for page in warc.pages(file, 0, file.stat().st_size, Counter()))
    return [Known(extract.decode(page.body, page.content_type), site(page.url), truth[page.url])
            for page in progress(pages, "pages") if page.url in truth]


def site(url):
    """The domain that somebody registered, about; of an archived page, its own."""
    url = ARCHIVED.sub("", url)
    names = urlsplit(url if "//" in url else "//" + url).netloc.split(":")[0].split(".")
    return ".".join(names[-3:] if len(names[-1]) == 2 and len(names[-2:][0]) < 4 else names[-2:])


def rows(pages, seed=0):
    """(x, y, weights) of pages: what is known, of long pages a part of what is no main text."""
    rng, parts = np.random.default_rng(seed), []
    for page in pages:
        keep = page.weights > 0
        spare = np.flatnonzero(keep & ~(page.y > 0.3))
        share = min(1, max(NEGATIVE - keep.sum() + len(spare), 20) / max(len(spare), 1))
        weights = page.weights.copy()
        if "articleBody" in page.truth:
            keep[spare] = rng.random(len(spare)) < share
            weights[spare] /= share
        parts.append((page.x[keep], page.y[keep], weights[keep]))
    return [np.concatenate(part) for part in zip(*parts)]


def f1(pages, texts):
    """F1 of passages, precision over kept ones, and of articles, from the mean shares of n-grams
    that are right, too many and missing; NaN where there is no such page."""
    kept, wanted, right, extra, missing = Counter(), 0, 0, 0, 0
    for page, text in zip(pages, texts):
        if "articleBody" in page.truth:
            found, whole = ngrams(text), ngrams(page.truth["articleBody"])
            common, either = (found & whole).total(), (found | whole).total()
            right += common / either
            extra += (found.total() - common) / either
            missing += (whole.total() - common) / either
        else:
            line = " ".join(text.split())
            for name in ("with", "without"):
                kept[name] += sum(" ".join(p.split()) in line for p in page.truth[name])
            wanted += len(page.truth["with"])
    sums = ((2 * kept["with"], kept.total() + wanted), (2 * right, 2 * right + extra + missing))
    return np.array([part / size if size else np.nan for part, size in sums])


def validate(pages, folds):
    """Print F1 of each kind of page, each site of which is in one fold: the trees learn from the
    other folds, and WORTH is what is best on these."""
    sites = sorted({page.site for page in pages})
    place = dict(zip(np.random.default_rng(0).permutation(sites).tolist(),
                     np.arange(len(sites)) % folds))
    odds = {}
    for fold in progress(range(folds), "folds"):
        learned = trees.fit(*rows([page for page in pages if place[page.site] != fold]))
        odds |= {page: trees.predict(learned, page.x) for page in pages
                 if place[page.site] == fold}
    texts = {worth: [page.text(odds[page], worth) for page in pages] for worth in WORTH}
    for worth in WORTH:
        print(f"worth {worth}: F1 of passages %.4f, of articles %.4f" % (*f1(pages, texts[worth]),))
    found = []
    for fold in range(folds):
        inside = np.array([place[page.site] == fold for page in pages])
        best = max(WORTH, key=lambda worth: np.nansum(f1(*zip(
            *(pair for pair, out in zip(zip(pages, texts[worth]), ~inside) if out)))))
        found.append(f1(*zip(*(pair for pair, here in zip(zip(pages, texts[best]), inside)
                               if here))))
        print(f"fold {fold}: worth {best}, F1 %.4f, %.4f" % (*found[-1],))
    print("mean of folds: F1 of passages %.4f (deviation %.4f), of articles %.4f (%.4f)" % tuple(
        np.stack([np.nanmean(found, 0), np.nanstd(found, 0)], 1).ravel()))
