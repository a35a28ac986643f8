"""Exams in their published formats: reads their files as questions.

    read("gsm8k/test.jsonl", examples="gsm8k/train.jsonl", shots=8)

A file is recognised by what its first record holds: GSM8K (arXiv:2110.14168), lines {"question",
"answer"}, SVAMP (2103.07191), MMLU (2009.03300), ARC (1803.05457), HellaSwag (1905.07830), MBPP
(2108.07732), HumanEval (2107.03374), SimpleQA (2411.04368), the simple categories of the Berkeley
function-calling leaderboard (BFCL). JSON lines, a JSON array or CSV, each also as .gz.

data/exams_score.py marks the answers; data/exams_world.py asks about the pocket world.
"""

import csv
import gzip
import io
import json
import re
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from reprlib import repr as short

from csrc.files import ChatError, unique
from data.exams.marks import as_number, calls, fits, worked_call

LARGEST = 256 << 20     # bytes of a file, unpacked
LETTERS = "ABCDEFGHIJ"
BY_LETTER = "Answer with the letter."
# MBPP's own examples; a base model's HumanEval answer ends where the function does.
MBPP_EXAMPLES = ("2", "3", "4")
FUNCTION_ENDS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")


@dataclass(frozen=True)
class Question:
    """A question, as a text for a base model and as messages for an assistant.

    exam           what its figures are called after
    id             of the question in its exam
    kind           how it is marked: a key of exams_score.KINDS
    prompt         what the user asks
    truth          what the marking needs to know; of a choice, its index
    worked         an answer that gets all marks, as an example shows it
    choices        the texts to choose among
    system         what stands before everything
    opening        what a base model continues; "": made from the prompt
    continuations  its possible continuations, to compare by their likelihood; () if it must write
    stop           what ends a base model's answer; the first stands between examples
    shots          Questions that stand before it, with their answers
    """

    exam: str
    id: str
    kind: str
    prompt: str
    truth: object
    worked: str
    choices: tuple = ()
    system: str = ""
    opening: str = ""
    continuations: tuple = ()
    stop: tuple = ("\n\n",)
    shots: tuple = ()

    def messages(self) -> list[dict]:
        """The conversation that an assistant goes on with, in OpenAI's form."""
        turns = [("system", self.system)] * bool(self.system)
        for shot in self.shots:
            turns += ("user", shot.prompt), ("assistant", shot.worked)
        return [{"role": role, "content": text} for role, text in [*turns, ("user", self.prompt)]]

    def text(self) -> str:
        """The document that a base model goes on with."""
        return (f"{self.system}\n\n" * bool(self.system)
                + "".join(map(Question.shown, self.shots)) + self.begun())

    def begun(self):
        return self.opening or f"Question: {self.prompt}\nAnswer:"

    def shown(self):
        """The question and its answer, as an example in a text."""
        begun = self.begun()
        answer = (self.continuations[self.truth] if self.continuations else
                  self.worked if begun.endswith("\n") else " " + self.worked)
        return begun + answer + self.stop[0]


STOP = ("\n\n", "\nQuestion:")
ASSISTANT = "A visitor asks, and a guide who knows a lot gives short and true answers."
SHOTS = tuple(Question("", "", "text", prompt, answer, answer) for prompt, answer in (
    ("How many legs does a spider have?", "Eight."), ("What is the opposite of cold?", "Hot."),
    ("Which day comes after Monday?", "Tuesday."), ("What do bees make?", "They make honey.")))


def as_asked(prompt, shots=SHOTS, system=ASSISTANT) -> Question:
    """Return a Question whose text() makes a base model answer `prompt` as an assistant would: a
    document of questions with short answers. It has no truth to be marked by.

    shots   Questions with their answers, such as `read` gives
    system  what the document says that it is
    """
    return Question("", "", "text", " ".join(prompt.split()), "", "", system=system,
                    stop=STOP, shots=tuple(shots))


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
    if examples is not None:
        shown = read_file(Path(examples))
        if shown[0].exam != exam:
            raise ChatError(f"{examples}: examples of {shown[0].exam} for an exam of {exam}")
    elif exam == "mmlu":
        subject, _, part = path.name.partition(".")[0].rpartition("_")
        file = path.parent.parent / "dev" / f"{subject}_dev.csv"
        shown = [] if not file.exists() else questions if part == "dev" else read_file(file)
    else:
        shown = [q for q in questions if exam == "mbpp" and q.id in MBPP_EXAMPLES]
        if len(shown) < len(questions):
            questions = [q for q in questions if q not in shown]
    return [replace(question, shots=tuple(q for q in shown if q.prompt != question.prompt)[:shots])
            for question in questions]


# ------------------------------------------------------------------------------------------- files

