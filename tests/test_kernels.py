"""Every kernel of csrc/kernels.h against tests/ref.py, and ref.py against finite differences.

Linear layers are in test_linear.py; queries, keys and attention in test_attention.py; what calls a
kernel, and how far off it may be, in kernel_calls.py.
"""

from itertools import product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import ref
from kernel_calls import (EPS, FLOAT, TINY, Draw, Guarded, assert_within, examples, few, guard_for,
                          linear_forward, linear_pack, norm_work, real, run, scales, seeds, single,
                          sizes, to_float, to_real, unit)

# ---- ref.py itself -------------------------------------------------------------------------------

def numbers(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape) + 0.1


HEADS = numbers(2, 5, 6, 4), numbers(2, 5, 2, 4), numbers(2, 5, 2, 4) ** 2
FIRST = np.array([[0, 0, 2, 2, 2], [0, 0, 0, 0, 4]])
CALLS = {                                        # op -> (inputs with a gradient, the others)
    ref.add: ([numbers(3, 4), numbers(3, 4) ** 2], []),
    ref.reshape: ([numbers(6, 4)], [(2, 3, 4)]),
    ref.embedding: ([numbers(5, 3)], [np.array([[1, 0, 1], [4, 4, 4]])]),
    ref.linear: ([numbers(2, 3, 4), numbers(5, 4), numbers(5)], []),
    ref.layernorm: ([numbers(2, 3, 7), numbers(7), numbers(7)], [1e-5]),
    ref.rmsnorm: ([numbers(2, 3, 7), numbers(7)], [1e-5]),
    ref.rope: ([numbers(2, 3, 2, 4)], [numbers(2, 3, 2)]),
    ref.attention: (HEADS, [FIRST, 0.7, 1.5]),
    ref.scaled: ([numbers(3, 4)], [1.7]),
    ref.capped: ([3 * numbers(3, 4)], [2.0]),
    ref.gelu: ([3 * numbers(5, 5)], []),
    ref.gelu_erf: ([3 * numbers(5, 5)], []),
    ref.geglu: ([3 * numbers(5, 5), numbers(5, 5)], []),
    ref.swiglu: ([3 * numbers(5, 5), numbers(5, 5)], []),
    ref.shares: ([numbers(2, 3, 5)], [3, False]),
    ref.mixture: ([numbers(2, 3, 2), numbers(2, 3, 4), numbers(2, 3, 4) ** 2], []),
    ref.nll: ([numbers(2, 3, 5)], [np.array([[0, -1, 4], [2, 2, -1]])]),
}


@pytest.mark.parametrize("op", ref.BACKWARD, ids=lambda op: op.__name__)
def test_ref_backward_equals_finite_differences(op):
    inputs, others = CALLS[op]
    dout = np.cos(np.arange(op(*inputs, *others).size)).reshape(op(*inputs, *others).shape)
    for i, gradient in enumerate(ref.BACKWARD[op](dout, *inputs, *others)):
        for at in np.ndindex(inputs[i].shape):
            sides = []
            for h in 1e-5, -1e-5:
                moved = [x.copy() for x in inputs]
                moved[i][at] += h
                sides.append((op(*moved, *others) * dout).sum())
            assert (sides[0] - sides[1]) / 2e-5 == pytest.approx(gradient[at], rel=1e-7, abs=1e-8)


# ---- Embedding -----------------------------------------------------------------------------------

def orders(*ids):
    """The rows sorted by each of these."""
    return [np.argsort(x, kind="stable").astype(np.int32) for x in ids]


