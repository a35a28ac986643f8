"""infer.py: the engine, the stream of text, and the command line."""

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csrc.bind import Model
from csrc.config import BIAS_ALL, GELU, LAYERNORM, LEARNED, Config
from csrc.cli import option
from kernel_calls import sample
from csrc.lookup import DRAFT, Costs, Lookup
from data.tokens.show import in_columns, odds, spelled
from data.tokens import bpe, learn
from csrc.engine import Engine, Sampling, Sequence, Stream
from csrc.files import ChatError
from infer import main, summary

INFER = Path(__file__).resolve().parents[1] / "infer.py"
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
CONTEXT = 24
TEXT = "the cat sat on the mat. the dog sat on the cat. " * 8
GREEDY = dict(temperature=0, top_p=1, seed=0)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tokenizer():
    return bpe.learn(learn.count_chunks([TEXT]), 256 + 32 + 20)


@pytest.fixture(scope="module")
def engine(tokenizer):
    return random_engine(tokenizer)


def random_engine(tokenizer, **changes):
    """A small random model, its weights large enough that it does not say the same all the time."""
    sizes = dict(vocab=tokenizer.vocab_size + 4, context=CONTEXT, layers=2, channels=32, heads=4,
                 kv_heads=2, head_dim=8, hidden=48)
    config = Config(**{**sizes, **changes})
    model, rng = Model.create(config), np.random.default_rng(1)
    for name, shape, matrix in model.tensors:
        if matrix:
            model.write(name, 0.2 * rng.standard_normal(shape))
    return Engine(model, tokenizer)


@pytest.fixture(scope="module")
def run_folder(engine, tmp_path_factory):
    """A folder to work in, with one run."""
    folder = tmp_path_factory.mktemp("work")
    engine.model.save(folder / "runs" / "tiny")
    engine.tokenizer.save(folder / "runs" / "tiny")
    return folder


def continue_all(engine, sequences):
    """What each of `sequences` became: (its new tokens, its text)."""
    pieces = {id(s): "" for s in sequences}
    for s, token, text, _ in engine.generate(sequences):
        assert s.tokens[-1] == token
        pieces[id(s)] += text
    assert all(s.finish and pieces[id(s)] == s.text for s in sequences)
    return [(s.tokens[s.prompt:], s.text) for s in sequences]


class Script:
    """Stands where a model does, and always writes the same bytes, one token each, then ends."""

    def __init__(self, tokenizer, text):
        self.config = Config(tokenizer.vocab_size, 64, 1, 8, 1, 1, 8, 8)
        self.tokens = [*text, tokenizer.special("<|im_end|>")]       # byte b has the id b

    def cache(self, slots):
        self.used = [0] * slots
        return self

    def resize(self, slot, length):
        pass

    def fork(self, to, from_, count):
        self.used[to] = count

    def extend(self, cache, slots, tokens, every=False, read=True):
        rows = []
        for slot, new in zip(slots, tokens):
            used, self.used[slot] = self.used[slot], self.used[slot] + len(new)
            rows += range(used, used + len(new))[0 if every else -1:]    # the prompt is one token
        logits = np.full((len(rows), self.config.vocab), -np.inf, np.float32)
        self.drawn = [self.tokens[min(i, len(self.tokens) - 1)] for i in rows]
        logits[range(len(rows)), self.drawn] = 0
        return logits

    def draw(self, rows, ids, logprobs=False, probabilities=False):
        return self.drawn, None, None


def write(tokenizer, text, **settings):
    """(the pieces of text, finish) of a model that would write `text`, str or bytes."""
    text = text if isinstance(text, bytes) else text.encode()
    s = Sequence([tokenizer.begin], Sampling(**{**GREEDY, **settings}))
    pieces = [piece for _, _, piece, _ in Engine(Script(tokenizer, text), tokenizer).generate([s])]
    return pieces, s.finish


# ---- Tokens --------------------------------------------------------------------------------------

def test_greedy_takes_the_argmax_of_the_full_forward_token_by_token(engine):
    prompt = engine.encode("the cat")
    [(new, _)] = continue_all(engine, [Sequence(prompt, Sampling(**GREEDY))])
    tokens = list(prompt)
    for token in new:
        logits = engine.model.logits([tokens])[0, -1]
        logits[list(engine.banned)] = -np.inf
        assert token == logits.argmax()
        tokens.append(token)
    assert len(set(new)) > 1


