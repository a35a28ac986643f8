"""Exams in their published formats, whole and wrong in many ways; their programs are run."""

import gzip
import json
import re
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import pytest

from data.exams import formats
from data.exams.formats import read
from data.exams.marks import mark

TASKS = ROOT.parent / "shared" / "real" / "tasks"
real = pytest.mark.skipif(not TASKS.exists(), reason=f"{TASKS} is not there")


def lines(*records):
    return "".join(json.dumps(record) + "\n" for record in records)


def run(program, tests):
    """No sandbox: for programs of the tests alone."""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", f"{program}\n\n{tests}\n"],
                          capture_output=True, text=True, timeout=60)
    return done.returncode == 0


# --------------------------------------------------------------------------------------- real files

@real
@pytest.mark.parametrize("file, exam, kind, count", [
    ("gsm8k/train_1500.jsonl", "gsm8k", "number", 1500),
    ("math/svamp.jsonl", "svamp", "number", 1000),
    ("mmlu", "mmlu", "letter", 285), ("arc/arc_challenge_train.json", "arc", "letter", 1119),
    ("mbpp/mbpp_300.jsonl", "mbpp", "code", 297),
    ("simpleqa/simple_qa_500.csv", "simpleqa", "text", 499),
    ("bfcl/BFCL_v4_simple_python.json", "bfcl", "call", 400)])
def test_a_real_exam_is_read_whole_and_its_own_answers_get_all_marks(file, exam, kind, count):
    questions = read(TASKS / file)
    assert len(questions) == count == len({question.id for question in questions})
    assert {(question.exam, question.kind) for question in questions} == {(exam, kind)}
    for question in questions:
        assert question.prompt in question.messages()[-1]["content"]
        if kind != "code":
            marks = mark(question, question.worked)
            marks.pop("declined", None)
            assert all(marks.values()) and marks, question
            assert not any(mark(question, "").values()), question
            assert not any(mark(question, "Some other answer, 123456.5.").values()), question


@real
def test_real_questions_are_what_a_reader_finds_in_the_files():
    gsm8k = read(TASKS / "gsm8k/train_1500.jsonl")
    assert gsm8k[0].prompt.startswith("Natalia sold clips") and gsm8k[0].truth == 72
    assert max(question.truth for question in gsm8k) >= 109_200_000
    svamp = read(TASKS / "math/svamp.jsonl")[0]
    assert svamp.prompt.endswith("into 93 groups. How big is each group of bananas?")
    assert (svamp.id, svamp.truth, svamp.worked) == ("chal-777", 145, "#### 145")
    algebra = read(TASKS / "mmlu")[0]
    assert algebra.id == "abstract_algebra/1" and algebra.worked == "B"
    assert algebra.choices == ("0", "1", "2", "3")
    assert algebra.text().startswith("The following are multiple choice questions (with answers) "
                                     "about abstract algebra.\n\nStatement 1 |")
    assert algebra.text().endswith("A. 0\nB. 1\nC. 2\nD. 3\nAnswer:")
    arc = read(TASKS / "arc/arc_challenge_train.json")
    assert Counter(len(question.choices) for question in arc) == {4: 1117, 3: 1, 5: 1}
    assert arc[0].choices == ("dry palms", "wet palms", "palms covered with oil",
                              "palms covered with lotion") and arc[0].truth == 0
    mbpp = read(TASKS / "mbpp/mbpp_300.jsonl")
    assert mbpp[0].id == "1" and "assert min_cost([[1, 2, 3]" in mbpp[0].prompt
    simpleqa = read(TASKS / "simpleqa/simple_qa_500.csv")[0]
    assert simpleqa.truth == "Michio Sugeno"
    assert mark(simpleqa, "It was Michio Sugeno.") == {
        "strict": False, "lenient": True, "declined": False}
    bfcl = read(TASKS / "bfcl/BFCL_v4_simple_python.json")
    assert bfcl[0].worked == "calculate_triangle_area(base=10, height=5, unit='units')"
    assert '"math.factorial"' in bfcl[1].system and bfcl[1].worked == "math.factorial(number=5)"


