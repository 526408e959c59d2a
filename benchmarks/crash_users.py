"""Trial of the crash campaign with two users: the home is one's, the other may only read it and tries everything."""

from __future__ import annotations

import shutil
from typing import Any

from crash_ground import Ground

from tests.support.acceptance_home import one_sentence, rarecall
from tests.support.other_user import as_other_user, give_away, give_back

READING: tuple[tuple[str, ...], ...] = (
    ("query", "SELECT count(*) FROM scores"),
    ("query", "FROM range(30000000) ORDER BY random() LIMIT 1"),
    ("query", "corpora"),
    ("query",),
    ("report",),
    ("doctor",),
    ("gc",),
    ("checkpoints", "list"),
    ("corpus", "list"),
)
WRITING: tuple[tuple[str, ...], ...] = (
    ("run",),
    ("ui", "--port", "3999"),
    ("report", "--redact"),
    ("doctor", "--repair"),
    ("gc", "--delete"),
    ("relocate",),
    ("corpus", "add", "mine", "python"),
    ("corpus", "remove", "library"),
    ("checkpoints", "add", "{home}/checkpoints/small-step-00142", "--name", "mine"),
    ("checkpoints", "remove", "small-step-00142"),
    ("edit", "small-step-00142", "--memorized", "1", "--save", "mine"),
    ("query", "SELECT 1", "-o", "{home}/report/index.html"),
    ("query", "EXPLAIN ANALYZE COPY (SELECT 1) TO '{home}/tables/x.parquet'"),
)


def trials_of_users(ground: Ground) -> list[dict[str, Any]]:
    """Every command of somebody who may read only; then in a home that this user may not even read."""
    home = ground.root / "others" / "home"
    shutil.rmtree(home.parent, ignore_errors=True)
    shutil.copytree(ground.root / "kept" / "finished", home, symlinks=True)
    rarecall(home, "relocate")
    give_away(home)
    before = _facts(home)
    found = []
    for words in (*READING, *WRITING):
        asked = [word.format(home=home) for word in words]
        done = as_other_user(home, *asked)
        expected = (0,) if words in READING else (1, 2)
        wrong = [] if done.returncode in expected else [f"exit code {done.returncode}"]
        wrong += _complaints(done.stderr, words in WRITING)
        if (now := _facts(home)) != before:
            wrong.append("something was written")
            before = now
        name = f"user without write permission: {' '.join(words)}"
        found.append({"trial": name, "ok": not wrong, "wrong": wrong, "said": done.stderr[-300:]})
    give_back(home)
    return found


def _complaints(said: str, is_refused: bool) -> list[str]:
    if not is_refused:
        return [said[-200:]] if "Traceback" in said or "unforeseen" in said else []
    try:
        return ["no cause was named"] if "unforeseen" in one_sentence(said) else []
    except AssertionError:
        return ["not one sentence"]


def _facts(home: Any) -> dict[str, tuple[int, int, int]]:
    """Size, time and mode of everything in the home."""
    return {
        str(path): (path.lstat().st_size, path.lstat().st_mtime_ns, path.lstat().st_mode) for path in home.rglob("*")
    }
