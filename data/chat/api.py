"""OpenAI's API in this project's words: a body of JSON becomes sequences, what they draw becomes
answers or events. server.py carries both over HTTP.

A field that is unknown is left out, as OpenAI's clients expect; one that is known has the value
that it may have and an effect, or the request is refused with the field's name."""

import base64
import json
import re
import time
from dataclasses import fields
from reprlib import repr as short
from secrets import token_hex

import numpy as np

from csrc.cli import inside
from csrc.engine import Sampling, Sequence
from csrc.files import ChatError
from data.chat.protocol import TOOLS, read_text
from data.chat.tools import Tool
from data.chat.turn import Turn, talk_of

MOST = 16            # texts (n) that one request may ask for
TEXTS = 256          # texts that it may have embedded
TOP = 20             # alternatives to a token that it may ask for
DRAWING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty",
           "frequency_penalty", "seed")
# What has no effect here: with any other value than these a request is refused.
WITHOUT = {"functions": ([],), "best_of": (1,), "suffix": ("",), "echo": (False,), "audio": (),
           "modalities": (["text"],), "prediction": ()}
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")        # of a function


class Refused(ChatError):
    """Why a request is refused: its sentence, the field that is wrong, and HTTP's status."""

    def __init__(self, sentence, field=None, status=400):
        super().__init__(sentence)
        self.field, self.status = field, status

    def body(self):
        """What OpenAI's clients make an exception of, and Anthropic's."""
        kind = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
        kind = kind.get(self.status, "invalid_request_error" if self.status < 500
                        else "server_error")
        return {"type": "error", "error": {"message": str(self), "type": kind,
                                           "param": self.field, "code": None}}


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
        if not isinstance(name, str) or not NAME.fullmatch(name) or tool.get("type") != "function" \
                or not isinstance(about.get("parameters") or {}, dict):
            raise Refused(f"tools has {short(tool)}, but must have functions, each with a name of "
                          f"letters, digits, _ and -, and parameters that are an object", "tools")
        found[name] = Tool(None, None, tool)
    if found and talk.off:
        raise Refused(f"tools: {talk.off}", "tools")
    return found if body.get("tool_choice") != "none" else {}


def forced(body, tools):
    """The functions of which a body's tool_choice asks for a call; none: the model decides."""
    choice = take(body, "tool_choice", (str, dict), "auto")
    about = choice.get("function") if isinstance(choice, dict) else None
    name = about.get("name") if isinstance(about, dict) else None
    names = {"none": [], "auto": [], "required": [*tools]}.get(
        choice if isinstance(choice, str) else "", [name] if name in [*tools] else None)
    if names is None or choice == "required" and not names:
        raise Refused(f"tool_choice is {short(choice)}, but must be none, auto, required or one of "
                      f"the tools, as {{type: function, function: {{name}}}}", "tool_choice")
    if TOOLS.keys() & {*names}:
        raise Refused(f"tool_choice: calls of {' and '.join(TOOLS)} are not JSON and cannot be "
                      f"forced: name the function otherwise", "tool_choice")
    return [tools[name].function["function"] for name in names]


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


def bias_of(body, vocab):
    """{id: bias} of a body's logit_bias."""
    found = take(body, "logit_bias", dict, {})
    for i, bias in found.items():
        if not i.isdecimal() or int(i) >= vocab or type(bias) not in (int, float) \
                or not -100 <= bias <= 100:
            raise Refused(f"logit_bias has {short(i)}: {short(bias)}, but must have ids below "
                          f"{vocab}, and numbers in [-100, 100]", "logit_bias")
    return {int(i): float(bias) for i, bias in found.items()}


