"""The assistant's turn in a conversation: a Sequence (csrc/engine.py) made of messages, in which
the model may think and call tools.

Where the model has written <|search_start|>query<|search_end|>, a thread asks the tool, while other
sequences go on; then the model reads <|result_start|>...<|result_end|> and continues. Models with a
template of their own call tools at an answer's end, and then give another one.

    engine = load("runs/sft")
    turn = Turn(engine, [{"role": "user", "content": "Who is Mara Holm?"}], Sampling())
    for _, token, text, _ in engine.generate([turn]):
        print(text, end="")
    turn.messages                            # what to append to the conversation
"""

import os
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from threading import Thread

from csrc import gguf
from csrc.bind import GENERATES, Library, Model
from csrc.engine import Engine, Sequence
from csrc.files import ChatError, from_json, read_json
from csrc.runs import read_settings
from data.chat import protocol, tools as toolbox
from data.chat.template import Template
from data.tokens import bpe

CALLS = 8            # of tools in one turn at most
READ = 4096          # tokens of their results in one turn at most
LOG_LINE = 1 << 16   # the most bytes of a line of a run's log
LEFT = 32            # tokens that a result leaves to the answer, if there are as many


def load(folder, device="auto", dtype="auto", room=None, **how):
    """Return the Engine of a Hugging Face folder or a GGUF file; room: as Model.load takes it,
    `how` as Engine does."""
    folder = gguf.opened(folder)
    tokenizer = bpe.Tokenizer.load(folder)
    model = Model.load(folder, *Library.choose(device, dtype), GENERATES, room)
    return Engine(model, tokenizer, **how)


@lru_cache(maxsize=4)
def talk_of(tokenizer):
    """Return the protocol.Talk of a tokenizer, or the Template that came with it. ChatError if it
    knows no conversations."""
    if tokenizer.config.get("chat_template") not in (None, bpe.CHAT_TEMPLATE):
        return Template(tokenizer)
    try:
        return protocol.Talk(tokenizer)
    except ChatError as error:
        raise ChatError("this model's tokenizer has no tokens for conversations: `python infer.py "
                        "complete --as-assistant` asks such a model all the same") from error


