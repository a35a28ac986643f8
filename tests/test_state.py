"""What a run leaves on the disk: killed, full, flipped, cut, foreign; what it is resumed with."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

import train
from csrc import runs
from csrc.bind import ChatError, Job, Model
from data.tokens import bpe, learn, shards
from test_train import (ROOT, SMALL, book, command, elsewhere, losses,  # noqa: F401 (fixtures)
                        make, run_of, same_weights, shard_file)

KILLS = int(os.environ.get("CHAT_KILLS", 3))     # a night: 200


PLOT = train.Folder.plot


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Runs in this process leave pytest its signals, and draw nothing."""
    monkeypatch.setattr(train.signal, "signal", lambda *_: None)
    monkeypatch.setattr(train.Folder, "plot", lambda *_: None)


def trained(data, out="run", **settings):
    """The folder of a small run that is over, and has let go of it."""
    made = make(data, out, **settings)
    train.train(*made)
    made[1].lock.close()
    return made[1].path


@pytest.fixture(scope="module")
def original(book, tmp_path_factory):  # noqa: F811
    """A folder with one run of 8 steps, run/, and the shards that it was trained on, sh/."""
    folder = tmp_path_factory.mktemp("original")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setattr(train.Folder, "plot", lambda *_: None)
        shards.prepare(str(book), vocab_size=320).rename("sh")
        trained("sh", steps=8, vocab_size=None)
    return folder


@pytest.fixture
def run(original, elsewhere):  # noqa: F811
    """That run, copied with its shards into the folder of this test."""
    shutil.copytree(original, ".", dirs_exist_ok=True)
    return Path("run")


def resumed(out="run", stage=train.Pretrain, **free):
    """What is wrong with resuming a run, as train.py says it; "" if it went on to its end."""
    free = {"out": str(out), "resume": True, "threads": 1, **free}
    try:
        return train.start(stage(**free), {*free}) or ""
    except (ChatError, OSError) as error:
        return str(error)


# ---- Killed, full ------------------------------------------------------------------------------


def wait_for_step(folder, process, step):
    log = Path(folder) / "log.jsonl"
    while process.poll() is None and (not log.exists() or log.read_text().count("\n") < step):
        time.sleep(0.005)


def test_a_run_killed_at_random_moments_ends_as_the_uninterrupted_one(book):
    steps = max(24, 3 * KILLS)
    flags = [*SMALL, "--steps", steps, "--checkpoint-every", "1", "--eval-every", "60"]
    assert command("--data", book, "--out", "whole", *flags).returncode == 0
    rng = random.Random(1)
    arguments = [sys.executable, str(ROOT / "train.py"), "--out", "killed"]
    for kill in range(KILLS):
        resume = ["--resume"] if Path("killed", runs.STATE).exists() else ["--data", book, *flags]
        if resume != ["--resume"]:
            shutil.rmtree("killed", ignore_errors=True)
        process = subprocess.Popen([*arguments, *map(str, resume)], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)
        wait_for_step("killed", process, 1 + kill * (steps - 2) // KILLS)
        time.sleep(rng.random() * 0.03)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    last = command("--resume", "--out", "killed")
    assert last.returncode == 0, last.stderr
    assert losses("killed") == losses("whole")
    assert same_weights("killed", "whole")


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143),
                                            (signal.SIGUSR1, 0)])
