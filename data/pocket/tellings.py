"""How pages state facts: gone as soon as nobody asks here."""
from data.pocket import text
from data.pocket.words import rows

TELL = text.wordings("tell")


def topics(lines: str) -> dict:
    """Blocks "= topic" of lines, as {topic: lines}."""
    blocks = (block.partition("\n") for block in lines.strip().removeprefix("= ").split("\n= "))
    return {topic.strip(): rows(lines) for topic, _, lines in blocks}
