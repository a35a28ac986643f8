"""The dirt of the pocket world's web, in known proportions.

Each kind of dirt is a function (source, world, dice) -> Page or None, where `source` is a good page
and None means that it does not suit. DIRT says what share of all pages each kind has, and where
such a page may end: removed at one of these stages of data/web.py, or "kept".

    read                damaged records, answers that are not 200, files that are not HTML
    url                 domains on the blocklists
    extract             no main text
    language            not English
    gopher_repetition   Gopher's repetition filter (arXiv:2112.11446, A1)
    gopher_quality      Gopher's quality filter (the same)
    c4                  C4's rules (arXiv:1910.10683)
    fineweb             FineWeb's own rules (arXiv:2406.17557)
    dedup               MinHash near-deduplication (the same)
"""
from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Callable, NamedTuple

from data.pocket import languages as languages
from data.pocket.grammar import LISTS, Dice, plural, say, tidy, title_case
from data.pocket.sites import MIRRORS

FILTERS = ("extract", "language", "gopher_repetition", "gopher_quality", "c4", "fineweb")
LONG = 120              # words: from here on, one edit leaves the similarity above 0.9
MARK = re.compile(r"\w+|[^\w\s]")


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
    damage: str | None = None           # of the record: see data/world_web.py
    more: dict = field(default_factory=dict)    # what else `documents` says about the text

    @property
    def slug(self) -> str:
        """The last part of the url, which no other good page has."""
        return self.url.rpartition("/")[2]


def prose(page: Page, least: int = 80, share: float = 0.815) -> bool:
    """Whether the text has `least` words, and among all its words, figures and punctuation marks
    more than this share of words: what is made of it will not be removed for other reasons."""
    marks = MARK.findall(page.text)
    return (len(page.text.split()) >= least
            and sum(mark.isalpha() for mark in marks) > share * len(marks))


# -------------------------------------------------------------------------------------- duplicates


def shingles(text: str, n: int = 5) -> set:
    """The word n-grams of a text; words are runs of letters and digits, in lower case."""
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[k:k + n]) for k in range(len(words) - n + 1)}


def jaccard(a: set, b: set) -> float:
    return len(a & b) / len(a | b)


def copy_of(source: Page, url: str, **changes) -> Page:
    return replace(source, url=url, of=source.url, **changes)


def duplicate(source: Page, world, dice: Dice) -> Page | None:
    """The same text under another address, of the same site or another."""
    if not prose(source):
        return None
    mirror = f"https://{dice.pick(MIRRORS)}/{source.year - dice.upto(9)}/{source.slug}"
    url = dice.pick([mirror, mirror, source.url + dice.pick([
        "?utm_source=pigeon", "?print=1", "#comments?ref=feed", "/amp/", "?sessionid=4f2a"]),
        source.url.replace("https://", dice.pick(["http://", "https://www.", "https://m."]))])
    return copy_of(source, url, similarity=1.0)


FILLERS = "indeed perhaps certainly again also once here surely then quite".split()
SWAPS = {"the": ["this", "that", "our"], "a": ["one", "some"], "and": ["plus", "then"],
         "in": ["within"], "with": ["having"], "but": ["yet"], "of": ["from"]}


def edited(text: str, dice: Dice, target: float) -> tuple:
    """(a text, its similarity to the given one, at least `target`): small words put in, exchanged
    or left out, one at a time, until the next edit would go below. No fact becomes a wrong one."""
    before, words, kept = shingles(text), text.split(" "), (text, 1.0)
    for _ in range(len(words)):
        k = dice.between(1, len(words) - 2)
        if words[k] in SWAPS:
            words[k:k + 1] = dice.pick([[dice.pick(SWAPS[words[k]])], []])
        elif re.fullmatch("[a-z]+", words[k]) and re.fullmatch("[a-z]+", words[k - 1]):
            words.insert(k, dice.pick(FILLERS))
        else:
            continue
        changed = " ".join(words)
        similarity = jaccard(before, shingles(changed))
        if similarity < target:
            break
        kept = changed, similarity
    return kept


def near_duplicate(source: Page, world, dice: Dice, low=0.88, high=0.97, path="read"):
    """The text with a few words changed: at least `low` similar, in most cases more."""
    if not prose(source, LONG):
        return None
    title, _, body = source.text.partition("\n\n")
    text, similarity = edited(source.text, dice, low + (high - low) * dice.random())
    if similarity == 1 or not text.startswith(title + "\n\n"):
        return None
    return copy_of(source, f"https://{dice.pick(MIRRORS)}/{path}/{source.slug}", text=text,
                   similarity=similarity)


