"""`infer.py serve` under load: the figures of tests/RESULTS.md.

    python tests/load_server.py crowd MODEL       64 clients stream; some vanish, some read slowly
    python tests/load_server.py peer MODEL        8 streams, ours and llama-cpp-python's by turns
    python tests/load_server.py alone MODEL       one stream beside `infer.py complete`
    python tests/load_server.py killed MODEL      kill -9: what the page had shown is there
    python tests/load_server.py reopened MODEL    4,000 tokens, kill -9: the next answer begins
    python tests/load_server.py malformed MODEL   20,000 requests that make little sense

PEER=/path/to/python: one that has llama_cpp.server."""

import http.client
import json
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
CHAT, WORDS = "/v1/chat/completions", (HERE / "README.md").read_text().split()


class Server:
    """A server that is a process, ours or llama-cpp-python's, as a context."""

    def __init__(self, model, folder, peer=False, key="model"):
        if peer:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
            self.process = subprocess.Popen(
                [os.environ["PEER"], "-m", "llama_cpp.server", "--model", model, "--host",
                 "127.0.0.1", "--port", str(self.port), "--n_ctx", "8192", "--n_threads", "2",
                 "--interrupt_requests", "False"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        else:
            self.process = subprocess.Popen(
                [sys.executable, "infer.py", "serve", "--model", f"{key}={model}", "--port", "0",
                 "--threads", f"{folder}/chats.db"], cwd=HERE, stderr=subprocess.PIPE, text=True)
            self.port = int(re.search(r":(\d+)/", self.process.stderr.readline())[1])
            self.log = []
            threading.Thread(target=lambda: self.log.extend(self.process.stderr),
                             daemon=True).start()
        while True:
            try:
                self.ask("/v1/models")
                break
            except OSError:
                time.sleep(0.1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def ask(self, path, body=None):
        """(status, the answer's bytes)."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        link.request("GET" if body is None else "POST", path,
                     None if body is None else json.dumps(body),
                     {"Content-Type": "application/json"})
        answer = link.getresponse()
        return answer.status, answer.read()

    def stream(self, body, path=CHAT, begun=None):
        """Yield (seconds since the request, event) of a stream."""
        begun = begun or time.perf_counter()
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        link.request("POST", path, json.dumps({**body, "stream": True}),
                     {"Content-Type": "application/json"})
        answer = link.getresponse()
        assert answer.status == 200, answer.read()
        for line in answer:
            if line.startswith(b"data: {"):
                yield time.perf_counter() - begun, json.loads(line[6:])
        link.close()

    def times(self, body):
        """When each token of a chat's stream came, in seconds."""
        found = []
        for at, event in self.stream(body):
            assert "error" not in event, event
            if event["choices"] and event["choices"][0]["delta"].get("content"):
                found.append(at)
        return found

    @property
    def memory(self):
        """Resident MB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024


def question(rng, words=30):
    return [{"role": "user", "content": "Tell a story about " + " ".join(rng.choices(WORDS,
                                                                                     k=words))}]


def together(count, function):
    """[function(i)] of threads that run side by side."""
    found = [None] * count

    def run(i):
        found[i] = function(i)
    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return found


def crowd(model, folder, seconds=float(os.environ.get("SECS", 150))):
    """Gaps between the tokens of a stream, errors, memory."""
    with Server(model, folder) as server:
        server.times({"messages": question(random), "max_tokens": 9})
        end, memory, errors = time.time() + seconds, [], []

        def client(i):
            rng, gaps = random.Random(i), []
            while time.time() < end:
                body = {"messages": question(rng), "max_tokens": rng.randint(20, 150)}
                try:
                    if i % 8 == 0:
                        broken(server.port, body, rng, slow=i % 16 == 0)
                    else:
                        times = server.times(body)
                        gaps += [b - a for a, b in zip(times, times[1:])]
                except Exception as error:
                    errors.append(repr(error))
            return gaps

        def watch():
            while time.time() < end:
                memory.append(server.memory)
                time.sleep(1)
        threading.Thread(target=watch).start()
        gaps = sorted(gap for gaps in together(64, client) for gap in gaps)
        print(f"{seconds:.0f} s: {len(gaps)} tokens in streams, {len(gaps) / seconds:.0f} a second;"
              f" gaps: median {statistics.median(gaps):.3f} s, 99 % under "
              f"{gaps[len(gaps) * 99 // 100]:.3f} s, longest {gaps[-1]:.3f} s; errors: "
              f"{len(errors)} {errors[:1]}; MB, in tenths: "
              f"{[round(memory[len(memory) * i // 10]) for i in range(10)]}; log: {server.log}")


def broken(port, body, rng, slow):
    """A client that reads a byte a second, or goes away."""
    data = json.dumps({**body, "stream": True}).encode()
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.sendall(b"POST %b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: %d\r\n\r\n%b"
                     % (CHAT.encode(), port, len(data), data))
        for _ in range(20 if slow else rng.randint(0, 3)):
            link.recv(1 if slow else 500)
            time.sleep(1)


def peer(model, folder):
    """Tokens a second of 8 streams together, by turns."""
    rng, found = random.Random(0), {False: [], True: []}
    bodies = [{"messages": question(rng), "max_tokens": 64, "temperature": 0.8, "seed": i}
              for i in range(8)]
    for turn in range(2):
        for theirs in False, True:
            with Server(model, folder, theirs) as server:
                server.times({**bodies[0], "max_tokens": 2})
                begun = time.perf_counter()
                made = sum(map(len, together(8, lambda i: server.times(bodies[i]))))
                found[theirs].append(made / (time.perf_counter() - begun))
    ours, its = map(max, found.values())
    print(f"8 streams: ours {ours:.1f} tokens/s, llama-cpp-python's server {its:.1f}: "
          f"{ours / its:.2f} times; {found}")


def alone(model, folder):
    """One stream beside `infer.py complete`, which says what it took itself."""
    prompt = " ".join(random.Random(0).choices(WORDS, k=200))
    flags = ["--temperature", "0", "--max-tokens", "128"]
    for turn in range(3):
        told = subprocess.run([sys.executable, "infer.py", "complete", "--model", model, "--prompt",
                               prompt, *flags], cwd=HERE, capture_output=True, text=True).stderr
        with Server(model, f"{folder}/{turn}") as server:        # where no prompt is kept
            server.ask("/v1/completions", {"prompt": "a", "max_tokens": 2})
            times = [at for at, event in server.stream(
                {"prompt": prompt, "max_tokens": 128, "temperature": 0}, "/v1/completions")]
        print(f"complete: {told.strip()} | server: first after {times[0]:.3f} s, "
              f"{(len(times) - 1) / (times[-1] - times[0]):.1f} tokens/s")


def killed(model, folder):
    """Whether all that the page was sent is stored."""
    with Server(model, folder) as server:
        name = json.loads(server.ask("/threads", {})[1])["id"]
        asked = json.loads(server.ask(f"/threads/{name}/messages", {
            "content": "Tell me a long story."})[1])["id"]
        shown = ""
        for _, event in server.stream({"parent": asked, "max_tokens": 500},
                                      f"/threads/{name}/answer"):
            shown += "".join(one["text"] for one in event.get("tokens", ()))
            if len(shown) > 300:
                server.process.kill()
                break
    with Server(model, folder) as server:
        kept = json.loads(server.ask(f"/threads/{name}")[1])["messages"][-1]["content"]
    print(f"kill -9: {len(shown)} characters were shown, {len(kept)} are kept: "
          f"{'all' if kept.startswith(shown) else 'NOT all'}")


def reopened(model, folder):
    """When the next answer of a long chat begins, after a kill."""
    rng, messages = random.Random(0), []
    for turn in range(16):
        messages += [{"role": "user", "content": " ".join(rng.choices(WORDS, k=62))},
                     {"role": "assistant", "content": " ".join(rng.choices(WORDS, k=62))}]
    ask = {"max_tokens": 16, "temperature": 0}
    more = [{"role": "user", "content": "And what is the first of all this?"}]
    for theirs in (False, True) if "PEER" in os.environ else (False,):
        with Server(model, folder, theirs) as server:
            first = server.times({"messages": messages + more, **ask})[0]
            usage = json.loads(server.ask(CHAT, {"messages": messages + more, **ask})[1])["usage"]
        for _ in range(1 if theirs else 3):
            with Server(model, folder, theirs) as server:
                server.times({"messages": more, "max_tokens": 2})        # the model is loaded
                more[0]["content"] += " Why?"
                again = server.times({"messages": messages + more, **ask})[0]
            print(f"{'llama-cpp-python' if theirs else 'ours'}: {usage['prompt_tokens']} tokens, "
                  f"first after {first:.3f} s; reopened after kill -9 {again:.3f} s")


# ---- Requests that make little sense -------------------------------------------------------------

GOOD = {
    CHAT: {"messages": [{"role": "user", "content": "a"}], "max_tokens": 2},
    "/v1/completions": {"prompt": "a", "max_tokens": 2},
    "/v1/responses": {"input": "a", "max_output_tokens": 2},
    "/v1/messages": {"messages": [{"role": "user", "content": "a"}], "max_tokens": 2},
    "/v1/embeddings": {"input": "a"}, "/tokenize": {"content": "a"}}
FIELDS = """messages prompt input content model max_tokens max_completion_tokens max_output_tokens n
    stream stream_options temperature top_p top_k min_p seed stop logprobs top_logprobs logit_bias
    presence_penalty frequency_penalty repetition_penalty response_format tools tool_choice system
    parallel_tool_calls encoding_format dimensions stop_sequences instructions text best_of echo
    suffix functions user previous_response_id role type function name parameters schema
    json_schema tool_calls tool_call_id arguments id include_usage format input_schema""".split()


def requests():
    """Hypothesis's strategy of (path, body) near to what is asked for."""
    from hypothesis import strategies as st
    plain = st.none() | st.booleans() | st.integers(-2 ** 70, 2 ** 70) | st.floats() | st.text(
        max_size=9) | st.sampled_from(["user", "assistant", "system", "tool", "function", "object",
                                       "json_object", "json_schema", "auto", "required", "text"])
    value = st.recursive(plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(FIELDS) | st.text(max_size=5), inner, max_size=4), max_leaves=12)
    return st.sampled_from([*GOOD]).flatmap(lambda path: st.tuples(st.just(path), st.dictionaries(
        st.sampled_from(FIELDS), value, max_size=3).map(lambda new: {**GOOD[path], **new})))


def raw(rng, port):
    """Bytes of a request, of which some are others."""
    path, body = rng.choice([*GOOD.items()])
    data = json.dumps(body).encode()
    size = rng.choice([len(data), len(data) + 5, -1, 10 ** 12, "x"])
    text = bytearray(b"POST %b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: %b\r\n\r\n%b" % (
        path.encode(), port, str(size if rng.random() < 0.5 else len(data)).encode(), data))
    for _ in range(rng.randint(0, 6)):
        text[rng.randrange(len(text))] = rng.randrange(256)
    return bytes(text[:rng.randint(1, len(text))] if rng.random() < 0.2 else text)


def raw_status(port, data):
    """The status that bytes are answered with; 0: none, the link being closed."""
    with socket.create_connection(("127.0.0.1", port), 20) as link:
        link.sendall(data)
        link.shutdown(socket.SHUT_WR)
        answer = link.recv(200)
        return int(answer[9:12]) if answer.startswith(b"HTTP/1.") else 0


def malformed(model, folder, count=int(os.environ.get("COUNT", 20000))):
    """Statuses of requests; none may be 500, none may take over 20 seconds."""
    from hypothesis import HealthCheck, given, settings
    seen, memory = {}, []

    def note(status, what):
        seen[status] = seen.get(status, 0) + 1
        if sum(seen.values()) % (count // 8) == 0:
            memory.append(round(server.memory))
        assert status != 500, what

    @settings(max_examples=count // 2, deadline=None, database=None,
              suppress_health_check=[*HealthCheck])
    @given(requests())
    def fields(request):
        path, body = request
        note(server.ask(path, body)[0], request)
    with Server(model, folder) as server:
        server.ask(CHAT, GOOD[CHAT])
        fields()
        rng = random.Random(0)
        for _ in range(count - count // 2):
            data = raw(rng, server.port)
            note(raw_status(server.port, data), data)
        good = server.ask(CHAT, GOOD[CHAT])[0]
        print(f"{sum(seen.values())} requests: {dict(sorted(seen.items()))}; then a good one: "
              f"{good}; MB: {memory}; log: {server.log[-3:]}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        globals()[sys.argv[1]](str(Path(sys.argv[2]).resolve()), place)
