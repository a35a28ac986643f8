"""The architecture of a model: the Config of csrc/chat.h in Python, and the frequencies of RoPE,
which C is given as numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from csrc.files import ChatError

LAYERNORM, RMSNORM, PLAINNORM = range(3)
LEARNED, ROPE = range(2)
GELU, SWIGLU, GEGLU, GELU_ERF = range(4)
BIAS_NONE, BIAS_QKV, BIAS_PROJ, BIAS_MLP, BIAS_ALL = 0, 1, 2, 4, 7
QK_PLAIN, QK_HEAD, QK_WIDE = range(3)
PRE_NORM, POST_NORM, SANDWICH, PARALLEL, PARALLEL_SHARED = range(5)


@dataclass(frozen=True)
class Config:
    """An architecture; chat.h explains each field. The defaults are the modern block (Qwen3's).

    rope_theta         RoPE's base (arXiv:2104.09864)
    rope_local_theta   that of layers with a window; 0: the same, and scaled as well
    rotary_dim         how many channels of a head are rotated; 0: all
    rope_scaling       () or the items of config.json's rope_scaling: (("rope_type", "yarn"), ...)
    """

    vocab: int
    context: int
    layers: int
    channels: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    norm: int = RMSNORM
    position: int = ROPE
    activation: int = SWIGLU
    bias: int = BIAS_NONE
    block: int = PRE_NORM
    qk_norm: int = QK_HEAD
    tied: int = 1
    scalar: int = 0
    window: int = 0
    window_period: int = 0
    experts: int = 0
    experts_used: int = 0
    expert_hidden: int = 0
    expert_norm: int = 0
    expert_period: int = 0
    lora: int = 0
    norm_eps: float = 1e-6
    embedding_scale: float = 0.0
    attention_scale: float = 0.0
    attention_cap: float = 0.0
    logit_cap: float = 0.0
    rope_theta: float = 10000.0
    rope_local_theta: float = 0.0
    rotary_dim: int = 0
    rope_scaling: tuple = ()

    @property
    def local_rope(self) -> int:
        """chat.h's: 1 if layers with a window have another RoPE."""
        return int(self.rope_local_theta > 0)

    def changed(self, **changes) -> Config:
        """The same with other fields; ChatError where there are too few learned positions."""
        config = replace(self, **changes)
        if config.position == LEARNED and config.context > self.context:
            raise ChatError(f"there are {self.context} learned positions, too few for a context "
                            f"of {config.context}")
        return config


# ---- RoPE ----------------------------------------------------------------------------------------
# A scaling takes the frequencies (R/2) of R rotated channels, theta, its own parameters and the
# model's context; it gives (the factor of cosines and sines, the frequencies that are used).

def linear(frequencies, theta, about, context):
    """Positions become so many times closer (arXiv:2306.15595)."""
    return 1.0, [f / about["factor"] for f in frequencies]


def dynamic(frequencies, theta, about, context):
    """A larger base, so that the longest wavelength spans a context that is longer than the one
    trained with. It is chosen once, for the model's context."""
    trained, R = about["original_max_position_embeddings"], 2 * len(frequencies)
    if context <= trained or R == 2:
        return 1.0, frequencies
    base = theta * (about["factor"] * context / trained - about["factor"] + 1) ** (R / (R - 2))
    return 1.0, powers(base, R)


def llama3(frequencies, theta, about, context):
    """Llama 3.1's: wavelengths that turn less than `low` times in the context that was trained with
    become `factor` longer, those that turn more than `high` times stay, others lie between."""
    low, high = about["low_freq_factor"], about["high_freq_factor"]
    if not high > low:
        raise ChatError(f"high_freq_factor is {high:g}, but must be over low_freq_factor, {low:g}")

    def scaled(f):
        turns = about["original_max_position_embeddings"] * f / (2 * math.pi)
        blend = min(max((turns - low) / (high - low), 0.0), 1.0)
        return f * (blend + (1 - blend) / about["factor"])
    return 1.0, [scaled(f) for f in frequencies]


def yarn(frequencies, theta, about, context):
    """arXiv:2309.00071: as Llama 3.1's, but blended along the channels; and a hotter softmax."""
    factor, R = about["factor"], 2 * len(frequencies)

    def channel(turns):
        length = about["original_max_position_embeddings"] / (turns * 2 * math.pi)
        return R * math.log(length) / (2 * math.log(theta))

    def warmth(scale):
        return 0.1 * scale * math.log(factor) + 1 if factor > 1 else 1.0
    low, high = channel(about.get("beta_fast", 32)), channel(about.get("beta_slow", 1))
    if about.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, R - 1)
    high += 0.001 * (low == high)
    blends = [1 - min(max((i - low) / (high - low), 0), 1) for i in range(R // 2)]
    scales = about.get("mscale"), about.get("mscale_all_dim")
    default = warmth(scales[0]) / warmth(scales[1]) if all(scales) else warmth(1)
    return (about.get("attention_factor", default),
            [f * (blend + (1 - blend) / factor) for f, blend in zip(frequencies, blends)])


def longrope(frequencies, theta, about, context):
    """arXiv:2402.13753: each frequency has its own factor, one for contexts up to the one that was
    trained with and one for longer ones. It is chosen once, for the model's context."""
    trained = about["original_max_position_embeddings"]
    factors = about["long_factor" if context > trained else "short_factor"]
    if len(factors) != len(frequencies):
        raise ChatError(f"longrope has {len(factors)} factors for {len(frequencies)} frequencies")
    factor = about["factor"]
    default = math.sqrt(1 + math.log(factor) / math.log(trained)) if factor > 1 else 1.0
    return (about.get("attention_factor", default),
            [f / by for f, by in zip(frequencies, factors)])


SCALINGS = {"linear": linear, "dynamic": dynamic, "llama3": llama3, "yarn": yarn,
            "longrope": longrope}


def powers(theta: float, R: int) -> list[float]:
    """theta^(-2i/R): the radians a token of each pair of R channels."""
    return [math.pow(theta, -2.0 * i / R) for i in range(R // 2)]


def rope_rows(config: Config) -> np.ndarray | None:
    """What model_create asks for: (1 or 2, 1+D/2), of all layers, of those with a window."""
    if config.position != ROPE:
        return None
    D, R = config.head_dim, config.rotary_dim or config.head_dim
    if config.rotary_dim and not (0 < R <= D and R % 2 == 0):
        raise ChatError(f"rotary_dim is {R}, but must be even and at most head_dim, {D}")
    rows = []
    for theta in (config.rope_theta, config.rope_local_theta)[:1 + config.local_rope]:
        if not 1 < theta < math.inf:
            raise ChatError(f"rope_theta is {theta:g}, but must be over 1 and finite")
        factor, frequencies = 1.0, powers(theta, R)
        about = dict(config.rope_scaling) if not rows else {}
        if about:
            factor, frequencies = SCALINGS[about["rope_type"]](frequencies, theta, about,
                                                               config.context)
        rows.append([factor, *frequencies, *[0.0] * ((D - R) // 2)])
    return np.array(rows)
