"""Mutated files through every loader: read, or refused in a sentence; never a crash, nor a hang.

CHAT_MUTATIONS=20000 sets how many are tried of each kind; `make test SANITIZE=1` watches the C.
"""

import csv
import gzip
import io
import json
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from csrc import runs
from csrc.bind import Model
from csrc.config import Config
from csrc.files import ChatError
from data.chat import formats as conversations
from data.chat.protocol import Talk
from data.chat.search import Search, build
from data.crawl import filters, warc
from data.crawl.extract import decode, extract
from data.exams import formats as exams
from data.tokens import bpe, shards
from data.tokens.documents import documents

COUNT = int(os.environ.get("CHAT_MUTATIONS", 150))
SLOWEST = 20            # seconds of one file of a few kilobytes, on a busy machine
NUMBERS = [b"-1", b"0", b"1e999", b"NaN", b"4294967296", b"9223372036854775808", b"null", b"[]",
           b"{}", b'""', b"true", b"1" * 400]
PROGRESS = {"step": 1, "updates": 1, "epoch": 0, "index": 3, "time": 2.5, "recent": [6.1],
            "best": None, "baselines": {}}       # of a run
PIECES = [b"\0", b"\xff\xfe", b"\x1b[2J", b"\r\n", b"<|im_start|>", b'"', b"[" * 2000, b"\\ud800",
          b"</div>" * 50, b"\xed\xa0\x80", b"9" * 30]


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one to four changes: flips, cuts, copies, junk, other numbers."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at, size = rng.randrange(len(data) + 1), rng.choice([1, 2, 4, 8, 64, 1000])
        kind = rng.randrange(7)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at:at + size]
        elif kind == 2:
            data[at:at] = data[at:at + size]
        elif kind == 3:
            data[at:at] = rng.choice(PIECES)
        elif kind == 4:
            data[at:at + size] = rng.randbytes(size)
        elif kind == 5:
            del data[at:]
        else:                                    # a number of a text, or one in binary
            ends = [i for i, byte in enumerate(data[:4000]) if chr(byte).isdigit()]
            if ends and rng.random() < 0.7:
                at = rng.choice(ends)
                data[at:at + 1] = rng.choice(NUMBERS)
            else:
                data[at:at + 4] = rng.choice([b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f"])
    return bytes(data)


# ---- What there is to read: a function that makes files, and one that reads them -----------------

def chat(n):
    return {"messages": [{"role": "user", "content": f"What is {n}?"},
                         {"role": "assistant", "content": f"A number, {n}."}]}


def json_lines(values):
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def page(n):
    body = (f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><head><title>t"
            f"</title></head><body><p>{'Many words of a page. ' * 9}</p><table><tr><td>{n}</td>"
            f"</tr></table><pre>a<br>b</pre></body></html>").encode()
    return (f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.org/{n}\r\n"
            f"WARC-Date: 2024-01-01T00:00:00Z\r\nWARC-Record-ID: <urn:uuid:{n}>\r\n"
            f"Content-Type: application/http; msgtype=response\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body + b"\r\n\r\n"


def model_files(folder):
    """A model with its tokenizer and a checkpoint."""
    tokenizer = bpe.Tokenizer.from_merges([(104, 101), (256, 108)])
    model = Model(Config(tokenizer.vocab_size, 16, 1, 8, 2, 1, 4, 8), flags=1)
    model.forward(np.zeros((1, 2), np.int32), np.zeros((1, 2), np.int32))
    runs.save(model, tokenizer, folder, PROGRESS, {"steps": 2})


def read_model(folder):
    model = Model.load(folder)
    tokenizer = bpe.Tokenizer.load(folder)
    ids = tokenizer.encode("hello <|im_end|> \U0001f600")
    assert tokenizer.decode(ids).startswith("hello")
    if tokenizer.vocab_size == model.config.vocab and len(ids) <= model.config.context:
        model.logits(np.array([ids], np.int32))


def read_state(folder):
    progress, settings, tensors = runs.read_state(folder)
    assert (progress, settings) == (PROGRESS, {"steps": 2}) and len(tensors) > 9


def read_shard(folder):
    tokens = shards.open_shard(folder / "a.bin")
    assert len(tokens) and int(tokens[-1]) >= 0


def read_crawl(folder):
    for file in folder.iterdir():
        for found in warc.pages(file, 0, 1 << 30, Counter()):
            assert "\0" not in extract(decode(found.body, found.content_type))


def read_conversations(folder):
    talk = Talk(bpe.Tokenizer.from_merges([]))
    for file in folder.iterdir():
        for conversation in conversations.read(file):
            assert any(talk.encode(conversation["messages"]).mask)


def read_exam(folder):
    for file in folder.iterdir():
        for question in exams.read(file):
            assert question.text()


def search_index(folder):
    (folder / "a.jsonl").write_bytes(json_lines({"text": "A page of words. " * 9, "url": "u"}
                                                for _ in range(3)))
    build([folder / "a.jsonl"], folder / "a.db")
    (folder / "a.jsonl").unlink()


def spread(rows):
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def parquet(folder):
    table = pyarrow.table({"text": [f"text {n}" for n in range(9)]})
    pyarrow.parquet.write_table(table, folder / "a.parquet")


def files(**contents):
    """A function that writes files whose names and bytes are given."""
    def write(folder):
        for name, data in contents.items():
            (folder / name.replace("__", ".")).write_bytes(data)
    return write


TEXTS = [{"text": f"A text, {n}.\n\nIts end.", "url": f"http://a.org/{n}"} for n in range(5)]
GSM8K = [{"question": f"{n}+1?", "answer": f"{n + 1}\n#### {n + 1}"} for n in range(4)]
KINDS = {
    "model": (model_files, read_model),
    "state": (model_files, read_state),
    "shard": (files(a__bin=np.array([20240520, 1, 9] + [0] * 253, "<i4").tobytes()
                    + np.arange(9, dtype="<u2").tobytes()), read_shard),
    "text": (files(a__txt=b"one\n<|endoftext|>\ntwo\n" * 9),
             lambda folder: list(documents(folder))),
    "json lines": (files(a__jsonl=json_lines(TEXTS)), lambda folder: list(documents(folder))),
    "packed": (files(a__jsonl__gz=gzip.compress(json_lines(TEXTS))),
               lambda folder: list(documents(folder))),
    "parquet": (parquet, lambda folder: list(documents(folder))),
    "crawl": (files(a__warc=b"".join(map(page, range(3)))), read_crawl),
    "packed crawl": (files(a__warc__gz=b"".join(gzip.compress(page(n)) for n in range(3))),
                     read_crawl),
    "page": (files(a__html=page(1)[200:]),
             lambda folder: extract(decode((folder / "a.html").read_bytes()))),
    "conversations": (files(a__jsonl=json_lines(map(chat, range(4)))), read_conversations),
    "array of conversations": (files(a__json=json.dumps([*map(chat, range(4))], indent=1).encode()),
                               read_conversations),
    "exam": (files(a__jsonl=json_lines(GSM8K)), read_exam),
    "table of an exam": (files(a_test__csv=spread([[f"{n}+1?", "1", "2", "3", "4", "A"]
                                                   for n in range(4)])), read_exam),
    "index": (search_index, lambda folder: Search(folder / "a.db").search("words page")),
    "list of words": (files(a__txt=b"word\nother word\n\xd1\x81\n" * 5),
                      lambda folder: filters.bad_words(folder / "a.txt")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files_are_read_or_refused_in_a_sentence(kind, tmp_path):
    make, read = KINDS[kind]
    make(tmp_path)
    read(tmp_path)
    whole = {path: path.read_bytes() for path in sorted(tmp_path.iterdir())
             if path.suffix not in (".lock", ".png")}
    rng, refused = random.Random(kind), 0
    for number in range(COUNT):
        path = rng.choice([*whole])
        path.write_bytes(mutated(whole[path], rng))
        begun = time.perf_counter()
        try:
            read(tmp_path)
        except (ChatError, OSError) as error:
            assert str(error) and len(str(error)) < 800 and "\n" not in str(error), number
            refused += 1
        assert time.perf_counter() - begun < SLOWEST, number
        path.write_bytes(whole[path])
    assert refused or kind in ("text", "page", "crawl", "packed crawl", "list of words")
