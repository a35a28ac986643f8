"""Exams in their published formats: reads their files as questions.

    read("gsm8k/test.jsonl", examples="gsm8k/train.jsonl", shots=8)

A file has a format if its first record has all columns of it, with their types (FORMATS): GSM8K
(arXiv:2110.14168), lines of one's own {"question", "answer"}, SVAMP (2103.07191), MATH (2103.03874)
and AIME, MMLU (2009.03300), MMLU-Pro (2406.01574) and other choices among texts, GPQA (2311.12022),
ARC (1803.05457), HellaSwag (1905.07830), PIQA (1911.11641), WinoGrande (1907.10641), BoolQ
(1905.10044), SciQ (1707.06209), TriviaQA (1705.03551), SimpleQA (2411.04368), MBPP (2108.07732),
HumanEval (2107.03374), the simple categories of the Berkeley function-calling leaderboard (BFCL).
JSON lines, a JSON array or CSV, each also as .gz.

data/exams/marks.py marks the answers; data/pocket/exams.py asks about the pocket world.
"""

import csv
import gzip
import io
import json
import re
import zlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from reprlib import repr as short

from csrc.files import ChatError, open_input, unique
from data.chat.records import Format, decoded, listed, present, recognize, records
from data.exams.calls import calls, fits, worked_call
from data.exams.marks import as_number, boxed
from data.exams.questions import Question

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
    path = Path(path)
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
        before = read_file(Path(examples))
        if before[0].exam != exam:
            raise ChatError(f"{examples}: examples of {before[0].exam} for an exam of {exam}")
    elif exam == "mmlu" and dev.exists():
        before = questions if part == "dev" else read_file(dev)
    elif exam == "mbpp":
        before = [q for q in questions if q.id in MBPP_EXAMPLES]
        questions = [q for q in questions if q not in before] or questions
    return [replace(question, shots=tuple(q for q in before if q.prompt != question.prompt)[:shots])
            for question in questions]


# ------------------------------------------------------------------------------------------- files

class Row:
    """A record of a file; what is wrong with it is a ChatError that says where it stands.

    file    its Path
    line    of the file
    number  its place among the records, from 1
    """

    def __init__(self, fields, file, line, number):
        self.fields, self.file, self.line, self.number = fields, file, line, number

    def wrong(self, what):
        """Return the ChatError that says what is wrong with it."""
        return ChatError(f"{self.file}:{self.line}: {what}")

    def of(self, fields):
        """Return the Row of an object inside it."""
        return Row(fields, self.file, self.line, self.number)

    def get(self, key, *types):
        """Return the value of a column, which must be of one of these types."""
        fault = Format("", {key: types}, None).misfit(self.fields)
        if fault:
            raise self.wrong(fault)
        return self.fields[key]

    def text(self, key, empty=False):
        """Return a text of a column."""
        value = self.get(key, str)
        if not value.strip() and not empty:
            raise self.wrong(f'"{key}" is empty')
        return value

    def texts(self, key, least=0):
        """Return a list of `least` or more texts."""
        values = self.get(key, list)
        if len(values) < least or not all(isinstance(v, str) and v.strip() for v in values):
            raise self.wrong(f'"{key}" is {short(values)}, but must hold {least or "some"} or more '
                             f'texts')
        return values

    def index(self, label, labels):
        """Return the place of a label among others."""
        if label not in labels:
            raise self.wrong(f"the answer is {short(label)}, but the choices are {listed(labels)}")
        return labels.index(label)

    def stem(self):
        """The name of its file without its endings: what an exam without a name is called."""
        return self.file.name.partition(".")[0]


def read_file(file) -> list[Question]:
    """Return the questions of a file, without examples."""
    form, questions, beside = None, [], {}
    for number, (line, fields) in enumerate(
            csv_rows(file) if ".csv" in file.suffixes else json_rows(file), 1):
        try:
            fields = present(fields)
            if form is None:
                form = recognize(fields, FORMATS)
                beside = {"answers": bfcl_answers(file)} if form.read is bfcl else {}
        except ChatError as error:
            raise ChatError(f"{file}:{line}: {error}") from error
        questions.append(form.read(Row(fields, file, line, number), **beside))
    if not questions:
        raise ChatError(f"{file}: empty, there is no question in it")
    return questions


def load(file) -> str:
    """Return the text of a file, plain or .gz."""
    with open_input(file) as stream:
        return decoded(file, stream.read(LARGEST + 1), 1)


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
    header = None
    with open_input(file) as stream:
        lines = csv.reader(io.TextIOWrapper(stream, "utf-8-sig", newline=""), strict=True)
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
        except UnicodeDecodeError as error:
            raise ChatError(f"{file}:{lines.line_num + 1}: not UTF-8 ({error.reason})") from error
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ChatError(f"{file}: broken gzip data ({error})") from error


