r"""The figures: ours, a peer's and the machine's limit, all of the same minute, and the ratios.

    make bench                              # everything: a quarter of an hour, 8 GB of memory
    python tests/bench.py --quick           # minutes: does it run? few rounds of small shapes
    python tests/bench.py --only training   # one part

These machines are noisy, so a row alternates all that it compares, and takes medians. Limits are
measured too: the multiplier's peak, and what memory gives to a plain loop. `reach` is the ratio to
the peer (x) or to the limit (of) that we want, * marks it where we have it. What does not fit this
machine is left out, and named. The table also goes to build/bench.json, the roofline to
build/bench.png.

Peers (PyTorch, PEFT, TRL, llama.cpp, tokenizers, tiktoken, rustbpe, datatrove, trafilatura) count
where they can be imported. They install with pip into an environment of their own, whose Python
runs this:

    python3 -m venv peers && peers/bin/pip install -r requirements.txt torch peft trl datasets \
        llama-cpp-python gguf rustbpe 'datatrove[processing]' spacy trafilatura lxml_html_clean
    make bench PY=peers/bin/python
"""

import argparse
import json
import platform
import re
import subprocess
import sys
import time
from dataclasses import replace
from functools import lru_cache
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

import bench_peers as peers  # noqa: E402
from bench_picture import roofline  # noqa: E402
from csrc import adapter  # noqa: E402
from csrc.bind import GENERATES, RECOMPUTE, TRAINS, ChatError, Library, Model  # noqa: E402
from csrc.config import BIAS_ALL, GELU, LAYERNORM, LEARNED, SWIGLU, Config  # noqa: E402
from kernel_calls import to_real  # noqa: E402

GPT2 = Config(vocab=50257, context=1024, layers=12, channels=768, heads=12, kv_heads=12,
              head_dim=64, hidden=3072, norm=LAYERNORM, position=LEARNED,
              activation=GELU, bias=BIAS_ALL, qk_norm=0, norm_eps=1e-5)
SMALL = Config(vocab=4096, context=4096, layers=6, channels=256, heads=4, kv_heads=4,
               head_dim=64, hidden=704)
SMOLLM2 = Config(vocab=49152, context=2048, layers=30, channels=576, heads=9, kv_heads=3,
                 head_dim=64, hidden=1536, qk_norm=0, norm_eps=1e-5, rope_theta=1e5)
TINYLLAMA = Config(vocab=32000, context=2048, layers=22, channels=2048, heads=32, kv_heads=4,
                   head_dim=64, hidden=5632, qk_norm=0, tied=0, norm_eps=1e-5)


# ---- Measuring ---------------------------------------------------------------------------------


class Probe:
    """A limit: one of the device's own measurements, called in turns with what it limits."""

    def __init__(self, library, name, *args):
        self.call, self.values = lambda: library.call(name, *args), []

    def __call__(self):
        self.values.append(self.call())

    def median(self):
        """In 10^9 a second."""
        return median(self.values) / 1e9


class Bench:
    """The table as it grows: rows, lines of growth, and what was left out, with the reason."""

    def __init__(self, quick, threads, clock=time.perf_counter):
        self.quick, self.dtype, self.clock = quick, None, clock
        self.rows, self.growth, self.left_out = [], [], {}
        self.threads = Library.load("cpu", "f32").call("device_threads", threads)

    def alternate(self, *functions):
        """The median seconds of each function, in turns; None for None. Each is called twice in its
        turn and timed the second time: the first call brings back its threads and its memory."""
        least, end = (2, time.time() + 1) if self.quick else (3, time.time() + 10)
        times = [[] for _ in functions]
        while len(times[0]) < least or time.time() < end:
            for function, taken in zip(functions, times):
                if function:
                    function()
                    start = self.clock()
                    function()
                    taken.append(self.clock() - start)
        return [median(taken) if taken else None for taken in times]

    def part(self, name, peer="none", limit="none"):
        print(f"\n{name}. Peer: {peer}. Limit: {limit}.\n{'':40} {'ours':>9} {'':7} {'peer':>9} "
              f"{'x':>6} {'limit':>9} {'of':>5}  reach", flush=True)

    def row(self, what, ours, unit, peer=None, limit=None, x=None, of=None, name="", point=None):
        """ours, peer, limit in `unit`; x and of: the ratios to reach. name: which peer it is.
        point: (FLOP, bytes, seconds), to be drawn in the roofline."""
        ratio_x, ratio_of = (other and ours / other for other in (peer, limit))
        goal, ratio = (x, ratio_x) if x else (of, ratio_of)
        met = bool(goal and ratio and ratio >= goal)
        self.rows.append(dict(what=what, dtype=self.dtype, ours=ours, unit=unit, peer=peer,
                              peer_name=name, limit=limit, x=ratio_x, of=ratio_of, reach_x=x,
                              reach_of=of, met=met, point=point))
        reach = f"{'x ' if x else 'of'} {goal:.2f}{' *' if met else ''}" if goal else ""
        print(f"{what:40} {show(ours):>9} {unit:7} {show(peer):>9} {show(ratio_x, 2):>6} "
              f"{show(limit):>9} {show(ratio_of, 2):>5}  {reach:11}{name}".rstrip(), flush=True)

    def grow(self, what, rates):
        """How tokens/s change with one size, everything else equal. rates: {size: rate}."""
        self.growth.append(dict(what=what, unit="tok/s", rates=rates))
        print(f"{what:12} {' -> '.join(map(str, rates))}:  "
              f"{'  '.join(f'{rate:,.0f}' for rate in rates.values())} tok/s", flush=True)

    def leave_out(self, what, why):
        self.left_out[what] = str(why)
        print(f"\n{what} is left out: {why}", flush=True)


