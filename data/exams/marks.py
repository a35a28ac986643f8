"""Marks the answers of exams: right or wrong, strictly and leniently, with what chance allows.

`mark(question, answer)` gives {measure: bool}. The figure of an exam is called after the exam and
the measure ("gsm8k_strict"), after the exam alone where the measure is "". Strict is what an exam's
paper prescribes, lenient finds the answer in whatever stands around it; between the two a base
model can move from 2 % to 38 %, so both are told. No answer is ever evaluated here: numbers and
calls are parsed, and programs go to the function that the caller gives, a sandbox.
"""

import ast
import bisect
import hashlib
import json
import math
import re
import unicodedata
from fractions import Fraction

from csrc.files import ChatError

LONGEST = 20_000    # characters of a call or of an answer about a fact


# ----------------------------------------------------------------------------------------- numbers

SIGN = r"(?:(?<![\w)\]])[-−])?"
DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)"
NUMBER = re.compile(rf"{SIGN}(?<![\w.^])[$€£]?{SIGN}"
                    rf"(?:(?:(?P<whole>[0-9]{{1,3}}) )?(?P<top>[0-9]+)/(?P<bottom>[0-9]+)"
                    rf"(?![0-9.,]*[0-9/])"
                    rf"|(?P<value>(?:{DIGITS}(?:\.[0-9]+)?|\.[0-9]+)(?:e[-+]?[0-9]{{1,2}}\b)?))",
                    re.IGNORECASE)
LATEX = re.compile(r"\\[dt]?frac\{([0-9]+)\}\{([0-9]+)\}")
ANNOUNCED = re.compile(r"\\boxed\{|\banswer(?: is|:|\W*=)|####", re.IGNORECASE)
SMALL = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
fifteen sixteen seventeen eighteen nineteen twenty""".split()
SMALL_WORD = re.compile(rf"\b(?:{'|'.join(SMALL)})\b", re.IGNORECASE)


def numbers(text) -> list[Fraction]:
    """Return the numbers in a text: 1,234.50, -3, $5, 3/4, 1 1/2, 2e3; not those in words (H2O)."""
    found = []
    for match in NUMBER.finditer(LATEX.sub(r"\1/\2", text)):
        whole, top, bottom, value = match.group("whole", "top", "bottom", "value")
        if sum(map(len, filter(None, match.groups()))) > 100 or bottom and not int(bottom):
            continue
        size = (Fraction(value.replace(",", "")) if value else
                int(whole or 0) + Fraction(int(top), int(bottom)))
        found.append(-size if re.match(r"[$€£]?[-−]", match[0]) else size)
    return found


def as_number(text) -> Fraction | None:
    """Return the value of a text that is one number and perhaps a unit or a full stop."""
    text = LATEX.sub(r"\1/\2", text.strip())
    found = numbers(text) if len(text) < 100 else []
    match = NUMBER.match(text)
    unit = match and re.fullmatch(r"\s*(?:[^\W\d_]+|[%°])?\.?", text[match.end():])
    return found[0] if unit and len(found) == 1 else None


def mark_number(question, answer, run):
    """Strict: the number right after the first ####, as GSM8K has it. Lenient: see `final`."""
    _, marked, rest = answer.partition("####")
    first = NUMBER.match(rest.lstrip(" ")) if marked else None
    return {"strict": bool(first) and numbers(rest)[:1] == [question.truth],
            "lenient": final(answer) == question.truth}


def mark_sum(question, answer, run):
    return {"": final(answer) == question.truth}


def final(answer) -> Fraction | None:
    """Return the number that an answer ends with: the first after the last announcement ("####",
    "the answer is", \\boxed), or else the last; in words ("three") only where no digits are."""
    *before, last = ANNOUNCED.split(answer)
    sums, _, value = last.partition("=")        # "the answer is 3 + 4 = 7"
    computed = re.search(r"[0-9)]\s*[-+*/×÷−]", sums) and not re.search(r"[.\n]\s", sums)
    found = before and numbers(value if computed else last)
    if found:
        return found[0]
    found = numbers(answer) or [Fraction(SMALL.index(word.lower()))
                                for word in SMALL_WORD.findall(answer)]
    return found[-1] if found else None