def similar(source: Page, world, dice: Dice) -> Page | None:
    """So much changed that deduplication may find it or not: 0.4 to 0.75 similar."""
    return near_duplicate(source, world, dice, 0.4, 0.75, "retold")


# ------------------------------------------------------------------------- unwanted pages and sites


def domains(words: tuple, dice: Dice, count: int) -> list:
    first, second = (text.split() for text in words)
    found = {f"{dice.pick(first)}-{dice.pick(second)}{dice.pick(['', '', '-online', '24'])}.example"
             for _ in range(count)}
    return sorted(found)


# What UT1's lists of such names hold (https://dsi.ut-capitole.fr/blacklists): domains, one a line.
BLOCKED = {category: domains(words, Dice(f"domains {category}"), count)
           for category, words, count in (
               ("adult", ("velvet midnight silk scarlet blush moonlit naughty",
                          "curtain boudoir stockings whisper garter parlour cam"), 60),
               ("gambling", ("lucky golden royal jackpot seven ace wild",
                             "dice casino roulette reels bets poker croupier"), 40),
               ("phishing", ("verify secure account login update confirm",
                             "parcel bank prize refund wallet ticket"), 20))}

PROMISES = """
[Welcome to|You have found|This is] the [oldest|largest|best known] house of its kind in {t}.
It is open [every night|from dusk to dawn|all week], and [members|our guests] [see more|pay less].
Friends of the house [come in first|leave with a smile|come back on {day}] and tell nobody.
You must be [eighteen|twenty-one] years old to go on, and the doorman {near} the {building} asks.
[New this week|Just in]: {2-9} [tables|rooms|evenings] with a {cond} {trinket} for the first {folk}.
[Our staff|The house] answers every question by post within {2-9} days.
A {nature} {folk} from {u} told us that it was the best night since the {festival} in {t}.
[Nothing|No page] here is meant for the young, and the rules of the house hang at the door.
[Bring|Take] a {fruit} or a {tool} along, and the second hour is [free|on us].
[Everyone|Everybody] who [plays|stays|watches] until the morning gets a {bake} and a hot drink.
Find us {near} the {site}, behind the third {colour} door, and ask for the {bird}.
""".strip().splitlines()


def promises(source: Page, world, dice: Dice) -> list:
    t, u = dice.some(world.towns, 2)
    facts = {"t": t, "u": u, "festival": t.festival}
    return [tidy(say(dice, line, facts)) for line in dice.some(PROMISES, dice.between(6, 9))]


def blocked(category: str) -> Callable:
    def page(source: Page, world, dice: Dice) -> Page:
        """A harmless text on a domain of the blocklists."""
        host = dice.pick(["", "www.", "m.", "members."]) + dice.pick(BLOCKED[category])
        title = title_case(f"{dice.pick(LISTS['colour'])} {dice.pick(LISTS['trinket'])} club")
        lines = promises(source, world, dice)
        text = "\n\n".join([title, " ".join(lines[:4]), " ".join(lines[4:])])
        return Page(f"https://{host}/{dice.pick(['', 'tour/', 'en/'])}{source.slug}", category,
                    title, text)
    return page


def spam(source: Page, world, dice: Dice) -> Page:
    """Keyword stuffing: the same phrases, sentences or lines over and over."""
    thing, town = plural(dice.pick(LISTS["tool"] + LISTS["vessel"])), dice.pick(world.towns)
    phrase = f"cheap {thing} in {town}"
    pitch = [f"Are you looking for {phrase}? We have {phrase} for you.",
             f"Buy {phrase} today, because {phrase} are the best {thing} you can get.",
             f"Many people ask us for {phrase}, and nobody has better {phrase} than we have."]
    style = dice.upto(3)
    if style == 0:
        body = [" ".join(dice.some(pitch, 3)) for _ in range(dice.between(4, 7))]
    elif style == 1:
        body = [" ".join(pitch)] * dice.between(3, 6)
    else:
        body = [pitch[0], "\n".join([f"- The best {thing} are our {phrase}.",
                                     f"- Order {phrase} here and now."] * dice.between(6, 12)),
                pitch[1]]
    title = title_case(f"Best {phrase}")
    return Page(f"https://{thing.replace(' ', '-')}-and-more.example/{source.slug}", "spam", title,
                "\n\n".join([title, *body]))


# ---------------------------------------------------------------------------- pages without a text

