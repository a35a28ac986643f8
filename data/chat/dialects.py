"""Other words for a chat: OpenAI's responses (/v1/responses, without a memory of earlier ones) and
Anthropic's messages (/v1/messages). Each makes a chat's body of its own, and tells what that draws
in its own words."""

import json
from reprlib import repr as short

from data.chat.api import Asked, Refused, called, take


def texts_of(content, kinds, field):
    """The text of a content: a text, or parts of which each is of one of `kinds`."""
    for part in content if isinstance(content, list) else []:
        if not isinstance(part, dict) or part.get("type") not in kinds \
                or not isinstance(part.get("text"), str):
            raise Refused(f"{field} has {short(part)}, but must be text", field)
    if isinstance(content, list):
        return "".join(part["text"] for part in content)
    if not isinstance(content, str):
        raise Refused(f"{field} has {short(content)}, but must be text", field)
    return content


def call_of(name, arguments, i):
    """A call of a function as a chat's message has it; arguments: text."""
    return {"id": i, "type": "function", "function": {"name": name, "arguments": arguments}}


class Dialect(Asked):
    """A chat in other words."""

    def __init__(self, body, engine):
        super().__init__({**self.chat(body), "model": body["model"],
                          "stream": take(body, "stream", bool)}, engine)
        self.id = self.about["id"]
        self.items, self.open, self.made = [], None, 0       # made: events so far

    def named_event(self, kind, **about):
        """An event, which says its kind twice."""
        data = json.dumps({"type": kind, **about}, ensure_ascii=False)
        return f"event: {kind}\ndata: {data}\n\n".encode()


# ---- Anthropic -----------------------------------------------------------------------------------

