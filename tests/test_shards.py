"""Documents in, shards out: what is cut, held out, written, read again and refused."""
import gzip
import importlib
import json
import os
import random
import struct
import resource
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csrc import cli
from data import shards as command
from data.pocket import corpus
from data.tokens import bpe, documents, learn, parquet, shards

relaxed = settings(deadline=None, derandomize="CI" in os.environ)
NAMES = [first + middle + last for first in ("ba", "fo", "gu", "ka", "lo", "mi", "ste", "tri")
         for middle in ("ll", "m", "nt", "rr") for last in ("er", "y", "isk")]
STORY = "".join(f"On day {i} {name} the fox, it's said, saw {i * i} geese.\n\nThen\n it slept!\n\n"
                for i, name in enumerate(NAMES * 4))


@pytest.fixture(scope="module")
def tokenizer():
    return bpe.learn(learn.count_chunks([STORY]), 500)


@pytest.fixture
def small(monkeypatch):
    """Pieces of a few dozen characters, so that short texts are cut as long ones would be."""
    monkeypatch.setattr(documents, "PIECE", 40)
    monkeypatch.setattr(documents, "LONGEST", 400)
    monkeypatch.setattr(shards, "BATCH", 100)


def write(path, content):
    data = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def lines_of(texts):
    return "".join(json.dumps({"text": text, "url": "x"}) + "\n" for text in texts)


def read(folder, part):
    """All tokens of a part of a folder, as a list."""
    paths = shards.find_shards(folder)[part == "val"]
    return [token for path in paths for token in shards.open_shard(path).tolist()]


# ---------------------------------------------------------------------------------------- Documents

def test_documents_come_from_text_json_lines_gzip_and_folders(tmp_path, capsys):
    write(tmp_path / "b.txt",
          "one\n<|endoftext|>\ntwo <|endoftext|>\n<|endoftext|>x\n<|endoftext|>")
    write(tmp_path / "a.jsonl.gz", lines_of(["three\n", "", "four <|endoftext|> \u2028 é"]) + "\n")
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub" / "c.txt.gz", "\ufefffive\r\n<|endoftext|>\r\nsix")
    write(tmp_path / "sub" / "picture.png", b"\0")
    expected = ["three\n", "four <|endoftext|> \u2028 é", "one\n",
                "two <|endoftext|>\n<|endoftext|>x\n", "five\r\n", "six"]
    assert list(documents.documents(tmp_path)) == expected
    assert "1 other files skipped" in capsys.readouterr().err
    assert list(documents.documents(str(tmp_path / "b.txt"), tmp_path / "a.jsonl.gz")) \
        == expected[2:4] + expected[:2]


@relaxed
@given(parts=st.lists(st.sampled_from(["a", " ", "\n", "\r\n", "<|endoftext|>", "\n<|endoftext|>\n",
                                       "é", "中文。", "!", "\t", "1", "'s", "long words " * 6])),
       piece=st.integers(1, 60))
def test_a_text_read_in_pieces_has_the_documents_and_tokens_of_the_whole(
        tmp_path_factory, tokenizer, parts, piece):
    text = "first\n" + "".join(parts)
    path = write(tmp_path_factory.getbasetemp() / "pieces.txt", text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "PIECE", piece)
        parts = list(documents.pieces(path))
    found, tokens = [], []
    for begins, part in parts:
        if begins:
            found.append("")
            tokens.append([])
        found[-1] += part
        tokens[-1] += tokenizer.encode(part)
    assert found == list(documents.documents(path))
    assert found == [part for part in documents.SEPARATOR.split(text) if part]
    assert tokens == [tokenizer.encode(document) for document in found]


def test_a_text_without_lines_is_cut_at_the_bound(tmp_path, small):
    path = write(tmp_path / "line.txt", "é" * 3000)
    parts = list(documents.pieces(path))
    assert "".join(text for _, text in parts) == "é" * 3000
    assert [begins for begins, _ in parts] == [True] + [False] * (len(parts) - 1)
    assert max(len(text) for _, text in parts) < 500


