"""Conversations in any known format, as OpenAI's messages (data/chat/formats.py).

    python data/talk.py chats.json --out build/chats.jsonl
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from csrc import cli
    cli.enter()

from collections import Counter
from dataclasses import dataclass

from csrc import cli
from csrc.cli import flag
from csrc.files import write_lines
from data.chat import formats
from data.tokens.documents import find_files


@dataclass
class Convert:
    """Read conversations, say how many there are, and write them as OpenAI's messages."""
    input: list[str] = flag(positional=True, help="files of conversations, or folders of .json and "
                            ".jsonl, also .gz, in any of the formats of data/chat/formats.py")
    out: Path | None = flag(None, "a file for them, JSON lines")


def convert(settings):
    """Read all files, then write: nothing is written if one cannot be read."""
    found = []
    for file in find_files(settings.input, formats.ENDINGS):
        skipped, unused, before = Counter(), Counter(), len(found)
        found += formats.read(file, skipped, unused)
        print(f"{file}: {len(found) - before} conversations")
        for why, count in skipped.most_common():
            print(f"    {count} skipped: {why}")
        for column, count in unused.most_common():
            print(f"    {count} have {column!r}, which is not used")
    if settings.out:
        write_lines(settings.out, found)
        print(f"{settings.out}: {len(found)} conversations")


if __name__ == "__main__":
    cli.run(lambda: cli.dispatch(__doc__, {"": (Convert, convert)}))
