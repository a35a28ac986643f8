"""A server that OpenAI's and Anthropic's clients can talk to: `python infer.py serve`.

    POST /v1/chat/completions   /v1/completions   /v1/responses   /v1/messages (Anthropic's)
    POST /v1/embeddings   /tokenize
    GET /v1/models    GET /health    GET /metrics (Prometheus's text)

One thread computes, for all models by turns, a step of an Engine at a time; requests give an Engine
sequences and hear what they draw, so that all of them run side by side. Where a client goes away
its sequences leave with the next token. What a client sends never becomes a path. A page of another
site can neither ask nor read: the Host that a browser names must be this machine's, and an Origin
the same."""

import asyncio
import gc
import json
import secrets
import sys
import threading
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from reprlib import repr as short
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from csrc.files import ChatError
from csrc.runs import find_model
from csrc.store import Store
from data.chat.api import Asked, Continued, Embeddings, Refused, take
from data.chat.dialects import Messages, Responses
from data.chat.protocol import read_text
from data.chat.turn import load

LARGEST = 8 << 20    # bytes of a request
SECONDS = 30         # that a request may take to arrive
WAITING = 256        # sequences that may wait; more are refused for now
ALIVE = 10           # seconds of silence after which a stream says that it is alive
HERE = ("127.0.0.1", "localhost", "::1")
FORMS = {"/v1/chat/completions": Asked, "/v1/completions": Continued, "/v1/messages": Messages,
         "/v1/responses": Responses, "/v1/embeddings": Embeddings}


# ---- Models --------------------------------------------------------------------------------------

# What loads and calls models: OpenMP has other threads for each that calls it, which do not spin,
# but sleep, where there are more than cores.
COMPUTES = ThreadPoolExecutor(1)


class Worker:
    """What calls an engine. Others `submit` sequences, each with a function that it calls with
    (kind, token, text, more) of each token drawn, as Engine.step has them, in the end with None, or
    with the exception that ended all."""

    def __init__(self, engine):
        self.engine, self.inbox, self.lock, self.puts = engine, deque(), threading.Lock(), {}
        self.counts, self.runs, self.used = Counter(), False, 0

    @property
    def size(self):
        """How many sequences there are."""
        return len(self.puts) + len(self.inbox)

    @property
    def memory(self):
        """Bytes that its model takes, with the keys and values that there is room for."""
        cache = self.engine.cache
        return self.engine.model.need + (cache.memory if cache else 0)

    def submit(self, sequence, put):
        """Let a sequence run."""
        self.tell(sequence, put)

    def cancel(self, sequence):
        """Let it run no further."""
        if not sequence.finish:
            self.tell(sequence, None)

    def tell(self, *message):
        with self.lock:
            self.inbox.append(message)
            if not self.runs:
                self.runs = True
                COMPUTES.submit(self.run)

    def run(self):
        """Call the engine, and again later, as long as there is something to do."""
        with self.lock:
            inbox, self.inbox = self.inbox, deque()
            self.runs = bool(inbox or self.puts)
        if not self.runs:
            return
        for sequence, put in inbox:
            if put:
                self.puts[sequence] = put
                self.engine.waiting.append(sequence)
            elif self.puts.pop(sequence, None):
                self.engine.cancel(sequence)
        try:
            self.step()
        except Exception as error:               # of one sequence or of all: nobody can tell
            self.engine.leave([*self.puts])
            for put in self.puts.values():
                put(error)
            self.puts.clear()
        with suppress(RuntimeError):             # the program ends
            COMPUTES.submit(self.run)

    def step(self):
        """A step of the engine, of which those hear that it is about."""
        for sequence, token, text, more in self.engine.grow():
            self.puts[sequence]((getattr(sequence, "kind", "text"), token, text, more))
        for sequence in [sequence for sequence in self.puts if sequence.finish]:
            self.counts["requests"] += 1
            self.counts["prompt_tokens"] += sequence.prompt
            self.counts["generated_tokens"] += len(sequence.tokens) - sequence.prompt
            self.puts.pop(sequence)(None)


