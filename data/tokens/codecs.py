"""How a vocabulary makes ids of text: three ways, of which the first that can is taken.

    ByteLevel      byte-pair encoding of bytes, as GPT-2's, Qwen's and Llama 3's, by tiktoken
    SentencePiece  byte-pair encoding of characters, with bytes for unknown ones, as Llama 2's and
                   Gemma's, from a table of pieces and scores; by tiktoken, too
    Tokenizers     all else that a tokenizer.json can say, also patterns that nobody vouches for, by
                   the library `tokenizers`, in bounded time

No text that anybody types makes a special token, in any of them. To a codec each special token is
spelled by an alias that no text can contain, for it is drawn at random in each process: so a chat
template's tokens, and only they, can stand in a text with what people wrote.
"""

import copy
import json
import re
import secrets
import unicodedata
from itertools import chain
from os.path import commonprefix
from reprlib import repr as short
from threading import Thread

import numpy as np
import regex
import tiktoken

from csrc.files import ChatError
from data.tokens.learn import PATTERN, utf8
from data.tokens.openai import CL100K_PATTERN, O200K_PATTERN
from data.tokens.vocabulary import (DIGITS_PATTERN, ENDS, GPT2_PATTERN, TO_BYTE, Inexpressible,
                                    added_token, check_ids, read_split, read_vocabulary)

LLAMA3_PATTERN = CL100K_PATTERN.replace(r"|\s+(?![\s\S])", "")
TEKKEN_PATTERN = O200K_PATTERN.replace(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "").replace("{1,3}", "")
# Those that take linear time and match any text.
LINEAR = {PATTERN, GPT2_PATTERN, DIGITS_PATTERN, CL100K_PATTERN, O200K_PATTERN, LLAMA3_PATTERN,
          TEKKEN_PATTERN}
PATIENCE = 5, 5e-5  # seconds to encode a text by other patterns, and more for a character
BLANKS = 1 << 16  # characters: longer runs of blanks are not left to tiktoken's regex engine
SECRET = secrets.token_hex(16)
NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = range(1, 7)  # the types of SentencePiece's pieces
SPACE, END = "\u2581", b"\xff"   # how it spells a space; what no UTF-8 contains


def alias(i):
    """Return what spells the special token `i` in a text for `encode`, and nothing else does."""
    return f"{SECRET}{i};"


def codec_of(spec):
    """Return the codec of a tokenizer.json; ChatError if it is unsound."""
    try:
        return ByteLevel(spec)
    except Inexpressible as reason:
        return Tokenizers(spec, reason)


def added_of(spec):
    """Return ({name: id} of the special tokens that a tokenizer.json adds, {text: id} of those that
    are not, which are found in any text; what ends a turn is special, whatever it says."""
    found = {}, {}
    for token in spec.get("added_tokens") or []:
        special = token.get("special", True) or token["content"] in ENDS
        found[not special][token["content"]] = token["id"]
    return found


def longest(texts):
    """Return a regular expression that matches the longest of some texts that begins at a place, in
    a time that does not depend on how many there are."""
    groups = {}
    for text in sorted(filter(None, texts)):
        groups.setdefault(text[0], []).append(text)
    parts = []
    for some in groups.values():
        begin = commonprefix(some)
        ends = {text[len(begin):] for text in some}
        parts.append(re.escape(begin) + (longest(ends) if ends != {""} else ""))
    return f"(?:{'|'.join(parts)})" + "?" * ("" in texts)


class Matcher:
    """Finds aliases, and the texts of some tokens, the longest that begins at each place.

    known   {text: id}
    """

    def __init__(self, known):
        self.known = known
        texts = {*known} - {""}
        self.pattern = re.compile(rf"{SECRET}\d+;" + (f"|{longest(texts)}" if texts else ""))

    def encode(self, text, rest):
        """Return the ids of a text; rest(part) gives those of a part without such tokens."""
        ids, end = [], 0
        for found in self.pattern.finditer(text):
            ids += rest(text[end:found.start()]) if found.start() > end else []
            i = self.known.get(found[0])
            ids.append(int(found[0][len(SECRET):-1]) if i is None else i)
            end = found.end()
        return ids + rest(text[end:]) if end < len(text) else ids


