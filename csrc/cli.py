"""How the programs begin, read their command line and end.

A command is a dataclass whose fields are its flags, and a function that takes one:

    @dataclass
    class Train:
        '''Learn a vocabulary.'''
        text: list[str] = flag(help="text files", positional=True)
        vocab_size: int = flag(4096, "tokens of the vocabulary", limits="[288, inf)")

    if __name__ == "__main__":
        cli.run(lambda: cli.dispatch(__doc__, {"train": (Train, train)}))

A field's type decides how its words are read: `int`, `float`, `str` or `Path`, each also `| None`;
`bool` is a switch (--no-NAME, if its default is True); `list[T]` takes several words, and its flag
may be repeated, whereas a second text or path is refused. Errors are one sentence with the value
and the remedy, on stderr, and exit status 1. A ChatError or OSError is the user's to mend; any
other exception shows where it comes from. CHAT_DEBUG=1 shows that of all.
"""

import argparse
import dataclasses
import difflib
import inspect
import os
import signal
import sys
import types
import typing
from importlib.util import find_spec
from pathlib import Path

from csrc.files import ChatError
from csrc.shown import print_plainly
from csrc.remote import is_address

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
OUTPUTS = ("out", "html")        # what is read may be anywhere, what is written is here


# ---- A dataclass is a command line ---------------------------------------------------------------

