"""Conversations in the formats that others publish, read as OpenAI's messages (data/talk.py).

    openai          {"messages": [{"role", "content", ...}]}
    sharegpt        {"conversations": [{"from", "value"}]}, as of FastChat
    oasst           {"prompt": a tree of messages}; of it the path of the best ranked answers
    taskmaster      {"utterances": [{"speaker", "text", "annotations"}]}, Taskmaster-4's dialogues,
                    with calls of an API
    rewards         {"context", "generation", "reward"}, Taskmaster-4's judged steps: those of 1
    schema-guided   {"services", "turns"}: dialogues with calls of services
    self-instruct   {"instruction", "instances": [{"input", "output"}]}
    alpaca          {"instruction", "input", "output"}; also GPTeacher's, with "response"
    hh-rlhf         {"chosen", "rejected"}: transcripts of Human and Assistant; the chosen one

The first record key of FORMATS tells which it is, record by record. A function that a dialogue
calls keeps its name.
"""
import gzip
import json
import math
import re
import zlib
from collections import Counter
from reprlib import repr as short

from csrc.files import ChatError
from data.chat import protocol
from data.tokens import documents

ENDINGS = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
BLANK = re.compile(r"\s*")


# ------------------------------------------------------------------------------------------ Reading

def read(path, skipped=None):
    """Yield {"messages": normal messages} for each conversation of a file (Path) of JSON lines or
    of one JSON array, also as .gz. OpenAI's keep the other keys of their records.

    skipped    a Counter: by reason, how many of others' formats have none to learn from

    ValueError, with file and line, if something is not JSON or of no known format, or not as its
    format says; or if a conversation in OpenAI's format, which is ours, is not one to learn from.
    """
    line = 0
    for line, record in records(path):
        try:
            yield from convert(record, Counter() if skipped is None else skipped)
        except ValueError as error:
            raise ChatError(f"{path}:{line}: {error}") from error
        except (AttributeError, KeyError, IndexError, TypeError, RecursionError) as error:
            raise ChatError(f"{path}:{line}: not as its format should be ({error!r})") from error
    if not line:
        raise ChatError(f"{path}: empty, there is no conversation in it")


def convert(record, skipped):
    """Yield the conversations of one record."""
    if not isinstance(record, dict):
        raise ChatError(f"{short(record)} is not an object")
    key = next((key for key in FORMATS if key in record), None)
    if key is None:
        raise ChatError(f"of no known format: the keys are {short([*record])}, and one of "
                        f"{', '.join(FORMATS)} should be among them")
    if key == "messages":
        yield {**record, "messages": check(record[key])}
        return
    for messages in FORMATS[key](record):
        try:
            if isinstance(messages, str):
                raise Unfit(messages)
            yield {"messages": check(messages)}
        except Unfit as error:
            skipped[re.sub(r"^message \d+: ", "", str(error))] += 1


class Unfit(ValueError):
    """Why a conversation is none to learn from."""


def check(messages):
    """Return talk.normal(messages); Unfit if they are wrong, or a turn is empty, or none is the
    assistant's."""
    try:
        messages = protocol.normal(messages)
    except ValueError as error:
        raise Unfit(str(error)) from error
    before = None
    for number, message in enumerate(messages, 1):
        role = message["role"]
        if not (message["content"] or "").strip() and "tool" not in (role, before) \
                and "tool_calls" not in message:
            raise Unfit(f"message {number}: the {role}'s is empty")
        before = role
    if all(message["role"] != "assistant" for message in messages):
        raise Unfit("no message is the assistant's")
    return messages


def records(path):
    """Yield (line, value) of each value in a file of JSON lines, or in its one array."""
    number = 1
    try:
        with documents.open_input(path) as file:
            for number, line in enumerate(file, 1):
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                if text.lstrip().startswith("["):
                    yield from items(path, number, text + file.read().decode())
                elif not text.isspace():
                    yield number, parse(path, number, json.loads, text.rstrip("\n"))
    except UnicodeDecodeError as error:
        raise ChatError(f"{path}:{number}: not UTF-8 at byte {error.start} of the line "
                        f"({error.reason})") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ChatError(f"{path}: broken gzip data ({error})") from error


def items(path, number, text):
    """Yield (line, value) of each value in the array that is all of `text`, from line `number`."""
    decode, line, counted = json.JSONDecoder().raw_decode, number, 0
    at = text.index("[")
    while True:
        begin = BLANK.match(text, at + 1).end()
        if text[at] == "[" and text[begin:begin + 1] == "]":
            at = begin
            break
        line, counted = line + text.count("\n", counted, begin), begin
        value, end = parse(path, number, decode, text, begin)
        yield line, value
        at = BLANK.match(text, end).end()
        if text[at:at + 1] != ",":
            break
    if text[at:].strip() != "]":
        raise ChatError(f"{path}:{line}: not JSON (after what begins here, the array does not "
                        f"go on or end)")