def test_a_draw_is_the_one_of_sample_at_its_position_and_comes_with_its_probabilities(engine):
    settings = Sampling(max_tokens=5, top_p=1, min_p=1e-4, repetition_penalty=1.5, seed=3)
    s = Sequence(engine.encode("the"), settings, record="probabilities")
    tokens = list(s.tokens)
    for _, token, _, probabilities in engine.generate([s]):
        seen = {*tokens} - engine.ends
        logits = engine.model.logits([tokens])[0, -1]
        expected = sample(engine.model.core, logits, 0.8, 0, 1, 1e-4, 1.5, s.seed,
                          position=len(tokens), seen=seen, banned=engine.banned)
        assert token == expected[0] and np.allclose(probabilities, expected[1], atol=1e-6)
        assert np.isclose(s.logprobs[-1], np.log(expected[1][token]), atol=1e-5)
        tokens.append(token)


@pytest.mark.parametrize("how", [GREEDY, dict(seed=1), dict(seed=2, repetition_penalty=2.0)])
def test_what_is_recorded_changes_no_token(engine, how):
    def tokens(record):
        each = [Sequence(engine.encode(text), Sampling(max_tokens=20, **how), i, record)
                for i, text in enumerate(["the cat", "", "on the mat"])]
        for _, _, _, more in engine.generate(each):
            assert (more is not None) == bool(record)
        assert all(len(s.logprobs) == bool(record) * (len(s.tokens) - s.prompt) for s in each)
        return [s.tokens for s in each]

    assert tokens("") == tokens("logprob") == tokens("probabilities")


@pytest.mark.parametrize("n", [1, 3, 8, 40])
def test_the_same_seed_gives_the_same_text_however_many_grow_beside_it(engine, n):
    settings = Sampling(max_tokens=12, seed=5, temperature=1.5)

    def make(i):
        return Sequence(engine.encode("on the"), settings, i)

    together = continue_all(engine, [make(i) for i in range(n)])
    alone = [continue_all(engine, [make(i)])[0] for i in range(n)]
    assert together == alone
    assert len({text for _, text in together}) > n // 2      # they do differ from each other


def test_a_sequence_does_not_depend_on_its_place_or_its_company(engine):
    prompts = ["the dog sat", "", "on", "the cat sat on the mat", "the dog"]

    def make(i):
        return Sequence(engine.encode(prompts[i]), Sampling(max_tokens=3 + 2 * i, seed=i))

    alone = [continue_all(engine, [make(i)])[0] for i in range(5)]
    for order in [0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]:
        together = continue_all(engine, [make(i) for i in order])
        assert together == [alone[i] for i in order]


def test_more_sequences_than_slots_wait_and_give_the_same(engine, monkeypatch):
    def run():
        prompt = engine.encode("the")
        return continue_all(engine, [Sequence(prompt, Sampling(max_tokens=2 + i, seed=7), i)
                                     for i in range(7)])

    expected = run()
    for slots in 1, 2, 3:
        monkeypatch.setattr("csrc.engine.SLOTS", slots)
        assert run() == expected


def test_a_shared_prompt_is_read_once(engine):
    prompt, settings = engine.encode("the cat sat on the mat"), Sampling(max_tokens=2, seed=0)
    results = continue_all(engine, [Sequence(prompt, settings, i) for i in range(6)])
    made = sum(len(new) for new, _ in results)
    assert engine.tokens == {"prefill": len(prompt) - 1, "decode": made}


def test_a_prompt_read_in_pieces_gives_the_same(engine, monkeypatch):
    prompt = engine.encode("the dog sat on the cat")

    def run():
        return continue_all(engine, [Sequence(prompt, Sampling(seed=1))])

    expected = run()
    monkeypatch.setattr("csrc.engine.PIECE", 3)
    assert run() == expected


def test_a_sequence_that_its_caller_ends_makes_room_for_the_next(engine, monkeypatch):
    monkeypatch.setattr("csrc.engine.SLOTS", 1)
    first, second = (Sequence(engine.encode("the"), Sampling(seed=2), i) for i in range(2))
    for s, *_ in engine.generate([first, second]):
        if s is first and len(s.tokens) == s.prompt + 2:
            s.finish = "cancelled"
    assert len(first.tokens) == first.prompt + 2 and first.finish == "cancelled"
    assert [continue_all(engine, [Sequence(engine.encode("the"), Sampling(seed=2), 1)])[0][0]] == \
        [second.tokens[second.prompt:]]


def test_nothing_to_generate_gives_nothing(engine):
    assert list(engine.generate([])) == []


def test_special_tokens_but_those_that_end_are_never_drawn(engine):
    ends = {engine.tokenizer.special("<|endoftext|>"), engine.tokenizer.special("<|im_end|>")}
    assert engine.ends == ends
    drawn, settings = set(), Sampling(temperature=100, top_p=1, seed=0)
    sequences = [Sequence(engine.encode(""), settings, i, "probabilities") for i in range(64)]
    for _, token, _, probabilities in engine.generate(sequences):
        assert probabilities[engine.banned].max() == 0
        drawn.add(token)
    known = engine.tokenizer.vocab_size
    assert max(drawn) < known and drawn & set(engine.tokenizer.specials.values()) <= ends
    assert set(range(known, known + 4)) <= set(engine.banned)