def show(value, digits=None):
    digits = int(value < 100) if value and digits is None else digits
    return "-" if value is None else f"{value:,.{digits}f}"


class LeftOut(Exception):
    """Why this machine cannot do a row."""


def memory(config, dtype, flags, *sizes, device="cpu"):
    """Bytes that such a model takes in all."""
    return sum(Library.load(device, dtype).memory(config, flags, *sizes).values())


def need(size):
    """LeftOut unless `size` bytes of memory are free."""
    free, meminfo = Library.load("cpu", "f32").call("device_memory"), Path("/proc/meminfo")
    if meminfo.exists():
        free = 1024 * int(re.search(r"MemAvailable: *(\d+)", meminfo.read_text())[1])
    if free < size:
        raise LeftOut(f"it takes {size / 1e9:.1f} GB of memory, and {free / 1e9:.1f} are free")


# ---- What things cost --------------------------------------------------------------------------


def multiplied(model):
    """Weights that every token is multiplied with: all matrices but tables to look up in."""
    tables = ["model.positions.weight"] + ["model.embed_tokens.weight"] * (not model.config.tied)
    return sum(int(np.prod(shape)) for name, shape, matrix in model.tensors
               if matrix and name not in tables)


def training_flop(model, T):
    """FLOP a token: 6 a weight, and attention's, which is causal: a token sees half of T."""
    c = model.config
    return 6 * multiplied(model) + 6 * c.layers * c.heads * c.head_dim * T


def training_bytes(model, N, size):
    """The least that a step of N tokens moves: weights read forward and backward, gradients added,
    AdamW, and what the forward pass leaves written and read once. size: bytes of a weight."""
    c = model.config
    W, HD = (c.heads + 2 * c.kv_heads) * c.head_dim, c.heads * c.head_dim
    rotated = W if c.qk_norm else 0
    mlp = c.hidden * (3 if c.activation == SWIGLU else 2)
    kept = 4 * c.channels + W + rotated + HD + mlp       # struct Activations in csrc/model.h
    return model.parameters * (2 * size + 8 + adamw_bytes(size)) + 2 * size * N * c.layers * kept


def adamw_bytes(size):
    """Bytes a parameter: the norm reads its gradient; the step reads gradient, master and two
    moments, and writes the last three, and the weight where that is no float."""
    return 4 + 16 + 12 + (size if size < 4 else 0)


ADAMW_FLOP = 18                                  # a parameter, counted in csrc/kernels.c


def bytes_of(dtype):
    return 4 if dtype == "f32" else 2


# ---- Matrix products ---------------------------------------------------------------------------

SHAPES = [(2048, 2048, 2048), (4096, 768, 3072), (4096, 256, 1024), (4096, 768, 50304)]


