"""csrc/run.c and csrc/encode.c: build/run beside infer.py's engine, and what it refuses."""

import os
import pty
import random
import select
import signal
import subprocess
import time
from collections import deque
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from csrc.bind import Library, build
from csrc.engine import Sampling, Sequence
from csrc.shown import plain
from data.chat.turn import Turn, load
from data.tokens import bpe
from data.tokens.learn import classes, count_chunks
from folders import random_model
from gguf_files import gguf as packed, metadata, tensors_of
from test_codecs import byte_level_values, sentencepiece_values
from test_gguf import MODELS, UNFIT, WRONG, spoilt

PROGRAM = build() / "run"
TEXT = Library.text()
pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="`make` builds it")


def run(*arguments, **how):
    """What the program writes, and how it ends; no sanitizer had a word to say."""
    done = subprocess.run([PROGRAM, *map(str, arguments), "--threads", "1"], timeout=100,
                          capture_output=True, stdin=subprocess.DEVNULL, **how)
    assert done.returncode in (0, 1) and b"anitizer" not in done.stderr
    assert b"runtime error" not in done.stderr
    return done


# ---- Text and ids --------------------------------------------------------------------------------

def ids_of(values, text):
    """What csrc/encode.c makes of a text, with a vocabulary of a GGUF file's values."""
    ffi, values = TEXT.ffi, {key.removeprefix("tokenizer.ggml."): item
                             for key, item in values.items()}
    pieces = values["model"] == "llama"

    def strings(texts):
        return ffi.from_buffer(b"".join(len(data).to_bytes(8, "little") + data for data in
                                        map(str.encode, texts)))
    tables = {"names": strings(values["tokens"]), "merges": strings(values.get("merges", [])),
              "kinds": ffi.from_buffer(np.asarray(values["token_type"], "<i4")),
              "scores": ffi.from_buffer(np.asarray(values.get("scores", [0.0]), "<f4")),
              "classes": ffi.from_buffer(classes()),
              "split": ffi.NULL if pieces else ffi.new("char []", values["pre"].encode()),
              "n_names": len(values["tokens"]), "n_merges": len(values.get("merges", [])),
              "prefix": values.get("add_space_prefix", 1)}
    out = ffi.new("Encoder **")
    TEXT.call("encoder_create", out, ffi.new("Vocabulary *", {
        key: ffi.cast("uint8_t *", item) if key in ("names", "merges", "kinds", "scores", "classes")
        else item for key, item in tables.items()}))
    encoder, data = ffi.gc(out[0], TEXT.lib.encoder_free), text.encode()
    ids = np.empty(3 * len(data) + 3, np.int32)
    return ids[:TEXT.call("encoder_encode", encoder, ids,
                          np.frombuffer(data or b"\0", np.uint8), len(data))].tolist()


def learnt(split="qwen2", **more):
    """The values of a vocabulary that was learnt from this file."""
    spec = bpe.learn(count_chunks([Path(__file__).read_text("utf-8")]), 700).spec
    tokens = [*spec["model"]["vocab"], *(token["content"] for token in spec["added_tokens"])]
    types = np.ones(len(tokens), np.int32)
    types[-len(bpe.SPECIALS):] = 3
    return {f"tokenizer.ggml.{key}": item for key, item in {
        "model": "gpt2", "pre": split, "tokens": tokens, "token_type": types,
        "merges": [" ".join(pair) for pair in spec["model"]["merges"]],
        "bos_token_id": np.uint32(tokens.index(bpe.BEGIN)),
        "eos_token_id": np.uint32(tokens.index(bpe.END)), **more}.items()}


@cache
def nasty():
    """Text in which everything meets everything."""
    rng = random.Random(0)
    every = "".join(chr(c) for c in range(0x110000) if not 0xd800 <= c < 0xe000)
    mixed = (rng.choice(every[:0x3000]) if rng.random() < 0.3 else
             rng.choice(" \n\r\t'\u2019aAsSlLvVeEdDmM09.,!?<|>im_endſK\u2581\u00a0\u3000\u00bd")
             for _ in range(20000))
    return [every[::41], "".join(mixed), " " * 500 + "\n" * 500 + "a" * 3000, "", "a", " ",
            "<|im_end|><|endoftext|></s><s><tool>\n\n\n\n", Path(__file__).read_text("utf-8")]


@pytest.mark.parametrize("values", [
    *(learnt(split) for split in ("gpt-2", "smollm", "qwen2", "dbrx", "llama-bpe")),
    byte_level_values("smollm"), sentencepiece_values(),
    sentencepiece_values(**{"tokenizer.ggml.add_space_prefix": np.bool_(False)})],
    ids=lambda values: values.get("tokenizer.ggml.pre", "pieces"))
