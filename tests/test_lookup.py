"""csrc/lookup.py: drafts change no token, are found where the text repeats and made where they
pay."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csrc.config import BIAS_ALL, GELU, LAYERNORM, LEARNED
from csrc.engine import Engine, Sampling, Sequence
from csrc.lookup import DRAFT, Costs, Lookup
from infer import summary
from test_engine import (GREEDY, Script, engine, random_engine, tokenizer,  # noqa: F401 (fixtures)
                         trace, write)

pytestmark = pytest.mark.usefixtures("one_thread")

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


def test_many_sequences_make_no_more_drafts_than_a_step_can_read(tokenizer, monkeypatch):
    engine = random_engine(tokenizer)
    engine.slots = 300
    force(monkeypatch, lambda tokens, count: [WRONG] * count)
    said = [Sequence(engine.encode("the cat"), Sampling(max_tokens=8, **GREEDY), i)
            for i in range(300)]
    assert len([*engine.generate(said)]) == 300 * 8 and len({tuple(s.tokens) for s in said}) == 1


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
