"""Conversations: from messages to token ids with a loss mask and back, and into rows to train on.

A conversation is a list of OpenAI's messages, {"role", "content"}, with roles system, user,
assistant and tool. In tokens <|endoftext|> begins it, and each turn is

    <|im_start|>role\\n content <|im_end|>\\n

The assistant thinks, calls tools and reads their results inside its turn, which in messages is a
run of several: an assistant's with one of `tool_calls`, the tool's, the assistant's that goes on.

    "reasoning_content": R                 <think>R</think>                   before its content
    search {"query": Q}                    <|search_start|>Q<|search_end|>
    python {"code": C}                     <|python_start|>C<|python_end|>
    any other function F, arguments A      <|python_start|>{"name": F, "arguments": A}<|python_end|>
    the tool's message with content R      <|result_start|>R<|result_end|>

The mask is 1 exactly on what the assistant must produce: its text, thoughts, calls and <|im_end|>.
It is 0 on the header of its turn, on the newline after it, on results, which the engine writes, and
on messages of "weight" 0.

Special tokens are put in by id, and everything else is encoded as plain text, so that nothing that
a user, a page or a tool types can become one (bpe.Tokenizer.encode never makes any). For other
programs bpe.CHAT_TEMPLATE renders the same: a string, in which they cannot tell the two apart.
"""

import json
from bisect import bisect_left, insort
from itertools import chain
from reprlib import repr as short
from typing import NamedTuple

import numpy as np

from csrc.files import ChatError
from data.tokens import bpe
from data.tokens.loader import Rows

CHATML = bpe.NAMED[:3]
ROLES = ("system", "user", "assistant", "tool")
LONGEST = 1 << 20  # characters in a message
TOOLS = {"search": "query", "python": "code"}  # our own, and the one argument of each
OFFERS = {"search": "You can search for pages.", "python": "You can run Python."}
MARKS = {"think": ("<think>", "</think>"), "result": ("<|result_start|>", "<|result_end|>"),
         **{tool: (f"<|{tool}_start|>", f"<|{tool}_end|>") for tool in TOOLS}}
OBJECT = '{"name": "%s", "arguments": %s}'     # a call of any other function


# ----------------------------------------------------------------------------------------- Messages

def normal(messages):
    """Return `messages` as `Talk.decode` gives them, so that no two lists mean the same.

    Each content is one string, or None beside a call where nothing is said. A message has one call
    at most: of parallel ones each is followed by its own result. A call's id is the place of its
    message, and its arguments are a string of JSON. Of other keys only a "weight" of 0 is kept. A
    call may wait for its result at the end, and a result for what the assistant makes of it. The
    assistant may begin.

    ValueError names the message, counted from 1, that is none or is out of order.
    """
    if not isinstance(messages, list) or not messages:
        raise ChatError("there are no messages")
    found, waiting = [], {}  # the results to come, by the ids of their calls
    for number, message in enumerate(messages, 1):
        try:
            add(message, found, waiting)
        except ValueError as error:
            raise ChatError(f"message {number}: {error}") from error
    for name, result in waiting.items():
        if result is not found[-1] or len(waiting) > 1:
            raise ChatError(f"message {number}: the call {short(name)} has no result")
        found.pop()
    return found


def add(message, found, waiting):
    """Append what a message is in normal form to `found`, with a place for each call's result."""
    role, text = read_message(message)
    last = found[-1]["role"] if found else ""
    if role == "tool":
        name = str(message.get("tool_call_id") or next(iter(waiting), ""))
        if name not in waiting:
            raise ChatError(f"a tool's result, but no call {short(name)} waits for one")
        waiting.pop(name)["content"] = text
        return
    if waiting:
        raise ChatError(f"the {role}'s, but the call {short(next(iter(waiting)))} waits for its "
                        f"result")
    if role == "system" and found:
        raise ChatError("the system's, but not the first")
    if last == "tool" and role != "assistant":
        raise ChatError(f"the {role}'s, but the assistant has to go on after a tool's result")
    if last == role == "assistant":
        raise ChatError("a second one of the assistant in a row, and no tool's result between")
    found.append({"role": role, "content": text})
    if role != "assistant":
        return
    weight = {} if message.get("weight") in (None, 1) else {"weight": 0}
    if weight and message["weight"] != 0:
        raise ChatError(f"the weight is {short(message['weight'])}, but must be 0 or 1")
    found[-1] |= weight
    if message.get("reasoning_content") is not None:
        found[-1]["reasoning_content"] = read_text(message["reasoning_content"])
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        raise ChatError(f"the tool calls are {short(calls)}, but must be a list")
    for i, call in enumerate(calls):
        if i:
            found.append({"role": "assistant", "content": "", **weight})
        name, arguments = read_call(call)
        place = tool_call(found, name, arguments)
        name = str(call.get("id") or place)
        if name in waiting:
            raise ChatError(f"two calls have the id {short(name)}")
        waiting[name] = {"role": "tool", "tool_call_id": place, "content": ""}
        found.append(waiting[name])


