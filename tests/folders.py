"""Models for test_hf.py and test_transformers.py to put into Hugging Face folders; no tests."""

import json

import numpy as np
import pytest

from csrc.bind import ChatError, Library, Model
from csrc.config import (BIAS_ALL, BIAS_MLP, BIAS_QKV, GEGLU, GELU, GELU_ERF, LAYERNORM, LEARNED,
                         PARALLEL, PARALLEL_SHARED, PLAINNORM, POST_NORM, QK_WIDE, SANDWICH, Config)

SIZES = dict(vocab=61, context=40, layers=2, channels=16, heads=4, kv_heads=2, head_dim=6,
             hidden=20)
SQUARE = dict(kv_heads=4, head_dim=4)            # what GPT-2 insists on
GPT2 = dict(norm=LAYERNORM, position=LEARNED, activation=GELU, bias=BIAS_ALL, qk_norm=0,
            norm_eps=1e-5)


def llama3(context):
    return dict(rope_theta=500000.0, rope_scaling=(
        ("rope_type", "llama3"), ("factor", 8.0), ("low_freq_factor", 1.0),
        ("high_freq_factor", 4.0), ("original_max_position_embeddings", context)))


YARN = dict(rope_scaling=(("rope_type", "yarn"), ("factor", 4.0),
                          ("original_max_position_embeddings", 10)))
NEOX = dict(norm=LAYERNORM, activation=GELU_ERF, qk_norm=0, norm_eps=1e-5)
GEMMA = dict(activation=GEGLU, embedding_scale=4.0)              # the square root of 16 channels
GEMMA2 = dict(GEMMA, block=SANDWICH, attention_scale=6**-0.5)

CONFIGS = {
    "GPT2LMHeadModel": Config(**{**SIZES, **SQUARE}, **GPT2),
    "GPT2LMHeadModel untied": Config(**{**SIZES, **SQUARE}, **GPT2, tied=0),
    "GPT2ForSequenceClassification": Config(**{**SIZES, **SQUARE}, **GPT2, scalar=1),
    "LlamaForCausalLM": Config(**SIZES, qk_norm=0, tied=0, **llama3(32)),
    "LlamaForCausalLM with biases": Config(**SIZES, qk_norm=0, bias=BIAS_ALL),
    "LlamaForSequenceClassification": Config(**SIZES, qk_norm=0, scalar=1),
    "MistralForCausalLM": Config(**SIZES, qk_norm=0, tied=0, window=7),
    "Qwen3ForCausalLM with windows": Config(**{**SIZES, "layers": 3}, window=5, window_period=2),
    "Qwen2ForCausalLM": Config(**SIZES, qk_norm=0, bias=BIAS_QKV, rope_theta=1e6),
    "Qwen2ForSequenceClassification": Config(**SIZES, qk_norm=0, bias=BIAS_QKV, scalar=1),
    "Qwen3ForCausalLM": Config(**SIZES, rope_theta=1e6),
    "Qwen3ForCausalLM untied": Config(**SIZES, tied=0),
    "Qwen3ForSequenceClassification": Config(**SIZES, scalar=1),
    "Qwen3ForCausalLM with yarn": Config(**SIZES, **YARN),
    "MixtralForCausalLM": Config(**SIZES, qk_norm=0, tied=0, norm_eps=1e-5, rope_theta=1e6,
                                 experts=3, experts_used=2, expert_hidden=20, expert_norm=1,
                                 expert_period=1),
    "Qwen3MoeForCausalLM": Config(**SIZES, experts=4, experts_used=3, expert_hidden=12,
                                  expert_period=2),
    "Qwen3MoeForSequenceClassification": Config(**SIZES, experts=4, experts_used=1,
                                                expert_hidden=12, expert_norm=1, expert_period=1,
                                                scalar=1),
    "GemmaForCausalLM": Config(**SIZES, qk_norm=0, **GEMMA),
    "Gemma2ForCausalLM": Config(**SIZES, qk_norm=0, **GEMMA2, window=7, window_period=2,
                                attention_cap=5.0, logit_cap=3.0),
    "Gemma3ForCausalLM": Config(**SIZES, **GEMMA2, window=7, window_period=2, rope_theta=1e6,
                                rope_local_theta=100.0,
                                rope_scaling=(("rope_type", "linear"), ("factor", 8.0))),
    "OlmoForCausalLM": Config(**SIZES | {"head_dim": 4}, norm=PLAINNORM, qk_norm=0, tied=0,
                              norm_eps=1e-5),
    "Olmo2ForCausalLM": Config(**SIZES | {"head_dim": 4}, block=POST_NORM, qk_norm=QK_WIDE),
    "GPTNeoXForCausalLM": Config(**{**SIZES, **SQUARE}, **NEOX, bias=BIAS_ALL, block=PARALLEL,
                                 rotary_dim=2, tied=0),
    "GPTNeoXForSequenceClassification": Config(**{**SIZES, **SQUARE}, **NEOX, bias=BIAS_MLP,
                                               rotary_dim=2, scalar=1),
    "FalconForCausalLM": Config(**SIZES | {"kv_heads": 1, "head_dim": 4}, **NEOX,
                                block=PARALLEL_SHARED),
    "FalconForCausalLM with two norms": Config(**SIZES | {"head_dim": 4}, **NEOX, block=PARALLEL,
                                               bias=BIAS_ALL, tied=0),
}


def library_or_skip(dtype):
    try:
        Library.load("cpu", dtype)
    except ChatError as error:
        pytest.skip(str(error))


def random_model(config, dtype="f32", seed=0, deviation=0.2):
    """Every tensor random, biases and norms too, so that no mistake hides behind a 0 or a 1."""
    model, rng = Model(config, dtype=dtype), np.random.default_rng(seed)
    for name, shape, matrix in model.tensors:
        centre = 0.0 if matrix or name.endswith(".bias") else 1.0
        model.write(name, centre + deviation * rng.standard_normal(shape))
    return model


def same_weights(a, b):
    assert a.index == b.index
    return all(a.read(name).tobytes() == b.read(name).tobytes() for name in a.index)


def edit(folder, **changes):
    """Change keys of config.json; ... removes one."""
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in config.items() if v is not ...}))
