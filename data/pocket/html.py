"""How a page of the pocket world becomes HTML: the layout of its site, filled in.

A layout (data/world_sites.py) reads like the page's source. In it, $name stands for what the method
`name` of `Draft` makes, $name5 for name(5), and what has a ? behind it is on half of the pages. The
main text is in $text; all else is what an extractor has to leave out.
"""
from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from data.pocket.grammar import LISTS, Dice
from data.pocket.sites import site_of

if TYPE_CHECKING:
    from data.pocket.dirt import Page

SLOT = re.compile(r"\$([a-z]+)(\d*)(\??)")
HEADING = re.compile(r".{1,80}[^.!?:;,\"'”]")
WROTE = re.compile(r"(\w[\w ]{1,40}) wrote:")
STEP = re.compile(r"(?<=[.!?]) (?=[A-Z])")      # a recipe's sentences are its steps
NAME = re.compile(r"\b[A-Z][a-z]+ [A-Z][a-z]+\b")
ENTITIES = {ord(c): f"&{name};" for c, name in zip(
    '"–—×÷−’“”…', "quot ndash mdash times divide minus rsquo ldquo rdquo hellip".split())}
USERS = ("nature", "cond"), ("bird", "tool", "beast")
REMARKS = """Lovely, thank you for this.|My grandmother told it quite differently.|First!|
Is there a second part?|I have been looking for this since the spring.|Well written as always.|
Shared with my sister.|You forgot to mention the weather.|This made my day.|+1|
Does anybody know who wrote this?|Reading this on the ferry.|Typo in the second line.|Great work!|
I was there and it was colder than that.|Never heard of it before.|More of these,
 please.""".replace("\n", "").split("|")
ADVERTS = """Warm boots, half price, this week only|Your name on a mug|Ladders for every roof|
Lamp oil by the barrel - order now|Try our new soap free for 30 days|Lose your beard in nine days|
Doctors hate this simple kettle|Insure your goat today|Cheap ferry tickets|
Hats. Hats. Hats.""".replace("\n", "").split("|")


