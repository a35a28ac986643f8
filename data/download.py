"""Fetches a corpus: the text, tokens, pages or lists that people of this field reach for first.

    python data/download.py                          what there is
    python data/download.py fineweb-edu --files 3
    python data/download.py CC-MAIN-2025-26          pages of a Common Crawl dump (/wet: their text)
    python data/download.py https://example.com/text.jsonl.gz#sha256=...

A file is FILE.part until it is complete and verified: by the sha256 that the table, the fragment of
the URL or Hugging Face states, else by its length. A broken connection is taken up again where it
broke, by the next attempt or by the same command, unless the file has changed on the server.
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from csrc import cli
    cli.enter()

import argparse
import email.utils
import gzip
import hashlib
import math
import os
import random
import re
import tarfile
import tempfile
import time
import zlib
from contextlib import contextmanager, suppress
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import requests  # tiktoken needs it too; it knows proxies, redirects and certificates
import urllib3
from tqdm import tqdm

from csrc.bind import ChatError
from csrc.files import lock, read_json, to_json, write_files
from data.tokens import documents
from data.tokens.parallel import IF_SLOW

ATTEMPTS = 6          # in a row that bring nothing new
TIMEOUT = 60          # seconds without an answer, or without a byte of it
FIRST_WAIT = 1.0      # seconds before the second attempt; twice as long before each one after it
LONGEST_WAIT = 60.0   # seconds
LONGEST_ASKED = 3600  # seconds that a server may make us wait (Retry-After)
CHUNK = 1 << 16       # bytes read from a connection at a time
LONGEST_LIST = 1 << 30   # bytes of a blocklist, unpacked

FOLDER = Path("build/corpora")  # for the folder of each
SHA256 = re.compile(r"[0-9a-f]{64}")
FILE_NAME = re.compile(r"[^./\\\0-\x1f\x7f][^/\\\0-\x1f\x7f]*")


# ---------------------------------------------------------------------------------------- The table

class Corpus(NamedTuple):
    about: str                # what it is
    size: str
    licence: str
    then: str | None          # the next command, {out} being the folder
    urls: list[str]           # of the files that come whatever --files says
    numbered: list[str] = []  # of those that --files counts
    tiktoken: bool = False    # goes where tiktoken looks, under the name that it looks for


def hub(repository, pattern, numbers=(0,)):
    """Return the URLs of files at Hugging Face, named by a pattern and each of `numbers`."""
    return [f"https://huggingface.co/{repository}/resolve/main/{pattern.format(n)}"
            for n in numbers]


PRETRAIN = "python train.py --data {out}"
GPT2_TOKENIZER = hub("openai-community/gpt2", "tokenizer.json")
TIKTOKEN = "https://openaipublic.blob.core.windows.net/"
ENCODED = 'python data/bpe.py show "Hello, world" --tokenizer '
UT1 = "https://dsi.ut-capitole.fr/blacklists/download/"
GSM8K = ("https://raw.githubusercontent.com/openai/grade-school-math/"
         "3101c7d5072418e28b9008a6636bde82a006892c/grade_school_math/data/")
WIKITEXT = "https://raw.githubusercontent.com/pytorch/examples/main/word_language_model/data/"

TABLE = {
    "shakespeare": Corpus(
        "tiny Shakespeare, 40,000 lines of plays", "1.1 MB", "public domain",
        PRETRAIN + "/input.txt",
        ["https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
         "#sha256=86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"]),
    "tinystories": Corpus(
        "short stories of simple words, by GPT-4 (arXiv 2305.07759)", "2.3 GB", "CDLA-Sharing-1.0",
        PRETRAIN + "/TinyStoriesV2-GPT4-train.txt",
        hub("datasets/roneneldan/TinyStories", "TinyStoriesV2-GPT4-train.txt")
        + hub("datasets/roneneldan/TinyStories", "TinyStoriesV2-GPT4-valid.txt")),
    "wikitext-2": Corpus(
        "Wikipedia articles, tokenized at blanks (arXiv 1609.07843)", "13 MB", "CC BY-SA",
        PRETRAIN + "/train.txt",
        [WIKITEXT + "wikitext-2/train.txt", WIKITEXT + "wikitext-2/test.txt",
         WIKITEXT + "wikitext-2/valid.txt"
         "#sha256=f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8"]),
    "fineweb-edu": Corpus(
        "educational web pages, 10 billion tokens (arXiv 2406.17557)", "2.1 GB each", "ODC-By",
        PRETRAIN, [],
        hub("datasets/HuggingFaceFW/fineweb-edu", "sample/10BT/{:03}_00000.parquet", range(14))),
    "fineweb-edu-100bt": Corpus(
        "the same, 100 billion tokens", "2.1 GB each", "ODC-By", PRETRAIN, [],
        [url for group in range(14) for url in hub(
            "datasets/HuggingFaceFW/fineweb-edu", f"sample/100BT/{group:03}_{{:05}}.parquet",
            range(10))]),
    "fineweb-edu-shuffled": Corpus(
        "the same in random order, small files (nanochat's)", "0.1 GB each", "ODC-By",
        PRETRAIN, [],
        hub("datasets/karpathy/fineweb-edu-100b-shuffle", "shard_{:05}.parquet", range(1823))),
    "climbmix": Corpus(
        "a mixture of filtered web text, 400 billion tokens (nanochat's)", "0.1 GB each",
        "CC BY-NC 4.0", PRETRAIN, [],
        hub("datasets/karpathy/climbmix-400b-shuffle", "shard_{:05}.parquet", range(6543))),
    "fineweb": Corpus(
        "English web pages, 10 billion tokens (arXiv 2406.17557)", "2.1 GB each", "ODC-By",
        PRETRAIN, [],
        hub("datasets/HuggingFaceFW/fineweb", "sample/10BT/{:03}_00000.parquet", range(15))),
    "fineweb-gpt2": Corpus(
        "the same as GPT-2's tokens, 100 million a file", "0.2 GB each", "ODC-By", PRETRAIN,
        GPT2_TOKENIZER + hub("datasets/kjj0/fineweb10B-gpt2", "fineweb_val_000000.bin"),
        hub("datasets/kjj0/fineweb10B-gpt2", "fineweb_train_{:06}.bin", range(1, 104))),
    "fineweb-gpt2-100bt": Corpus(
        "ten times as many", "0.2 GB each", "ODC-By", PRETRAIN,
        GPT2_TOKENIZER + hub("datasets/kjj0/fineweb100B-gpt2", "fineweb_val_000000.bin"),
        hub("datasets/kjj0/fineweb100B-gpt2", "fineweb_train_{:06}.bin", range(1, 1031))),
    "gsm8k": Corpus(
        "word problems with worked answers (arXiv 2110.14168)", "4.9 MB", "MIT", None,
        [GSM8K + "train.jsonl"
         "#sha256=17f347dc51477c50d4efb83959dbb7c56297aba886e5544ee2aaed3024813465",
         GSM8K + "test.jsonl"
         "#sha256=3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14"]),
    "ut1": Corpus(
        "the domain lists that FineWeb blocks", "~50 MB", "CC BY-SA 4.0",
        "python data/web.py PAGES --blocklists {out}",
        [f"{UT1}{category}.tar.gz" for category in (
            "adult", "agressif", "arjel", "chat", "dating", "ddos", "filehosting", "gambling",
            "mixed_adult", "phishing")]),
    "gpt2": Corpus(
        "tokenizer, 50,257 tokens", "1.5 MB", "MIT", ENCODED + "gpt2",
        [TIKTOKEN + "gpt-2/encodings/main/vocab.bpe"
         "#sha256=1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
         TIKTOKEN + "gpt-2/encodings/main/encoder.json"
         "#sha256=196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"],
        tiktoken=True),
    "cl100k_base": Corpus(
        "GPT-4's tokenizer, 100,277 tokens", "1.7 MB", "MIT", ENCODED + "cl100k_base",
        [TIKTOKEN + "encodings/cl100k_base.tiktoken"
         "#sha256=223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"],
        tiktoken=True),
    "o200k_base": Corpus(
        "GPT-4o's tokenizer, 200,019 tokens", "3.6 MB", "MIT", ENCODED + "o200k_base",
        [TIKTOKEN + "encodings/o200k_base.tiktoken"
         "#sha256=446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"],
        tiktoken=True),
}

CRAWL = "https://data.commoncrawl.org/"
DUMP = re.compile(r"(CC-MAIN-\d{4}-\d{2})(/wet)?")
PAGES = "python data/web.py {out}"


def list_table():
    """Return the table, one corpus a line."""
    rows = [(name, c.size, str(len(c.urls) + len(c.numbered)), c.licence, c.about)
            for name, c in TABLE.items()]
    rows = [("name", "size", "files", "licence", "what it is"), *rows,
            ("CC-MAIN-YYYY-WW", "1 GB each", "90,000", "Common Crawl's", "a dump's pages as WARC"),
            ("CC-MAIN-YYYY-WW/wet", "0.1 GB each", "90,000", "Common Crawl's", "their text"),
            ("http...", "", "1", "", "any other file by its address")]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def look_up(name, out, session, attempts):
    """Return the Corpus that `name` stands for; ValueError if there is none.

    The list of a dump's files is fetched into the folder `out`.
    """
    if name in TABLE:
        return TABLE[name]
    if re.match("https?://", name):
        file = file_name(name)
        then = PRETRAIN if file.endswith((*documents.DOCUMENTS, ".bin")) else \
            PAGES if ".warc" in file else None
        return Corpus("", "", "", then and f"{then}/{file}", [name])
    if not (dump := DUMP.fullmatch(name)):
        raise ChatError(f"{name!r} is none of {', '.join(TABLE)}, no dump's name like "
                        f"CC-MAIN-2025-26, and no file's address like https://example.com/a.txt")
    kind = "wet" if dump[2] else "warc"
    paths = out / f"{dump[1]}-{kind}.paths.gz"
    fetch(session, f"{CRAWL}crawl-data/{dump[1]}/{kind}.paths.gz", paths, attempts)
    try:
        with gzip.open(paths, "rt", encoding="ascii") as lines:
            return Corpus("", "", "", PAGES, [], [CRAWL + line for line in lines.read().split()])
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise ChatError(f"{paths}: not a list of files ({error}): remove it, and the same command "
                        f"fetches it again") from error


def choose(corpus, files):
    """Return the URLs of a corpus, of the numbered files the first or what `files` asks for: a
    number, or a fraction like "0.1"; ValueError if there are not that many."""
    have = len(corpus.numbered)
    if files is None:
        return corpus.urls + corpus.numbered[:1]
    try:
        share = float(files)
        count = int(files) if files.isdecimal() else math.ceil(share * have) if share <= 1 else 0
    except (ValueError, OverflowError):
        count = 0
    if not 1 <= count <= have:
        raise ChatError(f"--files {files}: there are {have} numbered files; ask for a number of "
                        f"them, or a fraction like 0.1" if have else
                        f"--files {files}: all {len(corpus.urls)} files come, none is numbered")
    return corpus.urls + corpus.numbered[:count]


def file_name(url):
    """Return the last part of a URL's path; ValueError if that is no plain file name."""
    try:
        name = unquote(urlsplit(url).path.rpartition("/")[2])
    except ValueError as error:
        raise ChatError(f"{url}: {error}") from error
    if not FILE_NAME.fullmatch(name):
        raise ChatError(f"{url}: does not end in a file's name, but in {name!r}")
    return name