@real
def test_examples_never_hold_the_question_itself():
    for question in read(TASKS / "mmlu"):
        assert len(question.shots) in (3, 4)        # moral scenarios has one question twice
        assert question.prompt not in [shot.prompt for shot in question.shots]
        assert {shot.id.split("/")[0] for shot in question.shots} == {question.id.split("/")[0]}
        assert question.text().count("\nAnswer:") == len(question.shots) + 1
    gsm8k = TASKS / "gsm8k/train_1500.jsonl"
    asked = read(gsm8k, examples=gsm8k, shots=3)
    assert all(len(question.shots) == 3 for question in asked)
    assert all(question.id not in [shot.id for shot in question.shots] for question in asked)
    assert [turn["role"] for turn in asked[9].messages()] == ["user", "assistant"] * 3 + ["user"]
    mbpp = read(TASKS / "mbpp/mbpp_300.jsonl")
    assert {tuple(shot.id for shot in question.shots) for question in mbpp} == {("2", "3", "4")}
    assert mbpp[0].text().count("\n[DONE]\n\n") == 3 and mbpp[0].text().endswith("\n[BEGIN]\n")


@real
def test_real_programs_pass_their_tests_and_others_do_not():
    for question in read(TASKS / "mbpp/mbpp_300.jsonl")[5:300:37]:
        assert mark(question, question.worked, run) == {"strict": True, "lenient": True}
        fenced = f"Here it is:\n```python\n{question.worked}\n```\nI hope it helps."
        assert mark(question, fenced, run) == {"strict": False, "lenient": True}
        assert not any(mark(question, "def f(): pass", run).values())


# ------------------------------------------------------------------------- formats without a file

HELLASWAG = {"ind": 24, "activity_label": "Roofing", "ctx_a": "A man is on a roof.", "ctx_b": "he",
             "ctx": "A man is on a roof. he", "split": "val", "split_type": "indomain", "label": 3,
             "endings": ["sings.", "swims [step] away.", "sleeps.", "pulls up tiles."]}
ARC = {"id": "Mercury_1", "answerKey": "C", "question": {"stem": "What is wet?", "choices": [
    {"text": "sand", "label": "A"}, {"text": "stone", "label": "B"},
    {"text": "water", "label": "C"}]}}
ARC_HF = {"id": "Mercury_2", "question": "What is dry?", "answerKey": "1",
          "choices": {"text": ["sand", "water"], "label": ["1", "2"]}}
HUMANEVAL = {"task_id": "HumanEval/0", "entry_point": "double", "test":
             "def check(candidate):\n    assert candidate(2) == 4\n"
             "    assert candidate(-1) == -2\n",
             "prompt": 'import math\n\n\ndef double(x):\n    """ Twice x. """\n',
             "canonical_solution": "    return 2 * x\n"}


def test_hellaswag_shows_the_activity_and_compares_endings(tmp_path):
    (tmp_path / "h.jsonl").write_text(lines(HELLASWAG, HELLASWAG | {"ind": 25, "label": "0"}))
    first, second = read(tmp_path / "h.jsonl")
    assert first.text() == "Roofing: A man is on a roof. He"
    assert first.continuations == (" sings.", " swims away.", " sleeps.", " pulls up tiles.")
    assert (first.truth, second.truth, second.id) == (3, 0, "25")