def parse(path, number, decode, *text):
    """Return decode(*text), of which the first line is that number of the file."""
    try:
        return decode(*text)
    except json.JSONDecodeError as error:
        raise ChatError(f"{path}:{number + error.lineno - 1}: not JSON ({error.msg} at column "
                        f"{error.colno})") from error
    except RecursionError as error:
        raise ChatError(f"{path}:{number}: nested too deeply for JSON") from error


# --------------------------------------------------------------- The formats: messages, or why none

SPEAKERS = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant",
            "bard": "assistant", "prompter": "user", "agent": "assistant"}


def said(speaker, text):
    """Return a message, the speaker's name as in any of the formats."""
    role = speaker.lower()
    role = SPEAKERS.get(role, role)
    if role not in ("system", "user", "assistant"):
        raise ChatError(f"the speaker {short(speaker)} is unknown")
    return {"role": role, "content": text}


def called(name, arguments):
    """Return a message of the assistant that calls a function."""
    function = {"name": name, "arguments": arguments}
    return {"role": "assistant", "tool_calls": [{"function": function}]}


def resulted(value):
    """Return the message of a function that returned this: text, or what JSON has."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return {"role": "tool", "content": text}


def sharegpt(record):
    yield [said(turn["from"], turn["value"]) for turn in record["conversations"]]


def oasst(record):
    """Of the replies to a message the best ranked, of unranked ones the first; none deleted."""
    message, messages = record["prompt"], []
    while message:
        messages.append(said(message["role"], message["text"]))
        replies = [reply for reply in message["replies"] if not reply.get("deleted")]
        ranks = [math.inf if reply.get("rank") is None else reply["rank"] for reply in replies]
        message = replies[ranks.index(min(ranks))] if replies else None
    yield messages


def taskmaster(record):
    """The calls noted at an utterance of the user come after it."""
    messages = []
    for utterance in record["utterances"]:
        messages.append(said(utterance["speaker"], utterance["text"]))
        for note in utterance["annotations"]:
            if note["name"] == "api_call":
                messages.append(called(note["value"], "{}"))
            elif note["name"] == "request":
                messages[-1] = called(messages[-1]["tool_calls"][0]["function"]["name"],
                                      note["value"])
            elif note["name"] == "response":
                messages.append(resulted(note["value"]))
    yield messages


def rewards(record):
    if record["reward"] != 1:
        yield f"its last step is rated {record['reward']}, not 1"
        return
    messages = []
    for step in [*json.loads(record["context"]), json.loads(record["generation"])]:
        if "text" in step:
            messages.append(said(step["role"], step["text"]))
        messages += [called(*item) for item in step.get("api", {}).items()]
        messages += map(resulted, step.get("response", {}).values())
    yield messages


def schema_guided(record):
    messages = []
    for turn in record["turns"]:
        for frame in turn["frames"]:
            if "service_call" in frame:
                call = frame["service_call"]
                messages += [called(call["method"], call["parameters"]),
                             resulted(frame["service_results"])]
        role = "assistant" if turn["speaker"] == "SYSTEM" else turn["speaker"]
        messages.append(said(role, turn["utterance"]))
    yield messages


def asked(instruction, given, answer):
    """Return two messages: an instruction, then a blank line and its input if there is one."""
    question = f"{instruction}\n\n{given}" if given.strip() else instruction
    return [said("user", question), said("assistant", answer)]


def self_instruct(record):
    for instance in record["instances"]:
        yield asked(record["instruction"], instance["input"], instance["output"])


def alpaca(record):
    answer = record["output" if "output" in record else "response"]
    yield asked(record["instruction"], record.get("input", ""), answer)


def hh_rlhf(record):
    before, *parts = re.split(r"\n\n(Human|Assistant):", record["chosen"])
    if before.strip():
        raise ChatError(f"the transcript begins with {short(before)}, not Human:")
    yield [said(role if role == "Assistant" else "user", text.strip())
           for role, text in zip(parts[::2], parts[1::2])]


FORMATS = {
    "messages": None,  # OpenAI's, which is ours
    "conversations": sharegpt,
    "utterances": taskmaster,
    "generation": rewards,
    "services": schema_guided,
    "instances": self_instruct,
    "instruction": alpaca,
    "chosen": hh_rlhf,
    "message_tree_id": oasst,
    "service_name": lambda record: ["a description of a service"],
    "turns": lambda record: ["questions without answers"],
    "choices": lambda record: ["answers without questions"],
}
