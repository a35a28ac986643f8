r"""How well models play Connect Four, as Elo ratings over training, and what only practice taught.

    for seed in 0 1 2; do
      python train.py play --seed $seed --matches 100 --out runs/i-$seed
      python train.py play --data self --seed $seed --matches 100 --model runs/i-$seed \
        --out runs/p-$seed
    done
    python data/game.py --imitators runs/i-? --players runs/p-? --out build/game

Ratings are fitted to all games (Bradley-Terry): those of the runs' evaluations with their
opponents, and of these with each other. 400 points more are 10 times the odds, a draw is half a
win, and who plays by chance has 0. "Move 37" is AlphaGo's, which people would have made one time in
10,000: here the only winning move of a held-out position, to which the imitator gives less than
RARE."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from csrc import cli
    cli.enter()

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from csrc import cli
from csrc.bind import Model
from csrc.cli import flag
from csrc.files import ChatError, from_json, to_json, write_file
from csrc.plot import COLOURS, picture
from csrc.runs import read_settings, tell
from data.stages.game import Board, DRAWN, OPEN, opening
from data.stages.play import EVEN, JUDGED, best, chances, opponents, positions

RARE = 1e-3          # a move that the imitator would not make
SHOWN = 5            # boards
SIDES = {"imitation": COLOURS[0], "self-play": COLOURS[1]}


@dataclass
class Game:
    """Rate runs of `train.py play`; write elo.png, game.json and boards.txt."""
    imitators: list[Path] = flag(help="runs that learned from the expert")
    players: list[Path] = flag(help="and as many that went on by themselves, in the same order")
    out: Path = flag(Path("build/game"), "the folder")
    matches: int = flag(200, "openings of the opponents' games with each other", limits="[1, inf)")
    positions: int = flag(3000, "held-out positions", limits="[1, inf)")


# ---- Ratings -------------------------------------------------------------------------------------

def ratings(games: dict[tuple, tuple[float, int]]) -> dict:
    """{player: Elo} from {(a, b): (the sum of a's scores, games)} by maximum likelihood, with half
    a draw more for each pair, so that nobody is infinitely better. The first player has 0."""
    names = [*dict.fromkeys(name for pair in games for name in pair)]
    at, won, met = ({name: i for i, name in enumerate(names)}, np.zeros(len(names)),
                    np.zeros((len(names), len(names))))
    for (a, b), (score, count) in games.items():
        won[at[a]] += score + 0.25
        won[at[b]] += count - score + 0.25
        met[at[a], at[b]] += count + 0.5
        met[at[b], at[a]] += count + 0.5
    odds = np.ones(len(names))
    for _ in range(10_000):                      # Zermelo's iteration (Hunter 2004)
        new = won / (met / (odds[:, None] + odds)).sum(1)
        new /= new[0]
        done, odds = np.abs(np.log(new / odds)).max() < 1e-6, new
        if done:
            break
    return dict(zip(names, 400 * np.log10(odds)))


def duel(players, board: Board, seed: int) -> float:
    """What a game is worth to the first of two players, who goes on from a board: 1, 0 or 0.5."""
    board = Board(board.moves[:board.n])
    while (result := board.result()) == OPEN:
        board.put(players[board.n % 2](board, seed + board.n))
    return 0.5 if result == DRAWN else float(board.n % 2)


def among(players: dict, count: int) -> dict:
    """The games of all pairs, two for each of so many openings."""
    games = {}
    for (a, one), (b, other) in combinations(players.items(), 2):
        boards = [opening(EVEN, 2, i) for i in range(count)]
        score = sum(duel((one, other), board, 100 * i) + 1 - duel((other, one), board, 100 * i + 50)
                    for i, board in enumerate(boards))
        games[a, b] = score, 2 * count
    return games


def logged(run: Path, names) -> dict[int, dict]:
    """{step: its figures} of a run's evaluations."""
    log = run / "log.jsonl"
    entries = map(from_json, log.read_bytes().splitlines() if log.exists() else [])
    found = {entry["step"]: entry for entry in entries
             if all(f"score_{name}" in entry for name in names)}
    if not found:
        raise ChatError(f"{run} is no run of `train.py play` with an evaluation")
    return found


def draw(path, lines: list[dict], curves: dict) -> None:
    """elo.png: {what: [a run's [(games seen, Elo, share of optimal moves)]]}, and beside each of
    the two what others have, as dashed lines."""
    with picture(path, 1, 2, (10, 4)) as (_, both):
        for i, (axes, others, what) in enumerate(zip(both, lines, ("Elo", "optimal moves"))):
            for name, value in others.items():
                shade, below = ("0", "top") if name == "expert" else ("0.5", "bottom")
                axes.axhline(value, linestyle="--", color=shade, linewidth=1)
                axes.text(0.01, value, "teacher" if name == "expert" else name,
                          transform=axes.get_yaxis_transform(), va=below, fontsize=8, color=shade)
            for side, runs in curves.items():
                for run in runs:
                    axes.plot(*np.array(run)[:, [0, 1 + i]].T, color=SIDES[side], alpha=0.3,
                              linewidth=1)
                axes.plot(*np.mean(runs, 0)[:, [0, 1 + i]].T, "o-", color=SIDES[side],
                          markersize=3, label=side)
            axes.set(xlabel="games learned from, thousands", ylabel=what)
            axes.grid(alpha=0.2)
        both[1].legend(loc="lower right")


# ---- Move 37 -------------------------------------------------------------------------------------

def surprises(boards, imitator: np.ndarray, player: np.ndarray) -> list[tuple]:
    """[(board, the move, its probability for the imitator and for the player)] where it alone wins,
    the imitator's is less than RARE, and the player's is the greatest. Probabilities: `chances`."""
    found = []
    for board, before, now in zip(boards, imitator, player):
        wins = np.flatnonzero(board.scores() > 0)
        if len(wins) == 1 and before[wins[0]] < RARE and now.argmax() == wins[0]:
            found.append((board, int(wins[0]), before[wins[0]], now[wins[0]]))
    return found


def told(board: Board, column: int, before: float, now: float) -> str:
    """A surprise as text."""
    return (f"{'XO'[board.n % 2]} is to move, and only {column + 1} wins: for the imitator with "
            f"probability {before:.1e}, after self-play {now:.2f}\n{board}\n")


# ---- The command ---------------------------------------------------------------------------------

def rated(s: Game, about: dict, rivals: dict) -> tuple[dict, dict]:
    """(Elo of each rival and of each (run, step), {what: [a run's curve, as draw has it]})."""
    logs = {run: logged(run, rivals) for run in about}
    for runs in s.imitators, s.players:
        if len({(*logs[run],) for run in runs}) > 1:
            raise ChatError(f"{' '.join(map(str, runs))} were not evaluated at the same steps, and "
                            f"have no mean: train them with one --steps and --eval-every")
    games = among(rivals, s.matches)
    for run, entries in logs.items():
        count = 2 * about[run]["matches"]
        games |= {(name, (run, step)): (count * (1 - entry[f"score_{name}"]), count)
                  for step, entry in entries.items() for name in rivals}
    elo, curves = ratings(games), {"imitation": [], "self-play": []}
    for before, after in zip(s.imitators, s.players):
        points = {run: [(step * about[run]["prompts"] * about[run]["group"] / 1000, elo[run, step],
                         entry["optimal"]) for step, entry in logs[run].items()]
                  for run in (before, after)}
        end = points[before][-1]
        curves["imitation"].append(points[before])
        curves["self-play"].append([end, *((end[0] + x, *y) for x, *y in points[after])])
    return elo, curves


def play(s: Game) -> None:
    """Rate, compare, write."""
    about = {run: read_settings(run) for run in (*s.imitators, *s.players)}
    exams = {tuple(map(one.get, ("playouts", "plies", "matches"))) for one in about.values()}
    if len(s.imitators) != len(s.players) or len(exams) != 1 or None in (*exams,)[0]:
        raise ChatError(f"{len(s.imitators)} --imitators and {len(s.players)} --players, with "
                        f"--playouts, --plies and --matches {exams}: give each player's imitator, "
                        f"and runs of `train.py play` with one teacher and one evaluation")
    *teacher, matches = exams.pop()
    rivals = opponents(*teacher)
    elo, curves = rated(s, about, rivals)
    boards, shown = positions(s.positions, *teacher), []
    kept = best(boards)
    taught = [row[rivals["expert"](board, i)] for i, (board, row) in enumerate(zip(boards, kept))]
    rows = {"game_optimal_teacher": [float(np.mean(taught))]}
    for i, pair in enumerate(zip(s.imitators, s.players)):
        moves = [chances(Model.load(run, "cpu", "f32"), boards) for run in pair]
        found = surprises(boards, *moves)
        shown += found
        for name, value in (*zip(("game_optimal_imitation", "game_optimal_rl"),
                                 [(each * kept).sum(1).mean() for each in moves]),
                            ("game_elo_imitation", curves["imitation"][i][-1][1]),
                            ("game_elo_rl", curves["self-play"][i][-1][1]),
                            ("game_move_37", len(found))):
            rows.setdefault(name, []).append(float(value))
    rows |= {f"game_elo_{'teacher' if name == 'expert' else name}": [float(elo[name])]
             for name in rivals}
    figures = {name: {"value": float(np.mean(row)), "low": min(row), "high": max(row),
                      "n": len(row)} for name, row in rows.items()}
    write_file(s.out / "game.json", to_json({"figures": figures})[0])
    shown = [*{str(one[0]): one for one in shown}.values()]
    write_file(s.out / "boards.txt", "\n".join(told(*one) for one in shown))
    measured = taught[:JUDGED * matches]          # in the positions of the runs' own evaluations
    draw(s.out / "elo.png", [{name: elo[name] for name in rivals},
                             {"expert": float(np.mean(measured))}], curves)
    for one in shown[:SHOWN]:
        tell(told(*one))
    for name, one in figures.items():
        tell(f"{name:24} {one['value']:8.3f}   {one['low']:.3f} to {one['high']:.3f}")


if __name__ == "__main__":
    cli.run(lambda: cli.dispatch(__doc__, {"": (Game, play)}))