def test_arc_is_read_as_its_authors_and_as_hugging_face_write_it(tmp_path):
    (tmp_path / "a.jsonl").write_text(lines(ARC, ARC_HF))
    first, second = read(tmp_path / "a.jsonl")
    assert first.prompt == "What is wet?\nA. sand\nB. stone\nC. water\nAnswer with the letter."
    assert first.text() == "Question: What is wet?\nAnswer:" and first.continuations[2] == " water"
    assert (first.worked, second.worked, second.truth) == ("C", "A", 0)
    shown = read(tmp_path / "a.jsonl", examples=tmp_path / "a.jsonl")[1]
    assert shown.text() == ("Question: What is wet?\nAnswer: water\n\n"
                            "Question: What is dry?\nAnswer:")


def test_humaneval_goes_on_with_a_function_or_takes_a_whole_one(tmp_path):
    with gzip.open(tmp_path / "HumanEval.jsonl.gz", "wt") as file:
        file.write(lines(HUMANEVAL))
    question, = read(tmp_path / "HumanEval.jsonl.gz")
    assert question.text() == HUMANEVAL["prompt"]
    both, neither = {"strict": True, "lenient": True}, {"strict": False, "lenient": False}
    assert mark(question, question.worked, run) == both
    assert mark(question, "def double(x):\n    return x + x\n", run) == both
    assert mark(question, "```python\ndef double(x):\n    return x + x\n```", run) == {
        "strict": False, "lenient": True}
    assert mark(question, "    return x ** 2\n", run) == neither
    with pytest.raises(ValueError, match="humaneval HumanEval/0: .* no sandbox"):
        mark(question, "pass")


def test_mmlu_has_its_examples_in_dev_and_never_takes_training_data(tmp_path):
    for part in ("dev", "test", "auxiliary_train"):
        (tmp_path / part).mkdir()
    row = '"What, if anything, is {}?",one,two,three,four,{}\n'
    (tmp_path / "dev/high_school_art_dev.csv").write_text(
        "".join(row.format(f"d{k}", "ABCD"[k % 4]) for k in range(6)))
    (tmp_path / "test/high_school_art_test.csv").write_text(row.format("it", "C"))
    (tmp_path / "auxiliary_train/art.csv").write_text(row.format("x", "C"))
    question, = read(tmp_path)
    assert question.id == "high_school_art/1" and question.worked == "C"
    assert len(question.shots) == 5
    assert question.text().startswith("The following are multiple choice questions (with answers) "
                                      "about high school art.\n\nWhat, if anything, is d0?\nA. one")
    assert "four\nAnswer: A\n\nWhat, if anything, is d1?" in question.text()
    assert read(tmp_path, shots=0)[0].shots == ()
    with pytest.raises(ValueError, match="auxiliary_train.art.csv: training data"):
        read(tmp_path / "auxiliary_train/art.csv")


def test_lines_of_ones_own_are_an_exam_called_after_their_file(tmp_path):
    (tmp_path / "mine.jsonl").write_text(lines({"question": "Half of 3?", "answer": "3/2"},
                                               {"question": "Who?", "answer": "Mara Holm"},
                                               {"question": "Two?", "answer": 2}))
    half, who, two = read(tmp_path / "mine.jsonl")
    assert (half.exam, half.kind, half.truth) == ("mine", "number", Fraction(3, 2))
    assert (who.kind, who.truth, two.truth) == ("text", "Mara Holm", 2)
    assert mark(half, "#### 1.5") == {"strict": True, "lenient": True}


# ------------------------------------------------------ what people reach for on Hugging Face's hub

