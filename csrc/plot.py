"""Pictures: Matplotlib, loaded when one is drawn, and a file that is whole or absent."""

from __future__ import annotations

import io
from contextlib import contextmanager
from pathlib import Path

from csrc.files import write_file
from csrc.shown import plain

# Distinct to the colour-blind, too, in this order.
COLOURS = ("#2a78d6", "#e0803a", "#1baa7a", "#b5489a", "#777777", "#d6a52a")


@contextmanager
def picture(path: Path | None = None, rows: int = 1, columns: int = 1, size=(8, 5), **layout):
    """Yield (figure, axes), as pyplot.subplots gives them, to draw on; then write `path`, a .png.
    With path None the figure's `png` attribute holds the bytes afterwards. Text is shown as it is:
    no dollar sign begins a formula."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.text import Text
    with rc_context({"text.parse_math": False}):
        figure = Figure(size, layout="constrained")
        yield figure, figure.subplots(rows, columns, **layout)
        for text in figure.findobj(Text):
            text.set_text(plain(text.get_text()))            # no font has half a character
        image = io.BytesIO()
        figure.savefig(image, dpi=120, metadata={"Software": None})
        figure.png = image.getvalue()
    if path is not None:
        write_file(Path(path), figure.png)