@given(N=sizes, C=sizes, learned=st.booleans(), scale=scales, seed=seeds)
@example(N=900, C=272, learned=True, scale=1.0, seed=0)      # a token has 80 rows, a position 130
@example(N=900, C=270, learned=True, scale=1.0, seed=1)
@examples(40)
def test_embed(lib, N, C, learned, scale, seed):
    draw, V, context = Draw(lib, seed), 11, 7
    wte, wpe = draw(V, C, scale=scale), draw(context, C, scale=scale) if learned else None
    tokens, positions = draw.ints(0, V, N), draw.ints(0, context, N)
    want = ref.embedding(wte, tokens)
    if learned:
        want = draw.round(np.float32(want) + np.float32(ref.embedding(wpe, positions)))
    got, = run(lib, "embed_forward", [real(N, C)], tokens, positions, wte, wpe, N, C)
    assert np.array_equal(got, want)
    got, = run(lib, "embed_packed", [real(N, C)], tokens, positions, linear_pack(lib, wte), wpe,
               N, C, V)
    assert np.array_equal(got, want)

    dout, start = draw(N, C), [draw(V, C).astype(np.float32), draw(context, C).astype(np.float32)]
    got = run(lib, "embed_backward", [start[0], start[1] if learned else None],
              dout, tokens, positions, *orders(tokens, positions), N, C)
    for got, table, index, before in zip(got, (wte, wpe)[:1 + learned], (tokens, positions), start):
        want, = ref.embedding_backward(dout, table, index)
        size, = ref.embedding_backward(np.abs(dout), table, index)
        assert_within(got, before + 2 * want, 2 * N * FLOAT * (2 * size + np.abs(before)))


# ---- Norms ---------------------------------------------------------------------------------------

def long_rows(**more):
    """Examples of rows longer than a GPU's block holds, and of more rows than blocks at a time."""
    def decorate(test):
        for N, C in (2, 4616), (3, 4616), (3, 2057), (151, 16):
            test = example(N=N, C=C, scale=1.0, seed=0, **more)(test)
        return test
    return decorate


@given(N=few, C=sizes, bias=st.booleans(), scale=scales, seed=seeds)
@long_rows(bias=True)
@examples(60)
def test_layernorm_forward(lib, N, C, bias, scale, seed):
    draw = Draw(lib, seed)
    inp, weight, b = draw(N, C, scale=scale), draw(C), draw(C) if bias else None
    got, mean, rstd = run(lib, "layernorm_forward", [real(N, C), single(N), single(N)],
                          inp, weight, b, N, C, EPS)
    want, h = ref.layernorm(inp, weight, b, EPS), ref.standardized(inp, EPS)[0]
    s = ref.standardized(inp, EPS)[1]
    centre = (C + 2) * FLOAT * np.abs(inp).max(-1, keepdims=True)       # how far x - mean is off
    slope = (C + 8) * FLOAT + (s * centre) ** 2                         # and rstd, relatively
    assert_within(mean, ref.mean(inp)[:, 0], centre[:, 0])
    assert_within(rstd, s[:, 0], (s * slope)[:, 0])
    assert_within(got, want, unit(lib) * np.abs(want) + 2 * FLOAT * np.abs(b if bias else 0)
                  + np.abs(weight) * (s * centre + np.abs(h) * slope))


@given(N=few, C=sizes, bias=st.booleans(), scale=scales, seed=seeds)
@long_rows(bias=True)
@examples(60)
def test_layernorm_backward(lib, N, C, bias, scale, seed):
    draw = Draw(lib, seed)
    inp, weight, dout = draw(N, C, scale=scale), draw(C), draw(N, C)
    h, s = ref.standardized(inp, EPS)
    start = draw(N, C), draw(C).astype(np.float32), draw(C).astype(np.float32)
    mean, rstd = (x[:, 0].astype(np.float32) for x in (ref.mean(inp), s))
    got = run(lib, "layernorm_backward", [*start[:2], start[2] if bias else None],
              dout, inp, weight, mean, rstd, norm_work(lib, N, C), N, C)
    want = ref.layernorm_backward(dout, inp, weight, None, EPS)
    g, size = np.abs(dout * weight), np.abs(h) + 1
    # h is off by a rounded mean
    off = 4 * FLOAT * (s * np.abs(inp).max(-1, keepdims=True) + np.abs(h))
    dinp = s * ((C + 8) * FLOAT * (g + ref.mean(g) + size * ref.mean(g * size))
                + off * ref.mean(g * size) + size * ref.mean(g * off))
    sums = (N + 4) * FLOAT
    bounds = [dinp + unit(lib) * (np.abs(start[0]) + 2 * np.abs(want[0])),
              ref.over_rows(np.abs(dout) * off) + sums * ref.over_rows(np.abs(dout * h)),
              sums * ref.over_rows(np.abs(dout))]
    for got, want, bound, before in list(zip(got, want, bounds, start))[:2 + bias]:
        assert_within(got, before + 2 * want, 2 * bound + 2 * N * FLOAT * np.abs(before))


