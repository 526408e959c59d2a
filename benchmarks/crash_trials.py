"""Trials of the crash campaign. Each returns facts; `ok` says whether everything that was promised held."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crash_ground import EMPTY, Contents, Ground, environment

from assets.stages import STAGES
from tests.support.acceptance_home import rarecall
from warehouse.registry import TABLES

CORPUS = ("tokenizers", "corpora", "unigram_counts", "unigrams", "subset_unigrams", "words", "paragraphs")
MODEL = tuple(stage.tables[0] for stage in STAGES if TABLES[stage.tables[0]].partition == "checkpoint")
PLACES = {
    EMPTY: ("start", "dagster", *CORPUS),
    "corpus": ("training_steps", "checkpoints"),
    "trained": MODEL,
    "measured": ("catalog", "figures", "report"),
}
"""Where a run can be ended, by the state of the home it then starts from."""
LONGEST_DELAY_SECONDS = {"start": 6.0, "training_steps": 4.0, "catalog": 0.3, "report": 0.01, "figures": 0.5}
SIDE_BY_SIDE_SHARE = 0.3
"""Rounds with two checkpoints at once, each in a process that has to import everything."""
SOFT = (signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = "rarecall: interrupted; run again to resume from the finished parts."
Facts = dict[str, Any]


def make_places(ground: Ground) -> None:
    """Homes to start from: without training, without measurements, without catalog and report."""
    if (ground.root / "kept" / "measured").exists():
        return
    ground.clear()
    for name, reached in (("corpus", "training_steps"), ("trained", "checkpoints")):
        ground.end_when(ground.fork("run"), ground.event(reached), 0.0, signal.SIGTERM)
        ground.keep(name)
    end = ground.run()
    assert end.returncode == 0, end.stderr
    for path in (ground.home / "catalog.json", ground.home / "rarecall.duckdb"):
        path.unlink()
    shutil.rmtree(ground.home / "report")
    ground.keep("measured")


def kill_round(
    ground: Ground, reference: Contents, place: str, ends: list[tuple[str, signal.Signals]], chance: random.Random
) -> list[Facts]:
    """End one run after the other at the given stages of one home, finish it, and compare with the reference."""
    ground.restore(place)
    os.environ["RARECALL_PARALLEL_CHECKPOINTS"] = "2" if chance.random() < SIDE_BY_SIDE_SHARE else "1"
    found = [_end(ground, stage, number, chance) for stage, number in ends]
    return finished(ground, reference, found)


def finished(ground: Ground, reference: Contents, found: list[Facts]) -> list[Facts]:
    """Let a run finish what was ended so often; says of every end whether all is as if nothing had happened."""
    intact = ground.intact_parts()
    end = ground.run()
    found[-1]["rewritten"] += rewritten(intact, ground.intact_parts())
    same = ground.contents() == reference
    leftovers = ground.leftovers() if end.returncode == 0 else [end.stderr[-300:]]
    found[-1]["for_gc"] = list(ground.for_gc().values())
    for one in found:
        one |= {"same_tables": same, "leftovers": leftovers, "partitions": len(reference)}
        one["ok"] = bool(same and not leftovers and not one["torn"] and not one["rewritten"] and not one["wrong"])
    return found


def _end(ground: Ground, stage: str, number: signal.Signals, chance: random.Random) -> Facts:
    delay = chance.uniform(0, LONGEST_DELAY_SECONDS.get(stage, 0.6))
    intact = ground.intact_parts()
    process = ground.fork("run")
    was_running = ground.end_when(process, ground.event(stage), delay, number)
    facts = after_end(ground, intact, number)
    if was_running and number in SOFT:
        last = ground.said.read_text().splitlines()[-1:]
        facts["wrong"] += [] if (process.returncode, last) == (1, [INTERRUPTED]) else [f"{process.returncode} {last}"]
    return {"trial": f"{number.name} {delay:.2f} s into {stage}", "was_running": was_running, **facts}


def after_end(ground: Ground, intact: dict[str, int], number: signal.Signals) -> Facts:
    """What must hold at once: no process is left, no part is torn or made again, and who could tidy up has."""
    left, after = ground.survivors(), ground.intact_parts()
    temporary = ground.temporary_files() if number != signal.SIGKILL else []
    wrong = left + temporary + (["a traceback"] if "Traceback" in ground.said.read_text() else [])
    return {
        "signal": number.name,
        "torn": ground.torn(),
        "rewritten": rewritten(intact, after),
        "wrong": wrong,
        "finished_parts": len(after),
    }


def rewritten(before: dict[str, int], after: dict[str, int]) -> list[str]:
    """Parts that were finished before and were computed again all the same."""
    return [name for name, when in before.items() if name in after and after[name] != when]


def damage(ground: Ground, reference: Contents, name: str) -> Facts:
    """Break one thing of a finished home, run again, and compare."""
    break_it, needs_doctor = DAMAGES[name]
    intact = ground.intact_parts()
    broken = break_it(ground)
    doctor = rarecall(ground.home, "doctor")
    found = doctor.returncode == 1 and broken in doctor.stdout
    if needs_doctor:
        rarecall(ground.home, "doctor", "--repair")
    end = ground.run()
    again = rewritten(intact, ground.intact_parts())
    same = ground.contents() == reference and not ground.torn()
    ok = found and end.returncode == 0 and same and len(again) <= 1
    return {"trial": f"damage: {name}", "ok": ok, "found_by_doctor": found, "rewritten": again, "same_tables": same,
            "said": end.stderr[-300:] if end.returncode else ""}  # fmt: skip


def _flip(ground: Ground, table: str) -> str:
    part = sorted((ground.home / "tables" / table).rglob("part-*.parquet"))[1]
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 0xFF
    part.write_bytes(bytes(data))
    return part.name


def _flip_silently(ground: Ground) -> str:
    part = sorted((ground.home / "tables" / "perturbations").rglob("part-*.parquet"))[0]
    before = part.stat()
    data = bytearray(part.read_bytes())
    data[len(data) // 3] ^= 0x01
    part.write_bytes(bytes(data))
    os.utime(part, ns=(before.st_atime_ns, before.st_mtime_ns))
    return part.name


def _truncate(ground: Ground) -> str:
    part = sorted((ground.home / "tables" / "token_scores").rglob("part-*.parquet"))[-1]
    part.write_bytes(part.read_bytes()[:-50])
    return part.name


def _delete(ground: Ground) -> str:
    part = sorted((ground.home / "tables" / "generations").rglob("part-*.parquet"))[0]
    part.unlink()
    return part.name


def _spoil_manifest(ground: Ground) -> str:
    manifest = sorted((ground.home / "tables" / "head_attention").rglob("_manifest.json"))[0]
    manifest.write_text("{ this is no manifest")
    return "_manifest.json"


def _spoil_catalog(ground: Ground) -> str:
    (ground.home / "rarecall.duckdb").write_bytes(b"no database" * 5000)
    return "rarecall.duckdb"


DAMAGES: dict[str, tuple[Callable[[Ground], str], bool]] = {
    "byte of a part flipped": (lambda ground: _flip(ground, "scores"), False),
    "byte flipped, time of the file kept": (_flip_silently, True),
    "part truncated": (_truncate, False),
    "part deleted": (_delete, False),
    "manifest spoiled": (_spoil_manifest, False),
    "catalog spoiled": (_spoil_catalog, False),
}


def two_at_once(ground: Ground, reference: Contents, apart_seconds: float) -> Facts:
    """Two runs of everything on one empty home, started together."""
    ground.clear()
    first = ground.fork("run")
    time.sleep(apart_seconds)
    second = ground.fork("run")
    codes = [process.wait() for process in (first, second)]
    same = ground.contents() == reference
    ok = codes == [0, 0] and same and not ground.leftovers()
    said = [line for line in ground.said.read_text().splitlines() if line.startswith("rarecall:")]
    return {"trial": f"two runs at once, {apart_seconds:.1f} s apart", "ok": ok, "codes": codes, "same_tables": same,
            "said": said}  # fmt: skip


def full_disk(ground: Ground, reference: Contents, place: str, room_kilobytes: int) -> Facts:
    """A home on a disk that is too small; then the disk grows and the run goes on."""
    ground.clear()
    ground.home.mkdir()
    kept = ground.root / "kept" / place
    held = sum(f.stat().st_size // 4096 * 4 + 4 for f in kept.rglob("*")) if kept.exists() else 0
    size = f"size={held + room_kilobytes}k"
    name = f"disk with {room_kilobytes} KB of room, {place} home"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", ground.home]).returncode:
        return {"trial": name, "ok": None, "said": "mounting needs root"}
    try:
        if place != EMPTY:
            shutil.copytree(kept, ground.home, symlinks=True, dirs_exist_ok=True)
        first = ground.run()
        torn = ground.torn()
        subprocess.run(["mount", "-o", "remount,size=1g", ground.home], check=True)
        second = ground.run()
        same, left = ground.contents() == reference, ground.leftovers()
    finally:
        subprocess.run(["umount", "-l", ground.home], check=False)
    named = "disk is full" in first.stderr and "Traceback" not in first.stderr
    ok = first.returncode == 1 and named and not torn and second.returncode == 0 and same and not left
    return {"trial": name, "ok": ok, "named": named, "torn": torn, "same_tables": same, "left": left,
            "said": first.stderr[-300:]}  # fmt: skip


READING = """
import sys, time
from warehouse.errors import WarehouseError
from warehouse.home import Home
from warehouse.catalog.queries import query
home, end = Home.locate(), time.monotonic() + float(sys.argv[1])
asked = "SELECT count(*) AS n, min(copies_count) AS low, max(copies_count) AS high FROM duplication_ladder"
reads, versions, errors = 0, set(), []
while time.monotonic() < end:
    try:
        n, low, high = query(home, asked).row(0)
        assert n == 3000 and low == high, (n, low, high)
        versions.add(low)
        reads += 1
    except Exception as error:
        errors.append(f"{type(error).__name__}: {error}")
