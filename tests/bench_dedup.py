"""Near-deduplication: how fast, beside datatrove, and how often it finds what it should."""

import json
import tempfile
from pathlib import Path

import numpy as np

import bench_peers as peers
from data.crawl import dedup
from data.tokens.parallel import SerialExecutor

ROOT = Path(__file__).resolve().parents[1]
SIMILARITIES = np.arange(0.5, 0.951, 0.05)


# ---- Does it find what it should? --------------------------------------------------------------


def expected(similarity):
    """The probability that two documents of this similarity have a band in common."""
    return 1 - (1 - similarity**8)**14


def similar(rng, similarity, shingles):
    """Two texts, as equal as they can be made at their beginning, and their exact similarity."""
    common = round(2 * shingles * similarity / (1 + similarity))
    words = [f"w{number:x}x" for number in rng.integers(0, 2**60, 2 * shingles - common + 4)]
    same, ends = words[:common + 4], words[common + 4:]
    texts = [" ".join(same + end) for end in (ends[::2], ends[1::2])]
    return texts, common / (2 * shingles - common)


def removed(pairs, shingles=200, seed=0):
    """[(similarity, how many of so many pairs lost one)], all deduplicated together: the first
    halves of pairs in one part, the second in another."""
    rng, exact, keys = np.random.default_rng(seed), [], ([], [])
    for similarity in SIMILARITIES:
        for _ in range(pairs):
            texts, so_similar = similar(rng, similarity, shingles)
            for part, text in zip(keys, texts):
                part.append(dedup.keys(text))
        exact.append(so_similar)
    with tempfile.TemporaryDirectory() as folder:
        parts = [Path(folder, f"{name}.npy") for name in "ab"]
        for part, rows in zip(parts, keys):
            dedup.write_keys(part, rows)
        first, second = dedup.deduplicate(SerialExecutor(), parts, Path(folder, "work"))
        assert dedup.kept(first).all()
        lost = ~dedup.kept(second)
    return list(zip(exact, lost.reshape(-1, pairs).sum(axis=1).tolist()))


def interval(k, n):
    """Wilson's 95 % interval of a probability, of k in n."""
    z = 1.96
    middle, half = k + z * z / 2, z * (k * (n - k) / n + z * z / 4)**0.5
    return (middle - half) / (n + z * z), (middle + half) / (n + z * z)


def picture(path=ROOT / "build" / "minhash.png", pairs=1000):
    """Draw what `removed` measures over what is expected."""
    try:
        import matplotlib
    except ImportError:
        return print("no picture: matplotlib is absent")
    matplotlib.use("Agg")
    from matplotlib import pyplot
    found = removed(pairs)
    s = np.linspace(0.4, 1, 300)
    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    axes.plot(s, expected(s), color="0.5", label="$1-(1-s^8)^{14}$")
    rates = np.array([[k / pairs, *interval(k, pairs)] for _, k in found]).T
    axes.errorbar([similarity for similarity, _ in found], rates[0],
                  np.abs(rates[1:] - rates[0]), fmt="o", markersize=4, capsize=3, color="C0",
                  label=f"measured: {pairs:,} pairs each, 95 % intervals")
    axes.set(xlabel="similarity: Jaccard index of the word 5-grams", ylabel="pairs that lose one",
             xlim=(0.4, 1), ylim=(-0.02, 1.02), title="What near-deduplication removes")
    axes.grid(alpha=0.2)
    axes.legend(loc="upper left")
    figure.tight_layout()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    print(path)


# ---- How fast? ---------------------------------------------------------------------------------


def documents(size):
    """About `size` bytes of web pages and of novels cut into pages or, where they are absent, of
    the pocket world."""
    real, texts = ROOT.parent / "shared" / "real" / "text", []
    if real.exists():
        lines = (real / "c4_demo.jsonl").read_text(encoding="utf-8").splitlines()
        texts = [json.loads(line)["text"] for line in lines]
        for novel in sorted((real / "novels").glob("*.txt")):
            text = novel.read_text(encoding="utf-8", errors="replace")
            texts += [text[i:i + 3000] for i in range(0, len(text), 3000)]
    else:
        from data.pocket import pages
        texts = [page["text"] for page in pages.documents()]
    np.random.default_rng(0).shuffle(texts)
    ends = np.cumsum([len(text.encode()) for text in texts])
    return texts[:np.searchsorted(ends, size) + 1]


def peer_signature():
    """datatrove's, with FineWeb's settings: a function of a text; None where it is absent."""
    module = peers.peer("datatrove.pipeline.dedup.minhash")
    if not module:
        return None
    step = module.MinhashDedupSignature(tempfile.gettempdir())
    return lambda text: step.get_signature(step.get_shingles(text))


def rows(bench, dtype):
    """near-deduplication: signatures on one core, then from signatures to verdicts"""
    bench.part("Near-deduplication", "datatrove, MinhashDedupSignature")
    texts, theirs = documents(2e5 if bench.quick else 1e6), peer_signature()
    size = sum(len(text.encode()) for text in texts) / 1e6
    ours, peer = bench.alternate(lambda: [dedup.keys(text) for text in texts],
                                 theirs and (lambda: [theirs(text) for text in texts]))
    bench.row(f"signatures, {len(texts)} documents", size / ours, "MB/s", peer and size / peer,
              x=100, name="datatrove")

    n, rng = 10**5 if bench.quick else 5 * 10**5, np.random.default_rng(0)
    keys = rng.integers(0, 2**64, (n, dedup.BANDS), np.uint64)
    keys[rng.integers(0, n, n // 2)] = keys[rng.integers(0, n, n // 2)]

    def all_stages():
        with tempfile.TemporaryDirectory() as folder:
            parts = [Path(folder, f"{i}.npy") for i in range(10)]
            for part, some in zip(parts, np.split(keys, 10)):
                dedup.write_keys(part, some)
            dedup.deduplicate(SerialExecutor(), parts, Path(folder, "work"))

    seconds, = bench.alternate(all_stages)
    bench.row(f"{n:,} signatures to verdicts", n / seconds / 1000, "1000/s")
    picture(pairs=100 if bench.quick else 1000)
