"""The server as OpenAI's and Anthropic's own clients see it."""

import json

import pytest

from csrc.bind import Model
from csrc.config import Config
from csrc.runs import save_model
from test_server import ASKED, SCHEMA, TOOL, running, tokenizer  # noqa: F401  (fixtures)

HOT = {"temperature": 2, "top_p": 1, "seed": 3}


@pytest.fixture(scope="module")
def place(tokenizer, tmp_path_factory):  # noqa: F811
    """The folder of the models that are `running`, whose context has room for tools."""
    model = Model.create(Config(tokenizer.vocab_size + 1, 2048, 1, 16, 2, 2, 8, 16))
    folder = tmp_path_factory.mktemp("models") / "small"
    save_model(model, tokenizer, folder, "sft")
    return folder


@pytest.fixture
def openai(running):  # noqa: F811
    module = pytest.importorskip("openai")
    with module.OpenAI(base_url=f"http://127.0.0.1:{running.port}/v1", api_key="-") as client:
        yield client


def test_openai_s_client_chats(openai):
    ask = openai.chat.completions.create
    how = {"model": "small", "messages": ASKED, "max_completion_tokens": 9, **HOT}
    whole = ask(**how, logprobs=True, top_logprobs=2)
    text = whole.choices[0].message.content
    assert whole.usage.completion_tokens == 9 == len(whole.choices[0].logprobs.content)
    chunks = [*ask(**how, stream=True, stream_options={"include_usage": True})]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == text
    assert chunks[-1].usage == whole.usage
    assert [one.id for one in openai.models.list()] == ["small", "other"]
    found = openai.embeddings.create(model="small", input=["ab", "cd"]).data     # asks for base64
    assert [len(one.embedding) for one in found] == [16, 16]


def test_openai_s_client_forces_calls_and_forms(openai):
    pytest.importorskip("llguidance")
    how = {"model": "small", "messages": ASKED, "max_tokens": 200, **HOT}
    tool = json.loads(json.dumps(TOOL))
    tool["function"]["parameters"] = SCHEMA
    for choice in "required", {"type": "function", "function": {"name": "weather"}}:
        answer = openai.chat.completions.create(**how, tools=[tool], tool_choice=choice)
        call, = answer.choices[0].message.tool_calls
        assert call.function.name == "weather"
        assert json.loads(call.function.arguments)["town"] in ("Cadun", "Tyre é")
    deltas = [call for chunk in openai.chat.completions.create(
        **how, tools=[tool], tool_choice="required", stream=True)
        for call in chunk.choices[0].delta.tool_calls or ()]
    assert deltas[0].index == 0 and "".join(one.function.arguments for one in deltas)[0] == "{"
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
    text = openai.chat.completions.create(**how, response_format=form).choices[0].message.content
    assert json.loads(text).keys() >= {"town", "sure"}
    answer = openai.responses.create(model="small", input="Where?", max_output_tokens=200, tools=[
        {"type": "function", **tool["function"]}], tool_choice="required")
    assert json.loads(answer.output[0].arguments).keys() >= {"town", "sure"}


def test_openai_s_client_hears_responses_and_errors(openai):
    module = pytest.importorskip("openai")
    how = {"model": "small", "input": "Where?", "max_output_tokens": 9, "temperature": 0}
    assert openai.responses.create(**how).status == "incomplete"
    with openai.responses.stream(**how) as stream:
        kinds = [event.type for event in stream]
    assert kinds[0] == "response.created" and kinds[-1] == "response.incomplete"
    ask = openai.chat.completions.create
    with pytest.raises(module.NotFoundError, match="small, other"):
        ask(model="none", messages=ASKED)
    with pytest.raises(module.BadRequestError, match="temperature is 9") as found:
        ask(model="small", messages=ASKED, temperature=999)
    assert found.value.param == "temperature"


def test_anthropic_s_client_chats_and_forces_calls(running):  # noqa: F811
    module = pytest.importorskip("anthropic")
    how = {"model": "small", "messages": ASKED, "max_tokens": 200}
    with module.Anthropic(base_url=f"http://127.0.0.1:{running.port}", api_key="-") as client:
        answer = client.messages.create(**{**how, "max_tokens": 9}, system="Be brief.")
        assert 0 < answer.usage.output_tokens <= 9 and answer.content[0].type == "text"
        with client.messages.stream(**{**how, "max_tokens": 9}) as stream:
            assert "".join(stream.text_stream) == stream.get_final_message().content[0].text
        with pytest.raises(module.BadRequestError, match="max_tokens is 0"):
            client.messages.create(**{**how, "max_tokens": 0})
        pytest.importorskip("llguidance")
        tool = {"name": "weather", "input_schema": SCHEMA}
        for choice in {"type": "any"}, {"type": "tool", "name": "weather"}:
            use, = client.messages.create(**how, tools=[tool], tool_choice=choice).content
            assert (use.type, use.name) == ("tool_use", "weather") and "town" in use.input
