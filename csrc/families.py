"""The families of models that Hugging Face folders hold: what a config.json of each means, and what
its tensors are called. The names and defaults are those of the classes of transformers.

    family, config = read_config(json.loads(Path("config.json").read_text()))
    raw = write_config(config, family_of(config))
    places(model.config, shapes, family)         # {a tensor of the file: its parts of ours}

Llama means Llama 1 to 3.3, SmolLM2, DeepSeek-R1's distillations and whatever else says so. What a
config.json asks for and Config cannot express is a ChatError that names it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from reprlib import repr as short
from typing import Callable, NamedTuple

import numpy as np

from csrc.config import (BIAS_ALL, BIAS_MLP, BIAS_NONE, BIAS_PROJ, BIAS_QKV, GEGLU, GELU, GELU_ERF,
                         LAYERNORM, LEARNED, PARALLEL, PARALLEL_SHARED, PLAINNORM, POST_NORM,
                         PRE_NORM, QK_HEAD, QK_PLAIN, QK_WIDE, RMSNORM, ROPE, SANDWICH, SWIGLU,
                         Config)
from csrc.files import ChatError

# The fields of Config that are one number in config.json, and what they are called there.
KEYS = {"vocab": "vocab_size", "context": "max_position_embeddings",
        "layers": "num_hidden_layers", "channels": "hidden_size", "heads": "num_attention_heads",
        "kv_heads": "num_key_value_heads", "head_dim": "head_dim", "hidden": "intermediate_size",
        "norm_eps": "rms_norm_eps", "tied": "tie_word_embeddings"}
KINDS = {int: "a whole number from 1 to 2147483647", float: "a number from 0 to 1e30",
         bool: "true or false"}

# Keys that change what a model computes, and the values under which it is what Config describes
# (absent and null always are). Dropout is not among them: it is a matter of training.
PLAIN = {
    "hidden_act": ["silu", "swish"], "scale_attn_weights": [True],
    "scale_attn_by_inverse_layer_idx": [False], "add_cross_attention": [False],
    "is_encoder_decoder": [False], "is_causal": [True], "pruned_heads": [{}],
    "attention_chunk_size": [], "use_mrope": [False], "attn_logit_softcapping": [],
    "final_logit_softcapping": [], "query_pre_attn_scalar": [], "quantization_config": [],
    "use_bidirectional_attention": [False], "clip_qkv": [], "attention_bias": [False],
    "mlp_bias": [False], "mlp_only_layers": [[]], "n_shared_experts": [0],
    "shared_expert_intermediate_size": [0], "routed_scaling_factor": [1.0],
    "scoring_func": ["softmax"],
}
# RoPE's scalings (csrc.config.SCALINGS): the parameters that each must have, and those it may have.
TRAINED = "original_max_position_embeddings"
SCALED = {"linear": (["factor"], []), "dynamic": (["factor", TRAINED], []),
          "llama3": (["factor", "low_freq_factor", "high_freq_factor", TRAINED], []),
          "yarn": (["factor", TRAINED], ["attention_factor", "beta_fast", "beta_slow", "mscale",
                                         "mscale_all_dim", "truncate"]),
          "longrope": (["factor", TRAINED, "short_factor", "long_factor"], ["attention_factor"])}
# What RoPE's parameters are called outside of rope_parameters.
STATED = {"rope_theta": "rope_theta", "rotary_emb_base": "rope_theta",
          "partial_rotary_factor": "partial_rotary_factor", "rotary_pct": "partial_rotary_factor"}


@dataclass(frozen=True)
class Family:
    """One row of the table.

    name       how its classes begin: NAMEForCausalLM
    kinds      the values of model_type that mean it, the one that is written first
    fixed      the fields of Config that its class decides
    keys       fields of Config whose keys are not those of KEYS; None: there is none
    defaults   what a key that is absent means; where it is null, that is for `read` to say
    plain      changes of PLAIN; None: `read` looks at it
    read       (raw, fields): more fields of Config
    write      config: more of config.json
    window     which layers have sliding_window: "" none, "all", "qwen" those that layer_types or
               max_window_layers says, or "gemma" all but each sliding_window_pattern-th
    thetas     RoPE's base where no key says; and that of layers with a window, if it is another
    rotary     the part of a head that RoPE turns where no key says; 0: it always turns all
    names      patterns of our tensors' names, and what they are there, one after the other
    fused      how one tensor there holds queries, keys and values: "rows" one behind the other,
               "groups" by the key/value heads, each behind its queries; "" they are three
    offset     what our norms' weights are more than theirs
    """

    name: str
    kinds: tuple[str, ...]
    fixed: dict
    keys: dict = field(default_factory=dict)
    defaults: dict = field(default_factory=dict)
    plain: dict = field(default_factory=dict)
    read: Callable = lambda raw, fields: {}
    write: Callable = lambda config: {}
    window: str = ""
    thetas: tuple[float, ...] = (10000.0,)
    rotary: float = 0.0
    names: tuple = ()
    fused: str = ""
    prefix: str = "model."
    head: str = "lm_head.weight"
    offset: float = 0.0

    def architecture(self, scalar: int) -> str:
        """The name of the class in transformers."""
        head = "LMHeadModel" if self.name == "GPT2" else "ForCausalLM"
        return self.name + ("ForSequenceClassification" if scalar else head)


# ---- What a row of the table cannot say by itself ------------------------------------------------

def read_biases(raw, fields):
    """Of attention, and of the MLP."""
    attention, mlp = (take(raw, key, bool, False) for key in ("attention_bias", "mlp_bias"))
    return {"bias": attention * (BIAS_QKV | BIAS_PROJ) + mlp * BIAS_MLP}


def write_biases(config):
    """The same two, which are False in all other models."""
    return {"attention_bias": bool(config.bias & BIAS_QKV),
            "mlp_bias": bool(config.bias & BIAS_MLP)}


def write_gpt2(config):
    """Its GELU; without dropout."""
    return {"activation_function": "gelu_new",
            **dict.fromkeys(("attn_pdrop", "embd_pdrop", "resid_pdrop"), 0.0)}


def read_mixtral(raw, fields):
    """Its experts are as wide as other models' MLP."""
    return {"expert_hidden": fields["hidden"]}


