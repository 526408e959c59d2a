"""Bad input by the thousand: seeded cases over profiles, files of a home and SQL, through the command line's entry.

Every case must end with exit code 0, 1 or 2, at most one sentence on stderr for a failure, no traceback, and with every
sound part of the record still there, byte for byte.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import fuzz_sql

ODD = (
    *("", " ", "null", "0", "-1", "1e400", "nan", "true", "[]", "{}", "..", "../../etc/passwd", "/", "\\x00", "\x00"),
    *("a" * 5000, "é" * 40, "\N{BOM}", "{{x}}", "%s%n", "'; DROP TABLE scores; --", "${HOME}", "\r\n", "9" * 400),
)
WORDS = tuple(
    """SELECT|FROM|WHERE|GROUP BY ALL|ORDER BY 1|LIMIT 5|count(*)|scores|triggers|paragraphs|exact_match|checkpoint_id
    paragraph_id|avg(|)|(|,|.|*|=|'a'|1|NULL|CASE|WITH t AS|UNION ALL|DROP TABLE|ATTACH 'x'|COPY|TO 'fuzz.csv'|;|--|/*
    INSTALL httpfs|LOAD json|PRAGMA|SET threads = 1|read_text('/etc/hostname')|read_parquet('../*')|glob('*')|PIVOT
    CREATE VIEW v AS|DELETE|UPDATE scores SET exact_match = 0|$1|?|\x00|é|"|'|OVER ()""".replace("\n    ", "|").split(
        "|"
    )
)


@dataclass(frozen=True)
class Answer:
    """What one call of the command line gave."""

    code: int
    stdout: str
    stderr: str
    fault: str = ""

    @property
    def complaint(self) -> str | None:
        """What is wrong with the answer, if anything."""
        if self.fault:
            return self.fault
        lines = [line for line in self.stderr.splitlines() if line.strip()]
        if self.code not in (0, 1, 2):
            return f"exit code {self.code}"
        if "Traceback (most recent call last)" in self.stderr + self.stdout:
            return "a traceback"
        if "use `rarecall --debug" in self.stderr:
            return "an error nobody thought of"
        said = [line for line in lines if line.startswith("rarecall: ")]
        if self.code and self.stdout == "" and len(said) != 1:
            return f"{len(said)} sentences on stderr"
        return None


def call(*words: str) -> Answer:
    """The command line in this process: the same entry as the installed script."""
    from orchestration.cli.main import main

    out, err, before = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO(), sys.argv
    sys.argv = ["rarecall", *words]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
                code: Any = 0
            except SystemExit as end:
                code = end.code or 0
    finally:
        sys.argv = before
    out.flush()
    said = out.buffer.getvalue().decode("utf-8", "replace")  # type: ignore[attr-defined]
    return Answer(code if isinstance(code, int) else 1, said, err.getvalue())


Case = Callable[[], Answer]


@dataclass
class Ground:
    """A finished home, a profile over it, and a checkpoint to spoil."""

    home: Path
    profile: Path
    checkpoint: Path
    work: Path

    @property
    def outside(self) -> Path:
        """A folder beside the home, with a file that no question may read."""
        folder = self.work / "outside"
        if not folder.exists():
            folder.mkdir()
            (folder / "outside.txt").write_text(fuzz_sql.MARKER)
        return folder

    def record(self) -> dict[str, tuple[int, int]]:
        """Size and time of every file of the record."""
        return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in (self.home / "tables").rglob("*.parquet")}

    def everything(self) -> dict[str, tuple[int, int, int]]:
        """Size, time and mode of all that no question may change, in the home and beside it."""
        found = [self.home, self.outside, *self.outside.rglob("*"), *self.home.glob("*")]
        found += [p for name in ("tables", "sources") for p in (self.home / name).rglob("*")]
        facts = {str(path): path.lstat() for path in found}
        return {
            name: (f.st_size, f.st_mtime_ns if not name.endswith("home") else 0, f.st_mode) for name, f in facts.items()
        }


Kind = Callable[[Ground, random.Random], Answer]


def cases(ground: Ground, count: int, seed: int, kinds: tuple[Kind, ...] = ()) -> Iterator[tuple[str, Case]]:
    """`count` cases: profiles, files and SQL in turn."""
    kinds = kinds or (_profile_case, _file_case, _sql_case)
    for number in range(count):
        chance = random.Random(f"{seed}:{number}")
        make = kinds[number % len(kinds)]
        yield f"{make.__name__.strip('_')} {number}", lambda make=make, chance=chance: make(ground, chance)


def statements(ground: Ground, count: int, seed: int) -> Iterator[tuple[str, Case]]:
    """`count` statements over DuckDB's grammar: three of four through the command line, one through the library."""
    targets = fuzz_sql.targets_of(ground.home, ground.outside)
    for number in range(count):
        chance = random.Random(f"{seed}:statement:{number}")
        kind, text, is_refused = fuzz_sql.statement(number, targets, chance)
        ask = partial(_asked_of_library, ground) if chance.random() < 0.25 else _asked_of_command
        yield f"{kind} {number}: {text!r}", partial(_statement_case, ground, ask, text, is_refused)


def run(ground: Ground, count: int, seed: int, statement_count: int = 0) -> tuple[list[str], dict[int, int]]:
    """Run cases; returns complaints and the number of cases by exit code."""
    os.environ |= {"RARECALL_HOME": str(ground.home), "NO_COLOR": "1", "COLUMNS": "120"}
    os.environ.pop("RARECALL_DEBUG", None)
    complaints: list[str] = []
    codes = dict.fromkeys((0, 1, 2), 0)
    for found, facts in (
        (cases(ground, count, seed), ground.record),
        (statements(ground, statement_count, seed), ground.everything),
    ):
        before = facts()
        for name, case in found:
            answer = case()
            codes[answer.code] = codes.get(answer.code, 0) + 1
            if wrong := answer.complaint:
                complaints.append(f"{name}: {wrong}: {answer.stderr[-400:]!r}")
                print(complaints[-1], flush=True)
            if (now := facts()) != before:
                complaints.append(f"{name}: changed {sorted(dict(before.items() ^ now.items()))[:3]}")
                print(complaints[-1], flush=True)
                before = now
    return complaints, codes


def _asked_of_command(text: str) -> Answer:
    return call("query", "--format", "csv", "--seconds", "20", "--", text)


def _asked_of_library(ground: Ground, text: str) -> Answer:
    """Through `query` of one's own program: no thread that gave the right to write away."""
    from warehouse.catalog.queries import query
    from warehouse.errors import WarehouseError
    from warehouse.home import Home

    try:
        return Answer(0, str(query(Home(ground.home), text).rows()), "")
    except WarehouseError as error:
        return Answer(2, "", f"rarecall: {error}")
    except Exception as error:
        return Answer(1, "", "", fault=f"an error that is none of ours: {error!r}")


def _statement_case(ground: Ground, ask: Callable[[str], Answer], text: str, is_refused: bool) -> Answer:
    answer = ask(text)
    if is_refused and answer.code != 2:
        return replace(answer, fault="it was not refused")
    if fuzz_sql.MARKER in answer.stdout + answer.stderr:
        return replace(answer, fault="a file outside was read")
    return answer


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Bytes with a few changes: flipped, cut, doubled, or replaced by something odd."""
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(5)
        if kind == 0 and data:
            at = min(at, len(data) - 1)
            data = data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at]
        elif kind == 2:
            data = data[:at] + data[max(0, at - 50) :]
        elif kind == 3:
            data = data[:at] + chance.choice(ODD).encode("utf-8", "replace") + data[at:]
        else:
            data = data[:at] + chance.randbytes(chance.randint(1, 20)) + data[at + chance.randint(0, 20) :]
    return data


def _profile_case(ground: Ground, chance: random.Random) -> Answer:
    """A spoilt profile; the folder asked for does not exist, so that a profile that is still valid does no work."""
    lines = ground.profile.read_text().splitlines()
    if chance.random() < 0.5:
        at = chance.randrange(len(lines))
        key = lines[at].partition("=")[0]
        value = chance.choice([*ODD, f'"{chance.choice(ODD)}"', f"[{chance.choice(ODD)}]", "1979-05-27", "0x_"])
        lines[at] = f"{key} = {value}"
        data = "\n".join(lines).encode("utf-8", "replace")
    else:
        data = mutated(ground.profile.read_bytes(), chance)
    spoilt = ground.work / "spoilt.toml"
    spoilt.write_bytes(data)
    return call("checkpoints", "add", str(ground.work / "nowhere"), "--profile", str(spoilt))


def _file_case(ground: Ground, chance: random.Random) -> Answer:
    """One small file of a home or a checkpoint is spoilt, asked about, and put back."""
    if chance.random() < 0.4:
        return _checkpoint_case(ground, chance)
    files = [ground.home / "catalog.json", ground.home / "home.json", *ground.home.glob("sources/*/*.json")]
    files += sorted(ground.home.glob("tables/*/*/_*.json"))
    chosen = chance.choice([file for file in files if file.exists()])
    kept = chosen.read_bytes()
    asked = chance.choice(
        (("checkpoints", "list"), ("corpus", "list"), ("query", "SELECT count(*) FROM scores"), ("gc",))
    )
    try:
        chosen.write_bytes(mutated(kept, chance))
        return call(*asked)
    finally:
        chosen.write_bytes(kept)


def _checkpoint_case(ground: Ground, chance: random.Random) -> Answer:
    registrations = ground.home / "sources" / "checkpoints"
    before, folder = set(registrations.glob("*.json")), ground.work / "spoilt-checkpoint-7"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ground.checkpoint, folder)
    chosen = chance.choice(sorted(folder.iterdir()))
    data = chosen.read_bytes()
    head = min(len(data), 3000) if chosen.suffix == ".safetensors" else len(data)
    chosen.write_bytes(mutated(data[:head], chance) + data[head:])
    name = chance.choice(["fuzz", *ODD]) or "fuzz"
    answer = call(
        "checkpoints", "add", str(folder), "--name", name.replace("\x00", ""), "--profile", str(ground.profile)
    )
    for file in set(registrations.glob("*.json")) - before:
        file.unlink()
    return answer


def _sql_case(ground: Ground, chance: random.Random) -> Answer:
    """Words at random, or one of the project's own questions with something changed."""
    import sql

    if chance.random() < 0.5:
        text = " ".join(chance.choice(WORDS) for _ in range(chance.randint(1, 12)))
    else:
        queries = sorted(sql.load("adhoc").items())
        text = mutated(chance.choice(queries)[1].text.encode(), chance).decode("utf-8", "replace")
    form = chance.choice(("table", "csv", "json"))
    return call("query", "--format", form, "--", text)