# ---------------------------------------------------------------------------------- Fetching a file

class Again(Exception):
    """What came is not what was asked for, but another attempt may bring it."""

    def __init__(self, reason, wait=None):
        super().__init__(reason)
        self.wait = wait  # seconds that the server asks for


TRANSIENT = (Again, requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError)


def fetch(session, url, path, attempts=ATTEMPTS):
    """Fetch `url` into the file `path`; return whether it was not there yet.

    url       may end in #sha256=..., as pip has it
    attempts  how many in a row may bring nothing new

    Of an unfinished file there are PATH.part, what has come, and PATH.part.json, which version of
    which URL that is; they stay when anything goes wrong but the checksum. ValueError or OSError
    says what went wrong, and what to do.
    """
    url, _, fragment = url.partition("#")
    wanted = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else None
    if wanted is not None and not SHA256.fullmatch(wanted):
        raise ChatError(f"{url}: {wanted!r} is no sha256, which has 64 digits of 0-9a-f")
    if path.exists():
        if wanted and (actual := digest(path)) != wanted:
            raise ChatError(f"{path}: its sha256 is {actual}, not {wanted}: remove it, and the "
                            f"same command fetches it")
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    part, about = (path.with_name(path.name + end) for end in (".part", ".part.json"))
    try:
        with open_part(part, about) as file:
            if path.exists():  # another process was faster
                return False
            stated = persist(session, url, file, about, path, attempts)
            file.flush()
            os.fsync(file.fileno())
            wanted = wanted or (stated if stated and SHA256.fullmatch(stated) else None)
            if wanted and (actual := digest(part)) != wanted:
                part.unlink()
                raise ChatError(f"{url}: the sha256 of what came is {actual}, not {wanted}: it "
                                f"is deleted, and the same command fetches it again")
            os.replace(part, path)
    except OSError as error:
        if error.errno is None:  # one of our own sentences
            raise
        raise OSError(f"{part}: {error.strerror}; the same command goes on with what has "
                      f"come") from error
    return True


