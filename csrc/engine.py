"""Continues texts with a model: text -> tokens -> model.extend -> a draw -> token -> text.

    engine.submit(sequence)    it joins those that run; it waits where there is no slot for it
    engine.step()              every running sequence grows by a token or more
    engine.cancel(sequence)    it leaves
    engine.generate([...])     all of that, for a list of sequences

A sequence has a slot of the model's cache, with as much room as it may need. A step reads at most
PIECE tokens of prompts, fewer beside others, whom a newcomer must not hold up, and then extends
every sequence whose tokens are read by one that is drawn. Where prompt lookup pays
(csrc/lookup.py), it also checks tokens that may follow, several in one call. None of this changes a
token: the same seed gives the same text in any company.

The engine knows no chat and no tool. A Sequence says what may not be drawn next (`banned`) and what
it waits for (`pending`); data/chat/turn.py makes such sequences of messages and tools. One thread
at a time may call an engine.
"""

import codecs
import os
import secrets
from collections import Counter, deque
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from csrc.bind import samplings
from csrc.cli import check, flag
from csrc.files import ChatError
from csrc.lookup import DRAFT, Costs, Lookup
from csrc.store import BLOCK

SLOTS = 32           # sequences that run at the same time; more wait
PIECE = 512          # tokens that a step reads at most, of prompts or of drafts,
BESIDE = 128         # and where others draw in it: they wait that long
PAUSE = 0.02         # seconds that a step waits where all sequences wait for something


# ---- How to draw ---------------------------------------------------------------------------------

@dataclass(frozen=True)
class Sampling:
    """How to continue a prompt. Each field is a flag."""

    max_tokens: int = flag(256, "end after N new tokens", "[1, inf)")
    temperature: float = flag(0.8, "divide the logits by X: under 1 sharpens, over 1 flattens, 0 "
                              "takes the likeliest token", "[0, 100]")
    top_k: int = flag(0, "draw from the N likeliest tokens only; 0 is off", "[0, 2147483648)")
    top_p: float = flag(0.95, "then from the fewest that hold X of the probability", "[1e-6, 1]")
    min_p: float = flag(0.0, "then from those at least X times as likely as the likeliest",
                        "[0, 1]")
    repetition_penalty: float = flag(1.0, "make tokens that the text has less likely; 1 is off",
                                     "[0.01, 100]")
    presence_penalty: float = flag(0.0, "lower the logits of tokens that were drawn by X; 0 is off",
                                   "[-2, 2]")
    frequency_penalty: float = flag(0.0, "likewise, by X for each time that they were", "[-2, 2]")
    seed: int = flag(lambda: secrets.randbits(32), "the same seed, the same text; default: random, "
                     "and the line after the text tells it", "[0, 18446744073709551616)")
    stop: tuple[str, ...] = flag((), "end before these texts")

    def __post_init__(self):
        check(self)
        if "" in self.stop:
            raise ChatError("a stop string is empty: it would end every text before it begins")


# ---- One sequence --------------------------------------------------------------------------------

class Stream:
    """Bytes in, text out as soon as it is certain: whole characters only, and nothing of a stop
    string or of what may still become one."""

    def __init__(self, stop=()):
        self.decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self.stop, self.held, self.stopped = stop, "", False

    def push(self, data, final=False):
        """Return the text that `data` makes certain, however bytes are cut into data; `final`: no
        data follows. `stopped` tells whether a stop string ended it."""
        self.held += self.decode(data, final)
        # Where each ends, and minus its length: the first to end counts, of those the longest.
        found = [(self.held.index(s) + len(s), -len(s)) for s in self.stop if s in self.held]
        begun = [k for s in self.stop for k in range(1, len(s)) if self.held.endswith(s[:k])]
        self.stopped = bool(found)
        cut = sum(min(found)) if found else len(self.held) - max(begun, default=0) * (not final)
        text, self.held = self.held[:cut], self.held[cut:]
        return text


