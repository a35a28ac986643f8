"""What a model remembers of its training text.

Facts: how often it tells one right, by how many training pages stated it. `infer.py eval
--training` asks; `plot` draws.

Pages: how much of them it writes verbatim (regurgitation), by how often they stood in the training
text (Carlini et al. 2022, arXiv:2202.07646). `plant` writes a corpus that holds pages of another
world many times; `copies` gives a model the beginnings of these and of ordinary pages, and sees how
much of each comes back. It also lets it write freely, and finds the longest run of tokens that
stands anywhere in the training text.

    python data/recall.py plot report.json --out recall.png
    python data/recall.py plant world --out build/planted
    python train.py --data build/planted/documents --out runs/planted
    python data/recall.py copies --model runs/planted --planted build/planted/planted.json
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
from csrc.files import ChatError, read_json, to_json, write_file
from data.chat.turn import load
from data.experiments import recall
from data.experiments.recall import TIMES


@dataclass
class Plot:
    """Draw recall against training pages."""

    report: Path = flag(positional=True, help="what infer.py eval --out wrote")
    out: Path = flag(Path("recall.png"), "the picture")


@dataclass
class Plant:
    """Write documents with pages that repeat."""

    documents: list[str] = flag(positional=True, help="JSON lines, folders of them, or 'world'")
    out: Path = flag(help="a new folder for documents/ and planted.json")
    times: list[int] = flag(lambda: [*TIMES], "how often a page is written", limits="[1, inf)")
    pages: list[int] = flag(lambda: [*TIMES.values()], "how many pages are, for each",
                            limits="[1, inf)")
    seed: int = flag(0, "which pages, and where")


@dataclass
class Copies:
    """Measure what a model writes verbatim."""

    model: Path = flag(help="the model's folder")
    planted: Path = flag(help="planted.json, which `plant` wrote")
    training: list[str] = flag(list, "its training text (default: documents/ beside planted.json)")
    prompt_tokens: int = flag(16, "of a page that it is given", limits="[1, inf)")
    length: int = flag(128, "tokens that it writes", limits="[1, inf)")
    samples: int = flag(50, "texts that it writes freely", limits="[0, inf)")
    seed: int = flag(0, "of ordinary pages and samples")
    out: Path | None = flag(None, "also write figures and texts there, as JSON")


def plot(s: Plot) -> None:
    """The command `plot`."""
    figures = read_json(s.report).get("figures")
    if not isinstance(figures, dict):
        raise ChatError(f"{s.report}: \"figures\" is {figures!r:.60}, but must be an object")
    recall.plot(figures, s.out)


def plant(s: Plant) -> None:
    """The command `plant`."""
    different = len({*s.times})
    if len(s.pages) != different or len(s.times) != different:
        raise ChatError(f"--pages has {len(s.pages)} numbers for {different} different "
                        f"--times: one for each")
    about = recall.plant(s.documents, s.out, dict(zip(s.times, s.pages)), s.seed)
    size = sum(one["times"] * len(one["text"].encode()) for one in about["pages"])
    print(f"{s.out}: {len(about['pages'])} pages, {size / 1e6:.2f} MB with their copies, among "
          f"{about['documents']} documents; next: python train.py --data {s.out}/documents")


def copies(s: Copies) -> None:
    """The command `copies`."""
    planted = recall.read_planted(s.planted)
    training = s.training or [s.planted.parent / "documents"]
    found = recall.copies(load(s.model), planted, training, s.prompt_tokens, s.length,
                          s.samples, s.seed)
    print(recall.describe(found))
    if s.out:
        write_file(s.out, to_json({"model": str(s.model), **found})[0])


if __name__ == "__main__":
    cli.run(lambda: cli.dispatch(__doc__, {"plot": (Plot, plot), "plant": (Plant, plant),
                                           "copies": (Copies, copies)}))
