"""The pocket world: a small invented internet, written from a seed (data/pocket).

    python data/world.py                                       a page of each kind, to read
    python data/world.py --size 8M --out build/world           the world's web, as WARC files
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from csrc import cli
    cli.enter()

import argparse
from pathlib import Path

from data.pocket import web
from data.pocket.world import byte_count, show
from data.tokens import parallel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, metavar="S",
                        help="which world; another seed is another world (default: 0)")
    parser.add_argument("--size", type=byte_count, default=8 << 20, metavar="N",
                        help="bytes of text: 500K, 8M, 1G (default: 8M, about 8,300 pages)")
    parser.add_argument("--out", type=Path, metavar="FOLDER",
                        help="write a crawl of this world's web to a new folder (WARC files, "
                             "blocklists, the truth: see data/pocket/web.py); without it, print a "
                             "page of each kind")
    parser.add_argument("--workers", type=int, metavar="N",
                        help="processes that write (default: one a processor)")
    args = parser.parse_args()
    if args.out is None:
        return show(args.seed, args.size)
    with parallel.workers(args.workers) as executor:
        web.write(args.out, args.seed, args.size, executor)
    print(f"{args.out}: warc, blocklists, truth; next: python data/web.py {args.out}/warc "
          f"--blocklists {args.out}/blocklists --out FOLDER")

if __name__ == "__main__":
    cli.run(main)
