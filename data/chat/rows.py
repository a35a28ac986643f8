"""What fine-tuning reads: rows of conversations, shared among the ranks of a job, and what is held
out of them.
"""

from __future__ import annotations

import zlib
from collections import Counter
from pathlib import Path

import numpy as np

from csrc.files import ChatError
from data.chat import formats, protocol
from data.chat.protocol import Encoded, NoRoom, Rows
from data.chat.template import PLAIN
from data.chat.turn import talk_of
from data.tokens import bpe, shards
from data.tokens.documents import WORLD, embedded, find_files, is_held
from data.tokens.loader import Loader, Shuffled

HELD_OUT = 0.02         # of the conversations
MIX = 0.1               # of the rows, where documents are mixed in


class RowLoader(Shuffled):
    """Rows, as many in a step as are asked for."""

    def __init__(self, rows: Rows, seed=0, rank=0, ranks=1):
        self.rows, self.seed, self.rank, self.ranks = rows, seed, rank, ranks
        self.counts = rows.mask.sum(1)
        self.T, self.tokens = rows.tokens.shape[1], rows.tokens.size
        self.seek(0, 0)

    def next(self, n) -> tuple[Rows, int]:
        """Moves on by n rows; of these this rank's, every ranks-th, and how many tokens count in
        all of them."""
        chosen = [*self.take(n)]
        mine = chosen[self.rank::self.ranks]
        return Rows(*(part[mine] for part in self.rows)), int(self.counts[chosen].sum())

    def seek(self, epoch, index):
        """Go to a position: the next row is number `index` of the epoch."""
        self.epoch, self.index = epoch, index
        self.order = np.random.default_rng((self.seed, epoch)).permutation(len(self.counts))


def with_template(model):
    """Return the tokenizer of a model. One that has no chat template gets, by the tokens that it
    has, ours or a plain one."""
    tokenizer = bpe.Tokenizer.load(model)
    if not tokenizer.config.get("chat_template"):
        begin = "{{ bos_token }}" if tokenizer.begin is not None else ""
        tokenizer.config["chat_template"] = bpe.CHAT_TEMPLATE \
            if tokenizer.specials.keys() >= {*protocol.CHATML} else begin + PLAIN
    return tokenizer


def encode_all(talk, conversations, limit, skipped):
    """Return ([(its messages, [Encoded, as arrays])], said): all {"messages": ...} that have room,
    and a sentence that tells how much was left out. Only what may be held out keeps its messages.

    skipped    a Counter: by reason, how many conversations the model's words cannot express
    """
    found, refused = [], 0
    for conversation in conversations:
        messages, n = conversation["messages"], len(found)
        try:
            samples = [Encoded(np.array(ids, np.int32), np.array(mask, bool), *left)
                       for ids, mask, *left in talk.samples(messages, limit)]
            may_be_held = n < 1 / HELD_OUT or is_held(n, HELD_OUT)
            found.append((messages if may_be_held else None, samples))
        except NoRoom:
            refused += 1
        except ChatError as error:
            skipped[formats.reason(error)] += 1
    all_samples = [sample for _, samples in found for sample in samples]
    said = f"{len(found)} conversations of up to {limit} tokens"
    for count, what in ((sum(c.dropped for c in all_samples), "turns left out, the oldest"),
                        (sum(c.cut > 0 for c in all_samples), "answers cut off at the end"),
                        (refused, "conversations left out that have no room for an answer")):
        said += f"; {count} {what}" * (count > 0)
    return found, said


class Conversations:
    """What fine-tuning reads: conversations packed into rows, with documents mixed in; of every 50
    conversations the last is held out, without documents.

    held        the held-out conversations, as Encoded
    identity    {part: what shows that not a bit of it has changed}
    """
    def __init__(self, s, rank=0, ranks=1):
        files, mixed = self.prepare(s)
        self.tokenizer, skipped, unused = with_template(s.model), Counter(), Counter()
        self.vocab, self.talk = self.tokenizer.vocab_size, talk_of(self.tokenizer)
        encoded, self.summary = encode_all(
            self.talk, (c for file in files for c in formats.read(file, skipped, unused)),
            s.context + 1, skipped)
        if skipped:
            self.summary += f"; {skipped.total()} skipped: {skipped.most_common(1)[0][0]}"
        self.summary += "".join(f"; {count} have {column!r}, which is not used"
                                for column, count in unused.most_common(3))
        if len(encoded) < 2:
            raise ChatError(f"{' '.join(s.data)}: {self.summary}: one to learn from and one to "
                            f"hold out is the least")
        parts = [], []
        for i, conversation in enumerate(encoded):
            parts[is_held(i, HELD_OUT)].append(conversation)
        parts = parts if parts[1] else (encoded[:-1], encoded[-1:])
        self.asked = [messages for messages, _ in parts[1]]
        train, self.held = ([sample for _, samples in part for sample in samples]
                            for part in parts)
        self.val = protocol.pack(self.held, s.context)
        if mixed:
            share = MIX if s.mix is None else s.mix
            count = round(share / (1 - share) * sum(len(c.ids) for c in train) / s.context)
            rows = Loader(mixed, s.context, self.vocab, s.seed).next(max(1, count))
            train += [(row, np.ones(len(row), bool)) for row in rows]
            self.summary += f"; {len(rows)} windows of documents mixed in"
        self.loader = RowLoader(protocol.pack(train, s.context), s.seed, rank, ranks)
        self.identity = {"the conversations": [zlib.crc32(part) for part in self.loader.rows],
                         "the held-out conversations": [zlib.crc32(part) for part in self.val]}

    @staticmethod
    def prepare(s) -> tuple[list[Path], list[Path]]:
        """The files of conversations and the shards of documents that these settings ask for."""
        named = [embedded("conversations") / "conversations" if name == WORLD else name
                 for name in s.data]
        files = find_files(named, formats.ENDINGS)
        asked = s.mix is not None or s.documents is not None
        if s.mix == 0 or not (asked or bpe.Tokenizer.load(s.model).ours):
            return files, []
        folder = shards.prepare(s.documents or WORLD, tokenizer=s.model)
        return files, shards.find_shards(folder)[0]

    def baselines(self) -> dict[str, float]:
        """None: train.py measures the model before it learns."""
        return {}

    def question(self, number) -> list:
        """The messages of a held-out conversation that come before its first answer."""
        messages = self.asked[number % len(self.asked)]
        return messages[:next((i for i, one in enumerate(messages)
                               if i and one["role"] == "assistant"), 0)]

    def held_out(self, limit) -> Rows:
        """Held-out conversations, up to `limit` tokens."""
        n = max(1, limit // self.loader.T)
        return Rows(*(part[:n] for part in self.val))

    def __str__(self):
        return (f"{self.summary}; {self.loader.tokens:,} tokens, of which "
                f"{self.loader.counts.sum():,} count, {self.val.mask.sum():,} held out")
