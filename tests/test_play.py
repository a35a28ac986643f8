"""Connect Four: rules and solver against a plain Python board, the stage that learns it, a game in
the terminal."""

import random
from dataclasses import replace

import numpy as np
import pytest

import infer
import train
from csrc.bind import Library, Model
from csrc.config import Config
from csrc.engine import Engine, Sampling
from csrc.files import ChatError
from csrc.runs import read_state, save_model
from data import game as report
from data.stages import game
from data.stages.game import Board, Match, Opponent, expert, opening, perfect, vocabulary
from data.stages.play import Contest, Play, best, positions, signs
from data.stages.rl import make_batch, roll_out
from learning import log_of, made, run_of, trained
from test_train import same_weights


# ---- Rules and solver ----------------------------------------------------------------------------

def result_of(rules, moves):
    """text.h's result of a game, on a board of lists."""
    columns, rows, line = rules
    stacks, result = [[] for _ in range(columns)], 0
    for turn, column in enumerate(moves):
        if result or column >= columns or len(stacks[column]) == rows:
            return 3
        stacks[column].append(turn % 2)
        at = {(x, y): who for x, stack in enumerate(stacks) for y, who in enumerate(stack)}
        won = any(all(at.get((x + k * dx, y + k * dy)) == turn % 2 for k in range(line))
                  for x, y in at for dx, dy in ((1, 0), (0, 1), (1, 1), (1, -1)))
        result = 1 if won else 2 if turn + 1 == columns * rows else 0
    return result


def value_of(rules, moves, known):
    """The score of a position, by trying everything."""
    key = tuple(sorted((x, tuple(i % 2 for i, m in enumerate(moves) if m == x))
                       for x in range(rules[0])))
    if key not in known:
        left = rules[0] * rules[1] - len(moves)
        result = result_of(rules, moves)
        known[key] = -((left + 2) // 2) if result == 1 else 0 if result == 2 else max(
            -value_of(rules, [*moves, x], known) for x in range(rules[0])
            if moves.count(x) < rules[1])
    return known[key]


def calls(rules):
    text = Library.text()
    return text.call, text.ffi.new("Rules *", rules)


@pytest.mark.parametrize("rules", [(3, 3, 3), (4, 3, 3), (2, 4, 2), (5, 5, 4), (7, 6, 4)])
def test_the_rules_are_those_of_a_board_of_lists(rules):
    call, given = calls(rules)
    dice, seen = random.Random(0), set()
    for _ in range(60):
        moves, most = [], dice.randrange(1, rules[0] * rules[1])
        while len(moves) < most and result_of(rules, moves) == 0:
            moves.append(dice.randrange(rules[0]))
        if dice.random() < 0.3:                  # mutated: a move that may be none
            moves[dice.randrange(len(moves))] = dice.randrange(rules[0] + 2)
        array = np.array(moves, np.uint8)
        wanted = result_of(rules, moves)
        assert call("game_result", given, array, len(moves)) == wanted, moves
        seen.add(wanted)
    assert {1, 3} <= seen


@pytest.mark.parametrize("rules", [(3, 3, 3), (4, 3, 3), (3, 4, 3)])
def test_the_solver_agrees_with_trying_everything(rules):
    call, given = calls(rules)
    table, scores = np.zeros(997, np.uint64), np.zeros(rules[0], np.int32)   # entries are replaced
    dice, known = random.Random(1), {}
    for _ in range(40):
        moves = []
        for _ in range(dice.randrange(3, rules[0] * rules[1])):
            column = dice.randrange(rules[0])
            if result_of(rules, [*moves, column]) == 0:
                moves.append(column)
        call("game_solve", scores, given, np.array([*moves, 0], np.uint8), len(moves), table,
             table.size)
        wanted = [-value_of(rules, [*moves, x], known) if moves.count(x) < rules[1] else game.FULL
                  for x in range(rules[0])]
        assert scores.tolist() == wanted, moves


def test_games_that_are_over_and_boards_that_are_none_are_refused():
    call, given = calls((5, 5, 4))
    won = np.array([0, 1, 0, 1, 0, 1, 0, 0], np.uint8)
    with pytest.raises(ChatError, match="after these 7 moves the game is over"):
        call("game_play", won, given, 7, 25, 3, 9, 0)
    with pytest.raises(ChatError, match="9 columns and 9 rows"):
        call("game_play", won, calls((9, 9, 4))[1], 0, 25, 3, 9, 0)