def read_message(message):
    """Return the role and the text of a message."""
    if not isinstance(message, dict):
        raise ChatError(f"{short(message)} is not an object")
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        raise ChatError(f"the role {short(role)} is none of {', '.join(ROLES)}")
    if isinstance(content, list):
        for part in content:
            if not isinstance(part, dict) or part.get("type") != "text":
                raise ChatError(f"the part {short(part)} is not of type \"text\"")
        content = "".join(read_text(part.get("text")) for part in content)
    return role, "" if content is None else read_text(content)


def read_text(text):
    """Return a text that can stand in a message; a ChatError if it cannot."""
    if not isinstance(text, str):
        raise ChatError(f"{short(text)} stands where text should")
    if len(text) > LONGEST:
        raise ChatError(f"{len(text)} characters are more than {LONGEST}, the most in a message")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ChatError(f"{short(text[error.start])} is no text, but half of a surrogate "
                        f"pair") from error
    return text


def read_call(call):
    """Return the name and the arguments (dict) of one of OpenAI's "tool_calls"."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        raise ChatError(f"the call {short(call)} has no \"function\"")
    name, given = function.get("name"), function.get("arguments")
    try:
        arguments = json.loads(given) if isinstance(given, str) else given
        json.dumps(arguments)
    except (ValueError, TypeError, RecursionError) as error:
        raise ChatError(f"the arguments {short(given)} are not JSON ({error})") from error
    if not isinstance(name, str) or not name or not isinstance(arguments, dict):
        raise ChatError(f"a call of {short(name)} with the arguments {short(given)}")
    if name in TOOLS and [*arguments] != [TOOLS[name]]:
        raise ChatError(f"the arguments of {name} are {short(given)}, but must be "
                        f"{{\"{TOOLS[name]}\": ...}}")
    read_text(written(name, arguments))
    return name, arguments


def tool_call(found, name, arguments):
    """Make of the last message found one that calls a function; return the call's id."""
    place = f"call_{len(found) - 1}"
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    found[-1].update(content=found[-1]["content"] or None,
                     tool_calls=[{"id": place, "type": "function", "function": function}])
    return place


def written(name, arguments):
    """Return what stands between the marks of a call."""
    if name in TOOLS:
        return arguments[TOOLS[name]]
    return json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)


def understood(kind, text):
    """Return the name and the arguments of a call of which `text` stands between a tool's marks."""
    try:
        call = json.loads(text) if kind == "python" else {}
        if call.keys() == {"name", "arguments"} and call["name"] not in TOOLS:
            return read_call({"function": call})
    except (AttributeError, TypeError, ValueError, RecursionError):
        pass  # then it is Python
    return kind, {TOOLS[kind]: text}


def describing(system, functions):
    """Return the system message that tells, besides what `system` says, which functions can be
    called: a line of JSON each, as of OpenAI's "tools"."""
    if not isinstance(functions, list) or not all(isinstance(one, dict) for one in functions):
        raise ChatError(f"the tools are {short(functions)}, but must be a list of objects")
    lines = [json.dumps(one.get("function", one), ensure_ascii=False) for one in functions]
    told = ["\n".join(["You can call these functions:", *lines])] if lines else []
    return "\n\n".join(filter(None, [system, *told]))


def offering(system, tools):
    """Return the system message that tells the assistant to which `tools` (of OFFERS) it has access
    besides what `system` says: how a model trained here learns whether it can look things up."""
    return " ".join(filter(None, [system, *(OFFERS[tool] for tool in OFFERS if tool in tools)]))


# ------------------------------------------------------------------------------------- The protocol

class Encoded(NamedTuple):
    """A conversation in tokens.

    ids      list of int, or of rows.encode_all an int32 array
    mask     as long: 1 where the assistant produces the id, else 0; of encode_all an array of bool
    dropped  how many of its turns are left out, for want of room
    cut      how many ids are cut off at the end, for want of room still
    """

    ids: list
    mask: list
    dropped: int
    cut: int


