"""Learn which blocks of a page are its main text, from pages whose text is known (data/crawl).

    python data/blocks.py gold.json ground-truth.json

A file of JSON tells the truth of pages beside it. {URL: {"with": [...], "without": [...]}}: what
the text must hold, and what not, of pages in WARC files; {NAME: {"articleBody": ..., "url": ...}}:
the whole text of html/NAME.html.gz. Prints F1 by cross-validation, and writes the trees that
data/crawl/extract.py reads.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from csrc import cli
    cli.enter()

from dataclasses import dataclass

from csrc import cli
from csrc.cli import flag
from csrc.files import write_file
from data.crawl import extract, known, trees


@dataclass
class Learn:
    """Learn which blocks of a page are its main text."""
    truth: list[Path] = flag(positional=True, help="files of JSON, beside the pages")
    folds: int = flag(10, "of the cross-validation, a site in one; 0 for none", limits="[0, inf)")
    out: Path = flag(extract.TREES, "the trees", metavar="FILE")


def learn(settings):
    """Validate, then learn from all pages."""
    pages = [page for path in settings.truth for page in known.read(path)]
    if settings.folds:
        known.validate(pages, settings.folds)
    learned = trees.fit(*known.rows(pages))
    write_file(settings.out, "".join(" ".join(f"{number:.6g}" for number in tree) + "\n"
                                     for tree in learned))
    print(f"{settings.out}: {len(learned)} trees of {len(pages)} pages")


def main():
    """Run the command."""
    cli.dispatch(__doc__, {"blocks": (Learn, learn)})


if __name__ == "__main__":
    cli.run(main)
