"""Marks the answers of exams: right or wrong, strictly and leniently, with what chance allows.

`mark(question, answer)` gives {measure: bool}. The figure of an exam is called after the exam and
the measure ("gsm8k_strict"), after the exam alone where the measure is "". Strict is what an exam's
paper prescribes, lenient finds the answer in whatever stands around it; between the two a base
model can move from 2 % to 38 %, so both are told. No answer is ever evaluated here: numbers and
calls are parsed, and programs go to the function that the caller gives, a sandbox.
"""

import bisect
import math
import re
import unicodedata
from fractions import Fraction
from itertools import takewhile

from csrc.files import ChatError
from data.exams.calls import FENCE, mark_call
from data.exams.instructions import mark_instructions
from data.exams.puzzles import mark_countdown, mark_json

LONGEST = 20_000    # characters of an answer about a fact


# ----------------------------------------------------------------------------------------- numbers

DASHES = "-−–‐‑"            # what people write for a minus
SIGN = rf"(?:(?<![\w)\]])[{DASHES}])?"
DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)"
SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
NUMBER = re.compile(rf"{SIGN}(?<![\w.^])[$€£]?{SIGN}"
                    rf"(?:(?:(?P<whole>[0-9]{{1,3}}) )?(?P<top>[0-9]+)/(?P<bottom>[0-9]+)"
                    rf"(?![0-9])(?![0-9.,]*[0-9/])"
                    rf"|(?P<value>(?:{DIGITS}(?:\.[0-9]+)?|\.[0-9]+)(?:e[-+]?[0-9]{{1,2}}\b)?)"
                    rf"(?: ?(?P<scale>{'|'.join(SCALES)})\b)?)",
                    re.IGNORECASE)
# LaTeX's and typesetters' spellings, and what they mean.
SPELLINGS = [(re.compile(pattern), meaning) for pattern, meaning in (
    (r"\{,\}|,\\!", ","), (r"\\([$%])", r"\1"), (r"\\[dt]?frac(?![a-z])", r"\\frac"),
    (r"(?<=[0-9])\\frac", r" \\frac"),                  # 1\frac12
    (r"\\frac *(?:\{ ?([0-9]+) ?\}|([0-9])) *(?:\{ ?([0-9]+) ?\}|([0-9]))", r"\1\2/\3\4"),
    (r"(?<=[0-9])(?:\\[,;: ]|[\u00a0\u2009\u202f'’])(?=[0-9]{3}(?![0-9]))", ""),   # 12\,500
    (r"(?<=[0-9]) ?(?:×|\\times|\\cdot|\*) ?10\^\{?([-−]?[0-9]{1,2})\}?",        # 2×10^3
     lambda match: f"e{match[1].replace('−', '-')}"),
    ("[¼-¾⅐-⅞]", lambda match: " " + unicodedata.normalize("NFKC", match[0])), ("⁄", "/"),
    (rf"(?:(?<![0-9)] )\b(?:negative|minus) |\{{[{DASHES}]\}})(?=[$€£]?[0-9.])", "-"))]