@contextmanager
def open_part(part, about):
    """Open a .part file for appending, alone; leave nothing behind if it ends empty."""
    with open(part, "ab") as file:
        lock(file, part)
        try:
            yield file
        finally:
            if file.seek(0, os.SEEK_END) == 0:
                part.unlink(missing_ok=True)
            if not part.exists():
                about.unlink(missing_ok=True)


def digest(path):
    """Return the sha256 of a file in hexadecimal digits."""
    result = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            result.update(block)
    return result.hexdigest()


def persist(session, url, file, about, path, attempts):
    """Attempt until all of `url` is in the open .part file; return the version that it is of."""
    failures, longest = 0, file.seek(0, os.SEEK_END)
    while True:
        try:
            return receive(session, url, file, about)
        except TRANSIENT as error:
            if isinstance(error, requests.exceptions.SSLError):
                raise OSError(f"{url}: no secure connection ({root(error)})") from error
            size = file.seek(0, os.SEEK_END)
            failures = 1 if size > longest else failures + 1
            longest = max(longest, size)
            why = describe(error)
            if failures >= attempts:
                raise OSError(f"{url}: {why}, {failures} times in a row without anything new: the "
                              f"same command goes on after {size:,} bytes; or fetch the file "
                              f"elsewhere and put it at {path}") from error
            wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (failures - 1)) * random.uniform(0.5, 1)
            if getattr(error, "wait", None) is not None:
                wait = error.wait
            tqdm.write(f"{url.rpartition('/')[2]}: {why}; attempt {failures + 1} of {attempts} in "
                       f"{wait:.1f} s", file=sys.stderr)
            time.sleep(wait)
        except requests.RequestException as error:
            raise OSError(f"{url}: {error}") from error


