"""From a web crawl to documents: filters, deduplication and a report, as FineWeb does it; the
stages are in data/crawl/pipeline.py.

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

import time
from dataclasses import dataclass, fields

from csrc import cli
from csrc.cli import flag
from data.crawl.pipeline import Settings, run
from data.crawl.report import describe


@dataclass(frozen=True, kw_only=True)
class Web(Settings):
    """What decides the output, and where it comes from, goes to and is made."""
    sources: list[str] = flag(positional=True, help="WARC or WET files, plain or .gz, or folders "
                              "of them")
    out: Path = flag(help="a new folder, or one to go on with")
    workers: int | None = flag(None, "processes; without it, one a core", limits="[1, 1024]")


def filter_crawl(web):
    """Run the pipeline, and tell what each stage left."""
    start = time.time()
    settings = Settings(**{field.name: getattr(web, field.name) for field in fields(Settings)})
    report = run(web.sources, web.out, settings, web.workers)
    seconds = time.time() - start
    print(describe(report))
    print(f"{web.out}: documents-*.jsonl.gz, report.md, report.png; {seconds:.1f} s, "
          f"{report['funnel'][0]['pages'] / seconds:,.0f} pages a second")


COMMANDS = {"web": (Web, filter_crawl)}

if __name__ == "__main__":
    cli.run(lambda: cli.dispatch(__doc__, COMMANDS))
