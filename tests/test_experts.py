"""Mixtures of experts: their kernels, and models in which a layer has experts. That whole models of
them equal tests/ref.py is tested with all others, in test_model.py and test_decoding.py."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ref
from csrc.bind import GENERATES, TRAINS, ChatError, Model
from csrc.config import BIAS_MLP, GEGLU, GELU, PARALLEL, POST_NORM, QK_WIDE, SANDWICH
from kernel_calls import (FLOAT, Draw, Guarded, assert_within, examples, few, real, run, seeds,
                          sizes, to_float, to_real, unit)
from model_cases import (ALL, BOUND, CACHED, CONFIGS, Batch, assert_close, assert_close_gradients,
                         gradients, learn, make)

# ---- Kernels -------------------------------------------------------------------------------------

counts = st.sampled_from([(1, 1), (2, 1), (3, 3), (8, 2), (33, 5), (128, 8), (1024, 70)])  # (E, k)


def routed(lib, logits, k, norm):
    """What route_forward makes of logits: probabilities, which it chose, shares."""
    N, E = logits.shape
    held = [Guarded(lib, x) for x in (np.full((N, k), -1, np.int32), np.zeros((N, k), np.float32),
                                      np.float32(logits))]
    lib.call("route_forward", *(x.array for x in held), N, E, k, norm)
    assert all(x.intact() for x in held)
    chosen, shares, probs = (x.array for x in held)
    return probs, chosen, shares


def grouped(rng, N, k):
    """Any places that choices may have."""
    return rng.permutation(N * k).astype(np.int32).reshape(N, k)


@given(N=few, counts=counts, norm=st.booleans(), seed=seeds)
@examples(30)
def test_a_router_takes_the_largest(lib, N, counts, norm, seed):
    (E, k), rng = counts, np.random.default_rng(seed)
    logits = np.float32(3 * rng.standard_normal((N, E)))
    probs, chosen, shares = routed(lib, logits, k, norm)
    order = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    assert np.array_equal(chosen, order)
    softmax = ref.softmax(np.float64(logits))
    assert_within(probs, softmax, (E + 40) * FLOAT * softmax)
    want = np.take_along_axis(ref.shares(np.float64(logits), k, norm), order, axis=1)
    assert_within(shares, want, (2 * E + 80) * FLOAT * want)


def test_of_equal_experts_the_first_ones_are_chosen(lib):
    _, chosen, shares = routed(lib, np.zeros((2, 40)), 3, 1)
    assert (chosen == [0, 1, 2]).all() and np.allclose(shares, 1 / 3)


def test_of_what_is_no_number_different_experts_are_chosen(lib):
    logits = np.zeros((3, 40))
    logits[0], logits[1, ::2], logits[2, 5] = np.nan, np.nan, np.inf
    _, chosen, _ = routed(lib, logits, 33, 0)
    assert all(len(set(row)) == 33 and min(row) >= 0 and max(row) < 40 for row in chosen)


@given(N=few, C=sizes, k=st.sampled_from([1, 2, 7]), weighted=st.booleans(), seed=seeds)
@examples(30)
def test_rows_are_spread_and_collected(lib, N, C, k, weighted, seed):
    draw = Draw(lib, seed)
    places, shares = grouped(draw.rng, N, k), np.float32(draw.rng.random((N, k)))
    each, shares = (shares, shares) if weighted else (np.ones((N, k)), None)
    inp, rows, residual = draw(N, C), draw(N * k, C), draw(N, C)
    want = np.empty((N * k, C))
    want[places] = each[..., None] * inp[:, None]
    got, = run(lib, "spread_rows", [real(N * k, C)], inp, shares, places, N, k, C)
    assert_within(got, want, (unit(lib) + FLOAT) * np.abs(want))
    parts = each[..., None] * rows[places]
    for start in residual, None:
        want = parts.sum(1) + (0 if start is None else start)
        got, = run(lib, "collect_rows", [real(N, C)], start, rows, shares, places, N, k, C)
        size = np.abs(parts).sum(1) + np.abs(residual)
        assert_within(got, want, unit(lib) * np.abs(want) + (k + 2) * FLOAT * size)
    there = to_real(lib, residual)
    got, = run(lib, "collect_rows", [real(N, C)], residual, rows, shares, places, N, k, C)
    lib.call("collect_rows", there, there, to_real(lib, rows), shares, places, N, k, C)
    assert np.array_equal(to_float(lib, there), got)


@given(N=few, counts=counts, F=sizes, norm=st.booleans(), seed=seeds)
@examples(30)
def test_route_backward(lib, N, counts, F, norm, seed):
    (E, k), draw = counts, Draw(lib, seed)
    logits = draw.rng.standard_normal((N, E))
    probs, chosen, shares = routed(lib, logits, k, norm)
    places, act, dact = grouped(draw.rng, N, k), draw(N * k, F), draw(N * k, F)
    got, = run(lib, "route_backward", [real(N, E)], dact, act, probs, shares, chosen, places,
               N, E, k, F, norm)
    dots, size = (x.sum(-1)[places] for x in (dact * act, np.abs(dact * act)))
    dshares = np.zeros((N, E))
    np.put_along_axis(dshares, chosen.astype(int), dots / shares, axis=1)
    want, = ref.shares_backward(dshares, np.float64(np.float32(logits)), k, norm)
    bound = 2 * (F + k + E + 90) * FLOAT * size.sum(1, keepdims=True)
    assert_within(got, want, unit(lib) * np.abs(want) + bound)


# ---- Models --------------------------------------------------------------------------------------

def experts_model(lib, **changes):
    """Mixtral's, of three experts that all are used, or another one."""
    mixtral = dict(experts=3, experts_used=3, expert_hidden=12, expert_norm=1, expert_period=1,
                   qk_norm=0, tied=0)
    return make(lib, "qwen3moe", **mixtral | changes)


