"""Near-duplicates: keys against an oracle, removal against theory, jobs cut at any place."""

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from bench_dedup import expected, removed
from csrc.bind import Library
from data.crawl import dedup
from data.tokens.parallel import SerialExecutor, workers

ROOT = Path(__file__).resolve().parents[1]
FOX = "The quick brown fox jumps over the lazy dog, 1,234.50 times."


@pytest.fixture(scope="module", autouse=True)
def nobody_pulls_the_plug():
    """Thousands of small files: waiting until each is on the disk would take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


# ---- Keys --------------------------------------------------------------------------------------

ALL = 2**64 - 1
STEP = 0x9e3779b97f4a7c15


def mix(x):
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9 & ALL
    x = (x ^ x >> 27) * 0x94d049bb133111eb & ALL
    return x ^ x >> 31


def horner(numbers):
    total = 0
    for number in numbers:
        total = (total * STEP + number) & ALL
    return mix(total)


def words_of(text):
    """The normalisation with regular expressions over whole texts, as far as its alphabet goes."""
    text = dedup.UNICODE.normalize("NFD", text.lower())
    text = regex.sub(r"[\p{Mn}\p{Cf}]", "", text)
    text = regex.sub(r"\p{Nd}+([.,\u060c\u066b]\p{Nd}+)*", "0", text)
    text = regex.sub(r"[\p{Han}\U00010000-\U0010ffff]", r" \g<0> ", text)
    return regex.findall(r"[^\p{P}\p{S}\p{Z}\p{Cc}\p{Cs}]+|[\U00010000-\U0010ffff]", text)


def oracle(text):
    """The keys, one hash at a time."""
    words = []
    for word in words_of(text):
        h = 0
        for char in word:
            code = ord(char)
            alone = code > 0xffff or 0x3400 <= code <= 0x9fff
            h = (h ^ (code | alone << 24)) * STEP & ALL
        words.append(mix(h))
    shingles = [horner(words[i:i + 5]) for i in range(max(1, len(words) - 4))]
    minima = [min(shingle * (mix(STEP * (i + 1) & ALL) | 1) & ALL for shingle in shingles)
              for i in range(112)]
    return [horner(minima[i:i + 8]) for i in range(0, 112, 8)]


CHARACTERS = ("abcXYZ 0123456789.,!?'\"-_@#\n\t\0éÉüÑıŁßçñ\u0301\u0327\u00ad\u200d\ufefføÅΑάςЙйё"
              "\u0660\u0665\u066b\u060c\u0967½²漢字語中\u3000、。😀𝐀\U00020000«»…—’€\ud800\udfff")


@given(st.text(CHARACTERS, max_size=60) | st.text("ab1., é\u00ad漢😀", max_size=60))
def test_keys_are_the_oracles_for_any_text(text):
    assert dedup.keys(text).tolist() == oracle(text)


@pytest.mark.parametrize("count", [0, 1, 4, 5, 6, 9, 511, 512, 513, 516, 517, 1020, 1021, 1025])
def test_keys_are_the_oracles_at_any_number_of_words(count):
    text = " ".join(f"w{i * i % 739}" for i in range(count)).translate(
        str.maketrans("0123456789", "abcdefghij"))
    assert dedup.keys(text).tolist() == oracle(text)


def test_keys_are_the_same_in_other_processes_threads_and_for_ever():
    program = f"from data.crawl import dedup; print(bytes(dedup.keys({FOX!r})[:2]).hex())"
    for seed, threads in (("0", "1"), ("7", "2")):
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True,
            env=os.environ | {"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": threads})
        assert done.stdout.strip() == "0d363e09bbd1fa8391c311b54a15103e", done.stderr


@pytest.mark.parametrize("one, other", [
    ("Élan VITAL, naïve", "elan vital naive"), ("e\u0301lan", "élan"), ("don't", "don’t"),
    ("in\u00advisible", "invisible"), ("in\u200bvisible", "invisible"), ("1,234.50 €", "7"),
    ("in 1999", "in 2024"), ("٣", "3"),
    ("a  b\n\tc", "a b c"), ("(a) [b] c!", "a b c"), ("漢字", "漢 字"), ("Hi😀you", "hi 😀 you"),
    ("", " ... !"), ("\ufeffText", "text"), ("ЁЖ", "еж"), ("1.", "1"), ("v1.2.3b", "v4b")])
def test_the_same_words_have_the_same_keys(one, other):
    assert dedup.keys(one).tolist() == dedup.keys(other).tolist()


@pytest.mark.parametrize("one, other", [
    ("a b", "b a"), ("ab", "a b"), ("a1", "a 1"), ("1. 2", "1.2"), ("", "a"), ("łan", "lan"),
    ("a b c d e", "a b c d f"), ("a b c d", "a b c"), ("1", "1 1"), ("漢字", "字漢")])
def test_other_words_have_no_key_in_common(one, other):
    assert not (dedup.keys(one) == dedup.keys(other)).any()


@given(st.binary(max_size=20))
def test_bytes_that_are_not_utf_8_are_read_to_their_end_and_not_beyond(data):
    first, second = np.empty((2, dedup.BANDS), np.uint64)
    for out, behind in (first, b"\x80abc"), (second, b"\xbf 9"):
        array = np.frombuffer(data + behind, np.uint8)
        Library.text().call("minhash_keys", out, array, dedup.letters(), len(data))
    assert first.tolist() == second.tolist()


# ---- Removal -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shingles", [20, 200])
def test_pairs_are_removed_as_often_as_theory_says(shingles):
    n = 1000
    found = removed(n, shingles)
    assert 0.45 < found[0][0] < 0.55 and 0.9 < found[-1][0] < 1
    for similarity, k in found:
        p = expected(similarity)
        assert abs(k - n * p) < 4 * (n * p * (1 - p))**0.5 + 1, (similarity, k / n, p)


def rows_of(*documents):
    """(n, BANDS) keys, of which two documents share those whose names stand at the same place in
    both; "." and what is missing are shared by none."""
    ids = {}
    rows = np.arange(len(documents) * dedup.BANDS, dtype=np.uint64).reshape(-1, dedup.BANDS)
    for row, document in zip(rows, documents):
        for band, name in enumerate(document):
            if name != ".":
                row[band] = ids.setdefault((band, name), row[band])
    return rows * np.uint64(STEP)                # all over the range


def verdicts_of(folder, *parts, executor=None):
    """All verdicts of parts given as rows of keys."""
    paths = [folder / f"part-{i}.npy" for i in range(len(parts))]
    for path, rows in zip(paths, parts):
        dedup.write_keys(path, rows)
    found = dedup.deduplicate(executor or SerialExecutor(), paths, folder / "work")
    start = 0
    for path, rows in zip(found, parts):
        own = np.arange(start, start := start + len(rows))
        assert np.array_equal(dedup.kept(path), dedup.read_verdicts(path) == own)
    return [dedup.read_verdicts(path).tolist() for path in found]


def test_a_chain_of_pairs_keeps_its_first_document(tmp_path):
    rows = rows_of("....x", "ab", "cb", "c.d", "..d", "..e")
    assert verdicts_of(tmp_path / "a", rows[1:4], rows[:1], rows[4:]) == [[0, 0, 0], [3], [0, 5]]
    assert verdicts_of(tmp_path / "b", rows[::-1]) == [[0, 1, 1, 1, 1, 5]]


def test_exact_duplicates_go_whatever_lies_between_them(tmp_path):
    texts = FOX, "", "one two", FOX.upper(), "!", "One, two"
    assert verdicts_of(tmp_path, [dedup.keys(text) for text in texts]) == [[0, 1, 2, 0, 1, 2]]


def components(pairs, n):
    """The first of each one's component, by going along pairs until nothing changes."""
    roots = list(range(n))
    changed = True
    while changed:
        changed = False
        for a, b in pairs:
            low = min(roots[a], roots[b])
            changed |= roots[a] != low or roots[b] != low
            roots[a] = roots[b] = low
    return roots


