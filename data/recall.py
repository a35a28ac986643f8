"""What a model remembers of its training text.

Facts: how often it tells one right, by how many training pages stated it. `questions` makes the
exam, once as sentences to complete and once as questions; `infer.py eval` asks them; `plot` draws.

Pages: how much of them it writes verbatim (regurgitation), by how often they stood in the training
text. `plant` writes a corpus that holds pages of another world many times; `copies` gives a model
the beginnings of these and of ordinary pages, and sees how much of each comes back word for word
(Carlini et al. 2022, arXiv:2202.07646). It also lets it write freely, and finds the longest run of
tokens that stands anywhere in the training text.

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

import argparse
import gzip
import io
import itertools
import json
import math
from bisect import bisect_left, bisect_right
from collections import Counter
from reprlib import repr as short
from statistics import median

import numpy as np

from csrc.files import ChatError, read_json, to_json, write_files
from data.exams.marks import summary
from data.pocket.exams import by_pages as questions  # noqa: F401 (data/exams/run.py)
from data.pocket.grammar import Dice
from data.pocket.recall import LEAST, bucket, records, stated, training_texts  # noqa: F401
from data.pocket.pages import page
from data.pocket.world import World
from data.tokens import shards
from data.tokens.documents import find_files
from data.tokens.parallel import batches

WORDS = 110, 150            # of a planted page: some 160 tokens or more
BEGINNING = 60              # characters in which all planted pages differ
TIMES = {100: 3, 10: 5, 1: 8}               # how often a page is planted, and how many pages are
ORDINARY = "ordinary"       # pages of the training text that stand there once


WAYS = {"recall": "completed, in wordings of the pages", "asked": "answered, in words of no page"}


def plot(figures: dict, path) -> None:
    """Draw recall against pages, a .png.

    figures  {name: {"value", "low", "high", "n"}}: a curve for recall_pages_... and for
             asked_pages_..., and for each of those of a model that stands before: sft_asked_pages_0
    """
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    endings = [f"_{bucket(least)}" for least in LEAST]
    curves = sorted({name.removesuffix(ending) for name in figures for ending in endings
                     if name.endswith(ending)})
    if not curves:
        raise ChatError(f"no figure is called recall{endings[0]} or asked{endings[0]}: infer.py "
                        f"eval --training makes them")
    # The middle of each bucket on a logarithmic axis, with none at a half and no end to the last.
    ends = [*LEAST[1:], 2 * LEAST[-1] + 1]
    middles = [math.sqrt(max(least, 0.5) * max(end - 1, 0.5)) for least, end in zip(LEAST, ends)]
    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    for curve in curves:
        points = [(x, figures[curve + ending]) for x, ending in zip(middles, endings)
                  if curve + ending in figures]
        values = [100 * point["value"] for _, point in points]
        bars = [[abs(100 * point[end] - value) for (_, point), value in zip(points, values)]
                for end in ("low", "high")]
        model, _, way = curve.rpartition("_")
        axes.errorbar([x for x, _ in points], values, bars, fmt="o-", capsize=3,
                      label=f"{model}: " * bool(model) + WAYS.get(way, way))
    names = [bucket(least).removeprefix("pages_").replace("_", "–") for least in LEAST]
    axes.set(xscale="log", ylim=(-3, 103), xlabel="training pages that state the fact",
             ylabel="% right, with 95 % intervals", title="What a model remembers")
    axes.set_xticks(middles, [*names[:-1], f"{names[-1]}+"])
    axes.minorticks_off()
    axes.grid(alpha=0.2)
    axes.legend(loc="upper left")
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120, metadata={"Software": None})
    pyplot.close(figure)
    path = Path(path)
    write_files(path.parent, {path.name: [image.getvalue()]})


# --------------------------------------------------------------------------------- planting pages

def plant(sources, out, times=TIMES, seed=0) -> dict:
    """Write documents and, among them, pages that occur nowhere else; return what was planted.

    sources  files or folders of JSON lines, or "world"
    out      a new folder: documents/ to train on, planted.json, which no training reads
    times    {how often a page is written: how many pages are}

    The places are drawn by chance from those that training does not hold out.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} exists and is not an empty folder")
    if not times or min(*times, *times.values()) < 1:
        raise ChatError(f"--times and --pages are {short(list(times))} and "
                        f"{short(list(times.values()))}, but must be over 0")
    files = find_files(sources)
    shards.survey(files)                         # which says where something is wrong
    documents = [line.rstrip(b"\r\n") + b"\n" for line, _ in records(files)]
    strange = strangers(seed)
    pages = [{"times": n, "text": next(strange)} for n, some in times.items()
             for _ in range(some)]
    repeated = [json.dumps({"text": one["text"]}).encode() + b"\n" for one in pages
                for _ in range(one["times"])]
    total = len(documents) + len(repeated)
    places = [i for i in range(total) if not shards.is_held(i, shards.HELD_OUT)]
    if len(repeated) > len(places):
        raise ChatError(f"{len(repeated)} pages do not fit among {len(documents)} documents: "
                        f"fewer --pages or --times, or more documents")
    places = Dice(f"places {seed}").some(places, len(repeated))
    at, rest = dict(zip(places, repeated)), iter(documents)
    lines = (at[i] if i in at else next(rest) for i in range(total))
    chunks = (gzip.compress(b"".join(some), mtime=0) for some in batches(lines, 1 << 20))
    about = {"sources": list(map(str, files)), "documents": len(documents), "seed": seed,
             "pages": pages}
    write_files(out / "documents", {"documents-00000.jsonl.gz": chunks})
    write_files(out, {"planted.json": to_json(about)})
    return about


