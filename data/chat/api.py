"""OpenAI's API in this project's words: a body of JSON becomes sequences, what they draw becomes
answers or events. server.py carries both over HTTP.

A field that is unknown is left out, as OpenAI's clients expect; one that is known has the value
that it may have and an effect, or the request is refused with the field's name."""

import json
import math
import re
import time
from dataclasses import fields
from reprlib import repr as short
from secrets import token_hex

from csrc.cli import inside
from csrc.engine import Sampling, Sequence
from csrc.files import ChatError
from data.chat.tools import Tool
from data.chat.turn import Turn, talk_of

MOST = 16            # texts (n) that one request may ask for
TOP = 20             # alternatives to a token that it may ask for
DRAWING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed")
# What has no effect here: with any other value than these a request is refused.
WITHOUT = {"logit_bias": ({},), "presence_penalty": (0,), "frequency_penalty": (0,),
           "functions": ([],), "tool_choice": ("none", "auto"), "best_of": (1,), "suffix": ("",),
           "echo": (False,), "audio": (), "modalities": (["text"],), "prediction": ()}
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")        # of a function


class Refused(ChatError):
    """Why a request is refused: its sentence, the field that is wrong, and HTTP's status."""

    def __init__(self, sentence, field=None, status=400):
        super().__init__(sentence)
        self.field, self.status = field, status

    def body(self):
        """What OpenAI's clients make an exception of."""
        kind = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
        return {"error": {"message": str(self), "param": self.field, "code": None,
                          "type": kind.get(self.status, "invalid_request_error" if self.status < 500
                                           else "server_error")}}


# ---- Fields --------------------------------------------------------------------------------------

def take(body, name, kinds, default=None, limits=None):
    """The value of a field, of one of `kinds`; its default where it is null or not there."""
    value = body.get(name)
    if value is None:
        return default
    wanted = kinds if isinstance(kinds, tuple) else (kinds,)
    if type(value) is int and float in wanted and abs(value) < 2 ** 63:
        value = float(value)
    if type(value) not in wanted:
        raise Refused(f"{name} is {short(value)}, but must be "
                      f"{' or '.join(kind.__name__ for kind in wanted)}", name)
    if limits and not inside(value, limits):
        raise Refused(f"{name} is {short(value)}, but must be in {limits}", name)
    return value


def sampling(body, context):
    """The Sampling that a body asks for; without a limit a text may fill the context."""
    for name, allowed in WITHOUT.items():
        if body.get(name) is not None and body[name] not in allowed:
            raise Refused(f"{name} is {short(body[name])}, which is not supported", name)
    limits = {field.name: field.metadata["limits"] for field in fields(Sampling)}
    kinds = {field.name: field.type for field in fields(Sampling)}
    found = {name: take(body, name, kinds[name], None, limits[name]) for name in DRAWING}
    name = "max_tokens" if body.get("max_completion_tokens") is None else "max_completion_tokens"
    found["max_tokens"] = take(body, name, int, context, limits["max_tokens"])
    stop = take(body, "stop", (str, list), [])
    stop = [stop] if isinstance(stop, str) else stop
    if len(stop) > MOST or not all(isinstance(one, str) and one for one in stop):
        raise Refused(f"stop is {short(stop)}, but must be up to {MOST} texts, none of them empty",
                      "stop")
    return Sampling(stop=tuple(stop),
                    **{name: value for name, value in found.items() if value is not None})


def functions(body, talk):
    """{name: Tool} of a body's tools: who asks is to call them."""
    found = {}
    for tool in take(body, "tools", list, []):
        about = tool.get("function") if isinstance(tool, dict) else None
        name = about.get("name") if isinstance(about, dict) else None
        if not isinstance(name, str) or not NAME.fullmatch(name) or tool.get("type") != "function":
            raise Refused(f"tools has {short(tool)}, but must have functions, each with a name of "
                          f"letters, digits, _ and -", "tools")
        found[name] = Tool(None, None, tool)
    if found and talk.off:
        raise Refused(f"tools: {talk.off}", "tools")
    return found if body.get("tool_choice") != "none" else {}


