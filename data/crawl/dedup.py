"""Near-deduplication with MinHash, in files, with bounded memory, for any number of documents.

Two documents whose shingles (runs of 5 words) have Jaccard similarity s agree in each of 112 minima
of random permutations of all shingles with probability s. 8 minima make a band, and documents that
agree in any of the 14 bands are duplicates: with probability 1 - (1 - s^8)^14, which is 0.05 at
s = 0.5, 0.56 at 0.7, 0.92 at 0.8 and 0.9996 at 0.9. Of documents that such pairs connect, the first
is kept. The numbers are FineWeb's (arXiv:2406.17557, section 3.4), which compares the documents of
one crawl with each other, but not with those of other crawls: that made its models no better.

Before that, text is normalised in one way, character by character, as `letters` says: lower case,
no diacritics, any number is 0, and what is neither letter nor number ends a word.

    keys          text -> 14 numbers, one a band: a hash of its minima (csrc/minhash.c)
    write_keys    these, for all documents of a part: sorted, so that a slice can be read
    deduplicate   key files -> pairs, a task for each band and slice of the keys' range
                            -> components of the graph that the pairs make: one task
                            -> verdicts, a task for each part

All files are .npy of uint32, made whole or not at all, and used again if they exist.

Disk and memory, in bytes, a document and for 600 million, about what FineWeb's filters left of each
crawl (36 trillion tokens of 96: arXiv:2406.17557): keys 14 * 12 = 168 (101 GB); pairs 8, up to 14
times for each document that is dropped (34 GB where half are); roots and verdicts 4 each (5 GB). A
task for pairs takes MEMORY and what the documents of one key take, if there are very many; the task
for components 4 a document (2.4 GB): at most 2^32 documents, 17 GB. Two documents have equal keys
by accident 0.14 times in such a crawl, 14 * (600e6)^2 / 2 / 2^64.
"""

import io
import unicodedata
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

import numpy as np

from csrc.bind import Library
from csrc.files import ChatError, naming, read_json, to_json, write_files
from data.tokens.parallel import run_tasks

BANDS = 14                   # as in text.h
MEMORY = 256 << 20           # bytes that a task which looks for pairs takes
RECORD = 48                  # of them for each document it looks at
KEYS = BANDS, 3, None        # shape of a key file: key >> 32, key & (2^32 - 1), index in the part


# ----------------------------------------------------------------------------------- Normalisation

UNICODE = unicodedata.ucd_3_2_0                  # the same in every Python, so the same keys
DROPPED = "Mn", "Me", "Cf"                       # marks on letters, invisible characters
INVISIBLE = "\u00ad\u200b"                       # became one of these later
POINTS = ".,\u060c\u066b"                        # those of decimal fractions
SCRIPTS_WITHOUT_BLANKS = [(0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF),
                          (0x3400, 0x9FFF), (0xF900, 0xFAFF)]


@lru_cache(maxsize=None)
def letters():
    """Return what each character below U+10000 is in a word: uint32, as text.h says.

    Much like datatrove's simplify_text, but punctuation is what Unicode calls so, with symbols and
    controls, and not a list; 1,234.50 is one number; and words need no tokenizer of a language:
    they end at blanks, and each character of a script that has none is one, and each from U+10000.
    """
    return np.array([letter(chr(code)) for code in range(Library.text().lib.LETTERS)], np.uint32)


def letter(char):
    """Return what one character is in a word."""
    lib, category = Library.text().lib, UNICODE.category(char)
    if category in DROPPED or char in INVISIBLE:
        return lib.LETTER_DROPPED
    if char in POINTS:
        return lib.LETTER_POINT
    if category == "Nd":
        return ord("0")
    if category == "Cn":                         # younger than this Unicode: mostly letters
        return ord(char)
    if category[0] in "PSZC":
        return lib.LETTER_BLANK
    parts = [c for c in UNICODE.normalize("NFD", char.lower())
             if UNICODE.category(c) not in DROPPED]
    base = ord(parts[0]) if len(parts) == 1 else ord(char)        # several: a syllable of Hangul
    alone = any(first <= base <= last for first, last in SCRIPTS_WITHOUT_BLANKS)
    return base + alone * lib.LETTER_ALONE


# -------------------------------------------------------------------------------------------- Keys

def keys(text):
    """Return the keys of a document's bands: uint64 (BANDS,), the same on every machine.

    A document of fewer than 5 words has one shingle, of all its words: it is a duplicate of those
    with the same words only. So are those without any word, of each other.
    """
    data = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
    out = np.empty(BANDS, np.uint64)
    Library.text().call("minhash_keys", out, data, letters(), data.size)
    return out


def write_keys(path, keys):
    """Write the key file of a part. keys: uint64 (n, BANDS) of its documents, in their order."""
    bands = np.ascontiguousarray(np.asarray(keys, np.uint64).reshape(-1, BANDS).T)
    order = np.argsort(bands, axis=1, kind="stable")
    bands = np.take_along_axis(bands, order, axis=1)
    save(path, np.stack([bands >> np.uint64(32), bands & np.uint64(2**32 - 1), order], axis=1))


