"""Marks answers that many texts can be: a sum that makes a number, JSON of a schema. Nothing is
evaluated: both are parsed."""

import ast
import json
import re
from collections import Counter
from fractions import Fraction

from csrc.files import ChatError
from data.exams.calls import FENCE

LONGEST = 200       # characters of a sum
SUM = re.compile(r"[0-9(](?:[0-9+\-*/() ]*[0-9)])?")
SIGNS = str.maketrans("×·÷−–", "**/--")
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int,
         "number": (int, float)}
KEYS = {"type", "properties", "required", "items", "enum", "minimum", "maximum"}


def mark_countdown(question, answer, run):
    """Whether the last sum in an answer makes truth["target"] of truth["numbers"], each used once
    at most, as in the television game."""
    sums = [text for text in SUM.findall(answer.translate(SIGNS)) if re.search(r"[-+*/]", text)]
    value, used = computed(sums[-1]) if sums else (None, Counter())
    return {"": value == question.truth["target"] and used <= Counter(question.truth["numbers"])}


def computed(text) -> tuple:
    """(the value of a sum, or None if it is none, and how often it has each number)."""
    used = Counter()

    def of(node):
        if isinstance(node, ast.BinOp):
            a, b = of(node.left), of(node.right)
            return {ast.Add: a.__add__, ast.Sub: a.__sub__, ast.Mult: a.__mul__,
                    ast.Div: a.__truediv__}[type(node.op)](b)
        if type(node) is not ast.Constant or type(node.value) is not int:
            raise ValueError(node)
        used[node.value] += 1
        return Fraction(node.value)
    try:
        return of(ast.parse(text[:LONGEST].strip(), mode="eval").body), used
    except (ArithmeticError, KeyError, RecursionError, SyntaxError, ValueError):
        return None, used


def mark_json(question, answer, run):
    """Whether an answer is JSON of the schema `truth`. Strict: it is nothing else. Lenient: the
    first fenced block is, or what begins at the first bracket."""
    block = FENCE.search(answer)
    begin = re.search(r"[{\[]", answer)
    rest = block[2] if block else answer[begin.start():] if begin else ""
    strict = valid(question.truth, loaded(answer.strip()))
    return {"strict": strict, "lenient": strict or valid(question.truth, loaded(rest, whole=False))}


def loaded(text, whole=True):
    """What a text of JSON says, or how it begins; ... if it is none."""
    try:
        value, end = json.JSONDecoder(parse_constant=refused).raw_decode(text.lstrip())
        return ... if whole and text.lstrip()[end:].strip() else value
    except (ValueError, RecursionError):
        return ...


def refused(name):
    """NaN and Infinity, which Python reads, are no JSON."""
    raise ValueError(name)


def valid(schema, value) -> bool:
    """Whether a value is of a JSON schema with the KEYS, where an object has no other properties
    than the schema's; ChatError where that has other keys."""
    if unknown := schema.keys() - KEYS:
        raise ChatError(f"the schema has {sorted(unknown)[0]!r}, which is not known here")
    kind = TYPES[schema["type"]]
    if not isinstance(value, kind) or isinstance(value, bool) and kind is not bool \
            or value not in schema.get("enum", [value]):
        return False
    if isinstance(value, dict):
        parts = schema.get("properties", {})
        return {*schema.get("required", ())} <= value.keys() <= parts.keys() \
            and all(valid(parts[name], one) for name, one in value.items())
    if isinstance(value, list):
        return all(valid(schema.get("items", {"type": "string"}), one) for one in value)
    return isinstance(value, str) or \
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
