"""The parts of tests/bench.py that a GPU has: python tests/bench.py --device cuda.

MFU is (6 N + 12 L C T) FLOP a token, N all parameters, over the dense bf16 peak of the data sheet
(arXiv:2204.02311); a GPU that is not listed is measured against its own matrix products.
"""

from dataclasses import replace

import numpy as np

import bench_peers as peers
from bench import GPT2, LeftOut, Probe, batch, memory, our_step
from csrc.bind import GENERATES, RECOMPUTE, TRAINS, Library, Model, samplings

XL = replace(GPT2, layers=48, channels=1600, heads=25, kv_heads=25, hidden=6400)      # 1.5B
PEAKS = {"A100": 312e12, "H100": 989e12, "H200": 989e12, "B200": 2250e12}
DEVICE, DTYPE = "cuda", "bf16"
TRAINING = [         # name, Config, B, T, flags, MFU to reach, tokens/s of PyTorch's to reach
    ("GPT-2 124M", GPT2, 64, 1024, TRAINS, 0.48, 1.15),
    ("GPT-2 1.5B", XL, 16, 1024, TRAINS + RECOMPUTE, 0.52, 1.15)]


def library():
    return Library.load(DEVICE, DTYPE)


def device_name():
    return library().ffi.string(library().lib.device_name()).decode()


def peak():
    """FLOP/s of the data sheet, or measured."""
    known = [flop for name, flop in PEAKS.items() if name in device_name()]
    return known[0] if known else library().call("device_peak")


class Bandwidth(Probe):
    """What memory gives to x += z, y += z, which reads and writes nearly as much as a copy does.
    --quick does without: where a CPU plays the GPU, it would take minutes."""

    def __init__(self, bench):
        super().__init__(library(), "device_bandwidth", 1)
        self.quick = bench.quick

    def __call__(self):
        self.quick or super().__call__()

    def median(self):
        return None if self.quick else super().median()


def small(bench, config):
    """The config, or with --quick one of its kind that takes no time."""
    if not bench.quick:
        return config
    return replace(config, vocab=300, context=64, layers=2, channels=128, heads=2, kv_heads=2,
                   hidden=256)


class Buffer:
    """Memory on the device that holds `count` of a C type: zeros, or `values` of that type."""

    def __init__(self, size, values=None):
        self.core = library()
        self.memory = self.core.call("device_alloc", size)
        if self.memory == self.core.ffi.NULL:
            raise LeftOut(f"{size / 1e9:.1f} GB of memory could not be had")
        if values is not None:
            self.core.call("device_write", self.memory, values.view(np.uint8).reshape(-1), size)

    def __del__(self):
        self.core.lib.device_free(self.memory)


def reals(*shape, scale=1.0):
    """Random numbers on the device: a block repeated, of a length that no row divides."""
    block = np.random.default_rng(len(shape)).standard_normal(1_000_003, np.float32) * scale
    values = library().real(np.resize(block.astype(np.float32), shape))
    return Buffer(values.nbytes, values)


def floats(*shape):
    values = np.resize(np.random.default_rng(1).standard_normal(1_000_003, np.float32), shape)
    return Buffer(values.nbytes, values)


def ints(low, high, *shape):
    values = np.random.default_rng(2).integers(low, high, shape, np.int32)
    return Buffer(values.nbytes, values)


def empty(size):
    return Buffer(max(1, size))


def times(bench):
    """How many launches are timed together: waiting for the last takes as long as some kernels."""
    return 1 if bench.quick else 20


def kernel(times, name, *args):
    """A function that launches a kernel `times` times and waits for the last."""
    core, word, host = library(), Buffer(4), np.zeros(1, np.float32)
    args = [x.memory if isinstance(x, Buffer) else core.ffi.NULL if x is None else x for x in args]

    def run():
        for _ in range(times):
            getattr(core.lib, name)(*args)
        core.call("device_read", host.view(np.uint8), word.memory, 4)
    run.held = args, word
    return run


# ---- Training ----------------------------------------------------------------------------------


