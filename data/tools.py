"""The tools that a model may call, by hand (data/chat/tools.py).

    python data/tools.py index build/web --out build/search.db
    python data/tools.py search build/search.db "Where was Mara Holm born?"
    python data/tools.py python "2 ** 100"
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
from csrc.files import ChatError
from data.chat import search
from data.chat.tools import BUDGET, Limits, python, python_off


@dataclass
class Index:
    """Make the file that search reads."""

    documents: list[str] = flag(help="JSON lines with a \"text\" and a \"url\" each, plain or .gz, "
                                "as data/web.py writes them; folders of these; or 'world', the "
                                "embedded corpus", positional=True)
    out: str = flag(help="where to write it", metavar="FILE")


@dataclass
class Search:
    """Show what a model would read about a question."""

    index: str = flag(help="a file that `index` made", positional=True)
    query: str = flag(help="the question", positional=True)
    count: int = flag(search.PASSAGES, "passages", limits="[1, inf)")


@dataclass
class Python:
    """Run a program in the sandbox."""

    code: str = flag(help="the program, or - for stdin", positional=True)
    seconds: float = flag(Limits.seconds, "seconds that it may take", limits="(0, 1e6)")


def run_index(settings):
    """The command `index`."""
    print(search.build(settings.documents, settings.out))


def run_search(settings):
    """The command `search`."""
    found = search.Search(settings.index).search(settings.query, settings.count)
    print(search.render(found, BUDGET, settings.query))


def run_python(settings):
    """The command `python`."""
    if off := python_off():
        raise ChatError(f"Python is off: {off}")
    code = sys.stdin.read() if settings.code == "-" else settings.code
    print(python(code, Limits(seconds=settings.seconds)).text)


COMMANDS = {"index": (Index, run_index), "search": (Search, run_search),
            "python": (Python, run_python)}

if __name__ == "__main__":
    cli.run(lambda: cli.dispatch(__doc__, COMMANDS))
