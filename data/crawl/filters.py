"""Which documents of a crawl are worth learning from: rules about words, lines and addresses.

A filter takes a SplitText and returns None, or why the document is rejected: a sentence that is the
same for all that this rule rejects. Every threshold is an argument whose default is the published
one. The rules are Gopher's (arXiv:2112.11446, A.1.1), C4's (arXiv:1910.10683, 2.2) and FineWeb's
(arXiv:2406.17557), in that order, counted as datatrove counts them, which made FineWeb: so words
are split as spaCy's rules for English split them, and a threshold of FineWeb's is not the paper's.
Then there is a filter of URLs.

    why = gopher_repetition(text) or gopher_quality(text)      # text = SplitText("...")
"""

from __future__ import annotations

import re
from functools import cached_property, lru_cache
from itertools import chain, product
from pathlib import Path

import numpy as np
import regex

from csrc.bind import Library
from csrc.files import ChatError, naming
from csrc.remote import local

# -------------------------------------------------------------------------------------------- Words

LONGEST = 200  # characters: what is longer without a blank is no word, and cut

PIECE = re.compile(rf"\S{{1,{LONGEST}}}")
QUOTES = "'\"”“`‘´’‚,„»«"
# What is split off a chunk's beginning, one at a time; off its end; and what divides the rest.
# Hyphens and the marks of paths, addresses and sums are not punctuation here.
OPENING = regex.compile(r"""
    \.\.+ | (?:US|[AC])\$ | \p{Sc} | \+(?!\d) | (?V1:[[\p{P}\p{So}<>=`´]--[-‒./@\\・′″]])""",
    regex.X)
CLOSING = regex.compile(r"""(?:
    \.\.+ | ['’][sS] | \): | [:;=]-?\)
    | (?<=\d) (?:\+ | \p{Sc} | % | [kcdmµn]?m[²³]? | ha | yd | in | ft | [kmµ]?g | t | lb | oz | m/s
                 | km/h | kmh | mph | h?Pa | mbar | [mkgtMKGT][bB] | [TGMK])
    | (?<=[0-9\p{Ll}%²+-] | (?V1:[[\p{P}]--[./@\\]])) \. | (?<=\p{Lu}\p{Lu}) \.
    | (?V1:[[\p{P}\p{So}<>`´]--[-‒./@\\%§・′″]]) )$""", regex.X)
BETWEEN = regex.compile(rf"""
    \.\.+ | … | \p{{So}} | (?<=\d) [+*^-] (?=[\d-]) | (?<=\p{{L}}) , (?=\p{{L}})
    | (?<=[\p{{Ll}}{QUOTES}]) \. (?=[\p{{Lu}}{QUOTES}])
    | (?<=[\p{{L}}\d]) (?:---? | —— | [-–—~:<>=/]) (?=\p{{L}})""", regex.X)
ADDRESS = regex.compile(r"""
    (?:[\w+.-]{2,}://)? (?:\S+@)? (?:[^\W_](?:[\w-]*[^\W_])?\.)+ \p{Ll}{2,63} (?::\d{2,5})?
    (?:[/?#]\S*)?""", regex.X)

LONGEST_END = 8  # characters of what CLOSING finds, and of what it looks back at

# Some chunks are one word, whatever their marks; some are two, with an apostrophe or without one.
WHOLE = """
    ' '' 's 'S ’s ’S 'd 're 'll 'em — Mr. Mrs. Ms. Messrs. Dr. Prof. Rev. Gen. Gov. Sen. Rep. Adm.
    Jr. St. Mt. Inc. Co. co. Corp. Ltd. Bros. Ph.D. D.C. Mo. Miss. vs. e.g. i.e. E.g. I.e. a.m. p.m.
    Jan. Feb. Mar. Apr. Jun. Jul. Aug. Sep. Sept. Oct. Nov. Dec. and/or w/o ma'am o'clock
    doin' goin' havin' lovin' nothin' somethin' ol'
    :) :( :D :P ;) :-) :-( ;-) (: (; =) <3
    a. b. c. d. e. f. g. h. i. j. k. l. m. n. o. p. q. r. s. t. u. v. w. x. y. z."""
WE, HE, WHO = "you we they", "he she it", "who what when where why how there that this"
CONTRACTED = [
    ("i", "'m 've"), (f"i {WE} {HE} {WHO}", "'ll 'd 'll+'ve 'd+'ve"), (f"{WE} {WHO}", "'ve 're"),
    (f"{HE} {WHO}", "'s"), ("could might must should would", "'ve"),
    ("could might must should would ca do does did had may need ought sha wo ai are is was were "
     "have has dare", "n't n't+'ve")]
