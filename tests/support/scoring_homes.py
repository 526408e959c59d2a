"""A small home over checkpoints of two families, trained to recite some of its paragraphs; workers import this."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import torch

from assets.framework.dagster_assets import Workspace, definition_of
from assets.framework.profile import load_profile
from assets.framework.stage import Scope, Shards, Stage
from assets.memorization.stages import scores
from warehouse.home import Home

FAMILIES = ("llama", "gpt_neox")
DIE_ONCE = "RARECALL_TEST_DIE_ONCE"
PROFILE = """
name = "families"
checkpoints = [{checkpoints}]
[corpus]
corpus_id = "texts"
source = "{source}"
kind = "text-folder"
tokenizer = "{tokenizer}"
shard_tokens = 20000
[paragraphs]
prefix_length = 32
continuation_length = 32
count = 24
[probes]
device = "cpu"
paragraphs_per_group = 4
shard_size = 8
bootstrap_draws = 100
permutations = 100
[documents]
paths = ["{source}/0.txt"]
prefix_length = 16
continuation_length = 16
least_match = 6
"""


def small_config(family: str, vocabulary: int) -> Any:
    """Two layers, two heads; grouped queries for Llama."""
    from transformers import GPTNeoXConfig, LlamaConfig

    common = {"vocab_size": vocabulary, "max_position_embeddings": 64, "bos_token_id": 0, "eos_token_id": 0}
    common |= {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    return LlamaConfig(num_key_value_heads=1, **common) if family == "llama" else GPTNeoXConfig(**common)


def save_reciting(folder: Path, family: str, tokenizer: Any, paragraphs: torch.Tensor) -> None:
    """A checkpoint trained on the given paragraphs, [paragraph, position], with its tokenizer beside it."""
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(small_config(family, len(tokenizer)), attn_implementation="eager")
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(80):
            model(input_ids=paragraphs, labels=paragraphs).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def families_home(root: Path) -> Any:
    """Make a finished home over two families and 32 + 32 tokens; returns what the run said."""
    import sysconfig

    from corpus_stats.tokens.tokenizer import train_tokenizer
    from orchestration.run.runner import run_flow

    source, library = root / "texts", Path(sysconfig.get_path("stdlib"))
    source.mkdir(parents=True)
    texts = [(library / f"{name}.py").read_text(encoding="utf-8")[:20_000] for name in ("argparse", "ast", "typing")]
    for index, text in enumerate(texts):
        (source / f"{index}.txt").write_text(text)
    tokenizer = train_tokenizer(texts, 400)
    tokenizer.save_pretrained(root / "tokenizer")
    folders = [root / family for family in FAMILIES]
    names = {"source": source, "tokenizer": root / "tokenizer"}
    empty, full = root / "corpus.toml", root / "families.toml"
    empty.write_text(PROFILE.format(checkpoints="", **names))
    full.write_text(PROFILE.format(checkpoints=", ".join(f'"{folder}"' for folder in folders), **names))
    home = Home(root / "home").prepare()
    corpus_only = Scope(home, load_profile(str(empty)))
    make_corpus(corpus_only, empty)
    ids = torch.tensor(corpus_only.read("paragraphs")["token_ids"].to_list())
    for folder, family in zip(folders, FAMILIES, strict=True):
        save_reciting(folder, family, tokenizer, ids[::2])
    return run_flow(Scope(home, load_profile(str(full))), str(full))


def make_corpus(scope: Scope, profile: Path) -> None:
    """Materialize text, tokens and paragraphs, and nothing behind them."""
    from orchestration.definitions import build_definitions

    job = build_definitions(str(scope.home.root), str(profile)).resolve_job_def("corpus")
    assert job.execute_in_process(run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}}).success


def rescored(scope: Scope, copy: Path, profile: Path, config: dict[str, Any], stage: Stage = scores) -> Scope:
    """A copy of the home in which the scores are forgotten and made again, with an asset configuration."""
    shutil.copytree(scope.home.root, copy)
    elsewhere = Scope(Home(copy), scope.profile, scope.checkpoint_id)
    for table in ("scores", "token_scores", "scoring_precision"):
        shutil.rmtree(elsewhere.store(table).folder(elsewhere.checkpoint_id or ""))
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("checkpoint", [elsewhere.checkpoint_id or ""])
        workspace = Workspace(home=str(copy), profile=str(profile))
        result = dg.materialize(
            [definition_of(stage)], instance=instance, partition_key=elsewhere.checkpoint_id,
            resources={"workspace": workspace}, run_config={"ops": {"scores_stage": {"config": config}}},
        )  # fmt: skip
    assert result.success
    return elsewhere


def _with_these_shards(shards: Any) -> Stage:
    return replace(scores, shards=shards)


@_with_these_shards
def mortal_scores(scope: Scope) -> Shards:
    """The shards of the scores, the first of which kills its process once."""
    living = scores.shards_of(scope)

    def compute(shard: int) -> Any:
        mark = Path(os.environ[DIE_ONCE])
        if shard == 0 and not mark.exists():
            mark.touch()
            os._exit(137)
        return living.compute(shard)

    return Shards(living.count, compute)