ANNOUNCED = re.compile(r"\\boxed\{|\banswer(?: is|:|\W{0,9}=)|####", re.IGNORECASE)
SMALL = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
fifteen sixteen seventeen eighteen nineteen twenty""".split()
SMALL_WORD = re.compile(rf"\b(?:{'|'.join(SMALL)})\b", re.IGNORECASE)


def plainly(text) -> str:
    """A text with its numbers as they are typed: 12{,}500, \\frac34, negative 8."""
    for pattern, meaning in SPELLINGS:
        text = pattern.sub(meaning, text)
    return text


def numbers(text) -> list[Fraction]:
    """Return the numbers in a text: 1,234.50, -3, $5, 3/4, 1 1/2, 2e3, 1.2 million; not those in
    words (H2O)."""
    found = []
    for match in NUMBER.finditer(plainly(text)):
        whole, top, bottom, value, scale = match.group("whole", "top", "bottom", "value", "scale")
        if sum(map(len, filter(None, match.groups()))) > 100 or bottom and not int(bottom):
            continue
        size = (Fraction(value.replace(",", "")) if value else
                int(whole or 0) + Fraction(int(top), int(bottom)))
        size *= SCALES[scale.lower()] if scale else 1
        found.append(-size if re.match(rf"[$€£]?[{DASHES}]", match[0]) else size)
    return found


def as_number(text) -> Fraction | None:
    """Return the value of a text that is one number and perhaps a unit or a full stop."""
    text = plainly(text.strip().strip("$"))
    found = numbers(text) if len(text) < 100 else []
    match = NUMBER.match(text)
    unit = match and re.fullmatch(r"\s*(?:[^\W\d_]+|[%°])?\.?", text[match.end():])
    return found[0] if unit and len(found) == 1 else None


def boxed(text) -> str:
    """Return what stands in the last \\boxed{} of a text, or ""."""
    rest = text.rpartition("\\boxed")[2].lstrip(" ") if "\\boxed" in text else ""
    depth = 0
    for end, c in enumerate(rest):
        depth += (c == "{") - (c == "}")
        if depth <= 0:
            return rest[1:end].strip() if end else c
    return ""


def mark_number(question, answer, run):
    """Strict: the number right after the first ####, as GSM8K has it, or in a box, where the worked
    answer has one. Lenient: see `final`."""
    _, marked, rest = answer.partition("####")
    first = NUMBER.match(plainly(rest).lstrip(" ")) if marked else None
    strict = as_number(boxed(answer)) == question.truth if boxed(question.worked) else \
        bool(first) and numbers(rest)[:1] == [question.truth]
    return {"strict": strict, "lenient": final(answer) == question.truth}


def mark_math(question, answer, run):
    """An expression. Strict: the last box holds it. Lenient: it is what the answer ends with, after
    the last announcement, on a last line or between dollar signs. Blanks, \\left, \\text and dollar
    signs do not count."""
    found = expression(boxed(answer))
    last = ANNOUNCED.split(answer)[-1].strip().split("\n")[-1].rstrip(". ")
    ends = {found, expression(last), expression(last.rpartition("=")[2]),
            *(expression(part) for part in last.split("$")[1::2])}
    truth = expression(question.truth)
    return {"strict": found == truth, "lenient": truth in ends}


def expression(text) -> str:
    """LaTeX without what does not change its meaning."""
    text = re.sub(r"\\(?:left|right|!|,|;|:|displaystyle)(?![a-z])|\\(?=[$%])|[\s$]", "",
                  re.sub(r"\\[dt]frac", r"\\frac", text))
    return re.sub(r"\\(?:text|mbox|mathrm)\{([^{}]*)\}", r"\1", text).rstrip(".")


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
    announced or stands alone, small ones too, or the one choice whose text is named."""
    letters = "ABCDEFGHIJ"[:len(question.choices)]
    text = answer.strip()
    truth = letters[question.truth]
    alone = re.fullmatch(rf"\(?([{letters}])(?:[).:]*|[).:]+\s*(.+))", text, re.DOTALL)
    strict = alone and (alone[2] is None or words(alone[2]) == words(
        question.choices[letters.index(alone[1])])) and alone[1]
    return {"strict": strict == truth,
            "lenient": (strict or letter_named(text, letters, question.choices)) == truth}


def letter_named(text, letters, choices):
    """Return the letter that an answer names, or None."""
    small = letters.lower()
    # Before a word "a" is the article: a small letter must stand at an end.
    announced = re.findall(rf"(?i:\b(?:answer|choice|option)\b(?:\s+(?:is|would be))?)[\s:*(\"']*"
                           rf"(?:([{letters}])(?![\w'])|([{small}])(?=[\s*\"')]*(?:[).,;:!?*]|$)))",
                           text, re.MULTILINE)
    if announced:
        return "".join(announced[-1]).upper()
    alone = re.match(rf"\W*([{letters}{small}])\W*(?:[).:*\n]|$)", text)
    if alone:
        return alone[1].upper()
    # A sentence may begin with the article, or with I, so that these count only in brackets; in a
    # longer one a small letter is a variable.
    inside = re.findall(rf"\(([{letters}{small}])\)|\*\*([{letters}{small}])\b", text)
    alone = re.findall(rf"(?<![\w'])([{letters}{small}])(?![\w'])", text)
    named = ({(a or b).upper() for a, b in inside}
             or {*alone} & {*letters} - {*"AI"}
             or {letter.upper() for letter in alone if letter not in "AIai" and len(text) < 60})
    if len(named) == 1:
        return named.pop()
    said = words(text)
    named = [letter for letter, choice in zip(letters, choices) if contains(said, words(choice))]
    return named[0] if len(named) == 1 else None


