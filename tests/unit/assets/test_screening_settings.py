"""A profile without `screen` is measured as before there was one."""

from __future__ import annotations

import pytest

from assets.corpus.paragraphs import paragraphs
from assets.corpus.screening import paragraph_weights, screened_windows, screening_windows
from assets.framework.errors import RequestError
from assets.framework.model_stage import model_settings
from assets.framework.profile import load_profile
from assets.framework.stage import Scope
from warehouse.home import Home

PROFILE = '[corpus]\ncorpus_id = "small"\nsource = "."\n[paragraphs]\nscreen = 5\n'


def test_without_screen_no_key_changes_and_nothing_is_to_do(tmp_path):
    profile = load_profile("quickstart")
    assert paragraphs.settings(profile)["paragraphs"].keys().isdisjoint({"screen", "screen_checkpoint"})
    assert "stand_ins" not in model_settings(profile)
    scope = Scope(Home(tmp_path).prepare(), profile)
    assert all(stage.is_current(scope) for stage in (screening_windows, screened_windows, paragraph_weights))


def test_with_screen_it_is_in_the_keys(tmp_path):
    (tmp_path / "p.toml").write_text(f'name = "p"\n{PROFILE}')
    profile = load_profile(str(tmp_path / "p.toml"))
    assert paragraphs.settings(profile)["paragraphs"]["screen"] == 5
    assert model_settings(profile)["stand_ins"] == "furthest recited"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("per_occurrence_stratum = 3\n", "screen draws from every stratum itself"),
        ("[training]\nrungs = { 4 = 2 }\n", "a .training. ladder plants its own"),
    ],
)
def test_what_cannot_be_screened_is_refused(tmp_path, more, said):
    (tmp_path / "p.toml").write_text(f'name = "p"\n{PROFILE}{more}')
    with pytest.raises(RequestError, match=said):
        load_profile(str(tmp_path / "p.toml"))
