"""The families of Hugging Face folders: what their config.json means, and RoPE's scalings.

Whether transformers computes the same is for test_transformers.py.
"""

import json
import math

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from csrc import hf
from csrc.bind import ChatError, Model
from csrc.config import Config, rope_rows
from csrc.families import MODEL_TYPES, read_config
from folders import CONFIGS, SIZES, edit, random_model, same_weights


@pytest.mark.parametrize("name, changes, fields", [
    ("MistralForCausalLM", dict(sliding_window=...), dict(window=4096)),
    ("MistralForCausalLM", dict(sliding_window=None), dict(window=0)),
    ("MistralForCausalLM", dict(head_dim=..., hidden_size=24), dict(head_dim=6)),
    ("Qwen2ForCausalLM", dict(num_key_value_heads=None), dict(kv_heads=4)),
    ("Qwen2ForCausalLM", dict(use_sliding_window=True, max_window_layers=..., sliding_window=4),
     dict(window=0)),
    ("Qwen3ForCausalLM", dict(rope_theta=..., rope_parameters=...), dict(rope_theta=10000.0)),
    ("GPT2LMHeadModel", dict(n_positions=..., n_inner=...), dict(context=1024, hidden=64)),
    ("Gemma2ForCausalLM", dict(layer_types=..., sliding_window_pattern=..., sliding_window=...,
                               attn_logit_softcapping=..., final_logit_softcapping=...,
                               query_pre_attn_scalar=...),
     dict(window=4096, window_period=2, attention_cap=50.0, logit_cap=30.0, attention_scale=1/16)),
    ("Gemma3ForCausalLM", dict(rope_theta=..., rope_parameters=..., rope_local_base_freq=...),
     dict(rope_theta=1e6, rope_local_theta=1e4)),
    ("GPTNeoXForCausalLM", dict(rotary_pct=..., partial_rotary_factor=..., rope_parameters=...,
                                hidden_size=32), dict(rotary_dim=2)),
    ("MixtralForCausalLM", dict(num_local_experts=..., num_experts_per_tok=..., rope_theta=...,
                                rope_parameters=...),
     dict(experts=8, experts_used=2, expert_norm=1, rope_theta=1e6)),
    ("Qwen3MoeForCausalLM", dict(num_experts=..., num_experts_per_tok=..., norm_topk_prob=...,
                                 moe_intermediate_size=..., decoder_sparse_step=...),
     dict(experts=128, experts_used=8, expert_norm=0, expert_hidden=768, expert_period=1)),
    ("Qwen3MoeForCausalLM", dict(num_experts=..., num_local_experts=6), dict(experts=6)),
    ("FalconForCausalLM", dict(multi_query=..., parallel_attn=..., ffn_hidden_size=...),
     dict(kv_heads=1, hidden=64)),
])
def test_what_is_absent_means_what_it_does_in_transformers(name, changes, fields, tmp_path):
    hf.save(random_model(CONFIGS[name]), tmp_path)
    edit(tmp_path, **changes)
    _, config = read_config(json.loads((tmp_path / "config.json").read_text()))
    assert {key: getattr(config, key) for key in fields} == fields


@pytest.mark.parametrize("name, changes, message", [
    ("FalconForCausalLM", dict(alibi=True), "alibi is True"),
    ("OlmoForCausalLM", dict(clip_qkv=8.0), "clip_qkv is 8.0"),
    ("OlmoForCausalLM", dict(architectures=["OlmoForSequenceClassification"]), "there is no Olmo"),
    ("Gemma3ForCausalLM", dict(model_type="gemma3"), "model_type is 'gemma3'"),
    ("Gemma3ForCausalLM", dict(use_bidirectional_attention=True), "use_bidirectional_attention"),
    ("GPTNeoXForCausalLM", dict(hidden_act="gelu_new"), "hidden_act is 'gelu_new'"),
    ("GPTNeoXForCausalLM", dict(rotary_pct=0.25), "partial_rotary_factor is 0.25 in one"),
    ("Qwen3MoeForCausalLM", dict(mlp_only_layers=[1]), r"mlp_only_layers is \[1\]"),
    ("Qwen3MoeForCausalLM", dict(use_sliding_window=True), "use_sliding_window is True"),
    ("Qwen3MoeForCausalLM", dict(num_experts=0), "num_experts is 0, but must be a whole number"),
    ("Qwen3MoeForCausalLM", dict(num_experts_per_tok=5), "experts_used is 5, but must be from 1"),
    ("Qwen3MoeForCausalLM", dict(num_experts=5),
     r"mlp.gate.weight is \(4, 16\), but config.json makes it \(5, 16\)"),
    ("Qwen3MoeForCausalLM", dict(decoder_sparse_step=3), "is no model.layers.1.mlp.gate_proj"),
    ("Qwen3MoeForCausalLM", dict(model_type="qwen2_moe"), "model_type is 'qwen2_moe'"),
    ("MixtralForCausalLM", dict(shared_expert_intermediate_size=8), "shared_expert_intermediate"),
    ("LlamaForCausalLM with biases", dict(mlp_bias=False), "without model.layers.0.mlp"),
])
def test_what_no_code_is_for_is_named(name, changes, message, tmp_path):
    hf.save(random_model(CONFIGS[name]), tmp_path)
    edit(tmp_path, **changes)
    with pytest.raises(ChatError, match=message):
        Model.load(tmp_path)


