"""csrc/model.c: whole models against tests/ref.py, for every architecture.

The error of a tensor is measured against its own size: in f32 it stays below 1e-5 of that. bf16
rounds every activation to 1/256, a dozen times a block, and the bound is 1/10. Where chat.h
promises the same bits, both must give the same bits.
"""

import dataclasses
import threading

import numpy as np
import pytest

import ref
from csrc.bind import (GENERATES, NO_MASTERS, RECOMPUTE, RECOMPUTE_BLOCKS, TRAINS, ChatError,
                       Model, samplings)
from csrc.config import BIAS_ALL, BIAS_NONE, BIAS_QKV, GELU, LAYERNORM, LEARNED, Config
from kernel_calls import sample

QWEN3 = Config(vocab=131, context=40, layers=2, channels=24, heads=4, kv_heads=2, head_dim=16,
               hidden=40)


def like(**changes):
    return dataclasses.replace(QWEN3, **changes)


CONFIGS = {
    "gpt2": like(norm=LAYERNORM, position=LEARNED, activation=GELU, bias=BIAS_ALL, qk_norm=0,
                 kv_heads=4, head_dim=6, norm_eps=1e-5),
    "llama": like(qk_norm=0, tied=0, head_dim=6, vocab=128, rope_theta=5e5, rope_factor=8.0,
                  rope_context=32),
    "qwen3": QWEN3,
    "qwen2": like(bias=BIAS_QKV, qk_norm=0, vocab=7, layers=3),
    "multi-query": like(norm=LAYERNORM, activation=GELU, bias=BIAS_NONE, heads=3, kv_heads=1,
                        head_dim=10),
    "untied": like(norm=LAYERNORM, bias=BIAS_ALL, tied=0, position=LEARNED, vocab=257, channels=17),
    "windows": like(window=5, window_period=3, layers=3, kv_heads=1),
    "scalar": like(scalar=1),
    "smallest": like(vocab=2, layers=1, channels=2, heads=1, kv_heads=1, head_dim=2, hidden=1),
}
BOUND = {"f32": 1e-5, "bf16": 0.1}
CACHED = {"f32": 1e-5, "bf16": 0.05}             # of logits, by another way through the same model
ALL = slice(None)

each_config = pytest.mark.parametrize("name", CONFIGS)


def make(lib, name, **changes):
    """A model whose weights are large enough for every part to matter, and `real` can hold."""
    config = dataclasses.replace(CONFIGS[name], **changes)
    model, rng = Model(config, lib.device, lib.dtype), np.random.default_rng(1)
    for tensor, shape, _ in model.tensors:
        values = rng.standard_normal(shape) / np.sqrt(shape[-1])
        if len(shape) == 1:
            values = 0.3 * rng.standard_normal(shape) + (not tensor.endswith(".bias"))
        model.write(tensor, lib.float(lib.real(values)))
    return model


class Batch:
    """Tokens, targets (some -1), documents, and dLoss/d(each token's number)."""

    def __init__(self, config, B=4, T=19, seed=0):
        rng = np.random.default_rng(seed)
        self.tokens = rng.integers(0, config.vocab, (B, T))
        self.targets = None if config.scalar else rng.integers(-1, config.vocab, (B, T))
        starts = rng.random((B, T)) < 0.15
        starts[:, 0] = True
        self.doc_start = np.maximum.accumulate(np.where(starts, np.arange(T), 0), axis=1)
        self.weights = rng.standard_normal((B, T)).astype(np.float32)

    def __getitem__(self, rows):
        """The inputs of forward, for these rows."""
        return [None if x is None else x[rows] for x in (self.tokens, self.targets, self.doc_start)]


def learn(model, batch, rows=ALL, fused=False):
    """Adds the gradients of these rows; returns what forward does."""
    weights = batch.weights[rows]
    out = model.forward(*batch[rows], weights=weights if fused else None)
    model.backward(None if fused else weights)
    return out


def gradients(model):
    return {name: model.read(name, "gradient") for name, _, _ in model.tensors}


def assert_close(got, want, bound, floor=0.0, what=""):
    """The error's norm is within bound of the tensor's norm (or of floor), and no number's error
    beyond twice the bound of the largest number (or of floor)."""
    assert got.shape == want.shape
    for size, share in (np.linalg.norm, bound), (lambda x: np.abs(x).max(), 2 * bound):
        error, whole = size(got - want), max(size(want), floor)
        assert error <= share * whole, f"{what}: off by {error:.3g} of {whole:.3g}"


