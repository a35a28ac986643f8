"""The parts of tests/bench.py about practice: whole steps of GRPO beside TRL's."""

from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch
from zlib import crc32

import numpy as np

import bench_peers as peers
import train
from bench import SMALL, memory, need
from csrc import adapter, launch, runs
from csrc.bind import TRAINS, Job, Library, Model
from csrc.engine import Engine
from data.stages import rl
from data.stages.rl import Problems, Rl
from data.tokens import bpe

PROMPTS, GROUP, LONGEST = 8, 8, 64   # problems of a step, answers to each, tokens of an answer


def worth(ids):
    """What an answer is worth, cut off or not: by chance, so that every group has a signal."""
    return float(crc32(bytes(str(list(ids)), "ascii")) % 2)


def drawn(run, *args, real=rl.roll_out):
    """Rollouts that are worth that."""
    found, seconds = real(run, *args)
    return found._replace(rewards=np.array([
        worth(row[begin:end].tolist()) for row, begin, end in
        zip(found.tokens, found.begins, found.ends)])), seconds


def ours(folder, dtype, threads, lora=0):
    """A function that takes a step, and its Run."""
    s = Rl(model=str(folder), data=["sums"], max_tokens=LONGEST, prompts=PROMPTS, group=GROUP,
           context=128, steps=1000, lr=1e-6, device="cpu", dtype=dtype, sample_every=0, lora=lora)
    job, data = Job(Library.load("cpu", dtype)), Problems(s)
    changes = {"context": s.context, "lora": lora}
    s = train.with_defaults(s, data, Model.configuration(folder, **changes)[2])
    model = Model.load(folder, "cpu", dtype, launch.model_flags(s, job), **changes)
    adapter.begin(model, 0)
    run = train.Run(s, data, model, job, {"step": 0}, engine=Engine(model, data.tokenizer))
    batches = rl.rl_batches(run)
    job.core.call("device_threads", threads)

    def step():
        norm = train.accumulate(model, next(batches), job)[1]
        run.progress["step"] += 1
        model.update(run.step, s.lr, grad_scale=min(1.0, s.clip / (norm + 1e-6)))
    return step, run


def practising(bench, dtype):
    """whole steps of GRPO: answers drawn, scored and learnt from"""
    bench.part(f"Practice {dtype}", peers.name("trl"))
    tokenizer = bpe.Tokenizer.from_merges([(i % 256, i // 256) for i in range(1760)])
    config = SMALL.changed(layers=4, vocab=tokenizer.vocab_size, context=128)
    need(2 * memory(config, dtype, TRAINS, 4096))
    with TemporaryDirectory() as folder, patch.object(rl, "roll_out", drawn):
        runs.save_model(Model.create(config, "cpu", dtype), tokenizer, Path(folder), "sft")
        compare(bench, f"{PROMPTS} x {GROUP} answers", folder, dtype)


def compare(bench, what, folder, dtype, lora=0, x=12):
    """A row: completions a second of whole steps, ours and TRL's on the same problems."""
    step, run = ours(folder, dtype, bench.threads, lora)
    asked = [run.data.problem(i).messages() for i in range(200)]
    before, lengths = bench.alternate(step)[0], []
    theirs = peers.grpo(folder, asked, worth, PROMPTS, GROUP, LONGEST, bench.threads, lora,
                        3 if bench.quick else 8)
    for _ in range(3):                           # whoever comes last is not to be the slower one
        step()
        lengths.append(run.told["length"])
    after, n = bench.alternate(step)[0], PROMPTS * GROUP
    seconds, length = theirs or (None, 0)
    bench.row(f"{what}, {dtype}", 2 * n / (before + after), "a s", seconds and n / seconds, x=x,
              name=f"{np.mean(lengths):.0f} tokens an answer, its {length:.0f}")


PARTS = {"practice": (practising, ("best",))}
