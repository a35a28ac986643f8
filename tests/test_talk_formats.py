"""Conversations in others' formats: small ones of each, whole published files, and bad input."""
import gzip
import json
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import pytest

import programs
from csrc import files
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
    "not an object": (line(7, 8), ":1: 7 is not an object"),
    "an array in an array": ([b"[[]]"], r":1: \[\] is not an object"),
    "unknown keys": (line({"text": "a"}), r":1: of no known format: the columns are text; the "
                     "nearest format is oasst, a message a line with message_id, role, text, but "
                     '"message_id" is missing'),
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
    "an unknown role": (line({"messages": [{"role": "root", "content": "a"}]}),
                        ":1: message 1: the role 'root' is none of system, user"),
    "an empty turn": (line({"messages": [user("a"), assistant(" ")]}),
                      ":1: message 2: the assistant's is empty"),
    "an empty question": (line({"messages": [user(""), assistant("b")]}),
                          ":1: message 1: the user's is empty"),
    "no answer": (line({"messages": [user("a")]}), ":1: no message is the assistant's"),
    "no messages": (line({"messages": []}), ":1: there are no messages"),
    "nothing but null": (line({"messages": None}), ":1: of no known format: the columns are none"),
    "a wrong order": (line({"messages": [user("a"), assistant("b"), assistant("c")]}),
                      ":1: message 3: a second one of the assistant in a row"),
    "a result without a call": (line({"messages": [{"role": "tool", "content": "a"}]}),
                                ":1: message 1: a tool's result, but no call"),
    "10 MB": (line({"messages": [user("a" * 10_000_000), assistant("b")]}),
              f":1: message 1: 10000000 characters are more than {LONGEST}"),
    "half a pair": (line({"messages": [user("\ud800"), assistant("b")]}),
                    ":1: message 1: .*surrogate"),
    "an unknown speaker": (line({"conversations": [{"from": "root", "value": "a"}]}),
                           ":1: message 1: the role 'root' is none of"),
    "a missing key": (line({"conversations": [{"from": "gpt"}]}), ":1: message 1: the assistant's"),
    "no list": (line({"conversations": 7}), ':1: .*"conversations" is 7, but must be a list'),
    "no tree": (line({"message_tree_id": 1, "prompt": "a"}), """:1: .*"prompt" is 'a', but must"""),
    "no answer's key": (line({"instruction": "a"}), ':1: .*"output" is missing'),
    "a weight of a half": (line({"messages": [user("a"), assistant("b", weight=0.5)]}),
                           ':1: message 2: "weight" is 0.5, but must be 0 or 1'),
    "all of weight 0": (line({"messages": [user("a"), assistant("b", weight=0)]}),
                        ":1: all messages of the assistant have weight 0"),
    "tools that are none": (line(GOOD | {"tools": [7]}), r":1: the tools are \[7\], but must be"),
    "50,000 characters": (line({"x" * 50_000 + "\x1b[31m": 1}), ":1: of no known format"),
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
    assert len(str(error.value)) < 400 and str(error.value).isprintable()


# ---------------------------------------------------------- What changes learning is not lost

