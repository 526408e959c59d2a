"""Perturbation policies as a profile names them, and the heat strip of a paragraph."""

from __future__ import annotations

import warnings

import polars as pl
import pytest

from assets.figures.previews import QUANTITIES, png, trigger_strip
from assets.framework.errors import RequestError
from assets.framework.profile import built_in_profiles, load_profile

PROFILE = """
name = "small"
[corpus]
corpus_id = "text"
source = "text"
[probes.perturbation_draws]
{draws}
"""


def profile_with(folder, draws: str):
    path = folder / "small.toml"
    path.write_text(PROFILE.format(draws=draws))
    return load_profile(str(path))


def test_policies_keep_their_order_so_that_the_first_is_the_main_one(tmp_path):
    draws = profile_with(tmp_path, "second_choice = 3\nuniform = 1\ndeletion = 1").probes.perturbation_draws
    assert list(draws.items()) == [("second_choice", 3), ("uniform", 1), ("deletion", 1)]


def test_the_order_of_policies_is_part_of_what_a_sweep_is_made_from(tmp_path):
    from assets.localization.perturbations import perturbations

    one, other = (
        perturbations.settings(profile_with(tmp_path, draws))
        for draws in ("uniform=1\ndeletion=1", "deletion=1\nuniform=1")
    )
    assert one != other


@pytest.mark.parametrize(
    ("draws", "says"),
    [
        ("deletion = 2", "deletion has 2 draws and needs exactly 1"),
        ("uniform = 0", "uniform has 0 draws and needs at least 1"),
        ("nearest = 1", "perturbation_draws.nearest"),
        ("", "perturbation_draws is wrong"),
    ],
)
def test_draws_that_cannot_be_made_are_refused_in_one_sentence(tmp_path, draws, says):
    with pytest.raises(RequestError, match=says):
        profile_with(tmp_path, draws)


def test_every_built_in_profile_sweeps_uniformly_first():
    for name in built_in_profiles():
        assert next(iter(load_profile(name).probes.perturbation_draws)) == "uniform"


def strip_frame(tokens: list[str]) -> pl.DataFrame:
    count = len(tokens)
    numbers = [pl.Series(name, range(count), pl.Float64) for name in QUANTITIES]
    frame = pl.DataFrame({"token": tokens, "position": range(count)}).with_columns(*numbers)
    unperturbed = pl.when(pl.col("position") > 0).then("em_drop")
    return frame.with_columns(unperturbed, paragraph_id=pl.lit("abc"), is_memorized=pl.lit(True))


def test_a_strip_shows_every_token_and_takes_none_for_mathematics_or_glyphs():
    figure = trigger_strip(strip_frame(["$x", "\n", "a_$^", "\ufffd", "\U0001f600", " long token of many letters"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert png(figure).startswith(b"\x89PNG")
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_xticklabels()] == ["$x", "↵", "a_$^", "?", "?", "·long·tok…"]
    shades = ax.images[0].get_array()
    assert shades.shape == (3, 6) and shades.mask.sum() == 1 and shades.max() == 1


def test_a_strip_without_a_paragraph_says_so():
    figure = trigger_strip(strip_frame([]))
    assert "no paragraph" in figure.axes[0].texts[0].get_text()
