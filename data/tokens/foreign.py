"""Tokenizers from other places than a tokenizer.json: a GGUF file's tables, SentencePiece's
tokenizer.model, vocab.json with merges.txt. Each function returns (tokenizer.json or None, what
tokenizer_config.json says, a codec or None): what bpe.Tokenizer is made of.
"""

import base64
import struct
from pathlib import Path
from reprlib import repr as short

import numpy as np

from csrc.files import ChatError, read_json
from data.tokens.codecs import (BYTE, CONTROL, LLAMA3_PATTERN, NORMAL, SPACE, TEKKEN_PATTERN,
                                UNKNOWN, USER, SentencePiece)
from data.tokens.learn import PATTERN
from data.tokens.openai import O200K_PATTERN
from data.tokens.vocabulary import (BEGIN, CONFIG, DIGITS_PATTERN, ENDS, GPT2_PATTERN, added_token,
                                    describe)

# How a text is split, by the names that GGUF has for it: one pattern, or several, each of which
# splits what the one before it left.
GPT2, PUNCTUATION, THREE = [GPT2_PATTERN], r"[\p{P}\$\+<=>\^~\|]+", "[0-9][0-9][0-9]"
LLAMA3 = [LLAMA3_PATTERN]
CJK = "[一-龥\u3040-\u309f\u30a0-\u30ff]+"
SPLITS = {
    "default": [PUNCTUATION, GPT2_PATTERN, r"\p{N}+", THREE],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2_PATTERN, THREE],
    **dict.fromkeys(("gpt-2", "phi-2", "olmo", "mpt", "jais", "gigachat", "roberta-bpe"), GPT2),
    **dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone",
                     "minerva-7b"), [DIGITS_PATTERN]),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "falcon3", "dbrx", "smaug-bpe",
                     "chatglm-bpe", "glm4", "lfm2"), LLAMA3),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "stablelm2", "hunyuan", "megrez"), [PATTERN]),
    **dict.fromkeys(("gpt-4o", "llama4"), [O200K_PATTERN]),
    "tekken": [TEKKEN_PATTERN],
    **dict.fromkeys(("deepseek-v3", "deepseek-v3.1"), [r"\p{N}{1,3}", CJK, (
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"
        r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+")]),
}
# Splits of tokenizers that put a first token (unless add_bos_token says otherwise), and in which a
# chunk that is a token becomes it without merges.
LLAMA_LIKE = {"llama-bpe", "llama3", "llama-v3", "falcon3", "tekken"}


# ---- GGUF ----------------------------------------------------------------------------------------

def from_gguf(file):
    """Return the tokenizer in a csrc.gguf.File."""
    values = {key.removeprefix("tokenizer.ggml."): value for key, value in file.values.items()}
    kind, tokens = values.get("model"), values.get("tokens")
    if kind not in ("gpt2", "llama", "t5"):
        raise ChatError(f"tokenizer.ggml.model is {short(kind)}, but must be gpt2, llama or t5")
    types = checked(values, "token_type", tokens).copy()
    types[[i for i, token in enumerate(tokens) if token in ENDS]] = CONTROL  # some say: text
    split = values.get("pre", "default")
    begins = values.get("add_bos_token", kind == "llama" or split in LLAMA_LIKE)
    config = {**CONFIG, "add_bos_token": bool(begins)}
    for key in ("bos", "eos", "eot", "eom", "pad"):
        config[f"{key}_token"] = name_of(values, {"pad": "padding"}.get(key, key), tokens)
    config["chat_template"] = file.values.get("tokenizer.chat_template")
    if kind == "gpt2":
        if split not in SPLITS:
            raise ChatError(f"tokenizer.ggml.pre is {short(split)}, but must be one of "
                            f"{', '.join(SPLITS)}")
        return byte_level(tokens, types, values.get("merges"), split), config, None
    scores = checked(values, "scores", tokens)
    prefix = bool(values.get("add_space_prefix", True))
    if kind == "t5":
        return unigram(tokens, scores, types, prefix, values.get("remove_extra_whitespaces"),
                       bytes(values.get("precompiled_charsmap", b""))), config, None
    return None, config, SentencePiece(tokens, scores, types, prefix)


def checked(values, key, tokens):
    """Return an array of the metadata with a number for each token."""
    found = values.get(key)
    if not isinstance(tokens, list) or not tokens or not isinstance(found, np.ndarray) or \
            found.shape != (len(tokens),):
        raise ChatError(f"tokenizer.ggml.{key} is {short(found)}, but must have a number for each "
                        f"of tokenizer.ggml.tokens, {short(tokens)}")
    return found


def name_of(values, key, tokens):
    """Return the token that the metadata name by "KEY_token_id"; None if they name none."""
    i = values.get(f"{key}_token_id")
    if i is None:
        return None
    if type(i) is not int or not 0 <= i < len(tokens):
        raise ChatError(f"tokenizer.ggml.{key}_token_id is {short(i)}, but must be below the "
                        f"{len(tokens)} tokens")
    return tokens[i]


def byte_level(tokens, types, merges, split):
    """Return the tokenizer.json of a byte-level vocabulary."""
    if not isinstance(merges, list):
        raise ChatError(f"tokenizer.ggml.merges is {short(merges)}, but must be a list of pairs")
    spec = describe((), (), (), *SPLITS[split])
    spec["added_tokens"] = [added_token(i, tokens[i], bool(types[i] != USER)) for i in
                            np.flatnonzero(types != NORMAL).tolist()]
    vocab = {token: i for i, token in enumerate(tokens)}
    if len(vocab) < len(tokens):
        raise ChatError(f"there are {len(tokens)} tokens, but only {len(vocab)} different ones")
    spec["model"] |= {"vocab": vocab, "merges": merges, "ignore_merges": split in LLAMA_LIKE}
    return spec


def unigram(tokens, scores, types, prefix, squeeze, charsmap):
    """Return the tokenizer.json of a unigram vocabulary (Kudo 2018, arXiv:1804.10959).

    squeeze   whether several spaces become one, and those around a text none
    charsmap  how SentencePiece normalizes characters, as it keeps that
    """
    steps = [{"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap).decode()}
             ] * bool(charsmap)
    if squeeze:
        steps += [{"type": "Strip", "strip_left": True, "strip_right": True},
                  {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]
    unknown = np.flatnonzero(types == UNKNOWN).tolist()
    space = {"type": "Metaspace", "replacement": SPACE, "split": True,
             "prepend_scheme": "always" if prefix else "never"}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [added_token(i, tokens[i], bool(types[i] != USER)) for i in
                         np.flatnonzero((types != NORMAL) & (types != BYTE)).tolist()],
        "normalizer": {"type": "Sequence", "normalizers": steps} if steps else None,
        "pre_tokenizer": space, "post_processor": None, "decoder": space,
        "model": {"type": "Unigram", "unk_id": unknown[0] if unknown else None,
                  "byte_fallback": bool((types == BYTE).any()),
                  "vocab": [[token, float(score)] for token, score in zip(tokens, scores)]}}


# ---- SentencePiece's tokenizer.model -------------------------------------------------------------

def from_sentencepiece(path):
    """Return the tokenizer in a tokenizer.model: protocol buffers, of which what counts is read."""
    try:
        fields = [*messages(Path(path).read_bytes())]
        pieces = [dict(messages(data)) for number, data in fields if number == 1]
        if not pieces:
            raise ValueError("there are no pieces")
        trainer, normalizer = (dict(messages(dict(fields).get(number, b""))) for number in (2, 3))
        tokens = [piece[1].decode() for piece in pieces]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, struct.error) as error:
        raise ChatError(f"{path}: is no model of SentencePiece's ({error!r})") from error
    scores = np.array([piece.get(2, 0.0) for piece in pieces], np.float32)
    types = np.array([piece.get(3, NORMAL) for piece in pieces])
    config = {**CONFIG, "add_bos_token": True}
    for key, number, default in (("bos", 41, 1), ("eos", 42, 2), ("pad", 43, 2**64 - 1)):
        i = trainer.get(number, default)         # 2^64 - 1 is its -1, none
        config[f"{key}_token"] = tokens[i] if i < len(tokens) else None
    prefix, kind = bool(normalizer.get(3, 1)), trainer.get(3, 1)
    charsmap, squeeze = normalizer.get(2, b""), bool(normalizer.get(4, 1))
    if kind == 1:
        return unigram(tokens, scores, types, prefix, squeeze, charsmap), config, None
    if kind != 2 or charsmap:
        raise ChatError(f"{path}: its type is {kind} with {len(charsmap)} bytes of rules for "
                        f"characters; supported are unigram (1), and BPE (2) without rules")
    return None, config, SentencePiece(tokens, scores, types, prefix)


def messages(data):
    """Yield (number, value) of each field of a protocol buffer: int, float or bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            value, shift, at = value | (data[at] & 127) << shift, shift + 7, at + 1
            if data[at - 1] < 128:
                return value

    while at < len(data):
        number, kind = divmod(varint(), 8)
        if kind == 0:
            yield number, varint()
        elif kind in (1, 5):
            yield number, struct.unpack_from("<d" if kind == 1 else "<f", data, at)[0]
            at += 8 if kind == 1 else 4
        elif kind == 2:
            size = varint()
            if at + size > len(data):
                raise ValueError(f"a field of {size} bytes ends after the file")
            yield number, data[at:at + size]
            at += size
        else:
            raise ValueError(f"a field is of the unknown kind {kind}")


# ---- vocab.json and merges.txt -------------------------------------------------------------------

CLASSES = {"GPT2Tokenizer": "gpt-2", "Qwen2Tokenizer": "qwen2", "CodeGenTokenizer": "gpt-2",
           "GPTNeoXTokenizer": "gpt-2"}


def from_vocabulary(folder):
    """Return the tokenizer of a folder with vocab.json, merges.txt and, where there are added
    tokens, added_tokens.json or those in tokenizer_config.json, whose class tells how it splits."""
    vocab = read_json(folder / "vocab.json")
    lines = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")
    merges = [line for line in lines if line and not line.startswith("#version")]
    about, added = folder / "tokenizer_config.json", folder / "added_tokens.json"
    config = read_json(about) if about.exists() else {}
    name = str(config.get("tokenizer_class", "GPT2Tokenizer")).removesuffix("Fast")
    if name not in CLASSES:
        raise ChatError(f"{about}: tokenizer_class is {name}; how it splits texts is known of "
                        f"{', '.join(CLASSES)}: save it with a tokenizer.json")
    spec = describe((), (), (), *SPLITS[CLASSES[name]])
    known = read_json(added) if added.exists() else {}
    kinds = {int(i): token for i, token in config.get("added_tokens_decoder", {}).items()}
    known |= {token["content"]: i for i, token in kinds.items()}
    if BEGIN in vocab:
        known[BEGIN] = vocab[BEGIN]
    spec["added_tokens"] = [
        added_token(i, text, kinds.get(i, {}).get("special", True))
        for text, i in sorted(known.items(), key=lambda item: item[1])]
    spec["normalizer"] = {"type": "NFC"} if name == "Qwen2Tokenizer" else None
    spec["model"] |= {"vocab": vocab, "merges": merges}
    return spec, {**CONFIG, **config, "tokenizer_class": CONFIG["tokenizer_class"]}, None
