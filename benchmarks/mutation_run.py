"""How many changed lines do the tests notice? A seeded sample of mutants of `warehouse/` and `probes/scoring`.

    python -m venv /tmp/mutation && /tmp/mutation/bin/pip install cosmic-ray coverage
    python benchmarks/mutation_run.py WORK --tools /tmp/mutation/lib/python3.11/site-packages --count 320

cosmic-ray makes the mutants. WORK gets a copy of the committed checkout, the only one that is changed. A run with
coverage tells which tests pass by each line; a mutant is asked only of those, shortest first, in a process forked from
one that has imported torch and the like, since that import would cost more than most tests. Outcomes are noted as they
come, so that it can be continued.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
ROOMS = {
    "warehouse": ["tests/unit/warehouse"],
    "probes/scoring": [
        *("tests/integration/probes/scoring", "tests/integration/probes/test_preceding_text.py"),
        *("tests/unit/probes/test_metrics.py", "tests/validity/probes/test_scoring_worlds.py"),
    ],
}
NEED_ARGUMENTS = {"core/NoOp", "core/VariableInserter", "core/VariableReplacer"}
LIMIT_CPU_S, LIMIT_WALL_S = 90.0, 400.0
"""A mutant that takes longer loops or waits for ever: all tests of a room take 50 seconds of one core."""
Mutant = dict[str, Any]


def main() -> None:
    """Sample, ask the tests, note the outcomes."""
    options = _options()
    copy, noted = options.work / "repository", options.work / "outcomes.json"
    if not copy.exists():
        options.work.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "worktree", "prune"], cwd=REPOSITORY, check=True)
        subprocess.run(["git", "clone", "-q", "--shared", REPOSITORY, copy], check=True)
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    sys.path.append(str(options.tools))  # last, so that its packages take no place of ours
    sys.dont_write_bytecode = True
    tests = _tests_by_line(options.work)
    outcomes: list[Mutant] = json.loads(noted.read_text()) if noted.exists() else []
    _import_what_is_heavy()
    for mutant in _sample(options.work / "sample.json", options.seed)[len(outcomes) : options.count]:
        outcomes.append(mutant | _outcome(mutant, _asked(mutant, tests)))
        noted.write_text(json.dumps(outcomes, indent=1))
        found = outcomes[-1]
        print(f"{len(outcomes)} {found['outcome']} {found['seconds']:.0f} s {_place(found)}", flush=True)
    print(Counter(mutant["outcome"] for mutant in outcomes))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=lambda text: Path(text).resolve())
    parser.add_argument("--tools", type=Path, required=True, help="site-packages with cosmic-ray and coverage")
    parser.add_argument("--count", type=int, default=320)
    parser.add_argument("--seed", type=int, default=22)
    return parser.parse_args()


def _sample(noted: Path, seed: int) -> list[Mutant]:
    """All mutants of both rooms in a seeded order; annotations, which nothing reads at run time, are left out."""
    if not noted.exists():
        files = sorted(file for room in ROOMS for file in Path(room).rglob("*.py"))
        found = [mutant for file in files for mutant in _mutants(file)]
        random.Random(seed).shuffle(found)
        noted.write_text(json.dumps(found))
    return list(json.loads(noted.read_text()))


def _mutants(file: Path) -> Iterator[Mutant]:
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    annotated, nodes = _annotated(file), list(ast_nodes(get_ast(file.read_text())))
    for name in sorted(set(operator_names()) - NEED_ARGUMENTS):
        operator = get_operator(name)()
        places = [place for node in nodes for place in operator.mutation_positions(node)]
        for occurrence, (start, end) in enumerate(places):
            if not any(low <= start <= high for low, high in annotated):
                where = {"line": start[0], "end_line": end[0], "column": start[1]}
                yield {"file": str(file), "operator": name, "occurrence": occurrence} | where


def _annotated(file: Path) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Places of annotations: (line, column) of their begin and end."""
    import ast

    nodes = list(ast.walk(ast.parse(file.read_text())))
    parts = [getattr(node, name, None) for node in nodes for name in ("annotation", "returns")]
    return [((p.lineno, p.col_offset), (p.end_lineno, p.end_col_offset)) for p in parts if p is not None]


