"""Pages out of WARC and WET files (ISO 28500), plain or .gz, whatever state they are in.

A file is read in ranges of bytes, so that a large one is work for several processes. A record
belongs to the range in which it begins: of a .gz file, in which the gzip member begins that holds
it. Where a range begins amid a record, or a record is damaged, we go on at the next place that
looks like a beginning: a gzip member whose data begin with WARC/, a line WARC/1.1 of a plain file.
So every good record is read once, whatever the ranges, and one that is damaged costs no other.
(Only a page that shows such a line, in a plain file, may become two if a range begins in it.)

A record is never larger in memory than LONGEST, or its headers than HEADERS; longer ones are
streamed past. Whatever else is wrong with the content of a file is skipped, too, and counted.
"""

import io
import math
import re
import zlib
from pathlib import Path
from typing import NamedTuple

from fastwarc.stream_io import BrotliReader, ChunkedReader
from fastwarc.warc import WarcRecord

LONGEST = 5 << 20   # bytes of a page: as much as Common Crawl keeps (1 MiB until 2025)
HEADERS = 64 << 10  # bytes of a record's headers, and of HTTP's
PIECE = 64 << 10    # bytes read at a time
TRIAL = 4096        # bytes of a gzip member that show how its data begin
HTML = ("", "text/html", "application/xhtml+xml", "text/plain")  # and what does not say

PUBLIC = re.compile(r"(https?|ftp|file):", re.IGNORECASE)   # no record of the crawler's own

WARC = re.compile(rb"[\r\n]*WARC/")
MAGIC = re.compile(rb"\x1f\x8b\x08")
RECORD = re.compile(rb"^WARC/\d\.\d+[ \t]*\r?\n", re.MULTILINE)
BLANK = re.compile(rb"\r?\n\r?\n")
LENGTH = re.compile(rb"^Content-Length:[ \t]*(\d{1,15})[ \t]*\r?$", re.MULTILINE | re.IGNORECASE)
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")

TOO_LONG = f"longer than {LONGEST >> 20} MiB"
DAMAGED, TRUNCATED = "damaged record", "truncated record"


class Page(NamedTuple):
    """A page of a crawl, as it was sent."""

    url: str
    date: str            # ISO 8601, of the crawl; "" if the record does not say
    content_type: str    # as HTTP's header has it, with the charset; "" if there is none
    body: bytes          # of HTTP, de-chunked and unpacked; b"" if there is `text`
    text: str | None     # of a WET file


# ------------------------------------------------------------------------------------------ Ranges

def splits(path, size):
    """Return [(start, end)]: ranges of `size` bytes that cover the file; one if it is empty."""
    whole = Path(path).stat().st_size
    return [(start, start + size) for start in range(0, max(whole, 1), size)]


# ----------------------------------------------------------------------------------------- Records

def pages(path, start, end, problems):
    """Yield the Page of each record that begins at a byte of the file in [start, end).

    problems  Counter of what is skipped, += by reason

    OSError if the file cannot be read; none for what is in it.
    """
    with open(path, "rb") as file:
        for record in records(file, start, end, problems):
            page = parse(record, problems)
            if page is not None:
                yield page


def records(file, start, end, problems):
    """Yield the bytes of each record that begins in [start, end) of an open file."""
    first = file.read(len(b"WARC/"))
    if MAGIC.match(first) or first != b"WARC/" and find_member(file, 0, LONGEST) is not None:
        yield from zipped_records(file, start, end, problems)
    else:
        yield from framed(Plain(file, start), start, end, problems)


def zipped_records(file, start, end, problems):
    """Yield the same of a file of gzip members."""
    size = file.seek(0, io.SEEK_END)
    at = find_member(file, start, end)
    if start == 0 and at != 0:
        problems[DAMAGED if find_member(file, 0, size) else "not a WARC"] += 1
    while at is not None and at < end:
        member = Member(file, at)
        yield from framed(member, 0, math.inf, problems)
        after = member.end()
        at = find_member(file, after, max(end, after + 1))
        if member.unzip.eof and at != after and after < size:
            problems[DAMAGED] += 1


def find_member(file, start, end):
    """Return where the first gzip member in [start, end) begins that begins with a record."""
    for start in range(start, end, PIECE):
        file.seek(start)
        piece = file.read(PIECE + 2)        # the magic may lie across the border
        for match in MAGIC.finditer(piece):
            at = start + match.start()
            if at < end and (begin := member_begin(file, at)) and WARC.match(begin):
                return at
        if len(piece) <= PIECE:
            break
    return None


