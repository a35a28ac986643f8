"""sample_rows: many draws at a time, on every device, against sample() and against the odds."""

import numpy as np
import pytest

from csrc.bind import ChatError

SAMPLING = np.dtype([("temperature", "f4"), ("top_k", "i4"), ("top_p", "f4"), ("min_p", "f4"),
                     ("repetition_penalty", "f4"), ("seed", "u8")], align=True)
OFF = dict(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, repetition_penalty=1.0, seed=0)


def settings(n, **changes):
    out = np.zeros(n, SAMPLING)
    for name, value in {**OFF, **changes}.items():
        out[name] = value
    return out


def draw(lib, logits, how, positions=None, banned=(), V=None):
    """tokens (n) of logits (n,P); the columns from V on are NaN or large on purpose."""
    lib.types.update({"Sampling": SAMPLING, "unsigned long long": np.dtype("u8")})
    n, P = logits.shape
    V = P if V is None else V
    tokens = np.full(n, -7, np.int32)
    positions = np.arange(n, dtype=np.uint64) if positions is None else positions
    lib.call("sample_rows", tokens, np.array(logits, np.float32), how, positions,
             np.array(banned, np.int32), len(banned), n, V, P)
    return tokens


def one(lib, logits, how, position):
    """What sample() draws, or -1 where it refuses to."""
    token = np.zeros(1, np.int32)
    setting = lib.ffi.new("Sampling *", {name: how[name].item() for name in SAMPLING.names})
    try:
        lib.call("sample", token, logits, setting, None, 0, None, 0, int(position), logits.size)
    except ChatError:
        return -1
    return int(token[0])


@pytest.mark.parametrize("V", [1, 2, 33, 700, 3001, 50257])
def test_rows_are_drawn_as_sample_draws_them(lib, V):
    """With every mixture of settings; only the rounding of sums may decide otherwise."""
    rng, n = np.random.default_rng(V), 400 if V < 5000 else 12
    how = settings(n, seed=rng.integers(0, 2**63, n).astype(np.uint64),
                   temperature=rng.choice([0, 0.3, 0.8, 1, 5], n),
                   top_k=rng.choice([0, 1, 2, 7, V - 1, V, V + 3], n).clip(0),
                   top_p=rng.choice([1, 0.999, 0.9, 0.5, 0.05, 1e-6], n),
                   min_p=rng.choice([0, 0, 1e-4, 0.05, 0.9, 1], n))
    logits = np.float32(rng.standard_normal((n, V)) * rng.choice([0.1, 1, 3, 50], (n, 1)))
    logits[::3] = np.round(logits[::3])          # many equal ones
    logits[::7, 1::2] = -np.inf
    logits[5::11] = 0                            # all equal
    positions = rng.integers(0, 2**40, n).astype(np.uint64)
    want = [one(lib, x.copy(), s, p) for x, s, p in zip(logits, how, positions)]
    got = draw(lib, logits, how, positions)
    assert np.sum(got != want) <= n // 1000, np.argwhere(got != want)


def test_draws_have_the_odds_of_the_softmax(lib):
    """Chi-square over 12 tokens: 11 degrees of freedom pass 31.3 once in 1000 times."""
    n, V = 3000, 12
    x = np.linspace(-2, 1, V)
    odds = np.exp(x / 0.7) / np.exp(x / 0.7).sum()
    got = draw(lib, np.tile(x, (n, 1)), settings(n, temperature=0.7, seed=3))
    counts = np.bincount(got, minlength=V)
    assert ((counts - n * odds)**2 / (n * odds)).sum() < 31.3


def test_temperature_zero_takes_the_first_of_the_largest(lib):
    logits = np.float32(np.random.default_rng(0).integers(-5, 5, (40, 1500)))
    logits[0, :3] = -0.0, 0.0, -0.0
    logits[0, 3:] = -1
    assert np.array_equal(draw(lib, logits, settings(40, temperature=0)), logits.argmax(1))
    assert np.array_equal(draw(lib, logits, settings(40, top_k=1)), logits.argmax(1))
    assert np.array_equal(draw(lib, logits, settings(40, top_p=1e-6)), logits.argmax(1))
    likely = draw(lib, logits, settings(40, min_p=1))
    assert np.array_equal(logits[np.arange(40), likely], logits.max(1))


def test_what_is_left_out_is_never_drawn(lib):
    n, V, P = 300, 50, 64
    logits = np.float32(np.tile(np.arange(P) / 100, (n, 1)))
    logits[:, V:] = 1e30
    logits[::2, V:] = np.nan
    draws = {name: draw(lib, logits, settings(n, **{name: value}), V=V)
             for name, value in (("top_k", 5), ("top_p", 0.5), ("min_p", 0.9), ("seed", 1))}
    assert set(draws["top_k"]) == set(range(45, 50))
    p = np.exp(np.arange(V) / 100)
    kept = V - 1 - np.argmax(np.cumsum(p[::-1]) >= 0.5 * p.sum())
    assert draws["top_p"].min() >= kept and draws["top_p"].max() < V
    assert draws["min_p"].min() >= 39 and draws["min_p"].max() == 49      # exp(-0.10) > 0.9
    assert draws["seed"].min() < 5 and draws["seed"].max() < V
    banned = draw(lib, logits, settings(n), banned=[49, 0, 7], V=V)
    assert not set(banned) & {49, 0, 7} and banned.max() == 48


def test_nothing_to_draw_is_minus_one(lib):
    logits = np.zeros((6, 40), np.float32)
    logits[1] = -np.inf
    logits[2, 39] = np.nan
    logits[3, 5] = np.inf
    logits[4, :39] = -np.inf
    assert list(draw(lib, logits, settings(6)) < 0) == [False, True, True, True, False, False]
    assert draw(lib, logits, settings(6))[4] == 39
    assert (draw(lib, logits, settings(6), banned=range(40)) == -1)[[0, 1, 3, 4, 5]].all()
    assert (draw(lib, logits, settings(6), banned=range(39))[[0, 3, 4, 5]] == 39).all()


def test_a_draw_depends_on_its_own_seed_and_position_only(lib):
    rng = np.random.default_rng(1)
    logits, how = np.float32(rng.standard_normal((20, 300))), settings(20, seed=np.arange(20))
    whole = draw(lib, logits, how)
    for i in range(0, 20, 7):
        assert draw(lib, logits[i:i + 1], how[i:i + 1], np.array([i], np.uint64)) == whole[i]
    assert (draw(lib, logits, how, np.arange(20, 40, dtype=np.uint64)) != whole).any()
