"""What happens in a terminal: a chat with its commands, with a model here or at a server."""

import json
import sys
from contextlib import suppress
from dataclasses import fields
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from csrc.cli import nearest
from csrc.engine import Sampling
from csrc.files import ChatError, write_file, write_lines
from csrc.shown import plain, raw
from data.chat import formats, protocol
from data.chat.turn import Turn, talk_of
from data.tokens import show

LINES = 3            # of a tool's result that are shown


def converse(engine, model, what, answer):
    """Call `answer` with each line that is typed, until Ctrl-D. model: its name; what: a line that
    says what may be typed."""
    core = engine.model
    part = f" ({core.active / 1e6:.1f} for a token)" if core.config.experts else ""
    note(f"{model}: {core.parameters / 1e6:.1f} million parameters{part}, {core.device} "
         f"{core.dtype}, context {core.config.context} tokens\n"
         f"{what} Ctrl-C stops the model, Ctrl-D leaves.")
    listen(answer)


def listen(answer):
    """Call `answer` with each line that is typed, until Ctrl-D."""
    with suppress(ImportError):
        import readline  # noqa: F401  (arrow keys and history in input)
    while True:
        try:
            answer(input("> "))
        except EOFError:
            return print()
        except KeyboardInterrupt:
            note("\n(Ctrl-D leaves)")
        except (OSError, ChatError, UnicodeError) as error:
            note(error)


