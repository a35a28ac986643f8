"""The dirt of the pocket world's web, in known proportions.

Each kind of dirt is a function (source, world, dice) -> Page or None, where `source` is a good page
and None means that it does not suit. DIRT says what share of all pages each kind has, and where
such a page may end: removed at one of these stages of data/crawl/pipeline.py, or "kept".
"""
import functools
import re
from dataclasses import replace
from typing import Callable, NamedTuple

from data.pocket.grammar import Dice, capital, plural, say, tidy, title_case, words
from data.pocket.html import Page
from data.pocket.text import filled, lines, load, raw, table

FILTERS = ("extract", "language", "gopher_repetition", "gopher_quality", "c4", "fineweb")
SHORT, LONG = 80, 120   # words: from LONG on, one edit leaves the similarity above 0.9
MARK = re.compile(r"\w+|[^\w\s]")


def prose(page: Page, least: int = SHORT) -> bool:
    """Whether the text has `least` words, and among all its words, figures and punctuation marks
    over 81.5 % words: what is made of it will not be removed for other reasons."""
    marks = MARK.findall(page.text)
    return (len(page.text.split()) >= least
            and sum(mark.isalpha() for mark in marks) > 0.815 * len(marks))


# -------------------------------------------------------------------------------------- duplicates

def shingles(text: str) -> set:
    """The word 5-grams of a text; words are runs of letters and digits, in lower case."""
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[k:k + 5]) for k in range(len(words) - 4)}


def jaccard(a: set, b: set) -> float:
    """How similar two sets are, from 0 to 1."""
    return len(a & b) / len(a | b)


def mirror(dice: Dice) -> str:
    """The host of a site without pages of its own."""
    return dice.pick(table("sites", "mirrors"))[0]


def duplicate(source: Page, world, dice: Dice) -> Page:
    """The same text under another address, of the same site or another."""
    copy = f"https://{mirror(dice)}/{source.year - dice.upto(9)}/{source.slug}"
    url = dice.pick([copy, copy, source.url + dice.pick([
        "?utm_source=pigeon", "?print=1", "#comments?ref=feed", "/amp/", "?sessionid=4f2a"]),
        source.url.replace("https://", dice.pick(["http://", "https://www.", "https://m."]))])
    return replace(source, url=url, of=source.url, similarity=1.0)


def edited(text: str, dice: Dice, target: float) -> tuple:
    """(a text, its similarity to the given one, at least `target`): small words put in, exchanged
    or left out, one at a time, until the next edit would go below. No fact becomes a wrong one."""
    swaps = {word: new.split() for word, new in table("dirt", "swaps")}
    before, parts, kept = shingles(text), text.split(" "), (text, 1.0)
    for _ in range(len(parts)):
        k = dice.between(1, len(parts) - 2)
        if parts[k] in swaps:
            parts[k:k + 1] = dice.pick([[dice.pick(swaps[parts[k]])], []])
        elif re.fullmatch("[a-z]+", parts[k]) and re.fullmatch("[a-z]+", parts[k - 1]):
            parts.insert(k, dice.pick(lines("dirt", "fillers")))
        else:
            continue
        changed = " ".join(parts)
        similarity = jaccard(before, shingles(changed))
        if similarity < target:
            break
        kept = changed, similarity
    return kept


def near_duplicate(source: Page, world, dice: Dice, low=0.88, high=0.97, path="read"):
    """The text with a few words changed: at least `low` similar, in most cases more."""
    title = source.text.partition("\n\n")[0]
    text, similarity = edited(source.text, dice, low + (high - low) * dice.random())
    if similarity == 1 or not text.startswith(title + "\n\n"):
        return None
    return replace(source, url=f"https://{mirror(dice)}/{path}/{source.slug}", of=source.url,
                   text=text, similarity=similarity)


# ------------------------------------------------------------------------- unwanted pages and sites

@functools.cache
def blocklists() -> dict:
    """{category: the domains that it lists, sorted}."""
    found = {}
    for category, count, *two in table("dirt", "domains"):
        dice, (first, second) = Dice(f"domains {category}"), (text.split() for text in two)
        found[category] = sorted({f"{dice.pick(first)}-{dice.pick(second)}"
                                  f"{dice.pick(['', '', '-online', '24'])}.example"
                                  for _ in range(int(count))})
    return found