@given(N=few, C=sizes, scale=scales, seed=seeds)
@example(N=1, C=64, scale=0.0, seed=0)
@long_rows()
@examples(60)
def test_rmsnorm_forward(lib, N, C, scale, seed):
    draw = Draw(lib, seed)
    inp, weight = draw(N, C, scale=scale), draw(C)
    got, rstd = run(lib, "rmsnorm_forward", [real(N, C), single(N)], inp, weight, N, C, EPS)
    want, s = ref.rmsnorm(inp, weight, EPS), 1 / np.sqrt(ref.mean(inp**2) + EPS)[:, 0]
    assert_within(rstd, s, (C + 6) * FLOAT * s)
    assert_within(got, want, (unit(lib) + (C + 8) * FLOAT) * np.abs(want))


@given(N=few, C=sizes, scale=scales, seed=seeds)
@example(N=1, C=64, scale=0.0, seed=0)
@long_rows()
@examples(60)
def test_rmsnorm_backward(lib, N, C, scale, seed):
    draw = Draw(lib, seed)
    inp, weight, dout = draw(N, C, scale=scale), draw(C), draw(N, C)
    s = 1 / np.sqrt(ref.mean(inp**2) + EPS)
    start = draw(N, C), draw(C).astype(np.float32)
    got = run(lib, "rmsnorm_backward", start, dout, inp, weight, s[:, 0].astype(np.float32),
              norm_work(lib, N, C), N, C)
    want = ref.rmsnorm_backward(dout, inp, weight, EPS)
    g, h = np.abs(dout * weight), np.abs(inp * s)
    bounds = [(C + 8) * FLOAT * s * (g + h * ref.mean(g * h))
              + unit(lib) * (np.abs(start[0]) + 2 * np.abs(want[0])),
              (N + 4) * FLOAT * ref.over_rows(np.abs(dout) * h)]
    for got, want, bound, before in zip(got, want, bounds, start):
        assert_within(got, before + 2 * want, 2 * bound + 2 * N * FLOAT * np.abs(before))


# ---- Activations ---------------------------------------------------------------------------------

# tanh is off by some FLOAT, and the slope's factor x (1 + 3 * 0.0447 x^2) is 30 where tanh is 1.
@pytest.mark.parametrize("name, floats", [("gelu", 256), ("gelu_erf", 64)])
@given(n=sizes, scale=scales, seed=seeds)
@example(n=20011, scale=1.0, seed=0)
@examples(60)
def test_gelu(lib, name, floats, n, scale, seed):
    """Also backward where dinp is dout."""
    draw = Draw(lib, seed)
    inp, dout = draw(n, scale=scale), draw(n)
    want = getattr(ref, name)(inp)
    got, = run(lib, f"{name}_forward", [real(n)], inp, n)
    assert_within(got, want, unit(lib) * np.abs(want) + 16 * FLOAT * np.abs(inp))
    want, = getattr(ref, f"{name}_backward")(dout, inp)
    got, = run(lib, f"{name}_backward", [real(n)], dout, inp, n)
    assert_within(got, want, unit(lib) * np.abs(want) + floats * FLOAT * np.abs(dout))
    inp, dout = to_real(lib, inp), to_real(lib, dout)
    lib.call(f"{name}_backward", dout, dout, inp, n)
    assert np.array_equal(to_float(lib, dout), got)


@given(n=sizes, scale=scales, cap=st.sampled_from([0.5, 30.0]), seed=seeds)
@examples(60)
def test_softcap(lib, n, scale, cap, seed):
    draw = Draw(lib, seed)
    inp, dout = np.float32(draw(n, scale=scale)), draw(n)
    held = Guarded(lib, inp)
    lib.call("softcap_forward", held.array, cap, n)
    got, want = held.array.copy(), ref.capped(np.float64(inp), cap)
    assert held.intact()
    assert_within(got, want, 8 * FLOAT * cap)
    slope = to_real(lib, dout)
    lib.call("softcap_backward", slope, got, cap, n)
    want, = ref.capped_backward(dout, np.float64(inp), cap)
    assert_within(to_float(lib, slope), want,
                  unit(lib) * np.abs(want) + 32 * FLOAT * np.abs(dout))


