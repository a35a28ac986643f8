"""Marking answers that are nearly right or nearly wrong, and answers that mean harm."""

import ast
import json
import math
import sys
from fractions import Fraction
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data.exams import calls as call_marks, formats, instructions, marks
from data.pocket import exams
from data.exams.formats import Question
from data.exams.calls import calls, fits_value
from data.exams.marks import (as_number, contains, final, mark, mark_likelihood, numbers,
                              program_in, summary, wilson, words)
from test_exams_world import FACT


def ask(kind, truth, choices=()):
    return Question("exam", "1", kind, "?", truth, "", tuple(choices))


# ----------------------------------------------------------------------------------------- numbers

@pytest.mark.parametrize("text, found", [
    ("1,234.", [1234]), ("1,234,567.50", [Fraction("1234567.5")]), ("12,34", [12, 34]),
    ("$5 and -$3 and $-2", [5, -3, -2]), ("−4", [-4]), ("10-3=7", [10, 3, 7]), ("(-3)", [-3]),
    ("3/4 of 8", [Fraction(3, 4), 8]), ("1 1/2 cups", [Fraction(3, 2)]), ("1/0", []),
    (r"\frac{3}{4}", [Fraction(3, 4)]), (r"\boxed{42}", [42]), ("H2O, x2, m^2", []),
    (".5 and 0.5.", [Fraction(1, 2), Fraction(1, 2)]), ("2e3", [2000]), ("1e999999999", [1]),
    ("50%", [50]), ("**42**", [42]), ("9.11", [Fraction("9.11")]), ("9" * 5000, []), ("", [])])
def test_numbers_are_found_as_people_write_them(text, found):
    assert numbers(text) == found or text == "1e999999999"


@pytest.mark.parametrize("text, value", [
    ("42", 42), (" 1,080 ", 1080), ("145.0", 145), ("3/4", Fraction(3, 4)), ("18 dollars.", 18),
    ("50%", 50), ("-7", -7), ("3 or 4", None), ("the 4th of May", None), ("May 4", None),
    ("1939-1945", None), ("", None), ("2 and a half miles", None)])
def test_a_text_is_a_number_if_it_is_nothing_else(text, value):
    assert as_number(text) == value


@pytest.mark.parametrize("answer, strict, lenient", [
    ("#### 1,234.", True, True), ("#### 1234", True, True), ("So it is.\n####1234", True, True),
    ("#### $1,234.00 dollars", True, True), ("#### 1234\n\nQuestion: another\n#### 9", True, False),
    ("1,234 dollars", False, True), ("The answer is 1234. I checked it 2 times.", False, True),
    ("Answer: **1,234**", False, True), (r"\boxed{1234} after 3 steps", False, True),
    ("The answer is 1000 + 234 = 1234, which took 2 steps.", False, True),
    ("1000 + 234 = 1234.", False, True), ("1234 = 1000 + 234", False, False),
    ("#### 12345", False, False), ("#### 1234.5", False, False), ("#### -1234", False, False),
    ("#### about 1234", False, True), ("It is 1234 m^2.", False, True),
    ("1234 or 1235", False, False),
    ("one thousand", False, False), ("####", False, False), ("", False, False)])
def test_a_number_is_marked_strictly_and_leniently(answer, strict, lenient):
    assert mark(ask("number", Fraction(1234)), answer) == {"strict": strict, "lenient": lenient}


@pytest.mark.parametrize("text, value", [
    (r"\boxed{12{,}500}", 12500), (r"\boxed{12,\!500}", 12500), (r"12\,500 of them", 12500),
    ("12\u202f500", 12500), (r"\boxed{\frac34}", Fraction(3, 4)), (r"\dfrac{7}{2}", Fraction(7, 2)),
    (r"\tfrac 1{10}", Fraction(1, 10)), (r"1\frac12", Fraction(3, 2)),
    (r"-\frac{3}{4}", Fraction(-3, 4)), ("#### –8", -8), ("#### ‑8", -8), (r"\boxed{-\$8}", -8),
    ("negative 8", -8), ("It is minus 3/4.", Fraction(-3, 4)), ("10 minus 3", 3), ("{-}8", -8),
    ("$1.25 million", 1250000), ("3.5 Billion people", 3500000000), ("2 thousand", 2000),
    ("1½ cups", Fraction(3, 2)), ("¾", Fraction(3, 4)), ("3⁄4", Fraction(3, 4)), ("12'500", 12500),
    (r"2 \times 10^{3}", 2000), ("1.5×10^−2", Fraction(15, 1000)), ("2 hundred", 200),
    (r"50\%", 50), ("pages 10–12", 12), ("1939–1945", 1945)])
