"""Run a trained model: text -> tokens -> model.extend -> logits -> sample -> token -> text.

    python infer.py                                type a beginning; the newest run goes on with it
    python infer.py --prompt "Once upon a time"    one continuation, shown as it grows
    python infer.py --prompt "..." --n 4 --seed 7  four of them, the same four every time
    python infer.py --prompt "..." --probs         and what each token was drawn from
    python infer.py --prompt - < story.txt         the prompt comes from a file
"""

import csrc.venv  # re-runs this script in the environment that `make` built

import argparse
import codecs
import difflib
import os
import secrets
import shutil
import sys
import unicodedata
from collections import Counter, deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from time import perf_counter

import numpy as np

from csrc.bind import GENERATES, Library, Model, sample
from data.bpe import BEGIN, END, Tokenizer

RUNS = Path("runs")  # where train.py leaves its models
SLOTS = 32           # sequences that grow at the same time; more wait for their turn
PIECE = 512          # tokens of a prompt in one call: bounds its memory, and lets Ctrl-C through
AHEAD = 15           # tokens guessed for a sequence at most: 16 rows with the one drawn before


# ---- One sequence --------------------------------------------------------------------------------

def setting(default, low, high, text):
    default = {"default_factory" if callable(default) else "default": default}
    return field(**default, metadata={"low": low, "high": high, "help": text})


@dataclass(frozen=True)
class Settings:
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
                raise ValueError(f"{f.name} is {value}, but must be from {low} to {high}")
        if "" in self.stop:
            raise ValueError("a stop string is empty: it would end every text before it begins")


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

    def __init__(self, prompt, settings, index=0):
        self.tokens, self.prompt, self.text, self.finish = list(prompt), len(prompt), "", ""
        self.settings, self.index, self.stream = settings, index, Stream(settings.stop)
        mixed = np.random.SeedSequence((settings.seed, index))  # the same in any company
        self.seed = int(mixed.generate_state(1, np.uint64)[0])


# ---- Guessing ------------------------------------------------------------------------------------

class Lookup:
    """Guesses how a text goes on: as after the last place that read like its end (prompt lookup
    decoding, Saxena 2023, https://github.com/apoorvumang/prompt-lookup-decoding).

    tokens       the text, somebody else's list that grows
    at, length   the last `length` tokens, from 2 to 8 and as many as possible, stand before
                 tokens[at] too, and nowhere later; length is 0 where no two do
    chance       by length, how often the guessed token is right; lookups of one model share it
    """

    LONGEST = 8

    def __init__(self, tokens, chance):
        self.tokens, self.chance, self.seen, self.at, self.length = tokens, chance, 0, 0, 0
        self.after = {}  # n-gram: what follows it where it was last

    def update(self):
        """Take in what was appended to `tokens`. An n-gram is noted from the second time on that
        its last n-1 tokens occur: text that never repeats costs one entry a token."""
        for end in range(self.seen + 1, len(self.tokens) + 1):
            if self.length:
                right = self.tokens[end - 1] == self.tokens[self.at]
                self.chance[self.length] += (right - self.chance[self.length]) / 8
            self.length = 0
            for n in range(2, min(self.LONGEST, end) + 1):
                gram = tuple(self.tokens[end - n:end])
                at, self.after[gram] = self.after.get(gram), end
                if at is None:
                    break
                self.at, self.length = at, n
                if n < min(self.LONGEST, at):
                    self.after.setdefault(tuple(self.tokens[at - n - 1:at]), at)
        self.seen = len(self.tokens)

    def chances(self, count):
        """Return the chances that the first 1, 2, ... guesses, up to `count`, are all right, as far
        as there is hope."""
        chances, chance = [], 1
        for n in range(self.length, self.length + count) if self.length else ():
            chance *= self.chance[min(n, self.LONGEST)]
            if chance < 0.02:
                break
            chances.append(chance)
        return chances

    def guess(self, count):
        """Return `count` tokens. What reaches the text's end goes around: a loop goes on."""
        found = self.tokens[self.at:self.at + count]
        return (found * count)[:count]