@given(n=sizes, scale=scales, seed=seeds)
@example(n=20011, scale=1.0, seed=0)
@examples(40)
def test_sums_and_multiples(lib, n, scale, seed):
    """And out may be an input."""
    draw = Draw(lib, seed)
    a, b = draw(n, scale=scale), draw(n)
    got, = run(lib, "add_reals", [real(n)], a, b, n)
    assert np.array_equal(got, draw.round(a + b))
    there = to_real(lib, a)
    lib.call("add_reals", there, there, to_real(lib, b), n)
    assert np.array_equal(to_float(lib, there), got)
    lib.call("scale_reals", there, 0.75, n)
    assert np.array_equal(to_float(lib, there), draw.round(0.75 * got))


def run_gated(lib, name, N, F, scale, seed):
    """gate, up, dout (N,F), and (what a kernel and its backward gave, what they should) of the
    output and of the gradients of gate and up."""
    draw = Draw(lib, seed)
    gate, up, dout = draw(N, F, scale=scale), draw(N, F, scale=scale), draw(N, F)
    inp = np.concatenate([gate, up], axis=1)
    out, = run(lib, f"{name}_forward", [real(N, F)], inp, N, F)
    dinp, = run(lib, f"{name}_backward", [real(N, 2 * F)], dout, inp, N, F)
    wants = getattr(ref, name)(gate, up), *getattr(ref, f"{name}_backward")(dout, gate, up)
    return gate, up, dout, *zip((out, dinp[:, :F], dinp[:, F:]), wants)


@given(N=few, F=sizes, scale=scales, seed=seeds)
@example(N=3, F=4104, scale=1.0, seed=0)
@examples(60)
def test_geglu(lib, N, F, scale, seed):
    gate, up, dout, *results = run_gated(lib, "geglu", N, F, scale, seed)
    bounds = 20 * np.abs(gate * up), 256 * np.abs(dout * up), 20 * np.abs(dout * gate)
    for (got, want), bound in zip(results, bounds, strict=True):
        assert_within(got, want, unit(lib) * np.abs(want) + FLOAT * bound)


@given(N=few, F=sizes, scale=scales, seed=seeds)
@example(N=3, F=4104, scale=1.0, seed=0)
@examples(60)
def test_swiglu(lib, N, F, scale, seed):
    gate, up, dout, *results = run_gated(lib, "swiglu", N, F, scale, seed)
    slope = np.abs(dout * up) * ref.sigmoid(gate) * (1 + np.abs(gate))  # 1 - sigmoid cancels
    tiny = TINY * (1 + np.abs(gate)) * (1 + np.abs(up))                 # from a sigmoid that is 0
    bounds = np.abs(results[0][1]), slope, np.abs(results[2][1])
    for (got, want), bound in zip(results, bounds, strict=True):
        assert_within(got, want, unit(lib) * np.abs(want) + 16 * FLOAT * bound + tiny)


# ---- The loss ------------------------------------------------------------------------------------

@given(N=few, V=sizes, padding=st.sampled_from([0, 1, 5, 128]), scale=scales,
       shift=st.sampled_from([0.0, 3e4, -3e4]), seed=seeds)
@example(N=5, V=50257, padding=47, scale=1.0, shift=0.0, seed=0)    # as in GPT-2
@example(N=5, V=50257, padding=46, scale=1.0, shift=0.0, seed=0)
@examples(80)
def test_nll(lib, N, V, padding, scale, shift, seed):
    """Also with padded columns that hold 1e30 and NaN, and with every kind of target."""
    draw, P = Draw(lib, seed), V + padding
    logits = np.full((N, P), np.nan, np.float32)
    logits[:, V:P - 1] = 1e30
    logits[:, :V] = x = draw.round(draw(N, V, scale=scale) + shift)
    targets, weights = draw.ints(-1, V, N), draw(N)
    most = np.abs(x).max(-1) + np.log(V)         # no lse is larger
    got, none = run(lib, "nll_forward", [single(N), None], logits, targets, None, N, V, P)
    assert none is None
    assert_within(got, ref.nll(x, targets), (V + 8) * FLOAT + 8 * FLOAT * most)
    assert (got[targets < 0] == 0).all()

    again, dlogits = run(lib, "nll_forward", [single(N), real(N, P)], logits, targets,
                         weights.astype(np.float32), N, V, P)
    assert_within(again, got, 2 * ((V + 8) * FLOAT + 8 * FLOAT * most))
    assert (dlogits[:, V:] == 0).all() and (dlogits[targets < 0] == 0).all()
    want, = ref.nll_backward(weights, x, targets)
    size = ref.softmax(x) + (np.arange(V) == targets[:, None])
    slack = np.expm1(4 * FLOAT * most)[:, None] + (V + 8) * FLOAT
    off = np.abs(weights)[:, None] * (slack * size + TINY)
    assert_within(dlogits[:, :V], want, unit(lib) * np.abs(want) + off)


