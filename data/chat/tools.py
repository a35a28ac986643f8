"""The tools that a model may call: Python in a sandbox, search with sources.

data/chat/turn.py stops where the model wrote <|search_start|>query<|search_end|> or
<|python_start|>code<|python_end|>, asks `registry` for "search" or "python", and gives the model
the result's text between <|result_start|> and <|result_end|>. That text is a plain str, which
data/chat/protocol.py encodes with special tokens off: what a page or a program says stays text.

    python      a real interpreter in bubblewrap: its own user, process, network, mount, IPC and
                host name spaces; no network, no files but the interpreter's (read-only) and an
                empty scratch folder in memory, no environment, no /proc, no capabilities, no
                terminal; system calls refused and resources limited (data/chat/sandbox.py)
    search      BM25 over documents (data/chat/search.py)

A program has one process, so the limits of its memory and time are those of the whole tool; only
the kernel's own memory for its threads comes on top. What the sandbox does not cover: bugs of the
kernel behind the system calls that are left; what caches and clocks tell about other programs; the
names of the folders where the interpreter lies. Pictures come from untrusted code.
"""

import math
import os
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Callable, NamedTuple

import numpy as np

from csrc.shown import plain
from data.chat import search
from data.tokens.learn import utf8

BUDGET = 2000           # characters of a result that the model reads


class Result(NamedTuple):
    """What a tool answers."""

    text: str                           # what the model reads, plain text
    figures: tuple[bytes, ...] = ()     # PNG files


class Tool(NamedTuple):
    """A tool that a model may call."""

    call: Callable[[str], Result] | None     # never raises, for any str
    off: str | None                     # why it is not available, a sentence; None: it is
    function: dict | None = None        # one of OpenAI's "tools": who asks calls it, not `call`


def registry(index=None, budget=BUDGET):
    """Return {"search": Tool, "python": Tool}, by the names in the special tokens. OSError or
    ChatError if there is an index that search cannot read.

    index   the file that search reads; None: search is off
    budget  characters of a result's text
    """
    off, opened = "no search index was given: data/tools.py index makes one", None
    if index:
        off, opened = None, search.Search(index)

    def find(query):
        try:
            found = off or opened.show(query, budget)
        except (ValueError, OSError) as error:
            found = str(error)
        return Result(cut(found, budget))

    return {"search": Tool(find, off), "python": Tool(partial(python, budget=budget), python_off())}