def test_the_tensor_that_an_expert_lacks_is_named(tmp_path):
    hf.save(random_model(CONFIGS["MixtralForCausalLM"]), tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors.pop(lost := "model.layers.1.block_sparse_moe.experts.2.w3.weight")
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ChatError, match=f"there is no {lost}, which config.json makes"):
        Model.load(tmp_path)


def test_a_model_is_saved_in_the_family_that_it_was_loaded_in(tmp_path):
    """A Phi-3 computes as a Llama does."""
    model = random_model(Config(**SIZES, qk_norm=0))
    model.family = MODEL_TYPES["phi3"]
    hf.save(model, tmp_path)
    names = load_file(tmp_path / "model.safetensors").keys()
    assert "model.layers.0.self_attn.qkv_proj.weight" in names
    again = Model.load(tmp_path)
    assert same_weights(again, model)
    hf.save(again, tmp_path / "again")
    assert load_file(tmp_path / "again" / "model.safetensors").keys() == names


# ---- RoPE's scalings, by hand --------------------------------------------------------------------

def rows(theta=10000.0, head_dim=8, context=64, **rope):
    config = Config(**SIZES | {"head_dim": head_dim, "context": context}, rope_theta=theta,
                    rope_scaling=tuple(rope.items()))
    return rope_rows(config)[0]


def test_llama_3_1_s_scaling_has_three_bands():
    """Of Llama 3.1 8B (theta 500000, D 128, factor 8) the first frequency is left alone and the
    last divided by 8; a turn in 4096 tokens, two in 8192, blends (2-1)/(4-1)."""
    rope = dict(rope_type="llama3", factor=8, low_freq_factor=1, high_freq_factor=4,
                original_max_position_embeddings=8192)
    factor, *scaled = rows(5e5, 128, **rope)
    assert factor == 1 and scaled[0] == 1
    assert scaled[-1] == pytest.approx(5e5 ** (-63 / 64) / 8, rel=1e-12)
    slow = 2 * np.pi / 4096                      # the second of D = 4 is theta^(-1/2)
    assert rows(slow**-2, 4, **rope)[2] == pytest.approx(slow * (1 / 3 + 2 / 3 / 8), rel=1e-12)


def test_a_dynamic_base_grows_only_beyond_the_trained_context():
    """At twice of it and with factor 2 the base is 3^(8/6) times as large."""
    rope = dict(rope_type="dynamic", factor=2.0, original_max_position_embeddings=64)
    assert np.array_equal(rows(**rope), rows())
    assert rows(context=128, **rope)[2] == pytest.approx(30000.0**-0.25 * 3**(-1 / 12), rel=1e-12)


def test_longrope_has_factors_for_short_and_for_long_contexts():
    rope = dict(rope_type="longrope", factor=4.0, original_max_position_embeddings=64,
                short_factor=(1.0, 1.0, 1.0, 2.0), long_factor=(3.0,) * 4)
    assert rows(**rope)[4] == rows()[4] / 2
    long = rows(context=65, **rope)
    assert np.allclose(long[1:], rows()[1:] / 3, rtol=1e-12)
    assert long[0] == pytest.approx(math.sqrt(1 + math.log(4) / math.log(64)))


def test_yarn_keeps_what_turns_often_and_warms_the_softmax():
    rope = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=4096)
    factor, *scaled = rows(10000.0, 64, **rope)
    plain = rows(10000.0, 64)[1:]
    assert factor == pytest.approx(0.1 * math.log(4) + 1)
    assert scaled[0] == plain[0] and scaled[-1] == pytest.approx(plain[-1] / 4, rel=1e-12)
    assert rows(10000.0, 64, attention_factor=1.5, **rope)[0] == 1.5


def test_only_the_first_channels_turn():
    config = Config(**SIZES | {"head_dim": 8}, rotary_dim=4)
    assert np.array_equal(rope_rows(config), [[1, 1, 0.01, 0, 0]])