SYSTEM = {"role": "system", "content": "S"}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
TOLD = 'You can call these functions:\n{"name": "weather", "parameters": {"type": "object"}}'
AB = [user("a"), assistant("b")]
VARIANTS = {
    "weight": ({"messages": [*AB, user("c"), assistant("d", weight=0)]},
               [*AB, user("c"), assistant("d", weight=0)]),
    "train false": ({"conversations": [{"from": "human", "value": "a"},
                                       {"from": "gpt", "value": "x", "train": False},
                                       {"from": "human", "value": "a"},
                                       {"from": "gpt", "value": "b", "train": True}]},
                    [user("a"), assistant("x", weight=0), *AB]),
    "loss 0 of a call": ({"messages": [
        user("a"), {"role": "assistant", "loss": 0, "function_call": {"name": "f",
                                                                      "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "r"}, assistant("b")]},
        [user("a"), called(1, "f", {}, "r")[0] | {"weight": 0}, called(1, "f", {}, "r")[1],
         assistant("b")]),
    "alpaca's system and history": (
        {"instruction": "a", "output": "b", "system": "S", "history": [["q", "r"], ["s", "t"]]},
        [SYSTEM, user("q"), assistant("r"), user("s"), assistant("t"), *AB]),
    "dolly's context": ({"instruction": "a", "context": "c", "response": "b", "category": "x"},
                        [user("a\n\nc"), assistant("b")]),
    "orca's system_prompt": ({"system_prompt": "S", "question": "a", "response": "b", "id": 1},
                             [SYSTEM, *AB]),
    "sharegpt's system and tools": (
        {"system": "S", "tools": json.dumps([WEATHER]), "conversations": [
            {"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
        [{"role": "system", "content": f"S\n\n{TOLD}"}, *AB]),
    "a column of tools": ({"messages": [SYSTEM, *AB], "tools": [WEATHER]},
                          [{"role": "system", "content": f"S\n\n{TOLD}"}, *AB]),
    "a null system": ({"instruction": "a", "input": None, "output": "b", "system": None}, AB),
    "null columns": ({"messages": None, "conversations": [
        {"from": "user", "value": "a"}, {"from": "model", "value": "b"}]}, AB),
    "role and content elsewhere": ({"conversations": [*AB]}, AB),
    "from and value in messages": ({"messages": [{"from": "human", "value": "a"},
                                                 {"from": "ai", "value": "b"}]}, AB),
    "speaker and text": ({"dialog": [{"speaker": "User", "text": "a"},
                                     {"speaker": "Bot", "text": "b"}]}, AB),
    "texts in turn": ({"id": "1", "data": ["a", "b"]}, AB),
    "inputs and outputs": ({"conversation": [{"input": "a", "output": "b"}]}, AB),
    "speakers as keys": ({"conversation": [{"human": "a", "assistant": "b"}]}, AB),
    "input and output": ({"input": "a", "output": "b"}, AB),
    "inputs and targets": ({"inputs": "a", "targets": "b"}, AB),
    "functions": ({"messages": AB, "functions": [WEATHER["function"]]},
                  [{"role": "system", "content": TOLD}, *AB]),
    "function_call and observation": ({"conversations": [
        {"from": "human", "value": "a"},
        {"from": "function_call", "value": '{"name": "f", "arguments": {"x": 1}}'},
        {"from": "observation", "value": "r"}, {"from": "gpt", "value": "b"}]},
        [user("a"), *called(1, "f", {"x": 1}, "r"), assistant("b")]),
    "hermes' calls in text": ({"conversations": [
        {"from": "human", "value": "a"}, {"from": "gpt", "value":
            'Hm.\n<tool_call>\n{"name": "f", "arguments": {"x": {"y": 1}}}\n</tool_call>'},
        {"from": "tool", "value": "r"}, {"from": "gpt", "value": "b"}]},
        [user("a"), *called(1, "f", {"x": {"y": 1}}, "r", "Hm."), assistant("b")]),
    "a developer": ({"messages": [{"role": "developer", "content": "S"}, *AB]}, [SYSTEM, *AB]),
    "prompt and completion": ({"prompt": "a", "completion": "b"}, AB),
    "prompt and completion as messages": ({"prompt": [SYSTEM, user("a")],
                                           "completion": [assistant("b")]}, [SYSTEM, *AB]),
    "chosen as messages": ({"prompt": "a", "chosen": AB, "rejected": AB}, AB),
    "chosen as an answer": ({"prompt": "a", "chosen": "b", "rejected": "c"}, AB),
    "chosen after messages": ({"prompt": [user("a")], "chosen": [assistant("b")],
                               "rejected": [assistant("c")]}, AB),
    "thinking": ({"messages": [user("a"), assistant("b", thinking="t")]},
                 [user("a"), assistant("b", reasoning_content="t")]),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_what_others_write_beside_or_under_other_names_is_understood(name, tmp_path):
    record, expected = VARIANTS[name]
    unused = Counter()
    (tmp_path / "a.json").write_text(json.dumps([record]))
    found, = formats.read(tmp_path / "a.json", None, unused)
    assert found["messages"] == expected == normal(expected) and not unused


def test_a_message_of_weight_0_reaches_the_loss_mask(tmp_path):
    talk = Talk(bpe.Tokenizer.from_merges([]))
    for name in "weight", "train false", "loss 0 of a call":
        messages, = read(tmp_path / "a.json", *line(VARIANTS[name][0]))
        ids, mask, *_ = talk.encode(messages)
        assert talk.encode([m | {"weight": 1} for m in messages]).ids == ids
        learned = bytes(i for i, bit in zip(ids, mask) if bit and i < 256)
        assert learned == b"b" and sum(mask) == 2
    assert talk.encode([user("a"), assistant("x", weight=0), *AB]).mask == [
        0 if place < 41 else bit for place, bit in enumerate(
            talk.encode([user("a"), assistant("x"), *AB]).mask)]


def test_flat_trees_are_joined_by_their_parents(tmp_path):
    def message(id, parent, role, text, **more):
        return {"message_id": id, "parent_id": parent, "role": role, "text": text, **more}
    tree = [message("a", None, "prompter", "a"), message("w", "a", "assistant", "worse", rank=1),
            message("d", "a", "assistant", "gone", rank=0, deleted=True),
            message("b", "a", "assistant", "b", rank=0), message("c", "b", "prompter", "c"),
            message("z", None, "prompter", "z"), message("y", "z", "assistant", "y")]
    for order in tree, tree[::-1]:
        found = read(tmp_path / "a.jsonl", *line(*order))
        assert sorted(found, key=str) == [[*AB, user("c")], [user("z"), assistant("y")]]


@pytest.mark.parametrize("text", [
    json.dumps(GOOD, indent=2), json.dumps([GOOD], indent=2), f"[{json.dumps(GOOD)}]",
    f"\ufeff\n{json.dumps(GOOD, indent=1)}\n", json.dumps(GOOD, indent=4).replace("\n", "\r\n")])
def test_pretty_json_and_arrays_are_read(tmp_path, text):
    assert read(tmp_path / "a.json", text.encode()) == [AB]
    if not text.lstrip("\ufeff\n").startswith("["):
        assert read(tmp_path / "a.json", (text + "\n" + text.strip("\ufeff")).encode()) == [AB, AB]


@pytest.mark.parametrize("bad", [
    {"messages": [user("a"), assistant("")]}, {"messages": [user("a"), *AB[1:], assistant("c")]},
    {"text": "a"}, 7, {"conversations": [{"from": "human", "value": None}]},
    {"message_tree_id": 1, "prompt": {}}])
def test_one_bad_conversation_among_good_ones_is_left_out_and_counted(tmp_path, bad):
    skipped = Counter()
    assert read(tmp_path / "a.jsonl", *line(GOOD, bad, GOOD), skipped=skipped) == [AB, AB]
    assert skipped.total() == 1


def test_columns_that_are_not_understood_are_counted(tmp_path):
    unused = Counter()
    records = [GOOD | {"mood": 1, "id": 3, "persona": None}, {"instruction": "a", "output": "b",
                                                              "choices": ["b"]},
               {"conversations": [{"from": "human", "value": "a", "image": "x"},
                                  {"from": "gpt", "value": "b"}]}]
    (tmp_path / "a.jsonl").write_bytes(b"".join(line(*records)))
    assert len([*formats.read(tmp_path / "a.jsonl", None, unused)]) == 3
    assert unused == {"mood": 1, "choices": 1, "conversations[].image": 1}


def test_broken_gzip_is_refused(tmp_path):
    data = gzip.compress(b"".join(line(GOOD)) * 999)
    for broken in (data[:-9], data[:40] + b"xx" + data[42:], b"no gzip"):
        with pytest.raises(ValueError, match="a.jsonl.gz: broken gzip data"):
            read(tmp_path / "a.jsonl.gz", broken)


@pytest.mark.parametrize("lines", [[b'{"text": "' + b"a" * 3000 + b'"}'],
                                   [b"[", *line(GOOD) * 40, b"]"],
                                   [b"{\n", *line(GOOD) * 40]])
def test_a_line_or_an_array_larger_than_the_memory_is_refused(tmp_path, monkeypatch, lines):
    """A .gz of 12 MB may hold 2.7 GB."""
    monkeypatch.setattr(files, "LARGEST_PACKED", 2000)
    with pytest.raises(ValueError, match="a.jsonl.gz:[12]: over 0 MB in one piece"):
        read(tmp_path / "a.jsonl.gz", gzip.compress(b"".join(lines)))
    with pytest.raises(ValueError, match="a.jsonl.gz:[12]: over 0 MB"):
        [*files.records(tmp_path / "a.jsonl.gz")]


def test_lines_are_packed_if_the_name_says_so_and_always_in_the_same_bytes(tmp_path, monkeypatch):
    for seconds in (1, 2e9):
        monkeypatch.setattr("time.time", lambda: seconds)
        files.write_lines(tmp_path / f"{seconds}.jsonl.gz", [{"\u00e9": i} for i in range(999)])
        assert [*files.records(tmp_path / f"{seconds}.jsonl.gz")] == [
            (i + 1, {"\u00e9": i}) for i in range(999)]
    first, second = (path.read_bytes() for path in tmp_path.iterdir())
    assert first == second and len(first) < 4000
    files.write_lines(tmp_path / "a.jsonl", iter(["a"]))
    assert (tmp_path / "a.jsonl").read_bytes() == b'"a"\n'


def test_the_command_converts_any_format_and_says_how_much_it_read(tmp_path):
    def command(*args):
        return programs.run("data/talk.py", *args, cwd=tmp_path)
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
    (tmp_path / "in/broken.json").write_text(json.dumps(GOOD | {"mood": 1}))
    assert "    1 have 'mood', which is not used\n" in command("in").stdout
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