def budget_of(context):
    """Return how many characters of a result suit a model's context: about a third of its tokens,
    at about four characters each."""
    return min(BUDGET, context * 7 // 5)


def cut(text, budget):
    """Return `text`, or its beginning and end with a note between: at most `budget` characters."""
    if len(text) <= budget:
        return text
    note = f"\n[... cut: {len(text)} characters ...]\n"
    room = max(budget - len(note), 0)
    return (text[:room - room // 3] + note + text[len(text) - room // 3:])[:budget]


# ------------------------------------------------------------------------------------------- Python

INSIDE = Path(__file__).with_name("sandbox.py")
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
ENVIRONMENT = {"HOME": "/scratch", "LANG": "C.UTF-8", "MPLBACKEND": "agg", "PYTHONHASHSEED": "0",
               "PYTHONPATH": "/packages", "PYTHONIOENCODING": "utf-8:backslashreplace",
               "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
PNG = b"\x89PNG\r\n\x1a\n"
PICTURES = 8            # that are shown
POLL = 0.05             # seconds between two looks at the clock and the scratch folder


@dataclass(frozen=True)
class Limits:
    """What a program may use."""

    seconds: float = 10         # of time; and, rounded up, of processor time
    memory: int = 1 << 30       # bytes of address space
    disk: int = 64 << 20        # bytes of the scratch folder, and of a file
    files: int = 1000           # in it
    output: int = 1 << 20       # bytes printed
    pictures: int = 16 << 20    # bytes of figures
    code: int = 1 << 20         # bytes of the program


def python(code, limits=Limits(), budget=BUDGET, handle=None):
    """Run a program in the sandbox; return what it prints, the value of its last expression or a
    short traceback, and its figures. A Result also if it is stopped, or if the tool is off.

    handle  a socket that it gets, by the same number; it is closed here
    """
    try:
        if off := python_off():
            return Result(cut(f"Python is off: {off}", budget))
        return sandboxed(code, limits, budget, [handle] * (handle is not None))[0]
    except OSError as error:
        return Result(cut(f"Python could not be started: {error}", budget))


@cache
def python_off():
    """Return why there is no sandbox here, a sentence, or None: found out by a run, once."""
    if not sys.platform.startswith("linux"):
        return f"bubblewrap needs Linux, this is {sys.platform}"
    if not shutil.which("bwrap"):
        return "bubblewrap is not installed: apt install bubblewrap"
    try:
        (found, _), ready = sandboxed("6 * 7", Limits(), BUDGET)
    except OSError as error:
        found, ready = str(error), False
    if ready and found == "42":
        return None
    return f"bubblewrap or seccomp does not work here: {' '.join(found.split())}"


def sandboxed(code, limits, budget, handles=()):
    """Return (Result, whether the sandbox was complete before the program began)."""
    code = utf8(code)
    if len(code) > limits.code:
        return Result(f"the program has {len(code)} bytes, more than {limits.code}"), True
    with ExitStack() as open_ones:
        source = open_ones.enter_context(tempfile.TemporaryFile())
        source.write(code)
        source.seek(0)
        ours, theirs = map(open_ones.enter_context, socket.socketpair())
        numbers = theirs.fileno(), math.ceil(limits.seconds), limits.memory, limits.disk
        process = open_ones.enter_context(subprocess.Popen(
            [*bubblewrap(limits.disk), *map(str, numbers)], env=ENVIRONMENT, stdin=source,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            pass_fds=[handle.fileno() for handle in (theirs, *handles)]))
        open_ones.callback(process.kill)
        for handle in (theirs, *handles):
            handle.close()
        ready, printed, images, stopped = collect(process, ours, limits)
    text = plain(printed.decode("utf-8", "replace").replace("\r\n", "\n"))
    status = process.returncode
    if not stopped and status not in (0, 1):
        number = -status if status < 0 else status - 128
        stopped = f"it died ({number > 0 and signal.strsignal(number) or f'status {status}'})"
    note = f"[stopped: {stopped}]" if stopped else ""
    shown = tuple(islice(pictures(images), PICTURES))
    if shown:
        note += f"[{len(shown)} figure{'s' * (len(shown) > 1)}]"
    text = cut(text.rstrip("\n"), budget - len(note) - 1)
    return Result(cut("\n".join(filter(None, (text, note))) or "(no output)", budget), shown), ready


def bubblewrap(disk):
    """Return the command that runs data/chat/sandbox.py with nothing around it."""
    python = os.path.realpath(sys._base_executable)
    binds = {python: python, str(Path(np.__file__).parents[1]): "/packages"}
    binds |= {place: place for place in (*LIBRARIES, f"{sys.base_prefix}/lib")}
    command = [shutil.which("bwrap") or "bwrap", "--unshare-all", "--die-with-parent",
               "--new-session", "--cap-drop", "ALL", "--uid", "65534", "--gid", "65534",
               "--hostname", "sandbox", "--size", str(disk), "--tmpfs", "/scratch",
               "--chdir", "/scratch"]
    for place, inside in binds.items():
        if os.path.islink(place) and place in LIBRARIES:
            command += "--symlink", os.readlink(place), inside
        elif os.path.exists(place):
            command += "--ro-bind", place, inside
    for device in DEVICES:
        command += "--dev-bind", device, device
    return [*command, "--remount-ro", "/", python, "-s", "-B", "-c", INSIDE.read_text()]


def collect(process, channel, limits):
    """Read what the sandbox prints and sends until it ends or breaks a limit; then kill it, and so
    all its processes. Return (whether it was ready, output, figures, why it was stopped or "")."""
    end, scratch, why = time.monotonic() + limits.seconds, None, ""
    printed, images = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, printed)
        selector.register(channel, selectors.EVENT_READ, images)
        while not why and (selector.get_map() or process.poll() is None):
            for key, _ in selector.select(POLL):
                if key.fileobj is channel and scratch is None:
                    data, handles, _, _ = socket.recv_fds(channel, 1, 1)
                    scratch = handles[0] if handles else None
                else:
                    data = os.read(key.fd, 1 << 16)
                    key.data.extend(data)
                if not data:
                    selector.unregister(key.fileobj)
            if time.monotonic() > end:
                why = f"it took more than {limits.seconds:g} s"
            elif len(printed) > limits.output:
                why = f"it printed more than {limits.output} bytes"
            elif len(images) > limits.pictures:
                why = f"its figures have more than {limits.pictures} bytes"
            elif scratch is not None and files_in(scratch) > limits.files:
                why = f"it made more than {limits.files} files"
    process.kill()
    process.wait()
    if scratch is not None:
        os.close(scratch)
    return scratch is not None, bytes(printed), bytes(images), why


def files_in(scratch):
    """Return how many files there are in the scratch folder, of which this is a handle."""
    about = os.fstatvfs(scratch)
    return about.f_files - about.f_ffree


def pictures(images):
    """Yield the PNGs of bytes that should be (length in 4 bytes, PNG) again and again."""
    start = 0
    while images.startswith(PNG, start + 4):
        end = start + 4 + int.from_bytes(images[start:start + 4], "little")
        if not start + 4 + len(PNG) < end <= len(images):
            return
        yield images[start + 4:end]
        start = end
