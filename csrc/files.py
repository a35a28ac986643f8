"""Files that are whole or absent: errors in words, atomic writes, locks, JSON.

Whatever is wrong with a file becomes a ChatError: one sentence that begins with its name.
"""

from __future__ import annotations

import errno
import fcntl
import gzip
import json
import os
import re
import shutil
import zlib
from contextlib import contextmanager
from pathlib import Path
from reprlib import repr as short
from typing import BinaryIO, Iterable, Iterator

from csrc.shown import plain

LONGEST = 1000          # characters of a sentence
BLANK = re.compile(r"\s*")


class ChatError(ValueError):
    """What a user gave is wrong: one sentence with the value, and what to do."""

    def __init__(self, sentence):
        sentence = " ".join(filter(None, map(str.strip, plain(str(sentence)).split("\n"))))
        if len(sentence) > LONGEST:              # the value: what is wrong and what to do stay
            sentence = f"{sentence[:LONGEST // 2]} ... {sentence[-LONGEST // 3:]}"
        super().__init__(sentence)


@contextmanager
def naming(path: Path):
    """Make of any error about a file one sentence that begins with its name."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        raise ChatError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def write_files(folder: Path, files: dict[str, Iterable]) -> None:
    """Write {name: chunks of bytes}. All are on the disk elsewhere before any gets its name, in the
    order given: a name always stands for an old file or for a whole new one."""
    with workplace(folder / [*files][-1]) as place:
        for name, chunks in files.items():
            with naming(folder / name), open(place / name, "wb") as file:
                file.writelines(chunks)
        publish(place, folder, files)


def publish(place: Path, folder: Path, names: Iterable[str]) -> None:
    """Move files into a folder of the same file system, once all of them are on the disk."""
    with naming(folder):
        for name in names:
            sync(place / name)
        for name in names:
            os.replace(place / name, folder / name)
        sync(folder)                             # so that the renames, too, outlive a power cut


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def workplace(path: Path) -> Iterator[Path]:
    """A new folder beside `path`, .NAME.new, to make in it what then gets that name. One process
    has it, and others wait. What a kill left there, or somebody planted, is removed."""
    place, handle = path.with_name(f".{path.name}.new"), None
    with naming(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        while handle is None:
            handle = take(place)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(handle)


def take(place: Path) -> int | None:
    """Make a folder and return a locked handle of it. None: something was there; try again."""
    try:
        place.mkdir(0o700)                       # never one that somebody else has made
        made = True
    except FileExistsError:
        made = False
    try:
        handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except NotADirectoryError:                   # or a link
        place.unlink(missing_ok=True)
        return None
    except FileNotFoundError:                    # removed by another process, which has done
        return None
    lock(handle, place, wait=True)
    try:
        still = os.path.samestat(place.lstat(), os.fstat(handle))
    except FileNotFoundError:
        still = False
    if made and still:
        return handle
    if still:
        shutil.rmtree(place)
    os.close(handle)
    return None


def write_file(path: Path, data: bytes | str) -> None:
    """Write one file: there is always the old one or the whole new one."""
    path = Path(path)
    write_files(path.parent, {path.name: [data.encode() if isinstance(data, str) else data]})


def check_new(folder: Path) -> None:
    """ChatError if a folder that is to be made is there, with something in it."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ChatError(f"{folder} exists and is not an empty folder; remove it or choose another")


@contextmanager
def locked(folder: Path, wait: bool = False):
    """Be the only process that works in a folder, which is made. Where another one does: wait for
    it, or a ChatError."""
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    try:
        lock(handle, folder, wait)
        yield
    finally:
        os.close(handle)


