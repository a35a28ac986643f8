"""The text of a web page: bytes -> characters -> the main content, without the navigation.

`extract` cuts the page into blocks, as lines and paragraphs that a browser would show
(csrc/page.c), says of each how likely it is main text (features.py, and the trees of blocks.txt,
which data/blocks.py learns from pages whose text is known), and takes the likely ones where they
stand together: a block is kept if the best run of blocks around it, by the sum of their values, is
worth at least a part of what the page's best run is (maximum subsequence segmentation: Pasternack
and Roth, "Extracting Article Text from the Web with Maximum Subsequence Segmentation", WWW 2009).
"""

import html as entities
import re
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

from data.crawl import features, trees

LONGEST = 1 << 23   # characters; a page is cut there
TREES = Path(__file__).with_name("blocks.txt")

# A block's value is its log-odds, from -DOUBT to SURE, times the root of its characters, at most
# LONG. Between two that are kept are kept those of more than -DOUBT.
SURE, DOUBT, LONG = 4, 2, 1000
WORTH = 0.2         # of the best run's value
LINE = 60           # characters of a line of verse, or of an entry, at most
ABOVE = 5           # blocks before the first one that is kept, among which its heading may be

INVISIBLE = re.compile("[\u00ad\u2060\ufeff]|(?<![\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff])\u200b")

CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
# Browsers take some labels for more than Python's codecs of that name (encoding.spec.whatwg.org).
CODECS = {"shift_jis": "cp932", "euc_kr": "cp949", "big5": "big5hkscs", "gbk": "gb18030",
          "euc_jp": "euc_jis_2004", "iso8859-11": "cp874"}
ASCII = bytes(range(128))
BOMS = {b"\xef\xbb\xbf": "utf-8", b"\xfe\xff": "utf-16-be", b"\xff\xfe": "utf-16-le"}


# --------------------------------------------------------------------------------------- Characters

def decode(body, content_type=""):
    """Return the text (str) of a page's bytes, by what fits: a byte order mark; UTF-8, whatever the
    page says, if nearly all of its bytes are; the charset of `content_type`, then that of a <meta>
    tag, if nearly all bytes are valid in it; and statistics (uchardet). There is no NUL in it.
    """
    for mark, name in BOMS.items():
        if body.startswith(mark):
            return body[len(mark):].decode(name, "replace").replace("\0", "")
    told = CHARSET.search(content_type)
    told = map_encoding_to_html5(told[1]) if told else ""
    if not (told.startswith("utf-16") and b"\0" in body or b"\x1b$" in body):   # as in ISO-2022-JP
        text = body.decode("utf-8", "replace")
        if 10 * text.count("\ufffd") <= len(body) - len(text):
            return text.replace("\0", "")
    most = len(body.translate(None, ASCII)) // 10          # errors
    for name in (told, detect_encoding(body, from_html_meta=True)):
        with suppress(LookupError):
            text = body.decode(CODECS.get(name, name), "replace")
            if text.count("\ufffd") <= most:
                return text.replace("\0", "")
    name = detect_encoding(body)
    return body.decode(CODECS.get(name, name), "replace").replace("\0", "")


# ------------------------------------------------------------------------------------- Main content

@cache
def learned():
    """The trees that tell main text."""
    return np.loadtxt(TREES, ndmin=2)


def extract(html):
    """Return the main text of a page (str), a block a line; "" if there is none."""
    page = features.Page(html[:LONGEST])
    if not page.n:
        return ""
    x, left_out = features.features(page)
    odds = judged(page, left_out, trees.predict(learned(), x))
    inner, texts = page.BLOCK_ELEMENT, page.texts()
    pre, item = page.within(page.tagged("pre")), page.BLOCK_ITEM
    lines = [shown(texts[i], pre[i], item[i])
             for i in chosen(odds, page.BLOCK_CHARS, page.headings()[inner])]
    return "\n".join(filter(None, lines))


def judged(page, left_out, odds):
    """Log-odds (n) after what rules say: what is left out is, unlikely links are no part of a gap,
    code is; and lines side by side are all as likely as they are on average."""
    lines = runs_of_lines(page)
    odds = (np.bincount(lines, odds) / np.bincount(lines))[lines]
    links = (2 * page.BLOCK_LINKED > page.BLOCK_CHARS) & (odds < 0)
    code = page.within(page.tagged("pre"))
    odds = np.where(links, odds - DOUBT, np.where(code, odds.clip(1 - DOUBT), odds))
    return np.where(left_out, -SURE, odds)


def runs_of_lines(page):
    """A number (n) for each block, the same for short ones side by side in elements of one kind."""
    inner, short = page.BLOCK_ELEMENT, page.BLOCK_CHARS <= LINE
    kind = np.stack([page.ELEMENT_PARENT[inner], page.ELEMENT_SIGNATURE[inner],
                     page.ELEMENT_TAG[inner]])
    same = (kind[:, 1:] == kind[:, :-1]).all(0) & short[1:] & short[:-1]
    return np.concatenate([[0], np.cumsum(~same)])


def chosen(odds, chars, headings, worth=WORTH):
    """Which blocks are the main text, by their log-odds and characters, and which are headings; (n)
    each."""
    values = odds.clip(-DOUBT, SURE) * np.sqrt(chars.clip(max=LONG))
    around = values + best_before(values) + best_before(values[::-1])[::-1]
    keep = (odds > 0) & (around >= worth * around.max())
    first = keep.argmax()
    above = np.flatnonzero((headings & (odds > -DOUBT))[max(first - ABOVE, 0):first])
    if keep.any() and len(above):
        keep[max(first - ABOVE, 0) + above[-1]] = True
    gap = np.cumsum(keep)                    # the same number from one kept to the next
    doubt = np.bincount(gap, ~keep & (odds <= -DOUBT))
    return np.flatnonzero(keep | (doubt == 0)[gap] & (gap > 0) & (gap < gap[-1]))


def best_before(values):
    """The best sum of values that end just before each, 0 if all are negative."""
    sums = [0.]
    for value in values.tolist():
        sums.append(max(sums[-1] + value, 0.))
    return np.array(sums[:-1])


def shown(block, pre, item):
    """The text of a block, in UTF-8 with entities: what a browser shows of it."""
    text = entities.unescape(block.decode())
    if not text.isascii():
        text = INVISIBLE.sub("", text)
    if pre:
        return "" if is_gutter(text.split()) else text.strip("\n")
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "- " * bool(item) + "\n".join(filter(None, lines))


def is_gutter(words):
    """Whether these are the numbers of lines of code, one after the other."""
    first = int(words[0]) if len(words) > 1 and re.fullmatch(r"[0-9]{1,6}", words[0]) else None
    return first is not None and words == [str(first + i) for i in range(len(words))]