def member_begin(file, at):
    """Return the first bytes of the data of the gzip member at byte `at`; None: there is none."""
    file.seek(at)
    try:
        return zlib.decompressobj(31).decompress(file.read(TRIAL), 64)
    except zlib.error:
        return None


class Plain:
    """A file as a source of `framed`: from byte `start` and, if that is not 0, the one before."""

    plain, damaged = True, False

    def __init__(self, file, start):
        file.seek(max(start - 1, 0))
        self.file, self.read = file, file.read

    def skip(self, size):
        """Go on by `size` bytes, if what is there can follow a record."""
        here, end = self.file.tell(), self.file.seek(0, io.SEEK_END)
        self.file.seek(min(here + size, end))
        follows = WARC.match(self.file.read(16)) or here + size == end
        self.file.seek(here + size if follows else here)
        return follows


class Member:
    """The data of a gzip member that begins with a record, as a source of `framed`, and of those
    after it that do not: some writers spread a record over several."""

    plain = False

    def __init__(self, file, at):
        self.file, self.at, self.damaged = file, at, False
        self.begin(at)

    def begin(self, at):
        """Go on with the member at byte `at`."""
        self.file.seek(at)
        self.offset, self.unzip = at, zlib.decompressobj(31)

    def end(self):
        """Return the first byte after what was read or, if it broke off, after its first."""
        return self.offset - len(self.unzip.unused_data) if self.unzip.eof else self.at + 1

    def read(self, size):
        """Return at most `size` bytes; b"" where they end or break off."""
        while not self.damaged:
            if self.unzip.eof:
                begin = member_begin(self.file, self.end())
                if not begin or WARC.match(begin):
                    break
                self.begin(self.end())
            packed = self.unzip.unconsumed_tail
            if not packed:
                packed = self.file.read(PIECE)
                self.offset += len(packed)
            try:
                data = self.unzip.decompress(packed, size)
            except zlib.error:
                self.damaged = True
                break
            if data or not packed:
                return data
        return b""

    def skip(self, size):
        """Go on by `size` bytes."""
        while size > 0 and (piece := self.read(min(size, PIECE))):
            size -= len(piece)
        return True


class Window:
    """The bytes of a source that have been read and not passed."""

    def __init__(self, source, start, end):
        self.source, self.end = source, end
        self.held = bytearray()
        self.base = max(start - 1, 0)            # the offset of held[0]

    def fill(self, size):
        """Read on until `size` bytes are held, or all there are."""
        while len(self.held) < size and (piece := self.source.read(PIECE)):
            self.held.extend(piece)

    def drop(self, size):
        """Pass the first `size` bytes."""
        del self.held[:size]
        self.base += size

    def seek(self, after):
        """Drop what is before the next line WARC/1.x at or after held[after]."""
        self.fill(HEADERS)
        while not (found := RECORD.search(self.held, after)):
            self.drop(max(len(self.held) - 32, 0))       # such a line may have been read in part
            after, before = 1, len(self.held)
            self.fill(before + PIECE)
            if len(self.held) == before or self.base >= self.end:
                return self.drop(before)
        self.drop(found.start())

    def begins(self):
        """Pass the blank lines between records; whether anything begins before the end."""
        while True:
            self.fill(HEADERS)
            self.drop(len(self.held) - len(self.held.lstrip(b"\r\n")))
            self.fill(1)
            if not self.held or self.base >= self.end:
                return False
            if self.held[0] not in b"\r\n":
                return True

    def sizes(self):
        """(bytes of its headers, of all of it) of the record at the beginning; None if it is none.
        """
        blank = RECORD.match(self.held) and BLANK.search(self.held, 0, HEADERS)
        length = blank and LENGTH.search(self.held, 0, blank.end())
        if not length or RECORD.search(self.held, 1, blank.end()):
            return None
        return blank.end(), blank.end() + int(length[1])


