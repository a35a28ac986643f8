"""Every kernel of csrc/chat.h against tests/ref.py, and ref.py against finite differences.

`run` calls a kernel as hard as chat.h allows: a guard band lies around every array, outputs marked
"=" start as NaN, the call is made twice (so what is marked "+=" must grow by twice the gradient), and
all that on one thread and on two, which must give the same bits. (Loops of few steps stay on one
thread, so one test is about threads only.)

Bounds are worst cases, not measurements. A sum of n products is off by at most n * FLOAT * (the sum
of their magnitudes), a number x stored as `real` by unit(lib) * |x|. Where a kernel rounds inside,
the bound says what that does to the result. Arguments are rounded before ref.py sees them.

Arrays here are float64 where the kernel takes `real`, float32 where it takes `float`.
"""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import ref

FLOAT = 2.0**-24                                 # rounding to float is wrong by this, relatively
TINY = 1e-37                                     # where float's relative precision ends
EPS = 2.0**-17                                   # a norm's epsilon that float can hold
GUARD = 132                                      # bytes; leaves arrays aligned to 4 bytes, no more

few = st.sampled_from([1, 2, 3, 5, 14, 33])
sizes = st.sampled_from([1, 2, 3, 5, 13, 14, 15, 16, 17, 31, 33, 63, 64, 65, 127, 191, 192, 193])
times = st.sampled_from([1, 2, 3, 17, 63, 64, 65, 127, 128, 130])
groups = st.sampled_from([(1, 1), (2, 2), (2, 1), (3, 1), (6, 2)])      # (H, K)
head_dims = st.sampled_from([2, 6, 64, 80, 256])
scales = st.sampled_from([1.0, 1e-4, 1e-2, 1e2, 1e4])
seeds = st.integers(0, 2**32 - 1)


def examples(count):
    return settings(max_examples=count)


def unit(lib):
    return {"f32": 2.0**-24, "bf16": 2.0**-8}[lib.dtype]


# ---- Calling kernels -----------------------------------------------------------------------------

class Draw:
    """Random numbers that `real` can hold, so that the kernel and ref.py get the same ones."""

    def __init__(self, lib, seed):
        self.lib, self.rng = lib, np.random.default_rng(seed)

    def __call__(self, *shape, scale=1.0):
        return self.round(self.rng.standard_normal(shape) * scale)

    def round(self, x):
        return self.lib.float(self.lib.real(x)).astype(np.float64)

    def ints(self, low, high, *shape):
        return self.rng.integers(low, high, shape, dtype=np.int32)

    def first(self, B, T):
        """Documents of random lengths: where in its row each token's document begins."""
        starts = self.rng.random((B, T)) < 4 / T
        starts[:, 0] = True
        return np.maximum.accumulate(np.where(starts, np.arange(T), 0), axis=1).astype(np.int32)


def real(*shape):
    """An output of type real that is marked "="."""
    return np.full(shape, np.nan)


def single(*shape):
    """An output of type float that is marked "="."""
    return np.full(shape, np.nan, np.float32)


class Guarded:
    """A copy of an array in memory where writing past either end is noticed."""

    def __init__(self, lib, array):
        array = lib.real(array) if array.dtype == np.float64 else array
        self.memory = np.full(array.nbytes + 2 * GUARD, 0xA5, np.uint8)
        self.array = self.memory[GUARD:-GUARD].view(array.dtype).reshape(array.shape)
        self.array[...] = array

    def intact(self):
        return (self.memory[:GUARD] == 0xA5).all() and (self.memory[-GUARD:] == 0xA5).all()


def contents(arrays):
    """Their bytes, but not those of scratch memory (uint8)."""
    return [x.tobytes() for x in arrays if isinstance(x, np.ndarray) and x.dtype != np.uint8]


def run(lib, name, outputs, *inputs):
    """The outputs of a kernel after two calls, in float64; None for one that is not wanted. What may
    go wrong in any kernel is checked here: writing out of bounds, changing an input, and giving other
    bits on another number of threads."""
    bits, n = [], len(outputs)
    for threads in 1, 2:
        lib.call("device_threads", threads)
        held = [Guarded(lib, x) if isinstance(x, np.ndarray) else x for x in (*outputs, *inputs)]
        passed = [x.array if isinstance(x, Guarded) else x for x in held]
        before = contents(passed[n:])
        lib.call(name, *passed)
        lib.call(name, *passed)
        assert all(x.intact() for x in held if isinstance(x, Guarded)), f"{name} wrote out of bounds"
        assert contents(passed[n:]) == before, f"{name} changed an input"
        bits.append(contents(passed[:n]))
    lib.call("device_threads", 1)
    assert bits[0] == bits[1], f"{name} depends on the number of threads"
    return [x if x is None else np.float64(lib.float(x) if x.dtype == lib.real_type else x)
            for x in passed[:n]]


def assert_within(got, want, bound):
    assert got.shape == want.shape
    bound = np.broadcast_to(bound + TINY, want.shape)
    wrong = ~(np.abs(got - want) <= bound)       # a NaN is wrong
    assert not wrong.any(), (
        f"{wrong.sum()} of {wrong.size} are wrong; the first is {np.argwhere(wrong)[0]}: "
        f"got {got[wrong][0]:.9g}, want {want[wrong][0]:.9g} within {bound[wrong][0]:.3g}")


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
    ref.attention: (HEADS, [FIRST]),
    ref.gelu: ([3 * numbers(5, 5)], []),
    ref.swiglu: ([3 * numbers(5, 5), numbers(5, 5)], []),
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


