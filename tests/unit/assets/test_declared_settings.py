"""Stages see the settings that are in their key, and no others."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from assets.framework.declared import DeclaredSettings
from assets.framework.errors import RequestError
from assets.framework.profile import Profile, load_profile, settings_of
from assets.framework.stage import Scope, Shards, stage
from assets.stages import STAGES
from warehouse.home import Home


@pytest.fixture
def scope(tmp_path: Path) -> Scope:
    return Scope(Home(tmp_path), load_profile("quickstart"), "c")


def test_a_stage_that_reads_an_undeclared_setting_is_refused(scope: Scope) -> None:
    def greedy(scope: Scope) -> Shards:
        return Shards(scope.profile.probes.batch_size, lambda _: {})

    honest = {"settings": lambda profile: {"batch_size": profile.probes.batch_size}}
    declared = stage(tables=("scores",), kinds=set(), group="memorization", **honest)(greedy)
    silent = stage(tables=("scores",), kinds=set(), group="memorization")(greedy)
    assert declared.shards_of(scope).count == scope.profile.probes.batch_size
    with pytest.raises(RequestError, match=r"stage scores reads the setting probes\.batch_size, which neither"):
        silent.shards_of(scope)


def test_settings_of_upstream_stages_and_properties_over_declared_fields_may_be_read(scope: Scope) -> None:
    def measure(scope: Scope) -> Shards:
        return Shards(scope.profile.paragraphs.length, lambda _: {})

    downstream = stage(tables=("words",), reads=("paragraphs",), kinds=set())(measure)
    assert downstream.shards_of(scope).count == 100


def test_a_limited_profile_survives_being_sent_to_a_worker(scope: Scope) -> None:
    limited = pickle.loads(pickle.dumps(scope.limited("scores", frozenset({"probes.dtype"}))))
    assert limited.profile.probes.dtype == "float32" and limited.profile.corpus_id == "python"
    with pytest.raises(RequestError, match=r"probes\.seed"):
        _ = limited.profile.probes.seed


@pytest.mark.parametrize("declared", STAGES, ids=lambda stage: stage.name)
def test_keys_are_those_of_the_whole_profile(declared, scope: Scope) -> None:
    """Noting what is read changes nothing in the key, which homes of earlier versions rest on."""
    noted = DeclaredSettings(scope.profile, declared.name)
    assert declared.settings(noted) == declared.settings(scope.profile)
    assert noted.read or not declared.settings(scope.profile)


def test_a_dump_leaves_out_what_is_not_read() -> None:
    noted = DeclaredSettings(load_profile("quickstart"), "corpora")
    settings_of(noted.corpus, "shard_tokens")
    names = set(type(Profile.model_validate(load_profile("quickstart").model_dump()).corpus).model_fields)
    assert noted.read == {f"corpus.{name}" for name in names - {"shard_tokens"}}