@given(st.integers(1, 30).flatmap(lambda n: st.tuples(
    st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2), max_size=40))), st.randoms())
def test_components_are_the_oracles_in_any_order_of_pairs(graph, random):
    n, pairs = graph
    for _ in range(2):
        roots = np.arange(n, dtype=np.uint32)
        array = np.array(pairs, np.uint32).reshape(-1, 2)
        Library.text().call("join_pairs", roots, array, len(pairs), n)
        Library.text().call("find_roots", roots, n)
        assert roots.tolist() == components(pairs, n)
        random.shuffle(pairs)


@settings(max_examples=30)
@given(st.lists(st.text("....abcdefghijkl", max_size=3), max_size=25), st.data())
def test_verdicts_are_the_oracles_for_any_parts_and_slices(tmp_path_factory, documents, data):
    rows = rows_of(*documents)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=5)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dedup, "MEMORY", data.draw(st.sampled_from([50, 200, 10**6])))
        found = verdicts_of(tmp_path_factory.mktemp("parts"), *np.split(rows, cuts))
    n = len(rows)
    pairs = [(a, b) for a in range(n) for b in range(a) if (rows[a] == rows[b]).any()]
    assert sum(found, []) == components(pairs, n)


# ---- Files and tasks ---------------------------------------------------------------------------


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Key files of 3 parts, 150 documents with duplicates, and slices of about 40."""
    monkeypatch.setattr(dedup, "MEMORY", 40 * dedup.RECORD)
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 2**64, (150, dedup.BANDS), np.uint64)
    rows[100:, 3] = rows[rng.integers(0, 100, 50), 3]
    paths = [tmp_path / f"{i}.npy" for i in range(3)]
    for path, some in zip(paths, np.split(rows, [70, 70])):
        dedup.write_keys(path, some)
    return paths


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.glob("[!.]*")}


def test_one_and_several_workers_write_the_same_bytes(parts, tmp_path):
    with workers(2) as executor:
        dedup.deduplicate(executor, parts, tmp_path / "two")
    dedup.deduplicate(SerialExecutor(), parts, tmp_path / "one")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert len(contents(tmp_path / "one")) == 1 + 4 * dedup.BANDS + 1 + 3


@pytest.mark.parametrize("after", [0, 1, 30, 56, 57, 59])
def test_a_killed_job_goes_on_where_it_stopped(parts, tmp_path, after):
    class Counts(SerialExecutor):
        count, limit = 0, None

        def submit(self, *args):
            if self.count == self.limit:
                raise KeyboardInterrupt
            self.count += 1
            return super().submit(*args)

    whole = Counts()
    dedup.deduplicate(whole, parts, tmp_path / "whole")
    assert whole.count == 60
    first, second = Counts(), Counts()
    first.limit = after
    with pytest.raises(KeyboardInterrupt):
        dedup.deduplicate(first, parts, tmp_path / "cut")
    (tmp_path / "cut" / ".pairs-00-00003.npy.new").write_bytes(b"half a f")
    dedup.deduplicate(second, parts, tmp_path / "cut")
    assert first.count + second.count == 60
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


@pytest.mark.parametrize("name", ["0.npy", "work/pairs-03-00001.npy", "work/roots.npy"])
@pytest.mark.parametrize("damage", [
    lambda data: b"", lambda data: data[:50], lambda data: data[:-4], lambda data: data + b"\0",
    lambda data: data.replace(b"<u4", b"<f4"), lambda data: data[:40] + data[60:],
    lambda data: b"PK\x03\x04" + data[4:], lambda data: bytes(len(data))])
def test_a_damaged_file_is_named_in_one_sentence(parts, tmp_path, name, damage):
    work = tmp_path / "work"
    dedup.deduplicate(SerialExecutor(), parts, work)
    for path in [work / "roots.npy", *work.glob("verdicts-*")]:
        if path.name not in name:
            path.unlink()
    path = tmp_path / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=f"{path}: damaged.*delete it") as error:
        dedup.deduplicate(SerialExecutor(), parts, work)
    assert "\n" not in str(error.value) and not list(work.glob("verdicts-*"))


def test_a_damaged_plan_or_verdict_and_a_missing_part_are_named(parts, tmp_path):
    verdict = dedup.deduplicate(SerialExecutor(), parts, tmp_path / "work")[0]
    (tmp_path / "work" / "plan.json").write_bytes(b'{"slices"')
    with pytest.raises(ValueError, match=r"plan\.json: "):
        dedup.deduplicate(SerialExecutor(), parts, tmp_path / "work")
    verdict.write_bytes(verdict.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"verdicts-00000\.npy: damaged.*delete it"):
        dedup.read_verdicts(verdict)
    with pytest.raises(OSError, match="nowhere"):
        dedup.deduplicate(SerialExecutor(), [tmp_path / "nowhere.npy"], tmp_path / "other")


def test_a_pair_of_documents_that_are_not_there_is_refused(parts, tmp_path):
    work = tmp_path / "work"
    dedup.deduplicate(SerialExecutor(), parts, work)
    (work / "roots.npy").unlink()
    dedup.save(work / "pairs-00-00000.npy", np.array([[0, 1], [149, 150]]))
    with pytest.raises(ValueError, match=r"pairs-00-00000\.npy: pair 1 is of documents 149 and "
                                         "150, but there are 150"):
        dedup.deduplicate(SerialExecutor(), parts, work)


def test_a_folder_that_holds_files_of_other_documents_is_refused(parts, tmp_path):
    dedup.deduplicate(SerialExecutor(), parts, tmp_path / "work")
    with pytest.raises(ValueError, match="of other documents: delete it"):
        dedup.deduplicate(SerialExecutor(), parts[::-1], tmp_path / "work")


def test_no_part_no_document_and_one_document_are_fine(tmp_path):
    assert verdicts_of(tmp_path / "a") == []
    nothing = np.empty((0, dedup.BANDS))
    assert verdicts_of(tmp_path / "b", nothing, nothing) == [[], []]
    assert verdicts_of(tmp_path / "c", nothing, [dedup.keys("one")], nothing) == [[], [0], []]
    assert verdicts_of(tmp_path / "d", *[[dedup.keys("one")]] * 40) == [[0]] * 40


def test_more_documents_than_numbers_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(dedup, "load", lambda path, shape: np.empty((14, 3, 2**31), "V0"))
    with pytest.raises(ValueError, match="4294967296 documents are too many"):
        dedup.deduplicate(SerialExecutor(), ["a", "b"], tmp_path)


def test_a_task_takes_no_more_memory_than_it_should(tmp_path, monkeypatch):
    monkeypatch.setattr(dedup, "MEMORY", 4 << 20)
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 2**64, (250_000, dedup.BANDS), np.uint64)
    keys[::2] = keys[rng.integers(0, len(keys), len(keys[::2]))]
    parts = [tmp_path / f"{i}.npy" for i in range(5)]
    for path, rows in zip(parts, np.split(keys, 5)):
        dedup.write_keys(path, rows)
    peaks = []

    class Watches(SerialExecutor):
        def submit(self, function, *args):
            tracemalloc.start()
            future = super().submit(function, *args)
            if function is dedup.find_pairs:
                peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            return future

    dedup.deduplicate(Watches(), parts, tmp_path / "work")
    print(max(peaks), sorted(peaks)[-3:], dedup.MEMORY)
    assert len(peaks) == dedup.BANDS * 3
    assert dedup.MEMORY / 2 < max(peaks) < dedup.MEMORY
