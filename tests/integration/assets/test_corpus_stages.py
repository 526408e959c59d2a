"""Corpora of every shape through the corpus stages: text with damage, packed token files, released paragraphs."""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from assets.corpus.paragraphs import paragraphs
from assets.corpus.text import corpora, forget_contents
from assets.corpus.unigrams import subset_unigrams, unigrams, words
from assets.framework.stage import Scope
from assets.stages import CORPUS_STAGES
from corpus_stats import CorpusError
from corpus_stats.tokens.tokenizer import load_tokenizer
from orchestration.run.flow import Step, corpus_steps
from tests.support.worlds.corpus_runs import WORDS_OF_TEXTS, run_corpus, save_small_tokenizer, sentences


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return save_small_tokenizer(tmp_path_factory.mktemp("tokenizer"))


PILE_LIKE = """
name = "pile-like"
[corpus]
corpus_id = "pile-like"
source = "{source}"
tokenizer = "{tokenizer}"
on_bad = "skip"
shard_tokens = 5000
[corpus.options]
subset_field = "meta.set"
[paragraphs]
prefix_length = 32
continuation_length = 32
count = 28
minimum_unique_share = 0.1
filter_words = ["river"]
per_occurrence_stratum = 20
[unigrams]
unseen = "null"
words = true
"""


@pytest.fixture(scope="module")
def pile_like(tmp_path_factory, tokenizer):
    root = tmp_path_factory.mktemp("pile-like")
    lines = [json.dumps({"text": sentences(seed, 150), "meta": {"set": "ab"[seed % 2]}}) for seed in range(60)]
    lines[7:7] = ["{broken", '{"text": ""}', '{"meta": {}}', "{also broken"]
    (root / "00.jsonl").write_text("\n".join(lines))
    return run_corpus(root, PILE_LIKE.format(source=root / "00.jsonl", tokenizer=tokenizer))


def test_every_skip_is_listed_with_its_reason_and_an_example(pile_like):
    skipped = pile_like.read("skipped_documents").sort("reason")
    assert skipped.select("reason", "document_count").rows() == [
        ("broken JSON", 2),
        ("empty document", 1),
        ("no text field", 1),
    ]
    assert "00.jsonl:8" in skipped["first_example"][0]
    assert pile_like.read("corpora")["skipped_document_count"][0] == 4
    assert pile_like.read("documents").height == 60


def test_windows_of_32_and_32_with_counts_of_their_parts(pile_like):
    frame = pile_like.read("paragraphs")
    assert set(frame["token_ids"].list.len()) == {64}
    assert (frame["occurrence_count"] >= 1).all()
    assert (frame["prefix_occurrence_count"] >= frame["occurrence_count"]).all()
    assert frame["prefix_end_occurrence_count"].equals(frame["prefix_occurrence_count"]), "32 tokens are the prefix"
    assert set(frame["continuation_origin"]) == {"corpus"}
    assert frame["occurrence_stratum"].unique().to_list() == ["1"] and frame.height == 20


def test_filters_report_what_they_dropped(pile_like):
    report = pile_like.read("paragraph_filters").sort("step")
    assert report["filter"].to_list() == [
        "is_varied", "has_no_filter_string", "is_distinct", "is_drawn_from_its_stratum",
    ]  # fmt: skip
    assert report["dropped_count"][1] > 0
    assert report["kept_count"].to_list()[2:] == [28, 20]
    kept = report["kept_count"].to_list()
    assert [a - b for a, b in itertools.pairwise(kept)] == report["dropped_count"].to_list()[1:]
    ids = load_tokenizer(pile_like.read("tokenizers")["source"][0]).encode(" river")
    for row in pile_like.read("paragraphs")["token_ids"].to_list():
        assert not set(ids) <= set(row)


def test_subsets_have_their_own_rarity_and_coverage(pile_like):
    rows = pile_like.read("subset_unigrams")
    documents = pile_like.read("documents")
    tokens = dict(documents.group_by("subset").agg(pl.col("token_count").sum()).iter_rows())
    counted = dict(rows.group_by("subset").agg(pl.col("token_count").sum()).iter_rows())
    assert counted == tokens and set(counted) == {"a", "b"}
    for name, part in rows.partition_by("subset", as_dict=True).items():
        counts = part["token_count"].to_numpy()
        assert np.allclose(part["probability"], counts / tokens[name[0]])
        assert np.allclose(part["surprisal_bits"], -np.log2(counts / tokens[name[0]]))
        assert (part["rarity_rank"] == part["token_count"].rank("dense") - 1).all()
    coverage = pile_like.read("subset_coverage")
    assert coverage["paragraph_count"].sum() == 20
    assert dict(coverage.select("subset", "token_count").iter_rows()) == tokens


