"""train.py sft: what counts, what packing hides, and where it stops for wrong input."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import programs
import train
from csrc.bind import Job, Model
from data.chat import formats

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "real" / "conversations"
WORDS = "red green blue black white grey brown pink".split()


def turns(*texts):
    return {"messages": [{"role": ("user", "assistant")[i % 2], "content": text}
                         for i, text in enumerate(texts)]}


CHATS = [turns(f"What comes after {a}?", f"After {a} comes {b}.", "And then?", f"Then {c}.")
         if i % 3 else turns(f"Say {a} and {b}.", f"{a}, {b}")
         for i, (a, b, c) in enumerate(zip(WORDS * 20, WORDS[1:] * 20, WORDS[2:] * 20))]


def write(path, conversations):
    Path(path).write_text("".join(json.dumps(c) + "\n" for c in conversations))
    return Path(path)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A base model of one layer, trained for a few steps."""
    folder = tmp_path_factory.mktemp("base")
    text = folder / "book.txt"
    text.write_text("After red comes green. Then blue. Say black and white. " * 200)
    done = run(folder, "pretrain", "--data", text, "--out", folder / "run", "--depth", 1,
               "--context", 32, "--steps", 4, "--vocab-size", 320, "--dtype", "f32")
    assert done.returncode == 0, done.stderr
    return folder / "run"


def run(cwd, *args):
    return programs.run("train.py", *args, cwd=cwd)


def settings(base, data, **more):
    values = dict(data=[str(data)], model=str(base), context=64, batch=4, batch_tokens=256, steps=6,
                  mix=0.0, device="cpu", dtype="f32", sample_every=0, eval_every=3, lr=1e-2)
    return train.Sft(**{**values, **more})


def made(base, data, **more):
    """(settings, data, model) of a run in this process."""
    s = settings(base, data, **more)
    data = train.Conversations(s)
    model = Model.load(base, "cpu", "f32", train.model_flags(s, Job(LIBRARY)), context=s.context)
    return train.with_defaults(s, data, model.config), data, model


LIBRARY = train.Library.load("cpu", "f32")


def first_step(s, data, model, windows, B):
    """The passes of B rows of a step of so many."""
    s = train.replace(s, batch=B, batch_tokens=windows * s.context)
    return next(train.sft_batches(train.Run(s, data, model, Job(LIBRARY), {"step": 0})))


def gradient(model, passes):
    loss, norm = train.accumulate(model, passes, Job(model.core))
    return loss, {name: model.read(name, "gradient").copy() for name, _, _ in model.tensors}


def test_a_step_has_the_gradient_of_its_conversations_one_by_one(base, tmp_path):
    s, data, model = made(base, write(tmp_path / "c.jsonl", CHATS[:12]))
    rows = data.loader.rows
    assert len(rows.tokens) < 11, "nothing was packed"
    loss, together = gradient(model, first_step(s, data, model, len(rows.tokens), 2))

    encoded = [data.talk.encode(c["messages"], s.context + 1) for c in CHATS[:11]]
    count = sum(sum(c.mask) for c in encoded)
    alone = [(np.array([c.ids[:-1]]), np.array([c.ids[1:]]), None,
              np.array([c.mask[1:]], np.float32) / count) for c in encoded]
    expected, one_by_one = gradient(model, alone)
    assert loss == pytest.approx(expected, rel=1e-5)
    for name in together:
        np.testing.assert_allclose(together[name], one_by_one[name], atol=2e-6, err_msg=name)


@pytest.mark.parametrize("B", [1, 2, 3, 8])
def test_any_number_of_passes_gives_one_gradient(base, tmp_path, B):
    s, data, model = made(base, write(tmp_path / "c.jsonl", CHATS))
    expected = gradient(model, first_step(s, data, model, 8, 8))
    data.loader.seek(0, 0)
    found = gradient(model, first_step(s, data, model, 8, B))
    assert found[0] == pytest.approx(expected[0], rel=1e-6)
    for name in expected[1]:
        np.testing.assert_allclose(found[1][name], expected[1][name], atol=1e-6, err_msg=name)