def _tests_by_line(work: Path) -> dict[str, dict[int, list[str]]]:
    """By file and line the tests that pass by it, shortest first; tests of a room that import it for line 0."""
    noted = work / "tests.json"
    if not noted.exists():
        noted.write_text(json.dumps(_traced(work)))
    return {
        file: {int(line): names for line, names in lines.items()}
        for file, lines in json.loads(noted.read_text()).items()
    }


def _traced(work: Path) -> dict[str, dict[int, list[str]]]:
    import coverage

    result: dict[str, dict[int, list[str]]] = {}
    for room, tests in ROOMS.items():
        data, times = work / f"coverage-{room.replace('/', '-')}", work / f"times-{room.replace('/', '-')}.json"
        if not times.exists():
            _run_traced(room, tests, data, times)
        seconds = json.loads(times.read_text())
        by_length = sorted(seconds, key=lambda name: seconds[name])
        read = coverage.CoverageData(str(data))
        read.read()
        for file in read.measured_files():
            lines = read.contexts_by_lineno(file)
            passing = {line: [n for n in by_length if n in set(names)] for line, names in lines.items()}
            result[str(Path(file).relative_to(Path.cwd()))] = {0: by_length, **passing}
    return result


def _run_traced(room: str, tests: list[str], data: Path, times: Path) -> None:
    script = Path(__file__).with_name("mutation_trace.py")
    command = [sys.executable, str(script), room, str(data), str(times), sys.path[-1], *tests]
    subprocess.run(command, check=True)


def _asked(mutant: Mutant, tests: dict[str, dict[int, list[str]]]) -> list[str]:
    """The tests that pass by a mutant's lines; those of the whole room for what is done at import."""
    lines = tests.get(mutant["file"], {})
    around = range(mutant["line"], mutant["end_line"] + 1)
    known = {name for line in around for name in lines.get(line, [])}
    if known:
        return [name for name in lines[0] if name in known]
    return lines.get(0, []) if any(line in lines for line in around) else []


def _outcome(mutant: Mutant, tests: list[str]) -> Mutant:
    """killed, late (no end within the limit), survived, or unreached: no test passes by."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    file, begun = Path(mutant["file"]), time.monotonic()
    before = file.read_text()
    after = mutate_code(before, get_operator(mutant["operator"])(), mutant["occurrence"])
    facts = {"change": _change(before, after), "tests": len(tests)}
    if not tests:
        return facts | {"outcome": "unreached", "seconds": 0.0}
    try:
        file.write_text(after)
        code = _forked(tests)
    finally:
        file.write_text(before)
    outcome = {0: "survived", None: "late"}.get(code, "killed")
    return facts | {"outcome": outcome, "seconds": time.monotonic() - begun}


def _change(before: str, after: str) -> list[str]:
    import difflib

    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def _forked(tests: list[str]) -> int | None:
    """Exit code of pytest in a child, None when its time was over."""
    child = os.fork()
    if child == 0:
        _in_child(tests)
    end = time.monotonic() + LIMIT_WALL_S
    while time.monotonic() < end and _cpu_seconds(child) < LIMIT_CPU_S:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            _end_group(child)
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    _end_group(child)
    os.waitpid(child, 0)
    return None


def _cpu_seconds(number: int) -> float:
    fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def _end_group(number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(number, signal.SIGKILL)


def _in_child(tests: list[str]) -> None:
    import pytest

    os.setsid()
    log = os.open("../last.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(log, number)
    folder = f"--basetemp={Path('../tmp').resolve()}"
    code = pytest.main(["-x", "-q", "-n", "0", "-p", "no:cacheprovider", folder, *tests])
    os._exit(int(code))


def _import_what_is_heavy() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in ("torch", "transformers", "duckdb", "polars", "pyarrow.parquet", "pytest", "hypothesis", "scipy.stats"):
        __import__(name)
    from transformers import GPT2LMHeadModel, GPTNeoForCausalLM, GPTNeoXForCausalLM, LlamaForCausalLM  # noqa: F401

    shutil.rmtree(Path("../tmp"), ignore_errors=True)


def _place(mutant: Mutant) -> str:
    return f"{mutant['file']}:{mutant['line']} {' | '.join(line.strip() for line in mutant['change'])[:160]}"


if __name__ == "__main__":
    main()
