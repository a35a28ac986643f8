"""Conversations in others' formats: small ones of each, whole published files, and bad input."""
import gzip
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import pytest

from data.chat import formats
from data.tokens import bpe
from data.chat.protocol import LONGEST, Talk, normal

REAL = ROOT.parent / "shared" / "real" / "conversations"


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def called(place, name, arguments, result, text=None):
    """Two normal messages: a call, from place `place` in the conversation, and its result."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return [assistant(text, tool_calls=[{"id": f"call_{place}", "type": "function",
                                         "function": function}]),
            {"role": "tool", "tool_call_id": f"call_{place}", "content": result}]


def note(name, value):
    return {"name": name, "value": value}


def line(*values):
    return [json.dumps(value).encode() + b"\n" for value in values]


def read(path, *lines, skipped=None):
    path.write_bytes(b"".join(lines))
    return [conversation["messages"] for conversation in formats.read(path, skipped)]


def reply(text, role="assistant", replies=(), **more):
    return {"text": text, "role": role, "replies": list(replies), **more}


EXAMPLES = {
    "openai": ({"messages": [{"role": "system", "content": "S"}, user("a"), assistant("b"),
                             user([{"type": "text", "text": "c"}])]},
               [[{"role": "system", "content": "S"}, user("a"), assistant("b"), user("c")]]),
    "sharegpt": ({"id": 1, "conversations": [{"from": "system", "value": "S"},
                                             {"from": "human", "value": "a"},
                                             {"from": "gpt", "value": "b"}]},
                 [[{"role": "system", "content": "S"}, user("a"), assistant("b")]]),
    "oasst": ({"message_tree_id": 1, "prompt": reply("a", "prompter", [
        reply("worse", rank=1, replies=[reply("?", "prompter")]),
        reply("deleted", rank=-1, deleted=True),
        reply("best", rank=0, replies=[reply("c", "prompter", [
            reply("unranked", rank=None), reply("last", rank=2), reply("d", rank=1)]),
            reply("other", "prompter")]),
        reply("unranked")])},
        [[user("a"), assistant("best"), user("c"), assistant("d")]]),
    "taskmaster": ({"utterances": [
        {"speaker": "user", "text": "tea", "annotations": [
            note("api_call", "find"), note("request", '{"query": "tea"}'),
            note("api_response", "find"), note("response", '{"items":[]}'),
            note("api_call", "menu"), note("api_response", "menu"), note("response", "{}")]},
        {"speaker": "assistant", "text": "none left", "annotations": []}]},
        [[user("tea"), *called(1, "find", {"query": "tea"}, '{"items":[]}'),
          *called(3, "menu", {}, "{}"), assistant("none left")]]),
    "rewards": ({"context": json.dumps([
        {"role": "agent", "text": "hello"}, {"role": "user", "text": "tea"},
        {"role": "agent", "api": {"find": {"query": "tea"}}},
        {"role": "api", "response": {"find": {"items": ["é"]}}}]),
        "generation": json.dumps({"role": "agent", "text": "here"}), "reward": 1.0},
        [[assistant("hello"), user("tea"),
          *called(2, "find", {"query": "tea"}, '{"items": ["é"]}'), assistant("here")]]),
    "schema-guided": ({"services": ["Bank"], "dialogue_id": "1", "turns": [
        {"speaker": "USER", "utterance": "my balance?", "frames": [{"service": "Bank"}]},
        {"speaker": "SYSTEM", "utterance": "it is 7", "frames": [
            {"service_call": {"method": "Check", "parameters": {"kind": "savings"}},
             "service_results": [{"balance": "7"}]}]}]},
        [[user("my balance?"), *called(1, "Check", {"kind": "savings"}, '[{"balance": "7"}]'),
          assistant("it is 7")]]),
    "self-instruct": ({"instruction": "Add.", "instances": [{"input": "1 1", "output": "2"},
                                                            {"input": "", "output": "What?"}]},
                      [[user("Add.\n\n1 1"), assistant("2")], [user("Add."), assistant("What?")]]),
    "alpaca": ({"instruction": "Add.", "input": "1 1", "output": "2"},
               [[user("Add.\n\n1 1"), assistant("2")]]),
    "alpaca without input": ({"instruction": "Sing.", "output": "La"},
                             [[user("Sing."), assistant("La")]]),
    "toolformer": ({"instruction": "Add.", "input": "1 1", "response": "calculator(1+1)"},
                   [[user("Add.\n\n1 1"), assistant("calculator(1+1)")]]),
    "preference": ({"instruction": "Sing.", "input": "", "output": "La", "chosen": "La",
                    "rejected": "No"}, [[user("Sing."), assistant("La")]]),
    "hh-rlhf": ({"chosen": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c:\nd\n\nAssistant: e",
                 "rejected": "\n\nHuman: a\n\nAssistant: f"},
                [[user("a"), assistant("b"), user("c:\nd"), assistant("e")]]),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_format_is_known_by_its_content_and_read(name, tmp_path):
    record, expected = EXAMPLES[name]
    assert all(normal(messages) == messages for messages in expected)
    for text in (json.dumps(record), f"\n{json.dumps(record, ensure_ascii=False)}\n\n",
                 json.dumps([record], indent=1), f"\ufeff [{json.dumps(record)}\n]\n"):
        assert read(tmp_path / "any.name", text.encode()) == expected
    assert read(tmp_path / "a.gz", gzip.compress(json.dumps(record).encode())) == expected
    both = [EXAMPLES[name][0], EXAMPLES["openai"][0]]
    assert len(read(tmp_path / "a.json", json.dumps(both).encode())) == len(expected) + 1


def test_our_own_format_keeps_what_else_a_record_has(tmp_path):
    path = tmp_path / "a.jsonl"
    read(path, *line({"kind": "x", "messages": [user("a"), assistant("b")]}))
    assert [*formats.read(path)] == [{"kind": "x", "messages": [user("a"), assistant("b")]}]


UNFIT = {
    "questions without answers": {"question_id": 1, "turns": ["a"]},
    "answers without questions": {"choices": [{"turns": ["b"]}]},
    "a description of a service": {"service_name": "Bank", "slots": []},
    "its last step is rated 0.0, not 1": {"context": "[]", "generation": "{}", "reward": 0.0},
    "a second one of the assistant in a row, and no tool's result between": {
        "chosen": "\n\nHuman: a\n\nAssistant: b\n\nAssistant: c", "rejected": ""},
    "the assistant's is empty": {"instruction": "a", "input": "", "output": " \n"},
    "the user's is empty": {"instruction": "", "input": "", "output": "b"},
    "no message is the assistant's": {"conversations": [{"from": "human", "value": "a"}]},
    "there are no messages": {"conversations": []},
}


def test_what_cannot_be_learned_from_is_counted_by_reason(tmp_path):
    skipped = Counter()
    records = [*UNFIT.values(), {"instruction": "a", "output": "b"}, {"instruction": "a",
                                                                      "output": ""}]
    assert read(tmp_path / "a.jsonl", *line(*records), skipped=skipped) == [
        [user("a"), assistant("b")]]
    assert skipped == {**dict.fromkeys(UNFIT, 1), "the assistant's is empty": 2}


GOOD = {"messages": [user("a"), assistant("b")]}
BROKEN = {
    "not JSON": (line(GOOD) + [b'{"messages"\n'], ":2: not JSON .*column 12"),
    "not an object": (line(GOOD, 7), ":2: 7 is not an object"),
    "an array in an array": ([b"[[]]"], r":1: \[\] is not an object"),
    "unknown keys": (line({"text": "a"}), r":1: of no known format: the keys are \['text'\]"),
    "an array that breaks": ([json.dumps([GOOD, GOOD], indent=0).encode()[:-60]], ":1[0-9]: not J"),
    "an array that ends": ([b"[", *line(GOOD)], r":1: not JSON \(after what begins here"),
    "an array that goes on": ([b"[\n\n", *line(GOOD), b",]"], ":4: not JSON"),
    "more than an array": ([b"[\n", *line(GOOD), b"]]"], r":2: not JSON \(after"),
    "deep": ([b"[" * 200_000], ":1: nested too deeply"),
    "deep line": ([b'{"a":' * 200_000], ":1: nested too deeply"),
    "not UTF-8": (line(GOOD) + [b'{"instruction": "\xff"}'], ":2: not UTF-8 at byte 17"),
    "not UTF-8 in an array": ([b'[{"instruction": "\xff"}]'], ":1: not UTF-8"),
    "empty": ([], "empty, there is no conversation"), "blank": ([b"\n \n"], "empty"),
    "an empty array": ([b"[ ]"], "empty"),
    "an unknown role": (line(GOOD, {"messages": [{"role": "root", "content": "a"}]}),
                        ":2: message 1: the role 'root' is none of system, user"),
    "an empty turn": (line({"messages": [user("a"), assistant(" ")]}),
                      ":1: message 2: the assistant's is empty"),
    "an empty question": (line({"messages": [user(""), assistant("b")]}),
                          ":1: message 1: the user's is empty"),
    "no answer": (line({"messages": [user("a")]}), ":1: no message is the assistant's"),
    "no messages": (line({"messages": None}), ":1: there are no messages"),
    "a wrong order": (line({"messages": [user("a"), assistant("b"), assistant("c")]}),
                      ":1: message 3: a second one of the assistant in a row"),
    "a result without a call": (line({"messages": [{"role": "tool", "content": "a"}]}),
                                ":1: message 1: a tool's result, but no call"),
    "10 MB": (line({"messages": [user("a" * 10_000_000), assistant("b")]}),
              f":1: message 1: 10000000 characters are more than {LONGEST}"),
    "half a pair": (line({"messages": [user("\ud800"), assistant("b")]}),
                    ":1: message 1: .*surrogate"),
    "an unknown speaker": (line({"conversations": [{"from": "root", "value": "a"}]}),
                           ":1: the speaker 'root' is unknown"),
    "a missing key": (line({"conversations": [{"from": "gpt"}]}), r":1: .*KeyError\('value'\)"),
    "no list": (line({"conversations": 7}), ":1: not as its format should be"),
    "no tree": (line({"message_tree_id": 1, "prompt": "a"}), ":1: not as its format should be"),
    "no answer's key": (line({"instruction": "a"}), r":1: .*KeyError\('response'\)"),
    "no transcript": (line({"chosen": "a\n\nHuman: b"}), ":1: the transcript begins with 'a', not"),
    "a context that is no JSON": (line({"context": "[", "generation": "", "reward": 1}), ":1: "),
    "a request before a call": (line({"utterances": [{"speaker": "user", "text": "a",
        "annotations": [note("request", "{}")]}]}), r":1: .*KeyError\('tool_calls'\)"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_refused_in_one_sentence_with_file_and_line(case, tmp_path):
    lines, why = BROKEN[case]
    with pytest.raises(ValueError, match=why) as error:
        read(tmp_path / "a.json", *lines)
    assert str(error.value).startswith(f"{tmp_path / 'a.json'}:")
    assert len(str(error.value)) < 400 and "\n" not in str(error.value)


def test_broken_gzip_is_refused(tmp_path):
    data = gzip.compress(b"".join(line(GOOD)) * 999)
    for broken in (data[:-9], data[:40] + b"xx" + data[42:], b"no gzip"):
        with pytest.raises(ValueError, match="a.jsonl.gz: broken gzip data"):
            read(tmp_path / "a.jsonl.gz", broken)


def test_the_command_converts_any_format_and_says_how_much_it_read(tmp_path):
    def command(*args):
        return subprocess.run([sys.executable, ROOT / "data/talk.py", *args], cwd=tmp_path,
                              capture_output=True, text=True)
    (tmp_path / "in").mkdir()
    for name, (record, _) in EXAMPLES.items():
        (tmp_path / "in" / f"{name}.json").write_text(json.dumps([record, *UNFIT.values()]))
    done = command("in", "--out", "out/all.jsonl")
    assert done.returncode == 0 and not done.stderr
    assert "in/sharegpt.json: 1 conversations\n    1 skipped: questions without" in done.stdout
    assert done.stdout.endswith("out/all.jsonl: 13 conversations\n")
    written = [*formats.read(tmp_path / "out/all.jsonl")]
    assert [c["messages"] for c in written] == [
        messages for name in sorted(EXAMPLES, key=lambda name: name + ".json")
        for messages in EXAMPLES[name][1]]

    (tmp_path / "in/broken.json").write_text('[{"text": 1}]')
    done = command("in", "--out", "out/all.jsonl")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("talk.py: in/broken.json:1: of no known format")
    assert [*formats.read(tmp_path / "out/all.jsonl")] == written


COUNTS = {  # conversations, skipped
    "fastchat/dummy_conversation.json": (500, 0), "fastchat/mt_bench/question.jsonl": (0, 80),
    "fastchat/mt_bench/reference_answer/gpt-4.jsonl": (0, 30),
    "fastchat/vicuna_bench/question.jsonl": (0, 80),
    "fastchat/vicuna_bench/reference_answer/gpt-4.jsonl": (0, 10),
    "gpteacher/toolformer-similarity-0.6-dataset.json": (2396, 0),
    "hh-rlhf/harmless-base-test.jsonl.gz": (2300, 12), "oasst/en_100_tree.jsonl": (100, 0),
    "rasbt/instruction-data-with-preference.json": (1100, 0),
    "rasbt/instruction-data.json": (1100, 0), "schema-guided/dialogues_005.json": (128, 0),
    "schema-guided/schema.json": (0, 17), "self-instruct/seed_tasks.jsonl": (175, 0),
    "self-instruct/user_oriented_instructions.jsonl": (252, 0),
    "taskmaster4/dialogs_200.json": (200, 0), "taskmaster4/reward_00.json": (399, 101),
    "taskmaster4/reward_01.json": (378, 122)}


@pytest.mark.parametrize("name", COUNTS)
def test_every_conversation_of_published_files_is_read_or_counted_and_comes_back(name):
    if not (REAL / name).exists():
        pytest.skip(f"{REAL / name} is not there")
    talk, skipped = Talk(bpe.Tokenizer.from_merges([])), Counter()
    found = [c["messages"] for c in formats.read(REAL / name, skipped)]
    assert (len(found), skipped.total()) == COUNTS[name]
    for messages in found[::10]:
        ids, mask, *_ = talk.encode(messages)
        assert talk.decode(ids) == messages and 0 < sum(mask) < len(ids)
