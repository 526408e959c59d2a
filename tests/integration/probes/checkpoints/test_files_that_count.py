"""Which file counts is what transformers reads: that one is inspected, hashed and looked at for NaN."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.modeling_utils import _get_resolved_checkpoint_files

from probes.checkpoints.files import is_complete, require_complete, weight_files
from probes.checkpoints.inspect import inspect_checkpoint, refuse_non_finite_weights, weights_sha256
from probes.checkpoints.load import load_model
from probes.errors import ProbeError
from tests.support.checkpoints.published_layouts import LAYOUTS, edit_config, publish, rewrite

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"


def save_in_shards(folder: Path, seed: int, layout: str = "old-llama") -> None:
    """A second ordinary save into a folder; what was there stays."""
    torch.manual_seed(seed)
    AutoModelForCausalLM.from_config(LAYOUTS[layout].config()).save_pretrained(folder, max_shard_size="30KB")


@pytest.fixture
def folder(tmp_path) -> Path:
    return publish("old-llama", tmp_path / "step-1000")


@pytest.fixture
def sharded(tmp_path) -> Path:
    save_in_shards(tmp_path / "shards", 0)
    return tmp_path / "shards"


def read_by_transformers(folder: Path) -> list[str]:
    named = getattr(AutoConfig.from_pretrained(folder), "transformers_weights", None)
    files, _ = _get_resolved_checkpoint_files(str(folder), None, None, True, None, False, named)
    return [Path(file).name for file in files]


def spoil(file: Path) -> None:
    """A NaN into one weight that every Llama reads."""
    tensors = load_file(file)
    name = next(name for name in sorted(tensors) if name.endswith("norm.weight") or "proj" in name)
    tensors[name].view(-1)[0] = torch.nan
    save_file(tensors, file, metadata={"format": "pt"})


def assert_is_what_counts(folder: Path) -> None:
    """Our files are those of transformers; their change changes the hash, a NaN in them is refused."""
    files = weight_files(folder)
    assert [file.name for file in files] == read_by_transformers(folder)
    inspect_checkpoint(str(folder))
    refuse_non_finite_weights(str(folder))
    before = weights_sha256(folder)
    spoil(files[-1])
    assert weights_sha256(folder) != before
    with pytest.raises(ProbeError, match="NaN"):
        refuse_non_finite_weights(str(folder))


def test_one_file(folder):
    assert_is_what_counts(folder)


def test_shards(sharded):
    assert len(weight_files(sharded)) > 2
    assert_is_what_counts(sharded)


def test_a_stale_index_beside_a_whole_file_does_not_count(sharded):
    """An ordinary save after one in shards: the index stays, its shards go."""
    torch.manual_seed(1)
    AutoModelForCausalLM.from_config(LAYOUTS["old-llama"].config()).save_pretrained(sharded)
    assert (sharded / INDEX).is_file() and (sharded / WHOLE).is_file()
    assert_is_what_counts(sharded)


def test_a_file_that_is_not_read_changes_nothing(sharded):
    before = weights_sha256(sharded)
    save_file({"lm_head.weight": torch.full((2, 2), torch.nan)}, sharded / "optimizer.safetensors")
    assert weights_sha256(sharded) == before
    refuse_non_finite_weights(str(sharded))


def test_two_whole_sets_of_weights_are_refused_with_the_file_to_remove(folder):
    save_in_shards(folder, 1)
    reason = is_complete(folder) or ""
    assert f"remove {INDEX} if {WHOLE} is the right one, else remove {WHOLE}." in reason
    for door in (inspect_checkpoint, refuse_non_finite_weights, load_model):
        with pytest.raises(ProbeError, match="two sets of weights"):
            door(str(folder))
    (folder / INDEX).unlink()
    assert_is_what_counts(folder)


def test_the_file_that_the_configuration_names_goes_before_all_others(folder):
    shutil.copy(folder / WHOLE, folder / "ema.safetensors")
    rewrite(folder, lambda tensors: tensors | {"model.norm.weight": torch.full((32,), torch.nan)})
    edit_config(folder, {"transformers_weights": "ema.safetensors"})
    assert_is_what_counts(folder)


def test_an_index_that_the_configuration_names_is_followed(folder):
    save_in_shards(folder, 1)
    (folder / INDEX).rename(folder / "other.safetensors.index.json")
    edit_config(folder, {"transformers_weights": "other.safetensors.index.json"})
    assert_is_what_counts(folder)


@pytest.mark.parametrize("name", ["../model.safetensors", "ema/model.safetensors", "weights.bin", 7])
def test_weights_elsewhere_are_refused(folder, name):
    edit_config(folder, {"transformers_weights": name})
    assert str(name) in (is_complete(folder) or "")


def test_a_shard_outside_the_folder_is_refused(sharded, tmp_path):
    index = json.loads((sharded / INDEX).read_text())
    shard = sorted(set(index["weight_map"].values()))[0]
    (sharded / shard).rename(tmp_path / shard)
    index["weight_map"] = {name: f"../{file}" if file == shard else file for name, file in index["weight_map"].items()}
    (sharded / INDEX).write_text(json.dumps(index))
    assert "outside the folder" in (is_complete(sharded) or "")


def test_a_shard_with_tensors_the_index_does_not_name_is_read_as_transformers_reads_it(sharded):
    """transformers reads whole shards; the index only says which."""
    index = json.loads((sharded / INDEX).read_text())
    del index["weight_map"]["model.norm.weight"]
    (sharded / INDEX).write_text(json.dumps(index))
    assert_is_what_counts(sharded)


def test_a_tensor_in_two_shards_is_refused(sharded):
    """Shards of two saves beside each other: the later one by name would win."""
    first, *_, last = [file.name for file in weight_files(sharded)]
    twin = next(iter(load_file(sharded / first)))
    rewrite(sharded, lambda tensors: tensors | {twin: load_file(sharded / first)[twin] + 1}, last)
    with pytest.raises(ProbeError, match=f"holds tensor {twin} twice, in {first} and in {last}"):
        require_complete(sharded)


def test_an_index_names_a_tensor_that_no_shard_holds(sharded):
    last = weight_files(sharded)[-1].name
    gone = sorted(load_file(sharded / last))[0]
    rewrite(sharded, lambda tensors: {name: t for name, t in tensors.items() if name != gone}, last)
    with pytest.raises(ProbeError, match=f"lacks {gone}"):
        inspect_checkpoint(str(sharded))


def test_an_index_without_metadata_is_refused(sharded):
    """transformers fails on it with a bare KeyError."""
    index = json.loads((sharded / INDEX).read_text())
    (sharded / INDEX).write_text(json.dumps({"weight_map": index["weight_map"]}))
    assert "does not hold what its name promises" in (is_complete(sharded) or "")


def test_only_what_the_model_reads_is_looked_at_for_nan(tmp_path):
    """Pythia's masked_bias is -inf and no weight; the bias of a linear map is one, whatever else it is called."""
    pythia = publish("pythia", tmp_path / "pythia")
    refuse_non_finite_weights(str(pythia))
    name = "gpt_neox.layers.1.attention.dense.bias"
    rewrite(pythia, lambda tensors: tensors | {name: torch.full((32,), -torch.inf).half()})
    with pytest.raises(ProbeError, match=f"tensor {name} of"):
        refuse_non_finite_weights(str(pythia))


