"""From a web crawl to documents: filters, deduplication and a report, as FineWeb does it.

WARC or WET files go in, JSON lines come out: {"text", "url", "date", "language",
"language_score"}. Between lie the stages of FineWeb (Penedo et al. 2024, arXiv:2406.17557), in its
order, each of which may reject a page, for a reason that is counted:

    read                what is not an HTML page with status 200, or damaged (warc.py)
    url                 domains of lists (--blocklists), words in the address
    extract             the main text, without navigation (extract.py)
    language            less than 0.65 of the wanted one (language.py)
    gopher_repetition   repeated lines, paragraphs, n-grams (filters.py, arXiv:2112.11446)
    gopher_quality      lengths, symbols, stop words
    c4                  sentences, boilerplate lines (arXiv:1910.10683)
    fineweb             lines that end without punctuation, repeat, or are short
    dedup               near-duplicates of an earlier page (MinHash, dedup.py)
    personal            rejects nothing: e-mail and IP addresses, numbers of telephones, cards and
                        social security become placeholders

The output folder gets documents-*.jsonl.gz, report.md with the funnel and a sample of what each
reason rejected, report.json and report.png. A killed job goes on when the same command is given
again; neither that nor the number of workers changes a byte.
"""

import json
import os
import shutil
import zlib
from collections import Counter
from dataclasses import asdict, dataclass
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np

from csrc.cli import flag
from csrc.files import ChatError, locked, read_json, records, to_json, write_files
from data.crawl import dedup, extract, filters, language, personal, warc
from data.crawl.report import Funnel, write_report
from data.tokens import bpe, parallel
from data.tokens.documents import WARC, find_files

STAGES = ("read", "url", "extract", "language", "gopher_repetition", "gopher_quality", "c4",
          "fineweb", "dedup", "personal")
LARGEST_PART, SMALLEST_PART = 256 << 20, 1 << 20  # bytes of a WARC that are one task


@dataclass(frozen=True)
class Settings:
    """What decides the output."""
    until: str = flag("personal", "stop after this stage and write what it kept", choices=STAGES)
    language: str = flag("en", "code of the wanted one", metavar="CODE")
    language_score: float = flag(0.65, "least probability of it, FineWeb's", limits="[0, 1]")
    blocklists: tuple[str, ...] = flag((), "domains to leave out: folders in UT1's format, with "
                                       "CATEGORY/domains (data/download.py ut1 fetches UT1's)")
    bad_words: str | None = flag(None, "leave out pages with a word of this file, as C4 does",
                                 metavar="FILE")
    tokenizer: str | None = flag(None, "count tokens with this folder, file or name, such as "
                                 "cl100k_base; without it, estimate them from bytes")
    keep_rejects: bool = flag(False, "write what each stage rejected, too: rejects-*.gz")

    def __post_init__(self):
        object.__setattr__(self, "blocklists", tuple(self.blocklists))    # from the command line


# ------------------------------------------------------------------------------------------- Stages
# A stage is a function of the document, a dict, which may change it; it returns why the page goes,
# or None. The page, as it was read, stands under "page" until its text is extracted.


@cache
def stages(settings):
    """[(name, stage), ...] from url on, up to --until, at most fineweb. Once a process: some have
    lists or a model to read."""
    banned = filters.url_filter(settings.blocklists)
    wanted = settings.language

    def url(doc):
        return banned(doc["url"])

    def main_text(doc):
        page = doc.pop("page")
        text = page.text
        if text is None:
            text = extract.decode(page.body, page.content_type)
            if not page.content_type.lower().startswith("text/plain"):
                text = extract.extract(text)
        doc["text"] = filters.SplitText(text)
        return None if text else "no main text"

    def in_language(doc):
        code, score = language.identify(doc["text"])
        doc["language"], doc["language_score"] = code, round(score, 4)
        if code != wanted:
            return f"in {code}"
        return None if score >= settings.language_score else "unsure of the language"

    def of_text(reject):
        return lambda doc: reject(doc["text"])

    def c4(doc):
        doc["text"], reason = filters.c4(doc["text"])
        return reason or (unwanted and unwanted(doc["text"]))

    unwanted = settings.bad_words and filters.bad_words(settings.bad_words)
    known = {"url": url, "extract": main_text, "language": in_language,
             "gopher_repetition": of_text(filters.gopher_repetition),
             "gopher_quality": of_text(filters.gopher_quality), "c4": c4,
             "fineweb": of_text(filters.fineweb)}
    asked = STAGES[:STAGES.index(settings.until) + 1]
    if wanted not in language.codes():
        raise ChatError(f"--language {wanted!r} is none of {', '.join(language.codes())}")
    return [(name, stage) for name, stage in known.items() if name in asked]


