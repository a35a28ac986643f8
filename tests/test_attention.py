"""The kernels between two linear layers of a block against tests/ref.py: norm and rotation of
queries and keys, and attention over whole rows, packed documents and a cache.

What calls a kernel, and how far off it may be, is in kernel_calls.py.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import ref
from kernel_calls import (EPS, FLOAT, Draw, assert_within, examples, few, norm_work, real, run,
                          scales, seeds, single, to_real, unit)

times = st.sampled_from([1, 2, 3, 17, 63, 64, 65, 127, 128, 130])
groups = st.sampled_from([(1, 1), (2, 2), (2, 1), (3, 1), (6, 2)])      # (H, K)
head_dims = st.sampled_from([2, 6, 34, 40, 64, 80, 128, 136, 256])


# ---- Queries and keys ----------------------------------------------------------------------------

def angles_of(theta, D):
    return np.array([theta ** (-2 * i / D) for i in range(D // 2)])


def rope_table(lib, frequencies, factor, context):
    table = single(context, 2 * len(frequencies))
    lib.call("rope_table", table, frequencies, factor, *table.shape)
    return table


@pytest.mark.parametrize("D", [2, 6, 64, 128])
@pytest.mark.parametrize("factor", [1.0, 1.25])
def test_rope_table(lib, D, factor):
    """A frequency of 0 neither turns nor scales."""
    frequencies = angles_of(500000.0, D)
    frequencies[D // 4:] = 0
    table = rope_table(lib, frequencies, factor, 300)
    angles = np.arange(300)[:, None] * frequencies
    by = np.where(frequencies, factor, 1.0)
    assert_within(table, np.concatenate([by * np.cos(angles), by * np.sin(angles)], axis=1),
                  2 * FLOAT + 1e-12)


def qkv_heads(qkv, B, T, H, K, D):
    """q (B,T,H,D), k and v (B,T,K,D) out of qkv (N,W)."""
    return [x.reshape(B, T, -1, D) for x in np.split(qkv, [H * D, (H + K) * D], axis=1)]


def qkv_rows(q, k, v):
    return np.concatenate([x.reshape(x.shape[0] * x.shape[1], -1) for x in (q, k, v)], axis=1)


class Rotation:
    """A problem for qk_norm_rope, whose N rows are one sequence to ref.py."""

    def __init__(self, lib, seed, N, H, K, D, normed, rotated, scale):
        """normed: not (0), each head (1), all heads of a row together (2)."""
        draw, context = Draw(lib, seed), 100
        self.draw, self.sizes, self.rotated, self.normed = draw, (N, H, K, D), rotated, normed
        self.wide = int(normed == 2)
        self.inp = draw(N, (H + 2 * K) * D, scale=scale)
        widths = (H * D, K * D) if self.wide else (D, D)
        self.weights = [draw(width) for width in widths] if normed else (None, None)
        self.positions = draw.ints(0, context, N)
        self.angles = self.positions[None, :, None] * angles_of(1000.0, D) * rotated
        self.rope, self.rstd = None, single(N, H + K)
        self.work = norm_work(lib, N, (H + K) * D if self.wide else D)
        if rotated:
            self.rope = rope_table(lib, angles_of(1000.0, D), 1.0, context)
        if normed:
            rstds = [np.broadcast_to(1 / np.sqrt(ref.mean(self.unit(x)**2) + EPS),
                                     self.unit(x).shape).reshape(x.shape)[0, :, :, 0]
                     for x in self.heads(self.inp)[:2]]
            self.rstd[...] = np.concatenate(rstds, axis=1)

    def heads(self, rows):
        N, H, K, D = self.sizes
        return qkv_heads(rows, 1, N, H, K, D)

    def unit(self, x):
        """Queries or keys (1,N,heads,D) by what is normalized together."""
        return x.reshape(*x.shape[:2], -1) if self.wide else x

    def pairs(self, x):
        """|a| + |b| of the pair that each number is rotated with."""
        return np.abs(x) + np.abs(np.roll(x, x.shape[-1] // 2, axis=-1)) * self.rotated


rotations = given(N=few, heads=groups, D=head_dims, scale=scales, seed=seeds,
                  kind=st.sampled_from([(1, 1), (1, 0), (0, 1), (2, 1), (2, 0)]))


@rotations
@examples(80)
def test_qk_norm_rope_forward(lib, N, heads, D, kind, scale, seed):
    (H, K), (normed, rotated) = heads, kind
    case = Rotation(lib, seed, N, H, K, D, normed, rotated, scale)
    got, rstd = run(lib, "qk_norm_rope_forward", [real(*case.inp.shape), single(N, H + K)],
                    case.inp, *case.weights, case.rope, case.positions, N, H, K, D, case.wide, EPS)
    sums = ((H * D if case.wide else D) + 8) * FLOAT
    if normed:
        assert_within(rstd, case.rstd, sums * case.rstd)
    got, inp = case.heads(got), case.heads(case.inp)
    assert np.array_equal(got[2], inp[2])
    for got, x, weight in zip(got, inp, case.weights):
        normal = ref.rmsnorm(case.unit(x), weight, EPS).reshape(x.shape) if normed else x
        want = ref.rope(normal, case.angles)     # rounded after the norm, and after the rotation
        assert_within(got, want, (2 * unit(lib) + sums + 4 * FLOAT) * case.pairs(normal))


@rotations
@example(N=70, heads=(6, 2), D=64, kind=(1, 1), scale=1.0, seed=0)   # several rows a block
@example(N=70, heads=(6, 2), D=256, kind=(1, 1), scale=1.0, seed=0)  # and heads a thread
@example(N=70, heads=(6, 2), D=256, kind=(2, 1), scale=1.0, seed=0)
@examples(80)
def test_qk_norm_rope_backward(lib, N, heads, D, kind, scale, seed):
    (H, K), (normed, rotated) = heads, kind
    case = Rotation(lib, seed, N, H, K, D, normed, rotated, scale)
    dout = case.draw(*case.inp.shape)
    start = [None if w is None else case.draw(w.size).astype(np.float32) for w in case.weights]
    inputs = (dout, case.inp, *case.weights, case.rstd, case.rope, case.positions, case.work,
              N, H, K, D, case.wide)
    got = run(lib, "qk_norm_rope_backward", [real(*case.inp.shape), *start], *inputs)
    dinp, douts = case.heads(got[0]), case.heads(dout)
    assert np.array_equal(dinp[2], douts[2])
    for i, (x, weight) in enumerate(zip(case.heads(case.inp)[:2], case.weights)):
        dnormal, = ref.rope_backward(douts[i], x, case.angles)
        off = (2 * unit(lib) + 4 * FLOAT) * case.pairs(douts[i])        # dnormal is rounded to real
        if not normed:
            assert_within(dinp[i], dnormal, off)
            continue
        x, dnormal, off = case.unit(x), case.unit(dnormal), case.unit(off)
        want, dweight = ref.rmsnorm_backward(dnormal, x, weight, EPS)
        s = 1 / np.sqrt(ref.mean(x**2) + EPS)
        h, sums = np.abs(x * s), (x.shape[-1] + 8) * FLOAT
        g, g_off = np.abs(dnormal * weight), off * np.abs(weight)
        assert_within(case.unit(dinp[i]), want, unit(lib) * np.abs(want)
                      + s * (g_off + h * ref.mean(g_off * h) + sums * (g + h * ref.mean(g * h))))
        count = (N * x.size // x.shape[-1] + 8) * FLOAT
        size = ref.over_rows((off + count * np.abs(dnormal)) * h)
        assert_within(got[1 + i], start[i] + 2 * dweight, 2 * size + count * np.abs(start[i]))


@rotations
@examples(10)
def test_qk_norm_rope_backward_may_work_in_place(lib, N, heads, D, kind, scale, seed):
    case = Rotation(lib, seed, N, *heads, D, *kind, scale)
    dout, rest = to_real(lib, case.draw(*case.inp.shape)), [
        to_real(lib, x) if isinstance(x, np.ndarray) and x.dtype == np.float64 else x
        for x in (case.inp, *case.weights, case.rstd, case.rope, case.positions, case.work,
                  N, *heads, D, case.wide)]
    sums = [np.zeros(heads[i % 2] * D if case.wide else D, np.float32) for i in range(4)]
    apart = np.empty_like(dout)
    lib.call("qk_norm_rope_backward", apart, *sums[:2], dout, *rest)
    lib.call("qk_norm_rope_backward", dout, *sums[2:], dout, *rest)
    assert np.array_equal(apart, dout) and all(map(np.array_equal, sums[:2], sums[2:]))


# ---- Attention -----------------------------------------------------------------------------------

class Attention:
    """A problem, its answer by ref.py, and how far a tiled one may be from it."""

    def __init__(self, lib, seed, B, T, H, K, D, packed, scale, window=0, by=0.0, cap=0.0):
        """Scores are multiplied by `by`, 0: 1/sqrt(D)."""
        draw, self.window = Draw(lib, seed), window
        self.how = float(np.float32(by or 1 / np.sqrt(D))), cap
        self.lib, self.draw, self.sizes = lib, draw, (B, T, H, K, D)
        self.q, self.k = draw(B, T, H, D, scale=scale), draw(B, T, K, D)
        self.v, self.dout = draw(B, T, K, D), draw(B, T, H, D)
        self.doc_start = draw.doc_start(B, T) if packed else None
        self.starts = self.doc_start if packed else np.zeros((B, T), np.int32)
        if window:
            self.starts = np.maximum(self.starts, np.arange(T) - window + 1)

    def forward(self):
        B, T, H, K, D = self.sizes
        out, lse = run(self.lib, "attention_forward", [real(B * T, H * D), single(B * T, H)],
                       qkv_rows(self.q, self.k, self.v), self.doc_start, *self.sizes,
                       self.window, *self.how)
        return out.reshape(B, T, H, D), lse.reshape(B, T, H)

    def backward(self, out, lse):
        B, T, H, K, D = self.sizes
        dqkv, = run(self.lib, "attention_backward", [real(B * T, (H + 2 * K) * D)],
                    self.dout.reshape(B * T, -1), self.draw.round(out).reshape(B * T, -1),
                    lse.astype(np.float32).reshape(B * T, H), qkv_rows(self.q, self.k, self.v),
                    self.doc_start, np.zeros(self.lib.call("attention_work", B, T, H, D), np.uint8),
                    *self.sizes, self.window, *self.how)
        return qkv_heads(dqkv, *self.sizes)

    def want(self):
        """The output (B,T,H,D), lse (B,T,H), and the absolute error (B,T,H) of any one score."""
        B, T, H, K, D = self.sizes
        by, cap = self.how
        seen = (self.starts[:, None, :, None] <= np.arange(T)) & np.tri(T, dtype=bool)
        scores = ref.attention_scores(self.q, self.k, by, cap).transpose(0, 2, 1, 3)
        sizes = ref.attention_scores(*map(np.abs, (self.q, self.k)), by).transpose(0, 2, 1, 3)
        seen = seen.transpose(0, 2, 1, 3)
        lse = np.logaddexp.reduce(np.where(seen, scores, -np.inf), axis=-1)
        out = ref.attention(self.q, self.k, self.v, self.starts, by, cap)
        return out, lse, (D + 8) * FLOAT * np.where(seen, sizes, 0).max(-1) + 4 * FLOAT * cap

    def slack(self, score_error):
        """How far a probability may be off, relatively: exp of a score minus the log of a sum, and
        then rounded to real, as its gradient is, for the next product."""
        return np.expm1(2 * score_error) + (self.sizes[1] + 16) * FLOAT + unit(self.lib)

    def out_bound(self, want, score_error):
        size = ref.attention(self.q, self.k, np.abs(self.v), self.starts, *self.how)
        return 2 * self.slack(score_error)[..., None] * size + unit(self.lib) * np.abs(want)

    def backward_bounds(self, out, score_error):
        """ds = p (dp - delta) is off as p is, and as dp and delta = dout out with out rounded."""
        B, T, H, K, D = self.sizes
        u, group = unit(self.lib), H // K
        k, v = (np.repeat(np.abs(x), group, axis=2) for x in (self.k, self.v))
        q, dout = np.abs(self.q), np.abs(self.dout)
        p = ref.attention_weights(self.q, self.k, self.starts, *self.how)
        sums = (D + T * group + 16) * FLOAT
        off = p * (self.slack(score_error).transpose(0, 2, 1)[..., None] + sums)
        delta = (dout * np.abs(out)).sum(-1).transpose(0, 2, 1)[..., None]
        size = np.einsum("bqhd,bkhd->bhqk", dout, v) + delta
        if self.how[1]:                          # the slope, 1 - (score / cap)^2
            share = score_error.transpose(0, 2, 1)[..., None] / self.how[1]
            off = off + p * 2 * (share + 4 * FLOAT)
        ds = (off * size + u * p * delta) * self.how[0]
        dq = np.einsum("bhqk,bkhd->bqhd", ds, k)
        dk = np.einsum("bhqk,bqhd->bkhd", ds, q)
        dv = np.einsum("bhqk,bqhd->bkhd", off, dout)
        dk, dv = (x.reshape(B, T, K, group, D).sum(3) for x in (dk, dv))
        want = ref.attention_backward(self.dout, self.q, self.k, self.v, self.starts, *self.how)
        return [(w, 2 * x + u * np.abs(w)) for w, x in zip(want, (dq, dk, dv))]


HOWS = [(0.0, 0.0), (0.0, 2.0), (0.25, 0.0), (0.1, 50.0)]              # (by, cap)
hows = st.sampled_from(HOWS)
windows = st.sampled_from([0, 1, 2, 33, 63, 64, 65, 1000])


@given(B=st.sampled_from([1, 2]), T=times, heads=groups, D=head_dims, packed=st.booleans(),
       scale=st.sampled_from([1.0, 1e-4, 10.0]), window=windows, how=hows, seed=seeds)
@example(B=1, T=1, heads=(1, 1), D=2, packed=False, scale=1.0, window=0, how=HOWS[0], seed=0)
@example(B=1, T=130, heads=(6, 2), D=256, packed=True, scale=1.0, window=0, how=HOWS[1], seed=0)
@example(B=1, T=130, heads=(2, 1), D=34, packed=True, scale=1.0, window=3, how=HOWS[0], seed=0)
@examples(60)
def test_attention_equals_ref_both_ways(lib, B, T, heads, D, packed, scale, window, how, seed):
    case = Attention(lib, seed, B, T, *heads, D, packed, scale, window, *how)
    want, want_lse, score_error = case.want()
    out, lse = case.forward()
    assert_within(out, want, case.out_bound(want, score_error))
    assert_within(lse, want_lse, 2 * score_error + (T + 4) * FLOAT + 2 * FLOAT * np.abs(want_lse))
    grads, bounds = case.backward(want, want_lse), case.backward_bounds(want, score_error)
    for got, (want, bound) in zip(grads, bounds):
        assert_within(got, want, bound)


@pytest.mark.parametrize("B, T, heads, D, window, how", [
    (2, 9, (2, 1), 6, 0, HOWS[0]), (1, 333, (4, 2), 40, 0, HOWS[1]),
    (1, 300, (2, 2), 64, 70, HOWS[2])])
def test_the_fast_attention_agrees_with_the_naive_one(lib, B, T, heads, D, window, how):
    """And the naive one, which adds in float64, with ref.py, but for its own rounding."""
    if lib.device != "cpu":
        pytest.skip("it is in the CPUs' libraries")
    case = Attention(lib, 0, B, T, *heads, D, True, 1.0, window, *how)
    qkv, (want, want_lse, score_error) = qkv_rows(case.q, case.k, case.v), case.want()
    out, lse = run(lib, "attention_naive", [single(B * T, heads[0] * D), single(B * T, heads[0])],
                   qkv, case.doc_start, *case.sizes, window, *case.how)
    dqkv, = run(lib, "attention_naive_backward", [single(*qkv.shape)],
                case.dout.reshape(B * T, -1), qkv, case.doc_start, *case.sizes, window, *case.how)
    naive = [out.reshape(want.shape), *qkv_heads(dqkv, *case.sizes)]
    exact = [want, *ref.attention_backward(case.dout, case.q, case.k, case.v, case.starts,
                                              *case.how)]
    for got, x in zip(naive, exact):
        assert_within(got, x, T * FLOAT * np.abs(x).max())
    assert_within(lse.reshape(want_lse.shape), want_lse, score_error + FLOAT * np.abs(want_lse))

    fast_out, fast_lse = case.forward()
    assert_within(fast_out, naive[0], 2 * case.out_bound(want, score_error))
    grads = case.backward(want, want_lse)
    for got, x, (_, bound) in zip(grads, naive[1:], case.backward_bounds(want, score_error)):
        assert_within(got, x, 2 * bound)


STACK = """import sys, threading, numpy as np
sys.path.insert(0, "tests")
import conftest
from test_attention import Attention
from csrc.bind import Library
threading.stack_size(256 * 1024)
case = Attention(Library.load("cpu", sys.argv[1]), 0, 2, 130, 2, 2, 256, True, 1.0)
thread = threading.Thread(target=lambda: case.backward(*case.forward()))
thread.start()
thread.join()
print("alive")
"""


@pytest.mark.skipif("CHAT_EMULATOR" in os.environ, reason="the emulator has a stack of its own")
def test_attention_is_content_with_a_stack_of_256_kilobytes(lib):
    """Of the thread that calls it, and of OpenMP's."""
    if lib.device != "cpu":
        pytest.skip("a GPU has no such stack")
    done = subprocess.run([sys.executable, "-c", STACK, lib.dtype], capture_output=True, text=True,
                          cwd=Path(__file__).parents[1], env=os.environ | {"OMP_STACKSIZE": "256K"})
    assert done.stdout == "alive\n", done.stderr