@pytest.mark.parametrize(
    ("layout", "name", "shape"),
    [
        ("gpt-neo-125m", "transformer.h.0.attn.attention.bias", (32,)),
        ("old-llama", "model.layers.0.self_attn.q_proj.bias", (32,)),
        ("old-llama", "model.layers.7.input_layernorm.weight", (32,)),
    ],
)
def test_a_weight_without_a_place_is_refused_by_every_door(layout, name, shape, tmp_path):
    """A bias that the model does not have is no mask, though it may be called like one."""
    folder = publish(layout, tmp_path / "checkpoint")
    rewrite(folder, lambda tensors: tensors | {name: torch.ones(shape)})
    for door in (inspect_checkpoint, refuse_non_finite_weights, load_model):
        with pytest.raises(ProbeError, match=f"no place for {name}"):
            door(str(folder))


def test_a_head_that_differs_from_its_tie_is_named(tmp_path):
    folder = publish("tied-with-head", tmp_path / "checkpoint")
    inspect_checkpoint(str(folder))
    rewrite(folder, lambda tensors: tensors | {"lm_head.weight": tensors["lm_head.weight"] + 1})
    with pytest.raises(ProbeError, match=r"ties lm_head.weight to model.embed_tokens.weight.*tie_word_embeddings"):
        inspect_checkpoint(str(folder))
    edit_config(folder, {"tie_word_embeddings": False})
    untied = AutoModelForCausalLM.from_pretrained(folder)
    expected = sum(parameter.numel() for parameter in untied.parameters())
    assert inspect_checkpoint(str(folder)).parameter_count == expected


def test_a_head_that_nothing_fills_is_refused(tmp_path):
    folder = publish("tied-without-head", tmp_path / "checkpoint")
    edit_config(folder, {"tie_word_embeddings": False})
    with pytest.raises(ProbeError, match=r"lacks lm_head.weight"):
        inspect_checkpoint(str(folder))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: (f / "adapter_config.json").write_text("{}"), "holds an adapter"),
        (lambda f: (f / ".metadata").write_text(""), "distributed checkpoint"),
        (lambda f: edit_config(f, {"quantization_config": {"quant_method": "gptq"}}), r"is quantized \(gptq\)"),
        (lambda f: rewrite(f, lambda ts: {n: t.to(torch.float8_e4m3fn) for n, t in ts.items()}), "F8_E4M3 values"),
        (lambda f: rewrite(f, lambda ts: {n: t.to(torch.int8) for n, t in ts.items()}), "I8 values"),
        (lambda f: (f / WHOLE).rename(f / "model-q4.gguf"), "GGUF"),
        (lambda f: (f / WHOLE).rename(f / "pytorch_model.bin"), "checkpoints convert"),
    ],
)
def test_what_is_no_plain_model_is_one_sentence(folder, change, words):
    change(folder)
    for door in (inspect_checkpoint, load_model):
        with pytest.raises(ProbeError, match=words) as refused:
            door(str(folder))
        assert str(refused.value).count("\n") == 0


def test_a_gguf_file_is_one_sentence(folder):
    file = folder / "model-q4.gguf"
    file.write_bytes(b"GGUF")
    with pytest.raises(ProbeError, match="is a GGUF file"):
        inspect_checkpoint(str(file))


def test_a_hub_id_without_owner_is_one_sentence():
    with pytest.raises(ProbeError, match="openai-community/gpt2 for gpt2"):
        inspect_checkpoint("gpt2")
