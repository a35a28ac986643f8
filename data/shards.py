"""Documents to shards of tokens (data/tokens/shards.py).

    python data/shards.py book.txt --out build/data/book
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from csrc import cli
    cli.enter()

import argparse

from data.tokens.documents import find_files
from data.tokens.shards import HELD_OUT, SHARD_TOKENS, build


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("input", nargs="+", help="files or folders of documents; 'world' is the embedded corpus")
    add("--out", required=True, metavar="FOLDER", help="a new folder for the shards")
    add("--tokenizer", metavar="T",
        help="use this one: a folder, gpt2, cl100k_base, o200k_base, or the file of one of those")
    add("--vocab-size", type=int, default=4096, metavar="N",
        help="without --tokenizer: learn one of N tokens from the text (default %(default)s)")
    add("--held-out", type=float, default=HELD_OUT, metavar="F",
        help="fraction of the text for val-*.bin (default %(default)s)")
    add("--shard-tokens", type=int, default=SHARD_TOKENS, metavar="N",
        help="most tokens in one shard (default %(default)s)")
    args = parser.parse_args()

    out = Path(args.out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} exists and is not an empty folder")
    meta = build(out, find_files(args.input), args.tokenizer, args.vocab_size, args.held_out,
                 args.shard_tokens)
    size = 0
    for part in ("train", "val"):
        count, length, tokens = meta[part].values()
        size += length
        print(f"{part}: {count} documents, {tokens} tokens, "
              f"{length / max(tokens, 1):.2f} bytes per token")
    print(f"{out}: {size / 1e6:.1f} MB in {meta['seconds']} s, "
          f"{size / 1e6 / max(meta['seconds'], 0.01):.1f} MB/s")

if __name__ == "__main__":
    cli.run(main)
