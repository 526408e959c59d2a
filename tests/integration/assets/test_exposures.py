"""Exposures of the quickstart's own training and of a published order, and the marts that join them to recital."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from statsmodels.stats.proportion import proportion_confint

from assets.corpus.exposures import exposures, shown_here
from assets.framework.profile import load_profile
from assets.framework.stage import Scope
from corpus_stats.paragraphs.packing import bare_row_order, packed_rows, packing
from corpus_stats.tokens.stream import FORMAT, TokenStream
from tests.support.results_world import World
from warehouse.catalog.publish import publish_catalog
from warehouse.catalog.queries import query
from warehouse.home import Home

PROFILE = """
name = "{name}"
[corpus]
corpus_id = "world"
source = "nowhere"
tokenizer = "nowhere"
[paragraphs]
prefix_length = 4
continuation_length = 4
{section}
"""
TRAINING = """
[training]
row_length = {row_length}
unrelated_tokens = 7
batch_size = 3
background_count = {background}
seed = 5
[training.rungs]
2 = 3
"""
ORDER = """
[training_order]
layout = "chunks"
sequence_length = 16
batch_size = 2
index = "{index}"
checkpoints = "run-step-*"
"""


def profile_of(folder, name, section):
    path = folder / f"{name}.toml"
    path.write_text(PROFILE.format(name=name, section=section))
    return load_profile(str(path))


def stream_of(folder, ids) -> TokenStream:
    folder.mkdir(parents=True, exist_ok=True)
    ids.astype("<u2").tofile(folder / "all.bin")
    shard = f'[{{"file": "all.bin", "token_count": {len(ids)}}}]'
    (folder / "tokens.json").write_text(f'{{"format": "{FORMAT}", "dtype": "<u2", "shards": {shard}}}')
    return TokenStream(folder)


def looked_for(rows: np.ndarray, paragraphs: np.ndarray, batch: int) -> set[tuple[int, int, int, int]]:
    """Paragraph, sequence, step and offset of every whole paragraph in the rows that a training reads in order."""
    length = paragraphs.shape[1]
    return {
        (number, place, place // batch + 1, at)
        for place, row in enumerate(rows)
        for at in range(len(row) - length + 1)
        for number, paragraph in enumerate(paragraphs)
        if np.array_equal(row[at : at + length], paragraph)
    }


def whole(frame: pl.DataFrame) -> set[tuple[int, int, int, int]]:
    """The same of a frame of exposures."""
    names = ("row", "training_sequence", "training_step", "sequence_offset")
    return set(frame.filter("is_whole").select(names).rows())


@pytest.mark.parametrize("copies", [[2, 0, 5, 1], [1, 9, 3, 2], [0, 0, 1, 0]])
def test_the_rows_that_are_trained_on_hold_what_is_told(copies, tmp_path):
    """Against the packed rows themselves, searched from the first to the last token."""
    profile = profile_of(tmp_path, "packed", TRAINING.format(row_length=20, background=0))
    generator, counts = np.random.default_rng(1), np.array(copies)
    paragraphs = generator.integers(100, 200, (4, 8))
    stream = stream_of(tmp_path / "tokens", generator.integers(1, 100, 500))
    layout = packing(counts, 8, 20, 7, 5)
    rows = packed_rows(layout, paragraphs, stream, np.zeros(0, dtype=np.int64), 0, 5)
    found = shown_here(profile, counts)
    assert whole(found) == looked_for(rows, paragraphs, 3)
    held = found.group_by("row").agg(pl.col("held_count").sum())
    tokens = {n: int(np.isin(rows, paragraphs[n]).sum()) for n in range(4)}
    near = {n: count * 8 for n, count in enumerate(copies)}
    for number, count in held.iter_rows():
        assert count <= near[number] and (len(rows) and count > near[number] - 20), tokens


def test_bare_rows_hold_one_paragraph_each(tmp_path):
    profile, counts = profile_of(tmp_path, "bare", TRAINING.format(row_length=0, background=6)), np.array([2, 0, 3])
    paragraphs = np.random.default_rng(2).integers(100, 10**6, (9, 8))
    rows = paragraphs[bare_row_order(counts, 6, 5)]
    found = shown_here(profile, counts)
    assert whole(found) == looked_for(rows, paragraphs[:3], 3) and found["is_whole"].all()


CHECKPOINTS = {"run-step-2": 2, "run-step-5": 5, "run-step-8": 8, "other-step-8": 8}


@pytest.fixture(scope="module")
def scope(tmp_path_factory) -> Scope:
    """Sixteen sequences of sixteen tokens in a shuffled order, two to a step; some paragraphs occur more than once."""
    root, generator = tmp_path_factory.mktemp("exposures"), np.random.default_rng(4)
    ids = generator.integers(0, 1000, 260)
    for source, target in ((3, 100), (3, 150), (20, 200), (40, 121)):
        ids[target : target + 8] = ids[source : source + 8]
    generator.permutation(16).astype("<u4").tofile(root / "global_indices.npy")
    profile = profile_of(root, "ordered", ORDER.format(index=root / "global_indices.npy"))
    scope = Scope(Home(root / "home").prepare(), profile)
    stream_of(scope.corpus_folder() / "tokens", ids)
    offsets = [3, 20, 40, 60, 81, 131, 171, 215, 245]
    names = [f"p{i}" for i in range(len(offsets))]
    world = World(scope.home)
    world.put("corpora", "world", source=["nowhere"], token_count=[len(ids)])
    world.put("documents", "world", document_id=[0], name=["a"], token_offset=[0], token_count=[len(ids)])
    world.put(
        "paragraphs", "world", paragraph_id=names, token_offset=offsets, document_id=[0] * 9, text=[""] * 9,
        token_ids=[ids[at : at + 8].tolist() for at in offsets], prefix_length=[4] * 9, continuation_length=[4] * 9,
        near_duplicate_cluster=range(9), continuation_origin=["corpus"] * 9,
    )  # fmt: skip
    world.put("duplication_ladder", "world", paragraph_id=[], copies_count=[])
    for number, (name, step) in enumerate(CHECKPOINTS.items()):
        world.put("checkpoints", name, corpus_id=["world"], training_step=[step])
        recited = generator.random(9) < 0.3 + 0.2 * number
        world.put(
            "scores", name, paragraph_id=names, is_memorized=recited, exact_match=np.where(recited, 4, 1),
            divergence_position=[None if r else 5 for r in recited], continuation_nll_nats=generator.random(9),
            em_bin=["50" if r else "0-10" for r in recited],
        )  # fmt: skip
        grid = [(name, at) for name in names for at in (0, 3)]
        world.put(
            "recall_by_offset", name, paragraph_id=[n for n, _ in grid], preceding_text=["unrelated"] * 18,
            preceding_length=[at for _, at in grid], context_length=[4] * 18, is_recited=generator.random(18) < 0.5,
        )  # fmt: skip
    frame = exposures.shards_of(scope).compute(0)["exposures"]
    writer = scope.store("exposures").writer("world", {"seed": 1}, 1)
    writer.write(0, frame)
    writer.finish()
    publish_catalog(scope.home)
    return scope


def read_by(scope: Scope, checkpoint: str) -> dict[str, pl.DataFrame]:
    """Whole exposures of each paragraph up to the checkpoint's step."""
    frame = scope.read("exposures").filter(pl.col("training_step") <= CHECKPOINTS[checkpoint], pl.col("is_whole"))
    names = scope.read("paragraphs", ["paragraph_id"])["paragraph_id"]
    return {name: frame.filter(paragraph_id=name) for name in names}


