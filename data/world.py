"""The pocket world: a small invented internet, written from a seed (data/pocket).

    python data/world.py                               a page of each kind, to read
    python data/world.py --size 8M --out build/world   the world's web, as WARC files
    python data/world.py talk                          what an ideal answer of an assistant is
    python data/world.py talk --out build/talk         conversations/KIND.jsonl, search.db, what the
                                                       assistant searches, and practice.jsonl
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from csrc import cli
    cli.enter()

import argparse
import re
from dataclasses import dataclass

from csrc import cli
from csrc.cli import flag
from data.pocket import web
from data.pocket.pages import KINDS, documents
from data.pocket.talk import Talk, talk
from data.tokens import parallel


class Bytes(int):
    """A size as people write it: "500K", "8M", "1G"."""

    def __new__(cls, text):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]?)B?", str(text).strip().upper())
        size = int(float(match[1]) * 1024 ** " KMG".index(match[2] or " ")) if match else 0
        if size < 1:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a size; write bytes or 500K, 8M, 1G")
        return super().__new__(cls, size)


@dataclass
class Web:
    """The web of a world."""
    seed: int = flag(0, "which world; another seed is another world")
    size: Bytes = flag(Bytes("8M"), "bytes of text: 500K, 8M (about 8,300 pages), 1G", metavar="N")
    out: Path | None = flag(None, "a new folder for a crawl of this world's web (WARC files, "
                            "blocklists, the truth: see data/pocket/web.py); without it, a page of "
                            "each kind is printed", metavar="FOLDER")
    workers: int | None = flag(None, "processes that write; without it, one a core",
                               limits="[1, 1024]")


def crawl(world: Web) -> None:
    """Write a world's web, or print a page of each kind."""
    if world.out is None:
        return show(world.seed, world.size)
    with parallel.workers(world.workers) as executor:
        web.write(world.out, world.seed, world.size, executor)
    print(f"{world.out}: warc, blocklists, truth; next: python data/web.py {world.out}/warc "
          f"--blocklists {world.out}/blocklists --out FOLDER")


def show(seed: int, size: int) -> None:
    """Print the first document of each kind."""
    shown = set()
    for document in documents(seed, size):
        if document["kind"] not in shown:
            shown.add(document["kind"])
            print(f"[{document['kind']}] {document['url']}\n{document['text']}\n")
        if len(shown) == len(KINDS):
            return


COMMANDS = {"web": (Web, crawl), "talk": (Talk, talk)}

if __name__ == "__main__":
    cli.run(lambda: cli.dispatch(__doc__, COMMANDS, default="web"))
