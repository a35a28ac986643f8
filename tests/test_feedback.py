"""A reward model followed too far: the estimator of best-of-n, the fits, the commands."""

import json
from itertools import combinations

import numpy as np
import pytest

import programs
from csrc.files import ChatError
from csrc.engine import Sampling, Sequence
from data import feedback
from data.chat.turn import load
from data.experiments import overoptimisation as over
from data.pocket import couplets
from data.stages import tasks
from learning import assistant


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return assistant(tmp_path_factory.mktemp("writer") / "sft")


@pytest.fixture
def short(monkeypatch):
    """Texts that the toy assistant has room for."""
    monkeypatch.setattr(over, "CONTEXT", 64)
    monkeypatch.setattr(over, "LIMIT", 8)


def test_the_best_of_n_is_a_mean_over_all_choices_of_n():
    rng = np.random.default_rng(0)
    proxy, true = rng.standard_normal((2, 3, 7))
    for n in 1, 2, 5, 7:
        best = [row[max(some, key=lambda i: given[i])] for given, row in zip(proxy, true)
                for some in combinations(range(7), n)]
        assert over.best_of(proxy, n, true) == pytest.approx([np.mean(best)])
    with pytest.raises(ChatError, match="the best of 8 cannot be had from 7 answers: draw more"):
        over.best_of(proxy, 8, true)


@pytest.mark.parametrize("form, curve", [("bon", lambda d, a, b: d * (a - b * d)),
                                         ("rl", lambda d, a, b: d * (a - b * np.log(d)))])
def test_fits_find_the_peak_and_three_sizes_that_of_the_fourth(form, curve):
    d, fits = np.linspace(0.1, 30, 3000), {}
    for size in 10, 20, 40, 80:
        a, b = 0.5 + 0.1 * np.log(size), 0.5 - 0.05 * np.log(size)
        fits[size] = over.fitted([0, *d], [0, *curve(d, a, b)], form)
        top = curve(d, a, b).argmax()
        assert fits[size] == pytest.approx({"a": a, "b": b, "r2": 1, "peak_at": d[top],
                                            "peak": curve(d, a, b)[top]}, rel=0.01)
    last = over.predicted([10, 20, 40], [fits[size] for size in (10, 20, 40)], 80, form)
    assert last == pytest.approx({name: fits[80][name] for name in last}) and last
    assert "peak" not in over.fitted(d, d * 2 + d ** 2, form), "what only rises has none"


def test_the_judge_labels_answers_side_by_side_and_leaves_out_ties():
    d = tasks.dice("a couplet")
    asked = tasks.draw("couplet", d)
    good, bad = Sequence([1], Sampling()), Sequence([1], Sampling())
    good.text, bad.text = couplets.master(d, asked.truth), "the end"
    group = [good, bad, bad, good, good, good] * 50
    found = [*over.labels([(asked, group)])]
    assert {sign for _, j, sign in found if j % 6 == 0} == {1}
    assert {sign for _, j, sign in found if j % 6 == 2} == {-1}
    assert sum(j % 6 == 4 for _, j, _ in found) < 20, "he errs, but seldom so far"
    given = np.array([[one is good for one in group]], float)
    right, expected = over.told_apart([(asked, group)], given)
    assert right > 0.85 and expected.max() == pytest.approx(1 / (1 + np.exp(-1)))


def test_a_model_is_not_away_from_itself_but_from_another(folder, tmp_path, short):
    engine = load(folder, "cpu", "f32")
    drawn = over.answers(engine, folder, 3, 4)
    assert over.away(engine.model, drawn) == pytest.approx(0, abs=1e-4)
    other = load(assistant(tmp_path / "other", seed=1), "cpu", "f32")
    assert over.away(other.model, drawn) > 0.1


def test_curves_are_drawn_and_kept_as_figures(folder, tmp_path, short, capsys):
    judges = [str(assistant(tmp_path / f"judge{seed}", seed=seed, scalar=1)) for seed in (1, 2)]
    (folder / "log.jsonl").write_text("".join(json.dumps(
        {"held_kl": d, "held_true": 0.3 - d / 50, "held_reward": d}) + "\n" for d in (1, 2, 3)))
    feedback.curves(feedback.Curves(
        folder, judges, [100, 200], [str(folder)] * 2, [str(folder)], prompts=1, pool=1000,
        out=tmp_path / "drawn.png"))
    told = json.loads((tmp_path / "drawn.json").read_text())
    assert {*told["ways"]["bon"]} == {"100", "200"} and len(told["ways"]["rl"]["100"]["curve"]) == 3
    assert (tmp_path / "drawn.png").read_bytes().startswith(b"\x89PNG")
    assert "pairs of new couplets told apart" in capsys.readouterr().out


def test_what_does_not_fit_is_one_sentence(folder, tmp_path, short):
    with pytest.raises(ChatError, match="1 --rewards, but 2 --sizes and 0 --practised"):
        feedback.curves(feedback.Curves(folder, ["a"], [1, 2]))
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(ChatError, match="no held_true: it was no run with --reward"):
        feedback.practised(str(tmp_path), 0, 1)
    with pytest.raises(ChatError, match=r"only \d+ of --pairs 40 are left"):
        feedback.label(feedback.Label(folder, tmp_path / "pairs.jsonl", 40))


def test_couplets_are_written_once(tmp_path):
    done = programs.run("data/feedback.py", "write", "--out", tmp_path / "lines", "--count", 20)
    assert done.returncode == 0, done.stderr
    chats = [json.loads(line) for line in open(tmp_path / "lines" / "chats.jsonl")]
    assert len(chats) == 20 and "\n" in chats[0]["messages"][1]["content"]
    done = programs.run("data/feedback.py", "write", "--out", tmp_path / "lines")
    assert done.returncode == 1 and str(tmp_path / "lines") in done.stderr
