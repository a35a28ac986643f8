"""Learn a vocabulary from text, and see how a text becomes tokens (data/tokens).

    python data/bpe.py train book.txt --vocab-size 4096 --out build/tokenizer
    python data/bpe.py show "Hello, world" --tokenizer build/tokenizer cl100k_base
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from csrc import cli
    cli.enter()

import time
from dataclasses import dataclass

from csrc import cli
from csrc.cli import flag
from csrc.files import write_file
from csrc.shown import progress, raw
from data.tokens import openai, show
from data.tokens.bpe import FILES, Tokenizer, wanted_merges
from data.tokens.documents import find_files, pieces
from data.tokens.learn import count_chunks, learn_merges


@dataclass
class Train:
    """Learn a vocabulary from text."""
    sources: list[str] = flag(positional=True, help='text files, JSON lines with a "text" each, '
                              "Parquet, folders of these; or 'world', the embedded corpus")
    out: Path = flag(help="a folder for the tokenizer")
    vocab_size: int = flag(4096, "tokens: 256 bytes and 32 special ones among them",
                           limits="[288, inf)")


@dataclass
class Show:
    """Draw a text's tokens, and count them."""
    text: str = flag(positional=True, help="a text, or a file that holds it, or - for stdin")
    tokenizer: list[str] = flag(help=f"folders, names ({', '.join(openai.KNOWN)}) or their files; "
                                "several are drawn one after the other and compared")
    html: Path | None = flag(None, "write a page instead")


def train(settings):
    """Count the chunks of the text, merge, save."""
    start, wanted = time.time(), wanted_merges(settings.vocab_size)
    if (settings.out / FILES[0]).exists():
        raise FileExistsError(f"{settings.out} holds a tokenizer already: choose another --out")
    texts = (text for file in find_files(settings.sources) for _, text in pieces(file))
    chunks = count_chunks(progress(texts, "reading", unit=" texts"))
    merges, saved = learn_merges(chunks, wanted)
    tokenizer = Tokenizer.from_merges(merges)
    tokenizer.save(settings.out)
    size = chunks.bytes()
    print(f"{settings.out}: {tokenizer.vocab_size} tokens, {size / (size - sum(saved)):.2f} bytes "
          f"per token of {size / 1e6:.1f} MB, in {time.time() - start:.1f} s")


def show_tokens(settings):
    """Print the tokens or write them as a page."""
    text = show.read(settings.text)
    rows, tokens = show.compare(text, settings.tokenizer)
    if settings.html:
        write_file(settings.html, show.page(rows, tokens))
        print(f"{settings.html}: {', '.join(f'{row[2]} tokens of {row[0]}' for row in rows[1:])}")
    else:
        sys.stdout.reconfigure(errors="backslashreplace")
        print(show.for_terminal(rows, tokens, sys.stdout.isatty()), file=raw(sys.stdout))


COMMANDS = {"train": (Train, train), "show": (Show, show_tokens)}

if __name__ == "__main__":
    cli.run(lambda: cli.dispatch(__doc__, COMMANDS))
