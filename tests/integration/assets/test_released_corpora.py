"""Released paragraphs as corpora: one release, and several that together are one corpus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from assets.corpus.paragraphs import paragraphs
from assets.framework.profile import load_profile
from assets.framework.stage import Scope
from corpus_stats.tokens.tokenizer import load_tokenizer
from orchestration.run.flow import corpus_steps
from tests.support.worlds.corpus_runs import run_corpus, save_small_tokenizer
from warehouse.home import Home


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return save_small_tokenizer(tmp_path_factory.mktemp("tokenizer"))


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