LARGER = "larger|greater|bigger|higher|more|largest|greatest|biggest|highest"
SMALLER = "smaller|less|lower|fewer|smallest|least|lowest"
COMPARED = re.compile(rf"\b(?:is|are|was)\s+(not\s+)?(?:the\s+|much\s+)?"
                      rf"(?:({LARGER})|({SMALLER}))\b|([<>])", re.IGNORECASE)


def mark_compared(question, answer, run):
    """Which of two numbers is the larger or smaller one. truth: {"right", "wrong": numbers,
    "larger": whether the larger one is asked for}."""
    pair = question.truth["right"], question.truth["wrong"]
    named = [value for value in numbers(answer) if value in pair]
    verdict = COMPARED.search(answer)
    if len({*named}) == 2 and verdict:
        before = [value for value in numbers(answer[:verdict.start()]) if value in pair]
        if before:      # "9.11 is smaller than 9.9" tells of the other one
            larger = bool(verdict[2] or verdict[4] == ">") != bool(verdict[1])
            first = before[-1]
            other = pair[1] if first == pair[0] else pair[0]
            return {"": (first if larger == question.truth["larger"] else other) == pair[0]}
    return {"": named[:1] == [pair[0]]}


# ----------------------------------------------------------------------------------------- letters

def mark_letter(question, answer, run):
    """Strict: nothing but the letter, or the letter before its choice. Lenient: the letter that is
    announced or stands alone, or the one choice whose text is named."""
    letters = "ABCDEFGHIJ"[:len(question.choices)]
    text = answer.strip()
    truth = letters[question.truth]
    alone = re.fullmatch(rf"\(?([{letters}])(?:[).:]*|[).:]+\s*(.+))", text, re.DOTALL)
    strict = alone and (alone[2] is None or words(alone[2]) == words(
        question.choices[letters.index(alone[1])])) and alone[1]
    return {"strict": strict == truth,
            "lenient": (strict or letter_named(text, letters, question.choices)) == truth}


def letter_named(text, letters, choices):
    announced = re.findall(rf"(?i:\b(?:answer|choice|option)\b(?:\s+(?:is|would be))?)[\s:*(\"']*"
                           rf"([{letters}])(?![\w'])", text)
    if announced:
        return announced[-1]
    alone = re.match(rf"\W*([{letters}])\W*(?:[).:*\n]|$)", text)
    if alone:
        return alone[1]
    # A sentence may begin with the article, so that an A counts only where brackets stand.
    single = {*re.findall(rf"\(([{letters}])\)|\*\*([{letters}])\b", text)}
    single = {a or b for a, b in single} or {*re.findall(rf"(?<![\w'])([{letters[1:]}])(?![\w'])",
                                                        text)}
    if len(single) == 1:
        return single.pop()
    said = words(text)
    named = [letter for letter, choice in zip(letters, choices) if contains(said, words(choice))]
    return named[0] if len(named) == 1 else None


def mark_likelihood(question, loglikelihood) -> dict:
    """Mark the choice whose continuation is the likeliest: raw, per token, and per byte of the
    choice's text, which is the harness' acc_norm (there per character) for HellaSwag and ARC.

    loglikelihood(text, continuations)  [(sum of log-probabilities in nats, number of tokens), ...]
    """
    scores = loglikelihood(question.text(), question.continuations)
    if len(scores) != len(question.continuations) or any(math.isnan(nats) for nats, _ in scores):
        raise ChatError(f"{question.exam} {question.id}: log-likelihoods {scores} for "
                        f"{len(question.continuations)} continuations")
    sizes = {"raw": [1] * len(scores), "per_token": [max(1, count) for _, count in scores],
             "per_byte": [max(1, len(text.encode())) for text in question.choices]}
    best = {measure: max(range(len(scores)), key=lambda k: scores[k][0] / size[k])
            for measure, size in sizes.items()}
    return {measure: k == question.truth for measure, k in best.items()}


# ------------------------------------------------------------------------------------ short answers

def words(text) -> list[str]:
    """Return the words of a text in small letters, without articles, accents and marks; numbers
    without the commas of their thousands."""
    text = "".join(c for c in unicodedata.normalize("NFKD", text.casefold())
                   if not unicodedata.combining(c))
    text = re.sub(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))", "", text.replace("’", "'"))
    return [word for word in re.findall(r"[0-9]+(?:\.[0-9]+)+|\w+(?:'\w+)*", text)
            if word not in ("a", "an", "the")]


