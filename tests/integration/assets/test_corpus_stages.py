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
from assets.framework.profile import load_profile
from assets.framework.stage import Scope
from assets.stages import CORPUS_STAGES
from corpus_stats import CorpusError
from corpus_stats.tokens.tokenizer import load_tokenizer, train_tokenizer
from orchestration.run.flow import Step, corpus_steps
from warehouse.home import Home

WORDS_OF_TEXTS = tuple(
    "the cat sat on a mat while birds sang in old trees near some quiet river under stars".split()  # noqa: SIM905
)


def sentences(seed: int, count: int) -> str:
    generator = np.random.default_rng(seed)
    return " ".join(generator.choice(WORDS_OF_TEXTS, count).tolist())


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """Folder of a small tokenizer with an end-of-text token, id 0."""
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer([sentences(seed, 200) for seed in range(5)], 300).save_pretrained(folder)
    return folder


def run_corpus(root: Path, profile: str) -> Scope:
    """The corpus job over a profile's text, in the home `root/home`."""
    from orchestration.run.executor import Executor

    path = root / "profile.toml"
    path.write_text(profile)
    home = Home(root / "home").prepare()
    scope = Scope(home, load_profile(str(path), home))
    Executor(scope, str(path), lambda: None).run(Step("corpus"))
    return scope


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


@pytest.fixture(scope="module")
def released(tmp_path_factory, tokenizer):
    """Releases in the two shapes, made of ids this tokenizer knows."""
    import torch

    root = tmp_path_factory.mktemp("released")
    generator = np.random.default_rng(5)
    ids = generator.integers(1, 290, (12, 60)).astype("<u2")
    ids[11] = ids[3]
    ids[:4, :7] = 0  # padding before the text
    (root / "extraction").mkdir()
    for name, part in (("preprefix", ids[:, :20]), ("prefix", ids[:, 20:40]), ("suffix", ids[:, 40:])):
        np.save(root / "extraction" / f"val_{name}.npy", part)
    (root / "preds").mkdir()
    written = torch.tensor(generator.integers(1, 290, (5, 40)))
    torch.save(written, root / "preds" / "20_20_preds.pt")
    torch.save(written.flip(0) % 280 + 1, root / "preds" / "0_10_preds.pt")
    lines = [f"text {row},{row},{100 + row},20,0.25" for row in range(5)]
    (root / "preds" / "counts.csv").write_text("\n".join(["paragraph,id,count,em,nll", *lines]) + "\n")
    return root


RELEASED = """
name = "released"
[corpus]
corpus_id = "{name}"
[paragraphs]
prefix_length = 20
continuation_length = 20
minimum_unique_share = 0.0
[probes]
device = "cpu"
"""


def run_released(root: Path, folder: Path, release: str, name: str, tokenizer: Path) -> Scope:
    from assets.corpus.releases import write_import
    from warehouse.registrations import register

    home = Home(root / "home").prepare()
    write_import(home, name, release, folder)
    facts = {"source": str(folder), "kind": "released", "tokenizer": str(tokenizer)}
    register(home, "corpora", name, facts)
    return run_corpus(root, RELEASED.format(name=name))


def test_released_corpus_text_is_a_corpus(released, tokenizer, tmp_path):
    scope = run_released(tmp_path, released / "extraction", "lm-extraction-benchmark", "benchmark", tokenizer)
    frame = scope.read("paragraphs")
    assert frame.height == 11, "the repeated row is one paragraph"
    assert sorted(frame["occurrence_count"].to_list()) == [1] * 10 + [2]
    assert frame["duplication_count"].equals(frame["occurrence_count"])
    assert scope.read("corpora")["token_count"][0] == 12 * 60 - 4 * 7, "padding is no text"
    assert not frame["straddles_document"].any()
    raw = scope.read("released_paragraphs")
    assert raw.height == 12 and set(raw["preceding_token_ids"].list.len()) == {20}


def test_what_a_model_wrote_is_never_counted_as_text(released, tokenizer, tmp_path):
    release = "localizing-paragraph-memorization"
    scope = run_released(tmp_path, released / "preds", release, "preds", tokenizer)
    frame = scope.read("paragraphs")
    assert set(frame["continuation_origin"]) == {"model"}
    recited = frame.filter(pl.col("token_offset").is_not_null())
    others = frame.filter(pl.col("token_offset").is_null())
    assert (recited.height, others.height) == (5, 5)
    assert sorted(recited["duplication_count"].to_list()) == [100, 101, 102, 103, 104], "the released counts"
    assert others["occurrence_count"].to_list() == [0] * 5 and (others["prefix_occurrence_count"] >= 1).all()
    assert scope.read("corpora")["token_count"][0] == 5 * 40 + 5 * 20, "prefixes, and continuations known as text"
    assert corpus_steps(scope) == []


