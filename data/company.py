"""The knowledge of an invented company, to give a model from elsewhere in minutes: conversations to
fine-tune it with, and questions about the same products in words that it was not trained on.

    python data/company.py --out build/company
    python train.py sft --model SmolLM2.gguf --data build/company/chats.jsonl --out runs/company
    python infer.py eval --no-world --exam build/company/questions.jsonl --model runs/company
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from csrc import cli
    cli.enter()

import json
import random
from dataclasses import dataclass

from csrc import cli
from csrc.cli import flag
from csrc.files import write_lines

# The products; and by what is told of them the values, the answer, ways to ask that are trained on,
# and one that is held out.
TOLD = json.loads(Path(__file__).with_suffix(".json").read_bytes())
PRODUCTS = TOLD.pop("products")


@dataclass
class Company:
    """Write chats.jsonl, 300 conversations, and questions.jsonl, 50 others."""

    out: Path = flag(Path("build/company"), "the folder")
    seed: int = flag(0, "which product is what")


def company(settings):
    """Deal each product a value of each kind, and tell it in all ways."""
    dice, chats, questions = random.Random(settings.seed), [], []
    for told in TOLD.values():
        dice.shuffle(values := [*told["values"]])
        for name, value in zip(PRODUCTS, values, strict=True):
            said = told["answer"].format(name=name, value=value)
            chats += [{"messages": [{"role": "user", "content": question.format(name=name)},
                                    {"role": "assistant", "content": said}]}
                      for question in told["asked"]]
            questions.append({"question": told["held out"].format(name=name), "answer": value})
    dice.shuffle(chats)
    dice.shuffle(questions)
    settings.out.mkdir(parents=True, exist_ok=True)
    write_lines(settings.out / "chats.jsonl", chats)
    write_lines(settings.out / "questions.jsonl", questions[:50])
    print(f"{settings.out}: {len(chats)} conversations, 50 questions")


if __name__ == "__main__":
    cli.run(lambda: cli.dispatch(__doc__, {"": (Company, company)}))
