"""train.py rl: gradients of each method, what an update does, exact resuming, wrong input. The
model is of one layer and random; a toy task rewards letters of the first half of the alphabet."""

import itertools
import json
import shutil
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import train
from csrc import launch
from csrc.bind import Job, Library, Model
from csrc.config import Config
from csrc.files import ChatError
from csrc.runs import read_state
from data.exams.questions import Question
from data.stages import methods, rl, tasks
from data.stages.rl import Rl
from data.tokens import bpe
from learning import assert_gradients, assistant, log_of, made, moved, run_of, trained
from test_ranks import ROOT_MAY, mpirun, needs_mpirun, run as run_command, training
from test_train import same_weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return assistant(tmp_path_factory.mktemp("assistant") / "sft")


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    """The task "toy": the share of an answer's bytes that are even."""
    monkeypatch.setitem(tasks.TASKS, "toy", lambda d, grade: Question(
        "toy", "", "sum", f"Say {d.between(1, 99)}.", Fraction(1), "1"))
    monkeypatch.setattr(tasks, "score", lambda question, said: worth(said))


def worth(said):
    data = said.encode()
    return sum(byte % 2 == 0 for byte in data) / max(1, len(data))


def toy_run(folder, out, **settings):
    return made(Rl, folder, out, **{**dict(
        data=["toy"], max_tokens=12, prompts=3, group=4, held_out=4, held_samples=2, problems=50,
        batch=6, lr=3e-3), **settings})


METHODS = {
    "best": {"method": "best"}, "grpo": {},
    "grpo, std, tokens": {"std": True, "normalise": "tokens"},
    "grpo, sequence": {"normalise": "sequence"}, "grpo, kl": {"kl": 0.3},
    "grpo, twice": {"epochs": 2, "clip_high": 0.28},
    "grpo, twice, kl": {"epochs": 2, "kl": 0.3, "drop_equal": True},
    "ppo": {"method": "ppo"}, "ppo, twice": {"method": "ppo", "epochs": 2}}