def assert_close_gradients(got, want, bound):
    """By name. Some are zero but for rounding (a bias of keys without RoPE moves no softmax), so
    none is asked to be better than a twentieth of the largest would be."""
    assert got.keys() == want.keys()
    floor = 0.05 * max(np.abs(x).max() for x in want.values())
    for name in want:
        assert_close(got[name], want[name], bound, floor, name)


def assert_same_logits(lib, got, want):
    """To the bit where chat.h promises that: not on a GPU, which shares out work by the batch."""
    if lib.device == "cpu":
        assert np.array_equal(got, want)
    else:
        assert_close(got, want, CACHED[lib.dtype], 1.0)


def assert_same(got, want):
    for name in want:
        assert np.array_equal(got[name], want[name]), name


# ---- Training ------------------------------------------------------------------------------------

@each_config
def test_the_tensors_are_those_of_hugging_face(lib, name):
    model = Model(CONFIGS[name], lib.device, lib.dtype)
    assert [tensor for tensor, _, _ in model.tensors] == list(model.index)       # each once
    assert {tensor: shape for tensor, shape, _ in model.tensors} == ref.shapes(model.config)
    assert all(decay == (len(shape) == 2) for _, shape, decay in model.tensors)
    assert not any(x.any() for x in model.weights().values())


@each_config
def test_ref_gradients_equal_finite_differences(name):
    config, rng = CONFIGS[name], np.random.default_rng(0)
    weights = {tensor: rng.standard_normal(shape) for tensor, shape in ref.shapes(config).items()}
    batch = Batch(config, 2, 9)

    def loss(changed):
        return (ref.forward(config, weights | changed, *batch[ALL])[0] * batch.weights).sum()

    gradients = ref.backward(ref.forward(config, weights, *batch[ALL])[1], batch.weights)
    for tensor, gradient in gradients.items():
        direction = 1e-5 * rng.standard_normal(gradient.shape)
        there, back = (loss({tensor: weights[tensor] + sign * direction}) for sign in (1, -1))
        want = (gradient * direction).sum()
        assert (there - back) / 2 == pytest.approx(want, rel=1e-5, abs=1e-9)


@each_config
def test_forward_and_every_gradient_equal_ref(lib, name):
    model = make(lib, name)
    batch = Batch(model.config)
    out, cache = ref.forward(model.config, model.weights(), *batch[ALL])
    assert_close(learn(model, batch), out, BOUND[lib.dtype])
    want = ref.backward(cache, batch.weights)
    assert_close_gradients(gradients(model), want, BOUND[lib.dtype])
    norm = np.sqrt(sum((x**2).sum() for x in want.values()))
    assert model.grad_norm() == pytest.approx(norm, rel=BOUND[lib.dtype])


@pytest.mark.parametrize("share", [0.4, 0])
@each_config
def test_rows_without_a_target_add_nothing(lib, name, share):
    """After a batch that has left other numbers behind; with no target at all, too."""
    if CONFIGS[name].scalar:
        pytest.skip("a scalar head has no targets")
    model = make(lib, name)
    learn(model, Batch(model.config, seed=1))
    model.zero_grad()
    batch = Batch(model.config)
    batch.targets[np.random.default_rng(2).random(batch.targets.shape) >= share] = -1
    out, cache = ref.forward(model.config, model.weights(), *batch[ALL])
    got = learn(model, batch, fused=True)
    assert_close(got, out, BOUND[lib.dtype])
    assert not got[batch.targets < 0].any()
    assert_close_gradients(gradients(model), ref.backward(cache, batch.weights), BOUND[lib.dtype])


@each_config
def test_it_does_not_matter_whether_a_row_of_no_weight_has_a_target(lib, name):
    """Also over more rows than there are logits at one time (512). Sums are in another order."""
    if CONFIGS[name].scalar:
        pytest.skip("a scalar head has no targets")
    model = make(lib, name)
    for B, T in (4, 19), (14, 40):
        batch, results = Batch(model.config, B, T), []
        silent = np.random.default_rng(2).random((B, T)) < 0.6
        batch.weights[silent] = 0
        for targets in batch.targets, np.where(silent, -1, batch.targets):
            model.zero_grad()
            batch.targets = targets
            learn(model, batch, fused=True)
            results.append(gradients(model))
        assert_close_gradients(*results, BOUND[lib.dtype] / 10)


