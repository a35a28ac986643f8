"""Exams in their published formats: reads their files as questions.

    read("gsm8k/test.jsonl", examples="gsm8k/train.jsonl", shots=8)

A file has a format if its first record has all columns of it, with their types (FORMATS): GSM8K
(arXiv:2110.14168), lines of one's own {"question", "answer"}, SVAMP (2103.07191), MATH (2103.03874)
and AIME, MMLU (2009.03300), MMLU-Pro (2406.01574) and other choices among texts, GPQA (2311.12022),
ARC (1803.05457), HellaSwag (1905.07830), PIQA (1911.11641), WinoGrande (1907.10641), BoolQ
(1905.10044), SciQ (1707.06209), TriviaQA (1705.03551), SimpleQA (2411.04368), MBPP (2108.07732),
HumanEval (2107.03374), IFEval (2311.07911) without the questions whose instructions need a library
to be checked, the simple categories of the Berkeley function-calling leaderboard (BFCL).
JSON lines, a JSON array or CSV, each also as .gz.

data/exams/marks.py marks the answers; data/pocket/exams.py asks about the pocket world.
"""

import csv
import io
import json
import re
import zlib
from collections import Counter
from dataclasses import replace
from functools import partial
from reprlib import repr as short

from csrc.files import ChatError, decoded, open_input, read_most, records, unique
from csrc.remote import local
from data.chat.records import Format, listed, present, recognize
from data.exams import instructions
from data.exams.calls import calls, fits, worked_call
from data.exams.marks import as_number, boxed
from data.exams.questions import Question
from data.tokens.documents import tell

LARGEST = 256 << 20     # bytes of a file, unpacked
LETTERS = "ABCDEFGHIJ"
BY_LETTER = "Answer with the letter."
BOXED = "Put the answer into \\boxed{}."
# MBPP's own examples; a base model's HumanEval answer ends where the function does.
MBPP_EXAMPLES = ("2", "3", "4")
FUNCTION_ENDS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")


def read(path, examples=None, shots=5) -> list[Question]:
    """Return the questions of an exam.

    path      a file; or a folder of MMLU's: of test/, val/ and dev/ in it the first that there is,
              or its own .csv files
    examples  a file of the same format, of which the first `shots` other questions stand before
              each question. Without, MMLU's are those of its dev/ and MBPP's its tasks 2, 3 and 4,
              which then are not asked themselves; the others have none

    OSError or ValueError names the file, and the line, that cannot be read.
    """
    path, examples = local(path), examples and local(examples)
    if any("auxiliary_train" in part for part in path.parts):
        raise ChatError(f"{path}: training data for MMLU and none of its exams, which are in "
                        f"test/, val/ and dev/")
    if path.is_dir():
        part = next((path / name for name in ("test", "val", "dev") if (path / name).is_dir()),
                    path)
        files = sorted(file for file in part.glob("*.csv*") if file.is_file())
        if not files:
            raise ChatError(f"{part}: no .csv files of MMLU in this folder; other exams are files")
        return [question for file in files for question in read(file, examples, shots)]
    questions = read_file(path)
    exam = questions[0].exam
    subject, _, part = path.name.partition(".")[0].rpartition("_")
    dev = path.parent.parent / "dev" / f"{subject}_dev.csv"
    before = []
    if examples is not None:
        before = read_file(examples)
        if before[0].exam != exam:
            raise ChatError(f"{examples}: examples of {before[0].exam} for an exam of {exam}")
        if not before[0].worked:
            raise ChatError(f"{examples}: {exam} has no answers that could be shown as examples")
    elif exam == "mmlu" and dev.exists():
        before = questions if part == "dev" else read_file(dev)
    elif exam == "mbpp":
        before = [q for q in questions if q.id in MBPP_EXAMPLES]
        questions = [q for q in questions if q not in before] or questions
    return [replace(question, shots=tuple(q for q in before if q.prompt != question.prompt)[:shots])
            for question in questions]


# ------------------------------------------------------------------------------------------- files