def test_a_signal_saves_says_how_to_go_on_and_leaves_a_status(book, number, status):
    """One that tells a script whether it may go on: SIGUSR1 asks for the model as it is."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), "--data", book, "--out", "run", *SMALL,
         "--steps", "100000", "--checkpoint-every", "100000", "--eval-every", "100000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for_step("run", process, 3)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status and "--resume --out run" in out
    assert err == "\nstopping after this step (again: at once)\n"
    progress = train.read_state(Path("run"))[0]
    assert progress["step"] == len(losses("run"))


def test_a_full_disk_costs_the_checkpoint_but_not_the_run(book, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", disk],
                      capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        run = disk / "run"
        assert command("--data", book, "--out", run, *SMALL).returncode == 0
        before = train.read_state(run)
        (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free))
        more = "--resume", "--out", run, "--steps", "64", "--checkpoint-every", "64"
        result = command(*more)
        assert result.returncode == 1 and "Traceback" not in result.stderr
        assert "log not written: [Errno 28] No space left on device" in result.stderr
        assert "step 64 is not saved" in result.stderr
        assert not (run / "log.jsonl").read_text().endswith("\n"), "no line was cut"
        after = train.read_state(run)
        assert after[0]["step"] == before[0]["step"] == 12
        Model.load(run, "cpu", "f32")
        (disk / "filler").unlink()
        result = command(*more)
        assert result.returncode == 0, result.stderr
        assert len(losses(run)) == 64
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_line_that_a_full_disk_cuts_spoils_neither_the_log_nor_the_run(book, capsys, monkeypatch):
    monkeypatch.setattr(train.Folder, "plot", PLOT)
    s, folder, data, model = make(book, "run")
    write = folder.write_log

    def full(entry):
        """Room for ten bytes of step 5's line, as RLIMIT_FSIZE grants it."""
        have, limits = folder.log.stat().st_size if folder.log.exists() else 0, \
            resource.getrlimit(resource.RLIMIT_FSIZE)
        if entry["step"] == 5:
            resource.setrlimit(resource.RLIMIT_FSIZE, (have + 10, limits[1]))
        try:
            write(entry)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    folder.write_log = full
    assert train.train(s, folder, data, model)
    assert "log not written: [Errno 27]" in capsys.readouterr().err
    assert '\n{"step": 5\n{"step": 6,' in folder.log.read_text()
    assert [entry["step"] for entry in folder.entries()] == [1, 2, 3, 4, *range(6, 13)]
    assert (folder.path / "loss.png").exists()
    folder.rewind_log(7)
    assert [json.loads(line)["step"] for line in folder.log.open()] == [1, 2, 3, 4, 6, 7]


@pytest.mark.parametrize("junk", [
    b"\xff\xfe\n", b"{}\n", b"[1]\n", b"7\n", b'{"step": "x"}\n', b'{"step": null}\n', b"\0" * 50,
    b"[" * 100000 + b"\n", b'{"step": 2}\n', b'{"step": 3, "loss": "low"}\n', b""])
def test_whatever_stands_in_the_log_a_run_goes_on(run, junk, monkeypatch):
    monkeypatch.setattr(train.Folder, "plot", PLOT)
    log = run / "log.jsonl"
    log.write_bytes(junk + log.read_bytes() + junk)
    assert resumed(steps=10) == "" and train.read_state(run)[0]["step"] == 10
    entries = [json.loads(line) for line in log.read_bytes().splitlines()]
    assert [entry["step"] for entry in entries if "val_loss" in entry][-2:] == [8, 10]


@pytest.mark.parametrize("broken", ["picture", "sample", "stdout"])
def test_what_only_shows_how_a_run_goes_never_ends_it(book, broken, monkeypatch, capsys):
    def fail(*_, **__):
        raise {"picture": RuntimeError, "sample": KeyError, "stdout": OSError}[broken]("no")
    monkeypatch.setattr(train.Folder, "plot", PLOT)
    s, folder, data, model = make(book, "a$\\foo$", steps=4, sample_every=2)
    with monkeypatch.context() as patched:
        if broken == "picture":
            patched.setattr(runs, "picture", fail)
        elif broken == "sample":
            data.question = fail
        else:
            patched.setattr(sys.stdout, "flush", fail)
        assert train.train(s, folder, data, model)
    assert train.read_state(folder.path)[0]["step"] == 4
    assert (folder.path / "loss.png").exists() == (broken != "picture")
    assert ("loss.png not written: no" in capsys.readouterr().err) == (broken == "picture")


