"""Byte-pair encoding: learn a vocabulary from text, turn text into tokens and back.

A vocabulary is 256 bytes, then one token a merge, then the special tokens. Text is first split
into words, digits, punctuation and blanks by PATTERN; inside each such chunk the two neighbouring
tokens whose merge was learned first are joined, until no two are left that can be. (Sennrich et
al. 2016, arXiv 1508.07909; on bytes: Radford et al. 2019, GPT-2.)

data/tokens/learn.py learns the merges; `Tokenizer` encodes with tiktoken and reads and writes
Hugging Face's tokenizer.json, so that other programs give the same ids. A tokenizer is such a
folder, one of OpenAI's by its name (gpt2, cl100k_base, o200k_base), or the file of one of those.
"""

import json
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from reprlib import repr as short

import numpy as np

from csrc import adapter, gguf, hf
from csrc.files import ChatError, from_json, read_json, read_whole, write_file
from csrc.remote import local
from data.tokens import codecs, foreign, openai
from data.tokens.learn import PATTERN, learn_merges
from data.tokens.vocabulary import BEGIN, CONFIG, ENDS, TO_CHAR, describe

FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
PARTS = (".json", ".model", ".txt", ".jinja")       # how names of a tokenizer's files end

END = "<|im_end|>"       # ends a turn
NAMED = [BEGIN, "<|im_start|>", END, "<|search_start|>", "<|search_end|>", "<|python_start|>",
         "<|python_end|>", "<|result_start|>", "<|result_end|>", "<think>", "</think>"]
SPECIALS = NAMED + [f"<|reserved_{i}|>" for i in range(32 - len(NAMED))]

# For other programs, in as little of Jinja as Qwen's templates use. data/chat/protocol.py, which
# explains the protocol, makes the same ids without it.
CHAT_TEMPLATE = Path(__file__).with_name("chat_template.jinja").read_text("utf-8")


# ----------------------------------------------------------------------------------------- Training

def wanted_merges(vocab_size):
    """Return how many merges make a vocabulary of `vocab_size`, bytes and SPECIALS included.

    ChatError if not even those fit.
    """
    least = 256 + len(SPECIALS)
    if vocab_size < least:
        raise ChatError(f"a vocabulary of {vocab_size} is too small: 256 bytes and "
                        f"{len(SPECIALS)} special tokens make {least}")
    return vocab_size - least


def learn(chunks, vocab_size):
    """Return a Tokenizer learnt from chunks, as `count_chunks` gives them."""
    return Tokenizer.from_merges(learn_merges(chunks, wanted_merges(vocab_size))[0])


# ------------------------------------------------------------------------------------ The tokenizer

def read(place):
    """Return what the Tokenizer in a folder or a file (Path), or in a gguf.File, is made of: see
    `Tokenizer.load`."""
    if isinstance(place, gguf.File) or place.is_file() and gguf.begins(place):
        return foreign.from_gguf(gguf.opened(place))
    path, about, template = (place / name for name in FILES)
    if adapter.is_adapter(place) and not path.is_file():
        return read(adapter.base_of(place))
    if path.is_file():
        spec, config, codec = from_json(read_whole(path)), {}, None
    elif str(place) in openai.KNOWN or place.is_file():
        return openai.load(str(place))
    elif (place / "tokenizer.model").is_file():
        spec, config, codec = foreign.from_sentencepiece(place / "tokenizer.model")
    elif (place / "vocab.json").is_file() and (place / "merges.txt").is_file():
        spec, config, codec = foreign.from_vocabulary(place)
    else:
        raise FileNotFoundError(f"no tokenizer in {place}: there is no {path} (by name there are "
                                f"{', '.join(openai.KNOWN)})")
    config |= read_json(about) if about.exists() else {}
    if template.exists():
        config["chat_template"] = template.read_text(encoding="utf-8")
    return spec, config, codec