def test_ids_are_those_of_python_s_tokenizers(tmp_path, values):
    (tmp_path / "m.gguf").write_bytes(packed(values, {}))
    tokenizer = bpe.Tokenizer.load(tmp_path / "m.gguf")
    for text in nasty():
        assert ids_of(values, text) == tokenizer.encode(text)


def test_a_stream_of_bytes_is_shown_as_python_shows_it():
    rng = random.Random(1)
    for _ in range(300):
        data = bytes(rng.choice(bytes.fromhex("610a1b9b7fc2e280a8aef09f9880eda0fff4"))
                     for _ in range(rng.randrange(30)))
        stream, out, shown = TEXT.ffi.new("Utf8 *"), np.empty(99, np.uint8), b""
        cut = rng.randrange(len(data) + 1)
        for part in filter(None, (data[:cut], data[cut:])):
            shown += out[:TEXT.call("utf8_plain", out, stream, np.frombuffer(part, np.uint8),
                                    len(part))].tobytes()
        shown += out[:TEXT.call("utf8_plain", out, stream, out, 0)].tobytes()
        assert shown.decode() == plain(data.decode("utf-8", "replace"))


# ---- Beside infer.py -----------------------------------------------------------------------------

FAMILIES = ["llama", "llama of Mistral's", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "olmo2"]


def written(path, name="qwen3", values=None, **changes):
    """The file of a small model of a row of test_gguf.MODELS."""
    values = values or learnt()
    config = replace(MODELS[name], vocab=len(values["tokenizer.ggml.tokens"]) + 3,
                     **{"context": 200, **changes})
    model, architecture = random_model(config), name.split()[0]
    path.write_bytes(packed(metadata(config, architecture) | values,
                            tensors_of(model, architecture)))
    return path


def continued(path, prompt, **settings):
    """What infer.py complete writes."""
    engine = load(path)
    sequence = Sequence(engine.encode(prompt), Sampling(**settings))
    deque(engine.generate([sequence]), 0)
    return plain(sequence.text).encode() + b"\n"


@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_writes_what_it_writes_in_python(tmp_path, name):
    path = written(tmp_path / "m.gguf", name)
    for settings in ({"temperature": 0.0, "max_tokens": 250},
                     {"seed": 7, "max_tokens": 40, "temperature": 1.5},
                     {"seed": 2**63 + 5, "max_tokens": 40, "top_k": 50, "top_p": 0.9,
                      "min_p": 0.01}):
        settings = {"seed": 1, **settings}
        flags = [item for key, value in settings.items()
                 for item in ("--" + key.replace("_", "-"), value)]
        assert run("complete", path, "-p", "What is éß?", *flags).stdout == \
            continued(path, "What is éß?", **settings)