FOUR = ["iron", "mercury", "tin", "zinc"]
LIQUID = "Which metal is liquid?"
HUB = {     # a record; the exam, the kind, the truth, the choices
    "mmlu": ({"question": LIQUID, "subject": "chemistry", "choices": FOUR, "answer": 1},
             "mmlu", "letter", 1, FOUR),
    "mmlu_pro": ({"question_id": 7, "question": LIQUID, "options": [*FOUR, "lead", "gold"],
                  "answer": "B", "answer_index": 1, "cot_content": "", "category": "chemistry",
                  "src": "x"}, "mmlu_pro", "letter", 1, [*FOUR, "lead", "gold"]),
    "medqa": ({"question": LIQUID, "answer": "mercury", "options": dict(zip("ABCD", FOUR)),
               "meta_info": "step1", "answer_idx": "B", "metamap_phrases": []},
              "medqa", "letter", 1, FOUR),
    "logiqa": ({"context": "Metals.", "query": LIQUID, "options": FOUR, "correct_option": 1},
               "logiqa", "letter", 1, FOUR),
    "race": ({"article": "Metals.", "question": LIQUID, "options": FOUR, "answer": "B",
              "example_id": "high1.txt"}, "race", "letter", 1, FOUR),
    "ceval": ({"id": 0, "question": LIQUID, **dict(zip("ABCD", FOUR)), "answer": "B",
               "explanation": ""}, "ceval", "letter", 1, FOUR),
    "choices": ({"question": LIQUID, "choices": FOUR, "answer": "mercury"}, "choices", "letter", 1,
                FOUR),
    "csqa": ({"id": "x", "question": LIQUID, "question_concept": "metal", "answerKey": "B",
              "choices": {"label": [*"ABCD"], "text": FOUR}}, "csqa", "letter", 1, FOUR),
    "openbookqa": ({"id": "7-1", "question_stem": LIQUID, "answerKey": "B",
                    "choices": {"label": [*"ABCD"], "text": FOUR}},
                   "openbookqa", "letter", 1, FOUR),
    "math500": ({"problem": "x?", "solution": "so \\boxed{\\frac{3}{4}}", "answer": "\\frac{3}{4}",
                 "subject": "Algebra", "level": 1, "unique_id": "a"},
                "math500", "number", Fraction(3, 4), []),
    "algebra": ({"problem": "x?", "level": "Level 5", "type": "Algebra",
                 "solution": "First \\boxed{1}, then \\boxed{x^{2}+1}."},
                "algebra", "math", "x^{2}+1", []),
    "aime": ({"id": 60, "problem": "x?", "answer": "204", "url": "u", "year": "2024"},
             "aime", "number", 204, []),
    "gpqa": ({"Question": LIQUID, "Correct Answer": "mercury", "Incorrect Answer 1": "iron",
              "Incorrect Answer 2": "tin", "Incorrect Answer 3": "zinc", "Subdomain": "c"},
             "gpqa", "letter", 1, FOUR),
    "sciq": ({"question": LIQUID, "correct_answer": "mercury", "distractor1": "iron",
              "distractor2": "tin", "distractor3": "zinc", "support": "s"},
             "sciq", "letter", 1, FOUR),
    "boolq": ({"question": "is it liquid", "passage": "Mercury.", "answer": True}, "boolq",
              "letter", 1, ["no", "yes"]),
    "superglue": ({"question": "is it liquid", "passage": "Iron.", "idx": 0, "label": 0}, "boolq",
                  "letter", 0, ["no", "yes"]),
    "piqa": ({"goal": "Dry it.", "sol1": "In water.", "sol2": "In air.", "label": 1}, "piqa",
             "letter", 1, ["In water.", "In air."]),
    "winogrande": ({"sentence": "Ann met Bo, and _ ran.", "option1": "Ann", "option2": "Bo",
                    "answer": "2"}, "winogrande", "letter", 1, ["Ann", "Bo"]),
    "triviaqa": ({"question": "Who?", "question_id": "tc_1", "answer": {
        "value": "Mara", "aliases": ["Mara Holm", "Mara"]}}, "triviaqa", "text",
        ("Mara", "Mara Holm"), []),
    "nq": ({"question": "Who?", "answer": ["Mara", "Holm"]}, "nq", "text", ("Mara", "Holm"), []),
    "simpleqa": ({"metadata": {"topic": "x"}, "problem": "Who?", "answer": "Mara"}, "simpleqa",
                 "text", "Mara", []),
}


