"""Declared figures: complete, left out with a sentence when there is nothing, and in the page's colours."""

import re

import polars as pl
import pytest

import sql
from assets.figures import FIGURES, SECTIONS, files
from assets.figures.files import folder, inline_svg, write_figure
from assets.figures.memorization import memorization_by_duplication
from assets.figures.spec import FigureSpec, drawn
from assets.figures.style import NothingToShowError, css_variables, ordered, with_variables
from assets.framework.plot_cache import drawn_once
from warehouse.catalog.publish import publish_catalog
from warehouse.home import Home


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("home")).prepare()
    publish_catalog(home)
    return home


def rungs():
    return pl.DataFrame(
        {
            "duplication_count": [4, 64],
            "memorized_share": [0.1, 0.9],
            "lower": [0.0, 0.7],
            "upper": [0.3, None],
            "null_share": [0.5, 0.5],
        }
    )


def spec_with(frame: pl.DataFrame, monkeypatch) -> FigureSpec:
    spec = FigureSpec("some_name", "memorization", "T", "C", "finding_duplication", memorization_by_duplication)
    monkeypatch.setattr(FigureSpec, "frame", lambda *_: frame)
    return spec


def test_figures_have_names_of_their_own_a_section_and_a_query():
    assert len({spec.name for spec in FIGURES}) == len(FIGURES)
    assert {spec.section for spec in FIGURES} <= set(SECTIONS)
    assert {spec.query for spec in FIGURES} <= set(sql.load("adhoc"))
    assert all(spec.caption.endswith(".") and spec.missing.endswith(".") for spec in FIGURES)


@pytest.mark.parametrize("spec", FIGURES, ids=lambda spec: spec.name)
def test_without_rows_a_figure_is_left_out_with_a_sentence(home, spec):
    (folder(home)).mkdir(parents=True, exist_ok=True)
    stale = folder(home) / f"{spec.name}.svg"
    stale.write_text("of an earlier run")
    with pytest.raises(NothingToShowError, match=r"\w.*\.$"):
        write_figure(home, spec, "nobody")
    assert not stale.exists()


def test_an_inlined_figure_follows_the_pages_theme_and_keeps_ids_apart(home, monkeypatch):
    spec = spec_with(rungs(), monkeypatch)
    write_figure(home, spec, "any")
    svg = inline_svg(home, spec)
    assert svg.startswith("<svg") and 'role="img"' in svg
    used = set(re.findall(r"var\((--fig-\w+)\)", svg))
    assert used and used <= set(re.findall(r"(--fig-\w+):", css_variables("dark")))
    assert all(name.startswith("some_name-") for name in re.findall(r'\bid="([^"]+)"', svg))
    assert "share recited in full" in svg  # text stays text: it can be read aloud, searched and set in the page's type


def test_equal_data_gives_equal_bytes(home, monkeypatch):
    spec = spec_with(rungs(), monkeypatch)
    made = []
    for _ in range(2):
        (folder(home) / "drawn.json").unlink(missing_ok=True)  # else the second drawing is spared
        write_figure(home, spec, "any")
        made.append([(folder(home) / f"some_name.{suffix}").read_bytes() for suffix in ("svg", "png")])
    assert made[0] == made[1]


def test_only_what_has_changed_is_drawn_again(home, monkeypatch):
    spec, drawings = spec_with(rungs(), monkeypatch), []
    monkeypatch.setattr(files, "drawn", lambda spec, frame: drawings.append(frame.height) or drawn(spec, frame))
    (folder(home) / "drawn.json").unlink(missing_ok=True)
    image, shown = folder(home) / "some_name.png", write_figure(home, spec, "any")
    assert write_figure(home, spec, "any") == shown and len(drawings) == 1
    image.write_bytes(b"damaged")
    assert write_figure(home, spec, "any") == shown and len(drawings) == 2
    image.unlink()
    assert write_figure(home, spec, "any") == shown and len(drawings) == 3
    fewer = spec_with(rungs().head(1), monkeypatch)
    assert write_figure(home, fewer, "any") != shown and len(drawings) == 4
    monkeypatch.setattr(files, "drawing_code", lambda: "another version")
    write_figure(home, fewer, "any")
    assert len(drawings) == 5


def test_a_plot_is_drawn_once_for_one_content(tmp_path):
    drawings = iter("abc")
    note = tmp_path / "_plot.json"
    assert [drawn_once(note, "one", lambda: next(drawings)) for _ in range(2)] == ["a", "a"]
    assert drawn_once(note, "two", lambda: next(drawings)) == "b"
    note.write_text("[1]")
    assert drawn_once(note, "two", lambda: next(drawings)) == "c"


def test_every_palette_colour_has_a_dark_counterpart():
    light, dark = (dict(re.findall(r"(--fig-\w+): (#\w+);", css_variables(theme))) for theme in ("light", "dark"))
    assert light.keys() == dark.keys() and not {n for n in light if light[n] == dark[n]}
    assert with_variables("stroke: #c1440e") == "stroke: var(--fig-c1440e)"


@pytest.mark.parametrize("count", [1, 2, 5, 24])
def test_ordered_colours_end_with_the_strongest(count):
    assert len(ordered(count)) == count and ordered(count)[-1] == ordered(1)[0]