def training(bench, dtype):
    """whole steps of GPT-2: forward, backward, clipping, AdamW"""
    bench.part(f"Training {DTYPE}", f"{peers.name('torch')}, compiled, SDPA",
               "6N + 12LCT FLOP a token at the dense peak")
    for name, config, B, T, flags, mfu, x in TRAINING:
        config, B, T = small(bench, config), 2 if bench.quick else B, 64 if bench.quick else T
        if memory(config, DTYPE, flags, B * T, device=DEVICE) > library().call("device_memory"):
            bench.leave_out(name, "the GPU has too little memory")
            continue
        model = Model.create(config, DEVICE, DTYPE, flags=flags)
        flop = 6 * model.parameters + 12 * config.layers * config.channels * T
        ours, = bench.alternate(our_step(model, B, T))
        model.free()                             # two of them may not fit at once
        bench.row(f"{name}, B={B} T={T}", B * T / ours, "tok/s", limit=peak() / flop, of=mfu)
        theirs = peers.steps(config, DTYPE, *batch(config, B, T), bench.threads, DEVICE)
        for which, step in theirs.items():
            seconds, = bench.alternate(step)
            bench.row(f"{name}, B={B} T={T}", B * T / ours, "tok/s", B * T / seconds, x=x,
                      name=f"PyTorch, {which}")


# ---- Attention ---------------------------------------------------------------------------------

HEADS = [(16, 1024, 12, 64), (16, 1024, 25, 64), (4, 4096, 16, 128)]        # B, T, H, D


def attention(bench, dtype):
    """our flash attention beside PyTorch's"""
    core, many = library(), times(bench)
    bench.part(f"Attention {DTYPE}", f"{peers.name('torch')}, SDPA", "the dense peak")
    for B, T, H, D in [(1, 128, 2, 64)] if bench.quick else HEADS:
        N, W = B * T, 3 * H * D
        qkv, dout, lse = reals(N, W), reals(N, H * D), empty(4 * N * H)
        out, dqkv = empty(2 * N * H * D), empty(2 * N * W)
        work = empty(core.call("attention_work", B, T, H, D))
        flop = 2.0 * B * H * T * T * D           # two products of half a square
        forward = kernel(many, "attention_forward", out, lse, qkv, None, B, T, H, H, D, 0)
        forward()
        backward = kernel(many, "attention_backward", dqkv, dout, out, lse, qkv, None, work,
                          B, T, H, H, D, 0)
        theirs = peers.attention(B, T, H, D, many)
        seconds = bench.alternate(forward, backward, *theirs)
        for what, ours, peer, work_flop in zip(("forward", "backward"), seconds, seconds[2:],
                                               (flop, 2.5 * flop)):
            rate = many * work_flop / 1e12
            bench.row(f"{what} B={B} T={T} H={H} D={D}", rate / ours, "TFLOP/s",
                      peer and rate / peer, peak() / 1e12, x=0.8)


# ---- Kernels that wait for memory --------------------------------------------------------------


def bandwidth_kernels(bench, dtype):
    """norms, classifier, SwiGLU and AdamW"""
    core, many, N, C, F, V = library(), times(bench), 65536, 768, 2048, 50257
    if bench.quick:
        N, C, F, V = 128, 64, 128, 300
    P, rows = (V + 127) // 128 * 128, min(N, core.call("nll_rows"))
    bench.part(f"Kernels that wait for memory, {DTYPE}", limit="memory, read and written")
    x, y, out, weight = reals(N, C), reals(N, C), empty(2 * N * C), reals(C)
    mean, rstd, dw = floats(N), floats(N), floats(2 * C)
    row, logits, dlogits = 2 * N * C, floats(rows, P), empty(2 * rows * P)
    inp, act, dinp = reals(N, 2 * F), reals(N, F), empty(4 * N * F)
    n = 10_000 if bench.quick else 124_475_904
    adam = core.ffi.new("AdamW *", dict(step=9, lr=1e-4, beta1=0.9, beta2=0.95, eps=1e-8,
                                        weight_decay=0.1, grad_scale=1.0))
    arrays = [empty(size * n) for size in (2, 4, 4, 4, 4)]
    work, half = empty(core.call("norm_work", N, C)), core.ffi.cast("float *", dw.memory) + C

    def case(what, moved, *call):
        return what, many * moved, kernel(many, *call)

    cases = [                                    # what, bytes moved, the kernel and its arguments
        case("LayerNorm forward", 2 * row, "layernorm_forward", out, mean, rstd, x, weight, weight,
             N, C, 1e-5),
        case("LayerNorm backward", 4 * row, "layernorm_backward", y, dw, half, out, x, weight, mean,
             rstd, work, N, C),
        case("RMSNorm forward", 2 * row, "rmsnorm_forward", out, rstd, x, weight, N, C, 1e-5),
        case("RMSNorm backward", 4 * row, "rmsnorm_backward", y, dw, out, x, weight, rstd, work,
             N, C),
        case("classifier", 6 * rows * P, "nll_forward", mean, dlogits, logits, ints(0, V, rows),
             floats(rows), rows, V, P),
        case("SwiGLU forward", 6 * N * F, "swiglu_forward", act, inp, N, F),
        case("SwiGLU backward", 10 * N * F, "swiglu_backward", dinp, act, inp, N, F),
        case("AdamW", 30 * n, "adamw", *arrays, adam, 1, 0, n)]
    bandwidth = Bandwidth(bench)
    taken = bench.alternate(bandwidth, *(function for _, _, function in cases))[1:]
    for (what, moved, _), seconds in zip(cases, taken):
        bench.row(what, moved / seconds / 1e9, "GB/s", limit=bandwidth.median(), of=0.85)


