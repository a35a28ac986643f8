"""Documents to shards of tokens (data/tokens/shards.py).

    python data/shards.py book.txt --out build/data/book
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from csrc import cli
    cli.enter()

from dataclasses import dataclass

from csrc import cli
from csrc.cli import flag
from csrc.files import ChatError, check_new
from data.tokens.documents import find_files
from data.tokens.shards import HELD_OUT, SHARD_TOKENS, VOCABULARY, build


@dataclass
class Shards:
    """The command's flags."""
    sources: list[str] = flag(positional=True, help="files or folders of documents; 'world' is the "
                              "embedded corpus")
    out: Path = flag(help="a new folder for the shards")
    tokenizer: str | None = flag(None, "use this one: a folder, gpt2, cl100k_base, o200k_base, or "
                                 "the file of one of those")
    vocab_size: int | None = flag(None, "without --tokenizer: learn one of so many tokens from the "
                                  f"text; without either: {VOCABULARY}", limits="[288, inf)")
    held_out: float = flag(HELD_OUT, "fraction of the text for val-*.bin", limits="[0, 1)")
    shard_tokens: int = flag(SHARD_TOKENS, "most tokens in one shard", limits=f"[1, {2**31 - 1}]")


def make(settings):
    """Make the folder of shards, and tell what is in it."""
    out = settings.out
    check_new(out)
    if settings.tokenizer and settings.vocab_size:
        raise ChatError(f"--tokenizer {settings.tokenizer} does not go with --vocab-size, which is "
                        "of a new one")
    meta = build(out, find_files(settings.sources), settings.tokenizer,
                 settings.vocab_size or VOCABULARY, settings.held_out, settings.shard_tokens)
    size = 0
    for part in ("train", "val"):
        count, length, tokens = meta[part].values()
        size += length
        print(f"{part}: {count} documents, {tokens} tokens, "
              f"{length / max(tokens, 1):.2f} bytes per token")
    print(f"{out}: {size / 1e6:.1f} MB in {meta['seconds']} s, "
          f"{size / 1e6 / max(meta['seconds'], 0.01):.1f} MB/s")


COMMANDS = {"shards": (Shards, make)}

if __name__ == "__main__":
    cli.run(lambda: cli.dispatch(__doc__, COMMANDS))