def test_special_tokens_spelled_in_a_prompt_stay_text(engine):
    for text in "<|endoftext|>", "<|im_start|>user\n", "<|im_" + "end|><think>", "<|reserved_11|>":
        begin, *tokens = engine.encode(text)
        assert begin == engine.tokenizer.special("<|endoftext|>")
        assert not set(tokens) & set(engine.tokenizer.specials.values())
        assert engine.tokenizer.decode(tokens) == text


# ---- Joining and leaving -------------------------------------------------------------------------

@pytest.mark.parametrize("piece", [3, 512])
def test_sequences_that_join_and_leave_at_random_steps_have_the_text_they_have_alone(
        engine, monkeypatch, piece):
    """Of each, cancelled ones as far as they came; prompts are read beside the others' decoding."""
    monkeypatch.setattr("csrc.engine.PIECE", piece)
    rng = np.random.default_rng(piece)
    prompts = ["the cat sat on the", "", "on the mat. the dog", "the cat sat", "on", "a", "the", "."]

    def make(i):
        settings = Sampling(max_tokens=18, seed=i, temperature=1.5)
        return Sequence(engine.encode(prompts[i]), settings, i)

    alone = [continue_all(engine, [make(i)])[0] for i in range(8)]
    for round in range(4):
        sequences, texts = [make(i) for i in range(8)], [""] * 8
        joins = np.sort(rng.integers(0, 12, 8))
        cancelled = {int(i): int(joins[i] + rng.integers(1, 8)) for i in rng.permutation(8)[:2]}
        for number in range(200):
            for i in np.flatnonzero(joins == number):
                engine.submit(sequences[i])
            for i in [i for i, at in cancelled.items() if at == number]:
                engine.cancel(sequences[i])
            for s, _, text, _ in engine.step():
                texts[s.index] += text
        for i, s in enumerate(sequences):
            new, text = s.tokens[s.prompt:], s.text
            assert s.finish == ("cancelled" if i in cancelled and len(new) < len(alone[i][0])
                                else s.finish) and s.finish and text == texts[i]
            assert (new, text) == alone[i] or s.finish == "cancelled" \
                and new == alone[i][0][:len(new)] and alone[i][1].startswith(text)
        assert engine.cache is None and not engine.running       # nobody is left


