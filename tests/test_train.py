"""train.py: the schedule, the guard, checkpoints, resuming, and everything a user can
get wrong. Runs here are tiny: one layer, windows of 16 tokens."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import programs
import train
from csrc import launch, runs
from csrc.bind import ChatError, Job, Library, Model
from data.tokens import bpe, shards

ROOT = Path(__file__).resolve().parents[1]
SMALL = ["--depth", "1", "--context", "16", "--batch", "4", "--steps", "12", "--vocab-size", "320",
         "--eval-every", "4", "--checkpoint-every", "4", "--sample-every", "0", "--dtype", "f32"]


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A text file of 30 kB with some regularity to learn."""
    rng = random.Random(0)
    words = "the a river town old miller walked to sang under bright morning and slowly".split()
    lines = [" ".join(rng.choice(words) for _ in range(8)) + "." for _ in range(600)]
    path = tmp_path_factory.mktemp("book") / "book.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Every test has a folder of its own for runs/ and build/."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def command(*args):
    return programs.run("train.py", *args)


def make(book, out, **settings):
    """(settings, folder, data, model) of a small run in this process."""
    values = dict(data=[str(book)], depth=1, context=16, batch=4, steps=12, vocab_size=320,
                  device="cpu", dtype="f32", eval_every=4, checkpoint_every=4, sample_every=0)
    s = train.Pretrain(**{**values, **settings})
    data = train.Data(s)
    config = train.architecture(s, data.vocab)
    s = train.with_defaults(s, data, config)
    flags = launch.model_flags(s, Job(Library.load("cpu", s.dtype)))
    return s, train.Folder(Path(out)), data, Model.create(config, "cpu", s.dtype, s.seed, flags)


def run_of(s, data, model):
    """What the functions of a stage are given."""
    return train.Run(s, data, model, Job(model.core), {"step": 0})


def losses(folder):
    return [json.loads(line)["loss"]
            for line in (Path(folder) / "log.jsonl").read_text().splitlines()]


def same_weights(a, b):
    return train.read_state(Path(a))[2].keys() == train.read_state(Path(b))[2].keys() and all(
        np.array_equal(x, train.read_state(Path(b))[2][name])
        for name, x in train.read_state(Path(a))[2].items())


# ---- Schedule and guard ------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
def test_the_rate_rises_stays_and_falls_to_its_last_value(schedule):
    s = train.Pretrain(steps=1000, lr=1e-3, schedule=schedule, warmup=0.1, decay=0.3, final_lr=0.1)
    rates = [train.learning_rate(s, step) for step in range(1000)]
    assert rates[0] == pytest.approx(1e-5)
    assert rates[99] == max(rates) == pytest.approx(1e-3)
    assert all(a < b for a, b in zip(rates[:99], rates[1:100]))
    assert all(a >= b for a, b in zip(rates[100:], rates[101:]))
    assert rates[699] == pytest.approx(1e-3) if schedule == "wsd" else rates[699] < 6e-4
    assert 1e-4 < rates[-1] < 1.1e-4


def test_only_what_is_no_number_or_far_outside_is_skipped():
    recent = [1.0] * 60
    assert train.why_skip(2.0, 9.0, recent) is None
    assert "over 10 times" in train.why_skip(2.0, 11.0, recent)
    assert train.why_skip(2.0, 11.0, recent[:20]) is None
    assert train.why_skip(float("nan"), 1.0, []) and train.why_skip(1.0, float("inf"), [])


def test_a_nan_is_skipped_and_never_written(book, capsys, monkeypatch):
    s, folder, data, model = make(book, "run")
    forward, calls = Model.forward, []

    def broken(self, *args, **kwargs):
        out = forward(self, *args, **kwargs)
        calls.append(1)
        if len(calls) == 6:
            self.write("model.norm.weight", np.full(64, np.nan), "gradient")
        return out

    monkeypatch.setattr(Model, "forward", broken)
    train.train(s, folder, data, model)
    assert re.search(r"step \d+ skipped: loss .*, gradient norm nan", capsys.readouterr().err)
    assert all(np.isfinite(x).all() for x in train.read_state(folder.path)[2].values())
    assert train.read_state(folder.path)[0]["updates"] == s.steps - 1


