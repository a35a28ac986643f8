"""data/tokens/loader.py: windows of tokens, in an order seed and epoch decide, dealt to ranks."""

import os
import re

import numpy as np
import pytest

from csrc.bind import ChatError
from data.tokens import shards
from data.tokens.loader import Loader, baselines, sampled, vocabulary


@pytest.fixture
def numbered(tmp_path):
    """Two shards of 1000 and 500 tokens, each token its own place."""
    for i, (start, count) in enumerate(((0, 1000), (1000, 500))):
        with shards.Writer(tmp_path, f"train{i}", 2000) as writer:
            writer.write(np.arange(start, start + count))
    return sorted(tmp_path.glob("train*.bin"))


def test_an_epoch_serves_every_window_once_and_two_epochs_differ(numbered):
    loader = Loader(numbered, 10, 2000, seed=1)
    n = len(loader.order)
    first, second = loader.next(n)[:, 0], loader.next(n)[:, 0]
    assert n == (1000 - 1) // 10 - 1 + (500 - 1) // 10 - 1      # one less a shard, for the offset
    assert len(set(first)) == len(set(second)) == n
    assert list(first) != list(second)
    assert loader.epoch == 1 and loader.index == n


def test_a_step_over_the_end_of_an_epoch_reads_what_single_windows_would(numbered):
    together, alone = Loader(numbered, 10, 2000), Loader(numbered, 10, 2000)
    n = len(alone.order)
    together.next(n - 3)
    alone.next(n - 3)
    assert np.array_equal(together.next(7), np.concatenate([alone.next(1) for _ in range(7)]))


def test_windows_never_cross_shards_and_targets_follow_tokens(numbered):
    rows = Loader(numbered, 10, 2000).next(300)
    assert (np.diff(rows, axis=1) == 1).all()
    assert not ((rows[:, 0] < 1000) & (rows[:, -1] >= 1000)).any()


def test_the_loader_continues_exactly_from_its_position(numbered):
    loader = Loader(numbered, 10, 2000, seed=3)
    loader.next(170)
    again = Loader(numbered, 10, 2000, seed=3)
    again.seek(loader.epoch, loader.index)
    assert np.array_equal(loader.next(50), again.next(50))


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_together_read_in_each_step_what_one_rank_would(numbered, ranks):
    """Also over the end of an epoch, and where a step's windows are no multiple of the ranks."""
    alone = Loader(numbered, 10, 2000)
    parts = [Loader(numbered, 10, 2000, 0, rank, ranks) for rank in range(ranks)]
    for _ in range(40):
        whole, shares = alone.next(7), [part.next(7) for part in parts]
        for rank, share in enumerate(shares):
            assert np.array_equal(share, whole[rank::ranks])
        assert all((part.epoch, part.index) == (alone.epoch, alone.index) for part in parts)
    assert alone.epoch == 1


def test_a_token_outside_the_vocabulary_is_named_with_shard_and_place(numbered):
    loader = Loader(numbered, 10, 1400)
    with pytest.raises(ChatError, match=r"train1-00000.bin: token (1\d+) at (\d+) is outside the "
                                        r"vocabulary of 1400") as error:
        loader.next(200)
    token, at = map(int, re.search(r"token (\d+) at (\d+)", str(error.value)).groups())
    assert token >= 1400 and at == token - 1000


def test_a_shard_that_shrinks_while_mapped_is_an_error_not_a_crash(numbered):
    loader = Loader(numbered, 10, 2000)
    os.truncate(numbered[0], 1500)
    os.truncate(numbered[1], 1100)
    with pytest.raises(ChatError, match="changed its size"):
        loader.next(50)


def test_nothing_is_asked_of_the_file_system_for_a_window_but_its_tokens(numbered, monkeypatch):
    loader = Loader(numbered, 10, 2000)
    loader.next(20)

    asked = []
    with monkeypatch.context() as patch:
        for name in "stat", "fstat":
            patch.setattr(os, name, lambda *_, **__: asked.append(1))
        loader.next(20)
    assert not asked


class Counted:
    """A shard of 100 million tokens that counts how many are read."""
    read = 0

    def __len__(self):
        return 10 ** 8

    def __getitem__(self, part):
        self.read += part.stop - part.start
        return np.arange(part.start, part.stop, dtype=np.uint32) % 50257


def test_of_a_large_shard_a_sample_is_read_with_both_its_ends():
    shard = Counted()
    found = sampled(shard)
    assert shard.read == len(found) < 10 ** 6
    assert found[0] == 0 and found[-1] == (10 ** 8 - 1) % 50257


def test_the_vocabulary_of_shards_without_a_tokenizer_is_that_of_meta_json_or_of_a_sample(
        numbered, tmp_path, monkeypatch):
    assert vocabulary(tmp_path, numbered, 1) == 1500
    assert vocabulary(tmp_path, numbered, 50257) == 50257
    (tmp_path / "meta.json").write_text('{"vocab_size": 2000}')
    monkeypatch.setattr(shards, "open_shard", None)      # then no shard is read
    assert vocabulary(tmp_path, numbered, 1) == 2000


def test_a_last_shard_shorter_than_a_window_is_held_out_whole(numbered, tmp_path):
    with shards.Writer(tmp_path, "train2", 2000) as writer:
        writer.write(np.arange(1500, 1505))
    loader = Loader(sorted(tmp_path.glob("train*.bin")), 10, 2000, held_out=1)
    assert loader.next(2 * len(loader.order)).max() < 1500


def test_less_text_than_a_window_is_an_error(numbered):
    with pytest.raises(ChatError, match="1000 tokens in the largest of 2 shards are less than "
                                        "a window of 2001: use a smaller --context"):
        Loader(numbered, 2000, 2000)


def test_baselines_are_those_of_the_definition():
    tokens = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0])
    found = baselines(tokens, 4)
    assert found["uniform guess (ln V)"] == pytest.approx(np.log(4))
    assert found["unigram"] == pytest.approx(-(5 / 9 * np.log(5 / 9) + 4 / 9 * np.log(4 / 9)))
    assert found["bigram"] == pytest.approx(0, abs=0.01)
