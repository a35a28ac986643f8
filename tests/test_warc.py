"""Pages out of WARC files: in any ranges, out of any damage, in bounded memory."""
import gzip
import io
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.crawl import warc
from data.tokens.documents import WARC, find_files

REAL = Path(__file__).resolve().parents[1].parent / "shared" / "real" / "web"
HTML = "Content-Type: text/html; charset=utf-8"
WHOLE = 1 << 62
SIZE = 256 << 20     # of bombs


def record(payload, kind="response", number=0, length=None, more=""):
    """A WARC record; `length` lies."""
    length = len(payload) if length is None else length
    if kind == "response":
        more += "Content-Type: application/http; msgtype=response\r\n"
    return (f"WARC/1.1\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://site.test/{number}\r\n"
            f"WARC-Date: 2024-05-18T01:58:10Z\r\n{more}Content-Length: {length}\r\n\r\n"
            ).encode() + payload + b"\r\n\r\n"


def http(body, headers=HTML, status="200 OK"):
    return f"HTTP/1.1 {status}\r\n{headers}\r\n\r\n".encode() + body


def page(number, body=None, **other):
    body = b"<p>page %d</p>" % number if body is None else body
    return record(http(body), number=number, **other)


def read(tmp_path, data, size=WHOLE):
    """The pages of a file of these bytes, read in ranges of `size`, and what was counted."""
    path, problems = tmp_path / "test.warc", Counter()
    path.write_bytes(data)
    found = [page for start, end in warc.splits(path, size)
             for page in warc.pages(path, start, end, problems)]
    return found, problems


def numbers(found):
    return [int(page.url.rpartition("/")[2]) for page in found]


FILES = {"plain": lambda records: b"".join(records),
         "a member each": lambda records: b"".join(map(gzip.compress, records)),
         "one member": lambda records: gzip.compress(b"".join(records))}


@pytest.mark.parametrize("form", FILES)
def test_pages_come_as_they_were_written(tmp_path, form):
    other = [record(b"software: x", "warcinfo"), record(b"GET / HTTP/1.1\r\n\r\n", "request")]
    found, problems = read(tmp_path, FILES[form](other + [page(i) for i in range(3)] + other))
    assert found == [warc.Page(f"http://site.test/{i}", "2024-05-18T01:58:10Z",
                               "text/html; charset=utf-8", b"<p>page %d</p>" % i, None)
                     for i in range(3)]
    assert not problems                          # other records are no pages that are missing


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize("size", [1, 2, 7, 100, 333, 1000])
def test_any_ranges_give_the_same_pages_and_count_the_same(tmp_path, form, size):
    records = [page(0), page(1, b"x" * 700), page(2, b""), page(3),
               record(http(b"no", status="404 Not Found"), number=4), page(5)]
    data = FILES[form](records)
    whole = read(tmp_path, data)
    assert numbers(whole[0]) == [0, 1, 2, 3, 5] and whole[1] == {"status not 200": 1}
    assert read(tmp_path, data, size) == whole


def test_what_is_no_page_is_counted_by_its_reason(tmp_path):
    found, problems = read(tmp_path, b"".join([
        record(http(b"moved", status="301 Moved")),
        record(http(b"\x89PNG", headers="Content-Type: image/png")),
        record(b"\0\1binary"),
        record(b"IP", "resource"),
        record(http(b"\x1f\x8b\0 not gzip", HTML + "\r\nContent-Encoding: gzip")),
        page(1)]))
    assert numbers(found) == [1]
    assert problems == {"status not 200": 1, "not HTML": 2, "not HTTP": 1, "damaged encoding": 1}


def test_a_page_without_type_or_date_has_empty_ones(tmp_path):
    data = record(http(b"<p>", headers="Server: x")).replace(b"2024-05-18T01:58:10Z", b"yesterday")
    (page,), _ = read(tmp_path, data)
    assert (page.content_type, page.date, page.body) == ("", "", b"<p>")


def test_a_wet_record_gives_its_text(tmp_path):
    text = "A line.\nAnother: \u4e2d\u6587\n"
    data = gzip.compress(record(b"", "warcinfo")) + gzip.compress(
        record(text.encode() + b"\0\xff", "conversion", more="Content-Type: text/plain\r\n"))
    (page,), _ = read(tmp_path, data)
    assert (page.text, page.body, page.content_type) == (text + "\ufffd", b"", "text/plain")


