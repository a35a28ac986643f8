"""`infer.py eval --kl`: data/exams/divergence.py against the definition."""

import json

import numpy as np
import pytest

from csrc.bind import ChatError, Model
from csrc.config import Config
from data.exams import divergence
from data.tokens import bpe
from folders import SIZES, random_model
from infer import main

TEXT = "One two three.\nTwo three four!\n<|endoftext|>\nAnother document, of né 中文 and 👩.\n" * 9
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two models with one tokenizer, one with another, and a text."""
    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("a", "b", "other")):
        tokenizer = bpe.Tokenizer.from_merges([(97, 98)] * (name == "other"))
        config = Config(**SIZES | {"vocab": tokenizer.vocab_size, "context": 30})
        random_model(config, seed=seed).save(folder / name, tokenizer.generation())
        tokenizer.save(folder / name)
    (folder / "text.txt").write_text(TEXT)
    return folder


def compare(monkeypatch, folder, *flags, model="a", reference="b"):
    """The figures that infer.py eval writes."""
    monkeypatch.setattr("sys.argv", [
        "infer.py", "eval", "--model", f"{folder / model}", "--kl", f"{folder / reference}",
        "--text", f"{folder / 'text.txt'}", "--out", f"{folder / 'out.json'}", *flags])
    main()
    return json.loads((folder / "out.json").read_text())["figures"]


def test_a_model_is_nowhere_from_itself(monkeypatch, folder):
    found = compare(monkeypatch, folder, reference="a")
    assert found["kl"]["value"] == 0 and found["same_top_token"]["value"] == 1
    assert found["perplexity"] == found["perplexity_reference"]


def test_figures_are_those_of_the_definition(monkeypatch, folder, capsys):
    found = compare(monkeypatch, folder, "--count", "5", "--dtype", "f32")
    tokenizer, rows = bpe.Tokenizer.load(folder / "a"), []
    ids = []
    for document in TEXT.split("<|endoftext|>\n"):
        ids += [tokenizer.begin, *tokenizer.encode(document)]
    windows = np.array(ids[:150]).reshape(5, 30)
    for window in windows:
        p, q = (Model.load(folder / name).logits([window[:-1]])[0].astype(float) for name in "ba")
        p, q = (np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in (p, q))
        for i, token in enumerate(window[1:]):
            rows.append([(p[i] * np.log(p[i] / q[i])).sum(), p[i].argmax() == q[i].argmax(),
                         -np.log(q[i, token]), -np.log(p[i, token])])
    kl, same, ours, its = np.mean(rows, axis=0)
    error = 1.96 * np.std(rows, axis=0)[0] / 145**0.5
    about = found["kl"]
    np.testing.assert_allclose([about["value"], about["low"], about["high"]],
                               [kl, kl - error, kl + error], rtol=1e-4)
    assert about["n"] == 145 and found["same_top_token"]["value"] == pytest.approx(same)
    assert found["perplexity"]["value"] == pytest.approx(np.exp(ours), rel=1e-5)
    assert found["perplexity_reference"]["value"] == pytest.approx(np.exp(its), rel=1e-5)
    assert f"kl                     {kl:.5f}  (" in capsys.readouterr().out


def test_windows_are_all_of_a_text_and_the_last_is_shorter(folder):
    tokenizer = bpe.Tokenizer.load(folder / "a")
    found = [*divergence.windows(tokenizer, folder / "text.txt", 30)]
    assert {len(window) for window in found[:-1]} == {30} and 2 <= len(found[-1]) <= 30
    assert tokenizer.decode(i for w in found for i in w if i != tokenizer.begin) == \
        TEXT.replace("<|endoftext|>\n", "")


def test_what_cannot_be_compared_is_refused_in_a_sentence(monkeypatch, folder, tmp_path):
    with pytest.raises(ChatError, match="a and .*other have different tokenizers: only"):
        compare(monkeypatch, folder, reference="other")
    with pytest.raises(ChatError, match="--kl compares one --model with a reference"):
        compare(monkeypatch, folder, "--model", f"{folder / 'b'}")
    with pytest.raises(ChatError, match="--kl takes no exams .*: leave out --exam"):
        compare(monkeypatch, folder, "--exam", "x.jsonl")
    (tmp_path / "text.txt").write_text("")
    with pytest.raises(ChatError, match="text.txt: empty, there is no document in it"):
        [*divergence.windows(bpe.Tokenizer.load(folder / "a"), tmp_path / "text.txt", 30)]
    monkeypatch.setattr("sys.argv", ["infer.py", "eval", "--text", "x"])
    with pytest.raises(ChatError, match="--text is for --kl REFERENCE: give that, too"):
        main()
