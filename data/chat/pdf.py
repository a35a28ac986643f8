"""The text of a PDF: bytes on stdin, text on stdout. A program of its own with limits, for whatever
such a file makes pypdf do ends with it."""

import resource
import sys
from contextlib import suppress
from io import BytesIO

LONGEST = 1 << 20        # characters
LIMITS = {"RLIMIT_AS": 2 << 30, "RLIMIT_CPU": 20}        # bytes, seconds


def main():
    """Exit with a sentence where there is no text to be had."""
    for name, most in LIMITS.items():
        with suppress(OSError, ValueError):      # macOS knows no RLIMIT_AS
            resource.setrlimit(getattr(resource, name), (most, most))
    try:
        from pypdf import PdfReader              # loaded where it is used
    except ImportError:
        sys.exit("PDF needs pypdf: pip install pypdf")
    texts, size = [], 0
    try:
        for page in PdfReader(BytesIO(sys.stdin.buffer.read())).pages:
            texts.append(page.extract_text().strip())
            size += len(texts[-1])
            if size > LONGEST:
                break
    except Exception as error:                   # whatever pypdf makes of a damaged file
        sys.exit(f"it is no PDF that can be read ({type(error).__name__}: {error})")
    sys.stdout.buffer.write("\n\n".join(texts).encode("utf-8", "replace"))


if __name__ == "__main__":
    main()
