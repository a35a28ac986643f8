"""The tools that a model may call, by hand (data/chat/tools.py).

    python data/tools.py index build/web --out build/search.db
    python data/tools.py search build/search.db "Where was Mara Holm born?"
    python data/tools.py python "2 ** 100"
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from csrc import cli
    cli.enter()

import argparse
import sys

from csrc.files import ChatError
from data.chat import search
from data.chat.tools import BUDGET, Limits, calculate, python, python_off


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("index", help="make the file that search reads")
    command.add_argument("documents", nargs="+", help="JSON lines with a \"text\" and a \"url\" "
                         "each, plain or .gz, as data/web.py writes them; folders of these; or "
                         "'world', the embedded corpus")
    command.add_argument("--out", required=True, metavar="FILE", help="where to write it")
    command.set_defaults(run=lambda args: print(search.build(args.documents, args.out)))
    command = commands.add_parser("search", help="show what a model would read about a question")
    command.add_argument("index", help="a file that `index` made")
    command.add_argument("query")
    command.add_argument("-k", type=int, default=search.PASSAGES, help="passages (%(default)s)")
    command.set_defaults(run=lambda args: print(search.render(
        search.Search(args.index).search(args.query, args.k), BUDGET, args.query)))
    command = commands.add_parser("python", help="run a program in the sandbox")
    command.add_argument("code", help="the program, or - for stdin")
    command.add_argument("--seconds", type=float, default=Limits.seconds, metavar="T")
    command.set_defaults(run=run_python)
    command = commands.add_parser("calculate", help="the value of an expression")
    command.add_argument("expression")
    command.set_defaults(run=lambda args: print(calculate(args.expression)))
    args = parser.parse_args()
    args.run(args)


def run_python(args):
    """The command `python`."""
    if not 0 < args.seconds < 1e6:
        raise ChatError(f"--seconds is {args.seconds}, but must be over 0")
    if off := python_off():
        raise OSError(f"Python is off: {off}")
    code = sys.stdin.read() if args.code == "-" else args.code
    print(python(code, Limits(seconds=args.seconds)).text)

if __name__ == "__main__":
    cli.run(main)
