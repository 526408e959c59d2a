"""Folders as people leave them: split in half precision, without prefixes, with tokens that have no row, in float8."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from assets.checkpoints.vocabulary import vocabulary_row
from assets.framework.profile import Profile
from assets.framework.stage import Scope
from corpus_stats.tokens.tokenizer import load_tokenizer
from probes.checkpoints.files import INDEX, is_complete
from probes.checkpoints.inspect import inspect_checkpoint, refuse_non_finite_weights
from probes.checkpoints.load import load_model
from probes.errors import ProbeError
from probes.scoring.generation import greedy_continuations
from tests.support.checkpoints.published_layouts import (
    ROWS,
    TOKENS,
    edit_config,
    publish,
    rewrite,
    write_new_tokenizer,
)
from tests.support.models.scoring_models import greedy
from warehouse.home import Home

IDS = torch.randint(0, TOKENS, (3, 24), generator=torch.Generator().manual_seed(0))


def assert_is_loaded_as_transformers_does(folder: Path) -> None:
    inspect_checkpoint(str(folder))
    refuse_non_finite_weights(str(folder))
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype="float32", attn_implementation="eager").eval()
    with torch.no_grad():
        assert torch.equal(load_model(str(folder), device="cpu")(IDS).logits, theirs(IDS).logits)


def split(folder: Path) -> None:
    """Two shards and their index in place of one file."""
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    halves = {f"model-{n:05d}-of-00002.safetensors": names[n - 1 :: 2] for n in (1, 2)}
    for file, part in halves.items():
        save_file({name: tensors[name] for name in part}, folder / file, metadata={"format": "pt"})
    where = {name: file for file, part in halves.items() for name in part}
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": where}))
    (folder / "model.safetensors").unlink()


def test_shards_in_bfloat16(tmp_path):
    folder = publish("bfloat16", tmp_path / "shards")
    split(folder)
    assert_is_loaded_as_transformers_does(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert "has no model-00002-of-00002.safetensors" in str(is_complete(folder))


def test_a_llama_without_the_prefix_of_its_body(tmp_path):
    folder = publish("old-llama", tmp_path / "bare")
    rewrite(folder, lambda tensors: {name.removeprefix("model."): tensor for name, tensor in tensors.items()})
    assert_is_loaded_as_transformers_does(folder)


def test_both_names_of_the_dtype_and_a_head_stored_beside_its_embedding(tmp_path):
    folder = publish("tied-with-head", tmp_path / "tied")
    rewrite(folder, lambda tensors: {name: tensor.half() for name, tensor in tensors.items()})
    edit_config(folder, {"dtype": "float16", "torch_dtype": "bfloat16"})
    assert_is_loaded_as_transformers_does(folder)


def test_a_generation_config_that_samples_changes_no_greedy_continuation(tmp_path):
    folder = publish("gpt2", tmp_path / "sampling")
    asked = {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "repetition_penalty": 1.3, "max_length": 20}
    (folder / "generation_config.json").write_text(json.dumps(asked))
    model = load_model(str(folder), device="cpu")
    plain = AutoModelForCausalLM.from_pretrained(publish("gpt2", tmp_path / "plain")).eval()
    assert greedy_continuations(model, IDS[:, :12], 12).tolist() == greedy(plain, IDS[:, :12], 12).tolist()


def test_float8_weights_are_refused_in_one_sentence(tmp_path):
    folder = publish("bfloat16", tmp_path / "float8")
    name = "model.layers.0.mlp.up_proj.weight"
    rewrite(folder, lambda tensors: tensors | {name: tensors[name].to(torch.float8_e4m3fn)})
    with pytest.raises(ProbeError, match=r"up_proj.weight .* holds F8_E4M3 values, which is a quantized format"):
        inspect_checkpoint(str(folder))


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_tokenizer_json_alone_and_tokens_that_have_no_row(tmp_path, is_alone):
    folder = publish("old-llama", tmp_path / "tokens")
    tokenizer = write_new_tokenizer(folder)
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink()
    if is_alone:
        (folder / "tokenizer_config.json").unlink()
    else:
        tokenizer.add_special_tokens({"bos_token": "<s>", "pad_token": "[PAD]"})
        tokenizer.add_special_tokens({"additional_special_tokens": [f"<extra {n}>" for n in range(40)]})
        tokenizer.save_pretrained(folder)
    loaded = load_tokenizer(str(folder))
    assert loaded.encode("ab", add_special_tokens=False) == [TOKENS - 1]
    profile = Profile.model_validate({"name": "odd", "corpus": {"corpus_id": "c", "source": "python"}})
    row = vocabulary_row(Scope(Home(tmp_path / "home"), profile), "llama", ROWS, loaded)
    spare = ROWS - TOKENS if is_alone else 0
    assert row["known_count"] == ROWS - spare and max(row["undrawn_ids"]) == ROWS - 1
    assert set(range(TOKENS, ROWS)) <= set(row["undrawn_ids"]) and TOKENS - 1 not in row["undrawn_ids"]
