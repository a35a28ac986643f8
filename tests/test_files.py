"""Files that are whole or absent, whatever lies in their way, and sentences that can be shown."""

import gzip
import os
import pickle
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from threading import Thread

import pytest

from csrc import files
from csrc.files import LONGEST, ChatError, naming, workplace, write_file, write_files
from csrc.shown import plain
from data.chat import formats, search
from data.tokens import documents

ROOT = Path(__file__).resolve().parents[1]


def planted(kind, place, target):
    """Put something of that kind where a writer has its workplace, which leads to `target`."""
    if kind == "link":
        place.symlink_to(target)
    elif kind == "dangling link":
        place.symlink_to(target.with_name("nowhere"))
    elif kind == "link to a folder":
        place.symlink_to(target.parent)
    elif kind == "hard link":
        os.link(target, place)
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder of links":
        place.mkdir()
        (place / "x").symlink_to(target)
    elif kind == "file":
        place.write_bytes(b"half")


@pytest.mark.parametrize("kind", ["link", "dangling link", "link to a folder", "hard link", "pipe",
                                  "folder of links", "file"])
def test_what_lies_at_a_temporary_name_is_neither_followed_nor_kept(tmp_path, kind):
    mine = tmp_path / "mine" / "precious"
    write_file(mine, "precious")
    planted(kind, tmp_path / ".x.new", mine)
    write_file(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "new" and not (tmp_path / "x").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "x"]
    assert [path.name for path in mine.parent.iterdir()] == ["precious"]
    assert mine.read_text() == "precious"


def test_two_writers_of_one_file_leave_one_of_theirs(tmp_path):
    code = ("import sys\nfrom pathlib import Path\nfrom csrc.files import write_files\n"
            "for _ in range(5): write_files(Path(sys.argv[1]), "
            "{'x': (sys.argv[2].encode() * (1 << 16) for _ in range(20))})")
    writers = [subprocess.Popen([sys.executable, "-c", code, tmp_path, word], cwd=ROOT)
               for word in "ABC"]
    seen = []
    while any(writer.poll() is None for writer in writers):
        if (tmp_path / "x").exists():
            seen.append((tmp_path / "x").read_bytes())
    assert [writer.returncode for writer in writers] == [0, 0, 0] and seen
    assert all(len(data) == 20 << 16 and len(set(data)) == 1 for data in seen)
    assert os.listdir(tmp_path) == ["x"]


def test_a_second_process_waits_for_the_first_and_a_kill_leaves_nothing(tmp_path):
    """Also of one that is killed while another waits."""
    code = ("import sys, time\nfrom pathlib import Path\nfrom csrc.files import workplace\n"
            "with workplace(Path(sys.argv[1])) as place:\n"
            "    (place / 'half').write_text('x'); print('in', flush=True); time.sleep(60)")
    other = subprocess.Popen([sys.executable, "-c", code, tmp_path / "x"], cwd=ROOT,
                             stdout=subprocess.PIPE)
    other.stdout.readline()
    entered = []

    def enter():
        with workplace(tmp_path / "x") as place:
            entered.append(os.listdir(place))
    waits = Thread(target=enter)
    waits.start()
    time.sleep(0.2)
    assert not entered
    other.kill()
    other.wait()
    waits.join(10)
    assert entered == [[]] and os.listdir(tmp_path) == []


def test_a_write_that_fails_leaves_the_old_files_and_names_the_new(tmp_path):
    def broken():
        yield b"half"
        raise OSError(28, "No space left on device")
    write_file(tmp_path / "b", "old")
    with pytest.raises(ChatError, match=r"b: No space left on device$"):
        write_files(tmp_path, {"a": [b"new"], "b": broken()})
    assert (tmp_path / "b").read_text() == "old" and os.listdir(tmp_path) == ["b"]


@pytest.mark.parametrize("text, shown", [
    ("plain \t\n é 亀 עברית 👩‍🚀", None), ("a\x1b[31mb", "a�[31mb"),
    ("\x1b]0;title\x07", "�]0;title�"),
    ("over\rwritten", "over�written"), ("\x9b2J\x7f\x08", "�2J��"), ("\u202egnp.exe", "�gnp.exe"),
    ("a\u2066b\u2069", "a�b�"), ("a\u2028b\u2029", "a�b�"), ("\udc9b", "�"), ("\0", "�")])
def test_what_a_terminal_obeys_is_shown_as_a_mark(text, shown):
    assert plain(text) == (text if shown is None else shown)
    assert all(char not in str(ChatError(text)) for char in "\x1b\r\x9b\u202e\n\0")


def test_an_error_is_one_sentence_of_bounded_length():
    long = str(ChatError(f"config.json: hidden is {'9' * 50_000}, but must be a number"))
    assert len(long) < LONGEST and long.startswith("config.json: hidden is 9")
    assert long.endswith("9, but must be a number")
    assert str(ChatError("a:\n  b\n")) == "a: b"
    assert str(pickle.loads(pickle.dumps(ChatError("a\x1b")))) == "a�"
    with pytest.raises(ChatError, match="^x�: no$"), naming(Path("x\x1b")):
        raise ValueError("no")


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000, b"{", b"[]", b"\xff",
                                     b'{"a": 1, "a": 2}', b'{"a": ' + b"9" * 5000 + b"}"])
def test_what_is_no_object_of_json_is_refused_by_name(tmp_path, content):
    write_file(tmp_path / "a.json", content)
    with pytest.raises(ChatError, match="a.json: "):
        files.read_json(tmp_path / "a.json")


def test_a_file_without_an_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LARGEST_PACKED", 1000)
    write_file(tmp_path / "long", b"x" * 1001)
    os.mkfifo(tmp_path / "pipe")
    for name, target in ("zero", "/dev/zero"), ("folder", "."), ("loop", "loop"):
        (tmp_path / name).symlink_to(target)
    for name in "long", "pipe", "zero", "folder", "loop", "none":
        with pytest.raises(ChatError, match=name):
            files.read_whole(tmp_path / name)


def test_the_bound_of_a_file_is_no_room_that_is_taken_before_its_bytes_come(tmp_path):
    """A gigabyte for an array of three lines."""
    write_file(tmp_path / "a.json", '[\n{"messages": []}\n]')
    tracemalloc.start()
    assert [*files.records(tmp_path / "a.json")] == [(2, {"messages": []})]
    assert tracemalloc.get_traced_memory()[1] < 1 << 24
    tracemalloc.stop()


@pytest.mark.parametrize("read", [
    lambda path: [*files.records(path)],
    lambda path: [*documents.pieces(path)], lambda path: [*formats.read(path)],
    lambda path: search.build([str(path)], path.with_name("index"))])
@pytest.mark.parametrize("bomb", [b'{"text": "' + b"a" * 5000 + b'"}', b"[" + b"[]," * 2000,
                                  b"{\n" * 2500])
def test_a_small_gz_that_holds_much_is_refused(tmp_path, monkeypatch, read, bomb):
    monkeypatch.setattr(files, "LARGEST_PACKED", 1000)
    path = tmp_path / "a.jsonl.gz"
    write_file(path, gzip.compress(bomb))
    with pytest.raises(ChatError, match=r"a.jsonl.gz(:\d)?: "):
        read(path)