def test_numbers_are_read_in_all_their_spellings(text, value):
    assert final(text) == value
    assert as_number("$1.25 million") == 1250000 and as_number(r"$-\frac34$") == Fraction(-3, 4)


@pytest.mark.parametrize("answer, strict, lenient", [
    (r"So \boxed{\dfrac{x}{2}}.", True, True), (r"\boxed{ \frac{x}{2} }", True, True),
    (r"The answer is $\frac{x}{2}$.", False, True), (r"y = \frac{x}{2}", False, True),
    (r"\boxed{\frac{x}{3}}", False, False), (r"\boxed{\frac{x}{2}} or \boxed{1}", False, False),
    (r"\boxed{\frac{x", False, False), ("", False, False)])
def test_an_expression_is_marked_by_its_box(answer, strict, lenient):
    assert mark(ask("math", r"\frac{x}{2}"), answer) == {"strict": strict, "lenient": lenient}


def test_a_number_is_strict_in_a_box_where_the_exam_has_boxes():
    question = Question("math", "1", "number", "?", Fraction(3, 4), r"\boxed{\frac{3}{4}}")
    assert mark(question, r"\boxed{0.75}") == {"strict": True, "lenient": True}
    assert mark(question, r"#### 3/4") == {"strict": False, "lenient": True}


def test_small_numbers_may_be_words_where_there_are_no_digits():
    assert final("There are three.") == 3 and final("Three, or 4.") == 4 and final("None.") is None


@given(st.fractions(min_value=-10**9, max_value=10**9, max_denominator=1000))
def test_every_number_is_read_back(number):
    assert final(f"So the answer is {number}.") == number
    whole = round(number)
    assert numbers(f"It is {whole:,}.") == [whole] == numbers(f"{whole:.1f}")


@pytest.mark.parametrize("answer, right", [
    ("9.9", True), ("9.11", False), ("9.9 is larger.", True), ("9.11 is larger than 9.9.", False),
    ("9.11 is smaller than 9.9.", True), ("9.9 is less than 9.11", False), ("9.9 > 9.11", True),
    ("9.11 < 9.9", True), ("9.11 > 9.9", False), ("9.11 is not larger than 9.9", True),
    ("The larger one is 9.9, not 9.11.", True), ("Both have 9: 0.9 and 0.11.", False), ("", False),
    ("Between 9.11 and 9.9, 9.9 is the larger number.", True)])
def test_a_comparison_may_be_told_from_either_side(answer, right):
    truth = {"right": Fraction("9.9"), "wrong": Fraction("9.11"), "larger": True}
    assert mark(ask("compared", truth), answer) == {"": right}


# ------------------------------------------------------------------------------ letters and choices

@pytest.mark.parametrize("answer, strict, lenient", [
    ("B", True, True), (" (B) ", True, True), ("B.", True, True), ("B) wet palms", True, True),
    ("B. Wet palms.", True, True), ("B. dry palms", False, True), ("b", False, True),
    ("The answer is B.", False, True), ("The correct answer is (B), not A.", False, True),
    ("Answer: **B**", False, True), ("B because it is wet", False, True), ("A", False, False),
    ("A man rubs wet palms.", False, True), ("wet palms", False, True), ("A or B", False, True),
    ("dry palms or wet palms", False, False), ("B or C", False, False), ("E", False, False),
    ("Option C, or rather option B", False, True), ("Because", False, False), ("", False, False)])
def test_a_letter_is_marked_strictly_and_leniently(answer, strict, lenient):
    question = ask("letter", 1, ["dry palms", "wet palms", "palms covered with oil"])
    assert mark(question, answer) == {"strict": strict, "lenient": lenient}


@pytest.mark.parametrize("answer, named", [
    ("b", "B"), ("(b)", "B"), ("b)", "B"), ("b. wet palms", "B"), ("The answer is b.", "B"),
    ("Answer: b", "B"), ("option (c), I think", "C"), ("**c**", "C"), ("So I choose c", "C"),
    ("The answer is a good one", None), ("A cat is a pet", None), ("I do not know", None),
    ("The answer is a.", "A"), ("b or c", None), ("B, though c", "B"),
    ("We spell it letter by letter: r, then e, then d, so that it is red at last", None)])
def test_small_letters_are_letters_where_they_are_no_words(answer, named):
    assert marks.letter_named(answer, "ABCDEFGHIJ", ["x1"] * 10) == named