class ByteLevel:
    """Byte-pair encoding of bytes, behind one pattern that splits a text.

    specials  {name: id}
    tokens    the bytes of each id; of a special one those of its name
    encoding  the tiktoken.Encoding that does the work
    """

    def __init__(self, spec):
        self.pattern, self.normal_form = read_split(spec)
        if self.pattern not in LINEAR:
            raise Inexpressible(f"the pattern {short(self.pattern)} is not supported")
        self.specials, matched = added_of(spec)
        if spec["model"].get("type") != "BPE" or spec["model"].get("dropout"):
            raise Inexpressible("a model other than BPE, or with dropout, is not supported")
        ranks = read_vocabulary(spec)
        for token in spec.get("added_tokens") or []:
            if any(token.get(flag) for flag in ("lstrip", "rstrip", "single_word")) or \
                    not token.get("special", True) and token.get("normalized") and self.normal_form:
                raise Inexpressible(f"the added token {json.dumps(token)} is not supported")
        named = self.specials | matched
        self.tokens = [b""] * (len(ranks) + len(named))
        for token, i in chain(ranks.items(), ((name.encode(), i) for name, i in named.items())):
            self.tokens[i] = token
        # Some vocabularies lack bytes that never occur in their texts: those are left out of any.
        self.lacking = {bytes([byte]): len(self.tokens) + byte for byte in range(256)
                        if bytes([byte]) not in ranks}
        self.encoding = tiktoken.Encoding("chat.c", pat_str=self.pattern,
                                          mergeable_ranks=ranks | self.lacking,
                                          special_tokens=named)
        self.matcher = Matcher(matched)

    def encode(self, text):
        """Return the ids of a text, in linear time."""
        ids = self.matcher.encode(text, self.encode_part)
        return [i for i in ids if i < len(self.tokens)] if self.lacking else ids

    def encode_part(self, text):
        """Return the ids of a text without added tokens."""
        if self.normal_form:
            text = unicodedata.normalize(self.normal_form, text)
        # A run of 2 * BLANKS blanks fills one of these slices. tiktoken panics on a million of
        # them; `regex` does not, and splits the text into the same chunks.
        starts = range(0, len(text) - BLANKS + 1, BLANKS)
        if not any(text[i : i + BLANKS].isspace() for i in starts):
            return self.encoding.encode_ordinary(text)
        ids = []
        for chunk in regex.findall(self.pattern, utf8(text).decode()):
            ids += self.encode_chunk(chunk.encode())
        return ids

    def encode_chunk(self, chunk):
        """Return the ids of bytes that are not to be split any further."""
        return self.encoding._encode_single_piece(chunk)


