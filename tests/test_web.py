"""data/web.py: every stage rejects its own, the report adds up, and neither kills nor the number of
workers change a byte."""

import errno
import fcntl
import gzip
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from itertools import islice
from pathlib import Path

import pytest

import programs
from csrc.files import locked
from data.crawl import pipeline
from data.pocket import pages as world
from data.crawl.pipeline import STAGES, Settings
from data.tokens.documents import documents as documents_in

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "data" / "web.py"


# ---- A small crawl -----------------------------------------------------------------------------


def record(url, body, status="200 OK", kind="text/html; charset=utf-8",
           date="2026-01-02T03:04:05Z"):
    """A response record, compressed as Common Crawl does."""
    body = body.encode() if isinstance(body, str) else body
    http = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n\r\n".encode() + body
    head = (f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Date: {date}\r\nWARC-Target-URI: {url}\r\n"
            f"WARC-Record-ID: <urn:uuid:{hashlib.md5(url.encode()).hexdigest()}>\r\n"
            f"Content-Type: application/http; msgtype=response\r\n"
            f"Content-Length: {len(http)}\r\n\r\n")
    return gzip.compress(head.encode() + http + b"\r\n\r\n", mtime=0)


def html(title, text):
    paragraphs = "".join(f"<p>{p}</p>" for p in text.split("\n") if p)
    return (f"<!DOCTYPE html><html lang=en><head><meta charset=utf-8><title>{title}</title></head>"
            f"<body><nav><a href=/>Home</a> <a href=/all>All pages</a></nav><main><article>"
            f"<h1>{title}</h1>{paragraphs}</article></main><footer>Imprint</footer></body></html>")


GERMAN = """Die kleine Stadt liegt an einem breiten Fluss und hat einen alten Markt. Am Morgen
kommen die Bauern mit ihren Wagen und verkaufen Obst, Brot und frische Eier. Die Kinder laufen nach
der Schule zum Ufer und werfen Steine ins Wasser. Im Winter friert der Fluss manchmal zu, und dann
gehen alle Leute auf das Eis. Niemand weiß, wer die Brücke gebaut hat, aber jeder geht gern darüber.
"""


@pytest.fixture(scope="session")
def stories():
    """41 texts that no filter rejects, of some hundred words."""
    found = (page for page in world.documents(7, 2 << 20) if page["kind"] == "story")
    return [(page["title"], page["text"].split("\n", 2)[2]) for page in islice(found, 41)]


@pytest.fixture(scope="session")
def crawl(stories, tmp_path_factory):
    """A folder of WARC files: 40 good pages, and one for each stage to reject."""
    folder = tmp_path_factory.mktemp("crawl") / "pages"
    good = [record(f"https://tales.example/{i}", html(*story))
            for i, story in enumerate(stories[:40])]
    title, text = stories[0]
    bad = [record("https://tales.example/gone", html(*stories[1]), status="404 Not Found"),
           record("https://casino-royal.example/win", html(*stories[2])),
           record("https://tales.example/empty", "<html><body></body></html>"),
           record("https://tales.example/de", html("Der Fluss", GERMAN * 2)),
           record("https://tales.example/again", html("Again", "\n".join([text[:200]] * 12))),
           record("https://tales.example/short", html("Short", text[:120])),
           record("https://tales.example/lorem", html(title, text + "\nLorem ipsum dolor sit.")),
           record("https://mirror.example/0", html(title, text))]
    personal = record("https://tales.example/mail",
                      html(stories[40][0], stories[40][1] + "\nWrite to mara.fell@post.example, "
                           "or to her brother, who reads every letter twice."))
    lists = folder.parent / "lists" / "gambling"
    lists.mkdir(parents=True)
    folder.mkdir()
    (lists / "domains").write_text("casino-royal.example\n")
    (folder / "a.warc.gz").write_bytes(b"".join(good[:25] + bad[:4]))
    (folder / "b.warc.gz").write_bytes(b"".join(bad[4:] + good[25:] + [personal]))
    (folder / "c.warc.gz").write_bytes(good[0][:-20])                     # damaged
    return folder


@pytest.fixture
def settings(crawl):
    return Settings(blocklists=(str(crawl.parent / "lists"),))


def documents(folder):
    return [json.loads(line) for path in sorted(Path(folder).glob("documents-*.jsonl.gz"))
            for line in gzip.open(path)]


def bytes_of(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(Path(folder).iterdir()) if path.suffix != ".png"}


def command(*args, cwd="."):
    return programs.run("data/web.py", *args, cwd=cwd)


# ---- What is kept and what is not --------------------------------------------------------------