def test_any_of_several_spellings_of_an_answer_is_right():
    question = ask("text", ("Mara Holm", "The Baker of Cadun"))
    for answer, strict, lenient in (("mara holm", True, True), ("Baker of Cadun!", True, True),
                                    ("It was Mara Holm.", False, True), ("Holm", False, False)):
        assert mark(question, answer) == {"strict": strict, "lenient": lenient, "declined": False}


@pytest.mark.parametrize("end", ["<|endoftext|>", "<|im_end|>\nmore", "<|eot_id|>", "</s>\n",
                                 "<end_of_turn>", "<|endoftext|>The answer is C"])
def test_what_a_model_ends_a_text_with_is_no_part_of_its_answer(end):
    choices = ["dry palms", "wet palms", "oil"]
    assert mark(ask("letter", 1, choices), f"B{end}") == {"strict": True, "lenient": True}
    assert mark(ask("text", "Mara"), f"Mara{end}")["strict"]
    assert mark(ask("number", Fraction(8)), f"#### 8{end}") == {"strict": True, "lenient": True}


F = "def f(x):\n    return 2 * x"


@pytest.mark.parametrize("answer", [
    f"```bash\npip install x\n```\n```python\n{F}\n```", f"```\nls\n```\nThen:\n```\n{F}\n```",
    f"```py\n{F}\n```\n```\nf(2)\n```", f"```python\nx = 1\n```\nand\n```python\n{F}\n```",
    f"~~~python\n{F}\n~~~", f"[PYTHON]\n{F}\n[/PYTHON]", f"{F}\nDone", f"  ```python\n{F}\n  ```",
    f"Here it is:\n\n{F}\n\nIt doubles a number; isn't it nice?", f"Sure!\n{F}\n",
    f"```python\n{F}"])
def test_a_program_is_found_in_what_stands_around_it(answer):
    assert program_in(answer).strip() == F


def test_a_program_without_prose_is_the_whole_answer():
    for answer in (F, "    return 2 * x\n", "x = 1\nprint(x)", "import x\nx.y()\n\n\nz = 1"):
        assert program_in(answer) == answer


@pytest.mark.parametrize("text", [
    "answer" + "-" * 50_000, "#" * 50_000, "\\frac " * 10_000, "1," * 30_000, "def " * 20_000,
    "def f():\n" * 9_000, "```" * 20_000, "b " * 30_000, "\\boxed{" * 9_000, "{,}" * 20_000,
    "answer" + " " * 50_000, "(" * 50_000])
def test_hostile_answers_are_marked_at_once(text):
    for kind in ("number", "math", "letter", "text"):
        truth = {"number": Fraction(1), "letter": 0}.get(kind, "x")
        assert not mark(ask(kind, truth, ["one", "two"]), text)["strict"]
    program_in(text)


def test_likelihoods_are_compared_raw_per_token_and_per_byte():
    question = Question("h", "1", "ending", "", 1, "", ("ab", "a longer ending", "é" * 5),
                        opening="It", continuations=(" ab", " a longer ending", " ééééé"))

    scores = [(-2.0, 1), (-6.0, 4), (-5.0, 5)]
    assert mark_likelihood(question, scores) == {"raw": False, "per_token": False, "per_byte": True}
    truth = Question(**vars(question) | {"truth": 2})
    assert mark_likelihood(truth, scores) == {"raw": False, "per_token": True, "per_byte": False}
    for wrong in ([(math.nan, 1)] * 3, [(-1.0, 1)]):
        with pytest.raises(ValueError, match="h 1: log-likelihoods"):
            mark_likelihood(question, wrong)
    assert mark_likelihood(question, [(-math.inf, 0)] * 3)["raw"] is False


@pytest.mark.parametrize("answer, strict, lenient, declined", [
    ("Jóhanna Holm", True, True, False), ("johanna  holm.", True, True, False),
    ("The Johanna Holm!", True, True, False), ("It was Johanna Holm, I think.", False, True, False),
    ("Johanna Holmes", False, False, False), ("Holm Johanna", False, False, False),
    ("I don't know.", False, False, True), ("I’m not sure who that was.", False, False, True),
    ("I do not know, perhaps Johanna Holm?", False, True, False), ("", False, False, False)])
def test_a_short_text_is_marked_by_its_words(answer, strict, lenient, declined):
    assert mark(ask("text", "Jóhanna Holm"), answer) == {
        "strict": strict, "lenient": lenient, "declined": declined}


def test_words_keep_decimal_points_and_drop_the_commas_of_thousands():
    assert words("The 200.00, 1,234 and An O'Brien’s") == ["200.00", "1234", "and", "o'brien's"]
    assert not mark(ask("text", "200.00"), "20000")["lenient"]
    assert not mark(ask("text", "150"), "1500")["lenient"]
    assert mark(ask("text", "?!"), "?!")["strict"] and not mark(ask("text", "?!"), "")["strict"]
    assert not contains(["a"], [])