def strangers(seed):
    """Yield pages about people and things of a world that no corpus is made of: their texts, no two
    of which begin alike."""
    world, begun = World(f"planted {seed}"), set()
    for index in itertools.count():
        told = page(world, index)
        text, start = told["text"], told["text"][:BEGINNING]
        if told["facts"] and WORDS[0] <= len(text.split()) <= WORDS[1] and start not in begun:
            begun.add(start)
            yield text


def read_planted(path) -> list[tuple[int, str]]:
    """Return the (times, text) that `plant` wrote down, the most repeated first."""
    pages = read_json(Path(path)).get("pages")
    try:
        found = [(int(one["times"]), str(one["text"])) for one in pages]
    except (KeyError, TypeError, ValueError):
        found = []
    if not found:
        raise ChatError(f"{path}: no list of planted pages, as `data/recall.py plant` makes in "
                        f"planted.json")
    return sorted(found, key=lambda one: -one[0])


# -------------------------------------------------------------------------------------- copies

class Text:
    """Documents in which any run of tokens is found: a suffix array (Manber and Myers 1993).

    documents  lists of ids. No run reaches over the end of one
    """

    def __init__(self, documents):
        self.data = b"".join(packed([*document, 2**32 - 1]) for document in documents)
        self.order = suffixes(np.frombuffer(self.data, ">u4"))

    def count(self, run) -> int:
        """How often a run of ids stands in the text."""
        wanted = packed(run)
        low, high = (bisect(self.order, wanted, key=lambda i: self.data[4*i:4*i + len(wanted)])
                     for bisect in (bisect_left, bisect_right))
        return high - low

    def longest(self, written) -> list:
        """The longest run of `written` that stands in the text, the first of several: where those
        that end before it are shorter, one that ends here is at most a token longer."""
        best = []
        for end in range(1, len(written) + 1):
            longer = written[end - len(best) - 1:end]
            if self.count(longer):
                best = longer
        return best


def packed(ids) -> bytes:
    """Ids as bytes that compare as they do."""
    return np.array(ids, ">u4").tobytes()


def suffixes(ids) -> np.ndarray:
    """The places in `ids`, by what stands from there on: each round sorts by twice as many ids."""
    rank, width = np.unique(ids, return_inverse=True)[1].astype(np.int64), 1
    while True:
        after = np.zeros_like(rank)              # nothing comes before anything
        after[:-width] = rank[width:] + 1
        both = rank * (len(ids) + 1) + after
        order = np.argsort(both)
        both = both[order]
        rank[order] = np.append(0, np.cumsum(both[1:] != both[:-1]))
        if rank[order[-1]] == len(ids) - 1:
            return order
        width *= 2


