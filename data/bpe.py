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

import argparse
import time

from tqdm import tqdm

from data.tokens import documents, openai, show
from data.tokens.bpe import FILES, Tokenizer, wanted_merges
from data.tokens.learn import count_chunks, learn_merges
from data.tokens.parallel import IF_SLOW


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("train", help="learn a vocabulary from text")
    command.add_argument("text", nargs="+", help="text files, JSON lines with a \"text\" each, "
                         "either of them .gz, folders of these; or 'world', the embedded corpus")
    command.add_argument("--vocab-size", type=int, default=4096, metavar="N", help="tokens, with "
                         "256 bytes and 32 special ones among them (default %(default)s)")
    command.add_argument("--out", required=True, metavar="FOLDER", help="where to write it")
    command.set_defaults(run=train)
    command = commands.add_parser("show", help="draw a text's tokens, and count them")
    command.add_argument("text", help="a text, or a file that holds it, or - for stdin")
    command.add_argument("--tokenizer", nargs="+", required=True, metavar="T", help="folders, "
                         f"names ({', '.join(openai.KNOWN)}) or their files; several are "
                         "drawn one after the other and compared")
    command.add_argument("--html", metavar="FILE", help="write a page instead")
    command.set_defaults(run=show.show)
    args = parser.parse_args()
    args.run(args)


def train(args):
    """The command `train`."""
    start, wanted = time.time(), wanted_merges(args.vocab_size)
    if Path(args.out, FILES[0]).exists():
        raise FileExistsError(f"{args.out} holds a tokenizer already: choose another --out")
    texts = (text for file in documents.find_files(args.text) for _, text in documents.pieces(file))
    chunks = count_chunks(tqdm(texts, "reading", unit=" texts", **IF_SLOW))
    merges, saved = learn_merges(chunks, wanted)
    tokenizer = Tokenizer.from_merges(merges)
    tokenizer.save(args.out)
    size = chunks.bytes()
    print(f"{args.out}: {tokenizer.vocab_size} tokens, {size / (size - sum(saved)):.2f} bytes per "
          f"token of {size / 1e6:.1f} MB, in {time.time() - start:.1f} s")

if __name__ == "__main__":
    cli.run(main)