@pytest.mark.parametrize("name", HUB)
def test_exams_of_the_hub_are_read_as_what_they_are(name, tmp_path):
    record, exam, kind, truth, choices = HUB[name]
    (tmp_path / f"{name}.jsonl").write_text(lines(record, record))
    question = read(tmp_path / f"{name}.jsonl")[1]
    assert (question.exam, question.kind, question.truth) == (exam, kind, truth)
    assert [*question.choices] == choices
    marks = mark(question, question.worked)
    marks.pop("declined", None)
    assert marks and all(marks.values())
    assert not any(mark(question, "Something else, 17.5.").values())


def test_a_blank_is_filled_and_a_passage_stands_before_its_question(tmp_path):
    for name, *of in (("winogrande", "Ann met Bo, and", (" Ann ran.", " Bo ran.")), (
            "boolq", "Question: Mercury.\nis it liquid?\nAnswer:", (" no", " yes"))):
        (tmp_path / "a.jsonl").write_text(lines(HUB[name][0]))
        question, = read(tmp_path / "a.jsonl")
        assert [question.text(), question.continuations] == of


@pytest.mark.parametrize("record, says", [
    ({"question": "a", "answer": "b", "passages": ["c"]}, "columns are question, answer, passages; "
      "the nearest format is lines of one's own with question, answer, but it has no column "
     "passages"),
    ({"question": "a", "choices": FOUR}, "but \"answer\" is missing"),
    ({"question": LIQUID, "choices": FOUR, "answer": None}, "but \"answer\" is missing"),
    ({"goal": "a", "sol1": "b", "sol2": "c"}, "the nearest format is PIQA .* \"label\" is missing"),
    (HUB["piqa"][0] | {"label": -1}, "the answer is '-1', but the choices are 0, 1"),
    (HUB["mmlu"][0] | {"answer": 4}, "the answer is 4, but the choices are 0, 1, 2, 3"),
    (HUB["medqa"][0] | {"answer_idx": "C"}, "its columns name 2 different right answers"),
    (HUB["winogrande"][0] | {"answer": ""}, "the answer is '', but"),
    ({"problem": "a", "solution": "without a box"}, "no answer: \"solution\" is"),
    ({"question": "a", "answer": {"value": 7}}, "\"answer\" is"),
    ({"x" * 50_000: 1, "\x1b[31m": 2}, "of no known format")])
def test_what_has_no_format_or_no_answer_is_refused_in_a_sentence(tmp_path, record, says):
    (tmp_path / "e.jsonl").write_text(lines(record))
    with pytest.raises(ValueError, match=f"e.jsonl:1: .*{says}") as error:
        read(tmp_path / "e.jsonl")
    assert len(str(error.value)) < 600 and str(error.value).isprintable()


def test_a_csv_file_cannot_put_its_columns_on_the_terminal(tmp_path):
    (tmp_path / "e.csv").write_text("question,A\x1b[31m,C,answer\nq,a,b\n")
    with pytest.raises(ValueError, match="3 columns, but must have 4") as error:
        read(tmp_path / "e.csv")
    assert str(error.value).isprintable()


def test_hostile_texts_of_100_000_characters_are_read_at_once():
    """Regular expressions that were quadratic or cubic would take an hour."""
    for text in ("[" * 100_000, "[]" * 50_000, "[a " * 30_000 + "]"):
        formats.unmarked(text)
    for instruction in ("Please: q" + " \n" * 50_000, "Answer1: a\n" * 9_000, "Please" * 20_000):
        with pytest.raises(ValueError, match="must hold a question"):
            formats.arc_instructed(formats.Row(instruction=instruction, answer="answer1"))
    assert formats.unmarked("a [b [c] d] [e\nf] g") == "a d] [e\nf] g"


# ------------------------------------------------------------------------------------- wrong input

SIMPLEQA = "metadata,problem,answer\r\n{},Who?,Mara\r\n"