def read_qwen3_moe(raw, fields):
    """transformers 5 calls num_experts as Mixtral does."""
    return {**read_biases(raw, fields), "expert_norm": take(raw, "norm_topk_prob", bool, False),
            "experts": take(raw, "num_local_experts", int, fields["experts"])}


def write_qwen3_moe(config):
    """What read_qwen3_moe reads."""
    return {**write_biases(config), "norm_topk_prob": bool(config.expert_norm)}


def read_gemma(raw, fields):
    """Embeddings grow by sqrt(C). Of Gemma 2 and 3: scores by 1/sqrt(query_pre_attn_scalar)."""
    more = {"embedding_scale": math.sqrt(fields["channels"])}
    if "query_pre_attn_scalar" in raw:
        more["attention_scale"] = take(raw, "query_pre_attn_scalar", float) ** -0.5
        for name, key in GEMMA_CAPS.items():
            more[name] = 0.0 if raw[key] is None else take(raw, key, float)
    return more


GEMMA_KEYS = {"hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh"}
GEMMA_CAPS = {"attention_cap": "attn_logit_softcapping", "logit_cap": "final_logit_softcapping"}


def write_gemma2(config):
    """Its GELU, and what read_gemma reads."""
    scalar = round(config.attention_scale ** -2) if config.attention_scale else config.head_dim
    return {**GEMMA_KEYS, "query_pre_attn_scalar": scalar,
            **{key: getattr(config, name) or None for name, key in GEMMA_CAPS.items()}}


def read_neox(raw, fields):
    """Its branches may follow each other; attention may lack its biases."""
    parallel = take(raw, "use_parallel_residual", bool, True)
    bias = BIAS_ALL if take(raw, "attention_bias", bool, True) else BIAS_MLP
    return {"block": PARALLEL if parallel else PRE_NORM, "bias": bias}


def write_neox(config):
    """Its GELU, and what read_neox reads."""
    return {"hidden_act": "gelu", "use_parallel_residual": config.block == PARALLEL,
            "attention_bias": bool(config.bias & BIAS_QKV)}


