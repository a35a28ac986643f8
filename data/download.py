"""Fetches a corpus or a model: the text, tokens, pages, lists and weights that people of this field
reach for first.

    python data/download.py                          what there is
    python data/download.py smollm2-135m             an assistant; any model as OWNER/NAME
    python data/download.py fineweb-edu --files 3
    python data/download.py CC-MAIN-2025-26          pages of a Common Crawl dump (/wet: their text)
    python data/download.py https://example.com/text.jsonl.gz#sha256=...

A file has its name when it is complete and verified; until then the same command takes it up where
the connection broke (csrc/fetch.py). The table is data/corpora.json. Models come from Hugging
Face's hub, or from HF_ENDPOINT; where one asks for an account, HF_TOKEN is its key.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from csrc import cli
    cli.enter()

import gzip
import json
import math
import os
import re
import tarfile
import zlib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from urllib.parse import quote, unquote, urlsplit

from csrc import cli
from csrc.cli import flag
from csrc.files import ChatError, from_json, write_files
from csrc.fetch import ATTEMPTS, connect, fetch, look
from csrc.runs import MODEL_FILES
from data.tokens import openai
from data.tokens.documents import DOCUMENTS

LONGEST_LIST = 1 << 30   # bytes of a blocklist, unpacked
LONGEST_ANSWER = 1 << 24     # bytes of what the hub says of a model
FOLDER, MODELS = Path("build/corpora"), Path("build/models")    # for the folder of each
HUB = "https://huggingface.co"
ON_HUB = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(/[^/]+)?", re.ASCII)
CRAWL = "https://data.commoncrawl.org/"
DUMP = re.compile(r"(CC-MAIN-\d{4}-\d{2})(/wet)?")
UT1 = "https://dsi.ut-capitole.fr/blacklists/download/"
FILE_NAME = re.compile(r"[^./\\\0-\x1f\x7f][^/\\\0-\x1f\x7f]*")


@dataclass
class Corpus:
    """What a name stands for; data/corpora.json lists them."""

    then: str | None = None   # the next command, {out} being the folder
    files: list = ()          # addresses of those that come whatever --files says
    numbered: list = ()       # and of those that it counts; in the table {"url", "from", "count"}
    tiktoken: bool = False    # goes where tiktoken looks, under the name that it looks for
    hub: str | None = None    # of a model: OWNER/NAME/FILE, see on_hub
    about: str = ""
    size: str = ""
    licence: str = ""


@cache
def table():
    """{name: Corpus} of data/corpora.json."""
    found = json.loads(Path(__file__).with_name("corpora.json").read_bytes())
    for entry in found.values():
        if some := entry.get("numbered"):
            numbers = range(some["from"], some["from"] + some["count"])
            entry["numbered"] = [some["url"].format(n=n, tens=n // 10, ones=n % 10)
                                 for n in numbers]
    return {name: Corpus(**entry) for name, entry in found.items()}


def list_table():
    """The table, one corpus a line."""
    rows = [(name, c.size, str(len(c.files) + len(c.numbered) or 1), c.licence, c.about)
            for name, c in table().items()]
    rows = [("name", "size", "files", "licence", "what it is"), *rows,
            ("CC-MAIN-YYYY-WW", "1 GB each", "90,000", "Common Crawl's", "a dump's pages as WARC"),
            ("CC-MAIN-YYYY-WW/wet", "0.1 GB each", "90,000", "Common Crawl's", "their text"),
            ("OWNER/NAME", "", "", "", "any model of Hugging Face's hub; /FILE.gguf: a file of it"),
            ("http...", "", "1", "", "any other file by its address")]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def look_up(name, out, session):
    """The Corpus that `name` stands for. The list of a dump's files is fetched into `out`."""
    if place := place_of(name):
        return on_hub(name, place, out, session)
    if name in table():
        return table()[name]
    if re.match("https?://", name):
        file = file_name(name)
        program = "train.py --data" if file.endswith((*DOCUMENTS, ".bin")) else \
            "data/web.py" if ".warc" in file else None
        return Corpus(program and f"python {program} {{out}}/{file}", [name])
    if not (dump := DUMP.fullmatch(name)):
        raise ChatError(f"{name!r} is none of {', '.join(table())}, no dump's name like "
                        f"CC-MAIN-2025-26, no model's like Qwen/Qwen3-0.6B, and no file's address "
                        f"like https://example.com/a.txt")
    kind = "wet" if dump[2] else "warc"
    paths = out / f"{dump[1]}-{kind}.paths.gz"
    fetch(session, f"{CRAWL}crawl-data/{dump[1]}/{kind}.paths.gz", paths)
    try:
        listed = gzip.decompress(paths.read_bytes()).decode("ascii").split()
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise ChatError(f"{paths}: not a list of files ({error}): remove it, and the same command "
                        f"fetches it again") from error
    return Corpus("python data/web.py {out}", [], [CRAWL + path for path in listed])


def place_of(name):
    """Where the model of a name is on the hub; None: it is no model's."""
    if name in table():
        return table()[name].hub
    return name if ON_HUB.fullmatch(name) and not DUMP.fullmatch(name) else None