def test_unseen_tokens_follow_the_stated_policy(pile_like):
    frame = pile_like.read("unigrams")
    unseen = frame["token_count"] == 0
    assert unseen.any() and set(frame["unseen_policy"]) == {"null"}
    for column in ("surprisal_bits", "rarity_rank"):
        assert (frame[column].is_null() == unseen).all()
    assert frame["rarity_rank"].min() == 0
    seen = frame.filter(~unseen)
    assert np.allclose(seen["surprisal_bits"], -np.log2(seen["probability"]))


def test_words_are_counted_where_asked_for(pile_like):
    words = pile_like.read("words")
    assert words["word_count"].sum() == 60 * 150
    assert set(words["word"]) == set(WORDS_OF_TEXTS)


def test_nothing_is_left_to_do(pile_like):
    assert corpus_steps(pile_like) == []
    assert all(stage in CORPUS_STAGES for stage in (corpora, paragraphs, unigrams, subset_unigrams, words))


PACKED = """
name = "packed"
[corpus]
corpus_id = "packed"
source = "{source}"
tokenizer = "{tokenizer}"
[corpus.options]
{options}
[paragraphs]
prefix_length = 10
continuation_length = 10
count = 12
minimum_unique_share = 0.1
"""


def packed_rows(tokenizer: Path, rows: int, length: int) -> np.ndarray:
    """Rows of documents with end-of-text (0) between them, as Pythia's training sequences are packed."""
    encode = load_tokenizer(str(tokenizer))
    ids: list[int] = []
    seed = 0
    while len(ids) < rows * length:
        ids += [*encode.encode(sentences(seed, 20 + seed % 40)), 0]
        seed += 1
    return np.array(ids[: rows * length], dtype="<u2").reshape(rows, length)


def write_parts(folder: Path, matrix: np.ndarray, form: str) -> None:
    """The matrix as published: parts of a stream, with an index of its rows, or big-endian arrays of one dimension."""
    folder.mkdir()
    for part, piece in enumerate(np.array_split(matrix, 3)):
        name = f"document-{part:05d}-of-00003"
        if form == "big-endian":
            np.save(folder / f"{name}.npy", piece.reshape(-1).astype(">u4"))
        else:
            piece.tofile(folder / f"{name}.bin")
    if form == "index":
        rows, length = matrix.shape
        sizes, places = np.full(rows, length, "<i4"), np.arange(rows, dtype="<i8") * length * 2
        head = b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, 8, rows, rows + 1)
        (folder / "document.idx").write_bytes(
            head + sizes.tobytes() + places.tobytes() + np.arange(rows + 1, dtype="<i8").tobytes()
        )


@pytest.mark.parametrize("form", ["stream", "rows", "index", "big-endian"])
def test_token_files_stay_in_place_and_their_gaps_are_counted(tmp_path, tokenizer, form):
    matrix = packed_rows(tokenizer, rows=20, length=65)
    folder = tmp_path / "shards"
    write_parts(folder, matrix, form)
    options = "row_length = 65" if form == "rows" else ""
    profile = PACKED.format(source=folder, tokenizer=tokenizer, options=options)
    scope = run_corpus(tmp_path, profile)
    facts, documents = scope.read("corpora").row(0, named=True), scope.read("documents")
    assert facts["token_count"] == matrix.size == scope.read("unigrams")["token_count"].sum()
    assert facts["separator_count"] == int((matrix == 0).sum()) > 0
    assert documents["token_count"].sum() == matrix.size - facts["separator_count"]
    between = scope.read("subset_unigrams").filter(pl.col("subset") == "(between documents)")
    assert between.select("token_id", "token_count").rows() == [(0, facts["separator_count"])]
    flat = matrix.reshape(-1)
    for row in scope.read("paragraphs").iter_rows(named=True):
        at = row["token_offset"]
        assert flat[at : at + 20].tolist() == row["token_ids"] and 0 not in row["token_ids"]
        assert form in ("stream", "big-endian") or at // 65 == (at + 19) // 65, "a window stays in its row"
    assert not list((scope.corpus_folder() / "tokens").glob("*.bin")), "nothing was copied"
    assert corpus_steps(scope) == []
    if form == "rows":
        refuses_truncated_files(scope, folder, lambda: run_corpus(tmp_path, profile))


def refuses_truncated_files(scope: Scope, folder: Path, run: Callable[[], Scope]) -> None:
    """A file that has lost its end is seen, named and refused; the tables stay as they were."""
    before = {table: scope.content(table) for stage in CORPUS_STAGES for table in stage.tables}
    last = max(folder.iterdir())
    last.write_bytes(last.read_bytes()[:-1])
    forget_contents()
    assert corpus_steps(scope) == [Step("corpus")], "the change is seen"
    with pytest.raises(CorpusError, match=r"00002-of-00003\.bin has \d+ bytes, no multiple of 2; it is truncated"):
        run()
    assert before == {table: scope.content(table) for stage in CORPUS_STAGES for table in stage.tables}
