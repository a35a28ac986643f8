"""Records of JSON files, and which format they have: for conversations and exams alike.

A format is its columns, each with the types of its values, and a function that reads a record that
has them all. A column that is null counts as absent.
"""

import json
import re
from reprlib import repr as short
from typing import Callable, NamedTuple

from csrc.files import ChatError, largest, open_input

BLANK = re.compile(r"\s*")
NAMES = {str: "a text", list: "a list", dict: "an object", int: "a whole number",
         float: "a number", bool: "true or false"}
# Columns that describe a record and say nothing that a reader of it must know.
ABOUT = frozenset("""id idx index uid uuid kind source src origin dataset subset split category
    subcategory subject topic type level difficulty language lang locale model model_name tags
    license url created created_at timestamp date hash quality score turn num_turns conversation_id
    question_id prompt_id message_id example_id unique_id year""".split())


class Format(NamedTuple):
    """A format of records.

    name     what it is called
    columns  {column: the type of its values, or a tuple of types}
    read     the function that reads a record
    others   other columns that it understands; None: any
    strict   whether a record with still others, but for ABOUT, has another format
    """

    name: str
    columns: dict
    read: Callable
    others: tuple | None = ()
    strict: bool = False

    def misfit(self, record) -> str:
        """What keeps a record from being of this format, or ""."""
        for column, types in self.columns.items():
            if not holds(record, column, types):
                return (f'"{column}" is {short(record[column])}, but must be {named(types)}'
                        if column in record else f'"{column}" is missing')
        unused = self.unused(record) if self.strict else ()
        return f"it has no column {listed(unused)}" if unused else ""

    def nearness(self, record) -> tuple:
        """The shares of its columns that a record has with their types, and that it has at all."""
        fitting = sum(holds(record, *column) for column in self.columns.items())
        there = sum(column in record for column in self.columns)
        return fitting / len(self.columns), there / len(self.columns), -len(self.columns)

    def unused(self, record) -> list[str]:
        """The columns of a record that nothing is made of."""
        return [] if self.others is None else [column for column in record if column not in (
            *self.columns, *self.others, *ABOUT)]


def holds(record, column, types) -> bool:
    """Whether a record has a column with a value of one of these types."""
    return type(record.get(column)) in (types if isinstance(types, tuple) else (types,))


def named(types) -> str:
    """Types in a sentence."""
    return " or ".join(NAMES[kind] for kind in (types if isinstance(types, tuple) else (types,)))


def recognize(record, formats) -> Format:
    """Return the first of the formats that a record has; a ChatError names the nearest one."""
    for form in formats:
        if not form.misfit(record):
            return form
    near = max(formats, key=lambda form: form.nearness(record))
    raise ChatError(f"of no known format: the columns are {listed(record)}; the nearest format is "
                    f"{near.name} with {listed(near.columns)}, but {near.misfit(record)}")


def listed(columns, most=12) -> str:
    """The names of columns in a sentence, at any length and with any characters."""
    names = [short(str(column))[1:-1] for column in columns]
    return ", ".join(names[:most] + ["..."] * (len(names) > most)) or "none"


def present(record) -> dict:
    """A record without the columns that are null."""
    if not isinstance(record, dict):
        raise ChatError(f"{short(record)} is not an object")
    return {column: value for column, value in record.items() if value is not None}


# --------------------------------------------------------------------------------------- the files

def records(path, **options):
    """Yield (line, value) of each value in a file of JSON: one a line, one array, or values that
    each go over several lines. Also .gz.

    options     of json.JSONDecoder

    ChatError names the file, and the line, that cannot be read.
    """
    number, seen, decoder = 1, False, json.JSONDecoder(**options)
    with open_input(path) as file:
        rows = iter(lambda: file.readline(largest(path) + 1), b"")
        for number, row in enumerate(rows, 1):
            text = decoded(path, row, number)
            if text.isspace() or not text:
                continue
            if text.lstrip()[0] == "[":
                yield from array(path, number, text + rest(path, file, number), decoder)
                return
            try:
                value = parse(path, number, decoder.decode, text.rstrip("\n"))
            except ChatError:
                if seen:
                    raise
                text += rest(path, file, number)
                spread = [*values(path, number, text, decoder)] if "\n" in text else []
                if not spread:
                    raise
                yield from spread
                return
            yield number, value
            seen = True


def decoded(path, data, number):
    """Return the text of some bytes, which begin in this line; the first one may begin with a byte
    order mark."""
    if len(data) > largest(path):
        raise ChatError(f"{path}:{number}: over {largest(path) >> 20} MB in one piece")
    try:
        return data.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        line = number + data.count(b"\n", 0, error.start)
        at = error.start - data.rfind(b"\n", 0, error.start) - 1
        raise ChatError(f"{path}:{line}: not UTF-8 at byte {at} of the line "
                        f"({error.reason})") from error


def rest(path, file, number):
    """Return what is left of a file after that line, as text."""
    return decoded(path, file.read(largest(path) + 1), number + 1)


def values(path, number, text, decoder):
    """Yield (line, value) of the values in a text, with only blanks between them; none if the first
    is broken."""
    at, line, counted = BLANK.match(text).end(), number, 0
    while at < len(text):
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, at = parse(path, number, decoder.raw_decode, text, at)
        except ChatError:
            if line == number:
                return
            raise
        yield line, value
        at = BLANK.match(text, at).end()


def array(path, number, text, decoder):
    """Yield (line, value) of the values in the array that is all of `text`, from line `number`."""
    line, counted, at = number, 0, text.index("[")
    while True:
        begin = BLANK.match(text, at + 1).end()
        if text[at] == "[" and text[begin:begin + 1] == "]":
            at = begin
            break
        line, counted = line + text.count("\n", counted, begin), begin
        value, end = parse(path, number, decoder.raw_decode, text, begin)
        yield line, value
        at = BLANK.match(text, end).end()
        if text[at:at + 1] != ",":
            break
    if text[at:].strip() != "]":
        raise ChatError(f"{path}:{line}: not JSON (after what begins here, the array does not "
                        f"go on or end)")


def parse(path, number, decode, *text):
    """Return decode(*text), of which the first line is that number of the file."""
    try:
        return decode(*text)
    except json.JSONDecodeError as error:
        raise ChatError(f"{path}:{number + error.lineno - 1}: not JSON ({error.msg} at column "
                        f"{error.colno})") from error
    except ValueError as error:
        raise ChatError(f"{path}:{number}: not JSON ({error})") from error
    except RecursionError as error:
        raise ChatError(f"{path}:{number}: nested too deeply for JSON") from error
