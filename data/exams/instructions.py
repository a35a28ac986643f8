"""Marks answers by instructions that a program can check: IFEval (Zhou et al. 2023, 2311.07911).

Each is checked as the authors' program does it, so that figures can be compared, but for the
language of texts in capitals or small letters, which is not looked at. CHECKS has all that need no
library: what counts sentences or words in capitals, or tells languages, is left out.
"""

import json
import re
from reprlib import repr as short

from csrc.files import ChatError
from data.chat.records import Format, present

FENCED = re.compile(r"\A(?:```(?:json|Json|JSON)?)?(.*?)(?:```)?\Z", re.DOTALL)
LESS, LEAST = "less than", "at least"


def enough(count, relation, wanted) -> bool:
    """Whether a count is what was asked for."""
    return count < wanted if relation == LESS else count >= wanted


def occurrences(text, word, border="") -> int:
    """How often a word stands in a text, as letters of any size."""
    return len(re.findall(border + re.escape(word.strip()) + border, text, re.IGNORECASE))


def parts(text, divider) -> list[str]:
    """The parts of a text, of which the first and the last may be empty; none if another one is."""
    found = [part.strip() for part in re.split(divider, text)]
    return [part for part in found if part] if all(found[1:-1]) else []


def paragraph_begins(text, paragraphs, nth, word) -> bool:
    """Whether there are so many paragraphs, and one of them begins with a word."""
    found = text.split("\n\n")
    count = sum(bool(part.strip()) for part in found)
    words = found[nth - 1].split() if 0 < nth <= count else []
    begins = words and re.match(r"'*\"*([^.,?!'\"]*)", words[0])[1].lower()
    return count == paragraphs and begins == word.lower()


def postscript(text, marker) -> bool:
    """Whether there is a postscript."""
    marker = marker.strip().lower()
    pattern = {"p.p.s": r"p\.\s?p\.\s?s", "p.s.": r"p\.\s?s\."}.get(marker, re.escape(marker))
    return bool(re.search(pattern, text.lower()))


def highlights(text, wanted) -> bool:
    """Whether so many parts stand *between* **asterisks**."""
    found = re.findall(r"\*[^\n*]*\*", text) + re.findall(r"\*\*[^\n*]*\*\*", text)
    return sum(bool(part.strip("*").strip()) for part in found) >= wanted


def two_responses(text) -> bool:
    """Whether there are two, and they differ."""
    found = parts(text, r"\*{6}")
    return len(found) == 2 and found[0] != found[1]


def is_json(text) -> bool:
    """Whether a text, or what stands in its fence, is JSON."""
    try:
        json.loads(FENCED.match(text.strip())[1])
    except (ValueError, RecursionError):
        return False
    return True


# An instruction's name: its values' types by their names, and whether a text follows it, given the
# values in the same order.
CHECKS = {
    "keywords:existence": (
        {"keywords": list}, lambda text, words: all(occurrences(text, word) for word in words)),
    "keywords:frequency": (
        {"keyword": str, "frequency": int, "relation": str},
        lambda text, word, wanted, relation: enough(occurrences(text, word), relation, wanted)),
    "keywords:forbidden_words": (
        {"forbidden_words": list},
        lambda text, words: not any(occurrences(text, word, r"\b") for word in words)),
    "keywords:letter_frequency": (
        {"letter": str, "let_frequency": int, "let_relation": str},
        lambda text, letter, wanted, relation: enough(
            text.lower().count(letter.strip().lower()), relation, wanted)),
    "length_constraints:number_words": (
        {"num_words": int, "relation": str},
        lambda text, wanted, relation: enough(len(re.findall(r"\w+", text)), relation, wanted)),
    "length_constraints:number_paragraphs": (
        {"num_paragraphs": int},
        lambda text, wanted: len(parts(text, r"\s?\*\*\*\s?")) == wanted),
    "length_constraints:nth_paragraph_first_word": (
        {"num_paragraphs": int, "nth_paragraph": int, "first_word": str}, paragraph_begins),
    "detectable_content:number_placeholders": (
        {"num_placeholders": int},
        lambda text, wanted: len(re.findall(r"\[[^\n\]]*\]", text)) >= wanted),
    "detectable_content:postscript": ({"postscript_marker": str}, postscript),
    "detectable_format:number_bullet_lists": (
        {"num_bullets": int},
        lambda text, wanted:
            len(re.findall(r"^[^\S\n]*(?:\*[^*]|-)", text, re.MULTILINE)) == wanted),
    "detectable_format:constrained_response": ({}, lambda text: any(
        f"My answer is {answer}." in text for answer in ("yes", "no", "maybe"))),
    "detectable_format:number_highlighted_sections": ({"num_highlights": int}, highlights),
    "detectable_format:multiple_sections": (
        {"section_spliter": str, "num_sections": int},
        lambda text, name, wanted:
            len(re.findall(re.escape(name.strip()) + r"\s?\d", text)) >= wanted),
    "detectable_format:json_format": ({}, is_json),
    "detectable_format:title": ({}, lambda text: any(
        title.strip("<>").strip() for title in re.findall(r"<<[^\n]+>>", text))),
    "combination:two_responses": ({}, two_responses),
    "combination:repeat_prompt": (
        {"prompt_to_repeat": str},
        lambda text, prompt: text.strip().lower().startswith(prompt.strip().lower())),
    "startend:end_checker": (
        {"end_phrase": str},
        lambda text, end: text.strip().strip('"').lower().endswith(end.strip().lower())),
    "startend:quotation": ({}, lambda text:
                           len(text.strip()) > 1 and text.strip()[0] == text.strip()[-1] == '"'),
    "change_case:english_capital": ({}, str.isupper),
    "change_case:english_lowercase": ({}, str.islower),
    "punctuation:no_comma": ({}, lambda text: "," not in text),
}


def read(names, values) -> list:
    """Return [(name, {key: value})] of an IFEval row's two lists; ChatError where a value is
    missing or of another type. Names that CHECKS has not have none."""
    if len(names) != len(values):
        raise ChatError(f'"kwargs" has {len(values)} objects for {len(names)} instructions')
    found = []
    for name, given in zip(names, map(present, values)):
        types, _ = CHECKS.get(name, ({}, None))
        fault = Format("", types, None).misfit(given)
        given = {key: given.get(key) for key in types}
        for key, value in given.items():
            if "relation" in key and value not in (LESS, LEAST):
                fault = fault or f'"{key}" is {short(value)}, but must be {LESS} or {LEAST}'
            if isinstance(value, list) and not all(isinstance(word, str) for word in value):
                fault = fault or f'"{key}" is {short(value)}, but must hold texts'
        if fault:
            raise ChatError(f"{name}: {fault}")
        found.append((name, given))
    return found


def mark_instructions(question, answer, run):
    """Whether all instructions are followed. Strict: by the answer as it is. Lenient: each by the
    answer, or by what is left of it without its first line, its last line, both, or asterisks."""
    lines = answer.split("\n")
    forms = [answer, *("\n".join(some).strip() for some in (lines[1:], lines[:-1], lines[1:-1]))]
    forms += [form.replace("*", "") for form in forms]

    def followed(form, name, values):
        return bool(form.strip()) and bool(CHECKS[name][1](form, *values.values()))
    return {"strict": all(followed(answer, *one) for one in question.truth),
            "lenient": all(any(followed(form, *one) for form in forms) for one in question.truth)}
