"""The embedded corpus: what --data world stands for, made once and kept in build/."""

import hashlib
import sys
from pathlib import Path

from csrc.files import locked
from data.crawl import pipeline
from data.crawl.report import describe
from data.pocket import talk, web
from data.tokens import parallel

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"


def documents(size=8 << 20, cache=BUILD):
    """Return the folder of the embedded corpus, made if it is not there: `size` bytes of the pocket
    world's pages, with dirt, as the WARC files of a crawl, and these through data/web.py.

    Its name has a hash of the programs that make it. Other processes wait meanwhile.
    """
    folder = Path(cache) / f"world-{fingerprint('data/crawl', 'data/pocket', extra=size)}"
    crawl, documents = folder / "crawl", folder / "documents"
    with locked(folder, wait=True):
        if not (documents / "report.json").exists():
            print(f"{folder}: a small web of an invented world, crawled and filtered, once",
                  file=sys.stderr)
            if not crawl.exists():
                with parallel.workers() as executor:
                    web.write(crawl, 0, size, executor)
            report = pipeline.run([crawl / "warc"], documents,
                                  pipeline.Settings(blocklists=(str(crawl / "blocklists"),)))
            print(describe(report), file=sys.stderr)
    return documents


def conversations(cache=BUILD):
    """Return the folder that talk.write makes of the embedded corpus, beside that corpus; made if it
    is not there."""
    key = fingerprint("data/pocket", "data/chat", "data/exams")
    folder = documents(cache=cache).parent / f"talk-{key}"
    with locked(folder, wait=True):
        if not (folder / "conversations").exists():
            print(f"{folder}: conversations about the world, once", file=sys.stderr)
            talk.write(folder)
    return folder


def fingerprint(*rooms, extra=""):
    """A hash of the programs in these rooms and of the C that handles text."""
    files = [file for room in rooms for file in sorted((ROOT / room).rglob("*")) if file.is_file()
             and file.suffix in (".py", ".txt", ".html")]
    files += [ROOT / "csrc" / name for name in ("bpe.c", "words.c", "minhash.c", "text.h", "shared.h")]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)
                          + str(extra).encode()).hexdigest()[:12]