def gemm(bench, dtype):
    """linear layers: forward (NT), and gradients of inputs (NN) and of weights (TN)"""
    library, size = Library.load("cpu", dtype), bytes_of(dtype)
    bench.part(f"Matrix products {dtype}", f"{peers.name('torch')}, mm", "the multiplier's peak")
    for N, C, O in SHAPES[:-1] if bench.quick else SHAPES:
        need(6 * size * N * O + 20 * O * C)
        rng = np.random.default_rng(0)
        inp, weight, out = (to_real(library, rng.standard_normal(shape, np.float32))
                            for shape in ((N, C), (O, C), (N, O)))
        packed = np.zeros(library.call("linear_packed_size", C, O), library.real_type)
        work = np.zeros(library.call("linear_work", N, C, O, 1), np.uint8)
        dinp, dweight = np.empty_like(inp), np.zeros((O, C), np.float32)
        library.call("linear_pack", packed, weight, 0, O, C, O)

        def forward():
            library.call("linear_forward", out, None, inp, packed, None, None, work, N, C, O)

        def backward(dinp, dweight):
            library.call("linear_backward", dinp, dweight, None, out, inp, weight, None,
                         None, None, work, N, C, O)

        peak = Probe(library, "device_peak")
        NT, TN, both, _, *theirs = bench.alternate(
            forward, lambda: backward(None, dweight), lambda: backward(dinp, dweight), peak,
            *peers.products(inp, weight, out, dinp, bench.threads))
        flop, moved = 2.0 * N * C * O, size * (N * C + O * C + N * O)
        goal = 0.8 if dtype == "bf16" else 0.85 if N == C == O else 0.75
        for form, seconds, peer in zip(("NT", "NN", "TN"), (NT, both - TN, TN), theirs):
            # TN adds to a sum in float, which is read and written.
            traffic = moved + O * C * (8 - size) * (form == "TN")
            bench.row(f"{form} {dtype} ({N},{C})x({O})", flop / seconds / 1e9, "GFLOP/s",
                      peer and flop / peer / 1e9, peak.median(), of=goal,
                      point=(flop, traffic, seconds))


# ---- Training ----------------------------------------------------------------------------------


def batch(config, B, T):
    rows = np.random.default_rng(0).integers(0, config.vocab, (B, T + 1))
    return rows[:, :-1], rows[:, 1:]


def our_step(model, B, T):
    """A function that takes one whole training step: forward, backward, clipping, AdamW."""
    tokens, targets = batch(model.config, B, T)
    weights, steps = np.full((B, T), 1 / (B * T), np.float32), count(1)

    def step():
        model.forward(tokens, targets, None, weights)
        model.backward()
        model.update(next(steps), 1e-4, grad_scale=min(1.0, 1 / model.grad_norm()))
        model.zero_grad()
    return step


TRAINING = [                                     # name, config, B, T, x to reach in f32 and bf16
    ("6 layers, 256 channels", SMALL, 16, 256, {"f32": 2.5, "bf16": 2.0}),
    ("GPT-2 124M", GPT2, 4, 64, {"f32": 2.5, "bf16": 1.5}),
    ("GPT-2 124M", GPT2, 1, 1024, {"bf16": 1.5})]


def training(bench, dtype):
    """whole steps: forward, backward, clipping, AdamW"""
    bench.part(f"Training {dtype}", f"{peers.name('torch')}, eager or compiled, what is faster",
               "the peak")
    for name, config, B, T, reach in TRAINING[:1] if bench.quick else TRAINING:
        if dtype not in reach:
            continue
        need(2 * memory(config, dtype, TRAINS, B * T))    # ours, and the peer's
        model = Model.create(config, "cpu", dtype)
        theirs = peers.steps(config, dtype, *batch(config, B, T), bench.threads)
        peak = Probe(model.core, "device_peak")
        ours, _, *times = bench.alternate(our_step(model, B, T), peak, *theirs.values())
        rates = {which: B * T / seconds for which, seconds in zip(theirs, times)}
        flop = training_flop(model, T) * B * T
        moved = training_bytes(model, B * T, bytes_of(dtype))
        bench.row(f"{name}, {dtype}, B={B} T={T}", B * T / ours, "tok/s",
                  max(rates.values(), default=None), B * T * peak.median() * 1e9 / flop,
                  x=reach[dtype], point=(flop, moved, ours),
                  name=", ".join(f"{which} {rate:,.0f}" for which, rate in rates.items()))