def mark_likelihood(question, scores) -> dict:
    """Mark the choice whose continuation is the likeliest: raw, per token, and per byte of the
    choice's text, which is the harness' acc_norm (there per character) for HellaSwag and ARC.

    scores  (sum of log-probabilities in nats, number of tokens) of each continuation
    """
    if len(scores) != len(question.continuations) or any(math.isnan(nats) for nats, _ in scores):
        raise ChatError(f"{question.exam} {question.id}: log-likelihoods {scores} for "
                        f"{len(question.continuations)} continuations")
    sizes = {"raw": [1] * len(scores), "per_token": [max(1, count) for _, count in scores],
             "per_byte": [max(1, len(text.encode())) for text in question.choices]}
    return {measure: question.truth == max(range(len(scores)), key=lambda k: scores[k][0] / size[k])
            for measure, size in sizes.items()}


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
    return bool(wanted) and f" {' '.join(wanted)} " in f" {' '.join(said)} "


def mark_text(question, answer, run):
    """Strict: the same words as the truth, or one of several, and no others (SQuAD's exact match,
    without accents). Lenient: these words in a row. Declined: a sentence that says so, and not the
    truth."""
    truths = [question.truth] if isinstance(question.truth, str) else question.truth
    said = words(answer)
    exact = any(said == words(truth) if words(truth) else answer.strip() == truth.strip()
                for truth in truths)
    named = exact or any(contains(said, words(truth)) for truth in truths)
    return {"strict": exact, "lenient": named, "declined": not named and declines(answer)}


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

# The first line of a program amid prose, and the lines after it that are not indented.
CODE_BEGINS = re.compile(r"(?:def|class|import|from|async) |@")
CODE_LINE = re.compile(r"""
    (?:def|class|import|from|async|if|elif|else|for|while|with|try|except|finally|return|assert)\b
    | [@#)\]}"'\s] | \Z | \w[\w.]*\ ?(?:[-+*/]?=|[\[(])""", re.VERBOSE)


def mark_code(question, answer, run):
    """Whether a program passes its tests. Strict: the answer as it is goes on with what stands
    before it. Lenient: the program in it, see `program_in`.

    run(program, tests)     whether a program passes tests: a sandbox
    """
    if run is None:
        raise ChatError(f"{question.exam} {question.id}: the answer is a program, and there is no "
                        f"sandbox to run it in")
    answer = answer.partition("[DONE]")[0].replace("\r\n", "\n")
    strict = passes(question.truth, answer, run)
    found = program_in(answer)
    return {"strict": strict, "lenient": strict or found != answer
            and passes(question.truth, found, run)}


def program_in(answer) -> str:
    """Return the program of an answer: the first fenced block of Python that defines or imports
    something, or the first of Python, or of no language; without fences what stands from the first
    definition up to a line that is no code; else all of it."""
    blocks = [(language.strip().lower(), code) for language, code in FENCE.findall(answer)]
    ours = [code for language, code in blocks if language[:2] == "py"] or \
        [code for language, code in blocks if not language] or [code for _, code in blocks]
    if ours:
        return next((code for code in ours if re.search("^(?:def|class) ", code, re.M)), ours[0])
    lines = answer.split("\n")
    first = next((k for k, line in enumerate(lines) if CODE_BEGINS.match(line)), None)
    if first is None:
        return answer
    return "\n".join(takewhile(CODE_LINE.match, lines[first:]))