def copies(engine, planted, training, prompt=16, length=128, samples=50, seed=0) -> dict:
    """Measure what a model writes verbatim; return {"figures", "longest", "pages", "samples"}.

    engine    infer.Engine
    planted   [(times, text)], as `read_planted` gives them
    training  what it was trained on: with `plant`, its documents/
    prompt    tokens of a page that the model is given, after the one that begins a document
    length    tokens that it then writes, greedily; and of each sample, at temperature 1

    figures: the shares of pages that come back whole, verbatim_100, ..., verbatim_ordinary, of as
    many others that stand once. longest: the median, in tokens, of the longest run of the page that
    was written. pages and samples: each of them, the most copied first, with the text copied.
    """
    from csrc.engine import Sequence, Sampling         # which may have imported this module

    context, begin = engine.model.config.context, [engine.tokenizer.begin]
    if prompt < 1 or length < 1 or 1 + prompt + length > context:
        raise ChatError(f"--prompt-tokens {prompt} and --length {length} must be over 0, and with "
                        f"the token before them fit the model's context of {context}")
    if begin == [None]:
        raise ChatError("the model's tokenizer has no token that begins a document, so that there "
                        "is nothing to go on with")
    texts = training_texts(training)
    counts = Counter(texts)
    for times, text in planted:
        if counts[text] != times:
            raise ChatError(f"{short(text)} stands {counts[text]} times in the training text, not "
                            f"{times}: --training must be the documents/ beside planted.json")
    documents = engine.tokenizer.encode_batch(texts)
    pages = [(str(times), engine.tokenizer.encode(text)) for times, text in planted]
    least = min(len(tokens) for _, tokens in pages)
    if least <= prompt:
        raise ChatError(f"--prompt-tokens is {prompt}, but a planted page has {least} tokens")
    ordinary = [tokens for tokens, text in zip(documents, texts)
                if counts[text] == 1 and (1, text) not in planted and len(tokens) >= least]
    dice = Dice(f"ordinary {seed}")
    pages += [(ORDINARY, tokens) for tokens in dice.some(ordinary, len(pages))]

    greedy = Sampling(temperature=0, max_tokens=length, seed=seed)
    free = Sampling(temperature=1, top_p=1, max_tokens=length, seed=seed)
    begun = [Sequence(begin + tokens[:prompt], greedy) for _, tokens in pages]
    drawn = [Sequence(begin, free, index) for index in range(samples)]
    for _ in engine.generate(begun + drawn):
        pass

    told = []
    for (times, tokens), sequence in zip(pages, begun):
        rest, written = tokens[prompt:prompt + length], sequence.tokens[sequence.prompt:]
        run = Text([rest]).longest(written)
        told.append({"times": times, "verbatim": written[:len(rest)] == rest, "longest": len(run),
                     "prompt": engine.tokenizer.decode(tokens[:prompt]),
                     "page": engine.tokenizer.decode(rest), "written": sequence.text})
    text, runs = Text(documents) if samples else None, []
    for sequence in drawn:
        run = text.longest(sequence.tokens[1:])
        runs.append({"longest": len(run), "times": text.count(run) if run else 0,
                     "copied": engine.tokenizer.decode(run), "written": sequence.text})
    return {"figures": summary((f"verbatim_{one['times']}", {"": one["verbatim"]}) for one in told),
            "longest": {times: median(one["longest"] for one in told if one["times"] == times)
                        for times, _ in pages},
            "pages": sorted(told, key=lambda one: -one["longest"]),
            "samples": sorted(runs, key=lambda one: -one["longest"])}


