"""How tests of kernels call one and judge what it gives; no tests.

`run` calls a kernel as hard as kernels.h allows: a guard band lies around every array, outputs
marked "=" start as NaN, with any other the call is made twice (so what is marked "+=" must grow by
twice the gradient), and all that on one thread and on two, which must give the same bits. (Loops of
few steps stay on one thread, so one test is about threads only.) A GPU does it twice in the same
way; where its code runs on the CPU, threads take turns in another order each time.

Bounds are worst cases, not measurements. A sum of n products is off by at most n * FLOAT * (the sum
of their magnitudes), a number x stored as `real` by unit(lib) * |x|. Where a kernel rounds inside,
the bound says what that does to the result. Arguments are rounded before ref.py sees them.

Arrays here are float64 where the kernel takes `real`, float32 where it takes `float`.

(This is not kernels.py: transformers imports a module of that name wherever it finds one.)
"""

import os
from zlib import crc32

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from csrc.bind import samplings

FLOAT = 2.0**-24                                 # rounding to float is wrong by this, relatively
TINY = 1e-37                                     # where float's relative precision ends
EPS = 2.0**-17                                   # a norm's epsilon that float can hold
GUARD = 132, 256                                 # bytes; arrays are aligned to 4 bytes, or to 256

few = st.sampled_from([1, 2, 3, 5, 14, 33])
sizes = st.sampled_from([1, 2, 3, 5, 13, 14, 15, 16, 17, 31, 33, 63, 64, 65, 127, 191, 192, 193])
scales = st.sampled_from([1.0, 1e-4, 1e-2, 1e2, 1e4])
seeds = st.integers(0, 2**32 - 1)


def examples(count):
    """So many in a night (CHAT_EXAMPLES=1000), else some: at home others each time."""
    return settings(max_examples=min(count, int(os.environ.get("CHAT_EXAMPLES", 8))))


def unit(lib):
    return {"f32": 2.0**-24, "bf16": 2.0**-8}[lib.dtype]


def to_real(lib, array):
    """An array as a library's `real`: float32, or bfloat16 in uint16."""
    values = np.array(array, np.float32, order="C")
    if lib.real_type is np.float32:
        return values
    out = np.empty(values.shape, np.uint16)
    lib.call("narrow", out, values, values.size)
    return out


def to_float(lib, array):
    """The inverse."""
    out = np.empty(array.shape, np.float32)
    lib.call("widen", out, np.ascontiguousarray(array, lib.real_type), array.size)
    return out


def rounded(lib, array):
    """What becomes of numbers that are stored as `real`, in float32."""
    return to_float(lib, to_real(lib, array))


class Draw:
    """Random numbers that `real` can hold, so that the kernel and ref.py get the same ones."""

    def __init__(self, lib, seed):
        self.lib, self.rng = lib, np.random.default_rng(seed)

    def __call__(self, *shape, scale=1.0):
        return self.round(self.rng.standard_normal(shape) * scale)

    def round(self, x):
        return rounded(self.lib, x).astype(np.float64)

    def ints(self, low, high, *shape):
        return self.rng.integers(low, high, shape, dtype=np.int32)

    def doc_start(self, B, T):
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


def norm_work(lib, N, C):
    return np.zeros(lib.call("norm_work", N, C), np.uint8)


class Guarded:
    """A copy of an array in memory where writing past either end is noticed."""

    def __init__(self, lib, array, guard=GUARD[0]):
        array = to_real(lib, array) if array.dtype == np.float64 else array
        self.guard, self.memory = guard, np.full(array.nbytes + 2 * guard, 0xA5, np.uint8)
        self.array = self.memory[guard:-guard].view(array.dtype).reshape(array.shape)
        self.array[...] = array

    def intact(self):
        bands = self.memory[:self.guard], self.memory[-self.guard:]
        return all((band == 0xA5).all() for band in bands)


def guard_for(lib, arrays):
    """A GPU's kernels are different ones where 16 bytes can be read at a time: half of all sizes
    get memory that allows it."""
    sizes = [x.size for x in arrays if isinstance(x, np.ndarray)]
    return GUARD[0 if lib.device == "cpu" else crc32(str(sizes).encode()) % 2]