def flag(default=dataclasses.MISSING, help="", limits=None, *, choices=None, positional=False,
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


def check(settings) -> None:
    """ChatError unless each field of a dataclass has a value that its limits and choices allow."""
    for field in dataclasses.fields(settings):
        limits, choices = field.metadata.get("limits"), field.metadata.get("choices")
        value = getattr(settings, field.name)
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if one is None:
                continue
            if limits and not inside(one, limits):
                raise ChatError(f"{option(field.name)} is {one}, but must be in {limits}")
            if field.name in OUTPUTS and is_address(one):
                raise ChatError(f"{option(field.name)} is {one}, an address: name a local path")
            if choices and one not in choices:
                raise ChatError(f"{option(field.name)} is {one!r}, but must be one of "
                                f"{', '.join(map(str, choices))}")


def nearest(word: str, known) -> str:
    """The most similar of the `known` words."""
    return difflib.get_close_matches(word[:100], [*known], 1, 0)[0]


def kinds(settings: type) -> dict[str, tuple[type, bool]]:
    """By field: the type of its value, or of one of them, and whether there may be several."""
    found = {}
    for name, hint in typing.get_type_hints(settings).items():
        if typing.get_origin(hint) in (types.UnionType, typing.Union):
            hint = next(a for a in typing.get_args(hint) if a is not type(None))
        several = typing.get_origin(hint) in (list, tuple)
        found[name] = (typing.get_args(hint)[0] if several else hint, several)
    return found


def explained(field: dataclasses.Field) -> str:
    """The line of a flag in -h: what it does, its default and its limits."""
    about, default = field.metadata, field.default
    if default is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
        made = field.default_factory()
        default = made if isinstance(made, (list, tuple)) else None   # another may be drawn
    said = " ".join(map(str, default)) if isinstance(default, (list, tuple)) else str(default)
    silent = default in (None, dataclasses.MISSING) or isinstance(default, bool) or not said
    notes = [] if silent else [said]
    notes += [f"in {about['limits']}"] if about["limits"] else []
    return (about["help"] + (f" ({'; '.join(notes)})" if notes else "")).replace("%", "%%")


def parser_of(settings: type, program: str, description: str) -> argparse.ArgumentParser:
    """The parser of one command."""
    parser = argparse.ArgumentParser(
        prog=program, description=description, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter, argument_default=argparse.SUPPRESS)
    parser.error = lambda sentence: complain(sentence, program)
    for field in flags_of(settings):
        about, (kind, several) = field.metadata, kinds(settings)[field.name]
        optional = field.default is not dataclasses.MISSING \
            or field.default_factory is not dataclasses.MISSING
        name, how = option(field.name), {"help": explained(field)}
        if kind is bool:
            name = name.replace("--", "--no-", 1) if field.default is True else name
            parser.add_argument(name, dest=field.name, **how,
                                action="store_false" if field.default is True else "store_true")
            continue
        how.update(type=kind, metavar=about["metavar"] or (
            field.name.upper() if about["positional"] else
            "|".join(map(str, about["choices"])) if about["choices"] else
            {int: "N", float: "X", Path: "PATH"}.get(kind, "S")))
        if several:
            how["nargs"] = "*" if optional and about["positional"] else "+"
        elif optional and about["positional"]:
            how["nargs"] = "?"
        if about["positional"]:
            parser.add_argument(field.name, **how)
        else:
            parser.add_argument(name, required=not optional, **how,
                                action="extend" if several else
                                Once if kind in (str, Path) and not about["choices"] else "store")
    return parser


class Once(argparse.Action):
    """Stores a text or path, which is given once; a later number or choice replaces the first."""

    def __call__(self, parser, given, value, flag=None):
        if hasattr(given, self.dest):
            raise argparse.ArgumentError(self, "given twice, but it has one value")
        setattr(given, self.dest, value)


def complain(sentence: str, program: str):
    """ChatError of what argparse finds wrong."""
    raise ChatError(f"{sentence} ({program} -h lists the flags)")


def about(kind: type, function) -> str:
    """What a command says of itself: its dataclass's docstring, unless dataclasses made that of the
    fields, or its function's."""
    said = inspect.getdoc(kind) or ""
    return inspect.getdoc(function) or "" if not said or said.startswith(kind.__name__ + "(") \
        else said


def parse(description: str, commands: dict, argv=None, default: str | None = None):
    """(the command's name, its settings, the names of the fields that were given). The first word
    of `argv` names one of `commands`, {name: (dataclass, function)}; without such a word it is
    `default`, or, where there is only one, that one."""
    argv = list(sys.argv[1:] if argv is None else argv)
    program = Path(sys.argv[0]).name
    if len(commands) == 1:
        default = next(iter(commands))
    else:
        description = description.strip() + "\n\ncommands (COMMAND -h lists the flags of one):\n" \
            + "\n".join(f"  {name or '(none)':12} {about(*command).partition(chr(10))[0]}"
                        for name, command in commands.items())
    word = argv[0] if argv and not argv[0].startswith("-") else None
    name = word if word in commands else default
    if name is None or word not in (None, name) and not takes_words(commands[name][0]):
        if argv and argv[0] in ("-h", "--help"):
            print(description)
            sys.exit(0)
        listed = ", ".join(filter(None, commands))
        raise ChatError(f"which command? There are {listed}" if word is None else
                        f"there is no command {word!r}; the nearest is "
                        f"{nearest(word, filter(None, commands))!r} (there are {listed})")
    if word in commands:
        argv, program = argv[1:], f"{program} {name}"
        description = about(*commands[name]) or description
    settings = commands[name][0]
    parser = parser_of(settings, program, description)
    given, unknown = parser.parse_known_args(argv)
    if unknown:
        refuse(unknown[0], program, parser, {n: kind for n, (kind, _) in commands.items()
                                             if n and n != name})
    made = settings(**vars(given))
    check(made)
    return name, made, set(vars(given))


def refuse(word: str, program: str, parser, others: dict[str, type]) -> None:
    """ChatError about a word that a command does not know; which of the `others` know the flag."""
    if not word.startswith("-"):
        raise ChatError(f"{program} takes no word {word!r} there ({program} -h lists the words)")
    word = word.partition("=")[0]
    flags = [o for action in parser._actions for o in action.option_strings]
    having = [name for name, kind in others.items()
              if word in [option(field.name) for field in flags_of(kind)]]
    raise ChatError(f"{program} has no flag {word!r}; the nearest is {nearest(word, flags)!r}"
                    + (f" ({', '.join(having)} {'have' if having[1:] else 'has'} it)"
                       if having else "") + f" ({program} -h lists them)")


def flags_of(settings: type) -> list[dataclasses.Field]:
    """The fields that are flags or words of a command."""
    return [field for field in dataclasses.fields(settings) if "help" in field.metadata]


def takes_words(settings: type) -> bool:
    """Whether a command takes words that follow no flag."""
    return any(field.metadata["positional"] for field in flags_of(settings))


def dispatch(description: str, commands: dict, argv=None, default: str | None = None):
    """Parse, and call the command's function with its settings."""
    name, settings, _ = parse(description, commands, argv, default)
    return commands[name][1](settings)


# ---- How scripts begin and end -------------------------------------------------------------------

def enter() -> None:
    """What a script does ahead of its imports, if it is __main__: it runs again under `make`'s
    .venv, whatever python started it, and leaves the cores to the library's threads: NumPy's BLAS
    has little to do, and would wait spinning."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    python = VENV / "bin" / "python"
    if not python.exists() and find_spec("cffi") is None:
        sys.exit(f"the requirements are not installed: run `make` in {ROOT} first")
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)     # Ctrl-C amid imports: no traceback
    if python.exists() and Path(sys.prefix).resolve() != VENV.resolve():
        os.execv(python, [str(python), *sys.argv])


def run(main) -> None:
    """Run a script's `main`, and end as a program should. What is closed of its standard streams
    (>&-) leads nowhere, or the next file that is opened would be in its place."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull)
    if sys.stdout is None:
        sys.exit(f"{Path(sys.argv[0]).name}: standard output is closed: send it somewhere, if only "
                 f"to /dev/null")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")
    print_plainly()
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        try:
            main()
        finally:
            flush()
    except KeyboardInterrupt:
        silence(2)                               # Python's pools of processes may complain at exit
        sys.exit(130)
    except BrokenPipeError:                      # whoever read this, say `head`, has seen enough
        silence()
    except (ChatError, OSError) as error:
        if os.environ.get("CHAT_DEBUG"):
            raise
        said = f"{error.filename}: {error.strerror}" if getattr(error, "filename", None) and \
            error.strerror else error                    # without "[Errno 2]"
        sys.exit(f"{Path(sys.argv[0]).name}: {ChatError(said)}")


def flush() -> None:
    """Write what was printed while an error can still be told: at its end Python cannot."""
    try:
        print(end="", flush=True)
    except OSError:
        silence()
        raise


def silence(file: int = 1) -> None:
    """Let what is written to standard output, or to another file number, vanish from now on."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), file)
