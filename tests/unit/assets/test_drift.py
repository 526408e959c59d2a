"""Drift over a series: a checkpoint that forgets most of what the one before it recited is told."""

from types import SimpleNamespace

import polars as pl
import pytest

from assets.memorization.drift import checkpoint_before, recital_holds


class Tables:
    """Scores and steps of a few checkpoints, as a scope reads them."""

    profile = SimpleNamespace(corpus_id="c")

    def __init__(self, checkpoint_id, shares, steps):
        self.checkpoint_id, self.shares, self.steps = checkpoint_id, shares, steps

    def store(self, table):
        def read(name, columns):
            if table == "scores":
                return pl.DataFrame({"is_memorized": [i < self.shares[name] for i in range(100)]})
            return pl.DataFrame({"training_step": [self.steps[name]], "corpus_id": ["c"]})

        return SimpleNamespace(
            partitions=lambda: list(self.shares), manifest=lambda name: name in self.steps, read=read
        )


STEPS = {"run-step-100": 100, "run-step-2000": 2000, "run-step-300": 300, "other-step-200": 200}


@pytest.mark.parametrize(
    ("name", "before"), [("run-step-2000", "run-step-300"), ("run-step-300", "run-step-100"), ("run-step-100", None)]
)
def test_the_one_before_is_of_the_same_series_and_the_next_smaller_step(name, before):
    assert checkpoint_before(Tables(name, dict.fromkeys(STEPS, 10), STEPS)) == before


@pytest.mark.parametrize(("share", "told"), [(5, 1), (20, 0), (60, 0)])
def test_a_collapse_is_told_and_a_wobble_is_not(share, told):
    scope = Tables("run-step-2000", {"run-step-300": 40, "run-step-2000": share}, STEPS)
    frames = {"scores": pl.DataFrame({"is_memorized": [i < share for i in range(100)]})}
    found = recital_holds(scope, frames)
    assert len(found) == told and all("run-step-300" in sentence for sentence in found)
