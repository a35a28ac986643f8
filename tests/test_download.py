"""Files over a connection that fails in every way: a local server misbehaves on demand."""
import email.utils
import gzip
import hashlib
import io
import re
import resource
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import pytest
import tiktoken.load
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from csrc import cli
from data import download
from csrc import fetch as fetching

BODY = b"".join(b"line %d of what the server has\n" % i for i in range(20_000))
HALF = len(BODY) // 2
SCRIPT = ROOT / "data" / "download.py"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Site:
    """A server: `files` by path, and for each path the answers to its first requests, if not the
    proper one. An answer is a function of the request's handler; `requests` are all that came."""

    def __init__(self):
        self.files, self.answers, self.requests, self.etag = {}, {}, [], '"1"'
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                site.requests.append((self.path, dict(self.headers)))
                waiting = site.answers.get(self.path)
                (waiting.pop(0) if waiting else proper)(self)

            def log_message(self, *_):
                pass

        Handler.site = self
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def add(self, path, *answers, body=BODY):
        """Serve `body` at `path`, after these answers; return its URL."""
        self.files[path], self.answers[path] = body, list(answers)
        return self.address + path

    def ranges(self):
        return [headers.get("Range") for _, headers in self.requests]


def proper(handler, cut=None, etag=..., use_range=True, headers={}):
    """Answer as a server should; `cut`: close the connection after so many bytes of the body."""
    body = handler.site.files.get(handler.path)
    if body is None:
        return status(404)(handler)
    etag = handler.site.etag if etag is ... else etag
    span = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    fresh = handler.headers.get("If-Range", etag) == etag
    begin = int(span[1]) if span and use_range and fresh else 0
    if begin >= len(body) > 0:
        return status(416, **{"Content-Range": f"bytes */{len(body)}"})(handler)
    handler.send_response(206 if begin else 200)
    if begin:
        handler.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
    handler.send_header("Content-Length", str(len(body) - begin))
    if etag:
        handler.send_header("ETag", etag)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body[begin:] if cut is None else body[begin:cut])
    handler.close_connection = cut is not None


def answer(**options):
    return lambda handler: proper(handler, **options)


def status(code, **headers):
    def give(handler):
        handler.send_response(code)
        for name, value in {"Content-Length": "0", **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
    return give


def drop(handler):
    """Close the connection without a word."""
    handler.close_connection = True


@pytest.fixture
def site():
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """Waiting between attempts takes no time, but is noted."""
    asked = []
    monkeypatch.setattr("time.sleep", asked.append)
    monkeypatch.setenv("NO_PROXY", "*")
    return asked


def fetch(url, path, attempts=fetching.ATTEMPTS):
    with fetching.connect(attempts) as session:
        return fetching.fetch(session, url, path, attempts)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fails(url, path, message, error=OSError, **options):
    """`fetch` fails with one sentence that has `message` in it; return it."""
    with pytest.raises(error) as caught:
        fetch(url, path, **options)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not path.exists()
    return str(caught.value)


# ---------------------------------------------------------------------------- Connections that fail

@pytest.mark.parametrize("answers, requested", [
    ([], [None]),
    ([answer(cut=HALF)], [None, f"bytes={HALF}-"]),
    ([answer(cut=1), answer(cut=HALF), answer(cut=len(BODY) - 1)],
     [None, "bytes=1-", f"bytes={HALF}-", f"bytes={len(BODY) - 1}-"]),
    ([answer(cut=0)], [None, None]),
    ([status(503), status(503)], [None] * 3),
    ([status(500), status(502), status(504), status(408), status(429)], [None] * 6),
    ([answer(cut=HALF), status(503)], [None] + [f"bytes={HALF}-"] * 2),
    ([drop, drop], [None] * 3),
])
def test_a_failing_connection_is_taken_up_where_it_broke(site, tmp_path, answers, requested):
    path = tmp_path / "new" / "a.txt"
    assert fetch(site.add("/a.txt", *answers), path) is True
    assert path.read_bytes() == BODY and site.ranges() == requested
    assert names(tmp_path / "new") == ["a.txt"]
    for _, headers in site.requests:
        assert headers["Accept-Encoding"] == "identity"
        assert headers.get("If-Range") == (site.etag if "Range" in headers else None)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 300), max_size=8), size=st.integers(0, 300),
       ranges=st.booleans(), etag=st.sampled_from(['"x"', 'W/"x"', None]))