class Costs:
    """Where guesses pay. A call of the model takes hardly longer for a row (token) more while it
    waits for the weights to come from memory, and in proportion once it waits for the multiplier.
    Which it is depends on the model, the machine, its other users and how many sequences grow side
    by side, so it is measured, all the time.

    known   the seconds of a call by its rows, and which call told so
    purse   in calls without guesses: what guesses saved so far, and 0.5 % of all time. It is the
            most that the next may lose, so they cost 0.5 % at worst, however wrong the estimates
    """

    def __init__(self):
        self.known, self.calls, self.purse = {}, 0, 1

    def learn(self, n, rows, seconds, tokens):
        """A call of `rows` rows, all but n of them guesses, took `seconds` and gave `tokens`."""
        self.calls += 1
        old, _ = self.known.get(rows, (seconds, 0))
        slower = old + (min(seconds, 2 * old) - old) / 8  # others on the machine only ever slow it
        self.known[rows] = min(seconds, slower), self.calls
        saved = tokens / n - self.known[rows][0] / self.known[n][0] if rows > n else 0
        self.purse = min(max(self.purse + saved + 0.005, -1), 4)

    def expected(self, rows):
        """Return the seconds of a call: as of the nearest number of rows known, if reading weights
        takes as long as 16 rows. They fade, so that what once was slow is tried again."""
        near = rows
        if rows not in self.known:
            near = max((n for n in self.known if n < rows), default=min(self.known))
        seconds, call = self.known[near]
        return seconds * 0.99 ** (self.calls - call) * (16 + rows) / (16 + near)

    def worth(self, n, chances):
        """Return how many guesses to check beside the n rows there must be, for the most tokens a
        second; `chances` that each is right, falling. 0 unless 5 % are to be gained, and now and
        then, to see how long that takes: the more often, the less is to be gained."""
        if n not in self.known:
            return 0
        best, gain, tokens = 0, 1.05, n
        for count, chance in enumerate(chances, 1):
            tokens += chance
            rows = n + count
            # Few numbers, so that each is known well, and none far from what is known.
            if rows & (rows - 1) == 0 and rows <= 2 * max(self.known):
                cost = max(1, self.expected(rows) / self.known[n][0])
                if cost - 1 <= self.purse and tokens / n / cost > gain:
                    best, gain = count, tokens / n / cost
        return best if self.calls - self.known[n][1] < 64 * min(1, gain - 1) else 0


# ---- Many sequences ------------------------------------------------------------------------------