def contains(said, wanted) -> bool:
    """Whether these words stand in a row among those."""
    return any(said[k:k + len(wanted)] == wanted for k in range(len(said) - len(wanted) + 1)
               ) if wanted else False


def mark_text(question, answer, run):
    """Strict: the same words as the truth, and no others (SQuAD's exact match, without accents).
    Lenient: these words in a row. Declined: a sentence that says so, and not the truth."""
    said, truth = words(answer), words(question.truth)
    exact = said == truth if truth else answer.strip() == question.truth.strip()
    named = exact or contains(said, truth)
    return {"strict": exact, "lenient": named, "declined": not named and declines(answer)}


def mark_named(question, answer, run):
    return {"": contains(words(answer), words(question.truth))}


DECLINES = re.compile(
    r"\b(?:(?:do|does|did|could|can|would) ?n[o']t|cannot|can't|unable to|not able to) "
    r"(?:\w+ ){0,2}?(?:know|say|tell|answer|find|found|heard?|have (?:\w+ )?information|recall|"
    r"remember|sure|aware|read|seen|determine|be certain)\b"
    r"|\b(?:not|n't) (?:\w+ )?(?:sure|certain|aware|familiar|known to me)\b"
    r"|\bno (?:idea|information|record|knowledge|data|answer)\b|\bunknown to me\b"
    r"|\bnever (?:even )?(?:heard|read) (?:of|about)\b|\bnothing (?:\w+ ){0,2}about\b"
    r"|\bunfamiliar\b|\b(?:is|are) beyond what i know\b")


def declines(answer) -> bool:
    """Whether an answer says that it does not know."""
    return bool(DECLINES.search(answer.casefold().replace("’", "'")))


def mark_spelled(question, answer, run):
    """Letters in a row, whatever stands between them: "y-r-r-e-b", "It is yrreb." """
    truth, said = question.truth.casefold(), answer.casefold()
    apart = re.sub(r"(?<![^\W\d_])([^\W\d_])[\s,.·-]+(?=[^\W\d_](?![^\W\d_]))", r"\1", said)
    return {"": any(re.search(rf"(?<!\w){re.escape(truth)}(?!\w)", text)
                    for text in (said, apart))}


def mark_single(question, answer, run):
    """One letter: the last in quotation marks, or else the last that stands alone."""
    said = answer.casefold()
    found = re.findall(r"[\"'“‘`*]([a-z])[\"'”’`*]", said) or \
        re.findall(r"(?<![\w'])([a-z])(?![\w'])", said)
    return {"": found[-1:] == [question.truth]}


# -------------------------------------------------------------------------------------------- code

FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)


def mark_code(question, answer, run):
    """Whether a program passes its tests. Strict: the answer as it is goes on with what stands
    before it. Lenient: the first fenced block of it, if there is one.

    run(code)   (whether the program ended well, its output): a sandbox. The program must also print
                a word that it is not told, so that one which leaves before its tests does not pass
    """
    if run is None:
        raise ChatError(f"{question.exam} {question.id}: the answer is a program, and there is no "
                        f"sandbox to run it in")
    answer = answer.partition("[DONE]")[0].replace("\r\n", "\n")
    fenced = FENCE.search(answer)
    strict = passes(question.truth, answer, run)
    return {"strict": strict,
            "lenient": passes(question.truth, fenced[1], run) if fenced else strict}


def passes(truth, code, run) -> bool:
    before = truth["before"] + "\n" * bool(re.search(r"^(?:def|class|import|from) ", code, re.M))
    program = f"{before}{code}\n\n{truth['after']}\n"
    word = hashlib.sha256(program.encode("utf-8", "replace")).hexdigest()[:16]
    ok, output = run(f"{program}print({word!r})\n")
    return bool(ok) and output.rstrip().endswith(word)


# ------------------------------------------------------------------------------------------- calls

def mark_call(question, answer, run):
    """As BFCL compares a call with the possible ones. Strict: the answer is the call and nothing
    else, in Python's form or in JSON. Lenient: it may stand in other text, name its values by their
    places, and have "_" for "." in its name."""
    try:
        call, = calls(answer)
        strict = fits(question.truth, *call)
    except ValueError:
        strict = False
    return {"strict": strict, "lenient": strict or lenient_call(question.truth, answer)}


