"""What a model remembers of its training text: facts, by how many pages state them, and pages, by
how often they stand there (Carlini et al. 2022, arXiv:2202.07646)."""

import gzip
import itertools
import json
import math
from collections import Counter
from pathlib import Path
from reprlib import repr as short
from statistics import median

from csrc.engine import Sampling, Sequence
from csrc.files import ChatError, check_new, open_input, read_json, to_json, write_files
from csrc.plot import picture
from data.exams.marks import summary
from data.pocket.grammar import Dice
from data.pocket.recall import LEAST, bucket, json_lines, training_texts
from data.pocket.pages import page
from data.pocket.world import World
from data.tokens import shards
from data.tokens.documents import is_held
from data.tokens.parallel import batches

WORDS = 110, 150            # of a planted page: some 160 tokens or more
BEGINNING = 60              # characters in which all planted pages differ
TIMES = {100: 3, 10: 5, 1: 8}               # how often a page is planted, and how many pages are
ORDINARY = "ordinary"       # pages of the training text that stand there once
CURVES = {"recall": "completed, in wordings of the pages", "asked": "answered, in words of no page"}


# -------------------------------------------------------------------------- facts, by their pages

def plot(figures: dict, path) -> None:
    """Draw recall against pages, a .png.

    figures  {name: {"value", "low", "high", "n"}}: a curve for recall_pages_... and for
             asked_pages_..., and for each of those of a model that stands before: sft_asked_pages_0
    """
    endings = [f"_{bucket(least)}" for least in LEAST]
    curves = sorted({name.removesuffix(ending) for name in figures for ending in endings
                     if name.endswith(ending)})
    if not curves:
        raise ChatError(f"no figure is called recall{endings[0]} or asked{endings[0]}: infer.py "
                        f"eval --training makes them")
    # The middle of each class on a logarithmic axis, with none at a half and no end to the last.
    ends = [*LEAST[1:], 2 * LEAST[-1] + 1]
    middles = [math.sqrt(max(least, 0.5) * max(end - 1, 0.5)) for least, end in zip(LEAST, ends)]
    names = [bucket(least).removeprefix("pages_").replace("_", "–") for least in LEAST]
    with picture(path) as (_, axes):
        for curve in curves:
            points = [(x, figures[curve + ending]) for x, ending in zip(middles, endings)
                      if curve + ending in figures]
            values = [100 * point["value"] for _, point in points]
            bars = [[100 * abs(point[end] - point["value"]) for _, point in points]
                    for end in ("low", "high")]
            model, _, way = curve.rpartition("_")
            axes.errorbar([x for x, _ in points], values, bars, fmt="o-", capsize=3,
                          label=f"{model}: " * bool(model) + CURVES.get(way, way))
        axes.set(xscale="log", ylim=(-3, 103), xlabel="training pages that state the fact",
                 ylabel="% right, with 95 % intervals", title="What a model remembers")
        axes.set_xticks(middles, [*names[:-1], f"{names[-1]}+"])
        axes.minorticks_off()
        axes.grid(alpha=0.2)
        axes.legend(loc="upper left")


# --------------------------------------------------------------------------------- planting pages

def plant(sources, out, times=TIMES, seed=0) -> dict:
    """Write documents and, among them, pages that occur nowhere else; return what was planted.

    sources  files or folders of JSON lines, or "world"
    out      a new folder: documents/ to train on, planted.json, which no training reads
    times    {how often a page is written: how many pages are}

    The places are drawn by chance from those that training does not hold out.
    """
    out = Path(out)
    check_new(out)
    files = json_lines(sources)
    shards.survey(files)                         # which says where something is wrong
    documents = [line.rstrip(b"\r\n") + b"\n" for line in lines(files)]
    new = new_pages(seed)
    pages = [{"times": n, "text": next(new)} for n, some in times.items() for _ in range(some)]
    repeated = [json.dumps({"text": one["text"]}).encode() + b"\n" for one in pages
                for _ in range(one["times"])]
    total = len(documents) + len(repeated)
    places = [i for i in range(total) if not is_held(i, shards.HELD_OUT)]
    if len(repeated) > len(places):
        raise ChatError(f"{len(repeated)} pages do not fit among {len(documents)} documents: "
                        f"fewer --pages or --times, or more documents")
    places = Dice(f"places {seed}").some(places, len(repeated))
    at, rest = dict(zip(places, repeated)), iter(documents)
    chunks = (gzip.compress(b"".join(some), mtime=0) for some in batches(
        (at[i] if i in at else next(rest) for i in range(total)), 1 << 20))
    about = {"sources": list(map(str, files)), "documents": len(documents), "seed": seed,
             "pages": pages}
    write_files(out / "documents", {"documents-00000.jsonl.gz": chunks})
    write_files(out, {"planted.json": to_json(about)})
    return about


def lines(files):
    """Yield the lines (bytes) of files of JSON lines that hold a text."""
    for file in files:
        with open_input(file) as stream:
            yield from (line for line in stream
                        if not line.isspace() and json.loads(line).get("text"))


def new_pages(seed):
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
    try:
        pages = [(int(one["times"]), str(one["text"])) for one in read_json(Path(path))["pages"]]
    except (LookupError, TypeError):
        pages = []
    if not pages:
        raise ChatError(f"{path}: no list of planted pages, as `data/recall.py plant` makes in "
                        f"planted.json")
    return sorted(pages, key=lambda one: -one[0])


# -------------------------------------------------------------------------------- runs of tokens

