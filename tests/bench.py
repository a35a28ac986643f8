"""The figures: ours, the machine's limit or a peer's in the same minute, and the ratio.

    make bench                         # or: python tests/bench.py [--quick] [--only WORD]

These machines are noisy, so every row alternates us and what we are compared with, and takes medians.
Peers that cannot be imported are named as absent; install them in an environment of their own and run
this file with its Python. The table also goes to build/bench.json.
"""

import argparse
import json
import sys
import time
from functools import partial
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402

from csrc import bind  # noqa: E402
from csrc.bind import ChatError, Config, Library, Model  # noqa: E402

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    torch = None

GPT2 = Config(vocab=50257, context=1024, layers=12, channels=768, heads=12, kv_heads=12, head_dim=64,
              hidden=3072, norm=bind.LAYERNORM, position=bind.LEARNED, activation=bind.GELU,
              bias=bind.BIAS_ALL, qk_norm=0, norm_eps=1e-5)
POCKET = Config(vocab=4096, context=256, layers=6, channels=256, heads=4, kv_heads=4, head_dim=64,
                hidden=704)
SHAPES = [(2048, 2048, 2048), (4096, 768, 3072), (4096, 256, 1024), (4096, 768, 50304)]


def alternate(rounds, *functions):
    """The median seconds of each function, in turns. Each is called twice in its turn and timed the
    second time: the first call brings back its threads and its memory."""
    times = [[] for _ in functions]
    for _ in range(rounds):
        for function, taken in zip(functions, times):
            function()
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return [median(taken) for taken in times]


class Table:
    def __init__(self):
        self.rows = []
        print(f"{'what':44} {'ours':>12} {'compared with':>28} {'ratio':>7}")

    def add(self, what, ours, unit, other, name, ratio):
        self.rows.append(dict(what=what, ours=ours, unit=unit, other=other, compared_with=name,
                              ratio=ratio))
        print(f"{what:44} {ours:>8,.0f} {unit:3} {other:>11,.0f} {name:>16} {ratio:>7.2f}", flush=True)

    def absent(self, what, why):
        print(f"{what:44} {why}")


# ---- Matrix products against the multiplier's peak ---------------------------------------------


def gemm(table, dtype, quick):
    """GFLOP/s of the forward and backward forms; the limit is device_peak, measured between them."""
    library = Library.load("cpu", dtype)
    rng = np.random.default_rng(0)
    for N, C, O in SHAPES[:-1] if quick else SHAPES:
        inp, weight, out = (library.real(rng.standard_normal(shape)) for shape in ((N, C), (O, C), (N, O)))
        packed = np.zeros(library.call("linear_packed_size", C, O), library.real_type)
        work = np.zeros(library.call("linear_work", N, C, O), np.uint8)
        dinp, dweight = np.empty_like(inp), np.zeros((O, C), np.float32)
        library.call("linear_pack", packed, weight, 0, O, C, O)
        peaks = []
        forward, backward, _ = alternate(
            3 if quick else 5,
            lambda: library.call("linear_forward", out, inp, packed, None, None, work, N, C, O),
            lambda: library.call("linear_backward", dinp, dweight, None, out, inp, weight, work, N, C, O),
            lambda: peaks.append(library.call("device_peak")))
        peak, flop = median(peaks) / 1e9, 2e-9 * N * C * O
        for name, rate in (("forward", flop / forward), ("backward", 2 * flop / backward)):
            table.add(f"GEMM {dtype} {name} ({N},{C})x({O})", rate, "GF", peak, "GF, the peak", rate / peak)


# ---- Training against PyTorch ------------------------------------------------------------------


def batch(config, B, T):
    rows = np.random.default_rng(0).integers(0, config.vocab, (B, T + 1))
    return rows[:, :-1], rows[:, 1:]


def our_step(config, dtype, B, T):
    """A function that takes one whole training step: forward, backward, clipping, AdamW."""
    model = Model.create(config, "cpu", dtype)
    tokens, targets = batch(config, B, T)
    weights, count = np.full((B, T), 1 / (B * T), np.float32), [0]

    def step():
        count[0] += 1
        model.forward(tokens, targets, None, weights)
        model.backward()
        model.update(count[0], 1e-4, grad_scale=min(1.0, 1 / model.grad_norm()))
        model.zero_grad()
    return step