class Draft:
    """One page while it is written: the methods are the slots of the layouts.

    near  [(title, url), ...] of other pages, to link to
    """

    def __init__(self, page: Page, near: list, dice: Dice):
        self.page, self.near, self.dice = page, near, dice
        self.host = urlsplit(page.url).hostname
        self.site = site_of(self.host)

    def write(self) -> str:
        return self.fill(self.site.layout.lstrip())

    def fill(self, layout: str) -> str:
        return SLOT.sub(self.slot, layout)

    def slot(self, match: re.Match) -> str:
        name, count, sometimes = match.groups()
        if sometimes and self.dice.chance(0.5):
            return ""
        return str(getattr(self, name)(*([int(count)] if count else [])))

    # ---- the text ----

    def escape(self, text: str) -> str:
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return text.translate(ENTITIES) if self.site.entities else text

    def attribute(self, text: str) -> str:
        return self.escape(text).replace('"', "&quot;")

    def title(self) -> str:
        return self.escape(self.page.title)

    def text(self) -> str:
        """The main text without its title. A page of dirt may bring its own HTML."""
        if self.page.html is not None:
            return self.fill(self.page.html)
        _, *blocks = self.page.text.split("\n\n")
        return "".join(map(self.block, blocks))

    def block(self, block: str) -> str:
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
        if not items:
            return ""
        tag = "ul" if items[0][1] == "- " else "ol"
        rows = "".join(f"  <li>{self.inline(item[2])}</li>\n" for item in items)
        return f"<{tag}>\n{rows}</{tag}>\n"

    def inline(self, line: str) -> str:
        """A line of text, with a name made a link or a word emphasised here and there."""
        dice = self.dice
        text = self.escape(line)
        if dice.chance(0.3):
            return NAME.sub(lambda name: f'<a href="/search?q={name[0].replace(" ", "+")}">'
                                         f"{name[0]}</a>", text, 1)
        if dice.chance(0.1):
            tag = dice.pick(["em", "b", "i", "strong"])
            return re.sub(r"(?<= )[a-z]{4,}(?= )", rf"<{tag}>\g<0></{tag}>", text, 1)
        return text

    def lead(self) -> str:
        """The beginning of the text, as descriptions for machines quote it."""
        return self.attribute(" ".join((self.page.text or "").split()[:24]))

    def whole(self) -> str:
        """The whole text as the data of a script."""
        return json.dumps({"props": {"title": self.page.title, "body": self.page.text,
                                     "ok": True}}).replace("</", "<\\/")

    # ---- the head ----

    def meta(self) -> str:
        declared = self.page.meta
        return f'<meta charset="{declared}">' if declared else ""

    def oldmeta(self) -> str:
        declared = self.page.meta
        return ('<META HTTP-EQUIV="Content-Type" '
                f'CONTENT="text/html; charset={declared}">') if declared else ""

    def lang(self) -> str:
        return self.page.lang

    def name(self) -> str:
        return self.escape(self.site.name)

    def url(self) -> str:
        return self.attribute(self.page.url)

    def social(self) -> str:
        tags = [("og:title", self.attribute(self.page.title)), ("og:type", "article"),
                ("og:url", self.url()), ("og:site_name", self.name()),
                ("og:description", self.lead()), ("twitter:card", "summary"),
                ("og:image", f"/media/{self.number(9999)}.jpg")]
        return "\n".join(f'<meta property="{name}" content="{value}">'
                         for name, value in tags[:self.dice.between(3, 7)])

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
        return self.dice.pick([
            f"<script>window.dataLayer=window.dataLayer||[];function gtag(){{dataLayer.push("
            f"arguments)}}gtag('js',new Date());gtag('config','UA-{n}-1');</script>",
            f"<script>/*<![CDATA[*/ var page_id = {n}; if (page_id < 7 && top != self) "
            "{ document.write('<p>This text is written by a script. Please ignore it.</p>'); } "
            "/*]]>*/</script>",
            f'<script async src="https://cdn.{self.host}/app.{n}.js"></script>\n<noscript><img '
            f'height="1" width="1" alt="" src="https://pixel.example/{n}"></noscript>',
            f"<!-- cached {n} ms ago by page_cache 2.1 -->"])

    def style(self) -> str:
        n = self.number(999)
        return self.dice.pick([
            f'<link rel="stylesheet" href="/style.css?v={n}">',
            f"<style>body{{font:16px/1.6 Georgia,serif;max-width:{600 + n}px}} .ad,.ad *"
            "{color:#999} a:hover{text-decoration:none} @media print{nav{display:none}}</style>",
            f'<link rel="stylesheet" href="/css/main.{n}.min.css">\n<link rel="icon" '
            'href="/favicon.ico">\n<link rel="preload" as="font" href="/fonts/serif.woff2">'])

    # ---- what surrounds the text ----

    def number(self, most: int = 99) -> int:
        return self.dice.between(1, most)

    def user(self) -> str:
        return " ".join(self.dice.pick(LISTS[self.dice.pick(kinds)]) for kinds in USERS).title()

    def date(self) -> str:
        dice = self.dice
        return (f"{self.page.year - dice.upto(8)}-{dice.between(1, 12):02}-"
                f"{dice.between(1, 28):02}")

    def day(self) -> str:
        dice = self.dice
        return (f"{dice.between(1, 28)} {dice.pick(LISTS['month'])} "
                f"{self.page.year - dice.upto(8)}")

    def anchor(self) -> str:
        title, url = self.dice.pick(self.near)
        return f'<a href="{self.attribute(url)}">{self.escape(title)}</a>'

    def links(self, most: int = 6) -> str:
        """List items, each a link to another page of the world."""
        return "\n".join(f"<li>{self.anchor()}</li>"
                         for _ in range(self.dice.between(most // 2, most)))

    def row(self, most: int = 6) -> str:
        return " | ".join(self.anchor() for _ in range(self.dice.between(2, most)))

    def menu(self) -> str:
        words = self.page.menu or ("Home", "About", "Archive", "Contact", "Search", "Log in")
        return "".join(f'<li><a href="/{k or ""}">{self.escape(word)}</a></li>'
                       for k, word in enumerate(words))

    def tags(self) -> str:
        words = self.dice.some(LISTS["subject"] + LISTS["trinket"], self.dice.between(2, 5))
        return " ".join(f'<a rel="tag" href="/tag/{word.replace(" ", "-")}">{word}</a>'
                        for word in words)

    def share(self) -> str:
        return "".join(f'<a class="share-{name.lower()}" href="https://{name.lower()}.example/'
                       f'share?u={self.url()}">{name}</a> '
                       for name in self.dice.some(["Pigeon", "Drum", "Postcard", "Bell", "Lantern"],
                                                  self.dice.between(2, 4)))

    def cookies(self) -> str:
        text = self.dice.pick([
            "We use cookies to give you the best experience. By continuing you accept our cookie "
            "policy.", "This site uses cookies. Read more in our privacy policy.",
            "We and our 312 partners store cookies on your device."])
        return (f'<div id="cookie-banner" class="cookie-consent" role="dialog"><p>{text}</p>'
                "<button>Accept all</button> <button>Reject</button></div>")

    def ad(self) -> str:
        return (f'<div class="ad advert ad-slot-{self.number(9)}"><span>Advertisement</span> '
                f'<a href="https://ads.example/c?{self.number(9999)}" rel="sponsored nofollow">'
                f"{self.dice.pick(ADVERTS)}</a></div>")

    def comments(self) -> str:
        said = self.dice.some(REMARKS, self.dice.between(1, 4))
        rows = "\n".join(f'<li class="comment"><div class="comment-author">{self.user()} '
                         f'<span class="comment-date">{self.day()}</span></div>'
                         f'<div class="comment-body"><p>{remark}</p></div>'
                         '<a class="reply" href="#respond">Reply</a></li>' for remark in said)
        return (f'<section id="comments" class="comments-area"><h3>{len(said)} comments</h3>'
                f'<ol class="comment-list">\n{rows}\n</ol><form id="respond"><label>Leave a reply '
                '<textarea></textarea></label><button>Post comment</button></form></section>')

    def legal(self) -> str:
        return (f"&copy; {self.page.year} {self.name()}. All rights reserved. "
                '<a href="/terms">Terms of use</a> <a href="/privacy">Privacy policy</a> '
                '<a href="/imprint">Imprint</a>')

    def pages(self) -> str:
        return (f'<a href="?page=1">1</a> <a href="?page=2">2</a> ... '
                f'<a href="?page={self.number()}">Last</a>')