class Messages(Dialect):
    """What the body of Anthropic's messages asks for."""

    prefix = "msg_"

    def chat(self, body):
        if take(body, "max_tokens", int) is None:
            raise Refused("max_tokens is missing: the most tokens of the answer", "max_tokens")
        system = texts_of(body.get("system") or "", ("text",), "system")
        messages = [{"role": "system", "content": system}] * bool(system)
        for message in take(body, "messages", list, []):
            messages += self.messages(message)
        choice = take(body, "tool_choice", dict, {})
        kind = take(choice, "type", str, "auto")
        return {"messages": messages, "stop": body.get("stop_sequences"),
                "tool_choice": {"any": "required", "tool": {"function": choice}}.get(kind, kind),
                "parallel_tool_calls": not take(choice, "disable_parallel_tool_use", bool, False),
                "tools": [tool if not isinstance(tool, dict) else {"type": "function", "function": {
                    "name": tool.get("name"), "description": tool.get("description"),
                    "parameters": tool.get("input_schema")}}
                    for tool in take(body, "tools", list, [])],
                **{key: body.get(key) for key in ("max_tokens", "temperature", "top_p", "top_k")}}

    def messages(self, message):
        """A chat's messages that one of Anthropic's is."""
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ("user", "assistant"):
            raise Refused(f"messages has {short(message)}, but must have the roles user and "
                          f"assistant", "messages")
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        said, calls, results = [], [], []
        for part in parts:
            kind = part.get("type") if isinstance(part, dict) else None
            if kind == "tool_use":
                calls.append(call_of(part.get("name"), json.dumps(part.get("input")),
                                     part.get("id")))
            elif kind == "tool_result":
                results.append({"role": "tool", "tool_call_id": part.get("tool_use_id"),
                                "content": texts_of(part.get("content") or "", ("text",),
                                                    "messages")})
            elif kind not in ("thinking", "redacted_thinking"):
                said.append(texts_of([part], ("text",), "messages"))
        if results and not said:
            return results
        return [*results, {"role": role, "content": "".join(said),
                           **({"tool_calls": calls} if calls else {})}]

    @property
    def usage_now(self):
        """Tokens read and drawn."""
        counted = self.counted()
        return {"input_tokens": counted["prompt_tokens"],
                "output_tokens": counted["completion_tokens"]}

    def message(self, content=(), reason=None):
        """The answer."""
        return {"id": self.id, "type": "message", "role": "assistant", "content": [*content],
                "model": self.about["model"], "stop_reason": reason, "stop_sequence": None,
                "usage": self.usage_now}

    @property
    def reason(self):
        """Anthropic's word for why the answer ended."""
        return {"length": "max_tokens", "tool_calls": "tool_use"}.get(
            self.finish(self.sequences[0]), "end_turn")

    def whole(self, told):
        turn, = self.sequences
        text = [{"type": "text", "text": turn.text}] * bool(turn.text or not turn.left)
        return self.message([*text, *self.uses()], self.reason)

    def uses(self):
        """The calls with which the answer ended."""
        return [{"type": "tool_use", "id": call["id"], "name": call["function"]["name"],
                 "input": json.loads(call["function"]["arguments"])}
                for call in called(self.sequences[0])]

    def first(self):
        yield self.named_event("message_start", message=self.message())

    def block(self, kind, **about):
        """The event that begins a block of the answer, after that which ends the one before."""
        if self.open is not None:
            yield self.named_event("content_block_stop", index=self.open)
        self.open = 0 if self.open is None else self.open + 1
        self.items.append(kind)
        yield self.named_event("content_block_start", index=self.open,
                               content_block={"type": kind, **about})

    def grown(self, i, kind, text, told):
        name, key = ("thinking", "thinking") if kind == "think" else ("text", "text")
        if self.items[-1:] != [name]:
            yield from self.block(name, **{key: ""})
        yield self.named_event("content_block_delta", index=self.open,
                               delta={"type": f"{name}_delta", key: text})

    def ended(self, i):
        for use in self.uses():
            yield from self.block("tool_use", **{**use, "input": {}, "type": "tool_use"})
            yield self.named_event("content_block_delta", index=self.open, delta={
                "type": "input_json_delta", "partial_json": json.dumps(use["input"])})
        if self.open is not None:
            yield self.named_event("content_block_stop", index=self.open)
        yield self.named_event("message_delta", usage=self.usage_now,
                               delta={"stop_reason": self.reason, "stop_sequence": None})

    def last(self):
        yield self.named_event("message_stop")

    def failed(self, error):
        return self.named_event("error", error={"type": "api_error", "message": str(error)})


# ---- OpenAI's responses --------------------------------------------------------------------------

