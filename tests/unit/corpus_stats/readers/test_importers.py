"""Importers: the published counts on the released data, and other names, sizes and damages of the same releases."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from corpus_stats import CorpusError
from corpus_stats.duplicates.near_duplicates import near_duplicate_clusters, shared_run_clusters
from corpus_stats.importers import (
    import_lm_extraction_benchmark,
    import_localizing_paragraph_memorization,
    import_release,
)
from corpus_stats.paragraphs.facts import unique_token_count
from corpus_stats.paragraphs.filters import FilterTally, contains_token_set
from corpus_stats.paragraphs.sampling import paragraph_id
from corpus_stats.tokens.tokenizer import load_tokenizer, train_tokenizer
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
    np.save(tmp_path / "a_suffix.npy", np.ones((5, 4), dtype=np.uint16))
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


def test_a_split_without_suffixes_is_left_out_and_named(tmp_path):
    """The benchmark's own `datasets` folder holds the prefixes of the test split only."""
    (tmp_path / "datasets").mkdir()
    ids = _matrices(tmp_path / "datasets", "train_", 6, (50, 50))
    np.save(tmp_path / "datasets" / "test_prefix.npy", ids[:, :50])
    np.save(tmp_path / "datasets" / "train_dataset.npy", ids)
    notes: list[str] = []
    frame = import_lm_extraction_benchmark(tmp_path, notes)
    assert frame["token_ids"].to_list() == ids.tolist() and frame["split"].unique().to_list() == ["train"]
    assert notes == ["test_prefix.npy is left out: its suffixes, test_suffix.npy, are not there"]


def test_the_localizing_release_imports_from_its_own_root(tmp_path):
    """`paragraphs/gpt-neo-125M` holds preds/, perturbed/ and the csv beside preds/."""
    import torch

    model = tmp_path / "paragraphs" / "gpt-neo-125M"
    for name in ("preds", "perturbed"):
        (model / name).mkdir(parents=True)
    torch.save(torch.arange(400).reshape(4, 100), model / "preds" / "50_50_preds.pt")
    torch.save(torch.arange(300).reshape(3, 100), model / "preds" / "0_10_preds.pt")
    torch.save(torch.ones(2, 2), model / "perturbed" / "mem_toks.pt")
    (model / "mem_strings.csv").write_text("paragraph,id,count,em,nll\n" + "x,1,99,50,0.5\n" * 4)
    (model / "other.csv").write_text("a,b\n1,2\n")
    for folder in (tmp_path, tmp_path / "paragraphs", model, model / "preds"):
        notes: list[str] = []
        frame = import_localizing_paragraph_memorization(folder, notes=notes)
        assert frame.group_by("source_file").agg(pl.col("occurrence_count").sum()).sort("source_file").rows() == [
            ("0_10_preds.pt", 0),
            ("50_50_preds.pt", 396),
        ]
        assert len(notes) == (folder != model / "preds"), "tensors of another kind are named"
    (model / "mem_strings.csv").unlink()
    notes = []
    import_localizing_paragraph_memorization(model / "preds", notes=notes)
    assert "no csv with counts" in notes[0]
    (tmp_path / "paragraphs" / "gpt-neo-1.3B" / "preds").mkdir(parents=True)
    torch.save(torch.arange(400).reshape(4, 100), tmp_path / "paragraphs/gpt-neo-1.3B/preds/50_50_preds.pt")
    with pytest.raises(CorpusError, match=r"several models: paragraphs/gpt-neo-1\.3B/preds, paragraphs/gpt-neo-125M"):
        import_localizing_paragraph_memorization(tmp_path)


def test_memorized_sequences_of_pythia(tmp_path):
    ids = np.random.default_rng(0).integers(0, 50_000, (5, 64))
    (tmp_path / "data").mkdir()
    for model, rows in (("deduped.1.4b", ids[:2]), ("duped.70m", ids[2:])):
        frame = pl.DataFrame({"index": [7 * i for i in range(len(rows))], "tokens": rows.tolist()})
        frame.write_parquet(tmp_path / "data" / f"{model}-00000-of-00001-2a4bd2b0c1bd5c5f.parquet")
    (tmp_path / "README.md").write_text("x")
    frame = import_release("pythia-memorized-evals", tmp_path)
    assert frame["token_ids"].to_list() == ids.tolist()
    assert frame["split"].to_list() == ["deduped.1.4b"] * 2 + ["duped.70m"] * 3
    assert frame.select("prefix_length", "continuation_length", "exact_match").unique().rows() == [(32, 32, 32.0)]
    assert frame["released_id"].to_list() == [0, 7, 0, 7, 14]
    pl.DataFrame({"index": [1], "tokens": [[1, 2, 3]]}).write_parquet(tmp_path / "data" / "odd.parquet")
    with pytest.raises(CorpusError, match=r"odd\.parquet holds no columns .*not of one even length"):
        import_release("pythia-memorized-evals", tmp_path)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tok")
    train_tokenizer(["the quick brown fox jumps over a lazy dog " * 20], 300).save_pretrained(folder)
    return folder


def test_passages_with_a_column_of_duplicates(tmp_path, tokenizer):
    """Hubble's layout: a table with the number of copies that the perturbed model saw."""
    texts = [f"the quick brown fox number {i} jumps over a lazy dog" for i in range(6)]
    copies = [0, 1, 4, 16, 64, 256]
    pl.DataFrame({"text": texts, "duplicates": copies}).write_parquet(tmp_path / "passages.parquet")
    options = {"tokenizer": str(tokenizer), "continuation_length": 4}
    frame = import_release("texts-with-copies", tmp_path, 4, **options)
    assert frame["occurrence_count"].to_list() == copies
    expected = [load_tokenizer(str(tokenizer)).encode(text)[:8] for text in texts]
    assert frame["token_ids"].to_list() == expected and frame["is_corpus_text"].all()


def test_books_in_folders_that_name_their_repetitions(tmp_path, tokenizer):
    """Apertus' layout: texts of Gutenberg that training saw 0, 1, 2, 4 … 128 times."""
    for count in (0, 2, 128):
        (tmp_path / f"gutenberg_rep_{count}").mkdir()
        lines = [json.dumps({"text": f"a lazy dog in book {count} over the fox"}), json.dumps({"text": "a"})]
        (tmp_path / f"gutenberg_rep_{count}" / "books.jsonl").write_text("\n".join(lines))
    options, notes = {"tokenizer": str(tokenizer), "continuation_length": 4}, []
    frame = import_release("texts-with-copies", tmp_path, 4, notes, **options)
    assert sorted(frame["occurrence_count"].to_list()) == [0, 2, 128]
    assert notes == ["3 texts are left out: shorter than a paragraph"]
    (tmp_path / "more.jsonl").write_text(json.dumps({"text": "nobody says how often"}))
    with pytest.raises(CorpusError, match=r"Nothing tells how often row 0 of .*more\.jsonl was in training"):
        import_release("texts-with-copies", tmp_path, 4, **options)