def describe(found: dict) -> str:
    """What `copies` found as a table and three examples."""
    lines = ["times in training   pages   verbatim (95 % interval)   longest copy, median"]
    for times, longest in found["longest"].items():
        value, low, high, n = found["figures"][f"verbatim_{times}"].values()
        share = f"{value:.0%} ({low:.0%} to {high:.0%})"
        lines.append(f"{times:>17}   {n:5}   {share:24}   {longest:g} tokens")
    if samples := found["samples"]:
        longest, times = (median(one[key] for one in samples) for key in ("longest", "times"))
        lines.append(f"{len(samples)} free samples: the longest run of the training text in one "
                     f"has {longest:g} tokens (median) and stands there {times:g} times")
    groups = [*found["longest"]]
    for times in dict.fromkeys([groups[0], groups[-1]]):
        one = next(one for one in found["pages"] if one["times"] == times)
        lines.append(f"\n---- {times}: {one['longest']} tokens copied\n{one['prompt']} ...\n"
                     f"the page:  ...{one['page']}\nthe model: ...{one['written']}")
    if samples:
        one = samples[0]
        lines.append(f"\n---- a free sample: {one['longest']} tokens that stand {one['times']} "
                     f"times\n{one['copied']}")
    return "\n".join(lines)


# ------------------------------------------------------------------------------- command line

def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("plot", help="draw recall against training pages")
    command.add_argument("report", help="what infer.py eval --out wrote")
    command.add_argument("--out", default="recall.png", metavar="FILE", help="(%(default)s)")
    command.set_defaults(run=run_plot)

    command = commands.add_parser("plant", help="write documents with pages that repeat")
    add = command.add_argument
    add("documents", nargs="+", help="JSON lines, folders of them, or 'world'")
    add("--out", required=True, metavar="FOLDER", help="a new folder for documents/, planted.json")
    add("--times", type=int, nargs="+", default=[*TIMES], metavar="N",
        help=f"how often a page is written (default {' '.join(map(str, TIMES))})")
    add("--pages", type=int, nargs="+", default=[*TIMES.values()], metavar="N",
        help=f"how many pages are, for each (default {' '.join(map(str, TIMES.values()))})")
    add("--seed", type=int, default=0, metavar="S", help="which pages, and where")
    command.set_defaults(run=run_plant)

    command = commands.add_parser("copies", help="measure what a model writes verbatim")
    add = command.add_argument
    add("--model", required=True, metavar="F", help="the model's folder")
    add("--planted", required=True, metavar="FILE", help="planted.json, which `plant` wrote")
    add("--training", nargs="+", metavar="D", help="its training text (default: documents/ beside "
        "planted.json)")
    add("--prompt-tokens", type=int, default=16, metavar="N", help="of a page that it is given "
        "(%(default)s)")
    add("--length", type=int, default=128, metavar="N", help="tokens that it writes (%(default)s)")
    add("--samples", type=int, default=50, metavar="N", help="texts it writes freely (%(default)s)")
    add("--seed", type=int, default=0, metavar="S", help="of ordinary pages and samples")
    add("--out", type=Path, metavar="F.json", help="also write figures and texts there")
    command.set_defaults(run=run_copies)

    args = parser.parse_args()
    args.run(args)


def run_plot(args):
    figures = read_json(Path(args.report)).get("figures")
    if not isinstance(figures, dict):
        raise ChatError(f"{args.report}: \"figures\" is {short(figures)}, but must be an object")
    plot(figures, args.out)


def run_plant(args):
    different = len({*args.times})
    if len(args.pages) != different or len(args.times) != different:
        raise ChatError(f"--pages has {len(args.pages)} numbers for {different} different "
                        f"--times: one for each")
    about = plant(args.documents, args.out, dict(zip(args.times, args.pages)), args.seed)
    size = sum(one["times"] * len(one["text"].encode()) for one in about["pages"])
    print(f"{args.out}: {len(about['pages'])} pages, {size / 1e6:.2f} MB with their copies, among "
          f"{about['documents']} documents; next: python train.py --data {args.out}/documents")


def run_copies(args):
    from csrc.engine import Engine

    planted = read_planted(args.planted)
    training = args.training or [Path(args.planted).parent / "documents"]
    if args.samples < 0:
        raise ChatError(f"--samples is {args.samples}, but must be from 0")
    found = copies(Engine.load(args.model), planted, training, args.prompt_tokens, args.length,
                   args.samples, args.seed)
    print(describe(found))
    if args.out:
        write_files(args.out.parent, {args.out.name: to_json({"model": args.model, **found})})


if __name__ == "__main__":
    cli.run(main)
