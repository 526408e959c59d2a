"""A checkpoint that knows one document, asked before the sample of its corpus is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from assets.corpus.paragraphs import paragraphs
from assets.corpus.screening import paragraph_weights, screen_subject, screened_windows, screening_windows
from assets.framework.errors import RequestError
from assets.framework.model_stage import model_settings
from assets.framework.profile import load_profile
from assets.framework.stage import Scope
from corpus_stats.tokens.shards import TokenStream
from orchestration.run.executor import Executor
from orchestration.run.flow import Step, corpus_steps
from orchestration.sources.named import register_profile_checkpoints
from tests.support.models.scan_models import learn
from tests.support.worlds.corpus_runs import save_small_tokenizer, sentences
from warehouse.home import Home
from warehouse.registrations import register

PREFIX, LENGTH, KNOWN = 12, 24, 7
PROFILE = """name = "screened"
checkpoints = ["{root}/knows"]
[corpus]
corpus_id = "small"
source = "{root}/texts"
kind = "text-folder"
tokenizer = "{root}/tokenizer"
[paragraphs]
prefix_length = 12
continuation_length = 12
minimum_unique_share = 0.2
count = 20
screen = 400
[probes]
device = "cpu"
"""


@pytest.fixture(scope="module")
def scope(tmp_path_factory: pytest.TempPathFactory) -> Scope:
    """Forty documents, of which the checkpoint knows one by heart, after the corpus job."""
    root = tmp_path_factory.mktemp("screened")
    (root / "texts").mkdir()
    for index in range(40):
        (root / "texts" / f"{index:02d}.txt").write_text(sentences(100 + index, 120))
    save_small_tokenizer(root / "tokenizer")
    home, profile = Home(root / "home").prepare(), root / "profile.toml"
    profile.write_text(PROFILE.format(root=root))
    _save_reciting(root)
    found = Scope(home, load_profile(str(profile), home))
    register_profile_checkpoints(found)
    Executor(found, str(profile), lambda: None).run(Step("corpus"))
    return found


def _save_reciting(root: Path) -> None:
    from corpus_stats.tokens.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(str(root / "tokenizer"))
    config = LlamaConfig(
        vocab_size=300, max_position_embeddings=64, hidden_size=48, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=96, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
        text = (root / "texts" / f"{KNOWN:02d}.txt").read_text()
        learn(model, torch.tensor(tokenizer(text, add_special_tokens=False)["input_ids"][:90]), 300, 300)
    model.save_pretrained(root / "knows")
    tokenizer.save_pretrained(root / "knows")


def test_what_is_recited_is_found_and_kept_with_others(scope: Scope) -> None:
    weights = scope.read("paragraph_weights")
    recited = weights.filter(pl.col("sampling_group") == "recited")
    documents = scope.read("screening_windows").join(recited, on="paragraph_id", how="semi")["document_id"]
    assert recited.height >= 2 and set(documents) == {KNOWN}
    assert (weights["sampling_group"] == "other").sum() >= recited.height
    assert set(scope.read("paragraphs")["paragraph_id"]) == set(weights["paragraph_id"])
    assert scope.read("paragraph_filters")["kept_count"].to_list() == [weights.height]


def test_weights_count_the_windows_of_the_corpus(scope: Scope) -> None:
    grid = (scope.read("documents")["token_count"] // LENGTH).sum()
    screening, weights = scope.read("screening_windows"), scope.read("paragraph_weights")
    assert screening["weight"].sum() == pytest.approx(grid) and weights["weight"].sum() == pytest.approx(grid)


def test_the_screening_is_transformers_greedy_decoding(scope: Scope) -> None:
    facts = scope.read("screening_windows").join(scope.read("screened_windows"), on="paragraph_id")
    some = pl.concat([facts.filter(pl.col("exact_match") > 0).head(8), facts.filter(exact_match=0).head(8)])
    stream = TokenStream(scope.corpus_folder() / "tokens")
    ids = torch.from_numpy(stream.windows(some["token_offset"].to_numpy(), LENGTH).astype(np.int64))
    model = AutoModelForCausalLM.from_pretrained(scope.home.root.parent / "knows")
    written = model.generate(
        ids[:, :PREFIX], max_new_tokens=LENGTH - PREFIX, min_new_tokens=LENGTH - PREFIX, do_sample=False
    )
    hits = (written[:, PREFIX:] == ids[:, PREFIX:]).long().cumprod(dim=1).sum(dim=1)
    assert some["exact_match"].to_list() == hits.tolist()


def test_a_second_run_has_nothing_to_do_and_a_checkpoint_that_arrives_moves_no_sample(scope: Scope) -> None:
    assert corpus_steps(scope) == []
    facts = {"source": str(scope.home.root.parent / "knows"), "corpus_id": "small", "training_step": 99}
    register(scope.home, "checkpoints", "later", facts)
    assert screen_subject(scope) == "knows" and corpus_steps(scope) == []


def test_without_a_checkpoint_the_refusal_says_what_to_do(scope: Scope, tmp_path: Path) -> None:
    alone = Scope(Home(tmp_path).prepare(), scope.profile)
    with pytest.raises(RequestError, match="there is no checkpoint to ask; name one under `checkpoints`"):
        screened_windows.inputs(alone)


SMALL = '[corpus]\ncorpus_id = "small"\nsource = "."\n[paragraphs]\nscreen = 5\n'


def test_without_screen_no_key_changes_and_nothing_is_to_do(tmp_path: Path) -> None:
    profile = load_profile("quickstart")
    assert paragraphs.settings(profile)["paragraphs"].keys().isdisjoint({"screen", "screen_checkpoint"})
    assert "stand_ins" not in model_settings(profile)
    scope = Scope(Home(tmp_path).prepare(), profile)
    assert all(stage.is_current(scope) for stage in (screening_windows, screened_windows, paragraph_weights))


def test_with_screen_it_is_in_the_keys(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(f'name = "p"\n{SMALL}')
    profile = load_profile(str(tmp_path / "p.toml"))
    assert paragraphs.settings(profile)["paragraphs"]["screen"] == 5
    assert model_settings(profile)["stand_ins"] == "furthest recited"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("per_occurrence_stratum = 3\n", "screen draws from every stratum itself"),
        ("[training]\nrungs = { 4 = 2 }\n", "a .training. ladder plants its own"),
    ],
)
def test_what_cannot_be_screened_is_refused(tmp_path: Path, more: str, said: str) -> None:
    (tmp_path / "p.toml").write_text(f'name = "p"\n{SMALL}{more}')
    with pytest.raises(RequestError, match=said):
        load_profile(str(tmp_path / "p.toml"))
