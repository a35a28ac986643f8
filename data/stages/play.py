"""Learning to play Connect Four: first from an expert's games, then by playing.

    python train.py play --out runs/imitator               # imitates the expert's games
    python train.py play --data self --model runs/imitator --out runs/player
    python infer.py chat --model runs/player               # play against it

The expert judges each move by --playouts games that go on by chance for --plies moves: it sees what
threatens and no plan, and who imitates it can hardly do better. In self-play (AlphaGo's second
step, Silver et al. 2016, doi:10.1038/nature16961) the model draws both sides' moves. --group games
begin with each opening, and the moves of a side that won more of them than is usual become
likelier. Who makes an illegal move has lost."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Callable, NamedTuple

import numpy as np

from csrc.cli import flag
from csrc.files import ChatError
from data.stages import rl
from data.stages.game import (CELLS, FULL, OPEN, Board, Match, expert, opening, perfect, vocabulary)
from data.stages.rl import Batch, Rollouts, make_batch, passes_of, roll_out
from data.stages.settings import COUNT, FROM_0, Numbers, Run, Training, padded
from data.tokens.bpe import Tokenizer

GAMES = 1 << 20          # openings that games are numbered by
FIRST, HELD = 0, 1       # before the seeds of those that are learned from, and of others
EVEN = 6                 # moves by chance, at most, before the games of an evaluation
JUDGED = 5               # positions of an evaluation, for each opening of its games
SOURCES = ("expert", "self")


@dataclass
class Play(Training):
    """Learn a game, Connect Four on a small board: from an expert, then by playing with itself."""
    data: list[str] = flag(lambda: ["expert"], "what to learn from: expert, its games; self, the "
                                               "model's own")
    depth: int = flag(2, "layers of a new model", limits=COUNT)
    channels: int = flag(128, "its width, 64 for each head", limits=COUNT)
    prompts: int = flag(32, "openings of a step", limits=COUNT)
    group: int = flag(8, "games that begin with each", limits="[2, inf)")
    opening: int = flag(8, "moves of an opening, at most, each by chance", limits=f"[0, {CELLS})")
    playouts: int = flag(50, "by which the expert judges a move: games that go on by chance",
                         limits=COUNT)
    plies: int = flag(2, "moves of such a game", limits=COUNT)
    matches: int = flag(40, "openings of an evaluation, from each of which the model plays both "
                            "colours against each opponent", limits=COUNT)
    context: int = flag(32, "the most tokens of a game, T", limits=f"[{CELLS + 1}, inf)")
    batch: int | None = flag(128, "most games in one pass, B", limits=COUNT)
    sample_every: int | None = flag(0, "likewise samples; 0: none", limits=FROM_0)
    weight_decay: float = flag(0.0, "of matrices", limits=FROM_0)
    arch, method, reward, max_tokens, normalise = "modern", "grpo", None, CELLS, "tokens"
    std = drop_equal = False
    kl = 0.0

    @property
    def learns_anew(self) -> bool:
        """From the expert."""
        return "self" not in self.data

    @property
    def begins_with(self) -> str | None:
        """Its own games begin with a run that has learned from the expert."""
        return "play" if "self" in self.data else None

    def step_tokens(self, wanted: int) -> int:
        """A row for each game."""
        return self.prompts * self.group * self.context

    def horizon(self, layers: int, epoch: float, foreign: bool) -> int:
        """Steps, if not given."""
        return 250 if "self" in self.data else 1200

    def rate(self, channels: int, foreign: bool) -> float:
        """The peak learning rate, if not given."""
        if "self" in self.data:
            return 1e-3 * (128 / channels) ** 0.5
        return (8e-3 if self.optimizer == "muon" else 4e-3) * (128 / channels) ** 0.5


# ---- Games ---------------------------------------------------------------------------------------

class Contest(NamedTuple):
    """A game to be played: an opening, against whom and which side; alone with itself."""
    board: Board
    player: Callable | None = None
    colour: int = 0

    @property
    def prompt(self) -> str:
        """The opening, for messages."""
        return self.board.stones


class Games:
    """What this stage reads: openings by number, and the expert's games that begin with them."""

    def __init__(self, s, rank=0, ranks=1):
        self.settings, self.tokenizer = s, vocabulary()[0]
        self.vocab = self.tokenizer.vocab_size
        if s.model and Tokenizer.load(s.model).identity != self.tokenizer.identity:
            raise ChatError(f"--model {s.model} has not the tokens of the game: `python train.py "
                            f"play` without --model makes one that has")
        self.loader = Numbers(GAMES, GAMES * s.context, s.seed)
        self.identity = {"the game": [CELLS, s.playouts, s.plies, s.opening]}

    @staticmethod
    def prepare(s) -> None:
        """ChatError unless there is such a source."""
        if len(s.data) != 1 or s.data[0] not in SOURCES:
            raise ChatError(f"--data is {' '.join(s.data)!r}, but must be {' or '.join(SOURCES)}")

    def problem(self, number: int) -> Contest:
        """The game of a number, to be played by the model alone."""
        return Contest(opening(self.settings.opening, FIRST, self.settings.seed, number))

    def sequence(self, contest: Contest, how, index: int) -> Match:
        """The same as the engine plays it."""
        return Match(contest.board, how, index, contest.player, contest.colour)

    def score(self, contest: Contest, match: Match) -> float:
        """What it was worth."""
        return match.score

    def shown(self, number: int) -> tuple[list[int], int]:
        """The expert's game of a number: its tokens, and how many of them are the opening's."""
        begun = self.problem(number).board
        game = begun.played(CELLS, number, self.settings.playouts, self.settings.plies)
        return game.tokens, len(begun.tokens)

    def baselines(self) -> dict[str, float]:
        """None: train.py measures the model before it learns."""
        return {}

    def question(self, number: int) -> list:
        """None."""
        return []

    def __str__(self):
        return f"games of {'the expert' if 'expert' in self.settings.data else 'its own'}"


