"""Keys and values on disk, so that a chat goes on where it was, after a restart too.

    store = Store("runs/chats.kv", 4e9)
    engine.blocks = store.of(folder, model)      # from now on the engine keeps and finds them

A file has the keys and values of BLOCK tokens. Its name is the hash of those tokens, of all before
them and of the model; so texts that begin alike share files, and no file is ever changed. A block
is written when it is full. It is whole or not there: it gets its name when all of it is written,
and a checksum tells what a power cut or a failing disk made of it. Where the files become too many,
those go first that were not used for the longest time."""

import os
import re
import sys
import threading
import zlib
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from pathlib import Path

import numpy as np

from csrc.adapter import files_of

BLOCK = 32           # tokens in a file
FORM = "keys and values 1"           # another where the bytes mean something else
CHECK = 4            # bytes of the checksum at the end
WAITING = 32         # blocks, at most, that wait to be written


class Store:
    """The files of a folder, at most `size` bytes in all; engines of several models share it."""

    def __init__(self, folder, size):
        self.folder, self.size, self.used, self.full = Path(folder), size, 0, False
        self.files, self.lock = OrderedDict(), threading.Lock()      # {name: bytes}, oldest first
        self.writer, self.waiting = ThreadPoolExecutor(1), set()
        self.folder.mkdir(0o700, parents=True, exist_ok=True)
        found = []
        for path in self.folder.iterdir():
            with suppress(OSError):
                if path.suffix == ".new":        # cut off by a kill
                    path.unlink()
                elif re.fullmatch("[0-9a-f]{32}", path.name):
                    found.append((path.stat().st_mtime, path.name, path.stat().st_size))
        for _, name, size in sorted(found):
            self.add(name, size)

    def of(self, folder, model):
        """The Blocks of a model that was loaded from a folder or file."""
        library = model.core.ffi.string(model.core.call("device_name"))
        about = [FORM, model.device, model.dtype, library, model.config,
                 *((path.name, path.stat().st_size, path.stat().st_mtime_ns)
                   for path in files_of(folder))]
        return Blocks(self, repr(about).encode())

    def add(self, name, size):
        """Count a file as the one used last; those that are too many go."""
        self.used += size - self.files.pop(name, 0)
        self.files[name] = size
        while self.used > self.size and self.files:
            self.drop(next(iter(self.files)))

    def drop(self, name):
        """Remove a file."""
        self.used -= self.files.pop(name, 0)
        with suppress(OSError):
            (self.folder / name).unlink()

    def has(self, name):
        """Whether there is a file of this name, which is then the one used last."""
        with self.lock:
            if name in self.files:
                self.files.move_to_end(name)
            return name in self.files

    def read(self, name, size):
        """The `size` bytes of a file, None where it is not there or not what was written."""
        if not self.has(name):
            return None
        try:
            data = np.fromfile(self.folder / name, np.uint8)
            os.utime(self.folder / name)
            if data.size == size + CHECK and checksum(name, data[:size]) == data[size:].tobytes():
                return data[:size]
            problem = "it is not what was written"
        except OSError as error:
            problem = error
        with self.lock:
            self.drop(name)
        say(f"{self.folder / name} is dropped: {problem}")
        return None

    def put(self, name, read):
        """Let the writer's thread write what read() gives to a file, so that nobody waits for the
        disk; where the disk is too slow for all, this one is left out."""
        if name not in self.waiting and len(self.waiting) < WAITING:
            self.waiting.add(name)
            self.writer.submit(self.write, name, read())

    def write(self, name, data):
        """Write a file. Where that is not possible a line on stderr says why, once."""
        place = self.folder / f"{name}.{threading.get_ident()}.new"
        try:
            with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.writelines([data, checksum(name, data)])
            with self.lock:
                os.replace(place, self.folder / name)
                self.add(name, data.nbytes + CHECK)
            self.full = False
        except OSError as error:
            if not self.full:
                say(f"{self.folder}: keys and values are not kept: {error}")
            self.full = True
            with suppress(OSError):
                place.unlink()
        self.waiting.discard(name)


class Blocks:
    """What an Engine sees of a Store: that of its model. about: bytes that tell it from others."""

    def __init__(self, store, about):
        self.store, self.begin = store, blake2b(about, digest_size=16).digest()

    def names(self, tokens):
        """The names of the files of all whole blocks that tokens begin with."""
        name, found = self.begin, []
        for at in range(BLOCK, len(tokens) + 1, BLOCK):
            block = np.array(tokens[at - BLOCK:at], np.int32).tobytes()
            name = blake2b(name + block, digest_size=16).digest()
            found.append(name.hex())
        return found

    def save(self, cache, slot, held):
        """Write, soon, those blocks of the tokens that a slot holds which are not there."""
        for i, name in enumerate(self.names(held)):
            if not self.store.has(name):
                self.store.put(name, partial(cache.read, slot, i * BLOCK, BLOCK))

    def load(self, cache, slot, held, tokens):
        """Let a slot that holds `held` hold as much of `tokens` as there is; return what it holds
        then."""
        for i, name in enumerate(self.names(tokens)[len(held) // BLOCK:], len(held) // BLOCK):
            data = self.store.read(name, cache.size(BLOCK))
            if data is None:
                break
            cache.fork(slot, slot, i * BLOCK)
            cache.write(slot, data, BLOCK)
            held = tokens[:(i + 1) * BLOCK]
        return held


def checksum(name, data):
    """What stands at a file's end: of its name, too, for no file may take another's place."""
    return zlib.crc32(data, zlib.crc32(name.encode())).to_bytes(CHECK, "little")


def say(line):
    """A line to the server's log."""
    print(line, file=sys.stderr, flush=True)
