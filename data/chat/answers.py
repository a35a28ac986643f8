"""An answer that grows: what infer.html is told of it, token by token, and threads.py keeps."""

import base64
import math
import time

from data.chat.api import likeliest
from data.chat.tools import Result


class Answer:
    """A turn (data/chat/turn.py), and what is told of it.

    name      the id of its message
    top       alternatives that are told of each token
    kept      what was told of the tokens that it begins with
    place     how many of the turn's tokens were told
    lengths   {kind: characters} that were told of "text" and of thoughts, "think"
    made      lengths at each call of a tool
    seconds   for how long it thought
    """

    def __init__(self, engine, turn, top):
        self.engine, self.turn, self.top, self.name = engine, turn, top, None
        self.names = {i: name for name, i in engine.tokenizer.specials.items()}
        self.place, self.lengths, self.made = turn.prompt, {"text": 0, "think": 0}, []
        self.begun, self.seconds = time.monotonic(), 0.0
        self.kept = [self.count(self.about(i, "", turn.kind)) for i in turn.tokens[turn.prompt:]]

    def replay(self, tokens, calls, seconds=0.0):
        """Let the turn begin with tokens that were told, or {id} of others, and the calls among
        them have the results that they had."""
        turn, self.seconds = self.turn, seconds
        known = [Result(call["result"]) for call in calls if call["result"] is not None]
        turn.known = [*known]
        for one in tokens:
            if one.get("kind") != "result":
                turn.last += 1
                text = self.engine.append(turn, one["id"])
            self.kept.append(self.count(one if "kind" in one else
                                        self.about(one["id"], text, turn.kind)))
            if turn.pending and len(turn.calls) <= len(known):
                ids, turn.pending = turn.pending.result(), None
                turn.tokens += ids
                turn.last += len(ids)
        for call, old in zip(turn.calls, calls):
            if call.result:
                call.result = Result(old["result"], tuple(map(base64.b64decode, old["figures"])))
        turn.known = []

    def tell(self, kind, token, text, more):
        """What is told of a token that was drawn, as Worker.put has it: a list, as the results of
        tools that the model read before it are told, too."""
        told = [self.count(self.about(i, "", "result"))
                for i in self.turn.inserted.get(self.place, ())]
        if kind == "think":
            self.seconds = max(self.seconds, time.monotonic() - self.begun)
        return [*told, self.count(self.about(token, text, kind, more))]

    def count(self, one):
        """The same, counted."""
        self.place += 1
        if one["kind"] in self.lengths:
            self.lengths[one["kind"]] += len(one["text"])
        for call in self.turn.calls[len(self.made):]:
            if call.place <= self.place:
                self.made.append({**self.lengths})
        return one

    def calls(self):
        """The calls of tools so far, as threads.py keeps them."""
        return [{"name": call.name, "text": call.text, "said": made["text"],
                 "thought": made["think"], "result": call.result and call.result.text,
                 "figures": [base64.b64encode(figure).decode()
                             for figure in (call.result.figures if call.result else ())]}
                for call, made in zip(self.turn.calls, self.made)]

    def start(self):
        """The first event."""
        return {"message": self.name, "prompt": self.turn.prompt, "dropped": self.turn.dropped,
                "context": self.engine.model.config.context, "seed": self.turn.settings.seed,
                "tokens": self.kept, "calls": self.calls()}

    def raw(self, i):
        """A token as a text."""
        i = int(i)
        return self.names.get(i) or \
            self.engine.tokenizer.decode_bytes([i]).decode("utf-8", "replace")

    def about(self, token, text, kind, more=None):
        """{id, raw, text, kind}; of one that was drawn p, its probability, and `top` alternatives
        [id, raw, p]; more: as Engine.step gives it."""
        token = int(token)
        one = {"id": token, "raw": self.raw(token), "text": text, "kind": kind}
        if token in self.names:
            one["special"] = True
        if more is None:
            return one
        if not self.top:
            return {**one, "p": round(math.exp(more), 4)}
        return {**one, "p": round(float(more[token]), 4), "top": [
            [i, self.raw(i), round(float(more[i]), 4)] for i in likeliest(more, self.top)]}


def texts(tokens):
    """The text and the thought that tokens add."""
    return tuple("".join(one["text"] for one in tokens if one["kind"] == kind)
                 for kind in ("text", "think"))