@pytest.mark.parametrize("answer, right", [
    ("yrreb", True), ("It is yrreb.", True), ("Y-R-R-E-B", True), ("y, r, r, e, b", True),
    ("The word backwards: y r r e b", True), ("berry", False), ("yrrebs", False),
    ("y r r e", False)])
def test_letters_may_stand_apart(answer, right):
    assert mark(ask("spelled", "yrreb"), answer) == {"": right}


@pytest.mark.parametrize("answer, right", [
    ("a", True), ("A", True), ('The third letter is "a".', True), ("It is a.", True),
    ("The letter 'b', a consonant.", False), ("apple", False), ("", False)])
def test_a_single_letter_is_found(answer, right):
    assert mark(ask("single", "a"), answer) == {"": right}


# ------------------------------------------------------------------------------------------- calls

CALL = {"name": "geo.area", "required": ["base", "unit"], "properties": {
    "base": {"type": "float"}, "unit": {"type": "string"}, "deep": {"type": "boolean"},
    "at": {"type": "array", "items": {"type": "integer"}}, "who": {"type": "dict"},
    "pair": {"type": "tuple", "items": {"type": "float"}}, "data": {"type": "any"}},
    "values": {"base": [10.0], "unit": ["sq. cm", "cm2"], "deep": ["", True], "at": ["", [1, 2]],
               "who": ["", {"name": ["Mara Holm"], "age": ["", 9]}], "pair": ["", [1.5, -2.0]],
               "data": ["", "rows"]}}
BOTH, LENIENT, NEITHER = (True, True), (False, True), (False, False)


@pytest.mark.parametrize("answer, marks", [
    ("geo.area(base=10.0, unit='cm2')", BOTH), ("[geo.area(base=10, unit='Sq cm')]", BOTH),
    ('{"name": "geo.area", "arguments": {"base": 10, "unit": "cm2"}}', BOTH),
    ('{"name": "geo.area", "arguments": "{\\"base\\": 10, \\"unit\\": \\"cm2\\"}"}', BOTH),
    ('[{"geo.area": {"base": 10.0, "unit": "SQ-CM"}}]', BOTH),
    ("geo.area(base=10, unit='cm2', deep=True, at=[1, 2], pair=(1.5, -2.0))", BOTH),
    ("geo.area(base=10, unit='cm2', who={'name': 'mara holm'}, data=rows)", BOTH),
    ("geo.area(base=10, unit='cm2', who={'name': 'Mara Holm', 'age': 9})", BOTH),
    ("Sure: `geo.area(base=10, unit='cm2')`.", LENIENT), ("geo.area(10, 'cm2')", LENIENT),
    ("```python\ngeo_area(base=10, unit='cm2')\n```", LENIENT),
    ('<tool_call>\n{"name": "geo.area", "arguments": {"base": 10, "unit": "cm2"}}\n</tool_call>',
     LENIENT),
    ("I call geo.area(base=10, unit=')cm2'.strip(')'))", NEITHER),
    ("geo.area(base='10', unit='cm2')", NEITHER), ("geo.area(base=True, unit='cm2')", NEITHER),
    (f"geo.area(base={'9' * 400}, unit='cm2')", NEITHER),
    ("geo.area(base=11, unit='cm2')", NEITHER), ("geo.area(base=10)", NEITHER),
    ("geo.area(base=10, unit='m')", NEITHER), ("geo.area(base=10, unit=2)", NEITHER),
    ("geo.area(base=10, unit='cm2', deep=1)", NEITHER),
    ("geo.area(base=10, unit='cm2', x=1)", NEITHER),
    ("geo.area(base=10, unit='cm2', at=[2, 1])", NEITHER),
    ("geo.area(base=10, unit='cm2', who={'name': 'Mara', 'age': 9})", NEITHER),
    ("geo.area(base=10, unit='cm2', who={'age': 9})", NEITHER),
    ("area(base=10, unit='cm2')", NEITHER), ("geo.area", NEITHER), ("10", NEITHER), ("", NEITHER),
    ("geo.area(base=10, unit='cm2'); geo.area(base=10, unit='cm2')", LENIENT),
    ("[geo.area(base=10, unit='cm2'), geo.area(base=10, unit='cm2')]", NEITHER),
    ("geo.area(**{'base': 10, 'unit': 'cm2'})", NEITHER),
    ("geo.area(base=10, unit='cm2'", NEITHER)])
