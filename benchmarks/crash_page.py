"""The page of results of the crash campaign, written from what its trials noted."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "crash_campaign.md"
NAMES = {
    "damage": "damage",
    "twice": "two runs at once",
    "disk": "full disk",
    "users": "commands of a user who may only read",
}
ENDED = {"kills": "`rarecall run`", "ui": "a run launched in the UI, and the UI with it"}
Facts = list[dict[str, Any]]


def write_page(facts: Facts, seed: int) -> None:
    """Counts by kind of trial, then one row per trial."""
    lines = ["# Crash campaign", "", _conditions(seed), "", *_ends(facts)]
    for piece, title in NAMES.items():
        these = [f for f in facts if f["piece"] == piece]
        if these:
            lines.append(f"* {title}: {sum(bool(f['ok']) for f in these)} of {len(these)}.")
    lines += [
        f"* {f['trial']}: {f['reads']:,} reads, {f['publications']:,} publications, {len(f['errors'])} errors."
        for f in facts
        if f["piece"] == "readers"
    ]
    lines += ["", "| trial | held | seconds |", "|---|---|---|"]
    lines += [f"| {f['trial']} | {_verdict(f)} | {f['seconds']:.0f} |" for f in facts]
    RESULTS.write_text("\n".join(lines) + "\n")
    print(f"written: {RESULTS}")


def _ends(facts: Facts) -> list[str]:
    ends = [f for f in facts if f["piece"] in ENDED and f["was_running"]]
    lines = []
    for number in sorted({f["signal"] for f in ends}):
        for piece, where in ENDED.items():
            these = [f for f in ends if f["signal"] == number and f["piece"] == piece]
            if these:
                lines.append(f"* {number} to {where}: {sum(bool(f['ok']) for f in these)} of {len(these)} survived.")
    partitions = max((f["partitions"] for f in ends), default=0)
    again = sum(len(f["rewritten"]) for f in ends)
    left = [size for f in ends for size in f.get("for_gc", [])]
    if left:
        lines.append(
            f"* {len(left)} files of at most {max(left) / 1024:.0f} KB were cut off in being written; "
            "`rarecall gc` lists them."
        )
    lines.append(
        f"* Survived: the finished tables equal those of an undisturbed run ({partitions} partitions, by the hash of "
        f"their rows), no finished part is computed again ({again}), none is torn, no process stays, and after the run "
        "that finishes no temporary file is left but what `gc` lists, and none is in progress. After SIGTERM, SIGHUP "
        "and SIGINT nothing temporary is left at once, the exit code is 1 with one sentence (0 for the UI), and the "
        "port is free. The UI that follows a killed one says what it closed and begins the next run."
    )
    return lines


def _conditions(seed: int) -> str:
    return (
        f"`python benchmarks/crash_campaign.py --seed {seed}` on {platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}. The small profile of the acceptance tests, 4 shards a stage. Runs are the real "
        "command line in a process forked from one that has imported the libraries; the UI is a program of its own. At "
        "the lowest priority beside other work: seconds are those of a loaded machine."
    )


def _verdict(facts: dict[str, Any]) -> str:
    if facts["piece"] in ENDED and not facts["was_running"]:
        return "the run had ended before"
    return {True: "yes", False: "NO", None: "not tried"}[facts["ok"]]