def read_falcon(raw, fields):
    """Falcon 40B's block has two norms, or one for both branches; the older ones have one."""
    new, parallel, one, bias = (take(raw, key, bool, default) for key, default in (
        ("new_decoder_architecture", False), ("parallel_attn", True), ("multi_query", True),
        ("bias", False)))
    norms = take(raw, "num_ln_in_parallel_attn", int, 2 if new else 1)
    block = PARALLEL if new and norms == 2 else PARALLEL_SHARED if new or parallel else PRE_NORM
    kv_heads = fields["kv_heads"] if new else 1 if one else fields["heads"]
    return {"block": block, "kv_heads": kv_heads, "bias": BIAS_ALL if bias else BIAS_NONE}


def write_falcon(config):
    """Its GELU, and what read_falcon reads."""
    new = config.block == PARALLEL or 1 < config.kv_heads < config.heads
    return {"activation": "gelu", "alibi": False, "new_decoder_architecture": new,
            "num_ln_in_parallel_attn": 2 if config.block == PARALLEL else 1,
            "parallel_attn": config.block != PRE_NORM, "multi_query": config.kv_heads == 1,
            "bias": config.bias == BIAS_ALL}


# ---- The table -----------------------------------------------------------------------------------

QKV = r"self_attn\.[qkv]_proj"
LLAMA = dict(norm=RMSNORM, position=ROPE, activation=SWIGLU, block=PRE_NORM, bias=BIAS_NONE,
             qk_norm=QK_PLAIN)
GEMMA = {**LLAMA, "activation": GEGLU}
FALCON = dict(norm=LAYERNORM, position=ROPE, activation=GELU_ERF, qk_norm=QK_PLAIN)
GEMMA_ACT = {"hidden_act": ["gelu", "gelu_pytorch_tanh"],
             "hidden_activation": ["gelu_pytorch_tanh"]}
GEMMA2 = dict(plain={**GEMMA_ACT, "query_pre_attn_scalar": None,
                     **dict.fromkeys(GEMMA_CAPS.values())},
              read=read_gemma, write=write_gemma2, window="gemma", offset=1.0,
              names=(("post_attention_layernorm", "pre_feedforward_layernorm"),
                     ("post_self_attn_layernorm", "post_attention_layernorm"),
                     ("post_mlp_layernorm", "post_feedforward_layernorm")))