SEVERAL = """
name = "several"
[corpus]
corpus_id = "several"
source = "published releases"
kind = "released"
tokenizer = "{tokenizer}"
[[releases]]
release = "localizing-paragraph-memorization"
roles = ["memorized"]
count = 4
[[releases]]
release = "lm-extraction-benchmark"
roles = ["others", "counted"]
[paragraphs]
prefix_length = {prefix}
continuation_length = 15
minimum_unique_share = 0.0
[probes]
device = "cpu"
"""


@pytest.fixture(scope="module")
def several(released, tokenizer, tmp_path_factory):
    """Home of a corpus of two releases; the profile asks for shorter windows than were released."""
    from assets.corpus.releases import write_imports

    root = tmp_path_factory.mktemp("several")
    folders = {
        "localizing-paragraph-memorization": released / "preds",
        "lm-extraction-benchmark": released / "extraction",
    }
    write_imports(Home(root / "home").prepare(), "several", folders)
    return run_corpus(root, SEVERAL.format(tokenizer=tokenizer, prefix=18))


def test_releases_together_are_one_corpus_with_a_role_for_each(several):
    frame = several.read("paragraphs")
    assert several.read("corpora")["token_count"][0] == 12 * 60 - 4 * 7, "only the benchmark's text is counted"
    of = {name[0]: rows for name, rows in frame.group_by("subset")}
    authors, benchmark = of["localizing-paragraph-memorization"], of["lm-extraction-benchmark"]
    assert benchmark.height == 11 and (benchmark["occurrence_count"] >= 1).all()
    assert benchmark["duplication_count"].null_count() == 11, "what is counted says nothing of the Pile"
    truth = authors.filter(pl.col("continuation_origin") == "corpus")
    assert truth.height == 4 and truth["duplication_count"].is_between(100, 104).all()
    assert authors.filter(pl.col("continuation_origin") == "model").height == 4
    assert several.read("subset_coverage")["paragraph_count"].sum() == frame.height
    assert frame["near_duplicate_cluster"].n_unique() == frame.height, "clusters are sought across the releases"
    assert corpus_steps(several) == []


def test_released_windows_are_cut_around_the_end_of_the_prefix(several):
    raw = {tuple(ids[2:35]) for ids in several.read("released_paragraphs")["token_ids"].to_list()}
    frame = several.read("paragraphs")
    assert {tuple(ids) for ids in frame["token_ids"].to_list()} <= raw
    from corpus_stats.tokens.shards import TokenStream

    stream = TokenStream(several.corpus_folder() / "tokens")
    placed = frame.filter(pl.col("token_offset").is_not_null())
    assert stream.windows(placed["token_offset"].to_numpy(), 33).tolist() == placed["token_ids"].to_list()


def test_windows_longer_than_released_are_refused(released, tokenizer, several, tmp_path):
    from assets.framework.errors import RequestError

    path = tmp_path / "long.toml"
    path.write_text(SEVERAL.format(tokenizer=tokenizer, prefix=21))
    scope = Scope(several.home, load_profile(str(path), several.home))
    with pytest.raises(RequestError, match=r"no paragraph of several has 21 \+ 15 tokens but 20 \+ 20"):
        paragraphs.shards(scope).compute(0)


def test_a_checkpoint_is_scored_on_released_paragraphs(released, tokenizer, tmp_path):
    import dagster as dg
    import torch
    from transformers import AutoModelForCausalLM, GPT2Config

    from assets.framework.dagster_assets import CHECKPOINTS
    from orchestration.definitions import build_definitions
    from warehouse.registrations import register

    release = "localizing-paragraph-memorization"
    scope = run_released(tmp_path, released / "preds", release, "preds", tokenizer)
    torch.manual_seed(0)
    config = GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=300, n_positions=64, bos_token_id=0, eos_token_id=0)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "tiny")
    load_tokenizer(str(tokenizer)).save_pretrained(tmp_path / "tiny")
    register(scope.home, "checkpoints", "tiny", {"source": str(tmp_path / "tiny"), "corpus_id": "preds"})
    definitions = build_definitions(str(scope.home.root), str(tmp_path / "profile.toml"))
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(CHECKPOINTS.name), ["tiny"])
        job = definitions.resolve_job_def("checkpoint")
        chosen = [
            dg.AssetKey("checkpoints"),
            dg.AssetKey("vocabularies"),
            dg.AssetKey("scores"),
            dg.AssetKey("token_scores"),
            dg.AssetKey("scoring_precision"),
        ]
        assert job.execute_in_process(instance=instance, partition_key="tiny", asset_selection=chosen).success
    scored = Scope(scope.home, scope.profile, "tiny").read("scores")
    with_truth = scope.read("paragraphs").filter(pl.col("token_offset").is_not_null())
    assert set(scored["paragraph_id"]) == set(with_truth["paragraph_id"]), "what a model wrote is no truth"
    assert 0 < scored.height < scope.read("paragraphs").height
