"""One finished home for all acceptance tests, made by the first worker that needs it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from filelock import FileLock

from tests.support.acceptance_home import rarecall, write_profile
from tests.support.finished_home import Finished


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Finished:
    """The small profile, run once per test session through the real command line.

    RARECALL_ACCEPTANCE names a folder that keeps it from session to session while one works on a test.
    """
    base = tmp_path_factory.getbasetemp()
    kept = os.environ.get("RARECALL_ACCEPTANCE")
    root = Path(kept) if kept else (base if worker_id == "master" else base.parent) / "finished"
    with FileLock(f"{root}.lock"):
        if not (root / "stderr").exists():
            root.mkdir(exist_ok=True)
            result = rarecall(root / "home", "run", "-p", write_profile(root))
            assert result.returncode == 0, result.stderr
            (root / "stdout").write_text(result.stdout)
            (root / "stderr").write_text(result.stderr)
    return Finished(
        root / "home", root / "profile-0.toml", (root / "stdout").read_text(), (root / "stderr").read_text()
    )
