"""How many training pages state a fact of the pocket world, and in which class this puts it."""

from collections import Counter
from pathlib import Path

from csrc.files import ChatError, records
from data.tokens import shards
from data.tokens.documents import JSON_LINES, WORLD, find_files

LEAST = (0, 1, 2, 4, 10, 20, 50, 100, 200)  # pages that state a fact: where each class begins


def bucket(least: int) -> str:
    """The name of the class that begins at so many pages: pages_0, pages_2_3, pages_200."""
    after = dict(zip(LEAST, LEAST[1:])).get(least, least + 1)
    return f"pages_{least}" + f"_{after - 1}" * (after - 1 > least)


def training_texts(sources) -> list[str]:
    """Return the documents that a model trained on `sources` has read: not those held out."""
    texts = []
    for part, begins, text in shards.split(shards.survey(find_files(sources)), shards.HELD_OUT):
        if part == "train":
            if begins:
                texts.append(text)
            else:
                texts[-1] += text
    return texts


def json_lines(sources) -> list[Path]:
    """The files of `sources`, which must be JSON lines."""
    files = find_files(sources)
    for file in files:
        if not file.name.endswith(JSON_LINES):
            raise ChatError(f"{file}: not a file of JSON lines ({', '.join(JSON_LINES)})")
    return files


def stated(documents=WORLD, truth=None) -> Counter:
    """Return {fact id: how many training pages state it}.

    documents  a file or folder of JSON lines, or "world". Either each has its "facts", or
    truth      pages.jsonl.gz of the crawl they come from (data/pocket/web.py) has, by their "url";
               None: crawl/truth/ beside the folder of documents, where the embedded corpus has it
    """
    files = json_lines([documents])
    beside = files[0].resolve().parents[1] / "crawl" / "truth" / "pages.jsonl.gz"
    truths = [Path(truth)] if truth else [beside] if beside.exists() else []
    texts = training_texts([documents])
    by_url = {record.get("url"): record.get("facts")
              for file in truths for _, record in records(file)}
    facts = {record["text"]: record.get("facts", by_url.get(record.get("url")))
             for file in files for _, record in records(file)}
    if not any(facts.values()):
        raise ChatError(f"{documents}: no document has \"facts\", the ids of those that it "
                        f"states, nor does the truth of a crawl tell them of its \"url\"")
    return Counter(fact for text in texts for fact in facts[text] or ())
