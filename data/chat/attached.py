"""Files that a user adds to a question, as text: text, Markdown, CSV, JSON and code as they are, of
HTML its main text (data/crawl/extract.py), of PDF what pypdf finds (pdf.py)."""

import os
import subprocess
import sys
from pathlib import Path
from reprlib import repr as short

from csrc.files import ChatError
from data.chat.protocol import read_text

KINDS = "text, Markdown, CSV, JSON, code, HTML or PDF"
NAME = 200           # characters of a name
SECONDS = 30         # that a PDF may take
WEB = (".html", ".htm", ".xhtml")


def read(name, data):
    """(name, text) of a file's bytes; ChatError if there is no text in it, or too much."""
    name = " ".join("".join(c if c.isprintable() else " " for c in name).split())[:NAME] or "file"
    try:
        text = read_text(text_of(os.path.splitext(name)[1].lower(), data))
    except ChatError as error:
        raise ChatError(f"{short(name)}: {error}") from error
    if not text.strip():
        raise ChatError(f"{short(name)}: there is no text in it")
    return name, text


def text_of(ending, data):
    """The text of a file with such an ending."""
    if ending == ".pdf" or data.startswith(b"%PDF-"):
        return pdf(data)
    text = decoded(data)
    if ending not in WEB:
        return text
    from data.crawl.extract import extract       # loaded when it is asked for
    return extract(text)


def decoded(data):
    """The characters of bytes; ChatError if they are no text."""
    if not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        controls = data.translate(None, bytes({*range(256)} - {*range(32)} | {*b"\t\n\f\r\x1b"}))
        if b"\0" in data or len(controls) > len(data) // 100:
            raise ChatError(f"it is no text, but must be {KINDS}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        from data.crawl.extract import decode    # loaded when it is asked for
        text = decode(data)
    return text.replace("\r\n", "\n").replace("\0", "")


def pdf(data):
    """The text of a PDF."""
    try:
        done = subprocess.run([sys.executable, Path(__file__).with_name("pdf.py")], input=data,
                              capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise ChatError(f"it took more than {SECONDS} seconds to be read") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ChatError(said[-1][:500] if done.returncode == 1 and said else
                        "the process that reads it ended: it may be too large")
    return done.stdout.decode("utf-8", "replace")
