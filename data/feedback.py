"""How far to follow a reward model, where the people whom it imitates are programmed and their true
score is known (Gao et al. 2022, arXiv:2210.10760): couplets, and a judge of them.

    python data/feedback.py write --out build/couplets  # as people write, most without care
    python train.py --data build/couplets/documents.jsonl --depth 2 --context 96 --vocab-size 512 \\
        --steps 500 --out runs/lines
    python train.py sft --model runs/lines --data build/couplets/chats.jsonl --mix 0 --context 96 \\
        --steps 500 --out runs/writer
    python data/feedback.py label --model runs/writer --pairs 1000 --out build/1000.jsonl
    python train.py reward --model runs/writer --data build/1000.jsonl --context 96 --out runs/judge
    python train.py rl --model runs/writer --data couplet --reward runs/judge --context 96 \\
        --max-tokens 64 --out runs/gamed
    python data/feedback.py curves --model runs/writer --rewards runs/judge --sizes 1000 \\
        --practised runs/gamed --out feedback.png"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from csrc import cli
    cli.enter()

from dataclasses import dataclass

import numpy as np

from csrc import cli
from csrc.bind import Model
from csrc.cli import flag
from csrc.files import ChatError, check_new, records, to_json, write_file, write_lines
from data.chat.turn import load
from data.experiments import overoptimisation as over
from data.pocket import couplets
from data.stages import tasks


@dataclass
class Write:
    """Write couplets to learn from, as documents and as conversations."""

    out: Path = flag(help="a new folder")
    count: int = flag(6000, "couplets", limits="[20, inf)")
    seed: int = flag(0, "which")


@dataclass
class Label:
    """Draw couplets from a model, and say which of two is better."""

    model: Path = flag(help="the model's folder")
    out: Path = flag(help="the preferences, JSON lines")
    pairs: int = flag(1000, "how many", limits="[20, inf)")
    seed: int = flag(0, "which")


@dataclass
class Curves:
    """Follow reward models ever farther, and see what the judge says."""

    model: Path = flag(help="the model's folder")
    rewards: list[str] = flag(help="reward models")
    sizes: list[int] = flag(help="of each, the number of pairs; those of one size are averaged, "
                                 "the last size is predicted by the others", limits="[1, inf)")
    practised: list[str] = flag(list, "runs of `train.py rl --reward`")
    preferring: list[str] = flag(list, "runs of `train.py dpo`")
    prompts: int = flag(24, "held-out problems", limits="[1, inf)")
    pool: int = flag(2000, "answers to each", limits="[1000, inf)")
    seed: int = flag(0, "of the answers")
    out: Path = flag(Path("feedback.png"), "the picture; beside it the figures, .json")


def write(s: Write) -> None:
    """The command `write`."""
    check_new(s.out)
    chances = [tasks.dice(f"couplet to learn from {s.seed} {n}") for n in range(s.count)]
    asked = [tasks.draw("couplet", d) for d in chances]
    rows = [(one.prompt, couplets.write(d, one.truth)) for d, one in zip(chances, asked)]
    write_lines(s.out / "documents.jsonl", ({"text": "\n".join(row)} for row in rows))
    write_lines(s.out / "chats.jsonl", (
        {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}
        for asked, said in rows))


def label(s: Label) -> None:
    """The command `label`: somewhat more than half of the pairs are no tie."""
    drawn = over.answers(load(s.model), s.model, 2 * s.pairs, 2, s.seed)
    sides = [(drawn[p][0].prompt, *drawn[p][1][j:j + 2][::sign])
             for p, j, sign in over.labels(drawn, s.seed)]
    rows = [{"prompt": asked, "chosen": better.text, "rejected": worse.text}
            for asked, better, worse in sides][:s.pairs]
    if len(rows) < s.pairs:
        raise ChatError(f"the judge calls so many couplets equally good that only {len(rows)} of "
                        f"--pairs {s.pairs} are left: ask for fewer")
    write_lines(s.out, rows)


def by_size(sizes, curves) -> dict[int, np.ndarray]:
    """Means of the curves (points,3) of each size, as far as the shortest goes."""
    found = {}
    for size, curve in zip(sizes, curves):
        found.setdefault(size, []).append(curve)
    return {size: np.mean([one[:min(map(len, some))] for one in some], 0)
            for size, some in sorted(found.items())}


def chosen(reward: str, drawn, true) -> tuple:
    """What of the answers is best by a reward model, (points,3): sqrt(KL), the true score, and the
    reward in standard deviations; and its mean and standard deviation."""
    given = over.values(Model.load(reward), drawn)
    mean, spread = given.mean(), given.std()
    right, expected = over.told_apart(drawn, given)
    print(f"{reward}: {right:.1%} of {len(expected)} pairs of new couplets told apart, foretold "
          f"{expected.mean():.1%}; correlation {np.corrcoef(given.flat, true.flat)[0, 1]:.2f}")
    over.quote(drawn, given, true)
    return np.array([[over.distance(n), *over.best_of(given, n, true, (given - mean) / spread)]
                     for n in over.CHOICES]), mean, spread


def practised(run: str, mean: float, spread: float) -> np.ndarray:
    """The same of a run of `train.py rl`, at its evaluations."""
    rows = [row for _, row in records(Path(run) / "log.jsonl") if "held_true" in row]
    if not rows:
        raise ChatError(f"{run}: its log has no held_true: it was no run with --reward")
    return np.array([[max(row["held_kl"], 0) ** 0.5, row["held_true"],
                      (row["held_reward"] - mean) / spread] for row in rows])


def curves(s: Curves) -> None:
    """The command `curves`."""
    if len(s.sizes) != len(s.rewards) or len(s.practised) not in (0, len(s.rewards)):
        raise ChatError(f"there are {len(s.rewards)} --rewards, but {len(s.sizes)} --sizes and "
                        f"{len(s.practised)} --practised: one for each, in the same order")
    engine = load(s.model)
    drawn = over.answers(engine, s.model, s.prompts, s.pool, s.seed, held=True)
    true = over.truths(drawn)
    start, found = float(true.mean()), [chosen(one, drawn, true) for one in s.rewards]
    ways = {"bon": by_size(s.sizes, [curve for curve, *_ in found])}
    if s.practised:
        ways["rl"] = by_size(s.sizes, [practised(run, *one[1:])
                                       for run, one in zip(s.practised, found)])
    told = {"start": start, "ways": {}}
    for form, sizes in ways.items():
        fits = {n: over.fitted(curve[:, 0], curve[:, 1] - start, form)
                for n, curve in sizes.items()}
        told["ways"][form] = {n: {"curve": sizes[n].tolist(), "fit": fits[n]} for n in sizes}
        for n, fit in fits.items():
            d, true_score, _ = sizes[n][sizes[n][:, 1].argmax()]
            print(f"{form}, {n} pairs: highest {true_score:.3f} at {d:.2f}, last "
                  f"{sizes[n][-1, 1]:.3f} at {sizes[n][-1, 0]:.2f}; fitted",
                  {name: round(value, 3) for name, value in fit.items()})
        *others, last = fits
        if len(others) > 1:
            told["ways"][form]["predicted"] = over.predicted(
                others, [fits[n] for n in others], last, form)
            print(f"{form}: of {last} pairs the others predict", told["ways"][form]["predicted"])
    told["preferring"] = []
    for run in s.preferring:
        said = over.answers(load(run), run, s.prompts, 40, s.seed, held=True)
        told["preferring"].append([max(0.0, float(over.away(engine.model, said))) ** 0.5,
                                   float(over.truths(said).mean())])
        print(f"{run}: sqrt(KL), true score", told["preferring"][-1])
    for run, reward in zip(s.practised, s.rewards):
        print(run)
        said = over.answers(load(run), run, s.prompts, 40, s.seed, held=True)
        over.quote(said, over.values(Model.load(reward), said), over.truths(said))
    over.plot(ways, told["preferring"], start, s.out)
    write_file(s.out.with_suffix(".json"), b"".join(to_json(told)))


if __name__ == "__main__":
    cli.run(lambda: cli.dispatch(__doc__, {"write": (Write, write), "label": (Label, label),
                                           "curves": (Curves, curves)}))
