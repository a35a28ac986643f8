"""The text of a web page: bytes -> characters -> the main content, without the navigation.

`extract` cuts the page into blocks, the lines that a browser would show, and takes the best run of
them: the one whose values sum to most (maximum subsequence segmentation: Pasternack and Roth,
"Extracting Article Text from the Web with Maximum Subsequence Segmentation", WWW 2009), where prose
is worth its length, and a block of links, or a few words that are no sentence, costs. The page is
parsed, and what is navigation by its tag or its place is left out, by resiliparse (lexbor).

    F1 on 332 real pages     0.928     trafilatura: 0.928
"""

import html as entities
import re
from contextlib import suppress

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5
from resiliparse.parse.html import HTMLTree

# What bounds time and memory on any page. A parser compares each attribute of a tag with all before
# it, each <b> or <font> with all that are open, and resiliparse looks at all that an element is in.
LONGEST = 1 << 20   # characters; a page is cut there; the longest of 332 has 1,596,468 bytes
TAGS = 50_000       # of them "<", or it is cut: the most of 332 pages is 7,140
ATTRIBUTES = 1000   # about, in a tag; one with more is left out
CROWDED = 5000      # "<" that make it worth a look whether
OPEN = 1000         # more <b>, <font>, ... are open than so many: such a page has no text
DEEPEST = 512       # elements in each other, where browsers stop, too: a deeper page has no text

# Left out wherever they are; of ruby, the reading. Then by a word in an element's class or id.
NEVER = ["nav", "footer", "aside", "rt", "rp", "annotation", "annotation-xml", ".katex-html"]
WORDS = (b"author", b"breadcrumb", b"byline", b"caption", b"comment", b"cookie", b"copyright",
         b"footer", b"newsletter", b"rating", b"related", b"share", b"social", b"subscribe",
         b"teaser")
WORD = re.compile(b"(?:(?<![a-zA-Z])|(?<=[a-z])(?=[A-Z]))(?i:" + b"|".join(WORDS) +
                  b")(?:e?s|d)?(?![a-z])")
NAMES = re.compile(rb"""\s(?:class|id)\s*=\s*("[^"]*|'[^']*|[^\s"'>]*)""", re.I)
MARKED = re.compile(rb"(?!h[1-6]\b)[a-z][^\s/]*", re.I)      # the name of what may be left out
SKIPPED = "[data-skipped]"
MOST = 0.5      # of a page's text: what has more is not left out for its name,
LOOKED_AT = 30      # if the page has no more such elements near its root

PROSE = 40      # characters that are not links, or the end of a sentence, make a block prose
PARAGRAPH, LINE = 120, 20       # characters of lines that are one, and of each of them
LINKED = 0.3    # of a block's characters in links: more is a list of links
LIST = -60      # what a list of links is worth
SCRAP = -10     # a heading, or, outside of a paragraph, list or table, a block that is no prose
ABOVE = 5       # blocks before the run among which its heading may be
ENOUGH = 1000   # of a run's value; if it is less, nothing but NEVER is left out in a second try,
RATIO = 0.4     # which counts where the first is worth less than this part of it

LISTS = re.compile(rb"(/?)(ul|dl|dt|dd)\b", re.I)
AS = {b"ul": b"ol", b"dl": b"ol", b"dt": b"li", b"dd": b"li"}
OPENS, CLOSES = (re.compile(begin + rb"(?:b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)\b",
                            re.IGNORECASE) for begin in (b"<", b"</"))
DEEP = ">".join(["*"] * DEEPEST)
MARK = re.compile(r"<pre>(.*?)</pre>|\n|<(h[1-6]|p|li|ul|ol)>|</(?:h[1-6]|p|li|ul|ol)>", re.DOTALL)
INVISIBLE = re.compile("[\u00ad\u2060\ufeff]|(?<![\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff])\u200b")
LINK = re.compile(r"<a [^>]*>([^<]*)</a>")
TAG = re.compile(r"<[^>]*>")
GOES_ON = re.compile(r"[a-z\u00df-\u00ff]")
SENTENCE = re.compile(r"""[.!?\u2026\u3002\uff01\uff1f\u0964\u061f]["'\u2019\u201d\xbb)\]]*$""")

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

def bounded(html):
    """Return as much of a page as costs little, in UTF-8: what is before the first "<", and the
    pieces that each "<" begins, without it; [] if the page is made to hurt."""
    first, *pieces = html[:LONGEST].encode("utf-8", "replace").split(b"<", TAGS)[:TAGS]
    if len(pieces) >= CROWDED:
        page = b"<".join([first, *pieces])
        if len(OPENS.findall(page)) - len(CLOSES.findall(page)) > OPEN:
            return []
    return [first, *(piece for piece in pieces
                     if len(piece) <= ATTRIBUTES or not is_crowded(piece))]


def is_crowded(piece):
    """Whether a tag, with the text after it, may have too many attributes."""
    separators = sum(map(piece.partition(b">")[0].count, (b" ", b"\t", b"\n", b"/")))
    values = sum(map(piece.count, (b'="', b"='")))       # there may be a ">" in one
    return piece[:1].isalpha() and max(separators, values) > ATTRIBUTES