CHATML = ("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
          "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


@pytest.mark.parametrize("system", ["", "You are éß."])
def test_a_chat_s_answer_is_that_of_the_file_s_template(tmp_path, system):
    path = written(tmp_path / "m.gguf", values=learnt(add_bos_token=np.bool_(False)) | {
        "tokenizer.chat_template": CHATML})
    question, settings = "Is <|im_end|> the end?", Sampling(seed=5, max_tokens=30)
    turn = Turn(engine := load(path), [{"role": "system", "content": system}] * bool(system)
                + [{"role": "user", "content": question}], settings)
    deque(engine.generate([turn]), 0)
    flags = ["-p", question, "--system", system, "--seed", 5, "--max-tokens", 30]
    assert run(path, *flags).stdout == plain(turn.text).encode() + b"\n"
    assert run("complete", path, *flags).stdout != run("chat", path, *flags).stdout


def test_stdin_is_a_prompt(tmp_path):
    path = written(tmp_path / "m.gguf")
    done = subprocess.run([PROGRAM, path, "--temperature", "0", "--threads", "1"],
                          input=b"Once\n", capture_output=True)
    assert done.stdout == run(path, "-p", "Once", "--temperature", 0).stdout


def test_what_is_typed_is_answered_until_control_c_and_control_d(tmp_path):
    path = written(tmp_path / "m.gguf", context=100000, values=learnt() | {
        "tokenizer.chat_template": CHATML})
    main, terminal = pty.openpty()
    program = subprocess.Popen(
        [PROGRAM, path, "--temperature", "0", "--threads", "1", "--max-tokens", "1000000",
         "--context", "100000"], stdin=terminal, stdout=terminal, stderr=terminal,
        start_new_session=True)
    os.close(terminal)
    said = b""

    def until(text):
        nonlocal said
        end = time.monotonic() + 60
        while text not in said and time.monotonic() < end:
            if select.select([main], [], [], 1)[0]:
                said += os.read(main, 65536)
        assert text in said
        said = said.partition(text)[2]
    until(b"> ")
    os.write(main, b"Hello\n")
    until(b"Hello\r\n")
    said = said or os.read(main, 65536)          # it answers
    program.send_signal(signal.SIGINT)
    until(b"interrupted | seed")
    until(b"> ")
    os.write(main, b"\x04")
    assert program.wait(60) == 0


def test_what_does_not_fit_the_context_is_said_to(tmp_path):
    path = written(tmp_path / "m.gguf", context=40)
    done = run(path, "-p", "a b " * 99)
    assert done.returncode == 1 and b"tokens, but there is room for 1 to 40" in done.stderr
    done = run(path, "-p", "a", "--temperature", 0)
    assert done.returncode == 0 and b"length (the context is full)" in done.stderr


# ---- What is refused -----------------------------------------------------------------------------

def refused(path, data):
    """One sentence, which begins with the file's name, and nothing else."""
    path.write_bytes(data)
    done = run(path, "-p", "a", "--max-tokens", 2)
    lines = [line for line in done.stderr.split(b"\n")[:-1] if b" MB for a context" not in line]
    assert done.returncode == 1 and not done.stdout
    assert len(lines) == 1 and lines[0].startswith(bytes(path) + b": ")


@pytest.mark.parametrize("case", WRONG)
def test_a_malformed_file_is_refused_in_a_sentence(tmp_path, case):
    refused(tmp_path / "m.gguf", WRONG[case][0])


@pytest.mark.parametrize("case", UNFIT)
def test_a_model_that_does_not_fit_its_metadata_is_refused(tmp_path, case):
    refused(tmp_path / "m.gguf", spoilt(UNFIT[case]))


UNFIT_WORDS = [
    {"model": "bert"}, {"pre": "magic"}, {"merges": np.uint8(7)}, {"tokens": ["x"] * 700},
    {"token_type": np.zeros(3, np.int32)}, {"eos_token_id": np.uint32(9999)},
    {"bos_token_id": "x"}, {"model": "llama"}, {"tokens": ["x" * 2000]}]


@pytest.mark.parametrize("change", UNFIT_WORDS, ids=str)
def test_a_vocabulary_that_does_not_fit_is_refused(tmp_path, change):
    values = learnt() | {f"tokenizer.ggml.{key}": item for key, item in change.items()}
    path = written(tmp_path / "m.gguf", values=learnt())
    model = random_model(replace(MODELS["qwen3"], vocab=800, context=200))
    refused(path, packed(metadata(model.config, "qwen3") | values, tensors_of(model, "qwen3")))


def test_a_file_cut_or_changed_anywhere_ends_in_a_sentence_or_an_answer(tmp_path):
    path, rng = written(tmp_path / "m.gguf", values=byte_level_values("smollm")), random.Random(0)
    data = path.read_bytes()
    head = data.index(b"output_norm.weight") + 64
    for i in range(150):
        changed = bytearray(data)
        if i % 3:
            for _ in range(rng.choice([1, 1, 8])):
                changed[rng.randrange(head)] = rng.choice([0, 1, 255, rng.randrange(256)])
        else:
            del changed[rng.randrange(len(data)):]
        path.write_bytes(changed)
        done = run(path, "-p", "ab", "--max-tokens", 2)
        assert done.returncode == 0 or done.stderr.count(b"\n") <= 2


def test_a_file_that_changes_while_it_is_in_use_is_said_to(tmp_path):
    path = written(tmp_path / "m.gguf", context=100000)
    program = subprocess.Popen([PROGRAM, path, "-p", "a", "--temperature", "0", "--threads", "1",
                                "--max-tokens", "1000000", "--context", "100000"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    program.stdout.read(20)
    os.utime(path)
    _, said = program.communicate(timeout=100)
    assert program.returncode == 1 and b"m.gguf: was changed while it was in use" in said


@pytest.mark.parametrize("arguments, message", [
    ([], b"give a GGUF file"), (["none.gguf"], b"none.gguf: No such file"),
    (["/"], b"/: is no GGUF file"), (["a", "b"], b"a and b are two files"),
    (["m", "--top-k", "x"], b'--top-k is "x", but must be a number'),
    (["m", "--top-k", ""], b'--top-k is "", but'), (["m", "--seed", "1x"], b"--seed is"),
    (["m", "--temperature", "-1"], b"temperature is -1"),
    (["m", "--lot", "1"], b"--lot is no flag"),
    (["m", "--min-p", "2"], b"min_p is 2"), (["m", "--prompt"], b"m and 1 are two files")])
def test_wrong_flags_are_refused(arguments, message):
    done = run(*arguments)
    assert message in done.stderr and done.returncode == 1 and not done.stdout
