"""A home with checkpoints of which one knows a stretch of a file by heart, and the file."""

from __future__ import annotations

import sysconfig
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from corpus_stats.tokens.tokenizer import train_tokenizer
from tests.support.models.scan_models import learn
from warehouse.home import Home
from warehouse.registrations import register

FIRST, STOP = 150, 230
OPTIONS = ("--prefix", 16, "--continuation", 16, "--least", 8)


@dataclass(frozen=True)
class ScanHome:
    """`text` is the file's content, `known` the stretch of it that the checkpoint `reciting` knows."""

    home: Home
    file: Path
    text: str
    known: str


def scan_home(root: Path) -> ScanHome:
    """Checkpoints `reciting` and `blank` (untrained), registered without a corpus."""
    text = (Path(sysconfig.get_path("stdlib")) / "textwrap.py").read_text(encoding="utf-8")[
        :3000
    ] + "größer — 日本語.\n"
    tokenizer = train_tokenizer([text], 400)
    encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    places = encoded["offset_mapping"][FIRST:STOP]
    config = LlamaConfig(
        vocab_size=400, max_position_embeddings=64, hidden_size=48, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=96, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    home = Home(root / "home").prepare()
    for name in ("blank", "reciting"):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
        if name == "reciting":
            learn(model, torch.tensor(encoded["input_ids"][FIRST:STOP]), 400, 300)
        model.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
        register(home, "checkpoints", name, {"source": str(root / name), "training_step": None})
    file = root / "textwrap.txt"
    file.write_text(text, encoding="utf-8")
    return ScanHome(home, file, text, text[places[0][0] : places[-1][1]])