def extract(html):
    """Return the main text of a page (str), a block a line; "" if there is none."""
    tree = HTMLTree.parse(marked(bounded(html)))
    if tree.document is None or tree.document.query_selector(DEEP):
        return ""
    keep_most(tree)
    found = blocks(tree, [*NEVER, SKIPPED], main_content=True)
    start, end, worth = best_run(found)
    if worth < ENOUGH:
        other = blocks(tree, NEVER)
        if worth < RATIO * (run := best_run(other))[2]:
            found, (start, end, _) = other, run
    above = [i for i in range(max(start - ABOVE, 0), start) if found[i][0].startswith("h")]
    return "\n".join("- " * (kind == "li") + text for kind, text, value in
                     found[above[-1] if above else start:end]
                     if value > LIST and (value >= 0 or kind))


def marked(pieces):
    """Return the page of these pieces, with each kind of list as an <ol>, and with a mark in the
    tags whose class or id has a whole word that says that they hold no main content."""
    tags = [piece.partition(b">")[0] for piece in pieces]
    tags[:1] = [b""] if tags else []        # what is before the first tag
    # To resiliparse, a <ul> near the root is navigation; here, links tell which list is.
    new = {tag: name[1] + AS[name[2].lower()] + tag[name.end():]
           for tag in set(tags) if (name := LISTS.match(tag))}
    for tag in named(set(tags)):
        listed = new.get(tag, tag)
        name = MARKED.match(listed)
        new[tag] = name[0] + b" data-skipped" + listed[name.end():]
    for i, tag in enumerate(tags):
        if tag in new:
            pieces[i] = new[tag] + pieces[i][len(tag):]
    return b"<".join(pieces).decode()


def named(tags):
    """Return those of different tags that have one of WORDS in their class or id, and may be left
    out."""
    tags = b"<".join([tag for tag in tags if b"=" in tag]) + b"<"
    lower, found = tags.lower(), set()
    for word in WORDS:
        at = lower.find(word)
        while at >= 0:
            end = lower.index(b"<", at)
            found.add(tags[lower.rfind(b"<", 0, at) + 1:end])
            at = lower.find(word, end)
    return [tag for tag in found if MARKED.match(tag) and any(map(WORD.search, NAMES.findall(tag)))]


def keep_most(tree):
    """Take the mark from elements that hold most of the page; those lie not deep in it."""
    shallow = ",".join("body" + ">*" * depth + ">" + SKIPPED for depth in range(5))
    marked = tree.body.query_selector_all(shallow)
    most = MOST * len(tree.body.text) if len(marked) else 0
    for element in list(marked) if len(marked) <= LOOKED_AT else ():     # it takes quadratic time
        if len(element.text) > most:
            del element["data-skipped"]


def blocks(tree, skip, **settings):
    """Return [(kind, text, value)] of what a page shows; kind is "p", "h1" to "h6", "li", "pre",
    "tr" or ""."""
    page = extract_plain_text(tree, preserve_formatting="minimal_html", links=True, alt_texts=False,
                              skip_elements=skip, **settings)
    found, kind, at, first = [], "", 0, 0        # first: of the lines that <br> divides
    for mark in MARK.finditer(page + "\n"):
        markup = page[at:mark.start()]
        shown = markup.strip()
        if shown:
            add_block(found, kind, markup)
        goes_on = markup.endswith("<br>") and shown != "<br>"      # two end a paragraph
        if first < len(found) and not goes_on and (shown or mark[0] != "\n"):
            found[first:] = together(found[first:])
            first = len(found)
        if mark[1]:
            code = mark[1].replace("<br>", "\n")
            if not is_gutter(TAG.sub("", code).split()):
                add_block(found, "pre", code)
            first = len(found)
        if mark[0] != "\n":
            kind = mark[2] or ""
        at = mark.end()
    return found


def is_gutter(words):
    """Whether these are the numbers of lines of code, one after the other."""
    first = int(words[0]) if len(words) > 1 and re.fullmatch(r"[0-9]{1,6}", words[0]) else None
    return first is not None and words == [str(first + i) for i in range(len(words))]


def together(lines):
    """Return the blocks of the lines that <br> divides: where they are a paragraph, long or with a
    sentence that goes on in the next line, each is worth its length."""
    length = sum(len(text) for _, text, _ in lines)
    linked = sum(len(text) for _, text, value in lines if value == LIST)
    long = length >= PARAGRAPH and length >= LINE * len(lines)
    goes_on = length >= PROSE and any(GOES_ON.match(text) for _, text, _ in lines[1:])
    if linked > LINKED * length or not long and not goes_on \
            or any(kind.startswith("h") for kind, _, _ in lines):
        return lines
    return [(kind, text, value if value == LIST else len(text)) for kind, text, value in lines]


def add_block(found, kind, markup):
    """Append the block (kind, text, value) of a piece of minimal HTML, unless it is blank."""
    if not kind and "\t" in markup.strip():
        kind = "tr"
    text = entities.unescape(TAG.sub("", markup))
    if not text.isascii():
        text = INVISIBLE.sub("", text)
    text = text.strip("\n") if kind == "pre" else " ".join(text.split())
    if text.strip():
        unlinked = len(text) - sum(map(len, LINK.findall(markup)))
        heading = kind.startswith("h")
        if unlinked < (1 - LINKED) * len(text):
            value = LIST
        elif not heading and (unlinked >= PROSE or SENTENCE.search(text)):
            value = unlinked
        else:
            value = SCRAP if heading or not kind else 0
        found.append((kind, text, value))


def best_run(found):
    """Return (start, end, sum) of the run of blocks whose values sum to most."""
    best, sum, start = (0, 0, 0), 0, 0
    for i, (_, _, value) in enumerate(found):
        if sum < 0:
            sum, start = 0, i
        sum += value
        if sum > best[2]:
            best = start, i + 1, sum
    return best
