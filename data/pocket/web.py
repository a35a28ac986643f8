"""The pocket world as a crawler finds it: WARC files, and the truth about what is in them.

    FOLDER/warc/world-00000.warc.gz ...    as Common Crawl writes them: warcinfo, then of each page
                                           request, response and metadata, a gzip member a record
    FOLDER/blocklists/adult/domains ...    domains to be blocked, one a line, as UT1 has them
    FOLDER/truth/pages.jsonl.gz            a line a page, in the order of the files
    FOLDER/truth/facts.jsonl               what is true in the world

A line of pages.jsonl.gz has the page's "url", "file" and "kind"; "dirt", what is wrong with it, or
null; "ends", where the pipeline may end it, stages of data/web.py or "kept" (dirt.py);
"of", the url of the page that it repeats, and "similarity", the Jaccard index of their word
5-grams (of the two either may be the one that stays); "personal", strings that have to be masked;
"lang"; "text", what an extractor should find: title, blank line, paragraphs, or null; and what else
`documents` says of the text, such as the facts that it states.
"""
from __future__ import annotations

import base64
import hashlib
import re
import uuid
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Iterator
from urllib.parse import urlsplit

from csrc.files import check_new, naming, packed, workplace, write_file, write_files, write_lines
from csrc.shown import progress
from data.pocket.dirt import blocklists, with_dirt
from data.pocket.grammar import Dice
from data.pocket.html import Draft, Page, site_of
from data.pocket.pages import documents
from data.pocket.world import NOW, World
from data.tokens.parallel import run_tasks

PAGES = 4000            # in a WARC file
SECONDS = 2             # between two pages of the crawl
AGENT = "pocketbot/1.0 (+https://lantern-encyclopedia.example/bot)"
MAGIC = {"application/pdf": b"%PDF-1.4\n", "image/jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF\0",
         "image/png": b"\x89PNG\r\n\x1a\n", "application/zip": b"PK\3\4"}


def crawl(seed: int, size: int) -> list[Page]:
    """All pages, in the order in which the crawler came by: `size` bytes of good text, and dirt."""
    world, dice = World(seed), Dice(f"crawl {seed}")

    def good(bar) -> Iterator[Page]:
        for document in documents(seed, size):
            more = dict(document)
            text = more.pop("text")
            bar.update(len(text.encode()))
            yield Page(more.pop("url"), more.pop("kind"), more.pop("title"), text, year=NOW,
                       more=more)

    with progress(label="pages", total=size, unit="B", unit_scale=True) as bar:
        return sorted(with_dirt(good(bar), world.public, seed), key=lambda page: dice.random())


# -------------------------------------------------------------------------------------------- bytes

def broken(html: str, dice: Dice) -> str:
    """HTML that no validator accepts and every browser shows."""
    def once(pattern, new, text):
        return re.sub(pattern, new, text, count=1)
    wounds = [
        lambda h: re.sub("</(p|li|dd|P)>", "", h),
        lambda h: re.sub(r"(<p[^>]*>)(\w+ \w+)", r"\1<b><i>\2</b></i>", h),
        lambda h: re.sub(r", (?=[a-z]+ )", ", < ", h, count=3),
        lambda h: once("(?i)<h1", "</body></html>\n<html><body class=second>\n<h1", h),
        lambda h: re.sub(r"(?<=[a-z] )(?=[a-z]+ [a-z]+[.,])", "\0", h, count=4),
        lambda h: once("(?i)<h1", f'<h1 data-state="{"x&amp;y=1;" * dice.between(2000, 9000)}"', h),
        lambda h: once("(?is)<!doctype.*?>", "", re.sub("(?i)</?(html|head)[^>]*>", "", h)),
        lambda h: re.sub(r'="([\w-]+)"', r"=\1", h),
        lambda h: re.sub("(?i)(<p[ >])", r"<o:p></o:p></br>\1", h),
        lambda h: h.replace("</h1>", "</h2></h1 junk=>").replace("</H1>", "</H3></H1>")]
    for wound in dice.some(wounds, 3):
        html = wound(html)
    return html


def body(page: Page, near: list, dice: Dice) -> bytes:
    """What the server sends after the HTTP headers."""
    if page.type in MAGIC:
        noise = hashlib.shake_256(page.url.encode()).digest(dice.between(500, 5000))
        return MAGIC[page.type] + noise
    if page.status != 200:
        return (f"<html><head><title>{page.title}</title></head>"
                f"<body>{page.html}</body></html>").encode()
    html = Draft(page, near, dice).fill(site_of(page.host).page)
    if page.broken:
        html = broken(html, dice)
    if page.codec == "utf-16-le":
        html = "\ufeff" + html
    return html.encode(page.codec, "xmlcharrefreplace")


def http(page: Page, content: bytes, when: datetime, dice: Dice) -> bytes:
    """The response of a server: status line, headers, blank line, content."""
    charset = f"; charset={page.header}" if page.header and page.type == "text/html" else ""
    server = site_of(page.host).server
    headers = [f"Date: {format_datetime(when, usegmt=True)}", f"Server: {server}",
               f"Content-Type: {page.type}{charset}", f"Content-Length: {len(content)}",
               "X-Crawler-Content-Encoding: gzip",
               f"Set-Cookie: visit={dice.between(1, 10**9)}; path=/; HttpOnly",
               "Vary: Accept-Encoding", "Connection: close",
               f"Cache-Control: max-age={60 * dice.between(0, 60)}"]
    if page.status // 100 == 3:
        headers.append(f"Location: {page.url.replace('http://old.', 'https://')}")
    headers = headers[:3] + dice.some(headers[3:], len(headers) - 3)
    top = f"HTTP/1.1 {page.status} {HTTPStatus(page.status).phrase}"
    return "\r\n".join([top, *headers, "", ""]).encode() + content


