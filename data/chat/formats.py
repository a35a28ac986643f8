"""Conversations in the formats that others publish, read as OpenAI's messages.

    turns           a list of turns under "messages", "conversations", "conversation", ...: OpenAI's
                    {"role", "content"}, ShareGPT's {"from", "value"}, or texts of user and
                    assistant in turn; beside it perhaps "system" and "tools"
    pairs           an instruction and its answer: Alpaca's {"instruction", "input", "output"} with
                    "system" and "history", Dolly's with "context", {"prompt", "completion"}, ...
    preferences     {"prompt", "chosen", "rejected"}, as texts, messages or transcripts of Human and
                    Assistant (hh-rlhf): the chosen one
    oasst           a tree of messages under "prompt", or one message a line with its "parent_id";
                    of it the path of the best ranked answers
    taskmaster      {"utterances": [{"speaker", "text", "annotations"}]}, Taskmaster-4's dialogues,
                    with calls of an API
    rewards         {"context", "generation", "reward"}, Taskmaster-4's judged steps: those of 1
    schema-guided   {"services", "turns"}: dialogues with calls of services
    self-instruct   {"instruction", "instances": [{"input", "output"}]}

What tells the format is which of their columns a record has (FORMATS). A function that a dialogue
calls keeps its name. A message of weight 0 (also "train": false) is read but not learned from.
"""

import json
import math
import re
from collections import Counter
from itertools import chain
from reprlib import repr as short

from csrc.files import ChatError, from_json, records
from data.chat import protocol
from data.chat.records import ABOUT, Format, present, recognize

ENDINGS = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
SPEAKER, TEXT = ("role", "from", "speaker", "author"), ("content", "value", "text", "message")
WEIGHTS = ("weight", "train", "loss", "trainable")      # 0 or false: nothing is learned from it
THOUGHTS = ("reasoning_content", "reasoning", "thinking")
CALLS = ("tool_calls", "tool_call_id", "function_call", "name")
ROLES = {"system": "system developer", "user": "user human prompter customer",
         "assistant": "assistant gpt chatgpt bing bard agent bot model ai",
         "call": "function_call tool_call",
         "tool": "tool function observation tool_response function_response ipython"}
ROLE_OF = {name: role for role, names in ROLES.items() for name in names.split()}
TOOL_CALL = re.compile(r"<tool_call>\s*(\{[^<]*\})\s*</tool_call>\s*")     # in text, as Hermes does


# ------------------------------------------------------------------------------------------ Reading

def read(path, skipped=None, unused=None):
    """Yield {"messages": normal messages} for each conversation of a file (Path). Records with
    "messages" keep their other columns, but "tools", which is told in the system message.

    skipped    a Counter: by reason, how many conversations are left out, as none can be learned
               from them
    unused     a Counter: by column, how many records have one that is not understood

    ChatError, with file and line, if something is not JSON, or if no conversation can be read
    because all are of no known format or not as their format should be.
    """
    skipped = Counter() if skipped is None else skipped
    unused = Counter() if unused is None else unused
    line, found, wrong, loose = 0, 0, None, []
    for line, record in chain(records(path), joined(loose)):
        try:
            record = present(record)
            form = recognize(record, FORMATS)
            if form.read is None:
                loose.append((line, record))
                continue
            unused.update(form.unused(record))
            unused.update(unused_in_turns(record) if form.read is turn_list else ())
            for conversation in conversations(form, record, skipped):
                yield conversation
                found += 1
        except (AttributeError, LookupError, RuntimeError, TypeError) as error:
            wrong = wrong or (line, f"not as its format should be ({short(repr(error))})")
            skipped["not as its format should be"] += 1
        except ValueError as error:
            wrong = wrong or (line, str(error))
            skipped[reason(error)] += 1
    if not line:
        raise ChatError(f"{path}: empty, there is no conversation in it")
    if wrong and not found:
        raise ChatError(f"{path}:{wrong[0]}: {wrong[1]}")


def conversations(form, record, skipped):
    """Yield the conversations of one record; what is wrong with the only one is a ChatError."""
    made = [*form.read(record)]
    for messages in made:
        try:
            if isinstance(messages, str):
                skipped[messages] += 1
                continue
            others = {column: value for column, value in record.items()
                      if column not in BESIDE} \
                if "messages" in record else {}
            yield others | {"messages": check(messages)}
        except ChatError as error:
            if len(made) == 1:
                raise
            skipped[reason(error)] += 1


def reason(error) -> str:
    """What is wrong, without the number of the message."""
    return re.sub(r"^message \d+: ", "", str(error))


def check(messages):
    """Return the normal form of messages; a ChatError if they are wrong, or a turn is empty, or
    there is nothing of the assistant's to learn."""
    messages = protocol.normal(messages)
    before = None
    for number, message in enumerate(messages, 1):
        role = message["role"]
        if not (message["content"] or "").strip() and "tool" not in (role, before) \
                and "tool_calls" not in message:
            raise ChatError(f"message {number}: the {role}'s is empty")
        before = role
    answers = [message for message in messages if message["role"] == "assistant"]
    if not answers:
        raise ChatError("no message is the assistant's")
    if all(message.get("weight") == 0 for message in answers):
        raise ChatError("all messages of the assistant have weight 0")
    return messages


