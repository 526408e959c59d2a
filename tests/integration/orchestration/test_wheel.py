"""A built wheel holds every module, query, profile and template, and its command line starts from it alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ROOMS = ("orchestration", "assets", "corpus_stats", "probes", "warehouse", "sql")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as pip builds it, from a copy, because setuptools leaves folders beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    unwanted = shutil.ignore_patterns("__pycache__", "data", "*.egg-info")
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=unwanted)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    build = "from setuptools.build_meta import build_wheel; print(build_wheel('dist'))"
    done = subprocess.run([sys.executable, "-c", build], cwd=folder, capture_output=True, text=True, check=True)
    return folder / "dist" / done.stdout.split()[-1]


def test_it_holds_every_file_of_every_room(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    tracked = [file for room in ROOMS for file in (ROOT / room).rglob("*") if file.is_file()]
    expected = {str(file.relative_to(ROOT)) for file in tracked if _belongs(file.relative_to(ROOT))}
    assert len([name for name in expected if name.endswith(".sql")]) > 80
    assert expected - held == set()
    assert {f"{room}/py.typed" for room in ROOMS} <= held
    outside = {name.partition("/")[0] for name in held} - set(ROOMS)
    assert all(name.endswith(".dist-info") for name in outside)


def _belongs(file: Path) -> bool:
    return file.parts[:2] != ("warehouse", "data") and "__pycache__" not in file.parts


def test_the_command_line_starts_from_it(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
        (metadata,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "rarecall = orchestration.cli:main" in archive.read(metadata).decode()
    program = (
        "import sys, orchestration; from orchestration.cli import main; "
        "print(orchestration.__file__, file=sys.stderr); sys.argv = ['rarecall', '--help']; main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "checkpoints" in done.stdout, done.stderr
    assert done.stderr.startswith(str(tmp_path))