def test_ten_bad_steps_in_a_row_end_the_run(book, monkeypatch):
    s, folder, data, model = make(book, "run")
    monkeypatch.setattr(Model, "grad_norm", lambda self: float("nan"))
    with pytest.raises(ChatError, match="10 steps in a row"):
        train.train(s, folder, data, model)


# ---- The loop ----------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_losses_are_those_of_the_first_time(book, optimizer):
    """Golden: the same data, seed and precision give this curve on every machine."""
    s, folder, data, model = make(book, "run", steps=10, lr=3e-3, optimizer=optimizer,
                                  weight_decay=0.1)
    train.train(s, folder, data, model)
    assert losses("run") == pytest.approx(GOLDEN[optimizer], abs=2e-4)


@pytest.mark.parametrize("dtype, optimizer", [("f32", "adamw"), ("bf16", "adamw"), ("f32", "muon")])
def test_half_a_run_resumed_is_the_whole_run_bitwise(book, dtype, optimizer):
    try:
        whole = make(book, "whole", dtype=dtype, optimizer=optimizer)
    except ChatError as error:
        pytest.skip(str(error))
    train.train(*whole)
    half = make(book, "half", dtype=dtype, optimizer=optimizer)
    train.train(*half, stop=lambda step: step == 6)
    half[1].lock.close()
    s, folder, data, model = make(book, "fresh", dtype=dtype, optimizer=optimizer)
    model = Model(model.config, "cpu", dtype, model.flags)     # nothing of its random weights
    folder = train.Folder(Path("half"))
    train.train(s, folder, data, model, train.read_state(Path("half")))
    assert losses("half") == losses("whole") and len(losses("half")) == 12
    assert same_weights("half", "whole")


def test_what_is_computed_twice_to_save_memory_changes_no_loss(book):
    for how in "none", "cheap", "blocks":
        assert command("--data", book, "--out", how, *SMALL, "--recompute", how).returncode == 0
    assert losses("none") == losses("cheap") == losses("blocks")


def test_a_run_without_masters_learns_where_there_is_something_to_round(book):
    flags = [*SMALL, "--dtype", "bf16", "--masters", "off"]
    whole = command("--data", book, "--out", "whole", *flags)
    if "bf16" in whole.stderr:
        pytest.skip(whole.stderr)
    assert "masters" not in whole.stdout.split("no model")[0]
    assert losses("whole")[-1] < losses("whole")[0] - 2
    refused = command("--data", book, "--out", "f32", *SMALL, "--masters", "off")
    assert refused.returncode == 1 and "--masters off needs --dtype bf16" in refused.stderr