def test_ref_rope_scaling_matches_llama_3_1():
    """One frequency of each band, by hand: of Llama 3.1 8B (theta 500000, D 128, factor 8) the first
    is left alone and the last divided by 8; a turn in 4096 tokens, two in 8192, blends (2-1)/(4-1)."""
    scaled = ref.rope_frequencies(128, 5e5, 8, 1, 4, 8192)
    assert scaled[0] == 1
    assert scaled[-1] == pytest.approx(5e5 ** (-63 / 64) / 8, rel=1e-12)
    slow = 2 * np.pi / 4096                      # the second of D = 4 is theta^(-1/2)
    assert ref.rope_frequencies(4, slow**-2, 8, 1, 4, 8192)[1] == pytest.approx(
        slow * (1 / 3 + 2 / 3 / 8), rel=1e-12)


# ---- Embedding -----------------------------------------------------------------------------------

@given(N=sizes, C=sizes, learned=st.booleans(), scale=scales, seed=seeds)
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

    dout, start = draw(N, C), [draw(V, C).astype(np.float32), draw(context, C).astype(np.float32)]
    got = run(lib, "embed_backward", [start[0], start[1] if learned else None],
              dout, tokens, positions, N, C)
    for got, table, index, before in zip(got, (wte, wpe)[:1 + learned], (tokens, positions), start):
        want, = ref.embedding_backward(dout, table, index)
        size, = ref.embedding_backward(np.abs(dout), table, index)
        assert_within(got, before + 2 * want, 2 * N * FLOAT * (2 * size + np.abs(before)))


# ---- Norms ---------------------------------------------------------------------------------------

@given(N=few, C=sizes, bias=st.booleans(), scale=scales, seed=seeds)
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
@examples(60)
def test_layernorm_backward(lib, N, C, bias, scale, seed):
    draw = Draw(lib, seed)
    inp, weight, dout = draw(N, C, scale=scale), draw(C), draw(N, C)
    h, s = ref.standardized(inp, EPS)
    start = draw(N, C), draw(C).astype(np.float32), draw(C).astype(np.float32)
    mean, rstd = (x[:, 0].astype(np.float32) for x in (ref.mean(inp), s))
    got = run(lib, "layernorm_backward", [*start[:2], start[2] if bias else None],
              dout, inp, weight, mean, rstd, N, C)
    want = ref.layernorm_backward(dout, inp, weight, None, EPS)
    g, size = np.abs(dout * weight), np.abs(h) + 1
    off = 4 * FLOAT * (s * np.abs(inp).max(-1, keepdims=True) + np.abs(h))      # h by a rounded mean
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
@examples(60)
def test_rmsnorm_backward(lib, N, C, scale, seed):
    draw = Draw(lib, seed)
    inp, weight, dout = draw(N, C, scale=scale), draw(C), draw(N, C)
    s = 1 / np.sqrt(ref.mean(inp**2) + EPS)
    start = draw(N, C), draw(C).astype(np.float32)
    got = run(lib, "rmsnorm_backward", start, dout, inp, weight, s[:, 0].astype(np.float32), N, C)
    want = ref.rmsnorm_backward(dout, inp, weight, EPS)
    g, h = np.abs(dout * weight), np.abs(inp * s)
    bounds = [(C + 8) * FLOAT * s * (g + h * ref.mean(g * h))
              + unit(lib) * (np.abs(start[0]) + 2 * np.abs(want[0])),
              (N + 4) * FLOAT * ref.over_rows(np.abs(dout) * h)]
    for got, want, bound, before in zip(got, want, bounds, start):
        assert_within(got, before + 2 * want, 2 * bound + 2 * N * FLOAT * np.abs(before))


# ---- Linear layers -------------------------------------------------------------------------------

# Around matmul.c's tiles (14 x 32), its blocks (112 x 256) and its steps (192 or 384).
linear_sizes = st.sampled_from([1, 2, 3, 13, 14, 15, 31, 32, 33, 64, 97, 111, 113, 193, 257, 385])


def linear_forward(lib, inp, weight, bias=None, residual=None, kernel="linear_forward"):
    (N, C), O = inp.shape, weight.shape[0]
    packed, = run(lib, "linear_pack", [real(lib.call("linear_packed_size", C, O))], weight, C, O)
    work = np.zeros(lib.call("linear_work", N, C, O), np.uint8)
    if kernel == "linear_forward":
        return run(lib, kernel, [real(N, O)], inp, packed, bias, residual, work, N, C, O)[0]
    return run(lib, kernel, [single(N, O)], inp, packed, bias, work, N, C, O)[0]


@given(N=linear_sizes, C=linear_sizes, O=linear_sizes, bias=st.booleans(), residual=st.booleans(),
       scale=scales, seed=seeds)
@examples(50)
def test_linear_forward(lib, N, C, O, bias, residual, scale, seed):
    draw = Draw(lib, seed)
    inp, weight = draw(N, C, scale=scale), draw(O, C)
    b, r = draw(O, scale=scale) if bias else None, draw(N, O, scale=scale) if residual else None
    size = ref.linear(np.abs(inp), np.abs(weight), np.abs(b) if bias else None)
    want = ref.linear(inp, weight, b)
    sums = (C + 4) * FLOAT * size
    assert_within(linear_forward(lib, inp, weight, b, kernel="linear_forward_float"), want, sums)
    if residual:
        want, sums = want + r, sums + 4 * FLOAT * np.abs(r)
    assert_within(linear_forward(lib, inp, weight, b, r), want, unit(lib) * np.abs(want) + 2 * sums)


@given(N=linear_sizes, C=linear_sizes, O=linear_sizes, dinp=st.booleans(), bias=st.booleans(),
       scale=scales, seed=seeds)
