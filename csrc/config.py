"""The architecture of a model: the Config of csrc/chat.h in Python."""

from dataclasses import dataclass

LAYERNORM, RMSNORM = 0, 1
LEARNED, ROPE = 0, 1
GELU, SWIGLU = 0, 1
BIAS_NONE, BIAS_QKV, BIAS_ALL = 0, 1, 2


@dataclass(frozen=True)
class Config:
    """An architecture; chat.h explains each field. The defaults are the modern block (Qwen3's)."""

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
    qk_norm: int = 1
    tied: int = 1
    scalar: int = 0
    window: int = 0
    window_period: int = 0
    norm_eps: float = 1e-6
    rope_theta: float = 10000.0
    rope_factor: float = 1.0
    rope_low: float = 1.0
    rope_high: float = 4.0
    rope_context: int = 0
