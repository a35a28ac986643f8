"""What each rank of test_ranks.py runs: some steps with and without SHARD and accumulation, and the
memory of a larger model. Rank 0 prints what came out, as JSON.

    python tests/rank_program.py DEVICE DTYPE STEPS"""

import json
import sys
import zlib
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from csrc.bind import MUON, NO_MASTERS, SHARD, TRAINS, Job, Library, Model  # noqa: E402
from csrc.config import Config  # noqa: E402
from csrc.runs import resident, state_of  # noqa: E402

# Sizes that no number of ranks divides.
SMALL = Config(vocab=301, context=32, layers=3, channels=40, heads=2, kv_heads=1, head_dim=18,
               hidden=77, experts=3, experts_used=2, expert_hidden=19, expert_period=2)
LARGE = Config(vocab=4096, context=16, layers=2, channels=512, heads=8, kv_heads=8, head_dim=64,
               hidden=1024)
WINDOWS = 12
WHAT = "weight", "moment1", "moment2", "gradient"


def step(model, windows, rows, number, job):
    """One step on these windows, of which this rank has every ranks-th, `rows` in a pass."""
    mine, T = windows[job.rank::job.ranks], windows.shape[1] - 1
    model.zero_grad()
    loss = 0.0
    for i in range(0, len(mine), rows):
        part = mine[i:i + rows]
        weights = np.full((len(part), T), 1 / (len(windows) * T), np.float32)
        loss += float((model.forward(part[:, :-1], part[:, 1:], None, weights) * weights).sum())
        model.backward(reduce=i + rows >= len(mine))
    norm = model.grad_norm()
    model.update(number, 3e-3, grad_scale=min(1.0, 1.0 / norm))
    return job.sum(loss)[0], norm


def learn(config, core, flags, steps, rows, job):
    model = Model.create(config, core.device, core.dtype, 1, TRAINS | flags)
    rng = np.random.default_rng(0)
    curve = [step(model, rng.integers(0, config.vocab, (WINDOWS, config.context + 1)), rows, n, job)
             for n in range(1, steps + 1)]
    kept = [*((what, name) for _, _, name, what in state_of(model).values()),
            *(("gradient", name) for name in model.index)]
    held = {(name, what): model.read(name, what) for what, name in kept}
    sums = {what: zlib.crc32(b"".join(x.tobytes() for key, x in held.items() if key[1] == what))
            for what in WHAT}
    same = all(sums == other for other in everywhere(sums, job))
    again = Model(config, core.device, core.dtype, TRAINS | flags)    # what was read can be written
    for (name, what), values in held.items():
        again.write(name, values, what)
    copied = all(np.array_equal(again.read(name, what), values)
                 for (name, what), values in held.items())
    return {"losses": [loss for loss, _ in curve], "norms": [norm for _, norm in curve],
            "sums": sums, "same": same, "copied": copied}


def everywhere(value, job):
    """Each rank's value, a dict of whole numbers, on all."""
    keys = list(value)
    table = np.zeros((job.ranks, len(keys)))
    table[job.rank] = list(value.values())
    rows = np.reshape(job.sum(*table.ravel()), table.shape)
    return [dict(zip(keys, map(int, row))) for row in rows]


def memory(core, flags, job):
    """Bytes that a model takes on each rank: as predicted, and as its resident memory grew."""
    before = resident()
    model = Model(LARGE, core.device, core.dtype, TRAINS | flags)
    for name, shape, _ in model.tensors:
        model.write(name, np.ones(shape, np.float32))
    step(model, np.ones((job.ranks, 17), int), 1, 1, job)
    grown = everywhere({"bytes": int(resident() - before)}, job)
    return {"predicted": everywhere(core.memory(LARGE, TRAINS | flags, 16), job),
            "grown": [x["bytes"] for x in grown]}


def main(device, dtype, steps):
    core = Library.load(device, dtype)
    job = Job(core)
    core.call("device_threads", 1)
    kinds, out = {"whole": 0, "shard": SHARD, "chance": SHARD | NO_MASTERS, "muon": MUON,
                  "muon shard": MUON | SHARD}, {}
    if device == "cpu":
        out["memory"] = {name: memory(core, flags, job) for name, flags in kinds.items()}
    for name, flags in kinds.items():
        for rows in 2, 12:
            out[f"{name} {rows}"] = learn(SMALL, core, flags, int(steps), rows, job)
    if job.rank == 0:
        print(json.dumps(out))
    job.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