def test_more_playouts_play_better_and_nobody_beats_the_solver():
    """From boards on which the solver says that who moves does not lose."""
    boards = [opening(6, 5, i) for i in range(20)]
    scores = [report.duel((expert(20, 25), expert(0, 1)), board, i)
              for i, board in enumerate(boards) if board.n % 2 == 0]
    assert np.mean(scores) > 0.8
    for i, board in enumerate(boards):
        if board.n >= 3 and board.scores().max() >= 0:
            players = [expert(20, 25), expert(20, 25)]
            players[board.n % 2] = perfect
            worth = report.duel(players, board, i)
            assert (worth if board.n % 2 == 0 else 1 - worth) >= 0.5


def test_the_expert_takes_a_win_and_a_seed_says_the_whole_game():
    board = Board([0, 1, 0, 1, 0, 1])
    assert expert(10, 2)(board, 3) == perfect(board, 3) == 0
    games = [Board().played(25, seed, 4).stones for seed in (1, 1, 2)]
    assert games[0] == games[1] != games[2]


def test_a_board_is_its_tokens_in_any_order():
    board = Board([2, 2, 1])
    assert board.stones == "ChB" and board.legal() == [0, 1, 2, 3, 4]
    assert str(board).splitlines()[-3:] == ["· · O · ·", "· X X · ·", "1 2 3 4 5"]
    tokenizer, ids = vocabulary()
    assert board.tokens == [tokenizer.begin, *tokenizer.encode("ChB")] and len(ids) == 50
    assert Board([1, 2, 2]).stones != board.stones       # another game: the colours differ


# ---- Matches -------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of one layer that has not learned anything."""
    path, tokenizer = tmp_path_factory.mktemp("model") / "play", vocabulary()[0]
    config = Config(vocab=tokenizer.vocab_size, context=32, layers=1, channels=64, heads=1,
                    kv_heads=1, head_dim=64, hidden=192)
    save_model(Model.create(config, "cpu", "f32", 0), tokenizer, path, "play")
    return path


def made_play(folder, out, **settings):
    return made(Play, folder, out, **{**dict(prompts=3, group=4, matches=1, context=32, playouts=2,
                                             batch=8, data=["self"]), **settings})


def test_an_illegal_move_loses_and_the_other_player_is_asked_in_turn():
    how = Sampling(max_tokens=25, seed=1)
    match = Match(Board(), how)
    ids = vocabulary()[1]
    match.take(ids["C"], "C")
    assert not match.finish and match.board.stones == "C"
    match.take(ids["C"], "C")                    # taken, and not a stone of the second player
    assert (match.finish, match.score) == ("stop", 1.0)
    match = Match(Board([0, 1]), how, 0, lambda board, seed: 4, colour=1)
    assert match.pending.result() == [ids["E"]] and match.board.stones == "AbE"
    assert {*range(288)} - {*match.banned} == {ids[stone] for stone in "fgcdj"}
    match.take(ids["A"], "A")
    assert (match.finish, match.score) == ("stop", 0.0)


def test_results_count_for_the_side_that_the_model_has():
    how, ids = Sampling(max_tokens=25, seed=1), vocabulary()[1]
    nearly = [0, 1, 0, 1, 0, 1]
    won = Match(Board(nearly), how)
    won.take(ids["P"], "P")
    assert (won.finish, won.score) == ("stop", 1.0)
    lost = Match(Board(nearly), how, 0, lambda board, seed: 0, colour=1)
    assert (lost.finish, lost.score) == ("stop", 0.0) and len(lost.tokens) == 8
    answered = Match(Board(nearly), how, 0, lambda board, seed: 1, colour=0)
    answered.take(ids["C"], "C")
    assert (answered.finish, answered.score) == ("stop", 0.0)
    assert answered.board.stones.endswith("Cq")


def test_matches_against_others_end_with_a_result_for_each(folder, tmp_path):
    run = run_of(*made_play(folder, tmp_path / "out"))
    contests = [Contest(opening(6, 3, i), expert(1, 2), colour) for i in range(5)
                for colour in (0, 1)]
    found, _ = roll_out(run, contests, 1, 7)
    assert set(found.rewards) <= {0.0, 0.5, 1.0} and not found.cut.any()
    again, _ = roll_out(run, contests, 1, 7)
    assert (found.tokens == again.tokens).all()


