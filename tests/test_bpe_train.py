"""Learning a vocabulary: the C against the plain Python, that against a naive trainer."""
import random
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np
import pytest
import ref_bpe
from hypothesis import given, settings
from hypothesis import strategies as st
from test_bpe import NASTY, REAL, nasty_text

from csrc.bind import ChatError
from data.tokens import bpe, learn as learning

relaxed = settings(max_examples=60)
SURROGATES = ["\ud83d", "\ude00", "\ud835\udcb3"]
APOSTROPHES = [f"'{letters}" for letters in ("r", "Re", "rE", "lſ", "LL", "l", "vé", "m", "S", "K")]
hard_text = st.one_of(nasty_text, st.lists(st.sampled_from(NASTY + SURROGATES + APOSTROPHES))
                      .map("".join))
corpora = st.dictionaries(st.text("abc", min_size=1, max_size=12).map(str.encode),
                          st.integers(1, 4), max_size=12)


def counter(chunks):
    """{bytes: count} of Chunks, in their order."""
    text, ends = chunks.text.tobytes(), chunks.ends.tolist()
    return {text[start:end]: count for start, end, count
            in zip([0, *ends], ends, chunks.counts.tolist())}


def learn(counts, merges):
    """What learn_merges makes of {bytes: count}."""
    ends = np.cumsum([len(chunk) for chunk in counts], dtype=np.uint64)
    return learning.learn_merges(learning.Chunks(
        np.frombuffer(b"".join(counts), np.uint8), ends,
        np.array(list(counts.values()), np.uint64)), merges)


# ----------------------------------------------------------------------------------------- Counting

@relaxed
@given(st.lists(hard_text, max_size=4))
def test_chunks_are_split_and_counted_as_the_pattern_does(texts):
    found = learning.count_chunks(texts)
    assert counter(found) == ref_bpe.count_chunks(texts)
    assert found.bytes() == sum(len(learning.utf8(text)) for text in texts)


def test_every_character_is_split_as_the_pattern_does():
    for first in range(0, 0x110000, 0x1000):
        codes = range(first, first + 0x1000, 1 if first < 0x3000 else 37)
        texts = ["".join(f"a{c}b {c}1{c} !{c}\n{c}'{c}s'{c} {c}{c} \n {c}'r{c}"
                         for c in map(chr, codes))]
        assert (counter(learning.count_chunks(texts))
                == ref_bpe.count_chunks(texts)), hex(first)


def test_the_chunks_come_in_order_and_do_not_depend_on_the_threads(monkeypatch):
    texts = [Path(bpe.__file__).read_text(encoding="utf-8"), "", "".join(NASTY), "z zz z"] * 3
    expected = ref_bpe.count_chunks(texts)
    assert list(counter(learning.count_chunks(["b a", " c a b"])).items()) == [
        (b"b", 1), (b" a", 2), (b" c", 1), (b" b", 1)]
    for batch in (1, 500, 1 << 20):
        monkeypatch.setattr(learning, "BATCH", batch)
        for threads in (1, 2, 7):
            found = learning.count_chunks(iter(texts), threads)
            assert list(counter(found).items()) == list(expected.items())


def test_the_rarest_chunks_are_forgotten_where_there_are_too_many(monkeypatch):
    monkeypatch.setattr(learning, "BATCH", 1000)
    numbers = [str(n)[::-1].translate(str.maketrans("0123456789", "abcdefghij"))
               for n in range(20_000)]
    texts = [f"{word} often{' twice' * (n % 5 == 0)}" for n, word in enumerate(numbers)]
    found = learning.count_chunks(texts, most=2000)
    assert len(found.counts) <= 2000
    counts = counter(found)
    assert counts[b" often"] == 20_000 and counts[b" twice"] == 4000
    assert counter(learning.count_chunks(texts, 3, most=2000)) == counts
    assert len(learning.count_chunks(texts).counts) == 20_002


def test_chunks_are_cut_only_where_they_are_absurdly_long():
    counts = counter(learning.count_chunks(["a" * 2500, "ab ab", "\ud800"]))
    assert counts == {b"a" * 1000: 2, b"a" * 500: 1, b"ab": 1, b" ab": 1, "\ufffd".encode(): 1}