def save(path, array):
    """Write an array as a .npy file of uint32."""
    array, header = np.ascontiguousarray(array, "<u4"), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    write_files(Path(path).parent, {Path(path).name: [header.getvalue(), array.data]})


def load(path, shape):
    """Map what `save` wrote: np.memmap; a size in `shape` may be None. ChatError if it is not."""
    try:
        array = np.lib.format.open_memmap(path, mode="r")
        whole = array.offset + array.nbytes == Path(path).stat().st_size
    except (ValueError, OverflowError):
        whole = False
    if not whole or array.dtype != "<u4" or array.ndim != len(shape) or any(
            want not in (None, size) for want, size in zip(shape, array.shape)):
        wanted = ", ".join("n" if size is None else str(size) for size in shape)
        raise ChatError(f"{path}: damaged, not a whole .npy file of uint32 ({wanted}): delete it, "
                        f"and the same command makes it again")
    return array


# ---------------------------------------------------------------------------------- Deduplication

def deduplicate(executor, parts, work):
    """Return the verdict files, one for each key file, of the documents of all parts together.

    executor  runs the tasks (data/tokens/parallel.py)
    parts     key files; documents are numbered through all parts, in this order
    work      a folder for the files in between; what is there is not made again

    ChatError if a file is damaged, or if `work` holds the files of other parts.
    """
    work = Path(work)
    counts = [load(part, KEYS).shape[2] for part in parts]
    total = sum(counts)
    if total >= 2**32:
        raise ChatError(f"{total} documents are too many to compare at once: at most {2**32 - 1}")
    slices = max(1, -(-total * RECORD // MEMORY))
    plan = work / "plan.json"
    contents = {"slices": slices, "parts": [list(part) for part in zip(map(str, parts), counts)]}
    if not plan.exists():
        write_files(work, {plan.name: to_json(contents)})
    elif read_json(plan) != contents:
        raise ChatError(f"{work}: its files are of other documents: delete it, or name another")
    pairs = [work / f"pairs-{band:02}-{i:05}.npy" for band in range(BANDS) for i in range(slices)]
    run_tasks(executor, find_pairs,
             [(out, plan, *divmod(i, slices)) for i, out in enumerate(pairs)], "duplicate pairs")
    roots = work / "roots.npy"
    run_tasks(executor, join, [(roots, pairs, total)], "components")
    verdicts = [work / f"verdicts-{i:05}.npy" for i in range(len(counts))]
    run_tasks(executor, cut, [(out, roots, start, count) for out, start, count
                             in zip(verdicts, accumulate(counts, initial=0), counts)], "verdicts")
    return verdicts


def find_pairs(out, plan, band, i):
    """Write (first document with a key, another one with it): (pairs, 2), of slice i of a band."""
    plan, start = read_json(plan), 0
    found, numbers = [np.empty(0, np.uint64)], [np.empty(0, np.uint32)]
    low, high = ((j << 32) // plan["slices"] for j in (i, i + 1))
    for part, count in plan["parts"]:
        upper, lower, index = load(part, (*KEYS[:2], count))[band]
        run = slice(np.searchsorted(upper, np.uint32(low)),
                    np.searchsorted(upper, np.uint32(high - 1), "right"))
        found.append(upper[run].astype(np.uint64) << np.uint64(32) | lower[run])
        numbers.append(index[run] + np.uint32(start))
        start += count
    found, numbers = np.concatenate(found), np.concatenate(numbers)
    order = np.argsort(found, kind="stable")
    found, numbers = found[order], numbers[order]
    begins = np.flatnonzero(np.append(found[:1] == found[:1], found[1:] != found[:-1]))
    firsts = np.repeat(numbers[begins], np.diff(begins, append=len(found)))
    save(out, np.stack([firsts, numbers], axis=1)[firsts != numbers])


def join(out, pairs, total):
    """Write the first document of each one's component: (total,)."""
    call, roots = Library.text().call, np.arange(total, dtype=np.uint32)
    for path in pairs:
        found = load(path, (None, 2))
        with naming(path):
            call("join_pairs", roots, found, len(found), total)
    call("find_roots", roots, total)
    save(out, roots)


def cut(out, roots, start, count):
    """Write a part of the roots, behind the number of its first document: (1 + count,)."""
    save(out, np.append(np.uint32(start), load(roots, (None,))[start : start + count]))


def read_verdicts(path):
    """Return for each document of a part the number, counted through all parts, of the first one
    that it is connected to by duplicates: int64 (n,). Where that is itself, it is kept."""
    return load(path, (None,))[1:].astype(np.int64)


def kept(path):
    """Return which documents of a part are kept: bool (n,)."""
    verdicts = read_verdicts(path)
    return verdicts == load(path, (None,))[0] + np.arange(len(verdicts))