def torch_step(config, dtype, B, T):
    """The same step of the same architecture in PyTorch, with its fused attention and AdamW."""
    c, nn = config, torch.nn
    gpt2 = c.norm == bind.LAYERNORM
    norm = nn.LayerNorm if gpt2 else partial(nn.RMSNorm, eps=c.norm_eps)
    angles = torch.outer(torch.arange(T), c.rope_theta ** (-torch.arange(0, c.head_dim, 2) / c.head_dim))
    cos, sin = angles.cos().repeat(1, 2), angles.sin().repeat(1, 2)

    def rotate(x):
        half = c.head_dim // 2
        return x * cos + torch.cat((-x[..., half:], x[..., :half]), -1) * sin

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            C, H = c.channels, c.hidden
            self.norm1, self.norm2 = norm(C), norm(C)
            self.qkv, self.proj = nn.Linear(C, 3 * C, bias=gpt2), nn.Linear(C, C, bias=gpt2)
            self.up = nn.Linear(C, H if gpt2 else 2 * H, bias=gpt2)
            self.down = nn.Linear(H, C, bias=gpt2)
            self.q_norm, self.k_norm = norm(c.head_dim), norm(c.head_dim)

        def forward(self, x):
            q, k, v = (y.view(B, T, c.heads, c.head_dim).transpose(1, 2)
                       for y in self.qkv(self.norm1(x)).chunk(3, -1))
            if not gpt2:
                q, k = rotate(self.q_norm(q)), rotate(self.k_norm(k))
            a = F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v, is_causal=True)
            x = x + self.proj(a.transpose(1, 2).reshape(B, T, -1))
            h = self.up(self.norm2(x))
            if gpt2:
                h = F.gelu(h, approximate="tanh")
            else:
                gate, up = h.chunk(2, -1)
                h = F.silu(gate) * up
            return x + self.down(h)

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.wte = nn.Embedding(c.vocab, c.channels)
            self.wpe = nn.Embedding(c.context, c.channels) if gpt2 else None
            self.blocks, self.norm = nn.Sequential(*(Block() for _ in range(c.layers))), norm(c.channels)

        def forward(self, tokens, targets):
            x = self.wte(tokens) + (self.wpe.weight[:T] if gpt2 else 0)
            logits = self.norm(self.blocks(x)) @ self.wte.weight.T
            return F.cross_entropy(logits.view(B * T, -1).float(), targets.reshape(-1))

    model = GPT()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, (0.9, 0.95), fused=True)
    tokens, targets = (torch.from_numpy(np.ascontiguousarray(x)) for x in batch(c, B, T))

    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bf16"):
            loss = model(tokens, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return step


def training(table, dtype, quick):
    cases = [("GPT-2 124M", GPT2, 4, 64), ("6 layers, 256 channels", POCKET, 16, 256)]
    for name, config, B, T in cases:
        what = f"training {dtype}, {name}, B={B} T={T}"
        if torch is None:
            (ours,) = alternate(2 if quick else 5, our_step(config, dtype, B, T))
            table.absent(what, f"{B * T / ours:,.0f} tok/s (PyTorch is absent)")
            continue
        ours, theirs = alternate(2 if quick else 5, our_step(config, dtype, B, T),
                                 torch_step(config, dtype, B, T))
        table.add(what, B * T / ours, "t/s", B * T / theirs, "tok/s, PyTorch", theirs / ours)


# ---- Decoding against the memory's bandwidth ---------------------------------------------------


def decoding(table, dtype, quick):
    """One sequence of GPT-2 124M: bytes of weights read a second against a plain read of memory."""
    model = Model.create(GPT2, "cpu", dtype)
    cache = model.cache(1, 1024)
    model.extend(cache, [0], [[1] * 8])
    weights = 4 if dtype == "f32" else 2
    read = (model.parameters - GPT2.context * GPT2.channels) * weights
    memory = np.ones(1 << 27, np.float32)
    library = model.core
    step, scan = alternate(10 if quick else 40, lambda: model.extend(cache, [0], [[1]]),
                           lambda: library.call("sum_squares", memory, memory.size))
    rate, limit = read / step / 1e9, memory.nbytes / scan / 1e9
    table.add(f"decode {dtype}, GPT-2 124M, {1 / step:.0f} tok/s", rate, "GB", limit, "GB/s, reading",
              rate / limit)


PARTS = {"gemm": gemm, "training": training, "decoding": decoding}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and shapes")
    parser.add_argument("--only", choices=PARTS, help="one part of the table")
    args = parser.parse_args()
    table = Table()
    for name, part in PARTS.items():
        for dtype in ("f32", "bf16"):
            if args.only in (None, name):
                try:
                    part(table, dtype, args.quick)
                except ChatError as error:
                    table.absent(f"{name} {dtype}", str(error))
    out = Path(__file__).resolve().parents[1] / "build" / "bench.json"
    out.write_text(json.dumps(table.rows, indent=1) + "\n")
    print(out)


if __name__ == "__main__":
    main()
