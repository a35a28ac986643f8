"""The models and batches of test_model.py and test_decoding.py, and how results are compared; no
tests.

The error of a tensor is measured against its own size: in f32 it stays below 1e-5 of that. bf16
rounds every activation to 1/256, a dozen times a block, and the bound is 1/10. Where chat.h
promises the same bits, both must give the same bits.
"""

import dataclasses

import numpy as np
import pytest

from csrc.bind import Model
from csrc.config import (BIAS_ALL, BIAS_MLP, BIAS_NONE, BIAS_PROJ, BIAS_QKV, GEGLU, GELU, GELU_ERF,
                         LAYERNORM, LEARNED, PARALLEL, PARALLEL_SHARED, PLAINNORM, POST_NORM,
                         QK_WIDE, SANDWICH, Config)
from kernel_calls import rounded

QWEN3 = Config(vocab=131, context=40, layers=2, channels=24, heads=4, kv_heads=2, head_dim=16,
               hidden=40)


def like(**changes):
    return dataclasses.replace(QWEN3, **changes)


LLAMA3 = (("factor", 8.0), ("high_freq_factor", 4.0), ("low_freq_factor", 1.0),
          ("original_max_position_embeddings", 32), ("rope_type", "llama3"))
CONFIGS = {
    "gpt2": like(norm=LAYERNORM, position=LEARNED, activation=GELU, bias=BIAS_ALL, qk_norm=0,
                 kv_heads=4, head_dim=6, norm_eps=1e-5),
    "llama": like(qk_norm=0, tied=0, head_dim=6, vocab=128, rope_theta=5e5, rope_scaling=LLAMA3),
    "qwen3": QWEN3,
    "qwen2": like(bias=BIAS_QKV, qk_norm=0, vocab=7, layers=3),
    "multi-query": like(norm=LAYERNORM, activation=GELU, bias=BIAS_NONE, heads=3, kv_heads=1,
                        head_dim=10),
    "untied": like(norm=LAYERNORM, bias=BIAS_ALL, tied=0, position=LEARNED, vocab=257, channels=17),
    "windows": like(window=5, window_period=3, layers=3, kv_heads=1),
    "scalar": like(scalar=1),
    "neox": like(norm=LAYERNORM, activation=GELU_ERF, bias=BIAS_ALL, block=PARALLEL, qk_norm=0,
                 rotary_dim=4, tied=0),
    "falcon": like(norm=LAYERNORM, activation=GELU_ERF, block=PARALLEL_SHARED, kv_heads=1,
                   qk_norm=0, bias=BIAS_MLP),
    "olmo": like(norm=PLAINNORM, qk_norm=0, head_dim=6, bias=BIAS_PROJ),
    "olmo2": like(block=POST_NORM, qk_norm=QK_WIDE, tied=0),
    "gemma2": like(block=SANDWICH, activation=GEGLU, qk_norm=0, window=5, window_period=2,
                   embedding_scale=4.9, attention_scale=0.3, attention_cap=2.0, logit_cap=3.0),
    "gemma3": like(block=SANDWICH, activation=GEGLU, window=5, window_period=2, rope_theta=1e6,
                   rope_local_theta=100.0, rope_scaling=(("factor", 8.0), ("rope_type", "linear"))),
    "qwen3moe": like(experts=4, experts_used=3, expert_hidden=17, expert_period=2),
    "smallest": like(vocab=2, layers=1, channels=2, heads=1, kv_heads=1, head_dim=2, hidden=1),
}
BOUND = {"f32": 1e-5, "bf16": 0.1}
CACHED = {"f32": 1e-5, "bf16": 0.05}             # of logits, by another way through the same model
ALL = slice(None)

each_config = pytest.mark.parametrize("name", CONFIGS)
# The same, but where a CPU plays the GPU, and a step takes seconds, for some that have between them
# every kernel and kind of block.
SOME = "gpt2", "neox", "olmo2", "gemma2", "qwen3moe"


def each_config_or_some(test):
    return each_config(pytest.mark.usefixtures("some_on_shim")(test))


def make(lib, name, **changes):
    """A model whose weights are large enough for every part to matter, and `real` can hold."""
    config = dataclasses.replace(CONFIGS[name], **changes)
    model, rng = Model(config, lib.device, lib.dtype), np.random.default_rng(1)
    for tensor, shape, _ in model.tensors:
        values = rng.standard_normal(shape) / np.sqrt(shape[-1])
        if len(shape) == 1:
            values = 0.3 * rng.standard_normal(shape) + (not tensor.endswith(".bias"))
        model.write(tensor, rounded(lib, values))
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