# ---- Moving and converting -----------------------------------------------------------------------

@given(n=few, rows=few, C=sizes, seed=seeds)
@examples(20)
def test_gather_rows(lib, n, rows, C, seed):
    draw = Draw(lib, seed)
    inp, index = draw(rows, C), draw.ints(0, rows, n)
    got, = run(lib, "gather_rows", [real(n, C)], inp, index, n, C)
    assert np.array_equal(got, inp[index])


def test_narrow_and_widen_round_to_the_nearest_ties_to_even(lib):
    """All bfloat16 values, NaN, infinities and denormals too, with low halves at each tie."""
    high = np.arange(65536, dtype=np.uint32)[:, None] << 16
    low = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    x = np.ascontiguousarray((high | low).view(np.float32))
    narrowed = Guarded(lib, np.zeros(x.shape, lib.real_type))
    back = Guarded(lib, np.zeros_like(x))
    lib.call("narrow", narrowed.array, x, x.size)
    lib.call("widen", back.array, narrowed.array, x.size)
    assert narrowed.intact() and back.intact()
    got, nan, exact = back.array, np.isnan(x), slice(None) if lib.dtype == "f32" else slice(0, 1)
    assert np.array_equal(np.isnan(got), nan)
    held = (slice(None), exact)                  # what real holds comes back with every bit
    before, after = (a[held].view(np.uint32)[~nan[held]] for a in (x, got))
    assert np.array_equal(after, before)
    if lib.dtype == "f32":
        return
    with np.errstate(invalid="ignore", over="ignore"):
        below, above = (np.float64((high + step).view(np.float32))
                        for step in (0, np.uint32(0x10000)))
        above[np.isinf(above)] = np.copysign(2.0**128, above[np.isinf(above)])    # for its distance
        down, up, odd = np.abs(x - below), np.abs(above - x), (high >> 16) % 2 == 1
        want = np.where((up < down) | ((up == down) & odd), above, below).astype(np.float32)
    assert np.array_equal(got[np.isfinite(x)], want[np.isfinite(x)])


# ---- The optimizer -------------------------------------------------------------------------------

@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 1000, 3_000_001])
def test_sum_squares(lib, n):
    x = np.float32(np.random.default_rng(n).standard_normal(n) * 1e25)  # whose squares need double
    sums = []
    for threads in 1, 2:
        lib.call("device_threads", threads)
        sums.append(lib.call("sum_squares", x, n))
    lib.call("device_threads", 1)
    assert sums[0] == sums[1] == pytest.approx((x.astype(np.float64) ** 2).sum(), rel=1e-12)
    rest = lib.call("sum_squares", x[1:], n - 1)         # 4 bytes on
    assert rest == pytest.approx((x[1:].astype(np.float64) ** 2).sum(), rel=1e-12)


@given(n=sizes, decay=st.booleans(), scale=scales, grad_scale=st.sampled_from([1.0, 0.125]),
       seed=seeds)