class SentencePiece:
    """Byte-pair encoding of characters: of neighbouring pieces that together are one, those that
    make the piece with the highest score are joined first.

    tiktoken joins bytes instead, by ranks. So what begins a character gets the first ranks: each
    character that occurs in a piece is whole before anything else is joined. Of one that occurs in
    none the bytes are left, or a beginning of several, which stands for the tokens of its bytes.

    tables  (text, score, type) of each id
    prefix  whether a text, and each part between added tokens, begins with a space
    """

    def __init__(self, tokens, scores, types, prefix):
        kinds = np.asarray(types)
        self.tables, self.prefix = (tokens, scores, kinds.tolist()), prefix
        if len(set(tokens)) < len(tokens):
            raise ChatError(f"there are {len(tokens)} tokens, but only {len(set(tokens))} "
                            f"different ones")
        bytes_ = {int(tokens[i][3:-1], 16): i for i in np.flatnonzero(kinds == BYTE).tolist()}
        if bytes_.keys() != {*range(256)}:
            raise ChatError(f"there are tokens for {len(bytes_)} bytes, but must be for all 256")
        places = np.flatnonzero(kinds == NORMAL)
        places = places[np.argsort(-np.asarray(scores)[places], kind="stable")].tolist()
        pieces = {tokens[i].encode(): (i,) for i in places}
        named = {kind: {tokens[i]: i for i in np.flatnonzero(kinds == kind).tolist()}
                 for kind in (UNKNOWN, CONTROL, USER, UNUSED)}
        self.specials = named[CONTROL] | named[UNKNOWN] | named[UNUSED]
        self.matcher = Matcher({text.replace(SPACE, " "): i for text, i in named[USER].items()})
        self.tokens = [text.replace(SPACE, " ").encode() for text in tokens]
        for byte, i in bytes_.items():
            self.tokens[i] = bytes([byte])

        ranks = {bytes([byte]): byte for byte in range(256)}
        for char in sorted(set(chain.from_iterable(tokens[i] for i in places))):
            for size in range(2, len(char.encode()) + 1):
                ranks.setdefault(char.encode()[:size], len(ranks))
        for piece in pieces:
            ranks.setdefault(piece, len(ranks))
        self.ids = [pieces.get(piece) or tuple(bytes_[byte] for byte in piece) for piece in ranks]
        self.encoding = tiktoken.Encoding("chat.c", pat_str="", mergeable_ranks=ranks,
                                          special_tokens={})

    def encode(self, text):
        """Return the ids of a text."""
        return self.matcher.encode(text, self.encode_part)

    def encode_part(self, text):
        """Return the ids of a text without added tokens. Its END keeps tiktoken from taking a whole
        text that is a piece for that, before it joins anything."""
        data = utf8((" " * self.prefix + text).replace(" ", SPACE)) + END
        ranks = self.encoding._encode_single_piece(data)
        return [*chain.from_iterable(self.ids[rank] for rank in ranks[:-1])]

    def describe(self):
        """Return the same as the contents of a tokenizer.json, whose merges the scores order."""
        tokens, scores, types = self.tables
        pieces = [tokens[i] for i in np.argsort(-np.asarray(scores), kind="stable").tolist()
                  if types[i] == NORMAL]
        known = {*pieces}
        merges = [[piece[:cut], piece[cut:]] for piece in pieces for cut in range(1, len(piece))
                  if piece[:cut] in known and piece[cut:] in known]
        space = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
        prefix = [{"type": "Prepend", "prepend": SPACE}] * self.prefix
        unknown = [token for token, kind in zip(tokens, types) if kind == UNKNOWN]
        return {
            "version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [added_token(i, token.replace(SPACE, " "), kind != USER)
                             for i, (token, kind) in enumerate(zip(tokens, types))
                             if kind not in (NORMAL, BYTE)],
            "normalizer": {"type": "Sequence", "normalizers": [*prefix, space]},
            "pre_tokenizer": None, "post_processor": None,
            "decoder": {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
                {"type": "ByteFallback"}, {"type": "Fuse"},
                *[{"type": "Strip", "content": " ", "start": 1, "stop": 0}] * self.prefix]},
            "model": {"type": "BPE", "dropout": None, "unk_token": unknown[0] if unknown else None,
                      "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                      "vocab": {token.replace(SPACE, " ") if types[i] == USER else token: i
                                for i, token in enumerate(tokens)}, "merges": merges}}