class Tokenizer:
    """A vocabulary and its special tokens. `encode` never gives a special token.

    codec         what does the work, of data/tokens/codecs.py
    vocab_size    how many ids there are, special tokens included
    specials      the id of each special token, by name
    begin         the id that begins documents: <|endoftext|>'s, else bos_token's; None if there is
                  none, or the tokenizer asks for none
    ends          the ids at which a text ends: of the special tokens in ENDS, of eos_token,
                  eot_token and eom_token, and those that generation_config.json names
    between       the id that stands between documents: `begin`, or else what ends a text
    byte_lengths  int32 (vocab_size,): bytes of text in each token, 0 for special ones
    """

    def __init__(self, spec, config, codec=None):
        """Take what tokenizer.json and tokenizer_config.json hold, or instead of the first a codec;
        ChatError if it is unfit."""
        self.codec, self.config, self.given = codec or codecs.codec_of(spec), config, spec
        self.specials = self.codec.specials
        self.vocab_size = len(self.codec.tokens)
        self.begin = self.specials.get(BEGIN, self.specials.get(self.named("bos_token")))
        if config.get("add_bos_token") is False:
            self.begin = None
        end = self.specials.get(BEGIN, self.specials.get(self.named("eos_token")))
        self.between = end if self.begin is None else self.begin
        self.byte_lengths = np.fromiter(map(len, self.codec.tokens), np.int32, self.vocab_size)
        self.byte_lengths[[*self.specials.values()]] = 0
        names = {*ENDS, *map(self.named, ("eos_token", "eot_token", "eom_token"))}
        self.ends = {i for name, i in self.specials.items() if name in names}

    @cached_property
    def spec(self):
        """The contents of tokenizer.json."""
        return self.given or self.codec.describe()

    def named(self, key):
        """Return the name of a special token that the config has, as of "bos_token"; else None."""
        token = self.config.get(key)
        name = token.get("content", token) if isinstance(token, dict) else token
        if not isinstance(name, str | None):
            raise ChatError(f"{key} is {short(token)}, but must be a text")
        return name

    @classmethod
    def from_merges(cls, merges):
        """Make a tokenizer of our own kind: 256 bytes, `merges` of `learn_merges`, SPECIALS."""
        tokens = [TO_CHAR[byte] for byte in range(256)]
        for left, right in merges:
            tokens.append(tokens[left] + tokens[right])
        config = CONFIG | {"eos_token": END, "chat_template": CHAT_TEMPLATE}
        return cls(describe(tokens, merges, SPECIALS, PATTERN), config)

    @classmethod
    def load(cls, folder):
        """Read a Hugging Face folder or a GGUF file, or what is at an address of one; or one of
        OpenAI's vocabularies, by name or from its file (data/tokens/openai.py).

        FileNotFoundError if there is none; ChatError names what is broken in it, or what it asks
        for that is not supported.
        """
        name = getattr(folder, "path", folder)
        place = folder if isinstance(folder, gguf.File) else local(folder, PARTS)
        try:
            tokenizer, place = cls(*read(place)), getattr(place, "path", place)
            tokenizer.ends |= {i for i in hf.ends_of(place) if 0 <= i < tokenizer.vocab_size}
            return tokenizer
        except (AttributeError, KeyError, TypeError, RecursionError) as error:
            raise ChatError(f"{name}: malformed tokenizer ({error!r})") from error
        except ValueError as error:
            raise ChatError(f"{name}: unusable tokenizer: {error}") from error

    def save(self, folder):
        """Write tokenizer.json, tokenizer_config.json and the chat template, if there is one."""
        path, about, template = (Path(folder, name) for name in FILES)
        if isinstance(self.config.get("chat_template"), str):
            write_file(template, self.config["chat_template"])
        write_file(about, json.dumps(self.config, indent=2))
        write_file(path, json.dumps(self.spec, ensure_ascii=False))

    def encode(self, text):
        """Return the ids of `text`, a list of int. What looks like a special token is plain text.

        Lone surrogates become U+FFFD. The time is linear in the length of any text.
        """
        return self.codec.encode(text)

    def encode_batch(self, texts, threads=None):
        """Return [encode(text), ...], computed by `threads` threads (None: one a processor)."""
        count = min(threads or os.cpu_count(), len(texts)) or 1
        results = [None] * len(texts)

        def work(first):
            results[first::count] = map(self.encode, texts[first::count])

        with ThreadPoolExecutor(count) as pool:
            list(pool.map(work, range(count)))
        return results

    def decode_bytes(self, ids):
        """Return the bytes of `ids`, special tokens by name; ChatError if there is no such id."""
        ids = [int(i) for i in ids]
        for i in ids:
            if not 0 <= i < self.vocab_size:
                raise ChatError(f"token {i} is outside the vocabulary of {self.vocab_size}")
        return b"".join([self.codec.tokens[i] for i in ids])

    def decode(self, ids):
        """Return the text of `ids`; bytes that are not UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    @property
    def ours(self):
        """Whether it has the special tokens of every tokenizer that is learnt here: a model with
        another one is from elsewhere."""
        return self.specials.keys() >= {*NAMED}

    @property
    def identity(self):
        """A number that shows whether a tokenizer is still the same."""
        return zlib.crc32(json.dumps([self.spec, self.config], sort_keys=True).encode())

    def generation(self):
        """Return the ids that generation_config.json names."""
        pad, end = (self.specials.get(self.named(key)) for key in ("pad_token", "eos_token"))
        end = self.specials.get(END, end)
        return {"bos": self.begin, "pad": self.begin if pad is None else pad, "eos": end,
                "stop": sorted(self.ends, key=lambda i: (i != end, i))}

    def special(self, name):
        """Return the id of the special token `name`; ChatError if there is none."""
        if name not in self.specials:
            known = ", ".join(self.specials) or "none at all"
            raise ChatError(f"the tokenizer has no special token {name!r}, but {known}")
        return self.specials[name]