@examples(40)
def test_adamw_follows_ref(lib, n, decay, scale, grad_scale, seed):
    draw, steps = Draw(lib, seed), 6
    lr, beta1, beta2, eps, decay_rate = (float(np.float32(x)) for x in (1e-2, 0.9, 0.95, 1e-8, 0.1))
    w, m, v = draw(n), np.zeros(n), np.zeros(n)
    arrays = w, *np.float32([w, m, v])
    held = [Guarded(lib, x, guard_for(lib, arrays)) for x in arrays]
    weight, master, moment1, moment2 = (x.array for x in held)
    largest, bound = np.zeros(n), np.zeros(n)
    for step in range(1, steps + 1):
        grad = draw(n, scale=scale).astype(np.float32)
        adam = lib.ffi.new("AdamW *", dict(step=step, lr=lr, beta1=beta1, beta2=beta2, eps=eps,
                                           weight_decay=decay_rate, grad_scale=grad_scale))
        lib.call("device_threads", 1 + step % 2)
        lib.call("adamw", weight, master if lib.dtype == "bf16" else None, moment1, moment2, grad,
                 adam, int(decay), 0, n)
        g = grad_scale * grad.astype(np.float64)
        w, m, v = ref.adamw(w, g, m, v, step, lr, beta1, beta2, eps, decay_rate * decay)
        largest = np.maximum(largest, np.abs(g))
        share = lr * largest / (np.sqrt(v / (1 - beta2**step)) + eps)   # m may have cancelled
        bound += 16 * step * FLOAT * share + 4 * FLOAT * np.abs(w)
    lib.call("device_threads", 1)
    assert all(x.intact() for x in held)
    assert_within(moment1, m, 8 * steps * FLOAT * largest)
    assert_within(moment2, v, 8 * steps * FLOAT * largest**2)
    if lib.dtype == "bf16":
        assert_within(master, w, bound)
        assert np.array_equal(weight, to_real(lib, master))
    else:
        assert_within(weight, w, bound)


@pytest.mark.parametrize("n, at", [(1001, 0), (1004, 2**32 - 3), (1004, 5 * 2**32 + 1)])
def test_adamw_without_masters_rounds_by_chance(lib, n, at):
    """With no gradient the step is a product, so every bit is known; chances are chat.c's own."""
    step, scale = 7, np.float32(1) - np.float32(1e-2) * np.float32(0.1)
    weight = to_real(lib, np.random.default_rng(0).standard_normal(n))
    before, zeros = to_float(lib, weight), np.zeros((3, n), np.float32)
    before[:3] = np.inf, -np.inf, np.nan
    weight[:3] = to_real(lib, before[:3])
    adam = lib.ffi.new("AdamW *", dict(step=step, lr=1e-2, beta1=0.9, beta2=0.95, eps=1e-8,
                                       weight_decay=0.1, grad_scale=1))
    lib.call("adamw", weight, None, *zeros, adam, 1, at, n)
    want = before * scale
    if lib.dtype == "bf16":
        index = np.uint64(at) + np.arange(n, dtype=np.uint64)
        with np.errstate(over="ignore"):
            x = (index.astype(np.uint32) ^ (index >> np.uint64(32)).astype(np.uint32)
                 * np.uint32(0x85ebca77) ^ np.uint32(step) * np.uint32(0x9e3779b1))
            x = (x ^ (x >> 16)) * np.uint32(0x7feb352d)
            x = (x ^ (x >> 15)) * np.uint32(0x846ca68b)
        bits = want.view(np.uint32) + ((x ^ (x >> 16)) >> 16)
        want = np.where(np.isfinite(want), (bits & np.uint32(0xffff0000)).view(np.float32), want)
    assert np.array_equal(to_float(lib, weight), want, equal_nan=True)


# ---- Muon ----------------------------------------------------------------------------------------

@given(n=sizes, scale=scales, seed=seeds)
@examples(20)
def test_muon_mixes_gradients_and_moves_weights(lib, n, scale, seed):
    draw, beta, rate, keep = Draw(lib, seed), 0.9375, 0.0625, 0.875
    grad, m, update, w = draw(n, scale=scale), draw(n, scale=scale), draw(n), draw(n)
    held = Guarded(lib, np.float32(m)), Guarded(lib, real(n))
    lib.call("nesterov", held[1].array, held[0].array, np.float32(grad), beta, 0.5, n)
    want = beta * m + (1 - beta) * 0.5 * grad
    bound = 8 * FLOAT * (np.abs(m) + np.abs(grad))
    assert all(x.intact() for x in held)
    assert_within(held[0].array, want, bound)
    mixed = beta * want + (1 - beta) * 0.5 * grad
    assert_within(np.float64(to_float(lib, held[1].array)), mixed,
                  bound + unit(lib) * np.abs(mixed))
    held = Guarded(lib, w), Guarded(lib, np.float32(w))
    masters = held[1].array if lib.dtype == "bf16" else None
    lib.call("muon_step", held[0].array, masters, to_real(lib, update), rate, keep, 1, 0, n)
    want = keep * w - rate * update
    assert all(x.intact() for x in held)
    assert_within(np.float64(to_float(lib, held[0].array)), want,
                  4 * FLOAT * (np.abs(w) + np.abs(update)) + unit(lib) * np.abs(want))
    if lib.dtype == "bf16":
        assert_within(held[1].array, want, 4 * FLOAT * (np.abs(w) + np.abs(update)))


