"""Linear layers (csrc/matmul.c, cuda/matmul.cu) against tests/ref.py and the naive product.

What calls a kernel, and how far off it may be, is in kernel_calls.py.
"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import ref
from kernel_calls import (FLOAT, Draw, assert_within, examples, few, linear_forward, linear_pack,
                          real, run, scales, seeds, single, sizes, to_real, unit)

# Around matmul.c's tiles (14 x 32), its blocks (112 x 256) and its steps (192 or 384).
linear_sizes = st.sampled_from([1, 2, 3, 13, 14, 15, 31, 32, 33, 64, 97, 111, 113, 193, 257, 385])


@given(C=linear_sizes, O=linear_sizes, seed=seeds)
@examples(30)
def test_linear_pack_may_be_given_the_rows_in_parts(lib, C, O, seed):
    weight = to_real(lib, Draw(lib, seed)(O, C))
    whole, parts = (np.zeros(lib.call("linear_packed_size", C, O), lib.real_type) for _ in range(2))
    lib.call("linear_pack", whole, weight, 0, O, C, O)
    cuts = [0, *sorted(np.random.default_rng(seed).integers(0, O + 1, 3)), O]
    for from_, to in reversed([*zip(cuts, cuts[1:])]):
        lib.call("linear_pack", parts, weight[from_:to], from_, to - from_, C, O)
    assert np.array_equal(parts.view(np.uint8), whole.view(np.uint8))


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
    assert_within(linear_forward(lib, inp, weight, kernel="linear_forward_float"),
                  ref.linear(inp, weight), sums)
    if residual:
        want, sums = want + r, sums + 4 * FLOAT * np.abs(r)
    assert_within(linear_forward(lib, inp, weight, b, r), want, unit(lib) * np.abs(want) + 2 * sums)


@given(N=linear_sizes, C=linear_sizes, O=linear_sizes, dinp=st.booleans(), bias=st.booleans(),
       packs=st.booleans(), residual=st.booleans(), scale=scales, seed=seeds)
@examples(50)
def test_linear_backward(lib, N, C, O, dinp, bias, packs, residual, scale, seed):
    draw = Draw(lib, seed)
    inp, weight, dout = draw(N, C), draw(O, C), draw(N, O, scale=scale)
    start = draw(O, C, scale=scale).astype(np.float32), draw(O, scale=scale).astype(np.float32)
    work = np.zeros(lib.call("linear_work", N, C, O, 1), np.uint8)
    outputs = [real(N, C) if dinp else None, start[0], start[1] if bias else None]
    r = draw(N, C, scale=scale) if residual else None
    weights = (None, linear_pack(lib, weight)) if packs else (weight, None)
    got = run(lib, "linear_backward", outputs, dout, inp, *weights, None, r, work, N, C, O)
    want = ref.linear_backward(dout, inp, weight)
    size = ref.linear_backward(np.abs(dout), np.abs(inp), np.abs(weight))
    if dinp:
        whole, sums = (want[0] + r, size[0] + np.abs(r)) if residual else (want[0], size[0])
        assert_within(got[0], whole, unit(lib) * np.abs(whole) + 2 * (O + 4) * FLOAT * sums)
    for i in (1, 2) if bias else (1,):
        assert_within(got[i], start[i - 1] + 2 * want[i],
                      2 * (N + 4) * FLOAT * (2 * size[i] + np.abs(start[i - 1])))


@given(N=linear_sizes, C=linear_sizes, O=linear_sizes, bias=st.booleans(), seed=seeds)
@examples(30)
def test_linear_with_gelu_is_both_kernels_one_after_the_other(lib, N, C, O, bias, seed):
    draw = Draw(lib, seed)
    inp, weight, b, up = draw(N, C), draw(O, C), draw(O) if bias else None, draw(O, O)
    packed = linear_pack(lib, weight)
    work = np.zeros(max(lib.call("linear_work", N, C, O, 1), lib.call("linear_work", N, O, O, 1)),
                    np.uint8)
    out, pre = run(lib, "linear_forward", [real(N, O), real(N, O)], inp, packed, b, None, work,
                   N, C, O)
    want, size = ref.linear(inp, weight, b), ref.linear(np.abs(inp), np.abs(weight), np.abs(
        b) if bias else None)
    sums = 2 * (C + 4) * FLOAT * size            # of the gelu, whose slope is at most 1.13
    assert_within(pre, want, unit(lib) * np.abs(want) + sums)
    assert_within(out, ref.gelu(want), unit(lib) * (np.abs(ref.gelu(want)) + 1.13 * np.abs(want))
                  + 2 * sums + 32 * FLOAT)

    dout, start = draw(N, O), np.zeros((O, O), np.float32)
    got, _, _ = run(lib, "linear_backward", [real(N, O), start, None], dout, out, up, None,
                    pre, None, work, N, O, O)
    dact = ref.linear_backward(dout, out, up)[0]
    size = ref.linear_backward(np.abs(dout), np.abs(out), np.abs(up))[0]
    dpre, = ref.gelu_backward(dact, pre)
    assert_within(got, dpre, 2 * unit(lib) * (np.abs(dpre) + np.abs(dact))
                  + 4 * (O + 4) * FLOAT * size + 64 * FLOAT * np.abs(dact))


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
    """On a GPU, in any that generation makes: cuBLASLt is not asked about a few rows."""
    draw, N = Draw(lib, seed), 200 if lib.device == "cpu" else 8
    inp, weight, bias, residual = draw(N, C), draw(O, C), draw(O), draw(N, O)
    whole = linear_forward(lib, inp, weight, bias, residual)
    wide = linear_forward(lib, inp, weight, kernel="linear_forward_float")
    for rows in slice(0, 1), slice(N - 1, N), slice(3, 5), slice(5, 8), slice(N // 2, N // 2 + 14):
        few = linear_forward(lib, inp[rows], weight, bias, residual[rows])
        assert np.array_equal(few, whole[rows])
        few = linear_forward(lib, inp[rows], weight, kernel="linear_forward_float")
        assert np.array_equal(few, wide[rows])
