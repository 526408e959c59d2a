"""The table of peers: outputs are compared with ours, and a peer that cannot run is named instead of hidden."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import peers
from benchmarks.bench_scoring import LENGTH, PREFIX, build, paragraphs
from benchmarks.on_gpu import half_recited, size_of


@pytest.fixture(scope="module")
def world():
    """A small model and rows of which every other one is recited for 20, 27, ... tokens."""
    model = build(size_of(True).config, "cpu", "float32")
    return model, half_recited(model, paragraphs(8, model.config.vocab_size))


def failing(model, ids, folder: Path):
    raise OSError("no such backend\nat line 3")


def wrong(model, ids, folder: Path):
    """A peer whose first predicted token of every continuation is another one."""

    def _run() -> peers.Answer:
        best, nll = peers.in_batches(peers.Whole(model), ids)()
        best[:, PREFIX - 1] = (best[:, PREFIX - 1] + 1) % model.config.vocab_size
        return best, nll + 0.25

    return _run


def test_peers_are_compared_and_the_missing_are_named(world, tmp_path, monkeypatch):
    model, ids = world
    chosen = {"absent": (("no_such_package_at_all",), wrong), "broken": (("torch",), failing), "wrong": ((), wrong)}
    monkeypatch.setattr(peers, "PEERS", chosen)
    left_out: list[str] = []
    ways = peers.made(model, ids, tmp_path, left_out)
    assert left_out == ["absent (not installed: no_such_package_at_all)", "broken (OSError: no such backend)"]
    rows = list(peers.table(ways, ids, rounds=1))[2:]
    cells = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[4:6]] for line in rows}
    assert cells["transformers generate, cached"] == ["0 of 8", ""]
    assert cells["transformers, one forward"][0] == "0 of 8"
    assert float(cells["transformers, one forward"][1]) < 1e-4
    assert int(cells["wrong"][0].split()[0]) >= 4  # those that are recited
    assert abs(float(cells["wrong"][1]) - 0.25) < 0.01
    assert cells["products of the weights alone, torch"] == ["", ""]


def test_rows_to_compare_are_recited_for_many_lengths(world):
    """Rows that miss at once would agree with nearly anything."""
    model, ids = world
    best, nll = peers.in_batches(peers.Whole(model), ids)()
    hits = best[:, PREFIX - 1 :] == ids[:, PREFIX:].numpy()
    matches = hits.cumprod(1).sum(1)
    assert (matches[::2] >= [20, 27, 34, 41]).all()
    assert nll.shape == (8, LENGTH - 1)
    logits = model(input_ids=ids).logits[:, :-1].double()
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    np.testing.assert_allclose(nll.ravel(), expected.numpy(), atol=1e-4)
