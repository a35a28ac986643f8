"""Lines of text: gone as soon as nobody asks for them."""
from data.pocket import text

NOUNS = text.load("words")["nouns"]


def rows(text):
    """The lines, of which an indented one continues the one above."""
    return text.replace("\n  ", " ").strip().splitlines()