def receive(session, url, file, about):
    """Make one attempt: append what is missing of `url` to `file`, or begin anew.

    What is there is continued only if it is of the version that the server has now, as the ETag,
    the date or Hugging Face's sha256 says. Returns that version; Again if not everything came.
    """
    have = file.seek(0, os.SEEK_END)
    known = {}
    with suppress(ChatError):  # without it, or with a broken one, we begin anew
        known = read_json(about)
    version, size = (known.get(key) if known.get("url") == url else None
                     for key in ("version", "size"))
    if have and have == size:  # killed between the last byte and the name
        return version
    headers = {"Accept-Encoding": "identity", "User-Agent": "chat.c"}
    if have and version:
        headers["Range"] = f"bytes={have}-"
        if not SHA256.fullmatch(version):  # a sha256 is another host's word for the version
            headers["If-Range"] = version
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        now, status = version_of(response), response.status_code
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if status == 206 and span and version and (version, have) == (now, int(span[1])) \
                and size in (None, int(span[2])):
            size = int(span[2])
        elif status == 200:
            file.truncate(0)
            have, version = 0, now
            length = response.headers.get("Content-Length", "")
            size = int(length) if length.isdecimal() else None
            write_files(about.parent, {about.name: to_json(
                {"url": url, "version": version, "size": size})})
        elif status in (206, 416) and have:
            file.truncate(0)
            raise Again("the file has changed on the server, or its rest cannot be had")
        elif status in (408, 429) or status >= 500:
            raise Again(says(response), retry_after(response))
        else:
            raise OSError(f"{url}: {says(response)}")
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity" and not url.endswith(".gz"):
            raise OSError(f"{url}: the server sends it only in another form ({encoding})")
        with tqdm(total=size, initial=have, desc=url.rpartition("/")[2], unit="B",
                  unit_scale=True, **IF_SLOW) as bar:
            for data in response.raw.stream(CHUNK, decode_content=False):
                file.write(data)
                bar.update(len(data))
    have = file.seek(0, os.SEEK_END)
    if size is not None and have != size:
        if have > size:
            file.truncate(0)
        raise Again(f"{have} bytes came instead of {size}")
    return version