@given(n=sizes, K=sizes, columns=st.booleans(), scale=scales, seed=seeds)
@examples(40)
def test_symmetric_products_and_polynomials_follow_ref(lib, n, K, columns, scale, seed):
    draw = Draw(lib, seed)
    x, square = draw(n, K, scale=scale), draw(n, n)
    given_x = np.ascontiguousarray(x.T if columns else x)
    work = np.zeros(lib.call("symmetric_work", n, K), np.uint8)
    got, = run(lib, "symmetric_product", [real(n, n)], given_x, given_x, work, n, K, int(columns))
    want, most = x @ x.T, np.abs(x) @ np.abs(x).T
    assert_within(got, want, (K + 1) * FLOAT * most + unit(lib) * np.abs(want))
    assert np.array_equal(got, got.T)
    power, = run(lib, "polynomial", [real(n, n)], got, square, 2.5, -1.5, 0.5, n)
    want = 2.5 * np.eye(n) - 1.5 * got + 0.5 * square
    assert_within(power, want, 8 * FLOAT * (2.5 * np.eye(n) + 2 * np.abs(got) + np.abs(square))
                  + unit(lib) * np.abs(want))


# ---- NaN -----------------------------------------------------------------------------------------

def test_a_nan_is_never_hidden(lib):
    """One NaN goes in; where ref.py has NaN, the kernel must. Outputs start as 0 here."""
    draw, (N, C) = Draw(lib, 0), (5, 33)
    good, bad, square, weight = draw(N, C), draw(N, C), draw(C, C), draw(C)
    bad[2, 1] = np.nan
    bad_square = np.where(np.eye(C) > 0, np.nan, square)
    targets, ones, work = np.arange(N, dtype=np.int32), np.ones(N, np.float32), np.zeros(
        lib.call("linear_work", N, C, C, 1), np.uint8)
    rows, vector, matrix = np.zeros((N, C)), np.zeros(C, np.float32), np.zeros((C, C), np.float32)
    column = np.zeros(N, np.float32)

    def check(name, outputs, wants, *inputs):
        for got, want in zip(run(lib, name, outputs, *inputs), wants):
            assert np.isnan(want).any() and np.isnan(got[np.isnan(want)]).all(), name

    with np.errstate(invalid="ignore"):
        check("layernorm_forward", [rows, column, column], [ref.layernorm(bad, weight, None, EPS)],
              bad, weight, None, N, C, EPS)
        check("layernorm_backward", [rows, vector, vector],
              ref.layernorm_backward(bad, good, weight, None, EPS),
              bad, good, weight, ones, ones, norm_work(lib, N, C), N, C)
        check("rmsnorm_forward", [rows, column], [ref.rmsnorm(bad, weight, EPS)],
              bad, weight, N, C, EPS)
        check("rmsnorm_backward", [rows, vector], ref.rmsnorm_backward(bad, good, weight, EPS),
              bad, good, weight, ones, norm_work(lib, N, C), N, C)
        check("linear_backward", [rows, matrix, vector], ref.linear_backward(bad, good, square),
              bad, good, square, None, None, None, work, N, C, C)
        for name in "gelu", "gelu_erf":
            check(f"{name}_forward", [rows], [getattr(ref, name)(bad)], bad, N * C)
            check(f"{name}_backward", [rows], getattr(ref, f"{name}_backward")(bad, good),
                  bad, good, N * C)
        for (gate, up), name in product([(bad, good), (good, bad)], ["swiglu", "geglu"]):
            check(f"{name}_forward", [rows], [getattr(ref, name)(gate, up)],
                  np.hstack([gate, up]), N, C)
        check("nll_forward", [column, rows],
              [ref.nll(bad, targets), *ref.nll_backward(ones, bad, targets)],
              bad.astype(np.float32), targets, ones, N, C, C)
    for x, w in (bad, square), (good, bad_square):
        assert np.isnan(linear_forward(lib, x, w)[np.isnan(ref.linear(x, w))]).all()
    assert np.isnan(lib.call("sum_squares", bad.astype(np.float32), bad.size))


# ---- Threads -------------------------------------------------------------------------------------