class Sequence:
    """A prompt and what grows from it.

    text      what follows the prompt, as far as it is certain
    finish    "" while it grows; then "stop" (the model or a stop string ended it), "length"
              (max_tokens or the context did) or "cancelled". Whoever sets it ends the sequence
    last      how many tokens there are when it is full
    room      how many there may be at most, with all that it may still wait for
    banned    ids that are not drawn next, a list; None: the engine's `banned`
    bias      {id: what is added to its logit}
    alone     whether it shares no keys and values, with others and with those on disk
    pending   what it waits for, a future whose tokens are appended when it is done; None: nothing
    record    "logprob": keep the log-probability of each token drawn in `logprobs`;
              "probabilities": and hand out what each was drawn from; "raw": and hand out the logs
              of the model's own, before all that Sampling and biases make of them
    """

    banned, pending, alone = None, None, False
    bias: dict = {}

    def __init__(self, prompt, settings, index=0, record=""):
        self.tokens, self.prompt, self.text, self.finish = list(prompt), len(prompt), "", ""
        self.settings, self.index, self.stream = settings, index, Stream(settings.stop)
        self.last, self.record, self.logprobs = self.prompt + settings.max_tokens, record, []
        mixed = np.random.SeedSequence((settings.seed, index))  # the same in any company
        self.seed = int(mixed.generate_state(1, np.uint64)[0])

    @property
    def room(self):
        return self.last

    def shared(self, held):
        """Return how many of its tokens, but the last, need not be read where `held` are."""
        return 0 if self.alone else shared(held, self.tokens)

    def was_read(self, model, count):
        """Called when the model has just read that many more of its tokens, before any is drawn."""

    def biases(self, tokens):
        """Return {id: what is added to its logit} of what follows these tokens."""
        how, found = self.settings, dict(self.bias)
        if how.presence_penalty or how.frequency_penalty:
            for token, count in Counter(tokens[self.prompt:]).items():
                found[token] = found.get(token, 0) - how.presence_penalty \
                    - how.frequency_penalty * count
        return found

    def take(self, token, text):
        """Called for each token that was drawn, with what it adds to the text; returns that, or as
        much of it as is to be shown."""
        self.text += text
        return text


@dataclass
class Slot:
    """A place in the cache.

    held      the tokens whose keys and values are there, or how they begin while that changes
    room      how many there is room for
    sequence  whose it is; None: it is free, but what it holds others may share
    lookup    where the sequence's text repeats itself
    begun     whether the sequence's first tokens were looked for in other slots and on disk
    kept      how many of the tokens are known to be on disk
    """

    number: int
    held: list = field(default_factory=list)
    room: int = 0
    sequence: Sequence | None = None
    lookup: Lookup | None = None
    begun: bool = False
    kept: int = 0

    @property
    def unread(self):
        """How many tokens the model has to read before the next is drawn after the last one."""
        return len(self.sequence.tokens) - 1 - len(self.held)


# ---- Many sequences ------------------------------------------------------------------------------