@cache
def token_counter(settings):
    """A function from a text to its number of tokens: exact with --tokenizer, else an estimate."""
    if settings.tokenizer is None:
        return lambda text: len(text.encode()) / 4.5     # about GPT-2's, on English
    encode = bpe.Tokenizer.load(settings.tokenizer).encode
    return lambda text: len(encode(text))


def first_reason(doc, settings, funnel):
    """Take a document through the stages and count it; (stage, reason) if one rejects it."""
    count, page, text, tokens = token_counter(settings), doc["page"], None, 0
    size = len(page.body if page.text is None else page.text.encode())
    funnel.keep("read", size, 0)
    for name, stage in stages(settings):
        reason = stage(doc)
        if reason:
            return name, reason
        if doc.get("text") is not text:          # extract and c4 make a new one
            text = doc["text"]
            size, tokens = len(text.encode()), count(text)
        funnel.keep(name, size, tokens)
    return None


# -------------------------------------------------------------------------------------------- Tasks
# Each makes its files whole and `out`, which says that it is done, last.


def clean(out, spans, settings):
    """Read the pages of some bytes of some WARCs, and keep what all stages before dedup leave:
    work/N.kept.gz, work/N.keys, work/N.rejects.gz and, `out`, the counts."""
    funnel, kept, keys, rejects = Funnel(), Lines(), [], Lines()
    deduplicates = "dedup" in STAGES[:STAGES.index(settings.until) + 1]
    problems = Counter()
    for page in chain.from_iterable(warc.pages(*span, problems) for span in spans):
        doc = {"url": page.url, "date": page.date, "page": page}
        rejected = first_reason(doc, settings, funnel)
        shown = doc.pop("page", None)
        if shown and (settings.keep_rejects or not rejected):
            doc["html"] = shown.text or extract.decode(shown.body, shown.content_type)
        if rejected:
            stage, reason = rejected
            funnel.reject(stage, reason, page.url, doc.get("text", ""))
            if settings.keep_rejects:
                rejects.add({"stage": stage, "reason": reason, **doc})
        else:
            kept.add(doc)
            if deduplicates:
                keys.append(dedup.keys(doc["text"]))
    for reason, count in problems.items():
        funnel.reject("read", reason, count=count)
    files = {f"{out.stem}.kept.gz": kept}
    if settings.keep_rejects:
        files[f"{out.stem}.rejects.gz"] = rejects
    if deduplicates:
        keys = np.array(keys, np.uint64).reshape(len(keys), dedup.BANDS)
        dedup.write_keys(out.with_suffix(".keys"), keys)
    write_files(out.parent, files | {out.name: to_json(funnel.counts)})


def finish(out, part, verdicts, settings):
    """Drop the duplicates of a part and mask personal data: work/N.documents.gz, the rejects again
    with the duplicates and, `out`, the counts."""
    funnel, kept, rejects = Funnel(), Lines(), Lines()
    count, masked = token_counter(settings), Counter()
    for first, doc in zip(dedup.kept(verdicts), documents_of(part.with_suffix(".kept.gz"))):
        if not first:
            funnel.reject("dedup", "near-duplicate", doc["url"], doc["text"])
            if settings.keep_rejects:
                rejects.add({"stage": "dedup", "reason": "near-duplicate", **doc})
            continue
        funnel.keep("dedup", len(doc["text"].encode()), count(doc["text"]))
        if settings.until == "personal":
            doc["text"], found = personal.mask_personal(doc["text"])
            masked.update(found)
            funnel.keep("personal", len(doc["text"].encode()), count(doc["text"]))
        kept.add(doc)
    funnel.counts["masked"] = dict(masked)
    files = {f"{part.stem}.documents.gz": kept}
    if settings.keep_rejects:
        files[f"{part.stem}.duplicates.gz"] = rejects
    write_files(out.parent, files | {out.name: to_json(funnel.counts)})


class Lines:
    """The chunks of a .jsonl.gz, without a time in it. Documents are compressed when they are
    added, so that thousands of HTML pages take the memory that they take in the crawl."""

    def __init__(self):
        self.packer, self.chunks = zlib.compressobj(6, zlib.DEFLATED, 31), []

    def add(self, doc):
        line = json.dumps(doc, ensure_ascii=False).encode() + b"\n"
        self.chunks.append(self.packer.compress(line))

    def __iter__(self):
        return iter([*self.chunks, self.packer.flush()])