@pytest.mark.parametrize("data", [
    b'[{"text": "a"}, {"text": "b"}]', b'\xef\xbb\xbf{"text": "a"}\r\n{"text": "b"}\r\n',
    json.dumps([{"text": "a", "n": 1}, {"text": "b"}], indent=1).encode(),
    b"".join(json.dumps({"text": text}, indent=1).encode() + b"\n" for text in "ab")])
def test_objects_of_json_are_documents_however_they_are_written(tmp_path, data):
    (tmp_path / "a.json").write_bytes(data)
    assert list(documents.documents(tmp_path / "a.json")) == ["a", "b"]


@pytest.mark.parametrize("name, content, message", [
    ("a.txt", b"", "empty, there is no document"),
    ("a.txt", b"<|endoftext|>\n", "empty, there is no document"),
    ("a.jsonl", b"\n\n", "empty, there is no document"),
    ("a.txt", b"abc\0", "not a text file, byte 3 is zero"),
    ("a.txt", b"x" * 99 + b"\xff", "not UTF-8 at byte 99"),
    ("a.txt", "é".encode() * 30 + b"\xc3", "not UTF-8 at byte 60"),
    ("a.txt", b"\xef\xbb\xbfab\xc3(", "not UTF-8 at byte 5"),
    ("a.jsonl", b'{"text": "a"}\n{"text": \n', "a.jsonl:2: not JSON"),
    ("a.jsonl", b'{"text": "\xff"}\n', "a.jsonl:1: not UTF-8 at byte 10"),
    ("a.jsonl", b'{"text": "a"}\n\n{"messages": []}\n', 'a.jsonl:3: not an object whose "text"'),
    ("a.jsonl", b'{"text": 7}\n', 'a.jsonl:1: not an object whose "text"'),
    ("a.jsonl", b'"text"\n', 'a.jsonl:1: not an object whose "text"'),
    ("a.jsonl", b"[" * 100_000, "a.jsonl:1: nested too deeply for JSON"),
    ("a.md", None, "a.md: no such file or folder"),
])
def test_an_unreadable_file_is_an_error_that_names_the_place(
        tmp_path, small, name, content, message):
    if content is not None:
        write(tmp_path / name, content)
    with pytest.raises((ValueError, OSError)) as caught:
        list(documents.documents(tmp_path / name))
    assert message in str(caught.value) and str(tmp_path) in str(caught.value)


def test_broken_gzip_and_a_folder_of_other_things_are_errors(tmp_path):
    good = gzip.compress(STORY.encode())
    for data in (good[:-20], b"no gzip", good[:50] + b"zzzz" + good[54:]):
        (tmp_path / "a.txt.gz").write_bytes(data)
        with pytest.raises(ValueError, match="a.txt.gz: broken gzip"):
            list(documents.documents(tmp_path / "a.txt.gz"))
    (tmp_path / "a.txt.gz").rename(tmp_path / "a.png")
    with pytest.raises(ValueError, match="none of 1 files is .txt"):
        list(documents.documents(tmp_path))


def write_parquet(path, columns, **options):
    tables = pytest.importorskip("pyarrow.parquet")
    tables.write_table(importlib.import_module("pyarrow").table(columns), path, **options)
    return path


@pytest.mark.parametrize("rows", [1, 99, 100, 101, 700])
@pytest.mark.parametrize("options", [{}, {"row_group_size": 7}, {"compression": "zstd"}])
def test_rows_of_parquet_are_documents_in_order(tmp_path, rows, options):
    texts = [f"row {i}\n<|endoftext|>\n é\0 {'x' * (i % 5000)}" for i in range(rows)]
    path = write_parquet(tmp_path / "a.parquet",
                         {"id": range(rows + 2), "text": ["", *texts, None]}, **options)
    assert list(documents.documents(path)) == texts
    write(tmp_path / "b.txt", "last")
    assert list(documents.documents(tmp_path)) == [*texts, "last"]