def test_a_run_of_whose_output_nothing_can_be_written_is_saved_all_the_same(book):
    with open("/dev/full", "w") as full:
        subprocess.run([sys.executable, str(ROOT / "train.py"), "--data", book, "--out", "run",
                        *SMALL], stdout=full, timeout=120)
    assert train.read_state(Path("run"))[0]["step"] == 12


# ---- Not finite --------------------------------------------------------------------------------


def finite(file):
    with runs.safe_open(file, "np") as tensors:
        return all(np.isfinite(tensors.get_tensor(name)).all() for name in tensors.keys())


@pytest.mark.parametrize("what", ["weight", "moment1", "moment2"])
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_the_checkpoint_before_ten_bad_steps_is_intact_as_is_said(book, what, value, monkeypatch):
    """A bit flips in the memory of a run that was fine."""
    s, folder, data, model = make(book, "run", steps=40, eval_every=2, checkpoint_every=2)
    update, taken = Model.update, []

    def flip(self, *args):
        update(self, *args)
        taken.append(1)
        if len(taken) == 6:
            name = "model.norm.weight"
            self.write(name, np.where(np.arange(64) == 3, value, self.read(name, what)), what)
    with monkeypatch.context() as patched, \
            pytest.raises(ChatError, match="10 steps in a row .*the last checkpoint is intact"):
        patched.setattr(Model, "update", flip)
        train.train(s, folder, data, model)
    for name in ("model.safetensors", runs.STATE, runs.PREVIOUS, "best/model.safetensors"):
        assert finite(folder.path / name), name
    folder.lock.close()
    assert train.read_state(folder.path)[0]["step"] == 4
    assert resumed(steps=8) == "" and train.read_state(folder.path)[0]["step"] == 8


def test_where_there_is_no_checkpoint_none_is_promised(book, monkeypatch):
    s, folder, data, model = make(book, "run", steps=40, eval_every=40, checkpoint_every=40)
    monkeypatch.setattr(Model, "grad_norm", lambda self: float("nan"))
    with pytest.raises(ChatError, match="10 steps in a row [^:]*: start anew with a lower --lr"):
        train.train(s, folder, data, model)
    assert not [*folder.path.rglob("*.safetensors")]


def test_weights_that_are_no_numbers_are_not_written_over_the_last_checkpoint(book, capsys):
    s, folder, data, model = make(book, "run", steps=4)
    train.train(s, folder, data, model)
    files = [folder.path / name for name in ("model.safetensors", runs.STATE)]
    before = [file.read_bytes() for file in files]
    model.write("model.norm.weight", np.full(64, np.inf))
    run = run_of(s, data, model)
    run.folder = folder
    run.progress["baselines"] = {}
    assert train.checkpoint(run) is None
    assert "weight.model.norm.weight is not finite" in capsys.readouterr().err
    assert [file.read_bytes() for file in files] == before


def test_resuming_leaves_no_second_copy_of_the_weights_in_memory(book):
    s, folder, data, model = make(book, "run", steps=4)
    train.train(s, folder, data, model)
    state = train.read_state(folder.path)
    assert len(state[2]) == 3 * len(model.tensors) - len(model.by_muon)
    train.begin(s, folder, data, model, state, Job(model.core))
    assert state[2] == {}


# ---- Flipped, cut, foreign ----------------------------------------------------------------------


def flips_and_cuts(file, count, seed=0):
    """Put a file through one flipped bit or one cut after the other, `count` of each."""
    rng, whole = random.Random(seed), file.read_bytes()
    for i in range(2 * count):
        at = rng.randrange(len(whole))
        damaged = whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1:]
        file.write_bytes(damaged if i < count else whole[:at])
        yield f"{'flip' if i < count else 'cut'} at {at} of {len(whole)}"
    file.write_bytes(whole)