class Engine:
    """A model with its tokenizer.

    ends, banned      the special tokens that end a text; the ids that are never drawn
    guess             whether tokens are guessed and then checked, several in one call: that changes
                      how long a text takes and not a bit of it
    tokens, seconds   of the last `generate`, by "prefill" and "decode"
    guesses           likewise, by "made" and "right"
    """

    def __init__(self, model, tokenizer, guess=True):
        V, known = model.config.vocab, tokenizer.vocab_size
        if model.config.scalar:
            raise ValueError("this model judges texts (it has a scalar head) and cannot write any")
        if known > V:
            raise ValueError(f"a tokenizer of {known} tokens does not belong to a model of {V}")
        self.model, self.tokenizer = model, tokenizer
        eos = tokenizer.config.get("eos_token")
        names = {BEGIN, END, eos["content"] if isinstance(eos, dict) else eos}
        self.ends = {i for name, i in tokenizer.specials.items() if name in names}
        self.banned = [*{*tokenizer.specials.values()} - self.ends, *range(known, V)]
        self.tokens, self.seconds, self.guesses = Counter(), Counter(), Counter()
        self.guess, self.costs = guess, Costs()
        self.chance = {n: 1 - 1 / n for n in range(2, Lookup.LONGEST + 1)}  # to begin with

    @classmethod
    def load(cls, folder, device="auto", dtype="auto"):
        """Read a Hugging Face folder."""
        tokenizer = Tokenizer.load(folder)
        return cls(Model.load(folder, *Library.choose(device, dtype), how=GENERATES), tokenizer)

    def encode(self, text):
        """Return the tokens of a document that begins with `text`; no text makes special ones."""
        begin = self.tokenizer.begin
        return ([] if begin is None else [begin]) + self.tokenizer.encode(text)

    def generate(self, sequences, probabilities=False):
        """Continue `sequences`, SLOTS of them at a time, until each has its `finish`.

        Yields (sequence, token, probabilities, text) for each token: what it was drawn from, (V) or
        None if not asked for, and what it adds to the sequence's text. ValueError if a prompt does
        not fit the context.
        """
        sequences = list(sequences)
        # Where only tokens are wanted, the device draws them, and keeps its logits.
        draws = not probabilities and all(s.settings.repetition_penalty == 1 for s in sequences)
        waiting, running, lookups = deque(sequences), {}, {}  # the latter two: by busy slot
        context = self.model.config.context
        for s in waiting:
            if not 1 <= len(s.tokens) <= context:
                raise ValueError(f"the prompt has {len(s.tokens)} tokens, but must have from 1 to "
                                 f"{context}, the model's context")
        held = [[] for _ in range(min(SLOTS, len(waiting)))]  # the tokens in each slot
        longest = max((len(s.tokens) + s.settings.max_tokens for s in waiting), default=0)
        cache = held and self.model.cache(len(held), min(context, longest))
        self.tokens, self.seconds, self.guesses = Counter(), Counter(), Counter()

        while waiting or running:
            for slot in range(len(held)):
                if waiting and slot not in running:
                    running[slot] = s = waiting.popleft()
                    lookups[slot] = Lookup(s.tokens, self.chance)
                    self.prefill(cache, held, slot, s.tokens[:-1])
            with self.timed("decode", 0):
                guesses = self.propose(running, lookups)
                new = [s.tokens[len(held[slot]):] + guesses.get(slot, [])
                       for slot, s in running.items()]
                start, before = perf_counter(), self.tokens["decode"]
                rows = self.model.extend(cache, list(running), new, every=True, read=not draws)
                if draws:
                    counts = [len(held[slot]) for slot in running]
                    rows = self.draw_rows([*running.values()], counts, new)
                seconds, count, rows = perf_counter() - start, len(rows), iter(rows)
            for (slot, s), tokens in zip([*running.items()], new):
                right = yield from self.check(s, len(held[slot]), tokens, rows)
                self.guesses["right"] += max(0, right - len(tokens) + len(guesses.get(slot, [])))
                held[slot] += tokens[:right]
                if right < len(tokens):
                    cache.fork(slot, slot, len(held[slot]))
                if s.finish:
                    del running[slot]
            made = sum(map(len, guesses.values()))
            self.guesses["made"] += made
            self.costs.learn(count - made, count, seconds, self.tokens["decode"] - before)

    def draw_rows(self, running, counts, new):
        """Return the token that follows each of `new`, lists of tokens that come after the first
        counts[i] of each sequence."""
        settings, positions = [], []
        for s, count, tokens in zip(running, counts, new):
            how = dict(temperature=s.settings.temperature, top_k=s.settings.top_k,
                       top_p=s.settings.top_p, min_p=s.settings.min_p, seed=s.seed)
            settings += [how] * len(tokens)
            positions += range(count + 1, count + 1 + len(tokens))
        return self.model.draw(settings, positions, self.banned)

    def check(self, s, count, tokens, rows):
        """Take from `rows`, the logits after each of `tokens` or what was drawn from them; tokens
        are those of s from its count-th on, then guesses. After a wrong one they mean nothing.
        Return how many are right."""
        right = 0
        for i, row in zip(range(1, len(tokens) + 1), rows):
            if s.tokens[count:] == tokens[:i] and not s.finish:
                right = i
                with self.timed("decode", 1):
                    drawn = self.draw(s, row)
                yield drawn
        return right

    def propose(self, running, lookups):
        """Return {slot: tokens that may come next} for those sequences of `running` where guesses
        pay: the likeliest of all."""
        likely = []
        for slot, s in running.items() if self.guess else ():
            lookups[slot].update()
            last = min(s.prompt + s.settings.max_tokens - 1, self.model.config.context)
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
        cache.fork(slot, shared.index(count), count)
        with self.timed("prefill", len(tokens) - count):
            for i in range(count, len(tokens), PIECE):
                self.model.extend(cache, [slot], [tokens[i:i + PIECE]])
        held[slot] = tokens

    def draw(self, s, row):
        """Append the next token to sequence s, given it or the logits (V) that it is drawn from;
        return what `generate` yields."""
        how, context, token, probabilities = s.settings, self.model.config.context, row, None
        if isinstance(row, np.ndarray):
            seen = {*s.tokens} - self.ends if how.repetition_penalty != 1 else ()
            token, probabilities = sample(
                row, how.temperature, how.top_k, how.top_p, how.min_p, how.repetition_penalty,
                seed=s.seed, position=len(s.tokens), history=list(seen), banned=self.banned)
        s.tokens.append(token)
        full = len(s.tokens) == s.prompt + how.max_tokens or len(s.tokens) > context
        s.finish = "stop" if token in self.ends else "length" if full else s.finish
        data = b"" if token in self.ends else self.tokenizer.decode_bytes([token])
        text = s.stream.push(data, final=bool(s.finish))
        s.finish = "stop" if s.stream.stopped else s.finish
        s.text += text
        return s, token, probabilities, text

    @contextmanager
    def timed(self, what, tokens):
        start = perf_counter()
        yield
        self.tokens[what] += tokens
        self.seconds[what] += perf_counter() - start