class Row(dict):
    """A record of a file: its columns. What is wrong with them is a ChatError.

    stem    the name of the file without its endings: what an exam without a name is called
    number  its place among the records, from 1
    """

    stem, number = "", 0

    def value(self, key, *types):
        """Return the value of a column, which must be of one of these types."""
        fault = Format("", {key: types}, None).misfit(self)
        if fault:
            raise ChatError(fault)
        return self[key]

    def text(self, key, empty=False, strip=True):
        """Return a text of a column, without blanks around it."""
        text = self.value(key, str)
        if not text.strip() and not empty:
            raise ChatError(f'"{key}" is empty')
        return text.strip() if strip else text

    def texts(self, key, least):
        """Return a list of `least` or more texts."""
        values = self.value(key, list)
        if len(values) < least or not all(isinstance(v, str) and v.strip() for v in values):
            raise ChatError(f'"{key}" is {short(values)}, but must hold {least} or more texts')
        return values


def index(label, labels):
    """Return the place of a label among others."""
    if label not in labels:
        raise ChatError(f"the answer is {short(label)}, but the choices are {listed(labels)}")
    return labels.index(label)


def read_file(file) -> list[Question]:
    """Return the questions of a file, without examples. Those without a name of their exam are
    called after the file, and those without an id have their number."""
    form, questions, beside, stem = None, [], {}, file.name.partition(".")[0]
    number, left = 0, Counter()
    for number, (line, fields) in enumerate(
            csv_rows(file) if ".csv" in file.suffixes else json_rows(file), 1):
        try:
            row = Row(present(fields))
            row.stem, row.number = stem, number
            if form is None:
                form = recognize(row, FORMATS)
                beside = {"answers": bfcl_answers(file)} if form.read is bfcl else {}
            question = form.read(row, **beside)
            if isinstance(question, str):
                left[question] += 1
                continue
        except ChatError as error:
            raise ChatError(f"{file}:{line}: {error}") from error
        questions.append(replace(question, exam=question.exam or stem,
                                 id=question.id or str(number)))
    if left:
        names = ", ".join(f"{name} ({count})" for name, count in left.most_common())
        tell(f"{file}: {left.total()} of {number} questions are left out, for no program here "
             f"checks {names}")
    if not questions:
        raise ChatError(f"{file}: none of its {number} questions is left" if left else
                        f"{file}: empty, there is no question in it")
    return questions


def load(file) -> str:
    """Return the text of a file, plain or .gz."""
    with open_input(file) as stream:
        return decoded(file, read_most(stream, LARGEST + 1), 1)