# ---- Learning ------------------------------------------------------------------------------------

def test_self_play_makes_the_moves_of_the_winner_likelier(folder, tmp_path):
    """One step on one batch: what won more than its group did is likelier, what lost is less."""
    run = run_of(*made_play(folder, tmp_path / "out", prompts=16, group=8))
    batch = make_batch(run)
    found, T = batch.rollouts, batch.advantages.shape[1]
    each = batch.advantages * signs(T)
    assert (found.rewards > 0).any() and (each > 0).any() and (each < 0).any()
    passes = next(train.STAGES["play"].batches(replace_batches(run)))
    nll = lambda: np.concatenate([np.asarray(run.model.forward(p[0], p[1])).reshape(-1)
                                  for p in passes])
    weights = np.concatenate([p[3].reshape(-1) for p in passes])
    before = nll()
    train.accumulate(run.model, passes, run.job)
    run.model.update(1, 1e-3)
    change = nll() - before
    assert change[weights > 0].mean() < 0 < change[weights < 0].mean()


def replace_batches(run):
    """A run whose next batch is its first again."""
    run.progress.pop("batches", None)
    run.data.loader.seek(0, 0)
    return run


def test_imitation_counts_the_moves_of_the_expert_and_not_the_openings(folder, tmp_path):
    run = run_of(*made_play(folder, tmp_path / "out", data=["expert"]))
    passes = next(train.STAGES["play"].batches(run))
    games = {tuple(ids): begins for ids, begins in map(run.data.shown, map(int, list(
        replace_batches(run).data.loader.take(12))))}
    total = sum(weights.sum() for *_, weights in passes)
    assert total == pytest.approx(1)
    for tokens, targets, _, weights in passes:
        for row, target, weight in zip(tokens, targets, weights):
            ids = next(g for g in games if g[:-1] == tuple(row[:len(g) - 1]))
            counted = np.arange(len(row)) + 1 >= games[ids]
            counted &= np.arange(len(row)) + 1 < len(ids)
            assert ((target >= 0) == counted).all() and ((weight > 0) == counted).all()


@pytest.mark.parametrize("data", ["expert", "self"])
def test_a_run_that_was_stopped_goes_on_with_the_same_bits(folder, tmp_path, data):
    whole = made_play(folder, tmp_path / "whole", data=[data], eval_every=4)
    trained(*whole)
    s, games, model = made_play(folder, tmp_path / "part", data=[data], eval_every=4)
    assert trained(s, games, model, stop=lambda step: step == 2) is None
    s, games, model = made_play(folder, tmp_path / "part", data=[data], eval_every=4)
    trained(replace(s, resume=True), games, model, read_state(tmp_path / "part"))
    assert same_weights(tmp_path / "whole", tmp_path / "part")
    keys = {"score", "score_expert", "score_solver", "optimal", "illegal"}
    assert keys <= log_of(tmp_path / "whole")[-1].keys()


def test_imitation_learns_the_rules(tmp_path, folder):
    """In sixty steps a model of one layer learns where a stone can fall."""
    s, games, model = made_play(folder, tmp_path / "out", data=["expert"], steps=60, prompts=8,
                                group=8, lr=5e-3, eval_every=60, optimizer="adamw")
    figures = trained(s, games, model)
    assert figures["illegal"] < 0.5 and log_of(tmp_path / "out")[-1]["loss"] < 3


def test_wrong_settings_are_told(folder, tmp_path):
    with pytest.raises(ChatError, match="--data is 'chess', but must be expert or self"):
        made_play(folder, tmp_path, data=["chess"])
    from learning import assistant
    other = assistant(tmp_path / "sft")
    with pytest.raises(ChatError, match="has not the tokens of the game"):
        made_play(other, tmp_path / "out")


def test_best_moves_keep_what_can_be_reached():
    boards = positions(20, 2, 25)
    kept = best(boards)
    for board, row in zip(boards, kept):
        signs_of = np.sign(board.scores()[board.legal()])
        assert {*row[board.legal()]} == {False, True}
        assert (np.flatnonzero(row) == [c for c, sign in zip(board.legal(), signs_of)
                                        if sign == signs_of.max()]).all()