def lock(handle, path: Path, wait: bool = False) -> None:
    """Lock an open file or folder until it is closed. Where another process has: wait for it, or a
    ChatError. Nothing is locked where the file system knows no locks, as Lustre often does not."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise ChatError(f"{path}: another process is at work there") from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP):
            raise


def to_json(value: dict) -> list[bytes]:
    """A value as indented JSON: the chunks of a file, as write_files takes them."""
    return [(json.dumps(value, indent=2) + "\n").encode()]


def from_json(text: bytes | str, **options):
    """The value that a text of JSON says; ValueError, also if it is nested too deeply."""
    try:
        return json.loads(text, **options)
    except RecursionError:
        raise ValueError("nested too deeply for JSON") from None


def read_whole(path: Path) -> bytes:
    """The bytes of a file that a program needs at once; ChatError if it is none, or too large."""
    with naming(path):
        if path.exists() and not path.is_file():
            raise ValueError("is no file")
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size > LARGEST_PACKED:
                raise ValueError(f"over {LARGEST_PACKED >> 20} MB")
            return file.read()


def read_json(path: Path) -> dict:
    """The object that a file of JSON holds; a ChatError names the file."""
    with naming(path):
        value = from_json(read_whole(path), object_pairs_hook=unique)
        if type(value) is not dict:
            raise ValueError(f"holds {short(value)}, but must hold an object")
        return value


def unique(pairs: list) -> dict:
    """A JSON object, whose keys must differ: of two equal ones, programs take different ones."""
    found: dict = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {short(key)} occurs twice")
        found[key] = value
    return found


# ---- Records of JSON -----------------------------------------------------------------------------

# Bytes of a line, or of a file that is read at once. What is packed may be any number of times
# larger than its file, and as values of Python some thirty times larger than as text.
LARGEST, LARGEST_PACKED = 1 << 30, 1 << 27


def largest(path: Path) -> int:
    """The most bytes that are read at once of a file, unpacked."""
    return LARGEST_PACKED if str(path).endswith(".gz") else LARGEST


@contextmanager
def open_input(path: Path) -> Iterator[BinaryIO]:
    """A file open for reading bytes, unpacked if its name ends in .gz; ChatError if that fails."""
    try:
        with gzip.open(path, "rb") if str(path).endswith(".gz") else open(path, "rb") as file:
            yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ChatError(f"{path}: broken gzip data ({error})") from error


def records(path: Path, **options) -> Iterator[tuple[int, object]]:
    """Yield (line, value) of each value in a file of JSON: one a line, one array, or values that
    each go over several lines. Also .gz.

    options     of json.JSONDecoder

    ChatError names the file, and the line, that cannot be read.
    """
    number, seen, decoder = 1, False, json.JSONDecoder(**options)
    with open_input(path) as file:
        rows = iter(lambda: file.readline(largest(path) + 1), b"")
        for number, row in enumerate(rows, 1):
            text = decoded(path, row, number)
            if text.isspace() or not text:
                continue
            if text.lstrip()[0] == "[":
                yield from array(path, number, text + rest(path, file, number), decoder)
                return
            try:
                value = parse(path, number, decoder.decode, text.rstrip("\n"))
            except ChatError:
                if seen:
                    raise
                text += rest(path, file, number)
                spread = [*values(path, number, text, decoder)] if "\n" in text else []
                if not spread:
                    raise
                yield from spread
                return
            yield number, value
            seen = True


def decoded(path, data, number):
    """Return the text of some bytes, which begin in this line; the first one may begin with a byte
    order mark."""
    if len(data) > largest(path):
        raise ChatError(f"{path}:{number}: over {largest(path) >> 20} MB in one piece")
    try:
        return data.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        line = number + data.count(b"\n", 0, error.start)
        at = error.start - data.rfind(b"\n", 0, error.start) - 1
        raise ChatError(f"{path}:{line}: not UTF-8 at byte {at} of the line "
                        f"({error.reason})") from error


def rest(path: Path, file: BinaryIO, number: int) -> str:
    """Return what is left of a file after that line, as text."""
    return decoded(path, read_most(file, largest(path) + 1), number + 1)


def read_most(file: BinaryIO, size: int) -> bytes:
    """At most so many bytes of what is left of a file; room is made only for those that come."""
    parts = []
    while part := file.read(min(size, 1 << 20)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def values(path: Path, number: int, text: str, decoder) -> Iterator[tuple[int, object]]:
    """Yield (line, value) of the values in a text, with only blanks between them; none if the first
    is broken."""
    at, line, counted = BLANK.match(text).end(), number, 0
    while at < len(text):
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, at = parse(path, number, decoder.raw_decode, text, at)
        except ChatError:
            if line == number:
                return
            raise
        yield line, value
        at = BLANK.match(text, at).end()


def array(path: Path, number: int, text: str, decoder) -> Iterator[tuple[int, object]]:
    """Yield (line, value) of the values in the array that is all of `text`, from line `number`."""
    line, counted, at = number, 0, text.index("[")
    while True:
        begin = BLANK.match(text, at + 1).end()
        if text[at] == "[" and text[begin:begin + 1] == "]":
            at = begin
            break
        line, counted = line + text.count("\n", counted, begin), begin
        value, end = parse(path, number, decoder.raw_decode, text, begin)
        yield line, value
        at = BLANK.match(text, end).end()
        if text[at:at + 1] != ",":
            break
    if text[at:].strip() != "]":
        raise ChatError(f"{path}:{line}: not JSON (after what begins here, the array does not "
                        f"go on or end)")


def parse(path: Path, number: int, decode, *text):
    """Return decode(*text), of which the first line is that number of the file."""
    try:
        return decode(*text)
    except json.JSONDecodeError as error:
        raise ChatError(f"{path}:{number + error.lineno - 1}: not JSON ({error.msg} at column "
                        f"{error.colno})") from error
    except ValueError as error:
        raise ChatError(f"{path}:{number}: not JSON ({error})") from error
    except RecursionError as error:
        raise ChatError(f"{path}:{number}: nested too deeply for JSON") from error


def write_lines(path: Path, records: Iterable) -> None:
    """Write a file of JSON lines, packed if its name ends in .gz, as write_file does."""
    path = Path(path)
    lines = (json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)
    write_files(path.parent, {path.name: packed(lines) if path.suffix == ".gz" else lines})


def packed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks of a .gz file: no time is in it, so the same chunks make the same file."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    yield from map(packer.compress, chunks)
    yield packer.flush()
