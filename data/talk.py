"""Conversations in any known format, as OpenAI's messages (data/chat/formats.py).

    python data/talk.py chats.json --out build/chats.jsonl
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from csrc import cli
    cli.enter()

import argparse
import json
from collections import Counter
from pathlib import Path

from csrc.files import write_files
from data.chat import formats
from data.tokens.documents import find_files


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", nargs="+", help="files of conversations, or folders of .json and "
                        ".jsonl, also .gz, in any of the formats of data/chat/formats.py")
    parser.add_argument("--out", metavar="FILE", help="write them as OpenAI's messages, JSON lines")
    args = parser.parse_args()

    lines = []
    for file in find_files(args.input, formats.ENDINGS):
        skipped, before = Counter(), len(lines)
        for conversation in formats.read(file, skipped):
            lines.append(json.dumps(conversation, ensure_ascii=False).encode() + b"\n")
        print(f"{file}: {len(lines) - before} conversations")
        for reason, count in skipped.most_common():
            print(f"    {count} skipped: {reason}")
    if args.out:
        write_files(Path(args.out).parent, {Path(args.out).name: lines})
        print(f"{args.out}: {len(lines)} conversations")

if __name__ == "__main__":
    cli.run(main)