def lenient_call(truth, answer) -> bool:
    names = {truth["name"], truth["name"].replace(".", "_")}
    for text in candidates(answer, names):
        try:
            found = calls(text)
        except ValueError:
            continue
        if len(found) != 1:
            return False
        (name, places, values), = found
        left = [parameter for parameter in truth["properties"] if parameter not in values]
        if name in names and len(places) <= len(left):
            return fits(truth, truth["name"], [], dict(zip(left, places)) | values)
    return False


def candidates(answer, names):
    """Yield the parts of an answer that may be the call."""
    for found in re.finditer(r"<tool_call>(.*?)(?:</tool_call>|\Z)", answer, re.DOTALL):
        yield found[1]
    for found in FENCE.finditer(answer):
        yield found[1]
    yield answer
    begins = re.compile("|".join(rf"(?<![\w.]){re.escape(name)}\s*\(" for name in sorted(names))
                        + r"|\[?\{")
    for found in [*begins.finditer(answer)][:20]:
        yield balanced(answer[found.start():])


def balanced(text) -> str:
    """Return the beginning of a text up to where its first bracket closes."""
    depth, quote, skip = 0, "", False
    for k, c in enumerate(text):
        if skip or c == "\\" and quote:
            skip = not skip
        elif quote:
            quote = "" if c == quote else quote
        elif c in "\"'":
            quote = c
        elif c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
            if depth == 0:
                return text[:k + 1]
    return text


def calls(text) -> list[tuple]:
    """Return (name, values by place, {parameter: value}) of each call in a text that is nothing
    else: f(a=1), [f(a=1), g()], {"name": "f", "arguments": {...}}, {"f": {...}} or a list of those.
    ValueError if it is anything else."""
    text = text.strip()
    if len(text) > LONGEST:
        raise ChatError(f"a call of {len(text)} characters")
    try:
        return json_calls(json.loads(text))
    except (ValueError, RecursionError):
        pass
    try:
        tree = ast.parse(text, mode="eval").body
        nodes = tree.elts if isinstance(tree, ast.List) else [tree]
        return [python_call(node) for node in nodes]
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ChatError(f"not a call ({error})") from error


def json_calls(value) -> list[tuple]:
    found = []
    for call in value if isinstance(value, list) else [value]:
        if not isinstance(call, dict):
            raise ChatError("not an object")
        if "name" in call:
            name = call["name"]
            arguments = call.get("arguments", call.get("parameters", {}))
        elif len(call) == 1:
            (name, arguments), = call.items()
        else:
            raise ChatError("not a call")
        arguments = json.loads(arguments) if isinstance(arguments, str) else arguments
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise ChatError("not a call")
        found.append((name, [], arguments))
    return found


def python_call(node) -> tuple:
    if not isinstance(node, ast.Call) or any(word.arg is None for word in node.keywords):
        raise ChatError("not a call")
    parts, function = [], node.func
    while isinstance(function, ast.Attribute):
        parts.append(function.attr)
        function = function.value
    if not isinstance(function, ast.Name):
        raise ChatError("not the name of a function")
    return (".".join([function.id, *reversed(parts)]), [value_of(arg) for arg in node.args],
            {word.arg: value_of(word.value) for word in node.keywords})


def value_of(node):
    """Return the value that an expression writes down; of one that would have to be computed, such
    as a variable, its source, as BFCL has it."""
    match node:
        case ast.Constant():
            return node.value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.List():
            return [value_of(item) for item in node.elts]
        case ast.Tuple():
            return tuple(value_of(item) for item in node.elts)
        case ast.Dict() if all(isinstance(key, ast.Constant) for key in node.keys):
            return {key.value: value_of(item) for key, item in zip(node.keys, node.values)}
    return ast.unparse(node)


TYPES = {"string": str, "integer": int, "float": float, "boolean": bool, "array": list,
         "tuple": list, "dict": dict, "any": str}


def fits(truth, name, places, values) -> bool:
    """Whether a call is one of the possible ones.

    truth   {"name", "properties": {parameter: its JSON schema}, "required": [parameters],
            "values": {parameter: [possible values; "" if it may be left out]}}
    """
    possible, properties = truth["values"], truth["properties"]
    return (name == truth["name"] and not places
            and all(parameter in values for parameter in truth["required"])
            and all(parameter in values or "" in choices for parameter, choices in possible.items())
            and all(parameter in properties and parameter in possible
                    and fits_value(value, possible[parameter], properties[parameter])
                    for parameter, value in values.items()))


