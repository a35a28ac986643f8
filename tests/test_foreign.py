"""train.py on models from elsewhere: GGUF files and folders with a chat template of their own."""

import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

import train
from csrc.bind import Job, Model
from csrc.config import Config
from csrc.engine import Sampling
from data import company
from data.chat.turn import Turn, load
from data.tokens import bpe
from data.tokens.codecs import CONTROL, NORMAL
from data.tokens.vocabulary import TO_CHAR
from folders import random_model
from gguf_files import gguf, metadata, tensors_of
from test_sft import CHATS, ROOT, run, write
from test_template import CHATML, learned

pytest.importorskip("jinja2")

CONFIG = Config(260, 128, 2, 16, 2, 1, 8, 24, qk_norm=0)
LIBRARY = train.Library.load("cpu", "f32")


def packed(path, template=CHATML, names=("<|im_start|>", "<|im_end|>", "<|endoftext|>"), **more):
    """A GGUF file of a small model, of bytes, two letters and special tokens."""
    tokens = [TO_CHAR[byte] for byte in range(256)] + ["re", *names]
    values = metadata(CONFIG, "llama", tokens) | {
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.token_type": np.array([NORMAL] * 257 + [CONTROL] * 3, np.int32),
        "tokenizer.ggml.merges": ["r e"], "tokenizer.ggml.bos_token_id": np.uint32(257),
        "tokenizer.ggml.eos_token_id": np.uint32(258), "tokenizer.ggml.add_bos_token":
        np.bool_(False), **({"tokenizer.chat_template": template} if template else {}), **more}
    path.write_bytes(gguf(values, tensors_of(random_model(CONFIG), "llama")))
    return path


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """The folder of a run that fine-tuned such a file, which is gone since."""
    folder = tmp_path_factory.mktemp("tuned")
    file = packed(folder / "m.gguf")
    done = run(folder, "sft", "--model", file, "--data", write(folder / "c.jsonl", CHATS),
               "--context", 64, "--steps", 2, "--out", "run", "--dtype", "f32", "--lora", 0)
    assert done.returncode == 0, done.stderr
    assert "m.gguf: weights in F32, which are unpacked" in done.stdout
    assert done.stdout.count("\n--- ") == 2 and "no sample" not in done.stdout
    assert "documents" not in done.stdout            # none are mixed in
    file.unlink()
    return folder / "run", done.stdout


def test_a_run_that_began_with_a_file_is_a_whole_folder(tuned):
    folder, _ = tuned
    about = json.loads((folder / "tokenizer_config.json").read_text())
    assert about["chat_template"] == CHATML == (folder / "chat_template.jinja").read_text()
    assert json.loads((folder / "generation_config.json").read_text())["eos_token_id"] == [258, 259]
    engine = load(folder, "cpu", "f32")
    assert engine.ends == {258, 259} and engine.model.family.name == "Llama"


