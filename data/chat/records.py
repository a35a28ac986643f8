"""Which format a record of a file has: for conversations and exams alike.

A format is its columns, each with the types of its values, and a function that reads a record that
has them all. A column that is null counts as absent.
"""

from reprlib import repr as short
from typing import Callable, NamedTuple

from csrc.files import ChatError

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
