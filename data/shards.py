"""Tokens on disk: turns documents into shards, and reads shards.

A shard is llm.c's .bin: 256 int32 (20240520, 1, count, 0, ...) and `count` uint16 tokens or, where
the vocabulary has more than 65536 ids, (20240801, 7, count, 0, ...) and uint32; little endian.

Documents come from text files (one each, or several between lines that are just <|endoftext|>),
from JSON lines with a "text" each (.jsonl, .json), from either as .gz, from Parquet with a column
"text" (.parquet), from folders of these, and from the embedded corpus, called "world". Every
document's tokens begin with <|endoftext|>.

A tenth of the text (--held-out) goes to val-*.bin: of a file of ten documents or more every tenth
document, of one with fewer (a book) the last tenth of its text, cut after a newline. Long documents
are read, cut and tokenized in pieces of a megabyte, so that memory stays small on any input.

    python data/shards.py book.txt --out build/data/book
"""
import sys
from pathlib import Path
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import csrc.venv  # re-runs the script in the environment that `make` built

import argparse
import codecs
import gzip
import hashlib
import json
import os
import re
import tempfile
import time
import zlib
from contextlib import suppress
from itertools import chain, islice

import numpy as np
from tqdm import tqdm

from csrc.files import locked, naming
from data import bpe, tasks
from data.report import describe
from data.tasks import IF_SLOW

HEADER = 256  # int32 words before the tokens
FORMATS = {(20240520, 1): np.dtype("<u2"), (20240801, 7): np.dtype("<u4")}  # by magic, version
SHARD_TOKENS = 100_000_000  # tokens in a full shard
HELD_OUT = 0.1              # fraction of the text in val-*.bin

WORLD = "world"  # the source that needs no file
HERE = Path(__file__).resolve().parent
MAKE_DOCUMENTS = ("web", "warc", "extract", "language", "filters", "dedup")
JSON_LINES = (".jsonl", ".json", ".jsonl.gz", ".json.gz")
IN_FOLDERS = (".txt", ".txt.gz", ".jsonl", ".jsonl.gz", ".json.gz", ".parquet")
PIECE = 1 << 20        # bytes read at a time, and about the length of a piece of a long document
LONGEST = 16 << 20     # characters: where this many offer no place to cut, we cut anyway
BATCH = 8 << 20        # characters tokenized at a time
BATCH_ROWS = 100       # of a Parquet file read at a time
LEARN_FROM = 1 << 30   # characters, evenly spread over the text, that a vocabulary is learned from

SEPARATOR = re.compile(r"^<\|endoftext\|>\r?(?:\n|\Z)", re.MULTILINE)
# Up to the last newline with a non-blank after it. In bpe.PATTERN (and GPT-4's, Llama 3's) a chunk
# never goes on after a newline but with blanks, so one ends there. And it ends there whether or not
# the rest is in sight: the newlines after punctuation and `\s*[\r\n]+` do not look ahead, and come
# before `\s+(?!\S)`, which does. So the pieces have the tokens of the whole. (With GPT-2's pattern
# blank lines just before such a cut, with GPT-4o's "!\n/", may be grouped in another way, once a
# megabyte.)
CUT = re.compile(r".*\n(?=\S)", re.DOTALL)


# -------------------------------------------------------------------------------- Reading documents

def documents(*sources):
    """Yield each document (str) of `sources`: files, folders or "world".

    OSError or ValueError names the file, and the line or the byte, that cannot be read.
    """
    for file in find_files(sources):
        parts = []
        for begins, text in pieces(file):
            if begins and parts:
                yield "".join(parts)
                parts = []
            parts.append(text)
        yield "".join(parts)


def find_files(sources):
    """Return the files (Path) that `sources` stand for, those in folders sorted."""
    found = []
    for source in sources:
        found += sorted(world().glob("documents-*")) if source == WORLD else \
            tasks.find_files([source], IN_FOLDERS)
    return found


def pieces(file):
    """Yield (begins, text): documents in pieces; `begins` is True on the first of a document."""
    empty = True
    read = json_pieces if file.name.endswith(JSON_LINES) else \
        parquet_pieces if file.suffix == ".parquet" else text_pieces
    try:
        for piece in read(file):
            empty = False
            yield piece
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{file}: broken gzip data ({error})") from error
    if empty:
        raise ValueError(f"{file}: empty, there is no document in it")