def test_ranks_deal_the_rows_that_one_rank_would_read(base, tmp_path):
    file = write(tmp_path / "c.jsonl", CHATS)
    alone = train.Conversations(settings(base, file)).loader
    ranks = [train.Conversations(settings(base, file), rank, 3).loader for rank in range(3)]
    for _ in range(8):                           # over the end of an epoch
        rows, count = alone.next(7)
        parts = [deck.next(7) for deck in ranks]
        assert {part[1] for part in parts} == {count}
        for rank, (part, _) in enumerate(parts):
            for mine, whole in zip(part, rows):
                assert np.array_equal(mine, whole[rank::3])


def test_an_epoch_deals_every_row_once_and_the_next_in_another_order(base, tmp_path):
    deck = train.Conversations(settings(base, write(tmp_path / "c.jsonl", CHATS))).loader
    n = len(deck.counts)
    first, second = (deck.next(n)[0].tokens for _ in range(2))
    assert sorted(map(bytes, first)) == sorted(map(bytes, deck.rows.tokens)) \
        == sorted(map(bytes, second))
    assert not np.array_equal(first, second)


def test_the_held_out_conversations_are_not_trained_on(base, tmp_path):
    chats = [turns(f"number {i}", f"it is {i}") for i in range(120)]
    data = train.Conversations(settings(base, write(tmp_path / "c.jsonl", chats)))
    held = {data.tokenizer.decode(c.ids) for c in data.held}
    assert len(held) == 2
    text = data.tokenizer.decode(data.loader.rows.tokens.ravel())
    assert not any(part.rstrip("\n") in text for part in held) and "it is 5<" in text


def test_documents_are_mixed_in_and_each_of_their_tokens_counts(base, tmp_path):
    book = tmp_path / "book.txt"
    book.write_text("Then blue. Say black and white. " * 500)
    file = write(tmp_path / "c.jsonl", CHATS)
    without = train.Conversations(settings(base, file)).loader
    mixed = train.Conversations(settings(base, file, mix=0.5, documents=[str(book)])).loader
    tokens = sum(without.rows.targets.ravel() >= 0)
    added = mixed.counts.sum() - without.counts.sum()
    assert 0.8 < added / tokens < 1.2
    assert (mixed.counts == 64).sum() >= added / 64


def test_fine_tuning_lowers_the_held_out_loss_and_the_folder_says_what_it_is(base, tmp_path):
    file = write(tmp_path / "c.jsonl", CHATS)
    done = run(tmp_path, "sft", "--model", base, "--data", file, "--out", "run", "--steps", 40,
               "--context", 64, "--mix", 0, "--lr", 1e-2, "--sample-every", 20, "--eval-every", 20)
    assert done.returncode == 0, done.stderr
    log = [json.loads(line) for line in Path(tmp_path, "run", "log.jsonl").read_text().splitlines()]
    before = float(done.stdout.split("before ")[1].split()[0])
    assert log[-1]["val_loss"] < before / 2
    assert log[-1]["stage"] == "sft"
    assert done.stdout.count("\n--- ") == 2, "no answers were sampled"


def test_half_the_steps_and_a_resume_give_the_same_bits(base, tmp_path):
    file = write(tmp_path / "c.jsonl", CHATS)
    flags = ["sft", "--model", base, "--data", file, "--context", 64, "--mix", 0, "--steps", 8,
             "--sample-every", 0, "--checkpoint-every", 4, "--eval-every", 4]
    assert run(tmp_path, *flags, "--out", "whole").returncode == 0
    s, data, model = made(base, file, steps=8, lr=None, batch=None, batch_tokens=None,
                          eval_every=4, checkpoint_every=4, out=str(tmp_path / "half"), dtype="f32")
    stopped = train.train(s, train.Folder(tmp_path / "half"), data, model, stop=lambda n: n == 4)
    assert stopped is None
    done = run(tmp_path, "--resume", "--out", "half")
    assert done.returncode == 0, done.stderr
    a, b = (train.read_state(tmp_path / name) for name in ("whole", "half"))
    if a[1]["dtype"] == b[1]["dtype"]:
        for name in a[2]:
            assert np.array_equal(a[2][name], b[2][name]), name


