"""How the programs begin, read their command line and end.

A command is a dataclass whose fields are its flags, and a function that takes one:

    @dataclass
    class Train:
        text: list[str] = flag(help="text files", positional=True)
        vocab_size: int = flag(4096, "tokens of the vocabulary", limits="[288, inf)")

    if __name__ == "__main__":
        cli.run(lambda: cli.dispatch(__doc__, {"train": (Train, train)}))

A field's type decides how its words are read: `int`, `float`, `str` or `Path`, each also `| None`;
`bool` is a switch; `list[T]` takes several words, and its flag may be repeated. Errors are one
sentence with the value and the remedy, on stderr, and exit status 1. A ChatError or OSError is the
user's to mend; any other exception shows where it comes from. CHAT_DEBUG=1 shows that of all.
"""

import argparse
import dataclasses
import difflib
import math
import os
import signal
import sys
import types
import typing
from importlib.util import find_spec
from pathlib import Path

from csrc.files import ChatError

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"


# ---- A dataclass is a command line ---------------------------------------------------------------

def flag(default=dataclasses.MISSING, help="", *, limits=None, choices=None, positional=False,
         metavar=None):
    """A field of a command's dataclass.

    default     the value without the flag, or a function that makes it; without one it is required
    help        what the value does, with its unit
    limits      an interval that the value lies in, as mathematics writes it: "[0, 1)"
    choices     the values there are
    positional  the words that follow no flag
    """
    metadata = dict(help=help, limits=limits, choices=choices, positional=positional,
                    metavar=metavar)
    made = {"default_factory": default} if callable(default) else {"default": default}
    return dataclasses.field(**made, metadata=metadata)


def option(name: str) -> str:
    """The flag of a field: "--vocab-size"."""
    return "--" + name.replace("_", "-")


def inside(value, limits: str) -> bool:
    """Whether a number lies in an interval such as "[0, 1)"."""
    low, high = (float(end) for end in limits[1:-1].split(","))
    return (low < value or limits[0] == "[" and value == low) \
        and (value < high or limits[-1] == "]" and value == high)


def check(settings, names=None) -> None:
    """ChatError unless each field of a dataclass (of `names`, if given) has a value that its limits
    and choices allow."""
    for field in dataclasses.fields(settings):
        limits, choices = field.metadata.get("limits"), field.metadata.get("choices")
        if names is not None and field.name not in names:
            continue
        value = getattr(settings, field.name)
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if one is None:
                continue
            if limits and not (math.isfinite(one) and inside(one, limits)):
                raise ChatError(f"{option(field.name)} is {one}, but must be in {limits}")
            if choices and one not in choices:
                raise ChatError(f"{option(field.name)} is {one!r}, but must be one of "
                                f"{', '.join(map(str, choices))}")


def nearest(word: str, known) -> str:
    """The most similar of the `known` words."""
    return difflib.get_close_matches(word, known, 1, 0)[0]


def kinds(settings: type) -> dict[str, tuple[type, bool]]:
    """By field: the type of its value, or of one of them, and whether there may be several."""
    found = {}
    for name, hint in typing.get_type_hints(settings).items():
        if typing.get_origin(hint) in (types.UnionType, typing.Union):
            hint = next(a for a in typing.get_args(hint) if a is not type(None))
        several = typing.get_origin(hint) in (list, tuple)
        found[name] = (typing.get_args(hint)[0] if several else hint, several)
    return found


def parser_of(settings: type, program: str, description: str) -> argparse.ArgumentParser:
    """The parser of one command."""
    parser = argparse.ArgumentParser(
        prog=program, description=description, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter, argument_default=argparse.SUPPRESS)
    parser.error = lambda sentence: complain(sentence, program)
    kind_of = kinds(settings)
    for field in dataclasses.fields(settings):
        about, (kind, several) = field.metadata, kind_of[field.name]
        if "help" not in about:
            continue                             # not a flag
        positional, required = about["positional"], False
        text, how = about["help"].replace("%", "%%"), {}
        if field.default is not dataclasses.MISSING:
            text += f" ({field.default})" if field.default not in (None, False, "") else ""
        elif field.default_factory is dataclasses.MISSING:
            required = not positional
        else:
            text += f" ({' '.join(map(str, made))})" if (made := field.default_factory()) \
                and several else ""
        if kind is bool:
            parser.add_argument(option(field.name), action="store_true", help=text)
            continue
        how["metavar"] = about["metavar"] or (
            field.name.upper() if positional else
            "|".join(map(str, about["choices"])) if about["choices"] else
            {int: "N", float: "X", Path: "PATH"}.get(kind, "S"))
        if several:
            needed = field.default_factory is dataclasses.MISSING \
                and field.default is dataclasses.MISSING
            how["nargs"] = "+" if needed or not positional else "*"
            how.update({} if positional else {"action": "extend"})
        elif positional and field.default is not dataclasses.MISSING:
            how["nargs"] = "?"
        if not positional:
            how["required"] = required
        parser.add_argument(field.name if positional else option(field.name), type=kind,
                            help=text, **how)
    return parser