class Models:
    """The models of a server by their names. Each is loaded when it is first asked for; where the
    memory is too small for all, those that nobody uses make room, the one used longest ago first.
    store: where their keys and values are kept (csrc/store.py), or None."""

    def __init__(self, settings, store=None):
        """ChatError unless each is there, and their names differ."""
        self.settings, self.store = settings, store
        self.workers, self.lock, self.memory = {}, threading.Lock(), 0
        self.places = {}
        for given in settings.model or [None]:
            name, equals, place = (given or "").partition("=")
            path = find_model(place if equals else given)
            name = name if equals else path.stem if path.is_file() else path.name
            if name in self.places:
                raise ChatError(f"two models are called {name}: give NAME=FOLDER")
            self.places[name] = path

    def get(self, body):
        """The Worker of the model that a body names, the first if it names none."""
        name = take(body, "model", str, next(iter(self.places)))
        known = ", ".join(self.places)
        if name not in self.places:
            raise Refused(f"model is {short(name)}, but must be one of {known}", "model", 404)
        body["model"] = name
        if not (worker := self.workers.get(name)):
            with self.lock:
                try:
                    worker = self.workers[name] = \
                        self.workers.get(name) or COMPUTES.submit(self.load, name).result()
                except (OSError, ChatError) as error:
                    full = isinstance(error.__cause__, Refused)          # make_room's
                    raise Refused(f"model {name} of {known} cannot be loaded: {error}", "model",
                                  503 if full else 404) from error
        worker.used = time.monotonic()
        return worker

    def load(self, name):
        """The Worker of a model."""
        engine = load(self.places[name], self.settings.device, self.settings.dtype,
                      room=self.make_room, keep=True)
        engine.blocks = self.store and self.store.of(self.places[name], engine.model)
        return Worker(engine)

    def make_room(self, need, have):
        """Unload models until there are `need` bytes, of `have` that the device has in all or, a
        GPU, still has."""
        self.memory = self.memory or have
        while self.workers and need + sum(
                worker.memory for worker in self.workers.values()) > self.memory:
            idle = [name for name, worker in self.workers.items() if not worker.size]
            if not idle:
                raise Refused(f"there is no memory for another model beside "
                              f"{', '.join(self.workers)}: try again later", "model", 503)
            del self.workers[min(idle, key=lambda name: self.workers[name].used)]
            gc.collect()


# ---- Requests ------------------------------------------------------------------------------------

async def bytes_of(request):
    """What a request carries."""
    async def arrived():
        data = bytearray()
        async for piece in request.stream():
            data += piece
            if len(data) > LARGEST:
                raise Refused(f"the request has over {LARGEST} bytes", status=413)
        return bytes(data)

    try:
        return await asyncio.wait_for(arrived(), SECONDS)
    except asyncio.TimeoutError:
        raise Refused(f"the request took over {SECONDS} seconds to arrive", status=408) from None