@pytest.mark.parametrize("unit", ["a", "^", " ", "\n", "_", " \n", "\u3000", "é", "ab ", "'", "1"])
def test_a_million_of_the_same_are_split_in_linear_time(unit):
    text = unit * (1_000_000 // len(unit))
    for text in (text, text + "x"):  # quadratic time would not end
        assert learning.count_chunks([text]).bytes() == len(text.encode())


def test_nothing_gives_no_chunks_and_no_merges(capsys):
    for texts in ([], [""], ["", ""]):
        assert counter(learning.count_chunks(texts)) == {}
        assert bpe.learn(learning.count_chunks(texts), 300).vocab_size == 288
    assert learn({}, 5) == ([], [])


def test_an_error_while_reading_is_passed_on_after_any_number_of_batches(monkeypatch):
    monkeypatch.setattr(learning, "BATCH", 10)

    def texts(error):
        yield from ["some text here"] * 50
        raise error
    for error in (ValueError("not UTF-8"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            learning.count_chunks(texts(error))


# ----------------------------------------------------------------------------------------- Learning

@relaxed
@given(corpora)
def test_the_merges_are_those_of_the_naive_trainer_ties_included(chunks):
    assert learn(chunks, 30) == ref_bpe.learn_merges(chunks, 30)


@relaxed
@given(st.lists(st.tuples(st.sampled_from(["a", "b", "ab", "ba", "abc"]), st.integers(1, 400)),
                min_size=1, max_size=5), st.integers(1, 3))
def test_long_repetitions_are_merged_as_in_plain_python(parts, count):
    chunk = "".join(unit * (times // len(unit)) for unit, times in parts).encode()
    chunks = {chunk: count, chunk[::-1]: 1} if chunk else {}
    assert learn(chunks, 60) == ref_bpe.learn_merges(chunks, 60)


def test_merges_of_random_words_are_those_of_plain_python():
    rng = random.Random(0)
    words = ["".join(rng.choices("etaoin shrdlu"[:rng.randint(2, 13)], k=rng.randint(1, 30)))
             for _ in range(1000)]
    chunks = {word.encode(): rng.randint(1, 10**rng.randint(0, 12)) for word in words}
    assert learn(chunks, 300) == ref_bpe.learn_merges(chunks, 300)


def test_counts_beyond_32_bits_keep_their_order():
    many = 2**32
    chunks = {b"ab": many + 1, b"cd": many - 1, b"ef": many, b"gh": 3 * many, b"ij": 2,
              b"aab": 2**62}
    merges, counts = learn(chunks, 10)
    assert merges == [(97, 98), (97, 256), (103, 104), (101, 102), (99, 100), (105, 106)]
    assert counts == [2**62 + many + 1, 2**62, 3 * many, many, many - 1, 2]
    assert (merges, counts) == ref_bpe.learn_merges(chunks, 10)


def test_training_solves_the_example_of_wikipedia():
    tokenizer = bpe.learn(learning.count_chunks(["aaabdaaabac"]), 288 + 3)
    assert learn({b"aaabdaaabac": 1}, 3)[0] == [(97, 97), (97, 98), (256, 257)]
    assert tokenizer.encode("aaabdaaabac") == [258, 100, 258, 97, 99]


def test_overlapping_pairs_count_once():
    assert learn({b"aaa": 1}, 12) == ([], [])
    assert learn({b"aaa": 2, b"bc": 3}, 2) == ([(98, 99), (97, 97)], [3, 2])


def test_the_counts_of_merges_say_how_many_tokens_the_text_has():
    chunks = learning.count_chunks([Path(bpe.__file__).read_text(encoding="utf-8")])
    merges, counts = learning.learn_merges(chunks, 500)
    tokenizer = bpe.Tokenizer.from_merges(merges)
    tokens = sum(len(tokenizer.codec.encode_chunk(chunk)) * count
                 for chunk, count in counter(chunks).items())
    assert tokens == chunks.bytes() - sum(counts)


def test_a_text_without_enough_pairs_gives_a_smaller_vocabulary_and_says_so(capsys):
    tokenizer = bpe.learn(learning.count_chunks(["abab"]), 5000)
    assert tokenizer.vocab_size == 256 + 1 + 32
    assert "after 1 of 4712 merges: the vocabulary is smaller" in capsys.readouterr().err


def test_more_merges_than_one_call_makes_are_the_same(monkeypatch):
    chunks = Counter({bytes(random.Random(n).choices(b"abcdef", k=9)): n + 1 for n in range(500)})
    expected = ref_bpe.learn_merges(chunks, 300)
    for step in (1, 7, 299, 300, 301):
        monkeypatch.setattr(learning, "SLICE", step)
        assert learn(chunks, 300) == expected


@pytest.mark.parametrize("ends, message", [((9, 5), "chunk 0 of 5 bytes is from 0 to 9"),
                                           ((4, 3, 5), "chunk 1 of 5 bytes is from 4 to 3")])
def test_chunks_that_are_not_in_their_text_are_refused(ends, message):
    text, ones = np.zeros(5, np.uint8), np.ones(len(ends), np.uint64)
    with pytest.raises(ChatError, match=message):
        learning.learn_merges(learning.Chunks(text, np.array(ends, np.uint64), ones), 3)


def test_merges_of_real_text_are_those_of_plain_python():
    texts = sorted((REAL / "text").glob("*.*")) + sorted((REAL / "web/langid/sentences").glob("*"))
    if not texts:
        pytest.skip(f"{REAL} is absent")
    texts = [path.read_text(encoding="utf-8")[:1_000] for path in texts]
    chunks = learning.count_chunks(texts)
    assert counter(chunks) == (plain := ref_bpe.count_chunks(texts))
    assert learning.learn_merges(chunks, 150) == ref_bpe.learn_merges(plain, 150)
