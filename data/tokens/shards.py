"""Tokens on disk: turns documents into shards, and reads shards.

A shard is llm.c's .bin: 256 int32 (20240520, 1, count, 0, ...) and `count` uint16 tokens or, where
the vocabulary has more than 65536 ids, (20240801, 7, count, 0, ...) and uint32; little endian.

Documents are those of data/tokens/documents.py. Every document's tokens begin with <|endoftext|>.

A tenth of the text (--held-out) goes to val-*.bin: of a file of ten documents or more every tenth
document, of one with fewer (a book) the last tenth of its text, cut after a newline. Long documents
are read, cut and tokenized in pieces of a megabyte, so that memory stays small on any input.
"""

import hashlib
import json
import os
import re
import time
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np

from csrc.files import ChatError, naming, read_json, to_json, workplace, write_files
from csrc.remote import local
from csrc.shown import progress
from data.tokens import bpe, learn, parallel
from data.tokens.documents import DOCUMENTS, find_files, is_held, pieces

HEADER = 256  # int32 words before the tokens
FORMATS = {(20240520, 1): np.dtype("<u2"), (20240801, 7): np.dtype("<u4")}  # by magic, version
SHARD_TOKENS = 100_000_000  # tokens in a full shard
SHARDS = (".bin", ".json")  # what a folder of shards has
HELD_OUT = 0.1              # fraction of the text in val-*.bin
VOCABULARY = 4096           # tokens, where nothing else is said

BATCH = 8 << 20        # characters tokenized at a time
LEARN_FROM = 1 << 30   # characters, evenly spread over the text, that a vocabulary is learned from


# -------------------------------------------------------------------------------------- Holding out

def survey(files):
    """Read all files once, to find a bad one before any work: [(file, documents, characters)]."""
    found = []
    for file in progress(files, "reading", unit=" files"):
        count = characters = 0
        for begins, text in pieces(file):
            count += begins
            characters += len(text)
        found.append((file, count, characters))
    return found


def split(surveyed, held_out):
    """Yield (part, begins, text) for all pieces of the files; part is "train" or "val"."""
    for file, count, characters in surveyed:
        if count * held_out >= 1:
            yield from hold_out_documents(file, held_out)
        else:
            yield from hold_out_end(file, characters - round(characters * held_out))


def hold_out_documents(file, held_out):
    """Hold out every (1 / held_out)-th document."""
    index = -1
    for begins, text in pieces(file):
        index += begins
        yield "val" if is_held(index, held_out) else "train", begins, text


def hold_out_end(file, before):
    """Hold out what follows the first newline after `before` characters."""
    first = True  # piece of the held-out part
    for begins, text in pieces(file):
        if before >= len(text):
            yield "train", begins, text
        elif before >= 0:
            cut = text.find("\n", before) + 1 or max(before, 1)
            yield "train", begins, text[:cut]
            if text[cut:]:
                yield "val", first, text[cut:]
                first = False
        else:
            yield "val", begins or first, text
            first = False
        before -= len(text)


# ----------------------------------------------------------------------------------- Writing shards

class Writer:
    """Writes tokens to FOLDER/PART-00000.bin, PART-00001.bin, ..., at most `limit` in each. To be
    used in a `with`; a shard without its header, after an error, is one that open_shard refuses."""

    def __init__(self, folder, part, vocab_size, limit=SHARD_TOKENS):
        if not 1 <= limit < 2**31:
            raise ChatError(f"a shard cannot hold {limit} tokens, only 1 to {2**31 - 1}")
        self.folder, self.part, self.limit = Path(folder), part, limit
        self.format, self.dtype = list(FORMATS.items())[vocab_size > 65536]
        self.file, self.shards, self.count = None, 0, 0

    def write(self, tokens):
        """Append an array of ids."""
        tokens = np.asarray(tokens, self.dtype)
        while len(tokens):
            with naming(self.folder):
                if self.file is None:
                    self.file = open(self.folder / f"{self.part}-{self.shards:05}.bin", "wb")
                    self.file.write(bytes(4 * HEADER))
                fits, tokens = np.split(tokens, [self.limit - self.count])
                self.file.write(fits.tobytes())
            self.count += len(fits)
            if self.count == self.limit:
                self.close()

    def close(self):
        """Complete the shard that is open, if one is, by its header."""
        if self.file is not None:
            with naming(self.folder), self.file as file:
                file.seek(0)
                file.write(np.array([*self.format, self.count], "<i4").tobytes())
                file.flush()
                os.fsync(file.fileno())
            self.file, self.shards, self.count = None, self.shards + 1, 0

    def __enter__(self):
        return self

    def __exit__(self, error, *_):
        if error is None:
            self.close()
        elif self.file is not None:
            with suppress(OSError):              # on a full disk, as before
                self.file.close()


def tokenize(surveyed, tokenizer, folder, held_out, limit):
    """Write the shards; return {"train": {"documents", "bytes", "tokens"}, "val": ...}."""
    begin = [] if tokenizer.between is None else [tokenizer.between]
    totals = {part: {"documents": 0, "bytes": 0, "tokens": 0} for part in ("train", "val")}
    characters = sum(size for _, _, size in surveyed)
    with (Writer(folder, "train", tokenizer.vocab_size, limit) as train,
          Writer(folder, "val", tokenizer.vocab_size, limit) as val,
          progress(label="tokens", total=characters, unit="B", unit_scale=True) as bar):
        for batch in parallel.batches(split(surveyed, held_out), BATCH, lambda item: len(item[-1])):
            encoded = tokenizer.encode_batch([text for _, _, text in batch])
            for (part, begins, text), tokens in zip(batch, encoded):
                tokens = np.array(begin * begins + tokens)
                (train if part == "train" else val).write(tokens)
                totals[part]["documents"] += begins
                totals[part]["bytes"] += int(tokenizer.byte_lengths[tokens].sum())
                totals[part]["tokens"] += len(tokens)
                bar.update(len(text))
    return totals