# ------------------------------------------------------------------------ Questions with choices

def lettered(question, choices):
    """A question with its choices on lines of their own: "A. iron"."""
    return "\n".join([question, *(f"{letter}. {choice}" for letter, choice
                                  in zip(LETTERS, choices))])


def seen_choices(row, exam, question, choices, truth, system="", id=""):
    """A question whose choices a base model sees; it continues with the letter."""
    asked = lettered(question, choices)
    return Question(exam, id or str(row.number), "letter", f"{asked}\n{BY_LETTER}", truth,
                    LETTERS[truth], tuple(choices), system, f"{asked}\nAnswer:",
                    tuple(f" {letter}" for letter in LETTERS[:len(choices)]))


def hidden_choices(row, exam, question, choices, truth, id="", opening="", continuations=()):
    """A question whose choices a base model does not see; it continues with their texts."""
    return Question(exam, str(id or row.number), "letter",
                    f"{lettered(question, choices)}\n{BY_LETTER}", truth, LETTERS[truth],
                    tuple(choices), opening=opening or f"Question: {question}\nAnswer:",
                    continuations=tuple(continuations) or tuple(f" {text}" for text in choices))


def mmlu(row):
    """MMLU, as its authors' CSV and as its copy on Hugging Face's hub."""
    if "choices" in row.fields:
        subject, choices = row.text("subject"), row.texts("choices", 4)
        labels = list(range(len(choices)))
        answer = row.get("answer", int)
    else:
        subject = re.sub(r"_(dev|val|test)$", "", row.stem())
        choices = [row.text(f"choice{k}") for k in range(4)]
        answer = row.text("answer").strip()
        labels = list("0123" if answer.isdigit() else LETTERS[:4])
    system = (f"The following are multiple choice questions (with answers) about "
              f"{subject.replace('_', ' ')}.")
    return seen_choices(row, "mmlu", row.text("question").strip(), choices,
                        row.index(answer, labels), system, f"{subject}/{row.number}")


BEFORE = ("context", "passage", "article")
ANSWERS = ("answer", "answer_index", "answer_idx", "label", "correct_option")
MMLU_PRO = {"question_id", "question", "options", "answer", "answer_index", "category"}


def options(row):
    """A question with choices in a list, an object or columns A to D, and the number, letter or
    text of the right one: MMLU-Pro, MedQA, RACE, LogiQA, C-Eval and others. What several columns
    say of it must agree."""
    choices, labels = row.fields.get("choices", row.fields.get("options")), LETTERS
    if choices is None:
        choices = {letter: row.fields[letter] for letter in LETTERS if letter in row.fields}
    if isinstance(choices, dict):
        labels, choices = [*choices], [*choices.values()]
    choices = row.of({"choices": choices}).texts("choices", 2)
    if len(choices) > len(LETTERS):
        raise row.wrong(f"{len(choices)} choices, but there must be at most {len(LETTERS)}")
    labels = [*labels][:len(choices)]
    found = set()
    for answer in (row.fields[key] for key in ANSWERS if key in row.fields):
        if isinstance(answer, str) and answer.strip() in (*labels, *choices):
            answer = answer.strip()
            found.add((labels if answer in labels else choices).index(answer))
        else:
            found.add(row.index(str(answer).strip(), [str(k) for k in range(len(choices))]))
    if len(found) != 1:
        raise row.wrong(f"its columns name {len(found)} different right answers")
    before = [row.text(key).strip() for key in BEFORE if key in row.fields]
    question = row.text("question" if "question" in row.fields else "query").strip()
    return seen_choices(row, "mmlu_pro" if MMLU_PRO <= row.fields.keys() else row.stem(),
                        "\n".join([*before, question]), choices, found.pop())


def arc(row):
    """AI2's lines, where the stem stands with the choices, and Hugging Face's. With other columns,
    as CommonsenseQA has, it is called after its file."""
    question, known = row.fields.get("question"), {"id", "question", "choices", "answerKey"}
    if isinstance(question, dict):
        inner = row.of(question)
        stem, pairs = inner.text("stem"), inner.get("choices", list)
        if not all(isinstance(pair, dict) for pair in pairs):
            raise row.wrong(f'"choices" is {short(pairs)}, but must hold objects')
        columns = {key: [pair.get(key) for pair in pairs] for key in ("text", "label")}
        known = known | {"stem"} if question.keys() <= {"stem", "choices"} else set()
    else:
        stem = row.text("question" if "question" in row.fields else "question_stem")
        columns = row.get("choices", dict)
    columns = row.of(columns)
    texts, labels = columns.texts("text", 2), columns.texts("label", 2)
    if len(texts) != len(labels) or len(texts) > len(LETTERS):
        raise row.wrong(f"{len(texts)} choices with {len(labels)} labels, but must be from 2 to "
                        f"{len(LETTERS)}")
    return hidden_choices(row, "arc" if row.fields.keys() <= known else row.stem(), stem, texts,
                          row.index(row.text("answerKey"), labels), row.text("id"))


