"""csrc/cli.py: a dataclass is a command line; how programs begin and end."""

import dataclasses
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from csrc import cli
from csrc.cli import flag
from csrc.files import ChatError
from csrc.shown import raw

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Learn:
    """Learn a vocabulary.

    And more about it."""
    text: list[str] = flag(help="text files", positional=True)
    vocab_size: int = flag(4096, "tokens of the vocabulary", limits="[288, inf)")
    share: float = flag(0.5, "of 100 % of the text", limits="[0, 1)")
    kind: str = flag("bytes", "what a token is", choices=("bytes", "words"))
    skip: list[int] = flag(list, "lines to leave out", limits="[1, inf)")
    out: Path | None = flag(None, "where to write")
    fast: bool = flag(False, "hurry")
    colour: bool = flag(True, "no colours")
    private: int = 7


@dataclass
class Show:
    """Show how a text is cut."""
    tokenizer: str = flag(help="its folder")
    rate: float | None = flag(None, "speed", limits="(0, inf)")


COMMANDS = {"learn": (Learn, lambda s: ("learnt", s)), "show": (Show, lambda s: ("shown", s))}


def parse(*words, **options):
    return cli.parse("A tool.", COMMANDS, words, **options)


def test_words_become_values_of_the_fields_types():
    name, s, given = parse("learn", "a.txt", "b.txt", "--vocab-size", "300", "--share", "0",
                           "--out", "x", "--fast", "--no-colour")
    assert name == "learn" and s == Learn(["a.txt", "b.txt"], 300, 0.0, out=Path("x"), fast=True,
                                          colour=False)
    assert given == {"text", "vocab_size", "share", "out", "fast", "colour"}


def test_a_list_is_several_words_or_a_repeated_flag_and_a_comma_is_part_of_a_word():
    assert parse("learn", "a", "--skip", "1", "2", "--skip", "3")[1].skip == [1, 2, 3]
    assert parse("learn", "a,b")[1].text == ["a,b"]
    assert parse("learn", "a")[1].skip == []


@pytest.mark.parametrize("words, said", [
    (["learn", "a", "--vocab-size", "-2"], "--vocab-size is -2, but must be in [288, inf)"),
    (["learn", "a", "--share", "1"], "--share is 1.0, but must be in [0, 1)"),
    (["learn", "a", "--share", "nan"], "--share is nan"),
    (["learn", "a", "--skip", "3", "0"], "--skip is 0"),
    (["learn", "a", "--kind", "letters"], "'letters', but must be one of bytes, words"),
    (["learn", "a", "--vocab-size", "many"], "invalid int value: 'many'"),
    (["learn", "a", "--vocab-sise", "300"], "'--vocab-sise'; the nearest is '--vocab-size'"),
    (["learn", "a", "--tokenizer=x"], "no flag '--tokenizer'; the nearest is "),
    (["learn", "a", "--tokenizer=x"], "(show has it)"),
    (["learn", "a", "--out", "x", "--out", "y"], "--out: given twice, but it has one value"),
    (["learn"], "required: TEXT"),
    (["show"], "required: --tokenizer"),
    (["show", "--tokenizer", "t", "more"], "takes no word 'more'"),
    (["show", "--tokenizer", "t", "--rate", "0"], "(0, inf)"),
    (["show", "--token", "t"], "--tokenizer"),                   # no abbreviations
    (["lern", "a"], "there is no command 'lern'; the nearest is 'learn'"),
    ([], "which command? There are learn, show")])
def test_what_is_wrong_is_one_sentence_with_the_remedy(words, said):
    with pytest.raises(ChatError) as error:
        parse(*words)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_without_a_command_the_default_is_meant():
    assert parse("--tokenizer", "t", default="show")[:2] == ("show", Show("t"))
    assert parse("a.txt", default="learn")[1].text == ["a.txt"]
    assert cli.parse("A tool.", {"learn": COMMANDS["learn"]}, ["a"])[0] == "learn"
    with pytest.raises(ChatError, match="nearest is 'show'"):
        parse("shwo", default="show")            # it takes no words: this is no text


def test_dispatch_calls_the_function_with_the_settings():
    assert cli.dispatch("A tool.", COMMANDS, ["show", "--tokenizer", "t"]) == ("shown", Show("t"))


def test_help_lists_the_commands_and_of_each_the_flags_with_default_and_limits(capsys):
    for words in ["-h"], ["learn", "-h"]:
        with pytest.raises(SystemExit) as end:
            parse(*words)
        assert end.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "learn Learn a vocabulary. show Show how a text is cut." in said
    assert "tokens of the vocabulary (4096; in [288, inf))" in said
    assert "of 100 % of the text (0.5; in [0, 1))" in said
    assert "--kind bytes|words" in said and "--no-colour" in said and "--private" not in said
    assert said.count("more about it") == 1