class Runs:
    """Documents (lists of ids) in which runs of tokens are counted: a string, a character a token,
    which Python searches as fast as memory is read. No run reaches over the end of a document."""

    def __init__(self, documents):
        self.text = "\U0010ffff".join(map(characters, documents))

    def count(self, run) -> int:
        """How often a run of ids stands in the text."""
        found, at, wanted = 0, -1, characters(run)
        while (at := self.text.find(wanted, at + 1)) >= 0:
            found += 1
        return found

    def longest(self, written) -> list:
        """The longest run of `written` that stands in the text, the first of several: where those
        that end before it are shorter, one that ends here is at most a token longer."""
        best = []
        for end in range(1, len(written) + 1):
            longer = written[end - len(best) - 1:end]
            if characters(longer) in self.text:
                best = longer
        return best


def characters(ids) -> str:
    """Ids as a string, a character each."""
    return "".join(map(chr, ids))


# ----------------------------------------------------------------------------------------- copies

def copies(engine, planted, training, prompt=16, length=128, samples=50, seed=0) -> dict:
    """Measure what a model writes verbatim; return {"figures", "longest", "pages", "samples"}.

    planted   [(times, text)], as `read_planted` gives them
    training  what it was trained on: with `plant`, its documents/
    prompt    tokens of a page that the model is given, after the one that begins a document
    length    tokens that it then writes, greedily; and of each sample, at temperature 1

    figures: the shares of pages that come back whole: verbatim_100, ..., and verbatim_ordinary, of
    as many others that stand once. longest: the median, in tokens, of the longest run of the page
    that was written. pages and samples: each of them, the most copied first.
    """
    context, begin = engine.model.config.context, [engine.tokenizer.begin]
    if 1 + prompt + length > context:
        raise ChatError(f"--prompt-tokens {prompt} and --length {length} do not fit, with the "
                        f"token before them, the model's context of {context}")
    if begin == [None]:
        raise ChatError("the model's tokenizer has no token that begins a document")
    texts = training_texts(training)
    documents = engine.tokenizer.encode_batch(texts)
    pages = pages_of(planted, texts, documents, engine.tokenizer, prompt, seed)
    greedy = Sampling(temperature=0, max_tokens=length, seed=seed)
    free = Sampling(temperature=1, top_p=1, max_tokens=length, seed=seed)
    begun = [Sequence(begin + tokens[:prompt], greedy) for _, tokens in pages]
    drawn = [Sequence(begin, free, index) for index in range(samples)]
    for _ in engine.generate(begun + drawn):
        pass

    decode, told, runs = engine.tokenizer.decode, [], []
    for (times, tokens), sequence in zip(pages, begun):
        rest, written = tokens[prompt:prompt + length], sequence.tokens[sequence.prompt:]
        told.append({"times": times, "verbatim": written[:len(rest)] == rest,
                     "longest": len(Runs([rest]).longest(written)),
                     "prompt": decode(tokens[:prompt]), "page": decode(rest),
                     "written": sequence.text})
    index = Runs(documents) if samples else None
    for sequence in drawn:
        run = index.longest(sequence.tokens[1:])
        runs.append({"longest": len(run), "times": index.count(run) if run else 0,
                     "copied": decode(run), "written": sequence.text})
    return {"figures": summary((f"verbatim_{one['times']}", {"": one["verbatim"]}) for one in told),
            "longest": {times: median(one["longest"] for one in told if one["times"] == times)
                        for times, _ in pages},
            "pages": sorted(told, key=lambda one: -one["longest"]),
            "samples": sorted(runs, key=lambda one: -one["longest"])}


def pages_of(planted, texts, documents, tokenizer, prompt, seed) -> list[tuple]:
    """(times, tokens) of the planted pages and of as many ORDINARY documents of the training texts.
    ChatError if these are not the texts among which the pages were planted."""
    counts = Counter(texts)
    for times, text in planted:
        if counts[text] != times:
            raise ChatError(f"{short(text)} stands {counts[text]} times in the training text, not "
                            f"{times}: --training must be the documents/ beside planted.json")
    pages = [(str(times), tokenizer.encode(text)) for times, text in planted]
    least = min(len(tokens) for _, tokens in pages)
    if least <= prompt:
        raise ChatError(f"--prompt-tokens is {prompt}, but a planted page has {least} tokens")
    ordinary = [tokens for tokens, text in zip(documents, texts)
                if counts[text] == 1 and (1, text) not in planted and len(tokens) >= least]
    return pages + [(ORDINARY, tokens)
                    for tokens in Dice(f"ordinary {seed}").some(ordinary, len(pages))]


def describe(found: dict) -> str:
    """What `copies` found as a table and three examples."""
    rows = ["times in training   pages   verbatim (95 % interval)   longest copy, median"]
    for times, longest in found["longest"].items():
        value, low, high, n = found["figures"][f"verbatim_{times}"].values()
        share = f"{value:.0%} ({low:.0%} to {high:.0%})"
        rows.append(f"{times:>17}   {n:5}   {share:24}   {longest:g} tokens")
    if samples := found["samples"]:
        longest, times = (median(one[key] for one in samples) for key in ("longest", "times"))
        rows.append(f"{len(samples)} free samples: the longest run of the training text in one "
                    f"has {longest:g} tokens (median) and stands there {times:g} times")
    groups = [*found["longest"]]
    for times in dict.fromkeys([groups[0], groups[-1]]):
        one = next(one for one in found["pages"] if one["times"] == times)
        rows.append(f"\n---- {times}: {one['longest']} tokens copied\n{one['prompt']} ...\n"
                    f"the page:  ...{one['page']}\nthe model: ...{one['written']}")
    for one in samples[:1]:
        rows.append(f"\n---- a free sample: {one['longest']} tokens that stand {one['times']} "
                    f"times\n{one['copied']}")
    return "\n".join(rows)