@given(T=st.sampled_from([2, 17, 63, 65, 130]), heads=groups, D=head_dims, seed=seeds)
@examples(20)
def test_attention_sees_neither_the_future_nor_another_document(lib, T, heads, D, seed):
    """Whatever the others hold, a document's outputs and gradients keep their bits."""
    case = Attention(lib, seed, 1, T, *heads, D, True, 1.0)
    out, lse = case.forward()
    grads = case.backward(out, lse)
    for start in {0, case.doc_start[0, T // 2], case.doc_start.max()}:
        inside = np.flatnonzero(case.doc_start[0] == start)
        other = Attention(lib, seed + 1, 1, T, *heads, D, True, 100.0)
        other.doc_start = case.doc_start
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
    for start in np.unique(case.doc_start):
        inside = np.flatnonzero(case.doc_start[0] == start)
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
    bound = 2 * unit(lib) * np.abs(mean) + 2 * (T + 8) * FLOAT * np.abs(case.v).max()
    assert_within(case.forward()[0], np.repeat(mean, 2, axis=2), bound)


def extend(lib, qkv, keys, values, slots, positions, length, H, K, D, window, by, cap, as_halves=0):
    N, slots = len(slots), slots * np.int32(length)
    work = np.zeros(lib.call("extend_work", N, length, H, D), np.uint8)
    return run(lib, "attention_extend", [real(N, H * D)], qkv, keys, values, slots, positions,
               work, N, length, H, K, D, window, by, cap, as_halves)[0]


@given(B=st.sampled_from([1, 3]), T=times, heads=groups, D=head_dims, window=windows, how=hows,
       seed=seeds)
@examples(40)
def test_attention_with_a_cache(lib, B, T, heads, D, window, how, seed):
    """Row by row as without a cache, and nothing beyond a row's position is read: there the cache
    holds NaN. Up to 8 rows have the same bits however they come together, on a CPU any number."""
    H, K = heads
    case = Attention(lib, seed, B, T, H, K, D, False, 1.0, window, *how)
    qkv, length = qkv_rows(case.q, case.k, case.v), T + 3
    slots = np.repeat(case.draw.rng.permutation(B), T).astype(np.int32)
    positions = np.tile(np.arange(T), B).astype(np.int32)
    cache = run(lib, "cache_write", [real(B, length, K * D), real(B, length, K * D)],
                qkv, slots * np.int32(length), positions, B * T, H, K, D, 0)
    for held, written in zip(cache, (case.k, case.v)):
        expected = real(B, length, K * D)
        expected[slots, positions] = written.reshape(B * T, K * D)
        assert np.array_equal(held, expected, equal_nan=True)
    out = extend(lib, qkv, *cache, slots, positions, length, H, K, D, window, *case.how)
    want, _, score_error = case.want()
    bound = case.out_bound(want, score_error)
    assert_within(out.reshape(want.shape), want, bound)
    rows = case.draw.rng.permutation(B * T)[:70]         # more than a tile
    parts = rows, rows[:8], rows[:1], rows[2:5] if len(rows) > 2 else rows[:1]
    together, few, one, three = [extend(lib, qkv[part], *cache, slots[part], positions[part],
                                        length, H, K, D, window, *case.how) for part in parts]
    for got, part in zip((together, few, one, three), parts):
        assert_within(got, want.reshape(out.shape)[part], bound.reshape(out.shape)[part])
    assert np.array_equal(few[:1], one)
    assert len(rows) <= 2 or np.array_equal(few[2:5], three)
    assert lib.device != "cpu" or np.array_equal(together, out[rows])


@pytest.mark.parametrize("H, K, D, window", [(18, 1, 6, 0), (4, 2, 40, 300), (2, 2, 128, 0)])
def test_few_rows_share_out_the_keys_of_a_long_cache(lib, H, K, D, window):
    """A guess of three tokens across the end of a span of keys, one row alone, a run long enough
    for a tile, and an empty slot: each reads its own slot, through NaN in whatever lies behind its
    last row, and finds the same bits in any company."""
    case = Attention(lib, 0, 1, 611, H, K, D, False, 1.0, window)
    want, _, score_error = case.want()
    bound, length = case.out_bound(want, score_error), 700
    counts = {3: (510, 3), 0: (610, 1), 4: (63, 33), 1: (0, 1)}      # slot: (position, rows)
    alone = {}
    for some in [3], [0], [1, 3], [0, 4, 3, 1]:
        slots = np.repeat(some, [counts[s][1] for s in some]).astype(np.int32)
        at = np.concatenate([np.arange(*np.cumsum(counts[s])) for s in some]).astype(np.int32)
        cache = real(5, length, K * D), real(5, length, K * D)
        for slot in some:
            end = sum(counts[slot])
            for held, written in zip(cache, (case.k, case.v)):
                held[slot, :end] = written[0, :end].reshape(end, K * D)
        qkv = qkv_rows(case.q[:, at], case.k[:, at], case.v[:, at])
        got = extend(lib, qkv, *cache, slots, at, length, H, K, D, window, *case.how)
        assert_within(got.reshape(-1, H, D), want[0, at], bound[0, at])
        for slot in some if lib.device == "cpu" else ():
            mine = got[slots == slot]
            assert np.array_equal(alone.setdefault(slot, mine), mine)


@given(T=times, heads=groups, D=head_dims, window=windows, how=hows, seed=seeds)
@examples(10)
def test_keys_and_values_kept_as_halves_are_rounded_and_nothing_else(lib, T, heads, D, window, how,
                                                                     seed):
    """The same bits as from reals that were rounded before; a NaN stays one."""
    if lib.device != "cpu":
        pytest.skip("a GPU keeps reals")
    H, K = heads
    case = Attention(lib, seed, 1, T, H, K, D, False, 1.0, window, *how)
    slots, positions = np.zeros(T, np.int32), np.arange(T, dtype=np.int32)
    case.k[0, 0, 0, :2] = np.nan if seed % 8 == 0 else 1 + 2.0**-11, 1e6     # the middle of two
    case.v[0, 0, 0, :2] = case.draw.round(np.array([2.0**-24, -3e-6]))       # below normal ones
    cache = [np.float16(np.clip(x, -65504, 65504)) for x in (case.k, case.v)]
    kept = [np.float16(x) for x in run(
        lib, "cache_write", [np.zeros((1, T, K * D), np.float16) for _ in cache],
        qkv_rows(case.q, case.k, case.v), slots, positions, T, H, K, D, 1)]
    for got, want in zip(kept, cache):
        assert np.array_equal(got, want.reshape(got.shape), equal_nan=True)
    qkv = qkv_rows(case.q, *cache)
    got = extend(lib, qkv, *(x.view(np.uint16) for x in kept),
                 slots, positions, T, H, K, D, window, *case.how, 1)
    want = extend(lib, qkv, *map(np.float64, kept), slots, positions, T, H, K, D, window, *case.how)
    assert lib.dtype == "bf16" or got.tobytes() == want.tobytes()


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