@pytest.mark.parametrize("columns, message", [
    ({"content": ["a"], "id": [1]}, 'no column "text", but content, id'),
    ({"text": [1, 2]}, 'row 1: "text" is not a string'),
    ({"text": ["a", ""], "x": [{"text": "b"}, None]}, None),
    ({"text": [["a"]]}, 'row 1: "text" is not a string'),
    ({"text": [{"text": "a"}]}, 'row 1: "text" is not a string'),
    ({"text": ["", None]}, "empty, there is no document"),
    ({"text": []}, "empty, there is no document"),
])
def test_parquet_without_text_is_an_error_that_says_what_there_is(tmp_path, columns, message):
    path = write_parquet(tmp_path / "a.parquet", columns)
    if message is None:
        assert list(documents.documents(path)) == ["a"]
        return
    with pytest.raises(ValueError) as caught:
        list(documents.documents(path))
    assert str(caught.value).startswith(f"{path}: ") and message in str(caught.value)


def test_a_damaged_parquet_file_is_an_error_that_names_it(tmp_path):
    """A flipped bit may go unnoticed (that is what sha256 is for) but never ends in another way."""
    texts = [f"{i} geese and {i * i} hens" for i in range(300)]
    path = write_parquet(tmp_path / "a.parquet", {"text": texts}, row_group_size=50)
    whole, rng, refused = path.read_bytes(), random.Random(1), 0
    damaged = [whole[:n] for n in range(0, len(whole), 97)]
    for _ in range(200):
        flipped = bytearray(whole)
        flipped[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        damaged.append(bytes(flipped))
    for index, data in enumerate(damaged):
        path.write_bytes(data)
        try:
            list(documents.documents(path))
            assert index > len(whole) // 97  # not one cut short
        except ValueError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
            refused += 1
    assert refused > len(damaged) // 2


@pytest.mark.parametrize("options", [
    {}, {"use_dictionary": False}, {"row_group_size": 1}, {"compression": "zstd"},
    {"data_page_version": "2.0", "write_page_checksum": True}])
def test_a_value_of_parquet_that_unpacks_to_too_much_is_refused(tmp_path, options, monkeypatch):
    """A dictionary's value was copied for each of a hundred rows: of 6 KB came 20 GB."""
    monkeypatch.setattr(parquet, "LARGEST_PACKED", 1 << 20)
    monkeypatch.setattr(parquet, "LARGEST", 1 << 24)
    half, path = "a" * (1 << 19), tmp_path / "a.parquet"
    write_parquet(path, {"text": ["b"] + [half] * 20}, **options)
    pool = importlib.import_module("pyarrow").default_memory_pool()
    before, found = pool.bytes_allocated(), documents.documents(path)
    assert next(found) == "b" and next(found) == half
    assert pool.bytes_allocated() - before < 1 << 24
    assert len(list(found)) == 19
    write_parquet(path, {"text": ["b", 3 * half] + ["c"] * 50}, **options)
    with pytest.raises(ValueError, match=f"{path}: row 2: over 1 MB in one text"):
        list(documents.documents(path))
    write_parquet(path, {"text": ["b", 40 * half]}, **options)
    with pytest.raises(ValueError, match=f"{path}: a page that unpacks to 20 MB; at most 16 MB"):
        list(documents.documents(path))
    lists = {"text": [["b", 40 * half]]}
    with pytest.raises(ValueError, match=f"{path}: a page that unpacks to 20 MB"):
        list(documents.documents(write_parquet(path, lists, **options)))


def test_parquet_needs_pyarrow_and_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"a\.parquet: to read Parquet, .* pip install pyarrow$"):
        list(documents.documents(write(tmp_path / "a.parquet", "PAR1")))


# -------------------------------------------------------------------------------------- Holding out

def test_every_tenth_document_of_many_is_held_out(tmp_path):
    texts = [f"document {i}" for i in range(35)]
    path = write(tmp_path / "many.jsonl", lines_of(texts))
    held = [text for part, _, text in shards.split(shards.survey([path]), 0.1) if part == "val"]
    assert held == ["document 9", "document 19", "document 29"]
    quarter = [part for part, _, _ in shards.split(shards.survey([path]), 0.25)]
    assert quarter.count("val") == 8
    assert all(part == "train" for part, _, _ in shards.split(shards.survey([path]), 0))


@relaxed
@given(lines=st.lists(st.sampled_from(["", "a", "word " * 9, " x"]), min_size=1, max_size=40),
       fraction=st.sampled_from([0, 0.1, 0.3, 0.9]), piece=st.integers(1, 80))
