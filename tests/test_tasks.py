"""Tasks to practise: what is drawn, and what an answer to it is worth."""

from collections import Counter

import pytest

from csrc.files import ChatError
from data.exams.marks import mark
from data.exams.questions import Question
from data.stages import tasks


@pytest.mark.parametrize("grade", [1, 2, 3])
@pytest.mark.parametrize("name", tasks.TASKS)
def test_of_every_problem_the_worked_answer_is_right_and_silence_is_not(name, grade):
    drawn = [tasks.draw(f"{name}:{grade}", tasks.dice(f"test {k}")) for k in range(40)]
    assert drawn == [tasks.draw(f"{name}:{grade}", tasks.dice(f"test {k}")) for k in range(40)]
    assert len({problem.prompt for problem in drawn}) > 20
    for problem in drawn:
        assert tasks.score(problem, problem.worked) == 1, problem
        assert tasks.score(problem, "") == 0
        assert tasks.score(problem, "Nobody can tell.") == 0


def test_a_higher_grade_has_larger_numbers():
    sizes = [max(int(n) for k in range(30) for n in
                 tasks.draw(f"sums:{grade}", tasks.dice(k)).prompt.rstrip("?").split()[2::2])
             for grade in (1, 2, 3)]
    assert sizes[0] < 10 <= sizes[1] < 100 <= sizes[2]


def test_a_task_without_a_grade_has_all_three():
    sizes = Counter(len(tasks.draw("countdown", tasks.dice(k)).truth["numbers"]) for k in range(60))
    assert sizes.keys() == {2, 3, 4}


@pytest.mark.parametrize("name", ["wrod", "word:4", "sums:", "sums:1:2"])
def test_a_task_that_is_not_there_is_named_with_the_nearest(name):
    with pytest.raises(ChatError, match="there is no task .*the nearest is '(word|sums)'"):
        tasks.parsed(name)


@pytest.mark.parametrize("answer, right", [
    ("2 * (3 + 4) = 14", True), ("First 3 + 4 = 7. So (3+4)×2", True), ("14", False),
    ("2 * 3 + 2 * 4", False), ("3 + 4 + 7", False), ("(3 + 4 * 2", False), ("2 ** 3 + 4", False),
    ("2 / (3 - 3)", False),
    ("(" * 5000 + "14" + ")" * 5000 + "+", False), ("1" * 5000 + "+2", False)])
def test_a_sum_uses_each_number_once_at_most(answer, right):
    question = Question("", "", "countdown", "", {"target": 14, "numbers": [2, 3, 4]}, "")
    assert mark(question, answer) == {"": right}


SCHEMA = {"type": "object", "required": ["a"], "properties": {
    "a": {"type": "integer", "minimum": 2}, "b": {"type": "array", "items": {"enum": ["x", "y"],
                                                                            "type": "string"}}}}


@pytest.mark.parametrize("answer, strict, lenient", [
    ('{"a": 2}', 1, 1), ('{"a": 3, "b": ["x", "y"]}', 1, 1), ('Here: {"a": 2}. Good?', 0, 1),
    ('```json\n{"a": 2}\n```', 0, 1), ('{"a": 1}', 0, 0), ('{"a": true}', 0, 0),
    ('{"a": NaN}', 0, 0),
    ('{"b": []}', 0, 0), ('{"a": 2, "c": 1}', 0, 0), ('{"a": 2, "b": ["z"]}', 0, 0), ("[2]", 0, 0),
    ('{"a": 2', 0, 0), ("[" * 100000, 0, 0)])
def test_json_is_of_its_schema(answer, strict, lenient):
    found = mark(Question("", "", "json", "", SCHEMA, ""), answer)
    assert found == {"strict": bool(strict), "lenient": bool(lenient)}


def test_a_schema_that_is_not_understood_is_an_error():
    with pytest.raises(ChatError, match="'pattern', which is not known"):
        mark(Question("", "", "json", "", {"type": "string", "pattern": "a"}, ""), '"a"')


def test_the_world_s_pairs_have_a_right_side_and_a_wrong_one():
    for _, pair in zip(range(20), tasks.preferences()):
        assert pair["prompt"] and pair["chosen"] != pair["rejected"]