@pytest.mark.parametrize("frozen", [
    ["model.embed_tokens.weight"], ["model.norm.weight"],
    ["model.layers.0.self_attn.k_proj.weight"],
    ["model.layers.0.input_layernorm.weight", "model.layers.0.mlp.up_proj.weight",
     "model.layers.0.self_attn.q_norm.weight", "model.layers.0.mlp.down_proj.weight"]])
@pytest.mark.parametrize("name", ["qwen3", "gpt2", "untied"])
def test_a_frozen_tensor_has_no_gradient_and_changes_no_other(lib, name, frozen):
    """Tensors of one product are frozen together. What is multiplied from both sides, too."""
    model, free = make(lib, name), make(lib, name)
    products = [["q_proj.weight", "k_proj.weight", "v_proj.weight"],
                ["gate_proj.weight", "up_proj.weight"]]
    frozen = [tensor for tensor in frozen if tensor in model.index]
    for tensor in frozen:
        model.freeze(tensor)
    still = {other for other in model.index for tensor in frozen if other == tensor or any(
        other.endswith(tuple(p)) and tensor.endswith(tuple(p)) and other[:15] == tensor[:15]
        for p in products)}
    batch, before = Batch(model.config), model.weights()
    for each in model, free:
        learn(each, batch, fused=True)
    learned = [tensor for tensor in model.index if tensor not in still]
    assert_same({x: model.read(x, "gradient") for x in learned},
                {x: free.read(x, "gradient") for x in learned})
    assert model.grad_norm() == pytest.approx(np.sqrt(sum(
        (model.read(x, "gradient").astype(np.float64)**2).sum() for x in learned)), rel=1e-5)
    model.update(1, lr=0.1)
    moved = {x for x, value in model.weights().items() if not np.array_equal(value, before[x])}
    assert not moved & still and moved
    with pytest.raises(ChatError, match="is frozen: it has no gradient"):
        model.read(frozen[0], "gradient")
    with pytest.raises(ChatError, match="has a gradient already"):
        model.freeze(learned[0])


@each_config
def test_logits_equal_ref(lib, name):
    model = make(lib, name)
    tokens = Batch(model.config).tokens
    want = ref.logits(model.config, model.weights(), tokens)
    assert_close(model.logits(tokens), want.reshape(*tokens.shape, -1), BOUND[lib.dtype])


@each_config
def test_the_fused_path_gives_the_same_bits(lib, name):
    """Also over more rows than there are logits at one time (512)."""
    model = make(lib, name)
    for B, T in (4, 19), (14, 40):
        batch, results = Batch(model.config, B, T), []
        for fused in False, True:
            model.zero_grad()
            out = learn(model, batch, fused=fused)
            results.append(gradients(model) | {"out": out})
        assert_same(*results)


@pytest.mark.parametrize("flags", [RECOMPUTE, RECOMPUTE_BLOCKS])
@each_config
def test_recomputation_gives_the_same_bits_in_less_memory(lib, name, flags):
    model, results = make(lib, name), []
    other = Model(model.config, lib.device, lib.dtype, flags=TRAINS + flags)
    for tensor, value in model.weights().items():
        other.write(tensor, value)
    batch = Batch(model.config)
    for each in model, other:
        out = learn(each, batch, fused=True)
        results.append(gradients(each) | {"out": out})
    if lib.device == "cuda" and flags == RECOMPUTE and model.config.activation == GELU:
        # The product takes the gelu of what it has not rounded yet; it is computed again from that.
        assert_close_gradients(*results, BOUND[lib.dtype] / 10)
    else:
        assert_same(*results)
    memory = [lib.memory(model.config, TRAINS + x, batch.tokens.size) for x in (0, flags)]
    if model.config.layers > 1:
        assert memory[1]["activations"] < memory[0]["activations"]