def world(size=8 << 20, cache=HERE.parent / "build"):
    """Return the folder of the embedded corpus, made if it is not there: `size` bytes of the pocket
    world's pages, with dirt, as the WARC files of a crawl, and these through data/web.py.

    Its name has a hash of the programs that make it. Other processes wait meanwhile.
    """
    from data import web, world_web
    programs = [path for path in sorted(HERE.glob("*.py"))
                if path.stem in MAKE_DOCUMENTS or path.stem.startswith("world")]
    key = hashlib.sha256(b"".join(path.read_bytes() for path in programs) + b"%d" % size)
    folder = Path(cache) / f"world-{key.hexdigest()[:12]}"
    crawl, documents = folder / "crawl", folder / "documents"
    with locked(folder, wait=True):
        if not (documents / "report.json").exists():
            print(f"{folder}: a small web of an invented world, crawled and filtered, once",
                  file=sys.stderr)
            if not crawl.exists():
                with tasks.workers() as executor:
                    world_web.write(crawl, 0, size, executor)
            report = web.run([crawl / "warc"], documents,
                             web.Settings(blocklists=(str(crawl / "blocklists"),)))
            print(describe(report), file=sys.stderr)
    return documents


def json_pieces(file):
    """Yield (True, text) for each line of a file of JSON lines."""
    with open_input(file) as lines:
        for number, line in enumerate(lines, 1):
            if line.isspace():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{file}:{number}: not a line of JSON ({error})") from error
            if not isinstance(record, dict) or not isinstance(record.get("text"), str):
                raise ValueError(f'{file}:{number}: not an object whose "text" is a string')
            if record["text"]:
                yield True, record["text"]


def parquet_pieces(file):
    """Yield (True, text) for each row of a Parquet file, a few in memory at a time."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise ValueError(f"{file}: to read Parquet, {sys.executable} -m pip install "
                         f"pyarrow") from error
    row = 0
    try:
        with parquet.ParquetFile(file, buffer_size=PIECE, pre_buffer=False) as table:
            if "text" not in table.schema_arrow.names:
                raise ValueError(f'{file}: no column "text", but '
                                 f'{", ".join(table.schema_arrow.names) or "none at all"}')
            for batch in table.iter_batches(BATCH_ROWS, columns=["text"], use_threads=False):
                for row, text in enumerate(batch.column("text").to_pylist(), row + 1):
                    if not isinstance(text, str | None):
                        raise ValueError(f'{file}: row {row}: "text" is not a string')
                    if text:
                        yield True, text
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{file}: broken Parquet after row {row} ({reason})") from error


def text_pieces(file):
    """Yield (begins, text) of a text file, cut where CUT says or, failing that, at LONGEST."""
    begins, rest = True, ""
    for block in chain(read_text(file), [""]):
        rest += block
        cut = len(rest)
        if block and cut < LONGEST:  # more is to come: leave the last lines for the next turn
            match = CUT.match(rest)
            cut = match.end() if match else 0
        for i, text in enumerate(SEPARATOR.split(rest[:cut])):
            begins = begins or i > 0
            if text:
                yield begins, text
                begins = False
        rest = rest[cut:]


def read_text(file):
    """Yield a file's text, decoded, about PIECE at a time; ValueError names the first bad byte."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset, data = 0, True
    with open_input(file) as stream:
        while data:
            data = stream.read(PIECE)
            if (zero := data.find(0)) >= 0:
                raise ValueError(f"{file}: not a text file, byte {offset + zero} is zero")
            begun = len(decoder.getstate()[0])  # bytes of a character left over from the last turn
            try:
                text = decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                at = offset - begun + error.start
                raise ValueError(f"{file}: not UTF-8 at byte {at} ({error.reason})") from error
            if text := text if offset else text.removeprefix("\ufeff"):
                yield text
            offset += len(data)


def open_input(file):
    """Open a file for reading bytes, unpacked if its name ends in .gz."""
    return gzip.open(file, "rb") if file.suffix == ".gz" else open(file, "rb")


# -------------------------------------------------------------------------------------- Holding out

def survey(files):
    """Read all files once, to find a bad one before any work: [(file, documents, characters)]."""
    found = []
    for file in tqdm(files, "reading", unit=" files", **IF_SLOW):
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


