"""Adapters (LoRA) in the core: against dense models whose weights are W + B A."""

from dataclasses import replace

import numpy as np
import pytest

from csrc.bind import (GENERATES, NO_MASTERS, RECOMPUTE, RECOMPUTE_BLOCKS, TRAINS, ChatError,
                       Model)
from kernel_calls import rounded
from model_cases import (BOUND, CACHED, CONFIGS, Batch, assert_close, assert_close_gradients,
                         assert_same, learn, make)

NAMES = [name for name in CONFIGS if name != "smallest"]
PARTS = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}


def adapted(lib, base, r=2, flags=TRAINS, seed=3):
    """The same model with adapters, B not 0, and {name of an adapter: (A, B)}."""
    config = replace(base.config, lora=r)
    model, rng, pairs = Model(config, lib.device, lib.dtype, flags), np.random.default_rng(seed), {}
    for name, shape, _ in model.tensors:
        values = base.read(name) if name in base.index else \
            rounded(lib, 0.5 * rng.standard_normal(shape) / np.sqrt(shape[1]))
        model.write(name, values)
        if ".lora_" in name:
            pairs.setdefault(name.partition(".lora_")[0], []).append(values)
    return model, pairs


def of_product(model, adapter):
    """The names of the dense tensors that an adapter belongs to, in their order."""
    place, _, kind = adapter.rpartition(".")
    names = [f"{place}.{part}.weight" for part in PARTS.get(kind, (kind,))]
    assert all(name in model.index for name in names)
    return names


def merge(model, pairs):
    """Add B A to the dense model's weights."""
    for adapter, (a, b) in pairs.items():
        names, first = of_product(model, adapter), 0
        for name in names:
            w = model.read(name)
            model.write(name, w + b[first:first + len(w)] @ a)
            first += len(w)
        assert first == len(b)


@pytest.mark.usefixtures("some_on_shim")
@pytest.mark.parametrize("name", NAMES)
def test_an_adapter_is_what_the_same_change_of_the_weights_is(lib, name):
    """Losses, logits in a cache, and dA = B^T dW, dB = dW A^T; all but experts have one."""
    dense = make(lib, name)
    model, pairs = adapted(lib, dense)
    c, batch = model.config, Batch(model.config)
    experts = sum(c.experts and (l + 1) % c.expert_period == 0 for l in range(c.layers))
    assert len(pairs) == 4 * c.layers - 2 * experts
    merge(dense, pairs)
    assert_close(learn(model, batch, fused=True), learn(dense, batch, fused=True), BOUND[lib.dtype])
    got, want = {}, {}
    for adapter, (a, b) in pairs.items():
        dw = np.concatenate([dense.read(x, "gradient") for x in of_product(dense, adapter)])
        want |= {f"{adapter}.lora_A.weight": b.T @ dw, f"{adapter}.lora_B.weight": dw @ a.T}
        got |= {x: model.read(x, "gradient") for x in want if x not in got}
    if c.scalar:                                 # that head learns as well
        got["score.weight"], want["score.weight"] = (
            one.read("score.weight", "gradient") for one in (model, dense))
    assert_close_gradients(got, want, 2 * BOUND[lib.dtype])
    assert model.frozen == set(model.index) - set(want)
    logits = dense.logits(batch.tokens[:1])[0]
    cache = model.cache(1, 19)
    assert_close(model.extend(cache, [0], [batch.tokens[0]], every=True), logits, CACHED[lib.dtype])


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen3moe"])
def test_an_adapter_whose_b_is_0_changes_no_bit(lib, name):
    dense = make(lib, name)
    model, pairs = adapted(lib, dense)
    for adapter, (_, b) in pairs.items():
        model.write(f"{adapter}.lora_B.weight", 0 * b)
    batch = Batch(model.config)
    if lib.device == "cpu" or model.config.activation:       # a GPU's product takes the gelu itself
        assert np.array_equal(model.forward(*batch[:]), dense.forward(*batch[:]))
    assert_close(model.forward(*batch[:]), dense.forward(*batch[:]), BOUND[lib.dtype])


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2", "qwen3moe"])
def test_only_adapters_move_and_recomputation_gives_the_same_bits(lib, name):
    results = []
    for flags in 0, RECOMPUTE, RECOMPUTE_BLOCKS, NO_MASTERS:
        dense = make(lib, name)
        model, pairs = adapted(lib, dense, flags=TRAINS + flags)
        batch = Batch(model.config)
        before = [model.read(name) for name in model.index if name not in model.frozen]
        for step in 1, 2:
            model.zero_grad()
            loss = learn(model, batch, fused=True)
            model.update(step, lr=0.01)
        learned = {x: model.read(x) for x in model.index if x not in model.frozen}
        assert all(not np.array_equal(*two) for two in zip(before, learned.values()))
        results.append(learned | {"loss": loss})
    for result in results[1:3 if lib.dtype == "bf16" else 4]:    # of bf16 the last rounds by chance
        assert_same(results[0], result)
    for adapter, (a, b) in pairs.items():
        pairs[adapter] = learned[f"{adapter}.lora_A.weight"], learned[f"{adapter}.lora_B.weight"]
    merge(dense, pairs)                          # nothing else has moved
    assert_close(model.forward(*batch[:]), dense.forward(*batch[:]), BOUND[lib.dtype])


def test_frozen_weights_lie_in_memory_once_and_have_nothing_else(lib):
    dense = replace(CONFIGS["llama"], channels=128, hidden=256, head_dim=32, layers=4)
    config = replace(dense, lora=4)
    model = Model(config, lib.device, lib.dtype)
    learned = sum(np.prod(shape) for name, shape, _ in model.tensors if name not in model.frozen)
    full, least, got = (lib.memory(c, flags, 64) for c, flags in (
        (dense, TRAINS), (dense, GENERATES), (config, TRAINS)))
    assert learned == 4 * 4 * (128 + 256 + 128 + 128 + 128 + 512 + 256 + 128)
    for kind, size in ("gradients", 4), ("moments", 8), ("masters", 4 * (lib.dtype == "bf16")):
        assert got[kind] == size * learned < full[kind] or not size
    if lib.device == "cpu":
        assert got["weights"] < 1.2 * least["weights"] < 0.7 * full["weights"]
        with pytest.raises(ChatError, match="q_proj.weight is frozen and packed: it cannot be"):
            model.read("model.layers.0.self_attn.q_proj.weight")
    assert model.read("model.layers.0.self_attn.qkv_proj.lora_A.weight").shape == (4, 128)
    with pytest.raises(ChatError, match="norm.weight is frozen: it has no gradient"):
        model.read("model.norm.weight", "gradient")


@pytest.mark.parametrize("name, r, said", [
    ("llama", 25, "lora is 25, but must be at most 24: a matrix of 24 rows or columns has no"),
    ("llama", -1, "lora is -1, but must be from 0")])
def test_a_rank_that_no_matrix_has_is_refused(lib, name, r, said):
    with pytest.raises(ChatError, match=said):
        Model(replace(CONFIGS[name], lora=r), lib.device, lib.dtype)