def adapting(bench, dtype):
    """whole steps of adapters of rank 16 beside all matrices of a frozen model"""
    B, T, flags = 4, 256, TRAINS + RECOMPUTE
    config = replace(SMOLLM2, layers=2) if bench.quick else SMOLLM2
    bench.part(f"Adapters {dtype}", peers.name("peft"), "the peak")
    need(4 * memory(replace(config, lora=16), dtype, flags, B * T))
    with TemporaryDirectory() as folder:
        Model.create(config, "cpu", dtype).save(folder)
        model = Model.load(folder, "cpu", dtype, flags, lora=16)
        adapter.begin(model, 0)
        theirs = peers.adapted(folder, dtype, 16, *batch(config, B, T), bench.threads)
    peak = Probe(model.core, "device_peak")
    ours, _, *other = bench.alternate(our_step(model, B, T), peak, *filter(None, [theirs]))
    flop = training_flop(model, T) * B * T * 2 / 3       # what is frozen has no gradient
    bench.row(f"SmolLM2 135M, {dtype}, B={B} T={T}", B * T / ours, "tok/s",
              B * T / other[0] if other else None, B * T * peak.median() * 1e9 / flop, x=1.6)


def adamw(bench, dtype):
    """the norm of the gradients and the update of GPT-2 124M"""
    bench.part(f"AdamW and clipping {dtype}", limit="memory, read and written in x += z, y += z")
    need(memory(GPT2, dtype, TRAINS, 64))
    model, tokens = Model.create(GPT2, "cpu", dtype), batch(GPT2, 1, 64)
    model.forward(*tokens, None, np.full((1, 64), 1 / 64, np.float32))
    model.backward()
    steps, bandwidth = count(1), Probe(model.core, "device_bandwidth", 1)

    def update():
        model.update(next(steps), 1e-4, grad_scale=min(1.0, 1 / model.grad_norm()))

    ours, _ = bench.alternate(update, bandwidth)
    moved = model.parameters * adamw_bytes(bytes_of(dtype))
    bench.row(f"AdamW {dtype}, GPT-2 124M", moved / ours / 1e9, "GB/s", limit=bandwidth.median(),
              of=0.8, point=(ADAMW_FLOP * model.parameters, moved, ours))


# ---- Generation --------------------------------------------------------------------------------

LENGTH, PROMPT, TURN = 512, 64, 4                # tokens: of a slot, before those timed, timed


def numbers(model):
    """(name, weights) of each tensor. Model.create would draw every one; here a block is repeated,
    of a length that no row divides."""
    block = np.random.default_rng(0).standard_normal(1_000_003, np.float32)
    for name, shape, matrix in model.tensors:
        values = np.resize(block, shape) * np.float32(shape[-1] ** -0.5)
        yield name, values if matrix else np.ones(shape, np.float32)


@lru_cache(1)
def large(layers):
    """The shape of TinyLlama 1.1B (arXiv:2401.02385) in bf16, or its first layers."""
    config = replace(TINYLLAMA, layers=layers)
    need(memory(config, "bf16", GENERATES, 256, 17, LENGTH))
    model = Model(config, "cpu", "bf16", flags=GENERATES)
    for name, values in numbers(model):
        model.write(name, values)
    return model, "TinyLlama" if layers == TINYLLAMA.layers else f"{layers} layers of TinyLlama"


def extender(model, slots, first, tokens, length=LENGTH):
    """A function that appends `tokens`, call by call, to slots that have `first` tokens."""
    cache = model.cache(slots, length)
    every = list(range(slots))
    if first:
        model.extend(cache, every, [list(range(first))] * slots, read=False)

    def extend():
        for slot in every:
            cache.fork(slot, slot, first)
        for piece in tokens:
            logits = model.extend(cache, every, [piece] * slots)
        return logits
    return extend


def decoding(bench, dtype):
    """generating with 1.1 B weights: one sequence, and sixteen at once"""
    model, name = large(2 if bench.quick else TINYLLAMA.layers)
    bench.part("Decoding bf16", limit="memory, read")
    read = 2 * multiplied(model)                 # bytes, and also the FLOP of one token
    bandwidth = Probe(model.core, "device_bandwidth", 0)
    one, many, _ = bench.alternate(extender(model, 1, PROMPT, [[1]] * TURN),
                                   extender(model, 16, PROMPT, [[1]] * TURN), bandwidth)
    bench.row(f"{name}, weights read", TURN * read / one / 1e9, "GB/s", limit=bandwidth.median(),
              of=0.92, point=(TURN * read, TURN * read, one))
    bench.row(f"{name}, 16 at once", 16 * TURN / many, "tok/s", TURN / one, x=10,
              name="one sequence", point=(16 * TURN * read, TURN * read, many))