def test_whatever_breaks_the_bytes_are_the_servers(site, tmp_path_factory, cuts, size, ranges,
                                                   etag):
    path = tmp_path_factory.mktemp("any") / "a"
    url = site.add("/a", *(answer(cut=cut, use_range=ranges, etag=etag) for cut in cuts),
                   answer(etag=etag), body=BODY[:size])
    fetch(url, path, attempts=20)
    assert path.read_bytes() == BODY[:size] and names(path.parent) == ["a"]


def silent(handler, after=None, seconds=2):
    """Say nothing: at all, or after so many bytes of the body."""
    if after is not None:
        proper(handler, cut=after)
        handler.wfile.flush()
    threading.Event().wait(seconds)  # not time.sleep, which the tests replace
    handler.close_connection = True


@pytest.mark.parametrize("after", [None, HALF])
def test_a_silent_server_is_asked_again(site, tmp_path, monkeypatch, after):
    monkeypatch.setattr(fetching, "TIMEOUT", 0.5)
    fetch(site.add("/a", lambda handler: silent(handler, after)), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY and len(site.requests) >= 2


def test_attempts_are_limited_and_then_one_sentence_says_what_to_do(site, tmp_path, waits):
    path = tmp_path / "a"
    url = site.add("/a", answer(cut=HALF), *[status(503)] * 10)
    said = fails(url, path, "the server says 503 Service Unavailable", attempts=4)
    assert f"goes on after {HALF:,} bytes" in said and f"put it at {path}" in said
    assert len(site.requests) == 1 + 4 and names(tmp_path) == [f"a.part-{len(BODY)}%20%221%22"]
    assert waits == [1, 2, 4]
    fetch(site.add("/a"), path)  # the same command again
    assert path.read_bytes() == BODY and site.ranges()[-1] == f"bytes={HALF}-"


def test_attempts_that_bring_something_new_do_not_count(site, tmp_path):
    url = site.add("/a", *(answer(cut=cut) for cut in range(1000, 21_000, 1000)))
    fetch(url, tmp_path / "a", attempts=2)
    assert (tmp_path / "a").read_bytes() == BODY and len(site.requests) == 21


def test_a_server_that_always_breaks_at_the_same_place_is_given_up(site, tmp_path):
    url = site.add("/a", *[answer(cut=HALF, use_range=False)] * 100)
    fails(url, tmp_path / "a", "goes on after", attempts=5)
    assert len(site.requests) == 5


@pytest.mark.parametrize("text, low, high", [
    ("7", 7, 7), ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 1),
    (lambda: email.utils.formatdate(time.time() + 100, usegmt=True), 98, 100)])
def test_retry_after_is_honoured(site, tmp_path, waits, text, low, high):
    header = {"Retry-After": text() if callable(text) else text}
    fetch(site.add("/a", status(429, **header)), tmp_path / "a")
    assert low <= sum(waits) <= high


@pytest.mark.parametrize("code", [204, 304, 403, 404])
def test_what_another_attempt_cannot_mend_is_said_at_once(site, tmp_path, code):
    said = fails(site.add("/a", status(code)), tmp_path / "a", f"the server says {code} ")
    assert said.startswith(f"{site.address}/a: ") and len(site.requests) == 1
    assert names(tmp_path) == []


@pytest.mark.parametrize("url, message", [
    ("http://no-such-host.invalid/a",
     "no-such-host.invalid/a: Name or service not known: the same command"),
    ("http://127.0.0.1:1/a", "127.0.0.1:1/a: Connection refused: the same command"),
])
def test_without_a_network_one_sentence_names_the_host_and_a_way_out(
        tmp_path, monkeypatch, waits, url, message):
    def unknown(*_):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    if "no-such-host" in url:
        monkeypatch.setattr(socket, "getaddrinfo", unknown)
    said = fails(url, tmp_path / "a", message, attempts=3)
    assert f"fetch it elsewhere and put it at {tmp_path}/a" in said and len(waits) == 1
    assert names(tmp_path) == []