# ---- Generation --------------------------------------------------------------------------------


def generator(model, slots, length, steps):
    """A function that draws `steps` tokens for each of `slots` sequences, on the device."""
    cache, each = model.cache(slots, length), list(range(slots))
    model.extend(cache, each, [[1, 2, 3, 4]] * slots)

    def run():
        for slot in each:
            cache.fork(slot, slot, 4)
        drawn = [1] * slots
        for position in range(5, 5 + steps):
            model.extend(cache, each, [[token] for token in drawn], read=False)
            drawn, *_ = model.draw(samplings(slots, seed=each, position=position))
    return run


def decoding(bench, dtype):
    """one sequence and 64, tokens drawn on the device"""
    bench.part(f"Decoding {DTYPE}", limit="memory, read and written")
    for name, config, many in ("GPT-2 124M", GPT2, None), ("GPT-2 1.5B", XL, 30):
        config, steps = small(bench, config), 8 if bench.quick else 64
        model = Model.create(config, DEVICE, DTYPE, flags=GENERATES)
        size = 2 * sum(int(np.prod(shape)) for name, shape, matrix in model.tensors
                       if matrix and name != "model.positions.weight")
        bandwidth = Bandwidth(bench)
        one, more, _ = bench.alternate(generator(model, 1, 5 + steps, steps),
                                       generator(model, 64, 5 + steps, steps), bandwidth)
        bench.row(f"{name}, one sequence", steps * size / one / 1e9, "GB/s",
                  limit=bandwidth.median(), of=0.6, name=f"{steps / one:,.0f} tok/s")
        bench.row(f"{name}, 64 sequences", 64 * steps / more, "tok/s", steps / one, x=many,
                  name="one sequence")
        model.free()


# ---- The same numbers --------------------------------------------------------------------------


def losses(device, dtype, config, steps, B, T, flags=TRAINS):
    """The loss of each step on one stream of tokens with something to learn."""
    rng = np.random.default_rng(0)
    # Words of four tokens each, drawn with unequal frequency.
    words = rng.integers(0, config.vocab, (1000, 4))
    stream = words[np.minimum(rng.geometric(0.01, steps * B * T // 4 + T), 1000) - 1].ravel()
    model, lost = Model.create(config, device, dtype, seed=0, flags=flags), []
    weights = np.full((B, T), 1 / (B * T), np.float32)
    for step in range(1, steps + 1):
        rows = np.stack([stream[at:at + T + 1] for at in
                         (((step - 1) * B + b) * T for b in range(B))])
        nll = model.forward(rows[:, :-1], rows[:, 1:], None, weights)
        lost.append(float((nll * weights).sum()))
        model.backward()
        model.update(step, 3e-4 * min(1, step / 20), grad_scale=min(1.0, 1 / model.grad_norm()))
        model.zero_grad()
    end = np.concatenate([model.read(name).ravel() for name, _, _ in model.tensors])
    model.free()
    return np.array(lost), end.tobytes()


def agreement(bench, dtype):
    """200 steps of GPT-2 124M here and on the CPU in float32; two runs here, bit by bit"""
    config = small(bench, GPT2)
    steps, B, T = (5, 2, 64) if bench.quick else (200, 4, 64)
    print(f"\n{steps} steps of {B * T} tokens, {device_name()}", flush=True)
    (ours, end), (again, same) = (losses(DEVICE, DTYPE, config, steps, B, T) for _ in range(2))
    print(f"two runs: losses {'equal' if (ours == again).all() else 'DIFFER'}, weights "
          f"{'equal' if end == same else 'DIFFER'}, bit by bit", flush=True)
    truth, _ = losses("cpu", "f32", config, steps, B, T)
    off = np.abs(ours / truth - 1)
    print(f"losses here {ours[0]:.4f} to {ours[-1]:.4f}, "
          f"CPU f32 {truth[0]:.4f} to {truth[-1]:.4f}; the largest difference is "
          f"{100 * off.max():.2f} %, of the last 20 steps {100 * off[-20:].max():.2f} %",
          flush=True)


PARTS = {name: (part, (DTYPE,)) for name, part in (
    ("training", training), ("attention", attention), ("bandwidth", bandwidth_kernels),
    ("decoding", decoding), ("agreement", agreement))}
