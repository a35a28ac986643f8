"""A tokenizer as the tables that GGUF has for it: the inverse of foreign.from_gguf."""

import re
from reprlib import repr as short

import numpy as np

from csrc.files import ChatError
from data.tokens.codecs import BYTE, CONTROL, NORMAL, SPACE, UNKNOWN, UNUSED, USER, ByteLevel
from data.tokens.foreign import LLAMA_LIKE, SPLITS

# The name of a split by its pattern, and whether a chunk that is a token needs no merges.
NAMES = {(patterns[0], name in LLAMA_LIKE): name for name, patterns in reversed(SPLITS.items())
         if len(patterns) == 1}


KEYS = {"bos_token": "bos", "eos_token": "eos", "eot_token": "eot", "eom_token": "eom",
        "pad_token": "padding"}


def to_gguf(tokenizer, rows):
    """Return the metadata {key: value} that mean a Tokenizer, for a model of so many rows of
    embeddings. ChatError if GGUF has no name for how it makes tokens of a text."""
    spec, template = tokenizer.spec, tokenizer.config.get("chat_template")
    model, tokens, types = spec["model"], *tokens_of(spec, rows)
    if isinstance(tokenizer.codec, ByteLevel):
        key = tokenizer.codec.pattern, bool(model.get("ignore_merges"))
        if key not in NAMES:
            raise ChatError(f"GGUF has no name for a vocabulary that is split by {short(key[0])}: "
                            f"this model stays a folder")
        values = {"model": "gpt2", "pre": NAMES[key], "merges": [
            pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]}
    elif is_sentencepiece(spec):
        steps = spec["normalizer"]["normalizers"]
        values = {"model": "llama", "scores": scores_of(model, tokens),
                  "add_space_prefix": steps[0]["type"] == "Prepend"}
        values |= {"unknown_token_id": i for i in np.flatnonzero(types == UNKNOWN).tolist()}
    else:
        raise ChatError(f"GGUF has no name for a vocabulary of the type {model.get('type')} with "
                        f"the pre-tokenizer {short(spec.get('pre_tokenizer'))}: this model stays a "
                        f"folder")
    ids = {f"{there}_token_id": tokenizer.specials[tokenizer.named(key)]
           for key, there in KEYS.items() if tokenizer.named(key) in tokenizer.specials}
    values |= {"tokens": tokens, "token_type": types, **ids,
               "add_bos_token": tokenizer.begin is not None}
    return {f"tokenizer.ggml.{key}": value for key, value in values.items()} | (
        {"tokenizer.chat_template": template} if isinstance(template, str) else {})


def tokens_of(spec, rows):
    """Return (the text of each id, its type), also of the ids that no token has."""
    tokens, types = [f"[PAD{i}]" for i in range(rows)], np.full(rows, UNUSED, np.int32)
    model = spec["model"]
    for token, i in model["vocab"].items():
        tokens[i] = token
        types[i] = UNKNOWN if token == model.get("unk_token") else BYTE \
            if model.get("byte_fallback") and re.fullmatch("<0x[0-9A-F]{2}>", token) else NORMAL
    for token in spec.get("added_tokens") or []:
        tokens[token["id"]] = token["content"]
        if types[token["id"]] != UNKNOWN:
            types[token["id"]] = CONTROL if token["special"] else USER
    return tokens, types


def is_sentencepiece(spec):
    """Whether a tokenizer.json says what a SentencePiece does (codecs.SentencePiece.describe)."""
    steps = (spec.get("normalizer") or {}).get("normalizers") or [{}]
    return spec["model"].get("type") == "BPE" and spec["model"].get("byte_fallback") \
        and not spec.get("pre_tokenizer") and [step.get("type") for step in steps] in (
            ["Replace"], ["Prepend", "Replace"]) and steps[-1]["content"] == SPACE


def scores_of(model, tokens):
    """Return a score for each id, by which SentencePiece makes the merges in their order."""
    scores = dict.fromkeys(tokens, -float(len(model["merges"])))
    for rank, pair in reversed([*enumerate(model["merges"])]):
        scores["".join(pair.split(" ") if isinstance(pair, str) else pair)] = -float(rank)
    return np.array([scores[token] for token in tokens], np.float32)