def serving(bench, dtype):
    """the same model beside llama.cpp: decoding, and reading a prompt"""
    model, name = large(2 if bench.quick else TINYLLAMA.layers)
    bench.part("Serving bf16", peers.name("llama_cpp"))
    need(4 * model.parameters)                   # what llama.cpp holds, twice while it is written
    path = ROOT / "build" / f"bench-{model.config.layers}-layers.gguf"
    theirs = peers.llama(model, numbers(model), path, bench.threads)
    for what, first, pieces, reach in (("decoding", PROMPT, [[1]] * TURN, 1.0),
                                       ("a prompt of 256", 0, [list(range(256))], 2.0)):
        ours, peer = bench.alternate(extender(model, 1, first, pieces),
                                     theirs and theirs(first, pieces))
        tokens = sum(map(len, pieces))
        bench.row(f"{name}, {what}", tokens / ours, "tok/s", peer and tokens / peer, x=reach)


def lookup(bench, dtype):
    """guessing tokens from the prompt, with a model that is trained for it first"""
    import bench_lookup                          # it needs infer.py
    bench_lookup.rows(bench, dtype)


def quantized(bench, dtype):
    """GGUF files: decoding, sixteen at once, and reading a prompt"""
    import bench_quant                           # it needs this file
    bench_quant.rows(bench, dtype)


# ---- Text --------------------------------------------------------------------------------------


def tokenizing(bench, dtype):
    """text to tokens: training must never wait for it"""
    from data.pocket.pages import documents
    from data.tokens import bpe, learn
    from train import Pretrain, architecture
    texts = [page["text"] for page in documents(0, (1 if bench.quick else 8) << 20)]
    tokenizer = bpe.learn(learn.count_chunks(texts[:1000]), 4096)
    tokens = sum(map(len, tokenizer.encode_batch(texts))) / 1e3
    model = Model.create(architecture(Pretrain(), tokenizer.vocab_size), "cpu", dtype)
    others = ["tokenizers", "tiktoken"]
    ours, step, *theirs = bench.alternate(
        lambda: tokenizer.encode_batch(texts, bench.threads), our_step(model, 8, 256),
        *(peers.encoder(other, tokenizer, texts, bench.threads) for other in others))
    bench.part(f"Tokenizing {sum(map(len, texts)) / 1e6:.0f} MB of the pocket world", "named")
    bench.row("BPE", tokens / ours, "ktok/s", 2.048 / step, x=1,
              name=f"training, default model, {dtype}")
    for other, peer in zip(others, theirs):
        bench.row("BPE", tokens / ours, "ktok/s", peer and tokens / peer, name=peers.name(other))


# ---- How cost grows ----------------------------------------------------------------------------