def test_a_long_prompt_is_read_in_pieces_and_each_step_the_others_grow(tokenizer, monkeypatch):
    monkeypatch.setattr("csrc.engine.PIECE", 10)
    engine = random_engine(tokenizer, context=200)
    short = Sequence(engine.encode("the"), Sampling(max_tokens=100, seed=1, temperature=5))
    long = Sequence(engine.encode("the cat sat on a dog's mat" * 9), Sampling(max_tokens=2, seed=2))
    engine.submit(short)
    engine.step()
    engine.submit(long)
    for _ in range((long.prompt - 2) // 10):
        before = engine.tokens["prefill"]
        assert {s for s, *_ in engine.step()} == {short}
        assert engine.tokens["prefill"] - before == 10           # bounded
    assert long in {s for s, *_ in engine.step()}


def test_the_memory_of_a_cache_follows_what_its_sequences_need(tokenizer):
    engine = random_engine(tokenizer, context=4000)
    per_token = 2 * 4 * 2 * 2 * 8                # keys and values, float32, layers, heads, channels

    def memory(*lengths):
        sequences = [Sequence(engine.encode("the"), Sampling(max_tokens=n, temperature=5, seed=n))
                     for n in lengths]
        for s in sequences:
            engine.submit(s)
        engine.step()
        needed, bytes = sum(s.room for s in sequences), engine.cache.memory
        for s in sequences:
            engine.cancel(s)
        return needed * per_token, bytes

    for lengths in [10], [3000], [3000, 10, 20, 5, 5, 5, 5, 5], [100] * 32:
        needed, bytes = memory(*lengths)
        assert needed <= bytes <= 1.3 * needed   # not: slots times the longest
    assert engine.cache is None


def test_a_step_that_fails_leaves_the_others_as_they_were(engine, monkeypatch):
    def make():
        prompt = engine.encode("the")
        return [Sequence(prompt, Sampling(max_tokens=15, seed=7), i) for i in range(3)]

    whole = make()
    trace(engine, whole)
    sequences, draw, calls = make(), engine.model.draw, iter(range(99))

    def fails(*args, **how):
        if next(calls) % 4 == 2:
            raise KeyboardInterrupt
        return draw(*args, **how)

    monkeypatch.setattr(engine.model, "draw", fails)
    for s in sequences:
        engine.submit(s)
    while not all(s.finish for s in sequences):
        try:
            engine.step()
        except KeyboardInterrupt:
            pass
    assert [s.tokens for s in sequences] == [s.tokens for s in whole]


# ---- Limits --------------------------------------------------------------------------------------

@pytest.mark.parametrize("length, new", [(CONTEXT - 1, 2), (CONTEXT, 1)])
def test_generation_that_fills_the_context_ends_by_length(engine, length, new):
    begin, word = engine.encode("the")[:2]
    s = Sequence([begin] + [word] * (length - 1), Sampling(max_tokens=10, seed=2))
    assert len(continue_all(engine, [s])[0][0]) == new
    assert s.finish == "length" and s.text


def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers(engine):
    for length in CONTEXT + 1, 10 * CONTEXT:
        with pytest.raises(ValueError, match=f"{length} tokens.*{CONTEXT}"):
            next(engine.generate([Sequence([1] * length, Sampling())]))
    with pytest.raises(ValueError, match="0 tokens"):
        next(engine.generate([Sequence([], Sampling())]))


def test_max_tokens_ends_by_length_with_what_was_held_back(tokenizer):
    assert write(tokenizer, "abcdef", max_tokens=3) == (["a", "b", "c"], "length")
    assert write(tokenizer, "abcdef", max_tokens=3, stop=["cx"]) == (["a", "b", "c"], "length")
    assert write(tokenizer, "aé", max_tokens=2) == (["a", "\ufffd"], "length")


@pytest.mark.parametrize("name, bad", [
    ("max_tokens", 0), ("max_tokens", -5), ("temperature", -0.1), ("temperature", np.nan),
    ("temperature", np.inf), ("top_k", -1), ("top_k", 10**18), ("top_p", 0), ("top_p", 1.01),
    ("min_p", np.nan), ("repetition_penalty", 0), ("seed", -1), ("seed", 2**64),
    ("stop", ("a", ""))])
def test_settings_outside_their_limits_are_refused_by_name(name, bad):
    with pytest.raises(ValueError, match="stop string" if name == "stop" else option(name)):
        Sampling(**{name: bad})


def test_a_model_that_cannot_write_is_refused(engine, tokenizer):
    config = Config(tokenizer.vocab_size, 8, 1, 8, 1, 1, 8, 8, scalar=1)
    with pytest.raises(ValueError, match="scalar"):
        Engine(Model.create(config), tokenizer)
    with pytest.raises(ValueError, match="does not belong"):
        Engine(Model.create(Config(300, 8, 1, 8, 1, 1, 8, 8)), tokenizer)


# ---- Text ----------------------------------------------------------------------------------------

def test_characters_split_over_tokens_come_whole_and_once(tokenizer):
    text = "né 猫が座った 👩‍👩‍👧 🇩🇪!"
    pieces, finish = write(tokenizer, text)
    assert "".join(pieces) == text and finish == "stop"
    assert [piece for piece in pieces if piece] == list(text)


def test_bytes_that_are_no_character_are_shown_once_each(tokenizer):
    assert "".join(write(tokenizer, b"a\xffb")[0]) == "a\ufffdb"
    assert write(tokenizer, b"ok\xf0\x9f\x98")[0] == ["o", "k", "", "", "", "\ufffd"]
    assert "".join(write(tokenizer, b"\xe7\x8c\xe7\x8c\xab")[0]) == "\ufffd猫"


@pytest.mark.parametrize("text, stop, expected", [
    ("one. two", [". "], "one"),                             # over two tokens
    ("aaab", ["aab"], "a"),                                  # a stop string that is its own prefix
    ("ababac", ["abac"], "ab"),
    ("ab猫cd", ["猫"], "ab"),                                # within a character
    ("ab猫狗", ["猫狐", "狗"], "ab猫"),                      # 狗 and 狐 begin with one byte
    ("naïve", ["\u00ef"], "na"),
    ("xyz", ["q", "xyzz"], "xyz"),                           # only begun: nothing is lost
    ("abcd", ["abc", "b"], "a"),                             # the one complete first
    ("abcd", ["bc", "abc"], ""),                             # complete together: the longer one
    ("stop", ["stop"], ""),
    ("first\nsecond", ["\n"], "first"),
])
def test_stop_strings_cut_exactly(tokenizer, text, stop, expected):
    pieces, finish = write(tokenizer, text, stop=stop)
    assert "".join(pieces) == expected and finish == "stop"
    whole = Stream(stop)                                     # all of it in one token
    assert whole.push(text.encode(), final=True) == expected


def test_only_what_may_begin_a_stop_string_is_held_back(tokenizer):
    pieces, _ = write(tokenizer, "a b\n\nc", stop=["\n\n\n"])
    assert pieces == ["a", " ", "b", "", "", "\n\nc", ""]


@given(st.text("ab猫\n", max_size=12),
       st.lists(st.text("ab猫\n", min_size=1, max_size=4), max_size=3),
       st.lists(st.integers(0, 40), max_size=6))
def test_stop_strings_do_not_depend_on_where_tokens_end(text, stop, cuts):
    data = text.encode()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    ends = [(text.find(s) + len(s), text.find(s)) for s in stop if s in text]
    expected = text[:min(end for end, _ in ends)] if ends else text
    expected = text[:min(start for end, start in ends if end == len(expected))] if ends else text
    stream, got = Stream(stop), ""
    for start, end in zip(edges, edges[1:]):
        piece = stream.push(data[start:end], final=end == len(data))
        got += piece
        assert expected.startswith(got)                      # nothing leaks, not even for a moment
        if stream.stopped or end == len(data):
            break
    assert got == expected and stream.stopped == bool(ends)


def test_a_token_is_spelled_visibly_and_in_its_width(tokenizer):
    def spell(token):
        return in_columns(spelled(tokenizer, token), 6)

    shown = {text: spell(tokenizer.encode(text)[0]) for text in "\n \x1b"}
    assert shown == {"\n": "⏎     ", " ": "·     ", "\x1b": r"\u{1b}"}
    assert spell(0xf0) == r"\xf0  " and spell(tokenizer.special("<|im_start|>")) == "<|im_…"


def test_a_line_of_probs_always_has_the_token_itself_and_only_what_could_come(engine, monkeypatch):
    p = np.zeros(engine.model.config.vocab)
    p[[ord("a"), ord("b"), ord("c")]] = 0.75, 0.2, 0.05
    for columns, expected in (38, "c             c        ▎      5%  +2\n"), \
            (58, "c             a        ███▊  75%  c        ▎      5%  +1\n"), \
            (200, "c             a        ███▊  75%  b        █     20%  c        ▎      5%\n"):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert odds(engine.tokenizer, ord("c"), p) == expected and len(expected) <= columns + 1


# ---- Prompt lookup -------------------------------------------------------------------------------

GPT2 = dict(norm=LAYERNORM, position=LEARNED, activation=GELU, bias=BIAS_ALL,
            qk_norm=0, kv_heads=4)
LLAMA = dict(qk_norm=0, tied=0, kv_heads=1)
WRONG = 300                              # a token that the models here never write


def force(monkeypatch, draft):
    """The drafts of every sequence are draft(its tokens, count), as long as they may be, always."""
    monkeypatch.setattr(Lookup, "chances", lambda self, count: [1.0] * count)
    monkeypatch.setattr(Lookup, "draft", lambda self, count: draft(self.tokens, count))
    monkeypatch.setattr(Costs, "worth", lambda self, n, chances: len(chances))
    monkeypatch.setattr(Costs, "learn", lambda *_: None)


def rightly(sequences):
    """A function for `force` that knows how these, which are finished, went on."""
    def draft(tokens, count):
        whole = next(s.tokens for s in sequences if s.tokens[:len(tokens)] == tokens)
        return (whole + [WRONG] * count)[len(tokens):][:count]
    return draft


def trace(engine, sequences):
    """All that `generate` gives of each sequence, to the bit, and how it ended."""
    got = [[] for _ in sequences]
    for s, token, text, probabilities in engine.generate(sequences):
        got[sequences.index(s)].append((token, s.record and probabilities.tobytes(), text))
    return got, [s.finish for s in sequences]


@pytest.mark.parametrize("how", [
    GREEDY, dict(seed=1), dict(temperature=1.5, top_p=1, repetition_penalty=1.3, seed=2)])
@pytest.mark.parametrize("changes", [{}, GPT2, LLAMA])
def test_drafts_change_no_bit_be_they_right_or_wrong(tokenizer, monkeypatch, changes, how):
    engine = random_engine(tokenizer, **changes)
    prompts = ["the cat sat on the cat sat on", "the", "on the mat. on the mat. on the", "a"]

    def make():
        return [Sequence(engine.encode(prompt), Sampling(max_tokens=3 + 6 * i, **how), i,
                         "probabilities")
                for i, prompt in enumerate(prompts)]

    engine.lookup, plain = False, make()
    expected, right = trace(engine, plain), rightly(plain)
    assert engine.drafts["made"] == 0

    def partly(tokens, count):
        return [t if i % 4 else WRONG for i, t in enumerate(right(tokens, count), len(tokens))]

    def wrong(tokens, count):
        return [WRONG] * count

    engine.lookup = True
    assert trace(engine, make()) == expected                         # as it drafts by itself
    assert engine.drafts["accepted"] <= engine.drafts["made"]
    for draft in right, partly, wrong:
        with monkeypatch.context() as patch:
            force(patch, draft)
            for slots in 1, 3, 32:
                patch.setattr("csrc.engine.SLOTS", slots)
                assert trace(engine, make()) == expected
                assert engine.drafts["made"] > 0
                assert (engine.drafts["accepted"] > 0) == (draft is not wrong)


def test_right_drafts_take_one_call_for_all_of_them(tokenizer, monkeypatch):
    text = "the cat sat on the mat"
    force(monkeypatch, lambda tokens, count: list(text.encode())[len(tokens) - 1:][:count])
    engine = Engine(Script(tokenizer, text.encode()), tokenizer)
    calls, extend = [], engine.model.extend
    engine.model.extend = lambda *args, **how: calls.append(args) or extend(*args, **how)
    s = Sequence([tokenizer.begin], Sampling(**GREEDY))
    pieces = [piece for _, _, piece, _ in engine.generate([s])]
    assert "".join(pieces) == text and s.finish == "stop"
    assert len(calls) == 2 and engine.drafts == {"made": 21, "accepted": 21}
    assert "decode 23 tokens" in summary(engine, [s])
    assert ", 21 of 21 drafts accepted | stop" in summary(engine, [s])


@pytest.mark.parametrize("max_tokens", [1, 2, DRAFT, DRAFT + 1, DRAFT + 2, 63, 64, 65, 999])
def test_drafts_end_where_the_text_must(tokenizer, monkeypatch, max_tokens):
    force(monkeypatch, lambda tokens, count: [ord("a")] * count)
    model = Script(tokenizer, b"a" * 100)                            # its context is 64
    s = Sequence([tokenizer.begin], Sampling(max_tokens=max_tokens, **GREEDY))
    used = [model.used[0] for _ in Engine(model, tokenizer).generate([s])]
    assert len(used) == max(used) == min(max_tokens, 64) and s.finish == "length"


@pytest.mark.parametrize("stop", ["the mat", "n", "cat s", "\n"])
def test_a_stop_string_ends_right_drafts_midway(tokenizer, monkeypatch, stop):
    text = "the cat sat on the mat.\nThe dog"
    expected = write(tokenizer, text, stop=[stop])
    force(monkeypatch, lambda tokens, count: list(text.encode() * 2)[len(tokens) - 1:][:count])
    assert write(tokenizer, text, stop=[stop]) == expected
    assert "".join(expected[0]) == text.partition(stop)[0]


def test_what_its_caller_ends_gives_no_token_more_however_many_were_right(engine, monkeypatch):
    def make():
        return [Sequence(engine.encode(prompt), Sampling(max_tokens=9, seed=2), i)
                for i, prompt in enumerate(["the cat", "on", "a dog", "the mat"])]

    whole = make()
    trace(engine, whole)
    force(monkeypatch, rightly(whole))
    monkeypatch.setattr("csrc.engine.SLOTS", 3)
    a, b, c, d = sequences = make()
    new = Counter()
    for s, *_ in engine.generate(sequences):
        new[s.index] += 1
        if s is b and new[1] == 3:
            b.finish = c.finish = "cancelled"                        # c's turn is next
    assert new == {0: 9, 1: 3, 3: 9}
    assert [s.tokens for s in (a, d)] == [whole[0].tokens, whole[3].tokens]
    assert b.tokens == whole[1].tokens[:len(b.tokens)] and len(c.tokens) == c.prompt


def longest_end(tokens):
    """What Lookup finds, the slow way: (at, length)."""
    for n in range(min(8, len(tokens) - 1), 1, -1):
        for at in range(len(tokens) - 1, n - 1, -1):
            if tokens[at - n:at] == tokens[-n:]:
                return at, n
    return None, 0


@given(st.integers(1, 4).flatmap(lambda k: st.lists(st.integers(0, k), max_size=60)),
       st.lists(st.integers(1, 20)), st.integers(1, 40))
def test_a_lookup_finds_where_the_longest_end_stood_last(tokens, steps, count):
    text, rates = [], {n: 0.5 for n in range(2, 9)}
    lookup = Lookup(text, rates)
    for step in [*steps, len(tokens)]:
        text += tokens[len(text):len(text) + step]
        lookup.update()
        at, n = longest_end(text)
        assert lookup.length == n and (n == 0 or lookup.at == at)
        if n:
            expected = list(text)                                    # copied on and on from there
            for i in range(count):
                expected.append(expected[at + i])
            assert lookup.draft(count) == expected[len(text):]
    again = Lookup(text, rates)
    again.update()
    assert again.after == lookup.after                               # in one step or in many


def test_text_that_never_repeats_is_noted_once_a_token():
    lookup = Lookup(list(range(100)), {})
    lookup.update()
    assert len(lookup.after) == 99 and lookup.length == 0


def test_chances_follow_what_came_true():
    text, rates = [1, 2, 3] * 20, {n: 0.5 for n in range(2, 9)}
    lookup = Lookup(text, rates)
    lookup.update()
    before = rates[8]
    assert rates[2] == 0.5 + 0.5 / 8 and before > 0.99     # the first 1 2 that went on as before
    assert np.allclose(lookup.chances(3), before ** np.arange(1, 4))
    text.append(7)
    lookup.update()
    assert rates[8] == before * 7 / 8 and lookup.length == 0 and lookup.chances(3) == []
    for i in range(60):                                     # 5 6, and never the same after it
        text += [5, 6, 100 + i]
    text += [5, 6]
    lookup.update()
    assert lookup.length == 2 and rates[2] < 0.02 and lookup.chances(3) == []


def play(slope, believed, true, n, calls):
    """(seconds, tokens) of so many calls that take rows^slope seconds each, with drafts that are
    accepted at one rate and believed to be at another."""
    costs, rng, total, made = Costs(), np.random.default_rng(0), 0, 0
    chances = sorted((believed ** i for i in range(1, DRAFT + 1) for _ in range(n)), reverse=True)
    for _ in range(calls):
        drafts = costs.worth(n, chances)
        share = [drafts // n + (i < drafts % n) for i in range(n)]
        tokens = sum(1 + int(np.cumprod(rng.random(count) < true).sum()) for count in share)
        seconds = (n + drafts) ** slope
        costs.learn(n, n + drafts, seconds, tokens)
        total, made = total + seconds, made + tokens
    return total, made


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.sampled_from([1, 2, 3, 8, 32]))
def test_drafts_that_do_not_pay_cost_next_to_nothing(slope, believed, true, n):
    seconds, tokens = play(slope, believed, true, n, 200)
    assert seconds <= 1.01 * tokens / n * n ** slope + 8 * n ** slope


def test_drafts_that_pay_are_made():
    for slope, n, least in (0, 1, 10), (0.2, 1, 6), (0.2, 8, 4), (0.5, 1, 3), (0.5, 8, 2):
        seconds, tokens = play(slope, 0.98, 0.98, n, 300)
        assert tokens / n * n ** slope > least * seconds


# ---- The command line ----------------------------------------------------------------------------

def infer(folder, *flags, stdin="", **environment):
    """(exit code, stdout, stderr) of python infer.py."""
    done = subprocess.run([sys.executable, INFER, *flags], cwd=folder, input=stdin.encode(),
                          capture_output=True, timeout=60, env={**ONE_THREAD, **environment})
    err = done.stderr.decode()
    assert "Traceback" not in err
    return done.returncode, done.stdout.decode(), err


def test_cli_two_runs_with_one_seed_print_the_same(run_folder):
    flags = "--prompt", "the cat", "--max-tokens", "8", "--dtype", "f32"
    code, first, about = infer(run_folder, *flags)
    seed = about.split()[-1]
    assert code == 0 and "tokens/s" in about     # a random seed: it may end by itself
    assert "8 tokens" in about and "length" in about or "stop" in about
    assert infer(run_folder, *flags, "--seed", seed)[1] == first
    code, slower, about = infer(run_folder, *flags, "--seed", seed, "--no-lookup")
    assert slower == first and "drafts" not in about
    flags = "complete", "--model", "runs/tiny", *flags, "--seed", str(int(seed) + 1)
    assert infer(run_folder, *flags)[1] != first


def test_cli_n_prints_n_samples_each_whole_and_in_its_place(run_folder, engine):
    code, out, about = infer(run_folder, "--prompt", "the", "--max-tokens", "6", "--seed", "1",
                             "--n", "5", "--dtype", "f32")
    settings = Sampling(max_tokens=6, seed=1)
    texts = [continue_all(engine, [Sequence(engine.encode("the"), settings, i)])[0][1]
             for i in range(5)]
    assert out == "".join(f"---- {i + 1} of 5 ----\n{text}\n" for i, text in enumerate(texts))
    assert code == 0 and "5 x length" in about


def test_cli_probs_prints_a_line_for_each_token_and_the_text(run_folder):
    flags = ("--prompt", "the", "--max-tokens", "5", "--seed", "2", "--dtype", "f32",
             "--temperature", "0.05")            # so that one token of many has a bar
    text = infer(run_folder, *flags)[1]
    code, table, _ = infer(run_folder, *flags, "--probs", COLUMNS="100")
    lines, tail = table[:-len(text) - 1].splitlines(), table[-len(text):]
    assert code == 0 and tail == text and len(lines) == 5
    assert all("%" in line and "\x1b" not in line for line in lines)
    assert any("█" in line for line in lines)


def test_cli_reads_the_prompt_from_stdin_without_its_last_newline(run_folder):
    flags = "--max-tokens", "4", "--seed", "3", "--dtype", "f32"
    by_flag = infer(run_folder, "--prompt", "the dog", *flags)[1]
    assert infer(run_folder, "--prompt", "-", *flags, stdin="the dog\n")[1] == by_flag
    assert infer(run_folder, *flags, stdin="the dog")[1] == by_flag


@pytest.mark.parametrize("flags, says", [
    ("--temprature 0.5", "has no flag '--temprature'; the nearest is '--temperature'"),
    ("--topk=3", "the nearest is '--top-k'"),
    ("complet", "no command 'complet'; the nearest is 'complete'"),
    ("--max-tokens 0", "--max-tokens is 0"), ("--n -1", "--n is -1"),
    ("--temperature nan", "--temperature is nan"), ("--model runs/nothing", "runs/nothing"),
    ("chat --n 2", "chat has no flag '--n'"), ("chat --probs", "(complete has it)"),
    ("complete --tools search", "(chat has it)"),
    ("eval --temperature 1", "(chat, complete have it)"),
    ("complete --model a b", "takes no word 'b'"), ("--model a --model b --prompt x", "--model: given twice"),
    ("--n 2 --system x", "--system is a flag of `infer.py chat`, and --n one of"),
    ("--dtype f32 --prompt " + "x" * 100,
     f"the prompt has 101 tokens, but must have from 1 to {CONTEXT}"),
])
def test_cli_says_what_is_wrong_and_refuses_flags_that_it_would_ignore(run_folder, monkeypatch,
                                                                       capsys, flags, says):
    monkeypatch.chdir(run_folder)
    monkeypatch.setattr("sys.argv", ["infer.py", *flags.split()])
    with pytest.raises((ChatError, OSError)) as error:
        main()
    assert says in str(error.value) and capsys.readouterr().out == ""


def test_cli_help_names_every_flag_and_shows_examples(run_folder):
    code, out, _ = infer(run_folder, "-h")
    assert code == 0 and "--repetition-penalty" in out and "python infer.py --prompt" in out


def test_cli_without_a_run_says_how_to_make_one(tmp_path):
    code, out, err = infer(tmp_path)
    assert (code, out) == (1, "") and "python train.py" in err and len(err.splitlines()) == 1


def test_cli_takes_the_newest_run_and_names_it_where_it_is_damaged(run_folder, tmp_path):
    whole, damaged = (shutil.copytree(run_folder / "runs" / "tiny", tmp_path / "runs" / name)
                      / "model.safetensors" for name in ("whole", "damaged"))
    damaged.write_bytes(damaged.read_bytes()[:-9])
    os.utime(whole, (1000, 1000))
    code, out, err = infer(tmp_path, "--prompt", "x")
    assert (code, out) == (1, "") and "runs/damaged" in err
    os.utime(damaged, (0, 0))
    assert infer(tmp_path, "--prompt", "x", "--max-tokens", "1")[0] == 0


def test_interactive_ctrl_c_stops_the_text_and_ctrl_d_leaves(run_folder):
    """In a terminal, as a user has it."""
    terminal, inside = pty.openpty()
    flags = "--seed", "4", "--dtype", "f32"
    child = subprocess.Popen([sys.executable, INFER, *flags], cwd=run_folder, env=ONE_THREAD,
                             stdin=inside, stdout=inside, stderr=inside)
    os.close(inside)
    shown = b""

    def expect(text):
        nonlocal shown
        while text not in shown:
            assert select.select([terminal], [], [], 30)[0], f"no {text} after {shown}"
            shown += os.read(terminal, 4096)
        shown = shown.partition(text)[2]

    try:
        expect(b"context 24 tokens")
        expect(b"> ")
        time.sleep(0.3)                                      # until input() waits for a line
        child.send_signal(signal.SIGINT)
        expect(b"(Ctrl-D leaves)")
        expect(b"> ")
        os.write(terminal, b"the cat\n")
        expect(b"seed 4")
        expect(b"> ")
        os.write(terminal, b"x" * 100 + b"\n")
        expect(b"the model's context")
        expect(b"> ")
        os.write(terminal, b"\x04")
        assert child.wait(30) == 0
    finally:
        child.kill()
        child.wait()
        os.close(terminal)


def test_ctrl_c_ends_a_text_with_what_there_is_and_exit_130(engine, tmp_path):
    config = Config(engine.model.config.vocab, 100_000, 1, 8, 1, 1, 8, 8)
    Model.create(config).save(tmp_path)
    engine.tokenizer.save(tmp_path)
    flags = "--model", tmp_path, "--prompt", "the", "--max-tokens", "99999", "--temperature", "0"
    child = subprocess.Popen([sys.executable, INFER, *flags], env=ONE_THREAD,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    first = child.stdout.read(1)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert first and child.returncode == 130 and b"interrupted | seed" in err
