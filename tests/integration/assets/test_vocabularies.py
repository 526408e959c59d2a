"""A Llama with a beginning of sequence, an unused [PAD] and spare rows, through the stages that care about tokens."""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

import dagster as dg
import pytest
import torch
from tokenizers import normalizers
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM

from assets.checkpoints.preflight import refuse_unfit
from assets.framework.dagster_assets import Workspace, definition_of
from assets.framework.errors import RequestError
from assets.framework.profile import load_profile
from assets.framework.stage import Scope
from assets.stages import CHECKPOINT_STAGES, STAGES
from corpus_stats.tokens.tokenizer import load_tokenizer, train_tokenizer
from orchestration.sources.named import register_profile_checkpoints
from tests.support.models.scoring_models import greedy
from tests.support.scoring_homes import PROFILE, make_corpus, small_config
from warehouse.home import Home

SPARE, PREFIX = 128, 32
POLICIES = "perturbation_draws = {{ uniform = 2, frequency_matched = 2, second_choice = 4 }}\n"
MEASURED = ("checkpoints", "scores", "generations", "perturbations", "head_attention")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A corpus, its tokenizer, and a checkpoint whose tokenizer begins texts with <s> and knows a [PAD]."""
    root = tmp_path_factory.mktemp("begun")
    text = (Path(sysconfig.get_path("stdlib")) / "argparse.py").read_text(encoding="utf-8")[:30_000]
    (root / "texts").mkdir()
    (root / "texts" / "0.txt").write_text(text)
    tokenizer = train_tokenizer([text], 400)
    tokenizer.save_pretrained(root / "tokenizer")
    tokenizer.add_special_tokens({"bos_token": "<s>", "pad_token": "[PAD]"})
    bos = tokenizer.convert_tokens_to_ids("<s>")
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", bos)])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = small_config("llama", len(tokenizer) + SPARE)
        config.max_position_embeddings = 128
        AutoModelForCausalLM.from_config(config).save_pretrained(root / "begun")
    tokenizer.save_pretrained(root / "begun")
    return root


def scope_of(root: Path, home: Home, **settings: str) -> Scope:
    text = PROFILE.replace('device = "cpu"\n', f'device = "cpu"\n{POLICIES}').format(
        checkpoints=f'"{root / "begun"}"', source=root / "texts", tokenizer=root / "tokenizer"
    )
    file = home.root.parent / f"profile-{len(settings)}.toml"
    extra = "".join(f"{key} = {value}\n" for key, value in settings.items())
    file.write_text(text.replace('device = "cpu"\n', f'device = "cpu"\n{extra}'))
    return Scope(home, load_profile(str(file)), "begun")


@pytest.fixture(scope="module")
def measured(root) -> Scope:
    scope = scope_of(root, Home(root / "home").prepare())
    profile = root / "profile-0.toml"
    make_corpus(scope, profile)
    register_profile_checkpoints(scope)
    stages = [definition_of(stage) for stage in STAGES if stage.name in MEASURED]
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("checkpoint", ["begun"])
        workspace = Workspace(home=str(scope.home.root), profile=str(profile))
        done = dg.materialize(stages, instance=instance, partition_key="begun", resources={"workspace": workspace})
    assert done.success
    return scope


def test_what_stands_before_a_paragraph_is_recorded_and_read(root, measured):
    row = measured.read("vocabularies").row(0, named=True)
    tokenizer = load_tokenizer(str(root / "begun"))
    assert row["beginning_id"] == tokenizer.convert_tokens_to_ids("<s>")
    assert row["known_count"] == len(tokenizer) and row["row_count"] == len(tokenizer) + SPARE
    rows = measured.read("scores").join(measured.read("paragraphs"), on="paragraph_id", maintain_order="left")
    ids = torch.tensor(rows["token_ids"].to_list())
    model = AutoModelForCausalLM.from_pretrained(root / "begun")
    begun = torch.cat([torch.full((len(ids), 1), row["beginning_id"]), ids], dim=1)
    written = greedy(model, begun[:, : 1 + PREFIX], 32)
    assert rows["exact_match"].to_list() == (written == ids[:, PREFIX:]).long().cumprod(1).sum(1).tolist()
    with torch.no_grad():
        logp = model(begun).logits[:, PREFIX:-1].log_softmax(-1).gather(2, ids[:, PREFIX:, None])[..., 0]
    assert rows["continuation_nll_nats"].to_list() == pytest.approx((-logp.mean(1)).tolist(), abs=1e-5)


def test_special_tokens_and_spare_rows_are_no_replacements(root, measured):
    tokenizer = load_tokenizer(str(root / "begun"))
    frame = measured.read("perturbations")
    drawn = set(frame["replacement_id"])
    assert frame["policy"].n_unique() == 3 and len(drawn) > 100
    assert max(drawn) < len(tokenizer) and not drawn & set(tokenizer.all_special_ids)


def test_the_beginning_is_in_the_key_of_every_stage_that_measures(root, measured):
    for stage in CHECKPOINT_STAGES:
        if "checkpoints" in stage.reads and stage.name != "edited_checkpoints":
            assert stage.inputs(measured)["outside"]["beginning_of_sequence"] == measured.beginning_id()
    other = scope_of(root, measured.home, beginning_of_sequence='"never"')
    checkpoints = next(stage for stage in CHECKPOINT_STAGES if stage.name == "checkpoints")
    assert checkpoints.is_current(measured) and not checkpoints.is_current(other)


def test_a_normalizer_is_refused_by_an_example_before_any_work(root, measured, tmp_path):
    folder = Path(shutil.copytree(root / "begun", tmp_path / "lowered"))
    tokenizer = load_tokenizer(str(folder))
    refuse_unfit(measured, {"begun": {"source": str(root / "begun")}})
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.save_pretrained(folder)
    said = r"lowered comes with another tokenizer than corpus texts: '.*' is \[[\d, ]+\] there and \[[\d, ]+\] here"
    with pytest.raises(RequestError, match=said):
        refuse_unfit(measured, {"lowered": {"source": str(folder)}})