# --------------------------------------------------------------------------- Turns, in any spelling

def message_of(turn):
    """Yield the messages of one turn."""
    if not isinstance(turn, dict):
        raise ChatError(f"{short(turn)} is not an object")
    turn = present(turn)
    if {"input", "output"} <= turn.keys():
        yield from (said("user", turn["input"]), said("assistant", turn["output"]))
        return
    if turn and turn.keys() <= ROLE_OF.keys() - {*SPEAKER}:      # {"human": ..., "assistant": ...}
        yield from (said(ROLE_OF[name], text) for name, text in turn.items())
        return
    speaker = next((turn[key] for key in SPEAKER if key in turn), None)
    role = ROLE_OF.get(speaker.lower()) if isinstance(speaker, str) else None
    if role is None:
        raise ChatError(f"the role {short(speaker)} is none of {', '.join(protocol.ROLES)}")
    text = next((turn[key] for key in TEXT if key in turn), None)
    message = {"role": role, "content": text}
    message.update({key: turn[key] for key in CALLS[:2] if key in turn})
    message.update({"reasoning_content": turn[key] for key in THOUGHTS if key in turn})
    if "function_call" in turn:                          # OpenAI's form before tools
        message["tool_calls"] = [{"function": turn["function_call"]}]
    if role == "call":
        calls = from_json(text) if isinstance(text, str) else text
        message = {"role": "assistant", "tool_calls": [
            {"function": call} for call in (calls if isinstance(calls, list) else [calls])]}
    elif role == "assistant" and isinstance(text, str) and (calls := TOOL_CALL.findall(text)):
        message["content"] = TOOL_CALL.sub("", text).rstrip()
        message["tool_calls"] = [{"function": from_json(call)} for call in calls]
    for key in WEIGHTS:
        if key in turn and message["role"] == "assistant":
            if turn[key] not in (0, 1):
                raise ChatError(f'"{key}" is {short(turn[key])}, but must be 0 or 1')
            message["weight"] = int(turn[key])
    yield message


def all_turns(turns):
    """Return the messages of a list of turns, or of texts of user and assistant in turn."""
    found = []
    for number, turn in enumerate(turns):
        try:
            found += [said(("user", "assistant")[number % 2], turn)] if isinstance(turn, str) \
                else message_of(turn)
        except (ChatError, json.JSONDecodeError) as error:
            raise ChatError(f"message {number + 1}: {error}") from error
    return found


def unused_in_turns(record):
    """Yield the keys of turns that nothing is made of."""
    known = {*SPEAKER, *TEXT, *WEIGHTS, *THOUGHTS, *CALLS, *ABOUT, *ROLE_OF, "input", "output"}
    for column in LISTS:
        for turn in record.get(column, ()):
            if isinstance(turn, dict):
                yield from (f"{column}[].{key}" for key in present(turn) if key not in known)


def said(role, text):
    """Return a message."""
    return {"role": role, "content": text}


def called(name, arguments):
    """Return a message of the assistant that calls a function."""
    function = {"name": name, "arguments": arguments}
    return {"role": "assistant", "tool_calls": [{"function": function}]}


