"""OpenAI's published vocabularies as tokenizers of ours: gpt2, cl100k_base (GPT-4), o200k_base.

Their files say how tokens rank, but neither which merges make them, nor how text is split, nor
which special tokens there are. The first is computed here, the others stand here, found by the
file's sha256. So a file we do not know cannot be used.
"""

import base64
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from tiktoken.load import read_file_cached

from csrc.files import ChatError
from data.tokens.vocabulary import BEGIN, CONFIG, GPT2_PATTERN, TO_BYTE, TO_CHAR, describe

ENDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
# tiktoken's patterns in words that Hugging Face's regex engine reads in the same way.
CL100K_PATTERN = (ENDS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
                  r"|\s+(?![\s\S])|\s*[\r\n]+|\s+(?!\S)|\s+")
O200K_PATTERN = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{ENDS}?"
                 rf"|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{ENDS}?"
                 r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


class Vocabulary(NamedTuple):
    """What its file does not say. `path`: on OpenAI's server; `specials`: ids by name."""

    path: str
    sha256: str
    pattern: str
    specials: dict


SERVER = "https://openaipublic.blob.core.windows.net/"
KNOWN = {
    "gpt2": Vocabulary(
        "gpt-2/encodings/main/encoder.json",
        "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
        GPT2_PATTERN, {"<|endoftext|>": 50256}),
    "cl100k_base": Vocabulary(
        "encodings/cl100k_base.tiktoken",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        CL100K_PATTERN, {"<|endoftext|>": 100257, "<|fim_prefix|>": 100258,
                         "<|fim_middle|>": 100259, "<|fim_suffix|>": 100260,
                         "<|endofprompt|>": 100276}),
    "o200k_base": Vocabulary(
        "encodings/o200k_base.tiktoken",
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        O200K_PATTERN, {"<|endoftext|>": 199999, "<|endofprompt|>": 200018}),
}


def load(name):
    """Return (tokenizer.json, tokenizer_config.json) of a name in KNOWN or the file of one: what
    bpe.Tokenizer is made of. GPT-2's file is encoder.json; vocab.bpe stands for that beside it.

    ChatError if a file is not one of these; OSError if it cannot be had.
    """
    vocabulary = KNOWN.get(str(name))
    if vocabulary:
        data = fetch(name, vocabulary)
    else:
        path = Path(name)
        data = (path.with_name("encoder.json") if path.name == "vocab.bpe" else path).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        vocabulary = next((known for known in KNOWN.values() if known.sha256 == digest), None)
        if vocabulary is None:
            raise ChatError(f"{path}: not the file of {', '.join(KNOWN)} (its sha256 is "
                            f"{digest[:12]}...), so nobody knows how it splits text; a folder "
                            f"with tokenizer.json would say")
    ranks = read_ranks(data)
    tokens = ["".join(TO_CHAR[byte] for byte in token) for token in ranks]
    merges = [(ranks[left], ranks[right]) for left, right in find_merges(ranks)]
    # Ids that nothing has get names, so that there is a token for each id.
    names = {i: f"<|unused_{i}|>" for i in range(len(ranks), max(vocabulary.specials.values()))}
    names |= {i: special for special, i in vocabulary.specials.items()}
    spec = describe(tokens, merges, [names[i] for i in sorted(names)], vocabulary.pattern)
    return spec, dict(CONFIG)


def fetch(name, vocabulary):
    """Return the file's bytes, from tiktoken's cache or, through that, from the network."""
    url = SERVER + vocabulary.path
    try:
        return read_file_cached(url, vocabulary.sha256)
    except (OSError, ValueError) as error:
        raise OSError(f"{name} is not in tiktoken's cache and cannot be downloaded "
                      f"({type(error).__name__}): fetch {url} elsewhere and give the file's path "
                      f"instead of {name!r}, or save it as {cache_path(url)}") from error


def cache_path(url):
    """Return where tiktoken keeps what it fetches from an address."""
    folder = os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR") \
        or Path(tempfile.gettempdir(), "data-gym-cache")
    return Path(folder, hashlib.sha1(url.encode()).hexdigest())


def read_ranks(data):
    """Return {token: id} in order of ids, of a .tiktoken file or GPT-2's encoder.json."""
    if data.startswith(b"{"):
        spelled = json.loads(data)
        del spelled[BEGIN]
        ranks = {bytes(TO_BYTE[char] for char in token): i for token, i in spelled.items()}
    else:
        lines = map(bytes.split, data.splitlines())
        ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    return dict(sorted(ranks.items(), key=lambda item: item[1]))


def find_merges(ranks):
    """Yield, for each token of two bytes or more, the two tokens that a merge made it of: what
    merging leaves of its bytes when only lower ranks may be made.

    Where just one place cuts it into two tokens of lower ranks, it is that.
    """
    for token, rank in ranks.items():
        if len(token) > 1:
            cuts = [i for i in range(1, len(token)) if ranks.get(token[:i], rank) < rank
                    and ranks.get(token[i:], rank) < rank]
            yield ((token[:cuts[0]], token[cuts[0]:]) if len(cuts) == 1
                   else merge_below(ranks, token, rank))


def merge_below(ranks, token, limit):
    """Return the parts of `token` after all merges that make a token of a rank below `limit`."""
    parts = [token[i : i + 1] for i in range(len(token))]
    made = [ranks.get(token[i : i + 2], limit) for i in range(len(token) - 1)]
    while (rank := min(made)) < limit:
        i = made.index(rank)
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
        del made[i]
        for j in range(max(i - 1, 0), min(i + 1, len(made))):
            made[j] = ranks.get(parts[j] + parts[j + 1], limit)
    return parts
