"""Pages of the crawl, and how one becomes HTML: the layout of its site, filled in.

A layout (text/sites/*.html) reads like the page's source. In it, $name stands for what the method
`name` of `Draft` makes, for a block of text/furniture.html or for one of text/sites.txt's lines;
$name5 for name(5), and what has a ? behind it is on half of the pages. The main text is in $text;
all else is what an extractor has to leave out.
"""
import functools
import hashlib
import json
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from data.pocket.grammar import Dice, words
from data.pocket.text import lines, load, raw, table

SLOT = re.compile(r"\$([a-z]+)(\d*)(\??)")
HEADING = re.compile(r".{1,80}[^.!?:;,\"'”]")
WROTE = re.compile(r"(\w[\w ]{1,40}) wrote:")
STEP = re.compile(r"(?<=[.!?]) (?=[A-Z])")      # a recipe's sentences are its steps
NAME = re.compile(r"\b[A-Z][a-z]+ [A-Z][a-z]+\b")
ENTITIES = {ord(c): f"&{name};" for c, name in zip(
    '"–—×÷−’“”…', "quot ndash mdash times divide minus rsquo ldquo rdquo hellip".split())}
USERS = ("nature", "cond"), ("bird", "tool", "beast")


@dataclass(eq=False)
class Page:
    """A page of the crawl; `text` begins with the title, and is None where no text is meant."""

    url: str
    kind: str
    title: str
    text: str | None
    dirt: str | None = None
    ends: tuple = ("kept",)
    of: str | None = None               # the url of the page that this one repeats
    similarity: float | None = None     # to it: the Jaccard index of their word 5-grams
    personal: tuple = ()                # planted personal data
    lang: str = "en"
    html: str | None = None             # what the page shows instead of the text
    menu: tuple = ()                    # words of its navigation, where not English
    year: int = 0
    status: int = 200
    type: str = "text/html"
    codec: str = "utf-8"                # what its bytes are
    header: str | None = "utf-8"        # what the HTTP header says they are
    meta: str | None = "utf-8"          # what the <meta> says
    broken: bool = False                # the markup
    damage: str | None = None           # of the record: see web.records
    more: dict = field(default_factory=dict)    # what else `documents` says about the text

    @property
    def slug(self) -> str:
        """The last part of the url, which no other good page has."""
        return self.url.rpartition("/")[2]

    @property
    def host(self) -> str:
        """The name of the server."""
        return urlsplit(self.url).hostname


@dataclass(frozen=True)
class Site:
    """A web site and its layout; %s stands for a paragraph, or for who posted and what."""

    name: str
    server: str
    entities: bool              # &quot; &ndash; and so on in the text
    page: str
    paragraph: str = "<p>%s</p>\n"
    post: str = '<div class="post"><p><b>%s</b> wrote: %s</p></div>\n'


@functools.cache
def sites() -> dict:
    """{host: Site}, the mirrors last."""
    return {host: Site(name, server, bool(more), **raw(f"sites/{host.removesuffix('example')}html"))
            for host, name, server, *more in [*table("sites", "sites"), *table("sites", "mirrors")]}


def site_of(host: str) -> Site:
    """The site of a host; hosts without a layout of their own have bought somebody else's."""
    for name, site in sites().items():
        if host == name or host.endswith("." + name):
            return site
    number = int.from_bytes(hashlib.blake2b(host.encode(), digest_size=4).digest(), "big")
    return list(sites().values())[number % len(sites())]


