"""Scaling laws, and the depth and steps that --minutes chooses."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from csrc.bind import ChatError
from csrc.config import Config
from data.experiments import scaling
from data.stages import budget
from data.stages.texts import Pretrain
from programs import run

LAW = budget.Law(1.2, 50, 0.35, 300, 0.4)
N = np.repeat([3e5, 9e5, 2e6, 4.2e6], 6)
D = np.tile([3e5, 6e5, 1.2e6, 2.4e6, 4e6, 6e6], 4)
JOB = SimpleNamespace(ranks=1, share=lambda value: value)


def data_of(tokens):
    return SimpleNamespace(vocab=512, val=np.zeros(tokens // 10), tokenizer=None,
                           loader=SimpleNamespace(tokens=tokens))


def test_a_law_is_found_again():
    found = scaling.fit(N, D, LAW.loss(N, D))
    assert np.allclose(found, LAW, rtol=0.01)
    assert abs(scaling.exponent(found) - 0.4 / 0.75) < 1e-3


def test_a_prediction_has_the_run_in_its_interval():
    """Of 40 ladders with noise, about 95 % of the runs that they predict lie where they say."""
    inside, off = 0, []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        loss = LAW.loss(N, D) * (1 + 0.003 * rng.standard_normal(len(N)))
        law, laws = scaling.fit(N, D, loss), scaling.bootstrap(N, D, loss, 60, seed)
        told = scaling.predict(law, laws, 8e6, 1.6e7, loss / law.loss(N, D) - 1, seed)
        true = LAW.loss(8e6, 1.6e7) * (1 + 0.003 * rng.standard_normal())
        inside += told["interval"][0] <= true <= told["interval"][1]
        off.append(abs(told["loss"] / true - 1))
    assert inside >= 32 and np.median(off) < 0.01


def test_parameters_are_counted_in_three_ways():
    config = Config(vocab=512, context=64, layers=2, channels=64, heads=1, kv_heads=1, head_dim=64,
                    hidden=192)
    found = scaling.counts(config)
    blocks = 2 * (4 * 64 * 64 + 3 * 64 * 192 + 2 * 64 + 2 * 64)
    assert found["blocks"] == blocks and found["all"] == blocks + 512 * 64 + 64
    matrices = 2 * (4 * 64 * 64 + 3 * 64 * 192) + 512 * 64
    assert found["flop"] == matrices + 2 * 64 * 64


def test_what_is_read_again_is_worth_less():
    assert budget.worth(500, 1000) == 500 and budget.worth(1000, 1000) == 1000
    several = [budget.worth(1000 * epochs, 1000) for epochs in (1, 2, 4, 8, 100, 1000)]
    assert several == sorted(several) and several[1] > 1950 and several[-1] < 1000 * (
        1 + budget.HALF_LIFE) + 1


def test_steps_fit_into_the_minutes_with_their_evaluations():
    data = data_of(10_000_000)
    s = replace(Pretrain(), batch_tokens=2048)
    steps = budget.steps_in(10, 0.1, s, data)
    evaluated = 20 * s.eval_tokens + min(budget.FINAL * s.eval_tokens, 1_000_000)
    assert abs(0.1 * (steps + evaluated / 3 / 2048) - 600) < 0.1
    assert budget.steps_in(1000, 0.1, s, data) == int(6 * 10_000_000 / 2048)   # six epochs


def test_more_minutes_make_a_larger_model():
    def seconds(s):                              # 300 GFLOP/s
        parameters = 12 * s.depth * (64 * s.depth) ** 2 + 4096 * 64 * s.depth
        return parameters, 6 * parameters * s.batch_tokens / 3e11
    depths = []
    for minutes in (0.2, 2, 20, 200):
        found = budget.plan(Pretrain(minutes=minutes), data_of(100_000_000), JOB, None, seconds)
        depths.append(found.depth)
        assert found.steps > 1
    assert depths == sorted(depths) and depths[0] < depths[-1]
    assert budget.plan(Pretrain(minutes=20), data_of(10**8), JOB, 7, seconds).depth == 7
    with pytest.raises(ChatError, match="--minutes 1e-05 are too few"):
        budget.plan(Pretrain(minutes=1e-5), data_of(10**8), JOB, None, seconds)


def test_memory_ends_the_search():
    def seconds(s):
        if s.depth > 2:
            raise ChatError("this run needs more memory")
        return 10 ** s.depth * 1000, 1e-3
    assert budget.plan(Pretrain(minutes=60), data_of(10**8), JOB, None, seconds).depth == 2
    with pytest.raises(ChatError, match="more memory"):
        budget.plan(Pretrain(minutes=60), data_of(10**8), JOB, 3, seconds)


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    rng = np.random.default_rng(0)
    words = ["".join(map(chr, rng.integers(97, 123, 5))) for _ in range(300)]
    path = tmp_path_factory.mktemp("book") / "book.txt"
    path.write_text(" ".join(words[int(i) % 300] for i in rng.zipf(1.3, 60000)))
    return path


def test_a_run_of_some_minutes(book, tmp_path):
    done = run("train.py", "--data", book, "--minutes", "0.05", "--context", "64", "--eval-tokens",
               "512", "--vocab-size", "300", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "depth 1: " in done.stdout and "if this were the pocket world" in done.stdout
    log = [json.loads(line) for line in open(tmp_path / "run/log.jsonl")]
    assert log[-1]["step"] > 1 and "final_val_loss" in log[-1]


@pytest.mark.parametrize("flags, why", [
    (["--steps", "5"], "--minutes 1 chooses the size and the steps, so it does not go with --steps "
                       "5"),
    (["--channels", "64"], "does not go with --channels 64")])
def test_minutes_do_not_go_with_what_they_choose(book, tmp_path, flags, why):
    done = run("train.py", "--data", book, "--minutes", "1", *flags, "--out", tmp_path / "run")
    assert done.returncode and why in done.stderr and not (tmp_path / "run").exists()


def test_the_ladder(book, tmp_path):
    how = ["data/lab.py", "scaling", "--data", book, "--out", tmp_path, "--seeds", "0"]
    done = run(*how, "--flop", "2e10", "--depths", "1", "2", "3", "--parts", "0.5", "1",
               "--larger", "2")
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "scaling.json").read_text())
    before = json.loads((tmp_path / "prediction.json").read_text())
    assert "loss" in told["target"] and "loss" not in before["target"]
    assert before["target"]["predicted"] == told["target"]["predicted"]
    assert {*told["laws"]} == {*scaling.COUNTS} and (tmp_path / "scaling.png").stat().st_size > 9999
    assert "then run:" in done.stdout and len(told["ladder"]) == 6
    done = run(*how, "--depths", "1")
    assert done.returncode and "--depths [1] and" in done.stderr


def test_curves_of_runs(book, tmp_path):
    how = ["--data", book, "--depth", "1", "--context", "16", "--batch", "2", "--vocab-size", "300",
           "--eval-tokens", "64", "--steps", "4", "--eval-every", "1", "--out"]
    for optimizer in "adamw", "muon":
        done = run("train.py", *how, tmp_path / optimizer, "--optimizer", optimizer)
        assert done.returncode == 0, done.stderr
    runs = tmp_path / "adamw", tmp_path / "muon"
    for across in "tokens", "minutes":
        done = run("data/lab.py", "curves", *runs, "--across", across, "--out", tmp_path / "c.png")
        assert done.returncode == 0 and (tmp_path / "c.png").stat().st_size > 9999, done.stderr
    done = run("data/lab.py", "curves", *runs, "--by", "colour", "--out", tmp_path / "d.png")
    assert done.returncode and "there is no setting 'colour'" in done.stderr
