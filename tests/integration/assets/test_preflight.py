"""What a run cannot do is refused with exit code 2 and one sentence, and nothing has been done by then."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from assets.framework.checkpoint_names import split_revision
from assets.framework.profile import load_profile
from assets.framework.stage import Scope
from orchestration.run.failures import exit_code, sentence_of
from orchestration.run.runner import run_flow
from tests.support.scoring_homes import PROFILE, small_config
from warehouse.home import Home
from warehouse.registrations import registered


@pytest.fixture(scope="module")
def fit(tmp_path_factory) -> Path:
    """A checkpoint that fits, with its tokenizer."""
    from transformers import AutoModelForCausalLM

    from corpus_stats.tokens.tokenizer import train_tokenizer

    folder = tmp_path_factory.mktemp("fitness") / "fit"
    tokenizer = train_tokenizer(["to be or not to be " * 50], 300)
    AutoModelForCausalLM.from_config(small_config("llama", 300)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def refusal(tmp_path: Path, folder: Path, fit: Path, **changes: str) -> str:
    """The sentence a run over one checkpoint is refused with, after a look that no work was done."""
    text = PROFILE.format(checkpoints=f'"{folder}"', source=tmp_path / "no texts here", tokenizer=fit)
    for old, new in changes.items():
        assert f"{old} = " in text
        text = "\n".join(new if line.startswith(f"{old} = ") else line for line in text.splitlines())
    (tmp_path / "profile.toml").write_text(text)
    home = Home(tmp_path / "home").prepare()
    with pytest.raises(Exception) as raised:
        run_flow(Scope(home, load_profile(str(tmp_path / "profile.toml"))), str(tmp_path / "profile.toml"))
    assert exit_code(raised.value) == 2
    assert registered(home, "checkpoints") == {}
    assert not home.tables.exists() or not any(home.tables.rglob("*.parquet"))
    sentence = sentence_of(raised.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def copied(fit: Path, tmp_path: Path, **config: object) -> Path:
    """A copy of the checkpoint whose configuration says something else."""
    folder = Path(shutil.copytree(fit, tmp_path / "other"))
    known = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(known | config))
    return folder


def test_a_context_too_short_for_the_paragraphs(fit, tmp_path):
    said = refusal(tmp_path, fit, fit, continuation_length="continuation_length = 33")
    assert "checkpoint fit reads 64 tokens at most, but the paragraphs of profile families have 65" in said


def test_a_tokenizer_that_knows_more_than_the_model(fit, tmp_path):
    said = refusal(tmp_path, copied(fit, tmp_path, vocab_size=200), fit)
    assert "checkpoint other knows token ids 0..199, but the tokenizer beside it gives ids up to" in said


def test_another_tokenizer_than_the_corpus(fit, tmp_path):
    from corpus_stats.tokens.tokenizer import train_tokenizer

    folder = copied(fit, tmp_path)
    train_tokenizer(["quite another text, with other words " * 50], 300).save_pretrained(folder)
    assert "checkpoint other comes with another tokenizer than corpus texts" in refusal(tmp_path, folder, fit)


def test_a_pickle_only(fit, tmp_path):
    folder = copied(fit, tmp_path)
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    assert "as a pickle only (pytorch_model.bin)" in refusal(tmp_path, folder, fit)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file(fit, tmp_path, name):
    folder = copied(fit, tmp_path)
    (folder / name).unlink()
    assert f"has no {name}" in refusal(tmp_path, folder, fit)


def test_a_missing_folder_and_a_missing_tokenizer(fit, tmp_path):
    assert "does not exist" in refusal(tmp_path, tmp_path / "nothing", fit)
    folder = copied(fit, tmp_path)
    for file in folder.glob("token*"):
        file.unlink()
    assert "No tokenizer could be loaded" in refusal(tmp_path, folder, fit)


def test_a_device_that_is_not_there_and_a_dtype_nobody_knows(fit, tmp_path):
    assert "device 'cuda:99' is not there" in refusal(tmp_path, fit, fit, device='device = "cuda:99"')
    assert "probes.dtype is wrong" in refusal(tmp_path, fit, fit, device='dtype = "int4"')


def test_a_revision_goes_with_the_hub_id(tmp_path):
    assert split_revision("EleutherAI/pythia-70m@step3000") == ("EleutherAI/pythia-70m", "step3000")
    assert split_revision("EleutherAI/pythia-70m") == ("EleutherAI/pythia-70m", None)
    (tmp_path / "a@b").mkdir()
    assert split_revision(str(tmp_path / "a@b")) == (str(tmp_path / "a@b"), None)
