"""What infer.html asks of the server: itself, threads (data/chat/threads.py), answers.

    GET    /                       the page
    GET    /tools?model=NAME       {tool or "think": why it is off with this model, or null}
    POST   /files?name=&model=     a file's bytes become {name, text, count} (data/chat/attached.py)
    GET    /kept                   instructions, notes and assistants: for all chats
    POST   /kept                   keep one more             PATCH, DELETE /kept/ID    change it
    GET    /threads?q=WORDS        threads by their words    POST /threads             a new one
    GET    /threads/ID             all of one                PATCH, DELETE             change it
    POST   /threads/ID/messages    add a message             POST /threads/ID/vote     for, against
    POST   /threads/ID/answer      let the model answer: events, each stored before it is sent
    POST   /threads/ID/tokens      what the model read and drew, token by token
    GET    /export?form=&thread=   one thread or all, in a form of threads.EXPORTS

The page may load nothing and run nothing but its own script, by whose hash it is allowed."""

import asyncio
import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from reprlib import repr as short

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from csrc.files import ChatError
from data.chat import attached
from data.chat.answers import Answer, texts
from data.chat.api import DRAWING, TOP, Refused, sampling, take, written
from data.chat.protocol import TOOLS, read_text
from data.chat.server import body_of, bytes_of, drawn, worker_of
from data.chat.threads import EXPORTS, KINDS, Missing, Threads, conversation
from data.chat.tools import budget_of, registry
from data.chat.turn import Turn, talk_of