def json_rows(file):
    """Yield (line, object) of a file of JSON; keys must not occur twice, and numbers be finite."""
    if file.stat().st_size > LARGEST:
        raise ChatError(f"{file}: larger than {LARGEST >> 20} MB, which no exam is")

    def no_number(name):
        raise ValueError(f"{name} is no number")
    for line, fields in records(file, object_pairs_hook=unique, parse_constant=no_number):
        try:
            json.dumps(fields, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ChatError(f"{file}:{line}: half of a character ({error.reason})") from error
        yield line, fields


def csv_rows(file):
    """Yield (line, {column: text}) of each row after the header, which MMLU's own files do not
    have."""
    lines, header = csv.reader(io.StringIO(load(file), newline=""), strict=True), None
    try:
        for cells in lines:
            if header is None:
                header = MMLU if len(cells) == 6 and cells[-1].strip() in LETTERS[:4] else cells
                if header is cells:
                    continue
            if len(cells) != len(header):
                raise ChatError(f"{file}:{lines.line_num}: {len(cells)} columns, but must have "
                                f"{len(header)}: {listed(header)}")
            yield lines.line_num, dict(zip(header, cells))
    except csv.Error as error:
        raise ChatError(f"{file}:{lines.line_num}: not CSV ({error})") from error


# ------------------------------------------------------------------------ Questions with choices

def lettered(question, choices):
    """A question with its choices on lines of their own: "A. iron"."""
    return "\n".join([question, *(f"{letter}. {choice}" for letter, choice
                                  in zip(LETTERS, choices))])


def seen_choices(exam, question, choices, truth, system="", id=""):
    """A question whose choices a base model sees; it continues with the letter."""
    asked = lettered(question, choices)
    return Question(exam, id, "letter", f"{asked}\n{BY_LETTER}", truth, LETTERS[truth],
                    tuple(choices), system, f"{asked}\nAnswer:",
                    tuple(f" {letter}" for letter in LETTERS[:len(choices)]))


def hidden_choices(exam, question, choices, truth, id="", opening="", continuations=()):
    """A question whose choices a base model does not see; it continues with their texts."""
    return Question(exam, id, "letter", f"{lettered(question, choices)}\n{BY_LETTER}", truth,
                    LETTERS[truth], tuple(choices),
                    opening=opening or f"Question: {question}\nAnswer:",
                    continuations=tuple(continuations) or tuple(f" {text}" for text in choices))


def mmlu(row):
    """MMLU, as its authors' CSV and as its copy on Hugging Face's hub."""
    if "choices" in row:
        subject, choices = row.text("subject"), row.texts("choices", 4)
        answer, labels = row.value("answer", int), list(range(len(choices)))
    else:
        subject = re.sub(r"_(dev|val|test)$", "", row.stem)
        choices = [row.text(f"choice{k}", strip=False) for k in range(4)]
        answer = row.text("answer")
        labels = list("0123" if answer.isdigit() else LETTERS[:4])
    system = (f"The following are multiple choice questions (with answers) about "
              f"{subject.replace('_', ' ')}.")
    return seen_choices("mmlu", row.text("question"), choices, index(answer, labels), system,
                        f"{subject}/{row.number}")


BEFORE = ("context", "passage", "article")
ANSWERS = ("answer", "answer_index", "answer_idx", "label", "correct_option")
MMLU_PRO = {"question_id", "question", "options", "answer", "answer_index", "category"}


def options(row):
    """A question with choices in a list, an object or columns A to D, and the number, letter or
    text of the right one: MMLU-Pro, MedQA, RACE, LogiQA, C-Eval and others. What several columns
    say of it must agree."""
    choices, labels = row.get("choices", row.get("options")), LETTERS
    if choices is None:
        choices = {letter: row[letter] for letter in LETTERS if letter in row}
    if isinstance(choices, dict):
        labels, choices = [*choices], [*choices.values()]
    choices = Row(choices=choices).texts("choices", 2)
    if len(choices) > len(LETTERS):
        raise ChatError(f"{len(choices)} choices, but there must be at most {len(LETTERS)}")
    labels = [*labels][:len(choices)]
    found = set()
    for answer in (row[key] for key in ANSWERS if key in row):
        spelled, said = [labels, choices] * isinstance(answer, str), str(answer).strip()
        found.add(index(said, next((some for some in spelled if said in some),
                                   [str(k) for k in range(len(choices))])))
    if len(found) != 1:
        raise ChatError(f"its columns name {len(found)} different right answers")
    before = [row.text(key) for key in BEFORE if key in row]
    question = row.text("question" if "question" in row else "query")
    return seen_choices("mmlu_pro" if MMLU_PRO <= row.keys() else "",
                        "\n".join([*before, question]), choices, found.pop())


def arc(row):
    """AI2's lines, where the stem stands with the choices, and Hugging Face's. With other columns,
    as CommonsenseQA has, it is called after its file."""
    question, known = row.get("question"), {"id", "question", "choices", "answerKey"}
    if isinstance(question, dict):
        inner = Row(question)
        stem, pairs = inner.text("stem", strip=False), inner.value("choices", list)
        if not all(isinstance(pair, dict) for pair in pairs):
            raise ChatError(f'"choices" is {short(pairs)}, but must hold objects')
        columns = {key: [pair.get(key) for pair in pairs] for key in ("text", "label")}
        known = known | {"stem"} if question.keys() <= {"stem", "choices"} else set()
    else:
        stem = row.text("question" if "question" in row else "question_stem", strip=False)
        columns = row.value("choices", dict)
    texts, labels = (Row(columns).texts(key, 2) for key in ("text", "label"))
    if len(texts) != len(labels) or len(texts) > len(LETTERS):
        raise ChatError(f"{len(texts)} choices with {len(labels)} labels, but must be from 2 to "
                        f"{len(LETTERS)}")
    return hidden_choices("arc" if row.keys() <= known else "", stem, texts,
                          index(row.text("answerKey"), labels), row.text("id"))


def arc_instructed(row):
    """ARC as an instruction that has the choices in its text: "Answer1: dry palms Answer2: ..."."""
    text = row.text("instruction", strip=False)
    text = text[please.end() if (please := re.match(r"Please[^:]*: ", text)) else 0:]
    lines = text.split("\n")
    first = next((k for k, line in enumerate(lines) if line.strip().startswith("Answer1: ")), 0)
    last = next((k for k in range(first + 1, len(lines))
                 if lines[k].strip().startswith("Answer format: ")), first)
    parts = re.split(r"\bAnswer([0-9]): ", "\n".join(lines[first:last]).strip())[1:]
    labels = [f"answer{number}" for number in parts[::2]]
    texts = [text.strip() for text in parts[1::2]]
    if not first or len(texts) < 2 or not all(texts):
        raise ChatError('"instruction" must hold a question, a line of choices "Answer1: ... '
                        'Answer2: ..." and an answer format')
    return hidden_choices("arc", "\n".join(lines[:first]).rstrip(), texts,
                          index(row.text("answer"), labels))


def hellaswag(row):
    """As the LM evaluation harness shows it: the activity, the context, without WikiHow's marks."""
    endings = [unmarked(text) for text in row.texts("endings", 2)]
    truth = index(str(row.value("label", int, str)).strip(), [str(k) for k in range(len(endings))])
    context = " ".join(filter(None, (row.text("ctx_a", True),
                                     row.text("ctx_b", True).capitalize())))
    opening = unmarked(f"{row.text('activity_label', strip=False)}: {context}")
    return Question("hellaswag", str(row.get("ind", "")), "ending",
                    f"How does this go on? {opening}", truth, endings[truth], tuple(endings),
                    opening=opening, continuations=tuple(f" {text}" for text in endings))


def unmarked(text):
    """A text without what stands in brackets on a line, and without double blanks."""
    *parts, rest = text.strip().replace(" [title]", ". ").split("]")
    for k, part in enumerate(parts):
        begin = part.find("[", part.rfind("\n") + 1)
        parts[k] = f"{part}]" if begin < 0 else part[:begin]
    return re.sub(r"  +", " ", "".join(parts) + rest)


def piqa(row):
    """The one of two solutions that reaches a goal."""
    truth = index(str(row.value("label", int, str)), ["0", "1"])
    return hidden_choices("piqa", row.text("goal"), [row.text("sol1"), row.text("sol2")], truth)


def winogrande(row):
    """A sentence with a blank. A base model continues what stands before the blank: with an option
    and the rest, of which the paper compares the rest alone."""
    before, blank, after = row.text("sentence").partition("_")
    choices = [row.text("option1"), row.text("option2")]
    if not blank or not before.strip():
        raise ChatError('"sentence" must have a _ after its first word')
    return hidden_choices("winogrande", f"{before}_{after}", choices,
                          index(row.text("answer", True), ["1", "2"]), opening=before.rstrip(),
                          continuations=[f" {choice}{after}" for choice in choices])


def boolq(row):
    """A question about a passage; SuperGLUE has a label for the answer."""
    question = row.text("question").rstrip("?") + "?"
    truth = index(row.get("answer", row.get("label")), [0, 1])
    return hidden_choices("boolq", f"{row.text('passage')}\n{question}", ["no", "yes"], truth)


def mixed(exam, question, right, wrong, row):
    """A right answer among wrong ones, at a place that depends on the question alone."""
    question, choices = row.text(question), [*map(row.text, wrong)]
    place = zlib.crc32(question.encode()) % (len(choices) + 1)
    choices.insert(place, row.text(right))
    return seen_choices(exam, question, choices, place)


# --------------------------------------------------------------------------- Other questions

def own(row):
    """GSM8K, and other lines of questions and answers: numbers where the answer is one, else
    texts."""
    prompt, worked = row.text("question"), str(row.value("answer", str, int, float)).strip()
    if not worked:
        raise ChatError('"answer" is empty')
    official = "####" in worked
    truth = as_number(worked.rpartition("####")[2] if official else worked)
    if truth is not None:
        return Question("gsm8k" * official, "", "number", prompt, truth,
                        worked if official else f"#### {worked}")
    if official:
        raise ChatError(f"no number after #### in {short(worked)}")
    return Question("", "", "text", prompt, worked, worked)


def svamp(row):
    """A body, a question about it, and a number."""
    body, answer = row.text("Body"), row.value("Answer", int, float)
    body += "" if body.endswith((".", ",", "?", "!")) else "."
    return Question("svamp", row.text("ID"), "number", f"{body} {row.text('Question')}",
                    as_number(f"{answer}"), f"#### {answer:.15g}")


def math(row):
    """MATH, AIME and their like: a number or an expression in a box, called after its file."""
    solution = row.text("solution", strip=False) if "solution" in row else ""
    answer = str(row.value("answer", str, int, float)).strip() if "answer" in row else \
        boxed(solution)
    if not answer:
        raise ChatError(f'no answer: "solution" is {short(solution)}, without \\boxed{{}}')
    number = as_number(answer)
    return Question("", "", "math" if number is None else "number",
                    f"{row.text('problem')}\n{BOXED}", answer if number is None else number,
                    solution if boxed(solution) else f"\\boxed{{{answer}}}")


def several(exam, row):
    """A short answer, which may have several spellings."""
    answer = row.value("answer", str, dict, list)
    if isinstance(answer, dict):
        answer = [answer.get("value"), *answer.get("aliases", ())]
    texts = [text.strip() for text in
             Row(answer=[answer] if isinstance(answer, str) else answer).texts("answer", 1)]
    truth = answer.strip() if isinstance(answer, str) else tuple(dict.fromkeys(texts))
    question = row.text("problem" if "problem" in row else "question")
    return Question(exam, str(row.get("question_id", "")), "text", question, truth, texts[0])


def mbpp(row):
    """Of the full file, or of the sanitized one, whose text is called prompt."""
    task = row.text("text" if "text" in row else "prompt")
    tests, setup = row.texts("test_list", 1), row.get("test_imports") or []
    setup = setup if isinstance(setup, list) else row.value("test_imports", list)
    setup = "\n".join([*map(str, setup), str(row.get("test_setup_code") or "")]).strip()
    asked = f"{task} Your code should pass these tests:\n\n" + "\n".join(tests)
    return Question("mbpp", str(row.value("task_id", int, str)), "code", asked,
                    {"before": "", "after": "\n".join([setup, *tests])},
                    row.text("code").replace("\r\n", "\n"),
                    opening=f"{asked}\n[BEGIN]\n", stop=("\n[DONE]\n\n", "[DONE]"))


def humaneval(row):
    """A function whose body is missing."""
    prompt, test, body = (row.text(key, strip=False) for key in
                          ("prompt", "test", "canonical_solution"))
    name = row.text("entry_point")
    if not name.isidentifier():
        raise ChatError(f'"entry_point" is {short(name)}, but must be the name of a function')
    return Question("humaneval", row.text("task_id"), "code",
                    f"Complete this function:\n\n```python\n{prompt.rstrip()}\n```",
                    {"before": prompt, "after": f"{test}\n\ncheck({name})"}, body,
                    opening=prompt, stop=FUNCTION_ENDS)


def ifeval(row):
    """Instructions about the form of an answer; or the name of the first that cannot be checked."""
    truth = instructions.read(row.texts("instruction_id_list", 1), row.value("kwargs", list))
    prompt = row.text("prompt")
    return next((name for name, _ in truth if name not in instructions.CHECKS), None) or Question(
        "ifeval", str(row.value("key", int, str)), "instructions", prompt, truth, "",
        opening=f"{prompt}\n", stop=())


CALL = """You can call these functions:

{}

Answer with one call and nothing else, in the form name(parameter=value, ...)."""


def bfcl(row, answers):
    """A call; the truth stands in possible_answer/ beside the file, in a file of the same name."""
    turns, functions = row.value("question", list), row.value("function", list)
    try:
        messages, = ([(message["role"], message["content"].strip()) for message in turn]
                     for turn in turns)
        described = {function["name"]: function for function in functions}
    except (AttributeError, KeyError, TypeError, ValueError):
        messages = []
    if not messages or messages[-1][0] != "user":
        raise ChatError('"question" and "function" must be one turn of messages, the last a '
                        "user's, and functions: only the categories of one turn and one call "
                        "are read")
    possible = answers.get(row.text("id"))
    if not isinstance(possible, list) or [type(call) for call in possible] != [dict]:
        raise ChatError(f"{short(row.text('id'))} must have one call in possible_answer/, but has "
                        f"{short(possible)}")
    try:
        (name, values), = possible[0].items()
        schema = described[name]["parameters"]
        truth = {"name": name, "properties": schema["properties"], "required": schema["required"],
                 "values": values}
        worked = worked_call(name, values, schema["required"])
        fitting = fits(truth, *calls(worked)[0]) and all(
            isinstance(about["type"], str) and isinstance(about.get("items", {}), dict)
            for about in schema["properties"].values())
    except (AttributeError, KeyError, TypeError, IndexError, ValueError):
        fitting = False
    if not fitting:
        raise ChatError(f"the call {short(possible[0])} fits none of its functions")
    return Question("bfcl", row.text("id"), "call",
                    "\n\n".join(text for role, text in messages if role == "user"),
                    truth, worked,
                    system="\n\n".join([text for role, text in messages if role == "system"]
                                       + [CALL.format(json.dumps(functions, indent=1))]))


def bfcl_answers(file):
    """{id: calls} of the file of possible answers that belongs to a file of BFCL's questions."""
    answers = file.parent / "possible_answer" / file.name
    rows = [Row(present(fields)) for _, fields in json_rows(answers)]
    return {row.text("id"): row.value("ground_truth", list) for row in rows}


SCIQ = ("distractor1", "distractor2", "distractor3")
GPQA = ("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
MMLU = ["question", "choice0", "choice1", "choice2", "choice3", "answer"]
NUMBERED = (int, str)
EXPLAINED = ("explanation", "cot_content", "meta_info", "metamap_phrases")  # not shown to a model
FORMATS = [
    Format("lines of one's own", {"question": str, "answer": (str, int, float)}, own, strict=True),
    Format("HellaSwag", {"endings": list, "ctx_a": str, "ctx_b": str, "activity_label": str,
                         "label": NUMBERED}, hellaswag, None),
    Format("ARC", {"question": (str, dict), "answerKey": str, "id": str}, arc, None),
    Format("OpenBookQA", {"question_stem": str, "choices": dict, "answerKey": str, "id": str}, arc,
           None),
    Format("ARC's instructions", {"instruction": str, "answer": str}, arc_instructed,
           ("input", "output"), strict=True),
    Format("HumanEval", {"entry_point": str, "test": str, "prompt": str, "task_id": str,
                         "canonical_solution": str}, humaneval, None),
    Format("MBPP", {"test_list": list, "task_id": NUMBERED, "code": str}, mbpp, None),
    Format("IFEval", {"instruction_id_list": list, "kwargs": list, "prompt": str, "key": NUMBERED},
           ifeval, None),
    Format("BFCL", {"question": list, "function": list, "id": str}, bfcl, None),
    Format("SVAMP", {"Body": str, "Question": str, "Answer": (int, float), "ID": str}, svamp, None),
    Format("PIQA", {"goal": str, "sol1": str, "sol2": str, "label": NUMBERED}, piqa, None),
    Format("WinoGrande", {"sentence": str, "option1": str, "option2": str, "answer": str},
           winogrande, None),
    *(Format("BoolQ", {"question": str, "passage": str, key: kind}, boolq, ("title",), strict=True)
      for key, kind in (("answer", bool), ("label", int))),
    Format("SciQ", {"question": str, "correct_answer": str, **dict.fromkeys(SCIQ, str)},
           partial(mixed, "sciq", "question", "correct_answer", SCIQ), None),
    Format("GPQA", {"Question": str, "Correct Answer": str, **dict.fromkeys(GPQA, str)},
           partial(mixed, "gpqa", "Question", "Correct Answer", GPQA), None),
    Format("MMLU", dict.fromkeys(MMLU, str), mmlu),
    Format("MMLU", {"question": str, "subject": str, "choices": list, "answer": int}, mmlu,
           strict=True),
    *(Format("choices", {question: str, choices: (list, dict), answer: NUMBERED}, options,
             (*ANSWERS, *BEFORE, *EXPLAINED), strict=True)
      for question in ("question", "query") for choices in ("choices", "options")
      for answer in ANSWERS),
    Format("choices in columns",
           {"question": str, **dict.fromkeys("ABCD", str), "answer": NUMBERED}, options,
           (*LETTERS, *ANSWERS, *BEFORE, *EXPLAINED), strict=True),
    Format("TriviaQA", {"question": str, "answer": dict}, partial(several, "triviaqa"), None),
    Format("several right answers", {"question": str, "answer": list}, partial(several, ""),
           strict=True),
    Format("SimpleQA", {"metadata": (str, dict), "problem": str, "answer": str},
           partial(several, "simpleqa"), strict=True),
    Format("MATH", {"problem": str, "answer": (str, int, float)}, math,
           ("solution", "problem_idx", "problem_type"), strict=True),
    Format("MATH", {"problem": str, "solution": str}, math, strict=True),
]