class Asked:
    """What the body of a chat asks for.

    sequences   to be submitted, `n` of each prompt
    stream      whether the answer comes in events, `usage` whether its last tells the tokens
    top         alternatives that are told of each token; None: not even the token's own chance
    """

    object, chunk, prefix = "chat.completion", "chat.completion.chunk", "chatcmpl-"

    def __init__(self, body, engine):
        self.engine, self.stream = engine, take(body, "stream", bool, False)
        options = take(body, "stream_options", dict, {})
        self.usage = take(options, "include_usage", bool, False)
        self.n = take(body, "n", int, 1, f"[1, {MOST}]")
        self.top = self.alternatives(body)
        self.record = "" if self.top is None else "raw"
        self.sequences = self.asked(body, sampling(body, engine.model.config.context))
        bias = bias_of(body, engine.model.config.vocab)
        for sequence in self.sequences:
            sequence.bias = bias
            engine.check(sequence)
        self.about = {"id": self.prefix + token_hex(12), "object": self.object,
                      "created": int(time.time()), "model": body["model"]}

    def alternatives(self, body):
        """`top`: a chat has a switch and a number."""
        top = take(body, "top_logprobs", int, 0, f"[0, {TOP}]")
        if take(body, "logprobs", bool, False):
            return top
        if top:
            raise Refused(f"top_logprobs is {top}, which needs logprobs", "top_logprobs")
        return None

    def asked(self, body, settings):
        """The sequences: the assistant's turns after the messages."""
        messages = take(body, "messages", list)
        if not messages:
            raise Refused("messages is missing: a list of {role, content}", "messages")
        messages = [{**one, "role": "system"} if isinstance(one, dict)
                    and one.get("role") == "developer" else one for one in messages]
        talk = talk_of(self.engine.tokenizer)
        tools, schema = functions(body, talk), schema_of(body)
        called, many = forced(body, tools), take(body, "parallel_tool_calls", bool, True)
        if tools and schema is not None:
            raise Refused("response_format does not go with tools", "response_format")
        kind, how = Turn, {"tools": tools}
        if called or schema is not None:
            from data.chat import form           # loaded when it is asked for
            kind = form.Formed
            try:
                how["grammar"] = form.calls(self.engine.tokenizer, talk.form, called, many) \
                    if called else form.document(schema)
            except ChatError as error:
                raise Refused(str(error), "tools" if called else "response_format") from error
        try:
            made = [kind(self.engine, messages, settings, i, **how, record=self.record)
                    for i in range(self.n)]
        except ChatError as error:
            raise Refused(str(error), "messages") from error
        for turn in made:
            turn.most = None if many else 1
        return made

    # ---- Answers

    def counted(self):
        """How many tokens were read and drawn."""
        read = sum(s.prompt for s in self.sequences[::self.n])
        made = sum(len(s.tokens) - s.prompt for s in self.sequences)
        return {"prompt_tokens": read, "completion_tokens": made, "total_tokens": read + made}

    def whole(self, told):
        """The answer to a request without a stream; told: of each sequence, its `logprob`s."""
        choices = [{"index": i, "finish_reason": self.finish(s), "logprobs": self.listed(told[i]),
                    **self.content(s)} for i, s in enumerate(self.sequences)]
        return {**self.about, "choices": choices, "usage": self.counted()}

    def content(self, turn):
        """What a turn says, in an answer."""
        said = turn.messages[-1] if turn.messages else {}
        thought = {key: said[key] for key in ("reasoning_content",) if key in said}
        calls = {"tool_calls": called(turn)} if turn.left else {}
        return {"message": {"role": "assistant", "content": turn.text if turn.text or not calls
                            else None, "refusal": None, **thought, **calls}}

    def finish(self, sequence):
        """OpenAI's word for why a sequence ended."""
        return {"length": "length", "calls": "tool_calls"}.get(sequence.finish, "stop")

    def listed(self, told):
        """`logprob`s as an answer has them."""
        return None if self.top is None else {"content": [*told]}

    def logprob(self, token, more):
        """What is told of a token that was drawn, a list: of the model's own probabilities, as in
        OpenAI's API, whatever the token was drawn from; more: as Engine.step gives it."""
        if self.top is None:
            return []
        top = likeliest(np.exp(more), self.top) if self.top else ()
        return [{**self.named(token, more[token]),
                 "top_logprobs": [self.named(i, more[i]) for i in top]}]

    def named(self, i, logprob):
        """A token and the log of its probability."""
        data = self.engine.tokenizer.decode_bytes([int(i)])
        return {"token": data.decode("utf-8", "replace"), "bytes": [*data],
                "logprob": float(logprob)}

    # ---- Events

    def first(self):
        """The events with which a stream begins."""
        for i in range(len(self.sequences)):
            yield self.event(i, {"role": "assistant", "content": None})

    def drawn(self, i, kind, token, text, more):
        """The events of a token that sequence i has drawn, as server.Worker tells of it. What a
        call is made of is told when it is whole."""
        told = self.logprob(token, more)
        text = text if kind in ("text", "think") else ""
        return self.grown(i, kind, text, told) if text or told else ()

    def grown(self, i, kind, text, told):
        """The events of text that sequence i has drawn: "think" or "text"."""
        yield self.event(i, {"reasoning_content" if kind == "think" else "content": text},
                         told=told)

    def ended(self, i):
        """The last events of sequence i."""
        sequence = self.sequences[i]
        if calls := called(sequence):
            yield self.event(i, {"tool_calls": [{"index": k, **call}
                                                for k, call in enumerate(calls)]})
        yield self.event(i, {}, self.finish(sequence))

    def last(self):
        """The events with which a stream ends."""
        if self.usage:
            yield written({**self.about, "object": self.chunk, "choices": [],
                           "usage": self.counted()})
        yield b"data: [DONE]\n\n"

    def event(self, i, delta, finish=None, told=()):
        """A chunk of sequence i."""
        choice = {"index": i, "finish_reason": finish, "logprobs": self.listed(told),
                  **self.part(delta)}
        return written({**self.about, "object": self.chunk, "choices": [choice]})

    def part(self, delta):
        """What a chunk has of a delta."""
        return {"delta": delta}

    def failed(self, error):
        """The event that says why a stream ends early."""
        return written(error.body())


