"""Names of the open suites: series, stage, step and tokens, the same in Python and in the view of the warehouse."""

from __future__ import annotations

import duckdb
import pytest

import sql
from orchestration.sources.named import places_in_order
from probes.checkpoints.names import BARE, STAGE, STEP, TOKENS, read_name

B, T = 10**9, 10**12
NAMES = {
    "step143000": ("checkpoints", None, 143000, None),
    "EleutherAI--pythia-14m--step0": ("EleutherAI--pythia-14m", None, 0, None),
    "EleutherAI--pythia-14m-seed3--step512": ("EleutherAI--pythia-14m-seed3", None, 512, None),
    "EleutherAI--pythia-14m-data-seed2--step64": ("EleutherAI--pythia-14m-data-seed2", None, 64, None),
    "stage1-step10000-tokens21B": ("stage1", "stage1", 10000, 21 * B),
    "o--Comma--stage1-step010000-tokens21B": ("o--Comma--stage1", "stage1", 10000, 21 * B),
    "o--Comma--stage2-step002000-tokens969B": ("o--Comma--stage2", "stage2", 2000, 969 * B),
    "step1000-tokens4B": ("checkpoints", None, 1000, 4 * B),
    "o--OLMo-1B--step1000-tokens4B": ("o--OLMo-1B", None, 1000, 4 * B),
    "o--OLMo-2-7B--stage2-ingredient1-step3000-tokens12B": (
        "o--OLMo-2-7B--stage2-ingredient1", "stage2-ingredient1", 3000, 12 * B,
    ),
    "o--OLMo-3--stage3-step40000": ("o--OLMo-3--stage3", "stage3", 40000, None),
    "o--Amber--ckpt_356": ("o--Amber", None, 356, None),
    "ckpt_000": ("checkpoints", None, 0, None),
    "o--bloom--global_step1000": ("o--bloom", None, 1000, None),
    "o--DataDecide--step69369-seed-default": ("o--DataDecide--seed-default", None, 69369, None),
    "o--fineweb--step-001000-2BT": ("o--fineweb", None, 1000, 2 * B),
    "stage3-step-40000": ("stage3", "stage3", 40000, None),
    "o--SmolLM3--stage1-step-40000": ("o--SmolLM3--stage1", "stage1", 40000, None),
    "o--SmolLM3--lc-4k-to-32k-step-4000": ("o--SmolLM3--lc-4k-to-32k", "lc-4k-to-32k", 4000, None),
    "o--SmolLM3--it-step-100": ("o--SmolLM3--it", "it", 100, None),
    "o--SmolLM2-1.7B-intermediate-checkpoints--step-125000": (
        "o--SmolLM2-1.7B-intermediate-checkpoints", None, 125000, None,
    ),
    "o--Apertus--step2627139-tokens15T": ("o--Apertus", None, 2627139, 15 * T),
    "o--Apertus--longctx-step500": ("o--Apertus--longctx", "longctx", 500, None),
    "o--Lucie--extension_step1220": ("o--Lucie--extension", "extension", 1220, None),
    "o--Neo--iter_0001000": ("o--Neo", None, 1000, None),
    "CrystalCoder_phase2_checkpoint_055500": ("CrystalCoder_phase2", "phase2", 55500, None),
    "checkpoint-500": ("checkpoints", None, 500, None),
    "run-step-10": ("run", None, 10, None),
    "run-4000": ("run", None, 4000, None),
    "4000": ("checkpoints", None, 4000, None),
    "o--n--4000": ("o--n", None, 4000, None),
    "smollm2-gpl3": ("smollm2-gpl3", None, None, None),
    "o--OLMo-2": ("o--OLMo-2", None, None, None),
    "o--n--release-2": ("o--n", None, None, None),
    "EleutherAI--gpt-neo-125m": ("EleutherAI--gpt-neo-125m", None, None, None),
    "gemma-2B": ("gemma-2B", None, None, None),
    "marin--marin-8b--deeper-starling": ("marin--marin-8b", None, None, None),
    "o--n--main": ("o--n", None, None, None),
}  # fmt: skip