def newest_run():
    """Return the folder in runs/ whose model was written last."""
    models = [*RUNS.glob("*/model.safetensors")]
    if not models:
        raise FileNotFoundError(f"there is no model in {RUNS}/: train one first: python train.py")
    return max(models, key=os.path.getmtime).parent


# ---- complete ------------------------------------------------------------------------------------

def complete(args):
    """Continue the prompt or, where there is none, one after the other as they are typed."""
    args.model = args.model or newest_run()
    engine = Engine.load(args.model, args.device, args.dtype)
    engine.guess = not args.no_guess
    if args.prompt is None and sys.stdin.isatty():
        return interact(engine, args)
    if args.prompt in (None, "-"):
        args.prompt = sys.stdin.buffer.read().decode("utf-8", "replace").removesuffix("\n")
    if not show(engine, args.prompt, args):
        sys.exit(130)


def interact(engine, args):
    with suppress(ImportError):
        import readline  # noqa: F401  (arrow keys and history in input)
    model = engine.model
    note(f"{args.model}: {model.parameters / 1e6:.1f} million parameters, {model.device} "
         f"{model.dtype}, context {model.config.context} tokens\n"
         f"Type how a text begins. Ctrl-C stops the model, Ctrl-D leaves.")
    while True:
        try:
            show(engine, input("> "), args)
        except EOFError:
            return print()
        except KeyboardInterrupt:
            note("\n(Ctrl-D leaves)")
        except ValueError as error:
            note(error)


def show(engine, prompt, args):
    """Print the continuations, then a line about them on stderr; return False after Ctrl-C.

    The first is printed as it grows; the others grow beside it, and are printed in their turn.
    """
    settings, tokens, turn = Settings(**args.settings), engine.encode(prompt), 0
    sequences = [Sequence(tokens, settings, i) for i in range(settings.n)]
    unseen = [f"---- {i + 1} of {settings.n} ----\n" * (settings.n > 1) for i in range(settings.n)]
    try:
        for s, token, probabilities, text in engine.generate(sequences, args.probs):
            unseen[s.index] += describe(engine, token, probabilities) if args.probs else text
            if s.finish:
                unseen[s.index] += f"\n{s.text}\n" if args.probs else "\n"
            while turn < settings.n:
                print(unseen[turn], end="", flush=True)
                unseen[turn] = ""
                if not sequences[turn].finish:
                    break
                turn += 1
    except KeyboardInterrupt:
        print("\n".join(unseen[turn:]), flush=True)
    note(summary(engine, sequences))
    return turn == settings.n


def summary(engine, sequences):
    facts = [f"{what} {count} tokens, {count / engine.seconds[what]:.0f} tokens/s"
             for what, count in engine.tokens.items() if count]
    if made := engine.guesses["made"]:
        facts[-1] += f", {engine.guesses['right']} of {made} guesses right"
    ends = Counter(s.finish or "interrupted" for s in sequences)
    facts.append(", ".join(f"{count} x {end}" if count > 1 else end for end, count in ends.items()))
    context = engine.model.config.context
    if any(len(s.tokens) > context for s in sequences):
        facts[-1] += f" (the context of {context} tokens is full)"
    return " | ".join([*facts, f"seed {sequences[0].settings.seed}"])


# ---- Looking at the coin -------------------------------------------------------------------------

def describe(engine, token, probabilities):
    """Return a line: the token, then the likeliest that could have come, itself among them."""
    room = max(1, (shutil.get_terminal_size().columns - 18) // 20)
    likely = [i for i in np.argsort(-probabilities, kind="stable")[:room] if probabilities[i] > 0]
    if token not in likely:
        likely[-1] = token
    line = paint(spell(engine, token, 12), "1")
    for i in likely:
        full, part = divmod(round(float(probabilities[i]) * 5 * 8), 8)  # a bar of five, in eighths
        bar = "█" * full + "▏▎▍▌▋▊▉"[part - 1:part]
        cell = f"{spell(engine, i, 8)} {bar:5}{probabilities[i]:4.0%}"
        line += "  " + (paint(cell, "32") if i == token else cell)
    more = np.count_nonzero(probabilities) - len(likely)
    return line + (paint(f"  +{more}", "2") if more else "") + "\n"


def spell(engine, token, width):
    """Return a token in `width` columns of a terminal; blanks are dots, controls are escapes."""
    text = engine.tokenizer.decode_bytes([token]).decode("utf-8", "backslashreplace")
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text).replace(" ", "·")
    while (used := sum((unicodedata.category(c) != "Mn") + (unicodedata.east_asian_width(c) in "WF")
                       for c in text)) > width:
        text = text[:-2] + "…"
    return text + " " * (width - used)


