"""Conversations of the pocket world, to make an assistant of a base model (data/pocket/talk.py).

    python data/talk_world.py --out build/talk      build/talk/conversations/KIND.jsonl, and beside
                                                    them search.db, what the assistant searches,
                                                    and practice.jsonl, documents to pretrain on
    python data/talk_world.py instructions          what an ideal answer is
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from csrc import cli
    cli.enter()

import argparse
from pathlib import Path

from csrc.files import ChatError
from data.pocket.talk import BUDGET, MAKE, instructions, write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["instructions"],
                        help="print what an ideal answer is")
    parser.add_argument("--seed", type=int, default=0, metavar="S",
                        help="which world, and which conversations (default: 0)")
    parser.add_argument("--size", type=float, default=1, metavar="X",
                        help="times the usual number of conversations, "
                             f"{sum(kind.count for kind in MAKE.values()):,} (default: 1)")
    parser.add_argument("--index", type=Path, metavar="FILE",
                        help="what the assistant searches (data/tools.py index); default: one of "
                             "the embedded corpus and of pages that no model has read, made beside "
                             "the conversations")
    parser.add_argument("--budget", type=int, default=BUDGET, metavar="N",
                        help="characters of a search result (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write")
    args = parser.parse_args()
    if args.what == "instructions":
        return print(instructions(), end="")
    if args.out is None:
        raise ChatError("--out is missing: name a folder")
    if args.size <= 0 or args.budget < 1:
        raise ChatError(f"--size is {args.size:g} and --budget {args.budget}, but must be over 0")
    if args.seed and not args.index:
        raise ChatError(f"--seed {args.seed} needs --index FILE, of that world's pages: the "
                        f"embedded corpus is about world 0")
    made = write(args.out, args.seed, args.size, args.index, args.budget)
    print(f"{args.out}: " + ", ".join(f"{kind} {count}" for kind, count in made.items()))

if __name__ == "__main__":
    cli.run(main)