class Row:
    """A record of a file; what is wrong with it is a ValueError that says where it stands.

    where   "file:line"
    number  its place in the file, from 1
    """

    def __init__(self, fields, where, number):
        self.fields, self.where, self.number = fields, where, number

    def wrong(self, what):
        return ValueError(f"{self.where}: {what}")

    def get(self, key, *types):
        value = self.fields.get(key)
        if not isinstance(value, types) or isinstance(value, bool):
            raise self.wrong(f'"{key}" is {"missing" if value is None else short(value)}, but must '
                             f'be {" or ".join(NAMES[kind] for kind in types)}')
        return value

    def text(self, key, empty=False):
        value = self.get(key, str)
        if not value.strip() and not empty:
            raise self.wrong(f'"{key}" is empty')
        return value

    def texts(self, key, least=0):
        values = self.get(key, list)
        if len(values) < least or not all(isinstance(v, str) and v.strip() for v in values):
            raise self.wrong(f'"{key}" is {short(values)}, but must hold {least or "some"} or more '
                             f'texts')
        return values

    def index(self, label, labels):
        """The place of a label among others."""
        if label not in labels:
            raise self.wrong(f"the answer is {short(label)}, but the choices are "
                             f"{', '.join(labels)}")
        return labels.index(label)


NAMES = {str: "a text", list: "a list", dict: "an object", int: "a whole number",
         float: "a number"}


def read_file(file) -> list[Question]:
    """Return the questions of a file, without examples."""
    data = load(file)
    rows = csv_rows(file, data) if ".csv" in file.suffixes else json_rows(file, data)
    make, questions = None, []
    for row in rows:
        if make is None:
            make = recognise(row)
            beside = truths(file) if make is bfcl else file
        questions.append(make(row, beside))
    if not questions:
        raise ChatError(f"{file}: empty, there is no question in it")
    return questions


def load(file) -> str:
    """Return the text of a file, plain or .gz."""
    try:
        with (gzip.open if file.suffix == ".gz" else open)(file, "rb") as stream:
            data = stream.read(LARGEST + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ChatError(f"{file}: broken gzip data ({error})") from error
    if len(data) > LARGEST:
        raise ChatError(f"{file}: larger than {LARGEST >> 20} MB, which no exam is")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ChatError(f"{file}:{line}: not UTF-8, byte {error.start} of the file is "
                        f"{data[error.start]:#04x}") from error


def json_rows(file, data):
    """Yield a Row for each line, or for each element of one array."""
    if data.lstrip().startswith("["):
        for number, fields in enumerate(parse(file, data), 1):
            yield json_row(fields, f"{file}: element {number}", number)
    else:
        for number, line in enumerate(data.split("\n"), 1):
            if line.strip():
                yield json_row(parse(f"{file}:{number}", line), f"{file}:{number}", number)


def parse(where, text):
    def no_number(name):
        raise ChatError(f"{name} is no number")
    try:
        value = json.loads(text, object_pairs_hook=unique, parse_constant=no_number)
        json.dumps(value, ensure_ascii=False).encode()      # half of a character cannot be written
        return value
    except (ValueError, RecursionError) as error:
        raise ChatError(f"{where}: not JSON ({error})") from error


def json_row(fields, where, number):
    if not isinstance(fields, dict):
        raise ChatError(f"{where}: {short(fields)}, but a question must be an object")
    return Row(fields, where, number)


def csv_rows(file, data):
    """Yield a Row for each row after the header, which MMLU's own files do not have."""
    lines = csv.reader(io.StringIO(data, newline=""), strict=True)
    header, number = None, 0
    try:
        for line in lines:
            if header is None:
                header = MMLU if len(line) == 6 and line[-1].strip() in LETTERS[:4] else line
                if header is line:
                    continue
            if len(line) != len(header):
                raise ChatError(f"{file}:{lines.line_num}: {len(line)} columns, but must have "
                                f"{len(header)}: {', '.join(header)}")
            number += 1
            yield Row(dict(zip(header, line)), f"{file}:{lines.line_num}", number)
    except csv.Error as error:
        raise ChatError(f"{file}:{lines.line_num}: not CSV ({error})") from error


# ----------------------------------------------------------------------------------------- formats
# Each makes a Question of a Row and its file.

def lettered(question, choices):
    return "\n".join([question, *(f"{letter}. {choice}" for letter, choice
                                  in zip(LETTERS, choices))])


def gsm8k(row, file):
    """Also other lines of questions and answers: numbers where the answer is one, else texts."""
    prompt, worked = row.text("question").strip(), str(row.get("answer", str, int, float)).strip()
    if not worked:
        raise row.wrong('"answer" is empty')
    official = "####" in worked
    truth = as_number(worked.rpartition("####")[2] if official else worked)
    if official and truth is None:
        raise row.wrong(f"no number after #### in {short(worked)}")
    number = truth is not None
    exam = "gsm8k" if official else file.name.partition(".")[0]
    return Question(exam, str(row.number), "number" if number else "text", prompt,
                    truth if number else worked,
                    worked if official or not number else f"#### {worked}")


def svamp(row, file):
    body, answer = row.text("Body").strip(), row.get("Answer", int, float)
    body += "" if body.endswith((".", ",", "?", "!")) else "."
    return Question("svamp", row.text("ID"), "number", f"{body} {row.text('Question').strip()}",
                    as_number(f"{answer}"), f"#### {answer:.15g}")


MMLU = ["question", "choice0", "choice1", "choice2", "choice3", "answer"]


def mmlu(row, file):
    subject = re.sub(r"_(dev|val|test)$", "", file.name.partition(".")[0])
    choices = tuple(row.text(f"choice{k}") for k in range(4))
    answer = row.text("answer").strip()
    truth = row.index(answer, list("0123" if answer.isdigit() else LETTERS[:4]))
    asked = lettered(row.text("question").strip(), choices)
    return Question(
        "mmlu", f"{subject}/{row.number}", "letter", f"{asked}\n{BY_LETTER}", truth,
        LETTERS[truth], choices,
        f"The following are multiple choice questions (with answers) about "
        f"{subject.replace('_', ' ')}.", f"{asked}\nAnswer:",
        tuple(f" {letter}" for letter in LETTERS[:4]))


def choice(exam, id, question, choices, truth):
    """A question whose choices a base model does not see."""
    asked = lettered(question, choices)
    return Question(exam, id, "letter", f"{asked}\n{BY_LETTER}", truth, LETTERS[truth],
                    tuple(choices), opening=f"Question: {question}\nAnswer:",
                    continuations=tuple(f" {text}" for text in choices))


def arc(row, file):
    """AI2's lines, where the stem stands with the choices, and Hugging Face's."""
    question = row.get("question", dict, str)
    if isinstance(question, dict):
        inner = Row(question, row.where, row.number)
        stem, pairs = inner.text("stem"), inner.get("choices", list)
        if not all(isinstance(pair, dict) for pair in pairs):
            raise row.wrong(f'"choices" is {short(pairs)}, but must hold objects')
        columns = {key: [pair.get(key) for pair in pairs] for key in ("text", "label")}
    else:
        stem, columns = row.text("question"), row.get("choices", dict)
    columns = Row(columns, row.where, row.number)
    texts, labels = columns.texts("text", 2), columns.texts("label", 2)
    if len(texts) != len(labels) or len(texts) > len(LETTERS):
        raise row.wrong(f"{len(texts)} choices with {len(labels)} labels, but must be from 2 to "
                        f"{len(LETTERS)}")
    return choice("arc", row.text("id"), stem, texts, row.index(row.text("answerKey"), labels))


INSTRUCTED = re.compile(r"(?:Please[^:]*: )?(.*?)\s*\n\s*(Answer1: .*?)\s*\n\s*Answer format: .*",
                        re.DOTALL)


def arc_instructed(row, file):
    """As an instruction that has the choices in its text: "Answer1: dry palms Answer2: ..."."""
    found = INSTRUCTED.fullmatch(row.text("instruction"))
    parts = re.split(r"\s*\bAnswer([0-9]): ", found[2])[1:] if found else []
    labels, texts = [f"answer{number}" for number in parts[::2]], parts[1::2]
    if len(texts) < 2 or not all(texts):
        raise row.wrong('"instruction" must hold a question, a line of choices "Answer1: ... '
                        'Answer2: ..." and an answer format')
    return choice("arc", str(row.number), found[1], texts, row.index(row.text("answer"), labels))


def hellaswag(row, file):
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
    return re.sub(r"  +", " ", re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". ")))