class Asked(NamedTuple):
    """A call that a model made; `problem`: why it cannot be understood, or ""."""

    name: str
    arguments: dict
    problem: str = ""


class Form(NamedTuple):
    """How calls are written: before, call, between, call, ..., after. call: with %s for the name of
    a function, and for its arguments; between: None where one call is the most."""

    call: str
    before: str = ""
    between: str | None = None
    after: str = ""


class NoRoom(ChatError):
    """What cannot be left out of a conversation is longer than the limit."""


class Turn(NamedTuple):
    """All that one speaker says, with its header: its ids and their mask."""

    role: str
    ids: list
    mask: list


class Talk:
    """The protocol in the ids of one tokenizer. ValueError if that has no ChatML tokens; those of
    tools and thoughts may be missing until they are needed.

    opening  the ids that begin a turn of the assistant
    thinks   whether it thinks, whether it is told to or not
    off      why no tool can be called; None: they can
    marks    special tokens of which calls are made, besides opens and closes
    form     how a function is called, a Form
    """

    thinks, off, marks, form = False, None, set(), Form(OBJECT.join(MARKS["python"]))

    def __init__(self, tokenizer):
        missing = [name for name in CHATML if name not in tokenizer.specials]
        if missing:
            raise ChatError(f"the tokenizer has no special token {' and no '.join(missing)}: "
                            f"conversations need one trained by data/bpe.py, or another that "
                            f"knows ChatML")
        self.tokenizer, self.text = tokenizer, tokenizer.encode
        self.special = set(tokenizer.specials.values())
        self.begin, self.start, self.end = map(tokenizer.special, CHATML)
        self.opening = [self.start, *self.text("assistant\n")]
        known = {kind: [tokenizer.special(name) for name in names]
                 for kind, names in MARKS.items() if tokenizer.specials.keys() >= set(names)}
        self.opens = {ids[0]: kind for kind, ids in known.items()}
        self.closes = {ids[1]: kind for kind, ids in known.items()}

    # ---- To tokens

    def encode(self, messages, limit=None):
        """Return an Encoded, to train on. ValueError as `normal`'s, or if the assistant says
        nothing.

        limit    most ids (a row of T has room for T + 1). As many of the oldest turns after the
                 system's are left out as must be, so that what is left begins with a user's. If
                 even the last answer with its question is too long, its end is cut off; NoRoom if
                 that is all of the answer
        """
        turns = self.turns(normal(messages))
        answers = [i for i, turn in enumerate(turns) if turn.role == "assistant"]
        if not answers:
            raise ChatError("no message is the assistant's: there is nothing to learn")
        ids, mask, dropped = self.join(turns, answers[-1], limit)
        size = len(ids)
        ids, mask = ids[:limit], mask[:limit]
        if not any(mask):
            raise NoRoom(f"{limit} tokens have no room for the assistant's last answer, which "
                         f"ends after {size}")
        return Encoded(ids, mask, dropped, size - len(ids))

    def samples(self, messages, limit=None):
        """Return [Encoded], what is learned from a conversation: here, one."""
        return [self.encode(messages, limit)]

    def offering(self, system, tools):
        """Return the system message that offers `tools`, besides what `system` says."""
        return offering(system, tools)

    def prompt(self, messages, limit=None, tools=()):
        """Return (ids, dropped): what the assistant has to go on with, which is its own last
        message, or its turn after a tool's, or else a new turn. ValueError as `normal`'s.

        tools    names of those that the system message offers, and OpenAI's "tools", which it is
                 made to tell of
        limit    most ids; turns are left out (`dropped` of them) as by `encode`, but nothing is
                 cut: NoRoom if the last question is too long
        """
        messages = normal(messages)
        if functions := [tool for tool in tools if isinstance(tool, dict)]:
            told = messages[0]["content"] if messages[0]["role"] == "system" else ""
            messages = [{"role": "system", "content": describing(told, functions)},
                        *messages[messages[0]["role"] == "system":]]
        turns = self.turns(messages, answer=True)
        ids, _, dropped = self.join(turns, len(turns) - 1, limit)
        if len(ids) > (limit or len(ids)):
            raise NoRoom(f"the last question takes {len(ids)} tokens, and there is room for "
                         f"{limit}: shorten it")
        return ids, dropped

    def marked(self, kind, text):
        """Return the ids of a text between its marks, as of a tool's "result", which the engine
        puts after the call."""
        before, after = map(self.tokenizer.special, MARKS[kind])
        return [before, *self.text(text), after]

    def turns(self, messages, answer=False):
        """Return the Turns of normal messages; to `answer`, the last is an open one of the
        assistant."""
        groups = []
        for message in messages:
            if "tool" in (message["role"], groups and groups[-1][-1]["role"]):
                groups[-1].append(message)
            else:
                groups.append([message])
        if answer and groups[-1][0]["role"] != "assistant":
            groups.append([])
        return [self.turn(group, answer and group is groups[-1]) for group in groups]

    def turn(self, messages, answer):
        """Return the Turn of some messages; left open to `answer`, and where it ends with a call or
        a result.

        The assistant's header is encoded on its own, as where it generates. Any other goes together
        with the content, as in programs that encode what the template renders: its newline and the
        content's, if that begins with some, may be one token.
        """
        if messages and messages[0]["role"] != "assistant":
            message, = messages
            role, content = message["role"], message["content"]
            ids = [self.start, *self.text(f"{role}\n{content}"), self.end, *self.text("\n")]
            return Turn(role, ids, [0] * len(ids))
        ids = [*self.opening]
        mask = [0] * len(ids)
        for message in messages:
            learned = int(message["role"] != "tool" and message.get("weight", 1))
            new = self.said(message) if message["role"] != "tool" else \
                self.marked("result", message["content"])
            ids += new
            mask += [learned] * len(new)
        if not answer and messages[-1].keys().isdisjoint(("tool_calls", "tool_call_id")):
            after = self.text("\n")
            ids += [self.end, *after]
            mask += [learned] + [0] * len(after)
        return Turn("assistant", ids, mask)

    def said(self, message):
        """Return the ids of what the assistant produces for one message."""
        ids = []
        if "reasoning_content" in message:
            ids += self.marked("think", message["reasoning_content"])
        ids += self.text(message["content"] or "")
        for call in message.get("tool_calls", ()):
            name, arguments = read_call(call)
            ids += self.marked(name if name in TOOLS else "python", written(name, arguments))
        return ids

    def join(self, turns, last, limit):
        """Return the ids and the mask of the newest turns, and how many others are left out: as few
        as leave up to `limit` ids, but never the turn `last` nor the user's before it."""
        system = start = int(turns[0].role == "system")
        size = 1 + sum(len(turn.ids) for turn in turns)
        for i in range(system + 1, last + 1):
            if limit and size > limit and turns[i].role == "user":
                size -= sum(len(turn.ids) for turn in turns[start:i])
                start = i
        kept = turns[:system] + turns[start:]
        return ([self.begin, *chain.from_iterable(turn.ids for turn in kept)],
                [0, *chain.from_iterable(turn.mask for turn in kept)], start - system)

    # ---- And back

    def call(self, ids):
        """Return (name, arguments) of the call that `ids` end with, or None: what the engine is to
        run. `marked` gives what then follows."""
        kind = self.closes.get(ids[-1]) if ids else None
        marks = (at for at in reversed(range(len(ids) - 1)) if ids[at] in self.special)
        begin = next(marks, None)
        if kind not in TOOLS or begin is None or self.opens.get(ids[begin]) != kind:
            return None
        return understood(kind, self.tokenizer.decode(ids[begin + 1:-1]))

    def calls(self, ids, tools):
        """Return [Asked], the call that `ids` end with, or []."""
        called = self.call(ids)
        return [Asked(*called)] if called else []

    def is_mark(self, i):
        """Whether an id is a mark of tools or thoughts."""
        return i in self.opens or i in self.closes

    def thought(self):
        """Return the ids that begin a thought."""
        return [self.tokenizer.special(MARKS["think"][0])]

    def certain(self, text, tools):
        """Return how much of a text is certain to belong to no call: all of it, for here special
        tokens mark calls."""
        return len(text)

    def reply(self, messages, tools, ids, calls, results):
        """Return (ids, messages): what the model reads after `ids`, which end with `calls`, and the
        messages that `answer` does not know of, none."""
        return self.marked("result", *results), []

    def answer(self, ids):
        """Return the messages that the ids of a turn of the assistant stand for."""
        return self.decode([*self.opening, *ids, self.end])

    def decode(self, ids):
        """Return the messages (`normal`) that `ids` stand for: encode(decode(ids)) gives the ids
        again, if `encode` or `prompt` made them; what a prompt leaves open may be missing.

        A model may produce anything. Inside a turn a special token that has no business there is
        its name, as text, and a call that nothing follows got the result "". ValueError if there is
        something outside of turns, or a turn of nobody.
        """
        before, *turns = cut_at(self.start, ids)
        if before not in ([], [self.begin]):
            raise ChatError(f"token {before[-1]} stands before the first <|im_start|>")
        messages = []
        for turn in turns:
            turn, *after = cut_at(self.end, turn)
            if self.tokenizer.decode(chain(*after)) not in ("", "\n"):
                raise ChatError(f"token {after[0][0]} stands between two turns")
            role, newline, text = self.tokenizer.decode(turn).partition("\n")
            if role not in ROLES[:3] or not newline:
                raise ChatError(f"a turn's role is {short(role)}")
            if role == "assistant":
                self.hear(turn, messages, closed=bool(after))
            else:
                messages.append({"role": role, "content": text})
        return messages

    def hear(self, ids, messages, closed):
        """Append to `messages` what one turn of the assistant says."""
        first = len(messages)
        for kind, text in [*self.segments(ids), ("end", "")][:None if closed else -1]:
            if len(messages) > first and "tool_calls" in messages[-1]:
                call, = messages[-1]["tool_calls"]
                messages.append({"role": "tool", "tool_call_id": call["id"],
                                 "content": text if kind == "result" else ""})
                if kind == "result":
                    continue
            if len(messages) == first or messages[-1]["role"] == "tool":
                messages.append({"role": "assistant", "content": ""})
            last = messages[-1]
            if kind in TOOLS:
                tool_call(messages, *understood(kind, text))
            elif kind == "think" and last == {"role": "assistant", "content": ""}:
                last["reasoning_content"] = text
            else:
                last["content"] += text.join(MARKS.get(kind, ("", "")))

    def segments(self, ids):
        """Yield (kind, text) of each part of a turn of the assistant: "text" or one of MARKS."""
        parts = [("text", [])]
        for i in ids:
            if i in self.opens:
                parts.append((self.opens[i], []))
            elif self.closes.get(i) == parts[-1][0]:
                parts.append(("text", []))
            else:
                parts[-1][1].append(i)
        for i, (kind, part) in enumerate(parts):
            text = self.tokenizer.decode(part)
            text = text if i else text.removeprefix("assistant\n")
            if text or kind != "text":
                yield kind, text