def blocked(source: Page, world, dice: Dice, category: str) -> Page:
    """A harmless text on a domain of the blocklists."""
    host = dice.pick(["", "www.", "m.", "members."]) + dice.pick(blocklists()[category])
    title = title_case(f"{dice.pick(words('colour'))} {dice.pick(words('trinket'))} club")
    t, u = dice.some(world.towns, 2)
    facts = {"t": t, "u": u, "festival": t.festival}
    said = [tidy(say(dice, line, facts))
            for line in dice.some(lines("dirt", "promises"), dice.between(6, 9))]
    text = "\n\n".join([title, " ".join(said[:4]), " ".join(said[4:])])
    return Page(f"https://{host}/{dice.pick(['', 'tour/', 'en/'])}{source.slug}", category,
                title, text)


def spam(source: Page, world, dice: Dice) -> Page:
    """Keyword stuffing: the same phrases, sentences or lines over and over."""
    things, town = plural(dice.pick(words("tool") + words("vessel"))), dice.pick(world.towns)
    phrase = f"cheap {things} in {town}"
    *pitch, best, order = (say(dice, line, {"things": things, "phrase": phrase})
                           for line in lines("dirt", "spam"))
    style = dice.upto(3)
    if style == 0:
        body = [" ".join(dice.some(pitch, 3)) for _ in range(dice.between(4, 7))]
    elif style == 1:
        body = [" ".join(pitch)] * dice.between(3, 6)
    else:
        body = [pitch[0], "\n".join([best, order] * dice.between(6, 12)), pitch[1]]
    title = title_case(f"Best {phrase}")
    return Page(f"https://{things.replace(' ', '-')}-and-more.example/{source.slug}", "spam",
                title, "\n\n".join([title, *body]))


# ---------------------------------------------------------------------------- pages without a text

def beside(source: Page, world, dice: Dice, path: str, kind: str, **changes) -> Page:
    """A page without a text on the site of a good one; of a list of changes one is drawn."""
    site = "/".join(source.url.split("/")[:3])
    changes = {"text": None} | {name: dice.pick(new) if isinstance(new, list) else new
                                for name, new in changes.items()}
    return replace(source, url=f"{site}/{path}/{source.slug}", kind=kind, **changes)


def boilerplate(source: Page, world, dice: Dice) -> Page:
    """A login, an index, an empty gallery: nothing but furniture, with status 200."""
    title, html = dice.pick(list(raw("boilerplate.html").items()))
    return beside(source, world, dice, title.lower().replace(" ", "-"), "boilerplate",
                  title=title, html=html.rstrip("\n"))


def lorem(source: Page, world, dice: Dice) -> Page:
    """An unfinished page: a good beginning, and a filler that printers have used for centuries."""
    filler, = lines("dirt", "lorem ipsum")
    return beside(source, world, dice, "draft", "draft", text=f"{source.text}\n\n{filler}")


def code(source: Page, world, dice: Dice) -> Page:
    """A lesson in programming: English, but with curly brackets."""
    facts = {"t": dice.pick(world.towns), "p": dice.pick(world.people), "open": "{", "close": "}"}
    said = [tidy(say(dice, line, facts)) for line in lines("dirt", "programming")]
    listing = dice.pick(list(raw("code.html").values())).rstrip("\n")
    listing = listing.replace("$", dice.pick(words("animal")))
    title = f"How to Count {title_case(dice.pick(words('bird.s')))}"
    return Page(f"https://first-lines.example/{source.slug}", "code", title, None,
                html=f"<p>{' '.join(said[:5])}</p>\n<pre><code>{listing}</code></pre>\n"
                     f"<p>{' '.join(said[5:])}</p>\n")


def numbers(source: Page, world, dice: Dice) -> Page:
    """The log of a machine: a table of numbers."""
    rows = "\n".join("<tr>" + "".join(f"<td>{dice.between(0, 99999) / 100}</td>" for _ in range(6))
                     + "</tr>" for _ in range(dice.between(20, 50)))
    return Page(f"https://gauges.example/log/{source.slug}", "numbers", "Gauge log", None,
                html=f"<table>\n<tr><th>Gauge</th><th>1</th><th>2</th></tr>\n{rows}\n</table>")


