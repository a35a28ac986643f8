"""Tokens as `data/bpe.py show` draws them, in a terminal and as a page."""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import pytest

from csrc import cli
from data import bpe as command
from data.tokens import bpe, show as drawing


@pytest.fixture
def show(monkeypatch, capsys, tmp_path):
    """Runs the command `show` with a tokenizer of bytes and "ab"; returns what it prints."""
    bpe.Tokenizer.from_merges([(97, 98)]).save(tmp_path / "t")

    def run(text, *options, tokenizers=("t",)):
        paths = [tmp_path / tokenizer for tokenizer in tokenizers]
        monkeypatch.setattr(sys, "argv", list(map(str, ["data/bpe.py", "show", text, *options,
                                                        "--tokenizer", *paths])))
        cli.run(lambda: cli.dispatch("", command.COMMANDS))
        return capsys.readouterr().out
    return run


def test_tokens_are_drawn_with_their_ids(show):
    drawn = show("abc\n d")
    assert drawn.startswith("ab₂₅₆c₉₉⏎₁₀\n·₃₂d₁₀₀\n")
    assert re.search(r"t +289 +5 +1\.20\n", drawn)


def test_a_text_cannot_write_to_the_terminal(show):
    drawn = show("a\x1b[31m\x07\r\x9b\u202e\u200b\u2028\x00\ud800é")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u200b\u2028]", drawn)
    for part in (r"\u{1b}", "[", r"\u{7}", "␍", r"\xc2", r"\x9b", r"\xc3", r"\xa9"):
        assert part in drawn


def test_special_tokens_that_are_typed_are_drawn_as_text(show):
    assert show("<|im_end|>").startswith("<₆₀|₁₂₄i₁₀₅m₁₀₉_₉₅e₁₀₁n₁₁₀d₁₀₀|₁₂₄>₆₂\n")


def test_colours_alternate_on_a_terminal_only():
    pieces = [("a", 1), ("b\n", 2), ("⏎", 3), ("c", 4)]
    assert "\x1b" not in drawing.draw(pieces, False)
    coloured = drawing.draw(pieces, True)
    backgrounds = re.findall(r"48;5;(\d+)m", coloured)
    assert len(backgrounds) == 4 and all(a != b for a, b in zip(backgrounds, backgrounds[1:]))
    assert "⏎₃\x1b[0m\n" in coloured  # the colour ends before the line does
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == drawing.draw(pieces, False)


def test_the_page_is_whole_and_escaped(show, tmp_path):
    out = tmp_path / "deep" / "tokens.html"
    assert "8 tokens of" in show("<b>&\"'\x1b\n", "--html", out)
    text = out.read_text(encoding="utf-8")
    assert "<b>" not in text and "&lt;" in text and "&amp;" in text and "&quot;" in text
    assert "\x1b" not in text and "http" not in text and "<sub>60</sub>" in text


def test_several_tokenizers_are_drawn_and_compared(show, tmp_path):
    bpe.Tokenizer.from_merges([]).save(tmp_path / "bytes")
    drawn = show("abab", tokenizers=("bytes", "t"))
    assert "a₉₇b₉₈a₉₇b₉₈\n" in drawn and "ab₂₅₆ab₂₅₆\n" in drawn
    assert re.search(r"bytes +288 +4 +1\.00\n.*t +289 +2 +2\.00\n", drawn)


def test_files_and_stdin_are_read(show, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("ab é", encoding="utf-8")
    assert show(path).startswith("ab₂₅₆·₃₂\\xc3₁₉₅\\xa9₁₆₉\n")
    assert show("").endswith("-\n") and show("no such file" * 100).startswith("n₁₁₀o₁₁₁")
    command = [sys.executable, ROOT / "data" / "bpe.py", "show", "-", "--tokenizer", tmp_path / "t"]
    done = subprocess.run(command, input=b"abc", capture_output=True)
    assert done.stdout.decode().startswith("ab₂₅₆c₉₉\n")
    path.write_bytes(b"ab\xff")
    with pytest.raises(SystemExit, match="a.txt: not UTF-8 at byte 2"):
        show(path)
