"""Marks calls of functions, as the Berkeley function-calling leaderboard (BFCL) does."""

import ast
import json
import re

from csrc.files import ChatError

LONGEST = 20_000    # characters of a call
QUOTED_OR_BRACKET = re.compile(r"""(["'])(?:\\.|(?!\1).)*(?:\1|\Z)|[][(){}]""", re.DOTALL)
FENCE = re.compile(r"(?:```|~~~)([^\n`~]*)\n(.*?)(?:```|~~~|\Z)", re.DOTALL)


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
    """Whether the first call in an answer fits, when some freedoms are allowed."""
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
        yield found[2]
    yield answer
    begins = re.compile("|".join(rf"(?<![\w.]){re.escape(name)}\s*\(" for name in sorted(names))
                        + r"|\[?\{")
    for found in [*begins.finditer(answer)][:20]:
        yield balanced(answer[found.start():])


def balanced(text) -> str:
    """Return the beginning of a text up to where its first bracket closes."""
    depth = 0
    for found in QUOTED_OR_BRACKET.finditer(text):
        depth += (found[0] in "([{") - (found[0] in ")]}")
        if depth == 0 and found[0] in ")]}":
            return text[:found.end()]
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
    """Return the calls in a value of JSON, as `calls` does."""
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
    """Return the call that an expression of Python is, as `calls` does."""
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
    """The type of the possible values, None if there are none."""
    return next((type(one) for one in possible if one != ""), None)


def fits_dict(value, possible) -> bool:
    """Whether each value of a dict is among the possible ones for its key."""
    return (all(key in possible for key in value)
            and all(plain(value[key]) in [plain(one) for one in choices] if key in value
                    else "" in choices for key, choices in possible.items()))


def plain(value):
    """A text in small letters, without blanks and most marks; any other value as it is."""
    return re.sub(r"[ ,./\-_*^]", "", value).lower().replace("'", '"') \
        if type(value) is str else value


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
