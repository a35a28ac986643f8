"""The embedded corpus: what --data world stands for, made once and kept in build/."""

import hashlib
import sys
from pathlib import Path

from csrc.files import locked
from data.crawl import pipeline
from data.crawl.report import describe
from data.pocket import talk, text, web
from data.tokens import parallel

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
# What documents and conversations depend on: Python with its text files, libraries, and C.
C = [f"csrc/{name}" for name in ("bpe.c", "encode.c", "gguf.c", "words.c", "minhash.c", "page.c",
                                 "game.c", "text.h", "shared.h")]
PROGRAMS = ["csrc/files.py", "csrc/bind.py", "data/tokens", "data/crawl", "data/pocket",
            "requirements.txt", *C]
TALK = [*PROGRAMS, "data/chat", "data/exams"]


def documents(size=8 << 20, cache=BUILD):
    """Return the folder of the embedded corpus, made if it is not there: `size` bytes of the pocket
    world's pages, with dirt, as the WARC files of a crawl, and these through data/web.py.

    Its name has a hash of all that it depends on. Other processes wait meanwhile.
    """
    key = fingerprint(PROGRAMS, size, pipeline.Settings(), text.limit())
    crawl, documents = (Path(cache) / f"world-{key}" / name for name in ("crawl", "documents"))
    with locked(crawl.parent, wait=True):
        if not (documents / "report.json").exists():
            print(f"{crawl.parent}: a small web of an invented world, crawled and filtered, once",
                  file=sys.stderr)
            if not crawl.exists():
                with parallel.workers() as executor:
                    web.write(crawl, 0, size, executor)
            report = pipeline.run([crawl / "warc"], documents,
                                  pipeline.Settings(blocklists=(str(crawl / "blocklists"),)))
            print(describe(report), file=sys.stderr)
    return documents


def conversations(cache=BUILD):
    """Return the folder that talk.write makes of the embedded corpus, beside that corpus; it is
    made if it is not there."""
    folder = documents(cache=cache).parent / f"talk-{fingerprint(TALK, text.limit())}"
    with locked(folder, wait=True):
        if not (folder / "conversations").exists():
            print(f"{folder}: conversations about the world, once", file=sys.stderr)
            talk.write(folder)
    return folder


def fingerprint(programs, *settings):
    """A hash of files, of the programs and texts in folders, and of settings."""
    seen = hashlib.sha256(repr(settings).encode())
    for program in programs:
        path = ROOT / program
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.suffix in (".py", ".c", ".h", ".txt", ".json", ".html"):
                seen.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return seen.hexdigest()[:12]
