"""Small corpora through the corpus stages: made-up text, a small tokenizer, and the job over a profile."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from assets.framework.profile import load_profile
from assets.framework.stage import Scope
from corpus_stats.tokens.tokenizer import train_tokenizer
from orchestration.run.flow import Step
from warehouse.home import Home

WORDS_OF_TEXTS = tuple(
    "the cat sat on a mat while birds sang in old trees near some quiet river under stars".split()  # noqa: SIM905
)


def sentences(seed: int, count: int) -> str:
    generator = np.random.default_rng(seed)
    return " ".join(generator.choice(WORDS_OF_TEXTS, count).tolist())


def save_small_tokenizer(folder: Path) -> Path:
    """A small tokenizer with an end-of-text token, id 0."""
    train_tokenizer([sentences(seed, 200) for seed in range(5)], 300).save_pretrained(folder)
    return folder


def run_corpus(root: Path, profile: str) -> Scope:
    """The corpus job over a profile's text, in the home `root/home`."""
    from orchestration.run.executor import Executor

    path = root / "profile.toml"
    path.write_text(profile)
    home = Home(root / "home").prepare()
    scope = Scope(home, load_profile(str(path), home))
    Executor(scope, str(path), lambda: None).run(Step("corpus"))
    return scope
