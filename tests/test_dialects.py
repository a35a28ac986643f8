"""data/chat/dialects.py: the same chats in the words of OpenAI's responses and of Anthropic."""

import json

import pytest

from data.chat.api import Refused
from data.chat.dialects import Messages, Responses
from test_server import CALLED, TOOL
from test_turn import ASKED, tokenizer  # noqa: F401  (a fixture)
from test_turn import engine as scripted

SAYS = "I look." + CALLED


def answered(kind, tokenizer, body, *says):  # noqa: F811
    """The answer, and the events of a stream: {kind: [data]}, in order."""
    answers = []
    for _ in range(2):
        asked = kind({"model": "m", "temperature": 0, "max_tokens": 99, **body},
                     scripted(tokenizer, *says))
        events = [*asked.first()]
        for turn, token, text, more in asked.engine.generate(asked.sequences):
            events += asked.drawn(0, turn.kind, token, text, more)
        events += [*asked.ended(0), *asked.last()]
        answers.append(asked.whole([[]]))
    found = []
    for event in events:
        name, data = event.decode().removesuffix("\n\n").split("\n")
        data = json.loads(data.removeprefix("data: "))
        assert name == f"event: {data['type']}"
        found.append(data)
    return answers[0], found


def test_anthropic_hears_text_and_calls_in_blocks(tokenizer):  # noqa: F811
    tool = {"name": "weather", "input_schema": TOOL["function"]["parameters"]}
    body = {"messages": ASKED, "system": [{"type": "text", "text": "Be brief."}], "tools": [tool]}
    answer, events = answered(Messages, tokenizer, body, SAYS)
    text, use = answer["content"]
    assert text == {"type": "text", "text": "I look."} and answer["stop_reason"] == "tool_use"
    assert (use["name"], use["input"]) == ("weather", {"town": "Cadun"})
    kinds = [event["type"] for event in events]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 2
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert "".join(delta.get("text", "") for delta in deltas) == "I look."
    assert json.loads(deltas[-1]["partial_json"]) == {"town": "Cadun"}
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    result = {"type": "tool_result", "tool_use_id": use["id"], "content": "Rain."}
    body["messages"] = [*ASKED, {"role": "assistant", "content": answer["content"]},
                        {"role": "user", "content": [result]}]
    answer, _ = answered(Messages, tokenizer, body, SAYS + "It rains.")
    assert answer["content"] == [{"type": "text", "text": "It rains."}]
    assert answer["stop_reason"] == "end_turn" and answer["usage"]["output_tokens"] == 10


def test_a_response_has_items_and_numbered_events(tokenizer):  # noqa: F811
    tool = {"type": "function", **TOOL["function"]}
    body = {"input": "Where is it?", "instructions": "Be brief.", "tools": [tool, {"type": "web"}]}
    answer, events = answered(Responses, tokenizer, body, SAYS)
    said, call = answer["output"]
    assert answer["status"] == "completed" and said["content"][0]["text"] == "I look."
    assert (call["type"], call["name"], call["arguments"]) == ("function_call", "weather",
                                                               '{"town": "Cadun"}')
    assert [event["sequence_number"] for event in events] == [*range(len(events))]
    assert "".join(event["delta"] for event in events
                   if event["type"] == "response.output_text.delta") == "I look."
    last = events[-1]
    assert last["type"] == "response.completed" and last["response"]["output"][0] == {
        **said, "id": last["response"]["output"][0]["id"]}
    body["input"] = [{"role": "user", "content": [{"type": "input_text", "text": "Where is it?"}]},
                     call, {"type": "function_call_output", "call_id": call["call_id"],
                            "output": "Rain."}]
    answer, _ = answered(Responses, tokenizer, body, SAYS.removeprefix("I look.") + "It rains.")
    assert answer["output"][0]["content"][0]["text"] == "It rains."
    cut, events = answered(Responses, tokenizer, {"input": "a", "max_output_tokens": 3}, "abcdef")
    assert cut["status"] == "incomplete" and events[-1]["type"] == "response.incomplete"


@pytest.mark.parametrize("kind, choices", [
    (Messages, [{"type": "any"}, {"type": "tool", "name": "weather"}]),
    (Responses, ["required", {"type": "function", "name": "weather"}])])
def test_a_call_is_forced_in_each_dialect_s_words(tokenizer, kind, choices):  # noqa: F811
    form = pytest.importorskip("data.chat.form")
    about = TOOL["function"]
    tool = {"type": "function", **about, "input_schema": about["parameters"]}
    for choice in choices:
        body = {"model": "m", "max_tokens": 9, "messages": ASKED, "input": "Where is it?",
                "tools": [tool], "tool_choice": choice}
        turn, = kind(body, scripted(tokenizer)).sequences
        allowed = {*range(turn.engine.model.config.vocab)} - {*turn.banned}
        assert type(turn) is form.Formed and allowed == {tokenizer.special("<|python_start|>")}


@pytest.mark.parametrize("kind, body, words", [
    (Messages, {"messages": ASKED, "max_tokens": None}, "max_tokens is missing"),
    (Messages, {"messages": [{"role": "system", "content": "x"}]}, "messages has"),
    (Messages, {"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages has"),
    (Messages, {"messages": [5]}, "messages has 5"), (Messages, {"messages": []}, "messages is"),
    (Messages, {"messages": ASKED, "tools": [5]}, "tools has"),
    (Messages, {"messages": ASKED, "tool_choice": {"type": "any"}}, "tool_choice is 'required'"),
    (Messages, {"messages": ASKED, "tool_choice": {"type": 5}}, "type is 5"),
    (Responses, {"input": "a", "tool_choice": {"type": "function", "name": "x"}}, "tool_choice is"),
    (Responses, {"input": "a", "previous_response_id": "resp_1"}, "previous_response_id"),
    (Responses, {"input": [{"type": "image"}]}, "input has"), (Responses, {}, "messages is"),
    (Responses, {"input": [{"role": "user", "content": 5}]}, "input has 5"),
    (Responses, {"input": "a", "text": {"format": {"type": "xml"}}}, "type 'xml'")])
def test_what_is_wrong_is_refused(tokenizer, kind, body, words):  # noqa: F811
    with pytest.raises(Refused, match=words):
        kind({"model": "m", "max_tokens": 9, **body}, scripted(tokenizer))