def test_every_flipped_bit_and_every_cut_of_a_state_is_found(run, capsys):
    state = run / runs.STATE
    header = 8 + int.from_bytes(state.read_bytes()[:8], "little")
    for what in flips_and_cuts(state, 20):
        assert train.read_state(run)[0]["step"] == 4, what
    assert "using the checkpoint before it" in capsys.readouterr().err
    (run / runs.PREVIOUS).unlink()
    whole = state.read_bytes()
    for bit in random.Random(1).sample(range(8 * header), 300):      # what says what they mean
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        state.write_bytes(damaged)
        with pytest.raises(ChatError, match="nothing to resume"):
            train.read_state(run)
            pytest.fail(f"bit {bit} of {8 * header}")


@pytest.mark.parametrize("name", ["tokenizer.json", "chat_template.jinja", "train-00000.bin",
                                  "val-00000.bin"])
def test_every_flipped_bit_and_every_cut_of_what_a_run_reads_is_found(run, name):
    for what in flips_and_cuts(Path("sh", name), 8):
        said = resumed()
        assert name in said or "tokenizer" in said, f"{what}: {said}"
    assert resumed() == ""


def test_every_flipped_bit_of_conversations_is_found_or_changes_no_token(run):
    run.rename("base")
    file = Path("chats.jsonl")
    file.write_text("".join(json.dumps({"messages": [
        {"role": "user", "content": f"Say {word}."}, {"role": "assistant", "content": f"{word}!"}]})
        + "\n" for word in "river town miller bright morning".split() * 4))
    s = train.Sft(data=[str(file)], model="base", context=64, batch=4, batch_tokens=256, steps=2,
                  mix=0.0, device="cpu", dtype="f32", sample_every=0, out="run", threads=1)
    train.start(s, set())
    rows = train.Conversations(s).loader.rows
    for what in flips_and_cuts(file, 8):
        said = resumed(stage=train.Sft)
        assert "chats.jsonl" in said or all(map(np.array_equal, train.Conversations(s).loader.rows,
                                                rows)), f"{what}: {said}"


def metadata(path, without=(), **changes):
    """Replace metadata of a state, with checksums that agree, but `without` some."""
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    head = json.loads(raw[8:8 + size])
    head["__metadata__"] |= changes
    sums = json.loads(head["__metadata__"]["crc32"])
    sums |= {key: zlib.crc32(text.encode()) for key, text in changes.items()}
    head["__metadata__"]["crc32"] = json.dumps({k: sums[k] for k in sums if k not in without})
    text = json.dumps(head).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + size:])


MALFORMED = [
    ("progress", []), ("progress", {}), ("progress", None), ("progress", "[" * 100000),
    ("progress", {"index": None}), ("progress", {"step": -1}), ("progress", {"step": 2.5}),
    ("progress", {"epoch": "0"}), ("progress", {"recent": 3}), ("progress", {"recent": ["x"]}),
    ("progress", {"best": []}), ("progress", {"time": None}), ("progress", {"baselines": [1]}),
    ("progress", {"index": 10 ** 9}), ("progress", {"identity": [1]}),
    ("settings", []), ("settings", "nothing"), ("settings", "{"), ("settings", {"stage": "zz"}),
    ("settings", {"stage": []}), ("settings", {"steps": "4"}), ("settings", {"context": None}),
    ("settings", {"data": 7}), ("settings", {"lr": True}), ("settings", {"depth": 2}),
    ("settings", {"batch": -1}), ("settings", {"device": "abacus"}), ("settings", {"dtype": 3}),
    ("settings", {"clip": float("nan")}),
]


@pytest.mark.parametrize("key, change", MALFORMED, ids=lambda value: str(value)[:40])
def test_a_state_that_says_what_cannot_be_is_one_sentence(run, key, change):
    (run / runs.PREVIOUS).unlink()
    values = dict(zip(("progress", "settings"), train.read_state(run)))
    text = change if type(change) is str else json.dumps(
        {**values[key], **change} if type(change) is dict and change else change)
    metadata(run / runs.STATE, **{key: text})
    said = resumed()
    assert said and "\n" not in said and len(said) < 400, said