@pytest.fixture(scope="module")
def result(crawl, tmp_path_factory):
    """(folder, report) of the crawl, in this process, with the rejects."""
    out = tmp_path_factory.mktemp("result") / "web"
    lists = (str(crawl.parent / "lists"),)
    return out, pipeline.run([crawl], out, Settings(blocklists=lists, keep_rejects=True), 1)


def test_each_stage_rejects_its_own_page(result):
    rejected = {row["stage"]: sum(row["rejected"].values()) for row in result[1]["funnel"]}
    assert rejected["read"] == 2                       # 404 and the damaged one
    assert all(rejected[stage] == 1 for stage in
               ("url", "extract", "language", "gopher_repetition", "gopher_quality", "c4", "dedup"))
    pages = [row["pages"] for row in result[1]["funnel"]]
    assert pages[-1] == 41 and pages == sorted(pages, reverse=True)


def test_documents_have_their_text_address_date_and_language(result, stories):
    found = {doc["url"]: doc for doc in documents(result[0])}
    assert len(found) == 41
    for i, (_, text) in enumerate(stories[:40]):
        doc = found[f"https://tales.example/{i}"]
        assert list(doc) == ["url", "date", "text", "language", "language_score"]
        assert doc["date"].startswith("2026-01-02T03:04:05") and doc["language"] == "en"
        assert 0.65 <= doc["language_score"] <= 1
        lines = [line for line in text.split("\n") if len(line.split()) > 2]     # as C4 asks
        assert set(" ".join(lines).split()) <= set(doc["text"].split()), doc["url"]
        assert "All pages" not in doc["text"] and "Imprint" not in doc["text"]


def test_personal_data_is_masked_and_counted(result):
    text = {doc["url"]: doc["text"] for doc in documents(result[0])}["https://tales.example/mail"]
    assert "mara.fell" not in text and "her brother" in text
    assert sum(result[1]["masked"].values()) == 1


def test_rejects_are_kept_with_their_reason(result):
    found = [json.loads(line) for kind in ("rejects", "duplicates")
             for path in sorted(result[0].glob(f"{kind}-*.gz")) for line in gzip.open(path)]
    funnel = {row["stage"]: row["rejected"] for row in result[1]["funnel"]}
    assert len(found) == 7 and all(doc["reason"] in funnel[doc["stage"]] for doc in found)
    assert {doc["stage"] for doc in found} == {"url", "extract", "language", "gopher_repetition",
                                               "gopher_quality", "c4", "dedup"}
    assert "html" in next(doc for doc in found if doc["stage"] == "url")


def test_the_first_of_two_duplicates_stays(result):
    urls = {doc["url"] for doc in documents(result[0])}
    assert "https://tales.example/0" in urls and "https://mirror.example/0" not in urls


def test_the_report_shows_a_sample_of_each_reason(result):
    text = (result[0] / "report.md").read_text()
    for row in result[1]["funnel"]:
        for reason, count in row["rejected"].items():
            assert f"{row['stage']}: {reason} ({count:,})" in text
    assert "https://mirror.example/0" in text and (result[0] / "report.png").stat().st_size > 10_000


def test_a_page_cannot_put_markup_into_the_report(crawl, tmp_path):
    path = tmp_path / "x.warc.gz"
    path.write_bytes(record("https://a.example/](http://b.example)<script>",
                            html("x", "&lt;script&gt;alert(1)&lt;/script&gt; [a](http://evil)")))
    pipeline.run([path, crawl / "a.warc.gz"], tmp_path / "out", Settings(), 1)
    text = (tmp_path / "out" / "report.md").read_text()
    assert "<script" not in text and "](http" not in text


@pytest.mark.parametrize("stage", STAGES)
def test_until_a_stage_writes_what_it_kept(crawl, tmp_path, result, settings, stage):
    from dataclasses import replace
    report = pipeline.run([crawl], tmp_path / "out", replace(settings, until=stage), 1)
    whole = {row["stage"]: row["pages"] for row in result[1]["funnel"]}
    found = documents(tmp_path / "out")
    assert [row["stage"] for row in report["funnel"]] == list(STAGES[:STAGES.index(stage) + 1])
    assert len(found) == whole[stage] == report["funnel"][-1]["pages"]
    assert all(doc["html"] if stage in ("read", "url") else doc["text"] for doc in found)


def test_parts_without_documents_leave_no_file_for_shards_to_refuse(stories, tmp_path, small_parts):
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "a.warc.gz").write_bytes(record("https://tales.example/de", html("Fluss", GERMAN)))
    (pages / "b.warc.gz").write_bytes(b"".join(
        record(f"https://tales.example/{i}", html(*story)) for i, story in enumerate(stories[:9])))
    pipeline.run([pages], tmp_path / "out", Settings(keep_rejects=True), 1)
    assert len(list(documents_in(tmp_path / "out"))) == 9
    assert not (tmp_path / "out" / "documents-00000.jsonl.gz").exists()