def expected(run, found, s):
    """{(answer, place): (advantage, weight)} by the formulas, in plain Python."""
    rewards, sizes = found.rewards.reshape(-1, s.group), (found.ends - found.begins).tolist()
    wanted, counted = {}, []
    values = rl.nll_of(run.critic, run, found) if s.critic else None
    for i in range(rewards.size):
        group, r = rewards[i // s.group], rewards.flat[i]
        if s.method == "best":
            a = float(i % s.group == group.argmax() and group.max() > group.min())
        else:
            a = (r - group.mean()) / (group.std() + 1e-4 if s.std else 1)
        dropped = s.drop_equal and group.max() == group.min()
        counted += [i] * (bool(a) if s.method == "best" else not dropped)
        places = range(found.begins[i] - 1, found.ends[i] - 1)
        for t in places:
            if s.critic:                         # the sum of decayed surprises from here on
                v = [values[i, u] for u in places] + [0.0]
                k = t - places[0]
                a = sum(s.gae_lambda ** (u - k) * (r * (u == len(places) - 1) + v[u + 1] - v[u])
                        for u in range(k, len(places)))
            wanted[i, t] = a
    if s.critic:
        mean, std = np.mean([*wanted.values()]), np.std([*wanted.values()])
        wanted = {at: (a - mean) / std for at, a in wanted.items()}
    total = {"constant": lambda i: len(counted) * s.max_tokens,
             "tokens": lambda i: sum(sizes[j] for j in counted),
             "sequence": lambda i: len(counted) * sizes[i]}[s.normalise]
    return {(i, t): (a, (i in counted) / total(i)) for (i, t), a in wanted.items()}


@pytest.mark.parametrize("name", METHODS)
def test_each_method_has_its_formula_s_gradient(folder, tmp_path, name):
    s, data, model = toy_run(folder, tmp_path / "run", **METHODS[name])
    run = run_of(s, data, model)
    if s.critic:
        run.critic = Model.load(folder, "cpu", "f32", scalar=1)
        moved(run.critic, 0.1)
    moved(model)
    progress, run.progress["batches"] = run.progress, 0
    batch = rl.make_batch(run)
    found, second = batch.rollouts, s.epochs > 1
    want = expected(run, found, s)
    if second:
        moved(model, 0.03)                       # ratios are not 1 any more
    rows = np.arange(len(found.rewards))
    passes = rl.passes_of(run, batch, rows, exact=not second and not s.kl)
    assert len(passes) > (name != "best")
    index = {tuple(row): i for i, row in enumerate(found.tokens.tolist())}

    def loss_of(tokens, targets):
        T = tokens.shape[1]
        which = [next(i for row, i in index.items() if list(row[:T]) == line.tolist()
                      and found.ends[i] - 1 <= T) for line in tokens]
        a, w, old, known = (np.zeros(tokens.shape) for _ in range(4))
        for line, i in enumerate(which):
            for t in range(found.begins[i] - 1, found.ends[i] - 1):
                a[line, t], w[line, t] = want[i, t]
                old[line, t] = found.logprobs[i, t + 1]
        known = run.reference.forward(tokens, targets).astype(float)

        def loss(nll):
            ratio = np.exp(-nll - old)
            each = np.minimum(ratio * a, np.clip(ratio, 1 - s.clip_low, 1 + s.clip_high) * a) \
                if second else a * ratio
            divergence = np.exp(nll - known) - (nll - known) - 1
            return (w * (s.kl * divergence - each)).sum()
        return loss
    assert_gradients(model, passes, [loss_of(*p[:2]) for p in passes])
    assert progress is run.progress


def test_gae_of_one_step_and_of_all_are_what_they_are_called():
    values, mask = np.array([[9, 1, 2, 4, 9.]]), np.array([[0, 1, 1, 1, 0]], bool)
    np.testing.assert_allclose(methods.gae(np.array([7.]), values, mask, 0.0), [[0, 1, 2, 3, 0]])
    np.testing.assert_allclose(methods.gae(np.array([7.]), values, mask, 1.0), [[0, 6, 5, 3, 0]])


@pytest.mark.parametrize("method", ["best", "grpo"])
def test_an_update_makes_what_was_rewarded_likelier_and_the_rest_less(folder, tmp_path, method):
    s, data, model = toy_run(folder, tmp_path / "run", method=method, prompts=4, group=8)
    run = run_of(s, data, model)
    batch = rl.make_batch(run)
    found = batch.rollouts
    before = rl.nll_of(model, run, found).sum(1)
    train.accumulate(model, rl.passes_of(run, batch, np.arange(32), True), run.job)
    for name, _, _ in model.tensors:             # a plain step down the gradient
        model.write(name, model.read(name) - 0.3 * model.read(name, "gradient"))
    change = before - rl.nll_of(model, run, found).sum(1)
    advantages = batch.advantages.sum(1)
    assert change[advantages > 0].mean() > 0.01
    if method == "grpo":
        assert change[advantages < 0].mean() < -0.01


def test_what_is_drawn_has_the_model_s_own_probabilities(folder, tmp_path):
    s, data, model = toy_run(folder, tmp_path / "run")
    run = run_of(s, data, model)
    found, _ = rl.roll_out(run, [data.problem(i) for i in range(3)], 4, 1)
    nll = rl.nll_of(model, run, found)
    np.testing.assert_allclose(-found.logprobs[:, 1:] * found.mask, nll, atol=1e-4)
    again, _ = rl.roll_out(run, [data.problem(i) for i in range(3)], 4, 1)
    assert all(np.array_equal(a, b) for a, b in zip(found, again))
    other, _ = rl.roll_out(run, [data.problem(i) for i in range(3)], 4, 2)
    assert not np.array_equal(found.tokens, other.tokens)


@pytest.mark.parametrize("method", ["best", "grpo", "ppo"])
def test_practice_pays(folder, tmp_path, method):
    s, data, model = toy_run(folder, tmp_path / "run", method=method, steps=14, lr=1e-2, group=8,
                             eval_every=7)
    figures = trained(s, data, model, plot=method == "grpo")
    before = read_state(tmp_path / "run")[0]["baselines"]["before"]
    log = log_of(tmp_path / "run")
    assert figures["held_reward"] > before + 0.15, (before, figures)
    assert {"reward", "length", "entropy", "no_signal", "cut", "rollout_seconds", "score_seconds",
            "update_seconds"} <= log[0].keys()
    assert log[-1]["stage"] == "rl"
    assert (tmp_path / "run" / "loss.png").exists() == (method == "grpo")


def test_samples_are_shown_the_best_and_the_worst(folder, tmp_path, capsys):
    s, data, model = toy_run(folder, tmp_path / "run", steps=1, sample_every=1)
    trained(s, data, model)
    said = capsys.readouterr().out
    assert "--- best: " in said and "--- worst: " in said and "Say " in said


def test_adapters_learn_too(folder, tmp_path):
    s, data, model = toy_run(folder, tmp_path / "run", lora=4, lr=0.1, steps=2)
    before = {name: model.read(name).copy() for name, _, _ in model.tensors
              if name not in model.frozen}
    trained(s, data, model)
    assert any(not np.array_equal(model.read(name), old) for name, old in before.items())
    assert (tmp_path / "run" / "adapter_config.json").exists()


# ---- Stopping and going on -----------------------------------------------------------------------

@pytest.mark.parametrize("settings", [
    {}, {"epochs": 2, "minibatches": 2, "prompts": 4}, {"method": "ppo", "epochs": 2},
    {"kl": 0.1, "lora": 4}], ids=str)
@pytest.mark.parametrize("at", [2, 3])
def test_a_run_that_was_stopped_goes_on_bit_for_bit(folder, tmp_path, settings, at):
    s, data, model = toy_run(folder, tmp_path / "whole", steps=5, eval_every=5, checkpoint_every=5,
                             **settings)
    trained(s, data, model)
    s = replace(s, out=str(tmp_path / "parts"))
    _, data, model = toy_run(folder, tmp_path / "parts", steps=5, **settings)
    assert trained(s, data, model, stop=lambda step: step == at) is None
    _, data, model = toy_run(folder, tmp_path / "parts", steps=5, **settings)
    trained(s, data, model, read_state(tmp_path / "parts"))
    assert same_weights(tmp_path / "whole", tmp_path / "parts")
    whole, parts = (read_state(tmp_path / name)[0] for name in ("whole", "parts"))
    assert {**whole, "time": 0} == {**parts, "time": 0}


def test_an_interruption_amid_rollouts_loses_nothing(folder, tmp_path, monkeypatch):
    s, data, model = toy_run(folder, tmp_path / "run", steps=6, checkpoint_every=1, eval_every=6)
    judge, calls = tasks.score, itertools.count()

    def interrupted(question, said):
        if next(calls) == 30:
            raise KeyboardInterrupt
        return judge(question, said)
    monkeypatch.setattr(tasks, "score", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained(s, data, model)
    state = read_state(tmp_path / "run")
    assert 1 <= state[0]["step"] < 6
    monkeypatch.setattr(tasks, "score", judge)
    _, data, model = toy_run(folder, tmp_path / "run", steps=6)
    trained(s, data, model, state)
    s, data, model = toy_run(folder, tmp_path / "whole", steps=6, checkpoint_every=1, eval_every=6)
    trained(s, data, model)
    assert same_weights(tmp_path / "whole", tmp_path / "run")


@needs_mpirun
def test_ranks_draw_the_answers_that_one_rank_draws(folder, tmp_path):
    """And learn the same from them, to rounding."""
    judge = assistant(tmp_path / "judge", scalar=1)
    flags = ["rl", "--model", folder, "--data", "sums:1", "--reward", judge,
             "--steps", 2, "--prompts", 3, "--group", 4,
             "--max-tokens", 6, "--context", 64, "--held-out", 4, "--dtype", "f32",
             "--kl", 0.1, "--sample-every", 0, "--lr", 1e-3, "--method", "ppo"]
    states = {}
    for ranks in (1, 2):
        out = tmp_path / str(ranks)
        command = [*map(str, training(*flags, "--out", out))]
        done = run_command(mpirun(2, *command) if ranks == 2 else command, **ROOT_MAY)
        assert done.returncode == 0, done.stderr
        states[ranks] = read_state(out)[2], log_of(out)
    one, two = states[1], states[2]
    same = ("reward", "length", "entropy", "no_signal", "cut", "kl")
    assert [one[1][0][name] for name in same] == [two[1][0][name] for name in same]
    for name, values in one[0].items():
        np.testing.assert_allclose(two[0][name], values, atol=2e-3, err_msg=name)


# ---- Wrong input ---------------------------------------------------------------------------------

@pytest.mark.parametrize("settings, sentence", [
    ({"minibatches": 17}, "--minibatches 17 need as many --prompts, not 16"),
    ({"max_tokens": 512}, "--max-tokens 512 leave nothing of --context 512")])
def test_settings_that_do_not_go_together_are_refused(settings, sentence):
    with pytest.raises(ChatError, match=sentence):
        train.check(Rl(**settings))


def test_a_reward_that_is_no_number_ends_the_run(folder, tmp_path, monkeypatch):
    s, data, model = toy_run(folder, tmp_path / "run")
    monkeypatch.setattr(tasks, "score", lambda *_: float("nan"))
    with pytest.raises(ChatError, match="reward of an answer to 'Say [0-9]+.' is nan: no gradient"):
        trained(s, data, model)


@pytest.mark.parametrize("cut", [False, True])
def test_where_nothing_differs_a_run_ends_saved_and_says_so(folder, tmp_path, monkeypatch, cut):
    s, data, model = toy_run(folder, tmp_path / "run", steps=50, max_tokens=1 + 5 * (not cut))
    monkeypatch.setattr(tasks, "score", lambda *_: 0.5)
    if cut:                                      # nothing ends an answer
        data.tokenizer.ends.clear()
    else:
        monkeypatch.setattr(rl, "roll_out", lambda *args, real=rl.roll_out: evened(real(*args)))
    before = model.weights()
    with pytest.raises(ChatError, match=f"ended at step {rl.QUIET}, which is saved: in {rl.QUIET} "
                       f"batches in a row all answers .*{'100%' if cut else '0%'} cut off at"):
        trained(s, data, model)
    assert read_state(tmp_path / "run")[0]["step"] == rl.QUIET
    assert all(np.array_equal(model.read(name), old) for name, old in before.items())


def evened(drawn):
    """The rollouts, all of them whole and worth the same."""
    found, seconds = drawn
    return found._replace(cut=np.zeros_like(found.cut),
                          rewards=np.full_like(found.rewards, 0.5)), seconds


def test_an_answer_that_was_cut_off_or_is_no_turn_is_worth_nothing(folder, tmp_path):
    s, data, model = toy_run(folder, tmp_path / "run", max_tokens=2, group=16)
    found, _ = rl.roll_out(run_of(s, data, model), [data.problem(0)], 16, 1)
    assert found.cut.any() and not found.rewards[found.cut].any()
    start = data.tokenizer.special("<|im_start|>")
    assert data.said([97, start, 98]) == "" and data.said([97, 98]) == "ab"


def test_an_answer_without_a_number_is_worth_nothing(monkeypatch):
    monkeypatch.undo()
    assert tasks.score(tasks.draw("sums", tasks.dice("x")), "I would rather not.") == 0


def test_of_a_thought_only_what_follows_counts(folder, tmp_path):
    s, data, model = toy_run(folder, tmp_path / "run", think=True)
    end = data.tokenizer.special("</think>")
    assert data.prompt(data.problem(0))[-1] == data.tokenizer.special("<think>")
    assert data.said([97, end, 98]) == "b" and data.said([97, 98]) == ""


def test_a_reward_model_judges_the_answers(folder, tmp_path):
    judge = assistant(tmp_path / "judge", scalar=1)
    s, data, model = toy_run(folder, tmp_path / "run", reward=str(judge), steps=2)
    run = run_of(s, data, model)
    found, _ = rl.roll_out(run, [data.problem(0)], 4, 1)
    for i in range(4):
        value = data.judge.forward(found.tokens[i:i + 1, :found.ends[i]])[0, -1]
        assert found.rewards[i] == pytest.approx(value, abs=1e-5)
    trained(s, data, model)
    log = log_of(tmp_path / "run")
    assert log[1]["kl"] > 0
    assert 0 <= log[-1]["held_true"] <= 1, "what the task itself says of the held-out answers"
    (judge / "model.safetensors").write_bytes(
        (assistant(tmp_path / "other", seed=1, scalar=1) / "model.safetensors").read_bytes())
    _, data, model = toy_run(folder, tmp_path / "run", reward=str(judge), steps=2)
    with pytest.raises(ChatError, match="is not what the run was trained on: the reward model"):
        trained(s, data, model, read_state(tmp_path / "run"))


def test_a_reward_model_whose_values_are_no_numbers_or_all_alike_ends_the_run(folder, tmp_path):
    judge = assistant(tmp_path / "judge", scalar=1)
    for value, sentence in (np.nan, "is nan: no gradient can be made of it; is --reward .* whole"
                            ), (0, "all answers to each problem were worth the same"):
        s, data, model = toy_run(folder, tmp_path / str(value), reward=str(judge), steps=50,
                                 prompts=1, group=2)
        for name, shape, _ in data.judge.tensors:
            data.judge.write(name, np.full(shape, value, np.float32))
        with pytest.raises(ChatError, match=sentence):
            trained(s, data, model)


def test_a_reward_model_of_another_vocabulary_or_none_is_refused(folder, tmp_path):
    with pytest.raises(ChatError, match="is no reward model, but one that writes"):
        toy_run(folder, tmp_path / "run", reward=str(folder))
    other = bpe.Tokenizer.from_merges([(65 + i % 26, 97 + i // 26) for i in range(31)])
    judge = assistant(tmp_path / "judge", other, scalar=1)
    with pytest.raises(ChatError, match="has another vocabulary than .*: train one that begins"):
        toy_run(folder, tmp_path / "run", reward=str(judge))


def test_the_first_model_must_stay_what_it_was(folder, tmp_path):
    s, data, model = toy_run(folder, tmp_path / "run", kl=0.1, steps=2)
    trained(s, data, model)
    shutil.copy(assistant(tmp_path / "other", seed=1) / "model.safetensors",
                tmp_path / "run" / "reference")
    _, data, model = toy_run(folder, tmp_path / "run", kl=0.1, steps=2)
    with pytest.raises(ChatError, match="reference has changed since the run began"):
        trained(s, data, model, read_state(tmp_path / "run"))


def test_files_of_exams_are_practised_and_a_twentieth_is_held_out(folder, tmp_path, monkeypatch):
    file = tmp_path / "gsm8k.jsonl"
    file.write_text("".join(json.dumps({"question": f"{k}?", "answer": f"Well. #### {k}"}) + "\n"
                            for k in range(40)) + json.dumps(
        {"question": "long " * 99, "answer": "#### 1"}) + "\n")
    s, data, _ = toy_run(folder, tmp_path / "run", data=[str(file)])
    assert str(data) == f"38 problems of {file}; 1 have no room"
    trained_on, held = ({data.problem(i, held).prompt for i in range(40)} for held in (0, 1))
    assert len(trained_on) == 38 and len(held) == 2 and not trained_on & held
    _, data, _ = toy_run(folder, tmp_path / "run", data=["toy", str(file)])
    assert {data.problem(i).exam for i in range(40)} == {"toy", "gsm8k"}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy").mkdir()                   # a task comes before what has its name
    assert toy_run(folder, tmp_path / "run")[1].tasks == ["toy"]
    monkeypatch.chdir(folder)
    with pytest.raises(ChatError, match="there is no task 'gsm8k.jsonl', and no such file"):
        toy_run(folder, tmp_path / "run", data=["gsm8k.jsonl"])
    file.write_text(json.dumps({"question": "1?", "answer": "#### 1"}) + "\n")
    with pytest.raises(ChatError, match="20 of a file are the least"):
        toy_run(folder, tmp_path / "run", data=[str(file)])


def test_the_memory_that_is_announced_counts_the_models_beside_it():
    """A critic learns as the model does; of a reference nothing is updated."""
    config = Config(vocab=320, context=64, layers=2, channels=64, heads=1, kv_heads=1, head_dim=64,
                    hidden=192)
    job = Job(Library.load("cpu", "f32"))

    def parts(**how):
        s = Rl(**how, batch=2, batch_tokens=128, context=64, device="cpu", dtype="f32")
        return launch.expect_memory(s, config, job, train.models_beside(s, config))[1]

    alone, critic, reference = parts(), parts(method="ppo"), parts(kl=0.1)
    assert 1.7 < critic["moments"] / alone["moments"] < 2.1      # without the head's rows
    assert reference["moments"] == alone["moments"]
    assert reference["weights"] == 2 * alone["weights"] < 2.1 * critic["weights"]
    assert alone["cache"] == 256 * 64 * 2 * 2 * 64 * 4           # slots, places, layers, k and v
