"""Files that are whole or absent: errors in words, atomic writes, locks, JSON.

Whatever is wrong with a file becomes a ChatError: one sentence that begins with its name.
"""

from __future__ import annotations

import errno
import fcntl
import gzip
import json
import os
import shutil
import zlib
from contextlib import contextmanager
from pathlib import Path
from reprlib import repr as short
from typing import BinaryIO, Iterable, Iterator

from csrc.shown import plain

LONGEST = 1000          # characters of a sentence


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


# ---- JSON lines ----------------------------------------------------------------------------------

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


def read_lines(path: Path) -> Iterator[tuple[int, object]]:
    """(number, value) of each line of a file of JSON lines, plain or .gz, from 1; blank ones are
    left out. ChatError names the file and the line that is no JSON."""
    most = largest(path)
    with open_input(path) as lines:
        for number, line in enumerate(iter(lambda: lines.readline(most + 1), b""), 1):
            if line.isspace():
                continue
            if len(line) > most:
                raise ChatError(f"{path}:{number}: over {most >> 20} MB in one line")
            try:
                yield number, from_json(line)
            except ValueError as error:
                raise ChatError(f"{path}:{number}: not a line of JSON ({error})") from error


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