NOT_CONTRACTED = "ill its hell shell shed were well"


def special_chunks():
    """{chunk: its words} for all that no rule splits rightly."""
    special = {"cannot": ("can", "not"), "gonna": ("gon", "na"), "gotta": ("got", "ta"),
               "let's": ("let", "'s"), "let’s": ("let", "’s")}
    for stems, ends in CONTRACTED:
        for stem, end, mark in product(stems.split(), ends.split(), ("'", "’", "")):
            words = stem, *end.replace("'", mark).split("+")
            special["".join(words)] = words
    for chunk in NOT_CONTRACTED.split():
        del special[chunk]
    special |= {chunk.capitalize(): (words[0].capitalize(), *words[1:])
                for chunk, words in special.items()}
    return special | {chunk: (chunk,) for chunk in WHOLE.split()}


SPECIAL = special_chunks()


class SplitText(str):
    """A document's text, which is split into words once for all filters."""

    @cached_property
    def words(self) -> list[str]:
        """Words, numbers and punctuation marks, without blanks."""
        return list(words_of(self))


def words_of(text: str):
    """Yield the words of a text."""
    chunks = text.split()
    if max(map(len, chunks), default=0) > LONGEST:
        chunks = PIECE.findall(text)
    return chain.from_iterable(map(split, chunks))


@lru_cache(1 << 16)
def split(chunk: str) -> tuple[str, ...]:
    """The words of a piece of text without blanks, by the rules of spaCy's English tokenizer."""
    before, after, inner = [], [], ()
    while chunk and not inner:
        if chunk in SPECIAL or chunk.isalpha():
            inner = SPECIAL.get(chunk, (chunk,))
        elif found := OPENING.match(chunk):
            before.append(found[0])
            chunk = chunk[found.end():]
        elif found := CLOSING.search(chunk, max(0, len(chunk) - LONGEST_END)):
            after.append(found[0])
            chunk = chunk[:found.start()]
        else:
            inner = (chunk,) if ADDRESS.fullmatch(chunk) else divide(chunk)
    return *before, *inner, *reversed(after)


def divide(chunk: str) -> tuple[str, ...]:
    """Split at what lies between words: "dark-blue" has three."""
    words, start = [], 0
    for found in BETWEEN.finditer(chunk, 1):
        words += chunk[start : found.start()], found[0]
        start = found.end()
    return tuple(filter(None, (*words, chunk[start:])))


# ------------------------------------------------------------------------------------------- Gopher

FULL_STOPS = ".!?։؟۔।॥၊။።፧‼‽⁇⁈⁉⸮。﹒﹖﹗！．？｡"  # what ends a sentence, in the larger scripts
BLANK_LINES, LINE_ENDS = re.compile(r"\n{2,}"), re.compile(r"\n+")
SYMBOLS = regex.compile(
    rf"[!-/:-@\[-`{{-~\p{{Cc}}\p{{Ps}}\p{{Pe}}\p{{Pi}}\p{{Pf}}–—…、，：；％´～{FULL_STOPS}]+")
LETTER = regex.compile(r"\p{L}")
STOP_WORDS = {"the", "be", "to", "of", "and", "that", "have", "with"}


def percent(share: float) -> str:
    """A share as a reason names it: 0.3 is "30 %"."""
    return f"{100 * share:g} %"


def repeats(parts: list[str]) -> tuple[int, int]:
    """How many of the parts occurred before, and how many characters these have."""
    seen, again = set(), []
    for part in parts:
        if part in seen:
            again.append(part)
        seen.add(part)
    return len(again), sum(map(len, again))