class Engine:
    """A model with its tokenizer.

    ends, banned      the ids that end a text; those that are not drawn unless a sequence says else
    keep              whether the cache outlives its sequences, so that the next one reads only what
                      is new to it: for a chat. The weights must not change meanwhile
    lookup            whether to use prompt lookup: that changes how long a text takes and no bit
    tokens, seconds   so far, or of the last `generate`, by "prefill" and "decode"
    drafts            likewise, of prompt lookup, by "made" and "accepted"
    slots             how many sequences run at the same time; None: SLOTS
    blocks            where keys and values are kept on disk (csrc/store.py); None: nowhere
    """

    blocks = slots = None

    def __init__(self, model, tokenizer, lookup=True, keep=False):
        V, known = model.config.vocab, tokenizer.vocab_size
        if model.config.scalar:
            raise ChatError("this model judges texts (it has a scalar head) and cannot write any")
        if known > V:
            raise ChatError(f"a tokenizer of {known} tokens does not belong to a model of {V}")
        self.model, self.tokenizer, self.ends = model, tokenizer, set(tokenizer.ends)
        self.special = {*tokenizer.specials.values()}
        self.banned = [*self.special - self.ends, *range(known, V)]
        self.lookup, self.costs, self.keep = lookup, Costs(), keep
        self.rates = {n: 1 - 1 / n for n in range(2, Lookup.LONGEST + 1)}  # to begin with
        self.waiting, self.running, self.free, self.cache = deque(), [], [], None
        self.reset_counters()

    def reset_counters(self):
        """Count tokens, seconds and drafts from now on."""
        self.tokens, self.seconds, self.drafts = Counter(), Counter(), Counter()

    def encode(self, text):
        """Return the tokens of a document that begins with `text`; no text makes special ones."""
        begin = self.tokenizer.begin
        return ([] if begin is None else [begin]) + self.tokenizer.encode(text)

    # ---- Joining and leaving

    def check(self, sequence):
        """ChatError unless the prompt fits the context."""
        size, context = len(sequence.tokens), self.model.config.context
        if not 1 <= size <= context:
            raise ChatError(f"the prompt has {size} tokens, but must have from 1 to {context}, the "
                            f"model's context")

    def submit(self, sequence):
        """Let a sequence run from the next step on. ChatError if its prompt does not fit."""
        self.check(sequence)
        self.waiting.append(sequence)

    def cancel(self, sequence):
        """End a sequence, wherever it is."""
        sequence.finish = sequence.finish or "cancelled"
        self.leave([sequence])

    def leave(self, sequences):
        """Give back the slots of sequences, and their places among those that wait."""
        gone = {id(s) for s in sequences}
        for slot in [slot for slot in self.running if id(slot.sequence) in gone]:
            if slot.sequence.pending:
                slot.sequence.pending.cancel()
            gone.remove(id(slot.sequence))
            self.running.remove(slot)
            self.free.append(slot)               # the one freed last is used last
            slot.sequence = slot.lookup = None
        if gone:
            self.waiting = deque(s for s in self.waiting if id(s) not in gone)
        if not (self.running or self.waiting or self.keep):
            self.cache, self.free = None, []

    def admit(self):
        """Give sequences that wait a slot each, with the room that it needs: of the free ones that
        which holds most of its beginning."""
        if self.waiting and self.cache is None:
            slots = self.slots or SLOTS
            self.cache = self.model.cache(slots)
            self.free, self.samplings = [*map(Slot, range(slots))], samplings(slots)
        while self.waiting and self.free:
            s = self.waiting[0]
            if s.finish:
                self.waiting.popleft()
                continue
            slot = max(self.free, key=lambda slot: s.shared(slot.held))
            self.hold(slot, slot, s.shared(slot.held))
            need = min(max(s.room, len(s.tokens)), self.model.config.context)
            if not need <= slot.room <= 2 * need:
                self.cache.resize(slot.number, need)
                slot.room = need
            self.waiting.popleft()
            self.free.remove(slot)
            self.running.append(slot)
            slot.sequence, slot.begun, slot.lookup = s, False, Lookup(s.tokens, self.rates)
            how = s.settings
            self.samplings[slot.number] = samplings(1, how.temperature, how.top_k, how.top_p,
                                                    how.min_p, how.repetition_penalty, s.seed)[0]

    def hold(self, slot, source, count):
        """Make of a slot the first `count` tokens of another or, if it is itself, of its own."""
        held, slot.held = source.held[:count], []
        self.cache.fork(slot.number, source.number, count)
        slot.held, slot.kept = held, 0

    def load(self, slot):
        """Let a slot hold what is on disk of its sequence's beginning."""
        s, held = slot.sequence, slot.held
        slot.held = []
        slot.held = self.blocks.load(self.cache, slot.number, held, s.tokens[:s.shared(s.tokens)])

    def save(self):
        """Write to disk what slots hold in blocks that have become full."""
        for slot in self.running if self.blocks else ():
            if len(slot.held) >= slot.kept + BLOCK and not slot.sequence.alone:
                self.blocks.save(self.cache, slot.number, slot.held)
                slot.kept = len(slot.held) // BLOCK * BLOCK

    # ---- A step

    def step(self):
        """Let all sequences grow. Return [(sequence, token, text, more)] for each token drawn, in
        order: what it adds to the sequence's text, or to what else the sequence keeps, and what
        `record` asks for: None, its log-probability, or the probabilities (V) that it was drawn
        from. A step may draw no token: while prompts are read, and after PAUSE seconds where all
        sequences wait."""
        return list(self.grow())

    def grow(self):
        """Yield what `step` returns, each when its sequence has no later token yet."""
        self.leave([slot.sequence for slot in self.running if slot.sequence.finish])
        self.admit()
        self.receive()
        try:
            self.read()
            ready = [slot for slot in self.running if not slot.sequence.pending
                     and not slot.sequence.finish and slot.unread == 0]
            if ready:
                yield from self.decode(ready)
            self.save()
        except BaseException:                    # Ctrl-C among others: the cache may hold more
            for slot in self.running:
                self.cache.fork(slot.number, slot.number, len(slot.held))
            raise

    def receive(self):
        """Append what sequences waited for. Where all still wait, give them some time."""
        pending = [slot.sequence.pending for slot in self.running if slot.sequence.pending]
        if pending and len(pending) == len(self.running):
            wait(pending, PAUSE, FIRST_COMPLETED)
        for s in [slot.sequence for slot in self.running]:
            if s.pending and s.pending.done():
                tokens, s.pending = s.pending.result(), None
                s.tokens += tokens
                s.last += len(tokens)

    def read(self):
        """Read up to PIECE tokens, first those of the sequence that came first, or up to BESIDE
        where any sequence's are read. What any slot has of a prompt's beginning is copied."""
        left = min(PIECE, BESIDE) if any(slot.unread == 0 for slot in self.running) else PIECE
        for slot in self.running:
            if left == 0 or slot.sequence.pending:
                continue
            s = slot.sequence
            if not slot.begun:
                slot.begun = True
                source = max(self.running + self.free, key=lambda one: s.shared(one.held))
                if s.shared(source.held) > len(slot.held):
                    self.hold(slot, source, s.shared(source.held))
                if self.blocks:
                    self.load(slot)
            piece = s.tokens[len(slot.held):-1][:left]
            if piece:
                left -= len(piece)
                with self.timed("prefill", len(piece)):
                    self.model.extend(self.cache, [slot.number], [piece], read=False)
                    slot.held += piece
                s.was_read(self.model, len(piece))

    def decode(self, ready):
        """Draw what follows in the slots that are `ready`; yield what `step` returns."""
        with self.timed("decode", 0):
            drafts = self.propose(ready)
            new = [[slot.sequence.tokens[-1], *draft] for slot, draft in zip(ready, drafts)]
            start = perf_counter()
            self.model.extend(self.cache, [slot.number for slot in ready], new, every=True,
                              read=False)
            rows = self.draw(ready, new)
            seconds, before = perf_counter() - start, self.tokens["decode"]
        for slot, tokens in zip(ready, new):
            right = yield from self.accept(slot.sequence, tokens, rows)
            self.drafts["accepted"] += max(0, right - 1)
            if right < len(tokens):
                self.cache.fork(slot.number, slot.number, len(slot.held) + right)
            slot.held += tokens[:right]
        self.drafts["made"] += sum(map(len, drafts))
        self.costs.learn(len(ready), sum(map(len, new)), seconds, self.tokens["decode"] - before)

    def propose(self, ready):
        """Return, for each of the slots, the tokens that prompt lookup proposes: the likeliest of
        all, as many as are worth it."""
        likely, counts = [], Counter()
        for slot in ready if self.lookup else ():
            slot.lookup.update()
            s = slot.sequence
            most = min(DRAFT, min(s.last - 1, self.model.config.context) - len(s.tokens))
            likely += [(chance, slot.number) for chance in slot.lookup.chances(most)]
        likely = sorted(likely, reverse=True)[:PIECE - len(ready)]
        if count := self.costs.worth(len(ready), [chance for chance, _ in likely]):
            counts.update(number for _, number in likely[:count])
        return [slot.lookup.draft(counts[slot.number]) for slot in ready]

    def draw(self, ready, new):
        """Return an iterator over (token, log-probability, probabilities, logs of the model's own)
        drawn after each of the tokens `new` of the slots; the last three where they are
        recorded."""
        rows = np.repeat(self.samplings[[slot.number for slot in ready]], [*map(len, new)])
        rows["position"] = [len(slot.held) + i for slot, tokens in zip(ready, new)
                            for i in range(1, len(tokens) + 1)]
        ids, lists, biased, row = [], {}, {}, 0
        for slot, tokens in zip(ready, new):
            banned = self.banned if slot.sequence.banned is None else slot.sequence.banned
            if id(banned) not in lists:          # most sequences share one
                lists[id(banned)] = len(ids), len(banned)
                ids += banned
            rows["banned"][row:row + len(tokens)], rows["n_banned"][row:row + len(tokens)] = \
                lists[id(banned)]
            for i in range(len(tokens) if slot.sequence.settings.repetition_penalty != 1 else 0):
                seen = {*slot.held, *tokens[:i + 1]} - self.ends
                rows[row + i]["seen"], rows[row + i]["n_seen"] = len(ids), len(seen)
                ids += seen
            for i in range(len(tokens)):
                if biases := slot.sequence.biases([*slot.held, *tokens[:i + 1]]):
                    rows[row + i]["biased"], rows[row + i]["n_biased"] = len(ids), len(biases)
                    biased[len(ids)] = [*biases.values()]
                    ids += biases
            row += len(tokens)
        records = {slot.sequence.record for slot in ready}
        added = np.zeros(len(ids), np.float32) if biased else None
        for at, biases in biased.items():
            added[at:at + len(biases)] = biases
        own = None
        if "raw" in records:
            own = self.model.last_logits()
            own -= own.max(1, keepdims=True)
            own -= np.log(np.exp(own).sum(1, keepdims=True))
        drawn, *more = self.model.draw(rows, ids, records != {""}, "probabilities" in records,
                                       added)
        return zip(drawn, *([None] * len(drawn) if each is None else each for each in (*more, own)))

    def accept(self, s, tokens, rows):
        """Give a sequence what was drawn after each of `tokens`, its last one and drafts, until a
        draft is another token than was drawn; what follows that means nothing. Yield what `step`
        returns; return how many of `tokens` are right."""
        drawn, banned, right = [next(rows) for _ in tokens], s.banned, 0
        for token, (following, logprob, probabilities, own) in zip(tokens, drawn):
            if s.tokens[-1] != token or s.finish or s.pending or s.banned is not banned:
                break
            right += 1
            if s.record:
                s.logprobs.append(float(logprob))
            more = {"": None, "logprob": logprob, "probabilities": probabilities,
                    "raw": own}[s.record]
            with self.timed("decode", 1):
                text = self.append(s, following)
            yield s, following, text, more
        return right

    def append(self, s, token):
        """Append a token to a sequence, and end it where that ends it; return the text it adds."""
        s.tokens.append(token)
        full = len(s.tokens) == s.last or len(s.tokens) > self.model.config.context
        s.finish = "stop" if token in self.ends else "length" if full else s.finish
        special = token in self.special or token in self.ends
        data = b"" if special else self.tokenizer.decode_bytes([token])
        text = s.stream.push(data, final=special or bool(s.finish))
        s.finish = "stop" if s.stream.stopped else s.finish
        return s.take(token, text)

    @contextmanager
    def timed(self, what, tokens):
        """Count the seconds that something takes, and its tokens."""
        start = perf_counter()
        yield
        self.tokens[what] += tokens
        self.seconds[what] += perf_counter() - start

    # ---- All of it

    def generate(self, sequences):
        """Continue sequences until each has its `finish`; yield what `step` returns, as `grow`
        does. ChatError, before anything is drawn, if a prompt does not fit. Where the caller stops
        early, those that are left leave the engine as they are."""
        sequences = list(sequences)
        for s in sequences:
            self.check(s)
        self.reset_counters()
        self.waiting.extend(sequences)
        try:
            for s in sequences:
                while not s.finish:
                    yield from self.grow()
        finally:
            self.leave(sequences)


def shared(held, tokens):
    """Return how many tokens two lists begin with in common, but the last of `tokens`."""
    return min(len(os.path.commonprefix([held, tokens])), len(tokens) - 1) if held else 0