@pytest.mark.parametrize("kind, url, expected", [
    ("text/html", "http://site.test/0", True), ("text/dns", "http://site.test/0", False),
    ("text/html; charset=utf-8", "FTP://site.test/0", True),
    ("application/xhtml+xml", "https://site.test/0", True),
    ("text/plain", "metadata://gnu.org/software/wget/warc/MANIFEST.txt", False),
    ("text/dns", "dns:site.test", False)])
def test_a_resource_record_is_a_page_if_it_is_html_from_somewhere(tmp_path, kind, url, expected):
    data = record(b"<p>\xc3\xa9", kind="resource", more=f"Content-Type: {kind}\r\n")
    found, problems = read(tmp_path, data.replace(b"http://site.test/0", url.encode()))
    assert [(p.content_type, p.body) for p in found] == [(kind, b"<p>\xc3\xa9")] * expected
    assert problems == ({} if expected else {"not HTML": 1})


@pytest.mark.parametrize("told, found, content_type", [
    ("application/octet-stream", "text/html", "text/html"),
    ("text/plain; charset=koi8-r", "text/html", "text/html; charset=koi8-r"),
    ("", "application/xhtml+xml", "application/xhtml+xml"), ("", "image/png", None),
    ("image/png", "image/png", None), ("text/html", "application/pdf", "text/html"),
    ("text/html; charset=a", "text/html; charset=b", "text/html; charset=a")])
def test_what_a_crawler_found_in_a_page_goes_before_a_server_that_says_less(
        tmp_path, told, found, content_type):
    headers = f"Content-Type: {told}" if told else "X: y"
    data = record(http(b"<p>", headers), more=f"WARC-Identified-Payload-Type: {found}\r\n")
    pages, problems = read(tmp_path, data)
    assert [page.content_type for page in pages] == ([content_type] if content_type else [])
    assert problems == ({} if content_type else {"not HTML": 1})


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def chunked(data, size=10):
    chunks = [data[i:i + size] for i in range(0, len(data), size)] + [b""]
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)


@pytest.mark.parametrize("headers, pack", [
    ("Content-Encoding: gzip", gzip.compress), ("Content-Encoding: X-GZIP", gzip.compress),
    ("Content-Encoding: deflate", zlib.compress), ("Content-Encoding: deflate", raw_deflate),
    ("Content-Encoding: br", brotli.compress), ("Transfer-Encoding: chunked", chunked),
    ("Content-Encoding: identity", bytes), ("Content-Encoding: gzip", bytes),
    ("Transfer-Encoding: chunked", bytes), ("Content-Encoding: made-up", bytes),
    ("Content-Encoding: br, gzip", lambda body: gzip.compress(brotli.compress(body))),
    ("Transfer-Encoding: chunked\r\nContent-Encoding: gzip",
     lambda body: chunked(gzip.compress(body)))])
def test_encodings_are_undone_and_lies_about_them_survive(tmp_path, headers, pack):
    body = b"<p>" + b"It is said that foxes see geese. " * 20
    (page,), _ = read(tmp_path, record(http(pack(body), f"{HTML}\r\n{headers}")))
    assert page.body == body


def bomb(size):
    packer = zlib.compressobj(9, wbits=31)
    piece = bytes(1 << 20)
    return b"".join([packer.compress(piece) for _ in range(size >> 20)] + [packer.flush()])


BOMBS = """
import resource, sys
from collections import Counter
from data.crawl import warc
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
problems = Counter()
found = [page.url for page in warc.pages(sys.argv[1], 0, 1 << 62, problems)]
print(found, dict(problems))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before >> 10)
"""


@pytest.mark.parametrize("kind", ["content", "member", "sparse", "headers"])
def test_bombs_and_huge_records_are_streamed_past(tmp_path, kind):
    path = tmp_path / ("test.warc" if kind == "sparse" else "test.warc.gz")
    with open(path, "wb") as file:
        if kind == "sparse":
            file.write(record(b"", length=1 << 31)[:-4])
            file.seek(1 << 31, io.SEEK_CUR)
            file.write(b"\r\n\r\n" + page(1))
        else:
            packer = zlib.compressobj(1, wbits=31)
            head = {"content": http(bomb(SIZE), HTML + "\r\nContent-Encoding: gzip"),
                    "member": None, "headers": None}[kind]
            if head is not None:
                file.write(gzip.compress(record(head)))
            else:
                begin = record(b"", length=SIZE)[:-4]
                file.write(packer.compress(begin[:40] if kind == "headers" else begin))
                for _ in range(SIZE >> 20):
                    file.write(packer.compress(bytes(1 << 20)))
                file.write(packer.flush())
            file.write(gzip.compress(page(1)))
    done = subprocess.run([sys.executable, "-c", BOMBS, path], capture_output=True, text=True,
                          cwd=Path(__file__).resolve().parents[1])
    assert done.returncode == 0, done.stderr
    told, megabytes = done.stdout.splitlines()
    assert told.startswith("['http://site.test/1']")
    assert (warc.DAMAGED if kind == "headers" else warc.TOO_LONG) in told
    assert int(megabytes) < 100


