"""csrc/sample.c: one draw, against tests/ref.py and the odds; and many draws at a time on every
device, against those on the CPU."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ref
from csrc.bind import SAMPLING, ChatError, Library, samplings
from kernel_calls import examples, sample, seeds

@pytest.fixture(scope="module")
def cpu():
    return Library.load("cpu", "f32")


# ---- One draw -----------------------------------------------------------------------------------

LOGITS = (4 * np.random.default_rng(0).standard_normal(50)).astype(np.float32)


@given(V=st.sampled_from([50, 1, 2, 3, 1000]),
       temperature=st.sampled_from([1.0, 0.0, 0.1, 0.7, 5.0]),
       top_k=st.sampled_from([0, 1, 2, 7, 49, 50, 2000]),
       top_p=st.sampled_from([1.0, 0.9, 0.5, 0.01]),
       min_p=st.sampled_from([0.0, 0.05, 0.5, 1.0]), penalty=st.sampled_from([1.0, 1.3, 0.5]),
       banned=st.integers(0, 3), biased=st.integers(0, 3), seed=seeds)
@examples(300)
def test_sampling_keeps_exactly_the_right_tokens(cpu, V, temperature, top_k, top_p, min_p, penalty,
                                                 banned, biased, seed):
    rng = np.random.default_rng(seed)
    logits = (3 * rng.standard_normal(V)).astype(np.float32)
    rules = dict(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p,
                 repetition_penalty=penalty, seen=rng.integers(0, V, 4),
                 banned=rng.permutation(V)[:min(banned, V - 1)],
                 bias={i: float(rng.choice([-5, 1, 100]))
                       for i in rng.permutation(V)[:biased].tolist()})
    token, probabilities = sample(cpu, logits, seed=seed, **rules)
    want = ref.distribution(logits, history=rules.pop("seen"), **rules)
    assert np.array_equal(probabilities > 1e-12, want > 1e-12)           # sums see no smaller ones
    assert np.allclose(probabilities, want, rtol=1e-4, atol=1e-12)
    assert 0 <= token < V and probabilities[token] > 0 and token not in rules["banned"]


def test_temperature_zero_is_argmax(cpu):
    for logits in LOGITS, -LOGITS, LOGITS * 1e30, np.float32([1, 3, 3, 2]):
        for position in range(5):
            assert sample(cpu, logits, temperature=0, position=position)[0] == logits.argmax()
    second = sample(cpu, LOGITS, temperature=0, banned=[int(LOGITS.argmax())])[0]
    assert second == np.argsort(LOGITS)[-2]


def test_among_equals_the_smaller_ids_are_kept(cpu):
    _, probabilities = sample(cpu, np.zeros(6, np.float32), top_k=2)
    assert np.array_equal(probabilities, [0.5, 0.5, 0, 0, 0, 0])
    _, probabilities = sample(cpu, np.zeros(8, np.float32), top_p=0.5)
    assert np.array_equal(probabilities, [0.25] * 4 + [0] * 4)


def test_the_same_seed_and_position_draw_the_same_token(cpu):
    draws = [[sample(cpu, LOGITS, seed=seed, position=p)[0] for p in range(50)]
             for seed in (3, 3, 4, 2**64 - 1)]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2] != draws[3]
    assert sample(cpu, LOGITS, seed=3, position=7)[0] == draws[0][7]


def chi_square(counts, probabilities):
    expected = counts.sum() * probabilities
    return ((counts - expected)**2 / expected).sum()


def test_frequencies_pass_a_chi_square_test(cpu):
    """20,000 draws over positions and 20,000 over seeds, and the pairs of neighbours among them.
    With k degrees of freedom the statistic is k +- sqrt(2k); the draws are always the same ones."""
    probabilities = np.array([0.3, 0.2, 0.15, 0.1, 0.1, 0.1, 0.05])
    logits, n = np.log(probabilities).astype(np.float32), 20_000
    limit = {k: k + 5 * np.sqrt(2 * k) for k in (6, 48)}
    along = np.array([sample(cpu, logits, seed=1, position=p)[0] for p in range(n)])
    across = np.array([sample(cpu, logits, seed=s, position=9)[0] for s in range(n)])
    for draws in along, across:
        assert chi_square(np.bincount(draws, minlength=7), probabilities) < limit[6]
        pairs = np.bincount(draws[::2] * 7 + draws[1::2], minlength=49)
        assert chi_square(pairs, np.outer(probabilities, probabilities).ravel()) < limit[48]


@pytest.mark.parametrize("logits, rules", [
    ([0, np.nan, 1], {}), ([0, np.nan, 1], dict(temperature=0)), ([np.nan], {}),
    ([-np.inf, -np.inf], {}), ([0, np.inf], {}), ([0, 1], dict(banned=[0, 1]))])
def test_where_nothing_can_be_drawn_the_token_is_minus_one(cpu, logits, rules):
    assert sample(cpu, logits, **rules)[0] == -1


@pytest.mark.parametrize("rules, words", [
    (dict(temperature=-1), "temperature is -1"), (dict(temperature=np.nan), "temperature is .*nan"),
    (dict(temperature=np.inf), "temperature is inf"), (dict(top_k=-1), "top_k is -1"),
    (dict(top_p=0), "top_p is 0"), (dict(top_p=1.5), "top_p is 1.5"),
    (dict(min_p=-0.1), "min_p is -0.1"), (dict(repetition_penalty=0), "repetition_penalty is 0")])
def test_sampling_refuses_nonsense(cpu, rules, words):
    row = cpu.ffi.new("Sampling *", dict(zip(SAMPLING.names, samplings(1, **rules)[0].item())))
    with pytest.raises(ChatError, match=words):
        cpu.call("check_sampling", row)


# ---- A draw for each row ------------------------------------------------------------------------

def settings(n, **changes):
    return samplings(n, **{"position": np.arange(n), **changes})


def draw(lib, logits, how, banned=(), V=None):
    """tokens (n) of logits (n,P); the columns from V on are NaN or large on purpose."""
    n, P = logits.shape
    V, how = P if V is None else V, how.copy()
    how["n_banned"] = len(banned)
    tokens, logprobs = np.full(n, -7, np.int32), np.full(n, 7, np.float32)
    lib.call("sample_rows", tokens, logprobs, np.array(logits, np.float32), how,
             np.array(banned, np.int32), None, n, V, P, 0)
    assert ((logprobs <= 0) == (tokens >= 0)).all() and np.isnan(logprobs[tokens < 0]).all()
    return tokens


@pytest.mark.parametrize("V", [1, 2, 33, 700, 3001, 50257])
def test_rows_are_drawn_as_on_the_cpu(lib, cpu, V):
    """With every mixture of settings; only the rounding of sums may decide otherwise."""
    rng, n = np.random.default_rng(V), 400 if V < 5000 else 12
    how = settings(n, seed=rng.integers(0, 2**63, n).astype(np.uint64),
                   temperature=rng.choice([0, 0.3, 0.8, 1, 5], n),
                   top_k=rng.choice([0, 1, 2, 7, V - 1, V, V + 3], n).clip(0),
                   top_p=rng.choice([1, 0.999, 0.9, 0.5, 0.05, 1e-6], n),
                   min_p=rng.choice([0, 0, 1e-4, 0.05, 0.9, 1], n),
                   position=rng.integers(0, 2**40, n).astype(np.uint64))
    logits = np.float32(rng.standard_normal((n, V)) * rng.choice([0.1, 1, 3, 50], (n, 1)))
    logits[::3] = np.round(logits[::3])          # many equal ones
    logits[::7, 1::2] = -np.inf
    logits[5::11] = 0                            # all equal
    got, want = draw(lib, logits, how), draw(cpu, logits, how)
    assert np.sum(got != want) <= n // 1000, np.argwhere(got != want)


def test_draws_have_the_odds_of_the_softmax(lib):
    """With 11 degrees of freedom the statistic is over 31.3 once in 1000 times."""
    n, V = 3000, 12
    x = np.linspace(-2, 1, V)
    odds = np.exp(x / 0.7) / np.exp(x / 0.7).sum()
    got = draw(lib, np.tile(x, (n, 1)), settings(n, temperature=0.7, seed=3))
    assert chi_square(np.bincount(got, minlength=V), odds) < 31.3


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
        assert draw(lib, logits[i:i + 1], how[i:i + 1]) == whole[i]
    how["position"] += 20
    assert (draw(lib, logits, how) != whole).any()


@pytest.mark.parametrize("rules", [
    {}, dict(temperature=0), dict(top_k=5, repetition_penalty=1.3, seen=[1, 2, 3], banned=[4, 5]),
    dict(temperature=2, top_p=0.7, min_p=0.05, repetition_penalty=0.7, seen=[48], banned=[49],
         bias={1: 3.0, 2: -100.0, 48: 1.5})])
def test_probabilities_and_their_logs_are_those_of_the_cpu(lib, cpu, rules):
    for logits in LOGITS, -LOGITS, np.zeros(50), np.linspace(-3, 1, 700):
        got, want = sample(lib, logits, **rules), sample(cpu, logits, **rules)
        assert got[0] == want[0] and np.allclose(got[1], want[1], rtol=1e-4, atol=1e-9)
