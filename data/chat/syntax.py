"""How models with a chat template of their own call tools: a small table of families.

The template describes the tools to the model, as `functions` has them. What an answer that has
ended says from `begin` on is, as `read` finds, calls, malformed calls, of which the model is told,
or text. Results go back as the template's tool messages (data/chat/template.py: reply).
"""

import json
import re
from reprlib import repr as short
from typing import Callable, NamedTuple

from csrc.files import ChatError
from data.chat.protocol import OBJECT, TOOLS, Asked, Form, read_call

MALFORMED = "malformed"      # what a call is called that nobody can read
DESCRIPTIONS = {"search": ("Search for pages; returns what they say, with their addresses.",
                           "What to look for."),
                "python": ("Run a Python program; returns what it prints.", "The program.")}


class Syntax(NamedTuple):
    """How a family writes calls.

    sign   what the templates of the family contain
    marks  what a call is made of, where the tokenizer has special tokens for that
    begin  matches the beginning of the calls in an answer, and what may become one at its end
    read   (from there on, names of tools) -> [Asked]; none where it is text
    form   how a model is made to call
    """

    sign: str
    marks: tuple[str, ...]
    begin: re.Pattern
    read: Callable
    form: Form


def functions(tools):
    """Return what templates are told of tools, OpenAI's "tools", of which ours are but names."""
    return [name if isinstance(name, dict) else {"type": "function", "function": {
        "name": name, "description": DESCRIPTIONS[name][0], "parameters": {
            "type": "object", "required": [TOOLS[name]], "properties": {
                TOOLS[name]: {"type": "string", "description": DESCRIPTIONS[name][1]}}}}}
            for name in tools]


def one(text, key="arguments"):
    """Return the Asked of a JSON object, or of its text, which has a "name" and, by `key` or
    "arguments", what it is called with."""
    try:
        call = json.loads(text, strict=False) if isinstance(text, str) else text
        if not isinstance(call, dict):
            raise ChatError(f"it is {short(call)}")
        given = call.get(key, call.get("arguments"))
        return Asked(*read_call({"function": {"name": call.get("name"), "arguments": given}}))
    except (ValueError, RecursionError) as error:
        return Asked(MALFORMED, {"call": str(text)[:1000]}, f"This call cannot be read: {error}. "
                     f"It must be a JSON object, {{\"name\": ..., \"{key}\": {{...}}}}.")


def hermes(text, names):
    """<tool_call>{...}</tool_call>, as often as there are calls: Hermes, Qwen."""
    found = re.findall(r"<tool_call>\s*(\{.*?)\s*(?:</tool_call>|\Z)", text, re.DOTALL)
    return [*map(one, found)]


def mistral(text, names):
    """[TOOL_CALLS][{...}, ...], or as newer ones do [TOOL_CALLS]name[ARGS]{...}."""
    parts = text.split("[TOOL_CALLS]")[1:]
    named = [re.fullmatch(r"\s*([\w.-]+)(?:\[CALL_ID\]\w+)?(?:\[ARGS\])?\s*(\{.*)", part, re.DOTALL)
             for part in parts]
    if all(named):
        return [one(f'{{"name": "{found[1]}", "arguments": {found[2].rstrip()}}}')
                for found in named]
    try:
        calls = json.loads(parts[0], strict=False)
    except (ValueError, RecursionError):
        calls = None
    return [*map(one, calls)] if isinstance(calls, list) else [one("".join(parts))]


def llama(text, names):
    """{"name": ..., "parameters": {...}} and nothing else, or code after <|python_tag|>: Llama 3.
    An object is text where it names no tool."""
    marked, text = text.startswith("<|python_tag|>"), text.removeprefix("<|python_tag|>").strip()
    if marked and not text.startswith("{"):
        return [Asked("python", {"code": text})]
    name = re.match(r'\{\s*(?:"type"\s*:\s*"function"\s*,\s*)?"name"\s*:\s*"([^"]*)"\s*,\s*'
                    r'"(?:parameters|arguments)"', text)
    return [one(text, "parameters")] if marked or name and name[1] in names else []


def growing(mark):
    """Return a pattern that matches a mark, or a beginning of it at a text's end."""
    return "|".join([re.escape(mark), *(rf"{re.escape(mark[:n])}\Z" for n in range(1, len(mark)))])


SYNTAXES = (
    Syntax("[ARGS]", ("[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"), re.compile(growing("[TOOL_CALLS]")),
           mistral, Form("[TOOL_CALLS]%s[ARGS]%s", between="")),
    Syntax("[TOOL_CALLS]", ("[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"),
           re.compile(growing("[TOOL_CALLS]")), mistral, Form(OBJECT, "[TOOL_CALLS][", ", ", "]")),
    Syntax("<tool_call>", ("<tool_call>", "</tool_call>"), re.compile(growing("<tool_call>")),
           hermes, Form(f"<tool_call>\n{OBJECT}\n</tool_call>", between="\n")),
    Syntax('"parameters"', ("<|python_tag|>",), re.compile(r"\A\s*(?:\{|<\|python_tag\|>|\Z)"),
           llama, Form(OBJECT.replace("arguments", "parameters"))),
)


def syntax_of(template):
    """Return the Syntax of the family to which a template belongs; None: it knows no tools."""
    return next((syntax for syntax in SYNTAXES if syntax.sign in template), None)