@pytest.mark.parametrize("lie", [5, 60, 400, 10**9, 10**15 - 1])
@pytest.mark.parametrize("form", ["plain", "a member each"])
def test_a_length_that_lies_costs_no_other_page(tmp_path, form, lie):
    records = [page(0), page(1, length=lie), page(2), page(3), page(4)]
    found, problems = read(tmp_path, FILES[form](records))
    assert [n for n in numbers(found) if n != 1] == [0, 2, 3, 4]
    assert problems
    if form == "plain":
        assert problems[warc.DAMAGED] == 1
    assert read(tmp_path, FILES[form](records), 50) == (found, problems)


@pytest.mark.parametrize("bad", [b"WARC/1.0\r\n\r\n", b"WARC/1.0\r\nWARC-Type: response\r\n\r\n",
                                 b"WARC/1.0\r\nContent-Length: -5\r\n\r\n", b"junk\r\n" * 9,
                                 b"\0" * 3000 + b"\n", b"WARC/9\r\n", page(7)[:60] + b"\n",
                                 b"<html>\r\nWARC/1.0 is a format\r\n"])
@pytest.mark.parametrize("form", ["plain", "a member each"])
def test_a_record_without_headers_or_none_at_all_costs_no_other_page(tmp_path, form, bad):
    found, problems = read(tmp_path, FILES[form]([page(0), bad, page(1), page(2)]))
    assert numbers(found) == [0, 1, 2]
    assert sum(problems.values()) == problems[warc.DAMAGED] > 0
    assert read(tmp_path, FILES[form]([page(0), bad, page(1), page(2)]), 50) == (found, problems)
    found, _ = read(tmp_path, FILES[form]([bad, page(1), page(2)]))
    assert numbers(found) == [1, 2]


@pytest.mark.parametrize("data", [b"", b"<html>" * 1000, gzip.compress(b"<html>" * 100), b"\0" * 99,
                                  b"\x1f\x8b\x08", b"\x1f\x8b\x08" * 50000, b"PK\3\4" * 99],
                         ids=range(7))
def test_what_is_not_a_warc_has_no_pages_and_says_so(tmp_path, data):
    found, problems = read(tmp_path, data)
    assert not found and (problems == {"not a WARC": 1} or not data)


def small_file(form):
    return FILES[form]([page(0), page(1), page(2)])


@pytest.mark.parametrize("form", FILES)
def test_a_file_cut_anywhere_has_the_pages_before_the_cut(tmp_path, form):
    data = small_file(form)
    ends = [len(FILES[form]([page(i) for i in range(n)])) for n in range(4)]
    for cut in range(len(data)):
        found, problems = read(tmp_path, data[:cut])
        least = sum(cut >= end for end in ends[1:]) if form != "one member" else 0
        assert numbers(found) == list(range(len(found))) and len(found) >= least
        assert len(found) <= least + 1 or form == "one member"
        assert [page.body for page in found] == [b"<p>page %d</p>" % i for i in range(len(found))]
        assert problems or form == "one member" or cut == 0 or cut in ends or len(found) > least


@pytest.mark.parametrize("form", FILES)
def test_a_flipped_byte_costs_one_page_at_most(tmp_path, form):
    data = small_file(form)
    for at in range(len(data)):
        flipped = data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1:]
        found, _ = read(tmp_path, flipped)
        whole = [page for page in found if page.body in [b"<p>page %d</p>" % i for i in range(3)]]
        if form != "one member":
            assert len(whole) >= 2, at
        if at % 16 == 0:
            assert read(tmp_path, flipped, 50)[0] == found


@settings(max_examples=500)
@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from(
    [page(1), page(2)[:60], gzip.compress(page(3)), gzip.compress(page(4))[:50], b"WARC/1.0\r\n",
     b"\r\n\r\n", b"Content-Length: 7\r\n", b"WARC-Type: response\r\n", b"\x1f\x8b\x08"])),
    max_size=8).map(b"".join), st.integers(1, 400))
def test_no_bytes_raise_and_all_ranges_agree(tmp_path_factory, data, size):
    folder = tmp_path_factory.mktemp("any")
    assert read(folder, data, size)[0] == read(folder, data)[0]