# ---- In the terminal -----------------------------------------------------------------------------

def test_a_person_plays_against_a_model(folder, capsys, monkeypatch):
    infer.chat(infer.Chat(model=str(folder), prompt="3 3", seed=1, device="cpu", dtype="f32"))
    said = capsys.readouterr().out
    assert said.count("1 2 3 4 5") == 2 and said.count("X") == 1 + 2 and said.count("O") == 1 + 2


def test_typed_moves_that_are_illegal_are_told_and_the_game_goes_on(folder, capsys):
    model = Model.load(folder, "cpu", "f32")
    playing = Opponent(Engine(model, vocabulary()[0], keep=True), Sampling(seed=3))
    playing.board = Board([0, 0, 0, 0, 0])
    for word in ("1", "6", "0", "x", "-1", ""):
        with pytest.raises(ChatError, match="is no move of O: type the number of a column that "
                                            "is not full, one of 2, 3, 4, 5"):
            playing.answer(word)
    assert playing.board.n == 5
    playing.board = Board([0, 1, 0, 1, 0, 1])
    playing.answer("1")
    assert "you have won; a new game begins" in capsys.readouterr().out and playing.board.n == 0
    playing.board, begins = Board([0, 1, 0, 1, 2, 1]), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(playing, "move", lambda: playing.board.put(1))
        playing.answer("5")
    assert "the model has won; a new game begins" in capsys.readouterr().out
    for _ in range(9):                           # the model begins: not each time with one move
        playing.board, playing.games = Board(), playing.games + 1
        playing.answer("")
        begins.append(playing.board.stones)
    assert playing.board.n == 1 < len({*begins})
    assert f"model: {'ABCDE'.index(begins[-1]) + 1}" in capsys.readouterr().out
    with pytest.raises(ChatError, match="this model plays a game"):
        playing.do_load("chat.json")


# ---- The report ----------------------------------------------------------------------------------

def test_ratings_are_those_that_games_were_drawn_from():
    truth, rng = {"a": 0.0, "b": 150.0, "c": 400.0}, np.random.default_rng(0)
    games = {}
    for a, b in (("a", "b"), ("b", "c"), ("a", "c")):
        chance = 1 / (1 + 10 ** ((truth[b] - truth[a]) / 400))
        games[a, b] = float((rng.random(4000) < chance).sum()), 4000
    found = report.ratings(games)
    assert all(abs(found[name] - elo) < 20 for name, elo in truth.items())
    assert report.ratings({("a", "b"): (0.0, 10)})["b"] < 1500       # and not infinite


def test_a_surprise_is_the_only_winning_move_that_only_the_player_finds():
    board = Board([0, 1, 0, 1, 0, 1])            # only column 0 wins at once
    wins = np.flatnonzero(board.scores() > 0)
    before, now = np.full((1, 5), 1e-4), np.zeros((1, 5))
    now[0, wins[0]] = 0.9
    found = report.surprises([board], before, now)
    assert bool(found) == (len(wins) == 1)
    if found:
        assert "only 1 wins" in report.told(*found[0])
    assert not report.surprises([board], before + 0.1, now)
    assert not report.surprises([board], before, now[:, ::-1])


def test_the_report_rates_runs_and_draws_them(folder, tmp_path, capsys):
    for out, data in (("imitator", "expert"), ("player", "self")):
        trained(*made_play(folder, tmp_path / out, data=[data], eval_every=2))
    report.play(report.Game([tmp_path / "imitator"], [tmp_path / "player"], tmp_path / "game", 2,
                            10))
    assert (tmp_path / "game/elo.png").stat().st_size > 10_000
    said = capsys.readouterr().out
    assert "game_elo_teacher" in said and "game_optimal_rl" in said
    trained(*made_play(folder, tmp_path / "other", data=["self"], eval_every=3))
    with pytest.raises(ChatError, match="other were not evaluated at the same steps"):
        report.play(report.Game([tmp_path / "imitator"] * 2, [tmp_path / "player", tmp_path
                    / "other"], tmp_path / "x"))
    with pytest.raises(ChatError, match="give each player's imitator"):
        report.play(report.Game([], [tmp_path / "player"], tmp_path / "x"))
    with pytest.raises(ChatError, match="no run of `train.py play`"):
        report.logged(folder, ["expert"])