def on_hub(name, place, out, session):
    """The Corpus of the model at a place on the hub, as it is now: of OWNER/NAME the files of a
    model's folder, of OWNER/NAME/FILE those whose names match."""
    owner, model, *pattern = place.split("/")
    hub = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
    address = f"{hub}/api/models/{owner}/{model}?blobs=true"
    asking = connect(2)                          # which says soon that there is no network
    if token := os.environ.get("HF_TOKEN"):      # not sent on to other hosts
        session.headers["Authorization"] = asking.headers["Authorization"] = f"Bearer {token}"
    try:
        about = from_json(look(asking, address, LONGEST_ANSWER)[1])
        found = {file["rfilename"]: (file.get("lfs") or {}).get("sha256")
                 for file in about["siblings"]}
        version = about["sha"]
    except OSError as error:
        hint = "the name is wrong, or the licence has to be accepted there, with HF_TOKEN set to " \
            "your key" if "the server says 40" in str(error) else \
            f"where there is no network, run `python data/download.py {name}` on a machine that " \
            f"has one, and copy {out} from there"
        raise OSError(f"{error}: {hint}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ChatError(f"{address}: is no hub's answer ({error!r})") from error
    if pattern:
        names = [file for file in found if fnmatchcase(file, pattern[0])]
    else:
        names = [file for file in found if file.endswith(MODEL_FILES) and "/" not in file and (
            file.startswith("model") or not file.endswith(".safetensors"))]
    if not any(file.endswith((".safetensors", ".gguf")) for file in names):
        others = [file for file in found if file.endswith(".gguf")]
        raise ChatError(f"{place}: there are no such weights"
                        + (f", but name one of {', '.join(others)} behind {owner}/{model}/"
                           if others else ""))
    return Corpus("python infer.py chat --model {out}", [
        f"{hub}/{owner}/{model}/resolve/{version}/{quote(file)}"
        + (f"#sha256={found[file]}" if found[file] else "") for file in sorted(names)])


def choose(corpus, files):
    """The URLs of a corpus, of the numbered files the first or as many as `files` says: a number,
    or a fraction like "0.1"."""
    have = len(corpus.numbered)
    if files is None:
        return [*corpus.files, *corpus.numbered[:1]]
    count = 0
    if re.fullmatch(r"\d{1,9}", files, re.ASCII):
        count = int(files)
    elif re.fullmatch(r"\d*\.?\d+(e-\d+)?", files, re.ASCII) and float(files) <= 1:
        count = math.ceil(float(files) * have)
    if not 1 <= count <= have:
        raise ChatError(f"--files {files}: there are {have} numbered files; ask for a number of "
                        f"them, or a fraction like 0.1" if have else
                        f"--files {files}: all {len(corpus.files)} files come, none is numbered")
    return [*corpus.files, *corpus.numbered[:count]]


def file_name(url):
    """The last part of a URL's path; ChatError if that is no plain file name."""
    try:
        name = unquote(urlsplit(url).path.rpartition("/")[2])
    except ValueError as error:
        raise ChatError(f"{url}: {error}") from error
    if not FILE_NAME.fullmatch(name):
        raise ChatError(f"{url}: does not end in a file's name, but in {name!r}")
    return name


def unpack(archive, folder):
    """Write CATEGORY/domains and CATEGORY/urls of an archive of UT1's into `folder`: only plain
    files of just these names. ChatError if the archive is damaged or holds no list."""
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

@dataclass
class Download:
    """The command's flags."""
    name: str | None = flag(None, "what to fetch; without it, a list of what there is",
                            positional=True)
    out: Path | None = flag(None, f"a folder; without it, {FOLDER}/NAME, for models "
                                  f"{MODELS}/NAME, and for tokenizers where tiktoken looks")
    files: str | None = flag(None, "how many of the numbered files, or a fraction like 0.1; "
                                   "without it, one", metavar="N")
    attempts: int = flag(ATTEMPTS, "give up after so many in a row that bring nothing new",
                         limits="[1, inf)")


def download(settings):
    """Fetch the files of what is named, and say what to do with them."""
    name = settings.name
    if name is None:
        print(list_table())
        return
    cached = settings.out is None and name in table() and table()[name].tiktoken
    out = settings.out or (MODELS if place_of(name) else FOLDER) / (
        "files" if "://" in name else name.replace("/", "-"))
    session = connect(settings.attempts)
    corpus = look_up(name, out, session)
    for url in choose(corpus, settings.files):
        path = openai.cache_path(url.partition("#")[0]) if cached else out / file_name(url)
        new = fetch(session, url, path, settings.attempts)
        print(f"{path}: {path.stat().st_size / 1e6:,.1f} MB{'' if new else ', there already'}",
              flush=True)
        if url.startswith(UT1):
            unpack(path, out)
    if corpus.then:
        print("next:", corpus.then.format(out=out))


COMMANDS = {"download": (Download, download)}

if __name__ == "__main__":
    cli.run(lambda: cli.dispatch(__doc__, COMMANDS))