def test_a_run_goes_on_without_the_folder_of_its_base(base, tmp_path):
    shutil.copytree(base, tmp_path / "base")
    file = write(tmp_path / "c.jsonl", CHATS)
    flags = ["sft", "--model", "base", "--data", file, "--context", 64, "--mix", 0, "--steps", 2,
             "--sample-every", 0, "--out", "run"]
    assert run(tmp_path, *flags).returncode == 0
    shutil.rmtree(tmp_path / "base")
    done = run(tmp_path, "--resume", "--out", "run", "--steps", 4)
    assert done.returncode == 0, done.stderr
    assert "base, which the run began with, is gone" in done.stdout
    assert train.read_state(tmp_path / "run")[0]["step"] == 4


@pytest.mark.parametrize("text, said", [
    ('{"messages": [{"role": "wizard", "content": "x"}]}', "wizard"),
    ('{"messages": [{"role": "user", "content": "x"}]}', "assistant"),
    ('{"messages": []}', "no messages"),
    ('{"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": "y"}]}',
     "empty"),
    ('{"messages": [{"role": "user", "content": "x"}, {"role": "system", "content": "y"}]}',
     "system"),
    ('{"messages": [{"role": "user", "content": "' + "x" * (10 << 20) + '"}]}', "characters"),
    ("{", "JSON"), ("", "empty")])
def test_wrong_conversations_are_refused_with_their_line(base, tmp_path, text, said):
    (tmp_path / "c.jsonl").write_text(text + "\n" * bool(text))
    done = run(tmp_path, "sft", "--model", base, "--data", "c.jsonl", "--mix", 0)
    assert done.returncode and said in done.stderr and "c.jsonl" in done.stderr
    assert len(done.stderr) < 600 and "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_conversations_that_are_too_long_lose_whole_turns_and_that_is_said(base, tmp_path):
    file = write(tmp_path / "c.jsonl", [turns(*["so many words " * 3] * 12)] * 3)
    data = train.Conversations(settings(base, file))
    assert "turns left out" in str(data)
    assert all(len(c.ids) <= 65 for c in data.held)


def test_without_a_base_model_it_says_what_to_train_first(tmp_path):
    done = run(tmp_path, "sft", "--data", write(tmp_path / "c.jsonl", CHATS))
    assert done.returncode and "no run of pretrain" in done.stderr and "train.py" in done.stderr


def test_the_newest_base_model_is_what_it_starts_from(base, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "base").symlink_to(base)
    file = write(tmp_path / "c.jsonl", CHATS)
    flags = ["sft", "--data", file, "--context", 64, "--mix", 0, "--steps", 2, "--sample-every", 0]
    for name in ("sft", "sft-2"):                # the second time not from the first
        done = run(tmp_path, *flags)
        assert done.returncode == 0, done.stderr
        assert train.read_settings(tmp_path / "runs" / name)["model"] == "runs/base"


@pytest.mark.skipif(not REAL.exists(), reason="no real conversations here")
def test_real_conversations_of_every_format_lower_their_held_out_loss(base, tmp_path):
    files = [file for file in sorted(REAL.rglob("*.json*")) if file.is_file()]
    chats = []
    for file in files:
        chats += [c for _, c in zip(range(8), formats.read(file))]
    s, data, model = made(base, write(tmp_path / "c.jsonl", chats), context=256, batch=8,
                          batch_tokens=2048, steps=30, lr=3e-3, out=str(tmp_path / "run"))
    before = train.held_out_loss(train.Run(s, data, model, Job(LIBRARY), {}), 1 << 16)["val_loss"]
    after = train.train(s, train.Folder(tmp_path / "run"), data, model)["val_loss"]
    assert after < before - 0.5
