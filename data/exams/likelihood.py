"""How likely texts are to a model: of continuations to choose among, and of the answer that it does
not know.

A model that declines does so where it finds that likelier than all else. `declining` varies how
ready it is: it declines where the log-probability of saying so is over a threshold, else it
answers, and `curve` tells what share of the knowable is right against what share of the unknowable
is answered.
"""

import numpy as np

from csrc.engine import Sampling, shared
from csrc.shown import progress
from data.chat.turn import Turn, talk_of
from data.tokens.parallel import batches

FORWARD = 1024                  # tokens whose likelihood is computed at a time
LONGEST = 128                   # tokens of an answer
DECLINING = "I do not know", "I am not sure", "I don't know"     # how such answers begin


def likelihoods(engine, rows, label):
    """Yield (sum of log-probabilities in nats, number of tokens) of continuations.

    rows  [(ids of the text before, ids of the continuation)]
    """
    found, lengths = [None] * len(rows), [len(text) + len(more) - 1 for text, more in rows]
    single = [i for i, (_, more) in enumerate(rows) if len(more) == 1]
    order = sorted({*range(len(rows))} - {*single}, key=lambda i: lengths[i])
    with progress(label=f"{label}: choosing", total=len(rows)) as bar:
        following = what_follows(engine.model, [rows[i][0] for i in single])
        for i, nats in zip(single, following):
            found[i] = float(nats[rows[i][1][0]]), 1
            bar.update()
        for some in batches(order, FORWARD, lengths.__getitem__):
            tokens = np.zeros((len(some), lengths[some[-1]]), np.int32)
            targets = np.full_like(tokens, -1)
            for row, i in enumerate(some):
                text, more = rows[i]
                tokens[row, :lengths[i]] = [*text, *more][:-1]
                targets[row, len(text) - 1:lengths[i]] = more
            nll = engine.model.forward(tokens, targets)      # 0 where there is no target
            for i, nats in zip(some, -nll.sum(1, dtype=np.float64)):
                found[i] = float(nats), len(rows[i][1])
            bar.update(len(some))
    return iter(found)


def what_follows(model, texts):
    """Yield the log-probabilities (V), in nats, of the token that follows each text. What two texts
    in a row begin with in common is read once."""
    cache, held = model.cache(1, max(map(len, texts), default=1)), []
    for text in texts:
        if text != held:
            kept = shared(held, text)
            cache.fork(0, 0, kept)
            for begin in range(kept, len(text), FORWARD):
                logits = model.extend(cache, [0], [text[begin:begin + FORWARD]])[0].astype(float)
            held, nats = text, logits - np.logaddexp.reduce(logits)
        yield nats


# --------------------------------------------------------------------------------------- declining

def declining(engine, questions, label) -> tuple[list, list]:
    """Return, of questions (messages), the log-probabilities in nats of beginning as DECLINING
    does, and the likeliest answers that begin with another token."""
    encode, talk = engine.tokenizer.encode, talk_of(engine.tokenizer)
    begun, settings = [*map(encode, DECLINING)], Sampling(temperature=0, seed=0, max_tokens=LONGEST)
    prompts = [talk.prompt(messages)[0] for messages in questions]
    found = likelihoods(engine, [(ids, more) for ids in prompts for more in begun], label)
    nats = [float(np.logaddexp.reduce([next(found)[0] for _ in begun])) for _ in prompts]
    turns = [Turn(engine, messages, settings) for messages in questions]
    for turn in turns:
        turn.banned = [*turn.banned, *{ids[0] for ids in begun}]
    for _ in engine.generate(turns):
        pass
    return nats, [turn.text for turn in turns]


def curve(known, unread) -> list[tuple]:
    """Return [(share of the unread that is answered, share of the known that is right)], from a
    model that declines all to one that declines nothing.

    known   (nats as `declining` gives them, whether it is right if it answers) of each question
    unread  the nats of questions whose answers can only be made up
    """
    limits = [-np.inf, *sorted(unread), np.inf]
    return [(sum(nats < limit for nats in unread) / len(unread),
             sum(right for nats, right in known if nats < limit) / len(known)) for limit in limits]