def version_of(response):
    """Return what tells this version of a file from others: its sha256 or a validator, or None.

    Hugging Face states the sha256 where it sends us on to another host (X-Linked-ETag). An ETag is
    any string that the server likes, in quotation marks; one that begins with W/ does not promise
    the same bytes.
    """
    for answer in (*response.history, response):
        linked = answer.headers.get("X-Linked-ETag", "").strip('"')
        if SHA256.fullmatch(linked):
            return linked
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified")


def says(response):
    return f"the server says {response.status_code} {response.reason}".rstrip()


def retry_after(response):
    """Return the seconds that the server asks us to wait, by number or date, or None."""
    text = response.headers.get("Retry-After", "")
    try:
        seconds = int(text) if text.isdecimal() else \
            email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0), LONGEST_ASKED)


def describe(error):
    """Return what went wrong with a connection, in a few words."""
    if isinstance(error, Again):
        return str(error)
    if isinstance(error, requests.RequestException):
        host = urlsplit(error.request.url).netloc if error.request else "the server"
        return f"{host} cannot be reached ({root(error)})"
    return f"the connection broke ({root(error)})"


def root(error):
    """Return the first cause of an error, in the system's words if it has any."""
    while error.__context__ is not None:
        error = error.__context__
    return getattr(error, "strerror", None) or error


# ----------------------------------------------------------------------------------------- Archives

def unpack(archive, folder):
    """Write CATEGORY/domains and CATEGORY/urls of an archive of UT1's into `folder`.

    Only plain files of just these names: no links, and nothing anywhere else. ValueError if the
    archive is damaged or holds no list.
    """
    try:
        with tarfile.open(archive) as tar:
            found = {member.name: member for member in tar if member.isfile()
                     and re.fullmatch(r"[\w-]+/(domains|urls)", member.name)}
            for name, member in found.items():
                if member.size > LONGEST_LIST:
                    raise ChatError(f"{archive}: {name} would have {member.size} bytes")
                path = folder / name
                write_files(path.parent, {path.name: iter(tar.extractfile(member))})
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ChatError(f"{archive}: damaged ({error}): remove it, and the same command fetches "
                        f"it again") from error
    if not found:
        raise ChatError(f"{archive}: no CATEGORY/domains in it: not an archive of UT1's")


# --------------------------------------------------------------------------------- The command line

def tiktoken_cache():
    """Return the folder where tiktoken keeps what it fetches."""
    named = os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR")
    return Path(named or Path(tempfile.gettempdir(), "data-gym-cache"))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("name", nargs="?", help="what to fetch; without it, a list of what there is")
    add("--out", metavar="FOLDER", help=f"where to (default {FOLDER}/NAME; tokenizers: where "
        f"tiktoken looks for them)")
    add("--files", metavar="N", help="how many of the numbered files, or a fraction like 0.1 "
        "(default 1)")
    add("--attempts", type=int, default=ATTEMPTS, metavar="N",
        help="give up after N in a row that bring nothing new (default %(default)s)")
    args = parser.parse_args()
    if args.attempts < 1:
        raise ChatError(f"--attempts is {args.attempts}, but must be over 0")
    if args.name is None:
        print(list_table())
        return
    cached = args.out is None and args.name in TABLE and TABLE[args.name].tiktoken
    inside = "files" if "://" in args.name else args.name.replace("/", "-")
    out = tiktoken_cache() if cached else Path(args.out or FOLDER / inside)
    with requests.Session() as session:
        corpus = look_up(args.name, out, session, args.attempts)
        for url in choose(corpus, args.files):
            name = hashlib.sha1(url.partition("#")[0].encode()).hexdigest() if cached else \
                file_name(url)
            new = fetch(session, url, out / name, args.attempts)
            print(f"{out / name}: {(out / name).stat().st_size / 1e6:,.1f} MB"
                  f"{'' if new else ', there already'}", flush=True)
            if url.startswith(UT1):
                unpack(out / name, out)
    if corpus.then:
        print("next:", corpus.then.format(out=out))


if __name__ == "__main__":
    cli.run(main)
