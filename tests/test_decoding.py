"""csrc/model.c and cache.c: whole models that generate, against their own pass over whole rows, for
every architecture."""

import dataclasses
import threading

import numpy as np
import pytest

import ref
from csrc.bind import GENERATES, TRAINS, ChatError, Model, samplings
from kernel_calls import sample
from model_cases import (ALL, CACHED, Batch, assert_close, assert_same_logits, each_config,
                         each_config_or_some, like, make)

# ---- A cache -------------------------------------------------------------------------------------

@each_config
def test_decoding_with_a_cache_equals_full_logits(lib, name):
    model = make(lib, name)
    tokens = Batch(model.config, 2, 40).tokens
    full, cache = model.logits(tokens), model.cache(2, 40)
    bound = CACHED[lib.dtype]
    if lib.dtype == "bf16" and model.config.experts:
        bound *= 2                       # where two experts are nearly as likely, either may be it
    assert_close(model.extend(cache, [0, 1], tokens[:, :3]), full[:, 2], bound)
    for t in range(3, 40):
        assert_close(model.extend(cache, [1, 0], tokens[::-1, t:t + 1])[::-1], full[:, t],
                     bound, 1.0)


@each_config_or_some
def test_a_token_at_a_time_gives_the_same_bits_in_any_company(lib, name):
    model = make(lib, name)
    tokens, together = Batch(model.config, 4, 12).tokens, model.cache(4, 12)
    rows = [model.extend(together, [2, 0, 1, 3], tokens[[2, 0, 1, 3], t:t + 1])
            for t in range(12)]
    for slot, at in (2, 0), (3, 3):
        cache = model.cache(1, 12)
        for t in range(12):
            alone = model.extend(cache, [0], tokens[slot:slot + 1, t:t + 1])
            assert np.array_equal(alone[0], rows[t][at])


@each_config_or_some
def test_logits_depend_only_on_the_tokens_of_the_slot(lib, name):
    """Prompts split over calls, slots of other lengths in the batch, copies of a
    prefix, slots cut back and continued, logits of every token or of the last all give what the
    same tokens give at once, alone, in a new cache."""
    model, rng = make(lib, name), np.random.default_rng(0)
    length = 40 if lib.device == "cpu" else 14
    cache, held = model.cache(3, length), {0: [], 1: [], 2: []}

    def alone(tokens):
        return model.extend(model.cache(1, length), [0], [tokens])[0]

    for step in range(300 if lib.device == "cpu" else 10):
        if step % 12 == 0:
            for slot in held:
                cache.fork(slot, slot, 0)
                held[slot] = []
        if rng.random() < 0.4:
            to, from_ = (int(x) for x in rng.integers(0, 3, 2))
            count = int(rng.integers(0, len(held[from_]) + 1))
            cache.fork(to, from_, count)
            held[to] = held[from_][:count]
        slots = [int(s) for s in rng.permutation(3)[:rng.integers(1, 4)] if len(held[s]) < length]
        if not slots:
            continue
        counts = [rng.integers(length - len(held[s])) + 1 if rng.random() < 0.3 else 1
                  for s in slots]
        parts = [rng.integers(0, model.config.vocab, count).tolist() for count in counts]
        every = bool(rng.random() < 0.5)
        rows = iter(model.extend(cache, slots, parts, every))
        for slot, part in zip(slots, parts):
            for i in range(len(part)) if every else [len(part) - 1]:
                assert_same_logits(lib, next(rows), alone(held[slot] + part[:i + 1]))
            held[slot] = held[slot] + part


@each_config_or_some
def test_a_fork_continues_like_the_original(lib, name):
    model = make(lib, name)
    prompt = Batch(model.config, 1, 20).tokens[0]
    cache = model.cache(3, 40)
    model.extend(cache, [1], [prompt])
    cache.fork(2, 1, 20)
    cache.fork(0, 1, 7)
    both = model.extend(cache, [1, 2], [prompt[:5], prompt[:5]])
    assert_same_logits(lib, both[0], both[1])
    again = model.extend(cache, [0], [np.concatenate([prompt[7:], prompt[:5]])])
    assert_same_logits(lib, again[0], both[0])
    cache.fork(1, 1, 20)                         # cut back
    assert_same_logits(lib, model.extend(cache, [1], [prompt[:5]])[0], both[0])


