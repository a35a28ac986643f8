"""Files over connections that break: what has come is kept, continued and verified.

A file has its name when it is complete: by its sha256, which the fragment of the URL or Hugging
Face states, else by its length. Until then it is FILE.part-SIZE VERSION, so that it is continued
only while the server has the same version. (huggingface_hub would do, but deletes what has come of
a file when it is killed, and its files have gigabytes.)
"""

import glob
import hashlib
import os
import re
import sys
import time
from urllib.parse import quote, unquote

import requests  # tiktoken needs it too; it knows proxies, redirects and certificates
import urllib3

from csrc.files import ChatError, locked
from csrc.shown import progress

ATTEMPTS = 6        # in a row that bring nothing new
TIMEOUT = 60        # seconds without an answer, or without a byte of it
LONGEST_WAIT = 60   # seconds between two attempts; the first wait is one, then twice as long
SHA256 = re.compile(r"[0-9a-f]{64}")


class Incomplete(Exception):
    """What came is not what was asked for, but another attempt may bring it."""


def connect(attempts=ATTEMPTS):
    """A session that waits for networks, and for busy servers as long as they ask for."""
    session = requests.Session()
    session.headers.update({"Accept-Encoding": "identity", "User-Agent": "chat.c"})
    retry = urllib3.Retry(attempts - 1, other=0, backoff_factor=1, backoff_max=LONGEST_WAIT,
                          raise_on_status=False, status_forcelist=(408, 429, 500, 502, 503, 504))
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=retry))
    return session


def fetch(session, url, path, attempts=ATTEMPTS):
    """Fetch `url`, which may end in #sha256=..., into the file `path`; return whether it was not
    there yet. OSError or ChatError says what went wrong, and what to do."""
    url, _, fragment = url.partition("#")
    wanted = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else None
    if wanted is not None and not SHA256.fullmatch(wanted):
        raise ChatError(f"{url}: {wanted!r} is no sha256, which has 64 digits of 0-9a-f")
    if path.exists():
        if wanted and (actual := digest(path)) != wanted:
            raise ChatError(f"{path}: its sha256 is {actual}, not {wanted}: remove it, and the "
                            f"same command fetches it")
        return False
    with locked(path.parent):
        part, version = persist(session, url, path, attempts)
        wanted = wanted or (version if SHA256.fullmatch(version) else None)
        if wanted and (actual := digest(part)) != wanted:
            part.unlink()
            raise ChatError(f"{url}: the sha256 of what came is {actual}, not {wanted}: it is "
                            f"deleted, and the same command fetches it again")
        os.replace(part, path)
    return True


def look(session, url, most=0):
    """(version of the file that is at `url` now, up to `most` bytes of it). OSError names it."""
    try:
        with session.get(url.partition("#")[0], stream=True, timeout=TIMEOUT) as response:
            if response.status_code != 200:
                raise OSError(f"the server says {response.status_code} {response.reason}".rstrip())
            return version_of(response), response.raw.read(most)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise OSError(f"{url}: {cause(error)}") from error


def persist(session, url, path, attempts):
    """Attempt until the whole file has come, or so many in a row have brought nothing new."""
    failures, most = 0, 0
    while True:
        try:
            return receive(session, url, path)
        except (Incomplete, urllib3.exceptions.HTTPError, OSError) as error:
            have = sum(part.stat().st_size for part in parts_of(path))
            failures, most = 1 if have > most else failures + 1, max(most, have)
            if failures >= attempts or isinstance(error, OSError):
                raise OSError(f"{url}: {cause(error)}: the same command goes on after {have:,} "
                              f"bytes; or fetch it elsewhere and put it at {path}") from error
            print(f"{path.name}: the connection broke ({cause(error)}); attempt {failures + 1} of "
                  f"{attempts}", file=sys.stderr)
            time.sleep(min(2 ** (failures - 1), LONGEST_WAIT))


def receive(session, url, path):
    """Make one attempt; return (the whole file, its version)."""
    part = next(iter(parts_of(path)), None)
    have = part.stat().st_size if part else 0
    known = unquote(part.name.removeprefix(f"{path.name}.part-")) if part else ""
    size, _, version = known.partition(" ")
    headers = {"Range": f"bytes={have}-"} if have and version else {}
    if headers and not SHA256.fullmatch(version):   # a sha256 is another host's word for it
        headers["If-Range"] = version
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        status, span = response.status_code, response.headers.get("Content-Range", "")
        if status == 416 and span == f"bytes */{have}" and have == number(size):
            return part, version                 # killed between the last byte and the name
        if status == 206 and re.fullmatch(rf"bytes {have}-\d+/{size or '[0-9]+'}", span) \
                and version_of(response) == version:
            size = span.partition("/")[2]
        elif status == 200:
            if part:
                part.unlink()
            have, version = 0, version_of(response)
            size = response.headers.get("Content-Length", "")
            part = path.with_name(f"{path.name}.part-{quote(f'{size} {version}', safe='')}")
        elif part and status in (206, 416):
            part.unlink()
            raise Incomplete("it has changed on the server, or its rest cannot be had")
        else:
            raise OSError(f"the server says {status} {response.reason}".rstrip())
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity" and not url.endswith(".gz"):
            raise OSError(f"the server sends it only in another form ({encoding})")
        size = number(size)
        append(response.raw.stream(1 << 16, decode_content=False), part, path.name, have, size)
    have = part.stat().st_size
    if size is not None and have != size:
        if have > size:
            part.unlink()
        raise Incomplete(f"{have} bytes came instead of {size}")
    return part, version


def append(chunks, part, name, have, size):
    """Append chunks of bytes to the file `part`."""
    with (open(part, "ab", opener=lambda path, how: os.open(path, how | os.O_NOFOLLOW)) as file,
          progress(label=name, total=size, initial=have, unit="B", unit_scale=True) as bar):
        for data in chunks:
            file.write(data)
            bar.update(len(data))
        file.flush()
        os.fsync(file.fileno())


def number(text):
    """The number that a header states, or None."""
    return int(text) if text.isdecimal() else None


def parts_of(path):
    """What has come of a file: none, or one part."""
    return path.parent.glob(f"{glob.escape(path.name)}.part-*")


def version_of(response):
    """What tells this version of a file from others, or "". Hugging Face states the sha256 where
    it sends us on to another host (X-Linked-ETag); an ETag that begins with W/ does not promise the
    same bytes."""
    for answer in (*response.history, response):
        linked = answer.headers.get("X-Linked-ETag", "").strip('"')
        if SHA256.fullmatch(linked):
            return linked
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


def digest(path):
    """The sha256 of a file in hexadecimal digits."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def cause(error):
    """The first cause of an error, in the system's words if it has any."""
    while error.__context__ is not None:
        error = error.__context__
    return getattr(error, "strerror", None) or error