def program(tmp_path, body, **environment):
    """Run a script whose main has this body."""
    script = tmp_path / "tool.py"
    script.write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom csrc import cli\n"
                      f"from csrc.files import ChatError\nfrom csrc.shown import raw\n"
                      f"def main():\n    {body}\n"
                      f"if __name__ == '__main__':\n    cli.run(main)\n")
    return subprocess.run([sys.executable, script], capture_output=True, text=True,
                          env={"PATH": "/usr/bin:/bin", **environment})


@pytest.mark.parametrize("error", ["ChatError('no good: x')", "FileNotFoundError('no good: x')"])
def test_a_users_error_is_one_line_and_chat_debug_shows_its_traceback(tmp_path, error):
    done = program(tmp_path, f"raise {error}")
    assert (done.returncode, done.stderr) == (1, "tool.py: no good: x\n")
    done = program(tmp_path, f"raise {error}", CHAT_DEBUG="1")
    assert done.returncode == 1 and "Traceback" in done.stderr and "in main" in done.stderr


def test_a_missing_file_is_named_without_the_systems_number(tmp_path):
    done = program(tmp_path, "open('/none/such.json')")
    assert (done.returncode, done.stderr) \
        == (1, "tool.py: /none/such.json: No such file or directory\n")


def test_help_tells_no_default_that_is_drawn_anew_each_time():
    drawn, listed = dataclasses.fields(dataclasses.make_dataclass("Drawn", [
        ("seed", int, flag(lambda: 12345, "random")), ("times", list, flag(lambda: [7, 8], "x"))]))
    assert "12345" not in cli.explained(drawn) and "7 8" in cli.explained(listed)


@pytest.mark.parametrize("default, shown", [(1.0, " (1.0)"), (0, " (0)"), (True, ""), (None, "")])
def test_help_tells_a_default_that_equals_true_or_false(default, shown):
    made = dataclasses.make_dataclass("Made", [("x", object, cli.flag(default, "what"))])
    assert cli.explained(dataclasses.fields(made)[0]) == "what" + shown


def test_an_error_of_ours_shows_where_it_comes_from(tmp_path):
    done = program(tmp_path, "int('x')")
    assert done.returncode == 1 and "in main" in done.stderr and "ValueError" in done.stderr


def test_ctrl_c_and_a_closed_pipe_end_quietly(tmp_path):
    for body, code in ("raise KeyboardInterrupt", 130), ("raise BrokenPipeError", 0):
        done = program(tmp_path, body)
        assert (done.returncode, done.stderr) == (code, "")


def test_closed_standard_streams_are_said_or_lead_nowhere(tmp_path):
    body = "print('x'); print('y', file=sys.stderr); " \
           f"open({str(tmp_path / 'made')!r}, 'w').write(sys.stdin.read())"
    for closed, said in (">&-", "tool.py: standard output is closed"), ("2>&-", ""), \
            ("<&-", "y\n"), (">&- 2>&- <&-", ""):
        program(tmp_path, body)                  # leaves the script
        (tmp_path / "made").unlink()
        done = subprocess.run(["sh", "-c", f"{sys.executable} tool.py {closed}"], cwd=tmp_path,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == (1 if closed[:1] == ">" else 0), closed
        assert done.stdout == ("" if closed[:1] == ">" else "x\n")
        assert done.stderr.startswith(said) and "Traceback" not in done.stderr
        assert (tmp_path / "made").exists() == (done.returncode == 0)
        (tmp_path / "made").unlink(missing_ok=True)


EVIL = "\x1b]0;owned\x07\x9b31m\r\u202e\udc80 \x1b[2J"


@pytest.mark.parametrize("body", [
    f"print({EVIL!r}); print('x', {EVIL!r}, file=sys.stderr); sys.stdout.writelines([{EVIL!r}])",
    f"raise ChatError({EVIL!r})", f"open({'no ' + EVIL!r})", f"raise FileNotFoundError({EVIL!r})",
    f"raise RuntimeError({EVIL!r})", f"sys.exit({EVIL!r})",
    f"import warnings; warnings.warn({EVIL!r})", f"import logging; logging.error({EVIL!r})"])
@pytest.mark.parametrize("environment", [{}, {"PYTHONIOENCODING": "latin-1:strict"}])
def test_nothing_that_is_printed_acts_on_a_terminal(tmp_path, body, environment):
    done = program(tmp_path, body, **environment)
    said = done.stdout + done.stderr
    assert "]0;owned" in said and "Unicode" not in said
    assert not set(said) & set("\x1b\x07\x9b\r\u202e"), said


def test_colours_and_progress_still_act_on_it(tmp_path):
    done = program(tmp_path, "print('\\x1b[1mours\\r', file=raw(sys.stdout))")
    assert done.stdout == "\x1b[1mours\n" and raw(sys.stdout) is sys.stdout