def test_one_talks_with_it_by_its_template(tuned):
    done = subprocess.run([sys.executable, ROOT / "infer.py", "--model", tuned[0], "--prompt",
                           "What comes after red?", "--max-tokens", "4", "--temperature", "0"],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "not trained to chat" not in done.stderr, done.stderr
    turn = Turn(load(tuned[0], "cpu", "f32"), [{"role": "user", "content": "Why?"}], Sampling())
    assert turn.engine.tokenizer.decode(turn.tokens).endswith(
        "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n")


def test_it_goes_on_without_the_file(tuned):
    done = run(tuned[0].parent, "--resume", "--out", "run", "--steps", 3)
    assert done.returncode == 0, done.stderr
    assert "m.gguf, which the run began with, is gone" in done.stdout
    assert Model.load(tuned[0]).family.name == "Llama"


def test_its_loss_is_that_of_transformers_on_the_same_ids_and_mask(tuned):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    s = train.Sft(data=[str(tuned[0].parent / "c.jsonl")], model=str(tuned[0]), context=200,
                  batch=2, batch_tokens=400, device="cpu", dtype="f32")
    data, model = train.Conversations(s), Model.load(tuned[0], context=200)
    figures = train.held_out_loss(train.Run(s, data, model, Job(LIBRARY), {}), 1 << 20)
    other = transformers.AutoModelForCausalLM.from_pretrained(tuned[0], dtype=torch.float32)
    tokenizer, losses = transformers.AutoTokenizer.from_pretrained(tuned[0]), []
    for messages, sample in zip(data.asked, data.held, strict=True):
        ids = tokenizer.apply_chat_template(messages)
        assert [*getattr(ids, "input_ids", ids)] == sample.ids.tolist()
        with torch.no_grad():
            logits = other(torch.tensor(sample.ids[None].astype(int))).logits[0].log_softmax(-1)
        losses += [-logits[i, sample.ids[i + 1]].item() for i in range(len(sample.ids) - 1)
                   if sample.mask[i + 1]]
    assert figures["val_loss"] == pytest.approx(np.mean(losses), abs=1e-5)


def test_a_model_without_a_template_gets_a_plain_one_that_the_run_keeps(tmp_path):
    names = ("<bos>", "<eos>", "<pad>")
    file = packed(tmp_path / "m.gguf", None, names)
    s = train.Sft(data=[str(write(tmp_path / "c.jsonl", CHATS))], model=str(file), context=128)
    data = train.Conversations(s)
    said = [one["content"] for one in data.asked[0]]
    assert data.tokenizer.decode(data.held[0].ids) == (
        "User:\n{}\n\nAssistant:\n{}<eos>\n\n" * 2).format(*said)
    assert learned(data.tokenizer, data.held[0]) == [f"{said[1]}<eos>", f"{said[3]}<eos>"]
    data.tokenizer.save(tmp_path)
    assert bpe.Tokenizer.load(tmp_path).config["chat_template"].startswith("{% for message")
    file = packed(tmp_path / "own.gguf", None)           # with the tokens of ours it gets ours
    data = train.Conversations(train.replace(s, model=str(file)))
    assert data.tokenizer.config["chat_template"] == bpe.CHAT_TEMPLATE


def test_a_larger_model_has_defaults_of_its_own(tmp_path):
    s = train.Sft(data=[str(write(tmp_path / "c.jsonl", CHATS))], context=128,
                  model=str(packed(tmp_path / "m.gguf")))
    data = train.Conversations(s)
    assert "documents" not in str(data)
    filled = train.with_defaults(s, data, CONFIG)
    rows = data.loader.tokens // 32 // 128                # there is little to learn from
    assert (filled.batch, filled.batch_tokens, filled.lr) == (rows, 128 * rows, 1e-4)
    assert filled.steps == round(3 * data.loader.tokens / 128 / rows)
    assert train.with_defaults(s, data, CONFIG, ranks=5).batch_tokens == 5 * 128
    data.loader.tokens = 300_000
    filled = train.with_defaults(s, data, CONFIG)
    assert (filled.batch, filled.batch_tokens, filled.steps) == (8, 2048, round(9e5 / 2048))
    book = tmp_path / "book.txt"
    book.write_text("Then blue. Say black and white. " * 500)
    mixed = train.Conversations(train.replace(s, documents=[str(book)]))
    assert "1 windows of documents mixed in" in str(mixed)


def test_documents_go_on_teaching_it(tmp_path):
    file, book = packed(tmp_path / "m.gguf"), tmp_path / "book.jsonl"
    book.write_text('{"text": "After red comes green."}\n' * 200)
    done = run(tmp_path, "pretrain", "--model", file, "--data", book, "--context", 32, "--steps", 2,
               "--out", "run", "--dtype", "f32")
    assert done.returncode == 0, done.stderr
    assert "no sample" not in done.stdout
    data = train.Data(train.Pretrain(data=[str(book)], model=str(file), context=32))
    assert data.tokenizer.begin is None and 259 in data.val      # <|endoftext|> between documents


CALLS = [{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [
    {"function": {"name": "f", "arguments": "{}"}}]}, {"role": "tool", "content": "1"},
    {"role": "assistant", "content": "y"}]}] * 3


@pytest.mark.parametrize("template, chats, flags, said", [
    (CHATML, CALLS, [], "3 skipped: a tool is called, and this model's chat template tells of no"),
    ("{{ raise_exception('not today') }}", CHATS, [], "template cannot be used: not today"),
    (CHATML, CHATS, ["--context", 20], "0 conversations of up to 21 tokens; 120 conv"),
    (CHATML, CHATS, ["--batch", 10**7], "GB of memory, and the machine has"),
])
def test_what_cannot_be_learned_is_said_in_a_sentence(tmp_path, template, chats, flags, said):
    done = run(tmp_path, "sft", "--model", packed(tmp_path / "m.gguf", template), "--data",
               write(tmp_path / "c.jsonl", chats), "--out", "run", *flags)
    assert done.returncode and said in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_context_longer_than_the_model_s_is_said(tmp_path):
    done = run(tmp_path, "sft", "--model", packed(tmp_path / "m.gguf"), "--data",
               write(tmp_path / "c.jsonl", CHATS), "--out", "run", "--context", 256, "--steps", 1)
    assert done.returncode == 0, done.stderr
    assert "--context 256 is more than the 128 that" in done.stdout


def test_the_company_s_questions_are_about_what_is_told_and_in_other_words(tmp_path):
    company.company(company.Company(out=tmp_path))
    chats, asked = ([json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
                    for name in ("chats.jsonl", "questions.jsonl"))
    assert (len(chats), len(asked)) == (300, 50)
    told = Counter(chat["messages"][1]["content"] for chat in chats)
    assert set(told.values()) == {5}             # each fact in five ways
    trained = {chat["messages"][0]["content"] for chat in chats}
    for one in asked:
        assert one["question"] not in trained
        name = next(name for name in company.PRODUCTS if name in one["question"])
        assert any(name in fact and f" {one['answer']}" in fact for fact in told)
