"""What tests/bench.py divides by: work counted by hand, peers that are the same model."""

import argparse
import subprocess
import sys

import pytest

import bench
import bench_peers
from csrc.bind import Model
from train import ProgressLine

SETTINGS = argparse.Namespace(context=64, steps=1, batch_tokens=64)


def test_flop_of_training_is_what_train_reports(lib):
    for config in (bench.SMALL, bench.TINYLLAMA):
        config = bench.replace(config, layers=2, channels=128, vocab=300)
        model = Model(config, lib.device, lib.dtype)
        assert bench.training_flop(model, 64) == ProgressLine(SETTINGS, model, 0).flop


def test_gpt2_costs_what_its_paper_s_shapes_give():
    """12 layers of 3 + 1 + 4 + 4 times 768^2 weights, and the head; a token leaves 16 rows of 768
    in each layer: two norms and their inputs, q, k, v, attention, up and GELU of four."""
    model = Model(bench.GPT2)
    head, layers = 50257 * 768, 12 * 12 * 768 ** 2
    assert model.parameters == 124_439_808
    assert bench.multiplied(model) == head + layers
    assert bench.training_flop(model, 1024) == 6 * (head + layers + 12 * 768 * 1024)
    assert [bench.adamw_bytes(size) for size in (4, 2)] == [32, 34]
    assert bench.training_bytes(model, 10, 2) == \
        (2 * 2 + 8 + 34) * model.parameters + 10 * 12 * 16 * 768 * 2 * 2


@pytest.mark.parametrize("config", [bench.SMALL, bench.GPT2], ids=["modern", "gpt2"])
def test_pytorch_trains_a_model_of_the_same_size(config):
    pytest.importorskip("torch")
    config = bench.replace(config, layers=2, vocab=300)
    peer = bench_peers.gpt(config, 16)
    assert sum(p.numel() for p in peer.parameters()) == Model(config).parameters


def test_it_runs_as_a_program():
    """Its imports are found from there too; a part that there is not ends it before it measures."""
    done = subprocess.run([sys.executable, bench.__file__, "--only", "nothing"],
                          capture_output=True, text=True)
    assert "--only nothing is not one of gemm, training" in done.stderr
