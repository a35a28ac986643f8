"""csrc/model.c: whole models in training against tests/ref.py, for every architecture."""

import numpy as np
import pytest

import ref
from csrc.bind import MUON, NO_MASTERS, RECOMPUTE, RECOMPUTE_BLOCKS, TRAINS, ChatError, Model
from csrc.config import GELU
from kernel_calls import rounded
from model_cases import (ALL, BOUND, CONFIGS, LLAMA3, QWEN3, Batch, assert_close,
                         assert_close_gradients, assert_same, each_config, each_config_or_some,
                         gradients, learn, like, make)

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
@each_config_or_some
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


def small_and_large(lib, name):
    """Yield (model, B, T); of each kind of head also one that has more rows than there are logits
    at one time (512)."""
    yield make(lib, name), 4, 19
    if name in ("qwen3", "untied", "gemma2", "scalar"):
        yield make(lib, name, layers=1), 14, 40


@each_config_or_some
def test_it_does_not_matter_whether_a_row_of_no_weight_has_a_target(lib, name):
    """Sums are in another order."""
    if CONFIGS[name].scalar:
        pytest.skip("a scalar head has no targets")
    for model, B, T in small_and_large(lib, name):
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


@each_config_or_some
def test_the_fused_path_gives_the_same_bits(lib, name):
    for model, B, T in small_and_large(lib, name):
        batch, results = Batch(model.config, B, T), []
        for fused in False, True:
            model.zero_grad()
            out = learn(model, batch, fused=fused)
            results.append(gradients(model) | {"out": out})
        assert_same(*results)


@pytest.mark.parametrize("flags", [RECOMPUTE, RECOMPUTE_BLOCKS])
@each_config_or_some
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


@each_config_or_some
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


@each_config_or_some
def test_accumulation_over_micro_batches_gives_one_gradient(lib, name):
    model = make(lib, name)
    batch = Batch(model.config)
    out, whole = learn(model, batch), gradients(model)
    for parts in 2, 4:
        model.zero_grad()
        size = 4 // parts
        outs = [learn(model, batch, slice(at, at + size)) for at in range(0, 4, size)]
        if lib.device == "cuda" and model.config.experts:        # it multiplies a few rows by
            assert_close(np.concatenate(outs), out, BOUND[lib.dtype] / 10)   # another way
        else:
            assert np.array_equal(np.concatenate(outs), out)
        assert_close_gradients(gradients(model), whole, 1e-6)


@each_config_or_some
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
        held = {name: rounded(lib, x) for name, (x, _, _) in state.items()}
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


def by_muon(model, state, gradients, step, weight_decay, lr, momentum=0.95):
    """ref.py's step with MUON: state, {tensor: (weight, m, v)}, becomes the next."""
    for names in ref.products(state):
        w, g, m = (np.concatenate(x) for x in zip(*(
            (state[name][0], gradients[name], state[name][1]) for name in names)))
        w, m = ref.muon(w, g, m, lr, momentum, weight_decay)
        ends = np.cumsum([len(state[name][0]) for name in names])[:-1]
        for name, w, m in zip(names, np.split(w, ends), np.split(m, ends)):
            state[name] = w, m, None
    for name in state.keys() - model.by_muon:
        (w, m, v), decay = state[name], weight_decay * (state[name][0].ndim == 2)
        state[name] = ref.adamw(w, gradients[name], m, v, step, lr, 0.9, 0.95, 1e-8, decay)


def start_of(model):
    return {name: (x.astype(np.float64), np.zeros(x.shape), np.zeros(x.shape))
            for name, x in model.weights().items()}


@each_config_or_some
def test_three_steps_of_muon_follow_ref(lib, name):
    """Given gradients whose singular values are far from 0: what is near 0 grows to 485 times of
    it, and with it errors of rounding."""
    config = CONFIGS[name]
    model, start = Model(config, lib.device, lib.dtype, TRAINS + MUON), make(lib, name).weights()
    for tensor, value in start.items():
        model.write(tensor, value)
    assert model.by_muon == {name for names in ref.products(model.index) for name in names}
    state, rng = start_of(model), np.random.default_rng(0)
    for step in 1, 2, 3:
        gradients = {tensor: rng.standard_normal(shape) for tensor, shape, _ in model.tensors}
        for tensor, value in gradients.items():
            model.write(tensor, value, "gradient")
        model.update(step, lr=0.1)
        by_muon(model, state, gradients, step, 0.1, 0.1)
    for tensor in model.by_muon:
        x, m, _ = state[tensor]
        way = x - start[tensor]
        bound = {"f32": 2e-4, "bf16": 0.1}[lib.dtype]
        assert_close(model.read(tensor) - start[tensor], way, bound, 0.1, tensor)
        assert_close(model.read(tensor, "moment1"), m, 1e-5, 0.1, tensor)
        with pytest.raises(ChatError, match="updated by Muon, which has no second moment"):
            model.read(tensor, "moment2")