def test_a_state_of_an_older_version_that_has_fewer_checksums_is_resumed(run):
    progress, settings, _ = train.read_state(run)
    del progress["identity"]
    progress["data"] = {"train-00000.bin": [1, 2]}
    metadata(run / runs.STATE, progress=json.dumps(progress), settings=json.dumps(settings),
             without=("progress", "settings"))
    (run / runs.PREVIOUS).unlink()
    assert resumed(steps=9) == ""


def test_a_field_that_config_gains_later_changes_no_run(run):
    """What is as it is by default is no part of what a run is."""
    shape = train.read_state(run)[0]["identity"]["config.json"]
    assert "'channels': " in shape and "rope_scaling" not in shape and "experts" not in shape


# ---- Resumed with something else -----------------------------------------------------------------


def other_tokenizer(folder):
    """Put another tokenizer with as many tokens into a folder."""
    size = bpe.Tokenizer.load(folder).vocab_size
    bpe.learn(learn.count_chunks(["quite another text, with other pairs of letters " * 9]),
              size).save(folder)
    assert bpe.Tokenizer.load(folder).vocab_size == size


@pytest.mark.parametrize("name, at", [("train", -1), ("train", 0), ("train", 650_001), ("val", -1)])
def test_another_token_anywhere_in_a_large_shard_is_refused_by_name(name, at):
    folder = Path("sh")
    folder.mkdir()
    ids = np.random.default_rng(1).integers(0, 300, 1_300_000)
    for part in ("train", "val"):
        shard_file(folder / f"{part}.bin", ids if part == name else ids[:3000])
    trained("sh", vocab_size=300, steps=2)
    shard = folder / f"{name}.bin"
    raw = bytearray(shard.read_bytes())
    raw[2 * at if at < 0 else 1024 + 2 * at] ^= 1        # a low byte
    shard.write_bytes(raw)
    assert f"sh is not what the run was trained on: {name}.bin changed" == resumed()


def test_another_tokenizer_is_refused_by_name(run):
    other_tokenizer("sh")
    assert resumed() == "sh is not what the run was trained on: the tokenizer changed"


@pytest.mark.parametrize("change, what", [
    (lambda base: other_tokenizer(base), "tokenizer"),
    (lambda base: edit(base / "config.json", rms_norm_eps=1e-3), "config.json"),
    (lambda base: [shutil.rmtree(base), trained("sh", "base", channels=128, steps=1)],
     "config.json")])
def test_another_model_folder_is_refused_by_name(run, change, what):
    run.rename("base")
    train.start(train.Pretrain(data=["sh"], model="base", out="run", steps=2, context=16, batch=4,
                               sample_every=0, dtype="f32", threads=1), set())
    assert resumed() == ""
    change(Path("base"))
    assert resumed() == ("sh was made with another tokenizer than base has" if what == "tokenizer"
                         else f"base is not what the run was trained on: {what} changed")


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


# ---- A folder from elsewhere ---------------------------------------------------------------------


@pytest.mark.parametrize("name, refused", [
    (".lock", False), (runs.STATE + ".new", False), (f".{runs.STATE}.new.new", False),
    (".model.safetensors.new", False), ("loss.png", False), ("log.jsonl", True), ("best", True)])
def test_no_link_in_a_run_leads_what_is_written_elsewhere(run, name, refused):
    precious = Path("precious")
    if name == "best":
        (run / name).rename(precious)
    else:
        precious.write_text("precious")
    before = {path: path.read_bytes() for path in (precious, *precious.rglob("*"))
              if path.is_file()}
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(precious.resolve())
    said = resumed(steps=12)
    assert ("is a symbolic link" in said and name in said) if refused else said == ""
    assert before == {path: path.read_bytes() for path in before}


def test_a_run_takes_a_lock_that_no_file_in_it_can_lead_astray(run):
    held = train.Folder(run)
    assert "another process is at work there" in resumed()
    held.lock.close()
    assert resumed() == "" and not (run / ".lock").exists()
