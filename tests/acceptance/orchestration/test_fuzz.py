"""A short form of the fuzz campaign (benchmarks/fuzz_campaign.py runs thousands): bad input never costs anything."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.acceptance_home import REPOSITORY
from tests.support.finished_home import Finished

CASES, SEED = 150, 8


def test_bad_input_gives_one_sentence_and_loses_nothing(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    for name in ("RARECALL_HOME", "RARECALL_DEBUG", "NO_COLOR", "COLUMNS"):
        monkeypatch.setenv(name, "")  # so that what the campaign sets is taken back
    import fuzz_cases
    from fuzz_campaign import ground_of

    ground = ground_of(finished.home, finished.profile, tmp_path)
    complaints, codes = fuzz_cases.run(ground, CASES, SEED)
    assert complaints == []
    assert sum(codes.values()) == CASES and codes[2] > CASES / 3
    assert "fuzz_cases" in sys.modules