SHAPES = {
    "two of five": dict(experts=5, experts_used=2),
    "all are used": dict(experts=3, experts_used=3),
    "one is used, of one": dict(experts=1, experts_used=1, expert_norm=0),
    "one is used": dict(experts=7, experts_used=1, expert_norm=0),
    "most are not chosen": dict(experts=40, experts_used=2),
    "one number wide": dict(expert_hidden=1),
    "GEGLU between two norms": dict(block=SANDWICH, activation=GEGLU),
    "beside attention": dict(block=PARALLEL, expert_norm=0),
    "without a norm before": dict(block=POST_NORM, qk_norm=QK_WIDE),
}


def lead(model, batch):
    """How far the logits of what is chosen are at least above those of what is not: bf16 should not
    choose anew."""
    _, (tape, _) = ref.forward(model.config, model.weights(), *batch[ALL])
    logits = [np.sort(inputs[0]) for op, inputs, _ in tape if op is ref.shares]
    E, k = model.config.experts, model.config.experts_used
    return np.inf if k == E else min((x[..., E - k] - x[..., E - k - 1]).min() for x in logits)


@pytest.mark.parametrize("T", [1, 5])
@pytest.mark.parametrize("shape", SHAPES)
def test_any_shape_of_experts_equals_ref(lib, shape, T):
    model = experts_model(lib, **SHAPES[shape])
    seeds = range(1 if lib.dtype == "f32" else 30)
    batch = max((Batch(model.config, 1, T, seed) for seed in seeds),
                key=lambda batch: lead(model, batch))
    batch.targets = np.abs(batch.targets)        # all have one
    out, cache = ref.forward(model.config, model.weights(), *batch[ALL])
    bound = 2 * BOUND[lib.dtype]                 # of few rows, so that less evens out
    assert_close(learn(model, batch), out, bound)
    assert_close_gradients(gradients(model), ref.backward(cache, batch.weights), bound)


def test_one_expert_alone_is_an_mlp(lib):
    """Of which bf16 rounds once more what is added to the residual stream."""
    model = experts_model(lib, experts=1, experts_used=1)
    dense = Model(replace(model.config, experts=0, hidden=12), lib.device, lib.dtype)
    for name in dense.index:
        dense.write(name, model.read(name.replace("mlp.", "mlp.experts.0.")))
    tokens = Batch(model.config).tokens
    if lib.dtype == "f32":
        assert np.array_equal(model.logits(tokens), dense.logits(tokens))
    assert_close(model.logits(tokens), dense.logits(tokens), CACHED[lib.dtype])
    assert dense.active == dense.parameters


def chosen_by(lib, model, tokens):
    """Which experts of layer 0 a token goes through that is the first of its row."""
    w = model.weights()
    fixed = {name: np.zeros_like(x) if "o_proj" in name else x for name, x in w.items()}
    x = ref.rmsnorm(fixed["model.embed_tokens.weight"][tokens],
                    w["model.layers.0.post_attention_layernorm.weight"], model.config.norm_eps)
    logits = x @ w["model.layers.0.mlp.gate.weight"].T
    return np.argsort(-logits, axis=1)[:, :model.config.experts_used]


