"""What Hugging Face's tokenizer.json says of a byte-pair vocabulary: written, read, checked."""

import json

from csrc.files import ChatError

GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# The same, after each digit is split off: whitespace before one is not before a word.
DIGITS_PATTERN = (r"'s|'t|'re|'ve|'m|'ll|'d|\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]+"
                  r"|\s+(?![^\s\p{N}])|\s+")

BEGIN = "<|endoftext|>"  # begins every document and every conversation

# What ends a text or a turn, by whatever name a model's makers gave it.
ENDS = {BEGIN, "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<end_of_turn>",
        "<|end_of_text|>", "<｜end▁of▁sentence｜>", "<|return|>", "<EOT>", "</s>"}

CONFIG = {               # of tokenizer_config.json
    # Given a model family's class, transformers 5 rebuilds its split and ignores tokenizer.json.
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": BEGIN,
    "eos_token": BEGIN,
    "pad_token": BEGIN,
    "clean_up_tokenization_spaces": False,
    "model_max_length": int(1e30),  # transformers' word for "the model says"
}

# JSON has no bytes, so GPT-2 spells them: printable Latin-1 as itself, the others from U+0100 on.
PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
OTHERS = [byte for byte in range(256) if byte not in PRINTABLE]
TO_CHAR = {byte: chr(byte) for byte in PRINTABLE} | {b: chr(256 + i) for i, b in enumerate(OTHERS)}
TO_BYTE = {char: byte for byte, char in TO_CHAR.items()}


def describe(tokens, merges, specials, *patterns):
    """Return the contents of tokenizer.json.

    tokens    as spelled in JSON; their places are their ids
    merges    pairs of ids
    specials  names, whose ids follow
    patterns  each of which splits what the one before it left
    """
    def off(*keys):
        return dict.fromkeys(keys, False)

    splits = [{"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated",
               **off("invert")} for pattern in patterns]
    level = {"type": "ByteLevel", **off("add_prefix_space", "trim_offsets", "use_regex")}
    unused = dict.fromkeys(("dropout", "unk_token", "continuing_subword_prefix",
                            "end_of_word_suffix"))
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [added_token(i, name) for i, name in enumerate(specials, len(tokens))],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*splits, level]},
        "post_processor": None,
        "decoder": level,
        "model": {"type": "BPE", **unused, **off("fuse_unk", "byte_fallback"),
                  "vocab": {token: i for i, token in enumerate(tokens)},
                  "merges": [[tokens[left], tokens[right]] for left, right in merges]},
    }


def added_token(i, text, special=True):
    """Return an entry of tokenizer.json's added_tokens."""
    return {"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": special}


class Inexpressible(ChatError):
    """A tokenizer may be sound, but tiktoken cannot do what it asks for."""


def read_split(spec):
    """Return the pattern that splits text, and the Unicode normal form to bring it to ("": none).

    Inexpressible names the normalizer or pre-tokenizer that is something else.
    """
    form = (spec.get("normalizer") or {"type": ""})["type"]
    if form not in ("", "NFC", "NFD", "NFKC", "NFKD"):
        raise Inexpressible(f"the normalizer {form} is not supported")
    step = spec.get("pre_tokenizer") or {"type": "null"}
    patterns, digits = [], False
    for step in step["pretokenizers"] if step["type"] == "Sequence" else [step]:
        how = step.get("behavior"), step.get("invert")
        if step["type"] == "Split" and how in [("Isolated", False), ("Removed", True)]:
            patterns.append(step["pattern"]["Regex"])
        elif step == {"type": "Digits", "individual_digits": True} and not patterns:
            digits = True
        elif step["type"] != "ByteLevel" or step.get("add_prefix_space"):
            raise Inexpressible(f"the pre-tokenizer {json.dumps(step)[:200]} is not supported")
        elif step.get("use_regex", True):
            patterns.append(DIGITS_PATTERN if digits else GPT2_PATTERN)
    if digits and patterns != [DIGITS_PATTERN]:
        patterns.append("Digits")
    if len(patterns) != 1 or step["type"] != "ByteLevel":
        raise Inexpressible(f"{len(patterns)} split patterns with a last step of {step['type']} "
                            f"are not supported")
    return patterns[0], form


def read_vocabulary(spec):
    """Return {bytes: id} of a tokenizer.json, without the tokens that it adds; ChatError if it is
    unsound.

    tiktoken takes a token's id for its rank, and joins any two tokens that make a third. It gives
    the ids of the merge list where ids rise along the list: up to the rank of a token, its bytes
    have seen the same merges wherever they stand alone, so they are in the same two parts.
    """
    model = spec["model"]
    for key in ("byte_fallback", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(key):
            raise Inexpressible(f"{key} = {model[key]!r} is not supported")
    vocab = model["vocab"]
    added = [(token["content"], token["id"]) for token in spec.get("added_tokens") or []]
    specials = dict(added)
    check_ids([*vocab.items(), *(item for item in added if item not in vocab.items())])
    for token, i in added:
        if vocab.get(token, i) != i:
            raise ChatError(f"the token {token!r} is added with the id {i}, but has {vocab[token]}")

    made, last = set(TO_BYTE), -1
    for i, pair in enumerate(model["merges"]):
        left, right = pair.split(" ") if isinstance(pair, str) else pair
        for token in (left, right, left + right):
            if token not in vocab:
                raise ChatError(f"merge {i} ({left!r}, {right!r}): there is no token {token!r}")
        if vocab[left + right] < last:
            raise Inexpressible(f"merge {i} makes the id {vocab[left + right]} after {last}: ids "
                                f"in another order than the merges are not supported")
        last = vocab[left + right]
        made.add(left + right)

    ranks, byte_of = {}, TO_BYTE.__getitem__
    for token, i in vocab.items():
        if token in specials:
            continue
        try:
            ranks[bytes(map(byte_of, token))] = i
        except KeyError:
            raise Inexpressible(f"token {token!r} (id {i}) is not spelled in GPT-2's byte "
                                f"alphabet, which is not supported") from None
        if token not in made and not model.get("ignore_merges"):
            raise Inexpressible(f"token {token!r} (id {i}), made by no merge, is not supported")
    return ranks


def check_ids(items):
    """Raise ChatError unless the ids in `items` (token, id) are 0, 1, 2, ..., each once."""
    names = {}
    for token, i in items:
        if type(i) is not int or i < 0:
            raise ChatError(f"token {token!r} has the id {i!r}")
        if i in names:
            raise ChatError(f"the tokens {names[i]!r} and {token!r} both have the id {i}")
        names[i] = token
    gap = next(i for i in range(len(names) + 1) if i not in names)
    if gap < len(names):
        raise ChatError(f"no token has the id {gap}, but there are ids up to {max(names)}")