@examples(50)
def test_linear_backward(lib, N, C, O, dinp, bias, scale, seed):
    draw = Draw(lib, seed)
    inp, weight, dout = draw(N, C), draw(O, C), draw(N, O, scale=scale)
    start = draw(O, C, scale=scale).astype(np.float32), draw(O, scale=scale).astype(np.float32)
    work = np.zeros(lib.call("linear_work", N, C, O), np.uint8)
    outputs = [real(N, C) if dinp else None, start[0], start[1] if bias else None]
    got = run(lib, "linear_backward", outputs, dout, inp, weight, work, N, C, O)
    want = ref.linear_backward(dout, inp, weight)
    size = ref.linear_backward(np.abs(dout), np.abs(inp), np.abs(weight))
    if dinp:
        assert_within(got[0], want[0], unit(lib) * np.abs(want[0]) + 2 * (O + 2) * FLOAT * size[0])
    for i in (1, 2) if bias else (1,):
        assert_within(got[i], start[i - 1] + 2 * want[i],
                      2 * (N + 4) * FLOAT * (2 * size[i] + np.abs(start[i - 1])))


@given(M=few, N=sizes, K=sizes, scale=scales, seed=seeds)
@examples(40)
def test_the_fast_matmul_agrees_with_the_naive_one(lib, M, N, K, scale, seed):
    draw = Draw(lib, seed)
    a, b = draw(M, K, scale=scale), draw(N, K)
    naive, = run(lib, "matmul_naive", [single(M, N)], a, b, M, N, K)
    fast = linear_forward(lib, a, b, kernel="linear_forward_float")
    size = np.abs(a) @ np.abs(b).T
    assert_within(naive, a @ b.T, (K + 2) * FLOAT * size)
    assert_within(fast, naive, 2 * (K + 2) * FLOAT * size)


@given(C=linear_sizes, O=linear_sizes, seed=seeds)
@examples(20)
def test_a_row_of_linear_has_the_same_bits_in_any_batch(lib, C, O, seed):
    draw = Draw(lib, seed)
    inp, weight, bias, residual = draw(200, C), draw(O, C), draw(O), draw(200, O)
    whole = linear_forward(lib, inp, weight, bias, residual)
    wide = linear_forward(lib, inp, weight, kernel="linear_forward_float")
    for rows in slice(0, 1), slice(199, 200), slice(3, 5), slice(7, 12), slice(100, 114):
        few = linear_forward(lib, inp[rows], weight, bias, residual[rows])
        assert np.array_equal(few, whole[rows])
        few = linear_forward(lib, inp[rows], weight, kernel="linear_forward_float")
        assert np.array_equal(few, wide[rows])


# ---- Queries and keys ----------------------------------------------------------------------------

@pytest.mark.parametrize("D", [2, 6, 64, 128])
@pytest.mark.parametrize("theta", [10000.0, 500000.0])
@pytest.mark.parametrize("factor", [1.0, 8.0, 32.0])
def test_rope_table(lib, theta, D, factor):
    scaling = factor, 1.0, 4.0, 8192
    table, = run(lib, "rope_table", [single(300, D)], 300, D, theta, *scaling)
    angles = np.arange(300)[:, None] * ref.rope_frequencies(D, theta, *scaling)
    assert_within(table, np.concatenate([np.cos(angles), np.sin(angles)], axis=1), FLOAT + 1e-12)


def qkv_heads(qkv, B, T, H, K, D):
    """q (B,T,H,D), k and v (B,T,K,D) out of qkv (N,W)."""
    return [x.reshape(B, T, -1, D) for x in np.split(qkv, [H * D, (H + K) * D], axis=1)]


def qkv_rows(q, k, v):
    return np.concatenate([x.reshape(x.shape[0] * x.shape[1], -1) for x in (q, k, v)], axis=1)


