"""What is printed: nothing that a page, a model, a file's name or an error says acts on a terminal.
"""

import re
import sys

# What a terminal or a reader might obey: controls but tab and newline, ends of lines and marks of
# direction that Unicode adds; halves of characters, which cannot be written.
CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(text: str) -> str:
    """A text that may be anybody's as it can be shown."""
    return CONTROLS.sub("\ufffd", text)


class Plain:
    """A standard stream to which all is printed plainly. What is ours alone, colours and progress
    bars, goes to raw(stream)."""

    def __init__(self, stream):
        self.stream = stream
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")     # where the terminal's encoding lacks it

    def write(self, text: str) -> int:
        """Write a text as it can be shown."""
        self.stream.write(plain(text))
        return len(text)

    def writelines(self, lines) -> None:
        """Write several."""
        self.write("".join(lines))

    def __getattr__(self, name):
        return getattr(self.stream, name)


def print_plainly() -> None:
    """Let nothing that this program prints act on a terminal from now on."""
    sys.stdout, sys.stderr = (stream and Plain(stream) for stream in (sys.stdout, sys.stderr))


def raw(stream):
    """The stream on which what is printed acts."""
    return stream.stream if isinstance(stream, Plain) else stream


def progress(items=None, label="", **how):
    """A tqdm bar around `items`: it appears after 2 s, if stderr is a terminal."""
    from tqdm import tqdm                        # not there before `make`

    return tqdm(items, plain(label), file=raw(sys.stderr), dynamic_ncols=True, delay=2, leave=False,
                disable=None, **how)