class Chat:
    """A conversation in a terminal. What the assistant says goes to stdout; its thoughts, its tools
    and what else there is to tell go to stderr.

    engine, settings  who answers, and how: of a chat's n-th answer, as a Turn with index n - 1
    tools, on         {name: Tool}, and the names of those that the assistant is offered
    system            what the system message says besides; "" is nothing
    think, budget     whether answers begin with a thought, and thoughts are shown; a Turn's budget
    messages          what was said, in protocol.normal's form, without the system message
    tokens            what the model read and wrote last; [] if not this conversation
    file              where this conversation was saved; None: nowhere
    """

    def __init__(self, engine, settings, tools, on=(), system="", budget=0):
        self.engine, self.settings, self.tools, self.system = engine, settings, tools, system
        self.budget = budget
        self.talk = talk_of(engine.tokenizer)
        self.think, self.messages, self.tokens, self.asked = self.talk.thinks, [], [], 0
        self.file, self.midline = None, False
        self.offer(on)

    def answer(self, line):
        """Do what a typed line says."""
        if not line.startswith("/"):
            if line.strip():
                self.ask(line)
            return
        name, _, rest = line[1:].partition(" ")
        known = [name[3:] for name in vars(Chat) if name.startswith("do_")]
        if name not in known:
            raise ChatError(f"/{name} is no command; the nearest is /{nearest(name, known)}, and "
                            f"/help lists all (a line that begins with a blank is no command)")
        getattr(self, f"do_{name}")(rest.strip())

    def ask(self, text):
        """Show how the assistant answers; return False if Ctrl-C stops it. What was said stays.
        ValueError, and nothing is said, if there is no room for `text`."""
        asked = [*self.messages, {"role": "user", "content": text}]
        turn = Turn(self.engine, self.heard(asked), self.settings, self.asked,
                    {name: self.tools[name] for name in self.on}, self.think,
                    budget=self.budget)
        if turn.dropped:
            note(f"(the {turn.dropped} oldest turns no longer fit into the context of "
                 f"{self.engine.model.config.context} tokens)")
        self.asked += 1
        try:
            self.show(turn)
        except KeyboardInterrupt:
            self.tell("(stopped)")
        finally:
            self.messages, self.tokens = protocol.normal(asked + turn.messages), turn.tokens
        if turn.finish == "length":
            made, context = len(turn.tokens) - turn.prompt, self.engine.model.config.context
            full = len(turn.tokens) > context
            self.tell(f"(cut off after {made} tokens: " + (
                f"the context of {context} is full; /new begins anew)" if full else
                "start again with a larger --max-tokens)"))
        self.say("\n" if self.midline else "")
        return bool(turn.finish)

    def show(self, turn):
        """Generate a turn, and print it as it grows."""
        kind, called, answered = turn.kind, 0, 0
        for _, _, text, _ in self.engine.generate([turn]):
            for call in turn.calls[answered:called]:
                self.tell_result(call.result)
            answered = called
            if kind == "text":
                self.say(text)
            elif kind == "think" and self.think:
                note(text, end="" if turn.kind == kind else "\n")
            for call in turn.calls[called:]:
                self.tell(f"{call.name}: {call.text}")
            called, kind = len(turn.calls), turn.kind
        for call in turn.calls[answered:]:
            if call.result:
                self.tell_result(call.result)

    def tell_result(self, result):
        """Show how a tool's result begins, and write its figures to files."""
        lines = result.text.splitlines()
        more = f"[{len(lines) - LINES} more lines]"
        self.tell("\n".join(["    " + line for line in lines[:LINES]]
                            + ["    " + more] * (len(lines) > LINES)))
        for figure in result.figures:
            name = next(name for i in count(1) if not Path(name := f"figure-{i}.png").exists())
            try:
                write_file(Path(name), figure)
            except (OSError, ChatError) as error:
                name = error
            self.tell(f"    {name}")

    def say(self, text):
        print(plain(text), end="", flush=True)
        self.midline = not text.endswith("\n") if text else self.midline

    def tell(self, text):
        self.say("\n" if self.midline else "")
        note(text)

    def heard(self, messages):
        """Return `messages` after the system message, if there is one."""
        system = self.talk.offering(self.system, self.on)
        return [{"role": "system", "content": system}] * bool(system) + messages

    def offer(self, names):
        """Offer the assistant these tools, but for those that are off."""
        off = {name: tool.off or self.talk.off for name, tool in self.tools.items()}
        for name in names:
            if name not in self.tools:
                raise ChatError(f"{name} is no tool; there are {' and '.join(self.tools)}")
            if off[name]:
                note(f"({name} is off: {off[name]})")
        self.on = [name for name in self.tools if name in names and not off[name]]

    # ---- Commands: their names, and what /help says

    def do_new(self, _):
        """/new: forget what was said; the system message stays"""
        self.messages, self.tokens, self.file = [], [], None

    def do_system(self, text):
        """/system TEXT: what the system message says; without TEXT there is none"""
        self.system = text
        note(f"(system message: {self.talk.offering(text, self.on) or 'none'})")

    def do_think(self, word):
        """/think on|off: begin answers with a thought, and show thoughts"""
        if word not in ("", "on", "off"):
            raise ChatError(f"/think is {word}, but must be on or off")
        self.talk.thought()                      # ChatError if it cannot
        self.think = word == "on" or not word and not self.think
        note(f"(thinking is {'on' if self.think else 'off'})")

    def do_tools(self, names):
        """/tools search python|off: what the assistant may use"""
        if names:
            self.offer([] if names == "off" else names.split())
        note(f"(tools: {', '.join(self.on) or 'none'})")

    def do_save(self, name):
        """/save FILE: write the conversation as OpenAI's messages, as train.py sft reads them"""
        path = Path(name or self.file or "")
        if not self.messages or not path.name:
            raise ChatError("/save needs something that was said, and a file to write it to")
        if path.exists() and path != self.file:
            raise ChatError(f"{path} exists: name another file")
        write_lines(path, [{"messages": protocol.normal(self.heard(self.messages))}])
        self.file = path
        note(f"({path}: {len(self.messages)} messages)")

    def do_load(self, name):
        """/load FILE: go on with the first conversation of a file; the tools stay as they are"""
        first = next(formats.read(Path(name)), None)
        if not first:
            raise ChatError(f"{name}: there is no conversation in it")
        system, messages = "", first["messages"]
        if messages[0]["role"] == "system":
            system, messages = messages[0]["content"], messages[1:]
        messages = protocol.normal(messages)
        offered = [tool for tool, offer in protocol.OFFERS.items() if offer in system]
        for tool in offered:
            system = system.replace(protocol.OFFERS[tool], "").strip()
        self.do_new("")
        self.system, self.messages = system, messages
        note(f"({name}: {len(messages)} messages)")
        for tool in offered:
            if tool not in self.on:
                note(f"(its assistant had {tool}; /tools {' '.join([*self.on, tool])} allows that)")
        for message in messages:
            if message["content"]:
                self.tell(f"{message['role']}: {message['content']}")

    def do_tokens(self, _):
        """/tokens: what the model reads and writes, token by token"""
        if not self.messages:
            raise ChatError("nothing was said yet")
        tokens = self.tokens or self.talk.prompt(self.heard(self.messages), tools=self.on)[0]
        context = self.engine.model.config.context
        print(show.draw([(show.spelled(self.engine.tokenizer, i), i) for i in tokens],
                        show.coloured(sys.stdout)), file=raw(sys.stdout))
        note(f"{len(tokens)} of {context} tokens, {100 * len(tokens) / context:.0f} %")

    def do_undo(self, _):
        """/undo: forget the last question and its answer"""
        last = max((i for i, m in enumerate(self.messages) if m["role"] == "user"), default=None)
        if last is None:
            raise ChatError("nothing was said yet")
        self.messages, self.tokens, gone = self.messages[:last], [], self.messages[last]["content"]
        return gone

    def do_retry(self, _):
        """/retry: ask the last question again"""
        self.ask(self.do_undo(""))

    def do_quit(self, _):
        """/quit: leave, as Ctrl-D does"""
        raise EOFError

    def do_help(self, _):
        """/help: this"""
        note("\n".join(what.__doc__ for name, what in vars(Chat).items() if name[:3] == "do_"))