@each_config_or_some
def test_a_model_that_only_generates_computes_the_same_bits(lib, name):
    model = make(lib, name)
    copy = Model(model.config, lib.device, lib.dtype, flags=GENERATES)
    for tensor, value in model.weights().items():
        copy.write(tensor, value)
    batch = Batch(model.config, 2, 9)
    assert np.array_equal(copy.logits(batch.tokens), model.logits(batch.tokens))
    assert np.array_equal(copy.extend(copy.cache(2, 9), [0, 1], batch.tokens),
                          model.extend(model.cache(2, 9), [0, 1], batch.tokens))
    for call in (lambda: copy.read(tensor), copy.zero_grad, lambda: copy.update(1, 1e-3)):
        with pytest.raises(ChatError, match="only to generate"):
            call()


def test_logits_that_stay_on_the_device_can_be_drawn_from_once(lib):
    model = make(lib, "qwen3")
    cache, settings = model.cache(3, 9), dict(temperature=0.7, top_k=5, top_p=0.9, seed=8)
    logits = model.extend(cache, [0, 2], [[1, 2, 3], [4]], every=True)
    for slot in 0, 2:
        cache.fork(slot, slot, 0)
    assert model.extend(cache, [0, 2], [[1, 2, 3], [4]], every=True, read=False) is None
    rows = samplings(4, **settings, position=[7, 8, 9, 10], n_banned=2)
    drawn, logprobs, probabilities = model.draw(rows, [5, 6], logprobs=True, probabilities=True)
    for row, at, *got in zip(logits, [7, 8, 9, 10], drawn, logprobs, probabilities):
        token, p = sample(lib, row, **settings, position=at, banned=[5, 6])
        assert got[0] == token and np.isclose(got[1], np.log(p[token]), atol=1e-5)
        assert np.allclose(got[2], p, atol=1e-6)
    with pytest.raises(ChatError, match="without logits just before"):
        model.draw(rows, [5, 6])
    for wrong, ids, message in [(dict(top_p=2.0), [], "top_p is 2"),
                                (dict(repetition_penalty=0), [], "repetition_penalty is 0"),
                                (dict(n_banned=1), [131], "token 131"),
                                (dict(banned=1, n_banned=2), [5, 6], "beyond the 2 ids"),
                                (dict(n_seen=-1), [5, 6], "beyond the 2 ids"),
                                (dict(n_banned=131), range(131), "no token left")]:
        cache.fork(0, 0, 0)
        model.extend(cache, [0], [[1]], read=False)
        with pytest.raises(ChatError, match=message):
            model.draw(samplings(1, **wrong), ids)
    model.extend(cache, [0], [[1]], read=False)
    with pytest.raises(ValueError, match="2 rows"):
        model.draw(samplings(2))


def test_the_last_states_are_what_the_head_is_given(lib):
    model = make(lib, "qwen3")
    cache = model.cache(2, 9)
    logits = model.extend(cache, [0, 1], [[1, 2, 3], [4]], every=True)
    head = model.read("lm_head.weight" if "lm_head.weight" in model.index else
                      "model.embed_tokens.weight")
    assert_close(model.last_states(4) @ head.T, logits, CACHED[lib.dtype])
    assert np.array_equal(model.last_states(2), model.last_states(4)[:2])
    for n in 0, 5:
        with pytest.raises(ChatError, match=f"states of {n} tokens, but model_extend was given 4"):
            model.last_states(n)
    model.extend(cache, [0, 1], [[1], [2]], read=False)
    assert model.last_logits().shape == logits[:2].shape
    model.draw(samplings(2))
    with pytest.raises(ChatError, match="2 rows of logits, but model_extend left 0"):
        model.last_logits()
    model.logits([[1]])
    with pytest.raises(ChatError, match="states of 1 tokens, but model_extend was given 0"):
        model.last_states(1)