def test_about_the_end_of_a_single_document_is_held_out(
        tmp_path_factory, lines, fraction, piece):
    text = "\n".join(lines) or "x"
    path = write(tmp_path_factory.getbasetemp() / "book.txt", text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "PIECE", piece)
        parts = list(shards.split(shards.survey([path]), fraction))
    joined = {name: "".join(text for part, _, text in parts if part == name)
              for name in ("train", "val")}
    assert joined["train"] + joined["val"] == text
    assert len(joined["val"]) <= round(len(text) * fraction)
    for name in ("train", "val"):
        begins = [begins for part, begins, _ in parts if part == name]
        assert begins == [True] * bool(begins) + [False] * (len(begins) - 1)


def test_a_book_is_cut_after_a_newline(tmp_path):
    path = write(tmp_path / "book.txt", "1234567\n90123456\n890\n")
    parts = list(shards.split(shards.survey([path]), 0.3))
    assert [text for part, _, text in parts if part == "val"] == ["890\n"]


# ------------------------------------------------------------------------------------------- Shards

def test_shards_hold_the_tokens_of_the_documents_each_begun(tmp_path, tokenizer, small):
    tokenizer.save(tmp_path / "t")
    texts = [f"{STORY[i:i * 3]}" for i in range(1, 60)]
    path = write(tmp_path / "a.jsonl.gz", lines_of(texts))
    meta = shards.build(tmp_path / "out", [path], tmp_path / "t", limit=500)
    expected = {"train": [], "val": []}
    for i, text in enumerate(texts):
        expected["val" if i % 10 == 9 else "train"] += [tokenizer.begin] + tokenizer.encode(text)
    for part, tokens in expected.items():
        assert read(tmp_path / "out", part) == tokens
        assert meta[part]["tokens"] == len(tokens)
    assert meta["train"]["documents"] + meta["val"]["documents"] == 59
    assert meta["train"]["bytes"] + meta["val"]["bytes"] == len("".join(texts).encode())
    sizes = [len(shards.open_shard(path)) for path in shards.find_shards(tmp_path / "out")[0]]
    assert set(sizes[:-1]) == {500} and len(sizes) > 2
    assert json.loads((tmp_path / "out" / "meta.json").read_text()) == meta
    assert bpe.Tokenizer.load(tmp_path / "out").spec == tokenizer.spec


def test_a_long_text_streamed_has_the_tokens_of_the_whole(tmp_path, tokenizer, small):
    tokenizer.save(tmp_path / "t")
    path = write(tmp_path / "story.txt", STORY)
    shards.build(tmp_path / "out", [path], tmp_path / "t", held_out=0)
    assert read(tmp_path / "out", "train") == [tokenizer.begin] + tokenizer.encode(STORY)
    assert shards.find_shards(tmp_path / "out")[1] == []


@pytest.mark.parametrize("size, magic, version, code", [(65536, 20240520, 1, "H"),
                                                        (65537, 20240801, 7, "I")])
def test_the_bytes_of_a_shard_are_those_of_llm_c(tmp_path, size, magic, version, code):
    tokens = [0, 1, size - 1]
    with shards.Writer(tmp_path, "train", size) as writer:
        writer.write(tokens)
    data = (tmp_path / "train-00000.bin").read_bytes()
    assert data == struct.pack(f"<256i3{code}", magic, version, 3, *[0] * 253, *tokens)
    assert shards.open_shard(tmp_path / "train-00000.bin").tolist() == tokens


def test_a_shard_that_fails_is_refused(tmp_path):
    with pytest.raises(RuntimeError):
        with shards.Writer(tmp_path, "train", 300, limit=2) as writer:
            writer.write([1, 2, 3])
            raise RuntimeError
    assert shards.open_shard(tmp_path / "train-00000.bin").tolist() == [1, 2]
    with pytest.raises(ValueError, match="not a shard"):
        shards.open_shard(tmp_path / "train-00001.bin")
    with pytest.raises(ValueError, match="cannot hold 0 tokens"):
        shards.Writer(tmp_path, "train", 300, limit=0)


