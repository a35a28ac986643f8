"""The pocket world's prose: how files are read, and that they are as tests/templates.py asks."""
import re

import pytest

from csrc.files import ChatError
from data.pocket import text
from templates import check

GOOD = "@slots p\n== person.born ==\n[tell]\n{p} was\n  born.\n[ask]\nWhen was {p} born?\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder in the place of data/pocket/text, with its own words."""
    monkeypatch.setattr(text, "FOLDER", tmp_path)
    (tmp_path / "words.txt").write_text("== nouns ==\n[fruit]\nfig\n== verbs ==\n[walk]\nrun\n"
                                        "== words ==\n[mood]\nsad\n")
    for function in (text.load, text.raw, text.wordings, text.asking):
        function.cache_clear()
    yield tmp_path
    for function in (text.load, text.raw, text.wordings, text.asking):
        function.cache_clear()


def fails(folder, content, sentence):
    (folder / "relations.txt").write_text(content)
    with pytest.raises(ValueError, match=re.escape(f"{folder / 'relations.txt'}:") + sentence):
        check(folder / "relations.txt")


def test_an_entry_is_a_line_and_the_indented_ones_below_it(folder):
    (folder / "relations.txt").write_text(f"# a comment\n\n{GOOD}")
    assert text.load("relations") == {"person.born": {"tell": ["{p} was born."],
                                                      "ask": ["When was {p} born?"]}}
    (folder / "table.txt").write_text("== coins ==\npenny; copper\ncrown ;gold\n")
    assert text.table("table", "coins") == [["penny", "copper"], ["crown", "gold"]]


def test_an_unknown_slot_is_an_error_with_its_line(folder):
    for slot in "{q}", "{fruits}", "{p*2}", "{run.ed}", "[a|{fruit.ed}]":
        fails(folder, GOOD + f"Who is {slot}?\n", "8: .*is no word list and no fact")
    for slot in "{p.town.region}", "{fruit.s*3}", "{walk.ed}", "{2-9}", "{mood}":
        (folder / "fine.txt").write_text(f"@slots p\n== a ==\n{slot}\n")
        text.load.cache_clear()
        check(folder / "fine.txt")
        assert text.lines("fine", "a") == [slot]


def test_too_few_entries_are_an_error_with_their_line(folder):
    fails(folder, "@least ask=2\n" + GOOD, r"7: \[ask\] of block 'person.born' has 1 entries")
    fails(folder, "== person.born ==\n[tell]\n", r"2: \[tell\] of block 'person.born' has 0")
    fails(folder, "== person.born ==\n", r"1: \[\] of block 'person.born' has 0")


def test_an_exams_wording_that_stands_elsewhere_is_an_error_with_its_line(folder):
    exam = "[exam]\nWhen was {p} born\n"
    fails(folder, GOOD + exam, "9: an exam's wording stands in line 7, too")
    fails(folder, GOOD.replace("When", "[When|Where|In which year]") + exam, "9: ")
    fails(folder, GOOD + exam.replace("born", "sad") + "== person.sad ==\n" + exam.replace(
        "born", "sad"), "9: an exam's wording stands in line 12, too")


def test_brackets_and_lines_out_of_place_are_errors_with_their_line(folder):
    fails(folder, GOOD + "[Where|When was {p}?\n", "8: unbalanced brackets")
    fails(folder, "Nobody\n" + GOOD, "1: 'Nobody' is in no block")
    fails(folder, "== a ==\n  more\n", "2: an indented line continues an entry")
    fails(folder, GOOD + "[ask]\nWhy?\n", r"8: a second section \[ask\]")
    fails(folder, GOOD + "== person.born ==\n", "8: a second block 'person.born'")


def test_chat_wordings_keeps_the_first_wordings_of_each_relation_but_all_of_exams(monkeypatch):
    def trial(most):
        monkeypatch.setenv("CHAT_WORDINGS", most)
        text.wordings.cache_clear()
        return text.wordings("tell"), text.wordings("exam")
    (tell, exam), (three, same), = trial("0"), trial("3")
    assert exam == same and min(len(lines) for lines in tell["person"].values()) == 5
    assert three == {kind: {relation: lines[:3] for relation, lines in relations.items()}
                     for kind, relations in tell.items()}
    with pytest.raises(ChatError, match="CHAT_WORDINGS is 'few'"):
        trial("few")
    text.wordings.cache_clear()


def test_all_files_of_the_world_are_whole():
    for path in text.FOLDER.glob("*.txt"):
        check(path)
        assert text.load(path.stem), path
    assert text.asking()["person"]["mother"].names == "mother"
    assert all(len(text.wordings("exam")[kind][relation]) == 3
               for kind, relations in text.asking().items() for relation in relations)
