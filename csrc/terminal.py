"""What a terminal shows: tokens in so many columns, what each was drawn from, colours, notes."""

import os
import shutil
import sys
import unicodedata

import numpy as np


def describe(engine, token, probabilities):
    """Return a line: the token, then the likeliest that could have come, itself among them."""
    room = max(1, (shutil.get_terminal_size().columns - 18) // 20)
    likely = [i for i in np.argsort(-probabilities, kind="stable")[:room] if probabilities[i] > 0]
    if token not in likely:
        likely[-1] = token
    line = paint(spell(engine, token, 12), "1")
    for i in likely:
        full, part = divmod(round(float(probabilities[i]) * 5 * 8), 8)  # a bar of five, in eighths
        bar = "█" * full + "▏▎▍▌▋▊▉"[part - 1:part]
        cell = f"{spell(engine, i, 8)} {bar:5}{probabilities[i]:4.0%}"
        line += "  " + (paint(cell, "32") if i == token else cell)
    more = np.count_nonzero(probabilities) - len(likely)
    return line + (paint(f"  +{more}", "2") if more else "") + "\n"


def spell(engine, token, width):
    """Return a token in `width` columns of a terminal; blanks are dots, controls are escapes."""
    text = engine.tokenizer.decode_bytes([token]).decode("utf-8", "backslashreplace")
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text).replace(" ", "·")
    while (used := sum((unicodedata.category(c) != "Mn") + (unicodedata.east_asian_width(c) in "WF")
                       for c in text)) > width:
        text = text[:-2] + "…"
    return text + " " * (width - used)


def paint(text, code, file=sys.stdout):
    """Return `text` in a colour (an SGR code) if `file` is a terminal."""
    return f"\x1b[{code}m{text}\x1b[0m" if file.isatty() and "NO_COLOR" not in os.environ else text


def note(text):
    print(paint(text, "2", sys.stderr), file=sys.stderr, flush=True)
