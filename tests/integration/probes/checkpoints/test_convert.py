"""Pickled checkpoints become safetensors with the same bits; what could run code is not read."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from probes.checkpoints.convert import convert_checkpoint
from probes.checkpoints.inspect import inspect_checkpoint
from probes.checkpoints.load import load_model
from probes.errors import ProbeError
from tests.support.checkpoints.published_layouts import publish


def pickled(folder: Path, layout: str, shards: int = 1) -> Path:
    """The layout with pytorch_model.bin, tied tensors in one storage as torch.save keeps them."""
    publish(layout, folder)
    tensors = load_file(folder / "model.safetensors")
    if "lm_head.weight" in tensors and layout.startswith("tied"):
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = [names[start::shards] for start in range(shards)]
    if shards == 1:
        torch.save(tensors, folder / "pytorch_model.bin")
        return folder
    files = [f"pytorch_model-{number:05d}-of-{shards:05d}.bin" for number in range(1, shards + 1)]
    for file, part in zip(files, parts, strict=True):
        torch.save({name: tensors[name] for name in part}, folder / file)
    index = {"metadata": {}, "weight_map": {n: f for f, part in zip(files, parts, strict=True) for n in part}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize(("layout", "shards"), [("pythia", 1), ("tied-with-head", 1), ("gpt2", 3)])
def test_the_same_model_comes_out(layout, shards, tmp_path):
    source = pickled(tmp_path / "source", layout, shards)
    with pytest.raises(ProbeError, match=f"rarecall checkpoints convert {source} NEW_FOLDER"):
        inspect_checkpoint(str(source))
    files, count = convert_checkpoint(source, tmp_path / "new")
    assert len(files) == shards and count > 10
    ids = torch.randint(0, 100, (2, 20), generator=torch.Generator().manual_seed(0))
    theirs = AutoModelForCausalLM.from_pretrained(source, dtype="float32", attn_implementation="eager")
    assert torch.equal(load_model(str(tmp_path / "new"), device="cpu")(ids).logits, theirs(ids).logits)
    assert (tmp_path / "new" / "vocab.json").is_file()


class _Dangerous:
    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


@pytest.mark.parametrize("content", [{"weight": _Dangerous()}, [1, 2, 3], {"epoch": 3}])
def test_what_is_more_or_less_than_weights_is_refused(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = pickled(tmp_path / "source", "old-llama")
    if isinstance(content, dict) and "weight" in content:
        (source / "pytorch_model.bin").write_bytes(pickle.dumps(content))
    else:
        torch.save(content, source / "pytorch_model.bin")
    with pytest.raises(ProbeError, match=r"pytorch_model.bin (was not read|holds no tensors)"):
        convert_checkpoint(source, tmp_path / "new")
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "new").exists() and not list(tmp_path.glob(".new*"))


def test_a_folder_with_files_is_not_written_into(tmp_path):
    source = pickled(tmp_path / "source", "old-llama")
    with pytest.raises(ProbeError, match="is not empty"):
        convert_checkpoint(source, source)


def test_two_pickles_without_an_index_are_not_guessed(tmp_path):
    source = pickled(tmp_path / "source", "old-llama")
    torch.save({"step": 3}, source / "optimizer.pt")
    with pytest.raises(ProbeError, match="holds 2 pickles"):
        convert_checkpoint(source, tmp_path / "new")
