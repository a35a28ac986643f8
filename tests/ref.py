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

import numpy as np

LAYERNORM, RMSNORM = LEARNED, ROPE = GELU, SWIGLU = range(2)            # the enums of chat.h
BIAS_NONE, BIAS_QKV, BIAS_ALL = range(3)


# ---- Operations ----------------------------------------------------------------------------------

def add(a, b):
    return a + b


def add_backward(dout, a, b):
    return dout, dout


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
    return h * weight + (0 if bias is None else bias)


def layernorm_backward(dout, inp, weight, bias, eps):
    h, rstd = standardized(inp, eps)
    g = dout * weight
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


def rope_frequencies(D, theta, factor=1.0, low=1.0, high=4.0, old_context=8192):
    """Radians a token of each of the D/2 pairs (arXiv:2104.09864), stretched as Llama 3.1 does:
    wavelengths over old_context/low tokens by `factor`, those under old_context/high not at all."""
    frequency = float(theta) ** (-np.arange(0, D, 2) / D)
    if factor == 1:
        return frequency
    wavelength = 2 * np.pi / frequency
    smooth = (old_context / wavelength - low) / (high - low)
    blended = (1 - smooth) * frequency / factor + smooth * frequency
    return np.where(wavelength < old_context / high, frequency,
                    np.where(wavelength > old_context / low, frequency / factor, blended))


def rope(inp, angles):
    """Rotates each pair (i, i + D/2) of inp (B,T,H,D) by angles (B,T,D/2)."""
    a, b = np.split(inp, 2, axis=-1)
    cos, sin = np.cos(angles)[:, :, None], np.sin(angles)[:, :, None]
    return np.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)


def rope_backward(dout, inp, angles):
    return (rope(dout, -angles),)                # a rotation's transpose turns it back


