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
from bisect import bisect_left
from contextlib import suppress
from functools import cache
from itertools import accumulate, starmap
from pathlib import Path
from reprlib import repr as short

from csrc.files import ChatError
from data.chat.protocol import MARKS, Asked, Encoded, NoRoom, Talk, normal
from data.chat.syntax import functions, syntax_of
from data.tokens.codecs import alias

SECONDS = 10         # that a template may take
# For a model that has none: what it knows of texts tells it who speaks, and where an answer ends.
PLAIN = ("{% for message in messages %}{% if message.role != 'system' %}{{ message.role | title }}:"
         "\n{% endif %}{{ message.content }}{{ eos_token if message.role == 'assistant' }}\n\n"
         "{% endfor %}{% if add_generation_prompt %}Assistant:\n{% endif %}")
PLANES = range(0xF0000, 0x110000, 0x1000)        # where Unicode has room for private letters


class Renderer:
    """A process that renders templates; a new one where the last was too slow."""

    def __init__(self):
        self.process, self.lock = None, threading.Lock()

    def render(self, template, context, parts):
        """Return for each (n, ask) of `parts` what a template makes of a context, of whose messages
        the first n, where `ask` adds a prompt; ChatError where it does not."""
        with self.lock:
            if not self.process or self.process.poll() is not None:
                program = Path(__file__).with_name("renderer.py")
                self.process = subprocess.Popen(
                    [sys.executable, "-I", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL, start_new_session=True)
            line = json.dumps({"template": template, "context": context, "parts": parts},
                              ensure_ascii=False) + "\n"
            try:
                self.process.stdin.write(line.encode(errors="surrogatepass"))
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
        self.bytes = [*map(len, tokenizer.codec.tokens)]
        self.variables = {key: tokenizer.named(key) or ""
                          for key in ("bos_token", "eos_token", "pad_token", "unk_token")}
        self.opens = self.closes = {}
        self.think = [alias(tokenizer.specials[mark]) if mark in tokenizer.specials else mark
                      for mark in MARKS["think"]]
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
                self.syntax, self.form, self.off = syntax, syntax.form, None

    def offering(self, system, tools):
        """Return the system message: the template itself tells of tools."""
        return system

    def prompt(self, messages, limit=None, tools=()):
        """Return (ids, dropped), as Talk.prompt does."""
        system, rest, begins = cuts(normal(messages))
        if limit:                                # what certainly does not fit is not encoded
            sizes = [*accumulate((len((one["content"] or "").strip()) for one in rest[::-1]),
                                 initial=0)][::-1]
            begins = [i for i in begins if sizes[i] <= limit * max(self.bytes)] or begins[-1:]
        encoded = cache(lambda i: self.encode(system + rest[begins[i]:], tools))

        def fits(i):
            return not limit or len(encoded(i)) <= limit
        at = 0 if fits(0) else bisect_left(range(len(begins)), True, key=fits)
        if at == len(begins):
            raise NoRoom(f"the last question takes {len(encoded(at - 1))} tokens, and there is "
                         f"room for {limit}: shorten it")
        return encoded(at), begins[at]

    def encode(self, messages, tools=()):
        """Return the ids of messages in normal form, and of how the assistant's next begins, if the
        last is not the assistant's: then that is left open."""
        end, messages = secrets.token_hex(16), spoken(messages)      # where the last message ends
        goes_on = messages[-1]["role"] == "assistant"
        if goes_on:
            messages[-1]["content"] += end
        text, = self.render(messages, tools, (len(messages), not goes_on))
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
        whole = spoken([*messages, said, *shown])
        text, = self.render(whole, tools, (len(whole), True))
        before, _, after = text.partition(mark)
        ends = [found.end() for i in self.tokenizer.ends
                for found in re.finditer(re.escape(alias(i)), before)]
        if not ends or not after:
            raise ChatError("the chat template shows no results of tools")
        return self.tokenizer.encode(before[max(ends):] + after), [said, *told]

    def samples(self, messages, limit=None):
        """Return [Encoded], to train on, as Talk.samples does.

        An answer is what stands behind a prompt of all before it, up to the token that ends it. One
        Encoded has all answers whose prompts it begins with. Where the template shows old answers
        in other words than new ones, as without their thoughts, there are several. Where it begins
        a thought for the model, and shows none, that is there all the same. Of a token that belongs
        to an answer and to what stands before it the mask is 0.

        ChatError where the template does not show all of an answer, or not behind its prompt.
        """
        messages = normal(messages)
        last = max((i for i, one in enumerate(messages) if is_learned(one)), default=0)
        if not last:
            raise ChatError("no message is the assistant's answer: there is nothing to learn")
        for dropped, kept in shortened(messages[:last + 1]):
            answers = self.answers(spoken(kept))
            size = len(self.tokenizer.encode(answers[0][0]))
            if size <= (limit or size):
                break
        found = []
        for ids, mask in starmap(self.masked, answers):
            if any(mask[:limit]):
                found.append(Encoded(ids[:limit], mask[:limit], dropped * (not found),
                                     len(ids) - len(ids[:limit])))
        if not found:
            raise NoRoom(f"{limit} tokens have no room for the assistant's last answer, which "
                         f"ends after {size}")
        return found

    def answers(self, messages):
        """Return [(text, [(begin, end) of each answer])], the latest first, of messages as `spoken`
        gives them."""
        if self.off and any("tool_calls" in one for one in messages):
            raise ChatError(f"a tool is called, and {self.off}")
        learned, found = [i for i, one in enumerate(messages) if i and is_learned(one)], []
        texts = self.render(messages, (), *((i + shown, not shown) for i in learned
                                            for shown in (0, 1)))
        for i, prompt, text in reversed([*zip(learned, texts[::2], texts[1::2])]):
            before, mark, after = prompt.rpartition(self.think[0])
            if mark and not after.strip() and not text.startswith(prompt) \
                    and text.startswith(before):         # it shows none of what it asks for
                thought = messages[i].get("reasoning_content", "")
                text = f"{prompt}{thought}\n{self.think[1]}\n\n{text[len(before):]}"
            said = text.removeprefix(prompt)
            ends = [found.end() for found in re.finditer(alias(r"(\d+)"), said)
                    if int(found[1]) in self.tokenizer.ends]
            if said == text or not ends:
                raise ChatError("the chat template " + (
                    "puts no token behind an answer that ends it" if said != text else
                    "shows an answer in other words than it asks for one"))
            for what, one in parts_of(messages[i]):
                if "".join(one.split()) not in "".join(said.split()):
                    raise ChatError(f"the chat template does not show the assistant's {what}")
            end = len(prompt) + ends[0]
            if not found or not found[-1][0].startswith(text[:end]):
                found.append((text, []))
            found[-1][1].append((len(prompt), end))
        return found

    def masked(self, text, spans):
        """Return the ids of a text and their mask, 1 within the spans."""
        ids, mask = self.tokenizer.encode(text), []
        ends = [*accumulate(self.bytes[i] for i in ids)]
        for span in spans[::-1]:
            begin, end = (1 + bisect_left(ends, sum(
                self.bytes[i] for i in self.tokenizer.encode(text[:at]))) for at in span)
            mask += [0] * (begin - len(mask)) + [1] * (end - begin)
        return ids, mask + [0] * (len(ids) - len(mask))

    def render(self, messages, tools, *parts):
        """Return for each (n, ask) of `parts` what the template makes of the first n messages and,
        to `ask`, of how an answer begins; special tokens by their aliases. Where it knows no system
        message, the first question begins with that."""
        try:
            return self.rendered(messages, tools, parts)
        except ChatError as error:
            if messages[0]["role"] != "system" or "ystem" not in str(error):
                raise
            return self.rendered(without_system(messages), tools,
                                 [(n - 1, ask) for n, ask in parts])

    def rendered(self, messages, tools, parts):
        """Return the same, where the template knows all of it."""
        source, tools = self.sources[bool(tools)], functions(tools) or None
        said = json.dumps([messages, tools], ensure_ascii=False)
        first = next(p for p in PLANES if not re.search(f"[{chr(p)}-{chr(p + 0xfff)}]", said))
        hide = {ord(letter): first + i for i, letter in enumerate(self.letters)}

        def texts(table, parts):
            return renderer().render(source, {
                **self.variables, "messages": replaced(messages, table),
                "tools": replaced(tools, table)}, parts)
        plain, find = None, self.special.findall
        if not self.special.search(said):
            plain = texts({}, parts)
        if not plain or find(plain[-1]) != find(texts(hide, parts[-1:])[0]):
            plain = texts(hide, parts)
        back = {there: letter for letter, there in hide.items()}
        return [self.special.sub(lambda found: alias(self.tokenizer.specials[found[0]]), text)
                .translate(back) for text in plain]

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


def cuts(messages):
    """Return (system's messages, the rest, begins) of messages in normal form: where the rest may
    begin if its oldest are left out, at 0 or at a user's."""
    first = int(messages[0]["role"] == "system")
    rest = messages[first:]
    users = [i for i, message in enumerate(rest) if message["role"] == "user"]
    return messages[:first], rest, [0, *users[1:]]


def shortened(messages):
    """Yield (how many are left out, the rest) of messages in normal form, as `cuts` says."""
    system, rest, begins = cuts(messages)
    for begin in begins:
        yield begin, system + rest[begin:]


def is_learned(message):
    """Whether a message is one of the assistant's that is learned."""
    return message["role"] == "assistant" and message.get("weight", 1)


def parts_of(message):
    """Yield (what it is, text) of all that an answer must show."""
    yield "text", message["content"]
    yield "thoughts", message.get("reasoning_content", "")
    for call in message.get("tool_calls", ()):
        yield "calls", call["function"]["name"]


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
