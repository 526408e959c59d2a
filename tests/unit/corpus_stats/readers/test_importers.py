"""Importers: the published counts on the released data, and other names, sizes and damages of the same releases."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from corpus_stats import CorpusError
from corpus_stats.duplicates.near_duplicates import near_duplicate_clusters, shared_run_clusters
from corpus_stats.importers import import_lm_extraction_benchmark, import_localizing_paragraph_memorization
from corpus_stats.paragraphs.facts import unique_token_count
from corpus_stats.paragraphs.filters import FilterTally, contains_token_set
from corpus_stats.paragraphs.sampling import paragraph_id
from tests.support.shared_data import GPT2_FILTER_SETS, released


@pytest.fixture(scope="module")
def extraction():
    return import_lm_extraction_benchmark(released("lm-extraction-benchmark"))


@pytest.fixture(scope="module")
def localizing():
    return import_localizing_paragraph_memorization(released("localizing-paragraph-memorization"))


def test_extraction_benchmark_rows(extraction):
    assert (len(extraction), extraction["paragraph_id"].n_unique()) == (15_000, 12_699)
    assert set(extraction["split"]) == {"train"}
    assert set(extraction["continuation_origin"]) == {"corpus"}
    folder = released("lm-extraction-benchmark")
    row = extraction.row(77, named=True)
    assert row["token_ids"][:50] == np.load(folder / "train_prefix.npy")[77].tolist()
    assert row["token_ids"][50:] == np.load(folder / "train_suffix.npy")[77].tolist()
    assert row["preceding_token_ids"] == np.load(folder / "train_preprefix.npy")[77].tolist()
    assert row["paragraph_id"] == paragraph_id(np.array(row["token_ids"]))


def test_filters_drop_what_is_published(extraction):
    rows, tally = np.array(extraction["token_ids"].to_list()), FilterTally()
    kept = tally.add("is_varied", unique_token_count(rows) > 50)  # strictly more than half
    kept = tally.add("has_no_filter_string", ~contains_token_set(rows, GPT2_FILTER_SETS), kept)
    assert tally.frame().drop("step").rows() == [
        ("is_varied", 3_091, 3_091, 11_909),
        ("has_no_filter_string", 6_323, 6_924, 5_586),
    ]
    assert extraction.filter(pl.Series(kept))["paragraph_id"].n_unique() == 4_834


def test_localizing_rows_are_the_models_own(localizing):
    assert dict(localizing.group_by("source_file").len().iter_rows()) == {"11_29_preds.pt": 436, "50_50_preds.pt": 442}
    assert set(localizing["continuation_origin"]) == {"model"}
    by_file = dict(localizing.group_by("source_file").agg(pl.col("is_corpus_text").unique()).iter_rows())
    assert by_file == {"11_29_preds.pt": [False], "50_50_preds.pt": [True]}
    memorized = localizing.filter(pl.col("source_file") == "50_50_preds.pt")
    assert (memorized["occurrence_count"].min(), memorized["occurrence_count"].max()) == (8, 40_382)
    assert memorized.select("exact_match", "nll_nats", "released_text").null_count().sum_horizontal().item() == 0
    assert any("\r" in text for text in memorized["released_text"]), "carriage returns survive"
    others = localizing.filter(pl.col("source_file") != "50_50_preds.pt")
    assert others["nll_nats"].null_count() == len(others)


def test_memorized_paragraphs_fall_into_116_groups(localizing):
    token_ids = np.array(localizing.filter(pl.col("is_corpus_text"))["token_ids"].to_list())
    assert len(set(shared_run_clusters(token_ids, 50).tolist())) == 116


def test_clusters_of_real_rows_equal_brute_force(extraction):
    rows = np.array(extraction["token_ids"].to_list())[:400]
    labels = near_duplicate_clusters(rows)
    sets = [frozenset(zip(*(row[i:] for i in range(5)), strict=False)) for row in rows.tolist()]
    for i, a in enumerate(sets):
        for j in range(i):
            if labels[i] != labels[j]:
                assert len(a & sets[j]) < 0.8 * len(a | sets[j])


def _matrices(folder: Path, split: str, rows: int, lengths: tuple[int, int]) -> np.ndarray:
    ids = np.random.default_rng(rows).integers(0, 50_000, (rows, sum(lengths)), dtype=np.uint16)
    np.save(folder / f"{split}prefix.npy", ids[:, : lengths[0]])
    np.save(folder / f"{split}suffix.npy", ids[:, lengths[0] :])
    return ids


def test_other_names_and_sizes_import(tmp_path):
    ids = _matrices(tmp_path, "val_", 7, (32, 32))
    more = _matrices(tmp_path, "", 3, (50, 40))
    frame = import_lm_extraction_benchmark(tmp_path)
    assert frame.group_by("split", maintain_order=True).len().rows() == [("all", 3), ("val", 7)]
    assert frame.filter(pl.col("split") == "val")["token_ids"].to_list() == ids.tolist()
    assert frame.filter(pl.col("split") == "all")["token_ids"].to_list() == more.tolist()
    assert frame.select("prefix_length", "continuation_length").unique().sort("prefix_length").rows() == [
        (32, 32),
        (50, 40),
    ]
    assert frame["preceding_token_ids"].null_count() == 10


def test_broken_matrices(tmp_path):
    with pytest.raises(CorpusError, match=r"no \*prefix\.npy"):
        import_lm_extraction_benchmark(tmp_path)
    _matrices(tmp_path, "a_", 5, (4, 4))
    np.save(tmp_path / "a_suffix.npy", np.ones((4, 4), dtype=np.uint16))
    with pytest.raises(CorpusError, match="has 4 rows but its prefixes have 5"):
        import_lm_extraction_benchmark(tmp_path)
    (tmp_path / "a_suffix.npy").unlink()
    with pytest.raises(CorpusError, match=r"a_suffix\.npy does not exist"):
        import_lm_extraction_benchmark(tmp_path)
    (tmp_path / "a_prefix.npy").write_bytes((tmp_path / "a_prefix.npy").read_bytes()[:-1])
    with pytest.raises(CorpusError, match="truncated"):
        import_lm_extraction_benchmark(tmp_path)


def test_other_preds_import_and_belong_to_their_csv(tmp_path):
    import torch

    generator = torch.Generator().manual_seed(0)
    whole = torch.randint(0, 999, (4, 64), generator=generator)
    torch.save(whole, tmp_path / "32_32_preds.pt")
    torch.save(torch.randint(0, 999, (4, 64), generator=generator), tmp_path / "nmp.pt")
    text = 'a,"b\r\n""c"""'
    (tmp_path / "counts.csv").write_text(
        "paragraph,id,count,em,nll\n"
        + f"{text},1,2,32.0,0.5\n".replace("a,", "")
        + 'x,,3,32,1\n"y\n",3,4,32,1\nz,4,5,32,1\n',
        newline="",
    )
    frame = import_localizing_paragraph_memorization(tmp_path)
    first = frame.filter(pl.col("source_file") == "32_32_preds.pt")
    assert first["released_text"].to_list() == ['b\r\n"c"', "x", "y\n", "z"]
    assert first["released_id"].to_list() == [1, None, 3, 4]
    assert first["is_corpus_text"].to_list() == [True] * 4
    other = frame.filter(pl.col("source_file") == "nmp.pt")
    assert other["is_corpus_text"].to_list() == [None] * 4
    assert other["nll_nats"].null_count() == 4


class _Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_broken_preds(tmp_path):
    import torch

    def refused(match):
        with pytest.raises(CorpusError, match=match):
            import_localizing_paragraph_memorization(tmp_path)

    refused(r"no \.pt file")
    file, mark = tmp_path / "50_50_preds.pt", tmp_path / "ran"
    torch.save(_Bomb(mark), file)
    refused("may run code")
    file.write_bytes(pickle.dumps(_Bomb(mark)))
    refused("may run code")
    assert not mark.exists()
    torch.save(torch.ones(3, 4), file)
    refused("no matrix of token ids")
    torch.save(torch.ones((300, 100), dtype=torch.int64), file)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    refused("damaged")
    file.write_bytes(whole)
    (tmp_path / "x.csv").write_text("paragraph,id,count,em,nll\na,1,2,50,0.5\n")
    refused("belongs to no matrix")
    (tmp_path / "x.csv").write_text("paragraph,id,count,em,nll\na,1,2,50\n")
    refused("damaged")
    (tmp_path / "x.csv").write_text("text\na\n")
    refused("lacks one of the columns")