@each_config_or_some
def test_keys_and_values_go_out_and_come_back_to_the_bit(lib, name):
    model = make(lib, name)
    cache, tokens = model.cache(2, 20), Batch(model.config, 1, 20).tokens[0]
    model.extend(cache, [0], [tokens[:15]])
    first, rest = cache.read(0, 0, 8), cache.read(0, 8, 7)
    want = model.extend(cache, [0], [tokens[15:]])
    for data, count in (first, 8), (rest, 7):
        cache.write(1, data, count)
    assert np.array_equal(model.extend(cache, [1], [tokens[15:]]), want)
    for call, words in ((lambda: cache.read(0, 0, 0), "there are no 0 from 0"),
                        (lambda: cache.read(0, -1, 2), "no 2 from -1"),
                        (lambda: cache.read(0, 15, 6), "holds 20 tokens: there are no 6 from 15"),
                        (lambda: cache.read(2, 0, 1), "no slot 2"),
                        (lambda: cache.write(1, first, 8), "no room for 8 more"),
                        (lambda: cache.write(5, first, 8), "no slot 5"),
                        (lambda: cache.write(1, first[1:], 8), "bytes, but 8 tokens have")):
        with pytest.raises((ChatError, ValueError), match=words):
            call()


def test_slots_have_the_room_they_are_given_and_keep_what_they_hold(lib):
    model = make(lib, "qwen3")
    cache, tokens = model.cache(3), Batch(model.config, 3, 40).tokens
    with pytest.raises(ChatError, match="slot 0 holds 0 of 0 tokens"):
        model.extend(cache, [0], [[1]])
    each = cache.memory, [cache.resize(0, 1), cache.memory][1]
    assert each[0] == 0 and each[1] > 0
    used, rng = [0, 0, 0], np.random.default_rng(0)
    cache.resize(0, 0)
    for _ in range(40):                          # slots grow, shrink, are emptied and move about
        slot = int(rng.integers(3))
        if rng.random() < 0.2:
            cache.fork(slot, slot, 0)
            used[slot] = 0
        count = int(rng.integers(1, 9))
        if used[slot] + count > 40:
            continue
        cache.resize(slot, used[slot] + count)
        row = model.extend(cache, [slot], [tokens[slot, used[slot]:used[slot] + count]])[0]
        used[slot] += count
        assert_same_logits(lib, row, model.extend(model.cache(1, 40), [0],
                                                  [tokens[slot, :used[slot]]])[0])
    assert cache.memory <= 1.25 * 3 * 40 * each[1]
    for slot, length, words in ((3, 1, "no slot 3"), (0, 41, "length is 41"),
                                (0, -1, "length is -1")):
        with pytest.raises(ChatError, match=words):
            cache.resize(slot, length)


def test_tables_of_rope_grow_with_what_is_in_use(lib):
    config = dataclasses.replace(like(), context=1 << 20)
    models = [Model.create(config, lib.device, lib.dtype, seed=1) for _ in range(2)]
    tokens, whole = [Batch(config, 1, 40).tokens[0]], models[1].cache(1, 40)
    grown = models[0].cache(1)
    for t, token in enumerate(tokens[0]):
        grown.resize(0, t + 1)
        rows = models[0].extend(grown, [0], [[token]])
        assert_same_logits(lib, rows[0], models[1].extend(whole, [0], [[token]])[0])
    table = 4 * config.context * config.head_dim
    assert lib.memory(config, GENERATES, 40, 1, 40)["weights"] < table


def test_training_between_two_tokens_leaves_the_cache_alone(lib):
    model = make(lib, "qwen3")
    batch, caches = Batch(model.config, 4, 40), [model.cache(1, 40) for _ in range(2)]
    for cache in caches:
        model.extend(cache, [0], [batch.tokens[0, :9]])
    want = model.extend(caches[0], [0], [[5]])
    model.forward(*batch[ALL])
    assert np.array_equal(model.extend(caches[1], [0], [[5]]), want)


# ---- Errors --------------------------------------------------------------------------------------

