"""What is read may be at an address: of a server that breaks off, stalls and lies, or of
fsspec's."""
import gzip
import json
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import fsspec
from test_download import BODY, HALF, answer, drop, silent, site, status, waits  # noqa: F401

from csrc import fetch, remote, runs
from csrc.bind import Model
from csrc.config import Config
from csrc.files import ChatError
from data.chat import formats, search
from data.crawl import filters, warc
from data.exams import formats as exams
from data.tokens import bpe, shards
from data.tokens.documents import WARC, documents, find_files

LINES = b"".join(json.dumps({"text": f"document {n}"}).encode() + b"\n" for n in range(50))
TEXTS = [f"document {n}" for n in range(50)]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A folder to work in, and an empty memory: // whose copies were not made yet."""
    monkeypatch.chdir(tmp_path)
    remote.local.cache_clear()
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    yield memory
    memory.store.clear()
    remote.local.cache_clear()


def test_a_path_is_itself(tmp_path):
    for given in ("a/b.txt", "C:", "c:/a", tmp_path / "x", "a: b//c"):
        assert remote.local(given) == Path(given) and not remote.is_address(given)
    assert not (tmp_path / "build").exists()


def test_documents_of_files_and_of_folders(elsewhere):
    elsewhere.pipe({"/corpus/a.jsonl": LINES, "/corpus/deep/b.jsonl.gz": gzip.compress(LINES),
                    "/corpus/c.png": b"no text"})
    assert list(documents("memory://corpus/a.jsonl")) == TEXTS
    assert list(documents("memory://corpus")) == 2 * TEXTS
    assert list(documents(Path("memory://corpus/a.jsonl"))) == TEXTS     # a Path has one slash
    assert not list(Path("build/remote").rglob("*.png"))


def test_a_copy_is_that_of_now(elsewhere):
    elsewhere.pipe({"/d/a.txt": b"old", "/d/b.txt": b"stays"})
    [first, same] = find_files(["memory://d"])
    before = same.stat()
    elsewhere.pipe("/d/a.txt", b"new")
    elsewhere.rm("/d/b.txt")
    elsewhere.pipe("/d/c.txt", b"more")
    assert list(documents("memory://d")) == ["old", "stays"]     # once a process
    remote.local.cache_clear()
    assert list(documents("memory://d")) == ["new", "more"]
    assert first.read_bytes() == b"new" and not same.exists() and before