def bin_of(count: int | None) -> int | None:
    return count if not count else 1 << (int(count).bit_length() - 1)


def test_the_published_order_is_told_as_it_was(scope):
    ids = np.fromfile(scope.corpus_folder() / "tokens" / "all.bin", dtype="<u2")
    order = np.fromfile(scope.profile.training_order.index, dtype="<u4")
    rows = np.array([ids[16 * chunk : 16 * chunk + 16] for chunk in order.tolist()])
    paragraphs = np.array(scope.read("paragraphs")["token_ids"].to_list())
    numbers = {name: row for row, name in enumerate(scope.read("paragraphs")["paragraph_id"])}
    frame = scope.read("exposures").with_columns(row=pl.col("paragraph_id").replace_strict(numbers))
    assert whole(frame) == looked_for(rows, paragraphs, 2)
    assert (frame["paragraph_id"] == "p0").sum() >= 3, "it occurs three times"
    assert frame.filter(~pl.col("is_whole")).height and "p8" in scope.read("paragraphs")["paragraph_id"]


def test_how_often_and_how_long_ago_at_each_checkpoint(scope):
    found = query(scope.home, "from paragraph_exposures")
    assert set(found["checkpoint_id"]) == set(CHECKPOINTS) - {"other-step-8"}, "others were not trained in this order"
    for row in found.iter_rows(named=True):
        seen = read_by(scope, row["checkpoint_id"])[row["paragraph_id"]]
        last = seen["training_step"].max()
        assert row["exposure_count"] == seen.height and row["last_read_at"] == last
        assert row["steps_ago"] == (None if last is None else CHECKPOINTS[row["checkpoint_id"]] - last)


