"""The two sides of a program's examination, each in a sandbox of its own (data/chat/tools.py): the
program, which waits to be called, and its tests, which alone know whether they pass.

This file's text is run on both sides. Values of the types in COPIED go from one to the other as
JSON; whatever else a program has stays there, and its tests call it through a Remote. So a program
can read neither its tests nor the verdict, nor return what equals everything.
"""

import ast
import builtins
import json
import operator
import socket
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from importlib import import_module
from types import ModuleType

PASSED = "passed"
PLAIN = (str, float, bool, type(None))           # JSON has them
PAIRS = lambda value: [*value.items()], dict


def fields(kind, *names):
    """How a value is taken apart into some of its fields, and made of them."""
    return lambda value: [getattr(value, name) for name in names], lambda parts: kind(*parts)


def spelled(spell, read):
    """How a value is spelled, and read."""
    return lambda value: [spell(value)], lambda parts: read(*parts)


# The types that are copied: what takes a value apart, and what makes one of the parts.
COPIED = {
    **{kind: (list, kind) for kind in (list, tuple, set, frozenset, deque, bytes, bytearray)},
    dict: PAIRS, Counter: PAIRS, defaultdict: PAIRS, OrderedDict: (PAIRS[0], OrderedDict),
    int: spelled(hex, lambda text: int(text, 16)), Decimal: spelled(str, Decimal),
    complex: fields(complex, "real", "imag"), range: fields(range, "start", "stop", "step"),
    slice: fields(slice, "start", "stop", "step"),
    Fraction: fields(Fraction, "numerator", "denominator"),
    timedelta: fields(timedelta, "days", "seconds", "microseconds"),
    **{kind: spelled(kind.isoformat, kind.fromisoformat) for kind in (date, time, datetime)},
}
KINDS = {kind.__name__: kind for kind in (*COPIED, *PLAIN)}
# What tests can do with a Remote besides what the module `operator` knows by these names. "plain":
# as a value of the type that its type was made of, or [].
DONE = {"plain": lambda thing: [kind(thing) for kind in (str, int, float, tuple, list, dict, set)
                                if isinstance(thing, kind)],
        "__call__": lambda f, *args, **named: f(*args, **named), "__getattr__": getattr,
        "__iter__": list, "__next__": next, "__len__": len, "__bool__": bool, "__str__": str,
        "__repr__": repr, "__hash__": hash, "__int__": int, "__float__": float}
OPERATORS = """getitem setitem delitem contains lt le gt ge add sub mul truediv floordiv mod pow neg
abs and or xor invert""".split()


def packed(value, other):
    """A value as JSON has it: itself, [the name of its type, its parts], or what `other` gives."""
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind in COPIED:
        return [kind.__name__, [packed(part, other) for part in COPIED[kind][0](value)]]
    if kind is type and value.__name__ in KINDS:
        return ["type", value.__name__]
    return other(value)


def unpacked(value, other):
    """The inverse; other(name, parts) makes what has no name of KINDS."""
    if type(value) is not list:
        return value
    name, parts = value
    if name == "type":
        return KINDS[parts]
    if name not in KINDS:
        return other(name, parts)
    return COPIED[KINDS[name]][1]([unpacked(part, other) for part in parts])


def send(stream, message):
    """Write a message that is JSON already, a line."""
    stream.write(json.dumps(message) + "\n")
    stream.flush()


# ------------------------------------------------------------------------------------- the program

def serve(program, number):
    """Do what tests ask for, with the names in `program`, until they hang up. number: of a socket's
    handle."""
    things, stream = [], socket.socket(fileno=number).makefile("rw")

    def kept(thing):
        if hasattr(thing, "dtype"):              # NumPy's numbers and arrays are Python's
            return packed(thing.tolist(), kept)
        if isinstance(thing, ModuleType):
            return ["module", thing.__name__]
        things.append(thing)
        return ["thing", len(things) - 1]

    for line in iter(stream.readline, ""):
        try:
            what, args, named = unpacked(json.loads(line), lambda _, place: things[place])
            value = {name: program[name] for name in args if name in program} if what == "find" \
                else (DONE.get(what) or getattr(operator, what))(*args, **named)
            message = packed((True, value, args), kept)
        except BaseException as error:           # also one that would end this program
            message = packed((False, type(error).__name__, str(error)), kept)
        send(stream, message)


# --------------------------------------------------------------------------------------- the tests

class Thing:
    """Something that a program has. place: by which the program knows it; ask: see `examine`."""

    __slots__ = ("place", "ask")

    def __init__(self, place, ask):
        self.place, self.ask = place, ask

    def __eq__(self, other):
        return self.ask("__eq__", self, other) if isinstance(other, Remote) else \
            self.ask("plain", self) == [other]


def asking(method):
    """The method that has the program do it."""
    return lambda self, *args, **named: self.ask(method, self, *args, **named)


Remote = type("Remote", (Thing,), {
    "__slots__": (),
    **{name: asking(name) for name in (*DONE, *(f"__{name}__" for name in OPERATORS))},
    "__iter__": lambda self: iter(self.ask("__iter__", self))})


def placed(thing):
    """What names a Remote to its program. Nothing else of the tests can be sent there."""
    if type(thing) is not Remote:
        raise TypeError(f"a test cannot give a program {type(thing).__name__}")
    return ["thing", thing.place]


def examine(tests, number):
    """Run tests of the program at the other end of a socket; print PASSED at their end."""
    stream = socket.socket(fileno=number).makefile("rw")

    def found(name, place):
        if name == "thing":
            return Remote(place, ask)
        if name != "module" or place.partition(".")[0] not in sys.stdlib_module_names:
            raise ValueError(f"{name} {place}")  # a module of which the program might have another
        return import_module(place)

    def ask(what, *args, **named):
        send(stream, packed((what, args, named), placed))
        good, value, now = unpacked(json.loads(stream.readline()), found)
        if not good:
            kind = getattr(builtins, value, Exception)
            raise (kind if issubclass(kind, Exception) else Exception)(now)
        for old, new in zip(args, now):          # what it did to the values that it was given
            if isinstance(old, (list, bytearray)):
                old[:] = new
            elif isinstance(old, (dict, set)):
                old.clear()
                old.update(new)
        return value

    wanted = {node.id for node in ast.walk(ast.parse(tests)) if isinstance(node, ast.Name)}
    space = {"__name__": "__main__", **ask("find", *sorted(wanted - {*dir(builtins)}))}
    exec(compile(tests, "<tests>", "exec"), space)
    print(PASSED)
