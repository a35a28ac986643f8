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
from contextlib import suppress
from functools import cache
from pathlib import Path
from reprlib import repr as short

from csrc.files import ChatError
from data.chat.protocol import MARKS, Asked, NoRoom, Talk, normal
from data.chat.syntax import functions, syntax_of
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

    opens, closes  as Talk's: of thoughts
    syntax         how the model calls tools (data/chat/syntax.py), or None: it does not; and `off`
                   says so
    """

    opening = []
    is_mark = Talk.is_mark

    def __init__(self, tokenizer):
        """ChatError if the template cannot render a question."""
        self.tokenizer, source = tokenizer, tokenizer.config["chat_template"]
        named = {"default": source}
        if isinstance(source, list):             # of several, by name
            named = {one.get("name"): one.get("template") for one in source}
            source = named.get("default") or next(iter(named.values()), None)
        if not isinstance(source, str):
            raise ChatError(f"the chat template is {short(source)}, but must be text")
        self.sources = {False: source, True: named.get("tool_use") or source}
        names = sorted(tokenizer.specials, key=len, reverse=True)
        self.special = re.compile("|".join(map(re.escape, names)) or "(?!)")
        self.letters = sorted({*"".join(names)} - {*" \t\n"})
        self.variables = {key: tokenizer.named(key) or ""
                          for key in ("bos_token", "eos_token", "pad_token", "unk_token")}
        self.opens = self.closes = {}
        think = [[tokenizer.specials[mark]] if mark in tokenizer.specials else
                 tokenizer.encode(mark) for mark in MARKS["think"]]
        if [*map(len, think)] == [1, 1]:
            self.opens, self.closes = ({ids[0]: "think"} for ids in think)
        self.thinks = bool(self.opens)
        question, self.syntax, self.marks = [{"role": "user", "content": "Hello"}], None, set()
        self.off = "this model's chat template tells of no tools"
        self.prompt(question)
        if syntax := syntax_of(self.sources[True]):
            with suppress(ChatError):
                self.reply(question, ["python"], [], [Asked("python", {"code": "1"})], ["1"])
                self.marks = {tokenizer.specials[mark] for mark in syntax.marks
                              if mark in tokenizer.specials}
                self.syntax, self.off = syntax, None

    def offering(self, system, tools):
        """Return the system message: the template itself tells of tools."""
        return system

    def prompt(self, messages, limit=None, tools=()):
        """Return (ids, dropped), as Talk.prompt does."""
        messages = normal(messages)
        begins = [i for i, message in enumerate(messages) if message["role"] == "user"]
        system = messages[:1] if messages[0]["role"] == "system" else []
        for dropped, begin in enumerate([len(system), *begins[1:]]):
            ids = self.encode(system + messages[begin:], tools)
            if len(ids) <= (limit or len(ids)):
                return ids, dropped and begin - len(system)
        raise NoRoom(f"the last question takes {len(ids)} tokens, and there is room for {limit}: "
                     f"shorten it")

    def encode(self, messages, tools=()):
        """Return the ids of messages in normal form, and of how the assistant's next begins, if the
        last is not the assistant's: then that is left open."""
        end, messages = secrets.token_hex(16), spoken(messages)      # where the last message ends
        goes_on = messages[-1]["role"] == "assistant"
        if goes_on:
            messages[-1]["content"] += end
        text = self.render(messages, tools, not goes_on)
        return self.tokenizer.encode(text.partition(end)[0] if goes_on else text)

    def reply(self, messages, tools, ids, calls, results):
        """Return (ids, messages): what the model reads after an answer `ids` to messages in normal
        form, which made calls; and the messages that the answer and the results are. ChatError if
        the template shows no results behind the answer's end."""
        messages = normal(messages)
        mark, first = secrets.token_hex(16), len(messages)           # where the results begin
        said, = self.answer(ids)
        said["content"] = said["content"][:self.certain(said["content"])].rstrip()
        said["tool_calls"] = [
            {"id": f"call_{first + i}", "type": "function", "function": {
                "name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)}}
            for i, call in enumerate(calls)]
        told = [{"role": "tool", "tool_call_id": f"call_{first + i}", "content": result}
                for i, result in enumerate(results)]
        shown = [{**told[0], "content": mark + told[0]["content"]}, *told[1:]]
        text = self.render(spoken([*messages, said, *shown]), tools, True)
        before, _, after = text.partition(mark)
        ends = [found.end() for i in self.tokenizer.ends
                for found in re.finditer(re.escape(alias(i)), before)]
        if not ends or not after:
            raise ChatError("the chat template shows no results of tools")
        return self.tokenizer.encode(before[max(ends):] + after), [said, *told]

    def render(self, messages, tools, add_generation_prompt):
        """Return what the template makes of messages, with special tokens by their aliases. Where
        it knows no system message, the first question begins with that."""
        try:
            return self.rendered(messages, tools, add_generation_prompt)
        except ChatError as error:
            if messages[0]["role"] != "system" or "ystem" not in str(error):
                raise
            return self.rendered(without_system(messages), tools, add_generation_prompt)

    def rendered(self, messages, tools, add_generation_prompt):
        """Return the same, where the template knows all of it."""
        source, tools = self.sources[bool(tools)], functions(tools) or None
        said = json.dumps([messages, tools], ensure_ascii=False)
        first = next(p for p in PLANES if not re.search(f"[{chr(p)}-{chr(p + 0xfff)}]", said))
        hide = {ord(letter): first + i for i, letter in enumerate(self.letters)}
        contexts = [{**self.variables, "messages": replaced(messages, table),
                     "tools": replaced(tools, table),
                     "add_generation_prompt": add_generation_prompt}
                    for table in ({}, hide)]
        plain, hidden = renderer().render(source, contexts)
        if self.special.search(said) or \
                self.special.findall(plain) != self.special.findall(hidden):
            plain = hidden
        plain = self.special.sub(lambda found: alias(self.tokenizer.specials[found[0]]), plain)
        return plain.translate({there: letter for letter, there in hide.items()})

    def answer(self, ids):
        """Return the messages that an answer's ids stand for."""
        close = max((at for at, i in enumerate(ids) if i in self.closes), default=-1)
        thought = [self.text(ids[:close])] if close >= 0 else []
        return [{"role": "assistant", **{"reasoning_content": text for text in thought},
                 "content": self.text(ids[close + 1:]).lstrip("\n" * len(thought))}]

    def thought(self):
        """Return the ids that begin a thought, none: when it thinks, the template or the model
        says."""
        if not self.opens:
            raise ChatError("this model's tokenizer has no tokens for thoughts")
        return []

    def text(self, ids):
        """Return the text of ids, of special tokens only what calls are made of."""
        dropped = {*self.tokenizer.specials.values(), *self.tokenizer.ends, *self.opens}
        return self.tokenizer.decode([i for i in ids if i in self.marks or i not in dropped])

    def certain(self, text, tools="all"):
        """Return how much of an answer's text is certain to belong to no call of tools."""
        found = tools and self.syntax and self.syntax.begin.search(text)
        return found.start() if found else len(text)

    def calls(self, ids, tools):
        """Return [Asked], the calls of tools that an answer which has ended makes."""
        if not tools or not ids or ids[-1] not in self.tokenizer.ends:
            return []
        text = self.answer(ids)[0]["content"]
        return self.syntax.read(text[self.certain(text):], tools)


def spoken(messages):
    """Return messages as templates expect them: with contents, arguments as objects, and results
    with their tools' names. Some ask for ids of nine letters or digits."""
    found, names = [], {}
    for message in messages:
        message = {**message, "content": message["content"] or ""}
        if "tool_call_id" in message:
            place = message["tool_call_id"]
            message |= {"tool_call_id": nine(place), "name": names.get(place, "")}
        if "tool_calls" in message:
            names |= {call["id"]: call["function"]["name"] for call in message["tool_calls"]}
            message["tool_calls"] = [
                {**call, "id": nine(call["id"]), "function": {
                    **call["function"], "arguments": json.loads(call["function"]["arguments"])}}
                for call in message["tool_calls"]]
        found.append(message)
    return found


def nine(name):
    """Return the id of a call in normal form, as nine letters and digits."""
    return f"call{int(name.removeprefix('call_')):05d}"


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