def complain(sentence: str, program: str):
    """ChatError of what argparse finds wrong."""
    raise ChatError(f"{sentence} ({program} -h lists the flags)")


def parse(description: str, commands: dict, argv=None, default: str | None = None):
    """(the command's name, its settings, the names of the fields that were given). The first word of
    `argv` names one of `commands`, {name: (dataclass, function)}; without such a word it is
    `default`, or, where there is only one, that one."""
    argv = list(sys.argv[1:] if argv is None else argv)
    script = Path(sys.argv[0]).name
    if len(commands) == 1:
        default = next(iter(commands))
    word = argv[0] if argv and not argv[0].startswith("-") else None
    name = word if word in commands else default
    if word not in commands and (name is None or word and not takes_words(commands[name][0])):
        if argv and argv[0] in ("-h", "--help"):
            print(f"{description}\n\ncommands: {', '.join(commands)} (COMMAND -h lists its flags)")
            sys.exit(0)
        listed = ", ".join(filter(None, commands))
        if word is None:
            raise ChatError(f"which command? There are {listed}")
        raise ChatError(f"there is no command {word!r}; the nearest is "
                        f"{nearest(word, commands)!r} (there are {listed})")
    if word in commands:
        argv = argv[1:]
    settings = commands[name][0]
    program = f"{script} {name}" if len(commands) > 1 and name else script
    parser = parser_of(settings, program, description)
    given, unknown = parser.parse_known_args(argv)
    flags = [o for action in parser._actions for o in action.option_strings]
    if unknown:
        word = unknown[0].partition("=")[0]
        others = [n for n, (other, _) in commands.items() if n and n != name and word in
                  [option(f.name) for f in dataclasses.fields(other)]]
        raise ChatError(f"{program} has no flag {word!r}; the nearest is {nearest(word, flags)!r}"
                        + (f" ({', '.join(others)} has it)" if others else "")
                        + f" ({program} -h lists them)")
    made = settings(**vars(given))
    check(made)
    return name, made, set(vars(given))


def takes_words(settings: type) -> bool:
    return any(field.metadata.get("positional") for field in dataclasses.fields(settings))


def dispatch(description: str, commands: dict, argv=None, default: str | None = None):
    """Parse, and call the command's function with its settings."""
    name, settings, _ = parse(description, commands, argv, default)
    return commands[name][1](settings)


# ---- How scripts begin and end -------------------------------------------------------------------

def enter() -> None:
    """What a script does ahead of its imports, if it is __main__: it runs again under `make`'s
    .venv, whatever python started it, and leaves the cores to the library's threads. NumPy's BLAS
    has little to do, and would wait spinning; OpenMP's threads spin a little and then sleep, or a
    second busy process on the machine would halve our speed."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    python = VENV / "bin" / "python"
    if not python.exists() and find_spec("cffi") is None:
        sys.exit(f"the requirements are not installed: run `make` in {ROOT} first")
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)     # Ctrl-C amid imports: no traceback
    if python.exists() and Path(sys.prefix).resolve() != VENV.resolve():
        os.execv(python, [str(python), *sys.argv])


def run(main) -> None:
    """Run a script's `main`, and end as a program should."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        try:
            main()
        finally:
            flush()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:                      # whoever read this, say `head`, has seen enough
        silence()
    except (ChatError, OSError) as error:
        if os.environ.get("CHAT_DEBUG"):
            raise
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")


def flush() -> None:
    """Write what was printed while an error can still be told: at its end Python cannot."""
    try:
        print(end="", flush=True)
    except OSError:
        silence()
        raise


def silence() -> None:
    """Print to nowhere from now on."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
