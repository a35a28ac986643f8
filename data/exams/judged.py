"""The two sides of a program's examination, each in a sandbox of its own (data/chat/tools.py): the
program, which waits to be called, and its tests, which alone know whether they pass.

This file's text is run on both sides. Values of the types in MADE_BY go from one to the other as
copies; whatever else a program has stays there, and its tests call it through a Remote. So a
program can read neither its tests nor the verdict, nor return what equals everything.
"""

import ast
import builtins
import datetime
import decimal
import fractions
import io
import operator
import pickle
import socket
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from importlib import import_module
from types import ModuleType

PASSED = "passed"


def fraction(*parts):
    """A Fraction, made by what a pickle cannot change."""
    return fractions.Fraction(*parts)


# The types that are copied, and what makes them of a pickle: nothing that could do more.
MADE_BY = {kind: kind for kind in (
    bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, range,
    slice, type(None), type(...), deque, OrderedDict, defaultdict, decimal.Decimal, datetime.date,
    datetime.time, datetime.datetime, datetime.timedelta, datetime.timezone)} \
    | {Counter: dict, fractions.Fraction: fraction}
NAMES = {(kind.__module__, kind.__qualname__): maker for kind, maker in MADE_BY.items()}
# What tests can do with a Remote besides what the module `operator` knows by these names. "plain":
# as a value of the type that its type was made of, or [].
DONE = {"plain": lambda thing: [kind(thing) for kind in (str, int, float, tuple, list, dict, set)
                                if isinstance(thing, kind)],
        "__call__": lambda f, *args, **named: f(*args, **named), "__getattr__": getattr,
        "__iter__": list, "__next__": next, "__len__": len, "__bool__": bool, "__str__": str,
        "__repr__": repr, "__hash__": hash, "__int__": int, "__float__": float}
OPERATORS = """getitem setitem delitem contains lt le gt ge add sub mul truediv floordiv mod pow neg
abs and or xor invert""".split()


# ------------------------------------------------------------------------------------- the program

def serve(program, number):
    """Do what tests ask for, with the names in `program`, until they hang up. number: of a socket's
    handle."""
    things, stream = [], socket.socket(fileno=number).makefile("rwb")

    class Out(pickle.Pickler):
        def persistent_id(self, thing):
            if type(thing) in MADE_BY or isinstance(thing, type) and thing in MADE_BY \
                    or hasattr(thing, "dtype"):
                return None
            if isinstance(thing, ModuleType):
                return thing.__name__
            things.append(thing)
            return len(things) - 1

        def reducer_override(self, thing):       # NumPy's numbers and arrays are Python's
            return (list if thing.shape else type(thing.item()), (thing.tolist(),)) \
                if hasattr(thing, "dtype") else NotImplemented

    class In(pickle.Unpickler):
        def persistent_load(self, place):
            return things[place]

    while True:
        try:
            what, args, named = In(stream).load()
        except EOFError:
            return
        message = io.BytesIO()
        try:
            value = {name: program[name] for name in args if name in program} if what == "find" \
                else (DONE.get(what) or getattr(operator, what))(*args, **named)
            Out(message).dump((True, value, args))
        except BaseException as error:           # also one that would end this program
            message = io.BytesIO(pickle.dumps((False, type(error).__name__, str(error))))
        stream.write(message.getvalue())
        stream.flush()


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


def examine(tests, number):
    """Run tests of the program at the other end of a socket; print PASSED at their end."""
    stream = socket.socket(fileno=number).makefile("rwb")

    class Out(pickle.Pickler):
        def persistent_id(self, thing):
            return thing.place if type(thing) is Remote else None

    class In(pickle.Unpickler):
        def persistent_load(self, place):
            if isinstance(place, str):           # a module, of which the program might have another
                if place.partition(".")[0] not in sys.stdlib_module_names:
                    raise pickle.UnpicklingError(place)
                return import_module(place)
            return Remote(place, ask)

        def find_class(self, module, name):
            if (module, name) not in NAMES:
                raise pickle.UnpicklingError(f"{module}.{name}")
            return NAMES[module, name]

    def ask(what, *args, **named):
        Out(stream).dump((what, args, named))
        stream.flush()
        good, value, now = In(stream).load()
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
