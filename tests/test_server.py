"""data/chat/server.py and api.py: what clients send, what they hear, and what they must not do."""

import base64
import http.client
import json
import socket
import threading
import time

import numpy as np
import pytest
import uvicorn
from hypothesis import given, settings

from csrc.bind import Model
from csrc.engine import Engine, Sampling, Sequence
from csrc.files import ChatError
from csrc.runs import save_model
from data.chat import server
from data.chat.api import Asked, Refused
from data.chat.turn import Turn
from infer import Serve
from load_server import requests
from test_turn import ASKED, random_model, tokenizer  # noqa: F401  (fixtures)
from test_turn import engine as scripted

CHAT, TEXT, EMBED = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
SHORT = {"messages": ASKED, "max_tokens": 9, "seed": 3}
LONG = {"messages": ASKED, "stream": True, "stop": [], "max_tokens": 200}


class Running:
    """A server on a free port, and requests to it."""

    def __init__(self, settings, routes=()):
        self.guard = server.application(settings, routes)
        config = uvicorn.Config(self.guard, port=0, log_level="error", timeout_graceful_shutdown=1)
        listening = config.bind_socket()
        listening.listen()
        self.port, self.server = listening.getsockname()[1], uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, args=([listening],), daemon=True)
        self.thread.start()

    @property
    def workers(self):
        return self.guard.app.state.models.workers

    def close(self):
        self.server.should_exit = True
        self.thread.join(10)

    def open(self, path, body=None, method=None, **headers):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        link.request(method or ("GET" if body is None else "POST"), path, data, headers)
        return link

    def ask(self, path, body=None, method=None, **headers):
        """(status, what is answered): an object, of a stream its events."""
        link = self.open(path, body, method, **headers)
        answer = link.getresponse()
        text = answer.read().decode()
        link.close()
        if answer.headers["content-type"].startswith("text/event-stream"):
            events = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
            assert events.pop() == "[DONE]"
            return answer.status, [*map(json.loads, events)]
        if not answer.headers["content-type"].startswith("application/json"):
            return answer.status, text
        return answer.status, json.loads(text)


