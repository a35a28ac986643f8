"""infer.py: the command line, questions to base models, what is shown of tokens."""

import io
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import programs
from csrc import cli
from csrc.bind import Model
from csrc.config import Config
from csrc.engine import Sampling, Sequence
from csrc.files import ChatError
from csrc.shown import plain
from data.exams import questions
from data.tokens.show import in_columns, odds, spelled
from infer import COMMANDS, Complete, document, main, piped, show
from test_engine import CONTEXT, continue_all, engine, tokenizer  # noqa: F401  (fixtures)

INFER = Path(__file__).resolve().parents[1] / "infer.py"
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def run_folder(engine, tmp_path_factory):
    """A folder to work in, with one run."""
    folder = tmp_path_factory.mktemp("work")
    engine.model.save(folder / "runs" / "tiny")
    engine.tokenizer.save(folder / "runs" / "tiny")
    return folder


def infer(folder, *flags, stdin="", **environment):
    """(exit code, stdout, stderr) of python infer.py."""
    done = programs.run("infer.py", *flags, cwd=folder, stdin=stdin, OMP_NUM_THREADS="1",
                        **environment)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_cli_two_runs_with_one_seed_print_the_same(run_folder):
    flags = "--prompt", "the cat", "--max-tokens", "8", "--dtype", "f32"
    code, first, about = infer(run_folder, *flags)
    seed = about.split()[-1]
    assert code == 0 and "tokens/s" in about     # a random seed: it may end by itself
    assert "8 tokens" in about and "length" in about or "stop" in about
    assert infer(run_folder, *flags, "--seed", seed)[1] == first
    code, slower, about = infer(run_folder, *flags, "--seed", seed, "--no-lookup")
    assert slower == first and "drafts" not in about
    flags = "complete", "--model", "runs/tiny", *flags, "--seed", str(int(seed) + 1)
    assert infer(run_folder, *flags)[1] != first


def test_cli_n_prints_n_samples_each_whole_and_in_its_place(run_folder, engine):
    code, out, about = infer(run_folder, "--prompt", "the", "--max-tokens", "6", "--seed", "1",
                             "--n", "5", "--dtype", "f32")
    settings = Sampling(max_tokens=6, seed=1)
    texts = [continue_all(engine, [Sequence(engine.encode("the"), settings, i)])[0][1]
             for i in range(5)]
    assert out == "".join(f"---- {i + 1} of 5 ----\n{plain(text)}\n"
                          for i, text in enumerate(texts))
    assert code == 0 and "5 x length" in about


def test_cli_probs_prints_a_line_for_each_token_and_the_text(run_folder):
    flags = ("--prompt", "the", "--max-tokens", "5", "--seed", "2", "--dtype", "f32",
             "--temperature", "0.05")            # so that one token of many has a bar
    text = infer(run_folder, *flags)[1]
    code, table, _ = infer(run_folder, *flags, "--probs", COLUMNS="100")
    lines, tail = table[:-len(text) - 1].splitlines(), table[-len(text):]
    assert code == 0 and tail == text and len(lines) == 5
    assert all("%" in line and "\x1b" not in line for line in lines)
    assert any("█" in line for line in lines)


def test_cli_reads_the_prompt_from_stdin_without_its_last_newline(run_folder):
    flags = "--max-tokens", "4", "--seed", "3", "--dtype", "f32"
    by_flag = infer(run_folder, "--prompt", "the dog", *flags)[1]
    assert infer(run_folder, "--prompt", "-", *flags, stdin="the dog\n")[1] == by_flag
    assert infer(run_folder, *flags, stdin="the dog")[1] == by_flag


@pytest.mark.parametrize("flags, says", [
    ("--temprature 0.5", "has no flag '--temprature'; the nearest is '--temperature'"),
    ("--topk=3", "the nearest is '--top-k'"),
    ("complet", "no command 'complet'; the nearest is 'complete'"),
    ("--max-tokens 0", "--max-tokens is 0"), ("--n -1", "--n is -1"),
    ("--temperature nan", "--temperature is nan"), ("--model runs/nothing", "runs/nothing"),
    ("chat --n 2", "chat has no flag '--n'"), ("chat --probs", "(complete has it)"),
    ("complete --tools search", "(chat has it)"),
    ("eval --temperature 1", "(chat, complete have it)"),
    ("complete --model a b", "takes no word 'b'"),
    ("--model a --model b --prompt x", "--model: given twice"),
    ("--n 2 --system x", "--system is a flag of `infer.py chat`, and --n one of"),
    ("--dtype f32 --prompt " + "x" * 100,
     f"the prompt has 101 tokens, but must have from 1 to {CONTEXT}"),
])
def test_cli_says_what_is_wrong_and_refuses_flags_that_it_would_ignore(run_folder, monkeypatch,
                                                                       capsys, flags, says):
    monkeypatch.chdir(run_folder)
    monkeypatch.setattr("sys.argv", ["infer.py", *flags.split()])
    with pytest.raises((ChatError, OSError)) as error:
        main()
    assert says in str(error.value) and capsys.readouterr().out == ""


