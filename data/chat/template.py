"""Conversations in other models' words: by the chat template, in Jinja, that came with a model.

Whatever a message says, it makes no special token. A template is rendered as it is, so that it sees
the contents that it tests and trims; and once more with contents in letters that occur in no
special token. Where both have the same special tokens, and no content spells one, the first counts;
else the second, in which they can only be the template's. There each special token is put in by its
alias (data/tokens/codecs.py), and the whole is encoded at once: so innocent contents give exactly
the ids that transformers' apply_chat_template gives."""

import json
import re
import secrets
import select
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from reprlib import repr as short

from csrc.files import ChatError
from data.chat.protocol import NoRoom, normal
from data.tokens.codecs import alias

SECONDS = 10         # that a template may take
PLANES = range(0xF0000, 0x110000, 0x1000)        # where Unicode has room for private letters


class Renderer:
    """A process that renders templates; a new one where the last was too slow."""

    def __init__(self):
        self.process, self.lock = None, threading.Lock()

    def render(self, template, contexts):
        """Return what a template makes of each context; ChatError where it does not."""
        with self.lock:
            if not self.process or self.process.poll() is not None:
                program = Path(__file__).with_name("renderer.py")
                self.process = subprocess.Popen(
                    [sys.executable, "-I", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL, start_new_session=True)
            line = json.dumps({"template": template, "contexts": contexts}) + "\n"
            try:
                self.process.stdin.write(line.encode())
                self.process.stdin.flush()
                ready, *_ = select.select([self.process.stdout], [], [], SECONDS)
                answer = self.process.stdout.readline() if ready else b""
            except OSError:
                ready, answer = True, b""
            if not answer:
                self.process.kill()
                self.process = None
                raise ChatError("the chat template " + (
                    "ended the process that renders it: it may be too large, or jinja2 is not "
                    "installed (`pip install jinja2`)" if ready
                    else f"took more than {SECONDS} seconds"))
        answer = json.loads(answer)
        if "error" in answer:
            raise ChatError(f"the chat template cannot be used: {answer['error']}")
        return answer["texts"]


@cache
def renderer():
    """The Renderer of this process."""
    return Renderer()


class Template:
    """What protocol.Talk is for a model of our own, for one with a template.

    opens, closes  as Talk's: no marks of tools and thoughts are known
    """

    opening, opens, closes = [], {}, {}

    def __init__(self, tokenizer):
        """ChatError if the template cannot render a question."""
        self.tokenizer, self.source = tokenizer, tokenizer.config["chat_template"]
        if isinstance(self.source, list):        # of several, by name
            named = {one.get("name"): one.get("template") for one in self.source}
            self.source = named.get("default") or next(iter(named.values()), None)
        if not isinstance(self.source, str):
            raise ChatError(f"the chat template is {short(self.source)}, but must be text")
        names = sorted(tokenizer.specials, key=len, reverse=True)
        self.special = re.compile("|".join(map(re.escape, names)) or "(?!)")
        self.letters = sorted({*"".join(names)} - {*" \t\n"})
        self.variables = {key: tokenizer.named(key) or ""
                          for key in ("bos_token", "eos_token", "pad_token", "unk_token")}
        self.prompt([{"role": "user", "content": "Hello"}])

    def prompt(self, messages, limit=None):
        """Return (ids, dropped), as Talk.prompt does."""
        messages = normal(messages)
        begins = [i for i, message in enumerate(messages) if message["role"] == "user"]
        system = messages[:1] if messages[0]["role"] == "system" else []
        for dropped, begin in enumerate([len(system), *begins[1:]]):
            ids = self.encode(system + messages[begin:])
            if len(ids) <= (limit or len(ids)):
                return ids, dropped and begin - len(system)
        raise NoRoom(f"the last question takes {len(ids)} tokens, and there is room for {limit}: "
                     f"shorten it")

    def encode(self, messages, tools=None):
        """Return the ids of messages in normal form, and of how the assistant's next begins, if the
        last is not the assistant's: then that is left open."""
        end = secrets.token_hex(16)              # where the last message ends
        messages = [spoken(message) for message in messages]
        goes_on = messages[-1]["role"] == "assistant"
        if goes_on:
            messages[-1]["content"] += end
        try:
            text = self.render(messages, tools, not goes_on)
        except ChatError as error:
            if messages[0]["role"] != "system" or "ystem" not in str(error):
                raise
            text = self.render(without_system(messages), tools, not goes_on)
        return self.tokenizer.encode(text.partition(end)[0] if goes_on else text)

    def render(self, messages, tools, add_generation_prompt):
        """Return what the template makes of messages, with special tokens by their aliases."""
        said = json.dumps([messages, tools], ensure_ascii=False)
        first = next(p for p in PLANES if not re.search(f"[{chr(p)}-{chr(p + 0xfff)}]", said))
        hide = {ord(letter): first + i for i, letter in enumerate(self.letters)}
        contexts = [{**self.variables, "messages": replaced(messages, table),
                     "tools": replaced(tools, table),
                     "add_generation_prompt": add_generation_prompt}
                    for table in ({}, hide)]
        plain, hidden = renderer().render(self.source, contexts)
        if self.special.search(said) or \
                self.special.findall(plain) != self.special.findall(hidden):
            plain = hidden
        plain = self.special.sub(lambda found: alias(self.tokenizer.specials[found[0]]), plain)
        return plain.translate({there: letter for letter, there in hide.items()})

    def answer(self, ids):
        """Return the messages that an answer's ids stand for."""
        ids = [i for i in ids if i not in self.tokenizer.specials.values()]
        return [{"role": "assistant", "content": self.tokenizer.decode(ids)}]

    def call(self, ids):
        """Return None: no calls are known."""


def spoken(message):
    """Return a message as templates expect it: with a content, and arguments as an object."""
    message = {**message, "content": message["content"] or ""}
    if "tool_calls" in message:
        message["tool_calls"] = [
            {**call, "function": {**call["function"], "arguments": json.loads(
                call["function"]["arguments"])}} for call in message["tool_calls"]]
    return message


def without_system(messages):
    """Return messages whose system message begins the first question."""
    system, first, *rest = messages
    return [{**first, "content": f"{system['content']}\n\n{first['content']}"}, *rest]


def replaced(value, table):
    """Return a JSON value with the letters of its texts replaced by a table, but in roles, types
    and keys, which a template tests."""
    if isinstance(value, str):
        return value.translate(table)
    if isinstance(value, list):
        return [replaced(one, table) for one in value]
    if not isinstance(value, dict):
        return value
    return {key if re.fullmatch(r"[\w.-]*", key) else key.translate(table):
            one if key in ("role", "type") and isinstance(one, str)
            and re.fullmatch(r"\w*", one) else replaced(one, table) for key, one in value.items()}