@pytest.mark.parametrize("decades", [0, 1, 2, 3, 6])
def test_no_singular_value_of_a_step_of_muon_is_far_over_1(lib, decades):
    """However far a gradient's own fall. In bfloat16, with three iterations on the Gram matrix at a
    time, rounding let some grow without an end."""
    C, name = 128, "model.layers.0.self_attn.o_proj.weight"
    model = Model(like(channels=C, heads=2, kv_heads=2, head_dim=64), lib.device, lib.dtype,
                  TRAINS + MUON)
    rng = np.random.default_rng(0)
    for _ in range(10 if lib.device == "cpu" else 2):
        u, v = (np.linalg.qr(rng.standard_normal((C, C)))[0] for _ in range(2))
        model.write(name, np.zeros((C, C)))
        model.write(name, u * 10.0 ** -np.linspace(0, decades, C) @ v, "gradient")
        model.update(1, lr=5 / C ** 0.5, weight_decay=0, momentum=0)
        assert np.linalg.norm(model.read(name), 2) < 1.3


def test_losses_of_twenty_steps_of_muon_are_those_of_ref(lib):
    """Of three, where a CPU plays the GPU."""
    if lib.dtype == "bf16":
        pytest.skip("weights are rounded")
    steps = 20 if lib.device == "cpu" else 3
    config = like(vocab=61, channels=16, heads=2, hidden=24)
    model = Model.create(config, lib.device, lib.dtype, 1, TRAINS + MUON)
    state = start_of(model)
    for step in range(1, steps + 1):
        batch = Batch(config, 6, 24, seed=step % 4)
        weights = np.full(batch.tokens.shape, 1 / batch.tokens.size, np.float32)
        model.zero_grad()
        loss = (model.forward(*batch[ALL], weights) * weights).sum()
        model.backward()
        model.update(step, lr=0.01)
        held = {name: x for name, (x, _, _) in state.items()}
        out, cache = ref.forward(config, held, *batch[ALL])
        assert loss == pytest.approx(out.mean(), abs=1e-5)
        by_muon(model, state, ref.backward(cache, weights), step, 0.1, 0.01)
    assert steps < 20 or loss < 3.5


def test_where_there_is_no_gradient_muon_only_decays_and_with_adapters_it_is_refused(lib):
    model = Model.create(QWEN3, lib.device, lib.dtype, 0, TRAINS + MUON)
    before = model.weights()
    model.zero_grad()
    model.update(1, lr=0.5, weight_decay=0.5)
    for tensor in model.by_muon:
        assert np.array_equal(model.read(tensor), 0.75 * before[tensor])
    with pytest.raises(ChatError, match="Muon moves whole matrices, but with lora only adapters"):
        Model(like(lora=2), lib.device, lib.dtype, TRAINS + MUON)


@pytest.mark.parametrize("flags", [0, MUON])
@each_config_or_some
def test_one_and_two_threads_give_the_same_bits(lib, name, flags):
    """In a model so wide that kernels do share their work, as they do at any width on a GPU."""
    results, (width, B, T) = [], (200, 8, 40) if lib.device == "cpu" else (72, 2, 20)
    for threads in 1, 2:
        lib.call("device_threads", threads)
        made = make(lib, name, channels=width, hidden=width)
        model = Model(made.config, lib.device, lib.dtype, TRAINS + flags)
        for tensor, value in made.weights().items():
            model.write(tensor, value)
        batch = Batch(model.config, B, T)
        result = {"out": learn(model, batch)} | gradients(model)
        model.update(1, lr=0.1)
        extended = model.extend(model.cache(B, T), range(B), batch.tokens)
        results.append(result | {"logits": model.logits(batch.tokens), "extended": extended,
                                 "norm": model.grad_norm()})
    lib.call("device_threads", 1)
    assert_same(*results)


@each_config_or_some
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


@each_config_or_some
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
        held = {name: rounded(lib, x) for name, x in model.weights().items()}
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
    (dict(norm=3), "norm is 3"),
    (dict(position=-1), "position is -1"),
    (dict(activation=9), "activation is 9"),
    (dict(bias=8), "bias is 8"),
    (dict(qk_norm=3), "qk_norm is 3"),
    (dict(norm_eps=float("nan")), "norm_eps is .*nan"),
    (dict(norm_eps=0.0), "norm_eps is 0"),
    (dict(rope_theta=float("nan")), "rope_theta is .*nan"),
    (dict(rope_theta=float("inf")), "rope_theta is inf"),
    (dict(rope_scaling=LLAMA3 + (("low_freq_factor", 4.0),)), "high_freq_factor is 4"),
    (dict(rotary_dim=18), "rotary_dim is 18"), (dict(rotary_dim=3), "rotary_dim is 3"),
    (dict(block=5), "block is 5"),
    (dict(attention_cap=-1.0), "attention_cap is -1"),
    (dict(logit_cap=float("inf")), "logit_cap is inf"),
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