def test_cli_help_names_every_flag_and_shows_examples(run_folder):
    code, out, _ = infer(run_folder, "-h")
    assert code == 0 and "--repetition-penalty" in out and "python infer.py --prompt" in out


def test_cli_without_a_run_says_how_to_make_one(tmp_path):
    code, out, err = infer(tmp_path)
    assert (code, out) == (1, "") and "python train.py" in err and len(err.splitlines()) == 1


def test_cli_takes_the_newest_run_and_names_it_where_it_is_damaged(run_folder, tmp_path):
    whole, damaged = (shutil.copytree(run_folder / "runs" / "tiny", tmp_path / "runs" / name)
                      / "model.safetensors" for name in ("whole", "damaged"))
    damaged.write_bytes(damaged.read_bytes()[:-9])
    os.utime(whole, (1000, 1000))
    code, out, err = infer(tmp_path, "--prompt", "x")
    assert (code, out) == (1, "") and "runs/damaged" in err
    os.utime(damaged, (0, 0))
    assert infer(tmp_path, "--prompt", "x", "--max-tokens", "1")[0] == 0


@contextmanager
def in_terminal(folder, *flags):
    """Yield (process, type, expect) of python infer.py in a terminal, as a user has it: a function
    that types a line, and one that waits until a text is shown, and returns what stood before."""
    terminal, inside = pty.openpty()
    child = subprocess.Popen([sys.executable, INFER, *flags], cwd=folder, env=ONE_THREAD,
                             stdin=inside, stdout=inside, stderr=inside)
    os.close(inside)
    shown = b""

    def expect(text):
        nonlocal shown
        while text not in shown:
            assert select.select([terminal], [], [], 30)[0], f"no {text} after {shown}"
            shown += os.read(terminal, 4096)
        before, _, shown = shown.partition(text)
        return before

    try:
        yield child, lambda line: os.write(terminal, line), expect
    finally:
        child.kill()
        child.wait()
        os.close(terminal)


def test_interactive_ctrl_c_stops_the_text_and_ctrl_d_leaves(run_folder):
    with in_terminal(run_folder, "--seed", "4", "--dtype", "f32") as (child, type, expect):
        expect(b"context 24 tokens")
        expect(b"> ")
        time.sleep(0.3)                                      # until input() waits for a line
        child.send_signal(signal.SIGINT)
        expect(b"(Ctrl-D leaves)")
        expect(b"> ")
        type(b"the cat\n")
        expect(b"seed 4")
        expect(b"> ")
        type(b"x" * 100 + b"\n")
        expect(b"the model's context")
        expect(b"> ")
        type(b"\x04")
        assert child.wait(30) == 0