@settings(max_examples=200)
@given(st.binary(max_size=200), st.sampled_from(["", "\r\nContent-Encoding: gzip, br",
                                                 "\r\nTransfer-Encoding: chunked"]), st.booleans())
def test_no_http_raises(data, headers, headless):
    payload = data if headless else http(data, HTML + headers)
    problems = Counter()
    found = warc.parse(record(payload)[:-4], problems)
    assert (found is None) == (sum(problems.values()) == 1)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 9), st.sampled_from(
    [b"", b"\0", b"\xff", b"\r\n", b":", b"<", b"Content-Length: 499999999999999999\r\n",
     b"Content-Encoding: gzip\r\n", b"Transfer-Encoding: chunked\r\n", b"9" * 30])), max_size=5))
def test_no_mangled_record_raises_or_takes_the_memory_that_it_claims(tmp_path_factory, edits):
    data = page(1)
    for at, removed, put in edits:
        data = data[:at] + put + data[at + removed:]
    found, problems = read(tmp_path_factory.mktemp("mangled"), data + page(2))
    for given in found:
        assert "\0" not in given.url and (given.url + given.content_type).encode() is not None
    assert 2 in numbers([page for page in found if page.url == "http://site.test/2"]) or problems


def test_the_headers_of_http_need_not_be_many_or_well_formed(tmp_path):
    for head in (b"HTTP/1.1 200\r\n", b"HTTP/1.0 200 OK\r\nno colon\r\n",
                 b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n", b"HTTP/1.1 200 OK\nX: a\n"):
        end = b"\r\n" if b"\r" in head else b"\n"
        (page,), _ = read(tmp_path, record(head + end + b"<p>body"))
        assert page.body == b"<p>body"


def test_more_blank_lines_than_fit_a_buffer_are_passed(tmp_path):
    found, problems = read(tmp_path, page(0) + b"\r\n" * warc.HEADERS + page(1))
    assert numbers(found) == [0, 1]


def test_a_file_that_cannot_be_read_is_an_oserror(tmp_path):
    with pytest.raises(OSError):
        list(warc.pages(tmp_path / "none.warc", 0, 1, Counter()))


def test_files_are_found_in_folders_and_taken_by_name(tmp_path, capsys):
    for name in ("b/2.warc.gz", "b/1.warc", "a.warc.wet.gz", "odd.bin", "A.WET"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = find_files([tmp_path, tmp_path / "odd.bin"], WARC)
    assert [path.name for path in found] == ["A.WET", "a.warc.wet.gz", "1.warc", "2.warc.gz",
                                             "odd.bin"]
    assert "1 other files skipped" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match="none.warc: no such file"):
        find_files([tmp_path / "none.warc"], WARC)
    (tmp_path / "c").mkdir()
    with pytest.raises(ValueError, match="none of 0 files is .warc"):
        find_files([tmp_path / "c"], WARC)


PAGES = {"example-bad-non-chunked.warc.gz": 1, "example-bad.warc.gz.bad": 1,
         "example-digest.warc": 0, "example-iana.org-chunked.warc": 1,
         "example-resource.warc.gz": 1, "example-space-in-target-uri.warc.gz": 0,
         "example-trunc.warc": 1, "example-wget-bad-target-uri.warc.gz": 1,
         "example-wrong-chunks.warc.gz": 1, "example.warc": 1, "example.warc.gz": 1,
         "post-test.warc.gz": 0, "resiliparse-warcfile.warc.gz": 16, "whirlwind.warc.gz": 1,
         "whirlwind.warc.wet.gz": 1}


@pytest.mark.parametrize("name", PAGES)
def test_real_files_good_and_damaged_give_their_pages_in_any_ranges(name):
    path = REAL / "warc" / name
    if not path.exists():
        pytest.skip(f"{path} is absent")
    whole = list(warc.pages(path, 0, WHOLE, Counter()))
    assert len(whole) == PAGES[name]
    for size in (37, 1000, 20000):
        parts = [page for start, end in warc.splits(path, max(size, path.stat().st_size // 400))
                 for page in warc.pages(path, start, end, Counter())]
        assert parts == whole


def test_real_pages_are_those_of_fastwarc():
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    for path in (REAL / "pages" / "pages_given.warc.gz",
                 REAL / "warc" / "resiliparse-warcfile.warc.gz"):
        if not path.exists():
            pytest.skip(f"{path} is absent")
        theirs = [(record.headers["WARC-Target-URI"].strip(), record.reader.read())
                  for record in ArchiveIterator(str(path), record_types=WarcRecordType.response)]
        ours = [(page.url, page.body) for page in warc.pages(path, 0, WHOLE, Counter())]
        assert ours == theirs
