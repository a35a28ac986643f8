"""Conversations of the pocket world, to make an assistant of a base model (data/pocket/talk.py).

    python data/talk_world.py --out build/talk      build/talk/conversations/KIND.jsonl, and beside
                                                    them search.db, what the assistant searches,
                                                    and practice.jsonl, documents to pretrain on
    python data/talk_world.py                       what an ideal answer is
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from csrc import cli
    cli.enter()

from csrc import cli
from data.pocket.talk import Talk, talk

if __name__ == "__main__":
    cli.run(lambda: cli.dispatch(__doc__, {"talk": (Talk, talk)}))