class Rotation:
    """A problem for qk_norm_rope, whose N rows are one sequence to ref.py."""

    def __init__(self, lib, seed, N, H, K, D, normed, rotated, scale):
        draw, context = Draw(lib, seed), 100
        self.draw, self.sizes, self.rotated = draw, (N, H, K, D), rotated
        self.inp = draw(N, (H + 2 * K) * D, scale=scale)
        self.weights = (draw(D), draw(D)) if normed else (None, None)
        self.positions = draw.ints(0, context, N)
        self.angles = self.positions[None, :, None] * ref.rope_frequencies(D, 1000.0) * rotated
        self.rope, self.rstd = None, single(N, H + K)
        if rotated:
            table = run(lib, "rope_table", [single(context, D)], context, D, 1000.0, 1.0, 1.0, 4.0, 0)
            self.rope = table[0].astype(np.float32)
        if normed:
            heads = self.inp[:, :(H + K) * D].reshape(N, H + K, D)
            self.rstd[...] = 1 / np.sqrt(ref.mean(heads**2) + EPS)[..., 0]

    def heads(self, rows):
        N, H, K, D = self.sizes
        return qkv_heads(rows, 1, N, H, K, D)

    def pairs(self, x):
        """|a| + |b| of the pair that each number is rotated with."""
        return np.abs(x) + np.abs(np.roll(x, x.shape[-1] // 2, axis=-1)) * self.rotated


rotations = given(N=few, heads=groups, D=head_dims, scale=scales, seed=seeds,
                  kind=st.sampled_from([(True, True), (True, False), (False, True)]))


@rotations
@examples(60)
def test_qk_norm_rope_forward(lib, N, heads, D, kind, scale, seed):
    (H, K), (normed, rotated) = heads, kind
    case = Rotation(lib, seed, N, H, K, D, normed, rotated, scale)
    got, rstd = run(lib, "qk_norm_rope_forward", [real(*case.inp.shape), single(N, H + K)],
                    case.inp, *case.weights, case.rope, case.positions, N, H, K, D, EPS)
    if normed:
        assert_within(rstd, case.rstd, (D + 8) * FLOAT * case.rstd)
    got, inp = case.heads(got), case.heads(case.inp)
    assert np.array_equal(got[2], inp[2])
    for got, x, weight in zip(got, inp, case.weights):
        normal = ref.rmsnorm(x, weight, EPS) if normed else x
        want = ref.rope(normal, case.angles)     # rounded after the norm, and after the rotation
        assert_within(got, want, (2 * unit(lib) + (D + 12) * FLOAT) * case.pairs(normal))


@rotations
@examples(60)
def test_qk_norm_rope_backward(lib, N, heads, D, kind, scale, seed):
    (H, K), (normed, rotated) = heads, kind
    case = Rotation(lib, seed, N, H, K, D, normed, rotated, scale)
    dout, start = case.draw(*case.inp.shape), [case.draw(D).astype(np.float32) for _ in range(2)]
    inputs = dout, case.inp, *case.weights, case.rstd, case.rope, case.positions, N, H, K, D
    got = run(lib, "qk_norm_rope_backward",
              [real(*case.inp.shape), *(start if normed else (None, None))], *inputs)
    dinp, douts = case.heads(got[0]), case.heads(dout)
    assert np.array_equal(dinp[2], douts[2])
    for i, (x, weight) in enumerate(zip(case.heads(case.inp)[:2], case.weights)):
        dnormal, = ref.rope_backward(douts[i], x, case.angles)
        off = (2 * unit(lib) + 4 * FLOAT) * case.pairs(douts[i])        # dnormal is rounded to real
        if not normed:
            assert_within(dinp[i], dnormal, off)
            continue
        want, dweight = ref.rmsnorm_backward(dnormal, x, weight, EPS)
        s = 1 / np.sqrt(ref.mean(x**2) + EPS)
        h, sums = np.abs(x * s), (D + 8) * FLOAT
        g, g_off = np.abs(dnormal * weight), off * np.abs(weight)
        assert_within(dinp[i], want, unit(lib) * np.abs(want)
                      + s * (g_off + h * ref.mean(g_off * h) + sums * (g + h * ref.mean(g * h))))
        count = (N * x.shape[2] + 8) * FLOAT
        size = ref.over_rows((off + count * np.abs(dnormal)) * h)
        assert_within(got[1 + i], start[i] + 2 * dweight, 2 * size + count * np.abs(start[i]))


@rotations
@examples(10)
def test_qk_norm_rope_backward_may_work_in_place(lib, N, heads, D, kind, scale, seed):
    case = Rotation(lib, seed, N, *heads, D, *kind, scale)
    dout, rest = lib.real(case.draw(*case.inp.shape)), [
        lib.real(x) if isinstance(x, np.ndarray) and x.dtype == np.float64 else x
        for x in (case.inp, *case.weights, case.rstd, case.rope, case.positions, N, *heads, D)]
    sums = [np.zeros(D, np.float32) for _ in range(4)]
    apart = np.empty_like(dout)
    lib.call("qk_norm_rope_backward", apart, *sums[:2], dout, *rest)
    lib.call("qk_norm_rope_backward", dout, *sums[2:], dout, *rest)
    assert np.array_equal(apart, dout) and np.array_equal(sums[:2], sums[2:])


# ---- Attention -----------------------------------------------------------------------------------

class Attention:
    """A problem, its answer by ref.py, and how far a tiled one may be from it."""

    def __init__(self, lib, seed, B, T, H, K, D, packed, scale):
        draw = Draw(lib, seed)
        self.lib, self.draw, self.sizes = lib, draw, (B, T, H, K, D)
        self.q, self.k = draw(B, T, H, D, scale=scale), draw(B, T, K, D)
        self.v, self.dout = draw(B, T, K, D), draw(B, T, H, D)
        self.first = draw.first(B, T) if packed else None
        self.starts = self.first if packed else np.zeros((B, T), np.int32)

    def forward(self):
        B, T, H, K, D = self.sizes
        out, lse = run(self.lib, "attention_forward", [real(B * T, H * D), single(B * T, H)],
                       qkv_rows(self.q, self.k, self.v), self.first, *self.sizes)
        return out.reshape(B, T, H, D), lse.reshape(B, T, H)

    def backward(self, out, lse):
        B, T, H, K, D = self.sizes
        dqkv, = run(self.lib, "attention_backward", [real(B * T, (H + 2 * K) * D)],
                    self.dout.reshape(B * T, -1), self.draw.round(out).reshape(B * T, -1),
                    lse.astype(np.float32).reshape(B * T, H), qkv_rows(self.q, self.k, self.v),
                    self.first, *self.sizes)
        return qkv_heads(dqkv, *self.sizes)

    def want(self):
        """The output (B,T,H,D), lse (B,T,H), and the absolute error (B,T,H) of any one score."""
        B, T, H, K, D = self.sizes
        k = np.repeat(self.k, H // K, axis=2)
        seen = (self.starts[:, None, :, None] <= np.arange(T)) & np.tri(T, dtype=bool)
        scores, sizes = (np.einsum("bqhd,bkhd->bqhk", f(self.q), f(k)) / np.sqrt(D)
                         for f in (np.array, np.abs))
        seen = seen.transpose(0, 2, 1, 3)
        lse = np.logaddexp.reduce(np.where(seen, scores, -np.inf), axis=-1)
        out = ref.attention(self.q, self.k, self.v, self.starts)
        return out, lse, (D + 8) * FLOAT * np.where(seen, sizes, 0).max(-1)

    def slack(self, score_error):
        """How far a probability may be off, relatively: exp of a score minus the log of a sum, and
        then rounded to real, as its gradient is, for the next product."""
        return np.expm1(2 * score_error) + (self.sizes[1] + 16) * FLOAT + unit(self.lib)

    def out_bound(self, want, score_error):
        size = ref.attention(self.q, self.k, np.abs(self.v), self.starts)
        return 2 * self.slack(score_error)[..., None] * size + unit(self.lib) * np.abs(want)

    def backward_bounds(self, out, score_error):
        """ds = p (dp - delta) is off as p is, and as dp and delta = dout out with out rounded."""
        B, T, H, K, D = self.sizes
        u, group = unit(self.lib), H // K
        k, v = (np.repeat(np.abs(x), group, axis=2) for x in (self.k, self.v))
        q, dout = np.abs(self.q), np.abs(self.dout)
        p = ref.attention_weights(self.q, self.k, self.starts)
        sums = (D + T * group + 16) * FLOAT
        off = p * (self.slack(score_error).transpose(0, 2, 1)[..., None] + sums)
        delta = (dout * np.abs(out)).sum(-1).transpose(0, 2, 1)[..., None]
        size = np.einsum("bqhd,bkhd->bhqk", dout, v) + delta
        ds = (off * size + u * p * delta) / np.sqrt(D)
        dq = np.einsum("bhqk,bkhd->bqhd", ds, k)
        dk = np.einsum("bhqk,bqhd->bkhd", ds, q)
        dv = np.einsum("bhqk,bqhd->bkhd", off, dout)
        dk, dv = (x.reshape(B, T, K, group, D).sum(3) for x in (dk, dv))
        want = ref.attention_backward(self.dout, self.q, self.k, self.v, self.starts)
        return [(w, 2 * x + u * np.abs(w)) for w, x in zip(want, (dq, dk, dv))]


@given(B=st.sampled_from([1, 2]), T=times, heads=groups, D=head_dims, packed=st.booleans(),
       scale=st.sampled_from([1.0, 1e-4, 10.0]), seed=seeds)
@example(B=1, T=1, heads=(1, 1), D=2, packed=False, scale=1.0, seed=0)
@example(B=1, T=130, heads=(6, 2), D=256, packed=True, scale=1.0, seed=0)
@examples(40)
def test_attention_equals_ref_both_ways(lib, B, T, heads, D, packed, scale, seed):
    case = Attention(lib, seed, B, T, *heads, D, packed, scale)
    want, want_lse, score_error = case.want()
    out, lse = case.forward()
    assert_within(out, want, case.out_bound(want, score_error))
    assert_within(lse, want_lse, 2 * score_error + (T + 4) * FLOAT + 2 * FLOAT * np.abs(want_lse))
    grads, bounds = case.backward(want, want_lse), case.backward_bounds(want, score_error)
    for got, (want, bound) in zip(grads, bounds):
        assert_within(got, want, bound)


@given(T=st.sampled_from([2, 17, 63, 65, 130]), heads=groups, D=head_dims, seed=seeds)
@examples(20)
def test_attention_sees_neither_the_future_nor_another_document(lib, T, heads, D, seed):
    """Whatever the others hold, a document's outputs and gradients keep their bits."""
    case = Attention(lib, seed, 1, T, *heads, D, True, 1.0)
    out, lse = case.forward()
    grads = case.backward(out, lse)
    for start in np.unique(case.first):
        inside = np.flatnonzero(case.first[0] == start)
        other = Attention(lib, seed + 1, 1, T, *heads, D, True, 100.0)
        other.first = case.first
        for name in "q", "k", "v", "dout":
            getattr(other, name)[:, inside] = getattr(case, name)[:, inside]
        other_out, other_lse = other.forward()
        assert np.array_equal(other_out[:, inside], out[:, inside])
        for one, two in zip(grads, other.backward(other_out, other_lse)):
            assert np.array_equal(one[:, inside], two[:, inside])
        half = inside[:len(inside) // 2 + 1]     # the same without the future
        for name in "q", "k", "v":
            getattr(other, name)[:, half[-1] + 1:] *= -3
        assert np.array_equal(other.forward()[0][:, half], out[:, half])


@given(T=st.sampled_from([17, 65, 130]), heads=groups, D=head_dims, seed=seeds)
@examples(15)
def test_packed_documents_equal_separate_ones(lib, T, heads, D, seed):
    case = Attention(lib, seed, 1, T, *heads, D, True, 1.0)
    want, _, score_error = case.want()
    out, lse = case.forward()
    grads, bounds = case.backward(out, lse), case.backward_bounds(want, score_error)
    for start in np.unique(case.first):
        inside = np.flatnonzero(case.first[0] == start)
        alone = Attention(lib, 0, 1, len(inside), *heads, D, False, 1.0)
        for name in "q", "k", "v", "dout":
            setattr(alone, name, getattr(case, name)[:, inside])
        alone_out, alone_lse = alone.forward()
        bound = case.out_bound(want, score_error)[:, inside]
        assert_within(alone_out, out[:, inside], 2 * bound)
        for one, two, (_, bound) in zip(grads, alone.backward(alone_out, alone_lse), bounds):
            assert_within(two, one[:, inside], 4 * bound[:, inside])


@pytest.mark.parametrize("T", [1, 64, 130])
def test_attention_survives_scores_of_ten_thousand(lib, T):
    """Such a softmax is one-hot, so the answer is one row of v; and equal scores average."""
    case = Attention(lib, 0, 1, T, 2, 1, 2, False, 1.0)
    case.q[...] = 100, 0
    for sign in 1, -1:
        case.k[..., 0] = sign * 64 * (np.arange(T) * 37 % 131 - 65)[:, None]
        out, lse = case.forward()
        want, want_lse, score_error = case.want()
        assert_within(out, want, 2 * unit(lib) * np.abs(want))
        assert_within(lse, want_lse, 4 * FLOAT * np.abs(want_lse) + 1e-6)
        assert all(np.isfinite(x).all() for x in case.backward(out, lse))
    case.k[...] = -8192, 0
    mean = np.cumsum(case.v, axis=1) / np.arange(1, T + 1)[:, None, None]
    bound = unit(lib) * np.abs(mean) + 2 * (T + 8) * FLOAT * np.abs(case.v).max()
    assert_within(case.forward()[0], np.repeat(mean, 2, axis=2), bound)


def extend(lib, qkv, keys, values, slots, positions, length, H, K, D):
    N = len(slots)
    return run(lib, "attention_extend", [real(N, H * D)], qkv, keys, values, slots, positions,
               N, length, H, K, D)[0]


@given(B=st.sampled_from([1, 3]), T=times, heads=groups, D=head_dims, seed=seeds)
@examples(30)
def test_attention_with_a_cache(lib, B, T, heads, D, seed):
    """Row by row as without a cache, with the same bits however rows come together, and nothing
    beyond a row's position is read: there the cache holds NaN."""
    H, K = heads
    case = Attention(lib, seed, B, T, H, K, D, False, 1.0)
    qkv, length = qkv_rows(case.q, case.k, case.v), T + 3
    slots = np.repeat(case.draw.rng.permutation(B), T).astype(np.int32)
    positions = np.tile(np.arange(T), B).astype(np.int32)
    cache = run(lib, "cache_write", [real(B, length, K * D), real(B, length, K * D)],
                qkv, slots, positions, B * T, length, H, K, D)
    for held, written in zip(cache, (case.k, case.v)):
        expected = real(B, length, K * D)
        expected[slots, positions] = written.reshape(B * T, K * D)
        assert np.array_equal(held, expected, equal_nan=True)
    out = extend(lib, qkv, *cache, slots, positions, length, H, K, D)
    want, _, score_error = case.want()
    assert_within(out.reshape(want.shape), want, case.out_bound(want, score_error))
    rows = case.draw.rng.permutation(B * T)
    for part in rows[:1], rows[-3:], rows:
        got = extend(lib, qkv[part], *cache, slots[part], positions[part], length, H, K, D)
        assert np.array_equal(got, out[part])


# ---- Activations ---------------------------------------------------------------------------------

@given(n=sizes, scale=scales, seed=seeds)
@examples(60)
def test_gelu(lib, n, scale, seed):
    draw = Draw(lib, seed)
    inp, dout = draw(n, scale=scale), draw(n)
    want = ref.gelu(inp)
    got, = run(lib, "gelu_forward", [real(n)], inp, n)
    assert_within(got, want, unit(lib) * np.abs(want) + 16 * FLOAT * np.abs(inp))
    want, = ref.gelu_backward(dout, inp)
    got, = run(lib, "gelu_backward", [real(n)], dout, inp, n)
    # tanh is off by some FLOAT, and the slope's factor x (1 + 3 * 0.0447 x^2) is 30 where tanh is 1
    assert_within(got, want, unit(lib) * np.abs(want) + 256 * FLOAT * np.abs(dout))
    inp, dout = lib.real(inp), lib.real(dout)
    lib.call("gelu_backward", dout, dout, inp, n)
    assert np.array_equal(lib.float(dout), got)


@given(N=few, F=sizes, scale=scales, seed=seeds)
@examples(60)
def test_swiglu(lib, N, F, scale, seed):
    draw = Draw(lib, seed)
    gate, up, dout = draw(N, F, scale=scale), draw(N, F, scale=scale), draw(N, F)
    inp = np.concatenate([gate, up], axis=1)
    want = ref.swiglu(gate, up)
    got, = run(lib, "swiglu_forward", [real(N, F)], inp, N, F)
    tiny = TINY * (1 + np.abs(gate)) * (1 + np.abs(up))                 # from a sigmoid that is 0
    assert_within(got, want, (unit(lib) + 16 * FLOAT) * np.abs(want) + tiny)
    got, = run(lib, "swiglu_backward", [real(N, 2 * F)], dout, inp, N, F)
    dgate, dup = ref.swiglu_backward(dout, gate, up)
    slope = np.abs(dout * up) * ref.sigmoid(gate) * (1 + np.abs(gate))  # 1 - sigmoid cancels
    assert_within(got[:, :F], dgate, unit(lib) * np.abs(dgate) + 16 * FLOAT * slope + tiny)
    assert_within(got[:, F:], dup, (unit(lib) + 16 * FLOAT) * np.abs(dup) + tiny)


# ---- The loss ------------------------------------------------------------------------------------

@given(N=few, V=sizes, padding=st.sampled_from([0, 1, 5, 128]), scale=scales,
       shift=st.sampled_from([0.0, 3e4, -3e4]), seed=seeds)
@examples(80)
def test_nll(lib, N, V, padding, scale, shift, seed):
    """Also with padded columns that hold 1e30 and NaN, and with every kind of target."""
    draw, P = Draw(lib, seed), V + padding
    logits = np.full((N, P), np.nan, np.float32)
    logits[:, V:P - 1] = 1e30
    logits[:, :V] = x = draw.round(draw(N, V, scale=scale) + shift)
    targets, weights = draw.ints(-1, V, N), draw(N)
    most = np.abs(x).max(-1) + np.log(V)         # no lse is larger
    want_lse = np.logaddexp.reduce(x, axis=-1)
    got, lse = run(lib, "nll_forward", [single(N), single(N)], logits, targets, N, V, P)
    assert_within(lse, want_lse, (V + 8) * FLOAT + 4 * FLOAT * most)
    assert_within(got, ref.nll(x, targets), (V + 8) * FLOAT + 8 * FLOAT * most)
    assert (got[targets < 0] == 0).all()

    got, = run(lib, "nll_backward", [real(N, P)], logits, want_lse.astype(np.float32), targets,
               weights.astype(np.float32), N, V, P)
    assert (got[:, V:] == 0).all() and (got[targets < 0] == 0).all()
    want, = ref.nll_backward(weights, x, targets)
    size = ref.softmax(x) + (np.arange(V) == targets[:, None])
    off = np.abs(weights)[:, None] * ((np.expm1(4 * FLOAT * most)[:, None] + 8 * FLOAT) * size + TINY)
    assert_within(got[:, :V], want, unit(lib) * np.abs(want) + off)


# ---- Moving and converting -----------------------------------------------------------------------

@given(n=few, rows=few, C=sizes, seed=seeds)
@examples(20)
def test_gather_rows(lib, n, rows, C, seed):
    draw = Draw(lib, seed)
    inp, index = draw(rows, C), draw.ints(0, rows, n)
    got, = run(lib, "gather_rows", [real(n, C)], inp, index, n, C)
    assert np.array_equal(got, inp[index])


def test_narrow_and_widen_round_to_the_nearest_ties_to_even(lib):
    """All bfloat16 values, NaN, infinities and denormals among them, with low halves at each tie."""
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
    assert np.array_equal(got[held].view(np.uint32)[~nan[held]], x[held].view(np.uint32)[~nan[held]])
    if lib.dtype == "f32":
        return
    with np.errstate(invalid="ignore", over="ignore"):
        below, above = (np.float64((high + step).view(np.float32)) for step in (0, np.uint32(0x10000)))
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


@given(n=sizes, decay=st.booleans(), scale=scales, grad_scale=st.sampled_from([1.0, 0.125]),
       seed=seeds)
@examples(40)
def test_adamw_follows_ref(lib, n, decay, scale, grad_scale, seed):
    draw, steps = Draw(lib, seed), 6
    lr, beta1, beta2, eps, decay_rate = (float(np.float32(x)) for x in (1e-2, 0.9, 0.95, 1e-8, 0.1))
    w, m, v = draw(n), np.zeros(n), np.zeros(n)
    held = [Guarded(lib, x) for x in (w, *np.float32([w, m, v]))]
    weight, master, moment1, moment2 = (x.array for x in held)
    largest, bound = np.zeros(n), np.zeros(n)
    for step in range(1, steps + 1):
        grad = draw(n, scale=scale).astype(np.float32)
        adam = lib.ffi.new("AdamW *", dict(step=step, lr=lr, beta1=beta1, beta2=beta2, eps=eps,
                                           weight_decay=decay_rate, grad_scale=grad_scale))
        lib.call("device_threads", 1 + step % 2)
        lib.call("adamw", weight, master if lib.dtype == "bf16" else None, moment1, moment2, grad,
                 adam, int(decay), n)
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
        assert np.array_equal(weight, lib.real(master))
    else:
        assert_within(weight, w, bound)


# ---- NaN -----------------------------------------------------------------------------------------

def test_a_nan_is_never_hidden(lib):
    """One NaN goes in; where ref.py has NaN, the kernel must. Outputs start as 0 here."""
    draw, (N, C) = Draw(lib, 0), (5, 33)
    good, bad, square, weight = draw(N, C), draw(N, C), draw(C, C), draw(C)
    bad[2, 1] = np.nan
    bad_square = np.where(np.eye(C) > 0, np.nan, square)
    targets, ones, work = np.arange(N, dtype=np.int32), np.ones(N, np.float32), np.zeros(
        lib.call("linear_work", N, C, C), np.uint8)
    rows, vector, matrix = np.zeros((N, C)), np.zeros(C, np.float32), np.zeros((C, C), np.float32)
    column = np.zeros(N, np.float32)

    def check(name, outputs, wants, *inputs):
        for got, want in zip(run(lib, name, outputs, *inputs), wants):
            assert np.isnan(want).any() and np.isnan(got[np.isnan(want)]).all(), name

    with np.errstate(invalid="ignore"):
        check("layernorm_forward", [rows, column, column], [ref.layernorm(bad, weight, None, EPS)],
              bad, weight, None, N, C, EPS)
        check("layernorm_backward", [rows, vector, vector],
              ref.layernorm_backward(bad, good, weight, None, EPS), bad, good, weight, ones, ones, N, C)
        check("rmsnorm_forward", [rows, column], [ref.rmsnorm(bad, weight, EPS)],
              bad, weight, N, C, EPS)
        check("rmsnorm_backward", [rows, vector], ref.rmsnorm_backward(bad, good, weight, EPS),
              bad, good, weight, ones, N, C)
        check("linear_backward", [rows, matrix, vector], ref.linear_backward(bad, good, square),
              bad, good, square, work, N, C, C)
        check("gelu_forward", [rows], [ref.gelu(bad)], bad, N * C)
        check("gelu_backward", [rows], ref.gelu_backward(bad, good), bad, good, N * C)
        for gate, up in (bad, good), (good, bad):
            check("swiglu_forward", [rows], [ref.swiglu(gate, up)], np.hstack([gate, up]), N, C)
        check("nll_forward", [column, column], [ref.nll(bad, targets)] * 2,
              bad.astype(np.float32), targets, N, C, C)
    for x, w in (bad, square), (good, bad_square):
        assert np.isnan(linear_forward(lib, x, w)[np.isnan(ref.linear(x, w))]).all()
    assert np.isnan(lib.call("sum_squares", bad.astype(np.float32), bad.size))


@pytest.mark.parametrize("name", ["q", "k", "v"])
def test_attention_never_hides_a_nan(lib, name):
    """From token 70 on, every query of the heads that read it must have NaN."""
    case = Attention(lib, 0, 1, 130, 4, 2, 6, False, 1.0)
    getattr(case, name)[0, 70, 1, 3] = np.nan
    out, lse = case.forward()
    if name == "v":
        assert np.isnan(out[0, 70:, 2:, 3]).all()
    else:
        reads = (0, 70, 1) if name == "q" else (0, slice(70, None), slice(2, None))
        assert np.isnan(out[reads]).all() and np.isnan(lse[reads]).all()


# ---- Threads -------------------------------------------------------------------------------------

def test_every_kernel_has_the_same_bits_on_one_and_two_threads(lib):
    """`run` compares them; here each loop is long enough to be shared, and in unequal parts."""
    draw, N, C, V, P, H, K, D = Draw(lib, 0), 171, 251, 297, 300, 6, 2, 34
    W = (H + 2 * K) * D
    x, y, weight, bias, matrix = draw(N, C), draw(N, C), draw(C), draw(C), draw(C, C)
    rows, column = (np.float32(draw(N)) for _ in range(2))
    vectors, square = np.float32(draw(2, C)), np.float32(draw(C, C))
    tokens, positions, slots = draw.ints(0, V, N), draw.ints(0, 150, N), draw.ints(0, 3, N)
    packed, = run(lib, "linear_pack", [real(lib.call("linear_packed_size", C, C))], matrix, C, C)
    work = np.zeros(lib.call("linear_work", N, C, C), np.uint8)
    qkv, heads, norms = draw(N, W), draw(N, H * D), (draw(D), draw(D))
    first, rope = draw.first(1, N), np.float32(draw(150, D))
    logits, lse = np.float32(draw(N, P)), np.float32(draw(N, H))
    keys, values = draw(3, 150, K * D), draw(3, 150, K * D)
    for name, outputs, *inputs in [
        ("embed_forward", [real(N, C)], tokens, positions, draw(V, C), draw(150, C), N, C),
        ("embed_backward", [np.float32(draw(V, C)), np.float32(draw(150, C))],
         x, tokens, positions, N, C),
        ("layernorm_forward", [real(N, C), single(N), single(N)], x, weight, bias, N, C, EPS),
        ("layernorm_backward", [y, *vectors], x, y, weight, rows, column, N, C),
        ("rmsnorm_forward", [real(N, C), single(N)], x, weight, N, C, EPS),
        ("rmsnorm_backward", [y, vectors[0]], x, y, weight, rows, N, C),
        ("linear_forward", [real(N, C)], x, packed, bias, y, work, N, C, C),
        ("linear_forward_float", [single(N, C)], x, packed, bias, work, N, C, C),
        ("linear_backward", [real(N, C), square, vectors[0]], x, y, matrix, work, N, C, C),
        ("qk_norm_rope_forward", [real(N, W), single(N, H + K)],
         qkv, *norms, rope, positions, N, H, K, D, EPS),
        ("qk_norm_rope_backward", [real(N, W), np.float32(draw(D)), np.float32(draw(D))],
         draw(N, W), qkv, *norms, np.float32(draw(N, H + K)), rope, positions, N, H, K, D),
        ("attention_forward", [real(N, H * D), single(N, H)], qkv, first, 1, N, H, K, D),
        ("attention_backward", [real(N, W)], heads, heads, lse, qkv, first, 1, N, H, K, D),
        ("attention_extend", [real(N, H * D)],
         qkv, keys, values, slots, positions, N, 150, H, K, D),
        ("gelu_forward", [real(N, C)], x, N * C),
        ("gelu_backward", [real(N, C)], y, x, N * C),
        ("swiglu_forward", [real(N, C)], draw(N, 2 * C), N, C),
        ("swiglu_backward", [real(N, 2 * C)], y, draw(N, 2 * C), N, C),
        ("nll_forward", [single(N), single(N)], logits, tokens, N, V, P),
        ("nll_backward", [real(N, P)], logits, rows, tokens, column, N, V, P),
        ("widen", [single(N, C)], x, N * C),
        ("narrow", [real(N, C)], np.float32(x), N * C),
    ]:
        for out in run(lib, name, outputs, *inputs):
            assert np.isfinite(out).any(), name


# ---- The device ----------------------------------------------------------------------------------

def test_the_library_describes_its_device(lib):
    assert lib.ffi.string(lib.call("device_name")).decode().startswith(f"cpu {lib.dtype}, ")
    assert lib.call("device_memory") > 2**28
    assert lib.call("device_threads", 1) == 1
    assert lib.call("device_peak") > 1e8


def test_device_memory_is_zeroed_and_keeps_what_is_written(lib):
    data, out = np.random.default_rng(0).integers(0, 256, 1000, np.uint8), np.ones(1000, np.uint8)
    a, b = (lib.call("device_alloc", 1000) for _ in range(2))

    def held(memory):
        lib.call("device_read", out, memory, 1000)
        return out

    assert not held(a).any() and not held(b).any()
    lib.call("device_write", a, data, 1000)
    lib.call("device_copy", b, a, 1000)
    lib.call("device_zero", a, 1000)
    assert not held(a).any() and np.array_equal(held(b), data)
    for memory in a, b:
        lib.call("device_free", memory)