class Tokenizers:
    """What a tokenizer.json says, done by the library `tokenizers`."""

    def __init__(self, spec, reason):
        """`reason`: why it is needed, for where it is not installed."""
        try:
            import tokenizers
        except ImportError:
            raise ChatError(f"{reason} without the package tokenizers: "
                            f"`pip install tokenizers`") from None
        self.specials, matched = added_of(spec)
        model = spec["model"]
        if model.get("type") not in ("BPE", "Unigram") or model.get("dropout"):
            raise ChatError(f"the model {model.get('type')} with the dropout "
                            f"{model.get('dropout')} is not supported; supported are BPE and "
                            f"Unigram without any")
        listed = isinstance(model["vocab"], list)                # Unigram's
        vocab = [token for token, _ in model["vocab"]] if listed else model["vocab"]
        items = [*zip(vocab, range(len(vocab)))] if listed else [*vocab.items()]
        named, known = self.specials | matched, {*items}
        check_ids([*items, *(item for item in named.items() if item not in known)])
        try:
            self.tokenizer = tokenizers.Tokenizer.from_str(json.dumps(hidden(spec, self.specials)))
        except Exception as error:                               # the library's own has no class
            raise ChatError(f"tokenizers does not read it: {error}") from None
        for name, i in named.items():
            if self.tokenizer.token_to_id(alias(i) if name in self.specials else name) != i:
                raise ChatError(f"the added token {name!r} has another id than {i} in tokenizers")
        byte_level = "ByteLevel" in json.dumps([spec.get("pre_tokenizer"), spec.get("decoder")])
        added = {*named.values()}
        self.tokens = [b""] * len({*dict(items).values()} | added)
        for token, i in chain(items, named.items()):
            self.tokens[i] = token.encode() if i in added else bytes_of(token, byte_level)

    def encode(self, text):
        """Return the ids of a text; ChatError if that takes too long for its length."""
        text = utf8(text).decode()
        try:
            found, = in_time(PATIENCE[0] + PATIENCE[1] * len(text), self.tokenizer.encode_batch,
                             [text], add_special_tokens=False)    # which lets other threads run
            return found.ids
        except TimeoutError as error:
            raise ChatError(f"the tokenizer takes over {error} s for {len(text)} characters: its "
                            f"patterns are not fit for use") from None


def in_time(seconds, function, *args, **options):
    """Call a function that is not Python's; TimeoutError if it takes longer. Then its thread goes
    on, for nothing can stop it. A panic, as Rust calls it, is a ChatError."""
    results = []

    def work():
        try:
            results.append(function(*args, **options))
        except BaseException as error:           # a panic is no Exception
            results.append(error)

    thread = Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if not results:
        raise TimeoutError(f"{seconds:.0f}")
    if isinstance(results[0], BaseException):
        raise ChatError(f"the tokenizer failed: {results[0]}")
    return results[0]


def hidden(spec, specials):
    """Return a tokenizer.json in which each of the special tokens {name: id} is called by its
    alias, and nothing is joined to be one."""
    names = {name: alias(i) for name, i in specials.items()}
    spec = {**spec, "truncation": None, "padding": None, "post_processor": None, "decoder": None,
            "model": copy.copy(spec["model"])}
    spec["added_tokens"] = [{**token, "content": names.get(token["content"], token["content"])}
                            for token in spec.get("added_tokens") or []]
    model, vocab = spec["model"], spec["model"]["vocab"]
    if isinstance(vocab, list):
        model["vocab"] = [[names.get(token, token), score] for token, score in vocab]
    else:
        model["vocab"] = {names.get(token, token): i for token, i in vocab.items()}
        model["vocab"] |= {token["content"]: token["id"] for token in spec["added_tokens"]}
    if "merges" in model:
        pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
        model["merges"] = [pair for pair in pairs
                           if names.keys().isdisjoint((*pair, "".join(pair)))]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    return spec


def bytes_of(token, byte_level):
    """Return the bytes that a token of a vocabulary stands for."""
    if byte_level and TO_BYTE.keys() >= set(token):
        return bytes(TO_BYTE[char] for char in token)
    if re.fullmatch("<0x[0-9A-F]{2}>", token):
        return bytes([int(token[3:-1], 16)])
    return token.replace(SPACE, " ").encode()