def mbpp(row, file):
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


def humaneval(row, file):
    prompt, name = row.text("prompt"), row.text("entry_point")
    if not name.isidentifier():
        raise row.wrong(f'"entry_point" is {short(name)}, but must be the name of a function')
    return Question("humaneval", row.text("task_id"), "code",
                    f"Complete this function:\n\n```python\n{prompt.rstrip()}\n```",
                    {"before": prompt, "after": f"{row.text('test')}\n\ncheck({name})"},
                    row.text("canonical_solution"), opening=prompt, stop=FUNCTION_ENDS)


def simpleqa(row, file):
    answer = row.text("answer").strip()
    return Question("simpleqa", str(row.number), "text", row.text("problem").strip(), answer,
                    answer)


CALL = """You can call these functions:

{}

Answer with one call and nothing else, in the form name(parameter=value, ...)."""


def bfcl(row, answers):
    """The truth stands in possible_answer/ beside the file, in a file of the same name."""
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


def truths(file):
    """{id: calls} of the file of possible answers that belongs to a file of BFCL's questions."""
    answers = file.parent / "possible_answer" / file.name
    return {row.text("id"): row.get("ground_truth", list)
            for row in json_rows(answers, load(answers))}


# (what the first record must hold, the format). The first that fits is it.
FORMATS = [({"endings", "ctx_a"}, hellaswag), ({"question", "answerKey"}, arc),
           ({"instruction", "answer"}, arc_instructed), ({"entry_point", "test"}, humaneval),
           ({"test_list", "task_id"}, mbpp), ({"question", "function"}, bfcl),
           ({"Body", "Question", "Answer"}, svamp), ({*MMLU}, mmlu),
           ({"problem", "answer"}, simpleqa), ({"question", "answer"}, gsm8k)]


def recognise(row):
    for keys, make in FORMATS:
        if keys <= row.fields.keys():
            return make
    raise row.wrong(f"no exam known here has records of {short(list(row.fields))}; lines of one's "
                    'own are {"question": ..., "answer": ...}')