def ngrams(words: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Letters in the most frequent 2- to 4-grams and in repeated 5- to 10-grams (csrc/text.h)."""
    letters = np.frombuffer("".join(words).encode("utf-32-le", "surrogatepass"), "<u4")
    lengths = np.fromiter(map(len, words), np.int32, len(words))
    top, again = np.empty(3, np.uint64), np.empty(6, np.uint64)
    Library.text().call("repeated_ngrams", top, again, letters, lengths, len(words))
    return top, again


def gopher_repetition(text: SplitText, *, paragraphs=0.30, paragraph_letters=0.20, lines=0.30,
                      line_letters=0.20, top=(0.20, 0.18, 0.16),
                      again=(0.15, 0.14, 0.13, 0.12, 0.11, 0.10)) -> str | None:
    """Reject what repeats itself (arXiv:2112.11446, table A1).

    paragraphs, lines   most that may be repetitions of an earlier one; ..._letters: most of the
                        text's characters that may lie in them
    top                 most of the characters in the most frequent 2-, 3- and 4-gram of words
    again               most of the characters in repeated 5- to 10-grams
    """
    if not text:
        return "no text"
    for what, parts, most, most_letters in (
            ("paragraphs", BLANK_LINES.split(text.strip()), paragraphs, paragraph_letters),
            ("lines", LINE_ENDS.split(text), lines, line_letters)):
        count, letters = repeats(parts)
        if count > most * len(parts):
            return f"repeated {what} over {percent(most)}"
        if letters > most_letters * len(text):
            return f"text in repeated {what} over {percent(most_letters)}"
    top_letters, again_letters = ngrams(text.words)
    for n, (letters, most) in enumerate(zip(top_letters.tolist(), top), 2):
        if letters > most * len(text):
            return f"top {n}-gram over {percent(most)}"
    for n, (letters, most) in enumerate(zip(again_letters.tolist(), again), 5):
        if letters > most * len(text):
            return f"repeated {n}-grams over {percent(most)}"
    return None


def gopher_quality(text: SplitText, *, least=50, most=100_000, shortest=3, longest=10, symbols=0.1,
                   bullets=0.9, ellipses=0.3, lettered=0.8, stop_words=2) -> str | None:
    """Reject what is not made of sentences (arXiv:2112.11446, A.1.1).

    least, most         words that are not just punctuation
    shortest, longest   mean length of these, in characters
    symbols             hash signs a word, and ellipses a word
    bullets, ellipses   most of the lines that may begin with a bullet, end with an ellipsis
    lettered            least of all words that must have a letter
    stop_words          least of the eight STOP_WORDS that must occur
    """
    words = text.words
    others = [word for word in words if not word.isalpha()]
    marks = [word for word in others if SYMBOLS.fullmatch(word)]
    count = len(words) - len(marks)
    if count < least:
        return f"fewer than {least} words"
    if count > most:
        return f"more than {most} words"
    mean = (sum(map(len, words)) - sum(map(len, marks))) / count
    if mean < shortest:
        return f"mean word shorter than {shortest}"
    if mean > longest:
        return f"mean word longer than {longest}"
    if text.count("#") > symbols * len(words):
        return f"hash signs over {percent(symbols)}"
    if text.count("...") + text.count("…") > symbols * len(words):
        return f"ellipses over {percent(symbols)}"
    lines = text.splitlines()
    if sum(line.lstrip().startswith(("•", "-")) for line in lines) > bullets * len(lines):
        return f"lines with a bullet over {percent(bullets)}"
    if sum(line.rstrip().endswith(("...", "…")) for line in lines) > ellipses * len(lines):
        return f"lines with an ellipsis over {percent(ellipses)}"
    if len(words) - len(others) + sum(map(bool, map(LETTER.search, others))) < (
            lettered * len(words)):
        return f"words with a letter under {percent(lettered)}"
    if len(STOP_WORDS.intersection(words)) < stop_words:
        return f"fewer than {stop_words} stop words"
    return None


# ----------------------------------------------------------------------------------------------- C4

CITATION = re.compile(r"\[(?:\d*|edit|citation needed)\]")
POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies",
            "use cookies")
PUNCTUATION, SENTENCE_ENDS = regex.compile(r"\p{P}+"), frozenset(FULL_STOPS)


def c4(text: SplitText, *, terminal=False, sentences=5, words=3,
       longest=1000) -> tuple[SplitText, str | None]:
    """Drop lines, then reject what is left with too little (arXiv:1910.10683, 2.2).

    terminal    drop lines that do not end as a sentence does. C4 did; FineWeb found that this costs
                too much (arXiv:2406.17557)
    sentences   least that must be left
    words       least, between blanks, of a line
    longest     characters of the longest word of a line: from C4's code, as are the lines about
                cookies and the marks of citations, which are removed

    Lines with "javascript" or one of POLICIES go, documents with "lorem ipsum" or { as well.
    Returns the text with what is dropped gone, or as it was where it is rejected, and why.
    """
    kept, missing = [], sentences
    for line in text.splitlines():
        line = line.strip()
        chunks = line.split()
        if len(line) > longest and max(map(len, chunks)) > longest:
            continue
        line = CITATION.sub("", line)
        if terminal and (not line.endswith((".", "?", "!", '"', "'")) or line.endswith("...")):
            continue
        if len(chunks) < words:
            continue
        lower = line.lower()
        if "lorem ipsum" in lower:
            return text, "lorem ipsum"
        if "javascript" in lower:
            continue
        if "{" in line:
            return text, "a curly bracket"
        if any(policy in lower for policy in POLICIES):
            continue
        missing -= count_sentences(line, missing)
        kept.append(line)
    if missing > 0:
        return text, f"fewer than {sentences} sentences"
    edited = "\n".join(kept).strip()
    return (text if edited == text else SplitText(edited)), None


def count_sentences(line: str, most: int) -> int:
    """How many sentences a line has, or `most` if there are more: one begins with the line, and
    with each word that is no punctuation after a full stop."""
    count, ended = 0, True
    for word in words_of(line):
        if count >= most:
            break
        if word in SENTENCE_ENDS:
            count, ended = max(count, 1), True
        elif ended and not (count and PUNCTUATION.fullmatch(word)):
            count, ended = count + 1, False
    return count


def bad_words(file):
    """Return C4's filter that rejects texts with a word or phrase of a file, one a line: of lists
    of "dirty, naughty, obscene or otherwise bad words", for languages with blanks between words."""
    with naming(file):
        lines = Path(file).read_text("utf-8").splitlines()
    entries = {line.strip().lower() for line in lines} - {""}
    if not entries:
        raise ChatError(f"{file}: there are no words in it")
    patterns = [(entry, re.compile(rf"(?<!\w){re.escape(entry)}(?!\w)"))
                for entry in sorted(entries)]

    def bad_word(text: str) -> str | None:
        lower = text.lower()
        found = any(entry in lower and pattern.search(lower) for entry, pattern in patterns)
        return "a bad word" if found else None

    return bad_word


# ------------------------------------------------------------------------------------------ FineWeb

ENDED = re.compile(rf"[{FULL_STOPS}]$", re.M)


def fineweb(text: SplitText, *, ended=0.12, short=0.67, shortest=30, repeated=0.01,
            newlines=0.3) -> str | None:
    """Reject lists and what a page repeats (arXiv:2406.17557).

    ended      least of the lines that must end as a sentence does
    short      most of the lines that may have `shortest` characters or less
    repeated   most of the characters that may lie in repeated lines: 0.01 is the default with which
               datatrove made FineWeb, while the paper says 0.1
    newlines   most newlines a word
    """
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        return "no text"
    if len(ENDED.findall(text)) < ended * len(lines):
        return f"lines with a full stop under {percent(ended)}"
    if sum(len(line) <= shortest for line in lines) > short * len(lines):
        return f"short lines over {percent(short)}"
    count = text.count("\n")
    if repeats(lines)[1] > repeated * (len(text) - count):
        return f"text in repeated lines over {percent(repeated)}"
    # It has at least as many words as chunks, and these are counted sooner.
    if count > newlines * len(text.split()) and count > newlines * len(text.words):
        return f"newlines over {percent(newlines)} of words"
    return None


# ------------------------------------------------------------------------------------ URLs of pages

# The UT1 categories that RefinedWeb and FineWeb block (arXiv:2306.01116, G.1).
CATEGORIES = ("adult", "agressif", "arjel", "chat", "dating", "ddos", "filehosting", "gambling",
              "mixed_adult", "phishing")
BANNED_WORDS = "bdsm camgirl camgirls escorts hentai milf nsfw porn porno pornos xxx"
BANNED_PARTS = "casinobonus freeporn onlinecasino pornhub pornstar sexcam sexvideo xvideo"
SOFT_WORDS = """adult bet betting bonus cam cams casino casinos cialis dating erotic escort fetish
    gambling hookup jackpot loan loans naked nude nudes payday pills poker sex sexy singles slot
    slots teens viagra webcam"""

SCHEME = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?[/\\]{2,}")
AUTHORITY = re.compile(r"[^/?#\\]*")
PORT = re.compile(r":\d*$")
URL_WORD = re.compile(r"[a-z0-9]+")
COMMENT = re.compile(rb"^#.*", re.M)
BLOCK = 1 << 24  # bytes of a list read at a time
LISTS = ("domains", "urls")
DEEPEST = 16  # parts of a host's name, and folders of a path, that are looked up


def url_filter(folders, *, categories=CATEGORIES, banned=BANNED_WORDS, parts=BANNED_PARTS,
               soft=SOFT_WORDS, soft_words=2):
    """Return a filter of URLs: function(url) -> reason or None.

    folders      of domain lists like UT1's (dsi.ut-capitole.fr/blacklists): CATEGORY/domains and
                 CATEGORY/urls, or CATEGORY.domains and CATEGORY.urls; a domain stands for all below
                 it, and a URL, without its scheme, for all whose path goes on after it
    categories   those to block; None: all that are there
    banned       words of which none may occur in a URL; parts: nor these within a word
    soft         words of which fewer than `soft_words` may occur

    A listed name takes 10 bytes: of each, only a hash is kept. OSError or ChatError names the
    folder that has no lists, or the list that cannot be read.
    """
    hashes, owners, names = load_lists(folders, categories)
    banned, soft = set(banned.split()), set(soft.split())
    within = re.compile("|".join(map(re.escape, parts.split())) or r"(?!)")

    def blocked(url: str) -> str | None:
        host, path = split_url(url)
        if len(hashes):
            found = hash_lines("\n".join([*addresses(host, path), ""]).encode("utf-8", "replace"))
            at = np.searchsorted(hashes, found).clip(max=len(hashes) - 1)
            hit = np.flatnonzero(hashes[at] == found)
            if len(hit):
                return f"listed as {names[owners[at[hit[0]]]]}"
        address = host + path
        words = set(URL_WORD.findall(address))
        if words & banned:
            return "a banned word in the URL"
        if len(words & soft) >= soft_words:
            return f"{soft_words} doubtful words in the URL"
        return "a banned part of a word in the URL" if within.search(address) else None

    return blocked


def split_url(url: str) -> tuple[str, str]:
    """The host of a URL as lists write it, and what follows; both in lower case."""
    url = re.sub(r"\s", "", url).lower()
    if scheme := SCHEME.match(url):
        url = url[scheme.end():]
    host = AUTHORITY.match(url)[0]
    path = url[len(host):]
    return ascii_host(PORT.sub("", host.rpartition("@")[2]).strip(".")), path


def ascii_host(host: str) -> str:
    """An international name in its ASCII form; one that has none (it is too long) stays as is."""
    try:
        return host if host.isascii() or len(host) > 253 else host.encode("idna").decode()
    except UnicodeError:
        return host


def addresses(host: str, path: str) -> list[str]:
    """What a list may hold of a page: its host, the domains that this is in; the page and all
    folders that it is in."""
    labels = host.split(".")
    names = [host] + [".".join(labels[i:]) for i in range(max(1, len(labels) - DEEPEST),
                                                          len(labels))]
    site, whole = host.removeprefix("www."), path.rstrip("/.")
    path = re.split("[?#]", path, maxsplit=1)[0]
    steps = [found.end() for found in re.finditer("/[^/]+", path)][:DEEPEST]
    return [*names, site + whole, *(site + path[:step] for step in steps)]


def load_lists(folders, categories) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Sorted hashes of all that the folders list, the index of each one's category, their names."""
    files = []
    for folder in (local(folder, LISTS) for folder in folders):
        lists = [(file.parent.name if file.stem == file.name else file.stem, file)
                 for file in sorted(folder.rglob("*"))
                 if file.name.rpartition(".")[2] in LISTS and file.is_file()]
        if not lists:
            raise ChatError(f"{folder}: no list in it, neither CATEGORY/domains nor CATEGORY/urls")
        files += [(category, file) for category, file in lists
                  if categories is None or category in categories]
    names = sorted({category for category, _ in files})
    hashes, owners = [np.empty(0, np.uint64)], [np.empty(0, np.uint16)]
    for category, file in files:
        for part in read_list(file):
            hashes.append(part)
            owners.append(np.full(len(part), names.index(category), np.uint16))
    hashes, first = np.unique(np.concatenate(hashes), return_index=True)
    return hashes, np.concatenate(owners)[first], names


def read_list(file: Path):
    """Yield hashes of the names in a list, one a line; comments begin with #."""
    with open(file, "rb") as stream:
        while block := stream.read(BLOCK) + stream.readline():
            lines = block.lower() + b"\n"
            for end in (b"\r\n", b" \n", b"/\n", b".\n"):
                lines = lines.replace(end, b"\n")
            if b"#" in lines:
                lines = COMMENT.sub(b"", lines)
            if not lines.isascii():
                try:
                    names = [line.partition("/") for line in lines.decode().split("\n")]
                except UnicodeDecodeError as error:
                    raise ChatError(f"{file}: not UTF-8 ({error})") from error
                lines = "\n".join(ascii_host(host) + slash + path
                                  for host, slash, path in names).encode()
            hashes = hash_lines(lines)
            yield hashes[hashes != 0]  # what an empty line has


def hash_lines(text: bytes) -> np.ndarray:
    """One number a line of text, the same on every machine; the last one ends like the others."""
    hashes = np.empty(text.count(b"\n"), np.uint64)
    Library.text().call("hash_lines", hashes, np.frombuffer(text, np.uint8), len(text))
    return hashes
