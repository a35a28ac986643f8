"""Files that are elsewhere: `local` gives a whole copy of what stands at an address.

Browsers' addresses are fetched as csrc/fetch.py does it; all others are fsspec's to understand.
"""

import hashlib
import json
import re
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import Iterable
from urllib.parse import unquote, urlsplit

from csrc.files import ChatError, locked, read_json, write_file

CACHE = Path("build/remote")
ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+", re.IGNORECASE)
LISTED = re.compile(rb'href="([^"?#/]+)"')       # a file, in a web server's page of a folder
LONGEST_PAGE = 16 << 20                          # bytes of such a page


def is_address(given) -> bool:
    """Whether a text is an address, as browsers and fsspec write them, or the Path made of one."""
    return ADDRESS.match(str(given)) is not None


@cache
def local(given, endings: tuple[str, ...] = ("",)) -> Path:
    """The path of a file or folder: itself or, of an address (https://, s3://, hf://, or another of
    fsspec's), of a copy in build/remote, brought up to date once a process; of a folder those of
    its files that have one of the `endings`. ChatError or OSError names the address."""
    if not is_address(given):
        return Path(given)
    given = ADDRESS.sub(r"\1://", str(given), count=1)
    place = CACHE / hashlib.sha256(given.encode()).hexdigest()[:16]
    with locked(place, wait=True):
        web = urlsplit(given).scheme.lower() in ("http", "https")
        whole, found, get = (on_the_web if web else on_a_file_system)(given)
        wanted = {name for name in found if whole or name.lower().endswith(endings)}
        if not wanted:
            raise ChatError(f"{given}: none of {len(found)} files is {', '.join(endings)}")
        update(place, found, wanted, get)
    return place / "files" / next(iter(wanted)) if whole else place / "files"


def update(place: Path, found: dict[str, tuple[str, str]], wanted: Iterable[str], get) -> None:
    """Fetch the wanted ones of the files {name: (URL, version)} that there are, and forget what is
    there no longer. One whose version is "" is fetched anew: its server does not tell it from
    others."""
    record = place / "versions.json"
    have = read_json(record) if record.exists() else {}
    for name in have.keys() | wanted:
        if name not in found or not have.get(name) == found[name][1] != "":
            have.pop(name, None)
            (place / "files" / name).unlink(missing_ok=True)
    for name in sorted(wanted):
        path, (url, version) = place / "files" / name, found[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            get(url, path)
        have[name] = version
        write_file(record, json.dumps(have))


def on_the_web(address: str):
    """(whether it is a file, {name: (URL, version)}, what fetches a URL into a path) of an address
    that ends in a file's name, or in / where the server lists a folder's files."""
    from csrc.fetch import connect, fetch, look
    session, get = connect(), partial(fetch, connect())
    if not address.endswith("/"):
        name = safe(unquote(urlsplit(address).path.rpartition("/")[2]), address)
        return True, {name: (address, look(session, address)[0])}, get
    names = {name.decode("ascii", "replace")
             for name in LISTED.findall(look(session, address, LONGEST_PAGE)[1])}
    return False, {safe(unquote(name), address): (address + name, look(session, address + name)[0])
                   for name in sorted(names)}, get


def on_a_file_system(address: str):
    """The same of an address that fsspec understands."""
    import fsspec
    with translated(address):
        files, root = fsspec.url_to_fs(address)
        whole = files.isfile(root)
        paths = [root] if whole else files.find(root)
        base = str(PurePosixPath(root).parent) if whole else root
        if not paths:
            raise FileNotFoundError("no such file or folder")
        return whole, {safe(path.removeprefix(base).lstrip("/"), address):
                       (path, str(files.ukey(path))) for path in paths}, partial(copy, files)


def copy(files, url: str, path: Path) -> None:
    """Copy a file of one of fsspec's file systems to a path."""
    part = path.with_name(path.name + ".part")
    with translated(url):
        files.get_file(url, str(part))
        came, size = part.stat().st_size, files.info(url)["size"]
        if came != size:
            raise OSError(f"{came} bytes came instead of {size}")
        part.replace(path)


@contextmanager
def translated(address: str):
    """Make of any error one that names the address: each file system brings errors of its own."""
    try:
        yield
    except Exception as error:
        raise ChatError(f"{address}: {error}") from error


def safe(name: str, address: str) -> str:
    """A name of a file below a folder; ChatError where it would be written elsewhere."""
    if not name.isprintable() or {"", ".", ".."} & {*name.split("/")}:
        raise ChatError(f"{address}: {name!r} is no name of a file")
    return name