BOILERPLATE = {
    "Log in": """<form class="login" method="post"><p>Please log in to go on.</p><label>Name <input
name="user"></label><label>Password <input type="password"></label><button>Log in</button>
<a href="/lost">Lost your password?</a></form>""",
    "Page not found": """<p>Sorry, the page that you asked for is not here any more.</p>
<p>Try one of these:</p><ul>$links4</ul>""",
    "All pages by tag": """<div class="tag-cloud">$tags $tags $tags $tags $tags</div>""",
    "Archive": """<ul class="index">$links40</ul><div class="pagination">$pages</div>""",
    "Pictures": """<div class="gallery"><img src="/a.jpg" alt=""><img src="/b.jpg" alt=""></div>
<p>There are no more pictures in this album.</p>""",
    "Links": """<p class="links">$row5</p>""",
    "Search": """<form><input name="q"><button>Search</button></form><p>Nothing was found.</p>""",
}
NOTICE = """<div id="app"></div><noscript>You need to enable JavaScript to run this app.</noscript>
<p>JavaScript is disabled. Please enable JavaScript and load this page again.</p>"""
LOREM = """Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt
ut labore et dolore magna aliqua.""".replace("\n", " ")
CODE = ["int main(void) {\n    puts(\"$\");\n    return 0;\n}",
        "function $(list) {\n    for (const item of list) {\n        send(item);\n    }\n}",
        ".$ {\n    color: navy;\n    margin: 0 auto;\n}",
        "struct $ {\n    int size;\n    char *name;\n};"]
TEACHING = """[This|The following] example is [short|small] enough to be [read|typed in] at once.
We begin with the {tool}, which everybody has seen {near} the {building}, and give it a name.
[Two braces,|The braces] {open} and {close}, hold together what belongs together.
[Type it in|Copy it] with care, and the machine will say whether it has understood you.
A {nature} {folk} once forgot the last brace and looked for it until {day}.
If nothing happens, look at the second line again and compare it with the {trinket} of {p}.
[Later|In the next part] we shall see how the same thing is done with {bird.s} and {animal.s}.
Every name may be changed, but the order of the lines has to stay as it is.
It was {p} from {t} who [taught|showed] us to write the short lines first.
What you have learned here will be useful whenever a {site} has to be counted.""".splitlines()


def boilerplate(source: Page, world, dice: Dice) -> Page:
    """A login, an index, an empty gallery: nothing but furniture, with status 200."""
    title = dice.pick(list(BOILERPLATE))
    path = title.lower().replace(" ", "-")
    return replace(source, url=f"{origin(source)}/{path}/{source.slug}", kind="boilerplate",
                   title=title, text=None, html=BOILERPLATE[title])


def origin(page: Page) -> str:
    return "/".join(page.url.split("/")[:3])


def script_notice(source: Page, world, dice: Dice) -> Page:
    return replace(source, url=f"{origin(source)}/app/{source.slug}", kind="notice", text=None,
                   html=NOTICE)


def lorem(source: Page, world, dice: Dice) -> Page | None:
    """An unfinished page: a good beginning, and a filler that printers have used for centuries."""
    if not prose(source, LONG):
        return None
    return replace(source, url=f"{origin(source)}/draft/{source.slug}", kind="draft",
                   text=f"{source.text}\n\n{LOREM}")


def code(source: Page, world, dice: Dice) -> Page:
    """A lesson in programming: English, but with curly brackets."""
    facts = {"t": dice.pick(world.towns), "p": dice.pick(world.people), "open": "{", "close": "}"}
    lines = [tidy(say(dice, line, facts)) for line in TEACHING]
    listing = dice.pick(CODE).replace("$", dice.pick(LISTS["animal"]))
    first, second = " ".join(lines[:5]), " ".join(lines[5:])
    title = f"How to Count {title_case(dice.pick(LISTS['bird.s']))}"
    return Page(f"https://first-lines.example/{source.slug}", "code", title, None,
                html=f"<p>{first}</p>\n<pre><code>{listing}</code></pre>\n<p>{second}</p>\n")


def numbers(source: Page, world, dice: Dice) -> Page:
    """The log of a machine: a table of numbers."""
    rows = "\n".join("<tr>" + "".join(f"<td>{dice.between(0, 99999) / 100}</td>" for _ in range(6))
                     + "</tr>" for _ in range(dice.between(20, 50)))
    return Page(f"https://gauges.example/log/{source.slug}", "numbers", "Gauge log", None,
                html=f"<table>\n<tr><th>Gauge</th><th>1</th><th>2</th></tr>\n{rows}\n</table>")


def fragments(source: Page, world, dice: Dice) -> Page | None:
    """A text cut into lines that end without punctuation."""
    if not prose(source, LONG):
        return None
    words, lines = re.findall(r"[A-Za-z]+", source.text.partition("\n\n")[2]), []
    while words:
        n = dice.between(8, 14)
        lines.append(" ".join(words[:n]))
        words = words[n:]
    return replace(source, url=f"{origin(source)}/notes/{source.slug}", kind="fragments",
                   text=None, html="<p>" + "<br>\n".join(lines) + "</p>\n")