def schema_of(body):
    """The JSON schema of a body's response_format; None: any text."""
    form = take(body, "response_format", dict, {"type": "text"})
    kind, about = form.get("type"), form.get("json_schema")
    if kind not in ("text", "json_object", "json_schema"):
        raise Refused(f"response_format has the type {short(kind)}, but must be of text, "
                      f"json_object or json_schema", "response_format")
    if kind != "json_schema":
        return {"type": "object"} if kind == "json_object" else None
    if not isinstance(about, dict) or not isinstance(about.get("schema"), dict):
        raise Refused(f"response_format has {short(about)} as json_schema, but must have an object "
                      f"with a schema", "response_format")
    return about["schema"]


class Asked:
    """What a body asks for, of a chat or of a text to complete.

    sequences   to be submitted: `n` of each prompt
    stream      whether the answer comes in events, `usage` whether its last tells the tokens
    top         alternatives that are told of each token; None: not even the token's own chance
    """

    def __init__(self, body, engine, chat):
        self.engine, self.chat = engine, chat
        self.stream = take(body, "stream", bool, False)
        options = take(body, "stream_options", dict, {})
        self.usage = take(options, "include_usage", bool, False)
        self.n = take(body, "n", int, 1, f"[1, {MOST}]")
        self.top = self.alternatives(body)
        self.record = "" if self.top is None else "probabilities" if self.top else "logprob"
        settings = sampling(body, engine.model.config.context)
        self.sequences = self.turns(body, settings) if chat else self.texts(body, settings)
        for sequence in self.sequences:
            engine.check(sequence)
        self.about = {"id": ("chatcmpl-" if chat else "cmpl-") + token_hex(12),
                      "object": "chat.completion" if chat else "text_completion",
                      "created": int(time.time()), "model": body["model"]}

    def alternatives(self, body):
        """OpenAI's chats have a switch and a number, its completions a number."""
        if not self.chat:
            return take(body, "logprobs", int, None, f"[0, {TOP}]")
        top = take(body, "top_logprobs", int, 0, f"[0, {TOP}]")
        if take(body, "logprobs", bool, False):
            return top
        if top:
            raise Refused(f"top_logprobs is {top}, which needs logprobs", "top_logprobs")
        return None

    def turns(self, body, settings):
        """The assistant's turns after the messages."""
        messages = take(body, "messages", list)
        if not messages:
            raise Refused("messages is missing: a list of {role, content}", "messages")
        messages = [{**one, "role": "system"} if isinstance(one, dict)
                    and one.get("role") == "developer" else one for one in messages]
        tools, schema = functions(body, talk_of(self.engine.tokenizer)), schema_of(body)
        if tools and schema:
            raise Refused("response_format does not go with tools", "response_format")
        kind, how = Turn, {"tools": tools}
        if schema:
            from data.chat.form import Formed    # loaded when it is asked for
            kind, how = Formed, {"schema": schema}
        try:
            return [kind(self.engine, messages, settings, i, **how, record=self.record)
                    for i in range(self.n)]
        except ChatError as error:
            raise Refused(str(error), "messages") from error

    def texts(self, body, settings):
        """What continues the prompts."""
        prompts = take(body, "prompt", (str, list), "")
        if isinstance(prompts, str) or prompts and all(type(one) is int for one in prompts):
            prompts = [prompts]
        vocab = self.engine.model.config.vocab
        made = []
        for prompt in prompts:
            if isinstance(prompt, str):
                prompt = self.engine.encode(prompt)
            if not isinstance(prompt, list) or not all(type(i) is int and 0 <= i < vocab
                                                       for i in prompt):
                raise Refused(f"prompt has {short(prompt)}, but must be text, or ids from 0 to "
                              f"{vocab - 1}", "prompt")
            made += [Sequence(prompt, settings, i, self.record) for i in range(self.n)]
        if not 1 <= len(made) <= MOST:
            raise Refused(f"prompt asks for {len(made)} texts, but may for 1 to {MOST}", "prompt")
        return made

    # ---- Answers

    def counted(self):
        """How many tokens were read and drawn."""
        read = sum(s.prompt for s in self.sequences[::self.n])
        made = sum(len(s.tokens) - s.prompt for s in self.sequences)
        return {"prompt_tokens": read, "completion_tokens": made, "total_tokens": read + made}

    def whole(self, told):
        """The answer to a request without a stream; told: of each sequence, its `logprob`s."""
        choices = []
        for i, s in enumerate(self.sequences):
            choice = {"index": i, "finish_reason": self.finish(i),
                      "logprobs": self.listed(told[i])}
            if self.chat:
                message = s.messages[-1] if s.messages else {"role": "assistant", "content": ""}
                choice["message"] = {"refusal": None, **message, "content": s.text}
                if s.left:
                    choice["message"] |= {"content": s.text or None, "tool_calls": called(s)}
            else:
                choice["text"] = s.text
            choices.append(choice)
        return {**self.about, "choices": choices, "usage": self.counted()}

    def finish(self, i):
        """OpenAI's word for why sequence i ended."""
        words = {"length": "length", "calls": "tool_calls"}
        return words.get(self.sequences[i].finish, "stop")

    def listed(self, told):
        """`logprob`s as a chat's or a completion's answer has them."""
        if self.top is None:
            return None
        if self.chat:
            return {"content": told}
        return {"tokens": [one["token"] for one in told],
                "token_logprobs": [one["logprob"] for one in told],
                "top_logprobs": [{other["token"]: other["logprob"] for other in
                                  one["top_logprobs"]} for one in told] if self.top else None}

    def logprob(self, token, more):
        """What is told of a token that was drawn; more: as Engine.step gives it."""
        if self.top is None:
            return []
        top = []
        if self.top:
            best = more.argpartition(-self.top)[-self.top:] if len(more) > self.top else \
                more.argsort()
            top = [self.named(i, more[i]) for i in sorted(best, key=lambda i: -more[i])
                   if more[i] > 0]
            told = self.named(token, more[token])
        else:
            told = {**self.named(token, 1), "logprob": float(more)}
        return [{**told, "top_logprobs": top}]

    def named(self, i, probability):
        """A token and the log of its probability."""
        data = self.engine.tokenizer.decode_bytes([int(i)])
        return {"token": data.decode("utf-8", "replace"), "bytes": [*data],
                "logprob": math.log(probability)}

    # ---- Events

    def first(self):
        """The events with which a stream begins."""
        if self.chat:
            for i in range(len(self.sequences)):
                yield self.event(i, {"role": "assistant", "content": None})

    def grown(self, i, kind, text, told):
        """The event of text that sequence i has drawn: "think" or "text"."""
        key = "reasoning_content" if kind == "think" else "content"
        return self.event(i, {key: text} if text or told else {}, told=told)

    def ended(self, i):
        """The last events of sequence i."""
        if self.chat and self.sequences[i].left:
            yield self.event(i, {"tool_calls": [{"index": k, **call} for k, call in
                                                enumerate(called(self.sequences[i]))]})
        yield self.event(i, {}, self.finish(i))

    def event(self, i, delta, finish=None, told=()):
        """A chunk of sequence i."""
        choice = {"index": i, "finish_reason": finish, "logprobs": self.listed([*told])}
        choice |= {"delta": delta} if self.chat else {"text": delta.get("content") or ""}
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        return written({**self.about, "object": kind, "choices": [choice]})

    def last(self):
        """The events with which a stream ends after its texts."""
        if self.usage:
            kind = "chat.completion.chunk" if self.chat else "text_completion"
            yield written({**self.about, "object": kind, "choices": [], "usage": self.counted()})
        yield b"data: [DONE]\n\n"


def called(turn):
    """The calls with which a turn ended, as OpenAI has them."""
    return [{"id": f"call_{token_hex(12)}", "type": "function", "function": {
        "name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)}}
        for call in turn.left]


def written(event):
    """An event as a stream of server-sent events carries it."""
    return b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n"