def resulted(value):
    """Return the message of a function that returned this: text, or what JSON has."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return {"role": "tool", "content": text}


def introduced(record, messages):
    """Return messages after what a record says beside them: a system message, tools."""
    tools = record.get("tools") or record.get("functions") or []
    tools = from_json(tools) if isinstance(tools, str) else tools
    parts = [next((record[key] for key in SYSTEM if key in record), "")]
    if messages and messages[0]["role"] == "system" and any([*parts, tools]):
        parts.append(messages[0]["content"] or "")
        messages = messages[1:]
    system = protocol.describing("\n\n".join(filter(None, parts)), tools)
    return [said("system", system), *messages] if system else messages


# --------------------------------------------------------------- The formats: messages, or why none

LISTS = ("messages", "conversations", "conversation", "dialogue", "dialog", "data")
QUESTIONS = ("instruction", "prompt", "question", "query", "inputs", "input")
ANSWERS = ("output", "response", "completion", "answer", "targets")
TEXTS = (str, list)
SYSTEM, INPUT = ("system", "system_prompt"), ("input", "context")


def turn_list(record):
    """A list of turns."""
    turns = next(record[key] for key in LISTS if isinstance(record.get(key), list))
    yield introduced(record, all_turns(turns))


def pair(record):
    """A question and an answer, each a text or messages; after the question a blank line and its
    input, and before it what was said before."""
    asked, answer = (next(key for key in keys if isinstance(record.get(key), TEXTS))
                     for keys in (QUESTIONS, ANSWERS))
    question, answer = record[asked], record[answer]
    messages = [said(role, text) for pair in record.get("history", ())
                for role, text in zip(("user", "assistant"), pair, strict=True)]
    if isinstance(question, str):
        given = [record[key] for key in INPUT if key != asked and record.get(key, "").strip()]
        messages.append(said("user", "\n\n".join([question, *given])))
    else:
        messages += all_turns(question)
    messages += [said("assistant", answer)] if isinstance(answer, str) else all_turns(answer)
    yield introduced(record, messages)


def preference(record):
    """The chosen one: a transcript, an answer to the prompt, or messages with or without it."""
    prompt, chosen = record.get("prompt", []), record["chosen"]
    if isinstance(chosen, str):
        before, *parts = re.split(r"\n\n(Human|Assistant):", chosen)
        if parts and not before.strip():
            yield [said(ROLE_OF[role.lower()], text.strip())
                   for role, text in zip(parts[::2], parts[1::2])]
            return
        if not prompt:
            raise ChatError(f"the transcript begins with {short(before)}, not Human:")
        chosen = [said("assistant", chosen)]
    chosen = all_turns(chosen)
    prompt = all_turns([said("user", prompt)] if isinstance(prompt, str) else prompt)
    whole = any(message["role"] == "user" for message in chosen)
    yield introduced(record, chosen if whole else prompt + chosen)


def oasst(record):
    """Of the replies to a message the best ranked, of unranked ones the first; none deleted."""
    message, messages = record["prompt"], []
    while message:
        messages += message_of(message)
        replies = [reply for reply in message["replies"] if not reply.get("deleted")]
        ranks = [math.inf if reply.get("rank") is None else reply["rank"] for reply in replies]
        message = replies[ranks.index(min(ranks))] if replies else None
    yield messages


def joined(messages):
    """Yield (line, record) of each tree of (line, message) that are joined by "parent_id": of its
    first message, with those that answer it in "replies"."""
    by_id = {message["message_id"]: {**message, "replies": []} for _, message in messages}
    for message in by_id.values():
        if parent := by_id.get(message.get("parent_id")):
            parent["replies"].append(message)
    for line, message in messages:
        if message.get("parent_id") not in by_id:
            yield line, {"message_tree_id": "", "prompt": by_id[message["message_id"]]}


def taskmaster(record):
    """The calls noted at an utterance of the user come after it."""
    messages = []
    for utterance in record["utterances"]:
        messages += message_of(utterance)
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
    """The steps of a dialogue, if the last was rated 1."""
    if record["reward"] != 1:
        yield f"its last step is rated {record['reward']}, not 1"
        return
    messages = []
    for step in [*from_json(record["context"]), from_json(record["generation"])]:
        if "text" in step:
            messages += message_of(step)
        messages += [called(*item) for item in step.get("api", {}).items()]
        messages += map(resulted, step.get("response", {}).values())
    yield messages


def schema_guided(record):
    """A dialogue with calls of services."""
    messages = []
    for turn in record["turns"]:
        for frame in turn["frames"]:
            if "service_call" in frame:
                call = frame["service_call"]
                messages += [called(call["method"], call["parameters"]),
                             resulted(frame["service_results"])]
        role = "assistant" if turn["speaker"] == "SYSTEM" else ROLE_OF[turn["speaker"].lower()]
        messages.append(said(role, turn["utterance"]))
    yield messages


def self_instruct(record):
    """An instruction with several inputs."""
    for instance in record["instances"]:
        yield from pair({"instruction": record["instruction"], **instance})


def questions(record):
    """Turns, or as of MT-bench only what the user asks."""
    return [all_turns(record["turns"]) if any(isinstance(turn, dict) for turn in record["turns"])
            else "questions without answers"]


BESIDE = (*SYSTEM, "tools", "functions")
FORMATS = [
    *(Format(f"turns under {column}", {column: list}, turn_list, BESIDE) for column in LISTS),
    Format("taskmaster", {"utterances": list}, taskmaster, None),
    Format("rewards", {"context": str, "generation": str, "reward": (int, float)}, rewards, None),
    Format("schema-guided", {"services": list, "turns": list}, schema_guided, None),
    *(Format(f"{question} and {answer}", {question: TEXTS, answer: TEXTS}, pair,
             (*BESIDE, *INPUT, "history", "chosen", "rejected"))
      for question in QUESTIONS for answer in ANSWERS),
    Format("self-instruct", {"instruction": str, "instances": list}, self_instruct, None),
    Format("preferences", {"chosen": TEXTS}, preference, (*BESIDE, "prompt", "rejected")),
    Format("oasst", {"message_tree_id": (str, int), "prompt": dict}, oasst, None),
    Format("oasst, a message a line", {"message_id": str, "role": str, "text": str}, None, None),
    Format("descriptions", {"service_name": str},
           lambda record: ["a description of a service"], None),
    Format("questions", {"turns": list}, questions, None),
    Format("answers", {"choices": list}, lambda record: ["answers without questions"], None),
]