@pytest.mark.parametrize("data, message", [
    (b"", "0 bytes, too short for a shard's header of 1024"),
    (bytes(1023), "1023 bytes, too short"),
    (bytes(1030), "not a shard: begins with 0, 0 instead of 20240520, 1 or 20240801, 7"),
    (struct.pack("<256i", 20240520, 7, 1, *[0] * 253) + bytes(2), "begins with 20240520, 7"),
    (struct.pack("<256i", 20240520, 1, *[0] * 254), "an empty shard, of 0 tokens"),
    (struct.pack("<256i", 20240520, 1, -5, *[0] * 253), "an empty shard, of -5 tokens"),
    (struct.pack("<256i", 20240520, 1, 2, *[0] * 253) + bytes(3),
     "1027 bytes, but its 2 tokens of 2 bytes and its header make 1028"),
    (struct.pack("<256i", 20240801, 7, 2, *[0] * 253) + bytes(10),
     "1034 bytes, but its 2 tokens of 4 bytes and its header make 1032"),
    (struct.pack("<256i", 20240520, 1, 2**31 - 1, *[0] * 253), "2147483647 tokens"),
])
def test_a_bad_shard_is_refused_with_its_name_and_numbers(tmp_path, data, message):
    path = write(tmp_path / "bad.bin", data)
    with pytest.raises(ValueError) as caught:
        shards.open_shard(path)
    assert message in str(caught.value) and str(path) in str(caught.value)


