"""The transformer of csrc/model.c again, in float64 NumPy: the answer that every kernel must give.

Written to be read, not to be fast. Each operation is a pair of functions,

    out = op(inputs, settings)
    dinputs = op_backward(dout, inputs, settings)

where dout is dLoss/dout, and dinputs holds dLoss/dinput of each input that has a gradient. A model
is a sequence of such calls: a Tape writes them down on the way forward and walks them backwards.
Tests hold every op_backward against finite differences, and the C code against both.

Letters as in csrc/chat.h: B batch, T time, C channels, H query heads, K key/value heads, D size of
a head, F feed-forward width, V vocabulary.
"""

from math import erf

import numpy as np

from csrc.config import (BIAS_MLP, BIAS_PROJ, BIAS_QKV, GEGLU, GELU_ERF, LAYERNORM, LEARNED,
                         PARALLEL, PARALLEL_SHARED, PLAINNORM, POST_NORM, QK_WIDE, RMSNORM, ROPE,
                         SANDWICH, SWIGLU, rope_rows)


# ---- Operations ----------------------------------------------------------------------------------

def add(a, b):
    return a + b


def add_backward(dout, a, b):
    return dout, dout


def scaled(inp, factor):
    return inp * factor


def scaled_backward(dout, inp, factor):
    return (dout * factor,)


def capped(inp, cap):
    """cap tanh(inp / cap). arXiv:2408.00118."""
    return cap * np.tanh(inp / cap)


def capped_backward(dout, inp, cap):
    return (dout * (1 - np.tanh(inp / cap)**2),)


def reshape(inp, shape):
    return inp.reshape(shape)


def reshape_backward(dout, inp, shape):
    return (dout.reshape(inp.shape),)


def embedding(table, index):
    """out (...,C) = table (V,C)[index (...)]."""
    return table[index]


def embedding_backward(dout, table, index):
    dtable = np.zeros_like(table)
    np.add.at(dtable, index, dout)
    return (dtable,)


def linear(inp, weight, bias=None):
    """out (...,O) = inp (...,C) weight (O,C)^T + bias (O)."""
    return inp @ weight.T + (0 if bias is None else bias)


def linear_backward(dout, inp, weight, bias=None):
    rows = dout.reshape(-1, weight.shape[0])
    return dout @ weight, rows.T @ inp.reshape(-1, weight.shape[1]), rows.sum(0)


def layernorm(inp, weight, bias, eps):
    """out (...,C) = (inp - mean) / sqrt(variance + eps) * weight + bias (C). arXiv:1607.06450."""
    h, _ = standardized(inp, eps)
    return h * (1 if weight is None else weight) + (0 if bias is None else bias)


def layernorm_backward(dout, inp, weight, bias, eps):
    h, rstd = standardized(inp, eps)
    g = dout * (1 if weight is None else weight)
    dinp = rstd * (g - mean(g) - h * mean(g * h))
    return dinp, over_rows(dout * h), over_rows(dout)


def rmsnorm(inp, weight, eps):
    """out (...,C) = inp / sqrt(mean(inp^2) + eps) * weight (C). arXiv:1910.07467."""
    return inp / np.sqrt(mean(inp**2) + eps) * weight


def rmsnorm_backward(dout, inp, weight, eps):
    rstd = 1 / np.sqrt(mean(inp**2) + eps)
    h, g = inp * rstd, dout * weight
    return rstd * (g - h * mean(g * h)), over_rows(dout * h)


def mean(x):
    return x.mean(-1, keepdims=True)


def over_rows(x):
    return x.reshape(-1, x.shape[-1]).sum(0)


def standardized(x, eps):
    centred = x - mean(x)
    rstd = 1 / np.sqrt(mean(centred**2) + eps)
    return centred * rstd, rstd


def rope(inp, angles, factor=1.0):
    """Rotates each pair (i, i + D/2) of inp (B,T,H,D) by angles (B,T,D/2); times factor, but for
    pairs (D/2) that do not turn."""
    a, b = np.split(inp, 2, axis=-1)
    factor = np.where(np.any(angles != 0, axis=(0, 1)), factor, 1.0)
    cos, sin = factor * np.cos(angles)[:, :, None], factor * np.sin(angles)[:, :, None]
    return np.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)


