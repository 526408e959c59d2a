"""The table for CUDA devices: every step runs on a processor with a small model, and without a device it says so."""

import os
import subprocess
import sys

import pytest
import torch

from tests.support import REPOSITORY

RESULTS = REPOSITORY / "benchmarks" / "results" / "gpu.md"


def on_gpu(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "benchmarks/on_gpu.py", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)


def test_every_step_runs_on_a_processor(tmp_path):
    before = RESULTS.exists()
    done = on_gpu("--device", "cpu", "--small", "--output", str(tmp_path / "gpu.md"))
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "gpu.md").read_text()
    assert page.strip() in done.stdout
    assert "differs from generate's in 0 of 4 rows" in page
    assert "; 0 rows still differ from float32." in page
    for dtype in ("float32", "bfloat16"):
        section = page.partition(f"## {dtype}\n")[2].partition("## ")[0]
        names = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")][1:]
        assert len(names) == 6
        assert names[0] == "products of the weights alone"
        assert "transformers generate, cached" in names
    assert RESULTS.exists() == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_it_says_so_in_a_sentence():
    done = on_gpu()
    assert done.returncode == 2
    assert done.stderr == "There is no CUDA device here; run this on a machine with one, or try --device cpu --small.\n"
    assert done.stdout == ""
