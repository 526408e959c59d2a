"""What is broken on disk is named, and what is not broken goes on."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.acceptance_home import one_sentence, rarecall, typed
from tests.support.finished_home import Finished
from warehouse.home import Home
from warehouse.registrations import register

COUNTS = "SELECT checkpoint_id, count(*) AS rows FROM scores GROUP BY ALL ORDER BY 1"


def test_damaged_catalog_is_named_and_rebuilt(finished: Finished, tmp_path: Path) -> None:
    home = finished.copy(tmp_path / "home")
    expected = rarecall(finished.home, "query", "-f", "csv", COUNTS).stdout
    (home / "rarecall.duckdb").write_bytes(b"this is no database" * 1000)
    (home / ".rarecall.duckdb.999999999.tmp").write_bytes(b"left by a killed run")
    broken = typed(home, "query", COUNTS)
    assert broken.returncode == 2 and "rarecall.duckdb cannot be opened" in one_sentence(broken.stderr)
    repaired = rarecall(home, "run", "-p", finished.profile)
    assert repaired.returncode == 0, repaired.stderr
    assert rarecall(home, "query", "-f", "csv", COUNTS).stdout == expected
    assert not list(home.glob(".rarecall.duckdb*"))


def test_damaged_part_is_found_by_doctor(finished: Finished, tmp_path: Path) -> None:
    home = finished.copy(tmp_path / "home")
    part = next((home / "tables" / "token_scores").rglob("part-*.parquet"))
    part.write_bytes(part.read_bytes()[:-100])
    result = rarecall(home, "doctor")
    assert result.returncode == 1 and part.name in result.stdout and "Traceback" not in result.stderr


def test_taken_port_is_named(finished: Finished) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = typed(finished.home, "ui", "--port", port)
    assert result.returncode == 2 and f"port {port}" in one_sentence(result.stderr)


def _drop_shard(folder: Path) -> None:
    first, second = (f"model-0000{part}-of-00002.safetensors" for part in (1, 2))
    (folder / "model.safetensors").rename(folder / first)  # beside model.safetensors nobody would read the index
    index = {"metadata": {}, "weight_map": {"a": first, "b": second}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _unknown_architecture(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "unheard"}))


def _pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _truncate(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])


def _nan(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights["transformer.wpe.weight"][3, 5] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _other_tokenizer(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][:-1]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


SEEN_AT_ONCE: dict[str, tuple[Callable[[Path], None], str]] = {
    "shard": (_drop_shard, "model-00002-of-00002.safetensors"),
    "architecture": (_unknown_architecture, "'unheard'"),
    "pickle": (_pickle_only, "pickle"),
    "truncated": (_truncate, "header says"),
}
SEEN_LATER = {"nan": (_nan, "transformer.wpe.weight"), "tokenizer": (_other_tokenizer, "another tokenizer")}


@pytest.mark.parametrize("name", SEEN_AT_ONCE)
def test_checkpoints_that_cannot_be_added(finished: Finished, tmp_path: Path, name: str) -> None:
    break_it, reason = SEEN_AT_ONCE[name]
    folder = _variant(finished, tmp_path, "broken-7", break_it)
    result = typed(tmp_path / "home", "checkpoints", "add", folder, "-p", finished.profile)
    sentence = one_sentence(result.stderr)
    assert result.returncode == 2 and reason in sentence and str(folder) in sentence
    written = {path.name for path in (tmp_path / "home").rglob("*.json")}
    assert written <= {"home.json"}  # the version of the layout; nothing is registered


def test_bad_checkpoints_do_not_stop_the_good_one(finished: Finished, tmp_path: Path) -> None:
    home = finished.copy(tmp_path / "home")
    for name, (break_it, _) in SEEN_LATER.items():
        _register(home, _variant(finished, tmp_path, f"{name}-7", break_it))
    _register(home, _variant(finished, tmp_path, "good-9", lambda folder: None))
    later = _variant(finished, tmp_path, "later-8", lambda folder: None)
    added = rarecall(home, "checkpoints", "add", later, "-p", finished.profile)
    assert added.returncode == 0 and "62,144 parameters" in added.stdout, added.stderr
    _truncate(later)
    result = rarecall(home, "run", "-p", finished.profile)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    said = [line for line in result.stderr.splitlines() if line.startswith("rarecall: ")]
    for name, reason in {
        "later-8": "header says",
        "nan-7": SEEN_LATER["nan"][1],
        "tokenizer-7": SEEN_LATER["tokenizer"][1],
    }.items():
        assert sum(f"checkpoint {name} was not measured" in line and reason in line for line in said) == 1, said
    counts = rarecall(home, "query", "-f", "csv", COUNTS).stdout.split()
    assert counts[1:] == ["good-9,28", "small-step-00000,28", "small-step-00142,28"]


def _variant(finished: Finished, tmp_path: Path, name: str, break_it: Callable[[Path], None]) -> Path:
    folder = tmp_path / name
    shutil.copytree(finished.home / "checkpoints" / "small-step-00142", folder)
    break_it(folder)
    return folder


def _register(home: Path, folder: Path) -> None:
    """What `rarecall checkpoints add` does after its look at the files, without the start of a process."""
    facts = {"source": str(folder), "corpus_id": "library", "training_step": int(folder.name.partition("-")[2])}
    register(Home(home), "checkpoints", folder.name, facts)
