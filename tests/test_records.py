"""Mutated records of conversations and exams: read, or refused in words, and never a crash.

CHAT_MUTATIONS=20000 sets how many are tried.
"""

import copy
import json
import os
import random

from csrc.files import ChatError
from data.chat import formats as conversations
from data.chat.protocol import Talk, normal
from data.exams import formats as exams
from data.exams.marks import mark
from data.tokens import bpe
from test_exams import ARC, ARC_HF, BFCL, HELLASWAG, HUB, HUMANEVAL
from test_talk_formats import EXAMPLES, VARIANTS

COUNT = int(os.environ.get("CHAT_MUTATIONS", 1000))
JUNK = [None, True, 0, -1, 1.5, "", "a", "\0", "é" * 9, [], {}, ["a"], [1], {"a": 1}, [[]], [None],
        "{}", "[1]", 10**30, "####", "\\boxed{", "\ud800"]
COLUMNS = ["weight", "tools", "history", "system", "answer", "label", "tool_calls", "role"]


def mutated(value, rng):
    """A copy of a value with one place in it changed."""
    if rng.random() < 0.25 or not isinstance(value, (dict, list)) or not value:
        return copy.deepcopy(rng.choice(JUNK))
    changed = copy.copy(value)
    place = rng.choice([*value]) if isinstance(value, dict) else rng.randrange(len(value))
    chance = rng.random()
    if chance < 0.2:
        del changed[place]
    elif chance < 0.3 and isinstance(value, dict):
        changed[rng.choice(COLUMNS)] = copy.deepcopy(rng.choice(JUNK))
    else:
        changed[place] = mutated(value[place], rng)
    return changed


def texts(records, seed):
    """COUNT times the JSON of a record, mutated; of some the text, too."""
    rng = random.Random(seed)
    for _ in range(COUNT):
        record = rng.choice(records)
        for _ in range(rng.randint(0, 3)):
            record = mutated(record, rng)
        text = json.dumps(record)
        place = rng.randrange(len(text)) if rng.random() < 0.1 else len(text)
        yield text[:place] + rng.choice('"{[]\\\n,') * (place < len(text)) + text[place:]


def test_mutated_conversations_are_read_or_refused_in_a_sentence(tmp_path):
    talk, read = Talk(bpe.Tokenizer.from_merges([])), 0
    for text in texts([record for record, _ in [*EXAMPLES.values(), *VARIANTS.values()]], 1):
        (tmp_path / "a.jsonl").write_text(text)
        try:
            for conversation in conversations.read(tmp_path / "a.jsonl"):
                messages = conversation["messages"]
                assert normal(messages) == messages and any(talk.encode(messages).mask)
                read += 1
        except ChatError as error:
            assert str(error).isprintable() and len(str(error)) < 800
    assert COUNT / 5 < read < COUNT


def test_mutated_exams_are_read_or_refused_in_a_sentence(tmp_path):
    records = [record for record, *_ in HUB.values()] + [ARC, ARC_HF, BFCL, HELLASWAG, HUMANEVAL]
    read = 0
    for text in texts(records, 2):
        (tmp_path / "a.jsonl").write_text(text)
        try:
            for question in exams.read(tmp_path / "a.jsonl"):
                assert question.text() and question.messages()
                if question.kind not in ("code", "ending"):
                    mark(question, question.worked)
                read += 1
        except ChatError as error:
            assert str(error).isprintable() and len(str(error)) < 800
        except FileNotFoundError as error:               # possible_answer/ of BFCL
            assert "possible_answer" in str(error)
    assert COUNT / 5 < read < COUNT
