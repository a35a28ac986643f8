"""From a web crawl to documents: filters, deduplication and a report, as FineWeb does it; the stages
are in data/crawl/pipeline.py.

    python data/web.py crawl.warc.gz --out build/web                 then: train.py --data build/web
    python data/web.py crawl/ --out build/text --until extract       the text of all pages
    mpirun -n 64 .venv/bin/python -m mpi4py.futures data/web.py ...  on a cluster
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from csrc import cli
    cli.enter()

import argparse
import time

from csrc.files import ChatError
from data.crawl.pipeline import STAGES, Settings, run
from data.crawl.report import describe


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("sources", nargs="+", help="WARC or WET files, plain or .gz, or folders of them")
    add("--out", required=True, metavar="FOLDER", help="a new folder, or one to go on with")
    add("--until", choices=STAGES, default=Settings.until, metavar="STAGE",
        help="stop after this stage and write what it kept")
    add("--language", default=Settings.language, metavar="CODE",
        help="the wanted one (default %(default)s)")
    add("--language-score", type=float, default=Settings.language_score, metavar="P",
        help="least probability of it (default %(default)s)")
    add("--blocklists", nargs="+", default=(), metavar="FOLDER",
        help="domains to leave out: folders in UT1's format, with CATEGORY/domains "
             "(data/download.py ut1 fetches UT1's)")
    add("--bad-words", metavar="FILE", help="leave out pages with a word of this list (as C4 does)")
    add("--tokenizer", metavar="T", help="count tokens with this folder, file or name, such as "
                                         "cl100k_base (default: an estimate from bytes)")
    add("--keep-rejects", action="store_true",
        help="write what each stage rejected, too: rejects-*.gz")
    add("--workers", type=int, metavar="N", help="processes (default: one a core)")
    args = vars(parser.parse_args())
    sources, out, workers = args.pop("sources"), args.pop("out"), args.pop("workers")
    if not 0 <= args["language_score"] <= 1:
        raise ChatError(f"--language-score is {args['language_score']}, but must be in [0, 1]")
    args["blocklists"] = tuple(args["blocklists"])
    start = time.time()
    report = run(sources, out, Settings(**args), workers)
    seconds = time.time() - start
    print(describe(report))
    print(f"{out}: documents-*.jsonl.gz, report.md, report.png; {seconds:.1f} s, "
          f"{report['funnel'][0]['pages'] / seconds:,.0f} pages a second")


if __name__ == "__main__":
    cli.run(main)