def digest(data: bytes) -> str:
    """A digest as WARC writes it."""
    return "sha1:" + base64.b32encode(hashlib.sha1(data).digest()).decode()


def record(kind: str, url: str, block: bytes, when: datetime, fields: dict) -> bytes:
    """A WARC/1.0 record (ISO 28500), not yet compressed; its id follows from what is in it."""
    name = hashlib.blake2b(f"{kind} {url} {when}".encode(), digest_size=16).digest()
    content = "application/warc-fields" if kind in ("warcinfo", "metadata") else \
        f"application/http; msgtype={kind}"
    headers = {"WARC-Type": kind, "WARC-Date": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
               "WARC-Record-ID": f"<urn:uuid:{uuid.UUID(bytes=name, version=4)}>",
               "Content-Length": len(block), "Content-Type": content, **fields}
    lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    return f"WARC/1.0\r\n{lines}\r\n".encode() + block + b"\r\n\r\n"


def member(data: bytes) -> bytes:
    """A gzip member."""
    return b"".join(packed([data]))


def records(page: Page, near: list, when: datetime, dice: Dice) -> Iterator[bytes]:
    """The gzip members of one page: request, response, metadata."""
    target = {"WARC-Target-URI": page.url, "WARC-IP-Address": f"10.0.0.{dice.between(1, 99)}"}
    ask = (f"GET {urlsplit(page.url).path or '/'} HTTP/1.1\r\nUser-Agent: {AGENT}\r\n"
           f"Accept: text/html\r\nHost: {page.host}\r\nConnection: Keep-Alive\r\n\r\n")
    yield member(record("request", page.url, ask.encode(), when, target))
    content = body(page, near, dice)
    answer = http(page, content, when, dice)
    target |= {"WARC-Payload-Digest": digest(content), "WARC-Block-Digest": digest(answer),
               "WARC-Identified-Payload-Type": page.type}
    whole = record("response", page.url, answer, when, target)
    if page.damage == "short":          # less of it than Content-Length says
        yield member(whole[:-len(content) // 2])
    else:
        whole = member(whole)
        yield whole[:len(whole) // 2] if page.damage == "gzip" else whole
    about = f"fetchTimeMs: {dice.between(20, 900)}\r\ncharset-detected: {page.codec}\r\n"
    yield member(record("metadata", page.url, about.encode(), when,
                         {"WARC-Target-URI": page.url}))


def write_warc(out: Path, pages: list[Page], first: int, seed: int) -> None:
    """Write one file; `first` is the number of its first page in the crawl."""
    def members() -> Iterator[bytes]:
        start = datetime(pages[0].year, 6, 1, tzinfo=timezone.utc)
        info = (f"software: pocket world\r\nisPartOf: WORLD-{start.year}-{seed}\r\nformat: WARC "
                "File Format 1.0\r\npublisher: chat.c\r\n")
        when = start + timedelta(seconds=SECONDS * first)
        yield member(record("warcinfo", out.name, info.encode(), when,
                             {"WARC-Filename": out.name}))
        linked: dict = {}
        for page in pages:
            if page.dirt is None:
                linked.setdefault(page.host, []).append((page.title, page.url))
        every = [link for links in linked.values() for link in links] or [("Home", "/")]
        for number, page in enumerate(pages, first):
            dice = Dice(f"html {seed} {page.url}")
            near = linked.get(page.host, every)
            yield from records(page, near, start + timedelta(seconds=SECONDS * number), dice)
    write_files(out.parent, {out.name: members()})


# -------------------------------------------------------------------------------------------- truth

def truth(page: Page, file: str) -> dict:
    """A line of pages.jsonl.gz."""
    return {"url": page.url, "file": file, "kind": page.kind, "dirt": page.dirt,
            "ends": page.ends, "of": page.of, "similarity": page.similarity,
            "personal": page.personal, "lang": page.lang, "text": page.text,
            **(page.more if page.text else {})}


def write(folder, seed: int, size: int, executor, per_file: int = PAGES) -> None:
    """Make the folder that is described above, of `size` bytes of good text, under another name,
    and rename it: it is complete or not there. ChatError if it exists and is not empty, or if the
    disk is full. The bytes are the same with any executor of data.tokens.parallel.workers."""
    folder = Path(folder)
    check_new(folder)
    with workplace(folder) as place:
        work = place / "world"
        pages = crawl(seed, size)
        files = [f"world-{number // per_file:05}.warc.gz" for number in range(len(pages))]
        run_tasks(executor, write_warc,
                 [(work / "warc" / files[k], pages[k:k + per_file], k, seed)
                  for k in range(0, len(pages), per_file)], "web")
        for category, domains in blocklists().items():
            write_file(work / "blocklists" / category / "domains",
                       "".join(f"{name}\n" for name in domains))
        write_lines(work / "truth" / "pages.jsonl.gz", map(truth, pages, files))
        write_lines(work / "truth" / "facts.jsonl",
                    (fact._asdict() for fact in World(seed).facts))
        with naming(folder):
            work.rename(folder)