@pytest.mark.parametrize("name, content, says", [
    ("e.jsonl", "", "e.jsonl: empty"), ("e.jsonl", "\n \n", "e.jsonl: empty"),
    ("e.csv", "", "e.csv: empty"), ("e.csv", "metadata,problem,answer\n", "e.csv: empty"),
    ("e.json", "[]", "e.json: empty"), ("e.json", "[1]", "e.json:1: 1 is not an object"),
    ("e.jsonl", '{"question": "a"', "e.jsonl:1: not JSON"),
    ("e.jsonl", lines({"question": "a", "answer": "b"}) + "{", "e.jsonl:2: not JSON"),
    ("e.jsonl", "[" * 100_000, "e.jsonl:1: nested too deeply"),
    ("e.jsonl", '{"a":' * 100_000, "e.jsonl:1: nested too deeply"),
    ("e.jsonl", '{"question": "a", "answer": "\\ud800"}',
     "e.jsonl:1: half of a character .*surrogates"),
    ("e.jsonl", '{"question": "a", "question": "b", "answer": "c"}', "e.jsonl:1: .* occurs twice"),
    ("e.jsonl", '{"question": "a", "answer": NaN}', r"e.jsonl:1: .*NaN is no number"),
    ("e.jsonl", '{"question": "a", "answer": ' + "9" * 5000 + "}", "e.jsonl:1: not JSON"),
    ("e.jsonl", '"text"', "e.jsonl:1: 'text' is not an object"),
    ("e.jsonl", lines({"text": "a page"}), "e.jsonl:1: of no known format: the columns are text; "
     "the nearest format is lines of one's own with question, answer, but \"question\" is missing"),
    ("e.jsonl", lines({"question": "a", "answer": " "}), 'e.jsonl:1: "answer" is empty'),
    ("e.jsonl", lines({"question": 1, "answer": "b"}),
     'e.jsonl:1: .* lines of one.s own .*, but "question" is 1, but must be a text'),
    ("e.jsonl", lines({"question": "a", "answer": "b"}, {"question": "a"}),
     'e.jsonl:2: "answer" is missing'),
    ("e.jsonl", lines({"question": "a", "answer": "so #### many"}),
     "e.jsonl:1: no number after ####"),
    ("e.jsonl", lines(ARC | {"answerKey": "D"}),
     "e.jsonl:1: the answer is 'D', but the choices are A, B, C"),
    ("e.jsonl", lines(ARC | {"question": {"stem": "x", "choices": ["a"]}}),
     'e.jsonl:1: "choices" is'),
    ("e.jsonl", lines(ARC_HF | {"choices": {"text": ["a", "b"], "label": ["1"]}}),
     'e.jsonl:1: "label" is'),
    ("e.jsonl", lines(ARC_HF | {"choices": {"text": ["a", "b", "c"], "label": ["1", "2"]}}),
     "e.jsonl:1: 3 choices with 2 labels"),
    ("e.jsonl", lines(HELLASWAG | {"label": ""}), "e.jsonl:1: the answer is '', but"),
    ("e.jsonl", lines(HELLASWAG | {"label": 4}), "e.jsonl:1: the answer is '4', but"),
    ("e.jsonl", lines(HELLASWAG | {"endings": "abc"}),
     'e.jsonl:1: .* HellaSwag .* "endings" is \'abc\''),
    ("e.jsonl", lines(HUMANEVAL | {"entry_point": "f(); evil"}), "e.jsonl:1: .*name of a function"),
    ("e.jsonl", lines({"instruction": "Choose!", "answer": "answer1"}),
     'e.jsonl:1: "instruction" must'),
    ("e.jsonl", lines({"task_id": 1, "text": "x", "code": "y", "test_list": []}),
     'e.jsonl:1: "test_list"'),
    ("e.csv", "a,b,c,d,E\n", "e.csv: empty"),
    ("e.csv", "q,a,b,c,d,A\nq,a,b,A\n", "e.csv:2: 4 columns"),
    ("e.csv", "q,a,b,c,d,A\nq,a,b,c,d,E\n",
     "e.csv:2: the answer is 'E', but the choices are A, B, C, D"),
    ("e.csv", "q,a,b,,d,A\n", 'e.csv:1: "choice2" is empty'),
    ("e.csv", "name,age\nx,1\n", "e.csv:2: of no known format: the columns are name, age;"),
    ("e.csv", SIMPLEQA + 'x,"open\n', "e.csv:.*: not CSV"),
    ("e.csv", SIMPLEQA + "x," + "y" * 200_000 + ",z\n", "e.csv:.*: not CSV"),
    ("e.jsonl", b'{"question": "a",\n "answer": "\xff"}',
     "e.jsonl:2: not UTF-8 at byte 12 of the line"),
    ("e.jsonl.gz", b"\x1f\x8bnothing", "e.jsonl.gz: broken gzip"),
    ("e.jsonl.gz", b"x", "e.jsonl.gz: broken")])