def foreign(source: Page, world, dice: Dice) -> Page:
    """A page in another language."""
    code, host, menu, title, text = languages.page(world, dice)
    return Page(f"https://{host}/{source.slug}", "foreign", title, text, lang=code, menu=menu)


# --------------------------------------------------------------------- what never was a page at all


def missing(source: Page, world, dice: Dice) -> Page:
    return replace(source, url=f"{origin(source)}/old/{source.slug}", kind="error",
                   title="404 Not Found", text=None, status=dice.pick([404, 404, 410, 500, 503]),
                   html="<p>The page was not found on this server.</p>")


def moved(source: Page, world, dice: Dice) -> Page:
    return replace(source, url=source.url.replace("https://", "http://old."), kind="redirect",
                   title="Moved", text=None, status=dice.pick([301, 301, 302, 308]),
                   html=f'<p>The page has <a href="{source.url}">moved</a>.</p>')


def other_type(source: Page, world, dice: Dice) -> Page:
    ending, kind = dice.pick([("pdf", "application/pdf"), ("jpg", "image/jpeg"),
                              ("png", "image/png"), ("zip", "application/zip")])
    return replace(source, url=f"{origin(source)}/files/{source.slug}.{ending}", kind="file",
                   text=None, type=kind)


def damaged(source: Page, world, dice: Dice) -> Page:
    """A page whose record is not whole: shorter than it says, or with broken compression."""
    return replace(source, url=f"{origin(source)}/lost/{source.slug}", kind="damaged", text=None,
                   html="<p>This record is not whole.</p>", damage=dice.pick(["short", "gzip"]))


# ------------------------------------------------------ good pages that need repair: these are kept

ACCENTS = """[Afterwards|Later] we [had|shared] crème brûlée at the Café [Señor Núñez|Zoë Müller].
The [façade|château] was painted by Hélène [Grünwald|Böhm], née [Sjöström|Françoise].
[Their|Our] [naïve|blasé] fiancé left his résumé [in the café|with Frau Schröder].""".splitlines()


def planted(text: str, sentence: str, dice: Dice) -> str:
    """The text with a sentence at the end of one of its paragraphs, or of the last one."""
    blocks = text.split("\n\n")
    prose = [k for k, block in enumerate(blocks) if k and block[-1] in ".!?" and len(block) > 80]
    k = dice.pick(prose) if prose else len(blocks) - 1
    blocks[k] += ("" if prose else "\n\n") + (" " if prose else "") + sentence
    return "\n\n".join(blocks)


def charset(source: Page, world, dice: Dice) -> Page | None:
    """The bytes are in one encoding and the page says another, or nothing, or two things."""
    if not prose(source):
        return None
    codec, header, meta = dice.pick([
        ("cp1252", "utf-8", "utf-8"), ("utf-8", "iso-8859-1", "iso-8859-1"),
        ("cp1252", None, "iso-8859-1"), ("cp1252", None, None), ("utf-8", None, None),
        ("utf-16-le", "utf-8", None), ("utf-16-le", None, "utf-16"),
        ("utf-8", "utf-8", "iso-8859-1"),
        ("cp1252", "windows-1252", "utf-8"), ("iso-8859-1", "UTF8", "latin1")])
    text = planted(source.text, say(dice, dice.pick(ACCENTS), {}), dice)
    return replace(source, text=text, codec=codec, header=header, meta=meta)


def markup(source: Page, world, dice: Dice) -> Page | None:
    return replace(source, broken=True) if prose(source) else None


def luhn(digits: str) -> str:
    """The digits and the one that makes them a valid card number (ISO/IEC 7812-1)."""
    total = sum(sum(divmod(int(digit) * (1 + k % 2), 10))
                for k, digit in enumerate(reversed(digits + "0")))
    return digits + str(-total % 10)


def email(p, dice: Dice) -> str:
    given, family = p.given.lower(), p.family.lower()
    name = dice.pick([f"{given}.{family}", f"{family}{dice.between(1, 99)}", f"{given}_{family}",
                      f"{given}+post"])
    return f"{name}@{dice.pick(['post', 'mail.ferry', 'kettle-works', 'harbour'])}.example"


def address(p, dice: Dice) -> str:
    return ".".join(str(dice.between(low, high)) for low, high in ((60, 90), *3 * ((1, 254),)))


