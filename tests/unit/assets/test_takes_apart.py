"""Stages that look into heads give no rows for a family without an adapter, and run once there is one."""

from __future__ import annotations

import polars as pl
import pytest

from assets.framework.profile import Profile
from assets.framework.stage import Scope
from assets.stages import CHECKPOINT_STAGES
from probes.architectures import FAMILIES, unmeasured
from warehouse.home import Home

PROFILE = {"name": "p", "corpus": {"corpus_id": "library", "source": "python"}}


@pytest.fixture
def scope_of(tmp_path, monkeypatch):
    """A scope whose checkpoint is of the given family; no other table is there."""

    def scope(family: str) -> Scope:
        monkeypatch.setattr(Scope, "content", lambda _, table: "made" if table == "checkpoints" else None)
        monkeypatch.setattr(Scope, "read", lambda *_: pl.DataFrame({"architecture": [family]}))
        return Scope(Home(tmp_path).prepare(), Profile.model_validate(PROFILE), "c")

    return scope


APART = [stage for stage in CHECKPOINT_STAGES if stage.takes_apart]


@pytest.mark.parametrize("stage", APART, ids=[stage.name for stage in APART])
def test_a_family_without_an_adapter_gets_empty_tables(stage, scope_of):
    shards = stage.shards_of(scope_of("gpt_bigcode"))
    frames = shards.compute(0)
    assert shards.count == 1 and set(frames) == set(stage.tables)
    assert all(frame.is_empty() for frame in frames.values())
    assert stage.inputs(scope_of("gpt_bigcode"))["outside"]["no_adapter_for"] == "gpt_bigcode"


@pytest.mark.parametrize("stage", APART, ids=[stage.name for stage in APART])
def test_the_keys_of_families_with_an_adapter_are_what_they_were(stage, scope_of):
    assert "no_adapter_for" not in stage.inputs(scope_of("llama"))["outside"]


def test_scoring_takes_nothing_apart():
    scored = {"checkpoints", "scores", "generations", "perturbations", "extractability"}
    assert scored <= {stage.name for stage in CHECKPOINT_STAGES} - {stage.name for stage in APART}
    assert {"head_attention", "parameter_gradients", "patching", "interventions"} <= {stage.name for stage in APART}


def test_what_is_left_out_is_one_sentence():
    assert unmeasured("gpt_neo") is None and all(unmeasured(family) is None for family in FAMILIES)
    assert "no adapter for the family bloom" in (unmeasured("bloom") or "")