def test_wrong_input_is_one_sentence_with_file_and_line(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=f"^{re.escape(str(tmp_path))}/{says}") as error:
        read(path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_files_that_are_not_there_too_large_or_of_another_exam(tmp_path, monkeypatch):
    with pytest.raises(OSError, match="none.jsonl"):
        read(tmp_path / "none.jsonl")
    with pytest.raises(ValueError, match="no .csv files of MMLU"):
        read(tmp_path)
    (tmp_path / "a.jsonl").write_text(lines(ARC))
    (tmp_path / "b.jsonl").write_text(lines(HELLASWAG))
    with pytest.raises(ValueError, match="b.jsonl: examples of hellaswag for an exam of arc"):
        read(tmp_path / "a.jsonl", examples=tmp_path / "b.jsonl")
    monkeypatch.setattr(formats, "LARGEST", 100)
    with pytest.raises(ValueError, match="a.jsonl: larger than"):
        read(tmp_path / "a.jsonl")


BFCL = {"id": "simple_0", "question": [[{"role": "user", "content": "Area?"}]], "function": [
    {"name": "area", "parameters": {"type": "dict", "properties": {"a": {"type": "integer"}},
                                    "required": ["a"]}}]}


@pytest.mark.parametrize("record, answer, says", [
    (BFCL, {"id": "simple_1", "ground_truth": []}, ":1: 'simple_0' must have one call"),
    (BFCL, {"id": "simple_0", "ground_truth": [{"f": {}}, {"f": {}}]},
     ":1: 'simple_0' must have one"),
    (BFCL, {"id": "simple_0", "ground_truth": [{"f": {"a": [1]}}]}, ":1: the call .* fits none"),
    (BFCL, {"id": "simple_0", "ground_truth": [{"area": {"a": []}}]}, ":1: the call .* fits none"),
    (BFCL, {"id": "simple_0", "ground_truth": [{"area": {"a": [1]}, "g": {}}]}, ":1: the call "),
    (BFCL, {"id": "simple_0", "ground_truth": [{"area": {"a": 1}}]}, ":1: the call .* fits none"),
    (BFCL | {"question": [[], []]}, {"id": "simple_0", "ground_truth": []}, ':1: "question" and'),
    (BFCL | {"question": [["x"]]}, {"id": "simple_0", "ground_truth": []}, ':1: "question" and')])
def test_calls_without_their_answers_are_refused(tmp_path, record, answer, says):
    (tmp_path / "possible_answer").mkdir()
    (tmp_path / "b.json").write_text(lines(record))
    with pytest.raises(OSError, match="possible_answer/b.json"):
        read(tmp_path / "b.json")
    (tmp_path / "possible_answer/b.json").write_text(lines(answer))
    with pytest.raises(ValueError, match=f"b.json{says}"):
        read(tmp_path / "b.json")