# ---- Learning ------------------------------------------------------------------------------------

def play_batches(run: Run):
    """Each step learns new games: the expert's moves, or what was better in its own."""
    while True:
        batch = imitated(run) if "expert" in run.settings.data else practised(run)
        yield passes_of(run, batch, np.arange(len(batch.counted)), exact=True)


def imitated(run: Run) -> Batch:
    """The expert's games, of which each move counts one."""
    s = run.settings
    games = [run.data.shown(int(i)) for i in run.data.loader.take(s.prompts * s.group)]
    tokens = padded([np.array(ids, np.int32) for ids, _ in games])
    none = np.zeros(len(games))
    found = Rollouts(tokens, np.zeros(tokens.shape), np.array([begins for _, begins in games]),
                     np.array([len(ids) for ids, _ in games]), none, none > 0)
    zeros = np.zeros(found.mask.shape)
    return Batch(found, found.mask * 1.0, zeros, zeros, none == 0)


def practised(run: Run) -> Batch:
    """Its own games. What is good for the player who begins is bad for the other."""
    batch = make_batch(run)
    return batch._replace(advantages=batch.advantages * signs(batch.advantages.shape[1]))


def signs(T: int) -> np.ndarray:
    """(T): 1 where the token at the next place is a move of the player who begins, else -1."""
    return 1 - 2 * (np.arange(T) % 2)


# ---- How well it plays ---------------------------------------------------------------------------

def opponents(playouts: int, plies: int) -> dict[str, Callable]:
    """Whom models are measured by: chance, the expert, also with a quarter of the playouts and with
    four times as many, and the solver."""
    return {"random": expert(0, 1), "quarter": expert(max(1, playouts // 4), plies),
            "expert": expert(playouts, plies), "four": expert(4 * playouts, plies),
            "solver": perfect}


def play_figures(run: Run, limit: int) -> dict[str, float]:
    """score: of a game against one of the opponents, on average, and score_... against each, of two
    for each held-out opening; optimal and illegal: the share of its moves, as it draws them, in
    held-out positions that keep what can be reached, and of those that are none."""
    s = run.settings
    players = opponents(s.playouts, s.plies)
    contests = [Contest(opening(EVEN, HELD, 0, i), player, colour) for player in players.values()
                for i in range(s.matches) for colour in (0, 1)]
    scores = roll_out(run, contests, 1, rl.HELD)[0].rewards.reshape(len(players), -1).mean(1)
    told = {f"score_{name}": float(score) for name, score in zip(players, scores)}
    boards = positions(JUDGED * s.matches, s.playouts, s.plies)
    each = chances(run.model, boards)
    return {"score": float(scores.mean()), **told, "optimal": float((each * best(boards)).sum(1)
            .mean()), "illegal": 1 - float(each.sum(1).mean())}


def best(boards) -> np.ndarray:
    """bool (boards,COLUMNS): the moves that keep what can be reached, a win or a draw."""
    values = np.array([np.sign(board.scores()) - 2 * (board.scores() == FULL) for board in boards])
    return values == values.max(1, keepdims=True)


@cache
def positions(count: int, playouts: int, plies: int) -> list[Board]:
    """Held-out positions of games of the expert in which some moves are better than others: in what
    they lead to, and not in how soon."""
    found, number = [], 0
    while len(found) < count:
        number += 1
        board = opening(EVEN, HELD, 1, number)
        most = int(np.random.default_rng((HELD, 2, number)).integers(board.n, CELLS - 4))
        board = board.played(most, number, playouts, plies)
        if board.result() == OPEN and len({*np.sign(board.scores()[board.legal()])}) > 1:
            found.append(board)
    return found


def chances(model, boards) -> np.ndarray:
    """(boards,COLUMNS): the probability of each move, by the model; 0 of illegal ones."""
    rows = [np.array(board.tokens, np.int32) for board in boards]
    logits = model.logits(padded(rows))[np.arange(len(rows)), [len(row) - 1 for row in rows]]
    every = np.exp(logits - logits.max(1, keepdims=True)).astype(float)
    every /= every.sum(1, keepdims=True)
    out = np.zeros((len(rows), len(boards[0].heights)))
    for chance, row, board in zip(out, every, boards):
        for token, column in board.replies().items():
            chance[column] = row[token]
    return out
