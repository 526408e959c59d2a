"""A corpus, a profile and a command line small enough to run the whole flow in a test."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from contextlib import chdir
from pathlib import Path
from typing import Any
from unittest.mock import patch

from typer.testing import CliRunner

from tests.support import REPOSITORY

PACKAGES = ("json", "email", "logging", "unittest")
LIMIT_SECONDS = 900
LEFT_OUT = ("RARECALL", "DAGSTER", "PYTEST")
SECRET = "hf_ThisTokenMustNeverBeWrittenAnywhere"

PROFILE = """
name = "small"
[corpus]
corpus_id = "library"
source = "{corpus}"
kind = "text-folder"
vocabulary_size = 1024
shard_tokens = 100_000
[paragraphs]
seed = 1
[training]
row_length = 0
background_count = 40
batch_size = 8
held_out = 8
checkpoint_count = 2
hidden_size = 32
layer_count = 2
head_count = 2
learning_rate = 1e-2
threads = 1
[training.rungs]
256 = 4
8 = 8
1 = 8
[probes]
paragraphs_per_group = 4
bootstrap_draws = 100
permutations = 100
continuation_attention = true
[probes.perturbation_draws]
second_choice = 1
uniform = 2
frequency_matched = 1
deletion = 1
"""


def write_profile(folder: Path, changes: dict[str, str] | None = None) -> Path:
    """A corpus of standard-library sources and the profile over it; `changes` replace text in the profile."""
    corpus = folder / "corpus"
    if not corpus.exists():
        for package in PACKAGES:
            source = Path(sysconfig.get_paths()["stdlib"]) / package
            for file in sorted(source.glob("*.py")):
                (corpus / package).mkdir(parents=True, exist_ok=True)
                (corpus / package / f"{file.stem}.txt").write_bytes(file.read_bytes())
    text = PROFILE.format(corpus=corpus)
    for old, new in (changes or {}).items():
        assert old in text
        text = text.replace(old, new)
    profile = folder / f"profile-{len(list(folder.glob('*.toml')))}.toml"
    profile.write_text(text)
    return profile


def environment(home: Path) -> dict[str, str]:
    """Environment of a subprocess that works in `home` and never asks a network."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(LEFT_OUT) or k == "RARECALL_PARALLEL_CHECKPOINTS"}
    more = {"RARECALL_HOME": str(home), "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return kept | more | {"COLUMNS": "160", "NO_COLOR": "1", "HF_TOKEN": SECRET}


def command(*words: object) -> list[str]:
    """The real command line, without needing the console script on the PATH."""
    return [sys.executable, "-m", "orchestration.cli", *(str(word) for word in words)]


def start(home: Path, *words: object, more: dict[str, str] | None = None, **pipes: Any) -> subprocess.Popen[str]:
    """Start a command that a test will interrupt; Ctrl-C reaches it even where whoever runs the tests ignores it."""
    return subprocess.Popen(
        command(*words), env=environment(home) | (more or {}), cwd=home.parent, text=True, preexec_fn=heed_interrupts,
        **pipes,
    )  # fmt: skip


def heed_interrupts() -> None:
    """In a process about to start: Ctrl-C is heeded, whatever whoever started the tests does with it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def rarecall(home: Path, *words: object, limit: float = LIMIT_SECONDS) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, outside the checkout, so that nothing is found by accident."""
    asked, where = command(*words), next(folder for folder in home.parents if folder.is_dir())
    return subprocess.run(asked, env=environment(home), cwd=where, capture_output=True, text=True, timeout=limit)


def typed(home: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """What `rarecall` gives, of the same entry point run in this process: half a second less for every command."""
    from orchestration.cli.main import main

    around = {name: None for name in os.environ if name.startswith(LEFT_OUT)} | environment(home)
    asked = ["rarecall", *(str(word) for word in words)]
    where = next(folder for folder in home.parents if folder.is_dir())
    code: Any = 0
    with CliRunner().isolation(env=around) as (out, err, _), chdir(where), patch.object(sys, "argv", asked):
        try:
            main()
        except SystemExit as end:
            code = end.code
        sys.stdout.flush()
        sys.stderr.flush()
        return subprocess.CompletedProcess(asked, code, out.getvalue().decode(), err.getvalue().decode())


def copy_home(finished: Path, target: Path) -> Path:
    """A copy of a finished home to break. Paths recorded inside still point into the original."""
    shutil.copytree(finished, target, symlinks=True)
    return target


def contents(home: Path) -> dict[tuple[str, str], list[tuple[int, str]]]:
    """What every partition holds: rows and their hash, part by part, by table and partition."""
    found = {}
    for file in sorted((home / "tables").glob("*/*/_manifest.json")):
        manifest = json.loads(file.read_text())
        parts = [(part["row_count"], part["rows_sha256"]) for part in manifest["parts"]]
        found[manifest["table"], manifest["partition"]] = parts
    return found


def one_sentence(stderr: str) -> str:
    """The only line on stderr; fails on tracebacks and chatter."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    assert len(lines) == 1, stderr
    assert lines[0].startswith("rarecall: ") and lines[0].endswith((".", "?", "!")), stderr
    return lines[0]