def scaling(bench, dtype):
    """how the cost of training grows with length, depth, batch and threads"""
    N = 1024 if bench.quick else 4096
    print(f"\nHow cost grows: training {dtype}, 6 layers of 256 channels, {N} tokens a step, "
          f"T = 256, but for")

    def steps(*cases):
        """The rates of (config, B, T)."""
        seconds = bench.alternate(*(our_step(Model.create(config, "cpu", dtype), B, T)
                                    for config, B, T in cases))
        return [B * T / s for (_, B, T), s in zip(cases, seconds)]

    lengths = [T for T in (256, 512, 1024, 2048, 4096) if T <= N]
    bench.grow("T", dict(zip(lengths, steps(*((SMALL, N // T, T) for T in lengths)))))
    layers = [2, 4, 8]
    bench.grow("layers", dict(zip(layers, steps(*((replace(SMALL, layers=L), N // 256, 256)
                                                  for L in layers)))))
    rows = [B for B in (1, 4, 16) if B * 256 <= N]
    bench.grow("B", dict(zip(rows, steps(*((SMALL, B, 256) for B in rows)))))

    step = our_step(Model.create(SMALL, "cpu", dtype), N // 256, 256)

    def on(threads):
        def run():
            Library.load("cpu", dtype).call("device_threads", threads)
            step()
        return run

    threads = [n for n in (1, 2, 4, 8, 16, 32, 64) if n < bench.threads] + [bench.threads]
    seconds = bench.alternate(*map(on, threads))
    bench.grow("threads", {n: N / s for n, s in zip(threads, seconds)})


# ---- A machine that others use, too ------------------------------------------------------------


def busy(bench, dtype):
    """training and decoding while another program keeps one core busy"""
    bench.part("One core is kept busy", f"{peers.name('torch')}, its own loss", "an idle machine")
    config, B, T = replace(SMALL, layers=4, context=256), 8, 256
    model = Model.create(config, "cpu", dtype)
    theirs = peers.steps(config, dtype, *batch(config, B, T), bench.threads)
    functions = [our_step(model, B, T), extender(model, 1, 16, [[1]] * 200, 256),
                 *list(theirs.values())[:1]]
    idle = bench.alternate(*functions)
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            taken = bench.alternate(*functions)
        finally:
            other.kill()
    names = "training, 4 layers of 256", "decoding, the same", "training, the peer"
    for what, tokens, alone, beside in zip(names, (B * T, 200, B * T), idle, taken):
        bench.row(what, tokens / beside, "tok/s", limit=tokens / alone, of=0.6)


# ---- The command line --------------------------------------------------------------------------

BOTH, BF16, BEST = ("f32", "bf16"), ("bf16",), ("best",)
PARTS = {"gemm": (gemm, BOTH), "training": (training, BOTH),
         "adapters": (adapting, BOTH), "adamw": (adamw, BOTH),
         "busy": (busy, BEST), "scaling": (scaling, BEST), "bpe": (tokenizing, BEST),
         "decoding": (decoding, BF16),
         "serving": (serving, BF16), "lookup": (lookup, BEST),
         "quantized": (quantized, BEST)}


def describe(bench):
    """The machine and its roofs, which the picture needs: FLOP/s by dtype, bytes/s."""
    roofs, info = {}, Path("/proc/cpuinfo")
    for dtype in BOTH:
        try:
            roofs[dtype] = Library.load("cpu", dtype).call("device_peak")
        except ChatError as error:
            bench.leave_out(dtype, error)
    library = Library.load("cpu", "f32")
    roofs["read"], roofs["update"] = (library.call("device_bandwidth", n) for n in (0, 1))
    found = info.exists() and re.search(r"model name\s*: (.*)", info.read_text())
    name = found[1] if found else platform.machine()
    print(f"{name}, threads: {bench.threads}; "
          + ", ".join(f"{what} {rate / 1e9:,.0f}" for what, rate in roofs.items())
          + " (GFLOP/s, GB/s)")
    return dict(name=name, threads=bench.threads, memory=library.call("device_memory"), roofs=roofs)


def main():
    import bench_rl                              # they need this file, as bench_cuda does
    import bench_web
    every = PARTS | bench_rl.PARTS | bench_web.PARTS
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="parts:\n" + "\n".join(f"  {name:9} {part.__doc__}"
                                      for name, (part, _) in every.items()))
    parser.add_argument("--quick", action="store_true", help="few rounds of small shapes")
    parser.add_argument("--only", metavar="PART", help="one part of the table")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu",
                        help="cuda: the parts of tests/bench_cuda.py instead")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="of everybody; 0: all")
    parser.add_argument("--cpu-time", action="store_true", help="one thread each, and the CPU "
                        "seconds it takes: where others use the machine, too")
    args = parser.parse_args()
    clock = time.process_time if args.cpu_time else time.perf_counter
    bench, parts = Bench(args.quick, 1 if args.cpu_time else args.threads, clock), every
    if args.device == "cuda":
        import bench_cuda
        parts = bench_cuda.PARTS
    if args.only not in (None, *parts):
        parser.error(f"--only {args.only} is not one of {', '.join(parts)}")
    machine = describe(bench)
    for name, (part, dtypes) in parts.items():
        for dtype in dtypes if args.only in (None, name) else ():
            bench.dtype = Library.choose("cpu")[1] if dtype == "best" else dtype
            try:
                part(bench, bench.dtype)
            except (ChatError, LeftOut, MemoryError, RuntimeError) as error:
                bench.leave_out(f"{name} {bench.dtype}", error)
    wanted = [row for row in bench.rows if row["reach_x"] or row["reach_of"]]
    print(f"\n{sum(row['met'] for row in wanted)} of {len(wanted)} reached")
    for name, why in peers.ABSENT.items():
        print(f"{name} is absent: {why}")
    out = ROOT / "build" / "bench.json"
    out.write_text(json.dumps(dict(machine=machine, rows=bench.rows, growth=bench.growth,
                                   left_out=bench.left_out, absent=peers.ABSENT), indent=1) + "\n")
    print(out)
    roofline(machine, bench.rows, out.with_suffix(".png"))


if __name__ == "__main__":
    import bench                                 # once more, by the name that its parts import
    bench.main()
