"""The live notebook runs from its first to its last cell, shows what the report shows, and writes nothing."""

import re

import polars as pl
import pytest

from assets.report import live
from warehouse.catalog.queries import latest_checkpoint, query


def test_tokens_are_those_of_the_paragraph_with_what_was_measured(world):
    checkpoint = latest_checkpoint(world)
    row = live.scored_paragraphs(world, checkpoint).row(0, named=True)
    tokens = live.tokens(world, checkpoint, row["paragraph_id"])
    text = query(world, "SELECT text FROM paragraphs WHERE paragraph_id = $id", {"id": row["paragraph_id"]})["text"][0]
    assert "".join(tokens["token"]) == text and row["is_perturbed"]
    drops = query(
        world,
        "SELECT position, em_drop FROM triggers WHERE checkpoint_id = $c AND paragraph_id = $id ORDER BY position",
        {"c": checkpoint, "id": row["paragraph_id"]},
    )
    assert tokens.filter("is_prefix")["em_drop"].to_list() == pytest.approx(drops["em_drop"].to_list())
    best = live.strongest(tokens)
    assert best["em_drop"].to_list() == sorted(best["em_drop"], reverse=True)


def test_text_of_a_corpus_stays_text(world):
    checkpoint = latest_checkpoint(world)
    hostile = query(world, "SELECT paragraph_id FROM paragraphs WHERE contains(text, '</script>')")["paragraph_id"][0]
    strip = live.strip(live.tokens(world, checkpoint, hostile), "em_drop")
    assert set(re.findall(r"</?(\w+)", strip)) == {"div", "span"} and "&lt;/script&gt;" in strip


def test_no_table_of_the_notebook_fetches_a_picture_that_a_text_names(world):
    """What its tables take for an address, by their own pattern (marimo 0.25, static files, parseContent)."""
    row = live.scored_paragraphs(world, latest_checkpoint(world)).head(1)
    for text in ("see HTTPS://example.org/a.png", "![x](http://example.org/x.gif)", "data:image/png;base64,AAAA"):
        found = live.matching_rows(row.with_columns(pl.lit(text).alias("beginning")))[0]["beginning"]
        assert (
            not re.search(r"https?://[^\s]+|^data:image/", found, re.IGNORECASE) and found.replace("\u2060", "") == text
        )


def test_paragraphs_are_found_by_text_and_by_id(world):
    rows = live.scored_paragraphs(world, latest_checkpoint(world))
    first = rows.row(0, named=True)
    assert [one["paragraph_id"] for one in live.matching_rows(rows, first["paragraph_id"].upper())] == [
        first["paragraph_id"]
    ]
    assert live.matching_rows(rows, "no text holds this") == [] and len(live.matching_rows(rows)) == rows.height
    assert all(one["is_perturbed"] for one in live.matching_rows(rows, only_perturbed=True))


def test_the_strongest_tokens_are_escaped_and_their_white_space_is_seen():
    numbers = {column: [1.0] for column in live.QUANTITIES.values()}
    table = live.strongest_table(pl.DataFrame({"position": [3], "token": ["<b>\n"], **numbers}))
    assert "&lt;b&gt;⏎" in table and "<b>" not in table


def test_the_notebook_runs_and_leaves_the_home_as_it_was(world, monkeypatch):
    pytest.importorskip("marimo", reason="marimo is not installed (pip install .[notebook])")
    from docs.live_browser import app

    monkeypatch.setenv("RARECALL_HOME", str(world.root))
    before = {file: file.stat().st_mtime_ns for file in world.root.rglob("*") if file.is_file()}
    _, found = app.run()
    assert found["chosen"]["is_perturbed"] and "<span" in found["strip"]
    assert found["names"] == live.measured_checkpoints(world) and found["strongest"].height
    assert before == {file: file.stat().st_mtime_ns for file in world.root.rglob("*") if file.is_file()}