class Draft:
    """One page while it is written: the methods are slots of the layouts.

    near  [(title, url), ...] of other pages, to link to
    """

    def __init__(self, page: Page, near: list, dice: Dice):
        self.page, self.near, self.dice = page, near, dice
        self.site = site_of(page.host)
        begin = " ".join((page.text or "").split()[:24])
        data = {"props": {"title": page.title, "body": page.text, "ok": True}}
        self.known = {
            "lang": page.lang, "host": page.host, "year": page.year, "charset": page.meta,
            "title": self.escape(page.title), "name": self.escape(self.site.name),
            "url": self.attribute(page.url),
            "lead": self.attribute(begin), "whole": json.dumps(data).replace("</", "<\\/"),
            **({} if page.meta else {"meta": "", "oldmeta": ""})}

    def fill(self, layout: str, **known) -> str:
        self.known |= known
        return SLOT.sub(self.slot, layout)

    def slot(self, match: re.Match) -> str:
        name, count, sometimes = match.groups()
        if sometimes and self.dice.chance(0.5):
            return ""
        if name in self.known:
            return str(self.known[name])
        if name in raw("furniture.html"):
            return self.furniture(name)
        if name in load("sites"):
            return self.dice.pick(lines("sites", name))
        return str(getattr(self, name)(*([int(count)] if count else [])))

    def furniture(self, name: str, **known) -> str:
        """A block of text/furniture.html, filled in."""
        return self.fill(raw("furniture.html")[name].rstrip("\n"), **known)

    # ---- the text ----

    def escape(self, text: str) -> str:
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return text.translate(ENTITIES) if self.site.entities else text

    def attribute(self, text: str) -> str:
        """Text as the value of an attribute."""
        return self.escape(text).replace('"', "&quot;")

    def text(self) -> str:
        """The main text without its title. A page of dirt may bring its own HTML."""
        if self.page.html is not None:
            return self.fill(self.page.html)
        _, *blocks = self.page.text.split("\n\n")
        return "".join(map(self.block, blocks))

    def block(self, block: str) -> str:
        """A paragraph of the text: a post, or a heading, lines and lists."""
        first, *more = block.split("\n")
        wrote = WROTE.fullmatch(first)
        if wrote:
            return self.site.post % (self.escape(wrote[1]), "<br>\n".join(map(self.inline, more)))
        out, items = [], []
        if more and HEADING.fullmatch(first) and not first.startswith("- "):
            out.append(f"<h3>{self.escape(first)}</h3>\n")
        else:
            more.insert(0, first)
        for line in more:
            item = re.fullmatch(r"(- |\d+\. )(.*)", line)
            if item:
                items.append(item)
            else:
                steps = STEP.split(line) if self.page.kind == "recipe" else [line]
                out += [self.listed(items),
                        *(self.site.paragraph % self.inline(step) for step in steps)]
                items = []
        return "".join([*out, self.listed(items)])

    def listed(self, items: list) -> str:
        """Items of one list, matches of their mark and text."""
        if not items:
            return ""
        tag = "ul" if items[0][1] == "- " else "ol"
        rows = "".join(f"  <li>{self.inline(item[2])}</li>\n" for item in items)
        return f"<{tag}>\n{rows}</{tag}>\n"

    def inline(self, line: str) -> str:
        """A line of text, with a name made a link or a word emphasised here and there."""
        text = self.escape(line)
        if self.dice.chance(0.3):
            return NAME.sub(lambda name: f'<a href="/search?q={name[0].replace(" ", "+")}">'
                                         f"{name[0]}</a>", text, 1)
        if self.dice.chance(0.1):
            tag = self.dice.pick(["em", "b", "i", "strong"])
            return re.sub(r"(?<= )[a-z]{4,}(?= )", rf"<{tag}>\g<0></{tag}>", text, 1)
        return text

    # ---- what surrounds the text ----

    def social(self) -> str:
        """Tags for the previews of other sites, some of them."""
        return "\n".join(self.furniture("previews").split("\n")[:self.dice.between(3, 7)])

    def linked(self) -> str:
        """schema.org's data for machines."""
        data = {"@context": "https://schema.org", "@type": "Article",
                "headline": self.page.title, "url": self.page.url, "datePublished": self.date(),
                "author": {"@type": "Person", "name": self.user()},
                "description": " ".join((self.page.text or "").split()[:30])}
        text = json.dumps(data, ensure_ascii=self.dice.chance(0.5)).replace("</", "<\\/")
        return f'<script type="application/ld+json">{text}</script>'

    def script(self) -> str:
        n = self.number(99999)
        return self.furniture(f"script {self.dice.between(1, 4)}", n=n)

    def style(self) -> str:
        n = self.number(999)
        return self.furniture(f"style {self.dice.between(1, 3)}", n=n, width=f"{600 + n}px")

    def number(self, most: int = 99) -> int:
        return self.dice.between(1, most)

    def user(self) -> str:
        return " ".join(self.dice.pick(words(self.dice.pick(kinds))) for kinds in USERS).title()

    def date(self) -> str:
        """A day of the last years, for machines."""
        year, month = self.page.year - self.dice.upto(8), self.dice.between(1, 12)
        return f"{year}-{month:02}-{self.dice.between(1, 28):02}"

    def day(self) -> str:
        """A day of the last years."""
        day, month = self.dice.between(1, 28), self.dice.pick(words("month"))
        return f"{day} {month} {self.page.year - self.dice.upto(8)}"

    def anchor(self) -> str:
        title, url = self.dice.pick(self.near)
        return f'<a href="{self.attribute(url)}">{self.escape(title)}</a>'

    def links(self, most: int = 6) -> str:
        return "\n".join(f"<li>{self.anchor()}</li>"
                         for _ in range(self.dice.between(most // 2, most)))

    def row(self, most: int = 6) -> str:
        return " | ".join(self.anchor() for _ in range(self.dice.between(2, most)))

    def menu(self) -> str:
        return "".join(f'<li><a href="/{k or ""}">{self.escape(word)}</a></li>'
                       for k, word in enumerate(self.page.menu or lines("sites", "navigation")))

    def tags(self) -> str:
        """What the page is filed under."""
        tags = self.dice.some(words("subject") + words("trinket"), self.dice.between(2, 5))
        return " ".join(f'<a rel="tag" href="/tag/{tag.replace(" ", "-")}">{tag}</a>'
                        for tag in tags)

    def share(self) -> str:
        """Links to other sites that tell of the page."""
        names = self.dice.some(lines("sites", "networks"), self.dice.between(2, 4))
        return "".join(f'<a class="share-{name.lower()}" href="https://{name.lower()}.example/'
                       f'share?u={self.known["url"]}">{name}</a> ' for name in names)

    def comments(self) -> str:
        """What readers say below the text."""
        said = self.dice.some(lines("sites", "remarks"), self.dice.between(1, 4))
        rows = [self.furniture("comment", said=remark) for remark in said]
        return self.furniture("thread", count=len(said), rows="\n".join(rows))
