"""Learning a vocabulary: ours beside rustbpe and Hugging Face's tokenizers, the same pattern, text
and size for all, splitting, counting and merging included.

    peers/bin/python tests/bench_bpe.py [--quick]        # by itself, without tests/bench.py

Each runs in a process of its own, which gives its peak memory, the text included. The text: what is
in ../shared/real where that is, then Python programs of the packages that are installed here, at
most two thirds of all, then the pocket world.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from sysconfig import get_paths

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

SIZES = [(32_768, 100_000_000), (100_000, 100_000_000)]  # tokens, characters of text
QUICK = [(4096, 5_000_000)]
REACH = {"rustbpe": 1, "tokenizers": 2}
MOST = 240                                       # seconds after which there is no other round


def texts(size):
    """Yield texts of `size` characters in all, as described above."""
    from data.pocket.pages import documents
    left = size
    real = ROOT.parent / "shared" / "real"
    files = [*sorted(real.glob("text/**/*.*")), *sorted(real.glob("web/langid/sentences/*"))]
    for file in files + sorted(Path(get_paths()["purelib"]).rglob("*.py")):
        if left < (size / 3 if file.suffix == ".py" else 0):
            break
        text = file.read_text(encoding="utf-8", errors="replace")
        for start in range(0, min(left, len(text)), 50_000):
            yield text[start : start + min(left - start, 50_000)]
        left -= min(left, len(text))
    for page in documents(0, left + (1 << 20)):
        yield page["text"][:left]
        left -= min(left, len(page["text"]))
        if not left:
            return


def ours(texts, size, threads):
    from data.tokens import bpe, learn
    learn.learn_merges(learn.count_chunks(texts, threads), bpe.wanted_merges(size))


def rustbpe(texts, size, threads):
    import rustbpe
    from data.tokens.learn import PATTERN
    rustbpe.Tokenizer().train_from_iterator(iter(texts), size - 32, pattern=PATTERN)


def tokenizers(texts, size, threads):
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
    from data.tokens.learn import PATTERN
    its = Tokenizer(models.BPE())
    its.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    its.train_from_iterator(iter(texts), trainers.BpeTrainer(
        vocab_size=size - 32, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))


LEARNERS = {learner.__name__: learner for learner in (ours, rustbpe, tokenizers)}


def measure(name, path, size, threads):
    """Run a learner in a new process: (seconds, MB of memory at its peak)."""
    done = subprocess.run([sys.executable, __file__, name, path, str(size), str(threads)],
                          env=os.environ | {"RAYON_NUM_THREADS": str(threads)},
                          stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def child(name, path, size, threads):
    import resource
    texts = [json.loads(line) for line in Path(path).open(encoding="utf-8")]
    start = time.perf_counter()
    LEARNERS[name](texts, int(size), int(threads))
    seconds = time.perf_counter() - start
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3]))


def rows(bench, dtype):
    """learning a vocabulary of 32,768 and of 100,000 from 100 MB"""
    import bench_peers as peers
    bench.part("Learning a vocabulary", "named")
    names = ["ours"] + [name for name in REACH if peers.peer(name)]
    for size, characters in QUICK if bench.quick else SIZES:
        path = ROOT / "build" / "bench-text.jsonl"
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(text) + "\n" for text in texts(characters))
        end, found = time.time() + MOST, {name: [] for name in names}
        while not found[names[-1]] or (len(found["ours"]) < 3 and time.time() < end):
            for name in names:
                found[name].append(measure(name, path, size, bench.threads))
        path.unlink()
        seconds = {name: median(run[0] for run in runs) for name, runs in found.items()}
        peaks = {name: max(run[1] for run in runs) for name, runs in found.items()}
        told = {name: f"{name} {seconds[name]:.1f} s, {peaks[name]:,.0f} MB" for name in names}
        for name in REACH:
            peer = characters / seconds[name] / 1e6 if name in seconds else None
            bench.row(f"{size:,} tokens of {characters / 1e6:,.0f} MB",
                      characters / seconds["ours"] / 1e6, "MB/s", peer, x=REACH[name],
                      name=f"{told.get(name, f'{name} is absent')}; {told['ours']}")


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in LEARNERS:
        child(*sys.argv[1:])
    else:
        from bench import Bench
        rows(Bench("--quick" in sys.argv, 0), None)