def passes(truth, code, run) -> bool:
    """Whether a program, after what stands before it, passes the tests."""
    before = truth["before"] + "\n" * bool(re.search(r"^(?:def|class|import|from) ", code, re.M))
    return run(before + code, truth["after"])


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
    """A value in its plain form (`clean`), without an article before it."""
    return LEADING.sub("", clean(value), count=1) if LEADING.match(clean(value)) else clean(value)


def mark_facts(question, answer, run):
    """An answer that tells several facts of a thing: each of its sentences is right about one of
    them. truth: a list of what `judge` needs."""
    told = sentences(answer)
    return {"": bool(told) and all(any(judge(fact, sentence) == "right" for fact in question.truth)
                                   for sentence in told)}


def mark_completion(question, answer, run):
    """Whether a base model goes on with the value, before anything else."""
    said, value = (LEADING.sub("", clean(text).lstrip(" \"'“*(")) for text in
                   (answer, question.truth))
    return {"": re.match(rf"{re.escape(value)}(?!\w)", said) is not None}


# --------------------------------------------------------------------------------------- dialogues

REFUSES = re.compile(r"\b(?:will|can|would|could|must) not\b|\b(?:wo|ca|would|could|must)n't\b"
                     r"|\bcannot\b|\bunable\b|\brefuse\b|\bnot able\b")
STORY = 20, 3       # words, and different sentences, that a story has at least


def sentences(text) -> list[str]:
    """Return the sentences of a text."""
    return [one for one in re.split(r"(?<=[.!?])[\"”]?\s+", text.strip()) if one]


def mark_story(question, answer, run):
    """Whether it is long enough for a story and comes to an end, and no sentence stands there
    twice."""
    told = sentences(answer)
    return {"": len(words(answer)) >= STORY[0] and len(told) >= STORY[1]
            and len({*told}) == len(told) and told[-1].rstrip('"”')[-1:] in (".", "!", "?")}


# ----------------------------------------------------------------------------------------- figures

def simple(holds):
    """A function that marks an answer by whether holds(truth, answer)."""
    return lambda question, answer, run: {"": holds(question.truth, answer)}


KINDS = {"number": mark_number, "math": mark_math, "compared": mark_compared,
         "letter": mark_letter, "text": mark_text, "spelled": mark_spelled, "single": mark_single,
         "code": mark_code, "call": mark_call, "fact": mark_fact, "facts": mark_facts,
         "story": mark_story, "completion": mark_completion, "instructions": mark_instructions,
         "countdown": mark_countdown, "json": mark_json,
         # The number that it ends with; words in a row, or one of several such; it does not know,
         # or will not do that.
         "sum": simple(lambda truth, answer: final(answer) == truth),
         "named": simple(lambda truth, answer: contains(words(answer), words(truth))),
         "says": simple(lambda truth, answer: any(contains(words(answer), words(one))
                                                  for one in truth)),
         "declined": simple(lambda truth, answer: declines(answer)),
         "refused": simple(lambda truth, answer: bool(
             REFUSES.search(answer.casefold().replace("’", "'"))))}


# What ends a text in models' vocabularies, and is left where an engine does not stop at it.
ENDED = re.compile(r"<\|(?:endoftext|end_of_text|im_end|eot_id|eom_id|end|return)\|>"
                   r"|<end_of_turn>|<eos>|</s>\s*\Z")


def mark(question, answer, run=None) -> dict[str, bool]:
    """Return {measure: whether the answer has it}. See the functions of KINDS; a question of kind
    "ending" can only be marked by `mark_likelihood`.

    run     runs programs, see `mark_code`
    """
    return KINDS[question.kind](question, ENDED.split(answer, maxsplit=1)[0], run)


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


def wilson(k, n) -> tuple[float, float]:
    """The 95 % interval of a share of which k of n were seen (Wilson 1927)."""
    z = 1.959964                    # standard deviations on both sides
    middle, half = k + z * z / 2, z * math.sqrt(k * (n - k) / n + z * z / 4)
    return max(0.0, (middle - half) / (n + z * z)), min(1.0, (middle + half) / (n + z * z))