def test_recency_is_compared_at_as_many_exposures(scope):
    for row in query(scope.home, "from memorization_by_recency").iter_rows(named=True):
        step, seen = CHECKPOINTS[row["checkpoint_id"]], read_by(scope, row["checkpoint_id"])
        recited = dict(scope.store("scores").read(row["checkpoint_id"], ["paragraph_id", "is_memorized"]).rows())
        as_many = [name for name, frame in seen.items() if bin_of(frame.height) == row["least_exposures"]]
        ago = {name: step - seen[name]["training_step"].max() if seen[name].height else None for name in as_many}
        here = [recited[name] for name in as_many if bin_of(ago[name]) == row["least_steps_ago"]]
        assert row["cluster_count"] == len(here) and row["memorized_share"] == pytest.approx(np.mean(here))
        assert row["null_share"] == pytest.approx(np.mean([recited[name] for name in as_many]))
        interval = proportion_confint(sum(here), len(here), method="wilson") if len(here) > 2 else (None, None)
        assert (row["lower"], row["upper"]) == pytest.approx(interval)


def test_forgetting_is_told_by_what_was_read_again(scope):
    found = query(scope.home, "from forgetting_by_exposure")
    assert set(found["checkpoint_id"]) == {"run-step-5", "run-step-8"}
    before = {"run-step-5": "run-step-2", "run-step-8": "run-step-5"}
    for row in found.iter_rows(named=True):
        name, earlier = row["checkpoint_id"], before[row["checkpoint_id"]]
        assert row["earlier_checkpoint_id"] == earlier
        recited = {
            c: dict(scope.store("scores").read(c, ["paragraph_id", "is_memorized"]).rows()) for c in (name, earlier)
        }
        kept = {p: recited[name][p] for p, was in recited[earlier].items() if was}
        again = {p: read_by(scope, name)[p].height - read_by(scope, earlier)[p].height for p in kept}
        here = [value for p, value in kept.items() if bin_of(again[p]) == row["least_again"]]
        assert row["cluster_count"] == len(here) and row["kept_share"] == pytest.approx(np.mean(here))
        assert row["null_share"] == pytest.approx(np.mean(list(kept.values())))


def test_offsets_are_compared_with_those_of_the_training(scope):
    found = query(scope.home, "from recital_by_trained_offset")
    assert found.height and set(found["checkpoint_id"]) <= set(CHECKPOINTS) - {"other-step-8"}
    for row in found.iter_rows(named=True):
        seen = read_by(scope, row["checkpoint_id"])
        tried = (
            scope.store("recall_by_offset").read(row["checkpoint_id"]).filter(preceding_length=row["preceding_length"])
        )
        recited = dict(tried.select("paragraph_id", "is_recited").rows())
        far = {
            p: min(abs(row["preceding_length"] - at) for at in frame["sequence_offset"])
            for p, frame in seen.items()
            if frame.height and bin_of(frame.height) == row["least_exposures"]
        }
        here = [recited[p] for p, distance in far.items() if bin_of(distance) == row["least_distance"]]
        assert row["cluster_count"] == len(here) and row["recited_share"] == pytest.approx(np.mean(here))
        assert row["null_share"] == pytest.approx(np.mean([recited[p] for p in far]))


def test_an_order_without_its_index_is_refused(tmp_path):
    from assets.framework.errors import RequestError

    with pytest.raises(RequestError, match="needs training_order"):
        profile_of(tmp_path, "none", '[training_order]\nlayout = "neox"\nsequence_length = 16\nbatch_size = 2')
    with pytest.raises(RequestError, match="not both"):
        both = TRAINING.format(row_length=20, background=0) + ORDER.format(index="x")
        profile_of(tmp_path, "both", both)