def test_a_cache_refuses_what_it_cannot_hold(lib):
    model = make(lib, "qwen3")
    for slots, length, words in ((0, 8, "slots is 0"), (1, -1, "length is -1"),
                                 (1, 41, "length is 41")):
        with pytest.raises(ChatError, match=words):
            model.cache(slots, length)
    cache, want = model.cache(2, 8), model.extend(model.cache(1, 8), [0], [[1, 2, 3, 4]])
    model.extend(cache, [0], [[1, 2, 3]])
    for slots, tokens, words in (([2], [[1]], "no slot 2"), ([-1], [[1]], "no slot -1"),
                                 ([0, 0], [[1], [2]], "slot 0 is extended twice"),
                                 ([1], [[]], "slot 1 is extended by 0 tokens"),
                                 ([], [], "0 slots"), ([0, 1], [[1]], "2 slots"),
                                 ([1, 0], [[1], [1] * 6], "slot 0 holds 3 of 8 tokens")):
        with pytest.raises((ChatError, ValueError), match=words):
            model.extend(cache, slots, tokens)
    for fork, words in (((1, 0, 4), "slot 0 holds 3 tokens, not 4"), ((2, 0, 1), "no slot 2"),
                        ((0, 5, 1), "no slot 5"), ((0, 0, -1), "not -1")):
        with pytest.raises(ChatError, match=words):
            cache.fork(*fork)
    assert np.array_equal(model.extend(cache, [0], [[4]]), want)         # nothing left a trace
    with pytest.raises(ChatError, match="another model"):
        make(lib, "qwen3").extend(cache, [0], [[1]])


def test_a_cache_may_outlive_its_model(lib):
    """And then says so."""
    model, other = make(lib, "qwen3"), make(lib, "qwen3")
    caches = [model.cache(2, 8) for _ in range(3)]
    for _ in range(3):                           # a GPU has recorded a step by now
        model.extend(caches[1], [0, 1], [[1], [2]])
    del caches[0]
    model.free()
    for call in (lambda: caches[0].fork(1, 0, 1), lambda: other.extend(caches[0], [0], [[1]])):
        with pytest.raises(ChatError, match="the model of this cache was freed"):
            call()
    with pytest.raises(ChatError, match="was called on something that was freed"):
        model.extend(caches[0], [0], [[1]])


def test_two_threads_may_use_one_model(lib):
    """Each gets what it would get alone."""
    model = make(lib, "qwen3")
    tokens = Batch(model.config, 2, 20).tokens
    want = [model.extend(model.cache(1, 20), [0], [row]) for row in tokens]
    wrong = []

    def read(row):
        for _ in range(30 if lib.device == "cpu" else 2):
            if not np.array_equal(model.extend(model.cache(1, 20), [0], [tokens[row]]), want[row]):
                wrong.append(row)

    threads = [threading.Thread(target=read, args=[row]) for row in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# ---- Memory --------------------------------------------------------------------------------------

LARGE = like(vocab=20000, context=1024, channels=128, hidden=256)


def test_a_model_that_only_generates_holds_each_weight_once(lib):
    size = 4 if lib.dtype == "f32" else 2
    for tied in 0, 1:
        config = dataclasses.replace(LARGE, tied=tied, qk_norm=0, context=8)
        parameters = sum(np.prod(shape) for shape in ref.shapes(config).values())
        held = lib.memory(config, GENERATES)["weights"] / size
        assert held == pytest.approx(parameters, rel=0.01)


def test_generating_plans_neither_a_backward_pass_nor_logits_that_nobody_reads(lib):
    """A prompt of 512 tokens needs logits of its last one."""
    one, every = (lib.memory(LARGE, GENERATES, 512, slots, 1024)["activations"] for slots in (1, 0))
    logits = 4 * 20096                           # bytes of a row
    assert every - one == pytest.approx(511 * logits, rel=0.02)
    rows = 512 * (5 * 128 + 2 * 128 + 64 + 3 * 256 + 100) * 4
    cublas = 34e6 if lib.device == "cuda" else 0
    assert one < logits + 1.5 * rows + cublas
    training = lib.memory(LARGE, TRAINS, 512)["activations"]
    assert training > every


def test_prompts_and_steps_by_turns_keep_one_plan(lib):
    """One has many rows, the other many logits: what was recorded for a GPU stays valid."""
    model, want = make(lib, "qwen3"), None
    cache, tokens = model.cache(4, 40), Batch(model.config, 4, 30).tokens
    for turn in range(3):
        for slot in range(4):
            cache.fork(slot, slot, 0)
        got = [model.extend(cache, [0], tokens[:1])]
        got += [model.extend(cache, [1, 2, 3], tokens[1:, t:t + 1]) for t in range(3)]
        want = want or got
        assert all(np.array_equal(x, y) for x, y in zip(got, want))
