"""Decoding with prompt lookup against plain decoding: text that quotes its prompt, and text that
does not.

The model that quotes is trained here in a few minutes and stays in build/quoter. Its documents are
32 random bytes, said again and again; all it can learn is to copy, and a wide model learns that
fastest.
"""

import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

from csrc.bind import GENERATES, Library, Model
from csrc.config import Config
from csrc.engine import Engine, Sampling, Sequence
from data.tokens.bpe import Tokenizer

ROOT = Path(__file__).resolve().parents[1]
PERIOD = 32
QUOTER = Config(vocab=288, context=256, layers=2, channels=2048, heads=32, kv_heads=32, head_dim=64,
                hidden=1536)
POCKET = Config(vocab=4096, context=256, layers=4, channels=256, heads=4, kv_heads=4, head_dim=64,
                hidden=704)  # train.py's default


def quoter(folder=ROOT / "build" / "quoter", B=8, T=128, lr=1e-3, most=400):
    """Train the model that quotes, unless that was done. The loss is that of the repetitions."""
    if (folder / "model.safetensors").exists():
        return folder
    model = Model.create(QUOTER, *Library.choose("cpu"))
    rng, start, told = np.random.default_rng(0), time.time(), 0
    weights = np.zeros((B, T), np.float32)
    weights[:, PERIOD:] = 1 / (B * (T - PERIOD))
    for step in range(1, most + 1):
        rows = np.tile(rng.integers(0, 256, (B, PERIOD)), T // PERIOD + 1)
        loss = float((model.forward(rows[:, :T], rows[:, 1:T + 1], None, weights) * weights).sum())
        model.backward()
        model.update(step, lr * min(1, step / 20), grad_scale=min(1, 1 / model.grad_norm()))
        model.zero_grad()
        if time.time() - told > 10 or loss < 0.02:
            told = time.time()
            print(f"training, step {step}: loss {loss:.3f}, {told - start:.0f} s", file=sys.stderr)
        if loss < 0.02:
            model.save(folder)
            return folder
    raise RuntimeError(f"after {most} steps the model does not quote: its loss is {loss:.3f}")


def chatter(config, dtype):
    """A random model: what it writes repeats something by chance only."""
    model, rng = Model.create(config, "cpu", dtype), np.random.default_rng(0)
    for name, shape, matrix in model.tensors:
        if matrix:
            model.write(name, rng.standard_normal(shape, np.float32) * np.float32(shape[1] ** -0.5))
    return model


def race(model, prompts, **settings):
    """Tokens a second with drafts and without, taking turns; drafts made, and those accepted."""
    tokenizer = Tokenizer.from_merges([])  # a token is a byte
    engines = Engine(model, tokenizer), Engine(model, tokenizer, lookup=False)
    taken, made, accepted = ([], []), 0, 0
    for prompt in prompts:
        for engine, seconds in zip(engines, taken):
            for _ in engine.generate([Sequence(prompt.tolist(), Sampling(seed=0, **settings))]):
                pass
            seconds.append(engine.seconds["decode"] / engine.tokens["decode"])
            made += engine.drafts["made"]
            accepted += engine.drafts["accepted"]
    ours, plain = (1 / median(seconds) for seconds in taken)
    return ours, plain, made, accepted


def rows(bench, dtype):
    bench.part(f"Prompt lookup {dtype}", "the same without")
    rng = np.random.default_rng(1)
    prompts = rng.integers(0, 256, (3 if bench.quick else 9, PERIOD))
    quotes = np.tile(prompts, 2)[:, :PERIOD + 2]
    greedy, random = dict(max_tokens=92, temperature=0), dict(max_tokens=150, top_p=1)
    cases = [("quoting", Model.load(quoter(), "cpu", dtype, flags=GENERATES), quotes, greedy, 1.8),
             ("not quoting", chatter(QUOTER, dtype), prompts, random, 0.98),
             ("not quoting", chatter(POCKET, dtype), prompts, random, 0.98)]
    for what, model, texts, settings, reach in cases:
        ours, plain, made, accepted = race(model, texts, **settings)
        bench.row(f"{model.parameters / 1e6:.0f} M {what}", ours, "tok/s", plain, x=reach,
                  name=f"{accepted} of {made} drafts accepted")