def is_held(index, held_out):
    """Whether a file's document `index`, from 0, is held out."""
    return int((index + 1) * held_out) > int(index * held_out)


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
    """Writes tokens to FOLDER/PART-00000.bin, PART-00001.bin, ..., at most `limit` in each.

    A shard gets its name when it is complete. To be used in a `with`.
    """

    def __init__(self, folder, part, vocab_size, limit=SHARD_TOKENS):
        if not 1 <= limit < 2**31:
            raise ValueError(f"a shard cannot hold {limit} tokens, only 1 to {2**31 - 1}")
        self.folder, self.part, self.limit = Path(folder), part, limit
        self.format, self.dtype = list(FORMATS.items())[vocab_size > 65536]
        self.file, self.shards, self.count = None, 0, 0

    def write(self, tokens):
        """Append an array of ids."""
        tokens = np.asarray(tokens, self.dtype)
        while len(tokens):
            with naming(self.folder):
                if self.file is None:
                    self.file = open(self.folder / f".{self.part}.{os.getpid()}", "wb")
                    self.file.write(bytes(4 * HEADER))
                fits, tokens = np.split(tokens, [self.limit - self.count])
                self.file.write(fits.tobytes())
            self.count += len(fits)
            if self.count == self.limit:
                self.close()

    def close(self):
        """Complete the shard that is open, if one is: header, sync, rename."""
        if self.file is not None:
            with naming(self.folder):
                self.file.seek(0)
                self.file.write(np.array([*self.format, self.count], "<i4").tobytes())
                self.file.flush()
                os.fsync(self.file.fileno())
                self.file.close()
                os.replace(self.file.name, self.folder / f"{self.part}-{self.shards:05}.bin")
            self.file, self.shards, self.count = None, self.shards + 1, 0

    def __enter__(self):
        return self

    def __exit__(self, error, *_):
        if error is None:
            self.close()
        elif self.file is not None:
            with suppress(OSError):              # on a full disk, as before
                self.file.close()
            os.unlink(self.file.name)


def tokenize(surveyed, tokenizer, folder, held_out, limit):
    """Write the shards; return {"train": {"documents", "bytes", "tokens"}, "val": ...}."""
    begin = [] if tokenizer.begin is None else [tokenizer.begin]
    totals = {part: {"documents": 0, "bytes": 0, "tokens": 0} for part in ("train", "val")}
    characters = sum(size for _, _, size in surveyed)
    with (Writer(folder, "train", tokenizer.vocab_size, limit) as train,
          Writer(folder, "val", tokenizer.vocab_size, limit) as val,
          tqdm(total=characters, desc="tokens", unit="B", unit_scale=True, **IF_SLOW) as bar):
        for batch in tasks.batches(split(surveyed, held_out), BATCH, lambda item: len(item[-1])):
            encoded = tokenizer.encode_batch([text for _, _, text in batch])
            for (part, begins, text), tokens in zip(batch, encoded):
                tokens = np.array(begin * begins + tokens)
                (train if part == "train" else val).write(tokens)
                totals[part]["documents"] += begins
                totals[part]["bytes"] += int(tokenizer.byte_lengths[tokens].sum())
                totals[part]["tokens"] += len(tokens)
                bar.update(len(text))
    return totals


def build(folder, files, tokenizer=None, vocab_size=4096, held_out=HELD_OUT, limit=SHARD_TOKENS):
    """Make a folder of shards, tokenizer files and meta.json; return what meta.json says.

    tokenizer  what bpe.Tokenizer.load takes, or None: learn one of `vocab_size` from the training
               part
    limit      most tokens in one shard

    It is made under another name and renamed, so `folder` is complete or not there.
    """
    if not 0 <= held_out < 1:
        raise ValueError(f"cannot hold out {held_out} of the text, only 0 up to, not with, 1")
    start = time.time()
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    bpe.wanted_merges(vocab_size)                # else nothing is read
    tokenizer = tokenizer and bpe.Tokenizer.load(tokenizer)
    surveyed = survey(files)
    if tokenizer is None:
        texts = (text for part, _, text in split(surveyed, held_out) if part == "train")
        every = 1 + sum(characters for _, _, characters in surveyed) // LEARN_FROM
        sample = tqdm(islice(texts, 0, None, every), "counting", unit=" texts", **IF_SLOW)
        tokenizer = bpe.learn(bpe.count_chunks(sample), vocab_size)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        work = Path(temporary) / "data"
        tokenizer.save(work)
        meta = {"sources": list(map(str, files)), "vocab_size": tokenizer.vocab_size,
                "held_out": held_out, **tokenize(surveyed, tokenizer, work, held_out, limit),
                "seconds": round(time.time() - start, 2)}
        bpe.write_file(work / "meta.json", json.dumps(meta, indent=2))
        try:
            work.rename(folder)
        except OSError:
            if not (folder / "meta.json").exists():  # else another process has just made the same
                raise
    return meta