class Continued(Asked):
    """What the body of a text to complete asks for."""

    object = chunk = "text_completion"
    prefix = "cmpl-"

    def alternatives(self, body):
        return take(body, "logprobs", int, None, f"[0, {TOP}]")

    def asked(self, body, settings):
        made = [Sequence(ids, settings, i, self.record)
                for ids in prompts_of(body, "prompt", self.engine) for i in range(self.n)]
        if not 1 <= len(made) <= MOST:
            raise Refused(f"prompt asks for {len(made)} texts, but may for 1 to {MOST}", "prompt")
        return made

    def content(self, sequence):
        return {"text": sequence.text}

    def listed(self, told):
        if self.top is None:
            return None
        return {"tokens": [one["token"] for one in told],
                "token_logprobs": [one["logprob"] for one in told],
                "top_logprobs": [{other["token"]: other["logprob"] for other in
                                  one["top_logprobs"]} for one in told] if self.top else None}

    def first(self):
        return ()

    def part(self, delta):
        return {"text": delta.get("content") or ""}


class Embedded(Sequence):
    """A text that is only read; total: the sum of its tokens' last states, (C). What others have
    read has none."""

    alone = True

    def __init__(self, ids):
        super().__init__([*ids, ids[-1]], Sampling(max_tokens=1, seed=0))    # the last is not read
        self.prompt, self.count, self.total = len(ids), 0, 0

    def was_read(self, model, count):
        """Add their states."""
        self.total = self.total + model.last_states(count).sum(0, np.float64)
        self.count += count
        if self.count == self.prompt:
            self.tokens.pop()
            self.finish = "stop"


class Embeddings:
    """What the body of texts to embed asks for: of each the mean of its tokens' last states, which
    is what the model's head is given, as it is: not scaled to length 1."""

    stream = False

    def __init__(self, body, engine):
        self.form = take(body, "encoding_format", str, "float")
        if self.form not in ("float", "base64"):
            raise Refused(f"encoding_format is {short(self.form)}, but must be float or base64",
                          "encoding_format")
        size, wanted = engine.model.config.channels, body.get("dimensions")
        if wanted not in (None, size):
            raise Refused(f"dimensions is {short(wanted)}, but this model's states have {size}, of "
                          f"which none can be left out", "dimensions")
        prompts, given = prompts_of(body, "input", engine), body.get("input") or ""
        if not 1 <= len(prompts) <= TEXTS or "" in (given, *given) or [] in prompts:
            raise Refused(f"input has {len(prompts)} texts, but must have 1 to {TEXTS}, none of "
                          f"them empty", "input")
        context, longest = engine.model.config.context, max(map(len, prompts))
        if longest > context:
            raise Refused(f"input has a text of {longest} tokens, but the model's context is "
                          f"{context}", "input")
        self.sequences, self.model = [*map(Embedded, prompts)], body["model"]

    def whole(self, told):
        """The answer."""
        found = [(s.total / s.count).astype("<f4") for s in self.sequences]
        read = sum(s.count for s in self.sequences)
        return {"object": "list", "model": self.model, "data": [
            {"object": "embedding", "index": i, "embedding": one.tolist() if self.form == "float"
             else base64.b64encode(one.tobytes()).decode()} for i, one in enumerate(found)],
            "usage": {"prompt_tokens": read, "total_tokens": read}}


def prompts_of(body, field, engine):
    """Lists of ids: of texts, or given ones."""
    prompts = take(body, field, (str, list), "")
    if isinstance(prompts, str) or prompts and all(type(one) is int for one in prompts):
        prompts = [prompts]
    vocab = engine.model.config.vocab
    prompts = [engine.encode(read_text(one)) if isinstance(one, str) else one for one in prompts]
    for one in prompts:
        if not isinstance(one, list) or not all(type(i) is int and 0 <= i < vocab for i in one):
            raise Refused(f"{field} has {short(one)}, but must be text, or ids from 0 to "
                          f"{vocab - 1}", field)
    return prompts


def likeliest(probabilities, count):
    """The `count` likeliest tokens that can be drawn, the likeliest first."""
    best = probabilities.argpartition(-min(count, len(probabilities)))[-count:].tolist()
    return sorted((i for i in best if probabilities[i] > 0), key=lambda i: -probabilities[i])


def called(sequence):
    """The calls with which a sequence ended, as OpenAI has them."""
    return [{"id": f"call_{token_hex(12)}", "type": "function", "function": {
        "name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)}}
        for call in getattr(sequence, "left", ())]


def written(event):
    """An event as a stream of server-sent events carries it."""
    return b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n"

