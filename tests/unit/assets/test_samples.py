"""Who is measured: no continuation of a model's own as truth or text, no cluster twice, no relative of recited text."""

from __future__ import annotations

from types import SimpleNamespace

import polars as pl
import pytest

from assets.corpus.paragraphs import true_paragraphs
from assets.localization.samples import is_recited, measured_sample, stand_in_count, utility_text

ROWS = [
    # id, cluster, written by a model, has a place in the corpus, copies, exact match
    ("recited", 0, False, True, 8, 50),
    ("its relative", 0, False, True, 0, 3),
    ("recited as released", 1, True, True, 4, 50),
    ("a model's words", 2, True, False, 0, None),
    ("held out", 3, False, True, 0, 1),
    ("the same text", 3, False, True, 0, 2),
    ("trained on", 4, False, True, 2, 5),
]


class FakeScope:
    """What a stage reads, from memory."""

    def __init__(self, rows=ROWS, *, wrong_scores=False, screen=None):
        columns = ("paragraph_id", "near_duplicate_cluster", "by_model", "placed", "duplication_count", "exact_match")
        frame = pl.DataFrame(rows, schema=list(columns), orient="row")
        origin = pl.when("by_model").then(pl.lit("model")).otherwise(pl.lit("corpus"))
        offset = pl.when("placed").then(pl.lit(7))
        scored = frame if wrong_scores else frame.drop_nulls("exact_match")
        recited = (pl.col("exact_match").fill_null(50) == 50).alias("is_memorized")
        self.tables = {
            "paragraphs": frame.select(
                *columns[:2], "duplication_count", continuation_origin=origin, token_offset=offset
            ),
            "scores": scored.select("paragraph_id", pl.col("exact_match").fill_null(50), recited),
        }
        self.profile = SimpleNamespace(
            probes=SimpleNamespace(seed=1, paragraphs_per_group=10),
            paragraphs=SimpleNamespace(continuation_length=50, screen=screen),
            localization=SimpleNamespace(paragraphs=10),
            releases=(),
        )

    def read(self, table, columns=None):
        return self.tables[table].select(columns or pl.all())


def test_words_of_a_model_are_no_truth_unless_the_corpus_holds_them():
    names = true_paragraphs(FakeScope())["paragraph_id"].to_list()
    assert "a model's words" not in names and "recited as released" in names and len(names) == 6


def test_old_scores_of_a_models_words_are_not_read():
    sample = measured_sample(FakeScope(wrong_scores=True))
    assert "a model's words" not in sample["paragraph_id"].to_list()


def test_memorized_and_other_paragraphs_share_no_cluster():
    sample = measured_sample(FakeScope())
    groups = {name: set(rows["near_duplicate_cluster"]) for (name,), rows in sample.group_by("paragraph_group")}
    assert groups == {"MP": {0, 1}, "NMP": {3, 4}}
    assert sample["near_duplicate_cluster"].is_unique().all()


PARTLY = [
    ("a", 0, False, True, None, 31), ("a again", 0, False, True, None, 30), ("b", 1, False, True, None, 20),
    ("c", 2, False, True, None, 11), ("not enough", 3, False, True, None, 10), ("nothing", 4, False, True, None, 0),
]  # fmt: skip


def test_the_furthest_recited_stand_in_where_nothing_is_recited_and_the_corpus_was_screened():
    scope = FakeScope(PARTLY, screen=1000)
    sample = measured_sample(scope)
    recited = sample.filter(pl.col("paragraph_group") == "MP")
    assert sorted(recited["paragraph_id"]) == ["a", "b", "c"] and not recited["is_memorized"].any()
    assert set(sample.filter(pl.col("paragraph_group") == "NMP")["paragraph_id"]) == {"not enough", "nothing"}
    assert stand_in_count(scope) == 3
    assert is_recited(scope, pl.DataFrame({"paragraph_id": ["b", "nothing"]})).to_list() == [True, False]
    assert set(utility_text(scope)["near_duplicate_cluster"]) == {3, 4}


def test_nobody_stands_in_without_a_screening_or_beside_the_memorized():
    assert set(measured_sample(FakeScope(PARTLY))["paragraph_group"]) == {"NMP"}
    recited = FakeScope([*PARTLY, ("recited", 5, False, True, None, 50)], screen=1000)
    assert stand_in_count(recited) == 0
    chosen = measured_sample(recited).filter(pl.col("paragraph_group") == "MP")
    assert chosen["paragraph_id"].to_list() == ["recited"]


@pytest.mark.parametrize("held_out", [True, False])
def test_utility_text_is_the_corpus_own_and_no_relative_of_what_is_recited(held_out):
    rows = ROWS if held_out else [row if row[4] else (*row[:4], 1, row[5]) for row in ROWS]
    chosen = utility_text(FakeScope(rows, wrong_scores=True))
    assert chosen["near_duplicate_cluster"].to_list() == ([3] if held_out else [3, 4])
    assert not {"its relative", "a model's words"} & set(chosen["paragraph_id"])


def test_a_shard_in_which_everything_is_recited_writes_an_empty_table(monkeypatch):
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    import assets.memorization.stages as memorization
    import corpus_stats.tokens.tokenizer as tokenizer

    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"a": 0, "b": 1}, unk_token="a")))
    monkeypatch.setattr(tokenizer, "load_tokenizer", lambda source: words)
    scope = FakeScope([("one", 0, False, True, 1, 2), ("two", 1, False, True, 1, 2)])
    scope.tables["paragraphs"] = scope.tables["paragraphs"].with_columns(token_ids=pl.lit([0, 1, 0, 1]))
    scope.tables["tokenizers"] = pl.DataFrame({"source": ["words"]})
    scope.profile.probes.shard_size, scope.profile.paragraphs.prefix_length = 5, 2
    model = SimpleNamespace(device=torch.device("cpu"))
    monkeypatch.setattr(memorization.model_stage, "lazy_model", lambda scope: lambda: model)
    monkeypatch.setattr("probes.scoring.generation.refuse_unreadable", lambda *_, **__: None)
    frame = memorization.generations.shards(scope).compute(0)["generations"]
    assert frame.is_empty() and {"paragraph_id", "generated_ids", "generated_text"} <= set(frame.columns)


def test_releases_give_what_their_role_says():
    scope = FakeScope()
    subsets = pl.when(pl.col("paragraph_id") == "recited").then(pl.lit("authors")).otherwise(pl.lit("benchmark"))
    scope.tables["paragraphs"] = scope.tables["paragraphs"].with_columns(subset=subsets)
    scope.profile.releases = (
        SimpleNamespace(release="authors", roles=("memorized",)),
        SimpleNamespace(release="benchmark", roles=("others", "counted")),
    )
    sample = measured_sample(scope)
    assert sample.filter(pl.col("paragraph_group") == "MP")["paragraph_id"].to_list() == ["recited"]
    assert "recited as released" not in sample["paragraph_id"].to_list(), "it is recited, its release is for others"
    assert set(utility_text(scope)["subset"]) == {"benchmark"}