@pytest.fixture(scope="module")
def place(random_model, tokenizer, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("models") / "small"
    save_model(random_model, tokenizer, folder, "sft")
    return folder


@pytest.fixture(scope="module")
def running(place):
    one = Running(Serve(model=[str(place), f"other={place}"], dtype="f32", device="cpu"))
    yield one
    one.close()


@pytest.fixture(scope="module")
def engine(place, tokenizer):  # noqa: F811
    return Engine(Model.load(place, "cpu", "f32", 0), tokenizer)


def drawn(engine, sequence):
    [*engine.generate([sequence])]
    return sequence


# ---- Answers

def test_a_chat_is_answered_as_by_the_engine(running, engine):
    turn = drawn(engine, Turn(engine, ASKED, Sampling(max_tokens=9, seed=3)))
    status, answer = running.ask(CHAT, SHORT)
    choice, = answer["choices"]
    assert status == 200 and answer["object"] == "chat.completion" and answer["model"] == "small"
    assert choice["message"] == {"role": "assistant", "content": turn.text, "refusal": None}
    assert choice["finish_reason"] == turn.finish == "length"
    assert answer["usage"] == {"prompt_tokens": turn.prompt, "completion_tokens": 9,
                               "total_tokens": turn.prompt + 9}


def test_a_stream_has_the_same_text_in_events(running):
    whole = running.ask(CHAT, SHORT)[1]
    status, events = running.ask(CHAT, {**SHORT, "stream": True,
                                        "stream_options": {"include_usage": True}})
    first, *grown, end, usage = events
    assert status == 200 and len({event["id"] for event in events}) == 1
    assert {event["object"] for event in events} == {"chat.completion.chunk"}
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": None}
    assert "".join(event["choices"][0]["delta"]["content"] for event in grown) \
        == whole["choices"][0]["message"]["content"]
    assert end["choices"][0]["delta"] == {} and end["choices"][0]["finish_reason"] == "length"
    assert usage["choices"] == [] and usage["usage"] == whole["usage"]


def test_texts_are_continued_each_as_often_as_is_asked(running, engine):
    status, answer = running.ask(TEXT, {"prompt": ["ab", "cd"], "n": 2, "max_tokens": 5, "seed": 7,
                                        "temperature": 2, "top_p": 1})
    assert status == 200 and [c["index"] for c in answer["choices"]] == [0, 1, 2, 3]
    for i, choice in enumerate(answer["choices"]):
        settings = Sampling(max_tokens=5, seed=7, temperature=2, top_p=1)
        prompt = engine.encode(("ab", "cd")[i // 2])
        assert choice["text"] == drawn(engine, Sequence(prompt, settings, i % 2)).text
    ids = running.ask("/tokenize", {"content": "ab"})[1]["tokens"]
    assert ids == [*b"ab"]
    assert running.ask(TEXT, {"prompt": ids, "max_tokens": 1})[0] == 200


def test_biases_and_penalties_decide_what_is_drawn(running):
    body = {"prompt": "ab", "max_tokens": 20, "temperature": 0}
    text = running.ask(TEXT, {**body, "logit_bias": {"65": 100}})[1]["choices"][0]["text"]
    assert text == "A" * 20
    text = running.ask(TEXT, {**body, "logit_bias": {str(65 + i): 90 + i for i in range(9)},
                              "presence_penalty": 2})[1]["choices"][0]["text"]
    assert {*"ABCDEFGHI"} >= {*text} and len({*text}) > 1
    often = running.ask(TEXT, {**body, "logit_bias": {"65": 92, "66": 90},
                               "frequency_penalty": 1.5})[1]["choices"][0]["text"]
    assert 8 <= often.count("A") <= 14 and often.count("B") == 20 - often.count("A")


def test_stop_strings_end_a_text_and_are_not_in_it(running):
    text = running.ask(CHAT, {**SHORT, "max_tokens": 40})[1]["choices"][0]["message"]["content"]
    stop = text[3:5]
    answer = running.ask(CHAT, {**SHORT, "max_tokens": 40, "stop": stop})[1]["choices"][0]
    assert answer["message"]["content"] == text[:text.index(stop)]
    assert answer["finish_reason"] == "stop"


@pytest.mark.parametrize("stream", [False, True])
def test_chances_are_told_of_each_token(running, stream):
    body = {**SHORT, "logprobs": True, "top_logprobs": 3, "stream": stream}
    answer = running.ask(CHAT, body)[1]
    choices = [event["choices"][0] for event in answer] if stream else answer["choices"]
    told = [one for choice in choices if choice["logprobs"]
            for one in choice["logprobs"]["content"]]
    assert len(told) == 9
    for one in told:
        top = one["top_logprobs"]
        assert len(top) == 3 and [x["logprob"] for x in top] == sorted(
            (x["logprob"] for x in top), reverse=True)
        assert one["logprob"] <= 0 and bytes(one["bytes"]).decode("utf-8", "replace") \
            == one["token"]
    cold = running.ask(CHAT, {**body, "temperature": 0, "stream": False})[1]["choices"][0]
    assert all(one["logprob"] == one["top_logprobs"][0]["logprob"] < -0.01
               for one in cold["logprobs"]["content"])           # of the model, not of the draw
    answer = running.ask(TEXT, {"prompt": "ab", "max_tokens": 4, "logprobs": 2, "seed": 1})[1]
    told = answer["choices"][0]["logprobs"]
    assert [*map(len, told.values())] == [4, 4, 4]


def test_requests_run_side_by_side_and_alone_alike(running):
    alone = [running.ask(CHAT, {**SHORT, "seed": seed})[1]["choices"] for seed in range(6)]
    found = [None] * 6

    def ask(seed):
        found[seed] = running.ask(CHAT, {**SHORT, "seed": seed})[1]["choices"]

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert found == alone


def test_models_are_listed_and_loaded_when_they_are_asked_for(running):
    assert [one["id"] for one in running.ask("/v1/models")[1]["data"]] == ["small", "other"]
    assert running.ask(CHAT, {**SHORT, "model": "other"})[1]["model"] == "other"
    assert {*running.workers} == {"small", "other"}
    assert running.ask("/health") == (200, {"status": "ok"})
    assert 'chat_requests_total{model="other"} 1\n' in running.ask("/metrics")[1]


def test_models_make_room_for_one_another_where_nobody_uses_them(place, monkeypatch):
    serves = Running(Serve(model=[f"{name}={place}" for name in "abc"], dtype="f32", device="cpu"))
    models = serves.guard.app.state.models
    want = [serves.ask(CHAT, {**SHORT, "model": name})[1]["choices"] for name in "ab"][0]
    models.memory = sum(worker.memory for worker in models.workers.values())     # no room for three
    for name, loaded in ("c", "bc"), ("b", "bc"), ("a", "ab"), ("c", "ac"):
        assert serves.ask(CHAT, {**SHORT, "model": name})[1]["choices"] == want
        assert {*models.workers} == {*loaded}
    for name in models.workers:
        monkeypatch.setattr(type(models.workers[name]), "size", 1)
    status, answer = serves.ask(CHAT, {**SHORT, "model": "b"})
    assert status == 503, answer
    assert "no memory for another model" in answer["error"]["message"]
    monkeypatch.undo()
    models.places["b"] = place / "gone"
    status, answer = serves.ask(CHAT, {**SHORT, "model": "b"})
    assert status == 404 and "model b of a, b, c cannot be loaded" in answer["error"]["message"]
    serves.close()


# ---- Texts as vectors

def test_an_embedding_is_the_mean_of_a_text_s_last_states(running, engine):
    def want(ids):
        engine.model.extend(engine.model.cache(1, len(ids)), [0], [ids])
        return engine.model.last_states(len(ids)).mean(0)

    long = "A longer text, which others may share. " * 6
    texts = ["ab", long, long[:200] + "x", [*b"ab"]]
    for _ in range(2):                           # what an engine has read is read again
        status, answer = running.ask("/v1/embeddings", {"input": texts, "model": "small"})
        assert status == 200 and [one["index"] for one in answer["data"]] == [0, 1, 2, 3]
        for one, text in zip(answer["data"], texts):
            assert np.allclose(one["embedding"], want(engine.encode(text) if text != texts[3]
                                                      else text), atol=1e-6)
    count = sum(map(len, texts)) + 3             # the token that begins a text
    assert answer["usage"] == {"prompt_tokens": count, "total_tokens": count}
    coded = running.ask("/v1/embeddings", {"input": texts[3], "encoding_format": "base64",
                                           "dimensions": 16})[1]["data"][0]["embedding"]
    assert np.array_equal(np.frombuffer(base64.b64decode(coded), "<f4"),
                          np.float32(answer["data"][3]["embedding"]))


# ---- What is refused

@pytest.mark.parametrize("path, body, status, words", [
    (CHAT, b"{", 400, "no JSON"), (CHAT, b'"\xff"', 400, "no JSON"), (CHAT, [], 400, "an object"),
    (CHAT, b"[" * 100000, 400, "no JSON"), (CHAT, {}, 400, "messages is missing"),
    (CHAT, {"messages": "x"}, 400, "messages is 'x'"),
    (CHAT, {"messages": [{"role": "king", "content": "x"}]}, 400, "message 1"),
    (CHAT, {**SHORT, "model": "../../etc"}, 404, "model is '../../etc'"),
    (CHAT, {**SHORT, "temperature": -1}, 400, "temperature is -1"),
    (CHAT, {**SHORT, "temperature": "hot"}, 400, "temperature is 'hot'"),
    (CHAT, {**SHORT, "temperature": True}, 400, "temperature is True"),
    (CHAT, b'{"messages": [], "temperature": NaN}', 400, "temperature is nan"),
    (CHAT, {**SHORT, "max_tokens": 0}, 400, "max_tokens is 0"),
    (CHAT, {**SHORT, "max_completion_tokens": -5}, 400, "max_completion_tokens is -5"),
    (CHAT, {**SHORT, "n": 1000}, 400, "n is 1000"),
    (CHAT, {**SHORT, "top_k": 1 << 40}, 400, "top_k"),
    (CHAT, {**SHORT, "seed": -1}, 400, "seed is -1"), (CHAT, {**SHORT, "stop": [""]}, 400, "stop"),
    (CHAT, {**SHORT, "top_logprobs": 3}, 400, "needs logprobs"),
    (CHAT, {**SHORT, "logit_bias": {"99999": 5}}, 400, "logit_bias has '99999'"),
    (CHAT, {**SHORT, "logit_bias": {"1": 500}}, 400, "logit_bias has '1': 500"),
    (CHAT, {**SHORT, "presence_penalty": 3}, 400, "presence_penalty is 3"),
    (CHAT, {**SHORT, "best_of": 4}, 400, "best_of is 4"),
    (CHAT, {"messages": [{"role": "user", "content": "x" * 5000}]}, 400, "there is room for"),
    (TEXT, {"prompt": [1, 2, 99999]}, 400, "prompt has"), (TEXT, {"prompt": []}, 400, "0 texts"),
    (TEXT, {"prompt": "x" * 5000}, 400, "5001"), (TEXT, {"prompt": ["a"] * 99}, 400, "99 texts"),
    (TEXT, b'{"prompt": "\\ud800"}', 400, "half of a surrogate"),
    ("/tokenize", b'{"content": "\\ud800"}', 400, "half of a surrogate"),
    (EMBED, {"input": []}, 400, "input has 0 texts"), (EMBED, {}, 400, "none of them empty"),
    (EMBED, {"input": ["a", ""]}, 400, "none of them empty"),
    (EMBED, {"input": 5}, 400, "input is 5"),
    (EMBED, {"input": [[1, -2]]}, 400, "input has [1, -2]"),
    (EMBED, {"input": "a", "dimensions": 8}, 400, "dimensions is 8"),
    (EMBED, {"input": "a", "encoding_format": "hex"}, 400, "encoding_format is 'hex'"),
    (EMBED, {"input": "x" * 256}, 400, "a text of 257 tokens"),
    (TEXT, b" " * (server.LARGEST + 1), 413, "bytes"), ("/v1/none", {}, 404, "Not Found"),
    (CHAT, None, 405, "Method Not Allowed"), ("/tokenize", {"content": 5}, 400, "content is 5")])
def test_what_is_wrong_is_said_in_a_sentence(running, path, body, status, words):
    found, answer = running.ask(path, body)
    assert found == status and words in answer["error"]["message"], answer
    assert answer["error"].keys() == {"message", "type", "param", "code"}


@settings(max_examples=100)
@given(requests())
def test_no_request_makes_the_server_fail(running, request):
    status, answer = running.ask(*request)
    assert status in (200, 400, 404), answer


def test_unknown_fields_are_left_out(running):
    assert running.ask(CHAT, {**SHORT, "user": "me", "hint": [1], "temperature": None,
                              "tools": [], "response_format": {"type": "text"}})[0] == 200


def test_other_sites_and_names_are_kept_out(running):
    here = f"127.0.0.1:{running.port}"
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"},
                    {"Origin": "null"}, {"Host": here, "Origin": f"https://{here}.evil.example"}):
        assert running.ask(CHAT, SHORT, **headers)[0] == 403
    assert running.ask(CHAT, SHORT, Host=here, Origin=f"http://{here}")[0] == 200


def test_a_key_is_asked_for_and_needed_where_others_can_reach_the_server(place):
    with pytest.raises(ChatError, match="--host 0.0.0.0 lets other machines in"):
        server.serve(Serve(model=[str(place)], host="0.0.0.0"))
    keyed = Running(Serve(model=[str(place)], api_key="abc", dtype="f32", device="cpu"))
    for headers, status in (({}, 401), ({"Authorization": "Bearer abd"}, 401),
                            ({"Authorization": "Bearer abc"}, 200), ({"x-api-key": "abc"}, 200)):
        assert keyed.ask("/v1/models", **headers)[0] == status
    assert keyed.ask("/health")[0] == 200
    keyed.close()


def test_two_models_of_one_name_are_refused(place):
    with pytest.raises(ChatError, match="two models are called small"):
        server.application(Serve(model=[str(place), str(place)]))


# ---- Clients that go away

@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_stops_its_sequences(running, stream, monkeypatch):
    worker = running.workers["small"]
    draw = worker.engine.model.draw
    monkeypatch.setattr(worker.engine.model, "draw", lambda *a: [time.sleep(0.02), draw(*a)][1])
    link = running.open(CHAT, {**LONG, "stream": stream, "temperature": 3, "n": 8})
    until(lambda: worker.size == 8)
    made = worker.engine.tokens["decode"]
    if stream:
        assert link.getresponse().read(20).startswith(b"data: ")
    link.sock.shutdown(socket.SHUT_RDWR)
    link.close()
    until(lambda: worker.size == 0)
    assert worker.engine.tokens["decode"] - made < 8 * 190
    assert running.ask(CHAT, SHORT)[0] == 200


def test_more_than_can_wait_are_told_to_come_again(running, monkeypatch):
    monkeypatch.setattr(server, "WAITING", 0)
    link = running.open(CHAT, SHORT)
    answer = link.getresponse()
    assert answer.status == 429 and int(answer.headers["Retry-After"]) > 0
    link.close()


def test_a_failing_engine_ends_its_requests_and_serves_the_next(running, monkeypatch):
    worker = running.workers["small"]
    monkeypatch.setattr(worker.engine.model, "draw", lambda *_: 1 / 0)
    status, answer = running.ask(CHAT, SHORT)
    assert status == 500 and "ZeroDivisionError" in answer["error"]["message"]
    monkeypatch.undo()
    assert running.ask(CHAT, SHORT)[0] == 200


def until(what, seconds=20):
    end = time.time() + seconds
    while not what():
        assert time.time() < end
        time.sleep(0.01)


# ---- Functions that the client calls

TOOL = {"type": "function", "function": {"name": "weather", "description": "Tell the weather.",
                                         "parameters": {"type": "object", "properties": {
                                             "town": {"type": "string"}}}}}
CALLED = '<|python_start|>{"name": "weather", "arguments": {"town": "Cadun"}}<|python_end|>'


def answer_of(tokenizer, body, *says):  # noqa: F811
    """What a model that says `says` answers to a body: whole, and in a stream's deltas."""
    found = []
    for _ in range(2):
        asked = Asked({**body, "model": "m"}, scripted(tokenizer, *says))
        turn, = asked.sequences
        [*asked.engine.generate([turn])]
        found.append(asked)
    events = [json.loads(event.removeprefix(b"data: ")) for event in found[1].ended(0)]
    return found[0].whole([[]])["choices"][0], [event["choices"][0] for event in events]


def test_a_function_that_is_called_ends_the_answer(tokenizer):  # noqa: F811
    body = {"messages": ASKED, "tools": [TOOL], "temperature": 0}
    choice, events = answer_of(tokenizer, body, "I look." + CALLED + "no further")
    call, = choice["message"]["tool_calls"]
    assert choice["finish_reason"] == events[-1]["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == "I look." and call["type"] == "function"
    assert call["function"] == {"name": "weather", "arguments": '{"town": "Cadun"}'}
    streamed, = events[0]["delta"]["tool_calls"]
    assert streamed["function"] == call["function"] and streamed["index"] == 0
    result = {"role": "tool", "tool_call_id": call["id"], "content": "Rain."}
    body["messages"] = [*ASKED, {**choice["message"]}, result]
    choice, _ = answer_of(tokenizer, body, "I look." + CALLED + "It rains.")
    assert choice["message"]["content"] == "It rains." and choice["finish_reason"] == "stop"


def test_functions_are_told_of_and_only_those_are_called(tokenizer):  # noqa: F811
    asked = Asked({"messages": ASKED, "tools": [TOOL], "model": "m"}, scripted(tokenizer))
    prompt = tokenizer.decode(asked.sequences[0].tokens)
    assert "You can call these functions:" in prompt and '"name": "weather"' in prompt
    none = {"messages": ASKED, "tools": [TOOL], "tool_choice": "none", "temperature": 0}
    choice, _ = answer_of(tokenizer, none, "Hm." + CALLED)
    assert "tool_calls" not in choice["message"]
    for tool in {"type": "function"}, 5, {"type": "code"}, {**TOOL, "function": {"name": "a b"}}, \
            {**TOOL, "function": {"name": "a", "parameters": [5]}}:
        with pytest.raises(Refused, match="tools has"):
            Asked({**none, "tools": [tool], "model": "m"}, scripted(tokenizer))


@pytest.mark.parametrize("choice", ["any", 5, {"type": "function", "function": {"name": "sun"}},
                                    {"type": "function"}, {"function": {"name": "python"}}])
def test_calls_that_cannot_be_forced_are_refused(tokenizer, choice):  # noqa: F811
    own = {"type": "function", "function": {"name": "python"}}
    with pytest.raises(Refused, match="tool_choice"):
        Asked({"messages": ASKED, "tools": [TOOL, own], "tool_choice": choice, "model": "m"},
              scripted(tokenizer))


# ---- Answers of a form

SCHEMA = {"type": "object", "required": ["town", "sure"], "additionalProperties": False,
          "properties": {"town": {"enum": ["Cadun", "Tyre é"]}, "sure": {"type": "boolean"},
                         "years": {"type": "array", "maxItems": 2, "items": {"enum": [1, 20]}}}}


def test_an_answer_of_a_schema_is_never_an_invalid_document(running):
    pytest.importorskip("llguidance")
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
    answer = running.ask(CHAT, {"messages": ASKED, "n": 16, "temperature": 3, "top_p": 1,
                                "max_tokens": 200, "response_format": form})[1]
    found = [json.loads(choice["message"]["content"]) for choice in answer["choices"]]
    assert {choice["finish_reason"] for choice in answer["choices"]} == {"stop"}
    assert {one["town"] for one in found} == {"Cadun", "Tyre é"}
    assert all({*one} <= {*SCHEMA["properties"]} and type(one["sure"]) is bool for one in found)


def test_any_object_is_json_unless_it_is_cut_off(running):
    pytest.importorskip("llguidance")
    answer = running.ask(CHAT, {"messages": ASKED, "n": 8, "temperature": 3, "top_p": 1,
                                "response_format": {"type": "json_object"}})[1]
    for choice in answer["choices"]:
        text = choice["message"]["content"]
        assert text.startswith("{")
        if choice["finish_reason"] == "stop":
            assert isinstance(json.loads(text), dict)


@pytest.mark.parametrize("form, words", [
    ({"type": "xml"}, "type 'xml'"), ({"type": "json_schema"}, "None as json_schema"),
    ({"type": "json_schema", "json_schema": {"schema": {"type": "king"}}}, "cannot be used"),
    ("json", "response_format is 'json'")])
def test_forms_that_cannot_be_kept_to_are_refused(running, form, words):
    pytest.importorskip("llguidance")
    status, answer = running.ask(CHAT, {**SHORT, "response_format": form})
    assert status == 400 and words in answer["error"]["message"], answer