def build(folder, files, tokenizer=None, vocab_size=VOCABULARY, held_out=HELD_OUT,
          limit=SHARD_TOKENS):
    """Make a folder of shards, tokenizer files and meta.json; return what meta.json says.

    tokenizer  what bpe.Tokenizer.load takes, or None: learn one of `vocab_size` from the training
               part
    limit      most tokens in one shard

    It is made elsewhere and renamed, so `folder` is complete or not there. What another process
    has made of it meanwhile is taken.
    """
    if not 0 <= held_out < 1:
        raise ChatError(f"cannot hold out {held_out} of the text, only 0 up to, not with, 1")
    start = time.time()
    folder = Path(folder)
    bpe.wanted_merges(vocab_size)                # else nothing is read
    tokenizer = tokenizer and bpe.Tokenizer.load(tokenizer)
    with workplace(folder) as place:
        if (folder / "meta.json").exists():
            return read_json(folder / "meta.json")
        surveyed = survey(files)
        if tokenizer is None:
            texts = (text for part, _, text in split(surveyed, held_out) if part == "train")
            every = 1 + sum(characters for _, _, characters in surveyed) // LEARN_FROM
            sample = progress(islice(texts, 0, None, every), "counting", unit=" texts")
            tokenizer = bpe.learn(learn.count_chunks(sample), vocab_size)
        work = place / "data"
        tokenizer.save(work)
        meta = {"sources": list(map(str, files)), "vocab_size": tokenizer.vocab_size,
                "held_out": held_out, **tokenize(surveyed, tokenizer, work, held_out, limit),
                "seconds": round(time.time() - start, 2)}
        write_files(work, {"meta.json": to_json(meta)})
        with naming(folder):
            work.rename(folder)
    return meta


def prepare(source, cache="build/data", vocab_size=VOCABULARY, tokenizer=None, held_out=HELD_OUT):
    """Return the folder of shards of `source`, making it in `cache` if it is not there.

    source     a file, a folder, "world", or a list of these; shards (a .bin, a folder of them)
               are returned as they are
    tokenizer  what bpe.Tokenizer.load takes, or None: learn one of `vocab_size`

    What was made from the same files (by path, size and time), vocabulary and fraction is used
    again. Any number of processes may ask for the same at once.
    """
    sources = [local(one, (*DOCUMENTS, *SHARDS))
               for one in ([source] if isinstance(source, (str, Path)) else source)]
    first = sources[0]
    if len(sources) == 1 and (first.suffix == ".bin" or any(first.glob("*.bin"))):
        find_shards(first)
        return first
    files = find_files(sources)
    vocabulary = vocab_size
    if tokenizer:
        tokenizer = local(tokenizer, bpe.PARTS)
        places = tokenizer / "tokenizer.json", tokenizer
        file = next((path for path in places if path.is_file()), None)
        vocabulary = fingerprint(file) if file else str(tokenizer)
    key = json.dumps([[fingerprint(file) for file in files], vocabulary, held_out])
    name = re.sub(r"[^\w-]+", "-", first.stem) or "data"
    folder = Path(cache, f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}")
    if not (folder / "meta.json").exists():
        build(folder, files, tokenizer, vocab_size, held_out)
    return folder


def fingerprint(file):
    """Return a file's full path, size and time."""
    status = file.stat()
    return str(file.resolve()), status.st_size, status.st_mtime_ns


# ----------------------------------------------------------------------------------- Reading shards

def open_shard(path):
    """Map a shard's tokens: a read-only np.memmap (count,) of uint16 or uint32.

    ChatError, with the file and the numbers, unless it is whole and there are tokens in it.
    """
    size = os.path.getsize(path)
    if size < 4 * HEADER:
        raise ChatError(f"{path}: {size} bytes, too short for a shard's header of {4 * HEADER}")
    magic, version, count = np.fromfile(path, "<i4", 3).tolist()
    if (magic, version) not in FORMATS:
        raise ChatError(f"{path}: not a shard: begins with {magic}, {version} instead of "
                        f"{' or '.join(f'{magic}, {version}' for magic, version in FORMATS)}")
    if count < 1:
        raise ChatError(f"{path}: an empty shard, of {count} tokens")
    dtype = FORMATS[magic, version]
    expected = 4 * HEADER + count * dtype.itemsize
    if size != expected:
        raise ChatError(f"{path}: {size} bytes, but its {count} tokens of {dtype.itemsize} bytes "
                        f"and its header make {expected}")
    return np.memmap(path, dtype, "r", 4 * HEADER, (count,))


def find_shards(path):
    """Return ([training shards], [held-out shards]) of a folder, or of one .bin file.

    Held out are the files with "val" in their name.
    """
    path = local(path, SHARDS)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    shards = sorted(path.glob("*.bin")) if path.is_dir() else [path]
    held = [shard for shard in shards if "val" in shard.name and path.is_dir()]
    train = [shard for shard in shards if shard not in held]
    if not train:
        raise ChatError(f"{path}: no training shard (*.bin) in it")
    return train, held