def test_calls_are_compared_as_the_leaderboard_does(answer, marks):
    assert tuple(mark(ask("call", CALL), answer).values()) == marks


def test_items_have_their_type_only_where_a_list_must_be_given():
    """As published: BFCL lets everything pass for a list that may be left out ("")."""
    whole = {"type": "array", "items": {"type": "integer"}}
    assert fits_value([1, 2], [[1, 2]], whole) and fits_value([1.0, 2.0], [[1, 2], ""], whole)
    assert not fits_value([1.0, 2.0], [[1, 2]], whole) and not fits_value("[1, 2]", [[1, 2]], whole)
    assert fits_value("numbers", ["numbers"], whole)
    assert not fits_value("Numbers", ["numbers"], whole)


@pytest.mark.parametrize("text", [
    "(" * 50_000, "[" * 5_000, "f(" * 3_000, "f(a=" + "-" * 15_000 + "1)", "f(a=9**9**9)", "f(\0)",
    "f(a=" + "9" * 10_000 + ")", "f(a=" + "1+" * 9_000 + "1)", "{" * 15_000, '{"a":' * 3_000,
    "f" * 10**6,
    "f(a='\ud800')", "f(a={[]: 1})", "f(a=lambda: 0)", "f(x for x in y)", "f(a=b)(c)",
    "a.b[0](c=1)"])
def test_what_is_no_call_or_a_monstrous_one_is_only_wrong(text):
    try:
        assert len(calls(text)) == 1
    except ValueError:
        pass
    assert mark(ask("call", CALL), text) == {"strict": False, "lenient": False}


TRUTHS = {"call": CALL, "compared": {"right": 1, "wrong": 2, "larger": True}, "letter": 0,
          "fact": FACT, "facts": [FACT], "number": Fraction(1), "sum": Fraction(1),
          "instructions": [("startend:end_checker", {"end_phrase": "x"})],
          "countdown": {"target": 1, "numbers": [1]}, "json": {"type": "object"}}


def test_nothing_is_ever_evaluated(tmp_path):
    """Neither by the names that evaluate, nor by answers that would leave a file."""
    for module in (formats, call_marks, instructions, marks, exams):
        tree = ast.parse(Path(module.__file__).read_text())
        called = {node.func.id for node in ast.walk(tree)
                  if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
        assert not called & {"eval", "exec", "compile", "__import__", "getattr", "open_code"}
    trace = tmp_path / "trace"
    evil = f"open({str(trace)!r}, 'w')"
    for kind in marks.KINDS.keys() - {"code"}:
        for answer in (evil, f"geo.area(base={evil}, unit='cm2')", f"#### {evil}", f"[{evil}]"):
            mark(ask(kind, TRUTHS.get(kind, "x"), ["a", "b"]), answer)
    assert not trace.exists()


@given(st.text(max_size=60), st.sampled_from(sorted(marks.KINDS.keys() - {"code"})))
@example("#### ", "number")
@example("İ" * 9, "fact")
def test_any_answer_gets_its_marks(answer, kind):
    marks = mark(ask(kind, TRUTHS.get(kind, "x"), ["a", "b"]), answer)
    assert marks and all(type(value) is bool for value in marks.values())
    if "strict" in marks and kind != "number":
        assert marks["lenient"] >= marks["strict"]


# ----------------------------------------------------------------------------------------- figures

def test_figures_have_wilsons_interval():
    """Against the table in Newcombe 1998 (Statistics in Medicine 17, 857), method 3."""
    for k, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605),
                            (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)):
        assert wilson(k, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share_and_mirrors(counts):
    k, n = counts
    low, high = wilson(k, n)
    assert 0 <= low <= k / n + 1e-12 and k / n - 1e-12 <= high <= 1 and low < high
    assert wilson(n - k, n) == pytest.approx((1 - high, 1 - low))


def test_a_summary_names_its_figures_after_exam_and_measure():
    results = [("facts_many", {"": True, "made_up": False}),
               ("facts_many", {"": False, "made_up": True}),
               ("gsm8k", {"strict": False, "lenient": True})]
    figures = summary(results)
    assert list(figures) == ["facts_many", "facts_many_made_up", "gsm8k_lenient", "gsm8k_strict"]
    assert figures["facts_many"]["value"] == 0.5 and figures["facts_many"]["n"] == 2
    assert figures["gsm8k_lenient"] | {"low": 0} == {"value": 1.0, "low": 0, "high": 1.0, "n": 1}
    assert json.loads(json.dumps(figures)) == figures and summary([]) == {}