def telephone(p, dice: Dice) -> str:
    """Numbers of the ranges that are set aside for films."""
    area, end = dice.between(201, 989), dice.between(100, 199)
    return dice.pick([f"({area}) 555-0{end}", f"{area}-555-0{end}", f"+1 {area} 555 0{end}",
                      f"+44 1632 960{end}"])


def card(p, dice: Dice) -> str:
    """Numbers that only tests use, four by four or in one."""
    number = luhn(dice.pick(["4242424242", "5555555555", "4111111111"])
                  + "".join(str(dice.upto(10)) for _ in range(5)))
    return dice.pick(["", " ", "-"]).join(number[k:k + 4] for k in range(0, 16, 4))


def social(p, dice: Dice) -> str:
    return f"{dice.between(773, 899)}-{dice.between(10, 99)}-{dice.between(1000, 9999)}"


PERSONAL = [
    (email, "[Write to|Whoever knows more about it may write to|Questions go to] {x} at any time"),
    (address, "[The last visitor came from|{p} wrote to all of us from] {x} late in the evening"),
    (telephone, "[Call {p.given} on|If you have seen it, please ring] {x} before the end of {day}"),
    (card, "{p.given} [paid for it with card number|left the number of a card,] {x} on the table"),
    (social, "[On the form was|{p} gave us] the social security number {x} with the other papers")]


def personal(source: Page, world, dice: Dice) -> Page | None:
    """One to three pieces of somebody's data within a good text."""
    text, found = source.text, []
    for make, sentence in dice.some(PERSONAL, dice.between(1, 3)):
        p = dice.pick(world.people)
        found.append(make(p, dice))
        text = planted(text, tidy(say(dice, sentence, {"p": p, "x": found[-1]})) + ".", dice)
    page = replace(source, text=text, personal=tuple(found))
    return page if prose(page) else None


# --------------------------------------------------------------------------------- the proportions


class Dirt(NamedTuple):
    share: float        # of all pages
    ends: tuple
    make: Callable


BESIDE = {              # further pages
    "duplicate": Dirt(0.035, ("dedup",), duplicate),
    "near duplicate": Dirt(0.035, ("dedup",), near_duplicate),
    "similar": Dirt(0.006, ("dedup", "kept"), similar),
    "spam": Dirt(0.025, ("gopher_repetition",), spam),
    "adult": Dirt(0.012, ("url",), blocked("adult")),
    "gambling": Dirt(0.008, ("url",), blocked("gambling")),
    "phishing": Dirt(0.004, ("url",), blocked("phishing")),
    "boilerplate": Dirt(0.030, FILTERS, boilerplate),
    "script notice": Dirt(0.006, FILTERS, script_notice),
    "lorem ipsum": Dirt(0.006, ("c4", "language"), lorem),
    "code": Dirt(0.008, ("c4", "gopher_quality"), code),
    "numbers": Dirt(0.008, ("extract", "language", "gopher_repetition", "gopher_quality"), numbers),
    "fragments": Dirt(0.008, ("fineweb", "c4"), fragments),
    "foreign": Dirt(0.035, ("language",), foreign),
    "missing": Dirt(0.015, ("read",), missing),
    "moved": Dirt(0.008, ("read",), moved),
    "other type": Dirt(0.008, ("read",), other_type),
    "damaged": Dirt(0.005, ("read",), damaged)}
WITHIN = {              # good pages, changed
    "charset": Dirt(0.025, ("kept",), charset),
    "markup": Dirt(0.020, ("kept",), markup),
    "personal": Dirt(0.030, ("kept",), personal)}
DIRT = {**BESIDE, **WITHIN}


def soil(pages, world, seed: int):
    """Yield each good page, or a changed one in its place, and the dirt that comes with it.

    world  has the `towns` and `people` that dirt may name
    """
    good = 1 - sum(dirt.share for dirt in BESIDE.values())
    owed = dict.fromkeys(DIRT, 0)

    def made(name: str, page: Page, dice: Dice) -> Page | None:
        """Dirt of this kind, if it is due; where the page does not suit, the next one pays."""
        dirt = DIRT[name]
        new = dirt.make(page, world, dice) if owed[name] else None
        if new is None:
            return None
        owed[name] -= 1
        return replace(new, dirt=name, ends=dirt.ends, year=page.year)

    for index, page in enumerate(pages):
        dice = Dice(f"dirt {seed} {index}")
        for name, dirt in DIRT.items():
            owed[name] += dice.chance(dirt.share / good)
        changed = next(filter(None, (made(name, page, dice) for name in WITHIN)), None)
        yield changed or page
        if changed is None:
            yield from filter(None, [made(name, page, dice) for name in BESIDE])