def test_weights_without_masters_are_rounded_by_chance_and_right_on_average(lib):
    """bfloat16 holds 1 and 1 + 1/128; steps of 1/1280 must move one weight in ten. The same step
    again rounds the same way, another one other weights."""
    config = like(channels=64, hidden=64)
    drawn = []
    for step in 1, 1, 2:
        model = Model(config, lib.device, lib.dtype, flags=TRAINS + NO_MASTERS)
        name = "model.layers.0.mlp.up_proj.weight"
        model.write(name, np.ones((64, 64)))
        model.write(name, np.full((64, 64), -1.0), "gradient")
        model.update(step, lr=1 / 1280, beta1=0, beta2=0, eps=1e-8, weight_decay=0)
        drawn.append(model.read(name))
    memory = lib.memory(config, TRAINS + NO_MASTERS)
    assert memory["masters"] == 0
    if lib.dtype == "f32":
        assert all(np.allclose(x, 1 + 1 / 1280, atol=1e-6) for x in drawn)
        return
    assert set(np.unique(drawn[0])) == {1.0, np.float32(1 + 1 / 128)}
    assert drawn[0].mean() == pytest.approx(1 + 1 / 1280, abs=5 * 0.3 / 128 / 64)
    assert np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[0], drawn[2])


def test_a_training_run_may_take_all_its_memory_at_once(lib):
    model = make(lib, "qwen3")
    model.reserve(76)
    learn(model, Batch(model.config))
    with pytest.raises(ChatError, match="0 tokens"):
        model.reserve(0)


@each_config
def test_backward_twice_doubles_the_gradients(lib, name):
    model = make(lib, name)
    batch = Batch(model.config)
    learn(model, batch)
    once = gradients(model)
    learn(model, batch)
    assert_close_gradients(gradients(model), {name: 2 * x for name, x in once.items()}, 1e-6)
    model.zero_grad()
    assert model.grad_norm() == 0
    learn(model, batch)
    assert_same(gradients(model), once)


@each_config
def test_accumulation_over_micro_batches_gives_one_gradient(lib, name):
    model = make(lib, name)
    batch = Batch(model.config)
    out, whole = learn(model, batch), gradients(model)
    for parts in 2, 4:
        model.zero_grad()
        size = 4 // parts
        outs = [learn(model, batch, slice(at, at + size)) for at in range(0, 4, size)]
        assert np.array_equal(np.concatenate(outs), out)
        assert_close_gradients(gradients(model), whole, 1e-6)


@each_config
def test_five_steps_of_adamw_follow_ref(lib, name):
    """ref.py computes with the weights as `real` holds them, and keeps masters in float64. A large
    eps keeps the sign of gradients that are zero but for rounding from mattering."""
    model, bound = make(lib, name), 2 * BOUND[lib.dtype]
    settings = dict(lr=0.01, beta1=0.9, beta2=0.95, eps=0.05, weight_decay=0.1)
    start = {name: x.astype(np.float64) for name, x in model.weights().items()}
    state = {name: (x, np.zeros_like(x), np.zeros_like(x)) for name, x in start.items()}
    for step in range(1, 6):
        batch = Batch(model.config, seed=step)
        model.zero_grad()
        learn(model, batch)
        model.update(step, **settings, grad_scale=0.5)
        held = {name: lib.float(lib.real(x)) for name, (x, _, _) in state.items()}
        _, cache = ref.forward(model.config, held, *batch[ALL])
        for name, gradient in ref.backward(cache, batch.weights).items():
            (x, m, v), decay = state[name], settings["weight_decay"] * (gradient.ndim == 2)
            state[name] = ref.adamw(x, 0.5 * gradient, m, v, step,
                                    **settings | {"weight_decay": decay})
    for name, (x, m, v) in state.items():
        # Of steps, a norm: AdamW's size is not the gradient's.
        error, way = np.linalg.norm(model.read(name) - x), np.linalg.norm(x - start[name])
        assert error <= bound * max(way, 5 * settings["lr"]), \
            f"{name}: off by {error:.3g} of {way:.3g}"
        assert_close(model.read(name, "moment1"), m, bound, 0.1, name)
        assert_close(model.read(name, "moment2"), v, bound, 0.1, name)


@each_config
def test_one_and_two_threads_give_the_same_bits(lib, name):
    """In a model so wide that kernels do share their work."""
    results = []
    for threads in 1, 2:
        lib.call("device_threads", threads)
        model = make(lib, name, channels=200, hidden=200)
        batch = Batch(model.config, 8, 40)
        result = {"out": learn(model, batch)} | gradients(model)
        model.update(1, lr=0.1)
        extended = model.extend(model.cache(8, 40), range(8), batch.tokens)
        results.append(result | {"logits": model.logits(batch.tokens), "extended": extended,
                                 "norm": model.grad_norm()})
    lib.call("device_threads", 1)
    assert_same(*results)


