"""csrc/store.py: keys and values on disk change no token, and whatever happens to them, a text is
only read again."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from csrc.bind import Model
from csrc.engine import Engine, Sampling, Sequence
from csrc.runs import save_model
from csrc.store import BLOCK, CHECK, Store
from data.chat.api import Embedded
from test_turn import random_model, tokenizer  # noqa: F401  (fixtures)

ROOT = Path(__file__).resolve().parents[1]
LIKE = Sampling(max_tokens=2 * BLOCK, seed=5, temperature=1, top_p=1)
PROMPT = [*b"It was the best of times, it was the worst of times, it was the age of wisdom, it"]
WHOLE = len(PROMPT) // BLOCK * BLOCK             # tokens of it in whole blocks


@pytest.fixture(scope="module")
def place(random_model, tokenizer, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("models") / "small"
    save_model(random_model, tokenizer, folder, "sft")
    return folder


@pytest.fixture
def started(place, tokenizer, tmp_path):  # noqa: F811
    """A function that gives the engine of a server that has just been started."""
    def start(size=1e9, model=place):
        engine = Engine(Model.load(model, "cpu", "f32", 0), tokenizer, keep=True)
        engine.blocks = Store(tmp_path / "kv", size).of(model, engine.model)
        return engine
    return start


def drawn(engine, prompt=PROMPT, settings=LIKE):
    """(tokens, how many of them were read) of a text that an engine continues."""
    s = Sequence(prompt, settings)
    [*engine.generate([s])]
    if engine.blocks:
        engine.blocks.store.writer.submit(int).result()      # all is written
    return s.tokens, engine.tokens["prefill"]


def test_a_text_goes_on_after_a_restart_without_being_read_again(started, tmp_path):
    first = started()
    tokens, read = drawn(first)
    assert read == len(PROMPT) - 1
    assert drawn(started()) == (tokens, len(PROMPT) - 1 - WHOLE)
    plain = started()
    plain.blocks = None
    assert drawn(plain, tokens[:-1] + PROMPT)[0] == drawn(started(), tokens[:-1] + PROMPT)[0]
    again = started()
    assert drawn(again, tokens)[1] < BLOCK       # what was drawn is there, too
    assert drawn(again, tokens[:BLOCK] + PROMPT)[1] <= len(PROMPT)
    assert {path.stat().st_mode & 0o77 for path in (tmp_path / "kv").iterdir()} == {0}


def test_what_is_not_as_it_was_written_is_dropped_and_read_again(started, tmp_path, capfd):
    want, _ = drawn(started())
    files = sorted((tmp_path / "kv").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    for harm in (lambda path: path.write_bytes(path.read_bytes()[:-9]),
                 lambda path: path.write_bytes(b"\1" + path.read_bytes()[1:]),
                 lambda path: shutil.copy(files[1], path),           # another's
                 lambda path: path.write_bytes(b"")):
        harm(files[0])
        assert drawn(started()) == (want, len(PROMPT) - 1)
        line, = capfd.readouterr().err.splitlines()
        assert f"{files[0]} is dropped: it is not what was written" in line
    engine = started()
    files[0].unlink()
    assert drawn(engine)[0] == want and "No such file" in capfd.readouterr().err
    (tmp_path / "kv" / "0.1.new").write_bytes(b"cut off by a kill")
    (tmp_path / "kv" / "notes.txt").write_text("not ours")
    assert drawn(started())[1] == len(PROMPT) - 1 - WHOLE
    assert not (tmp_path / "kv" / "0.1.new").exists() and (tmp_path / "kv" / "notes.txt").exists()


def test_a_model_finds_only_its_own(started, place, tmp_path):
    drawn(started())
    other = tmp_path / "other"
    shutil.copytree(place, other)
    assert drawn(started(model=other))[1] == len(PROMPT) - 1 - WHOLE     # its copy is the same
    os.utime(other / "model.safetensors")
    assert drawn(started(model=other))[1] == len(PROMPT) - 1


def test_another_process_finds_the_same(started, place, tmp_path):
    """Nothing of what tells models apart is a process's own."""
    program = ("import sys; from csrc.bind import Model; from csrc.store import Store; "
               "where = sys.argv[1]; model = Model.load(where, 'cpu', 'f32', 0); "
               "print(Store(sys.argv[2], 1e9).of(where, model).names([1] * 99)[-1])")
    told = subprocess.run([sys.executable, "-c", program, place, tmp_path / "kv"], cwd=ROOT,
                          capture_output=True, text=True, check=True).stdout
    assert told.strip() == started().blocks.names([1] * 99)[-1]


def test_the_least_recently_used_go_first(tmp_path):
    store, data = Store(tmp_path / "kv", 3 * (100 + CHECK)), np.zeros(100, np.uint8)
    names = [f"{i:032x}" for i in range(5)]
    for name in names[:3]:
        store.write(name, data)
    assert np.array_equal(store.read(names[0], 100), data)
    store.write(names[3], data)
    assert [store.has(name) for name in names] == [True, False, True, True, False]
    for i, name in enumerate((names[3], names[0], names[2])):
        os.utime(tmp_path / "kv" / name, (i, i))
    again = Store(tmp_path / "kv", 2 * (100 + CHECK))
    assert [*again.files] == [names[0], names[2]]
    assert sum(path.stat().st_size for path in (tmp_path / "kv").iterdir()) <= again.size


def test_a_disk_that_is_slow_holds_up_nobody(started, monkeypatch):
    engine, release, written = started(), Event(), []
    monkeypatch.setattr("csrc.store.WAITING", 2)
    monkeypatch.setattr(engine.blocks.store, "write", lambda name, data: (
        release.wait(60), written.append(name)))
    s = Sequence(PROMPT, LIKE)
    [*engine.generate([s])]                      # while nothing is written
    assert not written and len(engine.blocks.store.waiting) == 2
    release.set()
    engine.blocks.store.writer.submit(int).result()
    assert written == engine.blocks.names(s.tokens)[:2]


def test_texts_that_are_only_read_leave_nothing(started, tmp_path):
    engine = started()
    assert drawn(engine)[0] and (files := {*(tmp_path / "kv").iterdir()})
    [*engine.generate([Embedded(PROMPT), Embedded(PROMPT[::-1] * 2)])]
    assert {*(tmp_path / "kv").iterdir()} == files


def test_a_full_disk_is_a_line_and_no_error(started, monkeypatch, capfd):
    want, _ = drawn(started(size=0))             # where nothing may be kept

    def fail(*_):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(os, "replace", fail)
    assert drawn(started())[0] == want
    assert capfd.readouterr().err.count("No space left on device") == 1
    monkeypatch.undo()
    assert drawn(started()) == (want, len(PROMPT) - 1)
