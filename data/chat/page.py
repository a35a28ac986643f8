"""What infer.html asks of the server: itself, threads (data/chat/threads.py), answers.

    GET    /                       the page
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
import json
import math
import re
from pathlib import Path
from reprlib import repr as short

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from data.chat.api import DRAWING, TOP, Refused, likeliest, sampling, take, written
from data.chat.protocol import read_text
from data.chat.server import ALIVE, body_of, drawn, worker_of
from data.chat.threads import EXPORTS, Missing, Threads, conversation
from data.chat.turn import Turn

FILE = Path(__file__).resolve().parents[2] / "infer.html"
FILES = 32           # that a message may have
WORDS = 200          # characters of a search
IDS = "[1, 9e15]"    # of messages
HEADERS = {"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin",
           "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


def routes(path):
    """The routes of the page, whose threads are in the file of that path."""
    page = Page(Threads(path))
    table = {("GET", "/"): page.show, ("GET", "/threads"): page.list,
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
    """Functions of requests to threads."""

    def __init__(self, threads):
        self.threads = threads

    async def show(self, request):
        """The page, with what it may do."""
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
        """Threads, by the words of a search."""
        return await told(self.threads.list, request.query_params.get("q", "")[:WORDS])

    async def create(self, request):
        """A new thread."""
        settings = take(await body_of(request), "settings", dict, {})
        name = await beside(self.threads.create, checked(settings))
        return JSONResponse({"id": name})

    async def read(self, request):
        """A thread with its messages."""
        return await told(self.threads.read, request.path_params["id"])

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
        """Delete a thread."""
        return await told(self.threads.delete, request.path_params["id"])

    async def add(self, request):
        """A message that was typed: {parent, role, content, files}."""
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
        return JSONResponse({"id": message})

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

    # ---- Answers

    async def answer(self, request):
        """Let the model answer a message: {parent}, or {from, keep, token} as `begin` says."""
        body, thread = await body_of(request), request.path_params["id"]
        worker = await worker_of(request, body)
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
        keep, token = (take(body, name, int, None, limits) for name, limits in (
            ("keep", "[0, 9e15]"), ("token", f"[0, {engine.model.config.vocab - 1}]")))
        if not begun and path[-1]["role"] != "user":
            raise Refused(f"parent is {parent}, but must be a message of the user's", "parent")
        tokens = self.threads.tokens(thread, begun) if begun else []
        if tokens and path[-1]["model"] == body["model"]:
            parent = path[-1]["parent"]
            ids = [one["id"] for one in tokens[:keep] if one["id"] not in engine.ends]
        elif keep is None and token is None:
            parent, ids = begun or parent, []    # typed, or another model's: a text to go on with
        else:
            raise Refused("the answer has no tokens of this model that could be kept", "from")
        top = take(body, "top", int, 0, f"[0, {TOP}]")
        drawing = {name: body.get(name) for name in (*DRAWING, "max_tokens", "stop")}
        turn = Turn(engine, conversation(found, parent),
                    sampling(drawing, engine.model.config.context),
                    record="probabilities" if top else "logprob")
        answer = Answer(engine, turn, top)
        answer.replay(ids if token is None else [*ids, token])
        engine.check(turn)
        if begun and keep is None and token is None:
            answer.name = begun
            self.threads.end(begun, None)
        else:
            answer.name = self.threads.add(thread, parent, "assistant", "", model=body["model"],
                                           finish=None)
            answer.kept = tokens[:len(ids)] + [answer.about(i, text, kind, None)
                                               for i, text, kind in answer.given[len(ids):]]
            self.threads.append(answer.name, *answer.texts(answer.kept), answer.kept)
        return answer

    async def events(self, answer, worker):
        """The events of an answer. What is drawn is stored, then sent; who goes away ends it."""
        ended = "stopped"
        try:
            yield written(answer.start())
            async with drawn([answer.turn], worker) as queue:
                items = []
                while None not in items:
                    try:
                        items = [(await asyncio.wait_for(queue.get(), ALIVE))[1]]
                    except asyncio.TimeoutError:
                        yield b": ping\n\n"
                        continue
                    while not queue.empty():
                        items.append(queue.get_nowait()[1])
                    for item in items:
                        if isinstance(item, Exception):
                            raise item
                    new = [answer.about(token, text, kind, more)
                           for kind, token, text, more in filter(None, items)]
                    await run_in_threadpool(self.threads.append, answer.name,
                                            *answer.texts(new), new)
                    yield written({"tokens": new})
            ended = answer.turn.finish
            yield written({"finish": ended})
        except Exception as error:
            ended = "error"
            yield written({"error": {"message": f"{error}" or type(error).__name__}})
        finally:                                 # perhaps cancelled: nothing is waited for here
            asyncio.get_running_loop().run_in_executor(None, self.threads.end, answer.name, ended)

    async def tokens(self, request):
        """What the model read before an answer, and what it drew: {message}; `brief`: how many."""
        body, thread = await body_of(request), request.path_params["id"]
        worker = await run_in_threadpool(request.app.state.models.get, body)
        message, brief = take(body, "message", int, 0, IDS), take(body, "brief", bool, False)

        def both():
            found, last = self.threads.read(thread), self.threads.path_to(thread, message)[-1]
            parent = last["parent"] if last["role"] == "assistant" else message
            engine = worker.engine
            turn = Turn(engine, conversation(found, parent), sampling({}, 1 << 30))
            answer, made = Answer(engine, turn, 0), self.threads.tokens(thread, message)
            return {"count": len(turn.tokens) + len(made), "dropped": turn.dropped,
                    "context": engine.model.config.context, **({} if brief else {
                        "prompt": [answer.about(i, "", "prompt", None) for i in turn.tokens],
                        "answer": made})}
        return await told(both)


def checked(settings):
    """Settings of a thread that can be stored: the system message is a text."""
    if settings.get("system") is not None:
        read_text(settings["system"])
    try:
        read_text(json.dumps(settings, ensure_ascii=False, allow_nan=False))
    except ValueError as error:
        raise Refused(f"settings: {error}", "settings") from error
    return settings


class Answer:
    """An answer that grows: its turn, and what the page is told of each token.

    name   the id of its message
    given  (id, text, kind) of tokens that it begins with
    kept   what is told of them where the message is a new one
    top    alternatives that are told of each token
    """

    def __init__(self, engine, turn, top):
        self.engine, self.turn, self.top, self.name = engine, turn, top, None
        self.given, self.kept = [], []
        self.names = {i: name for name, i in engine.tokenizer.specials.items()}

    def replay(self, ids):
        """Let the turn begin with tokens."""
        self.turn.last += len(ids)
        for i in ids:
            text = self.engine.append(self.turn, i)
            self.given.append((i, text, self.turn.kind))

    def start(self):
        """The first event."""
        return {"message": self.name, "prompt": self.turn.prompt, "dropped": self.turn.dropped,
                "context": self.engine.model.config.context, "seed": self.turn.settings.seed,
                "begun": len(self.given), "tokens": self.kept}

    def raw(self, i):
        """A token as a text."""
        i = int(i)
        return self.names.get(i) or \
            self.engine.tokenizer.decode_bytes([i]).decode("utf-8", "replace")

    def about(self, token, text, kind, more):
        """{id, raw, text, kind}; of one that was drawn p, its probability, and `top` alternatives
        [id, raw, p]; more: as Engine.step gives it."""
        token = int(token)
        one = {"id": token, "raw": self.raw(token), "text": text, "kind": kind}
        if token in self.names:
            one["special"] = True
        if more is None:
            return one
        if not self.top:
            return {**one, "p": round(math.exp(more), 4)}
        return {**one, "p": round(float(more[token]), 4), "top": [
            [i, self.raw(i), round(float(more[i]), 4)] for i in likeliest(more, self.top)]}

    def texts(self, tokens):
        """The text and the thought that tokens add."""
        return tuple("".join(one["text"] for one in tokens if one["kind"] in kinds)
                     for kinds in (("text",), ("think",)))
