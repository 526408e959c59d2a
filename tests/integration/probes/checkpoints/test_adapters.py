"""Adapter folders: refused with the name of the extra, or merged so that the sum is what peft itself computes."""

from __future__ import annotations

import importlib.util
import json
import sysconfig
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner

from corpus_stats.tokens.tokenizer import train_tokenizer
from orchestration.cli.main import app
from probes.checkpoints.adapters import base_of
from probes.checkpoints.inspect import inspect_checkpoint
from probes.checkpoints.load import load_model
from probes.errors import ProbeError
from warehouse.home import Home
from warehouse.registrations import registered

HAS_PEFT = importlib.util.find_spec("peft") is not None
with_peft = pytest.mark.skipif(not HAS_PEFT, reason="the extra peft is not installed")
NAME = "base-with-lora"


@pytest.fixture(scope="module")
def text() -> str:
    return (Path(sysconfig.get_path("stdlib")) / "argparse.py").read_text(encoding="utf-8")[:30_000]


@pytest.fixture
def folder(tmp_path, text) -> Path:
    """A base model, a corpus and a profile over them."""
    tokenizer = train_tokenizer([text], 300)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=64, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "0.txt").write_text(text)
    (tmp_path / "profile.toml").write_text(
        f'name = "adapters"\n[corpus]\ncorpus_id = "texts"\nsource = "{tmp_path}/texts"\nkind = "text-folder"\n'
        f'tokenizer = "{tmp_path}/base"\n[paragraphs]\nprefix_length = 16\ncontinuation_length = 16\n'
    )
    return tmp_path


def written_by_hand(folder: Path) -> Path:
    (folder / "lora").mkdir()
    (folder / "lora" / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(folder / "base")}))
    (folder / "lora" / "adapter_model.safetensors").write_bytes(b"")
    return folder / "lora"


def trained_adapter(folder: Path, kind: str = "lora") -> tuple[Path, torch.Tensor]:
    """An adapter as peft saves it, and the logits that base and adapter give together, by peft."""
    from peft import LoraConfig, PromptTuningConfig, get_peft_model

    base = AutoModelForCausalLM.from_pretrained(folder / "base", dtype="float32")
    config = (
        LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM")
        if kind == "lora"
        else PromptTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM")
    )
    torch.manual_seed(1)
    whole = get_peft_model(base, config)
    for name, parameter in whole.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.3)
    whole.save_pretrained(folder / "lora")
    with torch.no_grad():
        return folder / "lora", whole.eval()(torch.arange(2, 22)[None]).logits


def add(folder: Path, monkeypatch: pytest.MonkeyPatch, source: Path):
    monkeypatch.setenv("RARECALL_HOME", str(folder / "home"))
    return CliRunner().invoke(app, ["checkpoints", "add", str(source), "--profile", str(folder / "profile.toml")])


def test_without_the_extra_one_sentence_names_it(folder, monkeypatch):
    monkeypatch.setattr("probes.checkpoints.adapters.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ProbeError, match=r"install it with `pip install 'rarecall\[peft\]'`") as refused:
        base_of(written_by_hand(folder))
    assert "\n" not in str(refused.value)
    assert "rarecall[peft]" in str(add(folder, monkeypatch, folder / "lora").exception)
    assert registered(Home(folder / "home"), "checkpoints") == {}


@with_peft
def test_the_sum_is_what_peft_computes_and_is_named_with_both(folder, monkeypatch):
    adapter, logits = trained_adapter(folder)
    answer = add(folder, monkeypatch, adapter)
    assert answer.exit_code == 0, answer.output + str(answer.exception)
    facts = registered(Home(folder / "home"), "checkpoints")[NAME]
    assert facts["merged"] == {"base": str(folder / "base"), "revision": None, "adapter": str(adapter)}
    ours = load_model(facts["source"], device="cpu")(torch.arange(2, 22)[None]).logits
    torch.testing.assert_close(ours, logits, rtol=0, atol=1e-5)
    plain = load_model(str(folder / "base"), device="cpu")(torch.arange(2, 22)[None]).logits
    assert (ours - plain).abs().max() > 0.01
    count = inspect_checkpoint(facts["source"]).parameter_count
    assert (
        count == inspect_checkpoint(str(folder / "base")).parameter_count and f"{count:,} parameters" in answer.output
    )


@with_peft
def test_an_adapter_of_another_model_a_prompt_and_a_nan_are_one_sentence(folder, monkeypatch):
    from safetensors.torch import load_file, save_file

    adapter, _ = trained_adapter(folder)
    weights = adapter / "adapter_model.safetensors"
    sound = load_file(weights)
    for spoiled, words in (
        ({name: tensor * torch.nan for name, tensor in sound.items()}, "NaN"),
        ({name: torch.cat([tensor, tensor]) for name, tensor in sound.items()}, "cannot be merged"),
        (sound | {"base_model.model.lm_head.lora_A.weight": torch.ones(4, 32)}, "no place for"),
    ):
        save_file(spoiled, weights)
        assert words in refusal(folder, monkeypatch, adapter)
    weights.unlink()
    adapter.joinpath("adapter_config.json").unlink()
    assert "cannot be merged" in refusal(folder, monkeypatch, trained_adapter(folder, "prompt")[0])


def refusal(folder: Path, monkeypatch: pytest.MonkeyPatch, adapter: Path) -> str:
    sentence = str(add(folder, monkeypatch, adapter).exception)
    assert "\n" not in sentence and registered(Home(folder / "home"), "checkpoints") == {}
    assert not list((folder / "home" / "merged").glob("*"))
    return sentence
