"""Connect Four: a board, who plays on it, and its games as tokens of a model.

A token is a stone: the letter of the cell into which it fell, from A in the lower left corner, a
capital where the player who begins put it there, else a small letter. So the tokens of a game are
the board, in whatever order they are read. csrc/game.c knows the rules and how to play well."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from functools import cache

import numpy as np

from csrc.bind import Library
from csrc.engine import Sequence
from csrc.files import ChatError
from data.tokens.bpe import Tokenizer

COLUMNS, ROWS, LINE = 5, 5, 4    # drawn, if both play perfectly
CELLS = COLUMNS * ROWS
OPEN, WON, DRAWN = range(3)      # text.h's results of a game
FULL = -31                       # its score of a column without room
KNOWN = 1 << 20                  # positions that the solver remembers


@cache
def library():
    """(the library, the rules, what the solver knows)."""
    text = Library.text()
    return text, text.ffi.new("Rules *", (COLUMNS, ROWS, LINE)), np.zeros(KNOWN, np.uint64)


@cache
def vocabulary() -> tuple[Tokenizer, dict[str, int]]:
    """A tokenizer without merges, and the id of each stone."""
    tokenizer = Tokenizer.from_merges([])
    stones = [chr(ord(first) + cell) for first in "Aa" for cell in range(CELLS)]
    return tokenizer, {stone: tokenizer.encode(stone)[0] for stone in stones}


class Board:
    """A game as far as it was played: `moves`, (CELLS) columns from 0, of which n are made."""

    def __init__(self, moves=()):
        self.moves, self.n = np.zeros(CELLS, np.uint8), 0
        self.heights, self.stones = [0] * COLUMNS, ""
        for column in moves:
            self.put(int(column))

    def stone(self, column: int) -> str:
        """The next stone, if it falls into a column."""
        return chr(ord("Aa"[self.n % 2]) + self.heights[column] * COLUMNS + column)

    def legal(self) -> list[int]:
        """The columns with room."""
        return [column for column in range(COLUMNS) if self.heights[column] < ROWS]

    def put(self, column: int) -> None:
        """Make a legal move."""
        self.stones += self.stone(column)
        self.moves[self.n] = column
        self.n, self.heights[column] = self.n + 1, self.heights[column] + 1

    @property
    def tokens(self) -> list[int]:
        """The ids of the game."""
        tokenizer, ids = vocabulary()
        return [tokenizer.begin, *(ids[stone] for stone in self.stones)]

    def replies(self) -> dict[int, int]:
        """{the id of a legal move: its column}."""
        ids = vocabulary()[1]
        return {ids[self.stone(column)]: column for column in self.legal()}

    def others(self) -> list[int]:
        """All ids but those."""
        return [*{*range(vocabulary()[0].vocab_size)} - self.replies().keys()]

    def result(self) -> int:
        """OPEN, WON by who moved last, or DRAWN."""
        text, rules, _ = library()
        return text.call("game_result", rules, self.moves, self.n)

    def played(self, most: int, seed: int, playouts=0, depth=CELLS) -> Board:
        """The game gone on with until there are `most` moves or it is over, by chance, or by an
        expert who judges a move by so many playouts of at most `depth` moves."""
        (text, rules, _), moves = library(), self.moves.copy()
        count = text.call("game_play", moves, rules, self.n, most, playouts, depth, seed)
        return Board(moves[:count])

    def scores(self) -> np.ndarray:
        """int32 (COLUMNS): what moves are worth, as game_solve says in text.h."""
        (text, rules, known), out = library(), np.empty(COLUMNS, np.int32)
        text.call("game_solve", out, rules, self.moves, self.n, known, known.size)
        return out

    def __str__(self):
        rows = [["·"] * COLUMNS for _ in range(ROWS)]
        for stone in self.stones:
            row, column = divmod(ord(stone.upper()) - ord("A"), COLUMNS)
            rows[row][column] = "X" if stone.isupper() else "O"
        return "\n".join(" ".join(row) for row in (
            *reversed(rows), map(str, range(1, COLUMNS + 1))))


# ---- Who plays -----------------------------------------------------------------------------------

def expert(playouts: int, depth: int):
    """A player, (board, seed) -> column, as Board.played has it."""
    return lambda board, seed: int(board.played(board.n + 1, seed, playouts, depth).moves[board.n])


def perfect(board: Board, seed: int) -> int:
    """The player who wins as soon and loses as late as can be."""
    scores = board.scores()
    return int(np.random.default_rng(seed).choice(np.flatnonzero(scores == scores.max())))


def opening(most: int, *seed: int) -> Board:
    """A game of up to `most` moves by chance that is not over: as many are as likely."""
    dice = np.random.default_rng(seed)
    while True:
        board = Board().played(int(dice.integers(most + 1)), int(dice.integers(1 << 62)))
        if board.result() == OPEN:
            return board


class Match(Sequence):
    """A game that a model plays from an opening on, with itself or with another player. With itself
    it may make an illegal move, and has lost then; against others it draws a legal one.

    colour   0: the model begins, or plays with itself; 1: the other player begins
    score    what the game was worth to `colour`: 1, 0 or, drawn, 0.5
    """

    def __init__(self, board: Board, settings, index=0, player=None, colour=0):
        super().__init__(board.tokens, settings, index, "logprob")
        self.board, self.player, self.colour = Board(board.moves[:board.n]), player, colour
        self.score = 0.5
        self.go_on()

    def take(self, token, text):
        """The model has moved."""
        column = self.board.replies().get(token)
        if column is None:
            self.finish = "stop"
            self.score = float(self.board.n % 2 != self.colour)
        else:
            self.board.put(column)
            self.go_on()
        return text

    def go_on(self):
        """End the game where it is over; else let the other player move, if it is his turn."""
        board, result = self.board, self.board.result()
        if result != OPEN:
            self.finish = "stop"
            self.score = 0.5 if result == DRAWN else float((board.n - 1) % 2 == self.colour)
        elif self.player and board.n % 2 != self.colour:
            board.put(self.player(board, (self.seed + board.n) % 2 ** 64))
            given = board.tokens[-1:]
            self.logprobs += [0.0]               # it was not drawn
            self.go_on()
            if self.finish:
                self.tokens += given
            else:
                self.pending = Future()
                self.pending.set_result(given)
        elif self.player:
            self.banned = board.others()


class Opponent:
    """A model that plays with a person in a terminal."""

    def __init__(self, engine, settings):
        self.engine, self.settings, self.board = engine, replace(settings, max_tokens=1), Board()
        self.games = 0

    def answer(self, line: str) -> None:
        """Make the moves of a line, columns from 1, each with the model's reply; where it names
        none, the model begins. ChatError at one that is not legal: those before it are made."""
        for word in line.split() or [""]:
            legal = [str(column + 1) for column in self.board.legal()]
            if word not in legal and (word or self.board.n):
                raise ChatError(f"{word!r} is no move of {'XO'[self.board.n % 2]}: type the number "
                                f"of a column that is not full, one of {', '.join(legal)}")
            moved = "you have"
            if word:
                self.board.put(int(word) - 1)
            if self.board.result() == OPEN:
                self.move()
                moved = "the model has"
            print(self.board, flush=True)
            if (result := self.board.result()) != OPEN:
                print("drawn" if result == DRAWN else f"{moved} won",
                      "; a new game begins", sep="", flush=True)
                self.board, self.games = Board(), self.games + 1

    def do_load(self, name: str) -> None:
        """ChatError: there is nothing to load."""
        raise ChatError(f"--load {name} is a conversation, and this model plays a game")

    def ask(self, text: str) -> bool:
        """The same for --prompt; True: it was not interrupted."""
        self.answer(text)
        return True

    def move(self) -> None:
        """Let the model move: of the legal moves it draws one, in each game anew."""
        replies, tokens = self.board.replies(), self.board.tokens
        sequence = Sequence(tokens, self.settings, self.games * CELLS + self.board.n)
        sequence.banned = self.board.others()
        for _ in self.engine.generate([sequence]):
            pass
        column = replies[sequence.tokens[-1]]
        self.board.put(column)
        print(f"model: {column + 1}")
