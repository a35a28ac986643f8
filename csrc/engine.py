"""Continues texts with a model: text -> tokens -> model.extend -> logits -> sample -> token -> text."""

import codecs
import os
import secrets
from collections import Counter, deque
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from time import perf_counter

import numpy as np

from csrc.files import ChatError
from csrc.bind import GENERATES, Library, Model, samplings
from csrc.lookup import AHEAD, Costs, Lookup
from data.chat import protocol, tools
from data.tokens.bpe import BEGIN, END, Tokenizer

SLOTS = 32           # sequences that grow at the same time; more wait for their turn
PIECE = 512          # tokens of a prompt in one call: bounds its memory, and lets Ctrl-C through
CALLS = 8            # of tools in one turn at most
READ = 4096          # tokens of their results in one turn at most
LEFT = 32            # tokens that a result leaves to the answer, if there are as many


# ---- One sequence --------------------------------------------------------------------------------

def setting(default, low, high, text):
    default = {"default_factory" if callable(default) else "default": default}
    return field(**default, metadata={"low": low, "high": high, "help": text})


@dataclass(frozen=True)
class Sampling:
    """How to continue a prompt. Each field is a flag: its default, its limits, what it does."""

    max_tokens: int = setting(256, 1, 2**31 - 1, "end after N new tokens")
    n: int = setting(1, 1, 1000, "make N continuations, side by side")
    temperature: float = setting(0.8, 0, 100, "divide the logits by X: under 1 sharpens, over 1 "
                                 "flattens, 0 takes the likeliest token")
    top_k: int = setting(0, 0, 2**31 - 1, "draw from the N likeliest tokens only; 0 is off")
    top_p: float = setting(0.95, 1e-6, 1, "then from the fewest that hold X of the probability")
    min_p: float = setting(0.0, 0, 1, "then from those at least X times as likely as the likeliest")
    repetition_penalty: float = setting(1.0, 0.01, 100, "hold down what the text has; 1 is off")
    seed: int = setting(lambda: secrets.randbits(32), 0, 2**64 - 1, "the same seed, the same text; "
                        "the line after the text tells which seed it was")
    stop: tuple = ()

    def __post_init__(self):
        for f in fields(self):
            value, low, high = getattr(self, f.name), f.metadata.get("low"), f.metadata.get("high")
            if f.metadata and not low <= value <= high:
                raise ChatError(f"{f.name} is {value}, but must be from {low} to {high}")
        if "" in self.stop:
            raise ChatError("a stop string is empty: it would end every text before it begins")


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

    text     what follows the prompt, as far as it is certain
    finish   "" while it grows; then "stop" (the model or a stop string ended it) or "length"
             (max_tokens or the context did). A caller may set it to end the sequence
    """

    kinds, kind = frozenset(), "text"  # the marks (of talk.MARKS) it may make; where it is in them
    results = 0                        # tokens of tools' results that may still come

    def __init__(self, prompt, settings, index=0):
        self.tokens, self.prompt, self.text, self.finish = list(prompt), len(prompt), "", ""
        self.settings, self.index, self.stream = settings, index, Stream(settings.stop)
        self.last = self.prompt + settings.max_tokens  # tokens there are when it is full
        mixed = np.random.SeedSequence((settings.seed, index))  # the same in any company
        self.seed = int(mixed.generate_state(1, np.uint64)[0])


@dataclass
class Call:
    """A tool's name, what it is asked, as text, and its Result; None until it has answered."""

    name: str
    text: str
    result: tools.Result | None = None


class Turn(Sequence):
    """The assistant's turn in a conversation: `Engine.turn` makes it.

    text      what it says; not its thoughts, calls and their results
    kind      what the next token belongs to: "text", or "think", "search", "python" between marks
    calls     each Call, from when the model has written it
    figures   PNG files (bytes) that tools made
    dropped   how many of the oldest turns had no room in the prompt
    messages  the new messages so far, in data.talk's normal form
    """

    def __init__(self, prompt, settings, index, engine, tools, dropped):
        super().__init__(prompt, settings, index)
        self.engine, self.tools, self.dropped, self.calls = engine, tools, dropped, []
        self.kinds, self.results = frozenset({"think", *tools}), READ * bool(tools)

    @property
    def figures(self):
        return [figure for call in self.calls if call.result for figure in call.result.figures]

    @property
    def messages(self):
        talk = self.engine.talk
        said = [i for i in self.tokens[self.prompt:] if i not in self.engine.ends]
        return talk.decode([*talk.opening, *said, talk.end])