def stage_of(folder):
    """Return the stage of train.py whose model is in a folder, by the first that there is of its
    log, its checkpoint and its generation_config.json; None if nothing tells."""
    run = folder.parent if folder.name == "best" else folder        # best: train.py's
    if (run / "log.jsonl").exists():
        with suppress(AttributeError, IndexError, ValueError), open(run / "log.jsonl", "rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_LINE))
            return from_json(log.read().splitlines()[-1]).get("stage", "")
        return ""                                # empty, or cut short by a kill
    with suppress(OSError, ValueError):
        return read_settings(run).get("stage") \
            or read_json(folder / "generation_config.json").get("stage")


def is_assistant(engine, folder):
    """Tell whether a model was fine-tuned for chats: by the stage that its folder names or, of
    models from elsewhere, by a chat template other than that of every tokenizer trained here."""
    stage, template = stage_of(Path(folder)), engine.tokenizer.config.get("chat_template")
    if stage is not None:
        return stage in ("sft", "dpo", "rl")
    return template not in (None, bpe.CHAT_TEMPLATE)


@dataclass
class Call:
    """A tool's name, what it is asked, as text, how many tokens there were when it was, why that
    cannot be understood, or "", and its Result; None until it has answered."""

    name: str
    text: str
    place: int
    problem: str = ""
    result: toolbox.Result | None = None


class Turn(Sequence):
    """The assistant's turn that follows messages, or goes on with the last of them.

    text      what it says; not its thoughts, calls and their results
    kind      what the next token belongs to: "text", or "think", "search", "python" between marks
    kinds     the marks (of protocol.MARKS) that it may draw
    able      names of the tools that it may call
    calls     each Call, from when the model has written it
    known     Results that the next calls get without being asked: of an answer that is made again
    inserted  {place in tokens: ids} of what the model reads of results
    left      the calls (protocol.Asked) that the turn ended with, its `finish` then being "calls":
              of functions that who asked is to call, `most` of them; None: of any number
    figures   PNG files (bytes) that tools made
    thought   how many tokens a thought has so far, if there is a budget
    free      what was banned before only a thought's end could follow; None: more can
    dropped   how many of the oldest turns had no room in the prompt
    messages  the new messages so far, in data/chat/protocol.py's normal form
    """

    def __init__(self, engine, messages, settings, index=0, tools=None, think=False, record="",
                 budget=0):
        """Of the oldest turns as many are left out as leave room for the answer: max_tokens, or a
        quarter of the context if that is less. ChatError as Talk.prompt's, protocol.NoRoom where
        the last question is too long; and where the tokenizer has no tokens for conversations.

        tools    {name: tools.Tool}, as tools.registry gives: those that are not off may be called
        think    whether the turn begins with a thought
        budget   the most tokens of a thought, which then can only be closed; 0: any number
        """
        self.engine, self.talk, self.calls = engine, talk_of(engine.tokenizer), []
        self.known, self.inserted = [], {}
        self.budget, self.thought, self.free = budget, 0, None
        self.context = engine.model.config.context
        self.tools = {name: tool for name, tool in (tools or {}).items()
                      if not (tool.off or self.talk.off)}
        self.offered = [tool.function or name for name, tool in self.tools.items()]
        self.functions, self.left = {name for name in self.tools if self.tools[name].function}, []
        limit = self.context - min(self.context // 4, settings.max_tokens)
        prompt, self.dropped = self.talk.prompt(messages, limit, self.offered)
        super().__init__(prompt, settings, index, record)
        self.results = READ * bool(self.tools)   # tokens of results yet to read
        self.asked, self.past = messages, []     # past: what came before the answer that grows
        self.begin_answer(prompt)
        self.allow({"think", *self.tools, *["python"] * bool(self.functions)})
        if think:
            begin = self.talk.thought()
            self.tokens, self.last = self.tokens + begin, self.last + len(begin)
            self.kind = "think" if begin else self.kind
        self.limit_thought(0)

    most = None

    @property
    def room(self):
        return self.last + self.results

    @property
    def figures(self):
        return [figure for call in self.calls if call.result for figure in call.result.figures]

    @property
    def messages(self):
        said = [i for i in self.tokens[self.begin:] if i not in self.engine.ends]
        return [*self.past, *self.talk.answer(said)]

    def allow(self, kinds):
        """Let the marks of `kinds` be drawn, and no others."""
        marks = {**self.talk.opens, **self.talk.closes}
        self.able = [tool for tool in self.tools if tool in kinds]
        allowed = {i for i, kind in marks.items() if kind in kinds} | (
            self.talk.marks if self.able else set())
        self.kinds, self.banned = kinds, [i for i in self.engine.banned if i not in allowed]

    def limit_thought(self, count):
        """Count tokens of a thought; behind the last that it may have, only its end can follow."""
        ends = {i for i, kind in self.talk.closes.items() if kind == "think"}
        if self.kind != "think":
            self.thought = 0
            self.free, self.banned = None, self.banned if self.free is None else self.free
        elif ends and self.budget:
            self.thought += count
            if self.thought >= self.budget and self.free is None:
                self.free, V = self.banned, self.engine.model.config.vocab
                self.banned = [i for i in range(V) if i not in ends]

    def begin_answer(self, prompt):
        """Begin an answer after a prompt: by some templates with a thought."""
        self.begin, self.said, self.shown = len(prompt), "", 0
        marks = [i for i in prompt[-2:] if self.talk.is_mark(i)]
        self.kind = self.talk.opens.get(marks[-1], "text") if marks else "text"

    def take(self, token, text):
        """See what a token that was drawn means: it may end a call, or an answer that made some,
        which a thread answers. Return the text that is certain to be no call."""
        ended, called = token in self.engine.ends, []
        if ended or self.talk.is_mark(token):
            called = self.talk.calls(self.tokens[self.begin:], self.able)
        if self.talk.is_mark(token):
            text, self.kind = "", self.talk.opens.get(token, "text")
        elif self.kind == "text":
            self.said += self.engine.tokenizer.decode([token]) if token in self.talk.marks else text
            final = self.finish and not called
            shown = len(self.said) if final else self.talk.certain(self.said, self.able)
            text, self.shown = self.said[self.shown:shown], max(shown, self.shown)
            self.text += text
        self.limit_thought(not self.talk.is_mark(token))
        if self.functions & {call.name for call in called}:
            self.left, self.finish = called[:self.most], "calls"
        elif called:
            called = called[:CALLS - len(self.calls)]
            self.calls += [Call(call.name, protocol.written(*call[:2]), len(self.tokens),
                                call.problem) for call in called]
            if ended:                            # and another answer follows
                self.finish = "" if len(self.tokens) < self.last else "length"
            if not self.finish:
                self.pending = in_thread(self.answer, called)
        return text

    def answer(self, called):
        """Ask the tools; return the tokens of their results, cut to what there is room for."""
        calls = self.calls[-len(called):]
        results = [self.ask(call) for call in calls]
        reply = partial(self.talk.reply, [*self.asked, *self.past], self.offered,
                        self.tokens[self.begin:], called)
        texts = [result.text for result in results]
        ids, messages = reply(texts)
        budget = max(map(len, texts))
        left = self.context - len(self.tokens)
        room = min(left - LEFT, self.results)
        while budget and len(ids) > room:
            budget = min(budget - 1, budget * max(0, room - 2) // len(ids))
            texts = [toolbox.cut(result.text, budget) for result in results]
            ids, messages = reply(texts)
        for call, result, text in zip(calls, results, texts):
            call.result = result._replace(text=text)
        if len(ids) > left:
            self.finish = "length"
            return []
        self.results -= len(ids)
        self.inserted[len(self.tokens)] = ids
        if len(self.calls) == CALLS or self.results < LEFT:
            self.allow({"think"})
        if messages:
            self.past += messages
            self.begin_answer(self.tokens + ids)
        return ids

    def ask(self, call):
        """Return the Result of a call."""
        if self.known:
            return self.known.pop(0)
        if call.problem or call.name not in self.tools:
            return toolbox.Result(call.problem or f"There is no tool {call.name}, only "
                                  f"{' and '.join(self.tools)}.")
        try:
            return self.tools[call.name].call(call.text)
        except Exception as error:               # whatever a tool does, the chat goes on
            return toolbox.Result(f"The tool {call.name} failed: {error!r}.")


def in_thread(function, *args):
    """Return a Future of function(*args), which a thread of its own computes; no exit waits for
    it."""
    future = Future()
    future.set_running_or_notify_cancel()

    def run():
        try:
            future.set_result(function(*args))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future