@pytest.mark.parametrize("url", ["http://", "http://a b/c", "http://[/c", "http://x:99999999/c"])
def test_an_address_that_is_none_is_refused(tmp_path, url):
    fails(url, tmp_path / "a", "", error=(OSError, ValueError))
    assert names(tmp_path) == []


def test_a_connection_that_is_not_secure_is_not_tried_again(site, tmp_path, waits):
    url = site.add("/a").replace("http:", "https:")
    fails(url, tmp_path / "a", "SSL")
    assert not waits and names(tmp_path) == []


def test_redirects_are_followed_to_where_the_file_is(site, tmp_path):
    site.add("/real", answer(cut=HALF))
    url = site.add("/a", *[status(302, Location="/real")] * 2)
    fetch(url, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY and site.ranges()[-1] == f"bytes={HALF}-"
    site.add("/a", *[status(302, Location="/a")] * 99)
    fails(url, tmp_path / "b", "redirects")


def test_a_body_in_chunks_without_a_length_is_complete_when_it_says_so(site, tmp_path):
    def chunked(handler, blocks=(BODY[:HALF], BODY[HALF:], b"")):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("ETag", handler.site.etag)
        handler.end_headers()
        for block in blocks:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(block), block))
        handler.close_connection = True
    fetch(site.add("/a", chunked), tmp_path / "a")
    url = site.add("/b", lambda handler: chunked(handler, [BODY[:HALF]]))
    fetch(url, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == BODY
    assert site.ranges() == [None, None, f"bytes={HALF}-"]


def test_a_body_that_comes_compressed_against_our_wish_is_refused(site, tmp_path):
    packed = answer(headers={"Content-Encoding": "gzip"})
    data = gzip.compress(BODY)
    fails(site.add("/a.txt", packed, body=data), tmp_path / "a.txt", "in another form (gzip)")
    fetch(site.add("/a.txt.gz", packed, body=data), tmp_path / "a.txt.gz")  # as it lies there
    assert (tmp_path / "a.txt.gz").read_bytes() == data


# ------------------------------------------------------------------- Files that change or are wrong

@pytest.mark.parametrize("second", [
    answer(etag='"2"'),                                      # 200, as If-Range asks for
    answer(use_range=False),                                 # 200 whatever is asked for
    lambda handler: wrong_range(handler, etag='"2"'),        # 206 of another version
    lambda handler: wrong_range(handler, begin=HALF - 1),    # 206 of another place
    lambda handler: wrong_range(handler, begin=HALF - 9, end=len(BODY) - 9),
    lambda handler: wrong_range(handler, total=len(BODY) + 1),
    lambda handler: wrong_range(handler, headers={"Content-Range": "bytes"}),
    lambda handler: wrong_range(handler, etag=None),
    status(416),
])
def test_what_cannot_be_continued_begins_anew(site, tmp_path, second):
    """What comes first is not BODY, so that any byte of it that stayed would show."""
    url = site.add("/a", answer(cut=HALF), body=bytes(len(BODY)))
    fails(url, tmp_path / "a", "", attempts=1)
    assert (tmp_path / f"a.part-{len(BODY)}%20%221%22").read_bytes() == bytes(HALF)
    fetch(site.add("/a", second), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY and names(tmp_path) == ["a"]


def wrong_range(handler, begin=HALF, end=len(BODY), total=len(BODY), etag='"1"', headers={}):
    handler.send_response(206)
    for name, value in {"Content-Range": f"bytes {begin}-{end - 1}/{total}", "ETag": etag,
                        "Content-Length": end - begin, **headers}.items():
        if value is not None:
            handler.send_header(name, str(value))
    handler.end_headers()
    handler.wfile.write(BODY[begin:end])


def test_a_server_may_send_less_than_the_rest_but_not_more(site, tmp_path):
    def more(handler):
        wrong_range(handler, headers={"Content-Length": len(BODY) - HALF + 5})
        handler.wfile.write(b"extra")
    site.add("/a", answer(cut=HALF), lambda handler: wrong_range(handler, end=HALF + 1000))
    fetch(site.address + "/a", tmp_path / "a")
    site.add("/b", answer(cut=HALF), more)
    fetch(site.address + "/b", tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == BODY
    assert site.ranges() == [None, f"bytes={HALF}-", f"bytes={HALF + 1000}-",
                             None, f"bytes={HALF}-", None]


def test_only_a_validator_that_promises_the_same_bytes_is_relied_on(site, tmp_path):
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    dated = {"etag": 'W/"1"', "headers": {"Last-Modified": date}}
    fetch(site.add("/a", answer(cut=HALF, etag='W/"1"')), tmp_path / "a")
    assert site.ranges() == [None, None]
    fetch(site.add("/b", answer(cut=HALF, **dated), answer(**dated)), tmp_path / "b")
    assert site.requests[-1][1]["If-Range"] == date
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == BODY


def test_a_part_that_is_complete_only_gets_its_name(site, tmp_path):
    """Killed between the last byte and the name: the server says that there is no more."""
    (tmp_path / f"a.part-{len(BODY)}%20%221%22").write_bytes(BODY)
    fetch(site.add("/a"), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY and len(site.requests) == 1
    assert names(tmp_path) == ["a"]


def test_a_wrong_checksum_is_named_and_the_part_deleted(site, tmp_path):
    url = site.add("/a") + "#sha256=" + sha256(b"other")
    said = fails(url, tmp_path / "a", sha256(BODY), error=ValueError)
    assert sha256(b"other") in said and names(tmp_path) == []
    assert fetch(site.address + "/a#sha256=" + sha256(BODY), tmp_path / "a") is True
    fails(site.address + "/a#sha256=abc", tmp_path / "b", "'abc' is no sha256", error=ValueError)


def test_hugging_faces_checksum_is_taken_from_the_redirect(site, tmp_path):
    """Its storage has ETags of its own, so the sha256 tells whether the version is the same."""
    def moved(linked):
        return status(302, Location="/stored", **{"X-Linked-ETag": f'"{linked}"'})

    site.add("/stored", answer(cut=HALF, etag='"a"'), answer(etag='"b"'))
    url = site.add("/a", moved(sha256(BODY)), moved(sha256(BODY)))
    fetch(url, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY
    assert site.ranges()[-1] == f"bytes={HALF}-" and "If-Range" not in site.requests[-1][1]
    site.add("/stored")
    site.add("/a", moved(sha256(b"other")))
    fails(url, tmp_path / "b", sha256(b"other"), error=ValueError)
    site.add("/stored", answer(cut=HALF))  # the file changes between two attempts
    site.add("/a", moved(sha256(b"other")), moved(sha256(BODY)), moved(sha256(BODY)))
    fetch(url, tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == BODY
    site.add("/a", moved("0" * 40))        # a small file's is git's own
    fetch(url, tmp_path / "d")


def test_what_is_there_is_not_fetched_again_if_it_is_right(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(BODY)
    nowhere = "http://127.0.0.1:1/a"
    assert fetch(nowhere, path) is False
    assert fetch(f"{nowhere}#sha256={sha256(BODY)}", path) is False
    with pytest.raises(ValueError, match=f"{path}: its sha256 is {sha256(BODY)}, not {'0' * 64}"):
        fetch(f"{nowhere}#sha256={'0' * 64}", path)
    assert path.read_bytes() == BODY and names(tmp_path) == ["a"]


# ------------------------------------------------------------------------------ Disks and processes

def test_a_full_disk_is_said_and_the_part_stays(site, tmp_path):
    """No file may grow over 64 KB: what the system says is another word for a disk that is full."""
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
    url = site.add("/a.txt")
    done = subprocess.run([sys.executable, SCRIPT, url, "--out", tmp_path], capture_output=True,
                          text=True, preexec_fn=limit)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "File too large: the same command goes on after 65,536 bytes" in done.stderr
    fetch(url, tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_bytes() == BODY and site.ranges() == [None, "bytes=65536-"]


@pytest.mark.parametrize("sign, code", [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_killed_download_goes_on_with_the_same_command(site, tmp_path, sign, code):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    url = site.add("/a.txt", lambda handler: silent(handler, len(BODY) - 10, 10))
    command = [sys.executable, SCRIPT, url, "--out", tmp_path]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    part = tmp_path / f"a.txt.part-{len(BODY)}%20%221%22"
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size >= HALF) and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    fails(url, tmp_path / "a.txt", "another process is at work there", ValueError)
    process.send_signal(sign)
    assert process.wait() == code and b"Traceback" not in process.stderr.read()
    have = part.stat().st_size
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and f"next: python train.py --data {tmp_path}/a.txt" in done.stdout
    assert (tmp_path / "a.txt").read_bytes() == BODY and names(tmp_path) == ["a.txt"]
    assert have >= HALF and site.ranges() == [None, f"bytes={have}-"]


# --------------------------------------------------------------------------- Names, lists, archives

@pytest.mark.parametrize("end", ["", "/", "/a/..", "/%2e%2e", "/..%2f..%2fetc%2fpasswd", "/%2fetc",
                                 "/a/.bashrc", "/a%00b", "/a%0ab", "/..%5ca", "/a/.",
                                 "/a/?b=c.txt"])
def test_an_address_cannot_name_a_file_elsewhere(site, tmp_path, end):
    with pytest.raises(SystemExit) as caught:
        command(site.address + end, "--out", tmp_path / "out")
    assert "does not end in a file's name" in caught.value.code and names(tmp_path) == []
    with pytest.raises(ValueError, match=r"^http://\[::1/x: "):
        download.file_name("http://[::1/x")


def command(*arguments):
    cli.run(lambda: cli.dispatch("", download.COMMANDS, [*map(str, arguments)]))


def test_the_table_is_well_formed(capsys):
    command()
    listed = capsys.readouterr().out
    for name, corpus in download.table().items():
        assert re.search(f"^{name} ", listed, re.MULTILINE)
        urls = [*corpus.files, *corpus.numbered]
        files = [download.file_name(url) for url in urls]
        assert len(set(files)) == len(files) > 0 or corpus.hub
        for url in urls:
            address, _, fragment = url.partition("#")
            assert re.fullmatch(r"https://[\w./-]+", address)
            assert not fragment or re.fullmatch(r"sha256=[0-9a-f]{64}", fragment)
        if corpus.then:
            corpus.then.format(out="x")
    assert len(download.table()["fineweb-edu-100bt"].numbered) == 140
    assert download.table()["fineweb-gpt2"].numbered[0].endswith("/fineweb_train_000001.bin")


@pytest.mark.parametrize("name, file", [
    ("shakespeare", "text/tinyshakespeare.txt"), ("wikitext-2", "text/wikitext-2-valid.txt"),
    ("gpt2", "tokenizers/gpt2/vocab.bpe"), ("gpt2", "tokenizers/gpt2/encoder.json"),
    ("cl100k_base", "tokenizers/openai/cl100k_base.tiktoken"),
    ("o200k_base", "tokenizers/openai/o200k_base.tiktoken")])
def test_the_tables_checksums_are_those_of_the_real_files(name, file):
    path = ROOT.parent / "shared" / "real" / file
    if not path.exists():
        pytest.skip(f"{path} is not there")
    assert any(url.endswith("#sha256=" + fetching.digest(path))
               for url in download.table()[name].files)


@pytest.mark.parametrize("files, count", [(None, 1), ("1", 1), ("14", 14), ("0.1", 2), ("1.0", 14),
                                          ("1e-9", 1)])
def test_numbered_files_are_taken_by_number_or_fraction(files, count):
    corpus = download.table()["fineweb-edu"]
    assert download.choose(corpus, files) == corpus.numbered[:count]
    both = download.table()["fineweb-gpt2"]
    assert download.choose(both, "2") == [*both.files, *both.numbered[:2]]


@pytest.mark.parametrize("files", ["0", "15", "-1", "1.5", "nan", "inf", "x", "", "²", "9" * 5000])
def test_more_files_than_there_are_is_an_error(files):
    with pytest.raises(ValueError, match="there are 14 numbered files"):
        download.choose(download.table()["fineweb-edu"], files)
    with pytest.raises(ValueError, match="none is numbered"):
        download.choose(download.table()["gsm8k"], files)


def test_an_unknown_name_is_an_error_that_names_the_known_ones(tmp_path):
    with pytest.raises(SystemExit, match="'fineweb-eu' is none of shakespeare, .*fineweb-edu"):
        command("fineweb-eu", "--out", tmp_path / "out")
    assert names(tmp_path) == []


def test_the_first_files_of_a_dump_are_those_of_its_list(site, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(download, "CRAWL", site.address + "/")
    paths = [f"crawl-data/CC-MAIN-2025-26/segments/1/warc/{i}.warc.gz" for i in range(5)]
    site.add("/crawl-data/CC-MAIN-2025-26/warc.paths.gz",
             body=gzip.compress("".join(path + "\n" for path in paths).encode()))
    for path in paths:
        site.add("/" + path, body=path.encode())
    command("CC-MAIN-2025-26", "--files", "2", "--out", tmp_path)
    assert f"next: python data/web.py {tmp_path}\n" in capsys.readouterr().out
    assert names(tmp_path) == ["0.warc.gz", "1.warc.gz", "CC-MAIN-2025-26-warc.paths.gz"]
    assert (tmp_path / "1.warc.gz").read_text() == paths[1]
    (tmp_path / "CC-MAIN-2025-26-warc.paths.gz").write_bytes(b"no list")
    with pytest.raises(SystemExit, match="warc.paths.gz: not a list of files .*: remove it"):
        command("CC-MAIN-2025-26", "--out", tmp_path)


def test_tokenizers_go_where_tiktoken_looks_for_them(site, tmp_path, monkeypatch):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "cache"))
    url = site.add("/x.tiktoken", body=b"IQ== 0\n")
    fragment = "#sha256=" + sha256(b"IQ== 0\n")
    monkeypatch.setitem(download.table(), "x", download.Corpus(None, [url + fragment],
                                                             tiktoken=True))
    command("x")
    assert tiktoken.load.load_tiktoken_bpe(url, fragment[8:]) == {b"!": 0}
    assert len(site.requests) == 1
    command("x", "--out", tmp_path / "plain")
    assert names(tmp_path / "plain") == ["x.tiktoken"]


def archive(**members):
    """An archive as UT1 has them; a member is its bytes, or a TarInfo's type and link."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            else:
                info.type, info.linkname = content
                tar.addfile(info)
    return data.getvalue()


def test_blocklists_are_unpacked_and_nothing_else(site, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "UT1", site.address + "/")
    out = tmp_path / "out"
    url = site.add("/adult.tar.gz", body=archive(**{
        "adult": (tarfile.DIRTYPE, ""), "adult/domains": b"a.example\nb.example\n",
        "adult/urls": b"c.example/d\n", "adult/usage": b"black\n", "../evil/domains": b"x",
        "/evil/domains": b"x", "adult/../../evil/urls": b"x", "a/b/domains": b"x",
        "evil": (tarfile.SYMTYPE, str(tmp_path)), "evil/domains": (tarfile.SYMTYPE, "/etc/passwd"),
        "hard/domains": (tarfile.LNKTYPE, "adult/domains"), "fifo/urls": (tarfile.FIFOTYPE, "")}))
    command(url, "--out", out)
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert found == ["out", "out/adult", "out/adult.tar.gz", "out/adult/domains", "out/adult/urls"]
    assert (out / "adult/domains").read_bytes() == b"a.example\nb.example\n"


def test_a_damaged_archive_is_an_error_and_leaves_no_list(tmp_path, monkeypatch):
    whole = archive(**{"adult/domains": b"".join(b"%d.example\n" % i for i in range(9999))})
    path = tmp_path / "adult.tar.gz"
    for data in (*(whole[:n] for n in range(0, len(whole), len(whole) // 40)), b"no archive",
                 whole[:99] + b"zzzz" + whole[103:], gzip.compress(b"no tar"), archive(x=b"")):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=f"^{path}: "):
            download.unpack(path, tmp_path)
        assert names(tmp_path) == ["adult.tar.gz"]
    path.write_bytes(whole)
    monkeypatch.setattr(download, "LONGEST_LIST", 1000)
    with pytest.raises(ValueError, match="adult/domains would have"):
        download.unpack(path, tmp_path)


def test_a_folder_that_is_a_file_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SystemExit, match=f"{tmp_path}/file"):
        command("http://127.0.0.1:1/a.txt", "--out", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