class Responses(Dialect):
    """What the body of a response asks for."""

    prefix = "resp_"

    def chat(self, body):
        if body.get("previous_response_id") is not None:
            raise Refused("previous_response_id: no response is kept; send the whole conversation",
                          "previous_response_id")
        told = take(body, "instructions", str, "")
        messages = [{"role": "system", "content": told}] * bool(told)
        given = take(body, "input", (str, list), [])
        for item in [{"role": "user", "content": given}] if isinstance(given, str) else given:
            messages += self.messages(item)
        form = take(take(body, "text", dict, {}), "format", dict, {"type": "text"})
        tools = [tool for tool in take(body, "tools", list, [])      # others than functions are
                 if isinstance(tool, dict) and tool.get("type") == "function"]       # left out
        choice = body.get("tool_choice")
        return {"messages": messages, "max_tokens": body.get("max_output_tokens"),
                "tools": [{"type": "function", "function": {
                    key: tool.get(key) for key in ("name", "description", "parameters")}}
                    for tool in tools],
                "response_format": {**form, "json_schema": form},
                "tool_choice": {"function": choice} if isinstance(choice, dict) else choice,
                **{key: body.get(key) for key in ("temperature", "top_p", "parallel_tool_calls")}}

    def messages(self, item):
        """A chat's messages that an item of the input is."""
        kind = item.get("type", "message") if isinstance(item, dict) else None
        if kind == "message":
            return [{"role": item.get("role"), "content": texts_of(
                item.get("content"), ("input_text", "output_text", "text"), "input")}]
        if kind == "function_call":
            return [{"role": "assistant", "content": None, "tool_calls": [
                call_of(item.get("name"), item.get("arguments"), item.get("call_id"))]}]
        if kind == "function_call_output":
            return [{"role": "tool", "tool_call_id": item.get("call_id"),
                     "content": texts_of(item.get("output"), ("input_text",), "input")}]
        if kind == "reasoning":
            return []
        raise Refused(f"input has {short(item)}, which is not supported", "input")

    def response(self, status, output=()):
        """The response."""
        counted = self.counted()
        return {"id": self.id, "object": "response", "created_at": self.about["created"],
                "status": status, "model": self.about["model"], "output": [*output], "error": None,
                "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete"
                else None, "instructions": None, "metadata": {}, "parallel_tool_calls": True,
                "temperature": self.sequences[0].settings.temperature, "tool_choice": "auto",
                "tools": [], "top_p": self.sequences[0].settings.top_p, "usage": {
                    "input_tokens": counted["prompt_tokens"],
                    "input_tokens_details": {"cached_tokens": 0},
                    "output_tokens": counted["completion_tokens"],
                    "output_tokens_details": {"reasoning_tokens": 0},
                    "total_tokens": counted["total_tokens"]}}

    def output(self):
        """The items of the answer, and what became of it."""
        turn, = self.sequences
        said = [self.said(turn.text)] * bool(turn.text or not turn.left)
        calls = [{"type": "function_call", "id": f"fc_{call['id']}", "call_id": call["id"],
                  **call["function"], "status": "completed"} for call in called(turn)]
        status = "incomplete" if turn.finish == "length" else "completed"
        return status, [*said, *calls]

    def said(self, text, status="completed"):
        """The item of a text."""
        part = [{"type": "output_text", "text": text, "annotations": []}]
        return {"type": "message", "id": f"msg_{self.id}", "role": "assistant", "status": status,
                "content": part if status == "completed" else []}

    def whole(self, told):
        return self.response(*self.output())

    def numbered(self, kind, **about):
        """An event with its number."""
        self.made += 1
        return self.named_event(kind, sequence_number=self.made - 1, **about)

    def first(self):
        for kind in "created", "in_progress":
            yield self.numbered(f"response.{kind}", response=self.response("in_progress"))

    def grown(self, i, kind, text, told):
        place = {"output_index": 0, "content_index": 0, "item_id": f"msg_{self.id}"}
        if kind == "think":
            return
        if not self.items:
            self.items.append("message")
            yield self.numbered("response.output_item.added", output_index=0,
                                item=self.said("", "in_progress"))
            yield self.numbered("response.content_part.added", **place, part={
                "type": "output_text", "text": "", "annotations": []})
        yield self.numbered("response.output_text.delta", **place, delta=text, logprobs=[])

    def ended(self, i):
        status, output = self.output()
        for index, item in enumerate(output):
            if item["type"] == "function_call":
                place = {"output_index": index, "item_id": item["id"]}
                yield self.numbered("response.output_item.added", output_index=index,
                                    item={**item, "arguments": "", "status": "in_progress"})
                yield self.numbered("response.function_call_arguments.delta", **place,
                                    delta=item["arguments"])
                yield self.numbered("response.function_call_arguments.done", **place,
                                    name=item["name"], arguments=item["arguments"])
            elif self.items:
                place = {"output_index": 0, "content_index": 0, "item_id": item["id"]}
                yield self.numbered("response.output_text.done", **place, logprobs=[],
                                    text=item["content"][0]["text"])
                yield self.numbered("response.content_part.done", **place,
                                    part=item["content"][0])
            if item["type"] == "function_call" or self.items:
                yield self.numbered("response.output_item.done", output_index=index, item=item)
        yield self.numbered(f"response.{status}", response=self.response(status, output))

    def last(self):
        return ()

    def failed(self, error):
        return self.numbered("error", code="server_error", message=str(error), param=None)