# ---- Many sequences ------------------------------------------------------------------------------

class Engine:
    """A model with its tokenizer.

    talk              the protocol of conversations; None if the tokenizer has no tokens for it
    ends, banned      the special tokens that end a text; the ids that are never drawn in one
    keep              whether the cache outlives a `generate`, so that the next one reads only what
                      is new to it: for a chat. The weights must not change meanwhile
    guess             whether tokens are guessed and then checked, several in one call: that changes
                      how long a text takes and not a bit of it
    tokens, seconds   of the last `generate`, by "prefill" and "decode"
    guesses           likewise, by "made" and "right"
    """

    def __init__(self, model, tokenizer, guess=True, keep=False):
        V, known = model.config.vocab, tokenizer.vocab_size
        if model.config.scalar:
            raise ChatError("this model judges texts (it has a scalar head) and cannot write any")
        if known > V:
            raise ChatError(f"a tokenizer of {known} tokens does not belong to a model of {V}")
        self.model, self.tokenizer = model, tokenizer
        eos = tokenizer.config.get("eos_token")
        names = {BEGIN, END, eos["content"] if isinstance(eos, dict) else eos}
        self.ends = {i for name, i in tokenizer.specials.items() if name in names}
        try:
            self.talk = protocol.Talk(tokenizer)
        except ValueError:
            self.talk = None
        self.special = {*tokenizer.specials.values()}
        self.banned = self.never(Sequence.kinds)
        self.tokens, self.seconds, self.guesses = Counter(), Counter(), Counter()
        self.guess, self.costs, self.keep, self.kept = guess, Costs(), keep, None
        self.chance = {n: 1 - 1 / n for n in range(2, Lookup.LONGEST + 1)}  # to begin with

    @classmethod
    def load(cls, folder, device="auto", dtype="auto"):
        """Read a Hugging Face folder."""
        tokenizer = Tokenizer.load(folder)
        return cls(Model.load(folder, *Library.choose(device, dtype), flags=GENERATES), tokenizer)

    def encode(self, text):
        """Return the tokens of a document that begins with `text`; no text makes special ones."""
        begin = self.tokenizer.begin
        return ([] if begin is None else [begin]) + self.tokenizer.encode(text)

    def check_talk(self):
        """ValueError unless there can be conversations."""
        if not self.talk:
            raise ChatError("this model's tokenizer has no tokens for conversations: `python "
                            "infer.py complete --as-assistant` asks such a model all the same")

    def turn(self, messages, settings, index=0, tools=None, think=False):
        """Return the assistant's Turn that follows `messages` or goes on with the last of them.

        Of the oldest turns as many are left out as leave room for the answer: max_tokens, or a
        quarter of the context if that is less. ValueError as Talk.prompt's, talk.NoRoom where the
        last question is too long; and where the tokenizer has no tokens for conversations.

        tools    {name: tools.Tool}, as tools.registry gives: those that are not off may be called
        think    whether the turn begins with a thought
        """
        self.check_talk()
        context = self.model.config.context
        limit = context - min(context // 4, settings.max_tokens)
        prompt, dropped = self.talk.prompt(messages, limit)
        able = {name: tool for name, tool in (tools or {}).items() if not tool.off}
        turn = Turn(prompt, settings, index, self, able, dropped)
        if think:
            turn.tokens.append(self.tokenizer.special(protocol.MARKS["think"][0]))
            turn.kind, turn.last = "think", turn.last + 1
        return turn

    def never(self, kinds):
        """Return the ids that are not drawn where the marks of `kinds`, of talk.MARKS, may be."""
        marks = {**self.talk.opens, **self.talk.closes} if self.talk else {}
        allowed = {i for i, kind in marks.items() if kind in kinds}
        return [*self.special - self.ends - allowed,
                *range(self.tokenizer.vocab_size, self.model.config.vocab)]

    def generate(self, sequences, probabilities=False):
        """Continue `sequences`, SLOTS of them at a time, until each has its `finish`; where a Turn
        calls a tool, run that, and let it read the result.

        Yields (sequence, token, probabilities, text) for each token: what it was drawn from, (V) or
        None if not asked for, and what it adds to the sequence's text, or to what else a Turn's
        `kind` said before. ValueError if a prompt does not fit the context.
        """
        waiting, context = deque(sequences), self.model.config.context
        for s in waiting:
            if not 1 <= len(s.tokens) <= context:
                raise ChatError(f"the prompt has {len(s.tokens)} tokens, but must have from 1 to "
                                f"{context}, the model's context")
        self.tokens, self.seconds, self.guesses = Counter(), Counter(), Counter()
        if not waiting:
            return
        slots = min(SLOTS, len(waiting))
        length = min(context, max(s.last + s.results for s in waiting) * (1 + self.keep))
        (cache, held, room), self.kept = self.kept or (None, [], 0), None
        if len(held) < slots or room < length:
            cache, held, room = self.model.cache(slots, length), [[] for _ in range(slots)], length
        try:
            yield from self.run(waiting, cache, held, probabilities)
        finally:
            self.kept = (cache, held, room) if self.keep else None

    def run(self, waiting, cache, held, probabilities):
        """Yield what `generate` does. held: the tokens in each slot of the cache, or how they begin
        while that changes: wherever this is interrupted, what it says is there."""
        running, lookups, bans = {}, {}, {}  # the first two by busy slot, the last by kinds
        while waiting or running:
            for slot in range(len(held)):
                if waiting and slot not in running:
                    running[slot] = s = waiting.popleft()
                    lookups[slot] = Lookup(s.tokens, self.chance)
                    self.prefill(cache, held, slot, s.tokens[:-1])
            bans |= {s.kinds: self.never(s.kinds) for s in running.values() if s.kinds not in bans}
            with self.timed("decode", 0):
                guesses = self.propose(running, lookups)
                new = [s.tokens[len(held[slot]):] + guesses.get(slot, [])
                       for slot, s in running.items()]
                start, before = perf_counter(), self.tokens["decode"]
                self.model.extend(cache, list(running), new, every=True, read=False)
                rows = self.draw_rows(running, held, new, bans, probabilities)
                seconds, count, rows = perf_counter() - start, sum(map(len, new)), iter(rows)
            for (slot, s), tokens in zip([*running.items()], new):
                right = yield from self.check(s, len(held[slot]), tokens, rows)
                self.guesses["right"] += max(0, right - len(tokens) + len(guesses.get(slot, [])))
                if right < len(tokens):
                    cache.fork(slot, slot, len(held[slot]) + right)
                held[slot] += tokens[:right]
                if s.finish:
                    del running[slot]
                elif len(s.tokens) > len(held[slot]) + 1:  # a tool's result
                    self.prefill(cache, held, slot, s.tokens[:-1])
            made = sum(map(len, guesses.values()))
            self.guesses["made"] += made
            self.costs.learn(count - made, count, seconds, self.tokens["decode"] - before)

    def draw_rows(self, running, held, new, bans, probabilities):
        """Return what follows each of `new`, lists of tokens that come after those held: pairs of a
        token and the probabilities that it was drawn from, if asked for."""
        rows, ids = [], []
        for (slot, s), tokens in zip(running.items(), new):
            how, count = s.settings, len(held[slot])
            row = samplings(len(tokens), how.temperature, how.top_k, how.top_p, how.min_p,
                            how.repetition_penalty, s.seed, banned=len(ids),
                            n_banned=len(bans[s.kinds]),
                            position=range(count + 1, count + 1 + len(tokens)))
            ids += bans[s.kinds]
            for i in range(len(tokens) if how.repetition_penalty != 1 else 0):
                seen = {*held[slot], *tokens[:i + 1]} - self.ends
                row[i]["seen"], row[i]["n_seen"] = len(ids), len(seen)
                ids += seen
            rows.append(row)
        drawn, _, each = self.model.draw(np.concatenate(rows), ids, probabilities=probabilities)
        return zip(drawn, each if probabilities else [None] * len(drawn))

    def check(self, s, count, tokens, rows):
        """Take from `rows`, what was drawn after each of `tokens`; tokens
        are those of s from its count-th on, then guesses. After a wrong one they mean nothing.
        Return how many are right."""
        right, kinds = 0, s.kinds            # once a call ends these, rows drawn before are void
        for i, row in zip(range(1, len(tokens) + 1), rows):
            if s.tokens[count:] == tokens[:i] and s.kinds == kinds and not s.finish:
                right = i
                with self.timed("decode", 1):
                    drawn = self.draw(s, row)
                yield drawn
                if s.kinds and not s.finish:
                    self.call(s)
        return right

    def propose(self, running, lookups):
        """Return {slot: tokens that may come next} for those sequences of `running` where guesses
        pay: the likeliest of all."""
        likely = []
        for slot, s in running.items() if self.guess else ():
            lookups[slot].update()
            last = min(s.last - 1, self.model.config.context)
            chances = lookups[slot].chances(min(AHEAD, last - len(s.tokens)))
            likely += [(chance, slot) for chance in chances]
        likely.sort(reverse=True)
        count = self.costs.worth(len(running), [chance for chance, _ in likely])
        counts = Counter(slot for _, slot in likely[:count]) if count else {}
        return {slot: lookups[slot].guess(count) for slot, count in counts.items()}

    def prefill(self, cache, held, slot, tokens):
        """Put `tokens` into a slot; what any slot has of their beginning is copied."""
        shared = [len(os.path.commonprefix([other, tokens])) for other in held]
        count = max(shared)
        source, held[slot] = shared.index(count), []
        cache.fork(slot, source, count)
        held[slot] = tokens[:count]
        with self.timed("prefill", len(tokens) - count):
            for i in range(count, len(tokens), PIECE):
                self.model.extend(cache, [slot], [tokens[i:i + PIECE]])
                held[slot] += tokens[i:i + PIECE]

    def draw(self, s, row):
        """Append the next token to sequence s, given it and what it was drawn from; return what
        `generate` yields."""
        context, (token, probabilities) = self.model.config.context, row
        s.tokens.append(token)
        full = len(s.tokens) == s.last or len(s.tokens) > context
        s.finish = "stop" if token in self.ends else "length" if full else s.finish
        special = token in self.special
        data = b"" if special else self.tokenizer.decode_bytes([token])
        text = s.stream.push(data, final=special or bool(s.finish))
        s.finish = "stop" if s.stream.stopped else s.finish
        s.text += text if s.kind == "text" else ""
        if special and s.kinds and token not in self.ends:
            s.kind = self.talk.opens.get(token, "text")
            if called := self.talk.call(s.tokens[s.prompt:]):
                s.calls.append(Call(called[0], protocol.written(*called)))
        return s, token, probabilities, text

    def call(self, s):
        """Run the tool that a Turn has just called, if it has, and append what it answers."""
        if not s.calls or s.calls[-1].result:
            return
        call, tool = s.calls[-1], s.tools.get(s.calls[-1].name)
        try:
            call.result = tool.call(call.text) if tool else tools.Result(
                f"There is no tool {call.name}, only {' and '.join(s.tools)}.")
        except Exception as error:  # whatever a tool does, the chat goes on
            call.result = tools.Result(f"The tool {call.name} failed: {error!r}.")
        ids, budget = self.talk.result(call.result.text), len(call.result.text)
        left = self.model.config.context - len(s.tokens)
        room = min(left - LEFT, s.results)
        while budget and len(ids) > room:
            budget = min(budget - 1, budget * max(0, room - 2) // len(ids))
            ids = self.talk.result(tools.cut(call.result.text, budget))
        if len(ids) > left:
            s.finish = "length"
            return
        s.tokens += ids
        s.last, s.results = s.last + len(ids), s.results - len(ids)
        if len(s.calls) == CALLS or s.results < LEFT:
            s.kinds = frozenset({"think"})

    @contextmanager
    def timed(self, what, tokens):
        start = perf_counter()
        yield
        self.tokens[what] += tokens
        self.seconds[what] += perf_counter() - start