@pytest.mark.parametrize("name", list(NAMES))
def test_a_name_is_taken_apart(name):
    parts = read_name(name)
    assert (parts.series, parts.stage, parts.training_step, parts.training_tokens) == NAMES[name]


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("CREATE TABLE checkpoints (checkpoint_id VARCHAR, corpus_id VARCHAR, training_step BIGINT)")
    rows = [(name, "library", step) for name, (_, _, step, _) in NAMES.items()]
    connection.executemany("INSERT INTO checkpoints VALUES (?, ?, ?)", rows)
    connection.execute(f"CREATE VIEW checkpoint_series AS {sql.load_one('views', 'checkpoint_series').text}")
    return connection


def test_the_view_reads_the_same(connection):
    rows = connection.execute(
        "SELECT checkpoint_id, series_id, stage, training_step, training_tokens, stage_rank FROM checkpoint_series"
    ).fetchall()
    expected = {name: parts for name, parts in NAMES.items() if parts[2] is not None}
    assert {row[0]: tuple(row[1:5]) for row in rows} == expected
    assert {row[0]: row[5] for row in rows} == {name: read_name(name).stage_rank for name in expected}


def test_revisions_without_a_number_follow_each_other_as_they_were_named():
    connection, order = duckdb.connect(), ["deeper-starling", "kestrel", "v1-final", "ocelot"]
    connection.execute("CREATE TABLE checkpoints (checkpoint_id VARCHAR, corpus_id VARCHAR, training_step BIGINT)")
    places = places_in_order([f"marin/marin-8b@{name}" for name in order] + ["o/n@main", "o/m@main", "o/m@step10"])
    assert places == {f"marin--marin-8b--{name}": place for place, name in enumerate(order)}
    connection.executemany("INSERT INTO checkpoints VALUES (?, 'library', ?)", list(places.items()))
    connection.execute(f"CREATE VIEW checkpoint_series AS {sql.load_one('views', 'checkpoint_series').text}")
    found = connection.execute(
        "SELECT checkpoint_id, series_id, suite_id, series_index, is_last FROM checkpoint_series ORDER BY series_index"
    ).fetchall()
    assert [row[0].split("--")[-1] for row in found] == order
    assert {row[1:3] for row in found} == {("marin--marin-8b", "marin--marin-8b")}
    assert [row[4] for row in found] == [False, False, False, True]
    assert all(read_name(name).series == "marin--marin-8b" for name in places)


def test_the_patterns_stand_in_the_view_word_for_word():
    text = sql.load_one("views", "checkpoint_series").text
    assert all(f"'{pattern}'" in text for pattern in (STEP, TOKENS, STAGE, BARE))


def test_stages_that_begin_again_follow_each_other(connection):
    rows = connection.execute(
        "SELECT checkpoint_id FROM checkpoint_series WHERE suite_id = 'o--SmolLM3' ORDER BY suite_index"
    ).fetchall()
    assert [name.split("--")[-1] for (name,) in rows] == ["stage1-step-40000", "lc-4k-to-32k-step-4000", "it-step-100"]


@pytest.mark.parametrize(
    ("named", "subject"),
    [([], "o--Comma--stage2-step002000-tokens969B"), (["o--Comma"], "o--Comma"), (["gone"], None)],
)
def test_the_subject_is_what_the_profile_names_else_the_newest(named, subject):
    connection = duckdb.connect()
    connection.execute("CREATE TABLE checkpoints (checkpoint_id VARCHAR, corpus_id VARCHAR, training_step BIGINT)")
    names = {name: NAMES[name][2] for name in NAMES if "Comma" in name} | {"o--Comma": None}
    connection.executemany("INSERT INTO checkpoints VALUES (?, 'library', ?)", list(names.items()))
    connection.execute(f"CREATE VIEW checkpoint_series AS {sql.load_one('views', 'checkpoint_series').text}")
    found = connection.execute(
        sql.load_one("adhoc", "latest_checkpoint").text, {"corpus_id": "library", "named": named}
    ).fetchone()
    assert found == (subject or "o--Comma--stage2-step002000-tokens969B",)