def arc_instructed(row):
    """ARC as an instruction that has the choices in its text: "Answer1: dry palms Answer2: ..."."""
    text = row.text("instruction")
    text = text[please.end() if (please := re.match(r"Please[^:]*: ", text)) else 0:]
    lines = text.split("\n")
    first = next((k for k, line in enumerate(lines) if line.strip().startswith("Answer1: ")), 0)
    last = next((k for k in range(first + 1, len(lines))
                 if lines[k].strip().startswith("Answer format: ")), first)
    parts = re.split(r"\bAnswer([0-9]): ", "\n".join(lines[first:last]).strip())[1:]
    labels = [f"answer{number}" for number in parts[::2]]
    texts = [text.strip() for text in parts[1::2]]
    if not first or len(texts) < 2 or not all(texts):
        raise row.wrong('"instruction" must hold a question, a line of choices "Answer1: ... '
                        'Answer2: ..." and an answer format')
    return hidden_choices(row, "arc", "\n".join(lines[:first]).rstrip(), texts,
                          row.index(row.text("answer"), labels))


def hellaswag(row):
    """As the LM evaluation harness shows it: the activity, the context, without WikiHow's marks."""
    endings = [unmarked(text) for text in row.texts("endings", 2)]
    label = str(row.get("label", int, str)).strip()
    truth = row.index(label, [str(k) for k in range(len(endings))])
    context = " ".join(part for part in (row.text("ctx_a", True).strip(),
                                         row.text("ctx_b", True).strip().capitalize()) if part)
    opening = unmarked(f"{row.text('activity_label')}: {context}")
    return Question("hellaswag", str(row.fields.get("ind", row.number)), "ending",
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
    truth = row.index(str(row.get("label", int, str)), ["0", "1"])
    return hidden_choices(row, "piqa", row.text("goal").strip(),
                          [row.text("sol1").strip(), row.text("sol2").strip()], truth)


def winogrande(row):
    """A sentence with a blank. A base model continues what stands before the blank: with an option
    and the rest, of which the paper compares the rest alone."""
    before, blank, after = row.text("sentence").strip().partition("_")
    choices = [row.text("option1").strip(), row.text("option2").strip()]
    if not blank or not before.strip():
        raise row.wrong('"sentence" must have a _ after its first word')
    return hidden_choices(row, "winogrande", f"{before}_{after}", choices,
                          row.index(row.text("answer", True).strip(), ["1", "2"]),
                          opening=before.rstrip(),
                          continuations=[f" {choice}{after}" for choice in choices])


def boolq(row):
    """A question about a passage; SuperGLUE has a label for the answer."""
    question = row.text("question").strip().rstrip("?") + "?"
    truth = row.index(row.fields.get("answer", row.fields.get("label")), [0, 1])
    return hidden_choices(row, "boolq", f"{row.text('passage').strip()}\n{question}",
                          ["no", "yes"], truth)


def mixed(exam, question, right, wrong, row):
    """A right answer among wrong ones, at a place that depends on the question alone."""
    question = row.text(question).strip()
    choices = [row.text(key).strip() for key in wrong]
    place = zlib.crc32(question.encode()) % (len(choices) + 1)
    choices.insert(place, row.text(right).strip())
    return seen_choices(row, exam, question, choices, place)


# --------------------------------------------------------------------------- Other questions

def own(row):
    """GSM8K, and other lines of questions and answers: numbers where the answer is one, else
    texts."""
    prompt, worked = row.text("question").strip(), str(row.get("answer", str, int, float)).strip()
    if not worked:
        raise row.wrong('"answer" is empty')
    official = "####" in worked
    truth = as_number(worked.rpartition("####")[2] if official else worked)
    if official and truth is None:
        raise row.wrong(f"no number after #### in {short(worked)}")
    number = truth is not None
    return Question("gsm8k" if official else row.stem(), str(row.number),
                    "number" if number else "text", prompt, truth if number else worked,
                    worked if official or not number else f"#### {worked}")


def svamp(row):
    """A body, a question about it, and a number."""
    body, answer = row.text("Body").strip(), row.get("Answer", int, float)
    body += "" if body.endswith((".", ",", "?", "!")) else "."
    return Question("svamp", row.text("ID"), "number", f"{body} {row.text('Question').strip()}",
                    as_number(f"{answer}"), f"#### {answer:.15g}")


def math(row):
    """MATH, AIME and their like: a number or an expression in a box, called after its file."""
    solution = row.text("solution") if "solution" in row.fields else ""
    answer = str(row.get("answer", str, int, float)).strip() if "answer" in row.fields else \
        boxed(solution)
    if not answer:
        raise row.wrong(f'no answer: "solution" is {short(solution)}, without \\boxed{{}}')
    number = as_number(answer)
    return Question(row.stem(), str(row.number), "math" if number is None else "number",
                    f"{row.text('problem').strip()}\n{BOXED}", answer if number is None else number,
                    solution if boxed(solution) else f"\\boxed{{{answer}}}")


def several(exam, row):
    """A question with several spellings of its answer."""
    answer = row.get("answer", dict, list)
    spellings = [answer.get("value"), *answer.get("aliases", ())] if isinstance(answer, dict) else \
        answer
    texts = row.of({"answer": spellings}).texts("answer", 1)
    return Question(exam or row.stem(), str(row.fields.get("question_id", row.number)), "text",
                    row.text("question").strip(), tuple(dict.fromkeys(texts)), texts[0])


def simpleqa(row):
    """A short answer."""
    answer = row.text("answer").strip()
    return Question("simpleqa", str(row.number), "text", row.text("problem").strip(), answer,
                    answer)


def mbpp(row):
    """Of the full file, or of the sanitized one, whose text is called prompt."""
    task = row.text("text" if "text" in row.fields else "prompt").strip()
    tests, setup = row.texts("test_list", 1), row.fields.get("test_imports") or []
    setup = setup if isinstance(setup, list) else row.get("test_imports", list)
    setup = "\n".join([*map(str, setup), str(row.fields.get("test_setup_code") or "")]).strip()
    asked = f"{task} Your code should pass these tests:\n\n" + "\n".join(tests)
    return Question("mbpp", str(row.get("task_id", int, str)), "code", asked,
                    {"before": "", "after": "\n".join([setup, *tests])},
                    row.text("code").replace("\r\n", "\n").strip(),
                    opening=f"{asked}\n[BEGIN]\n", stop=("\n[DONE]\n\n", "[DONE]"))


def humaneval(row):
    """A function whose body is missing."""
    prompt, name = row.text("prompt"), row.text("entry_point")
    if not name.isidentifier():
        raise row.wrong(f'"entry_point" is {short(name)}, but must be the name of a function')
    return Question("humaneval", row.text("task_id"), "code",
                    f"Complete this function:\n\n```python\n{prompt.rstrip()}\n```",
                    {"before": prompt, "after": f"{row.text('test')}\n\ncheck({name})"},
                    row.text("canonical_solution"), opening=prompt, stop=FUNCTION_ENDS)


CALL = """You can call these functions:

{}

Answer with one call and nothing else, in the form name(parameter=value, ...)."""


def bfcl(row, answers):
    """A call; the truth stands in possible_answer/ beside the file, in a file of the same name."""
    turns, functions = row.get("question", list), row.get("function", list)
    try:
        messages, = ([(message["role"], message["content"].strip()) for message in turn]
                     for turn in turns)
        described = {function["name"]: function for function in functions}
    except (AttributeError, KeyError, TypeError, ValueError):
        messages = []
    if not messages or messages[-1][0] != "user":
        raise row.wrong('"question" and "function" must be one turn of messages, the last a '
                        "user's, and functions: only the categories of one turn and one call "
                        "are read")
    possible = answers.get(row.text("id"))
    if not isinstance(possible, list) or [type(call) for call in possible] != [dict]:
        raise row.wrong(f"{short(row.text('id'))} must have one call in possible_answer/, but has "
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
        raise row.wrong(f"the call {short(possible[0])} fits none of its functions")
    return Question("bfcl", row.text("id"), "call",
                    "\n\n".join(text for role, text in messages if role == "user"),
                    truth, worked,
                    system="\n\n".join([text for role, text in messages if role == "system"]
                                       + [CALL.format(json.dumps(functions, indent=1))]))


def bfcl_answers(file):
    """{id: calls} of the file of possible answers that belongs to a file of BFCL's questions."""
    answers = file.parent / "possible_answer" / file.name
    rows = [Row(fields, answers, line, 0) for line, fields in json_rows(answers)]
    return {row.text("id"): row.get("ground_truth", list) for row in rows}


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
    Format("SimpleQA", {"metadata": (str, dict), "problem": str, "answer": str}, simpleqa,
           strict=True),
    Format("MATH", {"problem": str, "answer": (str, int, float)}, math,
           ("solution", "problem_idx", "problem_type"), strict=True),
    Format("MATH", {"problem": str, "solution": str}, math, strict=True),
]