@each_config
def test_packed_documents_equal_separate_ones(lib, name):
    model, bound = make(lib, name), 1e-5 if lib.dtype == "f32" else 0.02
    if lib.device == "cuda":                     # it multiplies a few rows, and takes GELU of them,
        bound *= 1.5                             # by another way than of many
    batch = Batch(model.config, 2, 31)
    packed, want = learn(model, batch), gradients(model)
    model.zero_grad()
    for row, start in sorted({(b, int(x)) for b in range(2) for x in batch.doc_start[b]}):
        inside = np.flatnonzero(batch.doc_start[row] == start)
        tokens, targets, _ = (None if x is None else x[row:row + 1, inside] for x in batch[ALL])
        alone = model.forward(tokens, targets)
        model.backward(batch.weights[row:row + 1, inside])
        assert_close(alone[0], packed[row, inside], bound, 1.0)
    assert_close_gradients(gradients(model), want, bound)


@each_config
def test_a_document_is_blind_to_the_others_in_its_row(lib, name):
    model = make(lib, name)
    batch = Batch(model.config, 1, 40)
    out = model.forward(*batch[ALL])
    for start in np.unique(batch.doc_start):
        inside = batch.doc_start[0] == start
        tokens = np.where(inside, batch.tokens, (batch.tokens + 1) % model.config.vocab)
        other = model.forward(tokens, batch.targets, batch.doc_start)
        assert np.array_equal(other[:, inside], out[:, inside])


@pytest.mark.parametrize("vocab", [1, 127, 128, 129, 131])
def test_a_padded_vocabulary_has_no_gradient_in_its_padding(lib, vocab):
    """The head is padded to 128 rows, which no name reads: they would show in the norm of all."""
    model = make(lib, "llama", vocab=vocab)
    batch = Batch(model.config)
    for step in 1, 2:
        model.zero_grad()
        learn(model, batch)
        norm = np.sqrt(sum((x.astype(np.float64)**2).sum() for x in gradients(model).values()))
        assert model.grad_norm() == pytest.approx(norm, rel=1e-6)
        model.update(step, lr=0.1)
        held = {name: lib.float(lib.real(x)) for name, x in model.weights().items()}
        want = ref.logits(model.config, held, batch.tokens)
        assert_close(model.logits(batch.tokens), want, BOUND[lib.dtype])


def test_targets_of_minus_one_have_no_loss_and_no_gradient(lib):
    model = make(lib, "qwen3")
    batch = Batch(model.config)
    batch.targets[...] = -1
    assert (learn(model, batch) == 0).all()
    assert model.grad_norm() == 0


@each_config
def test_the_same_seed_creates_the_same_model(lib, name):
    one, two, other = (Model.create(CONFIGS[name], lib.device, lib.dtype, seed=s).weights()
                       for s in (5, 5, 6))
    assert_same(one, two)
    assert all(np.isfinite(x).all() for x in one.values())
    assert any(not np.array_equal(one[tensor], other[tensor]) for tensor in one)


@pytest.mark.parametrize("channels", [64, 256, 1024])
@pytest.mark.parametrize("tied", [0, 1])
def test_the_first_loss_is_near_that_of_a_uniform_guess_at_any_width(lib, channels, tied):
    config = like(vocab=2048, channels=channels, tied=tied)
    model, rng = Model.create(config, lib.device, lib.dtype), np.random.default_rng(0)
    tokens, targets = rng.integers(0, 2048, (2, 4, 16))
    assert np.log(2048) < model.forward(tokens, targets).mean() < np.log(2048) + 1


def test_what_is_written_is_read(lib):
    model, rng = make(lib, "gpt2"), np.random.default_rng(0)
    kinds = "weight", "gradient", "moment1", "moment2"
    written = {(tensor, what): rng.standard_normal(shape).astype(np.float32)
               for tensor, shape, _ in model.tensors for what in kinds}
    for (tensor, what), values in written.items():
        model.write(tensor, values, what)
    for (tensor, what), values in written.items():
        assert np.array_equal(model.read(tensor, what), values)