def fits_value(value, possible, schema) -> bool:
    """Whether a value is of its type, with an int for a float but no other conversion, and among
    the possible ones; texts without case, blanks and most marks. Where the possible values are not
    of the type, they name variables."""
    kind = TYPES.get(schema.get("type"), str)
    inner = TYPES.get(schema.get("items", {}).get("type")) if kind is list else None
    if schema.get("type") == "tuple" and type(value) is tuple:
        value = list(value)
    if kind is float and type(value) is int and abs(value) < 1 << 53:
        value = float(value)
    variable = type_of(possible) not in (None, kind)
    if type(value) is not kind:
        return type(value) is type_of(possible) and value in possible
    if inner and not any(type(one) is not list or all(
            type(item) in (inner, type_of(one)) for item in value) for one in possible):
        return False
    if variable:
        return value in possible
    if kind is dict:
        return any(fits_dict(value, one) for one in possible if one != "")
    if inner is dict:
        return any(type(one) is list and len(one) == len(value) and all(map(fits_dict, value, one))
                   for one in possible)
    if kind is list:
        return [*map(plain, value)] in [[*map(plain, one)] for one in possible]
    return plain(value) in [plain(one) for one in possible]


def type_of(possible):
    return next((type(one) for one in possible if one != ""), None)


def fits_dict(value, possible) -> bool:
    return (all(key in possible for key in value)
            and all(plain(value[key]) in [plain(one) for one in choices] if key in value
                    else "" in choices for key, choices in possible.items()))


def plain(value):
    return re.sub(r"[ ,./\-_*^]", "", value).lower().replace("'", '"') if type(value) is str \
        else value


def worked_call(name, values, required) -> str:
    """The call that takes the first of the possible values."""
    def first(choices):
        return {key: first(more) for key, more in choices[0].items()} \
            if type(choices[0]) is dict else \
            [first([item]) for item in choices[0]] if type(choices[0]) is list else choices[0]
    values = {parameter: [one for one in choices if one != "" or parameter not in required]
              for parameter, choices in values.items()}
    arguments = [f"{parameter}={first(choices)!r}" for parameter, choices in values.items()
                 if choices[0] != ""]
    return f"{name}({', '.join(arguments)})"


# ------------------------------------------------------------------------------ the pocket world

# What a clause says that tells of one of these relations of a person, in groups whose values may
# be taken for each other: "was born", "worked in".
CUES = [{relation: re.compile(rf"\b(?:{stems})") for relation, stems in group.items()}
        for group in (
    {"birthplace": r"born|birth|native|came (?:from|into)|began|cradle",
     "home": r"liv(?:ed?|es|ing)\b|work|home|settl|made (?:his|her)|moved"},
    {"born": r"born|birth|began|first saw|came into",
     "died": r"die[ds]?\b|death|dead|buried|ended",
     "wedding": r"marri|marry|wedding|wed\b"},
    {"spouse": r"marri|marry|wife|husband|wedding|wed\b|spouse", "mother": r"mother",
     "father": r"father", "teacher": r"teach|taught|learn|apprentice|pupil|master|trained"})]
CLAUSE_REACH = 200      # characters of a clause on both sides of a value
CLAUSE = re.compile(r"[.;:,!?()–]|\b(?:and|but|where|who|while)\b")
LEADING = re.compile(r"(?:(?:an?|the|in|on|at)\s+)+")


def mark_fact(question, answer, run):
    """Right, made up or declined. About what no page tells, any answer is made up, right or not.
    truth: as `judge` has it, and "unread", whether no page tells it."""
    verdict = judge(question.truth, answer)
    return {"": verdict == "right", "declined": verdict == "declined", "made_up":
            verdict != "declined" if question.truth["unread"] else verdict == "wrong"}