def fragments(source: Page, world, dice: Dice) -> Page:
    """A text cut into lines that end without punctuation."""
    rest, cut = re.findall(r"[A-Za-z]+", source.text.partition("\n\n")[2]), []
    while rest:
        n = dice.between(8, 14)
        cut.append(" ".join(rest[:n]))
        rest = rest[n:]
    html = "<br>\n".join(cut)
    return beside(source, world, dice, "notes", "fragments", html=f"<p>{html}</p>\n")


@functools.cache
def templates(language: str, section: str) -> list:
    """The entries of a section of text/languages.txt, with the lists in them as alternatives."""
    phrases = {name: f"[{'|'.join(entries).replace('/', '|')}]"
               for name, entries in load("languages")[language].items()}
    return [filled(line, phrases) for line in lines("languages", language, section)]


def foreign(source: Page, world, dice: Dice) -> Page:
    """A page in another language, of 120 to 250 words about people and towns of the world."""
    language = dice.pick(list(load("languages")))
    p = dice.pick([person for person in world.people if person.female])    # verbs agree with her
    facts = {"p": p, "p2": dice.pick(world.people), "t": dice.pick(world.towns)}
    title = say(dice, dice.pick(templates(language, "titles")), facts)
    said = [say(dice, line, facts)
            for line in dice.some(templates(language, "lines"), dice.between(10, 16))]
    title, *said = map(capital, (title, *said))
    third = len(said) // 3
    parts = title, *map(" ".join, (said[:third], said[third:2 * third], said[2 * third:]))
    (host,), (menu,) = (lines("languages", language, section) for section in ("host", "menu"))
    return Page(f"https://{host}/{source.slug}", "foreign", title, "\n\n".join(parts),
                lang=language, menu=tuple(menu.split("/")))


# --------------------------------------------------------------------- what never was a page at all

def moved(source: Page, world, dice: Dice) -> Page:
    """A redirection to the page."""
    return replace(source, url=source.url.replace("https://", "http://old."), kind="redirect",
                   title="Moved", text=None, status=dice.pick([301, 301, 302, 308]),
                   html=f'<p>The page has <a href="{source.url}">moved</a>.</p>')


def other_type(source: Page, world, dice: Dice) -> Page:
    """A file that is not HTML."""
    ending, kind = dice.pick([("pdf", "application/pdf"), ("jpg", "image/jpeg"),
                              ("png", "image/png"), ("zip", "application/zip")])
    file = beside(source, world, dice, "files", "file", type=kind)
    return replace(file, url=f"{file.url}.{ending}")


# ------------------------------------------------------ good pages that need repair: these are kept

def planted(text: str, sentence: str, dice: Dice) -> str:
    """The text with a sentence at the end of one of its paragraphs, or of the last one."""
    blocks = text.split("\n\n")
    prose = [k for k, block in enumerate(blocks) if k and block[-1] in ".!?" and len(block) > 80]
    k = dice.pick(prose) if prose else len(blocks) - 1
    blocks[k] += ("" if prose else "\n\n") + (" " if prose else "") + sentence
    return "\n\n".join(blocks)


def charset(source: Page, world, dice: Dice) -> Page:
    """The bytes are in one encoding and the page says another, or nothing, or two things."""
    codec, header, meta = (None if name == "-" else name
                           for name in dice.pick(table("dirt", "charsets")))
    text = planted(source.text, say(dice, dice.pick(lines("dirt", "accents")), {}), dice)
    return replace(source, text=text, codec=codec, header=header, meta=meta)


def markup(source: Page, world, dice: Dice) -> Page:
    """The HTML is broken."""
    return replace(source, broken=True)


def luhn(digits: str) -> str:
    """The digits and the one that makes them a valid card number (ISO/IEC 7812-1)."""
    total = sum(sum(divmod(int(digit) * (1 + k % 2), 10))
                for k, digit in enumerate(reversed(digits + "0")))
    return digits + str(-total % 10)


def email(p, dice: Dice) -> str:
    """An address for mail."""
    given, family = p.given.lower(), p.family.lower()
    name = dice.pick([f"{given}.{family}", f"{family}{dice.between(1, 99)}", f"{given}_{family}",
                      f"{given}+post"])
    return f"{name}@{dice.pick(['post', 'mail.ferry', 'kettle-works', 'harbour'])}.example"