import json
print(json.dumps({"reads": reads, "versions": len(versions), "errors": errors[:3], "error_count": len(errors)}))
"""


def readers(root: Path, count: int, seconds: float) -> Facts:
    """Readers in processes of their own beside a writer that publishes as fast as it can; every version is uniform."""
    from warehouse.home import Home

    home = Home(root / "read-home").prepare()
    _publish(home, 0)
    asked = [sys.executable, "-c", READING, str(seconds)]
    processes = [
        subprocess.Popen(asked, env=environment(home.root), stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]
    end, version = time.monotonic() + seconds + 5, 0
    while time.monotonic() < end and any(process.poll() is None for process in processes):
        version += 1
        _publish(home, version)
    answers = [json.loads(process.communicate()[0]) for process in processes]
    errors = [error for answer in answers for error in answer["errors"]]
    return {
        "trial": f"{count} readers for {seconds:.0f} s beside a writer",
        "ok": not errors and all(answer["reads"] for answer in answers),
        "reads": sum(answer["reads"] for answer in answers),
        "publications": version,
        "versions_seen": max(answer["versions"] for answer in answers),
        "errors": errors,
    }


def _publish(home: Any, version: int) -> None:
    """Three partitions of one table, all rows holding the version."""
    import polars as pl

    from warehouse.catalog.publish import publish_catalog
    from warehouse.record.parts import TableStore

    store = TableStore.of(home, "duplication_ladder")
    for corpus in ("a", "b", "c"):
        writer = store.writer(corpus, {"version": version}, 1)
        names = [f"{corpus}{n}" for n in range(1000)]
        rows = pl.DataFrame({"paragraph_id": names, "duplication_group": "x", "copies_count": version})
        writer.write(0, rows, corpus_id=corpus)
        writer.finish()
    publish_catalog(home)
