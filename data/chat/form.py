"""Answers of a given form: JSON, of a JSON schema if there is one.

llguidance says which tokens may follow so that the text can still become such a document; the
others are banned. Only max_tokens can end it before it is whole."""

import json
from functools import lru_cache
from reprlib import repr as short

import numpy as np
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from csrc.files import ChatError
from data.chat.turn import Turn

COMPACT = {"whitespace_flexible": False}         # small models draw blanks without an end


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
def grammar(schema):
    """llguidance's grammar of a JSON schema, a text; ChatError where it cannot be kept to."""
    try:
        made = LLMatcher.grammar_from_json_schema(schema, overrides=COMPACT)
    except ValueError as error:
        raise ChatError(f"the schema {short(schema)} cannot be used: {error}") from None
    problem = LLMatcher.validate_grammar(made)
    if problem and not problem.startswith("WARNING"):
        raise ChatError(f"the schema {short(schema)} cannot be used: {problem}")
    return made


class Formed(Turn):
    """A Turn whose text is a JSON document of a schema (dict)."""

    def __init__(self, engine, messages, settings, index=0, schema=None, record=""):
        super().__init__(engine, messages, settings, index, record=record)
        self.matcher = LLMatcher(vocabulary(engine.tokenizer), grammar(json.dumps(schema)))
        self.ban()

    def ban(self):
        """Ban what cannot follow."""
        size = self.engine.tokenizer.vocab_size
        mask = np.frombuffer(self.matcher.compute_bitmask(), np.uint8)
        allowed = np.zeros(self.engine.model.config.vocab, bool)
        allowed[:size] = np.unpackbits(mask, bitorder="little")[:size]
        allowed[self.engine.banned] = False
        self.banned = np.flatnonzero(~allowed).tolist()

    def take(self, token, text):
        """Append to the text; what follows depends on it."""
        text = super().take(token, text)
        if not self.finish:
            self.matcher.consume_token(token)
            self.ban()
        return text