def prepare(source, cache="build/data", vocab_size=4096, tokenizer=None, held_out=HELD_OUT):
    """Return the folder of shards of `source`, making it in `cache` if it is not there.

    source     a file, a folder, "world", or a list of these; shards (a .bin, a folder of them)
               are returned as they are
    tokenizer  what bpe.Tokenizer.load takes, or None: learn one of `vocab_size`

    What was made from the same files (by path, size and time), vocabulary and fraction is used
    again. Any number of processes may ask for the same at once.
    """
    sources = [source] if isinstance(source, (str, Path)) else list(source)
    first = Path(sources[0])
    if len(sources) == 1 and (first.suffix == ".bin" or any(first.glob("*.bin"))):
        find_shards(first)
        return first
    files = find_files(sources)
    vocabulary = vocab_size
    if tokenizer:
        places = Path(tokenizer, "tokenizer.json"), Path(tokenizer)
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

    ValueError, with the file and the numbers, unless it is whole and there are tokens in it.
    """
    size = os.path.getsize(path)
    if size < 4 * HEADER:
        raise ValueError(f"{path}: {size} bytes, too short for a shard's header of {4 * HEADER}")
    magic, version, count = np.fromfile(path, "<i4", 3).tolist()
    if (magic, version) not in FORMATS:
        raise ValueError(f"{path}: not a shard: begins with {magic}, {version} instead of "
                         f"{' or '.join(f'{magic}, {version}' for magic, version in FORMATS)}")
    if count < 1:
        raise ValueError(f"{path}: an empty shard, of {count} tokens")
    dtype = FORMATS[magic, version]
    expected = 4 * HEADER + count * dtype.itemsize
    if size != expected:
        raise ValueError(f"{path}: {size} bytes, but its {count} tokens of {dtype.itemsize} bytes "
                         f"and its header make {expected}")
    return np.memmap(path, dtype, "r", 4 * HEADER, (count,))


def find_shards(path):
    """Return ([training shards], [held-out shards]) of a folder, or of one .bin file.

    Held out are the files with "val" in their name.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    shards = sorted(path.glob("*.bin")) if path.is_dir() else [path]
    held = [shard for shard in shards if "val" in shard.name and path.is_dir()]
    train = [shard for shard in shards if shard not in held]
    if not train:
        raise ValueError(f"{path}: no training shard (*.bin) in it")
    return train, held


# --------------------------------------------------------------------------------- The command line

def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("input", nargs="+", help="files or folders of documents; 'world' is the embedded corpus")
    add("--out", required=True, metavar="FOLDER", help="a new folder for the shards")
    add("--tokenizer", metavar="T",
        help="use this one: a folder, gpt2, cl100k_base, o200k_base, or the file of one of those")
    add("--vocab-size", type=int, default=4096, metavar="N",
        help="without --tokenizer: learn one of N tokens from the text (default %(default)s)")
    add("--held-out", type=float, default=HELD_OUT, metavar="F",
        help="fraction of the text for val-*.bin (default %(default)s)")
    add("--shard-tokens", type=int, default=SHARD_TOKENS, metavar="N",
        help="most tokens in one shard (default %(default)s)")
    args = parser.parse_args()

    out = Path(args.out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} exists and is not an empty folder")
    meta = build(out, find_files(args.input), args.tokenizer, args.vocab_size, args.held_out,
                 args.shard_tokens)
    size = 0
    for part in ("train", "val"):
        count, length, tokens = meta[part].values()
        size += length
        print(f"{part}: {count} documents, {tokens} tokens, "
              f"{length / max(tokens, 1):.2f} bytes per token")
    print(f"{out}: {size / 1e6:.1f} MB in {meta['seconds']} s, "
          f"{size / 1e6 / max(meta['seconds'], 0.01):.1f} MB/s")


if __name__ == "__main__":
    csrc.venv.run(main)