def test_new_weights_are_used_at_once(lib):
    """They are packed for matrix products, and must not go stale: not by write, not by update."""
    model = make(lib, "qwen3")
    batch = Batch(model.config)
    before = model.logits(batch.tokens)
    learn(model, batch)
    model.update(1, lr=0.1)
    after = model.logits(batch.tokens)
    assert not np.array_equal(before, after)
    copy = Model(model.config, lib.device, lib.dtype)
    copy.logits(batch.tokens)
    for tensor, values in model.weights().items():
        copy.write(tensor, values)
    assert np.array_equal(copy.logits(batch.tokens), after)


# ---- Generation ----------------------------------------------------------------------------------

@each_config
def test_decoding_with_a_cache_equals_full_logits(lib, name):
    model = make(lib, name)
    tokens = Batch(model.config, 2, 40).tokens
    full, cache = model.logits(tokens), model.cache(2, 40)
    bound = CACHED[lib.dtype]
    assert_close(model.extend(cache, [0, 1], tokens[:, :3]), full[:, 2], bound)
    for t in range(3, 40):
        assert_close(model.extend(cache, [1, 0], tokens[::-1, t:t + 1])[::-1], full[:, t],
                     bound, 1.0)


@each_config
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


@each_config
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


@each_config
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


@each_config
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
    for slot, length, words in (3, 1, "no slot 3"), (0, 41, "length is 41"), (0, -1, "length is -1"):
        with pytest.raises(ChatError, match=words):
            cache.resize(slot, length)


def test_training_between_two_tokens_leaves_the_cache_alone(lib):
    model = make(lib, "qwen3")
    batch, caches = Batch(model.config, 4, 40), [model.cache(1, 40) for _ in range(2)]
    for cache in caches:
        model.extend(cache, [0], [batch.tokens[0, :9]])
    want = model.extend(caches[0], [0], [[5]])
    model.forward(*batch[ALL])
    assert np.array_equal(model.extend(caches[1], [0], [[5]]), want)


# ---- Errors --------------------------------------------------------------------------------------

@pytest.mark.parametrize("changes, words", [
    (dict(heads=0), "heads is 0"),
    (dict(kv_heads=0), "kv_heads is 0"),
    (dict(kv_heads=5), "kv_heads is 5"),
    (dict(heads=6, kv_heads=4), "heads .6. is not a multiple of kv_heads .4."),
    (dict(head_dim=7), "head_dim is 7"),
    (dict(head_dim=258), "head_dim is 258"),
    (dict(vocab=2**31 - 1), "vocab is 2147483647"),
    (dict(vocab=0), "vocab is 0"),
    (dict(vocab=2**31), "does not fit"),
    (dict(layers=10**9), "layers is 1000000000"),
    (dict(layers=-1), "layers is -1"),
    (dict(context=0), "context is 0"),
    (dict(channels=-24), "channels is -24"),
    (dict(hidden=0), "hidden is 0"),
    (dict(norm=2), "norm is 2"),
    (dict(position=-1), "position is -1"),
    (dict(activation=9), "activation is 9"),
    (dict(bias=3), "bias is 3"),
    (dict(qk_norm=2), "qk_norm is 2"),
    (dict(norm_eps=float("nan")), "norm_eps is .*nan"),
    (dict(norm_eps=0.0), "norm_eps is 0"),
    (dict(rope_theta=float("nan")), "rope_theta is .*nan"),
    (dict(rope_theta=float("inf")), "rope_theta is inf"),
    (dict(rope_factor=0.5), "rope_factor is 0.5"),
    (dict(rope_factor=8.0, rope_low=4.0, rope_high=4.0, rope_context=32), "rope_high .4."),
    (dict(rope_factor=8.0, rope_context=0), "rope_context .0."),
    (dict(vocab=2**24, channels=2**20, layers=10000), "needs .* GB"),
])
def test_an_absurd_config_is_refused_by_name(lib, changes, words):
    with pytest.raises(ChatError, match=words):
        Model.create(like(**changes), lib.device, lib.dtype)