def framed(source, start, end, problems):
    """Yield the bytes of each record that begins in [start, end) of a source.

    A record whose length lies too long ends where the next one begins.
    """
    window = Window(source, start, end)
    held = window.held
    if start > 0:
        window.seek(1)
    while window.begins():
        sizes = window.sizes()
        if not sizes:
            none = source.plain and window.base == 0 and not RECORD.search(held)
            problems["not a WARC" if none else DAMAGED] += 1
            window.seek(1)
            continue
        head, size = sizes
        if size > HEADERS + LONGEST:
            if source.skip(size - len(held)):
                problems[TOO_LONG] += 1
                window.drop(size)
            else:
                problems[DAMAGED] += 1
                window.seek(head)
            continue
        window.fill(size + 50)
        follows = held[size:size + 50].lstrip(b"\r\n")
        amiss = len(held) < size or follows and not RECORD.match(follows)
        if amiss:
            other = RECORD.search(held, head)
            if other and other.start() < size:
                size = other.start()
            elif len(held) < size:
                problems[DAMAGED if source.damaged else TRUNCATED] += 1
                return
            problems[DAMAGED] += 1
        yield bytes(held[:size])
        window.drop(size)
        if amiss:
            window.seek(0)


# -------------------------------------------------------------------------------------------- Pages

def parse(record, problems):
    """Return the Page of a record (bytes), or None and count why."""
    try:
        record = WarcRecord.from_reader(io.BytesIO(record))  # from_bytes believes lengths
        headers = record.headers
        kind = (headers.get("WARC-Type") or "").lower()
        if kind not in ("response", "resource", "conversion"):
            return None
        url = (headers.get("WARC-Target-URI") or "").strip().strip("<>").replace("\0", "")
        date = (headers.get("WARC-Date") or "").strip()
        date = date if DATE.fullmatch(date) else ""
        content_type, body = headers.get("Content-Type") or "", None
        if kind == "response":
            record.parse_http(max_header_len=HEADERS, quirks_mode=True)
            payload, http = record.reader.read(), record.http_headers
            content_type = http.get("Content-Type") or "" if record.is_http else ""
        else:
            body = record.reader.read(LONGEST + 1)
    except OSError:
        problems[DAMAGED] += 1
        return None
    if kind == "conversion" and len(body) <= LONGEST:
        return Page(url, date, content_type, b"", body.decode("utf-8", "replace").replace("\0", ""))
    content_type = identified(content_type, headers.get("WARC-Identified-Payload-Type") or "")
    if kind == "response" and (not record.is_http or not http.status_code):
        reason = "not HTTP"
    elif kind == "response" and http.status_code != 200:
        reason = "status not 200"
    elif kind != "conversion" and media_type(content_type) not in HTML \
            or kind == "resource" and not (content_type and PUBLIC.match(url)):
        reason = "not HTML"
    elif kind == "response" and (body := unpack(payload, http)) is None:
        reason = "damaged encoding"
    elif len(body) > LONGEST:
        reason = TOO_LONG
    else:
        return Page(url, date, content_type, body, None)
    problems[reason] += 1
    return None


def media_type(content_type):
    """What a Content-Type names, without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def identified(content_type, found):
    """A page's Content-Type: the server's or, where that says less, what the crawler found in the
    page, with the server's charset: many send HTML as plain text or as bytes."""
    told = media_type(content_type)
    if media_type(found) and (not told or media_type(found) in HTML[1:3] and told not in HTML[1:3]):
        return media_type(found) + content_type[len(content_type.partition(";")[0]):]
    return content_type


def unpack(payload, http):
    """Return at most LONGEST + 1 bytes of an HTTP body without its transfer and content encodings,
    or None if it has others, or is damaged. Archives often keep the headers of encodings that they
    removed: a body that is not encoded as they say, and has no zero byte, is taken as it is."""
    body = payload
    names = (http.get("Transfer-Encoding") or "", http.get("Content-Encoding") or "")
    try:
        if "chunked" in names[0].lower():
            body = ChunkedReader(io.BytesIO(body)).read(LONGEST + 1)
        for name in reversed(names[1].lower().split(",")):
            body = ENCODINGS[name.strip()](body)
        return body
    except (OSError, zlib.error, KeyError):
        return None if b"\0" in payload else payload


def unzip(body):
    """gzip, zlib, or the bare deflate that some servers send for it."""
    try:
        return zlib.decompressobj(47).decompress(body, LONGEST + 1)
    except zlib.error:
        return zlib.decompressobj(-15).decompress(body, LONGEST + 1)


ENCODINGS = {"": bytes, "identity": bytes, "gzip": unzip, "x-gzip": unzip, "deflate": unzip,
             "br": lambda body: BrotliReader(io.BytesIO(body)).read(LONGEST + 1)}