def paint(text, code, file=sys.stdout):
    """Return `text` in a colour (an SGR code) if `file` is a terminal."""
    return f"\x1b[{code}m{text}\x1b[0m" if file.isatty() and "NO_COLOR" not in os.environ else text


def note(text):
    print(paint(text, "2", sys.stderr), file=sys.stderr, flush=True)


# ---- eval ----------------------------------------------------------------------------------------

def evaluate(args):
    """Put models through exams; data/exams_run.py does it."""
    from data import exams_run  # which imports this module
    exams_run.evaluate(args)


# ---- The command line ----------------------------------------------------------------------------

STAGES = {"complete": complete, "eval": evaluate}


def parse(argv):
    parser = argparse.ArgumentParser(
        prog="infer.py", usage="python infer.py [complete] [--prompt P] [--FLAG VALUE ...]",
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False)
    add = parser.add_argument
    add("stage", nargs="?", default="complete", help="complete: go on with a text (the default)")
    add("--model", action="append", metavar="F", help="the model's folder (default: the newest in "
        "runs/); for eval also LABEL=F, and repeated")
    add("--prompt", metavar="P", help="how the text begins; -: all of stdin but a last newline. "
        "Special tokens spelled in it are plain text (default: ask for it)")
    for f in fields(Settings):
        if f.metadata:
            default = "random" if f.name == "seed" else f.default
            add("--" + f.name.replace("_", "-"), type=f.type, metavar="N" if f.type is int else "X",
                help=f"{f.metadata['help']} (default: {default})")
    add("--stop", action="append", metavar="TEXT", help="end before this text; may be repeated")
    add("--probs", action="store_true", help="a line a token: it, and what it was drawn from")
    add("--no-guess", action="store_true", help="one token a call: the same text, slower")
    add("--device", default="auto", choices=["auto", "cpu", "cuda"], help="auto: cuda where built")
    add("--dtype", default="auto", choices=["auto", "f32", "bf16"], help="auto: bf16 where built")
    flags_of_eval(parser.add_argument_group("eval").add_argument)
    args, unknown = parser.parse_known_args(argv)

    flags = ["--" + name.replace("_", "-") for name in vars(args) if name != "stage"]
    for what, words, known in ("flag", unknown, flags), ("stage", [args.stage], list(STAGES)):
        for word in words:
            if word not in known:
                near, = difflib.get_close_matches(word.partition("=")[0], known, n=1, cutoff=0)
                parser.error(f"{word} is no {what}; the nearest is {near}")
    if args.stage != "eval":
        args.model = args.model and args.model[-1]
    args.settings = {f.name: value for f in fields(Settings)
                     if (value := getattr(args, f.name)) is not None}
    return args


def flags_of_eval(add):
    add("--exam", action="append", metavar="FILE", help="also ask this exam, in its published "
        "format (data/exams.py); may be repeated")
    add("--examples", metavar="FILE", help="examples of the same format, shown before the questions")
    add("--shots", type=int, default=5, metavar="N", help="how many of them (default: %(default)s)")
    add("--count", type=int, default=200, metavar="N",
        help="questions of an exam at most (default: %(default)s)")
    add("--world", type=int, default=0, metavar="SEED",
        help="the pocket world that is asked about (default: %(default)s)")
    add("--no-world", action="store_true", help="ask nothing about it")
    add("--index", metavar="FILE", help="what the search tool reads (data/tools.py index)")
    add("--training", metavar="F", help="the documents of the training text, a file or folder, to "
        "tell figures by how many pages state a fact (default: the embedded corpus, if it is there)")
    add("--base", action="store_true", help="treat every model as one that only goes on with text")
    add("--out", metavar="F.json", help="write the figures")
    add("--html", metavar="F.html", help="write a report with charts and transcripts")


def main():
    sys.stdout.reconfigure(errors="replace")
    args = parse(sys.argv[1:])
    Settings(**args.settings)  # complains before a model is loaded
    STAGES[args.stage](args)


if __name__ == "__main__":
    csrc.venv.run(main)