def test_tokens_are_counted_where_a_tokenizer_is_given(crawl, tmp_path):
    from data.tokens import bpe
    tokenizer = bpe.Tokenizer.from_merges([])
    tokenizer.save(tmp_path / "bytes")
    report = pipeline.run([crawl], tmp_path / "out", Settings(tokenizer=str(tmp_path / "bytes")), 1)
    last = report["funnel"][-1]
    assert last["tokens"] == last["bytes"] and report["tokens"] == "counted"


# ---- The same bytes ----------------------------------------------------------------------------


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(pipeline, "SMALLEST_PART", 3000)


def test_processes_write_the_bytes_that_one_writes(crawl, settings, tmp_path, small_parts):
    pipeline.run([crawl], tmp_path / "one", settings, 1)
    pipeline.run([crawl], tmp_path / "three", settings, 3)
    assert len(bytes_of(tmp_path / "one")) > 8
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "three")


def test_the_number_of_parts_does_not_change_the_documents(crawl, settings, tmp_path, small_parts,
                                                           result):
    pipeline.run([crawl], tmp_path / "out", settings, 1)
    assert documents(tmp_path / "out") == documents(result[0])


@pytest.mark.skipif(not shutil.which("mpirun"), reason="there is no mpirun")
def test_ranks_write_the_bytes_that_one_process_writes(crawl, settings, tmp_path):
    environment = os.environ | {"OMPI_ALLOW_RUN_AS_ROOT": "1",
                                "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    lists = "--blocklists", settings.blocklists[0]
    done = subprocess.run(["mpirun", "-n", "3", "--oversubscribe", sys.executable, "-m",
                           "mpi4py.futures", SCRIPT, crawl, "--out", tmp_path / "ranks", *lists],
                          env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    pipeline.run([crawl], tmp_path / "one", settings, 1)
    assert bytes_of(tmp_path / "ranks") == bytes_of(tmp_path / "one")


def test_a_killed_job_goes_on_and_writes_the_same_bytes(crawl, settings, tmp_path, small_parts):
    """Killed after each of its tasks, by an exception that nothing in the pipeline expects."""
    pipeline.run([crawl], tmp_path / "whole", settings, 1)

    class Killed(BaseException):
        pass

    for limit in range(1, 100):
        left = iter(range(limit % 5 + 1))
        replace, write = os.replace, pipeline.write_files

        def dying(*args):
            if next(left, None) is None:
                raise Killed
            return write(*args)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pipeline, "write_files", dying)
            patch.setattr(os, "replace", replace)
            try:
                pipeline.run([crawl], tmp_path / "killed", settings, 1)
                break
            except Killed:
                pass
    assert limit > 2 and bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")


def test_kill_9_at_any_moment_loses_nothing(crawl, settings, tmp_path):
    arguments = crawl, "--blocklists", settings.blocklists[0], "--workers", "2", "--out"
    assert command(*arguments, tmp_path / "whole").returncode == 0
    random.seed(0)
    for kill in range(4):
        process = subprocess.Popen([sys.executable, str(SCRIPT), *map(str, arguments),
                                    str(tmp_path / "killed")], stderr=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, start_new_session=True)
        time.sleep(random.uniform(0.2, 3))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert command(*arguments, tmp_path / "killed").returncode == 0
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")


def interrupted(crawl, out, send, *args):
    """(status, stderr) of a job that gets a signal when its workers are to begin. All of stderr
    has come when no process is left that could write to it."""
    job = subprocess.Popen([sys.executable, str(SCRIPT), str(crawl), "--out", str(out), "--workers",
                            "2"], stderr=subprocess.PIPE, text=True, start_new_session=True,
                           preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    while not (out / "work" / "begun.json").exists():
        assert job.poll() is None
        time.sleep(0.01)
    time.sleep(random.uniform(0, 0.5))
    send(job.pid, *args)
    return job.wait(), job.communicate(timeout=30)[1]


@pytest.mark.parametrize("send", [os.kill, os.killpg])
def test_ctrl_c_ends_a_job_and_its_workers_without_a_word(crawl, tmp_path, send):
    for i in range(2):
        assert interrupted(crawl, tmp_path / str(i), send, signal.SIGINT) == (130, "")


def test_workers_do_not_outlive_a_job_that_is_killed(crawl, tmp_path):
    status, told = interrupted(crawl, tmp_path / "out", os.kill, signal.SIGKILL)
    assert status == -signal.SIGKILL and "Traceback" not in told


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_report_that_nobody_reads_to_its_end_is_no_error(unbuffered):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, str(SCRIPT), "-h"], stdout=writer, text=True,
                          stderr=subprocess.PIPE, env=os.environ | {"PYTHONUNBUFFERED": unbuffered})
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_report_for_which_there_is_no_room_is_one_sentence(unbuffered):
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, str(SCRIPT), "-h"], stdout=full, text=True,
                              stderr=subprocess.PIPE,
                              env=os.environ | {"PYTHONUNBUFFERED": unbuffered})
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr


def test_a_finished_job_is_not_done_again(result, crawl):
    before = bytes_of(result[0])
    settings = Settings(blocklists=(str(crawl.parent / "lists"),), keep_rejects=True)
    assert pipeline.run([crawl], result[0], settings, 1) == result[1]
    assert bytes_of(result[0]) == before


# ---- Wrong input -------------------------------------------------------------------------------


def test_other_settings_for_a_folder_are_refused(result, crawl):
    before = bytes_of(result[0])
    with pytest.raises(ValueError, match="begun with other settings"):
        pipeline.run([crawl], result[0], Settings(), 1)
    assert bytes_of(result[0]) == before


def test_a_folder_of_something_else_is_refused(crawl, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="not empty"):
        pipeline.run([crawl], tmp_path, Settings(), 1)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("there", [True, False])
def test_sources_without_a_page_leave_the_folder_as_it_was(tmp_path, there):
    (tmp_path / "empty.txt").touch()
    if there:
        (tmp_path / "out").mkdir()
    done = command(tmp_path / "empty.txt", "--out", tmp_path / "out", "--workers", "1")
    assert done.returncode == 1 and "empty.txt: all files are empty" in done.stderr
    left = ["empty.txt", "out"] if there else ["empty.txt"]
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == left


def test_two_jobs_in_one_folder_are_refused(crawl, tmp_path):
    with locked(tmp_path / "out"), pytest.raises(ValueError, match="another process"):
        pipeline.run([crawl], tmp_path / "out", Settings(), 1)


def test_a_file_system_without_locks_is_no_hindrance(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")
    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(tmp_path / "out"):
        assert (tmp_path / "out").is_dir()


def test_a_folder_that_was_killed_while_it_was_begun_or_tidied_goes_on(crawl, settings, tmp_path):
    out = tmp_path / "out"
    (out / "work").mkdir(parents=True)
    (out / "work" / ".begun.json.new").write_text('{"sett')
    report = pipeline.run([crawl], out, settings, 1)
    (out / "work").mkdir()
    (out / "work" / "roots.npy").write_text("")
    assert pipeline.run([crawl], out, settings, 1) == report and not (out / "work").exists()


def test_rejects_take_the_memory_of_what_they_are_packed():
    rejects, limit = pipeline.Lines(), 64 << 20
    tracemalloc.start()
    for i in range(40):
        rejects.add({"html": str(i) + " " * (5 << 20)})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < limit
    assert len(gzip.decompress(b"".join(rejects)).splitlines()) == 40


@pytest.mark.parametrize("arguments, words", [
    (["nothing.warc.gz"], "nothing.warc.gz"),
    (["README.md"], "README.md"),
    (["--language-score", "1.5", "README.md"], "1.5"),
    (["--workers", "0", "README.md"], "0"),
    (["--language", "english", "README.md"], "english"),
    (["--bad-words", "build/libchat_cpu_f32.so", "README.md"], "libchat_cpu_f32.so"),
    (["--blocklists", "no-lists", "--", "README.md"], "no-lists"),
    (["--tokenizer", "no-tokenizer", "README.md"], "no-tokenizer"),
    (["--until", "later", "README.md"], "later"),
])
def test_wrong_arguments_are_one_sentence(tmp_path, arguments, words):
    done = command("--out", tmp_path / "out", *arguments, cwd=ROOT)
    last = done.stderr.splitlines()[-1]
    assert done.returncode and words in last and "Traceback" not in done.stderr


def test_a_dead_worker_is_named_and_the_same_command_goes_on(crawl, settings, tmp_path,
                                                             small_parts):
    pipeline.run([crawl], tmp_path / "whole", settings, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "clean", die)
        with pytest.raises(OSError, match="a worker was killed"):
            pipeline.run([crawl], tmp_path / "out", settings, 2)
    pipeline.run([crawl], tmp_path / "out", settings, 2)
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


def die(out, spans, settings):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_full_disk_is_one_sentence_and_loses_nothing(crawl, settings, tmp_path):
    """No file may grow over 4 KB: what the system says is another word for a disk that is full."""
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    arguments = crawl, "--out", tmp_path / "out", "--blocklists", settings.blocklists[0]
    full = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True,
                          preexec_fn=limit)
    assert full.returncode and len(full.stderr.strip().splitlines()) == 1, full.stderr
    assert str(tmp_path / "out") in full.stderr and "File too large" in full.stderr
    assert command(*arguments, "--workers", 1).returncode == 0
    assert len(documents(tmp_path / "out")) == 41