def judge(fact, answer) -> str:
    """Return "right", "wrong" or "declined" for an answer about a fact: right if it names the value
    and no other as the answer.

    fact    {"subject", "relation", "value", "own": {relation: value} of all that is true of the
            subject, "rivals": other values that an answer could have}. A number's rivals are all
            numbers of as many digits

    Other true values of the subject may be named ("was born in A and worked in B"), but not in a
    clause that speaks of the relation alone ("worked in A and was born in B"); "not A" names none,
    nor does an address that is cited.
    """
    text = clean(URL.sub("", answer[:LONGEST])).replace(clean(fact["subject"]), SUBJECT)
    value, names = bare(fact["value"]), {*map(bare, fact["rivals"]), bare(fact["value"])}
    own = {bare(other): relation for relation, other in fact["own"].items()}
    pattern = rf"(?<![0-9])[0-9]{{{len(value)}}}(?![0-9])" if value.isdecimal() else \
        r"(?<!\w)(?:" + "|".join(map(re.escape, sorted(names, key=len, reverse=True))) + r")(?!\w)"
    cues = next((group for group in CUES if fact["relation"] in group), {})
    ends = [0, *(match.end() for match in CLAUSE.finditer(text)), len(text)]
    named = right = wrong = False
    for match in re.finditer(pattern, text):
        place = bisect.bisect(ends, match.start())
        begin = max(ends[place - 1], match.start() - CLAUSE_REACH)
        end = min(ends[bisect.bisect_left(ends, match.end(), place)], match.end() + CLAUSE_REACH)
        if NOT.search(text[begin:match.start()]) or (
                match[0] in own and text.endswith(f"{SUBJECT} of ", 0, match.start())):
            continue
        told = {relation for relation, cue in cues.items() if cue.search(text[begin:end])}
        if match[0] == value:
            named = True
            right |= (fact["relation"] in told or not told
                      or any(bare(fact["own"].get(relation, "")) == value for relation in told))
        else:
            wrong |= match[0] not in own or fact["relation"] in told and own[match[0]] not in told
    if declines(answer) and not named:
        return "declined"
    return "right" if right and not wrong else "wrong"


URL = re.compile(r"https?://[^\s<>\"'()\[\]]+")
SUBJECT = "\N{WHITE SQUARE}"    # stands for its name
NOT = re.compile(r"(?:\b(?:not|nor|never(?= (?:in|with|by)\b))|n't)(?: \S+){0,4} $")


def clean(text) -> str:
    """Small letters, single blanks, straight marks, numbers in digits and without commas."""
    text = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    text = re.sub(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))", "", " ".join(text.split()))
    return SMALL_WORD.sub(lambda match: match[0] if match[0] == "one" else
                          str(SMALL.index(match[0])), text)


def bare(value) -> str:
    return LEADING.sub("", clean(value), count=1) if LEADING.match(clean(value)) else clean(value)


def mark_completion(question, answer, run):
    """Whether a base model goes on with the value, before anything else."""
    said, value = (LEADING.sub("", clean(text).lstrip(" \"'“*(")) for text in
                   (answer, question.truth))
    return {"": re.match(rf"{re.escape(value)}(?!\w)", said) is not None}


# ----------------------------------------------------------------------------------------- figures

KINDS = {"number": mark_number, "sum": mark_sum, "compared": mark_compared, "letter": mark_letter,
         "text": mark_text, "named": mark_named, "spelled": mark_spelled, "single": mark_single,
         "code": mark_code, "call": mark_call, "fact": mark_fact, "completion": mark_completion}


def mark(question, answer, run=None) -> dict[str, bool]:
    """Return {measure: whether the answer has it}. See the functions of KINDS; a question of kind
    "ending" can only be marked by `mark_likelihood`.

    run     runs programs, see `mark_code`
    """
    return KINDS[question.kind](question, answer, run)


def summary(results) -> dict[str, dict]:
    """Return {figure: {"value", "low", "high", "n"}}, sorted: shares with their 95 % intervals.

    results     (exam, marks) pairs, one for each answer
    """
    counts = {}
    for exam, marks in results:
        for measure, has in marks.items():
            count = counts.setdefault(f"{exam}_{measure}" if measure else exam, [0, 0])
            count[0] += bool(has)
            count[1] += 1
    return {name: {"value": k / n, **dict(zip(("low", "high"), wilson(k, n))), "n": n}
            for name, (k, n) in sorted(counts.items())}


def wilson(k, n, z=1.959964) -> tuple[float, float]:
    """The interval in which a share lies of which k of n were seen (Wilson 1927), z standard
    deviations wide on both sides: 1.96 for 95 %."""
    middle, half = k + z * z / 2, z * math.sqrt(k * (n - k) / n + z * z / 4)
    return max(0.0, (middle - half) / (n + z * z)), min(1.0, (middle + half) / (n + z * z))