FAMILIES = [
    Family("GPT2", ("gpt2",),
           dict(norm=LAYERNORM, position=LEARNED, activation=GELU, block=PRE_NORM, bias=BIAS_ALL,
                qk_norm=QK_PLAIN),
           keys={"context": "n_positions", "layers": "n_layer", "channels": "n_embd",
                 "heads": "n_head", "hidden": "n_inner", "norm_eps": "layer_norm_epsilon",
                 "kv_heads": None, "head_dim": None},
           defaults={"n_positions": 1024, "n_inner": None, "layer_norm_epsilon": 1e-5,
                     "tie_word_embeddings": True},
           plain={"activation_function": ["gelu_new", "gelu_pytorch_tanh"], "sliding_window": []},
           write=write_gpt2, prefix="transformer.", fused="rows",
           names=((r"model\.embed_tokens", "transformer.wte"),
                  (r"model\.positions", "transformer.wpe"), (r"model\.layers", "transformer.h"),
                  (r"model\.norm", "transformer.ln_f"), ("input_layernorm", "ln_1"),
                  ("post_attention_layernorm", "ln_2"), (QKV, "attn.c_attn"),
                  (r"self_attn\.o_proj", "attn.c_proj"), (r"mlp\.up_proj", "mlp.c_fc"),
                  (r"mlp\.down_proj", "mlp.c_proj"))),
    Family("Llama", ("llama",), LLAMA, plain={"attention_bias": None, "mlp_bias": None,
                                              "sliding_window": []},
           defaults={"max_position_embeddings": 2048}, read=read_biases, write=write_biases),
    Family("Mistral", ("mistral",), LLAMA, window="all",
           defaults={"max_position_embeddings": 131072, "num_key_value_heads": 8,
                     "sliding_window": 4096}),
    Family("Qwen2", ("qwen2",), {**LLAMA, "bias": BIAS_QKV}, window="qwen",
           defaults={"max_position_embeddings": 32768, "num_key_value_heads": 32}),
    Family("Qwen3", ("qwen3",), {**LLAMA, "qk_norm": QK_HEAD}, window="qwen",
           plain={"attention_bias": None}, read=read_biases, write=write_biases,
           defaults={"max_position_embeddings": 32768, "num_key_value_heads": 32,
                     "head_dim": 128}),
    Family("Mixtral", ("mixtral",), {**LLAMA, "expert_norm": 1, "expert_period": 1}, window="all",
           keys={"experts": "num_local_experts", "experts_used": "num_experts_per_tok"},
           defaults={"max_position_embeddings": 131072, "num_key_value_heads": 8,
                     "rms_norm_eps": 1e-5, "num_local_experts": 8, "num_experts_per_tok": 2},
           read=read_mixtral, thetas=(1e6,),
           names=((r"mlp\.", "block_sparse_moe."), ("gate_proj", "w1"), ("down_proj", "w2"),
                  ("up_proj", "w3"))),
    Family("Qwen3Moe", ("qwen3_moe",), {**LLAMA, "qk_norm": QK_HEAD},
           keys={"experts": "num_experts", "experts_used": "num_experts_per_tok",
                 "expert_hidden": "moe_intermediate_size", "expert_period": "decoder_sparse_step"},
           defaults={"max_position_embeddings": 32768, "num_key_value_heads": 4,
                     "num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768,
                     "decoder_sparse_step": 1},
           plain={"attention_bias": None, "use_sliding_window": [False]},
           read=read_qwen3_moe, write=write_qwen3_moe),
    Family("Gemma", ("gemma",), GEMMA, plain=GEMMA_ACT, read=read_gemma, offset=1.0,
           write=lambda config: GEMMA_KEYS,
           defaults={"max_position_embeddings": 8192, "num_key_value_heads": 16, "head_dim": 256,
                     "tie_word_embeddings": True}),
    Family("Gemma2", ("gemma2",), {**GEMMA, "block": SANDWICH}, **GEMMA2,
           defaults={"max_position_embeddings": 8192, "num_key_value_heads": 4, "head_dim": 256,
                     "tie_word_embeddings": True, "sliding_window": 4096,
                     "sliding_window_pattern": 2, "query_pre_attn_scalar": 256,
                     "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}),
    Family("Gemma3", ("gemma3_text",),
           {**GEMMA, "block": SANDWICH, "qk_norm": QK_HEAD, "scalar": 0}, **GEMMA2,
           thetas=(1e6, 10000.0),
           defaults={"max_position_embeddings": 131072, "num_key_value_heads": 4, "head_dim": 256,
                     "tie_word_embeddings": True, "sliding_window": 4096,
                     "sliding_window_pattern": 6, "query_pre_attn_scalar": 256,
                     "attn_logit_softcapping": None, "final_logit_softcapping": None}),
    Family("Phi3", ("phi3",), LLAMA, window="all", rotary=1.0, fused="rows",
           defaults={"max_position_embeddings": 4096, TRAINED: 4096, "rms_norm_eps": 1e-5},
           names=((QKV, "self_attn.qkv_proj"), (r"mlp\.(gate|up)_proj", "mlp.gate_up_proj"))),
    Family("Olmo", ("olmo",), {**LLAMA, "norm": PLAINNORM, "norm_eps": 1e-5, "scalar": 0},
           keys={"norm_eps": None}, plain={"attention_bias": None}, read=read_biases,
           write=write_biases, defaults={"max_position_embeddings": 2048}),
    Family("Olmo2", ("olmo2",), {**LLAMA, "block": POST_NORM, "qk_norm": QK_WIDE, "scalar": 0},
           plain={"attention_bias": None}, read=read_biases, write=write_biases,
           defaults={"max_position_embeddings": 2048, "rms_norm_eps": 1e-5},
           names=(("post_self_attn_layernorm", "post_attention_layernorm"),
                  ("post_mlp_layernorm", "post_feedforward_layernorm"))),
    Family("GPTNeoX", ("gpt_neox",),
           dict(norm=LAYERNORM, position=ROPE, activation=GELU_ERF, qk_norm=QK_PLAIN),
           keys={"norm_eps": "layer_norm_eps", "kv_heads": None, "head_dim": None},
           defaults={"max_position_embeddings": 2048, "layer_norm_eps": 1e-5},
           plain={"hidden_act": ["gelu"], "attention_bias": None}, read=read_neox,
           write=write_neox, rotary=0.25, fused="groups", prefix="gpt_neox.",
           head="embed_out.weight",
           names=((r"model\.embed_tokens", "gpt_neox.embed_in"),
                  (r"model\.layers", "gpt_neox.layers"),
                  (r"model\.norm", "gpt_neox.final_layer_norm"), ("lm_head", "embed_out"),
                  (QKV, "attention.query_key_value"), (r"self_attn\.o_proj", "attention.dense"),
                  (r"mlp\.up_proj", "mlp.dense_h_to_4h"),
                  (r"mlp\.down_proj", "mlp.dense_4h_to_h"))),
    Family("Falcon", ("falcon",), FALCON,
           keys={"norm_eps": "layer_norm_epsilon", "kv_heads": "num_kv_heads", "head_dim": None,
                 "hidden": "ffn_hidden_size"},
           defaults={"max_position_embeddings": 2048, "layer_norm_epsilon": 1e-5,
                     "ffn_hidden_size": None, "tie_word_embeddings": True},
           plain={"activation": ["gelu"], "alibi": [False]}, read=read_falcon,
           write=write_falcon, fused="groups", prefix="transformer.",
           names=((r"model\.embed_tokens", "transformer.word_embeddings"),
                  (r"model\.layers", "transformer.h"), (r"model\.norm", "transformer.ln_f"),
                  (QKV, "self_attention.query_key_value"),
                  (r"self_attn\.o_proj", "self_attention.dense"),
                  (r"mlp\.up_proj", "mlp.dense_h_to_4h"),
                  (r"mlp\.down_proj", "mlp.dense_4h_to_h"))),
]
MODEL_TYPES = {kind: family for family in FAMILIES for kind in family.kinds}
ARCHITECTURES = {family.architecture(scalar): family for family in FAMILIES for scalar in (0, 1)}


# ---- Reading config.json -------------------------------------------------------------------------

def read_config(raw: dict) -> tuple[Family, Config]:
    """(family, Config) of what config.json holds; ChatError names the key that is unfit."""
    family, scalar = read_family(raw)
    raw = {**family.defaults, **raw}
    check_plain(raw, {**PLAIN, **family.plain})
    keys = {**KEYS, **family.keys}
    channels, heads = take(raw, keys["channels"], int), take(raw, keys["heads"], int)
    fields = {"kv_heads": heads, "head_dim": channels // heads, "norm_eps": 1e-6, "tied": False,
              "hidden": 4 * channels if keys["hidden"] in family.defaults else None}
    for name, key in keys.items():
        kind = float if name == "norm_eps" else bool if name == "tied" else int
        if key:
            fields[name] = take(raw, key, kind, fields.get(name))
    fields |= {"tied": int(fields["tied"]), "scalar": scalar, **family.fixed}
    if fields["scalar"] != scalar:
        raise ChatError(f"there is no {family.architecture(scalar)}")
    fields |= read_window(raw, family, fields["layers"])
    fields |= family.read(raw, fields)
    if fields["position"] == ROPE:
        fields |= read_rope(raw, family, fields)
    return family, Config(**fields)


def read_family(raw: dict) -> tuple[Family, int]:
    """By model_type, or where there is none by the class; and whether its head is a scalar one."""
    names, kind = raw.get("architectures"), raw.get("model_type")
    name = names if names is None or type(names) is not list or len(names) != 1 else names[0]
    if not (name is None or type(name) is str):
        raise ChatError(f"architectures is {short(names)}, but must be a list of one name")
    family = ARCHITECTURES.get(name) if kind is None else \
        MODEL_TYPES.get(kind) if type(kind) is str else None
    if family is None:
        what, known = ("model_type", MODEL_TYPES) if kind else ("architectures", ARCHITECTURES)
        raise ChatError(f"{what} is {short(raw.get(what))}, but must be one of {', '.join(known)}")
    return family, int((name or "").endswith("ForSequenceClassification"))


def layer_types(layers: int, window: int, period: int) -> list[str]:
    """What each layer's attention is called in config.json."""
    return ["sliding_attention" if window and (not period or (i + 1) % period)
            else "full_attention" for i in range(layers)]


def read_window(raw: dict, family: Family, layers: int) -> dict:
    """The window's fields of Config."""
    asked = take(raw, "use_sliding_window", bool, False) if family.window == "qwen" else \
        family.window and raw.get("sliding_window") is not None
    window = take(raw, "sliding_window", int, 4096) if asked else 0
    types, what = raw.get("layer_types"), "layer_types"
    if types is None and (not window or family.window == "all" or layers > 10000):
        return {"window": window}                # csrc/check.c says what so many layers are
    if types is None and family.window == "qwen":
        what, full = "max_window_layers", raw.get("max_window_layers", 28)
        full = min(full and take(raw | {what: full}, what, int), layers)
        types = ["full_attention"] * full + ["sliding_attention"] * (layers - full)
    elif types is None:
        types = layer_types(layers, window, take(raw, "sliding_window_pattern", int))
    if type(types) is not list or len(types) != layers:
        raise ChatError(f"layer_types is {short(types)}, but must be a list of {layers}")
    if types == layer_types(layers, 0, 0):
        return {}
    period = types.index("full_attention") + 1 if "full_attention" in types else 0
    if types == layer_types(layers, window, period):
        return {"window": window, "window_period": period}
    raise ChatError(f"{what} is {short(raw.get(what))} with a window of {window}; supported is a "
                    f"window in all layers, or in all but each n-th")


def merge(*places) -> dict:
    """RoPE's parameters out of several places, which must agree; null is as absent."""
    rope = {}
    for place in places:
        if type(place) is not dict:
            raise ChatError(f"rope_parameters or rope_scaling is {short(place)}, not an object")
        for key, value in place.items():
            key = "rope_type" if key == "type" else key
            if value is not None and rope.setdefault(key, value) != value:
                raise ChatError(f"{key} is {short(value)} in one place and {short(rope[key])} in "
                                f"another")
    return rope


def read_rope(raw: dict, family: Family, fields: dict) -> dict:
    """RoPE's fields of Config. transformers 4 keeps them in rope_theta and rope_scaling, 5 in
    rope_parameters, of Gemma 3 by the kind of layer."""
    found, more = raw.get("rope_parameters") or {}, {}
    if len(family.thetas) > 1:
        nested = type(found) is dict and "full_attention" in found
        local = merge({"rope_theta": raw.get("rope_local_base_freq")},
                      nested and found.get("sliding_attention") or {})
        check_plain(local, {"rope_type": ["default"]})
        more["rope_local_theta"] = take(local, "rope_theta", float, family.thetas[1])
        found = (found["full_attention"] or {}) if nested else found
    rope = merge(*({name: raw.get(key)} for key, name in STATED.items()), found,
                 raw.get("rope_scaling") or {})
    part = take(rope, "partial_rotary_factor", float, family.rotary or 1.0)
    if not (part == 1 or family.rotary and part < 1):
        raise ChatError(f"partial_rotary_factor is {part:g}; supported is only "
                        f"{'up to 1' if family.rotary else '1'}")
    R, theta = int(part * fields["head_dim"]), take(rope, "rope_theta", float, family.thetas[0])
    scaling = read_scaling(rope.get("rope_type", "default"), {
        key: value for key, value in rope.items()
        if key not in ("rope_theta", "partial_rotary_factor", "rope_type")}, raw, fields["context"])
    return {**more, "rope_theta": theta, "rope_scaling": scaling,
            "rotary_dim": 0 if R == fields["head_dim"] else R}


def read_scaling(kind: str, rope: dict, raw: dict, context: int) -> tuple:
    """Config.rope_scaling of a kind, with its parameters; () for none."""
    kind = "longrope" if kind == "su" else kind
    if type(kind) is not str or kind not in ("default", *SCALED):
        raise ChatError(f"rope_type is {short(kind)}; supported is only default, "
                        f"{', '.join(SCALED)}")
    must, may = SCALED.get(kind, ([], []))
    if TRAINED in must:                          # what transformers makes of absent ones
        rope[TRAINED] = context if kind == "dynamic" else take(
            raw, TRAINED, int, take(rope, TRAINED, int, context))
    if kind in ("yarn", "longrope"):
        rope.setdefault("factor", context / rope[TRAINED])
    for key in rope.keys() - {*must, *may}:
        raise ChatError(f"RoPE's parameter {short(key)} is not supported with {kind}")
    values = {"rope_type": kind}
    for key in [*must, *(key for key in may if key in rope)]:
        if key in ("short_factor", "long_factor"):
            if type(rope.get(key)) is not list:
                raise ChatError(f"{key} is {short(rope.get(key))}, but must be a list")
            values[key] = tuple(take({key: x}, key, float) for x in rope[key])
        else:
            values[key] = take(rope, key, {TRAINED: int, "truncate": bool}.get(key, float))
    if not values.get("factor", 1) > 0:
        raise ChatError(f"RoPE's factor is {values['factor']:g}, but must be over 0")
    return tuple(values.items()) if kind != "default" else ()


def check_plain(raw: dict, plain: dict[str, list | None]) -> None:
    """ChatError where a key of config.json has a value for which there is no code."""
    for key, accepted in plain.items():
        if accepted is not None and raw.get(key) is not None and raw[key] not in accepted:
            raise ChatError(f"{key} is {short(raw[key])}; supported is only "
                            f"{' or '.join(map(short, accepted)) or 'null'}")


def take(raw: dict, key: str, kind: type, default=None):
    """What is at a key, a number or a bool as KINDS says; the default for absent and null."""
    value = default if raw.get(key) is None else raw[key]
    if value is None:
        raise ChatError(f"{key} is missing")
    fits = {int: type(value) is int and 0 < value < 2**31,
            float: type(value) in (int, float) and 0 <= value <= 1e30,
            bool: type(value) is bool}
    if not fits[kind]:
        raise ChatError(f"{key} is {short(value)}, but must be {KINDS[kind]}")
    return kind(value)


# ---- Writing it ----------------------------------------------------------------------------------

def family_of(config: Config, first: Family | None = None) -> Family:
    """The family whose files can hold such a model, `first` if it can: its config.json says the
    same when it is read. ChatError if there is none."""
    for family in [*filter(None, [first]), *FAMILIES]:
        try:
            read, again = read_config(write_config(config, family))
        except ChatError:
            continue
        if read is family and replace(again, context=config.context) == config:
            return family
    odd = {name: value for name, value in vars(config).items()
           if value != getattr(Config, name, value)}
    raise ChatError(f"transformers has no model with "
                    f"{', '.join(f'{name}={value}' for name, value in odd.items())}: this one "
                    f"cannot be saved")


def write_config(config: Config, family: Family) -> dict:
    """The contents of config.json, but for its special tokens and dtype."""
    raw = {"architectures": [family.architecture(config.scalar)], "model_type": family.kinds[0],
           **{key: getattr(config, name) for name, key in {**KEYS, **family.keys}.items() if key},
           "tie_word_embeddings": bool(config.tied)}
    if config.position == ROPE:
        raw |= {"hidden_act": "silu", **write_rope(config, family)}
    if family.window:
        raw["sliding_window"] = config.window or None
    if family.window == "qwen":
        raw |= {"use_sliding_window": bool(config.window), "max_window_layers": 0}
    if family.window == "gemma":
        raw["sliding_window_pattern"] = config.window_period or 1
    if family.window in ("qwen", "gemma") and (config.window or family.window == "gemma"):
        raw["layer_types"] = layer_types(config.layers, config.window, config.window_period)
    if config.scalar:
        raw |= {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    return raw | family.write(config)


def write_rope(config: Config, family: Family) -> dict:
    """For transformers 4 and 5: some version of each takes theta for 10000 without its own key."""
    stated = {"rope_theta": config.rope_theta}
    if family.rotary:
        stated["partial_rotary_factor"] = (config.rotary_dim or config.head_dim) / config.head_dim
    scaling = {key: list(value) if type(value) is tuple else value
               for key, value in config.rope_scaling}
    raw, rope = dict(stated), {"rope_type": "default", **scaling, **stated}
    if scaling:
        raw["rope_scaling"] = scaling
    if scaling.get("rope_type") == "dynamic":
        raw["max_position_embeddings"] = scaling.pop(TRAINED)
        rope.pop(TRAINED)
    elif TRAINED in scaling and TRAINED in family.defaults:
        raw[TRAINED] = scaling[TRAINED]
    if len(family.thetas) > 1:
        raw["rope_local_base_freq"] = config.rope_local_theta
        rope = {"full_attention": rope, "sliding_attention": {
            "rope_type": "default", "rope_theta": config.rope_local_theta}}
    if family.name == "GPTNeoX":
        raw |= {"rotary_emb_base": config.rope_theta, "rotary_pct": stated["partial_rotary_factor"]}
    return {**raw, "rope_parameters": rope}


# ---- Tensors, here and in the file ---------------------------------------------------------------

HEAD, SCORE, POSITIONS = "lm_head.weight", "score.weight", "model.positions.weight"


class Part(NamedTuple):
    """One of our tensors, and which rows of the file's it is; None: all."""

    name: str
    rows: np.ndarray | None


class Place(NamedTuple):
    """A tensor of a file."""

    parts: list[Part]
    shape: tuple[int, ...]       # in the file
    transposed: bool             # (in, out)
    offset: float                # what ours is more


def places(config: Config, shapes: dict[str, tuple[int, ...]], family: Family) -> dict[str, Place]:
    """{name in the file: Place} of our tensors, in their order."""
    names: dict[str, list[str]] = {}
    for name in shapes:
        there = name
        for ours, theirs in (*family.names, *FALCON_NORMS.get((family.name, config.block), ())):
            there = re.sub(ours, theirs, there)
        names.setdefault(there, []).append(name)
    found = {}
    for there, ours in names.items():
        shape = (sum(shapes[name][0] for name in ours), *shapes[ours[0]][1:])
        transposed = ".c_" in there and len(shape) == 2
        offset = family.offset if len(shape) == 1 and there.endswith("norm.weight") else 0.0
        ends = np.cumsum([shapes[name][0] for name in ours])
        parts = [Part(name, rows_of(config, family, name, end - shapes[name][0], end,
                                    len(ours) > 1)) for name, end in zip(ours, ends)]
        found[there] = Place(parts, shape[::-1] if transposed else shape, transposed, offset)
    return found


FALCON_NORMS = {("Falcon", PARALLEL): (("input_layernorm", "ln_attn"),
                                       ("post_attention_layernorm", "ln_mlp"))}


def rows_of(config: Config, family: Family, name: str, begin: int, end: int,
            fused: bool) -> np.ndarray | None:
    """The rows of the file's tensor that are ours, in our order; None: all, as they are. Where RoPE
    turns only the first R channels of a head, the file's pairs are (i, i + R/2) and ours, as in any
    other model, (i, i + D/2)."""
    H, K, D, R = config.heads, config.kv_heads, config.head_dim, config.rotary_dim
    kind = re.search(r"self_attn\.([qkv])_(proj|norm)", name)
    turned = R and kind and kind[1] in "qk"
    if not fused and not turned:
        return None
    rows = np.arange(begin, end)
    if fused and kind and family.fused == "groups":
        groups = np.arange((H + 2 * K) * D).reshape(K, H // K + 2, D)
        rows = groups[:, {"q": slice(0, -2), "k": -2, "v": -1}[kind[1]]].reshape(-1)
    if turned:
        first, rest = np.arange(R).reshape(2, -1), np.arange(R, D).reshape(2, -1)
        rows = rows.reshape(-1, D)[:, np.concatenate([first, rest], axis=1).reshape(-1)].reshape(-1)
    return rows
