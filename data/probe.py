"""Find out what a model does not know, and make conversations that teach it to say so.

As for Llama 3 (arXiv:2407.21783, section 4.3.6): questions whose answers are known are put to the
model several times each. Where it is right more often than not, a conversation gives the true
answer, so that declining does not spread; where it hardly ever is, one says that it does not know;
what lies between is left out. Trained on these, a model goes by whether a name is familiar.

    python data/probe.py --model runs/sft --out build/probe.jsonl
    python data/probe.py --model runs/sft --data pages.jsonl --judge runs/judge --out probe.jsonl
    python data/probe.py --model runs/sft --data pages.jsonl --judge http://localhost:8080/v1 ...
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from csrc import cli
    cli.enter()

import re
from collections import Counter
from dataclasses import dataclass

from csrc import cli
from csrc.cli import flag
from csrc.engine import Sampling
from csrc.files import ChatError, write_lines
from csrc.runs import find_model
from data.pocket import probe
from data.pocket.grammar import Dice
from data.tokens.documents import documents

REPLY = 64              # tokens of a reply at most: the answer is one sentence


@dataclass
class Probe:
    """The flags."""

    out: Path = flag(help="JSON lines of conversations to write")
    model: Path | None = flag(None, "the assistant to be probed (default: the newest run)")
    data: list[str] = flag(lambda: ["world"], "what the questions are about: world, or documents: "
                           "text files, JSON lines, Parquet, folders")
    judge: str = flag("world", "world, which knows the truth of --data world; a model's folder; or "
                      "the URL of a server with OpenAI's protocol")
    judge_model: str | None = flag(None, "how the server calls its model, where it has many")
    times: int = flag(3, "how often each question is asked", limits="[1, 1000]")
    count: int = flag(3000, "questions", limits="[1, inf)")
    worlds: int = flag(8, "other worlds: over half of the things that no page names are theirs; 0: "
                       "none are", limits="[0, 1000]")
    declining: float = flag(0.65, "share of the conversations that say that they do not know",
                            limits="[0, 1]")
    temperature: float = flag(0.7, "of the replies", limits="[0, inf)")
    seed: int = flag(0, "the same seed, the same conversations", limits="[0, inf)")


def main(s: Probe) -> None:
    """Ask, judge, sort, and write the conversations."""
    if s.judge == "world" and s.data != ["world"]:
        raise ChatError(f"--judge world knows the truth of --data world alone: to judge what is "
                        f"said about {' '.join(s.data)}, name a model's folder or a URL")
    if s.out.is_dir():
        raise ChatError(f"{s.out}: a folder, but --out must name a file")
    engine, failed = probe.load(find_model(s.model)), Counter()
    if s.judge == "world":
        judge = probe.WorldJudge(s.seed, s.worlds)
        questions = judge.choose(s.count)
    else:
        judge = probe.ModelJudge(probe.server(s.judge, s.judge_model), at_once=8) \
            if re.match("https?://", s.judge) else probe.ModelJudge(probe.local(s.judge))
        questions = probe.choose(judge, documents(*s.data), s.count, failed)
    sampling = Sampling(temperature=s.temperature, max_tokens=REPLY, seed=s.seed)
    probed = probe.probe(engine, judge, questions, s.times, sampling, failed)
    if not probed:
        raise ChatError(f"there is no verdict on any reply{probe.reasons(failed)}")
    print(probe.table(probed))
    for reason, count in failed.most_common():
        print(f"left out {count} times: {reason}")
    write_lines(s.out, made := told(s, probed))
    print(f"{s.out}: {len(made)} conversations")


def told(s: Probe, probed: list) -> list[dict]:
    """The conversations; those that there are of one sort where a model knows nothing, or all."""
    found, dice = probe.sort(probed), Dice(f"probe {s.seed} told")
    if made := probe.conversations(dice, probed, s.declining):
        return made
    counts = ", ".join(f"{len(some)} {name}" for name, some in found.items())
    none = f"no conversations of which a share of {s.declining} decline can be made of the answers"
    if 0 < s.declining < 1 and (found["known"] or found["unknown"]):
        print(f"{none} ({counts}): they all {'tell' if found['known'] else 'decline'}")
        return probe.conversations(dice, probed, 0 if found["known"] else 1)
    raise ChatError(f"{none} ({counts}): choose another --declining")


if __name__ == "__main__":
    cli.run(lambda: cli.dispatch(__doc__, {"probe": (Probe, main)}))
