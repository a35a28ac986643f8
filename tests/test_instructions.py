"""IFEval's instructions: what follows them and what does not, their columns, what is left out."""

import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pytest

from data.exams.formats import read
from data.exams.instructions import CHECKS
from data.exams.marks import mark

# Values of an instruction; texts that follow it, texts that do not.
CASES = {
    "keywords:existence": ({"keywords": ["ship", "C++"]}, ["SHIPS and c++"], ["ship", "ccc ship"]),
    "keywords:frequency": ({"keyword": "ship ", "frequency": 2, "relation": "at least"},
                           ["Ship, ships"], ["ship, s hip"]),
    "keywords:forbidden_words": ({"forbidden_words": ["he", "it"]}, ["they hit"], ["Yes, He is"]),
    "keywords:letter_frequency": ({"letter": "C", "let_frequency": 2, "let_relation": "less than"},
                                  ["c, k", "kk"], ["cC", "acca"]),
    "length_constraints:number_words": ({"num_words": 3, "relation": "less than"}, ["a, b -"],
                                        ["it's so"]),
    "length_constraints:number_paragraphs": ({"num_paragraphs": 2}, [
        "a *** b", "***\na\n***\nb***"], ["a", "a *** *** b", "a\n\nb"]),
    "length_constraints:nth_paragraph_first_word": (
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Then"},
        ["a\n\n\"then, b", "a\n\nTHEN b\n\n"],
        ["then a\n\nb", "a\n\nthen\n\nc", "then", "a\n\n\n\n"]),
    "detectable_content:number_placeholders": ({"num_placeholders": 2}, ["[a] [b]"], ["[a [b]"]),
    "detectable_content:postscript": ({"postscript_marker": "P.S."}, ["x P.S. y", "p. s."],
                                      ["PS y"]),
    "detectable_format:number_bullet_lists": ({"num_bullets": 2}, ["* a\n  - b", "-a\n-b\nc"],
                                              ["* a", "- a\n- b\n* c", "**a**\n- b"]),
    "detectable_format:constrained_response": ({}, ["Well: My answer is no."], ["My answer is no"]),
    "detectable_format:number_highlighted_sections": ({"num_highlights": 2}, ["*a* and **b c**"],
                                                      ["**a**", "* a\n* b", "** ** *a*"]),
    "detectable_format:multiple_sections": ({"section_spliter": "Section", "num_sections": 2},
                                            ["Section 1\na\nSection 2"], ["section 1\nSection 2"]),
    "detectable_format:json_format": ({}, ['```json\n{"a": 1}\n```', "[1]"], ["{a: 1}",
                                                                                "[" * 9999]),
    "detectable_format:title": ({}, ["<<A poem>>\nx"], ["<< >>", "<<a\nb>>"]),
    "combination:two_responses": ({}, ["a ****** b"], ["a ****** a", "a", "a******b******c"]),
    "combination:repeat_prompt": ({"prompt_to_repeat": "Do it. "}, ["\ndo it. Yes"],
                                   ["Yes. Do it."]),
    "startend:end_checker": ({"end_phrase": "The end."}, ['So. the END."'], ["The end. Bye"]),
    "startend:quotation": ({}, [' "a"\n'], ['"', 'a "b"']),
    "change_case:english_capital": ({}, ["IT IS 5."], ["It is", "5"]),
    "change_case:english_lowercase": ({}, ["it is 5."], ["It is", "5"]),
    "punctuation:no_comma": ({}, ["a; b"], ["a, b"]),
}


def write(folder, *rows):
    path = folder / "input_data.jsonl"
    path.write_text("".join(json.dumps({
        "key": 1000 + i, "prompt": "Write.", "instruction_id_list": names, "kwargs": values}) + "\n"
        for i, (names, values) in enumerate(rows)))
    return path


@pytest.mark.parametrize("name", CHECKS)
def test_each_instruction(name, tmp_path):
    values, right, wrong = CASES[name]
    others = {"num_words": None, "relation": None}       # as the hub's copy has them
    question, = read(write(tmp_path, ([name], [others | values])))
    assert (question.exam, question.id, question.kind) == ("ifeval", "1000", "instructions")
    for text in right:
        assert mark(question, text) == {"strict": True, "lenient": True}, text
    for text in wrong + ["", " \n"]:
        assert mark(question, text)["strict"] is False, text


def test_all_must_be_followed_and_leniently_what_stands_around_does_not_count(tmp_path):
    question, = read(write(tmp_path, (["punctuation:no_comma", "startend:quotation"], [{}, {}])))
    for text, strict, lenient in (('"a"', True, True), ('Sure, here it is:\n"a"', False, True),
                                  ('"a"\nHope, it helps.', False, True), ('**"a"**', False, True),
                                  ('Sure:\nSo:\n"a"', False, False), ('"a, b"', False, False),
                                  ('Sure,\n*"a"*\nBye,', False, True)):
        assert mark(question, text) == {"strict": strict, "lenient": lenient}, text


def test_what_needs_a_library_is_left_out_and_counted(tmp_path, capsys):
    sentences = (["length_constraints:number_sentences", "punctuation:no_comma"],
                 [{"num_sentences": 3, "relation": "at least"}, {}])
    path = write(tmp_path, sentences, (["punctuation:no_comma"], [{}]), sentences,
                 (["language:response_language"], [{"language": "kn"}]))
    assert [question.id for question in read(path)] == ["1001"]
    assert capsys.readouterr().err == (
        f"{path}: 3 of 4 questions are left out, for no program here checks "
        "length_constraints:number_sentences (2), language:response_language (1)\n")
    with pytest.raises(ValueError, match="input_data.jsonl: none of its 1 questions is left"):
        read(write(tmp_path, sentences))
    with pytest.raises(ValueError, match="ifeval has no answers that could be shown as examples"):
        read(write(tmp_path, (["punctuation:no_comma"], [{}])), examples=path)


@pytest.mark.parametrize("names, values, says", [
    (["punctuation:no_comma"], [], '"kwargs" has 0 objects for 1 instructions'),
    (["punctuation:no_comma"], [7], "7 is not an object"),
    ([], [], "\"instruction_id_list\" is []"),
    (["keywords:existence"], [{"keywords": None}], 'keywords:existence: "keywords" is missing'),
    (["keywords:existence"], [{"keywords": [1]}], "\"keywords\" is [1], but must hold texts"),
    (["keywords:frequency"], [{"keyword": "a", "frequency": "2", "relation": "at least"}],
     "\"frequency\" is '2', but must be a whole number"),
    (["keywords:frequency"], [{"keyword": "a", "frequency": 2, "relation": "at most"}],
     "\"relation\" is 'at most', but must be less than or at least")])
def test_wrong_columns_are_refused_in_a_sentence(names, values, says, tmp_path):
    with pytest.raises(ValueError, match="input_data.jsonl:1: .*" + re.escape(says)):
        read(write(tmp_path, (names, values)))