def test_shards_are_found_in_a_folder_or_as_a_file(tmp_path):
    for name in ("fineweb_train_000002.bin", "fineweb_val_000000.bin", "fineweb_train_000001.bin"):
        write(tmp_path / name, "")
    train, held = shards.find_shards(tmp_path)
    assert [path.name[-10:] for path in train] == ["000001.bin", "000002.bin"]
    assert held == [tmp_path / "fineweb_val_000000.bin"]
    assert shards.find_shards(held[0]) == (held, [])
    for path in train:
        path.unlink()
    with pytest.raises(ValueError, match="no training shard"):
        shards.find_shards(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        shards.find_shards(tmp_path / "absent")


# ------------------------------------------------------------------------------------------ Prepare

def test_prepare_makes_a_folder_once_and_anew_when_something_changes(tmp_path, monkeypatch):
    path, cache = write(tmp_path / "the story.txt", STORY), tmp_path / "cache"
    folder = shards.prepare(path, cache, vocab_size=400)
    assert folder.name.startswith("the-story-")
    assert bpe.Tokenizer.load(folder).vocab_size == 400 and read(folder, "val")
    monkeypatch.setattr(shards, "survey", None)  # nothing may be read again
    assert shards.prepare(str(path), cache, vocab_size=400) == folder
    assert shards.prepare(folder) == folder
    assert shards.prepare(folder / "train-00000.bin") == folder / "train-00000.bin"
    monkeypatch.undo()
    others = {shards.prepare(path, cache, vocab_size=410),
              shards.prepare(path, cache, tokenizer=folder),
              shards.prepare(path, cache, vocab_size=400, held_out=0.2),
              shards.prepare([path, path], cache, vocab_size=400)}
    os.utime(path, (1, 1))
    others.add(shards.prepare(path, cache, vocab_size=400))
    assert len(others) == 5 and folder not in others
    assert {child for child in cache.iterdir()} == others | {folder}  # no temporary left behind


def test_prepare_that_fails_leaves_nothing_behind(tmp_path):
    path = write(tmp_path / "a.txt", STORY.encode() + b"\xff")
    with pytest.raises(ValueError, match="not UTF-8"):
        shards.prepare(path, tmp_path / "cache")
    for arguments in ({"vocab_size": 5}, {"tokenizer": tmp_path}, {"held_out": 1}):
        with pytest.raises((ValueError, OSError)):
            shards.prepare(path, tmp_path / "cache", **arguments)
    assert list((tmp_path / "cache").iterdir()) == []


def test_processes_that_prepare_the_same_at_once_get_one_whole_folder(tmp_path):
    write(tmp_path / "a.txt", STORY)
    code = ("import sys; from data.tokens import shards\n"
            "print(shards.prepare(sys.argv[1], sys.argv[2], vocab_size=600))")
    processes = [subprocess.Popen([sys.executable, "-c", code, tmp_path / "a.txt", tmp_path / "c"],
                                  cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0] and len(printed) == 1
    folder = Path(printed.pop().strip())
    assert list((tmp_path / "c").iterdir()) == [folder]
    tokenizer = bpe.Tokenizer.load(folder)
    assert tokenizer.decode(read(folder, "train") + read(folder, "val")).replace(
        "<|endoftext|>", "") == STORY


def test_the_embedded_world_is_a_crawl_that_was_filtered_once(tmp_path, monkeypatch, capsys):
    made = corpus.documents(200_000, tmp_path)
    assert "personal" in capsys.readouterr().err            # the funnel was shown
    assert corpus.documents(200_000, tmp_path) == made and not capsys.readouterr().err
    monkeypatch.setattr(corpus, "documents", lambda: made)
    folder = shards.prepare("world", tmp_path / "cache", vocab_size=400)
    assert folder.name.startswith("world-")
    begin = bpe.Tokenizer.load(folder).begin
    pages = json.loads((made / "report.json").read_text())["funnel"][-1]["pages"]
    assert read(folder, "train").count(begin) + read(folder, "val").count(begin) == pages > 100


def run_command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["data/shards.py", *map(str, arguments)])
    cli.run(lambda: cli.dispatch("", command.COMMANDS))


def test_the_command_writes_shards_and_tells_the_speed(tmp_path, monkeypatch, capsys):
    path = write(tmp_path / "a.txt", STORY)
    run_command(monkeypatch, path, "--vocab-size", 400, "--out", tmp_path / "out")
    told = capsys.readouterr().out
    assert "bytes per token" in told and "MB/s" in told
    assert len(read(tmp_path / "out", "train")) > len(read(tmp_path / "out", "val")) > 0


@pytest.mark.parametrize("arguments, message", [
    (["absent", "--out", "new"], "absent: no such file or folder"),
    (["a.txt", "--out", "full"], "full exists and is not an empty folder"),
    (["a.txt", "--out", "a.txt"], "a.txt exists and is not an empty folder"),
    (["a.txt", "--out", "new", "--vocab-size", "9"],
     "--vocab-size is 9, but must be in [288, inf)"),
    (["a.txt", "--out", "new", "--tokenizer", "full"], "no tokenizer in full"),
    (["a.txt", "--out", "new", "--tokenizer", "gpt2", "--vocab-size", "400"],
     "--tokenizer gpt2 does not go with --vocab-size"),
    (["a.txt", "--out", "new", "--held-out", "1.5"], "--held-out is 1.5, but must be in [0, 1)"),
    (["a.txt", "--out", "new", "--held-out", "nan"], "--held-out is nan"),
    (["a.txt", "--out", "new", "--shard-tokens", "0"], "--shard-tokens is 0"),
    (["bad.jsonl", "--out", "new"], "bad.jsonl:1: not JSON"),
])
def test_bad_arguments_end_the_command_with_one_sentence(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    write(Path("a.txt"), STORY)
    write(Path("bad.jsonl"), "{")
    Path("full").mkdir()
    write(Path("full/file"), "")
    with pytest.raises(SystemExit) as caught:
        run_command(monkeypatch, *arguments)
    assert message in caught.value.code and "\n" not in caught.value.code
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "bad.jsonl", "full"]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path):
    """No file may grow over 1 MB: what the system says is another word for a disk that is full."""
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    write(tmp_path / "a.txt", "as dark as pitch\n" * 60_000)
    done = subprocess.run([sys.executable, Path(command.__file__), tmp_path / "a.txt", "--out",
                           tmp_path / "out", "--vocab-size", "288"], capture_output=True, text=True,
                          preexec_fn=limit)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert str(tmp_path) in done.stderr and "File too large" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_the_script_runs_by_itself_and_exits_with_1(tmp_path):
    command = [sys.executable, ROOT / "data" / "shards.py", "absent", "--out", tmp_path / "x"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "shards.py: absent: no such file or folder\n")