# ---- With a server -------------------------------------------------------------------------------

class Remote(Chat):
    """A conversation with the assistant of a server that speaks OpenAI's API, as `infer.py serve`
    does: with its model of a name, or with its first."""

    HERE = ("think", "tools", "tokens")          # commands that need the model here

    def __init__(self, settings):
        """ChatError if the URL is none, or a flag is for a model here."""
        if settings.tools or settings.index:
            raise ChatError("--tools and --index are for a model here: leave out --url, or them")
        url = urlsplit(settings.url)
        if url.scheme not in ("http", "https") or not url.netloc:
            raise ChatError(f"--url is {settings.url}, but must be as http://127.0.0.1:8000")
        self.url = settings.url.rstrip("/").removesuffix("/v1") + "/v1/chat/completions"
        self.key, self.model, self.settings = settings.api_key, settings.model, settings
        self.system, self.messages, self.tokens, self.asked = settings.system, [], [], 0
        self.file, self.midline, self.tools, self.on = None, False, {}, []
        self.talk = SimpleNamespace(offering=lambda system, on: system)

    def answer(self, line):
        """Do what a typed line says."""
        if (name := line[1:].split(" ")[0]) in self.HERE and line.startswith("/"):
            raise ChatError(f"/{name} needs the model here: start without --url")
        super().answer(line)

    def ask(self, text):
        """Show how the assistant answers; return False if Ctrl-C stops it. What was said stays.
        ChatError, and nothing is said, if the server refuses."""
        asked = [*self.messages, {"role": "user", "content": text}]
        said, finish = {"role": "assistant", "content": ""}, ""
        how = {field.name: getattr(self.settings, field.name) for field in fields(Sampling)}
        body = {**how, "seed": (how["seed"] + self.asked) % 2 ** 64, "stop": [*how["stop"]],
                "messages": self.heard(asked), "stream": True,
                **({"model": self.model} if self.model else {})}
        with self.opened(body) as events:
            self.asked += 1
            try:
                for choice in choices(events):
                    finish = choice["finish_reason"]
                    thought = choice["delta"].get("reasoning_content") or ""
                    text = choice["delta"].get("content") or ""
                    note(thought, end="") if thought else self.say(text)
                    said["content"] += text      # once it is shown
            except KeyboardInterrupt:
                self.tell("(stopped)")
            finally:
                self.messages = protocol.normal([*asked, said])
        if finish == "length":
            self.tell("(cut off: --max-tokens or the context of the server's model is full)")
        self.say("\n" if self.midline else "")
        return bool(finish)

    def opened(self, body):
        """The server's answer; ChatError with its sentence if it refuses."""
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        try:
            return urlopen(Request(self.url, json.dumps(body).encode(), headers))
        except HTTPError as error:
            said = f"{self.url}: {error}"
            with suppress(ValueError, LookupError, TypeError):
                said = json.loads(error.read())["error"]["message"]
            raise ChatError(said) from error
        except URLError as error:
            raise ChatError(f"{self.url} does not answer: {error.reason}") from error


def choices(lines):
    """Yield the choices of a stream of events; ChatError where it tells of an error or breaks
    off."""
    for line in lines:
        data = line.decode("utf-8", "replace").strip().removeprefix("data: ")
        if data == "[DONE]":
            return
        if data.startswith("{"):
            event = json.loads(data)
            if "error" in event:
                raise ChatError(event["error"]["message"])
            yield from event["choices"]
    raise ChatError("the server broke off its answer")


# ---- How things look -----------------------------------------------------------------------------

def note(text, end="\n"):
    """Print a line about what goes on, on stderr."""
    print(show.paint(plain(str(text)), "2", sys.stderr), end=end, file=raw(sys.stderr), flush=True)
