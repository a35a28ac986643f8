"""Experiments on the project itself.

    python data/world.py --size 32M --out W
    python data/web.py W/warc --blocklists W/blocklists --out D
    python data/lab.py scaling --data D --out runs/scaling

`scaling` trains a ladder of small models, fits a law of the loss to them, writes down what it says
about a run of eight times the computation, and only then runs that one. A ladder that was stopped
goes on where it was. No power of the tokens holds for runs of under some 250 steps: give --flop so
that the deepest have more.

    python data/lab.py curves runs/a runs/b --by optimizer

`curves` draws the validation losses of any runs, those with the same --data side by side."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from csrc import cli
    cli.enter()

import shutil
import subprocess
from dataclasses import dataclass

import numpy as np

from csrc import cli
from csrc.cli import ROOT, flag
from csrc.files import ChatError, records, to_json, write_file
from csrc.plot import COLOURS, picture
from csrc.runs import read_settings, tell
from data.experiments import scaling
from data.stages.texts import Pretrain, architecture
from data.tokens.documents import WORLD
from data.tokens.loader import Data


@dataclass
class Scaling:
    """Predict the loss of a large run by small ones; write prediction.json, scaling.json, .png."""

    data: list[str] = flag(lambda: [WORLD], "what `train.py` takes; enough that nothing is read "
                                            "twice")
    out: Path = flag(Path("runs/scaling"), "the folder, and of each run one in it")
    flop: float = flag(1e13, "of the ladder's largest runs", limits="[1e9, inf)")
    parts: list[float] = flag(lambda: [0.25, 0.5, 1.0], "of this computation that the ladder's "
                                                        "runs have", limits="(0, 1]")
    depths: list[int] = flag(lambda: [1, 2, 3, 4], "of the ladder's models", limits="[1, inf)")
    seeds: list[int] = flag(lambda: [0, 1], "of the ladder's runs", limits="[0, inf)")
    larger: float = flag(8.0, "times the computation that the predicted run has", limits="[1, inf)")


@dataclass
class Curves:
    """Draw validation losses of runs, those of each corpus in a panel of its own."""

    runs: list[Path] = flag(positional=True, help="folders of runs")
    by: str = flag("optimizer", "the setting whose values have colours")
    across: str = flag("tokens", "what they are drawn against", choices=("tokens", "minutes"))
    out: Path = flag(Path("curves.png"), "the picture")


def scaling_law(s: Scaling) -> None:
    """The command `scaling`."""
    if len(s.depths) < 3 or len(s.parts) < 2:
        raise ChatError(f"--depths {s.depths} and --parts {s.parts} are too few to fit a law to: "
                        f"three sizes and two lengths are the least")
    data, made = Data(Pretrain(data=s.data)), {}
    for depth in range(1, 2 * max(s.depths) + 1):
        made[depth] = scaling.counts(architecture(Pretrain(depth=depth), data.vocab))

    def of(depth: int, flop: float, seed: int) -> dict:
        batch = 512 * depth
        steps = max(1, round(flop / 6 / made[depth]["flop"] / batch))
        return {"depth": depth, "seed": seed, "steps": steps, "tokens": steps * batch,
                "flop": 6 * made[depth]["flop"] * steps * batch, "N": made[depth]}

    ladder = [of(depth, part * s.flop, seed)
              for seed in s.seeds for part in sorted(s.parts) for depth in s.depths]
    for row in ladder:
        row["loss"] = loss_of(s, row)
    D, loss = (np.array([row[name] for row in ladder]) for name in ("tokens", "loss"))
    told = {"ladder": ladder, "laws": {}}
    for way in scaling.COUNTS:
        N = np.array([row["N"][way] for row in ladder])
        law, laws = scaling.fit(N, D, loss), scaling.bootstrap(N, D, loss)
        residuals = loss / law.loss(N, D) - 1
        a, ends = scaling.exponent(law), scaling.interval([*map(scaling.exponent, laws)])
        told["laws"][way] = {**law._asdict(), "exponent": a, "exponent_interval": ends,
                             "residual": float(residuals.std())}
        print(f"N counted by {way}: {law._asdict()}\n    residuals {100 * residuals.std():.2f} %, "
              f"best N ~ C^{a:.2f} ({ends[0]:.2f} to {ends[1]:.2f})")
        if way == "all":
            kept = law, laws, residuals
    law, laws, residuals = kept
    choices = [of(depth, s.larger * s.flop, max(s.seeds) + 1) for depth in made]
    target = min(choices, key=lambda row: law.loss(row["N"]["all"], row["tokens"]))
    target["predicted"] = scaling.predict(law, laws, target["N"]["all"], target["tokens"],
                                          residuals)
    if target["tokens"] > data.loader.tokens:
        tell(f"the predicted run reads {target['tokens']:,} tokens, and there are "
             f"{data.loader.tokens:,}: some are read twice, which no law here knows of")
    write_file(s.out / "prediction.json", b"".join(to_json({**told, "target": target})))
    print(f"predicted: depth {target['depth']}, {target['tokens']:,} tokens: "
          f"{target['predicted']['loss']:.4f} nats ("
          + " to ".join(f"{x:.4f}" for x in target["predicted"]["interval"]) + ")")
    target["loss"] = loss_of(s, target)
    print(f"then run: {target['loss']:.4f}, "
          f"{100 * (target['predicted']['loss'] / target['loss'] - 1):+.2f} %")
    write_file(s.out / "scaling.json", b"".join(to_json({**told, "target": target})))
    scaling.plot(ladder, law, target, s.out / "scaling.png")


def loss_of(s: Scaling, row: dict) -> float:
    """The validation loss at the end of a run, which is made if it is not there."""
    place = s.out / f"depth-{row['depth']}-steps-{row['steps']}-seed-{row['seed']}"
    log = place / "log.jsonl"
    if not log.exists() or "final_val_loss" not in [*records(log)][-1][1]:
        shutil.rmtree(place, ignore_errors=True)
        never = str(row["steps"])
        subprocess.run([sys.executable, ROOT / "train.py", "--data", *s.data, "--out", place,
                        "--depth", str(row["depth"]), "--steps", never, "--seed", str(row["seed"]),
                        "--eval-tokens", "8192", "--eval-every", never, "--sample-every", "0",
                        "--checkpoint-every", never], check=True, stdout=subprocess.DEVNULL)
    found = [*records(log)][-1][1]["final_val_loss"]
    tell(f"depth {row['depth']}, {row['tokens']:,} tokens, seed {row['seed']}: {found:.4f} nats")
    return found


def curves(s: Curves) -> None:
    """The command `curves`."""
    panels = {}
    for run in s.runs:
        settings = read_settings(run)
        if s.by not in settings:
            raise ChatError(f"{run}: there is no setting {s.by!r}; there are "
                            f"{', '.join(sorted(settings))}")
        rows = [row for _, row in records(run / "log.jsonl") if "val_loss" in row]
        x = [row["step"] * settings["batch_tokens"] / 1e6 if s.across == "tokens"
             else row["time"] / 60 for row in rows]
        title = " ".join(Path(name).stem for name in settings["data"])
        panels.setdefault(title, {}).setdefault(str(settings[s.by]), []).append(
            (x, [row["val_loss"] for row in rows]))
    with picture(s.out, columns=len(panels), size=(4 * len(panels), 3.6), squeeze=False) \
            as (_, (all_,)):
        for axes, (title, groups) in zip(all_, panels.items()):
            for colour, (value, lines) in zip(COLOURS, sorted(groups.items())):
                for i, line in enumerate(lines):
                    axes.plot(*line, color=colour, lw=1, label=None if i else value)
            axes.set(title=title, xlabel="million tokens" if s.across == "tokens" else s.across)
            axes.grid(alpha=0.2)
            axes.legend(fontsize=8)
        all_[0].set_ylabel("validation loss, nats a token")
    print(f"{s.out}: {len(s.runs)} runs")


if __name__ == "__main__":
    cli.run(lambda: cli.dispatch(__doc__, {"scaling": (Scaling, scaling_law),
                                           "curves": (Curves, curves)}))
