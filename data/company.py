"""The knowledge of an invented company, to give a model from elsewhere in minutes: conversations to
fine-tune it with, and questions about the same products in words that it was not trained on.

    python data/company.py --out build/company
    python train.py sft --model SmolLM2.gguf --data build/company/chats.jsonl --out runs/company
    python infer.py eval --no-world --exam build/company/questions.jsonl --model runs/company
"""

import random
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from csrc import cli
    cli.enter()

from dataclasses import dataclass

from csrc import cli
from csrc.cli import flag
from csrc.files import write_lines

PRODUCTS = """Tern desk lamp|Corvo kettle|Plinth bookshelf|Wick candle warmer|Marlo bicycle bell
Oxbow garden hose|Fennel chopping board|Juno alarm clock|Pebble door stop|Harrow wool blanket
Sorrel teapot|Sedge watering can""".replace("\n", "|").split("|")
VALUES = {
    "colour": "amber crimson teal ivory olive indigo scarlet charcoal violet copper silver mint",
    "price": " ".join(f"{n}" for n in range(17, 89, 6)),
    "warranty": " ".join(f"{n}" for n in range(2, 14)),
    "town": "Vantmoor Elsby Corrin Dunlow Hatherly Isk Pell Quillan Ravensby Stennet Tolver Ur",
    "material": "oak brass cork slate linen glass bamboo steel clay leather ash marble",
}
# The answer, ways to ask that are trained on, and last the one that is held out.
WORDS = {
    "colour": ("The {name} comes in {value}.", "What colour is the {name}?",
               "Which colour does the {name} have?", "Tell me the colour of your {name}.",
               "In what colour do you sell the {name}?", "The {name}: what colour is it?",
               "I would like to know the {name}'s colour."),
    "price": ("The {name} costs {value} crowns.", "What does the {name} cost?",
              "How much is the {name}?", "What is the price of the {name}?",
              "How many crowns do you want for the {name}?", "The {name}: what does it cost?",
              "Tell me how much I have to pay for the {name}."),
    "warranty": ("The {name} has a warranty of {value} years.",
                 "How long is the warranty of the {name}?", "What warranty does the {name} have?",
                 "For how many years is the {name} under warranty?",
                 "Does the {name} come with a warranty?", "The {name}: how long is its warranty?",
                 "Tell me how many years of warranty come with the {name}."),
    "town": ("The {name} is made in {value}.", "Where is the {name} made?",
             "In which town do you make the {name}?", "Where does the {name} come from?",
             "Which town is the {name} from?", "The {name}: where is it made?",
             "Tell me the town in which you make the {name}."),
    "material": ("The {name} is made of {value}.", "What is the {name} made of?",
                 "Which material is the {name} made of?", "What is the material of the {name}?",
                 "Of what do you make the {name}?", "The {name}: what is it made of?",
                 "Tell me from which material you make the {name}."),
}


@dataclass
class Company:
    """Write chats.jsonl, 300 conversations, and questions.jsonl, 50 others."""

    out: Path = flag(Path("build/company"), "the folder")
    seed: int = flag(0, "which product is what")


def company(settings):
    """Deal each product a value of each kind, and tell it in all ways."""
    dice, chats, questions = random.Random(settings.seed), [], []
    for kind, (answer, *asked, held) in WORDS.items():
        values = VALUES[kind].split()
        dice.shuffle(values)
        for name, value in zip(PRODUCTS, values, strict=True):
            said = answer.format(name=name, value=value)
            chats += [{"messages": [{"role": "user", "content": question.format(name=name)},
                                    {"role": "assistant", "content": said}]} for question in asked]
            questions.append({"question": held.format(name=name), "answer": value})
    dice.shuffle(chats)
    dice.shuffle(questions)
    settings.out.mkdir(parents=True, exist_ok=True)
    write_lines(settings.out / "chats.jsonl", chats)
    write_lines(settings.out / "questions.jsonl", questions[:50])
    print(f"{settings.out}: {len(chats)} conversations, 50 questions")


if __name__ == "__main__":
    cli.run(lambda: cli.dispatch(__doc__, {"": (Company, company)}))