def cut_at(mark, ids):
    """Return the lists of ids before, between and after the places where `mark` is."""
    parts = [[]]
    for i in ids:
        if i == mark:
            parts.append([])
        else:
            parts[-1].append(i)
    return parts


# ----------------------------------------------------------------------------------- Rows of tokens

def pack(encoded, T):
    """Return Rows of T tokens that hold `encoded`, a list of Encoded or (ids, mask); n ids take
    n - 1 places, for the last is only a target.

    The longest is placed first, each where it leaves the least room (best fit, decreasing); equal
    ones in their order. So the rows are the same every time, and not in a random order. Places that
    are left are tokens 0 that see but themselves. ValueError if one has over T + 1 ids.
    """
    rooms, places, count = [], [], 0  # rooms: (places left, row), rising
    for i in sorted(range(len(encoded)), key=lambda i: -len(encoded[i][0])):
        size = len(encoded[i][0]) - 1
        if not 1 <= size <= T:
            raise ChatError(f"conversation {i} has {size + 1} tokens, and a row of {T} takes "
                            f"from 2 to {T + 1}")
        at = bisect_left(rooms, (size, 0))
        if at == len(rooms):
            rooms.append((T, count))
            count += 1
        room, row = rooms.pop(at)
        insort(rooms, (room - size, row))
        places.append((row, T - room, size, i))

    tokens, targets = np.zeros((count, T), np.int32), np.full((count, T), -1, np.int32)
    doc_start, mask = np.tile(np.arange(T, dtype=np.int32), (count, 1)), np.zeros((count, T), bool)
    for row, start, size, i in places:
        part, (ids, produced) = (row, slice(start, start + size)), encoded[i][:2]
        tokens[part], targets[part] = ids[:-1], ids[1:]
        doc_start[part], mask[part] = start, produced[1:]
    return Rows(tokens, targets, doc_start, mask)