async def body_of(request):
    """The object that a request carries."""
    data = await bytes_of(request)
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Refused(f"the request is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise Refused(f"the request is {short(body)}, but must be an object")
    return body


async def worker_of(request, body):
    """The Worker of the model that a body names; refused where too much is under way."""
    worker = await run_in_threadpool(request.app.state.models.get, body)
    if worker.size >= WAITING:
        raise Refused(f"{worker.size} texts are under way: try again later", status=429)
    return worker


async def complete(request):
    """A chat's next message, or what continues a text, as FORMS says."""
    body = await body_of(request)
    worker = await worker_of(request, body)
    asked = await run_in_threadpool(FORMS[request.url.path], body, worker.engine)
    if asked.stream:
        return StreamingResponse(events(asked, worker), media_type="text/event-stream",
                                 headers={"Cache-Control": "no-cache"})
    return JSONResponse(await unless_gone(request, whole(asked, worker)))


@asynccontextmanager
async def drawn(sequences, worker, apart=0.02):
    """A function that waits, at most ALIVE seconds, and returns all that has come: (number of the
    sequence, what Worker puts). Whatever happens, the sequences run no longer than this.

    It returns `apart` seconds after the last time, or later, and the event loop is woken only while
    it waits: a thread that wakes for each token takes a core from the model."""
    loop, come, awake, due = asyncio.get_running_loop(), deque(), asyncio.Event(), 0

    def putter(i):
        def put(item):
            come.append((i, item))
            if not awake.is_set():
                with suppress(RuntimeError):     # the loop is closed: the server ends
                    loop.call_soon_threadsafe(awake.set)
        return put

    async def more():
        nonlocal due
        await asyncio.sleep(max(0, due - loop.time()))
        with suppress(asyncio.TimeoutError):
            while not come:
                awake.clear()
                if not come:                     # nor has anything come since
                    await asyncio.wait_for(awake.wait(), ALIVE)
        awake.set()
        due = loop.time() + apart
        return [come.popleft() for _ in range(len(come))]

    awake.set()
    try:
        for i, sequence in enumerate(sequences):
            worker.submit(sequence, putter(i))
        yield more
    finally:
        for sequence in sequences:
            worker.cancel(sequence)


async def whole(asked, worker):
    """The answer to a request without a stream."""
    told, left = [[] for _ in asked.sequences], len(asked.sequences)
    async with drawn(asked.sequences, worker) as more:
        while left:
            for i, item in await more():
                if isinstance(item, Exception):
                    raise item
                left -= item is None
                if item:
                    told[i] += asked.logprob(item[1], item[3])
    return asked.whole(told)


async def events(asked, worker):
    """The events of a stream."""
    left = len(asked.sequences)
    async with drawn(asked.sequences, worker) as more:
        yield b"".join(asked.first())
        while left:
            come = await more()
            told = [] if come else [b": ping\n\n"]
            for i, item in come:
                if isinstance(item, Exception):
                    failed = Refused(f"{type(item).__name__}: {item}", status=500)
                    yield b"".join([*told, asked.failed(failed)])
                    return
                left -= item is None
                told += asked.drawn(i, *item) if item else asked.ended(i)
            yield b"".join(told)
        yield b"".join(asked.last())


async def unless_gone(request, work):
    """What `work` gives, unless the client goes away: then it is cancelled."""
    async def gone():
        while (await request.receive())["type"] != "http.disconnect":
            pass

    tasks = [asyncio.create_task(work), asyncio.create_task(gone())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done():
            raise ClientDisconnect
        return tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()


async def tokenize(request):
    """A text's ids; no text makes special ones."""
    body = await body_of(request)
    worker = await run_in_threadpool(request.app.state.models.get, body)
    text = read_text(take(body, "content", str, take(body, "prompt", str, "")))
    ids = await run_in_threadpool(worker.engine.tokenizer.encode, text)
    return JSONResponse({"tokens": [*map(int, ids)], "count": len(ids)})


async def models(request):
    """The models that there are."""
    return JSONResponse({"object": "list", "data": [
        {"id": name, "object": "model", "created": 0, "owned_by": "chat.c"}
        for name in request.app.state.models.places]})


async def health(request):
    """That the server runs."""
    return JSONResponse({"status": "ok"})


async def metrics(request):
    """What the models did so far."""
    lines = []
    for name, worker in [*request.app.state.models.workers.items()]:
        now = {**{f"{what}_total": worker.counts[what] for what in
                  ("requests", "prompt_tokens", "generated_tokens")}, "sequences": worker.size}
        lines += [f'chat_{what}{{model={json.dumps(name)}}} {count}\n'
                  for what, count in now.items()]
    return PlainTextResponse("".join(lines))


# ---- The application -----------------------------------------------------------------------------

class Guard:
    """Asks before the application: is this Host ours, is the Origin the same, is the key right?"""

    def __init__(self, app, hosts, key):
        self.app, self.hosts, self.key = app, hosts, key

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            headers = {name.decode("latin-1"): value.decode("latin-1")
                       for name, value in scope["headers"]}
            if refused := self.refused(headers, scope["path"]):
                return await answer(refused)(scope, receive, send)
        return await self.app(scope, receive, send)

    def refused(self, headers, path):
        """Why a request is refused, or None."""
        host = headers.get("host", "")
        with suppress(ValueError):               # of a port that is no number, say
            origin = urlsplit(headers.get("origin", f"http://{host}"))
            name = urlsplit(f"//{host}").hostname
            if (name in self.hosts or not self.hosts) and origin.netloc == host:
                given = headers.get("authorization", "").removeprefix("Bearer ") or \
                    headers.get("x-api-key", "")
                if path in ("/", "/health") or not self.key or secrets.compare_digest(
                        given.encode(), self.key.encode()):
                    return None
                return Refused("the key is missing or wrong: send the server's --api-key as "
                               "Authorization: Bearer KEY", status=401)
        return Refused(f"Host {short(host)} or Origin {short(headers.get('origin'))} is not this "
                       f"server's", status=403)


def answer(error):
    """The response that says what is wrong."""
    headers = {"Retry-After": "5"} if error.status in (429, 503) else None
    return JSONResponse(error.body(), error.status, headers)


def refused(request, error):
    """The response to an exception."""
    if isinstance(error, HTTPException):
        error = Refused(f"{request.method} {short(request.url.path)}: {error.detail}",
                        status=error.status_code)
    elif isinstance(error, ClientDisconnect):
        return Response(status_code=499)
    elif not isinstance(error, ChatError):       # and the traceback is on stderr
        error = Refused(f"{type(error).__name__}: {error}", status=500)
    return answer(error if isinstance(error, Refused) else Refused(str(error)))


def application(settings, routes=(), store=None):
    """The application of these settings, with more routes, and with a Store of keys and values;
    ChatError where a model is not there."""
    post = {**dict.fromkeys(FORMS, complete), "/tokenize": tokenize}
    get = {"/v1/models": models, "/health": health, "/metrics": metrics}
    app = Starlette(
        routes=[*routes, *(Route(path, function, methods=[method])
                for method, table in (("POST", post), ("GET", get))
                for path, function in table.items())],
        exception_handlers={kind: refused for kind in (ChatError, HTTPException,
                                                       ClientDisconnect, Exception)})
    app.state.models = Models(settings, store)
    hosts = () if settings.api_key else {*HERE, settings.host}
    return Guard(app, hosts, settings.api_key)


def serve(settings, routes=()):
    """Serve until Ctrl-C; `routes`: more than there are here."""
    if settings.host not in HERE and not settings.api_key:
        raise ChatError(f"--host {settings.host} lets other machines in: give an --api-key, too")
    store = Store(settings.threads.with_suffix(".kv"), 1e9 * settings.cache_size) \
        if settings.cache_size else None
    app = application(settings, routes, store)
    config = uvicorn.Config(app, settings.host, settings.port, log_level="warning",
                            timeout_graceful_shutdown=1)
    listening = config.bind_socket()
    listening.listen()                           # from the line below on
    host, port = listening.getsockname()[:2]
    print(f"http://{f'[{host}]' if ':' in host else host}:{port}/v1 serves "
          f"{', '.join(app.app.state.models.places)}; Ctrl-C ends it", file=sys.stderr, flush=True)
    uvicorn.Server(config).run([listening])
