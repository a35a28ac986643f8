"""csrc/engine.py: sequences that join, grow side by side and end; the stream of their text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csrc.bind import Model
from csrc.config import Config
from csrc.cli import option
from csrc.engine import Engine, Sampling, Sequence, Stream
from data.tokens import bpe, learn
from kernel_calls import sample

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

    def draw(self, rows, ids, logprobs=False, probabilities=False, biases=None):
        return self.drawn, None, None


def write(tokenizer, text, **settings):
    """(the pieces of text, finish) of a model that would write `text`, str or bytes."""
    text = text if isinstance(text, bytes) else text.encode()
    s = Sequence([tokenizer.begin], Sampling(**{**GREEDY, **settings}))
    pieces = [piece for _, _, piece, _ in Engine(Script(tokenizer, text), tokenizer).generate([s])]
    return pieces, s.finish


def trace(engine, sequences):
    """All that `generate` gives of each sequence, to the bit, and how it ended."""
    got = [[] for _ in sequences]
    for s, token, text, probabilities in engine.generate(sequences):
        got[sequences.index(s)].append((token, s.record and probabilities.tobytes(), text))
    return got, [s.finish for s in sequences]


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


def test_a_newcomer_holds_up_the_others_for_a_small_piece(engine, monkeypatch):
    monkeypatch.setattr("csrc.engine.BESIDE", 3)
    first, second = (Sequence(engine.encode("the dog sat on the cat" * n), Sampling(seed=2), n)
                     for n in (1, 2))
    engine.reset_counters()
    engine.submit(first)
    engine.step()
    alone = engine.tokens["prefill"]
    engine.submit(second)
    read = [alone]
    while not second.finish:
        engine.step()
        read.append(engine.tokens["prefill"])
    engine.cancel(first)                         # the next test finds nobody there
    assert alone == first.prompt - 1 > 3 and {b - a for a, b in zip(read, read[1:])} >= {0, 3}
    assert max(b - a for a, b in zip(read, read[1:])) == 3


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
    prompts = ["the cat sat on the", "", "on the mat. the dog", "the cat sat", "on", "a", "the",
               "."]

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