def contents(arrays):
    """Their bytes, but not those of scratch memory (uint8)."""
    return [x.tobytes() for x in arrays if isinstance(x, np.ndarray) and x.dtype != np.uint8]


def run(lib, name, outputs, *inputs):
    """The outputs of a kernel, in float64; None for one that is not wanted. What may go wrong in
    any kernel is checked here: writing out of bounds, changing an input, giving other bits on
    another number of threads, or after something else was in its scratch memory."""
    guard, bits = guard_for(lib, (*outputs, *inputs)), []

    def held(arrays):
        """Copies with guards, and what the kernel is given of them."""
        guarded = [Guarded(lib, x, guard) if isinstance(x, np.ndarray) else x for x in arrays]
        return guarded, [x.array if isinstance(x, Guarded) else x for x in guarded]
    adds = any(x is not None and not np.isnan(x).all() for x in outputs)
    around_inputs, given = held(inputs)
    before = contents(given)
    for threads in 1, 2:
        lib.call("device_threads", threads)
        around_outputs, made = held(outputs)
        for _ in range(2 if adds else 1):
            lib.call(name, *made, *given)
        intact = all(x.intact() for x in (*around_outputs, *around_inputs)
                     if isinstance(x, Guarded))
        assert intact, f"{name} wrote out of bounds"
        assert contents(given) == before, f"{name} changed an input"
        bits.append(contents(made))
    lib.call("device_threads", 1)
    assert bits[0] == bits[1], f"{name} depends on the number of threads, or on their order"
    return [x if x is None else np.float64(to_float(lib, x) if x.dtype == lib.real_type else x)
            for x in made]


def assert_within(got, want, bound):
    assert got.shape == want.shape, f"got {got.shape}, want {want.shape}"
    bound = np.broadcast_to(bound + TINY, want.shape)
    wrong = ~(np.abs(got - want) <= bound)       # a NaN is wrong
    assert not wrong.any(), (
        f"{wrong.sum()} of {wrong.size} are wrong; the first is {np.argwhere(wrong)[0]}: "
        f"got {got[wrong][0]:.9g}, want {want[wrong][0]:.9g} within {bound[wrong][0]:.3g}")


def linear_pack(lib, weight):
    """What linear_forward reads: the weight itself, on a GPU."""
    O, C = weight.shape
    size = lib.call("linear_packed_size", C, O)
    return run(lib, "linear_pack", [real(size)], weight, 0, O, C, O)[0] if size else weight


def linear_forward(lib, inp, weight, bias=None, residual=None, kernel="linear_forward"):
    (N, C), O = inp.shape, weight.shape[0]
    packed = linear_pack(lib, weight)
    work = np.zeros(lib.call("linear_work", N, C, O, 1), np.uint8)
    if kernel == "linear_forward":
        return run(lib, kernel, [real(N, O), None], inp, packed, bias, residual, work, N, C, O)[0]
    return run(lib, kernel, [single(N, O)], inp, packed, work, N, C, O)[0]


def sample(lib, logits, temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, repetition_penalty=1.0,
           seed=0, position=0, seen=(), banned=(), bias={}):
    """(token, probabilities (V)) that sample_rows draws from one row of logits (V)."""
    seen, ids = np.unique(np.array([*seen], np.int32)), np.array([*banned, *bias], np.int32)
    rows = samplings(1, temperature, top_k, top_p, min_p, repetition_penalty, seed,
                     position=position, n_banned=len(banned), biased=len(banned),
                     n_biased=len(bias), seen=len(ids), n_seen=len(seen))
    biases = np.zeros(len(ids) + len(seen), np.float32)
    biases[len(banned):len(ids)] = [*bias.values()]
    token, logprob, p = np.empty(1, np.int32), np.empty(1, np.float32), np.array(logits, np.float32)
    lib.call("sample_rows", token, logprob, p, rows, np.append(ids, seen), biases, 1, p.size,
             p.size, 1)
    assert token[0] < 0 or abs(logprob[0] - np.log(p[token[0]])) < 1e-4
    return int(token[0]), p
