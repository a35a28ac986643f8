"""How far one model is from another: what `infer.py eval --kl REFERENCE` does.

Both read the same text, in windows, and say of each token what may follow. The Kullback-Leibler
divergence is the sum over tokens of p (log p - log q), p the reference's probabilities and q the
model's: the nats that are lost where q stands for p. 0: they agree in all.
"""

import math
from itertools import islice

import numpy as np

from csrc.files import ChatError
from csrc.shown import progress
from data.chat.turn import load
from data.tokens.documents import WORLD, find_files, pieces

WINDOW = 512         # tokens, or the smaller context of both models
ROWS = 64            # of logits that are compared at a time


def windows(tokenizer, source, length):
    """Yield lists of `length` ids of a text, documents one behind the other; the last is shorter,
    and at least 2."""
    ids = []
    for begins, text in (piece for file in find_files([source]) for piece in pieces(file)):
        ids += [tokenizer.begin] * (begins and tokenizer.begin is not None) + tokenizer.encode(text)
        for at in range(0, len(ids) - length + 1, length):
            yield ids[at:at + length]
        ids = ids[len(ids) // length * length:]
    if len(ids) > 1:
        yield ids


def nats(logits):
    """Return the log-probabilities (N,V) of logits, as float32."""
    logits = logits - logits.max(1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(1, keepdims=True, dtype=np.float64)).astype("f4")


def compare(model, reference, ids):
    """Return (4,N): of each token of a window but the first the divergence, whether the most likely
    token is the same, and its negative log-likelihood by either, in nats."""
    found, both = [], [one.logits([ids[:-1]])[0] for one in (model, reference)]
    for at in range(0, len(ids) - 1, ROWS):
        q, p = (nats(logits[at:at + ROWS]) for logits in both)
        places = np.arange(len(p)), ids[at + 1:at + 1 + len(p)]
        found.append([(np.exp(p) * (p - q)).sum(1, dtype=float), p.argmax(1) == q.argmax(1),
                      -q[places], -p[places]])
    return np.concatenate(found, axis=1)


def same_tokens(tokenizer, other):
    """Whether two tokenizers mean the same by each id."""
    return tokenizer.codec.tokens == other.codec.tokens and tokenizer.begin == other.begin


def figures(found):
    """Return {figure: {"value", "low", "high", "n"}}, with 95 % intervals, of what `compare` gave:
    (4,N) for all windows."""
    n, error = found.shape[1], 1.96 * found.std(1) / math.sqrt(found.shape[1])
    rows = zip(found.mean(1), error, ("kl", "same_top_token", "perplexity", "perplexity_reference"),
               (lambda x: x, lambda x: x, math.exp, math.exp))
    return {name: dict(zip(("value", "low", "high", "n"), (
        *(shown(float(x)) for x in (value, value - half, value + half)), n)))
        for value, half, name, shown in rows}


def evaluate(model, settings):
    """Compare the model in a folder or file with settings.kl on settings.text; return its
    `figures`, after they are printed."""
    engine, reference = (load(place, settings.device, settings.dtype)
                         for place in (model, settings.kl))
    if not same_tokens(engine.tokenizer, reference.tokenizer):
        raise ChatError(f"{model} and {settings.kl} have different tokenizers: only models that "
                        f"read the same tokens can be compared")
    length = min(WINDOW, engine.model.config.context, reference.model.config.context)
    texts = islice(windows(engine.tokenizer, settings.text or WORLD, length), settings.count)
    parts = [compare(engine.model, reference.model, ids)
             for ids in progress(texts, "windows", total=settings.count)]
    if not parts:
        raise ChatError(f"{settings.text}: is too short, it has not 2 tokens")
    found = figures(np.concatenate(parts, axis=1))
    for name, about in found.items():
        print(f"{name:22} {about['value']:.5f}  ({about['low']:.5f} to {about['high']:.5f})")
    return found