FILE = Path(__file__).resolve().parents[2] / "infer.html"
FILES = 32           # that a message may have
WORDS = 200          # characters of a search
IDS = "[1, 9e15]"    # of messages
APART = 0.1          # seconds between two events of an answer, each of all that was drawn meanwhile
ENDING = 5           # times as long for which an answer may take to end that was stopped
NOTED = re.compile(r"(?:^|[.!?\n])\s*(?:please,? )?remember (?:that|this:?) (\S.*)", re.IGNORECASE)
TOLD = "What the user asked you to remember:"
HEADERS = {"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin",
           "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


def routes(path, index=None):
    """The routes of the page, whose threads are in the file of that path; index: what the tool
    "search" reads."""
    page = Page(Threads(path), index)
    table = {("GET", "/"): page.show, ("GET", "/tools"): page.offered,
             ("POST", "/files"): page.file,
             ("GET", "/kept"): page.kept, ("POST", "/kept"): page.keep,
             ("PATCH", "/kept/{id:int}"): page.keep, ("DELETE", "/kept/{id:int}"): page.forget,
             ("GET", "/threads"): page.list,
             ("POST", "/threads"): page.create, ("GET", "/threads/{id}"): page.read,
             ("PATCH", "/threads/{id}"): page.change, ("DELETE", "/threads/{id}"): page.delete,
             ("POST", "/threads/{id}/messages"): page.add,
             ("POST", "/threads/{id}/vote"): page.vote,
             ("POST", "/threads/{id}/answer"): page.answer,
             ("POST", "/threads/{id}/tokens"): page.tokens, ("GET", "/export"): page.export}
    return [Route(place, function, methods=[method]) for (method, place), function in table.items()]


async def told(function, *args, **how):
    """What a function of Threads returns, as JSON; it runs beside the event loop."""
    return JSONResponse(await beside(function, *args, **how), headers=HEADERS)


async def beside(function, *args, **how):
    """function(*args, **how), in a thread; a 404 where it finds no thread or message."""
    try:
        return await run_in_threadpool(function, *args, **how)
    except Missing as error:
        raise Refused(str(error), status=404) from error


class Page:
    """Functions of requests to threads.

    known    {name: tools.Tool} of all tools, whose results have at most so many characters
    growing  ids of the messages that are being written
    """

    def __init__(self, threads, index=None):
        self.threads, self.growing = threads, set()
        self.known = cache(lambda budget: registry(index, budget))
        self.known(budget_of(1 << 30))           # ChatError if the index cannot be read

    async def show(self, request):
        data = await run_in_threadpool(FILE.read_bytes)
        allowed = {tag: " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'"
            for text in re.findall(b"<%b>(.*?)</%b>" % (tag, tag), data, re.S))
            for tag in (b"script", b"style")}
        policy = (f"default-src 'none'; script-src {allowed[b'script']}; "
                  f"style-src {allowed[b'style']}; connect-src 'self'; img-src data:; "
                  f"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
        return Response(data, media_type="text/html", headers={
            **HEADERS, "Content-Security-Policy": policy, "X-Frame-Options": "DENY"})

    # ---- Threads

    async def list(self, request):
        return await told(self.threads.list, request.query_params.get("q", "")[:WORDS])

    async def create(self, request):
        """A new thread: {settings, assistant}. Its system message is the user's instructions, the
        assistant's, and the notes, unless the settings have one."""
        body = await body_of(request)
        settings = checked(take(body, "settings", dict, {}))
        chosen, kept = take(body, "assistant", int, None, IDS), await beside(self.threads.kept)
        one = next((one for one in kept["assistant"] if one["id"] == chosen), None)
        if chosen and not one:
            raise Refused(f"assistant is {chosen}, but there is none: it may be deleted",
                          "assistant", 404)
        settings.setdefault("system", introduction(kept, one))
        if one:
            settings = {"tools": one["tools"], **settings, "assistant": one["name"]}
        return JSONResponse({"id": await beside(self.threads.create, settings),
                             "settings": settings})

    async def read(self, request):
        """A thread with its messages, and ids of those that are being written."""
        found = await beside(self.threads.read, request.path_params["id"])
        growing = [one["id"] for one in found["messages"] if one["id"] in self.growing]
        return JSONResponse({**found, "growing": growing}, headers=HEADERS)

    async def change(self, request):
        """A thread's title, head or settings."""
        body, new = await body_of(request), {}
        if title := take(body, "title", str):
            new["title"] = " ".join(read_text(title).split())[:WORDS]
        if head := take(body, "head", int, None, IDS):
            new["head"] = head
        if settings := take(body, "settings", dict):
            new["settings"] = checked(settings)
        if not new:
            raise Refused("nothing to change: give a title, head or settings")
        return await told(self.threads.change, request.path_params["id"], **new)

    async def delete(self, request):
        return await told(self.threads.delete, request.path_params["id"])

    async def add(self, request):
        """A message that was typed: {parent, role, content, files}. What its user asks to remember
        is kept as a note."""
        body = await body_of(request)
        role, files = take(body, "role", str, "user"), take(body, "files", list, [])
        if role not in ("user", "assistant"):
            raise Refused(f"role is {short(role)}, but must be user or assistant", "role")
        if len(files) > FILES or not all(isinstance(file, dict) for file in files):
            raise Refused(f"files is {short(files)}, but must be up to {FILES} of {{name, text}}",
                          "files")
        files = [{key: read_text(file.get(key)) for key in ("name", "text")} for file in files]
        message = await beside(self.threads.add, request.path_params["id"],
                               take(body, "parent", int, None, IDS), role,
                               take(body, "content", str, ""), files)
        noted = NOTED.search(body.get("content") or "") if role == "user" else None
        if noted:
            await beside(self.threads.keep, "note", {"text": noted[1].strip()})
        return JSONResponse({"id": message, "noted": noted and noted[1].strip()})

    async def vote(self, request):
        """A vote on an answer: {message, vote}."""
        body = await body_of(request)
        return await told(self.threads.vote, request.path_params["id"],
                          take(body, "message", int, 0, IDS),
                          take(body, "vote", int, 0, "[-1, 1]"))

    async def export(self, request):
        """Threads in a form that other programs read."""
        form = request.query_params.get("form", "openai")
        if form not in EXPORTS:
            raise Refused(f"form is {short(form)}, but must be one of {', '.join(EXPORTS)}", "form")

        def whole():
            return "".join(self.threads.export(form, request.query_params.get("thread")))
        kind = "text/markdown" if form == "markdown" else "application/x-ndjson"
        return Response(await beside(whole), media_type=kind, headers={
            **HEADERS, "Content-Disposition": "attachment"})

    # ---- Tools, files, and what is kept for all chats

    async def offered(self, request):
        """Why each tool is off with a model, or null; and why it cannot begin with a thought."""
        def all():
            engine = request.app.state.models.get(dict(request.query_params)).engine
            talk = talk_of(engine.tokenizer)
            known = self.known(budget_of(engine.model.config.context))
            return {**{name: tool.off or talk.off for name, tool in known.items()},
                    "think": None if "think" in talk.opens.values() else
                    "this model's tokenizer has no tokens for thoughts"}
        return await told(all)

    async def file(self, request):
        """A file as a text, with its number of tokens; refused if the model cannot read as much."""
        data, query = await bytes_of(request), dict(request.query_params)

        def all():
            name, text = attached.read(query.get("name", ""), data)
            engine = request.app.state.models.get(query).engine
            count, context = len(engine.tokenizer.encode(text)), engine.model.config.context
            if count > context:
                raise ChatError(f"{name!r} has {count} tokens, more than the model's context of "
                                f"{context}")
            return {"name": name, "text": text, "count": count}
        return await told(all)

    async def kept(self, request):
        return await told(self.threads.kept)

    async def keep(self, request):
        """Keep {kind, text}, or of an assistant {kind, name, instructions, tools}."""
        body = await body_of(request)
        kind = take(body, "kind", str, "")
        if kind not in KINDS:
            raise Refused(f"kind is {short(kind)}, but must be one of {', '.join(KINDS)}", "kind")
        names = ("name", "instructions") if kind == "assistant" else ("text",)
        value = {name: read_text(take(body, name, str, "")).strip() for name in names}
        if not value[names[0]] and kind != "instructions":
            raise Refused(f"{names[0]} is empty", names[0])
        if kind == "assistant":
            value["tools"] = tools_of(body)
        return await told(self.threads.keep, kind, value, request.path_params.get("id"))

    async def forget(self, request):
        return await told(self.threads.forget, request.path_params["id"])

    # ---- Answers

    async def answer(self, request):
        """Let the model answer a message: {parent}, or {from, keep, token} as `begin` says."""
        body, thread = await body_of(request), request.path_params["id"]
        worker = await worker_of(request, body)
        begun = take(body, "from", int, None, IDS)
        for _ in range(ENDING * (begun in self.growing)):    # it was stopped just now, perhaps
            await asyncio.sleep(APART * (begun in self.growing))
        answer = await beside(self.begin, thread, body, worker.engine)
        return StreamingResponse(self.events(answer, worker), media_type="text/event-stream",
                                 headers=HEADERS)

    def begin(self, thread, body, engine):
        """An Answer to the message `parent`. Or one that goes on with the answer `from`: with its
        first `keep` tokens and `token` as another answer, without these as the same."""
        found = self.threads.read(thread)
        parent, begun = (take(body, name, int, None, IDS) for name in ("parent", "from"))
        path = self.threads.path_to(thread, begun or parent)
        if not path:
            raise Refused("parent is missing: the message to answer", "parent")
        last = path[-1]
        keep, token = (take(body, name, int, None, limits) for name, limits in (
            ("keep", "[0, 9e15]"), ("token", f"[0, {engine.model.config.vocab - 1}]")))
        if not begun and last["role"] != "user":
            raise Refused(f"parent is {parent}, but must be a message of the user's", "parent")
        if begun in self.growing:
            raise Refused("this answer is still being written, perhaps in another window", "from",
                          409)
        tokens = self.threads.tokens(thread, begun) if begun else []
        same = begun and keep is None and token is None
        if tokens and last["model"] == body["model"]:
            parent, tokens = last["parent"], drawn_again(tokens[:keep], engine.ends)
        elif same or not begun:
            parent, tokens = begun or parent, []     # typed, or another model's: a text to go on
        else:
            raise Refused("the answer has no tokens of this model that could be kept", "from")
        calls = last["calls"] if tokens else []
        answer = self.answer_of(found, parent, body, engine, tokens, calls)
        answer.replay(tokens if token is None else [*tokens, {"id": token}], calls,
                      last["seconds"])
        engine.check(answer.turn)
        if same:
            answer.name = begun
            self.threads.end(begun, None)
        else:
            answer.name = self.threads.add(thread, parent, "assistant", "", model=body["model"],
                                           finish=None)
            self.threads.append(answer.name, *texts(answer.kept), answer.kept, answer.calls())
        return answer

    def answer_of(self, found, parent, body, engine, tokens, calls):
        """An Answer to a message of a thread, as a body asks for it; it will begin with tokens."""
        top = take(body, "top", int, 0, f"[0, {TOP}]")
        drawing = {name: body.get(name) for name in (*DRAWING, "max_tokens", "stop")}
        how = sampling(drawing, engine.model.config.context)
        talk = talk_of(engine.tokenizer)
        think = not tokens and bool(found["settings"].get("think")) \
            and "think" in talk.opens.values()
        others = [one for one in found["messages"] if one["parent"] == parent
                  and one["model"] == body["model"]]
        turn = self.turn(found, parent, engine, how, [call["name"] for call in calls], think=think,
                         record="probabilities" if top else "logprob",
                         index=0 if tokens else len(others))     # another answer has other chances
        return Answer(engine, turn, top)

    def turn(self, found, head, engine, how, called=(), **more):
        """The Turn that follows a message, with the tools that are on or were called."""
        talk, wanted = talk_of(engine.tokenizer), {*found["settings"].get("tools", ()), *called}
        tools = {name: tool for name, tool in
                 self.known(budget_of(engine.model.config.context)).items()
                 if name in wanted and not (tool.off or talk.off)}
        return Turn(engine, conversation(found, head, talk.offering, tools), how, tools=tools,
                    **more)

    async def events(self, answer, worker):
        """The events of an answer. What is drawn is stored, then sent; who goes away ends it."""
        ended, name, calls = "stopped", answer.name, answer.calls()
        self.growing.add(name)
        try:
            yield written(answer.start())
            async with drawn([answer.turn], worker, APART) as more:
                items = []
                while None not in items:
                    items = [item for _, item in await more()]
                    if not items:
                        yield b": ping\n\n"
                        continue
                    for item in items:
                        if isinstance(item, Exception):
                            raise item
                    new = [one for item in filter(None, items) for one in answer.tell(*item)]
                    before, calls = calls, answer.calls()
                    changed = calls if calls != before else None
                    await run_in_threadpool(self.threads.append, name, *texts(new), new, changed,
                                            answer.seconds)
                    yield written({"tokens": new, "seconds": answer.seconds,
                                   **({"calls": changed} if changed else {})})
            ended = answer.turn.finish
            yield written({"finish": ended})
        except Exception as error:
            ended = "error"
            yield written({"error": {"message": f"{error}" or type(error).__name__}})
        finally:                                 # perhaps cancelled: nothing is waited for here
            asyncio.get_running_loop().run_in_executor(None, self.end, name, ended)

    def end(self, name, ended):
        """An answer is no longer written."""
        try:
            self.threads.end(name, ended)
        finally:
            self.growing.discard(name)

    async def tokens(self, request):
        """What the model read before an answer, and what it drew: {message}; `brief`: how many."""
        body, thread = await body_of(request), request.path_params["id"]
        worker = await run_in_threadpool(request.app.state.models.get, body)
        message, brief = take(body, "message", int, 0, IDS), take(body, "brief", bool, False)

        def both():
            found, last = self.threads.read(thread), self.threads.path_to(thread, message)[-1]
            parent = last["parent"] if last["role"] == "assistant" else message
            engine = worker.engine
            turn = self.turn(found, parent, engine, sampling({}, 1 << 30))
            answer, made = Answer(engine, turn, 0), self.threads.tokens(thread, message)
            return {"count": len(turn.tokens) + len(made), "dropped": turn.dropped,
                    "context": engine.model.config.context, **({} if brief else {
                        "prompt": [answer.about(i, "", "prompt") for i in turn.tokens],
                        "answer": made})}
        return await told(both)


def drawn_again(tokens, ends):
    """Of tokens that were told those that an answer which goes on begins with: all but its ends,
    unless results of tools follow."""
    return [one for one, after in zip(tokens, [*tokens[1:], {"kind": ""}])
            if one["id"] not in ends or after["kind"] == "result"]


def introduction(kept, assistant):
    """The system message with which a chat begins."""
    notes = [f"- {one['text']}" for one in kept["note"]]
    return "\n\n".join(filter(None, [
        *(one["text"] for one in kept["instructions"]),
        assistant and assistant["instructions"], "\n".join([TOLD, *notes]) if notes else ""]))


def tools_of(body):
    """The names of tools that a body has."""
    found = take(body, "tools", list, [])
    if not all(isinstance(name, str) and name in TOOLS for name in found):
        raise Refused(f"tools is {short(found)}, but must be of {', '.join(TOOLS)}", "tools")
    return found


def checked(settings):
    """Settings of a thread that can be stored: a system message, tools, whether to think."""
    found = {name: take(settings, name, kind) for name, kind in
             (("system", str), ("think", bool), ("assistant", str))}
    found = {name: value for name, value in found.items() if value is not None}
    for name in ("system", "assistant"):
        read_text(found.get(name, ""))
    return {**found, "tools": tools_of(settings)} if "tools" in settings else found