def attention_weights(q, k, first):
    """softmax(q k^T / sqrt(D)) (B,H,T,T) of q (B,T,H,D), k (B,T,K,D) over first <= key <= query."""
    T, D = q.shape[1], q.shape[3]
    k = np.repeat(k, q.shape[2] // k.shape[2], axis=2)
    scores = np.einsum("bqhd,bkhd->bhqk", q, k) / np.sqrt(D)
    seen = (first[:, :, None] <= np.arange(T)) & np.tri(T, dtype=bool)
    return softmax(np.where(seen[:, None], scores, -np.inf))


def attention(q, k, v, first):
    """out (B,T,H,D): values (B,T,K,D) averaged by weight; query head h reads head h // (H // K)."""
    v = np.repeat(v, q.shape[2] // v.shape[2], axis=2)
    return np.einsum("bhqk,bkhd->bqhd", attention_weights(q, k, first), v)


def attention_backward(dout, q, k, v, first):
    (B, T, H, D), K = q.shape, k.shape[2]
    p = attention_weights(q, k, first)
    dp = np.einsum("bqhd,bkhd->bhqk", dout, np.repeat(v, H // K, axis=2))
    ds = p * (dp - (p * dp).sum(-1, keepdims=True)) / np.sqrt(D)
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


def nll(logits, targets):
    """out (...) = -log softmax(logits (...,V))[target], in nats; 0 where the target is negative."""
    lse = np.logaddexp.reduce(logits, axis=-1)
    chosen = np.take_along_axis(logits, np.maximum(targets, 0)[..., None], axis=-1)[..., 0]
    return np.where(targets < 0, 0, lse - chosen)


def nll_backward(dout, logits, targets):
    onehot = np.arange(logits.shape[-1]) == targets[..., None]
    return ((softmax(logits) - onehot) * np.where(targets < 0, 0, dout)[..., None],)


BACKWARD = {
    add: add_backward, reshape: reshape_backward, embedding: embedding_backward,
    linear: linear_backward, layernorm: layernorm_backward, rmsnorm: rmsnorm_backward,
    rope: rope_backward, attention: attention_backward, gelu: gelu_backward,
    swiglu: swiglu_backward, nll: nll_backward,
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

    tensor("model.embed_tokens", (c.vocab, C), False)
    if c.position == LEARNED:
        tensor("model.positions", (c.context, C), False)
    all_biased, norm_biased = c.bias == BIAS_ALL, c.bias == BIAS_ALL and c.norm == LAYERNORM
    for layer in range(c.layers):
        at = f"model.layers.{layer}."
        tensor(at + "input_layernorm", (C,), norm_biased)
        for name, rows in ("q", Q), ("k", KV), ("v", KV):
            tensor(f"{at}self_attn.{name}_proj", (rows, C), c.bias != BIAS_NONE)
        for name in ("q_norm", "k_norm") if c.qk_norm else ():
            tensor(f"{at}self_attn.{name}", (c.head_dim,), False)
        tensor(at + "self_attn.o_proj", (C, Q), all_biased)
        tensor(at + "post_attention_layernorm", (C,), norm_biased)
        for name in ("gate_proj", "up_proj") if c.activation == SWIGLU else ("up_proj",):
            tensor(f"{at}mlp.{name}", (F, C), all_biased)
        tensor(at + "mlp.down_proj", (C, F), all_biased)
    tensor("model.norm", (C,), norm_biased)
    if c.scalar:
        tensor("score", (1, C), False)
    elif not c.tied:
        tensor("lm_head", (c.vocab, C), False)
    return table


def window_of(config, layer, T):
    """How many keys a query of a layer sees, of T."""
    full = config.window_period and (layer + 1) % config.window_period == 0
    return T if full or not config.window else config.window


def network(tape, config, w, tokens, doc_start):
    """Logits (B,T,V), or values (B,T) with a scalar head, of tokens (B,T)."""
    c, (B, T) = config, tokens.shape
    positions = np.arange(T) - doc_start
    angles = positions[:, :, None] * rope_frequencies(
        c.head_dim, c.rope_theta, c.rope_factor, c.rope_low, c.rope_high, c.rope_context)

    def dense(x, name):
        return tape(linear, x, w[f"{name}.weight"], w.get(f"{name}.bias"))

    def norm(x, name):
        if c.norm == RMSNORM:
            return tape(rmsnorm, x, w[f"{name}.weight"], c.norm_eps)
        return tape(layernorm, x, w[f"{name}.weight"], w.get(f"{name}.bias"), c.norm_eps)

    def heads(x, name):
        return tape(reshape, dense(x, f"{name}_proj"), (B, T, -1, c.head_dim))

    def rotated_heads(x, name):
        x = heads(x, name)
        if c.qk_norm:
            x = tape(rmsnorm, x, w[f"{name}_norm.weight"], c.norm_eps)
        return tape(rope, x, angles) if c.position == ROPE else x

    x = tape(embedding, w["model.embed_tokens.weight"], tokens)
    if c.position == LEARNED:
        x = tape(add, x, tape(embedding, w["model.positions.weight"], positions))
    for layer in range(c.layers):
        at = f"model.layers.{layer}."
        y = norm(x, at + "input_layernorm")
        q, k = (rotated_heads(y, f"{at}self_attn.{name}") for name in "qk")
        y = tape(attention, q, k, heads(y, at + "self_attn.v"), np.maximum(
            doc_start, np.arange(T) - window_of(c, layer, T) + 1))
        x = tape(add, x, dense(tape(reshape, y, (B, T, -1)), at + "self_attn.o_proj"))
        y = norm(x, at + "post_attention_layernorm")
        if c.activation == SWIGLU:
            y = tape(swiglu, dense(y, at + "mlp.gate_proj"), dense(y, at + "mlp.up_proj"))
        else:
            y = tape(gelu, dense(y, at + "mlp.up_proj"))
        x = tape(add, x, dense(y, at + "mlp.down_proj"))
    x = norm(x, "model.norm")
    if c.scalar:
        return tape(reshape, dense(x, "score"), (B, T))
    return dense(x, "model.embed_tokens" if c.tied else "lm_head")


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


# ---- Sampling ------------------------------------------------------------------------------------

def distribution(logits, temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, repetition_penalty=1.0,
                 history=(), banned=()):
    """The probabilities (V) that a token is drawn from: chat.h's Sampling, one line a rule."""
    x = np.array(logits, np.float64)
    seen = np.unique(np.array(history, int))
    x[seen] *= np.where(x[seen] > 0, 1 / repetition_penalty, repetition_penalty)
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
