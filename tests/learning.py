"""What the tests of preferences and of practice share: an assistant of one layer with random
weights, and gradients by tests/ref.py."""

import json

import numpy as np

import ref
import train
from csrc import adapter, launch, runs
from csrc.bind import Job, Library, Model
from csrc.config import Config
from data.tokens import bpe
from model_cases import assert_close

TOKENIZER = bpe.Tokenizer.from_merges([(97 + i % 26, 97 + i // 26) for i in range(31)])
TOKENIZER.ends |= {*range(128, 168)}             # random weights would seldom end an answer
LIBRARY = Library.load("cpu", "f32")


def assistant(folder, tokenizer=TOKENIZER, seed=0, **more):
    """A folder with an assistant of random weights."""
    config = Config(vocab=tokenizer.vocab_size, context=64, layers=1, channels=64, heads=1,
                    kv_heads=1, head_dim=64, hidden=192, **more)
    model, rng = Model.create(config, "cpu", "f32", seed), np.random.default_rng(seed)
    for name, shape, _ in model.tensors:         # zeros would hide what is wrong behind them
        if name.endswith(("o_proj.weight", "down_proj.weight", "score.weight")):
            model.write(name, rng.standard_normal(shape) / 8)
    runs.save_model(model, tokenizer, folder, "sft")
    return folder


def made(kind, model, out, **settings):
    """(settings, data, model) of a run in this process."""
    stage = next(stage for stage in train.STAGES.values() if stage.settings is kind)
    s = kind(**{**dict(model=str(model), out=str(out), context=64, steps=4, device="cpu", lr=1e-2,
                       dtype="f32", sample_every=0, warmup=0.0, lora=0), **settings})
    job = Job(LIBRARY)
    stage.data.prepare(s)
    data = stage.data(s)
    changes = {"context": s.context, "scalar": s.scalar, "lora": s.lora}
    config = Model.configuration(model, **changes)[2]
    s = train.with_defaults(s, data, config)
    model = Model.load(model, "cpu", "f32", launch.model_flags(s, job), **changes)
    adapter.begin(model, s.seed)
    return s, data, model


def run_of(s, data, model):
    """What the functions of a stage are given, with a copy of the model as its reference."""
    run = train.Run(s, data, model, Job(LIBRARY), {"step": 0})
    run.engine = None if s.scalar else train.Engine(model, data.tokenizer)
    run.reference = Model.load(s.model, "cpu", "f32", context=s.context)
    return run


def log_of(folder):
    return [json.loads(line) for line in open(folder / "log.jsonl")]


def trained(s, data, model, state=None, stop=lambda step: False, plot=False):
    """The figures of a whole run."""
    folder = train.Folder(train.Path(s.out))
    if not plot:                                 # that takes longer than such a run
        folder.plot = lambda *_: None
    with folder.lock:
        return train.train(s, folder, data, model, state, stop)


def moved(model, size=0.02):
    """Let a model be a little different from what it was."""
    rng = np.random.default_rng(5)
    for name, shape, _ in model.tensors:
        model.write(name, model.read(name) + size * rng.standard_normal(shape))


def assert_gradients(model, passes, losses):
    """The gradients of passes are those, in float64, of losses[i](out) (a float64 loss by place, or
    by row, of what forward returns for pass i), differentiated by central differences."""
    value, _ = train.accumulate(model, passes, Job(LIBRARY))
    want, total, weights = {}, 0.0, model.weights()
    for (tokens, targets, _, _), loss in zip(passes, losses):
        out, cache = ref.forward(model.config, weights, tokens, targets)
        slope, h = np.zeros_like(out), 1e-5
        for at in np.ndindex(out.shape):
            step = np.zeros_like(out)
            step[at] = h
            slope[at] = (loss(out + step) - loss(out - step)) / (2 * h)
        total += loss(out)
        for name, gradient in ref.backward(cache, slope).items():
            want[name] = want.get(name, 0) + gradient
    floor = 0.05 * max(np.abs(x).max() for x in want.values())
    for name, gradient in want.items():
        assert_close(model.read(name, "gradient"), gradient, 2e-4, floor, name)
    return value, total
