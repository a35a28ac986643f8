"""Answers of a given form: JSON, of a JSON schema if there is one, or calls of functions.

llguidance says which tokens may follow so that the text can still become such a document; the
others are banned. Only max_tokens can end it before it is whole."""

import json
import re
from functools import lru_cache
from reprlib import repr as short

import numpy as np
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from csrc.files import ChatError
from data.chat.turn import Turn

# As models have read it. Where blanks are free, small models draw them without an end.
WRITTEN = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class Vocabulary:
    """A tokenizer as llguidance asks for it."""

    def __init__(self, tokenizer):
        self.encode = tokenizer.encode
        self.tokens = [tokenizer.decode_bytes([i]) for i in range(tokenizer.vocab_size)]
        self.special_token_ids = [*tokenizer.specials.values()]
        self.eos_token_id, self.bos_token_id = min(tokenizer.ends), None

    def __call__(self, text):
        return [*map(int, self.encode(text.decode() if isinstance(text, bytes) else text))]


@lru_cache(maxsize=4)
def vocabulary(tokenizer):
    """The LLTokenizer of a tokenizer."""
    return LLTokenizer(TokenizerWrapper(Vocabulary(tokenizer)), n_vocab=tokenizer.vocab_size,
                       eos_token=[*tokenizer.ends])


@lru_cache(maxsize=64)
def checked(rules):
    """llguidance's grammar of these rules; ChatError where it cannot be kept to."""
    made = LLMatcher.grammar_from_lark(rules)
    problem = LLMatcher.validate_grammar(made)
    if problem and not problem.startswith("WARNING"):
        raise ChatError(f"the schema cannot be used: {problem}")
    return made


def json_of(schema):
    """The rule of a JSON schema (dict)."""
    return f"%json {json.dumps({**schema, 'x-guidance': WRITTEN})}"


def document(schema):
    """The grammar of a document of a JSON schema (dict)."""
    return checked(f"start: {json_of(schema)}")


def calls(tokenizer, form, functions, many):
    """The grammar of a call of one of the functions (OpenAI's "function" of each) or, with `many`,
    of several where a model's `form` (data/chat/syntax.py) can have them."""
    names = [*map(re.escape, sorted(tokenizer.specials, key=len, reverse=True))]

    def rule(text):
        parts = re.split(f"({'|'.join(names)})", text)
        return " ".join(f"<[{tokenizer.specials[part]}]>" if part in tokenizer.specials
                        else json.dumps(part) for part in parts if part)
    more = f"({rule(form.between or '')} call)*" * (many and form.between is not None)
    rules = [f"start: {rule(form.before)} call {more} {rule(form.after)}",
             "call: " + " | ".join(f"call{i}" for i in range(len(functions)))]
    for i, function in enumerate(functions):
        head, tail = (form.call % (function["name"], "\0")).split("\0")
        rules += [f"call{i}: {rule(head)} arguments{i} {rule(tail)}",
                  f"arguments{i}: " + json_of({**(function.get("parameters") or {}),
                                               "type": "object"})]
    return checked("\n".join(rules))


class Formed(Turn):
    """A Turn whose text, after its thoughts, is of a grammar."""

    def __init__(self, *args, grammar, **how):
        super().__init__(*args, **how)
        self.matcher = LLMatcher(vocabulary(self.engine.tokenizer), grammar)
        self.never = self.banned
        self.ban()

    def ban(self):
        """Ban what cannot follow; a thought may not be the last."""
        if self.kind == "think":
            if self.free is None:
                self.banned = [*self.never, *self.engine.ends]
            return
        size = self.engine.tokenizer.vocab_size
        mask = np.frombuffer(self.matcher.compute_bitmask(), np.uint8)
        allowed = np.zeros(self.engine.model.config.vocab, bool)
        allowed[:size] = np.unpackbits(mask, bitorder="little")[:size]
        allowed[self.never] = False
        self.banned = np.flatnonzero(~allowed).tolist()

    def take(self, token, text):
        """Append to the text; what follows depends on it."""
        thinks = self.kind == "think"
        text = super().take(token, text)
        if not self.finish:
            if not thinks:
                self.matcher.consume_token(token)
            self.ban()
        return text