def test_conversations_exams_shards_and_crawls(elsewhere, tmp_path):
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
    page = (b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.org/\r\n"
            b"WARC-Date: 2024-01-01T00:00:00Z\r\nWARC-Record-ID: <urn:uuid:1>\r\n"
            b"Content-Type: application/http; msgtype=response\r\nContent-Length: 62\r\n\r\n"
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>Hello world</p>\r\n\r\n")
    elsewhere.pipe({
        "/x/chats.jsonl": json.dumps({"messages": chat}).encode() + b"\n",
        "/x/gsm8k.jsonl": json.dumps({"question": "1+1?", "answer": "2\n#### 2"}).encode() + b"\n",
        "/s/train-00000.bin": shard(range(9)), "/s/val-00000.bin": shard(range(4)),
        "/w/a.warc": page})
    [file] = find_files(["memory://x/chats.jsonl"], formats.ENDINGS)
    assert next(formats.read(file))["messages"] == chat
    assert exams.read("memory://x/gsm8k.jsonl")[0].truth == 2
    train, val = shards.find_shards(shards.prepare("memory://s"))
    assert shards.open_shard(train[0]).tolist() == [*range(9)] and len(val) == 1
    [crawl] = find_files(["memory://w"], WARC)
    assert [found.url for found in warc.pages(crawl, 0, 1 << 20, Counter())] == ["http://a.org/"]


def shard(tokens):
    header = np.zeros(shards.HEADER, "<i4")
    header[:3] = 20240520, 1, len(tokens)
    return header.tobytes() + np.array(tokens, "<u2").tobytes()


def test_a_model(elsewhere, tmp_path):
    folder, tiny = tmp_path / "made", Config(8, 8, 1, 8, 1, 1, 8, 8)
    Model(tiny).save(folder)
    elsewhere.pipe({f"/m/{path.name}": path.read_bytes() for path in folder.iterdir()})
    elsewhere.pipe("/m/pytorch_model.bin", b"a pickle")
    copy = runs.find_model("memory://m")
    assert Model.load(copy).config == tiny
    assert not (copy / "pytorch_model.bin").exists()


def test_a_tokenizer_lists_and_an_index(elsewhere, tmp_path):
    bpe.Tokenizer.from_merges([(104, 101)]).save(tmp_path / "made")
    (tmp_path / "pages.jsonl").write_bytes(b'{"text": "Mara Holm was born.", "url": "u"}')
    search.build([tmp_path / "pages.jsonl"], tmp_path / "s.db")
    elsewhere.pipe({f"/t/{path.name}": path.read_bytes() for path in (tmp_path / "made").iterdir()})
    elsewhere.pipe({"/t/model.safetensors": b"large", "/s.db": (tmp_path / "s.db").read_bytes(),
                    "/lists/adult/domains": b"bad.example\n", "/lists/adult/README": b"about"})
    size = bpe.Tokenizer.load("memory://t").vocab_size
    assert size == 257 + len(bpe.SPECIALS)
    made = shards.prepare(tmp_path / "pages.jsonl", tmp_path / "cache", tokenizer="memory://t",
                          held_out=0)
    assert bpe.Tokenizer.load(made).vocab_size == size
    assert filters.url_filter(["memory://lists"])("http://bad.example/") == "listed as adult"
    assert search.Search("memory://s.db").search("Mara")[0].url == "u"
    assert not [*Path("build/remote").rglob("model.safetensors"), *Path().rglob("README")]
    for load in (bpe.Tokenizer.load, search.Search, lambda given: filters.url_filter([given])):
        with pytest.raises(ChatError, match="memory://none.*: no such file or folder"):
            load("memory://none")


@pytest.mark.parametrize("given, error", [
    ("memory://none", "memory://none: no such file or folder"),
    ("s3://bucket/a.jsonl", "s3://bucket/a.jsonl: Install s3fs to access S3"),
    ("nonsense://a", "nonsense://a: Protocol not known: nonsense"),
])
def test_what_is_not_there_is_named(given, error, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(ChatError) as caught:
        find_files([given])
    assert str(caught.value) == error


def test_a_folder_without_such_files_is_named(elsewhere):
    elsewhere.pipe("/d/a.png", b"")
    with pytest.raises(ChatError, match=r"memory://d: none of 1 files is .txt"):
        find_files(["memory://d"])


def test_a_copy_that_is_cut_or_fails_is_none(elsewhere, monkeypatch):
    elsewhere.pipe("/a.txt", b"whole text")
    get = type(elsewhere).get_file

    def cut(self, url, path, **_):
        get(self, url, path)
        Path(path).write_bytes(b"whole")

    monkeypatch.setattr(type(elsewhere), "get_file", cut)
    with pytest.raises(ChatError, match="a.txt: 5 bytes came instead of 10"):
        list(documents("memory://a.txt"))
    monkeypatch.setattr(type(elsewhere), "get_file", get)
    assert list(documents("memory://a.txt")) == ["whole text"]


def test_names_that_lead_elsewhere_are_refused(elsewhere, monkeypatch, tmp_path):
    elsewhere.pipe("/d/a.txt", b"x")
    for name in ("/d/../../b.txt", "/d/b\x1b.txt", "/d/./b.txt"):
        monkeypatch.setattr(type(elsewhere), "find", lambda *_: [name])
        with pytest.raises(ChatError, match="is no name of a file"):
            find_files(["memory://d"])
    assert not list(tmp_path.rglob("b*.txt"))


# ---- A server that breaks off, stalls and lies ---------------------------------------------------

def test_a_server_that_fails_now_and_then(site, monkeypatch):  # noqa: F811
    monkeypatch.setattr(fetch, "TIMEOUT", 0.5)
    url = site.add("/a.txt", status(503), answer(), answer(cut=HALF), drop,
                   lambda handler: silent(handler))
    assert list(documents(url)) == [BODY.decode()]
    assert f"bytes={HALF}-" in site.ranges()


def test_a_server_that_lies(site, waits):  # noqa: F811
    """Of its length, of a .gz that is none, of what a page lists."""
    long = {"Content-Length": str(len(BODY) + 1)}
    site.add("/long.txt", *[lambda handler: lie(handler, long)] * 30)
    with pytest.raises(OSError, match=f"{len(BODY)} bytes read, 1 more expected"):
        find_files([site.address + "/long.txt"])
    site.add("/a.jsonl.gz", body=b"<html>please log in</html>")
    with pytest.raises(ChatError, match="broken gzip data"):
        list(documents(site.address + "/a.jsonl.gz"))
    site.add("/list/", body=b'<a href="gone.txt">')
    with pytest.raises(OSError, match="/list/gone.txt: the server says 404"):
        find_files([site.address + "/list/"])
    with pytest.raises(OSError, match="/no.txt: the server says 404"):
        find_files([site.address + "/no.txt"])


def lie(handler, headers):
    handler.send_response(200)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    with suppress(BrokenPipeError):
        handler.wfile.write(BODY)
    handler.close_connection = True


def test_a_folder_that_a_server_lists(site):  # noqa: F811
    site.add("/d/", body=b'<a href="../">up</a><a href="?C=N">by name</a><a href="a%20b.txt">'
                         b'</a><a href="c.jsonl">c</a><a href="c.jsonl">again</a><a href="x.iso">')
    site.add("/d/a%20b.txt", body=b"text")
    site.add("/d/c.jsonl", body=LINES)
    site.add("/d/x.iso", body=b"large")
    assert list(documents(site.address + "/d/")) == ["text"] + TEXTS
    assert [path for path, _ in site.requests].count("/d/x.iso") == 1     # its headers alone


def test_without_a_version_a_file_is_fetched_each_time(site):  # noqa: F811
    url = site.add("/a.txt", *[answer(etag=None)] * 4, body=b"old")
    assert list(documents(url)) == ["old"]
    site.files["/a.txt"] = b"new"
    remote.local.cache_clear()
    assert list(documents(url)) == ["new"]


def test_what_is_written_is_here(tmp_path):
    for command in ("data/web.py a.warc --out s3://b/c", "train.py --out memory://run",
                    "infer.py eval --html https://a.org/x.html"):
        done = subprocess.run([sys.executable, *command.split()], cwd=ROOT, capture_output=True,
                              text=True)
        assert done.returncode == 1 and "an address: name a local path\n" in done.stderr
        assert not (ROOT / "s3:").exists()
