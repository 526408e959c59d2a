"""A home that is moved, damaged, or searched for secrets, through the real command line."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from assets.framework.profile import load_profile
from assets.framework.stage import Scope
from orchestration.run.flow import checkpoint_steps, corpus_steps
from tests.support.acceptance_home import SECRET, contents, rarecall
from tests.support.finished_home import Finished
from warehouse.home import Home
from warehouse.record.parts import TableStore
from warehouse.registry import TABLES

MEASURED = ("scores", "perturbations", "head_attention", "parameter_gradients", "training_steps")


def test_a_copied_home_is_relocated_without_measuring_again(finished: Finished, tmp_path: Path) -> None:
    home = finished.copy(tmp_path / "elsewhere")
    before = {file.name: file.stat().st_mtime_ns for file in _parts(home, MEASURED)}
    refused = rarecall(home, "query", "SELECT 1")
    assert refused.returncode == 2 and "rarecall relocate" in refused.stderr
    moved = rarecall(home, "relocate")
    assert moved.returncode == 0, moved.stderr
    sources = rarecall(home, "query", "-f", "csv", "SELECT source FROM checkpoints").stdout.split()[1:]
    assert sources and all(source.startswith(f"{home}/") for source in sources)
    stores = [TableStore.of(Home(home), name) for name in TABLES]
    live = [file for store in stores for partition in store.partitions() for file in store.files(partition)]
    assert live and [file for file in live if _holds(file, str(finished.home))] == []
    scope = Scope(Home(home), load_profile(str(finished.profile)))
    assert corpus_steps(scope) == [] and checkpoint_steps(scope) == []
    assert before == {file.name: file.stat().st_mtime_ns for file in _parts(home, MEASURED)}
    assert {k: v for k, v in contents(home).items() if k[0] in MEASURED} == {
        k: v for k, v in contents(finished.home).items() if k[0] in MEASURED
    }


def _holds(part: Path, text: str) -> bool:
    """Whether a text column of a part, whatever the registry says of it, begins with `text`."""
    frame = pl.read_parquet(part).select(pl.col(pl.String).str.starts_with(f"{text}/"))
    return any(column.any() for column in frame.iter_columns())


def _parts(home: Path, tables: tuple[str, ...]) -> list[Path]:
    return [file for table in tables for file in (home / "tables" / table).rglob("part-*.parquet")]


def test_doctor_removes_what_is_damaged_and_gc_removes_nothing_unasked(finished: Finished, tmp_path: Path) -> None:
    home = finished.copy(tmp_path / "home")
    part = sorted((home / "tables" / "generations").rglob("part-*.parquet"))[0]
    part.write_bytes(part.read_bytes()[::-1])
    result = rarecall(home, "doctor", "--repair")
    assert "1 damaged files were removed" in result.stdout and part.name in result.stdout and not part.exists()
    stray = home / "tables" / "scores" / "checkpoint=gone" / "part-x.parquet"
    stray.parent.mkdir()
    stray.write_bytes(b"x" * 2000)
    listed = rarecall(home, "gc")
    assert listed.returncode == 0 and "checkpoint=gone" in listed.stdout and "2.0 KB" in listed.stdout
    assert stray.exists()
    assert rarecall(home, "gc", "--delete").returncode == 0 and not stray.exists()


def test_no_secret_of_the_environment_is_written_anywhere(finished: Finished) -> None:
    searched = [file for file in finished.home.rglob("*") if file.is_file()]
    assert len(searched) > 100
    assert [file for file in searched if SECRET.encode() in file.read_bytes()] == []
    assert SECRET not in finished.stdout + finished.stderr
