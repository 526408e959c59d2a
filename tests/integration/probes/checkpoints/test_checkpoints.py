"""Checkpoints as they lie on disk: whole ones are described and loaded, broken ones refused with one sentence."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from probes.checkpoints.files import is_complete
from probes.checkpoints.inspect import NO_LIMIT, inspect_checkpoint, refuse_non_finite_weights, weights_sha256
from probes.checkpoints.load import load_model, resolve_device
from probes.errors import ProbeError
from tests.support.models.scoring_models import ARCHITECTURES, random_model, random_paragraphs


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints") / "step-4000"
    random_model("gpt_neo").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def saved_in_shards(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints") / "sharded"
    random_model("gpt_neo").save_pretrained(folder, max_shard_size="30KB")
    assert len(list(folder.glob("*.safetensors"))) >= 3
    return folder


@pytest.fixture
def copied(saved, tmp_path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "step-4000"))


@pytest.fixture
def copied_in_shards(saved_in_shards, tmp_path) -> Path:
    return Path(shutil.copytree(saved_in_shards, tmp_path / "sharded"))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_saved_model_comes_back_bit_by_bit_and_is_described(architecture, tmp_path):
    model = random_model(architecture)
    model.save_pretrained(tmp_path / "checkpoint")
    loaded = load_model(str(tmp_path / "checkpoint"), device="cpu")
    ids = random_paragraphs(2, 20, 0)
    assert torch.equal(loaded(ids).logits, model(ids).logits)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    facts = inspect_checkpoint(str(tmp_path / "checkpoint"))
    assert (facts.architecture, facts.layer_count, facts.head_count) == (architecture, 2, 4)
    assert (facts.hidden_size, facts.context_length, facts.vocabulary_size) == (32, 64, 97)
    assert facts.parameter_count == sum(parameter.numel() for parameter in model.parameters())


def test_shards_load_and_their_hash_covers_every_byte(copied_in_shards):
    assert is_complete(copied_in_shards) is None
    ids = random_paragraphs(2, 20, 0)
    assert torch.equal(load_model(str(copied_in_shards), device="cpu")(ids).logits, random_model("gpt_neo")(ids).logits)
    before = weights_sha256(copied_in_shards)
    last = sorted(copied_in_shards.glob("*.safetensors"))[-1]
    content = bytearray(last.read_bytes())
    content[-1] ^= 1
    last.write_bytes(content)
    assert weights_sha256(copied_in_shards) != before


def refusal(folder: Path) -> str:
    """The sentence a broken folder is refused with, the same from every door."""
    with pytest.raises(ProbeError) as error:
        load_model(str(folder), device="cpu")
    sentence = str(error.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def test_a_missing_folder_is_named(tmp_path):
    assert f"{tmp_path / 'nothing'} does not exist" in refusal(tmp_path / "nothing")
    assert is_complete(tmp_path / "nothing") is not None


def test_a_file_instead_of_a_folder_is_named(copied):
    assert "give the folder" in refusal(copied / "model.safetensors")


def test_a_hub_that_gives_nothing_is_one_sentence(monkeypatch):
    def unreachable(*_: object, **__: object) -> str:
        raise OSError("no route\nto host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    with pytest.raises(ProbeError, match=r"someone/model at revision step3 is neither a folder here nor a model"):
        load_model("someone/model", revision="step3")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named_with_what_to_do(copied, name):
    (copied / name).unlink()
    assert refusal(copied) == is_complete(copied)
    assert (
        f"has no {name}; wait until it is complete or remove it with `rarecall checkpoints remove step-4000`."
        in refusal(copied)
    )


def test_a_missing_shard_is_named(copied_in_shards):
    gone = sorted(copied_in_shards.glob("*.safetensors"))[1]
    gone.unlink()
    assert f"has no {gone.name}; wait until it is complete" in refusal(copied_in_shards)
    assert refusal(copied_in_shards) == is_complete(copied_in_shards)
    with pytest.raises(ProbeError, match=gone.name):
        weights_sha256(copied_in_shards)


@pytest.mark.parametrize("kept_share", [0, 0.0001, 0.3, 0.999])
def test_a_file_that_is_still_being_copied_is_no_checkpoint(copied, kept_share):
    file = copied / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * kept_share)])
    assert refusal(copied) == is_complete(copied)
    assert "model.safetensors" in refusal(copied)


@pytest.mark.parametrize(
    "header",
    [
        b"not json at all",
        b"[1, 2]",
        b'{"w": 3}',
        b'{"w": {"dtype": "F32"}}',
        b'{"w": {"data_offsets": "ab", "shape": []}}',
    ],
)
def test_an_unreadable_header_is_refused(copied, header):
    (copied / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    assert "no readable safetensors header" in refusal(copied)


def test_a_config_that_is_still_being_written_is_refused(copied):
    (copied / "config.json").write_text('{"model_type": "gpt_')
    assert "cannot be read as JSON" in refusal(copied)
    assert is_complete(copied) == refusal(copied)


def test_a_pickle_is_not_opened_unless_asked(copied):
    model = random_model("gpt_neo")
    (copied / "model.safetensors").unlink()
    torch.save(model.state_dict(), copied / "pytorch_model.bin")
    assert "as a pickle only (pytorch_model.bin)" in refusal(copied)
    ids = random_paragraphs(2, 20, 0)
    trusted = load_model(str(copied), device="cpu", allow_pickle=True)
    assert torch.equal(trusted(ids).logits, model(ids).logits)
    assert len(weights_sha256(copied)) == 64


def test_an_unknown_architecture_is_refused_and_its_code_not_run(copied):
    config = json.loads((copied / "config.json").read_text())
    (copied / "modeling.py").write_text("raise SystemExit('this code must not run')")
    config |= {
        "model_type": "brand_new",
        "auto_map": {"AutoModelForCausalLM": "modeling.Model", "AutoConfig": "modeling.Config"},
    }
    (copied / "config.json").write_text(json.dumps(config))
    assert "'brand_new'" in refusal(copied)


def test_a_model_without_attention_has_no_heads_and_no_limit(copied):
    from transformers import AutoModelForCausalLM, MambaConfig

    config = MambaConfig(vocab_size=97, hidden_size=32, num_hidden_layers=2)
    AutoModelForCausalLM.from_config(config).save_pretrained(copied)
    facts = inspect_checkpoint(str(copied))
    assert (facts.architecture, facts.head_count, facts.context_length) == ("mamba", 0, NO_LIMIT)


def test_families_that_nothing_right_can_be_said_of_are_refused(copied):
    from transformers import BertConfig

    BertConfig(vocab_size=97, hidden_size=32, num_hidden_layers=2, is_decoder=True).save_pretrained(copied)
    with pytest.raises(ProbeError, match=r"'bert', which does more behind its blocks"):
        inspect_checkpoint(str(copied))


def rewrite(folder: Path, change) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_weights_that_silently_did_not_load_are_refused(copied):
    name = "transformer.h.1.mlp.c_fc.weight"
    rewrite(copied, lambda tensors: tensors.pop(name))
    assert f"lacks {name}" in refusal(copied)


def test_weights_the_model_has_no_place_for_are_refused(copied):
    rewrite(copied, lambda tensors: tensors.update({"transformer.h.7.ln_1.weight": torch.ones(32)}))
    assert "no place for transformer.h.7.ln_1.weight" in refusal(copied)


def test_weights_of_another_shape_are_refused(copied):
    rewrite(copied, lambda tensors: tensors.update({"transformer.ln_f.weight": torch.ones(31)}))
    refusal(copied)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("name", ["transformer.wte.weight", "transformer.h.1.mlp.c_proj.bias"])
def test_a_single_bad_number_names_its_tensor(copied, name, value):
    refuse_non_finite_weights(str(copied))
    rewrite(copied, lambda tensors: tensors[name].view(-1).__setitem__(-1, value))
    with pytest.raises(ProbeError, match=f"tensor {name} "):
        refuse_non_finite_weights(str(copied))


@pytest.mark.parametrize(
    "request_", [{"device": "gpu"}, {"device": "cuda:x"}, {"dtype": "int8"}, {"attention": "flash"}]
)
def test_unknown_settings_are_refused(saved, request_):
    with pytest.raises(ProbeError, match="unknown; choose"):
        load_model(str(saved), **request_)


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")
    for name in ("cuda", "cuda:1", "mps"):
        with pytest.raises(ProbeError, match="not there"):
            resolve_device(name)


def test_loading_says_nothing_and_leaves_the_settings_of_transformers_alone(saved, capfd):
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    load_model(str(saved), device="cpu")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