def test_every_kernel_has_the_same_bits_on_one_and_two_threads(lib):
    """`run` compares them; here each loop is long enough to be shared, and in unequal parts."""
    draw, N, C, V, P, H, K, D = Draw(lib, 0), 171, 251, 297, 300, 6, 2, 34
    W = (H + 2 * K) * D
    x, y, weight, bias, matrix = draw(N, C), draw(N, C), draw(C), draw(C), draw(C, C)
    rows, column = (np.float32(draw(N)) for _ in range(2))
    vectors, square = np.float32(draw(2, C)), np.float32(draw(C, C))
    tokens, positions, slots = draw.ints(0, V, N), draw.ints(0, 150, N), draw.ints(0, 3, N)
    packed = linear_pack(lib, matrix)
    work = np.zeros(lib.call("linear_work", N, C, C, 1), np.uint8)
    qkv, heads, norms = draw(N, W), draw(N, H * D), (draw(D), draw(D))
    doc_start, rope = draw.doc_start(1, N), np.float32(draw(150, D))
    logits, lse = np.float32(draw(N, P)), np.float32(draw(N, H))
    keys, values = draw(3, 150, K * D), draw(3, 150, K * D)
    for name, outputs, *inputs in [
        ("embed_forward", [real(N, C)], tokens, positions, draw(V, C), draw(150, C), N, C),
        ("embed_backward", [np.float32(draw(V, C)), np.float32(draw(150, C))],
         x, tokens, positions, *orders(tokens, positions), N, C),
        ("layernorm_forward", [real(N, C), single(N), single(N)], x, weight, bias, N, C, EPS),
        ("layernorm_backward", [y, *vectors], x, y, weight, rows, column, norm_work(lib, N, C),
         N, C),
        ("rmsnorm_forward", [real(N, C), single(N)], x, weight, N, C, EPS),
        ("rmsnorm_backward", [y, vectors[0]], x, y, weight, rows, norm_work(lib, N, C), N, C),
        ("linear_forward", [real(N, C), real(N, C)], x, packed, bias, y, work, N, C, C),
        ("linear_forward_float", [single(N, C)], x, packed, work, N, C, C),
        ("linear_backward", [real(N, C), square, vectors[0]], x, y, matrix, None, y, None,
         work, N, C, C),
        ("qk_norm_rope_forward", [real(N, W), single(N, H + K)],
         qkv, *norms, rope, positions, N, H, K, D, 0, EPS),
        ("qk_norm_rope_backward", [real(N, W), np.float32(draw(D)), np.float32(draw(D))],
         draw(N, W), qkv, *norms, np.float32(draw(N, H + K)), rope, positions,
         norm_work(lib, N, D), N, H, K, D, 0),
        ("attention_forward", [real(N, H * D), single(N, H)], qkv, doc_start,
         1, N, H, K, D, 0, 0.2, 0.0),
        ("attention_backward", [real(N, W)], heads, heads, lse, qkv, doc_start,
         np.zeros(lib.call("attention_work", 1, N, H, D), np.uint8),
         1, N, H, K, D, 0, 0.2, 5.0),
        ("attention_extend", [real(N, H * D)],
         qkv, keys, values, slots * np.int32(150), positions,
         np.zeros(lib.call("extend_work", N, 150, H, D), np.uint8),
         N, 150, H, K, D, 0, 0.2, 5.0, 0),
        ("gelu_forward", [real(N, C)], x, N * C),
        ("gelu_backward", [real(N, C)], y, x, N * C),
        ("gelu_erf_forward", [real(N, C)], x, N * C),
        ("gelu_erf_backward", [real(N, C)], y, x, N * C),
        ("geglu_forward", [real(N, C)], draw(N, 2 * C), N, C),
        ("geglu_backward", [real(N, 2 * C)], y, draw(N, 2 * C), N, C),
        ("swiglu_forward", [real(N, C)], draw(N, 2 * C), N, C),
        ("swiglu_backward", [real(N, 2 * C)], y, draw(N, 2 * C), N, C),
        ("nll_forward", [single(N), real(N, P)], logits, tokens, column, N, V, P),
        ("widen", [single(N, C)], x, N * C),
        ("narrow", [real(N, C)], np.float32(x), N * C),
    ]:
        for out in run(lib, name, outputs, *inputs):
            assert np.isfinite(out).any(), name