def test_a_token_outside_the_vocabulary_is_named_with_its_place(lib):
    model = make(lib, "qwen3", vocab=50257, layers=1)
    tokens = np.zeros((4, 20), int)
    tokens[3, 17] = 50300
    words = r"token 50300 at \(3,17\) is outside the vocabulary of 50257"
    for call in (lambda: model.forward(tokens, tokens * 0), lambda: model.logits(tokens)):
        with pytest.raises(ChatError, match=words):
            call()
    with pytest.raises(ChatError, match=words.replace("token", "target")):
        model.forward(tokens * 0, tokens)
    with pytest.raises(ChatError, match=r"token -1 at \(0,0\)"):
        model.logits(np.full((1, 1), -1))
    with pytest.raises(ChatError, match="target -2"):
        model.forward(tokens * 0, tokens * 0 - 2)
    with pytest.raises(ChatError, match="token 50257 .* is outside the vocabulary of 50257"):
        model.extend(model.cache(1, 10), [0], [[5, 50257]])


def test_a_batch_must_fit_the_model(lib):
    model, batch = make(lib, "qwen3"), Batch(QWEN3)
    with pytest.raises(ChatError, match="41 tokens in a row, but the model's context is 40"):
        model.logits(np.zeros((1, 41), int))
    with pytest.raises(ChatError, match="empty"):
        model.logits(np.zeros((1, 0), int))
    with pytest.raises(ChatError, match="needs targets"):
        model.forward(batch.tokens)
    for doc_start, words in (([0, 2, 2], r"doc_start is 2 at \(0,1\)"),
                         ([0, 1, 0], r"doc_start is 0 at \(0,2\)"),
                         ([0, -1, 0], "doc_start is -1"), ([1, 1, 1], "doc_start is 1")):
        with pytest.raises(ChatError, match=words):
            model.forward([[1, 2, 3]], [[1, 2, 3]], [doc_start])
    for wrong in (dict(targets=batch.targets[:1]), dict(doc_start=batch.doc_start[:, :1]),
                  dict(weights=batch.weights[:1])):
        with pytest.raises(ValueError, match="shape"):
            model.forward(**dict(tokens=batch.tokens, targets=batch.targets) | wrong)
    with pytest.raises(TypeError, match="integers"):
        model.forward(batch.tokens + 0.5, batch.targets)
    with pytest.raises(ValueError, match="32 bits"):
        model.logits([[2**32]])


def test_backward_needs_its_forward(lib):
    model, batch = make(lib, "qwen3"), Batch(QWEN3)
    with pytest.raises(ChatError, match="needs a model_forward"):
        model.core.call("model_backward", model.handle, batch.weights, 0)
    learn(model, batch)
    with pytest.raises(ChatError, match="needs a model_forward"):
        model.backward(batch.weights)
    model.forward(*batch[ALL])
    with pytest.raises(ChatError, match="neither"):
        model.backward()
    model.forward(*batch[ALL], weights=batch.weights)
    with pytest.raises(ChatError, match="already"):
        model.backward(batch.weights)
    cache = model.cache(1, 4)
    for between in (lambda: model.logits(batch.tokens), lambda: model.extend(cache, [0], [[1]])):
        model.forward(*batch[ALL])
        between()
        with pytest.raises(ChatError, match="needs a model_forward"):
            model.backward(batch.weights)


@pytest.mark.parametrize("wrong, words", [
    (dict(step=0), "step is 0"), (dict(lr=-1.0), "lr is -1"), (dict(lr=np.nan), "lr is .*nan"),
    (dict(beta1=1.0), "beta1 is 1, but must be from 0 to below 1"), (dict(beta1=-0.1), "beta1 is"),
    (dict(beta2=1.5), "beta2 is 1.5"), (dict(beta2=float("nan")), "beta2 is .*nan"),
    (dict(eps=0.0), "eps is 0"), (dict(eps=float("inf")), "eps is inf"),
    (dict(weight_decay=-5.0), "weight_decay is -5, but must be 0 or more"),
    (dict(weight_decay=20.0), "times weight_decay .20. is over 1"),
    (dict(grad_scale=float("inf")), "grad_scale is inf")])
def test_absurd_settings_of_adamw_are_refused_by_name(lib, wrong, words):
    model = make(lib, "smallest")
    before = model.weights()
    with pytest.raises(ChatError, match="AdamW's .*" + words):
        model.update(**dict(step=1, lr=0.1) | wrong)
    assert_same(model.weights(), before)


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