def address(p, dice: Dice) -> str:
    """An address in the network."""
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
    """A social security number of those that nobody has."""
    return f"{dice.between(773, 899)}-{dice.between(10, 99)}-{dice.between(1000, 9999)}"


PERSONAL = [email, address, telephone, card, social]      # as in text/dirt.txt


def personal(source: Page, world, dice: Dice) -> Page | None:
    """One to three pieces of somebody's data within a good text."""
    text, found = source.text, []
    for make, sentence in dice.some(
            zip(PERSONAL, lines("dirt", "personal data")), dice.between(1, 3)):
        p = dice.pick(world.people)
        found.append(make(p, dice))
        text = planted(text, tidy(say(dice, sentence, {"p": p, "x": found[-1]})) + ".", dice)
    page = replace(source, text=text, personal=tuple(found))
    return page if prose(page) else None


# --------------------------------------------------------------------------------- the proportions

class Dirt(NamedTuple):
    """A kind of dirt."""
    share: float        # of all pages
    ends: tuple
    make: Callable
    least: int = 0      # words of the good page that it is made of, see `prose`; 0: any page


BESIDE = {              # further pages
    "duplicate": Dirt(0.035, ("dedup",), duplicate, SHORT),
    "near duplicate": Dirt(0.035, ("dedup",), near_duplicate, LONG),
    "similar": Dirt(0.006, ("dedup", "kept"),      # deduplication may find it or not
                    functools.partial(near_duplicate, low=0.4, high=0.75, path="retold"), LONG),
    "spam": Dirt(0.025, ("gopher_repetition",), spam),
    "adult": Dirt(0.012, ("url",), functools.partial(blocked, category="adult")),
    "gambling": Dirt(0.008, ("url",), functools.partial(blocked, category="gambling")),
    "phishing": Dirt(0.004, ("url",), functools.partial(blocked, category="phishing")),
    "boilerplate": Dirt(0.030, FILTERS, boilerplate),
    "script notice": Dirt(0.006, FILTERS, functools.partial(
        beside, path="app", kind="notice", html="$notice")),
    "lorem ipsum": Dirt(0.006, ("c4", "language"), lorem, LONG),
    "code": Dirt(0.008, ("c4", "gopher_quality"), code),
    "numbers": Dirt(0.008, ("extract", "language", "gopher_repetition", "gopher_quality"), numbers),
    "fragments": Dirt(0.008, ("fineweb", "c4"), fragments, LONG),
    "foreign": Dirt(0.035, ("language",), foreign),
    "missing": Dirt(0.015, ("read",), functools.partial(
        beside, path="old", kind="error", title="404 Not Found", status=[404, 404, 410, 500, 503],
        html="<p>The page was not found on this server.</p>")),
    "moved": Dirt(0.008, ("read",), moved),
    "other type": Dirt(0.008, ("read",), other_type),
    "damaged": Dirt(0.005, ("read",), functools.partial(     # shorter than it says, or badly packed
        beside, path="lost", kind="damaged", damage=["short", "gzip"],
        html="<p>This record is not whole.</p>"))}
WITHIN = {              # good pages, changed
    "charset": Dirt(0.025, ("kept",), charset, SHORT),
    "markup": Dirt(0.020, ("kept",), markup, SHORT),
    "personal": Dirt(0.030, ("kept",), personal)}
DIRT = {**BESIDE, **WITHIN}


def with_dirt(pages, world, seed: int):
    """Yield each good page, or a changed one in its place, and the dirt that comes with it.

    world  has the `towns` and `people` that dirt may name
    """
    good = 1 - sum(dirt.share for dirt in BESIDE.values())
    owed = dict.fromkeys(DIRT, 0)

    def made(kinds: dict, page: Page, dice: Dice):
        """Yield the dirt that is due; where the page does not suit, the next one pays."""
        for name, dirt in kinds.items():
            if owed[name] and (not dirt.least or prose(page, dirt.least)):
                if new := dirt.make(page, world, dice):
                    owed[name] -= 1
                    yield replace(new, dirt=name, ends=dirt.ends, year=page.year)

    for index, page in enumerate(pages):
        dice = Dice(f"dirt {seed} {index}")
        for name, dirt in DIRT.items():
            owed[name] += dice.chance(dirt.share / good)
        changed = next(made(WITHIN, page, dice), None)
        yield changed or page
        if changed is None:
            yield from made(BESIDE, page, dice)