@pytest.mark.parametrize("passes", [2, 4])
def test_accumulation_gives_the_curve_of_one_large_batch(book, passes):
    runs = []
    for batch in (4, 4 // passes):
        s, folder, data, model = make(book, f"run{batch}", batch=batch, batch_tokens=64)
        train.train(s, folder, data, model)
        runs.append(losses(folder.path))
    assert runs[0] == pytest.approx(runs[1], abs=1e-4)


def test_a_run_leaves_a_plot_a_log_and_its_best_model(book):
    s, folder, data, model = make(book, "run")
    figures = train.train(s, folder, data, model)
    entries = [json.loads(line) for line in folder.log.read_text().splitlines()]
    assert [e["step"] for e in entries] == list(range(1, 13))
    assert {"loss", "lr", "grad_norm", "tok_per_s", "time"} <= entries[0].keys()
    assert entries[-1]["val_loss"] == figures["val_loss"] and entries[-1]["val_bpb"] > 0
    assert (folder.path / "loss.png").read_bytes()[:4] == b"\x89PNG"
    for place in (folder.path, folder.path / "best"):
        loaded = Model.load(place, "cpu", "f32")
        assert loaded.config == model.config
        assert bpe.Tokenizer.load(place).vocab_size == loaded.config.vocab


def test_bfloat16_learns_as_well_as_float32(book, tmp_path):
    """200 steps: the mean loss of the last 20 differs by less than 1 %."""
    try:
        Library.load("cpu", "bf16")
    except ChatError as error:
        pytest.skip(str(error))
    last = {}
    for dtype in "f32", "bf16":
        Library.load("cpu", dtype).call("device_threads", 1)
        train.train(*make(book, dtype, dtype=dtype, steps=200, eval_every=200,
                          checkpoint_every=200))
        last[dtype] = np.mean(losses(dtype)[-20:])
    assert last["f32"] < 3 and abs(last["bf16"] / last["f32"] - 1) < 0.01


@pytest.mark.skipif("SANITIZE" in os.environ or "LD_PRELOAD" in os.environ,
                    reason="AddressSanitizer takes memory of its own")
@pytest.mark.parametrize("size", [["--depth", "2", "--batch", "32"],
                                  ["--depth", "4", "--vocab-size", "1024"]])
def test_the_memory_that_a_run_announces_is_what_it_takes(book, size):
    flags = ["--context", "256", "--steps", "3", "--eval-tokens", "2048", "--out", "run", *size]
    out = subprocess.run([sys.executable, ROOT / "train.py", "--data", book, *flags],
                         capture_output=True, text=True).stdout
    predicted, measured = (float(x.replace(",", ""))
                           for x in re.findall(r"([\d,]+) MB of memory", out))
    assert abs(measured / predicted - 1) < 0.05


def test_bits_per_byte_count_the_raw_bytes(book):
    s, folder, data, model = make(book, "run")
    rows = data.held_out(500).targets
    figures = train.held_out_loss(run_of(s, data, model), 500)
    text = b"".join(data.tokenizer.decode_bytes(row) for row in rows)
    nats = figures["val_loss"] * rows.size
    assert figures["val_bpb"] == pytest.approx(nats / np.log(2) / len(text), rel=1e-6)


def test_the_curve_has_one_size_of_evaluation_and_the_large_one_stands_beside_it(book):
    s, folder, data, model = make(book, "run", eval_tokens=32)
    sizes, held_out = [], data.held_out
    data.held_out = lambda limit: sizes.append(limit) or held_out(limit)
    figures = train.train(s, folder, data, model)
    assert sizes == [32, 32, 32, 32 * train.FINAL]
    last = [json.loads(line) for line in folder.log.read_text().splitlines()][-1]
    assert last["final_val_loss"] == figures["val_loss"] != last["val_loss"]


def test_no_sample_ends_a_run(book, monkeypatch):
    s, folder, data, model = make(book, "run", sample_every=4)
    data.question = lambda number: [{"role": "user", "content": "far too long " * 100}]
    said = []
    monkeypatch.setattr("builtins.print",
                        lambda *words, **_: said.append(" ".join(map(str, words))))
    assert train.train(s, folder, data, model)
    assert train.read_state(folder.path)[0]["step"] == 12
    assert sum(line.startswith("--- no sample: ") for line in said) == 3


# ---- What a run is resumed with, and where ------------------------------------------------------


def test_settings_of_another_version_are_told_and_have_their_defaults(capsys):
    saved = {"data": "book.txt", "steps": 12, "depth": 1, "stage": "pretrain", "sparkle": 3}
    s = launch.resumed(train.Pretrain, train.Pretrain(), set(), saved)
    assert (s.data, s.depth, s.clip, s.optimizer) == (["book.txt"], 1, 1.0, None)
    said = capsys.readouterr().out
    assert "unknown here and left out: sparkle" in said
    assert "new and have their defaults: arch, batch" in said and " clip," in said


def test_auto_says_why_there_is_no_gpu(book, monkeypatch):
    reasons = {("cuda", "bf16"): "there is no libchat_cuda_bf16.so", ("cuda", "f32"): "none at all"}

    def load(device, dtype):
        if (device, dtype) in reasons:
            raise ChatError(reasons[device, dtype])
        return Library.load("cpu", "f32")
    monkeypatch.setattr(launch, "Library", type("Stub", (), {
        "choose": lambda device, dtype:
            ("cpu", "f32") if device == "auto" else load(device, "f32")}))
    assert launch.choose(train.Pretrain(), {}) == ("cpu", "f32", " (no GPU: none at all)")


def test_the_newest_run_is_found_at_any_depth_and_by_stage(monkeypatch):
    for number, (name, stage) in enumerate((("base", "pretrain"), ("speedrun/assistant", "sft"),
                                            ("speedrun/assistant/best", "sft"))):
        folder = Path("runs", name)
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_text(stage)
        os.utime(folder / "model.safetensors", (number, number))
    monkeypatch.setattr(runs, "read_settings", lambda folder: {
        "stage": (folder / "model.safetensors").read_text()})
    assert runs.newest_run() == runs.newest_run("sft") == Path("runs/speedrun/assistant")
    assert runs.newest_run("pretrain") == Path("runs/base")
    with pytest.raises(ChatError, match="no run of dpo in runs/"):
        runs.newest_run("dpo")
    with pytest.raises(ChatError, match="no run to resume"):
        runs.newest_run(file=runs.STATE)


def test_two_runs_cannot_write_to_one_folder(book):
    folder = train.Folder(Path("other"))
    result = command("--resume", "--out", "other")
    assert result.returncode == 1 and "another process is at work there" in result.stderr
    folder.lock.close()
    assert "nothing to resume" in command("--resume", "--out", "other").stderr


# ---- Wrong input -------------------------------------------------------------------------------


def shard_file(path, tokens, vocab=320):
    with shards.Writer(path.parent, path.stem, vocab) as writer:
        writer.write(tokens)
    (path.parent / f"{path.stem}-00000.bin").rename(path)


WRONG = {
    "missing.txt": (None, "missing.txt: no such file"),
    "empty.txt": (b"", "empty.txt: empty"),
    "binary.txt": (b"abc\0def", "byte 3 is zero"),
    "latin.txt": ("caf\xe9 noir".encode("latin-1"), "not UTF-8 at byte 3"),
    "short.txt": (b"too short\n", "use a smaller --context or more text"),
    "bad.jsonl": (b'{"text": "a"}\n{"text": 3}\n', "bad.jsonl:2"),
    "foreign.bin": (b"GIF89a" + bytes(2000), "not a shard"),
    "cut.bin": (np.array([20240520, 1, 900] + [0] * 253, "<i4").tobytes() + bytes(700),
                "900 tokens"),
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_data_is_one_sentence_and_leaves_nothing(name):
    content, message = WRONG[name]
    if content is not None:
        Path(name).write_bytes(content)
    result = command("--data", name, "--out", "run", *SMALL)
    assert result.returncode == 1 and message in result.stderr
    assert "Traceback" not in result.stderr and len(result.stderr.strip().splitlines()) <= 2
    assert not Path("run").exists()


@pytest.mark.parametrize("arguments, message", [
    (["--dept", "2"], "'--dept'; the nearest is '--depth'"),
    (["pretrian"], "the nearest is 'pretrain'"),
    (["--depth", "0"], "--depth is 0"),
    (["--depth", "two"], "invalid int value"),
    (["--arch", "lstm"], "modern, gpt2"),
    (["--warmup", "1.5"], "--warmup is 1.5"),
    (["--weight-decay", "-5"], "--weight-decay is -5.0, but must be in [0, inf)"),
    (["--threads", "-2"], "--threads is -2, but must be in [0, 1024]"),
    (["--sample-every", "-3"], "--sample-every is -3, but must be in [0, inf)"),
    (["--lr", "nan"], "--lr is nan"),
    (["--batch-tokens", "100"], "not a multiple"),
    (["--dtype", "f16"], "auto, f32, bf16"),
    (["--model", "nowhere"], "nowhere"),
    (["--depth", "4000"], "GB"),
    (["--depth", "12", "--batch", "4096"], "use a smaller --batch"),
    (["--resume"], "no run to resume"),
])
def test_a_wrong_flag_is_one_sentence_with_the_value(book, arguments, message):
    result = command(*arguments, "--data", book) if "pretrian" not in arguments else \
        command(*arguments)
    assert result.returncode in (1, 2) and message in result.stderr
    assert "Traceback" not in result.stderr


def test_an_out_folder_that_exists_is_not_touched(book):
    Path("run").mkdir()
    Path("run/precious").write_text("x")
    result = command("--data", book, "--out", "run", *SMALL)
    assert result.returncode == 1 and "--out run exists" in result.stderr
    assert os.listdir("run") == ["precious"]


def test_resuming_with_another_setting_is_refused_and_more_steps_are_declared(book):
    assert command("--data", book, "--out", "run", *SMALL).returncode == 0
    refused = command("--resume", "--out", "run", "--lr", "0.5")
    assert refused.returncode == 1 and "--lr 0.5 differs from the run's" in refused.stderr
    more = command("--resume", "--out", "run", "--steps", "15")
    assert more.returncode == 0 and "resuming with 15 steps, not 12" in more.stdout
    assert len(losses("run")) == 15


def test_resuming_on_text_that_changed_is_refused(book, tmp_path):
    text = tmp_path / "text.txt"
    shutil.copy(book, text)
    assert command("--data", text, "--out", "run", *SMALL).returncode == 0
    text.write_text(text.read_text().replace("miller", "baker"))
    result = command("--resume", "--out", "run", "--steps", "20")
    assert result.returncode == 1
    assert "not what the run was trained on: train-00000.bin changed" in result.stderr


def test_training_goes_on_from_a_model_folder(book):
    assert command("--data", book, "--out", "first", *SMALL).returncode == 0
    result = command("--data", book, "--model", "first", "--out", "second", *SMALL)
    assert result.returncode == 0, result.stderr
    assert losses("second")[0] < losses("first")[0] - 0.1
    short = command("--data", book, "--model", "first", "--out", "third", *SMALL, "--context", "8")
    assert short.returncode == 0, short.stderr
    assert Model.load("third").config.context == 16      # shorter windows do not shorten the model


def test_a_tokenizer_that_is_given_is_the_one_trained_with(book, tmp_path):
    bpe.Tokenizer.from_merges([(101, 32)]).save(tmp_path / "given")
    small = [x for x in SMALL if x not in ("--vocab-size", "320")]
    given = "--tokenizer", tmp_path / "given"
    done = command("--data", book, "--out", "run", *small, *given)
    assert done.returncode == 0, done.stderr
    assert bpe.Tokenizer.load("run").vocab_size == 256 + 1 + 32
    for other in (("--vocab-size", "320"), ("--model", "run")):
        refused = command("--data", book, "--out", "other", *small, *given, *other)
        assert refused.returncode == 1 and "--tokenizer" in refused.stderr


def test_foreign_shards_train_without_a_tokenizer_and_hold_out_their_own_tail(tmp_path):
    with shards.Writer(tmp_path, "fineweb_train", 50257) as writer:
        writer.write(np.random.default_rng(0).integers(0, 500, 4000))
    result = command("--data", next(tmp_path.glob("*.bin")), "--out", "run", *SMALL)
    assert result.returncode == 0, result.stderr
    assert "vocabulary 500" in result.stdout and "bits per byte" not in result.stdout
    last = json.loads((Path("run") / "log.jsonl").read_text().splitlines()[-1])
    assert last["val_loss"] > 0 and "val_bpb" not in last


def test_a_second_run_without_out_gets_a_name_of_its_own(book):
    for name in ("base", "base-2"):
        done = command("--data", book, *SMALL, "--steps", "1")
        assert done.returncode == 0
        assert Library.choose()[0] == "cuda" or " (no GPU: " in done.stdout
        assert (Path("runs") / name / runs.STATE).exists()


GOLDEN = {
    "adamw": [5.9329, 3.9697, 3.1218, 2.5316, 2.3484, 2.2257, 2.0939, 2.0338, 1.9426, 2.0145],
    "muon": [5.9329, 5.4985, 5.0723, 4.5542, 4.1982, 3.9330, 3.6576, 3.5779, 3.4139, 3.4224]}