def test_ctrl_c_ends_a_text_with_what_there_is_and_exit_130(engine, tmp_path):
    config = Config(engine.model.config.vocab, 100_000, 1, 8, 1, 1, 8, 8)
    Model.create(config).save(tmp_path)
    engine.tokenizer.save(tmp_path)
    flags = "--model", tmp_path, "--prompt", "the", "--max-tokens", "99999", "--temperature", "0"
    child = subprocess.Popen([sys.executable, INFER, *flags], env=ONE_THREAD,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    first = child.stdout.read(1)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert first and child.returncode == 130 and b"interrupted | seed" in err


def test_a_prompt_from_a_file_has_neither_its_byte_order_mark_nor_its_returns(monkeypatch):
    for given, text in ((b"\xef\xbb\xbfthe cat\r\nsat\r\n", "the cat\nsat"), (b"a\rb\n", "a\rb"),
                        (b"caf\xc3\xa9", "caf\xe9"), (b"\r\n", ""), (b"", "")):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
        assert piped(Complete(prompt="-")) == text


@pytest.mark.parametrize("flags, said", [
    (["complete", "--shots", "2"], "--shots 2 says how many of --examples: give that, too"),
    (["--shots", "0"], "--shots 0 says"), (["eval", "--shots", "1"], "--shots 1 says"),
    (["--model", "empty"], "empty: there is no model in it (no config.json)"),
    (["chat", "--model", "nowhere"], "nowhere: there is no model in it (no config.json)"),
    (["eval", "--model", "empty"], "empty: there is no model in it (no config.json)")])
def test_what_cannot_be_meant_is_one_sentence(tmp_path, monkeypatch, flags, said):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    monkeypatch.setattr("sys.argv", ["infer.py", *flags])
    with pytest.raises((ChatError, OSError), match=re.escape(said)):
        main()


# ---- Questions to base models --------------------------------------------------------------------

def test_a_question_becomes_a_document_that_ends_where_the_answer_begins():
    text = questions.few_shot("What is\n\nthe capital  of France?").text()
    assert text.startswith(questions.ASSISTANT + "\n\nQuestion: How many")
    assert text.endswith("\n\nQuestion: What is the capital of France?\nAnswer:")
    assert text.count("Question:") == text.count("Answer:") == len(questions.FEW_SHOT) + 1


def test_cli_examples_stand_before_the_prompt(run_folder, tmp_path):
    lines, text = tmp_path / "shots.jsonl", tmp_path / "shots.txt"
    lines.write_text('{"question": "2+2?", "answer": 4}\n{"question": "Who?", "answer": "Me"}\n')
    text.write_text("Once upon a time. ")

    def made(*flags):
        return document("And?", cli.parse("", COMMANDS, ["complete", *flags])[1])

    assert made() == ("And?", ())
    assert made("--examples", str(text)) == ("Once upon a time. And?", ())
    assert made("--examples", str(text), "--as-assistant")[0] == \
        f"Once upon a time. {questions.ASSISTANT}\n\nQuestion: And?\nAnswer:"
    shots = "Question: 2+2?\nAnswer: 4\n\nQuestion: Who?\nAnswer: Me\n\n"
    asked = "Question: And?\nAnswer:"
    assert made("--examples", str(lines)) == (shots + asked, questions.STOP)
    assert made("--examples", str(lines), "--shots", "1")[0] == shots[:26] + asked
    assert made("--examples", str(lines), "--as-assistant")[0] == \
        questions.ASSISTANT + "\n\n" + shots + asked
    code, out, err = infer(run_folder, "complete", "--prompt", "x", "--examples", "nowhere")
    assert (code, out) == (1, "") and "nowhere" in err


def test_an_answer_ends_before_the_next_question_is_invented(capsys, monkeypatch):
    said = " Paris.\n\nQuestion: And of Spain?\nAnswer: Madrid."

    class Fake:
        def generate(self, sequences):
            s, = sequences
            for i, c in enumerate(said.encode()):
                text = s.stream.push(bytes([c]))
                s.text, s.finish = s.text + text, "stop" if s.stream.stopped else ""
                yield s, c, text, None
                if s.finish:
                    return

        def encode(self, text):
            return [*text.encode()]

    monkeypatch.setattr("infer.summary", lambda *_: "")
    show(Fake(), "What is the capital of France?", Complete(as_assistant=True))
    assert capsys.readouterr().out == "Paris.\n"


# ---- What is shown of tokens ---------------------------------------------------------------------

def test_a_token_is_spelled_visibly_and_in_its_width(tokenizer):
    def spell(token):
        return in_columns(spelled(tokenizer, token), 6)

    shown = {text: spell(tokenizer.encode(text)[0]) for text in "\n \x1b"}
    assert shown == {"\n": "⏎     ", " ": "·     ", "\x1b": r"\u{1b}"}
    assert spell(0xf0) == r"\xf0  " and spell(tokenizer.special("<|im_start|>")) == "<|im_…"


def test_a_line_of_probs_always_has_the_token_itself_and_only_what_could_come(engine, monkeypatch):
    p = np.zeros(engine.model.config.vocab)
    p[[ord("a"), ord("b"), ord("c")]] = 0.75, 0.2, 0.05
    for columns, expected in (38, "c             c        ▎      5%  +2\n"), \
            (58, "c             a        ███▊  75%  c        ▎      5%  +1\n"), \
            (200, "c             a        ███▊  75%  b        █     20%  c        ▎      5%\n"):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert odds(engine.tokenizer, ord("c"), p) == expected and len(expected) <= columns + 1