def test_an_expert_that_nobody_chose_is_not_read_and_has_no_gradient(lib):
    """It is no number, here."""
    model = experts_model(lib, experts=40, experts_used=2, layers=1)
    model.write("model.layers.0.self_attn.o_proj.weight", np.zeros((24, 64)))
    tokens = np.arange(12).reshape(12, 1)
    used = {*chosen_by(lib, model, tokens[:, 0]).ravel()}
    assert 2 <= len(used) < 24
    want = model.logits(tokens)
    for e in {*range(40)} - used:
        for name in "gate_proj", "up_proj", "down_proj":
            there = f"model.layers.0.mlp.experts.{e}.{name}.weight"
            model.write(there, np.full_like(model.read(there), np.nan))
    assert np.array_equal(model.logits(tokens), want)
    cache = model.cache(1, 1)
    assert np.isfinite(model.extend(cache, [0], [[3]])).all()
    model.forward(tokens, tokens)
    model.backward(np.ones((12, 1), np.float32))
    for name, x in gradients(model).items():
        if ".experts." in name:
            assert x.any() == (int(name.split(".")[5]) in used), name


@pytest.mark.parametrize("k", [1, 3])
def test_a_token_gets_the_same_logits_in_any_company(lib, k):
    """However its slot's tokens are split over calls, and whichever experts others go through."""
    model = experts_model(lib, experts=40, experts_used=k)
    tokens, length = Batch(model.config, 4, 12).tokens, 12
    cache = model.cache(4, length)
    whole = model.extend(cache, range(4), tokens, every=True).reshape(4, length, -1)
    for slot in range(4):
        cache.fork(slot, slot, 0)
    steps = [model.extend(cache, [2, 0, 1, 3], tokens[[2, 0, 1, 3], t:t + 1])
             for t in range(length)]
    alone = model.extend(model.cache(1, length), [0], [tokens[2]], every=True)
    if lib.device == "cpu":
        assert np.array_equal(whole[2], alone)
        assert np.array_equal(whole[[2, 0, 1, 3]], np.stack(steps, axis=1))
    elif lib.dtype == "f32":                     # bf16 may choose anew
        assert_close(whole[2], alone, CACHED[lib.dtype])
        assert_close(whole[[2, 0, 1, 3]], np.stack(steps, axis=1), CACHED[lib.dtype])


def test_a_token_that_is_no_number_leaves_others_alone(lib):
    model = experts_model(lib)
    table = model.read("model.embed_tokens.weight")
    table[5] = np.nan
    want = model.logits([[1, 2, 3], [4, 6, 7]])[1]
    model.write("model.embed_tokens.weight", table)
    got = model.logits([[1, 2, 5], [4, 6, 7]])
    assert np.isnan(got[0, 2]).all() and np.array_equal(got[1], want)


def test_experts_may_learn_while_their_router_is_frozen(lib):
    model, free = experts_model(lib), experts_model(lib)
    frozen = ["model.layers.0.mlp.gate.weight", "model.layers.1.mlp.experts.2.down_proj.weight"]
    for name in frozen:
        model.freeze(name)
    batch = Batch(model.config)
    for each in model, free:
        learn(each, batch)
    for name in model.index.keys() - {*frozen}:
        assert np.array_equal(model.read(name, "gradient"), free.read(name, "gradient")), name


def test_parameters_and_memory_are_counted(lib):
    config = replace(CONFIGS["qwen3moe"], experts=10, experts_used=4)
    model = Model(config, lib.device, lib.dtype, GENERATES)
    experts = 10 * 3 * 24 * 17                   # of the second layer
    assert model.parameters == sum(np.prod(shape) for shape in ref.shapes(config).values())
    assert model.active == model.parameters - experts * 6 // 10
    size = {"f32": 4, "bf16": 2}[lib.dtype]
    one, more = (lib.memory(replace(config, experts=n), TRAINS, 64) for n in (10, 11))
    assert more["weights"] - one["weights"] >= size * (experts // 10 + 24)
    assert more["gradients"] > one["gradients"] and more["moments"] > one["moments"]
    busy = lib.memory(replace(config, experts_used=5), TRAINS, 64)["activations"]
    assert busy > lib.memory(config, TRAINS, 64)["activations"]


@pytest.mark.parametrize("changes, words", [
    (dict(experts=-1), "experts is -1"),
    (dict(experts=1025), "experts is 1025, but must be from 0 to 1024"),
    (dict(layers=10000, experts=27), "experts is 27, but must be from 0 to 26"),
    (dict(experts_used=4), "experts_used is 4, but must be from 1 to 3"),
    (dict(experts_used=0), "experts_used is 0"), (dict(expert_hidden=0), "expert_hidden is 0"),
    (dict(expert_hidden=2**23), "expert_hidden is 8388608, but must be from 1 to 5592405"),
    (dict(expert_norm=2), "expert_norm is 2"), (dict(expert_period=0), "expert_period is 0"),
    (dict(bias=BIAS_MLP), "experts have no biases, but bias is 4"),
    (dict(activation=GELU), "activation is 0, but that of experts must be 1 or 2")])
def test_absurd_experts_are_refused_by_name(lib, changes, words):
    with pytest.raises(ChatError, match=words):
        experts_model(lib, **changes)