def rope_backward(dout, inp, angles, factor=1.0):
    return (rope(dout, -angles, factor),)        # a rotation's transpose turns it back


def attention_scores(q, k, scale=None, cap=0.0):
    """scale q k^T (B,H,T,T) of q (B,T,H,D), k (B,T,K,D), capped; scale None: 1/sqrt(D)."""
    k = np.repeat(k, q.shape[2] // k.shape[2], axis=2)
    scores = np.einsum("bqhd,bkhd->bhqk", q, k) * (scale or 1 / np.sqrt(q.shape[3]))
    return capped(scores, cap) if cap else scores


def attention_weights(q, k, first, scale=None, cap=0.0):
    """The softmax of the scores (B,H,T,T) over first <= key <= query."""
    T, scores = q.shape[1], attention_scores(q, k, scale, cap)
    seen = (first[:, :, None] <= np.arange(T)) & np.tri(T, dtype=bool)
    return softmax(np.where(seen[:, None], scores, -np.inf))


def attention(q, k, v, first, scale=None, cap=0.0):
    """out (B,T,H,D): values (B,T,K,D) averaged by weight; query head h reads head h // (H // K)."""
    v = np.repeat(v, q.shape[2] // v.shape[2], axis=2)
    return np.einsum("bhqk,bkhd->bqhd", attention_weights(q, k, first, scale, cap), v)


def attention_backward(dout, q, k, v, first, scale=None, cap=0.0):
    (B, T, H, D), K = q.shape, k.shape[2]
    p = attention_weights(q, k, first, scale, cap)
    dp = np.einsum("bqhd,bkhd->bhqk", dout, np.repeat(v, H // K, axis=2))
    ds = p * (dp - (p * dp).sum(-1, keepdims=True)) * (scale or 1 / np.sqrt(D))
    if cap:
        ds *= 1 - (attention_scores(q, k, scale, cap) / cap)**2
    dq = np.einsum("bhqk,bkhd->bqhd", ds, np.repeat(k, H // K, axis=2))
    dk = np.einsum("bhqk,bqhd->bkhd", ds, q)
    dv = np.einsum("bhqk,bqhd->bkhd", p, dout)
    dk, dv = (d.reshape(B, T, K, H // K, D).sum(3) for d in (dk, dv))
    return dq, dk, dv


def gelu(inp):
    """The tanh form. arXiv:1606.08415."""
    return 0.5 * inp * (1 + np.tanh(np.sqrt(2 / np.pi) * (inp + 0.044715 * inp**3)))


def gelu_backward(dout, inp):
    t = np.tanh(np.sqrt(2 / np.pi) * (inp + 0.044715 * inp**3))
    dt = (1 - t**2) * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * inp**2)
    return (dout * 0.5 * (1 + t + inp * dt),)


def gelu_erf(inp):
    """With the normal distribution."""
    return inp * normal_cdf(inp)


def gelu_erf_backward(dout, inp):
    return (dout * (normal_cdf(inp) + inp * np.exp(-inp**2 / 2) / np.sqrt(2 * np.pi)),)


def normal_cdf(x):
    return 0.5 * (1 + np.vectorize(erf, otypes=[float])(x / np.sqrt(2)))


def geglu(gate, up):
    """gelu(gate) * up. arXiv:2002.05202."""
    return gelu(gate) * up


def geglu_backward(dout, gate, up):
    return *gelu_backward(dout * up, gate), dout * gelu(gate)


def swiglu(gate, up):
    """gate * sigmoid(gate) * up. arXiv:2002.05202."""
    return gate * sigmoid(gate) * up


def swiglu_backward(dout, gate, up):
    s = sigmoid(gate)
    return dout * up * s * (1 + gate * (1 - s)), dout * gate * s


def sigmoid(x):
    return np.exp(-np.logaddexp(0, -x))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def shares(logits, k, norm):
    """out (...,E): the softmax of logits (...,E), but 0 beside the k largest; with norm, divided by
    its sum. arXiv:1701.06538."""
    chosen = np.argsort(np.argsort(-logits, axis=-1, kind="stable"), axis=-1) < k
    p = softmax(logits) * chosen
    return p / p.sum(-1, keepdims=True) if norm else p


def shares_backward(dout, logits, k, norm):
    s = shares(logits, k, norm)
    of = s if norm else softmax(logits)          # what sums up to 1
    return (s * dout - of * (s * dout).sum(-1, keepdims=True),)


def mixture(shares, *outputs):
    """The sum of outputs (...,C), times shares (...,E)."""
    return sum(shares[..., e, None] * y for e, y in enumerate(outputs))


def mixture_backward(dout, shares, *outputs):
    dshares = np.stack([(dout * y).sum(-1) for y in outputs], axis=-1)
    return dshares, *(shares[..., e, None] * dout for e in range(len(outputs)))


def nll(logits, targets):
    """out (...) = -log softmax(logits (...,V))[target], in nats; 0 where the target is negative."""
    lse = np.logaddexp.reduce(logits, axis=-1)
    chosen = np.take_along_axis(logits, np.maximum(targets, 0)[..., None], axis=-1)[..., 0]
    return np.where(targets < 0, 0, lse - chosen)


def nll_backward(dout, logits, targets):
    onehot = np.arange(logits.shape[-1]) == targets[..., None]
    return ((softmax(logits) - onehot) * np.where(targets < 0, 0, dout)[..., None],)


BACKWARD = {
    add: add_backward, scaled: scaled_backward, capped: capped_backward,
    reshape: reshape_backward, embedding: embedding_backward,
    linear: linear_backward, layernorm: layernorm_backward, rmsnorm: rmsnorm_backward,
    rope: rope_backward, attention: attention_backward, gelu: gelu_backward,
    gelu_erf: gelu_erf_backward, geglu: geglu_backward, swiglu: swiglu_backward, nll: nll_backward,
    shares: shares_backward, mixture: mixture_backward,
}


# ---- The model -----------------------------------------------------------------------------------

class Tape(list):
    """The calls of a forward pass: (operation, inputs, output), in order."""

    def __call__(self, op, *inputs):
        out = op(*inputs)
        self.append((op, inputs, out))
        return out

    def gradients(self, dout):
        """dLoss/d(array) by id(array), given that of the last output. An array that is used more
        than once, as the residual stream or a tied embedding, gets the sum."""
        total = {id(self[-1][-1]): dout}
        for op, inputs, out in reversed(self):
            for x, d in zip(inputs, BACKWARD[op](total[id(out)], *inputs)):
                if x is not None:
                    total[id(x)] = total.get(id(x), 0) + d
        return total


def shapes(config):
    """name -> shape of every parameter of a model; config has the fields of chat.h's Config."""
    c, table = config, {}
    C, F, Q, KV = c.channels, c.hidden, c.heads * c.head_dim, c.kv_heads * c.head_dim

    def tensor(name, shape, bias):
        table[f"{name}.weight"] = shape
        if bias:
            table[f"{name}.bias"] = shape[:1]

    def norm(name):
        if c.norm != PLAINNORM:
            tensor(name, (C,), c.norm == LAYERNORM)

    tensor("model.embed_tokens", (c.vocab, C), False)
    if c.position == LEARNED:
        tensor("model.positions", (c.context, C), False)
    for layer in range(c.layers):
        at = f"model.layers.{layer}."
        if c.block != POST_NORM:
            norm(at + "input_layernorm")
        for name, rows in ("q", Q), ("k", KV), ("v", KV):
            tensor(f"{at}self_attn.{name}_proj", (rows, C), c.bias & BIAS_QKV)
        for name, width in (("q_norm", Q), ("k_norm", KV)) if c.qk_norm else ():
            tensor(f"{at}self_attn.{name}", (width if c.qk_norm == QK_WIDE else c.head_dim,), False)
        tensor(at + "self_attn.o_proj", (C, Q), c.bias & BIAS_PROJ)
        if c.block in (POST_NORM, SANDWICH):
            norm(at + "post_self_attn_layernorm")
            norm(at + "post_mlp_layernorm")
        if c.block not in (POST_NORM, PARALLEL_SHARED):
            norm(at + "post_attention_layernorm")
        mlps, width = [""], F
        if has_experts(c, layer):
            mlps, width = [f"experts.{e}." for e in range(c.experts)], c.expert_hidden
            tensor(at + "mlp.gate", (c.experts, C), False)
        gated = ("gate_proj", "up_proj") if c.activation in (SWIGLU, GEGLU) else ("up_proj",)
        for mlp in mlps:
            for name in gated:
                tensor(f"{at}mlp.{mlp}{name}", (width, C), c.bias & BIAS_MLP)
            tensor(f"{at}mlp.{mlp}down_proj", (C, width), c.bias & BIAS_MLP)
    norm("model.norm")
    if c.scalar:
        tensor("score", (1, C), False)
    elif not c.tied:
        tensor("lm_head", (c.vocab, C), False)
    return table


def has_experts(config, layer):
    return config.experts and (layer + 1) % config.expert_period == 0


def window_of(config, layer, T):
    """How many keys a query of a layer sees, of T."""
    full = config.window_period and (layer + 1) % config.window_period == 0
    return T if full or not config.window else config.window


def network(tape, config, w, tokens, doc_start):
    """Logits (B,T,V), or values (B,T) with a scalar head, of tokens (B,T)."""
    c, (B, T) = config, tokens.shape
    positions, ropes = np.arange(T) - doc_start, rope_rows(c)

    def dense(x, name):
        return tape(linear, x, w[f"{name}.weight"], w.get(f"{name}.bias"))

    def norm(x, name):
        if c.norm == RMSNORM:
            return tape(rmsnorm, x, w[f"{name}.weight"], c.norm_eps)
        return tape(layernorm, x, w.get(f"{name}.weight"), w.get(f"{name}.bias"), c.norm_eps)

    def heads(x):
        return tape(reshape, x, (B, T, -1, c.head_dim))

    def rotated_heads(x, name, angles, factor):
        x = dense(x, f"{name}_proj")
        if c.qk_norm:
            x = x if c.qk_norm == QK_WIDE else heads(x)
            x = tape(rmsnorm, x, w[f"{name}_norm.weight"], c.norm_eps)
        x = heads(x)
        return x if angles is None else tape(rope, x, angles, factor)

    def attend(x, layer, at):
        window, angles, factor = window_of(c, layer, T), None, 1.0
        if c.position == ROPE:
            factor, *frequencies = ropes[-1 if window < T else 0]
            angles = positions[:, :, None] * np.array(frequencies)
        q, k = (rotated_heads(x, at + name, angles, factor) for name in "qk")
        y = tape(attention, q, k, heads(dense(x, at + "v_proj")), np.maximum(
            doc_start, np.arange(T) - window + 1), c.attention_scale or None, c.attention_cap)
        return dense(tape(reshape, y, (B, T, -1)), at + "o_proj")

    def feed(x, at):
        y = dense(x, at + "up_proj")
        if c.activation in (SWIGLU, GEGLU):
            y = tape(swiglu if c.activation == SWIGLU else geglu, dense(x, at + "gate_proj"), y)
        else:
            y = tape(gelu_erf if c.activation == GELU_ERF else gelu, y)
        return dense(y, at + "down_proj")

    def experts(x, at):
        chosen = tape(shares, dense(x, at + "gate"), c.experts_used, c.expert_norm)
        return tape(mixture, chosen, *(feed(x, f"{at}experts.{e}.") for e in range(c.experts)))

    x = tape(embedding, w["model.embed_tokens.weight"], tokens)
    if c.position == LEARNED:
        x = tape(add, x, tape(embedding, w["model.positions.weight"], positions))
    if c.embedding_scale:
        x = tape(scaled, x, c.embedding_scale)
    for layer in range(c.layers):
        at = f"model.layers.{layer}."
        before, post = c.block != POST_NORM, c.block in (POST_NORM, SANDWICH)
        h = norm(x, at + "input_layernorm") if before else x
        y = attend(h, layer, at + "self_attn.")
        mid = tape(add, x, norm(y, at + "post_self_attn_layernorm") if post else y)
        if c.block != PARALLEL_SHARED and before:
            h = norm(x if c.block == PARALLEL else mid, at + "post_attention_layernorm")
        y = (experts if has_experts(c, layer) else feed)(h if before else mid, at + "mlp.")
        x = tape(add, mid, norm(y, at + "post_mlp_layernorm") if post else y)
    x = norm(x, "model.norm")
    if c.scalar:
        return tape(reshape, dense(x, "score"), (B, T))
    x = dense(x, "model.embed_tokens" if c.tied else "lm_head")
    return tape(capped, x, c.logit_cap) if c.logit_cap else x


def forward(config, weights, tokens, targets=None, doc_start=None):
    """nll (B,T), 0 where targets (B,T) is negative; without targets, what the head gives; and what
    `backward` needs. doc_start (B,T): where in its row the document of each token begins: it sees
    nothing earlier, and its position counts from there."""
    weights = {name: np.array(w, np.float64) for name, w in weights.items()}
    tape = Tape()
    doc_start = np.zeros_like(tokens) if doc_start is None else doc_start
    out = network(tape, config, weights, tokens, doc_start)
    if targets is not None:
        out = tape(nll, out, targets)
    return out, (tape, weights)


def backward(cache, dout):
    """name -> dLoss/dweight, where dout is dLoss/d(what forward returned)."""
    tape, weights = cache
    gradients = tape.gradients(dout)
    return {name: gradients[id(w)] for name, w in weights.items()}


def logits(config, weights, tokens, doc_start=None):
    return forward(config, weights, tokens, doc_start=doc_start)[0]


def adamw(weight, gradient, m, v, step, lr, beta1, beta2, eps, weight_decay):
    """The next (weight, m, v); step counts from 1. arXiv:1711.05101."""
    m = beta1 * m + (1 - beta1) * gradient
    v = beta2 * v + (1 - beta2) * gradient**2
    direction = m / (1 - beta1**step) / (np.sqrt(v / (1 - beta2**step)) + eps)
    return weight - lr * (direction + weight_decay * weight), m, v


def orthogonal(x):
    """x (rows,cols) with its singular values made about 1: five of Jordan's iterations of Newton
    and Schulz, of x over the root of the norm of x x^T."""
    norm = np.linalg.norm(x @ x.T)
    x = x / np.sqrt(norm) if norm > 0 else x
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


def products(names):
    """Lists of the matrices of blocks, but routers: each of those that are one product."""
    matrices = [name for name in names if name.endswith("_proj.weight")]
    firsts = [name for name in matrices if not name.endswith(("k_proj.weight", "v_proj.weight"))
              and name.replace("up_proj", "gate_proj") not in set(matrices) - {name}]
    behind = {"q_proj": ("k_proj", "v_proj"), "gate_proj": ("up_proj",)}
    return [[first] + [first.replace(start, one) for start, others in behind.items()
                       if start in first for one in others] for first in firsts]


def muon(weight, gradient, m, lr, momentum, weight_decay):
    """The next (weight, m) of one product. arXiv:2502.16982."""
    m = momentum * m + (1 - momentum) * gradient
    update = orthogonal(momentum * m + (1 - momentum) * gradient)
    return weight - lr * (0.2 * max(m.shape)**0.5 * update + weight_decay * weight), m


# ---- Sampling ------------------------------------------------------------------------------------

def distribution(logits, temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, repetition_penalty=1.0,
                 history=(), banned=(), bias={}):
    """The probabilities (V) that a token is drawn from: chat.h's Sampling, one line a rule."""
    x = np.array(logits, np.float64)
    seen = np.unique(np.array(history, int))
    x[seen] *= np.where(x[seen] > 0, 1 / repetition_penalty, repetition_penalty)
    x[[*bias]] += [*bias.values()]
    x[list(banned)] = -np.inf
    if temperature == 0:
        return np.eye(len(x))[x.argmax()]
    p = softmax(x / temperature)
    order = np.argsort(-p, kind="stable")
    p[order[top_k or len(p):]] = 0
    p /= p.sum()
    likelier = np.cumsum(p[order]) - p[order]
    p[order[(likelier >= top_p) & (top_p < 1)]] = 0
    p[p < min_p * p.max()] = 0
    return p / p.sum()
