"""Tokens as one sees them: coloured, with their ids, in a terminal or as an HTML page, and how many
each of several tokenizers makes of the same text.

What would not be seen is spelled out: blanks as dots and arrows, other characters without a shape
(controls, escapes, marks that turn the direction of writing) as their numbers, and the bytes of a
token that holds but a part of a character as \\xNN. So a text cannot write to the terminal.
"""

import os
import shutil
import sys
import unicodedata
from html import escape
from pathlib import Path

import numpy as np

from csrc.files import ChatError
from data.tokens.bpe import Tokenizer

SHAPES = {" ": "·", "\n": "⏎", "\r": "␍", "\t": "→"}
COLOURS = (153, 194, 229, 224, 189, 223)  # of the 256 that terminals have; PAGE has the same
PAGE = Path(__file__).with_name("show.html").read_text("utf-8")


def compare(text, names):
    """Tokenize a text by each of the tokenizers named: (the lines of a table, {name: [(token as
    shown, id), ...]})."""
    rows, tokens = [("tokenizer", "vocabulary", "tokens", "bytes per token")], {}
    for name in names:
        tokenizer = Tokenizer.load(name)
        ids = tokenizer.encode(text)
        size = int(tokenizer.byte_lengths[ids].sum()) if ids else 0
        rows.append((visible(name), f"{tokenizer.vocab_size:,}", f"{len(ids):,}",
                     f"{size / len(ids):.2f}" if ids else "-"))
        tokens[name] = [(spelled(tokenizer, i), i) for i in ids]
    return rows, tokens


def read(text):
    """Return the text that an argument stands for: stdin's, a file's, or itself."""
    if text == "-":
        data, name = sys.stdin.buffer.read(), "stdin"
    elif os.path.isfile(text):
        data, name = Path(text).read_bytes(), text
    else:
        return text
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ChatError(f"{name}: not UTF-8 at byte {error.start} ({error.reason})") from error


def visible(text):
    """Return `text` with a sign for each character that one would not see or should not print."""
    return "".join(SHAPES.get(char) or (char if unicodedata.category(char)[0] not in "CZ"
                                        else f"\\u{{{ord(char):x}}}") for char in text)


def draw(pieces, coloured):
    """Return the lines for a terminal: each token, then its id in small digits."""
    small = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
    drawn = []
    for n, (piece, i) in enumerate(pieces):
        token = piece + str(i).translate(small)
        if coloured:
            token = f"\x1b[30;48;5;{COLOURS[n % len(COLOURS)]}m{token}\x1b[0m"
        drawn.append(token + "\n" * (SHAPES["\n"] in piece))
    return "".join(drawn)


def odds(tokenizer, token, probabilities):
    """Return a line for a terminal: a token, then the likeliest of those that it was drawn from
    (V), itself among them, each with a bar."""
    room = max(1, (shutil.get_terminal_size().columns - 18) // 20)
    likely = [i for i in np.argsort(-probabilities, kind="stable")[:room] if probabilities[i] > 0]
    if token not in likely:
        likely[-1] = token
    line = paint(in_columns(spelled(tokenizer, token), 12), "1")
    for i in likely:
        full, part = divmod(round(float(probabilities[i]) * 5 * 8), 8)  # a bar of five, in eighths
        bar = "█" * full + "▏▎▍▌▋▊▉"[part - 1:part]
        cell = f"{in_columns(spelled(tokenizer, i), 8)} {bar:5}{probabilities[i]:4.0%}"
        line += "  " + (paint(cell, "32") if i == token else cell)
    more = np.count_nonzero(probabilities) - len(likely)
    return line + (paint(f"  +{more}", "2") if more else "") + "\n"


def spelled(tokenizer, token):
    """Return a token as `visible` shows it."""
    return visible(tokenizer.decode_bytes([token]).decode("utf-8", "backslashreplace"))


def in_columns(text, width):
    """Return a text in `width` columns of a terminal, cut where it is wider."""
    text = text[:8 * width]                      # with marks on its letters
    while (used := sum((unicodedata.category(c) != "Mn") + (unicodedata.east_asian_width(c) in "WF")
                       for c in text)) > width:
        text = text[:-2] + "…"
    return text + " " * (width - used)


def paint(text, code, file=sys.stdout):
    """Return `text` in a colour (an SGR code) if `file` is a terminal."""
    return f"\x1b[{code}m{text}\x1b[0m" if coloured(file) else text


def coloured(file):
    """Return whether what is written to `file` may have colours."""
    return file.isatty() and "NO_COLOR" not in os.environ


def for_terminal(rows, tokens, coloured):
    """Return the lines of `compare`'s results for a terminal."""
    drawn = [(f"{visible(name)}\n" if len(tokens) > 1 else "") + draw(pieces, coloured) + "\n"
             for name, pieces in tokens.items()]
    width = max(len(row[0]) for row in rows)
    return "\n".join(drawn + [f"{first:{width}}" + "".join(f"{value:>17}" for value in others)
                              for first, *others in rows])


def page(rows, tokens):
    """Return `compare`'s results as a page that needs no other file."""
    def cells(kind, row):
        return "".join(f"<{kind}>{escape(cell)}</{kind}>" for cell in row)

    table = "\n".join(f"<tr>{cells('td' if n else 'th', row)}</tr>" for n, row in enumerate(rows))
    parts = [f"{PAGE}<table>\n{table}\n</table>\n"]
    for name, pieces in tokens.items():
        spans = (f'<span class="c{n % len(COLOURS)}">{escape(piece)}<sub>{i}</sub></span>'
                 + "<br>\n" * (SHAPES["\n"] in piece) for n, (piece, i) in enumerate(pieces))
        parts.append(f'<h2>{escape(visible(name))}</h2>\n<p class="text">{"".join(spans)}</p>\n')
    return "".join(parts)