def documents_of(path):
    """The documents of a file of Lines."""
    return (document for _, document in records(path))


# ------------------------------------------------------------------------------------------ The job


def run(sources, out, settings=Settings(), workers=None):
    """Take the pages of `sources` (WARC or WET files, or folders of them) through the pipeline.

    Returns what report.json says. ChatError if `out` holds something else, or was begun with other
    sources or settings, or if there is no page: then `out` is as it was. OSError if a file cannot
    be read or written.
    """
    out, files = Path(out), find_files(sources, WARC)
    new = not out.exists()
    identity = {"settings": asdict(settings) | {"blocklists": list(settings.blocklists)},
                "sources": [[str(file), file.stat().st_size] for file in files]}
    stages(settings), token_counter(settings)    # a list or a tokenizer that is missing: say it now
    with locked(out):
        if begin(out, identity):
            shutil.rmtree(out / "work", ignore_errors=True)       # a kill may have left it
            return read_json(out / "report.json")
        with parallel.workers(workers) as executor:
            counts, ends = filtered(executor, files, out / "work", settings)
        funnel = Funnel()
        for path in counts:
            funnel.add(read_json(path))
        if not funnel.pages("read"):
            shutil.rmtree(out / "work")
            if new:
                out.rmdir()
            raise ChatError(f"there is no page in {', '.join(map(str, sources))}: "
                            f"{dict(funnel.reasons('read')) or 'all files are empty'}")
        collect(out, ends)
        report = write_report(out, funnel, identity, STAGES, settings.tokenizer is not None)
        shutil.rmtree(out / "work")
        return report


def filtered(executor, files, work, settings):
    """Run all tasks; return the files of their counts and those of the documents."""
    jobs = [(work / f"{i:05}.json", spans, settings) for i, spans in enumerate(divide(files))]
    parallel.run_tasks(executor, clean, jobs, "pages")
    parts = [job[0] for job in jobs]
    if settings.until not in ("dedup", "personal"):
        return parts, [part.with_suffix(".kept.gz") for part in parts]
    verdicts = dedup.deduplicate(executor, [part.with_suffix(".keys") for part in parts], work)
    jobs = [(part.with_suffix(".end.json"), part, verdict, settings)
            for part, verdict in zip(parts, verdicts)]
    parallel.run_tasks(executor, finish, jobs, "documents")
    return parts + [job[0] for job in jobs], [part.with_suffix(".documents.gz") for part in parts]


def collect(out, ends):
    """Move what the tasks made out of the work folder; some may have been moved before a kill. Only
    the documents end in .jsonl.gz, which is what train.py --data reads in a folder, where it wants
    no empty file."""
    for path in [*ends, *out.glob("work/*.rejects.gz"), *out.glob("work/*.duplicates.gz")]:
        number, kind, _ = path.name.split(".")
        name = f"documents-{number}.jsonl.gz" if path in ends else f"{kind}-{number}.gz"
        if path.exists() and next(documents_of(path), None):
            os.replace(path, out / name)


def divide(files):
    """The work as lists of (file, start, end): about 64 parts, of bounded sizes, small files
    together. They follow from the files alone."""
    size = max(SMALLEST_PART, min(sum(file.stat().st_size for file in files) // 64, LARGEST_PART))
    spans = ((file, *span) for file in files for span in warc.splits(file, size))
    return parallel.batches(spans, size, lambda span: span[2] - span[1])


def begin(out, identity):
    """Mark the folder as this job's, or find that it was begun there; True if it is finished.

    ChatError if it belongs to something else."""
    report, mark = out / "report.json", out / "work" / "begun.json"
    for path in (report, mark):
        if path.exists():
            found = read_json(path)
            for what in identity:
                if found.get(what) != identity[what]:
                    raise ChatError(f"{out} was begun with other {what}: choose another --out, or "
                                    f"remove it")
            return path == report
    left = mark.parent, mark.with_name(f".{mark.name}.new")      # by a kill, just below
    if any(path not in left and path.parent not in left for path in out.rglob("*")):
        raise ChatError(f"{out} is not empty and not from this program: choose another --out")
    write_files(mark.parent, {mark.name: to_json(identity)})
    return False

